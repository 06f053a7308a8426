"""STARTTLS in the client: servers good and bad, what rulesets say of them, and the real program at the other end."""
import ssl
import subprocess

import certificates as pki
from stage import write
from tls_sink import TlsSink
from tools import REAL_SENDMAIL, wait_until

FEATURES = """define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl
define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl
define(`confCLIENT_CERT', `/etc/mail/tls/client.crt')dnl
define(`confCLIENT_KEY', `/etc/mail/tls/client.key')dnl
define(`confCACERT', `/etc/mail/tls/ca.crt')dnl
define(`confCACERT_PATH', `/etc/mail/tls')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confTO_STARTTLS', `5s')dnl
FEATURE(`mailertable')dnl
FEATURE(`tls_session_features')dnl
"""
LOCAL = """LOCAL_CONFIG
Klog syslog -LNOTICE
LOCAL_TLS_SERVER
R$*		$: $(log server $1 $&{verify} $&{tls_version} $&{cipher} $&{cipher_bits} $&{server_name} $&{server_addr} end $) $1
R$*		$: $(log names $&{cert_subject} $&{cn_issuer} $&{cert_md5} end $) $1
"""
# Host, what its server does, what the access map says of it.
HOSTS = [
    ("good", {}, ""),
    ("older", {"version": ssl.TLSVersion.TLSv1_2}, ""),
    ("lonely", {"certificate": "lonely"}, ""),
    ("old", {"certificate": "old"}, ""),
    ("asks", {"asks": True}, ""),
    ("plain", {"behaviour": "plain"}, ""),
    ("refuse", {"behaviour": "refuse"}, ""),
    ("never", {"behaviour": "never"}, ""),
    ("close", {"behaviour": "close"}, ""),
    ("silent", {"behaviour": "silent"}, ""),
    ("notry", {}, "Try_TLS:h-notry.test\tNO\n"),
    ("verify", {"certificate": "lonely"}, "TLS_Srv:h-verify.test\tVERIFY\n"),
    ("perm", {"certificate": "lonely"}, "TLS_Srv:h-perm.test\tPERM+VERIFY\n"),
    ("weak", {}, "TLS_Srv:h-weak.test\tENCR:512\n"),
    ("cn", {}, "TLS_Srv:h-cn.test\tVERIFY+CN:other.test\n"),
    ("must", {"behaviour": "plain"}, "TLS_Srv:h-must.test\tENCR:112\n"),
    ("rcpt", {"behaviour": "plain"}, "TLS_Rcpt:x@rcpt.test\tVERIFY\n"),
    ("features", {}, "TLS_Clt_Features:h-features.test\tCipherList=ECDHE-RSA-AES128-GCM-SHA256; "
     "Options=SSL_OP_NO_TLSv1_3\n"),
]


class World:
    def __init__(self, stage):
        self.stage, self.sinks = stage, {}
        for number, (name, how, _) in enumerate(HOSTS, 1):
            address = "127.0.1.%d" % number
            stage.zone["h-%s.test" % name] = [("A", address)]
            self.sinks[name] = TlsSink(address, **how)

    def letter(self, name, *options, recipients=None):
        """Sends a letter on the spot; returns what was logged, what was told, and what the server saw."""
        stage, sink = self.stage, self.sinks[name]
        before = len(stage.log.lines)
        seen = len(sink.commands)
        more = [word for option in options for word in ("-O", option)]
        done = stage.run(["/usr/sbin/sendmail", "-Am", "-v", "-odi", *more, "-f", "ann@stage.test",
                          *(recipients or ["x@%s.test" % name])], text="Subject: to %s\n\nhello\n" % name)
        wait_until("the outcome", lambda: any("stat=" in line for line in stage.log.lines[before:]))
        new = [line.split("]: ", 1)[1] for line in stage.log.lines[before:]]
        for left in subprocess.run("rm -fv /var/spool/mqueue/*", shell=True, capture_output=True).stdout.splitlines():
            new.append("left " + left.decode())
        return new, done.stdout.decode() + done.stderr.decode(), sink.commands[seen:]


