//! Address lists, and the comments and phrases around a core address.
//!
//! Header addresses are rewritten at their core only: `"A B" <a@b> (c)` keeps the
//! phrase and the comment when `a@b` becomes something else. [`AddressTemplate`] is
//! the text around the core; phrases with special characters get the quotes they need
//! on the way, and unclosed quotes, comments and brackets are closed.
//!
//! [`split_address_list`] and [`next_address`] cut lists; [`quote_phrase`] prepares a
//! full name.
//!
//! Source: RFC 5322 section 3.4, option MustQuoteChars; observed: 8.17.1.9.

use crate::text::bytes::{drop_end_spaces, is_space, skip_spaces};

/// Characters that always force quotes around a phrase, whatever MustQuoteChars adds.
///
/// Source: option MustQuoteChars.
pub const ALWAYS_QUOTED: &[u8] = b"@,;:\\()[]";

/// Longest template, the core counted as [`CORE_BYTES`]; around a longer one only the brackets stay.
/// Observed: 8.17.1.9.
const MAX_TEMPLATE_BYTES: usize = 255;
/// What the place of the core counts.
const CORE_BYTES: usize = 2;

/// What the configuration says about phrases.
#[derive(Clone, Copy, Debug)]
pub struct PhraseRules<'a> {
    /// Further characters that need quotes (option MustQuoteChars).
    pub must_quote: &'a [u8],
    /// Whether a colon is an ordinary address character (option ColonOkInAddr).
    pub colon_is_ordinary: bool,
}

impl Default for PhraseRules<'_> {
    fn default() -> Self {
        PhraseRules {
            must_quote: b".'",
            colon_is_ordinary: false,
        }
    }
}

impl PhraseRules<'_> {
    fn needs_quotes(&self, byte: u8) -> bool {
        ALWAYS_QUOTED.contains(&byte) || self.must_quote.contains(&byte)
    }
}

/// An address with its core taken out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressTemplate {
    text: Vec<u8>,
    core_at: Option<usize>,
}

impl AddressTemplate {
    /// The template of an address without anything around it.
    pub fn bare() -> Self {
        AddressTemplate {
            text: Vec::new(),
            core_at: Some(0),
        }
    }

    /// Takes the core out of an address.
    pub fn of(address: &[u8], rules: &PhraseRules<'_>) -> Self {
        Cracker::new(skip_spaces(address), rules).run()
    }

    /// Puts an address where the core was.
    pub fn apply(&self, core: &[u8]) -> Vec<u8> {
        let Some(at) = self.core_at else {
            return self.text.clone();
        };
        [&self.text[..at], core, &self.text[at..]].concat()
    }
}

/// Walks over an address once, copying what surrounds the core.
///
/// Without angle brackets the comments are copied and the first other character marks
/// the core. An opening bracket changes that view: what came before was a phrase, so
/// the output starts again with the phrase as written, and everything after the closing
/// bracket is copied. A `group:` prefix is copied the same way and starts a new address.
struct Cracker<'a> {
    input: &'a [u8],
    at: usize,
    rules: &'a PhraseRules<'a>,
    /// Start of the address proper, behind a group name.
    address_start: usize,
    out: Vec<u8>,
    /// Length of the output that belongs to a group name.
    head: usize,
    core_at: Option<usize>,
    /// Above zero: characters are copied, they are not address.
    copying: u32,
    comment_depth: u32,
    open_comments: u32,
    bracket_depth: i32,
    in_angle: bool,
    seen_angle: bool,
    angle_open: bool,
    seen_colon: bool,
    quoted: bool,
    quote_open: bool,
    phrase_needs_quotes: bool,
    /// Up to where the output may grow: room for what must still be closed is left free.
    limit: usize,
    /// Something that had to be copied had no room.
    is_too_long: bool,
}

