//! Address lists, and the comments and phrases around a core address.
//!
//! Header addresses are rewritten at their core only: `"A B" <a@b> (c)` keeps the
//! phrase and the comment when `a@b` becomes something else. [`AddressTemplate`] is
//! the text around the core.

/// An address with its core taken out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressTemplate {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl AddressTemplate {
    /// Puts an address where the core was.
    pub fn apply(&self, core: &[u8]) -> Vec<u8> {
        [&self.before, core, &self.after].concat()
    }
}

/// Splits an address list at its commas; quotes, comments and angle brackets hide commas.
///
/// Pieces are returned trimmed; empty pieces are left out.
pub fn split_address_list(list: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut comment, mut angle, mut quoted, mut escaped) =
        (0, 0u32, 0u32, false, false);
    for (at, byte) in list.iter().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' if comment == 0 => quoted = !quoted,
            b'(' if !quoted => comment += 1,
            b')' if !quoted => comment = comment.saturating_sub(1),
            b'<' if !quoted && comment == 0 => angle += 1,
            b'>' if !quoted && comment == 0 => angle = angle.saturating_sub(1),
            b',' if !quoted && comment == 0 && angle == 0 => {
                pieces.push(list[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(list.get(start..).unwrap_or_default().trim_ascii());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Finds the core of an address and the text around it.
pub fn split_comments(address: &[u8]) -> (Vec<u8>, AddressTemplate) {
    let (mut comment, mut quoted, mut escaped) = (0u32, false, false);
    let (mut open, mut close) = (None, None);
    for (at, byte) in address.iter().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' if comment == 0 => quoted = !quoted,
            b'(' if !quoted => comment += 1,
            b')' if !quoted => comment = comment.saturating_sub(1),
            b'<' if !quoted && comment == 0 && open.is_none() => open = Some(at + 1),
            b'>' if !quoted && comment == 0 => close = Some(at),
            _ => {}
        }
    }
    if let (Some(open), Some(close)) = (open, close)
        && open <= close
    {
        let template = AddressTemplate {
            before: address[..open].to_vec(),
            after: address[close..].to_vec(),
        };
        return (address[open..close].to_vec(), template);
    }
    (
        address.to_vec(),
        AddressTemplate {
            before: Vec::new(),
            after: Vec::new(),
        },
    )
}

/// Returns the address without comments, phrases and brackets around it.
pub fn core_address(address: &[u8]) -> Vec<u8> {
    split_comments(address).0.trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_quotes_and_comments_do_not_split() {
        let list = b" a, \"b, c\" <d@e>, f (g, h), <@i,@j:k@l>";
        let pieces: Vec<&[u8]> = vec![b"a", b"\"b, c\" <d@e>", b"f (g, h)", b"<@i,@j:k@l>"];
        assert_eq!(split_address_list(list), pieces);
    }
}
