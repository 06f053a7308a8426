//! Addresses resolved with the real rulesets, for expansion.
//!
//! [`Routing`] answers the questions of [`crate::alias::context::Router`]: what an
//! address resolves to, what ruleset 5 says, where a .forward file lies. Macros
//! that rulesets set go to the message in hand.

use std::sync::Arc;

use crate::alias::context::{ExpandContext, Limits, LocalUser, Refusal, Routed, Router};
use crate::logging::debug::DebugLog;
use crate::logging::narrator::Narrator;
use crate::macros::{MacroId, MacroTable, Macros, Template};
use crate::mailer::MailerTriple;
use crate::rewrite::resolve::{ErrorSource, Resolved, Resolving};
use crate::rewrite::{
    Kept, Observer, Place, Resolution, RewriteWorkspace, Role, RuleError, Trace, resolve_local,
};
use crate::smtp::{EnhancedStatus, ExitStatus, Reply};
use crate::token::Complaint;

use super::Mta;

/// What the command line says about expansion.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpansionFlags {
    /// No aliases and no .forward (-n).
    pub no_alias: bool,
    /// Addresses are only verified (-bv, VRFY).
    pub verify_only: bool,
}

/// Resolves addresses for one message.
pub struct Routing<'a> {
    mta: &'a Mta,
    macros: &'a mut MacroTable,
    buffers: &'a mut RewriteWorkspace,
    /// The last user began with `@` at a mailer with F=@: ruleset 5 is not asked.
    skips_ruleset_5: bool,
    /// What the system denied to maps since somebody asked.
    faults: Vec<Vec<u8>>,
    /// What maps remarked since somebody asked.
    remarks: Vec<Vec<u8>>,
    /// Who looks on.
    observer: Option<&'a mut dyn Observer>,
    /// The macros of the last user whose `.forward` was looked for.
    pub left_behind: Option<MacroTable>,
}

/// Keeps messages, and lets somebody look on.
struct Watched<'w> {
    kept: Kept,
    observer: Option<&'w mut dyn Observer>,
}

impl<'w> Watched<'w> {
    fn by(observer: &'w mut Option<&mut dyn Observer>, debug: &Arc<DebugLog>) -> Self {
        Watched {
            kept: Kept::traced(debug),
            observer: observer
                .as_mut()
                .map(|observer| &mut **observer as &mut dyn Observer),
        }
    }
}

impl Trace for Watched<'_> {
    fn level(&self, category: u8) -> u8 {
        self.kept.level(category)
    }
    fn observer(&mut self) -> Option<&mut dyn Observer> {
        match &mut self.observer {
            Some(observer) => Some(&mut **observer),
            None => None,
        }
    }
    fn reverses_symbols(&self) -> bool {
        self.kept.reverses_symbols()
    }
    fn write(&mut self, text: &[u8]) {
        self.kept.write(text);
    }
    fn complain(&mut self, complaint: Complaint) {
        self.kept.complain(complaint);
    }
    fn complain_of_system(&mut self, text: &[u8]) {
        self.kept.complain_of_system(text);
    }
    fn narrate(&mut self, text: &[u8]) {
        self.kept.narrate(text);
    }
    fn defer(&mut self, reason: Vec<u8>) {
        self.kept.defer(reason);
    }
}

impl<'a> Routing<'a> {
    /// Borrows the macros of the message in hand and the buffers of the thread.
    pub fn new(
        mta: &'a Mta,
        macros: &'a mut MacroTable,
        buffers: &'a mut RewriteWorkspace,
    ) -> Self {
        Routing {
            mta,
            macros,
            buffers,
            skips_ruleset_5: false,
            faults: Vec::new(),
            remarks: Vec::new(),
            observer: None,
            left_behind: None,
        }
    }

    /// Lets somebody look on while rules are applied.
    pub fn watched_by(mut self, observer: &'a mut dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }
}

impl Router for Routing<'_> {
    fn resolve(
        &mut self,
        list: &[u8],
        delimiter: Option<u8>,
        told: &mut Vec<Refusal>,
    ) -> (Routed, usize) {
        let mut trace = Watched::by(&mut self.observer, &self.mta.debug);
        let how = Resolving {
            role: Role::Recipient,
            place: Place::Envelope,
            delimiter,
        };
        let Resolved {
            resolution,
            skips_ruleset_5,
            end,
            ..
        } = self
            .mta
            .rewrite_context(self.macros, None, &mut trace, self.buffers)
            .resolve(list, how);
        self.skips_ruleset_5 = skips_ruleset_5;
        self.faults.append(&mut trace.kept.faults);
        self.remarks.append(&mut trace.kept.remarks);
        if !matches!(resolution, Resolution::Error(_)) {
            told.extend(trace.kept.complaints.iter().map(repaired));
        }
        (routed(resolution, &trace.kept), end)
    }

    fn resolve_local(&mut self, triple: &MailerTriple) -> Option<Routed> {
        if self.skips_ruleset_5 {
            return None;
        }
        let mut trace = Watched::by(&mut self.observer, &self.mta.debug);
        let mut cx = self
            .mta
            .rewrite_context(self.macros, None, &mut trace, self.buffers);
        let resolution = resolve_local(triple, &mut cx);
        self.faults.append(&mut trace.kept.faults);
        self.remarks.append(&mut trace.kept.remarks);
        let resolution = resolution?;
        Some(routed(resolution, &trace.kept))
    }

