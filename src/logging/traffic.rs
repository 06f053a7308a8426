//! The traffic log: everything read and written on connections (`-X file`).
//!
//! Lines start with the process id, at least five digits wide, then `<<<` for
//! what came in, `>>>` for what went out, `===` for what happened. Messages are logged
//! like everything else: as they are read from standard input and written to mailers.
//! Observed: 8.17.1.9.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Stands where input ends.
const END_OF_INPUT: &[u8] = b"[EOF]";

/// Most bytes of a line that are held until its end is seen; more are logged as another line.
const MAX_HELD_LINE: usize = 65_536;

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

    /// Logs a line that was written to the other side, without its end.
    pub fn sent(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.write(">>>", line.strip_suffix(b"\r").unwrap_or(line));
    }

    /// Logs a line that was read on a connection; its end has been taken off and is shown.
    pub fn received(&self, line: &[u8]) {
        self.write("<<<", &[line, b"\r"].concat());
    }

    /// Logs a line as it was read, with what is left of its end.
    pub fn heard(&self, line: &[u8]) {
        self.write("<<<", line);
    }

    /// Logs what a program printed until it ended.
    pub fn heard_all(&self, output: &[u8]) {
        if !self.is_on() {
            return;
        }
        let mut lines: Vec<&[u8]> = output.split(|byte| *byte == b'\n').collect();
        let last = lines.pop().unwrap_or_default();
        for line in lines {
            self.heard(line);
        }
        self.heard(&[last, END_OF_INPUT].concat());
    }

    /// Logs an event such as `CONNECT host` or `EXEC argv`.
    pub fn event(&self, text: &[u8]) {
        self.write("===", text);
    }

    fn write(&self, mark: &str, text: &[u8]) {
        let Some(file) = &self.file else { return };
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

/// Passes on what is written to a mailer, and logs its lines.
pub struct SentLines<'a> {
    log: &'a TrafficLog,
    out: &'a mut dyn Write,
    /// What there is of the current line.
    line: Vec<u8>,
}

impl<'a> SentLines<'a> {
    /// Puts itself before `out`.
    pub fn new(log: &'a TrafficLog, out: &'a mut dyn Write) -> Self {
        SentLines {
            log,
            out,
            line: Vec::new(),
        }
    }

    /// Logs a last line that has no end.
    pub fn finish(self) {
        if !self.line.is_empty() {
            self.log.sent(&self.line);
        }
    }
}

impl Write for SentLines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if self.log.is_on() {
            let passed = bytes.get(..written).unwrap_or_default();
            for part in passed.split_inclusive(|byte| *byte == b'\n') {
                self.line.extend_from_slice(part);
                if part.ends_with(b"\n") || self.line.len() > MAX_HELD_LINE {
                    self.log.sent(&self.line);
                    self.line.clear();
                }
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Passes on what is read, a line at a time, and logs it; nothing behind the last line that is
/// asked for is read.
pub struct HeardLines<'a> {
    log: &'a TrafficLog,
    source: &'a mut dyn BufRead,
    /// What has been read and not been asked for yet.
    line: Vec<u8>,
    /// A last line without an end, which shows where the input ends.
    unfinished: Vec<u8>,
    /// The end of the input has been logged.
    is_over: bool,
}

impl<'a> HeardLines<'a> {
    /// Puts itself behind `source`.
    pub fn new(log: &'a TrafficLog, source: &'a mut dyn BufRead) -> Self {
        HeardLines {
            log,
            source,
            line: Vec::new(),
            unfinished: Vec::new(),
            is_over: false,
        }
    }

    fn next_line(&mut self) -> io::Result<()> {
        let most = MAX_HELD_LINE as u64;
        let got = (&mut *self.source)
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        if got == 0 && !std::mem::replace(&mut self.is_over, true) {
            let last = std::mem::take(&mut self.unfinished);
            self.log.heard(&[&last[..], END_OF_INPUT].concat());
        } else if let Some(line) = self.line.strip_suffix(b"\n") {
            self.log.heard(line);
        } else {
            self.unfinished.clone_from(&self.line);
        }
        Ok(())
    }
}

impl Read for HeardLines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.log.is_on() {
            return self.source.read(buffer);
        }
        if self.line.is_empty() {
            self.next_line()?;
        }
        let length = self.line.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.line.drain(..length)) {
            *to = from;
        }
        Ok(length)
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
        log.received(b"220 hi");
        log.sent(b"QUIT\r\n");
        TrafficLog::off().sent(b"nothing");
        let pid = format!("{:05}", std::process::id());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{pid} === CONNECT host\n{pid} <<< 220 hi\r\n{pid} >>> QUIT\n")
        );
    }

    #[test]
    fn messages_are_logged_line_by_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = TrafficLog::append_to(&path).unwrap();
        let mut input = &b"a\r\nb\n\nc"[..];
        let mut read = Vec::new();
        HeardLines::new(&log, &mut input)
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, b"a\r\nb\n\nc");
        let mut out = Vec::new();
        let mut lines = SentLines::new(&log, &mut out);
        lines.write_all(b"x\r\ny").unwrap();
        lines.write_all(b"z\r\nlast").unwrap();
        lines.finish();
        log.heard_all(b"said\n");
        assert_eq!(out, b"x\r\nyz\r\nlast");
        let text = std::fs::read_to_string(&path).unwrap();
        let pid = format!("{:05} ", std::process::id());
        assert_eq!(
            text.replace(&pid, ""),
            "<<< a\r\n<<< b\n<<< \n<<< c[EOF]\n>>> x\n>>> yz\n>>> last\n<<< said\n<<< [EOF]\n"
        );
    }
}
