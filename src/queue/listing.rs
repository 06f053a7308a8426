//! What mailq prints: a head for each directory, its entries in order, the total.
//!
//! - `pages`: the entries of one directory, read once and put in order;
//! - `entry`: one entry, record by record.

mod entry;
mod pages;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use self::pages::Pages;
use super::directory::QueueDirectory;
use super::group::Queue;
use super::scan::{ScanLimits, Selection};
use super::take::{Complaint, system_text};
use crate::config::options::QueueSortOrder;
use crate::sys::clock::Timestamp;

/// Short or long form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListingForm {
    /// The usual columns.
    #[default]
    Short,
    /// With priorities, controlling users and wider columns (`-v`).
    Long,
}

/// The load of the machine, which decides about the `X` mark.
#[derive(Debug, Clone, Copy)]
pub struct LoadMark {
    /// The load average.
    pub load: i64,
    /// QueueLA.
    pub queue_la: i64,
    /// QueueFactor.
    pub queue_factor: i64,
}

/// How to list.
#[derive(Debug, Clone)]
pub struct ListingOptions {
    /// Short or long.
    pub form: ListingForm,
    /// Which entries.
    pub selection: Selection,
    /// Limits, as for a queue run.
    pub limits: ScanLimits,
    /// The order, as of a queue run.
    pub order: QueueSortOrder,
    /// For the `X` mark.
    pub load: LoadMark,
    /// The time now, for the `-` mark.
    pub now: Timestamp,
}

