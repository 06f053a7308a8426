//! System tests: the built program among real peers, each on a private machine.
//!
//! The scenarios are the files of `tests/scenarios`, the machine is
//! `tests/support/stage.py`. A scenario can be run with any program, so that the
//! scenario itself can be checked against the real sendmail.

mod support;
