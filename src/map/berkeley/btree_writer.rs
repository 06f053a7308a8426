//! Lays a table out as a btree file: leaves from left to right, then the levels above.

use std::collections::BTreeMap;

use super::page::{BTREE_MAGIC, HEADER_BYTES};
use super::writer::{
    MetaNumbers, NewPages, PAGE_BYTES, REFERENCE_BYTES, WriteFault, last_offset, push_item,
    push_offset, put_u16, put_u32,
};

const BTREE_META: u8 = 9;
const LEAF: u8 = 5;
const INTERNAL: u8 = 3;
const ITEM_DATA: u8 = 1;
const ITEM_OVERFLOW: u8 = 3;
/// Page of the root, always the first one behind the meta page.
const ROOT: u32 = 1;
/// Fewest pairs a page must be able to hold, as the meta page says.
const FEWEST_PAIRS: u32 = 2;
/// Octet the library writes for padding records of fixed length.
const PADDING: u32 = 0x20;
/// Longer items go to overflow pages: two pairs must fit on any page.
const LONGEST_ITEM: usize = (PAGE_BYTES - HEADER_BYTES) / 4 - 10;
/// Octets for items and offsets on one page.
const ROOM: usize = PAGE_BYTES - HEADER_BYTES;

/// All values of one key, ready to be put on a leaf.
struct Group {
    key: Vec<u8>,
    values: Vec<Vec<u8>>,
    bytes: usize,
}

/// A page of the level below, as the level above sees it.
struct Child {
    number: u32,
    /// A text greater than all keys to the left and not greater than the first key of the page.
    separator: Vec<u8>,
}

pub(super) fn lay_out(
    pairs: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    duplicates: bool,
    unique: [u8; 20],
) -> Result<NewPages, WriteFault> {
    let mut pages = NewPages::new();
    // Page 1 is the root whatever it will be: reserve it, and give it its type at the end.
    pages.allocate(LEAF, 1)?;
    let mut children = leaves(&mut pages, pairs)?;
    let mut level = 1;
    while children.len() > 1 {
        level += 1;
        children = level_above(&mut pages, children, level)?;
    }
    let numbers = MetaNumbers {
        magic: BTREE_MAGIC,
        page_type: BTREE_META,
        duplicates,
        unique,
    };
    let meta = pages.finish_meta(&numbers);
    put_u32(meta, 76, FEWEST_PAIRS);
    put_u32(meta, 84, PADDING);
    put_u32(meta, 88, ROOT);
    Ok(pages)
}

/// Fills the leaves; a single one is the root itself.
fn leaves(
    pages: &mut NewPages,
    pairs: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
) -> Result<Vec<Child>, WriteFault> {
    let total: usize = pairs
        .iter()
        .map(|(key, values)| group_bytes(key, values))
        .sum();
    let mut current = if total <= ROOM {
        ROOT
    } else {
        pages.allocate(LEAF, 1)?
    };
    let mut children = vec![Child {
        number: current,
        separator: Vec::new(),
    }];
    let mut used = 0;
    let mut before: &[u8] = &[];
    for (key, values) in pairs {
        let group = group(pages, key, values)?;
        if used + group.bytes > ROOM {
            let next = pages.allocate(LEAF, 1)?;
            pages.link(current, next);
            children.push(Child {
                number: next,
                separator: separator(before, key).to_vec(),
            });
            current = next;
            used = 0;
        }
        put_group(pages.page(current), &group);
        used += group.bytes;
        before = key;
    }
    Ok(children)
}

/// Returns the shortest start of `key` that is still greater than `before`.
fn separator<'a>(before: &[u8], key: &'a [u8]) -> &'a [u8] {
    let shared = before
        .iter()
        .zip(key)
        .take_while(|(left, right)| left == right)
        .count();
    key.get(..=shared).unwrap_or(key)
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(4)
}

fn item_bytes(data: usize) -> usize {
    if data > LONGEST_ITEM {
        REFERENCE_BYTES
    } else {
        aligned(data + 3)
    }
}

fn group_bytes(key: &[u8], values: &[Vec<u8>]) -> usize {
    let values: usize = values.iter().map(|value| item_bytes(value.len()) + 4).sum();
    item_bytes(key.len()) + values
}

