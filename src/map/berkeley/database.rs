//! One opened Berkeley file of either layout.

use std::fs::File;

use super::page::{Fault, Layout, LayoutNumbers, Pages};
use super::{btree, hash};

/// An opened file; lookups from several threads may run at the same time.
pub struct Database {
    pages: Pages,
}

impl Database {
    /// Opens a file that is already checked for safety.
    ///
    /// # Errors
    /// [`Fault`] when it is not a Berkeley file or uses something unknown.
    pub fn open(file: File) -> Result<Database, Fault> {
        Database::from_pages(Pages::open(Box::new(file))?)
    }

    /// Opens a file that is wholly in memory.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Database, Fault> {
        Database::from_pages(Pages::open(Box::new(bytes))?)
    }

    fn from_pages(pages: Pages) -> Result<Database, Fault> {
        match &pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::check(numbers)?,
            LayoutNumbers::Btree { .. } => btree::check(pages.flags)?,
        }
        Ok(Database { pages })
    }

    /// Returns the layout of the file.
    pub fn layout(&self) -> Layout {
        match &self.pages.numbers {
            LayoutNumbers::Hash(_) => Layout::Hash,
            LayoutNumbers::Btree { .. } => Layout::Btree,
        }
    }

    /// Says whether the file was made for several values of one key.
    pub fn allows_duplicates(&self) -> bool {
        self.pages.flags & 1 != 0
    }

    /// Returns the first value of `key`.
    ///
    /// # Errors
    /// [`Fault`] when the pages needed for the answer cannot be read.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match &self.pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::lookup(&self.pages, numbers, key),
            LayoutNumbers::Btree { root } => btree::lookup(&self.pages, *root, key),
        }
    }

    /// Returns all values of `key`, in order.
    ///
    /// # Errors
    /// [`Fault`] when the pages needed for the answer cannot be read.
    pub fn values(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        match &self.pages.numbers {
            LayoutNumbers::Hash(_) => {
                let mut values = Vec::new();
                self.scan(&mut |other, value| {
                    if other == key {
                        values.push(value);
                    }
                    true
                })?;
                Ok(values)
            }
            LayoutNumbers::Btree { root } => btree::values(&self.pages, *root, key),
        }
    }

    /// Hands every pair to `visit` until it returns false.
    ///
    /// # Errors
    /// [`Fault`] at the first page that cannot be read.
    pub fn scan(&self, visit: &mut dyn FnMut(&[u8], Vec<u8>) -> bool) -> Result<(), Fault> {
        match &self.pages.numbers {
            LayoutNumbers::Hash(numbers) => hash::scan(&self.pages, numbers, visit),
            LayoutNumbers::Btree { root } => btree::scan(&self.pages, *root, visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::{BTREE_MAGIC, HASH_MAGIC, HEADER_BYTES};
    use super::*;
    use crate::map::berkeley::hash::{TEST_KEY, hash_of};

    const PAGE: usize = 512;

    /// Writes numbers into a page of zeros.
    fn page(numbers: &[(usize, u32)], bytes: &[(usize, u8)]) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        for &(at, number) in numbers {
            page[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for &(at, byte) in bytes {
            page[at] = byte;
        }
        page
    }

    /// Adds a chain of overflow pages that holds `pages` times what fits one.
    fn add_chain(file: &mut Vec<u8>, pages: usize) -> u32 {
        let room = PAGE - HEADER_BYTES;
        for step in 0..pages {
            let here = file.len() / PAGE;
            let next = if step + 1 < pages { here as u32 + 1 } else { 0 };
            let mut link = page(&[(16, next)], &[(25, 7)]);
            link[22..24].copy_from_slice(&(room as u16).to_le_bytes());
            file.extend_from_slice(&link);
        }
        (pages * room) as u32
    }

    /// Writes `count` index entries, by turns the offsets of a key and of a value.
    fn fill_index(page: &mut [u8], count: u16, key: u16, value: u16) {
        page[20..22].copy_from_slice(&count.to_le_bytes());
        for index in 0..usize::from(count) {
            let offset = if index % 2 == 0 { key } else { value };
            let at = HEADER_BYTES + 2 * index;
            page[at..at + 2].copy_from_slice(&offset.to_le_bytes());
        }
    }

    /// A btree whose leaves all name the same long value again and again.
    fn repeated_value() -> Vec<u8> {
        const LEAVES: usize = 40;
        const CHAIN: usize = 400;
        let mut file = page(
            &[(12, BTREE_MAGIC), (16, 9), (20, PAGE as u32), (88, 1)],
            &[(25, 9)],
        );
        for leaf in 1..=LEAVES {
            let next = if leaf < LEAVES { leaf as u32 + 1 } else { 0 };
            let first = LEAVES as u32 + 1;
            let bytes = (CHAIN * (PAGE - HEADER_BYTES)) as u32;
            let mut page = page(
                &[(16, next), (504, first), (508, bytes)],
                &[(24, 1), (25, 5), (502, 3), (490, 1), (492, 1), (493, b'k')],
            );
            fill_index(&mut page, 220, 490, 500);
            file.extend_from_slice(&page);
        }
        add_chain(&mut file, CHAIN);
        file
    }

    /// A hash whose buckets all lie on the same pages.
    fn repeated_bucket() -> Vec<u8> {
        const BUCKETS: u32 = 256;
        let hash = hash_of(TEST_KEY);
        let mut meta = page(
            &[
                (12, HASH_MAGIC),
                (16, 9),
                (20, PAGE as u32),
                (72, BUCKETS - 1),
                (76, BUCKETS - 1),
                (80, BUCKETS / 2 - 1),
                (92, hash),
            ],
            &[(25, 8)],
        );
        // The run of bucket b begins at spare b - b + 1: every bucket shares a long value.
        for run in 0..=8 {
            meta[96 + 4 * run..100 + 4 * run].copy_from_slice(&1_u32.to_le_bytes());
        }
        let mut file = meta;
        let first = BUCKETS + 1;
        for _ in 0..BUCKETS {
            let bytes = (400 * (PAGE - HEADER_BYTES)) as u32;
            let mut page = page(
                &[(504, first), (508, bytes)],
                &[(25, 13), (500, 3), (510, 1)],
            );
            page[510] = 1;
            let index = [510_u16, 498];
            page[20..22].copy_from_slice(&2_u16.to_le_bytes());
            page[26..28].copy_from_slice(&index[0].to_le_bytes());
            page[28..30].copy_from_slice(&index[1].to_le_bytes());
            page[498] = 3;
            page[502..506].copy_from_slice(&first.to_le_bytes());
            page[506..510].copy_from_slice(&bytes.to_le_bytes());
            file.extend_from_slice(&page);
        }
        add_chain(&mut file, 400);
        file
    }

    #[test]
    fn a_scan_hands_out_no_more_than_a_file_can_hold() {
        for file in [repeated_value(), repeated_bucket()] {
            let length = file.len();
            let database = Database::from_bytes(file).unwrap();
            let mut octets = 0;
            let outcome = database.scan(&mut |key, value| {
                octets += key.len() + value.len();
                true
            });
            assert!(matches!(outcome, Err(Fault::Damaged(_))), "{outcome:?}");
            assert!(octets > 0 && octets < 8 * length, "{octets} of {length}");
        }
    }

    #[test]
    fn an_overflow_page_without_octets_is_damage() {
        let mut file = repeated_value();
        for chained in file.chunks_mut(PAGE).filter(|page| page[25] == 7) {
            chained[22..24].fill(0);
        }
        let database = Database::from_bytes(file).unwrap();
        let outcome = database.lookup(b"k");
        assert!(
            matches!(outcome, Err(Fault::Damaged("overflow page"))),
            "{outcome:?}"
        );
    }

    /// What every file of `fuzz/seeds/berkeley` holds, by what its name ends with.
    fn contents(name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
        if name.ends_with("-overflow.db") {
            let mut last = vec![b'x'; 700];
            last.push(b'z');
            vec![
                pair(b"short", b"s"),
                (vec![b'x'; 700], vec![b'x'; 1_500]),
                (vec![b'y'; 700], vec![b'y'; 1_500]),
                (last, b"last".to_vec()),
            ]
        } else if name.ends_with("-duplicates.db") {
            let several = [b"2", b"1", b"3"].map(|value| pair(b"k", value));
            let mut all = vec![pair(b"a", b"x"), pair(b"z", b"9")];
            all.extend(several);
            all
        } else if name.ends_with("-duplicate-tree.db") {
            let mut all = vec![pair(b"a", b"x"), pair(b"z", b"9")];
            all.extend((0..90).map(|n| pair(b"k", format!("value {n}").as_bytes())));
            all.push((b"k".to_vec(), b"v".repeat(600)));
            all
        } else {
            let numbered = |n| {
                pair(
                    format!("key{n}").as_bytes(),
                    format!("value {n}").as_bytes(),
                )
            };
            (0..40).map(numbered).collect()
        }
    }

    /// Files made by the load tool of library 5.3, on and for machines of both byte orders.
    #[test]
    fn files_of_the_library_are_read_in_both_byte_orders() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/berkeley");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let database = Database::open(File::open(&path).unwrap()).unwrap();
            let mut wanted = contents(&name);
            let mut found = Vec::new();
            let scanned = database.scan(&mut |key, value| {
                found.push((key.to_vec(), value));
                true
            });
            scanned.unwrap();
            for (key, _) in &wanted {
                let first = wanted.iter().find(|pair| pair.0 == *key);
                let value = first.map(|pair| pair.1.clone());
                assert_eq!(database.lookup(key).unwrap(), value, "{name}");
            }
            assert_eq!(database.lookup(b"nobody").unwrap(), None, "{name}");
            let keys = |pairs: &[(Vec<u8>, Vec<u8>)], key: &[u8]| -> Vec<Vec<u8>> {
                let of_key = pairs.iter().filter(|pair| pair.0 == key);
                of_key.map(|pair| pair.1.clone()).collect()
            };
            assert_eq!(keys(&found, b"k"), keys(&wanted, b"k"), "{name}");
            found.sort();
            wanted.sort();
            assert!(found == wanted, "{name}: {} pairs", found.len());
            count += 1;
        }
        assert_eq!(count, 16);
    }
}
