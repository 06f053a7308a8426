//! The transactions of mailers that speak SMTP or LMTP: what the next host is told.
//!
//! Part of [`super::attempt`]: makes MAIL and RCPT out of the envelope and hands the message
//! to [`super::network`], over a connection or through the pipes of a program.

use std::io::{self, Write};

use crate::client::{
    BeyondAscii, BodyRequest, MailCommand, RcptCommand, SevenBitServer, Transport, Witness,
};
use crate::config::options::EightBitMode;
use crate::envelope::EnvelopeFlags;
use crate::macros::{ClassId, MacroId};
use crate::message::BodyType;
use crate::rewrite::RewriteWorkspace;
use crate::smtp::parameter::DeliverBy;

use super::attempt::Attempt;
use super::ledger::Ledger;
use super::logins::SessionLogins;
use super::network::{self, Call as NetworkCall};
use super::output::{Conversion, OutputForm};
use super::program::{self, Call as ProgramCall};
use super::response::status_of_exit;
use super::session_rules::SessionRules;

impl<'a> Attempt<'a> {
    pub(super) fn to_network(
        &self,
        ledger: &mut Ledger<'a>,
        buffers: &mut RewriteWorkspace,
        memory: &mut crate::mta::Memory,
    ) {
        let argv = self.expanded_argv();
        self.trace_argv(&argv);
        let own_name = self.own_name();
        let (mail, recipients) = (self.mail_command(), self.rcpt_commands());
        let macros = self.macros.clone();
        let rules = SessionRules::new(self.mta, self.envelope, &recipients, macros);
        ledger.ask(Box::new(rules));
        let is_ourselves = |name: &[u8]| self.is_ourselves(name);
        let logins = self.logins();
        let call = self.network_call(&argv, &own_name, &mail, &recipients, &is_ourselves, &logins);
        let mut writer = |out: &mut dyn Write, wanted: crate::client::Conversion| {
            self.write_for_server(wanted, buffers, out)
        };
        network::deliver(&call, memory, &mut writer, ledger);
    }

    /// Gives the name of this host: `$j`, which rules may have set. Observed: 8.17.1.9.
    fn own_name(&self) -> Vec<u8> {
        let set = self.macros.text(MacroId::J);
        let set = set.or(self.envelope.macros.text(MacroId::J));
        set.map_or_else(
            || self.mta.config.expanded_macro(MacroId::J),
            <[u8]>::to_vec,
        )
    }

    pub(super) fn through_program(
        &self,
        call: ProgramCall,
        ledger: &mut Ledger<'_>,
        buffers: &mut RewriteWorkspace,
        memory: &mut crate::mta::Memory,
    ) {
        let argv = call.argv.clone();
        let rights = call.credentials.as_ref().map_or_else(Vec::new, |who| {
            format!("{}:{}", who.uid, who.gid).into_bytes()
        });
        let mut start =
            || Transport::program(self.mta.privileged.spawn(program::plan(call.clone()))?);
        let own_name = self.own_name();
        let (mail, recipients) = (self.mail_command(), self.rcpt_commands());
        let is_ourselves = |name: &[u8]| self.is_ourselves(name);
        let logins = self.logins();
        let network =
            self.network_call(&argv, &own_name, &mail, &recipients, &is_ourselves, &logins);
        let mut writer = |out: &mut dyn Write, wanted: crate::client::Conversion| {
            self.write_for_server(wanted, buffers, out)
        };
        let program = network::Program {
            rights,
            connecting: self.connecting(),
            start: &mut start,
        };
        let delivered = network::deliver_through(&network, memory, program, &mut writer, ledger);
        if let Err(error) = delivered {
            ledger.problem(error.to_string().as_bytes());
            let now = self.mta.clock.now();
            let status = status_of_exit(program::exit_of_failed_spawn(&error), self.mailer, now);
            ledger.settle(&self.places(), status);
        }
    }

