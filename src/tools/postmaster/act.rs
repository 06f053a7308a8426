//! The actions of `--queue`, one entry after the other.

use std::io::{self, Write};

use super::request::{Action, Request};
use super::selection::each_entry;
use super::show;
use crate::daemon::queue_runner::as_in_a_run;
use crate::delivery::run::{Occasion, deliver, end_of_run, give_up};
use crate::envelope::QueueId;
use crate::logging::record::Severity;
use crate::mta::{Mta, Workspace};
use crate::queue::{AmendError, Complaint, EntryName, FileKind, Grip, Record, TakeError, Taken};
use crate::smtp::ExitStatus;
use crate::text::bytes::printable;
use crate::text::json::Json;

/// LogLevel from which it is logged what was done by hand to an entry.
const BY_HAND_LEVEL: u8 = 5;

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It was done.
    Done(String),
    /// It would be done, were this no rehearsal.
    Planned,
    /// Somebody works on it.
    Busy,
    /// It is not there, or no longer what was asked for.
    Absent(&'static str),
    /// It could not be done.
    Failed(String),
}

impl Outcome {
    /// Gives the word for programs.
    fn word(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Planned => "planned",
            Outcome::Busy => "busy",
            Outcome::Absent(_) => "absent",
            Outcome::Failed(_) => "failed",
        }
    }

    fn detail(&self) -> &str {
        match self {
            Outcome::Done(detail) | Outcome::Failed(detail) => detail,
            Outcome::Absent(detail) => detail,
            Outcome::Planned | Outcome::Busy => "",
        }
    }
}

/// How many entries came to what.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    planned: usize,
    busy: usize,
    absent: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Planned => self.planned += 1,
            Outcome::Busy => self.busy += 1,
            Outcome::Absent(_) => self.absent += 1,
            Outcome::Failed(_) => self.failed += 1,
        }
    }

    fn status(&self) -> ExitStatus {
        if self.failed > 0 {
            ExitStatus::OsError
        } else if self.busy > 0 {
            ExitStatus::TempFail
        } else if self.absent > 0 || self.done + self.planned == 0 {
            ExitStatus::NoInput
        } else {
            ExitStatus::Ok
        }
    }

    /// Words the last line for people.
    fn in_words(&self, action: &Action) -> String {
        let done = past(action);
        let planned = format!("would be {done}");
        let parts = [
            (self.done, done),
            (self.planned, &planned),
            (self.busy, "busy"),
            (self.absent, "not there"),
            (self.failed, "failed"),
        ];
        let told = parts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match told.is_empty() {
            true => "no entries".to_owned(),
            false => told.join(", "),
        }
    }
}

/// Gives the word for what an action has done.
fn past(action: &Action) -> &'static str {
    match action {
        Action::List => "listed",
        Action::Show => "shown",
        Action::Hold(_) => "held",
        Action::Release => "released",
        Action::Delete => "deleted",
        Action::Bounce(_) => "returned",
        Action::Retry => "tried",
        Action::Move(_) => "moved",
    }
}

/// Does what a request asks for; `caller` is who asks, for the log.
///
/// Returns 0 when everything selected was done, 66 when something named or everything is not
/// there, 75 when something was busy, 71 when something failed.
///
/// # Errors
/// When a directory of the queue cannot be read or nobody reads what is printed.
pub fn run(
    mta: &Mta,
    workspace: &mut Workspace,
    request: &Request,
    caller: &[u8],
    out: &mut dyn Write,
) -> io::Result<ExitStatus> {
    let target = match &request.action {
        Action::Move(group) => Some(group),
        _ => request.filter.group.as_ref(),
    };
    for group in target.into_iter().chain(&request.filter.group) {
        if mta.queue.find(group).is_none() {
            writeln!(out, "Queue group {} unknown", printable(group))?;
            return Ok(ExitStatus::Usage);
        }
    }
    let count = match request.action {
        Action::List => show::list(mta, &request.filter, request.json, out)?,
        Action::Show => show::show(mta, &request.filter, request.json, out)?,
        _ => return Hand::new(mta, workspace, request, caller, out).work(),
    };
    let is_empty_list = request.filter.is_empty();
    Ok(match count {
        0 if !is_empty_list => ExitStatus::NoInput,
        _ => ExitStatus::Ok,
    })
}

