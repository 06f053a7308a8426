//! Mail exchangers: which hosts take mail for a domain, in the order to try them.
//!
//! A domain here is what a mailer triple calls the host: a name, an address
//! literal in brackets, or a list of those (`a:b` in this order, `a,b` in any).
//! Hosts that come from DNS carry a trailing dot, as everything that shows them
//! (log, bounces, host status) expects.
//!
//! Entry point: [`mail_exchangers`]. Source: RFC 5321 section 5.1, RFC 7505
//! (null MX), guide 4.11, observed: 8.17.1.9.

use std::net::IpAddr;

use crate::dns::resolver::{Patience, RecordData, RecordType, ResolveFailure, Resolver};

/// Most exchangers of one domain that are used.
const MAX_EXCHANGERS: usize = 100;

/// One host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower is better; equal ones are in random order already.
    pub preference: u16,
    /// The host with a trailing dot if DNS named it, or a bracketed address literal.
    pub host: Vec<u8>,
}

/// The hosts to try for a domain, best first; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxList {
    /// The hosts.
    pub exchangers: Vec<Exchanger>,
    /// The domain has no MX record and is its own exchanger.
    pub is_host_itself: bool,
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
    /// Says whether a host (without a trailing dot) is this one (class w); such hosts and worse ones
    /// are dropped.
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
/// A member of a list that leads nowhere is passed over while another one leads somewhere.
///
/// # Errors
/// See [`MxFailure`]; a temporary lookup failure must keep the message.
pub fn mail_exchangers(
    resolver: &dyn Resolver,
    domain: &[u8],
    rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    let mut whole: Option<MxList> = None;
    let mut failure = None;
    let fallbacks = fallbacks(resolver, rules);
    for group in split_list(domain, b':') {
        let mut members = split_list(group, b',');
        shuffle(&mut members);
        for member in members {
            let mut found = match exchangers_of(resolver, member, rules) {
                Ok(found) => found,
                Err(MxFailure::Lookup(_)) if !rules.fallback.is_empty() => MxList {
                    exchangers: Vec::new(),
                    is_host_itself: false,
                },
                Err(other) => {
                    failure = Some(more_hopeful(failure, other));
                    continue;
                }
            };
            // Observed: 8.17.1.9 tries the fallback of one member before the next member.
            found.exchangers.extend_from_slice(&fallbacks);
            match &mut whole {
                Some(list) => list.exchangers.extend(found.exchangers),
                None => whole = Some(found),
            }
        }
    }
    let Some(mut list) = whole else {
        return Err(failure.unwrap_or(MxFailure::Lookup(ResolveFailure::NotFound)));
    };
    list.exchangers.truncate(MAX_EXCHANGERS);
    if list.exchangers.is_empty() {
        return Err(MxFailure::Lookup(ResolveFailure::NotFound));
    }
    Ok(list)
}

/// Splits a list of hosts for a mailer that asks for no MX records (flag `0`).
pub fn literal_hosts(domain: &[u8]) -> MxList {
    let exchangers = split_list(domain, b':')
        .into_iter()
        .flat_map(|group| {
            let mut members = split_list(group, b',');
            shuffle(&mut members);
            members
        })
        .map(|host| Exchanger {
            preference: 0,
            host: host.to_vec(),
        })
        .collect();
    MxList {
        exchangers,
        is_host_itself: true,
    }
}

/// Lists the hosts of `FallbackMXhost`, which come behind all others, unless that is ourselves.
fn fallbacks(resolver: &dyn Resolver, rules: &MxRules<'_>) -> Vec<Exchanger> {
    if rules.fallback.is_empty() {
        return Vec::new();
    }
    let found = split_list(rules.fallback, b':')
        .into_iter()
        .filter_map(|member| match member.starts_with(b"[") {
            // Observed: 8.17.1.9 leaves a fallback as it is written.
            true => Some(host_itself(member.to_vec())),
            false => exchangers_of(resolver, member, rules).ok(),
        });
    found
        .flat_map(|list| list.exchangers)
        .map(|exchanger| Exchanger {
            preference: u16::MAX,
            ..exchanger
        })
        .collect()
}

/// The exchangers of one member of a list.
fn exchangers_of(
    resolver: &dyn Resolver,
    host: &[u8],
    rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    // Where the service switch names no name servers there are no exchangers to be found.
    if host.starts_with(b"[") {
        return Ok(host_itself(without_brackets(resolver, host, rules)));
    }
    if !resolver.uses_name_servers() {
        return Ok(host_itself(host.to_vec()));
    }
    match resolver.search(host, RecordType::Mx, rules.patience) {
        Ok(answer) => from_records(resolver, host, answer.of_type(RecordType::Mx), rules),
        Err(temporary @ ResolveFailure::Temporary(_)) => Err(MxFailure::Lookup(temporary)),
        Err(failure) => without_records(resolver, host, failure, rules),
    }
}

