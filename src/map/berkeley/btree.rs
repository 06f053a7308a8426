//! Btree files: pairs in the order of their keys.

use std::cmp::Ordering;

use super::overflow::{LeafItem, compare_chain, each_duplicate, item_at, leaf_value, read_chain};
use super::page::{Fault, Page, PageKind, Pages, Steps};

/// Flag of the meta page: records by number, with or without keys.
const FLAG_RECORD_NUMBERS: u32 = 0x02;
/// Flag of the meta page: leaves are compressed.
const FLAG_COMPRESSED: u32 = 0x80;
/// Octets in front of the key of an inner item: length, type, page, record count.
const INTERNAL_PREFIX: usize = 12;
/// Highest tree there can be; level numbers are one octet.
const MAX_DEPTH: usize = 255;

/// Checks that the file uses nothing that is not known here.
pub(super) fn check(flags: u32) -> Result<(), Fault> {
    if flags & FLAG_COMPRESSED != 0 {
        return Err(Fault::Unsupported("compression"));
    }
    if flags & FLAG_RECORD_NUMBERS != 0 {
        return Err(Fault::Unsupported("record numbers"));
    }
    Ok(())
}

/// Returns the first value of `key`.
pub(super) fn lookup(pages: &Pages, root: u32, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut found = None;
    each_value_of(pages, root, key, &mut |value| {
        found = Some(value);
        false
    })?;
    Ok(found)
}

/// Returns all values of `key`.
pub(super) fn values(pages: &Pages, root: u32, key: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut values = Vec::new();
    each_value_of(pages, root, key, &mut |value| {
        values.push(value);
        true
    })?;
    Ok(values)
}

/// Hands the values of `key` to `visit` until it returns false; they are all on one leaf, or
/// in a tree of their own.
fn each_value_of(
    pages: &Pages,
    root: u32,
    key: &[u8],
    visit: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Fault> {
    let page = descend(pages, root, Some(key))?;
    let pairs = page.entries() / 2;
    // Duplicates share their key, so the first pair not less than the key is wanted.
    let (mut low, mut high) = (0, pairs);
    while low < high {
        let middle = low + (high - low) / 2;
        match compare_leaf_key(pages, &page, middle * 2, key)? {
            Ordering::Less => low = middle + 1,
            Ordering::Equal | Ordering::Greater => high = middle,
        }
    }
    let mut steps = pages.steps();
    while low < pairs && compare_leaf_key(pages, &page, low * 2, key)? == Ordering::Equal {
        if !each_value(pages, &page, low * 2 + 1, &mut steps, visit)? {
            break;
        }
        low += 1;
    }
    Ok(())
}

/// Hands every pair to `visit`, in order, until it returns false.
pub(super) fn scan(
    pages: &Pages,
    root: u32,
    visit: &mut dyn FnMut(&[u8], Vec<u8>) -> bool,
) -> Result<(), Fault> {
    let mut page = descend(pages, root, None)?;
    let mut steps = pages.steps();
    loop {
        steps.take(page.bytes.len())?;
        if page.kind() != PageKind::Leaf {
            return Err(Fault::Damaged("btree leaf"));
        }
        let mut key = Vec::new();
        let mut key_offset = None;
        for pair in 0..page.entries() / 2 {
            // Duplicates share their key; it is read once.
            let offset = page.offset(pair * 2)?;
            if key_offset.replace(offset) != Some(offset) {
                key = leaf_key(pages, &page, offset, &mut steps)?;
            }
            let mut to_visitor = |value| visit(&key, value);
            if !each_value(pages, &page, pair * 2 + 1, &mut steps, &mut to_visitor)? {
                return Ok(());
            }
        }
        match page.next() {
            Some(next) => page = pages.page(next)?,
            None => return Ok(()),
        }
    }
}

/// Walks down to the leaf that may hold `key`, or to the first leaf.
fn descend<'p>(pages: &'p Pages, root: u32, key: Option<&[u8]>) -> Result<Page<'p>, Fault> {
    let mut page = pages.page(root)?;
    for _ in 0..MAX_DEPTH {
        match page.kind() {
            PageKind::Leaf => return Ok(page),
            PageKind::Internal => {}
            _ => return Err(Fault::Damaged("btree page")),
        }
        let index = match key {
            Some(key) => child_for(pages, &page, key)?,
            None => 0,
        };
        let start = page.offset(index)?;
        let child = page.order.u32(&page.bytes, start + 4);
        let below = pages.page(child.ok_or(Fault::Damaged("btree item"))?)?;
        if below.level() >= page.level() {
            return Err(Fault::Damaged("btree level"));
        }
        page = below;
    }
    Err(Fault::Damaged("btree too high"))
}

/// Returns the last inner item whose key is not greater; the first one counts as the smallest.
fn child_for(pages: &Pages, page: &Page, key: &[u8]) -> Result<usize, Fault> {
    let (mut low, mut high) = (1, page.entries());
    while low < high {
        let middle = low + (high - low) / 2;
        match compare_internal_key(pages, page, middle, key)? {
            Ordering::Greater => high = middle,
            Ordering::Less | Ordering::Equal => low = middle + 1,
        }
    }
    Ok(low - 1)
}

fn compare_internal_key(
    pages: &Pages,
    page: &Page,
    index: usize,
    key: &[u8],
) -> Result<Ordering, Fault> {
    let start = page.offset(index)?;
    let kind = page.bytes.get(start + 2).copied().unwrap_or(0) & 0x7f;
    let data = start + INTERNAL_PREFIX;
    if kind == 3 {
        return match item_at(page, data)? {
            LeafItem::Overflow { first, bytes } => compare_chain(pages, first, bytes, key),
            _ => Err(Fault::Damaged("btree item")),
        };
    }
    let length = page.order.u16(&page.bytes, start).map(usize::from);
    let octets = length.and_then(|length| page.bytes.get(data..data + length));
    Ok(octets.ok_or(Fault::Damaged("btree item"))?.cmp(key))
}

fn compare_leaf_key(
    pages: &Pages,
    page: &Page,
    index: usize,
    key: &[u8],
) -> Result<Ordering, Fault> {
    match item_at(page, page.offset(index)?)? {
        LeafItem::Data(data) => Ok(data.cmp(key)),
        LeafItem::Overflow { first, bytes } => compare_chain(pages, first, bytes, key),
        LeafItem::Duplicates { .. } | LeafItem::Deleted => Err(Fault::Damaged("btree key")),
    }
}

fn leaf_key(
    pages: &Pages,
    page: &Page,
    offset: usize,
    steps: &mut Steps,
) -> Result<Vec<u8>, Fault> {
    match item_at(page, offset)? {
        LeafItem::Data(data) => {
            steps.take(data.len())?;
            Ok(data.to_vec())
        }
        LeafItem::Overflow { first, bytes } => read_chain(pages, first, bytes as usize, steps),
        LeafItem::Duplicates { .. } | LeafItem::Deleted => Err(Fault::Damaged("btree key")),
    }
}

fn each_value(
    pages: &Pages,
    page: &Page,
    index: usize,
    steps: &mut Steps,
    visit: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<bool, Fault> {
    match leaf_value(page, index)? {
        LeafItem::Data(data) => {
            steps.take(data.len())?;
            Ok(visit(data.to_vec()))
        }
        LeafItem::Overflow { first, bytes } => {
            Ok(visit(read_chain(pages, first, bytes as usize, steps)?))
        }
        LeafItem::Duplicates { root } => each_duplicate(pages, root, steps, visit),
        LeafItem::Deleted => Ok(true),
    }
}
