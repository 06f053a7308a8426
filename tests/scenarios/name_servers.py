"""What becomes of mail when name servers are slow, lie, truncate, refuse or return garbage.

No message is bounced that should wait, none waits that should bounce.
"""
import smtplib
import struct
from concurrent.futures import ThreadPoolExecutor

import wayward
from sink import Sink
from stage import HOST, write
from tools import wait_until
from wayward import (A, AAAA, CNAME, FORMERR, MX, NOTIMP, NXDOMAIN, PTR, REFUSED, SERVFAIL, TXT,
                     YXDOMAIN, a, by_kind, by_transport, fails, first, late, mx, preceded, record, records,
                     reply, silent, truncated)

SENT, WAITS, BOUNCES = "sent", "waits", "bounces"
GOOD = "127.0.5.1"

good = mx("good.test")
nothing = records()


def packets(*made):
    return lambda question: [make(question) if callable(make) else make for make in made]


def damaged(kind, data, count=1):
    """A reply whose only record has data nobody can read."""
    return lambda question: [reply(question, [record(None, kind, data)], count=count)] \
        if question.kind == kind else [reply(question)]


def chain(name, length, end):
    """Aliases name -> name-1 -> ... in one reply each, and what stands at their end."""
    zone = {name: records((None, CNAME, "c1." + name))}
    for n in range(1, length):
        zone["c%d.%s" % (n, name)] = records((None, CNAME, "c%d.%s" % (n + 1, name)))
    zone["c%d.%s" % (length, name)] = end
    return zone


def other_question(question):
    raw = wayward.wire_name("other.test") + question.raw[-4:]
    return reply(question, [record(None, MX, (10, "wrong.test"))], raw=raw)


def all_addresses(count):
    dead = [(None, A, "127.0.6.%d" % (n + 1)) for n in range(count)]
    return records(*dead, (None, A, GOOD))


