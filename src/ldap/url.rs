//! LDAP URLs: where a server is, or a whole question.
//!
//! Source: RFC 4516; `ldapi` as OpenLDAP has it.

use super::message::Scope;

/// The port of `ldap`.
pub const PORT: u16 = 389;
/// The socket of `ldapi` when none is named, where Debian's library looks for it.
pub const LOCAL_SOCKET: &[u8] = b"/var/run/slapd/ldapi";

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host and a port.
    Host(Vec<u8>, u16),
    /// A socket in the file system.
    Local(Vec<u8>),
    /// A host and a port where TLS begins at once, which no map can do.
    Secure(Vec<u8>),
}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The server; none when it is left open.
    pub place: Option<Place>,
    /// The base of the search.
    pub base: Vec<u8>,
    /// The wanted attributes.
    pub attributes: Vec<Vec<u8>>,
    /// How deep to go, if it says so.
    pub scope: Option<Scope>,
    /// The filter, if there is one.
    pub filter: Option<Vec<u8>>,
}

/// Reads a URL; `None` when it is none of the schemes `ldap`, `ldaps` and `ldapi`.
pub fn parse(text: &[u8]) -> Option<Url> {
    let text = text.strip_prefix(b"<").unwrap_or(text);
    let text = text.strip_suffix(b">").unwrap_or(text);
    let text = match text.get(..4) {
        Some(word) if word.eq_ignore_ascii_case(b"URL:") => text.get(4..)?,
        _ => text,
    };
    let colon = text.iter().position(|&octet| octet == b':')?;
    let (scheme, rest) = text.split_at_checked(colon)?;
    let rest = rest.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|octet| matches!(octet, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (server, path) = rest.split_at_checked(end)?;
    let place = place(&scheme.to_ascii_lowercase(), server)?;
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut parts = path.splitn(5, |&octet| octet == b'?');
    let mut part = || unescape(parts.next().unwrap_or_default());
    let base = part()?;
    let attributes = part()?
        .split(|&octet| octet == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let scope = match &*part()?.to_ascii_lowercase() {
        b"" => None,
        b"base" => Some(Scope::Base),
        b"one" | b"onelevel" => Some(Scope::One),
        b"sub" | b"subtree" => Some(Scope::Subtree),
        _ => return None,
    };
    let filter = Some(part()?).filter(|filter| !filter.is_empty());
    Some(Url {
        place,
        base,
        attributes,
        scope,
        filter,
    })
}

fn place(scheme: &[u8], server: &[u8]) -> Option<Option<Place>> {
    match scheme {
        b"ldapi" if server.is_empty() => Some(Some(Place::Local(LOCAL_SOCKET.to_vec()))),
        b"ldapi" => Some(Some(Place::Local(unescape(server)?))),
        b"ldaps" => Some(Some(Place::Secure(server.to_vec()))),
        b"ldap" if server.is_empty() => Some(None),
        b"ldap" => Some(Some(host_and_port(&unescape(server)?, PORT)?)),
        _ => None,
    }
}

/// Reads `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`; `port` counts without one.
pub fn host_and_port(text: &[u8], port: u16) -> Option<Place> {
    let (host, rest) = match text.strip_prefix(b"[") {
        Some(inside) => crate::text::bytes::split_once(inside, b']')?,
        None => {
            let end = text.iter().position(|&octet| octet == b':');
            text.split_at_checked(end.unwrap_or(text.len()))?
        }
    };
    let port = match rest.strip_prefix(b":") {
        Some(digits) => crate::text::bytes::parse_decimal(digits)?,
        None if rest.is_empty() => port,
        None => return None,
    };
    Some(Place::Host(host.to_vec(), port))
}

/// Reads `%` and two digits back.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.iter();
    let digit = |octet: Option<&u8>| char::from(*octet?).to_digit(16);
    while let Some(&octet) = octets.next() {
        if octet == b'%' {
            let (high, low) = (digit(octets.next())?, digit(octets.next())?);
            out.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            out.push(octet);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = parse(b"LDAP://host:1389/o=x%20y?mail,cn?one?(uid=a)").unwrap();
        assert_eq!(url.place, Some(Place::Host(b"host".to_vec(), 1389)));
        assert_eq!(url.base, b"o=x y");
        assert_eq!(url.attributes, [b"mail".to_vec(), b"cn".to_vec()]);
        assert_eq!(url.scope, Some(Scope::One));
        assert_eq!(url.filter.as_deref(), Some(b"(uid=a)".as_slice()));
        let url = parse(b"<URL:ldap:///o=x??sub>").unwrap();
        assert_eq!((url.place, url.scope), (None, Some(Scope::Subtree)));
        let url = parse(b"ldapi://%2frun%2fx/").unwrap();
        assert_eq!(url.place, Some(Place::Local(b"/run/x".to_vec())));
        let url = parse(b"ldap://[::1]:3/").unwrap();
        assert_eq!(url.place, Some(Place::Host(b"::1".to_vec(), 3)));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "x",
            "http://x/",
            "ldap:x",
            "ldap://a:b/",
            "ldap://a:99999/",
            "ldap://[a/",
            "ldap:///%4",
            "ldap:///x??deep",
            "ldap://[a]b/",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
