//! Who listens to rewriting.

use crate::token::Complaint;

/// Receives what rewriting has to tell besides its result.
pub trait Trace {
    /// Returns the debug level of a category, 0 if it is off.
    fn level(&self, category: u8) -> u8;

    /// Says whether rulesets report every input and result (address test mode).
    fn shows_every_ruleset(&self) -> bool {
        false
    }

    /// Takes debug output, line ends included.
    fn write(&mut self, text: &[u8]);

    /// Takes a message about the address or the configuration.
    fn complain(&mut self, complaint: Complaint);

    /// Takes an error message that ends with the system's reason.
    fn complain_of_system(&mut self, text: &[u8]) {
        self.complain(Complaint {
            about: Vec::new(),
            text: text.to_vec(),
        });
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

/// Keeps the messages for whoever answers the client.
#[derive(Debug, Default, Clone)]
pub struct Kept {
    /// Messages in the order they came.
    pub complaints: Vec<Complaint>,
    /// Why the last map that could not answer now could not.
    pub deferral: Option<Vec<u8>>,
}

impl Trace for Kept {
    fn level(&self, _category: u8) -> u8 {
        0
    }
    fn write(&mut self, _text: &[u8]) {}
    fn complain(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }
    fn defer(&mut self, reason: Vec<u8>) {
        self.deferral = Some(reason);
    }
}
