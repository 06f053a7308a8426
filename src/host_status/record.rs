//! What is kept of one host: the last outcome and when it was.
//!
//! The text form is that of the files under `HostStatusDirectory`, one letter
//! and a value per line, closed by a dot. Other programs read and write them.
//!
//! Source: observed: 8.17.1.9 (V version, E error number, H resolver error,
//! S exit status, D enhanced status code, R reply, U time of last use).

use crate::client::Outcome;
use crate::client::outcome::Phase;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::text::bytes::parse_decimal;

/// Longest file read, in octets.
pub const MAX_RECORD: u64 = 16_384;

/// The last outcome at one host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HostRecord {
    /// The system's error number, 0 for none.
    pub error_number: i32,
    /// The resolver's error number, 0 for none.
    pub resolver_error: i32,
    /// The exit status: anything but 0 for a host to leave alone for a while.
    pub exit: u8,
    /// The enhanced status code.
    pub status: Option<EnhancedStatus>,
    /// What the host said last.
    pub reply: Option<Vec<u8>>,
    /// When that was, in seconds since 1970.
    pub updated: i64,
}

impl HostRecord {
    /// Reads the text form; `None` if it is not one.
    pub fn parse(text: &[u8]) -> Option<HostRecord> {
        let mut record = HostRecord::default();
        for line in text.split(|&octet| octet == b'\n') {
            let Some((letter, value)) = line.split_first() else {
                continue;
            };
            match letter {
                b'V' if parse_decimal::<u32>(value)? != 0 => return None,
                b'V' => {}
                b'E' => record.error_number = parse_decimal(value)?,
                b'H' => record.resolver_error = parse_decimal(value)?,
                b'S' => record.exit = parse_decimal(value)?,
                b'D' => record.status = EnhancedStatus::parse(value),
                b'R' => record.reply = Some(value.to_vec()),
                b'U' => record.updated = parse_decimal(value)?,
                b'.' => return Some(record),
                // A newer program may say more.
                _ => {}
            }
        }
        None
    }

