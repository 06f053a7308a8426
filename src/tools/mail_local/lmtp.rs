//! LMTP on standard input and output: one reply for each recipient (RFC 2033).
//!
//! Texts observed: 8.17.1.9. A message ends with the line end its client uses: whoever
//! ends DATA with CR LF ends the message with CR LF, dot, CR LF and with nothing else.

use std::io::{self, BufRead, Write};

use crate::smtp::dot::{Bare, DotDecoder, LineEnds, Progress};
use crate::sys::identity::{User, UserDatabase};
use crate::text::bytes::{eq_folded, starts_with_folded};
use crate::text::quoted::find_unquoted;

use super::mailbox::Failure;
use super::spool::{Spool, SpoolWriter};

/// The longest command, in bytes; of longer ones the rest is skipped.
const MAX_COMMAND: usize = 4_096;
/// Most recipients of one message: each is kept in memory until the message came.
const MAX_RECIPIENTS: usize = 10_000;

/// What may stand in a message, as far as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offers {
    /// 8BITMIME is offered.
    EightBit,
    /// It is not (`-7`).
    SevenBit,
}

/// What is done with a message.
pub trait Deliver {
    /// Begins to take a message in.
    fn begin(&self, sender: &[u8]) -> SpoolWriter<'_>;

    /// Delivers it to one user.
    ///
    /// # Errors
    /// Why it was not delivered.
    fn deliver(&self, user: &User, message: &Spool) -> Result<(), Failure>;
}

/// A session.
pub struct Session<'a> {
    name: &'a [u8],
    offers: Offers,
    users: &'a dyn UserDatabase,
    deliver: &'a dyn Deliver,
    has_greeted: bool,
    /// The sender of the message under way.
    sender: Option<Vec<u8>>,
    recipients: Vec<User>,
}

/// Whether the session goes on behind a command.
enum Next {
    Command,
    Message,
    End,
}

impl<'a> Session<'a> {
    /// Makes a session of the host `name`.
    pub fn new(
        name: &'a [u8],
        offers: Offers,
        users: &'a dyn UserDatabase,
        deliver: &'a dyn Deliver,
    ) -> Self {
        Session {
            name,
            offers,
            users,
            deliver,
            has_greeted: false,
            sender: None,
            recipients: Vec::new(),
        }
    }

