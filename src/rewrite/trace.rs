//! Who listens to rewriting.

use std::sync::Arc;

use super::observer::Observer;
use crate::logging::debug::DebugLog;
use crate::token::Complaint;

/// Receives what rewriting has to tell besides its result.
pub trait Trace {
    /// Returns the debug level of a category, 0 if it is off.
    fn level(&self, category: u8) -> u8;

    /// Says whether rulesets report every input and result (address test mode).
    fn shows_every_ruleset(&self) -> bool {
        false
    }

    /// Says whether symbols of rules are shown in reverse video (`-dANSI`).
    fn reverses_symbols(&self) -> bool {
        false
    }

    /// Returns who wants to see each step as values.
    fn observer(&mut self) -> Option<&mut dyn Observer> {
        None
    }

    /// Takes debug output, line ends included.
    fn write(&mut self, text: &[u8]);

    /// Takes a line about what a ruleset gets or returns.
    fn show_pass(&mut self, line: &[u8]) {
        self.write(line);
    }

    /// Takes a message about the address or the configuration.
    fn complain(&mut self, complaint: Complaint);

    /// Takes an error message that ends with the system's reason.
    fn complain_of_system(&mut self, text: &[u8]) {
        self.complain(Complaint {
            about: Vec::new(),
            text: text.to_vec(),
        });
    }

    /// Takes a remark of a map for whoever watches (`-v`).
    fn narrate(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// Takes the reason why a map could not answer now.
    fn defer(&mut self, reason: Vec<u8>) {
        let _ = reason;
    }
}

/// Listens to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Trace for Silent {
    fn level(&self, _category: u8) -> u8 {
        0
    }
    fn write(&mut self, _text: &[u8]) {}
    fn complain(&mut self, _complaint: Complaint) {}
}

/// Keeps the messages for whoever answers the client; traces are printed.
#[derive(Debug, Default, Clone)]
pub struct Kept {
    /// Messages in the order they came.
    pub complaints: Vec<Complaint>,
    /// What the system denied to maps, which is nothing to blame the address for.
    pub faults: Vec<Vec<u8>>,
    /// What maps remarked for whoever watches.
    pub remarks: Vec<Vec<u8>>,
    /// Why the last map that could not answer now could not.
    pub deferral: Option<Vec<u8>>,
    /// Where traces go; none are made without.
    pub debug: Option<Arc<DebugLog>>,
}

impl Kept {
    /// Keeps messages, and prints traces where `debug` says.
    pub fn traced(debug: &Arc<DebugLog>) -> Kept {
        Kept {
            debug: Some(Arc::clone(debug)),
            ..Kept::default()
        }
    }
}

impl Trace for Kept {
    fn level(&self, category: u8) -> u8 {
        self.debug.as_ref().map_or(0, |debug| debug.level(category))
    }
    fn reverses_symbols(&self) -> bool {
        let debug = self.debug.as_ref();
        debug.is_some_and(|debug| debug.flags().reverses_symbols())
    }
    fn write(&mut self, text: &[u8]) {
        if let Some(debug) = &self.debug {
            debug.write(text);
        }
    }
    fn complain(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }
    fn complain_of_system(&mut self, text: &[u8]) {
        self.faults.push(text.to_vec());
    }
    fn narrate(&mut self, text: &[u8]) {
        self.remarks.push(text.to_vec());
    }
    fn defer(&mut self, reason: Vec<u8>) {
        self.deferral = Some(reason);
    }
}

/// Listens to traces only.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a>(pub &'a DebugLog);

impl Trace for Traced<'_> {
    fn level(&self, category: u8) -> u8 {
        self.0.level(category)
    }
    fn reverses_symbols(&self) -> bool {
        self.0.flags().reverses_symbols()
    }
    fn write(&mut self, text: &[u8]) {
        self.0.write(text);
    }
    fn complain(&mut self, _complaint: Complaint) {}
}
