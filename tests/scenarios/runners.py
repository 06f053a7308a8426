"""Deliverers and queue runners of a daemon: what waits for them is never lost.

Messages that are only in memory (SuperSafe=False) are written down when more come than
are delivered at once, and when the daemon ends. Queue runs begin at their interval, and
persistent runners look again and again.
"""
import os
import signal

import cases
from stage import write
from tools import wait_until

CF = """O DaemonPortOptions=Port=25, Addr=127.0.0.1
O PidFile=/run/sendmail/mta/sendmail.pid
O DeliveryMode=background
O MaxQueueChildren=1
O QueueLA=1000
O RefuseLA=1000
S0
R<$+@$*>\t$#local $: $1
R$+\t$#local $: $1
Mlocal, P=/bin/sh, F=lsDFMn, A=sh /etc/slow $u
"""
COUNT = 8


def run(stage):
    os.makedirs("/var/spool/cases", 0o700)
    os.makedirs("/srv/out")
    os.chmod("/srv/out", 0o777)
    write("/etc/slow", "cat >/dev/null; sleep $(cat /srv/pause); : >/srv/out/$1\n")
    write("/srv/pause", "0.2")
    write("/etc/t/c.cf", cases.HEAD.replace("LogLevel=0", "LogLevel=9") + CF)

    daemon = start(stage, "-OSuperSafe=False")
    burst(stage, "a")
    wait_until("all are delivered", lambda: out("a") == COUNT)
    wait_until("nothing is left over", lambda: not queue())

    # The end comes while most of them wait.
    write("/srv/pause", "3")
    burst(stage, "b")
    end(daemon)
    wait_until("the last mailer has ended", lambda: out("b") + len(queue()) // 2 >= COUNT)
    assert out("b") < COUNT, "nothing waited"

    # Runs at their interval and persistent ones find what is there.
    write("/srv/pause", "0")
    for arguments in ("-q1h", "-qp1s"):
        daemon = start(stage, arguments)
        wait_until("the queue is empty: " + arguments, lambda: not queue())
        if arguments == "-qp1s":
            submit(stage, "later")
            wait_until("found by the persistent runner", lambda: os.path.exists("/srv/out/later"))
        kinds = {"-q1h": "SMTP+queueing@01:00:00", "-qp1s": "SMTP+persistent-queueing@00:00:01"}
        assert stage.log.having("starting daemon", kinds[arguments]), stage.log.having("starting daemon")
        end(daemon)
        submit(stage, "rest")
        assert len(queue()) == 2, queue()
    shared_by_host(stage)


def shared_by_host(stage):
    """With QueueSortOrder=host all messages of a host fall to one runner; another runner has other hosts."""
    stage.run(["sh", "-c", "rm -f /var/spool/cases/*"])
    write("/etc/slow", "cat >/dev/null; host=${1%%+*}\n"
          "[ -e /srv/out/at-$host ] && : >/srv/out/two-for-one\n: >/srv/out/at-$host\n"
          "[ -e /srv/out/at-x -a -e /srv/out/at-y ] && : >/srv/out/both\nsleep 0.3\n"
          "[ -e /srv/out/at-x -a -e /srv/out/at-y ] && : >/srv/out/both\nrm /srv/out/at-$host; : >/srv/out/$1\n")
    rules = CF.replace("MaxQueueChildren=1", "MaxQueueChildren=4").replace("S0\n", "S0\nR$+@$+\t$#local $@ $2 $: $2+$1\n", 1)
    write("/etc/t/c.cf", cases.HEAD.replace("LogLevel=0", "LogLevel=9") + rules
          + "O QueueSortOrder=host\nQmqueue, P=/var/spool/cases, R=2, F=f\n")
    for user in ("1@x", "2@x", "3@x", "1@y", "2@y", "3@y"):
        submit(stage, user)
    daemon = start(stage, "-q1h")
    wait_until("all are delivered", lambda: out("x+") + out("y+") == 6)
    assert os.path.exists("/srv/out/both") and not os.path.exists("/srv/out/two-for-one"), os.listdir("/srv/out")
    end(daemon)


def start(stage, *arguments):
    stage.run(["/usr/sbin/sendmail", "-C/etc/t/c.cf", "-bd", *arguments], check=0)
    wait_until("the daemon listens", stage.listens)
    wait_until("its number is known", lambda: os.path.exists("/run/sendmail/mta/sendmail.pid"))
    with open("/run/sendmail/mta/sendmail.pid") as f:
        return int(f.readline())


def end(pid):
    os.kill(pid, signal.SIGTERM)
    wait_until("the daemon has ended", lambda: not is_running(pid))


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().split()[2] != "Z"
    except OSError:
        return False


def burst(stage, letter):
    for number in range(COUNT):
        assert not stage.smtp("x@stage.test", ["%s%d@stage.test" % (letter, number)], "Subject: x\n\nx\n")


def submit(stage, user):
    stage.run(["sendmail", "-C/etc/t/c.cf", "-odq", user], text="\nx\n", check=0)


def out(letter):
    return len([name for name in os.listdir("/srv/out") if name.startswith(letter)])


def queue():
    return os.listdir("/var/spool/cases")
