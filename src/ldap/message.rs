//! Messages: the requests a map makes, and what a server sends.
//!
//! Source: RFC 4511 sections 4.1.1, 4.2 and 4.5; referrals of version 2 as OpenLDAP sends them.

use super::ber::{
    BOOLEAN, BerError, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, SET, put, put_number,
};

const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const ABANDON_REQUEST: u8 = 0x50;
/// A password that proves who binds.
const SIMPLE: u8 = 0x80;
/// The servers of a result that is a referral.
const REFERRALS: u8 = 0xa3;
/// What stands in front of the servers in the text of a result of version 2.
const REFERRALS_IN_TEXT: &[u8] = b"Referral:\n";

/// Most attributes of an entry, values of an attribute and servers of a referral that are read: a
/// few octets of a message make one.
pub const MAX_MEMBERS: usize = 10_000;

/// How deep below the base a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// What is right below it.
    One,
    /// It and all below.
    Subtree,
}

/// When aliases of the directory are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deref {
    /// Never.
    Never,
    /// Below the base.
    Search,
    /// To find the base.
    Find,
    /// Always.
    Always,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Where to begin.
    pub base: Vec<u8>,
    /// How deep to go.
    pub scope: Scope,
    /// When to follow aliases.
    pub deref: Deref,
    /// Most entries the server may give; 0: as many as it likes.
    pub size_limit: i32,
    /// Most seconds the server may take; 0: as many as it likes.
    pub time_limit: i32,
    /// Names of attributes are wanted, without their values.
    pub names_only: bool,
    /// What must be true of an entry, as [`super::filter::encode`] writes it.
    pub filter: Vec<u8>,
    /// The wanted attributes; none: all.
    pub attributes: Vec<Vec<u8>>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// Its attributes with their values.
    pub attributes: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code.
    pub code: i32,
    /// The servers to ask instead.
    pub referrals: Vec<Vec<u8>>,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// How binding ended.
    Bound(Outcome),
    /// An entry.
    Entry(Entry),
    /// Other servers may have more.
    Reference,
    /// How a search ended.
    Done(Outcome),
    /// Something nobody asked for.
    Other,
}

/// Writes a request to bind.
pub fn bind(id: i32, version: i32, name: &[u8], password: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    put_number(&mut content, INTEGER, version);
    put(&mut content, OCTETS, name);
    put(&mut content, SIMPLE, password);
    message(id, BIND_REQUEST, &content)
}

/// Writes the request that ends a connection.
pub fn unbind(id: i32) -> Vec<u8> {
    message(id, UNBIND_REQUEST, &[])
}

/// Writes a request to stop answering the request `other`.
pub fn abandon(id: i32, other: i32) -> Vec<u8> {
    let mut number = Vec::new();
    put_number(&mut number, ABANDON_REQUEST, other);
    let mut content = Vec::new();
    put_number(&mut content, INTEGER, id);
    content.extend_from_slice(&number);
    let mut out = Vec::new();
    put(&mut out, SEQUENCE, &content);
    out
}

/// Writes a question.
pub fn search(id: i32, search: &Search) -> Vec<u8> {
    let mut content = Vec::new();
    put(&mut content, OCTETS, &search.base);
    let scope = match search.scope {
        Scope::Base => 0,
        Scope::One => 1,
        Scope::Subtree => 2,
    };
    put_number(&mut content, ENUMERATED, scope);
    let deref = match search.deref {
        Deref::Never => 0,
        Deref::Search => 1,
        Deref::Find => 2,
        Deref::Always => 3,
    };
    put_number(&mut content, ENUMERATED, deref);
    put_number(&mut content, INTEGER, search.size_limit);
    put_number(&mut content, INTEGER, search.time_limit);
    let flag = if search.names_only { 0xff } else { 0 };
    put(&mut content, BOOLEAN, &[flag]);
    content.extend_from_slice(&search.filter);
    let mut names = Vec::new();
    for name in &search.attributes {
        put(&mut names, OCTETS, name);
    }
    put(&mut content, SEQUENCE, &names);
    message(id, SEARCH_REQUEST, &content)
}

fn message(id: i32, tag: u8, request: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    put_number(&mut content, INTEGER, id);
    put(&mut content, tag, request);
    let mut out = Vec::new();
    put(&mut out, SEQUENCE, &content);
    out
}

/// Reads the content of a message: the request it belongs to, and what it says.
///
/// # Errors
/// It is no message of the protocol, or one with more than [`MAX_MEMBERS`] of something.
pub fn read(content: &[u8]) -> Result<(i32, Response), BerError> {
    let mut reader = Reader::new(content);
    let id = reader.number(INTEGER)?;
    let (tag, inside) = reader.element()?;
    let response = match tag {
        BIND_RESPONSE => Response::Bound(outcome(inside)?),
        SEARCH_ENTRY => Response::Entry(entry(inside)?),
        SEARCH_DONE => Response::Done(outcome(inside)?),
        SEARCH_REFERENCE => Response::Reference,
        _ => Response::Other,
    };
    Ok((id, response))
}

