//! The sender of a submission: who he is, what `$f` and `$x` become.
//!
//! Source: guide sections 5.2 and 4.9; observed: 8.17.1.9 for a sender that cannot be
//! taken and for the AUTH parameter of local mail.

use super::submitter::Submitter;
use crate::envelope::{ControllingUser, Sender};
use crate::logging::record::Severity;
use crate::macros::{MacroId, MacroTable};
use crate::mailer::MailerTriple;
use crate::mta::{Mta, Workspace};
use crate::rewrite::resolve::ErrorSource;
use crate::rewrite::{Kept, Resolution, Role, resolve_address};
use crate::smtp::{ExitStatus, xtext};
use crate::text::bytes::escape_for_display;

/// What follows an address whose look-ups cannot be answered now. Observed: 8.17.1.9.
const TRANSIENT: &[u8] = b"... Transient parse error -- message queued for future delivery";

/// A sender with what follows from him.
#[derive(Debug, Clone)]
pub struct ResolvedSender {
    /// For the envelope.
    pub sender: Sender,
    /// `$f`.
    pub canonical: Vec<u8>,
    /// The AUTH parameter; none for the null sender.
    pub auth: Option<Vec<u8>>,
    /// What was wrong with the address that was given, with its reply code.
    pub complaints: Vec<Vec<u8>>,
    /// Why he cannot be judged now, with its reply code; he is taken meanwhile.
    pub waits_for: Option<Vec<u8>>,
    /// What the system denied to maps.
    pub faults: Vec<Vec<u8>>,
    /// What whoever watches is told after that.
    pub remark: Option<Vec<u8>>,
    /// The status of a rule that refused the sender given.
    pub exit: Option<ExitStatus>,
}

/// Resolves the sender; one that cannot be taken is replaced by the submitter himself.
pub fn resolve_sender(
    given: &[u8],
    full_name: Option<&[u8]>,
    submitter: &Submitter,
    macros: &mut MacroTable,
    mta: &Mta,
    workspace: &mut Workspace,
) -> ResolvedSender {
    let given = printed_form(given);
    if mta.debug.is_on(45, 1) {
        mta.debug.line(&[b"setsender(", &given[..], b")"].concat());
    }
    let mut heard = Heard::default();
    let mut exit = None;
    let (address, triple) = match resolve(&given, macros, mta, workspace, &mut heard) {
        Ok(triple) => (given, triple),
        Err(refused) => {
            exit = refused;
            log_bad_sender(&given, macros, mta);
            let own = submitter.name.clone();
            let triple = resolve(&own, macros, mta, workspace, &mut Heard::default());
            match triple {
                Ok(triple) => (own, triple),
                Err(_) => return postmaster(macros, mta, workspace, heard),
            }
        }
    };
    let resolved = finish(
        address, triple, full_name, submitter, macros, mta, workspace, heard,
    );
    ResolvedSender { exit, ..resolved }
}

/// What rules and maps said of an address.
#[derive(Debug, Default)]
struct Heard {
    complaints: Vec<Vec<u8>>,
    waits_for: Option<Vec<u8>>,
    faults: Vec<Vec<u8>>,
    remark: Option<Vec<u8>>,
}

/// Logs a sender that cannot be taken.
fn log_bad_sender(given: &[u8], macros: &MacroTable, mta: &Mta) {
    let came_from = macros.text(MacroId::UNDERSCORE).unwrap_or(b"localhost");
    mta.log.syslog(
        3,
        Severity::Notice,
        macros.text(MacroId::I),
        format_args!(
            "setsender: {}: invalid or unparsable, received from {}",
            escape_for_display(given),
            escape_for_display(came_from)
        ),
    );
}

