//! MAIL: the sender and the parameters of the message.

use std::os::unix::ffi::OsStrExt;

use super::super::addressing::{PathArgument, PathFault};
use super::super::filters::{LastAddress, Refused};
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::config::options::PrivacyFlags;
use crate::envelope::{ControllingUser, EnvelopeFlags, Return, Sender, set_process_macros};
use crate::logging::record::Severity;
use crate::macros::MacroId;
use crate::mailer::MailerTriple;
use crate::message::{BodyType, HeaderField};
use crate::queue::LowOnSpace;
use crate::rewrite::Role;
use crate::smtp::parameter::{self, BodyParameter, ParameterPolicy};
use crate::smtp::{ExitStatus, Reply, Verdict};
use crate::text::bytes::escape_for_display;

impl Session {
    /// Answers MAIL.
    pub(super) fn mail(&mut self, argument: &[u8], call: &mut Call<'_>) -> Flow {
        self.did_something = true;
        match self.open_transaction(argument, call) {
            Ok(address) => {
                self.transaction.is_open = true;
                self.last_verb = "mail";
                let accepted = wording::reply(b"250 2.1.0 Sender ok");
                self.say(call, &wording::about(&address, accepted));
            }
            Err(refused) => {
                self.say(call, refused.reply());
                return refused.flow();
            }
        }
        Flow::Next
    }

    fn open_transaction(
        &mut self,
        argument: &[u8],
        call: &mut Call<'_>,
    ) -> Result<Vec<u8>, Refused> {
        self.may_mail()?;
        self.refuse_deferred(argument)?;
        self.filters.last_address = Some(LastAddress::At("MAIL FROM:".len()));
        self.name_client();
        self.warn_of_missing_hello();
        self.transaction.parameters.smtp_utf8 = false;
        let path = match self.split_path(argument, b"from") {
            Ok(path) => path,
            Err(PathFault::Keyword(word)) => return Err(Self::keyword_refusal(&word).into()),
            Err(PathFault::Malformed(address, refusal)) => {
                self.transaction.owes_sender_line = true;
                self.envelope.sender.address = address;
                return Err(refusal.into());
            }
        };
        let (address, given) = self.stand_in(&path);
        self.envelope.macros.set_text(MacroId::NRCPTS, b"0");
        self.envelope.macros.set_text(MacroId::NBADRCPTS, b"0");
        self.set_sender(&address, &given, call)?;
        self.transaction.owes_sender_line = true;
        self.warn_of_other_user();
        self.take_mail_parameters(path.parameters, call)?;
        if path.address.starts_with(b"(") {
            // There is no address to ask about (observed: 8.17.1.9).
            return Ok(address);
        }
        match self.check("check_mail", &[&address], call) {
            Verdict::Accept => {}
            Verdict::Discard => self.transaction.discards = true,
            Verdict::Quarantine(reason) => self.envelope.quarantine = Some(reason),
            Verdict::Reject(reply) | Verdict::Defer(reply) => return Err(reply.into()),
        }
        self.ask_about_sender(&address, path.parameters)?;
        Ok(address)
    }

    fn may_mail(&self) -> Result<(), Reply> {
        let privacy = self.mta.config.options.security.privacy_options;
        if self.hello.is_none() && privacy.contains(PrivacyFlags::NEED_MAIL_HELO) {
            return Err(Reply::of("503 5.0.0 Polite people say HELO first"));
        }
        if self.transaction.is_open {
            return Err(Reply::of("503 5.5.0 Sender already specified"));
        }
        if self.features.requires_auth && !self.is_authenticated {
            return Err(Reply::of("530 5.7.0 Authentication required"));
        }
        Ok(())
    }

