"""What the rules of the stock configuration let in: relaying, the access database, block lists.

And the configuration of the overview: a host that gives all mail to another one.
"""
import smtplib

from tools import wait_until

ACCESS = """Connect:127.0.0.6\tRELAY
Connect:127.0.0.7\tERROR:5.7.1:550 not from there
From:spammer@bad.test\tREJECT
From:bad2.test\tDISCARD
To:root+away@stage.test\tDISCARD
Connect:127.0.0.9\tDISCARD
To:closed@stage.test\tERROR:5.2.1:550 Mailbox closed
To:partner.test\tRELAY
"""

# The file of the overview with its slips mended.
OVERVIEW = """divert(-1)
#----
divert(0)dnl
VERSIONID(`linux without name server')
OSTYPE(`linux')
FEATURE(`always_add_domain')
FEATURE(`redirect')
FEATURE(`nocanonify')
MAILER(`smtp')
MAILER(`uucp')
define(`RELAY_HOST', `smtp:my.relay.host.domain')
define(`SMART_HOST', `smtp:my.relay.host.domain')
define(`UUCP_RELAY', `smtp:my.relay.host.domain')
define(`LOCAL_MAILER_PATH', `/bin/deliver')
define(`LOCAL_MAILER_ARGS', `deliver $u')
LOCAL_CONFIG
Cwmyhostname.myprimary.domain myhostname.UUCP localhost
"""


def run(stage):
    stage.zone["5.0.0.127.list.test"] = [("A", "127.0.0.2")]
    stage.zone["far.test"] = [("A", "127.0.1.1")]
    stage.zone["partner.test"] = [("A", "127.0.1.2")]
    for name in ("here.test", "bad.test", "bad2.test"):
        stage.zone[name] = [("A", "127.0.1.3")]
    stage.configure(features="FEATURE(`dnsbl', `list.test')dnl\nFEATURE(`blocklist_recipients')dnl", access=ACCESS)
    stage.daemon()
    for client, sender, recipient, wanted in (
            ("127.0.0.8", "x@here.test", "joe@far.test", (550, b"Relaying denied")),
            ("127.0.0.8", "x@here.test", "root@stage.test", (250, b"ok")),
            ("127.0.0.8", "x@here.test", "joe@partner.test", (250, b"ok")),
            ("127.0.0.8", "x@here.test", "closed@stage.test", (550, b"5.2.1 <closed@stage.test>... Mailbox closed")),
            ("127.0.0.8", "x@here.test", "joe%far.test@stage.test", (550, b"Relaying denied")),
            ("127.0.0.8", "x@here.test", "@stage.test:joe@far.test", (550, b"Relaying denied")),
            ("127.0.0.6", "x@here.test", "joe@far.test", (250, b"ok")),
            ("127.0.0.7", "x@here.test", "root@stage.test", (550, b"not from there")),
            ("127.0.0.5", "x@here.test", "root@stage.test", (550, b"Rejected: 127.0.0.5 listed at list.test")),
            ("127.0.0.8", "spammer@bad.test", "root@stage.test", (550, b"Access denied")),
            ("127.0.0.8", "x@bad2.test", "root@stage.test", (250, b"ok")),
            ("127.0.0.1", "x@here.test", "joe@far.test", (250, b"ok"))):
        code, text = answer(client, sender, recipient)
        assert code == wanted[0] and wanted[1].lower() in text.lower(), (client, sender, recipient, code, text)
    what_is_discarded_is_taken(stage)
    gives_all_to_another_host(stage)


def what_is_discarded_is_taken(stage):
    for client, sender, recipient in (("127.0.0.8", "x@here.test", "root+away@stage.test"),
                                      ("127.0.0.8", "x@bad2.test", "root@stage.test"),
                                      ("127.0.0.9", "x@here.test", "root@stage.test"),
                                      ("127.0.0.8", "x@here.test", "root@stage.test")):
        with smtplib.SMTP("127.0.0.1", 25, "here.test", 60, (client, 0)) as smtp:
            smtp.ehlo("here.test")
            answers = [smtp.mail(sender), smtp.rcpt(recipient), smtp.data("Subject: x\n\nx\n")]
        assert [code for code, _ in answers] == [250, 250, 250], (client, sender, recipient, answers)
    # Only the last one arrives.
    wait_until("it is delivered", lambda: stage.log.having("stat=Sent"))
    [sent] = stage.log.having("stat=Sent")
    assert answers[2][1].split()[1].decode() in sent, (answers, sent)


def answer(client, sender, recipient):
    """The answer to RCPT, or to what was refused before."""
    with smtplib.SMTP("127.0.0.1", 25, "here.test", 60, (client, 0)) as smtp:
        smtp.ehlo("here.test")
        code, text = smtp.mail(sender)
        if code == 250:
            code, text = smtp.rcpt(recipient)
        return code, text


def gives_all_to_another_host(stage):                                               # E51 E52 E53
    stage.m4("/etc/mail/overview", OVERVIEW)
    asked = "=S 0\n$=w\n/parse joe@far.test\n/parse joe@x.UUCP\n/parse root\n=M\n"
    said = stage.run(["sendmail", "-C/etc/mail/overview.cf", "-bt"], text=asked).stdout.decode()
    for part in ("myhostname.myprimary.domain", "myhostname.uucp",
                 "mailer smtp, host my.relay.host.domain, user joe@far.test",
                 "mailer local, user root", "P=/bin/deliver", "A=deliver $u", "uucp-dom"):
        assert part.lower() in said.lower(), (part, said)
    assert said.count("mailer smtp, host my.relay.host.domain, ") == 2, said
    with open("/etc/mail/overview.cf") as f:
        lines = f.read().split("\n")
    assert "DSsmtp:my.relay.host.domain" in lines and "DYsmtp:my.relay.host.domain" in lines
    # With VERSIONID's dnl the line of class w ends up in a comment.
    glued = OVERVIEW.replace("server')\n", "server')dnl\nCwlost.test\n")
    stage.m4("/etc/mail/glued", glued)
    said = stage.run(["sendmail", "-C/etc/mail/glued.cf", "-bt"], text="$=w\n").stdout.decode()
    assert "lost.test" not in said, said
