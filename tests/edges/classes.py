#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A class that is not true is refused: places whose sync means nothing, as far as this machine
can tell, are volatile, and that only by name.  And those beside them are not refused."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import disks
from harness import PASTED, SLOW, Failed, case, check, equal, main, post


def overlay(t, upper, options=""):
    """An overlay with that folder's parts as its upper layer."""
    parts = {n: os.path.join(upper, n) for n in ("upper", "work")}
    parts["lower"] = os.path.join(t.dir, "lower")
    for p in parts.values():
        os.makedirs(p, exist_ok=True)
    disks.known("overlay")
    return disks.mount(t, "overlay", os.path.join(t.dir, "overlay"), "-t", "overlay", "-o",
                       f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}" +
                       ("," + options if options else ""))


def refused(t, where, *words):
    """By auto and fsync, in words; doctor says the same; volatile by name is taken."""
    for cls in ("auto", "fsync"):
        s = t.a_server(store=os.path.join(where, "store"), cls=cls).spawn()
        try:
            s.proc.wait(30 * SLOW)
        except subprocess.TimeoutExpired:
            raise Failed(f"class {cls} on {where} is taken: {s.said()}")
        check(s.proc.returncode > 0, "status", s.proc.returncode)
        for w in words + ("volatile",):
            check(w in s.said(), f"without the word {w}:", s.said())
        check(not os.path.exists(os.path.join(where, "store", "store")), "a store was made")
    out = subprocess.run([PASTED, "--doctor", "--store", os.path.join(where, "store")], capture_output=True,
                         text=True)
    check(all(w in out.stdout for w in words), "doctor:", out.stdout)
    s = t.server(store=os.path.join(where, "store"), cls="volatile")
    check("volatile" in s.ask("GET", "/-/livez").get("Pasted-Class"), "class")
    s.stop_clean()


def taken(t, where):
    s = t.server(store=os.path.join(where, "store"), cls="auto")
    with s.connect() as c:
        post(c, "/x", b"x")
    equal(s.ask("GET", "/-/livez").get("Pasted-Class"), "fsync", "class")
    s.stop_clean()


@case("an overlay mounted volatile")
def volatile_overlay(t):
    refused(t, overlay(t, t.dir, "volatile"), "overlay", "syncs nothing")


@case("an overlay whose upper folder is in memory")
def upper_in_memory(t):
    refused(t, overlay(t, disks.memory(t, 80)), "overlay", "tmpfs")


@case("an overlay on a disk, with blanks and commas in its name, is taken")
def good_overlay(t):
    upper = os.path.join(t.dir, "a folder")
    os.mkdir(upper)
    taken(t, overlay(t, upper))


@case("the folder of the records is a link into memory")
def log_in_memory(t):
    where = os.path.join(t.dir, "linked")
    os.makedirs(os.path.join(where, "store"))
    os.symlink(t.shm(), os.path.join(where, "store", "log"))
    s = t.a_server(store=os.path.join(where, "store"), cls="fsync").spawn()
    check(s.proc.wait(60 * SLOW) > 0, "status", s.proc.returncode)
    for w in ("store/log", "in memory", "volatile"):
        check(w in s.said(), f"without the word {w}:", s.said())


@case("ext4 without barriers")
def no_barriers(t):
    refused(t, disks.disk(t, "ext4", 80, options="nobarrier"), "barrier")


@case("a loop device whose file is in memory")
def loop_in_memory(t):
    disks.known("ext4")
    image = os.path.join(disks.memory(t, 100), "image")
    with open(image, "wb") as f:
        f.truncate(80 << 20)
    disks.run(["mkfs.ext4", "-q", "-F", image])
    refused(t, disks.mount(t, image, os.path.join(t.dir, "disk"), "-o", "loop"), "loop", "tmpfs")


@case("btrfs, whose device has a number of its own, on a loop device in memory")
def btrfs_in_memory(t):
    disks.known("btrfs")
    image = os.path.join(disks.memory(t, 200), "image")
    with open(image, "wb") as f:
        f.truncate(128 << 20)
    disks.run(["mkfs.btrfs", "-q", "-f", image])
    refused(t, disks.mount(t, image, os.path.join(t.dir, "disk"), "-o", "loop"), "loop", "tmpfs")


