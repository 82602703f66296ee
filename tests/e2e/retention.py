#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Retention: the oldest go, are 410, their files are used again; the rest stays through restarts."""
import contextlib
import os

from harness import MIB, accepted, bytes_of, case, check, equal, main, post, records, wait_until


def files(s):
    return [os.path.join(d, f) for d, _, fs in os.walk(s.store) for f in fs]


def stats(s):
    """Of every file; one that is renamed meanwhile makes it look again."""
    def look():
        with contextlib.suppress(FileNotFoundError):
            return [os.stat(f) for f in files(s)]
    return wait_until(look, 20, "files come and go")


@case("retain-bytes: old records are 410, files are recycled, the newest are all there", each=True)
def by_size(t):
    s = t.server(settings={"segment-size": "1M", "retain-bytes": "4M", "body-max": "256K", "pool-size": "4M"})
    n, size = 400, 50000        # 20 MB
    most, inodes = 0, set()
    with s.connect() as c:
        for i in range(n):
            name = wait_until(lambda: accepted(s, f"/{i}", bytes_of(i, size)), 20, "refused for ever")
            equal(name, f"0-{i + 1}", "name")
            if i % 20 == 0:
                now = stats(s)
                most = max(most, sum(f.st_blocks * 512 for f in now))
                inodes |= {f.st_ino for f in now}

        def expired():
            r = c.ask("GET", "/-/records/0-1")
            check(r.status in (200, 410), r)
            return r.status == 410
        wait_until(expired, 20, "the first record does not expire")
        equal(c.ask("HEAD", "/-/records/0-1").status, 410, "HEAD")
        equal(c.ask("GET", f"/-/records/0-{n + 1}").status, 404, "never was")
        body = c.ask("GET", f"/-/records/0-1..{n}").body
        got = records(body)
        equal([r.seq for r in got], list(range(got[0].seq, n + 1)), "the rest, without holes")
        check(got[0].seq > n // 2, "too much is kept: from", got[0].seq)
        check(len(got) * size >= 2 * MIB, "too little is kept:", len(got))
        for r in got:
            equal(r.body, bytes_of(r.seq - 1, size), r.name)
    check(most <= 10 * MIB, "the store grew to", most)
    check(len(inodes) < 20, "files are not used again:", len(inodes), "files for 20 segments")
    oldest = got[0].seq
    for end in (s.stop_clean, s.kill):
        end()
        s.start()
        with s.connect() as c:
            equal(c.ask("GET", "/-/records/0-1").status, 410, "after a restart")
            for r in got[len(got) // 2:]:
                equal(c.ask("GET", f"/-/records/{r.name}").body, r.body, r.name)
            last = post(c, "/more", b"x")
    s.stop_clean()
    out = s.recover("check")
    equal(out.returncode, 0, "expired records are no damage: " + (out.stdout + out.stderr).decode())
    seqs = [r.seq for r in s.dump(exits=(0,))]
    check(seqs[0] >= oldest and seqs[-1] == int(last.split("-")[1]), seqs[0], seqs[-1], last)
    equal(seqs, list(range(seqs[0], seqs[-1] + 1)), "dump")


@case("retain-age: what is old goes, what is new stays", each=True)
def by_age(t):
    s = t.server(settings={"segment-size": "1M", "retain-age": "1s", "body-max": "256K", "pool-size": "4M"})
    with s.connect() as c:
        for i in range(60):
            post(c, "/old", bytes_of(i, 50000))

        def gone():
            name = post(c, "/new", b"new")
            equal(c.ask("GET", f"/-/records/{name}").body, b"new", name)
            return c.ask("GET", "/-/records/0-1").status == 410
        wait_until(gone, 20, "nothing expires by age")
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")


@case("no retention: nothing ever goes", each=True)
def kept(t):
    s = t.server(settings={"segment-size": "1M", "body-max": "256K", "pool-size": "4M"})
    with s.connect() as c:
        for i in range(120):
            post(c, f"/{i}", bytes_of(i, 50000))
        for i in (0, 1, 60, 119):
            equal(c.ask("GET", f"/-/records/0-{i + 1}").body, bytes_of(i, 50000), str(i))
    s.kill()
    equal(len(s.dump()), 120, "records")


if __name__ == "__main__":
    main()
