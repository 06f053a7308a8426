//! One arm for each operation mode.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use crate::alias::database::map_services;
use crate::config::identity::version;
use crate::config::options::{ErrorMode, PrivacyFlags};
use crate::config::{Config, VERSION};
use crate::daemon::{self, DaemonPlan};
use crate::delivery::run::end_of_run;
use crate::logging::narrator::{Coded, Narrator, Silent, Stdout};
use crate::logging::record::{MailLog, Severity};
use crate::logging::traffic::HeardLines;
use crate::mta::open::Listeners;
use crate::mta::{Lifetime, Mta, Workspace};
use crate::server::standard;
use crate::smtp::ExitStatus;
use crate::submit::{Next, submit_message, verify_addresses, verify_header};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::host::error_text;
use crate::sys::identity::SystemUsers;
use crate::sys::moment::Moments;
use crate::sys::process::{self, effective_user, real_user};
use crate::test_mode::{Surroundings as TestSurroundings, TestMode};
use crate::text::bytes::printable;
use crate::tools;

use super::arguments::{Arguments, Output, Refusal, parse};
use super::companions;
use super::complaints;
use super::deliveries::{DirectOutlet, deliver_for_daemon, deliver_submission};
use super::inspection;
use super::mode::OperationMode;
use super::personality::Personality;
use super::queue_command;
use super::start::{self, CommandLine, Surroundings};
use super::submission::submission;

/// Runs the program and returns its exit status.
pub fn run(words: Vec<OsString>) -> ExitStatus {
    let mut words: Vec<Vec<u8>> = words.into_iter().map(OsString::into_vec).collect();
    let mode = match Personality::from_program_name(name_of(&words)) {
        Personality::Sendmail(mode) => {
            if mode == OperationMode::Deliver
                && let Some(status) = inspection::run(&words)
            {
                return status;
            }
            mode
        }
        Personality::RunQueue => {
            words.insert(1, b"-q".to_vec());
            OperationMode::Deliver
        }
        program @ (Personality::MakeMap | Personality::EditMap | Personality::PrintAliases) => {
            return database_tool(program, words.get(1..).unwrap_or(&[]));
        }
        Personality::MailStatistics => return mail_statistics(&words),
        Personality::Companion(program) => return companions::run(program, &words),
    };
    let read = queue_command::read(&words, mode).unwrap_or_else(|| parse(&words, mode));
    let arguments = match read {
        Ok(arguments) => arguments,
        Err(refusal) => return refuse(&refusal),
    };
    let shows_no_failure = arguments.mode.submits() && complaints::exits_with_zero(&arguments);
    match run_with(words, arguments) {
        _ if shows_no_failure => ExitStatus::Ok,
        status => status,
    }
}

/// Does what an understood command line says.
fn run_with(words: Vec<Vec<u8>>, arguments: Arguments) -> ExitStatus {
    let surroundings = match start::prepare_process(&arguments) {
        Ok(surroundings) => surroundings,
        Err(error) => {
            eprintln!("sendmail: {error}");
            return ExitStatus::OsError;
        }
    };
    start::open_log(&arguments);
    let (debug, debug_fault) = match start::open_debug_file(&arguments) {
        Ok(debug) => (debug, None),
        Err((text, status)) => {
            println!("{}", printable(&text));
            (start::debug_on_stdout(&arguments), Some(status))
        }
    };
    if debug.is_on(0, ONLY_VERSION) {
        debug.line(format!("Version {VERSION}").as_bytes());
        return ExitStatus::Ok;
    }
    if let Some(status) = debug_fault.filter(|_| arguments.mode != OperationMode::Test) {
        if debug.is_on(0, 1) {
            debug.line(version(debug.flags()).as_bytes());
        }
        return status;
    }
    let config = match start::load_config(&arguments, &surroundings, &debug) {
        Ok(config) => config,
        Err(status) => return status,
    };
    if arguments.smtp_utf8 && !config.options.receiving.smtp_utf8 {
        // Without the option the flag ends the program without a word, as in the reference.
        return ExitStatus::Usage;
    }
    let listeners = match start::listeners(&arguments, debug) {
        Ok(listeners) => listeners,
        Err(error) => {
            let path = arguments.traffic_log.as_deref().unwrap_or_default();
            return cannot_open(path, &error, config.options.running.log_level);
        }
    };
    let has_complaints = !arguments.complaints.is_empty() || complaints::left_a_failure(&config);
    if !complaints::are_held(&config, &arguments) {
        for complaint in &arguments.complaints {
            println!("{}", printable(complaint));
        }
    }
    complaints::log_attacks(&config, &arguments);
    let tells_complaints = !matches!(
        arguments.mode,
        OperationMode::Smtp | OperationMode::Test | OperationMode::Daemon
    );
    if let Some(status) = start::take_on_user(&config, &arguments) {
        return status;
    }
    let status = Program {
        words,
        arguments,
        surroundings,
        listeners,
    }
    .in_mode(config);
    match status {
        ExitStatus::Ok if has_complaints && tells_complaints => ExitStatus::Usage,
        ExitStatus::Ok => debug_fault.unwrap_or(ExitStatus::Ok),
        status => status,
    }
}

