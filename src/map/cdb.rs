//! Class `cdb`: constant databases, `NAME.cdb`.
//!
//! The format is small enough to be read and written here with every offset
//! checked: 256 pointers to hash tables, the records, the tables. All numbers
//! have 32 bits, least significant octet first.
//!
//! Source: <https://cr.yp.to/cdb/cdb.txt>.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::definition::MapDefinition;
use super::flags::MapFlags;
use super::lookup::{LookupContext, LookupHost, Map, MapAnswer};
use super::open::{OpenFault, open_file};
use super::set::MapServices;

const POINTERS: usize = 256;
const HEADER_BYTES: usize = POINTERS * 8;
/// Longest value that is read.
const MAX_VALUE: u32 = 16_777_216;

/// One constant database, opened for every lookup: it is replaced by renaming.
pub(super) struct CdbMap {
    path: Vec<u8>,
    flags: MapFlags,
    services: MapServices,
}

impl CdbMap {
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<CdbMap, OpenFault> {
        let path = file_name(&definition.file);
        if let Err(error) = open_file(services, &path) {
            if !definition.flags.optional {
                let problem = if error.is_not_found() {
                    "missing"
                } else {
                    "unsafe"
                };
                let middle = format!("\": {problem} map file ");
                let head: &[u8] = b"cdb map \"";
                let reason = format!(": {error}");
                host.complain(
                    &[
                        head,
                        &definition.name,
                        middle.as_bytes(),
                        &path,
                        reason.as_bytes(),
                    ]
                    .concat(),
                );
            }
            return Err(OpenFault);
        }
        Ok(CdbMap {
            path,
            flags: definition.flags.clone(),
            services: services.clone(),
        })
    }
}

impl Map for CdbMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        let Ok(opened) = open_file(&self.services, &self.path) else {
            return MapAnswer::temporary();
        };
        let folded = self.flags.folded(key);
        let mut found = Ok(None);
        if self.flags.try_plain_key {
            found = find(&opened.file, &folded);
        }
        if matches!(found, Ok(None)) && self.flags.try_key_with_nul {
            found = find(&opened.file, &[&folded, b"\0".as_slice()].concat());
        }
        match found {
            Ok(Some(mut stored)) => {
                if stored.last() == Some(&0) {
                    stored.pop();
                }
                MapAnswer::found(self.flags.stored_value(key, &stored, arguments, cx.mode))
            }
            Ok(None) => MapAnswer::missing(),
            Err(_) => MapAnswer::temporary(),
        }
    }
}

/// Returns the name of the file of a map, `.cdb` appended if it is not there.
pub fn file_name(file: &[u8]) -> Vec<u8> {
    if file.ends_with(b".cdb") {
        file.to_vec()
    } else {
        [file, b".cdb"].concat()
    }
}

fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5_381, |hash: u32, &octet| {
        hash.wrapping_shl(5).wrapping_add(hash) ^ u32::from(octet)
    })
}

fn pair_at(file: &File, offset: u64) -> io::Result<(u32, u32)> {
    let mut octets = [0; 8];
    file.read_exact_at(&mut octets, offset)?;
    let [a, b, c, d, e, f, g, h] = octets;
    Ok((
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ))
}

/// Returns the first value of a key.
///
/// # Errors
/// The file cannot be read, or ends before its own pointers do.
pub fn find(file: &File, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let wanted = hash(key);
    let (table, slots) = pair_at(file, u64::from(wanted & 255) * 8)?;
    if slots == 0 {
        return Ok(None);
    }
    let start = (wanted >> 8) % slots;
    for step in 0..slots {
        let slot = (u64::from(start) + u64::from(step)) % u64::from(slots);
        let (found, position) = pair_at(file, u64::from(table) + slot * 8)?;
        if position == 0 {
            return Ok(None);
        }
        if found == wanted {
            let (key_bytes, value_bytes) = pair_at(file, u64::from(position))?;
            if key_bytes as usize == key.len() && value_bytes <= MAX_VALUE {
                let place = u64::from(position) + 8;
                let mut stored = vec![0; key.len()];
                file.read_exact_at(&mut stored, place)?;
                if stored == key {
                    let mut value = vec![0; value_bytes as usize];
                    file.read_exact_at(&mut value, place + u64::from(key_bytes))?;
                    return Ok(Some(value));
                }
            }
        }
    }
    Ok(None)
}

