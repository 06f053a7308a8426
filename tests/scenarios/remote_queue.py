"""Mail to a remote domain goes by MX; with the peer down it waits, and `sendmail -q` delivers it."""
import re
import subprocess

from sink import Sink
from tools import QUEUE, wait_until


def run(stage):
    stage.configure()
    stage.zone["far.test"] = [("MX", 20, "mx2.far.test"), ("MX", 10, "mx1.far.test")]
    stage.zone["mx1.far.test"] = [("A", "127.0.1.1")]
    stage.zone["mx2.far.test"] = [("A", "127.0.1.2")]
    stage.zone["sinks.test"] = [("MX", 5, "sink.sinks.test")]
    stage.zone["sink.sinks.test"] = [("A", "127.0.1.5")]
    stage.daemon()

    # Nobody listens: queued, and mailq says why.
    assert not stage.smtp("ann@stage.test", ["joe@far.test"], "Subject: patience\n\nhello\n")
    wait_until("deferred", lambda: stage.log.having("to=<joe@far.test>", "stat=Deferred"))

    def listed():
        """What mailq says when nobody works on the message any more."""
        said = stage.run(["mailq"], check=0).stdout.decode()
        return said if "(Deferred" in said and not re.search(r"(?m)^\w{14}\*", said) else None
    listing = wait_until("it waits in the queue", listed)
    assert [name[:2] for name in stage.queue_files()] == ["df", "qf"], stage.queue_files()
    assert "(Deferred: Connection refused by mx2.far.test.)" in listing, listing
    assert "<joe@far.test>" in listing and "Total requests: 1" in listing, listing

    # The second exchanger comes up first: it takes the message.
    second = Sink("127.0.1.2")
    stage.run(["sendmail", "-q"], check=0)
    wait_until("delivered by the second exchanger", lambda: second.subjects() == ["patience"])
    wait_until("the queue is empty", lambda: not stage.queue_files())
    assert "is empty" in stage.run(["mailq"], check=0).stdout.decode()

    # Both up: the better one is used.
    first = Sink("127.0.1.1")
    stage.smtp("ann@stage.test", ["joe@far.test"], "Subject: best\n\nhello\n")
    wait_until("delivered by the first exchanger", lambda: first.subjects() == ["best"])
    sender, recipients, message, raw = first.messages[0]
    assert sender.startswith("<ann@stage.test>"), sender
    assert recipients == ["<joe@far.test>"], recipients
    assert message["Received"].startswith("from "), message["Received"]
    assert raw.endswith(b"\r\nhello\r\n"), raw

    # Postfix's sink as the peer.
    counter = stage.spawn(stage.postfix_tool("smtp-sink", "-u", "nobody", "-c", "127.0.1.5:25", 50),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until("smtp-sink listens", lambda: stage.listens("127.0.1.5"))
    for number in range(5):
        stage.smtp("ann@stage.test", ["joe@sinks.test"], "Subject: %d\n\nhello\n" % number)
    wait_until("five messages sent", lambda: len(stage.log.having("to=<joe@sinks.test>", "stat=Sent")) == 5)
    assert counter.poll() is None

    # The real program as the peer, with a queue and mailboxes of its own.
    real_peer(stage)


def real_peer(stage):
    import os
    from stage import write
    from tools import REAL_SENDMAIL
    os.makedirs("/srv/peer/queue", 0o700)
    write("/srv/peer/cf", """V10
Cwpeer.test
Djpeer.test
O QueueDirectory=/srv/peer/queue
O DeliveryMode=interactive
O AliasFile=
O DaemonPortOptions=Addr=127.0.1.9, Port=25, Name=PEER
O PidFile=/srv/peer/pid
O DontProbeInterfaces=True
O DefaultUser=mail:mail
O QueueLA=999
O RefuseLA=999
O Timeout.ident=0
H?D?Date: $a
Scanonify=3
R<$+>\t$@$1
Sfinal=4
Sparse=0
R$+@$+\t$#local $: $1
R$+\t$#local $: $1
Mlocal, P=/bin/sh, F=lsDFMn, T=DNS/RFC822/X-Unix, A=sh -c "cat >>/srv/peer/box"
""".replace('A=sh -c "cat >>/srv/peer/box"', "A=box $u").replace("P=/bin/sh", "P=/srv/peer/box.sh"))
    write("/srv/peer/box.sh", "#!/bin/sh\ncat >>/srv/peer/box\n", 0o755)
    write("/srv/peer/box", "", 0o666)
    stage.zone["peer.test"] = [("MX", 10, "mx.peer.test")]
    stage.zone["mx.peer.test"] = [("A", "127.0.1.9")]
    stage.daemon("-C/srv/peer/cf", program=REAL_SENDMAIL, address="127.0.1.9")
    stage.smtp("ann@stage.test", ["joe@peer.test"], "Subject: to the real one\n\nhello\n")

    def arrived():
        with open("/srv/peer/box") as f:
            return "Subject: to the real one" in f.read()
    wait_until("the real program delivered it", arrived)
