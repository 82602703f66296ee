#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The source vnet: the module's virtio-net driver, from outside the machine.

The server in the machine is tests/vm/tiny, on an ext4-dax file on emulated NVDIMM; what
it is sent is pieces of a pattern, and every byte of it is compared, where it was put by
the device.  "row N" are the rows of the design's table of failures.

  PASTED_VNET_REQUESTS=n   bodies in the tests of loss and reordering (default 1500)
"""
import contextlib
import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

import vm
from harness import SLOW, Conn, Failed, Skip, Test, case, check, equal, main, wait_until
from guest import NAMESPACE
from image import Image, program, stock_kernel
from module import paste_ko
from outside import GUEST, GUEST6, GUEST_MAC, OUR_MAC, Raw, Wire, cable, enter, forget, ping

BUILD = os.environ.get("top_builddir", ".")
UNTRACKED = os.path.join(BUILD, "kmod", "untracked", "paste.ko")
TINY = os.path.join(BUILD, "tests", "vm", "tiny")
REQUESTS = int(os.environ.get("PASTED_VNET_REQUESTS", "1500"))
SEED = random.SystemRandom().randrange(1 << 30)
PATTERN = 1 << 20
MIB = 1 << 20
BUF = 2048

# The second network card becomes ours, from wherever it is.
BIND = f"""
set -e
cd /sys/bus/virtio/drivers
[ ! -e /sys/class/net/eth1 ] || basename $(readlink /sys/class/net/eth1/device) >/tmp/device
d=$(cat /tmp/device)
[ ! -e virtio_net/$d ] || echo $d >virtio_net/unbind
[ -e paste_vnet/$d ] || [ -e /sys/module/paste ] || insmod /kmod/paste.ko
[ -e paste_vnet/$d ] || echo $d >paste_vnet/bind
"""
UP = f"ifconfig eth1 {GUEST} netmask 255.255.255.0 up; ip -6 addr add {GUEST6}/64 dev eth1 2>/dev/null; true\n"
# What the cases about packets that are held need.
HOLDERS = ["sch_ingress", "sch_netem", "cls_matchall", "act_pedit", "act_mirred", "act_gact", "ifb", "8021q"]
QUICK = "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad\n"


def listens(port):
    return (f"for i in $(seq 300); do ! grep -q ':{port:04X} .* 0A ' /proc/net/tcp || break; usleep 50000; done\n")


def pattern():
    x, out = 1, bytearray(PATTERN)
    for i in range(PATTERN):
        x = (x * 1103515245 + 12345) & 0xffffffff
        out[i] = x >> 16 & 255
    return bytes(out)


PIECES = pattern()


class Guest:
    """A machine with a second network card, and the server in it."""

    def __init__(self, t, args, untracked=False, **k):
        self.t = t
        kernel = stock_kernel()
        module = paste_ko(kernel)
        for path in (TINY,) + ((UNTRACKED,) if untracked else ()):
            if not os.path.exists(path):
                raise Skip(f"there is no {path}: make check builds it")
        nv = os.path.join(t.dir, "nv")
        with open(nv, "wb") as f:
            f.truncate(96 * MIB)
        files = {"/kmod/paste.ko": module}
        if untracked:
            files["/kmod/untracked.ko"] = UNTRACKED
        self.m = vm.Machine(t, Image(
            kernel, ["ext4", "nfit", "nd_pmem"] + HOLDERS, files=files,
            programs={"/bin/tiny": TINY, "/sbin/mkfs.ext4": program("mkfs.ext4", "e2fsprogs"),
                      "/sbin/tc": program("tc", "iproute2")}),
            vm.nvdimm(nv) + args, quiet="RCU lockdep checking is enabled", **k)
        self.m.start(60)
        self.m.run(NAMESPACE.format(kind="pfn", driver="nd_pmem"))
        self.m.run("mkfs.ext4 -q -b 4096 /dev/pmem0; mkdir -p /mnt/nvmm\n"
                   "mount -t ext4 -o noatime,dax=always /dev/pmem0 /mnt/nvmm\n" + QUICK)
        self.bind()

    def bind(self, module="paste"):
        self.m.run(BIND.replace("/kmod/paste.ko", f"/kmod/{module}.ko") + UP)
        wait_until(lambda: ping(count=1), 30, "the machine's new network card does not answer")

    def serve(self, region=8 * MIB, more="", source="nic=$(cat /sys/class/net/eth1/ifindex)"):
        self.m.run(f"rm -f /tmp/tiny.stats; tiny ring 8080 /mnt/nvmm/bufs {region} {source} {more} "
                   ">/tmp/tiny.out 2>&1 & echo $! >/tmp/pid\n" + listens(8080) +
                   "kill -0 $(cat /tmp/pid) || { cat /tmp/tiny.out >&2; exit 1; }")
        self.nbufs = region // BUF

    def signal(self, sig):
        self.m.run(f"kill -{sig} $(cat /tmp/pid)")

    def stats(self, sig="USR2"):
        r = self.m.run(f"rm -f /tmp/tiny.stats; kill -{sig} $(cat /tmp/pid) || exit 1\n"
                       "for i in $(seq 300); do [ ! -e /tmp/tiny.stats ] || break; usleep 100000; done\n"
                       "cat /tmp/tiny.stats")
        return json.loads(r.text)

    def end(self):
        s = self.stats("TERM")
        self.gone()
        equal(self.m.run("cat /tmp/tiny.out").text, "", "the server says something")
        return s

    def gone(self):
        self.m.run("while kill -0 $(cat /tmp/pid) 2>/dev/null; do usleep 20000; done")

    def well(self):
        """What the kernel has said since the last time."""
        self.m.judge_kernel(self.m.run("dmesg -c").text)


def post(c, seed, n, target="/x"):
    """Sends piece `seed` of n bytes; the status."""
    body = PIECES[seed:seed + n]
    c.send(f"POST {target} HTTP/1.1\r\nHost: t\r\nX-Seed: {seed}\r\nContent-Length: {n}\r\n\r\n".encode() + body)
    return c.reply().status


def connect(host=GUEST, port=8080, seconds=120):
    return Conn(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", seconds * SLOW)


# What has to be copied: small segments; and, where the server was away for a while (a busy host),
# what comes to a connection that was accepted before it comes to tell the ring of it.
MAY = {"copied_small", "copied_unattached", "copied_bytes"}


def copied(s):
    """Bytes that were copied for other reasons than these; all of them have a reason."""
    by = {k: v for k, v in s.items() if k.startswith("copied_")}
    equal(sum(by.values()), 2 * s["copied_bytes"], "copied bytes and their reasons")
    return {k: v for k, v in by.items() if v and k not in MAY}


class Load(threading.Thread):
    """Posts pieces over one connection until told to stop; broken: connections may break."""
    all = []

    def __init__(self, sizes, seed, requests=None, broken=False):
        super().__init__(daemon=True)
        self.sizes, self.rng, self.requests, self.broken = sizes, random.Random(seed), requests, broken
        self.stop, self.done, self.wrong, self.error = False, 0, 0, None
        Load.all.append(self)
        self.start()

    def run(self):
        while not self.stop and not self.error and self.done != self.requests:
            try:
                with connect(seconds=5 if self.broken else 120) as c:
                    self.some(c)
            except (OSError, EOFError, Failed) as e:
                if self.broken:
                    time.sleep(0.05)
                else:
                    self.error = e

    def some(self, c):
        while not self.stop and self.done != self.requests:
            n = self.rng.choice(self.sizes)
            status = post(c, self.rng.randrange(PATTERN // 2), n)
            self.done += 1
            if status != 200:
                self.wrong += 1

    @classmethod
    def stop_all(cls):
        for w in cls.all:
            w.stop = True
        cls.all.clear()

    def end(self):
        self.stop = True
        self.join(200 * SLOW)
        check(not self.is_alive(), "a client hangs")
        check(not self.error, "a client:", repr(self.error))


def run_load(threads, requests, sizes, **k):
    load = [Load(sizes, f"{SEED}/{i}", requests // threads, **k) for i in range(threads)]
    for w in load:
        w.join(300 * SLOW)
        check(not w.is_alive(), "a client hangs after", w.done, "requests")
        check(not w.error, "a client:", repr(w.error))
    return sum(w.done for w in load), sum(w.wrong for w in load)


def softirqs(g):
    """A packet that is freed on another CPU than it was made on waits there for the next
    network softirq (up to 64 a CPU): each CPU gets one."""
    g.m.run("for c in 1 2; do taskset $c ping -c 1 127.0.0.1; done >/dev/null 2>&1; true")


def all_came_back(g):
    """Idle: every buffer is the kernel's, and none is still in the stack."""
    def idle():
        nonlocal s
        softirqs(g)
        s = g.stats()
        return s["buffers_kernel"] == g.nbufs and not s["buffers_stack"]
    s = None
    try:
        wait_until(idle, 20, "buffers are missing")
    except Failed as e:
        raise Failed(str(e), f"of {g.nbufs}:", s, g.m.run("netstat -tn; cat /proc/net/sockstat").text) from None


