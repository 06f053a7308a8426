//! Classes `hash` and `btree`: a Berkeley file that others may replace at any time.
//!
//! Lookups read through a shared handle. Before each one the file is looked at:
//! when inode, size or time changed, the handle is replaced. A small file that is
//! asked often is kept in memory until then. Makemap of other
//! programs rewrites a file in place while it holds a lock, so opening waits for
//! that lock, and a lookup during which the file changed is done again.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::berkeley::{Database, Fault, Layout};
use super::class::MapClass;
use super::definition::MapDefinition;
use super::file_version::{FileVersion, MAX_RESIDENT_BYTES, RESIDENT_AFTER, SettledAfter};
use super::flags::MapFlags;
use super::lookup::{LookupContext, LookupHost, Map, MapAnswer};
use super::open::{OpenFault, open_file};
use super::set::MapServices;
use crate::sys::file::path_of;
use crate::sys::host::error_text;
use crate::sys::lock::FileLock;
use crate::sys::moment::LastLook;
use crate::sys::safe_open::OpenError;
use crate::text::bytes::printable;

/// How often a lookup is done again because the file changed meanwhile.
const MAX_TRIES: usize = 5;
/// How long the first pause is while an alias database is incomplete; each one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// LogLevel from which an outdated alias database is told. Source: guide 2.6.2.
const AGE_LOG_LEVEL: u8 = 4;
/// Bits of [`DatabaseFile::key_forms`].
const PLAIN_KEY: u8 = 1;
const KEY_WITH_NUL: u8 = 2;

/// An open file.
pub(super) struct Handle {
    pub(super) database: Database,
    pub(super) version: FileVersion,
    /// Whether all of it lies in memory.
    is_resident: bool,
    /// How often it was asked, while it is not.
    lookups: AtomicU32,
}

/// One map of class `hash` or `btree`.
pub struct DatabaseFile {
    name: Vec<u8>,
    class: MapClass,
    path: Vec<u8>,
    flags: MapFlags,
    services: MapServices,
    /// The handle everybody reads through; written only when the file was replaced.
    handle: RwLock<Arc<Handle>>,
    looked: LastLook,
    /// Whether keys are tried without and with a closing NUL; the first hit decides for the other.
    key_forms: AtomicU8,
    /// How long the file must have been as it is before it is kept in memory.
    settled_after: SettledAfter,
}

impl DatabaseFile {
    /// Opens the file, `.db` appended if it is not there.
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<DatabaseFile, OpenFault> {
        let path = file_name(&definition.file);
        let class = definition.class;
        let opened = open_file(services, &path).map_err(|error| {
            if !definition.flags.optional {
                host.complain_of_system(&complaint(definition, &path, &error));
            }
            OpenFault
        })?;
        let mut handle = read(opened.file, class).map_err(|error| {
            tell_as_library(&path, &error, host);
            if !definition.flags.optional {
                let text = match error {
                    Fault::Io(error) => error_text(&error),
                    _ => "Invalid argument".to_owned(),
                };
                let head = format!("Cannot open {} database ", class.name());
                host.complain_of_system(&[head.as_bytes(), &path, b": ", text.as_bytes()].concat());
            }
            OpenFault
        })?;
        if services.is_alias_map(definition) {
            handle = complete(handle, &path, class, services)?;
            warn_of_age(&definition.file, &path, &handle, services, host);
        }
        let flags = definition.flags.clone();
        let forms = u8::from(flags.try_plain_key) * PLAIN_KEY
            + u8::from(flags.try_key_with_nul) * KEY_WITH_NUL;
        Ok(DatabaseFile {
            name: definition.name.clone(),
            class,
            path,
            flags,
            services: services.clone(),
            looked: LastLook::new(services.moments.clone()),
            handle: RwLock::new(Arc::new(handle)),
            key_forms: AtomicU8::new(forms),
            settled_after: SettledAfter::USUAL,
        })
    }

