"""Ports of all families, -bs on any descriptor, and the control socket: as with the real program.

What a ruleset sees of a connection is written down by a map of class syslog.
"""
import os
import re
import socket
import stat
import subprocess
import time

from stage import write
from tools import wait_until

NAMES = ("client_addr client_name client_ptr client_resolve client_port client_rate client_connections total_rate "
         "daemon_name daemon_family daemon_addr daemon_port daemon_flags daemon_info if_name if_addr if_family").split()
PORTS = """O DaemonPortOptions=Family=inet6, Name=six, Addr=::1, Port=26, M=Ef
O DaemonPortOptions=Family=local, Name=loc, Addr=/run/smtp.sock
O DaemonPortOptions=Port=2527, Name=any, M=C
O DaemonPortOptions=Family=inet6, Port=2528, Name=any6
O DaemonPortOptions=Port=2530, Addr=localhost
"""
RULES = ("LOCAL_CONFIG\n" + PORTS + "Kl syslog -Lnotice\nLOCAL_RULESETS\nSLocal_check_mail\nR$*\t$: $1 $(l SEEN _=<$&_> $)\n" +
         "".join("R$*\t$: $1 $(l SEEN %s=<$&{%s}> $)\n" % (n, n) for n in NAMES) +
         "R$*\t$#error $@ 5.7.1 $: 550 seen\n")
FEATURES = ("define(`confCONNECTION_RATE_THROTTLE', `0')dnl\ndefine(`confSMTP_LOGIN_MSG', `mx')dnl\n"
            "define(`confCONTROL_SOCKET_NAME', `/run/control')dnl\n")
HELP = "#vers 2\nsmtp\tTopics\ncontrol\tcontrol help\ncontrol\tsecond line\nstatus\tabout status\n"
V4, V6 = socket.AF_INET, socket.AF_INET6
SIX = "IPv6:0:0:0:0:0:0:0:1"
UNIX = "[UNIX:/run/smtp.sock]"

# name, where to, where from, what a ruleset sees: in the order of NAMES, `*` for any port number.
CONNECTIONS = [
    ("IPv4", V4, ("127.0.0.1", 25), "127.0.5.5",
     ["127.0.5.5", "[127.0.5.5]", "[127.0.5.5]", "FAIL", "*", "1", "1", "2",
      "MTA-v4", "inet", "127.0.0.1", "25", "", "SMTP", "localhost", "", ""], "[127.0.5.5]"),
    ("the same client again", V4, ("127.0.0.1", 25), "127.0.5.5",
     ["127.0.5.5", "[127.0.5.5]", "[127.0.5.5]", "FAIL", "*", "2", "*", "3",
      "MTA-v4", "inet", "127.0.0.1", "25", "", "SMTP", "localhost", "", ""], "[127.0.5.5]"),
    ("IPv6", V6, ("::1", 26), "::1",
     [SIX, "ip6-localhost", "ip6-localhost", "OK", "*", "1", "1", "4",
      "six", "inet6", SIX, "26", "EE.f", "SMTP", "ip6-localhost", "", ""], "ip6-localhost[%s]" % SIX),
    ("any address of IPv4", V4, ("10.7.7.7", 2527), "10.7.7.7",
     ["10.7.7.7", "[10.7.7.7]", "[10.7.7.7]", "FAIL", "*", "1", "1", "5",
      "any", "inet", "0.0.0.0", "2527", "CC", "SMTP", "[10.7.7.7]", "10.7.7.7", "2"], "[10.7.7.7]"),
    ("any address of IPv6", V6, ("fd00::7", 2528), "fd00::7",
     ["IPv6:fd00:0:0:0:0:0:0:7", "[IPv6:fd00:0:0:0:0:0:0:7]", "[IPv6:fd00:0:0:0:0:0:0:7]", "FAIL", "*", "1", "1", "6",
      "any6", "inet6", "IPv6:0:0:0:0:0:0:0:0", "2528", "", "SMTP", "[IPv6:fd00:0:0:0:0:0:0:7]", "IPv6:fd00:0:0:0:0:0:0:7",
      "10"], "[IPv6:fd00:0:0:0:0:0:0:7]"),
    ("without a name, address by name", V4, ("127.0.0.1", 2530), "127.0.5.6",
     ["127.0.5.6", "[127.0.5.6]", "[127.0.5.6]", "FAIL", "*", "1", "1", "7",
      "Daemon4", "inet", "127.0.0.1", "2530", "", "SMTP", "localhost", "", ""], "[127.0.5.6]"),
    ("local socket", socket.AF_UNIX, "/run/smtp.sock", None,
     ["[UNIX:localhost]", "localhost", "localhost", "OK", "0", "0", "1", "8",
      "loc", "local", UNIX, "25", "", "SMTP", "[%s]" % UNIX, UNIX, "1"], "localhost[[UNIX:localhost]]"),
]


