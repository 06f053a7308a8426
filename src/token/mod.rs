//! Tokens, the currency of rewriting.
//!
//! An address or one side of a rule is cut into tokens once and stays cut until
//! the rewriting chain is over. Reading order:
//!
//! - [`mark`]: the `$` symbols of rules, and text that carries them in-band.
//! - [`buffer`]: [`Token`] and [`TokenBuffer`], spans over one byte buffer.
//! - [`syntax`]: what separates tokens, from OperatorChars and the level of the file.
//! - [`tokenizer`]: bytes to tokens, with the repairs of bad addresses.
//! - `simple`: the short way for text without surprises.
//! - [`join`]: tokens back to bytes.
//! - [`class`]: sets of phrases.
//! - [`print`](mod@print): how traces and test mode show a token.
//! - [`ruleset_id`]: the number of a ruleset, known to mailers and rules alike.

pub mod buffer;
pub mod class;
pub mod join;
pub mod mark;
pub mod print;
pub mod ruleset_id;
mod simple;
pub mod syntax;
pub mod tokenizer;

pub use buffer::{Token, TokenBuffer};
pub use class::ClassSet;
pub use join::{join, join_within};
pub use mark::Mark;
pub use print::{SymbolNames, print_marked, print_template};
pub use ruleset_id::RulesetId;
pub use syntax::AddressSyntax;
pub use tokenizer::{
    Complaint, Faults, NoTokens, Parentheses, Reading, TokenizeOptions, tokenize, tokenize_into,
};
