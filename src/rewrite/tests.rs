//! Whole rulesets over literal configurations; results observed: 8.17.1.9.

use std::sync::Arc;

use super::*;
use crate::dns::FixedResolver;
use crate::macros::{Classes, MacroNames, MacroTable, Macros};
use crate::mailer::{Mailer, MailerTable};
use crate::map::{LookupMode, MapServices, MapSet};
use crate::message::address::PhraseRules;
use crate::smtp::{ExitStatus, Verdict};
use crate::sys::identity::FixedUsers;
use crate::sys::privilege::Unprivileged;
use crate::token::AddressSyntax;

const RULES: &[(&str, &[&str])] = &[
    ("Words", &["hello\tbye"]),
    ("Split", &["$-@$*\t$@ juan@$2"]),
    ("Steps", &["x\ty", "y\tz", "z\ta"]),
    ("Shortest", &["$* . $*\t$@ <$1> <$2>"]),
    ("Loop", &["$*\t$1"]),
    ("Inner", &["$- % $+\t$@ $2", "$-\t$: single $1"]),
    ("Outer", &["$- % $-\t$: $>Inner $1 % $>Inner $2"]),
    ("Deep", &["$*\t$: $>Deep $1"]),
    ("Class", &["$=x\t$@ in", "$*\t$@ out"]),
    (
        "Wildcards",
        &["$* a $* a $* a $* a $* a $* a $* c $* b $*\t$@ found"],
    ),
    ("Found", &["$*\t$: $#local $: $1", "$*\t$@ never"]),
    (
        "parse=0",
        &[
            "$* @ here\t$#local $: $1",
            "no\t$#error $@ 5.1.1 $: \"550 no such user\"",
        ],
    ),
    (
        "check_mail",
        &[
            "bad\t$#error $@ 5.7.1 $: \"550 go away\"",
            "later\t$#error $@ 4.7.1 $: \"451 come back\"",
            "drop\t$#discard $: x",
            "keep\t$#error $@ quarantine $: looks odd",
            "$*\t$@ OK",
        ],
    ),
    ("Brackets", &["$*\t$: <$1>"]),
    ("Unknown", &["$*\t$: $>Nosuch $1"]),
    ("Stopped", &["$*\t$: $>Brackets a $>Unknown $1"]),
    ("Kept", &["$*\t$: x $>Unknown $1", "x $*\t$@ went on"]),
    (
        "Many",
        &[
            "$*\t$: $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets \
           $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets $>Brackets \
           $>Brackets $>Brackets $1",
        ],
    ),
    ("Default", &["$* . $*\t$: $( nomap $1 $: a b $| $2 $)"]),
    ("check_relay", &["$* $| $*\t$#error $: \"550 \" $2"]),
];

