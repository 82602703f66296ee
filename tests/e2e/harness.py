# SPDX-License-Identifier: BSD-2-Clause
"""harness - what every end-to-end test needs: a server, a client, a verdict.

A test script is a list of functions marked with @case.  main() runs them, each in
a folder of its own, and exits with what automake's driver wants: 0, 1, or 77 when
nothing could be run (the reason is printed).  A case that is marked `each` runs
once per combination of ring and class that this machine can do.

Only what the programs promise in words is used here: command lines, replies,
files' names never.  The client writes raw bytes, because the tests are about
bytes; http.client would put them right.

Environment
  PASTED, PASTED_RECOVER      the programs
  PASTED_TEST_DIR             where the folders go; on an ordinary disk (default: .)
  PASTED_TEST_RINGS, _CLASSES restrict the combinations ("socket", "fsync")
  PASTED_TEST_SLOW            a factor for every timeout (sanitizers, valgrind)
  PASTED_TEST_KEEP            leave the folders behind
  PASTED_TEST_ONLY            run only the cases whose name contains this
  PASTED_TEST_FIRST           end after the first case that fails
  PASTED_TEST_SETTINGS        "key=value key=value": win over what a case sets
"""
import base64
import collections
import contextlib
import ctypes
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import weakref

from books import balance

SLOW = float(os.environ.get("PASTED_TEST_SLOW", "1"))
PASTED = os.environ.get("PASTED", "")
OVER = os.environ.get("PASTED_TEST_SETTINGS", "")
RECOVER = os.environ.get("PASTED_RECOVER", "")
KIB, MIB = 1 << 10, 1 << 20
# Memory is the sanitizer's then: shadows, and what was freed and is kept to be watched.
SANITIZED = bool(os.environ.get("SANITIZE_CFLAGS", "").strip())


class Skip(Exception):
    """What is needed is not there; the text says what."""


class Failed(AssertionError):
    pass


def check(cond, *what):
    if not cond:
        raise Failed(" ".join(str(w) for w in what) or "check failed")


def equal(got, want, what=""):
    if got != want:
        raise Failed(f"{what}: got {brief(got)}, want {brief(want)}")


def brief(v):
    text = repr(v)
    return text if len(text) < 300 else f"{text[:200]}... ({len(text)} characters)"


# ---- what this machine can do -------------------------------------------------

def have_uring():
    """A plain io_uring_setup(2), so that a server that wrongly refuses is seen."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(425, 4, params)
    if fd < 0:
        return False
    os.close(fd)
    return True


def fs_type(path):
    out = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True)
    return out.stdout.strip()


def shm_dir():
    if fs_type("/dev/shm") != "tmpfs" or not os.access("/dev/shm", os.W_OK):
        raise Skip("/dev/shm is not a tmpfs that can be written")
    return tempfile.mkdtemp(prefix="pasted-e2e.", dir="/dev/shm")


ClassRow = collections.namedtuple("ClassRow", "lane needs wal asked automatic")


def class_table():
    """The durability classes as the program's own table has them, weakest first: {name: row}.
    In a virtual machine the table lies beside this file."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "class.h")
    with open(path if os.path.exists(path) else os.path.join(here, "../../wal/format/class.h")) as f:
        rows = re.findall(r'^\tX\(\w+, \d+, "([\w-]+)", (\w+), (\w+), (\w+), (\w+), (\w+),', f.read(), re.M)
    return {name: ClassRow(*row) for name, *row in reversed(rows)}


CLASSES = class_table()
# Those that any machine can be asked for, and that store something; strongest first.
EVERYWHERE = [name for name, c in reversed(CLASSES.items()) if c.asked == "ASKED" and c.needs in ("ANYTHING", "DISK")]
# What a case may be of: those with a wal; those whose commit is a sync of the segments.
PROPERTIES = {"wal": [name for name, c in CLASSES.items() if c.wal == "WAL"],
              "syncs": [name for name in EVERYWHERE if CLASSES[name].wal == "BARE"]}


def combinations():
    rings = os.environ.get("PASTED_TEST_RINGS", "uring socket").split()
    classes = os.environ.get("PASTED_TEST_CLASSES", " ".join(EVERYWHERE)).split()
    return [(r, c) for r in rings for c in classes]


