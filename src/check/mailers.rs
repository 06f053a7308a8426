//! M lines: flags nobody knows, programs that are not there.

use std::path::Path;

use crate::config::Config;
use crate::config::fields::{Fields, split_name};
use crate::sys::file::path_of;

use super::problem::{Code, Place, Problem, Severity};
use super::report::shown;
use super::sheet::Sheet;

/// Flags with a meaning of their own. Source: guide 5.4.
const KNOWN_FLAGS: &[u8] = b"aAbBcCdDeEfFghiIjkKlLmMnopPqrRsSuUwWxXzZ0123456789:|/@%!";
/// Mailers every configuration needs.
const NEEDED: &[&[u8]] = &[b"local", b"prog"];

/// Goes through all M lines.
pub(super) fn problems(config: &Config, sheet: &Sheet) -> Vec<Problem> {
    let in_headers = flags_of_headers(sheet);
    let mut problems = Vec::new();
    for line in sheet.of(b'M') {
        let (name, rest) = split_name(line.rest());
        for field in Fields::new(rest) {
            let Ok(field) = field else { break };
            match field.letter {
                b'F' => {
                    for &flag in field.value.iter().filter(|b| !b.is_ascii_whitespace()) {
                        if KNOWN_FLAGS.contains(&flag) || in_headers.contains(&flag) {
                            continue;
                        }
                        let text = format!("mailer flag {} has no meaning", shown(&[flag]));
                        let place =
                            flag_place(line.find_behind(b"F=", &field.value), &field.value, flag);
                        let help = "see the flags of mailers in the guide, section 5.4; other \
                                    letters are for H?flags? lines";
                        problems
                            .push(Problem::new(Code::UnknownMailerFlag, place, text).help(help));
                    }
                }
                b'P' if field.value.starts_with(b"/") => {
                    let path = path_of(&field.value);
                    let is_current = config
                        .mailers
                        .find(name)
                        .is_some_and(|id| config.mailers.get(id).path == field.value);
                    if is_current && !exists(path) {
                        let text = format!("program {} is not there", path.display());
                        let place = line.find(&field.value);
                        let severity = match NEEDED.contains(&name) {
                            true => Severity::Warning,
                            false => Severity::Hint,
                        };
                        let help = "install it, or remove the mailer if nothing goes there";
                        problems.push(
                            Problem::new(Code::MissingProgram, place, text)
                                .help(help)
                                .severity(severity),
                        );
                    }
                }
                _ => {}
            }
        }
    }
    problems
}

/// The place of one flag in the place of all.
fn flag_place(all: Place, value: &[u8], flag: u8) -> Place {
    let small = |number: usize| u32::try_from(number).unwrap_or(0);
    match memchr::memchr(flag, value) {
        // A value with quotes undone does not stand in the line as it is.
        Some(at) if all.length == small(value.len()) => Place {
            column: all.column.saturating_add(small(at)),
            length: 1,
            ..all
        },
        _ => all,
    }
}

/// What the user may not look at counts as there.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Letters between the question marks of H lines.
fn flags_of_headers(sheet: &Sheet) -> Vec<u8> {
    sheet
        .of(b'H')
        .filter_map(|line| line.rest().strip_prefix(b"?"))
        .filter_map(|conditional| conditional.split(|&byte| byte == b'?').next())
        .flatten()
        .copied()
        .collect()
}
