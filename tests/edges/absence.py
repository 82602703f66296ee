#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Why a number has no record: it never was, it has expired, it is damaged, its file is missing,
it cannot be read now.  The server, check, dump and repair say the same of the same store."""
import json
import os
import re
import shutil
import subprocess

import edges
from disks import disk, run
from harness import RECOVER, SANITIZED, SLOW, Skip, bytes_of, case, check, equal, gaps, main, post, records, wait_until

EIO = os.path.join(os.environ.get("top_builddir", "."), "tests/edges/eio.so")
SETTINGS = {"segment-size": "1M", "body-max": "300K", "pool-size": "4M", "checkpoint-interval": "20ms"}
N = 24
ALL = f"/-/records/0-1..{N}"


def body(i):
    return bytes_of(i, 100000)


def filled(s):
    with s.connect() as c:
        for i in range(1, N + 1):
            equal(post(c, "/a", body(i)), f"0-{i}", "name")
        # All of them are in segments: a reader has waited for it.
        equal(len(records(c.ask("GET", ALL).body)), N, "records")


def place_of(s, data):
    """The file below the store that has these bytes, and where."""
    for d, _, files in os.walk(s.store):
        for name in files:
            path = os.path.join(d, name)
            with open(path, "rb") as f:
                at = f.read().find(data)
            if at >= 0:
                return path, at
    check(False, "nowhere in the store")


def forget_pages(s):
    """The next read asks the device."""
    for d, _, files in os.walk(s.store):
        for name in files:
            fd = os.open(os.path.join(d, name), os.O_RDONLY)
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def gap_list(lines):
    return [(g["gap"], g["reason"]) for g in gaps(lines)]


def server_says(s, seq, status, words, reason):
    r = s.ask("GET", f"/-/records/0-{seq}")
    equal(r.status, status, f"0-{seq}: {r}")
    check(words in r.body, r)
    equal(s.ask("HEAD", f"/-/records/0-{seq}").status, status, "HEAD")
    before = s.metrics().any(f'records_absent_total.*"{reason}"')
    s.ask("GET", f"/-/records/0-{seq}")
    equal(s.metrics().any(f'records_absent_total.*"{reason}"'), before + 1, "the count")


def tools_say(s, want, code, env=None):
    """check and dump, on the stopped store: exit code, and the gaps with their reasons."""
    for verb in ("check", "dump"):
        out = edges.tool(s.store, s.nvmm, verb, "--json", env=env)
        equal(out.returncode, code, f"{verb}: {out.stdout[-800:]} {out.stderr}")
        if verb == "dump":
            got = gap_list(out.stdout)
        else:
            j = json.loads(out.stdout)
            got = {(name_of(g), g["reason"]) for g in j["gaps"] + j["damage"] if "from" in g}
        equal(sorted(got), sorted(want), verb)


def name_of(g):
    name = f"{g['lane']}-{g['from']}"
    return name if g["from"] == g["to"] else f"{name}..{g['to']}"


@case("it never was: 404", each=True, rings=["socket"])
def never(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    for name in ("0-0", f"0-{N + 1}", "0-9223372036854775808", "7-1"):
        equal(s.ask("GET", f"/-/records/{name}").status, 404, name)
    check(s.ready(), "readyz")
    s.stop_clean()
    tools_say(s, [], 0)


@case("it is damaged: 500, a gap, check's reason; the others are there", each=True, rings=["socket"])
def damaged(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    path, at = place_of(s, body(5))
    with open(path, "r+b") as f:
        f.seek(at + 50000)
        f.write(b"damage")
    server_says(s, 5, 500, b"damaged", "damage")
    r = s.ask("GET", ALL)
    equal(gap_list(r.body), [("0-5", "damage")], "gaps")
    equal([x.seq for x in records(r.body)], [i for i in range(1, N + 1) if i != 5], "the others")
    s.stop_clean()
    tools_say(s, [("0-5", "damage")], 2)
    s.start()
    server_says(s, 5, 500, b"damaged", "damage")
    equal(gap_list(s.ask("GET", ALL).body), [("0-5", "damage")], "gaps after a start")
    s.stop_clean()
    out = s.recover("repair", "--json")
    equal([g["reason"] for g in json.loads(out.stdout)["damage"]], ["damage"], "repair")


@case("its file is missing: 500, a gap, check's reason", each=True, rings=["socket"])
def missing(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    path, _ = place_of(s, body(12))
    gone = [i for i in range(1, N + 1) if place_of(s, body(i))[0] == path]
    check(1 not in gone and N not in gone, "small segments are needed:", gone)
    s.stop_clean()
    os.unlink(path)
    want = [(f"0-{gone[0]}..{gone[-1]}", "missing")]
    tools_say(s, want, 2)
    s.start()
    for i in gone:
        server_says(s, i, 500, b"missing", "missing")
    r = s.ask("GET", ALL)
    equal(gap_list(r.body), want, "gaps")
    equal([x.seq for x in records(r.body)], [i for i in range(1, N + 1) if i not in gone], "the others")
    s.stop_clean()


@case("its file is cut, of another lane, or no segment: 500, damage, in the server and the tools", each=True,
      rings=["socket"])
def spoiled(t):
    for where in range(3):
        for how in (lambda p: os.truncate(p, os.path.getsize(p) - 1), lambda p: os.truncate(p, 30000),
                    lambda p: os.truncate(p, 1), lambda p: shutil.copy(segs[where - 1], p)):
            s = t.a_server(store=os.path.join(t.dir, "s"), settings=SETTINGS)
            if s.nvmm:
                os.makedirs(s.nvmm, exist_ok=True)
            s.start()
            filled(s)
            segs = sorted({place_of(s, body(i))[0] for i in range(1, N + 1)})
            segs = [segs[0], segs[1], segs[-1]]
            s.stop_clean()
            how(segs[where])
            j = json.loads(edges.tool(s.store, s.nvmm, "check", "--json").stdout)
            equal({d["reason"] for d in j["damage"]}, {"damage"}, f"{where}: {j['damage']}")
            there = {r.seq for r in s.dump(exits=(2,))}
            s.start()
            for i in range(1, N + 1):
                r = s.ask("GET", f"/-/records/0-{i}")
                equal((r.status, b"damaged" in r.body), (200, False) if i in there else (500, True), f"{where}: 0-{i}: {r}")
            s.stop_clean()
            for d in s.store, s.nvmm:
                shutil.rmtree(d or "", ignore_errors=True)


@case("it has expired: 410, a gap", each=True, rings=["socket"])
def expired(t):
    s = t.server(settings=dict(SETTINGS, **{"retain-bytes": "4M"}))
    with s.connect() as c:
        for i in range(1, 100):
            post(c, "/e", body(i))
    wait_until(lambda: s.ask("GET", "/-/records/0-1").status == 410, 20, "it does not expire")
    r = s.ask("GET", "/-/records/0-1..99")
    first = records(r.body)[0].seq
    equal(gap_list(r.body), [(f"0-1..{first - 1}", "expired")], "gaps")
    server_says(s, 1, 410, b"expired", "expired")
    s.stop_clean()
    tools_say(s, [], 0)


def is_unreadable(s, seq, turn=0):
    server_says(s, seq, 503, b"cannot be read", "unreadable")
    r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(s.ask("GET", "/-/readyz")), 20, "readyz is well")
    check(b"unreadable" in r.body and b"Input/output error" in r.body, r.body)
    wait_until(lambda: s.said().count(f"record 0-{seq} cannot be read: Input/output error") > turn, 20, "no message: " + s.said())
    equal(s.metrics().rows['pasted_condition{reason="unreadable"}'], 1, "the metric")


@case("the device does not give it now: 503, readyz, metric, message; then it does", each=True, rings=["socket"])
def unreadable(t):
    if SANITIZED:
        raise Skip("a preload does not go with a sanitizer")
    control = os.path.join(t.dir, "eio")
    env = {"LD_PRELOAD": EIO, "PASTED_EIO": control}
    s = t.server(settings=SETTINGS, env=env)
    filled(s)
    path, at = place_of(s, body(5))
    bad = f"{os.path.basename(path)} {at + 40000} {at + 40001}"

    def break_it():
        with open(control, "w") as f:
            f.write(bad)
    for turn in range(2):
        break_it()
        is_unreadable(s, 5, turn)
        equal(s.ask("GET", "/-/records/0-6").body, body(6), "its neighbour")
        r = s.ask("GET", ALL)
        equal(gap_list(r.body), [("0-5", "unreadable")], "gaps")
        equal([x.seq for x in records(r.body)], [i for i in range(1, N + 1) if i != 5], "the others")
        equal(s.ask("POST", "/more", b"x").status, 200, "a post")
        os.unlink(control)
        equal(s.ask("GET", "/-/records/0-5").body, body(5), "when it can be read again")
        wait_until(s.ready, 30, "readyz stays bad")
        wait_until(lambda: s.said().count("can be read again") == turn + 1, 20, "no message: " + s.said())
    s.stop_clean()
    break_it()
    tools_say(s, [("0-5", "unreadable")], 2, dict(os.environ, **env))
    os.unlink(control)
    tools_say(s, [], 0)


def lost_to_it(s, path):
    """What stands in that file."""
    return [i for i in range(1, N + 1) if place_of(s, body(i))[0] == path]


def start_without(s, gone):
    """A start goes on with the rest, writes nothing down of it, and gives no number again."""
    s.start()
    for i in gone:
        server_says(s, i, 503, b"cannot be read", "unreadable")
    r = s.ask("GET", ALL)
    equal(gap_list(r.body), [(f"0-{gone[0]}..{gone[-1]}", "unreadable")], "gaps")
    equal([x.seq for x in records(r.body)], [i for i in range(1, N + 1) if i not in gone], "the others")
    r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(s.ask("GET", "/-/readyz")), 20, "readyz is well")
    check(b"unreadable" in r.body, r.body)


def all_back(s, gone):
    for i in gone:
        equal(s.ask("GET", f"/-/records/0-{i}").body, body(i), f"0-{i}, when it can be read again")
    wait_until(s.ready, 30, "readyz stays bad")
    s.stop_clean()
    tools_say(s, [], 0)


@case("a start while the device does not give a segment: 503 for what it has; then it does", each=True,
      rings=["socket"])
def unreadable_start(t):
    if SANITIZED:
        raise Skip("a preload does not go with a sanitizer")
    control = os.path.join(t.dir, "eio")
    env = {"LD_PRELOAD": EIO, "PASTED_EIO": control}
    s = t.server(settings=SETTINGS, env=env)
    filled(s)
    s.stop_clean()
    first, last = place_of(s, body(1))[0], place_of(s, body(N))[0]
    gone = lost_to_it(s, first)
    with open(control, "w") as f:
        f.write(f"{os.path.basename(first)} 0 {1 << 30}")
    tools_say(s, [(f"0-{gone[0]}..{gone[-1]}", "unreadable")], 2, dict(os.environ, **env))
    start_without(s, gone)
    os.unlink(control)
    all_back(s, gone)
    # of the last one nobody knows which numbers are given: nothing is done
    with open(control, "w") as f:
        f.write(f"{os.path.basename(last)} 0 {1 << 30}")
    out = edges.tool(s.store, s.nvmm, "repair", env=dict(os.environ, **env))
    equal(out.returncode, 3, f"repair: {out}")
    s.spawn()
    check(s.proc.wait(60) > 0, "the server starts without the last segment")
    check("cannot be read now: Input/output error" in s.said(), s.said())
    os.unlink(control)
    s.start()
    all_back(s, range(1, N + 1))


def without_rights():
    """root may open whatever its modes say, unless it is kept from that."""
    return [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def as_other(s, verb, *args):
    cmd = [*without_rights(), RECOVER, verb, "--store", s.store] + (["--nvmm", s.nvmm] if s.nvmm else [])
    return subprocess.run([*cmd, *args], capture_output=True, text=True, errors="replace", timeout=120 * SLOW)


NO_RIGHT = "Permission denied"


def told_alike(s, path, verbs, code, name):
    """Each of them says which file, and that it may not be opened, and nothing of damage."""
    for verb in verbs:
        out = as_other(s, verb)
        equal(out.returncode, code, f"{verb}, {name}: {out.stdout[-500:]} {out.stderr}")
        text = out.stderr if code == 3 or verb == "dump" else out.stdout
        if verb != "dump" or code == 3:
            check(NO_RIGHT in text and name in text, verb, name, text)
        check("damaged" not in text and "device" not in text, verb, name, text)


def may_not_start(s, name):
    open(s.errors, "w").close()
    equal(s.spawn().proc.wait(60 * SLOW), 1, f"the server, {name}: {s.said()}")
    check(NO_RIGHT in s.said() and name in s.said(), name, s.said())
    check("MAP_SYNC" not in s.said() and "damaged" not in s.said(), name, s.said())


@case("what may not be opened: Permission denied, by all and alike, and no damage", each=True, rings=["socket"])
def no_right(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    first, last = place_of(s, body(1))[0], place_of(s, body(N))[0]
    gone = lost_to_it(s, first)
    s.kill()
    plain = s.command()
    s.command = lambda: [*without_rights(), *plain]
    kept = {os.path.join(s.store, "store"): "store", os.path.dirname(first): "log/000",
            os.path.join(s.store, "log"): "log", s.store: s.store, last: os.path.basename(last)}
    for name in ("wal", "pktbufs") if s.nvmm else ():
        kept[os.path.join(s.nvmm, name)] = s.nvmm
    for path, name in kept.items():
        mode = os.stat(path).st_mode
        os.chmod(path, 0)
        if path == last:
            told_alike(s, path, ["check"], 2, name)
            told_alike(s, path, ["dump"], 2, name)
        told_alike(s, path, ["repair"] if path == last else ["check", "dump", "repair"], 3, name)
        may_not_start(s, name)
        os.chmod(path, mode)
    os.chmod(first, 0)
    told_alike(s, first, ["check", "dump"], 2, os.path.basename(first))
    open(s.errors, "w").close()
    s.start()
    check(re.search("; 0 places damaged, [12] cannot be read now: pasted-recover check lists them", s.said()), s.said())
    server_says(s, 1, 503, b"cannot be read now: Permission denied", "unreadable")
    r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(s.ask("GET", "/-/readyz")), 20, "readyz is well")
    check(b"unreadable: " in r.body and NO_RIGHT.encode() in r.body, r.body)
    wait_until(lambda: f"record 0-1 cannot be read: {NO_RIGHT}" in s.said(), 20, "no message: " + s.said())
    equal(gap_list(s.ask("GET", ALL).body), [(f"0-{gone[0]}..{gone[-1]}", "unreadable")], "gaps")
    s.stop_clean()
    told_alike(s, first, ["check", "dump", "repair"], 2, os.path.basename(first))
    os.chmod(first, 0o640)
    s.start()
    all_back(s, gone)


@case("a segment that cannot be opened: the same", each=True, rings=["socket"])
def not_opened(t):
    s = t.server(settings=SETTINGS)
    filled(s)
    s.kill()
    first = place_of(s, body(1))[0]
    gone = lost_to_it(s, first)
    os.rename(first, first + ".away")
    os.symlink(os.path.basename(first), first)
    start_without(s, gone)
    os.rename(first + ".away", first)
    all_back(s, gone)


def last_used(s, lane):
    folder = os.path.join(s.store, "log", f"{lane:03}")
    used = []
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".seg")):
        with open(os.path.join(folder, name), "rb") as f:
            if any(f.read(64)):
                used.append(os.path.join(folder, name))
    return used[-1]


def in_each_lane(s, lanes):
    """A record or more in each of them: name -> body."""
    there = {}

    def more():
        with s.connect() as c:
            name = post(c, "/l", body(len(there)))
        there[name] = body(len(there))
        return len({n.split("-")[0] for n in there}) == lanes
    wait_until(more, 60, "not every worker gets a client")
    for name, data in there.items():
        equal(s.ask("GET", f"/-/records/{name}").body, data, name)
    return there


@case("the end of a lane that no worker of this start writes to: 503 for what is in it, the others go on", each=True,
      rings=["socket"])
def idle_lane(t):
    for clean in (True, False):
        s = t.a_server(store=os.path.join(t.dir, "s"), settings=dict(SETTINGS, **{"workers": "4", "pool-size": "16M"}))
        if s.nvmm:
            os.makedirs(s.nvmm, exist_ok=True)
        s.start()
        there = in_each_lane(s, 4)
        if clean:
            s.stop_clean()
        else:
            s.kill()
        last = last_used(s, 3)
        os.rename(last, last + ".away")
        os.symlink(os.path.basename(last), last)
        s.settings["workers"] = "2"
        s.start()
        check(re.search(rf"{os.path.basename(last)}, the last of its lane, cannot be read now: .*; no worker writes there",
                        s.said()), s.said())
        for name, data in there.items():
            r = s.ask("GET", f"/-/records/{name}")
            if name.startswith("3-"):
                equal((r.status, b"cannot be read now" in r.body), (503, True), f"{name}: {r}")
            else:
                equal(r.body, data, name)
        # The head of a wal, and a clean stop, know where it ends.
        equal(s.ask("GET", "/-/records/3-1000").status, 503 if t.syncs and not clean else 404,
              "a number that may be in it")
        equal(s.ask("POST", "/more", b"x").status, 200, "a post")
        s.stop_clean()
        s.settings["workers"] = "4"
        s.spawn()
        check(s.proc.wait(60 * SLOW) > 0, "a worker writes to a lane whose end cannot be read")
        os.rename(last + ".away", last)
        s.start()
        for name, data in there.items():
            equal(s.ask("GET", f"/-/records/{name}").body, data, f"{name}, afterwards")
        s.stop_clean()
        tools_say(s, [], 0)
        for d in s.store, s.nvmm:
            shutil.rmtree(d or "", ignore_errors=True)


def all_unreadable(s, break_it):
    forget_pages(s)
    break_it()
    is_unreadable(s, 3)
    r = s.ask("GET", ALL)
    equal(r.status, 200, "a range")
    equal(records(r.body), [], "records of it")
    check({g["reason"] for g in gaps(r.body)} == {"unreadable"}, r.body)


@case("XFS that is shut down: 503, and all is there after a mount")
def shut_down(t):
    where = disk(t, "xfs")
    s = t.server(cls="fsync", store=os.path.join(where, "store"), settings=SETTINGS)
    filled(s)
    all_unreadable(s, lambda: run(["xfs_io", "-x", "-c", "shutdown", where]))
    s.kill()
    run(["umount", where])
    run(["mount", "-o", "loop", os.path.join(t.dir, "xfs.img"), where])
    equal([r.body for r in s.dump()], [body(i) for i in range(1, N + 1)], "after a mount")


@case("device-mapper's error target below the store: 503, and all is there afterwards")
def error_target(t):
    from disks import private
    private()
    image, where, name = os.path.join(t.dir, "img"), os.path.join(t.dir, "mnt"), f"pasted-{os.getpid()}"
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    run(["mkfs.ext4", "-q", "-F", image])
    loop = run(["losetup", "--find", "--show", image]).strip()
    t.undo.append(lambda: subprocess.run(["losetup", "-d", loop], check=False))
    run(["dmsetup", "create", name, "--table", f"0 {(64 << 20) // 512} linear {loop} 0"])
    t.undo.append(lambda: subprocess.run(["dmsetup", "remove", "--force", name], check=False))
    os.mkdir(where)
    run(["mount", f"/dev/mapper/{name}", where])
    t.undo.append(lambda: subprocess.run(["umount", "-l", where], check=False))
    s = t.server(cls="fsync", store=os.path.join(where, "store"), settings=SETTINGS)
    filled(s)

    def break_it():
        run(["dmsetup", "suspend", "--noflush", name])
        run(["dmsetup", "load", name, "--table", f"0 {(64 << 20) // 512} error"])
        run(["dmsetup", "resume", name])
    all_unreadable(s, break_it)
    s.kill()
    run(["umount", where])
    run(["dmsetup", "load", name, "--table", f"0 {(64 << 20) // 512} linear {loop} 0"])
    run(["dmsetup", "resume", name])
    run(["mount", f"/dev/mapper/{name}", where])
    equal([r.body for r in s.dump()], [body(i) for i in range(1, N + 1)], "afterwards")


if __name__ == "__main__":
    main()
