//! Moving mail out.
//!
//! In reading order:
//! - `parts`: one message into several, by owner and queue group;
//! - `plan`: recipients into transactions;
//! - `controlling`: whose rights a delivery has;
//! - `compat`: who may write to whom;
//! - `argv`: the command line of a mailer;
//! - `program`, `file`: running a program, appending to a file;
//! - `response`: what an outcome means for a recipient;
//! - `output`: header and body as one mailer wants them;
//! - `header_view`: header rewriting with the real rulesets;
//! - `mime_limits`: MIME fields cut to their limits;
//! - `attempt`: one transaction from beginning to end; `attempt_session`: what the next host is told;
//! - `exchangers`, `network`, `reach`, `network_call`, `host_knowledge`: the next host, by SMTP or LMTP;
//! - `logins`: who we are to the next host;
//! - `session_rules`: what rulesets say about a session with the next host;
//! - `dead_letter`: failures of a user who waits for the program;
//! - `record`: the `to=` lines of the log.

pub mod argv;
pub mod attempt;
mod attempt_session;
mod compat;
pub mod controlling;
mod dead_letter;
pub mod exchangers;
pub mod file;
pub mod finish;
pub mod header_view;
mod host_knowledge;
pub mod ledger;
mod logins;
mod mime_limits;
pub mod network;
pub mod network_call;
#[cfg(test)]
mod network_tests;
pub mod output;
mod parts;
pub mod plan;
pub mod program;
mod reach;
pub mod record;
pub mod reports;
pub mod response;
pub mod revive;
pub mod run;
mod session_rules;
