//! Queue control files: the `qf` text format, version 8.
//!
//! The text is the contract with other programs that share the queue directory,
//! so record order, flag letters and the closing dot are kept exactly. One record
//! is one letter and its value; lines that begin with white space continue the
//! record before them. Files of versions 0 to 8 are read, version 8 is written.
//!
//! Entry points: [`ControlFileFormat::parse`] and [`ControlFileFormat::write`].
//! Neither touches the file system; locking, renaming and syncing live in
//! [`crate::queue::entry`]. Nothing that comes from outside can bring a line of its
//! own: line ends and NULs inside a record are replaced by blanks.
//!
//! Bytes 0x80 to 0x9f in a header value are written after a 0xff byte, because bare
//! they mean a macro to be expanded (0x81 and the macro's letter).
//!
//! Source: guide appendix B; order, quoting and messages observed: 8.17.1.9.

use std::path::{Path, PathBuf};

use super::header_record;
use super::summary::number;
use crate::envelope::{
    ControllingUser, Envelope, EnvelopeFlags, Notify, NotifyWhen, OriginalRecipient, Recipient,
    RecipientState, Return,
};
use crate::macros::{MacroId, MacroNames};
use crate::message::BodyType;
use crate::smtp::parameter::{DeliverBy, DeliverByMode};
use crate::sys::clock::Timestamp;

/// The version written, and the greatest that is read.
const VERSION: i64 = 8;

/// What is reported when nobody asked. Source: RFC 3461 section 4.1.
const USUAL_REPORTS: NotifyWhen = NotifyWhen {
    success: false,
    failure: true,
    delay: true,
};

/// What a reader and writer of control files must know of the configuration.
#[derive(Debug, Clone)]
pub struct ControlFileFormat {
    /// The names of macros.
    names: MacroNames,
    /// The macros kept with a message: the class `persistentMacros`.
    persistent: Vec<MacroId>,
}

/// Where the body of an entry is, as the control file records it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BodyPlace<'a> {
    /// Device (major, minor) and inode, written for entries that were read from the queue.
    pub inode: Option<(u64, u64, u64)>,
    /// The folder of the body, if it is not the one of the entry's own directory.
    pub folder: Option<&'a Path>,
}

/// A control file as read.
#[derive(Debug)]
pub struct ParsedControlFile {
    /// The envelope; its body is not filled in, its size is that of the header.
    pub envelope: Envelope,
    /// The folder of the body, from a `d` line.
    pub body_folder: Option<PathBuf>,
    /// What was passed over, as it is logged.
    pub complaints: Vec<String>,
}

/// What is wrong with a control file; `Display` is the text that is logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlFileFault {
    /// There is nothing in it, as after a crash of another program.
    #[error("empty queue file")]
    Empty,
    /// The closing dot is missing: another program may be writing it, or crashed.
    #[error("incomplete queue file read")]
    Incomplete,
    /// A record letter nobody knows.
    #[error("line {line}: bad line \"{text}\"")]
    BadLine {
        /// Its line number.
        line: usize,
        /// The line, printable.
        text: String,
    },
    /// A record whose value cannot be, or a line after the closing dot.
    #[error("SECURITY ALERT: extra or bogus data in queue file: {text}")]
    Bogus {
        /// The line, printable.
        text: String,
    },
    /// A later format than ours.
    #[error("Version number in queue file ({0}) greater than max ({VERSION})")]
    Version(i64),
}

impl ControlFileFault {
    /// Gives the reason logged when the file is moved out of the way; `None` if it stays.
    pub fn loss_reason(&self) -> Option<&'static str> {
        match self {
            ControlFileFault::Empty | ControlFileFault::Incomplete => None,
            ControlFileFault::BadLine { .. } => Some("unrecognized line"),
            ControlFileFault::Bogus { .. } => Some("bogus queue line"),
            ControlFileFault::Version(_) => Some("unsupported queue file version"),
        }
    }
}

impl Default for ControlFileFormat {
    fn default() -> Self {
        let persistent = vec![
            MacroId::letter(b'_'),
            MacroId::letter(b'r'),
            MacroId::letter(b's'),
            MacroId::DAEMON_FLAGS,
        ];
        Self {
            names: MacroNames::new(),
            persistent,
        }
    }
}

