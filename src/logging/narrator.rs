//! Progress told to the person who asked for it (`-v`, and `-bv` output).

use std::io::Write;

/// Someone to tell progress to.
pub trait Narrator: Send {
    /// Tells one line; the newline is added.
    fn say(&mut self, line: &[u8]);

    /// Says whether anybody listens; ask before costly formatting.
    fn is_listening(&self) -> bool {
        true
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Narrator for Silent {
    fn say(&mut self, _line: &[u8]) {}

    fn is_listening(&self) -> bool {
        false
    }
}

/// Tells standard output; a reader who went away is no fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdout;

impl Narrator for Stdout {
    fn say(&mut self, line: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout
            .write_all(line)
            .and_then(|()| stdout.write_all(b"\n"));
        let _ = stdout.flush();
    }
}

/// Tells standard output as programs want it that read replies (-ba): code and CRLF.
///
/// Observed: 8.17.1.9.
#[derive(Debug, Clone, Copy)]
pub struct Coded(pub &'static str);

impl Narrator for Coded {
    fn say(&mut self, line: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        let line = [self.0.as_bytes(), line, b"\r\n"].concat();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

/// Keeps everything, for tests.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The lines said so far.
    pub lines: Vec<Vec<u8>>,
}

impl Narrator for Kept {
    fn say(&mut self, line: &[u8]) {
        self.lines.push(line.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_said() {
        let mut kept = Kept::default();
        kept.say(b"a");
        Silent.say(b"b");
        assert_eq!(kept.lines, [b"a"]);
        assert!(!Silent.is_listening());
    }
}
