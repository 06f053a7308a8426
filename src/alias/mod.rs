//! Aliases, :include: lists and .forward files.
//!
//! Reading order:
//!
//! - [`database`]: the AliasFile list and its lookups;
//! - [`rebuild`]: newaliases; [`refresh`]: the same at need (AutoRebuildAliases);
//!   [`judge`]: what may be aliased;
//! - [`context`]: what expansion works with;
//! - [`expand`]: recipients in, final recipients out;
//! - `entry`: a recipient meanwhile; `resolve`: the addresses of a list, one by one;
//! - `order`: the order of recipients, and which are the same;
//! - `replace`: aliases, and the owners of lists;
//! - `rights`: whose rights programs, files and lists get;
//! - `hearing`: what alias databases say meanwhile;
//! - `loops`: where a loop of aliases ends;
//! - `telling`: errors and progress in words;
//! - `sender`: the sender on his own lists; `full_name`: users named by their full name;
//! - `userdb`: the user database, after the aliases;
//! - `include`: `:include:` lists;
//! - `forward`: ForwardPath and .forward files.

pub mod context;
pub mod database;
mod entry;
pub mod expand;
mod forward;
mod full_name;
mod hearing;
mod include;
pub mod judge;
mod loops;
mod order;
pub mod rebuild;
pub mod refresh;
mod replace;
mod resolve;
mod rights;
mod sender;
mod telling;
mod userdb;

#[cfg(test)]
mod tests;
