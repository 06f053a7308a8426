"""A mail filter that does what a script says and keeps every packet it gets.

Speaks the filter's side of the milter protocol, version 6, without libmilter. A script is a
dictionary: the letter of a command leads to the answer, which is bytes (one packet: letter and
data), a list of them, a function of the data that returns one of these, `SILENT` for no answer,
or an exception to raise: `Hang` waits, `Die` closes the connection.
"""
import socket
import struct
import threading
import time

CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD = b"c", b"a", b"r", b"t", b"d"
PROGRESS, SKIP, SHUTDOWN, FAIL = b"p", b"s", b"4", b"f"
SILENT = []
ALL_ACTIONS = 0x1ff
# Commands that get no answer by themselves.
WITHOUT_ANSWER = b"DAQK"


class Hang(Exception):
    """Says nothing from here on."""


class Die(Exception):
    """Closes the connection."""


def replycode(text):
    return b"y" + text + b"\0"


def add(name, value):
    return b"h" + name + b"\0" + value + b"\0"


def insert(at, name, value):
    return b"i" + struct.pack(">I", at) + name + b"\0" + value + b"\0"


def change(number, name, value):
    return b"m" + struct.pack(">I", number) + name + b"\0" + value + b"\0"


def negotiation(version=6, actions=ALL_ACTIONS, protocol=0, macros=()):
    """An answer to O; `macros` are pairs of stage number and list of names."""
    lists = b"".join(struct.pack(">I", stage) + names + b"\0" for stage, names in macros)
    return b"O" + struct.pack(">III", version, actions, protocol) + lists


class Filter:
    def __init__(self, address, script=None):
        self.script, self.packets, self.connections, self.busy = script or {}, [], 0, 0
        self.open, self.lock = True, threading.Lock()
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(address)
        elif ":" in address[0]:
            self.socket = socket.socket(socket.AF_INET6)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(address)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(address)
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.open = False
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    @property
    def is_left(self):
        """Whether nobody talks to it now."""
        return self.busy == 0

    def serve(self):
        while self.open:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if connection.family != socket.AF_UNIX else None
            with self.lock:
                self.busy += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            while True:
                head = self.exactly(connection, 4)
                if head is None:
                    self.packets.append(("closed", b""))
                    return
                length, = struct.unpack(">I", head)
                packet = self.exactly(connection, length)
                if packet is None:
                    self.packets.append(("closed within", head))
                    return
                letter, data = packet[:1].decode("latin-1"), packet[1:]
                self.packets.append((letter, data))
                self.answer(connection, letter, data)
        except Hang:
            while self.exactly(connection, 1):
                pass
        except (Die, OSError):
            pass
        finally:
            connection.close()
            with self.lock:
                self.busy -= 1

    def answer(self, connection, letter, data):
        answer = self.script.get(letter)
        if answer is None:
            if letter == "O":
                answer = negotiation()
            elif letter.encode() in WITHOUT_ANSWER:
                answer = SILENT
            else:
                answer = CONTINUE
        if callable(answer) and not isinstance(answer, type):
            answer = answer(data)
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer
        if isinstance(answer, bytes):
            answer = [answer]
        for packet in answer:
            if isinstance(packet, type) and issubclass(packet, Exception):
                raise packet
            if isinstance(packet, float):
                time.sleep(packet)
            elif isinstance(packet, tuple):
                connection.sendall(packet[0])  # raw octets
            else:
                connection.sendall(struct.pack(">I", len(packet)) + packet)

    @staticmethod
    def exactly(connection, count):
        found = b""
        while len(found) < count:
            try:
                piece = connection.recv(count - len(found))
            except OSError:
                return None
            if not piece:
                return None
            found += piece
        return found

