//! How the reference shows a line in a message.

/// Gives the text with each `$` symbol as the octet 0x81 in front of its name.
///
/// Messages are printed in seven bits, so the octet comes out as 0x01.
/// Observed: 8.17.1.9 (`invalid rewrite line "R\u{1}*" (tab expected)`).
pub fn shown(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'$' {
            text.push(byte);
            continue;
        }
        match tail.first() {
            None => text.push(byte),
            Some(b'$') => {
                text.push(byte);
                rest = &tail[1..];
            }
            Some(_) => {
                text.push(0x81);
                if let Some((&symbol @ (b'=' | b'~' | b'&' | b'?'), tail)) = tail.split_first() {
                    text.push(symbol);
                    rest = tail;
                }
                rest = push_name(rest, &mut text);
            }
        }
    }
    text
}

/// Shows a name; a long one without end swallows the line.
fn push_name<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some((&first, tail)) = rest.split_first() else {
        return rest;
    };
    if first != b'{' {
        text.push(first);
        return tail;
    }
    match memchr::memchr(b'}', tail) {
        // One long name is shown as one octet; which one depends on all names before it.
        Some(end) => {
            text.push(0xa0);
            &tail[end + 1..]
        }
        None => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_become_one_octet() {
        assert_eq!(shown(b"R$* $$x $=w$"), b"R\x81* $x \x81=w$");
        assert_eq!(shown(b"?${z?X: $x"), b"?\x81");
    }
}
