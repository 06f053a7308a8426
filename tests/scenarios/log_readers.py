"""fail2ban, logwatch and logcheck count the same in our log as in the real program's.

Both programs get the same traffic, one after the other; the filters, the script
and the rules are those of the Debian packages.
"""
# needs: trees/.have-readers root/usr/sbin/saslpasswd2
import base64
import difflib
import glob
import os
import re
import smtplib
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from servers import TREES
from sink import Sink
from stage import write
from tools import PEERS, REAL_SENDMAIL, wait_until

READERS = TREES + "readers"
LOGCHECK = PEERS + "/etc/logcheck/"

FEATURES = """FEATURE(`delay_checks')dnl
FEATURE(`greet_pause', `2500')dnl
FEATURE(`ratecontrol', `nodelay', `terminate')dnl
FEATURE(`conncontrol', `nodelay', `terminate')dnl
define(`confMAX_RCPTS_PER_MESSAGE', `3')dnl
define(`confMAX_MESSAGE_SIZE', `20000')dnl
define(`confMAX_HOP', `5')dnl
define(`confBAD_RCPT_THROTTLE', `2')dnl
define(`confPRIVACY_FLAGS', `authwarnings,novrfy,noexpn,restrictqrun')dnl
define(`confAUTH_MECHANISMS', `CRAM-MD5 LOGIN PLAIN')dnl
define(`confTO_COMMAND', `5s')dnl
define(`confTO_CONNECT', `2s')dnl
define(`confTO_ICONNECT', `2s')dnl
define(`confTO_RESOLVER_RETRANS', `10s')dnl
define(`confTO_RESOLVER_RETRY', `1')dnl
define(`confCONNECTION_RATE_WINDOW_SIZE', `60s')dnl
"""

ACCESS = """GreetPause:127.0.0.1\t0
GreetPause:127.0.7\t0
GreetPause:127.0.7.7\t2500
ClientRate:127.0.7.8\t2
ClientConn:127.0.7.9\t1
ClientRate:\t0
ClientConn:\t0
From:spam@sinks.test\tREJECT
From:worded@sinks.test\tERROR:5.7.1:"550 Rejected: we know you"
From:quiet@sinks.test\tDISCARD
From:later@sinks.test\tERROR:4.7.1:"450 come back later"
Connect:127.0.7.21\tREJECT
To:nobody-here@stage.test\tREJECT
"""

HELLO = "Subject: hello\r\n\r\nhello\r\n"


class Client:
    """A client at an address of its own that says what it likes."""

    def __init__(self, number, waits=True):
        self.socket = socket.create_connection(("127.0.0.1", 25), 60, ("127.0.7.%d" % number, 0))
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply() if waits else None

    def reply(self):
        lines = []
        while True:
            line = self.file.readline()
            lines.append(line)
            if len(line) < 4 or line[3:4] != b"-":
                return b"".join(lines).decode("latin-1")

    def say(self, *commands):
        answer = ""
        for command in commands:
            try:
                self.socket.sendall(command.encode("latin-1") + b"\r\n")
                answer = self.reply()
            except ConnectionError:
                return ""
        return answer

    def quit(self):
        self.say("QUIT")
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def message(number, sender, *recipients, text=HELLO, more=""):
    client = Client(number)
    client.say("EHLO client.test", "MAIL FROM:<%s>%s" % (sender, more),
               *["RCPT TO:<%s>" % recipient for recipient in recipients])
    if client.say("DATA").startswith("354"):
        client.socket.sendall(text.encode("latin-1"))
        client.say(".")
    client.quit()


GOOD = "ann@sinks.test"


def talk(number, *commands):
    client = Client(number)
    client.say("EHLO client.test", *commands)
    client.quit()


