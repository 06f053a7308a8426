//! Delivery through a program: run it, write the message to it, read its exit status.
//!
//! The message lies ready, whole, before the program starts: should we be killed, a
//! program that runs has all of it. The program's output goes to the transcript. Its
//! exit status decides; a program that stops reading early is believed when it exits
//! with 0, one that dies by a signal is tried again later.
//!
//! Observed: 8.17.1.9 (statuses of mailers that die, are missing or do not read).

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::smtp::ExitStatus;
use crate::sys::exchange::Exchange;
use crate::sys::identity::Credentials;
use crate::sys::prefilled::Prefilled;
use crate::sys::privilege::Privileged;
use crate::sys::spawn::{Ended, Running, SpawnPlan, Stdio};

/// How long one look at a program's output lasts before its end is looked for.
///
/// A program may leave a child behind that keeps its output open, so the end of
/// output alone does not tell that it is done.
const OUTPUT_SLICE: Duration = Duration::from_millis(100);

/// One call of a mailer program.
#[derive(Clone)]
pub struct Call {
    /// The file to execute.
    pub program: PathBuf,
    /// The words of its command line.
    pub argv: Vec<Vec<u8>>,
    /// Its whole environment.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working directories to try in order.
    pub directories: Vec<PathBuf>,
    /// Where it starts when there are none: the queue directory, as with the reference.
    pub start_directory: Option<PathBuf>,
    /// Whose rights it has; `None` keeps ours.
    pub credentials: Option<Credentials>,
    /// Its root directory.
    pub chroot: Option<PathBuf>,
    /// Nice increment.
    pub nice: i32,
    /// How long its output is listened to before its end is waited for (Timeout.quit).
    pub drain: Duration,
    /// Longest time it may take after that (W=); zero is no limit.
    pub wait: Duration,
}

/// What a program did.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramEnd {
    /// Its exit status, or the one that stands for its fate.
    pub exit: ExitStatus,
    /// What it wrote to standard output and standard error, up to a limit.
    pub output: Vec<u8>,
    /// What went wrong around it, for the log.
    pub trouble: Option<String>,
    /// The signal it died of.
    pub signal: Option<i32>,
    /// Its output was still open after the time for listening.
    pub kept_talking: bool,
    /// It took longer than W= allows and was ended.
    pub is_overdue: bool,
}

impl ProgramEnd {
    fn without_output(exit: ExitStatus, trouble: String) -> Self {
        ProgramEnd {
            exit,
            output: Vec::new(),
            trouble: Some(trouble),
            signal: None,
            kept_talking: false,
            is_overdue: false,
        }
    }
}

/// A function that writes the message as the mailer wants it.
pub type Letter<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// Runs a program with the message as its standard input.
pub fn run(privileged: &dyn Privileged, call: Call, letter: &mut Letter<'_>) -> ProgramEnd {
    let shown = call.program.display().to_string();
    let (drain, wait) = (call.drain, call.wait);
    let stdin = match written_out(letter, call.start_directory.clone()) {
        Ok(input) => Stdio::File(input),
        // Half a message must not be taken for a whole one: no program sees it.
        Err(error) => {
            let trouble = format!("writing the message to {shown}: {error}");
            return ProgramEnd::without_output(ExitStatus::IoError, trouble);
        }
    };
    let plan = SpawnPlan {
        stdin,
        ..plan(call)
    };
    let mut running = match privileged.spawn(plan) {
        Ok(running) => running,
        Err(error) => {
            let exit = exit_of_failed_spawn(&error);
            return ProgramEnd::without_output(exit, format!("cannot exec {shown}: {error}"));
        }
    };
    let mut exchange = match Exchange::new(None, running.stdout(), None) {
        Ok(exchange) => exchange,
        Err(error) => {
            running.kill_group();
            return ProgramEnd::without_output(ExitStatus::TempFail, error.to_string());
        }
    };
    let mut end = finish(running.as_mut(), &mut exchange, drain, wait, &shown);
    end.output = exchange.output().to_vec();
    end
}

/// Writes the message where a program will read it.
fn written_out(letter: &mut Letter<'_>, folder: Option<PathBuf>) -> io::Result<OwnedFd> {
    let mut input = Prefilled::new(folder)?;
    letter(&mut input)?;
    input.into_input()
}

/// Makes the plan of a call with pipes on both ends.
pub(super) fn plan(call: Call) -> SpawnPlan {
    SpawnPlan {
        environment: call.environment,
        directories: call.directories,
        start_directory: call.start_directory,
        credentials: call.credentials,
        chroot: call.chroot,
        nice: call.nice,
        stdin: Stdio::Pipe,
        stdout: Stdio::Pipe,
        stderr: Stdio::SameAsStdout,
        ..SpawnPlan::new(call.program, call.argv)
    }
}

/// The exit status that stands for a program that could not be started.
pub(super) fn exit_of_failed_spawn(error: &io::Error) -> ExitStatus {
    if is_transient(error) {
        ExitStatus::TempFail
    } else {
        ExitStatus::Unavailable
    }
}

