"""FEATURE(`sts'): policies of domains as a resolver tells them, and what is sent to servers that break them."""
import socket
import subprocess
import threading

import certificates as pki
from stage import write
from tls_sink import TlsSink
from tools import wait_until

FEATURES = """define(`confCACERT', `/etc/mail/tls/ca.crt')dnl
define(`confCACERT_PATH', `/etc/mail/tls')dnl
define(`confLOG_LEVEL', `14')dnl
FEATURE(`mailertable')dnl
FEATURE(`sts')dnl
"""
# Domain, its server, its policy, what comes of it: sent or the reason why not.
DOMAINS = [
    ("none", {}, None, "stat=Sent (taken)"),
    ("testing", {}, "may", "stat=Sent (taken)"),
    ("match", {}, "secure match=h-match.test servername=hostname", "stat=Sent (taken)"),
    ("other", {}, "secure match=mx.far.test servername=hostname", "h-other.test not found in mx.far.test"),
    ("nameless", {"certificate": "nameless"}, "secure match=h-nameless.test servername=hostname",
     "h-nameless.test not listed in SANs"),
    ("stranger", {"certificate": "stranger"}, "secure match=h-stranger.test servername=hostname",
     "stat=Deferred: 403 4.7.0 authentication failed"),
    ("plain", {"behaviour": "plain"}, "secure match=h-plain.test servername=hostname",
     "stat=Deferred: 403 4.7.0 other side does not support STARTTLS"),
]


def answer(connection):
    """Answers questions for policies, each a netstring."""
    stream = connection.makefile("rwb")
    while True:
        length = b""
        while not length.endswith(b":"):
            octet = stream.read(1)
            if not octet:
                return
            length += octet
        name = stream.read(int(length[:-1])).decode().split(" ", 1)[1]
        stream.read(1)
        policies = {domain + ".test": policy for domain, _, policy, _ in DOMAINS if policy}
        said = ("OK " + policies[name] if name in policies else "NOTFOUND ").encode()
        stream.write(b"%d:%s," % (len(said), said))
        stream.flush()


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 5461))
    listener.listen(50)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def run(stage):
    pki.authority()
    pki.issue("server", "/CN=mx.stage.test", names=["h-%s.test" % domain[0] for domain in DOMAINS])
    pki.issue("nameless", "/CN=h-nameless.test")
    pki.self_signed("stranger", "/CN=h-stranger.test")
    threading.Thread(target=listen, daemon=True).start()
    stage.configure(features=FEATURES)
    write("/etc/mail/mailertable", "".join("%s.test\tesmtp:[h-%s.test]\n" % (one[0], one[0]) for one in DOMAINS))
    with open("/etc/mail/mailertable") as table:
        subprocess.run(["makemap", "hash", "/etc/mail/mailertable"], stdin=table, check=True)
    for number, (name, how, _, outcome) in enumerate(DOMAINS, 1):
        stage.zone["h-%s.test" % name] = [("A", "127.0.1.%d" % number)]
        sink = TlsSink("127.0.1.%d" % number, **how)
        before = len(stage.log.lines)
        stage.run(["/usr/sbin/sendmail", "-Am", "-odi", "-f", "ann@stage.test", "x@%s.test" % name],
                  text="Subject: x\n\nhello\n", check=None)
        wait_until("the outcome of " + name, lambda: any(" stat=" in line for line in stage.log.lines[before:]))
        new = stage.log.lines[before:]
        assert any(outcome in line for line in new), (name, outcome, new)
        assert len(sink.letters) == ("Sent" in outcome), (name, sink.commands)
