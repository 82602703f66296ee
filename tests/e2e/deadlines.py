#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Deadlines: who kept its promise is never late because of us; who keeps us waiting always
has a deadline.  A stall is a SIGSTOP that is longer than the deadline."""
import contextlib
import signal
import socket
import time

from harness import Conn, SLOW, case, check, equal, main, ms, post, request, wait_until

SHORT = {"header-timeout": ms(1500), "body-timeout": ms(1500), "idle-timeout": ms(1500), "write-timeout": ms(1500)}


@contextlib.contextmanager
def stalled(s, seconds):
    """The server does nothing, longer than each of its timeouts."""
    s.proc.send_signal(signal.SIGSTOP)
    try:
        yield
        time.sleep(seconds * SLOW)
    finally:
        s.proc.send_signal(signal.SIGCONT)


def status(c):
    try:
        return c.reply().status
    except (OSError, EOFError) as e:
        return repr(e)


@case("a stall longer than each timeout: requests that lie in the socket are answered", each=True)
def stall(t):
    s = t.server(settings=SHORT)
    whole = request("POST", "/x", b"b" * 5000)
    for turn in range(2):
        # what was there before the stall: nothing, some of the head, some of the body
        conns = [(s.connect(), k) for k in (0, 20, len(whole) - 3000) for _ in range(60)]
        for c, k in conns:
            c.send(whole[:k])
        m = wait_until(lambda: s.metrics().sum("pasted_connections_open") > len(conns), 20, "they do not all come")
        check(m)
        with stalled(s, 2.5):
            for c, k in conns:
                c.send(whole[k:])
            late = [s.connect() for _ in range(20)]     # these wait to be accepted
            for c in late:
                c.send(whole)
        for c, _ in conns:
            equal(status(c), 200, "one that was in time")
        for c in late:
            equal(status(c), 200, "one that came during the stall")
        for c, k in conns[::20]:                        # and they go on
            equal(c.ask("POST", "/again", b"again").status, 200, "the next request")
        for c in [c for c, _ in conns] + late:
            c.close()
        wait_until(lambda: s.metrics().sum("pasted_connections_open") == 1, 20, "they do not go")


@case("who keeps us waiting is given up, after a stall too", each=True)
def late(t):
    s = t.server(settings=SHORT)
    for turn in range(2):
        head, body, idle = s.connect(), s.connect(), s.connect()
        head.send(b"POST /x HTTP/1.1\r\nHos")
        body.send(request("POST", "/x", b"b" * 5000)[:3000])
        post(idle, "/x", b"x")
        with stalled(s, 2):
            pass
        equal(status(head), 408, "a head that does not come")
        equal(status(body), 408, "a body that does not come")
        check(idle.closed(), "an idle connection is closed")


@case("replies that do not leave have a deadline, whatever the connection waits for", each=True)
def stuck_output(t):
    s = t.server(settings=SHORT)
    with s.connect() as c:
        name = post(c, "/x", b"x" * 1000)
    one = request("GET", "/nothing-here")
    conns = []
    for last in (request("GET", f"/-/records/{name}"), b"", b"POST /x HTTP/1.1\r\nHost"):
        c = Conn.__new__(Conn)
        c.sock, c.buf = socket.socket(), b""
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        c.sock.settimeout(5 * SLOW)
        host, port = s.listen[0].split(":")
        c.sock.connect((host, int(port)))
        c.send(one * 20000)
        time.sleep(0.5)             # until nothing leaves any more; before write-timeout
        with contextlib.suppress(OSError):
            c.send(last)
        conns.append(c)
    wait_until(lambda: s.metrics().any(r'timeouts_total.*"send"') == len(conns), 30, "a connection without a deadline")
    with s.connect() as c:
        equal(c.ask("GET", f"/-/records/{name}").status, 200, "others are served")
    for c in conns:
        c.close()


@case("a client that goes by Keep-Alive never meets the close", each=True, classes="wal")
def keep_alive(t):
    s = t.server(settings={"idle-timeout": "5s"})
    with s.connect() as c:
        name = post(c, "/x", b"x")
        for r in (c.ask("POST", "/x", b"x"), c.ask("GET", f"/-/records/{name}"), c.ask("GET", "/-/livez"),
                  c.ask("GET", "/nothing")):
            equal((r.get("Connection"), r.get("Keep-Alive")), ("keep-alive", "timeout=4"), r)
        r = c.ask("POST", "/x", b"x", [("Connection", "close")])
        equal((r.get("Connection"), r.get("Keep-Alive")), ("close", None), r)


if __name__ == "__main__":
    main()
