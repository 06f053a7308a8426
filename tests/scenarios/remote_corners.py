"""What a session leaves to the next message, what is handed on of DSN, and how failures of hosts show.

Runs the same with the real program.
"""
import smtplib

from sink import Sink
from tools import QUEUE, wait_until

PLAIN = "250-sink.test\n250 SIZE"
DELIVERY = "define(`confDELIVERY_MODE', `interactive')dnl\ndefine(`LOCAL_MAILER_MAX', `3000')dnl\n" \
           "FEATURE(`local_procmail')dnl"


class Recorder(Sink):
    """A sink that keeps every command, and stays connected after a dropped transaction."""

    def __init__(self, address, **replies):
        self.commands = []
        super().__init__(address, **replies)

    def reply(self, verb, argument, usual):
        self.commands.append(verb.upper() + " " + argument if argument else verb.upper())
        answer = super().reply(verb, argument, usual)
        if answer == "DROP":
            raise SystemExit  # ends the thread, and with it the connection
        return answer


def run(stage):
    stage.configure(delivery=DELIVERY, access="Connect:127.0.0.1\tRELAY\n")
    for name, address in (("far", 1), ("plain", 2), ("one.two", 3), ("two.two", 4), ("shut", 5)):
        stage.zone[name + ".test"] = [("A", "127.0.1.%d" % address)]
    stage.zone["two.test"] = [("MX", 1, "one.two.test"), ("MX", 2, "two.two.test")]
    stage.daemon()
    handed_on(stage)
    kept_open(stage)
    troubles(stage)
    sizes(stage)
    host_files(stage)


def send(client, sender, recipients, text, mail=(), rcpt=()):
    client.ehlo_or_helo_if_needed()
    assert client.mail(sender, mail)[0] == 250
    for recipient in recipients:
        assert client.rcpt(recipient, rcpt)[0] == 250, recipient
    assert client.data(text)[0] == 250


def handed_on(stage):
    """RET, ENVID, NOTIFY and ORCPT go to a host that offers DSN and to no other, which is reported."""
    far, plain = Recorder("127.0.1.1"), Recorder("127.0.1.2", ehlo=PLAIN)
    rcpt = ("NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x+2By@first.test")
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        send(client, "ann@stage.test", ["a@far.test", "b@plain.test"], "Subject: on\n\nx\n", ("RET=HDRS", "ENVID=e+2B1"), rcpt)
        send(client, "ann@stage.test", ["c@far.test", "d@plain.test"], "Subject: never\n\nx\n", ("RET=FULL",), ("NOTIFY=NEVER",))
        send(client, "ann@stage.test", ["e@far.test"], "Subject: none\n\nx\n")
    wait_until("all arrived", lambda: len(far.messages) == 3 and len(plain.messages) == 2)
    mails = [line.split("> ")[1] for line in far.commands if line.startswith("MAIL")]
    assert [mail.partition(" ")[2] for mail in mails] == ["ENVID=e+2B1 RET=HDRS", "RET=FULL", ""], mails
    rcpts = [line.split("> ")[-1] for line in far.commands if line.startswith("RCPT")]
    assert rcpts == ["NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@first.test", "NOTIFY=NEVER", "RCPT To:<e@far.test>"], rcpts
    assert not [line for line in plain.commands if "RET" in line or "NOTIFY" in line or "ORCPT" in line], plain.commands
    report = report_of(stage, "Subject: on")
    assert report.count("Action: relayed (to non-DSN-aware mailer)") == 1, report
    for field in ("Original-Envelope-Id: e+1", "Original-Recipient: rfc822;x+y@first.test"):
        assert field in report, (field, report)
    far.close()
    plain.close()
    print("DSN parameters went where they are known")


def report_of(stage, last):
    """What ann was told, when it is there to its end, which is the header of her message."""
    def look():
        text = stage.run(["sh", "-c", "cat /var/mail/ann"]).stdout.decode()
        return text if last in text and text.endswith("--\n\n") else None
    return wait_until("a report is there", look)


def kept_open(stage):
    """Messages of one session share a connection; a host that was down stays down for them."""
    far = Recorder("127.0.1.1", rcpt={"bad": "421 4.4.2 go"})
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        for number in range(3):
            send(client, "ann@stage.test", ["s%d@far.test" % number], "Subject: %d\n\nx\n" % number)
        send(client, "ann@stage.test", ["down@shut.test"], "Subject: down\n\nx\n")
        assert far.connections == 1, far.connections
    assert far.commands.count("RSET") == 2, far.commands
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        send(client, "ann@stage.test", ["bad@far.test"], "Subject: bad\n\nx\n")
    wait_until("the log of it", lambda: stage.log.having("to=<bad@far.test>", "stat=Deferred: 421 4.4.2 go"))
    far.close()
    print("one connection for one session")


