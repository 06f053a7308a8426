//! Base64 as AUTH has it (RFC 4648 section 4), with the faults the log tells apart.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// Bits that padding leaves over may be anything. Observed: 8.17.1.9 takes `YWJ=`.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a text is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeFault {
    /// Its end is missing.
    Incomplete,
    /// It has an octet where none of the kind may be.
    Malformed,
}

impl DecodeFault {
    /// The number the reference's log has for it. Observed: 8.17.1.9.
    pub fn number(self) -> i32 {
        match self {
            Self::Incomplete => 1,
            Self::Malformed => -5,
        }
    }
}

/// Decodes base64.
///
/// # Errors
/// [`DecodeFault`]; a text cut short is only that when what is there is right.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, DecodeFault> {
    let whole = text.len() - text.len() % 4;
    let (whole, rest) = text.split_at(whole);
    let decoded = LENIENT.decode(whole).map_err(|_| DecodeFault::Malformed)?;
    if rest.is_empty() {
        Ok(decoded)
    } else {
        Err(DecodeFault::Incomplete)
    }
}

/// Encodes in base64.
pub fn encode(octets: &[u8]) -> Vec<u8> {
    STANDARD.encode(octets).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        use DecodeFault::{Incomplete, Malformed};
        for (text, expected) in [
            ("", Ok(b"".to_vec())),
            ("AGFubgBzZWNyZXQ=", Ok(b"\0ann\0secret".to_vec())),
            ("YWJ=", Ok(b"ab".to_vec())),
            ("YW==", Ok(b"a".to_vec())),
            ("!!!", Err(Incomplete)),
            ("YWJ", Err(Incomplete)),
            ("YWJjY===", Err(Malformed)),
            ("====", Err(Malformed)),
            ("YWJj====", Err(Malformed)),
            ("YW=j", Err(Malformed)),
            ("Y W=", Err(Malformed)),
            ("Y!JjYWJ", Err(Malformed)),
            ("AGFubgBzZWNyZXQ= foo", Err(Malformed)),
        ] {
            assert_eq!(decode(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Incomplete.number(), 1);
        assert_eq!(Malformed.number(), -5);
    }

    #[test]
    fn what_is_encoded_can_be_decoded() {
        for length in 0..70_u8 {
            let octets: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&octets)), Ok(octets));
        }
    }
}
