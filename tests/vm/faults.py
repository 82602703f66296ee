#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Storage that fails, in a virtual machine: what the server says, does and keeps.

A failed sync or write is final for the lane: no 200 any more, 503 and the reason in
/-/readyz and the metrics, and no second try.  The disk (disk.py) holds the server to
it: what was volatile when a flush failed is gone after the power cut, however well
later flushes went, so a 200 on top of a second try is a lost record for the ledger.
"""
import vm       # noqa: F401  (first: finds the ones after it)
from errno import EIO
from harness import Failed, Metrics, bytes_of, case, check, equal, main, wait_until
from image import Image, stock_kernel
from ledger import Writer, judge, judge_order
from guest import SEED, Site

KINDS = ("single", "single", "pipelined")
SETTINGS = {"workers": 1, "pool_size": "16M", "segment_size": "8M", "body_max": "2M", "checkpoint_interval": "50ms"}


class Load:
    """Writers until the server refuses them, and the ledger of all rounds."""

    def __init__(self, site):
        self.site, self.all, self.now = site, [], []

    def start(self, least=20):
        tag = f"{self.site.kind}.{len(self.all)}"
        self.now = [Writer(self.site.address, f"{tag}.{i}", SEED, k) for i, k in enumerate(KINDS)]
        self.all += self.now
        for w in self.now:
            w.start()
        wait_until(lambda: self.named() >= least or not self.running(), 120, "the load does not get going")
        check(self.named() >= least, "the load ended early:", [w.errors for w in self.now])

    def running(self):
        return any(w.is_alive() for w in self.now)

    def named(self):
        return sum(1 for w in self.now for e in w.entries if e.name)

    def end(self):
        for w in self.now:
            w.end()
            check(not w.errors, w.errors[0] if w.errors else "")

    def judge(self, got):
        got = [r for r in got if not r.target.startswith("/not-ledger")]
        judge([e for w in self.all for e in w.entries], got)
        for w in self.all:
            judge_order(w, got)


def refuses(site, reason, refused, size=100):
    """Not ready with that reason; the metrics say the same; no post is taken."""
    def not_ready():
        r = site.ask("GET", "/-/readyz")
        return r if r.status == 503 and reason in r.body else None
    wait_until(not_ready, 60, f"readyz does not say {reason}; " + site.messages())
    equal(site.ask("GET", "/-/livez").status, 200, "livez")
    for i in range(20):
        r = site.ask("POST", f"/not-ledger/{i}", b"x" * size)
        equal((r.status, r.name), (refused, None), "a post after the failure")
    m = Metrics(site.ask("GET", "/-/metrics").body.decode())
    equal(m.sum("pasted_ready"), 0, "pasted_ready")
    equal(m.any(f'^pasted_condition.*reason="{reason.decode()}"'), 1, "pasted_condition")


def writable(site):
    equal(site.ask("GET", "/-/readyz").status, 200, "readyz")
    r = site.ask("POST", "/not-ledger/again", b"1")
    equal((r.status, r.get("Pasted-Class")), (200, site.class_), "a post after the restart")


def after_the_cut(site, load, **boot):
    """Boots, looks, judges, starts."""
    site.boot(**boot)
    site.check_store()
    load.judge(site.dump())
    site.serve(**SETTINGS)
    writable(site)


@case("a failed sync is final, and so are failed writes; what was acknowledged is there")
def sync_error(t):
    print(f"#    PASTED_VM_SEED={SEED}")
    site = Site(t)
    load = Load(site)
    site.boot()
    site.serve(**SETTINGS)

    # Flushes fail until the lane has failed, then the disk is well: a second try would
    # "work".  (One failed flush is not enough to ask for: it may be the file system's own,
    # and the disk forgets the server's writes as well, whose sync then succeeds.)
    load.start()
    site.disk.fail(flush=EIO)
    wait_until(lambda: not load.running(), 60, "the writers are still served after a failed flush")
    load.end()
    refuses(site, b"lane-failed", 503)
    name = next(e for w in load.now for e in w.entries if e.name)
    equal(site.ask("GET", f"/-/records/{name.name}").body, name.body(), "read-back while the lane has failed")
    said = site.messages()
    check("sync" in said.split("listening")[1], "no message of the failure:", said)
    check(site.disk.counts()["failed_flushes"] >= 1, "no flush has failed")
    site.disk.heal()
    refuses(site, b"lane-failed", 503)
    site.cut()
    after_the_cut(site, load)

    # Some writes of frames fail, not the file system's own; then the server is started
    # again without a reboot: the page cache has what the disk has not, and a record is
    # not durable for being readable.
    load.start()
    site.disk.fail(write=EIO, times=3, holding="PSTF")
    wait_until(lambda: not load.running(), 60, "the writers are still served after a failed write")
    load.end()
    refuses(site, b"lane-failed", 503)
    check(site.disk.counts()["failed_writes"] >= 1, "no write has failed")
    site.disk.heal()
    site.end("KILL")
    site.serve(**SETTINGS)
    writable(site)
    load.start()
    site.cut()
    load.end()
    after_the_cut(site, load)
    site.machine.off()


@case("dm-flakey: every write fails; and a full disk: 507, reads go on, resumes")
def flakey_and_full(t):
    site = Site(t, disk_mib=96)
    load = Load(site)
    site.boot(flaky=True)
    site.serve(**SETTINGS)
    load.start()
    site.break_disk()
    wait_until(lambda: not load.running(), 60, "the writers are still served although no write works")
    load.end()
    refuses(site, b"lane-failed", 503)
    site.cut()
    after_the_cut(site, load)

    site.machine.run("dd if=/dev/zero of=/mnt/disk/ballast bs=1M count=30 2>/dev/null; sync", exits=None)
    body, names = bytes_of("full", 200000), []

    def full():
        with site.connect() as c:
            for _ in range(20):
                r = c.ask("POST", "/not-ledger/full", body)
                if r.status != 200:
                    return r if r.status == 507 else None
                names.append(r.name)
        return None
    r = wait_until(full, 120, "no 507")
    equal(r.name, None, "a 507 that names a record")
    refuses(site, b"no-space", 507, len(body))
    for name in (names[0], names[-1]):
        equal(site.ask("GET", f"/-/records/{name}").body, body, "read-back while full")
    site.machine.run("rm /mnt/disk/ballast; sync")

    def resumes():
        r = site.ask("POST", "/not-ledger/full", body)
        if r.status == 200:
            names.append(r.name)
        return r.status == 200
    wait_until(resumes, 60, "does not resume")
    wait_until(lambda: site.ask("GET", "/-/readyz").status == 200, 60, "readyz stays bad")
    site.cut()
    site.boot()
    site.check_store()
    got = site.dump()
    load.judge(got)
    there = {r.name: r.body for r in got}
    equal([n for n in names if there.get(n) != body], [], "lost or altered")
    site.machine.off()


@case("class nvmm, the disk fails: what was acknowledged waits in the memory")
def nvmm_disk_error(t):
    site = Site(t, "nvdimm")
    load = Load(site)
    site.boot()
    site.serve(**SETTINGS)
    load.start()
    site.disk.fail(write=EIO, flush=EIO)

    def not_ready():
        r = site.ask("GET", "/-/readyz")
        return r.status == 503 and (b"lane-failed" in r.body or b"checkpoint-failing" in r.body)
    wait_until(not_ready, 60, "readyz says nothing of a disk that fails")
    wait_until(lambda: not load.running(), 120, "the writers are served for ever")
    load.end()
    site.cut()
    site.disk.heal()
    after_the_cut(site, load)
    site.end()
    load.judge(site.dump())
    site.machine.off()


@case("a hang, a panic, a complaint of the kernel never look like a pass")
def harness_sees(t):
    m = vm.Machine(t, Image(stock_kernel()))

    def must_fail(what, f):
        try:
            f()
        except Failed as e:
            check(what in str(e), "another reason:", e)
            return
        raise AssertionError(f"not seen: {what}")
    m.start()
    m.run("echo fine")
    must_fail("exit 3", lambda: m.run("exit 3"))
    equal(m.run("echo out; echo err >&2; exit 3", exits=(3,)).err, b"err\n", "standard error")
    m.run("echo '<4>WARNING: CPU: 0 PID: 1 at nowhere' >/dev/kmsg")
    wait_until(lambda: "nowhere" in m.console(), 20, "the warning on the console")
    must_fail("complains", lambda: m.judge_kernel(m.console()))
    must_fail("complains", m.off)
    m.start()
    must_fail("does not answer", lambda: m.run("sleep 1000", seconds=0.5))
    m.kill()
    m.start()
    must_fail("the machine ended", lambda: m.run("echo c >/proc/sysrq-trigger; sleep 100"))
    wait_until(lambda: m.proc.poll() is not None, 20, "QEMU goes on after a panic")
    must_fail("ended by itself", m.cut)
    must_fail("complains", lambda: m.judge_kernel(m.console()))


if __name__ == "__main__":
    main()
