//! What a reply, or its absence, means for a recipient.
//!
//! The tables here are those of 8.17.1.9, found by asking it about each reply
//! code in each phase of the dialogue. They differ from phase to phase: 550 is
//! an unknown user after RCPT, but only an unavailable service after the dot.
//!
//! Enhanced status codes of the server count only if it offers them in EHLO.
//!
//! Source: RFC 5321 section 4.2, RFC 3463, observed: 8.17.1.9.

use crate::client::answer::Answer;
use crate::smtp::{EnhancedStatus, ExitStatus, Extensions};

/// What became of a recipient, in all the forms others ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The outcome as a mailer program would report it.
    pub exit: ExitStatus,
    /// `dsn=` of the log line.
    pub logged: EnhancedStatus,
    /// `Status:` of a delivery report.
    pub reported: EnhancedStatus,
    /// What follows `Sent`, `Deferred: ` or the text of the exit status, without parentheses.
    pub detail: Option<Vec<u8>>,
    /// The reason kept in the queue, where it is not the text of the log.
    pub message: Option<Vec<u8>>,
    /// `reply=` of the log line.
    pub reply: Option<Vec<u8>>,
    /// What the server said, for `Diagnostic-Code:` and the `(reason: ...)` line.
    pub diagnostic: Option<Vec<u8>>,
    /// The server, for `Remote-MTA:`.
    pub remote: Option<Vec<u8>>,
    /// The server promised to report to the sender itself (it offers DSN).
    pub reports_itself: bool,
    /// The server keeps the time the message must be delivered by (it offers DELIVERBY).
    pub keeps_deadline: bool,
    /// The server spoke about one recipient, not about the whole message.
    pub is_personal: bool,
    /// What each recipient was accepted with, by place; a receipt quotes it.
    pub accepted_with: Vec<(usize, Vec<u8>)>,
    /// How the connection was lost, if it was.
    pub lost: Option<Vec<u8>>,
    /// The host is not worth another attempt in this run.
    pub avoids_host: bool,
    /// What a server that closes said to our goodbye; the status of the host keeps that.
    pub last_words: Option<Vec<u8>>,
    /// Where in the dialogue a server refused or was lost.
    pub during: Option<Phase>,
    /// How the connection ended before its time; `lost` words it.
    pub loss: Option<Lost>,
    /// The TLS handshake failed.
    pub is_tls_failure: bool,
}

/// Where in the dialogue a reply was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The greeting, EHLO, HELO or LHLO.
    Greeting,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA, before 354.
    DataInit,
    /// The final dot.
    DataFinal,
}

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The server closed it.
    Reset,
    /// Nothing came before the deadline.
    TimedOut,
}

impl Lost {
    /// Words the loss as the log shows it.
    pub fn text(self, host: &[u8]) -> Vec<u8> {
        match self {
            Lost::Reset => [b"Connection reset by ", host].concat(),
            Lost::TimedOut => [b"Connection timed out with ", host].concat(),
        }
    }
}

/// Makes a status code from literals; class, subject and detail are all in range.
pub fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
        .or_else(|| EnhancedStatus::new(5, 0, 0))
        .expect("5.0.0 is a status code")
}

/// The status code a reply code stands for when the server gives none.
fn status_of_code(code: u16) -> EnhancedStatus {
    let (class, subject, detail) = match code {
        450 => (4, 2, 0),
        451 => (4, 3, 0),
        452 => (4, 3, 1),
        500 => (5, 5, 2),
        501 | 504 => (5, 5, 4),
        502 | 503 => (5, 5, 1),
        550 => (5, 2, 0),
        551 => (5, 1, 6),
        552 => (5, 2, 2),
        553 => (5, 1, 0),
        _ => (class_of(code), 0, 0),
    };
    status(class, subject, detail)
}

fn class_of(code: u16) -> u8 {
    match code / 100 {
        2 => 2,
        4 => 4,
        _ => 5,
    }
}

