//! M lines: mailers.
//!
//! Source: guide 5.4; messages and tolerance observed: 8.17.1.9.

use crate::macros::{MacroId, MacroNames, Template};
use crate::mailer::{Invocation, Mailer, MailerFlags, MailerIdentity, RewritePair};
use crate::rewrite::RuleBook;
use crate::sys::identity::UserDatabase;
use crate::text::interval::IntervalUnit;

use super::diagnostics::Diagnostics;
use super::fields::{Fields, split_name};
use super::options::value;

/// Longest line of a mailer with flag `L` that gives no limit of its own.
const SMTP_LINE_LIMIT: u32 = 990;

/// What an M line is read with.
pub struct MailerLine<'a> {
    /// Level of the file.
    pub level: u8,
    /// Names of macros.
    pub names: &'a mut MacroNames,
    /// Rulesets, to which `S=` and `R=` may add names.
    pub rules: &'a mut RuleBook,
    /// Users and groups for `U=`.
    pub users: &'a dyn UserDatabase,
    /// Whether a queue group of a name exists.
    pub knows_queue_group: &'a dyn Fn(&[u8]) -> bool,
    /// Where complaints go.
    pub out: &'a mut Diagnostics,
}

/// Fields of a mailer while they are being read.
struct Draft {
    mailer: Mailer,
    end_of_line: Option<Vec<u8>>,
}

