//! The addresses of a header that goes back, or into a file of dead letters.
//!
//! A returned header is written for no mailer at all: the rules every address goes through
//! (rulesets 3, 1 or 2, and 4) see each address, and what they make of it is shown, with
//! brackets, quotes and comments closed. A dead letter is written for the mailer of files.
//!
//! Observed: 8.17.1.9.

use crate::envelope::Envelope;
use crate::macros::MacroTable;
use crate::mailer::Mailer;
use crate::message::address_lines::format_address_header;
use crate::message::header::{Expansion, HeaderTraits, LATE_MACRO_MARK};
use crate::mta::Mta;
use crate::rewrite::{Kept, Place, RewriteWorkspace, Role, rename_for_mailer};

/// What the rules make of the addresses in a header.
#[derive(Debug, Default)]
pub(super) struct ReturnedAddresses {
    /// The value of each field of addresses, in the order of the header; none for others.
    pub(super) fields: Vec<Option<Vec<u8>>>,
    /// The sender, where a field waits for `$g`.
    pub(super) sender: Vec<u8>,
}

/// Puts the sender where `$g` waits for its value.
pub(super) fn with_sender(value: &[u8], sender: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::new();
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        if byte != LATE_MACRO_MARK {
            expanded.push(byte);
        } else if bytes.next() == Some(&b'g') {
            expanded.extend_from_slice(sender);
        }
    }
    expanded
}

impl ReturnedAddresses {
    /// Sends the addresses of a message through the rules every mailer has.
    pub(super) fn of(envelope: &Envelope, mta: &Mta, buffers: &mut RewriteWorkspace) -> Self {
        Self::for_mailer(envelope, &Mailer::new(b"", b""), mta, buffers)
    }

    /// Sends the addresses of a message through the rules of a mailer.
    pub(super) fn for_mailer(
        envelope: &Envelope,
        mailer: &Mailer,
        mta: &Mta,
        buffers: &mut RewriteWorkspace,
    ) -> Self {
        let mut rules = Rules {
            mta,
            buffers,
            envelope,
            mailer,
        };
        let sender = rules.sender();
        let fields = rules.fields();
        ReturnedAddresses { fields, sender }
    }
}

struct Rules<'a> {
    mta: &'a Mta,
    buffers: &'a mut RewriteWorkspace,
    envelope: &'a Envelope,
    mailer: &'a Mailer,
}

impl Rules<'_> {
    fn sender(&mut self) -> Vec<u8> {
        let envelope = self.envelope;
        // Rules make a name of the empty sender, too.
        let name: &[u8] = match envelope.sender.is_null() {
            true => b"<>",
            false => envelope.sender.envelope_name(),
        };
        self.rename(name, Role::Sender, Place::Envelope)
    }

    fn fields(&mut self) -> Vec<Option<Vec<u8>>> {
        let envelope = self.envelope;
        let old_style_option = self.mta.config.options.headers.old_style_headers;
        let is_old_style = old_style_option && envelope.headers.look_old_style();
        let shown = envelope.headers.iter().map(|field| {
            let traits = field.traits();
            if !traits.holds_addresses() || field.expansion != Expansion::Done {
                return None;
            }
            let is_sender = traits.has(HeaderTraits::ORIGINATOR);
            let role = match is_sender {
                true => Role::Sender,
                false => Role::Recipient,
            };
            let text = format_address_header(
                &field.name,
                &field.value,
                None,
                is_old_style && !is_sender,
                &mut |address| self.rename(address, role, Place::Header),
            );
            text.get(field.name.len() + 1..).map(<[u8]>::to_vec)
        });
        shown.collect()
    }

    fn rename(&mut self, address: &[u8], role: Role, place: Place) -> Vec<u8> {
        let mut front = MacroTable::new();
        let mut trace = Kept::traced(&self.mta.debug);
        let middle = Some(&self.envelope.macros);
        let mut cx = (self.mta).rewrite_context(&mut front, middle, &mut trace, self.buffers);
        match rename_for_mailer(address, self.mailer, role, place, &mut cx) {
            Ok(renamed) => renamed,
            // What a map could not answer is shown as far as it got.
            Err(failure) => failure.address,
        }
    }
}
