//! Pages of a Berkeley file: byte order, headers, and the meta page.
//!
//! Nothing read from a file is trusted: every offset is checked against the page,
//! every page number against the file, and whoever follows links counts them
//! with [`Steps`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;

/// First octets of a hash file, in the byte order of its writer.
pub(super) const HASH_MAGIC: u32 = 0x0006_1561;
/// First octets of a btree file, in the byte order of its writer.
pub(super) const BTREE_MAGIC: u32 = 0x0005_3162;
/// Octets of the part of the meta page that is read here.
pub(super) const META_BYTES: usize = 512;
/// Octets of a page header without checksums.
pub(super) const HEADER_BYTES: usize = 26;
/// Octets of a page header when pages carry checksums.
const CHECKSUM_HEADER_BYTES: usize = 32;
/// Bit of the meta flags: pages carry checksums.
const META_CHECKSUM: u8 = 0x01;
/// How many spare points a hash meta page has.
pub(super) const SPARE_POINTS: usize = 32;

/// How often everything in a file may be read for one question. Pages are read as a whole
/// and then item by item; the rest is for what a sound file names more than once.
const MAX_READINGS: u64 = 4;

/// Why a Berkeley file could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The system refused.
    Io(io::Error),
    /// The file is something else.
    NotBerkeley,
    /// A Berkeley file of the other layout.
    OtherLayout,
    /// The file does not end with a page; it was cut, or is being written.
    PartialPage,
    /// A format older or newer than those known here.
    UnknownVersion(u32),
    /// The file needs a feature that is not supported: encryption, record numbers, compression.
    Unsupported(&'static str),
    /// The structure contradicts itself; the text says where.
    Damaged(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(error) => write!(f, "{error}"),
            Fault::NotBerkeley => f.write_str("not a Berkeley DB file"),
            Fault::OtherLayout => f.write_str("unexpected file type or format"),
            Fault::PartialPage => f.write_str("file size not a multiple of the pagesize"),
            Fault::UnknownVersion(version) => write!(f, "unknown format version {version}"),
            Fault::Unsupported(what) => write!(f, "unsupported: {what}"),
            Fault::Damaged(place) => write!(f, "damaged file: {place}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Fault::Damaged("file ends too early")
        } else {
            Fault::Io(error)
        }
    }
}

/// Which of the two layouts a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Linear hashing.
    Hash,
    /// A balanced tree, in order of the keys.
    Btree,
}

/// Bytes that can be read at any place without moving a file position.
pub(super) trait Source: Send + Sync {
    /// Fills `buffer` from `offset`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Returns how many octets there are.
    fn byte_count(&self) -> io::Result<u64>;
    /// Returns `length` octets from `offset` of what lies in memory; `None` of a file.
    fn resident(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}

impl Source for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Source for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self
            .resident(offset, buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn resident(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(length)?)
    }
}

/// Byte order of the machine that wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant octet first.
    Little,
    /// Most significant octet first.
    Big,
}

impl Order {
    /// Reads two octets at `at`.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Order::Little => u16::from_le_bytes(octets),
            Order::Big => u16::from_be_bytes(octets),
        })
    }

    /// Reads four octets at `at`.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(octets),
            Order::Big => u32::from_be_bytes(octets),
        })
    }
}

/// What a page says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    /// Allocated and never used, or free.
    Unused,
    /// Pairs of a hash bucket, sorted or not.
    Hash,
    /// Inner page of a tree ordered by key.
    Internal,
    /// Inner page of a tree ordered by record number.
    RecordInternal,
    /// Leaf of a btree: pairs.
    Leaf,
    /// Leaf of a tree by record number: single items.
    RecordLeaf,
    /// Part of an item too long for a page.
    Overflow,
    /// Leaf of a tree of duplicates: single items.
    DuplicateLeaf,
    /// Anything else.
    Other,
}

