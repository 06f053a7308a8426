//! The user database: option UserDatabaseSpec, and the map class `userdb` over it.
//!
//! Btree files hold pairs such as `ann:maildrop` and `ann:mailname`: where mail for a
//! user goes, and what the rest of the world calls her. The option lists files and hosts
//! (`@host` sends everybody on to that host) that are asked in this order. Who asks:
//! expansion of recipients ([`Userdb::expansion`]), senders ([`Userdb::mail_name`]), and
//! rules through maps whose argument is the name of a field.
//!
//! A file that is missing is left out, any other fault of a file keeps recipients in
//! the queue, while names of senders just stay what they are. Nothing is asked about the
//! owner of a file and the folders above it. Observed: 8.17.1.9.
//!
//! Source: guide 5.6, option UserDatabaseSpec; guide 5.4, flags F=@, F=i and F=j.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::berkeley::Fault;
use super::class::MapClass;
use super::database_file::{Handle, file_name, read};
use super::definition::MapDefinition;
use super::file_version::FileVersion;
use super::flags::MapFlags;
use super::lookup::{LookupContext, Map, MapAnswer};
use crate::logging::debug::DebugLog;
use crate::logging::record::MailLog;
use crate::sys::file::path_of;
use crate::sys::host::error_text;
use crate::sys::privilege::Privileged;
use crate::sys::safe_open::{OpenError, OpenRequest, OpenRules};
use crate::text::bytes::printable;

/// Most entries of the option. Observed: 8.17.1.9 leaves out what follows the tenth.
const MAX_SOURCES: usize = 10;
/// Longest key in octets; longer names are in no database. Observed: 8.17.1.9.
const MAX_KEY_BYTES: usize = 1023;
/// The debug category of everything told here.
const CATEGORY: u8 = 28;

/// The databases of option UserDatabaseSpec, in order.
#[derive(Default)]
pub struct Userdb {
    sources: Vec<Source>,
    /// What is wrong with the option.
    complaints: Vec<Vec<u8>>,
    was_told: AtomicBool,
    /// Whether the sources were shown in the trace.
    was_shown: AtomicBool,
    opens: Option<Arc<dyn Privileged>>,
    log: Option<MailLog>,
    debug: Arc<DebugLog>,
}

enum Source {
    File(UserdbFile),
    /// Everybody has a mailbox on this host.
    Host(Vec<u8>),
}

struct UserdbFile {
    path: Vec<u8>,
    /// The handle everybody reads through; written when the file came, went or was replaced.
    handle: RwLock<Option<Arc<Handle>>>,
    /// Whether it was missing the last time.
    is_missing: AtomicBool,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserdbExpansion {
    /// It is in no database.
    Nothing,
    /// Addresses, separated by commas, and who hears of their errors (`mailsender`).
    Members {
        /// All values of `maildrop`.
        list: Vec<u8>,
        /// The value of `mailsender`.
        owner: Option<Vec<u8>>,
    },
    /// One address on another host.
    Forwarded(Vec<u8>),
}

/// A database is there and cannot be read; holds the system's reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserdbUnavailable(pub String);

impl fmt::Display for UserdbUnavailable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Userdb {
    /// Reads the option; files are opened when they are asked first.
    pub fn new(
        specification: Option<&[u8]>,
        opens: Arc<dyn Privileged>,
        log: MailLog,
        debug: Arc<DebugLog>,
    ) -> Userdb {
        let mut userdb = Userdb {
            opens: Some(opens),
            log: Some(log),
            debug,
            ..Userdb::default()
        };
        for entry in (specification.unwrap_or_default()).split(|octet| *octet == b',') {
            let entry = entry.trim_ascii_start();
            // What stands behind a colon is not looked at. Observed: 8.17.1.9.
            let entry = entry.split(|octet| *octet == b':').next().unwrap_or(entry);
            let source = match entry {
                [] => continue,
                [b'@', host @ ..] => Source::Host(host.to_vec()),
                [b'/', ..] => Source::File(UserdbFile::new(file_name(entry))),
                _ => {
                    let complaint = [b"Unknown UDB spec ", entry].concat();
                    userdb.complaints.push(complaint);
                    continue;
                }
            };
            if userdb.sources.len() >= MAX_SOURCES {
                let complaint = b"Maximum number of UDB entries exceeded";
                userdb.complaints.push(complaint.to_vec());
                break;
            }
            userdb.sources.push(source);
        }
        userdb
    }

    /// Says whether there is anything to ask.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.complaints.is_empty()
    }

    /// Returns what is wrong with the option, to the first who asks.
    ///
    /// The reference finds out when it needs the database first, and says it once.
    pub fn complaints(&self) -> &[Vec<u8>] {
        if self.complaints.is_empty() || self.was_told.swap(true, Ordering::Relaxed) {
            &[]
        } else {
            &self.complaints
        }
    }

