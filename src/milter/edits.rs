//! What filters change in a header.
//!
//! The reference keeps the fields of the H lines in front of those of the message, also where
//! the message brings its own and the default has no value; places are counted over all of
//! them. A [`HeaderSheet`] is that list: what is gone keeps its place.
//!
//! Places, counting and texts observed: 8.17.1.9.

use crate::config::header_line::HeaderRule;
use crate::message::header::Expansion;
use crate::message::{HeaderField, HeaderTraits, Headers};
use crate::text::bytes::escape_for_display;

/// One place of the list.
#[derive(Debug, Clone)]
struct Slot {
    field: HeaderField,
    is_gone: bool,
}

/// The header of a message as filters see and change it.
#[derive(Debug, Clone, Default)]
pub struct HeaderSheet {
    slots: Vec<Slot>,
    has_changed: bool,
}

impl HeaderSheet {
    /// Lays out a header that has been completed by the H lines.
    pub fn new(headers: &Headers, rules: &[HeaderRule]) -> HeaderSheet {
        let mut rest: Vec<HeaderField> = headers.iter().cloned().collect();
        let mut slots = Vec::new();
        for rule in rules.iter().filter(|rule| rule.template.is_some()) {
            let own = rest
                .iter()
                .position(|field| field.is_default && field.is(&rule.name));
            let slot = match own {
                Some(at) => Slot {
                    field: rest.remove(at),
                    is_gone: false,
                },
                None => Slot {
                    field: HeaderField {
                        conditions: rule.conditions.clone(),
                        is_default: true,
                        ..HeaderField::new(&rule.name, b"")
                    },
                    is_gone: true,
                },
            };
            slots.push(slot);
        }
        let brought = rest.into_iter().map(|field| Slot {
            field,
            is_gone: false,
        });
        slots.extend(brought);
        HeaderSheet {
            slots,
            has_changed: false,
        }
    }

    /// Yields the fields that filters are told: those the message brought and those filters added.
    pub fn told(&self) -> impl Iterator<Item = &HeaderField> {
        let shown = |slot: &&Slot| !slot.is_gone && !slot.field.is_default;
        self.slots.iter().filter(shown).map(|slot| &slot.field)
    }

    /// Tells whether an edit was made.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Gives the header that results.
    pub fn headers(&self) -> Headers {
        let resent = |slot: &Slot| !slot.is_gone && slot.field.traits().has(HeaderTraits::RESENT);
        let is_resent = self
            .slots
            .iter()
            .any(|slot| resent(slot) && !slot.field.is_default);
        let is_sent = |slot: &&Slot| {
            let is_idle = slot.field.is_default && slot.field.traits().has(HeaderTraits::RESENT);
            !slot.is_gone && (!is_idle || is_resent)
        };
        self.slots
            .iter()
            .filter(is_sent)
            .map(|slot| slot.field.clone())
            .collect()
    }

    /// Adds a field: in front of the first of its name, else at the end.
    ///
    /// A default field of that name gets the value instead. Returns what the log says.
    pub fn add(&mut self, name: &[u8], value: &[u8], keeps_space: bool) -> Option<String> {
        let field = checked(name, value, keeps_space)?;
        self.has_changed = true;
        let (shown_name, shown) = (escape_for_display(name), escape_for_display(value));
        let at = self.slots.iter().position(|slot| slot.field.is(name));
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at))
            && is_plain_default(slot)
        {
            slot.set(field.value);
            return Some(format!(
                "change: default header {shown_name} value with {shown}"
            ));
        }
        self.place(at.unwrap_or(self.slots.len()), field);
        Some(format!("add: header: {shown_name}: {shown}"))
    }

    /// Inserts a field behind the place with this number, counted from 0.
    pub fn insert(
        &mut self,
        at: i32,
        name: &[u8],
        value: &[u8],
        keeps_space: bool,
    ) -> Option<String> {
        let field = checked(name, value, keeps_space)?;
        self.has_changed = true;
        let place = usize::try_from(at).unwrap_or(0).saturating_add(1);
        self.place(place, field);
        let (name, value) = (escape_for_display(name), escape_for_display(value));
        Some(format!("insert ({at}): header: {name}: {value}"))
    }

    /// Changes the n-th field of a name, or takes it away when the value is empty.
    ///
    /// Fields that are gone count. Without such a field the default one is changed, else one is
    /// added.
    pub fn change(
        &mut self,
        number: i32,
        name: &[u8],
        value: &[u8],
        keeps_space: bool,
    ) -> Option<String> {
        let field = checked(name, value, keeps_space)?;
        self.has_changed = true;
        let (shown_name, shown) = (escape_for_display(name), escape_for_display(value));
        let (mut left, mut own, mut default) = (number, None, None);
        for (at, slot) in self.slots.iter().enumerate() {
            if !slot.field.is(name) {
                continue;
            }
            if is_plain_default(slot) {
                default = Some(at);
            } else if !slot.field.is_default {
                left = left.saturating_sub(1);
                if left <= 0 {
                    own = Some(at);
                    break;
                }
            }
        }
        let note = if own.is_none() && default.is_some() {
            " (default header)"
        } else {
            ""
        };
        let Some(slot) = own.or(default).and_then(|at| self.slots.get_mut(at)) else {
            if value.is_empty() {
                return Some(format!("delete (noop): header: {shown_name}"));
            }
            let at = self.slots.iter().position(|slot| slot.field.is(name));
            self.place(at.unwrap_or(self.slots.len()), field);
            return Some(format!("change (add): header: {shown_name}: {shown}"));
        };
        let old = if slot.is_gone && !slot.field.is_default {
            "<NULL>".to_owned()
        } else {
            escape_for_display(&slot.field.value)
        };
        if value.is_empty() {
            slot.is_gone = true;
            return Some(format!("delete: header{note} {shown_name}:{old}"));
        }
        slot.set(field.value);
        Some(format!(
            "change: header{note} {shown_name}: from {old} to {shown}"
        ))
    }

    fn place(&mut self, at: usize, field: HeaderField) {
        let slot = Slot {
            field,
            is_gone: false,
        };
        self.slots.insert(at.min(self.slots.len()), slot);
    }
}

