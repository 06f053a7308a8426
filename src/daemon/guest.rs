//! A session in the daemon, and what its deliveries leave to the next one.
//!
//! A message delivered while its client waits (DeliveryMode `i`) may leave a connection
//! open, which the next message of the same session uses. Workers serve whichever session
//! wants a turn, so each session has to keep its own; what it keeps is given up when it ends.
//! Observed: 8.17.1.9, where a session is a process.

use std::fmt;

use super::service::SessionTools;
use super::talk::Conversation;
use crate::delivery::run::end_of_run;
use crate::mta::Memory;
use crate::server::session::{Input, Session, Step};

/// A session with the memory of its deliveries.
pub struct Guest {
    session: Session,
    /// Nothing, as long as nothing was delivered to another host.
    memory: Option<Box<Memory>>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guest").finish_non_exhaustive()
    }
}

impl From<Session> for Guest {
    fn from(session: Session) -> Self {
        Guest {
            session,
            memory: None,
        }
    }
}

impl Guest {
    /// Returns the session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Conversation for Guest {
    type Tools = SessionTools;

    fn step(&mut self, input: Input<'_>, output: &mut Vec<u8>, tools: &mut SessionTools) -> Step {
        if let Some(memory) = self.memory.take() {
            tools.workspace.memory = *memory;
        }
        let (workspace, outlet) = (&mut tools.workspace, tools.outlet.as_ref());
        let step = self.session.step(input, output, workspace, outlet);
        let memory = &mut tools.workspace.memory;
        if !memory.is_empty() {
            let empty = Memory::new(&self.session.mta().config.options);
            let mut kept = std::mem::replace(memory, empty);
            // The client may think for an hour; others must get to the host meanwhile.
            kept.connections.give_places_back();
            self.memory = Some(Box::new(kept));
        }
        step
    }

    fn say_farewell(&mut self, line: &[u8], output: &mut Vec<u8>) {
        self.session.say_farewell(line, output);
    }

    fn end(&mut self, tools: &mut SessionTools) {
        if let Some(memory) = self.memory.take() {
            tools.workspace.memory = *memory;
            end_of_run(self.session.mta(), &mut tools.workspace);
        }
    }
}