/// Builds everything from [`RULES`] and lends a context to `work`.
fn with<R>(work: impl FnOnce(&mut RewriteContext<'_>) -> R) -> (R, Kept) {
    let mut names = MacroNames::new();
    let (base, mut front, mut scratch) = (MacroTable::new(), MacroTable::new(), MacroTable::new());
    let syntax = AddressSyntax::new(b".:%@!^/[]+", 10);
    let mut rules = RuleBook::new();
    let (mut errors, mut remarks) = (Vec::new(), Vec::new());
    for (name, lines) in RULES {
        let ruleset = rules.enter(name.as_bytes(), &mut errors).unwrap().id;
        for line in *lines {
            let mut source = RuleSource {
                macros: &Macros::new(&mut scratch, None, &base),
                names: &mut names,
                syntax: &syntax,
                line: 1,
                trace_level: 0,
            };
            rules.add_rule(ruleset, line.as_bytes(), &mut source, &mut remarks);
        }
    }
    assert!(
        errors.is_empty() && remarks.is_empty(),
        "{errors:?} {remarks:?}"
    );
    let mut classes = Classes::new();
    classes.insert(crate::macros::ClassId::letter(b'x'), b"one.two");
    let mut mailers = MailerTable::default();
    let mut local = Mailer::new(b"local", b"/bin/false");
    local.flags.insert(b'l');
    mailers.insert(local);
    let maps = MapSet::new(
        &[],
        MapServices::bare(
            Arc::new(FixedResolver::default()),
            Arc::new(FixedUsers::default()),
            Arc::new(Unprivileged),
        ),
    );
    let (mut kept, mut workspace) = (Kept::default(), RewriteWorkspace::new());
    let mut cx = RewriteContext {
        rules: &rules,
        classes: &classes,
        syntax: &syntax,
        names: &names,
        mailers: &mailers,
        maps: &maps,
        macros: Macros::new(&mut front, None, &base),
        phrases: PhraseRules::default(),
        lookup_mode: LookupMode::Usual,
        trace: &mut kept,
        workspace: &mut workspace,
    };
    let result = work(&mut cx);
    (result, kept)
}

fn rewritten(ruleset: &str, address: &str) -> (String, Vec<String>) {
    let (out, kept) = with(|cx| {
        let id = cx.rules.find(ruleset.as_bytes()).unwrap();
        cx.rewritten(address.as_bytes(), id).unwrap_or_default()
    });
    let said = kept.complaints.iter();
    (
        out.iter().map(|octet| char::from(*octet)).collect(),
        said.map(|c| String::from_utf8_lossy(&c.text).into_owned())
            .collect(),
    )
}

#[test]
fn rulesets_give_what_the_reference_gives() {
    for (ruleset, address, result) in [
        ("Words", "hello", "bye"),
        ("Words", "Hello", "bye"),
        ("Words", "hello world", "hello world"),
        ("Split", "al001010@alumail.uji.es", "juan@alumail.uji.es"),
        ("Steps", "x", "a"),
        ("Steps", "z", "a"),
        ("Shortest", "a.b.c", "<a><b.c>"),
        ("Outer", "a%b", "single b"),
        ("Class", "ONE.two", "in"),
        ("Class", "one", "out"),
        ("Found", "a", "\u{96}local\u{98}a"),
    ] {
        assert_eq!(rewritten(ruleset, address).0, result, "{ruleset} {address}");
    }
}

#[test]
fn runaway_rules_are_stopped_with_a_message() {
    assert_eq!(
        rewritten("Loop", "a"),
        (
            "a".to_owned(),
            vec!["554 5.3.5 Infinite loop in ruleset Loop, rule 1".to_owned()]
        )
    );
    let (_, said) = rewritten("Deep", "a");
    assert_eq!(
        said,
        ["554 5.3.5 rewrite: excessive recursion (max 50), ruleset Deep"]
    );
}

/// Growing every wildcard against every other would take years.
#[test]
fn a_pattern_of_many_wildcards_fails_in_time() {
    // All words of the pattern are there, so it has to be tried.
    let address = format!("b c {}", vec!["a"; 450].join(" "));
    assert_eq!(rewritten("Wildcards", &address).0.len(), address.len());
    let address = format!("{address} c b");
    assert_eq!(rewritten("Wildcards", &address).0, "found");
}

#[test]
fn a_call_that_fails_leaves_the_calls_before_it_unmade() {
    let unknown = "554 5.3.5 Unknown ruleset Nosuch".to_owned();
    for (ruleset, result, said) in [
        (
            "Stopped",
            "\u{99}Brackets a\u{99}Nosuch q",
            vec![unknown.clone()],
        ),
        ("Kept", "went on", vec![unknown]),
    ] {
        let result = result.to_owned();
        assert_eq!(rewritten(ruleset, "q"), (result, said), "{ruleset}");
    }
    let (text, said) = rewritten("Many", "q");
    assert!(text.starts_with("\u{99}Brackets\u{99}Brackets"), "{text}");
    assert_eq!(said, ["554 5.3.5 Too many subroutine calls (16 max)"]);
}

#[test]
fn symbols_in_the_default_of_a_lookup_stay_symbols() {
    let (text, said) = rewritten("Default", "k.c");
    assert_eq!(text, "a b\u{9b}c");
    assert_eq!(said, ["554 5.3.0 rewrite: map nomap not found"]);
}

#[test]
fn addresses_resolve_or_are_refused() {
    let resolve =
        |address: &str| with(|cx| resolve_address(address.as_bytes(), Role::Recipient, cx)).0;
    match resolve("Joe@here") {
        Resolution::Mailer(triple) => assert_eq!(triple.user, b"joe"),
        other => panic!("{other:?}"),
    }
    match resolve("no") {
        Resolution::Error(error) => {
            assert_eq!(error.reply.code.number(), 550);
            assert_eq!(error.exit, ExitStatus::NoUser);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(resolve("nobody"), Resolution::Error(_)));
    assert!(matches!(resolve(""), Resolution::Error(_)));
}

#[test]
fn hooks_answer_with_verdicts() {
    let ask = |value: &str| with(|cx| check(b"check_mail", &[value.as_bytes()], cx)).0;
    assert!(matches!(ask("bad"), Verdict::Reject(_)));
    assert!(matches!(ask("later"), Verdict::Defer(_)));
    assert!(matches!(ask("drop"), Verdict::Discard));
    assert!(matches!(ask("keep"), Verdict::Quarantine(reason) if reason == b"looks odd"));
    assert!(matches!(ask("good"), Verdict::Accept));
    let two = with(|cx| check(b"check_relay", &[b"host", b"address"], cx)).0;
    assert!(matches!(two, Verdict::Reject(reply) if reply.text() == b"address"));
    assert!(matches!(
        with(|cx| check(b"check_nothing", &[b"x"], cx)).0,
        Verdict::Accept
    ));
}
