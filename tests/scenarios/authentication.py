"""Clients prove who they are: swaks, smtplib and the real sendmail, each by every mechanism it has.

Passwords are where Cyrus SASL keeps them: in a sasldb made by saslpasswd2, and behind a
saslauthd (played here). What is logged is what fail2ban and logwatch look for.
"""
# needs: root/usr/sbin/saslpasswd2
import base64
import contextlib
import os
import smtplib
import socket
import struct
import threading

from sink import Sink
from stage import write
from tools import PEERS, wait_until

MECHANISMS = "EXTERNAL GSSAPI SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 LOGIN PLAIN"
FEATURES = """define(`confAUTH_MECHANISMS', `%s')dnl
define(`confLOG_LEVEL', `14')dnl
TRUST_AUTH_MECH(`LOGIN PLAIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256')dnl
""" % MECHANISMS
MUX = "/run/saslauthd/mux"
SASL_CONF = "/etc/sasl2/Sendmail.conf"


def run(stage):
    stage.configure(features=FEATURES)
    stage.zone["far.test"] = [("MX", 10, "mx.far.test")]
    stage.zone["mx.far.test"] = [("A", "127.0.1.1")]
    stage.sink = Sink("127.0.1.1")
    for user, password in (("ann", "secret"), ("bob", "pass word+")):
        stage.run([PEERS + "/usr/sbin/saslpasswd2", "-p", "-c", "-u", "mx.stage.test", user], text=password, check=0)
    daemon = stage.daemon()
    passwords_of_the_database(stage)
    python_finds_a_way(stage)
    stage.end_child(daemon)
    passwords_of_saslauthd(stage)


def swaks(stage, mechanism, user, password, subject, check):
    """One message to a far user, who can be reached by those only whom we know."""
    return stage.run(["swaks", "--server", "127.0.0.1", "--from", "ann@stage.test", "--to", "joe@far.test",
                      "--auth", mechanism, "--auth-user", user, "--auth-password", password,
                      "--header", "Subject: " + subject], check=check)


def passwords_of_the_database(stage):
    # No SCRAM in swaks.
    for number, mechanism in enumerate(("PLAIN", "LOGIN", "CRAM-MD5")):
        for user, password in (("ann", "secret"), ("bob", "pass word+")):
            subject = "%s %s" % (mechanism, user)
            swaks(stage, mechanism, user, password, subject, 0)
            wait_until(subject, lambda: subject in stage.sink.subjects())
            assert stage.log.having("AUTH=server, relay=localhost [127.0.0.1], authid=%s, mech=%s, bits=0"
                                    % (user, mechanism)), subject
        refused = swaks(stage, mechanism, "ann", "wrong", "never", 28)
        assert b"535 5.7.0 authentication failed" in refused.stdout, refused.stdout
        # What fail2ban counts.
        assert stage.log.having("AUTH failure (%s): authentication failure (-13) SASL(-13): authentication failure: "
                                % mechanism, ", user=ann, relay=localhost [127.0.0.1]"), mechanism
    assert "never" not in stage.sink.subjects()
    message = next(m for m in stage.sink.messages if b"PLAIN ann" in m[-1])
    assert b"(authenticated bits=0)" in message[-1] and b"with ESMTPA id" in message[-1], message


def python_finds_a_way(stage):
    """smtplib takes CRAM-MD5 first, then PLAIN, then LOGIN."""
    with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
        try:
            client.login("ann", "wrong")
            raise SystemExit("a wrong password was taken")
        except smtplib.SMTPAuthenticationError as error:
            assert error.smtp_code == 535, error
        client.login("bob", "pass word+")
        code, text = client.docmd("AUTH", "PLAIN")
        assert (code, text) == (503, b"5.5.0 Already Authenticated"), (code, text)
        client.sendmail("bob@stage.test", ["joe@far.test"], "Subject: from python\n\nhello\n")
    wait_until("mail from python", lambda: "from python" in stage.sink.subjects())


@contextlib.contextmanager
def saslauthd(answers):
    """Answers by user and password; yields the questions."""
    os.makedirs(os.path.dirname(MUX), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(MUX)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(MUX)
    listener.listen(5)
    questions = []

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                words = [stream.read(struct.unpack(">H", stream.read(2))[0]).decode() for _ in range(4)]
                questions.append(words)
                text = answers(words)
                client.sendall(struct.pack(">H", len(text)) + text)

    threading.Thread(target=serve, daemon=True).start()
    yield questions
    listener.close()


def passwords_of_saslauthd(stage):
    write(SASL_CONF, "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")
    daemon = stage.daemon()
    with saslauthd(lambda words: b"OK" if words[1] == "by pam" else b"NO wrong") as questions:
        with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
            client.ehlo()
            assert client.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"], client.esmtp_features
        for mechanism in ("PLAIN", "LOGIN"):
            swaks(stage, mechanism, "cid@dom.test", "by pam", "by saslauthd " + mechanism, 0)
            assert questions[-1] == ["cid", "by pam", "smtp", "dom.test"], questions
            swaks(stage, mechanism, "ann", "secret", "never", 28)
            assert questions[-1] == ["ann", "secret", "smtp", ""], questions
    os.unlink(MUX)
    with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
        client.ehlo()
        word = base64.b64encode(b"\0ann\0by pam").decode()
        assert client.docmd("AUTH", "PLAIN " + word) == (535, b"5.7.0 authentication failed")
    assert stage.log.having("AUTH failure (PLAIN): generic failure (-1) SASL(-1): generic failure: ",
                            "user=ann, relay=localhost [127.0.0.1]")
    stage.end_child(daemon)
    os.unlink(SASL_CONF)
