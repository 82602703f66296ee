#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Draws small wrong edits of wal/ and src/ by a seed, builds each and wants a test to fail.

run.py asks about the operations that were given a name; this asks about edits that nobody
chose (edits.py).  An edit that does not compile, that leaves the object file as it was, or
that equivalent.txt has with a reason, is thrown away, and another is drawn: COUNT remain,
half of them in wal/ and half in src/, at most one to a function.

For each, the tests of make check run until one fails, fast layers first.  Before that each
test has run on the tree as it is, with its time; one that fails there or is skipped kills
nothing.  A test that is not known to behave alike each time (a script) kills only if it fails
a second time, and passes on the clean build.  What is linked from the same bytes as before
is not run.

It works on copies of the tree below tests/mutants/wild of the build folder, and begins
again where it was stopped: what was found out about an edit stays in seed-N.json, as long
as wal/ and src/ are the same; a test that has been changed is run again.  Not run: run.py,
which has the same tests, and the machines of tests/vm, which take too long for each edit;
so kmod/ and src/ring_paste.c are not edited.

    wild.py --seed N [--count 60]
    wild.py --seed N --layers unit,crash      a look: the score is not one, and says so
    wild.py --seed N --within 20              the same: only tests that take less seconds
    wild.py --seed N --only 'src/conn|wal/seg' the same: only edits of files whose path begins so
    wild.py --seed N --list                   only what was drawn, and what became of it
    wild.py --seed N --show K                 the Kth edit as a patch
