//! The flags common to the map classes, and what they do to keys and values.
//!
//! Source: guide 5.9; details observed: 8.17.1.9.

use std::time::Duration;

use super::class::MapClass;
use super::definition::DefinitionError;
use super::lookup::LookupMode;
use crate::text::interval::{IntervalUnit, parse_interval};

/// Flags of a K line or an alias specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFlags {
    /// `-o`: a missing file is no error.
    pub optional: bool,
    /// `-f`: keys keep their case.
    pub keep_case: bool,
    /// `-m`: only whether the key is there counts.
    pub match_only: bool,
    /// `-A`: repeated keys of an alias file are joined.
    pub join_values: bool,
    /// `-q`: keys keep their quotes.
    pub keep_quotes: bool,
    /// Not `-N`: keys are tried without a closing NUL.
    pub try_plain_key: bool,
    /// Not `-O`: keys are tried with a closing NUL.
    pub try_key_with_nul: bool,
    /// `-t`: a temporary failure does not defer the message.
    pub never_defers: bool,
    /// `-D`: not asked in delivery mode `defer`.
    pub not_when_deferred: bool,
    /// `-a`: appended to every value.
    pub suffix: Vec<u8>,
    /// `-T`: appended to the key on a temporary failure.
    pub failure_suffix: Option<Vec<u8>>,
    /// `-S`: stands between the words of a key instead of a space.
    pub space: Option<u8>,
    /// `-k`: key column or filter.
    pub key_column: Option<Vec<u8>>,
    /// `-v`: value column or attribute.
    pub value_column: Option<Vec<u8>>,
    /// `-z`: separator.
    pub separator: Option<u8>,
    /// `-d`: how long a question may take.
    pub timeout: Option<Duration>,
}

impl Default for MapFlags {
    fn default() -> Self {
        MapFlags {
            optional: false,
            keep_case: false,
            match_only: false,
            join_values: false,
            keep_quotes: false,
            try_plain_key: true,
            try_key_with_nul: true,
            never_defers: false,
            not_when_deferred: false,
            suffix: Vec::new(),
            failure_suffix: None,
            space: None,
            key_column: None,
            value_column: None,
            separator: None,
            timeout: None,
        }
    }
}

/// What follows the flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagsAndFile {
    /// The flags.
    pub flags: MapFlags,
    /// The first word behind them.
    pub file: Vec<u8>,
    /// Everything behind that word.
    pub rest: Vec<u8>,
}

/// Octets that separate words, as the C library sees them.
pub(super) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Cuts leading spaces.
pub(super) fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|&octet| !is_space(octet))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or(&[])
}

/// Splits the first word off.
pub(super) fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|&octet| is_space(octet))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.get(1..).unwrap_or(&[]))
}

/// Reads the flags of most classes and the file name behind them.
///
/// Complaints go to `errors`; the definition is unusable (`None`) only without a file name where
/// the class needs one.
pub fn parse_flags(
    class: MapClass,
    name: &[u8],
    text: &[u8],
    errors: &mut Vec<DefinitionError>,
) -> Option<FlagsAndFile> {
    // Classes read elsewhere join the words of a key as addresses are joined (BlankSub).
    // Observed: 8.17.1.9.
    let mut flags = MapFlags {
        space: Some(b' '),
        ..MapFlags::default()
    };
    let mut rest = skip_spaces(text);
    while let Some((b'-', letter_on)) = rest.split_first() {
        rest = match letter_on.split_first() {
            Some((&letter, value)) => {
                if matches!(letter, b'k' | b'v') {
                    // These two may stand apart from their value.
                    let (value, after) = split_word(skip_spaces(value));
                    let column = Some(value.to_vec());
                    if letter == b'k' {
                        flags.key_column = column;
                    } else {
                        flags.value_column = column;
                    }
                    after
                } else {
                    let (value, after) = split_word(value);
                    if !flags.set(letter, value) {
                        errors.push(DefinitionError::illegal_option(letter, name));
                    }
                    after
                }
            }
            None => letter_on,
        };
        rest = skip_spaces(rest);
    }
    let (file, rest) = split_word(rest);
    if file.is_empty() && class.needs_file() {
        errors.push(DefinitionError::new(
            [
                b"No file name for ",
                class.name().as_bytes(),
                b" map ",
                name,
            ]
            .concat(),
        ));
        return None;
    }
    Some(FlagsAndFile {
        flags,
        file: file.to_vec(),
        rest: skip_spaces(rest).to_vec(),
    })
}

