#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A pool far too small for what comes: push-back, 503 with Retry-After, no deadlock."""
import signal
import threading
import time

from harness import (KIB, SLOW, accepted, bytes_of, case, check, equal, main, ms, post, request, tcp_queues,
                     wait_until)


def upload(s, k, n, out, piece=64 * KIB):
    body = bytes_of(("up", k), n)
    try:
        with s.connect(timeout=60) as c:
            data = request("POST", f"/up/{k}", body)
            for i in range(0, len(data), piece):
                c.send(data[i:i + piece])
            r = c.reply()
    except (OSError, EOFError) as e:
        # Refused while sending: the reply may be lost in a reset.  Not a success.
        out.append((k, None, e))
        return
    out.append((k, r, body))


def all_end(threads, seconds):
    end = time.monotonic() + seconds * SLOW
    for th in threads:
        th.join(max(0.1, end - time.monotonic()))
    stuck = sum(th.is_alive() for th in threads)
    equal(stuck, 0, "uploads that never end")


@case("forty uploads that together exceed the pool many times", each=True)
def uploads(t):
    s = t.server(settings={"pool-size": "2M", "segment-size": "16M", "body-max": "900K"})
    for turn in range(2):
        out = []
        threads = [threading.Thread(target=upload, args=(s, k, 400 * KIB, out), daemon=True) for k in range(40)]
        for th in threads:
            th.start()
        all_end(threads, 90)
        done = 0
        for k, r, body in out:
            if r is None:
                continue
            check(r.status in (200, 503), f"upload {k}:", r)
            if r.status == 503:
                check(int(r.get("Retry-After") or 0) >= 1, "503 without Retry-After:", r)
                check(r.name is None, "a 503 that names a record:", r)
            else:
                done += 1
                equal(s.record(r.name).body, body, r.name)
        check(done >= 1, "not one of 40 got through")
        # By itself again as before.
        wait_until(lambda: accepted(s, "/after", bytes_of("after", 300 * KIB)), 20, "no recovery")


@case("many half-sent bodies hold the whole pool: others get an answer, not silence", each=True)
def hoarders(t):
    s = t.server(settings={"pool-size": "2M", "segment-size": "16M", "body-max": "900K", "body-timeout": "3s"})
    for turn in range(2):
        conns = []
        for k in range(30):
            c = s.connect()
            c.sock.settimeout(0.3)
            try:
                c.send(request("POST", f"/hoard/{k}", None, [("Content-Length", "900000")]) + b"h" * (200 * KIB))
            except OSError:
                pass        # the server has stopped reading, which is right
            conns.append(c)
        equal(s.ask("GET", "/-/livez").status, 200, "livez")

        def served():
            with s.connect() as c:
                r = c.ask("POST", "/small", b"x" * 1000)
                check(r.status in (200, 503), r)
                check(r.status != 503 or int(r.get("Retry-After") or 0) >= 1, "503 without Retry-After:", r)
                return r.status == 200
        wait_until(served, 30, "small posts are refused for ever")
        for c in conns:
            c.close()
        wait_until(lambda: accepted(s, "/after", bytes_of("after", 500 * KIB)), 20, "no recovery")


@case("volatile with few checkpoints: a pool full of records drains by itself", each=True, classes="wal")
def full_of_records(t):
    s = t.server(settings={"pool-size": "2M", "segment-size": "8M", "body-max": "256K",
                           "checkpoint-interval": "1h", "pushback-timeout": ms(1000)})
    with s.connect() as c:
        body = bytes_of("r", 50000)
        last = None
        for i in range(300):        # seven times the pool
            r = c.ask("POST", "/r", body)
            if r.status == 503:
                check(int(r.get("Retry-After") or 0) >= 1, r)
                time.sleep(0.05)
                continue
            equal(r.status, 200, r)
            last = r.name
        check(last and int(last.split("-")[1]) > 250, "most were refused:", last)
        equal(c.ask("GET", f"/-/records/{last}").body, body, "the last one")


