#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""pasted-recover on the files of a stopped server: verdicts, exit codes, and no writes."""
import hashlib
import json
import os
import random
import re
import shutil
import subprocess

from harness import RECOVER, SLOW, another, bytes_of, case, check, equal, main, post, records, gaps


def tool(*args):
    return subprocess.run([RECOVER, *args], capture_output=True, timeout=60 * SLOW)


def digest(*roots):
    """Every file, its size, time and bytes."""
    h = hashlib.sha256()
    for root in roots:
        for folder, dirs, files in sorted(os.walk(root)):
            for f in sorted(files):
                path = os.path.join(folder, f)
                st = os.stat(path)
                h.update(repr((path, st.st_size, st.st_mtime_ns, st.st_ino)).encode())
                with open(path, "rb") as fd:
                    h.update(fd.read())
            h.update(repr(sorted(dirs)).encode())
    return h.hexdigest()


def filled(t, n=60, **k):
    """A server that was stopped with n records in it; their bodies by name."""
    s = t.server(settings=dict({"pool-size": "4M", "segment-size": "2M", "body-max": "1M"}, **k))
    bodies = {}
    with s.connect() as c:
        for i in range(n):
            body = b"<%04d>" % i + bytes_of(i, 200 + 61 * i)
            bodies[post(c, f"/{i}", body)] = body
    return s, bodies


def everything(s):
    return [s.store] + ([s.nvmm] if s.nvmm else [])


@case("wrong usage is 64 with words, --help is 0")
def usage(t):
    for args in ([], ["check"], ["polish", "--store", t.dir], ["check", "--store"],
                 ["check", "--store", t.dir, "--colour"], ["check", t.dir]):
        out = tool(*args)
        equal(out.returncode, 64, f"{args}: {out.stderr}")
        check(out.stderr.strip(), "no word about", args)
    equal(tool("--help").returncode, 0, "--help")
    with open("/dev/full", "wb") as full:
        for word in ("--help", "--version"):
            equal(subprocess.run([RECOVER, word], stdout=full, timeout=60 * SLOW).returncode, 3, f"{word}, which nobody gets")


@case("what is no store is 3, with words, and stays as it is")
def no_store(t):
    rng = random.Random(1)
    empty, noise = os.path.join(t.dir, "empty"), os.path.join(t.dir, "noise")
    os.makedirs(empty)
    os.makedirs(os.path.join(noise, "log", "000"))
    for f in ("store", "log/000/00000001.seg"):
        with open(os.path.join(noise, f), "wb") as fd:
            fd.write(rng.randbytes(20000))
    before = digest(t.dir)
    for path in (os.path.join(t.dir, "nothing"), empty, noise, os.path.join(noise, "store"), "/dev/null"):
        for verb in ("check", "dump", "repair") if path == noise else ("check", "dump"):
            out = tool(verb, "--store", path)
            equal(out.returncode, 3, f"{verb} {path}: {out.stdout} {out.stderr}")
            check(path.encode() in out.stderr + out.stdout, "the path is not named:", out)
    equal(digest(t.dir), before, "something was written")


@case("check and dump write nothing: after a clean stop, after a kill, with damage", each=True)
def reads_only(t):
    s, bodies = filled(t)
    for state in ("killed", "stopped", "damaged"):
        if state == "killed":
            s.kill()
        if state == "stopped":
            s.start().stop_clean()
        if state == "damaged":
            damage(s, b"<0010>")
        before = digest(*everything(s))
        want = {"killed": (0, 1), "stopped": (0,), "damaged": (2,)}[state]
        for args in (["check"], ["check", "--json"], ["dump"], ["dump", "--json"]):
            out = s.recover(*args)
            check(out.returncode in want, state, args, "exits", out.returncode, out.stderr)
            equal(digest(*everything(s)), before, f"{args} wrote ({state})")


def in_all(out):
    """Records, those that are only in the log too: the first of them may have been moved
    when the segment was begun."""
    m = re.search(rb"in all: \d+ lanes, (\d+) records, \d+ bytes; (\d+) more", out.stdout)
    return m and int(m.group(1)) + int(m.group(2))


@case("a killed volatile store has work pending (1); repair does it; then it is clean (0)",
      each=True, classes="wal")
