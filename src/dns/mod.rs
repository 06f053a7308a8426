//! Host names, addresses and mail exchangers.
//!
//! - [`resolver`]: what may be asked and what is answered: [`Resolver`], [`Answer`], [`ResolveFailure`];
//! - [`fixed`]: [`FixedResolver`], answers from literals, for tests;
//! - [`settings`]: [`ResolverSettings`] from `resolv.conf` and the options;
//! - [`stub`]: [`StubResolver`], the resolver of a running program, built on the four that follow;
//! - [`order`]: hosts file or DNS first; [`hosts_file`]: the hosts file;
//! - [`exchange`]: questions over UDP and TCP; [`wire`]: the messages; [`cache`]: answers kept;
//! - [`mx`]: [`mx::mail_exchangers`], the hosts that take mail for a domain, in the order to try.

pub mod cache;
pub mod exchange;
pub mod fixed;
pub mod hosts_file;
pub mod mx;
pub mod order;
pub mod resolver;
pub mod settings;
pub mod stub;
pub mod wire;

#[cfg(test)]
mod test_server;

pub use fixed::FixedResolver;
pub use resolver::{
    Answer, CanonicalName, Patience, Record, RecordData, RecordType, ResolveFailure, Resolver,
};
pub use settings::{ResolverOptions, ResolverSettings};
pub use stub::StubResolver;
