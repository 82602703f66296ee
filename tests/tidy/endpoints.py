#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The server's own paths: each row of endpoint.h has its line in pasted(8), and each line there is
such a row; no other source of src/ knows a path.  What follows /-/records/ is a name, told in the
page."""
import glob
import os
import re
import sys

os.chdir(os.environ["top_srcdir"])
TABLE = "src/admin/endpoint.h"


def read(path):
    with open(path) as f:
        return f.read()


def bare(path):
    return re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)


rows = re.findall(r'^\tX\((\w+), "([^"]*)", (?:true|false), (\w+), (\w+),', bare(TABLE), re.M)
served = {path.rstrip("/") for _, path, _, by in rows if by != "NOWHERE" and path}
methods = {path.rstrip("/"): sets for _, path, sets, _ in rows}
told = {}
page = read("man/pasted.8")
for method, line in re.findall(r"^\.It (GET|POST|PUT|PATCH|DELETE) Pa (/-\S*)", page, re.M):
    told.setdefault("/-" if line == "/-/" else "/".join(line.split("/")[:3]), set()).add(method)
wrong = [f'{name} has no line ".It GET Pa {name}" in pasted(8)' for name in sorted(served - set(told))]
wrong += [f"pasted(8) tells of {name}, which is no row of endpoint.h" for name in sorted(set(told) - served)]
wrong += [f"pasted(8) tells of {' '.join(sorted(told[n] - {'GET'}))} for {n}, which only reads"
          for n in sorted(told) if methods.get(n) == "READ" and told[n] != {"GET"}]
for path in sorted(glob.glob("src/**/*.[ch]", recursive=True)):
    if path != TABLE:
        wrong += [f"{path} knows the path {name}: that is endpoint.h's"
                  for name in re.findall(r'"(/-[\w/-]*)"', bare(path))]
if len(served) < 5:
    wrong.append(f"only {sorted(served)} were found in endpoint.h")
print("\n".join(wrong) or f"{len(served)} paths agree")
sys.exit(bool(wrong))