# ---- processes -------------------------------------------------------------

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port(family=socket.AF_INET):
    """Below the range that the kernel takes clients' ports from: a server that is started
    again finds its port free."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    first = max(1024, low - 12000)
    for _ in range(1000):
        port = random.randrange(first, low) if first < low else 0
        with contextlib.suppress(OSError), socket.socket(family) as s:
            s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
            return s.getsockname()[1]
    raise Skip("no free port on the loopback")


def wait_until(cond, seconds, what):
    end = time.monotonic() + seconds * SLOW
    while True:
        v = cond()
        if v:
            return v
        if time.monotonic() > end:
            raise Failed(f"waited {seconds * SLOW:.0f} s in vain: {what}")
        time.sleep(0.01)


def ms(n):
    """A time setting that an honest client keeps to on a slow machine too."""
    return f"{n * SLOW:.0f}ms"


class Server:
    """One pasted process.  Settings that are not asked for keep their defaults,
    but for a small pool and small segments: the tests share a small machine."""

    tells = True        # its messages are in self.errors
    DEFAULTS = {"workers": "1", "pool-size": "16M", "segment-size": "16M"}

    def __init__(self, t, ring="auto", cls="auto", store=None, nvmm=None, listen=None,
                 settings=None, args=(), env=None):
        self.t, self.ring, self.cls = t, ring, cls
        self.store = store or os.path.join(t.dir, "store")
        self.nvmm = nvmm
        if cls in CLASSES and CLASSES[cls].needs == "ANYTHING" and not nvmm:
            self.nvmm = t.shm()
        self.port = 0 if listen else free_port()
        self.listen = listen or [f"127.0.0.1:{self.port}"]
        self.settings = dict(self.DEFAULTS)
        self.settings.update(settings or {})
        self.settings.update(kv.split("=") for kv in OVER.split())
        self.args, self.env = list(args), env
        self.audited = True     # its books are looked at in the end; not where it cannot be asked
        self.errors = os.path.join(t.dir, f"messages.{len(t.servers)}")
        self.proc = None
        self.sockets = 0        # when it had started
        t.servers.append(self)

    def command(self):
        cmd = [PASTED, "--store", self.store, "--class", self.cls, "--ring", self.ring]
        for a in self.listen:
            cmd += ["--listen", a]
        if self.nvmm:
            cmd += ["--nvmm", self.nvmm]
        # What the command line has no option for goes through a file; both are tested.
        words = {"workers", "pool-size", "buffer-size"}
        rest = {k: v for k, v in self.settings.items() if k not in words}
        for k in words & self.settings.keys():
            cmd += [f"--{k}", str(self.settings[k])]
        if rest:
            conf = self.errors + ".conf"
            with open(conf, "w") as f:
                f.writelines(f"{k} = {v}\n" for k, v in rest.items())
            cmd += ["--config", conf]
        return cmd + self.args

    def spawn(self, pending=None):
        """pending: a signal that is there before its first instruction."""
        def before():
            die_with_parent()
            if pending:
                signal.pthread_sigmask(signal.SIG_BLOCK, [pending])
                os.kill(os.getpid(), pending)
        env = dict(os.environ, **(self.env or {}))
        with open(self.errors, "ab") as err:
            self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err,
                                         stderr=err, env=env, preexec_fn=before)
        return self

    def start(self, seconds=60):
        before = len(self.said()) if os.path.exists(self.errors) else 0
        self.spawn()
        wait_until(self.ready, seconds, "the server is not ready: " + self.said()[-2000:])
        if self.tells:
            wait_until(lambda: " listening on " in self.said()[before:], seconds, "no start-up line")
        self.sockets = self.open_sockets()
        return self

    def ready(self):
        check(self.proc.poll() is None, f"exited with {self.proc.returncode}:", self.said()[-2000:])
        try:
            with self.connect(timeout=5) as c:
                return c.ask("GET", "/-/readyz").status == 200
        except (OSError, EOFError):
            return False

    def said(self):
        with open(self.errors, errors="replace") as f:
            return f.read()

    @property
    def pid(self):
        return self.proc.pid

    def connect(self, timeout=30):
        return Conn(self.listen[0], timeout)

    def ask(self, *a, **k):
        with self.connect() as c:
            return c.ask(*a, **k)

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
        if self.proc:
            self.proc.wait()

    def stop(self, sig=signal.SIGTERM, seconds=60):
        """A clean end; the exit status."""
        self.proc.send_signal(sig)
        try:
            return self.proc.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Failed(f"still running {seconds} s after signal {sig}: " + self.said()[-2000:])

    def stop_clean(self):
        if self.audited and self.sockets:
            self.audit(given_up=given_up())
        equal(self.stop(), 0, "exit status after SIGTERM; " + self.said()[-1500:])

    def audit(self, **k):
        """Its books balance."""
        wrong = balance(self.metrics, 10 * SLOW, **k)
        check(not wrong, "the books do not balance:", "; ".join(wrong), "\n" + self.metrics().text)

    def metrics(self):
        r = self.ask("GET", "/-/metrics")
        equal(r.status, 200, "/-/metrics")
        return Metrics(r.body.decode())

    def record(self, name):
        return self.ask("GET", f"/-/records/{name}")

    def status_kb(self, field):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))

    def open_sockets(self):
        """Files come and go with the segments."""
        fd, count = f"/proc/{self.pid}/fd", 0
        for n in os.listdir(fd):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(os.path.join(fd, n)).startswith("socket:")
        return count

    def descriptors(self):
        return self.open_sockets()

    # pasted-recover on this server's files (it must not be running)
    def recover(self, verb, *args):
        cmd = [RECOVER, verb, "--store", self.store]
        if self.nvmm:
            cmd += ["--nvmm", self.nvmm]
        return subprocess.run(cmd + list(args), capture_output=True, timeout=120 * SLOW)

    def dump(self, exits=(0, 1)):
        """Every surviving record, in the order of the dump."""
        out = self.recover("dump", "--json")
        check(out.returncode in exits, f"dump exits {out.returncode}:", out.stderr[-1500:])
        return records(out.stdout)


class Record:
    """A line of JSON about a record, from dump or from a range; its text is Latin-1."""

    def __init__(self, line):
        j = json.loads(line)
        self.name, self.time = j["record"], j["time"]
        self.method, self.target = j["method"], j["target"]
        self.headers = [tuple(h) for h in j["headers"]]
        self.body = base64.b64decode(j["body"], validate=True)
        lane, seq = self.name.split("-")
        self.lane, self.seq = int(lane), int(seq)


def records(lines):
    """The records among lines of JSON; lines that explain a gap are left out."""
    return [Record(line) for line in lines.splitlines() if not line.startswith(b'{"gap"')]


def gaps(lines):
    return [json.loads(line) for line in lines.splitlines() if line.startswith(b'{"gap"')]


class Metrics:
    def __init__(self, text):
        self.text, self.rows = text, {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                self.rows[key] = float(value)

    def sum(self, name):
        """Over all label sets.  A name that is not there is a failure."""
        hits = [v for k, v in self.rows.items() if k == name or k.startswith(name + "{")]
        check(hits, "no metric", name)
        return sum(hits)

    def any(self, pattern):
        hits = [v for k, v in self.rows.items() if re.search(pattern, k)]
        check(hits, "no metric matches", pattern)
        return sum(hits)


# ---- the client ----------------------------------------------------------------

class Reply:
    def __init__(self, version, status, reason, headers, body):
        self.version, self.status, self.reason = version, status, reason
        self.headers, self.body = headers, body

    def get(self, name, default=None):
        for k, v in self.headers:
            if k.lower() == name.lower():
                return v
        return default

    @property
    def name(self):
        return self.get("Pasted-Record")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {brief(self.body)}>"


def connect_socket(addr, timeout):
    m = re.fullmatch(r"\[(.+)\]:(\d+)", addr)
    if m:
        return socket.create_connection((m.group(1), int(m.group(2))), timeout)
    m = re.fullmatch(r"([\d.]+):(\d+)", addr)
    if m:
        return socket.create_connection((m.group(1), int(m.group(2))), timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(addr.removeprefix("unix:"))
    return s


CONNS = weakref.WeakSet()      # of this case
RESET = []                      # of this case: those that were aborted


def tcp_queues(port):
    """Of each connection over TCP/IPv4 whose one end is that port: the port of its other end, the
    bytes that this one has sent and that are not acknowledged, and those that came and were not
    read.  While the table is read some may be missing."""
    out = []
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            _, here, there, state, queues = line.split()[:5]
            if int(here.split(":")[1], 16) == port and state not in ("06", "0A"):       # TIME_WAIT, LISTEN
                out.append((int(there.split(":")[1], 16), *(int(n, 16) for n in queues.split(":"))))
    return out


def open_conns():
    return sum(c.sock.fileno() >= 0 for c in list(CONNS))


def given_up():
    """Connections whose requests may have no reply: those still open, and those that were reset,
    of which the server may not learn before it sends one."""
    return open_conns() + len(RESET)


class Conn:
    """A connection that sends what it is told and reads strictly."""

    def __init__(self, addr, timeout=30):
        self.sock = connect_socket(addr, timeout * SLOW)
        CONNS.add(self)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def abort(self):
        """Reset instead of FIN."""
        RESET.append(self)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def more(self):
        got = self.sock.recv(256 * KIB)
        if not got:
            raise EOFError("the server closed; left over: " + brief(self.buf))
        self.buf += got

    def until(self, mark):
        while mark not in self.buf:
            self.more()
        out, _, self.buf = self.buf.partition(mark)
        return out

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def closed(self):
        """True when the server closes without another byte."""
        try:
            return not self.buf and not self.sock.recv(1)
        except ConnectionResetError:
            return True

    def reply(self, head=False):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        m = re.fullmatch(r"(HTTP/1\.[01]) (\d{3}) ([ -~]*)", lines[0])
        check(m, "not a status line:", repr(lines[0]))
        headers = []
        for line in lines[1:]:
            k, colon, v = line.partition(":")
            check(colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", k), "not a header:", repr(line))
            headers.append((k, v.strip()))
        r = Reply(m.group(1), int(m.group(2)), m.group(3), headers, b"")
        if head or r.status < 200 or r.status in (204, 304):
            return r
        if (r.get("Transfer-Encoding") or "").lower() == "chunked":
            r.body = self.chunks()
        elif r.get("Content-Length") is not None:
            r.body = self.exactly(int(r.get("Content-Length")))
        else:
            check((r.get("Connection") or "").lower() == "close" or r.version == "HTTP/1.0",
                  "a body without an end:", r)
            with contextlib.suppress(EOFError):
                while True:
                    self.more()
            r.body, self.buf = self.buf, b""
        return r

    def chunks(self):
        out = []
        while True:
            n = int(self.until(b"\r\n").split(b";")[0], 16)
            if n == 0:
                while self.until(b"\r\n"):
                    pass
                return b"".join(out)
            out.append(self.exactly(n))
            equal(self.exactly(2), b"\r\n", "end of a chunk")

    def ask(self, method, target, body=None, headers=(), **k):
        self.send(request(method, target, body, headers, **k))
        return self.reply(head=method == "HEAD")


def request(method, target, body=None, headers=(), version="HTTP/1.1", chunk=0, host="test"):
    """The bytes of a request; chunk: the size of its chunks, 0 for Content-Length."""
    lines = [f"{method} {target} {version}"]
    if host:
        lines.append(f"Host: {host}")
    lines += [f"{k}: {v}" for k, v in headers]
    payload = b"" if body is None else body
    if chunk:
        lines.append("Transfer-Encoding: chunked")
        payload = chunked(payload, chunk)
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + payload


def chunked(body, size):
    out = []
    for i in range(0, len(body), size):
        piece = body[i:i + size]
        out += [b"%x\r\n" % len(piece), piece, b"\r\n"]
    return b"".join(out) + b"0\r\n\r\n"


def post(c, target, body, headers=(), **k):
    """A POST that must be recorded; the record's name."""
    r = c.ask("POST", target, body, headers, **k)
    equal(r.status, 200, f"POST {target} of {len(body)} bytes: {r}")
    check(re.fullmatch(r"\d+-\d+", r.name or ""), "no record is named:", r)
    return r.name


