"""Worked examples of the tutorial: submission, aliases, .forward, the queue."""
import os
import threading
import re

from stage import HOST, write
from tools import wait_until

# A small configuration whose local mailer records arguments and message.
CF = """V10
Cwlocalhost stage.test mx.stage.test
Djmx.stage.test
DnMAILER-DAEMON
O QueueDirectory=/var/spool/mqueue
O DeliveryMode=interactive
O AliasFile=/etc/mail/aliases
O ForwardPath=$z/.forward
O PrivacyOptions=authwarnings
O OperatorChars=.:%@!^/[]+
O UnixFromLine=From $g $d
O DontProbeInterfaces=True
O DefaultUser=mail:mail
O QueueLA=999
O TempFileMode=0600
O MinQueueAge=0
O DontBlameSendmail=safe
@OPTIONS@
Pspecial-delivery=100
Pfirst-class=0
Plist=-30
Pbulk=-60
Pjunk=-100
Troot
Tdaemon
H?P?Return-Path: <$g>
HReceived: by $j id $i; $b
H?D?Date: $a
H?F?From: @FROM@
H?M?Message-Id: <$t.$i@$j>

Scanonify=3
R$@\t\t\t$@ <@>
R$* < $* > $* <@>\t$: < $2 >
R$* < $* > $*\t\t$: $2
R$* <@>\t\t\t$: $1
R@ $*\t\t\t$@ @ $1
R$+ @ $+\t\t$@ $1 <@ $2 >
Sfinal=4
R$* <@>\t\t\t$@
R$* < @ $+ > $*\t\t$1 @ $2 $3
Sparse=0
R$* <@>\t\t\t$#local $: <>
R@ $*\t\t\t$#error $@ 5.1.3 $: "553 User address required"
R$+ < @ $=w >\t\t$#local $: $1
R$+ < @ $+ >\t\t$#smtp $@ $2 $: $1 < @ $2 >
R$+\t\t\t$#local $: $1

Mlocal, P=/srv/lmail, F=lsDFMPw5:/|@qA@LFLAGS@, S=0, R=0, T=DNS/RFC822/X-Unix, A=lmail -d $u
Mprog, P=/bin/sh, F=lsDFMeu9, S=0, R=0, D=$z:/, T=X-Unix/X-Unix/X-Unix, A=sh -c $u
Msmtp, P=[IPC], F=mDFMuX, S=0, R=0, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h
"""

LMAIL = """#!/bin/sh
umask 022
f=$(mktemp /srv/out/mail.XXXXXX)
{ echo "argv: $*"; cat; } >"$f.tmp"
chmod 644 "$f.tmp"; mv "$f.tmp" "$f"
"""


def run(stage):
    os.makedirs("/srv/out")
    os.chmod("/srv/out", 0o1777)
    write("/srv/lmail", LMAIL, 0o755)
    # As in the tutorial's time: users submit straight into the queue.
    os.chown("/usr/sbin/sendmail", 0, 0)
    os.chmod("/usr/sbin/sendmail", 0o4755)
    for example in (dot_ends_the_message, a_file_as_message, header_mode, full_name_forms,
                    untrusted_sender, trusted_users, return_path, no_user_part, too_many_hops,
                    message_kept, blind_copy, arpanet_mode, aliases_file, list_members, verify,
                    no_aliasing, forward_file, owner, me_too, pipe_alias, mailq_is_bp, queue_kinds,
                    selection, order_of_the_queue, precedence, dead_host, flags_are_taken, greeting_conditional):
        configure(stage)
        write("/etc/mail/aliases", "postmaster: root\n")
        stage.run(["newaliases"], check=0)
        for name in os.listdir("/srv/out"):
            os.unlink("/srv/out/" + name)
        for name in os.listdir("/var/spool/mqueue"):
            os.unlink("/var/spool/mqueue/" + name)
        example(stage)
        print("ok", example.__name__)
    auto_rebuild(stage)


