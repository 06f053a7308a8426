//! Domain names beyond ASCII as DNS and old servers know them: `bücher.test` is
//! `xn--bcher-kva.test`.
//!
//! Labels are folded to lower case and encoded with Punycode. They are not composed first:
//! a label with combining marks of its own has no form here, rather than a wrong one.
//!
//! Source: RFC 3492, RFC 5890 section 2.3.2.1; full stops of RFC 3490 section 3.1.

/// Longest label in its ASCII form. Source: RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;
/// What an encoded label begins with.
const PREFIX: &str = "xn--";

// The parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Returns a domain in ASCII; `None` if it has no such form.
pub fn ascii_domain(domain: &[u8]) -> Option<Vec<u8>> {
    if domain.is_ascii() {
        return Some(domain.to_vec());
    }
    let text = std::str::from_utf8(domain).ok()?;
    let mut labels = Vec::new();
    for label in text.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        labels.push(ascii_label(label)?);
    }
    Some(labels.join(".").into_bytes())
}

/// Returns an address whose domain is in ASCII; `None` if that is not all that is beyond ASCII.
pub fn ascii_address(address: &[u8]) -> Option<Vec<u8>> {
    if address.is_ascii() {
        return Some(address.to_vec());
    }
    let at = address.iter().rposition(|octet| *octet == b'@')?;
    let (local, domain) = (address.get(..=at)?, address.get(at + 1..)?);
    if !local.is_ascii() {
        return None;
    }
    Some([local, &ascii_domain(domain)?].concat())
}

fn ascii_label(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_owned());
    }
    let folded: Vec<char> = label.to_lowercase().chars().collect();
    let is_fit = |c: &char| match c {
        'a'..='z' | '0'..='9' | '-' => true,
        '\u{0}'..='\u{7f}' => false,
        // Combining marks: whether they should be part of the letter before is not known here.
        '\u{300}'..='\u{36f}' => false,
        c => c.is_alphanumeric(),
    };
    if !folded.iter().all(is_fit) {
        return None;
    }
    let encoded = format!("{PREFIX}{}", punycode(&folded)?);
    (encoded.len() <= MAX_LABEL).then_some(encoded)
}

/// Encodes one label; `None` when it is too long to be counted.
fn punycode(label: &[char]) -> Option<String> {
    let mut out: String = label.iter().filter(|c| c.is_ascii()).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let length = u32::try_from(label.len()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < length {
        let next = label
            .iter()
            .map(|c| u32::from(*c))
            .filter(|c| *c >= n)
            .min()?;
        delta = delta.checked_add((next - n).checked_mul(handled.checked_add(1)?)?)?;
        n = next;
        for c in label.iter().map(|c| u32::from(*c)) {
            if c < n {
                delta = delta.checked_add(1)?;
            } else if c == n {
                write_delta(delta, bias, &mut out);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(out)
}

fn write_delta(delta: u32, bias: u32, out: &mut String) {
    let (mut q, mut k) = (delta, BASE);
    loop {
        let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if q < t {
            break;
        }
        out.push(digit(t + (q - t) % (BASE - t)));
        q = (q - t) / (BASE - t);
        k = k.saturating_add(BASE);
    }
    out.push(digit(q));
}

/// The digits are `a` to `z`, then `0` to `9`.
fn digit(value: u32) -> char {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let at = usize::try_from(value).unwrap_or(0);
    char::from(*DIGITS.get(at).unwrap_or(&b'a'))
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / points.max(1);
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Option<String> {
        ascii_domain(text.as_bytes()).map(|found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn labels_have_the_forms_of_the_standard() {
        for (name, expected) in [
            ("plain.test", "plain.test"),
            ("bücher.test", "xn--bcher-kva.test"),
            ("BÜCHER.test", "xn--bcher-kva.test"),
            ("mañana.test", "xn--maana-pta.test"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("δοκιμή.test", "xn--jxalpdlp.test"),
            ("почта.test", "xn--80a1acny.test"),
            ("ü", "xn--tda"),
        ] {
            assert_eq!(domain(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_has_no_form_is_not_guessed() {
        let long = "ü".repeat(70);
        for name in [
            "bu\u{308}cher.test",
            "a\u{fc}_b.test",
            "\u{2603}.test",
            &long,
        ] {
            assert_eq!(domain(name), None, "{name}");
        }
        assert_eq!(ascii_domain(b"b\xfc.test"), None);
        assert_eq!(
            ascii_address("bob@bücher.test".as_bytes()).as_deref(),
            Some(&b"bob@xn--bcher-kva.test"[..])
        );
        assert_eq!(ascii_address("bübchen@x.test".as_bytes()), None);
    }
}
