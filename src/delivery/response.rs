//! What an attempt's outcome means: status of the recipient, log, transcript, progress.
//!
//! Programs answer with an exit status, servers with replies; from here on both
//! are a [`DeliveryStatus`]. Wording and codes are the reference's, because log
//! readers and people know them (observed: 8.17.1.9).

use crate::client::Outcome;
use crate::envelope::DeliveryStatus;
use crate::mailer::Mailer;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;

/// Makes the status of an exit status that a mailer or its stand-in returned.
pub fn status_of_exit(exit: ExitStatus, mailer: &Mailer, now: Timestamp) -> DeliveryStatus {
    let mut status = DeliveryStatus::local(logged(exit), exit, text(exit, mailer), now);
    status.reported = reported(exit);
    let speaks_unix = mailer
        .diagnostic_type
        .as_ref()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"x-unix"));
    if exit != ExitStatus::Ok && speaks_unix {
        status.diagnostic = Some(exit.number().to_string().into_bytes());
    }
    status
}

fn text(exit: ExitStatus, mailer: &Mailer) -> Vec<u8> {
    match (exit, exit.description()) {
        (ExitStatus::Ok, _) => b"Sent".to_vec(),
        (ExitStatus::TempFail, _) => [
            b"Deferred: ",
            mailer.name.as_slice(),
            b" mailer (",
            &mailer.path,
            b") exited with EX_TEMPFAIL",
        ]
        .concat(),
        (_, Some(description)) => description.text.as_bytes().to_vec(),
        (_, None) => format!("unknown mailer error {}", exit.number()).into_bytes(),
    }
}

/// Words the `stat=` text of a network outcome: `Sent (...)`, `Deferred: ...`, `User unknown`.
pub fn outcome_text(outcome: &Outcome, mailer: &Mailer) -> Vec<u8> {
    let detail = outcome
        .detail
        .as_deref()
        .filter(|detail| !detail.is_empty());
    let Some(detail) = detail else {
        return match outcome.exit {
            ExitStatus::TempFail => b"Deferred".to_vec(),
            exit => text(exit, mailer),
        };
    };
    match outcome.exit {
        ExitStatus::TempFail => [b"Deferred: ", detail].concat(),
        exit => [&text(exit, mailer), &b" ("[..], detail, b")"].concat(),
    }
}

fn logged(exit: ExitStatus) -> EnhancedStatus {
    match exit {
        ExitStatus::Other(_) => code(5, 3, 0),
        _ => EnhancedStatus::from_exit(exit),
    }
}

/// The `Status:` a report gives for an exit status.
///
/// Observed: 8.17.1.9, which uses another table here than for its log.
fn reported(exit: ExitStatus) -> EnhancedStatus {
    match exit {
        ExitStatus::Usage => code(5, 5, 4),
        ExitStatus::DataError => code(5, 5, 2),
        ExitStatus::NoUser => code(5, 1, 1),
        ExitStatus::NoHost => code(5, 1, 2),
        ExitStatus::NoInput | ExitStatus::CantCreate | ExitStatus::NoPermission => code(5, 3, 0),
        ExitStatus::Unavailable
        | ExitStatus::Software
        | ExitStatus::OsFile
        | ExitStatus::Protocol
        | ExitStatus::Config => code(5, 5, 0),
        ExitStatus::Ok => code(2, 0, 0),
        ExitStatus::TempFail => code(4, 2, 0),
        ExitStatus::IoError | ExitStatus::OsError => code(4, 0, 0),
        ExitStatus::Other(_) => code(5, 0, 0),
    }
}

fn code(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail).expect("a literal of a legal class")
}

/// Words the line of the transcript that tells a recipient's fate.
pub fn transcript_line(address: &[u8], status: &DeliveryStatus) -> Vec<u8> {
    let addressed = || [address, b"... ", &status.text].concat();
    match status.exit {
        ExitStatus::Ok | ExitStatus::TempFail => addressed(),
        exit => {
            let (number, enhanced) = match exit.description() {
                Some(description) => (description.code.number(), description.enhanced),
                None => (554, logged(exit)),
            };
            let codes = format!("{number} {enhanced} ");
            // Observed: only the 550 family names the recipient.
            let words = if number == 550 {
                addressed()
            } else {
                status.text.clone()
            };
            [codes.as_bytes(), &words].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u8) -> (String, String) {
        let mut mailer = Mailer::new(b"alpha", b"/bin/lmail");
        mailer.diagnostic_type = Some(b"smtp".to_vec());
        let exit = ExitStatus::from_number(number);
        let status = status_of_exit(exit, &mailer, Timestamp::default());
        let line = transcript_line(b"x@alpha.via", &status);
        (
            String::from_utf8(line).unwrap(),
            status.reported.to_string(),
        )
    }

    #[test]
    fn exit_statuses_read_as_in_the_reference() {
        for (number, text, reported) in [
            (64, "500 5.0.0 Command line usage error", "5.5.4"),
            (65, "501 5.6.0 Data format error", "5.5.2"),
            (66, "550 5.3.0 x@alpha.via... Cannot open input", "5.3.0"),
            (67, "550 5.1.1 x@alpha.via... User unknown", "5.1.1"),
            (68, "550 5.1.2 x@alpha.via... Host unknown", "5.1.2"),
            (69, "554 5.0.0 Service unavailable", "5.5.0"),
            (70, "554 5.3.0 Internal error", "5.5.0"),
            (71, "451 4.0.0 Operating system error", "4.0.0"),
            (73, "550 5.0.0 x@alpha.via... Can't create output", "5.3.0"),
            (
                75,
                "x@alpha.via... Deferred: alpha mailer (/bin/lmail) exited with EX_TEMPFAIL",
                "4.2.0",
            ),
            (
                77,
                "550 5.0.0 x@alpha.via... Insufficient permission",
                "5.3.0",
            ),
            (1, "554 5.3.0 unknown mailer error 1", "5.0.0"),
        ] {
            assert_eq!(line(number), (text.to_owned(), reported.to_owned()));
        }
    }
}