/// One request at work.
struct Hand<'a> {
    mta: &'a Mta,
    workspace: &'a mut Workspace,
    request: &'a Request,
    caller: &'a [u8],
    out: &'a mut dyn Write,
    tally: Tally,
}

impl<'a> Hand<'a> {
    fn new(
        mta: &'a Mta,
        workspace: &'a mut Workspace,
        request: &'a Request,
        caller: &'a [u8],
        out: &'a mut dyn Write,
    ) -> Self {
        Hand {
            mta,
            workspace,
            request,
            caller,
            out,
            tally: Tally::default(),
        }
    }

    fn work(mut self) -> io::Result<ExitStatus> {
        // All are found before any is touched: what is renamed or moved is not met again.
        let mut entries = Vec::new();
        each_entry(self.mta, &self.request.filter, &mut |name, _| {
            entries.push(name);
            Ok(())
        })?;
        for name in &entries {
            let (outcome, record) = self.one(name);
            self.tell(&name.id, Some(name), &outcome, record.as_ref())?;
            if self.request.action == Action::Retry {
                // One entry may take minutes; who waits sees how far it is.
                self.out.flush()?;
            }
        }
        self.missing(&entries)?;
        if !self.request.json {
            writeln!(self.out, "{}", self.tally.in_words(&self.request.action))?;
        }
        end_of_run(self.mta, self.workspace);
        Ok(self.tally.status())
    }

    /// Tells of identifiers that were named and not found.
    fn missing(&mut self, found: &[EntryName]) -> io::Result<()> {
        let wanted = self.request.filter.ids.iter();
        let missing: Vec<&QueueId> = wanted
            .filter(|id| !found.iter().any(|name| name.id == **id))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut elsewhere = Vec::new();
        for group in self.mta.queue.groups() {
            for directory in &group.directories {
                elsewhere.extend(
                    directory
                        .entries()?
                        .into_iter()
                        .filter(|(_, id)| missing.contains(&id)),
                );
            }
        }
        for id in missing {
            let kind = elsewhere.iter().find(|(_, other)| other == id);
            let why = match kind {
                None => "not in the queue",
                Some((kind, _)) if self.request.filter.kinds.contains(kind) => "does not fit",
                Some((FileKind::Quarantined, _)) => "it is held",
                Some((FileKind::Lost, _)) => "it is lost",
                Some(_) => "it is not held",
            };
            self.tell(id, None, &Outcome::Absent(why), None)?;
        }
        Ok(())
    }

    /// Does it to one entry; the record as it was then comes back for the report.
    fn one(&mut self, name: &EntryName) -> (Outcome, Option<Record>) {
        if !self.request.dry_run
            && let Action::Bounce(_) | Action::Retry = self.request.action
        {
            return self.delivered(name);
        }
        let grip = match name.grip() {
            Ok(grip) => grip,
            Err(error) => return (refused(error), None),
        };
        let record = grip.record().clone();
        if !self.request.filter.accepts(&record, self.mta.clock.now()) {
            return (Outcome::Absent("it has changed meanwhile"), None);
        }
        let outcome = match self.request.dry_run {
            true => Outcome::Planned,
            false => self.amended(name, grip),
        };
        if let Outcome::Done(_) = outcome {
            self.log(name, &record);
        }
        (outcome, Some(record))
    }

