//! Bytes to tokens.
//!
//! Cuts an address or one side of a rule into tokens the way the reference
//! does, byte for byte: operators are tokens of their own, white space
//! separates, a quoted string keeps its quotes, comments vanish, and
//! unbalanced quotes, brackets and parentheses are repaired with a complaint.
//!
//! The scanner remembers which kind of token it is in ([`State`]) and keeps the
//! character that ended the last token for the next one, so a break costs no
//! second look. Source: guide, option OperatorChars; observed: 8.17.1.9.

use super::buffer::{Token, TokenBuffer};
use super::mark::{Mark, QUOTE, Unit, is_special, shown, unit_at};
use super::simple;
use super::syntax::{AddressSyntax, Kind};
use crate::text::bytes::is_space;

/// Longest token (MAXNAME).
pub(crate) const MAX_TOKEN_BYTES: usize = 256;
/// Most tokens of one address (MAXATOM, guide 6.2).
pub const MAX_TOKENS: usize = 1_000;
/// Room for all tokens of one address with their end marks.
const ADDRESS_ROOM: usize = MAX_TOKEN_BYTES + MAX_TOKENS;
/// Longest side of a rule with its macros expanded; what comes behind is lost without a word
/// (MAXLINE; observed: 8.17.1.9).
pub(crate) const MAX_RULE_SIDE: usize = 2_047;
/// Room for all tokens of one side of a rule with their end marks: every side that may be has it.
const RULE_ROOM: usize = MAX_RULE_SIDE + 1 + MAX_TOKENS;

/// How the bytes are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Octets mean themselves.
    Plain,
    /// `$` symbols stand in-band, see [`crate::token::mark`].
    Marked,
    /// Symbols stand in-band but are no symbols any more: values of macros at run time.
    Value,
}

/// What parentheses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parentheses {
    /// They enclose comments, which are dropped.
    Comments,
    /// They are operators (rules from level 9 on).
    Operators,
}

/// What to do about unbalanced text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Complain and supply or drop what is needed.
    Repair,
    /// Take the text as it is (rules).
    Ignore,
}

/// How to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizeOptions {
    /// Character that ends the address outside of brackets, quotes and comments.
    pub delimiter: Option<u8>,
    /// How the bytes are to be understood.
    pub reading: Reading,
    /// What parentheses are.
    pub parentheses: Parentheses,
    /// What to do about unbalanced text.
    pub faults: Faults,
}

impl TokenizeOptions {
    /// For an address that fills the whole text.
    pub const ADDRESS: TokenizeOptions = TokenizeOptions {
        delimiter: None,
        reading: Reading::Plain,
        parentheses: Parentheses::Comments,
        faults: Faults::Repair,
    };

    /// In-band symbols and no repair: a side of a rule.
    fn is_for_rule(&self) -> bool {
        (self.reading, self.faults) == (Reading::Marked, Faults::Ignore)
    }

    /// Octets that the tokens and their end marks may take.
    fn room(&self) -> usize {
        match self.is_for_rule() {
            true => RULE_ROOM,
            false => ADDRESS_ROOM,
        }
    }
}

/// A message about bad text, for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The text it is about; the reference prints it and `... ` first.
    pub about: Vec<u8>,
    /// Reply code and text, such as `553 Unbalanced '<'`.
    pub text: Vec<u8>,
}

impl Complaint {
    /// Says whether the text was too long, not merely unbalanced.
    pub(crate) fn is_about_limit(&self) -> bool {
        self.text.starts_with(b"553 5.1.")
    }
}

/// There is no first token, or the text is longer than any address may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTokens;

/// What the scanner is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Operator,
    Atom,
    Quoted,
    Space,
    /// After the quoting octet of test mode lines: whatever comes belongs to the token.
    Prefix,
}

/// Cuts `text` into `buffer`, which is emptied first, and returns where it stopped.
///
/// # Errors
/// [`NoTokens`] when nothing is left or a limit is passed; complaints tell which.
pub fn tokenize(
    text: &[u8],
    options: TokenizeOptions,
    syntax: &AddressSyntax,
    buffer: &mut TokenBuffer,
    complaints: &mut Vec<Complaint>,
) -> Result<usize, NoTokens> {
    buffer.clear();
    let (end, result) = tokenize_into(
        text,
        options,
        syntax,
        &mut buffer.text,
        &mut buffer.tokens,
        complaints,
    );
    result.map(|()| end)
}

