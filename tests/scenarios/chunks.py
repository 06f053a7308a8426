"""BDAT and BINARYMIME (RFC 3030) through two of our daemons, and what other servers get instead.

The option Chunking is ours and off unless it is named.
"""
import email
import glob
import os
import smtplib
import subprocess

import servers
from sink import Sink
from tools import wait_until

BEYOND = "127.0.1.1"
OLD = "127.0.1.2"

# Whatever a server that takes it for text would do wrong.
BINARY = b"\r\n.\r\nMAIL FROM:<>\r\n\n\r\0\xff.\n.\r\n\r.\r" + bytes(range(256)) * 4_000 + b"\r\n--x\n.\r\n"
HEAD = b"Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def send(client, recipients, chunks, parameters=("BODY=BINARYMIME",)):
    """Sends a message in chunks, all at once."""
    code, answer = client.mail("ann@stage.test", parameters)
    assert code == 250, answer
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    for number, chunk in enumerate(chunks, 1):
        client.send(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if number == len(chunks) else b"") + chunk)
    for chunk in chunks:
        code, answer = client.getreply()
        assert code == 250, answer


def body_of(raw):
    return email.message_from_bytes(raw).get_payload(decode=True)


def run(stage):
    stage.configure()
    servers.lay_beyond("mx.beyond.test", "O Chunking=True\nO DeliveryMode=q")
    for mode, folder in (("700", "/var/spool/beyond"), ("777", "/tmp/got")):
        subprocess.run(["install", "-d", "-m", mode, folder], check=True)
    stage.maildir("ann")
    stage.zone["beyond.test"] = [("MX", 10, "mx.beyond.test")]
    stage.zone["mx.beyond.test"] = [("A", BEYOND)]
    stage.zone["old.test"] = [("MX", 10, "mx.old.test")]
    stage.zone["mx.old.test"] = [("A", OLD)]
    old = Sink(OLD)
    stage.daemon("-C/etc/beyond.cf", address=BEYOND)
    stage.daemon("-OChunking=True")

    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
        client.ehlo("client.test")
        assert client.has_extn("chunking") and client.has_extn("binarymime"), client.esmtp_features
        whole = HEAD % b"binary" + BINARY
        pieces = [whole[:7], whole[7:300_000], b"", whole[300_000:]]
        send(client, ["ann@stage.test", "bob@beyond.test", "old@old.test"], pieces)
        send(client, ["old@old.test"], [b"Subject: dots\r\n\r\na\r\n.\r\n.b\r\n", b"..\r\n.\r\n"], ())

    # The other daemon has it octet by octet, and its mailer gets lines.
    bodies = wait_until("the other daemon has it", lambda: glob.glob("/var/spool/beyond/qf*")
                        and glob.glob("/var/spool/beyond/df*"))
    with open(bodies[0], "rb") as f:
        assert f.read() == BINARY

    def delivered():
        subprocess.run(["sendmail", "-C/etc/beyond.cf", "-q"], check=True)
        return not glob.glob("/var/spool/beyond/qf*")
    wait_until("it is delivered there", delivered)
    with open("/tmp/got/bob", "rb") as f:
        got = f.read()
    assert body_of(got) == BINARY and got.isascii(), got[:2_000]

    # A server without BINARYMIME gets lines, and the dots are no ends.
    wait_until("the old server has both", lambda: len(old.messages) == 2)
    for _, _, message, raw in old.messages:
        if message["Subject"] == "dots":
            assert raw.endswith(b"\r\n\r\na\r\n.\r\n.b\r\n..\r\n.\r\n"), raw
        else:
            assert body_of(raw) == BINARY and b"\0" not in raw and raw.isascii(), raw[:2_000]
    message = stage.expect_message("ann", "binary")
    assert message.get_payload(decode=True) == BINARY, message.as_bytes()[:2_000]
    # An entry goes after its delivery.
    wait_until("nothing is left", lambda: not [
        path for path in glob.glob("/var/spool/mqueue/*") + glob.glob("/var/spool/beyond/*") if os.path.isfile(path)])
