#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""clock - what goes by the time: deadlines, dates, ages, and a wall clock that jumps; with a clock
that the test moves (testclock.py), so that nothing is waited for and nothing races.  What
happens once happens again in the same life."""
import calendar
import contextlib
import email.utils
import os
import select
import socket
import time

import edges  # noqa: F401
import testclock
from harness import SLOW, Conn, case, check, equal, main, post, records, request, tcp_queues, wait_until

HOUR, DAY, MIN = 3600, 86400, 60
TIMES = {"header-timeout": "1m", "body-timeout": "2m", "idle-timeout": "3m", "write-timeout": "4m", "body-rate": "0"}


def timed_out(s, what):
    return s.metrics().any(rf'timeouts_total.*"{what}"')


def opened(s):
    """Connections besides the one that asks."""
    return s.metrics().sum("pasted_connections_open") - 1


def both(f):
    return case(f.__doc__, each=True, rings=["socket"])(f)


# ---- deadlines ----

def idles(s, clock, c, turn):
    """From now on it is idle: there after 150 of 180 s, and closed, and counted, after 190."""
    clock.go(150)
    equal(opened(s), 1, "connections after 150 of 180 s")
    clock.go(40)
    check(c.closed(), "after 190 s it is not closed")
    c.close()
    equal(timed_out(s, "idle"), turn + 1, "timeouts counted")


@both
def idle(t):
    """a connection without a request: idle-timeout, from its last reply"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(2):
        c = s.connect()
        for _ in range(3):              # each reply puts it off
            clock.go(150)
            equal(opened(s), 1, "connections after 150 of 180 s")
            post(c, "/x", b"x")
        idles(s, clock, c, turn)


@case("a reply that we owe: idle-timeout begins when it has left", each=True, rings=["socket"], classes="syncs")
def owed(t):
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(2):
        c = s.connect()
        clock.put(testclock.HELD, 1)
        c.send(request("POST", "/x", b"x"))
        wait_until(lambda: s.metrics().any(r'requests_total.*"record"') == turn + 1, 20, "it does not come")
        clock.go(400)
        clock.put(testclock.HELD, 0)
        equal(c.reply().status, 200, "after a sync of 400 s")
        idles(s, clock, c, turn)


@both
def never_asked(t):
    """a connection that never asks: the same, from its beginning"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(2):
        c = s.connect()
        wait_until(lambda: opened(s) == 1, 20, "it does not come")
        idles(s, clock, c, turn)


@both
def head(t):
    """a head: header-timeout from its first byte, whatever comes meanwhile"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(2):
        c = s.connect()
        post(c, "/x", b"x")
        clock.go(150)
        for piece in (b"POST /x HTTP/1.1\r\n", b"Host: x\r\n", b"A: b\r\n"):
            c.send(piece)
            heard(s, c)
            clock.go(10)                # of 60 s, 30
        equal(timed_out(s, "head"), turn, "timeouts before the time")
        clock.go(40)
        equal(c.reply().status, 408, "a head that does not come")
        check(c.closed(), "it is not closed")
        c.close()
        equal(timed_out(s, "head"), turn + 1, "timeouts counted")
        c = s.connect()                 # one that comes in time has a deadline of its own
        for _ in range(3):
            c.send(b"POST /x HTTP/1.1\r\nHost: x\r\n")
            heard(s, c)
            clock.go(30)
            c.send(b"Content-Length: 1\r\n\r\nx")
            equal(c.reply().status, 200, "a head of 30 s")
        c.close()


def heard(s, c):
    """What was sent is no longer in the socket."""
    wait_until(lambda: unsent(c) == 0, 20, "the server does not read")
    s.metrics()         # its worker has made a turn since


def unsent(c):
    """Bytes that the server has not taken: by the queue of its end of the connection."""
    me, it = c.sock.getsockname()[1], c.sock.getpeername()[1]
    return sum(unread for port, _, unread in tcp_queues(it) if port == me)