/// Appends the tokens of `text` to `tokens` and their bytes to `store`.
///
/// Returns the offset of the delimiter or of the end, also on failure.
pub fn tokenize_into(
    text: &[u8],
    options: TokenizeOptions,
    syntax: &AddressSyntax,
    store: &mut Vec<u8>,
    tokens: &mut Vec<Token>,
    complaints: &mut Vec<Complaint>,
) -> (usize, Result<(), NoTokens>) {
    let first = tokens.len();
    let mut scanner = Scanner {
        text,
        options,
        syntax,
        store,
        tokens,
        complaints,
        first,
        used: 0,
        at: 0,
        inert: Vec::new(),
    };
    let result = scanner.run();
    let end = scanner.at;
    if result.is_ok() && tokens.len() == first {
        return (end, Err(NoTokens));
    }
    (end, result)
}

struct Scanner<'a> {
    text: &'a [u8],
    options: TokenizeOptions,
    syntax: &'a AddressSyntax,
    store: &'a mut Vec<u8>,
    tokens: &'a mut Vec<Token>,
    complaints: &'a mut Vec<Complaint>,
    first: usize,
    /// Octets used so far, counting one end mark for each token.
    used: usize,
    at: usize,
    /// What is to be read before the text, the first one last.
    inert: Vec<Next>,
}

/// One character on its way into a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The end of the text.
    End,
    Octet(u8),
    /// Part of a symbol that lost its meaning; always part of a word.
    Inert(u8),
    Symbol(Mark, u16),
}

