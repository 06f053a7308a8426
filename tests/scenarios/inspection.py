"""--check and --explain with Debian's own configuration: what they find, and that they change nothing."""
import json
import os

from stage import write

ALIASES = """postmaster: root
team: ann, joe@far.test, :include:/srv/list, "|/bin/cat"
again: u0
"""

# Every line is wrong in its own way; the code that is to be reported stands behind it.
BROKEN = """O NoSuchOption=1	unknown-option
O LogLevel=much	bad-number
O MatchGECOS=maybe	bad-boolean
Kwrong hsah /etc/mail/x	unknown-map-class
Kgone hash /etc/mail/gone	missing-map-file
Mnew, P=/bin/cat, F=lsY, S=NoSuchRuleset, A=cat	unknown-mailer-flag undefined-ruleset
Zwhat	unknown-line"""


def snapshot():
    """Everything below the folders that mail lives in, with times and sizes."""
    found = {}
    for top in ("/etc/mail", "/var/spool", "/var/mail", "/var/lib/sendmail", "/home", "/srv"):
        for folder, _, files in os.walk(top):
            for name in files + ["."]:
                facts = os.lstat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (facts.st_mtime_ns, facts.st_size, facts.st_mode)
    return found


def run(stage):
    write("/srv/list", "bob\nagain\n", 0o644)
    write("/home/u0/.forward", "u1, \\u0\n", 0o644, "u0")
    stage.zone["far.test"] = [("MX", 20, "second.far.test"), ("MX", 10, "first.far.test")]
    stage.zone["first.far.test"] = [("A", "192.0.2.1")]
    stage.zone["second.far.test"] = [("A", "192.0.2.2")]
    stage.configure(aliases=ALIASES)
    before = snapshot()

    for file in ("/etc/mail/sendmail.cf", "/etc/mail/submit.cf"):
        problems = check(stage, file, 0)
        loud = [p for p in problems if p["severity"] != "hint"]
        assert not loud, loud
    text = output(stage, ["--check"])
    assert "/etc/mail/sendmail.cf: 0 errors" in text.splitlines()[-1], text

    broken(stage)
    explained(stage)
    for words in (["--check", "nonsense"], ["--explain"], ["--explain", "a", "b"], ["--explain", "a", "-x"]):
        stage.run(["sendmail"] + words, check=64)

    os.unlink("/etc/mail/broken.cf")
    after = snapshot()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {"/etc/mail/."}, changed
    assert not stage.log.having("from="), stage.log.lines


def output(stage, words, status=0):
    return stage.run(["sendmail"] + words, check=status).stdout.decode()


def check(stage, file, status):
    text = output(stage, ["--check", "-C", file, "--json"], status)
    return [json.loads(line) for line in text.splitlines()]


def broken(stage):
    with open("/etc/mail/sendmail.cf") as f:
        sound = f.read()
    lines = [line.split("\t") for line in BROKEN.splitlines()]
    write("/etc/mail/broken.cf", sound + "".join(line + "\n" for line, _ in lines))
    first = sound.count("\n") + 1
    found = {}
    for problem in check(stage, "/etc/mail/broken.cf", 78):
        assert problem["file"] == "/etc/mail/broken.cf" and problem["column"] >= 1, problem
        found.setdefault(problem["line"], set()).add(problem["code"])
    for number, (line, codes) in enumerate(lines, first):
        assert found.get(number, set()) >= set(codes.split()), (line, found.get(number))


def explained(stage):
    text = output(stage, ["--explain", "team", "-f", "cid", "--json"])
    answer = json.loads(text)
    [team] = answer["recipients"]
    assert team["outcome"] == "alias" and team["alias"].startswith("ann, joe@far.test"), team
    assert [step["name"] for step in team["rewriting"]][:2] == ["canonify", "parse"], team["rewriting"]
    assert all(rule["line"] > 0 for rule in team["rewriting"][0]["steps"])
    members = {member["address"]: member for member in team["members"]}

    ann = members["ann"]
    assert ann["mailer"] == "local" and ann["outcome"] == "delivery", ann
    assert ann["delivery"]["way"] == "program" and "ann" in " ".join(ann["delivery"]["argv"]), ann

    joe = members["joe@far.test"]
    assert joe["mailer"] in ("esmtp", "relay"), joe
    hosts = [(h["preference"], h["host"], h["addresses"], h["port"]) for h in joe["delivery"]["hosts"]]
    assert hosts == [(10, "first.far.test.", ["192.0.2.1"], 25), (20, "second.far.test.", ["192.0.2.2"], 25)], hosts
    assert joe["delivery"]["sender"] == "cid@mx.stage.test", joe["delivery"]

    pipe = members['"|/bin/cat"']
    assert pipe["mailer"] == "prog" and pipe["delivery"]["argv"][-1] == "/bin/cat", pipe
    listed = members[":include:/srv/list"]
    assert listed["outcome"] == "list", listed
    again = {member["address"]: member for member in listed["members"]}["again"]
    assert again["outcome"] == "alias" and again["alias"] == "u0", again
    [forwarded] = again["members"]
    assert forwarded["outcome"] == "forward" and forwarded["forward"] == "/home/u0/.forward", forwarded
    assert {member["address"] for member in forwarded["members"]} == {"u1", "\\u0"}, forwarded

    text = output(stage, ["--explain", "joe@far.test"])
    assert "MX 10 first.far.test" in text and "peer: 192.0.2.1:25" in text, text
    assert "sendmail.cf:" in text and "ruleset canonify (3)" in text, text
    missed = output(stage, ["--explain", "joe@far.test", "-v"])
    assert "no match" in missed and "no match" not in text

    text = output(stage, ["--explain", "nosuchuser"], 67)
    assert "FAILS: User unknown" in text, text
    text = output(stage, ["--explain", "joe@nosuchhost.test"])
    assert "FAILS: host not found" in text, text
