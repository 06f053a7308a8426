//! The fork behind every child, and the watch over it.
//!
//! Everything the child needs is made ready before the fork: between fork and
//! exec it only makes system calls, because another thread may have held any
//! lock, the allocator's included, at the moment of the fork. Identities are
//! changed by raw system calls for the same reason: the C library's wrappers
//! would signal threads that do not exist in the child. A step that fails is
//! reported through a pipe that exec closes, so the parent learns of it at once
//! and with the error number.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use super::file::pipe;
use super::socket::{Readiness, wait_ready};
use super::spawn::{Ended, Running, SpawnPlan, Stdio};

/// The soft limit of open descriptors a child gets, whatever ours was raised to.
/// Programs that use select(2) break with more.
const CHILD_DESCRIPTORS: u64 = 1024;

/// How often a child is looked at where the kernel has no descriptors for processes.
const WATCH_INTERVAL: Duration = Duration::from_millis(10);

/// A child of this very process.
#[derive(Debug)]
pub struct Child {
    process: i32,
    /// Becomes readable when the child ends; `None` on kernels before 5.3.
    watch: Option<OwnedFd>,
    ended: Option<Ended>,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
}

/// The parent's ends of a child's pipes.
#[derive(Debug, Default)]
pub(super) struct ParentEnds {
    pub(super) stdin: Option<File>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
}

/// The child's ends of its three descriptors.
pub(super) type ChildEnds = [OwnedFd; 3];

/// Opens pipes and `/dev/null` as a plan asks.
pub(super) fn open_ends(plan: &mut SpawnPlan) -> io::Result<(ChildEnds, ParentEnds)> {
    let mut parent = ParentEnds::default();
    let stdin = match std::mem::take(&mut plan.stdin) {
        Stdio::Pipe => {
            let (read, write) = pipe()?;
            parent.stdin = Some(write);
            read.into()
        }
        Stdio::File(fd) => fd,
        Stdio::Null | Stdio::SameAsStdout => File::open("/dev/null")?.into(),
    };
    let output = |end: Stdio, ours: &mut Option<File>| -> io::Result<OwnedFd> {
        match end {
            Stdio::Pipe => {
                let (read, write) = pipe()?;
                *ours = Some(read);
                Ok(write.into())
            }
            Stdio::File(fd) => Ok(fd),
            Stdio::Null | Stdio::SameAsStdout => {
                Ok(File::options().write(true).open("/dev/null")?.into())
            }
        }
    };
    let stdout = output(std::mem::take(&mut plan.stdout), &mut parent.stdout)?;
    let stderr = match std::mem::take(&mut plan.stderr) {
        Stdio::SameAsStdout => stdout.try_clone()?,
        other => output(other, &mut parent.stderr)?,
    };
    Ok(([stdin, stdout, stderr], parent))
}

impl Child {
    /// Starts a child of this process.
    ///
    /// # Errors
    /// The fork failed, or a step in the child did: then the error is the one of that step.
    pub fn start(mut plan: SpawnPlan) -> io::Result<Child> {
        let (child_ends, parent_ends) = open_ends(&mut plan)?;
        let mut child = Self::start_with(&plan, child_ends)?;
        child.stdin = parent_ends.stdin;
        child.stdout = parent_ends.stdout;
        child.stderr = parent_ends.stderr;
        Ok(child)
    }

    /// Starts a child on three descriptors, which are closed here.
    pub(super) fn start_with(plan: &SpawnPlan, ends: ChildEnds) -> io::Result<Child> {
        let ready = Ready::new(plan, ends)?;
        let (report_read, report_write) = pipe()?;
        let report_write = above_standard(report_write.into())?;
        let mut old_mask = all_signals_blocked();
        // SAFETY: the child calls `run`, which makes only system calls and never returns.
        let process = unsafe { libc::fork() };
        if process == 0 {
            ready.run(report_write.as_raw_fd());
        }
        let fork_error = io::Error::last_os_error();
        // SAFETY: puts back the mask saved above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw mut old_mask, ptr::null_mut()) };
        if process < 0 {
            return Err(fork_error);
        }
        drop((ready, report_write));
        let mut child = Child {
            process,
            watch: watch_of(process),
            ended: None,
            stdin: None,
            stdout: None,
            stderr: None,
        };
        match read_report(report_read) {
            None => Ok(child),
            Some(error) => {
                let _ = child.wait(None);
                Err(error)
            }
        }
    }