/// What happened while listing, for the log.
#[derive(Debug, Default)]
pub struct ListingReport {
    /// How many entries there are in all directories listed.
    pub total: usize,
    /// Lines for the log.
    pub complaints: Vec<Complaint>,
    /// Directories (as printed) whose list was cut by the limit.
    pub cut: Vec<String>,
    /// The limit that cut them.
    pub limit: usize,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// No group has the name after `-qG`.
    #[error("Queue group {0} unknown")]
    UnknownGroup(String),
    /// Nobody reads what we print.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Bytes written at a time.
const OUTPUT_BLOCK: usize = 65_536;

/// Prints the queue.
///
/// # Errors
/// For an unknown queue group, or when `out` cannot be written.
pub fn list(
    queue: &Queue,
    options: &ListingOptions,
    out: &mut dyn Write,
) -> Result<ListingReport, ListingError> {
    let mut out = BufWriter::with_capacity(OUTPUT_BLOCK, out);
    let mut report = ListingReport {
        limit: options.limits.max_entries,
        ..Default::default()
    };
    let wanted = match &options.selection.group {
        None => None,
        Some(name) => Some(queue.find(name).ok_or_else(|| {
            ListingError::UnknownGroup(String::from_utf8_lossy(name).into_owned())
        })?),
    };
    for (index, group) in queue.groups().iter().enumerate() {
        if wanted.is_none_or(|wanted| wanted == index) {
            for directory in &group.directories {
                list_directory(directory, options, &mut report, &mut out)?;
            }
        }
    }
    if wanted.is_none() {
        writeln!(out, "\t\tTotal requests: {}", report.total)?;
    }
    out.flush()?;
    Ok(report)
}

fn list_directory(
    directory: &Arc<QueueDirectory>,
    options: &ListingOptions,
    report: &mut ListingReport,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path = directory.shown_path().display().to_string();
    let mut pages = Pages::new(options);
    if let Err(error) = pages.collect(directory, report, out) {
        let reason = system_text(&error);
        let text = format!("orderq: cannot open \"{path}\" as \".\": {reason}");
        writeln!(out, "{text}")?;
        report.complaints.push(Complaint::General(text));
    }
    pages.sort();
    let selected = pages.selected();
    // What the limit cut was not looked into: it counts as selected.
    let requests = if pages.is_cut { pages.found } else { selected };
    report.total += requests;
    if pages.is_cut {
        report.cut.push(path.clone());
    }
    if requests == 0 {
        return writeln!(out, "{path} is empty");
    }
    let plural = if requests == 1 { "" } else { "s" };
    write!(out, "\t\t{path} ({requests} request{plural}")?;
    if selected < requests {
        write!(out, ", only {selected} printed")?;
    }
    writeln!(out, ")")?;
    out.write_all(match options.form {
        ListingForm::Short => {
            b"-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n"
        }
        ListingForm::Long => {
            b"-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------\n"
        }
    })?;
    pages.print(directory, report, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{ControlFileFormat, DirectorySync, QueueIdSource};
    use crate::text::date::queue_date;

    fn listed(files: &[(&str, &str)], form: ListingForm) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let format = Arc::new(ControlFileFormat::default());
        let sync = DirectorySync::new();
        let directory = QueueDirectory::open(folder.path(), 0o600, format, &sync).unwrap();
        let queue = Queue::of_directory(directory, Arc::new(QueueIdSource::default()));
        let options = ListingOptions {
            form,
            selection: Selection::default(),
            limits: ScanLimits::default(),
            order: QueueSortOrder::Priority,
            load: LoadMark {
                load: 0,
                queue_la: 8,
                queue_factor: 600_000,
            },
            now: Timestamp::from_seconds(2_000_000_000),
        };
        let mut out = Vec::new();
        list(&queue, &options, &mut out).unwrap();
        let path = folder.path().display().to_string();
        String::from_utf8(out).unwrap().replace(&path, "QUEUE")
    }

    const ENTRY: &str = "V8\nT1795323987\nK1795323990\nN3\nP30000\nB8BITMIME\n\
        MDeferred: x y z\nFw\nqwhy\nSann\nCann:1001:1001:list\nRPFD:joe\nC\nRPFD:\x01\n.\n";

    #[test]
    fn an_empty_queue_is_told() {
        assert_eq!(
            listed(&[], ListingForm::Short),
            "QUEUE is empty\n\t\tTotal requests: 0\n"
        );
    }

    #[test]
    fn the_short_form() {
        let date = queue_date(Timestamp::from_seconds(1_795_323_987));
        let expected = format!(
            "\t\tQUEUE (1 request)\n\
             -----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n\
             cAB00000000001        5 {date} ann\n     QUARANTINE: why\n      \
             8BITMIME   (Deferred: x y z)\n\t\t\t\t\t joe\n\t\t\t\t\t \\001\n\
             \t\tTotal requests: 1\n"
        );
        let files = [("qfcAB00000000001", ENTRY), ("dfcAB00000000001", "body\n")];
        assert_eq!(listed(&files, ListingForm::Short), expected);
    }

    #[test]
    fn the_long_form() {
        let date = queue_date(Timestamp::from_seconds(1_795_323_987));
        let expected = format!(
            "cAB00000000001        5      30000+{} ann\n     QUARANTINE: why\n      \
             8BITMIME   (Deferred: x y z)\n\t\t\t\t\t\t(---ann:1001:1001:list---)\n\
             \t\t\t\t\t\tjoe\n\t\t\t\t\t\t(------)\n\t\t\t\t\t\t\\001\n",
            &date[4..]
        );
        let files = [("qfcAB00000000001", ENTRY), ("dfcAB00000000001", "body\n")];
        let text = listed(&files, ListingForm::Long);
        assert!(text.contains(&expected), "{text}");
    }

    #[test]
    fn damage_shows_what_is_there() {
        let no_sender = "V8\nT1795323987\nRPFD:bob\n.\n";
        let text = listed(&[("qfa", no_sender), ("dfa", "x\n")], ListingForm::Short);
        assert!(
            text.contains("\n            a \n\t\t\t\t\t bob\n"),
            "{text}"
        );
        let text = listed(&[("qfa", "")], ListingForm::Short);
        assert!(
            text.contains("\n            a  (no control file)\n"),
            "{text}"
        );
        let text = listed(&[("qfa", "V8\nT1795323987\nSann\n.\n")], ListingForm::Short);
        let missing =
            "\n            areadqf: cannot open ./dfa: No such file or directory\n       -1 ";
        assert!(text.contains(missing), "{text}");
    }
}
