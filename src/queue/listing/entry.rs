//! One entry as mailq prints it.
//!
//! Follows the control file line by line and prints each record as it comes, so that a
//! damaged file shows what is there. Widths and cuts, and where each text appears,
//! observed: 8.17.1.9; the long form is that of `-v`.

use std::fs::File;
use std::io;

use super::{ListingForm, ListingOptions};
use crate::envelope::should_queue;
use crate::queue::directory::FileKind;
use crate::queue::entry::EntryName;
use crate::queue::scan::Rank;
use crate::queue::summary::{lines, number, recipient};
use crate::queue::take::{Complaint, system_text};
use crate::sys::clock::Timestamp;
use crate::sys::lock::is_held_elsewhere;
use crate::text::date::queue_date;

/// Width of the identifier. Observed: 8.17.1.9, whose own have fourteen characters.
const ID_WIDTH: usize = 13;

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
pub(super) struct Entry<'a> {
    name: &'a EntryName,
    rank: &'a Rank,
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
    pub(super) fn new(name: &'a EntryName, rank: &'a Rank, options: &'a ListingOptions) -> Self {
        Entry {
            name,
            rank,
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

    /// Prints what an opened control file says.
    pub(super) fn print(
        mut self,
        opened: io::Result<File>,
        text: &[u8],
        out: &mut Vec<u8>,
        complaints: &mut Vec<Complaint>,
    ) {
        // Longer ones stick out.
        let id = self.name.id.as_str();
        out.extend_from_slice(format!("{id:>ID_WIDTH$}").as_bytes());
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::PermissionDenied => "(Permission denied)".to_owned(),
                    io::ErrorKind::NotFound => "(job completed)".to_owned(),
                    _ => format!("({})", system_text(&error)),
                };
                out.extend_from_slice(format!(" {reason}\n").as_bytes());
                return;
            }
        };
        let mark = self.mark(file);
        if text.is_empty() {
            out.push(mark);
        } else {
            self.size(out, complaints);
            self.records(text, mark, out);
        }
        if self.created == 0 {
            out.extend_from_slice(b" (no control file)");
        }
        out.push(b'\n');
    }

    /// Gives the mark behind the identifier.
    fn mark(&self, file: File) -> u8 {
        if self.name.kind == FileKind::Lost {
            return b'?';
        }
        // A shared lock disturbs a runner for an instant only, and tells who has the entry.
        if is_held_elsewhere(file) {
            return b'*';
        }
        if self
            .options
            .limits
            .is_too_young(self.rank, self.options.now)
        {
            return b'-';
        }
        let load = self.options.load;
        if should_queue(
            self.rank.priority,
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
        match self.name.directory.facts(FileKind::Body, &self.name.id) {
            Ok(facts) => self.size = i64::try_from(facts.size).unwrap_or(i64::MAX),
            Err(error) => {
                let place = self.name.place(FileKind::Body);
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
                        self.late_status(out);
                    }
                }
                // Observed: 8.17.1.9 lists what is behind the end, too.
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

    /// Shows a status that came after the sender behind its recipient, in the long form only.
    fn late_status(&mut self, out: &mut Vec<u8>) {
        if !self.status.is_empty() && self.is_long() {
            out.extend_from_slice(b"\n\t\t (");
            push_printable(&self.status, self.widths.status, out);
            out.push(b')');
            self.status.clear();
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
