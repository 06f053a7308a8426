//! Class `text`: a plain file whose first line with the key counts.

use std::ops::Range;

use super::definition::MapDefinition;
use super::flags::{MapFlags, is_space};
use super::kept_text::{KeptText, Text};
use super::lookup::{LookupContext, LookupHost, Map, MapAnswer, STATUS_NOT_FOUND};
use super::open::{OpenFault, open_file, reason_of_way};
use super::set::{MapServices, OPENING_TRACE_LEVEL};
use crate::sys::safe_open::OpenError;
use crate::text::bytes::parse_decimal;

/// Which file and columns.
pub(super) struct TextMap {
    text: KeptText,
    flags: MapFlags,
    key_column: usize,
    value_column: usize,
}

impl TextMap {
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<TextMap, OpenFault> {
        let flags = definition.flags.clone();
        let path = definition.file.clone();
        let head = [b"text map \"", &*definition.name, b"\""].concat();
        if !path.starts_with(b"/") {
            host.complain(&[&head, b": file name must be fully qualified".as_slice()].concat());
            return Err(OpenFault);
        }
        if let Err(error) = open_file(services, &path) {
            if host.trace_level() >= OPENING_TRACE_LEVEL {
                host.trace(&trace_of(&error));
            }
            if !flags.optional {
                let reason = reason_of_way(&path, &error);
                let text = [&head, b": unsafe map file ".as_slice(), &path, &reason].concat();
                if reason.is_empty() {
                    host.complain(&text);
                } else {
                    host.complain_of_system(&text);
                }
            }
            return Err(OpenFault);
        }
        let mut column = |letter: u8, wanted: &Option<Vec<u8>>| {
            let Some(text) = wanted else { return Ok(0) };
            if text.first().is_some_and(u8::is_ascii_digit) {
                let digits = text
                    .split(|octet| !octet.is_ascii_digit())
                    .next()
                    .unwrap_or(&[]);
                return Ok(parse_decimal(digits).unwrap_or(usize::MAX));
            }
            let option = [
                b": -",
                [letter].as_slice(),
                b" should specify a number, not ",
            ]
            .concat();
            host.complain(&[&head, b", file ".as_slice(), &path, &option, text].concat());
            Err(OpenFault)
        };
        let key_column = column(b'k', &flags.key_column)?;
        let value_column = column(b'v', &flags.value_column)?;
        if host.trace_level() >= OPENING_TRACE_LEVEL {
            let shown: &[u8] = match &flags.separator {
                Some(separator) => std::slice::from_ref(separator),
                None => b"(white space)",
            };
            let middle: &[u8] = b"): delimiter = ";
            let name = &*definition.name;
            host.trace(&[b"text_map_open(", name, b", ", &path, middle, shown, b"\n"].concat());
        }
        Ok(TextMap {
            text: KeptText::new(path, services.moments.clone()),
            flags,
            key_column,
            value_column,
        })
    }
}

impl TextMap {
    /// Says where the key of a line lies, unless it is a remark.
    fn key_of(&self, line: &[u8]) -> Option<Range<usize>> {
        if line.starts_with(b"#") {
            return None;
        }
        column(line, self.key_column, self.flags.separator)
    }
}

/// Shows the number of the fault (debug category 38).
fn trace_of(error: &OpenError) -> Vec<u8> {
    let number = match error {
        OpenError::Io(error) => error.raw_os_error().unwrap_or(0),
        OpenError::Unsafe { .. } => 0,
    };
    format!("\tunsafe map file: {number}\n").into_bytes()
}

impl Map for TextMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let text = match self.text.now(|line| self.key_of(line)) {
            Ok(text) => text,
            Err(error) => {
                let reason = crate::sys::host::error_text(&error);
                let head: &[u8] = b"text_map_lookup: cannot open ";
                cx.host
                    .complain(&[head, self.text.path(), b": ", reason.as_bytes()].concat());
                return MapAnswer::temporary();
            }
        };
        // An empty first column is no key, another one is. Observed: 8.17.1.9.
        let is_key = !key.is_empty() || self.key_column > 0;
        let line = match &text {
            _ if !is_key => None,
            Text::Kept(kept) => kept.line(key),
            Text::Read(read) => read.split(|&octet| octet == b'\n').find(|line| {
                self.key_of(line)
                    .and_then(|place| line.get(place))
                    .is_some_and(|word| word.eq_ignore_ascii_case(key))
            }),
        };
        let found =
            line.and_then(|line| line.get(column(line, self.value_column, self.flags.separator)?));
        match found {
            Some(stored) => {
                MapAnswer::found(self.flags.stored_value(key, stored, arguments, cx.mode))
            }
            None => MapAnswer::failed(STATUS_NOT_FOUND),
        }
    }
}

/// Says where one column of a line lies, counted from 0.
///
/// Without a separator columns are words, and spaces in front do not count.
fn column(line: &[u8], wanted: usize, separator: Option<u8>) -> Option<Range<usize>> {
    if separator.is_some() && line.is_empty() {
        return None;
    }
    let is_end = |octet: u8| match separator {
        Some(separator) => octet == separator,
        None => is_space(octet),
    };
    let mut start = 0;
    line.split(|&octet| is_end(octet))
        .map(|word| {
            let place = start..start + word.len();
            start = place.end + 1;
            place
        })
        .filter(|place| separator.is_some() || !place.is_empty())
        .nth(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_words_or_lie_between_separators() {
        for (line, wanted, separator, found) in [
            ("  a b\tc", 1, None, Some("b")),
            ("a:b c::d", 1, Some(b':'), Some("b c")),
            ("a:b c::d", 2, Some(b':'), Some("")),
            ("a b", 2, None, None),
            ("", 0, Some(b':'), None),
        ] {
            let place = column(line.as_bytes(), wanted, separator);
            assert_eq!(place.map(|place| &line[place]), found, "{line}");
        }
    }
}
