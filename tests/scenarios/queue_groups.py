"""Queue groups: chosen by the rules, the mailer or the first recipient; split, listed and run as told.

The same expectations hold for the real program, and either delivers what the other queued.
"""
import glob
import os
import re
import smtplib
import subprocess

from tools import QUEUE, REAL_SENDMAIL, wait_until

FEATURES = """define(`QUEUE_DIR', `/var/spool/mqueue/q*')dnl
define(`LOCAL_MAILER_QGRP', `fast')dnl
QUEUE_GROUP(`slow', `P=/var/spool/mqueue/slow, F=f, R=2, I=1h, r=2')dnl
QUEUE_GROUP(`fast', `P=/var/spool/mqueue/fast*, r=3')dnl
QUEUE_GROUP(`held', `P=/var/spool/mqueue/held, R=0')dnl
FEATURE(`queuegroup')dnl
"""
ACCESS = "QGRP:slow.test\tslow\nQGRP:held.test\theld\nQGRP:odd.test\tnosuch\nConnect:127.0.0.1\tRELAY\n"
ALIASES = "postmaster: root\nlist: a@slow.test, b@slow.test, c@slow.test, bob, d@other.test\nowner-list: cid\n"
DIRECTORIES = ("q1", "q2/qf", "q2/df", "q2/xf", "slow", "fast1", "fast2", "held")
FIVE = [n + "@slow.test" for n in "abcde"]


def run(stage):
    for name in DIRECTORIES:
        os.makedirs(QUEUE + "/" + name, 0o700)
    # Nobody listens there: mail waits.
    for name in ("slow.test", "other.test", "odd.test", "held.test"):
        stage.zone[name] = [("A", "127.0.0.9")]
    for user in ("ann", "bob", "cid"):
        stage.maildir(user)
    stage.configure(features=FEATURES, access=ACCESS, aliases=ALIASES)
    chosen(stage, "/usr/sbin/sendmail")
    by_daemon(stage)
    runs(stage)
    if not stage.is_real:
        all_or_none(stage)
        shared(stage)
    paths(stage)


def entries(expected=None):
    """Group and recipients of each entry; the directories of a group are one."""
    found = []
    for path in glob.glob(QUEUE + "/**/[qh]f*", recursive=True):
        if not os.path.isfile(path):
            continue
        name = os.path.basename(path)
        folder = os.path.dirname(path)
        body = (folder[:-2] + "df" if folder.endswith("/qf") else folder) + "/df" + name[2:]
        assert os.path.exists(body), body
        group = re.sub(r"(^q|^fast).*", r"\1", os.path.relpath(folder, QUEUE))
        with open(path, encoding="latin-1") as f:
            lines = f.read().split("\n")
        recipients = [line.split(":", 1)[1].strip("<>") for line in lines if line[:1] == "R"]
        sender = [line[1:].strip("<>") for line in lines if line[:1] == "S"][0]
        found.append((group, " ".join(sorted(recipients)), sender.split("@")[0]))
    found.sort()
    if expected is not None:
        assert found == sorted(expected), found
    return found


def emptied(folder=QUEUE):
    subprocess.run(["find", folder, "-type", "f", "-delete"], check=True)


def submit(stage, program, *arguments, text="Subject: x\n\nhello\n"):
    del stage.log.lines[:]
    return stage.run([program, "-Am", "-oi", "-f", "ann@stage.test", "-OLogLevel=11", *arguments], text=text)


def splits(stage, count):
    """The log lines of splits, identifiers named after their order."""
    lines = wait_until("splits are logged", lambda: len(stage.log.having("split: ")) >= count and
                       stage.log.having("split: "))
    assert len(lines) == count, lines
    return [re.sub(r"\w{14}", "ID", line.split("]: ", 1)[1]) for line in lines]


