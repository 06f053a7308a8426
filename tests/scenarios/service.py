"""What `make install` puts in place: paths, modes, and an init script that runs the service.

Argument: the folder it was installed into, seen from the project.
"""
import os
import shutil
import stat
import sys

from tools import wait_until


def run(stage):
    tree = "/project/" + sys.argv[1]
    paths_and_modes(tree)
    stage.configure()
    shutil.copytree(tree, "/installed", symlinks=True)
    # The program of the tree serves; the script is told where it lies.
    os.makedirs("/etc/default", exist_ok=True)
    with open("/etc/default/sendmail", "w") as f:
        f.write("SENDMAIL_OPTS=-q1h30m\n")
    service(stage, "/installed/etc/init.d/sendmail")


def paths_and_modes(tree):
    wanted = {}
    with open("/project/etc/manifest") as f:
        for line in f:
            if not line.startswith("#"):
                kind, mode, path, *target = line.split()
                wanted[path] = (kind, mode, target)
    found = set()
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(folder, name)
            shown = path[len(tree):]
            if os.path.isdir(path) and not os.path.islink(path) and shown not in wanted:
                assert any(other.startswith(shown + "/") for other in wanted), "not in the list: " + shown
                continue
            found.add(shown)
    assert found == set(wanted), (found ^ set(wanted))
    for path, (kind, mode, target) in wanted.items():
        facts = os.lstat(tree + path)
        if kind == "l":
            assert os.readlink(tree + path) == target[0], path
            continue
        assert stat.S_ISDIR(facts.st_mode) == (kind == "d"), path
        # Without the group smmsp on the machine the program is not set-group-id.
        modes = {mode, "755"} if path == "/usr/sbin/sendmail" else {mode}
        assert "%o" % stat.S_IMODE(facts.st_mode) in modes, (path, oct(facts.st_mode))


def service(stage, script):
    def act(action, check=0):
        return stage.run([script, action], check=check).stdout.decode()

    assert "not running" in act("status", 3)
    act("start")
    wait_until("the daemon listens", stage.listens)
    with open("/run/sendmail/mta/sendmail.pid") as f:
        pid, command = int(f.readline()), f.readline().strip()
    assert command.endswith("-bd -q1h30m"), command
    assert str(pid) in act("status")
    assert stage.log.having("starting daemon", "SMTP+queueing@01:30:00")
    assert "already" in act("start")

    act("reload")
    wait_until("the restart is logged", lambda: stage.log.having("restarting"))
    wait_until("the daemon listens again", stage.listens)
    assert str(pid) in act("status"), "the process id changed"
    stage.maildir("bob")
    stage.smtp("ann@stage.test", ["bob@stage.test"], "Subject: after reload\n\nhello\n")
    stage.expect_message("bob", "after reload")

    act("restart")
    wait_until("the daemon listens after a restart", stage.listens)
    assert str(pid) not in act("status")
    act("stop")
    assert "not running" in act("status", 3)
    assert not stage.listens()
    assert not os.path.exists("/run/sendmail/mta/sendmail.pid")
    act("no-such-action", 2)
