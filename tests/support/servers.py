"""Other people's mail servers on the stage, each on a loopback address of its own.

Every server takes mail for its own domain and hands it to a `Sink`; mail for
other domains goes where the name server of the stage says. They are unpacked
below target/peers, never installed: `lay` puts a server's folders over those of
the stage, for that process and its children only.
"""
import os
import subprocess

from stage import write
from tools import REAL_SENDMAIL, wait_until

TREES = "/project/target/peers/trees/"

# The configuration of another daemon of ours, where everything is local: the program
# of its mailer keeps what it gets for a user in /tmp/got/USER.
BEYOND = """V10
Dj%s
O QueueDirectory=/var/spool/beyond
O OperatorChars=.:%%@!^/[]+
O DontProbeInterfaces=True
%s
O DaemonPortOptions=Name=Beyond, Addr=127.0.1.1, Port=25
O PidFile=/run/beyond.pid
S3
R$*<$*>$*	$@ $2
S0
R$+@$+	$#local $: $1
R$+	$#local $: $1
Mlocal, P=/bin/sh, F=lsDFMnu, T=DNS/RFC822/X-Unix, A=sh /etc/keep $u
Mprog, P=/bin/sh, F=lsDFMn, A=sh -c $u
"""

# name, uid, group, gid, home
ACCOUNTS = [("postfix", 8111, "postfix", 8111, "/var/spool/postfix"), (None, None, "postdrop", 8112, None),
            ("Debian-exim", 8121, "Debian-exim", 8121, "/var/spool/exim4"),
            ("opensmtpd", 8131, "opensmtpd", 8131, "/var/lib/opensmtpd/empty"),
            ("opensmtpq", 8132, "opensmtpq", 8132, "/var/lib/opensmtpd/empty"),
            ("dovecot", 8141, "dovecot", 8141, "/run/dovecot"),
            ("dovenull", 8142, "dovenull", 8142, "/nonexistent"),
            ("vmail", 8143, "vmail", 8143, "/srv/vmail")]


def lay_beyond(name, lines):
    """Writes the configuration of a daemon where everything is local, with more lines."""
    # Under its name when it is whole.
    write("/etc/keep", 'cat >/tmp/got/."$1" && mv /tmp/got/."$1" /tmp/got/"$1"\n')
    write("/etc/beyond.cf", BEYOND % (name, lines))


def add_accounts():
    """Adds the servers' own accounts to those of the stage."""
    with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
        for name, uid, group, gid, home in ACCOUNTS:
            if name:
                users.write("%s:x:%d:%d::%s:/bin/false\n" % (name, uid, gid, home))
            groups.write("%s:x:%d:\n" % (group, gid))


def folder(path, mode=0o755, uid=0, gid=0):
    os.makedirs(path, exist_ok=True)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def lay(tree, *arguments):
    """The command with the folders of a tree laid over those of the stage."""
    names = ("usr/bin", "usr/sbin", "usr/lib", "usr/libexec", "usr/share")
    script = "".join("mount -t overlay overlay -o ro,lowerdir=%s/%s:/%s /%s && " % (tree, d, d, d)
                     for d in names if os.path.isdir(tree + "/" + d) and os.path.isdir("/" + d))
    return ["unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh", *arguments]


class Server:
    """A server for `NAME.test` on `address`; what it takes for that goes to `beyond`."""

    name = ""

    def __init__(self, stage, address, beyond):
        self.stage, self.address, self.beyond = stage, address, beyond
        self.domain = self.name + ".test"
        stage.zone[self.domain] = [("MX", 10, "mx." + self.domain)]
        stage.zone["mx." + self.domain] = [("A", address)]
        octets = address.split(".")
        stage.zone[".".join(reversed(octets)) + ".in-addr.arpa"] = [("PTR", "mx." + self.domain)]
        self.output = "/var/log/%s.out" % self.name
        self.prepare()
        with open(self.output, "wb") as f:
            self.process = stage.spawn(self.command(), stdout=f, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL)
        try:
            wait_until(self.name + " listens", lambda: stage.listens(address) or self.process.poll())
            assert self.process.poll() is None
        except AssertionError:
            with open(self.output, errors="replace") as f:
                print(f.read())
            raise


class Sendmail(Server):
    name = "sendmail"

    def prepare(self):
        folder("/srv/sendmail/queue", 0o700)
        write("/srv/sendmail/cf", """V10
Djmx.sendmail.test
O QueueDirectory=/srv/sendmail/queue
O DeliveryMode=background
O AliasFile=
O DaemonPortOptions=Addr=%s, Port=25, Name=PEER
O PidFile=/srv/sendmail/pid
O DontProbeInterfaces=True
O QueueLA=999
O RefuseLA=999
O MaxDaemonChildren=0
O Timeout.ident=0
O ResolverOptions=-AAONLY
H?P?Return-Path: <$g>
HReceived: from $s by $j id $i; $b
H?D?Date: $a
H?M?Message-Id: <$t.$i@$j>
Scanonify=3
R$*<$*>$*\t$2
R$+@$+\t$:$1<@$2>
Sfinal=4
R$+<@$+>\t$1@$2
Sparse=0
R$+<@sendmail.test>\t$#esmtp $@ [%s] $: $1@sendmail.test
R$+<@$+>\t$#esmtp $@ $2 $: $1@$2
R$+\t$#error $@ 5.1.1 $: "550 no such user"
Mesmtp, P=[IPC], F=mDFMuXa8, E=\\r\\n, L=2040, T=DNS/RFC822/SMTP, A=TCP $h
Mlocal, P=/bin/false, F=lsDFM, A=false
Mprog, P=/bin/false, F=lsDFM, A=false
""" % (self.address, self.beyond))

    def command(self):
        # Under the stage's own name it would take our exchanger for itself.
        return ["unshare", "--uts", "sh", "-c", "hostname mx.sendmail.test && exec \"$@\"", "sh",
                REAL_SENDMAIL, "-bD", "-q5s", "-C/srv/sendmail/cf"]


