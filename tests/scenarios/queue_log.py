"""What is in the log about queued messages: quarantine by hand, and the priority of a message
that is read again in the background.

Observed: 8.17.1.9.
"""
import os
import re
import subprocess

import cases
from stage import write
from tools import wait_until

CF = """O QueueLA=1000
O ForwardPath=/etc/$u.forward
S3
R$*<$*>$*\t$@ $2
S0
R$+\t$#local $: $1
Mlocal, P=/bin/sh, F=lsDFMnuwA5:/|@q, A=sh /etc/keep $u
H?D?Date: $a
"""
C = "-C/etc/t/c.cf"


def run(stage):
    os.makedirs("/var/spool/cases", 0o700)
    write("/etc/keep", cases.KEEP)
    write("/etc/t/c.cf", cases.HEAD.replace("LogLevel=0", "LogLevel=9") + CF)
    quarantine_is_logged(stage)
    priority_in_the_background(stage)


def quarantine_is_logged(stage):
    stage.run(["sendmail", C, "-odq", "-f", "root", "root"], text="Subject: x\n\nx\n", check=0)
    begin = len(stage.log.lines)
    for how, where in [("-Qone", "-qSroot"), ("-Qone", "-qQ"), ("-Qtwo words", "-qQ"),
                       ("-Q", "-qQ"), ("-Q", "-qSroot"), ("-Qthree", "-qSroot")]:
        # It is logged whatever the LogLevel.
        said = stage.run(["sendmail", C, "-OLogLevel=0", how, where], check=0)
        assert not said.stdout, said
    wait_until("all is logged", lambda: len(stage.log.lines) >= begin + 4)
    lines = [re.sub(r".*\]: \w+: ", "", line) for line in stage.log.lines[begin:]]
    assert lines == ["quarantine=one", "quarantine=two words", "unquarantine", "quarantine=three"], lines


def priority_in_the_background(stage):
    write("/etc/root.forward", "\\root, daemon\n")
    child = subprocess.Popen(["sendmail", C, "-odb", "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in ["HELO x", "MAIL FROM:<root>", "RCPT TO:<root>", "DATA", "Date: x\r\n\r\nx\r\n.", "QUIT"]:
        child.stdout.readline()
        child.stdin.write(line.encode() + b"\r\n")
        child.stdin.flush()
    child.wait(20)
    wait_until("both are delivered", lambda: len(stage.log.having("stat=Sent")) == 2)
    found = {re.search(r"pri=(\d+)", line).group(1) for line in stage.log.having("stat=Sent")}
    # Two recipients, and the size of the message with its header as the queue has it.
    assert found == {"60009"}, (found, stage.log.lines)