def talk(s):
    """A short dialogue; returns the last line of each reply."""
    s.settimeout(60)
    lines, heard = s.makefile("rb"), []
    for text in (None, "HELO x", "MAIL FROM:<>", "QUIT"):
        if text:
            s.sendall(text.encode() + b"\r\n")
        heard.append(lines.readline().decode().strip())
    lines.close()
    return heard


def run(stage):
    write("/etc/hosts", "127.0.0.1 localhost\n::1 ip6-localhost\n127.0.0.1 mx.stage.test mx\n")
    write("/etc/mail/helpfile", HELP)
    for address in ("10.7.7.7/32", "fd00::7/128"):
        subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
    # An address of its own may take a moment to be usable.
    wait_until("the address is there", lambda: bindable("fd00::7"))
    stage.configure(local=RULES, features=FEATURES)
    daemon = stage.daemon("-OHelpFile=/etc/mail/helpfile")
    seen = Seen(stage)
    for name, family, to, source, values, shown in CONNECTIONS:
        with socket.socket(family) as s:
            if source:
                s.bind((source, 0))
            s.connect(to)
            heard = talk(s)
        assert heard[2] == "550 5.7.1 <>... seen", (name, heard)
        seen.expect(name, shown, values)
    print("%d connections seen as they should" % len(CONNECTIONS))
    control(stage, daemon)
    descriptors(stage, seen)


def bindable(address):
    try:
        with socket.socket(V6) as s:
            s.bind((address, 0))
            return True
    except OSError:
        return False


class Seen:
    """What the map of class syslog wrote, connection by connection."""

    def __init__(self, stage):
        self.stage = stage
        self.at = 0

    def expect(self, name, shown, values):
        def found():
            lines = self.stage.log.lines[self.at:]
            got = dict(m for line in lines for m in re.findall(r"SEEN.(\w+)=<(.*)>", line))
            return got if len(got) == len(NAMES) + 1 else None
        got = wait_until(name + " is seen", found)
        self.at = len(self.stage.log.lines)
        wanted = dict(zip(NAMES, values), _=shown)
        wrong = {n: (got[n], w) for n, w in wanted.items() if got[n] != w and not (w == "*" and got[n].isdigit())}
        assert not wrong, (name, wrong)


