//! Constant databases: asked, and read from end to end.

#![no_main]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mta::map::cdb;

/// Most keys of a file that are looked up again.
const MAX_ASKED: usize = 16;

/// A file without a name; every input takes the place of the last one.
static FILE: LazyLock<File> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let path = folder.join(format!("fuzzed-{}.cdb", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path).expect("a fresh file");
    std::fs::remove_file(&path).expect("our own file");
    file
});

fuzz_target!(|bytes: &[u8]| {
    FILE.set_len(0).expect("our own file");
    FILE.write_all_at(bytes, 0).expect("our own file");
    for key in [b"".as_slice(), b"key7", b"key7\0"] {
        let _ = cdb::find(&FILE, key);
    }
    if let Ok(pairs) = cdb::pairs(&FILE) {
        for (key, _) in pairs.iter().take(MAX_ASKED) {
            let _ = cdb::find(&FILE, key);
        }
    }
});
