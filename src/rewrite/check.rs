//! The hooks that say yes or no.
//!
//! A hook ruleset sees one value, or two with `$|` between them. What it
//! returns counts only if it begins with `$#error` or `$#discard`; everything
//! else, a missing ruleset included, is consent. `$#error $@quarantine $:text`
//! lets the message in but keeps it. Source: guide 5.1.4; observed: 8.17.1.9.

use super::context::{RewriteContext, Telling};
use super::resolve::error_from_rule;
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::token::mark::push_plain;
use crate::token::{Faults, Mark, Parentheses, Reading, RulesetId, Token, TokenizeOptions};

/// What happens to comments in the values a hook sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// They are dropped (all hooks but `$>+` of headers).
    Dropped,
    /// They are tokens like others.
    Kept,
}

/// What a hook said, and the exit status behind a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub verdict: Verdict,
    /// Exit status of a refusal.
    pub exit: ExitStatus,
}

impl Checked {
    fn accepted() -> Checked {
        Checked {
            verdict: Verdict::Accept,
            exit: ExitStatus::Ok,
        }
    }
}

/// Asks a hook; `arguments` are joined by `$|`. An undefined hook accepts.
pub fn check(hook: &[u8], arguments: &[&[u8]], cx: &mut RewriteContext<'_>) -> Verdict {
    cx.check(hook, arguments, Comments::Dropped).verdict
}

impl RewriteContext<'_> {
    /// Asks a hook ruleset by name.
    pub fn check(&mut self, hook: &[u8], arguments: &[&[u8]], comments: Comments) -> Checked {
        let Some(ruleset) = self.rules.find_defined(hook) else {
            return Checked::accepted();
        };
        self.start_chain();
        let Some(mut tokens) = self.cut_arguments(arguments, comments) else {
            return Checked::accepted();
        };
        self.rewrite(&mut tokens, ruleset);
        let checked = self.judge(&tokens, hook);
        self.finish(tokens);
        checked
    }

    /// Runs a ruleset on values joined by `$|` and returns its words, symbols left out.
    ///
    /// For rulesets that answer with words instead of a verdict: `srv_features`,
    /// `authinfo`, `queuegroup`, `greet_pause`. `None` when the ruleset is not defined.
    pub fn ask_ruleset(&mut self, ruleset: &[u8], arguments: &[&[u8]]) -> Option<RulesetAnswer> {
        let ruleset = self.rules.find_defined(ruleset)?;
        self.start_chain();
        let mut tokens = self.cut_arguments(arguments, Comments::Dropped)?;
        let status = self.rewrite(&mut tokens, ruleset);
        let answer = RulesetAnswer {
            leading_symbol: tokens.first().and_then(Token::mark),
            words: tokens
                .iter()
                .filter(|token| token.mark().is_none())
                .map(|token| self.word(token).to_vec())
                .collect(),
            status,
        };
        self.finish(tokens);
        Some(answer)
    }

    fn cut_arguments(&mut self, arguments: &[&[u8]], comments: Comments) -> Option<Vec<Token>> {
        let mut text = Vec::new();
        for (number, argument) in arguments.iter().enumerate() {
            if number > 0 {
                Mark::Else.push(0, &mut text);
            }
            push_plain(argument, &mut text);
        }
        let (parentheses, faults) = match comments {
            Comments::Dropped => (Parentheses::Comments, Faults::Repair),
            Comments::Kept => (Parentheses::Operators, Faults::Ignore),
        };
        let options = TokenizeOptions {
            delimiter: None,
            reading: Reading::Marked,
            parentheses,
            faults,
        };
        self.cut(&text, options, Telling::Quietly).1.ok()
    }

    fn judge(&mut self, tokens: &[Token], hook: &[u8]) -> Checked {
        let [first, mailer, rest @ ..] = tokens else {
            return Checked::accepted();
        };
        if first.mark() != Some(Mark::Mailer) {
            return Checked::accepted();
        }
        match self.word(mailer) {
            b"discard" => Checked {
                verdict: Verdict::Discard,
                exit: ExitStatus::Ok,
            },
            b"error" => self.judge_error(rest, hook),
            _ => Checked::accepted(),
        }
    }

    fn judge_error(&mut self, rest: &[Token], hook: &[u8]) -> Checked {
        let user_at = rest
            .iter()
            .position(|token| token.mark() == Some(Mark::User));
        let user = user_at.and_then(|at| rest.get(at + 1..));
        let host = match rest {
            [first, ..] if first.mark() == Some(Mark::Host) => {
                rest.get(1..user_at.unwrap_or(rest.len()))
            }
            _ => None,
        };
        let says_quarantine = host
            .and_then(|host| host.first())
            .is_some_and(|token| self.word(token) == b"quarantine");
        if says_quarantine {
            let reason = match user {
                Some(user) if !user.is_empty() => self.joined_with(user, b' '),
                _ => hook.to_vec(),
            };
            return Checked {
                verdict: Verdict::Quarantine(reason),
                exit: ExitStatus::Ok,
            };
        }
        let Some(user) = user else {
            self.complain(b"554 5.3.5 buildaddr: no user".to_vec());
            return Checked {
                verdict: Verdict::Reject(Reply::of("554 5.3.5 buildaddr: no user")),
                exit: ExitStatus::Config,
            };
        };
        let host = host
            .filter(|host| !host.is_empty())
            .map(|host| self.joined(host));
        let error = error_from_rule(host.as_deref(), &self.joined_with(user, b' '));
        let exit = error.exit;
        let verdict = if error.reply.code.is_temporary() {
            Verdict::Defer(error.reply)
        } else {
            Verdict::Reject(error.reply)
        };
        Checked { verdict, exit }
    }

    /// Runs a ruleset on an address as test mode does and returns what came out, joined.
    pub fn rewritten(&mut self, address: &[u8], ruleset: RulesetId) -> Option<Vec<u8>> {
        self.start_chain();
        let (_, cut) = self.tokenize(address, TokenizeOptions::ADDRESS);
        let mut tokens = cut.ok()?;
        self.rewrite(&mut tokens, ruleset);
        let out = self.joined(&tokens);
        self.finish(tokens);
        Some(out)
    }
}

/// What a ruleset that answers with words said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesetAnswer {
    /// The symbol it began with, such as `$#`.
    pub leading_symbol: Option<Mark>,
    /// The words in order.
    pub words: Vec<Vec<u8>>,
    /// Whether a map could not answer now.
    pub status: ExitStatus,
}
