"""smrsh, mail.local, vacation and rmail: as the real ones, and together with the real sendmail.

The real programs run beside ours: the same questions get the same answers, each sendmail
delivers through the other's programs, and both read the same files.
"""
import glob
import os
import re
import socket
import subprocess

from stage import PEERS, write
from tools import REAL_SENDMAIL, wait_until

REAL = PEERS + "/usr/libexec/sendmail/"
OURS = "/usr/sbin/"
# Our program, when something else has the name sendmail.
KEPT = "/usr/sbin/sendmail.kept"
PROGRAMS = "/etc/mail/smrsh/"
SHOW = "#!/bin/sh\necho \"$#\" \"$@\" \"$PATH\"; exit 3\n"
# What stands for sendmail where only its arguments matter.
RECORD = """#!/bin/sh
{ for word in "$@"; do printf '[%s]' "$word"; done; echo; cat; } >/tmp/sent.new
mv /tmp/sent.new /tmp/sent; exit ${STATUS:-0}
"""


def run(stage):
    os.link("/usr/sbin/sendmail", KEPT)
    os.makedirs(PROGRAMS)
    write(PROGRAMS + "show", SHOW, 0o755)
    write(PROGRAMS + "fail", "#!/bin/sh\nexit 1\n", 0o755)
    write(PROGRAMS + "text", "x")
    restricted_shell(stage)
    mailboxes(stage)
    full_mailboxes(stage)
    for_sendmail(stage)
    os.unlink("/usr/sbin/sendmail")
    write("/usr/sbin/sendmail", RECORD, 0o755)
    away(stage)
    from_uucp(stage)
    delivery_agents(stage)
    rights(stage)


def name_of(program, name):
    """Gives our program its name wherever it lies."""
    path = "/srv/ours/" + name
    if not os.path.islink(path):
        os.makedirs("/srv/ours", exist_ok=True)
        os.symlink(KEPT, path)
    return path if program == OURS else program + {"vacation": "vacation.sendmail"}.get(name, name)


def both(stage, name, arguments, wanted=None, **more):
    """Asks both programs the same; their answers, without their own names, must be one."""
    said = []
    for program in (REAL, OURS):
        path = name_of(program, name)
        logged = len(stage.log.lines)
        done = stage.run([path, *arguments], **more)
        text = done.stdout + b"|" + done.stderr
        lines = [re.sub(r"^<(\d+)>.{15} ([a-z.]+)(?:\[\d+\])?: ", r"\1 \2 ", line)
                 for line in stage.log.lines[logged:]]
        said.append((done.returncode, text.decode("latin-1").replace(path, name), lines))
    assert said[0] == said[1], (name, arguments, "theirs", said[0], "ours", said[1])
    if wanted is not None:
        assert said[1][0] == wanted, (name, arguments, said[1])
    return said[1]


# ------------------------------------------------------------------- smrsh
def restricted_shell(stage):
    for command, status in [
            ("show", 3), ("/usr/ucb/show a 'b c'", 3), ("show a\\ b \"c  d\"", 3), ("exec show q", 3),
            ("fail || show x", 3), ("fail && show x", 1), ("exec fail || exit 75", 1), ("exit 75", 75),
            ("echo hi", 0), ("fail || exit 4", 4), ("show /etc/mail/sm*", 3), ("fail ||", 2),
            ("show a;b", 69), ("show a|b", 69), ("show `x`", 69), ("show $HOME", 69), ("show <x", 69),
            ("show x &", 69), ("show (x)", 69), ("show a^b", 69), ("fail||show", 69), ("nosuch a", 69),
            ("text", 69), ("..", 69), ("x/", 69), ("exec", 69), ("exec ", 69), ("/bin/echo hi", 69),
            ("A=1 show", 69), ("show ||| show", 69), ("'show'", 69), ("", 64), ("  ", 64),
            ("echo " + "n" * 977, 0), ("echo " + "n" * 978, 69), ("show " + "n" * 977, 3),
            ("show " + "n" * 978, 69), ("show || show " + "n" * 954, 3), ("show || show " + "n" * 955, 69)]:
        both(stage, "smrsh", ["-c", command], status, user="ann", environment={"HOME": "/x", "TZ": "UTC"})
    both(stage, "smrsh", [], 64)
    both(stage, "smrsh", ["-c", "show", "x"], 64)
    both(stage, "smrsh", ["-x", "show"], 64)