class Postfix(Server):
    name = "postfix"

    MAIN = """compatibility_level = 3.6
myhostname = mx.postfix.test
mydomain = postfix.test
mydestination =
relay_domains = postfix.test
transport_maps = inline:{{postfix.test=smtp:[%s]}}
mynetworks = 127.0.0.0/8
inet_interfaces = 10.9.9.9
smtp_bind_address = %s
inet_protocols = ipv4
mail_owner = postfix
setgid_group = postdrop
queue_directory = /var/spool/postfix
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
alias_maps =
alias_database =
smtpd_tls_security_level = none
smtp_tls_security_level = none
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
smtpd_client_connection_count_limit = 0
minimal_backoff_time = 5s
queue_run_delay = 5s
"""
    MASTER = """%s:25 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def prepare(self):
        folder("/var/lib/postfix", 0o755, 8111, 8111)
        folder("/var/spool/postfix")
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                     "private", "saved", "trace"):
            folder("/var/spool/postfix/" + name, 0o700, 8111)
        folder("/var/spool/postfix/maildrop", 0o730, 8111, 8112)
        folder("/var/spool/postfix/public", 0o710, 8111, 8112)
        folder("/var/spool/postfix/pid")
        write("/etc/postfix/main.cf", self.MAIN % (self.beyond, self.address))
        write("/etc/postfix/master.cf", self.MASTER % self.address)
        # It refuses to deliver to what it takes for its own interfaces, and insists on having one.
        subprocess.run(["ip", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True)
        write("/etc/postfix/dynamicmaps.cf", "")

    def command(self):
        return lay("/project/target/peers/root", "/usr/lib/postfix/sbin/master", "-s")


class Exim(Server):
    name = "exim"

    CONF = """primary_hostname = mx.exim.test
qualify_domain = exim.test
daemon_smtp_ports = 25
local_interfaces = %s
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
message_size_limit = 100M
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
smtp_connect_backlog = 100
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = accept
acl_smtp_data = accept
never_users = root
log_file_path = /var/log/exim4/%%slog
exim_path = /usr/sbin/exim4
keep_environment =
begin routers
own:
  driver = manualroute
  domains = exim.test
  route_list = * %s
  transport = smtp
  no_more
others:
  driver = dnslookup
  transport = smtp
  self = send
  no_more
begin transports
smtp:
  driver = smtp
  interface = %s
  hosts_try_fastopen =
begin retry
*  *  F,2h,2s
"""

    def prepare(self):
        for path in ("/var/spool/exim4", "/var/log/exim4"):
            folder(path, 0o750, 8121, 8121)
        write("/etc/exim4/exim4.conf", self.CONF % (self.address, self.beyond, self.address))

    def command(self):
        return lay(TREES + "exim", "/usr/sbin/exim4", "-bdf", "-q5s", "-C", "/etc/exim4/exim4.conf")


class Opensmtpd(Server):
    name = "opensmtpd"

    CONF = """smtp max-message-size 100M
smtp limit max-mails 1000000
listen on %s port 25 hostname mx.opensmtpd.test
action "own" relay host "smtp://%s" src %s
action "others" relay src %s
match from any for domain "opensmtpd.test" action "own"
match from any for any action "others"
"""

    def prepare(self):
        folder("/var/lib/opensmtpd/empty")
        folder("/var/spool/smtpd", 0o711)
        write("/etc/smtpd.conf", self.CONF % (self.address, self.beyond, self.address, self.address))

    def command(self):
        return lay(TREES + "opensmtpd", "/usr/sbin/smtpd", "-d")


class Dovecot:
    """Dovecot: LMTP on a Unix socket and on TCP port 24, mailboxes read by IMAP and POP3."""

    LMTP_SOCKET = "/run/dovecot/lmtp"
    PASSWORD = "secret"

    CONF = """protocols = imap pop3 lmtp
listen = %s
base_dir = /run/dovecot
state_dir = /var/lib/dovecot
login_trusted_networks = 127.0.0.0/8
ssl = no
disable_plaintext_auth = no
log_path = /var/log/dovecot.log
mail_location = maildir:/srv/vmail/%%n
mail_fsync = never
first_valid_uid = 1
auth_username_format = %%n
lmtp_rcpt_check_quota = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/srv/vmail/%%n allow_all_users=yes
}
service lmtp {
  process_limit = 500
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    port = 24
  }
}
"""

    def __init__(self, stage, address):
        self.address = address
        folder("/srv/vmail", 0o755, 8143, 8143)
        folder("/run/dovecot")
        folder("/var/lib/dovecot")
        write("/etc/dovecot/dovecot.conf", self.CONF % address)
        with open("/var/log/dovecot.out", "wb") as f:
            self.process = stage.spawn(lay(TREES + "dovecot", "/usr/sbin/dovecot", "-F"), stdout=f,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            wait_until("Dovecot listens", lambda: stage.listens(address, 24) or self.process.poll())
            assert self.process.poll() is None
        except AssertionError:
            for name in ("/var/log/dovecot.out", "/var/log/dovecot.log"):
                if os.path.exists(name):
                    with open(name, errors="replace") as f:
                        print(f.read())
            raise
