//! Type, subtype and parameters of a Content-Type field.
//!
//! Source: RFC 2045 section 5.1.

/// A parsed Content-Type field; words keep their spelling.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContentType {
    /// The type, such as `text`.
    pub kind: Vec<u8>,
    /// The subtype, such as `plain`.
    pub subtype: Vec<u8>,
    /// The boundary parameter.
    pub boundary: Option<Vec<u8>>,
}

impl ContentType {
    /// Reads the value of a field; what cannot be read is left empty.
    pub fn parse(value: &[u8]) -> ContentType {
        let mut words = Words { rest: value };
        let mut parsed = ContentType {
            kind: words.next().unwrap_or_default(),
            ..ContentType::default()
        };
        let mut word = words.next();
        if word.as_deref() == Some(b"/") {
            parsed.subtype = words.next().unwrap_or_default();
            word = words.next();
        }
        while let Some(current) = word {
            if current == b";" {
                let name = words.next();
                word = words.next();
                if word.as_deref() == Some(b"=") {
                    let value = words.next();
                    if name.is_some_and(|name| name.eq_ignore_ascii_case(b"boundary")) {
                        parsed.boundary = value;
                    }
                    word = words.next();
                }
            } else {
                word = words.next();
            }
        }
        parsed
    }

    /// Tells whether type and subtype are these, without regard to case; an empty subtype
    /// matches any.
    pub fn is(&self, kind: &[u8], subtype: &[u8]) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
            && (subtype.is_empty() || self.subtype.eq_ignore_ascii_case(subtype))
    }

    /// Returns `type/subtype`.
    pub fn full_name(&self) -> Vec<u8> {
        [&self.kind[..], b"/", &self.subtype].concat()
    }
}

/// Words, quoted strings (without quotes) and single special characters of a MIME field.
struct Words<'a> {
    rest: &'a [u8],
}

impl Words<'_> {
    fn skip_space_and_comments(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.first() != Some(&b'(') {
                return;
            }
            let (mut depth, mut escaped, mut end) = (0u32, false, self.rest.len());
            for (at, byte) in self.rest.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    end = at + 1;
                    break;
                }
            }
            self.rest = &self.rest[end..];
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.skip_space_and_comments();
        let first = *self.rest.first()?;
        if first == b'"' {
            return Some(self.quoted());
        }
        let length = self
            .rest
            .iter()
            .position(|byte| is_special(*byte))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length.max(1));
        self.rest = rest;
        Some(word.to_vec())
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut word = Vec::new();
        let mut escaped = false;
        for (at, byte) in self.rest.iter().enumerate().skip(1) {
            match byte {
                _ if escaped => {
                    escaped = false;
                    word.push(*byte);
                }
                b'\\' => escaped = true,
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    return word;
                }
                _ => word.push(*byte),
            }
        }
        self.rest = &[];
        word
    }
}

/// Tells whether a byte ends a word.
fn is_special(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"()<>@,;:\\/[]?=\"".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_apart() {
        let parsed =
            ContentType::parse(b" Multipart/Mixed (hi); charset=x;\n\tboundary=\"a b\\\"c\"; y");
        assert!(parsed.is(b"multipart", b"mixed"));
        assert_eq!(parsed.boundary.as_deref(), Some(&b"a b\"c"[..]));
        assert_eq!(ContentType::parse(b"text").kind, b"text");
        assert_eq!(ContentType::parse(b"").kind, b"");
    }

    #[test]
    fn no_input_makes_it_panic() {
        let seed = b"a/b; c=\"d\\\"\"; boundary=(x(y)\\)) z; ;=;\"";
        for cut in 0..seed.len() {
            for at in 0..seed.len() {
                let mut text = seed[cut..].to_vec();
                let place = at % text.len();
                text[place] = seed[at];
                ContentType::parse(&text);
            }
        }
    }
}
