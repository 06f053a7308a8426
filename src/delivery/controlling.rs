//! Whose rights a delivery has.
//!
//! A program or file (F=o) runs with the rights of the user whose .forward or list
//! named it, other mail with those of the local user who sent it, and everything
//! else as DefaultUser. Root's rights are never used for a recipient: root's own
//! mail runs as DefaultUser as well, unless the mailer has F=S.
//!
//! Observed: 8.17.1.9 (`ctladdr=` of the log, ids of mailers).

use std::io;

use crate::config::options::AccountSpec;
use crate::config::options::Security;
use crate::envelope::{ControllingUser, Envelope, Recipient};
use crate::mailer::{Invocation, Mailer, MailerTable};
use crate::sys::identity::{Credentials, User, UserDatabase};

/// The user a delivery is made for, and how the log shows him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controlling {
    /// The address shown in the log: the user, or the alias that named a program.
    pub shown: Vec<u8>,
    /// The login name; not an account where an alias stands for DefaultUser.
    pub name: Vec<u8>,
    /// The user id.
    pub uid: u32,
    /// The group id shown in the log.
    pub shown_gid: u32,
}

impl From<&ControllingUser> for Controlling {
    fn from(user: &ControllingUser) -> Self {
        Controlling {
            shown: match user.alias.is_empty() {
                true => user.name.clone(),
                false => user.alias.clone(),
            },
            name: user.name.clone(),
            uid: user.uid,
            shown_gid: user.gid,
        }
    }
}

/// Finds the user a recipient's delivery is made for.
///
/// Mailers with F=o run in the name of whoever listed the recipient, or of the recipient
/// himself; all others in the name of a local sender, but programs and files in nobody's.
pub fn controlling(
    envelope: &Envelope,
    recipient: &Recipient,
    mailers: &MailerTable,
    users: &dyn UserDatabase,
) -> Option<Controlling> {
    let triple = recipient.triple.as_ref()?;
    let id = triple.mailer;
    let sender = envelope.sender.controlling.as_ref();
    let owner = if mailers.get(id).has(b'o') {
        if let Some(himself) = local_user(recipient, mailers.get(id), users) {
            return Some(himself);
        }
        let is_listed = recipient.listed_in.is_some();
        let owner = recipient.controlling_user.as_ref();
        // What a program of the user database does is nobody's doing. Observed: 8.17.1.9.
        owner.or(sender.filter(|_| !is_listed))
    } else if [mailers.program(), mailers.file()].contains(&Some(id)) {
        None
    } else {
        sender
    };
    owner.map(Controlling::from)
}

/// Finds the user of a mailer whose users have accounts (F=w).
fn local_user(
    recipient: &Recipient,
    mailer: &Mailer,
    users: &dyn UserDatabase,
) -> Option<Controlling> {
    let name = &recipient.triple.as_ref()?.user;
    let user = users.user_by_name(name).ok().flatten()?;
    mailer.has(b'w').then(|| Controlling {
        shown: recipient.address.clone(),
        name: user.name,
        uid: user.uid,
        shown_gid: user.gid,
    })
}

/// Resolves the credentials a mailer runs with; `None` keeps those of this program (F=S).
///
/// # Errors
/// The group lookup failed: the delivery must wait.
pub fn credentials(
    mailer: &Mailer,
    security: &Security,
    users: &dyn UserDatabase,
    controlling: Option<&Controlling>,
) -> io::Result<Option<Credentials>> {
    let default = &security.default_user;
    if let (Some(identity), true) = (mailer.identity, mailer.has(b'S')) {
        let gid = identity.gid.unwrap_or(default.gid);
        return Ok(Some(Credentials {
            uid: 0,
            gid,
            groups: vec![gid, 0],
        }));
    }
    if mailer.has(b'S') && mailer.invocation() != Invocation::File {
        return Ok(None);
    }
    match (controlling, mailer.identity) {
        (Some(owner), _) if owner.uid != 0 => of_controlling(owner, security, users).map(Some),
        // Observed: U= stands in for DefaultUser, whose group stays among the others.
        (_, Some(identity)) => {
            let gid = identity.gid.unwrap_or(default.gid);
            let mut groups = vec![gid, default.gid];
            groups.dedup();
            let uid = identity.uid;
            Ok(Some(Credentials { uid, gid, groups }))
        }
        (_, None) => of_default(security, users).map(Some),
    }
}