def ask(question):
    """Asks the control socket and returns all it says."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect("/run/control")
        s.sendall(question)
        s.shutdown(socket.SHUT_WR)
        said = b""
        while True:
            more = s.recv(4096)
            if not more:
                return said.decode()
            said += more


def control(stage, daemon):
    # The real program names one process more: the one that answers.
    child = "(%d|\\d+) (accepting connections|console socket child|control socket server child)\r\n" % daemon.pid
    status = r"\d/0/\d{4,}/0\r\n(%s)+" % child
    machine = r"C:\d\r\nM:0\r\nL:0\r\nQ:NOTCONFIGURED:-1\r\nD:0/\./\d{4,}\r\n(P:%s)+" % child
    help_text = "214-2.0.0 control help\r\n214-2.0.0 second line\r\n214 2.0.0 End of HELP info\r\n"
    memory = re.escape("Memory dump unavailable.\r\nTo fix, run sendmail with -dsm_check_heap.4\r\n")
    for question, answer in [
            ("help\n", help_text), ("help status\n", help_text), ("status\n", status), ("STATUS\r\n", status),
            ("status extra\n", status), ("mstat\n", machine), ("memdump\n", memory),
            ("\n", r"Bad command \(\)\r\n"), ("", ""), ("foo\n", r"Bad command \(foo\)\r\n"),
            ("foo bar\n", r"Bad command \(foo\)\r\n"), ("stat\n", r"Bad command \(stat\)\r\n"),
            ("x" * 500 + "\n", r"Bad command \(x{500}\)\r\n")]:
        said = ask(question.encode())
        assert re.fullmatch(answer, said), (question, said)
    mode = os.stat("/run/control").st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, oct(mode)
    assert ask(b"restart\n") == "OK\r\n"
    wait_until("it starts again", lambda: stage.log.having("restarting", "due to control socket"))
    wait_until("it listens and answers again", lambda: stage.listens() and os.path.exists("/run/control"))
    time.sleep(0.2)
    assert daemon.poll() is None
    assert ask(b"shutdown\n") == "OK\r\n"
    wait_until("it ends", lambda: daemon.poll() is not None)
    assert not os.path.exists("/run/control") and not os.path.exists("/run/smtp.sock")
    print("13 questions to the control socket, restart and shutdown")


def served_by_inetd(family, address, *flags):
    """Serves one connection as a super-server would: the socket is standard input and output."""
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        client = socket.socket(family)
        client.connect(address)
        ours, _ = listener.accept()
    return served_on(client, ours, *flags)


def served_on(client, ours, *flags):
    with ours:
        child = subprocess.Popen(["sendmail", "-bs", "-Am", *flags], stdin=ours, stdout=ours)
    with client:
        heard = talk(client)
    return heard, child.wait(60)


def descriptors(stage, seen):
    # Neither rates nor a port: only the flags of direct submission.
    unknown = 7 * [""] + ["c.u"] + 4 * [""]
    for name, serve, client, shown in [
            ("inetd, IPv4", lambda: served_by_inetd(V4, ("127.0.0.1", 2601)),
             ["127.0.0.1", "localhost", "localhost", "", "*"], "localhost[127.0.0.1]"),
            ("inetd, IPv6", lambda: served_by_inetd(V6, ("::1", 2601)),
             [SIX, "ip6-localhost", "ip6-localhost", "", "*"], "ip6-localhost[%s]" % SIX),
            ("inetd, IPv6 written short", lambda: served_by_inetd(V6, ("::1", 2602), "-OUseCompressedIPv6Addresses=True"),
             ["IPv6:::1", "ip6-localhost", "ip6-localhost", "", "*"], "ip6-localhost[IPv6:::1]"),
            ("inetd, local socket", lambda: served_by_inetd(socket.AF_UNIX, "/tmp/inetd"),
             ["[UNIX:localhost]", "localhost", "localhost", "", "0"], "localhost[[UNIX:localhost]]"),
            ("socket pair", lambda: served_on(*socket.socketpair()),
             ["[UNIX:localhost]", "localhost", "localhost", "", "0"], "localhost[[UNIX:localhost]]")]:
        heard, status = serve()
        assert heard[0] == "220 mx ESMTP" and heard[2] == "550 5.7.1 <>... seen" and heard[3][:3] == "221", (name, heard)
        assert status == 65, (name, status)
        seen.expect(name, shown, client + unknown)
    # Whoever talks before he is spoken to: a pipe and a file.
    early = "HELO x\r\nMAIL FROM:<>\r\nQUIT\r\n"
    refused = ["220 mx ESMTP", "554 5.5.0 SMTP protocol error", "550 5.0.0 Command rejected",
               "221 2.0.0 mx.stage.test closing connection"]
    done = stage.run(["sendmail", "-bs", "-Am"], text=early, check=0)
    assert done.stdout.decode().split("\r\n")[:-1] == refused, done.stdout
    write("/tmp/dialogue", early)
    with open("/tmp/dialogue", "rb") as f:
        done = subprocess.run(["sendmail", "-bs", "-Am"], stdin=f, capture_output=True)
    assert done.stdout.decode().split("\r\n")[:-1] == refused and done.returncode == 0, done
    print("-bs on sockets of three families, a socket pair, a pipe and a file")