def accepted(s, target, body):
    """A POST on a connection of its own: the record's name, or None when it was
    refused (503, 507), the reply to which may be lost with the connection."""
    try:
        with s.connect() as c:
            r = c.ask("POST", target, body)
    except (OSError, EOFError):
        return None
    check(r.status in (200, 503, 507), r)
    return r.name


def bytes_of(seed, n):
    """n bytes that anyone who knows the seed can make again."""
    return hashlib.shake_128(str(seed).encode()).digest(n)


# ---- copies of a store ----

def put_aside(t, s):
    """A write-ahead log belongs to the one file `store`, not to a copy of it: before the store
    is removed, or another put in its place, that file is moved out of it."""
    kept = os.path.join(t.dir, "the-file-store")
    if not os.path.exists(kept):
        os.rename(os.path.join(s.store, "store"), kept)


def same_store(t, s):
    """And when a copy of the store has been put there, the file is put back, with the copy's
    contents."""
    store, kept = os.path.join(s.store, "store"), os.path.join(t.dir, "the-file-store")
    shutil.copyfile(store, kept)
    os.rename(kept, store)


# ---- headers of another format ----

def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def another(what):
    """Both copies of a header, whole, but of another version or byte order."""
    def do(path):
        name = os.path.basename(path)
        n = {"store": 512, "wal": 72}.get(name, 96)
        with open(path, "r+b") as f:
            for at in (0, 4096):
                f.seek(at)
                h = bytearray(f.read(n))
                if what == "byte order":
                    h[0:8], h[8:12], h[12:16] = h[7::-1], h[11:7:-1], h[15:11:-1]
                else:
                    h[8] += 1
                h[n - 4:] = crc32c(h[:n - 4]).to_bytes(4, "little")
                f.seek(at)
                f.write(h)
    do.what = "another " + what
    return do


