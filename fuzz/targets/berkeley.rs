//! Berkeley files of both layouts: opened, asked, and read from end to end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mta::map::berkeley::Database;

/// Most keys of a file that are looked up again.
const MAX_ASKED: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = Database::from_bytes(bytes.to_vec()) else {
        return;
    };
    for key in [b"".as_slice(), b"key7", b"key7\0", b"@", &[b'x'; 700]] {
        let _ = database.lookup(key);
    }
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut octets = 0;
    let _ = database.scan(&mut |key, value| {
        octets += key.len() + value.len();
        if keys.len() < MAX_ASKED {
            keys.push(key.to_vec());
        }
        true
    });
    for key in keys {
        let _ = database.lookup(&key);
    }
});
