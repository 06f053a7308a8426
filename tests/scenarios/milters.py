"""Mail filters are asked, answered and logged as by the real program, packet by packet.

A filter of our own does what each case says; the dialogue, the packets it got, the log and the
queue file are compared with what the real program did (tests/milters/recorded.txt, written by
running this scenario with it and the argument `record`).
"""
import difflib
import glob
import os
import re
import socket
import struct
import sys
import time

from filter import (ACCEPT, CONTINUE, DISCARD, PROGRESS, REJECT, SILENT, SKIP, TEMPFAIL, Die, Filter, Hang, add,
                    change, insert, negotiation, replycode)
from stage import PROJECT
from tools import QUEUE, wait_until

RECORDED = PROJECT + "/tests/milters/recorded.txt"
TIMES = "T=C:5s;S:4s;R:4s;E:4s"
EHLO, MAIL = b"EHLO there.test\r\n", b"MAIL FROM:<x@far.test> SIZE=200\r\n"
ANN, BOB = b"RCPT TO:<ann@stage.test>\r\n", b"RCPT TO:<bob@stage.test> NOTIFY=NEVER\r\n"
NOBODY, DATA, QUIT = b"RCPT TO:<nosuch@stage.test>\r\n", b"DATA\r\n", b"QUIT\r\n"
FIELDS = (b"Received: by far\r\nSubject: one\r\nX-A: 1\r\nFrom: X <x@far.test>\r\nX-A: 2\r\nTo: ann@stage.test,\r\n"
          b"  bob@stage.test\r\nX-Tab:\ttab\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-Id: <1@far.test>\r\n")
TEXT = FIELDS + b"\r\nbody\r\n..dot\r\n8\xe4\r\n.\r\n"
WHOLE = [EHLO, MAIL, ANN, NOBODY, BOB, DATA, TEXT, QUIT]
SHORT = [EHLO, MAIL, ANN, BOB, DATA, TEXT, QUIT]
EACH = b"".join(b"%07d %s\r\n" % (i, b"x" * 56) for i in range(2500))

STEPS = {"C": "connect", "H": "hello", "M": "sender", "R": "recipient", "T": "data", "L": "field", "N": "end of header",
         "B": "body", "E": "end", "U": "unknown"}
ANSWERS = [("accepts", ACCEPT), ("rejects", REJECT), ("puts off", TEMPFAIL), ("discards", DISCARD),
           ("replies", replycode(b"550 5.7.9 my text")), ("closes", replycode(b"421 4.7.0 go away")),
           ("skips", SKIP), ("talks nonsense", b"Z")]
