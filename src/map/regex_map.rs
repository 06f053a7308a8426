//! Class `regex`: POSIX regular expressions of the C library.

use super::definition::RegexDetails;
use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer};

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
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
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
        let Some(fields) = self
            .details
            .substrings
            .as_ref()
            .filter(|_| !self.flags.match_only)
        else {
            return MapAnswer::found(self.flags.value(key, b"", arguments));
        };
        let mut joined = Vec::new();
        for (index, &field) in fields.iter().enumerate() {
            if index > 0 {
                joined.extend_from_slice(&self.details.delimiter);
            }
            let range = ranges.get(field).cloned().flatten();
            let part = range.and_then(|range| key.get(range)).unwrap_or(&[]);
            if !is_one_word(part) {
                return MapAnswer::missing();
            }
            joined.extend_from_slice(part);
        }
        MapAnswer::found(self.flags.value(key, &joined, arguments))
    }
}

/// Says whether a substring stands on its own: balanced and without spaces.
///
/// Observed: 8.17.1.9 finds nothing otherwise.
fn is_one_word(part: &[u8]) -> bool {
    let (mut angles, mut comments) = (0_i32, 0_i32);
    let (mut quoted, mut escaped) = (false, false);
    for &octet in part {
        if escaped {
            escaped = false;
            continue;
        }
        match octet {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'(' => comments += 1,
            b')' => comments -= 1,
            b'<' => angles += 1,
            b'>' => angles -= 1,
            b' ' | b'\t' => return false,
            _ => {}
        }
    }
    angles == 0 && comments == 0 && !quoted && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::definition::{Details, MapDefinition};
    use crate::map::lookup::{LookupMode, NoHost};

    fn answer(line: &str, key: &str) -> Option<String> {
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
        let found = map.lookup(key.as_bytes(), &[], &mut cx).value;
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
        ] {
            assert_eq!(answer(line, key).as_deref(), wanted, "{line} {key}");
        }
    }
}