@both
def body(t):
    """a body: body-timeout, anew with whatever comes of it"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(2):
        c = s.connect()
        c.send(request("POST", "/x", b"0123456789")[:-10])
        for i in range(4):
            heard(s, c)
            clock.go(90)
            c.send(b"%d" % i)
        heard(s, c)
        clock.go(90)
        equal(timed_out(s, "body"), turn, "timeouts before the time")
        clock.go(40)
        equal(c.reply().status, 408, "a body that does not come")
        check(c.closed(), "it is not closed")
        c.close()
        equal(timed_out(s, "body"), turn + 1, "timeouts counted")


@both
def lingering(t):
    """after the last reply: 2 s for the client's own end, and not for ever"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for _ in range(2):
        c = s.connect()
        equal(c.ask("GET", "/nothing", headers=[("Connection", "close")]).status, 404, "its last reply")
        check(c.closed(), "no end")
        clock.go(2.5)
        wait_until(lambda: opened(s) == 0, 20, "the connection stays")
        c.close()


@both
def unread_reply(t):
    """a reply that the client does not take: write-timeout, from the last byte that it took"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=dict(TIMES, **{"idle-timeout": "1h", "header-timeout": "1h"}))
    with s.connect() as c:
        name = post(c, "/x", os.urandom(2 << 20))
    one = request("GET", f"/-/records/{name}")
    for turn in range(2):
        c, left = slow_reader(s), sent(s)
        c.send(one * 16)

        def stands(left):
            """What has left, once nothing leaves any more but our own answers; more than before."""
            wait_until(lambda: sent(s) > left + 200000, 20, "nothing more leaves")
            was, now = -1 << 20, sent(s)
            while now - was > 50000:
                time.sleep(0.1)
                was, now = now, sent(s)
            return now
        left = stands(left)
        for _ in range(3):
            clock.go(210)
            equal(timed_out(s, "send"), turn, "timeouts before the time")
            c.exactly(4 << 20)
            left = stands(left)
        clock.go(260)
        equal(timed_out(s, "send"), turn + 1, "timeouts counted")
        equal(opened(s), 0, "connections")
        c.close()


def sent(s):
    return s.metrics().sum("pasted_ring_sent_bytes_total")


def slow_reader(s):
    c = Conn.__new__(Conn)
    c.sock, c.buf = socket.socket(), b""
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    c.sock.settimeout(20 * SLOW)
    host, port = s.listen[0].split(":")
    c.sock.connect((host, int(port)))
    return c


# ---- pressure, and a disk that does not answer ----

def hoard(s, whole):
    """Requests with more bytes than there are buffers; whole ones wait for the disk."""
    conns = [s.connect() for _ in range(60)]
    for c in conns:
        r = request("POST", "/hoard", bytes(50000))
        c.send(r if whole else r[:-1])
    left = -1
    while left <= 0 or left != (now := unread(s)):      # asking would take the last buffer
        left = now if left > 0 else unread(s)
        time.sleep(0.05)
    return conns


def unread(s):
    """Bytes that the server has not read.  While the table is read connections may be missing."""
    return max(sum(unread for _, _, unread in tcp_queues(s.port)) for _ in range(3))


@case("a pool without a buffer: nobody is refused before pushback-timeout, each time anew", each=True,
      rings=["socket"], classes="syncs")
def dry(t):
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings={
        "pool-size": "2M", "body-max": "900K", "pushback-timeout": "60s", "header-timeout": "1d",
        "body-timeout": "1d", "idle-timeout": "1d", "write-timeout": "1d"})
    for turn in range(2):
        for seconds in (30, 70, 30):
            clock.put(testclock.HELD, 1)
            conns = hoard(s, True)
            clock.go(seconds)
            equal(bool(told(conns, 20 * SLOW if seconds > 60 else 0)), seconds > 60, f"refused after {seconds} s")
            clock.put(testclock.HELD, 0)
            got = {c.reply().status for c in conns}
            equal(got, {200} if seconds < 60 else {200, 503}, f"statuses after {seconds} s")
            leave(s, clock, conns)
        clock.go(60)
        conns = hoard(s, False)         # nobody but their clients can end these
        clock.go(10)                    # what can be read, is
        left = unread(s)
        clock.go(20)
        check(unread(s) >= left, "somebody is refused after 30 s")
        clock.go(40)
        wait_until(lambda: not unread(s), 20, "nobody is refused after 70 s")
        leave(s, clock, conns)


def told(conns, seconds):
    """Those that have an answer."""
    ready = select.select([c.sock for c in conns], [], [], seconds)[0]
    return [c for c in conns if c.sock in ready]


def leave(s, clock, conns):
    for c in conns:
        c.close()
    clock.go(1)                         # what is refused is read
    wait_until(lambda: opened(s) == 0, 20, "they do not go")


@case("a pool full of records is emptied long before checkpoint-interval, each time", each=True, rings=["socket"],
      classes="wal")
def emptied(t):
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings={"pool-size": "2M", "body-max": "256K", "checkpoint-interval": "1h",
                                             "pushback-timeout": "50s"})
    for turn in range(3):
        with s.connect() as c:
            for i in range(100):        # more than twice the pool
                post(c, "/r", bytes(50000))
        clock.go(30)                    # the checkpoint is over


@case("a disk that does not answer is told, and when it answers; each time", each=True, rings=["socket"], classes="syncs")
def silent(t):
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=TIMES)
    for turn in range(1, 3):
        c = s.connect()
        clock.put(testclock.HELD, 1)
        c.send(request("POST", "/x", b"x"))
        wait_until(lambda: s.metrics().any(r'requests_total.*"record"') == turn, 20, "it does not come")
        clock.go(10)
        r = wait_until(lambda: (lambda r: r if r.status == 503 else None)(s.ask("GET", "/-/readyz")), 20, "it is not told")
        check(b"the disk has not answered for" in r.body, r.body)
        wait_until(lambda: s.said().count("the disk has not answered") >= turn, 20, s.said())
        m = s.metrics()
        check(10 <= m.sum("pasted_disk_waits_seconds") < HOUR, "it waits for", m.sum("pasted_disk_waits_seconds"))
        clock.put(testclock.HELD, 0)
        equal(c.reply().status, 200, "when it answers")
        wait_until(s.ready, 20, "readyz stays bad")
        wait_until(lambda: s.metrics().sum("pasted_disk_waits_seconds") < 5, 20, "it waits still")
        c.close()


# ---- dates ----

def dated(s, what):
    """A record is of the time when it was committed, and so is the reply."""
    before = int(time.time() + s.clock.ahead) - 5
    r = s.ask("POST", "/dated", b"x")
    after = time.time() + s.clock.ahead + 5
    date = calendar.timegm(email.utils.parsedate(r.get("Date")))
    check(before <= date <= after, what, "Date is", r.get("Date"))
    s.want[r.name] = before, after


def times(lines):
    out = {}
    for r in lines:
        m = r.time.split(".")
        out[r.name] = calendar.timegm(time.strptime(m[0], "%Y-%m-%dT%H:%M:%S")) + float("0." + m[1][:-1])
    return out


def dates_are_right(s, got, what):
    equal(sorted(got), sorted(s.want), what)
    for name, (before, after) in s.want.items():
        check(before <= got[name] <= after, what, name, "is of", time.ctime(got[name]), "and not of", time.ctime(before))


@both
def dates(t):
    """records and replies have the date of their commit, whichever way the clock is set"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings={"checkpoint-interval": "1h"})
    s.clock, s.want = clock, {}
    for turn in range(2):
        dated(s, "now")
        for ahead in (10 * DAY, 10 * DAY + 100, -10 * DAY, 0):
            clock.put(testclock.WALL, ahead)
            dated(s, f"{ahead} s ahead")
        clock.go(HOUR)              # a checkpoint, and they are read from the segments
        dates_are_right(s, times(records(s.ask("GET", "/-/records/0-1..").body)), "read back")
        r = s.ask("GET", "/-/livez")
        date = calendar.timegm(email.utils.parsedate(r.get("Date")))
        check(abs(date - time.time() - clock.ahead) < HOUR, "Date of the service is", r.get("Date"))
        dated(s, "last")
        s.kill()
        dates_are_right(s, times(s.dump()), "dump after a kill")
        s.start()                       # replayed, in the classes with a wal
        dates_are_right(s, times(records(s.ask("GET", "/-/records/0-1..").body)), "after the replay")


