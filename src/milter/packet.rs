//! Packets: four octets of length, a letter, and data.
//!
//! What a filter sends is foreign: an answer that is not understood is a value, never a fault
//! of ours, and nothing in it is trusted to be there.
//!
//! Source: libmilter 1.0.1 (include/libmilter/mfdef.h).

/// Most data octets of one packet that libmilter sends or takes unless told otherwise.
///
/// Source: libmilter, MILTER_CHUNK_SIZE.
pub const CHUNK: usize = 65_535;

/// Longest packet taken from a filter, letter included.
///
/// Twice the largest size filters can ask for (`SMFIP_MDS_1M`); the reference takes what is announced.
pub const MAX_ANSWER: usize = 2 * 1_048_576;

/// Letters of what we send.
pub mod command {
    /// A message is given up; the connection goes on.
    pub const ABORT: u8 = b'A';
    /// A piece of the body.
    pub const BODY: u8 = b'B';
    /// Who connected.
    pub const CONNECT: u8 = b'C';
    /// Macros for the command that follows.
    pub const MACROS: u8 = b'D';
    /// The message is complete.
    pub const END_OF_MESSAGE: u8 = b'E';
    /// HELO or EHLO.
    pub const HELO: u8 = b'H';
    /// One header field.
    pub const HEADER: u8 = b'L';
    /// MAIL.
    pub const MAIL: u8 = b'M';
    /// The header is complete.
    pub const END_OF_HEADER: u8 = b'N';
    /// What we can do.
    pub const NEGOTIATE: u8 = b'O';
    /// The client has gone.
    pub const QUIT: u8 = b'Q';
    /// RCPT.
    pub const RECIPIENT: u8 = b'R';
    /// DATA.
    pub const DATA: u8 = b'T';
    /// A command nobody knows.
    pub const UNKNOWN: u8 = b'U';
}

/// What a filter answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Continue,
    /// Take it, and do not ask this filter again.
    Accept,
    /// Refuse.
    Reject,
    /// Refuse for now.
    TempFail,
    /// Say yes and throw the message away.
    Discard,
    /// Nothing more of this kind is wanted.
    Skip,
    /// Still working.
    Progress,
    /// Refuse with this reply: text of one or more lines.
    Reply(Vec<u8>),
    /// Change the message.
    Edit(Edit),
    /// An edit that is not well formed: passed over. Observed: 8.17.1.9.
    Malformed(u8),
    /// A letter nobody knows.
    Unknown(u8),
}