@case("many chunked bodies at once, and most of the pool free: none is refused", each=True)
def burst(t):
    # A minute's push-back: what is refused sooner was not pushed back.
    s = t.server(settings={"pool-size": "2M", "body-max": "256K", "pushback-timeout": "60s"})
    conns = [s.connect() for _ in range(150)]
    for c in conns:
        equal(c.ask("GET", "/-/livez").status, 200, "livez")
    # Stopped meanwhile, so that it finds all of them in one turn.
    s.proc.send_signal(signal.SIGSTOP)
    bodies = [bytes_of(("burst", k), 100) for k in range(len(conns))]
    for c, body in zip(conns, bodies):
        c.send(request("POST", "/burst", body, chunk=10))
    s.proc.send_signal(signal.SIGCONT)
    replies = [c.reply() for c in conns]
    equal({r.status for r in replies}, {200}, "statuses")
    for r, body in zip(replies, bodies):
        equal(s.record(r.name).body, body, r.name)
    for c in conns:
        c.close()


# Of a request in two segments, each keeping a buffer: the second has a small piece, which
# is copied into a third, and a large one, which stays.
HEAD = b"POST /piece HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = bytes_of("large", 300)
WHOLE = HEAD + b"1\r\n!\r\n1\r\n?\r\n12c\r\n" + LARGE + b"\r\n0\r\n\r\n"
CUTS = 10, len(HEAD) - 1, len(HEAD), len(HEAD) + 6
BUFFERS = 512           # of 2M
SPARE = 32              # of them, that the kernel does not get


def half_sent(t, n, cut, pushback, **settings):
    s = t.server(settings={"pool-size": "2M", "body-max": "256K", "pushback-timeout": pushback, **settings})
    conns = [s.connect() for _ in range(n)]
    for c in conns:
        c.send(WHOLE[:cut])
    wait_until(lambda: s.metrics().sum("pasted_pool_buffers_kernel") < BUFFERS - SPARE - n + 2, 20,
               "not all have come")
    return s, conns


def all_read(s):
    """The server has read what was sent.  Asking it would give it a buffer back."""
    wait_until(lambda: not sum(unread for _, _, unread in tcp_queues(s.port)), 20, "the server does not read")


@case("a small piece that finds no free buffer to be copied into waits for one", each=True)
def piece_waits(t):
    for cut in CUTS:
        # A minute's push-back: what is refused sooner was not pushed back.
        s, conns = half_sent(t, 360, cut, "60s")
        s.proc.send_signal(signal.SIGSTOP)
        for c in conns:
            c.send(WHOLE[cut:])
        s.proc.send_signal(signal.SIGCONT)
        replies = [c.reply() for c in conns]
        equal({r.status for r in replies}, {200}, f"statuses, cut at {cut}")
        for r in replies:
            equal(s.record(r.name).body, b"!?" + LARGE, r.name)
        for c in conns:
            c.close()
        s.stop_clean()


@case("a small piece for which none comes: 503 after the push-back, and all goes on", each=True)
def piece_in_vain(t):
    # The last: only a part of the head is there, and no buffer for it.
    for cut, upto in [(cut, -8) for cut in CUTS[:3]] + [(10, 20)]:
        s, conns = half_sent(t, 360, cut, "300ms")
        first, then = conns[:SPARE], conns[SPARE:2 * SPARE]     # the kernel keeps some
        for c in first:
            c.send(WHOLE[cut:-8])
        all_read(s)
        for c in then:
            c.send(WHOLE[cut:upto])
        all_read(s)
        for c in then:
            c.send(WHOLE[upto:])
        # The first whose time is over gives its buffers to those whose is not.
        replies = [c.reply() for c in then]
        check(503 in {r.status for r in replies}, f"nobody is refused, cut at {cut} and {upto}")
        for r in replies:
            check(r.status in (200, 503), r)
            check(r.status == 200 or int(r.get("Retry-After") or 0) >= 1, "503 without Retry-After:", r)
        for c in first:
            c.send(WHOLE[-8:])
        for c in first:
            r = c.reply()
            equal(r.status, 200, f"in time, cut at {cut} and {upto}")
            equal(s.record(r.name).body, b"!?" + LARGE, r.name)
        for c in conns:
            c.close()
        wait_until(lambda: accepted(s, "/after", bytes_of("after", 200 * KIB)), 20, "no recovery")
        s.stop_clean()


