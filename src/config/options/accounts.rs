//! Options that name a user: DefaultUser, RunAsUser, TrustedUser.
//!
//! Source: guide 5.6; observed: 8.17.1.9.

use super::security::AccountSpec;
use super::setting::Setting;
use super::value;

fn is_number(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

fn id(text: &[u8]) -> u32 {
    // Numbers beyond 32 bits wrap, as in the reference.
    u32::try_from(value::number(text) & 0xffff_ffff).unwrap_or_default()
}

/// Reads `user`, `user:group`, `uid` or `uid:gid`.
///
/// What is unknown is complained about under the name `option`; `previous` then
/// stays in force.
pub fn account(
    setting: &mut Setting<'_>,
    option: &str,
    previous: Option<&AccountSpec>,
) -> Option<AccountSpec> {
    let at = setting
        .value
        .iter()
        .position(|byte| matches!(byte, b'.' | b'/' | b':'))
        .unwrap_or(setting.value.len());
    let (user, group) = setting.value.split_at(at);
    let group = group.get(1..).unwrap_or_default();
    let mut spec = if is_number(user) {
        let uid = id(user);
        let known = setting.source.users().user_by_uid(uid).ok().flatten();
        AccountSpec {
            name: known
                .as_ref()
                .map_or(user.to_vec(), |user| user.name.clone()),
            uid,
            // A number says nothing of a group. Observed: 8.17.1.9.
            gid: match (previous, known) {
                (Some(spec), _) => spec.gid,
                (None, Some(user)) => user.gid,
                (None, None) => 1,
            },
        }
    } else {
        match setting.source.users().user_by_name(user) {
            Ok(Some(found)) => AccountSpec {
                name: found.name,
                uid: found.uid,
                gid: found.gid,
            },
            Ok(None) | Err(_) => {
                let text = format!("readcf: option {option}: unknown user ");
                setting.out.error([text.as_bytes(), user].concat());
                return previous.cloned();
            }
        }
    };
    if group.is_empty() {
        return Some(spec);
    }
    if is_number(group) {
        spec.gid = id(group);
        return Some(spec);
    }
    match setting.source.users().group_by_name(group) {
        Ok(Some(gid)) => spec.gid = gid,
        Ok(None) | Err(_) => {
            let text = format!("readcf: option {option}: unknown group ");
            setting.out.error([text.as_bytes(), group].concat());
        }
    }
    Some(spec)
}

/// Reads the user id TrustedUser names: all of the value is one name, or it begins with a number.
///
/// A user nobody knows is complained about.
pub fn trusted_user(setting: &mut Setting<'_>) -> Option<u32> {
    let user = setting.value;
    if is_number(user) {
        return Some(id(user));
    }
    let known = setting.source.users().user_by_name(user).ok().flatten();
    if known.is_none() {
        let text = b"readcf: option TrustedUser: unknown user ".as_slice();
        setting.out.error([text, user].concat());
    }
    known.map(|user| user.uid)
}

/// Sets only the group of the default user (old option `g`).
pub fn default_group(setting: &mut Setting<'_>) {
    let group = setting.value;
    let gid = if is_number(group) {
        Some(id(group))
    } else {
        setting.source.users().group_by_name(group).ok().flatten()
    };
    match gid {
        Some(gid) => setting.options.security.default_user.gid = gid,
        None => {
            let text = [b"readcf: option g: unknown group ".as_slice(), group].concat();
            setting.out.error(text);
        }
    }
}
