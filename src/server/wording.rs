//! How replies are worded: codes, the address they are about, and plain ASCII.
//!
//! The reference puts the address a reply is about in front of its text
//! (`550 5.1.1 <x>... User unknown`), supplies an enhanced status code where a
//! rule gave none, and sends seven bits only. All replies of the server pass
//! through here so that they look alike.

use crate::smtp::{EnhancedStatus, Reply, ReplyCode, shows_address};
use crate::text::bytes::shorten;

/// Longest address shown in a reply.
///
/// Observed: 8.17.1.9 cuts the middle out of longer ones.
const MAX_SHOWN_ADDRESS: usize = 203;

/// Makes a reply of a code and bytes; the text may begin with an enhanced status code.
pub fn reply(text: &[u8]) -> Reply {
    let reply = Reply::from_text(text).unwrap_or_else(|_| Reply {
        code: ReplyCode::new(554).expect("554 is a reply code"),
        enhanced: EnhancedStatus::new(5, 0, 0),
        lines: vec![text.to_vec()],
    });
    complete(reply)
}

/// Supplies the enhanced status code `x.0.0` where there is none.
pub fn complete(mut reply: Reply) -> Reply {
    let stated = reply
        .lines
        .first()
        .is_some_and(|line| EnhancedStatus::parse_prefix(line).is_some());
    if reply.enhanced.is_none() && !stated {
        reply.enhanced = EnhancedStatus::new(reply.code.class(), 0, 0);
    }
    reply
}

/// Puts the address a reply is about in front of its text.
pub fn about(address: &[u8], reply: Reply) -> Reply {
    let mut reply = complete(reply);
    if address.is_empty() || !shows_address(reply.code.number()) {
        return reply;
    }
    let shown = shorten(address, MAX_SHOWN_ADDRESS);
    if let Some(first) = reply.lines.first_mut() {
        // Observed: a code that the rule wrote into its text stays in front of the address.
        let code_length = match reply.enhanced {
            None => EnhancedStatus::parse_prefix(first).map_or(0, |(_, length)| length + 1),
            Some(_) => 0,
        };
        let (code, text) = first.split_at(code_length.min(first.len()));
        *first = [code, &shown, b"... ", text].concat();
    }
    reply
}

/// Writes a reply as it goes to the client: seven bits, nothing that ends a line.
///
/// Who asked for SMTPUTF8 gets UTF-8 (RFC 6531 section 3.7.4).
pub fn write(reply: &Reply, takes_utf8: bool, output: &mut Vec<u8>) {
    let mut plain = reply.clone();
    for line in &mut plain.lines {
        let is_kept = takes_utf8 && std::str::from_utf8(line).is_ok();
        for octet in line.iter_mut() {
            if !is_kept {
                *octet &= 0x7f;
            }
            if matches!(*octet, b'\n' | 0) {
                *octet = b' ';
            }
        }
    }
    plain.write(output);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reply: &Reply) -> String {
        let mut out = Vec::new();
        write(reply, false, &mut out);
        String::from_utf8(out).expect("seven bits")
    }

    #[test]
    fn the_address_stands_between_codes_and_text() {
        let unknown = reply(b"550 5.1.1 User unknown");
        assert_eq!(
            line(&about(b"<x>", unknown)),
            "550 5.1.1 <x>... User unknown\r\n"
        );
        let unbalanced = reply(b"553 Unbalanced '<'");
        assert_eq!(
            line(&about(b"<x", unbalanced)),
            "553 5.0.0 <x... Unbalanced '<'\r\n"
        );
    }

    #[test]
    fn some_codes_never_show_the_address() {
        for text in [
            "451 4.1.8 later",
            "421 4.7.1 closing",
            "551 5.7.1 moved",
            "554 5.0.0 no",
        ] {
            assert_eq!(
                line(&about(b"<x>", reply(text.as_bytes()))),
                format!("{text}\r\n")
            );
        }
    }

    #[test]
    fn a_foreign_enhanced_code_is_kept() {
        assert_eq!(line(&reply(b"421 5.7.1 bad")), "421 5.7.1 bad\r\n");
        let odd = about(b"<x>", reply(b"450 5.7.1 bad"));
        assert_eq!(line(&odd), "450 5.7.1 <x>... bad\r\n");
    }

    #[test]
    fn eight_bits_become_seven_and_lines_stay_one() {
        assert_eq!(
            line(&reply(b"500 5.5.1 FO\xe9O\nX")),
            "500 5.5.1 FOiO X\r\n"
        );
    }
}
