"""swaks, mail, mutt and smtplib each reach a local user and a remote one."""
import os

from sink import Sink
from tools import PEERS, wait_until


def run(stage):
    stage.configure()
    stage.zone["far.test"] = [("MX", 10, "mx.far.test")]
    stage.zone["mx.far.test"] = [("A", "127.0.1.1")]
    sink = Sink("127.0.1.1")
    stage.maildir("bob")
    stage.daemon()

    def everyone(subject, client):
        for address in ("bob@stage.test", "joe@far.test"):
            client(subject + " to " + address, address)
        stage.expect_message("bob", subject + " to bob@stage.test")
        wait_until(subject + " at the far end",
                   lambda: subject + " to joe@far.test" in sink.subjects())

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

    os.chmod("/home/ann", 0o755)
    everyone("swaks", swaks)
    everyone("smtplib", smtplib)
    everyone("mailx", mail)
    everyone("mutt", mutt)
    senders = {sender.split()[0].lower() for sender, _, _, _ in sink.messages}
    assert senders <= {"<ann@stage.test>", "<ann@mx.stage.test>"}, senders