    /// Returns the name a local user has in the rest of the world, if that is another one.
    pub fn mail_name(&self, user: &[u8], id: Option<&[u8]>) -> Option<Vec<u8>> {
        self.field(user, b"mailname", id)
    }

    /// Returns a field of a user.
    ///
    /// A user who has a mailbox and no mail name gets one from the default domain.
    pub fn field(&self, user: &[u8], field: &[u8], id: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        if self.traces(1) {
            self.trace(&[b"udbmatch(", user, b", ", field, b")"]);
        }
        let found = self.find_field(user, field, id)?;
        if self.traces(1) {
            self.trace(&[b"udbmatch ==> ", &found]);
        }
        Some(found)
    }

    fn find_field(&self, user: &[u8], field: &[u8], id: Option<&[u8]>) -> Option<Vec<u8>> {
        let open = self.open(id).ok()?;
        let key = key_of(user, field)?;
        for handle in open.iter().filter_map(Opened::handle) {
            if let Some(value) = first_value(handle, &key) {
                return Some(value);
            }
            if self.traces(2) {
                let length = format!(" ({}) via db", key.len());
                self.trace(&[b"udbmatch: no match on ", &key, length.as_bytes()]);
            }
        }
        if field != b"mailname" {
            return None;
        }
        let key = key_of(user, b"maildrop")?;
        open.iter().filter_map(Opened::handle).find_map(|handle| {
            first_value(handle, &key)?;
            let domain = first_value(handle, b":default:mailname")?;
            Some([user, b"@", &domain].concat())
        })
    }

    /// Returns what a recipient stands for.
    ///
    /// # Errors
    /// [`UserdbUnavailable`] when a database that is there cannot be read.
    pub fn expansion(
        &self,
        user: &[u8],
        shown: &[u8],
        id: Option<&[u8]>,
    ) -> Result<UserdbExpansion, UserdbUnavailable> {
        if self.is_empty() {
            return Ok(UserdbExpansion::Nothing);
        }
        if self.traces(1) {
            self.trace(&[b"udbexpand(", shown, b")"]);
        }
        let open = self.open(id)?;
        let Some(key) = key_of(user, b"maildrop") else {
            return Ok(UserdbExpansion::Nothing);
        };
        for source in &open {
            match source {
                Opened::Host(host) => {
                    let address = [user, b"@", host].concat();
                    return Ok(UserdbExpansion::Forwarded(address));
                }
                Opened::File(handle, _) => {
                    if let Some(list) = self.members(handle, &key)? {
                        let owner = key_of(user, b"mailsender");
                        let owner = owner.and_then(|key| first_value(handle, &key));
                        return Ok(UserdbExpansion::Members { list, owner });
                    }
                }
            }
        }
        Ok(UserdbExpansion::Nothing)
    }

    fn members(&self, handle: &Handle, key: &[u8]) -> Result<Option<Vec<u8>>, UserdbUnavailable> {
        let length = format!(" ({})", key.len());
        if self.traces(80) {
            let trying = [b"udbexpand: trying ", key, length.as_bytes(), b" via db"];
            self.trace(&trying);
        }
        let values = handle.database.values(key);
        let values = values.map_err(|fault| UserdbUnavailable(reason_of(&fault)))?;
        if values.first().is_none_or(Vec::is_empty) {
            if self.traces(2) {
                self.trace(&[b"udbexpand: no match on ", key, length.as_bytes()]);
            }
            return Ok(None);
        }
        if let Some(first) = values.first().filter(|_| self.traces(80)) {
            self.trace(&[b"udbexpand: match ", key, b": ", first]);
        }
        Ok(Some(values.join(&b',')))
    }

