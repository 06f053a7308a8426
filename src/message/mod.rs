//! RFC 5322: headers, addresses, bodies.
//!
//! Reading order:
//! - [`header`]: one header field, its conditions, and what is known of its name;
//! - [`headers`]: the ordered list of fields of a message;
//! - [`collector`]: lines of input in, header fields out, until the header ends;
//! - [`address`]: address lists, comments and phrases around a core address;
//! - [`address_lines`]: address headers rewritten and folded;
//! - [`body`]: the text after the header, in memory or in a file;
//! - [`line_writer`]: lines as a mailer wants them;
//! - [`mime`]: conversion between 8-bit and 7-bit bodies.

pub mod address;
pub mod address_lines;
pub mod body;
pub mod collector;
pub mod header;
pub mod headers;
pub mod line_writer;
pub mod mime;
#[cfg(test)]
mod properties;

pub use body::{Body, BodyReader, BodyType};
pub use collector::{HeaderCollector, LineUse};
pub use header::{FlagLetters, HeaderConditions, HeaderField, HeaderTraits};
pub use headers::Headers;