# ---- ages ----

AGES = {"segment-size": "1M", "body-max": "256K", "pool-size": "4M", "retain-age": "8m", "checkpoint-interval": "1s"}


def status(s, name):
    return s.ask("GET", f"/-/records/{name}").status


@both
def ages(t):
    """a record is there until it is as old as retain-age, and not when it is half as old again"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=AGES)
    born = {}
    for i in range(24):                 # segments are added to for two minutes
        for k in range(4):
            born[post_one(s, k)] = clock.now
        clock.go(15 if i % 2 else 105)
        for name, at in born.items():
            if clock.now - at > 12 * MIN + 5:
                wait_until(lambda: status(s, name) == 410, 20, f"{name} is there after {clock.now - at} s")
        for name, at in born.items():
            said = status(s, name)
            if clock.now - at < 8 * MIN:
                equal(said, 200, f"{name} after {clock.now - at} s")
        # One is begun in two minutes, the next is made ready, one is kept to be used again.
        check(s.metrics().sum("pasted_lane_segments") < 10, "segments:", s.metrics().sum("pasted_lane_segments"))
    check(status(s, "0-1") == 410, "nothing has expired")
    s.stop_clean()
    equal(s.recover("check").returncode, 0, "check")


def post_one(s, i):
    with s.connect() as c:
        return post(c, f"/{i}", b"%d" % i)


@both
def jumps(t):
    """a wall clock that jumps ahead takes no record away, twice; it is told, and when it is back"""
    clock = testclock.Clock(t)
    s = testclock.server(t, clock, settings=AGES)
    old = post_one(s, 0)
    for turn in range(1, 3):
        clock.put(testclock.WALL, 30 * DAY)
        clock.go(2)         # in which the checkpointer looks; no more, for a segment that is old is turned
        wait_until(lambda: s.said().count("the clock has jumped ahead") == turn, 20, "it is not told")
        young = post_one(s, turn)
        equal([status(s, n) for n in (old, young)], [200, 200], "records after the jump")
        clock.put(testclock.WALL, 0)
        clock.go(2)
        wait_until(lambda: s.said().count("the clock is trusted again") == turn, 20, "it is not told")
        equal([status(s, n) for n in (old, young)], [200, 200], "records when it is back")
    clock.put(testclock.WALL, -30 * DAY)        # backwards: what is there stays for longer
    clock.go(9 * MIN)
    equal(status(s, old), 200, "a record, in spite of a clock that is behind")
    equal(s.said().count("the clock has jumped ahead"), 2, "jumps ahead that were told")
    clock.put(testclock.WALL, 0)
    clock.go(9 * MIN)
    wait_until(lambda: status(s, old) == 410, 20, "nothing expires any more")


# ---- latencies ----

@case("a latency is what the client waits for: a sync that takes its time", each=True, rings=["socket"], classes="syncs")
def latencies(t):
    clock = testclock.Clock(t)
    s = testclock.server(t, clock)
    for turn in range(1, 3):
        with s.connect() as c:
            for i in range(94):
                post(c, "/quick", b"x")
            clock.put(testclock.SYNC, 20)
            for i in range(6):
                post(c, "/slow", b"x")
            clock.put(testclock.SYNC, 0)
        m = s.metrics()
        slow = m.sum("pasted_durable_latency_seconds_sum")
        check(120 * turn <= slow < 12000, "the sum of the latencies is", slow)
        stats = s.ask("GET", "/-/stats").json()["latency"]
        check(stats["p50_us"] < 10e6, "p50", stats["p50_us"])
        check(stats["p99_us"] > 10e6, "p99", stats["p99_us"])


if __name__ == "__main__":
    main()
