//! Class `syslog`: writes the key to the log and finds the empty text.

use super::lookup::{LookupContext, Map, MapAnswer};
use crate::logging::record::{MailLog, Severity};
use crate::text::bytes::escape_for_display;

/// The priority of the lines, and where they go.
pub(super) struct SyslogMap {
    severity: Severity,
    log: MailLog,
}

impl SyslogMap {
    pub(super) fn new(severity: Severity) -> SyslogMap {
        // Its lines are written at every LogLevel.
        let log = MailLog::new(0);
        SyslogMap { severity, log }
    }
}

impl Map for SyslogMap {
    fn lookup(&self, key: &[u8], _: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let id = cx.host.queue_id();
        let id = id.as_deref().unwrap_or(b"NOQUEUE");
        let key = escape_for_display(key);
        self.log
            .syslog(0, self.severity, Some(id), format_args!("{key}"));
        MapAnswer::found("")
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup::{LookupHost, LookupMode};
    use super::*;

    struct Host(Option<&'static [u8]>);

    impl LookupHost for Host {
        fn set_macro(&mut self, _: &[u8], _: Option<&[u8]>) -> bool {
            true
        }

        fn queue_id(&self) -> Option<Vec<u8>> {
            self.0.map(<[u8]>::to_vec)
        }
    }

    #[test]
    fn lines_begin_with_the_id_of_the_message() {
        let (log, recorded) = MailLog::recording(0);
        let severity = Severity::Notice;
        let map = SyslogMap { severity, log };
        for id in [None, Some(&b"fAM0001"[..])] {
            let mut host = Host(id);
            let mut cx = LookupContext {
                host: &mut host,
                mode: LookupMode::Usual,
            };
            map.lookup(b"said \x9b this", &[], &mut cx);
        }
        let lines = recorded.lock().expect("lines");
        let expected = [r"NOQUEUE: said \233 this", r"fAM0001: said \233 this"];
        assert_eq!(*lines, expected);
    }
}
