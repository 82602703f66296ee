# SPDX-License-Identifier: BSD-2-Clause
"""Small file systems of every kind, on loop devices, in a mount namespace of the test's own:
nothing of them is left when the test ends, however it does."""
import ctypes
import errno
import os
import subprocess

from harness import MIB, Skip

CLONE_NEWNS = 0x20000
KINDS = {                       # mkfs, its smallest size in MiB
    "ext4": (["mkfs.ext4", "-q", "-F", "-m", "0"], 24),
    "xfs": (["mkfs.xfs", "-q", "-f"], 304),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 128),
    "f2fs": (["mkfs.f2fs", "-q", "-f"], 64),
}
STATE = {"private": False}


def private():
    """From now on mounts are seen by this process and its children only."""
    if STATE["private"]:
        return
    if os.geteuid():
        raise Skip("mounting a file system needs root")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise Skip("no mount namespace: " + os.strerror(ctypes.get_errno()))
    # Where / is no mount point, in a chroot, others may see them until the test ends.
    subprocess.run(["mount", "--make-rprivate", "/"], check=False, stderr=subprocess.DEVNULL)
    STATE["private"] = True


def run(cmd):
    """A command that the test cannot do without."""
    try:
        out = subprocess.run(cmd, capture_output=True, text=True)
    except FileNotFoundError:
        raise Skip(f"{cmd[0]} is not installed")
    if out.returncode:
        raise Skip(f"{' '.join(cmd)}: {(out.stderr or out.stdout).strip()}")
    return out.stdout


def known(kind):
    """The kernel has this file system; a module of it is tried."""
    subprocess.run(["modprobe", "-q", kind], check=False, stderr=subprocess.DEVNULL) \
        if os.path.exists("/sbin/modprobe") else None
    with open("/proc/filesystems") as f:
        if kind not in f.read().split():
            raise Skip(f"this kernel has no {kind}")


def mount(t, what, where, *options):
    private()
    os.makedirs(where, exist_ok=True)
    run(["mount", *options, what, where])
    t.undo.append(lambda: subprocess.run(["umount", "-l", where], check=False))
    return where


def disk(t, kind, mib=0, mkfs=(), options="", name=None):
    """A new file system of at least `mib` MiB; where it is mounted."""
    known(kind)
    make, least = KINDS[kind]
    image = os.path.join(t.dir, f"{name or kind}.img")
    with open(image, "wb") as f:
        f.truncate(max(mib, least) * MIB)
    run(make + list(mkfs) + [image])
    return mount(t, image, os.path.join(t.dir, name or kind), "-o", "loop" + ("," + options if options else ""))


def memory(t, mib, name="memory"):
    """A tmpfs of that size."""
    return mount(t, "tmpfs", os.path.join(t.dir, name), "-t", "tmpfs", "-o", f"size={mib}m")


def fill(where, leave=0):
    """Until not even a page of a file goes in (leave: but for so many bytes)."""
    folder = os.path.join(where, "ballast")
    os.makedirs(folder, exist_ok=True)
    n = 0
    if leave:
        with open(os.path.join(folder, "left"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, leave)
    for size in (64 * MIB, 16 * MIB, 4 * MIB, MIB, 65536, 4096):
        while True:
            path = os.path.join(folder, str(n := n + 1))
            try:
                with open(path, "wb") as f:
                    os.posix_fallocate(f.fileno(), 0, size)
            except OSError as e:
                if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                if os.path.exists(path):
                    os.unlink(path)
                break
    if leave:
        os.unlink(os.path.join(folder, "left"))
    os.sync()


def make_room(where):
    """What fill() took is there again."""
    folder = os.path.join(where, "ballast")
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    os.sync()
