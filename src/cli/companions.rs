//! The programs beside sendmail that need no configuration.
//!
//! Each gives the rights of set-id bits up before anything else, and logs under a
//! name of its own.

use std::io;
use std::os::unix::ffi::OsStringExt;

use log::LevelFilter;

use crate::smtp::ExitStatus;
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::identity::SystemUsers;
use crate::sys::privilege::Direct;
use crate::sys::process::{drop_set_ids, reset_limits, set_umask};
use crate::sys::signal::survive_file_size_limit;
use crate::sys::syslog::Syslog;
use crate::tools;

use super::personality::Companion;

/// Runs a program; `words` begin with its name.
pub fn run(program: Companion, words: &[Vec<u8>]) -> ExitStatus {
    if let Err(error) = drop_set_ids() {
        eprintln!("cannot give up rights: {error}");
        return ExitStatus::OsError;
    }
    open_log(program);
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    let mut input = io::stdin().lock();
    match program {
        Companion::RestrictedShell => tools::smrsh::run(words, &mut errors),
        Companion::LocalMail => {
            // A limit of the caller's must not end us with half a message written.
            reset_limits();
            survive_file_size_limit();
            set_umask(0o077);
            tools::mail_local::run(words, &SystemUsers, &mut input, &mut out, &mut errors)
        }
        Companion::Vacation => {
            let surroundings = tools::vacation::Surroundings {
                users: &SystemUsers,
                privileged: &Direct,
                environment: environment(),
                now: SystemClock.now(),
            };
            tools::vacation::run(words, surroundings, &mut input, &mut out, &mut errors)
        }
        Companion::DeliveryAgent => {
            tools::sensible_mda::run(words, &SystemUsers, &environment(), &mut errors)
        }
        Companion::RemoteMail => {
            tools::rmail::run(words, &Direct, environment(), &mut input, &mut errors)
        }
    }
}

/// What the caller's environment holds; sendmail judges for itself what of it to keep.
fn environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = std::env::vars_os();
    all.map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect()
}

fn open_log(program: Companion) {
    let system = match program {
        Companion::RestrictedShell => Syslog::new("smrsh").without_process_id(),
        Companion::LocalMail => Syslog::new("mail.local").without_process_id(),
        Companion::DeliveryAgent => Syslog::new("sensible-mda"),
        Companion::RemoteMail => Syslog::new("rmail"),
        Companion::Vacation => Syslog::new("vacation"),
    };
    // A second logger could only be installed by a second call; the first one stays.
    if log::set_boxed_logger(Box::new(system)).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
