#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""moved - a store that is renamed under the server that has it open.

The server goes on where the store is now, says so, and touches nothing of another store
that is made at the old path; each of the two ends with its own records and no other.
"""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import bytes_of, case, check, equal, main, post, wait_until  # noqa: E402

SMALL = {"segment-size": "1M", "body-max": "300K", "pool-size": "4M"}


def tells_moved(s):
    r = s.ask("GET", "/-/readyz")
    return r.status == 200 and b"store-moved" in r.body


@case("two servers, the store of the first was moved away", each=True)
def two(t):
    a = t.server(settings=SMALL)
    names_a = [post_one(a, "a", 0)]
    os.rename(a.store, a.store + ".old")
    b = t.a_server(store=a.store, settings=SMALL, nvmm=t.shm() if t.has_wal else None).start()
    names_b, done = [], []
    for s, who, names in ((a, "a", names_a), (b, "b", names_b)):
        done.append(threading.Thread(target=lambda s=s, who=who, names=names: names.extend(
            post_one(s, who, n) for n in range(1, 40))))
    for d in done:
        d.start()
    for d in done:
        d.join()
    wait_until(lambda: tells_moved(a), 20, "the moved store is not told: " + a.said())
    wait_until(lambda: "no longer at its path" in a.said(), 20, "no message of it: " + a.said())
    equal(a.metrics().rows['pasted_condition{reason="store-moved"}'], 1, "the metric of it")
    check(not tells_moved(b), "the store at the path counts as moved")
    equal(names_a, [f"0-{n}" for n in range(1, 41)], "a's records")
    equal(names_b, [f"0-{n}" for n in range(1, 40)], "b's records")
    for s in (a, b):
        s.stop_clean()
    a.store += ".old"
    for s, who, n in ((a, "a", 40), (b, "b", 39)):
        out = s.recover("check")
        equal(out.returncode, 0, f"check of {who}: {out.stdout} {out.stderr}")
        got = s.dump()
        equal(len(got), n, f"records of {who}")
        check(all(r.target == f"/{who}" for r in got), "records of the other one in", s.store)
    a.start()                       # and where it is now it goes on
    check(not tells_moved(a), "at its new path it counts as moved")
    equal(post_one(a, "a", 40), "0-41", "the next number")


def post_one(s, who, n):
    with s.connect() as c:
        return post(c, f"/{who}", bytes_of(f"{who}{n}", 100000))


@case("moved away and back again, and moved in the middle of its life")
def back(t):
    s = t.server(settings=SMALL)
    post_one(s, "x", 0)
    for turn in range(2):
        os.rename(s.store, s.store + ".away")
        wait_until(lambda: tells_moved(s), 20, "the moved store is not told")
        for n in range(24 * turn + 1, 24 * turn + 25):          # over more than a segment
            post_one(s, "x", n)
        os.rename(s.store + ".away", s.store)
        wait_until(lambda: not tells_moved(s), 20, "the store that is back is not told")
        wait_until(lambda: s.said().count("at their paths again") == turn + 1, 20, s.said())
    s.kill()                        # what recovery makes of it
    s.start().stop_clean()
    equal(len(s.dump()), 49, "records")


if __name__ == "__main__":
    main()
