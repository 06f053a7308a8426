"""Mail exchanged with other people's servers: none lost, none doubled, no octet changed.

    peers [COUNT]

COUNT messages go through us to sendmail, Postfix, Exim, OpenSMTPD, Dovecot (LMTP
on a Unix socket and on TCP) and Python's LMTP server, two recipients at each;
COUNT messages come from each of the four to two of our users, whose mailboxes
are then read from Dovecot, one by IMAP and one by POP3.
"""
# needs: trees/.have-exim trees/.have-opensmtpd trees/.have-dovecot trees/.have-lmtp
import collections
import imaplib
import itertools
import os
import poplib
import re
import smtplib
import subprocess
import sys
import threading
import time

import servers
from servers import Dovecot, Exim, Opensmtpd, Postfix, Sendmail
from sink import Sink
from stage import write
from tools import wait_until

DOVECOT = "127.0.3.1"
PYTHON_LMTP = "127.0.3.2"
SENDERS = 4

MAILERS = r"""MAILER_DEFINITIONS
Mdovecottcp, P=[IPC], F=DFMXmnz8, S=EnvFromSMTP, R=EnvToSMTP, E=\r\n, T=DNS/RFC822/SMTP, A=TCP [127.0.3.1] 24
Mlists, P=[IPC], F=DFMXmnz8, S=EnvFromSMTP, R=EnvToSMTP, E=\r\n, T=DNS/RFC822/SMTP, A=TCP [127.0.3.2] 8024
"""

# What travels: the difficult ones of their kind, all of them legal.
BODIES = [
    b"hello\r\n",
    b"",
    b"\r\n",
    b"gr\xfc\xdfe, \xe2\x82\xac, \x80\xff\r\n",
    b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\nthe end.\r\n.",
    b"no end of line",
    b"x" * 980 + b"\r\n" + b"." * 980 + b"\r\n",
    b" \r\n\t\r\ntrailing blanks  \t\r\nFrom here\r\n>From there\r\n\r\n\r\n",
    b"".join(b"line %d of a longer message, with dots .\r\n.%d\r\n" % (n, n) for n in range(2_000)),
    b"X-Not: a header\r\n\r\nQUIT\r\nDATA\r\n.RSET\r\n",
]


def body_of(number):
    return BODIES[number % len(BODIES)]


def message(origin, number):
    return (b"From: ann@stage.test\r\nTo: everyone:;\r\nSubject: %s %d\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s"
            % (origin.encode(), number, body_of(number)))


class Received:
    """What arrived where: (place, recipient, subject) and how often; bodies are compared at once."""

    def __init__(self):
        self.count = collections.Counter()
        self.wrong = []
        self.lock = threading.Lock()

    def take(self, place, recipient, raw):
        head, _, body = raw.partition(b"\r\n\r\n")
        subject = re.search(rb"(?im)^Subject: (\w+) (\d+)", head)
        expected = body_of(int(subject[2])) if subject else b"?"
        if expected and not expected.endswith(b"\r\n"):
            expected += b"\r\n"
        with self.lock:
            if body != expected:
                self.wrong.append((place, subject and subject[0], body[:200]))
            self.count[place, recipient, subject and subject[0].split(b": ")[1].decode()] += 1

    def all_of(self, place):
        with self.lock:
            return sum(n for (where, _, _), n in self.count.items() if where == place)


class Beyond(Sink):
    """Where the servers hand on what they took."""

    def __init__(self, address, place, received):
        super().__init__(address)
        self.messages = self
        self.place, self.received = place, received

    def talk(self, rfile, wfile):
        # Some take their leave by closing while a reply is on its way.
        try:
            super().talk(rfile, wfile)
        except ConnectionError:
            pass

    def append(self, message):
        _, recipients, _, raw = message
        for recipient in recipients:
            self.received.take(self.place, recipient.split()[0].strip("<>"), raw)


def lmtp_of_python(received):
    """The LMTP server of aiosmtpd, which is that of mailman, too."""
    sys.path.append(servers.TREES + "lmtp/usr/lib/python3/dist-packages")
    from aiosmtpd.controller import Controller
    from aiosmtpd.lmtp import LMTP

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            for recipient in envelope.rcpt_tos:
                received.take("lists", recipient, envelope.original_content)
            return "\r\n".join("250 stored for " + recipient for recipient in envelope.rcpt_tos)

    class Listening(Controller):
        def factory(self):
            return LMTP(self.handler, data_size_limit=0)

    Listening(Handler(), hostname=PYTHON_LMTP, port=8024).start()


def inject(address, origin, numbers, recipients):
    """Sends messages over one session, as a client that does not pipeline."""
    with smtplib.SMTP(address, 25, timeout=120) as client:
        client.ehlo("client.test")
        for number in numbers:
            client.mail("ann@stage.test", ["BODY=8BITMIME"])
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                assert code == 250, (address, recipient, code, text)
            client.putcmd("data")
            code, text = client.getreply()
            assert code == 354, (address, code, text)
            data = message(origin, number)
            if data and not data.endswith(b"\r\n"):
                data += b"\r\n"
            client.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
            code, text = client.getreply()
            assert code == 250, (address, number, code, text)


def submit(stage, origin, numbers, recipients):
    for number in numbers:
        text = message(origin, number).replace(b"\r\n", b"\n")
        stage.run(["sendmail", "-oi", "-B8BITMIME", "-f", "ann@stage.test", *recipients], user="ann",
                  text=text, check=0)


