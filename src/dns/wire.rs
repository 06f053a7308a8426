//! DNS messages: one question out, one reply in.
//!
//! The format itself is the work of crate `domain`; this file decides what goes
//! into a question and which replies are believed. A reply must carry the id
//! and the question that were sent, otherwise it is somebody else's (or a
//! forgery) and the caller goes on listening.
//!
//! Entry points: [`compose`] and [`read_reply`]. Neither touches a socket.
//!
//! Source: RFC 1035 section 4, RFC 5452 section 9.1, RFC 6891.

use std::time::Duration;

use domain::base::iana::{Class, Rcode};
use domain::base::name::{Label, NameBuilder};
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, ToName};
use domain::rdata::AllRecordData;

use crate::dns::resolver::{Answer, Record, RecordData, RecordType};

/// Largest UDP reply we ask for with EDNS0, in octets; fits every path without fragments.
const EDNS_PAYLOAD: u16 = 1_232;

/// Longest time an answer is called fresh, whatever its owner says.
const MAX_TTL: Duration = Duration::from_secs(86_400);

/// What a question says besides the name and the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionFlags {
    /// RD: the server shall ask others.
    pub recursion_desired: bool,
    /// AD: we would like to know whether signatures were verified.
    pub authentic_data: bool,
    /// Add an OPT record (RFC 6891).
    pub edns: bool,
    /// DO in the OPT record.
    pub dnssec: bool,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerReply {
    /// Records, perhaps none.
    Records(Answer),
    /// The name does not exist.
    NoSuchName,
    /// The server could not find out, or does not want to say.
    ///
    /// The system library takes NOTIMP and REFUSED for a failure, too, and asks the next server.
    ServerFailure,
    /// Another code, or records that cannot be read where there ought to be some of the type.
    ///
    /// The reference takes these for a "no" and returns the mail; but a broken server says nothing
    /// about the name, and will be mended.
    Unusable,
    /// The reply did not fit; ask again over TCP.
    Truncated(Answer),
}

/// Turns a name with dots into the form of the wire.
///
/// `None` for an empty label, a label over 63 octets or a name over 255: such a name cannot exist.
pub fn to_wire_name(name: &[u8]) -> Option<Name<Vec<u8>>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() {
        return Some(Name::root_vec());
    }
    let mut builder = NameBuilder::new_vec();
    for label in name.split(|&byte| byte == b'.') {
        if label.is_empty() {
            return None;
        }
        builder.append_label(label).ok()?;
    }
    builder.into_name().ok()
}

/// Writes a question; `None` if the name cannot exist.
pub fn compose(id: u16, name: &[u8], kind: RecordType, flags: QuestionFlags) -> Option<Vec<u8>> {
    let name = to_wire_name(name)?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(flags.recursion_desired);
    builder.header_mut().set_ad(flags.authentic_data);
    let mut question = builder.question();
    question.push((&name, rtype(kind), Class::IN)).ok()?;
    if !flags.edns {
        return Some(question.finish());
    }
    let mut additional = question.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(EDNS_PAYLOAD);
            opt.set_dnssec_ok(flags.dnssec);
            Ok(())
        })
        .ok()?;
    Some(additional.finish())
}

/// Reads a reply to the question `id`, `name`, `kind`.
///
/// `None` if it is not the reply to that question or cannot be read at all.
pub fn read_reply(octets: &[u8], id: u16, name: &[u8], kind: RecordType) -> Option<ServerReply> {
    let message = Message::from_octets(octets).ok()?;
    let header = message.header();
    if header.id() != id || !header.qr() {
        return None;
    }
    let question = message.sole_question().ok()?;
    let asked = to_wire_name(name)?;
    if !question.qname().name_eq(&asked)
        || question.qtype() != rtype(kind)
        || question.qclass() != Class::IN
    {
        return None;
    }
    match header.rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Some(ServerReply::NoSuchName),
        Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED => {
            return Some(ServerReply::ServerFailure);
        }
        _ => return Some(ServerReply::Unusable),
    }
    let (answer, condition) = read_answer(&message, header.ad());
    Some(match condition {
        _ if header.tc() => ServerReply::Truncated(answer),
        Condition::Damaged if answer.of_type(kind).next().is_none() => ServerReply::Unusable,
        Condition::Damaged | Condition::Whole => ServerReply::Records(answer),
    })
}

