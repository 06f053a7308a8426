"""A port of proxies believes their headers, versions 1 and 2, and nobody else's; our own, so not for the real program."""
import os
import socket
import struct
import threading
import time

from tools import wait_until

PORTS = """O DaemonPortOptions=Name=behind, Addr=127.0.0.1, Port=2525, TrustedProxies=127.0.1.0/24;::1
O DaemonPortOptions=Name=behind6, Family=inet6, Addr=::1, Port=2526, TrustedProxies=::1
"""
LOCAL = "LOCAL_CONFIG\n" + PORTS
FEATURES = """FEATURE(`conncontrol', `nodelay', `terminate')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confTO_IDENT', `30s')dnl
define(`confLOG_LEVEL', `10')dnl
"""
ACCESS = "ClientConn:203.0.113.50\t3\nClientConn:\t0\nConnect:203.0.113.66\tREJECT\nConnect:203.0.113.77\tRELAY\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENTS = 60


def v2(command, family, addresses, additions=b""):
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(addresses + additions)) + addresses + additions


def v2_inet(client, port=4321, additions=b""):
    six = ":" in client
    kind = socket.AF_INET6 if six else socket.AF_INET
    packed = socket.inet_pton(kind, client) + socket.inet_pton(kind, "2001:db8::1" if six else "198.51.100.1")
    return v2(1, 0x21 if six else 0x11, packed + struct.pack(">HH", port, 25), additions)


def v1(client, port=4321):
    return ("PROXY TCP%d %s %s %d 25\r\n" % (6 if ":" in client else 4, client,
                                            "2001:db8::1" if ":" in client else "198.51.100.1", port)).encode()


