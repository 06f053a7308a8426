//! Command lines about the queue that no other sendmail has.
//!
//! `sendmail --queue ACTION ...`, asked for by the first word behind the program's name so
//! that no command line of the reference means anything else here, and the words `--json`
//! and `--watch` of mailq. Both become ordinary [`Arguments`]: file, rights and log are
//! those of `mailq` and of a queue run.

use std::time::Duration;

use crate::smtp::ExitStatus;
use crate::text::bytes::printable;
use crate::text::interval::{IntervalUnit, parse_interval};
use crate::tools::postmaster::{Request, request, watch};

use super::arguments::{Arguments, Output, Refusal, parse};
use super::mode::OperationMode;

/// How mailq lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListingStyle {
    /// As the reference does.
    #[default]
    Usual,
    /// One JSON object a line (`--json`).
    Json,
    /// Again and again (`--watch`).
    Watch {
        /// The rest between two looks.
        pause: Duration,
        /// The changes as JSON.
        json: bool,
    },
}

/// Reads the command line of one of these; `None` when it is none of them.
///
/// `mode` is the one the program's name stands for.
///
/// # Errors
/// The command line is wrong: the program says why and ends.
pub fn read(words: &[Vec<u8>], mode: OperationMode) -> Option<Result<Arguments, Refusal>> {
    match words.get(1).map(Vec::as_slice) {
        Some(b"--queue") if mode == OperationMode::Deliver => Some(by_hand(words)),
        _ if mode == OperationMode::ListQueue => Some(listing(words)),
        _ => None,
    }
}

fn by_hand(words: &[Vec<u8>]) -> Result<Arguments, Refusal> {
    let (request, others) = Request::parse(words.get(2..).unwrap_or_default()).map_err(refusal)?;
    let mode = match request.action.is_listing() {
        true => OperationMode::ListQueue,
        false => OperationMode::Deliver,
    };
    let mut line: Vec<Vec<u8>> = words.first().cloned().into_iter().collect();
    if mode == OperationMode::Deliver {
        // Which file is read and what is logged is as in a queue run.
        line.push(b"-qf".to_vec());
    }
    line.extend(others);
    let mut arguments = parse(&line, mode)?;
    arguments.by_hand = Some(request);
    Ok(arguments)
}

fn refusal(fault: String) -> Refusal {
    Refusal {
        complaints: Vec::new(),
        text: format!("sendmail: {fault}\n{}", request::USAGE).into_bytes(),
        output: Output::Error,
        status: ExitStatus::Usage,
    }
}

/// Takes the words of mailq that are ours out of its command line.
fn listing(words: &[Vec<u8>]) -> Result<Arguments, Refusal> {
    let (mut json, mut pause) = (false, None);
    let mut line = Vec::with_capacity(words.len());
    let mut rest = words.iter();
    for word in rest.by_ref() {
        match word.as_slice() {
            b"--json" => json = true,
            b"--watch" => pause = Some(watch::USUAL_PAUSE),
            b"--" => {
                line.push(word.clone());
                break;
            }
            other => match other.strip_prefix(b"--watch=") {
                Some(interval) => pause = Some(pause_of(interval)?),
                None => line.push(word.clone()),
            },
        }
    }
    line.extend(rest.cloned());
    let mut arguments = parse(&line, OperationMode::ListQueue)?;
    arguments.listing = match (pause, json) {
        (None, false) => ListingStyle::Usual,
        (None, true) => ListingStyle::Json,
        (Some(pause), json) => ListingStyle::Watch { pause, json },
    };
    Ok(arguments)
}

/// Reads the rest between two looks; a bare number counts seconds.
fn pause_of(text: &[u8]) -> Result<Duration, Refusal> {
    match parse_interval(text, IntervalUnit::Seconds) {
        Ok(pause) if !pause.is_zero() => Ok(pause),
        Ok(_) | Err(_) => Err(Refusal {
            complaints: Vec::new(),
            text: format!("mailq: --watch={} is no interval", printable(text)).into_bytes(),
            output: Output::Error,
            status: ExitStatus::Usage,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::FileKind;
    use crate::tools::postmaster::Action;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split_whitespace().map(|word| word.into()).collect()
    }

    fn mailq(line: &str) -> Arguments {
        let read = read(&words(line), OperationMode::ListQueue);
        read.unwrap().unwrap()
    }

    #[test]
    fn mailq_takes_its_own_words_in_any_place() {
        let watch = |seconds, json| ListingStyle::Watch {
            pause: Duration::from_secs(seconds),
            json,
        };
        for (line, style) in [
            ("mailq", ListingStyle::Usual),
            ("mailq -v", ListingStyle::Usual),
            ("mailq --json -qQ", ListingStyle::Json),
            ("mailq -Ac --json", ListingStyle::Json),
            ("mailq --watch", watch(2, false)),
            ("mailq --watch=1m --json", watch(60, true)),
            ("mailq -- --json", ListingStyle::Usual),
        ] {
            assert_eq!(mailq(line).listing, style, "{line}");
        }
        let run = mailq("mailq --json -qQ").queue_run.unwrap();
        assert_eq!(run.selection.kind, FileKind::Quarantined);
        assert!(
            read(&words("mailq --watch=0"), OperationMode::ListQueue).is_some_and(|r| r.is_err())
        );
    }

    #[test]
    fn only_the_first_word_asks_for_the_tool() {
        for line in [
            "sendmail",
            "sendmail -bp --queue",
            "sendmail -v --queue list",
        ] {
            assert!(
                read(&words(line), OperationMode::Deliver).is_none(),
                "{line}"
            );
        }
        let read = |line| read(&words(line), OperationMode::Deliver).unwrap();
        let arguments = read("sendmail --queue hold a1 -Ac -OLogLevel=3").unwrap();
        assert!(matches!(arguments.by_hand.unwrap().action, Action::Hold(_)));
        assert_eq!(arguments.settings.len(), 1);
        let refused = read("sendmail --queue burn a1").unwrap_err();
        assert_eq!(refused.status, ExitStatus::Usage);
    }
}
