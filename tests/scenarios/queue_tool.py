"""`sendmail --queue`: each action and its answer, who may, and queue runners of both programs meanwhile."""
import glob
import json
import os
import signal
import subprocess

from stage import write
from tools import QUEUE, REAL_SENDMAIL, wait_until

OURS = "/usr/sbin/sendmail"
FEATURES = """define(`confTRUSTED_USER', `smmta')dnl
QUEUE_GROUP(`slow', `P=/var/spool/mqueue/slow')dnl
"""
RACERS = 30
STEP = 6


def run(stage):
    os.makedirs(QUEUE + "/slow", 0o700)
    stage.zone["far.test"] = [("A", "127.0.0.9")]
    for user in ("ann", "bob", "u1"):
        stage.maildir(user)
    stage.configure(features=FEATURES)
    actions(stage)
    selections(stage)
    permissions(stage)
    watched(stage)
    races(stage)


def queued(stage, *recipients, sender="ann@stage.test", subject="x", arguments=()):
    """Queues a message and returns its identifier."""
    before = set(stage.queue_files())
    stage.run([OURS, "-Am", "-odq", "-oi", "-f", sender, *arguments, *recipients],
              text="Subject: %s\n\nhello\n" % subject, check=0)
    [name] = [n[2:] for n in set(stage.queue_files()) - before if n.startswith("qf")]
    return name


def text_of(path):
    with open(path, encoding="latin-1") as f:
        return f.read()


def asked(stage, *words, check=0, user="root"):
    done = stage.run([OURS, "--queue", *words], check=check, user=user)
    return done.stdout.decode()


def answers(stage, *words, check=0):
    return [json.loads(line) for line in asked(stage, *words, "--json", check=check).splitlines()]


def outcomes(stage, *words, check=0):
    return {answer["id"]: (answer["outcome"], answer["detail"]) for answer in answers(stage, *words, check=check)}