impl MapFlags {
    /// Sets one flag; says whether the letter is known.
    pub(super) fn set(&mut self, letter: u8, value: &[u8]) -> bool {
        match letter {
            b'o' => self.optional = true,
            b'f' => self.keep_case = true,
            b'm' => self.match_only = true,
            b'A' => self.join_values = true,
            b'q' => self.keep_quotes = true,
            b'N' => self.try_plain_key = false,
            b'O' => self.try_key_with_nul = false,
            b't' => self.never_defers = true,
            b'D' => self.not_when_deferred = true,
            b'a' => self.suffix = value.to_vec(),
            b'T' => self.failure_suffix = Some(value.to_vec()),
            b'S' => self.space = value.first().copied(),
            b'z' => self.separator = separator(value),
            b'd' => self.timeout = parse_interval(value, IntervalUnit::Seconds).ok(),
            _ => return false,
        }
        true
    }

    /// Returns the key as it is compared: in lower case, unless it keeps its case.
    pub fn folded(&self, key: &[u8]) -> Vec<u8> {
        if self.keep_case {
            key.to_vec()
        } else {
            key.to_ascii_lowercase()
        }
    }

    /// Makes the answer out of a key and the value stored for it.
    ///
    /// With `-m` the key itself is the value; else `%0` to `%9` stand for the key and the
    /// arguments. Then the suffix follows.
    pub fn value(&self, key: &[u8], stored: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
        if self.match_only {
            return self.plain_value(key);
        }
        let mut value = Vec::with_capacity(stored.len() + self.suffix.len());
        expand(stored, key, arguments, &mut value);
        value.extend_from_slice(&self.suffix);
        value
    }

    /// As [`MapFlags::value`], but the values of aliases come as they are stored.
    pub fn stored_value(
        &self,
        key: &[u8],
        stored: &[u8],
        arguments: &[&[u8]],
        mode: LookupMode,
    ) -> Vec<u8> {
        if mode == LookupMode::Aliases && !self.match_only {
            self.plain_value(stored)
        } else {
            self.value(key, stored, arguments)
        }
    }

    /// Makes the answer out of a value in which `%` means nothing.
    pub fn plain_value(&self, value: &[u8]) -> Vec<u8> {
        [value, &self.suffix].concat()
    }
}

/// Reads the value of `-z`: one octet, or `\n` or `\t`.
pub(super) fn separator(value: &[u8]) -> Option<u8> {
    match value {
        [b'\\', b'n', ..] => Some(b'\n'),
        [b'\\', b't', ..] => Some(b'\t'),
        [octet, ..] => Some(*octet),
        [] => None,
    }
}

fn expand(stored: &[u8], key: &[u8], arguments: &[&[u8]], value: &mut Vec<u8>) {
    let mut octets = stored.iter().copied();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            value.push(octet);
            continue;
        }
        match octets.next() {
            None | Some(b'%') => value.push(b'%'),
            Some(b'0') => value.extend_from_slice(key),
            Some(digit @ b'1'..=b'9') => {
                let argument = arguments.get(usize::from(digit - b'1'));
                value.extend_from_slice(argument.copied().unwrap_or(&[]));
            }
            Some(other) => value.extend_from_slice(&[b'%', other]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_digits_stand_for_key_and_arguments() {
        let flags = MapFlags {
            suffix: b".x".to_vec(),
            ..MapFlags::default()
        };
        let arguments: [&[u8]; 2] = [b"one", b"two"];
        for (stored, wanted) in [
            ("%0 %1 %2 %3", "k one two "),
            ("100%", "100%"),
            ("%%1", "%1"),
            ("%q", "%q"),
            ("plain", "plain"),
        ] {
            let value = flags.value(b"k", stored.as_bytes(), &arguments);
            assert_eq!(value, [wanted.as_bytes(), b".x"].concat(), "{stored}");
        }
    }

    #[test]
    fn flags_are_read_up_to_the_file_name() {
        let mut errors = Vec::new();
        let line = b" -o -a<OK> -k 0 -z\\t -Q /etc/x one two";
        let read = parse_flags(MapClass::Text, b"m", line, &mut errors).unwrap();
        assert!(read.flags.optional);
        assert_eq!(read.flags.suffix, b"<OK>");
        assert_eq!(read.flags.key_column.as_deref(), Some(b"0".as_slice()));
        assert_eq!(read.flags.separator, Some(b'\t'));
        assert_eq!(read.file, b"/etc/x");
        assert_eq!(read.rest, b"one two");
        assert_eq!(errors, [DefinitionError::illegal_option(b'Q', b"m")]);
    }

    #[test]
    fn a_class_with_a_file_refuses_to_have_none() {
        let mut errors = Vec::new();
        assert!(parse_flags(MapClass::Hash, b"m", b"-o", &mut errors).is_none());
        assert_eq!(errors[0].text, b"No file name for hash map m");
        assert!(parse_flags(MapClass::User, b"m", b"", &mut errors).is_some());
    }
}
