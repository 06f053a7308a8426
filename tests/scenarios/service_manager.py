"""A service manager hands sockets over and is told when the daemon serves, reloads and ends."""
import os
import signal
import socket

from tools import wait_until

PATH = "/tmp/notify"
PORT = 2525


def run(stage):
    stage.configure()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(60)
    manager.bind(PATH)
    os.environ["NOTIFY_SOCKET"] = PATH
    daemon = stage.daemon()
    assert manager.recv(100) == b"READY=1\nMAINPID=%d\n" % daemon.pid
    daemon.send_signal(signal.SIGHUP)
    assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(100).startswith(b"READY=1\n")
    assert stage.listens()
    stage.end_child(daemon)
    assert manager.recv(100) == b"STOPPING=1\n"
    del os.environ["NOTIFY_SOCKET"]
    activation(stage)


def activation(stage):
    """The address is taken already: only the socket that was handed over can serve it."""
    listener = socket.create_server(("127.0.0.1", PORT))
    ports = "-ODaemonPortOptions=Name=Handed,Addr=127.0.0.1,Port=%d" % PORT
    number = listener.fileno()
    start = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&%d' % number
    daemon = stage.spawn(["sh", "-c", start, "sh", "/usr/sbin/sendmail", "-bD", ports], pass_fds=[number])
    listener.close()
    wait_until("the socket is served", lambda: stage.listens(port=PORT))
    # A reload keeps it.
    daemon.send_signal(signal.SIGHUP)
    wait_until("the reload is logged", lambda: stage.log.having("restarting"))
    assert stage.listens(port=PORT)
    stage.end_child(daemon)
