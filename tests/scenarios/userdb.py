"""The user database: where mail for a user goes, what a sender is called, and what a bad file does."""
import os
import re
import subprocess

from stage import write

DATABASE = """ann:maildrop u1
ann:mailname Ann.Example
bob:maildrop bob
bob:maildrop u2
cid:maildrop u3@far.test
u0:mailname zero
u8:mailname U.Eight@eight.test
:default:mailname default.test
program:maildrop |/srv/record
list:maildrop u4, u5
list:mailsender ann
"""

# Each delivery leaves the arguments, the user id and the header lines that matter here.
RECORD = """#!/bin/sh
{ echo "$@"; id -u; grep -E '^(From|To):'; } >/srv/out/.$$ && mv /srv/out/.$$ /srv/out/m$$
"""


def run(stage):
    os.makedirs("/srv/out")
    os.chmod("/srv/out", 0o1777)
    write("/srv/record", RECORD, 0o755)
    write("/etc/mail/aliases", "")
    stage.configure("define(`confUSERDB_SPEC', `/etc/mail/userdb')dnl\n", """LOCAL_CONFIG
Kdrop userdb maildrop
Kname userdb -a.x mailname
MAILER_DEFINITIONS
Mremote, P=/srv/record, F=lsDFMuX, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP/HdrFromSMTP, A=record -f $g $u
LOCAL_RULE_0
R$* < @ far.test . > $*	$#remote $@ far.test $: $1 < @ far.test > $2
R$* < @ far.test > $*	$#remote $@ far.test $: $1 < @ far.test > $2
""", aliases="postmaster: root\nMAILER-DAEMON: postmaster\nalias: ann, cid\n")
    with open("/etc/mail/sendmail.cf") as f:
        text = f.read()

    def flags(more):
        local = "Mlocal, P=/srv/record, F=lsDFMAw5:/|@qmn%s, S=EnvFromL/HdrFromL, " \
                "R=EnvToL/HdrToL, A=record -f $g $u\n" % more
        write("/etc/mail/sendmail.cf", re.sub(r"(?m)^Mlocal,.*\n(?:[ \t].*\n)*", local, text))

    # A file that is not there is no fault.
    flags("")
    expect(verified(stage, "ann"), ["ann... deliverable: mailer local, user ann"])
    make("btree", DATABASE)

    # Maps of the class have a field as their argument.
    said = stage.run(["sendmail", "-bt"], text="/map drop ANN\n/map name ann\n/map name cid\n"
                     "/map name nobody\n/map drop \\ann\n", check=0).stdout.decode()
    answers = re.findall(r"map_lookup: (.*)", said)
    assert answers == ["drop (ANN) returns u1 (0)", "name (ann) returns Ann.Example.x (0)",
                       "name (cid) returns cid@default.test.x (0)", "name (nobody) no match (0)",
                       "drop (\\ann) no match (0)"], answers

    # Aliases come first, several values are several recipients, and -n stops aliases only.
    expect(verified(stage, "alias"), ["u1... deliverable: mailer local, user u1",
                                     "u3@far.test... deliverable: mailer remote, host far.test, "
                                     "user u3@far.test"])
    assert verified(stage, "-n", "bob") == ["bob... deliverable: mailer local, user bob",
                                            "u2... deliverable: mailer local, user u2"]
    assert verified(stage, "\\ann") == ["\\ann... deliverable: mailer local, user \\ann"]

    # The header names the sender as the world knows her; the envelope does so with F=i, and
    # recipients are renamed too with F=j.
    for more, sender, to in (("", "u0", "u8"), ("i", "zero", "u8"), ("ij", "zero", "U.Eight@eight.test")):
        flags(more)
        send(stage, "u0", "ann", "cid")
        assert sorted(delivered(2)) == [
            ["-f %s u1" % sender, "From: zero", "To: %s, cid@mx.stage.test" % to],
            ["-f %s@mx.stage.test u3@far.test" % sender, "From: zero@mx.stage.test",
             "To: %s, cid@mx.stage.test" % (to if "@" in to else to + "@mx.stage.test")]], more
    assert stage.log.having(" from=u0, "), stage.log.lines

    # A program belongs to nobody, and the errors of a list to its sender in the database.
    flags("i")
    send(stage, "u0", "program")
    (lines,) = delivered(1, numbers=True)
    assert lines[1] == "8", lines
    send(stage, "u0", "list")
    assert [m[0] for m in delivered(1)] == ["-f Ann.Example u5 u4"], "the list"

    # A file of the wrong kind keeps recipients in the queue until it is right.
    make("hash", DATABASE)
    done = stage.run(["sendmail", "-Am", "-i", "-odi", "-v", "-f", "u0", "ann"], text="To: u8\n\nhi\n", check=0)
    assert b"ann... queued (user database error): Invalid argument" in done.stdout, done
    assert stage.log.having("db_open(/etc/mail/userdb.db): Invalid argument")
    assert stage.log.having("deferred: udbexpand: Invalid argument")
    listed = stage.run(["mailq"], check=0).stdout.decode()
    assert "(Deferred: user database error)" in listed, listed
    make("btree", DATABASE)
    stage.run(["sendmail", "-q", "-v"], check=0)
    assert [m[0] for m in delivered(1)] == ["-f zero u1"]
    assert not stage.queue_files(), stage.queue_files()

    # Somewhere else everybody has a mailbox.
    write("/etc/mail/sendmail.cf", text.replace("=/etc/mail/userdb", "=/etc/mail/none,@far.test"))
    assert verified(stage, "u9") == ["u9@far.test... deliverable: mailer remote, host far.test, "
                                     "user u9@far.test"]
    # What is no specification is told.
    write("/etc/mail/sendmail.cf", text.replace("=/etc/mail/userdb", "=hesiod"))
    done = stage.run(["sendmail", "-bv", "u9"], check=70)
    assert b"Unknown UDB spec hesiod" in done.stdout + done.stderr, done


def expect(found, wanted):
    assert found == wanted, found


def make(kind, text):
    if os.path.exists("/etc/mail/userdb.db"):
        os.unlink("/etc/mail/userdb.db")
    subprocess.run(["makemap", "-d", kind, "/etc/mail/userdb"], input=text.encode(), check=True)


def verified(stage, *arguments):
    return sorted(stage.run(["sendmail", "-bv", *arguments], check=0).stdout.decode().split("\n")[:-1])


def send(stage, sender, *recipients):
    stage.run(["sendmail", "-Am", "-i", "-odi", "-f", sender, *recipients], check=0,
              text="To: u8, cid@mx.stage.test\n\nhi\n")


def delivered(count, numbers=False):
    """What the recording mailer got since it was last asked."""
    found = []
    for name in sorted(os.listdir("/srv/out")):
        if name.startswith("m"):
            with open("/srv/out/" + name) as f:
                lines = f.read().split("\n")[:-1]
            os.unlink("/srv/out/" + name)
            found.append(lines if numbers else lines[:1] + lines[2:])
    assert len(found) == count, found
    return found
