//! The words behind `sendmail --queue`.
//!
//! `ACTION [ID ...] [selection] [--dry-run] [--json]`; what begins with a single hyphen
//! (`-C`, `-Ac`, `-O` and the like) belongs to the program and is handed back.

use std::time::Duration;

use super::selection::{Filter, Pattern};
use crate::envelope::QueueId;
use crate::queue::FileKind;
use crate::text::bytes::printable;
use crate::text::interval::{IntervalUnit, parse_interval};

/// What is said to a wrong command line.
pub const USAGE: &str = "\
usage: sendmail --queue ACTION [ID ...] [--sender ADDRESS] [--recipient ADDRESS]
           [--host HOST] [--status TEXT] [--older TIME] [--newer TIME] [--group NAME]
           [--held] [--lost] [--all] [--dry-run] [--json] [-Ac | -Am | -C file]
actions: list, show, hold [--reason TEXT], release, delete, bounce [--reason TEXT],
         retry, move --to GROUP";

/// Why entries are held when nobody says why.
const HELD: &[u8] = b"held by the postmaster";

/// Why messages go back when nobody says why.
const RETURNED: &[u8] = b"Delivery cancelled by the postmaster";

/// What to do with the entries selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// List them.
    List,
    /// Show all there is, header and body included.
    Show,
    /// Put them in quarantine for a reason.
    Hold(Vec<u8>),
    /// Let them go from quarantine, and lost ones back into the queue.
    Release,
    /// Remove them without a word to anybody.
    Delete,
    /// Return them to their senders now, for a reason.
    Bounce(Vec<u8>),
    /// Try to deliver them now.
    Retry,
    /// Move them into a queue group.
    Move(Vec<u8>),
}

impl Action {
    /// Tells whether it only looks at what mailq shows as well.
    pub fn is_listing(&self) -> bool {
        matches!(self, Action::List)
    }

    /// Gives the word of the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Show => "show",
            Action::Hold(_) => "hold",
            Action::Release => "release",
            Action::Delete => "delete",
            Action::Bounce(_) => "bounce",
            Action::Retry => "retry",
            Action::Move(_) => "move",
        }
    }

    /// Gives the kinds of entries it is about when the command line names none.
    fn kinds(&self) -> &'static [FileKind] {
        use FileKind::{Control, Lost, Quarantined};
        match self {
            Action::List | Action::Show => &[Control, Quarantined, Lost],
            Action::Hold(_) | Action::Retry => &[Control],
            Action::Release => &[Quarantined],
            Action::Delete | Action::Bounce(_) | Action::Move(_) => &[Control, Quarantined],
        }
    }
}

/// A command line that begins with `--queue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// With which entries.
    pub filter: Filter,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Answer in JSON.
    pub json: bool,
}

impl Request {
    /// Reads the words behind `--queue`; the words of the program itself come back beside it.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub fn parse(words: &[Vec<u8>]) -> Result<(Request, Vec<Vec<u8>>), String> {
        let (word, rest) = words.split_first().ok_or("--queue wants an action")?;
        let mut reading = Reading::default();
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            reading.word(word, &mut words)?;
        }
        let action = reading.action(word)?;
        let mut filter = reading.filter;
        let wants_all = matches!(action, Action::List);
        if filter.is_empty() && !reading.all && !wants_all {
            return Err(format!(
                "{} wants to know which entries; --all means every one",
                action.word()
            ));
        }
        if filter.kinds.is_empty() {
            filter.kinds = action.kinds().to_vec();
        }
        let request = Request {
            action,
            filter,
            dry_run: reading.dry_run,
            json: reading.json,
        };
        Ok((request, reading.others))
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    filter: Filter,
    reason: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    all: bool,
    dry_run: bool,
    json: bool,
    others: Vec<Vec<u8>>,
}

