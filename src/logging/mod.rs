//! What the program tells: mail records, debug output, narration, traffic.
//!
//! - [`record`]: lines for the mail log, gated by LogLevel
//! - [`debug`]: which debug categories are on (`-d`)
//! - [`narrator`]: progress told to the caller of `-v`
//! - [`statistics`]: counters by mailer in the statistics file
//! - [`counting`]: what is counted on the way to that file
//! - [`traffic`]: the log of everything said on connections (`-X`)
//!
//! # Traces (`-d`)
//!
//! A trace is a line for the postmaster, the same as the reference prints. Whoever has
//! one asks for its category and level first: [`debug::DebugLog`] in an [`crate::mta::Mta`],
//! the listener of [`crate::rewrite::Trace`] while rules are applied, the messages of
//! [`crate::config::Diagnostics`] while the file is read (so that they keep their place
//! among the complaints).
//!
//! | Told | Where |
//! |---|---|
//! | 0.1 to 0.15, 0.101 version, names, files, mailers | `config::identity`, `config::startup` |
//! | 1.1 45.1 sender, 30.1 30.2 end of header, 32.1 header | `submit` |
//! | 8.2 8.5 8.7 canonical names from name servers | `dns::stub` |
//! | 10.1 11.1 49.1 deliveries and the words of mailers | `delivery::attempt` |
//! | 12.1 20.1 21.x 22.x 24.4 60.x rules, and `ANSI` | `rewrite` |
//! | 27.1 27.2 27.3 aliases, lists, .forward files; 27.8 27.20 AliasFile | `alias`, `config::options` |
//! | 35.9 macros, in `-bt` and while the file is read | `config`, `rewrite::context`, `test_mode` |
//! | 37.1 37.2 37.8 options, timeouts, classes | `config` |
//! | 38.x maps | `map` |
//!
//! What differs from the reference, and why:
//!
//! - `Compiled with:` names what this program has (no NIS, NISPLUS ...: people
//!   and scripts decide by it), each on the line where the reference has it; `libsm Defines:`
//!   what the system has. Features for future releases and OpenSSL say nothing about this
//!   program and are left out. Own version where the reference has its.
//! - Addresses of memory and the bits of recipients: there are none. `parseaddr-->` shows a
//!   fixed one; lists of recipients (13.x, 25.x, 26.x, `send to` of 10.1, 29.x) and of
//!   connections (`MCI@` of 11.x, 42.x) are not told. `-v`, 27.1 and 10.1 say the same in words.
//! - `-d32.1` shows the header as it goes into the queue, without the templates of added
//!   fields and without fields that were not added.
//! - Internals of C: 2.x exit flags, 3.x, 5.x timers, 7.2 names of files, 31.x, 33.x to 34.x
//!   header parsing, 36.x symbol table, 37.4 37.5 37.60, 40.x 41.x queue passes, 44.x file
//!   checks, 46.x to 48.x, 50.x to 59.x, 61.x: not told.

pub mod counting;
pub mod debug;
pub mod narrator;
pub mod record;
pub mod statistics;
pub mod traffic;
