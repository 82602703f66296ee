#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Draws small wrong edits of wal/, src/ and kmod/ by a seed, builds each and wants a test to fail.

run.py asks about the operations that were given a name; this asks about edits that nobody
chose (edits.py).  An edit that does not compile, that leaves the object file as it was, or
that equivalent.txt has with a reason, is thrown away, and another is drawn: COUNT remain,
one in eight of them in kmod/ and the others half in wal/ and half in src/, at most one to a
function.  Where the build folder was configured without the kernel module there are none in
kmod/ nor in src/ring/ring_paste.c, which nothing but the module's machines can judge.

For each, the tests of make check run until one fails, fast layers first.  Before that each
test has run on the tree as it is, with its time; one that fails there or is skipped kills
nothing.  A test that is not known to behave alike each time (a script) kills only if it fails
a second time, and passes on the clean build.  What is linked from the same bytes as before
is not run.

It works on copies of the tree below tests/mutants/wild of the build folder, and begins
again where it was stopped: what was found out about an edit stays in seed-N.json, as long
as the sources are the same; a test that has been changed is run again.

Not run: run.py, which has the same tests, and powercut.py and faults.py, whose machines take
minutes for what the crash and the fault layers ask of the same code.  The other machines of
tests/vm are asked about kmod/ and src/ring/ring_paste.c only, one machine at a time: all else of
wal/ and src/ runs outside of them over the other rings.  A guest that hangs or panics is a
test that fails.

    wild.py --seed N [--count 60]
    wild.py --seed N --layers unit,crash      a look: the score is not one, and says so
    wild.py --seed N --within 20              the same: only tests that take less seconds
    wild.py --seed N --only 'src/conn|wal/seg' the same: only edits of files whose path begins so
    wild.py --seed N --list                   only what was drawn, and what became of it
    wild.py --seed N --show K                 the Kth edit as a patch
"""
import argparse
import concurrent.futures
import contextlib
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
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
HERE = os.path.join(TOP, "tests/mutants")
WILD = os.path.join(BUILD, "tests/mutants/wild")
SLOTS = int(os.environ.get("WILD_SLOTS", 2))
# A wrong argument or field that the compiler would name is no edit; other warnings say nothing.
FLAGS = "WARN_CFLAGS=-w"
TYPES = "WARN_CFLAGS=-Werror=incompatible-pointer-types -Werror=int-conversion"
# Random bytes are right as long as they differ.
NOT_EDITED = re.compile(r"wal/util/dice")
FOLDERS = ("wal", "src", "kmod")
IN_MACHINES = re.compile(r"kmod/|src/ring/ring_paste")
LAYERS = (
    ("unit", r"tests/unit/"),
    ("crash", r"tests/crash/(?!states)"),
    ("damage", r"tests/damage/"),
    ("fuzz", r"tests/fuzz/"),
    ("golden", r"tests/golden/"),
    ("tidy", r"tests/tidy/"),
    ("e2e", r"tests/e2e/(?!kill|hour)"),
    ("edges", r"tests/edges/"),
    ("hostile", r"tests/hostile/"),
    ("faults", r"tests/faults/"),
    ("vm", r"tests/vm/"),
    ("long", r"tests/(crash/states|e2e/kill|e2e/hour)"),
)
NOT_RUN = re.compile(r"tests/(mutants/|vm/(powercut|faults))|test_ring_paste")
# Of a long script the cases are asked one by one, as FILE:CASE; and what else it runs of ours.
CASES = {"tests/vm/paste_e2e.py": ("contract", "bodies", "suite")}
RUNS = {"tests/vm/paste_core.py": ("tests/vm/paste_test",), "tests/vm/vnet.py": ("tests/vm/tiny", "tests/vm/wire"),
        "tests/vm/paste_e2e.py:contract": ("tests/unit/test_ring_paste",)}
FACTOR, LEAST_S = 6, 12         # a test is given up after so many times its time, and this


def layer_of(test):
    return next((n for n, pattern in LAYERS if re.match(pattern, test)), None)


def asks(path, layer):
    """Whether a layer can see anything of a source."""
    if path.startswith("kmod/"):
        return layer == "vm"
    return layer in ("unit", "vm") if IN_MACHINES.match(path) else layer != "vm"


def sha(*paths):
    h = hashlib.sha1()
    for path in paths:
        with open(path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()[:12]


def read(path):
    with open(path) as f:
        return f.read()


def file_of(test):
    return test.split(":")[0]


def is_script(test):
    return file_of(test).endswith((".py", ".sh"))


def configured(name):
    """A variable of the build folder's Makefile."""
    found = re.search(r"^%s = *(.*)$" % name, read(os.path.join(BUILD, "Makefile")), re.M)
    return found.group(1).strip() if found else ""


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