impl<'a> Cracker<'a> {
    fn new(input: &'a [u8], rules: &'a PhraseRules<'a>) -> Self {
        Cracker {
            input,
            at: 0,
            rules,
            address_start: 0,
            out: Vec::with_capacity(input.len() + 8),
            head: 0,
            core_at: None,
            copying: 0,
            comment_depth: 0,
            open_comments: 0,
            bracket_depth: 0,
            in_angle: false,
            seen_angle: false,
            angle_open: false,
            seen_colon: false,
            quoted: false,
            quote_open: false,
            phrase_needs_quotes: false,
            limit: MAX_TEMPLATE_BYTES,
            is_too_long: false,
        }
    }

    fn run(mut self) -> AddressTemplate {
        while let Some(byte) = self.next() {
            self.step(byte);
            if self.is_too_long {
                return AddressTemplate {
                    text: b"<>".to_vec(),
                    core_at: Some(1),
                };
            }
        }
        if self.quote_open {
            self.out.push(b'"');
        }
        self.out
            .extend(std::iter::repeat_n(b')', self.open_comments as usize));
        if self.angle_open {
            self.out.push(b'>');
        }
        AddressTemplate {
            text: self.out,
            core_at: self.core_at,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.input.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn step(&mut self, byte: u8) {
        if self.copying > 0 {
            self.put(byte);
        }
        if byte == b'\\' {
            return self.escape();
        }
        if byte == b'"' && self.comment_depth == 0 {
            self.quoted = !self.quoted;
            if self.copying > 0 && self.has_room() {
                // Observed: 8.17.1.9 counts the wrong way round here, so a quoted string behind
                // the address is too much in most cases.
                if self.quote_open {
                    self.limit -= 1;
                } else {
                    self.limit += 1;
                }
                self.quote_open = !self.quote_open;
            }
            return;
        }
        if self.quoted {
            return self.core();
        }
        if byte == b'(' {
            self.open_comment();
        }
        if self.comment_depth > 0 {
            if byte == b')' {
                self.close_comment();
            }
            return;
        }
        if byte == b')' && self.copying > 0 && self.has_room() {
            // Closes nothing: leave it out.
            self.out.pop();
        }
        match byte {
            b'[' => self.bracket_depth += 1,
            b']' => self.bracket_depth -= 1,
            _ => {}
        }
        if byte == b':' && self.may_end_a_group_name() {
            return self.colon();
        }
        if byte == b';' && self.copying == 0 && !self.rules.colon_is_ordinary {
            self.put(byte);
        }
        if self.rules.needs_quotes(byte) {
            self.phrase_needs_quotes = true;
        }
        match byte {
            b'<' => self.open_angle(),
            b'>' => self.close_angle(),
            _ => self.core(),
        }
    }

    fn escape(&mut self) {
        if self.comment_depth == 0 && !self.quoted {
            self.phrase_needs_quotes = true;
        }
        if let Some(escaped) = self.next()
            && self.copying > 0
        {
            self.put(escaped);
        }
        self.core();
    }

    fn open_comment(&mut self) {
        self.comment_depth += 1;
        if !self.has_room() {
            self.is_too_long = true;
            return;
        }
        self.limit -= 1;
        self.open_comments += 1;
        self.copying += 1;
        if self.copying == 1 {
            if self.out.len() > self.head || self.core_at.is_some() {
                self.put(b' ');
            }
            self.put(b'(');
        }
    }

    fn close_comment(&mut self) {
        self.comment_depth -= 1;
        if self.open_comments > self.comment_depth {
            self.limit += (self.open_comments - self.comment_depth) as usize;
            self.open_comments = self.comment_depth;
            self.copying = self.copying.saturating_sub(1);
        }
    }

    fn may_end_a_group_name(&self) -> bool {
        !self.in_angle
            && self.bracket_depth <= 0
            && !self.seen_colon
            && !self.rules.colon_is_ordinary
    }

    fn colon(&mut self) {
        // DECnet writes host::user and host:.domain; those colons are address.
        if let Some(next @ (b':' | b'.')) = self.input.get(self.at).copied() {
            self.phrase_needs_quotes = true;
            self.at += 1;
            if self.copying > 0 {
                // Observed: 8.17.1.9 copies the first of the two once more.
                self.put(b':');
                self.put(next);
            }
            return self.core();
        }
        self.seen_colon = true;
        self.restart_with_phrase(b':');
        while let Some(space) = self.input.get(self.at).copied().filter(is_space) {
            self.put(space);
            self.at += 1;
        }
        self.head = self.out.len();
        self.address_start = self.at;
    }

    fn open_angle(&mut self) {
        // Of two opening brackets the first is taken as part of the phrase.
        self.phrase_needs_quotes |= self.seen_angle;
        self.seen_angle = true;
        self.in_angle = true;
        if self.has_room() && !self.angle_open {
            self.limit -= 1;
            self.angle_open = true;
        }
        self.restart_with_phrase(b'<');
    }

    fn close_angle(&mut self) {
        if self.in_angle {
            self.in_angle = false;
            if self.has_room() && self.angle_open {
                self.limit += 1;
                self.angle_open = false;
            }
        } else {
            if self.copying > 0 {
                self.out.pop();
            }
            self.phrase_needs_quotes = true;
            return;
        }
        self.copying += 1;
        // Where there is no room any more the bracket is closed at the end.
        if self.copying == 1 && !self.angle_open {
            self.put(b'>');
        }
    }

    /// Throws away what was copied, and copies the text before `end` as a phrase.
    fn restart_with_phrase(&mut self, end: u8) {
        self.out.truncate(self.head);
        self.core_at = None;
        let phrase_end = self.at - 1;
        let phrase = &self.input[self.address_start.min(phrase_end)..phrase_end];
        // An empty phrase gets quotes only behind a group name.
        let has_words = self.head > 0 || !drop_end_spaces(phrase).is_empty();
        if self.phrase_needs_quotes && has_words {
            let words = drop_end_spaces(phrase);
            self.put(b'"');
            for byte in words {
                if *byte == b'"' {
                    self.put(b'\\');
                }
                self.put(*byte);
            }
            self.put(b'"');
            phrase[words.len()..]
                .iter()
                .for_each(|byte| self.put(*byte));
        } else {
            phrase.iter().for_each(|byte| self.put(*byte));
        }
        self.put(end);
        self.copying = 0;
        self.phrase_needs_quotes = false;
    }

    /// Notes that address text stands here.
    fn core(&mut self) {
        if self.copying == 0 && self.core_at.is_none() {
            if self.out.last() == Some(&b')') {
                self.put(b' ');
            }
            if self.used() + CORE_BYTES > self.limit {
                self.is_too_long = true;
            }
            self.core_at = Some(self.out.len());
        }
    }

    fn used(&self) -> usize {
        self.out.len() + self.core_at.map_or(0, |_| CORE_BYTES)
    }

    fn has_room(&self) -> bool {
        self.used() < self.limit && self.limit <= MAX_TEMPLATE_BYTES
    }

    fn put(&mut self, byte: u8) {
        if self.has_room() {
            self.out.push(byte);
        } else {
            self.is_too_long = true;
        }
    }
}

/// Cuts the first address off a list: the address as written, and the rest after the comma.
///
/// Quotes, comments and angle brackets hide commas. With `old_style` a space ends an
/// address too, unless an at sign is next to it. Returns none at the end of the list.
///
/// Source: option OldStyleHeaders.
pub fn next_address(list: &[u8], old_style: bool) -> Option<(&[u8], &[u8])> {
    let start = list
        .iter()
        .position(|byte| !is_space(byte) && *byte != b',')?;
    let list = &list[start..];
    // A bracket that is never closed holds nothing together.
    let end = end_of_address(list, old_style, true)
        .unwrap_or_else(|| end_of_address(list, old_style, false).unwrap_or(list.len()));
    Some((
        drop_end_spaces(&list[..end]),
        list.get(end..).unwrap_or_default(),
    ))
}

/// Finds the end of the first address of a list; none if a bracket is open there.
fn end_of_address(list: &[u8], old_style: bool, minds_brackets: bool) -> Option<usize> {
    let (mut comment, mut angle, mut quoted, mut escaped) = (0u32, 0u32, false, false);
    for (at, byte) in list.iter().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' if comment == 0 => quoted = !quoted,
            b'(' if !quoted => comment += 1,
            b')' if !quoted => comment = comment.saturating_sub(1),
            b'<' if !quoted && comment == 0 && minds_brackets => angle += 1,
            b'>' if !quoted && comment == 0 => angle = angle.saturating_sub(1),
            b',' if !quoted && comment == 0 && angle == 0 => return Some(at),
            space
                if is_space(space)
                    && old_style
                    && !quoted
                    && comment == 0
                    && angle == 0
                    && !touches_at_sign(list, at) =>
            {
                return Some(at);
            }
            _ => {}
        }
    }
    (angle == 0).then_some(list.len())
}