    fn faults(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.faults)
    }

    fn remarks(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.remarks)
    }

    fn forward_path(&mut self, path: &Template, user: &LocalUser<'_>) -> Vec<u8> {
        let mut front = MacroTable::new();
        front.set_text(MacroId::U, user.user);
        front.set_text(MacroId::H, user.host);
        front.set_text(MacroId::Z, user.home);
        let macros = Macros::new(&mut front, Some(self.macros), &self.mta.config.macros);
        let expanded = path.expanded(&macros);
        self.left_behind = Some(front);
        expanded
    }

    fn is_trusted(&self, user: &[u8]) -> bool {
        self.mta.config.is_trusted(user)
    }
}

fn routed(resolution: Resolution, trace: &Kept) -> Routed {
    match resolution {
        Resolution::Mailer(triple) => Routed::To(triple),
        Resolution::Deferred(triple) => Routed::Deferred(deferral(trace), Some(triple)),
        Resolution::Error(error) => {
            let refusal = refusal(&error);
            if refusal.exit.is_temporary() {
                Routed::Deferred(refusal, None)
            } else {
                Routed::Refused(refusal)
            }
        }
    }
}

fn refusal(error: &RuleError) -> Refusal {
    Refusal {
        code: error.reply.code.number(),
        enhanced: error
            .enhanced
            .or(error.reply.enhanced)
            .unwrap_or_else(|| EnhancedStatus::from_exit(error.exit)),
        exit: error.exit,
        text: error.reply.text().to_vec(),
        refused_at: match &error.source {
            ErrorSource::Mailer { host, .. } => Some(host.clone().unwrap_or_default()),
            ErrorSource::Mailbox(_) | ErrorSource::Syntax | ErrorSource::Rules(_) => None,
        },
        listed_as: match &error.source {
            ErrorSource::Mailer { user, .. } => Some(user.clone()),
            ErrorSource::Mailbox(triple) => Some(triple.user.clone()),
            ErrorSource::Syntax | ErrorSource::Rules(_) => None,
        },
    }
}

fn deferral(trace: &Kept) -> Refusal {
    Refusal {
        code: 451,
        enhanced: EnhancedStatus::new(4, 4, 3)
            .unwrap_or_else(|| EnhancedStatus::from_exit(ExitStatus::TempFail)),
        exit: ExitStatus::TempFail,
        text: trace
            .deferral
            .clone()
            .unwrap_or_else(|| b"Deferred: map lookup".to_vec()),
        listed_as: None,
        refused_at: None,
    }
}

/// A fault of the address that was repaired, as the sender is told.
fn repaired(complaint: &Complaint) -> Refusal {
    let reply =
        Reply::from_text(&complaint.text).unwrap_or_else(|_| Reply::of("553 5.1.0 Bad address"));
    Refusal {
        code: reply.code.number(),
        enhanced: reply
            .enhanced
            .unwrap_or_else(|| EnhancedStatus::from_exit(ExitStatus::Usage)),
        exit: ExitStatus::Usage,
        text: reply.text().to_vec(),
        listed_as: None,
        refused_at: None,
    }
}

impl Mta {
    /// Tells what the configuration says about expansion.
    ///
    /// `flags` come from the command line.
    pub fn expansion_limits(&self, flags: ExpansionFlags) -> Limits {
        let options = &self.config.options;
        let default_user = &options.security.default_user;
        Limits {
            max_depth: options.delivering.max_alias_recursion,
            forward_path: options.delivering.forward_path.clone(),
            blame: options.security.dont_blame_sendmail,
            default_user: (
                default_user.uid,
                default_user.gid,
                default_user.name.clone(),
            ),
            me_too: options.delivering.me_too,
            no_alias: flags.no_alias,
            verify_only: flags.verify_only,
            plain_only: false,
            logs_errors: false,
            logs_unknown_users: false,
            expensive_last: options.delivering.hold_expensive,
            delivery: options.queueing.delivery_mode,
            match_gecos: options.delivering.match_gecos,
            blank_substitute: options.headers.blank_sub,
            is_root: crate::sys::process::effective_user() == 0,
            old_style: options.headers.old_style_headers,
            host_name: self.config.expanded_macro(MacroId::J),
        }
    }

    /// Puts together what expansion works with, and brings alias databases up to date first.
    pub fn expand_context<'a>(
        &'a self,
        router: &'a mut Routing<'_>,
        limits: &'a Limits,
        narrator: &'a mut dyn Narrator,
        complaints: &'a mut dyn Narrator,
    ) -> ExpandContext<'a> {
        self.refresh_aliases();
        ExpandContext {
            router,
            mailers: &self.config.mailers,
            aliases: &self.aliases,
            userdb: &self.maps.services().userdb,
            users: &*self.users,
            privileged: &*self.privileged,
            log: &self.log,
            debug: &self.debug,
            narrator,
            complaints,
            limits,
            now: self.clock.now(),
        }
    }
}
