"""Clients are let in as /etc/hosts.allow and /etc/hosts.deny say, which hold as soon as they are written."""
import os
import socket

from stage import write
from tools import wait_until

FEATURES = """DAEMON_OPTIONS(`Family=inet6, Name=MTA-v6, Port=smtp, Addr=::1')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
"""
RULES = """LOCAL_RULESETS
SLocal_check_relay
R$* $| 127.0.9.9	$#error $@ 5.7.1 $: "550 not from there"
"""
DENIED = "550 5.0.0 Access denied"
# What each command gets from a client that is kept out.
DIALOGUE = [
    ("NOOP", "250 2.0.0 OK"), ("HELP", DENIED), ("VRFY ann", DENIED), ("EXPN ann", DENIED), ("ETRN x", DENIED),
    ("FOO", '500 5.5.1 Command unrecognized: "FOO"'),
    ("EHLO a.test", "250-mx.stage.test Hello c.far.test [127.0.9.5], pleased to meet you\n250 ENHANCEDSTATUSCODES"),
    ("MAIL FROM:<a@b.test>", DENIED), ("RCPT TO:<ann>", DENIED), ("DATA", DENIED), ("STARTTLS", DENIED),
    ("RSET", "250 2.0.0 Reset state"), ("QUIT", "221 2.0.0 mx.stage.test closing connection"),
]


def tables(allow, deny):
    for name, text in (("allow", allow), ("deny", deny)):
        path = "/etc/hosts." + name
        if text is not None:
            write(path, text)
        elif os.path.exists(path):
            os.unlink(path)


def talk(source, commands, target="127.0.0.1"):
    """Says commands; returns the replies, none if the connection is closed without a greeting."""
    with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET) as s:
        s.bind((source, 0))
        s.settimeout(20)
        s.connect((target, 25))
        lines = s.makefile("rb")
        if not lines.readline().startswith(b"220 "):
            return []
        replies = []
        for command in commands:
            s.sendall(command.encode() + b"\r\n")
            reply = [lines.readline().decode().rstrip()]
            while reply[-1][3:4] == "-":
                reply.append(lines.readline().decode().rstrip())
            replies.append("\n".join(reply))
        return replies


def outcome(source, target="127.0.0.1"):
    replies = talk(source, ["HELO a.test", "MAIL FROM:<>", "QUIT"], target)
    return replies[1] if replies else "closed"


def run(stage):
    stage.configure(features=FEATURES, local=RULES)
    stage.zone.update({
        "5.9.0.127.in-addr.arpa": [("PTR", "c.far.test")], "c.far.test": [("A", "127.0.9.5")],
        "6.9.0.127.in-addr.arpa": [("PTR", "forged.test")], "forged.test": [("A", "127.0.9.1")],
    })
    tables(None, None)
    stage.daemon()
    welcome = "250 2.1.0 <>... Sender ok"
    for allow, deny, expected in [
        (None, None, {"127.0.9.5": welcome}),
        (None, "sendmail: ALL\n", {"127.0.9.5": DENIED, "::1": DENIED}),
        # The name is the same whatever the port and the program are called.
        (None, "MTA-v4 smtpd mta sshd: ALL\n", {"127.0.9.5": welcome}),
        (None, "ALL: .far.test forged.test\n", {"127.0.9.5": DENIED, "127.0.9.6": welcome, "127.0.9.7": welcome}),
        (None, "ALL: UNKNOWN\n", {"127.0.9.5": welcome, "127.0.9.6": DENIED, "127.0.9.7": DENIED}),
        ("sendmail: 127.0.9.0/24 EXCEPT c.far.test\n", "ALL: ALL\n",
         {"127.0.9.5": DENIED, "127.0.9.7": welcome, "::1": DENIED}),
        (None, "ALL: [::1]/128\n", {"::1": DENIED, "127.0.9.5": welcome}),
        (None, "ALL: 0*\n", {"::1": DENIED, "127.0.9.5": welcome}),
        ("ALL: ALL\n", "ALL: ALL: spawn echo %a %n >>/root/refused\n", {"127.0.9.5": welcome}),
        (None, "ALL: ALL: spawn echo %a %n >>/root/refused\n", {"127.0.9.5": DENIED, "127.0.9.6": DENIED}),
        ("ALL: ALL: twist echo hello\n", None, {"127.0.9.5": "closed"}),
        ("no rule\nALL: ALL: frob\n", None, {"127.0.9.5": DENIED}),
        (None, "# nothing", {"127.0.9.5": DENIED}),
        # What a ruleset has refused is not asked about.
        (None, "ALL: ALL: spawn echo asked >>/root/refused\n", {"127.0.9.9": '550 5.7.1 not from there'}),
    ]:
        tables(allow, deny)
        for source, reply in expected.items():
            got = outcome(source, "::1" if ":" in source else "127.0.0.1")
            assert got == reply, (allow, deny, source, got)
    with open("/root/refused") as f:
        assert f.read() == "127.0.9.5 c.far.test\n127.0.9.6 unknown\n"

    tables(None, "ALL: ALL\n")
    replies = talk("127.0.9.5", [command for command, _ in DIALOGUE])
    for (command, reply), got in zip(DIALOGUE, replies):
        assert got == reply, (command, got)

    # Only connections that come in by a port of the daemon are asked about.
    listener = socket.create_server(("127.0.0.1", 2600))
    client = socket.create_connection(("127.0.0.1", 2600))
    accepted = listener.accept()[0]
    stage.spawn(["/usr/sbin/sendmail", "-bs"], stdin=accepted, stdout=accepted)
    accepted.close()
    lines = client.makefile("rb")
    assert lines.readline().startswith(b"220 ")
    for command, code in ((b"HELO a.test", b"250"), (b"MAIL FROM:<>", b"250"), (b"QUIT", b"221")):
        client.sendall(command + b"\r\n")
        reply = lines.readline()
        assert reply.startswith(code), (command, reply)

    for line in ("NOQUEUE: tcpwrappers (c.far.test, 127.0.9.5) rejection",
                 "NOQUEUE: tcpwrappers (unknown, 127.0.9.6) rejection",
                 "twist c.far.test to echo hello",
                 "warning: /etc/hosts.allow, line 1: twist_option: dup: Bad file descriptor",
                 'warning: /etc/hosts.allow, line 1: missing ":" separator',
                 'error: /etc/hosts.allow, line 2: bad option name: "frob"',
                 "warning: /etc/hosts.deny, line 0: missing newline or line too long",
                 "warning: /etc/hosts.deny, line 0: all the subsequent rules will be ignored"):
        wait_until("logged: " + line, lambda: stage.log.having("]: " + line))
