#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Programs that are started with some of the descriptors 0, 1 and 2 closed, as daemons often
are: no file of the store takes their place, and no message goes into one."""
import itertools
import os
import re
import subprocess

from edges import Turns, an_odd_server, is_whole, small_disk
from harness import PASTED, RECOVER, bytes_of, case, check, equal, main, post

SUBSETS = [s for n in (1, 2, 3) for s in itertools.combinations((0, 1, 2), n)]


def closing(which):
    def close():
        for fd in which:
            os.close(fd)
    return close


def check_descriptors(pid, which):
    for fd in range(3):
        to = os.readlink(f"/proc/{pid}/fd/{fd}")
        if fd in which:
            equal(to, "/dev/null", f"descriptor {fd} of {which}")


def no_message_in(folder):
    for d, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(d, name), "rb") as f:
                check(not re.search(rb"pasted(-recover)?: ", f.read()), "a message in", os.path.join(d, name))


@case("each subset of 0, 1 and 2 closed: the server, from a new store to a clean stop",
      each=True, rings=["socket"])
def server(t):
    names = []
    s = an_odd_server(t)
    for which in SUBSETS:
        s.descriptors = closing(which)
        s.start()
        check_descriptors(s.pid, which)
        with s.connect() as c:
            names.append(post(c, "/d", bytes_of(which, 3000)))
        if which == (2,):
            s.kill()            # the next one tells that it recovers
        else:
            equal(s.stop(), 0, f"exit status, closed: {which}")
        no_message_in(s.store)
    equal([r.name for r in s.dump()], names, "records")
    is_whole(t, s)


@case("a disk that is full and has room again, over and over, with all three closed", each=True, rings=["socket"])
def full_disk(t):
    disk = small_disk(t, 64)
    s = an_odd_server(t, store=os.path.join(disk, "store"), settings=Turns.SETTINGS)
    s.descriptors = closing((0, 1, 2))
    s.start()
    turns = Turns(disk)
    for _ in range(6):
        turns.turn(s)
    equal(s.stop(), 0, "exit status")
    no_message_in(s.store)
    got = [r.name for r in s.dump()]
    equal([n for n in turns.names if n not in got], [], "lost")
    is_whole(t, s)


@case("pasted-recover: check, dump and repair with each subset closed leave the store as it was")
def recover(t):
    s = t.server()
    with s.connect() as c:
        for i in range(5):
            post(c, "/r", bytes_of(i, 1000))
    s.kill()
    for which in SUBSETS:
        for verb, codes in (("check", (0, 1)), ("dump", (0, 1)), ("repair", (0,)), ("bogus", (64,))):
            out = subprocess.run([RECOVER, verb, "--store", s.store], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 preexec_fn=closing(which), timeout=60)
            check(out.returncode in codes, verb, which, "exits", out.returncode)
    no_message_in(s.store)
    equal(len(s.dump(exits=(0,))), 5, "records")
    is_whole(t, s)


@case("the rest of the command line, with each subset closed")
def others(t):
    for which in SUBSETS:
        for args, want in ((["--help"], 0), (["--version"], 0), (["--doctor", "--store", t.dir], 0), (["--bogus"], 64)):
            out = subprocess.run([PASTED] + args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, preexec_fn=closing(which), timeout=60)
            equal(out.returncode, want, f"{args} with {which} closed")


if __name__ == "__main__":
    main()