/// Errors of fork and exec after which another attempt may work.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::ExecutableFileBusy
            | io::ErrorKind::Interrupted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
    )
}

/// Waits for the end of a program, which may only take long once its output is over.
///
/// Observed: 8.17.1.9.
fn finish(
    running: &mut dyn Running,
    exchange: &mut Exchange,
    drain: Duration,
    wait: Duration,
    shown: &str,
) -> ProgramEnd {
    let mut end = ProgramEnd {
        exit: ExitStatus::TempFail,
        output: Vec::new(),
        trouble: None,
        signal: None,
        kept_talking: false,
        is_overdue: false,
    };
    let drained = Instant::now() + drain;
    let mut limit = None;
    loop {
        let silent = exchange.read_for(OUTPUT_SLICE).unwrap_or(true);
        let now = Instant::now();
        if limit.is_none() && (silent || now >= drained) {
            end.kept_talking = !silent;
            limit = Some((!wait.is_zero()).then(|| now + wait));
        }
        let until = match limit {
            Some(limit) if silent => limit,
            _ => Some(now),
        };
        match running.wait(until) {
            Ok(Ended::Exited(number)) => {
                // What it said last may still be in the pipe.
                let _ = exchange.read_for(Duration::from_millis(1));
                end.exit =
                    u8::try_from(number).map_or(ExitStatus::TempFail, ExitStatus::from_number);
                return end;
            }
            Ok(Ended::Signaled(number)) => {
                end.signal = Some(number);
                return end;
            }
            Ok(Ended::StillRunning) => {
                if limit.flatten().is_some_and(|limit| Instant::now() >= limit) {
                    running.kill_group();
                    let _ = running.wait(None);
                    end.is_overdue = true;
                    return end;
                }
            }
            Err(error) => {
                end.trouble = Some(format!("waiting for mailer {shown}: {error}"));
                return end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::privilege::Unprivileged;

    fn shell(script: &str, wait: Duration) -> Call {
        Call {
            program: PathBuf::from("/bin/sh"),
            argv: vec![b"sh".to_vec(), b"-c".to_vec(), script.as_bytes().to_vec()],
            environment: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
            directories: vec![PathBuf::from("/")],
            start_directory: None,
            credentials: None,
            chroot: None,
            nice: 0,
            drain: Duration::from_millis(50),
            wait,
        }
    }

    fn run_with(script: &str, text: &[u8]) -> ProgramEnd {
        let mut letter = |out: &mut dyn Write| out.write_all(text);
        run(&Unprivileged, shell(script, Duration::ZERO), &mut letter)
    }

    #[test]
    fn exit_status_and_output_come_back() {
        let end = run_with("cat; echo bad >&2; exit 67", b"hello\n");
        assert_eq!(end.exit, ExitStatus::NoUser);
        assert_eq!(end.output, b"hello\nbad\n");
    }

    #[test]
    fn a_program_that_reads_nothing_is_believed() {
        let end = run_with("exit 0", &vec![b'x'; 500_000]);
        assert_eq!(end.exit, ExitStatus::Ok);
    }

    #[test]
    fn a_program_that_dies_is_tried_again() {
        let end = run_with("kill -9 $$", b"");
        assert_eq!((end.exit, end.signal), (ExitStatus::TempFail, Some(9)));
    }

    #[test]
    fn a_missing_program_is_unavailable() {
        let mut call = shell("", Duration::ZERO);
        call.program = PathBuf::from("/no/such/program");
        let end = run(&Unprivileged, call, &mut |_: &mut dyn Write| Ok(()));
        assert_eq!(end.exit, ExitStatus::Unavailable);
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let mut letter = |_: &mut dyn Write| Ok(());
        let end = run(
            &Unprivileged,
            shell("sleep 60", Duration::from_millis(50)),
            &mut letter,
        );
        assert_eq!(end.exit, ExitStatus::TempFail);
        assert!(end.is_overdue && end.kept_talking);
    }

    #[test]
    fn the_longest_wait_begins_when_the_output_is_over() {
        let mut call = shell("sleep 0.3; echo late", Duration::from_millis(50));
        call.drain = Duration::from_secs(60);
        let end = run(&Unprivileged, call.clone(), &mut |_: &mut dyn Write| Ok(()));
        assert_eq!((end.exit, end.is_overdue), (ExitStatus::Ok, false));
        call.argv[2] = b"exec >&- 2>&-; sleep 60".to_vec();
        let end = run(&Unprivileged, call, &mut |_: &mut dyn Write| Ok(()));
        assert!(end.is_overdue && !end.kept_talking);
    }

    #[test]
    fn a_child_left_behind_does_not_hold_us() {
        let started = Instant::now();
        let end = run_with("sleep 3 & exit 0", b"");
        assert_eq!(end.exit, ExitStatus::Ok);
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}
