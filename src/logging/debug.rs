//! Debug flags: which categories print how much (`-d21.12,35.9`), and where they print.
//!
//! Source: guide 3.4. Numbers, ranges and names of a list, each with a level
//! that is 1 if not given. Levels over 255 count as 255; categories the program
//! does not have are read and forgotten.
//!
//! Whoever has something to tell asks [`DebugLog::is_on`] first and formats nothing
//! when it says no: a trace that is off costs one comparison.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use crate::text::bytes::parse_decimal;

/// How many numbered categories there are.
/// Source: guide 3.4: categories 0 to 99.
const CATEGORIES: usize = 100;

/// The most named categories kept; the command line may hold any number.
const MAX_NAMED: usize = 64;

/// Which debug categories are on, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugFlags {
    levels: [u8; CATEGORIES],
    /// Patterns such as `sm_trace_*`, as given.
    named: BTreeMap<Vec<u8>, u8>,
    /// Symbols of rules are shown in reverse video (`-dANSI`).
    reverse_symbols: bool,
}

impl Default for DebugFlags {
    fn default() -> Self {
        DebugFlags {
            levels: [0; CATEGORIES],
            named: BTreeMap::new(),
            reverse_symbols: false,
        }
    }
}

impl DebugFlags {
    /// Reads the list after `-d`; an empty one means `0-99.1`.
    pub fn parse(text: &[u8]) -> DebugFlags {
        let mut flags = DebugFlags::default();
        flags.add(text);
        flags
    }

    /// Adds another list to the flags, later levels replacing earlier ones.
    pub fn add(&mut self, text: &[u8]) {
        if text.trim_ascii().is_empty() {
            self.levels = [1; CATEGORIES];
            self.named.insert(b"*_trace_*".to_vec(), 1);
            return;
        }
        for item in text.split(|byte| matches!(byte, b',' | b' ' | b'\t')) {
            self.add_item(item);
        }
    }

    fn add_item(&mut self, item: &[u8]) {
        if item.is_empty() {
            return;
        }
        let dot = item.iter().position(|&byte| byte == b'.');
        let (category, level) = match dot {
            Some(dot) => (&item[..dot], clamped(&item[dot + 1..])),
            None => (item, 1),
        };
        match category.first() {
            _ if category == b"ANSI" => self.reverse_symbols = true,
            Some(first) if !first.is_ascii_digit() => {
                if self.named.len() < MAX_NAMED {
                    self.named.insert(category.to_vec(), level);
                }
            }
            _ => {
                let dash = category.iter().position(|&byte| byte == b'-');
                let (first, last) = match dash {
                    Some(dash) => (number(&category[..dash]), number(&category[dash + 1..])),
                    None => (number(category), number(category)),
                };
                let last = last.min(CATEGORIES - 1);
                for slot in self.levels.iter_mut().take(last + 1).skip(first) {
                    *slot = level;
                }
            }
        }
    }

    /// Returns the level of a category, 0 if it is off.
    pub fn level(&self, category: u8) -> u8 {
        self.levels.get(usize::from(category)).copied().unwrap_or(0)
    }

    /// Says whether a category prints what belongs to a level.
    pub fn is_on(&self, category: u8, level: u8) -> bool {
        self.level(category) >= level
    }

    /// Says whether symbols of rules are shown as the octets that stand for them (`-d84.1`).
    pub fn shows_symbols_as_octets(&self) -> bool {
        self.is_on(84, 1)
    }

    /// Says whether any category is on.
    pub fn is_any_on(&self) -> bool {
        self.levels.iter().any(|&level| level > 0) || !self.named.is_empty()
    }

    /// Says whether symbols of rules are shown in reverse video.
    ///
    /// Observed: 8.17.1.9 (`-dANSI`, in capitals, whatever its level).
    pub fn reverses_symbols(&self) -> bool {
        self.reverse_symbols
    }
}