/// Whether all records of an answer could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Whole,
    Damaged,
}

/// Reads the answer section as far as it can be read.
fn read_answer(message: &Message<&[u8]>, authenticated: bool) -> (Answer, Condition) {
    let mut answer = Answer {
        records: Vec::new(),
        authenticated,
    };
    let Ok(section) = message.answer() else {
        return (answer, Condition::Damaged);
    };
    let mut condition = Condition::Whole;
    for record in section {
        let Ok(record) = record else {
            condition = Condition::Damaged;
            break;
        };
        if record.class() != Class::IN {
            continue;
        }
        let name = name_text(&record.owner());
        let ttl = Duration::from_secs(u64::from(record.ttl().as_secs())).min(MAX_TTL);
        let number = record.rtype().to_int();
        let data = match record.to_any_record::<AllRecordData<_, ParsedName<_>>>() {
            Ok(parsed) => read_data(parsed.data(), number),
            Err(_) => {
                condition = Condition::Damaged;
                continue;
            }
        };
        answer.records.push(Record { name, ttl, data });
    }
    (answer, condition)
}

fn read_data(data: &AllRecordData<&[u8], ParsedName<&[u8]>>, number: u16) -> RecordData {
    match data {
        AllRecordData::A(a) => RecordData::A(a.addr()),
        AllRecordData::Aaaa(aaaa) => RecordData::Aaaa(aaaa.addr()),
        AllRecordData::Cname(cname) => RecordData::Cname(name_text(cname.cname())),
        AllRecordData::Ns(ns) => RecordData::Ns(name_text(ns.nsdname())),
        AllRecordData::Ptr(ptr) => RecordData::Ptr(name_text(ptr.ptrdname())),
        AllRecordData::Mx(mx) => RecordData::Mx {
            preference: mx.preference(),
            exchange: name_text(mx.exchange()),
        },
        AllRecordData::Txt(txt) => RecordData::Txt(txt.iter().flatten().copied().collect()),
        AllRecordData::Srv(srv) => RecordData::Srv {
            priority: srv.priority(),
            weight: srv.weight(),
            port: srv.port(),
            target: name_text(srv.target()),
        },
        AllRecordData::Unknown(other) if number == RecordType::Afsdb as u16 => {
            read_afsdb(other.data()).unwrap_or(RecordData::Other(number))
        }
        _ => RecordData::Other(number),
    }
}

/// Reads an AFSDB record (RFC 1183 section 1); a compressed name in it is not followed.
fn read_afsdb(octets: &[u8]) -> Option<RecordData> {
    let (subtype, name) = octets.split_at_checked(2)?;
    let host = Name::from_slice(name).ok()?;
    Some(RecordData::Afsdb {
        subtype: u16::from_be_bytes([*subtype.first()?, *subtype.get(1)?]),
        host: name_text(host),
    })
}

/// Writes a name with dots, odd octets escaped as glibc does; the root is the empty name.
fn name_text(name: &(impl ToName + ?Sized)) -> Vec<u8> {
    let mut text = Vec::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push(b'.');
        }
        label_text(label, &mut text);
    }
    text
}

fn label_text(label: &Label, text: &mut Vec<u8>) {
    for &octet in label.as_slice() {
        match octet {
            b'.' | b'"' | b';' | b'\\' | b'(' | b')' | b'@' | b'$' => {
                text.extend_from_slice(&[b'\\', octet]);
            }
            0x21..=0x7e => text.push(octet),
            _ => text.extend_from_slice(format!("\\{octet:03}").as_bytes()),
        }
    }
}

