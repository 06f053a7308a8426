//! Files a configuration names: missing, outdated, or open to others.
//!
//! Each is opened exactly as the program would, so what is called unsafe here is what the
//! program refuses. Nothing is written.
//!
//! Source: guide 4.9, 2.6.2.

use std::path::{Path, PathBuf};

use crate::alias::database::{alias_definitions, alias_file_rules, map_file_rules};
use crate::config::Config;
use crate::config::class_line::{ClassOrigin, parse_file};
use crate::map::{MapClass, MapDefinition};
use crate::safefile::{DontBlameSendmail, Purpose, rules};
use crate::sys::file::{FileFacts, FileKind, path_of};
use crate::sys::privilege::{Direct, Privileged};
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules, Unsafe};

use super::problem::{Code, Place, Problem, Severity};
use super::sheet::Sheet;

/// Looks at every file the configuration names.
pub(super) fn problems(config: &Config, sheet: &Sheet) -> Vec<Problem> {
    let mut files = Files {
        blame: config.options.security.dont_blame_sendmail,
        problems: Vec::new(),
    };
    files.configuration(config);
    files.classes(config, sheet);
    files.maps(config, sheet);
    files.aliases(config, sheet);
    files.queue(config, sheet);
    files.programs(config, sheet);
    files.helpers(config, sheet);
    files.problems
}

struct Files {
    blame: DontBlameSendmail,
    problems: Vec<Problem>,
}

impl Files {
    fn add(&mut self, code: Code, place: Place, text: String, help: impl Into<String>) {
        self.problems
            .push(Problem::new(code, place, text).help(help));
    }

    fn configuration(&mut self, config: &Config) {
        let Ok(facts) = FileFacts::at(&config.path) else {
            return;
        };
        if facts.kind == FileKind::Regular
            && (facts.is_group_writable() || facts.is_world_writable())
        {
            let text = writable(&config.path, "file", &facts);
            let help = format!("chmod {:o} {}", safe_mode(&facts), config.path.display());
            self.add(Code::UnsafeFile, Place::FILE, text, help);
        }
    }

    /// Files of F lines; that one cannot be read the reader tells.
    fn classes(&mut self, config: &Config, sheet: &Sheet) {
        let wanted = rules(Purpose::ClassFile, self.blame);
        let mut names = config.names.clone();
        for line in sheet.of(b'F') {
            let (_, taken) = names.parse(line.rest(), &mut Vec::new());
            let text = line.rest().get(taken..).unwrap_or_default();
            if let ClassOrigin::File(path, _) = parse_file(text).origin
                && let Err(OpenError::Unsafe { reason, path: at }) = examine(path_of(path), wanted)
            {
                self.unsafe_file(reason, &at, line.find(path), Severity::Error);
            }
        }
    }

    fn maps(&mut self, config: &Config, sheet: &Sheet) {
        let rules = map_file_rules(self.blame);
        for line in sheet.of(b'K') {
            let Some(map) = MapDefinition::parse(line.rest(), &|_| true, &mut Vec::new()) else {
                continue;
            };
            // A later line of the same name is the one that counts.
            let counts = config
                .maps
                .iter()
                .rev()
                .find(|known| known.name.eq_ignore_ascii_case(&map.name))
                .is_some_and(|known| known.file == map.file && known.valid);
            if counts {
                let place = line.find(&map.file);
                self.map(&map, rules, place);
            }
        }
    }

    fn map(&mut self, map: &MapDefinition, file_rules: OpenRules, place: Place) {
        let Some((path, source)) = paths(map) else {
            return;
        };
        match examine(&path, file_rules) {
            Err(error) if error.is_not_found() => {
                if map.flags.optional {
                    return;
                }
                let text = format!("file {} of map {} is not there", show(&path), name(map));
                let help = match &source {
                    Some(source) => build_help(map, source),
                    None => "create it, or write -o if it may be missing".to_owned(),
                };
                self.add(Code::MissingMapFile, place, text, help);
            }
            Err(OpenError::Unsafe { reason, path }) => {
                self.unsafe_file(reason, &path, place, Severity::Error);
            }
            Err(OpenError::Io(_)) => {}
            Ok(()) => {
                if let Some(source) = source
                    && is_newer(&source, &path)
                {
                    let text = format!("{} is older than {}", show(&path), show(&source));
                    self.add(Code::StaleMapFile, place, text, build_help(map, &source));
                }
            }
        }
    }

    fn aliases(&mut self, config: &Config, sheet: &Sheet) {
        let entries = &config.options.delivering.alias_file;
        for map in alias_definitions(entries) {
            let place = place_of_value(sheet, &map.file);
            let text = path_of(&map.file).to_path_buf();
            let is_text = matches!(map.class, MapClass::Text | MapClass::Stab);
            if !is_text && !map.class.is_built() {
                continue;
            }
            let is_there = self.alias_text(&text, place);
            if map.class.is_built() {
                self.alias_database(&map, &text, place);
            } else if !is_there && !map.flags.optional {
                let message = format!("alias file {} is not there", show(&text));
                let help = "create it, or write -o if it may be missing";
                self.add(Code::MissingMapFile, place, message, help);
            }
        }
    }

