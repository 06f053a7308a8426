"""What cannot be delivered: refused at RCPT, or returned to the sender with a report."""
import time

from sink import Sink
from tools import wait_until


def run(stage):
    stage.configure(local="", features="define(`confMIN_QUEUE_AGE', `0')dnl")
    stage.zone["far.test"] = [("MX", 10, "mx.far.test")]
    stage.zone["mx.far.test"] = [("A", "127.0.1.1")]
    stage.zone["closed.test"] = [("A", "127.0.1.2")]
    Sink("127.0.1.1", rcpt={"nobody@": "550 5.1.1 no such person", "full@": "452 4.2.2 full"})
    stage.maildir("ann")
    stage.daemon()

    # By SMTP: refused at once.
    import smtplib
    with smtplib.SMTP("127.0.0.1") as client:
        client.ehlo("client.test")
        client.mail("<ann@stage.test>")
        code, text = client.rcpt("<nosuchuser@stage.test>")
        assert (code, text) == (550, b"5.1.1 <nosuchuser@stage.test>... User unknown"), (code, text)

    # From the command line, unknown local user: exit status as the reference's, a bounce to ann.
    def submit(recipient, subject):
        stage.run(["sendmail", "-Am", "-i", "-f", "ann@stage.test", recipient],
                  text="Subject: %s\n\nbody\n" % subject)

    submit("nosuchuser@stage.test", "unknown user")
    report(stage, "nosuchuser@stage.test", "5.1.1", "unknown user")
    submit("joe@nosuchhost.test", "unknown host")
    report(stage, "joe@nosuchhost.test", "5.1.2", "unknown host")
    submit("nobody@far.test", "refused there")
    message = report(stage, "nobody@far.test", "5.1.1", "refused there")
    assert "550 5.1.1 no such person" in message.as_string()

    # Past Timeout.queuereturn.
    submit("joe@closed.test", "too long")
    wait_until("deferred", lambda: stage.log.having("to=joe@closed.test", "stat=Deferred"))
    time.sleep(2)
    stage.run(["sendmail", "-q", "-OTimeout.queuereturn=1s"], check=0)
    report(stage, "joe@closed.test", "4.4.7", "too long")
    wait_until("the queue is empty", lambda: not stage.queue_files())


def report(stage, address, status, subject):
    """Waits for the report about one address and checks its three parts."""
    def look():
        for message in stage.messages("ann"):
            if message.get_content_type() == "multipart/report" and address in message.as_string():
                return message
        return None
    message = wait_until("a report about " + address, look)
    assert message["Subject"] == "Returned mail: see transcript for details", message["Subject"]
    assert message["Auto-Submitted"] == "auto-generated (failure)"
    text, delivery, original = message.get_payload()
    assert delivery.get_content_type() == "message/delivery-status"
    fields = delivery.get_payload()[1]
    assert fields["Action"] == "failed" and fields["Status"] == status, dict(fields)
    assert fields["Final-Recipient"].lower() == "rfc822; " + address, fields["Final-Recipient"]
    assert original.get_payload()[0]["Subject"] == subject
    return message
