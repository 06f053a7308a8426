//! What vacation reads of a message: who sent it, and whether it is for us alone.
//!
//! Source: vacation(1); observed: 8.17.1.9. That program compares the ends `-request`,
//! `-relay` and `-owner` one character off; here they count as its manual says. It also
//! answers other answering machines; here RFC 3834 section 2 holds.

use std::io::{self, BufRead, Read};

use crate::text::bytes::{ends_with_folded, eq_folded, starts_with_folded, trim};
use crate::text::quoted::find_unquoted;

/// The longest line that is looked at; what is behind it is skipped.
const MAX_LINE: usize = 64 << 10;

/// Senders that are programs.
const PROGRAMS: &[&[u8]] = &[b"postmaster", b"uucp", b"mailer-daemon", b"mailer"];
/// Senders that are lists begin with this
const LIST_BEGIN: &[u8] = b"owner-";
/// or end with one of these.
const LIST_ENDS: &[&[u8]] = &[b"-request", b"-relay", b"-owner"];

/// What the header of a message tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The sender of the line `From `; empty without one.
    pub sender: Vec<u8>,
    /// Whether one of our names is among the recipients.
    pub names_us: bool,
    /// Whether it came from a program or a list.
    pub is_automatic: bool,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub enum HeaderFault {
    /// A quote without end in the line `From `.
    BadSender,
    /// The system refused.
    Io(io::Error),
}

impl Incoming {
    /// Reads a header; `names` are those we have.
    ///
    /// # Errors
    /// [`HeaderFault`].
    pub fn read(input: &mut dyn BufRead, names: &[Vec<u8>]) -> Result<Incoming, HeaderFault> {
        let mut incoming = Incoming::default();
        let mut is_recipients = false;
        while let Some(line) = read_line(input).map_err(HeaderFault::Io)? {
            if line.is_empty() {
                break;
            }
            let goes_on = line.starts_with(b" ") || line.starts_with(b"\t");
            is_recipients = (goes_on && is_recipients)
                || starts_with_folded(&line, b"to:")
                || starts_with_folded(&line, b"cc:");
            if is_recipients {
                incoming.names_us |= names.iter().any(|name| has_name(&line, name));
            } else if let Some(rest) = line.strip_prefix(b"From ") {
                if incoming.sender.is_empty() {
                    incoming.sender = sender_of(rest)?;
                    incoming.is_automatic |= is_program(&incoming.sender);
                }
            } else if let Some(value) = value_of(&line, b"precedence") {
                let words: [&[u8]; 3] = [b"junk", b"bulk", b"list"];
                let is = |word: &&[u8]| starts_with_folded(value, word);
                incoming.is_automatic |= words.iter().any(is);
            } else if let Some(value) = value_of(&line, b"auto-submitted") {
                let end = value.iter().position(|octet| matches!(octet, b';' | b' '));
                let word = value.get(..end.unwrap_or(value.len()));
                incoming.is_automatic |= !eq_folded(word.unwrap_or(value), b"no");
            }
        }
        Ok(incoming)
    }
}

/// Reads a line without its end; `None` behind the last one.
fn read_line(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if Read::take(&mut *input, MAX_LINE as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() {
        input.skip_until(b'\n')?;
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(line))
}

/// Takes the sender, which ends at a blank that is not quoted.
fn sender_of(rest: &[u8]) -> Result<Vec<u8>, HeaderFault> {
    let end = find_unquoted(rest, |octet| octet == b' ').map_err(|_| HeaderFault::BadSender)?;
    Ok(rest
        .get(..end.unwrap_or(rest.len()))
        .unwrap_or(rest)
        .to_vec())
}

/// Gives the value of a field with this name, whatever is between name and colon.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    if !starts_with_folded(line, name) {
        return None;
    }
    let rest = trim(line.get(name.len()..)?);
    rest.strip_prefix(b":").map(trim)
}

/// Tells whether a name stands in a line as a word of its own.
fn has_name(line: &[u8], name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    let ends_word = |octet: Option<&u8>| !octet.is_some_and(u8::is_ascii_alphanumeric);
    line.windows(name.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).and_then(|at| line.get(at));
        eq_folded(window, name) && ends_word(before) && ends_word(line.get(at + name.len()))
    })
}

