"""Runs a part of the comparison with the real program on the stage.

    configurations [SHARE [NAME...]]    the files of mc/ with SHARE (0 to 1) of the addresses
    fuzz SECONDS [SEED [COUNT]]         random rules, maps and addresses; with SECONDS 0 until COUNT
                                        evaluations of addresses were compared
    speed [ROUNDS]                      how long both take for the files of mc/, and to start

The first difference ends the run; `show=N` in front lets N differences be shown.
"""
import glob
import os
import shutil
import subprocess
import time

import corpus
import talk
from stage import write
from tools import REAL_MAKEMAP, REAL_SENDMAIL

OURS = "/usr/sbin/sendmail"


def run(arguments):
    prepare()
    shown = Shown(1)
    if arguments and arguments[0].startswith("show="):
        shown = Shown(int(arguments.pop(0)[5:]))
    what, rest = (arguments or ["configurations"])[0], arguments[1:]
    if what == "fuzz":
        import fuzz
        fuzz.run(shown, *rest)
    elif what == "configurations":
        configurations(shown, float(rest[0]) if rest else 1.0, rest[1:])
    elif what == "speed":
        import speed
        made = conversations(all_names(), 1.0)
        speed.run(made, made[0].cf, REAL_SENDMAIL, OURS, int(rest[0]) if rest else 5)
    else:
        raise AssertionError(__doc__)


def prepare():
    """Lays out /etc/mail: no name server is ever asked, and the maps are made by the real makemap."""
    shutil.copytree(corpus.HERE + "/files", "/etc/mail", dirs_exist_ok=True)
    write("/etc/mail/service.switch", "hosts files\naliases files\npasswd files\n")
    write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 mx.stage.test mx\n192.0.2.20 hub.example.test hub\n"
          "192.0.2.30 www.example.test www web.example.test\n198.51.100.7 client.example.net client\n")
    write("/etc/mail/empty.cf", "V10\n")
    for path in sorted(glob.glob("/etc/mail/*.map")):
        with open(path, "rb") as f:
            kind = "btree" if path.endswith("tree.map") else "hash"
            subprocess.run([REAL_MAKEMAP, "-C", "/etc/mail/empty.cf", kind, path[:-4]], stdin=f, check=True)


class Shown:
    """Prints differences and stops after the first few."""

    def __init__(self, most):
        self.most, self.count = most, 0

    def found(self, _number, text):
        self.count += 1
        print(text, flush=True)
        if self.count >= self.most:
            raise AssertionError("%d difference(s)" % self.count)


def all_names():
    """The names of the files of mc/."""
    return sorted(os.path.basename(path)[:-3] for path in glob.glob(corpus.HERE + "/mc/*.mc"))


def conversations(names, share):
    """What is asked with these files and `share` of the addresses."""
    addresses = corpus.addresses()
    made = []
    for name in names:
        path, text = corpus.expand(name)
        made.append(talk.Conversation(name, path, corpus.questions(corpus.Facts(text), addresses, share)))
    return made


def configurations(shown, share, names):
    begin, tally = time.monotonic(), talk.Tally()
    made = conversations(names or all_names(), share)
    for conversation in made:
        talk.compare(REAL_SENDMAIL, OURS, conversation, shown.found, tally)
    print("differ: %d configurations, %d addresses, %s, %d differences, %.1f s" % (
        len(made), len(corpus.addresses()), tally, shown.count, time.monotonic() - begin))
    assert shown.count == 0
