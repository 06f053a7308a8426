//! One entry of the queue as one JSON object.
//!
//! The names are those of sendmail(8), which promises that they never change their meaning;
//! new ones may come. Times are seconds since 1970 UTC; what is not recorded is `null`.

use std::time::Duration;

use crate::queue::{EntryName, FileKind, Observed, RecipientRecord, Record};
use crate::sys::clock::Timestamp;
use crate::text::json::Json;

/// What of an entry depends on the configuration.
#[derive(Debug, Clone, Copy)]
pub struct EntryPlace<'a> {
    /// The name of its queue group.
    pub group: &'a [u8],
    /// MinQueueAge: how long it rests after an attempt.
    pub min_age: Duration,
}

/// Gives the word for the state of an entry.
pub fn state(kind: FileKind, is_locked: bool) -> &'static str {
    match kind {
        FileKind::Quarantined => "held",
        FileKind::Lost => "lost",
        _ if is_locked => "active",
        _ => "waiting",
    }
}

/// Makes the object of an entry.
pub fn entry(name: &EntryName, observed: &Observed, place: EntryPlace<'_>) -> Json {
    let Observed {
        record,
        is_locked,
        body_size,
        modified,
    } = observed;
    let size = body_size.map_or(Json::Null, |size| {
        i64::try_from(size).unwrap_or(i64::MAX).into()
    });
    Json::Object(vec![
        ("id", Json::from(name.id.as_str())),
        ("state", Json::from(state(name.kind, *is_locked))),
        ("locked", Json::from(*is_locked)),
        (
            "queue",
            Json::text(name.directory.path().as_os_str().as_encoded_bytes()),
        ),
        ("group", Json::text(place.group)),
        ("size", size),
        ("created", Json::from(record.created)),
        ("modified", Json::from(modified.seconds())),
        ("attempts", Json::from(record.attempts)),
        ("last_attempt", attempt(record)),
        (
            "next_attempt",
            next_attempt(name.kind, record, place.min_age),
        ),
        ("priority", Json::from(record.priority)),
        ("status", Json::optional_text(record.status.as_ref())),
        (
            "quarantine",
            Json::optional_text(record.quarantine.as_ref()),
        ),
        ("sender", Json::text(record.sender_address())),
        (
            "recipients",
            Json::List(record.recipients.iter().map(recipient).collect()),
        ),
        ("body_type", Json::optional_text(record.body_type.as_ref())),
        ("flags", Json::text(&record.flags)),
        ("report", Json::from(record.flags.contains(&b'r'))),
        ("warned", Json::from(record.flags.contains(&b'w'))),
        ("return", returned(record)),
        (
            "envelope_id",
            Json::optional_text(record.envelope_id.as_ref()),
        ),
        ("auth", Json::optional_text(record.auth_sender.as_ref())),
        (
            "deliver_by",
            Json::optional_text(record.deliver_by.as_ref()),
        ),
        (
            "macros",
            Json::List(
                record
                    .macros
                    .iter()
                    .map(|(name, value)| named(name, value))
                    .collect(),
            ),
        ),
        ("header", header(record)),
        ("version", Json::from(record.version)),
        ("complete", Json::from(record.is_complete)),
    ])
}

fn attempt(record: &Record) -> Json {
    match record.last_attempt {
        0 => Json::Null,
        seconds => Json::from(seconds),
    }
}

/// When a queue run may try it; `null` while it is held.
fn next_attempt(kind: FileKind, record: &Record, min_age: Duration) -> Json {
    if kind != FileKind::Control {
        return Json::Null;
    }
    let rests_until = match record.last_attempt {
        0 => Timestamp::from_seconds(record.created),
        seconds => Timestamp::from_seconds(seconds) + min_age,
    };
    Json::from(rests_until.seconds())
}

/// What of the message a report returns, if the sender said so.
fn returned(record: &Record) -> Json {
    match (record.flags.contains(&b'd'), record.flags.contains(&b'n')) {
        (true, true) => Json::from("headers"),
        (true, false) => Json::from("full"),
        (false, _) => Json::Null,
    }
}

fn recipient(recipient: &RecipientRecord) -> Json {
    let flags = &recipient.flags;
    let notices = [(b'S', "success"), (b'F', "failure"), (b'D', "delay")];
    let asked = notices.iter().filter(|(letter, _)| flags.contains(letter));
    Json::Object(vec![
        ("address", Json::text(recipient.plain_address())),
        ("flags", Json::text(flags)),
        (
            "notify",
            Json::List(asked.map(|(_, word)| Json::from(*word)).collect()),
        ),
        ("status", Json::optional_text(recipient.status.as_ref())),
        ("original", Json::optional_text(recipient.original.as_ref())),
        (
            "final",
            Json::optional_text(recipient.final_address.as_ref()),
        ),
        (
            "controlling_user",
            Json::optional_text(recipient.controlling_user.as_ref()),
        ),
    ])
}

fn header(record: &Record) -> Json {
    let fields = record.header.iter().map(|field| {
        Json::Object(vec![
            ("name", Json::text(&field.name)),
            ("value", Json::text(&field.value)),
            ("condition", Json::text(&field.condition)),
        ])
    });
    Json::List(fields.collect())
}

fn named(name: &[u8], value: &[u8]) -> Json {
    Json::Object(vec![
        ("name", Json::text(name)),
        ("value", Json::text(value)),
    ])
}
