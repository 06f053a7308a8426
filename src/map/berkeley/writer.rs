//! The table to be written, and the pages both layouts are made of.
//!
//! A table is collected in memory, laid out page by page and written once, in
//! the byte order and with the page size a library on this kind of machine
//! would choose. Who calls gives the file its name afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use super::page::{HEADER_BYTES, Layout, SPARE_POINTS};
use super::{btree_writer, hash_writer};

/// Octets of a page; what the library takes on the usual file systems.
pub(super) const PAGE_BYTES: usize = 4096;
/// Octets of an item on a page that stands for a chain of overflow pages.
pub(super) const REFERENCE_BYTES: usize = 12;

/// What to do with a key that is already in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// Leave the table as it is.
    Refuse,
    /// Take the new value instead.
    Replace,
    /// Keep both values, in their order.
    Keep,
}

/// What became of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The key was new.
    New,
    /// The key was there; the new value took its place or joined it.
    Again,
    /// The key was there; nothing changed.
    Refused,
}

/// Why a table could not be written.
#[derive(Debug)]
pub enum WriteFault {
    /// The system refused.
    Io(io::Error),
    /// All values of one key together must fit into one page.
    TooManyDuplicates,
    /// More pages than page numbers.
    TooLarge,
}

impl fmt::Display for WriteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteFault::Io(error) => write!(f, "{error}"),
            WriteFault::TooManyDuplicates => f.write_str("too many values of one key"),
            WriteFault::TooLarge => f.write_str("too large"),
        }
    }
}

impl std::error::Error for WriteFault {}

impl From<io::Error> for WriteFault {
    fn from(error: io::Error) -> Self {
        WriteFault::Io(error)
    }
}

/// Pairs on their way into a file.
#[derive(Debug, Clone)]
pub struct Table {
    layout: Layout,
    duplicates: bool,
    pairs: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Table {
    /// Makes an empty table; `duplicates` marks the file as one that may have several values of a key.
    pub fn new(layout: Layout, duplicates: bool) -> Table {
        Table {
            layout,
            duplicates,
            pairs: BTreeMap::new(),
        }
    }

    /// Adds a pair.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, repeated: Repeated) -> Inserted {
        let Some(values) = self.pairs.get_mut(&key) else {
            self.pairs.insert(key, vec![value]);
            return Inserted::New;
        };
        match repeated {
            Repeated::Refuse => return Inserted::Refused,
            Repeated::Replace => *values = vec![value],
            Repeated::Keep => values.push(value),
        }
        Inserted::Again
    }

    /// Takes a key out; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.pairs.remove(key).is_some()
    }

    /// Returns the first value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs
            .get(key)
            .and_then(|values| values.first())
            .map(Vec::as_slice)
    }

    /// Returns all pairs in the order of the keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().flat_map(|(key, values)| {
            values
                .iter()
                .map(move |value| (key.as_slice(), value.as_slice()))
        })
    }

    /// Writes the whole file.
    ///
    /// `unique` are twenty octets that no other file has; the library tells files apart by them.
    ///
    /// # Errors
    /// [`WriteFault`] when the system refuses or the table does not fit into the format.
    pub fn write(&self, unique: [u8; 20], sink: &mut dyn Write) -> Result<(), WriteFault> {
        let pages = match self.layout {
            Layout::Hash => hash_writer::lay_out(&self.pairs, self.duplicates, unique)?,
            Layout::Btree => btree_writer::lay_out(&self.pairs, self.duplicates, unique)?,
        };
        for page in pages.bytes() {
            sink.write_all(page)?;
        }
        Ok(())
    }
}

/// All pages of a file in the making, the meta page included.
pub(super) struct NewPages {
    pages: Vec<Vec<u8>>,
}

/// What the two layouts write into the common part of the meta page.
pub(super) struct MetaNumbers {
    pub(super) magic: u32,
    pub(super) page_type: u8,
    pub(super) duplicates: bool,
    pub(super) unique: [u8; 20],
}

/// Format version of both layouts written here, that of library 5.3.
const VERSION: u32 = 9;

impl NewPages {
    /// Starts with an empty meta page.
    pub(super) fn new() -> NewPages {
        NewPages {
            pages: vec![vec![0; PAGE_BYTES]],
        }
    }

