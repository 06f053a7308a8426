"""Lists with an owner, programs, files, :include: and .forward: who gets what, as whom."""
import os
import stat

from tools import wait_until
from stage import UIDS, write

ALIASES = """postmaster: root
MAILER-DAEMON: postmaster
crew: ann, bob
owner-crew: cid
prog: "|/srv/record prog"
file: /var/mail/archive
listed: :include:/srv/list
"""

RECORD = """#!/bin/sh
umask 077
{ echo "$1"; id -u; id -G; pwd; env | sort; echo --; cat; } >"/srv/out/$1.$$"
"""


def run(stage):
    os.makedirs("/srv/out")
    os.chmod("/srv/out", 0o1777)
    write("/srv/record", RECORD, 0o755)
    write("/srv/list", "# the list\nann\nbob, u1\n", 0o644)
    write("/etc/shells", "/bin/sh\n")
    stage.configure(aliases=ALIASES)
    for user in ("ann", "bob", "cid", "u1", "u2"):
        stage.maildir(user)
    write("/home/u0/.forward", '\\u0, u2, "|/srv/record forward"\n', 0o644, "u0")
    stage.maildir("u0")
    stage.daemon()

    def send(recipient, subject, sender="ann"):
        stage.run(["sendmail", "-i", recipient], user=sender,
                  text="Subject: %s\n\nbody\nFrom the start\n" % subject, check=0)

    send("crew", "for the crew")
    for user in ("ann", "bob"):
        message = stage.expect_message(user, "for the crew")
        assert message["Return-Path"] in ("<cid@mx.stage.test>", "<cid>"), message["Return-Path"]

    send("prog", "to a program")
    text = recorded("prog")
    assert text[1] == str(UIDS["mail"][0]), text       # DefaultUser
    assert "AGENT=sendmail" in text, text
    assert "Subject: to a program" in text, text

    send("file", "to a file")

    def archive():
        """The whole message, when it is there."""
        if not os.path.exists("/var/mail/archive"):
            return None
        with open("/var/mail/archive") as f:
            text = f.read()
        return text if text.endswith("start\n\n") else None
    lines = wait_until("the archive", archive).split("\n")
    assert lines[0].startswith("From ann"), lines[0]
    assert ">From the start" in lines and lines[-2:] == ["", ""], "\n".join(lines)
    facts = os.stat("/var/mail/archive")
    assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (UIDS["mail"][0], 0o640), facts

    send("listed", "for the list")
    for user in ("ann", "bob", "u1"):
        stage.expect_message(user, "for the list")

    send("u0", "forwarded")
    stage.expect_message("u0", "forwarded")
    stage.expect_message("u2", "forwarded")
    text = recorded("forward")
    assert text[1] == str(UIDS["u0"][0]), text
    assert text[2] == str(UIDS["u0"][1]), text
    wait_until("the queue is empty", lambda: not stage.queue_files())


def recorded(name):
    def look():
        for entry in os.listdir("/srv/out"):
            if entry.startswith(name + "."):
                with open("/srv/out/" + entry) as f:
                    text = f.read()
                if text.endswith("start\n"):
                    return text.split("\n")
        return None
    return wait_until("the program " + name, look)