    /// Adds X-Authentication-Warning: for a client that did not introduce itself.
    /// Sets `$r`, `$s` and `${ntries}`, which no macro of the connection tells before the first MAIL.
    ///
    /// Observed: 8.17.1.9.
    fn name_client(&mut self) {
        let name = match &self.hello {
            Some(hello) => &hello.name,
            None => &self.client.name,
        };
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::letter(b's'), name);
        macros.set_text(MacroId::R, self.protocol);
        set_process_macros(macros, 0);
    }

    /// Returns the sender, and what he was given as.
    ///
    /// A comment without an address stands for the error daemon. Observed: 8.17.1.9.
    fn stand_in(&self, path: &PathArgument<'_>) -> (Vec<u8>, Vec<u8>) {
        let given = [path.address, path.parameters].concat();
        if !path.address.starts_with(b"(") {
            return (path.address.to_vec(), given);
        }
        self.log_bad_sender(&given);
        (self.mta.config.expanded_macro(MacroId::N), given)
    }

    fn log_bad_sender(&self, given: &[u8]) {
        self.log(
            3,
            Severity::Notice,
            format_args!(
                "setsender: {}: invalid or unparsable, received from {}",
                escape_for_display(given.trim_ascii_end()),
                self.client_shown()
            ),
        );
    }

    fn warn_of_missing_hello(&mut self) {
        if self.hello.is_none() {
            let text = [self.client.shown.as_slice(), b" didn't use HELO protocol"].concat();
            self.add_warning(&text);
        }
    }

    /// Adds X-Authentication-Warning: where somebody's own process sends in another name.
    fn warn_of_other_user(&mut self) {
        let Some(user) = self.client.local_user.clone() else {
            return;
        };
        let sender = self.envelope.sender.triple.as_ref();
        let is_himself = sender.is_some_and(|triple| {
            self.mta.config.mailers.get(triple.mailer).has(b'l') && triple.user == user
        });
        if !is_himself && !self.mta.config.is_trusted(&user) {
            self.add_warning(&[user.as_slice(), b" owned process doing -bs"].concat());
        }
    }

    pub(super) fn add_warning(&mut self, text: &[u8]) {
        let privacy = self.mta.config.options.security.privacy_options;
        if !privacy.contains(PrivacyFlags::AUTH_WARNINGS) {
            return;
        }
        let value = [self.host_name().as_slice(), b": ", text].concat();
        self.log(
            4,
            Severity::Info,
            format_args!("Authentication-Warning: {}", escape_for_display(&value)),
        );
        let field = HeaderField::new(
            b"X-Authentication-Warning",
            &[b" ", value.as_slice()].concat(),
        );
        // Observed: 8.17.1.9 puts each in front of those before.
        self.envelope.headers.insert(0, field);
    }

    /// Resolves the sender and notes what it is.
    pub(in super::super) fn set_sender(
        &mut self,
        address: &[u8],
        given: &[u8],
        call: &mut Call<'_>,
    ) -> Result<(), Reply> {
        self.envelope.macros.set_text(MacroId::MAIL_FROM, address);
        let mut sender = Sender {
            address: address.to_vec(),
            ..Sender::default()
        };
        let parsed = match self.resolve(address, Role::Sender, call) {
            Ok(parsed) => parsed,
            Err(refusal) => {
                self.envelope.sender = sender;
                return Err(refusal);
            }
        };
        if let Some(triple) = &parsed.triple
            && self.refuse_special_mailer(address, triple).is_err()
        {
            self.envelope.sender = sender;
            self.log_bad_sender(given);
            self.remember_exit(ExitStatus::Usage);
            let refusal = wording::reply(b"553 5.1.7 Invalid sender address");
            return Err(wording::about(address, refusal));
        }
        self.envelope.macros.remove(MacroId::letter(b'x'));
        let ids = [MacroId::MAIL_MAILER, MacroId::MAIL_HOST, MacroId::MAIL_ADDR];
        self.set_triple_macros(ids, parsed.triple.as_ref());
        let id = self.envelope.id.as_ref().map(|id| id.as_bytes());
        let triple = parsed.triple.as_ref().filter(|one| !is_nobody(one));
        let mail_name = triple.and_then(|triple| self.mta.mail_name(triple, id));
        let canonical = self.canonical_sender(mail_name.as_deref().unwrap_or(address), call);
        sender.public_name = triple.and_then(|triple| self.mta.public_name(triple, &canonical));
        self.envelope.macros.set_text(MacroId::F, &canonical);
        if let Some(triple) = triple
            && let Some(user) = self.local_user(triple)
        {
            let home = user.home.as_os_str().as_bytes();
            self.envelope.macros.set_text(MacroId::Z, home);
            let name = user.full_name();
            if !name.is_empty() {
                let phrase = self.phrase(&name);
                self.envelope
                    .macros
                    .set_text(MacroId::letter(b'x'), &phrase);
                sender.full_name = Some(name);
            }
            sender.controlling = Some(ControllingUser {
                name: user.name,
                uid: user.uid,
                gid: user.gid,
                home: user.home,
                alias: address.to_vec(),
            });
        }
        sender.is_explicit = true;
        sender.triple = parsed.triple.filter(|one| !is_nobody(one));
        self.envelope.sender = sender;
        Ok(())
    }

    pub(in super::super) fn take_mail_parameters(
        &mut self,
        text: &[u8],
        call: &mut Call<'_>,
    ) -> Result<(), Reply> {
        let policy = self.parameter_policy();
        // Observed: 8.17.1.9 keeps all parameters of a refused MAIL but this one.
        self.transaction.parameters.size = None;
        self.envelope.size = 0;
        let mut result = Ok(());
        for parameter in parameter::split(text) {
            result =
                parameter.and_then(|parameter| self.transaction.parameters.add(parameter, policy));
            if result.is_err() {
                break;
            }
        }
        self.apply_mail_parameters();
        self.take_author(call);
        result?;
        self.has_room()
    }

    /// Copies the parameters into the envelope and its macros, also those before a wrong one.
    fn apply_mail_parameters(&mut self) {
        let parameters = self.transaction.parameters.clone();
        let envelope = &mut *self.envelope;
        let macros = &mut envelope.macros;
        if let Some(size) = parameters.size {
            macros.set_text(MacroId::MSG_SIZE, size.to_string().as_bytes());
            // Logged for what it is worth when the message never comes.
            envelope.size = size;
        }
        if let Some(body) = parameters.body {
            let kind = match body {
                // A header of UTF-8 must not lose its eighth bits; a message without any is
                // seven bits again when it is stored.
                BodyParameter::SevenBit if parameters.smtp_utf8 => BodyType::EightBitMime,
                BodyParameter::SevenBit => BodyType::SevenBit,
                BodyParameter::EightBitMime => BodyType::EightBitMime,
                BodyParameter::Binary => BodyType::Binary,
            };
            envelope.body_type = Some(kind);
        }
        if parameters.smtp_utf8 {
            envelope.flags.insert(EnvelopeFlags::UTF8);
            // Source: RFC 6531 section 4.3.
            macros.set_text(MacroId::R, b"UTF8SMTP");
        }
        if let Some(ret) = parameters.ret {
            let ret = Return::from(ret);
            envelope.dsn.ret = Some(ret);
            envelope.flags.insert(EnvelopeFlags::RET_GIVEN);
            let name: &[u8] = match ret {
                Return::Full => b"FULL",
                Return::Headers => b"HDRS",
            };
            if ret == Return::Headers {
                envelope.flags.insert(EnvelopeFlags::NO_BODY_RETURN);
            }
            macros.set_text(MacroId::DSN_RET, name);
        }
        if let Some(envid) = parameters.envid {
            macros.set_text(MacroId::DSN_ENVID, &envid);
            envelope.dsn.envid = Some(envid);
        }
        envelope.deliver_by = parameters.deliver_by;
    }

    /// Takes who the client says has sent it; trust_auth says whether to believe that.
    fn take_author(&mut self, call: &mut Call<'_>) {
        let Some(given) = self.transaction.parameters.auth.clone() else {
            return;
        };
        // In xtext as given: rules compare it with `${auth_authen}`. Observed: 8.17.1.9.
        let macros = &mut self.envelope.macros;
        macros.set_text(MacroId::AUTH_AUTHOR, &given);
        let is_believed = given.is_empty() || given == b"<>" || self.trusts_author(&given, call);
        let believed = if is_believed { given } else { b"<>".to_vec() };
        self.envelope.auth_sender = Some(believed);
    }

    pub(in super::super) fn parameter_policy(&self) -> ParameterPolicy {
        let minimum = self.mta.config.options.receiving.deliver_by_min;
        ParameterPolicy {
            allows_dsn: self.features.dsn,
            allows_binary: self.mta.config.options.receiving.chunking,
            allows_utf8: self.mta.config.options.receiving.smtp_utf8,
            deliver_by_minimum: minimum
                .map(|least| i64::try_from(least.as_secs()).unwrap_or(i64::MAX)),
        }
    }

    /// Refuses a declared size beyond MaxMessageSize or the space of the queue disk.
    fn has_room(&self) -> Result<(), Reply> {
        let size = self.transaction.parameters.size.unwrap_or(0);
        let limit = self.mta.config.options.receiving.max_message_size;
        if limit > 0 && size > limit {
            let text =
                format!("552 5.2.3 Message size exceeds fixed maximum message size ({limit})");
            return Err(wording::reply(text.as_bytes()));
        }
        self.has_disk_space(size)
    }

    /// Refuses when the queue disk has not room for so many octets more than MinFreeBlocks.
    pub(in super::super) fn has_disk_space(&self, octets: u64) -> Result<(), Reply> {
        let minimum = self.mta.config.options.queueing.min_free_blocks;
        self.mta
            .queue
            .check_space(0, octets, minimum)
            .map_err(|low| {
                let line = low.log_line(&self.client.name);
                self.log(1, Severity::Alert, format_args!("{line}"));
                Reply::of(LowOnSpace::REPLY)
            })
    }
}

/// Tells whether the rules took a sender for the empty one.
fn is_nobody(triple: &MailerTriple) -> bool {
    matches!(&triple.user[..], b"" | b"<>")
}
