//! ForwardPath and .forward files.
//!
//! The first file of the path that can be read counts. A file that is missing is passed
//! over silently, an unsafe one with a line in the log, and one that cannot be read for
//! now keeps the message in the queue.
//!
//! Source: guide section 2.8; observed: 8.17.1.9 for the messages.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::context::LocalUser;
use super::expand::Expansion;
use super::include::{ListKind, is_transient};
use crate::safefile::DontBlameSendmail;
use crate::sys::identity::User;

impl Expansion<'_, '_, '_> {
    /// Looks for the .forward of a local user and expands it.
    pub(super) fn forward(&mut self, index: usize, user: &User, depth: u32) {
        let Some(template) = self.cx.limits.forward_path.clone() else {
            return;
        };
        let Some(triple) = self.entries[index].recipient.triple.clone() else {
            return;
        };
        let local = LocalUser {
            user: &triple.user,
            host: &triple.host,
            home: user.home.as_os_str().as_bytes(),
        };
        if self.traces(1) {
            let address = self.entries[index].recipient.address.as_slice();
            self.trace(&[b"forward(", address, b")"]);
        }
        let expanded = self.cx.router.forward_path(&template, &local);
        for path in expanded
            .split(|byte| *byte == b':')
            .filter(|path| !path.is_empty())
        {
            if self.traces(3) {
                self.trace(&[b"forward: trying ", path]);
            }
            let Err(error) = self.read_list(index, path, ListKind::Forward, depth) else {
                return;
            };
            let shown = crate::text::bytes::printable(path);
            let id = self.envelope.id.as_ref().map(|id| id.as_bytes());
            if is_transient(&error) {
                self.cx.log.syslog(
                    3,
                    log::Level::Error,
                    id,
                    format_args!("forward {shown}: transient error: {error}"),
                );
                let text = format!("{shown}: {error}: message queued");
                self.say(text.as_bytes());
                return self.defer(index, (4, 2, 4), format!("{shown}: {error}").as_bytes());
            }
            if error.is_not_found() {
                continue;
            }
            let blame = self.cx.limits.blame;
            if blame.allows(DontBlameSendmail::DONT_WARN_FORWARD_FILE_IN_UNSAFE_DIR_PATH)
                && !Path::new(OsStr::from_bytes(path)).exists()
            {
                continue;
            }
            self.cx.log.syslog(
                3,
                log::Level::Warn,
                id,
                format_args!("forward {shown}: {error}"),
            );
            self.say(format!("forward: {shown}: {error}").as_bytes());
        }
    }
}
