#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""SIGKILL at any moment under load, again and again on one store: the ledger judges.

PASTED_KILL_CYCLES (default 50) is the number of kills per ring and class; the seed
is printed and taken from PASTED_KILL_SEED.  A kill loses the process and keeps the
page cache and the CPU's cache: what only a power cut can lose is tests/crash's.
"""
import os
import random
import shutil
import time

from harness import RECOVER, SLOW, case, check, equal, main, wait_until
from ledger import Writer, judge, judge_order

CYCLES = int(os.environ.get("PASTED_KILL_CYCLES", "50"))
ONE_STORE = 5               # so many on one store: each of them judges all that is there
SEED = int(os.environ.get("PASTED_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
KINDS = ("single", "single", "pipelined", "pipelined", "partial", "partial")


def load_and_kill(s, rng, tag):
    writers = [Writer(s.listen[0], f"{tag}.{i}", SEED, kind) for i, kind in enumerate(KINDS)]
    for w in writers:
        w.start()
    time.sleep(rng.choice((0.01, 0.05, 0.1, 0.2, 0.4, 0.7)) * rng.uniform(0.5, 1.5) * SLOW)
    s.kill()
    for w in writers:
        w.end()
        check(not w.errors, w.errors[0] if w.errors else "")
    return writers


def read_back(s, writers, rng):
    """Some of the named ones, and the largest, through the server."""
    named = [e for w in writers for e in w.entries if e.name]
    for e in rng.sample(named, min(20, len(named))) + sorted(named, key=lambda e: -e.size)[:2]:
        r = s.record(e.name)
        check(r.status == 200 and r.body == e.body(), "GET of", e.name, e.id, "gives", r)
        equal(r.get("Content-Type"), "application/octet-stream", e.name)


def one_store(t, rng, first, cycles):
    """Kills on one store, which is judged as a whole after each: (sent, named, survived)."""
    s = t.a_server(settings={"pool-size": "16M", "segment-size": "8M", "body-max": "2M",
                             "checkpoint-interval": "50ms"})
    writers, before = [], None
    for cycle in range(cycles):
        s.settings["workers"] = str(rng.choice((1, 2, 2, 3)))
        s.start()
        if cycle:
            read_back(s, writers[-len(KINDS):], rng)
        writers += load_and_kill(s, rng, f"{t.ring}.{t.cls}.{first + cycle}")
        if rng.random() < 0.4:      # a crash inside recovery, and inside the one after
            for _ in range(2):
                s.spawn()
                time.sleep(rng.uniform(0, 0.08))
                s.kill()
        out = s.recover("check")
        check(out.returncode in (0, 1), "check exits", out.returncode, out.stdout, out.stderr)
        before = s.dump()
        judge([e for w in writers for e in w.entries], before)
        if rng.random() < 0.5:
            out = s.recover("repair")
            check(out.returncode in (0, 1), "repair exits", out.returncode, out.stdout, out.stderr)
            equal(s.recover("check").returncode, 0, "check after repair")
            equal([r.name for r in s.dump()], [r.name for r in before], "repair changed what is there")
    s.start()
    read_back(s, writers, rng)
    s.stop_clean()
    got = s.dump(exits=(0,))
    equal([r.name for r in got], [r.name for r in before], "the last start changed what is there")
    entries = [e for w in writers for e in w.entries]
    more = judge(entries, got)
    for w in writers:
        judge_order(w, got)
    shutil.rmtree(s.store)
    return len(entries), sum(1 for e in entries if e.name), more


@case("the ledger's judgement after each kill", each=True)
def kill(t):
    rng = random.Random(f"{SEED}/{t.ring}/{t.cls}")
    print(f"#    PASTED_KILL_SEED={SEED} PASTED_KILL_CYCLES={CYCLES}")
    sent = named = more = 0
    for first in range(0, CYCLES, ONE_STORE):
        a, b, c = one_store(t, rng, first, min(ONE_STORE, CYCLES - first))
        sent, named, more = sent + a, named + b, more + c
    print(f"#    {t.ring} {t.cls}: {CYCLES} kills, {sent} sent, {named} acknowledged, {more} more survived")
    check(named > 10 * CYCLES, "too little load to say anything:", named)


@case("the judge itself sees what is lost, altered, doubled, reordered, unsent")
def judge_works(t):
    import copy
    s = t.server()
    w = Writer(s.listen[0], "j", SEED, "pipelined")
    w.start()
    wait_until(lambda: sum(1 for e in w.entries if e.name) > 50, 20, "load")
    s.kill()
    w.end()
    got = s.dump()
    judge(w.entries, got)
    judge_order(w, got)

    def must_fail(what, entries, records):
        try:
            judge(entries, records)
            judge_order(w, records)
        except AssertionError as e:
            check(what in str(e), "another reason:", e)
            return
        check(False, "the judge let pass what is", what)

    def changed(i, **k):
        out = list(got)
        out[i] = copy.copy(out[i])
        for key, v in k.items():
            setattr(out[i], key, v)
        return out
    must_fail("lost", w.entries, got[:10] + got[11:])
    must_fail("lost", w.entries, [])
    must_fail("altered", w.entries, changed(5, body=got[5].body + b"x"))
    must_fail("altered", w.entries, changed(5, headers=got[5].headers[1:]))
    must_fail("reordered", w.entries, got[:3] + [got[3]] + got[3:])
    a, b = got[7], got[8]
    swapped = changed(7, method=b.method, target=b.target, headers=b.headers, body=b.body)
    swapped[8] = changed(8, method=a.method, target=a.target, headers=a.headers, body=a.body)[8]
    must_fail("altered", w.entries, swapped)
    for e in w.entries:
        e.name = None
    must_fail("reordered", w.entries, swapped)
    must_fail("duplicate", w.entries, changed(8, method=a.method, target=a.target, headers=a.headers, body=a.body))
    must_fail("unsent", [e for e in w.entries if e.target() != got[3].target], got)
    for e in w.entries:
        if e.target() == got[3].target:
            e.whole = False
    must_fail("unsent", w.entries, got)


if __name__ == "__main__":
    main()