def configure(stage, options="", sender="$?x$x <$g>$|$g$.", local_flags=""):
    text = CF.replace("@OPTIONS@", options).replace("@FROM@", sender).replace("@LFLAGS@", local_flags)
    write("/etc/mail/sendmail.cf", text)
    if os.path.exists("/etc/mail/submit.cf"):
        os.unlink("/etc/mail/submit.cf")


def sendmail(stage, *arguments, text="Subject: x\n\nbody\n", user="root", check=0):
    return stage.run(["sendmail", *arguments], text=text, user=user, check=check)


def outgoing():
    """What the local mailer was given: a list of (arguments, text)."""
    found = []
    for name in sorted(os.listdir("/srv/out")):
        if name.endswith(".tmp"):
            continue
        with open("/srv/out/" + name) as f:
            first, _, rest = f.read().partition("\n")
        if first.startswith("argv: "):
            found.append((first[6:], rest))
    return found


def body(text):
    return text.partition("\n\n")[2]


def dot_ends_the_message(stage):                                                    # E1
    sendmail(stage, "ann", text="hola que tal\n.\nmore\n")
    (argv, text), = outgoing()
    assert argv == "-d ann" and body(text) == "hola que tal\n", text


def a_file_as_message(stage):                                                       # E2
    write("/tmp/fichero", "Subject: file\n\n..\nline\n")
    with open("/tmp/fichero") as f:
        sendmail(stage, "ann", text=f.read())
    (_, text), = outgoing()
    assert body(text) == ".\nline\n" or body(text) == "..\nline\n", text
    assert body(text) == ".\nline\n", text


def header_mode(stage):                                                             # E3
    sendmail(stage, "-t", "cid", text="From: al001010@alumail.uji.es\nTo: ann\nCc: bob\n\nhi\n")
    assert sorted(argv for argv, _ in outgoing()) == ["-d ann", "-d bob", "-d cid"], outgoing()


def full_name_forms(stage):                                                         # E18
    for form, wanted in (("$g$?x ($x)$.", "From: root (Full Name)"),
                         ("$?x$x $.<$g>", "From: Full Name <root>")):
        configure(stage, sender=form)
        for name in os.listdir("/srv/out"):
            os.unlink("/srv/out/" + name)
        sendmail(stage, "-FFull Name", "ann")
        (_, text), = outgoing()
        assert wanted in text.split("\n"), text


def untrusted_sender(stage):                                                        # E25
    sendmail(stage, "-f", "fulano@xyz", "ann", user="bob")
    (_, text), = outgoing()
    assert "X-Authentication-Warning: mx.stage.test: bob set sender to fulano@xyz using -f" in text, text
    assert "Return-Path: <fulano@xyz>" in text, text


def trusted_users(stage):                                                           # E25 E59
    configure(stage, options="Tbob cid")
    sendmail(stage, "-f", "fulano@xyz", "ann", user="bob")
    sendmail(stage, "-f", "fulano@xyz", "ann", user="cid")
    assert not any("set sender" in text for _, text in outgoing()), outgoing()


def return_path(stage):                                                             # E26
    sendmail(stage, "-f", "bob", "ann")
    (_, text), = outgoing()
    assert "Return-Path: <bob>" in text.split("\n"), text


def no_user_part(stage):                                                            # E45
    done = sendmail(stage, "@xyz", check=None)
    assert done.returncode in (64, 65, 67, 69), done
    assert b"@xyz... User address required" in done.stdout + done.stderr, done


def too_many_hops(stage):                                                           # E56
    text = "".join("Received: from a by b; %d\n" % n for n in range(30)) + "Subject: x\n\nb\n"
    done = sendmail(stage, "-oem", "-f", "bob", "ann", text=text, check=None)
    assert done.returncode == 69, done
    (argv, bounce), = outgoing()
    assert argv == "-d bob" and "Too many hops 31 (25 max)" in bounce, bounce
    assert "Status: 5.4.6" in bounce, bounce