def pending(t):
    s, bodies = filled(t, **{"checkpoint-interval": "1h"})
    s.kill()
    out = s.recover("check")
    equal(out.returncode, 1, out.stdout.decode() + out.stderr.decode())
    equal(in_all(out), 60, f"the 60 records are not told: {out.stdout}")
    out = s.recover("repair")
    equal(out.returncode, 0, "repair: " + (out.stdout + out.stderr).decode())
    equal(in_all(out), 60, f"repair does not tell the 60 records: {out.stdout}")
    equal(s.recover("check").returncode, 0, "check after repair")
    again = digest(s.store)
    equal(s.recover("repair").returncode, 0, "repair again")
    equal({r.name: r.body for r in s.dump(exits=(0,))}, bodies, "dump")
    check(again, "")


@case("check --json is one JSON document with lanes, records, bytes, verdict", each=True)
def report(t):
    s, bodies = filled(t)
    s.stop_clean()
    out = s.recover("check", "--json")
    equal(out.returncode, 0, out.stderr.decode())
    j = json.loads(out.stdout)
    check("60" in re.findall(r"\d+", json.dumps(j)), "60 records are not told:", j)
    out = s.recover("check")
    for word in ("60", "record", "lane"):
        check(word in out.stdout.decode(), word, "is not in:", out.stdout)


@case("dump: raw is the requests as they came, JSON the same records", each=True)
def dump(t):
    s, bodies = filled(t)
    raw_before = None
    for how in ("kill", "stop"):
        s.kill() if how == "kill" else s.start().stop_clean()
        equal({r.name: r.body for r in s.dump()}, bodies, how)
        raw = s.recover("dump").stdout
        equal(raw.count(b"POST /"), len(bodies), "requests in the raw dump")
        at = 0
        for body in bodies.values():
            at = raw.find(body, at)
            check(at >= 0, "the raw dump lacks a body, or its order is another")
        check(raw_before in (None, raw), "the raw dump changed with a restart")
        raw_before = raw


def files_with(s, mark):
    for root in everything(s):
        for folder, _, files in os.walk(root):
            for f in files:
                path = os.path.join(folder, f)
                with open(path, "rb") as fd:
                    at = fd.read().find(mark)
                if at >= 0:
                    yield path, at


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        b = f.read(1)[0]
        f.seek(at)
        f.write(bytes([b ^ 0x10]))


def damage(s, mark):
    hits = list(files_with(s, mark))
    check(hits, mark, "is in no file")
    for path, at in hits:
        flip(path, at + 1)


@case("one flipped bit costs the record it touches and no other, and is told with its place", each=True)
def one_bit(t):
    s, bodies = filled(t)
    s.stop_clean()
    victim = list(bodies)[30]
    damage(s, b"<0030>")
    out = s.recover("check")
    equal(out.returncode, 2, "check: " + (out.stdout + out.stderr).decode())
    check(victim in out.stdout.decode() or victim.split("-")[1] in re.findall(r"\d+", out.stdout.decode()),
          "the record is not named:", out.stdout)
    check(re.search(rb"\.seg", out.stdout + out.stderr), "the file is not named:", out.stdout)
    out = s.recover("dump", "--json")
    equal(out.returncode, 2, "dump")
    rest = {n: b for n, b in bodies.items() if n != victim}
    equal({r.name: r.body for r in records(out.stdout)}, rest, "dump")
    equal(len(gaps(out.stdout)), 1, "gaps in the dump")
    # The server starts, says so, serves the others, and 404s or 410s this one with a reason.
    out = s.recover("repair")
    equal(out.returncode, 2, "repair makes no less of it")
    s.start()
    with s.connect() as c:
        r = c.ask("GET", f"/-/records/{victim}")
        check(r.status in (404, 410, 500) and b"amage" in r.body, r)
        for name, body in rest.items():
            equal(c.ask("GET", f"/-/records/{name}").body, body, name)
        r = c.ask("GET", "/-/records/0-1..60")
        equal([x.name for x in records(r.body)], list(rest), "range")
        new = post(c, "/new", b"after")
        check(new not in bodies, "a name was given again:", new)
    s.stop_clean()
    out = s.recover("dump", "--json")
    equal({r.name: r.body for r in records(out.stdout)}, dict(rest, **{new: b"after"}), "after the restart")


@case("damage in the WAL costs the record it touches and no other", each=True, classes="wal")
def wal_bit(t):
    s, bodies = filled(t, **{"checkpoint-interval": "1h"})
    s.kill()
    only = [n for n in range(60) if all(s.nvmm in path for path, _ in files_with(s, b"<%04d>" % n))]
    check(only, "no record is only in the WAL")
    damage(s, b"<%04d>" % only[-1])
    victim = list(bodies)[only[-1]]
    rest = {n: b for n, b in bodies.items() if n != victim}
    equal(s.recover("check").returncode, 2, "check")
    out = s.recover("dump", "--json")
    equal({r.name: r.body for r in records(out.stdout)}, rest, "dump before the start")
    s.start()
    equal({r.name: r.body for r in records(s.ask("GET", "/-/records/0-1..60").body)}, rest, "range")
    s.stop_clean()
    equal(s.recover("check").returncode, 2, "the gap is still told")


