# SPDX-License-Identifier: BSD-2-Clause
"""edges - what the tests of the edges share: servers that are started in odd ways, small
disks that are full, and a look at whether a store is whole."""
import contextlib
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from full import fill, small_disk  # noqa: E402,F401
from harness import (CASES, MIB, RECOVER, SLOW, Server, bytes_of, check, die_with_parent, equal,  # noqa: E402
                     wait_until)

CASES.clear()       # those of full.py are its own


class OddServer(Server):
    """A server whose standard descriptors are the test's business: `descriptors` is called
    in the child, last of all; `stderr` is what it gets as its third, or a file."""
    descriptors = stderr = None

    @property
    def tells(self):
        return self.stderr is None and not self.descriptors

    def spawn(self, pending=None):
        def before():
            die_with_parent()
            if self.descriptors:
                self.descriptors()
        with open(self.errors, "ab") as err:
            self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err,
                                         stderr=self.stderr if self.stderr is not None else err, preexec_fn=before)
        return self


def remove(path):
    """A folder that a server still makes files in, between two looks of whoever removes it."""
    def gone():
        shutil.rmtree(path, ignore_errors=True)
        return not os.path.exists(path)
    wait_until(gone, 30, f"{path} does not go")


def an_odd_server(t, **k):
    k.setdefault("ring", t.ring or "auto")
    k.setdefault("cls", t.cls or "fsync")
    return OddServer(t, **k)


class Turns:
    """A small disk that is filled, and has room again, over and over."""
    SETTINGS = {"segment-size": "1M", "pool-size": "4M", "body-max": "256K", "checkpoint-interval": "20ms"}

    def __init__(self, disk):
        self.disk, self.body, self.names = disk, bytes_of("turns", 200000), []

    def until(self, s, status):
        def once():
            with s.connect() as c:
                new, r = fill(c, self.body, 100) if status == 507 else ([], c.ask("POST", "/f", self.body))
            self.names += new + ([r.name] if r.status == 200 else [])
            return r.status == status
        wait_until(once, 30, f"no {status}")

    def turn(self, s):
        ballast = os.path.join(self.disk, "ballast")
        with open(ballast, "wb") as f:
            room = os.statvfs(self.disk)
            with contextlib.suppress(OSError):      # the server takes some meanwhile
                os.posix_fallocate(f.fileno(), 0, max(room.f_bavail * room.f_frsize - 3 * MIB // 2, 4096))
        self.until(s, 507)
        os.unlink(ballast)
        self.until(s, 200)


def tool(store, nvmm, verb, *args, **k):
    cmd = [RECOVER, verb, "--store", store] + (["--nvmm", nvmm] if nvmm else []) + list(args)
    return subprocess.run(cmd, capture_output=True, timeout=120 * SLOW, **k)


def is_whole(t, s):
    """Each of the two copies in STORE/store is enough alone, and says the same."""
    equal(s.recover("check").returncode, 0, "check of the store")
    for page in (0, 1):
        copy = os.path.join(t.dir, "copy")
        shutil.copytree(s.store, copy)
        with open(os.path.join(copy, "store"), "r+b") as f:
            f.seek(page * 4096)
            f.write(bytes(4096))
        out = tool(copy, s.nvmm, "dump", "--json")
        check(out.returncode in (0, 2), f"without copy {page} it is not a store:", out.stderr)
        equal(out.stdout, s.recover("dump", "--json").stdout, f"without copy {page}")
        shutil.rmtree(copy)
