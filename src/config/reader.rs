//! Logical lines of a configuration file.
//!
//! A line beginning with a space or a tab continues the one before it; the line
//! break and the blanks stay in the joined text. A line break is LF or CR LF. The
//! number of a logical line is that of its last physical line, as the reference
//! counts. A NUL octet ends the text of its line.
//!
//! Nothing is copied unless a line holds a CR, a comment or an escaped `#`.
//!
//! Source: guide 5; observed: 8.17.1.9.

use std::borrow::Cow;

/// One logical line and where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalLine<'a> {
    /// The text, continuations joined with their line breaks kept.
    pub text: Cow<'a, [u8]>,
    /// Number of its first physical line, counted from one.
    pub first: u32,
    /// Number of its last physical line, the one messages name.
    pub number: u32,
}

/// Cuts a file into logical lines.
#[derive(Debug)]
pub struct LineReader<'a> {
    rest: &'a [u8],
    number: u32,
}

impl<'a> LineReader<'a> {
    /// Begins at the first line of `file`.
    pub fn new(file: &'a [u8]) -> Self {
        Self {
            rest: file,
            number: 0,
        }
    }
}

impl<'a> Iterator for LineReader<'a> {
    type Item = LogicalLine<'a>;

    fn next(&mut self) -> Option<LogicalLine<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let first = self.number.saturating_add(1);
        let mut end = 0;
        let mut next;
        loop {
            let tail = self.rest.get(end..).unwrap_or_default();
            match memchr::memchr(b'\n', tail) {
                Some(at) => {
                    end += at;
                    next = end + 1;
                }
                None => {
                    end = self.rest.len();
                    next = end;
                }
            }
            self.number = self.number.saturating_add(1);
            if matches!(self.rest.get(next), Some(b' ' | b'\t')) {
                end = next;
                continue;
            }
            break;
        }
        let (line, rest) = self.rest.split_at(next);
        self.rest = rest;
        let line = &line[..end.min(line.len())];
        Some(LogicalLine {
            text: without_carriage_returns(until_nul(line)),
            first,
            number: self.number,
        })
    }
}

fn until_nul(line: &[u8]) -> &[u8] {
    match memchr::memchr(0, line) {
        Some(at) => &line[..at],
        None => line,
    }
}

fn without_carriage_returns(line: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\r', line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut text = Vec::with_capacity(line.len());
    for (at, &byte) in line.iter().enumerate() {
        let breaks = byte == b'\r' && matches!(line.get(at + 1), Some(b'\n') | None);
        if !breaks {
            text.push(byte);
        }
    }
    Cow::Owned(text)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Takes comments and the blanks at the end off a line.
///
/// From level 3 on `#` begins a comment anywhere, unless it is written `\#` (which
/// becomes `#`) or belongs to `$#`; blanks before it go with it. A comment ends at
/// a line break inside the logical line.
///
/// Source: guide 5.8.
pub fn strip_comments(line: &[u8], level: u8) -> Cow<'_, [u8]> {
    let trimmed = trim_end(line);
    if level < 3 || memchr::memchr(b'#', trimmed.get(1..).unwrap_or_default()).is_none() {
        return Cow::Borrowed(trimmed);
    }
    let mut text: Vec<u8> = Vec::with_capacity(trimmed.len());
    let mut after_dollar = false;
    let mut bytes = trimmed.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'$' => {
                // `$$` is a plain dollar sign, and what follows it is plain too.
                after_dollar = !after_dollar;
                text.push(byte);
                continue;
            }
            b'#' if at > 0 && !after_dollar => {
                if text.last() == Some(&b'\\') {
                    text.pop();
                    text.push(b'#');
                } else {
                    while text.len() > 1 && text.last().is_some_and(|&b| b != b'\n' && is_blank(b))
                    {
                        text.pop();
                    }
                    match memchr::memchr(b'\n', &trimmed[at..]) {
                        Some(skip) => {
                            text.push(b'\n');
                            bytes = trimmed.iter().copied().enumerate();
                            bytes.nth(at + skip);
                        }
                        None => break,
                    }
                }
            }
            _ => text.push(byte),
        }
        after_dollar = false;
    }
    text.truncate(trim_end(&text).len());
    Cow::Owned(text)
}

fn trim_end(line: &[u8]) -> &[u8] {
    let mut end = line.len();
    while end > 1 && is_blank(line[end - 1]) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        LineReader::new(file)
            .map(|line| (line.number, line.text.into_owned()))
            .collect()
    }

    #[test]
    fn continued_lines_are_one_and_count_to_their_end() {
        assert_eq!(
            lines(b"Da\n\tb\n c\n\nDx"),
            [
                (3, b"Da\n\tb\n c".to_vec()),
                (4, b"".to_vec()),
                (5, b"Dx".to_vec())
            ]
        );
    }

    #[test]
    fn carriage_returns_before_line_breaks_vanish() {
        assert_eq!(
            lines(b"Da\r\n\tb\r\nDc\rd\r\n"),
            [(2, b"Da\n\tb".to_vec()), (3, b"Dc\rd".to_vec())]
        );
    }

    #[test]
    fn comments_end_the_line_from_level_three_on() {
        for (level, line, text) in [
            (2, "Dx a # b", "Dx a # b"),
            (3, "Dx a # b", "Dx a"),
            (3, "Dx a \\# b", "Dx a # b"),
            (10, "R$*\t$#local $: x # c", "R$*\t$#local $: x"),
            (10, "Dx$$#local", "Dx$$"),
            (10, "Hx: a # b\n\tc #d\n e", "Hx: a\n\tc\n e"),
            (10, "S#hash", "S"),
            (10, "Dx  \t", "Dx"),
        ] {
            let stripped = strip_comments(line.as_bytes(), level);
            assert_eq!(stripped.as_ref(), text.as_bytes(), "{line}");
        }
    }

    #[test]
    fn any_bytes_make_lines_that_hold_them_together() {
        let mut seed = 12345u32;
        for _ in 0..2000 {
            let mut file = Vec::new();
            for _ in 0..40 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                file.push(b"\n\r\t #$\\x\0"[(seed >> 16) as usize % 9]);
            }
            for line in LineReader::new(&file) {
                strip_comments(&line.text, 10);
            }
        }
    }
}
