#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The wal and the packet buffers are files like others: cut short under a running server, or
restored from a copy with holes in a place that is full.  No signal ends anything without a
word, and nothing is lost that did not lie there."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import disks
from harness import SLOW, Failed, MIB, SANITIZED, Skip, bytes_of, case, check, equal, main, post, wait_until

SETTINGS = {"segment-size": "1M", "pool-size": "8M", "body-max": "64K"}
FAULT = 74


def ends(s, seconds=30):
    try:
        return s.proc.wait(seconds * SLOW)
    except subprocess.TimeoutExpired:
        raise Failed("it goes on: " + s.said()[-1500:])


def tries(s, body):
    try:
        with s.connect(timeout=5) as c:
            c.ask("POST", "/x", body)
    except (OSError, EOFError):
        pass


def cut(t, name):
    """The file is cut short under the server: it says so, with a status of its own."""
    if SANITIZED:
        raise Skip("the sanitizer takes the signal")
    s = t.server(settings=dict(SETTINGS, **{"checkpoint-interval": "50ms"}))
    bodies = {}
    with s.connect() as c:
        for i in range(20):
            bodies[post(c, f"/{i}", bytes_of(i, 3000))] = bytes_of(i, 3000)
    wait_until(lambda: s.record("0-20").status == 200, 20, "no checkpoint")
    os.truncate(os.path.join(s.nvmm, name), 8192)
    tries(s, b"more")
    equal(ends(s), FAULT, "status")
    check(os.path.join(s.nvmm, name) in s.said() and "cut short" in s.said(), s.said())
    # What can be done: everything that was in the segments is there.
    out = s.recover("check")
    check(out.returncode in (0, 1, 2, 3), "check after it:", out.returncode, out.stderr)
    check(out.returncode >= 0 and (out.stdout or out.stderr), "check ends without a word")
    s.spawn()

    def up():
        if s.proc.poll() is not None:
            return "refused"
        try:
            return s.record("0-1").status == 200 and "up"
        except (OSError, EOFError):
            return None
    if wait_until(up, 30, "neither up nor refused") == "refused":
        check(s.proc.returncode > 0 and "give-up-wal" in s.said(), s.said())
        out = s.recover("repair", "--give-up-wal")
        check(out.returncode in (0, 1, 2), "repair:", out.returncode, out.stdout, out.stderr)
        for f in ("wal", "pktbufs"):
            os.unlink(os.path.join(s.nvmm, f))
        s.start()
    for n, body in bodies.items():
        equal(s.record(n).body, body, n)
    with s.connect() as c:
        check(post(c, "/on", b"on") not in bodies, "a number is given again")
    s.stop_clean()


@case("the wal is cut short under the server", each=True, classes="wal")
def wal_cut(t):
    cut(t, "wal")


@case("the packet buffers are cut short under the server", each=True, classes="wal", rings=("socket",))
def buffers_cut(t):
    cut(t, "pktbufs")


@case("a copy with holes, in a place that is full: refused in words; with room it goes on", each=True,
      classes="wal", rings=("socket",))
def sparse(t):
    where = disks.memory(t, 24)
    nvmm = os.path.join(where, "nvmm")
    os.mkdir(nvmm)
    s = t.server(nvmm=nvmm, settings=SETTINGS)
    with s.connect() as c:
        name = post(c, "/x", b"x" * 5000)
    s.kill()
    for f in ("wal", "pktbufs"):
        path, back = os.path.join(nvmm, f), os.path.join(t.dir, f)
        disks.run(["cp", "--sparse=always", path, back])
        os.unlink(path)
        disks.run(["cp", "--sparse=always", back, path])
    disks.fill(where)
    out = s.recover("check")
    equal(out.returncode, 1, f"check: {out.stdout} {out.stderr}")
    equal([r.name for r in s.dump()], [name], "dump")
    s.spawn()
    check(ends(s) == 1, "status:", s.proc.returncode)
    check("holes" in s.said(), s.said())
    disks.make_room(where)
    s.start()
    equal(s.record(name).body, b"x" * 5000, "after there is room")
    s.stop_clean()


if __name__ == "__main__":
    main()
