#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A stop that everybody is told of, and who may come in: a balancer sees readyz, then refused
connections, or 503 where the sockets are a service manager's; and as many connections as may
be, no descriptor more."""
import os
import resource
import signal
import socket
import subprocess

from harness import Conn, SLOW, case, check, die_with_parent, equal, main, ms, post, request, wait_until


def refused(s):
    try:
        s.connect(timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def upload(s):
    """Something in flight that keeps the drain going: all but its last byte."""
    c = s.connect()
    c.send(request("POST", "/up", b"u" * 1000)[:-1])
    return c


@case("after SIGTERM connections are refused, what is in flight is finished", each=True)
def refuses(t):
    s = t.server(settings={"drain-timeout": "30s"})
    up = upload(s)
    idle = s.connect()
    post(idle, "/x", b"x")
    s.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: refused(s), 20, "new connections are accepted")
    check(idle.closed(), "an idle connection is closed")
    up.send(b"u")
    r = up.reply()
    equal((r.status, r.get("Connection")), (200, "close"), r)
    equal(s.proc.wait(30 * SLOW), 0, "exit status")


@case("drain-delay: all is served, readyz says draining", each=True, classes="wal")
def delays(t):
    s = t.server(settings={"drain-delay": ms(1500), "drain-timeout": "30s"})
    up = upload(s)
    s.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: b"draining" in s.ask("GET", "/-/readyz").body, 20, "readyz does not say it")
    equal(s.ask("GET", "/-/readyz").status, 503, "readyz")
    with s.connect() as c:
        post(c, "/y", b"y")
    wait_until(lambda: refused(s), 20, "new connections are accepted after the delay")
    up.send(b"u")
    equal(up.reply().status, 200, "what was in flight")
    equal(s.proc.wait(30 * SLOW), 0, "exit status")


@case("sockets that were handed over stay open: 503 and close", each=True, classes="wal")
def handed_over(t):
    s = t.a_server(settings={"drain-timeout": "30s"})
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    s.listen = [f"127.0.0.1:{door.getsockname()[1]}"]

    def before():
        die_with_parent()
        os.dup2(door.fileno(), 3)
    with open(s.errors, "ab") as err:
        s.proc = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'] + s.command(),
                                  stdin=subprocess.DEVNULL, stdout=err, stderr=err, pass_fds=(3,), preexec_fn=before)
    wait_until(s.ready, 30, "it is not ready: " + s.said())
    up, asks = upload(s), s.connect()
    asks.send(b"GET /-/metrics HTTP/1.1\r\nHost: x\r\n")
    wait_until(lambda: s.metrics().sum("pasted_connections_open") >= 3, 20, "they do not come")
    s.proc.send_signal(signal.SIGTERM)
    r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(s.ask("POST", "/late", b"l" * 5000)), 20, "no 503")
    equal((r.get("Connection"), r.name), ("close", None), r)
    equal(s.ask("GET", "/-/livez").status, 200, "livez")
    asks.send(b"\r\n")
    check(b'reason="draining"} 0' not in asks.reply().body, "refused_total does not count")
    up.send(b"u")
    equal(up.reply().status, 200, "what was in flight")
    equal(s.proc.wait(30 * SLOW), 0, "exit status")
    check(Conn(s.listen[0], 5), "the socket is the manager's, and open")


@case("no more connections than may be are accepted; the others wait their turn", each=True, classes="wal")
def no_more(t):
    s = t.server(settings={"conns-max": "40", "idle-timeout": "60s"})
    before = s.descriptors()
    conns = [s.connect() for _ in range(200)]
    wait_until(lambda: s.descriptors() >= before + 38, 20, "they are not accepted")
    for _ in range(20):
        check(s.descriptors() <= before + 42, "accepted beyond conns-max:", s.descriptors() - before)
    for i, c in enumerate(conns):   # whoever is in goes, and the next comes in
        equal(c.ask("POST", "/x", str(i).encode()).status, 200, f"client {i}")
        c.close()


def limit_of(fds, free):
    """The limit under which so many more can be opened."""
    limit = 0
    while free:
        free -= limit not in fds
        limit += 1
    return limit


@case("out of descriptors: told and counted, and on when there are some", each=True, classes="wal")
def out_of_files(t):
    s = t.server(settings={"conns-max": "1000"})
    soft, hard = resource.prlimit(s.pid, resource.RLIMIT_NOFILE)

    def fds():
        return {int(n) for n in os.listdir(f"/proc/{s.pid}/fd")}
    with s.connect() as keep:
        post(keep, "/x", b"x")
        few = len(fds())
        for turn in range(2):
            wait_until(lambda: len(fds()) <= few + 3, 20, "the connections of the last turn stay open")
            told = s.said().count("connections cannot be accepted")
            resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (limit_of(fds(), 4), hard))
            more = [s.connect() for _ in range(60)]
            wait_until(lambda: s.said().count("connections cannot be accepted") > told, 20, "it is not told")
            m = keep.ask("GET", "/-/metrics").body.decode()
            check('pasted_accept_failures_total{worker="0"} 0' not in m, "it is not counted")
            resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (soft, hard))
            for c in more:
                post(c, "/x", b"x")
                c.close()


if __name__ == "__main__":
    main()
