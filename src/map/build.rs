//! Building a database file: collect, write beside the old one, rename over it.
//!
//! Readers see the old file or the new one, never a part. A file that is there
//! already keeps its mode and owner; a new one gets mode 0640.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::berkeley::{Inserted, Layout, Repeated, Table, WriteFault};
use super::class::MapClass;
use super::{cdb, database_file};
use crate::sys::file::{path_buf_of, set_mode, set_owner};
use crate::sys::lock::FileLock;
use crate::sys::process::process_id;

/// Mode of a database that was not there before. Observed: 8.17.1.9.
const NEW_MODE: u32 = 0o640;

/// A database in the making.
pub struct NewDatabase {
    class: MapClass,
    path: Vec<u8>,
    table: Table,
}

/// Who owns the file afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whoever owned the old file, else the process.
    AsBefore,
    /// This user (option TrustedUser); the group stays.
    User(u32),
}

impl NewDatabase {
    /// Starts an empty database of a class that is built; `file` may lack its extension.
    ///
    /// Class `implicit` makes a hash file.
    pub fn new(class: MapClass, file: &[u8], duplicates: bool) -> Option<NewDatabase> {
        let layout = if class == MapClass::Btree {
            Layout::Btree
        } else {
            Layout::Hash
        };
        let path = match class {
            MapClass::Hash | MapClass::Btree | MapClass::Implicit => database_file::file_name(file),
            MapClass::Cdb => cdb::file_name(file),
            _ => return None,
        };
        Some(NewDatabase {
            class,
            path,
            table: Table::new(layout, duplicates),
        })
    }

    /// Returns the name of the file that will be written.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns the pairs collected so far.
    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Adds a pair.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, repeated: Repeated) -> Inserted {
        self.table.insert(key, value, repeated)
    }

    /// Writes the file under its name and syncs it; the old one is replaced at once.
    ///
    /// # Errors
    /// [`WriteFault`]; then the old file is still there.
    pub fn commit(&self, owner: Owner) -> Result<(), WriteFault> {
        let path = path_buf_of(self.path.clone());
        let (file, fresh) = match create_beside(&path) {
            Ok(both) => both,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return self.rewrite(&path, error);
            }
            Err(error) => return Err(error.into()),
        };
        let written = self.write_and_rename(file, &fresh, &path, owner);
        if written.is_err() {
            // The name is ours alone; whether it can be removed changes nothing.
            let _ = std::fs::remove_file(&fresh);
        }
        written
    }

    /// Writes over the old file, for whoever may write to it but not to its directory.
    ///
    /// Readers that respect locks wait meanwhile, as they do for other programs.
    fn rewrite(&self, path: &Path, refused: io::Error) -> Result<(), WriteFault> {
        let Ok(file) = OpenOptions::new().write(true).open(path) else {
            return Err(refused.into());
        };
        let lock =
            FileLock::exclusive(file).map_err(|(_, error)| io::Error::other(error.to_string()))?;
        lock.file().set_len(0)?;
        self.write_pairs(lock.file())?;
        lock.file().sync_all()?;
        Ok(())
    }

    fn write_pairs(&self, file: &File) -> Result<(), WriteFault> {
        let mut sink = io::BufWriter::new(file);
        if self.class == MapClass::Cdb {
            cdb::write(self.table.pairs(), &mut sink)?;
        } else {
            let mut unique = [0; 20];
            getrandom::fill(&mut unique).map_err(io::Error::other)?;
            self.table.write(unique, &mut sink)?;
        }
        sink.flush()?;
        Ok(())
    }

    fn write_and_rename(
        &self,
        file: File,
        fresh: &Path,
        path: &Path,
        owner: Owner,
    ) -> Result<(), WriteFault> {
        self.write_pairs(&file)?;
        let before = std::fs::metadata(path).ok();
        // Only root can give files away; for others the owner cannot differ.
        let is_root = crate::sys::process::effective_user() == 0;
        match (owner, &before) {
            (Owner::User(uid), _) if is_root => {
                let gid = before.as_ref().map_or(u32::MAX, MetadataExt::gid);
                set_owner(&file, uid, gid)?;
            }
            (_, Some(facts)) if is_root => set_owner(&file, facts.uid(), facts.gid())?,
            _ => {}
        }
        set_mode(&file, before.map_or(NEW_MODE, |facts| facts.mode() & 0o777))?;
        file.sync_all()?;
        std::fs::rename(fresh, path)?;
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

/// Creates a file under a name nobody else uses, in the directory of `path`.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..100 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.{number}", process_id()));
        let fresh = PathBuf::from(name);
        let mut options = OpenOptions::new();
        match options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
        {
            Ok(file) => return Ok((file, fresh)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_old_file_keeps_its_mode_and_nothing_is_left_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("m");
        let name = file.as_os_str().as_encoded_bytes();
        let mut database = NewDatabase::new(MapClass::Hash, name, false).unwrap();
        database.insert(b"k".to_vec(), b"v".to_vec(), Repeated::Refuse);
        database.commit(Owner::AsBefore).unwrap();
        let path = place.path().join("m.db");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o640);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        database.commit(Owner::AsBefore).unwrap();
        assert_eq!(mode(&path), 0o644);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
