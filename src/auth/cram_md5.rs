//! CRAM-MD5: a challenge and its keyed digest (RFC 2195).

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::accounts::{Accounts, canonical, split_realm};
use super::outcome::{Failure, FailureKind, Identity};

/// Makes a challenge that was never there before: two numbers at a host.
pub fn challenge(random: &[u8; 32], host: &[u8]) -> Vec<u8> {
    let number = |octets: &[u8]| {
        octets
            .iter()
            .take(4)
            .fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet))
    };
    let (first, second) = random.split_at(16);
    let numbers = format!("<{}.{}@", number(first), number(second));
    [numbers.as_bytes(), host, b">"].concat()
}

/// Checks the client's answer: its name, a blank, the digest in hexadecimal.
///
/// # Errors
/// Why not; the words are those of Cyrus SASL.
pub fn check(
    answer: &[u8],
    challenge: &[u8],
    own_realm: &[u8],
    accounts: &dyn Accounts,
) -> Result<Identity, Failure> {
    // A name may have blanks, the digest cannot.
    let at = answer
        .iter()
        .rposition(|octet| *octet == b' ')
        .ok_or_else(|| Failure::protocol("need authentication name"))?;
    let (name, digest) = answer.split_at(at);
    let user = canonical(name)?;
    let (plain, realm) = split_realm(&user, own_realm);
    let password = accounts.password(plain, realm).map_err(|failure| {
        let shown = [plain, b"@", realm].concat();
        match failure.kind {
            FailureKind::NoUser => failure.told_as(&format!(
                "user: {} property: cmusaslsecretCRAM-MD5 not found in sasldb",
                String::from_utf8_lossy(&shown)
            )),
            FailureKind::Generic | FailureKind::Protocol | FailureKind::Wrong => failure,
        }
    })?;
    let wrong = || Failure::wrong("incorrect digest response");
    let digest = from_hexadecimal(digest.get(1..).unwrap_or(b"")).ok_or_else(wrong)?;
    keyed(password.as_bytes(), challenge)
        .verify_slice(&digest)
        .map_err(|_| wrong())?;
    Ok(Identity { user })
}

/// Answers a challenge.
pub fn answer(user: &[u8], password: &[u8], challenge: &[u8]) -> Vec<u8> {
    let digest = keyed(password, challenge).finalize().into_bytes();
    [user, b" ", hexadecimal(&digest).as_slice()].concat()
}

/// Who the client says it is, for the log.
pub fn claimed(answer: &[u8]) -> Vec<u8> {
    let name = answer.split(|octet| *octet == b' ').next();
    name.unwrap_or(b"").to_vec()
}

fn keyed(password: &[u8], challenge: &[u8]) -> Hmac<Md5> {
    let mut mac = Hmac::<Md5>::new_from_slice(password).expect("a key may have any length");
    mac.update(challenge);
    mac
}

/// Writes octets in hexadecimal, small letters.
pub(super) fn hexadecimal(octets: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)).copied())
        .collect()
}

fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let pairs = text.chunks(2);
    pairs
        .map(|pair| {
            let (high, low) = (digit(*pair.first()?)?, digit(*pair.get(1)?)?);
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::OneUser;
    use super::*;

    const CHALLENGE: &[u8] = b"<1896.697170952@postoffice.reston.mci.net>";
    const ANSWER: &[u8] = b"tim b913a602c7eda7a495b4e6e7334d3890";
    const TIM: OneUser = OneUser("tim", "tanstaaftanstaaf");

    #[test]
    fn the_example_of_the_standard() {
        assert_eq!(answer(b"tim", b"tanstaaftanstaaf", CHALLENGE), ANSWER);
        let identity = check(ANSWER, CHALLENGE, b"r", &TIM).unwrap();
        assert_eq!(identity.user, b"tim");
    }

    #[test]
    fn what_is_wrong_is_told_to_the_log() {
        for (answer, detail) in [
            ("tim", "need authentication name"),
            ("tim x", "incorrect digest response"),
            (
                "tim b913a602c7eda7a495b4e6e7334d3891",
                "incorrect digest response",
            ),
            (
                "tim b913a602c7eda7a495b4e6e7334d38",
                "incorrect digest response",
            ),
            ("tim ", "incorrect digest response"),
            (
                "joe b913a602c7eda7a495b4e6e7334d3890",
                "user: joe@r property: cmusaslsecretCRAM-MD5 not found in sasldb",
            ),
            (" x", "All-whitespace username."),
        ] {
            let failure = check(answer.as_bytes(), CHALLENGE, b"r", &TIM).unwrap_err();
            assert_eq!(failure.detail, detail, "{answer}");
        }
        assert_eq!(claimed(b"joe x"), b"joe");
    }

    #[test]
    fn challenges_are_message_identifiers() {
        let mut random = [0; 32];
        random[3] = 7;
        random[19] = 9;
        assert_eq!(challenge(&random, b"mx.test"), b"<7.9@mx.test>");
    }
}