EDITS = [
    ("add", add(b"X-New", b"v")), ("add folded", add(b"X-New", b"v\n\tw")), ("add Received", add(b"Received", b"by f")),
    ("add Subject", add(b"Subject", b"two")), ("add a default", add(b"Return-Path", b"<y@z>")),
    ("add Date", add(b"Date", b"now")), ("add without value", b"hX-New\0"), ("insert 0", insert(0, b"X-Ins", b"v")),
    ("insert 1", insert(1, b"X-Ins", b"v")), ("insert 10", insert(10, b"X-Ins", b"v")),
    ("insert 100", insert(100, b"X-Ins", b"v")), ("insert -1", insert(0xffffffff, b"X-Ins", b"v")),
    ("change", change(1, b"subject", b"two")), ("change 2", change(2, b"X-A", b"two")),
    ("change 3", change(3, b"X-A", b"new")), ("delete", change(1, b"X-A", b"")), ("delete none", change(1, b"X-No", b"")),
    ("change a default", change(1, b"Return-Path", b"<q@r>")),
    ("delete and change", [change(1, b"X-A", b""), change(1, b"X-A", b"back")]),
    ("recipient", b"+<cid@stage.test>\0"), ("recipient again", b"+<ann@stage.test>\0"),
    ("recipients", b"+<cid@stage.test>, <bob@stage.test>\0"),
    ("recipient with parameters", b"2<cid@stage.test>\0NOTIFY=NEVER ORCPT=rfc822;q@r\0"),
    ("recipient without end", b"+<cid@stage.test>"),
    ("delete recipient", b"-<BOB@stage.test>\0"), ("delete nobody", b"-<nosuch@stage.test>\0"),
    ("delete all", [b"-<bob@stage.test>\0", b"-<ann@stage.test>\0"]),
    ("delete and add", [b"-<ann@stage.test>\0", b"+<ann@stage.test>\0"]),
    ("sender", b"e<y@other.test>\0"), ("no sender", b"e<>\0"), ("new body", [b"bnew\r", b"b\nbody\r\n", b"b..x\r\n.\r\nlast"]),
    ("no body", b"b"), ("quarantine", b"qbad mail\0"), ("quarantine twice", [b"qa\0", b"qb\0"]),
    ("progress", [PROGRESS, 0.1, PROGRESS, add(b"X-N", b"v")]),
]
BITS = ("NOCONNECT NOHELO NOMAIL NORCPT NOBODY NOHDRS NOEOH NR_HDR NOUNKNOWN NODATA SKIP RCPT_REJ NR_CONN NR_HELO NR_MAIL "
        "NR_RCPT NR_DATA NR_UNKN NR_EOH NR_BODY HDR_LEADSPC").split()
SILENCED = {"NR_HDR": "L", "NR_CONN": "C", "NR_HELO": "H", "NR_MAIL": "M", "NR_RCPT": "R", "NR_DATA": "T", "NR_UNKN": "U",
            "NR_EOH": "N", "NR_BODY": "B"}
MACROS = [(0, b"j, {daemon_port}"), (2, b"i {msg_size}"), (3, b"r {nrcpts}"), (4, b"{msg_id} {mail_addr}"), (5, b"{nrcpts}"),
          (6, b"{nosuch}")]