    /// Returns the descriptor that becomes readable at the end, if the kernel has such.
    pub(super) fn watch(&self) -> Option<&OwnedFd> {
        self.watch.as_ref()
    }

    /// Ends the child's process group, unless the child was waited for already.
    pub(super) fn kill_group_now(&self) {
        // After the wait the number may be somebody else's.
        if self.ended.is_none() {
            // SAFETY: signals processes only; the group is the child's own since setsid.
            unsafe { libc::kill(-self.process, libc::SIGKILL) };
        }
    }

    /// Looks whether the child has ended, without waiting.
    pub(super) fn poll_end(&mut self) -> io::Result<Ended> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let mut status = 0;
        // SAFETY: the status is a valid place to write to.
        match unsafe { libc::waitpid(self.process, &raw mut status, libc::WNOHANG) } {
            0 => Ok(Ended::StillRunning),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    Ok(Ended::StillRunning)
                } else {
                    Err(error)
                }
            }
            _ => {
                let ended = ended_from(status);
                self.ended = Some(ended);
                Ok(ended)
            }
        }
    }
}

impl Running for Child {
    fn stdin(&mut self) -> Option<File> {
        self.stdin.take()
    }

    fn stdout(&mut self) -> Option<File> {
        self.stdout.take()
    }

    fn stderr(&mut self) -> Option<File> {
        self.stderr.take()
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Ended> {
        loop {
            let ended = self.poll_end()?;
            if ended != Ended::StillRunning {
                return Ok(ended);
            }
            match &self.watch {
                Some(watch) => {
                    if !wait_ready(watch.as_fd(), Readiness::Read, deadline)? {
                        return self.poll_end();
                    }
                }
                None => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Ok(Ended::StillRunning);
                    }
                    std::thread::sleep(WATCH_INTERVAL);
                }
            }
        }
    }

    fn kill_group(&mut self) {
        self.kill_group_now();
    }

    fn process_id(&self) -> u32 {
        u32::try_from(self.process).unwrap_or(0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Takes the end of a child that has ended already; others go on unwatched.
        let _ = self.poll_end();
    }
}

fn ended_from(status: i32) -> Ended {
    if libc::WIFEXITED(status) {
        Ended::Exited(libc::WEXITSTATUS(status))
    } else {
        Ended::Signaled(libc::WTERMSIG(status))
    }
}

fn watch_of(process: i32) -> Option<OwnedFd> {
    // SAFETY: asks for a new descriptor of our own child, which is not waited for yet.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: a fresh descriptor nobody else owns.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn all_signals_blocked() -> libc::sigset_t {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigfillset fills the set; pthread_sigmask reads it and fills the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        old.assume_init()
    }
}

/// Reads the child's report; an empty one means exec worked.
fn read_report(mut report: File) -> Option<io::Error> {
    let mut code = [0; 4];
    match report.read_exact(&mut code) {
        Ok(()) => Some(io::Error::from_raw_os_error(i32::from_ne_bytes(code))),
        Err(_) => None,
    }
}

/// Returns the descriptor, or a copy above 2, so that filling 0 to 2 cannot overwrite it.
fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: the descriptor is open for the whole call.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Everything the child needs, as the system calls want it.
struct Ready {
    program: CString,
    /// Keeps what `argv` points to.
    _argv: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    /// Keeps what `environment` points to.
    _environment: Vec<CString>,
    environment: Vec<*const libc::c_char>,
    directories: Vec<CString>,
    start_directory: Option<CString>,
    chroot: Option<CString>,
    /// User, group and supplementary groups.
    identity: Option<(u32, u32, Vec<libc::gid_t>)>,
    nice: i32,
    umask: u32,
    ends: ChildEnds,
}

