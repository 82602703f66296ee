#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a server says of its store when it could not close it: what is true."""
import os
import re
import signal

import edges
from disks import disk, run
from harness import SLOW, bytes_of, case, check, equal, main, ms, post, request, wait_until

SETTINGS = {"segment-size": "1M", "body-max": "300K", "pool-size": "4M", "checkpoint-interval": "20ms"}
THERE = "what was acknowledged is still there"


def filled(s, n=25):
    with s.connect() as c:
        names = [post(c, "/p", bytes_of(i, 60000)) for i in range(n)]
        # It is in a segment then: nothing comes to the active one any more.
        equal(c.ask("GET", f"/-/records/{names[-1]}").status, 200, "read back")
        return names


def active(s):
    """The segment that is written to: the last that is not all zeros."""
    lane = os.path.join(s.store, "log", "000")
    used = [p for p in sorted(os.listdir(lane)) if p.endswith(".seg") and any(open(os.path.join(lane, p), "rb").read(64))]
    return os.path.join(lane, used[-1])


def fails(s):
    wait_until(lambda: b"lane-failed" in s.ask("GET", "/-/readyz").body, 30, "the lane does not fail: " + s.said())


@case("what is still there is called so", each=True, rings=["socket"])
def there(t):
    s = t.server(settings=SETTINGS)
    names, path = filled(s), active(s)
    os.rename(path, path + ".away")
    fails(s)
    os.rename(path + ".away", path)
    equal(s.stop(), 1, "exit status")
    check(THERE in s.said(), s.said())
    equal([r.name for r in s.dump()], names, "records")


@case("what is not there is not called so, and what is missing is told", each=True, rings=["socket"])
def not_there(t):
    s = t.server(settings=SETTINGS)
    names = filled(s)
    os.unlink(active(s))
    fails(s)
    equal(s.stop(), 1, "exit status")
    check(THERE not in s.said(), s.said())
    last = names[-1]
    check(re.search(rf"acknowledged up to {last}, and what is there now ends at 0-\d+|places are damaged or missing", s.said()),
          s.said())


@case("the whole store removed", each=True, rings=["socket"])
def removed(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    os.rename(s.store, s.store + ".away")
    edges.remove(s.store + ".away")
    fails(s)
    equal(s.stop(), 1, "exit status")
    check(THERE not in s.said(), s.said())
    check("the store was not closed in order" in s.said(), s.said())


@case("what cannot be looked at: XFS that is shut down")
def not_looked_at(t):
    where = disk(t, "xfs")
    s = t.server(cls="fsync", store=os.path.join(where, "store"), settings=SETTINGS)
    filled(s)
    run(["xfs_io", "-x", "-c", "shutdown", where])
    s.ask("POST", "/p", b"x")
    fails(s)
    equal(s.stop(), 1, "exit status")
    check(THERE not in s.said() and "cannot be looked at now" in s.said(), s.said())


@case("a stop while the disk is frozen: who is connected sees the end at once, not at the thaw", each=True,
      classes="syncs")
def frozen(t):
    where = disk(t, "ext4")
    s = t.a_server(store=os.path.join(where, "store"), settings=dict(SETTINGS, **{"drain-timeout": ms(1000)})).start()
    names = filled(s)
    idle, waits = s.connect(), s.connect()
    run(["fsfreeze", "-f", where])
    try:                # before anything else is undone: no signal ends a process that waits for it
        waits.send(request("POST", "/frozen", b"f"))
        wait_until(lambda: b"the disk has not answered for" in s.ask("GET", "/-/readyz").body, 30, "it is not told")
        s.proc.send_signal(signal.SIGTERM)
        for c in idle, waits:
            wait_until(lambda c=c: ended(c), 30, "the end is not seen")
        wait_until(lambda: not heard(s), 30, "new clients are let in")
        equal(s.proc.poll(), None, "the process, which the kernel keeps until the thaw")
    finally:
        run(["fsfreeze", "-u", where])
    equal(s.proc.wait(60 * SLOW), 1, "exit status")
    check("not waiting for the disk" in s.said(), s.said())
    check(set(names) <= {r.name for r in s.dump()}, "a record of before is lost")


@case("a stop of a start that a frozen disk keeps: heard, and the process ends at the thaw")
def kept_from_starting(t):
    where = disk(t, "ext4")
    s = t.a_server(store=os.path.join(where, "store"), cls="fsync",
                   settings=dict(SETTINGS, **{"drain-timeout": ms(1000)})).start()
    names = filled(s)
    s.stop_clean()
    s.audited = False
    run(["fsfreeze", "-f", where])
    try:
        s.spawn()
        # Nobody answers yet; it takes its signals itself from when they are blocked.
        wait_until(lambda: "State:\tD" in status(s) and blocks(s, signal.SIGTERM), 30, "it does not wait")
        s.proc.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopped before the store was open" in s.said(), 30, "the stop is not heard: " + s.said())
        equal(s.proc.poll(), None, "the process, which the kernel keeps until the thaw")
    finally:
        run(["fsfreeze", "-u", where])
    equal(s.proc.wait(60 * SLOW), 1, "exit status")
    s.start()
    s.stop_clean()
    check(set(names) <= {r.name for r in s.dump()}, "a record of before is lost")


def status(s):
    with open(f"/proc/{s.proc.pid}/status") as f:
        return f.read()


def blocks(s, sig):
    return int(re.search(r"SigBlk:\s*(\w+)", status(s)).group(1), 16) >> (sig - 1) & 1


@case("a disk that was frozen and answers again: ready by itself, without a request", each=True)
def thawed(t):
    where = disk(t, "ext4")
    s = t.a_server(store=os.path.join(where, "store"), settings=SETTINGS).start()
    filled(s)
    c = s.connect()
    run(["fsfreeze", "-f", where])
    try:
        c.send(request("POST", "/frozen", b"f" * 200000))
        wait_until(lambda: b"the disk has not answered for" in s.ask("GET", "/-/readyz").body, 30, "it is not told")
    finally:
        run(["fsfreeze", "-u", where])
    wait_until(s.ready, 20, "not ready again: " + s.ask("GET", "/-/readyz").body.decode())
    equal(c.reply().status, 200, "what waited")
    s.stop_clean()


def ended(c):
    c.sock.setblocking(False)
    try:
        return c.sock.recv(1000) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def heard(s):
    try:
        s.connect().close()
    except ConnectionRefusedError:
        return False
    return True


if __name__ == "__main__":
    main()
