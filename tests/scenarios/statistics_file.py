"""The statistics file counts what the real program counts, byte for byte, and is never made.

The same expectations hold for the real program.
"""
import os
import re
import socket
import struct
import subprocess
import time

from sink import Sink
from tools import wait_until

FILE = "/var/lib/sendmail/sendmail.st"
TABLES = ("from", "kfrom", "to", "kto", "rejected", "discarded", "quarantined")
TEXT = "Subject: x\r\n\r\nhello\r\n."
BIG = "Subject: x\n" + "X-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n" * 60 + "\nhello\n"
ACCESS = """From:bad@from.test\tREJECT
From:drop@from.test\tDISCARD
From:quar@from.test\tQUARANTINE:why
To:rej@stage.test\tERROR:5.7.1:550 no
Connect:127.0.0.1\tOK
Connect:127.0.0.2\tREJECT
Connect:127.0.0.5\tDISCARD
Connect:127.0.0.6\tERROR:4.3.2:421 busy
"""


def run(stage):
    for user in ("bob", "cid", "ann", "root"):
        stage.maildir(user)
    stage.zone.update({"from.test": [("A", "127.0.0.8")], "sink.test": [("A", "127.0.0.8")],
                       "dead.test": [("A", "127.0.0.9")]})
    stage.configure(features="FEATURE(`blocklist_recipients')dnl\ndefine(`confMAX_MESSAGE_SIZE', `20000')dnl",
                    access=ACCESS, aliases="postmaster: root\nfile: /tmp/box\nnowhere: /dev/null\n"
                    "prog: |/bin/cat\nrej: bob\nlist: ann, bob, cid\nowner-list: cid\n")
    Counts.read_names()
    submit(stage, "bob")
    time.sleep(0.5)
    assert not os.path.exists(FILE), "the file is never made"
    subprocess.run(["install", "-m", "600", "/dev/null", FILE], check=True)
    sink = Sink("127.0.0.8", rcpt={"bad": "550 5.1.1 no such user"})
    daemon = stage.daemon()
    counts = Counts()
    counts.more("the test's own connection", cf=1)
    by_smtp(stage, counts)
    by_command_line(stage, counts)
    shown(stage, counts)
    together(stage)
    stage.end_child(daemon)
    sink.close()


class Counts:
    """All counters that are not zero, under names such as to[local]."""

    names = []

    @classmethod
    def read_names(cls):
        names = ["prog", "*file*", "*include*"]
        with open("/etc/mail/sendmail.cf") as f:
            for line in f:
                if line[0] == "M" and line[1:].split(",")[0] not in names:
                    names.append(line[1:].split(",")[0])
        cls.names = names

    def __init__(self):
        self.expected = {}

    @classmethod
    def read(cls):
        with open(FILE, "rb") as f:
            content = f.read()
        if not content:
            return {}
        magic, version, since, size = struct.unpack("=iiqh", content[:18])
        assert (magic, version, size, len(content)) == (0x1b1de, 4, 1448, 1448)
        assert content[18:24] == bytes(6) and abs(since - time.time()) < 600
        numbers = struct.unpack("=178q", content[24:])
        found = dict(zip(("cf", "ct", "cr"), numbers))
        for t, table in enumerate(TABLES):
            for m in range(25):
                name = cls.names[m] if m < len(cls.names) else str(m)
                found["%s[%s]" % (table, name)] = numbers[3 + 25 * t + m]
        return {name: number for name, number in found.items() if number}

    def more(self, title, **more):
        """Expects just these counters to have grown; `to_local=1, kto_local=2` and so on."""
        for name, number in more.items():
            name = re.sub(r"_(\w+)$", lambda m: "[%s]" % {"file": "*file*"}.get(m[1], m[1]), name)
            self.expected[name] = self.expected.get(name, 0) + number
        try:
            wait_until(title, lambda: self.read() == self.expected)
        except AssertionError:
            found = self.read()
            off = {n: (found.get(n, 0), self.expected.get(n, 0)) for n in {*found, *self.expected}
                   if found.get(n, 0) != self.expected.get(n, 0)}
            raise AssertionError("%s: found and expected differ: %s" % (title, off)) from None
        time.sleep(0.1)
        assert self.read() == self.expected, title


