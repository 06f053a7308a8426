//! This process: who runs it, what it inherited, how it becomes a daemon.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::unistd::{ForkResult, Gid, Uid};

use super::identity::Credentials;

/// Who started this process, written once when it becomes somebody else: the kernel forgets it.
static STARTED_BY: OnceLock<(Uid, Gid)> = OnceLock::new();

/// Returns the user who started this process.
pub fn real_user() -> u32 {
    let starter = STARTED_BY.get();
    starter
        .map_or_else(Uid::current, |(user, _)| *user)
        .as_raw()
}

/// Returns the user whose rights this process has.
pub fn effective_user() -> u32 {
    Uid::effective().as_raw()
}

/// Returns the group of the user who started this process.
pub fn real_group() -> u32 {
    let starter = STARTED_BY.get();
    starter
        .map_or_else(Gid::current, |(_, group)| *group)
        .as_raw()
}

/// Returns the group whose rights this process has.
pub fn effective_group() -> u32 {
    Gid::effective().as_raw()
}

/// Returns the id of this process.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Returns the name this session logged in by, if the system recorded it.
pub fn login_name() -> Option<Vec<u8>> {
    unsafe extern "C" {
        // The libc crate does not name it for this system.
        fn getlogin_r(name: *mut libc::c_char, size: libc::size_t) -> libc::c_int;
    }
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer is valid for the whole call.
    let code = unsafe { getlogin_r(buffer.as_mut_ptr().cast(), buffer.len()) };
    if code != 0 {
        return None;
    }
    CStr::from_bytes_until_nul(&buffer)
        .ok()
        .map(|name| name.to_bytes().to_vec())
}

/// Returns the terminal of standard error, input or output, such as `/dev/pts/3`.
pub fn terminal_name() -> Option<Vec<u8>> {
    [2, 0, 1].into_iter().find_map(|fd| {
        let mut buffer = [0_u8; 256];
        // SAFETY: the buffer is valid for the whole call; any descriptor number may be asked for.
        let code = unsafe { libc::ttyname_r(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        let name = CStr::from_bytes_until_nul(&buffer).ok()?;
        (code == 0).then(|| name.to_bytes().to_vec())
    })
}

/// Adds to the nice value of this thread; a program it starts itself has it too.
///
/// Only root gets a smaller one; who may not stays as it is.
pub fn be_nicer(increment: i32) {
    if increment != 0 {
        // SAFETY: no memory is involved; with Linux threads it is about this thread only.
        unsafe { libc::nice(increment) };
    }
}

/// Sets the umask and returns the old one; before the first thread only.
pub fn set_umask(umask: u32) -> u32 {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask)).bits()
}

/// Changes the working directory; before the first thread only.
///
/// # Errors
/// As `chdir(2)`.
pub fn change_directory(path: &Path) -> io::Result<()> {
    std::env::set_current_dir(path)
}

/// Gives set-group-id and set-user-id rights up for good.
///
/// # Errors
/// The system refused; the caller must end.
pub fn drop_set_ids() -> io::Result<()> {
    let (gid, uid) = (Gid::current(), Uid::current());
    // Observed: 8.17.1.9 keeps no other group of the caller where it may change them.
    if Uid::effective().is_root() && !uid.is_root() {
        nix::unistd::setgroups(&[gid])?;
    }
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    if effective_user() != uid.as_raw() || effective_group() != gid.as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// Gives only the set-group-id right up for good.
///
/// # Errors
/// The system refused; the caller must end.
pub fn drop_set_group_id() -> io::Result<()> {
    let gid = Gid::current();
    nix::unistd::setresgid(gid, gid, gid)?;
    if effective_group() != gid.as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// Becomes another program, with these words and this environment and nothing else.
///
/// Descriptors stay as they are; comes back only with the reason why it could not be.
pub fn replace_by(program: &Path, words: &[&[u8]], environment: &[(&[u8], &[u8])]) -> io::Error {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;
    let mut words = words.iter().map(|word| OsStr::from_bytes(word));
    let mut command = std::process::Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).env_clear();
    for (name, value) in environment {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    command.exec()
}

/// Becomes another user for good (RunAsUser), in all threads.
///
/// # Errors
/// The system refused; the caller must end.
pub fn become_user(credentials: &Credentials) -> io::Result<()> {
    let groups: Vec<Gid> = credentials
        .groups
        .iter()
        .copied()
        .map(Gid::from_raw)
        .collect();
    let (uid, gid) = (
        Uid::from_raw(credentials.uid),
        Gid::from_raw(credentials.gid),
    );
    STARTED_BY.get_or_init(|| (Uid::current(), Gid::current()));
    nix::unistd::setgroups(&groups)?;
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    if Uid::effective() != uid || Uid::current() != uid || Gid::effective() != gid {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

unsafe extern "C" {
    /// tzset(3), which the crate libc leaves out.
    fn tzset();
}

/// Sets or clears the time zone of this process (TimeZoneSpec); before the first thread only.
pub fn set_time_zone(zone: Option<&[u8]>) {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: by contract there is no other thread that could read the environment.
    unsafe {
        match zone {
            Some(zone) if !zone.contains(&0) => {
                std::env::set_var("TZ", std::ffi::OsStr::from_bytes(zone));
            }
            _ => std::env::remove_var("TZ"),
        }
        tzset();
    }
}

/// Empties the environment but for what is to be kept; before the first thread only.
pub fn clear_environment(is_kept: impl Fn(&OsStr, &OsStr) -> bool) {
    for (name, value) in std::env::vars_os() {
        if !is_kept(&name, &value) {
            // SAFETY: by contract there is no other thread that could read the environment.
            unsafe { std::env::remove_var(name) };
        }
    }
}

/// Opens `/dev/null` on every descriptor of 0 to 2 that is closed.
///
/// Without this the next file opened, a queue file say, would become standard
/// error and collect messages.
///
/// # Errors
/// `/dev/null` cannot be opened.
pub fn fill_standard_descriptors() -> io::Result<()> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // Lowest free descriptor, below 3: it stays open for good, and children may have it.
        super::file::set_close_on_exec(&null, false)?;
        std::mem::forget(null);
    }
}

/// Returns which of the descriptors 0 to 2 are closed, after opening `/dev/null` on them.
///
/// They never are, once the program has begun; whoever finds one has found a fault of this
/// program before a file of the queue takes its place (built in by XDEBUG in the reference).
///
/// # Errors
/// `/dev/null` cannot be opened.
pub fn check_standard_descriptors() -> io::Result<Vec<i32>> {
    let closed = closed_among(0..=2);
    if !closed.is_empty() {
        fill_standard_descriptors()?;
    }
    Ok(closed)
}

fn closed_among(numbers: std::ops::RangeInclusive<i32>) -> Vec<i32> {
    numbers
        // SAFETY: asks for flags only, of a number that may be closed.
        .filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } == -1)
        .collect()
}