# ---- one machine for what needs no other -----------------------------------------------

class Shared:
    def __init__(self):
        self.t = self.g = None

    def get(self):
        if self.g and self.g.m.proc and self.g.m.proc.poll() is None:
            return self.g
        self.end()
        self.t = Test()
        self.g = Guest(self.t, cable(self.t))
        return self.g

    def end(self, keep=False):
        if self.t:
            self.t.end(keep)
        self.t = self.g = None


SHARED = Shared()


def with_guest(title):
    """A case on the shared machine: afterwards the kernel is well and the module free."""
    def mark(f):
        def body(t):
            g = SHARED.get()
            try:
                f(g)
                g.well()
                equal(g.m.run("cat /sys/module/paste/refcnt").text.strip(), "0", "somebody holds the module")
            except Skip:
                raise
            except Exception:
                SHARED.end()        # the next case boots another one
                raise
            finally:
                Load.stop_all()
        body.__name__ = f.__name__
        case(title)(body)
        return f
    return mark


@with_guest("without a ring: a network card like others, down and up, unbound and bound again")
def nic(g):
    equal(ping(), 3, "answers")
    equal(ping(GUEST6), 3, "answers over IPv6")
    g.m.run("tiny epoll 8081 >/dev/null 2>&1 & echo $! >/tmp/pid\n" + listens(8081))
    with connect(GUEST, 8081) as c:
        for n in (0, 1, 100, 1400, 1500, 9000, 500000):
            equal(post(c, n % 1000, n), 200, f"{n} bytes")
    for i in range(3):
        g.m.run("ifconfig eth1 down; ifconfig eth1 up")
        equal(ping(count=2), 2, "answers after down and up")
    g.m.run("d=$(basename $(readlink /sys/class/net/eth1/device)); cd /sys/bus/virtio/drivers\n"
            "echo $d >paste_vnet/unbind; echo $d >virtio_net/bind\n" + UP)
    equal(ping(count=2), 2, "answers with the kernel's own driver")
    g.bind()
    equal(ping(count=2), 2, "answers with ours again")
    with connect(GUEST, 8081) as c:
        equal(post(c, 1, 3000), 200, "the server, after all that")
    g.m.run("kill $(cat /tmp/pid)")
    g.gone()


def counted(g):
    """Packets and bytes to the machine and from it, as its card counts them; and as our end of the cable does."""
    path = "/sys/class/net/eth1/statistics"
    card = g.m.run(f"cd {path}; cat rx_packets rx_bytes tx_packets tx_bytes").text.split()
    with open("/proc/net/dev") as f:
        ours = next(line for line in f if line.strip().startswith("tap0:")).split(":")[1].split()
    return [int(n) for n in card], [int(ours[i]) for i in (9, 8, 1, 0)]


def books(g, what, act):
    """The card has counted as much as our end; what is under way at the wrong moment is counted anew."""
    def counts_alike():
        said[:] = [[now - was for now, was in zip(*end)] for end in zip(counted(g), before)]
        return said[0] == said[1] or time.sleep(0.2)
    said = []
    for last in (False, False, True):
        before = counted(g)
        act()
        try:
            return wait_until(counts_alike, 5, "")
        except Failed:
            check(not last, f"packets and bytes to and from the card, {what}: the card's count, and ours:", said)


