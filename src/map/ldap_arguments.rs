//! What stands behind `ldap` on a K line: which server to ask, for what, and what to keep.
//!
//! Source: guide 5.9; texts, letters and quotes observed: 8.17.1.9.

use super::definition::DefinitionError;
use super::flags::{MapFlags, separator, skip_spaces};
use crate::ldap::message::{Deref, Scope};

/// Most attributes of a map, `objectClass` counted, which is always asked for.
const MAX_ATTRIBUTES: usize = 64;
/// The attribute that says of what classes an entry is.
pub(super) const OBJECT_CLASS: &[u8] = b"objectClass";
/// Versions of the protocol that can be chosen.
const VERSIONS: std::ops::RangeInclusive<i32> = 2..=3;

/// Which servers to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum LdapServers {
    /// This host.
    #[default]
    Own,
    /// `-h`: names, each with or without a port.
    Hosts(Vec<u8>),
    /// `-H`: URLs.
    Urls(Vec<u8>),
}

/// How to bind (`-M`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LdapMethod {
    /// With a name and a password.
    Simple,
    /// Not at all; the C library of the reference knows no such thing, and fails.
    None,
    /// With Kerberos 4, which is dead; the C library of the reference fails too.
    Kerberos,
}

/// What a value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LdapValue {
    /// A value of the map.
    Normal,
    /// The name of another entry.
    Name,
    /// A filter that finds other entries.
    Filter,
    /// A URL that finds other entries.
    Url,
}

/// An attribute to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapAttribute {
    /// Its name.
    pub name: Vec<u8>,
    /// What its values are.
    pub value: LdapValue,
    /// The classes of which an entry must be one for the attribute to count; none: any.
    pub classes: Vec<Vec<u8>>,
}

/// What only this class has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapDetails {
    /// `-h`, `-H`.
    pub servers: LdapServers,
    /// `-p`.
    pub port: Option<u16>,
    /// `-b`.
    pub base: Vec<u8>,
    /// `-s`.
    pub scope: Scope,
    /// `-r`.
    pub deref: Deref,
    /// `-w`.
    pub version: Option<i32>,
    /// `-l`, in seconds; 0: none.
    pub time_limit: i32,
    /// `-c`, in seconds; 0: the usual.
    pub network_timeout: i32,
    /// `-Z`; 0: none.
    pub size_limit: i32,
    /// Not `-R`.
    pub follows_referrals: bool,
    /// `-n`.
    pub names_only: bool,
    /// `-1`.
    pub single: bool,
    /// `-K`.
    pub takes_arguments: bool,
    /// `-k`.
    pub filter: Vec<u8>,
    /// `-v`.
    pub attributes: Vec<LdapAttribute>,
    /// `-V`.
    pub attribute_separator: Option<u8>,
    /// `-d`.
    pub account: Vec<u8>,
    /// `-M`.
    pub method: LdapMethod,
    /// `-P`.
    pub secret_file: Option<Vec<u8>>,
}

impl Default for LdapDetails {
    fn default() -> Self {
        LdapDetails {
            servers: LdapServers::Own,
            port: None,
            base: Vec::new(),
            scope: Scope::Subtree,
            deref: Deref::Never,
            version: None,
            time_limit: 0,
            network_timeout: 0,
            size_limit: 0,
            follows_referrals: true,
            names_only: false,
            single: false,
            takes_arguments: false,
            filter: Vec::new(),
            attributes: Vec::new(),
            attribute_separator: None,
            account: Vec::new(),
            method: LdapMethod::Simple,
            secret_file: None,
        }
    }
}

/// One flag: its letter, its value, and what the file says of both.
struct Flag<'a> {
    letter: u8,
    value: &'a [u8],
    /// What stands right behind the letter.
    raw: &'a [u8],
    written: &'a [u8],
}

/// The flags in front of the first word that is none.
struct Flags<'a>(&'a [u8]);

impl<'a> Iterator for Flags<'a> {
    type Item = Flag<'a>;

