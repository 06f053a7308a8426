//! How traces and test mode show text.
//!
//! Observed: 8.17.1.9.

use super::mark::{Mark, Unit, unit_at};

/// Appends marked text the way test mode prints it: symbols as `$x`, high octets as `M-x`.
///
/// `name` gives the name of a macro whose number is above 255.
pub fn print_marked(text: &[u8], name: &dyn Fn(u16) -> Vec<u8>, out: &mut Vec<u8>) {
    let mut at = print_run(text, out);
    while let Some((unit, next)) = unit_at(text, at) {
        match unit {
            Unit::Octet(octet) => print_octet(octet, out),
            Unit::Symbol(mark, argument) => print_symbol(mark, argument, name, out),
        }
        at = next;
    }
}

/// Appends what is printable at the start of `text` as it is; returns its length.
fn print_run(text: &[u8], out: &mut Vec<u8>) -> usize {
    let length = text
        .iter()
        .take_while(|octet| matches!(octet, b' '..=b'~'))
        .count();
    out.extend_from_slice(text.get(..length).unwrap_or(b""));
    length
}

/// Appends a word of an address; octets that stand for symbols inside of rules show as such.
///
/// A symbol that came out of a macro has an argument of two octets, the first of
/// which is below two; octets of the address itself have arguments of one.
pub(crate) fn print_word(text: &[u8], names: &MacroNaming<'_>, out: &mut Vec<u8>) {
    let mut at = print_run(text, out);
    while let Some(&octet) = text.get(at) {
        at += 1;
        let Some(mark) = Mark::from_octet(octet) else {
            print_octet(octet, out);
            continue;
        };
        match (mark.has_argument(), text.get(at)) {
            (true, Some(0 | 1)) => {
                let argument =
                    [text.get(at), text.get(at + 1)].map(|octet| octet.copied().unwrap_or(0));
                print_symbol(mark, u16::from_be_bytes(argument), names.by_number, out);
                at += 2;
            }
            (true, Some(&letter)) if mark != Mark::If => {
                at += 1;
                print_octet_symbol(mark, letter, names, out);
            }
            _ => {
                out.push(b'$');
                if mark.character() != 0 {
                    out.push(mark.character());
                }
            }
        }
    }
}

/// How macros are called that symbols have as arguments.
pub(crate) struct MacroNaming<'a> {
    /// The name of a macro by its number.
    pub by_number: &'a dyn Fn(u16) -> Vec<u8>,
    /// The name of a macro by the octet that stands for it in an address.
    pub by_octet: &'a dyn Fn(u8) -> Vec<u8>,
}

/// Appends a symbol whose argument is an octet of the address itself.
fn print_octet_symbol(mark: Mark, octet: u8, names: &MacroNaming<'_>, out: &mut Vec<u8>) {
    out.push(b'$');
    if mark.character() != 0 {
        out.push(mark.character());
    }
    match (mark, octet) {
        (Mark::Position, 0x80..) => out.extend_from_slice(&[b'^', octet ^ 0x40]),
        (Mark::Position, _) => print_octet(octet, out),
        (_, 0x80..) => {
            out.push(b'{');
            out.extend_from_slice(&(names.by_octet)(octet));
            out.push(b'}');
        }
        _ => out.push(octet),
    }
}

/// Appends one symbol as it is written in a configuration.
pub(crate) fn print_symbol(
    mark: Mark,
    argument: u16,
    name: &dyn Fn(u16) -> Vec<u8>,
    out: &mut Vec<u8>,
) {
    out.push(b'$');
    if mark.character() != 0 {
        out.push(mark.character());
    }
    if !mark.has_argument() {
        return;
    }
    match u8::try_from(argument) {
        Ok(letter) if letter < 0x80 => print_octet(letter, out),
        _ => {
            out.push(b'{');
            out.extend_from_slice(&name(argument));
            out.push(b'}');
        }
    }
}

/// Appends one octet visibly; other control characters than line ends and tabs vanish.
pub(crate) fn print_octet(octet: u8, out: &mut Vec<u8>) {
    let mut octet = octet;
    if octet >= 0x80 {
        out.extend_from_slice(b"M-");
        octet &= 0x7f;
    }
    match octet {
        b' '..=b'~' => out.push(octet),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {}
    }
}
