//! Newaliases: alias texts become databases.
//!
//! Each text is locked, read, written into a new database that ends with the
//! pair `@` `@`, and renamed over the old one. Aliases with faults are left out;
//! the others are stored all the same.
//!
//! Source: newaliases(1), guide 2.6; texts observed: 8.17.1.9.

use std::io::Read;
use std::os::unix::fs::MetadataExt;

use crate::map::alias_text::{AliasReader, read_aliases};
use crate::map::berkeley::{Inserted, Repeated};
use crate::map::build::{NewDatabase, Owner};
use crate::map::{AliasName, MapDefinition, MapServices};
use crate::sys::file::path_of;
use crate::sys::lock::FileLock;
use crate::sys::process::effective_user;
use crate::sys::safe_open::{OpenError, OpenRequest, Purpose};
use crate::text::bytes::printable;

/// LogLevel of the line that tells of a rebuild. Observed: 8.17.1.9.
const REBUILT_LOG_LEVEL: u8 = 4;
/// LogLevel of the numbers. Observed: 8.17.1.9.
const COUNT_LOG_LEVEL: u8 = 8;

/// What the caller of a rebuild does for it.
pub trait RebuildHost {
    /// Judges a left-hand side; faults of its syntax are printed with `place` in front.
    fn judge(&mut self, place: &[u8], name: &[u8]) -> AliasName;

    /// Looks at one address of a right-hand side (option CheckAliases).
    fn check(&mut self, place: &[u8], rest: &[u8]);

    /// Prints a remark.
    fn say(&mut self, text: &[u8]);

    /// Prints and logs an error of the system or the configuration; the exit status will tell.
    fn complain(&mut self, text: &[u8]);
}

/// How to rebuild.
pub struct Rebuild<'a> {
    /// Opens files, writes the log, knows the rules.
    pub services: &'a MapServices,
    /// CheckAliases.
    pub checks_values: bool,
    /// TrustedUser.
    pub trusted_user: Option<u32>,
    /// Login name of whoever asked, for the log.
    pub by: Vec<u8>,
}

