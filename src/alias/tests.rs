//! Expansion over literal aliases, users and routes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::context::{AliasLookup, ExpandContext, Limits, LocalUser, Refusal, Routed, Router};
use super::expand::expand_recipients;
use crate::config::options::DeliveryMode;
use crate::envelope::{Envelope, Recipient, RecipientState};
use crate::logging::debug::DebugLog;
use crate::logging::narrator::Kept;
use crate::logging::record::MailLog;
use crate::macros::Template;
use crate::mailer::{Mailer, MailerTable, MailerTriple};
use crate::map::{LookupHost, MapFailure, Userdb};
use crate::message::address::next_address;
use crate::safefile::DontBlameSendmail;
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;
use crate::sys::identity::{FixedUsers, User};
use crate::sys::privilege::Unprivileged;

#[derive(Default)]
struct Aliases(HashMap<Vec<u8>, Vec<u8>>);

impl AliasLookup for Aliases {
    fn look_up(
        &self,
        name: &[u8],
        _host: &mut dyn LookupHost,
    ) -> Result<Option<Vec<u8>>, MapFailure> {
        Ok(self.0.get(&name.to_ascii_lowercase()).cloned())
    }
}

struct Routes<'a>(&'a MailerTable);

impl Routes<'_> {
    fn route(&self, address: &[u8]) -> Routed {
        let address = address.trim_ascii();
        let bare: Vec<u8> = address
            .iter()
            .copied()
            .filter(|byte| *byte != b'"')
            .collect();
        let (mailer, host, user): (&[u8], &[u8], &[u8]) = match bare.as_slice() {
            [b'|', ..] => (b"prog", b"", &bare),
            [b'/', ..] => (b"*file*", b"", &bare),
            list if list.starts_with(b":include:") => (b"*include*", b"", &list[9..]),
            b"bad" => {
                return Routed::Refused(Refusal {
                    code: 553,
                    enhanced: EnhancedStatus::new(5, 1, 3).unwrap(),
                    exit: ExitStatus::Usage,
                    text: b"Syntax error".to_vec(),
                    listed_as: None,
                    refused_at: None,
                });
            }
            remote if remote.contains(&b'@') => {
                let at = remote.iter().position(|byte| *byte == b'@').unwrap();
                (b"esmtp", &remote[at + 1..], remote)
            }
            local => (b"local", b"", local),
        };
        let mailer = self.0.find(mailer).unwrap();
        Routed::To(MailerTriple {
            mailer,
            host: host.to_vec(),
            user: user.to_vec(),
        })
    }
}

impl Router for Routes<'_> {
    fn resolve(
        &mut self,
        list: &[u8],
        delimiter: Option<u8>,
        _told: &mut Vec<Refusal>,
    ) -> (Routed, usize) {
        let (address, rest) = match delimiter {
            Some(_) => next_address(list, false).unwrap(),
            None => (list, &b""[..]),
        };
        (self.route(address), list.len() - rest.len())
    }

    fn resolve_local(&mut self, triple: &MailerTriple) -> Option<Routed> {
        let plus = triple.user.iter().position(|byte| *byte == b'+')?;
        let (user, detail) = triple.user.split_at(plus);
        Some(Routed::To(MailerTriple {
            mailer: triple.mailer,
            host: detail.to_vec(),
            user: user.to_vec(),
        }))
    }

    fn forward_path(&mut self, _path: &Template, user: &LocalUser<'_>) -> Vec<u8> {
        [
            user.home,
            b"/.forward",
            user.host,
            b":",
            user.home,
            b"/.forward",
        ]
        .concat()
    }

    fn is_trusted(&self, _user: &[u8]) -> bool {
        false
    }
}

struct Site {
    aliases: Aliases,
    users: FixedUsers,
    homes: tempfile::TempDir,
    limits: Limits,
}