impl ControlFileFormat {
    /// Makes the format for a configuration's macro names and further persistent macros.
    pub fn new(names: MacroNames, more_persistent: &[MacroId]) -> Self {
        let mut format = Self {
            names,
            ..Self::default()
        };
        format.persistent.extend_from_slice(more_persistent);
        format
    }

    /// Writes the control file of an envelope with the recipients that are still open.
    pub fn write(&self, envelope: &Envelope, body: BodyPlace<'_>) -> Vec<u8> {
        let mut out = Records(Vec::with_capacity(2_048));
        self.write_envelope(envelope, body, &mut out);
        let mut controlling = Vec::new();
        for recipient in &envelope.recipients {
            if recipient.state.is_open() {
                let letters = recipient_letters(recipient, envelope.is_response());
                let user = controlling_text(envelope, recipient);
                write_recipient(recipient, letters, user, &mut controlling, &mut out);
            }
        }
        for field in &envelope.headers {
            header_record::write(field, &mut out.0);
        }
        out.0.extend_from_slice(b".\n");
        out.0
    }

    fn write_envelope(&self, envelope: &Envelope, body: BodyPlace<'_>, out: &mut Records) {
        out.number(b'V', VERSION);
        out.number(b'T', envelope.created.seconds());
        out.number(
            b'K',
            envelope.last_attempt.map_or(0, |moment| moment.seconds()),
        );
        out.number(b'N', i64::from(envelope.attempts));
        out.number(b'P', envelope.priority);
        if let Some((major, minor, inode)) = body.inode {
            out.record(b'I', format!("{major}/{minor}/{inode}").as_bytes());
        }
        if let Some(folder) = body.folder {
            out.record(b'd', folder.as_os_str().as_encoded_bytes());
        }
        if let Some(body_type) = envelope.body_type {
            // The reference throws a file away whose type it does not know; a flag it passes over.
            let known = match body_type {
                BodyType::Binary => BodyType::EightBitMime,
                other => other,
            };
            out.record(b'B', known.name().as_bytes());
        }
        out.optional(b'q', envelope.quarantine.as_deref());
        out.optional(b'M', envelope.message_status.as_deref());
        out.record(b'F', &written_flags(envelope).to_letters());
        for (id, _) in envelope.macros.iter() {
            if self.persistent.contains(&id)
                && let Some(text) = envelope.macros.text(id)
            {
                out.record(b'$', &[self.names.written(id).as_slice(), text].concat());
            }
        }
        let sender = envelope.sender.envelope_name();
        out.record(b'S', if sender.is_empty() { b"<>" } else { sender });
        out.optional(b'Z', envelope.dsn.envid.as_deref());
        out.optional(b'A', envelope.auth_sender.as_deref());
        if let Some(by) = envelope.deliver_by {
            let value = [
                &[deliver_by_bits(by)],
                format!(" {}", by.seconds).as_bytes(),
            ]
            .concat();
            out.record(b'!', &value);
        }
    }

    /// Reads a control file.
    ///
    /// # Errors
    /// What is wrong, in the words of the log.
    pub fn parse(&self, text: &[u8]) -> Result<ParsedControlFile, ControlFileFault> {
        if text.is_empty() {
            return Err(ControlFileFault::Empty);
        }
        let mut reading = Reading::new(self);
        let mut records = RecordLines::new(text);
        while let Some((line, record)) = records.next() {
            if record.first() == Some(&b'.') {
                return match records.next() {
                    None => Ok(reading.finish()),
                    Some((_, extra)) => Err(bogus(extra)),
                };
            }
            reading.record(line, record)?;
        }
        Err(ControlFileFault::Incomplete)
    }
}

/// Adds the flags that follow from other fields.
fn written_flags(envelope: &Envelope) -> EnvelopeFlags {
    let mut flags = envelope.flags;
    if envelope.body_type == Some(BodyType::Binary) {
        flags.insert(EnvelopeFlags::BINARY);
    }
    if let Some(ret) = envelope.dsn.ret {
        flags.insert(EnvelopeFlags::RET_GIVEN);
        if ret == Return::Headers {
            flags.insert(EnvelopeFlags::NO_BODY_RETURN);
        }
    }
    flags
}

