//! From process start to open handles: descriptors, rights, log, configuration.
//!
//! The order is a matter of trust: standard descriptors first, then the rights of
//! a set-id program are given up if the caller said anything that could turn them
//! against their owner, and only then a file is opened.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::LevelFilter;

use crate::config::Config;
use crate::config::options::DeliveryMode;
use crate::config::options::running::TimeZoneSpec;
use crate::config::overrides::Overrides;
use crate::config::source::SystemSource;
use crate::daemon::Source;
use crate::logging::debug::{DebugFlags, DebugLog};
use crate::logging::traffic::TrafficLog;
use crate::macros::MacroId;
use crate::mta::open::Listeners;
use crate::mta::{Lifetime, Mta};
use crate::smtp::ExitStatus;
use crate::sys::file::{is_terminal, path_of};
use crate::sys::identity::{Credentials, SystemUsers, UserDatabase};
use crate::sys::privilege::{Direct, Privileged, Unprivileged};
use crate::sys::process::{self, effective_user, real_user};
use crate::sys::syslog::Syslog;

use super::arguments::{Arguments, ConfigurationChoice};
use super::complaints;
use super::mode::OperationMode;
use crate::daemon::service_manager::{VARIABLES, handed_over};

/// The configuration of the daemon, and of everybody without a submit.cf.
pub(super) const MAIN_CONFIG: &str = "/etc/mail/sendmail.cf";
/// The configuration of submission.
pub(super) const SUBMIT_CONFIG: &str = "/etc/mail/submit.cf";
/// Longest time zone the caller may name; no honest one is longer.
const MAX_ZONE_BYTES: usize = 64;
/// The umask of this program: what it makes is for nobody else's eyes.
const UMASK: u32 = 0o077;
/// The umask for files named on the command line (`-D`, `-X`). Observed: 8.17.1.9.
const UMASK_OF_NAMED_FILES: u32 = 0o022;

/// What the environment of the caller said before it was emptied.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `NAME`: full name of the sender.
    pub name: Option<Vec<u8>>,
    /// `HOME`.
    pub home: Option<Vec<u8>>,
    /// Everything, for E lines that hand a variable on.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Makes the process fit to work: descriptors, rights, umask, environment, log.
///
/// # Errors
/// Rights could not be given up, or `/dev/null` is missing.
pub fn prepare_process(arguments: &Arguments) -> io::Result<Surroundings> {
    // Whoever started us may wait for the end of what it left open.
    process::close_inherited_descriptors(handed_over());
    process::fill_standard_descriptors()?;
    // Children whose end the caller ignores would be lost to us.
    crate::sys::signal::reset_dispositions();
    if gives_up_rights(arguments) {
        process::drop_set_ids()?;
    }
    process::reset_limits();
    process::set_umask(UMASK);
    use std::os::unix::ffi::OsStringExt;
    let variable = |name: &str| std::env::var_os(name).map(OsStringExt::into_vec);
    let surroundings = Surroundings {
        name: variable("NAME"),
        home: variable("HOME"),
        variables: std::env::vars_os()
            .map(|(name, value)| (name.into_vec(), value.into_vec()))
            .collect(),
    };
    process::clear_environment(is_kept);
    Ok(surroundings)
}

/// Says whether a variable of the caller is kept: the time zone, unless it is long or leads out
/// of the folder of zones, and what a service manager says.
fn is_kept(name: &OsStr, value: &OsStr) -> bool {
    let value = value.as_encoded_bytes();
    if name == "TZ" {
        return value.len() <= MAX_ZONE_BYTES && !value.starts_with(b"/");
    }
    VARIABLES.iter().any(|known| name == *known)
}

/// Tells whether what the caller said could be turned against the owner of the set-id program.
///
/// Source: guide 4.9 and 5.6; CVE-2001-0713 and its kin.
fn gives_up_rights(arguments: &Arguments) -> bool {
    if real_user() == 0 {
        return false;
    }
    matches!(arguments.configuration, ConfigurationChoice::File(_))
        || arguments.settings.iter().any(|setting| !setting.is_safe())
        || arguments.traffic_log.is_some()
        || arguments.debug_file.is_some()
        || arguments
            .by_hand
            .as_ref()
            .is_some_and(|by_hand| !by_hand.action.is_listing())
        || !keeps_rights(arguments.mode)
}

