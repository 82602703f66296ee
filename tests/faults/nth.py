#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every system call on the way to a 2xx fails once, at its nth call, in the real server.

nth.c, preloaded, makes it fail and takes away what a failed sync has lost.  Each run is
a life of the server: of a new store, or of one whose last server was killed; clients that
keep a ledger; its end by SIGTERM or SIGKILL.  It may refuse to start, answer 503, cut a
connection off or give up, in words; it may not crash, hang, or lose or alter what it has
acknowledged, and the next start is as if nothing had been.

  PASTED_NTH_EVERY=1   every n of every call, not a choice (an hour)
  PASTED_NTH=call:n:errno PASTED_NTH_LIFE=again   only that one, as a failure prints it
"""
import errno
import os
import random
import shutil
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from harness import Conn, Failed, KIB, SLOW, Skip, case, check, equal, main, put_aside  # noqa: E402
from harness import same_store, wait_until  # noqa: E402
from ledger import Entry, judge  # noqa: E402
from preload import LIB, preload, read_counts  # noqa: E402

EVERY = "PASTED_NTH_EVERY" in os.environ
ONLY, ONLY_LIFE = os.environ.get("PASTED_NTH"), os.environ.get("PASTED_NTH_LIFE")
CHOICE = 4                  # of a call, in each life
SIZES = (0, 1, 100, 2000, 5000, 20000, 60000, 150000)

# What each call fails with.  0: it does half of it.
EIO, ENOSPC, EINTR = errno.EIO, errno.ENOSPC, errno.EINTR
CALLS = {
    "open": (EIO, errno.EMFILE, EINTR), "openat": (EIO, errno.EMFILE, EINTR), "fstat": (EIO,), "fstatat": (EIO,),
    "pread": (EIO, EINTR), "pwritev": (EIO, ENOSPC, EINTR, 0), "fdatasync": (EIO, ENOSPC), "fsync": (EIO,),
    "posix_fallocate": (ENOSPC, EIO, EINTR), "renameat2": (EIO,), "unlinkat": (EIO,), "mkdirat": (EIO,),
    "readdir": (EIO,), "flock": (EIO, EINTR),
    "mmap": (errno.ENOMEM,), "accept4": (errno.EMFILE, errno.ECONNABORTED, EINTR),
    "recv": (errno.ECONNRESET, EINTR), "readv": (errno.ECONNRESET, EINTR),
    "send": (errno.EPIPE, EINTR), "sendmsg": (errno.EPIPE, EINTR), "epoll_ctl": (errno.ENOMEM,),
    "epoll_wait": (EINTR, errno.EBADF), "io_uring_submit": (EINTR, errno.EAGAIN),
    "io_uring_submit_and_wait_timeout": (EINTR, errno.EAGAIN, errno.ENOMEM),
    "io_uring_submit_and_get_events": (EINTR, errno.EBUSY, errno.ENOMEM),
    "sqe_accept": (errno.EBADF,), "sqe_recv": (errno.EBADF,), "sqe_send": (errno.EBADF,),
}
# Must go by unseen: the call is made again, or goes on.
UNSEEN = {EINTR, errno.EAGAIN, errno.EBUSY, 0}
NOT_READY = (b"lane-failed", b"no-space", b"checkpoint-failing")
# What changes the store is told of even when nobody was refused for it; but not at the end,
# where there may be nothing left to do with a segment that could not be made.
TOLD = {"pwritev", "fdatasync", "fsync", "posix_fallocate", "renameat2"}


def told(err, said):
    """A write that found no room is told of as what it is: a failed write."""
    words = (os.strerror(err), "no room", os.strerror(EIO)) if err == ENOSPC else (os.strerror(err),)
    return any(w in said for w in words)


# ---- clients ----

class Client(threading.Thread):
    """Posts `n` entries, a batch at a time; a connection that is cut off is opened again."""

    def __init__(self, s, tag, n, rng):
        super().__init__(daemon=True)
        self.s, self.n, self.rng = s, n, rng
        self.tag, self.entries = tag, []
        self.refused = self.cut = 0
        self.error = None

    def entry(self):
        self.entries.append(Entry(f"{self.tag}.{len(self.entries)}", len(self.entries), self.rng, SIZES))
        return self.entries[-1]

    def run(self):
        try:
            while len(self.entries) < self.n and self.refused < 3 and self.cut < 5:
                try:
                    with Conn(self.s.listen[0], timeout=20) as c:
                        while len(self.entries) < self.n and self.batch(c):
                            pass
                except (OSError, EOFError) as e:
                    check(not isinstance(e, TimeoutError), "no reply in 20 s")
                    self.cut += 1
                    if self.s.proc.poll() is not None:
                        return
        except Exception as e:  # noqa: BLE001 - told by who waits for it
            self.error = e

    def batch(self, c):
        some = [self.entry() for _ in range(self.rng.choice((1, 1, 3)))]
        for e in some:
            e.whole = True
        c.send(b"".join(e.bytes() for e in some))
        for e in some:
            r = c.reply()
            if r.status != 200:
                check(r.status in (503, 507), e.id, r)
                check(r.name is None, "a refusal that names a record:", r)
                self.refused += 1
                if r.get("Connection") == "close":
                    return False
                continue            # the others of the batch have their own replies
            e.name = r.name
        return True


def load(s, tag, rng, n=12):
    clients = [Client(s, f"{tag}.{k}", n, rng_of(rng)) for k in range(3)]
    for c in clients:
        c.start()
    for c in clients:
        c.join(60 * SLOW)
        check(not c.is_alive(), "a client hangs")
        if c.error:
            raise c.error
    return clients


def rng_of(rng):
    return random.Random(rng.random())


# ---- one life ----

SETTINGS = {"pool-size": "4M", "segment-size": "1M", "body-max": "200k", "checkpoint-interval": "50ms",
            "retain-bytes": "4M", "drain-timeout": "5s"}


class Lives:
    """Of one ring and class: what a life begins with, and how often it calls what."""

    def __init__(self, t):
        self.t, self.folders, self.n = t, {}, 0
        self.told = set()
        s = t.a_server(settings=dict(SETTINGS, **{"checkpoint-interval": "1h", "retain-bytes": "0"}))
        s.start()
        self.before = [e for c in load(s, "before", random.Random(1), 8) for e in c.entries]
        s.kill()
        for now in [s.store] + ([s.nvmm] if s.nvmm else []):
            was = os.path.join(t.dir, f"was{len(self.folders)}")
            shutil.copytree(now, was)
            self.folders[was] = now
        self.s = s
        s.settings.update(SETTINGS, **{"retain-bytes": "0"})

    def set_up(self, life):
        put_aside(self.t, self.s)
        for was, now in self.folders.items():
            shutil.rmtree(now, ignore_errors=True)
            if life == "again":
                shutil.copytree(was, now)
                if now == self.s.store:
                    same_store(self.t, self.s)
            elif now != self.s.store:
                os.mkdir(now)
        self.n += 1
        open(self.s.errors, "w").close()
        return [] if life == "new" else self.before

    def live(self, life, fault, rng):
        """The whole of it: (counts, what came of the fault)."""
        s, entries = self.s, list(self.set_up(life))
        counts = os.path.join(self.t.dir, "counts")
        s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": fault, "PASTED_NTH_COUNTS": counts,
                 "PASTED_NTH_UNDER": ":".join(self.folders.values())}
        s.spawn()
        clients = []
        if self.up():
            clients = load(s, f"{self.n}", rng)
            entries += [e for c in clients for e in c.entries]
            self.look(clients)
            self.hear(fault, counts)
            if rng.random() < 0.6:
                s.stop(seconds=30)
            else:
                s.kill()
        code, said = s.proc.returncode, s.said()
        check(code >= 0 or code == -signal.SIGKILL, "ended by signal", -code, said[-1500:])
        s.env = None
        self.after(entries, rng)
        return read_counts(counts), code, said, clients

    def up(self):
        """Whether it came up; else it has ended."""
        s = self.s

        def known():
            if s.proc.poll() is not None:
                return "down"
            try:
                with s.connect(timeout=5) as c:
                    r = c.ask("GET", "/-/readyz")
                    return "up" if r.status == 200 or any(w in r.body for w in NOT_READY) else None
            except (OSError, EOFError):
                return None
        return wait_until(known, 30, "neither up nor down: " + s.said()[-1000:]) == "up"

    def hear(self, fault, counts):
        """What is to be told may be told a little later than it happened."""
        call, n, err = (fault or "unlinkat:0:0").split(":")
        if call in TOLD and int(err) not in UNSEEN and read_counts(counts)[call] >= int(n):
            wait_until(lambda: told(int(err), self.s.said()) or self.s.proc.poll() is not None, 5,
                       "no message: " + self.s.said())

    def look(self, clients):
        """A lane that has failed says so, and takes nothing any more."""
        if self.s.proc.poll() is not None:
            return
        try:
            r = self.s.ask("GET", "/-/readyz")
            if b"lane-failed" in r.body:
                equal(r.status, 503, "readyz of a failed lane")
                p = self.s.ask("POST", "/not-ledger", b"x")
                equal((p.status, p.name), (503, None), "a post to a failed lane")
                m = self.s.metrics()
                check(m.sum("pasted_lane_failed_errno") > 0 and m.sum("pasted_ready") == 0, "no metric of it")
        except (OSError, EOFError):
            pass                    # it was this connection's turn

    def after(self, entries, rng):
        s = self.s
        out = s.recover("check")
        none_yet = out.returncode == 3 and not any(e.whole for e in entries)    # not made whole
        check(out.returncode in (0, 1) or none_yet, "check exits", out.returncode, out.stdout, out.stderr, s.said()[-1500:])
        got = [] if none_yet else s.dump()
        judge(entries, got)
        s.start()
        r = s.ask("POST", "/after", b"after")
        equal(r.status, 200, f"a post to the next server: {r}")
        if rng.random() < 0.5:
            s.stop_clean()
        else:
            s.kill()
        equal([r.name for r in s.dump()][:-1], [r.name for r in got], "the next start changed what is there")


def choose(n, rng):
    if EVERY or n <= CHOICE:
        return range(1, n + 1)
    return sorted({1, n - rng.randrange(max(1, n // 8))} | set(rng.sample(range(2, n), CHOICE - 2)))


def one(lives, life, call, n, err, seed, again=2):
    """True: it was reached."""
    fault = f"{call}:{n}:{err}"
    try:
        counts, code, said, clients = lives.live(life, fault, random.Random(f"{seed}/{fault}"))
        if counts[call] < n:        # lives differ: an earlier one
            return again > 0 and one(lives, life, call, counts[call] * 2 // 3 or 1, err, seed, again - 1)
        if err in UNSEEN:
            check(code in (0, -signal.SIGKILL), "exit status", code, "after what is no failure", said[-1500:])
            check(not any(c.refused for c in clients), "a refusal after what is no failure")
        elif code not in (0, -signal.SIGKILL) or any(c.refused for c in clients):
            check(told(err, said), "no message of", os.strerror(err), said[-1500:])
        return True
    except Exception as e:
        lives.s.kill()
        raise Failed(f"PASTED_NTH={fault} PASTED_NTH_LIFE={life} (seed {seed}): {e}") from e


@case("each call fails once, at its nth", each=True)
def nth(t):
    if not os.path.exists(LIB):
        raise Skip(f"{LIB} was not built")
    seed = f"{t.ring}/{t.cls}"
    rng = random.Random(os.environ.get("PASTED_NTH_SEED", "1") + seed)
    lives = Lives(t)
    if ONLY:
        call, n, err = ONLY.split(":")
        check(one(lives, ONLY_LIFE or "new", call, int(n), int(err), seed), "it was not reached")
        return
    made, missed, wrong = 0, 0, []
    for life in ("new", "again"):
        counts, code, said, clients = lives.live(life, "", random.Random(seed))
        check(not any(c.refused or c.cut for c in clients), "refused or cut off without a fault", said)
        for call, errs in CALLS.items():
            for k, n in enumerate(choose(counts[call], rng)):
                for err in errs if EVERY else (errs[k % len(errs)],):
                    try:
                        if one(lives, life, call, n, err, seed):
                            made += 1
                        else:
                            missed += 1
                    except Failed as e:
                        wrong.append(str(e))
            if counts[call]:
                lives.told.add(call)
    print(f"#    {t.ring} {t.cls}: {made} failures of {len(lives.told)} calls, {missed} not reached:", *sorted(lives.told))
    check(not wrong, len(wrong), "of them went wrong:\n" + "\n".join(wrong))
    check(missed <= made / 5, "too few were reached:", missed, "of", made + missed, "were not")
    want = {"openat", "pread", "pwritev", "fdatasync", "fsync", "renameat2", "flock"}
    want |= {"sqe_recv", "sqe_send", "sqe_accept"} if t.ring == "uring" else {"send", "accept4", "epoll_wait"}
    want |= {"mmap", "posix_fallocate"} if t.has_wal else set()
    equal(want - lives.told, set(), "calls that were never made")


if __name__ == "__main__":
    main()
