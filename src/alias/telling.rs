//! Errors and progress of expansion, in words.
//!
//! A line is prefixed with the file and line it comes from and with the address it is
//! about. Observed: 8.17.1.9.

use super::context::Refusal;
use super::expand::{Entry, Expansion, Work};
use crate::envelope::{DeliveryStatus, RecipientState};
use crate::smtp::{EnhancedStatus, ExitStatus};

/// Longest alias or list line quoted in a message.
const MAX_QUOTED_BYTES: usize = 203;

impl Expansion<'_, '_, '_> {
    pub(super) fn fail_entry(
        &mut self,
        entry: &mut Entry,
        code: u16,
        enhanced: (u8, u16, u16),
        exit: ExitStatus,
        text: &[u8],
    ) {
        let enhanced = enhanced_status(enhanced);
        self.complain(code, enhanced, text);
        if exit != ExitStatus::Usage {
            self.summary.exit.get_or_insert(exit);
        }
        let refusal = Refusal {
            code,
            enhanced,
            exit,
            text: text.to_vec(),
            listed_as: None,
        };
        entry.work = Work::Settled(RecipientState::Failed(self.status_of(&refusal)));
    }

    pub(super) fn defer(&mut self, index: usize, enhanced: (u8, u16, u16), text: &[u8]) {
        let enhanced = enhanced_status(enhanced);
        let mut status = DeliveryStatus::local(enhanced, ExitStatus::TempFail, text, self.cx.now);
        status.waiting_because = Some(text.to_vec());
        let recipient = &mut self.entries[index].recipient;
        // Without a triple it is not attempted now, and expanded again the next time.
        recipient.expected_mailer = recipient.triple.take().map(|triple| triple.mailer);
        self.entries[index].work = Work::Settled(RecipientState::Deferred(status));
        if self.envelope.message_status.is_none() {
            self.envelope.message_status = Some(text.to_vec());
        }
    }

    pub(super) fn status_of(&self, refusal: &Refusal) -> DeliveryStatus {
        let mut status = DeliveryStatus::local(
            refusal.enhanced,
            refusal.exit,
            refusal.text.clone(),
            self.cx.now,
        );
        let number = format!("{} {} ", refusal.code, refusal.enhanced);
        if refusal.exit == ExitStatus::NoUser {
            let line = [number.as_bytes(), &refusal.text].concat();
            status.reply = Some(line.clone());
            status.diagnostic = Some(line);
        }
        status
    }

    /// Says a line of narration, with the place and the address it is about in front.
    pub(super) fn say(&mut self, text: &[u8]) {
        if self.cx.narrator.is_listening() {
            let line = self.prefixed(text);
            self.cx.narrator.say(&line);
        }
    }

    /// Tells an error and notes it in the transcript.
    pub(super) fn complain(&mut self, code: u16, enhanced: EnhancedStatus, text: &[u8]) {
        self.summary.errors += 1;
        let line = self.prefixed(text);
        self.cx.complaints.say(&line);
        let number = format!("{code} {enhanced} ");
        self.envelope
            .transcript
            .push_line(&[number.as_bytes(), &line].concat());
    }

    pub(super) fn prefixed(&self, text: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        if let Some((file, number)) = self.place.last() {
            line.extend_from_slice(file);
            line.extend_from_slice(format!(": line {number}: ").as_bytes());
        }
        if let Some(about) = &self.about {
            line.extend_from_slice(about);
            line.extend_from_slice(b"... ");
        }
        line.extend_from_slice(text);
        line
    }
}

fn enhanced_status((class, subject, detail): (u8, u16, u16)) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail).expect("the numbers are written in this room")
}

/// Shortens a text for messages, keeping both ends.
pub(super) fn shortened(text: &[u8]) -> Vec<u8> {
    crate::text::bytes::shorten(text, MAX_QUOTED_BYTES)
}
