#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make bench - the figures that pasted promises, as ratios within one run.

usage: run.py [--quick] [--strict] [ROW]...

Absolute times move from machine to machine and from minute to minute; so what is
compared runs by turns (A B C A B C ..), and a figure is the median of the turns'
ratios, printed with its range.  Rows whose programs are missing are skipped and
say so.  --strict: exit 1 when a figure is missed.

Environment: PASTED_BENCH_DIR (a folder on the disk to measure; default: here),
PASTED_BENCH_SHM (a tmpfs; /dev/shm), PASTED_BENCH_RING, PASTED_BENCH_RECORDS
(for the row memory), PASTED_BENCH_LOG_MB (for the row recovery).
"""
import os
import platform
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time

from loads import (BODY, CPUS, LOAD_CPU, SERVER_CPU, Missing, Nginx, Pasted, Redis, cpu_seconds, fdatasync_probe,
                   memory_kb, post_probe, program, redis_set, wrk)

MIB = 1 << 20
RECORD = BODY + 126         # head and body of post.lua's request, about


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.rounds, self.seconds = (3, 1) if quick else (7, 2)
        self.disk = tempfile.mkdtemp(prefix="bench.", dir=os.environ.get("PASTED_BENCH_DIR", "."))
        self.shm = tempfile.mkdtemp(prefix="pasted-bench.", dir=os.environ.get("PASTED_BENCH_SHM", "/dev/shm"))
        self.disk, self.servers, self.rows = os.path.abspath(self.disk), [], []

    def start(self, server):
        self.servers.append(server)
        return server.start()

    def stop_all(self):
        for s in self.servers:
            s.stop()
            shutil.rmtree(s.dir, ignore_errors=True)
            if getattr(s, "nvmm", None):
                shutil.rmtree(s.nvmm, ignore_errors=True)
        self.servers = []

    def pasted(self, name, cls, on_disk=False, **settings):
        folder = os.path.join(self.disk if on_disk else self.shm, name)
        nvmm = None
        if cls == "volatile":
            nvmm = os.path.join(self.shm, name + ".nvmm")
            os.makedirs(nvmm)
        return Pasted(folder, cls, nvmm, **settings)

    def row(self, figure, target, got, ok, detail=""):
        self.rows.append((figure, target, got, {True: "ok", False: "MISS", None: "-"}[ok], detail))
        print(f"  {figure}: {got} (target {target}) {self.rows[-1][3]}  {detail}", flush=True)

    def ratio(self, figure, limit, values, more=False, detail=""):
        """values: one ratio per round."""
        m = statistics.median(values)
        ok = m >= limit if more else m <= limit
        self.row(figure, f"{'>=' if more else '<='} {limit:.2f}", f"{m:.2f}", ok,
                 f"[{min(values):.2f}..{max(values):.2f}] {detail}")


def median(runs, key):
    return statistics.median(r[key] for r in runs)


# ---- rows --------------------------------------------------------------------------

def row_cpu(b):
    """Server CPU per request, 50 connections."""
    program("wrk")
    keep = {"segment_size": "64M", "retain_bytes": "512M"}
    kinds = {"volatile": b.pasted("volatile", "volatile", **keep), "none": b.pasted("none", "none")}
    try:
        program("nginx")
        kinds["nginx"] = Nginx(os.path.join(b.shm, "nginx"))
    except Missing:
        pass
    for s in kinds.values():
        b.start(s)
        wrk(s, 50, 1)
    runs = {k: [] for k in kinds}
    for _ in range(b.rounds):
        for k, s in kinds.items():
            runs[k].append(wrk(s, 50, b.seconds))
            if k == "volatile":
                s.settle()      # its checkpoints are its own cost, not the next one's
    us = {k: f"{median(r, 'cpu'):.2f} us, {median(r, 'rate') / 1000:.1f} k/s" for k, r in runs.items()}
    both = list(zip(runs["volatile"], runs["none"]))
    b.ratio("CPU per durable POST, volatile / persistence off", 1.10, [v["cpu"] / n["cpu"] for v, n in both],
            detail=f"{us['volatile']} / {us['none']}")
    if "nginx" in runs:
        b.ratio("CPU per durable POST, volatile / nginx storing nothing", 0.90,
                [v["cpu"] / n["cpu"] for v, n in zip(runs["volatile"], runs["nginx"])], detail=f"nginx {us['nginx']}")
    else:
        b.row("CPU per durable POST, volatile / nginx storing nothing", "<= 0.90", "skipped", None, "nginx is missing")


def row_fsync(b):
    """Durable POSTs per second on the disk against Redis."""
    program("wrk"), program("redis-server")
    p = b.start(b.pasted("fsync", "fsync", on_disk=True, retain_bytes="1G"))
    r = b.start(Redis(os.path.join(b.disk, "redis")))
    sets, posts = [], []
    wrk(p, 64, 1)
    count = int(redis_set(r, 64, 20000) * b.seconds)
    for _ in range(b.rounds):
        posts.append(wrk(p, 64, b.seconds))
        sets.append(redis_set(r, 64, count))
    b.ratio("durable POST/s, fsync, 64 connections / Redis SET, appendfsync always", 1.0,
            [p["rate"] / s for p, s in zip(posts, sets)], more=True,
            detail=f"{median(posts, 'rate') / 1000:.1f} k/s (p99 {median(posts, 'p99') / 1000:.2f} ms) / "
                   f"{statistics.median(sets) / 1000:.1f} k/s")


def row_latency(b):
    """One client on the disk: the mean over the sum of its parts."""
    p = b.start(b.pasted("fsync1", "fsync", on_disk=True))
    n = b.start(b.pasted("none1", "none"))
    count = 500 if b.quick else 2000
    runs = []
    for _ in range(b.rounds):
        runs.append((post_probe(p, count)["mean"], post_probe(n, 5 * count)["mean"],
                     fdatasync_probe(b.disk, RECORD, count)["mean"]))
    mid = [statistics.median(x) for x in zip(*runs)]
    b.ratio("mean latency, fsync, 1 client / (persistence off + bare pwrite+fdatasync)", 1.10,
            [a / (x + y) for a, x, y in runs], detail=f"{mid[0]:.0f} us / ({mid[1]:.0f} + {mid[2]:.0f})")


def row_checkpoint(b):
    """p99 with checkpoints all the time over p99 without any: same class, same pool; one
    server checkpoints every 10 ms, the other not before it is asked, between the turns."""
    program("wrk")
    room = {"pool_size": "3G", "retain_bytes": "256M"}
    on = b.start(b.pasted("often", "volatile", checkpoint_interval="10ms", **room))
    off = b.start(b.pasted("never", "volatile", checkpoint_interval="1h", checkpoint_buffers=1 << 24, **room))
    runs = []
    for s in (on, off):
        wrk(s, 50, 1)
        s.settle()
    for _ in range(b.rounds):
        moved = off.metric(r"pasted_lane_checkpoints_total")
        quiet = wrk(off, 50, 1)
        moved = off.metric(r"pasted_lane_checkpoints_total") - moved
        off.settle()
        runs.append((wrk(on, 50, 1), quiet, moved))
    on_p99, off_p99 = (median([r[i] for r in runs], "p99") for i in (0, 1))
    stray = sum(r[2] for r in runs)
    b.ratio("p99 while checkpoints run / without", 1.5, [a["p99"] / q["p99"] for a, q, _ in runs],
            detail=f"{on_p99:.0f} us / {off_p99:.0f} us" + (f"; {stray:.0f} checkpoints in the runs without" if stray else ""))


def log_bytes(store):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(store) for f in fs if f.endswith(".seg"))


def touch(b, n):
    """Frees so much memory that was in use just now: in a virtual machine the first write to
    a page waits for the host, here at 0.3 to 0.5 GB/s, and would be all that is measured."""
    path = os.path.join(b.shm, "touched")
    with open(path, "wb") as f:
        for _ in range(int(n / MIB)):
            f.write(bytes(MIB))
    os.unlink(path)


def row_recovery(b):
    """Bytes of records per second, from memory: check over segments, replay of the WAL."""
    program("wrk")
    want = int(os.environ.get("PASTED_BENCH_LOG_MB", "200" if b.quick else "1000")) * MIB

    def load(s):
        n = 0
        while n * RECORD < want:
            n += wrk(s, 50, 2 if b.quick else 4)["requests"]
        return n * RECORD
    s = b.start(b.pasted("segments", "volatile"))
    size = load(s)
    s.stop()
    best = min(s.recover("check")[0] for _ in range(3))
    b.row(f"recovery: check of {size / MIB:.0f} MiB of segments", ">= 500 MB/s", f"{size / best / 1e6:.0f} MB/s",
          size / best >= 500e6, f"{best:.2f} s")
    b.stop_all()
    # A pool large enough to hold it all: 4 KiB buffers with at least one request each.
    s = b.start(b.pasted("replay", "volatile", pool_size=str(want * 5), checkpoint_interval="1h",
                         checkpoint_buffers=1 << 24))
    wrk(s, 50, 1)
    while s.metric(r"pasted_recorded_bytes_total") < want / 2:
        wrk(s, 50, 1)
    size = s.metric(r"pasted_recorded_bytes_total")
    s.proc.kill()
    s.proc.wait()
    took, status, said = s.recover("check")
    b.row(f"recovery: check of {size / MIB:.0f} MiB in the WAL", ">= 500 MB/s", f"{size / took / 1e6:.0f} MB/s",
          size / took >= 500e6, f"{took:.2f} s, exit {status}")
    touch(b, 2 * size)
    took, status, said = s.recover("repair")
    b.row(f"recovery: replay of {size / MIB:.0f} MiB of WAL into segments", ">= 500 MB/s", f"{size / took / 1e6:.0f} MB/s",
          size / took >= 500e6, f"{took:.2f} s, exit {status}")


def row_memory(b):
    """What is not the pool: anonymous and file-backed pages; the pool of class volatile
    is shared memory and counts apart."""
    program("wrk")
    want = int(os.environ.get("PASTED_BENCH_RECORDS", "200000" if b.quick else "3000000"))
    s = b.start(b.pasted("memory", "volatile", retain_bytes="256M", pool_size="64M"))

    def own():
        return memory_kb(s.proc.pid, "RssAnon") + memory_kb(s.proc.pid, "RssFile")
    done, early, since = 0, None, 0
    while done < want:
        done += wrk(s, 50, b.seconds)["requests"]
        if early is None and done > want / 3:
            early, since = own(), done
    late = own()
    b.row(f"memory besides the pool after {done / 1e6:.1f} M records", "<= 64 MB", f"{late / 1024:.1f} MB", late <= 64 * 1024,
          f"RSS in all {memory_kb(s.proc.pid, 'VmRSS') / 1024:.0f} MB, pool 64 MB")
    b.row(f"growth of it after the first {since / 1e6:.1f} M", "flat", f"{late - early} KiB",
          late - early <= 512)
    n = 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    before, conns = own(), []
    for _ in range(n):
        conns.append(s.connect())
        conns[-1].ask("GET", "/-/livez")
    each = (own() - before) / n
    for c in conns:
        c.close()
    b.row("memory per idle connection", "<= 4 KB", f"{each:.2f} KB", each <= 4.0, f"{n} connections")


ROWS = {"cpu": row_cpu, "fsync": row_fsync, "latency": row_latency, "checkpoint": row_checkpoint,
        "recovery": row_recovery, "memory": row_memory}


def machine(b):
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    fs = os.popen(f"stat -f -c %T '{b.disk}'").read().strip()
    print(f"{model}, {len(CPUS)} CPUs (server on {SERVER_CPU}, load on {LOAD_CPU}), Linux {platform.release()}, "
          f"disk folder on {fs}, body {BODY} bytes, {b.rounds} rounds of {b.seconds} s")
    if SERVER_CPU == LOAD_CPU:
        print("Only one CPU: server and load share it; the rates mean little, the CPU per request is right.")


def table(rows):
    width = [max(len(r[i]) for r in rows) for i in range(4)]
    print()
    for r in [("figure", "target", "measured", "", "")] + rows:
        print("  ".join(r[i].ljust(width[i]) for i in range(4)), r[4])


def main(argv):
    quick, strict = "--quick" in argv, "--strict" in argv
    names = [a for a in argv if not a.startswith("-")] or list(ROWS)
    if set(names) - ROWS.keys() or {a for a in argv if a.startswith("-")} - {"--quick", "--strict"}:
        print(__doc__.split("\n\n")[1], "\nROW is one of", ", ".join(ROWS))
        return 64
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that it cleans up
    b = Bench(quick)
    machine(b)
    broken = False
    try:
        for name in names:
            try:
                ROWS[name](b)
            except Missing as e:
                b.row(name + ": " + ROWS[name].__doc__.split(".")[0].split(":")[0], "-", "skipped", None, f"{e} is missing")
            except (RuntimeError, OSError, AssertionError, EOFError) as e:
                broken = True
                b.row(name + ": " + ROWS[name].__doc__.split(".")[0].split(":")[0], "-", "broken", None, str(e)[:500])
            b.stop_all()
    finally:
        b.stop_all()
        shutil.rmtree(b.disk, ignore_errors=True)
        shutil.rmtree(b.shm, ignore_errors=True)
    table(b.rows)
    return 2 if broken else 1 if strict and any(r[3] == "MISS" for r in b.rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
