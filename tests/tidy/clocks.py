#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No test compares a time that it measured with a bound: other programs run on the CPUs.

In Python, a time that has passed (a clock's value minus an earlier one) may only be
printed.  What remains until a time limit, and a clock beyond one, are for giving up.  In C,
and elsewhere where it is right, a comment says what the clock is for: "clock: printed".
Measurements (make bench) are no tests.

The programs ask for the time in one place each, src/base/now.c and wal/util/clock.c, so that tests can
let it go (tests/edges/clock.c)."""
import ast
import glob
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])
MEASURES = re.compile(r"tests/bench/|tests/vm/bench\.py|tests/vm/insns\.")
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time", "time_ns"}
C_CLOCK = re.compile(r"\b(clock_gettime|gettimeofday|getrusage|clock|times|time|clock_nanosleep|rdtsc)\s*\((?!void)")
ASKS = re.compile(r"\b(clock_gettime|gettimeofday|adjtimex|ntp_adjtime|time|times|rdtsc)\s*\(")
REASON = re.compile(r"clock: \w")
wrong = []


def is_clock(node):
    """time.monotonic() and the like; time.time() too."""
    f = node.func if isinstance(node, ast.Call) else None
    return isinstance(f, ast.Attribute) and (
        f.attr in CLOCKS or f.attr == "time" and isinstance(f.value, ast.Name) and f.value.id == "time")


def clock_names(tree):
    """Variables that hold a clock's value itself."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = zip(target.elts, node.value.elts) if isinstance(target, ast.Tuple) and isinstance(
                    node.value, ast.Tuple) else [(target, node.value)]
                names |= {t.id for t, v in pairs if isinstance(t, ast.Name) and is_clock(v)}
    return names


def passed(path, text, lines):
    """Each elapsed time in a script that is not printed."""
    tree = ast.parse(text)
    names = clock_names(tree)
    printed = {id(n) for call in ast.walk(tree) if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print"
               for n in ast.walk(call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and id(node) not in printed and (
                is_clock(node.left) or isinstance(node.left, ast.Name) and node.left.id in names):
            yield node.lineno


def c_clocks(path, text, lines):
    for number, line in enumerate(lines, 1):
        if C_CLOCK.search(re.sub(r"//.*|/\*.*?\*/|\"[^\"]*\"", "", line)):
            yield number


looked = 0
for path in sorted(glob.glob("tests/**/*.[pch]*", recursive=True)):
    if MEASURES.match(path) or not path.endswith((".py", ".c", ".h")):
        continue
    with open(path) as f:
        text = f.read()
    lines = text.splitlines()
    looked += 1
    for number in (passed if path.endswith(".py") else c_clocks)(path, text, lines):
        if not REASON.search("\n".join(lines[max(0, number - 4):number])):
            wrong.append(f"{path}:{number}: a measured time, not for printing: {lines[number - 1].strip()}")
SEAMS = {"src/base/now.c", "wal/util/clock.c"}
asked = set()
for path in sorted(glob.glob("src/**/*.[ch]", recursive=True) + glob.glob("wal/**/*.[ch]", recursive=True)):
    with open(path) as f:
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), f.read(), flags=re.S)
    for number in (n for n, line in enumerate(text.splitlines(), 1) if ASKS.search(line)):
        asked.add(path)
        if path not in SEAMS:
            wrong.append(f"{path}:{number}: the time is asked for in {' and '.join(sorted(SEAMS))} only")
wrong += [f"{path} does not ask for the time" for path in sorted(SEAMS - asked)]
if looked < 100:
    wrong.append(f"only {looked} files were looked at")
print("\n".join(wrong) or f"{looked} files were looked at")
sys.exit(bool(wrong))
