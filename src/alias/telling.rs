//! Errors and progress of expansion, in words.
//!
//! A line is prefixed with the file and line it comes from and with the address it is
//! about. Observed: 8.17.1.9.

use super::context::Refusal;
use super::entry::{Entry, Work};
use super::expand::Expansion;
use crate::config::options::DeliveryMode;
use crate::envelope::{DeliveryStatus, RecipientState};
use crate::logging::record::Severity;
use crate::smtp::{EnhancedStatus, ExitStatus, shows_address};
use crate::text::bytes::escape_for_display;
use crate::text::interval::format_interval;

/// Longest alias or list line quoted in a message.
const MAX_QUOTED_BYTES: usize = 203;

/// Who is at fault.
#[derive(Clone, Copy)]
enum Blame {
    /// Whoever gave the address.
    Address,
    /// Whoever wrote the rules.
    Rules,
}

/// The debug category of everything told here.
const CATEGORY: u8 = 27;

/// What `-d27` shows. Observed: 8.17.1.9.
impl Expansion<'_, '_, '_> {
    /// Says whether traces of a level are wanted; ask before formatting.
    pub(super) fn traces(&self, level: u8) -> bool {
        self.cx.debug.is_on(CATEGORY, level)
    }

    /// Writes a line made of pieces.
    pub(super) fn trace(&self, pieces: &[&[u8]]) {
        self.cx.debug.line(&pieces.concat());
    }

    /// Tells what an alias stands for.
    pub(super) fn trace_alias(&self, index: usize, found: &[u8]) {
        let recipient = &self.entries[index].recipient;
        let host = recipient
            .triple
            .as_ref()
            .map_or(&b""[..], |triple| &triple.host);
        let user = self.entries[index].user();
        let address = recipient.address.as_slice();
        self.trace(&[address, b" (", host, b", ", user, b") aliased to ", found]);
    }
}

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
            refused_at: None,
        };
        entry.work = Work::Settled(RecipientState::Failed(self.status_of(&refusal)));
    }

    pub(super) fn defer(&mut self, index: usize, enhanced: (u8, u16, u16), text: &[u8]) {
        let enhanced = enhanced_status(enhanced);
        let mut status = DeliveryStatus::local(enhanced, ExitStatus::TempFail, text, self.cx.now);
        status.waiting_because = Some(text.to_vec());
        status.is_personal = true;
        let recipient = &mut self.entries[index].recipient;
        // Without a triple it is not attempted now, and expanded again the next time.
        recipient.expected = recipient.triple.take();
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
        self.blame(Blame::Address, code, enhanced, text);
    }

    /// Tells an error of the configuration's.
    pub(super) fn complain_of_rules(&mut self, refusal: &Refusal) {
        self.blame(Blame::Rules, refusal.code, refusal.enhanced, &refusal.text);
    }

    fn blame(&mut self, whom: Blame, code: u16, enhanced: EnhancedStatus, text: &[u8]) {
        self.summary.errors += 1;
        let line = seven_bit(self.worded(code, text));
        self.cx.complaints.say(&line);
        let id = Some(self.envelope.id_for_log());
        let shown = escape_for_display(&line);
        let log = self.cx.log;
        match whom {
            Blame::Rules => {
                let line = format_args!("SYSERR(root): {shown}");
                log.syslog(0, Severity::Critical, id, line);
            }
            Blame::Address if self.cx.limits.logs_errors => {
                log.syslog(4, Severity::Notice, id, format_args!("{shown}"));
            }
            Blame::Address => {}
        }
        self.envelope.note_trouble(code / 100 == 5, &line);
        let number = format!("{code} {enhanced} ");
        self.envelope
            .transcript
            .push_line(&[number.as_bytes(), &line].concat());
    }

    /// Tells what the error mailer says of an address that is to be tried again.
    ///
    /// Observed: 8.17.1.9 prints the text, shows it in the queue and exits with zero.
    pub(super) fn tell_of_refusal_for_now(&mut self, refusal: &Refusal) {
        let line = self.worded(refusal.code, &refusal.text);
        self.cx.complaints.say(&line);
        self.envelope.message_status.get_or_insert(line);
    }

    /// Tells that look-ups on the way could not be answered now.
    pub(super) fn tell_of_deferral(&mut self, refusal: &Refusal) {
        if self.cx.limits.delivery == DeliveryMode::Deferred {
            // Nobody has been asked yet.
            return self.say(b"Deferring message until queue run");
        }
        self.say(b"Transient parse error -- message queued for future delivery");
        let reason = &refusal.text;
        self.envelope
            .message_status
            .get_or_insert_with(|| reason.clone());
    }

    /// Passes on what maps remarked, tells and logs what the system denied to them; the
    /// message waits for it.
    ///
    /// Observed: 8.17.1.9 exits with 71 after a fault.
    pub(super) fn tell_what_maps_said(&mut self) {
        for remark in self.cx.router.remarks() {
            self.cx.narrator.say(&remark);
        }
        for fault in self.cx.router.faults() {
            self.summary.errors += 1;
            self.summary.exit = Some(ExitStatus::OsError);
            self.cx.complaints.say(&fault);
            let id = self.envelope.id_for_log();
            let shown = escape_for_display(&fault);
            let line = format_args!("SYSERR(root): {shown}");
            self.cx.log.syslog(0, Severity::Critical, Some(id), line);
            self.envelope.message_status.get_or_insert(fault);
        }
    }

    /// The text of a code, with the place and the address in front where they belong.
    fn worded(&self, code: u16, text: &[u8]) -> Vec<u8> {
        match shows_address(code) || !self.place.is_empty() {
            true => self.prefixed(text),
            false => text.to_vec(),
        }
    }

    /// Writes the `to=` line of a user who does not exist, in the name of what listed him.
    pub(super) fn log_unknown_user(&mut self, entry: &Entry) {
        let Work::Settled(RecipientState::Failed(status)) = &entry.work else {
            return;
        };
        self.envelope.note_trouble(true, &status.text);
        if !self.cx.limits.logs_unknown_users {
            return;
        }
        let mut line = format!("to={}", escape_for_display(&entry.recipient.address));
        if let Some(parent) = entry.parent.and_then(|parent| self.entries.get(parent)) {
            let shown = escape_for_display(&parent.recipient.address);
            line.push_str(&format!(", ctladdr={shown}"));
            if let Some(who) = &parent.identity {
                line.push_str(&format!(" ({}/{})", who.uid, who.gid));
            }
        }
        let delay = format_interval(self.cx.now.since(self.envelope.created));
        line.push_str(&format!(", delay={delay}"));
        if let Some(triple) = &entry.recipient.triple {
            let name = &self.cx.mailers.get(triple.mailer).name;
            line.push_str(&format!(", mailer={}", escape_for_display(name)));
        }
        line.push_str(&format!(", pri={}", self.envelope.shown_priority()));
        let host = entry.recipient.triple.as_ref().map(|triple| &triple.host);
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            line.push_str(&format!(", relay={}", escape_for_display(host)));
        }
        line.push_str(&format!(", dsn={}", status.enhanced));
        if let Some(reply) = &status.reply {
            line.push_str(&format!(", reply={}", escape_for_display(reply)));
        }
        line.push_str(&format!(", stat={}", escape_for_display(&status.text)));
        let id = self.envelope.id_for_log();
        let log = self.cx.log;
        log.syslog(7, Severity::Info, Some(id), format_args!("{line}"));
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

/// Clears high bits, as the reference does with what it tells. Observed: 8.17.1.9.
fn seven_bit(mut line: Vec<u8>) -> Vec<u8> {
    for byte in line.iter_mut().filter(|byte| !byte.is_ascii()) {
        let low = *byte & 0x7f;
        *byte = if low.is_ascii_control() { b'?' } else { low };
    }
    line
}

fn enhanced_status((class, subject, detail): (u8, u16, u16)) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail).expect("the numbers are written in this room")
}

/// Shortens a text for messages, keeping both ends.
pub(super) fn shortened(text: &[u8]) -> Vec<u8> {
    crate::text::bytes::shorten(text, MAX_QUOTED_BYTES)
}