/// Modes in which a set-id program keeps its rights; what only root may do is refused later.
fn keeps_rights(mode: OperationMode) -> bool {
    match mode {
        OperationMode::Deliver
        | OperationMode::Arpanet
        | OperationMode::Smtp
        | OperationMode::Verify
        | OperationMode::ListQueue
        | OperationMode::CountQueue
        | OperationMode::CheckConfiguration
        | OperationMode::HostStatus
        | OperationMode::PurgeHostStatus
        | OperationMode::RebuildAliases => true,
        OperationMode::Daemon | OperationMode::ForegroundDaemon | OperationMode::Test => false,
    }
}

/// The log of a daemon in the foreground: the system's, and the terminal it runs on.
struct ForegroundLog {
    system: Syslog,
    terminal: env_logger::Logger,
}

impl log::Log for ForegroundLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.system.enabled(metadata) || self.terminal.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        self.system.log(record);
        self.terminal.log(record);
    }

    fn flush(&self) {
        self.system.flush();
        self.terminal.flush();
    }
}

/// Makes the log writer the process's logger.
///
/// A daemon in the foreground of a terminal shows its lines there as well; settings
/// never come from the environment.
pub fn open_log(arguments: &Arguments) {
    let tag = arguments
        .syslog_tag
        .as_deref()
        .map_or_else(|| "sendmail".into(), String::from_utf8_lossy);
    let system = Syslog::new(&tag.replace(char::is_control, "*"));
    let is_watched =
        arguments.mode == OperationMode::ForegroundDaemon && is_terminal(&io::stderr());
    let logger: Box<dyn log::Log> = if is_watched {
        let mut builder = env_logger::Builder::new();
        builder.filter_level(LevelFilter::Info);
        Box::new(ForegroundLog {
            system,
            terminal: builder.build(),
        })
    } else {
        Box::new(system)
    };
    // A second logger could only be installed by a second call; the first one stays.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// Opens the file of `-D`, if there is one, and takes the flags of `-d`.
///
/// # Errors
/// What is to be told, and the exit status of a run that goes well otherwise: the
/// program goes on and prints on standard output (observed: 8.17.1.9).
pub fn open_debug_file(arguments: &Arguments) -> Result<Arc<DebugLog>, (Vec<u8>, ExitStatus)> {
    if arguments.debug_file_is_late {
        return Err((b"-D file must be before -d".to_vec(), ExitStatus::Usage));
    }
    let Some(path) = &arguments.debug_file else {
        return Ok(debug_on_stdout(arguments));
    };
    let mut options = std::fs::OpenOptions::new();
    match open_named_file(|| options.append(true).create(true).open(path_of(path))) {
        Ok(file) => Ok(Arc::new(DebugLog::new(debug_flags(arguments), Some(file)))),
        Err(error) => {
            let reason = crate::sys::host::error_text(&error);
            let text = [b"cannot open ".as_slice(), path, b": ", reason.as_bytes()];
            Err((text.concat(), ExitStatus::CantCreate))
        }
    }
}

/// Opens a file the caller named, which others may read if it is new.
fn open_named_file<T>(open: impl FnOnce() -> T) -> T {
    process::set_umask(UMASK_OF_NAMED_FILES);
    let opened = open();
    process::set_umask(UMASK);
    opened
}

/// The user and group of RunAsUser, if they are not root's.
pub fn run_as_user(config: &Config) -> Option<Credentials> {
    let account = config.options.security.run_as_user.as_ref()?;
    (account.uid != 0).then(|| Credentials::plain(account.uid, account.gid))
}

/// Becomes the user of RunAsUser; gives the exit status if that cannot be.
///
/// A daemon does it when its ports are open. A submission program run by root must have
/// such a user. Observed: 8.17.1.9.
pub fn take_on_user(config: &Config, arguments: &Arguments) -> Option<ExitStatus> {
    use OperationMode::{Daemon, ForegroundDaemon, Test};
    let is_submission = config.options.running.use_msp;
    let is_daemon = matches!(arguments.mode, Daemon | ForegroundDaemon);
    if arguments.mode == Test {
        return None;
    }
    if is_submission && is_daemon {
        let text = "Mail submission program cannot be used as daemon";
        return Some(cannot_run(text, ExitStatus::Usage, arguments));
    }
    if effective_user() != 0 {
        return None;
    }
    let Some(user) = run_as_user(config) else {
        let text = "Mail submission program must have RunAsUser set to non root user";
        return is_submission.then(|| cannot_run(text, ExitStatus::Config, arguments));
    };
    if !is_daemon && let Err(error) = process::become_user(&user) {
        let text = format!("drop_privileges: {error}");
        return Some(cannot_run(&text, ExitStatus::OsError, arguments));
    }
    None
}

/// Tells the caller why the program does not run.
fn cannot_run(text: &str, status: ExitStatus, arguments: &Arguments) -> ExitStatus {
    match arguments.mode {
        OperationMode::Daemon | OperationMode::Smtp => print!("550 {text}\r\n"),
        _ => println!("{text}"),
    }
    status
}

/// Takes the flags of `-d`; what they ask for is printed on standard output.
pub fn debug_on_stdout(arguments: &Arguments) -> Arc<DebugLog> {
    Arc::new(DebugLog::new(debug_flags(arguments), None))
}

/// Chooses the configuration file.
///
/// Source: sendmail(8) -A and -C.
pub fn config_path(arguments: &Arguments) -> PathBuf {
    match &arguments.configuration {
        ConfigurationChoice::File(path) => path_of(path).to_path_buf(),
        ConfigurationChoice::Submission => PathBuf::from(SUBMIT_CONFIG),
        ConfigurationChoice::Transfer => PathBuf::from(MAIN_CONFIG),
        ConfigurationChoice::ByMode => {
            let submits = arguments.mode.submits() && arguments.queue_run.is_none();
            if submits && Path::new(SUBMIT_CONFIG).exists() {
                PathBuf::from(SUBMIT_CONFIG)
            } else {
                PathBuf::from(MAIN_CONFIG)
            }
        }
    }
}

/// Reads the configuration; what is to be said about it is printed and logged.
///
/// # Errors
/// The exit status when the configuration cannot be used.
pub fn load_config(
    arguments: &Arguments,
    surroundings: &Surroundings,
    debug: &DebugLog,
) -> Result<Config, ExitStatus> {
    let overrides = overrides(arguments);
    let mut source = SystemSource::with_environment(surroundings.variables.clone());
    match Config::load(&overrides, &mut source) {
        Ok(mut config) => {
            let log_level = config.options.running.log_level;
            complaints::warn_of_writable(&config.path, log_level);
            complaints::tell(&config.diagnostics, arguments, log_level, debug);
            complaints::log_short_name(&config, arguments);
            watch(&mut config, arguments);
            process::set_time_zone(tell_mailers_the_zone(&mut config).as_deref());
            match config.diagnostics.status() {
                ExitStatus::Ok => Ok(config),
                // Test mode is for finding out what is wrong.
                _ if arguments.mode == OperationMode::Test => Ok(config),
                status => Err(complaints::tell_queue_fault(&config, arguments).unwrap_or(status)),
            }
        }
        Err(failure) => {
            complaints::tell(&failure.diagnostics, arguments, failure.log_level, debug);
            Err(failure.status())
        }
    }
}

/// Puts the time zone into the environment of mailers and returns it (TimeZoneSpec).
///
/// Observed: 8.17.1.9 drops the caller's TZ unless the option says otherwise.
fn tell_mailers_the_zone(config: &mut Config) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    let zone = match &config.options.running.time_zone_spec {
        TimeZoneSpec::System => None,
        TimeZoneSpec::Caller => std::env::var_os("TZ").map(OsStringExt::into_vec),
        TimeZoneSpec::Fixed(zone) => Some(zone.clone()),
    };
    if let Some(zone) = &zone {
        config.environment.insert(0, (b"TZ".to_vec(), zone.clone()));
    }
    zone
}

