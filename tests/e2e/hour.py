#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No progress waits for a timer of the server's own: with the checkpointer's interval at an
hour everything else goes on as ever.

The other scripts run once more with that setting, which wins over what a case sets; each
with two of the four combinations of ring and class (PASTED_HOUR_ALL=1: with all), so that
each ring and each class is there.  Then the wake-ups that were missed once."""
import os
import subprocess
import sys

from harness import OVER, Skip, case, check, equal, main, post, request, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
HOUR = "checkpoint-interval=1h"
SCRIPTS = ("basic", "restart", "pressure", "tool", "bodies", "full", "idle", "retention")
PAIRS = [("uring socket", "fsync volatile")] if "PASTED_HOUR_ALL" in os.environ else \
    [("uring", "fsync"), ("socket", "volatile")]


@case("every script once more")
def all_scripts(t):
    if OVER or "PASTED_TEST_RINGS" in os.environ:     # in the machine of vm/paste_e2e.py too
        raise Skip("settings or rings are given")
    wrong = []
    for name in SCRIPTS:
        for rings, classes in PAIRS:
            env = dict(os.environ, PASTED_TEST_SETTINGS=HOUR, PASTED_TEST_RINGS=rings,
                       PASTED_TEST_CLASSES=classes, PASTED_TEST_DIR=t.dir, PASTED_TEST_ONLY="")
            out = subprocess.run([sys.executable, os.path.join(HERE, name + ".py")], env=env, cwd=t.dir,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if out.returncode not in (0, 77):
                wrong.append(f"{name}.py, {rings}, {classes}:\n" + out.stdout.decode()[-3000:])
            if name in ("full", "idle"):
                break               # they choose themselves what they run on
    check(not wrong, "\n".join(wrong))


def an_hour(t, **settings):
    return t.server(settings={"checkpoint-interval": "1h", **{k.replace("_", "-"): v for k, v in settings.items()}})


@case("requests that wait across a change of segments: each change asks for the next segment", each=True)
def across_segments(t):
    s = an_hour(t, segment_size="64K", pool_size="1M", pushback_timeout="10s")
    with s.connect() as c:
        for _ in range(4):
            c.send(b"".join(request("POST", "/x", b"y" * 24000) for _ in range(12)))
            equal([c.reply().status for _ in range(12)], [200] * 12, "replies")
    equal(s.metrics().sum('pasted_refused_total'), 0, "refused")


@case("uploads hold all buffers that are not committed: what is committed later asks again",
      each=True, classes="wal")
def held_then_committed(t):
    s = an_hour(t, pool_size="1M", segment_size="1M", body_max="64K", pushback_timeout="10s", checkpoint_buffers="16")
    n, half = 8, 30000
    conns = [s.connect() for _ in range(n)]
    for c in conns:                 # none is complete: there is nothing to move yet
        c.send(request("POST", "/u", b"z" * 2 * half)[:-half])
    wait_until(lambda: s.metrics().sum("pasted_pool_buffers_free") + s.metrics().sum("pasted_pool_buffers_kernel")
               < 256 - n * half / 4096, 20, "the halves are not there")
    for _ in range(3):
        for c in conns:
            c.send(b"z" * half)
        for c in conns:
            equal(c.reply().status, 200, "a whole one")
        for c in conns:
            c.send(request("POST", "/u", b"z" * 2 * half)[:-half])
    with s.connect() as c:          # the lane's buffers came back: all of the pool has passed
        for i in range(60):
            post(c, f"/more/{i}", b"m" * 60000)


if __name__ == "__main__":
    main()
