#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Power cuts under load in a virtual machine, again and again on one store: the ledger judges.

Load comes from outside the guest.  A cut is SIGKILL to QEMU, at any moment or while the
disk stands still inside a batch; then the disk loses, keeps or tears what was not
flushed.  The next boot looks at the store, dumps it for the judge, starts the server on
it and goes on.

What this sees: a reply before the sync, a sync of the wrong file, a name that was not
synced, recovery on a real kernel and file system.  What it cannot see: a missing flush
of the CPU's cache, which QEMU's NVDIMM keeps; that is tests/crash's.

With the ring paste the module's own driver has the network card: counters say that no byte
of payload was copied on its way from the card into the NVDIMM's file.

  PASTED_VM_CYCLES   cuts in all (default 32), shared out by WEIGHT
  PASTED_VM_SECONDS  time for all of them, the first boots apart (default 150, without
                     KVM 240); when it is over no further cycle is begun, but each
                     hardware has at least 1.  The line of each case says how many.
  PASTED_VM_SEED     the seed that a run printed
"""
import os
import random
import time

import vm       # noqa: F401  (first: finds the ones after it)
from harness import Metrics, SLOW, bytes_of, case, check, equal, main, post, request, wait_until
from ledger import Writer, judge, judge_order
from guest import SEED, Site

CYCLES = int(os.environ.get("PASTED_VM_CYCLES", "32"))
SECONDS = os.environ.get("PASTED_VM_SECONDS")
WEIGHT = {"nvdimm": 10, "none": 10, "paste": 6, "eadr": 3, "devdax": 2, "virtio": 1}
LEAST = 20          # acknowledged before a cut
KINDS = ("single", "single", "pipelined", "pipelined", "partial", "partial")
SETTINGS = {"pool_size": "16M", "segment_size": "8M", "body_max": "2M", "checkpoint_interval": "50ms"}


def load_and_cut(site, rng, tag):
    writers = [Writer(site.address, f"{tag}.{i}", SEED, kind) for i, kind in enumerate(KINDS)]
    for w in writers:
        w.start()

    def enough():
        named = sum(1 for w in writers for e in w.entries if e.name)
        return named >= LEAST or any(w.errors for w in writers)
    wait_until(enough, 120, "the load does not get going")
    time.sleep(rng.choice((0, 0.1, 0.3)) * rng.uniform(0.5, 1.5))
    if site.ring == "paste":
        uncopied(site)
    if rng.random() < 0.7:      # inside a batch: behind some of its writes, or before its sync
        site.disk.freeze(rng.choice(("write", "flush")), rng.randrange(1, 6))
        end = time.monotonic() + 5
        while not site.disk.counts()["frozen"] and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(rng.choice((0, 0.05)))
    site.machine.cut()
    for w in writers:
        w.end()
        check(not w.errors, w.errors[0] if w.errors else "")
    return writers, site.disk.cut()


def metrics(site):
    return Metrics(site.ask("GET", "/-/metrics").body.decode())


# Why the kernel may have to copy what the load sends: the ends of bodies, and pieces; and what
# comes between the moment that a connection is accepted and the next one, when the ring is told.
# Not for want of buffers, however long the host gives the machine no CPU: with this limit the
# windows of all connections together are less than half of the buffers that the kernel has.
MAY = ("small", "unattached")
WINDOWS = "echo 4096 131072 131072 >/proc/sys/net/ipv4/tcp_rmem"


def copied(m, *reasons):
    return sum(m.any(f'^pasted_ring_copied_bytes_total{{.*reason="{r}"') for r in reasons)


def uncopied(site):
    """The kernel has copied no byte of payload into the buffers that it need not since the ring
    had the card; what had come before, to be asked whether it is ready, it had to."""
    m = metrics(site)
    moved, all_, may = m.sum("pasted_ring_zero_copy_bytes_total"), m.sum("pasted_ring_copied_bytes_total"), copied(m, *MAY)
    equal(all_ - may, site.copied, "payload bytes copied into the buffers: " + m.text)
    check(moved + may >= m.sum("pasted_recorded_bytes_total") > 0, "recorded more than came without a copy:", m.text)
    return m


def straight(site):
    """Requests of one packet: not even the server copies a byte of them.  Their names."""
    before, names, sent = uncopied(site), [], 0
    with site.connect() as c:
        for i in range(200):
            body = bytes_of(f"straight/{i}", 1024)
            names.append(post(c, "/ledger/straight", body))
            sent += len(request("POST", "/ledger/straight", body))
    after = uncopied(site)
    moved, gathered = (after.sum(n) - before.sum(n) for n in ("pasted_ring_zero_copy_bytes_total",
                                                              "pasted_gathered_bytes_total"))
    late = copied(after, "unattached") - copied(before, "unattached")
    check(sent - late <= moved < sent + 1024 and late <= len(request("POST", "/ledger/straight", body)),
          "bytes sent", sent, "came without a copy", moved, "before the ring had the connection", late)
    equal(gathered, 0, "bytes that the server copied")
    return names


def judge_all(writers, got):
    more = judge([e for w in writers for e in w.entries], got)
    for w in writers:
        judge_order(w, got)
    return more


def read_back(site, writers, rng):
    named = [e for w in writers for e in w.entries if e.name]
    with site.connect() as c:
        for e in rng.sample(named, min(10, len(named))):
            r = c.ask("GET", f"/-/records/{e.name}")
            check(r.status == 200 and r.body == e.body(), "GET of", e.name, e.id, "gives", r)
            equal(r.get("Pasted-Class"), site.class_, "class of " + e.name)


def start(site, rng):
    if site.ring == "paste":
        site.machine.run(WINDOWS)
    site.serve(workers=1 if site.ring == "paste" else rng.choice((1, 2, 2)), **SETTINGS)
    r = site.ask("POST", "/ledger/probe", b"")
    equal((r.status, r.get("Pasted-Class")), (200, site.class_), f"first reply on {site.kind}")
    if site.ring == "paste":
        m = metrics(site)
        site.copied = m.sum("pasted_ring_copied_bytes_total") - copied(m, *MAY)
        check(site.copied < 1024, site.copied, "bytes were copied, more than one asks with")
    return r.name


def without(got, probes):
    return [r for r in got if r.name not in probes]


def cycles(t, kind, ring="uring"):
    share = WEIGHT["paste" if ring == "paste" else kind] / sum(WEIGHT.values())
    rng = random.Random(f"{SEED}/{kind}/{ring}")
    want = max(1, int(CYCLES * share))
    print(f"#    PASTED_VM_SEED={SEED} PASTED_VM_CYCLES={CYCLES}", flush=True)
    site = Site(t, kind, ring=ring)
    writers, probes, got, cuts = [], [], [], 0
    lost = dict(dropped=0, torn=0)
    boots = [site.boot()]
    seconds = float(SECONDS or (150 if vm.Machine.accel == "kvm" else 240)) * SLOW
    end = time.monotonic() + seconds * share
    while cuts < want and (not cuts or time.monotonic() < end):
        probes.append(start(site, rng))
        read_back(site, writers, rng)
        if ring == "paste":
            probes += straight(site)
        new, disk = load_and_cut(site, rng, f"{kind}.{cuts}")
        writers += new
        cuts += 1
        lost = disk
        boots.append(site.boot())
        if rng.random() < 0.2:          # a power cut inside recovery
            site.machine.run(f"pasted {site.options()} --listen 0.0.0.0:8081 >/dev/null 2>&1 & "
                             f"usleep {rng.randrange(200000)}")
            lost = site.cut()
            boots.append(site.boot())
        site.check_store()
        got = site.dump()
        equal([p for p in probes if p not in {r.name for r in got}], [], "lost: first records")
        judge_all(writers, without(got, probes))
    site.serve(**SETTINGS)
    read_back(site, writers, rng)
    site.end()
    equal(site.recover("check", exits=None).rc, 0, "check after a clean stop")
    last = site.dump()
    site.machine.off()
    equal([r.name for r in last], [r.name for r in got], "the last start changed what is there")
    more = judge_all(writers, without(last, probes))
    entries = [e for w in writers for e in w.entries]
    named = sum(1 for e in entries if e.name)
    print(f"#    {kind}: ring {ring}, class {site.class_} under {vm.Machine.accel}: {cuts} of {want} power cuts; {len(entries)} "
          f"sent, {named} acknowledged, {more} more survived; the disk dropped {lost['dropped']} and tore "
          f"{lost['torn']} unflushed writes; a boot took {sorted(boots)[len(boots) // 2]:.1f} s")
    check(named >= LEAST * cuts, "too little load to say anything:", named)


@case("power cuts, NVDIMM with DAX: class nvmm")
def nvdimm(t):
    cycles(t, "nvdimm")


@case("power cuts, NVDIMM, ring paste, packets straight into the named buffers: class nvmm")
def paste(t):
    cycles(t, "nvdimm", "paste")


@case("power cuts, a disk with a volatile cache: class fsync")
def disk(t):
    cycles(t, "none")


@case("power cuts, a platform that saves its caches: class nvmm-eadr")
def eadr(t):
    cycles(t, "eadr")


@case("power cuts, the NVDIMM as a device-dax: class nvmm")
def devdax(t):
    cycles(t, "devdax")


@case("power cuts, virtio-pmem mounted with DAX is class fsync all the same")
def virtio(t):
    cycles(t, "virtio")


if __name__ == "__main__":
    main()