/// The flags, and the file or terminal that takes what they ask for.
///
/// Lines of several threads and of `-v` come whole and in order: each is written at once.
#[derive(Debug, Default)]
pub struct DebugLog {
    flags: DebugFlags,
    /// The file of `-D`; without one, standard output.
    file: Option<File>,
}

impl DebugLog {
    /// Prints what `flags` ask for into `file`, or on standard output.
    pub fn new(flags: DebugFlags, file: Option<File>) -> DebugLog {
        DebugLog { flags, file }
    }

    /// Says whether traces go to a file of their own (`-D`).
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The flags in force.
    pub fn flags(&self) -> &DebugFlags {
        &self.flags
    }

    /// Returns the level of a category, 0 if it is off.
    pub fn level(&self, category: u8) -> u8 {
        self.flags.level(category)
    }

    /// Says whether a category prints what belongs to a level.
    pub fn is_on(&self, category: u8, level: u8) -> bool {
        self.flags.is_on(category, level)
    }

    /// Writes text, line ends included; a reader who went away is no fault.
    pub fn write(&self, text: &[u8]) {
        let _ = match &self.file {
            Some(file) => {
                let mut file = file;
                file.write_all(text)
            }
            None => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(text).and_then(|()| stdout.flush())
            }
        };
    }

    /// Writes one line.
    pub fn line(&self, line: &[u8]) {
        self.write(&[line, b"\n"].concat());
    }
}

fn number(digits: &[u8]) -> usize {
    let end = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    match &digits[..end] {
        b"" => 0,
        digits => parse_decimal(digits).unwrap_or(usize::MAX),
    }
}

fn clamped(digits: &[u8]) -> u8 {
    u8::try_from(number(digits)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_defaults() {
        let flags = DebugFlags::parse(b"21.12,3-5.17,8,35.9");
        for (category, level) in [
            (21, 12),
            (3, 17),
            (4, 17),
            (5, 17),
            (6, 0),
            (8, 1),
            (35, 9),
            (200, 0),
        ] {
            assert_eq!(flags.level(category), level, "{category}");
        }
        assert!(flags.is_on(21, 12) && !flags.is_on(21, 13));
        let all = DebugFlags::parse(b"");
        assert!(all.is_on(0, 1) && all.is_on(99, 1) && !all.is_on(50, 2));
        assert!(!DebugFlags::default().is_any_on());
    }

    #[test]
    fn odd_forms_mean_what_they_mean_to_the_reference() {
        // Observed: 8.17.1.9.
        for (text, level) in [
            ("21.2.3", 2),
            ("21..2", 0),
            ("21.x", 0),
            ("21-.2", 0),
            ("-21.2", 0),
            ("x.y", 0),
            (" 21.4", 4),
            ("0-99.1", 1),
            ("21.4,", 4),
            ("21.4-", 4),
        ] {
            assert_eq!(
                DebugFlags::parse(text.as_bytes()).level(21),
                level,
                "{text}"
            );
        }
        assert!(DebugFlags::parse(b"21.4,ANSI").reverses_symbols());
        assert!(!DebugFlags::parse(b"ansi").reverses_symbols());
    }

    #[test]
    fn huge_and_senseless_input_is_harmless() {
        for text in [
            &b"99999999999999999999.99999999999999999999"[..],
            b"0-4294967297.4294967296",
            b"50-3.2",
            b"-5.3",
            b"...,,--.-",
            b"\xff\xfe.9",
            b"5.",
            b"ANSI.",
        ] {
            DebugFlags::parse(text);
        }
        assert_eq!(DebugFlags::parse(b"0-4294967297.4294967296").level(99), 255);
        let many: Vec<u8> = (0..10_000)
            .flat_map(|n| format!("x{n}.1,").into_bytes())
            .collect();
        assert!(DebugFlags::parse(&many).named.len() <= MAX_NAMED);
    }
}
