"""A name server that misbehaves as told, over UDP and TCP.

A zone maps names to what is done when they are asked for: a function of the
question that returns the packets to send, in order. The functions here make
such functions; `records` is the well-behaved one.
"""
import socket
import socketserver
import struct
import threading
import time

A, CNAME, PTR, MX, TXT, AAAA = 1, 5, 12, 15, 16, 28
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)


class Question:
    def __init__(self, packet, over_tcp):
        self.packet, self.over_tcp = packet, over_tcp
        self.id, = struct.unpack(">H", packet[:2])
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
            at += 1 + packet[at]
        self.kind, = struct.unpack(">H", packet[at + 1:at + 3])
        self.raw = packet[12:at + 5]
        self.name = ".".join(labels)


def wire_name(name):
    name = name.rstrip(".")
    parts = name.split(".") if name else []
    return b"".join(bytes([len(p)]) + p.encode() for p in parts) + b"\0"


def record(owner, kind, value, ttl=60, cls=1):
    """One record; owner None stands for the name asked."""
    if isinstance(value, bytes):
        data = value
    elif kind == A:
        data = socket.inet_aton(value)
    elif kind == AAAA:
        data = socket.inet_pton(socket.AF_INET6, value)
    elif kind == MX:
        data = struct.pack(">H", value[0]) + wire_name(value[1])
    elif kind == TXT:
        data = bytes([len(value)]) + value.encode()
    else:
        data = wire_name(value)
    name = b"\xc0\x0c" if owner is None else wire_name(owner)
    return name + struct.pack(">HHIH", kind, cls, ttl, len(data)) + data


def reply(question, answers=(), code=NOERROR, flags=0x8180, id=None, raw=None, count=None, questions=1):
    """A whole reply; what is not given is as it should be."""
    raw = question.raw if raw is None else raw
    count = len(answers) if count is None else count
    id = question.id if id is None else id
    return struct.pack(">6H", id & 0xffff, flags | code & 15, questions, count, 0, 0) + raw + b"".join(answers)


def records(*given):
    """Answers with those of the right kind, and with every alias."""
    def answer(question):
        return [reply(question, [record(*r) for r in given if r[1] in (question.kind, CNAME)])]
    return answer


def mx(*hosts):
    return records(*((None, MX, (10 * (n + 1), host)) for n, host in enumerate(hosts)))


def a(address):
    return records((None, A, address))


def fails(code):
    return lambda question: [reply(question, code=code)]


def silent(_question):
    return []


def by_kind(usual, **others):
    """Another behaviour for some kinds of question: by_kind(a("..."), AAAA=fails(SERVFAIL))."""
    numbers = {globals()[kind]: what for kind, what in others.items()}
    return lambda question: numbers.get(question.kind, usual)(question)


def by_transport(udp, tcp):
    return lambda question: (tcp if question.over_tcp else udp)(question)


def late(seconds, what):
    def answer(question):
        time.sleep(seconds)
        return what(question)
    return answer


def first(count, before, after):
    """Behaves in one way for the first questions about each name and kind, then in the other."""
    seen = {}

    def answer(question):
        key = question.name, question.kind
        seen[key] = seen.get(key, 0) + 1
        return (before if seen[key] <= count else after)(question)
    return answer


def truncated(*answers):
    return lambda question: [reply(question, [record(*r) for r in answers if r[1] == question.kind],
                                   flags=0x8380)]


def preceded(make, what):
    """Sends other packets before the right ones; `make` says which."""
    return lambda question: make(question) + what(question)


class Wayward:
    """The server; a name it does not know does not exist, unless `otherwise` says what is done."""

    def __init__(self, zone, address, otherwise=fails(NXDOMAIN)):
        self.zone, self.otherwise = zone, otherwise
        self.asked = []
        server = self

        class OverUdp(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sock = self.request
                for answer in server.answers(packet, False):
                    sock.sendto(answer, self.client_address)

        class OverTcp(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(10)
                stream = self.request.makefile("rwb")
                length, = struct.unpack(">H", stream.read(2))
                for answer in server.answers(stream.read(length), True):
                    # None closes without a word, bytes with a length of their own are sent as they are.
                    if answer is None:
                        return
                    framed = answer[1] if isinstance(answer, tuple) else struct.pack(">H", len(answer)) + answer
                    stream.write(framed)
                    stream.flush()
                # Until the other side has had enough.
                try:
                    stream.read(1)
                except OSError:
                    pass

        class Udp(socketserver.ThreadingUDPServer):
            daemon_threads = True
            max_packet_size = 65535

        class Tcp(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        for kind, handler in ((Udp, OverUdp), (Tcp, OverTcp)):
            listening = kind((address, 53), handler)
            threading.Thread(target=listening.serve_forever, daemon=True).start()

    def answers(self, packet, over_tcp):
        try:
            question = Question(packet, over_tcp)
        except (IndexError, struct.error):
            return []
        self.asked.append((question.name, question.kind, over_tcp))
        return self.zone.get(question.name, self.otherwise)(question)