def talk(*lines, source="127.0.0.1"):
    """One connection; every line waits for its reply."""
    with socket.create_connection(("127.0.0.1", 25), 60, source_address=(source, 0)) as s:
        f = s.makefile("rb")
        f.readline()
        try:
            for line in lines:
                s.sendall(line.encode() + b"\r\n")
                while f.readline()[3:4] == b"-":
                    pass
        except OSError:
            pass


def mail(sender, *recipients, text=TEXT):
    return ["MAIL FROM:<%s>" % sender, *("RCPT TO:<%s>" % r for r in recipients), "DATA", text]


def by_smtp(stage, counts):
    counted = counts.more
    talk("QUIT")
    counted("a connection", cf=1)
    talk("HELO x", *mail("ann@stage.test", "bob"), "QUIT")
    counted("one message", cf=1, from_local=1, kfrom_local=1, to_local=1, kto_local=1)
    talk("HELO x", *mail("x@from.test", "bob", "cid", "root"), "QUIT")
    counted("each call of the local mailer", cf=1, from_esmtp=1, kfrom_esmtp=1, to_local=3, kto_local=3)
    long = "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 101 + "."
    talk("HELO x", *mail("x@from.test", "bob", text=long), "QUIT")
    counted("kilobytes rounded up", cf=1, from_esmtp=1, kfrom_esmtp=8, to_local=1, kto_local=8)
    talk("HELO x", *mail("x@from.test", "nosuch")[:2], "QUIT")
    counted("an unknown user is no rejection", cf=1)
    talk("HELO x", *mail("bad@from.test"), *mail("bad@from.test"), "QUIT")
    counted("rejections once a connection", cf=1, cr=1, rejected_esmtp=1)
    twice = mail("ann@stage.test", "rej@stage.test", "bob") * 2
    talk("HELO x", *twice, "MAIL FROM:<bad@from.test>", "QUIT")
    counted("the first rejection", cf=1, cr=1, rejected_local=1, from_local=2, kfrom_local=2,
            to_local=2, kto_local=2)
    talk("HELO x", *mail("drop@from.test", "bob") * 2, *mail("bad@from.test"), "QUIT")
    counted("each discarded message", cf=1, cr=3, discarded_esmtp=2, rejected_esmtp=1, from_esmtp=2,
            kfrom_esmtp=2)
    talk("HELO x", *mail("drop@from.test", "bob")[:2], "QUIT")
    talk("HELO x", *mail("quar@from.test", "bob")[:2], "QUIT")
    counted("no text, no message", cf=2)
    talk("HELO x", *mail("quar@from.test", "bob") * 2, "QUIT")
    counted("each quarantined message", cf=1, quarantined_esmtp=2, from_esmtp=2, kfrom_esmtp=2)
    talk("HELO x", *mail("", "bob"), "QUIT")
    counted("nobody is local", cf=1, from_local=1, kfrom_local=1, to_local=1, kto_local=1)
    talk("HELO x", *mail("", "rej@stage.test"), "QUIT")
    counted("nobody rejected", cf=1, cr=1, rejected_local=1)
    huge = "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 400 + "."
    talk("HELO x", *mail("x@from.test", "bob", text=huge), "QUIT")
    counted("too large, but read", cf=1, from_esmtp=1, kfrom_esmtp=29)
    talk("HELO x", *mail("x@from.test", "bob")[:3])
    counted("lost on the way", cf=1)
    talk("HELO x", *mail("x@from.test", "bob"), "QUIT", source="127.0.0.2")
    talk("HELO x", source="127.0.0.6")
    counted("refused clients", cf=2, cr=2)
    talk("HELO x", *mail("x@from.test", "bob") * 2, "QUIT", source="127.0.0.5")
    counted("a discarded client", cf=1, cr=2, discarded_esmtp=2, from_esmtp=2, kfrom_esmtp=2)


def submit(stage, *arguments, text="Subject: x\n\nhello\n"):
    return stage.run(["sendmail", "-Am", "-oi", "-odi", "-f", "ann", *arguments], text=text)