    /// Writes the text form.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = format!(
            "V0\nE{}\nH{}\nS{}\n",
            self.error_number, self.resolver_error, self.exit
        )
        .into_bytes();
        if let Some(status) = self.status {
            text.extend_from_slice(format!("D{status}\n").as_bytes());
        }
        if let Some(reply) = &self.reply {
            text.push(b'R');
            text.extend(reply.iter().map(|octet| match octet {
                b'\n' | b'\r' | 0 => b' ',
                other => *other,
            }));
            text.push(b'\n');
        }
        text.extend_from_slice(format!("U{}\n.\n", self.updated).as_bytes());
        text
    }

    /// Makes the record of an outcome.
    ///
    /// What is said to MAIL, RCPT and DATA says nothing about the next message. A host that greets
    /// with a refusal, cannot be talked to, or takes no message in is left alone for a while.
    /// Observed: 8.17.1.9.
    pub fn of_outcome(
        outcome: &Outcome,
        error_number: i32,
        last_reply: Option<&[u8]>,
        now: i64,
    ) -> Self {
        let is_over = outcome.loss.is_some();
        let is_silent = match outcome.during {
            Some(Phase::Recipient | Phase::DataInit) => !is_over,
            Some(Phase::Mail) => !is_over && outcome.is_closing(),
            _ => false,
        };
        let is_temporary = outcome.is_temporary();
        let exit = match outcome.during {
            Some(Phase::Greeting) => outcome.exit,
            Some(Phase::Mail | Phase::Recipient | Phase::DataInit) if !is_over => ExitStatus::Ok,
            _ if is_temporary => ExitStatus::TempFail,
            _ => ExitStatus::Ok,
        };
        let reply = match outcome.during {
            _ if is_silent => None,
            Some(Phase::Greeting | Phase::Mail) if is_over => None,
            Some(_) if is_over => outcome
                .message
                .as_ref()
                .map(|message| [b"451 4.4.1 ", message.as_slice()].concat()),
            _ => last_reply.map(<[u8]>::to_vec),
        };
        // Observed: 8.17.1.9 keeps no status of what went on without a word.
        let has_status = is_temporary || reply.is_some() || !outcome.logged.is_temporary();
        HostRecord {
            error_number,
            resolver_error: 0,
            exit: exit.number(),
            status: (has_status && !is_silent).then_some(outcome.logged),
            reply,
            updated: now,
        }
    }

    /// What `hoststat` shows of it; `error_text` words a system error number.
    pub fn shown(&self, error_text: &dyn Fn(i32) -> String) -> Vec<u8> {
        if let Some(reply) = &self.reply {
            return reply.clone();
        }
        let exit = ExitStatus::from_number(self.exit);
        let text = match (exit, exit.description()) {
            (ExitStatus::Ok | ExitStatus::TempFail, _) if self.error_number != 0 => {
                let word = if exit == ExitStatus::Ok {
                    "OK"
                } else {
                    "Deferred"
                };
                format!("{word}: {}", error_text(self.error_number))
            }
            (ExitStatus::Ok, _) => "OK".to_owned(),
            (_, None) => format!("Unknown mailer error {}", self.exit),
            (_, Some(description)) => format!("{} {}", description.enhanced, description.text),
        };
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::answer::Answer;
    use crate::client::outcome::Lost;

    const TEXT: &[u8] = b"V0\nE111\nH0\nS75\nD4.4.1\nU1795331482\n.\n";

    #[test]
    fn the_text_form_is_read_and_written() {
        let record = HostRecord::parse(TEXT).unwrap();
        assert_eq!(record.to_text(), TEXT);
        assert_eq!(
            record.shown(&|_| "Connection refused".into()),
            b"Deferred: Connection refused"
        );
        let reply = b"V0\nE0\nH0\nS0\nD2.0.0\nR250 2.0.0 ok\nU1\n.\n";
        assert_eq!(
            HostRecord::parse(reply).unwrap().shown(&|_| String::new()),
            b"250 2.0.0 ok"
        );
        assert_eq!(HostRecord::parse(reply).unwrap().to_text(), reply);
        for (error, exit, wanted) in [
            (0, 0, "OK"),
            (5, 0, "OK: text"),
            (0, 75, "4.0.0 Deferred"),
            (5, 75, "Deferred: text"),
            (5, 68, "5.1.2 Host unknown"),
            (0, 77, "5.0.0 Insufficient permission"),
            (0, 99, "Unknown mailer error 99"),
        ] {
            let text = format!("V0\nE{error}\nH0\nS{exit}\nU1\n.\n");
            let record = HostRecord::parse(text.as_bytes()).unwrap();
            let shown = record.shown(&|_| "text".to_owned());
            assert_eq!(shown, wanted.as_bytes(), "{exit}");
        }
    }

    fn kept(outcome: &Outcome, said: Option<&[u8]>) -> String {
        let text = HostRecord::of_outcome(outcome, 0, said, 1).to_text();
        String::from_utf8(text).unwrap().replace('\n', "|")
    }

    #[test]
    fn refused_commands_are_not_held_against_a_host() {
        for (phase, reply, record) in [
            (Phase::Mail, "451 x", "S0|D4.3.0|R451 x|"),
            (Phase::Mail, "421 x", "S0|"),
            (Phase::Recipient, "451 x", "S0|"),
            (Phase::DataInit, "451 x", "S0|"),
            (Phase::DataInit, "554 x", "S0|"),
            (Phase::DataFinal, "451 x", "S75|D4.3.0|R451 x|"),
            (Phase::DataFinal, "554 x", "S0|D5.0.0|R554 x|"),
            (Phase::Greeting, "451 x", "S75|D4.5.0|R451 x|"),
            (Phase::Greeting, "554 x", "S69|D5.5.0|R554 x|"),
        ] {
            let answer = Answer::parse(reply, false);
            let outcome = Outcome::of_refusal(phase, &answer, b"a.test.").unwrap();
            let text = kept(&outcome, Some(reply.as_bytes()));
            assert_eq!(text, format!("V0|E0|H0|{record}U1|.|"), "{phase:?} {reply}");
        }
    }

    #[test]
    fn a_lost_host_is_left_alone() {
        let read_error = "R451 4.4.1 reply: read error from a.test.|";
        for (phase, reply) in [
            (Phase::Greeting, ""),
            (Phase::Mail, ""),
            (Phase::Recipient, read_error),
            (Phase::DataInit, read_error),
            (Phase::DataFinal, read_error),
        ] {
            let outcome = Outcome::lost(phase, Lost::Reset, b"a.test.");
            let text = kept(&outcome, None);
            assert_eq!(
                text,
                format!("V0|E0|H0|S75|D4.4.2|{reply}U1|.|"),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn a_reply_cannot_add_lines() {
        let record = HostRecord {
            reply: Some(b"250 a\nS75\n.".to_vec()),
            ..HostRecord::default()
        };
        assert_eq!(HostRecord::parse(&record.to_text()).unwrap().exit, 0);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [&b""[..], b"V0\nE1\n", b"V1\n.\n", b"S999\n.\n", b"Ux\n.\n"] {
            assert_eq!(HostRecord::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn mutated_records_never_panic() {
        for position in 0..TEXT.len() {
            for value in [0, b'\n', b'9', b'-', 255] {
                let mut bad = TEXT.to_vec();
                bad[position] = value;
                let _ = HostRecord::parse(&bad);
                let _ = HostRecord::parse(&bad[..position]);
            }
        }
    }
}
