//! Rules and addresses: both foreign.
//!
//! The input is lines of a configuration (S, R, C, D; anything else is left out, so that no
//! map file and no program is named), a line `--`, and addresses, one a line. The fixed
//! configuration stands in front of the rules.
//!
//! Rules are a programming language; the reference sets no end to what they may do
//! together, and neither does this program. So a chain that tries more than [`MAX_STEPS`]
//! rules is given up here. What is looked for is a single step that takes long.

#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use libfuzzer_sys::fuzz_target;
use mta::macros::{MacroTable, Macros};
use mta::map::LookupMode;
use mta::message::address::PhraseRules;
use mta::rewrite::{
    Observer, Place, Question, Resolution, RewriteContext, RewriteWorkspace, Role, Trace, check,
    rename_for_mailer, resolve_address,
};
use mta::token::Complaint;
use sendmail_fuzz::{CONFIGURATION, configured, maps};

/// Most rules tried for one input.
const MAX_STEPS: usize = 20_000;
/// Most addresses of one input.
const MAX_ADDRESSES: usize = 8;

/// What a chain that goes on for too long is ended with.
struct TooLong;

/// Counts steps.
#[derive(Default)]
struct Counter {
    steps: usize,
    level: u8,
}

impl Counter {
    fn count(&mut self) {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            resume_unwind(Box::new(TooLong));
        }
    }
}

impl Trace for Counter {
    fn level(&self, _category: u8) -> u8 {
        self.level
    }
    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(self)
    }
    fn write(&mut self, _text: &[u8]) {}
    fn complain(&mut self, _complaint: Complaint) {}
}

impl Observer for Counter {
    fn wants_failures(&self) -> bool {
        true
    }
    fn enter(&mut self, _name: &[u8], _number: u16, _input: &[u8]) {
        self.count();
    }
    fn leave(&mut self, _output: &[u8]) {}
    fn begin_rule(&mut self, _line: u32, _pattern: &[u8], _replacement: &[u8]) {
        self.count();
    }
    fn end_rule(&mut self, _result: Option<&[u8]>) {}
    fn fail_rule(&mut self, _line: u32, _pattern: &[u8]) {
        self.count();
    }
    fn ask(&mut self, _question: Question<'_>) {}
}

/// Splits the input into lines of rules and addresses.
fn parts(input: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let mut lines = input.split(|&octet| octet == b'\n');
    let mut rules = CONFIGURATION.to_vec();
    for line in lines.by_ref().take_while(|&line| line != b"--") {
        if matches!(line.first(), Some(b'S' | b'R' | b'C' | b'D' | b'\t')) {
            rules.extend_from_slice(line);
            rules.push(b'\n');
        }
    }
    (rules, lines.take(MAX_ADDRESSES).collect())
}

fuzz_target!(|input: &[u8]| {
    let (rules, addresses) = parts(input);
    let Some(config) = configured(&rules) else {
        return;
    };
    let maps = maps(&config);
    let mut counter = Counter {
        steps: 0,
        // Lines of the highest trace level are made for some inputs only: they are long.
        level: if input.len() % 8 == 7 { 127 } else { 0 },
    };
    let mut workspace = RewriteWorkspace::new();
    let (mut front, base) = (MacroTable::new(), &config.macros);
    let work = AssertUnwindSafe(|| {
        let mut cx = RewriteContext {
            rules: &config.rules,
            classes: &config.classes,
            syntax: &config.syntax,
            names: &config.names,
            mailers: &config.mailers,
            maps: &maps,
            macros: Macros::new(&mut front, None, base),
            phrases: PhraseRules::default(),
            lookup_mode: LookupMode::Usual,
            trace: &mut counter,
            workspace: &mut workspace,
        };
        for address in addresses {
            let Resolution::Mailer(triple) = resolve_address(address, Role::Recipient, &mut cx)
            else {
                continue;
            };
            let mailer = config.mailers.get(triple.mailer);
            for place in [Place::Envelope, Place::Header] {
                let _ = rename_for_mailer(address, mailer, Role::Sender, place, &mut cx);
            }
            check(b"check_rcpt", &[address], &mut cx);
        }
    });
    if let Err(reason) = catch_unwind(work)
        && !reason.is::<TooLong>()
    {
        resume_unwind(reason);
    }
});