impl MailerLine<'_> {
    /// Reads the text behind the letter `M`; `None` when there is no usable mailer in it.
    pub fn read(&mut self, line: &[u8]) -> Option<Mailer> {
        let (name, rest) = split_name(line);
        if name.is_empty() {
            self.out.error("name required for mailer");
            return None;
        }
        let mut draft = Draft {
            mailer: Mailer::new(name, b""),
            end_of_line: None,
        };
        for field in Fields::new(rest) {
            let Ok(field) = field else {
                self.complain(b"mailer ", name, b": `=' expected");
                return None;
            };
            self.set(&mut draft, field.letter, &field.value)?;
        }
        self.finish(draft)
    }

    fn complain(&mut self, before: &[u8], name: &[u8], after: &[u8]) {
        self.out.error([before, name, after].concat());
    }

    /// Puts one field in; `None` ends the reading of the line.
    fn set(&mut self, draft: &mut Draft, letter: u8, text: &[u8]) -> Option<()> {
        let mailer = &mut draft.mailer;
        let name = mailer.name.clone();
        match letter {
            b'P' => mailer.path = self.names.told(text),
            b'F' => {
                let told = self.names.told(text);
                let letters = told.iter().filter(|byte| byte.is_ascii_graphic());
                letters.for_each(|&letter| mailer.flags.insert(letter));
            }
            b'S' => mailer.sender_rewriting = self.rewriting(text)?,
            b'R' => mailer.recipient_rewriting = self.rewriting(text)?,
            b'E' => match text {
                [] => self.complain(b"mailer ", &name, b": null end-of-line string"),
                _ => draft.end_of_line = Some(text.to_vec()),
            },
            b'A' => {
                mailer.argv = crate::text::bytes::words(text)
                    .map(|word| Template::parse(word, self.names))
                    .collect();
            }
            b'M' => mailer.max_size = value::number(text),
            b'm' => mailer.max_messages = value::count(text),
            b'r' => mailer.max_recipients = value::count(text),
            b'L' => mailer.line_limit = value::count(text),
            b'N' => mailer.nice = value::signed(text),
            b'D' => match text {
                [] => self.complain(b"mailer ", &name, b": null working directory"),
                _ => mailer.directory = Some(Template::parse(text, self.names)),
            },
            b'C' => match text {
                [] => self.complain(b"mailer ", &name, b": null charset"),
                _ => mailer.char_set = Some(text.to_vec()),
            },
            b'Q' => match text {
                [] => self.complain(b"mailer ", &name, b": null queue"),
                _ if (self.knows_queue_group)(text) => mailer.queue_group = Some(text.to_vec()),
                _ => {
                    let after = [b": unknown queue ".as_slice(), text].concat();
                    self.complain(b"mailer ", &name, &after);
                }
            },
            b'T' => set_types(mailer, text),
            b'U' => self.set_identity(mailer, text),
            b'W' => {
                let out = &mut *self.out;
                mailer.wait = value::interval(text, IntervalUnit::Seconds, &mut |letter| {
                    out.user_error([b"Invalid time unit `".as_slice(), &[letter], b"'"].concat());
                })
                .duration();
            }
            b'/' => match text {
                [] => self.complain(b"mailer ", &name, b": null root directory"),
                _ => mailer.root = Some(Template::parse(text, self.names)),
            },
            other => {
                let after = [b": unknown mailer equate ".as_slice(), &[other], b"="].concat();
                self.complain(b"M", &name, &after);
            }
        }
        Some(())
    }

    /// Reads `n` or `envelope/header`; ruleset zero means none.
    fn rewriting(&mut self, text: &[u8]) -> Option<RewritePair> {
        let mut errors = Vec::new();
        let first = self.rules.enter(text, &mut errors);
        let mut pair = None;
        if let Some(first) = first {
            let id = Some(first.id).filter(|id| id.number() != 0);
            pair = Some(RewritePair {
                envelope: id,
                header: id,
            });
            if let Some([b'/', second @ ..]) = text.get(first.taken..) {
                pair = self
                    .rules
                    .enter(second, &mut errors)
                    .map(|second| RewritePair {
                        envelope: id,
                        header: Some(second.id).filter(|id| id.number() != 0),
                    });
            }
        }
        errors.iter().for_each(|error| self.out.error(error));
        pair
    }

    /// Reads `user`, `user:group`, `uid:gid`.
    fn set_identity(&mut self, mailer: &mut Mailer, text: &[u8]) {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let (mut identity, rest) = if text.first().is_some_and(u8::is_ascii_digit) {
            let (uid, taken) = c_number(text);
            (MailerIdentity { uid, gid: None }, &text[taken..])
        } else {
            let end = text
                .iter()
                .position(|byte| !is_name(byte))
                .unwrap_or(text.len());
            let (user, rest) = text.split_at(end);
            if user.is_empty() {
                let name = mailer.name.clone();
                return self.complain(b"mailer ", &name, b": null user name");
            }
            match self.users.user_by_name(user) {
                Ok(Some(found)) => {
                    let identity = MailerIdentity {
                        uid: found.uid,
                        gid: Some(found.gid),
                    };
                    (identity, rest)
                }
                Ok(None) | Err(_) => {
                    return self.complain(b"readcf: mailer U= flag: unknown user ", user, b"");
                }
            }
        };
        let rest = rest.trim_ascii_start();
        let group = rest.get(1..).unwrap_or_default().trim_ascii_start();
        if group.first().is_some_and(u8::is_ascii_digit) {
            identity.gid = Some(c_number(group).0);
        } else if !group.is_empty() {
            let end = group
                .iter()
                .position(|byte| !is_name(byte))
                .unwrap_or(group.len());
            let group = &group[..end];
            match self.users.group_by_name(group) {
                _ if group.is_empty() => {
                    let name = mailer.name.clone();
                    self.complain(b"mailer ", &name, b": null group name");
                }
                Ok(Some(gid)) => identity.gid = Some(gid),
                Ok(None) | Err(_) => {
                    self.complain(b"readcf: mailer U= flag: unknown group ", group, b"");
                }
            }
        }
        mailer.identity = Some(identity);
    }

    /// Checks that the mailer can be used, and fills in what follows from the other fields.
    fn finish(&mut self, draft: Draft) -> Option<Mailer> {
        let Draft {
            mut mailer,
            end_of_line,
        } = draft;
        let name = mailer.name.clone();
        if mailer.argv.is_empty() {
            self.complain(b"M", &name, b": A= argument required");
            return None;
        }
        if mailer.path.is_empty() {
            self.complain(b"M", &name, b": P= argument required");
            return None;
        }
        if mailer.max_recipients == 0 {
            mailer.max_recipients = crate::mailer::definition::DEFAULT_MAX_RECIPIENTS;
        }
        if mailer.has(b'L') {
            if mailer.line_limit == 0 {
                mailer.line_limit = SMTP_LINE_LIMIT;
            }
            if self.level < 2 {
                mailer.flags.insert(b'7');
            }
        }
        if mailer.path == b"[TCP]" {
            self.complain(b"M", &name, b": P=[TCP] must be replaced by P=[IPC]");
            return None;
        }
        match mailer.invocation() {
            Invocation::Network => self.finish_network(&mut mailer)?,
            Invocation::File => self.check_file(&mailer)?,
            Invocation::Program => {}
        }
        let has_user = mailer.argv.iter().any(|word| word.uses(MacroId::U));
        let default: &[u8] = if has_user { b"\n" } else { b"\r\n" };
        mailer.end_of_line = end_of_line.unwrap_or_else(|| default.to_vec());
        Some(mailer)
    }

    fn finish_network(&mut self, mailer: &mut Mailer) -> Option<()> {
        let first = mailer
            .argv
            .first()
            .map(Template::source)
            .unwrap_or_default();
        if mailer.argv.get(1).is_none_or(Template::is_empty) {
            self.complain(b"M", &mailer.name, b": too few parameters for [IPC] mailer");
            return None;
        }
        let is_file = first == b"FILE";
        if !is_file && first != b"TCP" {
            let text = b": Warning: first argument in [IPC] mailer must be TCP or FILE";
            self.out
                .warning([b"M".as_slice(), &mailer.name, text].concat());
        }
        mailer.mta_type.get_or_insert_with(|| b"dns".to_vec());
        mailer
            .address_type
            .get_or_insert_with(|| b"rfc822".to_vec());
        let diagnostic: &[u8] = if is_file { b"x-unix" } else { b"smtp" };
        mailer
            .diagnostic_type
            .get_or_insert_with(|| diagnostic.to_vec());
        Some(())
    }

    fn check_file(&mut self, mailer: &Mailer) -> Option<()> {
        let fault: &[u8] = match mailer.argv.as_slice() {
            [] | [_] => b": too few parameters for [FILE] mailer",
            [first, _] if first.source() == b"FILE" => return Some(()),
            [_, _] => b": first argument in [FILE] mailer must be FILE",
            _ => b": too many parameters for [FILE] mailer",
        };
        self.complain(b"M", &mailer.name, fault);
        None
    }
}

