//! One K line: name, class, and the flags of its class.

use std::fmt;

/// One K line, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDefinition {
    /// The name rules use, as written.
    pub name: Vec<u8>,
    /// The class word, as written.
    pub class: Vec<u8>,
    /// Everything behind the class.
    pub arguments: Vec<u8>,
}

/// Why a K line was refused; `Display` is the text the reference prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// The text, without file and line.
    pub text: Vec<u8>,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for DefinitionError {}

impl MapDefinition {
    /// Reads the text behind the letter `K`; `known` says which maps exist already.
    ///
    /// A definition may be usable although texts were reported: the caller prints
    /// every text in `errors` with file and line, and keeps the definition if there is one.
    pub fn parse(
        _line: &[u8],
        _known: &dyn Fn(&[u8]) -> bool,
        _errors: &mut Vec<DefinitionError>,
    ) -> Option<MapDefinition> {
        unimplemented!("map: K lines")
    }
}
