//! The password a map binds with: the first line of a file that nobody else may write to.
//!
//! Source: guide 5.9, flag `-P`; rules, limit and texts observed: 8.17.1.9.

use std::io::Read;

use crate::sys::file::path_of;
use crate::sys::privilege::Privileged;
use crate::sys::safe_open::{OpenRequest, OpenRules};

/// What makes a file unfit.
const RULES: OpenRules = OpenRules::REGULAR_ONLY
    .with(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY)
    .with(OpenRules::NO_GROUP_WRITABLE_FILE)
    .with(OpenRules::NO_WORLD_WRITABLE_FILE);
/// Longest line that is a password, its end counted. Observed: 8.17.1.9.
const MAX_SECRET: usize = 256;

/// Reads the password in `path`.
///
/// # Errors
/// The text the reference prints behind file and line.
pub fn read(path: &[u8], privileged: &dyn Privileged) -> Result<Vec<u8>, Vec<u8>> {
    if path.is_empty() {
        return Err(b"LDAP map: cannot open secret : No such file or directory".to_vec());
    }
    let opened = privileged.open_as(&OpenRequest::read(path_of(path)).rules(RULES));
    let opened = opened.map_err(|error| error.to_string());
    let text = opened.and_then(|opened| {
        let mut text = Vec::new();
        let most = u64::try_from(MAX_SECRET).unwrap_or(u64::MAX);
        opened
            .file
            .take(most.saturating_add(1))
            .read_to_end(&mut text)
            .map_err(|error| crate::sys::host::error_text(&error))?;
        Ok(text)
    });
    let text = text.map_err(|reason| {
        let head = b"LDAP map: cannot open secret ".as_slice();
        [head, path, b": ", reason.as_bytes()].concat()
    })?;
    let line = text.split_inclusive(|&octet| octet == b'\n').next();
    let line = line.unwrap_or_default();
    if line.len() > MAX_SECRET {
        // The reference shows the password in the place of the path.
        let head = b"LDAP map: secret in ".as_slice();
        return Err([head, path, b" too long"].concat());
    }
    Ok(line.strip_suffix(b"\n").unwrap_or(line).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::privilege::Direct;

    #[test]
    fn the_first_line_is_the_password() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ldap-secret");
        let name = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(name, &Direct).map_err(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(said("secret\nmore\n"), Ok(b"secret".to_vec()));
        assert_eq!(said(""), Ok(Vec::new()));
        assert_eq!(said(&"x".repeat(MAX_SECRET)).unwrap().len(), MAX_SECRET);
        let long = said(&"x".repeat(MAX_SECRET + 1)).unwrap_err();
        assert_eq!(
            long,
            format!("LDAP map: secret in {} too long", path.display())
        );
        let gone = read(b"/nonexistent/ldap-secret", &Direct).unwrap_err();
        let text =
            "LDAP map: cannot open secret /nonexistent/ldap-secret: No such file or directory";
        assert_eq!(String::from_utf8(gone).unwrap(), text);
    }
}