fn group(pages: &mut NewPages, key: &[u8], values: &[Vec<u8>]) -> Result<Group, WriteFault> {
    let bytes = group_bytes(key, values);
    if bytes > ROOM {
        return Err(WriteFault::TooManyDuplicates);
    }
    let key = leaf_item(pages, key)?;
    let values = values
        .iter()
        .map(|value| leaf_item(pages, value))
        .collect::<Result<_, _>>()?;
    Ok(Group { key, values, bytes })
}

fn leaf_item(pages: &mut NewPages, data: &[u8]) -> Result<Vec<u8>, WriteFault> {
    if data.len() > LONGEST_ITEM {
        return reference(pages, data);
    }
    let mut item = vec![0; 3 + data.len()];
    put_u16(&mut item, 0, data.len() as u16);
    item[2] = ITEM_DATA;
    item[3..].copy_from_slice(data);
    Ok(item)
}

fn reference(pages: &mut NewPages, data: &[u8]) -> Result<Vec<u8>, WriteFault> {
    let mut item = vec![0; REFERENCE_BYTES];
    item[2] = ITEM_OVERFLOW;
    put_u32(&mut item, 4, pages.overflow(data)?);
    put_u32(
        &mut item,
        8,
        u32::try_from(data.len()).map_err(|_| WriteFault::TooLarge)?,
    );
    Ok(item)
}

/// The key is stored once; every further value repeats its offset.
fn put_group(page: &mut [u8], group: &Group) {
    let mut key_offset = None;
    for value in &group.values {
        match key_offset {
            None => {
                push_item(page, &group.key, aligned(group.key.len()));
                key_offset = Some(last_offset(page));
            }
            Some(offset) => push_offset(page, offset),
        }
        push_item(page, value, aligned(value.len()));
    }
}

/// Makes the inner pages over `children`; the last single one becomes the root.
fn level_above(
    pages: &mut NewPages,
    children: Vec<Child>,
    level: u8,
) -> Result<Vec<Child>, WriteFault> {
    let mut total = 0;
    for (index, child) in children.iter().enumerate() {
        total += internal_bytes(index, &child.separator);
    }
    let root = total <= ROOM;
    let mut above: Vec<Child> = Vec::new();
    let mut used = ROOM;
    for child in children {
        let mut bytes = internal_bytes(above.len(), &child.separator);
        if used + bytes > ROOM || above.is_empty() {
            let number = if root {
                ROOT
            } else {
                pages.allocate(INTERNAL, level)?
            };
            if root {
                become_internal(pages.page(ROOT), level);
            }
            above.push(Child {
                number,
                separator: child.separator.clone(),
            });
            used = 0;
            bytes = internal_bytes(above.len() - 1, &child.separator);
        }
        // The first key of a page counts as the smallest of all and stays empty on the leftmost.
        let item = internal_item(pages, &child, above.len() == 1 && used == 0)?;
        let number = above.last().map_or(ROOT, |page| page.number);
        push_item(pages.page(number), &item, aligned(item.len()));
        used += bytes;
    }
    Ok(above)
}

fn internal_bytes(index: usize, separator: &[u8]) -> usize {
    let data = if index == 0 && separator.is_empty() {
        0
    } else if separator.len() > LONGEST_ITEM {
        REFERENCE_BYTES
    } else {
        separator.len()
    };
    aligned(12 + data) + 2
}

fn internal_item(
    pages: &mut NewPages,
    child: &Child,
    leftmost: bool,
) -> Result<Vec<u8>, WriteFault> {
    let key: &[u8] = if leftmost { &[] } else { &child.separator };
    let (kind, data) = if key.len() > LONGEST_ITEM {
        (ITEM_OVERFLOW, reference(pages, key)?)
    } else {
        (ITEM_DATA, key.to_vec())
    };
    let mut item = vec![0; 12];
    put_u16(&mut item, 0, data.len() as u16);
    item[2] = kind;
    put_u32(&mut item, 4, child.number);
    item.extend_from_slice(&data);
    Ok(item)
}

fn become_internal(page: &mut [u8], level: u8) {
    page[24] = level;
    page[25] = INTERNAL;
}
