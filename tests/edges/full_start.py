#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A full disk forbids nothing but new records: start, check, dump and repair work on it, on
every kind of file system, and the server goes on by itself when there is room."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import disks
from harness import bytes_of, case, check, equal, main, post, wait_until

SETTINGS = {"segment-size": "1M", "pool-size": "4M", "body-max": "256K"}


def serves(s, name):
    """The store is open: before that everything but livez is 503."""
    check(s.proc.poll() is None, f"exited with {s.proc.returncode}:", s.said()[-2000:])
    try:
        return s.record(name).status == 200
    except (OSError, EOFError):
        return False


def settled(s):
    m = s.metrics()
    return m.sum("pasted_lane_settled_sequence") == m.sum("pasted_lane_durable_sequence")


def on_a_full(t, where, **how):
    s = t.server(store=os.path.join(where, "store"), settings=SETTINGS, **how)
    bodies = {}
    with s.connect() as c:
        for i in range(30):
            body = bytes_of(i, 100000)
            bodies[post(c, f"/{i}", body)] = body
    # What is only in the wal needs a segment, and there may be none ready yet.
    wait_until(lambda: settled(s), 30, "no checkpoint")
    for end in (s.kill, s.stop_clean):
        end()
        disks.fill(where)
        for verb in ("check", "dump", "repair", "check"):
            out = s.recover(verb)
            check(out.returncode in (0, 1), verb, "exits", out.returncode, out.stderr, out.stdout[-500:])
        s.spawn()
        wait_until(lambda: serves(s, "0-1"), 30, "does not start on a full disk: " + s.said())
        for name, body in bodies.items():
            equal(s.record(name).body, body, name)
        r = s.ask("POST", "/full", bytes_of("full", 100000))
        check(r.status in (200, 507), "POST on a full disk:", r)
        if r.status == 200:
            bodies[r.name] = bytes_of("full", 100000)
        disks.make_room(where)

        def resumes():
            r = s.ask("POST", "/more", b"more")
            if r.status == 200:
                bodies[r.name] = b"more"
            return r.status == 200
        wait_until(resumes, 30, "does not go on when there is room: " + s.said())
    s.stop_clean()
    got = {r.name: r.body for r in s.dump(exits=(0,))}
    equal([n for n in bodies if got.get(n) != bodies[n]], [], "lost or altered")


@case("ext4")
def ext4(t):
    on_a_full(t, disks.disk(t, "ext4", 40))


@case("XFS")
def xfs(t):
    on_a_full(t, disks.disk(t, "xfs"))


@case("btrfs")
def btrfs(t):
    on_a_full(t, disks.disk(t, "btrfs"))


@case("f2fs")
def f2fs(t):
    on_a_full(t, disks.disk(t, "f2fs"))


@case("tmpfs, class volatile", classes="wal", each=True, rings=("socket",))
def tmpfs(t):
    where = disks.memory(t, 40)
    nvmm = os.path.join(where, "nvmm")
    os.mkdir(nvmm)
    on_a_full(t, where, nvmm=nvmm)


if __name__ == "__main__":
    main()
