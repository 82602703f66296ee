#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A disk that is slow, and one that does nothing at all, while the segments of the log fill up.

A client that has to wait for the next segment is pushed back, for as long as the disk makes
progress with it, however long that takes; pushback-timeout is the time without any.  Then it
is refused, and told why.  nth.c, preloaded, lets each call of a kind take its time.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from harness import MIB, case, check, equal, main, ms, request, wait_until  # noqa: E402
from preload import preload, read_counts  # noqa: E402

CLIENTS, BODY = 14, 1 << 20
PIPELINED = {False: 4, True: 10}        # by has_wal: two segments more than are there, and all buffers
# With zeros written 4 MiB at a time, a segment takes eight steps: more than the push-back.
STEP, PUSHBACK, SEGMENT = 350, 2000, 32 * MIB
SEGMENTS = 120          # of a log that is opened
# What a new segment waits for: its syncs, or where nothing is synced, its allocation.
CALL = {False: "fdatasync", True: "posix_fallocate"}


def slow(t, call, stall, **settings):
    """The server, and the file that makes each call slow, or fail, as long as it is there."""
    s = t.a_server(settings={k.replace("_", "-"): v for k, v in settings.items()})
    now = os.path.join(t.dir, "now")
    s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": call, "PASTED_NTH_FROM": now,
             "PASTED_NTH_STALL": str(stall), "PASTED_NTH_UNDER": ":".join(filter(None, (s.store, s.nvmm)))}
    return s.start(), now


@case("a disk that is slow, but goes on: nobody is refused, however long a segment takes", each=True)
def goes_on(t):
    s, now = slow(t, f"{CALL[t.has_wal]}:1:0", STEP, segment_size=f"{SEGMENT}", pool_size="48M", body_max="2M",
                  pushback_timeout=ms(PUSHBACK), write_timeout="10m", body_timeout="10m", body_rate="1",
                  checkpoint_interval="20ms")
    open(now, "w").close()
    one = request("POST", "/slowly", b"s" * BODY)
    conns = [s.connect(timeout=120) for _ in range(CLIENTS)]
    for c in conns:
        c.sock.setblocking(False)
    n = PIPELINED[t.has_wal]
    send_all(conns, one * n)
    statuses = [c.reply().status for c in conns for _ in range(n)]
    equal([statuses.count(200), len(statuses)], [CLIENTS * n] * 2, "replies with 200")
    equal(s.metrics().sum("pasted_refused_total"), 0, "refused")
    os.unlink(now)
    s.stop_clean()


def send_all(conns, data):
    left = {c: memoryview(data) for c in conns}

    def step():
        for c in list(left):
            try:
                left[c] = left[c][c.sock.send(left[c]):]
            except BlockingIOError:
                continue
            if not left[c]:
                del left[c]
                c.sock.settimeout(120)
        return not left
    wait_until(step, 120, "the server does not read")


@case("a segment that cannot be made: refused, and told that", each=True, classes="syncs")
def cannot_be_made(t):
    s, now = slow(t, "renameat2:1:5", 0, segment_size="64K", body_max="32K", pool_size="1M",
                  pushback_timeout=ms(300))
    open(now, "w").close()
    wait_until(lambda: b"the next segment of the log cannot be made" in answer(s), 60, "it is not told")
    os.unlink(now)
    wait_until(lambda: s.ask("POST", "/again", b"a" * 30000).status == 200, 30, "it does not go on")
    s.stop_clean()


def answer(s):
    with s.connect() as c:
        r = c.ask("POST", "/full", b"f" * 30000)
    check(r.status in (200, 503), r)
    return r.body


@case("a disk that does nothing: refused after pushback-timeout, and told that", each=True, classes="syncs")
def does_nothing(t):
    s, now = slow(t, "fdatasync:1:0", 600000, segment_size="64K", body_max="32K", pool_size="1M",
                  pushback_timeout=ms(300), drain_timeout=ms(1000), checkpoint_interval="1h")
    open(now, "w").close()
    with s.connect() as c:
        c.send(b"".join(request("POST", "/full", b"f" * 30000) for _ in range(4)))
        wait_until(lambda: s.metrics().any('pasted_refused_total.*lane') >= 1, 30, "nobody is refused")
    with s.connect() as c:
        r = c.ask("POST", "/full", b"f" * 30000)
        equal(r.status, 503, r)
        check(b"the log waits for the disk" in r.body, r)
    s.stop(seconds=30)


