//! Class `regex`: POSIX regular expressions of the C library.

use super::definition::{RegexDetails, substring_list};
use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_CONFIG};

/// A pattern and what to make of its matches.
pub(super) struct RegexMap {
    flags: MapFlags,
    details: RegexDetails,
}

impl RegexMap {
    pub(super) fn new(flags: MapFlags, details: RegexDetails) -> RegexMap {
        RegexMap { flags, details }
    }
}

impl Map for RegexMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let found = self.details.regex.matches(key);
        if self.details.inverted {
            return match found {
                Some(_) => MapAnswer::missing(),
                None => MapAnswer::found(self.flags.value(key, b"", arguments)),
            };
        }
        let Some(ranges) = found else {
            return MapAnswer::missing();
        };
        let Some(fields) = &self.details.substrings else {
            return MapAnswer::found(self.flags.value(key, b"", arguments));
        };
        let mut value = Value::default();
        // What a rule asks for goes before what the configuration says.
        let chosen = match arguments.first() {
            None => fields.clone(),
            Some(list) => match substring_list(list, self.details.count, MAX_CHOSEN) {
                Ok(chosen) => chosen,
                Err(text) => {
                    cx.host.complain(text.as_bytes());
                    return MapAnswer::failed(STATUS_CONFIG);
                }
            },
        };
        for (index, &field) in chosen.iter().enumerate() {
            if index > 0 {
                value.push_plain(&self.details.delimiter);
            }
            let range = ranges.get(field).cloned().flatten();
            value.push_part(range.and_then(|range| key.get(range)).unwrap_or(&[]));
        }
        if !value.is_one_word() {
            return MapAnswer::missing();
        }
        MapAnswer::found(self.flags.value(key, &value.text, arguments))
    }
}

/// Most substrings a rule may ask for.
const MAX_CHOSEN: usize = 32;
/// Longest value made of substrings.
const MAX_VALUE_BYTES: usize = 255;

/// A value in the making, and what is open at its end. Observed: 8.17.1.9.
#[derive(Debug, Default)]
struct Value {
    text: Vec<u8>,
    angles: i32,
    comments: i32,
    spaces: usize,
    quoted: bool,
    escaped: bool,
}

impl Value {
    fn push_plain(&mut self, octets: &[u8]) {
        let room = MAX_VALUE_BYTES - self.text.len();
        self.text
            .extend_from_slice(octets.get(..room).unwrap_or(octets));
    }

    fn push_part(&mut self, octets: &[u8]) {
        let room = MAX_VALUE_BYTES - self.text.len();
        for &octet in octets.iter().take(room) {
            self.text.push(octet);
            match octet {
                _ if std::mem::take(&mut self.escaped) => {}
                b'\\' => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                _ if self.quoted => {}
                b'(' => self.comments += 1,
                b')' => self.comments -= 1,
                b'<' => self.angles += 1,
                b'>' => self.angles -= 1,
                b' ' => self.spaces += 1,
                _ => {}
            }
        }
    }

    /// Says whether the value can stand in an address: balanced and without bare spaces.
    fn is_one_word(&self) -> bool {
        self.angles == 0 && self.comments == 0 && self.spaces == 0 && !self.quoted && !self.escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::definition::{Details, MapDefinition};
    use crate::map::lookup::{LookupMode, NoHost};

    fn answer(line: &str, key: &str) -> Option<String> {
        answer_to(line, key, &[])
    }

    fn answer_to(line: &str, key: &str, arguments: &[&[u8]]) -> Option<String> {
        let mut errors = Vec::new();
        let line = format!("x regex {line}");
        let definition = MapDefinition::parse(line.as_bytes(), &|_| true, &mut errors).unwrap();
        let Details::Regex(details) = definition.details else {
            panic!("{errors:?}")
        };
        let map = RegexMap::new(definition.flags, details);
        let mut cx = LookupContext {
            host: &mut NoHost,
            mode: LookupMode::Usual,
        };
        let found = map.lookup(key.as_bytes(), arguments, &mut cx).value;
        found.map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn flags_shape_the_value() {
        for (line, key, wanted) in [
            ("-a@D ^[0-9]+$", "42", Some("@D")),
            ("^[0-9]+$", "4x", None),
            ("-n -aNO ^[a-z]+$", "4", Some("NO")),
            ("-s1,2 -d: ^([a-z]+)[.]([a-z]+)$", "a.b", Some("a:b")),
            ("-s -d/ ^(a)(b)$", "ab", Some("ab/a/b")),
            ("-f ^Hello", "hello", None),
            ("^Hello", "hello", Some("")),
            ("-b x\\(y\\)*z", "xyyz", Some("")),
            ("-m -a. ^m", "mmm", Some("mmm.")),
            ("-s1 (a.*)", "a b", None),
            ("-s1 (a.*)", "a\"b c\"", Some("a\"b c\"")),
            ("-s1,2 -d. (a<.*),(.*)", "a<b,c>", Some("a<b.c>")),
            ("-s1 -m (a)", "ab", Some("ab")),
            ("-s1,1,1 -d| (a)", "a", Some("a|a|a")),
        ] {
            assert_eq!(answer(line, key).as_deref(), wanted, "{line} {key}");
        }
    }

    #[test]
    fn an_argument_says_which_substrings_make_the_value() {
        for (list, wanted) in [
            ("2,1", Some("b/a")),
            ("", Some("ab")),
            ("3", None),
            ("-1", None),
            ("x,2", Some("ab/b")),
        ] {
            let found = answer_to("-s1 -d/ (a)(b)", "ab", &[list.as_bytes()]);
            assert_eq!(found.as_deref(), wanted, "{list}");
        }
    }
}