# name of the domain (without .test), what its name server does, outcome
CASES = [
    # What is right.
    ("mx", good, SENT),
    ("address-only", a(GOOD), SENT),
    ("late", late(0.4, good), SENT),
    ("ttl-nought", records((None, MX, (10, "good.test"), 0)), SENT),
    ("ttl-huge", records((None, MX, (10, "good.test"), 0xffffffff)), SENT),
    ("alias", records((None, CNAME, "mx.test"), ("mx.test", MX, (10, "good.test"))), SENT),
    ("alias-alone", records((None, CNAME, "mx.test")), SENT),
    ("mx-is-alias", mx("alias-of-good.test"), SENT),
    ("only-text", records((None, TXT, "v=spf1 -all")), BOUNCES),
    ("text-in-reply", lambda q: [reply(q, [record(None, TXT, "hello"), record(None, MX, (10, "good.test"))])],
     SENT),
    ("many-exchangers", by_transport(truncated(), records(*((None, MX, (n, "good.test")) for n in range(300)))),
     SENT),
    ("big-over-udp", records(*((None, MX, (n, "good.test")) for n in range(150))), SENT),
    ("ten-addresses", mx("ten-addresses-host.test"), SENT),

    # The name does not exist, or has nothing.
    ("absent", fails(NXDOMAIN), BOUNCES),
    ("nothing", nothing, BOUNCES),
    ("null-mx", mx("."), BOUNCES),
    ("null-mx-and-address", by_kind(a(GOOD), MX=mx(".")), BOUNCES),
    ("null-mx-among-others", mx(".", "good.test"), SENT),
    ("mx-absent", mx("absent.test"), BOUNCES),
    ("mx-nothing", mx("nothing.test"), BOUNCES),
    ("mx-absent-then-good", mx("absent.test", "good.test"), SENT),
    ("alias-to-absent", records((None, CNAME, "absent.test")), BOUNCES),
    ("alias-and-absent", lambda q: [reply(q, [record(None, CNAME, "absent.test")], code=NXDOMAIN)], BOUNCES),
    ("mx-strange-name", lambda q: [reply(q, [record(None, MX, b"\0\x0a\x05a b\0(\0")])], BOUNCES),

    # Nobody could say.
    ("servfail", fails(SERVFAIL), WAITS),
    ("refused", fails(REFUSED), WAITS),
    ("not-implemented", fails(NOTIMP), WAITS),
    ("format-error", fails(FORMERR), WAITS),
    ("yxdomain", fails(YXDOMAIN), WAITS),
    ("unknown-code", fails(11), WAITS),
    ("silent", silent, WAITS),
    ("mx-servfail-address-good", by_kind(a(GOOD), MX=fails(SERVFAIL)), WAITS),
    ("mx-refused-address-good", by_kind(a(GOOD), MX=fails(REFUSED)), WAITS),
    ("mx-silent-address-good", by_kind(a(GOOD), MX=silent), WAITS),
    ("address-servfail", by_kind(nothing, A=fails(SERVFAIL)), WAITS),
    ("address-refused", by_kind(nothing, A=fails(REFUSED)), WAITS),
    ("address-silent", by_kind(nothing, A=silent), WAITS),
    ("mx-of-servfail", mx("servfail.test"), WAITS),
    ("mx-of-refused", mx("refused.test"), WAITS),
    ("mx-of-silent", mx("silent.test"), WAITS),
    ("mx-absent-then-servfail", mx("absent.test", "servfail.test"), WAITS),
    ("mx-absent-then-dead", mx("absent.test", "dead.test"), WAITS),
    ("mx-servfail-then-good", mx("servfail.test", "good.test"), SENT),
    ("mx-dead-then-good", mx("dead.test", "good.test"), SENT),
    ("alias-to-servfail", records((None, CNAME, "servfail.test")), WAITS),

    # At first it goes wrong.
    ("once-servfail", first(1, fails(SERVFAIL), good), SENT),
    ("once-silent", first(1, silent, good), SENT),
    ("once-refused", first(1, fails(REFUSED), good), SENT),

    # Addresses of one family only.
    ("six-servfail", mx("six-servfail-host.test"), SENT),
    ("six-silent", mx("six-silent-host.test"), SENT),
    ("six-absent", mx("six-absent-host.test"), SENT),
    ("six-refused", mx("six-refused-host.test"), SENT),
    ("six-not-implemented", mx("six-notimp-host.test"), SENT),
    ("six-dead", mx("six-dead-host.test"), SENT),

    # Lies and garbage.
    ("wrong-id", lambda q: [reply(q, [record(None, MX, (10, "wrong.test"))], id=q.id ^ 1)], WAITS),
    ("wrong-id-then-right", preceded(
        lambda q: [reply(q, [record(None, MX, (10, "wrong.test"))], id=q.id ^ 1)] * 3, good), SENT),
    ("wrong-question", packets(other_question), WAITS),
    ("wrong-question-then-right", preceded(lambda q: [other_question(q)], good), SENT),
    ("wrong-type", lambda q: [reply(q, raw=q.raw[:-4] + struct.pack(">HH", TXT, 1))], WAITS),
    ("wrong-class", lambda q: [reply(q, raw=q.raw[:-2] + b"\0\3")], WAITS),
    ("no-question", lambda q: [reply(q, raw=b"", questions=0)], WAITS),
    ("echo", lambda q: [q.packet], WAITS),
    ("empty-packet", packets(b""), WAITS),
    ("half-a-header", lambda q: [q.packet[:7]], WAITS),
    ("noise", packets(bytes(range(256))), WAITS),
    ("noise-then-right", preceded(lambda q: [b"", b"\0" * 12, b"\xff" * 600, q.packet[:20]], good), SENT),
    ("no-records-where-some-are-told", lambda q: [reply(q, count=3)], WAITS),
    ("fewer-records-than-told", lambda q: [reply(q, [record(None, MX, (10, "good.test"))], count=3)], SENT),
    ("name-points-to-itself", damaged(MX, b"\0\x0a\xc0\x2b"), WAITS),
    ("name-points-beyond", damaged(MX, b"\0\x0a\xff\xff"), WAITS),
    ("owner-points-to-itself", lambda q: [reply(q, [
        struct.pack(">H", 0xc000 | 12 + len(q.raw)) + struct.pack(">HHIH", MX, 1, 60, 2) + b"\0\0"])], WAITS),
    ("mx-without-host", damaged(MX, b"\0"), WAITS),
    ("address-too-short", damaged(A, b"\x7f\0\5"), WAITS),
    ("mx-of-damaged-address", mx("address-too-short.test"), WAITS),

    # Truncated answers.
    ("truncated", by_transport(truncated(), good), SENT),
    ("truncated-address", mx("truncated-host.test"), SENT),
    ("truncated-tcp-closes", by_transport(truncated(), packets(None)), WAITS),
    ("truncated-tcp-silent", by_transport(truncated(), silent), WAITS),
    ("truncated-tcp-noise", by_transport(truncated(), packets(b"noise")), WAITS),
    ("truncated-tcp-servfail", by_transport(truncated(), fails(SERVFAIL)), WAITS),
    ("truncated-tcp-absent", by_transport(truncated(), fails(NXDOMAIN)), BOUNCES),
    ("truncated-tcp-truncated", truncated(), WAITS),
    ("truncated-tcp-wrong-id", by_transport(truncated(), lambda q: [reply(q, id=q.id ^ 1)]), WAITS),
    ("truncated-tcp-half", by_transport(truncated(), packets((None, b"\xff\xff12345"), None)), WAITS),
    ("truncated-some-tcp-good", by_transport(truncated((None, MX, (5, "dead.test"))), mx("dead.test", "good.test")),
     SENT),

    # Ourselves, and hosts that are no names.
    ("mx-ourselves", mx(HOST), BOUNCES),
    ("mx-better-than-ourselves", mx("good.test", HOST), SENT),
    ("mx-worse-than-ourselves", mx(HOST, "good.test"), BOUNCES),
    ("mx-literal", mx(GOOD), SENT),
    ("alias-to-itself", records((None, CNAME, "alias-to-itself.test")), BOUNCES),
    ("alias-circle", lambda q: [reply(q, [record("alias-circle.test", CNAME, "circle.test"),
                                           record("circle.test", CNAME, "alias-circle.test")])], BOUNCES),
    ("alias-chain-5", chain("alias-chain-5.test", 5, good)["alias-chain-5.test"], SENT),
    ("alias-chain-30", chain("alias-chain-30.test", 30, good)["alias-chain-30.test"], BOUNCES),
]

