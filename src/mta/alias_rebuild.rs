//! Alias databases made out of their texts: newaliases and AutoRebuildAliases.
//!
//! The work is that of [`crate::alias::rebuild`]; here it gets the rulesets it judges
//! names with, and a place to complain.

use std::io::Write;

use crate::alias::judge::{Judged, check_address, judge};
use crate::alias::rebuild::{Rebuild, RebuildHost};
use crate::logging::record::Severity;
use crate::macros::MacroTable;
use crate::map::AliasName;
use crate::rewrite::{Kept, RewriteWorkspace};
use crate::smtp::ExitStatus;
use crate::sys::process::effective_user;
use crate::text::bytes::printable;

use super::Mta;

/// Who rebuilt a database, in the log, when nobody asked for it.
const NOBODY_ASKED: &[u8] = b"AutoRebuildAliases";

impl Mta {
    /// Rebuilds every database of option AliasFile; `by` is the login name of whoever asked.
    ///
    /// Returns the exit status: faults of an alias text do not stop the rebuild, but they show.
    pub fn rebuild_aliases(&self, by: &[u8], out: &mut dyn Write) -> ExitStatus {
        let mut host = Host::new(self, by, out);
        self.rebuild(by).all(&mut host);
        host.exit
    }

    /// Rebuilds databases older than their texts if AutoRebuildAliases is set and we are root.
    pub fn refresh_aliases(&self) {
        if self.config.options.delivering.auto_rebuild_aliases && effective_user() == 0 {
            let mut out = std::io::sink();
            let mut host = Host::new(self, NOBODY_ASKED, &mut out);
            let rebuild = self.rebuild(NOBODY_ASKED);
            rebuild.stale(&self.lifetime.tried_aliases, &mut host);
        }
    }

    fn rebuild(&self, by: &[u8]) -> Rebuild<'_> {
        let options = &self.config.options;
        Rebuild {
            services: self.aliases.services(),
            checks_values: options.delivering.check_aliases,
            trusted_user: options.security.trusted_user,
            by: by.to_vec(),
        }
    }
}

struct Host<'a> {
    mta: &'a Mta,
    by: &'a [u8],
    out: &'a mut dyn Write,
    macros: MacroTable,
    buffers: RewriteWorkspace,
    exit: ExitStatus,
}

impl<'a> Host<'a> {
    fn new(mta: &'a Mta, by: &'a [u8], out: &'a mut dyn Write) -> Self {
        Host {
            mta,
            by,
            out,
            macros: MacroTable::new(),
            buffers: RewriteWorkspace::new(),
            exit: ExitStatus::Ok,
        }
    }
}

impl Host<'_> {
    fn report(&mut self, place: &[u8], judged: Judged) {
        for message in judged.messages {
            self.say(&[place, &message].concat());
        }
        if let Some(exit) = judged.exit {
            self.exit = exit;
        }
    }
}

impl RebuildHost for Host<'_> {
    fn judge(&mut self, place: &[u8], name: &[u8]) -> AliasName {
        let mut kept = Kept::traced(&self.mta.debug);
        let (verdict, error) = judge(
            name,
            &mut self
                .mta
                .rewrite_context(&mut self.macros, None, &mut kept, &mut self.buffers),
        );
        self.report(place, Judged::new(name, error, kept));
        verdict
    }

    fn check(&mut self, place: &[u8], rest: &[u8]) {
        let mut kept = Kept::traced(&self.mta.debug);
        let error = check_address(
            rest,
            &mut self
                .mta
                .rewrite_context(&mut self.macros, None, &mut kept, &mut self.buffers),
        );
        self.report(place, Judged::new(rest, error, kept));
    }

    fn say(&mut self, text: &[u8]) {
        // Nobody is left to be told when standard output is gone.
        let _ = self.out.write_all(&[text, b"\n"].concat());
    }

    fn complain(&mut self, text: &[u8]) {
        self.say(text);
        self.exit = ExitStatus::Software;
        let (by, text) = (printable(self.by), printable(text));
        let severity = Severity::Critical;
        self.mta.log.syslog(
            0,
            severity,
            Some(b"NOQUEUE"),
            format_args!("SYSERR({by}): {text}"),
        );
    }
}
