//! The programs beside sendmail that need no configuration.
//!
//! Each gives the rights of set-id bits up before anything else, and logs under a
//! name of its own.

use std::io;

use log::LevelFilter;

use crate::smtp::ExitStatus;
use crate::sys::process::drop_set_ids;
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
    let mut errors = io::stderr().lock();
    match program {
        Companion::RestrictedShell => tools::smrsh::run(words, &mut errors),
    }
}

fn open_log(program: Companion) {
    let system = match program {
        Companion::RestrictedShell => Syslog::new("smrsh").without_process_id(),
    };
    // A second logger could only be installed by a second call; the first one stays.
    if log::set_boxed_logger(Box::new(system)).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
