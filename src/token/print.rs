//! How traces and test mode show text.
//!
//! Observed: 8.17.1.9.

use super::mark::{Mark, Unit, unit_at};

/// How macros are called that symbols have as arguments, and how symbols are shown.
pub trait SymbolNames {
    /// Returns the name of a macro by its number.
    fn name_of_number(&self, number: u16) -> Vec<u8>;

    /// Returns the name of a macro by the octet that stands for it in an address.
    fn name_of_octet(&self, octet: u8) -> Vec<u8>;

    /// Returns the octet that stands for a macro with a long name.
    fn octet_of_number(&self, number: u16) -> u8;

    /// Says whether symbols are shown as the octets that stand for them (`-d84.1`).
    fn shows_octets(&self) -> bool;
}

/// Appends marked text the way test mode prints it: symbols as `$x`, high octets as `M-x`.
pub fn print_marked(text: &[u8], names: &dyn SymbolNames, out: &mut Vec<u8>) {
    let mut at = print_run(text, out);
    while let Some((unit, next)) = unit_at(text, at) {
        match unit {
            Unit::Octet(octet) => print_one(octet, names, out),
            Unit::Symbol(mark, argument) => print_symbol(mark, argument, names, out),
        }
        at = next;
    }
}

/// Appends marked text that is expanded later on as [`print_marked`] does.
///
/// All its symbols begin with the octet of a plain macro.
pub fn print_template(text: &[u8], names: &dyn SymbolNames, out: &mut Vec<u8>) {
    if !names.shows_octets() {
        return print_marked(text, names, out);
    }
    let mut at = 0;
    while let Some((unit, next)) = unit_at(text, at) {
        match unit {
            Unit::Octet(octet) => print_one(octet, names, out),
            Unit::Symbol(mark, argument) => {
                push_octet(Mark::Macro.octet(), out);
                if mark.character() != 0 {
                    out.push(mark.character());
                }
                print_argument(mark, argument, names, out);
            }
        }
        at = next;
    }
}

/// Appends an octet by its number, as `-d84.1` has it.
fn push_octet(octet: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(" {octet:#x} ").as_bytes());
}

fn print_one(octet: u8, names: &dyn SymbolNames, out: &mut Vec<u8>) {
    match octet {
        b' '..=b'~' => out.push(octet),
        b'\n' | b'\r' | b'\t' => print_octet(octet, out),
        _ if names.shows_octets() => push_octet(octet, out),
        _ => print_octet(octet, out),
    }
}

/// Appends the argument of a symbol where symbols are shown by their octets.
fn print_argument(mark: Mark, argument: u16, names: &dyn SymbolNames, out: &mut Vec<u8>) {
    if mark.has_argument() {
        match u8::try_from(argument) {
            Ok(letter) if letter < 0x80 => print_one(letter, names, out),
            _ => push_octet(names.octet_of_number(argument), out),
        }
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
pub(crate) fn print_word(text: &[u8], names: &dyn SymbolNames, out: &mut Vec<u8>) {
    let mut at = print_run(text, out);
    if names.shows_octets() {
        return show_octets(text.get(at..).unwrap_or_default(), names, out);
    }
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
                print_symbol(mark, u16::from_be_bytes(argument), names, out);
                at += 2;
            }
            (true, Some(&letter)) if mark != Mark::If => {
                at += 1;
                print_octet_symbol(mark, letter, names, out);
            }
            _ => print_mark(mark, names, out),
        }
    }
}

/// Appends a word octet by octet; the argument of a symbol out of a macro is one of them.
fn show_octets(text: &[u8], names: &dyn SymbolNames, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        print_one(octet, names, out);
        rest = after;
        let mark = Mark::from_octet(octet).filter(|mark| mark.has_argument());
        if let (Some(mark), [high @ (0 | 1), low, after @ ..]) = (mark, rest) {
            print_argument(mark, u16::from_be_bytes([*high, *low]), names, out);
            rest = after;
        }
    }
}

/// Appends a symbol whose argument is an octet of the address itself.
fn print_octet_symbol(mark: Mark, octet: u8, names: &dyn SymbolNames, out: &mut Vec<u8>) {
    print_mark(mark, names, out);
    match (mark, octet) {
        (Mark::Position, 0x80..) => out.extend_from_slice(&[b'^', octet ^ 0x40]),
        (Mark::Position, _) => print_octet(octet, out),
        (_, 0x80..) => {
            out.push(b'{');
            out.extend_from_slice(&names.name_of_octet(octet));
            out.push(b'}');
        }
        _ => out.push(octet),
    }
}

/// Appends a symbol without its argument.
pub(crate) fn print_mark(mark: Mark, names: &dyn SymbolNames, out: &mut Vec<u8>) {
    if names.shows_octets() {
        return push_octet(mark.octet(), out);
    }
    out.push(b'$');
    if mark.character() != 0 {
        out.push(mark.character());
    }
}

/// Appends one symbol as it is written in a configuration.
pub(crate) fn print_symbol(mark: Mark, argument: u16, names: &dyn SymbolNames, out: &mut Vec<u8>) {
    print_mark(mark, names, out);
    if names.shows_octets() {
        return print_argument(mark, argument, names, out);
    }
    if !mark.has_argument() {
        return;
    }
    match u8::try_from(argument) {
        Ok(letter) if letter < 0x80 => print_octet(letter, out),
        _ => {
            out.push(b'{');
            out.extend_from_slice(&names.name_of_number(argument));
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
