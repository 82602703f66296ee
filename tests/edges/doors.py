#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Listening sockets: what stands in their way, what is handed over, who may connect."""
import contextlib
import os
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import PASTED, SLOW, Conn, Skip, case, check, equal, free_port, main, post, wait_until  # noqa: E402


def refused(t, *args, fd3=None, umask=None):
    """What a start that is refused says."""
    cmd = [PASTED, "--store", os.path.join(t.dir, "s"), "--class", "fsync", *args]
    if fd3 is not None:
        os.set_inheritable(fd3, True)
        cmd = ["sh", "-c", f'exec 3<&{fd3}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *cmd]
    out = subprocess.run(cmd, capture_output=True, text=True, timeout=60 * SLOW, pass_fds=[] if fd3 is None else [fd3])
    equal(out.returncode, 1, f"exit status: {out.stderr}")
    return out.stderr


@case("a Unix socket whose owner does not accept: the start is refused, not held up by its backlog")
def backlog(t):
    path = os.path.join(t.dir, "sock")
    with contextlib.ExitStack() as all_of_them:
        owner = all_of_them.enter_context(socket.socket(socket.AF_UNIX))
        owner.bind(path)
        owner.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                k = all_of_them.enter_context(socket.socket(socket.AF_UNIX))
                k.setblocking(False)
                k.connect(path)
            check(False, "its backlog has no end")
        said = refused(t, "--listen", "unix:" + path)
        check("Address already in use" in said and path in said, said)
        check("is in use: waiting two seconds" in said, "silent meanwhile:", said)
    check(stat.S_ISSOCK(os.stat(path).st_mode), "the other one's socket was removed")


@case("a Unix socket for datagrams is in the way: the start is refused")
def datagrams_in_the_way(t):
    path = os.path.join(t.dir, "sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as owner:
        owner.bind(path)
        said = refused(t, "--listen", path)
        check("Address already in use" in said, said)


@case("what a service manager hands over that nobody can connect to is refused in words")
def handed_over(t):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    packets.bind(os.path.join(t.dir, "packets"))
    packets.listen(1)
    with open(os.path.join(t.dir, "file"), "w") as f:
        for name, thing in (("datagrams", udp), ("not listening", deaf), ("packets", packets), ("a file", f)):
            said = refused(t, fd3=thing.fileno())
            check("descriptor 3" in said and "ListenStream=" in said and "listening on" not in said, name, said)
    for k in (udp, deaf, packets):
        k.close()


def has_ipv6():
    try:
        free_port(socket.AF_INET6)
    except OSError as e:
        raise Skip(f"no IPv6: {e}") from None


@case("0.0.0.0 and [::] of one port, in either order; [::] alone serves both", each=True, classes="syncs")
def wildcards(t):
    has_ipv6()
    for listen in (["0.0.0.0:{}", "[::]:{}"], ["[::]:{}", "0.0.0.0:{}"], ["[::]:{}"], ["127.0.0.1:{}", "[::]:{}"]):
        port = free_port()
        listen = [a.format(port) for a in listen]
        s = t.server(listen=listen, settings={"workers": "2"})
        for a in ("127.0.0.1", "[::1]"):
            with Conn(f"{a}:{port}") as c:
                post(c, "/", a.encode())
        said = s.said()
        check(all(a in said for a in listen), said)
        s.stop_clean()


@case("a Unix socket has the mode that was asked for, whatever the umask is", each=True, rings=["socket"],
      classes="syncs")
def modes(t):
    path = os.path.join(t.dir, "sock")
    for umask in (0o000, 0o022, 0o177):
        for mode in (None, "0660", "666", "0600"):
            s = t.a_server(listen=["unix:" + path], settings={"unix-mode": mode} if mode else {})
            before = os.umask(umask)
            try:
                s.start()
            finally:
                os.umask(before)
            equal(f"{stat.S_IMODE(os.stat(path).st_mode):o}", (mode or "0600").lstrip("0"), f"umask {umask:o}, {mode}")
            with s.connect() as c:
                post(c, "/", b"1")
            s.stop_clean()
            wait_until(lambda: not os.path.exists(path), 10, "the socket's file was left behind")


if __name__ == "__main__":
    main()
