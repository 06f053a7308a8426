"""SIGTERM or SIGKILL at random moments under load: nothing that was answered 250 is lost.

Arguments: the signal's name, the number of ends, and a seed (drawn when left out).
"""
import random
import signal
import smtplib
import sys
import threading
import time

from tools import wait_until

CLIENTS = 4


class Load(threading.Thread):
    """Sends numbered messages as fast as it can and remembers those answered 250."""

    def __init__(self, name, stop):
        super().__init__(daemon=True)
        self.tag, self.stop_now, self.accepted, self.number = name, stop, [], 0

    def run(self):
        while not self.stop_now.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", 25, timeout=60) as client:
                    while not self.stop_now.is_set():
                        self.number += 1
                        subject = "%s.%d" % (self.tag, self.number)
                        refused = client.sendmail("ann@stage.test", ["u%d@stage.test" % (self.number % 10)],
                                                  "Subject: %s\n\n%s" % (subject, "line of text\n" * 80))
                        assert not refused
                        self.accepted.append(subject)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)


def run(stage):
    name = sys.argv[1] if len(sys.argv) > 1 else "SIGKILL"
    ends = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    print("signal %s, %d ends, seed %d" % (name, ends, seed))
    chance = random.Random(seed)
    with_signal = getattr(signal, name)

    stage.configure(features="define(`confCONNECTION_RATE_THROTTLE', `0')dnl")
    users = ["u%d" % n for n in range(10)]
    for user in users:
        stage.maildir(user)
    stop = threading.Event()

    def answered():
        return sum(len(client.accepted) for client in load)
    daemon = stage.daemon()
    load = [Load("c%d" % n, stop) for n in range(CLIENTS)]
    for client in load:
        client.start()
    for _ in range(ends):
        before = answered()
        time.sleep(chance.uniform(0.05, 0.6))
        wait_until("somebody is served between two ends", lambda: answered() > before)
        if with_signal == signal.SIGKILL:
            daemon.kill()
            daemon.wait()
        else:
            stage.end_child(daemon, with_signal)
        daemon = stage.daemon()
    stop.set()
    for client in load:
        client.join(120)
    accepted = {subject for client in load for subject in client.accepted}

    def delivered():
        return {message["Subject"] for user in users for message in stage.messages(user)}

    def waiting():
        return [name for name in stage.queue_files() if name.startswith("qf")]

    def drained():
        if stage.queue_files():
            stage.run(["sendmail", "-Am", "-q", "-OMinQueueAge=0"])
        # Those who heard no answer may have left some, too.
        return accepted <= delivered() and not waiting()
    end = time.monotonic() + 120
    while not drained() and time.monotonic() < end:
        time.sleep(0.2)
    got = [message["Subject"] for user in users for message in stage.messages(user)]
    lost = accepted - set(got)
    print("%d answered 250, %d lost, %d duplicates" % (len(accepted), len(lost), len(got) - len(set(got))))
    assert not lost, sorted(lost)
    assert not waiting(), stage.queue_files()
