//! Items too long for a page, and trees of duplicates outside of their page.

use std::cmp::Ordering;

use super::page::{Fault, Page, PageKind, Pages, Steps};

/// Type of an item on a btree or duplicate leaf: octets in place.
const ITEM_DATA: u8 = 1;
/// Type of an item on a btree leaf: root of a tree of duplicates.
const ITEM_DUPLICATES: u8 = 2;
/// Type of an item on a btree leaf: first overflow page and length.
const ITEM_OVERFLOW: u8 = 3;
/// Bit of the item type: deleted, waiting to be reused.
const ITEM_DELETED: u8 = 0x80;
/// Deepest tree of duplicates; level numbers are one octet.
const MAX_DEPTH: usize = 255;

/// An item of a btree or duplicate leaf.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeafItem<'a> {
    /// The octets themselves.
    Data(&'a [u8]),
    /// A chain of overflow pages with so many octets.
    Overflow { first: u32, bytes: u32 },
    /// A tree of duplicates.
    Duplicates { root: u32 },
    /// Deleted.
    Deleted,
}

/// Reads item `index` of a leaf as a value: it may have been deleted.
pub(super) fn leaf_value<'p>(page: &'p Page<'_>, index: usize) -> Result<LeafItem<'p>, Fault> {
    let start = page.offset(index)?;
    if page
        .bytes
        .get(start + 2)
        .is_some_and(|kind| kind & ITEM_DELETED != 0)
    {
        return Ok(LeafItem::Deleted);
    }
    item_at(page, start)
}

/// Reads the item that starts at `start`, deleted or not: a deleted pair may share its key
/// with one that lives on.
pub(super) fn item_at<'p>(page: &'p Page<'_>, start: usize) -> Result<LeafItem<'p>, Fault> {
    let bytes = &page.bytes;
    let number = |at: usize| page.order.u32(bytes, at).ok_or(Fault::Damaged("leaf item"));
    let kind = *bytes.get(start + 2).ok_or(Fault::Damaged("leaf item"))?;
    match kind & !ITEM_DELETED {
        ITEM_DATA => {
            let length = page
                .order
                .u16(bytes, start)
                .ok_or(Fault::Damaged("leaf item"))?;
            let from = start + 3;
            let data = bytes.get(from..from + usize::from(length));
            data.map(LeafItem::Data).ok_or(Fault::Damaged("leaf item"))
        }
        ITEM_OVERFLOW => Ok(LeafItem::Overflow {
            first: number(start + 4)?,
            bytes: number(start + 8)?,
        }),
        ITEM_DUPLICATES => Ok(LeafItem::Duplicates {
            root: number(start + 4)?,
        }),
        _ => Err(Fault::Damaged("leaf item type")),
    }
}

/// Collects the first `wanted` octets of an item kept on overflow pages.
pub(super) fn read_chain(
    pages: &Pages,
    first: u32,
    wanted: usize,
    steps: &mut Steps,
) -> Result<Vec<u8>, Fault> {
    let mut collected = Vec::new();
    let mut next = Some(first);
    while collected.len() < wanted {
        let page = pages.page(next.ok_or(Fault::Damaged("overflow chain"))?)?;
        steps.take(page.bytes.len())?;
        if page.kind() != PageKind::Overflow {
            return Err(Fault::Damaged("overflow page"));
        }
        // A page without octets would let a chain go on for nothing.
        let part = page.content().get(..page.overflow_bytes());
        let part = part.filter(|part| !part.is_empty());
        collected.extend_from_slice(part.ok_or(Fault::Damaged("overflow page"))?);
        next = page.next();
    }
    collected.truncate(wanted);
    Ok(collected)
}

/// Compares an item kept on overflow pages with `key`, reading no more than that takes.
pub(super) fn compare_chain(
    pages: &Pages,
    first: u32,
    bytes: u32,
    key: &[u8],
) -> Result<Ordering, Fault> {
    let wanted = (bytes as usize).min(key.len() + 1);
    Ok(read_chain(pages, first, wanted, &mut pages.steps())?
        .as_slice()
        .cmp(key))
}

/// Hands every value of a tree of duplicates to `visit` until it returns false.
pub(super) fn each_duplicate(
    pages: &Pages,
    root: u32,
    steps: &mut Steps,
    visit: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<bool, Fault> {
    let mut page = pages.page(root)?;
    for _ in 0..MAX_DEPTH {
        let child = match page.kind() {
            PageKind::Internal => page.offset(0)? + 4,
            PageKind::RecordInternal => page.offset(0)?,
            _ => break,
        };
        let number = page.order.u32(&page.bytes, child);
        page = pages.page(number.ok_or(Fault::Damaged("duplicates"))?)?;
    }
    loop {
        steps.take(page.bytes.len())?;
        if !matches!(page.kind(), PageKind::DuplicateLeaf | PageKind::RecordLeaf) {
            return Err(Fault::Damaged("duplicates"));
        }
        for index in 0..page.entries() {
            let value = match leaf_value(&page, index)? {
                LeafItem::Data(data) => {
                    steps.take(data.len())?;
                    data.to_vec()
                }
                LeafItem::Overflow { first, bytes } => {
                    read_chain(pages, first, bytes as usize, steps)?
                }
                LeafItem::Deleted => continue,
                LeafItem::Duplicates { .. } => return Err(Fault::Damaged("duplicates")),
            };
            if !visit(value) {
                return Ok(false);
            }
        }
        match page.next() {
            Some(next) => page = pages.page(next)?,
            None => return Ok(true),
        }
    }
}
