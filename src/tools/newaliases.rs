//! newaliases (`sendmail -bi`): rebuilds the alias databases.
//!
//! Entry point: [`run`]; whether the caller may do this was decided before.

use std::io::Write;

use crate::mta::Mta;
use crate::smtp::ExitStatus;

/// Rebuilds every database of option AliasFile; `by` is the login name of whoever asked.
pub fn run(mta: &Mta, by: &[u8], out: &mut dyn Write) -> ExitStatus {
    mta.rebuild_aliases(by, out)
}
