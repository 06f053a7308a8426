"""Each limit on clients holds when many run into it at once, says what the real program says, and lets go.

A row is one dialogue. All clients of a row come at the same time; all must hear the
same, in the time the limit takes. When they are gone, somebody else is served as
before. Answers and delays are those of the real program, which passes too.
"""
import os
import re
import resource
import signal
import socket
import threading
import time

from tools import wait_until

CLIENTS = 30
MX = "mx.stage.test"
FEATURES = """FEATURE(`greet_pause', `0')dnl
FEATURE(`ratecontrol', `nodelay', `terminate')dnl
FEATURE(`conncontrol', `nodelay', `terminate')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confMAX_DAEMON_CHILDREN', `0')dnl
define(`confSMTP_LOGIN_MSG', `mx')dnl
"""
ACCESS = "GreetPause:127.0.4\t2500\nClientRate:127.0.5.1\t5\nClientConn:127.0.6.1\t5\nClientRate:\t0\nClientConn:\t0\n"

HELLO = "220 mx ESMTP"
FROM, OK_FROM = "MAIL FROM:<ann@stage.test>", "250 2.1.0 <ann@stage.test>... Sender ok"
TO, OK_TO = "RCPT TO:<bob@stage.test>", "250 2.1.5 <bob@stage.test>... Recipient ok"
BAD, NO_USER = "RCPT TO:<nosuch@stage.test>", "550 5.1.1 <nosuch@stage.test>... User unknown"
RSET = ("RSET", "250 2.0.0 Reset state")
DATA = ("DATA", "354 End data with <CR><LF>.<CR><LF>")
NOOP = ("NOOP", "250 2.0.0 OK")
QUIT = ("QUIT", "221 2.0.0 %s closing connection" % MX)
ENVELOPE = [(FROM, OK_FROM), (TO, OK_TO), DATA]
TAKEN = "250 2.0.0 QUEUEID Message accepted for delivery"
TOO_MANY = "421 4.7.0 %s Too many bad commands; closing connection" % MX
NO_SPACE = "452 4.4.5 Insufficient disk space; try again later"
LONG_LINES = ("x" * 70 + "\r\n") * 40
# Stands for silence: the next thing heard comes by itself.
SILENCE = None