fn touches_at_sign(list: &[u8], space: usize) -> bool {
    let next = skip_spaces(&list[space..]).first();
    let previous = drop_end_spaces(&list[..space]).last();
    next == Some(&b'@') || previous == Some(&b'@')
}

/// Splits an address list at its commas; quotes, comments and angle brackets hide commas.
///
/// Pieces are returned trimmed; empty pieces are left out.
pub fn split_address_list(list: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = list;
    while let Some((piece, after)) = next_address(rest, false) {
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Returns the address without comments, phrases and brackets around it.
pub fn core_address(address: &[u8]) -> Vec<u8> {
    let (mut comment, mut quoted, mut escaped) = (0u32, false, false);
    let (mut plain, mut angle): (Vec<u8>, Option<Vec<u8>>) = (Vec::new(), None);
    let mut in_angle = false;
    for byte in address {
        let literal = escaped || quoted;
        if escaped {
            escaped = false;
        } else {
            match byte {
                b'\\' => escaped = true,
                b'"' if comment == 0 => quoted = !quoted,
                b'(' if !quoted => comment += 1,
                b')' if !quoted && comment > 0 => {
                    comment -= 1;
                    continue;
                }
                _ => {}
            }
        }
        if comment > 0 {
            continue;
        }
        match byte {
            b'<' if !literal => {
                in_angle = true;
                angle = Some(Vec::new());
            }
            b'>' if !literal => in_angle = false,
            _ if in_angle => angle.get_or_insert_default().push(*byte),
            _ => plain.push(*byte),
        }
    }
    drop_end_spaces(skip_spaces(&angle.unwrap_or(plain))).to_vec()
}

/// Puts quotes around a full name that needs them to stand before an angle bracket.
///
/// A name that is already well formed (words, quoted strings, comments) stays as it is.
pub fn quote_phrase(name: &[u8], rules: &PhraseRules<'_>) -> Vec<u8> {
    if is_well_formed_phrase(name, rules) {
        return name.to_vec();
    }
    let mut quoted = vec![b'"'];
    for byte in name {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

fn is_well_formed_phrase(name: &[u8], rules: &PhraseRules<'_>) -> bool {
    let (mut comment, mut quoted, mut escaped) = (0i32, false, false);
    for byte in name {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' if comment == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => comment += 1,
            b')' if comment == 0 => return false,
            b')' => comment -= 1,
            special
                if comment == 0
                    && (rules.needs_quotes(*special) || matches!(special, b'<' | b'>')) =>
            {
                return false;
            }
            _ => {}
        }
    }
    comment == 0 && !quoted && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(address: &str) -> String {
        let rules = PhraseRules::default();
        let result = AddressTemplate::of(address.as_bytes(), &rules).apply(b"X");
        String::from_utf8(result).unwrap()
    }

    #[test]
    fn comments_and_phrases_stay_around_the_core() {
        for (address, expected) in [
            ("a@b", "X"),
            ("  a@b (c)", "X (c)"),
            ("(c) a@b", "(c) X"),
            ("A B <a@b>", "A B <X>"),
            ("\"A B\" <a@b> (c)", "\"A B\" <X> (c)"),
            ("A (x) B <a@b>", "A (x) B <X>"),
            ("<a@b> c::d", "<X> c:::d"),
            (
                "Joe (nested (comment)) <joe@far>",
                "Joe (nested (comment)) <X>",
            ),
            ("A. B <a@b>", "\"A. B\" <X>"),
            ("A@B C <a@b>", "\"A@B C\" <X>"),
            ("<>", "<>"),
            ("group: a@b", "group: X"),
            (
                "\"Ann \\\"The\\\" Example\" <ann> (home)",
                "\"Ann \\\"The\\\" Example\" <X> (home)",
            ),
            ("@lab.test:cid@far.test", "\"@lab.test\":X"),
            ("\"B (x)\" <b@k> (comment)", "\"B (x)\" <X> (comment)"),
            ("\"quo ted\"@b", "X"),
            ("a@b (open", "X (open)"),
            ("A <a@b", "A <X>"),
        ] {
            assert_eq!(rewritten(address), expected, "{address}");
        }
    }

    #[test]
    fn around_an_address_that_is_too_long_nothing_stays() {
        for (before, behind) in [(250, "(x{250}) X"), (251, "<X>")] {
            let comment = "x".repeat(before);
            let found = rewritten(&format!("({comment})ann"));
            assert_eq!(found.replace(&comment, "x{250}"), behind, "{before}");
        }
        // A quoted string behind the brackets counts wrong and is always too much.
        assert_eq!(rewritten("<a@b> x \"y\""), "<X>");
        assert_eq!(rewritten("<a@b> (\"y\")"), "<X> (\"y\")");
        assert_eq!(rewritten("<>g.h:<"), "\"<>g.h\":\"\"<>");
    }

    #[test]
    fn commas_inside_quotes_and_comments_do_not_split() {
        let list = b" a, \"b, c\" <d@e>, f (g, h), <@i,@j:k@l>";
        let pieces: Vec<&[u8]> = vec![b"a", b"\"b, c\" <d@e>", b"f (g, h)", b"<@i,@j:k@l>"];
        assert_eq!(split_address_list(list), pieces);
    }

    #[test]
    fn old_style_lists_split_at_spaces_away_from_at_signs() {
        let (first, rest) = next_address(b"ann bob @ far  cid", true).unwrap();
        assert_eq!(first, b"ann");
        let (second, rest) = next_address(rest, true).unwrap();
        assert_eq!(second, b"bob @ far");
        assert_eq!(next_address(rest, true).unwrap().0, b"cid");
    }

    #[test]
    fn core_addresses() {
        for (address, core) in [
            ("A B <a@b> (c)", "a@b"),
            ("a@b (c)", "a@b"),
            ("\"<x>\" <y>", "y"),
            ("(a (b) c) d", "d"),
        ] {
            assert_eq!(
                core_address(address.as_bytes()),
                core.as_bytes(),
                "{address}"
            );
        }
    }

    #[test]
    fn full_names_get_quotes_only_when_needed() {
        let rules = PhraseRules::default();
        for (name, expected) in [
            ("Cid (The Cat) Smith", "Cid (The Cat) Smith"),
            ("A. B", "\"A. B\""),
            ("\"x\"", "\"x\""),
        ] {
            assert_eq!(quote_phrase(name.as_bytes(), &rules), expected.as_bytes());
        }
    }

    #[test]
    fn no_input_makes_the_parsers_panic() {
        let seed = b"\"A\\\" B\" <a@[b:c]> (d (e)) g: h;, i::j :.k >< )(";
        for cut in 0..seed.len() {
            for swap in 0..seed.len() {
                let mut text = seed[cut..].to_vec();
                let at = swap % text.len();
                text[at] = seed[swap];
                let rules = PhraseRules::default();
                AddressTemplate::of(&text, &rules).apply(b"x");
                core_address(&text);
                split_address_list(&text);
                quote_phrase(&text, &rules);
            }
        }
    }
}
