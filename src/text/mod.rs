//! Bytes, intervals and dates: what every room does to text.
//!
//! - [`address`]: addresses of the network
//! - [`balanced`]: cutting without leaving quotes or comments open
//! - [`bytes`]: folding case, trimming, searching, showing foreign bytes
//! - [`interval`]: `1h30m`, `01:30:00`, `1 hour 30 minutes`
//! - [`quoted`]: octets outside of quotes
//! - [`idna`]: domain names beyond ASCII
//! - [`date`]: dates of headers, of `ctime` and of queue listings

pub mod address;
pub mod balanced;
pub mod bytes;
pub mod date;
pub mod idna;
pub mod interval;
pub mod json;
pub mod quoted;
