//! Berkeley DB files: hash versions 7 to 10 and btree versions 8 to 10.
//!
//! Enough of the format to share map and alias files with programs linked to
//! the C library: lookups and full scans of files in either byte order, and
//! fresh files written from a sorted table. There are no transactions, no logs
//! and no updates in place; a changed map is a new file under the old name.
//!
//! Reading order:
//!
//! - [`page`]: where the bytes come from, page headers, the meta page.
//! - [`overflow`]: items too long for a page, and trees of duplicates.
//! - [`hash`] and [`btree`]: lookups and scans of the two layouts.
//! - [`database`]: one opened file of either layout.
//! - [`writer`]: the table to be written; [`hash_writer`] and [`btree_writer`] lay it out.
//!
//! Source: the files themselves, as made by library 5.3 (observed with its dump tool).

mod btree;
mod btree_writer;
mod database;
mod hash;
mod hash_writer;
mod overflow;
mod page;
mod writer;

pub use database::Database;
pub use page::{Fault, Layout};
pub use writer::{Inserted, Repeated, Table, WriteFault};
