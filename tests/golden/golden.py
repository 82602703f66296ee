#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""golden - stores that earlier commits have written mean today what they meant then.

COMMIT/KIND.tar.xz is a store as write.c left it with the library of that commit, and
COMMIT/KIND.txt what today's programs must say of it: of check, dump, repair, a start, the
records that the server reads back, and the number that the next record gets.  Writer and
reader are of different times here, so a format that both have changed alike is seen.

Stores are added, with make.sh, and never written again.  The words beside them may change with
a message: `golden.py --words` writes them anew, and the difference is to be read line by line.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
from harness import CASES, case, check, equal, main, post  # noqa: E402

WORDS = "--words" in sys.argv
LABELS = ("verdict", "exit", "error", "found", "class", "records", "bytes", "wal_records", "wal_bytes")


class Golden:
    """What is said of one store, line by line."""

    def __init__(self, t, path):
        self.t, self.path, self.lines = t, path, []
        self.s = t.a_server(ring="socket", store=os.path.join(t.dir, "store"), nvmm=os.path.join(t.dir, "nvmm"),
                            settings={"checkpoint-interval": "1h", "segment-size": "64k", "pool-size": "4M",
                                      "head-max": "4k", "body-max": "32k", "workers": "2"})
        self.adopt = []

    def say(self, *words):
        text = " ".join(map(str, words)).replace(self.t.dir, "DIR")
        self.lines += [line.rstrip() for line in text.splitlines()]

    def unpack(self):
        for d in "store", "nvmm":
            shutil.rmtree(os.path.join(self.t.dir, d), ignore_errors=True)
        with tarfile.open(self.path) as tar:
            tar.extractall(self.t.dir)

    def digest(self):
        found = {}
        for folder, _, files in os.walk(self.t.dir):
            for f in files:
                path = os.path.join(folder, f)
                if not f.startswith("messages"):
                    with open(path, "rb") as fd:
                        found[path] = fd.read()
        return found

    def tool(self, verb, *args):
        out = self.s.recover(verb, *self.adopt, *args)
        return out.returncode, out.stdout, out.stderr.decode()

    def look(self, title):
        """check, for people and for programs; whether the store can be used."""
        code, out, err = self.tool("check")
        self.say(f"{title}: exit {code}")
        self.say(re.sub(r"(?m)^", "  ", (out.decode() + err).rstrip()))
        j = json.loads(self.tool("check", "--json")[1])
        self.say("  json:", json.dumps({k: j[k] for k in LABELS}))
        for row in j["lanes"]:
            self.say("  json: lane", json.dumps(row))
        for of in "gaps", "damage":
            for row in j[of]:
                self.say(f"  json: {of}", json.dumps(row))
        for of in "start", "done":
            self.say(f"  json: {of}", json.dumps(j.get(of)))
        return code < 3

    def dump(self, title):
        """Every record: its name, time, length, and the checksum of its bytes."""
        code, out, err = self.tool("dump")
        self.say(f"{title}: exit {code}", err)
        names, gaps, at = {}, [], 0
        while at < len(out):
            end = out.index(b"\n", at)
            line = out[at:end].decode()
            at = end + 1
            m = re.fullmatch(r"# (\d+-\d+) (\S+) (\d+)", line)
            if not m:
                self.say("  gap", line)
                gaps += re.findall(r"\d+-\d+", line)
                continue
            data, at = out[at:at + int(m.group(3))], at + int(m.group(3)) + 1
            names[m.group(1)] = data
            self.say(f"  {m.group(1)} {m.group(2)} {len(data)} bytes {zlib.crc32(data):08x}",
                     data.split(b"\r\n")[0].decode())
        return names, gaps

    def read_back(self, names, gaps):
        with self.s.connect() as c:
            for name in sorted(set(gaps) | {"0-1", "1-1"} - names.keys()) + ["0-99999999999"]:
                r = c.ask("GET", f"/-/records/{name}")
                self.say(f"  GET {name}: {r.status}", r.body.decode() if r.status != 200 else zlib.crc32(r.body))
            for lane in sorted({n.split("-")[0] for n in names}):
                for line in c.ask("GET", f"/-/records/{lane}-1..").body.splitlines():
                    j = json.loads(line)
                    if "gap" in j:
                        self.say("  range:", line.decode())
                        continue
                    body = names[j["record"]].partition(b"\r\n\r\n")[2]
                    check(harness.Record(line).body == body, "a range has another body:", j["record"])
                    check(c.ask("GET", f"/-/records/{j['record']}").body == body, "read back differently:", j["record"])
                    self.say(f"  range: {j['record']} {j['time']} {j['method']} {j['target']} {len(j['headers'])} headers,"
                             f" {len(body)} bytes {zlib.crc32(body):08x}")

    def start(self, names, gaps):
        s = self.s
        s.cls = "volatile" if "volatile" in self.path else "fsync"
        s.args = self.adopt
        s.start()
        said = s.said()
        self.say("start: " + s.cls)
        for line in said[:said.index(" listening on ")].splitlines()[:-1]:
            self.say("  " + re.sub(r"\d+\.\d+ s\b|\d+ MB/s", "N", line))
        self.read_back(names, gaps)
        given = set()
        for _ in range(40):             # the kernel chooses the worker
            with s.connect() as c:
                given.add(post(c, "/next", b"next"))
        first = {}
        for name in given:
            lane, seq = map(int, name.split("-"))
            first[lane] = min(seq, first.get(lane, seq))
        self.say("  the next are", " ".join(f"{lane}-{seq}" for lane, seq in sorted(first.items())))
        s.stop_clean()
        code, out, err = self.tool("check")
        self.say(f"  afterwards check: exit {code}", (out.decode() + err).splitlines()[-1])
        left = {r.name: r.body for r in s.dump(exits=(0, 1, 2))}
        old = {n: d.partition(b"\r\n\r\n")[2] for n, d in names.items()}
        check(old.items() <= left.items(), "the start has lost records:", old.keys() - left.keys())
        check(left.keys() - old.keys() == given, "the new records:", left.keys() - old.keys(), given)

    def tell(self):
        self.unpack()
        before = self.digest()
        if not self.look("check"):
            self.adopt = ["--adopt"]
            self.look("check --adopt")
        names, gaps = self.dump("dump")
        check(self.digest() == before, "check or dump wrote")
        code, out, err = self.tool("repair")
        self.say(f"repair: exit {code}")
        self.say(re.sub(r"(?m)^", "  ", (out.decode() + err).rstrip()))
        adopt, self.adopt = self.adopt, []
        self.look("check after repair")
        said = len(self.lines)
        check(self.dump("dump")[0] == names, "after repair dump has other records")
        del self.lines[said:]
        self.adopt = adopt
        self.unpack()
        self.start(names, gaps)
        return "\n".join(self.lines) + "\n"


