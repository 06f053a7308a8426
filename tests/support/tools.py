"""What scenarios use on their stage: configuration, daemons, peers, clients, mailboxes."""
import email
import glob
import os
import pwd
import signal
import smtplib
import socket
import struct
import subprocess
import threading
import time

from stage import HOST, PEERS, UIDS, write

CF = "/usr/share/sendmail/cf"
REAL_SENDMAIL = PEERS + "/usr/libexec/sendmail/sendmail"
REAL_MAKEMAP = PEERS + "/usr/libexec/sendmail/makemap"
PROCMAIL = PEERS + "/usr/bin/procmail"
QUEUE = "/var/spool/mqueue"

SITE_MC = r"""divert(-1)dnl
divert(0)dnl
VERSIONID(`stage')
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confDOMAIN_NAME', `mx.stage.test')dnl
define(`confTO_IDENT', `0')dnl
define(`confTO_CONNECT', `5s')dnl
define(`confTO_ICONNECT', `5s')dnl
define(`confTO_QUIT', `3s')dnl
define(`confQUEUE_LA', `999')dnl
define(`confREFUSE_LA', `999')dnl
define(`confPID_FILE', `/run/sendmail/mta/sendmail.pid')dnl
define(`STATUS_FILE', `/var/lib/sendmail/sendmail.st')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA-v4, Port=smtp, Addr=127.0.0.1')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`access_db', , `skip')dnl
LOCAL_DOMAIN(`stage.test')dnl
@FEATURES@
define(`PROCMAIL_MAILER_PATH', `@PROCMAIL@')dnl
@DELIVERY@
MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
@LOCAL@
"""

SUBMIT_MC = r"""divert(-1)dnl
divert(0)dnl
VERSIONID(`stage submission')
OSTYPE(`debian')dnl
DOMAIN(`debian-msp')dnl
define(`confDOMAIN_NAME', `mx.stage.test')dnl
define(`confQUEUE_LA', `999')dnl
define(`confTO_IDENT', `0')dnl
FEATURE(`msp', `[127.0.0.1]', `25')dnl
"""


