//! Mail exchangers: which hosts take mail for a domain, in the order to try them.
//!
//! Source: RFC 5321 section 5.1, RFC 7505 (null MX), guide 4.11.

use crate::dns::resolver::{Patience, ResolveFailure, Resolver};

/// One host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower is better; equal ones are in random order already.
    pub preference: u16,
    /// The host, or a bracketed address literal.
    pub host: Vec<u8>,
}

/// The hosts to try for a domain, best first; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxList {
    /// The hosts.
    pub exchangers: Vec<Exchanger>,
    /// The domain has no MX record and is its own exchanger.
    pub is_host_itself: bool,
    /// How many hosts at the end come from `FallbackMXhost`.
    pub fallbacks: usize,
}

/// Why mail for a domain has nowhere to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxFailure {
    /// The name servers said no, or could not say.
    Lookup(ResolveFailure),
    /// We are the best exchanger ourselves, though the domain is not ours.
    LoopsBack,
    /// The domain says it takes no mail (RFC 7505).
    NullMx,
}

/// What decides the order of exchangers besides DNS.
pub struct MxRules<'a> {
    /// Says whether a host is this one (class w); such hosts and worse ones are dropped.
    pub is_ourselves: &'a dyn Fn(&[u8]) -> bool,
    /// `FallbackMXhost`, empty when not set.
    pub fallback: &'a [u8],
    /// `TryNullMXList`: use the host's own address when we are its best exchanger.
    pub try_null_mx_list: bool,
    /// How long to ask.
    pub patience: Patience,
}

/// Finds the hosts that take mail for `domain`, best first.
///
/// # Errors
/// See [`MxFailure`]; a temporary lookup failure must keep the message.
pub fn mail_exchangers(
    _resolver: &dyn Resolver,
    _domain: &[u8],
    _rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    unimplemented!("dns: mail exchangers")
}
