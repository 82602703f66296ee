#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make bench-vm - what the kernel rings are worth, as ratios within one run.

usage: bench.py [--quick] [--strict] [NAME]...

One machine with Debian's kernel and one CPU, an NVDIMM as ext4 with DAX, two network cards
on taps: eth0 has the kernel's virtio-net driver, eth1 the module's.  A network namespace of
the script's own has the other ends of the taps, and wrk there sends POSTs of 1 KB over 50
connections.  The configurations run by turns; a figure is the median of the turns' ratios.

Per request: entries into the kernel and copies of the payload on its way into the buffers,
as the server counts them; CPU time that the guest was not idle, as it says itself; and CPU
time of the whole machine, as the host's scheduler counts it for QEMU: the emulation of the
cards is in it.  wrk and QEMU have a CPU each, if there are two.  Where wrk is slower than the
server, the guest idles and a ratio of rates is too small: the ratio by guest CPU is what the
rates would be if wrk kept up.  The disk under the store does not flush: what is measured is
the guest, and class nvmm waits for no disk.

  PASTED_BENCH_CONNS   connections (default 50)
  PASTED_BENCH_PERF=n  also the n costliest functions of each, sampled in the guest (linux-perf)
  PASTED_BENCH_INSNS=n  one turn in which the guest's instructions are counted, of all its code but
                       the boot's, and the n functions that run most of them (0: only the sums).
                       TCG; the counting slows it down, so its rates are no figures
  PASTED_VM_*          see vm.py.  With TCG the CPU is emulated: no caches, and a look-up of
                       each page by QEMU, two fifths of the time.
"""
import collections
import ctypes
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time

import vm
from harness import Failed, Metrics, PASTED, Skip, Test, check, die_with_parent, equal, wait_until, Conn
from guest import NAMESPACE, blank
from image import Image, program, run, stock_kernel
from insns import Insns, Names
from module import paste_ko

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from loads import BODY, LOAD_CPU, SERVER_CPU, cpu_seconds, figures     # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CONNS = os.environ.get("PASTED_BENCH_CONNS", "50")
POOL = os.environ.get("PASTED_BENCH_POOL", "64M")
STORE = os.environ.get("PASTED_BENCH_STORE", "/mnt/disk/store")
INSNS = os.environ.get("PASTED_BENCH_INSNS")
PERF = int(os.environ.get("PASTED_BENCH_PERF", "0"))
STOCK, OURS = "10.0.2.15", "10.0.3.15"
DURABLE = "--class auto --nvmm /mnt/nvmm " + os.environ.get("PASTED_BENCH_DURABLE", "")

# name: (address, options)
SERVERS = {
    "vnet": (OURS, f"--ring paste --nic vnet:eth1 {DURABLE}"),
    "vnet-spin": (OURS, f"--ring paste --nic vnet:eth1 --busy-poll 200 {DURABLE}"),
    "skb-spin": (STOCK, f"--ring paste --busy-poll 200 {DURABLE}"),
    "vnet-none": (OURS, "--ring paste --nic vnet:eth1 --class none"),
    "skb": (STOCK, f"--ring paste {DURABLE}"),
    "skb-none": (STOCK, "--ring paste --class none"),
    "uring": (STOCK, f"--ring uring {DURABLE}"),
    "uring-none": (STOCK, "--ring uring --class none"),
    "socket": (STOCK, f"--ring socket {DURABLE}"),
    "socket-none": (STOCK, "--ring socket --class none"),
}
# figure, over what, at least
TARGETS = [("vnet", "socket-none", 2.6), ("skb", "socket-none", 1.5), ("vnet", "uring", 1.0), ("skb", "uring", 1.0),
           ("vnet", "vnet-none", 0.95), ("skb", "skb-none", 0.95),
           ("vnet-spin", "vnet", 0), ("skb-spin", "skb", 0)]
SYSCALLS = 0.05


def namespace():
    """A network of our own: nothing outside of it is touched, and it goes with us."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
        raise Skip("a network namespace and taps need root")
    ip = program("ip", "iproute2")
    run([ip, "link", "set", "lo", "up"], "ip link")
    args = []
    for i, net in enumerate((2, 3)):
        run([ip, "tuntap", "add", f"tap{i}", "mode", "tap"], "making a tap")
        run([ip, "addr", "add", f"10.0.{net}.1/24", "dev", f"tap{i}"], "ip addr")
        run([ip, "link", "set", f"tap{i}", "address", f"52:54:00:12:35:{i:02x}", "up"], "ip link")
        # A neighbour that is looked for again now and then costs some runs and not others.
        run([ip, "neigh", "replace", f"10.0.{net}.15", "lladdr", f"52:54:00:12:34:{i:02x}", "dev", f"tap{i}", "nud", "permanent"],
            "ip neigh")
        args += ["-netdev", f"tap,id=net{i},ifname=tap{i},script=no,downscript=no",
                 "-device", f"virtio-net-pci,netdev=net{i},romfile=,mac=52:54:00:12:34:{i:02x}"]
    return args


