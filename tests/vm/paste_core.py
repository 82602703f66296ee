#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""paste.ko's core in a virtual machine: its interface, and what must never happen.

The cases that are called "row N" are the rows of the design's table of failures, each
of which was reproduced with an older implementation or a prototype.  The work is done
by paste_test.c inside the guest; here the kernel's log is looked at after every case.
One machine for all of them, booted again if a case has killed it.
"""
import os
import re

import vm       # noqa: F401  (first: finds the ones after it)
from harness import Skip, Test, case, check, main
from image import Image, stock_kernel

BUILD = os.environ["top_builddir"]
MODULE = os.path.join(BUILD, "kmod", "obj", "paste.ko")
TEST = os.path.join(BUILD, "tests", "vm", "paste_test")


class Guest:
    """The machine, and how much of its log has been looked at."""

    def __init__(self):
        self.t = self.machine = None

    def get(self):
        if self.machine and self.machine.proc and self.machine.proc.poll() is None:
            return self.machine
        if not os.path.exists(MODULE):
            raise Skip("paste.ko was not built (package linux-headers-amd64, or --with-kernel)")
        kernel = stock_kernel()
        with open(MODULE, "rb") as f:
            built_for = re.search(rb"\0vermagic=(\S+)", f.read()).group(1).decode()
        if built_for != kernel.release:
            raise Skip(f"paste.ko was built for {built_for}, the machine runs {kernel.release}")
        self.end()
        self.t = Test()
        self.machine = vm.Machine(self.t, Image(
            kernel, modules=["tun", "/kmod/paste.ko"], programs={"/bin/paste_test": TEST},
            files={"/kmod/paste.ko": MODULE}))
        self.machine.start()
        return self.machine

    def end(self):
        if self.t:
            self.t.end(False)
        self.t = self.machine = None


GUEST = Guest()


def inside(script, seconds=60):
    """Runs it; afterwards nobody holds the module, and the kernel has not complained."""
    m = GUEST.get()
    r = m.run(script, seconds, exits=None)
    log = m.run("dmesg -c").text
    m.judge_kernel(log)
    check(r.rc == 0, f"{script.strip()}: {r}")
    return r


def paste_test(name, seconds=60):
    r = inside(f"paste_test {name} && cat /sys/module/paste/refcnt", seconds)
    check(r.text.split()[-2:] == ["ok", "0"], f"{name}: {r}")


def simple(title, *names, seconds=60):
    def run(t):
        for n in names:
            paste_test(n, seconds)
    run.__name__ = names[0]
    case(title)(run)


simple("a TCP stream: attach, data, a group of sends, shutdown, end, detach", "tcp4")
simple("AF_UNIX streams through the same interface", "unix_stream")
simple("small packets share a buffer", "packing")
simple("listeners: ACCEPT when there is something to accept", "listener")
simple("timeout, WAKE, poll", "wake_and_time", "polled")
simple("quota, pause and resume", "quota")
simple("a short send, and WRITABLE when there is room", "short_tcp", "short_unix")


if __name__ == "__main__":
    try:
        main()
    finally:
        GUEST.end()
