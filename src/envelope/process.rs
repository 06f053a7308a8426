//! What a message knows of the process that has it in hand, and of earlier attempts.

use crate::macros::{MacroId, MacroTable};
use crate::sys::process::process_id;

/// Sets `$p` and `${ntries}`: whoever takes a message in hand does so, from whichever door or
/// queue it came.
///
/// Source: guide 5.2.
pub fn set_process_macros(macros: &mut MacroTable, attempts: u32) {
    let values = [
        (MacroId::letter(b'p'), process_id().to_string()),
        (MacroId::NTRIES, attempts.to_string()),
    ];
    for (id, text) in values {
        macros.set_text(id, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_process_are_numbers() {
        let mut macros = MacroTable::new();
        set_process_macros(&mut macros, 3);
        assert_eq!(macros.text(MacroId::NTRIES), Some(&b"3"[..]));
        let process = macros.text(MacroId::letter(b'p')).unwrap_or_default();
        assert!(process.iter().all(u8::is_ascii_digit) && !process.is_empty());
    }
}
