#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""gone - files that are removed, renamed or replaced under a running server.

It is told within seconds, by readyz, a metric and a message; and where what is written now
could not be found by another start, a POST gets 503 and no 2xx.
"""
import glob
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from edges import remove  # noqa: E402
from harness import SLOW, bytes_of, case, check, equal, gaps, main, post, records, wait_until  # noqa: E402

SMALL = {"segment-size": "1M", "body-max": "300K", "pool-size": "4M", "checkpoint-interval": "20ms"}


def fill(s, n):
    with s.connect() as c:
        return [post(c, "/x", bytes_of(n, 100000)) for n in range(n)]


def segments(s):
    return sorted(glob.glob(os.path.join(s.store, "log", "000", "*.seg")))


def refuses(s, what):
    """No acknowledgement any more, and everyone is told why."""
    wait_until(lambda: s.ask("POST", "/x", b"x").status == 503, 20, f"{what}: still acknowledged: " + s.said())
    r = s.ask("GET", "/-/readyz")
    equal(r.status, 503, f"{what}: readyz")
    check(b"lane-failed" in r.body and b"removed or replaced" in r.body, what, r.body)
    wait_until(lambda: "removed, renamed, replaced or cut short under the running server" in s.said(), 20, what + ": no message: " + s.said())
    equal(s.metrics().rows['pasted_condition{reason="lane-failed"}'], 1, f"{what}: the metric")


def active(s):
    """The segment that is written to: the last but the prepared one."""
    used = [p for p in segments(s) if any(open(p, "rb").read(64))]
    return used[-1]


def unlink_active(s):
    os.unlink(active(s))


def rename_active(s):
    os.rename(active(s), active(s) + ".bak")


def replace_active(s):
    path = active(s)
    shutil.copy(path, path + ".copy")
    os.rename(path + ".copy", path)


def cut_active(s):
    os.truncate(active(s), os.path.getsize(active(s)) // 2)


def remove_lane(s):
    remove(os.path.join(s.store, "log", "000"))


def rename_log(s):
    os.rename(os.path.join(s.store, "log"), os.path.join(s.store, "log.old"))


def unlink_store(s):
    os.unlink(os.path.join(s.store, "store"))


def remove_all(s):
    remove(s.store)


WAYS = (unlink_active, rename_active, replace_active, cut_active, remove_lane, rename_log, unlink_store, remove_all)


@case("what is written now could not be found again: 503", each=True, rings=["socket"])
def refused(t):
    for way in WAYS:
        s = t.a_server(store=os.path.join(t.dir, way.__name__), settings=SMALL).start()
        fill(s, 3)
        way(s)
        refuses(s, way.__name__)
        check(s.stop() != 0 or not t.syncs, way.__name__, "the end was told as a clean one")


@case("a segment that is not written to any more: told, and it goes on")
def sealed(t):
    s = t.server(settings=SMALL)
    fill(s, 25)
    first = segments(s)[0]
    os.rename(first, first + ".away")
    r = wait_until(lambda: (lambda r: r if b"files-missing" in r.body else None)(s.ask("GET", "/-/readyz")), 20,
                   "not told")
    equal(r.status, 503, "readyz")
    wait_until(lambda: os.path.basename(first) in s.said(), 20, "the message does not name it: " + s.said())
    equal(s.ask("POST", "/x", b"x").status, 200, "a post")
    os.rename(first + ".away", first)
    wait_until(s.ready, 20, "not well again")
    s.stop_clean()
    equal(len(s.dump()), 26, "records")


@case("a sealed segment that is cut short: told, what is whole is read, the rest is damage")
def cut(t):
    s = t.server(settings=SMALL)
    fill(s, 25)
    first = segments(s)[0]
    os.truncate(first, os.path.getsize(first) // 2)
    r = wait_until(lambda: (lambda r: r if b"files-missing" in r.body else None)(s.ask("GET", "/-/readyz")), 20,
                   "not told")
    equal(r.status, 503, "readyz")
    wait_until(lambda: os.path.basename(first) in s.said(), 20, "the message does not name it: " + s.said())
    body = s.ask("GET", "/-/records/0-1..26").body
    equal({g["reason"] for g in gaps(body)}, {"damage"}, "gaps")
    there = [r.seq for r in records(body)]
    lost = [i for i in range(1, 26) if i not in there]
    equal(s.ask("GET", f"/-/records/0-{lost[0] - 1}").status, 200, "one that is whole")
    for i in lost:
        equal(s.ask("GET", f"/-/records/0-{i}").status, 500, f"0-{i}, which is not")
    equal(s.ask("POST", "/x", b"x").status, 200, "a post")
    s.stop_clean()
    found = [g for g in json.loads(s.recover("check", "--json").stdout)["gaps"] if g["reason"] == "damage"]
    equal([(g["from"], g["to"]) for g in found], [(lost[0], lost[-1])], "check")


@case("a prepared segment is made again")
def prepared(t):
    s = t.server(settings=SMALL)
    fill(s, 3)
    spare = wait_until(lambda: [p for p in segments(s) if not any(open(p, "rb").read(64))], 20, "none is prepared")[0]
    os.unlink(spare)
    wait_until(lambda: os.path.exists(spare), 20, "it was not made again")
    fill(s, 25)
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")
    equal(len(s.dump()), 28, "records")


@case("a second name of a file that is written to (cp -al): told, until it is gone; the next start refuses",
      each=True, rings=["socket"])
def linked(t):
    s = t.a_server(settings=SMALL).start()
    fill(s, 3)
    files = [os.path.join(s.store, "store"), active(s)] + [
        os.path.join(s.nvmm, f) for f in ("wal", "pktbufs") if s.nvmm]
    for turn, path in enumerate(files):
        copy = path + ".copy"
        os.link(path, copy)
        r = wait_until(lambda: (lambda r: r if b"store-linked" in r.body else None)(s.ask("GET", "/-/readyz")), 20,
                       f"{path}: not told")
        equal(r.status, 200, "readyz")
        equal(s.metrics().rows['pasted_condition{reason="store-linked"}'], 1, "the metric of it")
        wait_until(lambda: s.said().count("has another name (a hard link") == turn + 1, 20, s.said())
        os.unlink(copy)
        wait_until(lambda: b"store-linked" not in s.ask("GET", "/-/readyz").body, 20, f"{path}: told after it is gone")
        wait_until(lambda: s.said().count("has another name any more") == turn + 1, 20, s.said())
    equal(s.ask("POST", "/x", b"x").status, 200, "a post")
    os.link(files[0], files[0] + ".copy")
    s.stop_clean()
    check(s.spawn().proc.wait(60 * SLOW) > 0, "it starts")
    os.unlink(files[0] + ".copy")
    s.start()
    s.stop_clean()


if __name__ == "__main__":
    main()
