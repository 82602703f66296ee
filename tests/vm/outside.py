# SPDX-License-Identifier: BSD-2-Clause
"""outside - the world around a machine: a network namespace of the test's own.

	enter()                     once, before anything else; Skip if that is not permitted
	args = cable()              a tap device, 10.9.0.1 and fd09::1; QEMU's end of it
	w = Wire(t); w.args         the same through tests/vm/wire, which loses, delays, doubles
	w.orders(lose=20)           and flips, in thousandths
	arp = ...                   see Raw: frames as bytes

Nothing of it is visible outside the process and its children, and it goes with them.
"""
import ctypes
import os
import socket
import subprocess

from harness import Skip, check, die_with_parent
from image import program, run

GUEST_MAC, OUR_MAC = "52:54:00:00:00:02", "52:54:00:00:00:01"
GUEST, GUEST6 = "10.9.0.2", "fd09::2"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        e = ctypes.get_errno()
        raise Skip(f"no network namespace: unshare: {os.strerror(e)}")


def enter():
    if os.geteuid() == 0:
        unshare(CLONE_NEWNET)
    else:
        uid, gid = os.geteuid(), os.getegid()
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
    ip("link", "set", "lo", "up")


def ip(*args):
    run([program("ip", "iproute2"), *args], "ip " + " ".join(args))


def dress(tap):
    ip("link", "set", tap, "address", OUR_MAC)
    ip("addr", "add", "10.9.0.1/24", "dev", tap)
    ip("addr", "add", "fd09::1/64", "dev", tap, "nodad")
    ip("link", "set", tap, "up")


def need_tun():
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise Skip("/dev/net/tun is not there")


def device(netdev, more=""):
    return ["-netdev", netdev, "-device", f"virtio-net-pci,netdev=outside,romfile=,mac={GUEST_MAC}{more}"]


def forget(tap):
    subprocess.run(["ip", "link", "del", tap], capture_output=True)


def cable(t, more=""):
    """A tap device that QEMU is on: checksums are left to each other."""
    need_tun()
    ip("tuntap", "add", "tap0", "mode", "tap")
    t.undo.append(lambda: forget("tap0"))
    dress("tap0")
    return device("tap,id=outside,ifname=tap0,script=no,downscript=no", more)


class Wire:
    """A cable with faults; checksums are made and looked at."""

    def __init__(self, t, seed=1):
        need_tun()
        ours, theirs = os.path.join(t.dir, "wire"), os.path.join(t.dir, "machine")
        path = os.path.join(os.environ.get("top_builddir", "."), "tests", "vm", "wire")
        if not os.path.exists(path):
            raise Skip(f"there is no {path} (make check builds it)")
        self.proc = subprocess.Popen([path, "tap0", ours, theirs, str(seed)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        t.undo.append(self.kill)
        check(self.proc.stdout.readline() == "ready\n", "wire does not start")
        dress("tap0")
        self.args = device(f"dgram,id=outside,local.type=unix,local.path={theirs},"
                           f"remote.type=unix,remote.path={ours}")

    def orders(self, lose=0, delay=0, twice=0, flip=0):
        self.proc.stdin.write(f"{lose} {delay} {twice} {flip}\n")
        self.proc.stdin.flush()

    def end(self):
        """frames to the machine, and of those lost, late, doubled, flipped"""
        out = self.proc.communicate(timeout=20)[0]
        return list(map(int, out.split()))

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()


def ping(host=GUEST, count=3):
    """How many were answered."""
    out = subprocess.run([program("busybox", "busybox-static"), "ping", "-c", str(count), "-W", "5", host],
                         capture_output=True, text=True)
    return out.stdout.count(" bytes from ")


class Raw:
    """Whole frames onto the cable."""

    def __init__(self):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.s.bind(("tap0", 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, frame):
        try:
            self.s.send(frame)
        except OSError as e:
            # the tap's queue is full: the machine is slower
            if e.errno != 105:
                raise
