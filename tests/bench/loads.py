# SPDX-License-Identifier: BSD-2-Clause
"""loads - the servers that are compared, the load on them, and what a process costs.

Servers run pinned to one CPU and the load generator to another (on one CPU both
share it, and run.py says so).  Nothing is started as a service: each program gets
its own configuration and a folder of its own, and ends with the benchmark.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import Conn, die_with_parent, free_port, wait_until  # noqa: E402

TOP = os.path.abspath(os.environ.get("top_builddir", "."))
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
BODY = 1024


class Missing(Exception):
    """A program that a row needs is not installed."""


def program(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Missing(name)
    return path


def probe(name):
    path = os.path.join(TOP, "tests", "bench", name)
    if not os.access(path, os.X_OK):
        raise Missing(f"{name} (make bench builds it)")
    return path


# ---- what a process costs ----------------------------------------------------------

def tree(pid):
    """The process and its children, theirs too."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        for task in os.listdir(f"/proc/{p}/task"):
            with open(f"/proc/{p}/task/{task}/children") as f:
                todo += map(int, f.read().split())
    return out


def cpu_seconds(pid):
    """utime + stime of all threads of the process and its children; the kernel's own
    threads that work for it (io_uring's) are among them.  From schedstat, in
    nanoseconds; where there is none from stat, in ticks."""
    total = 0.0
    for p in tree(pid):
        for task in os.listdir(f"/proc/{p}/task"):
            try:
                with open(f"/proc/{p}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0]) / 1e9
            except FileNotFoundError:
                with open(f"/proc/{p}/task/{task}/stat") as f:
                    v = f.read().rsplit(")", 1)[1].split()
                total += (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")
    return total


def memory_kb(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))


# ---- servers -----------------------------------------------------------------------

class Process:
    name = "?"

    def __init__(self, folder):
        self.dir = folder
        os.makedirs(folder, exist_ok=True)
        self.port = free_port()
        self.proc = None

    def run(self, cmd):
        with open(os.path.join(self.dir, "messages"), "ab") as err:
            self.proc = subprocess.Popen(["taskset", "-c", str(SERVER_CPU), *cmd], cwd=self.dir, stdin=subprocess.DEVNULL,
                                         stdout=err, stderr=err, preexec_fn=die_with_parent)
        wait_until(self.answers, 60, f"{self.name} does not start: see {self.dir}/messages")
        return self

    def said(self):
        with open(os.path.join(self.dir, "messages"), errors="replace") as f:
            return f.read()[-2000:]

    def answers(self):
        if self.proc.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.proc.returncode}: {self.said()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()

    def cpu(self):
        return cpu_seconds(self.proc.pid)


class Pasted(Process):
    name = "pasted"

    def __init__(self, folder, cls, nvmm=None, **settings):
        super().__init__(folder)
        self.cls, self.nvmm = cls, nvmm
        self.store = os.path.join(folder, "store")
        self.settings = {"workers": "1", "ring": os.environ.get("PASTED_BENCH_RING", "auto")}
        self.settings.update({k.replace("_", "-"): v for k, v in settings.items()})

    def start(self):
        cmd = [os.environ.get("PASTED", os.path.join(TOP, "pasted")), "--listen", f"127.0.0.1:{self.port}",
               "--store", self.store, "--class", self.cls]
        if self.nvmm:
            cmd += ["--nvmm", self.nvmm]
        for k, v in self.settings.items():
            cmd += [f"--{k}", str(v)]
        return self.run(cmd)

    def answers(self):
        if not super().answers():
            return False
        try:
            with self.connect() as c:
                return c.ask("GET", "/-/readyz").status == 200
        except (OSError, EOFError):
            return False        # between the door of the recovery and the workers

    def connect(self):
        return Conn(f"127.0.0.1:{self.port}")

    def metric(self, pattern):
        with self.connect() as c:
            text = c.ask("GET", "/-/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern, line))

    def settle(self):
        """Nothing waits for a checkpoint any more: reading the newest record asks for one."""
        with self.connect() as c:
            name = c.ask("POST", "/bench/settle", b"x").name
            if name:
                c.ask("GET", f"/-/records/{name}")

    def recover(self, verb):
        """The seconds that it takes, and its exit status."""
        cmd = [os.environ.get("PASTED_RECOVER", os.path.join(TOP, "pasted-recover")), verb, "--store", self.store]
        if self.nvmm:
            cmd += ["--nvmm", self.nvmm]
        t = time.monotonic()
        out = subprocess.run(cmd, capture_output=True, text=True)
        return time.monotonic() - t, out.returncode, out.stdout + out.stderr


class Nginx(Process):
    name = "nginx"

    def start(self):
        exe, conf = program("nginx"), os.path.join(self.dir, "nginx.conf")
        paths = "".join(f"  {k}_temp_path {self.dir}/{k};\n"
                        for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(conf, "w") as f:
            f.write((f"user root;\n" if os.geteuid() == 0 else "") +
                    f"daemon off;\nworker_processes 1;\npid {self.dir}/pid;\nerror_log {self.dir}/error.log;\n"
                    f"events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n{paths}"
                    f"  keepalive_requests 1000000000;\n  server {{\n    listen 127.0.0.1:{self.port};\n"
                    f"    location / {{ default_type application/json;\n"
                    f"      return 200 '{{\"record\":\"0-1\",\"class\":\"none\"}}'; }}\n  }}\n}}\n")
        return self.run([exe, "-p", self.dir, "-c", conf, "-e", f"{self.dir}/error.log"])


class Redis(Process):
    name = "redis-server"

    def start(self):
        exe, conf = program("redis-server"), os.path.join(self.dir, "redis.conf")
        program("redis-benchmark")
        with open(conf, "w") as f:
            f.write(f"bind 127.0.0.1\nport {self.port}\ndir {self.dir}\ndaemonize no\nsave \"\"\n"
                    "appendonly yes\nappendfsync always\nauto-aof-rewrite-percentage 0\n")
        return self.run([exe, conf])


# ---- loads -------------------------------------------------------------------------

def pinned(cmd, seconds=600):
    out = subprocess.run(["taskset", "-c", str(LOAD_CPU), *cmd], capture_output=True, text=True, timeout=seconds)
    if out.returncode:
        raise RuntimeError(f"{cmd[0]}: {out.stdout} {out.stderr}")
    return out.stdout


def figures(text):
    return {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", text)}


def wrk(server, conns, seconds, body=BODY):
    """requests, us, mean, p50, p99, and cpu: the server's microseconds per request."""
    before = server.cpu()
    out = pinned([program("wrk"), "-t1", f"-c{conns}", f"-d{seconds}s", "-s", os.path.join(HERE, "post.lua"),
                  f"http://127.0.0.1:{server.port}/", "--", str(body)])
    r = figures(re.search(r"^BENCH .*", out, re.M).group(0))
    if r["refused"] or r["broken"] or not r["requests"]:
        raise RuntimeError(f"{server.name}: {r}")
    r["cpu"] = (server.cpu() - before) * 1e6 / r["requests"]
    r["rate"] = r["requests"] * 1e6 / r["us"]
    return r


def redis_set(server, conns, count):
    """SETs per second."""
    out = pinned([program("redis-benchmark"), "-p", str(server.port), "-c", str(conns), "-n", str(count),
                  "-d", str(BODY), "-t", "set", "-r", "100000", "--csv"])
    row = [line for line in out.splitlines() if line.startswith('"SET"')][-1]
    return float(row.split(",")[1].strip('"'))


def post_probe(server, count):
    return figures(pinned([probe("post_probe"), str(server.port), str(BODY), str(count)]))


def fdatasync_probe(folder, size, count):
    path = os.path.join(folder, "fdatasync")
    try:
        cmd = ["taskset", "-c", str(SERVER_CPU), probe("fdatasync_probe"), path, str(size), str(count)]
        return figures(subprocess.run(cmd, capture_output=True, text=True, check=True).stdout)
    finally:
        if os.path.exists(path):
            os.unlink(path)
