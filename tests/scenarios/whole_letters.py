"""A mailer that runs when the daemon is killed gets the whole message, whatever its size."""
import os
import smtplib

from stage import write
from tools import wait_until

KILOBYTES = (1, 200, 4_000)
# Reads nothing until the daemon is dead.
LATE = 'echo >"/tmp/$1.began"; while [ ! -e /tmp/go ]; do sleep 0.05; done; cat >"/tmp/$1.got"; echo >"/tmp/$1.done"\n'
MAILER = """MAILER_DEFINITIONS
Mlate, P=/bin/sh, F=lsDFMn, S=EnvFromL, R=EnvToL, A=sh /etc/late $u
LOCAL_RULE_0
R$+ < @ late.test . >	$#late $: $1
R$+ < @ late.test >	$#late $: $1
"""


def run(stage):
    write("/etc/late", LATE)
    stage.configure(local=MAILER, access="To:late.test\tRELAY\n")
    daemon = stage.daemon()
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        for size in KILOBYTES:
            text = "Subject: %d\n\n" % size + ("x" * 63 + "\n") * (size * 16) + "the end\n"
            client.sendmail("ann@stage.test", ["k%d@late.test" % size], text)
    names = ["/tmp/k%d." % size for size in KILOBYTES]
    wait_until("all mailers run", lambda: all(os.path.exists(name + "began") for name in names))
    daemon.kill()
    daemon.wait()
    write("/tmp/go", "")
    wait_until("all mailers end", lambda: all(os.path.exists(name + "done") for name in names))
    for size, name in zip(KILOBYTES, names):
        with open(name + "got") as f:
            text = f.read()
        assert text.endswith("the end\n") and len(text) > size * 1024, "%d kB: %d bytes" % (size, len(text))
    print("mailers had all of %s kB" % ", ".join(map(str, KILOBYTES)))
