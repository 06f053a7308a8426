//! Q lines: queue groups.
//!
//! Source: guide 5.10.

use std::time::Duration;

use crate::text::interval::IntervalUnit;

use super::diagnostics::Diagnostics;
use super::fields::{Fields, split_name};
use super::finish::DEFAULT_QUEUE_GROUP;
use super::options::value;

/// Most queue groups, the default one among them (MAXQUEUEGROUPS). Observed: 8.17.1.9.
pub(super) const MAX_QUEUE_GROUPS: usize = 50;

/// One queue group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueGroupDefinition {
    /// Name of the group.
    pub name: Vec<u8>,
    /// `P=`: directory, maybe ending in `*`.
    pub path: Vec<u8>,
    /// `F=` letters.
    pub flags: Vec<u8>,
    /// `I=`: interval of queue runs; `None` is that of `-q`.
    pub interval: Option<Duration>,
    /// `N=`: nice increment.
    pub nice: i32,
    /// `R=`: most runners.
    pub runners: u32,
    /// `J=`: most jobs of one run; zero is no limit.
    pub max_jobs: u32,
    /// `r=`: most recipients of one envelope; zero is no limit.
    pub max_recipients: u32,
}

impl QueueGroupDefinition {
    /// Makes a group with default values in the directory of the queue option.
    pub fn new(name: &[u8], path: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            path: path.to_vec(),
            flags: Vec::new(),
            interval: None,
            nice: 0,
            runners: 1,
            max_jobs: 0,
            max_recipients: 0,
        }
    }
}

/// Tells whether another group may be added; the default one has its place reserved.
pub(super) fn is_room_for(group: &QueueGroupDefinition, known: &[QueueGroupDefinition]) -> bool {
    let is_default = |group: &QueueGroupDefinition| group.name == DEFAULT_QUEUE_GROUP;
    let others = known.iter().filter(|known| !is_default(known)).count();
    is_default(group) || others + 1 < MAX_QUEUE_GROUPS
}

/// Reads the text behind the letter `Q`; `None` when there is no usable group in it.
///
/// `queue_directory` is the option of that name as far as the file has set it.
pub fn read(
    line: &[u8],
    queue_directory: Option<&[u8]>,
    out: &mut Diagnostics,
) -> Option<QueueGroupDefinition> {
    if line.is_empty() {
        out.error("name required for queue");
        return None;
    }
    let (name, rest) = split_name(line);
    let mut group = QueueGroupDefinition::new(name, b"");
    for field in Fields::new(rest) {
        let Ok(field) = field else {
            out.error([b"queue ".as_slice(), name, b": `=' expected"].concat());
            return None;
        };
        set(&mut group, field.letter, &field.value, out);
    }
    if group.runners > 1 && !group.flags.contains(&b'f') {
        let name = String::from_utf8_lossy(name);
        out.warning(format!(
            "Warning: Q={name}: R={}: multiple queue runners specified\n\tbut flag 'f' is not set",
            group.runners
        ));
    }
    if group.path.is_empty() {
        match queue_directory {
            Some(directory) if !directory.is_empty() => group.path = directory.to_vec(),
            _ => {
                out.error("QueueDir must be defined before queue groups");
                return None;
            }
        }
    }
    Some(group)
}

fn set(group: &mut QueueGroupDefinition, letter: u8, text: &[u8], out: &mut Diagnostics) {
    match letter {
        b'P' if text.is_empty() => {
            out.error([b"queue ".as_slice(), &group.name, b": empty path name"].concat());
        }
        b'P' => group.path = text.to_vec(),
        b'F' => group.flags = text.iter().copied().filter(u8::is_ascii_graphic).collect(),
        b'N' => group.nice = value::signed(text),
        b'I' => {
            let interval = value::interval(text, IntervalUnit::Minutes, &mut |letter| {
                out.user_error([b"Invalid time unit `".as_slice(), &[letter], b"'"].concat());
            });
            group.interval = Some(interval.duration());
        }
        b'R' => group.runners = value::count(text),
        b'J' => group.max_jobs = value::count(text),
        b'r' => group.max_recipients = value::count(text),
        other => {
            let after = [b": unknown queue equate ".as_slice(), &[other], b"="].concat();
            out.error([b"Q".as_slice(), &group.name, &after].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, FixedSource, Overrides};

    #[test]
    fn lines_become_groups_or_messages() {
        for (line, directory, usable, text) in [
            ("", None, false, "name required for queue\n"),
            (
                "x",
                None,
                false,
                "QueueDir must be defined before queue groups\n",
            ),
            ("x", Some("/q"), true, ""),
            ("x, P", Some("/q"), false, "queue x: `=' expected\n"),
            (" x, P=/q", Some("/q"), false, "queue : `=' expected\n"),
            ("x, Z=1, P=/q", None, true, "Qx: unknown queue equate Z=\n"),
            (
                "x, P=/q, R=2",
                None,
                true,
                "Warning: Q=x: R=2: multiple queue runners specified\n\tbut flag 'f' is not set\n",
            ),
        ] {
            let mut out = Diagnostics::default();
            let group = read(line.as_bytes(), directory.map(str::as_bytes), &mut out);
            assert_eq!(group.is_some(), usable, "{line}");
            assert_eq!(
                String::from_utf8(out.printed(false)).unwrap(),
                text,
                "{line}"
            );
        }
    }

    #[test]
    fn each_letter_sets_its_own_field() {
        let mut out = Diagnostics::default();
        let line = b"x, P=/p, F=f, N=5, I=7, R=2, J=9, r=3";
        let group = read(line, Some(b"/q"), &mut out).unwrap();
        assert_eq!((&group.path[..], &group.flags[..]), (&b"/p"[..], &b"f"[..]));
        assert_eq!(group.interval, Some(Duration::from_secs(7 * 60)));
        assert_eq!((group.nice, group.runners), (5, 2));
        assert_eq!((group.max_jobs, group.max_recipients), (9, 3));
    }

    #[test]
    fn the_default_group_has_its_place_among_fifty() {
        let lines: String = (0..60).map(|n| format!("Qq{n}, P=/q\n")).collect();
        for (first, groups) in [("", 50), ("Qmqueue, P=/m\n", 50)] {
            let text = format!("V10\n{first}{lines}");
            let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
            let config = Config::load(&Overrides::only_file("/x.cf"), &mut source).unwrap();
            assert_eq!(config.queue_groups.len(), groups);
            let said = config.diagnostics.messages().iter();
            let many = said.filter(|m| m.text.ends_with(b"too many queue groups defined (50 max)"));
            assert_eq!(many.count(), 11);
        }
    }
}
