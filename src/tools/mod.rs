//! Programs that come with sendmail.
//!
//! - [`newaliases`]: rebuilds the alias databases;
//! - [`makemap`], [`editmap`], [`praliases`]: build, change and print map files;
//!   [`database_tool`] is what they share;
//! - [`mailq`]: lists the queue;
//! - [`postmaster`]: holds, releases, deletes, returns, retries and moves what is queued;
//! - [`hoststat`], [`purgestat`]: what is known of other hosts;
//! - [`mailstats`]: what was counted by mailer;
//! - [`smrsh`]: the shell for programs that users name;
//! - [`mail_local`]: stores mail in mailboxes;
//! - [`sensible_mda`]: hands mail to the local delivery program that is there;
//! - [`rmail`]: takes mail from UUCP;
//! - [`vacation`]: answers mail while somebody is away.

pub mod database_tool;
pub mod editmap;
pub mod hoststat;
pub mod mail_local;
pub mod mailq;
pub mod mailstats;
pub mod makemap;
pub mod newaliases;
pub mod postmaster;
pub mod praliases;
pub mod purgestat;
pub mod rmail;
pub mod sensible_mda;
pub mod smrsh;
pub mod vacation;

use std::path::PathBuf;

use crate::config::Config;

/// Gives the folder of host status files: a relative one lies in the queue directory.
fn host_status_path(config: &Config) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = config.options.delivering.host_status_directory.as_deref()?;
    let queue = config
        .options
        .queueing
        .queue_directory
        .as_deref()
        .unwrap_or_default();
    let queue = queue.strip_suffix(b"*").unwrap_or(queue);
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(queue)).join(path))
}
