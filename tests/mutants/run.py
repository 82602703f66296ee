#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Leaves out one named operation at a time and wants a test to fail for each.

The names are those of MUTANT(name) in wal/ and src/; names.txt says what kind each is
and what breaks without it, and must have the same names.  The tests are built against
libmutant.a, which is the product's sources with -DPASTED_MUTANT.

A mutant is killed by a test that exits with neither 0 nor 77, is ended by a signal, or
goes on for many times what it needs without a mutant.  The tests that killed it last
time (killers.txt) go first, then the others, the quickest first.

    run.py              what make check does: stops at the first kill of each
    run.py --all        every test against every mutant: how many kill each
    run.py --update     writes killers.txt with the quickest killer of each (with --all)
    run.py --readme     writes the score into README.md
    run.py NAME..       only these
"""
import argparse
import concurrent.futures
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("top_srcdir") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("top_builddir") or os.getcwd()
HERE = os.path.join(TOP, "tests/mutants")
BIN = os.path.join(BUILD, "tests/mutants")

# Programs of local.mk: where their tests are listed, how, and the variable that picks one.
CMOCKA = r"^(?!#define).*?\b(?:cmocka_unit_test\w*|T)\(\s*(\w+)", "PASTED_TEST"
PROGRAMS = {
    "codec": ("tests/unit/test_codec.c",) + CMOCKA,
    "crash": ("tests/crash/crash.c", r'^\s*\{ "([a-z-]+)", CLASS_', "LOAD"),
    "flushes": ("tests/unit/test_flushes.c",) + CMOCKA,
    "follow": ("tests/unit/test_follow.c",) + CMOCKA,
    "gone": ("tests/damage/kinds.c", r'^\s*\{ "([a-z-]+)", CLASS_', "KIND"),
    "http": ("tests/unit/test_http.c",) + CMOCKA,
    "identity": ("tests/unit/test_identity.c",) + CMOCKA,
    "lane": ("tests/unit/test_lane.c",) + CMOCKA,
    "results": ("tests/unit/test_results.c",) + CMOCKA,
    "ring_socket": ("tests/unit/test_ring.c",) + CMOCKA,
    "ring_uring": ("tests/unit/test_ring.c",) + CMOCKA,
    "scan": ("tests/unit/test_scan.c",) + CMOCKA,
    "seg_faults": ("tests/unit/test_seg_faults.c",) + CMOCKA,
    "seg_read": ("tests/unit/test_seg_read.c",) + CMOCKA,
    "seg_scan": ("tests/unit/test_seg_scan.c",) + CMOCKA,
    "server_rule": ("tests/crash/server_rule.c", r'^\s*\{ "([a-z-]+)", CLASS_', "RULE"),
    "seams": ("tests/unit/test_seams.c",) + CMOCKA,
    "segment": ("tests/unit/test_segment.c",) + CMOCKA,
    "storefile": ("tests/unit/test_storefile.c",) + CMOCKA,
    "store": ("tests/unit/test_store.c",) + CMOCKA,
    "walfile": ("tests/unit/test_walfile.c",) + CMOCKA,
}

# How much of a test is enough to kill.  All seeds of server_rule: some mutants need a
# meeting of two requests that one seed in four draws.
SMALL = {
    "crash": {"SEED": "1", "LIMIT": "8", "SAMPLES": "2", "USE": "1", "AGAIN": "4", "DEPTH": "2"},
}

WALL_S, CPU_S, FACTOR = 60, 20, 20      # a bound: this, and so many times the baseline
KINDS = {"flush", "fence", "sync", "order", "result", "crc", "lap", "identity", "scrub", "copy",
         "check", "flag", "wait", "lock"}


# ---- names ----

def sources():
    for folder in ("wal", "src"):
        for at, _, found in sorted(os.walk(os.path.join(TOP, folder))):
            for name in sorted(found):
                if name.endswith((".c", ".h")) and name != "mutant.h":
                    yield os.path.relpath(os.path.join(at, name), TOP)


def names():
    """{name: "file:line"}"""
    found = {}
    for path in sources():
        with open(os.path.join(TOP, path)) as f:
            for number, line in enumerate(f, 1):
                for name in re.findall(r"\bMUTANT\(\s*(\w*)\s*\)", line):
                    place = "%s:%d" % (path, number)
                    if not re.fullmatch(r"[a-z0-9_]+", name):
                        sys.exit("%s: MUTANT(%s): a name is of a-z, 0-9 and _" % (place, name))
                    if name in found:
                        sys.exit("%s: MUTANT(%s) is also at %s" % (place, name, found[name]))
                    found[name] = place
    return found


def table(path, columns):
    rows = {}
    with open(os.path.join(HERE, path)) as f:
        for number, line in enumerate(f, 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            row = line.split(None, columns - 1)
            if len(row) != columns or row[0] in rows:
                sys.exit("%s:%d: not a row, or a second one of that name" % (path, number))
            rows[row[0]] = row[1:]
    return rows


def described(found):
    rows = table("names.txt", 3)
    for name in found:
        if name not in rows:
            sys.exit("%s: MUTANT(%s) is not in tests/mutants/names.txt" % (found[name], name))
    for name, (kind, what) in rows.items():
        if name not in found:
            sys.exit("tests/mutants/names.txt: %s is not in the sources" % name)
        if kind not in KINDS:
            sys.exit("tests/mutants/names.txt: %s: unknown kind %s" % (name, kind))
    return rows


def check_product():
    for program in ("pasted", "pasted-recover"):
        path = os.path.join(BUILD, program)
        if os.path.exists(path):
            with open(path, "rb") as f:
                if b"PASTED_MUTANT" in f.read():
                    sys.exit("%s was built with mutants in it" % path)


# ---- the tests ----

def tests():
    """{"program:test": (program, {variable: test})}"""
    all_tests = {}
    for program, (source, pattern, variable) in PROGRAMS.items():
        with open(os.path.join(TOP, source)) as f:
            found = []
            for line in f:          # several may stand in one
                while (m := re.search(pattern, line)):
                    found.append(m.group(1))
                    line = line[m.end():]
        if not found:
            sys.exit("%s: no test found there" % source)
        for name in found:
            all_tests["%s:%s" % (program, name)] = (program, {variable: name})
    return all_tests


# ---- running ----

class Result:
    def __init__(self, how, wall, cpu, out=""):
        self.how, self.wall, self.cpu, self.out = how, wall, cpu, out   # how: None passed

    @property
    def killed(self):
        return self.how is not None and self.how != "skip"


def run(test, mutant="", wall=600.0, cpu=600.0):
    program, pick = TESTS[test]
    env = {k: v for k, v in os.environ.items() if k not in (
        "PASTED_MUTANT", "PASTED_TEST", "SEED", "LOAD", "PART", "PARTS", "POINT", "SEEDS", "RULE")}
    env.update(SMALL.get(program, {}))
    env.update(pick, PASTED_MUTANT=mutant)

    def limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder, \
            tempfile.TemporaryFile() as out:
        child = subprocess.Popen([os.path.join(BIN, program)], env=env, cwd=folder, stdout=out,
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                 preexec_fn=limits)
        pid = code = None
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            now = time.monotonic()
            if pid:
                break
            if now - start > wall:      # clock: to give up, and how often to look
                child.kill()
                code = "hang"
            time.sleep(min(0.05, 0.002 + (now - start) / 20))
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if code is None:
        code = {0: None, 77: "skip"}.get(child.returncode, "exit %d" % child.returncode)
        if child.returncode < 0:        # SIGKILL and SIGXCPU: the bounds
            code = "hang" if child.returncode in (-9, -24) else "signal %d" % -child.returncode
    # clock: printed, and a multiple of it is when to give up
    return Result(code, now - start, used.ru_utime + used.ru_stime, text)


TESTS = {}


class Runner:
    def __init__(self, every, within):
        self.every, self.within = every, within
        self.base = {}
        self.cpu = 0.0

    def baseline(self, pool):
        for test, r in zip(TESTS, pool.map(run, TESTS)):
            if r.killed:
                print(r.out[-4000:])
                sys.exit("%s fails without a mutant (%s)" % (test, r.how))
            if TESTS[test][1].get("PASTED_TEST") and r.how is None and "[ RUN" not in r.out:
                sys.exit("%s: there is no such test in the program" % test)
            if r.how == "skip":
                print("%s is skipped here: %s" % (test, (r.out.strip().splitlines() or ["?"])[-1]))
            else:
                self.base[test] = r
            self.cpu += r.cpu
        self.order = sorted(self.base, key=lambda t: self.base[t].cpu + self.base[t].wall / 10)

    def kill(self, name, hints):
        """[(test, result)] of the tests that killed it."""
        killers = []
        order = [t for t in hints if t in self.base]
        order += [t for t in self.order if t not in order]
        for test in order:
            b = self.base[test]
            if b.cpu > self.within:
                continue
            r = run(test, name, WALL_S + FACTOR * b.wall, CPU_S + FACTOR * b.cpu)
            self.cpu += r.cpu
            if r.killed:
                killers.append((test, r))
                if not self.every:
                    break
        return killers


# ---- the report ----

def place_of_score():
    return os.path.join(TOP, "README.md")


def write_readme(score):
    mark = re.compile(r"^(\| *Mutants[^|]*\|)[^|]*\|", re.M)
    with open(place_of_score()) as f:
        text = f.read()
    if not mark.search(text):
        sys.exit("README.md has no row that begins with | Mutants")
    with open(place_of_score(), "w") as f:
        f.write(mark.sub(lambda m: "%s %s |" % (m.group(1), score), text, count=1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--all", action="store_true")
    p.add_argument("--update", action="store_true")
    p.add_argument("--readme", action="store_true")
    p.add_argument("--list", action="store_true")
    p.add_argument("--within", type=float, default=1e9, help="only tests that need less CPU seconds")
    p.add_argument("-j", type=int, default=int(os.environ.get("PASTED_MUTANT_JOBS", 2)))
    p.add_argument("names", nargs="*")
    o = p.parse_args()

    os.nice(10)         # others run beside it, and some of them look at the clock
    found = names()
    if o.list:
        for name, place in found.items():
            print(name, place)
        return 0
    rows = described(found)
    for name in o.names:
        if name not in found:
            sys.exit("%s: no such mutant" % name)
    check_product()
    hints = table("killers.txt", 2)
    chosen = o.names or list(found)
    TESTS.update(tests())
    runner = Runner(o.all, o.within)
    survivors, lost, last = [], [], {}
    with concurrent.futures.ThreadPoolExecutor(o.j) as pool:
        runner.baseline(pool)
        results = pool.map(lambda n: runner.kill(n, hints.get(n, [""])[0].split(",")), chosen)
        for name, killers in zip(chosen, results):
            if killers:
                by = "%s (%s)" % (killers[0][0], killers[0][1].how)
                if o.all:
                    by = "%d: %s" % (len(killers), " ".join(t for t, _ in killers))
                last[name] = min(killers, key=lambda k: k[1].cpu + k[1].wall / 10)[0]
            else:
                skipped = [t for t in hints.get(name, [""])[0].split(",") if t in TESTS and
                           t not in runner.base]
                by = "not run: %s was skipped" % skipped[0] if skipped else "SURVIVED"
                (lost if skipped else survivors).append(name)
            print("%-24s %-8s %s" % (name, rows[name][0], by), flush=True)
    if o.update:
        with open(os.path.join(HERE, "killers.txt"), "w") as f:
            f.write("# What run.py tries first for each mutant; written by run.py --update.\n")
            for name in sorted(found):
                by = last.get(name) or hints.get(name, [""])[0]
                if by:
                    f.write("%s %s\n" % (name, by))
    for name in survivors:
        print("survived: %s at %s: %s" % (name, found[name], rows[name][1]))
    score = "%d of %d mutants killed" % (len(chosen) - len(survivors) - len(lost), len(chosen))
    if lost:
        score += ", %d not run" % len(lost)
    print("%s, %.0f s CPU" % (score, runner.cpu))
    if o.readme and not o.names and not survivors and not lost:
        write_readme(score)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