"""
import argparse
import concurrent.futures
import ctypes
import difflib
import filecmp
import hashlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import edits

TOP = os.environ.get("top_srcdir") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("top_builddir") or os.getcwd()
HERE = os.path.join(TOP, "tests/mutants")
WILD = os.path.join(BUILD, "tests/mutants/wild")
SLOTS = int(os.environ.get("WILD_SLOTS", 2))
# A wrong argument or field that the compiler would name is no edit; other warnings say nothing.
FLAGS = "WARN_CFLAGS=-w"
TYPES = "WARN_CFLAGS=-Werror=incompatible-pointer-types -Werror=int-conversion"
# Only the machines of tests/vm run the ring paste; random bytes are right as long as they differ.
NOT_EDITED = re.compile(r"wal/dice|src/ring_paste")
LAYERS = (
    ("unit", r"tests/unit/"),
    ("crash", r"tests/crash/(?!states)"),
    ("damage", r"tests/damage/"),
    ("fuzz", r"tests/fuzz/"),
    ("tidy", r"tests/tidy/"),
    ("e2e", r"tests/e2e/(?!kill|hour)"),
    ("edges", r"tests/edges/"),
    ("hostile", r"tests/hostile/"),
    ("faults", r"tests/faults/"),
    ("long", r"tests/(crash/states|e2e/kill|e2e/hour)"),
)
NOT_RUN = re.compile(r"tests/(mutants|vm)/|test_ring_paste")
FACTOR, LEAST_S = 6, 12         # a test is given up after so many times its time, and this


def sha(*paths):
    h = hashlib.sha1()
    for path in paths:
        with open(path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()[:12]


def read(path):
    with open(path) as f:
        return f.read()


# ---- the copies of the tree ----

def copy_tree(to):
    """The sources as they are now; what has not changed keeps its time, and so its object."""
    skip = {".git", "autom4te.cache", "__pycache__"} | {
        n for n in os.listdir(TOP) if n.startswith(("build", "sanitize")) and n != "build-aux"}
    have = set()
    # What has changed is newer than every object, and what autotools made no older than its source.
    now = time.time()
    for folder, folders, files in os.walk(TOP):
        rel = os.path.relpath(folder, TOP)
        if os.path.samefile(folder, BUILD):
            folders[:] = []
            continue
        folders[:] = [d for d in folders if d not in skip and d != "cache"]
        os.makedirs(os.path.join(to, rel), exist_ok=True)
        for name in files:
            a, b = os.path.join(folder, name), os.path.join(to, rel, name)
            have.add(os.path.normpath(b))
            if not os.path.exists(b) or not filecmp.cmp(a, b, shallow=False):
                shutil.copy2(a, b)
                os.utime(b, (now, now))
    for folder, _, files in os.walk(to):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.normpath(path) not in have and "__pycache__" not in path:
                os.unlink(path)


def make(build, *targets, flags=FLAGS):
    # Without what only a debugger reads, for that has the folder's name in it.
    return subprocess.run(["make", "-s", "-C", build, "CFLAGS=-O2 -g0", flags, *targets], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")


class Copy:
    """One copy: the sources in tree/, its build in build/."""

    def __init__(self, name):
        self.name = name
        self.dir = os.path.join(WILD, name)
        self.tree = os.path.join(self.dir, "tree")
        self.build = os.path.join(self.dir, "build")
        self.edited = None

    def set_up(self, programs):
        copy_tree(self.tree)
        os.makedirs(self.build, exist_ok=True)
        if not os.path.exists(os.path.join(self.build, "config.status")):
            # As the build folder was configured, but for warnings as errors.
            args = subprocess.run(["sh", "-c", 'eval "set -- $(./config.status --config)"; printf "%s\\n" "$@"'],
                                  cwd=BUILD, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
            args = [a for a in args if "werror" not in a and "with-kmod" not in a] + ["--with-kmod=no"]
            subprocess.run([os.path.join("../tree/configure"), "-q", *args], cwd=self.build, check=True,
                           stdout=subprocess.DEVNULL)
        # One after the other: all is a make of its own.
        done = make(self.build, "-j2", "all")
        if not done.returncode:
            done = make(self.build, "-j2", *programs)
        if done.returncode:
            sys.exit("%s does not build:\n%s" % (self.tree, done.stdout[-3000:]))

    def path(self, rel):
        return os.path.join(self.build, rel)

    def edit(self, path, text):
        with open(os.path.join(self.tree, path), "w") as f:
            f.write(text)
        self.edited = path

    def undo(self):
        if self.edited:
            path, self.edited = self.edited, None
            shutil.copyfile(os.path.join(CLEAN.tree, path), os.path.join(self.tree, path))


CLEAN = Copy("clean")
COPIES = [Copy(str(n)) for n in range(SLOTS)]


def object_of(path):
    """The object of a source, as the clean build has it; None: it is not built."""
    folder, name = os.path.split(path)
    stem = name[:-2]
    for o in ("libwal_a-" + stem, "libpasted_a-" + stem, stem):
        rel = "%s/%s.o" % (folder, o)
        if os.path.exists(CLEAN.path(rel)):
            return rel
    return None


def code(path, to):
    """An object without what only a debugger reads."""
    subprocess.run(["objcopy", "--strip-debug", path, to], check=True)
    with open(to, "rb") as f:
        return f.read()


# ---- what is drawn ----

def source(path):
    """As it was when this began: somebody may be at work in the tree itself."""
    return read(os.path.join(CLEAN.tree, path))


def equivalents():
    """{(file, function, old, new)} of equivalent.txt."""
    known, place, old = set(), None, None
    for line in read(os.path.join(HERE, "equivalent.txt")).splitlines():
        if line.startswith(("wal/", "src/", "kmod/")):
            place = tuple(line.split()[:2])
        elif line.startswith("- "):
            old = line[2:].strip()
        elif line.startswith("+ "):
            known.add(place + (old, line[2:].strip()))
        elif line == "+":
            known.add(place + (old, ""))
    return known


def candidates(seed, only):
    """{folder: edits in the order of the seed}."""
    out = {}
    for folder in ("wal", "src"):
        found = []
        for name in sorted(os.listdir(os.path.join(CLEAN.tree, folder))):
            path = os.path.join(folder, name)
            if name.endswith(".c") and not NOT_EDITED.match(path) and re.match(only, path) and object_of(path):
                text = source(path)
                found += [(path, site) for site in edits.sites(text)]
        random.Random("%d %s" % (seed, folder)).shuffle(found)
        out[folder] = found
    return out


def describe(path, site):
    text = source(path)
    line, old, new = edits.shown(text, site)
    return {"file": path, "function": site.function, "kind": site.kind, "line": line, "old": old, "new": new,
            "start": site.start, "end": site.end, "text": site.new, "passed": {}}


def edited(e):
    text = source(e["file"])
    return edits.apply(text, edits.Site(e["kind"], e["function"], e["start"], e["end"], e["text"]))


def is_real(copy, e):
    """Whether it compiles into something else."""
    obj = object_of(e["file"])
    copy.edit(e["file"], edited(e))
    try:
        done = make(copy.build, obj, flags=TYPES)
        return done.returncode == 0 and code(copy.path(obj), copy.path("new.o")) != code(
            CLEAN.path(obj), copy.path("old.o"))
    finally:
        copy.undo()


def draw(copy, found, count, kept, known):
    """Fills kept up to count."""
    functions = {(e["file"], e["function"]) for e in kept}
    have = {(e["file"], e["start"], e["text"]) for e in kept}
    thrown = 0
    for path, site in found:
        if len(kept) >= count:
            break
        if (path, site.function) in functions or (path, site.start, site.new) in have:
            continue
        e = describe(path, site)
        if (path, site.function, e["old"], e["new"]) in known or not is_real(copy, e):
            thrown += 1
            continue
        kept.append(e)
        functions.add((path, site.function))
    return thrown


# ---- running a test ----

def children():
    """Processes that were left to us (we are the reaper of the slot's tests)."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            found += [int(p) for p in read("/proc/self/task/%s/children" % task).split()]
        except OSError:
            pass
    return found


def reap():
    """Ends what a test has left behind."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = children()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def command(copy, test):
    if test.endswith(".py"):
        return [sys.executable, os.path.join(copy.tree, test)]
    if test.endswith(".sh"):
        return ["sh", os.path.join(copy.tree, test)]
    return [copy.path(test)]


def run(copy, test, limit):
    """(None passed, "skip" or how it failed; seconds; its last words).  Called in a process that has
    no other children."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PASTED_TEST_") and k != "SEED"}
    env.update(top_srcdir=copy.tree, top_builddir=copy.build, PASTED=copy.path("pasted"),
               PASTED_RECOVER=copy.path("pasted-recover"), PYTHONDONTWRITEBYTECODE="1")
    folder = os.path.join(copy.dir, "run")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    program = not test.endswith((".py", ".sh"))

    def limits():
        dies_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if program:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))

    begin = time.monotonic()
    with open(os.path.join(copy.dir, "out"), "w+b") as out:
        child = subprocess.Popen(command(copy, test), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=limits)
        try:
            code = child.wait(limit * 3 if program else limit)
        except subprocess.TimeoutExpired:
            code = "hang"
            for sig in (signal.SIGINT, signal.SIGKILL):     # the first lets it unmount what it mounted
                try:
                    os.killpg(child.pid, sig)
                    child.wait(15)
                    break
                except (subprocess.TimeoutExpired, ProcessLookupError):
                    continue
        took = time.monotonic() - begin     # clock: printed, and a multiple of it is when to give up
        reap()
        out.seek(0, os.SEEK_END)
        out.seek(max(0, out.tell() - 2000))
        words = out.read().decode(errors="replace").strip()
    shutil.rmtree(folder, ignore_errors=True)
    how = {0: None, 77: "skip", "hang": "hang"}.get(code, "exit %s" % code)
    return how, round(took, 2), words