impl Outcome {
    /// An outcome with one status for log and report, and nothing said.
    pub fn new(exit: ExitStatus, both: EnhancedStatus) -> Self {
        Outcome {
            exit,
            logged: both,
            reported: both,
            detail: None,
            message: None,
            reply: None,
            diagnostic: None,
            remote: None,
            reports_itself: false,
            keeps_deadline: false,
            is_personal: false,
            accepted_with: Vec::new(),
            lost: None,
            avoids_host: true,
            last_words: None,
            during: None,
            loss: None,
            is_tls_failure: false,
        }
    }

    /// Says whether the recipient may be tried again.
    pub fn is_temporary(&self) -> bool {
        self.exit.is_temporary()
    }

    /// The outcome of a reply that did not lead on.
    ///
    /// `None` if the reply is the one hoped for in this phase.
    pub fn of_refusal(phase: Phase, answer: &Answer, host: &[u8]) -> Option<Outcome> {
        let code = answer.code;
        let (exit, default) = match phase {
            Phase::Greeting => greeting(code)?,
            Phase::Mail => mail(code)?,
            Phase::Recipient => recipient(code)?,
            Phase::DataInit => data_init(code)?,
            Phase::DataFinal => data_final(code)?,
        };
        let given = answer
            .enhanced
            .filter(|_| !matches!(phase, Phase::Greeting | Phase::DataInit))
            // A refusal of the whole session says nothing about this sender.
            .filter(|_| !(phase == Phase::Mail && code == 421));
        let mut outcome = Outcome::new(exit, given.unwrap_or(default));
        outcome.during = Some(phase);
        outcome.avoids_host = matches!(phase, Phase::Greeting | Phase::DataFinal);
        let is_plain = matches!(code / 100, 4 | 5);
        if is_plain || phase == Phase::Recipient || (phase == Phase::DataFinal && code >= 600) {
            // Observed: the replies to RCPT are quoted as they came.
            outcome.reply = Some(match phase {
                Phase::Recipient => answer.first_line.clone(),
                _ => answer.logged_line(),
            });
        }
        if exit == ExitStatus::TempFail && is_plain {
            outcome.detail = Some(answer.first_line.clone());
        }
        if phase != Phase::DataInit {
            outcome.diagnostic = Some(answer.first_line.clone());
        } else if exit == ExitStatus::Unavailable {
            outcome.reported = status(5, 5, 0);
        }
        if !matches!(phase, Phase::Greeting | Phase::Mail) {
            outcome.remote = Some(host.to_vec());
        }
        Some(outcome)
    }

    /// Says whether the server announced with 421 that it closes.
    pub fn is_closing(&self) -> bool {
        let said = self.diagnostic.as_ref().or(self.reply.as_ref());
        said.is_some_and(|said| said.starts_with(b"421"))
    }

    /// What the next message of the same run hears, instead of another attempt.
    ///
    /// That is only the reason, not the dialogue that led to it. A server that wants no session
    /// at all wants none for the next message either. Observed: 8.17.1.9.
    pub fn aftermath(&self) -> Option<Outcome> {
        let is_shut = self.during == Some(Phase::Greeting) && self.exit != ExitStatus::Ok;
        if !self.avoids_host || !(self.is_temporary() || is_shut) {
            return None;
        }
        let is_plain = [status(4, 4, 1), status(4, 4, 3)].contains(&self.logged);
        Some(Outcome {
            reply: None,
            detail: self
                .lost
                .clone()
                .or(self.detail.clone().filter(|_| is_plain)),
            message: self.message.clone().filter(|_| self.lost.is_none()),
            is_personal: false,
            ..self.clone()
        })
    }

    /// The outcome of a message the server took with this reply.
    pub fn sent(answer: &Answer, host: &[u8], offers: &Extensions) -> Outcome {
        Outcome {
            detail: Some(answer.text_without_codes().to_vec()),
            remote: Some(host.to_vec()),
            reports_itself: offers.dsn,
            keeps_deadline: offers.deliver_by.is_some(),
            ..Outcome::new(ExitStatus::Ok, status(2, 0, 0))
        }
    }

    /// The outcome of a connection lost in the middle of a session.
    pub fn lost(phase: Phase, lost: Lost, host: &[u8]) -> Outcome {
        let mut outcome = Outcome::new(ExitStatus::TempFail, status(4, 4, 2));
        // Observed: a server that hangs up is told of in these phases only.
        if lost == Lost::TimedOut || matches!(phase, Phase::Greeting | Phase::DataInit) {
            outcome.detail = Some(lost.text(host));
        }
        outcome.lost = Some(lost.text(host));
        outcome.during = Some(phase);
        outcome.loss = Some(lost);
        outcome.message = Some([b"reply: read error from ", host].concat());
        outcome
    }

