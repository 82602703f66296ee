#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes that find no room although their blocks were allocated: a file system that writes
blocks somewhere else each time (btrfs with a snapshot of the store), and quotas.  507 and its
reason, reads go on, the server goes on by itself, and nothing acknowledged is lost."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import disks
from harness import MIB, bytes_of, case, check, equal, main, wait_until

SETTINGS = {"segment-size": "1M", "pool-size": "4M", "body-max": "256K"}


def subvolume(t, where):
    """A place of its own on that btrfs, which can have a snapshot and a quota."""
    path = os.path.join(where, "store")
    disks.run(["btrfs", "-q", "subvolume", "create", path])
    return path


class Posts:
    def __init__(self, s):
        self.s, self.bodies, self.n = s, {}, 0

    def one(self):
        self.n += 1
        body = bytes_of(self.n, 20000)
        r = self.s.ask("POST", f"/{self.n}", body)
        if r.status == 200:
            check(r.name not in self.bodies, "a number is given twice:", r.name)
            self.bodies[r.name] = body
        return r

    def until(self, status, words=b""):
        def asked():
            for _ in range(100 if status != 200 else 1):
                r = self.one()
                check(r.status in (200, 503, 507), r)
                if r.status == status and words in r.body:
                    return r
            return None
        return wait_until(asked, 120, f"no {status} {words}: {self.s.said()[-800:]}")

    def whole(self):
        """Everything is there, and the store is as a clean stop left it."""
        self.s.stop_clean()
        out = self.s.recover("check")
        equal(out.returncode, 0, f"check: {out.stdout.decode()} {out.stderr.decode()}")
        got = {r.name: r.body for r in self.s.dump(exits=(0,))}
        equal([n for n in self.bodies if got.get(n) != self.bodies[n]], [], "lost or altered")


@case("a snapshot makes each write of the store need new blocks, and there are none", each=True)
def copied(t):
    where = disks.disk(t, "btrfs", 256)
    s = t.a_server(store=subvolume(t, where), settings=SETTINGS)
    s.start()
    p = Posts(s)
    for _ in range(10):
        equal(p.one().status, 200, "POST")
    wait_until(lambda: s.record("0-10").status == 200, 20, "no checkpoint")
    # The snapshot keeps every block as it was: also those that were made for the log.
    disks.run(["btrfs", "-q", "subvolume", "snapshot", "-r", s.store, os.path.join(where, "snapshot")])
    disks.fill(where)
    p.until(507, b"no room on the disk")
    r = s.record("0-1")
    # What waits in the WAL is read after its checkpoint, for which there is no room.
    check(r.status == 200 or (t.has_wal and b"checkpoint" in r.body), "read-back while full:", r)
    check(b"room" in s.ask("GET", "/-/readyz").body, "readyz does not say why")
    disks.make_room(where)
    p.until(200)
    wait_until(lambda: s.ask("GET", "/-/readyz").status == 200, 20, "readyz stays bad")
    for _ in range(5):
        equal(p.one().status, 200, "POST after there is room")
    check("never retried" not in s.said(), s.said())
    disks.fill(where)
    p.until(507)
    s.kill()
    out = s.recover("check")
    check(out.returncode in (0, 1), "check after a kill without room:", out.stdout, out.stderr)
    disks.make_room(where)
    s.start()
    p.until(200)
    p.whole()


@case("a quota is used up, and told as that", each=True, rings=("socket",))
def quota(t):
    where = disks.disk(t, "btrfs", 256)
    store = subvolume(t, where)
    disks.run(["btrfs", "quota", "enable", where])
    disks.run(["btrfs", "qgroup", "limit", "10M", store])
    s = t.a_server(store=store, settings=SETTINGS)
    s.start()
    p = Posts(s)
    for limit in ("60M", "120M"):
        used_up(s, p, store, limit)
    p.whole()


def used_up(s, p, store, limit):
    r = p.until(507)
    check(b"quota" in r.body, "507 without the word quota:", r)
    wait_until(lambda: b"quota" in s.ask("GET", "/-/readyz").body.lower(), 20, "readyz without the word quota")
    check("No space left" not in s.said() and "quota" in s.said().lower(), s.said())
    disks.run(["btrfs", "qgroup", "limit", limit, store])
    p.until(200)
    wait_until(lambda: s.ask("GET", "/-/readyz").status == 200, 20, "readyz stays bad")


def simple(t, kind):
    """Where what was allocated is room: nothing but the next segment's making meets the end."""
    where = disks.disk(t, kind)
    s = t.server(store=os.path.join(where, "store"), settings=SETTINGS)
    p = Posts(s)
    disks.fill(where, leave=5 * MIB)
    p.until(507)
    disks.make_room(where)
    p.until(200)
    check("found no room" not in s.said(), "a write met the end of the disk:", s.said())
    p.whole()


@case("XFS")
def xfs(t):
    simple(t, "xfs")


@case("btrfs: files of the log are written in place")
def btrfs(t):
    simple(t, "btrfs")


@case("f2fs")
def f2fs(t):
    simple(t, "f2fs")


if __name__ == "__main__":
    main()