impl Slot {
    fn set(&mut self, value: Vec<u8>) {
        self.field.value = value;
        self.field.expansion = Expansion::Done;
        self.field.stored = None;
        // It is a field like any other now, but for when it is sent. Observed: 8.17.1.9.
        self.field.is_default = false;
        self.is_gone = false;
    }
}

/// Tells whether an H line made the field and filters may take it for theirs: not Received:.
fn is_plain_default(slot: &Slot) -> bool {
    slot.field.is_default && !slot.field.traits().has(HeaderTraits::TRACE)
}

/// Makes a field; `None` where its name would end a line of the header or of a queue file.
fn checked(name: &[u8], value: &[u8], keeps_space: bool) -> Option<HeaderField> {
    if name.iter().any(|octet| matches!(octet, b'\n' | b'\r')) {
        return None;
    }
    let space: &[u8] = if keeps_space { b"" } else { b" " };
    Some(HeaderField::new(name, &[space, &folded(value)].concat()))
}

/// Makes every line but the first of a value begin with white space: anything else would be a
/// field, or a record of the queue file, of its own.
fn folded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut octets = value.iter().peekable();
    while let Some(&octet) = octets.next() {
        out.push(octet);
        if octet == b'\n' && !matches!(octets.peek(), Some(b' ' | b'\t')) {
            out.push(b'\t');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::FixedSource;
    use crate::config::{Config, Overrides};

    const CF: &str = "V10\nH?P?Return-Path: <$g>\nHReceived: by us\nH?D?Date: $a\nH?F?From: $g\n";

    fn config() -> Config {
        let mut source = FixedSource::with_file("/x.cf", CF.as_bytes());
        Config::load(&Overrides::only_file("/x.cf"), &mut source).unwrap()
    }

    fn sheet() -> HeaderSheet {
        let default = |name: &[u8], value: &[u8]| HeaderField {
            is_default: true,
            ..HeaderField::new(name, value)
        };
        let headers: Headers = [
            default(b"Return-Path", b" <\x81g>"),
            default(b"Received", b" by us"),
            HeaderField::new(b"Received", b" by far"),
            HeaderField::new(b"Subject", b" one"),
            HeaderField::new(b"X-A", b" 1"),
            HeaderField::new(b"From", b" x"),
            HeaderField::new(b"X-A", b" 2"),
            HeaderField::new(b"Date", b" then"),
        ]
        .into_iter()
        .collect();
        HeaderSheet::new(&headers, &config().headers)
    }

    fn text(sheet: &HeaderSheet) -> String {
        let headers = sheet.headers();
        let shown = headers.iter().map(|field| {
            let name = String::from_utf8_lossy(&field.name).into_owned();
            format!("{name}:{}", escape_for_display(&field.value))
        });
        shown.collect::<Vec<_>>().join("|")
    }

    const ALL: &str = "Return-Path: <\\201g>|Received: by us|Received: by far|Subject: one|X-A: 1|From: x|X-A: 2|Date: then";

    #[test]
    fn an_untouched_sheet_is_the_header_it_was_made_of() {
        assert_eq!(text(&sheet()), ALL);
        let told: Vec<_> = sheet().told().map(|field| field.name.clone()).collect();
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn fields_are_added_in_front_of_the_first_of_their_name() {
        for (name, front, log) in [
            ("X-New", "", "add: header: X-New: v"),
            ("Subject", "Subject: one", "add: header: Subject: v"),
            ("X-A", "X-A: 1", "add: header: X-A: v"),
            ("Received", "Received: by us", "add: header: Received: v"),
        ] {
            let mut sheet = sheet();
            assert_eq!(sheet.add(name.as_bytes(), b"v", false).unwrap(), log);
            let expected = match front {
                "" => format!("{ALL}|{name}: v"),
                front => ALL.replacen(front, &format!("{name}: v|{front}"), 1),
            };
            assert_eq!(text(&sheet), expected);
        }
        let mut sheet = sheet();
        let log = sheet.add(b"return-path", b"<y>", false).unwrap();
        assert_eq!(log, "change: default header return-path value with <y>");
        assert!(text(&sheet).starts_with("Return-Path: <y>|Received"));
        sheet.add(b"X-Spaced", b" v", true).unwrap();
        assert!(text(&sheet).ends_with("|X-Spaced: v"));
    }

    #[test]
    fn places_count_default_fields_also_where_they_have_no_value() {
        // Four H lines: Return-Path, Received, and Date and From, which the message brought itself.
        for (at, behind) in [
            (-1, "Return-Path: <\\201g>"),
            (0, "Return-Path: <\\201g>"),
            (1, "Received: by us"),
            (3, "Received: by us"),
            (4, "Received: by far"),
            (5, "Subject: one"),
            (9, "Date: then"),
            (100, "Date: then"),
        ] {
            let mut sheet = sheet();
            sheet.insert(at, b"X-Ins", b"v", false).unwrap();
            let expected = ALL.replacen(behind, &format!("{behind}|X-Ins: v"), 1);
            assert_eq!(text(&sheet), expected, "{at}");
        }
    }

    #[test]
    fn fields_are_changed_by_their_number() {
        for (number, name, value, log, result) in [
            (
                1,
                "Subject",
                "two",
                "change: header Subject: from  one to two",
                ("Subject: one", "Subject: two"),
            ),
            (
                2,
                "X-A",
                "n",
                "change: header X-A: from  2 to n",
                ("X-A: 2", "X-A: n"),
            ),
            (
                0,
                "X-A",
                "n",
                "change: header X-A: from  1 to n",
                ("X-A: 1", "X-A: n"),
            ),
            (
                3,
                "X-A",
                "n",
                "change (add): header: X-A: n",
                ("X-A: 1", "X-A: n|X-A: 1"),
            ),
            (1, "X-A", "", "delete: header X-A: 1", ("X-A: 1|", "")),
            (1, "X-None", "", "delete (noop): header: X-None", ("", "")),
            (
                1,
                "Received",
                "n",
                "change: header Received: from  by far to n",
                ("Received: by far", "Received: n"),
            ),
            (
                2,
                "Received",
                "n",
                "change (add): header: Received: n",
                ("Received: by us", "Received: n|Received: by us"),
            ),
            (
                1,
                "Return-Path",
                "n",
                "change: header (default header) Return-Path: from  <\\201g> to n",
                ("Return-Path: <\\201g>", "Return-Path: n"),
            ),
        ] {
            let mut sheet = sheet();
            let said = sheet.change(number, name.as_bytes(), value.as_bytes(), false);
            assert_eq!(said.unwrap(), log);
            assert_eq!(text(&sheet), ALL.replacen(result.0, result.1, 1), "{log}");
        }
    }

    #[test]
    fn what_was_deleted_keeps_its_number_and_its_place() {
        let mut sheet = sheet();
        sheet.change(1, b"X-A", b"", false);
        sheet.change(1, b"X-A", b"back", false);
        assert_eq!(text(&sheet), ALL.replacen("X-A: 1", "X-A: back", 1));
        sheet.change(1, b"Subject", b"", false);
        sheet.add(b"Subject", b"again", false);
        assert!(text(&sheet).contains("Received: by far|Subject: again|X-A: back"));
    }

    #[test]
    fn no_value_becomes_a_line_of_its_own() {
        let mut sheet = sheet();
        sheet.add(b"X-N", b"v\nRPFD:<evil>\n", false);
        assert!(text(&sheet).ends_with("X-N: v\\n\\tRPFD:<evil>\\n\\t"));
        assert_eq!(sheet.add(b"X\nY", b"v", false), None);
    }
}
