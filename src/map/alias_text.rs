//! The text form of aliases: `name: value`, continuation lines, comments.
//!
//! The reader knows the shape of the text only. Whether a left-hand side is a
//! local name, and where the pairs go, is asked of an [`AliasReader`].
//!
//! Source: aliases(5), guide 2.6; texts and the line limit observed: 8.17.1.9.

use super::lookup::AliasName;

/// Longest alias, continuation lines included, in octets. Observed: 8.17.1.9.
const MAX_LINE: usize = 8_190;
/// How much of a line a complaint shows.
const SHOWN_BYTES: usize = 40;

/// Takes what is found in an alias text.
pub trait AliasReader {
    /// Judges a left-hand side; errors of its syntax are reported by the judge.
    fn judge(&mut self, line: usize, name: &[u8]) -> AliasName;

    /// Looks at one address of a right-hand side; `rest` starts with it and goes to the end.
    ///
    /// Called only for readers that check (option CheckAliases).
    fn check(&mut self, _line: usize, _rest: &[u8]) {}

    /// Says whether [`AliasReader::check`] is wanted.
    fn checks(&self) -> bool {
        false
    }

    /// Takes one alias; `shown` is its name in messages.
    fn store(&mut self, line: usize, name: &[u8], shown: &[u8], value: &[u8]);

    /// Takes an error message.
    fn complain(&mut self, line: usize, text: &[u8]);
}

/// What a text held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AliasCount {
    /// How many aliases, repeated ones included.
    pub aliases: usize,
    /// The longest value.
    pub longest: usize,
    /// All names and values together.
    pub bytes: usize,
}

impl AliasCount {
    /// Returns the line that sums up, as the reference prints it.
    pub fn summary(&self, file: &[u8]) -> Vec<u8> {
        let AliasCount {
            aliases,
            longest,
            bytes,
        } = self;
        let numbers = format!(": {aliases} aliases, longest {longest} bytes, {bytes} bytes total");
        [file, numbers.as_bytes()].concat()
    }
}

/// Reads a whole alias text.
pub fn read_aliases(text: &[u8], reader: &mut dyn AliasReader) -> AliasCount {
    let mut lines = Lines {
        rest: text,
        number: 0,
    };
    let mut count = AliasCount::default();
    // A line that starts with a space and continues nothing is reported once per run of
    // them, and not behind a comment.
    let mut skipping = false;
    while let Some(first) = lines.next_line() {
        let mut line = first.to_vec();
        while line.last() == Some(&b'\\') && line.len() <= MAX_LINE {
            let Some(more) = lines.next_line() else { break };
            line.pop();
            line.extend_from_slice(more);
        }
        if line.len() > MAX_LINE {
            reader.complain(lines.number, b"alias line too long");
            skipping = true;
            continue;
        }
        match line.first() {
            None => {
                skipping = false;
                continue;
            }
            Some(b'#') => {
                skipping = true;
                continue;
            }
            Some(b' ' | b'\t') => {
                if !skipping {
                    reader.complain(lines.number, b"Non-continuation line starts with space");
                }
                skipping = true;
                continue;
            }
            Some(_) => skipping = false,
        }
        let Some(colon) = find_colon(&line) else {
            reader.complain(lines.number, b"missing colon");
            continue;
        };
        let verdict = reader.judge(lines.number, line.get(..colon).unwrap_or(&[]));
        if verdict == AliasName::Unparsable {
            let text = [shown(&line), b"... illegal alias name"].concat();
            reader.complain(lines.number, &text);
            continue;
        }
        // The value begins behind the first colon of all, even where quotes hide it from
        // the name. Observed: 8.17.1.9.
        let first = line
            .iter()
            .position(|&octet| octet == b':')
            .unwrap_or(colon);
        let value_start = line.get(first + 1..).unwrap_or(&[]);
        let mut value = trim_spaces(value_start).to_vec();
        check(reader, lines.number, &value, 0);
        if !read_continuation(&mut lines, line.len() - value.len(), &mut value, reader) {
            skipping = true;
            continue;
        }
        match verdict {
            AliasName::Unparsable => {}
            AliasName::NotLocal(name) => {
                let text = [&*name, b"... cannot alias non-local names"].concat();
                reader.complain(lines.number, &text);
            }
            AliasName::Local { .. } if trim_spaces(&value).is_empty() => {
                let text = [shown(&line), b"... missing value for alias"].concat();
                reader.complain(lines.number, &text);
            }
            AliasName::Local {
                user: mut name,
                shown,
            } => {
                if name.eq_ignore_ascii_case(b"postmaster") {
                    name.make_ascii_lowercase();
                }
                count.aliases += 1;
                count.longest = count.longest.max(value.len());
                count.bytes += name.len() + value.len();
                reader.store(lines.number, &name, &shown, &value);
            }
        }
    }
    count
}