    fn next(&mut self) -> Option<Flag<'a>> {
        let start = skip_spaces(self.0);
        let (&letter, raw) = start.strip_prefix(b"-")?.split_first()?;
        let from = match letter {
            b'k' | b'v' | b'r' | b's' | b'h' | b'b' | b'p' | b'l' | b'd' | b'M' | b'P' | b'w'
            | b'H' | b'c' | b'Z' => skip_spaces(raw),
            // Of -V, -z and -S the next octet counts, be it a blank.
            _ => raw,
        };
        let quoted = from
            .strip_prefix(b"\"")
            .and_then(|inside| crate::text::bytes::split_once(inside, b'"'));
        let (value, rest) = match quoted {
            Some((value, rest)) => (value, rest),
            None => {
                let end = from.iter().position(u8::is_ascii_whitespace);
                from.split_at_checked(end.unwrap_or(from.len()))?
            }
        };
        let end = rest.iter().position(u8::is_ascii_whitespace);
        self.0 = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
        let written = start
            .get(..start.len().saturating_sub(self.0.len()))
            .unwrap_or_default();
        Some(Flag {
            letter,
            value,
            raw,
            written,
        })
    }
}

/// Reads the flags; those that all classes know go to `flags`.
///
/// Returns none when the map can never be opened; `errors` says why.
pub(super) fn read(
    name: &[u8],
    arguments: &[u8],
    flags: &mut MapFlags,
    errors: &mut Vec<DefinitionError>,
) -> Option<LdapDetails> {
    let mut details = LdapDetails::default();
    let mut has_filter = false;
    for flag in Flags(arguments) {
        if flag.letter == b'k' {
            has_filter = true;
        }
        match details.set(&flag, name, flags) {
            Ok(true) => {}
            Ok(false) => errors.push(DefinitionError::illegal_option(flag.letter, name)),
            Err(text) => {
                errors.push(DefinitionError::new(text));
                return None;
            }
        }
    }
    if !has_filter {
        let text = [b"No filter given in map ", name].concat();
        errors.push(DefinitionError::new(text));
        return None;
    }
    let list = flags.value_column.clone().unwrap_or_default();
    match details.read_attributes(&list, name) {
        Ok(()) => Some(details),
        Err(text) => {
            errors.push(DefinitionError::new(text));
            None
        }
    }
}

