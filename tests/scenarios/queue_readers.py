"""Programs that read the queue: check_mailq, munin's plugins, and Webmin's way with queue files."""
import glob
import os
import re

from stage import PEERS, write
from tools import QUEUE

CHECK_MAILQ = PEERS + "/usr/lib/nagios/plugins/check_mailq"
MUNIN = PEERS + "/usr/share/munin/plugins/"
CLIENT_QUEUE = QUEUE + "-client"


def run(stage):
    assert os.path.exists(CHECK_MAILQ), "`make peers` has not fetched monitoring-plugins-standard"
    stage.zone["far.test"] = [("A", "127.0.0.9")]
    stage.maildir("bob")
    stage.configure()
    one_queue(stage)
    webmin(stage)
    munin(stage)
    several_queues(stage)


def check_mailq(stage, *arguments, expected):
    """Runs the plugin with its own path to mailq; returns what it says."""
    with open(PEERS + "/usr/lib/nagios/plugins/utils.pm") as f:
        text = f.read()
    write("/tmp/nagios/utils.pm", re.sub(r'(?m)^\$PATH_TO_MAILQ .*', '$PATH_TO_MAILQ = "/usr/sbin/mailq";', text))
    with open(CHECK_MAILQ) as f:
        write("/tmp/nagios/check_mailq", f.read(), 0o755)
    done = stage.run(["perl", "/tmp/nagios/check_mailq", "-M", "sendmail", *arguments], check=expected)
    return done.stdout.decode()


def queued(stage, count, *recipients, sender="<ann@client.test>"):
    for _ in range(count):
        stage.run(["sendmail", "-Am", "-odi", "-oi", "-f", sender, *recipients], text="Subject: x\n\nbody\n")


def one_queue(stage):
    said = check_mailq(stage, "-w", "2", "-c", "4", expected=0)
    assert said.startswith("OK: sendmail mailq is empty"), said
    queued(stage, 1, "joe@far.test")
    said = check_mailq(stage, "-w", "2", "-c", "4", expected=0)
    assert said.startswith("OK: sendmail mailq (1) is below threshold (2/4)"), said
    queued(stage, 2, "joe@far.test", "jim@far.test")
    said = check_mailq(stage, "-w", "2", "-c", "4", expected=1)
    assert said.startswith("WARNING: sendmail mailq is 3 (threshold w = 2)"), said
    # By domains: of senders, and of the hosts that mail waits for.
    said = check_mailq(stage, "-w", "9", "-c", "10", "-W", "3", "-C", "4", "-v", expected=1)
    assert "srcdomain = client.test" in said and "dstdomain = far.test" in said, said
    assert "3 messages in queue FROM client.test (threshold W = 3)" in said, said
    said = check_mailq(stage, "-w", "1", "-c", "3", expected=2)
    assert said.startswith("CRITICAL: sendmail mailq is 3 (threshold c = 3)"), said