def wait_until(what, test, seconds=60):
    """Polls a condition; says what was waited for when it does not come true."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        assert time.monotonic() < end, "waited %d s in vain: %s" % (seconds, what)
        time.sleep(0.02)


class NameServer:
    """Answers A and MX questions from a table; everything else does not exist."""

    def __init__(self, zone):
        self.zone = zone
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(packet), peer)
            except (IndexError, struct.error, OSError):
                pass

    @staticmethod
    def encode(name):
        return b"".join(bytes([len(p)]) + p.encode() for p in name.rstrip(".").split(".")) + b"\0"

    def answer(self, packet):
        identifier, = struct.unpack(">H", packet[:2])
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
            at += 1 + packet[at]
        kind, = struct.unpack(">H", packet[at + 1:at + 3])
        question = packet[12:at + 5]
        name = ".".join(labels)
        records = self.zone.get(name)
        if records == "SERVFAIL":
            return struct.pack(">6H", identifier, 0x8182, 1, 0, 0, 0) + question
        answers = []
        for record in records or []:
            if record[0] == "A" and kind == 1:
                answers.append(socket.inet_aton(record[1]))
            elif record[0] == "MX" and kind == 15:
                answers.append(struct.pack(">H", record[1]) + self.encode(record[2]))
            elif record[0] == "PTR" and kind == 12:
                answers.append(self.encode(record[1]))
        status = 0x8180 if records is not None else 0x8183
        head = struct.pack(">6H", identifier, status, 1, len(answers), 0, 0)
        return head + question + b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for data in answers)


class Stage:
    """The private machine, seen from a scenario."""

    def __init__(self, log, is_real):
        self.log = log
        # Whether the scenario is being tried with the real program.
        self.is_real = is_real
        self.children = []
        # Zone of the stage's name server; scenarios add to it.
        self.zone = {
            "stage.test": [("MX", 10, HOST)],
            HOST: [("A", "127.0.0.1")],
            "1.0.0.127.in-addr.arpa": [("PTR", "localhost")],
            "localhost": [("A", "127.0.0.1")],
        }
        NameServer(self.zone)

    # ------------------------------------------------------- configuration
    def configure(self, features="", local="", submit=True, aliases=None, access="",
                  delivery="FEATURE(`local_procmail')dnl"):
        """Makes sendmail.cf and submit.cf with Debian's own m4 library, unmodified."""
        text = SITE_MC.replace("@FEATURES@", features).replace("@LOCAL@", local)
        text = text.replace("@DELIVERY@", delivery)
        self.m4("/etc/mail/sendmail", text.replace("@PROCMAIL@", PROCMAIL))
        if submit:
            self.m4("/etc/mail/submit", SUBMIT_MC)
        write("/etc/mail/local-host-names", HOST + "\nlocalhost\n")
        write("/etc/mail/access", access)
        write("/etc/mail/service.switch", "hosts files dns\naliases files\npasswd files\n")
        with open("/etc/mail/access") as f:
            subprocess.run(["makemap", "hash", "/etc/mail/access"], stdin=f, check=True)
        if aliases is not None:
            write("/etc/mail/aliases", aliases)
        subprocess.run(["newaliases"], check=True, stdout=subprocess.DEVNULL)

    def m4(self, path, text):
        write(path + ".mc", text)
        done = subprocess.run(["m4", "-D_CF_DIR_=" + CF + "/", CF + "/m4/cf.m4", path + ".mc"],
                              capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        write(path + ".cf", done.stdout)

    # ------------------------------------------------------------ processes
    def spawn(self, arguments, **more):
        child = subprocess.Popen(arguments, start_new_session=True, **more)
        self.children.append(child)
        return child

    def daemon(self, *arguments, program="/usr/sbin/sendmail", port=25, address="127.0.0.1"):
        """Starts a daemon in the foreground and waits for its greeting."""
        child = self.spawn([program, "-bD", *arguments])
        wait_until("the daemon listens", lambda: self.listens(address, port) or child.poll() is not None)
        assert child.poll() is None, "the daemon ended with %s" % child.returncode
        return child

    def end_child(self, child, with_signal=signal.SIGTERM, seconds=60):
        if child.poll() is None:
            child.send_signal(with_signal)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise AssertionError("the process did not end")

    def end(self):
        for child in self.children:
            if child.poll() is None:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.wait()

    @staticmethod
    def listens(address="127.0.0.1", port=25):
        try:
            with socket.create_connection((address, port), 10) as s:
                s.settimeout(30)
                return s.recv(512).startswith(b"220")
        except OSError:
            return False

    def run(self, arguments, user="root", text=b"", check=None, environment=None):
        """Runs a command as a user with text on its standard input."""
        uid, gid = UIDS[user]
        home = pwd.getpwuid(uid).pw_dir
        env = {"PATH": os.environ["PATH"], "HOME": home, "USER": user, "LOGNAME": user, "LANG": "C"}
        env.update(environment or {})
        done = subprocess.run(arguments, input=text if isinstance(text, bytes) else text.encode(),
                              capture_output=True, user=uid, group=gid, extra_groups=[], env=env,
                              cwd=home, timeout=120)
        if check is not None:
            assert done.returncode == check, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    # ---------------------------------------------------------------- peers
    def postfix_tool(self, name, *arguments):
        """The command of one of Postfix's load tools, unpacked beside the project."""
        return ["env", "LD_LIBRARY_PATH=" + PEERS + "/usr/lib/postfix", PEERS + "/usr/sbin/" + name,
                *map(str, arguments)]

    # ------------------------------------------------------------ mailboxes
    def maildir(self, user):
        """Gives the user a Maildir through procmail."""
        home = pwd.getpwnam(user).pw_dir
        write(home + "/.procmailrc", "DEFAULT=%s/Maildir/\n" % home, 0o600, user)

    @staticmethod
    def messages(user):
        """All messages in a user's Maildir, as email objects."""
        found = []
        for path in sorted(glob.glob(pwd.getpwnam(user).pw_dir + "/Maildir/new/*")):
            with open(path, "rb") as f:
                found.append(email.message_from_binary_file(f))
        return found

    def expect_message(self, user, subject, seconds=60):
        """Waits for the message with this subject in the user's Maildir."""
        def look():
            return next((m for m in self.messages(user) if m["Subject"] == subject), None)
        return wait_until("%s gets %r" % (user, subject), look, seconds)

    @staticmethod
    def queue_files(folder=QUEUE):
        return sorted(os.path.basename(p) for p in glob.glob(folder + "/*")
                      if os.path.basename(p)[:2] in ("qf", "df", "tf", "xf", "hf", "Qf"))

    # -------------------------------------------------------------- clients
    @staticmethod
    def smtp(sender, recipients, text, port=25, host="127.0.0.1"):
        with smtplib.SMTP(host, port, timeout=60) as client:
            return client.sendmail(sender, recipients, text)
