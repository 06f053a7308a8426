//! The file `Sendmail.conf`: where Cyrus SASL is told how passwords are checked.
//!
//! Lines of `name: value`; a line that begins with `#` is a comment. Looked for in
//! the folders Debian's library searches; the first file found counts.
//!
//! Source: the manual of Cyrus SASL (options for Cyrus SASL); folders and log lines
//! observed: 8.17.1.9 with Cyrus SASL 2.1.28.

use std::path::{Path, PathBuf};

use crate::safefile::{DontBlameSendmail, Purpose, read};
use crate::sys::safe_open::OpenError;

/// One way to check a password (`pwcheck_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The daemon of that name, which asks PAM or others.
    Saslauthd,
    /// The stored password.
    Auxprop,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFile {
    /// Whether somebody wrote it; what nobody wrote has the values of [`Self::default`].
    pub is_written: bool,
    /// `pwcheck_method`: tried in turn until one says yes.
    pub checks: Vec<PasswordCheck>,
    /// `mech_list`.
    pub mechanisms: Option<Vec<u8>>,
    /// `saslauthd_path`.
    pub saslauthd: PathBuf,
    /// `sasldb_path`.
    pub sasldb: PathBuf,
    /// Whether `auxprop_plugin` is or names sasldb.
    pub uses_sasldb: bool,
}

impl Default for ApplicationFile {
    fn default() -> Self {
        Self {
            is_written: false,
            checks: vec![PasswordCheck::Auxprop],
            mechanisms: None,
            saslauthd: PathBuf::from("/var/run/saslauthd/mux"),
            sasldb: PathBuf::from("/etc/sasldb2"),
            uses_sasldb: true,
        }
    }
}

/// Why one of the files was not read; told in the log.
#[derive(Debug)]
pub struct Passed {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; it is not always an error that it is missing.
    pub error: OpenError,
}

impl ApplicationFile {
    /// Reads the first file there is; gives also what was passed over on the way.
    pub fn find(policy: DontBlameSendmail) -> (ApplicationFile, Vec<Passed>) {
        let mut passed = Vec::new();
        for folder in folders() {
            let path = folder.join(NAME);
            match read(&path, Purpose::Configuration, policy) {
                Ok(text) => return (ApplicationFile::parse(&text), passed),
                Err(error) => passed.push(Passed { path, error }),
            }
        }
        (ApplicationFile::default(), passed)
    }

    /// Reads the text of the file.
    pub fn parse(text: &[u8]) -> ApplicationFile {
        let mut file = ApplicationFile {
            is_written: true,
            ..ApplicationFile::default()
        };
        for line in text.split(|octet| *octet == b'\n') {
            let line = line.trim_ascii();
            let Some(at) = line.iter().position(|octet| *octet == b':') else {
                continue;
            };
            if line.starts_with(b"#") {
                continue;
            }
            let (name, value) = line.split_at(at);
            let value = value.get(1..).unwrap_or(b"").trim_ascii();
            file.set(&name.trim_ascii().to_ascii_lowercase(), value);
        }
        file
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        let path = || Path::new(&*String::from_utf8_lossy(value)).to_path_buf();
        let mut words = value
            .split(|octet| octet.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        match name {
            b"pwcheck_method" => {
                self.checks = words
                    .filter_map(|word| match word {
                        b"saslauthd" => Some(PasswordCheck::Saslauthd),
                        b"auxprop" => Some(PasswordCheck::Auxprop),
                        _ => None,
                    })
                    .collect();
            }
            b"mech_list" => self.mechanisms = Some(value.to_vec()),
            // It names the folder's socket, whatever the folder is called.
            b"saslauthd_path" => self.saslauthd = path(),
            b"sasldb_path" => self.sasldb = path(),
            b"auxprop_plugin" => self.uses_sasldb = words.any(|word| word == b"sasldb"),
            _ => {}
        }
    }
}

/// The name of the file: that of the application.
const NAME: &str = "Sendmail.conf";

/// The folders searched, in order.
fn folders() -> Vec<PathBuf> {
    let machine = format!("/usr/lib/{}-linux-gnu/sasl2", std::env::consts::ARCH);
    ["/etc/sasl2", "/etc/sasl", &machine, "/usr/lib/sasl2"]
        .iter()
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_passwords_are_checked() {
        let file = ApplicationFile::parse(
            b"# comment: no\npwcheck_method: saslauthd auxprop\nmech_list:\tPLAIN LOGIN\n\
              sasldb_path:/etc/other\nsaslauthd_path: /run/x/mux\nauxprop_plugin: sql\nlog_level: 3\n",
        );
        assert_eq!(
            file.checks,
            [PasswordCheck::Saslauthd, PasswordCheck::Auxprop]
        );
        assert_eq!(file.mechanisms.as_deref(), Some(&b"PLAIN LOGIN"[..]));
        assert_eq!(file.sasldb, Path::new("/etc/other"));
        assert_eq!(file.saslauthd, Path::new("/run/x/mux"));
        assert!(!file.uses_sasldb);
    }

    #[test]
    fn without_a_file_stored_passwords_count() {
        let file = ApplicationFile::parse(b"");
        let unwritten = ApplicationFile::default();
        assert!(file.is_written && !unwritten.is_written);
        assert_eq!(file.checks, unwritten.checks);
        assert_eq!(file.checks, [PasswordCheck::Auxprop]);
    }
}
