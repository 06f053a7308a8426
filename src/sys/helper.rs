//! The small process behind root's rights, seen from the daemon.
//!
//! [`Helper::start`] forks it before the first thread. It stays single-threaded,
//! runs all mailers, and dies with the daemon; so the daemon itself never forks,
//! children inherit neither queue locks nor client sockets, and nobody in the
//! daemon calls `waitpid`. Any number of threads may ask at the same time: each
//! request carries its own reply socket, so there is nothing to lock.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use super::child::{ParentEnds, open_ends};
use super::helper_process::{DONE, Request, serve};
use super::identity::Credentials;
use super::privilege::Privileged;
use super::process::{Forked, become_user, detach_standard_descriptors, fork_background};
use super::safe_open::{OpenError, OpenRequest, Opened};
use super::socket::{ListenSpec, Readiness, wait_ready};
use super::spawn::{Ended, Running, SpawnPlan};
use super::wire::{Reader, Writer, packet_pair, receive, send};

/// The daemon's end of the control socket; dropping it ends the helper process.
#[derive(Debug)]
pub struct Helper {
    control: OwnedFd,
    process: u32,
}

/// A reply's text, its descriptors, and the socket it came on.
type Reply = (Vec<u8>, Vec<OwnedFd>, OwnedFd);

impl Helper {
    /// Forks the helper process; only while this process has a single thread.
    ///
    /// # Errors
    /// The socket or the fork failed.
    pub fn start() -> io::Result<Helper> {
        Helper::start_as(None)
    }

    /// Forks a helper process that becomes somebody else for good before it does anything.
    ///
    /// # Errors
    /// The socket or the fork failed.
    pub fn start_as(user: Option<&Credentials>) -> io::Result<Helper> {
        let (ours, theirs) = packet_pair()?;
        match fork_background()? {
            Forked::Parent(process) => Ok(Helper {
                control: ours,
                process,
            }),
            Forked::Child => become_helper(theirs, user),
        }
    }

    /// Returns the process id of the helper, for messages only.
    pub fn process_id(&self) -> u32 {
        self.process
    }