fn deliver_by_bits(by: DeliverBy) -> u8 {
    let mode = match by.mode {
        DeliverByMode::Notify => 1,
        DeliverByMode::Return => 2,
    };
    if by.trace { mode | 0x10 } else { mode }
}

fn write_recipient(
    recipient: &Recipient,
    letters: Vec<u8>,
    user: Vec<u8>,
    controlling: &mut Vec<u8>,
    out: &mut Records,
) {
    // Observed: only a server's word about this recipient alone is kept with it.
    if let RecipientState::Deferred(status) = &recipient.state
        && status.is_personal
    {
        let reason = status.waiting_because.as_ref().unwrap_or(&status.text);
        out.record(b'M', reason);
    }
    if user != *controlling {
        out.record(b'C', &user);
        *controlling = user;
    }
    if let Some(original) = &recipient.original {
        out.record(b'Q', original.as_bytes());
    }
    out.optional(b'r', recipient.final_address.as_deref());
    let mut value = letters;
    value.push(b':');
    value.extend_from_slice(&recipient.address);
    out.record(b'R', &value);
}

/// Gives the value of the `C` line that holds for a recipient; empty if nobody controls it.
///
/// Observed: where nobody does but an alias named it, `:alias`.
fn controlling_text(envelope: &Envelope, recipient: &Recipient) -> Vec<u8> {
    if let Some(user) = &recipient.controlling_user {
        let numbers = format!(":{}:{}:", user.uid, user.gid);
        return [&user.name, numbers.as_bytes(), &user.alias].concat();
    }
    let parent = || {
        let parent = envelope.recipients.get(recipient.expanded_from?)?;
        Some(&parent.address)
    };
    let alias = recipient.listed_in.as_ref().or_else(parent);
    alias.map_or(Vec::new(), |alias| [b":", alias.as_slice()].concat())
}

/// Gives the flags of an `R` line; nobody is warned that a report is late.
fn recipient_letters(recipient: &Recipient, is_response: bool) -> Vec<u8> {
    let notify = recipient.notify;
    let warns = notify.on_delay() && (!is_response || notify.was_given());
    let letters = [
        (recipient.primary, b'P'),
        (notify.was_given(), b'N'),
        (notify.on_success(), b'S'),
        (notify.on_failure(), b'F'),
        (warns, b'D'),
        (recipient.bcc, b'B'),
        (recipient.from_alias, b'A'),
    ];
    let set = letters.iter().filter(|(set, _)| *set);
    set.map(|(_, letter)| *letter).collect()
}

/// The text being written, one record a line.
struct Records(Vec<u8>);

impl Records {
    fn record(&mut self, letter: u8, value: &[u8]) {
        self.0.push(letter);
        let blank = |b: &u8| {
            if matches!(b, b'\r' | b'\n' | 0) {
                b' '
            } else {
                *b
            }
        };
        self.0.extend(value.iter().map(blank));
        self.0.push(b'\n');
    }

    fn number(&mut self, letter: u8, value: i64) {
        self.record(letter, value.to_string().as_bytes());
    }

    fn optional(&mut self, letter: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.record(letter, value);
        }
    }
}

/// Records of a text with the line numbers they begin at; continuation lines joined by LF.
struct RecordLines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> RecordLines<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            line: 0,
        }
    }
}

impl<'a> Iterator for RecordLines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let begins_at = self.line;
        let mut end = 0;
        loop {
            let tail = self.rest.get(end..)?;
            let Some(newline) = memchr::memchr(b'\n', tail) else {
                let record = self.rest;
                self.rest = &[];
                return Some((begins_at, record));
            };
            let next = end + newline + 1;
            let continues = matches!(self.rest.get(next), Some(b' ' | b'\t'));
            if !continues || newline == 0 {
                let record = self.rest.get(..next - 1)?;
                self.rest = self.rest.get(next..)?;
                return Some((begins_at, record));
            }
            self.line += 1;
            end = next;
        }
    }
}