@case("a page of zeros in the middle of a segment", each=True)
def lost_page(t):
    s, bodies = filled(t)
    s.stop_clean()
    (path, at), = [(p, i) for p, i in files_with(s, b"<0030>") if p.endswith(".seg")]
    page = at // 4096 * 4096
    with open(path, "r+b") as f:
        f.seek(page)
        f.write(bytes(4096))
    equal(s.recover("check").returncode, 2, "check")
    got = {r.name: r.body for r in records(s.recover("dump", "--json").stdout)}
    missing = [n for n in bodies if n not in got]
    check(all(bodies[n] == b for n, b in got.items()), "altered")
    check(0 < len(missing) <= 1 + 4096 // 1500 + 2, len(missing), "records lost to one page")
    numbers = [int(n.split("-")[1]) for n in missing]
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "not adjacent")
    s.start().stop_clean()
    again = {r.name: r.body for r in records(s.recover("dump", "--json").stdout)}
    equal(again, got, "a start made more or less of it")


@case("truncated, emptied, overwritten: 2 or 3 with words, never a crash, nothing written", each=True)
def hostile(t):
    s, bodies = filled(t, 20)
    s.kill()
    good = [(r, os.path.join(t.dir, f"good{i}")) for i, r in enumerate(everything(s))]
    for root, copy in good:
        shutil.copytree(root, copy)
    paths = [os.path.join(d, f) for root in everything(s) for d, _, fs in os.walk(root) for f in fs]
    rng = random.Random(7)

    def truncate(path, size):
        os.truncate(path, min(size, os.path.getsize(path)))

    def noise(path, at, n):
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(rng.randbytes(min(n, max(0, os.path.getsize(path) - at))))
    for path in paths:
        for what, act in (("empty", lambda p: truncate(p, 0)), ("100 bytes", lambda p: truncate(p, 100)),
                          ("half", lambda p: truncate(p, os.path.getsize(p) // 2)),
                          ("noise at 0", lambda p: noise(p, 0, 4096)),
                          ("noise in both headers", lambda p: noise(p, 0, 8192)),
                          ("noise all over", lambda p: noise(p, 0, 1 << 22)), ("gone", os.unlink)):
            for root, copy in good:
                shutil.rmtree(root)
                shutil.copytree(copy, root)
            act(path)
            before = digest(*everything(s))
            for verb in (["check", "--adopt"], ["dump", "--json", "--adopt"]):    # it is a copy by now
                out = s.recover(*verb)
                check(out.returncode in (0, 1, 2, 3), verb, what, path, "ends with", out.returncode, out.stderr)
                equal(digest(*everything(s)), before, f"{verb} wrote: {what} {path}")
                if out.returncode == 3:
                    check(out.stderr.strip() or out.stdout.strip(), "not a word:", what, path)
                if verb[0] == "dump":
                    for r in records(out.stdout):
                        equal(r.body, bodies.get(r.name), f"{what} {path}: {r.name}")
                    # That the only file of a lane was there cannot be known from the others.
                    if out.returncode in (0, 1) and what != "gone":
                        equal({r.name for r in records(out.stdout)}, set(bodies), f"{what} {path}: lost in silence")


@case("a store of another version or byte order is 3 and says which", each=True)
def foreign(t):
    s, bodies = filled(t, 5)
    s.stop_clean()
    out = s.recover("check")
    equal(out.returncode, 0, "before")
    store = os.path.join(s.store, "store")
    for what in "version", "byte order":
        shutil.copy(store, store + ".good")
        another(what)(store)
        out = s.recover("check")
        equal(out.returncode, 3, what)
        check(what in (out.stdout + out.stderr).decode(), "not a word of", what, out.stderr)
        shutil.move(store + ".good", store)
    equal(s.recover("check").returncode, 0, "after")


@case("a pipe that closes early is no crash", each=True)
def broken_pipe(t):
    s, bodies = filled(t)
    s.stop_clean()
    args = ["--nvmm", s.nvmm] if s.nvmm else []
    p = subprocess.Popen([RECOVER, "dump", "--json", "--store", s.store, *args],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(10)
    p.stdout.close()
    p.stderr.read()
    check(p.wait(20) != 0 and p.returncode not in (-6, -11), "exit status", p.returncode)


if __name__ == "__main__":
    main()
