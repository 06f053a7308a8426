//! `mailq --watch`: the queue before one's eyes, until Ctrl-C.
//!
//! On a terminal the listing of mailq is drawn anew whenever it changes. Into a pipe or a
//! file go the changes themselves, one a line: what is there at first, then what comes,
//! changes and goes. Only names and times are looked at while nothing changes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use super::json;
use super::selection::{Filter, each_entry};
use super::show::{in_one_line, place};
use crate::mta::Mta;
use crate::queue::{EntryName, FileKind, Observed, QueueGroup, Selection};
use crate::sys::clock::Timestamp;
use crate::text::json::Json;
use crate::tools::mailq;

/// How long to rest between two looks unless told otherwise.
pub const USUAL_PAUSE: Duration = Duration::from_secs(2);

/// What the changes are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The listing, drawn on a terminal with so many lines.
    Screen(u16),
    /// One line of text for each change.
    Lines,
    /// One JSON object for each change.
    Json,
}

/// Lines of a screen that are not the listing's.
const SPARE_LINES: u16 = 2;

/// Moves to the upper left corner and clears the screen (ECMA-48).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Watches until it is ended or nobody reads on.
///
/// # Errors
/// When the queue cannot be read or nobody reads what is printed.
pub fn run(
    mta: &Mta,
    selection: &Selection,
    form: Form,
    pause: Duration,
    out: &mut dyn Write,
) -> io::Result<()> {
    match form {
        Form::Screen(lines) => draw(mta, selection, lines, pause, out),
        Form::Lines | Form::Json => follow(mta, selection, form, pause, out),
    }
}

fn draw(
    mta: &Mta,
    selection: &Selection,
    lines: u16,
    pause: Duration,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut shown = Vec::new();
    loop {
        let mut listing = Vec::new();
        mailq::run(mta, selection, &mut listing);
        if listing != shown {
            out.write_all(CLEAR)?;
            out.write_all(&cut(
                &listing,
                usize::from(lines.saturating_sub(SPARE_LINES)),
            ))?;
            out.flush()?;
            shown = listing;
        }
        std::thread::sleep(pause);
    }
}

/// Keeps as many lines as fit, and says how many do not.
fn cut(listing: &[u8], fit: usize) -> Vec<u8> {
    let total = memchr::memchr_iter(b'\n', listing).count();
    if fit == 0 || total <= fit {
        return listing.to_vec();
    }
    let end = memchr::memchr_iter(b'\n', listing).nth(fit - 1);
    let mut text = listing
        .get(..=end.unwrap_or(0))
        .unwrap_or_default()
        .to_vec();
    text.extend_from_slice(format!("... {} more lines\n", total - fit).as_bytes());
    text
}

/// What tells whether an entry is still as it was: its kind and its control file.
///
/// Not its lock: to ask for it again and again could keep a queue runner from the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    kind: FileKind,
    inode: u64,
    modified: Timestamp,
}

/// An entry as it was looked at last.
#[derive(Debug, Clone, Copy)]
struct Known {
    look: Look,
    is_selected: bool,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Present,
    Added,
    Changed,
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Event::Present => "present",
            Event::Added => "added",
            Event::Changed => "changed",
        }
    }

    fn sign(self) -> char {
        match self {
            Event::Present => ' ',
            Event::Added => '+',
            Event::Changed => '~',
        }
    }
}

type Seen = HashMap<(Vec<u8>, String), Known>;

fn follow(
    mta: &Mta,
    selection: &Selection,
    form: Form,
    pause: Duration,
    out: &mut dyn Write,
) -> io::Result<()> {
    let filter = Filter {
        // Usually an entry is followed into quarantine and out of it.
        kinds: match selection.kind {
            FileKind::Control => vec![FileKind::Control, FileKind::Quarantined, FileKind::Lost],
            kind => vec![kind],
        },
        group: selection.group.clone(),
        ..Filter::default()
    };
    let mut seen: Option<Seen> = None;
    loop {
        let mut now = Seen::new();
        each_entry(mta, &filter, &mut |name, group| {
            let Ok(look) = look_at(&name) else {
                return Ok(());
            };
            let key = key_of(&name);
            let before = seen.as_ref().and_then(|seen| seen.get(&key));
            if let Some(before) = before.filter(|before| before.look == look) {
                now.insert(key, *before);
                return Ok(());
            }
            let Ok(entry) = name.observe() else {
                return Ok(());
            };
            let is_selected = selection.accepts(&name.id, &(&entry.record).into());
            now.insert(key, Known { look, is_selected });
            let event = match (&seen, before) {
                (None, _) => Event::Present,
                (Some(_), None) => Event::Added,
                (Some(_), Some(_)) => Event::Changed,
            };
            match is_selected {
                true => tell(mta, event, &name, group, &entry, form, out),
                false => Ok(()),
            }
        })?;
        let gone = |key: &&(Vec<u8>, String), now: &Seen| !now.contains_key(*key);
        let before = seen.iter().flatten();
        for (key, _) in before.filter(|(key, known)| known.is_selected && gone(key, &now)) {
            tell_removed(mta, &key.0, &key.1, form, out)?;
        }
        out.flush()?;
        seen = Some(now);
        std::thread::sleep(pause);
    }
}

fn key_of(name: &EntryName) -> (Vec<u8>, String) {
    let path = name.directory.path().as_os_str().as_encoded_bytes();
    (path.to_vec(), name.id.as_str().to_owned())
}

fn look_at(name: &EntryName) -> io::Result<Look> {
    let facts = name.facts()?;
    Ok(Look {
        kind: name.kind,
        inode: facts.inode,
        modified: facts.modified,
    })
}

fn tell(
    mta: &Mta,
    event: Event,
    name: &EntryName,
    group: &QueueGroup,
    entry: &Observed,
    form: Form,
    out: &mut dyn Write,
) -> io::Result<()> {
    if form == Form::Json {
        let object = Json::Object(vec![
            ("event", Json::from(event.word())),
            ("time", Json::from(mta.clock.now().seconds())),
            ("id", Json::from(name.id.as_str())),
            ("entry", json::entry(name, entry, place(mta, group))),
        ]);
        return writeln!(out, "{object}");
    }
    write!(out, "{} {}", event.sign(), in_one_line(name, entry))?;
    match &entry.record.status {
        Some(status) => writeln!(out, " ({})", crate::text::bytes::printable(status)),
        None => writeln!(out),
    }
}

fn tell_removed(
    mta: &Mta,
    path: &[u8],
    id: &str,
    form: Form,
    out: &mut dyn Write,
) -> io::Result<()> {
    if form != Form::Json {
        return writeln!(out, "- {id}");
    }
    let object = Json::Object(vec![
        ("event", Json::from("removed")),
        ("time", Json::from(mta.clock.now().seconds())),
        ("id", Json::from(id)),
        ("queue", Json::text(path)),
    ]);
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_cut_to_the_screen() {
        assert_eq!(cut(b"a\nb\n", 2), b"a\nb\n");
        assert_eq!(cut(b"a\nb\nc\n", 1), b"a\n... 2 more lines\n");
        assert_eq!(cut(b"a\nb\nc\n", 0), b"a\nb\nc\n");
    }
}
