//! Addresses cut into tokens.
//!
//! The first octets choose how the text is understood, see [`options`]; the rest is the
//! text. The same text also goes through the readers of address lists and of templates.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mta::macros::{MacroNames, MacroTable, Macros, Template};
use mta::message::address::{
    AddressTemplate, PhraseRules, core_address, quote_phrase, split_address_list,
};
use mta::token::{
    AddressSyntax, Faults, Parentheses, Reading, TokenBuffer, TokenizeOptions, tokenize,
};

/// Characters that separate in nearly all configurations.
const OPERATORS: &[u8] = b".:%@!^/[]+";

fn options(choice: u8) -> TokenizeOptions {
    TokenizeOptions {
        delimiter: match choice & 3 {
            0 => None,
            1 => Some(b','),
            2 => Some(b' '),
            _ => Some(b'\t'),
        },
        reading: match choice >> 2 & 3 {
            0 | 1 => Reading::Plain,
            2 => Reading::Marked,
            _ => Reading::Value,
        },
        parentheses: if choice & 16 == 0 {
            Parentheses::Comments
        } else {
            Parentheses::Operators
        },
        faults: if choice & 32 == 0 {
            Faults::Repair
        } else {
            Faults::Ignore
        },
    }
}

fuzz_target!(|input: &[u8]| {
    let &[choice, level, ref text @ ..] = input else {
        return;
    };
    let syntax = AddressSyntax::new(OPERATORS, level % 12);
    let mut buffer = TokenBuffer::new();
    let mut complaints = Vec::new();
    if let Ok(end) = tokenize(text, options(choice), &syntax, &mut buffer, &mut complaints) {
        assert!(end <= text.len());
        assert_eq!(buffer.words().count(), buffer.len());
        assert!(buffer.words().all(|word| word.len() <= 256));
    }
    let rules = PhraseRules {
        must_quote: b".'",
        colon_is_ordinary: choice & 64 != 0,
    };
    for address in split_address_list(text) {
        let core = core_address(address);
        AddressTemplate::of(address, &rules).apply(&core);
    }
    quote_phrase(text, &rules);
    let mut names = MacroNames::new();
    let template = Template::parse_reporting(text, &mut names, &mut Vec::new());
    let (mut front, base) = (MacroTable::new(), MacroTable::new());
    template.expanded(&Macros::new(&mut front, None, &base));
});