def webmin(stage):
    """Reads queue files by the patterns Webmin has for them."""
    stage.run(["sendmail", "-Am", "-odi", "-oi", "-t", "-f", "ann@client.test"],
              text="To: joe@far.test\nCc: jim@far.test\nSubject: of several\n\tlines\nX-Empty:\n\nbody\n")
    paths = sorted(p for p in glob.glob(QUEUE + "/*") if re.match("(qf|hf|Qf)", os.path.basename(p)))
    assert len(paths) == 4
    header, status = {}, None
    with open(paths[-1], encoding="latin-1") as f:
        last = None
        for line in f.read().split("\n"):
            field = re.match(r"H\?[^?]*\?(\S+):\s+(.*)", line) or re.match(r"H(\S+):\s+(.*)", line)
            if line.startswith("M"):
                status = line[1:]
            elif field:
                last = field[1].lower()
                header[last] = field[2]
            elif line[:1].isspace() and last:
                header[last] += line.strip()
    assert status == "Deferred: Connection refused by far.test.", status
    assert header["to"] == "joe@far.test" and header["cc"] == "jim@far.test", header
    assert header["subject"] == "of severallines", header
    assert re.match(r"\w{3}, \d+ \w{3} \d{4} ", header["date"]) and "ann@" in header["from"], header
    # Body and lock file are where the name says.
    with open(paths[-1].replace("/qf", "/df")) as f:
        assert f.read() == "body\n"
    assert not os.path.exists(paths[-1].replace("/qf", "/xf")), "nobody works on it"
    # Held and lost ones are told by their names.
    identifier = os.path.basename(paths[-1])[2:]
    stage.run(["sendmail", "-Am", "-Qodd", "-qI" + identifier], check=0)
    assert os.path.exists(QUEUE + "/hf" + identifier)
    stage.run(["sendmail", "-Am", "-Q", "-qQ", "-qI" + identifier], check=0)
    # Its flush button, and what it leaves of an entry it deletes.
    stage.run(["sendmail", "-Am", "-v", "-C/etc/mail/sendmail.cf", "-qI" + identifier], check=0)
    for kind in ("qf", "df"):
        os.unlink(QUEUE + "/" + kind + identifier)
    said = stage.run(["mailq", "-Am"], check=0).stdout.decode()
    assert identifier not in said and "Total requests: 3" in said, said


def munin(stage):
    def values(plugin, *arguments):
        done = stage.run(["sh", MUNIN + plugin, *arguments], check=0)
        return dict(re.findall(r"(\w+)\.value (\d+)", done.stdout.decode())), done.stdout.decode()
    stage.run(["sendmail", "-Ac", "-odq", "-oi", "bob"], text="\nx\n", check=0)
    # A held one is not counted, a lost one is.
    held, lost = sorted(stage.queue_files())[-2:]
    os.rename(QUEUE + "/" + lost, QUEUE + "/Q" + lost[1:])
    os.rename(QUEUE + "/" + held, QUEUE + "/h" + held[1:])
    found, said = values("sendmail_mailqueue")
    assert found == {"mails": "3"}, (said, stage.queue_files(), stage.queue_files(CLIENT_QUEUE))
    os.rename(QUEUE + "/Q" + lost[1:], QUEUE + "/" + lost)
    os.rename(QUEUE + "/h" + held[1:], QUEUE + "/" + held)
    for plugin in ("sendmail_mailqueue", "sendmail_mailstats", "sendmail_mailtraffic"):
        said = stage.run(["sh", MUNIN + plugin, "autoconf"]).stdout.decode()
        assert said == "yes\n", (plugin, said)
    # The statistics file counts from the moment it exists.
    write("/var/lib/sendmail/sendmail.st", "")
    queued(stage, 2, "bob")
    stage.expect_message("bob", "x")
    found, said = values("sendmail_mailstats")
    assert (found["received"], found["sent"], found["rejected"]) == ("2", "2", "0"), said
    found, said = values("sendmail_mailtraffic")
    assert int(found["received"]) > 0 and int(found["sent"]) > 0, said


def several_queues(stage):
    for name in ("q1", "q2/qf", "q2/df"):
        os.makedirs(QUEUE + "/" + name, 0o700)
    stage.configure(features="define(`QUEUE_DIR', `/var/spool/mqueue/q*')dnl\n")
    said = check_mailq(stage, "-w", "2", "-c", "4", expected=0)
    assert said.startswith("OK: sendmail mailq is empty"), said
    count = 0
    while not (glob.glob(QUEUE + "/q1/qf*") and glob.glob(QUEUE + "/q2/qf/qf*")):
        queued(stage, 1, "joe@far.test")
        count += 1
        assert count < 40, "entries go to every directory"
    if count < 4:
        queued(stage, 4 - count, "joe@far.test")
        count = 4
    said = check_mailq(stage, "-w", "2", "-c", "4", expected=2)
    assert said.startswith("CRITICAL: sendmail mailq is %d (threshold c = 4)" % count), said
    said = check_mailq(stage, "-w", str(count + 1), "-c", "99", expected=0)
    assert "(%d) is below threshold" % count in said, said