impl Rebuild<'_> {
    /// Rebuilds all databases of the AliasFile list that have one.
    pub fn all(&self, host: &mut dyn RebuildHost) {
        for definition in self.built() {
            self.one(definition, host);
        }
    }

    /// Gives the databases that are made out of texts.
    pub(super) fn built(&self) -> impl Iterator<Item = &MapDefinition> {
        let all = self.services.aliases.iter();
        all.filter(|definition| definition.valid && definition.class.is_built())
    }

    fn one(&self, definition: &MapDefinition, host: &mut dyn RebuildHost) {
        let file = &definition.file;
        let request = OpenRequest::read(path_of(file))
            .purpose(Purpose::Read)
            .rules(self.services.alias_file_rules);
        let opened = match self.services.privileged.open_as(&request) {
            Ok(opened) => opened.file,
            Err(_) if definition.flags.optional => return,
            Err(_) if !file.starts_with(b"/") => {
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                return host.say(&cannot_open(file, &OpenError::Io(missing)));
            }
            Err(error) => {
                if matches!(error, OpenError::Unsafe { .. }) {
                    self.warn_of_directories(file, host);
                }
                return host.say(&cannot_open(file, &error));
            }
        };
        // Two rebuilds at a time would undo each other.
        let Ok(mut lock) = FileLock::exclusive(opened) else {
            return host.complain(&[b"cannot lock ".as_slice(), file].concat());
        };
        self.warn_of_directories(file, host);
        self.one_locked(definition, &mut lock, host);
    }

    /// Rebuilds one database out of its text, whose lock is held.
    pub(super) fn one_locked(
        &self,
        definition: &MapDefinition,
        lock: &mut FileLock,
        host: &mut dyn RebuildHost,
    ) {
        let file = &definition.file;
        let mut text = Vec::new();
        if let Err(error) = lock.file_mut().read_to_end(&mut text) {
            return host.say(&cannot_open(file, &OpenError::Io(error)));
        }
        let database = NewDatabase::new(definition.class, file, false);
        let Some(mut database) = database.filter(|fresh| self.may_replace(fresh.path())) else {
            return cannot_create(file, host);
        };
        let log = &self.services.log;
        let (shown, by) = (printable(file), printable(&self.by));
        let line = format_args!("alias database {shown} rebuilt by {by}");
        log.syslog(
            REBUILT_LOG_LEVEL,
            crate::logging::record::Severity::Notice,
            None,
            line,
        );
        let mut reader = Reader {
            file,
            definition,
            database: &mut database,
            rebuild: self,
            host,
        };
        let count = read_aliases(&text, &mut reader);
        let mark = with_nul(definition, b"@");
        database.insert(mark.clone(), mark, Repeated::Replace);
        let owner = self.trusted_user.map_or(Owner::AsBefore, Owner::User);
        if let Err(error) = database.commit(owner) {
            log::error!("{shown}: {error}");
            return cannot_create(file, host);
        }
        let summary = count.summary(file);
        host.say(&summary);
        log.syslog(
            COUNT_LOG_LEVEL,
            log::Level::Info,
            None,
            format_args!("{}", printable(&summary)),
        );
    }

    /// Says whether the database may be written: in a safe directory, over a plain file of ours.
    fn may_replace(&self, path: &[u8]) -> bool {
        let request = OpenRequest::read(path_of(path)).rules(self.services.file_rules);
        if let Err(OpenError::Unsafe { .. }) = self.services.privileged.open_as(&request) {
            return false;
        }
        match std::fs::symlink_metadata(path_of(path)) {
            Err(error) => error.kind() == std::io::ErrorKind::NotFound && self.has_safe_way(path),
            Ok(facts) => {
                let owners = [Some(effective_user()), Some(0), self.trusted_user];
                facts.is_file() && owners.contains(&Some(facts.uid()))
            }
        }
    }

    /// Tells of the folders above a file that others may write to.
    ///
    /// Observed: 8.17.1.9 looks twice where it may use them all the same.
    fn warn_of_directories(&self, path: &[u8], host: &mut dyn RebuildHost) {
        use crate::sys::safe_open::OpenRules;
        let rules = self.services.file_rules;
        let is_strict = rules.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY);
        let tells_group = !is_strict || rules.contains(OpenRules::NO_GROUP_WRITABLE_DIRECTORY);
        let ancestors = path_of(path).ancestors().skip(1);
        let mut above: Vec<_> = ancestors.filter(|path| path.is_absolute()).collect();
        above.reverse();
        for directory in above.repeat(if is_strict { 1 } else { 2 }) {
            let Ok(mode) = std::fs::metadata(directory).map(|facts| facts.mode()) else {
                continue;
            };
            let is_trusted = rules.contains(OpenRules::TRUST_STICKY_BIT) && mode & 0o1000 != 0;
            let who = match (mode & 0o002 != 0, mode & 0o020 != 0) {
                _ if is_trusted => continue,
                (true, _) => "World",
                (false, true) if tells_group => "Group",
                (false, _) => continue,
            };
            let shown = directory.display();
            host.say(format!("WARNING: {who} writable directory {shown}").as_bytes());
        }
    }

    /// A directory others may write to would let them swap the new database.
    fn has_safe_way(&self, path: &[u8]) -> bool {
        use crate::sys::safe_open::OpenRules;
        let Some(directory) = path_of(path).parent() else {
            return false;
        };
        let rules = self.services.file_rules;
        let facts = std::fs::metadata(directory).map(|facts| facts.mode());
        let Ok(mode) = facts else { return false };
        let trusted = rules.contains(OpenRules::TRUST_STICKY_BIT) && mode & 0o1000 != 0;
        let bad_group = rules.contains(OpenRules::NO_GROUP_WRITABLE_DIRECTORY) && mode & 0o020 != 0;
        let bad_world = rules.contains(OpenRules::NO_WORLD_WRITABLE_DIRECTORY) && mode & 0o002 != 0;
        trusted || !(bad_group || bad_world)
    }
}

fn cannot_open(file: &[u8], error: &OpenError) -> Vec<u8> {
    let head: &[u8] = b"newaliases: cannot open ";
    [head, file, b": ", error.to_string().as_bytes()].concat()
}

fn cannot_create(file: &[u8], host: &mut dyn RebuildHost) {
    host.say(&[b"WARNING: cannot open alias database ".as_slice(), file].concat());
    host.complain(&[b"Cannot create database for alias file ".as_slice(), file].concat());
}

/// Keys and values of aliases end with a NUL, unless flag `-O` forbids it.
fn with_nul(definition: &MapDefinition, text: &[u8]) -> Vec<u8> {
    let mut stored = text.to_vec();
    if definition.flags.try_key_with_nul {
        stored.push(0);
    }
    stored
}

struct Reader<'r> {
    file: &'r [u8],
    definition: &'r MapDefinition,
    database: &'r mut NewDatabase,
    rebuild: &'r Rebuild<'r>,
    host: &'r mut dyn RebuildHost,
}

impl Reader<'_> {
    fn place(&self, line: usize) -> Vec<u8> {
        [self.file, format!(": line {line}: ").as_bytes()].concat()
    }
}