/// Tells whether a sender is a program, a list or nobody.
fn is_program(sender: &[u8]) -> bool {
    let end = sender.iter().position(|octet| matches!(octet, b'@' | b'%'));
    let local = sender.get(..end.unwrap_or(sender.len())).unwrap_or(sender);
    let start = local.iter().rposition(|&octet| octet == b'!');
    let local = start.and_then(|at| local.get(at + 1..)).unwrap_or(local);
    let local: Vec<u8> = local
        .iter()
        .copied()
        .filter(|&octet| octet != b'"')
        .collect();
    sender == b"<>"
        || PROGRAMS.iter().any(|name| eq_folded(&local, name))
        || starts_with_folded(&local, LIST_BEGIN)
        || LIST_ENDS.iter().any(|end| ends_with_folded(&local, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Incoming {
        Incoming::read(&mut text.as_bytes(), &[b"ann".to_vec(), b"allman".to_vec()]).unwrap()
    }

    #[test]
    fn our_names_are_looked_for_among_recipients() {
        for (line, wanted) in [
            ("To: ann@stage.test", true),
            ("cc:ANN", true),
            ("To: x\n\tAllman <q@r>", true),
            ("CC: x\n y\n ann", true),
            ("To: ann.b@x", true),
            ("To: x_ann", true),
            ("To: xann ann", true),
            ("To: joann, anna, 9ann, ann9, annann", false),
            ("Subject: x\n ann", false),
            ("To : ann", false),
            ("Delivered-To: ann", false),
            ("To: x\n\nTo: ann", false),
        ] {
            let text = format!("From b@x Mon\n{line}\n\nbody\n");
            assert_eq!(read(&text).names_us, wanted, "{line:?}");
        }
    }

    #[test]
    fn programs_and_lists_get_no_answer() {
        for sender in [
            "Postmaster",
            "postmaster@x",
            "a!postmaster@b",
            "postmaster%x",
            "\"postmaster\"@x",
            "uucp@x",
            "mailer",
            "MAILER-DAEMON@x",
            "owner-x@y",
            "OWNER-q",
            "bob-request@x",
            "bob-REQUEST",
            "a-relay@x",
            "x-owner@y",
            "\"q-request\"@x",
            "<>",
        ] {
            assert!(is_program(sender.as_bytes()), "{sender}");
        }
        for sender in [
            "bob@x",
            "xpostmaster@y",
            "postmasterx",
            "mailerx@y",
            "bob-requestx@y",
            "request",
            "x@owner-y",
            "xowner-q",
            "-x",
        ] {
            assert!(!is_program(sender.as_bytes()), "{sender}");
        }
    }

    #[test]
    fn fields_tell_what_is_automatic() {
        for (line, wanted) in [
            ("Precedence: bulk", true),
            ("PRECEDENCE: Junk", true),
            ("Precedence:list", true),
            ("Precedence : bulk", true),
            ("Precedence: first-class", false),
            ("X-Precedence: bulk", false),
            ("Precedence:\n bulk", false),
            ("Auto-Submitted: auto-replied", true),
            ("Auto-Submitted: auto-generated; x=y", true),
            ("Auto-Submitted: No", false),
            ("List-Id: x", false),
        ] {
            let text = format!("From b@x Mon\nTo: ann\n{line}\n\n");
            assert_eq!(read(&text).is_automatic, wanted, "{line:?}");
        }
    }

    #[test]
    fn the_sender_ends_at_a_blank() {
        for (line, wanted) in [
            ("From b@x Mon Jan", "b@x"),
            ("From b\r", "b"),
            ("From \"a b\"@x Mon", "\"a b\"@x"),
            ("From \"a\\\" b\"@x Mon", "\"a\\\" b\"@x"),
            ("From  b@x Mon", ""),
            (">From b@x", ""),
            ("X: y\nFrom b@x Mon\nFrom c@x Mon", "b@x"),
        ] {
            let sender = read(&format!("{line}\nTo: ann\n\n")).sender;
            assert_eq!(sender, wanted.as_bytes(), "{line:?}");
        }
        let open = Incoming::read(&mut &b"From \"a Mon\n\n"[..], &[]);
        assert!(matches!(open, Err(HeaderFault::BadSender)));
    }

    #[test]
    fn long_lines_and_odd_octets_do_no_harm() {
        let mut text = b"From b@x Mon\nTo: ".to_vec();
        text.extend(vec![b'x'; MAX_LINE * 2]);
        text.extend(b"\nCc: ann\n\n");
        let names = [b"ann".to_vec()];
        assert!(Incoming::read(&mut &text[..], &names).unwrap().names_us);
        for position in 0..60 {
            for octet in [0, b'"', b'\\', b'\n', b'\r', b' ', 0xff] {
                let mut changed =
                    b"From b@x Mon\nTo: ann\nPrecedence: bulk\nAuto-Submitted: x\n".to_vec();
                if let Some(place) = changed.get_mut(position) {
                    *place = octet;
                }
                let _ = Incoming::read(&mut &changed[..], &names);
            }
        }
    }
}