def a_case(path):
    def golden(t):
        want = path.replace(".tar.xz", ".txt")
        said = Golden(t, path).tell()
        if WORDS:
            with open(want, "w") as f:
                f.write(said)
        with open(want) as f:
            for i, (a, b) in enumerate(zip(f.read().splitlines() + ["end"], said.splitlines() + ["end"]), 1):
                check(a == b, f"{want}:{i}\n  says {a}\n  now  {b}")
    where = path.split(os.sep)
    golden.__name__ = f"golden_{where[-2]}_{where[-1].split('.')[0]}"
    CASES.append((golden, "a store of an earlier commit", False, None, None))


@case("a store that is written today has the same records, and is as damaged")
def today(t):
    """A commit that only the writer, or only the place of things, was changed in is right."""
    writer = os.path.join(os.environ["top_builddir"], "tests/golden/write")
    kinds = subprocess.run([writer], capture_output=True, text=True, check=True).stdout.split()
    equal(len(kinds), 13, "kinds of stores")
    for kind in kinds:
        subprocess.run([writer, kind, t.dir], check=True)
        g = Golden(t, kind)
        g.look("check")
        said = g.lines[:1]
        g.lines = []
        g.dump("dump")
        said += g.lines
        with open(os.path.join(HERE, "a85aba0", kind + ".txt")) as f:
            want = f.read().splitlines()
        at = want.index(next(line for line in want if line.startswith("dump: ")))
        equal(said, want[:1] + want[at:want.index(next(x for x in want if x.startswith("repair: ")))], kind)
        for d in "store", "nvmm":
            shutil.rmtree(os.path.join(t.dir, d))


if __name__ == "__main__":
    for tarball in sorted(glob.glob(os.path.join(HERE, "*", "*.tar.xz"))):
        a_case(tarball)
    check(len(CASES) >= 13, "golden stores are missing:", len(CASES))
    main()