HOSTS = {
    "good.test": a(GOOD),
    "dead.test": a("127.0.5.9"),
    "wrong.test": a("127.0.5.8"),
    "alias-of-good.test": records((None, CNAME, "good.test"), ("good.test", A, GOOD)),
    "ten-addresses-host.test": all_addresses(9),
    "six-servfail-host.test": by_kind(a(GOOD), AAAA=fails(SERVFAIL)),
    "six-silent-host.test": by_kind(a(GOOD), AAAA=silent),
    "six-absent-host.test": by_kind(a(GOOD), AAAA=fails(NXDOMAIN)),
    "six-refused-host.test": by_kind(a(GOOD), AAAA=fails(REFUSED)),
    "six-notimp-host.test": by_kind(a(GOOD), AAAA=fails(NOTIMP)),
    "six-dead-host.test": records((None, AAAA, "::1"), (None, A, GOOD)),
    "truncated-host.test": by_transport(truncated(), a(GOOD)),
    "circle.test": records((None, CNAME, "alias-circle.test")),
    HOST: a("127.0.0.1"),
    "stage.test": mx(HOST),
    "1.0.0.127.in-addr.arpa": records((None, PTR, "localhost")),
    **chain("alias-chain-5.test", 5, good),
    **chain("alias-chain-30.test", 30, good),
}

FEATURES = """FEATURE(`nocanonify')dnl
define(`confTO_RESOLVER_RETRANS', `1s')dnl
define(`confTO_RESOLVER_RETRY', `2')dnl
"""


def outcome(stage, address):
    lines = stage.log.having("to=<%s>" % address, "stat=")
    if not lines:
        return None
    text = lines[-1].split("stat=")[1]
    if text.startswith("Sent"):
        return SENT
    return WAITS if ", dsn=4" in lines[-1] else BOUNCES


