"""Long sessions are quoted whole, transcripts go when an attempt is over, and reports never chase themselves.

The same expectations hold for the real program.
"""
import glob
import os

from sink import Sink
from tools import QUEUE, wait_until

RECIPIENTS = 600
REFUSAL = "550-5.7.1 " + "z" * 400 + "\n550-5.7.1 " + "y" * 400 + "\n550 5.7.1 no such user here"


def run(stage):
    for user in ("ann", "root", "bob"):
        stage.maildir(user)
    stage.zone.update({"sink.test": [("A", "127.0.0.8")], "dead.test": [("A", "127.0.0.9")]})
    stage.configure()
    left_over(stage)
    whole(stage)
    returned_at_once(stage)


def queue_one(stage, sender="ann", recipient="a@dead.test"):
    stage.run(["sendmail", "-Am", "-odq", "-oi", "-f", sender, recipient], text="Subject: x\n\nx\n", check=0)
    (name,) = [n for n in stage.queue_files() if n.startswith("qf")]
    return name[2:]


def plant(entry):
    """Leaves a transcript behind, as a program that was killed does."""
    with open(QUEUE + "/xf" + entry, "w") as f:
        f.write("<<< 550 of an earlier life\n")


def attempt(stage, *more):
    # The real program complains of the old file, and goes on and removes it all the same.
    stage.run(["sendmail", "-Am", "-qf", *more], check=None if stage.is_real else 0)


def left_over(stage):
    entry = queue_one(stage)
    plant(entry)
    plant("6AM0000000099999")
    listed = stage.run(["mailq", "-Am"]).stdout.decode()
    assert "(1 request)" in listed and "no control file" not in listed, listed
    attempt(stage)
    # The attempt is over; what belongs to no entry is left to the administrator.
    assert stage.queue_files() == ["df" + entry, "qf" + entry, "xf6AM0000000099999"], stage.queue_files()
    os.unlink(QUEUE + "/xf6AM0000000099999")
    plant(entry)
    attempt(stage, "-OTimeout.queuereturn=0s")
    report = stage.expect_message("ann", "Returned mail: see transcript for details")
    assert "earlier life" not in report.as_string(), "nothing is read from an old transcript"
    assert stage.queue_files() == [], stage.queue_files()
    plant(queue_one(stage, recipient="bob"))
    attempt(stage)
    assert stage.queue_files() == [], stage.queue_files()


class Looking(Sink):
    """Looks into the queue when the client, having heard all refusals, takes the message back."""

    seen = ()

    def reply(self, verb, argument, usual):
        if verb == "rset":
            self.seen = {os.path.basename(p)[:2] for p in glob.glob(QUEUE + "/?f*")}
        return super().reply(verb, argument, usual)


def whole(stage):
    sink = Looking("127.0.0.8", rcpt=REFUSAL)
    recipients = ["u%d@sink.test" % n for n in range(RECIPIENTS)]
    stage.run(["sendmail", "-Am", "-odi", "-oi", "-f", "bob", *recipients], text="Subject: x\n\nx\n", check=67)
    report = stage.expect_message("bob", "Returned mail: see transcript for details").as_string()
    assert report.count("<<< 550") == 3 * RECIPIENTS, report.count("<<< 550")
    assert "too long" not in report
    print("%d bytes of report" % len(report))
    assert "xf" in sink.seen, "a long session is on disk: %s" % (sink.seen,)
    assert stage.queue_files() == [], stage.queue_files()
    sink.close()


def returned_at_once(stage):
    """With queuereturn of nothing a report is still tried: it does not come back as the next one."""
    for value, sender, reader, words in (
            ("now", "ann", "ann", "Cannot send message for too long"),
            ("0s", "ann", "ann", "Cannot send message for zero seconds"),
            ("now", "x@dead.test", "root", "return to sender: Cannot send message for too long"),
            ("0s", "x@dead.test", "root", "return to sender: Cannot send message for zero seconds")):
        before = len(stage.messages(reader))
        queue_one(stage, sender=sender)
        del stage.log.lines[:]
        stage.run(["sendmail", "-Am", "-qf", "-OTimeout.queuereturn=" + value], check=0)
        wait_until("one report", lambda: len(stage.messages(reader)) == before + 1)
        assert stage.queue_files() == [], (value, stage.queue_files())
        assert len(stage.log.having(words)) == 1, (value, stage.log.lines)
