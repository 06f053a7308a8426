//! Lays a table out as a hash file.
//!
//! All buckets are made at once, as many as fill their pages about half, so that
//! nearly every lookup reads one page. The pairs of a page are sorted, in an order
//! of the library's own that [`page_order`] describes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::hash::{TEST_KEY, hash_of};
use super::page::{HASH_MAGIC, HEADER_BYTES};
use super::writer::{
    MetaNumbers, NewPages, PAGE_BYTES, REFERENCE_BYTES, WriteFault, first_spares, push_item,
    put_u32,
};

const HASH_META: u8 = 8;
const HASH_PAGE: u8 = 13;
const ITEM_DATA: u8 = 1;
const ITEM_DUPLICATES: u8 = 2;
const ITEM_OVERFLOW: u8 = 3;
/// Longer items go to overflow pages.
const LONGEST_ITEM: usize = PAGE_BYTES / 4;
/// How many octets of pairs a bucket should get; with the rounding up of the
/// number of buckets a page is then between a third and two thirds full.
const BUCKET_BYTES: usize = PAGE_BYTES * 2 / 3;

pub(super) fn lay_out(
    pairs: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    duplicates: bool,
    unique: [u8; 20],
) -> Result<NewPages, WriteFault> {
    let total: usize = pairs
        .iter()
        .map(|(key, values)| pair_bytes(key, values))
        .sum();
    let buckets = (total / BUCKET_BYTES + 1).next_power_of_two().max(2);
    let mut pages = NewPages::new();
    let mut last_pages = Vec::with_capacity(buckets);
    for _ in 0..buckets {
        last_pages.push(pages.allocate(HASH_PAGE, 0)?);
    }
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|(left, _), (right, _)| page_order(left, right));
    for (key, values) in sorted {
        let bucket = hash_of(key) as usize & (buckets - 1);
        let key = key_item(&mut pages, key)?;
        let value = value_item(&mut pages, values)?;
        let last = last_pages[bucket];
        let target = if free_bytes(pages.page(last)) < key.len() + value.len() + 4 {
            let next = pages.allocate(HASH_PAGE, 0)?;
            pages.link(last, next);
            last_pages[bucket] = next;
            next
        } else {
            last
        };
        let page = pages.page(target);
        push_item(page, &key, key.len());
        push_item(page, &value, value.len());
    }
    let numbers = MetaNumbers {
        magic: HASH_MAGIC,
        page_type: HASH_META,
        duplicates,
        unique,
    };
    let meta = pages.finish_meta(&numbers);
    let mask = u32::try_from(buckets - 1).map_err(|_| WriteFault::TooLarge)?;
    put_u32(meta, 72, mask);
    put_u32(meta, 76, mask);
    put_u32(meta, 80, mask >> 1);
    put_u32(
        meta,
        88,
        u32::try_from(pairs.len()).unwrap_or(u32::MAX >> 1),
    );
    put_u32(meta, 92, hash_of(TEST_KEY));
    for (index, spare) in first_spares(buckets.ilog2() as usize)
        .into_iter()
        .enumerate()
    {
        put_u32(meta, 96 + 4 * index, spare);
    }
    Ok(pages)
}

/// Order of keys on a page, which the library searches by halves.
///
/// Of two keys that lie on the page and begin alike the longer one comes first; keys
/// on overflow pages are compared as usual among themselves, and come before a key
/// on the page that they begin with.
/// Observed: library 5.3, pages made by its load tool.
fn page_order(left: &[u8], right: &[u8]) -> Ordering {
    let shared = left.len().min(right.len());
    let both_long = shared > LONGEST_ITEM;
    left[..shared].cmp(&right[..shared]).then_with(|| {
        let by_length = left.len().cmp(&right.len());
        if both_long {
            by_length
        } else {
            by_length.reverse()
        }
    })
}

fn pair_bytes(key: &[u8], values: &[Vec<u8>]) -> usize {
    let on_page = |bytes: usize| {
        if bytes > LONGEST_ITEM {
            REFERENCE_BYTES
        } else {
            bytes + 1
        }
    };
    let values = match values {
        [only] => on_page(only.len()),
        several => several.iter().map(|value| value.len() + 4).sum::<usize>() + 1,
    };
    on_page(key.len()) + values + 4
}

fn free_bytes(page: &[u8]) -> usize {
    let entries = usize::from(u16::from_le_bytes([page[20], page[21]]));
    let lowest = usize::from(u16::from_le_bytes([page[22], page[23]]));
    lowest - HEADER_BYTES - 2 * entries
}

fn key_item(pages: &mut NewPages, data: &[u8]) -> Result<Vec<u8>, WriteFault> {
    let mut item = Vec::with_capacity(data.len() + 1);
    if data.len() <= LONGEST_ITEM {
        item.push(ITEM_DATA);
        item.extend_from_slice(data);
    } else {
        let first = pages.overflow(data)?;
        let length = u32::try_from(data.len()).map_err(|_| WriteFault::TooLarge)?;
        item.extend_from_slice(&[ITEM_OVERFLOW, 0, 0, 0]);
        item.extend_from_slice(&first.to_le_bytes());
        item.extend_from_slice(&length.to_le_bytes());
    }
    Ok(item)
}

fn value_item(pages: &mut NewPages, values: &[Vec<u8>]) -> Result<Vec<u8>, WriteFault> {
    if let [only] = values {
        return key_item(pages, only);
    }
    let mut item = vec![ITEM_DUPLICATES];
    for value in values {
        let length = u16::try_from(value.len()).map_err(|_| WriteFault::TooManyDuplicates)?;
        item.extend_from_slice(&length.to_le_bytes());
        item.extend_from_slice(value);
        item.extend_from_slice(&length.to_le_bytes());
    }
    // The key of the same pair may need a quarter of the page too.
    if item.len() > PAGE_BYTES / 2 {
        return Err(WriteFault::TooManyDuplicates);
    }
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_two_keys_on_a_page_comes_first() {
        assert_eq!(page_order(b"key1", b"key12"), Ordering::Greater);
        assert_eq!(page_order(b"key2", b"key12"), Ordering::Greater);
        assert_eq!(page_order(&[b'x'; 2000], &[b'x'; 3000]), Ordering::Less);
        assert_eq!(page_order(&[b'x'; 2000], &[b'x'; 1000]), Ordering::Less);
    }
}
