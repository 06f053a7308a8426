//! Command lines: the verb and what follows it.
//!
//! Parsing is as forgiving as the reference's: the verb is the first word of
//! the line, compared without regard to case, after leading white space. What
//! follows is kept as received; the verb's own parser looks at it. The list of
//! verbs is closed: whatever is not in it is unknown.

/// A verb the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// AUTH (RFC 4954).
    Auth,
    /// BDAT (RFC 3030), where chunks are offered.
    Bdat,
    /// DATA.
    Data,
    /// EHLO.
    Ehlo,
    /// ETRN (RFC 1985).
    Etrn,
    /// EXPN.
    Expn,
    /// HELO.
    Helo,
    /// HELP.
    Help,
    /// MAIL.
    Mail,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// RCPT.
    Rcpt,
    /// RSET.
    Rset,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// VERB, the verbose switch.
    Verb,
    /// VRFY.
    Vrfy,
    /// A verb of RFC 821 that is known and not implemented: SEND, SAML, SOML, TURN.
    NotImplemented,
    /// A verb of another protocol (GET, POST, CONNECT, USER) that betrays an open proxy.
    Foreign,
    /// Anything else.
    Unknown,
}

/// Names of verbs.
const VERBS: &[(&[u8], Verb)] = &[
    (b"mail", Verb::Mail),
    (b"rcpt", Verb::Rcpt),
    (b"data", Verb::Data),
    (b"bdat", Verb::Bdat),
    (b"ehlo", Verb::Ehlo),
    (b"helo", Verb::Helo),
    (b"rset", Verb::Rset),
    (b"quit", Verb::Quit),
    (b"noop", Verb::Noop),
    (b"vrfy", Verb::Vrfy),
    (b"expn", Verb::Expn),
    (b"help", Verb::Help),
    (b"verb", Verb::Verb),
    (b"etrn", Verb::Etrn),
    (b"auth", Verb::Auth),
    (b"starttls", Verb::StartTls),
    (b"send", Verb::NotImplemented),
    (b"saml", Verb::NotImplemented),
    (b"soml", Verb::NotImplemented),
    (b"turn", Verb::NotImplemented),
    (b"get", Verb::Foreign),
    (b"post", Verb::Foreign),
    (b"connect", Verb::Foreign),
    (b"user", Verb::Foreign),
];

/// Longest verb that is compared with the table.
///
/// Observed: 8.17.1.9 looks at ten octets at most.
const MAX_VERB_LENGTH: usize = 10;

/// One command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// The verb.
    pub verb: Verb,
    /// The whole line. Observed: 8.17.1.9 repeats it with its leading blanks.
    pub line: &'a [u8],
    /// What follows the verb and white space.
    pub argument: &'a [u8],
}

impl<'a> Command<'a> {
    /// Splits a line (without line end) into verb and argument.
    pub fn parse(line: &'a [u8]) -> Self {
        let text = skip_blanks(line);
        let length = text
            .iter()
            .take(MAX_VERB_LENGTH)
            .take_while(|octet| !is_blank(**octet))
            .count();
        let (word, rest) = text.split_at(length);
        let verb = VERBS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map_or(Verb::Unknown, |(_, verb)| *verb);
        Self {
            verb,
            line,
            argument: skip_blanks(rest),
        }
    }
}

/// Returns the text without its leading white space.
pub fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|octet| is_blank(**octet)).count();
    text.get(blanks..).unwrap_or(b"")
}

/// Tells whether an octet is white space in the sense of C's `isspace`.
pub fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_without_regard_to_case() {
        for (line, verb, argument) in [
            ("MAIL FROM:<a@b>", Verb::Mail, "FROM:<a@b>"),
            ("  rcpt\tTO:<a>", Verb::Rcpt, "TO:<a>"),
            ("QuIt now", Verb::Quit, "now"),
            ("SEND FROM:<x>", Verb::NotImplemented, "FROM:<x>"),
            ("GET / HTTP/1.0", Verb::Foreign, "/ HTTP/1.0"),
            ("wiz", Verb::Unknown, ""),
            ("", Verb::Unknown, ""),
            ("MAILFROM:<a>", Verb::Unknown, "<a>"),
        ] {
            let command = Command::parse(line.as_bytes());
            assert_eq!(command.verb, verb, "{line}");
            if verb != Verb::Unknown {
                assert_eq!(command.argument, argument.as_bytes(), "{line}");
            }
        }
    }

    #[test]
    fn the_line_is_kept_for_the_error_text() {
        assert_eq!(Command::parse(b"  FOO bar").line, b"  FOO bar");
    }

    #[test]
    fn no_input_makes_the_parser_panic() {
        for octet in 0..=255u8 {
            for length in 0..20 {
                let _ = Command::parse(&vec![octet; length]);
            }
        }
    }
}