/// Level of debug category 0 at which the program tells its version and ends.
const ONLY_VERSION: u8 = 101;

/// Says that a file of the command line cannot be opened.
fn cannot_open(path: &[u8], error: &io::Error, log_level: u8) -> ExitStatus {
    let text = [b"cannot open ", path, b": ", error_text(error).as_bytes()].concat();
    println!("{}", printable(&text));
    complaints::log_fault(&text, log_level);
    ExitStatus::CantCreate
}

/// Runs one of the programs for map files; rights of set-id bits are given up first.
fn database_tool(program: Personality, arguments: &[Vec<u8>]) -> ExitStatus {
    if let Err(error) = process::drop_set_ids() {
        eprintln!("cannot give up rights: {error}");
        return ExitStatus::OsError;
    }
    let users = SystemUsers;
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    match program {
        Personality::EditMap => tools::editmap::run(arguments, &users, &mut out, &mut errors),
        Personality::PrintAliases => {
            tools::praliases::run(arguments, &users, &mut out, &mut errors)
        }
        _ => {
            let mut input = io::stdin().lock();
            tools::makemap::run(arguments, &users, &mut input, &mut out, &mut errors)
        }
    }
}

/// Said when a program without its rights cannot enter the queue. Observed: 8.17.1.9.
const NEEDS_PRIVILEGES: &str =
    "Program mode requires special privileges, e.g., root or TrustedUser.";

/// Said to callers who may not do what they asked for. Observed: 8.17.1.9.
const NOT_TRUSTED: &str = "Permission denied (real uid not trusted)";

/// What the modes share.
pub(super) struct Program {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) arguments: Arguments,
    pub(super) surroundings: Surroundings,
    pub(super) listeners: Listeners,
}

impl Program {
    fn in_mode(mut self, config: Config) -> ExitStatus {
        if let Some(request) = self.arguments.by_hand.take() {
            return self.work_by_hand(config, &request);
        }
        match self.arguments.mode {
            OperationMode::Test => self.test(config),
            OperationMode::CheckConfiguration => {
                self.enter_queue(&config).unwrap_or(ExitStatus::Ok)
            }
            OperationMode::Daemon | OperationMode::ForegroundDaemon => self.daemon(config),
            OperationMode::Deliver
                if self.arguments.queue_run.is_some() || self.arguments.quarantine.is_some() =>
            {
                self.run_queue(config)
            }
            OperationMode::Deliver | OperationMode::Arpanet => self.submit(config),
            OperationMode::Smtp => self.serve(config),
            OperationMode::Verify => self.verify(config),
            OperationMode::RebuildAliases => self.rebuild_aliases(config),
            OperationMode::ListQueue => self.list_queue(config),
            OperationMode::CountQueue => self.enter_queue(&config).unwrap_or_else(|| {
                if let Some(fault) = self.unknown_group(&config) {
                    println!("{fault}");
                    return ExitStatus::Ok;
                }
                println!("Data unavailable: shared memory not updated");
                ExitStatus::Ok
            }),
            OperationMode::HostStatus => self
                .enter_queue(&config)
                .unwrap_or_else(|| tools::hoststat::run(&config, self.is_verbose(&config))),
            OperationMode::PurgeHostStatus if !is_trusted_caller(&config) => {
                self.refuse_untrusted(&config, "purge host status")
            }
            OperationMode::PurgeHostStatus => self
                .enter_queue(&config)
                .unwrap_or_else(|| tools::purgestat::run(&config)),
        }
    }

    /// Tries to work in the queue; gives the exit status if that cannot be.
    fn enter_queue(&self, config: &Config) -> Option<ExitStatus> {
        let status = complaints::tell_queue_fault(config, &self.arguments)?;
        if effective_user() != 0 {
            eprintln!("{NEEDS_PRIVILEGES}");
        }
        Some(status)
    }