    /// Appends a page with a fresh header and returns its number.
    pub(super) fn allocate(&mut self, page_type: u8, level: u8) -> Result<u32, WriteFault> {
        let number = u32::try_from(self.pages.len()).map_err(|_| WriteFault::TooLarge)?;
        let mut page = vec![0; PAGE_BYTES];
        put_u32(&mut page, 4, 1);
        put_u32(&mut page, 8, number);
        put_u16(&mut page, 22, PAGE_BYTES as u16);
        put_octet(&mut page, 24, level);
        put_octet(&mut page, 25, page_type);
        self.pages.push(page);
        Ok(number)
    }

    /// Returns a page that was allocated before.
    pub(super) fn page(&mut self, number: u32) -> &mut Vec<u8> {
        &mut self.pages[number as usize]
    }

    /// Links two pages of a chain.
    pub(super) fn link(&mut self, before: u32, after: u32) {
        put_u32(self.page(before), 16, after);
        put_u32(self.page(after), 12, before);
    }

    /// Puts a long item on overflow pages and returns the first of them.
    pub(super) fn overflow(&mut self, item: &[u8]) -> Result<u32, WriteFault> {
        const OVERFLOW: u8 = 7;
        let mut first = None;
        let mut before = None;
        for part in item.chunks(PAGE_BYTES - HEADER_BYTES) {
            let number = self.allocate(OVERFLOW, 0)?;
            let page = self.page(number);
            // The number of items is the number of references here, and the free
            // offset is the length of the part.
            put_u16(page, 20, 1);
            put_u16(page, 22, part.len() as u16);
            page[HEADER_BYTES..HEADER_BYTES + part.len()].copy_from_slice(part);
            if let Some(before) = before {
                self.link(before, number);
            }
            first.get_or_insert(number);
            before = Some(number);
        }
        first.ok_or(WriteFault::TooLarge)
    }

    /// Fills the part of the meta page that both layouts share.
    pub(super) fn finish_meta(&mut self, numbers: &MetaNumbers) -> &mut Vec<u8> {
        let last = self.pages.len() as u32 - 1;
        let meta = self.page(0);
        put_u32(meta, 4, 1);
        put_u32(meta, 12, numbers.magic);
        put_u32(meta, 16, VERSION);
        put_u32(meta, 20, PAGE_BYTES as u32);
        put_octet(meta, 25, numbers.page_type);
        put_u32(meta, 32, last);
        put_u32(meta, 48, u32::from(numbers.duplicates));
        meta[52..72].copy_from_slice(&numbers.unique);
        meta
    }

    fn bytes(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.pages.iter()
    }
}

/// Appends an item to a page: its octets towards the front, its offset behind the header.
/// `reserved` octets are taken, which may be more than the item for alignment.
pub(super) fn push_item(page: &mut [u8], item: &[u8], reserved: usize) {
    let free = u16_at(page, 22) as usize;
    let start = if free == 0 { PAGE_BYTES } else { free } - reserved;
    page[start..start + item.len()].copy_from_slice(item);
    put_u16(page, 22, start as u16);
    push_offset(page, start as u16);
}

/// Appends one more offset, of an item that is on the page already.
pub(super) fn push_offset(page: &mut [u8], offset: u16) {
    let entries = u16_at(page, 20);
    put_u16(page, HEADER_BYTES + 2 * usize::from(entries), offset);
    put_u16(page, 20, entries + 1);
}

/// Returns the offset of the item appended last.
pub(super) fn last_offset(page: &[u8]) -> u16 {
    u16_at(page, 22)
}

pub(super) fn put_octet(page: &mut [u8], at: usize, octet: u8) {
    page[at] = octet;
}

pub(super) fn put_u16(page: &mut [u8], at: usize, number: u16) {
    page[at..at + 2].copy_from_slice(&number.to_le_bytes());
}

