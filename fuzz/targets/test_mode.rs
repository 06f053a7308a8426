//! Lines of address test mode (`-bt`) on a fixed configuration.

#![no_main]

use std::io;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mta::config::Config;
use mta::logging::debug::{DebugFlags, DebugLog};
use mta::test_mode::{Surroundings, TestMode};
use sendmail_fuzz::{CONFIGURATION, configured, maps, resolver};

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| configured(CONFIGURATION).expect("a readable configuration"));

fuzz_target!(|lines: &[u8]| {
    let config = CONFIG.clone();
    let maps = maps(&config);
    let resolver = resolver();
    let surroundings = Surroundings {
        maps: &maps,
        caller: b"root@localhost".to_vec(),
        resolver: &resolver,
        debug: Arc::new(DebugLog::new(DebugFlags::default(), None)),
        moments: mta::sys::moment::Moments::counted(),
    };
    let mut session = TestMode::new(config, surroundings, Box::new(io::sink()));
    session
        .run(&mut &*lines)
        .expect("nothing here can fail to be read or written");
});
