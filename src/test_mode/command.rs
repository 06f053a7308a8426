//! Lines of test mode that are not rulesets.

use crate::text::bytes::{drop_end_spaces, is_space, skip_spaces};

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing: empty, or a remark.
    Nothing,
    /// `?`.
    Help,
    /// `.Dxvalue`, without its first two characters.
    DefineMacro(&'a [u8]),
    /// `.Cxwords`, without its first two characters.
    AddToClass(&'a [u8]),
    /// `=Sname`.
    ShowRules(&'a [u8]),
    /// `=M`.
    ShowMailers,
    /// `-dX.Y`.
    Debug(&'a [u8]),
    /// `$x`, without the dollar sign.
    ShowMacro(&'a [u8]),
    /// `$=x`, without its first two characters.
    ShowClass(&'a [u8]),
    /// `/mx host`.
    Mx(&'a [u8]),
    /// `/canon host`.
    Canon(&'a [u8]),
    /// `/map name key`.
    Map(&'a [u8]),
    /// `/try mailer address`.
    Try(&'a [u8]),
    /// `/tryflags letters`.
    TryFlags(&'a [u8]),
    /// `/parse address`.
    Parse(&'a [u8]),
    /// `/quit`.
    Quit,
    /// A line that is wrong, answered by this text and, if there is one, the line itself.
    Wrong(&'static str, Option<&'a [u8]>),
    /// Rulesets and an address.
    Rewrite(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Understands a line without its end.
    pub fn parse(line: &'a [u8]) -> Command<'a> {
        let line = line.split(|&c| c == 0).next().unwrap_or(b"");
        // Spaces in front do not count, other white space does. Observed: 8.17.1.9.
        let indent = line.iter().take_while(|&&c| c == b' ').count();
        let line = line.get(indent..).unwrap_or(b"");
        let rest = line.get(2..).unwrap_or(b"");
        match line {
            [] | [b'#', ..] => Command::Nothing,
            [b'?', ..] => Command::Help,
            [b'.', b'D', ..] => Command::DefineMacro(rest),
            [b'.', b'C', ..] if rest.is_empty() => Command::Nothing,
            [b'.', b'C', ..] => Command::AddToClass(rest),
            [b'.'] => Command::Wrong("Usage: .[DC]macro value(s)", None),
            [b'.', ..] => Command::Wrong("Unknown \".\" command ", Some(line)),
            [b'=', b'S', ..] => Command::ShowRules(rest),
            [b'=', b'M', ..] => Command::ShowMailers,
            [b'='] => Command::Wrong("Usage: =Sruleset or =M", None),
            [b'=', ..] => Command::Wrong("Unknown \"=\" command ", Some(line)),
            [b'-', b'd', ..] => Command::Debug(rest),
            [b'-'] => Command::Wrong("Usage: -d{debug arguments}", None),
            [b'-', ..] => Command::Wrong("Unknown \"-\" command ", Some(line)),
            [b'$', b'=', ..] => Command::ShowClass(rest),
            [b'$', ..] => Command::ShowMacro(line.get(1..).unwrap_or(b"")),
            [b'/', ..] => Command::slash(drop_end_spaces(line)),
            _ => Command::Rewrite(line),
        }
    }

    fn slash(line: &'a [u8]) -> Command<'a> {
        let end = line
            .iter()
            .position(|c| matches!(c, b' ' | b'\t'))
            .unwrap_or(line.len());
        let (word, argument) = line.split_at(end);
        let argument = skip_spaces(argument);
        let verb = word.get(1..).unwrap_or(b"");
        if verb.is_empty() {
            return Command::Wrong("Usage: /[canon|map|mx|parse|try|tryflags]", None);
        }
        let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
        let Some((_, command, usage)) = VERBS.iter().find(|(name, ..)| is(name)) else {
            return Command::Wrong("Unknown \"/\" command ", Some(word));
        };
        match usage {
            Some(usage) if argument.is_empty() => Command::Wrong(usage, None),
            _ => command(argument),
        }
    }
}

/// A verb, what it makes of its argument, and what it answers if it needs one and has none.
type Verb = (
    &'static [u8],
    for<'a> fn(&'a [u8]) -> Command<'a>,
    Option<&'static str>,
);

const VERBS: [Verb; 7] = [
    (b"quit", |_| Command::Quit, None),
    (b"mx", |host| Command::Mx(host), Some("Usage: /mx address")),
    (
        b"canon",
        |host| Command::Canon(host),
        Some("Usage: /canon address"),
    ),
    (
        b"map",
        |rest| Command::Map(rest),
        Some("Usage: /map mapname key"),
    ),
    (b"try", |rest| Command::Try(rest), None),
    (
        b"tryflags",
        |letters| Command::TryFlags(letters),
        Some("Usage: /tryflags [Hh|Ee][Ss|Rr]"),
    ),
    (
        b"parse",
        |address| Command::Parse(address),
        Some("Usage: /parse address"),
    ),
];

/// Splits at the first blank; the second part is `None` if there is no blank.
pub(super) fn split_word(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(is_space) {
        Some(at) => (
            text.get(..at).unwrap_or(text),
            Some(text.get(at + 1..).unwrap_or(b"")),
        ),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        for (line, command) in [
            ("", Command::Nothing),
            ("  ", Command::Nothing),
            (" \t", Command::Rewrite(b"\t")),
            ("  =M", Command::ShowMailers),
            ("\t=M", Command::Rewrite(b"\t=M")),
            ("# remark", Command::Nothing),
            ("3,0 a@b", Command::Rewrite(b"3,0 a@b")),
            ("=Sparse", Command::ShowRules(b"parse")),
            ("$=w", Command::ShowClass(b"w")),
            ("${x}", Command::ShowMacro(b"{x}")),
            ("/PARSE  a b ", Command::Parse(b"a b")),
            (
                "/quit-not",
                Command::Wrong("Unknown \"/\" command ", Some(b"/quit-not")),
            ),
            ("=X", Command::Wrong("Unknown \"=\" command ", Some(b"=X"))),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), command, "{line}");
        }
    }
}
