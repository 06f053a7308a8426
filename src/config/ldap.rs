//! What a configuration adds to its maps of class `ldap`: the flags all of them begin with
//! (LDAPDefaultSpec), the questions for aliases and classes that have names of their own, and
//! whether a password can be read.
//!
//! Source: guide 5.6, 5.3 and 2.6; names of the schema and texts observed: 8.17.1.9.

use crate::macros::{MacroId, MacroTable, Macros};
use crate::map::definition::Details;
use crate::map::{MapClass, MapDefinition, ldap_arguments, ldap_secret};
use crate::sys::privilege::Direct;

use super::options::Options;

/// The macro with the name of the cluster this host belongs to.
pub const CLUSTER: &[u8] = b"sendmailMTACluster";

/// Which entries of a directory are of this host: its name, and that of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    host: Vec<u8>,
    cluster: Vec<u8>,
}

impl Ownership {
    /// Takes the names out of the macros.
    pub fn of(macros: &MacroTable, cluster: Option<MacroId>) -> Ownership {
        let mut front = MacroTable::new();
        let macros = Macros::new(&mut front, None, macros);
        Ownership {
            host: macros.expanded(MacroId::J),
            cluster: cluster.map(|id| macros.expanded(id)).unwrap_or_default(),
        }
    }

    fn filter(&self) -> Vec<u8> {
        [
            b"(|(sendmailMTACluster=".as_slice(),
            &self.cluster,
            b")(sendmailMTAHost=",
            &self.host,
            b"))",
        ]
        .concat()
    }

    /// Gives the flags of an alias map that has none.
    pub fn aliases(&self) -> Vec<u8> {
        [
            b"-k (&(objectClass=sendmailMTAAliasObject)(sendmailMTAAliasGrouping=aliases)"
                .as_slice(),
            &self.filter(),
            b"(sendmailMTAKey=%0)) -v sendmailMTAAliasValue,\
              sendmailMTAAliasSearch:FILTER:sendmailMTAMapObject,\
              sendmailMTAAliasURL:URL:sendmailMTAMapObject",
        ]
        .concat()
    }

    /// Gives the flags for the words of a class.
    pub fn class(&self, name: &[u8]) -> Vec<u8> {
        [
            b"-k (&(objectClass=sendmailMTAClass)(sendmailMTAClassName=".as_slice(),
            name,
            b")",
            &self.filter(),
            b") -v sendmailMTAClassValue,sendmailMTAClassSearch:FILTER:sendmailMTAClass,\
              sendmailMTAClassURL:URL:sendmailMTAClass",
        ]
        .concat()
    }
}

/// Puts the flags of LDAPDefaultSpec in front of those of a map, if it is of the class.
pub fn with_defaults(class: &[u8], flags: &[u8], options: &Options) -> Vec<u8> {
    match (
        MapClass::from_name(class),
        &options.running.ldap_default_spec,
    ) {
        (Some(MapClass::Ldap), Some(spec)) => {
            let defaults = ldap_arguments::default_flags(spec, &mut Vec::new());
            [defaults.as_slice(), flags].concat()
        }
        _ => flags.to_vec(),
    }
}

/// As [`with_defaults`], for the text of a whole K line.
pub fn line_with_defaults(line: &[u8], options: &Options) -> Vec<u8> {
    let mut words = line.splitn(2, u8::is_ascii_whitespace);
    let name = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default().trim_ascii_start();
    let end = rest.iter().position(|octet| !octet.is_ascii_alphanumeric());
    let (class, flags) = rest.split_at(end.unwrap_or(rest.len()));
    if !class.eq_ignore_ascii_case(b"ldap") || options.running.ldap_default_spec.is_none() {
        return line.to_vec();
    }
    let flags = with_defaults(class, flags.get(1..).unwrap_or_default(), options);
    [name, b" ", class, b" ", &flags].concat()
}

/// Reads the password of a map, to tell what is wrong with it; such a map cannot be opened.
pub fn check_secret(map: &mut MapDefinition) -> Option<Vec<u8>> {
    let Details::Ldap(details) = &map.details else {
        return None;
    };
    let path = details.secret_file.as_deref()?;
    let text = ldap_secret::read(path, &Direct).err()?;
    map.valid = false;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_questions_name_host_and_cluster() {
        let own = Ownership {
            host: b"h.test".to_vec(),
            cluster: b"c".to_vec(),
        };
        let mut errors = Vec::new();
        for flags in [own.aliases(), own.class(b"R")] {
            let map = MapDefinition::of_class(b"m", MapClass::Ldap, &flags, &|_| true, &mut errors);
            assert!(map.valid && errors.is_empty(), "{errors:?}");
            let filter = map.flags.key_column.unwrap();
            let own = b"(|(sendmailMTACluster=c)(sendmailMTAHost=h.test))";
            assert!(crate::text::bytes::find(&filter, own).is_some());
        }
    }

    #[test]
    fn defaults_stand_in_front_of_the_flags_of_the_class() {
        let mut options = Options::default();
        let line = b"m ldap -k x".as_slice();
        assert_eq!(line_with_defaults(line, &options), line);
        options.running.ldap_default_spec = Some(b"-h host -z,".to_vec());
        assert_eq!(line_with_defaults(line, &options), b"m ldap -h host -k x");
        assert_eq!(line_with_defaults(b"m  LDAP", &options), b"m LDAP -h host ");
        assert_eq!(line_with_defaults(b"m hash -k x", &options), b"m hash -k x");
    }
}
