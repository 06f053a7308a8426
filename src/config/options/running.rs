//! Options about files, logging and the process itself.
//!
//! Source: guide 5.6.

use std::path::PathBuf;

use crate::macros::Template;
use crate::text::address::Ipv6Form;

/// How errors of command-line mail are told (`ErrorMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorMode {
    /// Print them (`p`).
    #[default]
    Print,
    /// Say nothing, the exit status tells (`q`).
    Quiet,
    /// Mail them back (`m`).
    Mail,
    /// Write them to the user's terminal (`w`).
    Write,
    /// Mail them back and exit with zero (`e`).
    MailAndExitZero,
}

impl ErrorMode {
    /// Reads a mode from its letter; `None` for a letter that is no mode.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'p' => Some(Self::Print),
            b'q' => Some(Self::Quiet),
            b'm' => Some(Self::Mail),
            b'w' => Some(Self::Write),
            b'e' => Some(Self::MailAndExitZero),
            _ => None,
        }
    }
}

/// Which interface addresses become names of this host (`DontProbeInterfaces`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeInterfaces {
    /// All of them.
    #[default]
    All,
    /// None.
    None,
    /// All but those of the loopback interface (`loopback`).
    NoLoopback,
}

/// Value of the time zone for mailers and for our own dates (`TimeZoneSpec`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TimeZoneSpec {
    /// The system's zone; TZ of the caller is dropped.
    #[default]
    System,
    /// TZ of the caller is kept.
    Caller,
    /// This zone.
    Fixed(Vec<u8>),
}

/// Options about files, logging and the process itself.
#[derive(Debug, Clone)]
pub struct Running {
    /// How much is logged.
    pub log_level: u8,
    /// Say each step (`-v`).
    pub verbose: bool,
    /// How errors of command-line mail are told.
    pub error_mode: ErrorMode,
    /// File of the daemon's process id; macros are expanded.
    pub pid_file: Template,
    /// Put before the process title.
    pub process_title_prefix: Option<Template>,
    /// File of the HELP texts; `None` when no line set it.
    pub help_file: Option<PathBuf>,
    /// File of the statistics; `None` keeps none.
    pub status_file: Option<PathBuf>,
    /// The hosts file.
    pub hosts_file: PathBuf,
    /// The service switch file.
    pub service_switch_file: PathBuf,
    /// Path of the control socket.
    pub control_socket_name: Option<PathBuf>,
    /// Which interface addresses become names of this host.
    pub dont_probe_interfaces: ProbeInterfaces,
    /// Words of `ResolverOptions` that were set, in lower case, without sign, and whether they are on.
    pub resolver_options: Vec<(Vec<u8>, bool)>,
    /// Do not match exchangers when canonifying (`HasWildcardMX`).
    pub has_wildcard_mx: bool,
    /// Take SERVFAIL for an AAAA question as no data (`WorkAroundBrokenAAAA`).
    pub work_around_broken_aaaa: bool,
    /// Time zone.
    pub time_zone_spec: TimeZoneSpec,
    /// Act as the submission program (submit.cf).
    pub use_msp: bool,
    /// How IPv6 addresses are written (`UseCompressedIPv6Addresses`).
    pub ipv6_form: Ipv6Form,
    /// Specification LDAP maps begin with.
    pub ldap_default_spec: Option<Vec<u8>>,
}

impl Default for Running {
    fn default() -> Self {
        Self {
            log_level: 9,
            verbose: false,
            error_mode: ErrorMode::Print,
            pid_file: Template::plain(b"/var/run/sendmail/mta/sendmail.pid"),
            process_title_prefix: None,
            help_file: None,
            status_file: None,
            hosts_file: PathBuf::from("/etc/hosts"),
            service_switch_file: PathBuf::from("/etc/mail/service.switch"),
            control_socket_name: None,
            dont_probe_interfaces: ProbeInterfaces::All,
            resolver_options: Vec::new(),
            has_wildcard_mx: false,
            work_around_broken_aaaa: false,
            time_zone_spec: TimeZoneSpec::System,
            use_msp: false,
            ipv6_form: Ipv6Form::Full,
            ldap_default_spec: None,
        }
    }
}
