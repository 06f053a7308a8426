"""A server that takes mail and TLS, and does wrong what it is told to."""
import socket
import ssl
import threading

import certificates as pki


class TlsSink:
    """Listens at one address; `behaviour` says what happens at STARTTLS.

    good, silent, garbage, close, refuse (454), never (502), plain (not offered), again (offered and
    answered 220, then the connection ends, but mail without TLS is taken).
    """

    def __init__(self, address, certificate="server", behaviour="good", version=None, asks=False, ciphers=None):
        self.behaviour, self.asks = behaviour, asks
        self.commands, self.letters, self.sessions = [], [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.path(certificate + ".crt"), pki.path(certificate + ".key"))
        if version:
            self.context.maximum_version = version
        if ciphers:
            self.context.set_ciphers(ciphers)
        if asks:
            self.context.verify_mode = ssl.CERT_OPTIONAL
            self.context.load_verify_locations(pki.path("ca.crt"))
        self.context.sni_callback = self.note_name
        self.names = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, 25))
        self.socket.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def note_name(self, _socket, name, _context):
        self.names.append(name)

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.talk(connection)
        except (OSError, ssl.SSLError) as error:
            self.commands.append("error %s" % error)
        finally:
            connection.close()

    def talk(self, plain):
        connection, lines = plain, plain.makefile("rb")
        secure = False

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        say("220 sink ESMTP")
        text = None
        while True:
            line = lines.readline()
            if not line:
                return
            if text is not None:
                if line == b".\r\n":
                    self.letters.append(b"".join(text).decode("latin-1"))
                    text = None
                    say("250 taken")
                else:
                    text.append(line)
                continue
            line = line.decode("latin-1").rstrip("\r\n")
            self.commands.append(("TLS " if secure else "") + line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                offer = not secure and self.behaviour != "plain"
                say("250-sink hello\r\n250-PIPELINING" + ("\r\n250-STARTTLS" if offer else "") + "\r\n250 HELP")
            elif verb == "STARTTLS":
                if self.behaviour == "refuse":
                    say("454 4.7.0 TLS not available now")
                    continue
                if self.behaviour == "never":
                    say("502 5.5.1 no such thing")
                    continue
                say("220 go ahead")
                if self.behaviour == "close":
                    plain.shutdown(socket.SHUT_WR)
                    lines.read()
                    return
                if self.behaviour == "garbage":
                    say("this is no TLS")
                    say("nor is this")
                    return
                if self.behaviour == "silent":
                    lines.read()
                    return
                connection = self.context.wrap_socket(plain, server_side=True)
                self.sessions.append((connection.version(), connection.cipher()[0], connection.getpeercert() if self.asks else None))
                lines = connection.makefile("rb")
                secure = True
            elif verb == "DATA":
                say("354 go")
                text = []
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")