impl PageKind {
    fn from_octet(octet: u8) -> PageKind {
        match octet {
            0 => PageKind::Unused,
            2 | 13 => PageKind::Hash,
            3 => PageKind::Internal,
            4 => PageKind::RecordInternal,
            5 => PageKind::Leaf,
            6 => PageKind::RecordLeaf,
            7 => PageKind::Overflow,
            12 => PageKind::DuplicateLeaf,
            _ => PageKind::Other,
        }
    }
}

/// One page in memory.
#[derive(Debug)]
pub(super) struct Page<'p> {
    /// All octets, header included.
    pub(super) bytes: Cow<'p, [u8]>,
    /// Byte order of the file.
    pub(super) order: Order,
    header: usize,
}

impl Page<'_> {
    /// Returns what the page says it is.
    pub(super) fn kind(&self) -> PageKind {
        PageKind::from_octet(self.bytes.get(25).copied().unwrap_or(0))
    }

    /// Returns the height above the leaves, which are at 1.
    pub(super) fn level(&self) -> u8 {
        self.bytes.get(24).copied().unwrap_or(0)
    }

    /// Returns the number of the next page of a chain, if there is one.
    pub(super) fn next(&self) -> Option<u32> {
        self.order
            .u32(&self.bytes, 16)
            .filter(|&number| number != 0)
    }

    /// Returns how many items the page says it holds.
    pub(super) fn entries(&self) -> usize {
        usize::from(self.order.u16(&self.bytes, 20).unwrap_or(0))
    }

    /// Returns the length of the part of a long item on an overflow page.
    pub(super) fn overflow_bytes(&self) -> usize {
        usize::from(self.order.u16(&self.bytes, 22).unwrap_or(0))
    }

    /// Returns what follows the header.
    pub(super) fn content(&self) -> &[u8] {
        self.bytes.get(self.header..).unwrap_or(&[])
    }

    /// Returns the offsets of the items in pairs, unchecked: that of a key and that of its value.
    pub(super) fn offset_pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let pairs = self.content().chunks_exact(4).take(self.entries() / 2);
        pairs.map(|pair| {
            let offset = |at| usize::from(self.order.u16(pair, at).unwrap_or(0));
            (offset(0), offset(2))
        })
    }

    /// Returns the offset of item `index`.
    pub(super) fn offset(&self, index: usize) -> Result<usize, Fault> {
        let place = index
            .checked_mul(2)
            .and_then(|bytes| bytes.checked_add(self.header))
            .ok_or(Fault::Damaged("item index"))?;
        let offset = self
            .order
            .u16(&self.bytes, place)
            .ok_or(Fault::Damaged("item index"))?;
        let offset = usize::from(offset);
        if offset < self.header || offset >= self.bytes.len() {
            return Err(Fault::Damaged("item offset"));
        }
        Ok(offset)
    }
}

/// Counts what was read for one question; whoever asks for more than a file holds goes in circles.
#[derive(Debug)]
pub(super) struct Steps(u64);

impl Steps {
    /// Counts one page of a chain, or an item of so many octets.
    pub(super) fn take(&mut self, octets: usize) -> Result<(), Fault> {
        self.0 = self
            .0
            .checked_sub(octets as u64)
            .ok_or(Fault::Damaged("pages form a loop"))?;
        Ok(())
    }
}

/// Numbers of a hash file.
#[derive(Debug, Clone)]
pub(super) struct HashNumbers {
    pub(super) max_bucket: u32,
    pub(super) high_mask: u32,
    pub(super) low_mask: u32,
    pub(super) spares: [u32; SPARE_POINTS],
    pub(super) test_hash: u32,
}

/// What the two layouts say in their own part of the meta page.
#[derive(Debug, Clone)]
pub(super) enum LayoutNumbers {
    /// Numbers of a hash file.
    Hash(HashNumbers),
    /// Root page of a btree.
    Btree { root: u32 },
}

/// An opened file: its source and what its meta page says.
pub(super) struct Pages {
    source: Box<dyn Source>,
    order: Order,
    page_bytes: usize,
    page_count: u64,
    header: usize,
    /// Numbers of the layout.
    pub(super) numbers: LayoutNumbers,
    /// Flag bits of the layout.
    pub(super) flags: u32,
}

