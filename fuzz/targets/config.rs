//! Configuration files, in a world that holds nothing but the file itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mta::config::{Config, FixedSource, Overrides};
use mta::logging::debug::DebugFlags;

fuzz_target!(|text: &[u8]| {
    let mut overrides = Overrides::only_file("/fuzzed.cf");
    let mut source = FixedSource::with_file("/fuzzed.cf", text);
    let _ = Config::load(&overrides, &mut source);
    // Once more with all that can be traced.
    overrides.debug = DebugFlags::parse(b"0-99.127");
    overrides.tell_repeated_rulesets = true;
    let _ = Config::load(&overrides, &mut source);
});
