"""A private machine for one scenario: own root, network, processes and mail files.

Run through unshare(1) by tests/support/mod.rs as

    stage.py PROGRAM SCENARIO [ARGUMENT...]

It builds a root on a tmpfs (the machine's /usr read through a bind mount, its
own /etc, /var, /home, /root, /dev and /usr/sbin), installs PROGRAM there as
/usr/sbin/sendmail with its other names, and runs the scenario inside. Nothing of
the machine is changed and only loopback exists. A failed assertion ends the
scenario with status 1 and prints what the program logged.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PEERS = PROJECT + "/target/peers/root"
HOST = "mx.stage.test"

libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18

# name, uid, gid, full name, home
USERS = [("root", 0, 0, "Super User", "/root"), ("daemon", 1, 1, "", "/usr/sbin"),
         ("mail", 8, 8, "", "/var/mail"), ("nobody", 65534, 65534, "", "/nonexistent"),
         ("smmta", 112, 112, "", "/var/lib/sendmail"), ("smmsp", 111, 111, "", "/var/lib/sendmail"),
         ("ann", 1001, 1001, "Ann Example", "/home/ann"), ("bob", 1002, 1002, "Bob", "/home/bob"),
         ("cid", 1003, 1003, "Cid", "/home/cid")]
USERS += [("u%d" % n, 2000 + n, 2000 + n, "", "/home/u%d" % n) for n in range(10)]
GROUPS = [("root", 0), ("daemon", 1), ("mail", 8), ("staff", 50), ("nogroup", 65534)] + \
         [(u[0], u[2]) for u in USERS if u[1] >= 111 and u[0] != "nobody"]
# Names under /usr/sbin that are the program's, whatever the machine has there.
OWN_NAMES = ("sendmail", "mailq", "newaliases", "hoststat", "purgestat", "runq", "smtpd", "makemap",
             "praliases", "mailstats", "editmap", "smrsh", "mail.local", "rmail", "vacation", "sensible-mda")
# What the package of the real programs calls them.
REAL_NAMES = {"vacation": "vacation.sendmail"}
UIDS = {u[0]: (u[1], u[2]) for u in USERS}


def mount(source, target, kind=None, flags=0, data=None):
    arguments = [None if a is None else os.fsencode(a) for a in (source, target, kind)]
    if libc.mount(*arguments, ctypes.c_ulong(flags), None if data is None else data.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def write(path, text, mode=0o644, owner=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, mode)
    if owner:
        os.chown(path, *UIDS[owner])


def build_root(program):
    """Builds the private root, enters it and leaves the process there."""
    root = tempfile.mkdtemp(prefix="stage.")
    mount("none", "/", None, MS_PRIVATE | MS_REC)
    mount("tmpfs", root, "tmpfs", 0, "mode=755,size=1g")

    def inside(path):
        return root + path

    for d in ("/usr/sbin", "/etc/mail", "/dev", "/proc", "/run/sendmail/mta", "/run/sendmail/msp",
              "/var/lib/sendmail/host_status", "/var/mail", "/var/spool/mqueue", "/var/spool/mqueue-client",
              "/var/log", "/root", "/home", "/project", "/usr-sbin", "/usr-share", "/usr/share"):
        os.makedirs(inside(d))
    for d in ("bin", "lib", "lib32", "lib64", "libx32", "local", "libexec", "include"):
        if os.path.isdir("/usr/" + d) and not os.path.islink("/usr/" + d):
            os.mkdir(inside("/usr/" + d))
            mount("/usr/" + d, inside("/usr/" + d), None, MS_BIND | MS_REC)
    for d in ("bin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink("/" + d):
            os.symlink(os.readlink("/" + d), inside("/" + d))
    os.symlink("usr/sbin", inside("/sbin"))
    os.symlink("../run", inside("/var/run"))
    for d in ("/tmp", "/var/tmp"):
        os.makedirs(inside(d))
        os.chmod(inside(d), 0o1777)
    # Folders that get files of our own: a farm of links to what the machine has.
    for d, own in (("sbin", OWN_NAMES), ("share", ("sendmail",))):
        mount("/usr/" + d, inside("/usr-" + d), None, MS_BIND)
        for name in os.listdir("/usr/" + d):
            if name not in own:
                os.symlink("/usr-%s/%s" % (d, name), inside("/usr/%s/%s" % (d, name)))
    mount(PROJECT, inside("/project"), None, MS_BIND | MS_REC)
    # Debian's m4 library names itself by this path.
    os.symlink("/project/target/peers/root/usr/share/sendmail", inside("/usr/share/sendmail"))
    for d in ("alternatives", "ld.so.conf.d", "ssl"):
        if os.path.isdir("/etc/" + d):
            shutil.copytree("/etc/" + d, inside("/etc/" + d), symlinks=True)
    for f in ("ld.so.cache", "ld.so.conf", "protocols", "services", "localtime"):
        if os.path.exists("/etc/" + f):
            shutil.copy("/etc/" + f, inside("/etc/" + f))
    for n in ("null", "zero", "full", "random", "urandom", "tty"):
        open(inside("/dev/" + n), "w").close()
        mount("/dev/" + n, inside("/dev/" + n), None, MS_BIND)
    os.mkdir(inside("/dev/pts"))
    mount("devpts", inside("/dev/pts"), "devpts", 0, "newinstance,ptmxmode=0666")
    os.symlink("pts/ptmx", inside("/dev/ptmx"))
    os.symlink("/proc/self/fd", inside("/dev/fd"))
    for n, target in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        os.symlink("/proc/self/fd/%d" % target, inside("/dev/" + n))
    mount("proc", inside("/proc"), "proc")
    # What the machine has to do besides must not decide whether mail waits here.
    write(inside("/run/loadavg"), "0.10 0.10 0.10 1/100 1\n")
    mount(inside("/run/loadavg"), inside("/proc/loadavg"), None, MS_BIND)

    write(inside("/etc/passwd"), "".join(f"{n}:x:{u}:{g}:{c}:{h}:/bin/sh\n" for n, u, g, c, h in USERS))
    write(inside("/etc/group"), "".join(f"{n}:x:{g}:\n" for n, g in GROUPS))
    write(inside("/etc/shells"), "/bin/sh\n")
    write(inside("/etc/hosts"), f"127.0.0.1 localhost\n127.0.0.1 {HOST} mx\n")
    write(inside("/etc/resolv.conf"), "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    write(inside("/etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
    write(inside("/etc/host.conf"), "multi on\n")
    write(inside("/etc/mailname"), HOST + "\n")
    write(inside("/etc/mail/aliases"), "postmaster: root\nMAILER-DAEMON: postmaster\n")
    for name, uid, gid, _, home in USERS:
        if home.startswith("/home/"):
            os.mkdir(inside(home), 0o755)
            os.chown(inside(home), uid, gid)
    os.chmod(inside("/root"), 0o700)
    os.chown(inside("/var/mail"), 0, 8)
    os.chmod(inside("/var/mail"), 0o2775)
    os.chmod(inside("/var/spool/mqueue"), 0o700)
    os.chown(inside("/var/spool/mqueue-client"), 111, 111)
    os.chmod(inside("/var/spool/mqueue-client"), 0o770)
    os.chown(inside("/run/sendmail/msp"), 111, 111)

    shutil.copyfile(program, inside("/usr/sbin/sendmail"))
    os.chown(inside("/usr/sbin/sendmail"), 0, 111)
    os.chmod(inside("/usr/sbin/sendmail"), 0o2755)
    for name in ("mailq", "newaliases", "hoststat", "purgestat", "runq", "smtpd"):
        os.symlink("sendmail", inside("/usr/sbin/" + name))
    real = "/peers/root/" in program
    for name in ("makemap", "praliases", "mailstats", "editmap", "smrsh", "mail.local", "rmail", "vacation"):
        target = "/project/target/peers/root/usr/libexec/sendmail/" + REAL_NAMES.get(name, name)
        os.symlink(target if real else "sendmail", inside("/usr/sbin/" + name))

    socket.sethostname(HOST)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOME="/root", LANG="C")


class SystemLog:
    """Collects what is written to /dev/log.

    Whoever looks sees everything that was written before he looked: a mark is sent behind it,
    and its coming is waited for.
    """

    MARK = b"<0>stage: mark "

    def __init__(self):
        self.kept = []
        self.marks = threading.Condition()
        self.sent = self.come = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        while True:
            text = self.socket.recv(65536)
            if text.startswith(self.MARK):
                with self.marks:
                    self.come = max(self.come, int(text[len(self.MARK):]))
                    self.marks.notify_all()
            else:
                self.kept.append(text.decode("latin-1").rstrip("\0\n"))

    @property
    def lines(self):
        """All lines up to now; the list may be emptied."""
        with self.marks:
            self.sent += 1
            number = self.sent
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.sendto(self.MARK + b"%d" % number, self.socket.getsockname())
        with self.marks:
            assert self.marks.wait_for(lambda: self.come >= number, 60), "the log is not read"
        return self.kept

    def having(self, *parts):
        return [line for line in self.lines if all(part in line for part in parts)]


def main():
    program, scenario = sys.argv[1:3]
    # Recorded answers tell of niceness, so it must not depend on who runs the tests.
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    # A shell that starts us in the background has us ignore what an end is asked for with.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    build_root(program)
    global PROJECT, PEERS
    PROJECT, PEERS = "/project", "/project/target/peers/root"
    sys.path[:0] = ["/project/tests/support", "/project/tests/scenarios"]
    sys.argv[:] = sys.argv[2:]
    import tools
    stage = tools.Stage(SystemLog(), is_real="/peers/root/" in program)
    status = 1
    try:
        module = __import__(scenario)
        module.run(stage)
        status = 0
        print(f"{scenario}: ok")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print("--- log ---")
        print("\n".join(stage.log.kept[-60:]))
    finally:
        stage.end()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
