"""The client's machine is asked who talks to us; what it says is shown, and nobody waits for it for long."""
import re
import socket
import threading
import time

from tools import wait_until

# What the service says, and how the client is then greeted by the real program.
ANSWERS = [
    ("P : USERID : UNIX : joe\r\n", "joe@[A]"),
    ("P:userid:OTHER , X: joe blow <x>\r\n", "IDENT:joeblowx@[A]"),
    ("P:USERID:UNIX:jo@e(\\x)\"\x01y\r\nmore\r\n", "joexy@[A]"),
    ("P:USERID:UNIX:%s\r\n" % ("j" * 600), "j" * 99 + "@[A]"),
    ("P:USERID:UNIX:\r\n", "@[A]"),
    ("P:ERROR:NO-USER\r\n", "[A]"),
    ("P:USERID:UNIX\r\n", "[A]"),
    ("junk\r\n", "[A]"),
    ("", "[A]"),
    (None, "[A]"),
]
# Seconds until silence is taken for an answer.
TIMEOUT = 4
RULES = """LOCAL_RULESETS
SLocal_check_mail
R$*	$#error $@ 5.7.1 $: 550 is $&_
"""


class Service:
    """Answers whoever asks at an address; `None` is silence."""

    def __init__(self, address, answer):
        self.answer, self.heard, self.asked_from, self.kept = answer, [], [], []
        self.socket = socket.create_server((address, 113))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, peer = self.socket.accept()
            self.asked_from.append(peer[0])
            question = connection.recv(200).decode()
            self.heard.append(question)
            if self.answer is None:
                self.kept.append(connection)
                continue
            connection.sendall(self.answer.replace("P", question.strip(), 1).encode("latin-1"))
            connection.close()


def run(stage):
    stage.configure(local=RULES, features="define(`confTO_IDENT', `%ds')dnl\ndefine(`confCONNECTION_RATE_THROTTLE', `0')dnl" % TIMEOUT)
    stage.daemon()
    for number, (answer, shown) in enumerate(ANSWERS, 1):
        address = "127.0.7.%d" % number
        service = Service(address, answer)
        port, greeted, hello, mail = dialogue(address)
        shown = shown.replace("A", address)
        assert hello == "250 mx.stage.test Hello %s, pleased to meet you" % shown, (answer, hello)
        assert re.sub(" ", "", mail).endswith("is" + re.sub(" ", "", shown)), (answer, mail)
        assert service.heard == ["%d,25\r\n" % port], service.heard
        assert service.asked_from == ["127.0.0.1"], "the question must come from where the client connected to"
        assert (greeted >= TIMEOUT) == (answer is None), (answer, greeted)
        wait_until("logged: " + shown, lambda: stage.log.having("reject=", "relay=" + shown))
    print("%d answers are shown as they should" % len(ANSWERS))
    silent(stage)


def dialogue(source):
    with socket.socket() as s:
        s.bind((source, 0))
        s.settimeout(60)
        began = time.monotonic()
        s.connect(("127.0.0.1", 25))
        lines = s.makefile("rb")
        assert lines.readline().startswith(b"220")
        greeted = time.monotonic() - began
        heard = []
        for line in (b"HELO there.test\r\n", b"MAIL FROM:<>\r\n"):
            s.sendall(line)
            heard.append(lines.readline().decode().strip())
        return (s.getsockname()[1], greeted, *heard)


def silent(stage):
    """Sixty clients whose machines say nothing are greeted after the timeout, all at the same time."""
    count = 8 if stage.is_real else 60  # more than there are workers
    Service("127.0.8.1", None)
    took, began = [], time.monotonic()
    threads = [threading.Thread(target=lambda: took.append(dialogue("127.0.8.1")[1])) for _ in range(count)]
    for t in threads:
        t.start()
    # Meanwhile somebody whose machine refuses the question does not wait.
    time.sleep(0.2)
    quick = dialogue("127.0.8.2")[1]
    for t in threads:
        t.join(60)
    print("%d silent machines: greeted after %.2f to %.2f s; another after %.2f s" % (count, min(took), max(took), quick))
    assert len(took) == count and min(took) >= TIMEOUT - 0.1 and max(took) < 2 * TIMEOUT, took
    assert quick < TIMEOUT, quick