    /// Opens all files that are there.
    fn open(&self, id: Option<&[u8]>) -> Result<Vec<Opened<'_>>, UserdbUnavailable> {
        let mut open = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            match source {
                Source::Host(host) => open.push(Opened::Host(host)),
                Source::File(file) => {
                    if let Some(handle) = self.open_file(file, id)? {
                        open.push(Opened::File(handle, &file.path));
                    }
                }
            }
        }
        if self.traces(4) && !self.was_shown.swap(true, Ordering::Relaxed) {
            for source in &open {
                match source {
                    Opened::File(_, path) => self.trace(&[b"FETCH: file ", path]),
                    Opened::Host(host) => self.trace(&[b"FORWARD: host ", host]),
                }
            }
        }
        Ok(open)
    }

    fn open_file(
        &self,
        file: &UserdbFile,
        id: Option<&[u8]>,
    ) -> Result<Option<Arc<Handle>>, UserdbUnavailable> {
        if let Some(handle) = file.current() {
            return Ok(Some(handle));
        }
        let (reason, is_missing) = match self.read_file(&file.path) {
            Ok(handle) => {
                let handle = Arc::new(handle);
                file.keep(Some(Arc::clone(&handle)));
                if self.traces(1) {
                    self.trace(&[b"_udbx_init: db_open(", &file.path, b")"]);
                }
                return Ok(Some(handle));
            }
            Err(failure) => failure,
        };
        file.keep(None);
        let path = &file.path;
        // The reference looks for a file once, so it tells once that there is none.
        let was_told = file.is_missing.swap(is_missing, Ordering::Relaxed);
        if self.traces(1) && !(is_missing && was_told) {
            self.trace(&[b"db_open(", path, b"): ", reason.as_bytes()]);
        }
        if is_missing {
            return Ok(None);
        }
        if let Some(log) = &self.log {
            let text = format_args!("db_open({}): {reason}", printable(path));
            log.syslog(1, log::Level::Error, id, text);
        }
        Err(UserdbUnavailable(reason))
    }

    /// Opens one file; of a failure tells the reason, and whether the file is missing.
    fn read_file(&self, path: &[u8]) -> Result<Handle, (String, bool)> {
        let Some(opens) = &self.opens else {
            return Err((String::new(), true));
        };
        let request = OpenRequest::read(path_of(path)).rules(OpenRules::NONE);
        let opened = opens.open_as(&request).map_err(|error| {
            let reason = match &error {
                OpenError::Io(error) => error_text(error),
                other => other.to_string(),
            };
            (reason, error.is_not_found())
        })?;
        read(opened.file, MapClass::Btree).map_err(|fault| (reason_of(&fault), false))
    }

    fn traces(&self, level: u8) -> bool {
        self.debug.is_on(CATEGORY, level)
    }

    fn trace(&self, pieces: &[&[u8]]) {
        self.debug.line(&pieces.concat());
    }
}

/// A source that can be asked.
enum Opened<'u> {
    File(Arc<Handle>, &'u [u8]),
    Host(&'u [u8]),
}

impl Opened<'_> {
    fn handle(&self) -> Option<&Handle> {
        match self {
            Opened::File(handle, _) => Some(handle),
            Opened::Host(_) => None,
        }
    }
}

impl UserdbFile {
    fn new(path: Vec<u8>) -> UserdbFile {
        UserdbFile {
            path,
            handle: RwLock::new(None),
            is_missing: AtomicBool::new(false),
        }
    }

    /// Returns the handle if it belongs to the file as it is now.
    fn current(&self) -> Option<Arc<Handle>> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let version = FileVersion::on_disk(&self.path);
        handle
            .as_ref()
            .filter(|handle| version == Some(handle.version))
            .cloned()
    }

    fn keep(&self, handle: Option<Arc<Handle>>) {
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = handle;
    }
}

/// Puts a key together; none for names that are no user's.
fn key_of(user: &[u8], field: &[u8]) -> Option<Vec<u8>> {
    if matches!(user, [b'\\' | b':', ..]) {
        return None;
    }
    let key = [user, b":", field].concat();
    (key.len() <= MAX_KEY_BYTES).then_some(key)
}

/// An empty value is none; neither is what cannot be read, where nobody waits for it.
fn first_value(handle: &Handle, key: &[u8]) -> Option<Vec<u8>> {
    let found = handle.database.lookup(key).ok().flatten();
    found.filter(|value| !value.is_empty())
}

fn reason_of(fault: &Fault) -> String {
    match fault {
        Fault::Io(error) => error_text(error),
        _ => "Invalid argument".to_owned(),
    }
}

/// One map of class `userdb`: a field of the users.
pub(super) struct UserdbMap {
    name: Vec<u8>,
    field: Vec<u8>,
    flags: MapFlags,
    userdb: Arc<Userdb>,
}

impl UserdbMap {
    pub(super) fn new(definition: &MapDefinition, userdb: &Arc<Userdb>) -> UserdbMap {
        UserdbMap {
            name: definition.name.clone(),
            field: definition.file.clone(),
            flags: definition.flags.clone(),
            userdb: Arc::clone(userdb),
        }
    }
}

