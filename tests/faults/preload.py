# SPDX-License-Identifier: BSD-2-Clause
"""nth.so and what it counts, for nth.py and stall.py."""
import os
import struct
import subprocess

LIB = os.path.join(os.environ.get("top_builddir", "."), "tests/faults/nth.so")


def preload():
    """The sanitizer's runtime first, where there is one."""
    with open(os.environ["PASTED"], "rb") as f:
        if b"__asan_init" not in f.read():
            return LIB
    gcc = os.environ.get("CC", "gcc").split()[0]
    out = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True)
    return out.stdout.strip() + ":" + LIB


def read_counts(path):
    with open(path, "rb") as f:
        data = f.read()
    rows = (struct.unpack_from("56sQ", data, i) for i in range(0, len(data), 64))
    return {name.rstrip(b"\0").decode(): n for name, n in rows}
