#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that go away at any point, in any way, round after round: nothing of them
stays, neither a buffer nor a descriptor nor memory."""
from hostile import check_books, settled_books
from harness import KIB, MIB, SANITIZED, bytes_of, case, check, equal, main, post, request

REQUESTS = {
    "length": request("POST", "/vanish", b"0123456789", [("X-A", "b"), ("Cookie", "secret")]),
    "chunked": b"PUT /vanish HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n012\r\n"
               b"7\r\n3456789\r\n0\r\nT: x\r\n\r\n",
    "range": request("GET", "/-/records/0-1..6"),
    "expect": b"POST /vanish HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
}


def fin(c):
    c.close()


def reset(c):
    c.abort()


def half(c):
    """FIN, then a reset while the server may be answering."""
    c.half_close()
    c.abort()


def at_every_byte(s):
    n = 0
    for data in REQUESTS.values():
        for cut in range(len(data) + 1):
            for leave in (fin, reset, half):
                c = s.connect()
                c.send(data[:cut])
                leave(c)
                n += 1
    return n


def in_large_ones(s):
    body = bytes_of("large", 400 * KIB)
    whole = request("POST", "/vanish", body)
    chunks = request("POST", "/vanish", body, chunk=5000)
    for data in (whole, chunks):
        for part in (1000, 5000, 70000, 300000, len(data) - 1, len(data)):
            for leave in (fin, reset, half):
                c = s.connect()
                c.send(data[:part])
                leave(c)


def in_replies(s):
    for take in (0, 1, 100, 5000, 70000, 500000):
        for leave in (fin, reset, half):
            c = s.connect()
            c.send(REQUESTS["range"])
            if take:
                c.exactly(take)
            leave(c)
    for n in (1, 10, 300):      # with replies that wait for the log
        for leave in (fin, reset, half):
            c = s.connect()
            c.send(request("POST", "/vanish", b"x" * 100) * n + request("GET", "/-/livez") * n)
            leave(c)


@case("at every byte of a request, within large ones, within replies: all comes back", each=True)
def rounds(t):
    s = t.server(settings={"pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(6):
            post(c, "/r", bytes_of(i, 400 * KIB))
    start, memory = settled_books(s), []
    for _ in range(3):
        n = at_every_byte(s)
        in_large_ones(s)
        in_replies(s)
        check_books(s, start)
        memory.append(s.status_kb("RssAnon"))
    print(f"#    {t.ring} {t.cls}: {n} cuts a round; anonymous memory after each: {memory} KiB")
    # The pool is touched by turns; without NVMM it is anonymous memory of 8 MiB.
    check(SANITIZED or memory[2] - memory[1] <= (8 * MIB if t.syncs else MIB) // KIB, "memory grows:", memory)
    with s.connect() as c:
        body = bytes_of("after", 900 * KIB)
        name = post(c, "/after", body)
        equal(c.ask("GET", f"/-/records/{name}").body, body, "afterwards")


if __name__ == "__main__":
    main()