# -------------------------------------------------------------- mail.local
def mailbox(user):
    with open("/var/mail/" + user, "rb") as f:
        text = f.read()
    os.unlink("/var/mail/" + user)
    return re.sub(rb"(?m)^(From \S+) \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$", rb"\1 DATE", text)


def mailboxes(stage):
    """The same messages make the same mailboxes; only what the manual says is marked in addition."""
    os.chmod("/var/mail", 0o1777)  # the real program makes its lock file with the user's rights
    for text in ("Subject: a\n\nbody\n", "Subject: a\nContent-Length: 9\n\nb\n\n\n", "\nbody\n",
                 "S: a\r\n\r\nb\r\n", "From a Mon\nS: x\n\nhi\n", "S: only a header\n"):
        stored = []
        for program in (REAL, OURS):
            done = stage.run([name_of(program, "mail.local"), "-f", "s@x.test", "ann"], text=text, check=0)
            assert not done.stdout + done.stderr
            facts = os.stat("/var/mail/ann")
            assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777) == (1001, 1001, 0o600), facts
            stored.append(mailbox("ann"))
        assert stored[0] == stored[1], stored
    marked = b"From s DATE\nS: a\nContent-Length: 17\n\nb\n\n>From me\nFrom\n\n"
    stage.run([name_of(OURS, "mail.local"), "-f", "s", "ann"], text="S: a\n\nb\n\nFrom me\nFrom\n", check=0)
    assert mailbox("ann") == marked
    both(stage, "mail.local", ["-f", "s", "nosuch", "x@y", "../ann"], 69)
    for arguments in (["-f", "s"], ["-x"], ["-f", "a", "-r", "b", "ann"], ["-D", "nope", "ann"]):
        both(stage, "mail.local", arguments, 69)
    both(stage, "mail.local", ["-l", "ann"], 75)
    lmtp(stage)
    # Files that are no mailbox stay as they are.
    write("/etc/motd", "secret\n", 0o666)
    os.symlink("/etc/motd", "/var/mail/u3")
    write("/var/mail/u4", "", 0o600, "u4")
    os.link("/var/mail/u4", "/var/mail/u4x")
    write("/var/mail/u5", "")
    os.mkfifo("/var/mail/u6")
    for user in ("u3", "u4", "u5", "u6"):
        both(stage, "mail.local", ["-f", "s", user], 69, text="S: a\n\nb\n")
    with open("/etc/motd") as f:
        assert f.read() == "secret\n"
    assert not os.path.getsize("/var/mail/u4") and not os.path.getsize("/var/mail/u5")
    assert not glob.glob("/var/mail/*.lock")
    # A file at home is written with the user's rights alone.
    done = stage.run([name_of(OURS, "mail.local"), "-f", "s", "-h", "../../etc/x", "ann"], text="S: a\n\nb\n")
    assert done.returncode != 0 and not os.path.exists("/etc/x")
    stage.run([name_of(OURS, "mail.local"), "-f", "s", "-h", "box", "ann"], text="S: a\n\nb\n", check=0)
    assert os.stat("/home/ann/box").st_uid == 1001
    # A mailbox locked in any of three ways is waited for.
    waits(stage)


