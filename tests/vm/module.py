# SPDX-License-Identifier: BSD-2-Clause
"""module - paste.ko for the kernel that a machine boots.

PASTED_KMOD names one; else it is the one that make has built.
"""
import os
import re

from harness import Skip


def paste_ko(kernel):
    path = os.environ.get("PASTED_KMOD") or os.path.join(os.environ.get("top_builddir", "."), "kmod", "obj", "paste.ko")
    if not os.path.exists(path):
        raise Skip(f"there is no {path}: the module was not built (package linux-headers-amd64, or configure --with-kernel)")
    with open(path, "rb") as f:
        magic = re.search(rb"\0vermagic=([^ \0]*)", f.read())
    release = magic.group(1).decode() if magic else "?"
    if release != kernel.release:
        raise Skip(f"{path} is for kernel {release}, the machine's is {kernel.release}")
    return path
