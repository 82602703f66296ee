#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What has the name of a store's file and is none of its own: a link to somebody else's file, a
file with a second name, a pipe, a folder, a device.  Check, repair and a start neither wait for
it nor write to it: they refuse, with its name and what it is."""
import os
import shutil
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import disks
from harness import SLOW, case, check, equal, main, post, put_aside, same_store


def symlink(path, other):
    os.unlink(path)
    os.symlink(other, path)


def hard_link(path, other):
    os.unlink(path)
    os.link(other, path)


def second_name(path, other):
    os.link(path, other + ".backup")


def pipe(path, _):
    os.unlink(path)
    os.mkfifo(path)


def folder(path, _):
    os.unlink(path)
    os.mkdir(path)


def device(path, _):
    """One that gives zeros for ever, and takes what is written."""
    os.unlink(path)
    os.mknod(path, 0o20600, os.makedev(1, 5))


STRANGE = {symlink: "not a regular file", hard_link: "another name", second_name: "another name",
           pipe: "not a regular file", folder: "not a regular file"}
if os.geteuid() == 0:
    STRANGE[device] = "not a regular file"


def bytes_at(path):
    with open(path, "rb") as f:
        return f.read(), os.fstat(f.fileno()).st_mtime_ns


def unreadable(s, what):
    """check goes on past a segment that cannot be opened, and says what cannot be read for it."""
    out = s.recover("check")
    text = (out.stdout + out.stderr).decode()
    check(out.returncode == 2, what, "check exits", out.returncode, text)
    check("unreadable" in text, what, "check does not say unreadable:", text)


def refused(s, what, words, verbs):
    for verb in verbs:
        out = s.recover(verb)
        text = (out.stdout + out.stderr).decode()
        check(out.returncode == 3, what, verb, "exits", out.returncode, text)
        check(words in text, what, verb, "does not say", repr(words) + ":", text)
    open(s.errors, "w").close()
    code = s.spawn().proc.wait(60 * SLOW)
    check(code > 0, what, "the server exits", code)
    check(words in s.said().lower(), what, "the server does not say", repr(words) + ":", s.said())


def tried(t, s, kept, path, others, where, strange=STRANGE):
    """others: files of somebody else that might be linked to, copied into the folder `where`."""
    for make, words in strange.items():
        for other in others:
            put_aside(t, s)
            for now, was in kept.items():
                shutil.rmtree(now)
                shutil.copytree(was, now)
            same_store(t, s)
            if path == os.path.join(s.store, "store"):
                put_aside(t, s)
                shutil.copyfile(os.path.join(kept[s.store], "store"), path)
            was = bytes_at(path)
            victim = os.path.join(where, "others")
            shutil.copyfile(other, victim)
            make(path, victim)
            whole = bytes_at(victim)
            what = f"{os.path.basename(path)}, {make.__name__} of {os.path.basename(other)}:"
            verbs = ["check", "repair"]
            if path.endswith(".seg") and words == "not a regular file":
                unreadable(s, what)
                verbs.remove("check")
            refused(s, what, words, verbs)
            check(bytes_at(victim) == whole, path, make.__name__, "somebody else's file was written")
            if make is second_name:
                equal(len(s.dump((0, 1))), RECORDS, f"{what} dump only reads")
                check(bytes_at(path) == was, path, "was written under its other name")
                os.unlink(victim + ".backup")
            os.unlink(victim)


def keep(t, s):
    kept = {}
    for i, now in enumerate(f for f in (s.store, s.nvmm) if f):
        kept[now] = os.path.join(t.dir, f"kept{i}")
        shutil.copytree(now, kept[now])
    return kept


RECORDS = 30


def filled(t, **k):
    s = t.server(settings={"pool-size": "4M", "segment-size": "1M"}, **k)
    with s.connect() as c:
        for i in range(RECORDS):
            post(c, f"/{i}", b"x" * 1000)
    return s


def a_file(t, name, what):
    path = os.path.join(t.dir, name)
    with open(path, "wb") as f:
        f.write(what)
    return path


@case("the file `store`, a segment")
def of_the_log(t):
    s = filled(t, cls="fsync")
    s.stop_clean()
    kept = keep(t, s)
    store = os.path.join(s.store, "store")
    other = a_file(t, "thesis", b"a thesis\n" * 1000)
    tried(t, s, kept, store, [a_file(t, "nothing", b""), other, os.path.join(kept[s.store], "store")], t.dir)
    lane = os.path.join(s.store, "log/000")
    first = os.path.join(lane, sorted(f for f in os.listdir(lane) if f.endswith(".seg"))[0])
    tried(t, s, kept, first, [os.path.join(kept[s.store], os.path.relpath(first, s.store))], t.dir)
    tried(t, s, kept, first, [other], t.dir, {symlink: STRANGE[symlink]})


@case("a lane's folder")
def a_lane(t):
    s = filled(t, cls="fsync")
    s.stop_clean()
    lane, there = os.path.join(s.store, "log/000"), os.path.join(t.dir, "elsewhere")
    os.rename(lane, there)
    os.symlink(there, lane)
    before = {f: bytes_at(os.path.join(there, f)) for f in os.listdir(there)}
    refused(s, "a link to a folder:", "link", ["check", "dump", "repair"])
    check(before == {f: bytes_at(os.path.join(there, f)) for f in os.listdir(there)}, "it was written to")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as k:
        k.bind(path)


def a_device(path):
    os.mknod(path, 0o20600, os.makedev(1, 5))


@case("the folder of the store, or of its lanes, that is none: told which, what may be there, what is wanted")
def no_folder(t):
    s = filled(t, cls="fsync")
    s.stop_clean()
    for place in s.store, os.path.join(s.store, "log"):
        name = os.path.relpath(place, os.path.dirname(s.store))
        os.rename(place, place + ".kept")
        for make in (os.mkfifo, a_socket, lambda p: open(p, "w").close()) + ((a_device,) if os.geteuid() == 0 else ()):
            make(place)
            refused(s, f"{name}:", f"{name} is neither a folder nor a link to one, but a file, a pipe, a socket or a device",
                    ["check", "dump", "repair"])
            os.unlink(place)
        os.rename(place + ".kept", place)
    s.start()
    s.stop_clean()


@case("the folder of the lanes may be a link")
def all_lanes(t):
    s = filled(t, cls="fsync")
    s.stop_clean()
    log, there = os.path.join(s.store, "log"), os.path.join(t.dir, "elsewhere")
    os.rename(log, there)
    os.symlink(there, log)
    check(s.recover("check").returncode == 0, "check")
    s.start()
    with s.connect() as c:
        post(c, "/more", b"more")
    s.stop_clean()
    check(s.recover("repair").returncode == 0, "repair")


@case("the wal and its buffers")
def of_the_wal(t):
    s = filled(t, cls="volatile")
    s.kill()
    kept = keep(t, s)
    other = a_file(t, "thesis", b"a thesis\n" * 100000)
    for name in "wal", "pktbufs":
        path = os.path.join(s.nvmm, name)
        tried(t, s, kept, path, [a_file(t, "nothing", b""), other, os.path.join(kept[s.nvmm], name)], t.shm())


def lose(path):
    with open(path, "r+b") as f:
        f.write(b"\xff" * 8192)


@case("a mount that is read-only")
def read_only(t):
    s = filled(t, cls="fsync")
    s.kill()
    for damage, code in (lambda path: None, 1), (lose, 2):
        damage(os.path.join(s.store, "store"))
        disks.mount(t, s.store, s.store, "--bind")
        disks.run(["mount", "-o", "remount,ro,bind", s.store])
        equal(s.recover("check").returncode, code, "check")
        equal(len(s.dump((code,))), 30, "records")
        refused(s, "read-only:", "read-only", ["repair"])
        disks.run(["umount", s.store])
    equal(s.recover("repair").returncode, 2, "repair, when it can write")
    equal(s.recover("check").returncode, 0, "check after it")


@case("the place for the wal")
def the_place(t):
    s = filled(t, cls="volatile")
    s.kill()
    shutil.rmtree(s.nvmm)
    os.mkfifo(s.nvmm)
    t.undo.append(lambda: os.unlink(s.nvmm))
    out = s.recover("check")                # a volatile wal that is gone
    check(out.returncode == 2, "check exits", out.returncode, out.stdout, out.stderr)
    check(s.spawn().proc.wait(60 * SLOW) > 0, "the server starts")
    check("neither a directory nor a device-dax" in s.said(), s.said())


if __name__ == "__main__":
    main()
