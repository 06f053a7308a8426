//! Which rules are worth trying at all.
//!
//! Most rules of a real configuration do not fit most addresses, and a glance
//! tells: a literal word of the pattern is missing, two words never stand side by
//! side, the address is too short. The glance is four comparisons of numbers
//! that are made once for a pattern and once for each form of an address. It may let
//! through what does not fit, never the reverse.

use crate::token::buffer::Traits;
use crate::token::{Mark, Token};

/// What an address must have before it is worth trying a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    needs: Literals,
    /// Fewest tokens the pattern can take.
    shortest: u16,
    /// Most tokens the pattern can take.
    longest: u16,
}

/// Words and neighbours, each as one bit of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Literals {
    /// Literal words and symbols.
    single: u64,
    /// Those that are there more than once.
    twice: u64,
    /// Literals side by side; the ends of the address count as literals.
    pairs: u64,
}

/// What an address has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    literals: Literals,
    /// How many tokens there are.
    count: usize,
    begin_with_mailer: bool,
    /// Traits that all tokens have.
    in_common: Traits,
}

/// Stands for the begin and the end of an address in pairs.
const BORDER: u8 = 0x2b;

/// Two codes as one bit of 64. Of the pairs with one code in common no two are the same bit.
#[inline]
fn pair(before: u8, after: u8) -> u64 {
    1 << (before.wrapping_mul(3).wrapping_add(after) & 63)
}

impl Literals {
    #[inline]
    fn add(&mut self, code: u8) {
        let bit = 1 << (code & 63);
        self.twice |= self.single & bit;
        self.single |= bit;
    }

    #[inline]
    fn has(&self, needed: &Literals) -> bool {
        (needed.single & !self.single) | (needed.twice & !self.twice) | (needed.pairs & !self.pairs)
            == 0
    }
}

impl Words {
    /// Returns what an address has.
    #[inline]
    pub fn of(input: &[Token]) -> Words {
        let mut literals = Literals::default();
        let mut before = BORDER;
        let mut in_common = Traits::ALL;
        for token in input {
            in_common = in_common.and(token.traits());
            let code = token.traits().code();
            literals.add(code);
            literals.pairs |= pair(before, code);
            before = code;
        }
        literals.pairs |= pair(before, BORDER);
        Words {
            literals,
            count: input.len(),
            begin_with_mailer: input.first().and_then(Token::mark) == Some(Mark::Mailer),
            in_common,
        }
    }

    /// Says whether something in the address may be a symbol.
    #[inline]
    pub fn may_hold_symbols(&self) -> bool {
        !self.in_common.is_printable()
    }

    /// Says whether the address is resolved already.
    #[inline]
    pub fn begin_with_mailer(&self) -> bool {
        self.begin_with_mailer
    }
}

impl Gate {
    /// Returns what `pattern` needs.
    pub fn of(pattern: &[Token]) -> Gate {
        let mut needs = Literals::default();
        let mut shortest = 0_u16;
        let mut is_bounded = true;
        // The literal just before, if one stands there for certain.
        let mut before = Some(BORDER);
        for token in pattern {
            match token.mark() {
                Some(Mark::AnyTokens | Mark::Deferred) => is_bounded = false,
                // Takes nothing: its neighbours stand side by side.
                Some(Mark::Host) => continue,
                mark => {
                    is_bounded &= !matches!(mark, Some(Mark::SomeTokens | Mark::InClass));
                    shortest = shortest.saturating_add(1);
                }
            }
            let here = (!token.is_pattern()).then(|| token.traits().code());
            if let Some(here) = here {
                needs.add(here);
                if let Some(before) = before {
                    needs.pairs |= pair(before, here);
                }
            }
            before = here;
        }
        if let Some(before) = before {
            needs.pairs |= pair(before, BORDER);
        }
        Gate {
            needs,
            shortest,
            longest: if is_bounded { shortest } else { u16::MAX },
        }
    }

    /// Says whether an address with these words may fit.
    #[inline]
    pub fn lets_in(&self, words: &Words) -> bool {
        words.literals.has(&self.needs)
            && words.count >= usize::from(self.shortest)
            && words.count <= usize::from(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::{MacroNames, MacroTable, Macros};
    use crate::rewrite::{RuleBook, RuleSource};
    use crate::token::{AddressSyntax, RulesetId, TokenBuffer, TokenizeOptions, tokenize};

    fn lets_in(pattern: &str, address: &str) -> bool {
        let syntax = AddressSyntax::new(b".:%@!^/[]+", 10);
        let mut book = RuleBook::new();
        let mut front = MacroTable::new();
        let base = MacroTable::new();
        let mut source = RuleSource {
            macros: &Macros::new(&mut front, None, &base),
            names: &mut MacroNames::new(),
            syntax: &syntax,
            line: 1,
            trace_level: 0,
        };
        let line = format!("{pattern}\t$:x");
        let mut errors = Vec::new();
        book.add_rule(RulesetId::PARSE, line.as_bytes(), &mut source, &mut errors);
        let mut buffer = TokenBuffer::new();
        let _ = tokenize(
            address.as_bytes(),
            TokenizeOptions::ADDRESS,
            &syntax,
            &mut buffer,
            &mut Vec::new(),
        );
        let rule = &book.rules(RulesetId::PARSE)[0];
        let tokens = buffer.tokens();
        rule.gate.lets_in(&Words::of(tokens))
    }

    #[test]
    fn what_fits_is_let_in_and_what_clearly_does_not_is_kept_out() {
        for (pattern, address, fits) in [
            ("$*", "", true),
            ("$*", "a@b.c", true),
            ("$@", "", true),
            ("$@", "a", false),
            ("$-", "a", true),
            ("$-", "a.b", false),
            ("$+ < @ $+ >", "u<@h.d>", true),
            ("$* < @ LocalHost > $*", "u<@localhost>", true),
            ("$* < @ localhost > $*", "u<@example>", false),
            ("$* < @ @ $+ >", "u<@h>", false),
            ("$* < @ @ $+ >", "u<@@h>", true),
            ("$* @ $* @ $*", "a@b", false),
            ("$* @ $* @ $*", "a@b@c", true),
            ("< $* >", "a<b>", false),
            ("< $* >", "<b>", true),
            ("$* $@ : $*", "a:b", true),
            ("$* < @ $=w > $*", "u<@h>", true),
        ] {
            assert_eq!(lets_in(pattern, address), fits, "{pattern} and {address}");
        }
    }
}
