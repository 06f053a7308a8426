//! Address headers: each address rewritten, long lists folded.
//!
//! A list is cut into addresses, each address is handed to the caller's rewriting and
//! the results are joined by commas again. A line that would pass the width is ended
//! after the comma and the next one starts with eight spaces.
//!
//! Observed: 8.17.1.9 for the width and the eight spaces.

use super::address::next_address;

/// Widest header line made here, unless the mailer allows less.
const MAX_LIST_WIDTH: usize = 78;

/// Longest header name that is written.
const MAX_NAME_BYTES: usize = 200;

/// Formats an address header: name, colon, and the rewritten addresses.
///
/// `line_limit` is the mailer's longest line (L=). `old_style` says that spaces separate
/// addresses too. `rewrite` returns the address to write; an empty one is left out. The
/// result has LF between lines and none at the end.
pub fn format_address_header(
    name: &[u8],
    value: &[u8],
    line_limit: Option<usize>,
    old_style: bool,
    rewrite: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let width = line_limit.map_or(MAX_LIST_WIDTH, |limit| {
        limit.saturating_sub(2).min(MAX_LIST_WIDTH)
    });
    let mut text = name[..name.len().min(MAX_NAME_BYTES)].to_vec();
    text.push(b':');
    let lead = value.len() - value.trim_ascii_start().len();
    text.extend_from_slice(&value[..lead]);
    let mut column = text.len();
    let mut first = true;
    let mut rest = value;
    while let Some((address, after)) = next_address(rest, old_style) {
        rest = after;
        let mut address = rewrite(address);
        if address.is_empty() {
            continue;
        }
        join_broken_lines(&mut address);
        column += address.len() + if first { 0 } else { 2 };
        if column > width && !first {
            text.extend_from_slice(b",\n        ");
            column = 8 + address.len();
        } else if !first {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(&address);
        first = false;
    }
    text
}

/// Makes blanks of line feeds that would end the header field; folded lines stay as they are.
fn join_broken_lines(address: &mut [u8]) {
    for at in 0..address.len() {
        let goes_on = matches!(address.get(at + 1), Some(b' ' | b'\t'));
        if address[at] == b'\n' && !goes_on {
            address[at] = b' ';
        }
    }
}

/// Tells whether a list is old style (separated by spaces) in spite of the option.
///
/// Any character of the new style switches to the new style.
///
/// Source: option OldStyleHeaders.
pub fn looks_old_style(list: &[u8]) -> bool {
    !list
        .iter()
        .any(|byte| matches!(byte, b',' | b';' | b'<' | b'('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_folded() {
        let list = b" one.long.name@far.test, two.long.name@far.test,three.long.name@far.test, four.long.name@far.test";
        let text = format_address_header(b"To", list, None, false, &mut |a| a.to_vec());
        assert_eq!(
            text,
            b"To: one.long.name@far.test, two.long.name@far.test, three.long.name@far.test,\n        four.long.name@far.test"
        );
    }

    #[test]
    fn a_fold_inside_an_address_stays() {
        let list = b" A B\n <a@b>, c";
        let text = format_address_header(b"From", list, None, false, &mut |a| a.to_vec());
        assert_eq!(text, b"From: A B\n <a@b>, c");
        let text =
            format_address_header(b"From", b" a", None, false, &mut |_| b"x\ny: z\n".to_vec());
        assert_eq!(text, b"From: x y: z ");
    }

    #[test]
    fn an_empty_value_stays_empty() {
        let text = format_address_header(b"Bcc", b"", None, false, &mut |a| a.to_vec());
        assert_eq!(text, b"Bcc:");
    }
}