@with_guest("the card counts what the other end of the cable counts: with and without a ring, also in softirq")
def card_counts(g):
    books(g, "without a ring", lambda: equal(ping(), 3, "answers"))
    g.serve()
    books(g, "with a ring", lambda: equal(run_load(2, 20, (1, 1024, 9000)), (20, 0), "requests and wrong ones"))
    g.signal("STOP")
    books(g, "in softirq", lambda: equal(ping(), 3, "answers while the server is stopped"))
    g.signal("CONT")
    all_came_back(g)
    g.end()


@with_guest("down and up while the server does not come: the interface is not deaf, nor are buffers lost")
def up_without_server(g):
    g.serve()
    for _ in range(2):
        equal(run_load(2, 20, (1024,)), (20, 0), "requests and wrong ones")
        g.signal("STOP")
        g.m.run("ifconfig eth1 down; " + UP)
        equal(ping(), 3, "answers while the server is stopped")
        g.signal("CONT")
    equal(run_load(2, 20, (1024, 9000)), (20, 0), "requests and wrong ones")
    all_came_back(g)
    equal(copied(g.end()), {}, "copied")


@with_guest("zero copy: what is posted from outside is in the file, and no byte was copied")
def zero_copy(g):
    g.serve()
    done, wrong = run_load(6, 600, (1, 30, 1024, 1380, 1500, 4000, 9000))
    equal((done, wrong), (600, 0), "requests and wrong ones")
    s = g.stats()
    equal((s["requests"], s["wrong"], s["bad_releases"], s["refused"]), (600, 0, 0, 0), s)
    equal(copied(s), {}, "copied")
    check(s["zero_copy_bytes"] > s["bytes"] * 0.98, "copied:", s)
    check(s["src_region"] == s["src_packets"] > 0, "frames outside the region:", s)
    mark = b"this very body, found in the file " + str(SEED).encode() + b"." * 256
    g.signal("USR1")        # keep the buffers
    with connect() as c:
        c.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(mark) + mark)
        equal(c.reply().status, 200, "status")
    equal(g.m.run(f"grep -c -a -F '{mark.decode()}' /mnt/nvmm/bufs").text.strip(), "1", "in the file")
    g.signal("USR1")
    all_came_back(g)
    s = g.end()
    equal(copied(s), {}, "copied")
    print(f"#    {s['bytes']} bytes, {s['copied_bytes']} copied; {s['requests']} requests, {s['src_packets']} frames (and "
          f"{s['src_fallback']} in softirq), {s['calls']} system calls, {s['irqs']} interrupts, doorbells: "
          f"{s['doorbells_tx']} to send, {s['doorbells_rx']} to receive")
    equal(ping(), 3, "answers without a ring")


@with_guest("busy polling: no interrupt to receive, no sleep, every byte right")
def busy_polling(g):
    g.serve(more="spin=60000000")
    done, wrong = run_load(1, 100, (1024, 9000))
    s = g.stats()
    equal((done, wrong, s["wrong"], s["sleeps"], s["src_fallback"] * (s["irqs"] > 5)), (100, 0, 0, 0, 0), "with busy polling")
    all_came_back(g)
    equal(copied(g.end()), {}, "copied")


def out_of_order(g):
    """Segments that were behind a hole when TCP had them."""
    names, values = (line.split() for line in g.m.run("grep ^TcpExt /proc/net/netstat").text.splitlines())
    return int(dict(zip(names, values))["TCPOFOQueue"])