/// Makes a run with -v what its user expects: deliveries happen before his eyes.
fn watch(config: &mut Config, arguments: &Arguments) {
    if arguments.verbose {
        config.options.running.verbose = true;
        config.options.queueing.delivery_mode = DeliveryMode::Interactive;
        config.options.delivering.hold_expensive = false;
    }
}

/// Who runs the program, as `$_` has it.
pub fn caller() -> Vec<u8> {
    let user = SystemUsers.user_by_uid(real_user()).ok().flatten();
    let name = user.map_or_else(|| real_user().to_string().into_bytes(), |user| user.name);
    [&name, b"@localhost".as_slice()].concat()
}

fn overrides(arguments: &Arguments) -> Overrides {
    Overrides {
        path: config_path(arguments),
        names_file: matches!(arguments.configuration, ConfigurationChoice::File(_)),
        settings: arguments.settings.clone(),
        afterwards: arguments.afterwards.clone(),
        caller_is_root: real_user() == 0,
        caller: caller(),
        debug: debug_flags(arguments),
        mode: match arguments.mode {
            // Observed: a run of the queue has a mode of its own there.
            OperationMode::Deliver if arguments.queue_run.is_some() => b'q',
            mode => mode.letter(),
        },
        tell_repeated_rulesets: matches!(
            arguments.mode,
            OperationMode::Test | OperationMode::CheckConfiguration
        ),
    }
}

