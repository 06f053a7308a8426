//! What libwrap 7.6.q was seen to answer, and to log.

use super::*;
use crate::sys::identity::FixedUsers;
use crate::sys::privilege::Direct;

/// The client most rules are asked about.
const FAR: (Option<&str>, &str) = (Some("c.far.test"), "127.0.0.5");
const NAMELESS: (Option<&str>, &str) = (None, "192.0.2.7");
const SIX: (Option<&str>, &str) = (Some("six.test"), "2001:db8:0:0:0:0:0:17");
const OWN: (Option<&str>, &str) = (Some("localhost"), "127.0.0.1");

/// Asks two tables; returns the answer and what was logged, with the folder of the tables left out.
fn ask(allow: &str, deny: &str, client: (Option<&str>, &str)) -> (Admission, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let table = |name: &str, text: &str| {
        let path = folder.path().join(name);
        if !text.is_empty() {
            std::fs::write(&path, text).expect("a table can be written");
        }
        path
    };
    let (allow, deny) = (table("hosts.allow", allow), table("hosts.deny", deny));
    let (log, lines) = MailLog::recording(0);
    let users = FixedUsers::new().user("nobody", 65_534).group("mail", 8);
    let question = Question {
        name: client.0.map(str::as_bytes),
        address: client.1.as_bytes(),
        log: &log,
        users: &users,
        privileged: &Direct,
    };
    let admission = question.ask(Tables {
        allow: &allow,
        deny: &deny,
    });
    let folder = format!("{}/", folder.path().display());
    let lines = lines.lock().expect("nobody panicked");
    (
        admission,
        lines.iter().map(|it| it.replace(&folder, "")).collect(),
    )
}

/// Tells whether a client is kept out by the rules of hosts.deny.
fn is_denied(rules: &str, client: (Option<&str>, &str)) -> bool {
    ask("", rules, client).0 == Admission::Denied
}

#[test]
fn patterns_mean_whom_they_mean_in_libwrap() {
    // Who is kept out: c.far.test, a client without name, one of version 6, this host.
    for (rules, who) in [
        ("sendmail: ALL\n", "yyyy"),
        ("Sendmail : all\n", "yyyy"),
        ("all:LOCAL\n", "nnny"),
        ("ALL: KNOWN\n", "ynyy"),
        ("ALL: UNKNOWN\n", "nynn"),
        ("ALL: PARANOID\n", "nnnn"),
        ("ALL: .far.test\n", "ynnn"),
        ("ALL: .FAR.test\n", "ynnn"),
        ("ALL: far.test\n", "nnnn"),
        ("ALL: .c.far.test\n", "nnnn"),
        ("ALL: 127.\n", "ynny"),
        ("ALL: 127.0\n", "nnnn"),
        ("ALL: 127.0.0.5\n", "ynnn"),
        ("ALL: 127.0.0.0/255.255.255.0\n", "ynny"),
        ("ALL: 127.0.0.0/24\n", "ynny"),
        ("ALL: 127.0.0.4/31\n", "ynnn"),
        ("ALL: 127.0.0.5/24\n", "nnnn"),
        ("ALL: 127.0.0.5/255.255.255.255\n", "nnnn"),
        ("ALL: 127.0.0.5/32\n", "ynnn"),
        ("ALL: 0.0.0.0/0\n", "nnnn"),
        ("ALL: 0.0.0.0/0.0.0.0\n", "yyny"),
        (
            "ALL: 127.0.0.0/33 127.0.0/24 127.0.0.0/x 127.0.0.0/-1 x/24\n",
            "nnnn",
        ),
        ("ALL: 127.0.0.0/24x\n", "ynny"),
        (
            "ALL: 127.0.0.0/255.255.256.0 127.0.0.0/99999999999\n",
            "nnnn",
        ),
        ("ALL: [2001:db8::]/32\n", "nnyn"),
        ("ALL: [2001:db8::]/128\n", "nnnn"),
        ("ALL: [2001:db8::17]\n", "nnyn"),
        ("ALL: [2001:0DB8:0::17]\n", "nnyn"),
        ("ALL: 2001:db8::17\n", "nnnn"),
        (
            "ALL: [2001:db8::17]/129 [2001:db8::17/32] [2001:db8:*\n",
            "nnnn",
        ),
        ("ALL: [2001:db8::]/0\n", "nnyn"),
        ("ALL: [2001:db8::]/x\n", "nnyn"),
        (
            "ALL: [127.0.0.5] [127.0.0.0]/24 [::ffff:127.0.0.0]/120\n",
            "nnnn",
        ),
        ("ALL: [2001:db8::16]/127\n", "nnyn"),
        ("ALL: [2001:db8::8]/124\n", "nnnn"),
        ("ALL: [2001:db8::1f]/124\n", "nnyn"),
        ("ALL: 2001*\n", "nnyn"),
        ("ALL: c.*\n", "ynnn"),
        ("ALL: ?.far.test\n", "ynnn"),
        ("ALL: *\n", "yyyy"),
        ("ALL: 127.*.5\n", "ynnn"),
        ("ALL: 127.0.0.?\n", "ynny"),
        ("ALL: *far*\n", "ynnn"),
        ("ALL: *.TEST\n", "ynyn"),
        ("ALL: .f* *.127. 127.0.*. 127.0.0.*/24\n", "nnnn"),
        ("ALL: @group\n", "nnnn"),
        ("ALL: ALL EXCEPT .far.test\n", "nyyy"),
        ("ALL: ALL except .far.test\n", "nyyy"),
        ("ALL: ALL EXCEPT .test EXCEPT c.far.test\n", "yyny"),
        ("sshd sendmail,foo : 1.2.3.4,127.0.0.5\n", "ynnn"),
    ] {
        for (client, denied) in [FAR, NAMELESS, SIX, OWN].into_iter().zip(who.chars()) {
            assert_eq!(
                is_denied(rules, client),
                denied == 'y',
                "{rules} {client:?}"
            );
        }
    }
}

