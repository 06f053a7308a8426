//! Small configurations explained: tree, JSON, hosts.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config::{Config, FixedSource, Overrides};
use crate::dns::FixedResolver;
use crate::mta::open::Listeners;
use crate::mta::{Lifetime, Mta, Workspace};
use crate::queue::{DirectorySync, Queue, QueueIdSource};
use crate::smtp::ExitStatus;
use crate::sys::clock::SystemClock;
use crate::sys::identity::FixedUsers;
use crate::sys::privilege::Unprivileged;

/// A configuration small enough to be read at a glance.
const CONFIGURATION: &str = "\
V10/Berkeley
Djmx.test
Cwmx.test
O OperatorChars=.:%@!^/[]+
O ServiceSwitchFile=/nonexistent
Mlocal, P=/bin/cat, F=lsDFMw5:/|@qPn9, A=cat -d $u
Mprog, P=/bin/sh, F=lsDFMoq, A=sh -c $u
Mesmtp, P=[IPC], F=mDFMuXa, S=Full, E=\\r\\n, A=TCP $h
Kupper arith
S3
R$+ @ $+	$: $1 < @ $2 >
S4
R$* < $+ > $*	$1 $2 $3
SFull
R$-	$: $1 @ $j
S0
R$* < @ $=w > $*	$#local $: $1
R$* < @ $+ > $*	$: < $(upper = $@ 1 $@ 2 $) > $>Next $1 < @ $2 >
R< $* > $*	$2
R$+ < @ $+ >	$#esmtp $@ $2 $: $1 < @ $2 >
R$*	$#local $: $1
SNext
R$* < @ old > $*	$: $1 < @ far.test > $2
";

fn explained(address: impl AsRef<[u8]>, with_failures: bool) -> Explanation {
    let path = Path::new("/x.cf");
    let mut source = FixedSource::with_file("/x.cf", CONFIGURATION.as_bytes());
    let config = Config::load(&Overrides::only_file(path), &mut source).unwrap();
    assert!(config.diagnostics.messages().is_empty());
    let users: Arc<dyn crate::sys::identity::UserDatabase> =
        Arc::new(FixedUsers::new().user("ann", 1001));
    let lifetime = Arc::new(Lifetime {
        queue_ids: Arc::new(QueueIdSource::new(0)),
        directory_sync: Arc::new(DirectorySync::new()),
        tried_aliases: Default::default(),
        crowd: Default::default(),
        clock: Arc::new(SystemClock),
        users,
        privileged: Arc::new(Unprivileged),
    });
    let queue = Queue::without_directories(Arc::clone(&lifetime.queue_ids));
    let mut mta = Mta::with_queue(Arc::new(config), lifetime, &Listeners::default(), queue);
    mta.resolver = Arc::new(
        FixedResolver::new()
            .with_mx("far.test", 20, "two.far.test")
            .with_mx("far.test", 10, "one.far.test")
            .with_host("one.far.test", IpAddr::from([192, 0, 2, 1]))
            .with_failure("slow.test"),
    );
    let mut workspace = Workspace::new(&mta.config.options);
    let question = Question {
        address: address.as_ref().to_vec(),
        sender: Some(b"ann".to_vec()),
        uid: 1001,
        with_failures,
    };
    explain(&mta, &mut workspace, &question)
}

#[test]
fn the_tree_shows_rules_maps_calls_and_hosts() {
    let tree = tree::for_people(&explained("joe@old", false));
    for line in [
        "|   |-- ruleset 3: \"joe @ old\" => \"joe < @ old >\"\n",
        "x.cf:11: $+ @ $+ -> $: $1 < @ $2 >   => \"joe < @ old >\"\n",
        "map upper (\"=\", \"1\", \"2\") => \"FALSE\"\n",
        "ruleset Next (198): \"joe < @ old >\" => \"joe < @ far . test >\"\n",
        "|-- resolves to mailer esmtp, host \"far.test\", user \"joe@far.test\"\n",
        "    |-- sender for this mailer: ann@mx.test\n",
        "    |-- MX 10 one.far.test\n",
        "    |   `-- peer: 192.0.2.1:25\n",
        "        `-- no address: ",
        "  joe@old -> mailer esmtp, host far.test\n",
    ] {
        assert!(tree.contains(line), "{line}\nis not in\n{tree}");
    }
    assert!(!tree.contains("no match"));
    let all = tree::for_people(&explained("joe@old", true));
    assert!(all.contains("x.cf:17: $* < @ $=w > $* no match"), "{all}");
}

#[test]
fn programs_are_shown_with_their_words() {
    let explanation = explained("ann@mx.test", false);
    let tree = tree::for_people(&explanation);
    assert!(
        tree.contains("runs /bin/cat with \"cat\" \"-d\" \"ann\""),
        "{tree}"
    );
    assert_eq!(explanation.status, ExitStatus::Ok);
}

#[test]
fn failures_are_told() {
    for (address, text, status) in [
        ("nobody@mx.test", "FAILS: User unknown", ExitStatus::NoUser),
        ("joe@none.test", "FAILS: host not found", ExitStatus::Ok),
        ("joe@slow.test", "WAITS: ", ExitStatus::Ok),
        ("<joe@far.test", "Unbalanced '<'", ExitStatus::NoUser),
    ] {
        let explanation = explained(address, false);
        let tree = tree::for_people(&explanation);
        assert!(tree.contains(text), "{address}: {tree}");
        assert_eq!(explanation.status, status, "{address}: {tree}");
    }
}

#[test]
fn any_address_is_explained_without_harm() {
    let mut seed = 5u32;
    for _ in 0..60 {
        let mut address = Vec::new();
        for _ in 0..10 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            address.push(b"a@<>\"\\(),;:|/!%\xff$\n. "[(seed >> 16) as usize % 20]);
        }
        let explanation = explained(&address, true);
        tree::for_people(&explanation);
        json::for_programs(&explanation).to_string();
    }
}

#[test]
fn json_has_the_same() {
    let json = json::for_programs(&explained("joe@old", false)).to_string();
    for part in [
        "{\"file\":\"/x.cf\",\"sender\":\"ann\",\"recipients\":[{\"address\":\"joe@old\",",
        "\"mailer\":\"esmtp\",\"host\":\"far.test\",\"user\":\"joe@far.test\",",
        "{\"step\":\"map\",\"name\":\"upper\",\"key\":\"=\",\"arguments\":[\"1\",\"2\"],",
        "\"way\":\"hosts\",\"hosts\":[{\"preference\":10,\"host\":\"one.far.test.\",\"port\":25,\
         \"addresses\":[\"192.0.2.1\"]},{\"preference\":20,",
    ] {
        assert!(json.contains(part), "{part}\nis not in\n{json}");
    }
}

#[test]
fn a_list_of_addresses_is_explained_one_by_one() {
    let explanation = explained("ann@mx.test, joe@far.test", false);
    let mut addresses: Vec<&[u8]> = explanation
        .recipients
        .iter()
        .map(|story| story.address.as_slice())
        .collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [b"ann@mx.test".as_slice(), b"joe@far.test"]);
}
