//! What whoever runs the program is told of a submission.
//!
//! Errors go to the terminal or the transcript as the error mode says; while the message is
//! read the last of them is kept. With `-ba` all are told with their codes. Part of
//! [`super::message`].
//!
//! Observed: 8.17.1.9.

use super::message::Desk;
use crate::config::options::ErrorMode;
use crate::logging::narrator::{Coded, Narrator, Stdout};
use crate::mta::Mta;
use crate::smtp::without_codes;

/// Keeps the last line it is told.
///
/// What is wrong only for now does not take the place of what is wrong for good.
#[derive(Debug, Default)]
pub(super) struct LastWord {
    line: Option<Vec<u8>>,
    is_final: bool,
}

impl LastWord {
    fn keep(&mut self, line: &[u8], is_final: bool) {
        if is_final || !self.is_final {
            self.line = Some(line.to_vec());
            self.is_final = is_final;
        }
    }
}

impl Narrator for LastWord {
    fn say(&mut self, line: &[u8]) {
        self.keep(line, true);
    }
}

impl Desk<'_> {
    /// Tells what ends a submission.
    pub(super) fn announce(&self, line: &[u8]) {
        match self.arguments.arpanet {
            true => Coded("550 ").say(line),
            false => Stdout.say(line),
        }
    }

    /// Tells what the transcript has got since it was told last, with codes (-ba): all of it,
    /// or the last line.
    pub(super) fn tell_transcript(&mut self, all: bool) {
        if !self.arguments.arpanet || !tells_errors(self.mta) {
            return;
        }
        let text = self.envelope.transcript.as_bytes();
        let new = text.get(self.transcript_told..).unwrap_or_default();
        let lines: Vec<&[u8]> = new
            .split(|&b| b == b'\n')
            .filter(|l| !l.is_empty())
            .collect();
        let first = if all {
            0
        } else {
            lines.len().saturating_sub(1)
        };
        for line in lines.iter().skip(first) {
            Coded("").say(line);
        }
        self.transcript_told = text.len();
    }

    /// Tells an error, or keeps it until the message has been read.
    pub(super) fn tell(&mut self, line: &[u8], is_final: bool) {
        match &mut self.held {
            Some(held) => held.keep(line, is_final),
            None => self.errors.say(line),
        }
    }

    /// Tells the last of the errors that were kept, whatever the error mode.
    ///
    /// Observed: 8.17.1.9 has room for one.
    pub(super) fn release(&mut self) {
        match self.held.take().and_then(|held| held.line) {
            Some(_) if self.arguments.arpanet => self.tell_transcript(false),
            Some(line) => Stdout.say(&line),
            None => {}
        }
    }

    /// Tells an error that begins with its codes, and notes it in the transcript.
    pub(super) fn complain(&mut self, about: Option<&[u8]>, text: &[u8]) {
        self.summary.errors += 1;
        let plain = without_codes(text);
        let codes = &text[..text.len() - plain.len()];
        let about = about.map_or(Vec::new(), |about| [about, b"... "].concat());
        let is_permanent = codes.first() != Some(&b'4');
        self.tell(&[&about[..], plain].concat(), is_permanent);
        self.envelope
            .transcript
            .push_line(&[codes, &about, plain].concat());
        self.envelope
            .note_trouble(is_permanent, &[&about[..], plain].concat());
    }
}

/// Tells whether errors are printed for whoever called us.
pub(super) fn tells_errors(mta: &Mta) -> bool {
    let running = &mta.config.options.running;
    running.error_mode == ErrorMode::Print || running.verbose
}