def lmtp(stage):
    head = "LHLO x\r\nMAIL FROM:<s@x.test> BODY=8BITMIME\r\n"
    for lines in (
            head + "RCPT TO:<ann@h>\r\nRCPT TO:<nosuch>\r\nRCPT TO:bob\r\nRCPT TO:<bob+d@h> X=Y\r\nDATA\r\n"
            "S: l\r\n\r\n..dot\r\nb\r\n.\r\nQUIT\r\n",
            "HELO x\r\nHELP\r\nNOOP\r\nNOOP x\r\nRSET\r\nVRFY a\r\nVRFY\r\nLHLO\r\nLHLO a\r\nLHLO b\r\nQUIT x\r\n",
            "RCPT TO:<ann>\r\nDATA\r\nDATA x\r\nMAIL FROM:<a>\r\nMAIL FROM:<a>\r\nDATA\r\nRCPT FROM:<x>\r\n"
            "RCPT TO:<>\r\nRCPT TO:<@a,@b:ann@x>\r\nRCPT TO:<\"a b\"@x>\r\nRCPT TO:<ann\r\nRCPT TO: <ann>\r\n",
            "MAIL FROM:<>\r\nRCPT TO:<ann>\r\nDATA\r\nx\r\n.\r\nRCPT TO:<ann>\r\nMAIL FROM:s@x\r\nMAIL FROM:\r\n",
            "MAIL FROM:<a>\nRCPT TO:<ann>\nDATA\nlf\n.\nQUIT\n",
            head + "RCPT TO:<ann>\r\nDATA\r\nno end\r\n"):
        stored = []
        for program in (REAL, OURS):
            done = stage.run([name_of(program, "mail.local"), "-l"], text=lines, check=0)
            stored.append([done.stdout] + [mailbox(u) for u in ("ann", "bob") if os.path.exists("/var/mail/" + u)])
        assert stored[0] == stored[1], (lines, stored)
    done = both(stage, "mail.local", ["-l", "-7"], 0, text="LHLO x\r\nQUIT\r\n")
    assert "8BITMIME" not in done[1]
    # Only the line end the client uses ends a message.
    smuggled = "MAIL FROM:<a>\r\nRCPT TO:<ann>\r\nDATA\r\nx\n.\nRSET\n.\r\ny\r\n.\r\nQUIT\r\n"
    done = stage.run([name_of(OURS, "mail.local"), "-l"], text=smuggled, check=0)
    assert done.stdout.count(b"250 2.1.5 ann Ok") == 1 and b"RSET" in mailbox("ann"), done.stdout


def waits(stage):
    for lock in ("file", "fcntl", "flock"):
        write("/var/mail/ann", "", 0o600, "ann")
        with open("/var/mail/ann", "r+") as held:
            if lock == "file":
                write("/var/mail/ann.lock", "0")
            else:
                import fcntl
                (fcntl.lockf if lock == "fcntl" else fcntl.flock)(held, fcntl.LOCK_EX)
            child = stage.spawn([name_of(OURS, "mail.local"), "-f", "s", "ann"], stdin=subprocess.PIPE)
            child.stdin.write(b"S: a\n\nb\n")
            child.stdin.close()
            try:
                child.wait(0.4)
                raise AssertionError("it did not wait for the lock " + lock)
            except subprocess.TimeoutExpired:
                assert not os.path.getsize("/var/mail/ann")
            if lock == "file":
                os.unlink("/var/mail/ann.lock")
        assert child.wait(60) == 0, lock
        assert b"S: a" in mailbox("ann")


