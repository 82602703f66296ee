# SPDX-License-Identifier: BSD-2-Clause
"""guest - pasted and pasted-recover in a virtual machine, with its disk and its memory.

A Site is the hardware: a disk with a volatile cache (disk.py) under /mnt/disk, and one
kind of memory:

  none       class fsync
  nvdimm     an NVDIMM as fsdax, ext4 with dax=always, under /mnt/nvmm: class nvmm
  eadr       the same, whose firmware says that the CPU's caches survive: nvmm-eadr
  devdax     the same NVDIMM as /dev/dax0.0: class nvmm
  virtio     virtio-pmem, mounted with DAX as well, but no MAP_SYNC: class fsync

The server is always asked for `--class auto` and told of the memory; which class it
takes is for the tests to assert, from the line it prints and from what it replies.

Site(ring="paste") has the module, whose virtio-net driver has the network card: the
server's ring takes that for its source, and packets come straight into the buffers.
"""
import json
import os
import random
import re
import shlex

import vm       # noqa: F401  (finds the next one)
from harness import (Conn, MIB, PASTED, RECOVER, Skip, check, equal, records, wait_until)
from disk import Disk
from image import Image, program, run, stock_kernel
from module import paste_ko

CLASS = {"none": "fsync", "nvdimm": "nvmm", "eadr": "nvmm-eadr", "devdax": "nvmm", "virtio": "fsync"}
NVMM = {"nvdimm": "/mnt/nvmm", "eadr": "/mnt/nvmm", "devdax": "/dev/dax0.0", "virtio": "/mnt/nvmm"}
SEED = int(os.environ.get("PASTED_VM_SEED", str(random.SystemRandom().randrange(1 << 32))))
# A mutant build of the programs can be tried here too.
PASSED_ON = "".join(f"{k}={shlex.quote(v)} " for k, v in os.environ.items() if k == "PASTED_MUTANT")

# The namespace of an NVDIMM without labels is a raw one at first; this is what
# `ndctl create-namespace -f -e namespace0.0 -m fsdax|devdax` does to it.
NAMESPACE = """
set -e
cd /sys/bus/nd/devices
echo namespace0.0 >../drivers/nd_pmem/unbind
new=$(cat region0/{kind}_seed)
cat /proc/sys/kernel/random/uuid >$new/uuid
echo pmem >$new/mode
echo namespace0.0 >$new/namespace
echo $new >../drivers/{driver}/bind
"""


SECTORS = "n=$(cat /sys/block/vda/size)"


def image(kind, ring="uring"):
    modules, files, kernel = ["ext4"], {}, stock_kernel()
    programs = {"/bin/pasted": PASTED, "/bin/pasted-recover": RECOVER}
    if kind in ("nvdimm", "eadr", "devdax"):
        modules += ["nfit", "nd_pmem"] + (["dax_pmem", "device_dax"] if kind == "devdax" else [])
    if kind == "virtio":
        modules += ["nd_pmem", "virtio_pmem"]
    if kind != "none":
        programs["/sbin/mkfs.ext4"] = program("mkfs.ext4", "e2fsprogs")
    if kind == "none":
        modules += ["dm_mod", "dm_flakey"]
        programs["/sbin/dmsetup"] = program("dmsetup", "dmsetup")
    if ring == "paste":
        modules.append("/kmod/paste.ko")
        files["/kmod/paste.ko"] = paste_ko(kernel)
    return Image(kernel, modules, programs, files, without=["virtio_net"] if ring == "paste" else [])


