#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whole files of a store damaged, as pasted-recover sees them: cut, empty, noise, of
another version or byte order, missing.  The file `store` is found again from the segments
and the wal.

For each: check exits as said, with words, and changes nothing; dump has no record that
was not there, none altered; where it is 3 a server does not start either; where records
survive (2) repair loses none of them.

A segment that is not there at all, the first, the last, every one, is missed: the file
`store` knows what the lane had.
"""
import hashlib
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from harness import another, bytes_of, case, check, equal, main, post, put_aside, same_store  # noqa: E402

PAGE = 4096
SKIP = 1000000000           # numbers, where nobody knows how many were lost (format.h)


def digest(*roots, times=True):
    h = hashlib.sha256()
    for root in roots:
        for folder, dirs, files in sorted(os.walk(root)):
            h.update(repr((folder, sorted(dirs))).encode())
            for f in sorted(files):
                path = os.path.join(folder, f)
                st = os.stat(path)
                h.update(repr((path, st.st_size, times and st.st_mtime_ns)).encode())
                with open(path, "rb") as fd:
                    h.update(fd.read())
    return h.hexdigest()


# ---- what is done to a file ----

def cut(length):
    def do(path):
        size = os.path.getsize(path)
        os.truncate(path, max(0, min(length, size) if length >= 0 else size + length))
    do.what = f"cut to {length} bytes"
    return do


def noise(length):
    def do(path):
        with open(path, "r+b") as f:
            f.write(random.Random(length).randbytes(min(length, os.path.getsize(path))))
    do.what = f"{length} bytes of noise"
    return do


def newer(copy):
    """One copy of another version, the other one as it was: no damage to be written over."""
    def do(path):
        with open(path, "rb") as f:
            was = f.read(2 * PAGE)
        another("version")(path)
        with open(path, "r+b") as f:
            f.seek(PAGE * (1 - copy))
            f.write(was[PAGE * (1 - copy):PAGE * (2 - copy)])
    do.what = f"another copy {'AB'[copy]} of a version"
    return do


def gone(path):
    os.unlink(path)


gone.what = "missing"


def every_gone(path):
    for f in os.listdir(path):
        os.unlink(os.path.join(path, f))


every_gone.what = "all files of the lane missing"


def folder_gone(path):
    shutil.rmtree(path)


folder_gone.what = "the lane's folder missing"


def filled_with(byte):
    def do(path):
        with open(path, "r+b") as f:
            f.write(bytes([byte]) * min(2 * PAGE, os.path.getsize(path)))
    do.what = f"two pages of {byte:#x}"
    return do


def table_of_noise(path):
    """Behind the two blocks, what lanes had: also of those that never were."""
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        f.seek(2 * PAGE)
        f.write(b"\xff" * (size - 2 * PAGE))


table_of_noise.what = "a table of noise"


EVERY = [filled_with(255), cut(0), cut(1), cut(100), cut(511), cut(4000), cut(5000), cut(9000), cut(70000),
         cut(-1), cut(-5000), noise(8192), noise(1 << 30)]

# One copy of the store block is enough; after a crash the other may have been a torn write.
# Its end holds the second copy of what lanes had that this store never had.
STORE = {"cut to 4000 bytes": (1, 2), "cut to -1 bytes": (0, 1), "cut to -5000 bytes": (0, 1)}
# The table of lanes behind it is kept twice too, and made again from what is there.
STORE.update({f"cut to {n} bytes": (0, 1, 2) for n in (5000, 9000, 70000)})


def lost(do):
    """What check says when no copy is left: the segments (and the wal) say what was in it."""
    return (3,) if do.what.startswith("another") else (2,)


# ---- one damaged store ----

def records(t, s, exits):
    return {r.name: r.body for r in s.dump(exits=exits)}


def refused(s, what):
    """The server does not start either, and says why."""
    open(s.errors, "w").close()
    s.spawn()
    code = s.proc.wait(60)
    check(code > 0, what, "the server exits", code)
    check("cannot open the store" in s.said(), what, "no words of the server:", s.said())


def names_go_on(s, bodies, what):
    """No number that a client knows is given to another record, now or at the next start."""
    known = set(bodies)
    for _ in range(2):
        s.start()
        with s.connect() as c:
            name = post(c, "/after", b"after")
        s.kill()
        check(name not in known, what, name, "was given again")
        known.add(name)
    check(int(name.split("-")[1]) < 2 * SKIP, what, "numbers are skipped at every start:", name)


def repaired_for_good(s, path, what):
    """What is left to tell, if anything, is of records; a second repair changes nothing."""
    told, before = s.recover("check"), digest(os.path.join(s.store, "log"), times=False)
    check(told.returncode in (0, 2), what, "check after repair exits", told.returncode, told.stdout)
    if os.path.basename(path) == "store":
        equal(told.returncode, 0, f"{what}: check after repair: {told.stdout.decode()}")
    s.recover("repair")
    again = s.recover("check")
    equal((again.returncode, again.stdout), (told.returncode, told.stdout), what + ": after a second repair")
    equal(digest(os.path.join(s.store, "log"), times=False), before, what + ": a second repair wrote to the log")


def damaged(t, s, kept, path, do, want, last=None):
    """kept: a copy of the store as it was, and its records."""
    folders, bodies = kept
    put_aside(t, s)
    for now, was in folders.items():
        shutil.rmtree(now)
        shutil.copytree(was, now)
    same_store(t, s)
    size = os.path.getsize(path)
    if do is gone and path == os.path.join(s.store, "store"):
        put_aside(t, s)
    else:
        do(path)
    if do.what.startswith("cut") and os.path.getsize(path) == size:
        return                                      # it was no longer
    what = f"{os.path.basename(path)}: {do.what}"
    before = digest(*folders)
    out = s.recover("check")
    code, words = out.returncode, (out.stdout + out.stderr).decode()
    check(code in want, what, "exits", code, "not", want, words)
    check(len(out.stderr if code == 3 else out.stdout) > 20, what, "no words:", words)
    if do.what.startswith("another") and code == 3:
        check(do.what.split()[-1] in words, what, "is not named:", words)
    if code == 3:
        dump = s.recover("dump")
        equal(dump.returncode, 3, what + ": dump")
        equal(digest(*folders), before, what + ": check or dump wrote")
        before = digest(*folders, times=False)      # it writes the store block as it is
        equal(s.recover("repair").returncode, 3, what + ": repair")
        equal(digest(*folders, times=False), before, what + ": a refused repair wrote")
        refused(s, what)
        equal(digest(*folders, times=False), before, what + ": a server that did not start wrote")
        return
    left = records(t, s, (code,))
    equal(digest(*folders), before, what + ": check or dump wrote")
    if code < 2 and do is not gone:
        equal(left, bodies, what + ": no damage is told")
    check(left.items() <= bodies.items(), what, "a record is altered, or was never there")
    out = s.recover("repair")
    check(out.returncode in (0, 2), what, "repair exits", out.returncode, out.stdout, out.stderr)
    equal(records(t, s, (0, 1, 2)), left, what + ": repair made less (or more) of it")
    repaired_for_good(s, path, what)
    if path == last:
        names_go_on(s, bodies, what)


def filled(t, n, **k):
    s = t.server(settings=dict({"pool-size": "4M", "segment-size": "1M", "body-max": "200k",
                                "workers": 1}, **k))
    bodies = {}
    with s.connect() as c:
        for i in range(n):
            body = b"<%04d>" % i + bytes_of(i, 100000)
            bodies[post(c, f"/{i}", body)] = body
    return s, bodies


def keep(t, s):
    folders = {}
    for i, now in enumerate([s.store] + ([s.nvmm] if s.nvmm else [])):
        folders[now] = os.path.join(t.dir, f"kept{i}")
        shutil.copytree(now, folders[now])
    return folders


def segments(s):
    folder = os.path.join(s.store, "log/000")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder))
            if f.endswith(".seg") and open(os.path.join(folder, f), "rb").read(8).strip(b"\0")]


@case("files of a stopped store", each=True, rings=["socket"], classes="syncs")
def stopped(t):
    s, bodies = filled(t, 25)
    s.stop_clean()
    kept = keep(t, s), bodies
    store, segs = os.path.join(s.store, "store"), segments(s)
    check(len(segs) >= 3, "only segments", segs)
    damaged(t, s, kept, store, filled_with(0), (2,))
    damaged(t, s, kept, store, table_of_noise, (2,))
    for do in EVERY + [another("version"), another("byte order"), newer(0), newer(1), gone]:
        damaged(t, s, kept, store, do, STORE.get(do.what, lost(do)))
        for seg in segs[0], segs[1], segs[-1]:
            want = (3,) if do.what.startswith("another") else (2,)
            damaged(t, s, kept, seg, do, last=segs[-1], want=want)
    lane = os.path.dirname(segs[0])
    for do in every_gone, folder_gone:
        damaged(t, s, kept, lane, do, last=lane, want=(2,))
        check("missing" in s.recover("check").stdout.decode(), do.what, "is not told as missing")


@case("files of a killed store with a wal", each=True, rings=["socket"], classes="wal")
def killed(t):
    s, bodies = filled(t, 12, **{"checkpoint-interval": "1h"})
    s.kill()
    kept = keep(t, s), bodies
    wal, bufs = os.path.join(s.nvmm, "wal"), os.path.join(s.nvmm, "pktbufs")
    damaged(t, s, kept, os.path.join(s.store, "store"), table_of_noise, (2,))
    for do in EVERY + [another("version"), another("byte order"), newer(0), newer(1), gone]:
        damaged(t, s, kept, os.path.join(s.store, "store"), do, STORE.get(do.what, lost(do)))
        nothing = do is gone or do.what == "cut to 0 bytes"
        damaged(t, s, kept, wal, do, (2,) if nothing else (2, 3))
        if not do.what.startswith("another"):
            damaged(t, s, kept, bufs, do, (1, 2, 3))    # 1: in no record's bytes


if __name__ == "__main__":
    main()
