//! What mailq prints.
//!
//! The listing follows the control file line by line and prints each record as it
//! comes, so that a damaged file shows what is there. Widths and cuts, and where
//! each text appears, observed: 8.17.1.9; the long form is that of `-v`.

use std::io::{self, Write};

use super::directory::{FileKind, QueueDirectory};
use super::group::Queue;
use super::scan::{Candidate, Scan, ScanLimits, Selection};
use super::summary::{lines, number, recipient};
use super::take::{Complaint, read_control, system_text};
use crate::config::options::QueueSortOrder;
use crate::envelope::should_queue;
use crate::sys::clock::Timestamp;
use crate::sys::file::FileFacts;
use crate::sys::lock::{FileLock, LockError};
use crate::text::date::queue_date;

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

/// Prints the queue.
///
/// # Errors
/// For an unknown queue group, or when `out` cannot be written.
pub fn list(
    queue: &Queue,
    options: &ListingOptions,
    out: &mut dyn Write,
) -> Result<ListingReport, ListingError> {
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
                list_directory(directory, options, &mut report, out)?;
            }
        }
    }
    if wanted.is_none() {
        writeln!(out, "\t\tTotal requests: {}", report.total)?;
    }
    Ok(report)
}

fn list_directory(
    directory: &std::sync::Arc<QueueDirectory>,
    options: &ListingOptions,
    report: &mut ListingReport,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path = directory.shown_path().display().to_string();
    let one = std::slice::from_ref(directory);
    let mut scan = match Scan::of(one, &options.selection, &options.limits) {
        Ok(scan) => scan,
        Err(error) => {
            let reason = system_text(&error);
            let text = format!("orderq: cannot open \"{path}\" as \".\": {reason}");
            writeln!(out, "{text}")?;
            report.complaints.push(Complaint::General(text));
            Scan::default()
        }
    };
    scan.sort(options.order, 0);
    let selected = scan.candidates.len();
    // What the limit cut was not looked into: it counts as selected.
    let requests = if scan.is_cut { scan.found } else { selected };
    report.total += requests;
    if scan.is_cut {
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
    for candidate in &scan.candidates {
        let mut line = Vec::new();
        Entry::new(candidate, options).print(&mut line, &mut report.complaints);
        out.write_all(&line)?;
    }
    Ok(())
}

/// Cuts of the texts in one form.
struct Widths {
    sender: usize,
    recipient: usize,
    status: usize,
    quarantine: usize,
    controlling: usize,
}

const SHORT: Widths = Widths {
    sender: 39,
    recipient: 38,
    status: 60,
    quarantine: 60,
    controlling: 0,
};
const LONG: Widths = Widths {
    sender: 78,
    recipient: 71,
    status: 100,
    quarantine: 100,
    controlling: 64,
};

/// One entry while it is printed.
struct Entry<'a> {
    candidate: &'a Candidate,
    options: &'a ListingOptions,
    widths: &'static Widths,
    version: i64,
    created: i64,
    priority: i64,
    size: i64,
    body_type: Vec<u8>,
    status: Vec<u8>,
    quarantine: Vec<u8>,
    warned: bool,
}

impl<'a> Entry<'a> {
    fn new(candidate: &'a Candidate, options: &'a ListingOptions) -> Self {
        Entry {
            candidate,
            options,
            widths: match options.form {
                ListingForm::Short => &SHORT,
                ListingForm::Long => &LONG,
            },
            version: 0,
            created: 0,
            priority: 0,
            size: 0,
            body_type: Vec::new(),
            status: Vec::new(),
            quarantine: Vec::new(),
            warned: false,
        }
    }

