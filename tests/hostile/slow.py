#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that are slow on purpose: with the head, the body, reading.  Each ends by the
timeout that is meant for it, all it held comes back, and honest clients are served."""
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time

from hostile import Honest, Watch, check_books, need_descriptors, settled_books, unsent
from harness import (KIB, SLOW, Skip, bytes_of, case, check, connect_socket, equal, free_port, main, ms, post,
                     records, request, wait_until)


# What a client that does not read may cost: so many bytes in the kernel; and all of them
# together, so many in one turn of the loop, which whoever writes has to wait for.  (Without
# PIECES_TURN of src/server/worker.c `crowd` saw 4 MiB in a turn, over the ring socket.)
UNSENT_MAX = 512 * KIB
TURN_MAX = 1024 * KIB


class Drip:
    """A connection that sends `first` at once and then `drip`, a piece at a time."""

    def __init__(self, s, first, drip, rcvbuf=0, addr=None):
        self.sock = connect_socket(addr or s.listen[0], 30 * SLOW) if not rcvbuf else small_window(s, rcvbuf)
        self.sock.sendall(first)
        self.sock.setblocking(False)
        self.drip, self.at, self.got, self.over = drip, 0, b"", False

    def step(self, sel):
        """One piece; what came back is kept."""
        try:
            if self.drip:
                self.sock.send(self.drip[self.at % len(self.drip)])
                self.at += 1
        except BlockingIOError:
            pass
        except OSError:
            pass            # closed: seen by reading
        self.read(sel)

    def read(self, sel, n=65536):
        try:
            data = self.sock.recv(n)
            self.got += data
            if data:
                return
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self.over = True
        sel.unregister(self.sock)
        self.sock.close()

    def status(self):
        return self.got[9:12]


def small_window(s, rcvbuf):
    host, port = s.listen[0].rsplit(":", 1)
    k = socket.socket()
    k.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    k.settimeout(30 * SLOW)
    k.connect((host, int(port)))
    return k


def drip_all(drips, honest, every=0.05, seconds=60):
    """Until all are over; a turn drips one piece on each connection."""
    sel = selectors.DefaultSelector()
    for d in drips:
        sel.register(d.sock, selectors.EVENT_READ, d)
    end = time.monotonic() + seconds * SLOW
    while any(not d.over for d in drips):
        check(time.monotonic() < end, sum(not d.over for d in drips), "of", len(drips), "are still held")
        honest.look()
        for d in drips:
            if not d.over:
                d.step(sel)
        time.sleep(every)
    sel.close()


def read_slowly(s, drips, honest, seconds=60):
    """A byte now and then from each, until the server has let go of all of them (here
    they look alive for longer: the kernel still has bytes to read)."""
    sel = selectors.DefaultSelector()
    for d in drips:
        sel.register(d.sock, selectors.EVENT_READ, d)
    end = time.monotonic() + seconds * SLOW
    while ended(s) < len(drips):
        check(time.monotonic() < end, ended(s), "of", len(drips), "were cut off", s.metrics().text)
        honest.look()
        for d in drips:
            if not d.over:
                d.read(sel, 1)
        time.sleep(0.05)
    for d in drips:
        d.sock.close()
    sel.close()


def ended(s):
    m = s.metrics()
    return sum(m.any(rf'timeouts_total\{{.*what="{what}"') for what in ("send", "idle"))


@case("slowloris: heads that never end are 408, each", each=True)
def heads(t):
    need_descriptors(400)
    s = t.server(settings={"header-timeout": "1s", "pool-size": "8M", "body-max": "1M"})
    start = settled_books(s)
    with Honest(s) as honest:
        drips = [Drip(s, b"POST /slow HTTP/1.1\r\nHost: t\r\n", [b"X-A: b\r\n"] if k % 2 else [b"X"])
                 for k in range(300)]
        drip_all(drips, honest)
    equal({d.status() for d in drips}, {b"408"}, "how they ended")
    equal(s.metrics().any(r'timeouts_total\{.*what="head"'), 300, "timeouts counted")
    check_books(s, start)


@case("heads that never pause are 408 too: something of them always lies in the socket", each=True, classes="syncs")
def restless(t):
    s = t.server(settings={"header-timeout": "500ms", "body-max": "1M"})
    start = settled_books(s)
    with Honest(s) as honest:
        drips = [Drip(s, b"POST /slow HTTP/1.1\r\nHost: t\r\n", [b"X"]) for _ in range(20)]
        drip_all(drips, honest, every=0.0005)
    equal({d.status() for d in drips}, {b"408"}, "how they ended")
    check_books(s, start)


BODY = b"POST /slow HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n"
CHUNKS = b"POST /slow HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


@case("slow bodies of every kind are 408, also when they were fast before", each=True)
def bodies(t):
    need_descriptors(400)
    s = t.server(settings={"body-timeout": "1s", "body-rate": "4K", "pool-size": "16M", "body-max": "1M"})
    start = settled_books(s)
    kinds = [
        (BODY, [b"x"]),                         # a byte now and then
        (BODY + b"x" * (40 * KIB), [b"x"]),     # fast, then slow: no credit
        (CHUNKS, [b"1\r\nx\r\n"]),              # chunks of a byte
        (CHUNKS + b"5000\r\n" + b"x" * 20480 + b"\r\n", [b"1", b"\r\n", b"x", b"\r\n"]),
        (CHUNKS, [b"1;a=" + b"b" * 10, b"c"]),  # an extension without an end
        (CHUNKS + b"0\r\n", [b"T: x\r\n"]),     # trailers without an end
        (BODY.replace(b"/slow", b"/-/slow"), [b"x"]),       # refused, and thrown away
        (BODY.replace(b"POST", b"GET"), [b"x"]),
    ]
    with Honest(s) as honest:
        drips = [Drip(s, *kinds[k % len(kinds)]) for k in range(160)]
        drip_all(drips, honest)
    equal({(k % len(kinds), d.status()) for k, d in enumerate(drips)},
          {(k, b"408") for k in range(len(kinds))}, "how they ended")
    equal(s.metrics().any(r'timeouts_total\{.*what="body"'), 160, "timeouts counted")
    check_books(s, start)


@case("a client that keeps to body-rate takes the time that it needs", each=True)
def steady(t):
    s = t.server(settings={"body-timeout": ms(3000), "body-rate": "1K", "pool-size": "8M", "body-max": "1M"})
    body = bytes_of("steady", 100 * KIB)
    with s.connect() as c:
        c.send(request("POST", "/steady", None, [("Content-Length", str(len(body)))]))
        for i in range(0, len(body), 2 * KIB):      # longer than body-timeout, and several times the rate
            c.send(body[i:i + 2 * KIB])
            time.sleep(0.1 * SLOW)
        r = c.reply()
        equal(r.status, 200, r)
        equal(c.ask("GET", f"/-/records/{r.name}").body, body, "read-back")


@case("slow readers of large replies are cut off, by write-timeout or idle-timeout", each=True)
def readers(t):
    need_descriptors(300)
    # What fits into the kernel's buffers has been sent: then the client is idle.
    s = t.server(settings={"write-timeout": "1s", "idle-timeout": "3s", "pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(12):
            post(c, "/r", bytes_of(i, 500 * KIB))
    start = settled_books(s)
    asks = [request("GET", "/-/records/0-1..12"), request("GET", "/-/records/0-3"), request("GET", "/-/") * 900,
            request("GET", "/-/livez") * 2000]
    with Honest(s) as honest, Watch(s) as watch:
        drips = [Drip(s, asks[k % len(asks)], None, rcvbuf=4 * KIB) for k in range(100)]
        read_slowly(s, drips, honest)
    check_watched(watch)
    equal(ended(s) - honest.again, 100, "timeouts counted")
    check(all(len(d.got) < 100 * KIB for d in drips), "one got everything")
    check_books(s, start)


def check_watched(watch):
    print(f"#    at most {watch.unsent / KIB:.0f} KiB unsent of a connection, {watch.turn / KIB:.0f} KiB sent in a turn")
    check(watch.unsent <= UNSENT_MAX, watch.unsent, "bytes are held for one client that does not read them")
    check(watch.turn <= TURN_MAX, watch.turn, "bytes were sent in one turn, while others waited")


@case("readers who come all at once: what is held for each, and what a turn sends them, has a bound", each=True,
      classes="syncs")
def crowd(t):
    need_descriptors(300)
    s = t.server(settings={"write-timeout": "10m", "idle-timeout": "10m", "pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(8):
            post(c, "/r", bytes_of(i, 500 * KIB))
    start = settled_books(s)
    socks = [small_window(s, 4 * KIB) for _ in range(200)]
    held = [0, 0]

    def full():
        """Nothing more comes to the kernel's buffers."""
        honest.look()
        held.append(sum(unsent(s)))
        time.sleep(0.1)
        return len(held) > 8 and held[-1] and max(held[-6:]) - min(held[-6:]) < 256 * KIB
    with Honest(s) as honest, Watch(s) as watch:
        s.proc.send_signal(signal.SIGSTOP)      # so that it finds them all at once
        for k in socks:
            k.sendall(request("GET", "/-/records/0-1..8"))
        s.proc.send_signal(signal.SIGCONT)
        wait_until(full, 180, "the readers' buffers do not fill up")
    check_watched(watch)
    for k in socks:
        k.close()
    check_books(s, start)