@case("a read-back that waits for the disk to open a segment keeps nobody from looking", each=True, classes="syncs")
def opens_to_read(t):
    s, now = slow(t, "openat:1:0", 600000, segment_size="64K", body_max="32K", pool_size="1M", drain_timeout=ms(1000),
                  checkpoint_interval="1h")
    with s.connect() as c:
        for _ in range(5):
            equal(c.ask("POST", "/seg", b"s" * 30000).status, 200, "a record")
    open(now, "w").close()
    with s.connect() as c:
        c.send(request("GET", "/-/records/0-1"))
        wait_until(lambda: b"the disk has not answered for" in s.ask("GET", "/-/readyz").body, 30, "it is not told")
        check(s.metrics().sum("pasted_lane_segments") >= 2, "metrics")
        equal(s.ask("POST", "/seg", b"s").status, 200, "a post")
        s.stop(seconds=30)


@case("a segment that could not be read at the start, tried again on a slow disk, keeps nobody waiting",
      each=True, classes="syncs")
def tried_again(t):
    s, now = slow(t, "openat:1:0", 600000, segment_size="64K", body_max="32K", pool_size="1M", drain_timeout=ms(1000),
                  checkpoint_interval="1h", workers="1")
    with s.connect() as c:
        for _ in range(9):
            equal(c.ask("POST", "/seg", b"s" * 30000).status, 200, "a record")
    s.stop_clean()
    lane = os.path.join(s.store, "log/000")
    second = os.path.join(lane, sorted(f for f in os.listdir(lane) if f.endswith(".seg"))[1])
    os.rename(second, second + ".away")
    os.symlink(os.path.basename(second) + ".away", second)      # a link is not followed
    s.audited = False
    s.start()
    number = next(i for i in range(1, 10) if s.record(f"0-{i}").status == 503)
    open(now, "w").close()
    with s.connect() as c:
        c.send(request("GET", f"/-/records/0-{number}"))
        wait_until(lambda: b"the disk has not answered for" in s.ask("GET", "/-/readyz").body, 30, "it is not told")
        check(s.metrics().sum("pasted_lane_segments") >= 2, "metrics")
        equal(s.ask("POST", "/seg", b"s").status, 200, "a post")
        s.stop(seconds=30)


@case("a start that opens many segments, slowly: a stop is heard between two of them")
def opens(t):
    s = t.server(cls="fsync", settings={"segment-size": "64K", "body-max": "32K", "pool-size": "1M"})
    with s.connect() as c:
        for i in range(SEGMENTS):       # two do not go into one
            equal(c.ask("POST", "/seg", b"s" * 32000).status, 200, "a record")
    s.stop_clean()
    counts = os.path.join(t.dir, "counts")
    open(counts + ".now", "w").close()
    s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": "openat:1:0", "PASTED_NTH_FROM": counts + ".now",
             "PASTED_NTH_STALL": "100", "PASTED_NTH_UNDER": s.store, "PASTED_NTH_COUNTS": counts}
    s.audited = False
    s.spawn()

    def opened():
        return os.path.exists(counts) and read_counts(counts).get("openat", 0)
    wait_until(lambda: opened() >= 10, 60, "it opens nothing")
    s.stop_clean()
    check("stopped before the store was open" in s.said(), s.said())
    check(opened() < SEGMENTS, f"{opened()} files were opened, of a log of {SEGMENTS} segments")
    s.env = None
    s.start()
    equal(s.record(f"0-{SEGMENTS}").body, b"s" * 32000, "the last record")
    s.stop_clean()


@case("a start that waits for a disk that does nothing: a stop is heard after drain-timeout, and told")
def opens_in_vain(t):
    for n, call in enumerate(("openat", "pread")):
        store = os.path.join(t.dir, f"store{n}")
        s = t.server(cls="fsync", store=store, settings={"drain-timeout": ms(1000)})
        equal(s.ask("POST", "/v", b"vain").status, 200, "a record")
        s.stop_clean()
        now = os.path.join(t.dir, f"now{n}")
        open(now, "w").close()
        s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": f"{call}:1:0", "PASTED_NTH_FROM": now,
                 "PASTED_NTH_STALL": "600000", "PASTED_NTH_UNDER": s.store}
        s.audited = False
        s.spawn()
        wait_until(lambda: "the disk has not answered for" in s.said(), 60, "it is not told")
        equal(s.stop(seconds=60), 1, "exit status")
        check("stopped before the store was open, not waiting for the disk" in s.said(), s.said())
        s.env = None
        s.start()
        equal(s.record("0-1").body, b"vain", "the record")
        s.stop_clean()


if __name__ == "__main__":
    main()
