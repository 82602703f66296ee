#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The statuses of replies: each that a source of src/ sends has its row in status.h, whose rows are
in order, and each refusal is told in pasted(8).  A status is a number from 400 to 599 that stands
outside of comments and strings; 512 is none."""
import glob
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])


def read(path):
    with open(path) as f:
        return f.read()


def bare(path):
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', re.sub(r"/\*.*?\*/", "", read(path), flags=re.S))


rows = [int(code) for code in re.findall(r'^\tX\((\d+), "', read("src/base/status.h"), re.M)]
sent = {}
for path in sorted(glob.glob("src/**/*.c", recursive=True)):
    for code in re.findall(r"(?<![\w.])([45]\d\d)(?![\w.])", bare(path)):
        sent.setdefault(int(code), path)
sent.pop(512, None)
page = read("man/pasted.8")
wrong = [f"{sent[code]} sends {code}, which is no row of status.h" for code in sorted(set(sent) - set(rows))]
wrong += [f"{sent[code]} sends {code}, of which pasted(8) does not tell" for code in sorted(sent)
          if not re.search(rf"\b{code}\b", page)]
if rows != sorted(set(rows)):
    wrong.append("the rows of status.h are not in order")
if len(rows) < 15 or len(sent) < 12:
    wrong.append(f"only {len(rows)} rows and {len(sent)} statuses were looked at")
print("\n".join(wrong) or f"{len(sent)} statuses of {len(rows)} rows are sent for refusals")
sys.exit(bool(wrong))