    fn amended(&self, name: &EntryName, grip: Grip) -> Outcome {
        let (amended, detail) = match &self.request.action {
            Action::Hold(reason) => (grip.hold(reason), printable(reason)),
            Action::Release => (grip.release(), String::new()),
            Action::Delete => (grip.delete(), String::new()),
            Action::Move(group) => self.moved(name, grip, group),
            Action::List | Action::Show | Action::Bounce(_) | Action::Retry => {
                return Outcome::Failed("not done by changing the entry".to_owned());
            }
        };
        match amended {
            Ok(()) => Outcome::Done(detail),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn moved(
        &self,
        name: &EntryName,
        grip: Grip,
        group: &[u8],
    ) -> (Result<(), AmendError>, String) {
        let queue = &self.mta.queue;
        let index = queue.find(group).unwrap_or(0);
        if queue.group_holding(&name.directory) == index {
            return (Ok(()), "it is there already".to_owned());
        }
        let target = queue.directory_for(index, &*self.mta.clock);
        let path = target.path().display().to_string();
        (grip.move_to(target), path)
    }

    /// Takes an entry as a queue runner does, and tries or returns it.
    fn delivered(&mut self, name: &EntryName) -> (Outcome, Option<Record>) {
        let Taken {
            message,
            complaints,
        } = match name.take() {
            Ok(taken) => taken,
            Err(error) => return (refused(error), None),
        };
        let record = name.observe_record().unwrap_or_default();
        if !self.request.filter.accepts(&record, self.mta.clock.now()) {
            return (Outcome::Absent("it has changed meanwhile"), None);
        }
        for complaint in complaints {
            log::warn!("{}: {}", name.id, text_of(complaint));
        }
        self.log(name, &record);
        let message = as_in_a_run(self.mta, message, name);
        let finished = match &self.request.action {
            Action::Bounce(reason) => give_up(self.mta, self.workspace, message, reason),
            _ => deliver(self.mta, self.workspace, message, Occasion::SelectedRun),
        };
        let detail = match finished.waiting {
            0 if self.request.action != Action::Retry => String::new(),
            0 if finished.exit == ExitStatus::Ok => "delivered".to_owned(),
            0 => "could not be delivered and is over".to_owned(),
            waiting => {
                let after = name.observe_record().unwrap_or_default();
                let status = after.status.map_or(String::new(), |text| printable(&text));
                format!("{waiting} of {} wait: {status}", record.recipients.len())
            }
        };
        (Outcome::Done(detail), Some(record))
    }

    fn log(&self, name: &EntryName, record: &Record) {
        let action = past(&self.request.action);
        let by = printable(self.caller);
        let from = printable(record.sender.as_deref().unwrap_or_default());
        let count = record.recipients.len();
        self.mta.log.syslog(
            BY_HAND_LEVEL,
            Severity::Info,
            Some(name.id.as_bytes()),
            format_args!("{action} by {by}, from={from}, nrcpts={count}"),
        );
    }

    /// Prints what became of an entry.
    fn tell(
        &mut self,
        id: &QueueId,
        name: Option<&EntryName>,
        outcome: &Outcome,
        record: Option<&Record>,
    ) -> io::Result<()> {
        self.tally.count(outcome);
        let action = &self.request.action;
        if self.request.json {
            let path = name.map(|name| name.directory.path().as_os_str().as_encoded_bytes());
            let recipients = record.map(|record| record.recipients.iter());
            let recipients = recipients.map(|all| Json::texts(all.map(|one| one.plain_address())));
            let object = Json::Object(vec![
                ("id", Json::from(id.as_str())),
                ("action", Json::from(action.word())),
                ("outcome", Json::from(outcome.word())),
                ("detail", Json::from(outcome.detail())),
                ("queue", Json::optional_text(path)),
                (
                    "sender",
                    Json::optional_text(record.map(Record::sender_address)),
                ),
                ("recipients", recipients.unwrap_or(Json::Null)),
            ]);
            return writeln!(self.out, "{object}");
        }
        let mut line = match outcome {
            Outcome::Done(_) => format!("{id}: {}", past(action)),
            Outcome::Planned => format!("{id}: would be {}", past(action)),
            Outcome::Busy => format!("{id}: busy, left alone"),
            Outcome::Absent(_) | Outcome::Failed(_) => format!("{id}: not {}", past(action)),
        };
        if !outcome.detail().is_empty() {
            line.push_str(&format!(": {}", outcome.detail()));
        }
        if let Some(record) = record {
            let (from, to) = show::from_and_to(record);
            line.push_str(&format!(" (from {from} to {to})"));
        }
        writeln!(self.out, "{line}")
    }
}

/// Says why an entry could not be taken in hand.
fn refused(error: TakeError) -> Outcome {
    match error {
        TakeError::Busy => Outcome::Busy,
        TakeError::Gone => Outcome::Absent("no longer in the queue"),
        TakeError::Left(complaints) | TakeError::Lost(complaints) => {
            let texts: Vec<String> = complaints.into_iter().map(text_of).collect();
            match texts.is_empty() {
                true => Outcome::Failed("its control file is incomplete".to_owned()),
                false => Outcome::Failed(texts.join("; ")),
            }
        }
        TakeError::Io(error) => Outcome::Failed(error.to_string()),
    }
}

fn text_of(complaint: Complaint) -> String {
    match complaint {
        Complaint::General(text)
        | Complaint::Entry(text)
        | Complaint::System(text)
        | Complaint::Alert(text) => text,
    }
}
