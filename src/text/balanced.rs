//! Cutting header text without leaving quotes or comments open.

/// What is open at some place of a text.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    escaped: bool,
    quoted: bool,
    comments: usize,
}

impl Open {
    /// Octets it takes to end the text here.
    fn needs(self) -> usize {
        usize::from(self.escaped) + self.comments + usize::from(self.quoted)
    }

    fn after(self, octet: u8) -> Open {
        let mut open = self;
        if open.escaped {
            open.escaped = false;
            return open;
        }
        match octet {
            b'\\' => open.escaped = true,
            b'(' if !open.quoted => open.comments += 1,
            b')' => open.comments = open.comments.saturating_sub(1),
            _ => {}
        }
        // Inside of a comment quotes do not matter.
        if open.comments == 0 && octet == b'"' {
            open.quoted = !open.quoted;
        }
        open
    }
}

/// Cuts a text to at most `limit` octets, the comments and quotes it closes included.
///
/// Source: RFC 5322 section 3.2; which octets are kept: observed, 8.17.1.9.
pub fn shorten_balanced(text: &[u8], limit: usize) -> Vec<u8> {
    let limit = limit.min(text.len());
    let mut open = Open::default();
    let mut kept = 0;
    for &octet in text {
        let next = open.after(octet);
        if limit - kept <= next.needs() {
            // What this octet would have opened stays closed.
            if !open.escaped {
                match octet {
                    b'(' if !next.quoted => open.comments = next.comments - 1,
                    b'"' if next.comments == 0 => open.quoted = false,
                    b')' => open.comments = next.comments,
                    _ => {}
                }
            }
            break;
        }
        open = next;
        kept += 1;
    }
    let mut short = text.get(..kept).unwrap_or(text).to_vec();
    short.extend(std::iter::repeat_n(b')', open.comments));
    if open.quoted {
        short.push(b'"');
    }
    short
}

/// Splits a text at an octet outside of quotes and comments.
pub fn split_balanced(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut open = Open::default();
    text.split(|&octet| {
        let is_end = octet == separator && open.needs() == 0;
        open = open.after(octet);
        is_end
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_stays_balanced() {
        for (text, limit, short) in [
            ("plain", 9, "plain"),
            ("plain", 3, "pla"),
            ("\"quoted\"", 5, "\"quo\""),
            ("(a (b) c)", 4, "(a )"),
            ("(a (b) c)", 5, "(a )"),
            ("(a (b) c)", 6, "(a ())"),
            ("(a (b) c)", 7, "(a (b))"),
            ("ab\\cd", 3, "ab"),
            ("", 0, ""),
        ] {
            let found = shorten_balanced(text.as_bytes(), limit);
            assert_eq!(String::from_utf8_lossy(&found), short, "{text} {limit}");
        }
    }

    #[test]
    fn no_text_makes_it_panic_or_grow() {
        let pieces = b"a\"\\() ";
        for number in 0..7_776_u32 {
            let text: Vec<u8> = (0..5)
                .map(|place| pieces[(number / 6_u32.pow(place) % 6) as usize])
                .collect();
            for limit in 0..7 {
                let short = shorten_balanced(&text, limit);
                assert!(short.len() <= text.len() + 1, "{text:?} {limit}");
            }
        }
    }
}
