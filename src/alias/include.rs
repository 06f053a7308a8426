//! `:include:` lists and the reading they share with .forward files.
//!
//! A list is opened with the rights of the user who controls the address that names it,
//! by the safe walk of `sys`. Who may write the file decides whether programs and files
//! may be named in it.
//!
//! Source: guide sections 2.7 and 4.9.2; observed: 8.17.1.9 for the messages.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::entry::Work;
use super::expand::Expansion;
use super::rights::Identity;
use super::telling::shortened;
use crate::safefile::DontBlameSendmail;
use crate::smtp::ExitStatus;
use crate::sys::identity::Credentials;
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules, Opened, Unsafe};
use crate::text::bytes::escape_for_display;

/// Longest line of a list.
const MAX_LINE_BYTES: u64 = 65_536;

/// What kind of list is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ListKind {
    /// A user's .forward.
    Forward,
    /// An `:include:` list.
    Include,
}

impl Expansion<'_, '_, '_> {
    /// Expands an `:include:` recipient.
    pub(super) fn include_list(&mut self, index: usize, depth: u32) {
        let mut entry = self.entries[index].clone();
        let is_allowed = entry.parent.is_some() || entry.recipient.controlling_user.is_some();
        if !is_allowed || self.cx.limits.plain_only {
            let text = b"Cannot mail directly to :include:s";
            self.fail_entry(&mut entry, 550, (5, 7, 1), ExitStatus::Usage, text);
            self.entries[index] = entry;
            return;
        }
        let path = entry.user().to_vec();
        self.entries[index].work = Work::Expanded;
        self.say(&[b"including file ", &path[..]].concat());
        let Err(error) = self.read_list(index, &path, ListKind::Include, depth) else {
            return;
        };
        let text = [
            b"Cannot open ",
            &path[..],
            b": ",
            error.to_string().as_bytes(),
        ]
        .concat();
        if is_transient(&error) {
            let enhanced = crate::smtp::EnhancedStatus::new(4, 2, 4);
            if let Some(enhanced) = enhanced {
                self.complain(451, enhanced, &text);
            }
            self.defer(index, (4, 2, 4), &text);
        } else {
            self.fail_entry(&mut entry, 550, (5, 2, 4), ExitStatus::Usage, &text);
            self.entries[index] = entry;
        }
    }

    /// Reads a list and adds its members as children of `index`.
    pub(super) fn read_list(
        &mut self,
        index: usize,
        path: &[u8],
        kind: ListKind,
        depth: u32,
    ) -> Result<(), OpenError> {
        if self.traces(2) {
            self.trace(&[b"include(", path, b")"]);
        }
        let blame = self.cx.limits.blame;
        let strict = list_rules(blame, kind) | directory_rules(blame, kind);
        let opened = match self.open_list(index, path, list_rules(blame, kind)) {
            Ok(opened) => opened,
            Err(error) => {
                // Whoever could have put a file there may have had one taken away. What comes
                // out of the next file of the path is judged by that. Observed: 8.17.1.9.
                let judged = self.open_list(index, path, strict).err();
                let is_doubtful = judged.is_some_and(|error| is_about_directory(&error));
                if is_doubtful && !blame.allows(safe_directory(kind)) {
                    self.entries[index].unsafe_file = true;
                }
                return Err(error);
            }
        };
        let is_doubtful =
            blame.allows(unsafe_directory(kind)) && self.open_list(index, path, strict).is_err();
        let takes_owner = self.judge(index, path, &opened, kind);
        // Where others may write a file may have been given to its owner, root or not.
        let may_be_given = takes_owner && !blame.allows(DontBlameSendmail::ASSUME_SAFE_CHOWN);
        if is_doubtful && (may_be_given || !blame.allows(safe_directory(kind))) {
            self.entries[index].unsafe_file = true;
        }
        let about = self.about.take();
        self.place.push((path.to_vec(), 0));
        self.entries[index].self_reference = false;
        // Observed: 8.17.1.9 marks what an alias names, not what lists name that it names.
        let from_alias = std::mem::take(&mut self.entries[index].recipient.from_alias);
        let added = self.read_lines(index, opened.file, kind, depth);
        self.entries[index].recipient.from_alias = from_alias;
        self.place.pop();
        self.about = about;
        let entry = &mut self.entries[index];
        if added > 0 && !entry.self_reference {
            entry.work = Work::Expanded;
        }
        Ok(())
    }

    fn open_list(
        &mut self,
        index: usize,
        path: &[u8],
        rules: OpenRules,
    ) -> Result<Opened, OpenError> {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if !path.is_absolute() {
            let (reason, path) = (Unsafe::WrongOwner, path.to_path_buf());
            return Err(OpenError::Unsafe { reason, path });
        }
        let credentials = self.credentials(index)?;
        let mut request = OpenRequest::read(path).rules(rules);
        if self.cx.limits.is_root {
            request = request.as_user(credentials);
        }
        self.cx.privileged.open_as(&request)
    }

    fn credentials(&self, index: usize) -> io::Result<Credentials> {
        let (default_uid, default_gid, default_name) = &self.cx.limits.default_user;
        let (uid, gid, name) = match self.opener(index) {
            Some(identity) if identity.gid != 0 || identity.uid != *default_uid => {
                (identity.uid, identity.gid, identity.user.clone())
            }
            _ => (*default_uid, *default_gid, Some(default_name.clone())),
        };
        let user = name
            .map(|name| self.cx.users.user_by_name(&name))
            .transpose()?
            .flatten();
        match user {
            Some(user) if user.uid == uid => {
                let groups = self.cx.users.groups_of(&user)?;
                Ok(Credentials { uid, gid, groups })
            }
            _ => Ok(Credentials::plain(uid, gid)),
        }
    }

    /// Decides whether programs and files may come out of a list, and whose rights they get;
    /// tells whether these are the rights of somebody who just owns the file.
    fn judge(&mut self, index: usize, path: &[u8], opened: &Opened, kind: ListKind) -> bool {
        let blame = self.cx.limits.blame;
        let owner = opened.facts.uid;
        let known = self.opener(index).cloned();
        let is_own = known.as_ref().is_some_and(|identity| identity.uid == owner);
        if !self.cx.limits.is_root && !blame.allows(DontBlameSendmail::NON_ROOT_SAFE_ADDR) {
            self.entries[index].unsafe_file = true;
        }
        let is_users = known
            .as_ref()
            .is_some_and(|identity| identity.user.is_some());
        let takes_owner = kind == ListKind::Include && !is_own && !is_users;
        if takes_owner {
            let user = self.cx.users.user_by_uid(owner).ok().flatten();
            let fine = user.as_ref().is_some_and(|user| self.shell_is_fine(user));
            let entry = &mut self.entries[index];
            entry.bogus_shell |= !fine;
            entry.identity = Some(Identity {
                uid: owner,
                gid: opened.facts.gid,
                home: std::path::PathBuf::new(),
                user: user.map(|user| user.name),
            });
        }
        let group_safe = match kind {
            ListKind::Forward => DontBlameSendmail::GROUP_WRITABLE_FORWARD_FILE_SAFE,
            ListKind::Include => DontBlameSendmail::GROUP_WRITABLE_INCLUDE_FILE_SAFE,
        };
        let world = opened.facts.is_world_writable();
        let group = opened.facts.is_group_writable() && !blame.allows(group_safe);
        if world || group {
            self.entries[index].unsafe_file = true;
            self.cx.log.syslog(
                12,
                log::Level::Info,
                self.envelope.id.as_ref().map(|id| id.as_bytes()),
                format_args!(
                    "{}: {} writable {}, marked unsafe",
                    crate::text::bytes::printable(&shortened(path)),
                    if world { "world" } else { "group" },
                    if kind == ListKind::Forward {
                        "forward file"
                    } else {
                        ":include: file"
                    },
                ),
            );
        }
        takes_owner
    }

    fn read_lines(&mut self, index: usize, file: File, kind: ListKind, depth: u32) -> usize {
        let mut reader = BufReader::new(file);
        let mut added = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let got = reader
                .by_ref()
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line);
            if !matches!(got, Ok(1..)) {
                return added;
            }
            if let Some((_, number)) = self.place.last_mut() {
                *number += 1;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let text = without_comment(text).to_vec();
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            self.about = None;
            let verb: &[u8] = if kind == ListKind::Forward {
                b"forwarding"
            } else {
                b"sending"
            };
            self.say(&[verb, b" to ", &text].concat());
            if kind == ListKind::Forward {
                self.cx.log.syslog(
                    11,
                    log::Level::Info,
                    self.envelope.id.as_ref().map(|id| id.as_bytes()),
                    format_args!(
                        "forward {} => {}",
                        escape_for_display(&self.entries[index].recipient.address),
                        escape_for_display(&shortened(&text))
                    ),
                );
            }
            added += self.add_members(&text, index, depth + 1);
        }
    }
}

