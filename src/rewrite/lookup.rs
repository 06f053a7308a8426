//! Maps and ruleset calls inside of replacements.
//!
//! Lookups run from left to right; the answer stands where the lookup stood.
//! Calls run from right to left; each takes all that follows it.
//!
//! Source: guide 5.1.2; observed: 8.17.1.9.

use std::borrow::Cow;

use super::book::RuleBook;
use super::compile::{CUTTING_CATEGORY, MAX_MAP_ARGUMENTS};
use super::context::{Host, RewriteContext};
use super::engine::{Broken, VALUE};
use super::observer::Question;
use crate::map::{LookupContext, MapId};
use crate::smtp::ExitStatus;
use crate::text::quoted::strip_quotes;
use crate::token::mark::push_plain;
use crate::token::syntax::Kind;
use crate::token::tokenizer::{MAX_TOKEN_BYTES, MAX_TOKENS};
use crate::token::{Mark, Reading, RulesetId, Token};

/// Longest key, argument or default of a lookup; the rest is lost (MAXKEY; observed: 8.17.1.9).
const MAX_KEY: usize = 1_021;
/// So many calls of rulesets are too many for one replacement.
const MAX_CALLS: usize = 16;

/// One `$( $)` or `$[ $]` as ranges of tokens.
struct Lookup {
    /// The token that names the map; none for `$[ $]`, which asks the map `host`.
    map: Option<Token>,
    key: std::ops::Range<usize>,
    arguments: Vec<std::ops::Range<usize>>,
    default: Option<std::ops::Range<usize>>,
    end: usize,
}

/// Finds the parts of the lookup that starts at `begin`; `None` if the name of the map is missing.
fn parts(tokens: &[Token], begin: usize) -> Option<Lookup> {
    let (closing, map, key_start) = match tokens.get(begin)?.mark()? {
        Mark::HostBegin => (Mark::HostEnd, None, begin + 1),
        _ => (Mark::LookupEnd, Some(*tokens.get(begin + 1)?), begin + 2),
    };
    let mut lookup = Lookup {
        map,
        key: key_start..key_start,
        arguments: Vec::new(),
        default: None,
        end: tokens.len(),
    };
    let mut section_start = key_start;
    let mut section = None;
    loop {
        let rest = tokens.get(section_start..).unwrap_or_default();
        let divides = |token: &Token| {
            let mark = token.mark();
            mark == Some(closing) || matches!(mark, Some(Mark::Host | Mark::User))
        };
        let at = section_start + rest.iter().position(divides).unwrap_or(rest.len());
        let mark = tokens.get(at).and_then(Token::mark);
        let is_end = at == tokens.len() || mark == Some(closing);
        let range = section_start..at;
        match section {
            None => lookup.key = range,
            Some(Mark::Host) => lookup.arguments.push(range),
            Some(_) => lookup.default = Some(range),
        }
        if is_end {
            lookup.end = (at + 1).min(tokens.len());
            break;
        }
        section = mark;
        section_start = at + 1;
    }
    lookup.arguments.truncate(MAX_MAP_ARGUMENTS - 1);
    Some(lookup)
}

impl Lookup {
    /// Returns the name of the map that is asked, as the rule writes it.
    fn map_name<'t>(&self, address: &'t [u8], rules: &'t [u8]) -> Cow<'t, [u8]> {
        match self.map {
            None => Cow::Borrowed(b"host"),
            Some(token) => match token.mark() {
                // A symbol names no map; what is said of it has its code without the high bit.
                Some(mark) => Cow::Owned(vec![mark.octet() & 0x7f]),
                None => Cow::Borrowed(token.bytes_in(address, rules)),
            },
        }
    }
}