impl Reading {
    fn word<'a>(
        &mut self,
        word: &'a [u8],
        words: &mut impl Iterator<Item = &'a Vec<u8>>,
    ) -> Result<(), String> {
        let (name, glued) = match crate::text::bytes::split_once(word, b'=') {
            Some((name, value)) if word.starts_with(b"--") => (name, Some(value)),
            _ => (word, None),
        };
        let mut value = || match glued {
            Some(value) => Ok(value.to_vec()),
            None => words
                .next()
                .cloned()
                .ok_or_else(|| format!("{} wants a value", printable(name))),
        };
        let filter = &mut self.filter;
        match name {
            b"--sender" => filter.senders.push(Pattern::new(&value()?)),
            b"--recipient" => filter.recipients.push(Pattern::new(&value()?)),
            b"--host" => filter.hosts.push(Pattern::new(&value()?)),
            b"--status" => filter.statuses.push(value()?),
            b"--older" => filter.older = Some(age(&value()?)?),
            b"--newer" => filter.newer = Some(age(&value()?)?),
            b"--group" => filter.group = Some(value()?),
            b"--reason" => self.reason = Some(value()?),
            b"--to" => self.to = Some(value()?),
            b"--held" if glued.is_none() => filter.kinds.push(FileKind::Quarantined),
            b"--lost" if glued.is_none() => filter.kinds.push(FileKind::Lost),
            b"--all" if glued.is_none() => self.all = true,
            b"--dry-run" if glued.is_none() => self.dry_run = true,
            b"--json" if glued.is_none() => self.json = true,
            b"-C" | b"-O" | b"-o" | b"-d" | b"-D" | b"-L" => {
                self.others.push(word.to_vec());
                self.others.push(value()?);
            }
            _ if is_programs_own(word) => self.others.push(word.to_vec()),
            _ if word.starts_with(b"-") => {
                return Err(format!("--queue does not know {}", printable(word)));
            }
            id => {
                let id = QueueId::parse(id);
                let no_id = || format!("{} is no queue identifier", printable(word));
                filter.ids.push(id.ok_or_else(no_id)?);
            }
        }
        Ok(())
    }

    /// Puts the action together; options that belong to another one are a mistake.
    fn action(&mut self, word: &[u8]) -> Result<Action, String> {
        let reason = |given: Option<Vec<u8>>, usual: &[u8]| given.unwrap_or_else(|| usual.to_vec());
        let action = match word {
            b"list" => Action::List,
            b"show" => Action::Show,
            b"hold" => Action::Hold(reason(self.reason.take(), HELD)),
            b"release" => Action::Release,
            b"delete" => Action::Delete,
            b"bounce" => Action::Bounce(reason(self.reason.take(), RETURNED)),
            b"retry" => Action::Retry,
            b"move" => Action::Move(self.to.take().ok_or("move wants --to GROUP")?),
            _ => return Err(format!("--queue knows no action {}", printable(word))),
        };
        let misplaced = match (&self.reason, &self.to) {
            (Some(_), _) => "--reason",
            (None, Some(_)) => "--to",
            (None, None) if self.dry_run && matches!(action, Action::List | Action::Show) => {
                "--dry-run"
            }
            (None, None) => return Ok(action),
        };
        Err(format!("{} takes no {misplaced}", action.word()))
    }
}

/// Tells whether a word is an option of the program with its value glued to it.
fn is_programs_own(word: &[u8]) -> bool {
    matches!(word, b"-v" | b"-Ac" | b"-Am")
        || word.len() > 2 && matches!(word, [b'-', b'C' | b'O' | b'o' | b'd' | b'D' | b'L', ..])
}

/// Reads an age; a bare number counts days, as message timeouts do.
fn age(text: &[u8]) -> Result<Duration, String> {
    parse_interval(text, IntervalUnit::Days)
        .map_err(|error| format!("{}: {error}", printable(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Request, Vec<Vec<u8>>), String> {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(|word| word.into()).collect();
        Request::parse(&words)
    }

    #[test]
    fn actions_have_their_kinds_and_options() {
        use FileKind::{Control, Lost, Quarantined};
        for (line, action, kinds) in [
            ("list", Action::List, &[Control, Quarantined, Lost][..]),
            ("show a1", Action::Show, &[Control, Quarantined, Lost]),
            ("hold a1", Action::Hold(HELD.to_vec()), &[Control]),
            (
                "hold --reason=x a1",
                Action::Hold(b"x".to_vec()),
                &[Control],
            ),
            ("release --all", Action::Release, &[Quarantined]),
            ("release --lost a1", Action::Release, &[Lost]),
            ("delete a1", Action::Delete, &[Control, Quarantined]),
            ("delete --held --sender x", Action::Delete, &[Quarantined]),
            ("retry --host far.test", Action::Retry, &[Control]),
            (
                "move a1 --to slow",
                Action::Move(b"slow".to_vec()),
                &[Control, Quarantined],
            ),
        ] {
            let (request, _) = parsed(line).unwrap();
            assert_eq!(
                (request.action, &*request.filter.kinds),
                (action, kinds),
                "{line}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_before_anything_is_done() {
        for line in [
            "",
            "burn a1",
            "delete",
            "delete --older",
            "delete --older x",
            "delete ../a",
            "delete a1 --nosuch",
            "delete a1 --reason x",
            "move a1",
            "hold a1 --to x",
            "list --dry-run",
            "delete --all=yes",
            "delete --held",
            "retry --sender",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_of_the_program_come_back() {
        let (request, others) = parsed("list -C /x.cf -Ac --json -OLogLevel=9 -O A=b").unwrap();
        assert!(request.json);
        let words: Vec<String> = others.iter().map(|word| printable(word)).collect();
        assert_eq!(words, ["-C", "/x.cf", "-Ac", "-OLogLevel=9", "-O", "A=b"]);
    }
}