    fn ask(&self, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<Reply> {
        let (ours, theirs) = packet_pair()?;
        let mut all = vec![theirs.as_fd()];
        all.extend_from_slice(fds);
        send(&self.control, text, &all).map_err(|error| match error.raw_os_error() {
            Some(libc::EPIPE | libc::ECONNRESET) => gone(),
            _ => error,
        })?;
        drop(theirs);
        match receive(&ours) {
            Ok(Some((text, fds))) => Ok((text, fds, ours)),
            Ok(None) => Err(gone()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(gone()),
            Err(error) => Err(error),
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the helper process is gone")
}

/// Turns a fresh child into the helper; never returns.
fn become_helper(control: OwnedFd, user: Option<&Credentials>) -> ! {
    // SAFETY: this process has a single thread and uses none of the descriptors it
    // inherited but the control socket; nothing that owns one of them runs again,
    // because the process ends by _exit.
    let control = unsafe {
        if libc::dup3(control.as_raw_fd(), CONTROL, libc::O_CLOEXEC) < 0
            && control.as_raw_fd() != CONTROL
        {
            libc::_exit(71);
        }
        if control.as_raw_fd() == CONTROL {
            std::mem::forget(control);
        }
        libc::syscall(libc::SYS_close_range, CONTROL + 1, u32::MAX, 0);
        // Ended by the daemon's going, not by signals meant for the daemon's group.
        for signal in [
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGPIPE,
        ] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        OwnedFd::from_raw_fd(CONTROL)
    };
    if user.is_some_and(|user| become_user(user).is_err()) {
        // SAFETY: ends the process without running clean-up that belongs to the daemon.
        unsafe { libc::_exit(71) }
    }
    let _ = detach_standard_descriptors();
    let _ = std::env::set_current_dir("/");
    let served = std::panic::catch_unwind(|| serve(&control));
    let status = match served {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            log::error!("helper process: {error}");
            71
        }
        Err(_) => 70,
    };
    // SAFETY: ends the process without running clean-up that belongs to the daemon.
    unsafe { libc::_exit(status) }
}

/// The number of the control socket in the helper: the first after the standard ones.
const CONTROL: i32 = 3;

impl Privileged for Helper {
    fn bind(&self, spec: &ListenSpec) -> io::Result<OwnedFd> {
        let mut writer = Writer::default();
        writer.number(Request::Bind as u64).listen_spec(spec);
        let (text, mut fds, _) = self.ask(&writer.0, &[])?;
        let mut reader = Reader(&text);
        if reader.number()? != DONE {
            return Err(reader.io_error()?);
        }
        fds.pop().ok_or_else(gone)
    }

    fn open_as(&self, request: &OpenRequest) -> Result<Opened, OpenError> {
        let mut writer = Writer::default();
        writer.number(Request::Open as u64).open_request(request);
        let (text, mut fds, _) = self.ask(&writer.0, &[])?;
        let mut reader = Reader(&text);
        if reader.number()? != DONE {
            return Err(reader.open_error()?);
        }
        Ok(reader.opened(fds.pop().ok_or_else(gone)?)?)
    }

    fn spawn(&self, mut plan: SpawnPlan) -> io::Result<Box<dyn Running>> {
        // Pipes are made here, so that only the child's ends travel.
        let (child_ends, ends) = open_ends(&mut plan)?;
        let mut writer = Writer::default();
        writer.number(Request::Spawn as u64).plan(&plan);
        let fds: Vec<BorrowedFd<'_>> = child_ends.iter().map(AsFd::as_fd).collect();
        let (text, _, reply) = self.ask(&writer.0, &fds)?;
        let mut reader = Reader(&text);
        if reader.number()? != DONE {
            return Err(reader.io_error()?);
        }
        Ok(Box::new(Ward {
            process: reader.small()?,
            reply,
            ends,
            ended: None,
        }))
    }

    fn give_to(&self, file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
        let mut writer = Writer::default();
        writer.number(Request::Give as u64).small(uid).small(gid);
        let (text, _, _) = self.ask(&writer.0, &[file])?;
        let mut reader = Reader(&text);
        if reader.number()? == DONE {
            Ok(())
        } else {
            Err(reader.io_error()?)
        }
    }
}

/// A child of the helper process.
#[derive(Debug)]
struct Ward {
    process: u32,
    /// Where the helper reports its end, and takes the wish to kill it.
    reply: OwnedFd,
    ends: ParentEnds,
    ended: Option<Ended>,
}

impl Running for Ward {
    fn stdin(&mut self) -> Option<File> {
        self.ends.stdin.take()
    }

    fn stdout(&mut self) -> Option<File> {
        self.ends.stdout.take()
    }

    fn stderr(&mut self) -> Option<File> {
        self.ends.stderr.take()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Ended> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        if !wait_ready(self.reply.as_fd(), Readiness::Read, deadline)? {
            return Ok(Ended::StillRunning);
        }
        let (text, _) = receive(&self.reply)?.ok_or_else(gone)?;
        let ended = Reader(&text).ended()?;
        self.ended = Some(ended);
        Ok(ended)
    }

    fn kill_group(&mut self) {
        if self.ended.is_none() {
            let flags = nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
            let _ = nix::sys::socket::send(self.reply.as_raw_fd(), b"K", flags);
        }
    }

    fn process_id(&self) -> u32 {
        self.process
    }
}

#[cfg(test)]
mod tests {
    use super::super::safe_open::{Purpose, Unsafe};
    use super::super::spawn::Stdio;
    use super::super::{file::FileFacts, process::effective_user, socket::ListenAddress};
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;

    fn shell(script: &str) -> SpawnPlan {
        let argv = vec![b"sh".to_vec(), b"-c".to_vec(), script.as_bytes().to_vec()];
        let mut plan = SpawnPlan::new("/bin/sh", argv);
        plan.stdin = Stdio::Pipe;
        plan.stdout = Stdio::Pipe;
        plan.stderr = Stdio::SameAsStdout;
        plan
    }

    fn output_of(helper: &Helper, plan: SpawnPlan) -> (String, Ended) {
        let mut child = helper.spawn(plan).unwrap();
        drop(child.stdin());
        let mut text = String::new();
        child.stdout().unwrap().read_to_string(&mut text).unwrap();
        (text, child.wait(None).unwrap())
    }

    #[test]
    fn a_child_has_only_what_was_planned() {
        let helper = Helper::start().unwrap();
        let mut plan = shell("id -u; id -g; id -G; env | sort; umask; ls /proc/self/fd | wc -l");
        plan.environment = vec![(b"AGENT".to_vec(), b"sendmail".to_vec())];
        plan.directories = vec!["/no/such".into(), "/tmp".into()];
        plan.credentials = Some(Credentials {
            uid: 65_534,
            gid: 65_533,
            groups: vec![65_532],
        });
        let (text, ended) = output_of(&helper, plan);
        assert_eq!(ended, Ended::Exited(0));
        let lines: Vec<&str> = text.lines().collect();
        if effective_user() == 0 {
            assert_eq!(&lines[..3], ["65534", "65533", "65533 65532"]);
        }
        let rest: Vec<&str> = lines[3..]
            .iter()
            .copied()
            .filter(|l| !l.starts_with('_'))
            .collect();
        // Three descriptors, and the one by which ls reads the directory.
        assert_eq!(rest, ["AGENT=sendmail", "PWD=/tmp", "0022", "4"]);
    }

    #[test]
    fn a_hundred_threads_each_get_their_own_child() {
        let helper = Helper::start().unwrap();
        std::thread::scope(|scope| {
            for number in 0..100 {
                let helper = &helper;
                scope.spawn(move || {
                    let plan = shell(&format!("cat; exit {number}"));
                    let mut child = helper.spawn(plan).unwrap();
                    let said = format!("I am {number}\n");
                    child.stdin().unwrap().write_all(said.as_bytes()).unwrap();
                    let mut heard = String::new();
                    child.stdout().unwrap().read_to_string(&mut heard).unwrap();
                    assert_eq!(heard, said);
                    assert_eq!(child.wait(None).unwrap(), Ended::Exited(number));
                });
            }
        });
    }

    #[test]
    fn a_failed_exec_gives_its_error_number() {
        let helper = Helper::start().unwrap();
        let plan = SpawnPlan::new("/no/such/program", vec![b"x".to_vec()]);
        let error = helper.spawn(plan).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_child_that_dies_takes_nobody_along() {
        let helper = Helper::start().unwrap();
        let (_, ended) = output_of(&helper, shell("kill -SEGV $$"));
        assert_eq!(ended, Ended::Signaled(libc::SIGSEGV));
        assert_eq!(output_of(&helper, shell("echo on")).0, "on\n");
    }

    #[test]
    fn the_deadline_passes_and_the_group_is_killed() {
        let helper = Helper::start().unwrap();
        let mut child = helper.spawn(shell("sleep 1000 & sleep 1000")).unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(child.wait(Some(deadline)).unwrap(), Ended::StillRunning);
        child.kill_group();
        assert_eq!(child.wait(None).unwrap(), Ended::Signaled(libc::SIGKILL));
        assert_eq!(
            child.wait(None).unwrap(),
            Ended::Signaled(libc::SIGKILL),
            "asked twice"
        );
        let mut text = String::new();
        child.stdout().unwrap().read_to_string(&mut text).unwrap();
    }

    #[test]
    fn an_abandoned_child_goes_on_and_disturbs_nobody() {
        let helper = Helper::start().unwrap();
        drop(helper.spawn(shell("cat >/dev/null")).unwrap());
        assert_eq!(output_of(&helper, shell("echo on")).0, "on\n");
    }

    #[test]
    fn files_are_opened_and_given_away() {
        let helper = Helper::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("box");
        let purpose = Purpose::AppendDelivery {
            create_mode: Some(0o600),
        };
        let mut opened = helper
            .open_as(&OpenRequest::read(&path).purpose(purpose))
            .unwrap();
        opened.file.write_all(b"text").unwrap();
        assert!(opened.way.created && opened.way.directories.len() > 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        if effective_user() == 0 {
            helper.give_to(opened.file.as_fd(), 65_534, 65_534).unwrap();
            assert_eq!(FileFacts::of(&opened.file).unwrap().uid, 65_534);
        }
        match helper.open_as(
            &OpenRequest::read("/dev/null").rules(super::super::safe_open::OpenRules::REGULAR_ONLY),
        ) {
            Err(OpenError::Unsafe {
                reason: Unsafe::NotRegular,
                path,
            }) => {
                assert_eq!(path, std::path::Path::new("/dev/null"));
            }
            other => panic!("{other:?}"),
        }
        assert!(
            helper
                .open_as(&OpenRequest::read("/no/such"))
                .unwrap_err()
                .is_not_found()
        );
    }

    #[test]
    fn listeners_are_bound_and_refusals_told() {
        let helper = Helper::start().unwrap();
        let spec = ListenSpec::new(ListenAddress::Internet("127.0.0.1:0".parse().unwrap()));
        let listener = helper.bind(&spec).unwrap();
        let address = super::super::socket::local_address(&listener).unwrap();
        let again = ListenSpec::new(ListenAddress::Internet(address));
        assert_eq!(
            helper.bind(&again).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn the_helper_ends_with_the_daemon() {
        let helper = Helper::start().unwrap();
        let process = nix::unistd::Pid::from_raw(i32::try_from(helper.process_id()).unwrap());
        drop(helper);
        assert_eq!(
            nix::sys::wait::waitpid(process, None).unwrap(),
            nix::sys::wait::WaitStatus::Exited(process, 0)
        );
    }

    #[test]
    fn a_helper_that_is_gone_is_an_error_for_each_request() {
        let helper = Helper::start().unwrap();
        let process = nix::unistd::Pid::from_raw(i32::try_from(helper.process_id()).unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(process, None).unwrap();
        let error = helper.spawn(shell("true")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