def send(stage, domains):
    refused = {}

    def one(domain):
        try:
            with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
                client.sendmail("ann@stage.test", ["joe@" + domain], "Subject: %s\n\nhello\n" % domain)
        except smtplib.SMTPRecipientsRefused as refusal:
            refused.update(refusal.recipients)

    # Few at a time: the daemon's queue of connections is short (Listen=10).
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, domains))
    for address, (code, text) in refused.items():
        print("refused at RCPT:", address, code, text)
    wait_until("every message has an outcome", lambda: all(
        "joe@" + d in refused or outcome(stage, "joe@" + d) for d in domains), 120)
    return {d: (WAITS if refused["joe@" + d][0] < 500 else BOUNCES) if "joe@" + d in refused
            else outcome(stage, "joe@" + d) for d in domains}


def judge(stage, what, cases, got):
    wrong = [(name, "should be", wanted, "is", got[name + ".test"],
              [line.split("dsn=")[-1] for line in stage.log.having("to=<joe@%s.test>" % name)])
             for name, _, wanted in cases if wanted != got[name + ".test"]]
    counts = {kind: sum(1 for g in got.values() if g == kind) for kind in (SENT, WAITS, BOUNCES)}
    print("%s: %d answers, %s" % (what, len(cases), counts))
    for row in wrong:
        print("  ", *row)
    return wrong


def run(stage):
    zone = {**HOSTS, **{name + ".test": what for name, what, _ in CASES}}
    server = wayward.Wayward(zone, "127.0.9.1")
    write("/etc/resolv.conf", "nameserver 127.0.9.1\n")
    stage.configure(features=FEATURES)
    sink = Sink(GOOD)
    daemon = stage.daemon()
    wrong = judge(stage, "one server", CASES, send(stage, [name + ".test" for name, _, _ in CASES]))
    assert not wrong, len(wrong)
    # Those that wait are delivered when the servers have come to their senses.
    for name, _, wanted in CASES:
        if wanted == WAITS:
            zone[name + ".test"] = good
    zone["servfail.test"] = zone["refused.test"] = zone["silent.test"] = zone["dead.test"] = a(GOOD)
    zone["address-too-short.test"] = zone["absent.test"] = a(GOOD)
    if not stage.is_real:
        stage.run(["sendmail", "-q"], check=0)
        wait_until("nothing waits any more", lambda: not stage.queue_files())
    assert len(sink.messages) >= sum(wanted != BOUNCES for _, _, wanted in CASES)
    stage.end_child(daemon)
    second_server(stage, server)
    only_tcp(stage, server)


def second_server(stage, server):
    """With a server that is of no use in front of a good one, mail goes as it should."""
    firsts = [("silent", silent), ("refusing", fails(REFUSED)), ("failing", fails(SERVFAIL)),
              ("without-format", fails(FORMERR)), ("closed", None)]
    for number, (what, does) in enumerate(firsts):
        address = "127.0.9.%d" % (10 + number)
        if does:
            wayward.Wayward({}, address, does)
        write("/etc/resolv.conf", "nameserver %s\nnameserver 127.0.9.1\n" % address)
        cases = [("mx-behind-" + what, None, SENT), ("absent-behind-" + what, None, BOUNCES)]
        server.zone["mx-behind-%s.test" % what] = good
        daemon = stage.daemon()
        wrong = judge(stage, "second server, first one " + what, cases,
                      send(stage, [name + ".test" for name, _, _ in cases]))
        assert not wrong
        stage.end_child(daemon)


def only_tcp(stage, server):
    """ResolverOptions=usevc: nothing is asked over UDP."""
    write("/etc/resolv.conf", "nameserver 127.0.9.1\n")
    server.zone["by-tcp.test"] = by_transport(fails(NXDOMAIN), good)
    daemon = stage.daemon("-OResolverOptions=+usevc")
    cases = [("by-tcp", None, SENT)]
    assert not judge(stage, "usevc", cases, send(stage, ["by-tcp.test"]))
    assert (("by-tcp.test", MX, True) in server.asked) and (("by-tcp.test", MX, False) not in server.asked)
    stage.end_child(daemon)
