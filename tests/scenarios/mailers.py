"""The tutorial's Mlocal and Mprog lines deliver through recorders at /bin/mail and /bin/sh."""
import os

from stage import write
from tools import wait_until
import tutorial_mail

RECORDER = """#!/bin/dash
umask 022
{ echo "$0"; echo "argv: $*"; id -u; cat; } >"/srv/out/$(basename "$0").$$.tmp"
mv "/srv/out/$(basename "$0").$$.tmp" "/srv/out/$(basename "$0").$$"
"""


def run(stage):
    os.makedirs("/srv/out")
    os.chmod("/srv/out", 0o1777)
    # /bin is the machine's: look at it through a farm of links with two files of our own.
    farm = {name: os.readlink("/bin/" + name) if os.path.islink("/bin/" + name) else None
            for name in os.listdir("/bin")}
    assert "dash" in farm
    os.rename("/bin", "/machine-bin") if os.path.islink("/bin") else None
    os.mkdir("/bin")
    for name in farm:
        if name not in ("sh", "mail"):
            os.symlink("/machine-bin/" + name, "/bin/" + name)
    write("/bin/mail", RECORDER, 0o755)
    write("/bin/sh", RECORDER, 0o755)
    text = tutorial_mail.CF.replace("@OPTIONS@", "").replace("@FROM@", "$g").replace("@LFLAGS@", "")
    lines = [line for line in text.split("\n") if not line.startswith(("Mlocal", "Mprog"))]
    lines += ["Mlocal, P=/bin/mail, F=lsDFMmnAw5:/|@, S=0, R=0, A=mail -d $u",
              "Mprog, P=/bin/sh, F=lsDFMe, S=0, R=0, A=sh -c $u"]
    write("/etc/mail/sendmail.cf", "\n".join(lines) + "\n")
    write("/etc/mail/aliases", "prog: \"|/srv/program one 'two three'\"\n")
    stage.run(["newaliases"], check=0)

    stage.run(["sendmail", "-f", "cid", "ann"], text="Subject: local\n\nbody\n", check=0)
    text = recorded("mail")
    assert text[0] == "/bin/mail" and text[1] == "argv: -d ann", text
    assert text[2] == "1003", text                  # the local sender's rights
    assert "Subject: local" in text and not text[3].startswith("From "), text

    stage.run(["sendmail", "-f", "cid", "prog"], text="Subject: program\n\nbody\n", check=0)
    text = recorded("sh")
    assert text[0] == "/bin/sh" and text[1] == "argv: -c /srv/program one 'two three'", text
    assert text[2] == "8", text                     # DefaultUser
    assert "Subject: program" in text, text


def recorded(name):
    def look():
        for entry in os.listdir("/srv/out"):
            if entry.startswith(name + ".") and not entry.endswith(".tmp"):
                with open("/srv/out/" + entry) as f:
                    return f.read().split("\n")
        return None
    return wait_until("a call of /bin/" + name, look)
