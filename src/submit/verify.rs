//! Verify mode (-bv): where would mail to these addresses go?
//!
//! Aliases are expanded as for a delivery, then one line is printed for each final
//! recipient. Programs read these lines: the wording is an interface.
//!
//! Source: guide appendix A; observed: 8.17.1.9 for the lines.

use std::io::Read;

use super::SubmitArguments;
use super::input::read_message;
use super::message::{Desk, log_connect};
use super::sender::resolve_sender;
use super::submitter::Submitter;
use super::telling::LastWord;
use super::warnings::Warnings;
use crate::alias::expand::Expansion;
use crate::config::options::DeliveryMode;
use crate::envelope::{Envelope, Recipient};
use crate::logging::narrator::{Narrator, Stdout};
use crate::macros::MacroId;
use crate::mta::routing::{ExpansionFlags, Routing};
use crate::mta::{Mta, Workspace};
use crate::smtp::ExitStatus;

/// Verifies the operands and returns the exit status.
pub fn verify_addresses(
    mta: &Mta,
    workspace: &mut Workspace,
    arguments: &SubmitArguments,
) -> ExitStatus {
    log_connect(mta, &Submitter::of(arguments.uid, &*mta.users));
    if arguments.recipients.is_empty() {
        Stdout.say(b"Recipient names must be specified");
        return ExitStatus::Usage;
    }
    let mut envelope = Envelope {
        id: Some(mta.queue.ids().next(&*mta.clock)),
        macros: arguments.macros.clone(),
        ..Envelope::default()
    };
    let submitter = Submitter::of(arguments.uid, &*mta.users);
    let mut warnings = Warnings::of_surroundings(mta, arguments, &submitter);
    let given = arguments
        .sender
        .as_ref()
        .map_or(&submitter.name, |(sender, _)| sender);
    let mut macros = std::mem::take(&mut envelope.macros);
    let resolved = resolve_sender(given, None, &submitter, &mut macros, mta, workspace);
    macros.set_text(MacroId::F, &resolved.canonical);
    envelope.sender = resolved.sender;
    warnings.add_sender(mta, arguments, &submitter, &envelope);
    let flags = ExpansionFlags {
        no_alias: arguments.no_alias,
        ..ExpansionFlags::default()
    };
    let mut limits = mta.expansion_limits(flags);
    limits.delivery = DeliveryMode::QueueOnly;
    limits.old_style = false;
    limits.logs_errors = true;
    let mut routing = Routing::new(mta, &mut macros, &mut workspace.rewrite);
    let mut errors = Stdout;
    let mut cx = mta.expand_context(&mut routing, &limits, &mut *workspace.narrator, &mut errors);
    let mut expansion = Expansion::new(&mut envelope, &mut cx);
    let template = Recipient::new(Vec::new());
    for list in &arguments.recipients {
        expansion.add_list_text(&super::message::one_line(list), &template);
    }
    let summary = expansion.finish();
    say_deliverable(mta, &envelope);
    summary.exit_status()
}

/// Verifies the recipients that the header of a message names (`-bv -t`), and returns the exit
/// status.
///
/// Observed: 8.17.1.9: once there was an error, nothing is said of the others.
pub fn verify_header(
    mta: &Mta,
    workspace: &mut Workspace,
    arguments: &SubmitArguments,
    source: &mut dyn Read,
) -> ExitStatus {
    let mut entry = mta.queue.new_entry(0, &*mta.clock);
    let mut desk = Desk::new(mta, workspace, arguments, entry.id().clone());
    desk.settle_sender();
    desk.add_operands();
    let rules = desk.input_rules();
    let input = match read_message(source, &rules, &mut entry) {
        Ok(input) => input,
        Err(_) => return ExitStatus::IoError,
    };
    desk.held = Some(LastWord::default());
    desk.take_header(input);
    desk.release();
    if desk.summary.errors > 0 {
        return desk.exit().unwrap_or(ExitStatus::Ok);
    }
    if desk.envelope.recipients.is_empty() {
        Stdout.say(b"No recipient addresses found in header");
    }
    say_deliverable(mta, &desk.envelope);
    ExitStatus::Ok
}

fn say_deliverable(mta: &Mta, envelope: &Envelope) {
    let open = envelope.recipients.iter().filter(|one| one.state.is_open());
    for line in open.filter_map(|recipient| deliverable_line(mta, recipient)) {
        Stdout.say(&line);
    }
}

fn deliverable_line(mta: &Mta, recipient: &Recipient) -> Option<Vec<u8>> {
    let triple = recipient.triple.as_ref().or(recipient.expected.as_ref())?;
    let mailer = mta.config.mailers.get(triple.mailer);
    let mut line = [
        &recipient.address[..],
        b"... deliverable: mailer ",
        &mailer.name,
    ]
    .concat();
    if !triple.host.is_empty() {
        line.extend_from_slice(b", host ");
        line.extend_from_slice(&triple.host);
    }
    line.extend_from_slice(b", user ");
    line.extend_from_slice(&triple.user);
    Some(line)
}