/// The default user, in his group and in those his name is listed in.
fn of_default(security: &Security, users: &dyn UserDatabase) -> io::Result<Credentials> {
    let AccountSpec { name, uid, gid } = &security.default_user;
    let known = users.user_by_name(name)?;
    match known.filter(|_| !security.dont_init_groups) {
        Some(user) => {
            let user = User {
                uid: *uid,
                gid: *gid,
                ..user
            };
            of_user(&user, security, users)
        }
        None => Ok(Credentials {
            uid: *uid,
            gid: *gid,
            groups: vec![*gid],
        }),
    }
}

fn of_controlling(
    owner: &Controlling,
    security: &Security,
    users: &dyn UserDatabase,
) -> io::Result<Credentials> {
    if let Some(user) = users.user_by_name(&owner.name)?
        && user.uid == owner.uid
    {
        return of_user(&user, security, users);
    }
    if owner.uid == security.default_user.uid {
        return of_default(security, users);
    }
    // Nobody's account: the groups of whoever has this number are not his.
    Ok(Credentials::plain(owner.uid, owner.shown_gid))
}

fn of_user(user: &User, security: &Security, users: &dyn UserDatabase) -> io::Result<Credentials> {
    if security.dont_init_groups {
        return Ok(Credentials {
            uid: user.uid,
            gid: user.gid,
            groups: vec![user.gid],
        });
    }
    users.credentials_of(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailer::{MailerFlags, MailerIdentity, MailerTriple};
    use crate::sys::identity::FixedUsers;
    use std::path::PathBuf;

    fn ann() -> ControllingUser {
        ControllingUser {
            name: b"ann".to_vec(),
            uid: 1001,
            gid: 1001,
            home: PathBuf::from("/home/ann"),
            alias: Vec::new(),
        }
    }

    fn security() -> Security {
        Security {
            default_user: AccountSpec {
                name: b"mail".to_vec(),
                uid: 8,
                gid: 8,
            },
            ..Security::default()
        }
    }

    fn local() -> (Mailer, MailerTriple) {
        let (_, mailer, triple) = table();
        (mailer, triple)
    }

    fn table() -> (MailerTable, Mailer, MailerTriple) {
        let mut table = MailerTable::default();
        let mailer = Mailer::new(b"local", b"/bin/mail");
        let id = table.insert(mailer.clone()).unwrap();
        let triple = MailerTriple {
            mailer: id,
            host: Vec::new(),
            user: b"bob".to_vec(),
        };
        (table, mailer, triple)
    }

    #[test]
    fn the_local_sender_controls_whatever_is_no_program() {
        let (mailers, _, triple) = table();
        let mut envelope = Envelope::default();
        envelope.sender.controlling = Some(ann());
        let mut recipient = Recipient::new(&b"bob"[..]);
        recipient.triple = Some(triple);
        recipient.controlling_user = Some(ControllingUser {
            name: b"cid".to_vec(),
            uid: 1003,
            ..ann()
        });
        let users = FixedUsers::default();
        let found = controlling(&envelope, &recipient, &mailers, &users);
        assert_eq!(found.unwrap().uid, 1001);
    }

    #[test]
    fn root_is_never_borrowed() {
        let (mailer, _) = local();
        let users = FixedUsers::default();
        let root = Controlling {
            shown: b"root".to_vec(),
            name: b"root".to_vec(),
            uid: 0,
            shown_gid: 0,
        };
        for owner in [None, Some(&root)] {
            let taken = credentials(&mailer, &security(), &users, owner)
                .unwrap()
                .unwrap();
            assert_eq!((taken.uid, taken.gid, taken.groups), (8, 8, vec![8]));
        }
    }

    #[test]
    fn the_user_of_the_mailer_stands_in_for_the_default_user_only() {
        let (mut mailer, _) = local();
        mailer.identity = Some(MailerIdentity {
            uid: 1001,
            gid: Some(50),
        });
        let users = FixedUsers::default();
        let taken = |owner| {
            let found = credentials(&mailer, &security(), &users, owner).unwrap();
            let found = found.unwrap();
            (found.uid, found.gid, found.groups)
        };
        assert_eq!(taken(None), (1001, 50, vec![50, 8]));
        let fay = Controlling {
            shown: b"fay".to_vec(),
            name: b"fay".to_vec(),
            uid: 1006,
            shown_gid: 1006,
        };
        assert_eq!(taken(Some(&fay)).0, 1006);
    }

    #[test]
    fn flag_s_keeps_the_rights_of_the_program() {
        let (mut mailer, _) = local();
        mailer.flags = MailerFlags::from_bytes(b"S");
        let users = FixedUsers::default();
        assert!(
            credentials(&mailer, &security(), &users, None)
                .unwrap()
                .is_none()
        );
    }
}