/// A name in brackets asks for no exchangers; the host is known by its canonical name, if it has
/// one. Addresses keep their brackets. Observed: 8.17.1.9.
fn without_brackets(resolver: &dyn Resolver, host: &[u8], rules: &MxRules<'_>) -> Vec<u8> {
    let inner = host.strip_prefix(b"[");
    let Some(inner) = inner.and_then(|inner| inner.strip_suffix(b"]")) else {
        return host.to_vec();
    };
    let text = std::str::from_utf8(inner).unwrap_or("");
    let is_address = text.parse::<IpAddr>().is_ok()
        || text
            .get(..5)
            .is_some_and(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    if is_address {
        return host.to_vec();
    }
    match resolver.canonical_name(inner, rules.patience) {
        Ok(canonical) => [canonical.name.as_slice(), b"."].concat(),
        Err(_) => host.to_vec(),
    }
}

fn host_itself(host: Vec<u8>) -> MxList {
    MxList {
        exchangers: vec![Exchanger {
            preference: 0,
            host,
        }],
        is_host_itself: true,
    }
}

/// A domain without MX records is its own exchanger, under its canonical name.
fn without_records(
    resolver: &dyn Resolver,
    host: &[u8],
    failure: ResolveFailure,
    rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    match resolver.canonical_name(host, rules.patience) {
        Ok(canonical) => Ok(host_itself([canonical.name.as_slice(), b"."].concat())),
        Err(temporary @ ResolveFailure::Temporary(_)) => Err(MxFailure::Lookup(temporary)),
        Err(_) if failure == ResolveFailure::NotFound => Err(MxFailure::Lookup(failure)),
        // The name exists: let the connection find out that it has no address.
        Err(_) => Ok(host_itself(host.to_vec())),
    }
}

fn from_records<'a>(
    resolver: &dyn Resolver,
    host: &[u8],
    records: impl Iterator<Item = &'a RecordData>,
    rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    let mut exchangers = Vec::new();
    let mut own_preference: Option<u16> = None;
    let mut nulls = 0;
    for record in records {
        let RecordData::Mx {
            preference,
            exchange,
        } = record
        else {
            continue;
        };
        if exchange.is_empty() {
            nulls += 1;
            continue;
        }
        if (rules.is_ourselves)(exchange) {
            own_preference = Some(own_preference.map_or(*preference, |own| own.min(*preference)));
        }
        exchangers.push(Exchanger {
            preference: *preference,
            host: [exchange.as_slice(), b"."].concat(),
        });
    }
    if exchangers.is_empty() && nulls > 0 {
        return Err(MxFailure::NullMx);
    }
    if let Some(own) = own_preference {
        exchangers.retain(|exchanger| exchanger.preference < own);
        if exchangers.is_empty() {
            return points_back(resolver, host, rules);
        }
    }
    // Random order first, then a stable sort: equals stay in random order.
    shuffle(&mut exchangers);
    exchangers.sort_by_key(|exchanger| exchanger.preference);
    Ok(MxList {
        exchangers,
        is_host_itself: false,
    })
}

/// We are the best exchanger of a domain we do not know as ours.
fn points_back(
    resolver: &dyn Resolver,
    host: &[u8],
    rules: &MxRules<'_>,
) -> Result<MxList, MxFailure> {
    if rules.try_null_mx_list && resolver.addresses(host, rules.patience).is_ok() {
        let name = host.strip_suffix(b".").unwrap_or(host);
        return Ok(host_itself([name, b"."].concat()));
    }
    Err(MxFailure::LoopsBack)
}

