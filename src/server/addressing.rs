//! Addresses of MAIL, RCPT, VRFY and EXPN: where they end, what they resolve to.

use super::connection::ConnectionKind;
use super::session::Session;
use super::wording;
use crate::logging::record::Severity;
use crate::mailer::MailerTriple;
use crate::smtp::{ExitStatus, Reply, command::skip_blanks, parameter};
use crate::sys::identity::User;
use crate::token::{NoTokens, TokenBuffer, TokenizeOptions, tokenize};

/// The refusal of octets above 127 in an address that comes over the network. The reference takes
/// their eighth bit away; a local program at the other end of `-bs` gets it so.
/// Source: RFC 5321 section 2.4, RFC 6531 section 3.5.
const NEEDS_SMTPUTF8: &[u8] = b"553 5.6.7 Address requires SMTPUTF8";

/// The pieces of `FROM:<address> parameters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathArgument<'a> {
    /// The address as written.
    pub address: &'a [u8],
    /// What follows it.
    pub parameters: &'a [u8],
}

/// Why an argument is no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathFault {
    /// `FROM:` or `TO:` is missing; holds what was there instead.
    Keyword(Vec<u8>),
    /// The address is malformed; what it would be when repaired, and the refusal.
    Malformed(Vec<u8>, Reply),
}

impl Session {
    /// Splits the argument of MAIL or RCPT.
    pub(super) fn split_path<'a>(
        &self,
        argument: &'a [u8],
        keyword: &[u8],
    ) -> Result<PathArgument<'a>, PathFault> {
        let rest =
            skip_keyword(argument, keyword).map_err(|word| PathFault::Keyword(word.to_vec()))?;
        let options = TokenizeOptions {
            delimiter: Some(b' '),
            ..TokenizeOptions::ADDRESS
        };
        let (mut tokens, mut complaints) = (TokenBuffer::default(), Vec::new());
        let syntax = &self.mta.config.syntax;
        let result = tokenize(rest, options, syntax, &mut tokens, &mut complaints);
        if let Some(complaint) = complaints.first() {
            // The refusal shows all that was given, parameters included (observed: 8.17.1.9).
            let refusal = wording::about(rest, wording::reply(&complaint.text));
            return Err(PathFault::Malformed(
                repaired(rest, &complaint.text),
                refusal,
            ));
        }
        let end = match result {
            Ok(end) => end,
            Err(NoTokens) => end_of_word(rest),
        };
        let (address, parameters) = rest.split_at(end.min(rest.len()));
        let address = address.trim_ascii_end();
        let is_offered = self.mta.config.options.receiving.smtp_utf8;
        let is_asked_for = self.transaction.parameters.smtp_utf8
            || is_offered && parameter::names(parameters, b"smtputf8");
        if let Some(refusal) = self.refuse_eight_bits(address, is_asked_for) {
            return Err(PathFault::Malformed(address.to_vec(), refusal));
        }
        Ok(PathArgument {
            address,
            parameters,
        })
    }

    /// Refuses an address beyond ASCII that comes over the network, unless SMTPUTF8 was asked for
    /// and it is UTF-8.
    ///
    /// Source: RFC 6531 sections 3.3 and 3.5.
    pub(super) fn refuse_eight_bits(&self, address: &[u8], is_asked_for: bool) -> Option<Reply> {
        if address.is_ascii() || self.connection.kind != ConnectionKind::Network {
            return None;
        }
        if !is_asked_for {
            return Some(wording::reply(NEEDS_SMTPUTF8));
        }
        let is_valid = std::str::from_utf8(address).is_ok();
        (!is_valid).then(|| wording::reply(b"501 5.1.3 Address is not valid UTF-8"))
    }

    /// Makes the refusal of a path without its keyword.
    pub(super) fn keyword_refusal(word: &[u8]) -> Reply {
        let text = [
            b"501 5.5.2 Syntax error in parameters scanning \"",
            word,
            b"\"",
        ]
        .concat();
        wording::reply(&text)
    }

    /// Looks a user of the local mailer up; an unreachable database is no user here.
    pub(super) fn local_user(&self, triple: &MailerTriple) -> Option<User> {
        let mailer = self.mta.config.mailers.get(triple.mailer);
        if !mailer.has(b'w') {
            return None;
        }
        self.mta.users.user_by_name(&triple.user).ok().flatten()
    }

    /// Remembers the worst that happened, for the exit status of `-bs`.
    pub(super) fn remember_exit(&mut self, exit: ExitStatus) {
        if matches!(self.exit, ExitStatus::Ok | ExitStatus::TempFail) && exit != ExitStatus::Ok {
            self.exit = exit;
        }
    }

    /// Notes why a recipient is refused.
    pub(super) fn log_refusal(&self, text: &[u8]) {
        self.log(
            4,
            Severity::Notice,
            format_args!("{}", crate::text::bytes::escape_for_display(text)),
        );
    }
}

/// Skips `keyword`, blanks and a colon; `Err` is what stands there instead.
fn skip_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Result<&'a [u8], &'a [u8]> {
    let length = argument
        .iter()
        .take_while(|octet| **octet != b':' && !octet.is_ascii_whitespace())
        .count();
    let (word, rest) = argument.split_at(length);
    let Some(rest) = skip_blanks(rest).strip_prefix(b":") else {
        return Err(word);
    };
    let rest = skip_blanks(rest);
    if rest.is_empty() || !word.eq_ignore_ascii_case(keyword) {
        return Err(word);
    }
    Ok(rest)
}

/// Supplies the bracket that a malformed address lacks.
fn repaired(address: &[u8], complaint: &[u8]) -> Vec<u8> {
    let missing: &[u8] = if complaint.ends_with(b"'<'") {
        b">"
    } else {
        b""
    };
    [address, missing].concat()
}

fn end_of_word(text: &[u8]) -> usize {
    text.iter()
        .position(|octet| octet.is_ascii_whitespace())
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_found_as_by_the_reference() {
        for (argument, rest) in [
            ("FROM:<a@b>", Ok("<a@b>")),
            ("from : <a@b> X=1", Ok("<a@b> X=1")),
            ("", Err("")),
            ("FROM", Err("FROM")),
            ("FROM:", Err("FROM")),
            ("TO:<x>", Err("TO")),
            ("FROM<x@far.test>", Err("FROM<x@far.test>")),
            ("f:<x>", Err("f")),
        ] {
            let found = skip_keyword(argument.as_bytes(), b"from");
            let expected = rest.map(str::as_bytes).map_err(str::as_bytes);
            assert_eq!(found, expected, "{argument}");
        }
    }
}
