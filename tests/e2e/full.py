#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A full disk: 507, reads go on, the server resumes by itself (root: a small file system)."""
import contextlib
import os
import subprocess

from harness import MIB, Skip, bytes_of, case, check, equal, main, post, wait_until


def small_disk(t, mib):
    """An ext4 of that size on a loop device, unmounted at the end."""
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    image, where = os.path.join(t.dir, "disk"), os.path.join(t.dir, "mnt")
    os.makedirs(where)
    with open(image, "wb") as f:
        f.truncate(mib * MIB)
    for cmd in (["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, where]):
        try:
            out = subprocess.run(cmd, capture_output=True, text=True)
        except FileNotFoundError:
            raise Skip(f"{cmd[0]} is not installed")
        if out.returncode:
            raise Skip(f"{cmd[0]}: {out.stderr.strip()}")
    t.undo.append(lambda: subprocess.run(["umount", where], check=False))
    return where


def fill(c, body, most):
    """Posts until something else than 200; the names and that reply."""
    names = []
    for _ in range(most):
        r = c.ask("POST", "/f", body)
        if r.status != 200:
            return names, r
        names.append(r.name)
    check(False, "the disk does not fill up")


@case("507 when there is no room, reads go on, resumes when there is, nothing acknowledged is lost", each=True)
def full(t):
    disk = small_disk(t, 64)
    ballast = os.path.join(disk, "ballast")
    s = t.server(store=os.path.join(disk, "store"),
                 settings={"segment-size": "4M", "pool-size": "8M", "body-max": "1M", "idle-timeout": "60s"})
    body = bytes_of("full", 200000)
    names = []

    def until_full():
        with s.connect() as c:
            new, r = fill(c, body, 400)
            names.extend(new)
            return r if r.status == 507 else None

    def resumes():
        with s.connect() as c:
            r = c.ask("POST", "/f", body)
            if r.status == 200:
                names.append(r.name)
            return r.status == 200
    for leave in (24 * MIB, 8 * MIB):
        with open(ballast, "wb") as f:
            room = os.statvfs(disk)
            with contextlib.suppress(OSError):      # the server takes some meanwhile
                f.write(bytes(max(0, room.f_bavail * room.f_frsize - leave)))
        r = wait_until(until_full, 30, "no 507")
        check(r.name is None, "a 507 that names a record:", r)
        check(len(names) > 20, "full after", len(names))
        for name in (names[0], names[len(names) // 3], names[-1]):
            r = s.record(name)
            # What waits in the WAL is read after its checkpoint, for which there is no room.
            if t.has_wal and name == names[-1] and r.status == 503:
                check(r.get("Retry-After") and b"checkpoint" in r.body, r)
                continue
            check(r.status == 200 and r.body == body, "read-back while full:", name, r)
        equal(s.ask("GET", "/-/livez").status, 200, "livez while full")
        r = s.ask("GET", "/-/readyz")
        check(r.status == 503 and r.body.strip(), "readyz while full:", r)
        check(b"room" in r.body or b"space" in r.body, "no reason:", r.body)
        os.unlink(ballast)
        wait_until(resumes, 30, "the server does not resume")
        wait_until(lambda: s.ask("GET", "/-/readyz").status == 200, 10, "readyz stays bad")
    equal(s.stop(), 0, "SIGTERM: " + s.said()[-500:])
    got = [r.name for r in s.dump(exits=(0,))]
    equal([n for n in names if n not in got], [], "lost")


@case("killed while full: what was acknowledged is there", each=True)
def killed_full(t):
    disk = small_disk(t, 24)
    s = t.server(store=os.path.join(disk, "store"),
                 settings={"segment-size": "4M", "pool-size": "8M", "body-max": "1M"})
    body, names = bytes_of("full", 100000), []

    def until_full():
        with s.connect() as c:
            new, r = fill(c, body, 400)
            names.extend(new)
            return r.status == 507
    wait_until(until_full, 30, "no 507")
    s.kill()
    out = s.recover("check")
    check(out.returncode in (0, 1), "check exits", out.returncode, out.stdout, out.stderr)
    got = {r.name: r.body for r in s.dump()}
    equal([n for n in names if got.get(n) != body], [], "lost or altered")


if __name__ == "__main__":
    main()