def full_mailboxes(stage):
    """A full disk defers, and what was there stays as it was."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "none", "/var/mail"], check=True)
    stage.run([name_of(OURS, "mail.local"), "-f", "s", "ann"], text="S: first\n\nb\n", check=0)
    before = os.path.getsize("/var/mail/ann")
    big = "S: big\n\n" + ("x" * 70 + "\n") * 2000
    for flags in ([], ["-b"]):
        both(stage, "mail.local", [*flags, "-f", "s", "ann"], 75, text=big)
        lines = "MAIL FROM:<s>\r\nRCPT TO:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n%s.\r\nMAIL FROM:<s>\r\n" \
                "RCPT TO:<bob>\r\nDATA\r\nS: small\r\n.\r\n" % big.replace("\n", "\r\n")
        said = both(stage, "mail.local", [*flags, "-l"], 0, text=lines)[1]
        assert said.count("450 4.2.0 Write /var/mail/") == 2 and "250 2.1.5 bob Ok" in said, said
        os.unlink("/var/mail/bob")
    assert os.path.getsize("/var/mail/ann") == before
    subprocess.run(["umount", "/var/mail"], check=True)


# ------------------------------------------------------- each for the other
def for_sendmail(stage):
    """Either sendmail delivers through either mail.local, by LMTP, and either smrsh."""
    write(PROGRAMS + "keep", "#!/bin/sh\ncat >/tmp/kept.$1\n", 0o755)
    round = 0
    for folder, runner in ((REAL, "/usr/sbin/sendmail"), ("/srv/ours/", REAL_SENDMAIL),
                           ("/srv/ours/", "/usr/sbin/sendmail")):
        round += 1
        stage.configure("FEATURE(`local_lmtp', `%smail.local')dnl\nFEATURE(`smrsh', `%ssmrsh')dnl" % (folder, folder),
                        aliases="postmaster: root\nkept: \"|/any/where/keep %d\"\nbad: \"|keep x;id\"\n" % round)
        with open("/etc/mail/sendmail.cf") as f:
            text = f.read()
        text = re.sub(r"(?m)^Mlocal,.*\n(?:[ \t].*\n)*",
                      "Mlocal, P=%smail.local, F=lsDFMAw5:/|@qPSXmnz9, S=EnvFromSMTP/HdrFromL, R=EnvToL/HdrToL, "
                      "E=\\\\r\\\\n, T=DNS/RFC822/SMTP, A=mail.local -l\n" % folder, text)
        write("/etc/mail/sendmail.cf", text)
        assert "P=" + folder + "smrsh" in text
        send = [runner, "-Am", "-oi", "-odi", "-f", "cid@far.test"]
        text = "Subject: round %d\n\n.\nFrom here\nhello\n" % round
        done = stage.run([*send, "ann", "bob"], text=text)
        assert done.returncode == 0, (folder, runner, done, stage.log.lines[-5:])
        for user in ("ann", "bob"):
            stored = mailbox(user)
            assert stored.startswith(b"From cid@far.test DATE\n") and b"\n\n.\nFrom here\nhello\n\n" in stored, stored
        stage.run([*send, "kept"], text=text, check=0)
        with open("/tmp/kept.%d" % round) as f:
            assert "Subject: round %d" % round in f.read()
        stage.run([*send, "bad"], text=text)
        assert stage.log.having("smrsh", "attempt to use ; in command: keep x;id"), "the command was run"
        assert stage.log.having("to=\"|keep x;id\"", "dsn=5.0.0", "stat=Service unavailable"), stage.log.lines[-9:]
        for box in glob.glob("/var/mail/*"):
            os.unlink(box)


# ---------------------------------------------------------------- vacation
def away(stage):
    home = "/home/ann/"
    write(home + ".vacation.msg", "From: ann\nSubject: away\n\ngone\n", 0o644, "ann")
    memory = home + ".vacation.db"

    def ask(program, sender, to="ann@stage.test", more="", flags=()):
        """Returns what was sent."""
        text = "From %s Mon Jan  1 00:00:00 2001\nFrom: x\nTo: %s\n%s\nbody\n" % (sender, to, more)
        if os.path.exists("/tmp/sent"):
            os.unlink("/tmp/sent")
        done = stage.run([name_of(program, "vacation"), "-d", *flags, "ann"], user="ann", text=text)
        assert done.returncode == 0 and not done.stdout + done.stderr, (sender, done)
        return program

    def sent():
        wait_until("an answer", lambda: os.path.exists("/tmp/sent"))
        with open("/tmp/sent") as f:
            return f.read()

    os.chmod("/tmp", 0o1777)
    answer = "To: %s\nAuto-Submitted: auto-replied\nFrom: ann\nSubject: away\n\ngone\n"
    for program, other in ((REAL, OURS), (OURS, REAL)):
        both(stage, "vacation", ["-d", "-i", "ann"], 0, user="ann")
        facts = os.stat(memory)
        assert (facts.st_uid, facts.st_mode & 0o777) == (1001, 0o640), facts
        for sender, flags, words in (("one@x", [], "[-oi][-f][ann][--][one@x]"),
                                     ("two@x", ["-z"], "[-oi][-f][<>][--][two@x]"),
                                     ("three@x", ["-R", "r@x"], "[-oi][-f][r@x][--][three@x]"),
                                     ("\"a b\"@x", ["-s", "four@x"], "[-oi][-f][ann][--][four@x]"),
                                     ("-odd", [], "[-oi][-f][ann][--][-odd]")):
            ask(program, sender, flags=flags)
            address = flags[1] if flags[:1] == ["-s"] else sender
            assert sent() == words + "\n" + answer % address
        # The other program remembers what this one wrote.
        ask(other, "one@x")
        ask(other, "-odd")
        stage.run([name_of(program, "vacation"), "-x", "ann"], user="ann", text="no@x\n@dom.test\n", check=0)
        ask(other, "no@x")
        ask(other, "y@dom.test")
        assert not os.path.exists("/tmp/sent")
        listed = [stage.run([name_of(p, "vacation"), "-l", "ann"], user="ann", check=0).stdout for p in (REAL, OURS)]
        assert listed[0] == listed[1] and listed[0].count(b"\n") == 7, listed
    # Silence where the manual wants it; the last one is answered, so nothing comes late.
    for sender, to, more in (("postmaster@x", "ann", ""), ("owner-x@y", "ann", ""), ("MAILER-DAEMON", "ann", ""),
                             ("b@x", "bob", ""), ("b@x", "annabel", ""), ("b@x", "ann", "Precedence: bulk\n"),
                             ("b@x", "ann", "precedence: Junk\n")):
        for program in (REAL, OURS):
            ask(program, sender, to, more)
    for sender, more in (("bob-request@x", ""), ("<>", ""), ("b@x", "Auto-Submitted: auto-replied\n")):
        ask(OURS, sender, "ann", more)
    ask(OURS, "last@x")
    assert "last@x" in sent()
    both(stage, "vacation", ["-d", "-r", "2", "-i", "ann"], 0, user="ann")
    for arguments, status, text in ((["-d"], 64, ""), (["-d", "nosuch"], 67, ""), (["-q", "ann"], 64, ""),
                                    (["-d", "-U", "ann"], 66, ""), (["nosuch"], 67, ""), (["-d", "a", "b"], 64, ""),
                                    (["-d", "ann"], 65, "To: ann\n\n"), (["ann"], 65, "From  x\nTo: ann\n\n"),
                                    (["-d", "ann"], 65, "From \"x\nTo: ann\n\n")):
        both(stage, "vacation", arguments, status, user="ann", text=text)
    for program in (REAL, OURS):
        text = "From %d\nTo: ann\n\n" % len(program)
        done = stage.run([name_of(program, "vacation"), "-d", "-m", "none", "ann"], user="ann", text=text, check=66)
        assert done.stderr == b"vacation: no ~ann/none file.\n", done
    write(memory, "junk", 0o600, "ann")
    both(stage, "vacation", ["-d", "ann"], 65, user="ann", text="From x\nTo: ann\n\n")


# ------------------------------------------------------------ sensible-mda
def delivery_agents(stage):
    """The answers are those of sensible-mda 8.17.1.9, which Debian's configuration calls."""
    agent = name_of(OURS, "sensible-mda")
    # Only our own mail.local is there.
    os.makedirs("/usr/libexec/sendmail", exist_ok=True)
    if not os.path.lexists("/usr/libexec/sendmail/mail.local"):
        os.symlink(KEPT, "/usr/libexec/sendmail/mail.local")
    stage.run([agent, "ann@stage.test", "cid", "", ""], text="Subject: own\n\nbody\n", check=0)
    assert "Subject: own" in stage.run(["cat", "/var/mail/cid"], check=0).stdout.decode()
    said = 'echo "${0##*/} $# $* $(id -u)"; cat; exit 7\n'
    for name, words in (("mail.local", "3 -f ann cid 0"), ("deliver", "3 -r ann cid 1003"),
                        ("maildrop", "5 -f ann -d cid x 1003"), ("procmail", "7 -t -f ann -a x -d cid 0")):
        write(PROGRAMS + name, "#!/bin/sh\n" + said, 0o755)
        done = stage.run([agent, "ann", "cid", "x", "127.0.0.1"], text="body\n", check=7)
        assert done.stdout.decode() == "%s %s\nbody\n" % (name, words), done.stdout
    for words, status in (([], 64), (["ann"], 64), (["ann", "nosuch"], 75)):
        stage.run([agent, *words], check=status)
    for name in ("mail.local", "deliver", "maildrop", "procmail"):
        os.unlink(PROGRAMS + name)


