//! What several targets have in common.

use std::sync::Arc;

use mta::config::{Config, FixedSource, Overrides};
use mta::dns::FixedResolver;
use mta::map::{MapServices, MapSet};
use mta::sys::identity::FixedUsers;
use mta::sys::privilege::Unprivileged;

/// A configuration with a bit of everything; its maps need no file, no program, no network.
pub const CONFIGURATION: &[u8] = include_bytes!("../fixed.cf");

/// Hosts that exist.
pub fn resolver() -> FixedResolver {
    FixedResolver::new()
        .with_mx("far.test", 20, "two.far.test")
        .with_mx("far.test", 10, "one.far.test")
        .with_host("one.far.test", [192, 0, 2, 1].into())
        .with_host("mail.example.test", [192, 0, 2, 10].into())
        .with_failure("slow.test")
}

/// Reads a configuration that names nothing outside of itself.
pub fn configured(text: &[u8]) -> Option<Config> {
    let mut source = FixedSource::with_file("/fuzzed.cf", text);
    Config::load(&Overrides::only_file("/fuzzed.cf"), &mut source).ok()
}

/// Makes the maps of a configuration, which may open no file and start no program.
pub fn maps(config: &Config) -> MapSet {
    MapSet::new(
        &config.maps,
        MapServices::bare(
            Arc::new(resolver()),
            Arc::new(FixedUsers::new().user("ann", 1001)),
            Arc::new(Unprivileged),
        ),
    )
}