def actions(stage):
    first = queued(stage, "bob", "joe@far.test", subject="first", arguments=["-N", "failure", "-V", "env1"])
    path = QUEUE + "/qf" + first
    before = text_of(path)

    # Looking changes nothing.
    [entry] = answers(stage, "list")
    assert (entry["id"], entry["state"], entry["sender"]) == (first, "waiting", "ann@stage.test"), entry
    assert [r["address"] for r in entry["recipients"]] == ["bob", "joe@far.test"], entry
    assert entry["group"] == "mqueue" and entry["queue"] == QUEUE and entry["size"] == 6, entry
    assert entry["envelope_id"] == "env1" and entry["recipients"][0]["notify"] == ["failure"], entry
    [shown] = answers(stage, "show", first)
    assert shown["body"] == "hello\n" and {"name": "Subject", "value": "first", "condition": ""} in shown["header"]
    text = asked(stage, "show", first)
    assert "Subject: first\n" in text and text.endswith("\nhello\n"), text
    assert outcomes(stage, "delete", first, "--dry-run") == {first: ("planned", "")}
    assert text_of(path) == before

    # Held is what the real program holds and shows, and released is as before.
    assert outcomes(stage, "hold", first, "--reason", "look at it") == {first: ("done", "look at it")}
    assert stage.queue_files() == ["df" + first, "hf" + first], stage.queue_files()
    for program in (REAL_SENDMAIL, OURS):
        said = stage.run([program, "-Am", "-bp", "-qQ"], check=0).stdout.decode()
        assert first in said and "QUARANTINE: look at it" in said, said
        said = stage.run([program, "-Am", "-bp"], check=0).stdout.decode()
        assert first not in said, said
        stage.run([program, "-Am", "-qf"], check=0)
        assert stage.queue_files() == ["df" + first, "hf" + first], (program, stage.queue_files())
    assert outcomes(stage, "hold", first, check=66) == {first: ("absent", "it is held")}
    assert outcomes(stage, "release", first) == {first: ("done", "")}
    assert text_of(path) == before, text_of(path)
    # What the real program holds, ours releases.
    stage.run([REAL_SENDMAIL, "-Am", "-Qtheir reason", "-qI" + first], check=0)
    [entry] = answers(stage, "list", "--held")
    assert (entry["id"], entry["quarantine"], entry["state"]) == (first, "their reason", "held"), entry
    assert outcomes(stage, "release", "--all") == {first: ("done", "")}

    # Into another group and back; the body goes with it.
    assert outcomes(stage, "move", first, "--to", "slow") == {first: ("done", QUEUE + "/slow")}
    assert stage.queue_files() == [] and stage.queue_files(QUEUE + "/slow") == ["df" + first, "qf" + first]
    assert answers(stage, "list", "--group", "slow")[0]["group"] == "slow"
    assert outcomes(stage, "move", first, "--to", "slow") == {first: ("done", "it is there already")}
    assert outcomes(stage, "move", "--group", "slow", "--to", "mqueue") == {first: ("done", QUEUE)}
    assert text_of(path) == before

    # Tried now: one has it, one waits and says why.
    [(outcome, detail)] = outcomes(stage, "retry", first).values()
    assert outcome == "done" and detail.startswith("1 of 2 wait: Deferred"), detail
    stage.expect_message("bob", "first")
    [entry] = answers(stage, "list")
    assert [r["address"] for r in entry["recipients"]] == ["joe@far.test"], entry
    assert entry["attempts"] == 1 and entry["status"].startswith("Deferred"), entry
    assert first in answers(stage, "list", "--status", "refused")[0]["id"]
    assert not answers(stage, "list", "--status", "no space", check=66)

    # Returned now: the sender is told why.
    said = asked(stage, "bounce", first, "--reason", "No such project any more")
    assert said.startswith(first + ": returned (from ann@stage.test to joe@far.test)\n1 returned\n"), said
    report = stage.expect_message("ann", "Returned mail: see transcript for details")
    text = report.as_string()
    assert "No such project any more" in text and "joe@far.test" in text and "Action: failed" in text, text
    assert report.get_content_type() == "multipart/report" and "Original-Envelope-Id: env1" in text, text
    assert stage.queue_files() == []

    # Deleted: nobody is told.
    gone = queued(stage, "bob", subject="gone")
    assert outcomes(stage, "delete", gone) == {gone: ("done", "")}
    assert stage.queue_files() == []
    assert outcomes(stage, "delete", gone, check=66) == {gone: ("absent", "not in the queue")}
    assert stage.log.having(gone + ": deleted by root, from=ann@stage.test, nrcpts=1"), stage.log.lines[-5:]

    # Lost: shown, released into the queue.
    lost = queued(stage, "bob", subject="lost")
    os.rename(QUEUE + "/qf" + lost, QUEUE + "/Qf" + lost)
    assert [e["state"] for e in answers(stage, "list", "--lost")] == ["lost"]
    assert outcomes(stage, "release", lost, "--lost") == {lost: ("done", "")}
    assert outcomes(stage, "retry", lost) == {lost: ("done", "delivered")}
    stage.expect_message("bob", "lost")

    # A damaged control file is not made a message, but can be deleted.
    with open(QUEUE + "/qfdamaged1", "w") as f:
        f.write("V8\nT1\n")
    os.chmod(QUEUE + "/qfdamaged1", 0o600)
    assert outcomes(stage, "hold", "damaged1", check=71) == {
        "damaged1": ("failed", "its control file is damaged")}
    assert outcomes(stage, "delete", "damaged1") == {"damaged1": ("done", "")}
    assert stage.queue_files() == []