# Options that can be in force at once, each with its rows:
# (name, seconds it takes at least, what is said and heard, what the log has for each client).
GROUPS = [
    (["MaxRecipientsPerMessage=3", "MaxMessageSize=2000", "MaxHeadersLength=500", "MaxHopCount=3",
      "BadRcptThrottle=2", "MaxNOOPCommands=2",
      "MaxMimeHeaderLength=64/32"], [
        ("MaxRecipientsPerMessage", 0,
         [(FROM, OK_FROM)] + 3 * [(TO, OK_TO)] + 2 * [(TO, "452 4.5.3 Too many recipients")] +
         [RSET, (FROM, OK_FROM), (TO, OK_TO), DATA, ("Subject: x\r\n\r\nx\r\n.", TAKEN), QUIT], "Too many recipients"),
        ("MaxMessageSize declared", 0,
         [("HELO c.test", "250 %s Hello [127.0.9.N], pleased to meet you" % MX),
          (FROM + " SIZE=3000", "552 5.2.3 Message size exceeds fixed maximum message size (2000)"),
          (FROM + " SIZE=300", OK_FROM), QUIT], None),
        ("MaxMessageSize sent", 0,
         ENVELOPE + [("Subject: x\r\n\r\n" + LONG_LINES + ".", "552 5.2.3 Message exceeds maximum fixed size (2000)"),
                     NOOP] + ENVELOPE + [("Subject: x\r\n\r\nx\r\n.", TAKEN), QUIT], "exceeds maximum (2000)"),
        ("MaxHeadersLength", 0,
         ENVELOPE + [("X-Long: " + (LONG_LINES[:1000] + "\r\n").replace("\n", "\n ") + "\r\n\r\nx\r\n.", "552 5.6.0 Headers too large (500 max)")] +
         ENVELOPE + [("Subject: x\r\n\r\nx\r\n.", TAKEN), QUIT], "headers too large (500 max)"),
        ("MaxHopCount", 0,
         ENVELOPE + [("Received: from x by y\r\n" * 5 + "\r\nx\r\n.", TAKEN), QUIT], "Too many hops 6 (3 max)"),
        ("BadRcptThrottle", 2,
         [(FROM, OK_FROM)] + 3 * [(BAD, NO_USER)] + [(TO, OK_TO), QUIT], "Possible SMTP RCPT flood, throttling."),
        ("MaxNOOPCommands", 3, 3 * [NOOP] + [QUIT], "possible SMTP attack: command=NOOP, count=2"),
        ("HELO commands", 1,
         3 * [("HELO c.test", "250 %s Hello [127.0.9.N], pleased to meet you" % MX)] + [QUIT],
         "possible SMTP attack: command=HELO/EHLO, count=3"),
        ("VRFY commands", 1, 6 * [("VRFY bob", "250 2.1.5 Bob <bob@mx.stage.test>")] + [QUIT],
         "possible SMTP attack: command=VRFY, count=6"),
        ("ETRN commands", 1, 9 * [("ETRN far.test", "250 2.0.0 Queuing for node far.test started")] + [QUIT],
         "possible SMTP attack: command=ETRN, count=8"),
        ("MaxMimeHeaderLength", 0,
         ENVELOPE + [("Content-Type: text/plain; charset=" + "x" * 200 + "\r\n\r\nx\r\n.", TAKEN), QUIT],
         "Truncated MIME Content-Type header due to field size (length = 209) (possible attack)"),
        ("unknown commands", 0,
         25 * [("FOO", '500 5.5.1 Command unrecognized: "FOO"')] + [("FOO", TOO_MANY), (SILENCE, "")], None),
        ("length of a command line", 0,
         [("NOOP " + "x" * 3000, "421 4.7.0 %s Command too long, possible attack [127.0.9.N]" % MX), (SILENCE, "")],
         "SMTP violation, input too long: 3007"),
    ]),
    (["BadRcptShutdown=2", "MaxNOOPCommands=1", "MaxDaemonChildren=200", "Timeout.command=1s", "Timeout.datablock=1s"], [
        ("BadRcptShutdown", 0,
         [(FROM, OK_FROM)] + 2 * [(BAD, NO_USER)] +
         [(TO, "421 4.7.0 %s Too many bad recipients; closing connection" % MX), (SILENCE, "")],
         "Possible SMTP RCPT flood, shutting down connection."),
        ("twice a limit with MaxDaemonChildren", 3, [NOOP, ("NOOP", TOO_MANY), (SILENCE, "")],
         "possible SMTP attack: command=NOOP, count=1"),
        ("Timeout.command", 1, [RSET, (SILENCE, "")], "timeout waiting for input from"),
        ("Timeout.datablock", 1,
         ENVELOPE + [("Subject: half", "421 4.4.1 collect: relay=[127.0.9.N], from=<ann@stage.test>, info=read timeout"),
                     (SILENCE, "")], "info=read timeout"),
    ]),
    (["MinFreeBlocks=999999999"], [
        ("MinFreeBlocks", 0, [(FROM, NO_SPACE), (FROM + " SIZE=100", NO_SPACE), QUIT], "low on space"),
    ]),
]


class Client:
    """One client; keeps what it heard."""

    def __init__(self, source):
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", 25))
        self.lines = self.socket.makefile("rb")

    def hear(self):
        """One reply; nothing when the other end has closed."""
        try:
            while True:
                line = self.lines.readline().decode().rstrip("\r\n")
                if line[3:4] != "-":
                    return re.sub(r"\b[0-9A-Za-z]{8}\d{6}\b", "QUEUEID", line)
        except ConnectionError:
            return ""

    def say(self, text):
        if text is not SILENCE:
            self.socket.sendall(text.encode() + b"\r\n")

    def close(self):
        self.lines.close()
        self.socket.close()


def converse(source, dialogue, faults):
    try:
        client = Client(source)
        heard = client.hear()
        if heard != HELLO:
            faults.append((source, "(greeting)", heard))
        for said, expected in dialogue:
            client.say(said)
            heard = client.hear()
            if heard != expected.replace("127.0.9.N", source):
                faults.append((source, said and said[:60], heard, expected))
                break
        client.close()
    except OSError as e:
        faults.append((source, repr(e)))