impl Site {
    fn new(aliases: &[(&str, &str)]) -> Site {
        let homes = tempfile::tempdir().unwrap();
        let mut users = FixedUsers::new();
        let uid = fs::metadata(homes.path()).map(|facts| {
            use std::os::unix::fs::MetadataExt;
            facts.uid()
        });
        for name in ["ann", "bob", "cid", "dan", "fay"] {
            let home = homes.path().join(name);
            fs::create_dir(&home).unwrap();
            users = users.account(User {
                name: name.into(),
                uid: *uid.as_ref().unwrap(),
                gid: 0,
                gecos: Vec::new(),
                home,
                shell: "/bin/sh".into(),
            });
        }
        let pairs = aliases
            .iter()
            .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
        Site {
            aliases: Aliases(pairs.collect()),
            users,
            homes,
            limits: Limits {
                delivery: DeliveryMode::QueueOnly,
                match_gecos: false,
                blank_substitute: b' ',
                max_depth: 10,
                forward_path: Some(Template::plain(b"x")),
                // Temporary folders lie in /tmp, which anybody may write to.
                blame: DontBlameSendmail::FORWARD_FILE_IN_UNSAFE_DIR_PATH
                    .union(DontBlameSendmail::FORWARD_FILE_IN_UNSAFE_DIR_PATH_SAFE)
                    .union(DontBlameSendmail::INCLUDE_FILE_IN_UNSAFE_DIR_PATH)
                    .union(DontBlameSendmail::INCLUDE_FILE_IN_UNSAFE_DIR_PATH_SAFE)
                    .union(DontBlameSendmail::NON_ROOT_SAFE_ADDR),
                default_user: (8, 12, b"mail".to_vec()),
                me_too: true,
                no_alias: false,
                plain_only: false,
                logs_errors: false,
                logs_unknown_users: false,
                verify_only: false,
                expensive_last: false,
                is_root: false,
                old_style: false,
                host_name: b"mx.lab.test".to_vec(),
            },
        }
    }