impl Ready {
    fn new(plan: &SpawnPlan, [stdin, stdout, stderr]: ChildEnds) -> io::Result<Ready> {
        let argv = plan.argv.iter().map(|word| CString::new(word.as_slice()));
        let argv = argv.collect::<Result<Vec<_>, _>>()?;
        let environment = plan
            .environment
            .iter()
            .map(|(name, value)| CString::new([name.as_slice(), b"=", value.as_slice()].concat()));
        let environment = environment.collect::<Result<Vec<_>, _>>()?;
        let directories = plan.directories.iter().map(|path| c_path(path));
        // Without root's rights there is no identity to change.
        let is_root = super::process::effective_user() == 0;
        let credentials = plan.credentials.as_ref().filter(|_| is_root);
        Ok(Ready {
            program: c_path(&plan.program)?,
            argv: pointers(&argv),
            _argv: argv,
            environment: pointers(&environment),
            _environment: environment,
            directories: directories.collect::<io::Result<_>>()?,
            start_directory: plan.start_directory.as_deref().map(c_path).transpose()?,
            chroot: plan.chroot.as_deref().map(c_path).transpose()?,
            identity: credentials.map(|who| (who.uid, who.gid, who.groups.clone())),
            nice: plan.nice,
            umask: plan.umask,
            ends: [
                above_standard(stdin)?,
                above_standard(stdout)?,
                above_standard(stderr)?,
            ],
        })
    }

    /// Becomes what the plan says; runs in the child and makes only system calls.
    fn run(&self, report: i32) -> ! {
        let error = match self.become_planned(report) {
            Ok(()) => {
                // SAFETY: all three are zero-terminated and live in this process image.
                unsafe {
                    libc::execve(
                        self.program.as_ptr(),
                        self.argv.as_ptr(),
                        self.environment.as_ptr(),
                    );
                }
                errno()
            }
            Err(error) => error,
        };
        let error = error.to_ne_bytes();
        // SAFETY: writes four bytes of the stack, then ends this process without clean-up.
        unsafe {
            libc::write(REPORT, error.as_ptr().cast(), error.len());
            // In case the move to descriptor 3 is what failed.
            libc::write(report, error.as_ptr().cast(), error.len());
            libc::_exit(127)
        }
    }

    fn become_planned(&self, report: i32) -> Result<(), i32> {
        // SAFETY: plain system calls on numbers and strings made before the fork; this
        // process has a single thread, and nothing of it but the exec comes after.
        unsafe {
            libc::setsid();
            // Ignored signals would stay ignored through the exec.
            // Raw, because the C library refuses the two real-time signals it keeps.
            let default = [0_u64; 4];
            for signal in 1..=64 {
                let old: *mut u64 = ptr::null_mut();
                libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, 8);
            }
            for (end, number) in self.ends.iter().zip(0..) {
                check(libc::dup2(end.as_raw_fd(), number))?;
            }
            if report != REPORT {
                check(libc::dup3(report, REPORT, libc::O_CLOEXEC))?;
            }
            close_from(REPORT + 1);
            limit_descriptors();
            libc::umask(self.umask);
            if self.nice != 0 {
                libc::nice(self.nice);
            }
            if let Some(root) = &self.chroot {
                check(libc::chroot(root.as_ptr()))?;
                check(libc::chdir(c"/".as_ptr()))?;
            }
            let inherited = self
                .start_directory
                .as_ref()
                .is_some_and(|path| libc::chdir(path.as_ptr()) == 0);
            if let Some((uid, gid, groups)) = &self.identity {
                become_for_good(*uid, *gid, groups)?;
            }
            let entered = self
                .directories
                .iter()
                .any(|path| libc::chdir(path.as_ptr()) == 0)
                || inherited;
            if !entered {
                check(libc::chdir(c"/".as_ptr()))?;
            }
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        }
        Ok(())
    }
}

/// The number the report pipe is moved to in the child.
const REPORT: i32 = 3;

/// Changes identity for good, and makes sure of it.
///
/// # Safety
/// Only in a freshly forked child with a single thread.
unsafe fn become_for_good(uid: u32, gid: u32, groups: &[libc::gid_t]) -> Result<(), i32> {
    // SAFETY: by contract; all pointers are to live memory of the right size.
    unsafe {
        check_long(libc::syscall(
            libc::SYS_setgroups,
            groups.len(),
            groups.as_ptr(),
        ))?;
        check_long(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check_long(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
        let (mut real, mut effective, mut saved) = (0, 0, 0);
        check(libc::getresuid(
            &raw mut real,
            &raw mut effective,
            &raw mut saved,
        ))?;
        if [real, effective, saved] != [uid; 3] {
            return Err(libc::EPERM);
        }
        check(libc::getresgid(
            &raw mut real,
            &raw mut effective,
            &raw mut saved,
        ))?;
        if [real, effective, saved] != [gid; 3] {
            return Err(libc::EPERM);
        }
        // The way back must be closed.
        if uid != 0 && libc::syscall(libc::SYS_setresuid, 0, 0, 0) == 0 {
            return Err(libc::EPERM);
        }
    }
    Ok(())
}

/// Closes all descriptors from a number up.
///
/// # Safety
/// Only in a freshly forked child, which owns no descriptors it still uses there.
unsafe fn close_from(first: i32) {
    // SAFETY: by contract.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) == 0 {
            return;
        }
        // Kernels before 5.9.
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let last = i32::try_from(limit.rlim_cur)
            .unwrap_or(65_536)
            .min(1_048_576);
        for fd in first..last {
            libc::close(fd);
        }
    }
}

