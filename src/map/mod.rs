//! Maps: the K lines and their classes.
//!
//! Reading order:
//!
//! - [`lookup`]: the trait every class implements, its question and its answers.
//! - [`class`], [`flags`], [`definition`]: one K line, its class and its flags.
//! - [`set`]: all maps of a configuration; the door the rewriting engine uses.
//! - [`open`]: from a definition to something that answers; [`switch`]: the service switch.
//! - Files: [`database_file`] (hash, btree) over [`berkeley`], [`cdb`], [`text_map`],
//!   [`alias_text`] and [`stab`]; [`build`] writes databases.
//! - Questions to others: [`host_map`], [`dns_map`], [`bestmx`], [`user`], [`userdb`], [`program`],
//!   [`socket`].
//! - Directories: [`ldap_arguments`] and [`ldap_secret`] read a K line, [`ldap_map`] asks,
//!   [`ldap_results`] makes one value of what was found.
//! - Pure ones: [`regex_map`], [`pure`] (arpa, null, dequote, arith, macro), [`syslog_map`].

pub mod alias_text;
pub mod berkeley;
pub mod bestmx;
pub mod build;
pub mod cdb;
pub mod class;
pub mod database_file;
pub mod definition;
pub mod dns_map;
pub mod file_version;
pub mod flags;
pub mod host_map;
pub mod kept_text;
pub mod ldap_arguments;
pub mod ldap_map;
pub mod ldap_results;
pub mod ldap_secret;
pub mod lookup;
pub mod open;
pub mod program;
pub mod pure;
pub mod regex_map;
pub mod set;
pub mod socket;
pub mod stab;
pub mod switch;
pub mod syslog_map;
pub mod text_map;
pub mod user;
pub mod userdb;

pub use class::MapClass;
pub use definition::{DefinitionError, MapDefinition};
pub use lookup::{
    AliasName, LookupContext, LookupHost, LookupMode, Map, MapAnswer, MapFailure, NoHost,
    RuleAnswer,
};
pub use set::{MapId, MapServices, MapSet};
pub use userdb::{Userdb, UserdbExpansion};
