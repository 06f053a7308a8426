//! What a message says about a submitter who claims more than his own name.
//!
//! Each warning becomes an `X-Authentication-Warning:` field and a line in the log,
//! if PrivacyOptions has `authwarnings`. What is known before there is a message
//! (another configuration, another queue) is logged at once.
//!
//! Source: guide 4.15, PrivacyOptions; observed: 8.17.1.9 for the conditions.

use super::SubmitArguments;
use super::submitter::Submitter;
use crate::config::options::PrivacyFlags;
use crate::envelope::Envelope;
use crate::logging::record::Severity;
use crate::message::HeaderField;
use crate::mta::Mta;
use crate::text::bytes::escape_for_display;

/// The level from which warnings are logged.
const LOG_LEVEL: u8 = 4;

/// The warnings of one run.
#[derive(Debug, Default)]
pub struct Warnings {
    texts: Vec<Vec<u8>>,
}

impl Warnings {
    /// Warns of what the command line says about configuration and queue.
    pub fn of_surroundings(
        mta: &Mta,
        arguments: &SubmitArguments,
        submitter: &Submitter,
    ) -> Warnings {
        let mut warnings = Warnings::default();
        let name = submitter.name.as_slice();
        if let Some(file) = &arguments.foreign_config {
            warnings.add(mta, None, &[b"Processed by ", name, b" with -C ", file]);
        }
        let queue = mta.config.options.queueing.queue_directory.as_ref();
        if let Some(queue) = queue.filter(|_| arguments.foreign_queue)
            && !mta.config.is_trusted(name)
        {
            warnings.add(mta, None, &[b"Processed from queue ", queue]);
        }
        warnings
    }

    /// Warns of a sender the submitter has given, unless he named himself or is trusted.
    pub fn add_sender(
        &mut self,
        mta: &Mta,
        arguments: &SubmitArguments,
        submitter: &Submitter,
        envelope: &Envelope,
    ) {
        let Some((sender, flag)) = &arguments.sender else {
            return;
        };
        let name = submitter.name.as_slice();
        let is_himself = envelope.sender.triple.as_ref().is_some_and(|triple| {
            mta.config.mailers.get(triple.mailer).has(b'l') && triple.user == name
        });
        if is_himself || mta.config.is_trusted(name) {
            return;
        }
        let shown: &[u8] = match sender.as_slice() {
            b"" => b"<>",
            sender => sender,
        };
        let id = Some(envelope.id_for_log());
        self.add(
            mta,
            id,
            &[name, b" set sender to ", shown, b" using -", &[*flag]],
        );
    }

    fn add(&mut self, mta: &Mta, id: Option<&[u8]>, pieces: &[&[u8]]) {
        let privacy = mta.config.options.security.privacy_options;
        if !privacy.contains(PrivacyFlags::AUTH_WARNINGS) {
            return;
        }
        let host = mta.config.expanded_macro(crate::macros::MacroId::J);
        let text = [&host, &b": "[..], &pieces.concat()].concat();
        mta.log.syslog(
            LOG_LEVEL,
            Severity::Info,
            Some(id.unwrap_or(b"NOQUEUE")),
            format_args!("Authentication-Warning: {}", escape_for_display(&text)),
        );
        self.texts.push(text);
    }

    /// Returns the fields, those of later warnings first.
    pub fn fields(&self) -> impl Iterator<Item = HeaderField> + '_ {
        self.texts.iter().rev().map(|text| {
            let value = super::message::one_line(&[b" ", text.as_slice()].concat());
            HeaderField::new(b"X-Authentication-Warning", &value)
        })
    }
}
