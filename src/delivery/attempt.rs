//! One transaction from beginning to end: macros, identity, the call, the books.
//!
//! Puts together what [`super::program`], [`super::file`] and [`super::network`]
//! need and leaves the outcome in the envelope. Nothing here touches the queue.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::client::Witness;
use crate::envelope::{Envelope, Recipient, RecipientState};
use crate::logging::record::Severity;
use crate::logging::traffic::SentLines;
use crate::macros::{ClassId, Classes, MacroId, MacroTable, Macros};
use crate::mailer::{Invocation, Mailer};
use crate::map::Userdb;
use crate::message::mime::{ConversionStamp, MimeClasses};
use crate::mta::{Mta, Workspace};
use crate::rewrite::{Place, RewriteWorkspace, Role, Traced, rename_for_mailer};
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::file::path_buf_of;
use crate::sys::identity::Credentials;
use crate::text::quoted::strip_quotes;

use super::argv::{argument_vector, strip_backslashes};
use super::attempt_session::bare;
use super::compat::check_compat;
use super::controlling::{Controlling, controlling, credentials};
use super::file;
use super::header_view::RulesetView;
use super::ledger::{Ledger, Listeners, first_failure};
use super::network::Telling;
use super::output::{Outgoing, OutputForm, write_message};
use super::plan::Transaction;
use super::program::{self, Call as ProgramCall};
use super::response::status_of_exit;

/// The transaction in hand and everything computed for it.
pub(super) struct Attempt<'a> {
    pub(super) mta: &'a Mta,
    pub(super) envelope: &'a Envelope,
    pub(super) mailer: &'a Mailer,
    /// Recipients in the order of the call.
    pub(super) indexes: Vec<usize>,
    /// `$g`, `$h`, `$u`, `$z` and what rulesets set meanwhile.
    pub(super) macros: MacroTable,
    /// `$g`.
    pub(super) sender: Vec<u8>,
    pub(super) owner: Option<Controlling>,
    /// Added to the nice value of a program.
    pub(super) nice: i32,
}

/// Delivers to the recipients of one transaction and notes in the envelope what became of them.
///
/// Returns the status of the first failure, if there was one.
pub fn perform(
    mta: &Mta,
    workspace: &mut Workspace,
    envelope: &mut Envelope,
    transaction: &Transaction,
) -> Option<ExitStatus> {
    let (allowed, refused) = check_compat(mta, workspace, envelope, transaction);
    let transaction = &allowed;
    if transaction.recipients.is_empty() {
        return refused;
    }
    let Workspace {
        narrator,
        complaints,
        memory,
        rewrite,
        nice,
        ..
    } = workspace;
    let mut attempt = Attempt::prepare(mta, envelope, transaction, rewrite);
    attempt.nice = attempt.nice.saturating_add(*nice);
    attempt.trace_start(&transaction.host);
    let listeners = Listeners {
        log: &mta.log,
        narrator: narrator.as_mut(),
        complaints: complaints.as_mut(),
        traffic: &mta.traffic,
        clock: &*mta.clock,
    };
    let mut ledger = Ledger::open(
        envelope,
        &attempt.indexes,
        attempt.mailer,
        attempt.owner.as_ref(),
        listeners,
    );
    match (attempt.exceeded_size(), attempt.mailer.invocation()) {
        (Some(most), _) => attempt.refuse_size(most, &mut ledger),
        (None, Invocation::File) => attempt.to_file(&mut ledger, rewrite),
        (None, Invocation::Network) => attempt.to_network(&mut ledger, rewrite, memory),
        (None, Invocation::Program) => attempt.to_program(&mut ledger, rewrite, memory),
    }
    let result = ledger.close();
    drop(attempt);
    let exit = first_failure(refused, result.exit);
    result.apply(envelope);
    if is_any_delivered(envelope, transaction) {
        let (mailer, size) = (transaction.mailer.index(), envelope.size);
        let counting = &mta.counting;
        counting.count(|statistics| statistics.message_to(mailer, size));
    }
    exit
}

fn is_any_delivered(envelope: &Envelope, transaction: &Transaction) -> bool {
    transaction.recipients.iter().any(|index| {
        let recipient = envelope.recipients.get(*index);
        recipient.is_some_and(|one| matches!(one.state, RecipientState::Delivered(_)))
    })
}