/// The last resort: the name of the error daemon.
fn postmaster(
    macros: &mut MacroTable,
    mta: &Mta,
    workspace: &mut Workspace,
    heard: Heard,
) -> ResolvedSender {
    let address = mta.config.expanded_macro(MacroId::N);
    let triple = resolve(&address, macros, mta, workspace, &mut Heard::default());
    let sender = Sender {
        address: address.clone(),
        triple: triple.ok().flatten(),
        ..Sender::default()
    };
    ResolvedSender {
        sender,
        canonical: address,
        auth: None,
        complaints: heard.complaints,
        waits_for: heard.waits_for,
        faults: heard.faults,
        remark: heard.remark,
        exit: None,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one step of one function, kept apart to be read"
)]
fn finish(
    address: Vec<u8>,
    triple: Option<MailerTriple>,
    full_name: Option<&[u8]>,
    submitter: &Submitter,
    macros: &mut MacroTable,
    mta: &Mta,
    workspace: &mut Workspace,
    heard: Heard,
) -> ResolvedSender {
    let has_users = |triple: &&MailerTriple| mta.config.mailers.get(triple.mailer).has(b'w');
    let local = triple.as_ref().filter(has_users);
    let is_local = local.is_some();
    let account = local.and_then(|triple| mta.users.user_by_name(&triple.user).ok().flatten());
    // Only a local sender has a full name of his own; others bring theirs in the header.
    let full_name = full_name
        .filter(|_| is_local)
        .map(<[u8]>::to_vec)
        .or_else(|| {
            let account = account.as_ref()?;
            Some(account.full_name()).filter(|name| !name.is_empty())
        });
    let owner = account
        .as_ref()
        .or(submitter.account.as_ref().filter(|_| !is_local));
    let controlling = owner.map(|user| ControllingUser {
        // Somebody else's address is no account: no groups but the primary one.
        name: if is_local {
            user.name.clone()
        } else {
            address.clone()
        },
        uid: user.uid,
        gid: user.gid,
        home: user.home.clone(),
        alias: address.clone(),
    });
    let id = macros.text(MacroId::I);
    let mail_name = triple.as_ref().and_then(|triple| mta.mail_name(triple, id));
    let named = mail_name.as_deref().unwrap_or(&address);
    let canonical = mta.canonical_sender(named, macros, &mut workspace.rewrite);
    let public_name = triple
        .as_ref()
        .and_then(|triple| mta.public_name(triple, &canonical));
    // Observed: only who sends as himself, or may send as anybody, is authenticated by that.
    let may = address == submitter.name || mta.config.is_trusted(&submitter.name);
    let auth = (may && !matches!(canonical.as_slice(), b"" | b"<>")).then(|| {
        let bare = canonical
            .strip_prefix(b"<")
            .and_then(|text| text.strip_suffix(b">"))
            .unwrap_or(&canonical);
        let host = mta.config.expanded_macro(MacroId::J);
        let whole = match bare.contains(&b'@') {
            true => bare.to_vec(),
            false => [bare, b"@", &host].concat(),
        };
        as_parameter(&whole)
    });
    let sender = Sender {
        address,
        public_name,
        triple,
        controlling,
        full_name,
        is_explicit: false,
    };
    ResolvedSender {
        sender,
        canonical,
        auth,
        complaints: heard.complaints,
        waits_for: heard.waits_for,
        faults: heard.faults,
        remark: heard.remark,
        exit: None,
    }
}

/// Writes a name as the AUTH parameter has it.
///
/// Source: RFC 4954 section 5; observed: 8.17.1.9 also encodes backslashes.
fn as_parameter(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    for part in name.split_inclusive(|byte| *byte == b'\\') {
        match part.strip_suffix(b"\\") {
            Some(before) => {
                xtext::encode(before, &mut text);
                text.extend_from_slice(b"+5C");
            }
            None => xtext::encode(part, &mut text),
        }
    }
    text
}

/// One line, never empty: the null sender is written `<>`.
fn printed_form(given: &[u8]) -> Vec<u8> {
    let line: Vec<u8> = given
        .iter()
        .map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        })
        .collect();
    if line.trim_ascii().is_empty() {
        b"<>".to_vec()
    } else {
        line
    }
}

/// Gives the mailer of an address, none where the rules cannot say now.
fn resolve(
    address: &[u8],
    macros: &mut MacroTable,
    mta: &Mta,
    workspace: &mut Workspace,
    heard: &mut Heard,
) -> Result<Option<MailerTriple>, Option<ExitStatus>> {
    let mut trace = Kept::traced(&mta.debug);
    let mut cx = mta.rewrite_context(macros, None, &mut trace, &mut workspace.rewrite);
    let resolution = resolve_address(address, Role::Sender, &mut cx);
    for fault in &trace.faults {
        let line = format_args!("SYSERR(root): {}", escape_for_display(fault));
        mta.log.syslog(0, Severity::Critical, None, line);
    }
    heard.faults = trace.faults;
    for remark in &trace.remarks {
        workspace.narrator.say(remark);
    }
    let complaints = trace.complaints.into_iter();
    heard.complaints = complaints.map(|complaint| complaint.text).collect();
    let triple = match resolution {
        Resolution::Mailer(triple) => triple,
        Resolution::Deferred(triple) => {
            heard.remark = Some([address, TRANSIENT].concat());
            triple
        }
        Resolution::Error(error) => match error.source {
            // Observed: 8.17.1.9 takes a sender whom rules put off.
            ErrorSource::Mailer { .. } if error.exit.is_temporary() => {
                heard.waits_for = heard.complaints.pop();
                return Ok(None);
            }
            ErrorSource::Mailer { .. } => return Err(Some(error.exit)),
            ErrorSource::Rules(_) => return Err(Some(ExitStatus::Software)),
            ErrorSource::Syntax | ErrorSource::Mailbox(_) => return Err(None),
        },
    };
    let mailers = &mta.config.mailers;
    let special = [mailers.program(), mailers.file(), mailers.include()];
    if special.contains(&Some(triple.mailer)) {
        heard
            .complaints
            .push(b"553 5.1.7 Invalid sender address".to_vec());
        return Err(None);
    }
    Ok(Some(triple))
}