class Client:
    def __init__(self, header, source="127.0.1.7", to=("127.0.0.1", 2525), pieces=1):
        self.socket = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
        self.socket.settimeout(60)
        self.socket.bind((source, 0))
        self.socket.connect(to)
        self.lines = self.socket.makefile("rb")
        step = -(-len(header) // pieces) or 1
        for at in range(0, len(header), step):
            self.socket.sendall(header[at:at + step])
            if pieces > 1:
                time.sleep(0.05)

    def hear(self):
        try:
            while True:
                line = self.lines.readline().decode("latin-1").rstrip("\r\n")
                if line[3:4] != "-":
                    return line
        except ConnectionError:
            return ""

    def ask(self, text):
        try:
            self.socket.sendall(text.encode() + b"\r\n")
        except ConnectionError:
            pass
        return self.hear()

    def close(self):
        self.lines.close()
        self.socket.close()


def run(stage):
    assert not stage.is_real
    stage.maildir("bob")
    stage.zone["9.113.0.203.in-addr.arpa"] = [("PTR", "client.far.test")]
    stage.zone["client.far.test"] = [("A", "203.0.113.9")]
    stage.configure(features=FEATURES, local=LOCAL, access=ACCESS)
    daemon = stage.daemon()
    believed(stage)
    not_believed(stage)
    counted(stage)
    at_once(stage)
    wait_until("sessions and descriptors are given back", lambda: len(os.listdir("/proc/%d/fd" % daemon.pid)) < 40)
    stage.end_child(daemon)


def believed(stage):
    rows = [
        ("line, IPv4 with a name", v1("203.0.113.9"), "client.far.test [203.0.113.9]"),
        ("line, IPv6", v1("2001:db8::77"), "[IPv6:2001:db8:0:0:0:0:0:77]"),
        ("block, IPv4", v2_inet("203.0.113.9"), "client.far.test [203.0.113.9]"),
        ("block, IPv6", v2_inet("2001:db8::77"), "[IPv6:2001:db8:0:0:0:0:0:77]"),
        ("block with additions", v2_inet("203.0.113.8", additions=b"\x01\0\3abc" + b"\x20\3\xe8" + b"x" * 1000), "[203.0.113.8]"),
        ("block in pieces", v2_inet("203.0.113.8"), "[203.0.113.8]"),
        ("block, the proxy's own", v2(0, 0, b""), "[127.0.1.7]"),
        ("line, unknown", b"PROXY UNKNOWN\r\n", "[127.0.1.7]"),
    ]
    for number, (name, header, shown) in enumerate(rows):
        began = time.monotonic()
        client = Client(header, pieces=5 if "pieces" in name else 1)
        assert client.hear().startswith("220"), name
        # Nobody asks the client's machine who it is, which here would take until the timeout.
        assert time.monotonic() - began < 20, name
        assert shown in client.ask("HELO there.test"), name
        for line in ("MAIL FROM:<ann@stage.test>", "RCPT TO:<bob@stage.test>"):
            assert client.ask(line).startswith("250"), (name, line)
        assert client.ask("DATA").startswith("354")
        assert client.ask("Subject: proxied %d\r\n\r\nx\r\n." % number).startswith("250"), name
        client.close()
        message = stage.expect_message("bob", "proxied %d" % number)
        assert "from there.test (%s)" % shown in " ".join(message["Received"].split()), (name, message["Received"])
        wait_until(name + " is logged", lambda: stage.log.having(
            "from=<ann@stage.test>", "daemon=behind", "relay=" + shown))
    client = Client(v1("203.0.113.9"), source="::1", to=("::1", 2526))
    assert client.hear().startswith("220")
    client.close()
    # The access map sees the client, not the proxy.
    for address, expected in (("203.0.113.66", "550 5.7.1"), ("203.0.113.77", "250"), ("203.0.113.9", "550 5.7.1")):
        client = Client(v2_inet(address))
        client.hear()
        client.ask("MAIL FROM:<ann@stage.test>")
        answer = client.ask("RCPT TO:<joe@elsewhere.test>")
        assert answer.startswith(expected), (address, answer)
        client.close()
    print("%d headers believed; the access map sees whom they name" % len(rows))


def not_believed(stage):
    rows = [
        ("no header", b"EHLO x\r\n", "no PROXY header"),
        ("a wrong line", b"PROXY TCP4 1.2.3.4\r\n", "malformed PROXY header"),
        ("a line without end", b"PROXY TCP4 " + b"1" * 200, "PROXY header too long"),
        ("a wrong block", v2(1, 0x11, b"xx"), "malformed PROXY header"),
        ("a block too long", v2(1, 0x11, b"x" * 12, b"x" * 9000)[:3000], "PROXY header too long"),
        ("a local family", v2(1, 0x31, b"x" * 216), "PROXY header of another family"),
    ]
    for name, header, reason in rows:
        client = Client(header)
        assert client.hear() == "", name
        client.close()
        wait_until(name + " is logged",
                   lambda: stage.log.having("connection from [127.0.1.7] to daemon behind closed: " + reason))
    # Nothing at all, for long; and one who is no proxy, whatever it sends.
    began = time.monotonic()
    client = Client(b"PROXY TCP4 203.0")
    assert client.hear() == "" and 4 < time.monotonic() - began < 30
    client.close()
    wait_until("it is logged", lambda: stage.log.having("daemon behind closed: no PROXY header in time"))
    for header in (v1("203.0.113.9"), b""):
        client = Client(header, source="127.0.2.7")
        assert client.hear() == ""
        client.close()
    stranger = "[127.0.2.7] to daemon behind closed: not a trusted proxy"
    wait_until("strangers are logged", lambda: len(stage.log.having(stranger)) == 2)
    # A port that names no proxies takes the header for what it is: a command nobody knows.
    client = Client(b"", to=("127.0.0.1", 25))
    client.hear()
    assert client.ask(v1("203.0.113.9").decode().strip()).startswith("500 5.5.1 Command unrecognized"), "believed"
    assert "[127.0.1.7]" in client.ask("HELO x")
    client.close()
    print("%d wrong beginnings, silence and strangers are turned away" % len(rows))


def counted(stage):
    """The connections of one client are counted through two proxies together, those of others are not."""
    clients = [Client(v1("203.0.113.50"), source="127.0.1.%d" % (n % 2 + 1)) for n in range(6)]
    heard = sorted(c.hear()[:3] for c in clients)
    assert heard == 3 * ["220"] + 3 * ["421"], heard
    other = Client(v1("203.0.113.51"))
    assert other.hear().startswith("220")
    for client in clients + [other]:
        client.close()

    def is_served():
        client = Client(v1("203.0.113.50"))
        heard = client.hear()
        client.close()
        return heard.startswith("220")
    wait_until("the places are free again", is_served)
    print("ClientConn counts whom the header names")


def at_once(stage):
    """Many clients through one proxy at the same moment, some of whose headers never end."""
    stuck = [Client(b"PROXY TCP4 2") for _ in range(CLIENTS)]
    heard = []

    def come(n):
        header = v1("203.0.113.%d" % (100 + n)) if n % 2 else v2_inet("203.0.113.%d" % (100 + n))
        client = Client(header)
        client.hear()
        heard.append((n, client.ask("HELO x")))
        client.close()

    began = time.monotonic()
    threads = [threading.Thread(target=come, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    took = time.monotonic() - began
    assert len(heard) == CLIENTS and all("[203.0.113.%d]" % (100 + n) in text for n, text in heard), heard[:3]
    print("%d clients of one proxy in %.2f s, beside %d who never finish their header" % (CLIENTS, took, len(stuck)))
    assert took < 4, took
    for client in stuck:
        assert client.hear() == ""
        client.close()