/// Reads `mta/address/diagnostic`; parts that are left out get their usual values.
fn set_types(mailer: &mut Mailer, text: &[u8]) {
    let mut parts = text.splitn(3, |&byte| byte == b'/');
    let mut part = |default: &[u8]| match parts.next() {
        Some(part) if !part.is_empty() => Some(part.to_vec()),
        _ => Some(default.to_vec()),
    };
    mailer.mta_type = part(b"dns");
    mailer.address_type = part(b"rfc822");
    mailer.diagnostic_type = part(b"smtp");
}

/// Reads a number as C writes it: decimal, `0x` hexadecimal or `0` octal.
fn c_number(text: &[u8]) -> (u32, usize) {
    let (radix, skip) = match text {
        [b'0', b'x' | b'X', ..] => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let digits = text[skip..]
        .iter()
        .map_while(|&byte| char::from(byte).to_digit(radix));
    let (value, count) = digits.fold((0u32, 0), |(value, count), digit| {
        (value.wrapping_mul(radix).wrapping_add(digit), count + 1)
    });
    (value, skip + count)
}

/// The mailers every configuration has, as M lines.
///
/// Observed: 8.17.1.9 (`=M` without any M line).
pub const BUILT_IN: &[&str] = &[
    "prog, P=/bin/sh, F=lsouDq9, T=X-Unix/X-Unix/X-Unix, A=sh -c $u",
    "*file*, P=[FILE], F=lsDFMPEouq9, T=X-Unix/X-Unix/X-Unix, A=FILE $u",
    "*include*, P=/dev/null, F=su, A=INCLUDE $u",
];

/// Sets the flags that older levels imply, and takes `m` from the mailers of programs,
/// files and lists, which serve one recipient at a time.
///
/// Source: guide 5.8; observed: 8.17.1.9 (`=M`).
pub fn settle_flags(table: &mut crate::mailer::MailerTable, level: u8) {
    let local = table.local();
    let helpers = [table.program(), table.file()];
    let one_at_a_time = [table.program(), table.file(), table.include()];
    for id in one_at_a_time.into_iter().flatten() {
        table.get_mut(id).flags.remove(b'm');
    }
    let mut add = |id, letters: &[u8]| {
        if let Some(id) = id {
            let flags: &mut MailerFlags = &mut table.get_mut(id).flags;
            letters.iter().for_each(|&letter| flags.insert(letter));
        }
    };
    if level < 6 {
        add(local, b"Aw5:|/@");
        helpers.iter().for_each(|&id| add(id, b"o"));
    }
    if level < 7 {
        add(local, b"q");
        helpers.iter().for_each(|&id| add(id, b"q"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::identity::FixedUsers;

    fn read(line: &str) -> (Option<Mailer>, String) {
        let mut out = Diagnostics::default();
        let users = FixedUsers::new().user("alice", 1001).group("mail", 8);
        let mailer = MailerLine {
            level: 10,
            names: &mut MacroNames::new(),
            rules: &mut RuleBook::new(),
            users: &users,
            knows_queue_group: &|_| false,
            out: &mut out,
        }
        .read(line.as_bytes());
        (mailer, String::from_utf8(out.printed(false)).unwrap())
    }

    #[test]
    fn bad_lines_are_told_in_the_words_of_the_reference() {
        for (line, text) in [
            ("", "name required for mailer\n"),
            ("x, P=/x", "Mx: A= argument required\n"),
            ("x, A=x", "Mx: P= argument required\n"),
            ("x, P=/x, A=x,y", "mailer x: `=' expected\n"),
            ("x, P=/x, Z=1, A=x", "Mx: unknown mailer equate Z=\n"),
            ("x, P=/x, S=-1, A=x", "invalid ruleset name: \"-1\"\n"),
            ("x, P=/x, Q=nosuch, A=x", "mailer x: unknown queue nosuch\n"),
            (
                "x, P=/x, U=nobody, A=x",
                "readcf: mailer U= flag: unknown user nobody\n",
            ),
            ("x, P=/x, U=:mail, A=x", "mailer x: null user name\n"),
            (
                "x, P=[IPC], A=IPC $h",
                "Mx: Warning: first argument in [IPC] mailer must be TCP or FILE\n",
            ),
            (
                "x, P=[FILE], A=FILE a b",
                "Mx: too many parameters for [FILE] mailer\n",
            ),
            ("x, P=/x, W=5x, A=x", "Invalid time unit `x'\n"),
        ] {
            assert_eq!(read(line).1, text, "{line}");
        }
    }

    #[test]
    fn fields_become_values() {
        let line = "esmtp, P=[IPC], F=mDFM uXa, S=1/2, R=3, E=\\r\\n, L=990, m=7, r=9, W=5, U=alice:mail, A=TCP $h";
        let (mailer, text) = read(line);
        let mailer = mailer.unwrap();
        assert_eq!(text, "");
        assert_eq!(mailer.sender_rewriting.header.unwrap().number(), 2);
        assert_eq!(mailer.recipient_rewriting.header.unwrap().number(), 3);
        assert_eq!(mailer.identity.unwrap().gid, Some(8));
        assert_eq!(mailer.diagnostic_type.unwrap(), b"smtp");
        assert_eq!(mailer.line_limit, 990);
        assert_eq!((mailer.max_messages, mailer.max_recipients), (7, 9));
        assert_eq!(mailer.wait.as_secs(), 5);
        assert!(mailer.flags.contains(b'X') && !mailer.flags.contains(b' '));
    }

    #[test]
    fn the_end_of_line_follows_from_the_arguments() {
        assert_eq!(read("x, P=/x, A=x $h").0.unwrap().end_of_line, b"\r\n");
        assert_eq!(read("x, P=/x, A=x $u").0.unwrap().end_of_line, b"\n");
        assert_eq!(read("x, P=/x, E=!, A=x $u").0.unwrap().end_of_line, b"!");
    }
}
