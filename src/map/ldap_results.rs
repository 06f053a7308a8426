//! From the entries a directory finds to the one value of a map.
//!
//! Without a delimiter (`-z`) the first value of the first wanted attribute is the value of the
//! map; with one all values of all entries are joined. A value may be a question of its own (types
//! DN, FILTER and URL of `-v`): those are asked afterwards, in the order of their texts, and no
//! entry counts twice.
//!
//! Source: guide 5.9; order, limits of `-1` and results observed: 8.17.1.9.

use std::collections::BTreeMap;

use super::ldap_arguments::{LdapAttribute, LdapDetails, LdapValue, OBJECT_CLASS};
use crate::ldap::client::Next;
use crate::ldap::filter::encode;
use crate::ldap::message::{Entry, Search};
use crate::ldap::url;
use crate::ldap::words::{FILTER_ERROR, SUCCESS};

/// Longest value of a map: what goes on from here is held in memory several times.
const MAX_VALUE: usize = 1 << 20;
/// Most questions that follow from one.
const MAX_QUESTIONS: usize = 1_000;
/// Most names, filters and URLs that are remembered.
const MAX_KNOWN: usize = 100_000;
/// Codes of the protocol for too much of something.
const ADMINISTRATIVE_LIMIT: i32 = 11;
const TOO_LARGE: i32 = 70;
/// Code of the C library for a URL that is none.
const PARAMETER_ERROR: i32 = -9;

/// A filter that every entry passes.
const ANY_ENTRY: &[u8] = b"(objectClass=*)";

/// Asks a directory.
pub(super) trait Directory {
    /// Asks, and hands every entry to `take`; returns the result code.
    ///
    /// # Errors
    /// The code of what went wrong on the way.
    fn search(&mut self, search: &Search, take: &mut dyn FnMut(Entry) -> Next) -> Result<i32, i32>;
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The directory said so, or cannot be asked any more.
    Code(i32),
    /// An entry has an attribute the map did not ask for. The reference gives up on it.
    Attribute,
}

/// Whether an entry was found, and the value that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// There was an entry with a wanted attribute, or just an entry when that is all that counts.
    pub is_found: bool,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// What a map wants of the entries.
#[derive(Clone, Copy)]
pub(super) struct Wishes<'a> {
    pub details: &'a LdapDetails,
    /// `-m`.
    pub match_only: bool,
    /// `-z`.
    pub delimiter: Option<u8>,
}

/// Asks `directory`, and what follows from its answer.
///
/// # Errors
/// Something went wrong with one of the questions.
pub(super) fn look_up(
    directory: &mut dyn Directory,
    search: &Search,
    wishes: Wishes<'_>,
) -> Result<Found, Fault> {
    let mut gathering = Gathering {
        wishes,
        value: None,
        known: BTreeMap::new(),
    };
    let is_found = gathering.ask(directory, search, false)?;
    for _ in 0..MAX_QUESTIONS {
        let Some((kind, text)) = gathering.next_question() else {
            return Ok(Found {
                is_found,
                value: gathering.value,
            });
        };
        let (question, takes_all) = follow(kind, &text, search)?;
        gathering.ask(directory, &question, takes_all)?;
        gathering.known.insert(key(kind, &text), (text, true));
    }
    Err(Fault::Code(ADMINISTRATIVE_LIMIT))
}

/// Makes a question out of a value; says whether attributes nobody asked for count too.
fn follow(kind: LdapValue, text: &[u8], first: &Search) -> Result<(Search, bool), Fault> {
    let filter = |text: &[u8]| encode(text).map_err(|_| Fault::Code(FILTER_ERROR));
    let mut question = first.clone();
    match kind {
        LdapValue::Name | LdapValue::Normal => {
            question.base = text.to_vec();
            question.filter = filter(ANY_ENTRY)?;
            Ok((question, false))
        }
        LdapValue::Filter => {
            question.filter = filter(text)?;
            Ok((question, false))
        }
        LdapValue::Url => {
            // The server it may name is not asked; the one at hand is. Observed: 8.17.1.9.
            let url = url::parse(text).ok_or(Fault::Code(PARAMETER_ERROR))?;
            question.base = url.base;
            question.attributes = url.attributes;
            question.names_only = false;
            question.filter = filter(url.filter.as_deref().unwrap_or(ANY_ENTRY))?;
            question.scope = url.scope.unwrap_or(crate::ldap::message::Scope::Base);
            Ok((question, true))
        }
    }
}

