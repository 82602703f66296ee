#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every test in the tree is run: each script and C program below tests/ is named by a rule or
a list of a local.mk (to be distributed does not count), is part of one that is, or says
itself who runs it: "Not run by make check: ..."."""
import glob
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])
SAYS_WHY = re.compile(r"Not run by make check: \w")
wrong = []


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def rules(path):
    """What a local.mk does with names, as paths: without comments and EXTRA_DIST."""
    text = re.sub(r"^#.*$", "", read(path).replace("\\\n", " "), flags=re.M)
    text = re.sub(r"^EXTRA_DIST.*$", "", text, flags=re.M)
    names = re.findall(r"[\w./-]+", text.replace("%D%", os.path.dirname(path)))
    return {n.lstrip("/") for n in names}       # $(srcdir)/name


makefiles = ["tests/local.mk"] + glob.glob("tests/*/local.mk")
included = read("tests/local.mk")
for path in makefiles[1:]:
    if path.replace("tests/", "include %D%/") not in included:
        wrong.append(f"{path} is not included by tests/local.mk")
named = set().union(*map(rules, makefiles + ["Makefile.am"]))
named |= {"tests/setup.sh"} if all("tests/setup.sh" in read(p) for p in ("check", "quickstart")) else set()

scripts = glob.glob("tests/**/*.py", recursive=True) + glob.glob("tests/**/*.sh", recursive=True)
modules = set()
for path in scripts:
    for line in re.findall(r"^\s*(?:from (\w+) import|import (\w[\w, ]*))", read(path), re.M):
        modules.update(re.findall(r"\w+", " ".join(line)))
for path in sorted(scripts):
    text, name = read(path), os.path.splitext(os.path.basename(path))[0]
    runs = path.endswith(".sh") or "__main__" in text or name not in modules
    if runs and path not in named and not SAYS_WHY.search(text):
        wrong.append(f"{path} is run by nothing that a local.mk names")

sources = glob.glob("tests/**/*.c", recursive=True)
for path in sorted(sources):
    if path not in named and path.removesuffix(".c") not in named:
        wrong.append(f"{path} is compiled by no rule of a local.mk")

if len(scripts) < 40 or len(sources) < 40:
    wrong.append(f"only {len(scripts)} scripts and {len(sources)} sources were looked at")
print("\n".join(wrong) or f"{len(scripts)} scripts and {len(sources)} sources are in use")
sys.exit(bool(wrong))