    /// Tells and logs that only root and the TrustedUser may do this.
    pub(super) fn refuse_untrusted(&self, config: &Config, deed: &str) -> ExitStatus {
        match self.arguments.mode {
            OperationMode::Daemon => print!("550 {NOT_TRUSTED}\r\n"),
            _ => println!("{NOT_TRUSTED}"),
        }
        let text = format_args!("user {} attempted to {deed}", real_user());
        MailLog::new(config.options.running.log_level).syslog(2, Severity::Alert, None, text);
        ExitStatus::Usage
    }

    fn is_verbose(&self, config: &Config) -> bool {
        config.options.running.verbose
    }

    pub(super) fn open(&self, config: Config) -> Result<Arc<Mta>, ExitStatus> {
        let log_level = config.options.running.log_level;
        let are_held = complaints::are_held(&config, &self.arguments);
        let cannot_start = |text: &str| {
            let mut fault = crate::config::Diagnostics::default();
            fault.system_error(text);
            if are_held {
                complaints::log_faults(&fault, log_level);
            } else {
                complaints::tell(&fault, &self.arguments, log_level, &self.listeners.debug);
            }
            if effective_user() != 0 {
                eprintln!("{NEEDS_PRIVILEGES}");
            }
            ExitStatus::Config
        };
        let lifetime = Arc::new(Lifetime::new(start::direct_privileges()));
        let mta = Mta::open(Arc::new(config), lifetime, &self.listeners)
            .map_err(|error| cannot_start(&error.to_string()))?;
        if let Some(directory) = mta
            .queue
            .groups()
            .first()
            .and_then(|g| g.directories.first())
            && let Err(error) = process::change_directory(directory.path())
        {
            let (path, reason) = (directory.path().display(), error_text(&error));
            return Err(cannot_start(&format!("can not chdir({path}/): {reason}")));
        }
        mta.refresh_aliases();
        Ok(Arc::new(mta))
    }

    pub(super) fn workspace(&self, mta: &Mta) -> Workspace {
        let narrator: Box<dyn Narrator> = match mta.config.options.running.verbose {
            true if self.arguments.mode == OperationMode::Arpanet => Box::new(Coded("050 ")),
            true => Box::new(Stdout),
            false => Box::new(Silent),
        };
        Workspace::narrated(&mta.config.options, narrator)
    }

    fn submit(&self, config: Config) -> ExitStatus {
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        let mut workspace = self.workspace(&mta);
        workspace.tells_caller = true;
        workspace.first_hop = self.arguments.hop_count.unwrap_or(0);
        let submission = submission(&self.arguments, &self.surroundings, &mta.config);
        let mut stdin = io::stdin().lock();
        let mut source = HeardLines::new(&mta.traffic, &mut stdin);
        let accepted = submit_message(&mta, &mut workspace, &submission, &mut source);
        let error_mode = mta.config.options.running.error_mode;
        if accepted.next == Next::Deliver || error_mode == ErrorMode::Quiet {
            workspace.error_mode = error_mode;
        }
        let delivered = deliver_submission(&mta, &mut workspace, accepted.messages, accepted.next);
        for line in &accepted.afterwords {
            Stdout.say(line);
        }
        self.visible(&mta, accepted.exit.unwrap_or(delivered))
    }

    /// The exit status a caller sees: error mode `e` hides it.
    fn visible(&self, mta: &Mta, exit: ExitStatus) -> ExitStatus {
        match mta.config.options.running.error_mode {
            ErrorMode::MailAndExitZero => ExitStatus::Ok,
            // Statuses outside of sysexits are a mailer's own business.
            _ if matches!(exit, ExitStatus::Other(_)) => ExitStatus::Unavailable,
            _ => exit,
        }
    }

    fn verify(&self, config: Config) -> ExitStatus {
        let privacy = config.options.security.privacy_options;
        if privacy.contains(PrivacyFlags::RESTRICT_EXPAND)
            && real_user() != 0
            && let Err(error) = process::drop_set_ids()
        {
            eprintln!("cannot give up rights: {error}");
            return ExitStatus::OsError;
        }
        if effective_user() != 0 {
            println!("Notice: -bv may give misleading output for non-privileged user");
        }
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        let mut workspace = self.workspace(&mta);
        let submission = submission(&self.arguments, &self.surroundings, &mta.config);
        if submission.recipients_from_header {
            let source = &mut io::stdin().lock();
            return verify_header(&mta, &mut workspace, &submission, source);
        }
        verify_addresses(&mta, &mut workspace, &submission)
    }

