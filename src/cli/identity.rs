//! What the program says about itself with `-d0.1`.
//!
//! Source: guide 3.4; layout observed: 8.17.1.9.

use crate::config::{Config, VERSION};
use crate::macros::MacroId;

/// Parts of the program that not every sendmail has.
pub(super) const FEATURES: &[&str] = &[
    "DNSMAP",
    "IPV6_FULL",
    "LOG",
    "MAP_REGEX",
    "MATCHGECOS",
    "MIME7TO8",
    "MIME8TO7",
    "NAMED_BIND",
    "NETINET",
    "NETINET6",
    "NETUNIX",
    "NEWDB",
    "PIPELINING",
    "SCANF",
    "SOCKETMAP",
];

/// Widest line of the list of parts.
const LINE_WIDTH: usize = 72;

/// Width a tab takes at the start of a line.
const INDENTATION: usize = 16;

/// Gives version and parts of the program.
pub fn version() -> String {
    let mut text = format!("Version {VERSION}\n Compiled with:");
    let mut column = INDENTATION - 1;
    for feature in FEATURES {
        if column + 1 + feature.len() > LINE_WIDTH {
            text.push_str("\n\t\t");
            column = INDENTATION;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(feature);
        column += feature.len();
    }
    text.push('\n');
    text
}

/// Gives the names of this host as the configuration leaves them.
pub fn system(config: &Config) -> String {
    let value = |id| String::from_utf8_lossy(&config.expanded_macro(id)).into_owned();
    format!(
        "\n============ SYSTEM IDENTITY (after readcf) ============\n      \
         (short domain name) $w = {}\n  \
         (canonical domain name) $j = {}\n         \
         (subdomain name) $m = {}\n              \
         (node name) $k = {}\n\
         ========================================================\n\n",
        value(MacroId::W),
        value(MacroId::J),
        value(MacroId::M),
        value(MacroId::K),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_parts_is_folded() {
        let text = version();
        assert!(text.starts_with(&format!("Version {VERSION}\n Compiled with: DNSMAP ")));
        assert!(text.lines().all(|line| line.len() <= LINE_WIDTH));
        assert!(text.contains("\n\t\t") && text.ends_with("SOCKETMAP\n"));
    }
}
