//! All system calls: the only room with unsafe code, libc or nix.
//!
//! Nothing here knows mail. Each wrapper is safe to call and named after what
//! it achieves. In reading order:
//!
//! - [`identity`]: users and groups, and the [`identity::Credentials`] resolved from them
//! - [`clock`]: [`clock::Timestamp`], the system clock and one set by hand
//! - [`calendar`]: points in time taken apart
//! - [`file`](mod@file): directories held open, facts of a descriptor, syncing
//! - [`lock`]: `flock` guards; [`moment`]: how long a look at a file is good for
//! - [`signal`]: blocked signals and the thread that waits for them
//! - [`socket`]: listeners, outgoing connections, addresses
//! - [`host`]: names, load and free space of this machine
//! - [`process`]: this process: ids, title, daemonizing, limits
//! - [`descriptors`]: what this process has open
//! - [`posix_regex`]: regular expressions of the C library
//! - [`syslog`]: the writer to the log daemon
//! - [`spawn`]: children with an identity of their own; [`child`] forks them
//! - [`prefilled`]: a child's input, made ready whole; [`exchange`]: one made while it runs
//! - [`safe_open`]: opening a path without trusting anything on the way; [`walk`] does it,
//!   [`thread_identity`] lends it a user's rights
//! - [`privilege`]: the one door to root's rights
//! - [`helper`]: the small process behind that door; [`helper_process`] is its
//!   inside, [`wire`] the language spoken between the two
#![allow(unsafe_code)]

pub mod calendar;
pub mod child;
pub mod clock;
pub mod descriptors;
pub mod exchange;
pub mod file;
pub mod helper;
mod helper_process;
pub mod host;
pub mod identity;
pub mod lock;
pub mod moment;
pub mod posix_regex;
pub mod prefilled;
pub mod privilege;
pub mod process;
pub mod safe_open;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod syslog;
pub mod thread_identity;
mod walk;
mod wire;
