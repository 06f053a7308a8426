"""Many idle sessions beside few workers: a new client is greeted at once, and each costs little.

    idle_sessions [COUNT]

A daemon with 40 workers holds COUNT sessions after EHLO. Measured are the
greeting of a new client and the memory of the daemon's processes (PSS).
"""
import glob
import resource
import socket
import sys
import time

WORKERS = 40
# What the measures may be: seconds to the greeting, octets for each session.
GREETING = 1
MEMORY = 32 * 1024


def processes(root):
    """The process and all below it."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                pid, rest = f.read().split(" (", 1)
            parents[int(pid)] = int(rest.rsplit(") ", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def memory(root):
    """PSS of the process tree in octets."""
    total = 0
    for pid in processes(root):
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))
        except (ProcessLookupError, FileNotFoundError):
            # It ended meanwhile.
            continue
    return total


def session():
    s = socket.create_connection(("127.0.0.1", 25), 60)
    f = s.makefile("rb", buffering=0)
    assert f.readline().startswith(b"220")
    s.sendall(b"EHLO idle.test\r\n")
    while True:
        line = f.readline()
        assert line.startswith(b"250"), line
        if line[3:4] == b" ":
            return s, f


def greeting():
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", 25), 60) as s:
        assert s.recv(512).startswith(b"220")
        took = time.monotonic() - began
        s.sendall(b"QUIT\r\n")
        s.recv(512)
    return took


def run(stage):
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 4096, count + 4096))
    stage.configure(features="define(`confCONNECTION_RATE_THROTTLE', `0')dnl")
    pool = [] if stage.is_real else ["-OSessionWorkers=%d" % WORKERS]
    daemon = stage.daemon("-OMaxDaemonChildren=%d" % (count + 100), *pool)
    for _ in range(WORKERS):
        greeting()
    before = memory(daemon.pid)
    began = time.monotonic()
    held = [session() for _ in range(count)]
    opened = time.monotonic() - began
    greetings = [greeting() for _ in range(50)]
    middle = sorted(greetings)[len(greetings) // 2]
    after = memory(daemon.pid)
    each = (after - before) / count
    print("%d idle sessions: opened in %.1f s; a new client is greeted in %.1f ms (median of 50; longest %.1f ms); "
          "memory %.1f KiB before, %.1f KiB with them: %.2f KiB each, %.2f KiB counting everything" %
          (count, opened, 1000 * middle, 1000 * max(greetings), before / 1024, after / 1024,
           each / 1024, after / count / 1024))
    if not stage.is_real:
        assert middle < GREETING, greetings
        assert after / count < MEMORY, after / count
    # They are still there and served.
    for s, f in held[::100]:
        s.sendall(b"NOOP\r\n")
        assert f.readline().startswith(b"250")
    for s, f in held:
        f.close()
        s.close()
    stage.end_child(daemon)
