#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many at once: ten thousand connections, thousands of requests in one segment."""
import selectors
import socket
import threading
import time

from hostile import Honest, check_books, need_descriptors, settled_books
from harness import KIB, SANITIZED, SLOW, case, check, equal, main, post, request

N = 10000


def connect_all(s, n):
    """In groups, so that the listen queue holds them."""
    host, port = s.listen[0].rsplit(":", 1)
    out = []
    for i in range(0, n, 500):
        group = []
        for _ in range(min(500, n - i)):
            k = socket.socket()
            k.setblocking(False)
            k.connect_ex((host, int(port)))
            group.append(k)
        each_ready(group, selectors.EVENT_WRITE, connected)
        out += group
    return out


def connected(k):
    equal(k.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "connect")
    return True


def each_ready(socks, event, do, seconds=120):
    """do(sock) for each that is ready, until it has returned true for all."""
    sel = selectors.DefaultSelector()
    for k in socks:
        sel.register(k, event)
    left, end = len(socks), time.monotonic() + seconds * SLOW
    while left:
        check(time.monotonic() < end, left, "of", len(socks), "got nothing")
        for key, _ in sel.select(1):
            if do(key.fileobj):
                sel.unregister(key.fileobj)
                left -= 1
    sel.close()


def ask_all(socks, data, status):
    got = {}

    def take(k):
        got[k] = got.get(k, b"") + k.recv(4096)
        check(got[k], "closed without a reply")
        head, empty, body = got[k].partition(b"\r\n\r\n")
        if not empty:
            return False
        equal(head[9:12], status, head[:60])
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return len(body) >= length
    for k in socks:
        k.send(data)
    each_ready(socks, selectors.EVENT_READ, take)


@case("10000 connections: each is served, an honest client beside them too; all comes back", each=True,
      classes="syncs")
def connections(t):
    need_descriptors(N)
    s = t.server(settings={"pool-size": "32M", "body-max": "1M", "pushback-timeout": "60s"})
    start = settled_books(s)
    with Honest(s, clients=1):
        rss = s.status_kb("RssAnon")
        socks = connect_all(s, N)
        ask_all(socks, request("POST", "/many", b"x"), b"200")
        check(s.metrics().sum("pasted_connections_open") >= N, "not all are open")
        ask_all(socks[::2], request("GET", "/-/livez"), b"200")
        ask_all(socks[1::2], request("POST", "/many", b"y" * 100, chunk=10), b"200")
        each = (s.status_kb("RssAnon") - rss) / N
        print(f"#    {t.ring}: {each:.2f} KiB of anonymous memory per connection, the pool's included")
        check(SANITIZED or each < 4 + 32 * KIB / N, each, "KiB per connection")
        for i, k in enumerate(socks):
            if i % 2:
                k.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            k.close()
    check_books(s, start, 60)
    equal(s.ask("GET", "/-/livez").status, 200, "afterwards")


@case("thousands of requests in one segment: as many replies, in order", each=True, classes="syncs")
def one_segment(t):
    s = t.server(settings={"pool-size": "8M", "body-max": "1M"})
    start = settled_books(s)
    tiny = b"POST / HTTP/1.1\r\nHost:\r\n\r\n"
    n = 64 * KIB // len(tiny)
    seq = 0
    for _ in range(4):
        with s.connect() as c:
            sender = threading.Thread(target=c.send, args=(tiny * n,), daemon=True)
            sender.start()
            for i in range(n):
                seq += 1
                r = c.reply()
                equal((r.status, r.name), (200, f"0-{seq}"), f"reply {i}")
            sender.join()
    for _ in range(20):         # and nobody stays to hear it
        c = s.connect()
        c.send(tiny * n)
        c.abort()
    check_books(s, start)
    with s.connect() as c:
        name = post(c, "/after", b"1")
    check(int(name.split("-")[1]) <= seq + 20 * n + 1, "more records than requests:", name)


if __name__ == "__main__":
    main()
