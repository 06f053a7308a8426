//! The map classes by name.

/// A class of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapClass {
    /// Berkeley DB hash file.
    Hash,
    /// Berkeley DB btree file.
    Btree,
    /// Constant database file.
    Cdb,
    /// Plain text file.
    Text,
    /// Alias text in memory.
    Stab,
    /// Hash file, or alias text where there is none.
    Implicit,
    /// Several maps, one after the other.
    Sequence,
    /// Several maps in the order of the service switch.
    Switch,
    /// The password file.
    User,
    /// Canonical host names.
    Host,
    /// Best mail exchangers.
    Bestmx,
    /// Any DNS record.
    Dns,
    /// Names for reverse lookups.
    Arpa,
    /// Nothing is ever found.
    Null,
    /// The output of a program.
    Program,
    /// A regular expression.
    Regex,
    /// Sets macros.
    Macro,
    /// Calculates.
    Arith,
    /// Writes to the log.
    Syslog,
    /// Strips quotes.
    Dequote,
    /// A server behind a socket.
    Socket,
    /// Network Information Service; known by name only.
    Nis,
    /// NIS+; known by name only.
    Nisplus,
    /// A directory server.
    Ldap,
    /// The user database.
    Userdb,
}

const NAMES: &[(&str, MapClass)] = &[
    ("hash", MapClass::Hash),
    ("btree", MapClass::Btree),
    ("cdb", MapClass::Cdb),
    ("text", MapClass::Text),
    ("stab", MapClass::Stab),
    ("implicit", MapClass::Implicit),
    ("sequence", MapClass::Sequence),
    ("switch", MapClass::Switch),
    ("user", MapClass::User),
    ("host", MapClass::Host),
    ("bestmx", MapClass::Bestmx),
    ("dns", MapClass::Dns),
    ("arpa", MapClass::Arpa),
    ("null", MapClass::Null),
    ("program", MapClass::Program),
    ("regex", MapClass::Regex),
    ("macro", MapClass::Macro),
    ("arith", MapClass::Arith),
    ("syslog", MapClass::Syslog),
    ("dequote", MapClass::Dequote),
    ("socket", MapClass::Socket),
    ("nis", MapClass::Nis),
    ("nisplus", MapClass::Nisplus),
    ("ldap", MapClass::Ldap),
    ("userdb", MapClass::Userdb),
];

impl MapClass {
    /// Finds a class by its name, in any case.
    pub fn from_name(name: &[u8]) -> Option<MapClass> {
        let named = NAMES
            .iter()
            .find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(name));
        named.map(|&(_, class)| class)
    }

    /// Returns the names of all classes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|&&(_, class)| class == self)
            .map_or("", |&(name, _)| name)
    }

    /// Says whether a definition needs a word behind its flags.
    pub(super) fn needs_file(self) -> bool {
        match self {
            MapClass::Hash
            | MapClass::Btree
            | MapClass::Cdb
            | MapClass::Text
            | MapClass::Stab
            | MapClass::Implicit
            | MapClass::Switch
            | MapClass::Program
            | MapClass::Socket
            | MapClass::Nis
            | MapClass::Nisplus
            | MapClass::Userdb => true,
            MapClass::Sequence
            | MapClass::User
            | MapClass::Host
            | MapClass::Bestmx
            | MapClass::Dns
            | MapClass::Arpa
            | MapClass::Null
            | MapClass::Regex
            | MapClass::Macro
            | MapClass::Arith
            | MapClass::Syslog
            | MapClass::Dequote
            | MapClass::Ldap => false,
        }
    }

    /// Says whether maps of this class can be an alias database that newaliases builds.
    pub fn is_built(self) -> bool {
        matches!(
            self,
            MapClass::Hash | MapClass::Btree | MapClass::Cdb | MapClass::Implicit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(MapClass::from_name(b"HASH"), Some(MapClass::Hash));
        assert_eq!(MapClass::from_name(b"dbm"), None);
        assert_eq!(MapClass::Userdb.name(), "userdb");
    }
}