/// Gives the child the usual soft limit of descriptors.
///
/// # Safety
/// Only in a freshly forked child.
unsafe fn limit_descriptors() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls on a live struct.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0
            && limit.rlim_cur > CHILD_DESCRIPTORS
        {
            limit.rlim_cur = CHILD_DESCRIPTORS;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn check(code: i32) -> Result<(), i32> {
    if code < 0 { Err(errno()) } else { Ok(()) }
}

fn check_long(code: libc::c_long) -> Result<(), i32> {
    if code < 0 { Err(errno()) } else { Ok(()) }
}

fn errno() -> i32 {
    // SAFETY: the C library keeps this place for each thread.
    unsafe { *libc::__errno_location() }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn shell(script: &str) -> SpawnPlan {
        let mut plan = SpawnPlan::new(
            "/bin/sh",
            vec![b"sh".to_vec(), b"-c".to_vec(), script.as_bytes().to_vec()],
        );
        plan.stdin = Stdio::Pipe;
        plan.stdout = Stdio::Pipe;
        plan.stderr = Stdio::SameAsStdout;
        plan
    }

    fn output_of(plan: SpawnPlan) -> (String, Ended) {
        let mut child = Child::start(plan).unwrap();
        drop(child.stdin());
        let mut text = String::new();
        child.stdout().unwrap().read_to_string(&mut text).unwrap();
        (text, child.wait(None).unwrap())
    }

    #[test]
    fn what_goes_in_comes_out_and_the_status_is_kept() {
        let mut child = Child::start(shell("cat; exit 75")).unwrap();
        child.stdin().unwrap().write_all(b"line\n").unwrap();
        let mut text = String::new();
        child.stdout().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n");
        assert_eq!(child.wait(None).unwrap(), Ended::Exited(75));
        assert_eq!(child.wait(None).unwrap(), Ended::Exited(75), "asked twice");
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        assert_eq!(
            output_of(shell("kill -TERM $$")).1,
            Ended::Signaled(libc::SIGTERM)
        );
    }

    #[test]
    fn environment_directory_umask_and_descriptors_are_as_planned() {
        let mut plan = shell("echo $HOME $PWD; umask; ls /proc/self/fd | wc -l");
        plan.environment = vec![(b"HOME".to_vec(), b"/x".to_vec())];
        plan.directories = vec!["/no/such".into(), "/usr".into()];
        plan.umask = 0o077;
        // Three descriptors, and the one by which ls reads the directory.
        assert_eq!(output_of(plan).0, "/x /usr\n0077\n4\n");
    }

    #[test]
    fn signals_are_default_and_unblocked() {
        let (text, _) = output_of(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
        assert_eq!(
            text.split_whitespace()
                .filter(|word| *word == "0000000000000000")
                .count(),
            2,
            "{text}"
        );
    }

    #[test]
    fn a_missing_program_gives_its_error_number() {
        let error = Child::start(SpawnPlan::new("/no/such", vec![b"x".to_vec()])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let error = Child::start(SpawnPlan::new("/etc/passwd", vec![b"x".to_vec()])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn the_whole_group_ends_at_the_deadline() {
        let mut child = Child::start(shell("sleep 1000 & sleep 1000; echo never")).unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(child.wait(Some(deadline)).unwrap(), Ended::StillRunning);
        child.kill_group();
        assert_eq!(child.wait(None).unwrap(), Ended::Signaled(libc::SIGKILL));
        // The grandchild held the pipe too; it is gone if this ends.
        let mut text = String::new();
        child.stdout().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }
}
