//! A drop-in sendmail 8: a guide through the house.
//!
//! Bytes come in by SMTP or on standard input, become an [`envelope`], are made
//! durable in the [`queue`], and leave through a [`mailer`]. Where an address goes
//! is decided by rewriting rules that the [`config`] brings along.
//!
//! # The way of a message
//!
//! 1. A front door takes it in: [`server::session::Session`] is a protocol machine
//!    without sockets (bytes in, replies out), [`submit::submit_message`] reads
//!    standard input. Both fill an [`envelope::Envelope`] and a [`queue::NewEntry`].
//!    Around a session, `tls` encrypts its bytes, [`auth`] learns who is there, and mail
//!    filters ([`milter`]) have a say at every step.
//! 2. `NewEntry::commit` writes body and control file, syncs, renames and syncs the
//!    folder; only then is there a [`queue::Committed`], and only from that can a 250
//!    be worded. A [`queue::LockedEnvelope`] is what comes out: holding it is holding
//!    the lock.
//! 3. [`delivery::run::deliver`] is the one entry point of delivery: it expands aliases
//!    ([`alias`]), splits lists with an owner, plans transactions, and carries each out
//!    through a program, a file or the [`client`].
//! 4. `delivery::finish` writes the outcome back: reports ([`bounce`]) are committed
//!    before the recipients they tell of are struck, then the entry is rewritten or
//!    removed.
//!
//! # The way of an address
//!
//! [`token`] cuts it into words, [`rewrite`] sends it through rulesets 3 and 0 to a
//! mailer, a host and a user, asking [`map`]s on the way; [`macros`] carry what the
//! rules want to know. [`rewrite::rename_for_mailer`] makes it look as that mailer
//! wants it. [`test_mode`] (`-bt`) shows all this; [`explain`] (`--explain`) tells the whole
//! way of one address, and [`check`] (`--check`) what is wrong with the rules.
//!
//! # Threads
//!
//! Command-line runs have one thread. The [`daemon`] has one that accepts and parks
//! whoever waits, a fixed pool that steps sessions, a pool that delivers, a queue runner
//! and one that waits for signals. Threads move values over bounded channels; nothing
//! else is shared but what [`mta::Lifetime`] holds. Everything that needs root or forks
//! goes through [`sys::privilege::Privileged`]: in the daemon that is a small process
//! of its own, forked before the first thread.
//!
//! # The rooms, from the ground up
//!
//! A room may use the rooms above it in this list, never one below;
//! `tests/layering.rs` holds it to that. Each room's `mod.rs` is its own guide.
//! What is marked `not(fuzzing)` reads no foreign language; a build for fuzzing goes
//! without it.

pub mod sys;

pub mod text;

pub mod logging;

pub mod smtp;

pub mod message;

pub mod token;

pub mod macros;

pub mod mailer;

pub mod dns;

pub mod safefile;

pub mod ldap;

pub mod map;

pub mod rewrite;

pub mod config;

pub mod envelope;

pub mod alias;

pub mod queue;

pub mod milter;

pub mod auth;

#[cfg(not(fuzzing))]
pub mod tls;

#[cfg(not(fuzzing))]
pub mod client;

#[cfg(not(fuzzing))]
pub mod host_status;

#[cfg(not(fuzzing))]
pub mod mta;

#[cfg(not(fuzzing))]
pub mod bounce;

#[cfg(not(fuzzing))]
pub mod delivery;

#[cfg(not(fuzzing))]
pub mod server;

#[cfg(not(fuzzing))]
pub mod submit;

#[cfg(not(fuzzing))]
pub mod daemon;

pub mod test_mode;

#[cfg(not(fuzzing))]
pub mod check;

#[cfg(not(fuzzing))]
pub mod explain;

#[cfg(not(fuzzing))]
pub mod tools;

#[cfg(not(fuzzing))]
pub mod cli;