# ---- running -------------------------------------------------------------------

CASES = []
SKIPPED = []


def case(title, each=False, rings=None, classes=None):
    """each: once per ring and class; rings: only these of them; classes: only those with a wal
    ("wal"), or that have none ("syncs")."""
    def mark(f):
        CASES.append((f, title, each, rings, PROPERTIES[classes] if classes else None))
        return f
    return mark


class Test:
    """One run of one case: its folder, its servers, how to get rid of them."""

    def __init__(self, ring=None, cls=None):
        self.ring, self.cls = ring, cls
        self.has_wal, self.syncs = cls in PROPERTIES["wal"], cls in PROPERTIES["syncs"]
        base = os.path.abspath(os.environ.get("PASTED_TEST_DIR", "."))
        self.dir = tempfile.mkdtemp(prefix="e2e.", dir=base)
        self.servers, self.shms, self.undo = [], [], []

    def shm(self):
        self.shms.append(shm_dir())
        return self.shms[-1]

    def server(self, **k):
        """A started server of this case's ring and class."""
        return self.a_server(**k).start()

    def a_server(self, **k):
        k.setdefault("ring", self.ring or "auto")
        k.setdefault("cls", self.cls or "fsync")
        return Server(self, **k)

    def needs(self):
        if self.ring == "uring" and not have_uring():
            raise Skip("io_uring_setup is not permitted here")
        if (not self.cls or self.syncs) and fs_type(self.dir) in ("tmpfs", "ramfs"):
            raise Skip(f"{self.dir} is on a tmpfs: fsync means nothing there")

    def judge(self):
        """The books of each server that is still there."""
        left = given_up()
        for c in list(CONNS):
            c.close()
        for s in self.servers:
            if s.audited and s.proc and s.proc.poll() is None:
                s.audit(given_up=left, sockets=(s.open_sockets, s.sockets) if s.sockets else None)
        RESET.clear()

    def end(self, keep):
        for s in self.servers:
            s.kill()
        for f in reversed(self.undo):
            f()
        if keep:
            print(f"#    left behind: {self.dir} {' '.join(self.shms)}")
            return
        for d in [self.dir] + self.shms:
            shutil.rmtree(d, ignore_errors=True)