class Slot:
    """A process per copy: it is the reaper of what its tests leave behind."""

    def __init__(self, copy):
        self.copy = copy
        self.pool = concurrent.futures.ProcessPoolExecutor(1, initializer=become_reaper)
        self.pool.submit(os.getpid).result()    # begun by this thread, which lives as long as we do

    def run(self, test, limit, copy=None):
        return self.pool.submit(run, copy or self.copy, test, limit).result()


def dies_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def become_reaper():
    dies_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)     # PR_SET_CHILD_SUBREAPER


# ---- the tests ----

class Tests:
    """Every test with its layer, and what it did on the clean build."""

    def __init__(self, names, layers, within):
        self.layer = {}
        for test in names:
            found = next((n for n, pattern in LAYERS if re.match(pattern, test)), None)
            if found in layers and not NOT_RUN.search(test):
                self.layer[test] = found
        self.within = within
        self.helpers = sha(*sorted(os.path.join(CLEAN.tree, "tests", d, n)
                                   for d in ("e2e", "edges", "hostile", "faults")
                                   for n in ("harness.py", "books.py", "ledger.py", "edges.py", "hostile.py",
                                             "disks.py", "preload.py", "nth.c")
                                   if os.path.exists(os.path.join(CLEAN.tree, "tests", d, n))))
        self.version = {}       # when it has changed, what it said counts no longer
        for test in self.layer:
            script = test.endswith((".py", ".sh"))
            self.version[test] = sha(os.path.join(CLEAN.tree, test)) + self.helpers if script else sha(CLEAN.path(test))
        self.base = {}

    def baseline(self, slots):
        path = os.path.join(WILD, "baseline.json")
        known = json.loads(read(path)) if os.path.exists(path) else {}
        todo = [t for t in self.layer if t not in known or known[t][0] != self.version[t]]
        lock, queue = threading.Lock(), list(todo)

        def work(slot):
            while True:
                with lock:
                    if not queue:
                        return
                    test = queue.pop(0)
                how, took, words = slot.run(test, 1800, clean_for(slot))
                if how not in (None, "skip"):       # once more: other programs run here
                    how, took, words = slot.run(test, 1800, clean_for(slot))
                with lock:
                    known[test] = [self.version[test], how, took, words[-300:]]
                    write(path, known)
                    print("baseline %3d of %d: %s: %s, %.1f s" % (
                        len(todo) - len(queue), len(todo), test, how or "passed", took), flush=True)

        each(work, slots)
        for test in self.layer:
            _, how, took, words = known[test]
            if how:
                last = (words.splitlines() or ["?"])[-1]
                print("not asked: %s (%s without an edit: %s)" % (test, how, last[:100]))
            elif took <= self.within:
                self.base[test] = took

    def order(self, path):
        """The layers one after the other; in each what has the source's name, then the quickest."""
        stem = re.sub(r"\W", "", os.path.basename(path)[:-2])
        names = [n for n, _ in LAYERS]
        near = {t: stem in t or os.path.basename(t).split(".")[0].removeprefix("test_") in stem for t in self.base}
        return sorted(self.base, key=lambda t: (names.index(self.layer[t]), not near[t], self.base[t]))