/// Puts `/dev/null` on descriptors 0, 1 and 2, whatever they were.
///
/// # Errors
/// `/dev/null` cannot be opened.
pub fn detach_standard_descriptors() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Closes what was inherited but the standard descriptors and the next `kept` ones; to be called
/// before anything is opened.
pub fn close_inherited_descriptors(kept: u32) {
    let first = 3_u32.saturating_add(kept);
    // SAFETY: called first thing in main, when no value of this program owns a descriptor.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0_u32) };
}

/// Lifts the limits a caller may have set to make us fail half-way: file size and processor time.
pub fn reset_limits() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    for resource in [Resource::RLIMIT_FSIZE, Resource::RLIMIT_CPU] {
        let infinite = nix::sys::resource::RLIM_INFINITY;
        if setrlimit(resource, infinite, infinite).is_err() {
            // Without rights only the soft limit can be lifted.
            if let Ok((_, hard)) = getrlimit(resource) {
                let _ = setrlimit(resource, hard, hard);
            }
        }
    }
}

/// Raises the limit of open descriptors as far as allowed and returns it.
pub fn raise_descriptor_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 256;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// Which process one is after a fork.
#[derive(Debug)]
pub enum Forked<T> {
    /// The process that forked.
    Parent(T),
    /// The new process.
    Child,
}

/// Forks for work after the caller has gone (delivery mode b on the command line).
///
/// The child leads a session of its own. Only while this process has a single
/// thread: a lock another thread holds would stay locked in the child.
///
/// # Errors
/// As `fork(2)`.
pub fn fork_background() -> io::Result<Forked<u32>> {
    // SAFETY: by contract there is a single thread, so the child is a full copy.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => {
            Ok(Forked::Parent(u32::try_from(child.as_raw()).unwrap_or(0)))
        }
        ForkResult::Child => {
            let _ = nix::unistd::setsid();
            Ok(Forked::Child)
        }
    }
}

/// The two processes after [`daemonize`].
#[derive(Debug)]
pub enum Daemonized {
    /// The process that was started: it should exit with this status now.
    Starter {
        /// 0 if the daemon reported to be ready, else what it reported.
        exit_status: u8,
    },
    /// The daemon, which owes its starter a report.
    Daemon(StartReport),
}

/// The daemon's way to release the process that started it.
#[derive(Debug)]
pub struct StartReport {
    pipe: Option<File>,
}

impl StartReport {
    /// Makes a report nobody waits for (foreground daemon).
    pub fn nobody() -> Self {
        StartReport { pipe: None }
    }

    /// Tells the starter that the daemon stands, or with which status it failed.
    pub fn send(mut self, exit_status: u8) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(&[exit_status]);
        }
    }
}

/// The status a starter exits with if its daemon vanished without a report.
/// Source: sysexits.h, EX_OSERR.
const VANISHED: u8 = 71;