impl AliasReader for Reader<'_> {
    fn judge(&mut self, line: usize, name: &[u8]) -> AliasName {
        let place = self.place(line);
        self.host.judge(&place, name)
    }

    fn checks(&self) -> bool {
        self.rebuild.checks_values
    }

    fn check(&mut self, line: usize, rest: &[u8]) {
        let place = self.place(line);
        self.host.check(&place, rest);
    }

    fn store(&mut self, line: usize, name: &[u8], shown: &[u8], value: &[u8]) {
        let folded = self.definition.flags.folded(name);
        let key = with_nul(self.definition, &folded);
        let mut stored = with_nul(self.definition, value);
        if self.definition.flags.join_values
            && let Some(before) = self.database.table().get(&key)
        {
            let before = before.strip_suffix(b"\0").unwrap_or(before);
            stored = with_nul(self.definition, &[value, b",", before].concat());
            self.database.insert(key, stored, Repeated::Replace);
            return;
        }
        if self.database.insert(key, stored, Repeated::Replace) == Inserted::Again {
            let text: &[u8] = b"... Warning: duplicate alias name ";
            self.host
                .say(&[&self.place(line), shown, text, &folded].concat());
        }
    }

    fn complain(&mut self, line: usize, text: &[u8]) {
        let place = self.place(line);
        self.host.complain(&[&place, text].concat());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::alias::database::{AliasDatabase, alias_definitions};
    use crate::dns::FixedResolver;
    use crate::map::NoHost;
    use crate::sys::identity::FixedUsers;
    use crate::sys::privilege::Unprivileged;
    use crate::sys::safe_open::OpenRules;

    #[derive(Default)]
    pub(in super::super) struct Heard(pub(in super::super) Vec<String>);

    impl RebuildHost for Heard {
        fn judge(&mut self, _place: &[u8], name: &[u8]) -> AliasName {
            AliasName::presumably_local(name)
        }

        fn check(&mut self, _place: &[u8], rest: &[u8]) {
            self.0
                .push(format!("check {}", String::from_utf8_lossy(rest)));
        }

        fn say(&mut self, text: &[u8]) {
            self.0.push(String::from_utf8_lossy(text).into_owned());
        }

        fn complain(&mut self, text: &[u8]) {
            self.0.push(format!("! {}", String::from_utf8_lossy(text)));
        }
    }

    pub(in super::super) fn services(file: &std::path::Path) -> MapServices {
        MapServices {
            file_rules: OpenRules::NONE,
            alias_file_rules: OpenRules::NONE,
            aliases: alias_definitions(&[format!("implicit:{}", file.display()).into_bytes()]),
            ..MapServices::bare(
                Arc::new(FixedResolver::default()),
                Arc::new(FixedUsers::new()),
                Arc::new(Unprivileged),
            )
        }
    }

    #[test]
    fn a_text_becomes_a_database_that_answers() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("aliases");
        std::fs::write(&file, "List: bob, cid\nLIST: dan\npercent: a%1b\n").unwrap();
        let services = services(&file);
        let mut heard = Heard::default();
        let rebuild = Rebuild {
            services: &services,
            checks_values: false,
            trusted_user: None,
            by: b"root".to_vec(),
        };
        rebuild.all(&mut heard);
        let shown = file.display();
        // Temporary folders may lie where anybody may write.
        heard.0.retain(|line| !line.contains("writable directory"));
        assert_eq!(
            heard.0,
            [
                format!("{shown}: line 2: LIST... Warning: duplicate alias name list"),
                format!("{shown}: 3 aliases, longest 8 bytes, 30 bytes total"),
            ]
        );
        let aliases = AliasDatabase::new(services.clone());
        let found = |name: &str| aliases.lookup(name.as_bytes(), &mut NoHost).unwrap();
        assert_eq!(found("list"), Some(b"dan".to_vec()));
        assert_eq!(found("LiSt"), Some(b"dan".to_vec()));
        assert_eq!(found("percent"), Some(b"a%1b".to_vec()));
        assert_eq!(found("nobody"), None);
    }

    #[test]
    fn without_a_database_the_text_answers() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("aliases");
        std::fs::write(&file, "a1: bob\n").unwrap();
        let aliases = AliasDatabase::new(services(&file));
        assert_eq!(
            aliases.lookup(b"A1", &mut NoHost).unwrap(),
            Some(b"bob".to_vec())
        );
        let nothing = AliasDatabase::new(services(&place.path().join("gone")));
        // The message waits: the administrator may be about to put the file back.
        assert!(nothing.lookup(b"a1", &mut NoHost).is_err());
    }

    #[test]
    fn a_missing_text_is_a_remark_only() {
        let services = services(std::path::Path::new("/nonexistent/aliases"));
        let mut heard = Heard::default();
        let rebuild = Rebuild {
            services: &services,
            checks_values: false,
            trusted_user: None,
            by: Vec::new(),
        };
        rebuild.all(&mut heard);
        let text = "newaliases: cannot open /nonexistent/aliases: No such file or directory";
        assert_eq!(heard.0, [text]);
    }
}