class Site:
    def __init__(self, t, kind="none", disk_mib=1024, nvmm_mib=64, quiet=None, ring="uring"):
        self.t, self.kind, self.ring = t, kind, ring
        self.nvmm, self.formatted, self.class_ = NVMM.get(kind), kind == "none", CLASS[kind]
        path = os.path.join(t.dir, f"disk.{kind}")
        blank(path, disk_mib)
        # No checksums of metadata: ext4 notes an error in its superblock, two sectors, in
        # place; torn by a cut, it would no longer be mounted at all.
        run([program("mkfs.ext4", "e2fsprogs"), "-q", "-F", "-b", "4096", "-O", "^metadata_csum", path], "mkfs.ext4")
        self.disk = Disk(t, path, f"{SEED}/{kind}")
        args = vm.disk(self.disk.url)
        if kind != "none":
            memory = os.path.join(t.dir, f"memory.{kind}")
            blank(memory, nvmm_mib)
            args += (vm.virtio_pmem(memory) if kind == "virtio" else
                     vm.nvdimm(memory, "cpu" if kind == "eadr" else "mem-ctrl"))
        self.machine = vm.Machine(t, image(kind, ring), args, forward=[8080], quiet=quiet)
        self.said = ""

    # -- the machine

    def boot(self, flaky=False):
        """flaky: the disk behind a device-mapper table that break_disk() exchanges."""
        m = self.machine
        seconds = m.start()
        if not self.formatted:
            if self.kind == "devdax":
                m.run(NAMESPACE.format(kind="dax", driver="dax_pmem"))
            else:
                if self.kind != "virtio":
                    m.run(NAMESPACE.format(kind="pfn", driver="nd_pmem"))
                m.run("mkfs.ext4 -q -b 4096 /dev/pmem0")
            self.formatted = True
        device = "/dev/vda"
        if flaky:
            m.run(f"set -e; {SECTORS}; dmsetup create flaky --noudevsync --table \"0 $n linear /dev/vda 0\"")
            device = "/dev/dm-0"     # there is no udev that makes /dev/mapper/flaky
        m.run(f"mkdir -p /mnt/disk /mnt/nvmm; mount -t ext4 -o noatime {device} /mnt/disk")
        if self.nvmm == "/mnt/nvmm":
            m.run("mount -t ext4 -o noatime,dax=always /dev/pmem0 /mnt/nvmm")
        return seconds

    def break_disk(self):
        """Every write fails from now on (dm-flakey, down for an hour)."""
        self.machine.run(f"set -e; {SECTORS}; "
                         "dmsetup load flaky --table \"0 $n flakey /dev/vda 0 0 3600 1 error_writes\"; "
                         "dmsetup suspend --noflush --nolockfs flaky; dmsetup resume --noudevsync flaky")

    def cut(self):
        """The power goes: the machine, its caches, what the disk had not flushed."""
        self.machine.cut()
        return self.disk.cut()

    # -- pasted

    def options(self):
        return "--store /mnt/disk/store" + (f" --nvmm {self.nvmm}" if self.nvmm else "")

    def serve(self, seconds=60, **settings):
        """Starts the server; it is ready, and of the class that this hardware gives."""
        if self.ring == "paste":
            settings.update(nic="vnet:eth0", buffer_size=2048)      # a packet takes a buffer
        conf = "".join(f"{k.replace('_', '-')} = {v}\n" for k, v in settings.items())
        self.machine.run(f"printf %s {shlex.quote(conf)} >/tmp/conf\n"
                         f"{PASSED_ON}pasted --class auto --ring {'paste' if self.ring == 'paste' else 'auto'} {self.options()} "
                         "--listen 0.0.0.0:8080 --config /tmp/conf "
                         ">/tmp/messages 2>&1 & echo $! >/tmp/pid")
        wait_until(self.ready, seconds if vm.Machine.accel == "kvm" else seconds * 3, "the server is not ready")
        self.said = self.messages()
        line = re.search(r"^pasted: class=(\S+) .*ring=(\S+) ", self.said, re.M)
        check(line, "no start-up line:", self.said)
        equal(line.group(1), self.class_, f"class on {self.kind}: {self.said}")
        equal(line.group(2), self.ring, "ring: " + self.said)

    def ready(self):
        try:
            if self.ask("GET", "/-/readyz").status == 200:
                return True
        except (OSError, EOFError):
            pass
        r = self.machine.run("cat /tmp/messages; kill -0 $(cat /tmp/pid)", exits=None)
        check(r.rc == 0, "the server ended:", r)
        return False

    def messages(self):
        return self.machine.run("cat /tmp/messages").text

    @property
    def address(self):
        return f"127.0.0.1:{self.machine.port[8080]}"

    def connect(self):
        return Conn(self.address, 60)

    def ask(self, *a, **k):
        with self.connect() as c:
            return c.ask(*a, **k)

    def end(self, how="TERM"):
        """Ends the server, not the machine."""
        self.machine.run(f"kill -{how} $(cat /tmp/pid); while kill -0 $(cat /tmp/pid); do sleep 0.05; done",
                         exits=None)

    def recover(self, verb, exits=(0, 1), seconds=180):
        return self.machine.run(f"pasted-recover {verb} {self.options()}", seconds, exits)

    def check_store(self):
        """What a look at it says, before anything was started."""
        r = self.recover("check --json", exits=(0, 1))
        said = json.loads(r.out)
        equal(said["damage"], [], "damage after a power cut")
        return said

    def dump(self):
        return records(self.recover("dump --json", exits=(0, 1)).out)


def blank(path, mib):
    try:
        with open(path, "wb") as f:
            f.truncate(mib * MIB)
    except OSError as e:
        raise Skip(f"{path}: {e}")