def clean_for(slot):
    """The clean build, with the slot's own folder to run in."""
    c = Copy("clean")
    c.dir = os.path.join(WILD, "clean-" + slot.copy.name)
    os.makedirs(c.dir, exist_ok=True)
    return c


def same_as_clean(copy, test):
    """Whether a test would run what it ran on the clean build."""
    programs = [test] if not test.endswith((".py", ".sh")) else ["pasted", "pasted-recover"]
    return all(filecmp.cmp(copy.path(p), CLEAN.path(p), shallow=False) for p in programs)


# ---- judging ----

def write(path, what):
    with open(path + ".new", "w") as f:
        json.dump(what, f, indent=0)
    os.replace(path + ".new", path)


def each(work, slots):
    with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
        for done in [pool.submit(work, s) for s in slots]:
            done.result()


def kills(slot, e, tests, note):
    """Runs the tests until one fails; None, or [layer, test, how]."""
    copy = slot.copy
    passed = e["passed"]
    todo = [t for t in tests.order(e["file"]) if passed.get(t) != tests.version[t]]
    if not todo:
        return None
    copy.edit(e["file"], edited(e))
    try:
        built = False
        for test in todo:
            layer, script = tests.layer[test], test.endswith((".py", ".sh"))
            if not script or not built:
                # Only what is about to run: most edits are killed by one of the first.
                done = make(copy.build, "all" if script else test)
                built |= script
                if done.returncode:
                    sys.exit("%s does not build any more:\n%s" % (copy.tree, done.stdout[-2000:]))
            if same_as_clean(copy, test):
                note(passed, test)
                continue
            limit = LEAST_S + FACTOR * tests.base[test]
            how, _, words = slot.run(test, limit)
            if how not in (None, "skip") and (script or how == "hang"):
                # Others run on these CPUs: it has to fail again, and pass without the edit.
                how, _, words = slot.run(test, limit)
                if how not in (None, "skip") and slot.run(test, limit, clean_for(slot))[0] not in (None, "skip"):
                    print("doubtful: %s fails without the edit too" % test, flush=True)
                    how = None
            if how not in (None, "skip"):
                return [layer, test, how, words[-400:]]
            note(passed, test)
        return None
    finally:
        copy.undo()


def verdict(e):
    if e.get("killed"):
        return "killed by %s: %s (%s)" % tuple(e["killed"][:3])
    return "SURVIVED" if "killed" in e else "not judged yet"


def tell(n, e):
    print("%3d %s:%d %s (%s)\n      - %s\n      + %s\n      %s" % (
        n, e["file"], e["line"], e["function"], e["kind"], e["old"], e["new"], verdict(e)), flush=True)


def patch(e):
    sys.stdout.writelines(difflib.unified_diff(source(e["file"]).splitlines(True), edited(e).splitlines(True),
                                               "a/" + e["file"], "b/" + e["file"]))


