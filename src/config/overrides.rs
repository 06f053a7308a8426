//! What the command line says on top of the file.

use std::path::PathBuf;

use super::options::table::{OPTIONS, Safety};
use crate::logging::debug::DebugFlags;

/// One `-o`, `-O` or `-M` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverrideSetting {
    /// `-oXvalue`: letter and value.
    Letter(u8, Vec<u8>),
    /// `-O name=value`, as written.
    Named(Vec<u8>),
    /// `-Mxvalue` or `-M{name}value`, as written behind the `M`.
    Macro(Vec<u8>),
}

impl OverrideSetting {
    /// Tells whether anybody may say this without the program giving its rights up.
    ///
    /// Source: guide 5.6 and 4.9.
    pub fn is_safe(&self) -> bool {
        match self {
            OverrideSetting::Letter(b'M', value) | OverrideSetting::Macro(value) => {
                matches!(value.first(), Some(b'r' | b's'))
            }
            OverrideSetting::Letter(letter, _) => OPTIONS
                .iter()
                .any(|spec| spec.has_letter(*letter) && spec.safety == Safety::Safe),
            OverrideSetting::Named(text) => {
                let name = text.split(|&b| matches!(b, b'=' | b' ' | b'.')).next();
                OPTIONS.iter().any(|spec| {
                    spec.safety == Safety::Safe
                        && name.is_some_and(|name| spec.name.as_bytes().eq_ignore_ascii_case(name))
                })
            }
        }
    }
}

/// Which file to read, and what the command line says on top of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrides {
    /// The configuration file.
    pub path: PathBuf,
    /// Whether the command line names the file, which keeps nobody's rights but the caller's.
    pub names_file: bool,
    /// Options and macros in the order they were given.
    pub settings: Vec<OverrideSetting>,
    /// Settings that come after the file and change what it says (`-v`).
    pub afterwards: Vec<OverrideSetting>,
    /// Whether the real user is root; others can only raise the log level.
    pub caller_is_root: bool,
    /// Who runs the program: `$_` until a client or a message comes.
    pub caller: Vec<u8>,
    /// What is traced while the file is read (`-d`).
    pub debug: DebugFlags,
    /// Letter of the operation mode, what `${opMode}` expands to.
    pub mode: u8,
    /// Whether an S line that adds to a ruleset is told (`-bt`, `-bC`).
    pub tell_repeated_rulesets: bool,
}

impl Overrides {
    /// Reads `path` with nothing on top.
    pub fn only_file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            names_file: false,
            settings: Vec::new(),
            afterwards: Vec::new(),
            caller_is_root: true,
            caller: b"root@localhost".to_vec(),
            debug: DebugFlags::default(),
            mode: b'm',
            tell_repeated_rulesets: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_endanger_nothing_are_safe() {
        let named = |text: &str| OverrideSetting::Named(text.as_bytes().to_vec());
        for (setting, safe) in [
            (OverrideSetting::Letter(b'i', vec![]), true),
            (OverrideSetting::Letter(b'Q', b"/tmp".to_vec()), false),
            (named("loglevel=14"), true),
            (named("QueueDirectory=/tmp"), false),
            (named("nosuch=1"), false),
            (OverrideSetting::Macro(b"rSMTP".to_vec()), true),
            (OverrideSetting::Macro(b"{x}y".to_vec()), false),
        ] {
            assert_eq!(setting.is_safe(), safe, "{setting:?}");
        }
    }
}
