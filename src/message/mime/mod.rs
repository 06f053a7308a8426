//! Conversion of bodies between 8-bit and 7-bit form.
//!
//! Reading order:
//! - [`lines`]: a body read line by line, with places to come back to;
//! - [`content_type`]: type, subtype and boundary of a Content-Type field;
//! - [`encode`]: quoted-printable and base64 out of lines;
//! - [`to_seven`]: 8 to 7 bit, part by part through multiparts;
//! - [`to_eight`]: 7 to 8 bit for the text of local mail (mailer flag 9).

pub mod content_type;
pub mod encode;
pub mod lines;
pub mod to_eight;
pub mod to_seven;

/// Which MIME types and encodings the configuration treats specially.
///
/// Source: guide section 5.3, classes `n`, `e`, `s` and `q`.
pub trait MimeClasses {
    /// Tells whether class `letter` holds `word`, without regard to case.
    fn contains(&self, letter: u8, word: &[u8]) -> bool;
}

/// The classes as they are when the configuration does not touch them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInClasses;

impl MimeClasses for BuiltInClasses {
    fn contains(&self, letter: u8, word: &[u8]) -> bool {
        let words: &[&[u8]] = match letter {
            b'n' => &[b"multipart/signed"],
            b'e' => &[b"7bit", b"8bit", b"binary"],
            b's' => &[b"rfc822"],
            _ => &[],
        };
        words.iter().any(|known| word.eq_ignore_ascii_case(known))
    }
}

/// Names this host and message in `X-MIME-Autoconverted` fields.
#[derive(Clone, Debug, Default)]
pub struct ConversionStamp {
    /// Our host name.
    pub host: Vec<u8>,
    /// Queue id of the message.
    pub queue_id: Vec<u8>,
}

impl ConversionStamp {
    /// Makes the field that tells of a conversion.
    pub fn field(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        [
            b"X-MIME-Autoconverted: from ",
            from,
            b" to ",
            to,
            b" by ",
            &self.host,
            b" id ",
            &self.queue_id,
        ]
        .concat()
    }
}
