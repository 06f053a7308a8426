"""Ten load generators side by side, ten Maildirs: every message arrives exactly once."""
from tools import wait_until

USERS = ["u%d" % n for n in range(10)]


def run(stage):
    stage.configure()
    for user in USERS:
        stage.maildir(user)
    done = stage.run(["sendmail", "-bt"], text="")
    assert done.returncode == 0 and b"arning" not in done.stdout + done.stderr, done
    stage.daemon()
    clients = [stage.spawn(stage.postfix_tool(
        "smtp-source", "-s", 4, "-m", 100, "-l", 4096, "-f", "sender@stage.test",
        "-t", user + "@stage.test", "127.0.0.1:25")) for user in USERS]
    for client in clients:
        assert client.wait(300) == 0, "a load generator failed"

    def arrived():
        return sum(len(stage.messages(user)) for user in USERS) >= 1000
    wait_until("1000 messages", arrived, 240)
    mail = [message for user in USERS for message in stage.messages(user)]
    assert len(mail) == 1000, len(mail)
    assert len({message["Message-Id"] for message in mail}) == 1000
    for user in USERS:
        assert len(stage.messages(user)) == 100, user
    wait_until("the queue is empty", lambda: not stage.queue_files())
    assert not stage.log.having("WARNING"), stage.log.having("WARNING")