MESSAGE = """From: "Alicia" <alicia@paismaravillas.com>
To: bob@dobbs.org (Bob)
Date: Thu, 13 Nov 1997 12:04:05 -0500 (EST)
Message-Id: <199711131704.MAA18447@paismaravillas.com>
Subject: Un mensaje
Content-Type: text

Hola
--
>>alice>>
"""


def message_kept(stage):                                                            # E49
    sendmail(stage, "-i", "ann", text=MESSAGE)
    (_, text), = outgoing()
    for line in MESSAGE.partition("\n\n")[0].split("\n"):
        assert line in text.split("\n"), (line, text)
    assert body(text) == MESSAGE.partition("\n\n")[2], text


def blind_copy(stage):                                                              # E57
    sendmail(stage, "-t", text="To: ann\nBcc: bob\nSubject: x\n\nhi\n")
    assert sorted(argv for argv, _ in outgoing()) == ["-d ann", "-d bob"], outgoing()
    assert not any("Bcc" in text for _, text in outgoing()), outgoing()


def arpanet_mode(stage):                                                            # E60
    sendmail(stage, "-ba", "ann", text="From: cid\r\nTo: ann\r\nSubject: x\r\n\r\nhi\r\n.\r\n")
    (_, text), = outgoing()
    assert "Return-Path: <cid>" in text and "\r" not in text, text


TUTORIAL_ALIASES = """postmaster: root
root: ann
luisa: luisa@xyz.es
clientes: pepe, juan@xyz, al001010@alumail.uji.es
"""


def aliases_file(stage):                                                            # E9 E61
    write("/etc/mail/aliases", TUTORIAL_ALIASES)
    for command in (["newaliases"], ["sendmail", "-bi"]):
        said = stage.run(command, check=0).stdout.decode()
        assert said == "/etc/mail/aliases: 4 aliases, longest 39 bytes, 85 bytes total\n", said
    said = sendmail(stage, "-bv", "luisa").stdout.decode()
    assert said == "luisa@xyz.es... deliverable: mailer smtp, host xyz.es, user luisa@xyz.es\n", said


def list_members(stage):                                                            # E10
    write("/etc/mail/aliases", TUTORIAL_ALIASES)
    stage.run(["newaliases"], check=0)
    done = sendmail(stage, "-bv", "clientes", check=None)
    said = done.stdout.decode()
    assert done.returncode == 67 and "pepe... User unknown" in said, done
    assert "juan@xyz... deliverable: mailer smtp, host xyz, user juan@xyz" in said, said
    assert "al001010@alumail.uji.es... deliverable: mailer smtp, host alumail.uji.es, " \
        "user al001010@alumail.uji.es" in said, said


def verify(stage):                                                                  # E55
    assert sendmail(stage, "-bv", "ann").stdout == b"ann... deliverable: mailer local, user ann\n"
    done = sendmail(stage, "-bv", "nobodyhere", check=67)
    assert done.stdout == b"nobodyhere... User unknown\n", done


def no_aliasing(stage):                                                             # E62
    write("/etc/mail/aliases", "luisa: ann\n")
    stage.run(["newaliases"], check=0)
    done = sendmail(stage, "-n", "-bv", "luisa", check=67)
    assert done.stdout == b"luisa... User unknown\n", done


def forward_file(stage):                                                            # E13
    write("/home/bob/.forward", "\\bob, cid\n", 0o644, "bob")
    sendmail(stage, "bob")
    assert sorted(argv for argv, _ in outgoing()) == ["-d bob", "-d cid"], outgoing()
    write("/etc/mail/aliases", "bob: ann\n")
    stage.run(["newaliases"], check=0)
    sendmail(stage, "bob")
    assert sorted(argv for argv, _ in outgoing()) == ["-d ann", "-d bob", "-d cid"], outgoing()
    os.unlink("/home/bob/.forward")