def troubles(stage):
    """The first host that went away is what the queue tells, though the second did too."""
    for name in stage.queue_files():
        stage.run(["rm", QUEUE + "/" + name], check=0)
    hosts = Recorder("127.0.1.3", data="DROP"), Recorder("127.0.1.4", rcpt="DROP")
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        send(client, "ann@stage.test", ["x@two.test"], "Subject: gone\n\nx\n")
    listing = stage.run(["mailq"], check=0).stdout.decode()
    assert "reply: read error from one.two.test." in listing, listing
    assert all(host.connections == 1 for host in hosts)
    for host in hosts:
        host.close()
    print("the first trouble is told")


def sizes(stage):
    """A refused MAIL leaves no size behind, and what is too large comes back without its body."""
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        client.ehlo()
        assert client.mail("ann@stage.test", ("SIZE=99999999999999",))[0] in (452, 552)
        assert client.mail("ann@stage.test")[0] == 250
        assert client.rcpt("bob@stage.test")[0] == 250
        assert client.rset()[0] == 250
    line = wait_until("the reset is logged", lambda: stage.log.having("from=<ann@stage.test>", "size=0,"))
    assert len(line) == 1, line
    stage.run(["rm", "-f", "/var/mail/ann"], check=0)
    with smtplib.SMTP("127.0.0.1", timeout=60) as client:
        send(client, "ann@stage.test", ["bob@stage.test"], "Subject: large\n\n" + "inside\n" * 600)
    wait_until("it is logged", lambda: stage.log.having(
        "to=<bob@stage.test>", "dsn=5.2.3", "reply=69", "stat=Service unavailable"))
    report = report_of(stage, "Subject: large")
    assert "Message is too large; 3000 bytes max" in report and "inside" not in report, report
    print("what is too large is returned without its body")


def host_files(stage):
    """A refused MAIL says nothing bad about a host; who asks for a message passes host status by."""
    for name in stage.queue_files():
        stage.run(["rm", QUEUE + "/" + name], check=0)
    stage.run(["mkdir", "-m", "755", "/var/spool/hosts"], check=0)
    known = "-OHostStatusDirectory=/var/spool/hosts"
    busy = Recorder("127.0.1.1", mail="451 4.3.0 not now")
    text = "Subject: later\n\nx\n"
    for name in ("far", "shut"):
        stage.run(["sendmail", "-Am", known, "x@%s.test" % name], text=text, check=0)
    stage.run(["sendmail", known, "-v", "-q"], check=0)
    assert busy.connections == 2, busy.connections
    busy.close()
    said = stage.run(["sendmail", known, "-v", "-q"], check=0).stdout.decode()
    assert "Connecting to shut.test" not in said, said
    said = stage.run(["sendmail", known, "-v", "-qRshut"], check=0).stdout.decode()
    assert "Connecting to shut.test" in said, said
    for replies, record in ((dict(data="451 4.3.0 no"), "E0 H0 S0"),
                            (dict(rcpt="550 5.1.1 no"), "E0 H0 S0"),
                            (dict(eod="451 4.3.0 no"), "E0 H0 S75 D4.3.0 R451 4.3.0 no"),
                            (dict(greeting="554 no"), "E0 H0 S69 D5.5.0 R554 no"),
                            (dict(greeting="421 no"), "E0 H0 S75 D4.5.0 R221 2.0.0 bye"),
                            (dict(rcpt="DROP"), "E104 H0 S75 D4.4.2 R451 4.4.1 reply: read error from far.test.")):
        stage.run(["rm", "-r", "/var/spool/hosts/test."])
        far = Recorder("127.0.1.1", **replies)
        for name in "ab":
            stage.run(["sendmail", "-Am", known, name + "@far.test"], text=text, check=None)
        with open("/var/spool/hosts/test./far") as f:
            lines = f.read().splitlines()
        assert " ".join(lines[1:-2]) == record, (replies, lines)
        assert far.connections == (2 if " S0" in record else 1), (replies, far.connections)
        far.close()
    print("hosts are known as long as they should")
