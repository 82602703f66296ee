#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The server's own paths: each that src/ compares a target with has its line in pasted(8), and
each line there is such a path.  What follows /-/records/ is a name, told in the page."""
import glob
import os
import re
import sys

top = os.environ["top_srcdir"]


def read(path):
    with open(os.path.join(top, path)) as f:
        return f.read()


served = {}
for path in sorted(glob.glob(os.path.join(top, "src", "*.c"))):
    bare = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)
    for name in re.findall(r'"(/-/?[\w-]*)"', bare):
        served.setdefault(name.rstrip("/") if name != "/-/" else "/-", os.path.basename(path))
told = set()
for line in re.findall(r"^\.It (?:GET|POST|PUT|PATCH|DELETE) Pa (/-\S*)", read("man/pasted.8"), re.M):
    told.add("/-" if line == "/-/" else "/".join(line.split("/")[:3]))
wrong = [f"{name} ({served[name]}) has no line \".It GET Pa {name}\" in pasted(8)" for name in sorted(set(served) - told)]
wrong += [f"pasted(8) tells of {name}, which no source names" for name in sorted(told - set(served))]
if len(served) < 5:
    wrong.append(f"only {sorted(served)} were found in src/")
print("\n".join(wrong) or f"{len(served)} paths agree")
sys.exit(bool(wrong))
