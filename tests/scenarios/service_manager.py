"""Whoever names a notification socket is told when the daemon serves, reloads and ends."""
import os
import signal
import socket

PATH = "/tmp/notify"


def run(stage):
    stage.configure()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(20)
    manager.bind(PATH)
    os.environ["NOTIFY_SOCKET"] = PATH
    daemon = stage.daemon()
    serving = b"READY=1\nMAINPID=%d" % daemon.pid
    assert manager.recv(100) == serving
    daemon.send_signal(signal.SIGHUP)
    assert manager.recv(100) == b"RELOADING=1"
    assert manager.recv(100) == serving
    assert stage.listens()
    stage.end_child(daemon)
    assert manager.recv(100) == b"STOPPING=1"
