"""Small questions with known answers: the files of tests/cases.

A file is a list of cases. A case begins with a line `=== NAME` and has parts, each
begun by a line that ends in a colon:

    cf:             configuration, behind HEAD
    cf alone:       configuration without HEAD
    file PATH:      a file to be there before
    bt FLAGS:       lines for `sendmail FLAGS -bt`
    bs FLAGS:       lines for `sendmail FLAGS -bs`
    sh:             a script for the shell
    log:            nothing; shows what was logged so far, with LogLevel in `cf:`
    out:            what all of these print, in their order
    sorted out:     the same, the lines sorted on both sides

The answers are those of the real program, version 8.17.1.9. To record them anew, run
this scenario with the real program and the argument `record`; with names of cases as
arguments only those are run, with `2/4` the second fourth of all.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from stage import write

CASES = "/project/tests/cases/*.txt"
CF = "/etc/t/c.cf"
QUEUE = "/var/spool/cases"

HEAD = """V10
Djmx.stage.test
Dwmx
Dmstage.test
O QueueDirectory=/var/spool/cases
O OperatorChars=.:%@!^/[]+
O DontProbeInterfaces=True
O SendMimeErrors=True
O DeliveryMode=i
O LogLevel=0
O Timeout.ident=0
Mlocal, P=/bin/sh, F=lsDFMnu, T=DNS/RFC822/X-Unix, A=sh /etc/keep $u
Mprog, P=/bin/sh, F=lsDFMn, T=DNS/RFC822/X-Unix, A=sh -c $u
"""

# What mailer local does: what it gets for a user is appended to /tmp/USER.got.
KEEP = 'cat >>"/tmp/$1.got"\n'

# What differs from run to run or from program to program, and what is put in its place.
VARYING = [
    (r"8\.\d+\.\d+[\d.]*(?:-[A-Za-z0-9]+)?", "VERSION"),
    (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d+ [A-Z][a-z]+ \d{4} \d\d:\d\d:\d\d (?:GMT|[-+]\d{4} ?(?:\([A-Z]+\))?)", "DATE"),
    (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]+ +\d+ \d\d:\d\d:\d\d \d{4}", "CTIME"),
    (r"\b[0-9A-Za-z][A-L][0-9A-V][0-9A-N][0-9A-Za-z]{4}\d{6}\b", "QUEUEID"),
    (r"0x[0-9a-f]{6,}", "0xPOINTER"),
    (r"\b(last|next)run=\d+", r"\1run=SECONDS"),
    (r"\bdelay=(?:\d+\+)?\d\d:\d\d:\d\d", "delay=TIME"),
    (r"<\d{12}\.QUEUEID@", "<STAMP.QUEUEID@"),
]


def shown(text):
    text = text.replace("\r", "")
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M).strip("\n")


class Case:
    """One case: its name and its parts, in their order."""

    # What else a part may do; other scenarios with cases of their own add to it.
    actions = {}

    def __init__(self, name):
        self.name = name
        self.parts = []

    def run(self, stage):
        for path in glob.glob("/tmp/*"):
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)
        shutil.rmtree(QUEUE, ignore_errors=True)
        os.mkdir(QUEUE, 0o700)
        write(CF, HEAD)
        write("/etc/keep", KEEP)
        said, begin = [], len(stage.log.lines)
        for head, text in self.parts:
            word, _, rest = head.partition(" ")
            if word == "cf":
                write(CF, text if rest else HEAD + text)
            elif word == "file":
                write(rest, text)
            elif word == "bt":
                said.append(ran(["sendmail", "-C" + CF, *rest.split(), "-bt"], text))
            elif word == "bs":
                said.append(talked(["sendmail", "-C" + CF, *rest.split(), "-bs"], text))
            elif word == "sh":
                said.append(ran(["/bin/sh", "-c", text], ""))
            elif word == "log":
                said.append(logged(stage, begin))
            elif head in self.actions:
                self.actions[head]()
        return shown("".join(said))


def ran(arguments, text):
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "C": "-C" + CF, "Q": QUEUE}
    done = subprocess.run(arguments, input=text.encode("latin-1"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, cwd="/tmp", env=env, timeout=60)
    return done.stdout.decode("latin-1")


def logged(stage, begin):
    """What programs logged since line number `begin`, without time and process."""
    lines = stage.log.lines[begin:]
    return "".join(re.sub(r"^<\d+>[^\]]*\]: ", "", line) + "\n" for line in lines)


def talked(arguments, text):
    """Sends each line when the one before it has been answered; returns the answers."""
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             cwd="/tmp", env={"PATH": os.environ["PATH"]})
    said, in_data = [], False
    for line in [None] + text.split("\n")[:-1]:
        if line is not None:
            try:
                child.stdin.write(line.encode("latin-1") + b"\r\n")
                child.stdin.flush()
            except BrokenPipeError:
                break
            in_data = in_data and line != "."
        while not in_data:
            answer = child.stdout.readline()
            if answer.startswith(b"250-AUTH"):
                continue  # what it offers depends on how a program was built
            said.append(answer.decode("latin-1").rstrip("\r\n") + "\n")
            in_data = answer.startswith(b"354")
            if not answer or re.match(rb"\d\d\d ", answer):
                break
    try:
        child.stdin.close()
    except BrokenPipeError:
        pass
    said.append(child.stdout.read().decode("latin-1").replace("\r\n", "\n"))
    child.wait(60)
    return "".join(said)


def read(path):
    cases = []
    with open(path, encoding="latin-1") as f:
        for line in f:
            if line.startswith("=== "):
                cases.append(Case(line[4:].strip()))
            elif re.match(r"(cf|file|bt|bs|sh|log|slapd|out|sorted)\b[^\t]*:$", line):
                cases[-1].parts.append([line.strip()[:-1], ""])
            elif cases and cases[-1].parts:
                cases[-1].parts[-1][1] += line
    for case in cases:
        for part in case.parts:
            part[1] = part[1].rstrip("\n") + "\n" if part[1].strip("\n") else ""
    return cases


def ordered(head, text):
    """The lines to compare: empty ones at the ends do not count, and sometimes not the order."""
    text = text.strip("\n")
    if not head.startswith("sorted"):
        return text
    return "\n".join(sorted(filter(None, re.sub("^(> ?)*", "", text, flags=re.M).split("\n"))))


def run(stage):
    wanted = set(sys.argv[1:])
    record = "record" in wanted
    wanted.discard("record")
    part, parts = 0, 1
    for word in [word for word in wanted if re.fullmatch(r"\d+/\d+", word)]:
        part, parts = map(int, word.split("/"))
        wanted.discard(word)
    faults, count, number = [], 0, 0
    for path in sorted(glob.glob(CASES)):
        cases = read(path)
        for case in cases:
            number += 1
            if wanted and case.name not in wanted or number % parts != part % parts:
                continue
            count += 1
            try:
                said = case.run(stage)
            except subprocess.TimeoutExpired as e:
                said = "no end: %s" % e
            head, expected = next((p for p in case.parts if p[0].endswith("out")), ("out", None))
            if record:
                case.parts = [p for p in case.parts if not p[0].endswith("out")]
                case.parts.append([head, ordered(head, said) + "\n"])
            elif expected is None or ordered(head, said) != ordered(head, expected):
                texts = (ordered(head, expected or ""), ordered(head, said))
                faults.append("--- %s: expected\n%s\n--- but got\n%s" % (case.name, *texts))
        if record:
            with open(path, "w", encoding="latin-1") as f:
                for case in cases:
                    f.write("=== %s\n" % case.name)
                    f.writelines("%s:\n%s" % tuple(part) for part in case.parts)
                    f.write("\n")
    print("%d cases, %d differ" % (count, len(faults)))
    assert count and not faults, "\n".join(faults)