def run_one(f, title, ring, cls):
    t = Test(ring, cls)
    where = f" [{ring} {cls}]" if ring else ""
    began = time.monotonic()
    verdict = "failed"
    try:
        t.needs()
        f(t)
        t.judge()
        verdict = "ok"
    except Skip as e:
        reason = " ".join(str(e).split())
        verdict, where = "skipped", f"{where}: {reason}"
        SKIPPED.append(reason)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        for s in t.servers:
            if s.proc:
                print(f"#    messages of the server ({s.proc.poll()}):", *s.said().splitlines()[-30:],
                      sep="\n#      ")
    finally:
        t.end(verdict == "failed" and "PASTED_TEST_KEEP" in os.environ)
    print(f"{verdict:8}{f.__name__}: {title}{where} ({time.monotonic() - began:.1f} s)", flush=True)
    return verdict


def chosen():
    """The cases to be run, each with its ring and class."""
    only = os.environ.get("PASTED_TEST_ONLY", "")
    for f, title, each, rings, classes in CASES:
        if only not in f.__name__:
            continue
        for ring, cls in combinations() if each else [(None, None)]:
            if (rings is None or ring in rings) and (classes is None or cls in classes):
                yield f, title, ring, cls


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # a driver's time limit: clean up
    for name, path in (("PASTED", PASTED), ("PASTED_RECOVER", RECOVER)):
        if not os.access(path, os.X_OK):
            print(f"{name} does not name a program: {path!r}")
            sys.exit(99)
    seen = []
    for run in chosen():
        seen.append(run_one(*run))
        if seen[-1] == "failed" and os.environ.get("PASTED_TEST_FIRST"):
            break
    counts = {v: seen.count(v) for v in ("ok", "failed", "skipped")}
    print(f"{counts['ok']} ok, {counts['failed']} failed, {counts['skipped']} skipped")
    if not counts["failed"] and not counts["ok"]:
        print("; ".join(dict.fromkeys(SKIPPED)) or "no case was chosen")
        sys.exit(77)
    sys.exit(1 if counts["failed"] else 0)
