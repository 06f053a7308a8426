//! What is heard while aliases, lists and .forward files are expanded.
//!
//! Expansion itself is the one of delivery; here stand the router and the alias databases
//! it works with, each of which notes what goes through it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::alias::context::{AliasLookup, LocalUser, Refusal, Routed, Router};
use crate::macros::Template;
use crate::mailer::MailerTriple;
use crate::map::{LookupHost, MapFailure};
use crate::mta::routing::Routing;

use super::steps::{Recorder, Step};

/// An address that was resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The address as it was written.
    pub address: Vec<u8>,
    /// How it was rewritten.
    pub steps: Vec<Step>,
    /// What came of it.
    pub routed: Routed,
}

/// What ruleset 5 made of a local name.
#[derive(Debug, Clone)]
pub struct Local {
    /// The name it got.
    pub triple: MailerTriple,
    /// How it was rewritten.
    pub steps: Vec<Step>,
}

/// A question to the alias databases.
#[derive(Debug, Clone)]
pub struct Alias {
    /// The name.
    pub name: Vec<u8>,
    /// The right side; none when there is no such alias.
    pub answer: Option<Vec<u8>>,
}

/// The places where a .forward file was looked for.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The user.
    pub user: Vec<u8>,
    /// ForwardPath with his names filled in.
    pub path: Vec<u8>,
}

/// All that was heard, in order.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Addresses.
    pub resolved: Vec<Resolved>,
    /// Ruleset 5.
    pub local: Vec<Local>,
    /// Aliases.
    pub aliases: Vec<Alias>,
    /// .forward files.
    pub forwards: Vec<Forward>,
    /// What `-v` would tell.
    pub said: Vec<Vec<u8>>,
    /// What is wrong.
    pub complaints: Vec<Vec<u8>>,
}

/// Where all ears put what they hear.
pub type Notebook = Rc<RefCell<Heard>>;

/// The router of expansion.
pub struct RouterEar<'a> {
    /// Who does the work.
    pub routing: Routing<'a>,
    /// Keeps the steps of rewriting.
    pub recorder: Recorder,
    /// Where it is noted.
    pub notes: Notebook,
}

impl Router for RouterEar<'_> {
    fn resolve(
        &mut self,
        list: &[u8],
        delimiter: Option<u8>,
        told: &mut Vec<Refusal>,
    ) -> (Routed, usize) {
        let (routed, end) = self.routing.resolve(list, delimiter, told);
        self.notes.borrow_mut().resolved.push(Resolved {
            address: list.get(..end).unwrap_or(list).trim_ascii().to_vec(),
            steps: self.recorder.take(),
            routed: routed.clone(),
        });
        (routed, end)
    }

    fn resolve_local(&mut self, triple: &MailerTriple) -> Option<Routed> {
        let routed = self.routing.resolve_local(triple);
        let steps = self.recorder.take();
        if !steps.is_empty() {
            self.notes.borrow_mut().local.push(Local {
                triple: triple.clone(),
                steps,
            });
        }
        routed
    }

    fn forward_path(&mut self, path: &Template, user: &LocalUser<'_>) -> Vec<u8> {
        let path = self.routing.forward_path(path, user);
        self.notes.borrow_mut().forwards.push(Forward {
            user: user.user.to_vec(),
            path: path.clone(),
        });
        path
    }

    fn is_trusted(&self, user: &[u8]) -> bool {
        self.routing.is_trusted(user)
    }
}

/// The alias databases.
pub struct AliasEar<'a> {
    /// Who does the work.
    pub aliases: &'a dyn AliasLookup,
    /// Where it is noted.
    pub notes: Notebook,
}

impl AliasLookup for AliasEar<'_> {
    fn look_up(
        &self,
        name: &[u8],
        host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, MapFailure> {
        let found = self.aliases.look_up(name, host);
        self.notes.borrow_mut().aliases.push(Alias {
            name: name.to_vec(),
            answer: found.as_ref().ok().cloned().flatten(),
        });
        found
    }
}
