//! Addresses beyond ASCII where only ASCII can stand: the type `utf-8` of RFC 6533 section 3.

/// Writes `type; address` with `\x{HEX}` for what is beyond ASCII.
pub fn in_ascii(typed: &[u8]) -> Vec<u8> {
    if typed.is_ascii() {
        return typed.to_vec();
    }
    let mut out = Vec::new();
    for c in String::from_utf8_lossy(typed).chars() {
        match u8::try_from(c) {
            Ok(octet) if octet.is_ascii() => out.push(octet),
            _ => out.extend_from_slice(format!("\\x{{{:X}}}", u32::from(c)).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_ascii_becomes_numbers() {
        let text = in_ascii("utf-8;bü@x.test".as_bytes());
        assert_eq!(text, br"utf-8;b\x{FC}@x.test");
        assert_eq!(in_ascii(b"rfc822;a@b"), b"rfc822;a@b");
    }
}