    /// Returns the value stored for a key that is folded already, its closing NUL cut off.
    ///
    /// # Errors
    /// A sentence when the file cannot be read.
    pub fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        for _ in 0..MAX_TRIES {
            let handle = self.current()?;
            let found = self.find(&handle.database, key);
            if handle.is_resident {
                return found.map_err(|error| error.to_string());
            }
            let unchanged = self
                .version_on_disk()
                .is_none_or(|version| version == handle.version);
            match found {
                Ok(value) if unchanged => return Ok(value),
                Err(error) if unchanged => return Err(error.to_string()),
                _ => {}
            }
        }
        Err("file changes too fast".to_owned())
    }

    fn find(&self, database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let forms = self.key_forms.load(Ordering::Relaxed);
        let mut found = None;
        if forms & PLAIN_KEY != 0 {
            found = database.lookup(key)?;
            if found.is_some() {
                self.key_forms.fetch_and(!KEY_WITH_NUL, Ordering::Relaxed);
            }
        }
        if found.is_none() && forms & KEY_WITH_NUL != 0 {
            found = database.lookup(&[key, b"\0"].concat())?;
            if found.is_some() {
                self.key_forms.fetch_and(!PLAIN_KEY, Ordering::Relaxed);
            }
        }
        Ok(found.map(|mut value| {
            if value.last() == Some(&0) {
                value.pop();
            }
            value
        }))
    }

    fn version_on_disk(&self) -> Option<FileVersion> {
        FileVersion::on_disk(&self.path)
    }

    /// Returns the handle of the file as it is now; of a file that vanished, the last one.
    fn current(&self) -> Result<Arc<Handle>, String> {
        let handle = self
            .handle
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_current = || {
            let version = self.version_on_disk();
            version.is_none_or(|version| version == handle.version)
        };
        if self.looked.is_of_now() || is_current() {
            self.looked.note();
            return Ok(self.kept(&handle).unwrap_or(handle));
        }
        let opened = open_file(&self.services, &self.path).map_err(|error| error.to_string())?;
        let fresh = read(opened.file, self.class).map_err(|error| error.to_string())?;
        Ok(self.replace(fresh))
    }

    fn replace(&self, fresh: Handle) -> Arc<Handle> {
        let fresh = Arc::new(fresh);
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        fresh
    }

    /// Takes a file that is asked often into memory.
    fn kept(&self, handle: &Handle) -> Option<Arc<Handle>> {
        if handle.is_resident || handle.lookups.fetch_add(1, Ordering::Relaxed) < RESIDENT_AFTER {
            return None;
        }
        handle.lookups.store(0, Ordering::Relaxed);
        if !handle.version.may_be_kept(self.settled_after) {
            return None;
        }
        let opened = open_file(&self.services, &self.path).ok()?;
        read_whole(opened.file, handle).map(|fresh| self.replace(fresh))
    }
}

impl Map for DatabaseFile {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        match self.stored(&self.flags.folded(key)) {
            Ok(Some(stored)) => {
                MapAnswer::found(self.flags.stored_value(key, &stored, arguments, cx.mode))
            }
            Ok(None) => MapAnswer::missing(),
            Err(reason) => {
                let head = format!("{} map \"", self.class.name());
                let reason = reason.as_bytes();
                cx.host
                    .complain(&[head.as_bytes(), &self.name, b"\": ", reason].concat());
                MapAnswer::temporary()
            }
        }
    }
}

/// Tells what the C library prints by itself about a file it does not take.
fn tell_as_library(path: &[u8], fault: &Fault, host: &mut dyn LookupHost) {
    let head: &[u8] = match fault {
        Fault::OtherLayout => b"BDB0641 __db_meta_setup: ",
        Fault::PartialPage => b"BDB3037 ",
        _ => return,
    };
    host.narrate(&[head, path, b": ", fault.to_string().as_bytes()].concat());
}

/// Returns the name of the file of a map, `.db` appended if it is not there.
pub fn file_name(file: &[u8]) -> Vec<u8> {
    if file.ends_with(b".db") {
        file.to_vec()
    } else {
        [file, b".db"].concat()
    }
}

/// Waits until an alias database holds the mark of its end (AliasWait).
///
/// Somebody may be rebuilding it. One that stays without the mark is not used.
fn complete(
    mut handle: Handle,
    path: &[u8],
    class: MapClass,
    services: &MapServices,
) -> Result<Handle, OpenFault> {
    let deadline = Instant::now() + services.alias_wait;
    let mut pause = FIRST_PAUSE;
    loop {
        let marked = |key: &[u8]| matches!(handle.database.lookup(key), Ok(Some(_)));
        if marked(b"@\0") || marked(b"@") {
            return Ok(handle);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(OpenFault);
        }
        std::thread::sleep(pause.min(left));
        pause *= 2;
        let opened = open_file(services, path).map_err(|_| OpenFault)?;
        handle = read(opened.file, class).map_err(|_| OpenFault)?;
    }
}

/// Tells that the text of an alias database is newer than the database.
fn warn_of_age(
    text_file: &[u8],
    path: &[u8],
    handle: &Handle,
    services: &MapServices,
    host: &mut dyn LookupHost,
) {
    let Ok(text) = std::fs::metadata(path_of(text_file)) else {
        return;
    };
    if text.mtime() <= handle.version.modified_seconds() {
        return;
    }
    host.narrate(
        &[
            b"Warning: alias database ".as_slice(),
            path,
            b" out of date",
        ]
        .concat(),
    );
    let shown = printable(path);
    let line = format_args!("alias database {shown} out of date");
    services
        .log
        .syslog(AGE_LOG_LEVEL, log::Level::Info, None, line);
}

