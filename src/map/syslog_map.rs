//! Class `syslog`: writes the key to the log and finds the empty text.

use super::lookup::{LookupContext, Map, MapAnswer};
use crate::text::bytes::printable;

/// The priority of the lines.
pub(super) struct SyslogMap(log::Level);

impl SyslogMap {
    pub(super) fn new(level: log::Level) -> SyslogMap {
        SyslogMap(level)
    }
}

impl Map for SyslogMap {
    fn lookup(&self, key: &[u8], _: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        log::log!(target: "mail", self.0, "{}", printable(key));
        MapAnswer::found("")
    }
}
