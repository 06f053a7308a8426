//! Which macros are told to a filter in front of which command.
//!
//! The configuration has a list for each stage (`Milter.macros.*`); a filter may ask for another
//! one while it negotiates. A macro without a value is left out.
//!
//! Source: guide 5.11; libmilter 1.0.1, smfi_setsymlist.

use crate::config::options::MilterOptions;
use crate::macros::{MacroId, MacroNames, Macros};

/// The stages, in the order of their numbers in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// CONNECT.
    Connect,
    /// HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The end of the message.
    EndOfMessage,
    /// The end of the header.
    EndOfHeader,
}

/// Names of the stages in options, by number.
const NAMES: [&[u8]; 7] = [
    b"connect", b"helo", b"envfrom", b"envrcpt", b"data", b"eom", b"eoh",
];

/// Most macros of one list. Source: sendmail/conf.h, MAXFILTERMACROS.
const MAX_MACROS: usize = 50;

/// One macro of a list: as it is told, and its number; none where nobody ever defined it.
type Symbol = (Vec<u8>, Option<MacroId>);

/// The lists of one filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    lists: [Vec<Symbol>; 7],
}

impl Symbols {
    /// Reads the lists of the configuration.
    pub fn of(options: &MilterOptions, names: &MacroNames) -> Symbols {
        let mut symbols = Symbols::default();
        for (stage, text) in &options.macros {
            let at = NAMES.iter().position(|name| name == stage);
            if let Some(list) = at.and_then(|at| symbols.lists.get_mut(at)) {
                *list = read(text, names);
            }
        }
        symbols
    }

    /// Takes the list a filter asked for.
    pub fn replace(&mut self, stage: u32, text: &[u8], names: &MacroNames) {
        let at = usize::try_from(stage).unwrap_or(usize::MAX);
        if let Some(list) = self.lists.get_mut(at) {
            *list = read(text, names);
        }
    }

    /// Makes the data of the packet in front of a command; `None` when the stage has no list.
    pub fn told(&self, stage: Stage, command: u8, macros: &Macros<'_>) -> Option<Vec<u8>> {
        let list = self
            .lists
            .get(stage as usize)
            .filter(|list| !list.is_empty())?;
        let mut data = vec![command];
        for (name, id) in list {
            let Some(id) = id.filter(|id| macros.get(*id).is_some()) else {
                continue;
            };
            data.extend_from_slice(name);
            data.push(0);
            let value = macros.expanded(id);
            data.extend(value.into_iter().filter(|octet| *octet != 0));
            data.push(0);
        }
        Some(data)
    }
}

/// Reads names that commas or blanks separate.
fn read(text: &[u8], names: &MacroNames) -> Vec<Symbol> {
    text.split(|octet| *octet == b',' || octet.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .take(MAX_MACROS)
        .map(|word| {
            let name = word
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_suffix(b"}"));
            (word.to_vec(), names.find(name.unwrap_or(word)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::MacroTable;

    #[test]
    fn only_macros_with_a_value_are_told() {
        let names = MacroNames::new();
        let options = MilterOptions {
            macros: vec![(
                b"envfrom".to_vec(),
                b"i, {mail_addr} {nosuch}, {auth_type}".to_vec(),
            )],
            ..MilterOptions::default()
        };
        let mut symbols = Symbols::of(&options, &names);
        let (mut front, base) = (MacroTable::new(), MacroTable::new());
        front.set_text(MacroId::I, b"id1");
        front.set_text(MacroId::MAIL_ADDR, b"");
        let macros = Macros::new(&mut front, None, &base);
        let told = symbols.told(Stage::Mail, b'M', &macros).unwrap();
        assert_eq!(told, b"Mi\0id1\0{mail_addr}\0\0");
        assert_eq!(symbols.told(Stage::Data, b'T', &macros), None);
        symbols.replace(4, b"i", &names);
        symbols.replace(99, b"i", &names);
        assert_eq!(
            symbols.told(Stage::Data, b'T', &macros).unwrap(),
            b"Ti\0id1\0"
        );
    }
}
