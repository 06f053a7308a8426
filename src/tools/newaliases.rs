//! newaliases (`sendmail -bi`): rebuilds the alias databases.
//!
//! Entry point: [`run`]; whether the caller may do this was decided before.

use std::io::Write;

use crate::alias::judge::{Judged, check_address, judge};
use crate::alias::rebuild::{Rebuild, RebuildHost};
use crate::macros::MacroTable;
use crate::map::AliasName;
use crate::mta::Mta;
use crate::rewrite::{Kept, RewriteWorkspace};
use crate::smtp::ExitStatus;
use crate::sys::process::effective_user;
use crate::text::bytes::printable;

/// Rebuilds every database of option AliasFile; `by` is the login name of whoever asked.
///
/// Returns the exit status: faults of an alias text do not stop the rebuild, but they show.
pub fn run(mta: &Mta, by: &[u8], out: &mut dyn Write) -> ExitStatus {
    let mut host = Host {
        mta,
        by,
        out,
        macros: MacroTable::new(),
        buffers: RewriteWorkspace::new(),
        exit: ExitStatus::Ok,
    };
    rebuild(mta, by).all(&mut host);
    host.exit
}

/// Rebuilds the databases if one is older than its text and AutoRebuildAliases is set.
///
/// Done at the start and at each reload, with root's rights only, in the same safe way as
/// newaliases: a new file that takes the place of the old one when it is complete.
pub fn run_if_stale(mta: &Mta) {
    let wanted = mta.config.options.delivering.auto_rebuild_aliases;
    if wanted && effective_user() == 0 && rebuild(mta, b"").is_any_stale() {
        run(mta, b"AutoRebuildAliases", &mut std::io::sink());
    }
}

fn rebuild<'a>(mta: &'a Mta, by: &[u8]) -> Rebuild<'a> {
    let options = &mta.config.options;
    Rebuild {
        services: mta.aliases.services(),
        checks_values: options.delivering.check_aliases,
        trusted_user: options
            .security
            .trusted_user
            .as_ref()
            .map(|account| account.uid),
        by: by.to_vec(),
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
        let mut kept = Kept::default();
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
        let mut kept = Kept::default();
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
        let severity = crate::logging::record::Severity::Critical;
        self.mta.log.syslog(
            0,
            severity,
            Some(b"NOQUEUE"),
            format_args!("SYSERR({by}): {text}"),
        );
    }
}
