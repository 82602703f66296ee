#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""disk - a virtual disk with a volatile cache, for power cuts and failures.

Not run by make check: Disk starts it.

	d = Disk(t, image_file, seed)       # a process of its own
	machine(..., args=vm.disk(d.url))
	machine.cut()
	d.cut()                             # what was not flushed: kept, lost or torn
	d.freeze("flush", 3)                # stands still at the 3rd flush from now
	d.fail(flush=EIO, times=1); d.heal(); d.counts()

A file behind QEMU would keep every write that the guest made: a SIGKILL does not empty
the host's page cache.  This disk (an NBD server, one client) does what a drive may do:
a write is durable when a FLUSH that came after it has been answered, or with FUA.  At
cut() each later write is, by the seed, kept, dropped, or torn at 512-byte sectors,
each on its own, so that a newer one may be there and an older one not.

A failure that is asked for answers with the error.  Of a failed write nothing is
written.  What was volatile when a flush failed is lost at the next cut, whatever later
flushes say: a guest that syncs again, is told 0 and believes it, is caught.
"""
import errno
import json
import os
import random
import socket
import struct
import subprocess
import sys

READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
REQUEST, REPLY = 0x25609513, 0x67446698
OPT_MAGIC, OPT_REPLY = 0x49484156454F5054, 0x3E889045565A9
SECTOR = 512
VOLATILE, DOOMED, DURABLE = range(3)


class Disk:
    """The test's end: starts the server, talks to it in lines of JSON."""

    def __init__(self, t, path, seed):
        from harness import die_with_parent
        self.path, self.socket = path, path + ".nbd"
        self.proc = subprocess.Popen([sys.executable, "-B", __file__, path, self.socket, str(seed)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     preexec_fn=die_with_parent)
        t.undo.append(self.end)
        self.counts()       # it listens

    @property
    def url(self):
        return f"nbd+unix:///?socket={self.socket}"

    def tell(self, **k):
        self.proc.stdin.write(json.dumps(k) + "\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        if not line:
            raise RuntimeError("the disk's server ended")
        return json.loads(line)

    def cut(self):
        return self.tell(do="cut")

    def fail(self, times=-1, holding="", **errors):
        """write=errno, flush=errno: from now on, or so many times; of the writes only those
        with that text in their data."""
        return self.tell(do="fail", times=times, errors=errors, holding=holding)

    def heal(self):
        return self.tell(do="fail", times=0, errors={}, holding="")

    def freeze(self, kind, n):
        """Stands still from the n-th write on (it is in the cache) or at the n-th flush (it
        is not done): a moment for a cut with something to lose.  counts()["frozen"]."""
        return self.tell(do="freeze", kind=kind, n=n)

    def counts(self):
        return self.tell(do="counts")

    def end(self):
        self.proc.kill()
        self.proc.wait()
        for f in (self.proc.stdin, self.proc.stdout):
            f.close()


class Cache:
    """The medium and what is not yet durable on it."""

    def __init__(self, path, seed):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.rng = random.Random(seed)
        self.log = []       # [offset, old bytes, new bytes, fate], in order
        self.errors, self.times, self.holding = {}, 0, b""
        self.n = dict.fromkeys(("writes", "flushes", "failed_writes", "failed_flushes", "cuts",
                                "kept", "dropped", "torn"), 0)

    def failure(self, kind, data=b""):
        err = self.errors.get(kind)
        if not err or not self.times or self.holding not in data:
            return 0
        self.times -= 1
        return err

    def write(self, offset, data, fua):
        err = self.failure("write", data)
        self.n["failed_writes" if err else "writes"] += 1
        if err:
            return err
        if not fua:
            self.log.append([offset, os.pread(self.file, len(data), offset), data, VOLATILE])
        elif self.log:      # what is older must not come over it
            self.log.append([offset, os.pread(self.file, len(data), offset), data, DURABLE])
        os.pwrite(self.file, data, offset)
        return 0

    def flush(self):
        err = self.failure("flush")
        self.n["failed_flushes" if err else "flushes"] += 1
        for w in self.log:
            if w[3] == VOLATILE:
                w[3] = DOOMED if err else DURABLE
        if not any(w[3] == DOOMED for w in self.log):
            self.log.clear()
        return err

    def cut(self):
        """Back to the last durable state, then some of what came later.  A cut is of one
        mood: mostly kept, mostly lost, or a mixture."""
        for offset, old, _, _ in reversed(self.log):
            os.pwrite(self.file, old, offset)
        mood = self.rng.choice((0.0, 0.5, 0.9))
        for offset, _, new, fate in self.log:
            if fate == DURABLE:
                os.pwrite(self.file, new, offset)
            elif fate == DOOMED or self.rng.random() < mood:
                self.n["dropped"] += 1
            elif self.rng.random() < 0.7:
                self.n["kept"] += 1
                os.pwrite(self.file, new, offset)
            else:
                self.n["torn"] += 1
                for i in range(0, len(new), SECTOR):
                    if self.rng.random() < 0.5:
                        os.pwrite(self.file, new[i:i + SECTOR], offset + i)
        self.log.clear()
        self.n["cuts"] += 1


class Server:
    """NBD, fixed newstyle, without what QEMU can do without."""

    def __init__(self, cache, where):
        import selectors
        self.cache, self.conn = cache, None
        self.freeze, self.frozen = (None, 0), False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(where)
        self.listener.listen(1)
        self.select = selectors.DefaultSelector()
        self.select.register(self.listener, selectors.EVENT_READ)
        self.select.register(sys.stdin, selectors.EVENT_READ)
        self.read = selectors.EVENT_READ

    def loop(self):
        while True:
            for key, _ in self.select.select():
                if key.fileobj is sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(json.dumps(self.control(json.loads(line))), flush=True)
                elif key.fileobj is self.listener:
                    self.drop()
                    self.conn, _ = self.listener.accept()
                    self.guard(self.negotiate)
                    if self.conn:
                        self.select.register(self.conn, self.read)
                elif key.fileobj is self.conn:
                    self.guard(self.request)

    def guard(self, step):
        try:
            step()
        except (EOFError, ConnectionError):
            self.drop()

    def drop(self):
        if self.conn:
            try:
                self.select.unregister(self.conn)
            except KeyError:
                pass
            self.conn.close()
            self.conn = None

    def control(self, order):
        if order["do"] == "cut":
            # QEMU is dead; what it had sent and was not read yet had not arrived.
            self.drop()
            self.cache.cut()
            self.freeze, self.frozen = (None, 0), False
        elif order["do"] == "freeze":
            self.freeze = ({"write": WRITE, "flush": FLUSH}[order["kind"]], order["n"])
        elif order["do"] == "fail":
            self.cache.errors, self.cache.times = order["errors"], order["times"]
            self.cache.holding = order["holding"].encode()
        return dict(self.cache.n, frozen=self.frozen, volatile=sum(w[3] == VOLATILE for w in self.cache.log))

    def exactly(self, n):
        out = bytearray()
        while len(out) < n:
            got = self.conn.recv(n - len(out))
            if not got:
                raise EOFError
            out += got
        return bytes(out)

    def negotiate(self):
        self.conn.sendall(b"NBDMAGIC" + struct.pack(">QH", OPT_MAGIC, 3))
        self.exactly(4)
        flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA
        while True:
            _, option, length = struct.unpack(">QII", self.exactly(16))
            self.exactly(length)

            def answer(kind, data=b"", option=option):
                self.conn.sendall(struct.pack(">QIII", OPT_REPLY, option, kind, len(data)) + data)
            if option == 1:             # EXPORT_NAME
                self.conn.sendall(struct.pack(">QH", self.cache.size, flags))
                return
            if option in (6, 7):        # INFO, GO
                answer(3, struct.pack(">HQH", 0, self.cache.size, flags))
                answer(1)
                if option == 7:
                    return
            elif option == 2:           # ABORT
                answer(1)
                raise EOFError
            else:
                answer(0x80000001)      # not supported

    def stands_still(self, kind):
        if kind != self.freeze[0]:
            return False
        self.freeze = (kind, self.freeze[1] - 1)
        self.frozen = self.freeze[1] <= 0
        return self.frozen

    def request(self):
        magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", self.exactly(28))
        if magic != REQUEST or kind == DISC:
            raise EOFError
        err, data = errno.EINVAL, b""
        if self.stands_still(kind):
            if kind == WRITE:
                self.cache.write(offset, self.exactly(length), flags & 1)
            self.select.unregister(self.conn)
            return
        if kind == READ:
            err, data = 0, os.pread(self.cache.file, length, offset)
        elif kind == WRITE:
            err = self.cache.write(offset, self.exactly(length), flags & 1)
        elif kind == FLUSH:
            err = self.cache.flush()
        self.conn.sendall(struct.pack(">IIQ", REPLY, err, handle) + (b"" if err else data))


if __name__ == "__main__":
    # The terminal's ^C is for the test, which ends this by closing the pipe.
    Server(Cache(sys.argv[1], sys.argv[3]), sys.argv[2]).loop()