def loop(t, folder, name, mib):
    """A loop device on a new file there."""
    image = os.path.join(folder, name)
    with open(image, "wb") as f:
        f.truncate(mib << 20)
    device = disks.run(["losetup", "-f", "--show", image]).strip()
    t.undo.append(lambda: subprocess.run(["losetup", "-d", device], check=False))
    return device


@case("a loop device whose file was deleted, in memory and on a disk")
def loop_deleted(t):
    disks.known("ext4")
    for folder in disks.memory(t, 100), t.dir:
        image = os.path.join(folder, "image")
        with open(image, "wb") as f:
            f.truncate(80 << 20)
        disks.run(["mkfs.ext4", "-q", "-F", image])
        where = disks.mount(t, image, os.path.join(t.dir, "disk-of-" + os.path.basename(folder)), "-o", "loop")
        os.unlink(image)
        refused(t, where, "loop", "deleted")


@case("btrfs on two devices, the second of which is in memory")
def btrfs_second(t):
    disks.known("btrfs")
    first, second = loop(t, t.dir, "first", 128), loop(t, disks.memory(t, 200), "second", 128)
    disks.run(["mkfs.btrfs", "-q", "-f", first, second])
    refused(t, disks.mount(t, first, os.path.join(t.dir, "disk"), "-t", "btrfs", "-o",
                           f"device={first},device={second}"), "loop", "tmpfs")


@case("XFS whose log is on a device in memory")
def xfs_log(t):
    disks.known("xfs")
    first, log = loop(t, t.dir, "first", 304), loop(t, disks.memory(t, 200), "log", 80)
    disks.run(["mkfs.xfs", "-q", "-f", "-l", "logdev=" + log, first])
    refused(t, disks.mount(t, first, os.path.join(t.dir, "disk"), "-t", "xfs", "-o", "logdev=" + log),
            "loop", "tmpfs")


@case("ext4 whose journal is on a device in memory")
def ext4_journal(t):
    disks.known("ext4")
    first, log = loop(t, t.dir, "first", 80), loop(t, disks.memory(t, 100), "log", 32)
    disks.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "journal_dev", log])
    disks.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "device=" + log, first])
    refused(t, disks.mount(t, first, os.path.join(t.dir, "disk"), "-t", "ext4"), "loop", "tmpfs")


@case("btrfs on two devices on a disk is taken")
def good_btrfs(t):
    disks.known("btrfs")
    devices = loop(t, t.dir, "first", 128), loop(t, t.dir, "second (deleted)", 128)
    disks.run(["mkfs.btrfs", "-q", "-f", *devices])
    taken(t, disks.mount(t, devices[0], os.path.join(t.dir, "disk"), "-t", "btrfs", "-o",
                         ",".join("device=" + d for d in devices)))


@case("a loop device on a disk is taken")
def good_loop(t):
    taken(t, disks.disk(t, "ext4", 80))


@case("a device mapper's device on a loop device in memory")
def mapped(t):
    image = os.path.join(disks.memory(t, 100), "image")
    with open(image, "wb") as f:
        f.truncate(80 << 20)
    loop = disks.run(["losetup", "-f", "--show", image]).strip()
    t.undo.append(lambda: subprocess.run(["losetup", "-d", loop], check=False))
    name = f"pasted-test-{os.getpid()}"
    disks.run(["dmsetup", "create", name, "--noudevsync", "--table", f"0 {80 << 11} linear {loop} 0"])
    t.undo.append(lambda: subprocess.run(["dmsetup", "remove", "--noudevsync", "-f", name], check=False))
    device = f"/dev/mapper/{name}"
    disks.run(["dmsetup", "mknodes", name])
    disks.run(["mkfs.ext4", "-q", "-F", device])
    refused(t, disks.mount(t, device, os.path.join(t.dir, "disk")), "loop", "tmpfs")


if __name__ == "__main__":
    main()