/// A question, in the order questions are asked. Texts differ not by the case of their letters.
type Key = (Vec<u8>, LdapValue);

fn key(kind: LdapValue, text: &[u8]) -> Key {
    (text.to_ascii_lowercase(), kind)
}

/// What is known so far.
struct Gathering<'a> {
    wishes: Wishes<'a>,
    value: Option<Vec<u8>>,
    /// Questions and entries, and whether they are dealt with.
    known: BTreeMap<Key, (Vec<u8>, bool)>,
}

impl Gathering<'_> {
    fn next_question(&self) -> Option<(LdapValue, Vec<u8>)> {
        let mut open = self.known.iter().filter(|(_, (_, is_done))| !is_done);
        open.next().map(|(key, (text, _))| (key.1, text.clone()))
    }

    fn ask(
        &mut self,
        directory: &mut dyn Directory,
        search: &Search,
        takes_all: bool,
    ) -> Result<bool, Fault> {
        // Whatever is found, the end of the answer tells whether all went well. Observed: 8.17.1.9.
        let mut is_found = false;
        let mut fault = None;
        let mut take = |entry: Entry| match self.take(&entry, takes_all, &mut is_found) {
            Ok(next) => next,
            Err(error) => {
                fault = Some(error);
                Next::Stop
            }
        };
        let code = directory.search(search, &mut take).map_err(Fault::Code)?;
        match fault {
            Some(fault) => Err(fault),
            None if code != SUCCESS => Err(Fault::Code(code)),
            None => Ok(is_found),
        }
    }

    fn take(&mut self, entry: &Entry, takes_all: bool, is_found: &mut bool) -> Result<Next, Fault> {
        let Wishes {
            details,
            match_only,
            delimiter,
        } = self.wishes;
        if details.single && self.value.is_some() {
            *is_found = false;
            return Ok(Next::Stop);
        }
        let own_key = key(LdapValue::Name, &entry.name);
        if self
            .known
            .get(&own_key)
            .is_some_and(|(_, is_done)| *is_done)
        {
            return Ok(Next::More);
        }
        if match_only {
            *is_found = true;
            return Ok(Next::More);
        }
        let own_classes = entry
            .attributes
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(OBJECT_CLASS))
            .map_or(&[][..], |(_, values)| values);
        for (name, values) in &entry.attributes {
            let wanted = details
                .attributes
                .iter()
                .find(|wanted| wanted.name.eq_ignore_ascii_case(name));
            let kind = match wanted {
                Some(wanted) if !is_of_class(wanted, own_classes) => continue,
                Some(wanted) => wanted.value,
                None if name.eq_ignore_ascii_case(OBJECT_CLASS) => continue,
                None if takes_all => LdapValue::Normal,
                None => return Err(Fault::Attribute),
            };
            if values.is_empty() && !details.names_only {
                continue;
            }
            *is_found = true;
            if delimiter.is_none() {
                if self.value.is_none() {
                    self.add(name, values.first().map_or(&[][..], |value| value))?;
                }
                break;
            }
            if details.names_only {
                self.add(name, b"")?;
                continue;
            }
            for value in values {
                if kind == LdapValue::Normal {
                    self.add(name, value)?;
                } else {
                    self.note(kind, value)?;
                }
            }
        }
        self.note(LdapValue::Name, &entry.name)?;
        self.known.insert(own_key, (entry.name.clone(), true));
        Ok(Next::More)
    }

    fn note(&mut self, kind: LdapValue, text: &[u8]) -> Result<(), Fault> {
        if self.known.len() >= MAX_KNOWN {
            return Err(Fault::Code(ADMINISTRATIVE_LIMIT));
        }
        self.known
            .entry(key(kind, text))
            .or_insert_with(|| (text.to_vec(), false));
        Ok(())
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let details = self.wishes.details;
        let mut joined = self.value.take().unwrap_or_default();
        if !joined.is_empty() {
            joined.extend(self.wishes.delimiter);
        }
        if details.names_only {
            joined.extend_from_slice(name);
        } else {
            if let Some(separator) = details.attribute_separator {
                joined.extend_from_slice(name);
                joined.push(separator);
            }
            joined.extend_from_slice(value);
        }
        if joined.len() > MAX_VALUE {
            return Err(Fault::Code(TOO_LARGE));
        }
        self.value = Some(joined);
        Ok(())
    }
}

