//! Everything a chain of rewritings looks at.

use super::book::RuleBook;
use super::compile::{CUTTING_CATEGORY, CUTTING_TEXT, CUTTING_TOKENS, NULL_TOKEN, text_line};
use super::shown::LastShown;
use super::trace::Trace;
use crate::macros::names::read_name;
use crate::macros::{Classes, MacroId, MacroNames, MacroValue, Macros};
use crate::mailer::MailerTable;
use crate::map::{LookupHost, LookupMode, MapSet};
use crate::message::address::PhraseRules;
use crate::token::mark::{end_after, push_plain};
use crate::token::print::print_word;
use crate::token::{
    AddressSyntax, Complaint, Mark, NoTokens, Reading, Token, TokenizeOptions, join, join_within,
    tokenize_into,
};

/// The debug category and level that tell of macros being set.
pub(crate) const DEFINING_CATEGORY: u8 = 35;
pub(crate) const DEFINING_LEVEL: u8 = 9;

/// As long as few addresses are: octets to begin with for joined tokens.
const TYPICAL_JOINED: usize = 64;

/// Whether the listener hears what is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// It does.
    Aloud,
    /// It does not: for what check rulesets are asked about.
    Quietly,
}

/// Buffers one thread keeps for rewriting, so that the hot path allocates nothing.
#[derive(Debug, Default)]
pub struct RewriteWorkspace {
    /// Bytes of the words of the chain in hand.
    pub(super) text: Vec<u8>,
    /// Token lists that are not in use.
    spare: Vec<Vec<Token>>,
    /// The value of a macro.
    pub(super) value: Vec<u8>,
    /// What the listener was told last.
    pub(super) last_shown: LastShown,
}

impl RewriteWorkspace {
    /// Makes empty buffers.
    pub fn new() -> RewriteWorkspace {
        RewriteWorkspace::default()
    }

    pub(super) fn list(&mut self) -> Vec<Token> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&mut self, mut list: Vec<Token>) {
        list.clear();
        self.spare.push(list);
    }
}

/// Everything a chain of rewritings looks at, borrowed for its duration.
pub struct RewriteContext<'a> {
    /// All rulesets.
    pub rules: &'a RuleBook,
    /// Classes for `$=x` and `$~x`.
    pub classes: &'a Classes,
    /// How addresses are cut and joined.
    pub syntax: &'a AddressSyntax,
    /// Names of macros, for maps that set them and for traces.
    pub names: &'a MacroNames,
    /// Mailers that `$#` may name.
    pub mailers: &'a MailerTable,
    /// Maps for `$( $)` and `$[ $]`.
    pub maps: &'a MapSet,
    /// Values for `$&x`.
    pub macros: Macros<'a>,
    /// What the configuration says about phrases in header addresses.
    pub phrases: PhraseRules<'a>,
    /// Whether maps with flag `-D` are asked.
    pub lookup_mode: LookupMode,
    /// Who listens.
    pub trace: &'a mut dyn Trace,
    /// Buffers.
    pub workspace: &'a mut RewriteWorkspace,
}

