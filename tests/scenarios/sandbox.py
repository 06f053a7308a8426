"""`make run`'s sandbox, as an ordinary user: a message is shown delivered, Ctrl-C leaves nothing behind."""
import os
import signal
import subprocess
import time

from stage import UIDS
from tools import wait_until


def run(stage):
    uid, gid = UIDS["ann"]
    env = {"PATH": os.environ["PATH"], "HOME": "/home/ann", "USER": "ann", "LOGNAME": "ann"}
    output = open("/tmp/sandbox.out", "w+")
    child = subprocess.Popen(["/project/etc/sandbox/run", "/usr/sbin/sendmail", "/home/ann/sandbox"],
                             stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                             cwd="/home/ann", user=uid, group=gid, extra_groups=[], start_new_session=True)
    stage.children.append(child)

    def said():
        with open("/tmp/sandbox.out") as f:
            return f.read()
    began = time.monotonic()
    wait_until("the message is shown", lambda: "Ctrl-C ends it" in said() or child.poll() is not None, 60)
    assert child.poll() is None, said()
    print("shown after %.1f s" % (time.monotonic() - began))
    assert "Delivered to /home/ann/sandbox/mail/ann:" in said(), said()
    assert "Subject: Hello from the sandbox" in said() and "It works." in said(), said()

    # As the sandbox says: submit from the command line, too.
    stage.run(["sendmail", "-C/home/ann/sandbox/sendmail.cf", "team"], user="ann",
              text="Subject: to the team\n\nhello\n", check=0)

    def in_box(name):
        try:
            with open("/home/ann/sandbox/mail/" + name) as f:
                return "Subject: to the team" in f.read()
        except FileNotFoundError:
            return False
    wait_until("ann and bob have it", lambda: in_box("ann") and in_box("bob"))

    os.killpg(child.pid, signal.SIGINT)
    child.wait(20)
    wait_until("no process is left", lambda: not processes_of(uid))


def processes_of(uid):
    found = []
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and os.stat("/proc/" + pid).st_uid == uid:
                with open("/proc/%s/stat" % pid) as f:
                    if f.read().rpartition(")")[2].split()[0] != "Z":
                        found.append(pid)
        except OSError:
            pass
    return found
