//! What the listener is told of rewriting.
//!
//! Observed: 8.17.1.9.

use super::book::NAME_WIDTH;
use super::context::RewriteContext;
use crate::macros::MacroId;
use crate::token::print::{print_symbol, print_word};
use crate::token::{RulesetId, Token};

/// What terminals take for reverse video and its end (ECMA-48).
const REVERSE_VIDEO: &[u8] = b"\x1b[7m";
const USUAL_VIDEO: &[u8] = b"\x1b[0m";

/// What a line about a ruleset begins with.
const HEAD: &[u8; 17] = b"rewrite: ruleset ";
/// Where the tokens begin in a line about a ruleset.
const TOKENS_AT: usize = HEAD.len() + NAME_WIDTH + 9;

/// The last line about a ruleset. It is kept because what one ruleset returns is most often
/// what the next one gets.
#[derive(Debug, Default)]
pub(super) struct LastShown {
    tokens: Vec<Token>,
    line: Vec<u8>,
}

impl LastShown {
    /// Forgets the tokens: the text they lie in goes.
    pub fn forget(&mut self) {
        self.tokens.clear();
        self.line.clear();
    }

    fn is_of(&self, tokens: &[Token]) -> bool {
        !self.line.is_empty() && tokens == self.tokens
    }

    /// Writes over what stands before the tokens.
    fn begin(&mut self, name: &[u8; NAME_WIDTH], what: &[u8; 9]) {
        let Some((head, _)) = self.line.split_first_chunk_mut::<TOKENS_AT>() else {
            return;
        };
        let (head, rest) = head.split_at_mut(HEAD.len());
        let (padded, rest) = rest.split_at_mut(NAME_WIDTH);
        head.copy_from_slice(HEAD);
        padded.copy_from_slice(name);
        rest.copy_from_slice(what);
    }
}

impl RewriteContext<'_> {
    /// Tells what a ruleset gets or returns; `what` says which.
    pub(super) fn show_pass(&mut self, ruleset: RulesetId, what: &[u8; 9], tokens: &[Token]) {
        let mut last = std::mem::take(&mut self.workspace.last_shown);
        if !last.is_of(tokens) {
            last.line.clear();
            last.line.resize(TOKENS_AT, b' ');
            self.push_shown(tokens, &mut last.line);
            last.tokens.clear();
            last.tokens.extend_from_slice(tokens);
        }
        last.begin(&self.rules.padded_name(ruleset), what);
        let skipped = match self.trace.shows_every_ruleset() {
            true => HEAD.len(),
            false => 0,
        };
        let line = last.line.get(skipped..).unwrap_or_default();
        self.trace.show_pass(line);
        self.workspace.last_shown = last;
    }

    pub(super) fn show_trial(&mut self, number: u32, pattern: &[Token], level: u8) {
        let head = if level >= 15 {
            format!("-----trying rule (line {number}):")
        } else {
            "-----trying rule:".to_owned()
        };
        let line = self.shown_line(head.as_bytes(), pattern);
        self.trace.write(&line);
    }

    pub(super) fn show_binding(&mut self, digit: u8, tokens: &[Token]) {
        let mut line = vec![b'$', digit, b':'];
        for token in tokens {
            let place = 0x5555_0000_0000_u64 + u64::from(token.start);
            line.extend_from_slice(format!(" {place:#x}=\"").as_bytes());
            line.extend_from_slice(self.word(token));
            line.push(b'"');
        }
        line.push(b'\n');
        self.trace.write(&line);
    }

    pub(super) fn macro_line(&self, side: &[u8], number: u16) -> Vec<u8> {
        let id = MacroId::from_number(number);
        let value = self.macro_plain(id).unwrap_or_else(|| b"(NULL)".to_vec());
        [
            b"rewrite: ".as_slice(),
            side,
            b" $&{",
            &self.names.name(id),
            b"} => \"",
            &value,
            b"\"\n",
        ]
        .concat()
    }

    /// Returns `head` and the tokens as traces show them, with a line end.
    pub fn shown_line(&self, head: &[u8], tokens: &[Token]) -> Vec<u8> {
        let mut line = head.to_vec();
        self.push_shown(tokens, &mut line);
        line
    }

    /// Appends the tokens, each after a blank, and a line end.
    pub fn push_shown(&self, tokens: &[Token], line: &mut Vec<u8>) {
        let (mut length, mut are_printable) = (0, true);
        for token in tokens {
            length += token.len as usize + 1;
            are_printable &= token.is_printable();
        }
        let begin = line.len();
        if are_printable {
            line.resize(begin + length, b' ');
            self.write_words(tokens, line.get_mut(begin..).unwrap_or_default());
        } else {
            line.reserve(length + 1);
            self.push_symbols(tokens, line);
        }
        line.push(b'\n');
    }

    /// Writes words over all but the first of their length and one in `room`.
    fn write_words(&self, tokens: &[Token], mut room: &mut [u8]) {
        for token in tokens {
            let Some((place, rest)) = room.split_at_mut_checked(token.len as usize + 1) else {
                return;
            };
            room = rest;
            let (Some((_, place)), word) = (place.split_first_mut(), token.single_octet()) else {
                return;
            };
            match (place, word) {
                ([place], Some(octet)) => *place = octet,
                (place, _) => {
                    let word = self.word(token);
                    if place.len() == word.len() {
                        place.copy_from_slice(word);
                    }
                }
            }
        }
    }

    fn push_symbols(&self, tokens: &[Token], line: &mut Vec<u8>) {
        let reverses = self.trace.reverses_symbols();
        for token in tokens {
            line.push(b' ');
            let word = self.word(token);
            if token.is_printable() {
                line.extend_from_slice(word);
                continue;
            }
            match token.mark() {
                Some(mark) if reverses => {
                    line.extend_from_slice(REVERSE_VIDEO);
                    print_symbol(mark, token.argument(), self.names, line);
                    line.extend_from_slice(USUAL_VIDEO);
                }
                Some(mark) => print_symbol(mark, token.argument(), self.names, line),
                None => print_word(word, self.names, line),
            }
        }
    }
}
