//! How traces and test mode show text.
//!
//! Observed: 8.17.1.9.

use super::mark::{Mark, Unit, unit_at};

/// Appends marked text the way test mode prints it: symbols as `$x`, high octets as `M-x`.
///
/// `name` gives the name of a macro whose number is above 255.
pub fn print_marked(text: &[u8], name: &dyn Fn(u16) -> Vec<u8>, out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some((unit, next)) = unit_at(text, at) {
        match unit {
            Unit::Octet(octet) => print_octet(octet, out),
            Unit::Symbol(mark, argument) => print_symbol(mark, argument, name, out),
        }
        at = next;
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
