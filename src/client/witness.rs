//! Who is told what happens in a session.
//!
//! A session knows the dialogue, but not the message's log lines, its transcript
//! or the person waiting at a terminal. It reports to a [`Witness`], in the order
//! things happen, because bounces and `-v` output show that order.

use crate::client::outcome::Outcome;
use crate::client::rules::Rules;
use crate::logging::traffic::TrafficLog;

/// Takes part in a session without touching it.
pub trait Witness {
    /// Tells a person something about the recipients at hand, such as `Connecting to ...`; the
    /// witness puts the recipients in front.
    fn message(&mut self, text: &[u8]);

    /// Shows a line of the dialogue: a reply as received, or a command after `>>> `.
    fn echo(&mut self, line: &[u8]);

    /// Says whether [`Witness::echo`] is seen by anybody.
    fn is_listening(&self) -> bool;

    /// Records a line for the transcript of a possible bounce.
    fn transcript(&mut self, line: &[u8]);

    /// The log of all traffic.
    fn traffic(&self) -> &TrafficLog;

    /// Logs a problem that the postmaster should see, such as a protocol error.
    fn problem(&mut self, text: &[u8]);

    /// Logs something worth noting, such as a server that does not answer.
    fn notice(&mut self, text: &[u8]);

    /// Lends what the configuration says about the session; `None` asks nobody.
    fn rules(&mut self) -> Option<&mut dyn Rules> {
        None
    }

    /// Notes a loss that is what went wrong with the message, unless something did before.
    fn trouble(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// Notes what became of these recipients (their places in the list given to the session).
    ///
    /// A recipient whose outcome is temporary may be tried again at another host and settled again.
    fn settled(&mut self, recipients: &[usize], outcome: &Outcome);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Keeps everything it is told.
    #[derive(Default)]
    pub(crate) struct Notebook {
        /// Messages and dialogue.
        pub(crate) said: Vec<String>,
        /// Transcript lines.
        pub(crate) transcript: Vec<String>,
        /// Recipients and outcomes.
        pub(crate) settled: Vec<(Vec<usize>, Outcome)>,
        /// Problems.
        pub(crate) problems: Vec<String>,
        traffic: TrafficLog,
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    impl Witness for Notebook {
        fn message(&mut self, line: &[u8]) {
            self.said.push(format!("... {}", text(line)));
        }
        fn echo(&mut self, line: &[u8]) {
            self.said.push(text(line));
        }
        fn is_listening(&self) -> bool {
            true
        }
        fn transcript(&mut self, line: &[u8]) {
            self.transcript.push(text(line));
        }
        fn traffic(&self) -> &TrafficLog {
            &self.traffic
        }
        fn problem(&mut self, line: &[u8]) {
            self.problems.push(text(line));
        }
        fn notice(&mut self, line: &[u8]) {
            self.problems.push(text(line));
        }
        fn settled(&mut self, recipients: &[usize], outcome: &Outcome) {
            self.settled.push((recipients.to_vec(), outcome.clone()));
        }
    }
}
