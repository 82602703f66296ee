# SPDX-License-Identifier: BSD-2-Clause
"""peers - other readers of HTTP/1 that are installed here, behind one question: what do
you make of these bytes?

Each of PEERS starts one and gives its name and version, in its own words, and the function
that asks it.  The programs are those of Debian's packages where they are installed: what
stands in front of them in PATH has other versions, and other answers.

An answer is (accepted, refused): how many requests were read to the end of their body,
and whether something was refused after them.  Proxies stand in front of a backend that
takes what they make of it; they wait for the whole body before they pass it on."""
import os
import re
import shutil
import socket
import subprocess
import sys
import threading

from harness import SLOW, Skip, die_with_parent, free_port, wait_until

MARKER = b"GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def talk(port, data, end=True):
    """All that comes back for data and the marker behind it, until the peer closes.
    end: we close our side; proxies forget what they were asked then, theirs is a timeout."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as k:
        try:
            k.sendall(data + MARKER)
            if end:
                k.shutdown(socket.SHUT_WR)
            while True:
                more = k.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            pass            # closed with our bytes unread
    return got


def replies(got):
    """The statuses of the replies, interim ones left out.  Bodies have a length."""
    out = []
    while got.startswith(b"HTTP/1."):
        head, _, got = got.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        status = int(head[9:12])
        if status == 204 or status < 200:
            length = 0
        got = got[length:] if not got.startswith(b"HTTP/1.") else got   # HEAD has none
        if status >= 200:
            out.append(status)
    return out


def verdict(statuses):
    """404 and 405 understand a request and do not like it."""
    accepted = 0
    for status in statuses:
        if status >= 400 and status not in (404, 405):
            break
        accepted += 1
    return accepted, accepted < len(statuses) or not statuses


class Backend:
    """Takes what a proxy sends, by the letter, and says 200."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            k, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(k,), daemon=True).start()

    def serve(self, k):
        f = k.makefile("rwb")
        try:
            while self.one(f):
                pass
        except (OSError, ValueError, OverflowError):
            pass
        k.close()

    def one(self, f):
        line = f.readline()
        if not line:
            return False
        length, is_chunked = 0, False
        while (field := f.readline()) not in (b"\r\n", b"\n", b""):
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            is_chunked |= name.lower() == b"transfer-encoding"
        if is_chunked:
            while n := int(f.readline().split(b";")[0], 16):
                f.read(n + 2)
            while f.readline() not in (b"\r\n", b""):
                pass
        f.read(length)
        f.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        f.flush()
        return True


class Process:
    """A server that runs as long as the test."""

    def __init__(self, t, cmd, env=None):
        self.log = open(os.path.join(t.dir, os.path.basename(cmd[0]) + ".log"), "wb")
        self.proc = subprocess.Popen(cmd, cwd=t.dir, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                     env=env, preexec_fn=die_with_parent)
        t.undo.append(self.end)

    def end(self):
        self.proc.kill()
        self.proc.wait()
        self.log.close()

    def wait(self, port):
        def there():
            if self.proc.poll() is not None:
                with open(self.log.name, errors="replace") as f:
                    raise Skip(f"{self.proc.args[0]} does not run here: {f.read()[-300:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return True
            except OSError:
                return False
        wait_until(there, 30, f"{self.proc.args[0]} does not listen")
        return self


def find(*names):
    """Where a program is, under the first of its names: the package's, else one in PATH."""
    for where in ("/usr/sbin:/usr/bin", None):
        for name in names:
            path = shutil.which(name, path=where)
            if path:
                return path
    raise Skip(f"{names[0]} is not installed")


def version(*cmd):
    """The first line that has one, of what it says about itself."""
    out = subprocess.run(cmd, capture_output=True, text=True, timeout=30 * SLOW)
    for line in (out.stdout + out.stderr).splitlines():
        if re.search(r"\d+\.\d+", line):
            return line.strip()
    raise Skip(f"{cmd[0]} does not say its version")


def nginx(t):
    port, backend = free_port(), Backend().port
    conf = os.path.join(t.dir, "nginx.conf")
    with open(conf, "w") as f:
        f.write(f"""daemon off; master_process off; pid {t.dir}/nginx.pid; error_log {t.dir}/nginx.err;
events {{ }}
http {{
	access_log off; client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;
	 client_body_temp_path {t.dir}/body; proxy_temp_path {t.dir}/proxy;
	fastcgi_temp_path {t.dir}/f; uwsgi_temp_path {t.dir}/u; scgi_temp_path {t.dir}/s;
	server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{backend}; }} }}
}}
""")
    path = find("nginx")
    Process(t, [path, "-c", conf, "-e", f"{t.dir}/nginx.err"]).wait(port)
    return version(path, "-v"), lambda data: verdict(replies(talk(port, data, False)))


def haproxy(t):
    port, backend = free_port(), Backend().port
    conf = os.path.join(t.dir, "haproxy.conf")
    with open(conf, "w") as f:
        f.write(f"""defaults
	mode http
	option http-buffer-request
	timeout connect 10s
	timeout client 1s
	timeout server 10s
	timeout http-request 1s
frontend f
	bind 127.0.0.1:{port}
	default_backend b
backend b
	server s 127.0.0.1:{backend}
""")
    path = find("haproxy")
    Process(t, [path, "-db", "-f", conf]).wait(port)
    return version(path, "-v"), lambda data: verdict(replies(talk(port, data, False)))


NODE = """
require('http').createServer((q, r) => {
	q.on('data', () => {});
	q.on('end', () => { r.setHeader('Content-Length', 0); r.end(); });
}).listen(+process.argv[1], '127.0.0.1');
"""


def node(t):
    port = free_port()
    path = find("nodejs", "node")
    Process(t, [path, "-e", NODE, str(port)]).wait(port)
    return "node " + version(path, "--version"), lambda data: verdict(replies(talk(port, data)))


def h11(_):
    sys.path.insert(0, "/usr/lib/python3/dist-packages")   # this may be an interpreter of its own
    try:
        import h11 as lib
    except ImportError:
        raise Skip("python3-h11 is not installed") from None
    finally:
        del sys.path[0]

    def ask(data):
        c, accepted = lib.Connection(lib.SERVER), 0
        c.receive_data(data + MARKER)
        c.receive_data(b"")
        try:
            while True:
                e = c.next_event()
                if isinstance(e, lib.EndOfMessage):
                    accepted += 1
                    c.send(lib.Response(status_code=200, headers=[("Content-Length", "0")]))
                    c.send(lib.EndOfMessage())
                    if c.our_state is lib.MUST_CLOSE:
                        return accepted, False
                    c.start_next_cycle()
                elif e in (lib.NEED_DATA, lib.PAUSED) or isinstance(e, lib.ConnectionClosed):
                    return accepted, not accepted
        except lib.RemoteProtocolError:
            return accepted, True
        except lib.LocalProtocolError:      # it cannot go on after this one
            return accepted, False
    return "h11 " + lib.__version__, ask


PEERS = {"nginx": nginx, "haproxy": haproxy, "node": node, "h11": h11}
