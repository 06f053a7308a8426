//! Entries listed and shown.

use std::io::{self, Write};

use super::json::{self, EntryPlace};
use super::selection::{Filter, each_entry};
use crate::mta::Mta;
use crate::queue::{EntryName, Observed, QueueGroup, Selection};
use crate::sys::clock::Timestamp;
use crate::text::bytes::printable;
use crate::text::date::queue_date;
use crate::text::json::Json;

/// Prints what mailq prints, one JSON object a line, in the order the system lists the files.
///
/// # Errors
/// When the queue cannot be read or nobody reads what is printed.
pub fn selected_as_json(mta: &Mta, selection: &Selection, out: &mut dyn Write) -> io::Result<()> {
    let filter = Filter {
        kinds: vec![selection.kind],
        group: selection.group.clone(),
        ..Filter::default()
    };
    each_entry(mta, &filter, &mut |name, group| {
        let Ok(observed) = name.observe() else {
            return Ok(());
        };
        if selection.accepts(&name.id, &(&observed.record).into()) {
            writeln!(out, "{}", json::entry(&name, &observed, place(mta, group)))?;
        }
        Ok(())
    })
}

/// Lists the entries of a filter; returns how many there are.
///
/// # Errors
/// As [`selected_as_json`].
pub fn list(mta: &Mta, filter: &Filter, as_json: bool, out: &mut dyn Write) -> io::Result<usize> {
    let mut count = 0;
    each_entry(mta, filter, &mut |name, group| {
        let Ok(observed) = name.observe() else {
            return Ok(());
        };
        count += 1;
        match as_json {
            true => writeln!(out, "{}", json::entry(&name, &observed, place(mta, group))),
            false => writeln!(out, "{}", in_one_line(&name, &observed)),
        }
    })?;
    Ok(count)
}

/// Shows the entries of a filter with header and body; returns how many there are.
///
/// # Errors
/// As [`selected_as_json`].
pub fn show(mta: &Mta, filter: &Filter, as_json: bool, out: &mut dyn Write) -> io::Result<usize> {
    let mut count = 0;
    each_entry(mta, filter, &mut |name, group| {
        let Ok(observed) = name.observe() else {
            return Ok(());
        };
        if count > 0 && !as_json {
            writeln!(out)?;
        }
        count += 1;
        match as_json {
            true => show_as_json(&name, &observed, place(mta, group), out),
            false => show_as_text(&name, &observed, out),
        }
    })?;
    Ok(count)
}

fn show_as_json(
    name: &EntryName,
    observed: &Observed,
    place: EntryPlace<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut body = Vec::new();
    let body = match name.read_body(&observed.record, &mut body) {
        Ok(_) => Json::text(body),
        Err(_) => Json::Null,
    };
    let mut entry = json::entry(name, observed, place);
    if let Json::Object(members) = &mut entry {
        members.push(("body", body));
    }
    writeln!(out, "{entry}")
}

fn show_as_text(name: &EntryName, observed: &Observed, out: &mut dyn Write) -> io::Result<()> {
    let record = &observed.record;
    writeln!(out, "{}", in_one_line(name, observed))?;
    writeln!(
        out,
        "in {}",
        name.directory.path_of(name.kind, &name.id).display()
    )?;
    let tried = match record.last_attempt {
        0 => "never tried".to_owned(),
        at => format!("tried {} times, last {}", record.attempts, date(at)),
    };
    writeln!(out, "{tried}; priority {}", record.priority)?;
    if let Some(reason) = &record.quarantine {
        writeln!(out, "held: {}", printable(reason))?;
    }
    if let Some(status) = &record.status {
        writeln!(out, "status: {}", printable(status))?;
    }
    for recipient in &record.recipients {
        write!(out, "to {}", printable(recipient.plain_address()))?;
        match &recipient.status {
            Some(status) => writeln!(out, ": {}", printable(status))?,
            None => writeln!(out)?,
        }
    }
    writeln!(out)?;
    for field in &record.header {
        out.write_all(&field.name)?;
        out.write_all(b": ")?;
        out.write_all(&field.value)?;
        out.write_all(b"\n")?;
    }
    writeln!(out)?;
    match name.read_body(record, out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
        Err(error) => writeln!(out, "(no body: {error})"),
        Ok(_) => Ok(()),
    }
}

/// Gives what depends on the configuration.
pub fn place<'a>(mta: &Mta, group: &'a QueueGroup) -> EntryPlace<'a> {
    EntryPlace {
        group: &group.name,
        min_age: mta.config.options.queueing.min_queue_age,
    }
}

fn date(seconds: i64) -> String {
    queue_date(Timestamp::from_seconds(seconds))
}

/// Tells an entry in one line.
pub fn in_one_line(name: &EntryName, observed: &Observed) -> String {
    let record = &observed.record;
    let size = observed
        .body_size
        .map_or("-".to_owned(), |size| size.to_string());
    let (from, to) = from_and_to(record);
    let state = json::state(name.kind, observed.is_locked);
    format!(
        "{} {state:7} {size:>8} {} {from} -> {to}",
        name.id,
        date(record.created)
    )
}

/// Most recipients named in one line.
const MAX_NAMED: usize = 5;

/// Words sender and recipients for one line.
pub fn from_and_to(record: &crate::queue::Record) -> (String, String) {
    let mut named: Vec<String> = record
        .recipients
        .iter()
        .take(MAX_NAMED)
        .map(|one| printable(one.plain_address()))
        .collect();
    let more = record.recipients.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let sender = match record.sender_address() {
        b"" => "<>".to_owned(),
        sender => printable(sender),
    };
    (sender, named.join(", "))
}