@with_guest("a server that is away for long: softirq takes the frames, without a copy, every byte right")
def away(g):
    g.serve(more="nap=20000")
    done, wrong = run_load(6, 240, (1000, 9000, 60000))
    s = g.stats()
    equal((done, wrong, s["wrong"]), (240, 0, 0), "requests and wrong ones")
    check(s["src_fallback"] > s["src_packets"] // 2, "softirq did not take over:", s)
    equal(copied(s), {}, "copied")
    check(s["zero_copy_bytes"] > s["bytes"] * 0.9, "copied:", s)
    all_came_back(g)
    g.end()


@with_guest("a server that comes and goes: softirq and its thread take turns, and keep the order")
def turns(g):
    g.serve(more="nap=12000")
    before = out_of_order(g)
    for _ in range(40):         # who takes how much is the host's doing, a quiet one's thread nearly all
        equal(run_load(16, 480, (60000,)), (480, 0), "requests and wrong ones")
        s = g.stats()
        if min(s["src_fallback"], s["src_packets"]) > 1000:
            break
    check(min(s["src_fallback"], s["src_packets"]) > 1000, "one of them took nearly all:", s)
    equal(out_of_order(g) - before, 0, "segments that they brought into disorder")
    equal(copied(s), {}, "copied")
    all_came_back(g)
    g.end()


@with_guest("row 12: the pool runs dry: the interface is not deaf, nothing is lost, and it recovers")
def row_12(g):
    g.m.run("tiny epoll 8081 >/dev/null 2>&1 & echo $! >/tmp/other\n" + listens(8081))
    g.serve(region=1 * MIB)
    g.signal("USR1")        # the server keeps what it gets
    load = [Load((9000,), f"{SEED}/{i}", 60) for i in range(6)]

    def dry():
        s = g.stats()
        return s["no_buffer"] > 0
    wait_until(dry, 60, "the pool does not run dry")

    def settled():      # what was in the queue already may still complete a request
        nonlocal before
        was, before = before, [w.done for w in load]
        return was == before or time.sleep(0.5)
    before = None
    wait_until(settled, 20, "requests go on without buffers")
    # More than the receive queue holds, so that what is left of the region in it is used up
    for host in (GUEST, GUEST6):
        equal(ping(host), 3, "answers while the pool is dry")
    with connect(GUEST, 8081) as c:
        for i in range(400):
            equal(post(c, i, 1000), 200, "another server's status")
    # What was sent again and late may have completed some in it; but each keeps its buffers.
    wait_until(settled, 20, "requests go on without buffers")
    subprocess.run(["ip", "neigh", "flush", "dev", "tap0"], check=True)
    equal(ping(), 3, "answers after ARP anew")
    s = g.stats()
    check(s["src_region"] < s["src_packets"], "the driver's own buffers were not used:", s)
    equal([w.done for w in load], before, "requests go on without buffers")
    check(sum(w.done for w in load) * 9000 <= 1 * MIB, "requests go on without buffers:", [w.done for w in load])
    g.signal("USR1")
    for w in load:
        w.join(120 * SLOW)
        check(not w.is_alive() and not w.error, "a client hangs, or", w.error)
        equal((w.done, w.wrong), (60, 0), "requests and wrong ones")
    done, wrong = run_load(4, 400, (1000,))     # what stands in the queue is used up
    s = g.stats()
    done, wrong = run_load(4, 200, (1000, 9000))
    equal((done, wrong), (200, 0), "requests and wrong ones")
    e = g.stats()
    equal(e["src_region"] - s["src_region"], e["src_packets"] - s["src_packets"], "not back to the region's buffers")
    equal(e["copied_bytes"], s["copied_bytes"], "still copied")
    equal((e["wrong"], e["requests"]), (0, 960), e)
    all_came_back(g)
    g.end()
    g.m.run("kill $(cat /tmp/other)")


@with_guest("another user's socket gets no page of the region: what it splices is its own for ever")
def splice(g):
    g.serve(region=2 * MIB)
    g.m.run("tiny splice 9091 >/tmp/splice.out 2>/tmp/splice.err & echo $! >/tmp/other\n" + listens(9091))
    with socket.create_connection((GUEST, 9091), 20 * SLOW) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(8):
            c.send(b"A" * 1000)
            time.sleep(0.02)
        wait_until(lambda: sum(int(n) for n in g.m.run("cat /tmp/splice.err").text.split()[1::2]) == 8000, 30,
                   "not all is spliced")
        softirqs(g)
        done, wrong = run_load(6, 1200, (1024, 4000))
        g.m.run("p=$(cat /tmp/other); kill -USR1 $p; while kill -0 $p 2>/dev/null; do usleep 20000; done")
    equal(g.m.run("cat /tmp/splice.out").text.strip(), "8000 bytes, 0 of them not what was sent", "spliced")
    equal((done, wrong), (1200, 0), "requests and wrong ones")
    all_came_back(g)
    equal(copied(g.end()), {}, "copied")


def slab_of(g, group):
    """Bytes of the kernel's own memory that a memory group is charged with."""
    return int(dict(line.split() for line in g.m.run(f"cat /sys/fs/cgroup/{group}/memory.stat").text.splitlines())["slab"])


@with_guest("another server's connections over the ring's card are not charged to the ring's memory group")
def charged(g):
    with open(g.m.image.kernel.config) as f:
        if "CONFIG_MEMCG=y\n" not in f.read():
            raise Skip("this kernel was built without MEMCG")
    g.m.run("set -e; mount -t cgroup2 none /sys/fs/cgroup; cd /sys/fs/cgroup\n"
            "echo +memory >cgroup.subtree_control; mkdir server; set +e\n"
            "tiny epoll 8081 >/dev/null 2>&1 & echo $! >/tmp/other\n" + listens(8081))
    g.serve()
    g.m.run("cat /tmp/pid >/sys/fs/cgroup/server/cgroup.procs")
    equal(run_load(2, 20, (1024,)), (20, 0), "requests and wrong ones")
    before, seen = slab_of(g, "server"), g.stats()
    with contextlib.ExitStack() as every:
        for i in range(400):
            equal(post(every.enter_context(connect(GUEST, 8081)), i, 100), 200, "the other server's status")
        more, now = slab_of(g, "server") - before, g.stats()
    taken = now["src_packets"] - seen["src_packets"]
    print(f"#    400 connections of another server, {taken} packets taken by the ring's thread: {more} bytes of slabs more")
    check(taken > 0, "softirq took all of them, which says nothing:", now)
    check(more < 200000, "the ring's group is charged with", more, "bytes")
    all_came_back(g)
    g.end()
    g.m.run("kill $(cat /tmp/other)")


class Hoarder:
    """A connection to the server whose client sends what it likes, with wrong sequence numbers."""

    def __init__(self):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as seen:
            seen.bind(("tap0", 3))
            seen.settimeout(20 * SLOW)
            self.c = socket.create_connection((GUEST, 8080), 20 * SLOW)
            self.port = self.c.getsockname()[1]
            while True:
                f = seen.recv(4096)
                tcp = f[34:54]
                if f[12:14] == b"\x08\0" and f[23] == 6 and tcp[:4] == struct.pack(">HH", 8080, self.port) and tcp[13] & 2:
                    self.ack, self.seq = (struct.unpack(">I", tcp[4:8])[0] + 1) & 0xffffffff, struct.unpack(">I", tcp[8:12])[0]
                    return

    def frame(self, at, payload):
        tcp = struct.pack(">HHIIBBHHH", self.port, 8080, (self.seq + at) & 0xffffffff, self.ack, 0x50, 0x10, 60000, 0, 0)
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 1, 0x4000, 64, 6, 0,
                           socket.inet_aton("10.9.0.1"), socket.inet_aton(GUEST))
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        pseudo = head[12:20] + struct.pack(">HH", 6, len(tcp) + len(payload))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
        return mac(GUEST_MAC) + mac(OUR_MAC) + b"\x08\x00" + head + tcp + payload