def refused():
    for number, sender, *recipients in (
            (1, GOOD, "joe@elsewhere.test"), (1, GOOD, "joe@elsewhere.test"), (2, GOOD, "joe@elsewhere.test"),
            (3, GOOD, "joe@elsewhere.test", "bob@stage.test"),
            (4, GOOD, "no.such.user@stage.test", "nor.such@stage.test"),
            (5, "ann@absent.test", "bob@stage.test"), (5, "ann@failing.test", "bob@stage.test"),
            (5, "unqualified", "bob@stage.test"), (6, "spam@sinks.test", "bob@stage.test"),
            (6, "worded@sinks.test", "bob@stage.test"), (6, "quiet@sinks.test", "bob@stage.test"),
            (6, "later@sinks.test", "bob@stage.test"), (21, GOOD, "bob@stage.test"),
            (22, GOOD, "nobody-here@stage.test")):
        message(number, sender, *recipients)


def strange():
    message(23, GOOD, "joe@stage.test.elsewhere@stage.test", "<>", "a b@stage.test", "x" * 300 + "@stage.test")
    talk(16, "NONSENSE", "HELO", "MAIL", "RCPT TO:<bob@stage.test>", "DATA", "MAIL FROM:<ann@sinks.test> BODY=9BIT",
         "AUTH LOGIN", "AUTH PLAIN AHgAeQ==")


def logins():
    def word(text):
        return base64.b64encode(text.encode()).decode()

    right, wrong, nobody = (word("\0" + text) for text in ("ann\0secret", "ann\0guess", "nosuch\0guess"))
    talk(24, *["AUTH PLAIN " + wrong] * 5, "AUTH PLAIN " + nobody, "AUTH PLAIN " + word("ann"), "AUTH PLAIN x",
         "AUTH LOGIN", word("ann"), word("guess"), "AUTH LOGIN", word("nosuch"), word("x"), "AUTH LOGIN", "*",
         "AUTH CRAM-MD5", word("ann 0123456789abcdef0123456789abcdef"))
    talk(25, "AUTH PLAIN " + right, "MAIL FROM:<%s> AUTH=joe" % GOOD, "RCPT TO:<bob@stage.test>", "DATA", HELLO + ".")
    # From a client whose name leads elsewhere.
    talk(3, "AUTH PLAIN " + wrong)
    talk(26, *["AUTH FOO"] * 12)


def too_early():
    client = Client(7, waits=False)
    client.say("EHLO too.early")
    client.say("MAIL FROM:<%s>" % GOOD)
    client.quit()


def too_often():
    for _ in range(4):
        Client(8).quit()
    held = [Client(9) for _ in range(3)]
    for client in held:
        client.close()


def nosy():
    talk(10, "VRFY bob", "EXPN staff", "VRFY <root>", "ETRN x.test")


def floods():
    talk(15, *["NOOP"] * 21)


def guesses():
    talk(15, *["VRFY root"] * 7)


def knocks():
    talk(11)
    Client(11).close()


def lost():
    for commands in ((), ("RCPT TO:<bob@stage.test>",), ("RCPT TO:<bob@stage.test>", "DATA")):
        client = Client(12)
        client.say("EHLO client.test", "MAIL FROM:<%s>" % GOOD, *commands)
        if commands and commands[-1] == "DATA":
            client.socket.sendall(b"Subject: cut off\r\n\r\nhalf a")
            time.sleep(0.1)
        client.close()


def too_many():
    message(13, GOOD, *["bob@stage.test"] * 2, "cid@stage.test", "ann@stage.test", "root@stage.test", "u1@stage.test")
    talk(20, "MAIL FROM:<%s>" % GOOD, *["RCPT TO:<nobody%d@stage.test>" % n for n in range(4)])


def delivered():
    for number in range(3):
        message(14, GOOD, "bob@stage.test", "cid@stage.test", text="Subject: %d\r\n\r\n%s" % (number, "x\r\n" * 50))
    message(14, "", "bob@stage.test")


def too_large():
    message(17, GOOD, "bob@stage.test", text="Subject: big\r\n\r\n" + ("y" * 70 + "\r\n") * 400)
    message(17, GOOD, "bob@stage.test", more=" SIZE=99999999")


