"""Certificates made by openssl(1) for scenarios about TLS."""
import os
import subprocess

FOLDER = "/etc/mail/tls"


def openssl(*arguments, text=b""):
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout


def path(name):
    return FOLDER + "/" + name


def key(name, kind="rsa", mode=0o600):
    """Makes a private key NAME.key."""
    how = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
           "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}[kind]
    openssl("genpkey", *how, "-out", path(name + ".key"))
    os.chmod(path(name + ".key"), mode)


def authority(name="ca", subject="/C=XX/O=Stage/CN=Stage CA"):
    """Makes a certificate authority."""
    os.makedirs(FOLDER, exist_ok=True)
    key(name, "ec")
    openssl("req", "-x509", "-new", "-key", path(name + ".key"), "-subj", subject, "-days", "30",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", path(name + ".crt"))


def issue(name, subject, kind="rsa", by="ca", days=30, names=(), usage=None, version=3):
    """Makes a key and a certificate signed by an authority; a negative number of days is the past."""
    os.makedirs(FOLDER, exist_ok=True)
    key(name, kind)
    extra = ["basicConstraints=CA:FALSE"]
    if names:
        extra.append("subjectAltName=" + ",".join("DNS:" + n for n in names))
    if usage:
        extra.append("extendedKeyUsage=" + usage)
    with open(path(name + ".ext"), "w") as f:
        f.write("\n".join(extra) + "\n")
    openssl("req", "-new", "-key", path(name + ".key"), "-subj", subject, "-utf8", "-out", path(name + ".csr"))
    more = ["-extfile", path(name + ".ext")] if version == 3 else []
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path(by + ".crt"), "-CAkey", path(by + ".key"),
            "-set_serial", "0x" + os.urandom(8).hex(), "-days", str(days), *more, "-out", path(name + ".crt"))


def self_signed(name, subject, kind="rsa"):
    """Makes a key and a certificate nobody vouches for."""
    os.makedirs(FOLDER, exist_ok=True)
    key(name, kind)
    openssl("req", "-x509", "-new", "-key", path(name + ".key"), "-subj", subject, "-days", "30",
            "-out", path(name + ".crt"))