/// Appends lines that start with a space or tab, which stays part of the value.
fn read_continuation(
    lines: &mut Lines<'_>,
    before: usize,
    value: &mut Vec<u8>,
    reader: &mut dyn AliasReader,
) -> bool {
    while lines.next_starts_with_space() {
        let Some(more) = lines.next_line() else { break };
        let start = value.len();
        // Spaces count as part of a value only inside of it.
        value.extend_from_slice(if start == 0 { trim_spaces(more) } else { more });
        if before + value.len() > MAX_LINE {
            reader.complain(lines.number, b"alias line too long");
            return false;
        }
        check(reader, lines.number, value, start);
    }
    true
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = self.rest.iter().position(|&octet| octet == b'\n');
        let line = self
            .rest
            .get(..end.unwrap_or(self.rest.len()))
            .unwrap_or(&[]);
        self.rest = end.and_then(|end| self.rest.get(end + 1..)).unwrap_or(&[]);
        Some(line)
    }

    fn next_starts_with_space(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|octet| !octet.is_ascii_whitespace());
    start.and_then(|start| text.get(start..)).unwrap_or(&[])
}

fn shown(line: &[u8]) -> &[u8] {
    line.get(..SHOWN_BYTES).unwrap_or(line)
}

/// Finds the colon behind the name; one inside quotes belongs to the name.
fn find_colon(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    line.iter().position(|&octet| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match octet {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        octet == b':' && !quoted
    })
}

/// Hands the addresses of `value` that start at `from` or later to the reader.
fn check(reader: &mut dyn AliasReader, line: usize, value: &[u8], from: usize) {
    if !reader.checks() {
        return;
    }
    let mut rest = value.get(from..).unwrap_or(&[]);
    loop {
        let start = rest
            .iter()
            .position(|octet| !octet.is_ascii_whitespace() && *octet != b',');
        let Some(start) = start else { return };
        rest = rest.get(start..).unwrap_or(&[]);
        reader.check(line, rest);
        rest = rest.get(address_end(rest)..).unwrap_or(&[]);
    }
}

/// Returns where the comma behind the first address is.
fn address_end(text: &[u8]) -> usize {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for (index, &octet) in text.iter().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match octet {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'(' | b'<' if !quoted => depth += 1,
            b')' | b'>' if !quoted => depth = depth.saturating_sub(1),
            b',' if !quoted && depth == 0 => return index,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept {
        pairs: Vec<(String, String)>,
        complaints: Vec<String>,
    }

    impl AliasReader for Kept {
        fn judge(&mut self, _line: usize, name: &[u8]) -> AliasName {
            let name = name.trim_ascii().to_vec();
            if name.is_empty() {
                AliasName::Unparsable
            } else if name.contains(&b'@') {
                AliasName::NotLocal(name)
            } else {
                AliasName::Local {
                    user: name.clone(),
                    shown: name,
                }
            }
        }

        fn store(&mut self, _line: usize, name: &[u8], _shown: &[u8], value: &[u8]) {
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
            self.pairs.push((text(name), text(value)));
        }

        fn complain(&mut self, line: usize, text: &[u8]) {
            self.complaints
                .push(format!("{line}: {}", String::from_utf8_lossy(text)));
        }
    }

    #[test]
    fn a_text_full_of_mistakes_is_read_as_by_the_reference() {
        let text = b"good: bob\ngood: cid\nno colon here\n: bob\nempty:\n  leading: space\n\
            bad@far.test: bob\nspaced name: bob\n\"quoted name\": cid\nbad2: <bob\nUPPER: bob\n\
            upper: cid\n";
        let mut kept = Kept::default();
        let count = read_aliases(text, &mut kept);
        assert_eq!(
            kept.complaints,
            [
                "3: missing colon",
                "4: : bob... illegal alias name",
                "7: bad@far.test... cannot alias non-local names",
            ]
        );
        assert_eq!(
            count.summary(b"/etc/mail/aliases"),
            b"/etc/mail/aliases: 8 aliases, longest 14 bytes, 87 bytes total"
        );
    }

    #[test]
    fn lines_go_on_with_a_space_or_a_backslash() {
        let mut kept = Kept::default();
        read_aliases(
            b"list: bob, cid,\n\tdan\nback: a,\\\n b\n# c\n\nlast: x",
            &mut kept,
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            kept.pairs,
            [
                pair("list", "bob, cid,\tdan"),
                pair("back", "a, b"),
                pair("last", "x")
            ]
        );
    }

    #[test]
    fn a_name_without_value_and_an_endless_value_are_reported() {
        let mut kept = Kept::default();
        let mut text = b"novalue:\nlong: a,\n".to_vec();
        for number in 0..2_000 {
            text.extend_from_slice(format!("  b{number},\n").as_bytes());
        }
        text.extend_from_slice(b"x: y\n");
        let count = read_aliases(&text, &mut kept);
        assert_eq!(kept.complaints[0], "1: novalue:... missing value for alias");
        assert_eq!(kept.complaints[1], "1164: alias line too long");
        assert_eq!(count.aliases, 1);
    }

    #[test]
    fn no_text_makes_it_panic() {
        let pieces: [&[u8]; 10] = [
            b"a", b":", b"\n", b" ", b"\\", b"\"", b"#", b"\\\n", b"(<", b"\xff\0",
        ];
        let mut state = 3_usize;
        for _ in 0..3_000 {
            let mut text = Vec::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(12_345);
                text.extend_from_slice(pieces[(state >> 33) % pieces.len()]);
            }
            read_aliases(&text, &mut Kept::default());
        }
    }
}