fn outcome(content: &[u8]) -> Result<Outcome, BerError> {
    let mut reader = Reader::new(content);
    let code = reader.number(ENUMERATED)?;
    reader.expect(OCTETS)?;
    let text = reader.expect(OCTETS)?;
    let referrals = if reader.peek() == Some(REFERRALS) {
        strings(reader.inside(REFERRALS)?)?
    } else {
        referrals_in_text(text)
    };
    Ok(Outcome { code, referrals })
}

fn referrals_in_text(text: &[u8]) -> Vec<Vec<u8>> {
    let Some(lines) = text.strip_prefix(REFERRALS_IN_TEXT) else {
        return Vec::new();
    };
    lines
        .split(|&octet| octet == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(MAX_MEMBERS)
        .map(<[u8]>::to_vec)
        .collect()
}

fn entry(content: &[u8]) -> Result<Entry, BerError> {
    let mut reader = Reader::new(content);
    let name = reader.expect(OCTETS)?.to_vec();
    let mut list = reader.inside(SEQUENCE)?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        if attributes.len() >= MAX_MEMBERS {
            return Err(BerError::TooLong);
        }
        let mut attribute = list.inside(SEQUENCE)?;
        let name = attribute.expect(OCTETS)?.to_vec();
        attributes.push((name, strings(attribute.inside(SET)?)?));
    }
    Ok(Entry { name, attributes })
}

fn strings(mut reader: Reader<'_>) -> Result<Vec<Vec<u8>>, BerError> {
    let mut found = Vec::new();
    while !reader.is_empty() {
        if found.len() >= MAX_MEMBERS {
            return Err(BerError::TooLong);
        }
        found.push(reader.expect(OCTETS)?.to_vec());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let mut values = Vec::new();
        put(&mut values, OCTETS, b"a@x");
        put(&mut values, OCTETS, b"b@x");
        let mut attribute = Vec::new();
        put(&mut attribute, OCTETS, b"mail");
        put(&mut attribute, SET, &values);
        let mut attributes = Vec::new();
        put(&mut attributes, SEQUENCE, &attribute);
        let mut list = Vec::new();
        put(&mut list, OCTETS, b"uid=a,o=x");
        put(&mut list, SEQUENCE, &attributes);
        let mut content = Vec::new();
        put_number(&mut content, INTEGER, 2);
        put(&mut content, SEARCH_ENTRY, &list);
        content
    }

    #[test]
    fn requests_are_those_of_the_standard() {
        assert_eq!(
            bind(1, 3, b"", b""),
            b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"
        );
        assert_eq!(unbind(3), b"\x30\x05\x02\x01\x03\x42\x00");
        assert_eq!(abandon(3, 2), b"\x30\x06\x02\x01\x03\x50\x01\x02");
        let question = Search {
            base: b"o=x".to_vec(),
            scope: Scope::Subtree,
            deref: Deref::Always,
            size_limit: 0,
            time_limit: 5,
            names_only: false,
            filter: b"\x87\x03uid".to_vec(),
            attributes: vec![b"mail".to_vec()],
        };
        assert_eq!(
            search(2, &question),
            b"\x30\x26\x02\x01\x02\x63\x21\x04\x03o=x\x0a\x01\x02\x0a\x01\x03\x02\x01\x00\x02\x01\x05\
              \x01\x01\x00\x87\x03uid\x30\x06\x04\x04mail"
        );
    }

    #[test]
    fn entries_are_read_and_broken_ones_are_not() {
        let content = example();
        let (id, response) = read(&content).unwrap();
        let values = vec![b"a@x".to_vec(), b"b@x".to_vec()];
        let wanted = Entry {
            name: b"uid=a,o=x".to_vec(),
            attributes: vec![(b"mail".to_vec(), values)],
        };
        assert_eq!((id, response), (2, Response::Entry(wanted)));
        for end in 0..content.len() {
            assert!(read(&content[..end]).is_err(), "{end}");
        }
        // Whatever an octet becomes, reading comes to an end.
        for at in 0..content.len() {
            for octet in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = content.clone();
                broken[at] = octet;
                let _ = read(&broken);
            }
        }
    }

    #[test]
    fn referrals_are_read_in_both_versions() {
        let mut text = Vec::new();
        put_number(&mut text, ENUMERATED, 9);
        put(&mut text, OCTETS, b"");
        put(&mut text, OCTETS, b"Referral:\nldap://a/\nldap://b/");
        let found = outcome(&text).unwrap();
        assert_eq!(found.referrals, [b"ldap://a/", b"ldap://b/"]);
        let mut list = Vec::new();
        put_number(&mut list, ENUMERATED, 10);
        put(&mut list, OCTETS, b"");
        put(&mut list, OCTETS, b"");
        let mut server = Vec::new();
        put(&mut server, OCTETS, b"ldap://c/");
        put(&mut list, REFERRALS, &server);
        let found = outcome(&list).unwrap();
        assert_eq!(
            (found.code, found.referrals),
            (10, vec![b"ldap://c/".to_vec()])
        );
    }

    #[test]
    fn an_entry_of_too_many_parts_is_refused() {
        let mut values = Vec::new();
        for _ in 0..=MAX_MEMBERS {
            put(&mut values, OCTETS, b"");
        }
        assert_eq!(strings(Reader::new(&values)), Err(BerError::TooLong));
    }
}