/// What a transaction would look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The sender as the mailer sees him (`$g`).
    pub sender: Vec<u8>,
    /// The recipients as the mailer sees them (`$u`).
    pub users: Vec<Vec<u8>>,
    /// The argument vector.
    pub argv: Vec<Vec<u8>>,
    /// The user and group a program or file would get; none: those of the process.
    pub rights: Option<(u32, u32)>,
}

/// Tells what a transaction would look like, and does nothing.
pub fn outlook(
    mta: &Mta,
    envelope: &Envelope,
    transaction: &Transaction,
    buffers: &mut RewriteWorkspace,
) -> Outlook {
    let attempt = Attempt::prepare(mta, envelope, transaction, buffers);
    let rights = attempt.credentials().ok().flatten();
    Outlook {
        sender: attempt.sender.clone(),
        users: attempt.users(),
        argv: attempt.expanded_argv(),
        rights: rights.map(|rights| (rights.uid, rights.gid)),
    }
}

impl<'a> Attempt<'a> {
    fn prepare(
        mta: &'a Mta,
        envelope: &'a Envelope,
        transaction: &Transaction,
        buffers: &mut RewriteWorkspace,
    ) -> Self {
        let mailer = mta.config.mailers.get(transaction.mailer);
        // Observed: 8.17.1.9 names the recipients of one session or call from last to first.
        let indexes = transaction.recipients.iter().rev().copied().collect();
        let first = transaction.recipients.first();
        let recipient = first.and_then(|index| envelope.recipients.get(*index));
        let owner = recipient.and_then(|recipient| {
            controlling(envelope, recipient, &mta.config.mailers, &*mta.users)
        });
        let mut macros = MacroTable::new();
        let sender = sender_for(mta, envelope, mailer, &mut macros, buffers);
        macros.set_text(MacroId::G, &sender);
        macros.set_text(MacroId::H, &transaction.host);
        if let Some(home) = recipient.and_then(|recipient| home_of(mta, envelope, recipient)) {
            macros.set_text(MacroId::Z, &home);
        }
        let mut attempt = Attempt {
            mta,
            envelope,
            mailer,
            indexes,
            macros,
            sender,
            owner,
            nice: mailer.nice,
        };
        if let Some(user) = attempt.users().first() {
            attempt.macros.set_text(MacroId::U, user);
        }
        attempt
    }

    /// Tells what is to be delivered where (`-d10.1`, `-d49.1`). Observed: 8.17.1.9.
    fn trace_start(&self, host: &[u8]) {
        let debug = &self.mta.debug;
        if debug.is_on(10, 1) {
            let first = self.users().into_iter().next().unwrap_or_default();
            let pieces: [&[u8]; 9] = [
                b"\n--deliver, id=",
                self.envelope.id_for_log(),
                b", mailer=",
                &self.mailer.name,
                b", host=`",
                host,
                b"', first user=`",
                &first,
                b"'\n",
            ];
            debug.write(&pieces.concat());
        }
        if debug.is_on(49, 1) {
            let from = self.envelope.sender.address.as_slice();
            let all: Vec<_> = self.recipients().collect();
            for recipient in all.into_iter().rev() {
                let to = recipient.address.as_slice();
                debug.line(&[b"checkcompat(to=", to, b", from=", from, b")"].concat());
            }
        }
    }

    /// Tells the command line of a mailer (`-d11.1`). Observed: 8.17.1.9.
    pub(super) fn trace_argv(&self, argv: &[Vec<u8>]) {
        if self.mta.debug.is_on(11, 1) {
            let words = argv.join(&b' ');
            self.mta.debug.line(&[b"openmailer: ", &words[..]].concat());
        }
    }

    pub(super) fn places(&self) -> Vec<usize> {
        (0..self.indexes.len()).collect()
    }

