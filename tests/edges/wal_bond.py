#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""wal_bond - a write-ahead log has one store, and one process.

A copy of a store that is started with the same --nvmm, while the store runs or after it was
killed, is refused and asked; so is the store, once the copy was told to --adopt.  The tool
says the same.  No record is ever taken away from the one that acknowledged it.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import disks  # noqa: E402
from harness import case, check, equal, main, post, wait_until  # noqa: E402

LAZY = {"checkpoint-interval": "1h"}        # what is acknowledged stays in the log


def posts(s, who, n):
    with s.connect() as c:
        return [post(c, f"/{who}", b"%d" % i) for i in range(n)]


def copy_of(t, s):
    shutil.copytree(s.store, s.store + ".copy", ignore=shutil.ignore_patterns("new-*"))
    return t.a_server(store=s.store + ".copy", nvmm=s.nvmm, settings=LAZY)


def refused(s, *words):
    open(s.errors, "w").close()
    s.spawn()
    check(s.proc.wait(60) > 0, "it did not end with an error", s.said())
    for w in words:
        check(w in s.said(), "no word of", w, "in:", s.said())


@case("a log in the store's own folder, which is still to be made", each=True, classes="wal")
def one_folder(t):
    where = os.path.join(t.dir, "made")
    s = t.a_server(store=where, nvmm=where, settings=LAZY).start()
    names = posts(s, "one", 3)
    s.kill()
    s.start()
    equal([s.record(n).status for n in names], [200] * 3, "after a kill")
    s.stop_clean()


def tool_says(s, verb, *words):
    out = s.recover(verb)
    equal(out.returncode, 3, f"{verb} exits {out.stdout} {out.stderr}")
    for w in words:
        check(w in (out.stdout + out.stderr).decode(), verb, "has no word of", w, out.stderr)


def bodies(s):
    return [r.body for r in s.dump()]


@case("a copy of a running store", each=True, rings=["socket"], classes="wal")
def running(t):
    a = t.server(settings=LAZY)
    posts(a, "a", 3)
    b = copy_of(t, a)
    refused(b, a.nvmm, "in use by another process", "for the store at " + a.store)
    for verb in ("check", "repair"):
        tool_says(b, verb, "in use by another process", "for the store at " + a.store)
    posts(a, "a", 3)
    a.kill()
    equal(len(a.dump()), 6, "records of the store")
    other = t.a_server(store=os.path.join(t.dir, "new"), nvmm=a.nvmm, settings=LAZY)
    refused(other, a.nvmm, "another store", a.store)
    a.start()
    refused(other, a.nvmm, "in use by another process", "for the store at " + a.store)
    equal(posts(a, "a", 1), ["0-7"], "it goes on")


@case("a copy of a killed store: asked, in both directions", each=True, rings=["socket"], classes="wal")
def killed(t):
    a = t.server(settings=LAZY)
    posts(a, "a", 3)
    a.kill()
    b = copy_of(t, a)
    refused(b, "belongs to the store at " + a.store, "--adopt")
    for verb in ("check", "dump", "repair"):
        tool_says(b, verb, "--adopt")
    equal(len(a.dump()), 3, "the store lost records to a copy that was refused")
    b.args = ["--adopt"]
    b.start()
    equal(posts(b, "b", 2), ["0-4", "0-5"], "the copy goes on")
    b.kill()
    refused(a, "has the wal of the store at " + b.store)
    b.args = []
    b.start()                   # it is its own now
    refused(a, "in use by another process")
    b.stop_clean()
    equal([r.target for r in b.dump()], ["/a"] * 3 + ["/b"] * 2, "records of the copy")
    a.start()                   # the place is nobody's any more; what was taken is told
    check("damaged" in a.said() or "lost" in a.said(), "what was taken is not told:", a.said())
    check(posts(a, "a", 1)[0] not in ("0-1", "0-2", "0-3", "0-4", "0-5"), "a number was given again")
    equal(b.recover("check").returncode, 0, "check of the copy")


@case("repair adopts too, and a store that was renamed is not asked", each=True, rings=["socket"], classes="wal")
def renamed(t):
    a = t.server(settings=LAZY)
    posts(a, "a", 3)
    a.kill()
    os.rename(a.store, a.store + ".new")
    a.store += ".new"
    a.start()
    posts(a, "a", 1)
    a.kill()
    b = copy_of(t, a)
    out = b.recover("repair", "--adopt")
    equal(out.returncode, 0, f"repair --adopt {out.stdout} {out.stderr}")
    equal(len(b.dump()), 4, "records of the copy")
    equal(bodies(a), [b"0", b"1", b"2", b"0"], "records of the store")     # repair changed nothing in the log


@case("the log is removed, or moved, under the running server", each=True, rings=["socket"], classes="wal")
def vanished(t):
    for what in ("wal", "pktbufs"):
        s = t.a_server(store=os.path.join(t.dir, what), settings=LAZY, nvmm=t.shm()).start()
        posts(s, "x", 2)
        os.unlink(os.path.join(s.nvmm, what))
        wait_until(lambda: s.ask("POST", "/x", b"x").status == 503, 20, what + " is gone: still acknowledged")
        check(b"lane-failed" in s.ask("GET", "/-/readyz").body, what, "readyz")
        wait_until(lambda: "the wal or its buffers was removed" in s.said(), 20, "no message: " + s.said())
        s.kill()
    s = t.a_server(store=os.path.join(t.dir, "moved"), settings=LAZY, nvmm=t.shm()).start()
    posts(s, "x", 2)
    os.rename(s.nvmm, s.nvmm + ".away")
    t.shms.append(s.nvmm + ".away")
    wait_until(lambda: b"store-moved" in s.ask("GET", "/-/readyz").body, 20, "the moved log is not told")
    posts(s, "x", 2)
    s.kill()
    s.nvmm += ".away"
    equal(len(s.dump()), 4, "records")


BOOT = "/proc/sys/kernel/random/boot_id"


@case("a log of an earlier boot of the machine: what is whole of it is taken, and more numbers are skipped than it "
      "can have had", each=True, rings=["socket"], classes="wal")
def another_boot(t):
    s = t.a_server(settings=LAZY).start()
    names = posts(s, "one", 3)
    s.kill()
    s.start()
    names += posts(s, "same", 1)
    equal(names, [f"0-{n}" for n in (1, 2, 3, 4)], "names in one boot")
    s.kill()
    other = os.path.join(t.dir, "boot_id")
    with open(other, "w") as f:
        f.write("01234567-89ab-4cde-8f01-23456789abcd\n")
    disks.private()
    disks.run(["mount", "--bind", other, BOOT])
    t.undo.append(lambda: subprocess.run(["umount", "-l", BOOT], check=False))
    check("the machine was restarted since" in s.recover("check").stdout.decode(), "check does not tell of it")
    s.start()
    names += posts(s, "another", 1)
    check(int(names[-1].split("-")[1]) > 10 ** 9, "numbers may be given twice:", names[-1])
    equal([s.record(n).status for n in names], [200] * 5, "what was whole")
    equal(s.record("0-5").status, 500, "what may have been there")
    s.kill()
    s.start()                                   # the same one again
    names += posts(s, "another", 1)
    equal(int(names[-1].split("-")[1]), int(names[-2].split("-")[1]) + 1, "the next name")
    equal([s.record(n).status for n in names], [200] * 6, "after a kill")
    s.stop_clean()


if __name__ == "__main__":
    main()
