"""RunAsUser: what is not needed to open ports is done without root's rights.

A daemon's port is open, its sessions and mailers have the user's rights, also after
it has been told to read its configuration anew; runs of the command line have them
from the start, and remember who started them.
"""
import os
import signal

import cases
from stage import write
from tools import wait_until

CF = """O RunAsUser=smmta
O DaemonPortOptions=Port=25, Addr=127.0.0.1
O PidFile=/run/sendmail/mta/sendmail.pid
O DeliveryMode=i
O QueueLA=1000
S0
R<$+@$*>\t$#local $: $1
R$+\t$#local $: $1
Mlocal, P=/bin/sh, F=lsDFMn, T=DNS/RFC822/X-Unix, A=sh /etc/look $u
"""


def run(stage):
    os.makedirs("/var/spool/cases", 0o700)
    os.chown("/var/spool/cases", 112, 112)
    write("/etc/look", "id >/tmp/id.$1; cat >/dev/null\n")
    write("/etc/t/c.cf", cases.HEAD.replace("LogLevel=0", "LogLevel=9") + CF)
    # Started by its full path, else the real program would not start again.
    stage.run(["/usr/sbin/sendmail", "-C/etc/t/c.cf", "-bd"], check=0)
    wait_until("the daemon listens", stage.listens)
    delivers_as_user(stage, "before")
    with open("/run/sendmail/mta/sendmail.pid") as f:
        os.kill(int(f.readline()), signal.SIGHUP)
    wait_until("it has started again", lambda: stage.listens() and len(starts(stage)) == 2)
    delivers_as_user(stage, "after")

    stage.run(["sendmail", "-C/etc/t/c.cf", "once"], text="\nx\n", check=0)
    assert identity("once").startswith("uid=112(smmta) gid=112(smmta) groups=112(smmta)")
    stage.run(["sendmail", "-C/etc/t/c.cf", "-odq", "queued"], text="\nx\n", check=0)
    (control,) = [name for name in os.listdir("/var/spool/cases") if name.startswith("qf")]
    assert os.stat("/var/spool/cases/" + control).st_uid == 112
    with open("/var/spool/cases/" + control) as f:
        assert "Sroot\n" in f.read(), "root has started it"
    stage.run(["sendmail", "-C/etc/t/c.cf", "-qf"], check=0)
    assert identity("queued").startswith("uid=112(smmta)")
    # Who started it is trusted all the same.
    stage.run(["sendmail", "-C/etc/t/c.cf", "-bi"], check=0)
    stage.run(["sendmail", "-C/etc/t/c.cf", "-bH"], check=0)


def starts(stage):
    return stage.log.having("starting daemon")


def identity(user):
    with open("/tmp/id." + user) as f:
        return f.read()


def delivers_as_user(stage, user):
    stage.smtp("ann@stage.test", [user + "@stage.test"], "Subject: x\n\nx\n")
    wait_until("delivered", lambda: os.path.exists("/tmp/id." + user))
    wait_until("written", lambda: identity(user))
    assert identity(user).startswith("uid=112(smmta) gid=112(smmta) groups=112(smmta)"), identity(user)