    pub(super) fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.indexes
            .iter()
            .filter_map(|index| self.envelope.recipients.get(*index))
    }

    /// The `$u` of each recipient; a program has them in the order they were given in.
    pub(super) fn users(&self) -> Vec<Vec<u8>> {
        let mut recipients: Vec<_> = self.recipients().collect();
        if !self.mailer.speaks_smtp() {
            recipients.reverse();
        }
        recipients
            .into_iter()
            .filter_map(|recipient| recipient.triple.as_ref())
            .map(|triple| {
                let user = match self.mailer.has(b's') {
                    true => strip_quotes(&triple.user).into_owned(),
                    false if self.mailer.has(b'B') => strip_backslashes(&triple.user),
                    false => triple.user.clone(),
                };
                // The bar only said that this is a program.
                let is_program = self.mta.config.mailers.program() == Some(triple.mailer);
                match user.strip_prefix(b"|") {
                    Some(command) if is_program => command.to_vec(),
                    _ => user,
                }
            })
            .collect()
    }

    /// The largest message the mailer takes (M=), if this one is larger.
    fn exceeded_size(&self) -> Option<u64> {
        let most = u64::try_from(self.mailer.max_size).ok()?;
        (most > 0 && self.envelope.size > most).then_some(most)
    }

    /// Refuses a message that is too large, to each recipient on its own and in nobody's name.
    ///
    /// Observed: 8.17.1.9 tells the limit, and then the failure as that of a mailer.
    fn refuse_size(&self, most: u64, ledger: &mut Ledger<'_>) {
        let (subject, detail) = match self.mailer.has(b'l') {
            true => (2, 3),
            false => (3, 4),
        };
        let exit = ExitStatus::Unavailable;
        let enhanced = EnhancedStatus::new(5, subject, detail)
            .unwrap_or_else(|| EnhancedStatus::from_exit(exit));
        let mut status = status_of_exit(exit, self.mailer, self.mta.clock.now());
        status.enhanced = enhanced;
        status.reported = enhanced;
        let text = format!("552 {enhanced} Message is too large; {most} bytes max");
        ledger.relay_is(self.macros.text(MacroId::H).unwrap_or(b""));
        ledger.controlling = None;
        ledger.hide_body();
        // Observed: where failures are told as exit statuses, the log has that of this one.
        status.reply = status.diagnostic.clone();
        for place in self.places().into_iter().rev() {
            ledger.transcript(text.as_bytes());
            ledger.settle(&[place], status.clone());
        }
    }

    pub(super) fn expanded_argv(&self) -> Vec<Vec<u8>> {
        let mut front = self.macros.clone();
        let envelope_macros = &self.envelope.macros;
        let mut macros = Macros::new(&mut front, Some(envelope_macros), &self.mta.config.macros);
        let sender = &self.envelope.sender;
        let is_explicit = sender.is_explicit || sender.is_null();
        let explicit = is_explicit.then_some(self.sender.as_slice());
        argument_vector(self.mailer, &mut macros, &self.users(), explicit)
    }

    fn to_program(
        &self,
        ledger: &mut Ledger<'_>,
        buffers: &mut RewriteWorkspace,
        memory: &mut crate::mta::Memory,
    ) {
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(error) => return self.postpone(ledger, &error),
        };
        let call = ProgramCall {
            program: path_buf_of(self.mailer.path.clone()),
            argv: self.expanded_argv(),
            environment: self.environment(),
            directories: self.directories(),
            start_directory: self.queue_directory(),
            credentials,
            chroot: self.chroot(),
            nice: self.nice,
            drain: self.mta.config.options.timeouts.quit,
            wait: self.mailer.wait,
        };
        self.trace_argv(&call.argv);
        if self.mta.traffic.is_on() {
            let words = call.argv.join(&b' ');
            self.mta.traffic.event(&[&b"EXEC "[..], &words].concat());
        }
        if self.mailer.speaks_smtp() {
            return self.through_program(call, ledger, buffers, memory);
        }
        ledger.message(&self.connecting());
        ledger.relay_is(self.macros.text(MacroId::H).unwrap_or(b""));
        let form = OutputForm::for_program(self.envelope, self.mailer);
        let mut letter = |out: &mut dyn Write| self.write_watched(&form, buffers, out);
        let end = program::run(&*self.mta.privileged, call, &mut letter);
        if let Some(trouble) = &end.trouble {
            ledger.problem(trouble.as_bytes());
        }
        if end.kept_talking {
            ledger.notice(b"timeout waiting for input from local during Draining Input");
        }
        if end.is_overdue {
            let name = crate::text::bytes::printable(&self.mailer.name);
            let seconds = self.mailer.wait.as_secs();
            let why = "Connection timed out";
            ledger.overdue(&format!(
                "endmailer {name}: wait timeout ({seconds}): {why}"
            ));
        }
        if let Some(signal) = end.signal {
            let name = crate::text::bytes::printable(&self.mailer.name);
            ledger.died(&format!("mailer {name} died with signal {signal}"));
        }
        self.mta.traffic.heard_all(&end.output);
        let output = end.output.strip_suffix(b"\n").unwrap_or(&end.output);
        for line in output
            .split(|byte| *byte == b'\n')
            .filter(|_| !output.is_empty())
        {
            ledger.transcript(line);
        }
        let status = status_of_exit(end.exit, self.mailer, self.mta.clock.now());
        ledger.settle(&self.places(), status);
    }

    fn to_file(&self, ledger: &mut Ledger<'_>, buffers: &mut RewriteWorkspace) {
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(error) => return self.postpone(ledger, &error),
        };
        let argv = self.expanded_argv();
        let security = &self.mta.config.options.security;
        let path = argv.get(1).map_or(&b""[..], Vec::as_slice);
        let target = file::Target {
            path: file::path_inside(security, path),
            root: file::environment(security, path).map(std::path::Path::to_path_buf),
            credentials,
            follows_set_ids: self.is_nobodys(),
            new_mode: self.mta.config.options.queueing.temp_file_mode,
        };
        let form = OutputForm::for_program(self.envelope, self.mailer);
        let mut letter = |out: &mut dyn Write| self.write_watched(&form, buffers, out);
        let exit = match file::append(&*self.mta.privileged, security, &target, &mut letter) {
            Ok(()) => ExitStatus::Ok,
            Err(failure) => failure.exit,
        };
        let status = status_of_exit(exit, self.mailer, self.mta.clock.now());
        ledger.settle(&self.places(), status);
    }

    /// Who knows names for header addresses, if the sender's mailer has F=j.
    fn mail_names(&self) -> Option<&'a Userdb> {
        let mailer = self.envelope.sender.triple.as_ref()?.mailer;
        let userdb = &self.mta.maps.services().userdb;
        (self.mta.config.mailers.get(mailer).has(b'j') && !userdb.is_empty()).then_some(&**userdb)
    }

    /// The sender's `@domain` for header addresses without one, if his mailer has F=C.
    fn sender_domain(&self) -> Option<&'a [u8]> {
        let sender = &self.envelope.sender;
        let mailer = self.mta.config.mailers.get(sender.triple.as_ref()?.mailer);
        if !mailer.has(b'C') {
            return None;
        }
        let address = bare(&sender.address);
        let at = address.iter().rposition(|byte| *byte == b'@')?;
        address.get(at..)
    }

    fn write(
        &self,
        form: &OutputForm,
        buffers: &mut RewriteWorkspace,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut front = self.macros.clone();
        let mut traced = Traced(&self.mta.debug);
        let from_line = self.mta.config.options.headers.unix_from_line.clone();
        let from_line = self.expand_template(&from_line);
        let mut cx = self.mta.rewrite_context(
            &mut front,
            Some(&self.envelope.macros),
            &mut traced,
            buffers,
        );
        let mut view = RulesetView::new(&mut cx, self.mailer, self.sender_domain(), from_line)
            .with_mail_names(self.mail_names())
            .with_rules(&self.mta.config.headers);
        let classes = BodyClasses(&self.mta.config.classes);
        let outgoing = Outgoing {
            envelope: self.envelope,
            mailer: self.mailer,
            options: &self.mta.config.options.headers,
            classes: &classes,
            stamp: ConversionStamp {
                host: self.mta.config.expanded_macro(MacroId::J),
                queue_id: self.envelope.id_for_log().to_vec(),
            },
            hides_receipts: self.mta.config.options.delivering.rrt_implies_dsn,
            log: &|text| {
                let id = self.envelope.id_for_log();
                // Whatever the LogLevel is. Observed: 8.17.1.9.
                self.mta.log.syslog(0, Severity::Alert, Some(id), text);
            },
        };
        write_message(&outgoing, form, &mut view, out).map(|_| ())
    }

    /// Writes the message, before the eyes of whoever reads the traffic log.
    pub(super) fn write_watched(
        &self,
        form: &OutputForm,
        buffers: &mut RewriteWorkspace,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = SentLines::new(&self.mta.traffic, out);
        self.write(form, buffers, &mut lines)?;
        lines.finish();
        Ok(())
    }

    /// Tells whether no user but the default one has named the recipient.
    fn is_nobodys(&self) -> bool {
        let default = self.mta.config.options.security.default_user.uid;
        (self.owner.as_ref()).is_none_or(|owner| owner.uid == 0 || owner.uid == default)
    }

    fn credentials(&self) -> io::Result<Option<Credentials>> {
        if crate::sys::process::effective_user() != 0 {
            return Ok(None);
        }
        credentials(
            self.mailer,
            &self.mta.config.options.security,
            &*self.mta.users,
            self.owner.as_ref(),
        )
    }

    fn environment(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut environment = vec![(b"AGENT".to_vec(), b"sendmail".to_vec())];
        environment.extend(self.mta.config.environment.iter().cloned());
        environment
    }

    fn expand_template(&self, template: &crate::macros::Template) -> Vec<u8> {
        let mut front = self.macros.clone();
        let envelope_macros = &self.envelope.macros;
        let macros = Macros::new(&mut front, Some(envelope_macros), &self.mta.config.macros);
        template.expanded(&macros)
    }

    fn directories(&self) -> Vec<PathBuf> {
        match &self.mailer.directory {
            Some(template) => self
                .expand_template(template)
                .split(|byte| *byte == b':')
                .filter(|path| !path.is_empty())
                .map(|path| path_buf_of(path.to_vec()))
                .collect(),
            None => Vec::new(),
        }
    }

    fn queue_directory(&self) -> Option<PathBuf> {
        let queue = &self.mta.queue;
        (!queue.groups().is_empty()).then(|| queue.folder().to_path_buf())
    }

    fn chroot(&self) -> Option<PathBuf> {
        let template = self.mailer.root.as_ref()?;
        Some(path_buf_of(self.expand_template(template)))
    }

    /// Words `Connecting to HOST via MAILER...`.
    pub(super) fn connecting(&self) -> Vec<u8> {
        let host = self.macros.text(MacroId::H).unwrap_or(b"");
        let name = &self.mailer.name;
        if host.is_empty() {
            [b"Connecting to ", name.as_slice(), b"..."].concat()
        } else {
            [b"Connecting to ", host, b" via ", name, b"..."].concat()
        }
    }

    /// Something of ours did not answer: all recipients wait.
    fn postpone(&self, ledger: &mut Ledger<'_>, error: &io::Error) {
        ledger.problem(error.to_string().as_bytes());
        let status = status_of_exit(ExitStatus::TempFail, self.mailer, self.mta.clock.now());
        ledger.settle(&self.places(), status);
    }
}

