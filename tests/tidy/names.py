#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Comments, pages and README name files that are there: a source that was renamed, or a plan
that came to nothing, is not cited.  So are the functions that a header names with (): ring_wait()
and the like stand for the functions of struct ring_ops."""
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])
# Of the system and of libraries, and what make makes.
ELSEWHERE = {"liburing.h", "libpmem.h", "llhttp.h", "llhttp.c", "api.c", "http.c", "http_parser.h", "bsd/stdlib.h",
             "bsd/libutil.h", "qemu-plugin.h", "sys/ioctl.h", "page.c", "test_name.c", "name.sh"}
NAME = re.compile(r"(?<![\w/.<*$-])(?:[\w-]+/)*[\w-]+\.(?:c|h|py|sh|mk|md)(?![\w(*])")
TEXT = (".md", ".4", ".5", ".8")
SCRIPT = (".py", ".sh", ".mk", ".ac", ".am")
CALL = re.compile(r"(?<![\w.>])(\w+)\(\)")
RING = re.compile(r"ring_(?=\w+$)")
wrong, looked, cited = [], 0, 0


def comments(path, text):
    """(offset, comment)"""
    if path.endswith((".c", ".h")):
        return [(m.start(), m.group()) for m in re.finditer(r"/\*.*?\*/", text, re.S)]
    if path.endswith(SCRIPT):
        return [(m.start(), m.group()) for m in re.finditer(r'(?:^|\s)#.*|"""[^"]*"""', text, re.M)]
    return [(0, text)] if path.endswith(TEXT) or path.startswith("tests/mutants/") and path.endswith(".txt") else []


tree = []
for top in ("src", "wal", "kmod", "www", "man", "tests"):
    for at, folders, files in os.walk(top):
        folders[:] = [f for f in folders if f not in ("corpus", "obj", "__pycache__", ".deps")]
        tree += [os.path.join(at, f) for f in files]
tree += [f for f in ("README.md", "configure.ac", "Makefile.am") if os.path.exists(f)]
ends = {"/".join(p.split("/")[i:]) for p in tree for i in range(p.count("/") + 1)}
code = ""
for path in tree:
    if path.endswith((".c", ".h")):
        with open(path) as f:
            code += re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
known = set(re.findall(r"\w+", code))
for path in sorted(tree):
    try:
        with open(path) as f:
            text = f.read()
    except UnicodeDecodeError:
        continue
    found = comments(path, text)
    looked += bool(found)
    for start, comment in found:
        for m in NAME.finditer(comment):
            cited += 1
            if m.group() not in ends and m.group() not in ELSEWHERE:
                wrong.append(f"{path}:{text.count(chr(10), 0, start + m.start()) + 1}: {m.group()} is not in the tree")
        for m in CALL.finditer(comment) if path.startswith(("src/", "wal/")) and path.endswith((".c", ".h")) else ():
            if m.group(1) not in known and RING.sub("", m.group(1)) not in known:
                wrong.append(f"{path}:{text.count(chr(10), 0, start + m.start()) + 1}: no function {m.group()}")
if looked < 200 or cited < 500:
    wrong.append(f"only {cited} names in {looked} files were looked at")
print("\n".join(wrong) or f"{cited} names of files in {looked} files: all are there")
sys.exit(bool(wrong))
