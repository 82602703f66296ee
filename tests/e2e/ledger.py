# SPDX-License-Identifier: BSD-2-Clause
"""ledger - clients that write down what they did, and the judge of what came back.

A writer owns one connection and a list of entries, one per request, in the order
of sending.  An entry knows all of its bytes again from its id, so the ledger is
small.  What an entry says, and when it is set:

  whole   before the last byte is handed to the kernel: from now on the server may
          have it; without it the record must never appear
  name    after the 200 was read completely: from now on it must be there

The judge has the ledger and the records of a dump, and fails on a record that is
lost      named, and not there
altered   there, and not the bytes that were sent
duplicate there twice, or a name that was given twice
reordered the records of one connection are not in the order of sending
unsent    there although its last byte was never sent, or nobody sent it at all
"""
import random
import socket
import threading

from harness import Conn, KIB, MIB, SLOW, bytes_of, check, chunked


class Entry:
    __slots__ = ("id", "order", "method", "size", "chunk", "whole", "name")

    def __init__(self, id, order, rng, sizes):
        self.id, self.order = id, order
        self.method = rng.choice(("POST", "POST", "POST", "PUT", "PATCH", "DELETE"))
        self.size = rng.choice(sizes)() if callable(sizes[0]) else rng.choice(sizes)
        self.chunk = rng.choice((0, 0, 0, 1, 100, 4096, 50000))
        if self.chunk == 1 and self.size > 3000:
            self.chunk = 1000
        self.whole, self.name = False, None

    def target(self):
        return f"/ledger/{self.id}"

    def body(self):
        return bytes_of(self.id, self.size)

    def headers(self):
        h = [("Host", "ledger"), ("Content-Type", "application/octet-stream"), ("X-Id", self.id)]
        return h + [("Transfer-Encoding", "chunked") if self.chunk else ("Content-Length", str(self.size))]

    def bytes(self):
        head = f"{self.method} {self.target()} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in self.headers())
        body = self.body()
        return head.encode() + b"\r\n" + (chunked(body, self.chunk) if self.chunk else body)


SMALL = (0, 1, 100, 1000, 1024, 2000, 2048, 3000, 4096)
MIXED = SMALL * 6 + (10000, 65536, 100000, 300000, MIB)


class Writer(threading.Thread):
    """One connection.  kind: single (wait for each reply), pipelined, or partial:
    ends each connection inside a request that must never appear."""

    def __init__(self, addr, tag, seed, kind):
        super().__init__(daemon=True)
        self.addr, self.tag, self.kind = addr, tag, kind
        self.rng = random.Random(f"{seed}/{tag}")
        self.entries, self.errors = [], []
        self.refused = 0
        self.conn = None
        self.stopping = False

    def entry(self):
        e = Entry(f"{self.tag}.{len(self.entries)}", len(self.entries), self.rng,
                  SMALL if self.kind == "pipelined" else MIXED)
        self.entries.append(e)
        return e

    def run(self):
        try:
            while not self.stopping:
                with Conn(self.addr, timeout=20) as self.conn:
                    if not self.session(self.conn):
                        return
        except (OSError, EOFError):
            pass        # the kill
        except AssertionError as e:
            self.errors.append(e)

    def session(self, c):
        """One connection's life; True: open another one."""
        if self.kind == "partial":
            for _ in range(self.rng.randrange(4)):
                self.exchange(c, [self.entry()])
            data = self.entry().bytes()
            c.send(data[:self.rng.randrange(1, len(data))])
            return self.rng.random() < 0.7 or self.hang(c)
        while not self.stopping:
            n = self.rng.randrange(2, 40) if self.kind == "pipelined" else 1
            self.exchange(c, [self.entry() for _ in range(n)])
        return False

    def hang(self, c):
        c.more()        # until the kill
        return False

    def exchange(self, c, batch):
        for e in batch:
            e.whole = True
        sender = None
        data = b"".join(e.bytes() for e in batch)
        if len(data) > 100 * KIB and len(batch) > 1:
            sender = threading.Thread(target=send_quietly, args=(c, data), daemon=True)
            sender.start()
        else:
            c.send(data)
        for e in batch:
            r = c.reply()
            if r.status == 503:
                self.refused += 1
                raise EOFError
            check(r.status == 200 and r.name, f"{e.id}: {r}")
            e.name = r.name
        if sender:
            sender.join()

    def end(self):
        """After the kill: nothing can be read any more."""
        self.stopping = True
        try:
            self.conn and self.conn.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join(30 * SLOW)
        check(not self.is_alive(), "a writer does not end")


def send_quietly(c, data):
    try:
        c.send(data)
    except OSError:
        pass


def judge(entries, got):
    """entries: of all writers, all cycles; got: the records of a dump.  Returns
    how many unacknowledged ones survived."""
    by_id = {e.id: e for e in entries}
    by_name, last_seq, seen = {}, {}, {}
    for r in got:
        check(r.seq > last_seq.get(r.lane, 0), "reordered or duplicate: the dump has", r.name, "after",
              last_seq.get(r.lane))
        last_seq[r.lane] = r.seq
        by_name[r.name] = r
        check(r.target.startswith("/ledger/"), "unsent: a target that nobody sent:", r.target)
        e = by_id.get(r.target.removeprefix("/ledger/"))
        check(e is not None, "unsent: an id that nobody sent:", r.target)
        check(e.whole, "unsent: its last byte was never sent:", r.name, r.target)
        check(e.id not in seen, "duplicate:", r.target, "as", r.name, "and", seen.get(e.id))
        seen[e.id] = r.name
        check(r.method == e.method, "altered method:", r.name)
        check(r.headers == e.headers(), "altered headers:", r.name, r.headers, e.headers())
        check(r.body == e.body(), "altered body:", r.name, "of", e.size, "bytes")
    names = {}
    for e in entries:
        if e.name:
            check(e.name not in names, "duplicate name:", e.name, "for", e.id, "and", names.get(e.name))
            names[e.name] = e.id
            check(e.name in by_name, "lost:", e.name, "that is", e.id, "of", e.size, "bytes")
            check(seen.get(e.id) == e.name, "altered:", e.id, "was named", e.name, "and is", seen.get(e.id))
    return len(seen) - len(names)


def judge_order(writer, got):
    """The survivors of one writer's connections are in the order of sending, in each lane."""
    order = {e.id: e.order for e in writer.entries}
    last = {}
    for r in got:
        i = order.get(r.target.removeprefix("/ledger/"))
        if i is not None:
            check(i > last.get(r.lane, -1), "reordered:", r.name, "of", writer.tag)
            last[r.lane] = i
