# SPDX-License-Identifier: BSD-2-Clause
"""hostile - what the tests of hostile clients share: honest clients beside an attack,
and the books: after an attack every connection, buffer and descriptor is back."""
import os
import resource
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import SLOW, Failed, Metrics, Skip, bytes_of, check, equal, tcp_queues, wait_until  # noqa: E402


def need_descriptors(n):
    """Room for n more sockets here; servers that start later inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = n + 200
    if hard != resource.RLIM_INFINITY and hard < want:
        raise Skip(f"{n} connections need {want} descriptors, the limit is {hard}")
    if soft != resource.RLIM_INFINITY and soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))


def books(s, c):
    """What is open and held, asked over c, which is one of the connections."""
    r = c.ask("GET", "/-/metrics")
    equal(r.status, 200, "/-/metrics")
    m = Metrics(r.body.decode())
    return {
        "connections": m.sum("pasted_connections_open") - 1,
        "buffers out": m.sum("pasted_pool_buffers") - m.sum("pasted_pool_buffers_free") -
        m.sum("pasted_pool_buffers_kernel"),
        "descriptors": s.descriptors() - 1,
    }


def settled_books(s):
    """The start value: what it is when nothing goes on."""
    now = {}
    with s.connect() as c:
        def rest():
            now.update(books(s, c))
            return now["connections"] == 0 and now["buffers out"] <= 1
        try:
            wait_until(rest, 30, "the books do not come to rest")
        except Failed as e:
            raise Failed(f"{e}: {now}") from None
    return now


def check_books(s, start, seconds=30):
    now = {}
    with s.connect() as c:
        def back():
            now.update(books(s, c))
            # Less than at the start: something that was held then is free now.
            return all(now[k] <= start[k] for k in start)
        try:
            wait_until(back, seconds, "not everything came back")
        except Failed as e:
            raise Failed(f"{e}: at the start {start}, now {now}") from None


def unsent(s):
    """Of each connection over TCP/IPv4 to the server: the bytes that it handed to the kernel
    and that the client has not acknowledged.  So much memory is held for who does not read."""
    return [unacked for _, unacked, _ in tcp_queues(s.port)]


class Watch:
    """Looks at the server, again and again: the most that any connection had unsent, and the
    most that a turn of the worker's loop sent, on average between two looks."""

    def __init__(self, s, every=0.02):
        self.s, self.every = s, every
        self.unsent = self.turn = self.looks = 0
        self.error, self.stop = None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def run(self):
        try:
            turns = sent = 0
            while not self.stop.is_set():
                m = self.s.metrics()
                was = turns, sent
                turns, sent = m.sum("pasted_batches_total"), m.sum("pasted_ring_sent_bytes_total")
                if self.looks and turns > was[0]:
                    self.turn = max(self.turn, (sent - was[1]) / (turns - was[0]))
                self.unsent = max([self.unsent, *unsent(self.s)])
                self.looks += 1
                self.stop.wait(self.every)
        except Exception as e:  # noqa: BLE001 - told by the thread that asks
            self.error = e

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join(60 * SLOW)
        if kind is None and (self.error or not self.looks):
            raise Failed(f"the server could not be watched: {self.error!r}")


class Honest:
    """Clients that post, read back what they posted, and expect nothing but success.  One that
    the server gave up on, as idle or slow (this machine stood still), asks again; the server
    must have counted that."""

    def __init__(self, s, clients=2, pause=0.01, every=5):
        """every: so many posts to a read-back."""
        self.s, self.pause, self.every, self.reads = s, pause, every, 0
        self.again = 0
        self.done, self.error, self.stop = 0, None, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(k,), daemon=True) for k in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def run(self, k):
        try:
            c, i = self.s.connect(), 0
            while not self.stop.is_set():
                try:
                    self.one(c, k, i)
                except (EOFError, ConnectionError):
                    c.close()
                    self.again += 1
                    c = self.s.connect()
                    self.one(c, k, i)
                i += 1
                time.sleep(self.pause)
            c.close()
        except Exception as e:  # noqa: BLE001 - told by the thread that asks
            self.error = e

    def one(self, c, k, i):
        body = bytes_of((k, i), 10 + i % 2000)
        r = c.ask("POST", f"/honest/{k}", body)
        equal(r.status, 200, f"honest client {k}, post {i}: {r}")
        if i % self.every == 0:
            self.reads += 1
            equal(c.ask("GET", f"/-/records/{r.name}").body, body, f"read-back of {r.name}")
        self.done += 1

    def look(self):
        if self.error:
            raise Failed(f"an honest client was not served: {self.error!r}")

    def __exit__(self, kind, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60 * SLOW)
        if kind is None:
            self.look()
            check(self.done >= 10, "honest clients did", self.done, "requests only")
            check(not any(t.is_alive() for t in self.threads), "an honest client hangs")
            late = self.s.metrics().any(r'timeouts_total\{.*what="(idle|send)"') if self.again else 0
            check(self.again <= late, self.again, "connections of honest clients were closed,", late, "as idle or slow")