/// What the command line adds to any configuration.
///
/// # Errors
/// The traffic log cannot be opened.
pub fn listeners(arguments: &Arguments, debug: Arc<DebugLog>) -> io::Result<Listeners> {
    let traffic = match &arguments.traffic_log {
        Some(path) => open_named_file(|| TrafficLog::append_to(path_of(path)))?,
        None => TrafficLog::off(),
    };
    Ok(Listeners {
        debug,
        traffic: Arc::new(traffic),
    })
}

/// The `-d` flags, one after the other.
fn debug_flags(arguments: &Arguments) -> DebugFlags {
    let mut flags = DebugFlags::default();
    for text in &arguments.debug {
        flags.add(text);
    }
    flags
}

/// Root's rights for a process of one thread.
pub fn direct_privileges() -> Arc<dyn Privileged> {
    if effective_user() == 0 {
        Arc::new(Direct)
    } else {
        Arc::new(Unprivileged)
    }
}

/// Where the daemon gets its handles from: the command line it was started with.
pub struct CommandLine {
    arguments: Arguments,
    surroundings: Surroundings,
    listeners: Listeners,
    config: Option<Config>,
    /// `${daemon_info}`.
    jobs: String,
}

impl CommandLine {
    /// Keeps the command line and the configuration read already.
    pub fn new(
        arguments: Arguments,
        surroundings: Surroundings,
        listeners: Listeners,
        config: Config,
    ) -> Self {
        CommandLine {
            arguments,
            surroundings,
            listeners,
            config: Some(config),
            jobs: String::new(),
        }
    }

    /// Remembers what the daemon does, for `${daemon_info}`.
    pub fn with_jobs(self, jobs: String) -> Self {
        CommandLine { jobs, ..self }
    }

    fn open(&self, mut config: Config, lifetime: Arc<Lifetime>) -> Result<Arc<Mta>, String> {
        let jobs = self.jobs.as_bytes();
        config.macros.set_text(MacroId::DAEMON_INFO, jobs);
        let mta = Mta::open(Arc::new(config), lifetime, &self.listeners)
            .map_err(|error| error.to_string())?;
        mta.refresh_aliases();
        Ok(Arc::new(mta))
    }
}

impl Source for CommandLine {
    fn first(&mut self, privileged: Arc<dyn Privileged>) -> Result<Arc<Mta>, String> {
        let config = self
            .config
            .take()
            .ok_or("the configuration was used already")?;
        self.open(config, Arc::new(Lifetime::new(privileged)))
    }

    fn again(&mut self, lifetime: &Arc<Lifetime>) -> Result<Arc<Mta>, String> {
        let mut source = SystemSource::with_environment(self.surroundings.variables.clone());
        let mut config = Config::load(&overrides(&self.arguments), &mut source)
            .map_err(|failure| failure.to_string())?;
        if config.diagnostics.status() != ExitStatus::Ok {
            let text = config.diagnostics.printed(false);
            return Err(String::from_utf8_lossy(&text).trim_end().to_owned());
        }
        // Our own zone stays: threads are reading the environment by now.
        let _ = tell_mailers_the_zone(&mut config);
        self.open(config, Arc::clone(lifetime))
    }
}