def by_command_line(stage, counts):
    counted = counts.more
    submit(stage, "bob")
    counted("one message", from_local=1, kfrom_local=1, to_local=1, kto_local=1)
    submit(stage, "-odb", "bob")
    counted("in the background", from_local=1, kfrom_local=1, to_local=1, kto_local=1)
    submit(stage, "nowhere", "file", "prog")
    counted("files and programs", from_local=1, kfrom_local=1, to_file=2, kto_file=2, to_prog=1, kto_prog=1)
    submit(stage, "a@sink.test", "b@sink.test", "bob")
    counted("one transaction counts once", ct=1, from_local=1, kfrom_local=1, to_esmtp=1, kto_esmtp=1,
            to_local=1, kto_local=1)
    submit(stage, "bad@sink.test", "c@sink.test")
    counted("a report is a message", ct=1, from_local=2, kfrom_local=3, to_esmtp=1, kto_esmtp=1, to_local=1,
            kto_local=2)
    submit(stage, "nosuch")
    counted("an unknown user's report", from_local=2, kfrom_local=3, to_local=1, kto_local=2)
    submit(stage, "a@dead.test")
    stage.run(["sendmail", "-Am", "-qf"], check=0)
    counted("waiting", from_local=1, kfrom_local=1)
    submit(stage, "list")
    counted("a list with an owner came in once", from_local=1, kfrom_local=1, to_local=3, kto_local=3)
    submit(stage, "bob", text=BIG)
    counted("with its header", from_local=1, kfrom_local=3, to_local=1, kto_local=3)
    submit(stage, "-odq", "bob", "cid", text=BIG)
    counted("queued", from_local=1, kfrom_local=3)
    stage.run(["sendmail", "-Am", "-qf"], check=0)
    counted("a queue run counts the queued header", to_local=2, kto_local=8)
    submit(stage, "-t")
    counted("for nobody", from_local=1, kfrom_local=1)
    submit(stage, "bob", text="\n" + "x\n" * 20000)
    counted("too large: the report has no text", from_local=2, kfrom_local=41, to_local=1)
    stage.run(["sendmail", "-oi", "bob"], user="ann", text="Subject: x\n\nhello\n", check=0)
    counted("through submit.cf", cf=1, from_local=1, kfrom_local=1, to_local=1, kto_local=1)
    stage.run(["sendmail", "-Am", "-bv", "bob", "nosuch"])
    counted("verified")


def shown(stage, counts):
    people = stage.run(["mailstats"], check=0).stdout.decode()
    now = counts.read()
    words = [line.split() for line in people.split("\n")]
    local = next(line for line in words if line[-1:] == ["local"])
    assert local[1:5] == [str(now["from[local]"]), "%dK" % now["kfrom[local]"], str(now["to[local]"]),
                          "%dK" % now["kto[local]"]], people
    connections = next(line for line in words if line[:1] == ["C"])
    assert connections[1:] == [str(now[n]) for n in ("cf", "ct", "cr")], people
    print(people)
    stage.run(["mailstats", "-p"], check=0)
    assert os.path.getsize(FILE) == 0, "-p empties the file"
    counts.expected = {}
    submit(stage, "bob")
    counts.more("begun anew", from_local=1, kfrom_local=1, to_local=1, kto_local=1)


def together(stage):
    """Daemon, command line and many clients at once lose no count."""
    before = Counts.read()
    children = [subprocess.Popen(["sendmail", "-Am", "-odi", "-oi", "-f", "ann", "bob"], stdin=subprocess.PIPE)
                for _ in range(10)]
    for child in children:
        child.communicate(b"Subject: at once\n\nhello\n")
        for _ in range(2):
            talk("HELO x", *mail("ann@stage.test", "bob"), "QUIT")
    wanted = {name: before.get(name, 0) + 30 for name in ("from[local]", "kfrom[local]", "to[local]", "kto[local]")}
    wanted["cf"] = before.get("cf", 0) + 20
    wait_until("all is counted", lambda: Counts.read() == wanted)
