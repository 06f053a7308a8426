//! How the reference shows a line in a message, and a mailer in a listing.

use super::compiled::Config;
use crate::macros::{MacroId, MacroNames, Template};
use crate::mailer::{Mailer, MailerId};
use crate::token::{RulesetId, print_marked};

/// Gives the text with each `$` symbol as the octet 0x81 in front of its name.
///
/// Messages are printed in seven bits, so the octet comes out as 0x01.
/// Observed: 8.17.1.9 (`invalid rewrite line "R\u{1}*" (tab expected)`).
pub fn shown(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'$' {
            text.push(byte);
            continue;
        }
        match tail.first() {
            None => text.push(byte),
            Some(b'$') => {
                text.push(byte);
                rest = &tail[1..];
            }
            Some(_) => {
                text.push(0x81);
                if let Some((&symbol @ (b'=' | b'~' | b'&' | b'?'), tail)) = tail.split_first() {
                    text.push(symbol);
                    rest = tail;
                }
                rest = push_name(rest, &mut text);
            }
        }
    }
    text
}

/// Shows a name; a long one without end swallows the line.
fn push_name<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some((&first, tail)) = rest.split_first() else {
        return rest;
    };
    if first != b'{' {
        text.push(first);
        return tail;
    }
    match memchr::memchr(b'}', tail) {
        // One long name is shown as one octet; which one depends on all names before it.
        Some(end) => {
            text.push(0xa0);
            &tail[end + 1..]
        }
        None => b"",
    }
}

/// Gives the line that shows a mailer: `=M` of test mode, and `-d0.15`.
pub fn mailer_line(config: &Config, id: MailerId, mailer: &Mailer) -> Vec<u8> {
    let ruleset_name = |id: Option<RulesetId>| config.rules.name(id.unwrap_or(RulesetId::PARSE));
    let mut line = format!("mailer {} (", id.index()).into_bytes();
    let pair = |envelope, header| [&*ruleset_name(envelope), b"/", &*ruleset_name(header)].concat();
    line.extend_from_slice(&mailer.name);
    line.extend_from_slice(b"): P=");
    line.extend_from_slice(&mailer.path);
    line.extend_from_slice(b" S=");
    let sender = mailer.sender_rewriting;
    line.extend(pair(sender.envelope, sender.header));
    line.extend_from_slice(b" R=");
    let recipient = mailer.recipient_rewriting;
    line.extend(pair(recipient.envelope, recipient.header));
    line.extend_from_slice(format!(" M={} U=", mailer.max_size).as_bytes());
    let identity = match mailer.identity {
        Some(identity) => format!(
            "{}:{}",
            identity.uid,
            identity
                .gid
                .map_or_else(|| "-1".to_owned(), |gid| gid.to_string())
        ),
        None => "-1:-1".to_owned(),
    };
    line.extend_from_slice(identity.as_bytes());
    line.extend_from_slice(b" F=");
    line.extend(mailer.flags.iter());
    line.extend_from_slice(format!(" L={} E=", mailer.line_limit).as_bytes());
    for &octet in &mailer.end_of_line {
        match octet {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            _ => line.push(octet),
        }
    }
    if let Some(set) = &mailer.char_set {
        line.extend_from_slice(b" C=");
        line.extend_from_slice(set);
    }
    line.extend_from_slice(b" T=");
    let types = [
        &mailer.mta_type,
        &mailer.address_type,
        &mailer.diagnostic_type,
    ];
    for (at, kind) in types.into_iter().enumerate() {
        if at > 0 {
            line.push(b'/');
        }
        line.extend_from_slice(kind.as_deref().unwrap_or(b"<undefined>"));
    }
    line.extend_from_slice(format!(" r={} A=", mailer.max_recipients).as_bytes());
    for (at, word) in mailer.argv.iter().enumerate() {
        if at > 0 {
            line.push(b' ');
        }
        print_template(&config.names, word, &mut line);
    }
    line
}

/// Appends text of the configuration as the reference shows it.
fn print_template(names: &MacroNames, template: &Template, out: &mut Vec<u8>) {
    let mut marked = Vec::new();
    template.push_marked(&mut marked);
    print_marked(
        &marked,
        &|number| names.name(MacroId::from_number(number)),
        out,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_become_one_octet() {
        assert_eq!(shown(b"R$* $$x $=w$"), b"R\x81* $x \x81=w$");
        assert_eq!(shown(b"?${z?X: $x"), b"?\x81");
    }
}
