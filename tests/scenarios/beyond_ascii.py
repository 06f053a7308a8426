"""Addresses beyond ASCII (SMTPUTF8) through two of our daemons and Postfix, and what older servers get.

RFC 6531, 6532, 6533. The option SmtpUTF8 is off unless it is named; the real program is
built without it, so there is nothing to compare with here.
"""
import smtplib
import subprocess

import servers
from sink import Sink
from stage import write
from tools import wait_until

UTF8 = "127.0.1.1"
OLD = "127.0.1.2"
POSTFIX = "127.0.1.10"

# What the server beyond has besides.
MORE = """O SmtpUTF8=True
O AllowBogusHELO=True
HReceived: by $j with $r"""


class Client(smtplib.SMTP):
    """Talks to the daemon in UTF-8; smtplib itself would refuse."""

    def say(self, line, code):
        self.send(line.encode() + b"\r\n")
        answer = self.getreply()
        assert answer[0] == code, (line, answer)
        return answer[1].decode()

    def message(self, sender, recipients, text, parameter=" SMTPUTF8"):
        self.say("MAIL FROM:<%s>%s" % (sender, parameter), 250)
        for recipient in recipients:
            self.say("RCPT TO:<%s>" % recipient, 250)
        self.say("DATA", 354)
        self.send(text.encode().replace(b"\n", b"\r\n") + b".\r\n")
        answer = self.getreply()
        assert answer[0] == 250, answer


def arrived(name):
    def look():
        try:
            with open("/tmp/got/" + name, "rb") as f:
                return f.read() or None
        except FileNotFoundError:
            return None
    return wait_until("%s has mail" % name, look)