impl LdapDetails {
    /// Sets one flag; says whether the letter is known.
    fn set(&mut self, flag: &Flag<'_>, map: &[u8], flags: &mut MapFlags) -> Result<bool, Vec<u8>> {
        let value = flag.value;
        match flag.letter {
            b'k' => {
                self.filter = value.to_vec();
                flags.key_column = Some(value.to_vec());
            }
            b'v' => flags.value_column = Some(value.to_vec()),
            b'z' => flags.separator = separator(flag.raw),
            b'V' => self.attribute_separator = separator(flag.raw),
            b'S' => flags.space = flag.raw.first().copied(),
            b'h' | b'H' => {
                if self.servers != LdapServers::Own
                    && is_url(&self.servers) != (flag.letter == b'H')
                {
                    let text = b"Can not specify both an LDAP host and an LDAP URI in map ";
                    return Err([text, map].concat());
                }
                self.servers = match flag.letter {
                    b'h' => LdapServers::Hosts(value.to_vec()),
                    _ => LdapServers::Urls(value.to_vec()),
                };
            }
            // What is too great for a port is cut to one.
            b'p' => self.port = u16::try_from(number(value).rem_euclid(1 << 16)).ok(),
            b'b' => self.base = value.to_vec(),
            b's' => {
                let words = [
                    (&b"base"[..], Scope::Base),
                    (b"one", Scope::One),
                    (b"sub", Scope::Subtree),
                ];
                self.scope = begin_of(value, b"LDAP_SCOPE_", &words)
                    .ok_or_else(|| wrong(b"Scope must be [base|one|sub] (not ", value, map))?;
            }
            b'r' => {
                let words = [
                    (&b"never"[..], Deref::Never),
                    (b"always", Deref::Always),
                    (b"search", Deref::Search),
                    (b"find", Deref::Find),
                ];
                self.deref = begin_of(value, b"LDAP_DEREF_", &words).ok_or_else(|| {
                    wrong(
                        b"Deref must be [never|always|search|find] (not ",
                        value,
                        map,
                    )
                })?;
            }
            b'M' => {
                let words = [
                    (&b"none"[..], LdapMethod::None),
                    (b"simple", LdapMethod::Simple),
                    (b"krbv4", LdapMethod::Kerberos),
                ];
                self.method = begin_of(value, b"LDAP_AUTH_", &words).ok_or_else(|| {
                    wrong(
                        b"Method for binding must be [none|simple|krbv4] (not ",
                        value,
                        map,
                    )
                })?;
            }
            b'w' => self.version = Some(version(number(value), map)?),
            b'l' => self.time_limit = number(value),
            b'c' => self.network_timeout = number(value),
            b'Z' => self.size_limit = number(value),
            b'd' => self.account = value.to_vec(),
            b'P' => self.secret_file = Some(value.to_vec()),
            b'R' => self.follows_referrals = false,
            b'n' => self.names_only = true,
            b'1' => self.single = true,
            b'K' => self.takes_arguments = true,
            // Taken and forgotten.
            b'x' => {}
            b'A' | b'a' | b'D' | b'f' | b'm' | b'N' | b'O' | b'o' | b'q' | b'T' | b't' => {
                flags.set(flag.letter, value);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_attributes(&mut self, list: &[u8], map: &[u8]) -> Result<(), Vec<u8>> {
        for item in list.split(|&octet| octet == b',') {
            let item = item.trim_ascii();
            if item.is_empty() {
                continue;
            }
            if self.attributes.len() + 1 >= MAX_ATTRIBUTES {
                let text = format!(" (max {MAX_ATTRIBUTES})");
                let head = b"Too many return attributes in ".as_slice();
                return Err([head, map, text.as_bytes()].concat());
            }
            let mut parts = item.splitn(3, |&octet| octet == b':');
            let mut part = || parts.next().unwrap_or_default();
            let (name, kind, classes) = (part(), part(), part());
            if self
                .attributes
                .iter()
                .any(|known| known.name.eq_ignore_ascii_case(name))
            {
                return Err([b"Duplicate attribute (".as_slice(), name, b") in ", map].concat());
            }
            let value = match &*kind.to_ascii_lowercase() {
                b"" | b"normal" => LdapValue::Normal,
                b"dn" => LdapValue::Name,
                b"filter" => LdapValue::Filter,
                b"url" => LdapValue::Url,
                _ => {
                    let head = b"Unknown attribute type (".as_slice();
                    return Err([head, kind, b") in ", map].concat());
                }
            };
            let classes = match classes {
                b"" => Vec::new(),
                list => list
                    .split(|&octet| octet == b'|')
                    .map(<[u8]>::to_vec)
                    .collect(),
            };
            self.attributes.push(LdapAttribute {
                name: name.to_vec(),
                value,
                classes,
            });
        }
        let is_normal = |attribute: &LdapAttribute| attribute.value == LdapValue::Normal;
        let head = b"LDAP recursion requested in ".as_slice();
        let recurses = !self.attributes.iter().all(is_normal);
        if recurses && !self.attributes.iter().any(is_normal) {
            return Err([head, map, b" but no returnable attribute given"].concat());
        }
        if recurses && self.names_only {
            return Err([head, map, b" can not be used with -n"].concat());
        }
        Ok(())
    }
}

fn is_url(servers: &LdapServers) -> bool {
    matches!(servers, LdapServers::Urls(_))
}

/// Finds the word that `text` begins with, in any case and behind the prefix of the C library's
/// constants or without.
fn begin_of<T: Copy>(text: &[u8], prefix: &[u8], words: &[(&[u8], T)]) -> Option<T> {
    let begins = |text: &[u8], word: &[u8]| crate::text::bytes::starts_with_folded(text, word);
    let text = match begins(text, prefix) {
        true => text.get(prefix.len()..)?,
        false => text,
    };
    let found = words.iter().find(|(word, _)| begins(text, word));
    found.map(|&(_, meaning)| meaning)
}

fn wrong(text: &[u8], word: &[u8], map: &[u8]) -> Vec<u8> {
    [text, word, b") in map ", map].concat()
}

fn version(version: i32, map: &[u8]) -> Result<i32, Vec<u8>> {
    let (least, most) = (VERSIONS.start(), VERSIONS.end());
    let text = if version < *least {
        format!("LDAP version {version} is lower than min of {least} in map ")
    } else if version > *most {
        format!("LDAP version {version} exceeds max of {most} in map ")
    } else {
        return Ok(version);
    };
    Err([text.as_bytes(), map].concat())
}

/// Reads digits with a sign or without; what is no number is 0.
fn number(text: &[u8]) -> i32 {
    let end = text
        .iter()
        .skip(1)
        .position(|octet| !octet.is_ascii_digit())
        .map_or(text.len(), |at| at + 1);
    let digits = text.get(..end).unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// Reads option LDAPDefaultSpec: gives the flags that later maps begin with.
///
/// `errors` gets the texts the reference prints behind the place; there are no flags when
/// something is wrong.
pub fn default_flags(spec: &[u8], errors: &mut Vec<DefinitionError>) -> Vec<u8> {
    match read_default_flags(spec, errors) {
        Ok(flags) => flags,
        Err(text) => {
            errors.push(DefinitionError::new(text));
            Vec::new()
        }
    }
}

fn read_default_flags(spec: &[u8], errors: &mut Vec<DefinitionError>) -> Result<Vec<u8>, Vec<u8>> {
    let name = b"O LDAPDefaultSpec";
    let mut flags = MapFlags::default();
    let mut details = LdapDetails::default();
    let mut kept = Vec::new();
    let head = b"readcf: option LDAPDefaultSpec: Do not set ".as_slice();
    for flag in Flags(spec) {
        let text: &[u8] = match flag.letter {
            b'k' => b"the LDAP search filter",
            b'v' => b"the requested LDAP attributes",
            b'A' | b'a' | b'D' | b'f' | b'm' | b'N' | b'O' | b'o' | b'q' | b'T' | b't' | b'1' => {
                b"non-LDAP specific flags"
            }
            _ => b"",
        };
        if !text.is_empty() {
            return Err([head, text].concat());
        }
        let is_known = details.set(&flag, name, &mut flags)?;
        if !is_known {
            errors.push(DefinitionError::illegal_option(flag.letter, name));
        }
        // The delimiter and the blank belong to each map.
        if is_known && !matches!(flag.letter, b'z' | b'S') {
            kept.extend_from_slice(flag.written);
            kept.push(b' ');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(arguments: &str) -> (Option<LdapDetails>, MapFlags, Vec<String>) {
        let (mut flags, mut errors) = (MapFlags::default(), Vec::new());
        let details = read(b"m", arguments.as_bytes(), &mut flags, &mut errors);
        let texts = errors.iter().map(ToString::to_string).collect();
        (details, flags, texts)
    }

    #[test]
    fn values_may_stand_apart_and_in_quotes() {
        let line = "-h host -p 99 -k \"(&(uid=%0) (cn=*))\" -v mail -b\"o=a b\" -z, -V\\t -ax -1 -R word -o";
        let (details, flags, errors) = read_one(line);
        let details = details.unwrap();
        assert_eq!(details.servers, LdapServers::Hosts(b"host".to_vec()));
        assert_eq!(details.port, Some(99));
        assert_eq!(details.filter, b"(&(uid=%0) (cn=*))");
        assert_eq!(details.base, b"o=a b");
        assert_eq!(details.attribute_separator, Some(b'\t'));
        assert!(details.single && !details.follows_referrals);
        assert_eq!((flags.separator, flags.suffix), (Some(b','), b"x".to_vec()));
        assert!(!flags.optional && errors.is_empty());
        let (_, flags, _) = read_one("-k x -z -v mail");
        assert_eq!(flags.separator, Some(b' '));
    }

    #[test]
    fn attributes_have_types_and_classes() {
        let (details, ..) = read_one("-k x -v ,mail,member:DN:a|b,url:Url,");
        let attributes = details.unwrap().attributes;
        assert_eq!(attributes.len(), 3);
        assert_eq!(attributes[1].value, LdapValue::Name);
        assert_eq!(attributes[1].classes, [b"a", b"b"]);
        assert_eq!(attributes[2].value, LdapValue::Url);
    }

    #[test]
    fn defaults_are_flags_that_belong_to_the_directory() {
        let mut errors = Vec::new();
        let kept = default_flags(b"-h host -z, -b \"o=a b\" -Q -V: junk -w 3", &mut errors);
        assert_eq!(
            errors,
            [DefinitionError::illegal_option(b'Q', b"O LDAPDefaultSpec")]
        );
        assert_eq!(kept, b"-h host -b \"o=a b\" -V: ");
        for (spec, text) in [
            ("-m", "non-LDAP specific flags"),
            ("-k x", "the LDAP search filter"),
            ("-v x", "the requested LDAP attributes"),
        ] {
            let mut errors = Vec::new();
            assert_eq!(default_flags(spec.as_bytes(), &mut errors), b"");
            assert!(errors[0].text.ends_with(text.as_bytes()), "{spec}");
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, value) in [("5x", 5), ("", 0), ("-3", -3), ("x", 0), ("99999999999", 0)] {
            assert_eq!(number(text.as_bytes()), value, "{text}");
        }
    }
}
