//! MIME fields cut to the lengths the configuration allows.
//!
//! Overlong names and parameters have been used against mail readers. The first number
//! of MaxMimeHeaderLength limits the text fields and the whole of a field, the second the
//! parameters of fields like Content-Type.
//!
//! Source: option MaxMimeHeaderLength; observed: 8.17.1.9.

use std::fmt;

use crate::config::options::HeaderOptions;
use crate::text::balanced::{shorten_balanced, split_balanced};
use crate::text::bytes::printable;

/// Fields that are text: they are cut, whatever is open then.
const TEXT_FIELDS: &[&[u8]] = &[b"content-description"];

/// Fields with parameters.
const PARAMETER_FIELDS: &[&[u8]] = &[b"content-disposition", b"content-type"];

/// Fields that are a token or an id.
const WORD_FIELDS: &[&[u8]] = &[b"content-id", b"content-transfer-encoding", b"mime-version"];

/// Returns the value of a field, shortened if it is a MIME field that is too long; what was
/// wrong goes to `log`.
pub fn shortened_field(
    name: &[u8],
    value: &[u8],
    options: &HeaderOptions,
    log: &dyn Fn(fmt::Arguments<'_>),
) -> Vec<u8> {
    let is_one_of = |names: &[&[u8]]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let whole = match length(options.max_mime_header_length) {
        0 => usize::MAX,
        length => length,
    };
    let part = match length(options.max_mime_field_length) {
        0 => whole,
        length => length,
    };
    let lead = value.len() - value.trim_ascii_start().len();
    let shown = printable(name);
    // What is told of counts the blank in front, what is compared does not.
    let is_too_long = |value: &[u8]| value.len() - lead > whole;
    let tell_too_long = |value: &[u8]| {
        let length = value.len();
        log(format_args!(
            "Truncated long MIME {shown} header (length = {length}) (possible attack)"
        ));
    };
    if is_one_of(TEXT_FIELDS) && is_too_long(value) {
        tell_too_long(value);
        return value.get(..whole).unwrap_or(value).to_vec();
    }
    if is_one_of(WORD_FIELDS) {
        let short = shortened_behind(value, lead, whole);
        if is_too_long(value) {
            tell_too_long(value);
        } else if short != value {
            log(format_args!("Fixed MIME {shown} header (possible attack)"));
        }
        return short;
    }
    if !is_one_of(PARAMETER_FIELDS) {
        return value.to_vec();
    }
    let mut result = Vec::with_capacity(value.len());
    let (mut is_mended, mut too_long) = (false, None);
    for (number, piece) in split_balanced(value, b';').into_iter().enumerate() {
        if number > 0 {
            result.push(b';');
        }
        let lead = piece.len() - piece.trim_ascii_start().len();
        let short = shortened_behind(piece, lead, part);
        if piece.len() - lead > part {
            too_long = Some(piece.len());
        } else if short != piece {
            is_mended = true;
        }
        result.extend_from_slice(&short);
    }
    if is_mended {
        log(format_args!(
            "Fixed MIME {shown} header field (possible attack)"
        ));
    }
    if let Some(length) = too_long {
        log(format_args!(
            "Truncated MIME {shown} header due to field size (length = {length}) (possible attack)"
        ));
    }
    if is_too_long(&result) {
        tell_too_long(&result);
        return shortened_behind(&result, lead, whole);
    }
    result
}

/// Shortens what stands behind the blanks in front.
fn shortened_behind(value: &[u8], lead: usize, limit: usize) -> Vec<u8> {
    let (lead, word) = value.split_at_checked(lead).unwrap_or((b"", value));
    [lead, &shorten_balanced(word, limit)].concat()
}

fn length(option: u32) -> usize {
    usize::try_from(option).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The value as it becomes under `64/32`, and what is told.
    fn shortened(field: &str) -> (String, String) {
        let options = HeaderOptions {
            max_mime_header_length: 64,
            max_mime_field_length: 32,
            ..HeaderOptions::default()
        };
        let told = RefCell::new(String::new());
        let log = |text: fmt::Arguments<'_>| told.borrow_mut().push_str(&format!("{text}; "));
        let (name, value) = field.split_once(':').unwrap();
        let short = shortened_field(name.as_bytes(), value.as_bytes(), &options, &log);
        (String::from_utf8(short).unwrap(), told.into_inner())
    }

    #[test]
    fn long_and_open_fields_are_mended_and_told_of() {
        let [x, z, d] = ["x".repeat(50), "z".repeat(60), "d ".repeat(60)];
        let long = "Truncated long MIME";
        for (field, short, told) in [
            (
                "Content-Type: text/plain; charset=us-ascii",
                None,
                String::new(),
            ),
            (
                "Content-Type: a/b; name=\"abc",
                Some(" a/b; name=\"ab\""),
                "Fixed MIME Content-Type header field (possible attack); ".into(),
            ),
            (
                &*format!("Content-Type: text/plain; charset={x}; name={z}"),
                Some(&*format!(
                    " text/plain; charset={}; name={}",
                    &x[..24],
                    &z[..13]
                )),
                format!(
                    "Truncated MIME Content-Type header due to field size (length = 66) \
                    (possible attack); {long} Content-Type header (length = 79) (possible attack); "
                ),
            ),
            (
                &*format!("Content-Disposition: a; filename=\"{x}\""),
                Some(&*format!(" a; filename=\"{}\"", &x[..21])),
                "Truncated MIME Content-Disposition header due to field size (length = 62) \
                    (possible attack); "
                    .into(),
            ),
            (
                &*format!("Content-Description: \"{d}"),
                Some(&*format!(" \"{}", &d[..62])),
                format!("{long} Content-Description header (length = 122) (possible attack); "),
            ),
            ("Content-Description: \"abc", None, String::new()),
            (
                &*format!("Content-Id: \"{z}abcdef"),
                Some(&*format!(" \"{z}ab\"")),
                format!("{long} Content-Id header (length = 68) (possible attack); "),
            ),
            (
                "Content-Type: a/b; x=(c; y=(",
                Some(" a/b; x=(c; y=)"),
                "Fixed MIME Content-Type header field (possible attack); ".into(),
            ),
            (
                "MIME-Version: 1.0 (abc",
                Some(" 1.0 (ab)"),
                "Fixed MIME MIME-Version header (possible attack); ".into(),
            ),
            (&*format!("Content-Language: {d}"), None, String::new()),
        ] {
            let is = shortened(field);
            let value = field.split_once(':').unwrap().1;
            assert_eq!(is, (short.unwrap_or(value).to_owned(), told), "{field}");
        }
    }
}
