//! One map lookup: the trait of all classes, its question and its answers.
//!
//! A class answers with a [`MapAnswer`]: a value or none, and the exit status
//! number that address test mode prints behind it. [`crate::map::MapSet`] turns
//! that answer into what the rewriting engine needs.
//!
//! Source: guide 5.9; the numbers observed: 8.17.1.9.

use std::fmt;

/// Sysexits number of a lookup that went well, with or without a value.
pub const STATUS_OK: u8 = 0;
/// Sysexits number of a lookup that may succeed later.
pub const STATUS_TEMPORARY: u8 = 75;

/// Answers questions of one K line.
pub trait Map: Send + Sync {
    /// Looks `key` up; `arguments` are what `$@` handed over in the rule.
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer;
}

/// What a lookup may see and change besides its key.
pub struct LookupContext<'a> {
    /// Receives what maps of class `macro` store.
    pub macros: &'a mut dyn MacroStore,
    /// Says whether maps with flag `-D` must keep still.
    pub mode: LookupMode,
}

/// Stores macro values for maps of class `macro`.
pub trait MacroStore {
    /// Sets the macro called `name` (without braces), or removes it.
    fn set_macro(&mut self, name: &[u8], value: Option<&[u8]>);
}

/// A store that forgets everything, for lookups outside of rewriting.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoMacros;

impl MacroStore for NoMacros {
    fn set_macro(&mut self, _name: &[u8], _value: Option<&[u8]>) {}
}

/// Whether the message in hand is in delivery mode `defer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupMode {
    /// All maps answer.
    Usual,
    /// Maps with flag `-D` are not asked.
    Deferred,
}

/// What a map class says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapAnswer {
    /// The value found, already with `-a`, `-m` and `%0` to `%9` applied.
    pub value: Option<Vec<u8>>,
    /// The sysexits number that `/map` prints in parentheses.
    pub status: u8,
}

impl MapAnswer {
    /// A key that was found.
    pub fn found(value: impl Into<Vec<u8>>) -> Self {
        MapAnswer {
            value: Some(value.into()),
            status: STATUS_OK,
        }
    }

    /// A key that is not there.
    pub fn missing() -> Self {
        MapAnswer {
            value: None,
            status: STATUS_OK,
        }
    }

    /// No value, with the sysexits number `status`.
    pub fn failed(status: u8) -> Self {
        MapAnswer {
            value: None,
            status,
        }
    }

    /// Nobody knows now; try later.
    pub fn temporary() -> Self {
        MapAnswer::failed(STATUS_TEMPORARY)
    }
}

/// A lookup whose miss must not be taken for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapFailure {
    /// The message must be tried again; `text` is `NAME map: lookup (KEY): deferred`.
    Temporary {
        /// What the queue shows as the reason.
        text: Vec<u8>,
    },
}

impl fmt::Display for MapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapFailure::Temporary { text } => f.write_str(&String::from_utf8_lossy(text)),
        }
    }
}

impl std::error::Error for MapFailure {}
