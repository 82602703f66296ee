# SPDX-License-Identifier: BSD-2-Clause
"""module - paste.ko for the kernel that a machine boots.

PASTED_KMOD names one; else it is the one that make has built.
"""
import os

from harness import Skip
from image import built_module, module_release


def paste_ko(kernel):
    path = os.environ.get("PASTED_KMOD") or built_module()
    if not os.path.exists(path):
        raise Skip(f"there is no {path}: the module was not built (package linux-headers-amd64, or configure --with-kernel)")
    release = module_release(path)
    if release != kernel.release:
        raise Skip(f"{path} is for kernel {release}, the machine's is {kernel.release}: "
                   "is the package linux-headers-amd64 an old one?")
    return path
