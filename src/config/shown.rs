//! How the reference shows a mailer in a listing.

use super::compiled::Config;
use crate::macros::{MacroNames, Template};
use crate::mailer::{Mailer, MailerId};
use crate::token::RulesetId;

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
            b'\t' => line.extend_from_slice(b"\\t"),
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
    crate::token::print_template(&marked, names, out);
}
