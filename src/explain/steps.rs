//! The steps of rewriting, kept as a tree.

use std::cell::RefCell;
use std::rc::Rc;

use crate::rewrite::{Observer, Question, Trace};
use crate::smtp::ExitStatus;
use crate::token::Complaint;

/// Most steps that are kept of one address: rules that call each other in circles make
/// more than anybody reads.
const MAX_STEPS: usize = 50_000;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A ruleset was applied.
    Ruleset {
        /// Its name, or its number where it has none.
        name: Vec<u8>,
        /// Its number.
        number: u16,
        /// What it got.
        input: Vec<u8>,
        /// What it gave.
        output: Vec<u8>,
        /// What happened in it.
        steps: Vec<Step>,
    },
    /// A rule matched.
    Rule {
        /// Line in the configuration file.
        line: u32,
        /// Its left side.
        pattern: Vec<u8>,
        /// Its right side.
        replacement: Vec<u8>,
        /// What it made of the address; none when it failed.
        result: Option<Vec<u8>>,
        /// Maps it asked and rulesets it called.
        steps: Vec<Step>,
    },
    /// A rule did not match.
    Missed {
        /// Line in the configuration file.
        line: u32,
        /// Its left side.
        pattern: Vec<u8>,
    },
    /// A map was asked.
    Map {
        /// Its name.
        name: Vec<u8>,
        /// The key.
        key: Vec<u8>,
        /// Further arguments.
        arguments: Vec<Vec<u8>>,
        /// What it found.
        answer: Option<Vec<u8>>,
        /// Whether there is such a map.
        exists: bool,
        /// Whether it could answer.
        status: ExitStatus,
    },
    /// A message about the address or the configuration.
    Message(Vec<u8>),
}

/// A step that is not over yet.
#[derive(Debug)]
struct Open {
    step: Step,
    inner: Vec<Step>,
}

#[derive(Debug, Default)]
struct Recording {
    done: Vec<Step>,
    open: Vec<Open>,
    count: usize,
    wants_failures: bool,
}

impl Recording {
    fn add(&mut self, step: Step) {
        self.count += 1;
        if self.count > MAX_STEPS {
            return;
        }
        match self.open.last_mut() {
            Some(open) => open.inner.push(step),
            None => self.done.push(step),
        }
    }

    fn close(&mut self, result: Option<&[u8]>) {
        let Some(Open { mut step, inner }) = self.open.pop() else {
            return;
        };
        match &mut step {
            Step::Ruleset { output, steps, .. } => {
                *output = result.unwrap_or_default().to_vec();
                *steps = inner;
            }
            Step::Rule {
                result: kept,
                steps,
                ..
            } => {
                *kept = result.map(<[u8]>::to_vec);
                *steps = inner;
            }
            Step::Missed { .. } | Step::Map { .. } | Step::Message(_) => {}
        }
        self.add(step);
    }
}

/// Keeps steps; its copies keep them in the same place.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Rc<RefCell<Recording>>);

impl Recorder {
    /// Makes one; with `wants_failures` rules that did not match are kept as well.
    pub fn new(wants_failures: bool) -> Recorder {
        Recorder(Rc::new(RefCell::new(Recording {
            wants_failures,
            ..Recording::default()
        })))
    }

    /// Takes the steps kept so far.
    pub fn take(&self) -> Vec<Step> {
        let mut recording = self.0.borrow_mut();
        recording.open.clear();
        recording.count = 0;
        std::mem::take(&mut recording.done)
    }
}

impl Observer for Recorder {
    fn wants_failures(&self) -> bool {
        self.0.borrow().wants_failures
    }

    fn enter(&mut self, name: &[u8], number: u16, input: &[u8]) {
        self.0.borrow_mut().open.push(Open {
            step: Step::Ruleset {
                name: name.to_vec(),
                number,
                input: input.to_vec(),
                output: Vec::new(),
                steps: Vec::new(),
            },
            inner: Vec::new(),
        });
    }

    fn leave(&mut self, output: &[u8]) {
        self.0.borrow_mut().close(Some(output));
    }

    fn begin_rule(&mut self, line: u32, pattern: &[u8], replacement: &[u8]) {
        self.0.borrow_mut().open.push(Open {
            step: Step::Rule {
                line,
                pattern: pattern.to_vec(),
                replacement: replacement.to_vec(),
                result: None,
                steps: Vec::new(),
            },
            inner: Vec::new(),
        });
    }

    fn end_rule(&mut self, result: Option<&[u8]>) {
        self.0.borrow_mut().close(result);
    }

    fn fail_rule(&mut self, line: u32, pattern: &[u8]) {
        self.0.borrow_mut().add(Step::Missed {
            line,
            pattern: pattern.to_vec(),
        });
    }

    fn ask(&mut self, question: Question<'_>) {
        self.0.borrow_mut().add(Step::Map {
            name: question.map.to_vec(),
            key: question.key.to_vec(),
            arguments: question.arguments.to_vec(),
            answer: question.answer.map(<[u8]>::to_vec),
            exists: question.exists,
            status: question.status,
        });
    }
}

/// A recorder is all the trace there is where no messages are answered.
impl Trace for Recorder {
    fn level(&self, _category: u8) -> u8 {
        0
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(self)
    }

    fn write(&mut self, _text: &[u8]) {}

    fn complain(&mut self, complaint: Complaint) {
        self.0.borrow_mut().add(Step::Message(complaint.text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_nest_as_they_happen() {
        let recorder = Recorder::new(false);
        let mut ear = recorder.clone();
        ear.enter(b"parse", 0, b"a");
        ear.begin_rule(7, b"$-", b"$>sub $1");
        ear.enter(b"sub", 199, b"a");
        ear.leave(b"b");
        ear.end_rule(Some(b"b"));
        ear.leave(b"b");
        let [Step::Ruleset { output, steps, .. }] = &recorder.take()[..] else {
            panic!("one ruleset");
        };
        assert_eq!(output, b"b");
        let [Step::Rule { line: 7, steps, .. }] = &steps[..] else {
            panic!("one rule");
        };
        assert!(matches!(&steps[..], [Step::Ruleset { number: 199, .. }]));
        assert!(recorder.take().is_empty());
    }

    #[test]
    fn too_many_steps_are_dropped() {
        let recorder = Recorder::new(true);
        let mut ear = recorder.clone();
        for _ in 0..MAX_STEPS + 10 {
            ear.fail_rule(1, b"x");
        }
        assert_eq!(recorder.take().len(), MAX_STEPS);
    }
}
