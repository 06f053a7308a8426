"""The end of a message never waits for the other side's acknowledgement.

Without TCP_NODELAY the last piece of a message, when it is a write of its own,
waits 40 ms for a server that delays its acknowledgements, as all do. Seen in the
system calls, and by the server's clock.
"""
import re
import socket
import threading
import time

from stage import write
from tools import wait_until

# Seconds a delayed acknowledgement takes at least, a little less.
ACKNOWLEDGEMENT = 0.035
TRIES = 20
SIZES = (0, 10, 1_000, 1_449, 1_450, 4_096, 8_192, 20_000, 100_000)


class Witness:
    """Takes mail and notes how long each message took from the 354 to its end."""

    def __init__(self, address):
        self.took = []
        listening = socket.create_server((address, 25))
        threading.Thread(target=self.serve, args=(listening,), daemon=True).start()

    def serve(self, listening):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        f = client.makefile("rb")
        client.sendall(b"220 witness.test ESMTP\r\n")
        for line in f:
            verb = line[:4].upper()
            if verb == b"EHLO":
                client.sendall(b"250-witness.test\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                client.sendall(b"354 go on\r\n")
                began = time.monotonic()
                while f.readline() not in (b".\r\n", b""):
                    pass
                self.took.append(time.monotonic() - began)
                client.sendall(b"250 ok\r\n")
            elif verb == b"QUIT":
                client.sendall(b"221 bye\r\n")
                break
            else:
                client.sendall(b"250 ok\r\n")
        client.close()


def send(stage, size, *before):
    text = "Subject: %d\n\n%s\n" % (size, ("x" * 70 + "\n") * (size // 71))
    stage.run([*before, "sendmail", "-Am", "-oi", "-odi", "-f", "ann@stage.test", "joe@far.test"], text=text, check=0)


def run(stage):
    stage.configure()
    stage.zone["far.test"] = [("MX", 10, "mx.far.test")]
    stage.zone["mx.far.test"] = [("A", "127.0.1.1")]
    witness = Witness("127.0.1.1")
    quickest = {}
    for size in SIZES:
        # What waits for an acknowledgement waits each time; what is only slow now is quick another time.
        for count in range(1, TRIES + 1):
            send(stage, size)
            wait_until("it has come", lambda: len(witness.took) == count)
            if min(witness.took) < ACKNOWLEDGEMENT:
                break
        quickest[size] = min(witness.took)
        del witness.took[:]
    print("from 354 to the end:", *("%d: %.2f ms" % (size, 1000 * took) for size, took in quickest.items()))
    if stage.is_real:
        return
    assert max(quickest.values()) < ACKNOWLEDGEMENT, quickest
    calls = "/tmp/calls"
    for size in SIZES:
        write(calls, "")
        send(stage, size, "strace", "-f", "-o", calls, "-s", "8", "-e", "trace=connect,setsockopt,sendto,write,writev")
        with open(calls) as f:
            lines = f.read().split("\n")
        connected = next((n, re.search(r"connect\((\d+),", line)[1]) for n, line in enumerate(lines)
                         if "connect(" in line and "sin_port=htons(25)" in line)
        after = [line for line in lines[connected[0]:] if re.search(r"\b\w+\(%s," % connected[1], line)]
        first_write = next(n for n, line in enumerate(after) if re.search(r"\b(write|sendto|writev)\(", line))
        assert any("TCP_NODELAY, [1]" in line for line in after[:first_write]), (size, after[:9])
    print("TCP_NODELAY is set before the first command")
