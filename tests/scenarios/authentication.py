"""Clients prove who they are: swaks and smtplib to us, we to the real sendmail and to ourselves.

Passwords are where Cyrus SASL keeps them: in a sasldb made by saslpasswd2, and behind a
saslauthd (played here). What is logged is what fail2ban and logwatch look for.
"""
# needs: root/usr/sbin/saslpasswd2
import base64
import contextlib
import os
import smtplib
import socket
import ssl
import struct
import threading

import certificates as pki
from sink import Sink
from stage import write
from tools import PEERS, REAL_SENDMAIL, wait_until

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
    certificates_speak_for_clients(stage)
    we_log_in_elsewhere(stage)


def logged(stage, *parts):
    """The lines of the log with these parts; there must be one."""
    return wait_until("the log has %r" % (parts,), lambda: stage.log.having(*parts))


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
            logged(stage, "AUTH=server, relay=localhost [127.0.0.1], authid=%s, mech=%s, bits=0"
                   % (user, mechanism))
        refused = swaks(stage, mechanism, "ann", "wrong", "never", 28)
        assert b"535 5.7.0 authentication failed" in refused.stdout, refused.stdout
        # What fail2ban counts.
        logged(stage, "AUTH failure (%s): authentication failure (-13) SASL(-13): authentication failure: "
               % mechanism, ", user=ann, relay=localhost [127.0.0.1]")
    assert "never" not in stage.sink.subjects()
    message = next(m for m in stage.sink.messages if b"PLAIN ann" in m[-1])
    assert b"(authenticated bits=0)" in message[-1] and b"with ESMTPA id" in message[-1], message


def python_finds_a_way(stage):
    """smtplib takes CRAM-MD5 first, then PLAIN, then LOGIN."""
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
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
        with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
            client.ehlo()
            assert client.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"], client.esmtp_features
        for mechanism in ("PLAIN", "LOGIN"):
            swaks(stage, mechanism, "cid@dom.test", "by pam", "by saslauthd " + mechanism, 0)
            assert questions[-1] == ["cid", "by pam", "smtp", "dom.test"], questions
            swaks(stage, mechanism, "ann", "secret", "never", 28)
            assert questions[-1] == ["ann", "secret", "smtp", ""], questions
    os.unlink(MUX)
    with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
        client.ehlo()
        word = base64.b64encode(b"\0ann\0by pam").decode()
        assert client.docmd("AUTH", "PLAIN " + word) == (535, b"5.7.0 authentication failed")
    logged(stage, "AUTH failure (PLAIN): generic failure (-1) SASL(-1): generic failure: ",
           "user=ann, relay=localhost [127.0.0.1]")
    stage.end_child(daemon)
    os.unlink(SASL_CONF)


TLS_FEATURES = """define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl
define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl
define(`confCACERT', `/etc/mail/tls/ca.crt')dnl
define(`confCACERT_PATH', `/etc/mail/tls')dnl
define(`confAUTH_OPTIONS', `A p y')dnl
"""


def certificates_speak_for_clients(stage):
    """EXTERNAL is for whom a certificate names; passwords are only asked for behind TLS."""
    pki.authority()
    pki.issue("server", "/C=XX/O=Stage/CN=mx.stage.test", names=["mx.stage.test"])
    pki.issue("client", "/O=Far (away)/CN=client.far.test")
    pki.self_signed("lonely", "/CN=lonely.far.test")
    stage.configure(features=FEATURES + TLS_FEATURES)
    daemon = stage.daemon()
    hidden = ["SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5"]
    for certificate, offered in ((None, []), ("lonely", []), ("client", ["EXTERNAL"])):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(pki.path(certificate + ".crt"), pki.path(certificate + ".key"))
        with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
            client.ehlo()
            assert client.esmtp_features["auth"].split() == hidden, client.esmtp_features
            client.starttls(context=context)
            client.ehlo()
            everything = offered + hidden + ["LOGIN", "PLAIN"]
            assert client.esmtp_features["auth"].split() == everything, (certificate, client.esmtp_features)
            code, _ = client.docmd("AUTH", "EXTERNAL =")
            assert code == (235 if offered else 504), (certificate, code)
    logged(stage, "AUTH=server, ", "authid=/O+3DFar+2B20+2B28away+2B29/CN+3Dclient.far.test, mech=EXTERNAL, bits=0")
    stage.end_child(daemon)


PEER = "127.0.2.1"
PEER_CF = """V10
Djmx.stage.test
O QueueDirectory=/srv/peer
O DeliveryMode=queueonly
O AliasFile=
O DaemonPortOptions=Addr=%s, Port=25, Name=PEER, Modifier=a
O PidFile=/srv/peer.pid
O DontProbeInterfaces=True
O LogLevel=14
O QueueLA=999
O RefuseLA=999
O Timeout.ident=0
O ResolverOptions=-AAONLY
O AuthMechanisms=%s
H?D?Date: $a
Scanonify=3
R$*<$*>$*\t$2
R$+@$+\t$:$1<@$2>
Sfinal=4
R$+<@$+>\t$1@$2
Sparse=0
R$+<@$+>\t$#local $: $1
R$+\t$#local $: $1
Mlocal, P=/bin/false, F=lsDFM, A=false
Mprog, P=/bin/false, F=lsDFM, A=false
""" % (PEER, MECHANISMS)


def we_log_in_elsewhere(stage):
    stage.zone["peer.test"] = [("MX", 10, "mx.peer.test")]
    stage.zone["mx.peer.test"] = [("A", PEER)]
    os.makedirs("/srv/peer", 0o700)
    write("/srv/peer.cf", PEER_CF)
    ours = "/usr/sbin/sendmail"
    for program, client in ((REAL_SENDMAIL, ours), (ours, ours), (ours, REAL_SENDMAIL)):
        # Under the stage's own name it would take our exchanger for itself.
        stage.configure(features=FEATURES + "define(`confDOMAIN_NAME', `me.stage.test')dnl\n")
        peer = stage.daemon("-C/srv/peer.cf", program=program, address=PEER)
        for mechanism in MECHANISMS.split()[2:]:
            for password, dsn in (("secret", "2.0.0"), ("wrong", "5.")):
                log_in(stage, client, mechanism, password, dsn)
        stage.end_child(peer)


def log_in(stage, client, mechanism, password, dsn):
    write("/etc/mail/access", 'AuthInfo:mx.peer.test "U:ann" "P:%s" "M:%s"\n' % (password, mechanism))
    with open("/etc/mail/access") as text:
        stage.run(["makemap", "hash", "/etc/mail/access"], text=text.read(), check=0)
    stage.log.lines.clear()
    stage.run([client, "-Am", "-odi", "-f", "ann@stage.test", "joe@peer.test"],
              text="Subject: %s\n\nhello\n" % mechanism)
    line = wait_until("the fate of %s" % mechanism, lambda: stage.log.having("to=joe@peer.test", "dsn=" + dsn))
    if password == "secret":
        logged(stage, "AUTH=client, relay=mx.peer.test., mech=%s, bits=" % mechanism)
        logged(stage, "AUTH=server, ", "authid=ann, mech=%s, bits=" % mechanism)
        return
    accepted = stage.log.having("AUTH=client, relay=mx.peer.test., mech=%s, bits=" % mechanism)
    believed = stage.log.having("AUTH=server, ", "authid=ann, mech=%s, bits=" % mechanism)
    # Nobody is let in, and the peer takes no mail from nobody.
    assert not accepted and not believed and "530 5.7.0" in line[0], (mechanism, stage.log.lines)