pub(super) fn put_u32(page: &mut [u8], at: usize, number: u32) {
    page[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn u16_at(page: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([page[at], page[at + 1]])
}

/// Spare points of a file whose buckets were all made at once, starting at page 1.
pub(super) fn first_spares(bucket_bits: usize) -> [u32; SPARE_POINTS] {
    let mut spares = [0; SPARE_POINTS];
    for spare in spares.iter_mut().take(bucket_bits + 1) {
        *spare = 1;
    }
    spares
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::*;

    fn file(table: &Table) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.write([7; 20], &mut bytes).unwrap();
        bytes
    }

    fn sample(layout: Layout, count: usize) -> Table {
        let mut table = Table::new(layout, false);
        for number in 0..count {
            let key = format!("key{number}").into_bytes();
            table.insert(
                key,
                format!("value {number}").into_bytes(),
                Repeated::Refuse,
            );
        }
        table
    }

    #[test]
    fn what_was_written_is_found_again() {
        for layout in [Layout::Hash, Layout::Btree] {
            for count in [0, 1, 2, 10, 300, 5_000] {
                let table = sample(layout, count);
                let database = Database::from_bytes(file(&table)).unwrap();
                assert_eq!(database.layout(), layout);
                for number in 0..count {
                    let found = database.lookup(format!("key{number}").as_bytes()).unwrap();
                    assert_eq!(found, Some(format!("value {number}").into_bytes()));
                }
                assert_eq!(database.lookup(b"nobody").unwrap(), None);
                let mut seen = 0;
                database
                    .scan(&mut |_, _| {
                        seen += 1;
                        true
                    })
                    .unwrap();
                assert_eq!(seen, count);
            }
        }
    }

    #[test]
    fn long_keys_and_values_go_to_overflow_pages() {
        for layout in [Layout::Hash, Layout::Btree] {
            let mut table = Table::new(layout, false);
            for octet in b'a'..=b'z' {
                table.insert(vec![octet; 5_000], vec![octet; 20_000], Repeated::Refuse);
                table.insert(vec![octet; 900], Vec::new(), Repeated::Refuse);
                let mut shared = vec![b'x'; 3_000];
                shared.push(octet);
                table.insert(shared, vec![octet], Repeated::Refuse);
            }
            let database = Database::from_bytes(file(&table)).unwrap();
            for (key, value) in table.pairs() {
                assert_eq!(database.lookup(key).unwrap().as_deref(), Some(value));
            }
        }
    }

    #[test]
    fn duplicates_keep_their_order() {
        for layout in [Layout::Hash, Layout::Btree] {
            let mut table = Table::new(layout, true);
            for value in [b"2", b"1", b"3"] {
                table.insert(b"k".to_vec(), value.to_vec(), Repeated::Keep);
            }
            table.insert(b"a".to_vec(), b"x".to_vec(), Repeated::Keep);
            let database = Database::from_bytes(file(&table)).unwrap();
            assert!(database.allows_duplicates());
            assert_eq!(database.lookup(b"k").unwrap(), Some(b"2".to_vec()));
            let mut values = Vec::new();
            database
                .scan(&mut |key, value| {
                    if key == b"k" {
                        values.push(value);
                    }
                    true
                })
                .unwrap();
            assert_eq!(values, [b"2".to_vec(), b"1".to_vec(), b"3".to_vec()]);
        }
    }

    #[test]
    fn no_bytes_whatever_make_the_reader_panic_or_loop() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        for layout in [Layout::Hash, Layout::Btree] {
            let mut table = sample(layout, 400);
            table.insert(vec![b'q'; 6_000], vec![b'v'; 9_000], Repeated::Refuse);
            let clean = file(&table);
            for _ in 0..600 {
                let mut bytes = clean.clone();
                for _ in 0..=random() % 12 {
                    let at = if random() % 3 == 0 {
                        random() % bytes.len()
                    } else {
                        // Headers and offset tables are where damage hurts.
                        (random() % (bytes.len() / PAGE_BYTES)) * PAGE_BYTES + random() % 120
                    };
                    bytes[at] = random() as u8;
                }
                if random() % 5 == 0 {
                    bytes.truncate(random() % clean.len());
                }
                let Ok(database) = Database::from_bytes(bytes) else {
                    continue;
                };
                for key in [b"key7".as_slice(), b"", b"zzz", &[b'q'; 6_000]] {
                    let _ = database.lookup(key);
                }
                let _ = database.scan(&mut |_, _| true);
            }
        }
    }
}
