//! The argument vector of a mailer call.
//!
//! Each word of `A=` is expanded on its own, so no address can ever become two
//! words or a piece of shell text. A word that names `$u` stands once for each
//! recipient when the mailer has F=m.
//!
//! Source: guide 5.4, field A= and flags f, m, r.

use crate::macros::{MacroId, Macros};
use crate::mailer::Mailer;

/// Builds the words; `sender` is `$g` when the sender was named explicitly.
pub fn argument_vector(
    mailer: &Mailer,
    macros: &mut Macros<'_>,
    users: &[Vec<u8>],
    sender: Option<&[u8]>,
) -> Vec<Vec<u8>> {
    let mut words = Vec::with_capacity(mailer.argv.len() + users.len() + 2);
    for (position, template) in mailer.argv.iter().enumerate() {
        if template.uses(MacroId::U) {
            let repeats = if mailer.has(b'm') { users.len() } else { 1 };
            for user in users.iter().take(repeats) {
                macros.set_text(MacroId::U, user);
                words.push(template.expanded(macros));
            }
        } else {
            words.push(template.expanded(macros));
        }
        if position == 0
            && let Some(sender) = sender
            && let Some(flag) = sender_flag(mailer)
        {
            words.push(flag.to_vec());
            words.push(sender.to_vec());
        }
    }
    words
}

fn sender_flag(mailer: &Mailer) -> Option<&'static [u8]> {
    if mailer.has(b'f') {
        Some(b"-f")
    } else if mailer.has(b'r') {
        Some(b"-r")
    } else {
        None
    }
}

/// Removes the backslashes in front, as F=B asks for.
///
/// Observed: 8.17.1.9.
pub fn strip_backslashes(text: &[u8]) -> Vec<u8> {
    let start = text.iter().take_while(|byte| **byte == b'\\').count();
    text.get(start..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::{MacroNames, MacroTable, Template};
    use crate::mailer::MailerFlags;

    fn build(flags: &[u8], words: &[&str], users: &[&str], sender: Option<&[u8]>) -> Vec<String> {
        let mut names = MacroNames::new();
        let mut mailer = Mailer::new(b"m", b"/bin/m");
        mailer.flags = MailerFlags::from_bytes(flags);
        mailer.argv = words
            .iter()
            .map(|word| Template::parse(word.as_bytes(), &mut names))
            .collect();
        let (mut front, base) = (MacroTable::new(), MacroTable::new());
        let mut macros = Macros::new(&mut front, None, &base);
        let users: Vec<Vec<u8>> = users.iter().map(|user| user.as_bytes().to_vec()).collect();
        argument_vector(&mailer, &mut macros, &users, sender)
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap())
            .collect()
    }

    #[test]
    fn the_user_word_repeats_only_with_flag_m() {
        assert_eq!(
            build(b"m", &["x", "-d", "$u"], &["a b", "c"], None),
            ["x", "-d", "a b", "c"]
        );
        assert_eq!(
            build(b"", &["x", "$u", "end"], &["a", "c"], None),
            ["x", "a", "end"]
        );
    }

    #[test]
    fn an_explicit_sender_follows_the_program_name() {
        assert_eq!(
            build(b"f", &["x", "$u"], &["a"], Some(b"s@d")),
            ["x", "-f", "s@d", "a"]
        );
        assert_eq!(
            build(b"r", &["x", "$u"], &["a"], Some(b"s@d")),
            ["x", "-r", "s@d", "a"]
        );
        assert_eq!(build(b"f", &["x", "$u"], &["a"], None), ["x", "a"]);
    }
}
