#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How a server is started: a pid file, and a kernel that gives no random numbers."""
import ctypes
import errno
import os
import struct

from edges import an_odd_server
from harness import case, check, equal, main, post


@case("pid-file: the number, locked while it runs, removed at the end")
def pid_file(t):
    path = os.path.join(t.dir, "pid")
    with open(path, "w") as f:
        f.write("99999999\n")           # of one that was killed
    s = t.server(settings={"pid-file": path})
    with open(path) as f:
        equal(int(f.read()), s.pid, "the number")
    other = t.a_server(store=os.path.join(t.dir, "other"), settings={"pid-file": path}).spawn()
    equal(other.proc.wait(30), 1, "a second one")
    check(path in other.said() and str(s.pid) in other.said(), other.said())
    with open(path) as f:
        equal(int(f.read()), s.pid, "the number, after the second one")
    s.kill()
    s.start()
    s.stop_clean()
    check(not os.path.exists(path), "it is still there")
    s.settings["pid-file"] = os.path.join(t.dir, "no", "such", "folder")
    equal(s.spawn().proc.wait(30), 1, "one that cannot be written")
    check("the pid file cannot be written: No such file or directory" in s.said(), s.said())


def without_getrandom(err):
    """A filter of system calls: x86-64's getrandom, 318, fails so; all others are allowed."""
    def before():
        ins = [(0x20, 0, 0, 0), (0x15, 0, 1, 318), (0x06, 0, 0, 0x50000 | err), (0x06, 0, 0, 0x7FFF0000)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in ins))
        prog = struct.pack("HxxxxxxQ", len(ins), ctypes.addressof(code))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(prog), 0, 0):
            os._exit(99)
    return before


@case("getrandom is not there: a new store is made all the same, and each has its own identity")
def no_random(t):
    ids = set()
    for err in (errno.ENOSYS, errno.EPERM):
        s = an_odd_server(t, ring="socket", store=os.path.join(t.dir, f"store.{err}"))
        s.descriptors = without_getrandom(err)
        s.start()
        with s.connect() as c:
            post(c, "/r", b"x")
        equal(s.stop(), 0, "exit status: " + s.said())
        with open(os.path.join(s.store, "store"), "rb") as f:
            ids.add(f.read(4096))
    equal(len(ids), 2, "identities")


if __name__ == "__main__":
    main()