def in_circles():
    for sender in (GOOD, "ann@stage.test"):
        message(18, sender, "bob@stage.test", text="Received: by x\r\n" * 9 + HELLO)


def too_slow():
    client = Client(19)
    client.say("EHLO client.test")
    # The other side has enough after five seconds.
    client.file.read()
    client.close()


def outward():
    """Taken, refused, put off, nobody listens, no such host, nobody knows the host."""
    for recipients in (["joe@sinks.test"], ["bad@sinks.test", "joe@sinks.test"], ["slow@sinks.test"],
                       ["joe@dead.test"], ["joe@absent.test"], ["joe@failing.test"]):
        with smtplib.SMTP("127.0.0.1", 25, timeout=30) as own:
            own.sendmail("ann@stage.test", recipients, HELLO)


def traffic():
    """What a mail server sees in a day, each kind from an address of its own."""
    kinds = (logins, outward, too_slow, in_circles, floods, guesses, too_many, too_early, too_often, refused, strange, nosy,
             knocks, lost, delivered, too_large)
    with ThreadPoolExecutor(7) as pool:
        for done in [pool.submit(kind) for kind in kinds]:
            done.result()


def settle(stage):
    """Waits until nobody is connected or works on the queue, and the log stands still."""
    def is_still():
        seen = len(stage.log.lines)
        time.sleep(0.7)
        return not connections() and not locks() and seen == len(stage.log.lines)
    wait_until("the log stands still", is_still, 120)


def connections():
    """Connections with port 25 of either end that are open."""
    with open("/proc/net/tcp") as f:
        fields = [line.split() for line in f][1:]
    return [f for f in fields if f[3] in ("01", "08") and ":0019" in (f[1][-5:], f[2][-5:])]


def locks():
    """Locks on files of the queue."""
    files = {os.stat(path).st_ino for path in glob.glob("/var/spool/mqueue/*") if os.path.exists(path)}
    with open("/proc/locks") as f:
        return [line for line in f if int(line.split()[-3].rsplit(":", 1)[1]) in files]


def play(stage, program):
    """The log of the traffic with one program."""
    # What setting up logged may still be on its way.
    settle(stage)
    start = len(stage.log.lines)
    daemon = stage.daemon(program=program)
    traffic()
    settle(stage)
    stage.end_child(daemon)
    for name in os.listdir("/var/spool/mqueue"):
        os.unlink("/var/spool/mqueue/" + name)
    # As the log daemon writes it: no priority, and the host in front of the program.
    return [re.sub(r"^<\d+>(.{15}) ", r"\1 mx ", line) for line in stage.log.lines[start:]]


def general(line):
    """What differs from run to run, replaced."""
    line = re.sub(r"\b[0-9][A-Za-z0-9]{7}\w{6}\b|\b[0-9A-Z]{8}\d{6}\b", "ID", line)
    line = re.sub(r"^.{15} mx sendmail\[\d+\]", "sendmail", line)
    line = re.sub(r"=\d+:\d\d:\d\d|=\d\d:\d\d:\d\d", "=TIME", line)
    line = re.sub(r"\b\d{12}\.ID@", "ID@", line)
    line = re.sub(r"pri=\d+", "pri=N", line)
    return re.sub(r"8\.\d+\.\d+\.\d+", "VERSION", line)


def run_reader(*arguments, text=None, environment=()):
    done = subprocess.run(arguments, input=text, capture_output=True, env={**os.environ, **dict(environment)})
    assert done.returncode in (0, 1), (arguments, done.returncode, done.stderr.decode())
    return done.stdout.decode("latin-1")