def has(lines, *parts):
    assert any(all(part in line for part in parts) for line in lines), (parts, lines)


def hasnt(lines, part):
    assert not any(part in line for line in lines), (part, lines)


def taken(world, name, verify, version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256):
    new, _, commands = world.letter(name)
    has(new, "STARTTLS=client, relay=h-%s.test., version=%s, verify=%s, cipher=%s, bits=%d/%d"
        % (name, version, verify, cipher, bits, bits))
    has(new, "server.%s.%s.%s.%s.%d.h-%s.test.127.0.1." % (verify, verify, version, cipher, bits, name))
    has(new, "to=x@%s.test" % name, "relay=h-%s.test. [127.0.1." % name, "stat=Sent (taken)")
    assert commands[:3] == ["EHLO mx.stage.test", "STARTTLS", "TLS EHLO mx.stage.test"], commands
    assert "TLS DATA" in commands and "DATA" not in commands
    return new


def certificates(world):
    new = taken(world, "good", "OK")
    has(new, "STARTTLS=client, cert-subject=/C=XX/O=Stage/CN=mx.stage.test, "
        "cert-issuer=/C=XX/O=Stage/CN=Stage+20CA, verifymsg=ok")
    digest = pki.openssl("x509", "-in", pki.path("server.crt"), "-noout", "-fingerprint", "-md5").decode().strip()
    has(new, "names/C=XX/O=Stage/CN=mx.stage.test.Stage+20CA.%s.end" % digest.split("=")[1])
    has(new, "STARTTLS=client, init=1")
    has(new, 'tls_clt_features="", relay=h-good.test [127.0.1.1]')
    taken(world, "older", "OK", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")
    has(taken(world, "lonely", "FAIL"), "verifymsg=self-signed certificate")
    has(taken(world, "old", "FAIL"), "verifymsg=certificate has expired")
    taken(world, "asks", "OK")
    assert world.sinks["asks"].sessions[0][2]["subject"][0][0] == ("commonName", "client.far.test")
    taken(world, "features", "OK", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 128)


def without(world):
    """Servers that offer no TLS or refuse it get the message in the clear."""
    for name, word in (("plain", "NONE"), ("refuse", "TEMP"), ("never", "NONE")):
        new, _, commands = world.letter(name)
        has(new, "server.%s.%s.h-%s.test" % (word, word, name))
        has(new, "stat=Sent (taken)")
        assert commands.count("EHLO mx.stage.test") == 1 and "DATA" in commands, commands


def failures(world):
    """A handshake that fails leaves the message in the queue, or is forgotten where that is wanted."""
    new, told, commands = world.letter("close")
    has(new, "STARTTLS=client, error: connect failed=-1, reason=unexpected eof while reading, SSL_error=1")
    has(new, "ruleset=tls_server, arg1=SOFTWARE, relay=h-close.test, reject=454 4.7.0 TLS handshake failed.")
    has(new, "dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.")
    has(new, "left", "qf")
    assert "x@close.test... Deferred: 454 4.7.0 TLS handshake failed." in told, told
    assert commands == ["EHLO mx.stage.test", "STARTTLS"], commands
    new, told, commands = world.letter("close", "TLSFallbacktoClear=True")
    has(new, "server.CLEAR.CLEAR.h-close.test")
    has(new, "stat=Sent (taken)")
    assert told.count("Connecting to h-close.test. via esmtp...") == 2, told
    assert commands[:4] == ["EHLO mx.stage.test", "STARTTLS", "EHLO mx.stage.test", "MAIL From:<ann@stage.test>"], commands
    new, _, _ = world.letter("silent")
    has(new, "STARTTLS=client, error: connect failed=-1, reason=unknown, SSL_error=2, errno=11, retry=0")
    has(new, "stat=Deferred: 454 4.7.0 TLS handshake failed.")


def rules(world):
    new, _, commands = world.letter("notry")
    has(new, "ruleset=try_tls, arg1=h-notry.test, relay=h-notry.test, reject=550 5.7.1 x@notry.test... "
        "do not try TLS with h-notry.test [127.0.1.")
    has(new, "stat=Sent (taken)")
    assert "STARTTLS" not in commands
    for name, verify, why in (("verify", "FAIL", "authentication failed"),
                              ("weak", "OK", "encryption too weak 256 less than 512"),
                              ("cn", "OK", "CN mx.stage.test does not match other.test"),
                              ("must", "NONE", "encryption too weak 0 less than 112")):
        new, told, commands = world.letter(name)
        has(new, "ruleset=tls_server, arg1=%s, relay=h-%s.test, reject=454 4.7.0 %s" % (verify, name, why))
        has(new, "dsn=4.7.0, stat=Deferred: 454 4.7.0 %s" % why)
        assert "x@%s.test... Deferred: 454 4.7.0 %s" % (name, why) in told, told
        assert commands[-1].endswith("QUIT") and not any("MAIL" in command for command in commands), commands
    new, _, _ = world.letter("perm")
    has(new, "ruleset=tls_server, arg1=FAIL, relay=h-perm.test, reject=503 5.7.0 authentication failed")
    has(new, "to=x@perm.test", "dsn=5.7.0, stat=Service unavailable")
    new, told, commands = world.letter("rcpt", recipients=["x@rcpt.test", "y@rcpt.test"])
    has(new, "ruleset=tls_rcpt, arg1=x@rcpt.test, relay=h-rcpt.test., reject=454 4.7.0 other side does not support STARTTLS")
    has(new, "to=x@rcpt.test", "dsn=4.2.0, stat=Deferred")
    has(new, "to=y@rcpt.test", "stat=Sent (taken)")
    assert [c for c in commands if c.startswith("RCPT")] == ["RCPT To:<y@rcpt.test>"], commands
    # A client port without TLS.
    new, _, commands = world.letter("good", "ClientPortOptions=Family=inet, M=S")
    assert "STARTTLS" not in commands and "DATA" in commands, commands
    has(new, "server.NONE.NONE.h-good.test")
    # Two messages in one session, both through TLS.
    stage, sink = world.stage, world.sinks["good"]
    seen, sessions = len(sink.commands), len(sink.sessions)
    for subject in ("one", "two"):
        stage.run(["/usr/sbin/sendmail", "-Am", "-odq", "-f", "ann@stage.test", "x@good.test"],
                  text="Subject: %s\n\nhello\n" % subject, check=0)
    stage.run(["/usr/sbin/sendmail", "-Am", "-qf"], check=0)
    assert len(sink.sessions) == sessions + 1, sink.sessions
    assert [c for c in sink.commands[seen:]].count("TLS DATA") == 2, sink.commands[seen:]


def sloppy(world):
    """A client whose files are missing or unsafe uses TLS all the same, without what they were for."""
    for options, verify, told in (
            (["CACertFile=", "CACertPath=", "ClientCertFile=", "ClientKeyFile="], "FAIL", "STARTTLS: CACertFile missing"),
            (["CACertPath="], "FAIL", "STARTTLS: CACertPath missing"),
            (["CACertFile=/etc/mail/tls/nosuch"], "FAIL",
             "STARTTLS=client, error: load verify locs /etc/mail/tls, /etc/mail/tls/nosuch failed: 0"),
            (["ClientKeyFile=/etc/mail/tls/ca.crt"], "OK",
             "STARTTLS=client: file /etc/mail/tls/ca.crt unsafe: Group readable file"),
            (["ClientCertFile=/etc/mail/tls/nosuch"], "OK",
             "STARTTLS=client, error: SSL_CTX_check_private_key failed(/etc/mail/tls/client.key): 0"),
            (["ClientSSLOptions=+SSL_OP_NO_TLSv1_3"], "OK", "version=TLSv1.2, ")):
        new, _, commands = world.letter("asks", *options)
        has(new, told)
        has(new, "STARTTLS=client, relay=h-asks.test.", "verify=%s," % verify)
        has(new, "stat=Sent (taken)")
        assert "TLS DATA" in commands
    assert [bool(one[2]) for one in world.sinks["asks"].sessions] == [True, False, True, True, False, False, True]


def real_peer(world):
    """The program under test and the real one, each as client of the other."""
    stage = world.stage
    with open("/etc/mail/sendmail.cf", "rb") as file:
        cf = file.read().replace(b"Djmx.stage.test", b"Djother.stage.test")
    write("/etc/mail/other.cf", cf.replace(b"/etc/mail/local-host-names", b"/etc/mail/other-host-names"))
    write("/etc/mail/other-host-names", "other.stage.test\nreal.test\n")
    write("/etc/mail/local-host-names", "mx.stage.test\nours.test\n")
    stage.zone["ours.test"] = stage.zone["real.test"] = stage.zone["other.stage.test"] = [("A", "127.0.0.1")]
    options = ["-C", "/etc/mail/other.cf", "-O", "QueueDirectory=/var/spool/mqueue-other", "-O", "PidFile=/run/other.pid"]
    subprocess.run(["mkdir", "-m", "700", "/var/spool/mqueue-other"], check=True)
    stage.daemon()
    stage.daemon(*options, "-O", "DaemonPortOptions=Name=Other, Addr=127.0.2.1, Port=25",
                 program=REAL_SENDMAIL, address="127.0.2.1")
    line = ", version=TLSv1.3, verify=OK, cipher=TLS_AES_256_GCM_SHA384, bits=256/256"
    for client, more, host in (("/usr/sbin/sendmail", [], "real"), (REAL_SENDMAIL, options, "ours")):
        before = len(stage.log.lines)
        subject = "to " + host
        stage.run([client, "-Am", "-odi", *more, "-f", "ann@stage.test", "ann@%s.test" % host],
                  text="Subject: %s\n\n%s\n" % (subject, "a line of text\n" * 20_000), check=0)
        message = stage.expect_message("ann", subject)
        assert message.get_payload().count("a line of text\n") == 20_000
        assert "(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=OK)" in " ".join(message["Received"].split())
        new = [one.split("]: ", 1)[1] for one in stage.log.lines[before:]]
        has(new, "STARTTLS=client, relay=h-%s.test." % host + line)
        has(new, "STARTTLS=server, relay=localhost [127.0.0.1]" + line)


def run(stage):
    pki.authority()
    pki.issue("server", "/C=XX/O=Stage/CN=mx.stage.test", names=["mx.stage.test"])
    pki.issue("client", "/CN=client.far.test", kind="ec")
    pki.issue("old", "/CN=old.far.test", days=-1)
    pki.self_signed("lonely", "/CN=lonely.far.test")
    stage.zone["h-real.test"], stage.zone["h-ours.test"] = [("A", "127.0.2.1")], [("A", "127.0.0.1")]
    stage.configure(features=FEATURES, local=LOCAL, access="".join(host[2] for host in HOSTS))
    names = [host[0] for host in HOSTS] + ["real", "ours"]
    write("/etc/mail/mailertable", "".join("%s.test\tesmtp:[h-%s.test]\n" % (name, name) for name in names))
    with open("/etc/mail/mailertable") as table:
        subprocess.run(["makemap", "hash", "/etc/mail/mailertable"], stdin=table, check=True)
    stage.maildir("ann")
    world = World(stage)
    certificates(world)
    without(world)
    failures(world)
    rules(world)
    sloppy(world)
    real_peer(world)