KERNEL = configured("KERNEL_BUILD")     # empty: configured without the kernel module


def make_module(copy, target="modules"):
    """paste.ko or an object of it, as kmod/local.mk has them made, but only what has changed."""
    to = copy.path("kmod/obj")
    os.makedirs(os.path.join(to, "uapi"), exist_ok=True)
    for rel in ("", "uapi"):
        for name in os.listdir(os.path.join(copy.tree, "kmod", rel)):
            link = os.path.join(to, rel, name)
            if name.endswith((".c", ".h", "Kbuild")) and not os.path.lexists(link):
                os.symlink(os.path.join(copy.tree, "kmod", rel, name), link)
    # Nothing with the folder's name in it; what the compiler names as a wrong argument is no edit.
    flags = "KCFLAGS=-g0 -ffile-prefix-map=%s=. -Werror=int-conversion" % to
    compiler = configured("KERNEL_MAKE_CC").replace("'", "").split()
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")}
    return subprocess.run(["make", "-s", "-j2", "-C", KERNEL, *compiler, "M=" + to, flags, target], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")


class Copy:
    """One copy: the sources in tree/, its build in build/."""

    def __init__(self, name):
        self.name = name
        self.dir = os.path.join(WILD, name)
        self.tree = os.path.join(self.dir, "tree")
        self.build = os.path.join(self.dir, "build")
        self.edited = None

    def set_up(self, programs, module):
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
        if not done.returncode and module:
            done = make_module(self)
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
    folder = "kmod/obj" if folder == "kmod" else folder
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


def sources(tree, folder):
    """Every C file of a folder and of those in it."""
    return [os.path.relpath(os.path.join(at, n), tree) for at, _, names in sorted(os.walk(os.path.join(tree, folder)))
            for n in sorted(names) if n.endswith((".c", ".h"))]


def files(tree, only):
    """{folder: sources that may be edited}."""
    return {folder: [path for path in sources(tree, folder)
                     if path.endswith(".c") and re.match(only, path) and not NOT_EDITED.match(path)
                     and (KERNEL or not IN_MACHINES.match(path))]
            for folder in FOLDERS}


def candidates(seed, only):
    """{folder: edits in the order of the seed}."""
    out = {}
    for folder, paths in files(CLEAN.tree, only).items():
        found = [(path, site) for path in paths if object_of(path) for site in edits.sites(source(path))]
        random.Random("%d %s" % (seed, folder)).shuffle(found)
        out[folder] = found
    return out


def shares(count, folders, only):
    """How many edits of each folder: kmod's are an eighth, the others' alike; of all alike with --only."""
    share = {} if only or "kmod" not in folders else {"kmod": count // 8}
    left, others = count - sum(share.values()), [f for f in folders if f not in share]
    share.update((f, (left + len(others) - 1 - n) // len(others)) for n, f in enumerate(others))
    return share


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
        done = make_module(copy, os.path.basename(obj)) if obj.startswith("kmod/") else make(
            copy.build, obj, flags=TYPES)
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
    path = os.path.join(copy.tree, file_of(test))
    if path.endswith(".py"):
        return [sys.executable, path]
    if path.endswith(".sh"):
        return ["sh", path]
    return [copy.path(test)]


def run(copy, test, limit, only=None):
    """(None passed, "skip" or how it failed; seconds; its last words).  Called in a process that has
    no other children.  only: a case of a script."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PASTED_TEST_") and k != "SEED"}
    env.update(top_srcdir=copy.tree, top_builddir=copy.build, PASTED=copy.path("pasted"),
               PASTED_RECOVER=copy.path("pasted-recover"), PYTHONDONTWRITEBYTECODE="1", PASTED_TEST_FIRST="1")
    only = only or test.partition(":")[2]
    if only:
        env["PASTED_TEST_ONLY"] = only
    if test.startswith("tests/vm/"):
        # Named, it has no build beside it that the scripts' own negative controls want.
        env.update(PASTED_KMOD=copy.path("kmod/obj/paste.ko"), PASTED_VM_CACHE=os.path.join(BUILD, "tests/vm/cache"))
    folder = os.path.join(copy.dir, "run")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    program = not is_script(test)

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

    def run(self, test, limit, copy=None, only=None):
        with MACHINE if test.startswith("tests/vm/") else contextlib.nullcontext():
            return self.pool.submit(run, copy or self.copy, test, limit, only).result()


MACHINE = threading.Lock()      # there is one at a time


def dies_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def become_reaper():
    dies_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)     # PR_SET_CHILD_SUBREAPER


# ---- the tests ----

def scripts(folder):
    return [os.path.join(CLEAN.tree, folder, n) for n in sorted(os.listdir(os.path.join(CLEAN.tree, folder)))
            if n.endswith((".py", ".sh"))]


class Tests:
    """Every test with its layer, and what it did on the clean build."""

    def __init__(self, names, layers, within):
        self.layer = {}
        for test in names:
            if layer_of(test) in layers:
                self.layer[test] = layer_of(test)
        self.within = within
        self.helpers = sha(*sorted(os.path.join(CLEAN.tree, "tests", d, n)
                                   for d in ("e2e", "edges", "hostile", "faults")
                                   for n in ("harness.py", "books.py", "ledger.py", "edges.py", "hostile.py",
                                             "disks.py", "preload.py", "nth.c")
                                   if os.path.exists(os.path.join(CLEAN.tree, "tests", d, n))))
        self.version = {}       # when it has changed, what it said counts no longer
        for test in self.layer:
            if not is_script(test):
                self.version[test] = sha(CLEAN.path(test))
                continue
            runs = [CLEAN.path(p) for p in RUNS.get(test, ())]
            if test.startswith("tests/vm/"):
                runs += scripts("tests/vm")
            if "e2e.py:" in test:
                runs += scripts("tests/e2e")
            self.version[test] = sha(os.path.join(CLEAN.tree, file_of(test)), *runs) + self.helpers
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
        return sorted((t for t in self.base if asks(path, self.layer[t])),
                      key=lambda t: (names.index(self.layer[t]), not near[t], self.base[t]))


def clean_for(slot):
    """The clean build, with the slot's own folder to run in."""
    c = Copy("clean")
    c.dir = os.path.join(WILD, "clean-" + slot.copy.name)
    os.makedirs(c.dir, exist_ok=True)
    return c


def same_as_clean(copy, test):
    """Whether a test would run what it ran on the clean build."""
    programs = list(RUNS.get(test, ("pasted", "pasted-recover"))) if is_script(test) else [test]
    if test.startswith("tests/vm/"):
        programs.append("kmod/obj/paste.ko")
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


def build_for(copy, test, built):
    """What a test is about to run; scripts run all of it, once built."""
    targets = [test] if not is_script(test) else [] if built else ["all"]
    targets += [p for p in RUNS.get(test, ()) if p.startswith("tests/unit/")]
    done = make(copy.build, *targets) if targets else None
    if not (done and done.returncode) and test.startswith("tests/vm/"):
        done = make_module(copy)
    if done and done.returncode:
        sys.exit("%s does not build any more:\n%s" % (copy.tree, done.stdout[-2000:]))


RIGHT = set()       # what passed without an edit


def fails_again(slot, test, limit, words):
    """Others run on these CPUs: what failed has to fail again, and pass without the edit; of a script
    the case that failed, or else all of it.  (how, its last words) or None."""
    cases = re.findall(r"^failed +(\w+): ", words, re.M)
    for only in cases[-1:] + [None]:
        how, _, words = slot.run(test, limit, only=only)
        if how in (None, "skip"):
            continue
        if test.startswith("tests/vm/") and (test, only) in RIGHT:
            return how, words       # a boot less
        if slot.run(test, limit, clean_for(slot), only)[0] in (None, "skip"):
            RIGHT.add((test, only))
            return how, words
        print("doubtful: %s fails without the edit too" % test, flush=True)
        return None
    return None


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
            # Only what is about to run: most edits are killed by one of the first.
            build_for(copy, test, built)
            built |= is_script(test)
            if same_as_clean(copy, test):
                note(passed, test)
                continue
            limit = LEAST_S + FACTOR * tests.base[test]
            how, _, words = slot.run(test, limit)
            if how not in (None, "skip") and (is_script(test) or how == "hang"):
                how, words = fails_again(slot, test, limit, words) or (None, "")
            if how not in (None, "skip"):
                return [tests.layer[test], test, how, words[-400:]]
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
    for folder in FOLDERS:
        mine = [e for e in judged if e["file"].startswith(folder)]
        if mine:
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

    # Only what can be asked about one of the sources is built, and has to pass.
    sources = [path for paths in files(TOP, o.only).values() for path in paths]
    layers = [n for n in o.layers.split(",") if any(asks(path, n) for path in sources)]
    names = ["%s:%s" % (t, c) if c else t for t in o.tests.split() if not NOT_RUN.search(t)
             for c in CASES.get(t, [None]) if layer_of(t) in layers]
    programs = [t for t in names if not is_script(t)]
    helpers = [t for t in os.environ.get("WILD_DATA", "").split() if t.endswith(".so")]
    helpers += os.environ.get("WILD_HELPERS", "").split() + sorted({p for t in names for p in RUNS.get(t, ())})
    module = any(IN_MACHINES.match(path) for path in sources)
    if not KERNEL:
        print("no edits of kmod/ and src/ring/ring_paste.c: configured without the kernel module")
    for copy in [CLEAN] + COPIES:
        print("building %s" % copy.dir, flush=True)
        copy.set_up(programs + helpers, module)
    for copy in COPIES:
        other = [t for t in programs + ["kmod/obj/paste.ko"] * module
                 if not filecmp.cmp(copy.path(t), CLEAN.path(t), shallow=False)]
        if other:
            sys.exit("%s and %s differ without an edit: %s" % (copy.dir, CLEAN.dir, " ".join(other)))
    slots = [Slot(c) for c in COPIES]

    # The edits: the same ones as long as the sources are.
    version = sha(*(os.path.join(CLEAN.tree, path) for d in (FOLDERS if module else FOLDERS[:2])
                    for path in sources(CLEAN.tree, d)),
                  os.path.join(CLEAN.tree, "tests/mutants/edits.py"))
    if log.get("sources") != version:
        log = {"sources": version, "edits": []}
    known, found = equivalents(), candidates(o.seed, o.only)
    log["edits"] = [e for e in log["edits"] if (e["file"], e["function"], e["old"], e["new"]) not in known]

    folders = [f for f in found if found[f]]
    share = shares(o.count, folders, o.only)

    drawn = {}

    def draw_in(slot):
        for folder in folders[slots.index(slot)::len(slots)]:
            kept = [e for e in log["edits"] if e["file"].startswith(folder)]
            thrown = draw(slot.copy, found[folder], share[folder], kept, known)
            print("%s: %d edits, %d thrown away" % (folder, len(kept), thrown), flush=True)
            drawn[folder] = kept

    each(draw_in, slots)
    log["edits"] = [e for turn in itertools.zip_longest(*(drawn[f] for f in folders)) for e in turn if e]
    write(path, log)

    tests = Tests(names, layers, o.within)
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