def together(count, act):
    """Lets so many threads act at the same time; returns how long it took."""
    began = time.monotonic()
    threads = [threading.Thread(target=act, args=(n,)) for n in range(1, count + 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return time.monotonic() - began


def served(source="127.0.0.1"):
    """Whether a client can send a message now, with no delay."""
    faults, began = [], time.monotonic()
    converse(source, ENVELOPE + [("Subject: after\r\n\r\nx\r\n.", TAKEN), QUIT], faults)
    return not faults and time.monotonic() - began < 1


def set_load(average):
    with open("/proc/loadavg", "w") as f:
        f.write("%.2f 0.10 0.10 1/100 1\n" % average)


def run(stage):
    global CLIENTS
    if stage.is_real:
        CLIENTS = 8  # its backlog of ten loses more
    stage.maildir("bob")
    stage.configure(features=FEATURES, access=ACCESS)
    for options, rows in GROUPS:
        daemon = stage.daemon(*["-O" + option for option in options])
        for row in rows:
            many(stage, options, *row)
        stage.end_child(daemon)
    for check in (rate, connections, greet_pause, refuse_la, delay_la, queue_la, children_of_a_port):
        daemon = check(stage)
        stage.end_child(daemon)
    if not stage.is_real:
        stage.end_child(descriptors(stage))


def many(stage, options, name, seconds, dialogue, logged):
    faults = []
    before = len(stage.log.having(logged)) if logged else 0
    took = together(CLIENTS, lambda n: converse("127.0.9.%d" % n, dialogue, faults))
    print("%-40s %d clients, %.2f s" % (name, CLIENTS, took))
    assert not faults, (name, len(faults), faults[:3])
    # Side by side: together they take as long as one, not as long as all.
    assert seconds <= took < seconds + 20, (name, took)
    if logged:
        wait_until(name + " is logged for each", lambda: len(stage.log.having(logged)) - before >= CLIENTS)
    if "MinFreeBlocks=999999999" not in options:
        wait_until(name + ": somebody else is served as before", served)


def rate(stage):
    """ClientRate: so many connections in a minute; others are not touched."""
    daemon = stage.daemon()
    heard = []
    together(CLIENTS, lambda n: heard.append(greeting("127.0.5.1")))
    counts = {text: heard.count(text) for text in set(heard)}
    print("ClientRate 5:", counts)
    assert counts == {HELLO: 5, "421 4.3.2 Connection rate limit exceeded.": CLIENTS - 5}, counts
    wait_until("somebody else is served", served)
    assert greeting("127.0.5.1").startswith("421")
    return daemon


def connections(stage):
    """ClientConn: so many at a time; a place that becomes free is had at once."""
    daemon = stage.daemon()
    clients, heard = [], []

    def come(_):
        client = Client("127.0.6.1")
        clients.append(client)
        heard.append(client.hear())

    together(CLIENTS, come)
    counts = {text: heard.count(text) for text in set(heard)}
    print("ClientConn 5:", counts)
    # Those who are refused count for as long as they are there.
    assert set(counts) == {HELLO, "421 4.3.2 Too many open connections."}, counts
    assert counts[HELLO] == 5 if not stage.is_real else counts[HELLO] <= 5, counts
    wait_until("somebody else is served", served)
    for client in clients:
        client.close()
    wait_until("the places are free", lambda: greeting("127.0.6.1") == HELLO)
    return daemon


def greeting(source):
    client = Client(source)
    heard = client.hear()
    client.close()
    return heard


def greet_pause(stage):
    """Who waits for the greeting is served, who talks before is not."""
    daemon = stage.daemon()
    heard = []

    def early(n):
        client = Client("127.0.4.%d" % n)
        client.say("HELO early.test")
        heard.append((client.hear(), client.hear()[:3], ask(client, FROM)))
        client.close()

    def ask(client, text):
        client.say(text)
        return client.hear()

    faults = []
    took = together(CLIENTS, lambda n: converse("127.0.4.%d" % (100 + n), ENVELOPE[:2] + [QUIT], faults))
    assert not faults and 2.5 <= took < 20, (took, faults[:3])
    together(CLIENTS, early)
    expected = ("554 %s ESMTP not accepting messages" % MX, "250", "550 5.0.0 Command rejected")
    print("greet_pause: %d clients waited and were served in %.2f s, %d did not wait" % (CLIENTS, took, len(heard)))
    assert heard == CLIENTS * [expected], heard[:3]
    wait_until("somebody else is served", served)
    return daemon


def refuse_la(stage):
    """A busy machine turns clients away so that they try elsewhere, and takes them when it is not."""
    daemon = stage.daemon("-ORefuseLA=12")
    set_load(12.4)
    refused = lambda: not is_connected()
    wait_until("clients are refused", refused)
    wait_until("the reason is logged",
               lambda: stage.log.having("rejecting connections on daemon MTA-v4: load average: 12"))
    count = []
    together(CLIENTS, lambda n: count.append(refused()))
    print("RefuseLA: %d of %d refused" % (sum(count), CLIENTS))
    assert all(count)
    set_load(0.1)
    # The real program looks again after 15 s at the latest, ours after five.
    wait_until("clients are served again", lambda: is_connected() and served())
    return daemon


def is_connected():
    try:
        with socket.create_connection(("127.0.0.1", 25), 5):
            return True
    except OSError:
        return False


def delay_la(stage):
    """A busy machine takes a second for each command that costs something."""
    daemon = stage.daemon("-ODelayLA=5")
    set_load(6)
    time.sleep(1.1)  # the load is looked at once a second
    faults = []
    took = together(CLIENTS, lambda n: converse("127.0.9.%d" % n, ENVELOPE[:2] + [RSET, QUIT], faults))
    print("DelayLA: %d clients, three commands, %.2f s" % (CLIENTS, took))
    # The real program takes a second for a connection now and then, too.
    assert not faults and 2 <= took < 25, (took, faults[:3])
    assert len(stage.log.having("delaying=MAIL, load average=6 >= 5")) == CLIENTS
    assert stage.log.having("delaying connections on daemon MTA-v4: load average=6 >= 5")
    set_load(0.1)
    wait_until("clients are served without delay", served)
    return daemon


def queue_la(stage):
    """A busy machine accepts mail and leaves it in the queue; a queue run delivers it later."""
    daemon = stage.daemon("-OQueueLA=5", "-OQueueFactor=100")
    # Ours leaves what was under way at the end of the former daemon to a queue run.
    wait_until("the queue is empty", lambda: stage.run(["sendmail", "-q"], check=0) and not stage.queue_files())
    before = len(stage.messages("bob"))
    set_load(60)
    time.sleep(1.1)  # the load is looked at once a second
    faults = []
    together(CLIENTS, lambda n: converse("127.0.9.%d" % n, ENVELOPE + [("Subject: busy\r\n\r\nx\r\n.", TAKEN), QUIT], faults))
    assert not faults, faults[:3]
    time.sleep(0.5)
    waiting = sum(name.startswith("qf") for name in stage.queue_files())
    print("QueueLA: %d messages wait" % waiting)
    assert waiting == CLIENTS and len(stage.messages("bob")) == before
    set_load(0.1)
    stage.run(["sendmail", "-q"], check=0)
    wait_until("all are delivered", lambda: len(stage.messages("bob")) == before + CLIENTS)
    return daemon


def children_of_a_port(stage):
    """children= of one port holds for it and not for another."""
    # Ports of the command line take the place of those in the file.
    daemon = stage.daemon("-ODaemonPortOptions=Name=many, Addr=127.0.0.1",
                          "-ODaemonPortOptions=Name=few, Addr=127.0.0.1, Port=2525, children=5")
    held = []
    for _ in range(5):
        s = socket.create_connection(("127.0.0.1", 2525), 10)
        assert s.recv(99).startswith(b"220")
        held.append(s)

    def is_greeted():
        try:
            with socket.create_connection(("127.0.0.1", 2525), 5) as s:
                s.settimeout(1)
                return s.recv(99).startswith(b"220")
        except OSError:
            return False

    assert not is_greeted(), "a sixth was let in"
    wait_until("the reason is logged", lambda: stage.log.having("rejecting connections on daemon few: 5 children, max 5"))
    wait_until("another port is served as before", served)
    held.pop().close()
    wait_until("a free place is used", is_greeted)
    print("children=5: the sixth waits, another port does not")
    for s in held:
        s.close()
    return daemon


def descriptors(stage):
    """With few descriptors few sessions are let in, and more when those are gone."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    daemon = stage.spawn(["sendmail", "-bD"], preexec_fn=few)
    wait_until("the daemon listens", stage.listens)
    held, count = [], 0
    for _ in range(80):
        s = socket.create_connection(("127.0.0.1", 25), 10)
        s.settimeout(2)
        held.append(s)
        try:
            count += s.recv(99).startswith(b"220")
        except TimeoutError:
            if count < len(held) - 3:
                break
    print("256 descriptors: %d sessions" % count)
    assert 20 < count < 80, count
    wait_until("the reason is logged", lambda: stage.log.having("rejecting connections on daemon MTA-v4: too few file descriptors"))
    for s in held:
        s.close()
    wait_until("clients are served as before", served)
    return daemon