def selections(stage):
    ids = {name: queued(stage, recipient, sender=sender) for name, recipient, sender in [
        ("a", "joe@far.test", "ann@stage.test"), ("b", "joe@sub.far.test", "joanna@stage.test"),
        ("c", "bob", "<>")]}
    old = QUEUE + "/qf" + ids["c"]
    text = text_of(old).split("\n")
    text[1] = "T%d" % (int(text[1][1:]) - 3 * 86400)
    with open(old, "w", encoding="latin-1") as f:
        f.write("\n".join(text))
    for words, expected in [
        (["--sender", "ann@stage.test"], "a"), (["--sender", "*ann*"], "ab"), (["--sender", "<>"], "c"),
        (["--recipient", "JOE@FAR.TEST"], "a"), (["--recipient", "joe@*", "--recipient", "bob"], "abc"),
        (["--host", "far.test"], "a"), (["--host", "*far.test"], "ab"), (["--older", "2d"], "c"),
        (["--newer", "1h"], "ab"), (["--sender", "ann*", "--host", "sub.far.test"], ""),
        ([ids["b"], ids["c"]], "bc"), ([], "abc"),
    ]:
        listed = {entry["id"] for entry in answers(stage, "list", *words, check=0 if expected else 66)}
        assert listed == {ids[name] for name in expected}, (words, listed, ids)
    # Nothing is changed without saying which.
    said = stage.run([OURS, "--queue", "delete"], check=64).stderr.decode()
    assert "--all means every one" in said and "usage:" in said, said
    assert len(answers(stage, "list")) == 3
    # Somebody works on it: told and left alone.
    holder = subprocess.Popen(["flock", QUEUE + "/qf" + ids["a"], "sleep", "60"], start_new_session=True)
    stage.children.append(holder)
    wait_until("it is locked", lambda: answers(stage, "list", ids["a"])[0]["state"] == "active")
    found = outcomes(stage, "delete", "--all", check=75)
    assert found == {ids["a"]: ("busy", ""), ids["b"]: ("done", ""), ids["c"]: ("done", "")}, found
    for words in (["hold", ids["a"]], ["bounce", ids["a"]], ["retry", ids["a"]],
                  ["move", ids["a"], "--to", "slow"], ["delete", ids["a"], "--dry-run"]):
        assert outcomes(stage, *words, check=75) == {ids["a"]: ("busy", "")}, words
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    assert asked(stage, "delete", ids["a"], "--sender", "bob", check=66).startswith(
        ids["a"] + ": not deleted: does not fit"), "a second condition holds"
    asked(stage, "delete", ids["a"])
    assert answers(stage, "list") == []


def permissions(stage):
    name = queued(stage, "bob")
    for folder in (QUEUE, QUEUE + "/slow"):
        os.chmod(folder, 0o755)
    os.chmod(QUEUE + "/qf" + name, 0o644)
    for words in (["show", name], ["hold", name], ["release", name], ["delete", name], ["bounce", name],
                  ["retry", name], ["move", name, "--to", "slow"]):
        done = stage.run([OURS, "--queue", *words], user="ann", check=77)
        assert b"only root and the TrustedUser" in done.stderr, done
    # The group of the submission queue is that of the program, and no help to who calls himself trusted.
    stage.run([OURS, "-Ac", "-odq", "-oi", "bob"], user="ann", text="Subject: own\n\nmine\n", check=0)
    files = stage.queue_files(QUEUE + "-client")
    mine = files[1][2:]
    assert files == ["df" + mine, "qf" + mine], files
    assert json.loads(asked(stage, "list", "-Ac", "--json", user="ann"))["id"] == mine
    for words in (["show", mine], ["hold", mine], ["delete", mine], ["bounce", mine], ["retry", mine]):
        done = stage.run([OURS, "--queue", *words, "-Ac", "-OTrustedUser=ann"], user="ann", check=78)
        assert b"mine" not in done.stdout, done
    assert stage.queue_files(QUEUE + "-client") == files
    asked(stage, "delete", mine, "-Ac")
    restricted = ["-OPrivacyOptions=restrictmailq"]
    assert json.loads(asked(stage, "list", "--json", user="ann"))["id"] == name
    for arguments in (["sendmail", "--queue", "list"], ["mailq", "--json"], ["mailq", "--watch"]):
        done = stage.run(arguments + restricted, user="ann", check=77)
        assert b"not permitted" in done.stderr and not done.stdout, done
    for path in [QUEUE, QUEUE + "/slow", *glob.glob(QUEUE + "/?f*")]:
        os.chown(path, 112, 112)
    assert "held" in asked(stage, "hold", name, user="smmta")
    assert "deleted" in asked(stage, "delete", name, user="smmta")
    for folder in (QUEUE, QUEUE + "/slow"):
        os.chown(folder, 0, 0)
        os.chmod(folder, 0o700)