def run(stage):
    stage.configure(aliases="postmaster: root\nMAILER-DAEMON: postmaster\n")
    write("/etc/mail/aliases", "postmaster: root\nMAILER-DAEMON: postmaster\nübermut: bob\n")
    subprocess.run(["newaliases", "-OSmtpUTF8=True"], check=True, stdout=subprocess.DEVNULL)
    servers.lay_beyond("mx.utf8.test", MORE)
    for mode, folder in (("700", "/var/spool/beyond"), ("777", "/tmp/got")):
        subprocess.run(["install", "-d", "-m", mode, folder], check=True)
    stage.maildir("ann")
    stage.maildir("bob")
    stage.zone["utf8.test"] = [("MX", 10, "mx.utf8.test")]
    stage.zone["mx.utf8.test"] = [("A", UTF8)]
    for domain in ("old.test", "xn--bcher-kva.test"):
        stage.zone[domain] = [("MX", 10, "mx.old.test")]
    stage.zone["mx.old.test"] = [("A", OLD)]
    old = Sink(OLD)
    beyond = Sink("127.0.2.10", ehlo="250-sink.test\n250-SMTPUTF8\n250-8BITMIME\n250 SIZE")
    servers.add_accounts()
    servers.Postfix(stage, POSTFIX, "127.0.2.10")
    stage.daemon("-C/etc/beyond.cf", address=UTF8)
    stage.daemon("-OSmtpUTF8=True")

    def old_has(count):
        return wait_until("the old server has %d" % count, lambda: len(old.messages) >= count and old.messages[-1])

    with Client("127.0.0.1", 25, timeout=60) as client:
        client.ehlo("client.test")
        assert client.has_extn("smtputf8"), client.esmtp_features
        # Nothing beyond ASCII without the parameter, and nothing but UTF-8 with it.
        assert "5.6.7" in client.say("MAIL FROM:<änn@stage.test>", 553)
        client.say("MAIL FROM:<ann@stage.test>", 250)
        assert "5.6.7" in client.say("RCPT TO:<übel@utf8.test>", 553)
        client.say("RSET", 250)
        client.send(b"MAIL FROM:<\xe4nn@stage.test> SMTPUTF8\r\n")
        assert client.getreply()[0] == 501
        assert "5.5.4" in client.say("MAIL FROM:<ann@stage.test> SMTPUTF8=yes", 501)

        # From one daemon to the other, every octet as it was.
        text = "Subject: Grüße, Å Á \u0419\nFrom: Änn <änn@stage.test>\n\nüber\n"
        client.message("änn@stage.test", ["übel@utf8.test"], text)
        got = arrived("übel")
        for line in ("Subject: Grüße, Å Á \u0419\n", "Received: by mx.utf8.test with UTF8SMTP\n", "\nüber\n"):
            assert line.encode() in got, got
        assert b"<\xc3\xa4nn@stage.test>" in got, got

        # Asked for, but not needed: an old server gets it.
        client.message("ann@stage.test", ["bob@old.test"], "Subject: plain\n\nplain\n")
        sender, recipients, _, raw = old_has(1)
        assert "SMTPUTF8" not in sender and recipients == ["<bob@old.test>"] and b"plain" in raw, old.messages

        # Only the domain is beyond ASCII.
        client.message("ann@stage.test", ["bob@Bücher.test"], "Subject: domain\n\nx\n")
        sender, recipients, _, raw = old_has(2)
        assert recipients == ["<bob@xn--bcher-kva.test>"], recipients

        # Who cannot be reached is returned, the others are served.
        client.message("ann@stage.test", ["bob@old.test", "bübchen@old.test"], "Subject: both\n\nx\n")
        assert old_has(3)[1] == ["<bob@old.test>"], old.messages[-1]
        report = stage.expect_message("ann", "Returned mail: see transcript for details").as_bytes()
        for part in (b"message/global-delivery-status", "Final-Recipient: utf-8; bübchen@old.test".encode(),
                     b"Status: 5.6.7", b"mx.old.test does not support SMTPUTF8"):
            assert part in report, report.decode(errors="replace")

        # Aliases, and who is asked about them.
        client.message("ann@stage.test", ["übermut@stage.test"], "Subject: alias\n\nx\n")
        stage.expect_message("bob", "alias")
        assert "bob" in client.say("EXPN übermut SMTPUTF8", 250)
        client.say("EXPN übermut", 553)

        # To Postfix, which asks the host beyond it for SMTPUTF8, and from it.
        client.message("änn@stage.test", ["käthe@postfix.test"], "Subject: Grüße\n\nx\n")
        wait_until("Postfix has handed it on", lambda: beyond.messages)
        sender, recipients, _, raw = beyond.messages[0]
        assert "SMTPUTF8" in sender and recipients[0].encode("latin-1").decode() == "<käthe@postfix.test>", beyond.messages
        assert "Subject: Grüße\r\n".encode() in raw, raw
    with Client(POSTFIX, 25, timeout=60) as client:
        client.ehlo("client.test")
        client.message("ann@stage.test", ["übermut@stage.test"], "Subject: back\n\nx\n")
        stage.expect_message("bob", "back")

    # From the command line: with -U the header is what it is, without it as ever.
    flags = ["sendmail", "-Am", "-OSmtpUTF8=True", "-odi", "-oi", "-t", "-fann@stage.test"]
    stage.run([*flags[:1], "-U", *flags[1:]], text="To: käthe@utf8.test\nSubject: Öl\n\nx\n", check=0)
    got = arrived("käthe")
    assert "Subject: Öl\n".encode() in got and b"UTF8SMTP" in got, got
    stage.run(flags, text="To: bob@old.test\nSubject: Öl\n\nx\n", check=0)
    assert "Subject: Öl\r\n".encode() in old_has(4)[3], old.messages[-1]
    assert stage.run(["sendmail", "-U", "-Am", "bob@old.test"], text="x\n").returncode == 64

    # Without the option nobody speaks of it.
    stage.daemon("-C/etc/beyond.cf", "-OSmtpUTF8=False", "-ODaemonPortOptions=Addr=127.0.1.3", address="127.0.1.3")
    with Client("127.0.1.3", 25, timeout=60) as client:
        client.ehlo("client.test")
        assert not client.has_extn("smtputf8")
        client.say("MAIL FROM:<ann@stage.test> SMTPUTF8", 555)
