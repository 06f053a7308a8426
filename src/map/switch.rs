//! The service switch: which services answer for a name like `aliases`, in order.

use std::path::Path;

/// Most services of one line. Source: guide 5.9.
const MAX_SERVICES: usize = 12;

/// Returns the services of `name`: from the switch file, else the built-in order.
///
/// A file that cannot be read counts as one that says nothing. None: nobody knows the name.
///
/// Source: guide 5.6 ServiceSwitchFile.
pub fn services_of(name: &[u8], switch_file: &Path) -> Option<Vec<Vec<u8>>> {
    let text = std::fs::read(switch_file).unwrap_or_default();
    find_line(&text, name).or_else(|| match name {
        b"aliases" => Some(vec![b"files".to_vec()]),
        b"hosts" => Some(vec![b"dns".to_vec(), b"files".to_vec()]),
        _ => None,
    })
}

fn find_line(text: &[u8], name: &[u8]) -> Option<Vec<Vec<u8>>> {
    text.split(|&octet| octet == b'\n').find_map(|line| {
        let line = line.split(|&octet| octet == b'#').next()?;
        let mut words = line
            .split(|octet| matches!(octet, b' ' | b'\t' | b'\r'))
            .filter(|word| !word.is_empty());
        (words.next()? == name).then(|| words.take(MAX_SERVICES).map(<[u8]>::to_vec).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_wins_over_the_built_in_order() {
        let text = b"# services\nhosts\tfiles dns # all\naliases files nis\n";
        assert_eq!(
            find_line(text, b"hosts").unwrap(),
            [b"files".to_vec(), b"dns".to_vec()]
        );
        assert_eq!(find_line(text, b"aliases").unwrap().len(), 2);
        assert_eq!(find_line(text, b"passwd"), None);
        let absent = Path::new("/nonexistent/service.switch");
        assert_eq!(
            services_of(b"aliases", absent).unwrap(),
            [b"files".to_vec()]
        );
        assert_eq!(services_of(b"passwd", absent), None);
    }
}