def owner(stage):                                                                   # E11
    write("/etc/mail/aliases", "clientes: bob, nosuchmember\nowner-clientes: cid\n")
    stage.run(["newaliases"], check=0)
    sendmail(stage, "-f", "ann", "clientes", check=None)
    mail = dict(outgoing())
    assert "Return-Path: <cid>" in mail["-d bob"], mail
    assert "nosuchmember" in mail["-d cid"] and "User unknown" in mail["-d cid"], mail


def me_too(stage):                                                                  # E12
    write("/etc/mail/aliases", "team: ann, bob\n")
    stage.run(["newaliases"], check=0)
    sendmail(stage, "team", user="ann")
    assert sorted(argv for argv, _ in outgoing()) == ["-d ann", "-d bob"], outgoing()
    for name in os.listdir("/srv/out"):
        os.unlink("/srv/out/" + name)
    configure(stage, options="O MeToo=False")
    sendmail(stage, "team", user="ann")
    assert [argv for argv, _ in outgoing()] == ["-d bob"], outgoing()


def pipe_alias(stage):                                                              # E43
    write("/etc/mail/aliases", "pepe: \"| sendmail 'cat <lista>'\"\n")
    said = stage.run(["newaliases"], check=0).stdout.decode()
    assert said == "/etc/mail/aliases: 1 aliases, longest 26 bytes, 30 bytes total\n", said
    said = sendmail(stage, "-bv", "pepe").stdout.decode()
    assert said == "\"| sendmail 'cat <lista>'\"... deliverable: mailer prog, " \
        "user \"| sendmail 'cat <lista>'\"\n", said


def mailq_is_bp(stage):                                                             # E5
    sendmail(stage, "-odq", "ann")
    first, second = stage.run(["mailq"], check=0).stdout, sendmail(stage, "-bp").stdout
    assert first == second
    lines = first.decode().split("\n")
    assert lines[0] == "\t\t/var/spool/mqueue (1 request)", lines
    assert lines[1] == "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------"
    assert re.match(r"\w{14} {8}5 \w{3} \w{3} .. \d\d:\d\d root$", lines[2]), lines
    assert lines[3].strip() == "ann" and lines[4] == "\t\tTotal requests: 1", lines


def queue_kinds(stage):                                                             # E8
    sendmail(stage, "-odq", "ann")
    names = stage.queue_files()
    assert [name[:2] for name in names] == ["df", "qf"] and names[0][2:] == names[1][2:], names


def selection(stage):                                                               # E7
    for user, sender in (("ann", "fromcid"), ("bob", "fromann"), ("cid", "frombob")):
        sendmail(stage, "-odq", "-f", sender, user, check=0)
    def run_reaches(argument, *users):
        sendmail(stage, argument)       # goes on in the background
        wanted = ["-d " + user for user in users]
        wait_until(argument, lambda: sorted(argv for argv, _ in outgoing()) == wanted and
                   len(stage.queue_files()) == 2 * (3 - len(wanted)))
    run_reaches("-qRANN", "ann")
    run_reaches("-qSfromann", "ann", "bob")
    (name,) = [n for n in stage.queue_files() if n[:2] == "qf"]
    run_reaches("-qI" + name[2:], "ann", "bob", "cid")


def order_of_the_queue(stage):                                                      # E24
    for precedence in ("bulk", "special-delivery", "first-class", "list"):
        sendmail(stage, "-odq", "ann", text="Precedence: %s\nSubject: %s\n\nb\n" % (precedence, precedence))
    said = sendmail(stage, "-bp", "-v").stdout.decode()
    # Sorted by priority: the most urgent first.
    numbers = [int(line.split()[2]) for line in said.split("\n")[2:] if re.match(r"\w{14} ", line)]
    assert numbers == sorted(numbers) and len(numbers) == 4, said
    sendmail(stage, "-qf")
    stamps = [(os.stat("/srv/out/" + n).st_mtime_ns, n) for n in os.listdir("/srv/out")]
    order = []
    for _, name in sorted(stamps):
        with open("/srv/out/" + name) as f:
            order.append(re.search("Subject: (.*)", f.read())[1])
    assert order == ["special-delivery", "first-class", "list", "bulk"], order