/// Splits at a separator outside brackets; empty members are dropped.
fn split_list(list: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut members = Vec::new();
    let mut depth = 0usize;
    let mut start = 0;
    for (at, &byte) in list.iter().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ if byte == separator && depth == 0 => {
                members.push(list.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(list.get(start..).unwrap_or_default());
    members.retain(|member| !member.is_empty());
    members
}

fn more_hopeful(known: Option<MxFailure>, new: MxFailure) -> MxFailure {
    match known {
        Some(MxFailure::Lookup(failure)) if failure.is_temporary() => MxFailure::Lookup(failure),
        _ => new,
    }
}

/// Brings a list into random order; without random numbers it stays as it is.
fn shuffle<T>(list: &mut [T]) {
    for last in (1..list.len()).rev() {
        let mut octets = [0u8; 4];
        if getrandom::fill(&mut octets).is_err() {
            return;
        }
        let random = usize::try_from(u32::from_ne_bytes(octets)).unwrap_or(0);
        list.swap(last, random % (last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;

    fn world() -> FixedResolver {
        let address = |last: u8| std::net::IpAddr::from([192, 0, 2, last]);
        FixedResolver::new()
            .with_host("mx1.far.test", address(1))
            .with_host("plain.test", address(2))
            .with_mx("far.test", 10, "mx1.far.test")
            .with_mx("two.test", 20, "b.two.test")
            .with_mx("two.test", 10, "a.two.test")
            .with_mx("two.test", 10, "c.two.test")
            .with_mx("loop.test", 10, "me.test")
            .with_mx("mixed.test", 10, "me.test")
            .with_mx("mixed.test", 5, "mx1.far.test")
            .with_mx("mixed.test", 10, "other.test")
            .with_mx("null.test", 0, "")
            .with("nick.test", RecordData::Cname(b"plain.test".to_vec()))
            .with("text.test", RecordData::Txt(b"hello".to_vec()))
            .with_mx("self.test", 10, "me.test")
            .with_host("self.test", address(3))
            .with_failure("down.test")
    }

    fn is_me(name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"me.test")
    }

    fn rules(fallback: &[u8], try_null_mx_list: bool) -> MxRules<'_> {
        MxRules {
            is_ourselves: &is_me,
            fallback,
            try_null_mx_list,
            patience: Patience::Normal,
        }
    }

    fn hosts(domain: &str, rules: &MxRules<'_>) -> Result<Vec<String>, MxFailure> {
        mail_exchangers(&world(), domain.as_bytes(), rules).map(|list| {
            list.exchangers
                .iter()
                .map(|exchanger| String::from_utf8_lossy(&exchanger.host).into_owned())
                .collect()
        })
    }

    #[test]
    fn exchangers_come_best_first_and_equals_in_any_order() {
        let found = hosts("two.test", &rules(b"", false)).unwrap();
        assert_eq!(found[2], "b.two.test.");
        let mut equals = found[..2].to_vec();
        equals.sort();
        assert_eq!(equals, ["a.two.test.", "c.two.test."]);
    }

    #[test]
    fn hosts_without_records_stand_for_themselves() {
        let plain = rules(b"", false);
        for (domain, host) in [
            ("plain.test", "plain.test."),
            ("nick.test", "plain.test."),
            ("text.test", "text.test"),
            ("[192.0.2.9]", "[192.0.2.9]"),
            ("[no.test]", "[no.test]"),
            ("[plain.test]", "plain.test."),
            ("[Nick.Test.]", "plain.test."),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(hosts(domain, &plain).unwrap(), [host], "{domain}");
        }
    }

    #[test]
    fn ourselves_and_worse_ones_are_dropped() {
        assert_eq!(
            hosts("mixed.test", &rules(b"", false)).unwrap(),
            ["mx1.far.test."]
        );
        assert_eq!(
            hosts("loop.test", &rules(b"", false)),
            Err(MxFailure::LoopsBack)
        );
        assert_eq!(
            hosts("loop.test", &rules(b"", true)),
            Err(MxFailure::LoopsBack)
        );
        assert_eq!(
            hosts("self.test", &rules(b"", true)).unwrap(),
            ["self.test."]
        );
    }

    #[test]
    fn failures_are_told_apart() {
        let plain = rules(b"", false);
        assert_eq!(hosts("null.test", &plain), Err(MxFailure::NullMx));
        assert_eq!(
            hosts("none.test", &plain),
            Err(MxFailure::Lookup(ResolveFailure::NotFound))
        );
        assert!(matches!(
            hosts("down.test", &plain),
            Err(MxFailure::Lookup(ResolveFailure::Temporary(_)))
        ));
    }

    #[test]
    fn the_fallback_is_tried_last_and_when_nothing_is_known() {
        let fallback = rules(b"plain.test", false);
        assert_eq!(
            hosts("far.test", &fallback).unwrap(),
            ["mx1.far.test.", "plain.test."]
        );
        assert_eq!(hosts("none.test", &fallback).unwrap(), ["plain.test."]);
        assert_eq!(hosts("down.test", &fallback).unwrap(), ["plain.test."]);
        assert_eq!(hosts("null.test", &fallback), Err(MxFailure::NullMx));
        assert_eq!(
            hosts("down.test:[10.0.0.1]:far.test", &fallback).unwrap(),
            [
                "plain.test.",
                "[10.0.0.1]",
                "plain.test.",
                "mx1.far.test.",
                "plain.test."
            ],
            "each member has its own"
        );
    }

    #[test]
    fn lists_are_tried_in_order_and_dead_members_passed_over() {
        let plain = rules(b"", false);
        assert_eq!(
            hosts("plain.test:none.test:[IPv6:::1]:far.test", &plain).unwrap(),
            ["plain.test.", "[IPv6:::1]", "mx1.far.test."]
        );
        let mut either = hosts("plain.test,far.test", &plain).unwrap();
        either.sort();
        assert_eq!(either, ["mx1.far.test.", "plain.test."]);
    }

    #[test]
    fn mutated_lists_never_panic() {
        let good = b"a:[b],c:[d";
        for position in 0..good.len() {
            for value in [b':', b'[', b']', b',', 0] {
                let mut bad = good.to_vec();
                bad[position] = value;
                let _ = mail_exchangers(&world(), &bad, &rules(b"", false));
                let _ = literal_hosts(&bad);
            }
        }
    }
}
