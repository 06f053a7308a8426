//! The traffic log: everything read and written on connections (`-X file`).
//!
//! Lines start with the process id, at least five digits wide, then `<<<` for
//! what came in, `>>>` for what went out, `===` for what happened.
//! Observed: 8.17.1.9.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An open traffic log; clones write to the same file. `TrafficLog::off()` writes nothing.
#[derive(Debug, Clone, Default)]
pub struct TrafficLog {
    /// The file; every thread that talks to someone appends whole lines.
    file: Option<Arc<Mutex<File>>>,
}

impl TrafficLog {
    /// Makes a log that writes nothing.
    pub fn off() -> Self {
        TrafficLog::default()
    }

    /// Opens a file for appending, made with mode 0666 less the umask if missing.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o666)
            .open(path)?;
        Ok(TrafficLog {
            file: Some(Arc::new(Mutex::new(file))),
        })
    }

    /// Says whether anything is written.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// Logs a line that was written to the other side.
    pub fn sent(&self, line: &[u8]) {
        self.write(">>>", line);
    }

    /// Logs a line that was read from the other side.
    pub fn received(&self, line: &[u8]) {
        self.write("<<<", line);
    }

    /// Logs an event such as `CONNECT host` or `EXEC argv`.
    pub fn event(&self, text: &[u8]) {
        self.write("===", text);
    }

    fn write(&self, mark: &str, text: &[u8]) {
        let Some(file) = &self.file else { return };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut line = format!("{:05} {mark} ", std::process::id()).into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        // One write per line, so that lines of other processes do not mix in.
        let _ = file
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_pid_and_direction() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = TrafficLog::append_to(&path).unwrap();
        log.event(b"CONNECT host");
        log.received(b"220 hi\r\n");
        log.sent(b"QUIT");
        TrafficLog::off().sent(b"nothing");
        let pid = format!("{:05}", std::process::id());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{pid} === CONNECT host\n{pid} <<< 220 hi\n{pid} >>> QUIT\n")
        );
    }
}