def watched(stage):
    first = queued(stage, "joe@far.test")
    output = open("/tmp/watch.out", "w+")
    child = stage.spawn(["mailq", "--watch=1", "--json"], stdout=output)

    def events():
        with open("/tmp/watch.out") as f:
            # The last line may be half written.
            lines = f.read().split("\n")[:-1]
        return [(e["event"], e["id"], e.get("entry", {}).get("state")) for e in map(json.loads, lines)]
    wait_until("what is there is told", lambda: events() == [("present", first, "waiting")])
    second = queued(stage, "bob")
    wait_until("a new one is told", lambda: events()[1:] == [("added", second, "waiting")])
    asked(stage, "hold", first)
    wait_until("a change is told", lambda: events()[2:] == [("changed", first, "held")])
    asked(stage, "delete", "--all")
    wait_until("the end is told", lambda: sorted(events()[3:]) == sorted(
        [("removed", first, None), ("removed", second, None)]))
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == -signal.SIGINT
    # On a terminal the listing is drawn.
    leader, terminal = os.openpty()
    child = stage.spawn(["mailq", "--watch=1"], stdout=terminal)
    os.close(terminal)
    said = b""
    while b"Total requests: 0" not in said:
        said += os.read(leader, 4096)
    assert said.startswith(b"\x1b[H\x1b[2J") and b"is empty" in said, said
    child.send_signal(signal.SIGINT)
    child.wait(60)


def races(stage):
    """A runner delivers while the tool deletes and holds: every message ends in exactly one way."""
    # A delivery takes its time, so that there is something to meet.
    write("/home/u1/.procmailrc", ":0\n* ? /bin/sleep 0.05\n/home/u1/Maildir/\n", 0o600, "u1")
    for round, (runner, program) in enumerate([("ours", OURS), ("theirs", REAL_SENDMAIL)]):
        ids = {}
        for n in range(RACERS):
            subject = "race %d.%d" % (round, n)
            ids[queued(stage, "u1", subject=subject)] = subject
        names = list(ids)
        runners = [stage.spawn([program, "-Am", "-qf"], stdout=subprocess.DEVNULL) for _ in range(2)]
        told = {}
        # Always those that the runners, who go by age, come to next.
        for n in range(2, RACERS, STEP):
            wait_until("the runners come to number %d" % n, lambda: len(stage.messages("u1")) + len(
                [1 for _, outcome in told.values() if outcome == "done"]) >= round * RACERS + n or all(
                    child.poll() is not None for child in runners))
            action = ("delete", "hold")[n // STEP % 2]
            done = stage.run([OURS, "--queue", action, "--json", *names[n:n + STEP // 2]])
            for answer in map(json.loads, done.stdout.splitlines()):
                told[answer["id"]] = (action, answer["outcome"])
        for child in runners:
            assert child.wait(60) == 0, (runner, child.returncode)
        stage.run([program, "-Am", "-qf"], check=0)
        held = {n[2:] for n in stage.queue_files() if n.startswith("hf")}
        counts = {}
        for message in stage.messages("u1"):
            counts[message["Subject"]] = counts.get(message["Subject"], 0) + 1
        for name, subject in ids.items():
            action, outcome = told.get(name, ("none", "absent"))
            assert outcome in ("done", "busy", "absent"), (name, outcome)
            expected = 0 if outcome == "done" else 1
            assert counts.get(subject, 0) == expected, (runner, name, action, outcome, counts.get(subject))
            assert (name in held) == ((action, outcome) == ("hold", "done")), (runner, name, action)
        print(runner, sorted((t, list(told.values()).count(t)) for t in set(told.values())))
        if held:
            asked(stage, "release", "--all")
        stage.run([program, "-Am", "-qf"], check=0)
        for name in held:
            stage.expect_message("u1", ids[name])
        wait_until("nothing is left", lambda: not stage.queue_files())
