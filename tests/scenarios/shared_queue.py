"""A queue written by the real program is delivered by ours, and the other way round."""
import os

from tools import QUEUE, REAL_MAKEMAP, REAL_SENDMAIL, wait_until

ALIASES = """postmaster: root
MAILER-DAEMON: postmaster
crew: ann, bob
owner-crew: cid
"""


def run(stage):
    stage.configure(aliases=ALIASES, access="Connect:127.0.0.1\tRELAY\n")
    for user in ("ann", "bob", "cid", "u1"):
        stage.maildir(user)
    ours = "/usr/sbin/sendmail"
    for writer, runner, name in ((REAL_SENDMAIL, ours, "theirs"), (ours, REAL_SENDMAIL, "ours")):
        subject = "written by " + name
        stage.run([writer, "-Am", "-odq", "-i", "-f", "ann@stage.test", "crew", "u1@stage.test"],
                  text="Subject: %s\nX-Long: first\n\tsecond\n\nbody\n" % subject, check=0)
        names = stage.queue_files()
        # The list has an owner: two envelopes, one body shared by both.
        assert [n[:2] for n in names] == ["df", "df", "qf", "qf"], names
        bodies = {os.stat(QUEUE + "/" + n).st_ino for n in names if n[:2] == "df"}
        assert len(bodies) == 1, "the body was copied"
        stage.run([runner, "-Am", "-q"], check=0)
        for user in ("ann", "bob", "u1"):
            message = stage.expect_message(user, subject)
            assert message["X-Long"] == "first\n\tsecond", repr(message["X-Long"])
            assert message.get_payload() == "body\n", message.get_payload()
        wait_until("the queue is empty", lambda: not stage.queue_files())
        assert "cid" in stage.expect_message("ann", subject)["Return-Path"]

    # aliases.db made by one is read by the other.
    for maker, reader in ((REAL_SENDMAIL, ours), (ours, REAL_SENDMAIL)):
        stage.run([maker, "-Am", "-bi"], check=0)
        said = stage.run([reader, "-Am", "-bv", "crew"]).stdout.decode()
        assert "ann... deliverable: mailer local, user ann" in said, (maker, said)
        assert "bob... deliverable: mailer local, user bob" in said, (maker, said)

    # access.db likewise.
    for maker, reader in ((REAL_MAKEMAP, ours), ("makemap", REAL_SENDMAIL)):
        stage.run([maker, "hash", "/etc/mail/access"], text="To:joe@far.test\tREJECT\nTo:a\tOK\n", check=0)
        said = stage.run([reader, "-Am", "-bt"], text="/map access to:joe@far.test\n").stdout.decode()
        assert "returns REJECT" in said, (maker, said)