#[test]
fn daemons_and_users_are_matched_as_in_libwrap() {
    for (rules, denied) in [
        ("ALL EXCEPT sendmail: ALL\n", false),
        ("ALL EXCEPT sshd: ALL\n", true),
        ("ALL EXCEPT: ALL\n", true),
        ("EXCEPT: ALL\n", false),
        ("sshd: ALL\n", false),
        ("send*: ALL\n", true),
        ("s?ndmail: ALL\n", true),
        ("KNOWN: ALL\n", true),
        (
            "25 0 .mail sendmail. LOCAL UNKNOWN PARANOID /etc/passwd: ALL\n",
            false,
        ),
        ("sendmail@ALL: ALL\n", true),
        ("sendmail@UNKNOWN: ALL\n", true),
        ("sendmail@*: ALL\n", true),
        (
            "sendmail@127.0.0.1 sendmail@LOCAL sendmail@KNOWN sendmail@: ALL\n",
            false,
        ),
        ("@sendmail @ALL sendmail@0.0.0.0/0: ALL\n", false),
        ("ALL: UNKNOWN@ALL\n", true),
        ("ALL: u*@ALL\n", true),
        ("ALL: unknown@127.\n", true),
        ("ALL: ALL@.far.test\n", true),
        ("ALL: KNOWN@ALL joe@ALL LOCAL@ALL ALL@\n", false),
    ] {
        assert_eq!(is_denied(rules, FAR), denied, "{rules}");
    }
}

