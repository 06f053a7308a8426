//! What is said about a configuration while it is read, and the exit status it leads to.
//!
//! Reading never stops at the first fault: messages are collected in order, and the
//! caller prints them all. When the program speaks SMTP on its standard output,
//! each message carries the reply code the reference gives it.
//!
//! Traces (`-d`) stand among the messages, so that both keep their order.

use crate::logging::debug::{DebugFlags, DebugLog};
use crate::macros::told::LineSymbols;
use crate::smtp::ExitStatus;

/// What kind of message one is; decides the reply code in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fault of the configuration; the program exits.
    Error,
    /// A fault of the system; the program exits.
    SystemError,
    /// A wrong value that was taken as far as possible.
    UserError,
    /// A remark with its place.
    Note,
    /// A remark only for who asked for words (`-v`) or tries the configuration out.
    Hint,
    /// A warning without place and code.
    Warning,
    /// What a debug category tells.
    Trace,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind of message it is.
    pub kind: Kind,
    /// Text with the place in front, without line end.
    pub text: Vec<u8>,
    /// Line of the file it is about; none outside of the file.
    pub line: Option<u32>,
    /// How many octets of the text are the place.
    place_length: usize,
}

impl Message {
    /// Gives the text without the place.
    pub fn said(&self) -> &[u8] {
        self.text.get(self.place_length..).unwrap_or_default()
    }

    /// Gives the line as it is printed; `smtp` puts the reply code in front.
    ///
    /// Observed: 8.17.1.9 with `-bs` and `-bd`.
    pub fn line(&self, smtp: bool) -> Vec<u8> {
        let code: &[u8] = match (smtp, self.kind) {
            (false, _) | (true, Kind::Warning | Kind::Trace) => b"",
            (true, Kind::Error) => b"554 5.0.0 ",
            (true, Kind::SystemError) => b"451 4.0.0 ",
            (true, Kind::UserError) => b"550 ",
            (true, Kind::Note | Kind::Hint) => b"050 ",
        };
        let end: &[u8] = match code {
            [] => b"\n",
            _ => b"\r\n",
        };
        [code, &self.text, end].concat()
    }
}

/// What is wrong with a value that was taken without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// No truth value; it counts as false.
    Truth,
    /// No number; only its first digits count.
    Number,
    /// No octal number; only its first digits count.
    Octal,
    /// No interval.
    Interval,
    /// No word the option knows; nothing changes.
    Word,
}

/// A doubt, with the line and the value it is about.
///
/// The reference says nothing about such values, so nothing is printed when the file is
/// read to be used; a checker asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubted {
    /// What is wrong.
    pub doubt: Doubt,
    /// Line of the file.
    pub line: u32,
    /// Name of the option.
    pub option: &'static str,
    /// The value.
    pub value: Vec<u8>,
}

/// Messages in order, and the exit status they lead to.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    messages: Vec<Message>,
    debug: DebugFlags,
    place: Option<(Vec<u8>, u32)>,
    status: Option<ExitStatus>,
    doubts: Vec<Doubted>,
    /// How the symbols of the line being read are shown.
    symbols: Option<LineSymbols>,
    stopped: bool,
    never_stops: bool,
}

impl Diagnostics {
    /// Collects traces as well, those that `debug` asks for.
    pub fn traced(debug: DebugFlags) -> Self {
        Diagnostics {
            debug,
            ..Diagnostics::default()
        }
    }

    /// Says whether a category tells what belongs to a level; ask before formatting.
    pub fn traces(&self, category: u8, level: u8) -> bool {
        self.debug.is_on(category, level)
    }

    /// The flags that say which traces are collected.
    pub fn debug(&self) -> &DebugFlags {
        &self.debug
    }

    /// Adds a line of a trace.
    pub fn trace(&mut self, line: impl AsRef<[u8]>) {
        self.messages.push(Message {
            kind: Kind::Trace,
            text: line.as_ref().to_vec(),
            line: self.line(),
            place_length: 0,
        });
    }

    /// Says in which file and line the reader is.
    pub fn set_place(&mut self, file: &[u8], line: u32) {
        match &mut self.place {
            Some((name, number)) if name == file => *number = line,
            place => *place = Some((file.to_vec(), line)),
        }
    }

    /// Gives the place as it stands in front of messages; empty outside of files.
    pub fn place(&self) -> Vec<u8> {
        match &self.place {
            Some((file, number)) => [file, format!(": line {number}: ").as_bytes()].concat(),
            None => Vec::new(),
        }
    }

    /// Has messages show the symbols in texts of the configuration as the reference does.
    ///
    /// `symbols` are those of the line; `None` ends it.
    pub fn tell_symbols(&mut self, symbols: Option<LineSymbols>) {
        self.symbols = symbols;
    }

    /// Says that no file is being read any more.
    pub fn clear_place(&mut self) {
        self.place = None;
    }

