//! Rulesets that H lines name for header fields of incoming messages.
//!
//! Both doors ask them in the same way: the session of a client and a submission on
//! standard input differ only in what becomes of a refusal.

use crate::config::{HeaderCheck, HeaderRule};
use crate::macros::{MacroId, MacroTable};
use crate::message::HeaderField;
use crate::mta::Mta;

/// Longest header value shown to rulesets in `${currHeader}`.
const MAX_CURRENT_HEADER: usize = 256;

impl Mta {
    /// Returns the check a field goes through and sets the macros that describe the field.
    ///
    /// A field may have several H lines; the last ruleset named by one of them counts.
    pub fn check_of_field(
        &self,
        field: &HeaderField,
        macros: &mut MacroTable,
    ) -> Option<HeaderCheck> {
        let rules = &self.config.headers;
        let last = |is_meant: &dyn Fn(&HeaderRule) -> bool| {
            let meant = rules.iter().rev().filter(|rule| is_meant(rule));
            meant.filter_map(|rule| rule.check).next()
        };
        let own = last(&|rule| field.is(&rule.name));
        let check = own.or_else(|| last(&|rule| rule.name == b"*"))?;
        let value = field
            .value
            .get(..MAX_CURRENT_HEADER)
            .unwrap_or(&field.value);
        // Observed: 8.17.1.9 keeps the blank behind the colon, and counts it.
        let quoted = [b"\"", value.trim_ascii_end(), b"\""].concat();
        let length = field.value.trim_ascii_end().len().to_string();
        macros.set_text(MacroId::ADDR_TYPE, b"h");
        macros.set_text(MacroId::HDR_NAME, &field.name);
        macros.set_text(MacroId::CURR_HEADER, &quoted);
        macros.set_text(MacroId::HDRLEN, length.as_bytes());
        Some(check)
    }
}
