//! Class `user`: the password file.

use std::sync::Arc;

use super::definition::MapDefinition;
use super::flags::MapFlags;
use super::lookup::{LookupContext, LookupHost, Map, MapAnswer, STATUS_NO_USER};
use super::open::OpenFault;
use super::set::MapServices;
use crate::sys::identity::{User, UserDatabase};

/// Which field of an account is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Password,
    Uid,
    Gid,
    FullName,
    Home,
    Shell,
}

/// Accounts of this host.
pub(super) struct UserMap {
    flags: MapFlags,
    field: Field,
    users: Arc<dyn UserDatabase>,
}

impl UserMap {
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<UserMap, OpenFault> {
        let flags = definition.flags.clone();
        let field = match flags.value_column.as_deref() {
            None => Field::Name,
            Some(column) => field_of(column).ok_or_else(|| {
                let head = b"User map ";
                let text = [head, &*definition.name, b": unknown column name ", column];
                host.complain(&text.concat());
                OpenFault
            })?,
        };
        Ok(UserMap {
            flags,
            field,
            users: services.users.clone(),
        })
    }
}

impl Map for UserMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        // Whoever writes Root means root. Observed: 8.17.1.9, even with -f.
        let found = match self.users.user_by_name(key) {
            Ok(None) => self.users.user_by_name(&key.to_ascii_lowercase()),
            other => other,
        };
        match found {
            Ok(Some(user)) => {
                let stored = value_of(&user, self.field);
                // With -m the value is the name as the password file spells it.
                MapAnswer::found(self.flags.value(&user.name, &stored, arguments))
            }
            Ok(None) => MapAnswer::failed(STATUS_NO_USER),
            Err(_) => MapAnswer::temporary(),
        }
    }

    /// The name in lower case was tried last.
    fn key_left(&self, key: &[u8]) -> Option<Vec<u8>> {
        Some(key.to_ascii_lowercase())
    }
}

fn field_of(name: &[u8]) -> Option<Field> {
    Some(match &*name.to_ascii_lowercase() {
        b"name" => Field::Name,
        b"passwd" => Field::Password,
        b"uid" => Field::Uid,
        b"gid" => Field::Gid,
        b"gecos" => Field::FullName,
        b"dir" => Field::Home,
        b"shell" => Field::Shell,
        _ => return None,
    })
}

fn value_of(user: &User, field: Field) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    match field {
        Field::Name => user.name.clone(),
        // Nobody may see a password here; the reference shows what passwd(5) has, an x.
        Field::Password => b"x".to_vec(),
        Field::Uid => user.uid.to_string().into_bytes(),
        Field::Gid => user.gid.to_string().into_bytes(),
        Field::FullName => full_name(user),
        Field::Home => user.home.as_os_str().as_bytes().to_vec(),
        Field::Shell => user.shell.as_os_str().as_bytes().to_vec(),
    }
}

/// Takes the name out of the comment field: up to a comma, with `&` for the login name.
fn full_name(user: &User) -> Vec<u8> {
    let mut name = Vec::new();
    for &octet in &user.gecos {
        match octet {
            b',' | b';' | b'%' => break,
            b'&' => {
                let start = name.len();
                name.extend_from_slice(&user.name);
                if let Some(first) = name.get_mut(start) {
                    first.make_ascii_uppercase();
                }
            }
            other => name.push(other),
        }
    }
    name
}