pub(super) fn read(file: File, class: MapClass) -> Result<Handle, Fault> {
    // Whoever writes in place holds a lock; wait for the end of it.
    let lock = FileLock::shared(file)
        .map_err(|(_, error)| Fault::Io(std::io::Error::other(error.to_string())))?;
    let version = FileVersion::of(&lock.file().metadata()?);
    let database = Database::open(lock.unlock())?;
    let wanted = if class == MapClass::Btree {
        Layout::Btree
    } else {
        Layout::Hash
    };
    if database.layout() != wanted {
        return Err(Fault::OtherLayout);
    }
    Ok(Handle {
        database,
        version,
        is_resident: false,
        lookups: AtomicU32::new(0),
    })
}

/// Reads all of the file of `known`; `None` when it is another one by now.
fn read_whole(file: File, known: &Handle) -> Option<Handle> {
    let lock = FileLock::shared(file).ok()?;
    let mut bytes = Vec::new();
    lock.file()
        .take(MAX_RESIDENT_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    let version = FileVersion::of(&lock.file().metadata().ok()?);
    let is_same = version == known.version && version.bytes() == bytes.len() as u64;
    let database = Database::from_bytes(bytes).ok().filter(|_| is_same)?;
    Some(Handle {
        database,
        version,
        is_resident: true,
        lookups: AtomicU32::new(0),
    })
}

fn complaint(definition: &MapDefinition, path: &[u8], error: &OpenError) -> Vec<u8> {
    let problem = if error.is_not_found() {
        "missing"
    } else {
        "unsafe"
    };
    let class = definition.class.name();
    [
        format!("{class} map \"").as_bytes(),
        &definition.name,
        format!("\": {problem} map file ").as_bytes(),
        path,
        format!(": {error}").as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::map::berkeley::{Repeated, Table};
    use crate::sys::identity::FixedUsers;
    use crate::sys::privilege::Unprivileged;
    use crate::sys::safe_open::OpenRules;

    struct Deaf;

    impl LookupHost for Deaf {
        fn set_macro(&mut self, _: &[u8], _: Option<&[u8]>) -> bool {
            true
        }

        fn complain(&mut self, _: &[u8]) {}
    }

    fn file(value: &str) -> Vec<u8> {
        let mut table = Table::new(Layout::Hash, false);
        table.insert(b"key".to_vec(), value.into(), Repeated::Refuse);
        let mut bytes = Vec::new();
        table.write([1; 20], &mut bytes).unwrap();
        bytes
    }

    fn open(path: &std::path::Path) -> DatabaseFile {
        let line = format!("m hash {}", path.display());
        let definition = MapDefinition::parse(line.as_bytes(), &|_| false, &mut Vec::new());
        let services = MapServices {
            file_rules: OpenRules::NONE,
            ..MapServices::bare(
                Arc::new(FixedResolver::default()),
                Arc::new(FixedUsers::new()),
                Arc::new(Unprivileged),
            )
        };
        DatabaseFile::open(&definition.unwrap(), &services, &mut Deaf).unwrap()
    }

    fn is_resident(map: &DatabaseFile) -> bool {
        map.handle.read().unwrap().is_resident
    }

    #[test]
    fn what_is_kept_in_memory_is_given_up_when_the_file_changes_in_place() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("resident.db");
        std::fs::write(&path, file("first")).unwrap();
        let mut map = open(&path);
        map.settled_after = SettledAfter::always(Duration::ZERO);
        for _ in 0..=RESIDENT_AFTER {
            assert!(!is_resident(&map));
            assert_eq!(map.stored(b"key").unwrap().unwrap(), b"first");
        }
        assert!(is_resident(&map));
        std::fs::write(&path, file("other than the first")).unwrap();
        assert_eq!(
            map.stored(b"key").unwrap().unwrap(),
            b"other than the first"
        );
        assert!(!is_resident(&map));
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("fresh.db");
        std::fs::write(&path, file("value")).unwrap();
        let mut map = open(&path);
        // As good as now, however slow this machine is.
        map.settled_after = SettledAfter::always(Duration::MAX);
        for _ in 0..3 * RESIDENT_AFTER {
            assert_eq!(map.stored(b"key").unwrap().unwrap(), b"value");
            assert!(!is_resident(&map));
        }
    }
}