@case("many whose push-back ends at once: what the first give back serves the others", each=True)
def piece_shared(t):
    s, conns = half_sent(t, 360, 10, "300ms")
    first, then = conns[:SPARE], conns[SPARE:SPARE + 70]
    for c in first:
        c.send(WHOLE[10:-8])
    all_read(s)
    s.proc.send_signal(signal.SIGSTOP)
    for c in then:
        c.send(WHOLE[10:])
    s.proc.send_signal(signal.SIGCONT)
    replies = [c.reply() for c in then]
    equal({r.status for r in replies}, {200, 503}, "statuses")
    for r in replies:
        if r.status == 200:
            equal(s.record(r.name).body, b"!?" + LARGE, r.name)
    for c in conns:
        c.close()


@case("a head that is refused while it comes: who waits for 100 Continue is told at its end", each=True)
def piece_expect(t):
    s, conns = half_sent(t, 360, 10, "300ms", **{"header-timeout": "1h", "body-timeout": "1h"})
    first, c = conns[:SPARE], conns[SPARE]
    for k in first:
        k.send(WHOLE[10:-8])
    all_read(s)
    c.send(WHOLE[10:20])
    all_read(s)
    c.send(HEAD[20:-2] + b"Expect: 100-continue\r\n\r\n")
    r = c.reply()
    equal((r.status, r.get("Connection")), (503, "close"), r)
    for c in conns:
        c.close()


@case("a reply that leaves meanwhile does not prolong the push-back", each=True)
def reply_meanwhile(t):
    s, conns = half_sent(t, 360, 10, "300ms", **{"write-timeout": "1h"})
    first = conns[:SPARE]
    for c in first:
        c.send(WHOLE[10:-8])
    all_read(s)
    # One whole request and the beginning of the next fill a buffer: the rest comes in
    # another, in the same turn, before the first is durable.
    before = request("POST", "/before", b"")
    before = request("POST", "/before", bytes(4096 - 10 - len(before) - 3))
    equal(len(before), 4086, "a request to fill a buffer with")
    with s.connect() as c:
        s.proc.send_signal(signal.SIGSTOP)
        c.send(before + WHOLE)
        s.proc.send_signal(signal.SIGCONT)
        equal([c.reply().status, c.reply().status], [200, 503], "statuses")
    for c in conns:
        c.close()


@case("readers of a large range that do not read take nobody's turn", each=True)
def lazy_readers(t):
    # No timeout ends them: who waits for one of them waits in vain.
    s = t.server(settings={"pool-size": "4M", "segment-size": "16M", "body-max": "900K",
                           "write-timeout": "10m", "idle-timeout": "10m"})
    with s.connect() as c:
        for i in range(20):
            post(c, "/r", bytes_of(i, 500 * KIB))
    lazy = []
    for _ in range(20):
        c = s.connect()
        c.send(request("GET", "/-/records/0-1..20"))
        lazy.append(c)
    time.sleep(0.5)
    with s.connect() as c:
        for i in range(50):
            post(c, "/honest", bytes_of(i, 1000))
    r = lazy[0].reply()
    equal((r.status, r.body.count(b"\n")), (200, 20), "the range, read late")
    for c in lazy:
        c.close()


if __name__ == "__main__":
    main()
