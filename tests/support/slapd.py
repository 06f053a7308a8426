"""A directory server on the stage: OpenLDAP's slapd with a small directory.

It is unpacked below target/peers, never installed. Everybody may read it on
`ldap://127.0.0.1` and `ldapi:///run/slapd/ldapi`, but `ou=hidden` only who binds as
`cn=reader,dc=stage,dc=test` with the password `secret`.
"""
import os
import subprocess

from servers import TREES, folder, lay
from stage import write
from tools import wait_until

TREE = TREES + "slapd"
SOCKET = "/run/slapd/ldapi"
ROOT = "/srv/slapd"

# What sendmail's own object classes hold; the numbers are of an arc for examples.
ALIAS_AND_CLASS_SCHEMA = "".join(
    "attributetype ( 1.1.2.1.%d NAME '%s' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch"
    " SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n" % (number, "sendmailMTA" + name)
    for number, name in enumerate((
        "Cluster", "Host", "Key", "MapName", "MapValue", "MapSearch", "MapURL", "AliasGrouping", "AliasValue",
        "AliasSearch", "AliasURL", "ClassName", "ClassValue", "ClassSearch", "ClassURL"), 1)) + """
objectclass ( 1.1.2.2.1 NAME 'sendmailMTA' STRUCTURAL MAY ( sendmailMTACluster $ sendmailMTAHost $ cn ) )
objectclass ( 1.1.2.2.2 NAME 'sendmailMTAMap' SUP sendmailMTA STRUCTURAL MUST sendmailMTAMapName )
objectclass ( 1.1.2.2.3 NAME 'sendmailMTAMapObject' SUP sendmailMTAMap STRUCTURAL MUST sendmailMTAKey
    MAY ( sendmailMTAMapValue $ sendmailMTAMapSearch $ sendmailMTAMapURL ) )
objectclass ( 1.1.2.2.4 NAME 'sendmailMTAAlias' SUP sendmailMTA STRUCTURAL MAY sendmailMTAAliasGrouping )
objectclass ( 1.1.2.2.5 NAME 'sendmailMTAAliasObject' SUP sendmailMTAAlias STRUCTURAL MUST sendmailMTAKey
    MAY ( sendmailMTAAliasValue $ sendmailMTAAliasSearch $ sendmailMTAAliasURL ) )
objectclass ( 1.1.2.2.6 NAME 'sendmailMTAClass' SUP sendmailMTA STRUCTURAL MUST sendmailMTAClassName
    MAY ( sendmailMTAClassValue $ sendmailMTAClassSearch $ sendmailMTAClassURL ) )
"""

CONFIGURATION = """modulepath %(tree)s/usr/lib/ldap
moduleload back_mdb
include %(tree)s/etc/ldap/schema/core.schema
include %(tree)s/etc/ldap/schema/cosine.schema
include %(tree)s/etc/ldap/schema/inetorgperson.schema
include %(tree)s/etc/ldap/schema/nis.schema
include %(tree)s/etc/ldap/schema/misc.schema
include /etc/slapd/sendmail.schema
pidfile /run/slapd/pid
allow bind_v2
sizelimit 60
loglevel 0
database mdb
suffix dc=stage,dc=test
rootdn cn=root,dc=stage,dc=test
rootpw root
directory %(root)s
maxsize 16777216
access to dn.subtree=ou=hidden,dc=stage,dc=test
    by dn.exact=cn=reader,dc=stage,dc=test read
    by * none
access to attrs=userPassword by * auth
access to * by * read
database mdb
maxsize 16777216
suffix dc=linked,dc=test
directory %(root)s/linked
access to * by * read
"""


class Slapd:
    """The server; `start` and `stop` may be repeated."""

    def __init__(self, stage, entries, linked):
        self.stage, self.process = stage, None
        os.environ["LDAPNOINIT"] = "1"
        folder("/etc/slapd"), folder("/run/slapd"), folder(ROOT, 0o700), folder(ROOT + "/linked", 0o700)
        write("/etc/slapd/sendmail.schema", ALIAS_AND_CLASS_SCHEMA)
        write("/etc/slapd/slapd.conf", CONFIGURATION % {"tree": TREE, "root": ROOT})
        for number, text in enumerate((entries, linked), 1):
            write("/etc/slapd/entries", text)
            self.run(["slapd", "-T", "add", "-q", "-n", str(number), "-f", "/etc/slapd/slapd.conf",
                      "-l", "/etc/slapd/entries"])
        self.start()

    @staticmethod
    def run(arguments):
        done = subprocess.run(lay(TREE, *arguments), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()

    def start(self):
        addresses = "ldap://127.0.0.1/ ldap://127.0.0.2:1389/ ldapi://%s/" % SOCKET.replace("/", "%2f")
        with open("/var/log/slapd.out", "ab") as f:
            self.process = self.stage.spawn(
                lay(TREE, "slapd", "-d", "0", "-f", "/etc/slapd/slapd.conf", "-h", addresses),
                stdout=f, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_until("slapd listens", lambda: self.accepts() or self.process.poll() is not None)
        assert self.process.poll() is None, open("/var/log/slapd.out").read()

    @staticmethod
    def accepts():
        import socket
        try:
            socket.create_connection(("127.0.0.1", 389), 5).close()
            socket.create_connection(("127.0.0.2", 1389), 5).close()
            return os.path.exists(SOCKET)
        except OSError:
            return False

    def stop(self):
        self.stage.end_child(self.process)
