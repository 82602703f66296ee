# SPDX-License-Identifier: BSD-2-Clause
"""insns - instructions that a machine under TCG has run, by function (insns.c counts).

	i = Insns(folder)                           # then Machine(args=[..., *i.args])
	before = i.read()
	...
	names = Names(machine, pid, program)        # of the guest's kernel, and of a process
	names.sum(i.read() - before)                # {(where, function): instructions}
"""
import bisect
import collections
import os
import re
import struct

from image import run

ROWS = 1 << 18


class Insns:
    def __init__(self, folder):
        self.path = os.path.join(folder, "insns")
        with open(self.path, "wb") as f:
            f.truncate(ROWS * 16)
        plugin = os.path.abspath(os.path.join(os.environ.get("top_builddir", "."), "tests", "vm", "insns.so"))
        self.args = ["-plugin", f"{plugin},table={self.path}"]

    def read(self):
        with open(self.path, "rb") as f:
            return collections.Counter({a: n for a, n in struct.iter_unpack("QQ", f.read()) if n})


class Names:
    """program: the host's file of what runs as pid; of its libraries only the name is told."""

    def __init__(self, machine, pid, program):
        self.at = {0: ("?", "?")}
        for start, end, offset, path in re.findall(r"(?m)^(\w+)-(\w+) r-xp (\w+) \S+ \S+ +(\S+)$",
                                                   machine.run(f"cat /proc/{pid}/maps").text):
            where, base = os.path.basename(path), int(start, 16) - int(offset, 16)
            self.at[int(start, 16)] = (where, "")
            self.at.setdefault(int(end, 16), ("?", "?"))
            if where == os.path.basename(program):
                for address, name in re.findall(r"(?m)^(\w+) [tTwW] (\S+)$", run(["nm", program], "nm")):
                    if int(start, 16) <= base + int(address, 16) < int(end, 16):
                        self.at[base + int(address, 16)] = (where, name)
        for address, name, module in re.findall(r"(?m)^(\w+) [tTwW] (\S+)(?:\s+\[(\w+)\])?$",
                                                machine.run("cat /proc/kallsyms", 120).text):
            self.at[int(address, 16)] = (module or "kernel", name)
        self.starts = sorted(self.at)

    def sum(self, rows):
        total = collections.Counter()
        for address, n in rows.items():
            total[self.at[self.starts[bisect.bisect(self.starts, address) - 1]]] += n
        return total
