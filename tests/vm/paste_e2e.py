#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The ring paste as the server sees it, in a virtual machine with the module: the contract
of ring.h, the whole end-to-end suite, and bodies of every size, the same as through uring.

Server and clients run in the guest, over its loopback: the source is skb, one copy.
The guest's python3 is the host's own, in the initramfs.

  PASTED_VM_E2E      scripts of tests/e2e to run (default: all)
  PASTED_KILL_CYCLES SIGKILLs of kill.py, per class (default 20, without KVM 6)
  PASTED_VM_BODIES   bodies of drawn sizes in the last case (default 150, without KVM 40)
  PASTED_VM_SEED     the seed that a run printed
"""
import glob
import os
import re
import time

import vm       # noqa: F401  (first: finds the ones after it)
from harness import Failed, RECOVER, PASTED, SLOW, Skip, case, check, main
from guest import SEED, blank
from image import Image, program, python, run, stock_kernel
from module import paste_ko

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.environ.get("top_builddir", ".")


def machine(t, disk_mib=3072, memory="1536M", more=()):
    kernel = stock_kernel()
    programs, files = python()
    programs.update({"/bin/pasted": PASTED, "/bin/pasted-recover": RECOVER,
                     "/sbin/mkfs.ext4": program("mkfs.ext4", "e2fsprogs")}, **dict(more))
    for path in glob.glob(os.path.join(TOP, "tests", "e2e", "*.py")) + [os.path.join(TOP, "tests", "vm", "bodies_guest.py")]:
        files["/e2e/" + os.path.basename(path)] = path
    files["/e2e/class.h"] = os.path.join(TOP, "wal", "format", "class.h")
    files["/kmod/paste.ko"] = paste_ko(kernel)
    image = Image(kernel, ["ext4", "loop", "/kmod/paste.ko"], programs, files)
    path = os.path.join(t.dir, "disk")
    blank(path, disk_mib)
    run([program("mkfs.ext4", "e2fsprogs"), "-q", "-F", "-b", "4096", path], "mkfs.ext4")
    m = vm.Machine(t, image, vm.disk(path), memory=memory)
    m.start()
    m.run("mkdir -p /mnt/disk; mount -t ext4 -o noatime /dev/vda /mnt/disk; mkdir /mnt/disk/t")
    return m


ENVIRONMENT = ("PASTED=/bin/pasted PASTED_RECOVER=/bin/pasted-recover PASTED_TEST_DIR=/mnt/disk/t "
               "PASTED_TEST_RINGS='{rings}' PASTED_TEST_SLOW={slow} PASTED_KILL_CYCLES={cycles} PYTHONDONTWRITEBYTECODE=1")


def script(m, path, seconds, rings="paste", args=""):
    """Runs one in the guest; the lines it printed."""
    slow = SLOW * (1 if vm.Machine.accel == "kvm" else 4)
    cycles = os.environ.get("PASTED_KILL_CYCLES", "20" if vm.Machine.accel == "kvm" else "6")
    out = m.run(f"cd /e2e; {ENVIRONMENT.format(rings=rings, slow=slow, cycles=cycles)} python3 {path} {args}", seconds, exits=None)
    if out.rc == 77:
        raise Skip(f"{path}: {out.text.splitlines()[-1]}")
    check(out.rc == 0, f"{path} in the guest exits {out.rc}:\n{out.text[-6000:]}{out.err.decode(errors='replace')[-2000:]}")
    return out.text.splitlines()


@case("ring.h's contract over paste: test_ring_paste")
def contract(t):
    test = os.path.join(BUILD, "tests", "unit", "test_ring_paste")
    if not os.access(test, os.X_OK):
        raise Skip(f"{test} was not built (libcmocka-dev)")
    m = machine(t, more={"/bin/test_ring_paste": test})
    out = m.run("cd /tmp; test_ring_paste 2>&1", 300, exits=None)
    check(out.rc == 0, f"test_ring_paste exits {out.rc}:\n{out.text[-3000:]}")
    print("#   ", " ".join(re.findall(r"\d+ test\(s\) run", out.text)))
    m.off()


@case("the end-to-end suite on the ring paste")
def suite(t):
    names = os.environ.get("PASTED_VM_E2E", "").split() or sorted(
        os.path.basename(p) for p in glob.glob(os.path.join(TOP, "tests", "e2e", "*.py"))
        if "main()" in open(p).read() and "harness" not in p)
    m, wrong = machine(t), []
    for name in names:
        began = time.monotonic()
        try:
            lines = script(m, name, 900)
        except Failed as e:
            if m.proc is None or m.proc.poll() is not None:
                raise
            wrong.append(e)
            lines = [f"failed: {e}"]
        ran = [line for line in lines if "[paste " in line and line.startswith("ok")]
        print(f"#    {name}: {lines[-1]}, {len(ran)} of them on paste ({time.monotonic() - began:.0f} s)", flush=True)
        m.judge_kernel(m.console())
    m.off()
    check(not wrong, *wrong)


@case("bodies of every size to 8 MiB: through paste the same bytes as through uring")
def bodies(t):
    m = machine(t)
    n = int(os.environ.get("PASTED_VM_BODIES", "150" if vm.Machine.accel == "kvm" else "40"))
    for line in script(m, "bodies_guest.py", 900, rings="paste uring", args=f"{SEED} {n}"):
        print("#   ", line)
    m.off()


if __name__ == "__main__":
    main()
