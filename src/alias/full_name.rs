//! Users named by their full name (MatchGECOS).
//!
//! Only names no account has are looked for there, because the whole list of accounts is
//! read. Source: guide 5.6, MatchGECOS; observed: 8.17.1.9.

use super::expand::{Expansion, MAX_DEPTH};
use crate::sys::identity::User;

impl Expansion<'_, '_, '_> {
    /// Finds the user whose full name this is (MatchGECOS); `_` stands for a blank too.
    pub(super) fn user_of_full_name(&self, name: &[u8]) -> Option<User> {
        let limits = self.cx.limits;
        if !limits.match_gecos {
            return None;
        }
        let is_blank = |byte: u8| byte == b'_' || byte == limits.blank_substitute;
        let as_blank = |byte: &u8| if is_blank(*byte) { b' ' } else { *byte };
        let name: Vec<u8> = name.iter().map(as_blank).collect();
        let is_wanted = |user: &User| user.full_name().eq_ignore_ascii_case(&name);
        self.cx.users.first_user(&is_wanted).ok().flatten()
    }

    /// Goes on with the login name of a user who was named by his full name.
    pub(super) fn pass_on_to_login(&mut self, index: usize, login: Vec<u8>, depth: u32) {
        let entry = &mut self.entries[index];
        let Some(triple) = &mut entry.recipient.triple else {
            return;
        };
        if triple.user == login {
            return;
        }
        triple.user.clone_from(&login);
        self.say(&[b"sending to login name ", &login[..]].concat());
        if depth < self.cx.limits.max_depth.min(MAX_DEPTH) {
            self.expand(index, depth + 1);
        }
    }
}
