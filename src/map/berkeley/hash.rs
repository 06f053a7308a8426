//! Hash files: buckets of pairs by linear hashing.
//!
//! The bucket of a key follows from its hash and two masks; the pages of buckets
//! were allocated in doubling runs whose starts are the spare points of the meta
//! page. Pages written by version 9 and later are sorted; they are searched from
//! the front all the same, so both kinds are read alike.

use std::cmp::Ordering;

use super::overflow::{compare_chain, each_duplicate, read_chain};
use super::page::{Fault, HashNumbers, Page, PageKind, Pages, SPARE_POINTS, Steps};

/// The text whose hash the meta page keeps, with its closing NUL.
pub(super) const TEST_KEY: &[u8] = b"%$sniglet^&\0";

const ITEM_DATA: u8 = 1;
const ITEM_DUPLICATES: u8 = 2;
const ITEM_OVERFLOW: u8 = 3;
const ITEM_DUPLICATE_TREE: u8 = 4;

/// Returns the hash of a key: multiply by the prime, then mix the octet in.
pub(super) fn hash_of(key: &[u8]) -> u32 {
    key.iter().fold(0, |hash: u32, &octet| {
        hash.wrapping_mul(16_777_619) ^ u32::from(octet)
    })
}

/// An item of a hash page.
enum Item<'a> {
    Data(&'a [u8]),
    Overflow { first: u32, bytes: u32 },
    Duplicates(&'a [u8]),
    DuplicateTree { root: u32 },
}

/// Checks that the file was made with the hash function known here.
pub(super) fn check(numbers: &HashNumbers) -> Result<(), Fault> {
    if numbers.test_hash == hash_of(TEST_KEY) {
        Ok(())
    } else {
        Err(Fault::Unsupported("hash function"))
    }
}

/// Returns the first value of `key`.
pub(super) fn lookup(
    pages: &Pages,
    numbers: &HashNumbers,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    let mut found = None;
    let bucket = bucket_of(numbers, key);
    let mut steps = pages.steps();
    each_page(pages, numbers, bucket, &mut steps, &mut |page, steps| {
        let Some(index) = find_key(pages, page, key)? else {
            return Ok(true);
        };
        each_value(pages, page, index + 1, steps, &mut |value| {
            found = Some(value);
            false
        })?;
        Ok(false)
    })?;
    Ok(found)
}

/// Finds the item of a page that is `key`.
fn find_key(pages: &Pages, page: &Page, key: &[u8]) -> Result<Option<usize>, Fault> {
    let mut end = page.bytes.len();
    for (index, (start, value)) in (0..).step_by(2).zip(page.offset_pairs()) {
        let is_found = match page.bytes.get(start..end).and_then(<[u8]>::split_first) {
            Some((&ITEM_DATA, data)) => data == key,
            _ => holds_key(pages, page, index, key)?,
        };
        if is_found {
            return Ok(Some(index));
        }
        end = value;
    }
    Ok(None)
}

/// Hands every pair to `visit` until it returns false.
pub(super) fn scan(
    pages: &Pages,
    numbers: &HashNumbers,
    visit: &mut dyn FnMut(&[u8], Vec<u8>) -> bool,
) -> Result<(), Fault> {
    if u64::from(numbers.max_bucket) >= pages.page_count() {
        return Err(Fault::Damaged("number of buckets"));
    }
    let mut goes_on = true;
    let mut steps = pages.steps();
    for bucket in 0..=numbers.max_bucket {
        each_page(pages, numbers, bucket, &mut steps, &mut |page, steps| {
            for index in (0..page.entries() & !1).step_by(2) {
                let key = key_at(pages, page, index, steps)?;
                goes_on = each_value(pages, page, index + 1, steps, &mut |value| {
                    visit(&key, value)
                })?;
                if !goes_on {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

fn bucket_of(numbers: &HashNumbers, key: &[u8]) -> u32 {
    let bucket = hash_of(key) & numbers.high_mask;
    if bucket > numbers.max_bucket {
        bucket & numbers.low_mask
    } else {
        bucket
    }
}

/// Returns the first page of a bucket.
fn page_of(numbers: &HashNumbers, bucket: u32) -> Option<u32> {
    // The run of bucket b is the logarithm of b + 1, rounded up.
    let run = (0..SPARE_POINTS).find(|&run| (1_u64 << run) > u64::from(bucket))?;
    numbers.spares.get(run)?.checked_add(bucket)
}

fn each_page(
    pages: &Pages,
    numbers: &HashNumbers,
    bucket: u32,
    steps: &mut Steps,
    visit: &mut dyn FnMut(&Page, &mut Steps) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut next = page_of(numbers, bucket);
    if next.is_none() {
        return Err(Fault::Damaged("bucket number"));
    }
    while let Some(number) = next {
        let page = pages.page(number)?;
        steps.take(page.bytes.len())?;
        match page.kind() {
            PageKind::Hash => {}
            PageKind::Unused => return Ok(()),
            _ => return Err(Fault::Damaged("hash page")),
        }
        if !visit(&page, steps)? {
            return Ok(());
        }
        next = page.next();
    }
    Ok(())
}

/// Items lie back to back from the end of the page, so the one before tells where this ends.
fn item<'p>(page: &'p Page<'_>, index: usize) -> Result<Item<'p>, Fault> {
    let start = page.offset(index)?;
    let end = match index.checked_sub(1) {
        Some(before) => page.offset(before)?,
        None => page.bytes.len(),
    };
    let bytes = page
        .bytes
        .get(start..end)
        .ok_or(Fault::Damaged("hash item"))?;
    let (&kind, data) = bytes.split_first().ok_or(Fault::Damaged("hash item"))?;
    let number = |at| page.order.u32(bytes, at).ok_or(Fault::Damaged("hash item"));
    match kind {
        ITEM_DATA => Ok(Item::Data(data)),
        ITEM_DUPLICATES => Ok(Item::Duplicates(data)),
        ITEM_OVERFLOW => Ok(Item::Overflow {
            first: number(4)?,
            bytes: number(8)?,
        }),
        ITEM_DUPLICATE_TREE => Ok(Item::DuplicateTree { root: number(4)? }),
        _ => Err(Fault::Damaged("hash item type")),
    }
}

fn holds_key(pages: &Pages, page: &Page, index: usize, key: &[u8]) -> Result<bool, Fault> {
    match item(page, index)? {
        Item::Data(data) => Ok(data == key),
        Item::Overflow { first, bytes } if bytes as usize == key.len() => {
            Ok(compare_chain(pages, first, bytes, key)? == Ordering::Equal)
        }
        Item::Overflow { .. } => Ok(false),
        Item::Duplicates(_) | Item::DuplicateTree { .. } => Err(Fault::Damaged("hash key")),
    }
}

fn key_at(pages: &Pages, page: &Page, index: usize, steps: &mut Steps) -> Result<Vec<u8>, Fault> {
    match item(page, index)? {
        Item::Data(data) => {
            steps.take(data.len())?;
            Ok(data.to_vec())
        }
        Item::Overflow { first, bytes } => read_chain(pages, first, bytes as usize, steps),
        Item::Duplicates(_) | Item::DuplicateTree { .. } => Err(Fault::Damaged("hash key")),
    }
}

fn each_value(
    pages: &Pages,
    page: &Page,
    index: usize,
    steps: &mut Steps,
    visit: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<bool, Fault> {
    match item(page, index)? {
        Item::Data(data) => {
            steps.take(data.len())?;
            Ok(visit(data.to_vec()))
        }
        Item::Overflow { first, bytes } => {
            Ok(visit(read_chain(pages, first, bytes as usize, steps)?))
        }
        Item::DuplicateTree { root } => each_duplicate(pages, root, steps, visit),
        Item::Duplicates(mut rest) => {
            steps.take(rest.len())?;
            // Each one is its length, its octets, and its length again.
            while !rest.is_empty() {
                let length = page
                    .order
                    .u16(rest, 0)
                    .ok_or(Fault::Damaged("duplicates"))?;
                let end = usize::from(length) + 2;
                let value = rest.get(2..end).ok_or(Fault::Damaged("duplicates"))?;
                if !visit(value.to_vec()) {
                    return Ok(false);
                }
                rest = rest.get(end + 2..).ok_or(Fault::Damaged("duplicates"))?;
            }
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_text_has_the_hash_the_library_stores() {
        assert_eq!(hash_of(TEST_KEY), 0x5e68_8dd1);
    }

    #[test]
    fn buckets_find_their_pages_through_the_spare_points() {
        let mut spares = [0; SPARE_POINTS];
        spares[..4].copy_from_slice(&[1, 1, 1, 5]);
        let numbers = HashNumbers {
            max_bucket: 7,
            high_mask: 7,
            low_mask: 3,
            spares,
            test_hash: 0,
        };
        let numbers_of = |bucket| page_of(&numbers, bucket);
        assert_eq!(numbers_of(0), Some(1));
        assert_eq!(numbers_of(1), Some(2));
        assert_eq!(numbers_of(3), Some(4));
        assert_eq!(numbers_of(4), Some(9));
        assert_eq!(numbers_of(u32::MAX), None);
    }
}