@with_guest("segments out of order hold few buffers: others' bytes are not copied, whatever a client sends")
def hoard(g):
    g.serve(region=2 * MIB)
    equal(run_load(2, 20, (1024,)), (20, 0), "requests and wrong ones")
    with no_timestamps():
        hoarders = [Hoarder() for _ in range(8)]
    with Raw() as raw:
        for k in range(60):
            for h, size in zip(hoarders, (1, 1, 255, 256, 300, 300, 900, 1400)):
                raw.send(h.frame(10 + k * (size + 1), bytes(size)))
            time.sleep(0.005)
    s = g.stats()
    check(s["buffers_kernel"] > g.nbufs // 2, s)
    done, wrong = run_load(6, 600, (1024, 4000))
    e = g.stats()
    equal((done, wrong), (600, 0), "requests and wrong ones")
    equal({k: v - s[k] for k, v in copied(e).items() if v != s[k]}, {}, "copied meanwhile")
    check(e["zero_copy_bytes"] - s["zero_copy_bytes"] > (e["bytes"] - s["bytes"]) * 0.9, "copied meanwhile:", s, e)
    held = e["buffers_stack"]
    print(f"#    8 clients with 60 segments each, out of order, hold {held} buffers")
    check(held <= 6 * 17, "they hold", held, "buffers")
    for h in hoarders:
        h.c.close()
    all_came_back(g)
    g.end()


@with_guest("segments out of order, of all connections together, hold a quarter of the buffers and not one more")
def quarter(g):
    g.serve(region=1 * MIB)
    all_came_back(g)
    with no_timestamps():
        hoarders = [Hoarder() for _ in range(12)]      # one by itself may hold 16

    def settled():
        nonlocal before
        was, before = before, g.stats()["buffers_stack"]
        return was == before or time.sleep(0.2)
    with Raw() as raw:
        for first in (0, 20):       # what comes when they are taken takes none either
            for k in range(first, first + 20):
                for h in hoarders:
                    raw.send(h.frame(10 + k * 400, bytes(300)))
                time.sleep(0.005)
            before = None
            wait_until(settled, 20, "buffers come and go")
            equal(before, g.nbufs // 4, "buffers that they hold")
    for h in hoarders:
        h.c.close()
    all_came_back(g)
    g.end()


def acknowledged(s):
    """All that this socket has sent is in the machine."""
    return not struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


def as_much_as_goes(s):
    """Sends until the window has been closed for a while."""
    s.setblocking(False)
    quiet = sent = 0
    while quiet < 20:
        try:
            sent += s.send(bytes(65536))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    return sent


@with_guest("one that sends faster than it is read has its part of the buffers: others' bytes are not copied")
def greedy(g):
    was = g.m.run("cd /proc/sys/net/ipv4; cat tcp_rmem; echo 4096 8388608 8388608 >tcp_rmem").text.strip()
    g.serve(region=2 * MIB)
    with contextlib.ExitStack() as every:
        others = [every.enter_context(connect()) for _ in range(30)]
        much = every.enter_context(connect())
        for i, c in enumerate(others):
            equal(post(c, i, 1000), 200, "status")
        before = g.stats()
        much.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\n")
        g.signal("STOP")        # nobody reads: softirq takes what comes
        sent = as_much_as_goes(much.sock)
        for i, c in enumerate(others):
            c.send(f"POST /x HTTP/1.1\r\nHost: t\r\nX-Seed: {i}\r\nContent-Length: 4000\r\n\r\n".encode() + PIECES[i:i + 4000])
        for c in others:
            wait_until(lambda: acknowledged(c.sock), 20, "the machine does not take it")
        g.signal("CONT")
        for c in others:
            equal(c.reply().status, 200, "status")
        much.abort()
    s = g.stats()
    print(f"#    one connection sent {sent} bytes at once, {s['copied_flow']} of them copied; of {30 * 4000} of others {s['spoiled']}")
    check(s["copied_flow"] + s["copied_pool"] > 0 and s["src_fallback"] > before["src_fallback"], "too little to say anything:", s)
    equal((s["spoiled"], s["copied_pool"], s["wrong"]), (0, 0, 0), "others' bytes that were copied, and for want of buffers")
    all_came_back(g)
    g.end()
    g.m.run(f"echo {was} >/proc/sys/net/ipv4/tcp_rmem")


@with_guest("small segments between large ones: what follows them is in order, and stays where it is")
def between(g):
    g.serve()
    with connect() as c:
        for _ in range(8):
            equal(post(c, 1, 200000), 200, "status")    # so that all of the pieces may be sent at once
        for _ in range(10):
            # What comes now waits in the device's queue until softirq takes it, all in one go.
            g.signal("STOP")
            body = PIECES[7:7 + 3 * 29060]
            c.send(f"POST /x HTTP/1.1\r\nHost: t\r\nX-Seed: 7\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            for at in range(0, len(body), 29060):
                c.send(body[at:at + 100])
                c.send(body[at + 100:at + 29060])       # 20 segments
            wait_until(lambda: acknowledged(c.sock), 20, "the machine does not take it")
            g.signal("CONT")
            equal(c.reply().status, 200, "status")
    s = g.stats()
    check(s["copied_small"] > 0 and s["src_fallback"] > 0, "too little to say anything:", s)
    equal(copied(s), {}, "copied")
    all_came_back(g)
    g.end()


@contextlib.contextmanager
def no_timestamps():
    path = "/proc/sys/net/ipv4/tcp_timestamps"
    with open(path) as f:
        was = f.read()
    with open(path, "w") as f:
        f.write("0")
    yield
    with open(path, "w") as f:
        f.write(was)


def try_again(g, requests=60):
    """A server on a new ring, every buffer of it usable."""
    g.serve()
    done, wrong = run_load(3, requests, (1000, 9000))
    equal((done, wrong), (requests, 0), "requests and wrong ones")
    all_came_back(g)
    s = g.end()
    equal(copied(s), {}, "copied")


@with_guest("row 15: kill -9 under load, again and again")
def row_15_kill(g):
    load = [Load((1000, 9000), f"{SEED}/k{i}", broken=True) for i in range(4)]
    for i in range(5):
        g.serve(region=(1 + i) * MIB)
        done = sum(w.done for w in load)
        wait_until(lambda: sum(w.done for w in load) > done + 20, 60, "the load does not get going")
        g.signal("KILL")
        g.gone()
        g.m.run("while [ $(cat /sys/module/paste/refcnt) != 0 ]; do usleep 20000; done", 20)
        equal(ping(count=1), 1, "answers")
    for w in load:
        w.end()
        equal(w.wrong, 0, "wrong")
    try_again(g)


@with_guest("row 15: the device is unbound, bound, set down and up, the module asked to go, all under load")
def row_15_unbind(g):
    load = [Load((1000, 9000), f"{SEED}/u{i}", broken=True) for i in range(4)]

    def going():
        done = sum(w.done for w in load)
        wait_until(lambda: sum(w.done for w in load) > done + 20, 60, "the load does not get going")
    g.serve()
    going()
    check(g.m.run("rmmod paste", exits=None).rc != 0, "the module went with a ring attached")
    for i in range(3):
        g.m.run("ifconfig eth1 down; usleep 100000\n" + UP)
        going()
    # What was in the queue when it stopped is posted again by the next SYNC; until then
    # there may be plain buffers in it, whose bytes are copied.
    def copies():
        s = g.stats()
        going()
        now = g.stats()
        return now["copied_bytes"] == s["copied_bytes"] and now["zero_copy_bytes"] > s["zero_copy_bytes"]
    wait_until(copies, 60, "bytes are copied on and on")
    second = g.m.run("tiny ring 8082 - 1048576 nic=$(cat /sys/class/net/eth1/ifindex)", exits=None)
    check(second.rc and b"busy" in second.err, "a second ring has the same device:", second)
    none = g.m.run("tiny ring 8082 - 1048576 nic=$(cat /sys/class/net/eth0/ifindex)", exits=None)
    check(none.rc and b"No such device" in none.err, "a ring has another driver's device:", none)
    # Away with it; the ring stays and is of use over any other device.
    g.m.run("d=$(basename $(readlink /sys/class/net/eth1/device))\n"
            "echo $d >/sys/bus/virtio/drivers/paste_vnet/unbind; echo $d >/tmp/device")
    # (A segment behind a lost one stays in its socket's queue until the device is back.)
    g.m.run("echo $(cat /tmp/device) >/sys/bus/virtio/drivers/paste_vnet/bind\n" + UP)
    going()                     # copied, from the same device without the ring
    check(g.stats()["copied_bytes"] > 0, "where do the bytes come from?")
    for w in load:
        w.end()
        equal(w.wrong, 0, "wrong")
    all_came_back(g)
    g.end()
    try_again(g)
    g.m.run("rmmod paste; ! [ -e /sys/class/net/eth1 ]")
    g.bind()
    try_again(g)


@with_guest("the device goes to another network namespace: its packets are not the ring's any more")
def namespace(g):
    g.serve()
    equal(run_load(2, 20, (1024,)), (20, 0), "requests and wrong ones")
    g.m.run("unshare -n sleep 1000 & echo $! >/tmp/ns; while [ $(readlink /proc/self/ns/net) = "
            "$(readlink /proc/$(cat /tmp/ns)/ns/net) ]; do usleep 10000; done\n"
            "ip link set eth1 netns $(cat /tmp/ns)\n"
            f"nsenter -t $(cat /tmp/ns) -n sh -c 'ifconfig eth1 {GUEST} netmask 255.255.255.0 up'")
    before = g.stats()
    equal(ping(), 3, "answers from the other namespace")
    s = g.stats()
    equal(s["src_packets"] + s["src_fallback"], before["src_packets"] + before["src_fallback"], "packets that the ring saw")
    equal(s["buffers_kernel"], g.nbufs, "buffers")
    g.m.run("nsenter -t $(cat /tmp/ns) -n ifconfig eth1 down; nsenter -t $(cat /tmp/ns) -n ip link set eth1 netns 1\n"
            "kill $(cat /tmp/ns)\n" + UP)
    wait_until(lambda: ping(count=1), 30, "the network card does not answer")
    equal(run_load(2, 20, (1024,)), (20, 0), "requests and wrong ones, of a ring without a device")
    check(g.stats()["copied_other"] > 0, "where do the bytes come from?")
    g.end()
    try_again(g)


# ---- packets that are held --------------------------------------------------------------

# ifb0 is a queue that takes its time, and gives to the stack what it was given by ifb1 or
# eth1; ifb1 hands on what it gets.
DELAY = """
set -e
ip link set ifb0 up; ip link set ifb1 up
/sbin/tc qdisc add dev ifb0 root netem delay 60ms 20ms limit 10000
/sbin/tc qdisc add dev ifb1 clsact
/sbin/tc qdisc add dev eth1 clsact
"""
NO_DELAY = """
/sbin/tc qdisc del dev eth1 clsact; /sbin/tc qdisc del dev ifb1 clsact; /sbin/tc qdisc del dev ifb0 root
ip link set ifb0 down; ip link set ifb1 down
"""
FIRST = "/sbin/tc filter add dev eth1 ingress protocol ip matchall "
THEN = "/sbin/tc filter add dev ifb1 ingress protocol ip matchall "
# Whoever changes a header that others share makes it one of its own; the page is shared on.
REWRITE = "action pedit ex munge eth src set 02:00:00:00:00:09 pipe "
HOLD = "action mirred egress redirect dev ifb0\n"
CLONE = "action mirred ingress mirror dev ifb1 pipe action drop\n"
WAYS = {
    "as it came": FIRST + HOLD,
    "rewritten": FIRST + REWRITE + HOLD,
    "a clone": FIRST + CLONE + THEN + HOLD,
    "rewritten, then cloned": FIRST + REWRITE + CLONE + THEN + HOLD,
    "cloned, then rewritten": FIRST + CLONE + THEN + REWRITE + HOLD,
}


@contextlib.contextmanager
def delayed(g, way):
    g.m.run(DELAY + WAYS[way])
    yield
    g.m.run(NO_DELAY)


def held(way):
    def body(g):
        g.serve(region=1 * MIB)
        with delayed(g, way):
            done, wrong = run_load(8, 400, (9000,))
        all_came_back(g)
        s = g.end()
        print(f"#    {done} bodies of 9000 bytes, {wrong} wrong; {s['zero_copy_bytes']} bytes not copied, "
              f"{s['copied_bytes']} copied")
        equal((done, wrong, s["wrong"]), (400, 0, 0), "requests and wrong ones")
        check(s["zero_copy_bytes"] > s["bytes"] * 0.99, "copied:", s)
    body.__name__ = "held_" + way.replace(", ", "_").replace(" ", "_")
    with_guest(f"packets that are held on their way to the socket, {way}: every byte right")(body)


for w in WAYS:
    held(w)


# What comes in goes out again, a second later and with a tag, to nobody.
MIRROR = """
set -e
ip link add link eth1 name late type vlan id 5
ip link set late up
/sbin/tc qdisc add dev late root netem delay 1s limit 100000
/sbin/tc qdisc add dev eth1 clsact
/sbin/tc filter add dev eth1 ingress protocol ip matchall action mirred egress mirror dev late
"""
NO_MIRROR = "/sbin/tc qdisc del dev eth1 clsact; ip link del late\n"


class Mirror(threading.Thread):
    """Compares what the machine sends back from its mirror with what it was sent."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sent, self.right, self.wrong, self.stop = {}, 0, 0, False
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))      # of every protocol
        self.s.setsockopt(socket.SOL_SOCKET, 33, 64 * MIB)      # SO_RCVBUFFORCE
        self.s.bind(("tap0", 3))
        self.s.settimeout(0.2)
        self.start()

    def run(self):
        while not self.stop:
            try:
                frame, (_, _, kind, _, _) = self.s.recvfrom(65536)
            except TimeoutError:
                continue
            # (the tag is not in it: the kernel has taken it out)
            if frame[6:14] == mac(OUR_MAC) + b"\x08\0" and frame[23] == 6:
                self.segment(frame, kind == socket.PACKET_OUTGOING)
        self.s.close()

    def segment(self, frame, ours):
        tcp = 14 + 4 * (frame[14] & 15)
        payload = frame[tcp + 4 * (frame[tcp + 12] >> 4):14 + struct.unpack_from(">H", frame, 16)[0]]
        key = frame[tcp:tcp + 8], len(payload)      # the ports and the sequence number
        if ours:
            self.sent[key] = payload
        elif payload and key in self.sent:
            self.right += payload == self.sent[key]
            self.wrong += payload != self.sent[key]


@with_guest("a mirror that is slow: the process has long given the buffers back, every byte is as it was sent")
def mirror(g):
    g.serve(region=8 * MIB)
    seen = Mirror()
    g.m.run(MIRROR)
    done, wrong = run_load(6, 300, (9000,))
    left = g.stats()
    all_came_back(g)
    seen.stop = True
    seen.join()
    g.m.run(NO_MIRROR)
    s = g.end()
    print(f"#    {seen.right} segments right, {seen.wrong} wrong; {left['buffers_stack']} buffers held at the end")
    equal((done, wrong, s["wrong"], seen.wrong), (300, 0, 0, 0), "requests, wrong ones, wrong segments")
    check(seen.right > 300 * 6 and left["buffers_stack"] > 0, "too little to say anything:", seen.right, left)
    check(s["zero_copy_bytes"] > s["bytes"] * 0.9, "mostly copied:", s)


def slab(g):
    """Bytes of the kernel's own memory that cannot be taken from it."""
    return 4096 * int(g.m.run("grep nr_slab_unreclaimable /proc/vmstat").text.split()[1])


LEAK = "/sys/kernel/debug/kmemleak"


def has_kmemleak(g):
    return not g.m.run(f"mount -t debugfs none /sys/kernel/debug; test -e {LEAK}", exits=None).rc


@with_guest("a buffer that the process keeps costs the kernel no memory")
def no_memory(g):
    if has_kmemleak(g):
        raise Skip("a kernel with KASAN keeps for a while what is freed")
    g.serve(region=32 * MIB)
    run_load(8, 400, (9000,))       # what stays once it was needed
    all_came_back(g)
    before = slab(g)
    g.signal("USR1")
    done, wrong = run_load(8, 1200, (9000,))
    s, after = g.stats(), slab(g)
    each = (after - before) / s["held"]
    print(f"#    {s['held']} buffers kept, {after - before} bytes of slabs more, {each:.1f} each")
    equal((done, wrong, copied(s)), (1200, 0, {}), "requests, wrong ones, copied")
    check(s["held"] > 8000, "too few buffers to say anything:", s)
    check(each < 64, "too much for what is one sk_buff at least, if it is anything")
    g.signal("USR1")
    all_came_back(g)
    g.end()


@with_guest("nothing is leaked (on a kernel with kmemleak)")
def kmemleak(g):
    if not has_kmemleak(g):
        raise Skip("this kernel has no kmemleak (make check-vm-debug)")
    g.m.run(f"echo clear >{LEAK}")
    try_again(g)
    with delayed(g, "cloned, then rewritten"):
        try_again(g)
    g.m.run("rmmod paste")
    g.bind()
    try_again(g)
    # An object is young for five seconds; the second look tells those that stay.
    said = g.m.run(f"sleep 8; echo scan >{LEAK}; sleep 8; echo scan >{LEAK}; cat {LEAK}", 400).text
    check("unreferenced" not in said, "kmemleak:", said)


# ---- frames ---------------------------------------------------------------------------

def mac(text):
    return bytes(int(x, 16) for x in text.split(":"))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def segment(rng, payload, port=8080):
    """A TCP segment for nobody's connection, in a frame."""
    tcp = struct.pack(">HHIIBBHHH", rng.randrange(1024, 65536), port, rng.randrange(1 << 32), rng.randrange(1 << 32),
                      0x50, rng.choice((0x02, 0x10, 0x18, 0x04, 0x11)), 8192, 0, 0)
    if rng.random() < 0.5:
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 1, 0, 64, 6, 0,
                           socket.inet_aton("10.9.0.1"), socket.inet_aton(GUEST))
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        pseudo, kind = head[12:20] + struct.pack(">HH", 6, len(tcp) + len(payload)), 0x0800
    else:
        head = struct.pack(">IHBB16s16s", 6 << 28, len(tcp) + len(payload), 6, 64,
                           socket.inet_pton(socket.AF_INET6, "fd09::1"), socket.inet_pton(socket.AF_INET6, GUEST6))
        pseudo, kind = head[8:40] + struct.pack(">II", len(tcp) + len(payload), 6), 0x86dd
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
    return mac(GUEST_MAC) + mac(OUR_MAC) + struct.pack(">H", kind) + head + tcp + payload


def spoil(rng, frame):
    """Mostly whole, somewhere absurd: in the headers, or cut, or longer than it says."""
    frame = bytearray(frame)
    for _ in range(rng.randrange(4)):
        at = rng.choice((12, 13, 14, 16, 17, 20, 21, 23, 26, 34, 46, 47, 54, rng.randrange(12, min(len(frame), 90))))
        if at < len(frame):
            frame[at] = rng.choice((0, 0xff, 0x0f, 0xf0, 0x45, 0x46, 0x4f, 0x60, rng.randrange(256)))
    if rng.random() < 0.3:
        del frame[rng.randrange(14, len(frame) + 1):]
    elif rng.random() < 0.2:
        frame += bytes(rng.randrange(1, 64))
    if rng.random() < 0.1:
        frame[12:12] = b"\x81\x00" + rng.randbytes(2)
    return bytes(frame[:1514])


@with_guest("no frame does any harm: spoiled headers, cut, padded, tagged, fragments, too long; during requests")
def frames(g):
    rng = random.Random(SEED)
    g.serve()
    load = [Load((1000, 9000), f"{SEED}/f{i}") for i in range(2)]
    end = time.monotonic() + 8 * SLOW
    sent = 0
    with Raw() as raw:
        while time.monotonic() < end:
            for _ in range(50):
                raw.send(spoil(rng, segment(rng, rng.randbytes(rng.choice((0, 1, 6, 7, 100, 1400))))))
                sent += 1
            time.sleep(0.005)
    for w in load:
        w.end()
        equal(w.wrong, 0, "wrong")
    check(sent > 2000 and sum(w.done for w in load) > 10, "too little to say anything:", sent)
    equal(ping(), 3, "answers")
    all_came_back(g)
    s = g.end()
    equal(s["wrong"], 0, s)
    print(f"#    {sent} frames, seed {SEED}, {sum(w.done for w in load)} requests meanwhile")


# ---- machines of their own -------------------------------------------------------------

@case("row 9: more than 3 GB, and every transfer through bounce buffers")
def row_9(t):
    SHARED.end()        # there is one cable
    for append in ("swiotlb=force", ""):
        g = Guest(t, cable(t, ",iommu_platform=on,disable-legacy=on"), memory="3600M", append=append)
        g.serve()
        done, wrong = run_load(4, 240, (1, 1000, 9000))
        equal((done, wrong), (240, 0), f"requests and wrong ones with {append}")
        all_came_back(g)
        s = g.end()
        equal(copied(s), {}, "copied by the ring")
        check(s["zero_copy_bytes"] > s["bytes"] * 0.9, "copied by the ring:", s)
        if append:
            log = g.m.run("dmesg").text
            check("software IO TLB" in log, "nothing is bounced", log[-1000:])
        g.m.off()
        forget("tap0")


@case("a device with a larger queue than the ring has buffers: no byte is copied all the same")
def large_queue(t):
    SHARED.end()        # there is one cable
    g = Guest(t, cable(t, ",rx_queue_size=1024"))
    g.serve(region=1 * MIB)
    with delayed(g, "as it came"):
        done, wrong = run_load(8, 400, (9000,))
    s = g.stats()
    equal((done, wrong, s["wrong"]), (400, 0, 0), "requests and wrong ones")
    equal(copied(s), {}, "copied")
    check(s["src_region"] == s["src_packets"] > 0, "frames outside the region:", s)
    all_came_back(g)
    g.end()
    g.well()
    g.m.off()
    forget("tap0")


def machine(t, args, module):
    """Of its own, with the module or the one that tracks nothing."""
    SHARED.end()        # there is one cable
    if module != "paste" and os.environ.get("PASTED_KMOD"):
        raise Skip("PASTED_KMOD has no untracked build beside it")
    g = Guest(t, args, untracked=module != "paste")
    if module != "paste":
        g.m.run("rmmod paste")
        g.bind(module)
    return g


def bad_cable(t, module):
    """A cable that loses, delays, doubles and flips."""
    SHARED.end()
    w = Wire(t, SEED)
    g = machine(t, w.args, module)
    g.serve(region=2 * MIB)
    w.orders(lose=20, delay=60, twice=10, flip=5)
    return w, g


def count_wrong(g, requests):
    """Bodies of 9 KB, some of them over connections that break."""
    load = [Load((9000,), f"{SEED}/{i}", requests // 8, broken=True) for i in range(8)]
    for x in load:
        x.join(400 * SLOW)
        x.end()
    return sum(x.done for x in load), sum(x.wrong for x in load)


@case("row 13: loss, reordering, doubles, flipped bits: every byte of 9 KB bodies is right")
def row_13(t):
    w, g = bad_cable(t, "paste")
    done, wrong = count_wrong(g, REQUESTS)
    w.orders()
    all_came_back(g)
    s = g.end()
    g.well()
    g.m.off()
    did = w.end()
    print(f"#    {done} bodies of 9000 bytes, {wrong} wrong; {did[0]} frames: {did[1]} lost, {did[2]} late, {did[3]} "
          f"doubled, {did[4]} flipped; {s['zero_copy_bytes']} bytes not copied, {s['copied_bytes']} copied")
    check(min(did[1:]) > 10, "the cable was too good to say anything:", did)
    check(s["zero_copy_bytes"] > s["bytes"] * 0.9, "mostly copied:", s)
    equal((done, wrong, s["wrong"]), (REQUESTS // 8 * 8, 0, 0), "requests and wrong ones")


@case("row 13, the negative control: without the tracking of lifetimes the same test finds wrong bytes")
def row_13_control(t):
    _, g = bad_cable(t, "untracked")
    wrong = done = 0
    while not wrong and done < 4 * REQUESTS:
        n, k = count_wrong(g, 200)
        done, wrong = done + n, wrong + k
    print(f"#    {wrong} of {done} bodies wrong")
    check(wrong, "the test sees nothing: it proves nothing")


@case("packets that are held, the negative control: without the tracking the same test finds wrong bytes")
def held_control(t):
    SHARED.end()
    g = machine(t, cable(t), "untracked")
    g.serve(region=1 * MIB)
    with delayed(g, "as it came"):
        load = [Load((9000,), f"{SEED}/{i}", broken=True) for i in range(8)]
        wait_until(lambda: sum(w.wrong for w in load), 100, "the test sees nothing: it proves nothing")
        print(f"#    {sum(w.wrong for w in load)} of {sum(w.done for w in load)} bodies wrong")
        Load.stop_all()


if __name__ == "__main__":
    try:
        enter()
    except Skip as e:
        print(e)
        sys.exit(77)
    try:
        main()
    finally:
        SHARED.end()
