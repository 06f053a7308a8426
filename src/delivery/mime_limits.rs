//! MIME fields cut to the lengths the configuration allows.
//!
//! Overlong names and parameters have been used against mail readers. The first number
//! of MaxMimeHeaderLength limits the text fields and the whole of a field, the second the
//! parameters of fields like Content-Type.
//!
//! Source: option MaxMimeHeaderLength; observed: 8.17.1.9.

use crate::config::options::HeaderOptions;
use crate::text::balanced::shorten_balanced;

/// Fields that are text.
const TEXT_FIELDS: &[&[u8]] = &[b"content-description"];

/// Fields with parameters.
const PARAMETER_FIELDS: &[&[u8]] = &[b"content-disposition", b"content-type"];

/// Fields that are a token or an id.
const WORD_FIELDS: &[&[u8]] = &[
    b"content-id",
    b"content-transfer-encoding",
    b"mime-version",
    b"content-language",
];

/// Returns the value of a field, shortened if it is a MIME field that is too long.
pub fn shortened_field(name: &[u8], value: &[u8], options: &HeaderOptions) -> Vec<u8> {
    let is_one_of = |names: &[&[u8]]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let whole = length(options.max_mime_header_length);
    let part = match length(options.max_mime_field_length) {
        0 => whole,
        length => length,
    };
    if is_one_of(TEXT_FIELDS) {
        return shorten_balanced(value, whole);
    }
    if is_one_of(WORD_FIELDS) {
        // Observed: the blank behind the colon does not count here.
        let lead = value.len() - value.trim_ascii_start().len();
        let (lead, word) = value.split_at(lead);
        return [lead, &shorten_balanced(word, whole)].concat();
    }
    if !is_one_of(PARAMETER_FIELDS) {
        return value.to_vec();
    }
    let mut result = Vec::with_capacity(value.len());
    for (number, piece) in split_parameters(value).into_iter().enumerate() {
        if number > 0 {
            result.push(b';');
        }
        let lead = piece.len() - piece.trim_ascii_start().len();
        result.extend_from_slice(&piece[..lead]);
        result.extend_from_slice(&shorten_balanced(&piece[lead..], part));
    }
    result
}

fn length(option: u32) -> usize {
    usize::try_from(option).unwrap_or(usize::MAX)
}

/// Splits at semicolons outside of quotes.
fn split_parameters(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&value[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_parameters_are_cut_inside_their_quotes() {
        let options = HeaderOptions {
            max_mime_header_length: 128,
            max_mime_field_length: 40,
            ..HeaderOptions::default()
        };
        let value =
            b" text/plain; name=\"a very long file name that goes on and on and on and on\"";
        assert_eq!(
            shortened_field(b"Content-Type", value, &options),
            b" text/plain; name=\"a very long file name that goes o\""
        );
        let short = b" attachment; filename=short.txt";
        assert_eq!(
            shortened_field(b"Content-Disposition", short, &options),
            short
        );
    }
}
