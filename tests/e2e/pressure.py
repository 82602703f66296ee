#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A pool far too small for what comes: push-back, 503 with Retry-After, no deadlock."""
import signal
import threading
import time

from harness import KIB, SLOW, accepted, bytes_of, case, check, equal, main, ms, post, request, wait_until


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


@case("volatile with few checkpoints: a pool full of records drains by itself", each=True, classes=["volatile"])
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


@case("readers of a large range that do not read take nobody's turn", each=True)
def lazy_readers(t):
    s = t.server(settings={"pool-size": "4M", "segment-size": "16M", "body-max": "900K"})
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
        began = time.monotonic()
        for i in range(50):
            post(c, "/honest", bytes_of(i, 1000))
        check(time.monotonic() - began < 20 * SLOW, "posts wait for lazy readers")
    r = lazy[0].reply()
    equal((r.status, r.body.count(b"\n")), (200, 20), "the range, read late")
    for c in lazy:
        c.close()


if __name__ == "__main__":
    main()