impl Scanner<'_> {
    fn complain(&mut self, text: &[u8]) {
        self.complaints.push(Complaint {
            about: match self.options.reading {
                Reading::Plain => self.text.to_vec(),
                Reading::Marked | Reading::Value => shown(self.text),
            },
            text: text.to_vec(),
        });
    }

    fn read(&mut self) -> Next {
        if let Some(next) = self.inert.pop() {
            return next;
        }
        if self.options.reading == Reading::Value {
            return self.read_value();
        }
        if self.options.reading == Reading::Marked {
            return match unit_at(self.text, self.at) {
                None => Next::End,
                Some((unit, next)) => {
                    self.at = next;
                    match unit {
                        // The reference sees the octet that says this is no symbol.
                        Unit::Octet(octet) if self.options.is_for_rule() && is_special(octet) => {
                            self.inert.push(Next::Octet(octet));
                            Next::Octet(QUOTE)
                        }
                        Unit::Octet(octet) => Next::Octet(octet),
                        Unit::Symbol(mark, argument) => Next::Symbol(mark, argument),
                    }
                }
            };
        }
        match self.text.get(self.at) {
            None | Some(0) => Next::End,
            Some(&octet) => {
                self.at += 1;
                Next::Octet(octet)
            }
        }
    }

    fn read_value(&mut self) -> Next {
        let Some((unit, next)) = unit_at(self.text, self.at) else {
            return Next::End;
        };
        self.at = next;
        match unit {
            Unit::Octet(octet) => Next::Octet(octet),
            Unit::Symbol(mark, argument @ 0x100..) => {
                let [high, low] = argument.to_be_bytes();
                self.inert.extend([Next::Inert(low), Next::Inert(high)]);
                Next::Inert(mark.octet())
            }
            // Values are not read as rules are: each symbol is a macro there, and what follows is text.
            Unit::Symbol(mark, argument) => {
                let letter = u8::try_from(argument).ok().filter(|_| mark.has_argument());
                let character = Some(mark.character()).filter(|&character| character != 0);
                self.inert
                    .extend([letter, character].into_iter().flatten().map(Next::Octet));
                Next::Inert(Mark::Macro.octet())
            }
        }
    }

    fn has_room(&mut self) -> Result<(), NoTokens> {
        if self.used >= self.options.room() - 5 {
            self.complain(b"553 5.1.1 Address too long");
            return Err(NoTokens);
        }
        Ok(())
    }

    fn put(&mut self, octet: u8) -> Result<(), NoTokens> {
        self.has_room()?;
        let keep = if octet == QUOTE && !self.syntax.eight_bit_addresses {
            octet & 0x7f
        } else {
            octet
        };
        self.store.push(keep);
        self.used += 1;
        Ok(())
    }

    /// Takes the ordinary octets of a word at once; says whether there were any.
    ///
    /// Whatever needs a thought is left for the scanner: symbols, quoting, the end.
    fn take_run(&mut self) -> bool {
        if !self.inert.is_empty() {
            return false;
        }
        let rest = self.text.get(self.at..).unwrap_or(b"");
        let room = (self.options.room() - 5).saturating_sub(self.used);
        let run = self.syntax.ordinary_run(rest.get(..room).unwrap_or(rest));
        let delimiter = self.options.delimiter;
        let ordinary_delimiter = delimiter.filter(|&octet| self.syntax.is_ordinary(octet));
        let length = ordinary_delimiter
            .and_then(|octet| memchr::memchr(octet, run))
            .unwrap_or(run.len());
        if length == 0 {
            return false;
        }
        self.store
            .extend_from_slice(run.get(..length).unwrap_or(b""));
        self.used += length;
        self.at += length;
        true
    }

    /// Ends the token that began at `start` in the store.
    fn finish_token(&mut self, start: usize) -> Result<(), NoTokens> {
        let Some(bytes) = self.store.get(start..) else {
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let token = Token::word(start, bytes);
        self.has_room()?;
        self.used += 1;
        self.push_token(token)
    }

    fn push_token(&mut self, token: Token) -> Result<(), NoTokens> {
        if self.tokens.len() - self.first >= MAX_TOKENS {
            self.complain(b"553 5.1.0 prescan: too many tokens");
            return Err(NoTokens);
        }
        if token.len as usize > MAX_TOKEN_BYTES {
            self.complain(b"553 5.1.0 prescan: token too long");
            return Err(NoTokens);
        }
        self.tokens.push(token);
        Ok(())
    }

    fn kind(&self, octet: u8) -> Kind {
        match octet {
            b'(' | b')' if self.options.parentheses == Parentheses::Operators => Kind::Operator,
            0x80..0xa0 if self.options.is_for_rule() => Kind::Operator,
            _ => self.syntax.kind(octet),
        }
    }

    fn run(&mut self) -> Result<(), NoTokens> {
        if simple::is_simple(self.text, self.options.delimiter, self.syntax) {
            simple::cut(self.text, self.syntax, self.store, self.tokens);
            self.at = self.text.len();
            return Ok(());
        }
        let comments = self.options.parentheses == Parentheses::Comments;
        let repair = self.options.faults == Faults::Repair;
        let delimiter = self.options.delimiter;
        let mut state = State::Atom;
        let mut backslash = false;
        let mut route = false;
        let mut comment_depth = 0_u32;
        let mut angle_depth = 0_u32;
        // The character that ended the last token and opens the next one.
        let mut kept: Option<u8> = None;
        loop {
            let mut start = self.store.len();
            // Reads one token; yields what to do about the end of the address.
            let ended = loop {
                if let (Some(octet), false) = (kept, backslash) {
                    self.put(octet)?;
                }
                if state == State::Atom && !backslash && comment_depth == 0 && self.take_run() {
                    kept = None;
                }
                let before = self.at;
                let mut is_inert = false;
                let mut octet = match self.read() {
                    Next::Inert(octet) => {
                        is_inert = true;
                        octet
                    }
                    Next::Octet(octet) => {
                        if Some(octet) == delimiter && comment_depth == 0 && state != State::Quoted
                        {
                            if angle_depth == 0 {
                                self.at = before;
                                break true;
                            }
                            if octet == b',' && !route && repair {
                                self.complain(b"553 Unbalanced '<'");
                                self.at = before;
                                b'>'
                            } else {
                                octet
                            }
                        } else {
                            octet
                        }
                    }
                    Next::Symbol(mark, argument) => {
                        if comment_depth > 0 {
                            kept = None;
                            continue;
                        }
                        if state == State::Quoted || backslash {
                            if std::mem::take(&mut backslash) {
                                self.put(b'\\')?;
                            }
                            kept = None;
                            mark.push_as_text(argument, self.store);
                            self.used += 2;
                            continue;
                        }
                        self.finish_token(start)?;
                        self.push_token(Token::symbol(mark, argument))?;
                        start = self.store.len();
                        state = State::Operator;
                        kept = None;
                        break false;
                    }
                    Next::End if !repair => break true,
                    Next::End if state == State::Quoted => {
                        self.complain(b"553 Unbalanced '\"'");
                        b'"'
                    }
                    Next::End if comment_depth > 0 => {
                        self.complain(b"553 Unbalanced '('");
                        b')'
                    }
                    Next::End if angle_depth > 0 => {
                        self.complain(b"553 Unbalanced '<'");
                        b'>'
                    }
                    Next::End => break true,
                };
                if backslash {
                    backslash = false;
                    if comment_depth > 0 {
                        kept = None;
                        continue;
                    }
                    // A backslash before an exclamation mark is the habit of some shells.
                    if octet != b'!' || state == State::Quoted {
                        self.put(b'\\')?;
                        kept = Some(octet);
                        continue;
                    }
                }
                if is_inert {
                    // Loses to no rule below.
                } else if octet == b'\\' {
                    backslash = true;
                } else if state == State::Quoted {
                    // Everything up to the closing quote belongs to the token.
                } else if octet == b'(' && comments {
                    comment_depth += 1;
                    kept = None;
                    continue;
                } else if octet == b')' && comments {
                    // The end of a comment separates like white space.
                    if comment_depth > 0 {
                        comment_depth -= 1;
                    } else if repair {
                        self.complain(b"553 Unbalanced ')'");
                        kept = None;
                        continue;
                    }
                } else if comment_depth > 0 {
                    kept = None;
                    continue;
                } else if octet == b'<' {
                    angle_depth += 1;
                    let rest = self.text.get(self.at..).unwrap_or(b"");
                    let next = rest.iter().find(|c| !is_space(c));
                    if next == Some(&b'@') {
                        route = true;
                    }
                } else if octet == b'>' {
                    route = false;
                    if angle_depth > 0 {
                        angle_depth -= 1;
                    } else if repair {
                        self.complain(b"553 Unbalanced '>'");
                        kept = None;
                        continue;
                    }
                } else if delimiter == Some(b' ') && is_space(&octet) {
                    octet = b' ';
                }
                kept = Some(octet);
                if Some(octet) == delimiter && angle_depth == 0 && state != State::Quoted {
                    self.at = before;
                    break true;
                }
                let kind = match octet {
                    _ if is_inert => Kind::Atom,
                    QUOTE
                        if self.options.parentheses == Parentheses::Operators
                            || self.options.is_for_rule() =>
                    {
                        Kind::Prefix
                    }
                    _ => self.kind(octet),
                };
                let (next, passes, breaks) = step(state, kind);
                state = next;
                if !passes {
                    kept = None;
                }
                if breaks {
                    break false;
                }
            };
            self.finish_token(start)?;
            if ended {
                return Ok(());
            }
        }
    }
}

