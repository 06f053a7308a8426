//! Which known name was perhaps meant.

/// Most letters that may be wrong in a name of this length.
fn tolerance(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    }
}

/// Longest name that is compared; longer ones are no slips of the finger.
const MAX_LENGTH: usize = 64;

/// Finds the known name that differs least from `name`, if any is near.
///
/// Letter case counts for nothing; the first of equally near names wins.
pub fn nearest<'n>(name: &[u8], known: impl IntoIterator<Item = &'n [u8]>) -> Option<&'n [u8]> {
    let most = tolerance(name.len());
    known
        .into_iter()
        .filter_map(|candidate| {
            let steps = distance(name, candidate);
            (steps <= most).then_some((steps, candidate))
        })
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, drop, replace or swap with their neighbour.
pub fn distance(one: &[u8], other: &[u8]) -> usize {
    if one.len() > MAX_LENGTH || other.len() > MAX_LENGTH {
        return usize::MAX;
    }
    let one = one.to_ascii_lowercase();
    let other = other.to_ascii_lowercase();
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (above[j] + usize::from(a != b))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *b && other[j - 1] == *a {
                least = least.min(two_above[j - 1] + 1);
            }
            row.push(least);
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, steps) in [
            ("abc", "ABC", 0),
            ("LogLevl", "LogLevel", 1),
            ("chekc", "check", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), steps, "{one}");
        }
    }

    #[test]
    fn only_near_names_are_proposed() {
        let known = ["check_mail", "check_rcpt", "authinfo"];
        let find = |name: &str| {
            nearest(name.as_bytes(), known.iter().map(|name| name.as_bytes()))
                .map(|name| String::from_utf8_lossy(name).into_owned())
        };
        assert_eq!(find("check_rctp").as_deref(), Some("check_rcpt"));
        assert_eq!(find("mine"), None);
    }
}