def cases():
    """Title, script of the first filter, of the second, dialogue."""
    unknown = [EHLO, b"FOO bar\r\n", MAIL, ANN, DATA, TEXT, QUIT]
    yield "two messages", {}, {}, WHOLE[:-1] + WHOLE[1:]
    yield "resets", {}, {}, [EHLO, MAIL, b"RSET\r\n", b"FOO bar\r\n", b"HELO again\r\n", MAIL, ANN, b"EHLO x\r\n", MAIL, QUIT]
    yield "a large body", {}, {"B": SKIP}, SHORT[:-2] + [FIELDS + b"\r\n" + EACH + b".\r\n", QUIT]
    yield "no body", {}, {}, SHORT[:-2] + [b"Subject: x\r\n\r\n.\r\n", QUIT]
    yield "no header", {}, {}, SHORT[:-2] + [b"\r\nbody\r\n.\r\n", QUIT]
    for letter, step in STEPS.items():
        for word, answer in ANSWERS:
            lines = unknown if letter == "U" else WHOLE if letter in "RT" and word != "discards" else SHORT
            # What follows a refusal is not what the case is about.
            lines = lines if letter in "LNBEUR" or word in ("accepts", "discards", "skips") else lines[:4] + lines[-1:]
            yield "%s: the first %s" % (step, word), {letter: answer}, {}, lines
    yield "several lines", {"M": replycode(b"451-4.7.1 one\r\n451-4.7.1 two\r\n451 4.7.1 three")}, {}, SHORT[:2] + [QUIT]
    for text in (b"550", b"250 2.0.0 ok", b"450 5.7.1 mixed", b"abc", b"550 5.7.1 a%b", b"521 5.0.0 closing"):
        yield "reply %r" % text, {"M": replycode(text)}, {}, SHORT[:2] + [QUIT]
    for title, edit in EDITS:
        edits = edit if isinstance(edit, list) else [edit]
        yield "edit: " + title, {"E": edits + [CONTINUE]}, {}, SHORT
    yield "edits are seen behind", {"E": [add(b"X-N", b"v"), change(1, b"Subject", b"new"), change(1, b"X-A", b""),
                                        insert(0, b"X-I", b"v"), b"bnew body\r\n", b"+<cid@stage.test>\0", CONTINUE]}, {}, SHORT
    yield "edits were not announced", {"O": negotiation(actions=0), "E": [
        add(b"X-N", b"v"), change(1, b"Subject", b"v"), b"+<cid@stage.test>\0", b"-<bob@stage.test>\0", b"qbad\0",
        CONTINUE]}, {}, SHORT
    yield "a body was not announced", {"O": negotiation(actions=0), "E": [b"bx\r\n", CONTINUE]}, {}, SHORT
    yield "an edit too early", {"L": add(b"X-N", b"v")}, {}, SHORT
    for number, name in enumerate(BITS):
        script = {"O": negotiation(protocol=1 << number)}
        if name in SILENCED:
            script[SILENCED[name]] = SILENT
        yield "asks for " + name, script, {}, [EHLO, b"FOO\r\n"] + WHOLE[1:]
    yield "asks for macros", {"O": negotiation(macros=MACROS)}, {}, SHORT
    for title, answer in [("version 1", negotiation(version=1)), ("too many actions", negotiation(actions=0xfff)),
                          ("too many steps", negotiation(protocol=0x3ffffff)), ("half an answer", b"O\0\0\0\6"),
                          ("no answer to O", CONTINUE)]:
        yield title, {"O": answer}, {}, [EHLO, MAIL, QUIT]
    for letter in "OCMRTLBE":
        for first in (True, False):
            dies = {letter: Die}
            lines = SHORT[:3] + [QUIT] if letter in "OCM" else SHORT[:5] + [QUIT] if letter in "RT" else SHORT
            yield "%s dies at %s" % ("first" if first else "second", letter), dies if first else {}, {} if first else dies, lines
    yield "says nothing", {"M": Hang}, {}, [EHLO, MAIL, QUIT]
    yield "stops in a packet", {"M": [(b"\0\0\0\5cab",), Die]}, {}, [EHLO, MAIL, QUIT]


def dialogue(lines):
    said = []
    with socket.socket() as s:
        s.bind(("127.0.0.5", 0))
        s.settimeout(60)
        s.connect(("127.0.0.1", 25))
        answers = s.makefile("rb")

        def answer():
            whole = []
            while True:
                line = answers.readline().decode("latin-1")
                whole.append(line.rstrip())
                if line[3:4] != "-":
                    return " | ".join(whole)
        said.append(answer()[:4])
        for line in lines:
            if not said[-1]:
                break  # closed
            try:
                s.sendall(line)
                told = answer()
            except OSError:
                told = ""
            if line[:4] == b"EHLO":
                told = told[:4]
            said.append(told)
        # What the other side says at the end of a session is said when it has closed.
        try:
            s.shutdown(socket.SHUT_WR)
            answers.read()
        except OSError:
            pass
    return said


def packets(packets):
    """Packets in a line each; runs of fields that need no telling apart by their letters."""
    lines = []
    for letter, data in packets:
        if letter == "C":
            data = re.sub(rb"(?s)^(.*?\0.)..", rb"\1PP", data)
        if len(data) > 300:
            text = "%d octets, %r ... %r" % (len(data), data[:24], data[-24:])
        else:
            text = repr(data)
        lines.append("%s %s" % (letter, text))
    return lines


def plain(text):
    text = re.sub(r"6[A-Z][A-Za-z0-9]{6}[0-9]{6}|[1-9][A-Z][A-Za-z0-9]{6}[0-9]{5,8}", "QID", text)
    text = re.sub(r"(Date:|<)[^<]*( GMT|\.QID@)", r"\1 NOW\2", text)
    return re.sub(r"delay=00:00:[0-9]*", "delay=D", text)


