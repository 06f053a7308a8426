//! The `sendmail` program and its other names: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args_os().collect();
    ExitCode::from(mta::cli::run::run(words).number())
}
