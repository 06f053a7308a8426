//! Directories: what a server says, where referrals lead, filters and the flags of maps.
//!
//! The first octet of an input says what the rest is.

#![no_main]

use std::io::{self, Cursor, Read, Write};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mta::ldap::client::{Account, Connection, Following, Next, Stream};
use mta::ldap::message::{Deref, Scope, Search};
use mta::ldap::{filter, message, url};
use mta::map::{MapClass, MapDefinition};

/// A server that says what it was told to, whatever it is asked.
struct Script(Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn set_limit(&self, _limit: Duration) -> io::Result<()> {
        Ok(())
    }
}

fn ask(said: &[u8]) {
    let limit = Duration::from_secs(1);
    let mut connection = Connection::over(Box::new(Script(Cursor::new(said.to_vec()))));
    let account = Account {
        version: 3,
        name: Vec::new(),
        password: Vec::new(),
    };
    let _ = connection.bind(&account, limit);
    let search = Search {
        base: b"o=x".to_vec(),
        scope: Scope::Subtree,
        deref: Deref::Never,
        size_limit: 0,
        time_limit: 0,
        names_only: false,
        filter: b"\x87\x03uid".to_vec(),
        attributes: Vec::new(),
    };
    let mut take = |_| Next::More;
    let _ = connection.search(&search, limit, &mut take);
    // So many hops were made that no other server is asked.
    let trail = vec![(None, Vec::new()); mta::ldap::client::MAX_HOPS];
    let following = Following {
        version: 3,
        connect: limit,
        answer: limit,
        trail: &trail,
    };
    let _ = connection.search_following(&search, &following, &mut take);
}

fuzz_target!(|input: &[u8]| {
    let Some((&kind, bytes)) = input.split_first() else {
        return;
    };
    match kind {
        b'f' => {
            if let Ok(element) = filter::encode(bytes) {
                assert!(!element.is_empty());
            }
            let quoted = [b"(a=", &*filter::escape(bytes), b")"].concat();
            assert!(filter::encode(&quoted).is_ok());
        }
        b'u' => {
            let _ = url::parse(bytes);
        }
        b'k' => {
            let mut errors = Vec::new();
            MapDefinition::of_class(b"m", MapClass::Ldap, bytes, &|_| true, &mut errors);
            mta::map::ldap_arguments::default_flags(bytes, &mut errors);
        }
        b'm' => {
            let _ = message::read(bytes);
        }
        _ => ask(bytes),
    }
});
