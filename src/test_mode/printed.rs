//! The listener that prints traces and messages.

use std::io::{self, Write};
use std::sync::Arc;

use crate::logging::debug::{DebugFlags, DebugLog};
use crate::rewrite::Trace;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::text::bytes::shorten;
use crate::token::Complaint;

/// Codes of messages that are about an address and show it. Observed: 8.17.1.9.
const ABOUT_ADDRESS: [&[u8]; 6] = [b"050", b"250", b"252", b"450", b"550", b"553"];

/// Longest address shown in front of a message; longer ones lose their middle.
const MAX_SHOWN: usize = 203;

/// Most octets that wait to be printed. Rulesets that call each other twice say something for
/// hours (observed: 8.17.1.9 too); what they say must not wait for their end.
const MAX_WAITING: usize = 1 << 16;

/// Collects what is to be printed, and the exit status the session will leave with.
pub struct Printed {
    /// The `-d` flags in force.
    pub debug: DebugFlags,
    /// Where traces go when they have a file of their own.
    log: Arc<DebugLog>,
    /// What is to be printed next.
    pub out: Vec<u8>,
    /// The exit status so far.
    pub exit: ExitStatus,
    /// File and line that messages are about, with what separates them from the text.
    pub place: Vec<u8>,
    /// Where all of it goes, and what went wrong there while a command was carried out.
    output: Box<dyn Write>,
    fault: Option<io::Error>,
}

impl Printed {
    /// Makes a listener that has nothing to print yet.
    pub fn new(log: Arc<DebugLog>, output: Box<dyn Write>) -> Printed {
        Printed {
            debug: log.flags().clone(),
            log,
            out: Vec::new(),
            exit: ExitStatus::Ok,
            place: Vec::new(),
            output,
            fault: None,
        }
    }

    /// Hands everything on.
    ///
    /// # Errors
    /// When the output fails, or failed before.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.fault.take() {
            return Err(error);
        }
        self.output.write_all(&self.out)?;
        self.out.clear();
        self.output.flush()
    }

    /// Hands on what waits if it is much.
    pub fn make_room(&mut self) {
        if self.out.len() <= MAX_WAITING {
            return;
        }
        if self.fault.is_none() {
            self.fault = self.output.write_all(&self.out).err();
        }
        self.out.clear();
    }

    /// Prints a line.
    pub fn line(&mut self, text: &[u8]) {
        self.parts(&[text]);
    }

    /// Prints a line that comes in parts.
    pub fn parts(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.push(b'\n');
        self.make_room();
    }

    /// Keeps the first status that is no success; a temporary one gives way to others.
    pub fn set_exit(&mut self, exit: ExitStatus) {
        if matches!(self.exit, ExitStatus::Ok | ExitStatus::TempFail) {
            self.exit = exit;
        }
    }

    /// Prints a message about the configuration or a command; the session will fail.
    pub fn fault(&mut self, text: &[u8]) {
        self.line(text);
        if self.exit == ExitStatus::Ok {
            self.exit = ExitStatus::Software;
        }
    }
}

impl Trace for Printed {
    fn level(&self, category: u8) -> u8 {
        self.debug.level(category)
    }

    fn shows_every_ruleset(&self) -> bool {
        true
    }

    fn reverses_symbols(&self) -> bool {
        self.debug.reverses_symbols()
    }

    fn write(&mut self, text: &[u8]) {
        match self.log.has_file() {
            true => self.log.write(text),
            false => self.out.extend_from_slice(text),
        }
        self.make_room();
    }

    fn show_pass(&mut self, line: &[u8]) {
        self.out.extend_from_slice(line);
        self.make_room();
    }

    fn narrate(&mut self, text: &[u8]) {
        self.line(text);
    }

    fn complain_of_system(&mut self, text: &[u8]) {
        self.out.extend_from_slice(&self.place);
        self.line(text);
        // Unlike a refusal this does not replace a temporary status. Observed: 8.17.1.9.
        if self.exit == ExitStatus::Ok {
            self.exit = ExitStatus::OsError;
        }
    }

    fn complain(&mut self, complaint: Complaint) {
        let text = complaint.text.as_slice();
        let (code, bare) = split_code(text);
        // Messages have seven bits. Observed: 8.17.1.9.
        let bare: Vec<u8> = bare.iter().map(|octet| octet & 0x7f).collect();
        self.out.extend_from_slice(&self.place);
        if !complaint.about.is_empty() && ABOUT_ADDRESS.contains(&code) {
            let about = shorten(&complaint.about, MAX_SHOWN);
            self.out.extend(about.into_iter().map(|octet| octet & 0x7f));
            self.out.extend_from_slice(b"... ");
        }
        let is_fault = code.is_empty() || text.starts_with(b"554 5.3.");
        if is_fault {
            self.fault(&bare);
        } else {
            self.line(&bare);
        }
    }
}

/// Splits reply code and enhanced status from a message.
fn split_code(text: &[u8]) -> (&[u8], &[u8]) {
    let Some((code, rest)) = text.split_at_checked(3) else {
        return (b"", text);
    };
    let Some(rest) = rest.strip_prefix(b" ") else {
        return (b"", text);
    };
    if !code.iter().all(u8::is_ascii_digit) {
        return (b"", text);
    }
    match EnhancedStatus::parse_prefix(rest) {
        Some((_, length)) if rest.get(length) == Some(&b' ') => {
            (code, rest.get(length + 1..).unwrap_or(b""))
        }
        _ => (code, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(about: &str, text: &str) -> (String, ExitStatus) {
        let mut printed = Printed::new(Arc::default(), Box::new(io::sink()));
        printed.complain(Complaint {
            about: about.as_bytes().to_vec(),
            text: text.as_bytes().to_vec(),
        });
        (String::from_utf8(printed.out).unwrap(), printed.exit)
    }

    #[test]
    fn a_file_that_is_missing_is_told_with_the_place() {
        let mut printed = Printed::new(Arc::default(), Box::new(io::sink()));
        printed.place = b"aliases: line 1: ".to_vec();
        printed.complain_of_system(b"no file");
        assert_eq!(printed.out, b"aliases: line 1: no file\n");
    }

    #[test]
    fn much_is_handed_on_before_the_command_ends() {
        let mut printed = Printed::new(Arc::default(), Box::new(io::sink()));
        for _ in 0..3_000 {
            printed.show_pass(&[b'x'; 100]);
        }
        assert!(printed.out.len() <= MAX_WAITING + 100);
        assert!(printed.flush().is_ok() && printed.out.is_empty());
    }

    #[test]
    fn an_output_that_failed_is_told_at_the_next_line() {
        let mut printed = Printed::new(Arc::default(), Box::new(&mut [][..]));
        printed.line(&vec![b'x'; MAX_WAITING]);
        assert!(printed.flush().is_err());
    }

    #[test]
    fn codes_are_not_shown_and_addresses_before_some_only() {
        for (about, text, shown, exit) in [
            ("a<b", "553 Unbalanced '<'", "a<b... Unbalanced '<'\n", 0),
            ("x", "550 5.1.1 no such user", "x... no such user\n", 0),
            ("x", "451 later", "later\n", 0),
            ("x", "450 later", "x... later\n", 0),
            ("x", "552 too much", "too much\n", 0),
            ("\u{e9}", "550 \u{e9}", "C)... C)\n", 0),
            ("", "554 5.3.5 Unknown ruleset x", "Unknown ruleset x\n", 70),
        ] {
            let (out, status) = printed(about, text);
            assert_eq!((out.as_str(), status.number()), (shown, exit));
        }
    }
}
