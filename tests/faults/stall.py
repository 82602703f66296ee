#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every system call on the way to a 2xx stalls once, longer than every timeout, in the real server.

nth.c, preloaded, lets the nth call take its time (PASTED_NTH_STALL) and then do what it
should.  Nobody is refused or cut off for it who kept its promise: clients that send what they
owe at once and read what they get.  pushback-timeout is no client's promise, and is long.

Then a disk that does not answer at all: health, metrics and reads go on, it is told, and
SIGTERM ends the server.

  PASTED_STALL_SEED=n  PASTED_STALL=call:n   the choice of before; only that one, as a failure prints it
"""
import concurrent.futures
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from harness import Conn, SLOW, case, check, equal, main, ms, post, request, wait_until  # noqa: E402
from preload import preload, read_counts  # noqa: E402

STALL = int(2500 * SLOW)
SHORT = {k: ms(1500) for k in ("header-timeout", "body-timeout", "idle-timeout", "write-timeout")}
SETTINGS = {**SHORT, "pool-size": "4M", "segment-size": "128K", "body-max": "64K", "checkpoint-interval": "20ms",
            "pushback-timeout": "60s", "drain-timeout": "20s"}
SIZES = (0, 100, 3000, 20000, 50000)
AT_ONCE = 8
ONLY = os.environ.get("PASTED_STALL")


class Client(threading.Thread):
    """Posts, some of them pipelined, and reads back; keeps its promises and expects the same."""

    def __init__(self, s, rng):
        super().__init__(daemon=True)
        self.s, self.rng, self.error = s, rng, None

    def run(self):
        try:
            with Conn(self.s.listen[0], timeout=40) as c:
                for _ in range(6):
                    n = self.rng.choice((1, 1, 4))
                    c.send(b"".join(request("POST", "/s", b"b" * self.rng.choice(SIZES)) for _ in range(n)))
                    names = [self.expect(c).name for _ in range(n)]
                    c.send(request("GET", f"/-/records/{names[-1]}") + request("GET", "/-/livez"))
                    self.expect(c)
                    self.expect(c)
        except Exception as e:  # noqa: BLE001 - told by who waits for it
            self.error = e

    @staticmethod
    def expect(c):
        r = c.reply()
        equal(r.status, 200, f"{r}")
        return r


def live(t, fault, rng, k):
    """A life of the server: how often it called what."""
    counts = os.path.join(t.dir, f"counts{k}")
    s = t.a_server(store=os.path.join(t.dir, f"store{k}"), settings=SETTINGS)
    s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": f"{fault}:0" if fault else "", "PASTED_NTH_COUNTS": counts,
             "PASTED_NTH_STALL": str(STALL), "PASTED_NTH_UNDER": ":".join(filter(None, (s.store, s.nvmm)))}
    s.start()
    clients = [Client(s, random.Random(rng.random())) for _ in range(3)]
    for c in clients:
        c.start()
    for c in clients:
        c.join(60 * SLOW)
        check(not c.is_alive(), "a client hangs")
        if c.error:
            raise c.error
    s.stop_clean()
    return read_counts(counts)


@case("each call stalls once, longer than every timeout: nobody is refused for it", each=True)
def stall(t):
    seed = os.environ.get("PASTED_STALL_SEED") or str(random.randrange(10000))
    rng = random.Random(f"{seed}/{t.ring}/{t.cls}")
    if ONLY:
        live(t, ONLY, rng, 0)
        return
    counts = live(t, "", rng, 0)
    faults = [f"{call}:{rng.randrange(1, n + 1)}" for call, n in counts.items() if n]
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        lives = {f: pool.submit(live, t, f, random.Random(f), k + 1) for k, f in enumerate(faults)}
        for f, life in lives.items():
            try:
                life.result()
            except Exception as e:  # noqa: BLE001 - all of them are told
                wrong.append(f"PASTED_STALL={f}: {e}")
    print(f"#    {t.ring} {t.cls}, seed {seed}: {len(faults)} calls stalled")
    check(not wrong, f"PASTED_STALL_SEED={seed}: {len(wrong)} of them:\n" + "\n".join(wrong))


@case("a disk that does not answer takes nothing with it, is told, and does not hold up a stop",
      each=True, classes="syncs")
def silent(t):
    s = t.a_server(settings={"drain-timeout": ms(1000), "checkpoint-interval": "1h", "segment-size": "64K"})
    counts = os.path.join(t.dir, "counts")
    with t.a_server(store=s.store, settings=s.settings).start().connect() as c:
        old = post(c, "/old", b"old")
    t.servers[-1].stop_clean()
    s.env = {"LD_PRELOAD": preload(), "PASTED_NTH_COUNTS": counts, "PASTED_NTH_UNDER": s.store,
             "PASTED_NTH_STALL": "600000", "PASTED_NTH": "fdatasync:1000000:0", "PASTED_NTH_FROM": counts + ".from"}
    s.start()
    open(counts + ".from", "w").close()             # from here on each sync stalls
    with s.connect() as c:
        c.send(request("POST", "/new", b"new"))
        wait_until(lambda: b"the disk has not answered for" in s.ask("GET", "/-/readyz").body, 30, "it is not told")
        equal(s.ask("GET", "/-/readyz").status, 503, "readyz")
        equal(s.ask("GET", "/-/livez").status, 200, "livez")
        m = s.metrics()
        check(m.any('pasted_condition.*disk-silent') == 1 and m.sum("pasted_disk_waits_seconds") >= 2, "no metric of it")
        equal(s.record(old).body, b"old", "a record of before")
        check("the disk has not answered" in s.said(), "no message:", s.said())
        equal(s.stop(seconds=30), 1, "exit status")
    check("not waiting for the disk" in s.said(), "no word of the end:", s.said())
    s.env = None
    s.start()
    equal(s.record(old).body, b"old", "a record of before")
    s.stop_clean()


if __name__ == "__main__":
    main()