#[test]
fn lines_are_read_and_faults_told_as_in_libwrap() {
    let long = |length: usize| format!("ALL:ALL:allow{}\n", " ".repeat(length - 14));
    let (fits, too_long) = (long(2_047), long(2_048));
    const UNENDED: &str = "missing newline or line too long";
    for (rules, denied, fault) in [
        ("ALL: \\\n .far.test\n", true, ""),
        ("# x \\\nALL: ALL\n", false, ""),
        ("\n   \n\t\nALL:ALL\n", true, ""),
        (
            "  # c\nALL: ALL\n",
            true,
            "warning: hosts.deny, line 1: missing \":\" separator",
        ),
        (" ALL: ALL\n", true, ""),
        ("ALL: ALL\r\n", true, ""),
        (
            "junk\nALL: ALL\n",
            true,
            "warning: hosts.deny, line 1: missing \":\" separator",
        ),
        (":\nALL:\n: ALL\nALL: :\nALL::ALL\n", false, ""),
        ("ALL:x\\\n", true, "line 1: missing newline"),
        ("ALL:x\\", true, "line 0: missing newline"),
        ("# no newline", true, "line 0: missing newline"),
        ("\n\n# no\n#newline", true, "line 3: missing newline"),
        (
            "sshd: ALL\nsshd: x",
            true,
            "line 1: all the subsequent rules will be ignored",
        ),
        (&fits, false, ""),
        (&too_long, true, UNENDED),
        (
            "ALL: \0ALL\nALL:ALL\n",
            true,
            "error: hosts.deny, line 1: bad option name: \"ALL\"",
        ),
        ("ALL: [2001:db8::]/ffff::\n", false, ""),
    ] {
        let (admission, lines) = ask("", rules, FAR);
        assert_eq!(admission == Admission::Denied, denied, "{rules}");
        let is_told = match fault {
            "" => lines.is_empty(),
            _ => lines.iter().any(|line| line.contains(fault)),
        };
        assert!(is_told, "{rules}: {lines:?}");
    }
}