# ------------------------------------------------------------------- rmail
def from_uucp(stage):
    """The answers are those of rmail 8.17.1.9."""
    rmail = name_of(OURS, "rmail")
    for head, users, words in (
            ("From ann Mon remote from hosta\n", ["bob"], "[-pUUCP:hosta.UUCP][-fhosta!ann][bob]"),
            ("From c!ann Mon remote from hostb\n>From ann Mon remote from hosta\n", ["bob", "c!d"],
             "[-pUUCP:hostb.UUCP][-fhostb!hosta!ann][bob][c!d]"),
            ("From a!b!ann Mon\n", ["x,y"], "[-pUUCP:a!b.UUCP][-fa!b!ann][<x,y>]"),
            ("From ann remote from a.test\n", ["-D", "dom", "bob"], "[-pdom:a.test][-fa.test!ann][bob]"),
            ("From ann@x.test Mon\n", ["bob"], "[-pUUCP][-fann@x.test][bob]")):
        stage.run([rmail, *users], text=head + "Subject: x\n\nbody\n", check=0)
        with open("/tmp/sent") as f:
            assert f.read() == "[-G][-oee][-odi][-oi]%s\nSubject: x\n\nbody\n" % words
    for text, arguments, status, said in (
            ("Subject: x\n", ["bob"], 65, "rmail: missing or empty From line: Subject: x\n"),
            ("From ann Mon\n", ["bob"], 65, "rmail: no data\n"),
            ("From !x Mon\n\n", ["bob"], 65, "rmail: bang starts address: !x Mon\n"),
            ("From x Mon\n\n", ["--", "-bob"], 64, "rmail: dash precedes argument: -bob\n"),
            ("From x Mon\n\n", [], 64, "usage: rmail [-T] [-D domain] user ...\n")):
        done = stage.run([rmail, *arguments], text=text, check=status)
        assert done.stderr.decode() == said, done
    done = stage.run([rmail, "bob"], text="From x Mon\n\n", environment={"STATUS": "67"}, check=67)
    assert b"terminated with 67 (non-zero) status" in done.stderr