    /// The outcome of a connection that was not made.
    pub fn not_connected(reason: &[u8], host: &[u8]) -> Outcome {
        Outcome {
            detail: Some(reason.to_vec()),
            remote: Some(host.to_vec()),
            ..Outcome::new(ExitStatus::TempFail, status(4, 4, 1))
        }
    }
}

fn greeting(code: u16) -> Option<(ExitStatus, EnhancedStatus)> {
    match code / 100 {
        2 => None,
        4 => Some((ExitStatus::TempFail, status(4, 5, 0))),
        _ => Some((ExitStatus::Unavailable, status(5, 5, 0))),
    }
}

fn mail(code: u16) -> Option<(ExitStatus, EnhancedStatus)> {
    Some(match code {
        200..=299 => return None,
        421 => (ExitStatus::TempFail, status(4, 0, 0)),
        400..=499 => (ExitStatus::TempFail, status_of_code(code)),
        501 => (ExitStatus::DataError, status(5, 5, 2)),
        553 => (ExitStatus::DataError, status(5, 1, 3)),
        552 => (ExitStatus::Unavailable, status(5, 3, 4)),
        500..=599 => (ExitStatus::Unavailable, status(5, 0, 0)),
        _ => (ExitStatus::Protocol, status(5, 5, 1)),
    })
}

fn recipient(code: u16) -> Option<(ExitStatus, EnhancedStatus)> {
    Some(match code {
        200..=299 => return None,
        400..=499 => (ExitStatus::TempFail, status_of_code(code)),
        550 => (ExitStatus::NoUser, status(5, 1, 1)),
        551 => (ExitStatus::NoUser, status(5, 1, 6)),
        553 => (ExitStatus::NoUser, status(5, 1, 3)),
        500..=599 => (ExitStatus::Unavailable, status_of_code(code)),
        _ => (ExitStatus::Protocol, status(5, 0, 0)),
    })
}

fn data_init(code: u16) -> Option<(ExitStatus, EnhancedStatus)> {
    Some(match code / 100 {
        3 => return None,
        4 => (ExitStatus::TempFail, status(4, 0, 0)),
        5 => (ExitStatus::Unavailable, status(5, 0, 0)),
        _ => (ExitStatus::Protocol, status(5, 5, 1)),
    })
}