def chosen(stage, program):
    for title, arguments, text, expected in [
        ("the ruleset", ["a@slow.test"], None, [("slow", "a@slow.test", "ann")]),
        ("the mailer", ["bob"], None, [("fast", "bob", "ann")]),
        ("the default", ["d@other.test"], None, [("q", "d@other.test", "ann")]),
        ("the first of several", ["d@other.test", "bob"], None, [("fast", "bob d@other.test", "ann")]),
        ("from the header", ["-t"], "To: a@slow.test, bob\n\nx\n",
         [("fast", "bob", "ann"), ("slow", "a@slow.test", "ann")]),
        ("a large text from the header", ["-t"], "To: a@slow.test\n\n" + 3000 * ("x" * 70 + "\n"),
         [("slow", "a@slow.test", "ann")]),
        ("two groups", ["a@slow.test", "d@other.test"], None,
         [("q", "d@other.test", "ann"), ("slow", "a@slow.test", "ann")]),
        ("a limit", FIVE, None, [("slow", "a@slow.test b@slow.test", "ann"),
                                 ("slow", "c@slow.test d@slow.test", "ann"), ("slow", "e@slow.test", "ann")]),
    ]:
        done = submit(stage, program, "-odq", *arguments, text=text or "Subject: x\n\nhello\n")
        assert done.returncode == 0, (title, done)
        print(title, entries(expected))
        emptied()
    # What is logged, and a name nobody knows.
    submit(stage, program, "-odq", *FIVE)
    assert splits(stage, 1) == ["ID: split: maxrcpts=2, rcpts=5, count=2, ids=ID; ID"], stage.log.lines
    emptied()
    submit(stage, program, "-odq", *FIVE[:3], "bob", "d@other.test", "x@odd.test", "cid")
    assert splits(stage, 3) == ["ID: split: maxrcpts=2, rcpts=3, count=1, id=ID", "ID: split: count=1, id=ID",
                                "ID: split: maxrcpts=3, rcpts=4, count=1, id=ID"], stage.log.lines
    assert stage.log.having("can't find queue group name nosuch, selection ignored")
    bodies = {os.stat(p).st_ino for p in glob.glob(QUEUE + "/**/df?*", recursive=True) if os.path.isfile(p)}
    assert len(bodies) == 1, "the parts share one body"
    emptied()
    # A list with an owner: its members go to their groups, and the list needs no entry.
    submit(stage, program, "-odq", "list")
    entries([("fast", "bob d@other.test", "cid"), ("slow", "a@slow.test", "cid"),
             ("slow", "b@slow.test c@slow.test", "cid")])
    emptied()


def by_daemon(stage):
    daemon = stage.daemon("-odq")
    stage.smtp("ann@stage.test", [*FIVE[:3], "bob", "cid", "d@other.test", "ann", "root"],
               "Subject: three\n\nhello\n")
    entries([("fast", "ann bob cid", "ann"), ("fast", "d@other.test root", "ann"),
             ("slow", "a@slow.test b@slow.test", "ann"), ("slow", "c@slow.test", "ann")])
    # Every directory of every group has a head, and all entries are counted.
    listed = stage.run(["mailq", "-Am"]).stdout.decode()
    heads = dict(re.findall(r"(?m)^\s*/var/spool/mqueue/(\S+) (is empty|\(\d+ requests?\))", listed))
    assert {name.split("/")[0] for name in heads} == {"q1", "q2", "slow", "fast1", "fast2", "held"}, listed
    assert heads["slow"] == "(2 requests)" and heads["held"] == "is empty", listed
    assert listed.endswith("\t\tTotal requests: 4\n"), listed
    listed = stage.run(["mailq", "-Am", "-qGslow"]).stdout.decode()
    assert "/slow (2 requests)" in listed and "Total requests" not in listed.split("/slow")[0], listed
    assert "d@other.test" not in listed, listed
    said = stage.run(["mailq", "-Am", "-qGnone"]).stdout.decode()
    assert said.startswith("Queue group none unknown"), said
    emptied()
    stage.end_child(daemon)
    # One after the other, before the reply, and in the background.
    for mode in ("-odi", "-odb"):
        daemon = stage.daemon(mode)
        stage.smtp("ann@stage.test", ["a@slow.test", "b@slow.test", "c@slow.test", "bob"],
                   "Subject: mode %s\n\nhello\n" % mode)
        stage.expect_message("bob", "mode " + mode)
        wait_until("three wait", lambda: entries() == [
            ("slow", "a@slow.test b@slow.test", "ann"), ("slow", "c@slow.test", "ann")])
        stage.end_child(daemon)
        emptied()