def precedence(stage):                                                              # E23
    sendmail(stage, "-f", "bob", "nosuchuser", text="Precedence: bulk\nSubject: x\n\nsecret body\n", check=67)
    (argv, bounce), = outgoing()
    assert argv == "-d bob" and "text/rfc822-headers" in bounce and "secret body" not in bounce, bounce


def dead_host(stage):                                                               # E58
    stage.zone["otro.es"] = [("A", "127.0.1.3")]
    sendmail(stage, "joe@otro.es")
    (name,) = [n for n in stage.queue_files() if n.startswith("qf")]
    with open("/var/spool/mqueue/" + name, encoding="latin-1") as f:
        lines = f.read().split("\n")
    assert "N1" in lines and "MDeferred: Connection refused by otro.es." in lines, lines
    assert b"(Deferred: Connection refused by otro.es.)" in stage.run(["mailq"]).stdout


def flags_are_taken(stage):                                                         # E15 E19
    sendmail(stage, "-B8BITMIME", "-F", "Full Name", "-h", "3", "-N", "success", "-R", "hdrs",
             "-V", "envelope1", "-pUUCP:host", "-odq", "-i", "ann")
    (name,) = [n for n in stage.queue_files() if n.startswith("qf")]
    with open("/var/spool/mqueue/" + name, encoding="latin-1") as f:
        lines = f.read().split("\n")
    for line in ("V8", "K0", "N0", "B7BIT", "$rUUCP", "$shost", "Zenvelope1", "RPNS:ann", "."):
        assert line in lines, (line, lines)
    assert any(line.startswith("F") and "d" in line for line in lines), lines


def auto_rebuild(stage):
    """What the tutorial names and the real program has dropped: a stale database is made anew."""
    for option in ("O AutoRebuildAliases=True", "ODTrue"):
        write("/etc/mail/aliases", "luisa: ann\n")
        stage.run(["newaliases"], check=0)
        write("/etc/mail/aliases", "luisa: bob\n")
        later = os.stat("/etc/mail/aliases.db").st_mtime + 60
        os.utime("/etc/mail/aliases", (later, later))
        configure(stage)
        assert sendmail(stage, "-bv", "luisa").stdout.startswith(b"ann..."), "rebuilt unasked"
        configure(stage, options=option)
        assert sendmail(stage, "-bv", "luisa").stdout.startswith(b"bob..."), option
    # A daemon that runs sees the change with the next message; many at once rebuild once.
    daemon = stage.daemon()
    del stage.log.lines[:]
    write("/etc/mail/aliases", "luisa: cid\n")
    later = os.stat("/etc/mail/aliases.db").st_mtime + 120
    os.utime("/etc/mail/aliases", (later, later))
    clients = [threading.Thread(target=stage.smtp, args=("ann@stage.test", ["luisa"], "Subject: %d\n\nx\n" % n))
               for n in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    wait_until("all go the new way", lambda: len(stage.log.having("to=cid,", "stat=Sent")) == 8)
    assert len(stage.log.having("rebuilt by AutoRebuildAliases")) == 1, stage.log.lines
    stage.end_child(daemon)


def greeting_conditional(stage):                                                    # E17
    configure(stage, options="O SmtpGreetingMessage=$j A$?X si $| no $.B")
    for arguments, wanted in ((["-MXval"], b"220 mx.stage.test ESMTP A si B"),
                              ([], b"220 mx.stage.test ESMTP A no B")):
        said = sendmail(stage, "-bs", *arguments, text="QUIT\r\n").stdout
        assert said.split(b"\r\n")[0] == wanted, said
