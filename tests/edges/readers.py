#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that read large answers, or do not: what they cost the server and the kernel."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import KIB, MIB, bytes_of, case, check, equal, main, post, request, tcp_queues, wait_until  # noqa: E402


def unread(port):
    """What the kernel holds of the server's answers on that port, in bytes by connection."""
    return [unacked for _, unacked, _ in tcp_queues(port)]


def at_rest(look, seconds, what):
    """look()'s value when it has not changed for many looks."""
    last = [None, 0]

    def same():
        now = look()
        last[:] = now, last[1] + 1 if now == last[0] else 0
        time.sleep(0.02)
        return last[1] == 50
    wait_until(same, seconds, what)
    return last[0]


@case("readers that do not read hold some of the kernel's memory each, not all that it would give", each=True,
      classes="syncs")
def stalled(t):
    s = t.server(settings={"write-timeout": "10m", "idle-timeout": "10m", "body-max": "1M"})
    with s.connect() as c:
        for i in range(20):
            post(c, "/r", bytes_of(i, 500 * KIB))
    socks = []
    for _ in range(20):
        k = socket.socket()
        k.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
        k.connect(("127.0.0.1", s.port))
        k.sendall(request("GET", "/-/records/0-1..20"))
        socks.append(k)
    wait_until(lambda: sum(n > 0 for n in unread(s.port)) >= len(socks), 60, "not every reader got something")
    seen = {}

    def holds():
        # The table is long where others' connections end, and what it leaves out is as it was.
        seen.update({there: unacked for there, unacked, _ in tcp_queues(s.port)})
        return sorted(seen.values())

    held = at_rest(holds, 60, "the kernel takes more and more")
    check(max(held) <= 512 * KIB, "the kernel holds", held)
    for k in socks:
        k.close()


@case("a reader that stands still does not make another one's record be read again and again", each=True,
      classes="syncs")
def large(t):
    s = t.server(settings={"write-timeout": "10m", "idle-timeout": "10m", "body-max": "8M", "pool-size": "32M",
                           "segment-size": "64M"})
    body = bytes_of("large", 7 * MIB)
    with s.connect() as c:
        names = [post(c, "/r", body) for _ in range(4)]

        def read_bytes():
            with open(f"/proc/{s.pid}/io") as f:
                return int(next(line for line in f if line.startswith("rchar")).split()[1])

        with s.connect() as still, s.connect() as range_still:
            still.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
            still.send(request("GET", f"/-/records/{names[0]}"))
            range_still.send(request("GET", "/-/records/0-1.."))
            still.until(b"\r\n\r\n")
            range_still.until(b"\r\n\r\n")
            before = at_rest(read_bytes, 60, "somebody goes on reading")
            for name in names[1:]:
                r = c.ask("GET", f"/-/records/{name}")
                equal((r.status, r.body), (200, body), "read-back beside one that stands still")
            read = read_bytes() - before
            # Once to check it, once to give it, and what stands between.
            check(read < 3 * 3 * len(body), read, "bytes were read for", 3 * len(body))


if __name__ == "__main__":
    main()
