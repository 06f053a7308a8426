//! What is said before there is anything to work with: faults of configuration and queue.
//!
//! A fault goes to standard output and, unless LogLevel is 0, to the log as well.
//! Observed: 8.17.1.9.

use std::io::{self, Write};
use std::path::Path;

use crate::config::options::ErrorMode;
use crate::config::{Config, DiagnosticKind, Diagnostics, OverrideSetting};
use crate::logging::debug::DebugLog;
use crate::logging::record::{MailLog, Severity};
use crate::queue::{refuse_relative, starred_directories};
use crate::smtp::ExitStatus;
use crate::sys::file::path_of;
use crate::sys::identity::{SystemUsers, UserDatabase};
use crate::sys::process::real_user;
use crate::text::bytes::escape_for_display;

use super::arguments::Arguments;
use super::mode::OperationMode;

/// Permission bits of others than the owner that make a configuration file dangerous.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Prints what was said while the configuration was read, and logs the faults.
pub fn tell(diagnostics: &Diagnostics, arguments: &Arguments, log_level: u8, debug: &DebugLog) {
    let is_talkative = arguments.verbose
        || matches!(
            arguments.mode,
            OperationMode::Test | OperationMode::RebuildAliases
        );
    let speaks_smtp = arguments.mode.speaks_smtp();
    diagnostics.tell(speaks_smtp, is_talkative, debug, |text| {
        let mut stdout = io::stdout().lock();
        // Nobody to tell is no reason to stop.
        let _ = stdout.write_all(text).and_then(|()| stdout.flush());
    });
    log_faults(diagnostics, log_level);
}

/// Logs the faults among what was said.
pub fn log_faults(diagnostics: &Diagnostics, log_level: u8) {
    for message in diagnostics.messages() {
        match message.kind {
            DiagnosticKind::Error | DiagnosticKind::SystemError => {
                log_fault(&message.text, log_level);
            }
            DiagnosticKind::UserError
            | DiagnosticKind::Note
            | DiagnosticKind::Hint
            | DiagnosticKind::Trace
            | DiagnosticKind::Warning => {}
        }
    }
}

/// Tells whether the error mode keeps what goes wrong from standard output.
///
/// Observed: 8.17.1.9; what is wrong with the configuration is told all the same.
pub fn are_held(config: &Config, arguments: &Arguments) -> bool {
    arguments.mode.submits() && config.options.running.error_mode != ErrorMode::Print
}

/// Tells whether the command line asks for exit status 0 whatever happens (`-oee`).
pub fn exits_with_zero(arguments: &Arguments) -> bool {
    let error_mode = |setting: &OverrideSetting| match setting {
        OverrideSetting::Letter(b'e', value) => Some(value.first().copied()),
        _ => None,
    };
    let last = arguments.settings.iter().rev().find_map(error_mode);
    last.flatten() == Some(b'e')
}

/// Tells whether an error was told that leaves its mark on the exit status.
pub fn left_a_failure(config: &Config) -> bool {
    let mut messages = config.diagnostics.messages().iter();
    messages.any(|message| message.kind == DiagnosticKind::UserError)
}

/// Logs that this host has a name without a domain that no resolver knows.
///
/// The reference waits for a minute before it says so, in the hope that the resolver comes up;
/// who sends mail is not kept waiting here.
pub fn log_short_name(config: &Config, arguments: &Arguments) {
    let Some(name) = &config.short_name else {
        return;
    };
    if arguments.mode != OperationMode::Test {
        let log = MailLog::new(config.options.running.log_level);
        let name = escape_for_display(name);
        let text =
            format_args!("unable to qualify my own domain name ({name}) -- using short name");
        log.syslog(0, Severity::Critical, None, text);
    }
}

