"""MaxDaemonChildren and ConnectionRateThrottle hold, and slow clients do not keep others waiting."""
import glob
import smtplib
import socket
import time

from tools import wait_until

WORKERS = 4
LOCAL = "define(`confMAX_DAEMON_CHILDREN', `%d')dnl\ndefine(`confCONNECTION_RATE_THROTTLE', `%d')dnl"


def greeted(s, seconds):
    s.settimeout(seconds)
    try:
        return s.recv(512)[:3]
    except TimeoutError:
        return b""


def served(seconds):
    """Tells whether a new connection is greeted; the reference refuses it at the limit, others let it wait."""
    try:
        with connect() as s:
            return greeted(s, seconds) == b"220"
    except OSError:
        return False


def connect():
    return socket.create_connection(("127.0.0.1", 25), 60)


def run(stage):
    stage.maildir("bob")
    children(stage)
    throttle(stage)
    stalled(stage)


def children(stage):
    stage.configure(features=LOCAL % (4, 0))
    daemon = stage.daemon()
    held = [connect() for _ in range(4)]
    for s in held:
        assert greeted(s, 60) == b"220"
    # The fifth waits or is turned away, but gets no session.
    assert not served(1)
    wait_until("the limit is logged", lambda: stage.log.having("rejecting connections"))
    # A place that becomes free is used at once.
    held.pop().close()
    began = time.monotonic()
    wait_until("a free place is used", lambda: served(0.5))
    waited = time.monotonic() - began
    print("free place used after %.2f s" % waited)
    assert waited < 4, waited
    for s in held:
        s.close()
    stage.end_child(daemon)


def throttle(stage):
    stage.configure(features=LOCAL % (0, 3))
    daemon = stage.daemon()
    time.sleep(1.1)
    began = time.monotonic()
    held = [connect() for _ in range(9)]
    for s in held:
        assert greeted(s, 60) == b"220"
    took = time.monotonic() - began
    print("nine connections at three a second took %.2f s" % took)
    assert 1.8 <= took <= 20, took
    for s in held:
        s.close()
    stage.end_child(daemon)


def workers(pid):
    """Counts the threads of a process that serve sessions."""
    names = [open(path).read() for path in glob.glob("/proc/%d/task/*/comm" % pid)]
    return sum(name.startswith("session-") for name in names)


def stalled(stage):
    """A pool of four workers serves a client while a hundred others stop in the middle of DATA."""
    stage.configure(features="define(`confCONNECTION_RATE_THROTTLE', `0')dnl")
    # The real program has a process for each client and no pool, so no option for its size.
    pool = [] if stage.is_real else ["-OSessionWorkers=%d" % WORKERS]
    daemon = stage.daemon("-OMaxDaemonChildren=150", *pool)
    if not stage.is_real:
        # The port is open before the last thread has given itself its name.
        wait_until("%d workers are named" % WORKERS, lambda: workers(daemon.pid) >= WORKERS)
        assert workers(daemon.pid) == WORKERS
    held = []
    for number in range(100):
        s = connect()
        s.settimeout(60)
        f = s.makefile("rb")
        f.readline()
        for line in ("HELO slow.test", "MAIL FROM:<ann@stage.test>", "RCPT TO:<bob@stage.test>", "DATA"):
            s.sendall(line.encode() + b"\r\n")
            reply = f.readline()
            assert reply[:1] in b"23", (number, line, reply)
        s.sendall(b"Subject: never finished\r\n\r\nhalf a li")
        held.append(s)
    began = time.monotonic()
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
        client.sendmail("ann@stage.test", ["bob@stage.test"], "Subject: served\n\nhello\n")
    took = time.monotonic() - began
    print("served in %.2f s beside %d stopped in DATA" % (took, len(held)))
    assert took < 20, took
    stage.expect_message("bob", "served")
    for s in held:
        s.close()
    assert not [m for m in stage.messages("bob") if m["Subject"] == "never finished"]
    stage.end_child(daemon)