def summary(o, log):
    judged = [e for e in log["edits"] if "killed" in e]
    survivors = [e for e in judged if not e["killed"]]
    by = {}
    for e in judged:
        if e["killed"]:
            by[e["killed"][0]] = by.get(e["killed"][0], 0) + 1
    for n, e in enumerate(log["edits"], 1):
        if "killed" in e and not e["killed"]:
            tell(n, e)
    for folder in ("wal", "src"):
        mine = [e for e in judged if e["file"].startswith(folder)]
        print("%s: %d of %d killed" % (folder, len([e for e in mine if e["killed"]]), len(mine)))
    print("by layer: %s" % ", ".join("%s %d" % (n, by[n]) for n, _ in LAYERS if n in by))
    print("seed %d: %d of %d wild edits killed%s" % (
        o.seed, len(judged) - len(survivors), len(judged),
        "" if len(judged) == o.count else ", %d of %d not judged" % (o.count - len(judged), o.count)))
    if o.within < 1e8 or o.layers != ALL or o.only:
        print("only some were asked: this is no score (%s%s%s)" % (
            o.layers, "" if o.within > 1e8 else ", under %g s" % o.within, o.only and ", of " + o.only))


ALL = ",".join(n for n, _ in LAYERS)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--count", type=int, default=60)
    p.add_argument("--layers", default=ALL)
    p.add_argument("--within", type=float, default=1e9)
    p.add_argument("--only", default="")
    p.add_argument("--list", action="store_true")
    p.add_argument("--show", type=int)
    p.add_argument("--tests", default=os.environ.get("WILD_TESTS", ""), help="what make check runs")
    o = p.parse_args()
    os.nice(10)
    os.makedirs(WILD, exist_ok=True)
    path = os.path.join(WILD, "seed-%d.json" % o.seed)
    log = json.loads(read(path)) if os.path.exists(path) else {"edits": []}
    if o.list or o.show:
        if o.show:
            patch(log["edits"][o.show - 1])
        for n, e in enumerate(log["edits"] if o.list else (), 1):
            tell(n, e)
        return summary(o, log) if o.list else 0

    names = o.tests.split()
    programs = [t for t in names if not t.endswith((".py", ".sh")) and not NOT_RUN.search(t)]
    data = [t for t in os.environ.get("WILD_DATA", "").split() if t.endswith(".so")]
    helpers = os.environ.get("WILD_HELPERS", "").split()
    for copy in [CLEAN] + COPIES:
        print("building %s" % copy.dir, flush=True)
        copy.set_up(programs + data + helpers)
    for copy in COPIES:
        other = [t for t in programs if not filecmp.cmp(copy.path(t), CLEAN.path(t), shallow=False)]
        if other:
            sys.exit("%s and %s differ without an edit: %s" % (copy.dir, CLEAN.dir, " ".join(other)))
    slots = [Slot(c) for c in COPIES]

    # The edits: the same ones as long as wal/ and src/ are.
    sources = sha(*(os.path.join(CLEAN.tree, d, n) for d in ("wal", "src")
                    for n in sorted(os.listdir(os.path.join(CLEAN.tree, d))) if n.endswith((".c", ".h"))),
                  os.path.join(CLEAN.tree, "tests/mutants/edits.py"))
    if log.get("sources") != sources:
        log = {"sources": sources, "edits": []}
    known, found = equivalents(), candidates(o.seed, o.only)
    log["edits"] = [e for e in log["edits"] if (e["file"], e["function"], e["old"], e["new"]) not in known]

    # Half of them in each folder; all in one of them, if --only leaves no more.
    folders = [f for f in found if found[f]]
    share = {f: (o.count + len(folders) - 1 - n) // len(folders) for n, f in enumerate(folders)}

    def draw_for(folder):
        kept = [e for e in log["edits"] if e["file"].startswith(folder)]
        thrown = draw(slots[folders.index(folder) % len(slots)].copy, found[folder], share[folder], kept, known)
        print("%s: %d edits, %d thrown away" % (folder, len(kept), thrown), flush=True)
        return kept

    with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
        drawn = [iter(kept) for kept in (pool.map if len(slots) >= len(folders) else map)(draw_for, folders)]
    log["edits"] = [e for turn in itertools.zip_longest(*drawn) for e in turn if e]
    write(path, log)

    tests = Tests(names, o.layers.split(","), o.within)
    tests.baseline(slots)
    lock = threading.Lock()
    queue = [n for n, e in enumerate(log["edits"]) if not e.get("killed")]

    def note(passed, test):
        with lock:
            passed[test] = tests.version[test]
            write(path, log)

    def judge(slot):
        while True:
            with lock:
                if not queue:
                    return
                n = queue.pop(0)
            e = log["edits"][n]
            killed = kills(slot, e, tests, note)
            with lock:
                e["killed"] = killed
                write(path, log)
                tell(n + 1, e)

    each(judge, slots)
    print()
    summary(o, log)
    return 0


if __name__ == "__main__":
    sys.exit(main())