/// The records read so far.
struct Reading<'f> {
    format: &'f ControlFileFormat,
    version: i64,
    envelope: Envelope,
    body_folder: Option<PathBuf>,
    complaints: Vec<String>,
    controlling: Option<ControllingUser>,
    /// The alias a `C` line names, also where it names no user.
    alias: Option<Vec<u8>>,
    original: Option<OriginalRecipient>,
    final_address: Option<Vec<u8>>,
}

impl<'f> Reading<'f> {
    fn new(format: &'f ControlFileFormat) -> Self {
        Self {
            format,
            version: 0,
            envelope: Envelope::default(),
            body_folder: None,
            complaints: Vec::new(),
            controlling: None,
            alias: None,
            original: None,
            final_address: None,
        }
    }

    fn record(&mut self, line: usize, record: &[u8]) -> Result<(), ControlFileFault> {
        let Some((&letter, value)) = record.split_first() else {
            return Err(bad_line(line, record));
        };
        let envelope = &mut self.envelope;
        match letter {
            b'V' => {
                self.version = number(value);
                if self.version > VERSION {
                    return Err(ControlFileFault::Version(self.version));
                }
            }
            b'T' => envelope.created = Timestamp::from_seconds(number(value)),
            b'K' => {
                let seconds = number(value);
                envelope.last_attempt = (seconds != 0).then(|| Timestamp::from_seconds(seconds));
            }
            b'N' => envelope.attempts = u32::try_from(number(value)).unwrap_or(0),
            b'P' => envelope.priority = number(value),
            b'B' => match BodyType::parse(value) {
                Some(body_type) => envelope.body_type = Some(body_type),
                None => return Err(bogus(record)),
            },
            b'M' => envelope.message_status = Some(one_line(value)),
            b'F' => self.flags(value),
            b'$' => self.macro_value(value),
            b'q' => envelope.quarantine = Some(one_line(value)),
            b'S' => envelope.sender.address = one_line(value),
            b'Z' => envelope.dsn.envid = Some(one_line(value)),
            b'A' => envelope.auth_sender = Some(one_line(value)),
            b'!' => envelope.deliver_by = deliver_by(value),
            b'd' => self.body_folder = Some(PathBuf::from(os_string(value))),
            b'C' => {
                self.controlling = controlling_user(value);
                let alias = value.rsplit(|&b| b == b':').next().unwrap_or_default();
                self.alias = (!alias.is_empty()).then(|| one_line(alias));
            }
            b'Q' => self.original = Some(OriginalRecipient::new(one_line(value))),
            b'r' => self.final_address = Some(one_line(value)),
            b'R' => return self.recipient(record, value),
            b'H' => {
                let bytes = header_record::size_of_record(record.len());
                envelope.size = envelope.size.saturating_add(bytes);
                match header_record::parse(value) {
                    Ok(field) => envelope.headers.push(field),
                    Err(fault) => self.complaints.push(fault.to_string()),
                }
            }
            // Where the body was (I), its old name (D), who gets errors (E) and the
            // content length (L) of older versions: tolerated, of no use to us.
            b'I' | b'D' | b'E' | b'L' => {}
            _ => return Err(bad_line(line, record)),
        }
        Ok(())
    }

    fn flags(&mut self, letters: &[u8]) {
        let flags = EnvelopeFlags::from_letters(letters);
        self.envelope.flags.insert(flags);
        if flags.contains(EnvelopeFlags::RET_GIVEN) {
            let headers_only = flags.contains(EnvelopeFlags::NO_BODY_RETURN);
            let ret = if headers_only {
                Return::Headers
            } else {
                Return::Full
            };
            self.envelope.dsn.ret = Some(ret);
        }
    }

    /// Takes a macro; one whose name this configuration does not know is of no use to it.
    fn macro_value(&mut self, value: &[u8]) {
        let (name, text) = match value.strip_prefix(b"{") {
            Some(long) => {
                let Some(end) = memchr::memchr(b'}', long) else {
                    return;
                };
                (long.get(..end), long.get(end + 1..))
            }
            None => (value.get(..1), value.get(1..)),
        };
        let (Some(name), Some(text)) = (name, text) else {
            return;
        };
        if let Some(id) = self.format.names.find(name) {
            self.envelope.macros.set_text(id, &one_line(text));
        }
    }