    fn print(&mut self, out: &mut Vec<u8>, complaints: &mut Vec<Complaint>) {
        let name = &self.candidate.name;
        let opened = name.directory.open_file(name.kind, &name.id);
        out.extend_from_slice(name.id.as_bytes());
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::PermissionDenied => "(permission denied)".to_owned(),
                    io::ErrorKind::NotFound => "(job completed)".to_owned(),
                    _ => format!("({})", system_text(&error)),
                };
                out.extend_from_slice(format!(" {reason}\n").as_bytes());
                return;
            }
        };
        let text = read_control(&file).unwrap_or_default();
        let mark = self.mark(file);
        if text.is_empty() {
            out.push(mark);
        } else {
            self.size(out, complaints);
            self.records(&text, mark, out);
            self.late_status(out);
        }
        if self.created == 0 {
            out.extend_from_slice(b" (no control file)");
        }
        out.push(b'\n');
    }

    /// Gives the mark behind the identifier.
    fn mark(&self, file: std::fs::File) -> u8 {
        let summary = &self.candidate.summary;
        if self.candidate.name.kind == FileKind::Lost {
            return b'?';
        }
        // A shared lock disturbs a runner for an instant only, and tells who has the entry.
        if let Err((_, LockError::Busy)) = FileLock::try_shared(file) {
            return b'*';
        }
        if self.options.limits.is_too_young(summary, self.options.now) {
            return b'-';
        }
        let load = self.options.load;
        if should_queue(
            summary.priority,
            load.load,
            load.queue_la,
            load.queue_factor,
        ) {
            return b'X';
        }
        b' '
    }

    /// Finds the size of the body; a missing one is told in the middle of the line, as observed.
    fn size(&mut self, out: &mut Vec<u8>, complaints: &mut Vec<Complaint>) {
        let name = &self.candidate.name;
        let facts = name
            .directory
            .open_file(FileKind::Body, &name.id)
            .and_then(|file| FileFacts::of(&file));
        match facts {
            Ok(facts) => self.size = i64::try_from(facts.size).unwrap_or(i64::MAX),
            Err(error) => {
                let place = name.place(FileKind::Body);
                let text = format!("readqf: cannot open {place}: {}", system_text(&error));
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
                complaints.push(Complaint::General(text));
                self.size = -1;
            }
        }
    }

    fn records(&mut self, text: &[u8], mark: u8, out: &mut Vec<u8>) {
        out.push(mark);
        for record in lines(text) {
            let Some((letter, value)) = record.split_first() else {
                continue;
            };
            match letter {
                b'V' => self.version = number(value),
                b'T' => self.created = number(value),
                b'P' => self.priority = number(value),
                b'B' => self.body_type = value.to_vec(),
                b'M' => self.status = value.to_vec(),
                b'q' => self.quarantine = value.to_vec(),
                b'F' => self.warned |= value.contains(&b'w'),
                b'S' => self.sender(value, out),
                b'C' if self.is_long() => {
                    out.extend_from_slice(b"\n\t\t\t\t\t\t(---");
                    push_printable(value, self.widths.controlling, out);
                    out.extend_from_slice(b"---)");
                }
                b'R' => {
                    if let Some(address) = recipient(value, self.version) {
                        let tabs = if self.is_long() {
                            &b"\n\t\t\t\t\t\t"[..]
                        } else {
                            b"\n\t\t\t\t\t "
                        };
                        out.extend_from_slice(tabs);
                        push_printable(address, self.widths.recipient, out);
                    }
                }
                b'.' => break,
                _ => {}
            }
        }
    }

    fn is_long(&self) -> bool {
        self.options.form == ListingForm::Long
    }

    fn sender(&mut self, value: &[u8], out: &mut Vec<u8>) {
        let date = queue_date(Timestamp::from_seconds(self.created));
        let columns = match self.options.form {
            ListingForm::Short => format!("{:8} {date} ", self.size),
            ListingForm::Long => {
                let mark = if self.warned { '+' } else { ' ' };
                let date = date.get(4..).unwrap_or(&date);
                format!("{:8} {:10}{mark}{date} ", self.size, self.priority)
            }
        };
        out.extend_from_slice(columns.as_bytes());
        push_printable(value, self.widths.sender, out);
        let quarantine = std::mem::take(&mut self.quarantine);
        if !quarantine.is_empty() {
            out.extend_from_slice(b"\n     QUARANTINE: ");
            push_printable(&quarantine, self.widths.quarantine, out);
        }
        let status = std::mem::take(&mut self.status);
        let body_type = std::mem::take(&mut self.body_type);
        if !status.is_empty() || !body_type.is_empty() {
            let body_type = String::from_utf8_lossy(&body_type);
            out.extend_from_slice(format!("\n    {body_type:>10}").as_bytes());
            if !status.is_empty() {
                out.extend_from_slice(b"   (");
                push_printable(&status, self.widths.status, out);
                out.push(b')');
            }
        }
    }

    /// Shows a status that came after the sender, in the long form only.
    fn late_status(&self, out: &mut Vec<u8>) {
        if !self.status.is_empty() && self.is_long() {
            out.extend_from_slice(b"\n\t\t (");
            push_printable(&self.status, self.widths.status, out);
            out.push(b')');
        }
    }
}

/// Appends the first `limit` bytes of a text, unprintable ones as `\ooo`.
fn push_printable(text: &[u8], limit: usize, out: &mut Vec<u8>) {
    for &byte in text.iter().take(limit) {
        if byte == b' ' || byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("\\{byte:03o}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{ControlFileFormat, DirectorySync, QueueIdSource};
    use std::sync::Arc;

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
        assert!(text.contains("\na \n\t\t\t\t\t bob\n"), "{text}");
        let text = listed(&[("qfa", "")], ListingForm::Short);
        assert!(text.contains("\na  (no control file)\n"), "{text}");
        let text = listed(&[("qfa", "V8\nT1795323987\nSann\n.\n")], ListingForm::Short);
        let missing = "\nareadqf: cannot open ./dfa: No such file or directory\n       -1 ";
        assert!(text.contains(missing), "{text}");
    }
}