impl RewriteContext<'_> {
    /// Cuts `text` into tokens of this chain and returns them with the offset where cutting stopped.
    ///
    /// Complaints go to the listener. The tokens are valid until [`RewriteContext::start_chain`].
    ///
    /// # Errors
    /// [`NoTokens`] as [`crate::token::tokenize`], with the same offset.
    pub fn tokenize(
        &mut self,
        text: &[u8],
        options: TokenizeOptions,
    ) -> (usize, Result<Vec<Token>, NoTokens>) {
        let (end, cut, _) = self.cut(text, options, Telling::Aloud);
        (end, cut)
    }

    /// Cuts `text` as [`RewriteContext::tokenize`]; says too whether it was cut off as too long.
    pub(super) fn cut(
        &mut self,
        text: &[u8],
        options: TokenizeOptions,
        telling: Telling,
    ) -> (usize, Result<Vec<Token>, NoTokens>, bool) {
        let mut tokens = self.workspace.list();
        let mut complaints = Vec::new();
        let level = self.trace.level(CUTTING_CATEGORY);
        if level >= CUTTING_TEXT {
            self.trace_text(text, options.reading);
        }
        let (end, result) = tokenize_into(
            text,
            options,
            self.syntax,
            &mut self.workspace.text,
            &mut tokens,
            &mut complaints,
        );
        let is_too_long = complaints.iter().any(Complaint::is_about_limit);
        if telling == Telling::Aloud {
            for complaint in complaints {
                self.trace.complain(complaint);
            }
        }
        if level > 0 {
            self.trace_cut(&tokens, level);
        }
        match result {
            Ok(()) => (end, Ok(tokens), is_too_long),
            Err(NoTokens) => {
                self.workspace.give_back(tokens);
                (end, Err(NoTokens), is_too_long)
            }
        }
    }

    fn trace_text(&mut self, text: &[u8], reading: Reading) {
        let mut line = match reading {
            Reading::Plain => {
                let mut line = b"prescan: ".to_vec();
                print_word(text, self.names, &mut line);
                line
            }
            Reading::Marked | Reading::Value => text_line(text, self.names),
        };
        line.push(b'\n');
        self.trace.write(&line);
    }

    fn trace_cut(&mut self, tokens: &[Token], level: u8) {
        if level >= CUTTING_TOKENS {
            let line = self.shown_line(b"prescan==>", tokens);
            self.trace.write(&line);
        }
        if tokens.is_empty() {
            self.trace.write(&[NULL_TOKEN, b"\n"].concat());
        }
    }

    /// Forgets all tokens of the last chain.
    pub fn start_chain(&mut self) {
        self.workspace.text.clear();
        self.workspace.last_shown.forget();
    }

    /// Gives a token list back to be used again.
    pub fn finish(&mut self, tokens: Vec<Token>) {
        self.workspace.give_back(tokens);
    }

    /// Returns the bytes of a word; empty for a symbol.
    pub fn word<'t>(&'t self, token: &Token) -> &'t [u8] {
        token.bytes_in(&self.workspace.text, &self.rules.text)
    }

    /// Joins tokens with BlankSub between words.
    pub fn joined(&self, tokens: &[Token]) -> Vec<u8> {
        self.joined_with(tokens, self.syntax.space_substitute)
    }

    /// Joins tokens as [`RewriteContext::joined_within`], to marked text: symbols stay symbols.
    pub(super) fn joined_marked_within(&self, tokens: &[Token], limit: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(TYPICAL_JOINED);
        let is_full = |out: &Vec<u8>| out.len() > limit && end_after(out, limit) < out.len();
        let mut after_word = false;
        for token in tokens {
            let bytes = self.word(token);
            let is_word = bytes
                .first()
                .is_some_and(|&first| self.syntax.is_atom(first));
            if after_word && is_word {
                out.push(self.syntax.space_substitute);
                if is_full(&out) {
                    return out;
                }
            }
            if let Some(mark) = token.mark() {
                mark.push(token.argument(), &mut out);
            }
            // An octet that a map gave is taken for the symbol it is the code of (observed: 8.17.1.9).
            for octet in bytes {
                match Mark::from_octet(*octet) {
                    Some(mark) if !mark.has_argument() => out.push(*octet),
                    _ => push_plain(&[*octet], &mut out),
                }
            }
            if is_full(&out) {
                out.truncate(end_after(&out, limit));
                return out;
            }
            // A token without octets is as if it were not there.
            after_word = is_word || (after_word && bytes.is_empty() && token.mark().is_none());
        }
        out
    }

    /// Joins tokens with BlankSub between words and cuts what is too long.
    pub fn joined_within(&self, tokens: &[Token], limit: usize) -> Vec<u8> {
        self.joined_within_with(tokens, limit, self.syntax.space_substitute)
    }

    /// Joins tokens with `space` between words, to `limit` octets at most.
    pub(super) fn joined_within_with(&self, tokens: &[Token], limit: usize, space: u8) -> Vec<u8> {
        let mut out = Vec::with_capacity(TYPICAL_JOINED);
        join_within(
            tokens,
            |token| token.bytes_in(&self.workspace.text, &self.rules.text),
            self.syntax,
            space,
            limit,
            &mut out,
        );
        out
    }

    /// Joins tokens with `space` between words.
    pub fn joined_with(&self, tokens: &[Token], space: u8) -> Vec<u8> {
        let mut out = Vec::with_capacity(TYPICAL_JOINED);
        join(
            tokens,
            |token| token.bytes_in(&self.workspace.text, &self.rules.text),
            self.syntax,
            space,
            &mut out,
        );
        out
    }

    /// Puts the raw value of a macro into `out`, as marked text; says whether there is one.
    pub(super) fn raw_macro(&self, number: u16, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self.macros.get(MacroId::from_number(number)) {
            Some(value) => value.push_marked(out),
            // Symbols are macros too: the value of `$&{1}` is `$1`.
            None => match u8::try_from(number) {
                Ok(b'0'..=b'9') => Mark::Position.push(number, out),
                Ok(letter) => match Mark::from_character(letter) {
                    Some(mark) => mark.push(0, out),
                    None => return false,
                },
                Err(_) => return false,
            },
        }
        true
    }

    /// Sets a macro or takes its value away, and tells so when that is asked for.
    pub(super) fn define(&mut self, id: MacroId, text: Option<&[u8]>) {
        if self.trace.level(DEFINING_CATEGORY) >= DEFINING_LEVEL {
            let is_new = self.macros.get(id).is_none();
            let value = MacroValue::Text(text.unwrap_or(b"<null>").to_vec());
            let mut line = value.definition_line(id, is_new, self.names);
            line.push(b'\n');
            self.trace.write(&line);
        }
        match text {
            Some(text) => self.macros.set_text(id, text),
            None => {
                self.macros.remove(id);
            }
        }
    }

    /// Hands a message about the configuration or the machine to the listener.
    pub(super) fn complain(&mut self, text: Vec<u8>) {
        self.trace.complain(Complaint {
            about: Vec::new(),
            text,
        });
    }
}