/// The classes that steer MIME conversion.
struct BodyClasses<'a>(&'a Classes);

impl MimeClasses for BodyClasses<'_> {
    fn contains(&self, letter: u8, word: &[u8]) -> bool {
        self.0.contains(ClassId::letter(letter), word)
    }
}

/// The sender as the mailer wants it (`$g`).
fn sender_for(
    mta: &Mta,
    envelope: &Envelope,
    mailer: &Mailer,
    macros: &mut MacroTable,
    buffers: &mut RewriteWorkspace,
) -> Vec<u8> {
    let given: &[u8] = if envelope.sender.is_null() {
        b"<>"
    } else {
        envelope.sender.envelope_name()
    };
    let mut traced = Traced(&mta.debug);
    let mut cx = mta.rewrite_context(macros, Some(&envelope.macros), &mut traced, buffers);
    match rename_for_mailer(given, mailer, Role::Sender, Place::Envelope, &mut cx) {
        Ok(address) => address,
        Err(failure) => failure.address,
    }
}

/// The home directory `$z` names: of the local user himself, else of whoever the delivery is
/// made for; a list has an owner, but no home (observed: 8.17.1.9).
fn home_of(mta: &Mta, envelope: &Envelope, recipient: &Recipient) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let triple = recipient.triple.as_ref()?;
    let mailers = &mta.config.mailers;
    let mailer = mailers.get(triple.mailer);
    let is_special = [mailers.program(), mailers.file()].contains(&Some(triple.mailer));
    let sender = envelope.sender.controlling.as_ref();
    let sender_triple = envelope.sender.triple.as_ref();
    let has_home = sender_triple.is_some_and(|triple| mailers.get(triple.mailer).has(b'w'));
    let himself = if mailer.has(b'w') {
        mta.users.user_by_name(&triple.user).ok().flatten()
    } else {
        None
    };
    let home = match (himself, &recipient.controlling_user) {
        (Some(user), _) => user.home,
        (None, Some(owner)) if mailer.has(b'o') => owner.home.clone(),
        (None, _) if is_special || !has_home => return None,
        (None, _) => sender?.home.clone(),
    };
    let home = home.as_os_str().as_bytes().to_vec();
    (!home.is_empty()).then_some(home)
}