def run(stage):
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    servers.add_accounts()
    write("/etc/mail/mailertable", "dove.test\tdovecottcp:dove.test\nlists.test\tlists:lists.test\n")
    stage.configure(features="FEATURE(`mailertable')dnl", local=MAILERS,
                    delivery="FEATURE(`local_lmtp', `[IPC]', `FILE %s')dnl" % Dovecot.LMTP_SOCKET)
    with open("/etc/mail/mailertable") as f:
        subprocess.run(["makemap", "hash", "/etc/mail/mailertable"], stdin=f, check=True)
    received = Received()
    lmtp_of_python(received)
    Dovecot(stage, DOVECOT)
    peers = []
    for number, kind in enumerate((Sendmail, Postfix, Exim, Opensmtpd)):
        beyond = Beyond("127.0.2.%d" % (10 + number), kind.name, received)
        peers.append(kind(stage, "127.0.1.%d" % (10 + number), beyond.server.server_address[0]))
    # What a server is too busy for waits here as anywhere, and is tried again.
    stage.daemon("-q2s", *([] if stage.is_real else ["-OChunking=True", "-OSmtpUTF8=True"]))
    began = time.monotonic()
    send(stage, count, peers)
    receive(stage, count, peers, received)
    took = time.monotonic() - began
    check(stage, count, peers, received)
    if not stage.is_real:
        # Exim says so with a K: our daemon takes what it sends in chunks.
        def in_chunks():
            with open("/var/log/exim4/mainlog") as f:
                return f.read().count(" K C=")
        wait_until("Exim has told of all chunks", lambda: in_chunks() >= count)
    print("%d to each of seven, %d from each of four: %.1f s" % (count, count, took))


def send(stage, count, peers):
    """Starts everything that sends, and waits until all was accepted."""
    faults = []

    def attempt(*arguments, work=inject):
        def body():
            try:
                work(*arguments)
            except Exception as fault:
                faults.append((arguments[:2], repr(fault)))
        thread = threading.Thread(target=body)
        thread.start()
        return thread

    outward = ["%s@%s" % (user, domain) for domain in
               ["stage.test", "dove.test", "lists.test"] + [peer.domain for peer in peers]
               for user in ("u1", "u2")]
    by_command = range(0, count, 10)
    by_session = [n for n in range(count) if n % 10]
    threads = [attempt("127.0.0.1", "out", by_session[part::SENDERS], outward) for part in range(SENDERS)]
    threads.append(attempt(stage, "out", by_command, outward, work=submit))
    for peer in peers:
        threads.append(attempt(peer.address, peer.name, range(count), ["u1@stage.test", "u2@stage.test"]))
    for thread in threads:
        thread.join()
    assert not faults, faults


def mailbox_by_imap(user):
    with imaplib.IMAP4(DOVECOT) as client:
        client.login(user, Dovecot.PASSWORD)
        _, (number,) = client.select("INBOX")
        if int(number):
            _, parts = client.fetch("1:*", "(BODY.PEEK[])")
            yield from (part[1] for part in parts if isinstance(part, tuple))


def mailbox_by_pop3(user):
    client = poplib.POP3(DOVECOT)
    client.user(user)
    client.pass_(Dovecot.PASSWORD)
    for number in range(1, client.stat()[0] + 1):
        yield b"".join(line + b"\r\n" for line in client.retr(number)[1])
    client.quit()


def receive(stage, count, peers, received):
    """Waits until everything has arrived, or nothing comes any more; then reads the mailboxes."""
    places = ["lists"] + [peer.name for peer in peers]

    def at_dovecot():
        return sum(len(list(messages_in("/srv/vmail/" + user))) for user in ("u1", "u2"))

    def messages_in(box):
        for part in ("/new", "/cur"):
            if os.path.isdir(box + part):
                yield from os.listdir(box + part)

    wanted = len(places) * 2 * count + 2 * (2 + len(peers)) * count
    last, quiet = -1, time.monotonic()
    while True:
        here = sum(received.all_of(place) for place in places) + at_dovecot()
        if here != last:
            last, quiet = here, time.monotonic()
        if here >= wanted and not stage.queue_files() or time.monotonic() - quiet > 60:
            break
        time.sleep(0.1)
    for user, read in (("u1", mailbox_by_imap), ("u2", mailbox_by_pop3)):
        for raw in read(user):
            received.take("boxes", user, raw)


def check(stage, count, peers, received):
    expected = collections.Counter()
    for number, user in itertools.product(range(count), ("u1", "u2")):
        # Once to stage.test, once to dove.test: the same mailbox.
        expected["boxes", user, "out %d" % number] = 2
        expected["lists", user + "@lists.test", "out %d" % number] = 1
        for peer in peers:
            expected[peer.name, user + "@" + peer.domain, "out %d" % number] = 1
            expected["boxes", user, "%s %d" % (peer.name, number)] = 1
    lost, doubled = expected - received.count, received.count - expected
    if lost:
        print("\n".join(line for line in stage.log.lines if "stat=Def" in line)[-3000:])
    assert not lost and not doubled, ("lost", sum(lost.values()), list(lost.items())[:9],
                                      "doubled", sum(doubled.values()), list(doubled.items())[:9])
    assert not received.wrong, (len(received.wrong), received.wrong[:9])
    print("messages by place:", {p: received.all_of(p) for p in ["boxes", "lists"] + [q.name for q in peers]})