    /// Judges the text of aliases; says whether it is there.
    fn alias_text(&mut self, text: &Path, place: Place) -> bool {
        match examine(text, alias_file_rules(self.blame)) {
            Ok(()) => true,
            Err(OpenError::Unsafe { reason, path }) => {
                self.unsafe_file(reason, &path, place, Severity::Error);
                true
            }
            Err(error) => !error.is_not_found(),
        }
    }

    fn alias_database(&mut self, map: &MapDefinition, text: &Path, place: Place) {
        let Some((path, _)) = paths(map) else { return };
        match examine(&path, map_file_rules(self.blame)) {
            Err(error) if error.is_not_found() => {
                if map.flags.optional {
                    return;
                }
                let message = format!("alias database {} is not there", show(&path));
                self.add(Code::MissingMapFile, place, message, "run newaliases");
            }
            Err(OpenError::Unsafe { reason, path }) => {
                self.unsafe_file(reason, &path, place, Severity::Error);
            }
            Err(OpenError::Io(_)) => {}
            Ok(()) => {
                if is_newer(text, &path) {
                    let message = format!("{} is older than {}", show(&path), show(text));
                    self.add(Code::StaleMapFile, place, message, "run newaliases");
                }
            }
        }
    }

    fn queue(&mut self, config: &Config, sheet: &Sheet) {
        let main = config.options.queueing.queue_directory.clone();
        let groups = config.queue_groups.iter().map(|group| group.path.clone());
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for directory in main.into_iter().chain(groups) {
            if directory.is_empty() || seen.contains(&directory) {
                continue;
            }
            let place = place_of_value(sheet, &directory);
            // `/var/spool/mqueue/q*`: the directory that holds the others.
            let fixed = match memchr::memchr(b'*', &directory) {
                None => directory.as_slice(),
                Some(star) => {
                    let head = directory.get(..star).unwrap_or_default();
                    let slash = memchr::memrchr(b'/', head).unwrap_or(0);
                    head.get(..slash).unwrap_or_default()
                }
            };
            self.queue_directory(path_of(fixed), place);
            seen.push(directory);
        }
    }

    fn queue_directory(&mut self, path: &Path, place: Place) {
        let facts = match FileFacts::at(path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("queue directory {} is not there", show(path));
                let help = format!("mkdir -m 0700 {}", show(path));
                return self.add(Code::MissingQueue, place, text, help);
            }
            Err(_) => return,
        };
        if facts.kind != FileKind::Directory {
            let text = format!("queue directory {} is no directory", show(path));
            return self.add(Code::MissingQueue, place, text, "");
        }
        if facts.is_world_writable() {
            let text = writable(path, "queue directory", &facts);
            let help = format!("chmod 0700 {}", show(path));
            self.add(Code::UnsafeFile, place, text, help);
        }
    }

    /// Programs of mailers and of F lines: whoever may write to them has the mailer's rights.
    fn programs(&mut self, config: &Config, sheet: &Sheet) {
        let wanted = rules(Purpose::Program, self.blame);
        for (_, mailer) in config.mailers.iter() {
            if mailer.path.starts_with(b"/") && mailer.path != b"/dev/null" {
                let place = sheet
                    .of(b'M')
                    .find(|line| line.position(&mailer.path, 1).is_some())
                    .map_or(Place::FILE, |line| line.find(&mailer.path));
                self.program(&mailer.path, wanted, place);
            }
        }
        for line in sheet.of(b'F') {
            let Some((_, program)) = crate::text::bytes::split_once(line.rest(), b'|') else {
                continue;
            };
            let end = program.iter().position(u8::is_ascii_whitespace);
            let program = program
                .get(..end.unwrap_or(program.len()))
                .unwrap_or(program);
            self.program(program, wanted, line.find(program));
            if program.starts_with(b"/") && !path_of(program).try_exists().unwrap_or(true) {
                let text = format!("program {} is not there", show(path_of(program)));
                let help = "install it, or read a file without the bar";
                self.add(Code::MissingProgram, line.find(program), text, help);
            }
        }
    }

    fn program(&mut self, program: &[u8], wanted: OpenRules, place: Place) {
        if let Err(OpenError::Unsafe { reason, path }) = examine(path_of(program), wanted) {
            // Only told, not refused.
            self.unsafe_file(reason, &path, place, Severity::Warning);
        }
    }

    /// Small files that are passed over when they are unsafe.
    fn helpers(&mut self, config: &Config, sheet: &Sheet) {
        let options = &config.options;
        let mut all: Vec<(PathBuf, Purpose)> = Vec::new();
        all.extend(
            options
                .running
                .help_file
                .clone()
                .map(|path| (path, Purpose::HelpFile)),
        );
        let error_header = options.delivering.error_header.as_deref();
        all.extend(
            error_header
                .filter(|text| text.starts_with(b"/"))
                .map(|path| (path_of(path).to_path_buf(), Purpose::ErrorHeader)),
        );
        for (path, purpose) in all {
            use std::os::unix::ffi::OsStrExt;
            let found = examine(&path, rules(purpose, self.blame));
            if let Err(OpenError::Unsafe { reason, path: at }) = found {
                let place = place_of_value(sheet, path.as_os_str().as_bytes());
                self.unsafe_file(reason, &at, place, Severity::Warning);
            }
        }
    }

    /// Tells what is unsafe, with the mode found and the mode wanted.
    fn unsafe_file(&mut self, reason: Unsafe, path: &Path, place: Place, severity: Severity) {
        let facts = FileFacts::at(path).ok();
        let what = reason.to_string().to_lowercase();
        let (text, help) = match (reason, facts) {
            (
                Unsafe::GroupWritableFile
                | Unsafe::WorldWritableFile
                | Unsafe::GroupWritableDirectory
                | Unsafe::WorldWritableDirectory,
                Some(facts),
            ) => (
                format!(
                    "{what}: {} has mode {:04o}, wanted is {:04o}",
                    show(path),
                    facts.mode & 0o7777,
                    safe_mode(&facts)
                ),
                match facts.mode & 0o1000 {
                    0 => format!("chmod {:04o} {}", safe_mode(&facts), show(path)),
                    // Everybody's directory stays everybody's.
                    _ => format!("keep the file elsewhere: {} is for everybody", show(path)),
                },
            ),
            (Unsafe::GroupReadableFile | Unsafe::WorldReadableFile, Some(facts)) => (
                format!(
                    "{what}: {} has mode {:04o}, wanted is 0600",
                    show(path),
                    facts.mode & 0o7777
                ),
                format!("chmod 0600 {}", show(path)),
            ),
            (Unsafe::FinalLink | Unsafe::LinkInWritableDirectory, _) => (
                format!("{what}: {}", show(path)),
                "name the file itself and not a link to it".to_owned(),
            ),
            _ => (format!("{what}: {}", show(path)), String::new()),
        };
        self.problems.push(
            Problem::new(Code::UnsafeFile, place, text)
                .help(help)
                .severity(severity),
        );
    }
}

