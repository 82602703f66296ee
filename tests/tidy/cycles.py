#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Files that need each other: a source and its header are one, and it needs whose headers it
includes, and whose header defines a struct that its own header only declares.  Such rings
hide in a floor, which deps.sh does not see.  Those that are known are named here with the
reason; a new one, and one more file in an old one, is an error."""
import glob
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])
KNOWN = (
    ("conn ingest worker", "a connection and the records it makes are the worker's, whose struct they all know"),
    ("http http_adapter http_check",
     "one reader of requests: its state, which http.h lays out, holds that of the other two"),
    ("rec recover", "the steps of one recovery share what rec_priv.h says of it, and recover.c calls them"),
)


def read(path):
    with open(path) as f:
        return f.read()


def owner(path):
    """A source, its header, and the private header that lays out what that only declares, are one."""
    return os.path.splitext(path)[0].removesuffix("_priv")


def needs(folder):
    """{file without its ending: those that it needs}"""
    paths = glob.glob(folder + "/**/*.[ch]", recursive=True)
    defined = {}
    for path in paths:
        if path.endswith(".h"):
            for name in re.findall(r"^struct (\w+) \{", read(path), re.M):
                defined[name] = path
    out = {owner(p): set() for p in paths}
    for path in paths:
        text = read(path)
        found = [f"{folder}/{i}" for i in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M)]
        if path.endswith(".h"):
            found += [defined[s] for s in re.findall(r"^struct (\w+);", text, re.M) if s in defined]
        out[owner(path)] |= {owner(p) for p in found if p in paths} - {owner(path)}
    return out


def reach(graph, start):
    seen, todo = set(), list(graph[start])
    while todo:
        at = todo.pop()
        if at not in seen:
            seen.add(at)
            todo += graph[at]
    return seen


def rings(graph):
    far = {f: reach(graph, f) for f in graph}
    return {frozenset(g for g in graph if g in far[f] and f in far[g]) for f in graph if f in far[f]}


wrong, files = [], 0
for folder in ("src", "wal"):
    graph = needs(folder)
    files += len(graph)
    for ring in rings(graph):
        names = {os.path.basename(f) for f in ring}
        more = min((names - set(k.split()) for k, _ in KNOWN), key=len, default=names)
        if more:
            whole = " ".join(sorted(names))
            wrong.append(f"{folder}: {' '.join(sorted(more))} in a ring of files that need each other: {whole}")
every = [{os.path.basename(f) for f in ring} for folder in ("src", "wal") for ring in rings(needs(folder))]
for known, _ in KNOWN:
    for name in known.split():
        if not any(name in r for r in every):
            wrong.append(f"{name} is in no ring any more: it is not to be known")
if files < 60:
    wrong.append(f"only {files} files were looked at")
print("\n".join(wrong) or f"{files} files, {len(KNOWN)} rings, all known")
sys.exit(bool(wrong))
