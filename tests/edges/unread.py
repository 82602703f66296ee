#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Nobody reads standard error: no thread ever waits for a message, what was lost is counted,
and told when somebody reads again."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios

from edges import Turns, an_odd_server, small_disk
from harness import RECOVER, SLOW, Failed, case, check, equal, main, post, wait_until


def stuff(fd):
    """Until nothing more goes in; nobody will know which of it is whose."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for n in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(fd, b"." * n)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def a_pipe(t):
    r, w = os.pipe()
    fcntl.fcntl(w, 1031, 4096)              # F_SETPIPE_SZ
    stuff(w)
    return r, w


def a_socket(t):
    a, b = socket.socketpair()
    b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stuff(b.fileno())
    return a.detach(), b.detach()


def a_terminal(t):
    r, w = pty.openpty()
    termios.tcflow(w, termios.TCOOFF)       # ^S
    return r, w


STUCK = {"pipe": a_pipe, "socket": a_socket, "terminal": a_terminal}


def stuck(t, kind):
    r, w = STUCK[kind](t)
    t.undo.append(lambda: (os.close(r), os.close(w)))
    return r, w


def drain(fd, seconds):
    """What comes, until it says that messages were lost, or nothing comes any more."""
    text = b""
    while select.select([fd], [], [], seconds * SLOW)[0]:
        got = os.read(fd, 65536)
        text += got
        if not got or b"were lost" in text:
            break
    return text.decode(errors="replace")


def ends(s):
    """SIGTERM ends it, unless somebody waits."""
    s.proc.send_signal(signal.SIGTERM)
    try:
        return s.proc.wait(30 * SLOW)
    except subprocess.TimeoutExpired:
        raise Failed("SIGTERM does not end the server while nobody reads its messages")


@case("a start, POSTs, and SIGTERM while a pipe, a socket, a terminal are stuck")
def start_and_stop(t):
    for kind in STUCK:
        s = an_odd_server(t, ring="socket", store=os.path.join(t.dir, kind))
        _, s.stderr = stuck(t, kind)
        s.start()
        with s.connect() as c:
            post(c, "/u", b"x")
        equal(ends(s), 0, f"exit status, stuck {kind}")
        equal(len(s.dump(exits=(0,))), 1, "records")


@case("a pipe whose reader is gone: SIGTERM, POSTs, the count")
def no_reader(t):
    s = an_odd_server(t, ring="socket")
    r, s.stderr = os.pipe()
    os.close(r)
    s.start()
    os.close(s.stderr)
    with s.connect() as c:
        post(c, "/u", b"x")
    wait_until(lambda: s.metrics().sum("pasted_messages_lost_total") >= 1, 20, "what is lost is not counted")
    equal(s.stop(), 0, "exit status")


@case("standard error is a file on a full disk")
def full_file(t):
    s = an_odd_server(t, ring="socket")
    with open("/dev/full", "w") as f:
        s.stderr = f.fileno()
        s.start()
    with s.connect() as c:
        post(c, "/u", b"x")
    wait_until(lambda: s.metrics().sum("pasted_messages_lost_total") >= 1, 20, "what is lost is not counted")
    equal(s.stop(), 0, "exit status")


@case("a disk that is full and has room again while nobody reads: POSTs go on, then it is told", each=True,
      rings=["socket"], classes="wal")
def disk_full(t):
    disk = small_disk(t, 256)
    s = an_odd_server(t, store=os.path.join(disk, "store"), settings=Turns.SETTINGS)
    r, s.stderr = stuck(t, "pipe")
    s.start()
    turns, n = Turns(disk), 0
    # Two messages a turn: more of them than wait for a reader.
    while s.metrics().sum("pasted_messages_lost_total") < 3:
        check(n < 100, "no message is lost")
        turns.turn(s)
        n += 1
    text = drain(r, 5)
    m = re.search(r"^pasted: (\d+) messages were lost", text, re.M)
    check(m, "not told:", text[-500:])
    check(3 <= int(m.group(1)) <= s.metrics().sum("pasted_messages_lost_total"), "told", m.group(0))
    check(text.count("no room for the next segment") > 10, "what was queued is lost:", text[-500:])
    equal(ends(s), 0, "exit status")


@case("pasted-recover ends while nobody reads its messages")
def recover(t):
    s = t.server()
    with s.connect() as c:
        post(c, "/u", b"x")
    for kind in STUCK:
        _, w = stuck(t, kind)
        # The server has the store: there is something to tell.
        p = subprocess.Popen([RECOVER, "check", "--store", s.store], stdout=subprocess.DEVNULL, stderr=w)
        try:
            equal(p.wait(30 * SLOW), 3, "exit code")
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            raise Failed(f"pasted-recover waits for a {kind} that nobody reads")
    s.stop_clean()


if __name__ == "__main__":
    main()
