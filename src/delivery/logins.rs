//! What the configuration says about servers that want to know who we are.
//!
//! The ruleset `authinfo` is asked with `${server_name}` and `${server_addr}` set;
//! only where there is none the file of DefaultAuthInfo counts.
//!
//! Source: guide 5.1.4 and 5.6; precedence, log lines and LogLevels observed: 8.17.1.9.

use std::net::IpAddr;

use super::session_rules::address_of_server;
use crate::auth::Credentials;
use crate::client::{Login, LoginAnswer, LoginEvent, Logins};
use crate::envelope::Envelope;
use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable};
use crate::mta::Mta;
use crate::rewrite::{Kept, RewriteWorkspace};
use crate::text::bytes::escape_for_display;
use crate::token::Mark;

/// The logins of one transaction.
pub(super) struct SessionLogins<'a> {
    /// The configuration.
    pub mta: &'a Mta,
    /// The message, for its macros and its id in the log.
    pub envelope: &'a Envelope,
    /// The macros of the transaction.
    pub macros: &'a MacroTable,
}

impl SessionLogins<'_> {
    fn log(&self, level: u8, severity: Severity, text: std::fmt::Arguments<'_>) {
        self.mta.log.syslog(level, severity, None, text);
    }

    /// Asks the ruleset; `None` where there is none.
    fn ask_rules(&self, server: &[u8], address: &[u8]) -> Option<LoginAnswer> {
        let mut macros = self.macros.clone();
        macros.set_text(MacroId::SERVER_NAME, server);
        macros.set_text(MacroId::SERVER_ADDR, address);
        let mut kept = Kept::traced(&self.mta.debug);
        let mut buffers = RewriteWorkspace::new();
        let middle = Some(&self.envelope.macros);
        let mut cx = self
            .mta
            .rewrite_context(&mut macros, middle, &mut kept, &mut buffers);
        let answer = cx.ask_ruleset(b"authinfo", &[server, address])?;
        if answer.leading_symbol != Some(Mark::Mailer) {
            return Some(LoginAnswer::Nobody);
        }
        let credentials = Credentials::from_words(&answer.words);
        Some(match credentials {
            Ok(credentials) => self.as_somebody(credentials),
            Err(_) => {
                let (server, address) = (escape_for_display(server), escape_for_display(address));
                self.log(
                    9,
                    Severity::Warning,
                    format_args!("AUTH=client, relay={server} [{address}], authinfo failed"),
                );
                LoginAnswer::Nobody
            }
        })
    }

    fn read_file(&self) -> LoginAnswer {
        let security = &self.mta.config.options.security;
        let Some(path) = &security.default_auth_info else {
            return LoginAnswer::Nobody;
        };
        match Credentials::from_file(path, security.dont_blame_sendmail) {
            Ok(Some(credentials)) => self.as_somebody(credentials),
            Ok(None) => LoginAnswer::Nobody,
            Err(error) => {
                let path = path.display();
                self.log(
                    8,
                    Severity::Error,
                    format_args!("AUTH=client, error: can't open {path}: {error}"),
                );
                LoginAnswer::NotNow
            }
        }
    }

    fn as_somebody(&self, mut credentials: Credentials) -> LoginAnswer {
        let ours = &self.mta.config.options.security.auth_mechanisms;
        let wanted = credentials.mechanisms.take();
        LoginAnswer::As(Box::new(Login {
            wanted: wanted.unwrap_or_else(|| ours.clone()),
            credentials,
        }))
    }
}

impl Logins for SessionLogins<'_> {
    fn login(&self, server: &[u8], address: Option<IpAddr>) -> LoginAnswer {
        let address = address_of_server(address);
        self.ask_rules(server, &address)
            .unwrap_or_else(|| self.read_file())
    }

    fn hides_author(&self) -> bool {
        let options = &self.mta.config.options.security.auth_options;
        options.contains(&b'A')
    }

    fn tell(&self, server: &[u8], event: &LoginEvent<'_>) {
        let server = escape_for_display(server);
        match event {
            LoginEvent::Accepted(mechanism) => self.log(
                10,
                Severity::Info,
                format_args!(
                    "AUTH=client, relay={server}, mech={}, bits=0",
                    mechanism.name()
                ),
            ),
            LoginEvent::NoMechanism(words) => {
                let words = escape_for_display(words);
                self.mta.log.syslog(
                    9,
                    Severity::Notice,
                    Some(self.envelope.id_for_log()),
                    format_args!(
                        "AUTH=client, available mechanisms={words} do not fulfill requirements"
                    ),
                );
            }
            LoginEvent::GivenUp => self.log(
                9,
                Severity::Error,
                format_args!("AUTH=client, relay={server}, temporary failure, connection abort"),
            ),
        }
    }
}
