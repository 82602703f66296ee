#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a process is allowed: open files, memory and CPU time of its control group."""
import contextlib
import ctypes
import errno
import os
import re
import shlex
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import (MIB, PASTED, SLOW, Skip, bytes_of, case, check, equal, have_uring, main, post,  # noqa: E402
                     wait_until)


def under(s, words):
    """The server's command behind a shell's words."""
    plain = s.command()
    s.command = lambda: ["sh", "-c", f'{words} exec "$@"', "sh", *plain]
    return s


@case("few open files: as many connections as it says, or a refusal in words", each=True, classes="syncs")
def files(t):
    for n in (16, 40, 64, 90, 128, 200):
        s = under(t.a_server(store=os.path.join(t.dir, f"store{n}"), settings={"workers": "1"}), f"ulimit -n {n};")
        s.spawn()
        wait_until(lambda: s.proc.poll() is not None or "listening on" in s.said(), 60, f"ulimit -n {n}: {s.said()}")
        if s.proc.poll() is not None:
            equal(s.proc.returncode, 78, f"ulimit -n {n}: {s.said()}")
            check(re.search(r"only \d+ files may be open.*ulimit -n", s.said()), s.said())
            check(n < 64, f"{n} files are not enough")
            continue
        m = re.search(r"so only (\d+) connections", s.said())
        conns = int(m.group(1))
        check(n - 100 < conns < n, n, "files,", conns, "connections")
        with contextlib.ExitStack() as opened:
            all_of_them = [opened.enter_context(s.connect()) for _ in range(conns)]
            for i, c in enumerate(all_of_them):
                name = post(c, "/f", bytes_of(i, 1000))
                equal(c.ask("GET", f"/-/records/{name}").body, bytes_of(i, 1000), "read-back")
            equal(all_of_them[0].ask("GET", "/-/readyz").status, 200, "readyz")
        check("Too many open files" not in s.said(), s.said())
        s.stop_clean()


ROOT = "/sys/fs/cgroup"


def group(t, controller, settings):
    """A control group with a limit, for as long as the case; the shell's words that enter it."""
    here, made = {}, None
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for name in controllers.split(","):
                here[name] = path
    folders = [f"{ROOT}/{controller}{here.get(controller, '')}", f"{ROOT}/{controller}", ROOT + here.get("", ""), ROOT]
    for parent in folders:
        path = os.path.join(parent, f"pasted-test-{os.getpid()}")
        with contextlib.suppress(OSError):
            os.mkdir(path)
            t.undo.append(lambda path=path: os.rmdir(path))     # when its processes are gone
            hits = [(k, v) for k, v in settings if os.path.exists(os.path.join(path, k))]
            for k, v in hits:
                with open(os.path.join(path, k), "w") as f:
                    f.write(v)
            if hits:
                return f"echo $$ >{shlex.quote(path)}/cgroup.procs;"
    raise Skip(f"needs root, and a control group of {controller} that may be made")


@case("a control group of 64 MB: the buffers fit into it by themselves, and a pool that does not is told",
      each=True, classes="syncs")
def memory(t):
    limit = str(64 * MIB)
    enter = group(t, "memory", [("memory.limit_in_bytes", limit), ("memory.max", limit), ("memory.swap.max", "0")])
    s = under(t.a_server(settings={"pool-size": "auto", "segment-size": "64M"}), enter)
    s.start()
    check("more than" not in s.said(), s.said())
    body = bytes_of("memory", 4 * MIB)

    def load(k):
        with contextlib.suppress(OSError, EOFError), s.connect() as c:
            for _ in range(2):
                c.ask("POST", f"/m/{k}", body)      # 200, or 503: there is no room for all at once
    clients = [threading.Thread(target=load, args=(k,)) for k in range(24)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    check(s.proc.poll() is None, "it was ended: ", s.proc.returncode)
    equal(s.ask("GET", "/-/readyz").status, 200, "readyz")
    s.stop_clean()
    s = under(t.a_server(settings={"pool-size": "256M"}), enter)
    s.start()
    check(re.search(r"pool-size 256M.*64M of memory", s.said()), s.said())
    s.stop_clean()


@case("as many workers as there is CPU time for", each=True, rings=["socket"], classes="syncs")
def cpus(t):
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("needs root, and a control group of cpu that may be made with more than one CPU")
    enter = group(t, "cpu", [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "90000"), ("cpu.max", "90000 100000")])
    s = under(t.a_server(settings={"workers": "auto", "pool-size": "16M"}), enter)
    s.start()
    check("workers=1 " in s.said(), s.said())
    s.stop_clean()


@case("many workers: the first segments of all together are no more than they need to be", each=True, classes="syncs")
def workers(t):
    s = t.a_server(settings={"workers": "64", "pool-size": "auto", "segment-size": "32M"})
    s.start()
    lanes = os.path.join(s.store, "log")
    for lane in os.listdir(lanes):
        first = min(os.stat(os.path.join(lanes, lane, f)).st_size for f in os.listdir(os.path.join(lanes, lane)))
        check(first < 24 * MIB, "lane", lane, "begins with", first, "bytes")
    with s.connect() as c:
        post(c, "/w", b"x" * 1000)
        equal(c.ask("GET", "/-/metrics").status, 200, "metrics")
    s.stop_clean()


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]


def forbid(number, error):
    """From here on that system call of this process fails (seccomp(2))."""
    rows = [Filter(0x20, 0, 0, 0), Filter(0x15, 0, 1, number), Filter(0x06, 0, 0, 0x50000 | error),
            Filter(0x06, 0, 0, 0x7fff0000)]
    program = Program(len(rows), (Filter * len(rows))(*rows))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program)):
        os._exit(99)


@case("io_uring that is there and may not be set up: the message says the error, not that the kernel is too old")
def no_register(t):
    if not have_uring():
        raise Skip("io_uring_setup is not permitted here")
    for error in (errno.EPERM, errno.ENOMEM):
        out = subprocess.run([PASTED, "--ring", "uring", "--listen", "127.0.0.1:0", "--store", os.path.join(t.dir, "s")],
                             capture_output=True, text=True, timeout=60 * SLOW, preexec_fn=lambda e=error: forbid(427, e))
        equal(out.returncode, 78, out.stderr)
        check(os.strerror(error) in out.stderr and "io_uring_register" in out.stderr, out.stderr)


if __name__ == "__main__":
    main()