#[test]
fn options_are_checked_and_decide_as_in_libwrap() {
    for (options, denied, fault) in [
        ("", true, "missing option name"),
        (": deny", true, "missing option name"),
        ("allow", false, ""),
        ("ALLOW", false, ""),
        ("deny", true, ""),
        (
            "allow: severity mail.info",
            true,
            "option \"allow\" must be at end",
        ),
        ("severity mail.info : allow", false, ""),
        ("severity=mail.info:severity info", true, ""),
        (
            "severity frob.info",
            true,
            "bad syslog facility or severity: \"frob\"",
        ),
        (
            "severity mail.info.x",
            true,
            "bad syslog facility or severity: \"info.x\"",
        ),
        ("severity", true, "option \"severity\" requires value"),
        ("frob x", true, "bad option name: \"frob\""),
        ("allow x", true, "option \"allow\" requires no value"),
        ("umask 022: allow", false, ""),
        ("umask 9", true, "bad umask value: \"9\""),
        ("umask 1777", true, "bad umask value: \"1777\""),
        ("nice: nice 5: allow", false, ""),
        ("nice x", true, "bad nice value: \"x\""),
        (
            "linger 5: allow",
            false,
            "setsockopt SO_LINGER 5: Bad file descriptor",
        ),
        ("linger x", true, "bad linger value: \"x\""),
        (
            "keepalive: allow",
            false,
            "setsockopt SO_KEEPALIVE: Bad file descriptor",
        ),
        ("rfc931: rfc931 5: allow", false, ""),
        ("rfc931 0", true, "bad rfc931 timeout: \"0\""),
        ("user noone: allow", true, "unknown user: \"noone\""),
        ("user nobody.nogrp: allow", true, "unknown group: \"nogrp\""),
        ("group nogrp: allow", true, "unknown group: \"nogrp\""),
        (
            "user nobody.mail: allow",
            true,
            "option \"user\" cannot be followed",
        ),
        ("setenv A b c : banners /etc: allow", false, ""),
        (
            "twist echo hi: allow",
            true,
            "option \"twist\" must be at end",
        ),
        ("spawn", true, "option \"spawn\" requires value"),
        ("spawn exit 3", true, ""),
        ("spawn : %z", true, "option \"spawn\" requires value"),
        ("spawn true %z: allow", false, "unrecognized %z"),
        ("aclexec true", true, ""),
        ("aclexec false", false, "aclexec returned 1"),
    ] {
        let (admission, lines) = ask("", &format!("ALL: ALL:{options}\n"), FAR);
        assert_eq!(admission == Admission::Denied, denied, "{options}");
        let is_told = match fault {
            "" => lines.is_empty(),
            _ => lines.iter().any(|line| line.contains(fault)),
        };
        assert!(is_told, "{options}: {lines:?}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    const ALL: &str = "ALL: ALL\n";
    for (allow, deny, admission) in [
        ("sendmail: .far.test\n", ALL, Admission::Granted),
        ("sendmail: .near.test\n", ALL, Admission::Denied),
        ("ALL: ALL: deny\n", "", Admission::Denied),
        ("ALL: ALL: frob\n", "", Admission::Denied),
        ("ALL: ALL", "", Admission::Denied),
        ("ALL: ALL: aclexec true\n", ALL, Admission::Granted),
        ("ALL: ALL: aclexec exit 3: allow\n", ALL, Admission::Granted),
        // A command that says no ends the table.
        (
            "ALL: ALL: aclexec false\nALL: ALL\n",
            ALL,
            Admission::Denied,
        ),
        (
            "",
            "ALL: ALL: aclexec false\nALL: ALL\n",
            Admission::Granted,
        ),
        ("", "ALL: ALL: twist echo hi\n", Admission::Closed),
        ("", "", Admission::Granted),
    ] {
        assert_eq!(ask(allow, deny, FAR).0, admission, "{allow:?} {deny:?}");
    }
}

#[test]
fn commands_get_what_they_ask_for_and_nothing_a_shell_would_take_wrong() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let said = folder.path().join("said");
    for (client, command, expected) in [
        (
            FAR,
            "spawn echo %a,%A,%c,%d,%h,%H,%n,%N,%r,%R,%s,%u,%%",
            "127.0.0.5,unknown,c.far.test,sendmail,c.far.test,unknown,c.far.test,unknown,0,0,sendmail,unknown,%\n",
        ),
        (
            NAMELESS,
            "spawn=echo %c %h %n",
            "192.0.2.7 192.0.2.7 unknown\n",
        ),
        (SIX, "spawn = echo %a", "2001:db8:0:0:0:0:0:17\n"),
        (FAR, "spawn echo a\\:b", "a:b\n"),
        (
            FAR,
            "setenv A v%a  v : spawn echo \"$A\"",
            "v127.0.0.5  v\n",
        ),
        (
            (Some("a`b;c$d.test"), "127.0.0.5"),
            "spawn echo %c",
            "a_b_c_d.test\n",
        ),
    ] {
        let rules = format!("ALL: ALL: {command} >{}\n", said.display());
        ask("", &rules, client);
        let told = std::fs::read_to_string(&said).expect("the command was run");
        assert_eq!(told, expected, "{command}");
    }
    let long = format!("ALL: ALL: spawn {}\n", "%c".repeat(700));
    let (admission, lines) = ask("ALL: .test: allow\n", &long, (None, "192.0.2.255"));
    assert_eq!((admission, lines), (Admission::Denied, Vec::new()));
    let name = "x".repeat(60);
    let (_, lines) = ask("", &long, (Some(&name), "192.0.2.7"));
    assert!(lines[0].contains("expansion too long: xxx"), "{lines:?}");
}

#[test]
fn files_that_are_named_list_patterns() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let banned = file("banned", "10.0.0.1 \n.far.test 1.2.3.4");
    let naming = file("naming", &banned);
    let own = folder.path().join("own").display().to_string();
    file("own", &own);
    assert!(is_denied(&format!("ALL: {banned}\n"), FAR));
    assert!(is_denied(&format!("ALL: {naming}\n"), FAR));
    assert!(!is_denied(&format!("ALL: {banned}\n"), OWN));
    assert!(is_denied(&format!("ALL: ALL EXCEPT {banned}\n"), OWN));
    assert!(
        !is_denied(&format!("ALL: {own}\n"), FAR),
        "it would never end"
    );
    let absent = format!("ALL: {own}.absent {}\n", folder.path().display());
    assert_eq!(ask("", &absent, FAR), (Admission::Granted, Vec::new()));
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).expect("a link can be made");
    let (admission, lines) = ask("", &format!("ALL: {}\n", own.replace("own", "loop")), FAR);
    assert_eq!(admission, Admission::Granted);
    assert!(lines[0].contains("hosts.deny, line 1: open "), "{lines:?}");
    assert!(lines[0].ends_with("Too many levels of symbolic links"));
    let huge = file("huge", &"1.2.3.4\n".repeat(300_000));
    assert!(!is_denied(&format!("ALL: {huge}\n"), FAR));
}