/// What a filter wants changed at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Add a header field.
    AddHeader {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Insert a header field at a place.
    InsertHeader {
        /// Which place, as sent.
        at: i32,
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Change the n-th header field of a name; an empty value takes it away.
    ChangeHeader {
        /// Which of those of this name, from 1.
        number: i32,
        /// Its name.
        name: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Add a recipient.
    AddRecipient {
        /// The address.
        address: Vec<u8>,
        /// ESMTP parameters, `None` where the command without them was used.
        parameters: Option<Vec<u8>>,
    },
    /// Take a recipient away.
    DeleteRecipient(Vec<u8>),
    /// Another sender.
    ChangeSender {
        /// The address.
        address: Vec<u8>,
        /// ESMTP parameters.
        parameters: Option<Vec<u8>>,
    },
    /// A piece of a new body.
    ReplaceBody(Vec<u8>),
    /// Hold the message.
    Quarantine(Vec<u8>),
}

/// Writes a packet.
pub fn encode(letter: u8, data: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = data.iter().map(|piece| piece.len()).sum::<usize>() + 1;
    // What is sent is cut to size before; a length past 32 bits cannot come here.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(letter);
    for piece in data {
        out.extend_from_slice(piece);
    }
}

impl Answer {
    /// Reads an answer.
    pub fn parse(letter: u8, data: &[u8]) -> Answer {
        let edit = match letter {
            b'c' => return Answer::Continue,
            b'a' => return Answer::Accept,
            b'r' => return Answer::Reject,
            b't' => return Answer::TempFail,
            b'd' => return Answer::Discard,
            b's' => return Answer::Skip,
            b'p' => return Answer::Progress,
            b'y' => return Answer::Reply(reply_text(data)),
            b'h' => add_header(data),
            b'i' => numbered(data).map(|(at, name, value)| Edit::InsertHeader { at, name, value }),
            b'm' => numbered(data).map(|(number, name, value)| Edit::ChangeHeader {
                number,
                name,
                value,
            }),
            b'+' => one_string(data).map(|address| Edit::AddRecipient {
                address,
                parameters: None,
            }),
            b'2' => address_and_parameters(data).map(|(address, parameters)| {
                let parameters = Some(parameters.unwrap_or_default());
                Edit::AddRecipient {
                    address,
                    parameters,
                }
            }),
            b'-' => one_string(data).map(Edit::DeleteRecipient),
            b'e' => address_and_parameters(data).map(|(address, parameters)| Edit::ChangeSender {
                address,
                parameters,
            }),
            b'b' => Some(Edit::ReplaceBody(data.to_vec())),
            b'q' => Some(Edit::Quarantine(up_to_nul(data).to_vec())),
            other => return Answer::Unknown(other),
        };
        edit.map_or(Answer::Malformed(letter), Answer::Edit)
    }
}

/// Takes the text of a reply, or the usual refusal where it cannot be one.
///
/// Observed: 8.17.1.9 wants a 4 or a 5 and two digits more, and takes no text with a percent sign.
fn reply_text(data: &[u8]) -> Vec<u8> {
    let text = up_to_nul(data);
    let is_code = matches!(text, [b'4' | b'5', tens, ones, ..]
        if tens.is_ascii_digit() && ones.is_ascii_digit());
    if is_code && !text.contains(&b'%') {
        text.to_vec()
    } else {
        b"550 5.7.1 Command rejected".to_vec()
    }
}

fn up_to_nul(data: &[u8]) -> &[u8] {
    data.split(|octet| *octet == 0).next().unwrap_or(b"")
}

/// Takes `text NUL` and nothing else.
fn one_string(data: &[u8]) -> Option<Vec<u8>> {
    let text = data.strip_suffix(b"\0")?;
    (!text.is_empty() && !text.contains(&0)).then(|| text.to_vec())
}

/// Takes `name NUL value NUL` and nothing else.
fn pair(data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut pieces = data.strip_suffix(b"\0")?.split(|octet| *octet == 0);
    let (name, value) = (pieces.next()?, pieces.next()?);
    (!name.is_empty() && pieces.next().is_none()).then(|| (name.to_vec(), value.to_vec()))
}

fn add_header(data: &[u8]) -> Option<Edit> {
    pair(data).map(|(name, value)| Edit::AddHeader { name, value })
}

fn numbered(data: &[u8]) -> Option<(i32, Vec<u8>, Vec<u8>)> {
    let (number, rest) = data.split_first_chunk::<4>()?;
    let (name, value) = pair(rest)?;
    Some((i32::from_be_bytes(*number), name, value))
}

/// Takes `address NUL`, or `address NUL parameters NUL`.
fn address_and_parameters(data: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let at = data
        .iter()
        .position(|octet| *octet == 0)
        .filter(|at| *at > 0)?;
    let (address, rest) = data.split_at(at);
    // What lacks its end is no parameter. Observed: 8.17.1.9.
    let parameters = rest.get(1..).and_then(|rest| rest.strip_suffix(b"\0"));
    let parameters = parameters.filter(|text| !text.is_empty() && !text.contains(&0));
    Some((address.to_vec(), parameters.map(<[u8]>::to_vec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_length_letter_and_data() {
        let mut out = Vec::new();
        encode(command::HELO, &[b"there", b"\0"], &mut out);
        assert_eq!(out, b"\0\0\0\x07Hthere\0");
    }

    #[test]
    fn replies_are_believed_only_if_they_refuse() {
        for (text, expected) in [
            (&b"550 5.7.9 my text\0"[..], &b"550 5.7.9 my text"[..]),
            (
                b"451-4.7.1 a\r\n451 4.7.1 b\0",
                b"451-4.7.1 a\r\n451 4.7.1 b",
            ),
            (b"550\0", b"550"),
            (b"250 2.0.0 ok\0", b"550 5.7.1 Command rejected"),
            (b"55\0", b"550 5.7.1 Command rejected"),
            (b"", b"550 5.7.1 Command rejected"),
            (b"550 5.7.1 a%b\0", b"550 5.7.1 Command rejected"),
        ] {
            assert_eq!(Answer::parse(b'y', text), Answer::Reply(expected.to_vec()));
        }
    }

    #[test]
    fn header_edits_need_both_ends_of_both_strings() {
        let edit = Answer::parse(b'h', b"X-New\0v\0");
        let (name, value) = (b"X-New".to_vec(), b"v".to_vec());
        assert_eq!(edit, Answer::Edit(Edit::AddHeader { name, value }));
        for data in [
            &b""[..],
            b"X-New",
            b"X-New\0",
            b"X-New\0v",
            b"X-New\0v\0w\0",
            b"\0v\0",
        ] {
            assert_eq!(
                Answer::parse(b'h', data),
                Answer::Malformed(b'h'),
                "{data:?}"
            );
        }
        let edit = Answer::parse(b'm', b"\xff\xff\xff\xffX\0\0");
        let (name, value) = (b"X".to_vec(), Vec::new());
        let number = -1;
        assert_eq!(
            edit,
            Answer::Edit(Edit::ChangeHeader {
                number,
                name,
                value
            })
        );
        assert_eq!(Answer::parse(b'i', b"\0\0"), Answer::Malformed(b'i'));
    }

    #[test]
    fn addresses_may_have_parameters() {
        let address = b"<a@b>".to_vec();
        let with = |parameters: &[u8]| {
            let parameters = Some(parameters.to_vec());
            let address = address.clone();
            Answer::Edit(Edit::AddRecipient {
                address,
                parameters,
            })
        };
        assert_eq!(Answer::parse(b'2', b"<a@b>\0X=1\0"), with(b"X=1"));
        assert_eq!(Answer::parse(b'2', b"<a@b>\0"), with(b""));
        assert_eq!(Answer::parse(b'2', b"<a@b>\0X=1"), with(b""));
        assert_eq!(Answer::parse(b'2', b"<a@b>"), Answer::Malformed(b'2'));
        assert_eq!(Answer::parse(b'+', b"<a@b>"), Answer::Malformed(b'+'));
        assert_eq!(Answer::parse(b'+', b"\0"), Answer::Malformed(b'+'));
        assert_eq!(Answer::parse(b'e', b""), Answer::Malformed(b'e'));
    }

    #[test]
    fn nothing_a_filter_sends_is_a_panic() {
        let seeds: [&[u8]; 4] = [b"", b"\0", b"a\0b\0", b"\0\0\0\x01a\0b\0"];
        for letter in 0..=255 {
            for seed in seeds {
                for cut in 0..=seed.len() {
                    let _ = Answer::parse(letter, &seed[..cut]);
                }
            }
        }
    }
}