    fn forward(&self, user: &str, text: &str) {
        let path = self.homes.path().join(user).join(".forward");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Expands and returns narration and errors, exit status, and the final recipients.
    fn expand(&self, given: &[&str]) -> Expanded {
        let mailers = mailers();
        let mut envelope = Envelope {
            recipients: given.iter().map(|text| Recipient::new(*text)).collect(),
            ..Envelope::default()
        };
        let (mut narrator, mut complaints) = (Kept::default(), Kept::default());
        let log = MailLog::recording(0).0;
        let summary = expand_recipients(
            &mut envelope,
            &mut ExpandContext {
                router: &mut Routes(&mailers),
                mailers: &mailers,
                aliases: &self.aliases,
                userdb: &Userdb::default(),
                users: &self.users,
                privileged: &Unprivileged,
                log: &log,
                debug: &DebugLog::default(),
                narrator: &mut narrator,
                complaints: &mut complaints,
                limits: &self.limits,
                now: Timestamp::default(),
            },
        );
        let text = |lines: Vec<Vec<u8>>| -> Vec<String> {
            lines
                .into_iter()
                .map(|line| String::from_utf8(line).unwrap())
                .collect()
        };
        Expanded {
            said: text(narrator.lines),
            errors: text(complaints.lines),
            exit: summary.exit_status(),
            recipients: envelope.recipients,
        }
    }
}

fn mailers() -> MailerTable {
    let mut table = MailerTable::default();
    for (name, flags) in [
        ("local", "A5w"),
        ("prog", ""),
        ("*file*", ""),
        ("*include*", ""),
        ("esmtp", ""),
    ] {
        if let Some(id) = table.find(name.as_bytes()) {
            flags.bytes().for_each(|flag| {
                table.get_mut(id).flags.insert(flag);
            });
            continue;
        }
        let mut mailer = Mailer::new(name.as_bytes(), b"/bin/x");
        flags.bytes().for_each(|flag| {
            mailer.flags.insert(flag);
        });
        table.insert(mailer).unwrap();
    }
    table
}

struct Expanded {
    said: Vec<String>,
    errors: Vec<String>,
    exit: ExitStatus,
    recipients: Vec<Recipient>,
}

impl Expanded {
    fn pending(&self) -> Vec<&str> {
        let open = self
            .recipients
            .iter()
            .filter(|r| r.state == RecipientState::Pending);
        open.map(|recipient| std::str::from_utf8(&recipient.address).unwrap())
            .collect()
    }
}

#[test]
fn lists_are_added_from_the_last_member_and_sorted_by_host() {
    let site = Site::new(&[("list", "bob, cid, joe@far.test")]);
    let expanded = site.expand(&["list"]);
    assert_eq!(expanded.pending(), ["cid", "bob", "joe@far.test"]);
    assert_eq!(expanded.said, ["list... aliased to bob, cid, joe@far.test"]);
}

#[test]
fn nested_lists_suppress_duplicates() {
    let site = Site::new(&[
        ("all", "team1, team2, \\cid, bob"),
        ("team1", "bob, ann"),
        ("team2", "ann, dan, team1"),
        ("cid", "fay"),
    ]);
    let expanded = site.expand(&["all"]);
    assert_eq!(expanded.pending(), ["bob", "\\cid", "ann", "dan"]);
    let said = [
        "all... aliased to team1, team2, \\cid, bob",
        "team2... aliased to ann, dan, team1",
        "team1... aliased to bob, ann",
        "bob... duplicate suppressed",
        "ann... duplicate suppressed",
        "team1... duplicate suppressed",
    ];
    assert_eq!(expanded.said, said);
}

#[test]
fn a_name_that_is_its_own_alias_is_unknown_unless_it_is_a_user() {
    let site = Site::new(&[("self", "self"), ("bob", "bob, cid")]);
    let expanded = site.expand(&["self"]);
    assert_eq!(
        expanded.errors,
        ["self... User unknown", "self... User unknown"]
    );
    assert_eq!(expanded.exit, ExitStatus::NoUser);
    assert_eq!(site.expand(&["bob"]).pending(), ["bob", "cid"]);
}

#[test]
fn loops_end() {
    let mut aliases = vec![
        ("a".to_owned(), "b".to_owned()),
        ("b".to_owned(), "a".to_owned()),
    ];
    aliases.extend((0..14).map(|n| (format!("c{n}"), format!("c{}", n + 1))));
    let aliases: Vec<(&str, &str)> = aliases
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let site = Site::new(&aliases);
    let expanded = site.expand(&["a"]);
    assert_eq!(expanded.errors, ["aliasing/forwarding loop broken"]);
    assert_eq!(expanded.exit, ExitStatus::Usage);
    let expanded = site.expand(&["c0"]);
    assert_eq!(
        expanded.errors,
        ["aliasing/forwarding loop broken (11 aliases deep; 10 max)"]
    );
}

#[test]
fn forward_loops_end_at_their_users() {
    let site = Site::new(&[("x1", "bob")]);
    for (user, text) in [
        ("ann", "bob\n"),
        ("bob", "ann\n"),
        ("cid", "dan\n"),
        ("dan", "fay\n"),
        ("fay", "cid, x1\n"),
    ] {
        site.forward(user, text);
    }
    assert_eq!(site.expand(&["ann"]).pending(), ["ann", "bob"]);
    assert_eq!(site.expand(&["cid"]).pending(), ["cid", "bob", "ann"]);
}

#[test]
fn lists_in_unsafe_folders_name_no_programs_unless_they_count_as_safe() {
    let mut site = Site::new(&[]);
    site.limits.blame = DontBlameSendmail::FORWARD_FILE_IN_UNSAFE_DIR_PATH
        .union(DontBlameSendmail::NON_ROOT_SAFE_ADDR);
    site.forward("bob", "\"|/bin/tee y\", jim@far.test\n");
    assert_eq!(site.expand(&["bob"]).pending(), ["jim@far.test"]);
}

#[test]
fn forward_files_name_programs_for_their_user() {
    let site = Site::new(&[("prog", "\"|/t/bin/tee x\"")]);
    site.forward("bob", "# mine\n\\bob, \"|/bin/tee y\", jim@far.test\n");
    let expanded = site.expand(&["bob", "prog"]);
    let addresses = [
        "\"|/bin/tee y\"",
        "\\bob",
        "\"|/t/bin/tee x\"",
        "jim@far.test",
    ];
    assert_eq!(expanded.pending(), addresses);
    let of = |address: &str| {
        expanded
            .recipients
            .iter()
            .find(|r| r.address == address.as_bytes())
            .unwrap()
    };
    let tee = of("\"|/bin/tee y\"");
    assert_eq!(tee.controlling_user.as_ref().unwrap().name, b"bob");
    assert!(!tee.primary && !tee.from_alias);
    let prog = of("\"|/t/bin/tee x\"");
    let controlling = prog.controlling_user.as_ref().unwrap();
    assert_eq!(
        (
            controlling.name.as_slice(),
            controlling.uid,
            controlling.gid
        ),
        (&b"prog"[..], 8, 0)
    );
    assert!(prog.primary && prog.from_alias);
    assert_eq!(
        prog.final_address.as_deref(),
        Some(&b"rfc822; prog@mx.lab.test"[..])
    );
}

#[test]
fn programs_files_and_lists_cannot_be_addressed_directly() {
    let site = Site::new(&[]);
    let expanded = site.expand(&["|/bin/x", "/tmp/x", ":include:/tmp/x"]);
    assert_eq!(
        expanded.errors,
        [
            "|/bin/x... Cannot mail directly to programs",
            "/tmp/x... Cannot mail directly to files",
            ":include:/tmp/x... Cannot mail directly to :include:s",
        ]
    );
    assert!(expanded.pending().is_empty());
}

#[test]
fn lists_are_read_line_by_line() {
    let site = Site::new(&[]);
    let one = site.homes.path().join("one");
    let two = site.homes.path().join("two");
    let (one, two) = (one.display().to_string(), two.display().to_string());
    fs::write(&one, format!("# c\nbob\n\nann, dan # x\n:include:{two}\n")).unwrap();
    fs::write(&two, "cid\nfay@lab.test\n").unwrap();
    let site = Site {
        aliases: Aliases([(b"list".to_vec(), format!(":include:{one}").into())].into()),
        ..site
    };
    let expanded = site.expand(&["list"]);
    assert_eq!(expanded.pending(), ["bob", "ann", "cid", "fay@lab.test"]);
    assert_eq!(
        expanded.errors,
        [format!("{one}: line 4: dan # x... User unknown")]
    );
    assert_eq!(
        expanded.said[1],
        format!(":include:{one}... including file {one}")
    );
    assert_eq!(expanded.said[2], format!("{one}: line 2: sending to bob"));
}

#[test]
fn a_missing_list_is_told() {
    let site = Site::new(&[("gone", ":include:/no/such/list")]);
    let text = ":include:/no/such/list... Cannot open /no/such/list: No such file or directory";
    assert_eq!(site.expand(&["gone"]).errors, [text]);
}

#[test]
fn owners_are_noted() {
    let site = Site::new(&[
        ("list", "bob, cid"),
        ("owner-list", "fay"),
        ("l2", "dan"),
        ("owner-l2", "a, b"),
    ]);
    let expanded = site.expand(&["list", "l2"]);
    let owner = |name: &[u8]| {
        expanded
            .recipients
            .iter()
            .find(|r| r.address == name)
            .unwrap()
            .owner
            .clone()
            .unwrap()
    };
    assert_eq!(owner(b"list"), b"fay");
    assert_eq!(owner(b"l2"), b"owner-l2");
}

#[test]
fn ruleset_five_may_rewrite_and_keeps_the_printed_address() {
    let site = Site::new(&[("info", "bob")]);
    assert_eq!(site.expand(&["info+x"]).pending(), ["bob"]);
    assert_eq!(site.expand(&["ann+tag"]).pending(), ["ann+tag"]);
    assert_eq!(
        site.expand(&["nosuch+tag"]).errors,
        ["nosuch+tag... User unknown"]
    );
}

#[test]
fn a_world_writable_forward_file_is_ignored() {
    let site = Site::new(&[]);
    site.forward("dan", "fay\n");
    let path = site.homes.path().join("dan/.forward");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(site.expand(&["dan"]).pending(), ["dan"]);
}
