//! RFC 5322: headers, addresses, bodies.
