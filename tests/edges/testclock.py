# SPDX-License-Identifier: BSD-2-Clause
"""testclock - a server whose clock the test moves (clock.c): hours go by at once, and nothing
is late for it."""
import mmap
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import SANITIZED, Skip, wait_until  # noqa: E402

LIB = os.path.join(os.environ.get("top_builddir", "."), "tests/edges/clock.so")
WANTED, SKIPPED, WALL, SYNC, HELD, UNSYNCED = range(0, 48, 8)


class Clock:
    def __init__(self, t, name="clock"):
        self.path = os.path.join(t.dir, name)
        with open(self.path, "wb") as f:
            f.write(bytes(4096))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        t.undo.append(self.map.close)
        self.env = {"PASTED_CLOCK": self.path, "LD_PRELOAD": LIB}

    def get(self, at):
        return struct.unpack_from("q", self.map, at)[0]

    def put(self, at, seconds):
        struct.pack_into("q", self.map, at, round(seconds * 1e9))

    def go(self, seconds):
        """So much time goes by; the worker has looked at its deadlines on the way."""
        wanted = self.get(WANTED) + round(seconds * 1e9)
        struct.pack_into("q", self.map, WANTED, wanted)
        wait_until(lambda: self.get(SKIPPED) >= wanted, 60, "the clock does not go on")

    @property
    def now(self):
        """Seconds, of the server's monotonic clock."""
        return self.get(SKIPPED) / 1e9 + time.monotonic()

    @property
    def ahead(self):
        """The server's wall clock, against ours."""
        return (self.get(SKIPPED) + self.get(WALL)) / 1e9


def server(t, clock, **k):
    """It has one worker: the clock goes on in its waits."""
    if SANITIZED:
        raise Skip("a preload does not go with a sanitizer")
    return t.server(ring="socket", env=clock.env, **k)