/// Forks into the background; the starter waits until the daemon reports.
///
/// The daemon leads a session of its own without a terminal. Standard
/// descriptors are left alone, so that start-up errors can still be seen; see
/// [`detach_standard_descriptors`]. Only while there is a single thread.
///
/// # Errors
/// As `fork(2)`.
pub fn daemonize() -> io::Result<Daemonized> {
    let (mut read, write) = super::file::pipe()?;
    match fork_background()? {
        Forked::Child => {
            drop(read);
            Ok(Daemonized::Daemon(StartReport { pipe: Some(write) }))
        }
        Forked::Parent(_) => {
            drop(write);
            let mut status = [VANISHED];
            let exit_status = match read.read(&mut status) {
                Ok(1) => status[0],
                _ => VANISHED,
            };
            Ok(Daemonized::Starter { exit_status })
        }
    }
}

/// The text that `ps` shows as this process's command line.
///
/// The kernel shows the place where it put our arguments, so that is where the
/// title is written; a long one goes on into the place of the environment, which
/// is moved away first.
#[derive(Debug)]
pub struct ProcessTitle {
    /// The bytes of the arguments and, right behind them, of the environment.
    place: &'static [AtomicU8],
    /// How many of them were arguments.
    arguments: usize,
}

impl ProcessTitle {
    /// Takes the place over; `None` if the kernel does not say where it is.
    ///
    /// Only before the first thread, and after the command line was read.
    pub fn take() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let (arguments_start, arguments_end, end) = argument_area(&stat)?;
        for (name, value) in std::env::vars_os() {
            // SAFETY: by contract there is no other thread. Setting anew makes a copy elsewhere.
            unsafe {
                std::env::remove_var(&name);
                std::env::set_var(&name, &value);
            }
        }
        // SAFETY: the kernel put our arguments and environment there, in writable memory of
        // this process that stays as long as it runs. Nobody else uses it any more: arguments
        // were copied when read, the environment was just now.
        let place = unsafe {
            std::slice::from_raw_parts(arguments_start as *const AtomicU8, end - arguments_start)
        };
        Some(ProcessTitle {
            place,
            arguments: arguments_end - arguments_start,
        })
    }

    /// Shows a title, cut to the place there is.
    pub fn show(&self, title: &str) {
        // The last byte stays zero; a title shorter than the arguments were is filled up
        // with blanks, because the kernel shows that many bytes in any case.
        let text = title.bytes().filter(|&byte| byte != 0);
        let length = text.clone().count().min(self.place.len().saturating_sub(1));
        let blanks = (self.arguments.saturating_sub(1)).saturating_sub(length);
        let bytes = text
            .take(length)
            .chain(std::iter::repeat_n(b' ', blanks))
            .chain(std::iter::repeat(0));
        for (place, byte) in self.place.iter().zip(bytes) {
            place.store(byte, Ordering::Relaxed);
        }
    }
}

/// Finds where arguments start and end and the environment ends, in `/proc/self/stat`.
///
/// Source: proc_pid_stat(5), fields 48 to 51.
fn argument_area(stat: &str) -> Option<(usize, usize, usize)> {
    // The name, field 2, may hold anything, so fields are counted from its end.
    let (_, rest) = stat.rsplit_once(')')?;
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse().ok();
    let (start, end, environment, last): (usize, usize, usize, usize) =
        (field(48)?, field(49)?, field(50)?, field(51)?);
    if start == 0 || start >= end {
        return None;
    }
    // Where the two do not touch, only the first is ours to write to.
    let last = if environment == end && last >= end {
        last
    } else {
        end
    };
    Some((start, end, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_descriptors_are_found() {
        let far = 1 << 20;
        assert_eq!(closed_among(far..=far + 1), [far, far + 1]);
        let open = File::open("/dev/null").unwrap();
        let number = open.as_raw_fd();
        assert_eq!(closed_among(number..=number), []);
        assert_eq!(check_standard_descriptors().unwrap(), []);
    }

    #[test]
    fn a_process_knows_itself() {
        assert!(process_id() > 0);
        assert_eq!(real_user(), effective_user());
        assert_eq!(real_group(), effective_group());
    }

    #[test]
    fn a_title_shows_whatever_its_length() {
        // In a child, so that the test program keeps its own title.
        let child = fork_background().unwrap();
        let Forked::Parent(child) = child else {
            let shown = ProcessTitle::take().is_some_and(|title| {
                let long = "sendmail: ".repeat(20);
                [long.as_str(), "sendmail: ready"].into_iter().all(|text| {
                    title.show(text);
                    let shown = std::fs::read("/proc/self/cmdline").unwrap_or_default();
                    shown.trim_ascii_end().starts_with(text.as_bytes())
                })
            });
            // SAFETY: ends the child at once, without the test program's clean-up.
            unsafe { libc::_exit(i32::from(!shown)) };
        };
        let child = nix::unistd::Pid::from_raw(i32::try_from(child).unwrap());
        let status = nix::sys::wait::waitpid(child, None).unwrap();
        assert!(
            matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)),
            "{status:?}"
        );
    }

    #[test]
    fn the_place_of_the_arguments_is_found_behind_any_name() {
        let fields: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let stat = format!("1 (a ) b) R {}", fields.join(" "));
        assert_eq!(argument_area(&stat), Some((48, 49, 49)));
        assert_eq!(argument_area("nonsense"), None);
    }

    #[test]
    fn a_report_to_nobody_is_harmless() {
        StartReport::nobody().send(0);
    }
}