# ------------------------------------------------------------------ rights
def rights(stage):
    """The group of the program is given up before anything is opened or run."""
    secret = "/srv/secret"
    write(secret, "O AliasFile=/etc/mail/aliases\nsecret text\n", 0o640)
    os.chown(secret, 0, 111)
    assert os.stat(KEPT).st_gid == 111 and os.stat(KEPT).st_mode & 0o2000
    write(PROGRAMS + "groups", "#!/bin/sh\nid -G; cat %s\n" % secret, 0o755)
    done = stage.run([name_of(OURS, "smrsh"), "-c", "groups"], user="ann")
    assert done.stdout == b"1001\n" and b"Permission denied" in done.stderr, done
    for name, arguments in (("makemap", ["-C", secret, "hash", "/tmp/m"]), ("praliases", ["-C", secret]),
                            ("editmap", ["-C", secret, "-q", "hash", "/tmp/m", "k"])):
        done = stage.run([name_of(OURS, name), *arguments], user="ann", check=66)
        assert b"Permission denied" in done.stderr, done
    os.unlink("/tmp/sent")
    mail = "From x@y Mon\nTo: me\n\n"
    flags = ["-d", "-U", "-f", "/home/ann/db", "-m", secret, "me"]
    done = stage.run([name_of(OURS, "vacation"), *flags], user="ann", text=mail, check=66)
    assert b"no /srv/secret file" in done.stderr
    done = stage.run([name_of(OURS, "mail.local"), "bob"], user="ann", text="S: x\n\n", check=75)
    assert b"setreuid(0, 1002): Operation not permitted" in done.stderr and not os.path.exists("/var/mail/bob")
    assert not os.path.exists("/tmp/sent")
