"""What signals do to the daemon: SIGUSR1 tells its state, SIGHUP starts it again, SIGTERM and SIGINT end it."""
import os
import signal
import socket

from tools import wait_until

PID_FILE = "/run/sendmail/mta/sendmail.pid"


def run(stage):
    stage.maildir("bob")
    stage.configure(features="define(`confCONNECTION_RATE_THROTTLE', `0')dnl")
    for end in (signal.SIGTERM, signal.SIGINT):
        daemon = stage.daemon()
        with open(PID_FILE) as f:
            assert int(f.readline()) == daemon.pid
            assert f.readline().strip() == "/usr/sbin/sendmail -bD"
        mode = os.stat(PID_FILE).st_mode & 0o777
        assert mode & 0o022 == 0, "others may write: %o" % mode
        state(stage, daemon)
        again(stage, daemon)
        assert stage.end_child(daemon, end) == 0, "the status of an ordered end"
        assert not os.path.exists(PID_FILE), "the pid file is still there"
        assert not stage.listens()
    print("told, started again and ended by SIGTERM and by SIGINT")


def state(stage, daemon):
    before = len(stage.log.having("end of state dump"))
    os.kill(daemon.pid, signal.SIGUSR1)
    wait_until("the state is told", lambda: len(stage.log.having("--- end of state dump ---")) > before)
    for line in ("--- dumping state on user signal: $j = mx.stage.test ---", "CurChildren = ",
                 "--- open file descriptors: ---", "--- connection cache: ---"):
        assert stage.log.having(line), line
    assert stage.listens()


def again(stage, daemon):
    """A session that is open when the daemon starts again goes on to its end."""
    s = socket.create_connection(("127.0.0.1", 25), 10)
    s.settimeout(60)
    lines = s.makefile("rb")
    assert lines.readline().startswith(b"220")
    starts = len(stage.log.having("starting daemon"))
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until("it starts again", lambda: len(stage.log.having("starting daemon")) > starts)
    assert stage.log.having("restarting /usr/sbin/sendmail due to signal")
    for text, code in (("MAIL FROM:<ann@stage.test>", b"250"), ("RCPT TO:<bob@stage.test>", b"250"), ("DATA", b"354"),
                       ("Subject: across %d\r\n\r\nx\r\n." % daemon.pid, b"250"), ("QUIT", b"221")):
        s.sendall(text.encode() + b"\r\n")
        heard = lines.readline()
        assert heard.startswith(code), (text, heard)
    s.close()
    stage.expect_message("bob", "across %d" % daemon.pid)
    wait_until("it listens again", stage.listens)
    assert daemon.poll() is None