/// Returns which files of a kind are refused.
fn list_rules(blame: DontBlameSendmail, kind: ListKind) -> OpenRules {
    type Word = DontBlameSendmail;
    let (group_file, world_file, link) = match kind {
        ListKind::Forward => (
            Word::GROUP_WRITABLE_FORWARD_FILE,
            Word::WORLD_WRITABLE_FORWARD_FILE,
            Word::LINKED_FORWARD_FILE_IN_WRITABLE_DIR,
        ),
        ListKind::Include => (
            Word::GROUP_WRITABLE_INCLUDE_FILE,
            Word::WORLD_WRITABLE_INCLUDE_FILE,
            Word::LINKED_INCLUDE_FILE_IN_WRITABLE_DIR,
        ),
    };
    let mut rules = OpenRules::REGULAR_ONLY;
    if kind == ListKind::Forward {
        rules = rules | OpenRules::OWNED_BY_USER | OpenRules::OR_OWNED_BY_ROOT;
    }
    for (word, rule) in [
        (group_file, OpenRules::NO_GROUP_WRITABLE_FILE),
        (world_file, OpenRules::NO_WORLD_WRITABLE_FILE),
        (link, OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY),
    ] {
        if !blame.allows(word) {
            rules = rules | rule;
        }
    }
    if !blame.allows(unsafe_directory(kind)) {
        rules = rules | directory_rules(blame, kind);
    }
    if blame.allows(Word::TRUST_STICKY_BIT) {
        rules = rules | OpenRules::TRUST_STICKY_BIT;
    }
    if blame.allows(Word::GROUP_WRITABLE_DIR_PATH_SAFE) {
        rules = rules | OpenRules::TRUST_GROUPS;
    }
    rules
}

