#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""retain-age goes by the clock: what is old goes though nothing comes, after a restart, from a
lane of an earlier start, and though something young came to the same segment."""
import os
import time

import edges  # noqa: F401
from harness import MIB, bytes_of, case, check, equal, gaps, main, post, wait_until

SETTINGS = {"segment-size": "1M", "body-max": "256K", "pool-size": "4M", "retain-age": "1s",
            "checkpoint-interval": "1h"}


def status(s, name):
    return s.ask("GET", f"/-/records/{name}").status


def gone(s, name):
    wait_until(lambda: status(s, name) == 410, 30, f"{name} is still served")


def blocks(s):
    """What the files of the store take, in bytes."""
    n = 0
    for d, _, files in os.walk(s.store):
        for f in files:
            try:
                n += os.stat(os.path.join(d, f)).st_blocks * 512
            except FileNotFoundError:
                pass
    return n


@case("nothing comes: the last record goes, and the room of many", each=True)
def idle(t):
    s = t.server(settings=SETTINGS)
    with s.connect() as c:
        for i in range(40):
            last = post(c, f"/{i}", bytes_of(i, 200000))
        equal(c.ask("GET", f"/-/records/{last}").status, 200, "while it is young")
    gone(s, last)
    # The one in use, the prepared one, a spare one.
    wait_until(lambda: blocks(s) <= 4 * MIB, 30, "the room is not free")
    r = s.ask("GET", "/-/records/0-1..40")
    equal(r.status, 410, "a range of them")
    with s.connect() as c:
        equal(post(c, "/next", b"x"), "0-41", "the next number")
        r = c.ask("GET", "/-/records/0-1..")
        equal([(g["gap"], g["reason"]) for g in gaps(r.body)], [("0-1..40", "expired")], "gaps")
    s.stop_clean()
    out = s.recover("check")
    equal(out.returncode, 0, "check: " + out.stdout.decode())


@case("after a restart, clean and not, with nothing coming", each=True, rings=["socket"])
def restart(t):
    s = t.server(settings=dict(SETTINGS, **{"retain-age": "3s"}))
    for end in (s.stop_clean, s.kill):
        with s.connect() as c:
            last = post(c, "/r", b"x")
        end()
        s.start()
        gone(s, last)
    with s.connect() as c:
        equal(post(c, "/r", b"x"), "0-3", "the next number")
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")


@case("few come, but always some: the old go, the young stay", each=True, rings=["socket"])
def trickle(t):
    s = t.server(settings=SETTINGS)
    with s.connect() as c:
        first = post(c, "/t", b"first")

        def more():
            name = post(c, "/t", b"more")
            equal(c.ask("GET", f"/-/records/{name}").status, 200, name)
            time.sleep(0.1)
            return c.ask("GET", f"/-/records/{first}").status == 410
        wait_until(more, 30, "the first one stays while others come")
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")


@case("a lane of an earlier start that nobody writes to", each=True, rings=["socket"])
def other_lane(t):
    s = t.server(settings=dict(SETTINGS, workers="3", **{"retain-age": "1h"}))

    def lanes():
        with s.connect() as c:
            names.append(post(c, "/l", b"x"))
        return {n.split("-")[0] for n in names} == {"0", "1", "2"}
    names = []
    wait_until(lanes, 30, "no record in some lane")
    s.stop_clean()
    s.settings.update({"workers": "1", "retain-age": "1s"})
    s.start()
    for name in names:
        gone(s, name)
    s.stop_clean()
    s.settings.update({"workers": "3", "retain-age": "1h"})
    s.start()
    old, names = names, []
    wait_until(lanes, 30, "no record in some lane")
    equal([n for n in names if n in old], [], "names given twice")
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")


if __name__ == "__main__":
    main()
