//! Debug flags: which categories print how much (`-d21.12,35.9`).
//!
//! Source: guide 3.4. Numbers, ranges and names of a list, each with a level
//! that is 1 if not given. Levels over 255 count as 255; categories the program
//! does not have are read and forgotten.

use std::collections::BTreeMap;

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
}

impl Default for DebugFlags {
    fn default() -> Self {
        DebugFlags {
            levels: [0; CATEGORIES],
            named: BTreeMap::new(),
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
        let dot = item.iter().rposition(|&byte| byte == b'.');
        let (category, level) = match dot {
            Some(dot) => (&item[..dot], clamped(&item[dot + 1..])),
            None => (item, 1),
        };
        match category.first() {
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

    /// Says whether any category is on.
    pub fn is_any_on(&self) -> bool {
        self.levels.iter().any(|&level| level > 0) || !self.named.is_empty()
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
    fn huge_and_senseless_input_is_harmless() {
        for text in [
            &b"99999999999999999999.99999999999999999999"[..],
            b"0-4294967297.4294967296",
            b"50-3.2",
            b"-5.3",
            b"...,,--.-",
            b"\xff\xfe.9",
            b"5.",
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