/// What maps may do to the chain in hand.
pub(super) struct Host<'m, 'a> {
    pub macros: &'m mut Macros<'a>,
    pub names: &'m MacroNames,
    pub trace: &'m mut dyn Trace,
}

impl LookupHost for Host<'_, '_> {
    fn set_macro(&mut self, name: &[u8], value: Option<&[u8]>) -> bool {
        // No name at all is nothing to tell of. Observed: 8.17.1.9.
        if name.is_empty() {
            return false;
        }
        let mut errors = Vec::new();
        let read = read_name(name, &mut errors);
        for text in errors {
            self.complain(&text);
        }
        let Some(bare) = read else {
            return false;
        };
        // A name the configuration never mentions can be set, but nobody can ask for it.
        let Some(id) = self.names.find(&bare) else {
            return true;
        };
        match value {
            Some(value) => self.macros.set_text(id, value),
            None => {
                self.macros.remove(id);
            }
        }
        true
    }

    fn complain(&mut self, text: &[u8]) {
        self.trace.complain(Complaint {
            about: Vec::new(),
            text: text.to_vec(),
        });
    }

    fn complain_of_system(&mut self, text: &[u8]) {
        self.trace.complain_of_system(text);
    }

    fn narrate(&mut self, text: &[u8]) {
        self.trace.narrate(text);
    }

    fn queue_id(&self) -> Option<Vec<u8>> {
        let id = self.macros.expanded(MacroId::I);
        (!id.is_empty()).then_some(id)
    }

    fn trace_level(&self) -> u8 {
        self.trace.level(38)
    }

    fn trace(&mut self, text: &[u8]) {
        self.trace.write(text);
    }
}
