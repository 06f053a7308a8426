//! Host names, addresses and mail exchangers.
//!
//! - [`resolver`]: what may be asked and what is answered: [`Resolver`], [`Answer`], [`ResolveFailure`];
//! - [`fixed`]: [`FixedResolver`], answers from literals, for tests and for a site without a name server;
//! - [`mx`]: [`mx::mail_exchangers`], the hosts that take mail for a domain, in the order to try.

pub mod fixed;
pub mod mx;
pub mod resolver;

pub use fixed::FixedResolver;
pub use resolver::{
    Answer, CanonicalName, Patience, Record, RecordData, RecordType, ResolveFailure, Resolver,
};