/// Logs what the caller may have tried: line ends in arguments, another name in the log.
pub fn log_attacks(config: &Config, arguments: &Arguments) {
    let log = MailLog::new(config.options.running.log_level);
    let security = &config.options.security;
    let is_trusted =
        security.trusted_user == Some(real_user()) || config.is_trusted(&name_of_caller());
    if arguments.syslog_tag.is_some() && real_user() != 0 && !is_trusted {
        let text = format_args!("user {} changed syslog label", real_user());
        log.syslog(2, Severity::Warning, None, text);
    }
    for attack in &arguments.attacks {
        log.syslog(
            0,
            Severity::Notice,
            Some(b"NOQUEUE"),
            format_args!(
                "POSSIBLE ATTACK from [UNKNOWN]: newline in string \"{}\"",
                escape_for_display(attack)
            ),
        );
    }
}

/// Tells that there is no queue to work in; gives the exit status then.
///
/// A faulty file does not keep the reference from this check.
pub fn tell_queue_fault(config: &Config, arguments: &Arguments) -> Option<ExitStatus> {
    let mut diagnostics = Diagnostics::default();
    match &config.options.queueing.queue_directory {
        None => diagnostics.error("QueueDirectory (Q) option must be set"),
        Some(directory) if let Err(error) = refuse_relative(directory) => {
            diagnostics.system_error(error.to_string());
        }
        Some(directory) => {
            // A path such as `mqueue/q*` stands for folders in the one before the last slash.
            let slash = directory.iter().rposition(|&byte| byte == b'/');
            let fixed = match (directory.ends_with(b"*"), slash) {
                (true, Some(slash)) => directory.get(..=slash).unwrap_or_default(),
                (true, None) | (false, _) => directory.as_slice(),
            };
            if let Err(error) = std::fs::read_dir(path_of(fixed)) {
                let name = fixed.strip_suffix(b"/").unwrap_or(fixed);
                let name = String::from_utf8_lossy(name);
                let reason = crate::sys::host::error_text(&error);
                diagnostics.system_error(format!("can not chdir({name}/): {reason}"));
            } else if let Err(error) = starred_directories(directory) {
                diagnostics.system_error(error.to_string());
            }
        }
    }
    if diagnostics.messages().is_empty() {
        return None;
    }
    let log_level = config.options.running.log_level;
    tell(&diagnostics, arguments, log_level, &DebugLog::default());
    Some(ExitStatus::Config)
}

/// Tells that a list of mail filters has a name no X line defines; gives the exit status then.
///
/// Observed: 8.17.1.9 adds the reason of whatever failed before.
pub fn tell_filter_fault(config: &Config, arguments: &Arguments) -> Option<ExitStatus> {
    let name = escape_for_display(config.unknown_filter()?);
    let mut diagnostics = Diagnostics::default();
    diagnostics.system_error(format!(
        "InputFilter {name} not defined: No such file or directory"
    ));
    let log_level = config.options.running.log_level;
    tell(&diagnostics, arguments, log_level, &DebugLog::default());
    Some(ExitStatus::Config)
}

/// Logs a fault of the system or of the configuration, in the name of the caller.
pub fn log_fault(text: &[u8], log_level: u8) {
    let name = name_of_caller();
    let caller = escape_for_display(&name);
    MailLog::new(log_level).syslog(
        1,
        Severity::Critical,
        Some(b"NOQUEUE"),
        format_args!("SYSERR({caller}): {}", escape_for_display(text)),
    );
}

/// The login name of whoever runs the program; the number of a user without an account.
fn name_of_caller() -> Vec<u8> {
    let uid = real_user();
    match SystemUsers.user_by_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string().into_bytes(),
    }
}

/// Logs that others than the owner may write the configuration file.
pub fn warn_of_writable(path: &Path, log_level: u8) {
    use std::os::unix::fs::MetadataExt;
    let is_writable = |facts: std::fs::Metadata| facts.mode() & WRITABLE_BY_OTHERS != 0;
    if std::fs::metadata(path).is_ok_and(is_writable) {
        let text = format_args!("{}: WARNING: dangerous write permissions", path.display());
        MailLog::new(log_level).syslog(1, Severity::Critical, None, text);
    }
}
