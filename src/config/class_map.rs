//! F lines that take words from a map: one look-up while the file is read.
//!
//! Source: guide 5.3; texts observed: 8.17.1.9.

use std::sync::Arc;

use crate::dns::FixedResolver;
use crate::map::{
    LookupContext, LookupHost, LookupMode, MapClass, MapDefinition, MapServices, MapSet,
};
use crate::safefile::{DontBlameSendmail, Purpose, rules};
use crate::sys::identity::SystemUsers;
use crate::sys::privilege::Direct;

/// A host that keeps complaints.
#[derive(Debug, Default)]
struct Complaints(Vec<Vec<u8>>);

impl LookupHost for Complaints {
    fn set_macro(&mut self, _name: &[u8], _value: Option<&[u8]>) -> bool {
        true
    }

    fn complain(&mut self, text: &[u8]) {
        self.0.push(text.to_vec());
    }
}

/// What a look-up came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassMapAnswer {
    /// The words, when the key was found.
    pub words: Option<Vec<u8>>,
    /// What the map complained about; it cannot be opened then.
    pub complaints: Vec<Vec<u8>>,
}

/// Asks a map for a key. Nothing that needs a name server is asked.
pub fn look_up(
    definition: &MapDefinition,
    key: &[u8],
    policy: DontBlameSendmail,
) -> ClassMapAnswer {
    let services = MapServices {
        file_rules: rules(Purpose::Map, policy),
        alias_file_rules: rules(Purpose::Aliases, policy),
        service_switch_file: "/etc/mail/service.switch".into(),
        ..MapServices::bare(
            Arc::new(FixedResolver::default()),
            Arc::new(SystemUsers),
            Arc::new(Direct),
        )
    };
    let mut definition = definition.clone();
    if definition.class == MapClass::Ldap {
        definition.flags.separator = definition.flags.separator.or(Some(b'\n'));
    }
    let maps = MapSet::new(std::slice::from_ref(&definition), services);
    let mut host = Complaints::default();
    let Some(id) = maps.find(&definition.name) else {
        return ClassMapAnswer::default();
    };
    let answer = maps.ask(
        id,
        key,
        &[],
        &mut LookupContext {
            host: &mut host,
            mode: LookupMode::Usual,
        },
    );
    ClassMapAnswer {
        words: answer.value,
        complaints: host.0,
    }
}