    /// Serves until QUIT or the end of the input.
    ///
    /// # Errors
    /// The input could not be read or the output not be written.
    pub fn serve(&mut self, input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[b"220 ", self.name, b" LMTP ready\r\n"].concat())?;
        out.flush()?;
        while let Some(command) = read_command(input)? {
            let (next, reply) = self.answer(&command.text);
            out.write_all(&reply)?;
            out.flush()?;
            match next {
                Next::Command => {}
                Next::End => return Ok(()),
                Next::Message => {
                    let replies = self.message(input, command.end)?;
                    let Some(replies) = replies else {
                        return Ok(());
                    };
                    out.write_all(&replies)?;
                    out.flush()?;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, command: &[u8]) -> (Next, Vec<u8>) {
        let is = |verb: &[u8]| eq_folded(command, verb);
        let begins = |verb: &[u8]| starts_with_folded(command, verb);
        if is(b"quit") {
            return (Next::End, line("221 2.0.0 Bye"));
        }
        if is(b"data") {
            return match self.recipients.is_empty() {
                true => (Next::Command, line("503 5.5.1 No recipients")),
                false => (Next::Message, line("354 Go ahead")),
            };
        }
        let reply = if is(b"rset") {
            self.forget();
            line("250 2.0.0 Ok")
        } else if is(b"noop") {
            line("250 2.0.0 Ok")
        } else if begins(b"lhlo ") {
            self.greet()
        } else if begins(b"vrfy ") {
            line("252 2.3.3 Try RCPT to attempt delivery")
        } else if begins(b"mail ") {
            self.mail(command.get(b"mail ".len()..).unwrap_or(&[]))
        } else if begins(b"rcpt ") {
            self.rcpt(command.get(b"rcpt ".len()..).unwrap_or(&[]))
        } else {
            line("500 5.5.2 Syntax error")
        };
        (Next::Command, reply)
    }

    fn greet(&mut self) -> Vec<u8> {
        if self.has_greeted {
            return [b"503 ", self.name, b" Duplicate LHLO\r\n"].concat();
        }
        self.has_greeted = true;
        let eight_bit: &[u8] = match self.offers {
            Offers::EightBit => b"250-8BITMIME\r\n",
            Offers::SevenBit => b"",
        };
        let more = b"250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n";
        [b"250-", self.name, b"\r\n", eight_bit, more].concat()
    }

    fn mail(&mut self, argument: &[u8]) -> Vec<u8> {
        if self.sender.is_some() {
            return line("503 5.5.1 Nested MAIL command");
        }
        match path_of(argument, b"from:") {
            Some(path) => {
                self.sender = Some(without_route(path).to_vec());
                line("250 2.5.0 Ok")
            }
            None => line("501 5.5.4 Syntax error in parameters"),
        }
    }

    fn rcpt(&mut self, argument: &[u8]) -> Vec<u8> {
        if self.sender.is_none() {
            return line("503 5.5.1 Need MAIL command");
        }
        let Some(path) = path_of(argument, b"to:") else {
            return line("501 5.5.4 Syntax error in parameters");
        };
        if self.recipients.len() >= MAX_RECIPIENTS {
            return line("452 4.5.3 Too many recipients");
        }
        match self.users.user_by_name(&user_name(path)) {
            Ok(Some(user)) => {
                self.recipients.push(user);
                line("250 2.1.5 Ok")
            }
            Ok(None) => line("550 5.1.1 User unknown"),
            Err(_) => line("451 4.3.0 User database failure; retry later"),
        }
    }

    /// Takes the message in and delivers it; `None` when the input ended before the message.
    fn message(&mut self, input: &mut dyn BufRead, end: LineEnd) -> io::Result<Option<Vec<u8>>> {
        let sender = self.sender.clone().unwrap_or_default();
        let mut writer = self.deliver.begin(&sender);
        let mut decoder = DotDecoder::new(end.ends());
        let mut decoded = Vec::new();
        // What cannot be stored is read nevertheless: the client must see its end.
        let mut fault = None;
        loop {
            let piece = input.fill_buf()?;
            if piece.is_empty() {
                return Ok(None);
            }
            let (length, mut rest) = (piece.len(), piece);
            let progress = decoder.decode(&mut rest, &mut decoded);
            let taken = length - rest.len();
            input.consume(taken);
            if fault.is_none() {
                fault = writer.feed(&decoded).err();
            }
            decoded.clear();
            if progress == Progress::End {
                break;
            }
        }
        let message = match fault {
            None => writer.finish(),
            Some(error) => Err(error),
        };
        let recipients = std::mem::take(&mut self.recipients);
        self.forget();
        let mut replies = Vec::new();
        for user in &recipients {
            let reply = match &message {
                Ok(message) => match self.deliver.deliver(user, message) {
                    Ok(()) => [b"250 2.1.5 ", &user.name[..], b" Ok\r\n"].concat(),
                    Err(failure) => {
                        let code = failure.kind.code().as_bytes();
                        [code, b" ", &one_line(&failure.text), b"\r\n"].concat()
                    }
                },
                Err(_) => line("451 4.3.0 Temporary file write error"),
            };
            replies.extend_from_slice(&reply);
        }
        Ok(Some(replies))
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }
}

fn line(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\r\n"].concat()
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let shown = |octet: &u8| {
        if octet.is_ascii_control() {
            b'?'
        } else {
            *octet
        }
    };
    text.iter().map(shown).collect()
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    Lf,
}

impl LineEnd {
    fn ends(self) -> LineEnds {
        match self {
            LineEnd::CrLf => LineEnds {
                bare_cr: Bare::Take,
                // As a line end it could make a dot behind it an end of the message.
                bare_lf: Bare::Space,
                dot_before_lf_ends: false,
            },
            LineEnd::Lf => LineEnds::LOCAL,
        }
    }
}

struct Command {
    text: Vec<u8>,
    end: LineEnd,
}

/// Reads the next command; `None` at the end of the input.
fn read_command(input: &mut dyn BufRead) -> io::Result<Option<Command>> {
    let mut text = Vec::new();
    let limit = MAX_COMMAND as u64;
    if io::Read::take(&mut *input, limit).read_until(b'\n', &mut text)? == 0 {
        return Ok(None);
    }
    if text.pop_if(|last| *last == b'\n').is_none() {
        // Too long, or cut off: it is read to its end and understood by nobody.
        input.skip_until(b'\n')?;
        text.clear();
    }
    let end = match text.pop_if(|last| *last == b'\r') {
        Some(_) => LineEnd::CrLf,
        None => LineEnd::Lf,
    };
    Ok(Some(Command { text, end }))
}

/// Finds the path in `from:<path> parameters`.
fn path_of<'c>(argument: &'c [u8], word: &[u8]) -> Option<&'c [u8]> {
    if !starts_with_folded(argument, word) {
        return None;
    }
    let path = argument.get(word.len()..)?.strip_prefix(b"<")?;
    let end = find_unquoted(path, |octet| octet == b'>').ok().flatten()?;
    let (path, behind) = path.split_at(end);
    let behind = behind.get(1..)?;
    (behind.is_empty() || behind.starts_with(b" ")).then_some(path)
}

