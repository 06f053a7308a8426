//! A client of directory servers (LDAP), as far as maps need one.
//!
//! Reading order:
//!
//! - [`ber`]: elements of the wire, read with checked lengths and written.
//! - [`filter`]: search filters, from their text to their element.
//! - [`message`]: requests and what a server says; [`words`]: result codes.
//! - [`url`]: where a server is, or a whole question.
//! - [`client`]: one connection that binds, asks and follows referrals.

pub mod ber;
pub mod client;
pub mod filter;
pub mod message;
pub mod url;
pub mod words;
