"""Real clients hand their mail over as they do on a Debian machine.

Most run /usr/sbin/sendmail as an ordinary user: the set-group-id program puts the mail
into the client queue and passes it on to the daemon. What arrives is compared with what
was sent: sender of the envelope, the fields that had to be added, no Bcc, no loss.

All are Debian's own programs; `tests/support/peers` fetches those it does not install.
What cannot be had there is replayed from its recorded arguments: cronie.
"""
import os
import shutil

from sink import Sink
from stage import write
from tools import PEERS, wait_until

LIBRARIES = ":".join(PEERS + p for p in ("/usr/lib", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"))
BODY = "hello\n..\nFrom the start\n.\nlast line\n"


def run(stage):
    stage.configure()
    stage.zone["far.test"] = [("MX", 10, "mx.far.test")]
    stage.zone["mx.far.test"] = [("A", "127.0.1.1")]
    stage.sink = Sink("127.0.1.1")
    for user in ("ann", "bob", "cid"):
        stage.maildir(user)
    stage.maildir("root")
    stage.daemon()
    os.chmod("/home/ann", 0o755)
    local_and_remote(stage)
    for client in (cron, cronie, at, mailx, s_nail, mailutils, mutt_with_notices, git_send_email, php, nmh,
                   maildrop, procmail, mdadm, anacron, sudo_like):
        client(stage)
        print("ok", client.__name__)
    wait_until("nothing is left", lambda: not stage.queue_files() and
               not stage.queue_files("/var/spool/mqueue-client"))


def unpacked(path, *arguments):
    """The command of a program unpacked beside the project."""
    return ["env", "LD_LIBRARY_PATH=" + LIBRARIES, PEERS + path, *arguments]


def expect(stage, user, subject, sender, body=None):
    """Waits for a message and checks what every one must have; returns it."""
    message = stage.expect_message(user, subject)
    for name in ("From", "Date", "Message-Id"):
        assert len(message.get_all(name, [])) == 1, (subject, name, message.as_string())
    assert not message["Bcc"], message.as_string()
    assert message["Return-Path"] == "<%s>" % sender, (subject, message["Return-Path"])
    if body is not None:
        # Some clients end the text with an empty line of their own.
        assert message.get_payload().rstrip("\n") == body.rstrip("\n"), (subject, message.get_payload())
    return message


def local_and_remote(stage):
    """swaks, mail, mutt and smtplib each reach a local user and a remote one."""
    def everyone(subject, client):
        for address in ("bob@stage.test", "joe@far.test"):
            client(subject + " to " + address, address)
        stage.expect_message("bob", subject + " to bob@stage.test")
        wait_until(subject + " at the far end",
                   lambda: subject + " to joe@far.test" in stage.sink.subjects())

    def swaks(subject, address):
        stage.run(["swaks", "--server", "127.0.0.1", "--from", "ann@stage.test", "--to", address,
                   "--header", "Subject: " + subject, "--body", "hello"], check=0)

    def mail(subject, address):
        stage.run([PEERS + "/usr/bin/bsd-mailx", "-s", subject, address], user="ann",
                  text="hello\n", check=0)

    def mutt(subject, address):
        stage.run(["mutt", "-s", subject, "--", address], user="ann", text="hello\n", check=0)

    def smtplib(subject, address):
        stage.smtp("ann@stage.test", [address], "Subject: %s\n\nhello\n" % subject)

    everyone("swaks", swaks)
    everyone("smtplib", smtplib)
    everyone("mailx", mail)
    everyone("mutt", mutt)
    senders = {sender.split()[0].lower() for sender, _, _, _ in stage.sink.messages}
    assert senders <= {"<ann@stage.test>", "<ann@mx.stage.test>"}, senders


def cron(stage):
    """The daemon mails what a job prints: -FCronDaemon -i -B8BITMIME -oem, no Date of its own."""
    for folder in ("/var/spool/cron/crontabs", "/etc/cron.d", "/etc/pam.d"):
        os.makedirs(folder, exist_ok=True)
    write("/etc/pam.d/cron", "auth required pam_permit.so\naccount required pam_permit.so\n"
          "session required pam_permit.so\n")
    write("/etc/crontab", "MAILTO=bob\n@reboot ann printf 'one\\n.\\ntwo\\n'\n")
    stage.spawn(unpacked("/usr/sbin/cron", "-f"))
    message = expect(stage, "bob", "Cron <ann@mx> printf 'one\\n.\\ntwo\\n'", "ann@mx.stage.test", "one\n.\ntwo\n")
    assert message["From"].startswith("root (Cron Daemon)") or "Cron" in message["From"], message["From"]


def cronie(stage):
    """Another cron, replayed: -t with a sender, and the null sender of its later releases."""
    text = "From: \"(Cron Daemon)\" <ann>\nTo: bob\nSubject: cronie %d\n\nout\n.\nput\n"
    for number, sender in enumerate(("ann", "<>")):
        stage.run(["sendmail", "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", sender], user="ann",
                  text=text % number, check=0)
    expect(stage, "bob", "cronie 0", "ann@mx.stage.test", "out\n.\nput\n")
    message = stage.expect_message("bob", "cronie 1")
    assert message["Return-Path"] in ("<MAILER-DAEMON>", "<MAILER-DAEMON@mx.stage.test>"), message["Return-Path"]


def at(stage):
    """atd: -i, no From, no Date, the output of the job as it is."""
    for folder in ("/var/spool/cron/atjobs", "/var/spool/cron/atspool", "/etc/pam.d"):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)
    write("/var/spool/cron/atjobs/.SEQ", "00000\n", 0o666)
    write("/etc/pam.d/atd", "auth required pam_permit.so\naccount required pam_permit.so\n"
          "session required pam_permit.so\n")
    write("/etc/at.deny", "")
    stage.run(unpacked("/usr/bin/at", "-m", "now"), text="printf 'job\\n.\\ndone\\n'\n", check=0)
    stage.spawn(unpacked("/usr/sbin/atd", "-f", "-b", "0"))
    message = wait_until("the mail of at", lambda: next(
        (m for m in stage.messages("root") if (m["Subject"] or "").startswith("Output from your job")), None))
    assert message.get_payload().endswith("job\n.\ndone\n"), message.as_string()
    assert message["Date"] and message["Message-Id"] and message["From"], message.as_string()


def mailx(stage):
    """-i -t, -r becomes -f; Bcc goes."""
    stage.run([PEERS + "/usr/bin/bsd-mailx", "-n", "-s", "bsd-mailx", "-c", "cid", "-b", "root", "bob"], user="ann",
              text=BODY.replace("\n.\n", "\n"), check=0)
    for user in ("bob", "cid", "root"):
        expect(stage, user, "bsd-mailx", "ann@mx.stage.test", BODY.replace("\n.\n", "\n"))


def s_nail(stage):
    """-i [-f ADDR] -- RCPT..."""
    stage.run(unpacked("/usr/bin/s-nail", "-:/", "-S", "mta=/usr/sbin/sendmail", "-r", "ann@stage.test",
                       "-s", "s-nail", "-b", "cid", "bob"), user="ann", text=BODY, check=0)
    for user in ("bob", "cid"):
        expect(stage, user, "s-nail", "ann@stage.test", BODY)


def mailutils(stage):
    """-oi -f USER@HOST -t"""
    stage.run(unpacked("/usr/bin/mail.mailutils", "-E", "set nodot", "-s", "mailutils", "bob@stage.test"),
              user="ann", text=BODY.replace("\n.\n", "\n"), check=0)
    expect(stage, "bob", "mailutils", "ann@mx.stage.test", BODY.replace("\n.\n", "\n"))


def mutt_with_notices(stage):
    """-oem -oi -f ADDR -N LIST -R WORD -- RCPT...; a bad recipient does not fail the submission."""
    write("/home/ann/muttrc", "set sendmail='/usr/sbin/sendmail -oem -oi'\nset dsn_notify='failure,delay'\n"
          "set dsn_return=hdrs\nset use_envelope_from=yes\nset from=ann@stage.test\nset copy=no\n", 0o644, "ann")
    stage.run(["mutt", "-F", "/home/ann/muttrc", "-s", "mutt dsn", "-b", "cid@stage.test", "--", "bob@stage.test"],
              user="ann", text=BODY, check=0)
    for user in ("bob", "cid"):
        expect(stage, user, "mutt dsn", "ann@stage.test", BODY)


def git_send_email(stage):
    """-i RCPT..., with -f ADDR in front when there is an envelope sender."""
    write("/home/ann/0001.patch", "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
          "From: Ann <ann@stage.test>\nDate: Mon, 5 Jan 2015 10:00:00 +0000\nSubject: [PATCH] git\n\n"
          "text\n---\n a | 1 +\n--\n2.39.5\n", 0o644, "ann")
    environment = {"PERL5LIB": PEERS + "/usr/share/perl5", "GIT_EXEC_PATH": PEERS + "/usr/lib/git-core",
                   "PATH": PEERS + "/usr/bin:" + os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    for extra in ([], ["--envelope-sender=cid@stage.test"]):
        stage.run(["perl", PEERS + "/usr/lib/git-core/git-send-email", "--quiet", "--confirm=never",
                   "--from=Ann <ann@stage.test>", "--to=bob@stage.test", "--bcc=joe@far.test",
                   "--suppress-cc=all", *extra, "/home/ann/0001.patch"], user="ann", check=0, environment=environment)
    wait_until("both patches", lambda: sum(m["Subject"] == "[PATCH] git" for m in stage.messages("bob")) == 2)
    messages = [m for m in stage.messages("bob") if m["Subject"] == "[PATCH] git"]
    assert {m["Return-Path"] for m in messages} == {"<ann@mx.stage.test>", "<cid@stage.test>"}, messages
    assert all("2.39.5" in m.get_payload() and not m["Bcc"] for m in messages)
    wait_until("the far end", lambda: stage.sink.subjects().count("[PATCH] git") == 2)


def php(stage):
    """mail(): -t -i and the fifth argument glued; true when all went well."""
    write("/home/ann/mail.php", "<?php exit(mail('bob@stage.test', 'php', \"one\\n.\\ntwo\\n\", "
          "\"From: ann@stage.test\\r\\nBcc: cid@stage.test\", '-fbounce@stage.test') ? 0 : 1);\n")
    stage.run(unpacked("/usr/bin/php8.2", "-n", "-d", "sendmail_path=/usr/sbin/sendmail -t -i", "/home/ann/mail.php"),
              user="ann", check=0)
    for user in ("bob", "cid"):
        message = expect(stage, user, "php", "bounce@stage.test")
        assert message.get_payload().replace("\r", "").startswith("one\n.\ntwo\n"), message.as_string()


def nmh(stage):
    """-t -i, and -bs -odb -oem -om as a session."""
    shutil.copytree(PEERS + "/etc/nmh", "/etc/nmh", dirs_exist_ok=True)
    os.makedirs("/home/ann/Mail", exist_ok=True)
    os.chown("/home/ann/Mail", 1001, 1001)
    write("/home/ann/.mh_profile", "Path: Mail\n", 0o644, "ann")
    for kind in ("sendmail/pipe", "sendmail/smtp"):
        subject = "nmh " + kind
        write("/home/ann/draft", "From: ann@stage.test\nTo: bob@stage.test\nBcc: \nSubject: %s\n\nhello\n.\nlast\n" %
              subject, 0o600, "ann")
        stage.run(unpacked("/usr/lib/mh/post", "-mts", kind, "/home/ann/draft"), user="ann", check=0,
                  environment={"MH": "/home/ann/.mh_profile"})
        message = stage.expect_message("bob", subject)
        assert message.get_payload().startswith("hello\n.\nlast"), message.as_string()


def maildrop(stage):
    """A filter that forwards: -oi -f '' RCPT, the empty word being the null sender."""
    write("/home/ann/.mailfilter", "SENDMAIL=\"/usr/sbin/sendmail -oi\"\nto \"!bob\"\n", 0o600, "ann")
    # A set-group-id program would not look where its libraries lie.
    shutil.copyfile(PEERS + "/usr/bin/maildrop", "/usr/sbin/maildrop")
    os.chmod("/usr/sbin/maildrop", 0o755)
    stage.run(["env", "LD_LIBRARY_PATH=" + LIBRARIES, "/usr/sbin/maildrop", "/home/ann/.mailfilter"], user="ann", check=0,
              text="From: joe@far.test\nTo: ann\nSubject: maildrop\n\n" + BODY)
    message = stage.expect_message("bob", "maildrop")
    assert message.get_payload().rstrip("\n") == BODY.rstrip("\n"), message.get_payload()
    assert message["From"] == "joe@far.test", message.as_string()


def procmail(stage):
    """The same with procmail: -oi RCPT."""
    write("/home/ann/rc", ":0\n! bob cid\n", 0o600, "ann")
    stage.run([PEERS + "/usr/bin/procmail", "-m", "/home/ann/rc"], user="ann", check=0,
              text="From: joe@far.test\nTo: ann\nSubject: procmail\n\n" + BODY)
    for user in ("bob", "cid"):
        message = expect(stage, user, "procmail", "ann@mx.stage.test", BODY)
        assert message["From"] == "joe@far.test", message.as_string()


def mdadm(stage):
    """A monitor of disks without HOME or a Date: -t."""
    device = "/dev/md0"
    write("/etc/mdadm.conf", "MAILADDR bob\nMAILFROM ann\nARRAY %s UUID=00000000:00000000:00000000:00000000\n" % device)
    stage.run(["env", "-i", *unpacked("/sbin/mdadm", "--monitor", "--config=/etc/mdadm.conf", "--test", "--oneshot",
                                      device)])
    if not [m for m in stage.messages("bob") if "md0" in (m["Subject"] or "")]:
        # Without a disk array it has nothing to tell: its message, as recorded.
        stage.run(["env", "-i", "/usr/sbin/sendmail", "-t"], check=0, text="From: ann\nTo: bob\n"
                  "Subject: TestMessage event on /dev/md0:mx\n\nThis is an automatically generated mail message.\n")
    message = wait_until("the mail of mdadm", lambda: next(
        (m for m in stage.messages("bob") if "md0" in (m["Subject"] or "")), None))
    assert message["Date"] and message["Message-Id"], message.as_string()


def anacron(stage):
    """-FAnacron -odi root, as root; a lone dot ends the message."""
    os.makedirs("/var/spool/anacron", exist_ok=True)
    write("/etc/anacrontab", "SHELL=/bin/sh\nPATH=/usr/bin:/bin\n1 0 job echo from anacron\n")
    stage.run(unpacked("/usr/sbin/anacron", "-d", "-f", "-n", "-s"), check=0)
    message = wait_until("the mail of anacron", lambda: next(
        (m for m in stage.messages("root") if "Anacron job" in (m["Subject"] or "")), None))
    assert "from anacron" in message.get_payload() and message["Date"], message.as_string()


def sudo_like(stage):
    """-t with no environment at all."""
    stage.run(["env", "-i", "/usr/sbin/sendmail", "-t"], user="cid", check=0,
              text="To: bob\nFrom: cid\nSubject: no environment\n\nx\n")
    expect(stage, "bob", "no environment", "cid@mx.stage.test", "x\n")