impl Map for UserdbMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        if self.userdb.traces(20) {
            let pieces: [&[u8]; 5] = [b"udb_map_lookup(", &self.name, b", ", key, b")"];
            self.userdb.trace(&pieces);
        }
        for complaint in self.userdb.complaints() {
            cx.host.complain(complaint);
        }
        match self
            .userdb
            .field(&self.flags.folded(key), &self.field, None)
        {
            Some(stored) => MapAnswer::found(self.flags.value(key, &stored, arguments)),
            None => MapAnswer::missing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::berkeley::{Layout, Repeated, Table};
    use crate::sys::privilege::Unprivileged;
    use std::path::Path;

    fn write(path: &Path, layout: Layout, pairs: &[(&str, &str)]) {
        let mut table = Table::new(layout, true);
        for (key, value) in pairs {
            table.insert(key.as_bytes().to_vec(), (*value).into(), Repeated::Keep);
        }
        let mut file = std::fs::File::create(path).unwrap();
        table.write([1; 20], &mut file).unwrap();
    }

    fn userdb(specification: &str) -> Userdb {
        Userdb::new(
            Some(specification.as_bytes()),
            Arc::new(Unprivileged),
            MailLog::new(0),
            Arc::default(),
        )
    }

    fn members(list: &str, owner: Option<&str>) -> Result<UserdbExpansion, UserdbUnavailable> {
        Ok(UserdbExpansion::Members {
            list: list.into(),
            owner: owner.map(Into::into),
        })
    }

    #[test]
    fn fields_and_expansions() {
        let place = tempfile::tempdir().unwrap();
        let (one, two) = (place.path().join("one.db"), place.path().join("two.db"));
        write(
            &one,
            Layout::Btree,
            &[
                (":default:mailname", "default.test"),
                ("ann:mailname", "Ann.Example"),
                ("ann:maildrop", "u1"),
                ("cid:maildrop", "u3@far.test"),
                ("cid:maildrop", "u4"),
                ("list:maildrop", "u0,u1"),
                ("list:mailsender", "ann"),
                ("void:maildrop", ""),
            ],
        );
        write(
            &two,
            Layout::Btree,
            &[("ann:maildrop", "no"), ("dan:maildrop", "u9")],
        );
        let both = userdb(&format!(
            " ,{},{}",
            one.display(),
            two.with_extension("").display()
        ));
        for (user, field, value) in [
            ("ann", "mailname", Some("Ann.Example")),
            ("ann", "maildrop", Some("u1")),
            ("cid", "mailname", Some("cid@default.test")),
            ("dan", "mailname", None),
            ("dan", "maildrop", Some("u9")),
            ("eve", "mailname", None),
            ("void", "maildrop", None),
            ("\\ann", "maildrop", None),
            (":default", "mailname", None),
        ] {
            let found = both.field(user.as_bytes(), field.as_bytes(), None);
            assert_eq!(found.as_deref(), value.map(str::as_bytes), "{user}:{field}");
        }
        let expand = |user: &str| both.expansion(user.as_bytes(), b"", None);
        assert_eq!(expand("cid"), members("u3@far.test,u4", None));
        assert_eq!(expand("list"), members("u0,u1", Some("ann")));
        assert_eq!(expand("ann"), members("u1", None));
        assert_eq!(expand("eve"), Ok(UserdbExpansion::Nothing));
        assert_eq!(expand(&"e".repeat(1020)), Ok(UserdbExpansion::Nothing));
    }

    #[test]
    fn a_host_takes_everybody_the_files_before_it_do_not_know() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.db");
        write(&file, Layout::Btree, &[("ann:maildrop", "u1")]);
        let userdb = userdb(&format!("/nonexistent,{},@far.test", file.display()));
        let expand = |user: &str| userdb.expansion(user.as_bytes(), b"", None);
        assert_eq!(expand("ann"), members("u1", None));
        let forwarded = UserdbExpansion::Forwarded(b"bob@far.test".to_vec());
        assert_eq!(expand("bob"), Ok(forwarded));
        assert_eq!(userdb.field(b"bob", b"maildrop", None), None);
    }

    #[test]
    fn only_a_missing_file_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.db");
        let userdb = userdb(&file.display().to_string());
        let expand = || userdb.expansion(b"ann", b"", None);
        assert_eq!(expand(), Ok(UserdbExpansion::Nothing));
        write(&file, Layout::Hash, &[("ann:maildrop", "u1")]);
        let reason = UserdbUnavailable("Invalid argument".to_owned());
        assert_eq!(expand(), Err(reason));
        assert_eq!(userdb.field(b"ann", b"maildrop", None), None);
        write(&file, Layout::Btree, &[("ann:maildrop", "u1")]);
        assert_eq!(expand(), members("u1", None));
    }

    #[test]
    fn faults_of_the_option_are_told_once() {
        let userdb = userdb("hesiod:x,@a,other");
        let told = userdb.complaints().join(&b'|');
        assert_eq!(told, b"Unknown UDB spec hesiod|Unknown UDB spec other");
        assert!(userdb.complaints().is_empty());
        let many = super::tests::userdb(&"@a,".repeat(11));
        let told = many.complaints().join(&b'|');
        assert_eq!(told, b"Maximum number of UDB entries exceeded");
    }
}