def runs(stage):
    # A list is expanded by the run: its members go to their groups; what is there stays.
    daemon = stage.daemon("-odq")
    stage.smtp("ann@stage.test", ["list"], "Subject: list\n\nhello\n")
    entries([("fast", "list", "ann")])
    stage.end_child(daemon)
    stage.run(["sendmail", "-Am", "-qf"], check=0)
    stage.expect_message("bob", "list")
    entries([("fast", "d@other.test", "cid"), ("slow", "a@slow.test", "cid"),
             ("slow", "b@slow.test c@slow.test", "cid")])
    for path in glob.glob(QUEUE + "/slow/*"):
        os.rename(path, QUEUE + "/q1/" + os.path.basename(path))
    stage.run(["sendmail", "-Am", "-qf"], check=0)
    entries([("fast", "d@other.test", "cid"), ("q", "a@slow.test", "cid"),
             ("q", "b@slow.test c@slow.test", "cid")])
    emptied()
    # One group only, and one that has no runners.
    submit(stage, "sendmail", "-odq", "a@slow.test")
    submit(stage, "sendmail", "-odq", "a@held.test")
    for arguments, tried in ((["-qGslow"], "slow"), (["-qGheld"], "held"), (["-qf"], "slow")):
        said = stage.run(["sendmail", "-Am", "-v", *arguments], check=0).stdout.decode()
        ran = re.findall(r"Running /var/spool/mqueue/(\w+)/", said)
        assert ran == [tried], (arguments, said)
    emptied()
    # A report waits where mail for its recipient waits.
    stage.run(["sendmail", "-Am", "-odi", "-oi", "-f", "x@slow.test", "nobody@no.such.test"], text="\nx\n")
    entries([("slow", "x@slow.test", "MAILER-DAEMON")])
    emptied()


def all_or_none(stage):
    """A part that cannot be stored keeps the whole message from being taken, or from being split."""
    daemon = stage.daemon("-odq", "-q1s")
    os.rmdir(QUEUE + "/slow")
    stage.smtp("ann@stage.test", ["list"], "Subject: kept\n\nhello\n")
    try:
        stage.smtp("ann@stage.test", ["a@slow.test", "bob"], "Subject: refused\n\nhello\n")
        raise AssertionError("taken without a place for it")
    except smtplib.SMTPDataError as refusal:
        assert refusal.smtp_code == 451, refusal
    # The list has become its owner's; that nobody of it was lost or doubled is what matters.
    whole = [("fast", "a@slow.test b@slow.test bob c@slow.test d@other.test", "cid")]
    wait_until("a run was held up", lambda: stage.log.having("SYSERR", "slow") and entries() == whole)
    stage.end_child(daemon)
    entries(whole)
    os.mkdir(QUEUE + "/slow", 0o700)
    emptied()


def shared(stage):
    """What one program put into the groups, the other delivers from there."""
    for writer, runner in ((REAL_SENDMAIL, "/usr/sbin/sendmail"), ("/usr/sbin/sendmail", REAL_SENDMAIL)):
        subject = "queued by " + writer
        submit(stage, writer, "-odq", "a@slow.test", "bob", "cid", "ann", "root",
               text="Subject: %s\n\nhello\n" % subject)
        entries([("fast", "ann bob cid", "ann"), ("fast", "root", "ann"), ("slow", "a@slow.test", "ann")])
        stage.run([runner, "-Am", "-qGfast"], check=0)
        for user in ("ann", "bob", "cid"):
            stage.expect_message(user, subject)
        wait_until("one waits", lambda: entries() == [("slow", "a@slow.test", "ann")])
        emptied()


def paths(stage):
    """Directories of groups lie below that of the queue."""
    os.makedirs("/tmp/far")
    for path, said in (("/tmp/far", "QueuePath /tmp/far not subpath of QueueDirectory /var/spool/mqueue/"),
                       ("slow", "QueuePath slow not absolute")):
        with open("/etc/mail/sendmail.cf") as f:
            text = re.sub(r"(?m)^Qheld, P=[^,]*", "Qheld, P=" + path, f.read())
        with open("/etc/mail/other.cf", "w") as f:
            f.write(text)
        done = stage.run(["sendmail", "-C/etc/mail/other.cf", "-bp"], check=78)
        assert said in done.stdout.decode(), done