    /// Adds a fault of the configuration; the exit status becomes 70.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.add(Kind::Error, text.as_ref());
        self.raise(ExitStatus::Software);
    }

    /// Adds a fault of the system; the exit status becomes 71.
    pub fn system_error(&mut self, text: impl AsRef<[u8]>) {
        self.add(Kind::SystemError, text.as_ref());
        self.raise(ExitStatus::OsError);
    }

    /// Adds a complaint about a value; the exit status stays.
    pub fn user_error(&mut self, text: impl AsRef<[u8]>) {
        self.add(Kind::UserError, text.as_ref());
    }

    /// Adds a remark; the exit status stays.
    pub fn note(&mut self, text: impl AsRef<[u8]>) {
        self.add(Kind::Note, text.as_ref());
    }

    /// Adds a hint; the exit status stays.
    pub fn hint(&mut self, text: impl AsRef<[u8]>) {
        self.add(Kind::Hint, text.as_ref());
    }

    /// Adds a warning without a place; the exit status stays.
    pub fn warning(&mut self, text: impl AsRef<[u8]>) {
        self.messages.push(Message {
            kind: Kind::Warning,
            text: text.as_ref().to_vec(),
            line: self.line(),
            place_length: 0,
        });
    }

    /// Notes a value the reference takes without a word; nothing is printed.
    pub fn doubt(&mut self, doubt: Doubt, option: &'static str, value: &[u8]) {
        if let Some(line) = self.line() {
            self.doubts.push(Doubted {
                doubt,
                line,
                option,
                value: value.to_vec(),
            });
        }
    }

    /// Gives the values that were taken without a word.
    pub fn doubts(&self) -> &[Doubted] {
        &self.doubts
    }

    fn line(&self) -> Option<u32> {
        self.place.as_ref().map(|(_, line)| *line)
    }

    /// Sets the exit status, whatever it was; the reading goes on.
    pub fn fault(&mut self, status: ExitStatus) {
        self.status = Some(status);
    }

    /// Ends the reading with a status: nothing after this counts.
    pub fn stop(&mut self, status: ExitStatus) {
        self.status = Some(status);
        self.stopped = !self.never_stops;
    }

    /// Makes [`Diagnostics::stop`] set the status only: the reading goes on.
    pub fn never_stop(&mut self) {
        self.never_stops = true;
    }

    /// Tells whether the reading was ended.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Gives the exit status so far.
    pub fn status(&self) -> ExitStatus {
        self.status.unwrap_or(ExitStatus::Ok)
    }

    /// Gives all messages in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Gives what is to be printed, line by line, without the traces.
    pub fn printed(&self, smtp: bool) -> Vec<u8> {
        self.printed_with_hints(smtp, true)
    }

    /// Like [`Diagnostics::printed`], but with hints only if they are wanted.
    pub fn printed_with_hints(&self, smtp: bool, hints: bool) -> Vec<u8> {
        self.messages
            .iter()
            .filter(|message| hints || message.kind != Kind::Hint)
            .filter(|message| message.kind != Kind::Trace)
            .flat_map(|message| message.line(smtp))
            .collect()
    }

    /// Prints everything in order: messages through `say`, traces where `debug` says.
    pub fn tell(&self, smtp: bool, hints: bool, debug: &DebugLog, mut say: impl FnMut(&[u8])) {
        let kinds = self
            .messages
            .chunk_by(|a, b| (a.kind == Kind::Trace) == (b.kind == Kind::Trace));
        for messages in kinds {
            let text: Vec<u8> = messages
                .iter()
                .filter(|message| hints || message.kind != Kind::Hint)
                .flat_map(|message| message.line(smtp))
                .collect();
            match messages.first().map(|message| message.kind) {
                Some(Kind::Trace) => debug.write(&text),
                _ => say(&text),
            }
        }
    }

    fn raise(&mut self, status: ExitStatus) {
        self.status.get_or_insert(status);
    }

    fn add(&mut self, kind: Kind, text: &[u8]) {
        let mut line = self.place();
        let place_length = line.len();
        match &self.symbols {
            Some(symbols) => line.extend(symbols.told(text)),
            None => line.extend_from_slice(text),
        }
        // Messages are printed in seven bits, and a zero ends them (observed: 8.17.1.9).
        line.iter_mut().for_each(|byte| *byte &= 0x7f);
        line.truncate(memchr::memchr(0, &line).unwrap_or(line.len()));
        self.messages.push(Message {
            kind,
            text: line,
            line: self.line(),
            place_length,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_their_place_and_the_first_status() {
        let mut out = Diagnostics::default();
        out.warning("Warning: w");
        out.set_place(b"a.cf", 3);
        out.note("n");
        assert_eq!(out.status(), ExitStatus::Ok);
        out.system_error("s");
        out.error("e");
        out.clear_place();
        out.user_error("u");
        assert_eq!(out.status(), ExitStatus::OsError);
        assert_eq!(
            String::from_utf8(out.printed(false)).unwrap(),
            "Warning: w\na.cf: line 3: n\na.cf: line 3: s\na.cf: line 3: e\nu\n"
        );
        assert_eq!(
            String::from_utf8(out.printed(true)).unwrap(),
            "Warning: w\n050 a.cf: line 3: n\r\n451 4.0.0 a.cf: line 3: s\r\n\
             554 5.0.0 a.cf: line 3: e\r\n550 u\r\n"
        );
    }
}
