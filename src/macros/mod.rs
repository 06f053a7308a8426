//! Macros: their names, their values, and text that uses them.
//!
//! Reading order:
//!
//! - [`id`]: [`MacroId`] and [`ClassId`], numbers of names; the names the program itself uses.
//! - [`names`]: [`MacroNames`], the table from name to number.
//! - [`template`]: text with `$x` and `$?x..$|..$.`, cut once, expanded often.
//! - [`table`]: [`MacroTable`] and the layered view [`Macros`].
//! - [`told`]: how messages show the symbols of a line.
//! - [`classes`]: the class sets by number.

pub mod classes;
pub mod id;
pub mod names;
pub mod table;
pub mod template;
pub mod told;

pub use classes::Classes;
pub use id::{ClassId, MacroId};
pub use names::MacroNames;
pub use table::{MacroTable, MacroValue, Macros};
pub use template::{RecursionTooDeep, Template};
