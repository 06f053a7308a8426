"""What -d shows of addresses, aliases and deliveries, in every way of running the program.

Each row: flags, the rest of the command line, and lines that must come in this order,
with others between them or not. Observed: 8.17.1.9.
"""
import os
import re

from stage import write

ALIASES = """postmaster: root
MAILER-DAEMON: postmaster
both: crew, prog
crew: ann, bob
prog: "|/srv/record"
inc: :include:/srv/list
u1: circle
circle: u1, ann
loop: pool
pool: loop
"""

MESSAGE = "From: ann\nTo: crew\nSubject: hello\n\nbody\n"

EXPANSION = [
    "alias(both)",
    "both (, both) aliased to crew, prog",
    "self_reference(crew)",
    "\t... no self ref",
    "self_reference(prog)",
    "alias(prog)",
    'prog (, prog) aliased to "|/srv/record"',
    'self_reference("|/srv/record")',
    "alias(crew)",
    "crew (, crew) aliased to ann, bob",
    "alias(bob)",
    "forward(bob)",
    "self_reference(\\bob)",
    "alias(cid)",
    "forward(cid)",
    "alias(ann)",
    "forward(ann)",
]

ROWS = [
    ("27.1", "-bv both", EXPANSION + ["cid... deliverable: mailer local, user cid"]),
    ("27.1", "-odi -fann both", EXPANSION),
    ("27.1", "-odq -fann both", EXPANSION),
    ("27.3", "-bv bob", [
        "forward: trying /home/bob/.forward.mx",
        "include(/home/bob/.forward.mx)",
        "forward: trying /home/bob/.forward",
        "include(/home/bob/.forward)",
        "self_reference(\\bob)"]),
    ("27.2", "-bv inc u1", [
        "inc (, inc) aliased to :include:/srv/list",
        "include(/srv/list)",
        "self_reference(ann)",
        "alias(u1)",
        "u1 (, u1) aliased to circle",
        "self_reference(circle)",
        "\t... no self ref",
        "self_reference(u1)",
        "\t... getpwnam(u1)... found",
        "forward(u1)"]),
    ("27.1", "-bv loop", [
        "self_reference(pool)",
        "\t... no self ref",
        "alias(pool)",
        "self_reference(loop)",
        '\t... cannot break loop for "loop"']),
    ("21.1", "-bv ann@example.test", [
        "rewrite: ruleset canonify           input: root",
        "rewrite: ruleset 1                returns: root",
        "rewrite: ruleset parse              input: ann < @ example . test >",
        "rewrite: ruleset parse            returns: $# esmtp $@ example . test $: ann < @ example . test >",
        "rewrite: ruleset final            returns: ann @ example . test",
        "ann@example.test... deliverable: mailer esmtp, host example.test, user ann@example.test"]),
    ("21.12,22.12,60.1", "-bv ann", [
        "prescan: $* <@>",
        "prescan==> $* < @ >",
        "prescan: ann",
        "prescan==> ann",
        "-----rule matches: $: $1 < @ >",
        "rewritten as: ann < @ >",
        "-----trying rule: $* < $* > $* < @ >",
        "----- rule fails",
        "map_lookup(dequote, ann) => NOT FOUND (0), ad=0"]),
    ("12.1,20.1,24.4", "-odi -fann ann", [
        "--parseaddr(ann)",
        "allocaddr(flags=31, paddr=ann, ad=1)",
        "\tmailer 3 (local), host `'",
        "--parseaddr(ann)",
        "allocaddr(flags=30, paddr=ann, ad=1)",
        "remotename(ann)",
        "remotename => `ann', stat=0",
        "remotename(crew)",
        "remotename => `crew', stat=0"]),
    ("8.8", "-bv ann@sink.test ann@nowhere.test", [
        "dns_getcanonname(sink.test, trymx=1)",
        "dns_getcanonname: trying sink.test. (AAAA)",
        "\tNO: errno=0, h_errno=4",
        "dns_getcanonname: trying sink.test. (A)",
        "dns_getcanonname: trying sink.test. (MX)",
        "\tYES",
        "dns_getcanonname: sink.test",
        "dns_getcanonname(nowhere.test, trymx=1)",
        "dns_getcanonname: trying nowhere.test. (AAAA)",
        "\tNO: errno=0, h_errno=1",
        "dns_getcanonname: trying nowhere.test.stage.test (AAAA)"]),
    ("10.1,11.1,49.1", "-odi -fann prog ann", [
        'checkcompat(to="|/srv/record", from=ann)',
        "openmailer: sh -c /srv/record",
        "checkcompat(to=ann, from=ann)",
        "openmailer: procmail -f ann -a  -d ann"]),
    ("1.1,30.2,45.1", "-odq -fann ann", [
        "setsender(ann)",
        "collect, smtpmode=0",
        "EOH",
        'From person = "ann"']),
    ("32.1", "-odq -fann ann", [
        "----- collected header -----",
        "From: ann",
        "To: crew",
        "Subject: hello",
        "----------------------------"]),
]


def run(stage):
    stage.configure(aliases=ALIASES)
    write("/srv/record", "#!/bin/sh\ncat >/dev/null\n", 0o755)
    write("/srv/list", "# the list\nann, cid\n")
    for user in ("ann", "bob", "cid", "u1"):
        stage.maildir(user)
    write("/home/bob/.forward", "\\bob, cid\n", 0o644, "bob")
    stage.zone["sink.test"] = [("MX", 5, "a.sink.test")]
    for flags, arguments, expected in ROWS:
        check(stage, flags, arguments.split(), expected)
    said = told(stage, ["-d10.1"], ["-odi", "-fann", "ann"])
    assert any(re.fullmatch(r"--deliver, id=\w+, mailer=local, host=`', first user=`ann'", line)
               for line in said), said
    # Everything a category has to tell goes to the file of -D, and nothing else.
    said = told(stage, ["-D/tmp/traces", "-d27.1"], ["-bv", "both"])
    assert "alias(both)" not in said and "deliverable" in said[0], said
    with open("/tmp/traces") as f:
        assert f.readline() == "alias(both)\n"
    # What is off says nothing.
    assert told(stage, ["-d0-99.0"], ["-odi", "-fann", "both"]) == [""]


def told(stage, flags, arguments):
    done = stage.run(["sendmail", *flags, "-Am", "-i", *arguments], text=MESSAGE)
    assert done.returncode in (0, 64), done
    return re.sub("0x[0-9a-f]+", "0xPTR", done.stdout.decode("latin-1")).split("\n")


def check(stage, flags, arguments, expected):
    said = told(stage, ["-d" + flags], arguments)
    rest = iter(said)
    for line in expected:
        assert line in rest, "-d%s %s: %r is missing or too early in\n%s" % (
            flags, " ".join(arguments), line, "\n".join(said[:400]))
