"""A second mail server on loopback that keeps what it is given and can be told to refuse."""
import email
import socketserver
import threading


class Sink:
    """Listens on an address; `replies` maps a verb to the reply for it or for matching arguments."""

    def __init__(self, address, port=25, greeting="220 sink.test ESMTP", **replies):
        self.messages = []          # (sender, [recipients], email object, raw bytes)
        self.connections = 0
        self.replies = replies
        self.greeting = greeting
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                sink.connections += 1
                sink.talk(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            # A burst of clients must not wait for lost handshakes.
            request_queue_size = 128
            daemon_threads = True

        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def reply(self, verb, argument, usual):
        answer = self.replies.get(verb, usual)
        if isinstance(answer, dict):
            answer = next((text for part, text in answer.items() if part in argument), usual)
        return answer

    def talk(self, rfile, wfile):
        def say(text):
            wfile.write(text.replace("\n", "\r\n").encode() + b"\r\n")

        say(self.greeting)
        sender, recipients = None, []
        while True:
            line = rfile.readline()
            if not line:
                return
            verb, _, argument = line.decode("latin-1").rstrip("\r\n").partition(" ")
            verb = verb.lower()
            if verb == "ehlo":
                say(self.reply(verb, argument, "250-sink.test\n250-PIPELINING\n250-8BITMIME\n250-SIZE\n250 DSN"))
            elif verb in ("helo", "rset", "noop"):
                say(self.reply(verb, argument, "250 ok"))
                sender, recipients = None, []
            elif verb == "mail":
                answer = self.reply(verb, argument, "250 2.1.0 sender ok")
                if answer.startswith("2"):
                    sender, recipients = argument[5:].strip(), []
                say(answer)
            elif verb == "rcpt":
                answer = self.reply(verb, argument, "250 2.1.5 recipient ok")
                if answer.startswith("2"):
                    recipients.append(argument[3:].strip())
                say(answer)
            elif verb == "data":
                if not recipients:
                    say("503 5.5.1 no recipients")
                    continue
                say(self.reply(verb, argument, "354 go ahead"))
                text = b""
                while True:
                    line = rfile.readline()
                    if not line or line == b".\r\n":
                        break
                    text += line[1:] if line.startswith(b".") else line
                if not line:
                    return
                answer = self.reply("eod", argument, "250 2.0.0 stored")
                if answer.startswith("2"):
                    self.messages.append((sender, recipients, email.message_from_bytes(text), text))
                say(answer)
            elif verb == "quit":
                say("221 2.0.0 bye")
                return
            else:
                say("500 5.5.1 what?")

    def subjects(self):
        return [message["Subject"] for _, _, message, _ in self.messages]