/// Returns which folders above a list are unsafe.
fn directory_rules(blame: DontBlameSendmail, kind: ListKind) -> OpenRules {
    let group_allowed = match kind {
        ListKind::Forward => DontBlameSendmail::FORWARD_FILE_IN_GROUP_WRITABLE_DIR_PATH,
        ListKind::Include => DontBlameSendmail::INCLUDE_FILE_IN_GROUP_WRITABLE_DIR_PATH,
    };
    let safe = DontBlameSendmail::GROUP_WRITABLE_DIR_PATH_SAFE;
    let world = OpenRules::NO_WORLD_WRITABLE_DIRECTORY;
    match blame.allows(group_allowed) || blame.allows(safe) {
        true => world,
        false => world | OpenRules::NO_GROUP_WRITABLE_DIRECTORY,
    }
}

/// Returns the word that lets lists in unsafe folders be read.
fn unsafe_directory(kind: ListKind) -> DontBlameSendmail {
    match kind {
        ListKind::Forward => DontBlameSendmail::FORWARD_FILE_IN_UNSAFE_DIR_PATH,
        ListKind::Include => DontBlameSendmail::INCLUDE_FILE_IN_UNSAFE_DIR_PATH,
    }
}

/// Returns the word that lets lists in unsafe folders name programs and files as well.
fn safe_directory(kind: ListKind) -> DontBlameSendmail {
    match kind {
        ListKind::Forward => DontBlameSendmail::FORWARD_FILE_IN_UNSAFE_DIR_PATH_SAFE,
        ListKind::Include => DontBlameSendmail::INCLUDE_FILE_IN_UNSAFE_DIR_PATH_SAFE,
    }
}

/// Tells whether others may write to a folder above a list.
fn is_about_directory(error: &OpenError) -> bool {
    let OpenError::Unsafe { reason, .. } = error else {
        return false;
    };
    matches!(
        reason,
        Unsafe::GroupWritableDirectory | Unsafe::WorldWritableDirectory
    )
}

/// Cuts a ` #@# ` comment off.
fn without_comment(line: &[u8]) -> &[u8] {
    for (at, window) in line.windows(4).enumerate() {
        let ends = line.get(at + 4).is_none_or(u8::is_ascii_whitespace);
        if window[0].is_ascii_whitespace() && window[1..] == *b"#@#" && ends {
            return line[..at].trim_ascii_end();
        }
    }
    line
}

/// Tells whether a list may be readable later.
pub(super) fn is_transient(error: &OpenError) -> bool {
    let OpenError::Io(error) = error else {
        return false;
    };
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
    ) || matches!(error.raw_os_error(), Some(5 | 23 | 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_inside_a_line() {
        assert_eq!(without_comment(b"a, b #@# c"), b"a, b");
        assert_eq!(without_comment(b"a # b"), b"a # b");
        assert_eq!(without_comment(b"a#@#"), b"a#@#");
    }
}