fn is_of_class(wanted: &LdapAttribute, own: &[Vec<u8>]) -> bool {
    let is_own = |class: &Vec<u8>| own.iter().any(|known| known.eq_ignore_ascii_case(class));
    wanted.classes.is_empty() || wanted.classes.iter().any(is_own)
}

#[cfg(test)]
mod tests {
    use super::super::flags::MapFlags;
    use super::super::ldap_arguments::read;
    use super::*;
    use crate::ldap::message::{Deref, Scope};

    /// Entries by base; a question finds those of its base.
    struct Fake(Vec<(&'static str, Entry)>);

    impl Directory for Fake {
        fn search(
            &mut self,
            search: &Search,
            take: &mut dyn FnMut(Entry) -> Next,
        ) -> Result<i32, i32> {
            let mut code = 32;
            for (base, entry) in &self.0 {
                if base.as_bytes() == search.base {
                    code = SUCCESS;
                    if take(entry.clone()) == Next::Stop {
                        break;
                    }
                }
            }
            Ok(code)
        }
    }

    fn entry(
        base: &'static str,
        name: &str,
        attributes: &[(&str, &[&str])],
    ) -> (&'static str, Entry) {
        let values = |values: &[&str]| {
            values
                .iter()
                .map(|value| value.as_bytes().to_vec())
                .collect()
        };
        let attributes = attributes
            .iter()
            .map(|(name, list)| (name.as_bytes().to_vec(), values(list)))
            .collect();
        let name = name.into();
        (base, Entry { name, attributes })
    }

    fn fake() -> Fake {
        let object = ("objectClass", &["person"][..]);
        Fake(vec![
            entry("", "a", &[object, ("mail", &["a1", "a2"])]),
            entry("", "b", &[object, ("mail", &["b1"])]),
            entry("list", "list", &[("member", &["b", "list", "A"])]),
            entry("A", "A", &[object, ("mail", &["a1"])]),
            entry("b", "b", &[object, ("mail", &["b1"])]),
            entry("gone", "gone", &[("member", &["nobody"])]),
            entry("long", "long", &[("mail", &["x"; 100])]),
        ])
    }

    fn asked(base: &str, arguments: &str) -> Result<Found, Fault> {
        let mut flags = MapFlags::default();
        let line = format!("-k x {arguments}");
        let details = read(b"m", line.as_bytes(), &mut flags, &mut Vec::new()).unwrap();
        let search = Search {
            base: base.into(),
            scope: Scope::Subtree,
            deref: Deref::Never,
            size_limit: 0,
            time_limit: 0,
            names_only: false,
            filter: Vec::new(),
            attributes: Vec::new(),
        };
        let wishes = Wishes {
            details: &details,
            match_only: flags.match_only,
            delimiter: flags.separator,
        };
        look_up(&mut fake(), &search, wishes)
    }

    fn value(base: &str, arguments: &str) -> String {
        match asked(base, arguments) {
            Ok(found) => String::from_utf8(found.value.unwrap_or_default()).unwrap(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn values_are_joined_or_the_first_one_counts() {
        assert_eq!(value("", "-v mail"), "a1");
        assert_eq!(value("", "-v mail -z,"), "a1,a2,b1");
        assert_eq!(value("", "-v mail -z, -V="), "mail=a1,mail=a2,mail=b1");
        assert_eq!(value("", "-v mail -z, -n"), "mail,mail");
        assert_eq!(value("", "-v mail:NORMAL:other -z,"), "");
        assert_eq!(value("", "-v mail:NORMAL:Person|other -z,"), "a1,a2,b1");
        assert_eq!(value("", "-z,"), "Attribute");
    }

    #[test]
    fn one_match_is_wanted_or_just_any() {
        let nothing = Found {
            is_found: false,
            value: Some(b"a1,a2".to_vec()),
        };
        assert_eq!(asked("", "-v mail -z, -1"), Ok(nothing));
        let match_only = Found {
            is_found: true,
            value: None,
        };
        assert_eq!(asked("", "-v mail -m -1"), Ok(match_only));
        assert_eq!(asked("none", "-v mail"), Err(Fault::Code(32)));
    }

    #[test]
    fn names_are_followed_once_and_in_their_order() {
        assert_eq!(value("list", "-v mail,member:DN -z,"), "a1,b1");
        assert_eq!(value("list", "-v mail,member:DN"), "b");
        assert_eq!(value("gone", "-v mail,member:DN -z,"), "Code(32)");
        let found = asked("list", "-v mail:NORMAL:none,member:DN -z,").unwrap();
        assert_eq!((found.is_found, found.value), (true, None));
    }
}
