#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""paste.ko's core in a virtual machine: its interface, and what must never happen.

The cases that are called "row N" are the rows of the design's table of failures, each
of which was reproduced with an older implementation or a prototype.  The work is done
by paste_test.c inside the guest; here the kernel's log is looked at after every case.
One machine for all of them, booted again if a case has killed it.  On a kernel with
failslab and kmemleak (debug_kernel.sh) there are cases for those.
"""
import os
import re
import time

import vm       # noqa: F401  (first: finds the ones after it)
from harness import Failed, Skip, Test, case, check, main, wait_until
from image import Image, stock_kernel
from module import paste_ko

TEST = os.path.join(os.environ.get("top_builddir", "."), "tests", "vm", "paste_test")
# With the cipher that the tests use, which TLS asks the crypto layer for by its name; GHASH is a
# part of gcm in newer kernels.
TLS = ["tls", "gcm", "ctr", "ghash_generic|gcm"]
# What Debian's kernel can do about memory that is used after it was freed; the cache of
# connections is marked for failslab.
WATCHFUL = "slub_debug=FZP;FZPA,paste_conn page_poison=1"


class Guest:
    """The machine, and how much of its log has been looked at."""

    def __init__(self):
        self.t = self.machine = None

    def get(self):
        if self.machine and self.machine.proc and self.machine.proc.poll() is None:
            return self.machine
        kernel = stock_kernel()
        module = paste_ko(kernel)
        self.end()
        self.t = Test()
        self.machine = vm.Machine(self.t, Image(
            kernel, modules=["tun", "vsock"] + TLS + ["/kmod/paste.ko"], programs={"/bin/paste_test": TEST},
            files={"/kmod/paste.ko": module}), append=WATCHFUL, quiet="RCU lockdep checking is enabled")
        self.machine.start()
        self.machine.run("mount -t debugfs none /sys/kernel/debug", exits=None)
        return self.machine

    def needs(self, path, what):
        if self.get().run(f"test -e {path}", exits=None).rc:
            raise Skip(f"this kernel has no {what} (make check-vm-debug)")

    def has(self, option):
        """By its configuration: where it says so, a test does not skip what it cannot do."""
        with open(self.get().image.kernel.config) as f:
            if f"CONFIG_{option}=y\n" not in f.read():
                raise Skip(f"this kernel was built without {option}")

    def end(self):
        if self.t:
            self.t.end(False)
        self.t = self.machine = None


GUEST = Guest()


def inside(script, seconds=60, forget=None):
    """Runs it; afterwards the kernel has not complained, but for what `forget` matches."""
    m = GUEST.get()
    r = m.run(script, seconds, exits=None)
    log = m.run("dmesg -c").text
    m.judge_kernel(re.sub(forget, "", log, flags=re.S) if forget else log)
    check(r.rc == 0, f"{script.strip()}: {r}")
    return r


# A killed process's files are closed behind its back.
NOBODY = ("n=0; while [ $(cat /sys/module/paste/refcnt) != 0 ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); done; "
          "cat /sys/module/paste/refcnt")


def paste_test(name, seconds=60, forget=None):
    r = inside(f"paste_test {name} && {{ {NOBODY}; }}", seconds, forget)
    check(r.text.split()[-2:] == ["ok", "0"], f"{name}: {r}")


def simple(title, *names, seconds=60):
    def run(t):
        for n in names:
            paste_test(n, seconds)
    run.__name__ = names[0]
    case(title)(run)


simple("a TCP stream: attach, data, a group of sends, shutdown, end, detach", "tcp4")
simple("AF_UNIX streams through the same interface", "unix_stream")
simple("a process with a shorter or a longer struct of statistics", "stats_grow")
simple("small packets share a buffer", "packing")
simple("listeners: ACCEPT when there is something to accept", "listener")
simple("timeout, WAKE, poll", "wake_and_time", "polled")
simple("busy polling: data, WAKE and the timeout come while it looks, and it sleeps only after that", "spinning")
simple("quota, pause and resume", "quota")
simple("a short send, and WRITABLE when there is room", "short_tcp", "short_unix",
       "writable_when_stalled")
simple("row 1: the application stops reading: the window closes, nothing is lost", "row1", "fair", "no_spinning")
simple("row 3: overlapping retransmissions", "row3")
simple("row 4: segments in IP fragments", "row4")
simple("row 5: a client on 127.0.0.1", "tcp4")
simple("row 6: IPv6", "tcp6")
simple("row 7: data and FIN, RST, no file left over", "row7_segments", "row7_ends")
simple("row 8: rings and region are scribbled over", "row8")
simple("row 10: close races transmit, several processes", "row10")
simple("row 11: indices, lengths, handles, releases that are lies", "row11_commands", "row11_releases",
       "row11_indices", "row11_setup")
simple("row 15: kill -9 and unloading under load, the region unmapped and truncated", "row15_kill", "row15_kill_asleep", "row15_unload",
       "row15_vanish")
simple("urgent data does not end the reading", "urgent")
simple("the ring's mapping goes, its file is kept by a message", "ring_unmapped", "ring_moved", "ring_in_itself",
       "ring_advised")
simple("two threads in SYNC, signals, fork", "two_threads", "interrupted", "forked")
simple("who may pin how much", "memlock", "memlock_user")
simple("pins end with the process, whoever has the descriptor", "pins_end")
simple("no region on an ordinary file", "no_files")
simple("a connection that was reset before it was attached", "reset_before")
simple("streams of INET, INET6 and UNIX, and no other socket", "families")
simple("TLS on an attached connection, also while SYNC waits for its lock", "tls_after", "tls_meanwhile")


@case("a security module that forbids recvmsg forbids ATTACH")
def asked(t):
    GUEST.has("BPF_LSM")
    paste_test("asked")


@case("an attached connection goes into a sockmap and comes out again")
def sockmap(t):
    GUEST.has("BPF_STREAM_PARSER")
    paste_test("sockmap")


@case("a region whose pages do not come is in nobody's way")
def slow_region(t):
    # Linux 6.1 cannot wait for pages that it pins for long, and says so if it was built with DEBUG_VM.
    paste_test("slow_region", forget=r"[^\n]*FAULT_FLAG_ALLOW_RETRY missing.*?</TASK>")


@case("row 15: the module goes when nobody uses it, and comes back")
def row15_reload(t):
    for _ in range(3):
        inside("rmmod paste && test ! -e /dev/paste && insmod /kmod/paste.ko && "
               "test $(stat -c %a /dev/paste) = 600 && paste_test tcp4")


ROUNDS = 30
# What TCP keeps for a minute of a connection that has ended, and what is left of areas until there
# are enough of them to be cleared away.
KEPT_ON = re.compile(r"tw_sock|tcp_bind|vmap_area")


def objects():
    """How many there are of each kind that the kernel makes in slabs; and of the module's areas."""
    m = GUEST.get()
    lines = [line.split() for line in m.run("cat /proc/slabinfo").text.splitlines()[2:]]
    found = {line[0]: int(line[1]) for line in lines if not KEPT_ON.match(line[0])}
    found["areas of paste"] = len(m.run("grep -F '[paste]' /proc/vmallocinfo", exits=(0, 1)).text.splitlines())
    return found