def show(stage, title, filters, lines):
    """Runs one case and tells what was seen of it."""
    for one in filters:
        one.packets.clear()
    begun = len(stage.log.lines)
    replies = dialogue(lines)
    wait_until("the filters are left: " + title, lambda: all(
        one.is_left for one in filters))
    # The log comes over a socket of its own.
    count = -1
    while count != len(stage.log.lines):
        count = len(stage.log.lines)
        time.sleep(0.03)
    told = ["=== " + title]
    told += ["S " + line for line in replies]
    seen = [[line for line in packets(one.packets) if line[0] != "O" and line[:6] != "closed"] for one in filters]
    told += ["1 " + line for line in seen[0]]
    told += ["2 as 1"] if seen[0] == seen[1] else ["2 " + line for line in seen[1]]
    logged = [line.split("]: ", 1)[-1] for line in stage.log.lines[begun:]]
    told += ["L " + line for line in logged
             if ("ilter" in line or " stat=" in line or "tempfailed" in line) and not re.search(
                 "action=[a-z]*, continue|stat=quarantined|init success|connect to filters|Sending|unknown=", line)]
    wanted = "HRqSBM" if title.startswith(("edit", "two", "no ")) else "q"
    for path in sorted(glob.glob(QUEUE + "/*")):
        kind = os.path.basename(path)[:2]
        with open(path, "rb") as f:
            text = f.read().decode("latin-1")
        if kind in ("qf", "hf"):
            told += ["%s %r" % (kind, line) for line in text.split("\n")
                     if line[:1] in wanted and "H??Received: from there" not in line]
        elif kind == "df" and "body" in title:
            told.append("df %d octets, %r" % (len(text), text[:60]))
        os.unlink(path)
    return [plain(line) for line in told]


def titles(lines):
    return [line for line in lines if line.startswith("=== ")]


def parts(lines):
    """The lines of each case."""
    return [part.split("\n") for part in "\n".join(lines).split("\n=== ")]


def run(stage):
    stage.zone["far.test"] = stage.zone["other.test"] = [("A", "127.0.1.1")]
    filters = [Filter(("127.0.0.1", 9001)), Filter("/run/second.sock")]
    os.chmod("/run/second.sock", 0o777)
    stage.configure(features="\n".join([
        "INPUT_MAIL_FILTER(`first', `S=inet:9001@127.0.0.1, F=T, %s')dnl" % TIMES,
        "INPUT_MAIL_FILTER(`second', `S=local:/run/second.sock, F=R, %s')dnl" % TIMES,
        "define(`confDELIVERY_MODE', `queue')dnl", "define(`confLOG_LEVEL', `14')dnl",
        "define(`confCONNECTION_RATE_THROTTLE', `0')dnl", "define(`confSAFE_QUEUE', `postmilter')dnl"]))
    open("/var/lib/sendmail/sendmail.st", "w").close()
    stage.daemon()
    # The first client, who only looked whether somebody listens, is gone.
    wait_until("the filters are left", lambda: all(one.connections and one.is_left for one in filters))
    told, count = [], 0
    for title, first, second, lines in cases():
        filters[0].script, filters[1].script = first, second
        told += show(stage, title, filters, lines)
        count += 1
    if sys.argv[1:] == ["record"]:
        with open(RECORDED, "w") as f:
            f.write("\n".join(told) + "\n")
        return print("%d cases recorded" % count)
    with open(RECORDED) as f:
        expected = f.read().rstrip("\n").split("\n")
    for title, real, ours in zip(titles(expected), parts(expected), parts(told)):
        wrong = difflib.unified_diff(real, ours, "the real program", "this one", lineterm="", n=30)
        assert real == ours, "\n".join([title, *wrong])
    assert len(expected) == len(told)
    print("%d cases end as with the real program" % count)