@case("more slow readers than slots for read-backs: honest ones are served, and who reads is not cut off", each=True,
      classes="syncs")
def readers_many(t):
    need_descriptors(1500)
    # No timeout ends them: only that others want to read.
    # Most come over a Unix socket, for which the kernel keeps 200 KB; what they ask for
    # before the range fits in there, or it would hold the pool.
    unix = "unix:" + os.path.join(t.dir, "socket")
    s = t.server(listen=[f"127.0.0.1:{free_port()}", unix],
                 settings={"write-timeout": "10m", "idle-timeout": "10m", "pushback-timeout": ms(3000),
                           "pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        bodies = [bytes_of(i, 500 * KIB) for i in range(12)]
        names = [post(c, "/r", b) for b in bodies]
    start = settled_books(s)
    asks = [request("GET", "/-/records/0-1..12"), request("GET", "/-/livez") * 500 + request("GET", "/-/records/0-1..12")]
    drips = [Drip(s, asks[k % len(asks)], None, rcvbuf=4 * KIB if k % 10 == 0 else 0, addr=unix)
             for k in range(600)]
    with Honest(s, every=1) as honest:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            honest.look()
            time.sleep(0.1)

        def one_cut():
            honest.look()
            return ended(s)
        wait_until(one_cut, 60, "no slow reader was cut off")
        with s.connect() as c:
            for name, body in zip(names, bodies):
                r = c.ask("GET", f"/-/records/{name}")
                check(r.status == 200 and r.body == body, "read-back beside slow readers:", r)
    cut = ended(s)
    check(cut <= honest.reads + 600 + 20, cut, "cut off for", honest.reads, "read-backs and those that wait")
    for d in drips:
        d.sock.close()
    check_books(s, start)

    # As many whose answers, of two pieces, the kernel takes at once: nobody is slow, so each
    # gets everything, or 503 at once and in words.
    with s.connect() as c:
        first, last = (post(c, "/r", bytes_of(i, 40 * KIB)) for i in range(2))
    socks = [s.connect() for _ in range(300)]
    for k in socks:
        k.send(request("GET", f"/-/records/{first}..{last.split('-')[1]}"))
    got = [k.reply() for k in socks]
    equal({r.status for r in got} - {200, 503}, set(), "statuses of many readers")
    check(all(len(records(r.body)) == 2 for r in got if r.status == 200), "one was cut off")
    check(sum(r.status == 200 for r in got) >= 190, "few were served")
    for k in socks:
        k.close()
    check_books(s, start)


@case("who is cut off for not reading leaves nothing in the kernel", each=True, classes="syncs")
def orphans(t):
    s = t.server(settings={"write-timeout": ms(1000), "idle-timeout": "10m", "pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(4):
            post(c, "/r", bytes_of(i, 500 * KIB))
    socks = [small_window(s, 4 * KIB) for _ in range(20)]
    for k in socks:
        k.sendall(request("GET", "/-/records/0-1..4"))
    wait_until(lambda: ended(s) == len(socks), 60, "they are not cut off")
    # The clients' own are still there, but take nothing.
    wait_until(lambda: not any(unsent(s)), 20, "what nobody reads is kept")
    for k in socks:
        k.close()


@case("clients that ask without end and never read: honest posts find a buffer, not 503", each=True)
def askers(t):
    need_descriptors(200)
    # Only that others want the buffers ends them.
    s = t.server(settings={"write-timeout": "10m", "idle-timeout": "10m", "pool-size": "2M", "body-max": "256K"})
    start = settled_books(s)
    ask = memoryview(request("GET", "/nothing-here") * 20000)
    socks = {small_window(s, 4 * KIB): ask for _ in range(80)}
    for k in socks:
        k.setblocking(False)

    def go_on():
        for k in list(socks):
            try:
                socks[k] = socks[k][k.send(socks[k]):]
            except BlockingIOError:
                continue
            except OSError:
                k.close()
                del socks[k]
        r = c.ask("POST", "/honest", bytes_of("honest", 20 * KIB))
        equal(r.status, 200, f"an honest post: {r}")
    with s.connect() as c:
        for _ in range(300):
            go_on()
    for k in socks:
        k.close()
    check_books(s, start)


@case("slowhttptest: its attacks by head, body and reading; honest clients are served")
def tool(t):
    if not shutil.which("slowhttptest"):
        raise Skip("slowhttptest is not installed")
    need_descriptors(500)
    s = t.server(settings={"header-timeout": "1s", "body-timeout": "1s", "write-timeout": "1s", "idle-timeout": "2s",
                           "pool-size": "8M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(8):
            post(c, "/r", bytes_of(i, 500 * KIB))
    start = settled_books(s)
    url = f"http://{s.listen[0]}/slow"
    modes = [["-H", "-u", url], ["-B", "-u", url, "-s", "100000"],
             ["-X", "-u", url.replace("/slow", "/-/records/0-1..8"), "-w", "512", "-y", "1024", "-n", "1", "-z", "8", "-k", "3"]]
    for mode in modes:
        with Honest(s), Watch(s) as watch:
            out = subprocess.run(["slowhttptest", "-c", "200", "-r", "200", "-i", "1", "-l", "4", "-p", "3", *mode],
                                 capture_output=True, text=True, timeout=120 * SLOW, cwd=t.dir)
        check(out.returncode == 0, mode[0], "exits", out.returncode, out.stderr[-500:])
        check_watched(watch)
        check_books(s, start)
    m = s.metrics()
    check(m.any(r'timeouts_total\{.*what="head"') >= 100, "few heads timed out", m.text)
    check(m.any(r'timeouts_total\{.*what="body"') >= 100, "few bodies timed out")


if __name__ == "__main__":
    main()
