"""STARTTLS in the server, with and without certificates of the client, as the real program does it."""
import re
import smtplib
import socket
import ssl
import subprocess
import time

import certificates as pki
from tools import wait_until

FEATURES = """define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl
define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl
define(`confCACERT', `/etc/mail/tls/ca.crt')dnl
define(`confCACERT_PATH', `/etc/mail/tls')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confTO_STARTTLS', `5s')dnl
FEATURE(`check_cert_altnames')dnl
FEATURE(`tls_session_features')dnl
DAEMON_OPTIONS(`Name=TLS, Port=465, Addr=127.0.0.1, M=s')dnl
DAEMON_OPTIONS(`Name=Plain, Port=2525, Addr=127.0.0.1, M=S')dnl
"""
LOCAL = """LOCAL_CONFIG
Klog syslog -LNOTICE
LOCAL_RULESETS
SLocal_check_mail
R$*		$: $(log macros $&{verify} $&{tls_version} $&{cipher} $&{cipher_bits} $&{alg_bits} end $) $1
R$*		$: $(log names $&{cert_subject} $&{cert_issuer} $&{cn_subject} $&{cn_issuer} end $) $1
R$*		$: $1 $| client.far.test
R$* $| $={cert_altnames}	$: $1 $(log further $2 $)
R$* $| $*	$: $1
R$*		$: $(log digest $&{cert_md5} $&{cert_fp} end $) $1
"""
ACCESS = """TLS_Clt:127.0.0.3	VERIFY
TLS_Srv_Features:127.0.0.7	Nonsense=1
TLS_Srv_Features:127.0.0.8	CertFile=/etc/mail/tls/server.crt
TLS_Srv_Features:127.0.0.9	CipherList=NONSENSE
TLS_Srv_Features:127.0.0.4	CipherList=ECDHE-RSA-AES128-GCM-SHA256; Options=SSL_OP_NO_TLSv1_3
Srv_Features:127.0.0.5	S
Srv_Features:127.0.0.6	V
"""
SUBJECT = '/C=XX/ST=S (t)/O=a\\+b "Inc" <x>/OU=\u00fcber/CN=client.far.test/emailAddress=a@b.test'
ENCODED = "/C=XX/ST=S+20+28t+29/O=a+5C+2Bb+20+22Inc+22+20+3Cx+3E/OU=+5CxC3+5CxBCber/CN=client.far.test/emailAddress=a@b.test"