/// The state after a character of `kind`, whether the character is kept, and whether a token ends before it.
fn step(state: State, kind: Kind) -> (State, bool, bool) {
    let next = match kind {
        Kind::Operator => State::Operator,
        Kind::Atom => State::Atom,
        Kind::Quote => State::Quoted,
        Kind::Space => State::Space,
        Kind::Prefix => State::Prefix,
    };
    match state {
        State::Quoted if kind == Kind::Quote => (State::Operator, true, false),
        State::Quoted => (State::Quoted, true, false),
        State::Atom if kind == Kind::Atom => (State::Atom, true, false),
        State::Operator | State::Atom => (next, kind != Kind::Space, true),
        State::Space => (next, kind != Kind::Space, false),
        State::Prefix => (State::Operator, true, false),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Cuts an address; returns the words and the complaints.
    pub(in crate::token) fn cut(
        text: &str,
        options: TokenizeOptions,
    ) -> (Vec<String>, Vec<String>) {
        let syntax = AddressSyntax::new(b".:%@!^/[]+", 10);
        let mut buffer = TokenBuffer::new();
        let mut complaints = Vec::new();
        let _ = tokenize(
            text.as_bytes(),
            options,
            &syntax,
            &mut buffer,
            &mut complaints,
        );
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            buffer.words().map(show).collect(),
            complaints.iter().map(|c| show(&c.text)).collect(),
        )
    }

    #[test]
    fn addresses_fall_into_the_tokens_of_the_reference() {
        for (text, tokens) in [
            ("a@b.c", "a|@|b|.|c"),
            ("joe user@host", "joe|user|@|host"),
            ("\"joe user\"@host", "\"joe user\"|@|host"),
            ("a (comment) b", "a|b"),
            ("a(b)c", "a|c"),
            ("-((b)c)d(e).f", "-|d|.|f"),
            ("<@a,@b:c@d>", "<|@|a|,|@|b|:|c|@|d|>"),
            ("a\\@b", "a\\@b"),
            ("a\\!b", "a|!|b"),
            ("  lead", "lead"),
            ("\"a\"b", "\"a\"|b"),
            ("a\"b", "a|\"b\""),
        ] {
            let (got, _) = cut(text, TokenizeOptions::ADDRESS);
            assert_eq!(got.join("|"), tokens, "{text}");
        }
    }

    #[test]
    fn unbalanced_text_is_repaired_with_a_complaint() {
        for (text, tokens, complaint) in [
            ("a<b", "a|<|b|>", "553 Unbalanced '<'"),
            ("a>b", "ab", "553 Unbalanced '>'"),
            ("a\"b", "a|\"b\"", "553 Unbalanced '\"'"),
            ("a)b", "ab", "553 Unbalanced ')'"),
            ("a(b", "a", "553 Unbalanced '('"),
        ] {
            let (got, complaints) = cut(text, TokenizeOptions::ADDRESS);
            assert_eq!(got.join("|"), tokens, "{text}");
            assert_eq!(complaints, [complaint], "{text}");
        }
    }

    #[test]
    fn a_token_may_have_256_octets_and_no_more() {
        for (length, complaint) in [
            (256, None),
            (257, Some("553 5.1.0 prescan: token too long")),
        ] {
            let (tokens, complaints) = cut(&"a".repeat(length), TokenizeOptions::ADDRESS);
            assert_eq!(
                complaints.first().map(String::as_str),
                complaint,
                "{length}"
            );
            assert_eq!(tokens.is_empty(), complaint.is_some(), "{length}");
        }
    }

    #[test]
    fn a_side_of_a_rule_may_be_longer_than_an_address() {
        let rule = TokenizeOptions {
            reading: Reading::Marked,
            faults: Faults::Ignore,
            ..TokenizeOptions::ADDRESS
        };
        let (tokens, complaints) = cut(&"c.".repeat(500), rule);
        assert_eq!((tokens.len(), complaints.len()), (1_000, 0));
        let (_, complaints) = cut(&"c.".repeat(501), rule);
        assert_eq!(complaints, ["553 5.1.0 prescan: too many tokens"]);
        let (_, complaints) = cut(&"c.".repeat(500), TokenizeOptions::ADDRESS);
        assert_eq!(complaints, ["553 5.1.1 Address too long"]);
    }

    #[test]
    fn no_text_makes_it_panic() {
        let alphabet = b"a@<>()\"\\,; \t!.\xff\x81\x85\0";
        let syntax = AddressSyntax::default();
        let mut seed = 7_u32;
        for round in 0..4_000_u32 {
            let mut text = Vec::new();
            for _ in 0..round % 23 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(alphabet[(seed >> 16) as usize % alphabet.len()]);
            }
            for reading in [Reading::Plain, Reading::Marked] {
                let options = TokenizeOptions {
                    delimiter: (round % 2 == 0).then_some(b','),
                    reading,
                    ..TokenizeOptions::ADDRESS
                };
                let mut buffer = TokenBuffer::new();
                let _ = tokenize(&text, options, &syntax, &mut buffer, &mut Vec::new());
            }
        }
    }
}
