//! Lines of input in, header fields out, until the header ends.
//!
//! Used wherever a message arrives line by line: standard input and SMTP DATA. The
//! header ends at an empty line, or at the first line that cannot be a header line,
//! which then is the first line of the body. A `From ` line before the first field is
//! set aside.

use super::header::{HeaderField, HeaderTraits};
use super::headers::Headers;

/// What became of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineUse {
    /// The line belongs to the header.
    Header,
    /// The line is the empty one between header and body; it belongs to neither.
    Separator,
    /// The line is the first one of the body; the header ended before it.
    Body,
    /// The same, by its name (`Text:`). Observed: 8.17.1.9 loses the end of this line, or of
    /// the last of those it is folded over, and an empty line behind it.
    Text,
}

/// Gathers header fields from lines.
#[derive(Default, Debug)]
pub struct HeaderCollector {
    fields: Headers,
    open: Option<HeaderField>,
    from_line: Option<Vec<u8>>,
    keep_from_line: bool,
    started: bool,
    bytes: usize,
}

impl HeaderCollector {
    /// Makes a collector for a new message.
    pub fn new() -> Self {
        HeaderCollector::default()
    }

    /// Makes a collector that treats a leading `From ` line like any other line.
    ///
    /// Source: option SaveFromLine.
    pub fn keeping_from_line() -> Self {
        HeaderCollector {
            keep_from_line: true,
            ..HeaderCollector::default()
        }
    }

    /// Takes one line, without its line ending.
    pub fn push_line(&mut self, line: &[u8]) -> LineUse {
        let first = !std::mem::replace(&mut self.started, true);
        if line.is_empty() {
            return LineUse::Separator;
        }
        if first && line.starts_with(b"From ") && !self.keep_from_line {
            self.from_line = Some(line.to_vec());
            return LineUse::Header;
        }
        if matches!(line[0], b' ' | b'\t') {
            let Some(field) = &mut self.open else {
                return LineUse::Body;
            };
            field.value.push(b'\n');
            field.value.extend_from_slice(line);
            self.bytes += line.len() + 1;
            return LineUse::Header;
        }
        let Some((name, value)) = split_header_line(line) else {
            return LineUse::Body;
        };
        if HeaderTraits::of(name).has(HeaderTraits::ENDS_HEADER) {
            return LineUse::Text;
        }
        self.bytes += line.len() + 1;
        let next = HeaderField::new(name, value);
        if let Some(done) = self.open.replace(next) {
            self.fields.push(done);
        }
        LineUse::Header
    }

    /// Returns the number of header bytes taken so far, line ends counted as one.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the `From ` line that came before the header.
    pub fn from_line(&self) -> Option<&[u8]> {
        self.from_line.as_deref()
    }

    /// Forgets the field the last line belongs to.
    pub fn drop_open_field(&mut self) {
        self.open = None;
    }

    /// Returns the fields gathered.
    pub fn finish(mut self) -> Headers {
        if let Some(done) = self.open.take() {
            self.fields.push(done);
        }
        self.fields
    }
}

/// Splits `Name: value` into name and raw value, or says that this is no header line.
///
/// White space before the colon is allowed and dropped. A line starting with `--` is
/// never a header, so that a MIME boundary ends a header without an empty line.
pub fn split_header_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.starts_with(b"--") {
        return None;
    }
    let name_end = line
        .iter()
        .position(|byte| !matches!(byte, b'!'..=b'9' | b';'..=b'~'))?;
    if name_end == 0 {
        return None;
    }
    let rest = line[name_end..].trim_ascii_start();
    Some((&line[..name_end], rest.strip_prefix(b":")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_from_line_is_set_aside_only_at_the_top() {
        let mut collector = HeaderCollector::new();
        assert_eq!(collector.push_line(b"From me Thu"), LineUse::Header);
        assert_eq!(collector.push_line(b"A: b"), LineUse::Header);
        assert_eq!(collector.push_line(b"From me Thu"), LineUse::Body);
        assert_eq!(collector.from_line(), Some(&b"From me Thu"[..]));
    }

    #[test]
    fn header_lines() {
        assert_eq!(split_header_line(b"A : b"), Some((&b"A"[..], &b" b"[..])));
        for text in [&b"--x: y"[..], b": y", b"no colon", b"\xe9: y", b""] {
            assert_eq!(split_header_line(text), None, "{text:?}");
        }
    }
}
