//! What makes a file unfit for a purpose, and opening it under these rules.
//!
//! The rules are data: [`rules`] derives them from the purpose and from what
//! DontBlameSendmail relaxes. [`open`] and [`read`] ask the one safe opener in
//! [`crate::sys`]; whoever opens a file as somebody else passes the rules to
//! `Privileged::open_as` in the same way.
//!
//! Source: guide 4.9.

use std::io::Read;
use std::path::Path;

use crate::sys::privilege::{Direct, Privileged};
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules, Opened};

use super::policy::DontBlameSendmail;

/// What a file is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// sendmail.cf and submit.cf.
    Configuration,
    /// Words of a class (F lines).
    ClassFile,
    /// Text or database of a map.
    Map,
    /// Text or database of aliases.
    Aliases,
    /// A .forward file.
    Forward,
    /// An :include: list.
    Include,
    /// Appending mail to a file.
    FileDelivery,
    /// A program that mail is piped into.
    Program,
    /// A private key.
    Key,
    /// A certificate, ours or that of an authority.
    Certificate,
    /// User and password for other servers (DefaultAuthInfo).
    AuthInfo,
    /// The text put first in bounces.
    ErrorHeader,
    /// The text of HELP.
    HelpFile,
    /// The service switch.
    ServiceSwitch,
}

/// No directory on the way may be written to by others.
const SAFE_PATH: OpenRules =
    OpenRules::NO_GROUP_WRITABLE_DIRECTORY.with(OpenRules::NO_WORLD_WRITABLE_DIRECTORY);

/// A plain file of ours or root's that nobody else may write to.
const OWN_AND_UNWRITABLE: OpenRules = OpenRules::REGULAR_ONLY
    .with(OpenRules::OWNED_BY_USER)
    .with(OpenRules::OR_OWNED_BY_ROOT)
    .with(OpenRules::NO_GROUP_WRITABLE_FILE)
    .with(OpenRules::NO_WORLD_WRITABLE_FILE);

/// One rule and the words that lift it.
type Relaxation = (OpenRules, DontBlameSendmail);

fn base(purpose: Purpose) -> OpenRules {
    match purpose {
        Purpose::FileDelivery => OpenRules::REGULAR_ONLY
            .with(OpenRules::DEVICES_ALLOWED)
            .with(OpenRules::NO_EXECUTE_BITS),
        Purpose::Forward => OpenRules::REGULAR_ONLY
            .with(OpenRules::OWNED_BY_USER)
            .with(OpenRules::OR_OWNED_BY_ROOT),
        Purpose::Key => OWN_AND_UNWRITABLE.with(OpenRules::NO_WORLD_READABLE_FILE),
        Purpose::Certificate => OWN_AND_UNWRITABLE,
        Purpose::AuthInfo => OpenRules::REGULAR_ONLY.with(OpenRules::NO_WORLD_READABLE_FILE),
        Purpose::Configuration
        | Purpose::ClassFile
        | Purpose::Map
        | Purpose::Aliases
        | Purpose::Include
        | Purpose::Program
        | Purpose::ErrorHeader
        | Purpose::HelpFile
        | Purpose::ServiceSwitch => OpenRules::REGULAR_ONLY,
    }
}

