//! Failures of a user who waits for the program to end.
//!
//! In the error mode `print` the errors have been printed already; the message itself is
//! saved in the user's `dead.letter`, so that it is not lost. Where that cannot be done,
//! and in all other modes but `quiet`, a report is mailed.
//!
//! Source: guide 5.6 ErrorMode; observed: 8.17.1.9 mails when the home of the sender is
//! not the real user's.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use crate::bounce::{DeadLetter, save_dead_letter};
use crate::config::options::ErrorMode;
use crate::envelope::{Envelope, Recipient, RecipientState};
use crate::logging::narrator::{Narrator, Stdout};
use crate::mta::{Mta, Workspace};
use crate::sys::identity::Credentials;
use crate::sys::process::{effective_user, real_user};
use crate::sys::safe_open::{OpenRequest, OpenRules, Purpose};

use super::file::path_inside;

/// Settles failed recipients without a mailed report, where the error mode says so.
pub(super) fn tell_user(mta: &Mta, workspace: &mut Workspace, envelope: &mut Envelope) {
    let failed = |r: &Recipient| matches!(r.state, RecipientState::Failed(_));
    if envelope.is_response() || !envelope.recipients.iter().any(failed) {
        return;
    }
    let is_told = match workspace.error_mode {
        ErrorMode::Quiet => true,
        ErrorMode::Print => save(mta, workspace, envelope),
        ErrorMode::Mail | ErrorMode::Write | ErrorMode::MailAndExitZero => false,
    };
    if is_told {
        for recipient in envelope.recipients.iter_mut().filter(|r| failed(r)) {
            recipient.state = RecipientState::Dropped;
        }
    }
}

/// Appends the message to `dead.letter` and tells where it is.
fn save(mta: &Mta, workspace: &mut Workspace, envelope: &Envelope) -> bool {
    let Some(sender) = &envelope.sender.controlling else {
        return false;
    };
    let user = real_user();
    let is_home = std::fs::metadata(&sender.home).is_ok_and(|facts| facts.uid() == user);
    let is_local = envelope.sender.triple.as_ref().is_some_and(|triple| {
        // Only such a mailer's users have a home. Observed: 8.17.1.9.
        let mailers = &mta.config.mailers;
        Some(triple.mailer) == mailers.local() && mailers.get(triple.mailer).has(b'w')
    });
    if !is_home || !is_local {
        return false;
    }
    let path = sender.home.join("dead.letter");
    let security = &mta.config.options.security;
    let inside = path_inside(security, path.as_os_str().as_bytes());
    let mut request = OpenRequest::read(&inside)
        .purpose(Purpose::AppendDelivery {
            create_mode: Some(mta.config.options.queueing.temp_file_mode),
        })
        .rules(
            OpenRules::REGULAR_ONLY
                | OpenRules::NO_FINAL_LINK
                | OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY,
        );
    request.root.clone_from(&security.safe_file_environment);
    if effective_user() == 0 && user != 0 {
        request = request.as_user(Credentials::plain(user, sender.gid));
    }
    let Ok(opened) = mta.privileged.open_as(&request) else {
        return false;
    };
    let letter = DeadLetter { file: opened.file };
    if save_dead_letter(&letter, envelope, mta, &mut workspace.rewrite).is_err() {
        return false;
    }
    let path = path.display();
    Stdout.say(format!("{path}... Saved message in {path}").as_bytes());
    true
}
