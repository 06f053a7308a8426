//! Maps: the K lines and their classes.
//!
//! Reading order:
//!
//! - [`lookup`]: the trait every class implements, its question and its answers.
//! - [`definition`]: one K line, its flags and its error texts.
//! - [`set`]: all maps of a configuration; the door the rewriting engine uses.

pub mod berkeley;
pub mod definition;
pub mod lookup;
pub mod set;

pub use definition::{DefinitionError, MapDefinition};
pub use lookup::{LookupContext, LookupMode, MacroStore, Map, MapAnswer, MapFailure};
pub use set::{MapId, MapServices, MapSet};