impl Pages {
    /// Reads the meta page and checks that the file can be understood.
    pub(super) fn open(source: Box<dyn Source>) -> Result<Pages, Fault> {
        let length = source.byte_count()?;
        if length < META_BYTES as u64 {
            return Err(Fault::NotBerkeley);
        }
        let mut meta = vec![0; META_BYTES];
        source.read_at(&mut meta, 0)?;
        let (order, layout) = recognize(&meta).ok_or(Fault::NotBerkeley)?;
        let number = |at| order.u32(&meta, at).ok_or(Fault::Damaged("meta page"));
        let version = number(16)?;
        let known = match layout {
            Layout::Hash => 7..=10,
            Layout::Btree => 8..=10,
        };
        if !known.contains(&version) {
            return Err(Fault::UnknownVersion(version));
        }
        if meta.get(24).is_none_or(|&algorithm| algorithm != 0) {
            return Err(Fault::Unsupported("encryption"));
        }
        let page_bytes = number(20)? as usize;
        if !page_bytes.is_power_of_two() || !(META_BYTES..=65_536).contains(&page_bytes) {
            return Err(Fault::Damaged("page size"));
        }
        let checksums = meta
            .get(26)
            .is_some_and(|&flags| flags & META_CHECKSUM != 0);
        let numbers = match layout {
            Layout::Hash => LayoutNumbers::Hash(HashNumbers {
                max_bucket: number(72)?,
                high_mask: number(76)?,
                low_mask: number(80)?,
                test_hash: number(92)?,
                spares: {
                    let mut spares = [0; SPARE_POINTS];
                    for (index, spare) in spares.iter_mut().enumerate() {
                        *spare = number(96 + 4 * index)?;
                    }
                    spares
                },
            }),
            Layout::Btree => LayoutNumbers::Btree { root: number(88)? },
        };
        Ok(Pages {
            source,
            order,
            page_bytes,
            page_count: length / page_bytes as u64,
            header: if checksums {
                CHECKSUM_HEADER_BYTES
            } else {
                HEADER_BYTES
            },
            numbers,
            flags: number(48)?,
        })
    }

    /// Reads page `number`.
    pub(super) fn page(&self, number: u32) -> Result<Page<'_>, Fault> {
        let offset = u64::from(number)
            .checked_mul(self.page_bytes as u64)
            .filter(|_| number != 0)
            .ok_or(Fault::Damaged("page number"))?;
        let bytes = match self.source.resident(offset, self.page_bytes) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; self.page_bytes];
                self.source.read_at(&mut bytes, offset)?;
                Cow::Owned(bytes)
            }
        };
        Ok(Page {
            bytes,
            order: self.order,
            header: self.header,
        })
    }

    /// Returns a counter that lets everything in the file be read [`MAX_READINGS`] times.
    pub(super) fn steps(&self) -> Steps {
        let file = self.page_count.saturating_mul(self.page_bytes as u64);
        Steps(file.saturating_mul(MAX_READINGS))
    }

    /// Returns how many pages the file has.
    pub(super) fn page_count(&self) -> u64 {
        self.page_count
    }
}

fn recognize(meta: &[u8]) -> Option<(Order, Layout)> {
    for order in [Order::Little, Order::Big] {
        match order.u32(meta, 12)? {
            HASH_MAGIC => return Some((order, Layout::Hash)),
            BTREE_MAGIC => return Some((order, Layout::Btree)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_short_files_are_not_berkeley() {
        for bytes in [Vec::new(), b"postmaster: root\n".to_vec(), vec![0; 4096]] {
            assert!(matches!(
                Pages::open(Box::new(bytes)),
                Err(Fault::NotBerkeley)
            ));
        }
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let mut bytes = vec![0; 4096];
        bytes[12..16].copy_from_slice(&HASH_MAGIC.to_le_bytes());
        bytes[16] = 42;
        assert!(matches!(
            Pages::open(Box::new(bytes)),
            Err(Fault::UnknownVersion(42))
        ));
    }
}