def context(certificate=None, newest=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if certificate:
        made.load_cert_chain(pki.path(certificate + ".crt"), pki.path(certificate + ".key"))
    if newest:
        made.maximum_version = newest
    return made


class Client(smtplib.SMTP):
    def __init__(self, source="127.0.0.1", port=25):
        super().__init__("127.0.0.1", port, local_hostname="c.far.test", timeout=60, source_address=(source, 0))


def lines(stage, before, *parts):
    """What was logged since, without the time; waits for one line with these parts."""
    def look():
        new = [line.split("]: ", 1)[1] for line in stage.log.lines[before:]]
        return new if any(all(p in line for p in parts) for line in new) else None
    return wait_until("the log has %r" % (parts,), look)


def said(new, word):
    found = [line for line in new if word in line]
    assert len(found) == 1, (word, found)
    return found[0]


def letter(stage, subject, verify, certificate=None, newest=None, version="TLSv1.3",
           cipher="TLS_AES_256_GCM_SHA384"):
    """One message through TLS; returns the log."""
    before = len(stage.log.lines)
    with Client() as client:
        client.ehlo()
        assert client.starttls(context=context(certificate, newest)) == (220, b"2.0.0 Ready to start TLS")
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        assert client.docmd("STARTTLS") == (454, b"4.3.3 TLS not available after start")
        client.sendmail("x@far.test", ["ann@stage.test"], "Subject: %s\n\nhello\n" % subject)
    new = lines(stage, before, "from=<x@far.test>")
    relay = "relay=localhost [127.0.0.1]"
    wanted = "STARTTLS=server, %s, version=%s, verify=%s, cipher=%s, bits=256/256" % (relay, version, verify, cipher)
    assert wanted in new, new
    assert "tls_verify" not in said(new, "from=<x@far.test>") and "proto=ESMTPS," in said(new, "from=<x@far.test>")
    assert re.search("macros.%s.%s.%s.256.256.end" % (verify, version, cipher), said(new, "macros")), new
    received = " ".join(stage.expect_message("ann", subject)["Received"].split())
    wanted = "with ESMTPS id %s (version=%s cipher=%s bits=256 verify=%s)"
    found = re.search(r"with ESMTPS id (\S+) \(", received)
    assert found and wanted % (found[1], version, cipher, verify) in received, received
    return new


def certificates(stage):
    letter(stage, "none", "NO")
    letter(stage, "older", "NO", newest=ssl.TLSVersion.TLSv1_2, version="TLSv1.2",
           cipher="ECDHE-RSA-AES256-GCM-SHA384")
    new = letter(stage, "good", "OK", "client")
    assert "STARTTLS=server, cert-subject=%s, cert-issuer=/C=XX/O=Stage/CN=Stage+20CA, verifymsg=ok" % ENCODED in new, new
    assert ENCODED in said(new, "names") and ".client.far.test.Stage+20CA." in said(new, "names")
    digest = pki.openssl("x509", "-in", pki.path("client.crt"), "-noout", "-fingerprint", "-md5").decode().strip().split("=")[1]
    assert "digest.%s.end" % digest in said(new, "digest"), new
    assert "further.client.far.test" in " ".join(new), new
    new = letter(stage, "expired", "FAIL", "old")
    assert said(new, "cert-subject").endswith("verifymsg=certificate has expired"), new
    new = letter(stage, "selfsigned", "FAIL", "lonely")
    assert said(new, "cert-subject").endswith("verifymsg=self-signed certificate"), new
    new = letter(stage, "stranger", "FAIL", "stranger")
    assert said(new, "cert-subject").endswith("verifymsg=unable to get local issuer certificate"), new
    new = letter(stage, "nameless", "OK", "nameless")
    assert "STARTTLS=server, relay=localhost [127.0.0.1], field=cn_subject, status=failed to extract CN" in new, new
    assert ".BadCertificateUnknown." in said(new, "names")
    letter(stage, "first version", "OK" if stage.is_real else "FAIL", "first")


def rules(stage):
    """Rulesets decide who may go on, and how."""
    before = len(stage.log.lines)
    with Client("127.0.0.3") as client:
        client.ehlo()
        client.starttls(context=context())
        assert client.ehlo()[1].split(b"\n")[1:] == [b"ENHANCEDSTATUSCODES"]
        for command in ("MAIL FROM:<x@far.test>", "STARTTLS"):
            assert client.docmd(command) == (454, b"4.7.0 not authenticated"), command
    lines(stage, before, "ruleset=tls_client, arg1=NO, arg2=STARTTLS, relay=", "reject=454 4.7.0 not authenticated")
    with Client("127.0.0.3") as client:
        client.ehlo()
        client.starttls(context=context("client"))
        client.ehlo()
        assert client.mail("x@far.test")[0] == 250
    before = len(stage.log.lines)
    with Client("127.0.0.4") as client:
        client.ehlo()
        client.starttls(context=context())
        assert client.sock.cipher()[:2] == ("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2")
    lines(stage, before, "tls_srv_features=parsed, CipherList=ECDHE-RSA-AES128-GCM-SHA256, relay=")
    for source, why in ((7, "tls_srv_features=unknown_option, opt=Nonsense, relay=[127.0.0.7] [127.0.0.7]"),
                        (8, "tls_srv_features=only_one_of_CertFile/KeyFile_specified, relay="),
                        (9, "STARTTLS=server, error: SSL_set_cipher_list(NONSENSE) failed")):
        before = len(stage.log.lines)
        with Client("127.0.0.%d" % source) as client:
            client.ehlo()
            answer = client.docmd("STARTTLS")
            assert answer == (454, b"4.3.3 TLS currently not available"), answer
        lines(stage, before, why)
    with Client("127.0.0.5") as client:
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        answer = client.docmd("STARTTLS")
        assert answer == (503, b"5.5.0 TLS not available"), answer
    before = len(stage.log.lines)
    with Client("127.0.0.6") as client:
        client.ehlo()
        client.starttls(context=context("client"))
    lines(stage, before, "STARTTLS=server", "verify=NOT,")


def ports(stage):
    """A port without TLS, and one with nothing else."""
    with Client(port=2525) as client:
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        answer = client.docmd("STARTTLS")
        assert answer == (503, b"5.5.0 TLS not available"), answer
    with smtplib.SMTP_SSL("127.0.0.1", 465, local_hostname="c.far.test", timeout=60, context=context()) as client:
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        client.sendmail("x@far.test", ["ann@stage.test"], "Subject: at once\n\nhello\n")
    assert "with ESMTPS id" in stage.expect_message("ann", "at once")["Received"]
    before = len(stage.log.lines)
    with socket.create_connection(("127.0.0.1", 465)) as plain:
        plain.settimeout(60)
        plain.sendall(b"EHLO c.far.test\r\n")
        assert not heard(plain).startswith(b"220")
    lines(stage, before, "STARTTLS=server, error: accept failed=-1, reason=wrong version number")


def heard(plain):
    try:
        return plain.recv(900)
    except ConnectionError:
        return b""


def begun(command=b"STARTTLS\r\n"):
    """A connection whose client may begin the handshake."""
    plain = socket.create_connection(("127.0.0.1", 25))
    plain.settimeout(60)
    plain.recv(900)
    plain.sendall(b"EHLO c.far.test\r\n")
    answer = b""
    while b"250 HELP" not in answer:
        answer += plain.recv(900)
    plain.sendall(command)
    assert plain.recv(900).startswith(b"220 2.0.0 Ready")
    return plain


def two_certificates(stage, daemon):
    """Of an ECDSA and an RSA certificate the one that goes with the ciphers is shown."""
    stage.end_child(daemon)
    pki.issue("second", "/CN=mx.stage.test", kind="ec")
    daemon = stage.daemon("-O", "ServerCertFile=/etc/mail/tls/second.crt,/etc/mail/tls/server.crt",
                          "-O", "ServerKeyFile=/etc/mail/tls/second.key,/etc/mail/tls/server.key",
                          "-O", "ServerSSLOptions=+SSL_OP_NO_TLSv1_3")
    for ciphers, cipher in (("HIGH", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("aRSA", "ECDHE-RSA-AES256-GCM-SHA384")):
        with Client() as client:
            made = context()
            made.set_ciphers(ciphers)
            client.ehlo()
            client.starttls(context=made)
            assert client.sock.cipher()[0] == cipher, client.sock.cipher()
    # A key others may read is as good as none.
    stage.end_child(daemon)
    pki.key("shared", mode=0o644)
    before = len(stage.log.lines)
    stage.daemon("-O", "ServerKeyFile=/etc/mail/tls/shared.key")
    with Client() as client:
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        assert client.docmd("STARTTLS") == (454, b"4.3.3 TLS not available after start")
    lines(stage, before, "STARTTLS=server: file /etc/mail/tls/shared.key unsafe: Group readable file")


def unfriendly(stage):
    """Clients that send no TLS, nothing at all, or text behind STARTTLS."""
    before = len(stage.log.lines)
    plain = begun()
    plain.sendall(b"this is no TLS\r\n")
    assert b"500" not in heard(plain)
    new = lines(stage, before, "accept failed=-1, reason=wrong version number, SSL_error=1, errno=0, retry=-1, relay=")
    plain.close()
    before = len(stage.log.lines)
    plain = begun()
    plain.close()
    new = lines(stage, before, "accept failed=-1, reason=unexpected eof while reading, SSL_error=1")
    before = len(stage.log.lines)
    silent = [begun() for _ in range(30)]
    # Those who are silent keep nobody else waiting.
    with Client() as client:
        client.ehlo()
        client.starttls(context=context())
        assert client.ehlo()[0] == 250
    for plain in silent:
        assert heard(plain) == b""
        plain.close()
    new = lines(stage, before, "STARTTLS=server, error: accept failed=1, reason=unknown, SSL_error=2, errno=0, retry=0, relay=")
    assert new
    plain = begun(b"STARTTLS\r\nMAIL FROM:<injected@far.test>\r\n")
    try:
        secure = context().wrap_socket(plain)
        secure.sendall(b"RCPT TO:<ann@stage.test>\r\n")
        assert secure.recv(900).startswith(b"503 5.0.0 Need MAIL before RCPT")
    except (ssl.SSLError, ConnectionError):
        pass
    with Client() as client:
        client.ehlo()
        assert client.mail("x@far.test")[0] == 250
        answer = client.docmd("STARTTLS")
        assert answer == (503, b"5.5.0 TLS not permitted during a mail transaction"), answer


def peers(stage):
    """Programs others use."""
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:25", "-crlf", "-quiet"],
                          input=b"QUIT\n", capture_output=True, timeout=60)
    assert b"221 2.0.0" in done.stdout, done
    done = subprocess.run(["swaks", "--server", "127.0.0.1", "--tls", "--to", "ann@stage.test", "--from", "x@far.test",
                           "--header", "Subject: swaks"], capture_output=True, timeout=60)
    assert done.returncode == 0, done
    assert "with ESMTPS" in stage.expect_message("ann", "swaks")["Received"]


def run(stage):
    pki.authority()
    pki.authority("other", "/CN=Other CA")
    pki.issue("server", "/C=XX/O=Stage/CN=mx.stage.test", names=["mx.stage.test"])
    pki.issue("client", SUBJECT, kind="ec", names=["client.far.test"])
    pki.issue("old", "/CN=old.far.test", days=-1)
    pki.issue("nameless", "/O=Nobody")
    pki.issue("stranger", "/CN=stranger.far.test", by="other")
    pki.issue("first", "/CN=first.far.test", version=1)
    pki.self_signed("lonely", "/CN=lonely.far.test")
    stage.zone["far.test"] = [("A", "127.0.0.1")]
    stage.configure(features=FEATURES, local=LOCAL, access=ACCESS)
    stage.maildir("ann")
    daemon = stage.daemon()
    assert stage.log.having("STARTTLS=server, init=1")
    certificates(stage)
    rules(stage)
    ports(stage)
    unfriendly(stage)
    peers(stage)
    two_certificates(stage, daemon)
