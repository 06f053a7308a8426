//! The writer to the log daemon, a `log::Log` for facility mail.
//!
//! Lines look as syslog(3) writes them: `<22>Nov 22 05:06:27 sendmail[123]: text`.
//! Control characters are escaped and overlong lines cut, because the text may
//! come from the network. A log daemon that is away or slow costs a line, never
//! the caller's time: the socket has a short write deadline and is connected
//! anew when a write fails.

use std::io::{self, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::calendar::Calendar;
use super::clock::{Clock, SystemClock};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// The facility number of mail, as it stands in a priority.
const FACILITY_MAIL: u8 = 2 << 3;
/// The longest line sent, in bytes. Longer ones are cut (RFC 3164 section 4.1).
const MAX_LINE: usize = 1024;
/// How long a slow log daemon may hold us.
const WRITE_DEADLINE: Duration = Duration::from_millis(250);

/// The writer; made once in `main` and installed as the process's logger.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    /// The name in front of the process id; written by `set_tag` only.
    tag: Mutex<String>,
    /// The least severe level written, as a number of `LevelFilter`.
    level: AtomicUsize,
    /// Whether lines tell the process id.
    shows_process: bool,
    /// The connection; written by whichever thread logs.
    connection: Mutex<Option<Connection>>,
}

#[derive(Debug)]
enum Connection {
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

impl Syslog {
    /// Makes a writer to `/dev/log` that lets everything through.
    pub fn new(tag: &str) -> Self {
        Self::to_socket("/dev/log", tag)
    }

    /// Makes a writer to another socket.
    pub fn to_socket(path: impl Into<PathBuf>, tag: &str) -> Self {
        Syslog {
            path: path.into(),
            tag: Mutex::new(tag.to_owned()),
            level: AtomicUsize::new(LevelFilter::Trace as usize),
            shows_process: true,
            connection: Mutex::new(None),
        }
    }

    /// Leaves the process id out, as programs do that log a line a day.
    pub fn without_process_id(mut self) -> Self {
        self.shows_process = false;
        self
    }

    /// Changes the name in front of the process id (`-L`).
    pub fn set_tag(&self, tag: &str) {
        tag.clone_into(
            &mut self
                .tag
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        );
    }

    /// Changes the least severe level that is written.
    pub fn set_level(&self, level: LevelFilter) {
        self.level.store(level as usize, Ordering::Relaxed);
    }

    fn write(&self, severity: u8, text: &str) {
        let priority = FACILITY_MAIL | severity;
        let now = Calendar::local(SystemClock.now());
        let line = {
            let tag = self
                .tag
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let stamp = now.stamp();
            match self.shows_process {
                true => format!("<{priority}>{stamp} {tag}[{}]: ", std::process::id()),
                false => format!("<{priority}>{stamp} {tag}: "),
            }
        };
        let mut line = line.into_bytes();
        push_escaped(&mut line, text.as_bytes());
        self.send(&line);
    }

    fn send(&self, line: &[u8]) {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // Twice: the log daemon may have been started anew since the last line.
        for _ in 0..2 {
            if connection.is_none() {
                *connection = self.connect().ok();
            }
            match connection.as_mut().map(|open| open.send(line)) {
                None => return,
                Some(Ok(())) => return,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Some(Err(_)) => *connection = None,
            }
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        let socket = UnixDatagram::unbound()?;
        match socket.connect(&self.path) {
            Ok(()) => {
                socket.set_write_timeout(Some(WRITE_DEADLINE))?;
                Ok(Connection::Datagram(socket))
            }
            // The daemon listens on a stream socket.
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                let stream = super::socket::connect_local(&self.path, Some(WRITE_DEADLINE))?;
                stream.set_write_timeout(Some(WRITE_DEADLINE))?;
                Ok(Connection::Stream(stream))
            }
            Err(error) => Err(error),
        }
    }
}

impl Connection {
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Connection::Datagram(socket) => socket.send(line).map(drop),
            Connection::Stream(stream) => {
                let mut line = line.to_vec();
                line.push(0);
                stream.write_all(&line)
            }
        }
    }
}

impl Log for Syslog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() as usize <= self.level.load(Ordering::Relaxed)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(severity_of(record), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Finds the syslog severity: mail records carry it in their target.
fn severity_of(record: &Record<'_>) -> u8 {
    match record.target() {
        "mail.emerg" => 0,
        "mail.alert" => 1,
        "mail.crit" => 2,
        "mail.notice" => 5,
        _ => match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        },
    }
}

/// Appends a text with control characters in octal, until the line is full.
fn push_escaped(line: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if line.len() >= MAX_LINE {
            return;
        }
        match byte {
            b'\t' => line.push(b' '),
            0..0x20 | 0x7f => {
                let _ = write!(line, "\\{byte:03o}");
            }
            _ => line.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn log(writer: &Syslog, target: &str, level: Level, text: &str) {
        writer.log(
            &Record::builder()
                .args(format_args!("{text}"))
                .level(level)
                .target(target)
                .build(),
        );
    }

    #[test]
    fn lines_have_priority_time_tag_and_process_id() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        let writer = Syslog::to_socket(&path, "sendmail");
        log(&writer, "mail", Level::Info, "AB: to=x\nevil");
        let line = received(&socket);
        assert!(line.starts_with("<22>"), "{line}");
        let tail = format!(" sendmail[{}]: AB: to=x\\012evil", std::process::id());
        assert!(line.ends_with(&tail), "{line}");
        writer.set_tag("other");
        log(&writer, "mail.notice", Level::Info, "x");
        assert!(received(&socket).contains(" other["));
        let writer = Syslog::to_socket(&path, "short").without_process_id();
        log(&writer, "mail.crit", Level::Error, "x");
        let line = received(&socket);
        assert!(
            line.starts_with("<18>") && line.ends_with(" short: x"),
            "{line}"
        );
    }

    #[test]
    fn an_absent_or_restarted_log_daemon_is_survived() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let writer = Syslog::to_socket(&path, "t");
        log(&writer, "mail", Level::Info, "lost");
        for round in ["one", "two"] {
            let socket = UnixDatagram::bind(&path).unwrap();
            log(&writer, "mail", Level::Info, round);
            assert!(received(&socket).ends_with(round));
            drop(socket);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let mut line = Vec::new();
        push_escaped(&mut line, &[b'a'; 5000]);
        assert_eq!(line.len(), MAX_LINE);
    }
}