impl RewriteContext<'_> {
    /// Replaces every lookup in `out` by its answer.
    pub(super) fn look_up_all(&mut self, out: &mut Vec<Token>) -> Result<ExitStatus, Broken> {
        let mut status = ExitStatus::Ok;
        let mut at = 0;
        let begins =
            |token: &Token| matches!(token.mark(), Some(Mark::HostBegin | Mark::LookupBegin));
        while let Some(skipped) = out.get(at..).and_then(|rest| rest.iter().position(begins)) {
            at += skipped;
            let Some(lookup) = parts(out, at) else {
                self.complain(b"554 5.3.0 rewrite: missing mapname".to_vec());
                return Err(Broken::Fault(ExitStatus::Config));
            };
            let mut answer = self.workspace.list();
            let result = self.answer(out, &lookup, &mut answer);
            match result {
                Ok(ExitStatus::Ok) => {}
                Ok(worse) => status = worse,
                Err(broken) => {
                    self.workspace.give_back(answer);
                    return Err(broken);
                }
            }
            let grown = out.len() - (lookup.end - at) + answer.len();
            if grown > MAX_TOKENS {
                self.workspace.give_back(answer);
                return Err(self.too_long());
            }
            let length = answer.len();
            out.splice(at..lookup.end, answer.iter().copied());
            self.workspace.give_back(answer);
            at += length;
        }
        Ok(status)
    }

    /// Puts what a lookup yields into `answer`.
    fn answer(
        &mut self,
        tokens: &[Token],
        lookup: &Lookup,
        answer: &mut Vec<Token>,
    ) -> Result<ExitStatus, Broken> {
        let part = |range: &std::ops::Range<usize>| tokens.get(range.clone()).unwrap_or(&[]);
        let name = lookup.map_name(&self.workspace.text, &self.rules.text);
        let map = match lookup.map.filter(|token| token.mark().is_none()) {
            Some(token) => self.maps.find_hashed(&name, token.hash),
            None => self.maps.find(&name),
        };
        if map.is_none() {
            let head = b"554 5.3.0 rewrite: map ".as_slice();
            self.complain([head, &name, b" not found"].concat());
        }
        let space = map
            .and_then(|id| self.maps.space_substitute(id))
            .unwrap_or(self.syntax.space_substitute);
        let key = self.joined_within_with(part(&lookup.key), MAX_KEY, space);
        let arguments: Vec<Vec<u8>> = lookup
            .arguments
            .iter()
            .map(|range| self.joined_within(part(range), MAX_KEY))
            .collect();
        let (value, status) = match map {
            Some(id) => self.ask(id, &key, &arguments),
            None => (None, ExitStatus::Ok),
        };
        if let Some(observer) = self.trace.observer() {
            observer.ask(Question {
                map: &lookup.map_name(&self.workspace.text, &self.rules.text),
                key: &key,
                arguments: &arguments,
                answer: value.as_deref(),
                exists: map.is_some(),
                status,
            });
        }
        let mut marked = Vec::new();
        let mut options = VALUE;
        match (value, &lookup.default) {
            (Some(value), _) => push_plain(&value, &mut marked),
            (None, Some(range)) => {
                let default = part(range);
                if self.is_cut_already(default) {
                    answer.extend_from_slice(default);
                    return Ok(status);
                }
                // The rule itself says this, so its symbols count.
                marked = self.joined_marked_within(default, MAX_KEY);
                options.reading = Reading::Marked;
            }
            (None, None) => answer.extend_from_slice(part(&lookup.key)),
        }
        if !marked.is_empty() {
            self.push_value(&marked, options, answer)?;
        }
        Ok(status)
    }

    /// Says whether joining these tokens and cutting the text again yields the same for certain:
    /// they are plain words with an operator between any two, and no comment, quote or list.
    fn is_cut_already(&self, tokens: &[Token]) -> bool {
        let mut after_word = false;
        let mut length = 0;
        for token in tokens {
            let is_word = match token.single_octet() {
                Some(b'(' | b')' | b'<' | b'>' | b',' | b';') => return false,
                Some(octet) if self.syntax.kind(octet) == Kind::Operator => false,
                _ => true,
            };
            if is_word && (after_word || !self.is_plain_word(token)) {
                return false;
            }
            after_word = is_word;
            length += token.len as usize;
        }
        length < MAX_TOKEN_BYTES && self.trace.level(CUTTING_CATEGORY) == 0
    }

    fn is_plain_word(&self, token: &Token) -> bool {
        let word = self.word(token);
        !word.is_empty() && word.iter().all(|&octet| self.syntax.is_ordinary(octet))
    }

    fn ask(
        &mut self,
        id: MapId,
        key: &[u8],
        arguments: &[Vec<u8>],
    ) -> (Option<Vec<u8>>, ExitStatus) {
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        if self.trace.level(60) >= 1 {
            self.show_question(id, key, &arguments);
        }
        let mut host = Host {
            macros: &mut self.macros,
            names: self.names,
            trace: &mut *self.trace,
        };
        let mut cx = LookupContext {
            host: &mut host,
            mode: self.lookup_mode,
        };
        let mut answer = self.maps.lookup(id, key, &arguments, &mut cx);
        if self.trace.level(60) >= 1 {
            let found = answer.raw.value.as_deref().unwrap_or(b"NOT FOUND");
            self.trace.write(found);
            let status = format!(" ({}), ad=0\n", answer.raw.status);
            self.trace.write(status.as_bytes());
            if answer.deferred.is_some() {
                let about = [self.maps.name(id), b", ", &self.shown_key(id, key)].concat();
                let line = [b"map_lookup(".as_slice(), &about, b") tempfail: errno=0\n"].concat();
                self.trace.write(&line);
            }
        }
        match answer.deferred.take() {
            None => (answer.into_value(), ExitStatus::Ok),
            Some(reason) => {
                self.trace.defer(reason);
                (answer.into_value(), ExitStatus::TempFail)
            }
        }
    }

    /// Returns the key as the map sees it.
    fn shown_key<'k>(&self, id: MapId, key: &'k [u8]) -> Cow<'k, [u8]> {
        if self.maps.keeps_quotes(id) {
            Cow::Borrowed(key)
        } else {
            strip_quotes(key)
        }
    }

    fn show_question(&mut self, id: MapId, key: &[u8], arguments: &[&[u8]]) {
        let key = self.shown_key(id, key);
        let mut line = [b"map_lookup(".as_slice(), self.maps.name(id), b", ", &key].concat();
        if self.trace.level(60) >= 5 {
            let all = std::iter::once(&*key).chain(arguments.iter().copied());
            for (number, argument) in all.enumerate() {
                line.extend_from_slice(format!(", %{number}=").as_bytes());
                line.extend_from_slice(argument);
            }
        }
        line.extend_from_slice(b") => ");
        self.trace.write(&line);
    }

    /// Runs every call in `out`, the last one first.
    pub(super) fn call_all(&mut self, out: &mut Vec<Token>, depth: u32) -> ExitStatus {
        let mut calls = [(0, RulesetId::PARSE); MAX_CALLS];
        let mut count = 0;
        let mut at = 0;
        let is_call = |token: &Token| token.mark() == Some(Mark::Call);
        while let Some(skipped) = out.get(at..).and_then(|rest| rest.iter().position(is_call)) {
            at += skipped;
            let (Some(token), Some(name)) = (out.get(at), out.get(at + 1)) else {
                break;
            };
            let id = match RuleBook::linked(token) {
                Some(id) => id,
                None => match self.called_ruleset(*name) {
                    Some(id) => id,
                    None => return ExitStatus::Config,
                },
            };
            if self.rules.rules(id).is_empty() {
                if self.trace.level(21) >= 3 {
                    let name = self.called_name(name);
                    let line = format!(
                        "-----skip subr {} ({})\n",
                        String::from_utf8_lossy(&name),
                        id.number()
                    );
                    self.trace.write(line.as_bytes());
                }
                // The token behind a skipped call is never taken for another call
                // (observed: 8.17.1.9).
                out.drain(at..at + 2);
                at += 1;
                continue;
            }
            if let Some(place) = calls.get_mut(count) {
                *place = (at, id);
            }
            count += 1;
            if count >= MAX_CALLS {
                let text = format!("554 5.3.5 Too many subroutine calls ({MAX_CALLS} max)");
                self.complain(text.into_bytes());
                return ExitStatus::Config;
            }
            at += 2;
        }
        self.run_calls(calls.get(..count).unwrap_or(&[]), out, depth)
    }

    /// Returns the name behind `$>` as it is written.
    fn called_name(&self, name: &Token) -> Vec<u8> {
        match name.mark() {
            None => strip_quotes(self.word(name)).into_owned(),
            Some(_) => self.shown_symbol(name),
        }
    }

    /// Finds a called ruleset by its name; complains when there is none.
    fn called_ruleset(&mut self, name: Token) -> Option<RulesetId> {
        let name = self.called_name(&name);
        let mut errors = Vec::new();
        let id = self.rules.find_reporting(&name, &mut errors);
        if id.is_none() {
            for text in errors {
                self.complain(text);
            }
            self.complain([b"554 5.3.5 Unknown ruleset ".as_slice(), &name].concat());
        }
        id
    }

    fn run_calls(
        &mut self,
        calls: &[(usize, RulesetId)],
        out: &mut Vec<Token>,
        depth: u32,
    ) -> ExitStatus {
        let mut status = ExitStatus::Ok;
        for &(at, id) in calls.iter().rev() {
            let mut called = self.workspace.list();
            called.extend_from_slice(out.get(at + 2..).unwrap_or(&[]));
            out.truncate(at);
            let outcome = self.apply(&mut called, id, depth + 1);
            let outcome = outcome.unwrap_or_else(Broken::status);
            if status == ExitStatus::Ok || outcome == ExitStatus::TempFail {
                status = outcome;
            }
            // What does not fit is left out; the next rule that matches will say so.
            called.truncate(MAX_TOKENS.saturating_sub(out.len()));
            out.extend_from_slice(&called);
            self.workspace.give_back(called);
            // The calls before this one are left as they are.
            if !matches!(outcome, ExitStatus::Ok | ExitStatus::TempFail) {
                return outcome;
            }
        }
        status
    }

    fn shown_symbol(&self, token: &Token) -> Vec<u8> {
        let line = self.shown_line(b"", std::slice::from_ref(token));
        line.trim_ascii().to_vec()
    }
}