    fn network_call<'c>(
        &'c self,
        argv: &'c [Vec<u8>],
        own_name: &'c [u8],
        mail: &'c MailCommand,
        recipients: &'c [RcptCommand],
        is_ourselves: &'c dyn Fn(&[u8]) -> bool,
        logins: &'c SessionLogins<'c>,
    ) -> NetworkCall<'c> {
        NetworkCall {
            mailer: self.mailer,
            argv,
            options: &self.mta.config.options,
            resolver: &*self.mta.resolver,
            clock: &*self.mta.clock,
            counting: &self.mta.counting,
            crowd: &self.mta.lifetime.crowd,
            is_ourselves,
            logins,
            own_name,
            is_first_attempt: self.envelope.attempts <= 1,
            mail,
            recipients,
        }
    }

    fn logins(&self) -> SessionLogins<'_> {
        SessionLogins {
            mta: self.mta,
            envelope: self.envelope,
            macros: &self.macros,
        }
    }

    fn is_ourselves(&self, name: &[u8]) -> bool {
        self.mta
            .config
            .classes
            .contains(ClassId::letter(b'w'), name)
    }

    fn mail_command(&self) -> MailCommand {
        let envelope = self.envelope;
        let mode = self.mta.config.options.headers.eight_bit_mode;
        let is_mime = envelope.headers.contains(b"mime-version");
        let converts = mode != EightBitMode::Pass || is_mime;
        MailCommand {
            sender: self.reverse_path(),
            size: envelope.size,
            body: BodyRequest {
                is_binary: envelope.body_type == Some(BodyType::Binary),
                declared: envelope
                    .body_type
                    .map(|kind| kind.name().as_bytes().to_vec()),
                has_eight_bit: envelope.flags.contains(EnvelopeFlags::HAS_8BIT),
                may_declare: mode == EightBitMode::Mime && !self.mailer.has(b'8'),
                for_seven_bit_server: if converts && !self.mailer.has(b'8') {
                    SevenBitServer::Convert
                } else {
                    SevenBitServer::SendAnyway
                },
            },
            envelope_id: envelope.dsn.envid.clone(),
            return_what: envelope.dsn.ret.map(|ret| ret.parameter().to_vec()),
            auth: envelope.auth_sender.clone(),
            utf8: self.beyond_ascii(),
            deliver_by: envelope.deliver_by.map(|by| DeliverBy {
                seconds: by.seconds.saturating_sub(self.age()),
                ..by
            }),
        }
    }

    /// The sender as MAIL names him: nobody for a report, unless the mailer cannot bear that (F=g).
    fn reverse_path(&self) -> Vec<u8> {
        if self.envelope.is_response() && !self.mailer.has(b'g') {
            Vec::new()
        } else {
            bare(&self.sender).to_vec()
        }
    }

    /// Tells what needs SMTPUTF8, where that is spoken.
    fn beyond_ascii(&self) -> Option<BeyondAscii> {
        let is_spoken = self.mta.config.options.receiving.smtp_utf8;
        is_spoken.then(|| BeyondAscii {
            header: self.envelope.has_utf8_header(),
            recipients: self.users().iter().any(|user| !user.is_ascii()),
        })
    }

    /// Seconds since the message came.
    fn age(&self) -> i64 {
        let now = self.mta.clock.now().seconds();
        now.saturating_sub(self.envelope.created.seconds())
    }

    fn rcpt_commands(&self) -> Vec<RcptCommand> {
        self.recipients()
            .zip(self.users())
            .map(|(recipient, user)| RcptCommand {
                address: bare(&user).to_vec(),
                // Observed: members of a list and those behind an owner are not "primary".
                notify: (recipient.primary.then(|| recipient.notify.to_parameter())).flatten(),
                original: recipient
                    .original
                    .as_ref()
                    .map(|original| original.as_bytes().to_vec()),
            })
            .collect()
    }

    fn write_for_server(
        &self,
        wanted: crate::client::Conversion,
        buffers: &mut RewriteWorkspace,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        use crate::client::Conversion as Wanted;
        let form = match wanted {
            Wanted::Binary => OutputForm::for_binary(Conversion::Raw),
            Wanted::AsIs | Wanted::ToSevenBit => {
                let takes_eight_bit = wanted == Wanted::AsIs;
                OutputForm::for_server(self.envelope, self.mailer, takes_eight_bit)
            }
        };
        self.write_watched(&form, buffers, out)
    }
}

/// An address without its angle brackets.
pub(super) fn bare(address: &[u8]) -> &[u8] {
    match address {
        [b'<', inner @ .., b'>'] => inner,
        other => other,
    }
}