    fn recipient(&mut self, record: &[u8], value: &[u8]) -> Result<(), ControlFileFault> {
        let (letters, address) = if self.version == 0 {
            (&b"PFD"[..], value)
        } else {
            let colon = memchr::memchr(b':', value).ok_or_else(|| bogus(record))?;
            let (letters, rest) = value.split_at(colon);
            (letters, rest.get(1..).unwrap_or_default())
        };
        let has = |letter: u8| letters.contains(&letter);
        let when = NotifyWhen {
            success: has(b'S'),
            failure: has(b'F'),
            delay: has(b'D'),
        };
        let notify = match (has(b'N'), when.success || when.failure || when.delay) {
            (false, _) if when == USUAL_REPORTS => Notify::Default,
            (false, _) => Notify::Recorded(when),
            (true, true) => Notify::On(when),
            (true, false) => Notify::Never,
        };
        self.envelope.recipients.push(Recipient {
            primary: has(b'P'),
            bcc: has(b'B'),
            from_alias: has(b'A'),
            notify,
            controlling_user: self.controlling.clone(),
            listed_in: self.alias.clone(),
            original: self.original.take(),
            final_address: self.final_address.take(),
            ..Recipient::new(one_line(address))
        });
        Ok(())
    }

    fn finish(self) -> ParsedControlFile {
        let mut envelope = self.envelope;
        if envelope.flags.contains(EnvelopeFlags::BINARY) {
            envelope.flags.remove(EnvelopeFlags::BINARY);
            envelope.body_type = Some(BodyType::Binary);
        }
        envelope.hop_count = envelope.headers.hop_count();
        ParsedControlFile {
            complaints: self.complaints,
            envelope,
            body_folder: self.body_folder,
        }
    }
}

fn bad_line(line: usize, record: &[u8]) -> ControlFileFault {
    ControlFileFault::BadLine {
        line,
        text: printable(record),
    }
}

fn bogus(record: &[u8]) -> ControlFileFault {
    ControlFileFault::Bogus {
        text: printable(record),
    }
}

/// Longest piece of a damaged file that is quoted in the log.
const MAX_QUOTED: usize = 200;

fn printable(text: &[u8]) -> String {
    let plain = |&b: &u8| {
        if (0x20..0x7f).contains(&b) {
            char::from(b)
        } else {
            '?'
        }
    };
    text.iter().take(MAX_QUOTED).map(plain).collect()
}

/// Makes one line of a folded value.
fn one_line(value: &[u8]) -> Vec<u8> {
    let mut line = value.to_vec();
    for byte in &mut line {
        if matches!(*byte, b'\n' | b'\r' | 0) {
            *byte = b' ';
        }
    }
    line
}

fn deliver_by(value: &[u8]) -> Option<DeliverBy> {
    let (&bits, rest) = value.split_first()?;
    let mode = if bits & 2 != 0 {
        DeliverByMode::Return
    } else {
        DeliverByMode::Notify
    };
    Some(DeliverBy {
        seconds: number(rest),
        mode,
        trace: bits & 0x10 != 0,
    })
}

/// Reads `user:uid:gid:alias`; without numbers nobody can be held responsible.
fn controlling_user(value: &[u8]) -> Option<ControllingUser> {
    let mut parts = value.splitn(4, |&b| b == b':');
    let name = parts.next()?.to_vec();
    let numeric =
        |part: Option<&[u8]>| -> Option<u32> { std::str::from_utf8(part?).ok()?.parse().ok() };
    let uid = numeric(parts.next())?;
    let gid = numeric(parts.next())?;
    let alias = one_line(parts.next().unwrap_or_default());
    let home = PathBuf::new();
    (!name.is_empty()).then_some(ControllingUser {
        name,
        uid,
        gid,
        home,
        alias,
    })
}

fn os_string(value: &[u8]) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(value.to_vec())
}

#[cfg(test)]
mod tests;