/// Asks whether a file could be opened under these rules; the file itself is not read.
///
/// A relative path means another file in each directory the program may stand in: nothing is
/// said about it.
fn examine(path: &Path, rules: OpenRules) -> Result<(), OpenError> {
    if !path.is_absolute() {
        return Ok(());
    }
    let request = OpenRequest::read(path)
        .purpose(crate::sys::safe_open::Purpose::Examine)
        .rules(rules);
    Direct.open_as(&request).map(drop)
}

/// Returns the file of a map and the text it is made from, if its class has files.
fn paths(map: &MapDefinition) -> Option<(PathBuf, Option<PathBuf>)> {
    let file = path_of(&map.file).to_path_buf();
    if map.file.is_empty() {
        return None;
    }
    let with = |suffix: &[u8]| -> (PathBuf, Option<PathBuf>) {
        match map.file.strip_suffix(suffix) {
            Some(text) => (file.clone(), Some(path_of(text).to_path_buf())),
            None => {
                let database = path_of(&[map.file.as_slice(), suffix].concat()).to_path_buf();
                (database, Some(file.clone()))
            }
        }
    };
    match map.class {
        MapClass::Hash | MapClass::Btree | MapClass::Implicit => Some(with(b".db")),
        MapClass::Cdb => Some(with(b".cdb")),
        MapClass::Text | MapClass::Stab => Some((file, None)),
        _ => None,
    }
}

fn is_newer(text: &Path, database: &Path) -> bool {
    match (FileFacts::at(text), FileFacts::at(database)) {
        (Ok(text), Ok(database)) => text.modified > database.modified,
        _ => false,
    }
}

/// The place of a file's name in an option or a Q line.
fn place_of_value(sheet: &Sheet, value: &[u8]) -> Place {
    [b'O', b'Q']
        .iter()
        .flat_map(|&letter| sheet.of(letter))
        .find(|line| line.position(value, 1).is_some())
        .map_or(Place::FILE, |line| line.find(value))
}

fn writable(path: &Path, what: &str, facts: &FileFacts) -> String {
    let who = match facts.is_world_writable() {
        true => "world",
        false => "group",
    };
    format!(
        "{who} writable {what}: {} has mode {:04o}, wanted is {:04o}",
        show(path),
        facts.mode & 0o7777,
        safe_mode(facts)
    )
}

/// The mode without the right to write for group and others.
fn safe_mode(facts: &FileFacts) -> u32 {
    facts.mode & 0o7777 & !0o022
}

fn build_help(map: &MapDefinition, source: &Path) -> String {
    let source = show(source);
    format!("makemap {} {source} < {source}", map.class.name())
}

fn name(map: &MapDefinition) -> String {
    super::report::shown(&map.name)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