    fn serve(&self, config: Config) -> ExitStatus {
        if let Some(status) = complaints::tell_filter_fault(&config, &self.arguments) {
            return status;
        }
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        let mut workspace = self.workspace(&mta);
        let login = callers_login(&mta);
        let outlet = DirectOutlet::new(Arc::clone(&mta));
        let exit = standard::serve(Arc::clone(&mta), &login, &mut workspace, &outlet);
        end_of_run(&mta, &mut workspace);
        exit
    }

    fn test(&self, config: Config) -> ExitStatus {
        let lifetime = Lifetime::new(start::direct_privileges());
        let moments = Moments::counted();
        let resolver =
            crate::mta::open::open_resolver(&config, &self.listeners.debug, moments.clone());
        let mut services = map_services(
            &config.options,
            Arc::clone(&resolver),
            Arc::clone(&lifetime.users),
            Arc::clone(&lifetime.privileged),
            MailLog::new(config.options.running.log_level),
            &self.listeners.debug,
        );
        services.moments.clone_from(&moments);
        let maps = crate::map::MapSet::new(&config.maps, services);
        let surroundings = TestSurroundings {
            maps: &maps,
            caller: start::caller(),
            resolver: &*resolver,
            debug: Arc::clone(&self.listeners.debug),
            moments,
        };
        let mut session = TestMode::new(config, surroundings, Box::new(io::stdout()));
        let status = match session.run(&mut io::stdin().lock()) {
            Ok(status) => status,
            Err(_) => ExitStatus::IoError,
        };
        // The process ends here: to give a whole configuration back piece by piece is work for nobody.
        std::mem::forget(session);
        status
    }

    fn daemon(self, config: Config) -> ExitStatus {
        if !is_trusted_caller(&config) {
            return self.refuse_untrusted(&config, "run daemon");
        }
        let foreground = self.arguments.mode == OperationMode::ForegroundDaemon;
        self.run_daemon(config, true, foreground)
    }

    pub(super) fn run_daemon(self, config: Config, smtp: bool, foreground: bool) -> ExitStatus {
        if let Some(status) = complaints::tell_queue_fault(&config, &self.arguments) {
            return status;
        }
        if let Some(status) = complaints::tell_filter_fault(&config, &self.arguments) {
            return status;
        }
        let queue = self.queue_runs();
        let command_line = self.words.join(&b' ');
        let workers = config.options.receiving.session_workers;
        let user = start::run_as_user(&config);
        let jobs = daemon::start::jobs_of(smtp, queue);
        let source = CommandLine::new(self.arguments, self.surroundings, self.listeners, config)
            .with_jobs(jobs);
        daemon::run(DaemonPlan {
            source: Box::new(source),
            smtp,
            foreground,
            workers,
            user,
            queue,
            command_line,
            deliver: deliver_for_daemon,
        })
    }

    fn rebuild_aliases(&self, config: Config) -> ExitStatus {
        if !is_trusted_caller(&config) {
            return self.refuse_untrusted(&config, "rebuild the alias map");
        }
        let mta = match self.open(config) {
            Ok(mta) => mta,
            Err(status) => return status,
        };
        tools::newaliases::run(&mta, &callers_login(&mta), &mut io::stdout().lock())
    }
}

/// The login name of whoever runs the program; the number of a user without an account.
pub(super) fn callers_login(mta: &Mta) -> Vec<u8> {
    let user = mta.users.user_by_uid(real_user()).ok().flatten();
    user.map_or_else(|| real_user().to_string().into_bytes(), |user| user.name)
}

/// Tells whether the caller is root or the TrustedUser.
pub(super) fn is_trusted_caller(config: &Config) -> bool {
    real_user() == 0 || config.options.security.trusted_user == Some(real_user())
}

/// Runs mailstats; the statistics file may be readable by the group of this program only.
fn mail_statistics(words: &[Vec<u8>]) -> ExitStatus {
    let arguments: Vec<&[u8]> = words.iter().skip(1).map(Vec::as_slice).collect();
    let (mut out, mut errors) = (io::stdout().lock(), io::stderr().lock());
    tools::mailstats::run(&arguments, SystemClock.now(), &mut out, &mut errors)
}

fn name_of(words: &[Vec<u8>]) -> &[u8] {
    words.first().map_or(&b"sendmail"[..], Vec::as_slice)
}

fn refuse(refusal: &Refusal) -> ExitStatus {
    for complaint in &refusal.complaints {
        println!("{complaint}");
    }
    if refusal.text.is_empty() {
        return refusal.status;
    }
    let line = [&refusal.text, &b"\n"[..]].concat();
    let _ = match refusal.output {
        Output::Standard => io::stdout().write_all(&line),
        Output::Error => io::stderr().write_all(&line),
    };
    refusal.status
}