def fail2ban(path, name):
    packages = READERS + "/usr/lib/python3/dist-packages"
    said = run_reader("/usr/bin/python3", READERS + "/usr/bin/fail2ban-regex", "-v", path,
                      READERS + "/etc/fail2ban/filter.d/" + name,
                      environment={"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}.items())
    assert "Failregex: " in said, said
    # Times of day stand behind the addresses that matched.
    kept = [re.sub(r"  \w{3} \w{3} \d\d .*", "", line) for line in said[said.index("Failregex: "):].split("\n")]
    # Addresses stand in the order of the log.
    return sorted(line for line in kept if line.startswith(("Failregex:", "Ignoreregex:", "|"))
                  and "LN-BEG" not in line)


def logwatch(path):
    scripts = READERS + "/usr/share/logwatch/scripts/"
    with open(path, "rb") as f:
        text = f.read()
    text = run_reader("perl", scripts + "shared/removeheaders", text=text).encode("latin-1")
    said = run_reader("perl", "-I" + READERS + "/usr/share/logwatch/lib", scripts + "services/sendmail", text=text,
                      environment={"LOGWATCH_DETAIL_LEVEL": "20", "LOGWATCH_DEBUG": "0"}.items())
    assert "messages" in said.lower(), said
    # Lines with equal counts stand in the order of a hash.
    return sorted(general(line) for line in said.split("\n"))


def logcheck(path):
    """What the rules leave over for a person to read."""
    left = run_reader("grep", "-Evf", LOGCHECK + "ignore.d.server/sendmail", path)
    alarms = run_reader("grep", "-Evf", LOGCHECK + "violations.ignore.d/logcheck-sendmail", path)
    return ["left %d" % left.count("\n"), "not excused %d" % alarms.count("\n")] + \
        sorted(general(line) for line in left.split("\n"))


def run(stage):
    for name in ("elsewhere.test", "dead.test"):
        stage.zone[name] = [("MX", 10, "mx." + name)]
        stage.zone["mx." + name] = [("A", "127.0.8.9")]
    stage.zone["sinks.test"] = [("MX", 10, "mx.sinks.test")]
    stage.zone["mx.sinks.test"] = [("A", "127.0.8.1")]
    stage.zone["failing.test"] = "SERVFAIL"
    for number in range(1, 30):
        name = "client%d.test" % number
        if number != 2:
            stage.zone["%d.7.0.127.in-addr.arpa" % number] = [("PTR", name)]
        stage.zone[name] = [("A", "127.0.8.8" if number == 3 else "127.0.7.%d" % number)]
    Sink("127.0.8.1", rcpt={"bad@": "550 5.1.1 no such user", "slow@": "451 4.2.1 later"})
    stage.configure(features=FEATURES, access=ACCESS, aliases="postmaster: root\nstaff: bob, cid\n")
    for user in ("bob", "cid", "ann", "root"):
        stage.maildir(user)
    stage.run([PEERS + "/usr/sbin/saslpasswd2", "-p", "-c", "-u", "mx.stage.test", "ann"], text="secret", check=0)
    logs = {}
    for who, program in (("real", REAL_SENDMAIL), ("ours", "/usr/sbin/sendmail")):
        logs[who] = play(stage, program)
        write("/var/log/%s.log" % who, "\n".join(logs[who]) + "\n")
    faults = []
    for what, read in (("fail2ban reject", lambda p: fail2ban(p, "sendmail-reject.conf[mode=aggressive]")),
                       ("fail2ban auth", lambda p: fail2ban(p, "sendmail-auth.conf")),
                       ("logwatch", logwatch), ("logcheck", logcheck)):
        real, ours = read("/var/log/real.log"), read("/var/log/ours.log")
        difference = list(difflib.unified_diff(real, ours, "real", "ours", lineterm="", n=0))
        print("%s: %d lines, %d differ" % (what, len(real), len(difference)))
        if difference:
            faults.append(what)
            print("\n".join(difference))
    if faults:
        real, ours = (sorted(map(general, logs[who])) for who in ("real", "ours"))
        print("--- the logs ---", *difflib.unified_diff(real, ours, "real", "ours", lineterm="", n=0), sep="\n")
    assert not faults, faults
