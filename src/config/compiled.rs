//! The compiled configuration: all that one sendmail.cf says.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::macros::{ClassId, Classes, MacroId, MacroNames, MacroTable, MacroValue, Macros};
use crate::mailer::MailerTable;
use crate::map::MapDefinition;
use crate::rewrite::RuleBook;
use crate::smtp::ExitStatus;
use crate::token::AddressSyntax;

use super::builder::Builder;
use super::class_line::ClassSink;
use super::diagnostics::Diagnostics;
use super::filter_line::FilterDefinition;
use super::header_line::HeaderRule;
use super::options::Options;
use super::overrides::Overrides;
use super::precedence_line::Precedences;
use super::queue_group_line::QueueGroupDefinition;
use super::source::FileSource;
use super::watcher::{Unwatched, Watcher};

/// All that a configuration file says, compiled.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The name of this host, if it has no domain and nobody knows one.
    pub short_name: Option<Vec<u8>>,
    /// Level of the V line; zero without one.
    pub level: u8,
    /// All options.
    pub options: Options,
    /// Names of macros and classes.
    pub names: MacroNames,
    /// D lines and the macros set at start.
    pub macros: MacroTable,
    /// C, F and T lines and the classes set at start.
    pub classes: Classes,
    /// How addresses are cut into tokens.
    pub syntax: AddressSyntax,
    /// S and R lines.
    pub rules: RuleBook,
    /// M lines.
    pub mailers: MailerTable,
    /// K lines, in order.
    pub maps: Vec<MapDefinition>,
    /// H lines, in order.
    pub headers: Vec<HeaderRule>,
    /// P lines.
    pub precedences: Precedences,
    /// Q lines; the first is `mqueue`, made from the queue options.
    pub queue_groups: Vec<QueueGroupDefinition>,
    /// X lines.
    pub filters: Vec<FilterDefinition>,
    /// Environment of mailers from E lines.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// What was said while the file was read.
    pub diagnostics: Diagnostics,
}

/// Why there is no configuration at all.
#[derive(Debug, Clone)]
pub struct ConfigFailure {
    /// What was said until then, the reason last.
    pub diagnostics: Box<Diagnostics>,
    /// LogLevel as far as it is known.
    pub log_level: u8,
}

impl ConfigFailure {
    fn of(builder: Builder<'_>) -> Self {
        ConfigFailure {
            log_level: builder.config.options.running.log_level,
            diagnostics: Box::new(builder.out),
        }
    }

    /// Gives the exit status the program ends with.
    pub fn status(&self) -> ExitStatus {
        self.diagnostics.status()
    }
}

impl std::fmt::Display for ConfigFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.diagnostics.printed(false);
        f.write_str(String::from_utf8_lossy(&text).trim_end())
    }
}

impl std::error::Error for ConfigFailure {}

impl Config {
    /// Finds a name in a list of mail filters that no X line defines.
    pub fn unknown_filter(&self) -> Option<&[u8]> {
        let ports = self.options.daemon_ports.iter();
        let lists = ports.filter_map(|port| port.input_mail_filters.as_ref());
        let mut names = lists
            .chain([&self.options.milter.input_mail_filters])
            .flatten();
        let is_known = |name: &&Vec<u8>| {
            let mut filters = self.filters.iter();
            filters.any(|filter| filter.name.eq_ignore_ascii_case(name))
        };
        names.find(|name| !is_known(name)).map(Vec::as_slice)
    }

    /// Reads a configuration file with what the command line says on top of it.
    ///
    /// Faults do not stop the reading: what was said is in [`Config::diagnostics`], in
    /// order, and its status tells whether the program may go on.
    ///
    /// # Errors
    /// The file cannot be read, or holds a value the reference refuses to go on with.
    pub fn load(
        overrides: &Overrides,
        source: &mut dyn FileSource,
    ) -> Result<Config, ConfigFailure> {
        Config::load_watched(overrides, source, &mut Unwatched)
    }

    /// Reads a configuration file as [`Config::load`] does, before the eyes of `watcher`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_watched(
        overrides: &Overrides,
        source: &mut dyn FileSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Config, ConfigFailure> {
        let text = source.configuration(&overrides.path);
        let mut builder = Builder::new(Config::empty(&overrides.path), overrides, source);
        if watcher.wants_every_line() {
            builder.out.never_stop();
        }
        for setting in &overrides.settings {
            builder.apply(setting);
            if builder.out.is_stopped() {
                return Err(ConfigFailure::of(builder));
            }
        }
        let name = overrides.path.as_os_str().as_bytes();
        match text {
            Ok(text) => builder.read(name, &text, watcher),
            Err(error) => {
                builder.out.set_place(name, 0);
                builder.out.error(match error.kind() {
                    std::io::ErrorKind::InvalidInput => "not a plain file".to_owned(),
                    _ => format!("cannot open: {}", crate::sys::host::error_text(&error)),
                });
                builder.out.stop(ExitStatus::OsFile);
            }
        }
        if !builder.out.is_stopped() {
            builder.check_file();
            builder.add_host_names();
            builder.tell_identity();
            builder.check_level();
            for setting in &overrides.afterwards {
                builder.apply(setting);
            }
            builder.finish();
        }
        if builder.out.is_stopped() {
            return Err(ConfigFailure::of(builder));
        }
        let mut config = builder.config;
        config.diagnostics = builder.out;
        config.rules.link();
        Ok(config)
    }

    /// Makes a configuration that says nothing.
    pub(super) fn empty(path: &Path) -> Config {
        Config {
            path: path.to_path_buf(),
            short_name: None,
            level: 0,
            options: Options::default(),
            names: MacroNames::new(),
            macros: MacroTable::new(),
            classes: Classes::new(),
            syntax: AddressSyntax::new(AddressSyntax::DEFAULT_OPERATORS, 0),
            rules: RuleBook::new(),
            mailers: MailerTable::default(),
            maps: Vec::new(),
            headers: Vec::new(),
            precedences: Precedences::default(),
            queue_groups: Vec::new(),
            filters: Vec::new(),
            environment: Vec::new(),
            diagnostics: Diagnostics::default(),
        }
    }

    /// Sets a macro, and tells so when that is asked for.
    pub(super) fn define(&mut self, id: MacroId, value: MacroValue, out: &mut Diagnostics) {
        if out.traces(35, 9) {
            let is_new = self.macros.get(id).is_none();
            out.trace(value.definition_line(id, is_new, &self.names));
        }
        self.macros.set(id, value);
    }

    /// Lends the classes for adding words; each addition is told when that is asked for.
    pub(super) fn classes_told<'a>(&'a mut self, out: &'a mut Diagnostics) -> ClassSink<'a> {
        ClassSink {
            classes: &mut self.classes,
            names: &self.names,
            out,
        }
    }

    /// Tells whether a user may set any sender without a warning (class `t`).
    ///
    /// Source: guide 5.3 and 4.9.
    pub fn is_trusted(&self, user: &[u8]) -> bool {
        self.classes.contains(ClassId::letter(b't'), user)
    }

    /// Expands a macro as far as the configuration alone knows it; empty when it is not set.
    pub fn expanded_macro(&self, id: MacroId) -> Vec<u8> {
        Macros::new(&mut MacroTable::new(), None, &self.macros).expanded(id)
    }
}