/// Rules that words of DontBlameSendmail lift, by purpose.
fn relaxations(purpose: Purpose) -> Vec<Relaxation> {
    use DontBlameSendmail as Word;
    let no_link = OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY;
    match purpose {
        Purpose::Configuration => vec![],
        Purpose::ClassFile => vec![
            (SAFE_PATH, Word::CLASS_FILE_IN_UNSAFE_DIR_PATH),
            (no_link, Word::LINKED_CLASS_FILE_IN_WRITABLE_DIR),
        ],
        Purpose::Map => vec![
            (SAFE_PATH, Word::MAP_IN_UNSAFE_DIR_PATH),
            (no_link, Word::LINKED_MAP_IN_WRITABLE_DIR),
        ],
        Purpose::Aliases => vec![
            (SAFE_PATH, Word::MAP_IN_UNSAFE_DIR_PATH),
            (no_link, Word::LINKED_ALIAS_FILE_IN_WRITABLE_DIR),
            (
                OpenRules::NO_GROUP_WRITABLE_FILE,
                Word::GROUP_WRITABLE_ALIAS_FILE,
            ),
            (
                OpenRules::NO_WORLD_WRITABLE_FILE,
                Word::WORLD_WRITABLE_ALIAS_FILE,
            ),
        ],
        Purpose::Forward => vec![
            (SAFE_PATH, Word::FORWARD_FILE_IN_UNSAFE_DIR_PATH),
            (
                OpenRules::NO_GROUP_WRITABLE_DIRECTORY,
                Word::FORWARD_FILE_IN_GROUP_WRITABLE_DIR_PATH,
            ),
            (no_link, Word::LINKED_FORWARD_FILE_IN_WRITABLE_DIR),
        ],
        Purpose::Include => vec![
            (SAFE_PATH, Word::INCLUDE_FILE_IN_UNSAFE_DIR_PATH),
            (
                OpenRules::NO_GROUP_WRITABLE_DIRECTORY,
                Word::INCLUDE_FILE_IN_GROUP_WRITABLE_DIR_PATH,
            ),
            (no_link, Word::LINKED_INCLUDE_FILE_IN_WRITABLE_DIR),
        ],
        Purpose::FileDelivery => vec![
            (OpenRules::NO_HARD_LINKS, Word::FILE_DELIVERY_TO_HARD_LINK),
            (OpenRules::NO_FINAL_LINK, Word::FILE_DELIVERY_TO_SYM_LINK),
        ],
        Purpose::Program => vec![
            (SAFE_PATH, Word::RUN_PROGRAM_IN_UNSAFE_DIR_PATH),
            (
                OpenRules::NO_GROUP_WRITABLE_FILE,
                Word::RUN_WRITABLE_PROGRAM,
            ),
            (
                OpenRules::NO_WORLD_WRITABLE_FILE,
                Word::RUN_WRITABLE_PROGRAM,
            ),
        ],
        Purpose::Key => vec![
            (SAFE_PATH, Word::SAFE),
            (
                OpenRules::NO_GROUP_READABLE_FILE,
                Word::GROUP_READABLE_KEY_FILE,
            ),
        ],
        Purpose::Certificate => vec![(SAFE_PATH, Word::SAFE)],
        Purpose::AuthInfo => vec![
            (SAFE_PATH, Word::SAFE),
            (
                OpenRules::NO_GROUP_READABLE_FILE,
                Word::GROUP_READABLE_DEFAULT_AUTH_INFO_FILE,
            ),
        ],
        Purpose::ErrorHeader => vec![(SAFE_PATH, Word::ERROR_HEADER_IN_UNSAFE_DIR_PATH)],
        Purpose::HelpFile => vec![(SAFE_PATH, Word::HELP_FILE_IN_UNSAFE_DIR_PATH)],
        Purpose::ServiceSwitch => {
            vec![(no_link, Word::LINKED_SERVICE_SWITCH_FILE_IN_WRITABLE_DIR)]
        }
    }
}

/// Gives the rules for a purpose under a policy.
pub fn rules(purpose: Purpose, policy: DontBlameSendmail) -> OpenRules {
    let mut lifted = OpenRules::NONE;
    let mut all = base(purpose);
    for (rule, word) in relaxations(purpose) {
        all = all.with(rule);
        if word != DontBlameSendmail::SAFE && policy.allows(word) {
            lifted = lifted.with(rule);
        }
    }
    if policy.allows(DontBlameSendmail::GROUP_WRITABLE_DIR_PATH_SAFE) {
        lifted = lifted.with(OpenRules::NO_GROUP_WRITABLE_DIRECTORY);
        all = all.with(OpenRules::TRUST_GROUPS);
    }
    if policy.allows(DontBlameSendmail::TRUST_STICKY_BIT) {
        all = all.with(OpenRules::TRUST_STICKY_BIT);
    }
    all.without(lifted)
}

/// Opens a file to read it with the rights of the process.
///
/// # Errors
/// The file is missing, unreadable or unfit; `Display` gives the reason in the
/// reference's words (`World writable directory`).
pub fn open(path: &Path, purpose: Purpose, policy: DontBlameSendmail) -> Result<Opened, OpenError> {
    // Of a relative path the reference judges the named part only.
    let judged = match path.is_absolute() {
        true => rules(purpose, policy),
        false => rules(purpose, policy).without(SAFE_PATH),
    };
    Direct.open_as(&OpenRequest::read(std::path::absolute(path)?).rules(judged))
}

/// Reads a whole file with the rights of the process.
///
/// # Errors
/// As [`open`], and what reading may meet.
pub fn read(
    path: &Path,
    purpose: Purpose,
    policy: DontBlameSendmail,
) -> Result<Vec<u8>, OpenError> {
    let mut opened = open(path, purpose, policy)?;
    let mut text = Vec::new();
    opened.file.read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lift_the_rules_they_name() {
        let safe = rules(Purpose::ClassFile, DontBlameSendmail::SAFE);
        assert!(safe.contains(SAFE_PATH));
        assert!(safe.contains(OpenRules::REGULAR_ONLY));
        let lifted = rules(
            Purpose::ClassFile,
            DontBlameSendmail::CLASS_FILE_IN_UNSAFE_DIR_PATH,
        );
        assert!(!lifted.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY));
        assert!(lifted.contains(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY));
        let group = rules(
            Purpose::Forward,
            DontBlameSendmail::GROUP_WRITABLE_DIR_PATH_SAFE,
        );
        assert!(!group.contains(OpenRules::NO_GROUP_WRITABLE_DIRECTORY));
        assert!(group.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY));
    }

    #[test]
    fn nothing_lifts_the_path_of_a_key() {
        let policy = DontBlameSendmail::GROUP_READABLE_KEY_FILE;
        let key = rules(Purpose::Key, policy);
        assert!(key.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY));
        assert!(!key.contains(OpenRules::NO_GROUP_READABLE_FILE));
    }
}