fn rtype(kind: RecordType) -> Rtype {
    Rtype::from_int(kind as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: QuestionFlags = QuestionFlags {
        recursion_desired: true,
        authentic_data: false,
        edns: false,
        dnssec: false,
    };

    fn reply_with_mx() -> Vec<u8> {
        let question = compose(7, b"example.org", RecordType::Mx, PLAIN).unwrap();
        let question = Message::from_octets(question).unwrap();
        let name = to_wire_name(b"example.org").unwrap();
        let mut answer = MessageBuilder::new_vec()
            .start_answer(&question, Rcode::NOERROR)
            .unwrap();
        for (preference, host) in [(10, "mx1.example.org"), (20, "mx2.example.org")] {
            let exchange = to_wire_name(host.as_bytes()).unwrap();
            answer
                .push((&name, 300, domain::rdata::Mx::new(preference, exchange)))
                .unwrap();
        }
        answer.finish()
    }

    #[test]
    fn a_reply_is_read_and_a_foreign_one_is_not() {
        let octets = reply_with_mx();
        let Some(ServerReply::Records(answer)) =
            read_reply(&octets, 7, b"EXAMPLE.org.", RecordType::Mx)
        else {
            panic!("reply not read");
        };
        assert_eq!(answer.records.len(), 2);
        assert_eq!(
            answer.records[0].data,
            RecordData::Mx {
                preference: 10,
                exchange: b"mx1.example.org".to_vec()
            }
        );
        assert_eq!(read_reply(&octets, 8, b"example.org", RecordType::Mx), None);
        assert_eq!(read_reply(&octets, 7, b"example.com", RecordType::Mx), None);
        assert_eq!(read_reply(&octets, 7, b"example.org", RecordType::A), None);
    }

    #[test]
    fn only_a_clean_no_is_taken_for_one() {
        let read = |octets: &[u8]| read_reply(octets, 7, b"example.org", RecordType::Mx);
        let question = compose(7, b"example.org", RecordType::Mx, PLAIN).unwrap();
        for (code, meaning) in [
            (1, ServerReply::Unusable),
            (2, ServerReply::ServerFailure),
            (3, ServerReply::NoSuchName),
            (4, ServerReply::ServerFailure),
            (5, ServerReply::ServerFailure),
            (6, ServerReply::Unusable),
            (15, ServerReply::Unusable),
        ] {
            let mut octets = question.clone();
            octets[2] |= 0x80;
            octets[3] |= code;
            assert_eq!(read(&octets), Some(meaning), "{code}");
        }
        let whole = reply_with_mx();
        // Told of two records, the reply ends before the first one or within the second.
        assert_eq!(read(&whole[..question.len()]), Some(ServerReply::Unusable));
        let Some(ServerReply::Records(half)) = read(&whole[..whole.len() - 3]) else {
            panic!("the first record was not read");
        };
        assert_eq!(half.records.len(), 1);
    }

    #[test]
    fn names_that_cannot_exist_are_not_asked() {
        assert!(compose(1, b"a..b", RecordType::A, PLAIN).is_none());
        assert!(compose(1, &[b'x'; 64], RecordType::A, PLAIN).is_none());
        let long = b"abcdefg.".repeat(40);
        assert!(compose(1, &long, RecordType::A, PLAIN).is_none());
        assert!(compose(1, b"a.b.", RecordType::A, PLAIN).is_some());
    }

    #[test]
    fn odd_octets_in_names_are_escaped() {
        let mut text = Vec::new();
        label_text(Label::from_slice(b"a.b c\\").unwrap(), &mut text);
        assert_eq!(text, b"a\\.b\\032c\\\\");
    }

    #[test]
    fn an_opt_record_follows_the_question_on_request() {
        let flags = QuestionFlags {
            edns: true,
            ..PLAIN
        };
        let plain = compose(1, b"a.b", RecordType::A, PLAIN).unwrap();
        let with_opt = compose(1, b"a.b", RecordType::A, flags).unwrap();
        assert_eq!(with_opt.len(), plain.len() + 11);
    }

    #[test]
    fn mutated_replies_never_panic() {
        let good = reply_with_mx();
        for position in 0..good.len() {
            for value in [0u8, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bad = good.clone();
                bad[position] = value;
                let _ = read_reply(&bad, 7, b"example.org", RecordType::Mx);
            }
            let _ = read_reply(&good[..position], 7, b"example.org", RecordType::Mx);
        }
    }
}