/// Drops a route in front of an address: `@a,@b:user@c`.
fn without_route(path: &[u8]) -> &[u8] {
    match path.first() {
        Some(b'@') => {
            let colon = path.iter().position(|&octet| octet == b':');
            colon.and_then(|at| path.get(at + 1..)).unwrap_or(path)
        }
        _ => path,
    }
}

/// Gives the name of the user: no route, no host, no detail behind `+`, no quotes.
fn user_name(path: &[u8]) -> Vec<u8> {
    let address = without_route(path);
    let end = find_unquoted(address, |octet| matches!(octet, b'@' | b'+'))
        .ok()
        .flatten();
    let local = address.get(..end.unwrap_or(address.len()));
    let mut name = Vec::new();
    let mut octets = local.unwrap_or(address).iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'"' => {}
            b'\\' => name.extend(octets.next()),
            _ => name.push(octet),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::FailureKind;
    use super::*;
    use crate::sys::identity::FixedUsers;
    use std::cell::RefCell;
    use std::path::Path;

    /// Keeps what is delivered.
    #[derive(Default)]
    struct Kept(RefCell<Vec<String>>);

    impl Deliver for Kept {
        fn begin(&self, sender: &[u8]) -> SpoolWriter<'_> {
            SpoolWriter::new(Path::new("/nonexistent"), sender, "DATE")
        }

        fn deliver(&self, user: &User, message: &Spool) -> Result<(), Failure> {
            if user.name == b"full" {
                return Err(Failure {
                    kind: FailureKind::Temporary,
                    text: b"Write box: No\nspace".to_vec(),
                });
            }
            let mut text = [&user.name[..], b"|"].concat();
            message.write_to(&mut text).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            self.0.borrow_mut().push(text);
            Ok(())
        }
    }

    /// Gives the replies behind the greeting, and what was delivered.
    fn talk(input: &[u8]) -> (String, Vec<String>) {
        let users = FixedUsers::new()
            .user("ann", 1_001)
            .user("bob", 1_002)
            .user("full", 1_003);
        let kept = Kept::default();
        let mut session = Session::new(b"mx", Offers::EightBit, &users, &kept);
        let mut out = Vec::new();
        session.serve(&mut &input[..], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap().replace("\r\n", "|");
        let text = text.strip_prefix("220 mx LMTP ready|").unwrap().to_owned();
        (text, kept.0.into_inner())
    }

    #[test]
    fn every_recipient_gets_a_reply() {
        let (said, kept) = talk(
            b"LHLO x\r\nMAIL FROM:<s@x> BODY=8BITMIME\r\nRCPT TO:<ann@h>\r\nRCPT TO:<no>\r\n\
              RCPT TO:bob\r\nRCPT TO:<full>\r\nrcpt to:<bob+detail@h> X=Y\r\nDATA\r\n\
              S: a\r\n\r\n..dot\r\nb\r\n.\r\nRCPT TO:<ann>\r\nQUIT\r\nNOOP\r\n",
        );
        assert_eq!(
            said,
            "250-mx|250-8BITMIME|250-ENHANCEDSTATUSCODES|250 PIPELINING|250 2.5.0 Ok|\
             250 2.1.5 Ok|550 5.1.1 User unknown|501 5.5.4 Syntax error in parameters|\
             250 2.1.5 Ok|250 2.1.5 Ok|354 Go ahead|250 2.1.5 ann Ok|\
             450 4.2.0 Write box: No?space|250 2.1.5 bob Ok|503 5.5.1 Need MAIL command|\
             221 2.0.0 Bye|"
        );
        let text = "From s@x DATE\nS: a\nContent-Length: 7\n\n.dot\nb\n\n";
        assert_eq!(kept, [format!("ann|{text}"), format!("bob|{text}")]);
    }

    #[test]
    fn commands_out_of_place_are_told() {
        for (input, wanted) in [
            ("HELO x\r\n", "500 5.5.2 Syntax error|"),
            (
                "NOOP x\r\n\r\nVRFY\r\n",
                "500 5.5.2 Syntax error|500 5.5.2 Syntax error|500 5.5.2 Syntax error|",
            ),
            (
                "VRFY x\r\nnoop\r\n",
                "252 2.3.3 Try RCPT to attempt delivery|250 2.0.0 Ok|",
            ),
            ("RCPT TO:<ann>\r\n", "503 5.5.1 Need MAIL command|"),
            ("DATA\r\n", "503 5.5.1 No recipients|"),
            (
                "MAIL FROM:<a>\r\nMAIL FROM:<a>\r\n",
                "250 2.5.0 Ok|503 5.5.1 Nested MAIL command|",
            ),
            (
                "MAIL FROM: <a>\r\n",
                "501 5.5.4 Syntax error in parameters|",
            ),
            (
                "MAIL FROM:<a>b\r\n",
                "501 5.5.4 Syntax error in parameters|",
            ),
            (
                "MAIL FROM:<a>\r\nRSET\r\nMAIL FROM:<>\r\n",
                "250 2.5.0 Ok|250 2.0.0 Ok|250 2.5.0 Ok|",
            ),
        ] {
            assert_eq!(talk(input.as_bytes()).0, wanted, "{input:?}");
        }
        let again = talk(b"LHLO a\r\nLHLO b\r\n").0;
        assert!(again.ends_with("|503 mx Duplicate LHLO|"), "{again}");
    }

    #[test]
    fn a_message_ends_with_the_line_end_of_its_client() {
        let smuggled = b"MAIL FROM:<a>\r\nRCPT TO:<ann>\r\nDATA\r\nx\n.\nRSET\n.\r\ny\r\n\
                         .\r\nQUIT\r\n";
        let (said, kept) = talk(smuggled);
        assert!(said.ends_with("250 2.1.5 ann Ok|221 2.0.0 Bye|"), "{said}");
        assert_eq!(kept.len(), 1);
        assert!(kept[0].contains("x . RSET .\ny\n"), "{kept:?}");
        let (said, kept) = talk(b"MAIL FROM:<a>\nRCPT TO:<ann>\nDATA\nx\n.\nQUIT\n");
        assert!(said.ends_with("250 2.1.5 ann Ok|221 2.0.0 Bye|"), "{said}");
        assert_eq!(kept.len(), 1);
        let cut_off = talk(b"MAIL FROM:<a>\r\nRCPT TO:<ann>\r\nDATA\r\nx\r\n").1;
        assert!(cut_off.is_empty());
    }

    #[test]
    fn names_are_taken_out_of_addresses() {
        for (path, wanted) in [
            ("ann@h", "ann"),
            ("@a,@b:ann@x", "ann"),
            ("ann+det@x", "ann"),
            ("\"a b\"@x", "a b"),
            ("\"a@b\\\"\"@x", "a@b\""),
            ("a\\@b@x", "a@b"),
            ("", ""),
        ] {
            assert_eq!(user_name(path.as_bytes()), wanted.as_bytes(), "{path:?}");
        }
        assert_eq!(
            path_of(b"TO:<\"a>b\"@x> Y", b"to:"),
            Some(&b"\"a>b\"@x"[..])
        );
        assert_eq!(path_of(b"TO:<ann", b"to:"), None);
    }

    #[test]
    fn overlong_commands_are_skipped() {
        let long = [&b"MAIL FROM:<"[..], &[b'm'; 10_000], b">\r\nNOOP\r\n"].concat();
        assert_eq!(talk(&long).0, "500 5.5.2 Syntax error|250 2.0.0 Ok|");
    }

    #[test]
    fn whatever_comes_in_nothing_panics() {
        let text = b"LHLO x\r\nMAIL FROM:<@a:\"b\\\"@c>\r\nRCPT TO:<ann+>\r\nDATA\r\n.\r\n";
        for position in 0..text.len() {
            for octet in [0, b'\r', b'\n', b'<', b'>', b'\\', b'"', b'@', b'.', 0xff] {
                let mut changed = text.to_vec();
                changed[position] = octet;
                let _ = talk(&changed);
            }
        }
    }
}
