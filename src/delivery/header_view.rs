//! Header rewriting and macro expansion with the real rulesets.
//!
//! Answers what [`super::output`] asks. The macros in front are those of one delivery,
//! so that `$g`, `$u` and `$h` mean what this mailer sees.

use super::output::{HeaderRole, HeaderView};
use crate::config::HeaderRule;
use crate::macros::{MacroId, Template};
use crate::mailer::Mailer;
use crate::map::Userdb;
use crate::message::HeaderField;
use crate::message::header::LATE_MACRO_MARK;
use crate::rewrite::rename::{Renaming, Surroundings};
use crate::rewrite::{Place, RewriteContext, Role};

/// A view of the header for one mailer.
pub struct RulesetView<'a, 'c> {
    cx: &'a mut RewriteContext<'c>,
    mailer: &'a Mailer,
    sender_domain: Option<&'a [u8]>,
    unix_from_line: Vec<u8>,
    mail_names: Option<&'a Userdb>,
    rules: &'a [HeaderRule],
}

impl<'a, 'c> RulesetView<'a, 'c> {
    /// Makes a view; `sender_domain` is the sender's `@domain` if his mailer has F=C, and
    /// `unix_from_line` the expanded option of that name.
    pub fn new(
        cx: &'a mut RewriteContext<'c>,
        mailer: &'a Mailer,
        sender_domain: Option<&'a [u8]>,
        unix_from_line: Vec<u8>,
    ) -> Self {
        RulesetView {
            cx,
            mailer,
            sender_domain,
            unix_from_line,
            mail_names: None,
            rules: &[],
        }
    }

    /// Has addresses replaced by the names a user database has for them (F=j of the sender's
    /// mailer).
    pub fn with_mail_names(mut self, userdb: Option<&'a Userdb>) -> Self {
        self.mail_names = userdb;
        self
    }

    /// Has fields that await their mailer expanded from these H lines.
    pub fn with_rules(mut self, rules: &'a [HeaderRule]) -> Self {
        self.rules = rules;
        self
    }
}

impl HeaderView for RulesetView<'_, '_> {
    fn rewrite(&mut self, address: &[u8], role: HeaderRole) -> Vec<u8> {
        let how = Renaming {
            role: match role {
                HeaderRole::Sender => Role::Sender,
                HeaderRole::Recipient => Role::Recipient,
            },
            place: Place::Header,
            surroundings: Surroundings::Kept,
            sender_domain: self.sender_domain,
        };
        // Observed: 8.17.1.9 looks the whole text up, so a name with a phrase is never found.
        let named = self.mail_names.and_then(|names| {
            let id = self.cx.macros.expanded(MacroId::I);
            names.mail_name(address.trim_ascii(), Some(&id))
        });
        let address = named.as_deref().unwrap_or(address);
        match self.cx.rename(address, self.mailer, how) {
            Ok(renamed) => renamed,
            // The header goes out as far as it could be rewritten; only the envelope
            // decides whether a message has to wait.
            Err(failure) => failure.address,
        }
    }

    fn expand_late(&mut self, value: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(value.len());
        let mut bytes = value.iter();
        while let Some(byte) = bytes.next() {
            if *byte == LATE_MACRO_MARK
                && let Some(letter) = bytes.next()
            {
                text.extend(self.cx.macros.expanded(MacroId::letter(*letter)));
            } else {
                text.push(*byte);
            }
        }
        text
    }

    fn expand_default(&mut self, field: &HeaderField) -> Vec<u8> {
        let is_its = |template: &&Template| template.source() == field.value;
        let mut rules = self.rules.iter().filter(|rule| field.is(&rule.name));
        let template = rules.find_map(|rule| rule.template.as_ref().filter(is_its));
        template.map_or(Vec::new(), |template| template.expanded(&self.cx.macros))
    }

    fn is_macro_set(&self, name: &[u8]) -> bool {
        self.cx
            .names
            .find(name)
            .is_some_and(|id| self.cx.macros.is_set(id))
    }

    fn unix_from_line(&mut self) -> Vec<u8> {
        self.unix_from_line.clone()
    }

    fn sender(&mut self) -> Vec<u8> {
        self.cx.macros.expanded(MacroId::G)
    }

    fn ctime(&mut self) -> Vec<u8> {
        self.cx.macros.expanded(MacroId::D)
    }
}