class Guest:
    def __init__(self, t):
        kernel = stock_kernel()
        programs = {"/bin/pasted": PASTED, "/sbin/mkfs.ext4": program("mkfs.ext4", "e2fsprogs")}
        if PERF:
            programs["/bin/perf"] = program("perf", "linux-perf")
        image = Image(kernel, ["ext4", "nfit", "nd_pmem", "/kmod/paste.ko"], programs,
                      {"/kmod/paste.ko": paste_ko(kernel)})
        # In the host's memory: its writing back of a file's pages is not to be measured, nor
        # its finding of a page at the first touch, which took half of the first minutes.
        shm = t.shm()
        memory, disk = os.path.join(shm, "memory"), os.path.join(shm, "disk")
        for path, mib in ((memory, 256), (disk, 1024)):
            blank(path, mib)
            run(["fallocate", "-l", f"{mib}M", path], "fallocate")
        run([program("mkfs.ext4", "e2fsprogs"), "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk], "mkfs.ext4")
        self.insns = Insns(t.dir) if INSNS else None
        if INSNS:       # with what is slow to emulate, but one instruction
            vm.Machine.accel, vm.Machine.tcg_cpu = "tcg", "max,-erms,-fsrm"
        self.machine = m = vm.Machine(t, image, vm.nvdimm(memory) + vm.disk(disk, cache="unsafe") + ["-mem-prealloc"] +
                                      (self.insns.args if INSNS else []),
                                      memory="1536M", append="maxcpus=1", net=namespace())
        m.start()
        m.run(NAMESPACE.format(kind="pfn", driver="nd_pmem"))
        m.run("mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 /dev/pmem0; mkdir -p /mnt/nvmm /mnt/disk\n"
              "mount -t ext4 -o noatime,dax=always /dev/pmem0 /mnt/nvmm; mount -t ext4 -o noatime /dev/vda /mnt/disk")
        m.run("set -e; d=$(basename $(readlink /sys/class/net/eth1/device)); cd /sys/bus/virtio/drivers\n"
              "echo $d >virtio_net/unbind; echo $d >paste_vnet/bind; sleep 0.2\n"
              f"ifconfig eth0 {STOCK} netmask 255.255.255.0 up; ifconfig eth1 {OURS} netmask 255.255.255.0 up\n"
              "arp -s 10.0.2.1 52:54:00:12:35:00; arp -s 10.0.3.1 52:54:00:12:35:01")
        equal(m.run("grep -c ^processor /proc/cpuinfo").text.strip(), "1", "CPUs of the guest")
        os.sched_setaffinity(m.proc.pid, {SERVER_CPU})
        for task in os.listdir(f"/proc/{m.proc.pid}/task"):
            os.sched_setaffinity(int(task), {SERVER_CPU})

    def serve(self, address, options):
        self.address = address
        self.machine.run("rm -rf /mnt/disk/* /mnt/nvmm/*\n"
                         f"pasted {options} --store {STORE} --workers 1 --pool-size {POOL} --buffer-size 2048 "
                         "--retain-bytes 256M --listen 0.0.0.0:8080 >/tmp/messages 2>&1 & echo $! >/tmp/pid")
        wait_until(self.ready, 60, "the server is not ready")

    def ready(self):
        try:
            with Conn(f"{self.address}:8080", 5) as c:
                return c.ask("GET", "/-/readyz").status == 200
        except (OSError, EOFError):
            r = self.machine.run("cat /tmp/messages; kill -0 $(cat /tmp/pid)", exits=None)
            check(r.rc == 0, "the server ended:", r)
            return False

    def metrics(self):
        with Conn(f"{self.address}:8080") as c:
            return Metrics(c.ask("GET", "/-/metrics").body.decode())

    def stop(self):
        self.machine.run("kill -TERM $(cat /tmp/pid); while kill -0 $(cat /tmp/pid) 2>/dev/null; do usleep 50000; done")

    def load(self, seconds):
        out = subprocess.run(["taskset", "-c", str(LOAD_CPU), program("wrk", "wrk"), "-t1", f"-c{CONNS}", f"-d{seconds}s",
                              "-s", os.path.join(HERE, "..", "bench", "post.lua"), f"http://{self.address}:8080/", "--",
                              str(BODY)], capture_output=True, text=True, timeout=seconds + 60, preexec_fn=die_with_parent)
        line = re.search(r"^BENCH .*", out.stdout, re.M)
        check(line, "wrk:", out.stdout, out.stderr)
        r = figures(line.group(0))
        check(r["requests"] and not r["refused"] and not r["broken"], "wrk:", line.group(0))
        return r

    def profile(self, name, seconds):
        """Where the guest's time goes, by its own clock's ticks: us per request."""
        self.machine.run(f"(sleep 2; perf record -q -a -e cpu-clock -F 499 -o /tmp/perf.data sleep {seconds}) >/dev/null 2>&1 &")
        r = self.load(seconds + 4)
        request = r["us"] / r["requests"]
        for by in ("comm", "comm,sym"):
            out = self.machine.run(f"perf report -i /tmp/perf.data --stdio --sort {by} 2>/dev/null | "
                                   f"grep -v '^#' | grep -v '^$' | head -{PERF}", 120)
            lines = (line.split(None, 1) for line in out.text.splitlines())
            print(f"---- {name}, {request:.1f} us a request, by {by}")
            print("\n".join(f"{float(share.rstrip('%')) * request / 100:8.2f}  {what}" for share, what in lines), flush=True)

    def count(self, name, seconds):
        """Instructions per request, and where they were run."""
        before = self.insns.read()
        r = self.load(seconds)
        rows = self.insns.read() - before
        by = Names(self.machine, self.machine.run("cat /tmp/pid").text.strip(), PASTED).sum(rows)
        where = collections.Counter()
        for (place, _), n in by.items():
            where[place] += n
        print(f"---- {name}, {by.total() / r['requests']:.0f} instructions a request:",
              ", ".join(f"{place} {n / r['requests']:.0f}" for place, n in where.most_common(5)))
        for (place, function), n in by.most_common(int(INSNS)):
            print(f"{n / r['requests']:8.0f}  {place} {function}", flush=True)
        return by.total() / r["requests"]

    def busy(self):
        """Seconds since the boot that the guest was not idle."""
        up, idle = map(float, self.machine.run("cat /proc/uptime").text.split())
        return up - idle

    def measure(self, name, seconds):
        self.serve(*SERVERS[name])
        self.load(1)
        if PERF:
            self.profile(name, seconds)
        if INSNS:
            insns = self.count(name, seconds)
            self.stop()
            return {"insns": insns}
        before, busy, cpu = self.metrics(), self.busy(), cpu_seconds(self.machine.proc.pid)
        r = self.load(seconds)
        cpu, busy, after = cpu_seconds(self.machine.proc.pid) - cpu, self.busy() - busy, self.metrics()
        self.stop()
        n = r["requests"]

        def per(metric):
            return (after.sum(metric) - before.sum(metric)) / n
        came = per("pasted_ring_received_bytes_total")
        return {"rate": n * 1e6 / r["us"], "syscalls": per("pasted_ring_syscalls_total"), "cpu": cpu * 1e6 / n,
                "guest": busy * 1e6 / n,
                "copies": (per("pasted_ring_copied_bytes_total") + per("pasted_gathered_bytes_total")) / came,
                "batch": 1 / per("pasted_ring_waits_total"), "p99": r["p99"]}


def mid(runs, key):
    return statistics.median(r[key] for r in runs)


def by_instructions(runs):
    print()
    for a, b, least in TARGETS:
        if a in runs and b in runs:
            x, y = runs[a][0]["insns"], runs[b][0]["insns"]
            print(f"{a} / {b}: {x:.0f} instructions a request, {y:.0f}: {y / x:.2f} (rates: reach {least:.2f})")


def table(runs):
    print(f"\n{'':12} {'requests/s':>11} {'calls/req':>10} {'copies/req':>11} {'guest CPU us':>13} {'host CPU us':>12} {'req/batch':>10} {'p99 ms':>8}")
    for name, rs in runs.items():
        print(f"{name:12} {mid(rs, 'rate'):11.0f} {mid(rs, 'syscalls'):10.3f} {mid(rs, 'copies'):11.2f} "
              f"{mid(rs, 'guest'):13.1f} {mid(rs, 'cpu'):12.1f} {mid(rs, 'batch'):10.1f} {mid(rs, 'p99') / 1000:8.1f}")


def verdicts(runs):
    missed = False
    print()
    for a, b, least in TARGETS:
        if a not in runs or b not in runs:
            continue
        rate = [x["rate"] / y["rate"] for x, y in zip(runs[a], runs[b])]
        guest, host = (statistics.median(y[k] / x[k] for x, y in zip(runs[a], runs[b])) for k in ("guest", "cpu"))
        ok = statistics.median(rate) >= least
        missed |= not ok
        print(f"{a} / {b}: {statistics.median(rate):.2f} [{min(rate):.2f}..{max(rate):.2f}], by guest CPU {guest:.2f}, host CPU {host:.2f} "
              f"(reach {least:.2f}) {'ok' if ok else 'MISS'}")
    for a in ("vnet", "skb"):
        if a in runs:
            ok = mid(runs[a], "syscalls") < SYSCALLS
            missed |= not ok
            print(f"{a}: {mid(runs[a], 'syscalls'):.3f} calls a request (reach < {SYSCALLS}) {'ok' if ok else 'MISS'}")
    return missed


def main(argv):
    quick, strict = "--quick" in argv, "--strict" in argv
    names = [a for a in argv if not a.startswith("-")] or list(SERVERS)
    if set(names) - SERVERS.keys() or {a for a in argv if a.startswith("-")} - {"--quick", "--strict"}:
        print(__doc__.split("\n\n")[1], "\nNAME is one of", ", ".join(SERVERS))
        return 64
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    t = Test()
    try:
        g = Guest(t)
        print(f"{vm.Machine.accel}, kernel {g.machine.image.kernel.release}, QEMU on CPU {SERVER_CPU}, wrk on {LOAD_CPU}, "
              f"{CONNS} connections, bodies of {BODY} bytes; the host's load is {os.getloadavg()[0]:.1f}")
        runs = {n: [] for n in names}
        for i in range(1 if INSNS else 3 if quick else 7):
            for n in names:
                runs[n].append(g.measure(n, 2 if quick else 4))
                r = runs[n][-1]
                if INSNS:
                    continue
                print(f"  {i}: {n}: {r['rate']:.0f}/s, {r['cpu']:.1f} us", flush=True)
        g.machine.judge_kernel(g.machine.run("dmesg").text)
        if INSNS:
            by_instructions(runs)
            return 0
        table(runs)
        return 1 if verdicts(runs) and strict else 0
    except Skip as e:
        print(f"skipped: {e}")
        return 77
    finally:
        t.end(False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
