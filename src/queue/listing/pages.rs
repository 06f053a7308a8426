//! The entries of one directory in the order mailq prints them.
//!
//! Each control file is opened once: what decides about the order and what is printed come
//! out of the same reading. What is printed waits in memory until the order is known, up to
//! a limit; what comes after is read a second time.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use super::entry::Entry;
use super::{ListingOptions, ListingReport};
use crate::envelope::QueueId;
use crate::queue::directory::QueueDirectory;
use crate::queue::entry::EntryName;
use crate::queue::scan::{Rank, Ranked, names, sort};
use crate::queue::summary::{Summary, read_on};
use crate::queue::take::Complaint;

/// Most bytes of a listing kept in memory until their order is known.
///
/// What comes after is read a second time when its turn comes; a queue of 100,000 messages
/// has 15 MB.
const MAX_PAGES: usize = 33_554_432;

/// First room for a control file; it grows with the file.
const FIRST_READ: usize = 16_384;

/// Longest control file shown whole.
const MAX_READ: usize = 134_217_728;

/// The entries of a directory as printed.
pub(super) struct Pages<'a> {
    options: &'a ListingOptions,
    entries: Vec<Page>,
    text: Vec<u8>,
    buffer: Vec<u8>,
    /// How many entries there are, selected or not.
    pub(super) found: usize,
    /// Whether the limit cut the list.
    pub(super) is_cut: bool,
}

/// One entry: its place in the order and in the text; `None` when it is to be read again.
struct Page {
    id: QueueId,
    rank: Rank,
    place: Option<Range<usize>>,
}

impl Ranked for Page {
    fn rank(&self) -> &Rank {
        &self.rank
    }

    fn id(&self) -> &QueueId {
        &self.id
    }
}

impl<'a> Pages<'a> {
    pub(super) fn new(options: &'a ListingOptions) -> Self {
        Pages {
            options,
            entries: Vec::new(),
            text: Vec::new(),
            buffer: Vec::new(),
            found: 0,
            is_cut: false,
        }
    }

    pub(super) fn collect(
        &mut self,
        directory: &Arc<QueueDirectory>,
        report: &mut ListingReport,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let options = self.options;
        let wanted = options.selection.wants(options.order);
        let mut complaints = Vec::new();
        let names = names(directory, &options.selection, &mut complaints)?;
        for complaint in complaints {
            if let Complaint::General(text) = &complaint {
                writeln!(out, "{text}")?;
            }
            report.complaints.push(complaint);
        }
        for name in names {
            self.found += 1;
            if options.limits.are_reached(self.entries.len()) {
                self.is_cut = true;
                continue;
            }
            let opened = self.read(&name);
            let summary = match &opened {
                Ok(_) => Summary::of_text(&self.buffer, wanted),
                Err(_) => Summary::default(),
            };
            if !options.selection.accepts(&name.id, &summary) {
                continue;
            }
            let rank = Rank::new(&name, &summary, options.order);
            let mut place = None;
            if self.text.len() < MAX_PAGES {
                let begin = self.text.len();
                let entry = Entry::new(&name, &rank, options);
                let complaints = &mut report.complaints;
                entry.print(opened, &self.buffer, &mut self.text, complaints);
                place = Some(begin..self.text.len());
            }
            let id = name.id;
            self.entries.push(Page { id, rank, place });
        }
        Ok(())
    }

    /// Puts the entries in order.
    pub(super) fn sort(&mut self) {
        sort(&mut self.entries, self.options.order, 0);
    }

    /// Counts the entries that were selected.
    pub(super) fn selected(&self) -> usize {
        self.entries.len()
    }

    /// Opens a control file and reads it into the buffer.
    fn read(&mut self, name: &EntryName) -> io::Result<File> {
        self.buffer.clear();
        let file = name.directory.open_file(name.kind, &name.id)?;
        let mut limit = FIRST_READ;
        // What cannot be read shows as empty.
        while matches!(read_on(&file, &mut self.buffer, limit), Ok(false)) && limit < MAX_READ {
            limit = limit.saturating_mul(2);
        }
        Ok(file)
    }

    pub(super) fn print(
        mut self,
        directory: &Arc<QueueDirectory>,
        report: &mut ListingReport,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut line = Vec::new();
        for page in std::mem::take(&mut self.entries) {
            if let Some(place) = page.place {
                out.write_all(self.text.get(place).unwrap_or_default())?;
                continue;
            }
            let name = EntryName {
                directory: Arc::clone(directory),
                id: page.id,
                kind: self.options.selection.kind,
            };
            let opened = self.read(&name);
            let entry = Entry::new(&name, &page.rank, self.options);
            line.clear();
            entry.print(opened, &self.buffer, &mut line, &mut report.complaints);
            out.write_all(&line)?;
        }
        Ok(())
    }
}