/// Returns all pairs in the order they were written.
///
/// # Errors
/// As for [`find`].
pub fn pairs(file: &File) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let length = file.metadata()?.len();
    let mut end = length;
    for pointer in 0..POINTERS as u64 {
        let (table, _) = pair_at(file, pointer * 8)?;
        end = end.min(u64::from(table));
    }
    let mut pairs = Vec::new();
    let mut offset = HEADER_BYTES as u64;
    while offset < end {
        let (key_bytes, value_bytes) = pair_at(file, offset)?;
        let record_bytes = u64::from(key_bytes) + u64::from(value_bytes);
        if offset + 8 + record_bytes > length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut key = vec![0; record_bytes as usize];
        file.read_exact_at(&mut key, offset + 8)?;
        let value = key.split_off(key_bytes as usize);
        pairs.push((key, value));
        offset += 8 + record_bytes;
    }
    Ok(pairs)
}

/// Writes a whole database.
///
/// # Errors
/// The system refuses, or the database would be longer than 4 GiB.
pub fn write<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    sink: &mut dyn Write,
) -> io::Result<()> {
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let mut records = Vec::new();
    let mut tables: Vec<Vec<(u32, u32)>> = vec![Vec::new(); POINTERS];
    for (key, value) in pairs {
        let position = u32::try_from(HEADER_BYTES + records.len()).map_err(|_| too_large())?;
        let hash = hash(key);
        tables[(hash & 255) as usize].push((hash, position));
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(|_| too_large())?;
            records.extend_from_slice(&length.to_le_bytes());
        }
        records.extend_from_slice(key);
        records.extend_from_slice(value);
    }
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let mut slots_text = Vec::new();
    for table in &tables {
        let place = HEADER_BYTES + records.len() + slots_text.len();
        let place = u32::try_from(place).map_err(|_| too_large())?;
        let count = table.len() * 2;
        header.extend_from_slice(&place.to_le_bytes());
        header.extend_from_slice(&(count as u32).to_le_bytes());
        let mut slots = vec![(0_u32, 0_u32); count];
        for &(hash, position) in table {
            let mut slot = (hash >> 8) as usize % count;
            while slots[slot].1 != 0 {
                slot = (slot + 1) % count;
            }
            slots[slot] = (hash, position);
        }
        for (hash, position) in slots {
            slots_text.extend_from_slice(&hash.to_le_bytes());
            slots_text.extend_from_slice(&position.to_le_bytes());
        }
    }
    sink.write_all(&header)?;
    sink.write_all(&records)?;
    sink.write_all(&slots_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn file(count: usize) -> (tempfile::NamedTempFile, Pairs) {
        let pairs: Pairs = (0..count)
            .map(|n| {
                (
                    format!("key{n}").into_bytes(),
                    format!("value {n}").into_bytes(),
                )
            })
            .collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write(
            pairs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())),
            file.as_file_mut(),
        )
        .unwrap();
        (file, pairs)
    }

    #[test]
    fn what_was_written_is_found_again() {
        for count in [0, 1, 1_000] {
            let (file, written) = file(count);
            for (key, value) in &written {
                assert_eq!(find(file.as_file(), key).unwrap().as_ref(), Some(value));
            }
            assert_eq!(find(file.as_file(), b"nobody").unwrap(), None);
            assert_eq!(pairs(file.as_file()).unwrap(), written);
        }
    }

    #[test]
    fn damaged_files_are_errors_at_worst() {
        let (file, _) = file(50);
        let clean = std::fs::read(file.path()).unwrap();
        let mut state = 99_u64;
        for _ in 0..500 {
            let mut bytes = clean.clone();
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = (state >> 20) as usize % bytes.len();
                bytes[at] = (state >> 50) as u8;
            }
            bytes.truncate((state >> 13) as usize % clean.len() + 1);
            std::fs::write(file.path(), &bytes).unwrap();
            let reader = File::open(file.path()).unwrap();
            let _ = find(&reader, b"key7");
            let _ = pairs(&reader);
        }
    }

    #[test]
    fn a_record_is_read_only_when_its_key_is_right() {
        // Every slot of the table names the same record, whose key is another one.
        let (wanted, slots) = (hash(b"key"), 1_000_u32);
        let record = 2_048 + slots * 8;
        let mut bytes = Vec::new();
        for _ in 0..POINTERS {
            bytes.extend_from_slice(&2_048_u32.to_le_bytes());
            bytes.extend_from_slice(&slots.to_le_bytes());
        }
        for _ in 0..slots {
            bytes.extend_from_slice(&wanted.to_le_bytes());
            bytes.extend_from_slice(&record.to_le_bytes());
        }
        bytes.extend_from_slice(&3_u32.to_le_bytes());
        bytes.extend_from_slice(&MAX_VALUE.to_le_bytes());
        // The value it promises is not there, which nobody needs to know.
        bytes.extend_from_slice(b"yek");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        assert_eq!(find(file.as_file(), b"key").unwrap(), None);
    }
}