fn data_final(code: u16) -> Option<(ExitStatus, EnhancedStatus)> {
    Some(match code {
        200..=299 => return None,
        400..=499 => (ExitStatus::TempFail, status_of_code(code)),
        550..=559 => (ExitStatus::Unavailable, status_of_code(code)),
        _ => (ExitStatus::Protocol, status_of_code(code)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(phase: Phase, line: &str) -> Outcome {
        Outcome::of_refusal(phase, &Answer::parse(line, true), b"mx.test.").unwrap()
    }

    #[test]
    fn reply_codes_mean_what_the_phase_makes_of_them() {
        use ExitStatus::{DataError, NoUser, Protocol, TempFail, Unavailable};
        for (phase, line, exit, logged) in [
            (Phase::Greeting, "421 4.3.2 x", TempFail, "4.5.0"),
            (Phase::Greeting, "554 5.7.1 x", Unavailable, "5.5.0"),
            (Phase::Mail, "421 4.3.2 x", TempFail, "4.0.0"),
            (Phase::Mail, "450 x", TempFail, "4.2.0"),
            (Phase::Mail, "501 x", DataError, "5.5.2"),
            (Phase::Mail, "552 x", Unavailable, "5.3.4"),
            (Phase::Mail, "553 5.7.2 x", DataError, "5.7.2"),
            (Phase::Mail, "350 x", Protocol, "5.5.1"),
            (Phase::Recipient, "550 x", NoUser, "5.1.1"),
            (Phase::Recipient, "551 x", NoUser, "5.1.6"),
            (Phase::Recipient, "552 x", Unavailable, "5.2.2"),
            (Phase::Recipient, "421 4.3.2 x", TempFail, "4.3.2"),
            (Phase::DataInit, "550 5.7.1 x", Unavailable, "5.0.0"),
            (Phase::DataInit, "451 x", TempFail, "4.0.0"),
            (Phase::DataInit, "250 x", Protocol, "5.5.1"),
            (Phase::DataFinal, "550 x", Unavailable, "5.2.0"),
            (Phase::DataFinal, "530 x", Protocol, "5.0.0"),
            (Phase::DataFinal, "452 x", TempFail, "4.3.1"),
        ] {
            let outcome = outcome(phase, line);
            assert_eq!(
                (outcome.exit, outcome.logged.to_string().as_str()),
                (exit, logged),
                "{phase:?} {line}"
            );
        }
    }

    #[test]
    fn good_replies_are_no_refusals() {
        for (phase, line) in [
            (Phase::Greeting, "220 x"),
            (Phase::Mail, "250 x"),
            (Phase::Recipient, "251 x"),
            (Phase::DataInit, "354 x"),
            (Phase::DataInit, "350 x"),
            (Phase::DataFinal, "250 x"),
        ] {
            assert_eq!(
                Outcome::of_refusal(phase, &Answer::parse(line, true), b"h"),
                None,
                "{line}"
            );
        }
    }

    #[test]
    fn a_refused_data_command_is_reported_without_the_servers_words() {
        let outcome = outcome(Phase::DataInit, "554 5.5.1 no");
        assert_eq!(outcome.reported.to_string(), "5.5.0");
        assert_eq!(outcome.diagnostic, None);
        assert_eq!(outcome.reply.as_deref(), Some(b"554 5.5.1 no".as_slice()));
    }

    #[test]
    fn a_loss_is_told_in_the_first_and_the_data_phase_only() {
        let lost = |phase| Outcome::lost(phase, Lost::Reset, b"mx.test.").detail;
        assert_eq!(
            lost(Phase::Greeting).as_deref(),
            Some(b"Connection reset by mx.test.".as_slice())
        );
        assert_eq!(lost(Phase::Mail), None);
        assert!(lost(Phase::DataInit).is_some());
        assert_eq!(lost(Phase::DataFinal), None);
    }

    #[test]
    fn a_timeout_is_told_in_every_phase() {
        for phase in [Phase::Greeting, Phase::Mail, Phase::DataFinal] {
            let detail = Outcome::lost(phase, Lost::TimedOut, b"mx.test.").detail;
            assert_eq!(
                detail.as_deref(),
                Some(&b"Connection timed out with mx.test."[..]),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn the_next_message_hears_the_reason_only() {
        let lost = Outcome::lost(Phase::DataFinal, Lost::Reset, b"mx.test.");
        let next = lost.aftermath().unwrap();
        assert_eq!(
            next.detail.as_deref(),
            Some(&b"Connection reset by mx.test."[..])
        );
        assert_eq!(next.message, None);
        let closing = outcome(Phase::DataFinal, "421 4.3.2 closing").aftermath();
        let closing = closing.unwrap();
        assert_eq!((closing.reply, closing.detail), (None, None));
        let shut = outcome(Phase::Greeting, "554 no").aftermath().unwrap();
        assert_eq!((shut.exit, shut.reply), (ExitStatus::Unavailable, None));
        let busy = outcome(Phase::DataInit, "450 4.2.0 busy");
        assert_eq!(busy.aftermath(), None);
    }

    #[test]
    fn the_log_quotes_the_first_line_as_if_it_were_the_only_one() {
        let mut builder = crate::client::answer::AnswerBuilder::new(true);
        assert_eq!(builder.line(b"550-5.7.1 one"), None);
        let answer = builder.line(b"550 5.7.1 two").unwrap();
        let quoted = |phase| Outcome::of_refusal(phase, &answer, b"h").unwrap().reply;
        assert_eq!(
            quoted(Phase::DataFinal).as_deref(),
            Some(&b"550 5.7.1 one"[..])
        );
        assert_eq!(
            quoted(Phase::Recipient).as_deref(),
            Some(&b"550-5.7.1 one"[..])
        );
    }
}