@case("what a process has had in the kernel is given back when it ends")
def given_back(t):
    rounds = "for i in $(seq {}); do paste_test unix_stream && paste_test tcp4 || exit 1; done >/dev/null"
    inside(rounds.format(5))        # what is kept once it was needed
    before = objects()
    inside(rounds.format(ROUNDS), 120)

    def grown():
        now = objects()
        more = {k: n - before.get(k, 0) for k, n in now.items()}
        said[:] = [f"{k}: {n}" for k, n in more.items() if n >= ROUNDS]
        return not said or time.sleep(0.2)
    said = []
    try:
        wait_until(grown, 20, "")
    except Failed:
        check(False, f"objects that are there after {ROUNDS} rounds and were not before:", *said)


# Last of what every kernel runs: it takes as long as all the others.
simple("row 2: past 4 GiB on one connection", "row2", seconds=500)


# So many percent of the process's allocations fail, or of those from one cache.
FAIL = """
cd /sys/kernel/debug/failslab
echo Y >task-filter; echo N >ignore-gfp-wait; echo 0 >verbose; echo -1 >times; echo 0 >space
echo 1 >interval; echo {only} >cache-filter; echo {percent} >probability
for name in {names}; do
	PASTE_TEST_FAIL=1 timeout -s KILL 20 paste_test $name >/dev/null 2>>/tmp/failed
done
echo 0 >probability
sort /tmp/failed | uniq -c | sort -rn
"""
# The kernel tells of these with a trace, each as it should.
TOLD = r"[^\n]*(vmalloc error|page allocation failure).*?</TASK>"


@case("allocations fail: whatever the process sees, the kernel is well")
def failslab(t):
    GUEST.needs("/sys/kernel/debug/failslab", "failslab")
    names = "tcp4 unix_stream listener short_tcp row7_ends row10 row11_setup row11_commands two_threads ring_in_itself"
    for percent in (30, 10, 5, 3, 2, 2, 1, 1, 1, 1):
        inside(FAIL.format(only="N", percent=percent, names=names), 900, TOLD)
    said = inside(FAIL.format(only="Y", percent=50, names="tcp4 unix_stream listener fair"), 900, TOLD).text
    for what in ("PASTE_IOC_SETUP", "kind 8"):      # a refused ATTACH
        check(what in said, f"no allocation failed in {what}:", said)
    paste_test("tcp4")


@case("nothing is leaked")
def kmemleak(t):
    leak = "/sys/kernel/debug/kmemleak"
    GUEST.needs(leak, "kmemleak")
    inside(f"echo clear >{leak}")
    for name in ("tcp4", "tcp6", "unix_stream", "listener", "quota", "row7_ends", "row10", "row11_setup", "row15_kill",
                 "row15_vanish", "ring_unmapped", "ring_in_itself", "forked"):
        paste_test(name, 240)
    # An object is young for five seconds; the second look tells those that stay.
    said = inside(f"sleep 8; echo scan >{leak}; sleep 8; echo scan >{leak}; cat {leak}", 400).text
    check("unreferenced" not in said, "kmemleak:", said)


if __name__ == "__main__":
    try:
        main()
    finally:
        GUEST.end()
