"""Many at once: five hundred clients in a moment, and hundreds of messages for hosts that are slow."""
import fcntl
import glob
import os
import selectors
import signal
import socket
import threading
import time

from stage import write
from tools import wait_until

CLIENTS = 500
MESSAGES = 150
# What our program allows itself with one host.
MOST_SESSIONS = 20
LOAD = "0.10 0.10 0.10 %d/100 1\n"
SLOW = """MAILER_DEFINITIONS
Mslow, P=/bin/sh, F=lsDFMqn, S=EnvFromL, R=EnvToL, A=sh /etc/slow $u
LOCAL_RULE_0
R$* < @ slow.test . > $*	$#slow $: $1
R$* < @ slow.test > $*	$#slow $: $1
"""


# Takes two seconds, or as long as somebody has the file locked.
SLOWLY = """cat >/dev/null
if [ -e /tmp/held ]; then flock -s /tmp/held true; else sleep 2; fi
echo x >>/tmp/slow.done
"""


class Slow:
    """Takes messages over SMTP, one in a while, and counts who is there at a time.

    While `is_open` is not set it lets all of them wait at the end of their messages.
    """

    def __init__(self, address, seconds):
        self.seconds, self.here, self.most, self.taken = seconds, 0, 0, 0
        self.lock, self.is_open = threading.Lock(), threading.Event()
        self.is_open.set()
        self.socket = socket.create_server((address, 25), backlog=400)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def count(self, more):
        with self.lock:
            self.here += more
            self.most = max(self.most, self.here)

    def talk(self, connection):
        self.count(1)
        is_counted = True
        try:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 slow ESMTP\r\n")
                for line in lines:
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        connection.sendall(b"354 go\r\n")
                        while lines.readline() not in (b".\r\n", b""):
                            pass
                        self.is_open.wait()
                        time.sleep(self.seconds)
                        with self.lock:
                            self.taken += 1
                    if verb == b"QUIT":
                        # Before the reply: who hears it may open the next session at once.
                        self.count(-1)
                        is_counted = False
                        connection.sendall(b"221 bye\r\n")
                        break
                    connection.sendall(b"250 ok\r\n")
        except OSError:
            pass
        finally:
            self.count(-1 if is_counted else 0)


def run(stage):
    stage.maildir("bob")
    write("/etc/slow", SLOWLY)
    features = "define(`confCONNECTION_RATE_THROTTLE', `0')dnl\ndefine(`confMAX_DAEMON_CHILDREN', `0')dnl"
    stage.zone["far.test"] = [("A", "127.0.1.1")]
    stage.zone["near.test"] = [("A", "127.0.1.2")]
    stage.configure(features=features, local=SLOW,
                    access="Connect:127.0.0.1\tRELAY\n", delivery="")
    daemon = stage.daemon()
    clients(stage, daemon)
    one_host(stage)
    stage.end_child(daemon)
    if not stage.is_real:
        programs(stage)


def clients(stage, daemon):
    """Connects five hundred clients while the daemon has no time at all, and has each of them greeted."""
    os.kill(daemon.pid, signal.SIGSTOP)
    sockets = []
    for _ in range(CLIENTS):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", 25))
        sockets.append(s)
    if not stage.is_real:
        wait_until("the kernel has a place for all of them", lambda: all(map(is_connected, sockets)))
    connected = sum(is_connected(s) for s in sockets)
    began = time.monotonic()
    os.kill(daemon.pid, signal.SIGCONT)
    greeted = set()
    chooser = selectors.DefaultSelector()
    for s in sockets:
        chooser.register(s, selectors.EVENT_READ)
    while len(greeted) < CLIENTS and time.monotonic() < began + 60:
        for key, _ in chooser.select(1):
            assert key.fileobj.recv(512).startswith(b"220"), "a client was turned away"
            greeted.add(key.fileobj)
            chooser.unregister(key.fileobj)
    took = time.monotonic() - began
    print("%d of %d were connected by the kernel, %d greeted in %.2f s"
          % (connected, CLIENTS, len(greeted), took))
    # The real program's backlog is ten; most of its clients come back later or give up.
    assert stage.is_real or len(greeted) == CLIENTS
    for s in sockets:
        s.close()
    wait_until("the daemon greets as before", stage.listens)


def is_connected(s):
    try:
        s.getpeername()
        return True
    except OSError:
        return False


def submit(stage, recipient, count):
    import smtplib
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        for number in range(count):
            client.sendmail("ann@stage.test", [recipient], "Subject: %d\n\nhello\n" % number)


def one_host(stage):
    slow, quick = Slow("127.0.1.1", 0.3), Slow("127.0.1.2", 0)
    if not stage.is_real:
        slow.is_open.clear()
    submit(stage, "joe@far.test", MESSAGES)
    began = time.monotonic()
    submit(stage, "joe@near.test", 1)
    wait_until("another host has its message", lambda: quick.taken == 1)
    waited = time.monotonic() - began
    if not stage.is_real:
        wait_until("as many sessions as there may be", lambda: slow.most >= MOST_SESSIONS)
    slow.is_open.set()
    wait_until("the slow host has all", lambda: slow.taken == MESSAGES, 120)
    deferred = stage.log.having("to=<joe@far.test>", "stat=Deferred")
    print("%d messages for one host over %d sessions at most; one for another waited %.2f s; %d deferred"
          % (slow.taken, slow.most, waited, len(deferred)))
    assert not deferred, deferred[:3]
    assert stage.is_real or slow.most == MOST_SESSIONS, slow.most


def programs(stage):
    """More threads come for programs that only wait, but none when the processors are the bottleneck."""
    daemon, most = stage.daemon(), {"busy": 0, "idle": 0}

    def look(name):
        most[name] = max(most[name], running_mailers())
        return most[name]

    with open("/proc/loadavg", "w") as f:
        f.write(LOAD % 90)
    submit(stage, "joe@slow.test", MESSAGES)
    wait_until("all went to the program", lambda: look("busy") and not stage.queue_files(), 120)
    with open("/proc/loadavg", "w") as f:
        f.write(LOAD % 1)
    with open("/tmp/held", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        submit(stage, "joe@slow.test", MESSAGES)
        wait_until("half as many again run: %s" % most, lambda: look("idle") * 2 > most["busy"] * 3)
    wait_until("all went to the program", lambda: not stage.queue_files(), 120)
    print("deliveries at a time beside busy processors: %(busy)d, beside idle ones: more than %(idle)d" % most)
    with open("/tmp/slow.done") as f:
        assert len(f.readlines()) == 2 * MESSAGES
    stage.end_child(daemon)


def running_mailers():
    """How many mailers run at this moment, which is how many threads deliver."""
    count = 0
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path) as f:
                count += f.read() in ("sleep\n", "flock\n")
        except OSError:
            pass  # a process that ended meanwhile
    return count
