#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Real clients, and nginx in front of the server, that send far more than is taken: each sees
the 413 and not a reset, though most read nothing before they have sent everything."""
import ctypes
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import KIB, MIB, SLOW, Skip, case, check, equal, free_port, main, post, request, wait_until  # noqa: E402

SIZE = 24 * MIB
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PYTHON = "/usr/bin/python3"         # Debian's, with Debian's modules
ENV = dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs")

# name: what it needs beside its program, and the program; URL and FILE are put in.  Each
# prints the status that it has seen.
CLIENTS = {
    "urllib": ("", [PYTHON, "-c", """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen(urllib.request.Request("URL", open("FILE", "rb").read())).status)
except urllib.error.HTTPError as e:
    print(e.code)"""]),
    "requests": ("requests", [PYTHON, "-c", """
import requests
print(requests.post("URL", data=open("FILE", "rb").read()).status_code)"""]),
    "requests, chunked": ("requests", [PYTHON, "-c", """
import requests
print(requests.post("URL", data=iter(lambda f=open("FILE", "rb"): f.read(65536), b"")).status_code)"""]),
    "httpx": ("httpx", [PYTHON, "-c", """
import httpx
print(httpx.post("URL", content=open("FILE", "rb").read(), timeout=60).status_code)"""]),
    "httpx, chunked": ("httpx", [PYTHON, "-c", """
import httpx
print(httpx.post("URL", content=iter(lambda f=open("FILE", "rb"): f.read(65536), b""), timeout=60).status_code)"""]),
    "curl": ("", ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "--data-binary", "@FILE", "URL"]),
    "curl, expecting 100": ("", ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@FILE", "URL"]),
    "curl, chunked": ("", ["sh", "-c", "exec curl -s -o /dev/null -w '%{http_code}' -H Expect: -T - URL <FILE"]),
    "wget": ("", ["sh", "-c", "wget -t 1 -S -O /dev/null --post-file=FILE URL 2>&1 | sed -n 's,^ *HTTP/1.1 \\([0-9]*\\).*,\\1,p'"]),
    "node": ("", ["node", "-e", """
const req = require('http').request('URL', { method: 'POST' }, r => { r.resume(); r.on('end', () => console.log(r.statusCode)) })
req.end(require('fs').readFileSync('FILE'))"""]),
    "undici": ("undici", ["node", "-e", """
const undici = require('undici')
undici.request('URL', { method: 'POST', body: require('fs').readFileSync('FILE') })
    .then(async r => { await r.body.dump(); console.log(r.statusCode) })"""]),
    "axios": ("axios", ["node", "-e", """
require('axios').post('URL', require('fs').readFileSync('FILE'),
    { maxBodyLength: Infinity, validateStatus: () => true }).then(r => console.log(r.status))"""]),
}


def missing(program, needs):
    if not shutil.which(program):
        return program
    probe = {PYTHON: f"import {needs}", "node": f"require('{needs}')"}.get(program)
    if needs and subprocess.run([program, "-c" if program == PYTHON else "-e", probe], env=ENV,
                                capture_output=True).returncode:
        return needs
    return ""


def run(argv, url, path):
    argv = [a.replace("URL", url).replace("FILE", path) for a in argv]
    out = subprocess.run(argv, capture_output=True, text=True, timeout=120 * SLOW, env=ENV)
    return out.stdout.strip() or out.stderr.strip().splitlines()[-1:]


def a_file(t):
    path = os.path.join(t.dir, "large")
    with open(path, "wb") as f:
        f.write(bytes(SIZE))
    return path


@case("clients that send 24 MB where 1 MB is taken see 413", each=True, classes="syncs")
def refused(t):
    s = t.server(settings={"body-max": "1M"})
    path, lacking, seen = a_file(t), set(), {}
    for name, (needs, argv) in CLIENTS.items():
        lack = missing(argv[0], needs)
        if lack:
            lacking.add(lack)
            continue
        seen[name] = [run(argv, f"http://{s.listen[0]}/large", path) for _ in range(2)]
    equal({k: v for k, v in seen.items() if v != ["413", "413"]}, {}, "who did not see 413")
    with s.connect() as c:
        post(c, "/small", b"1")
    if lacking:
        raise Skip("not installed: " + ", ".join(sorted(lacking)))


NGINX = """{user} daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
  uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5; client_max_body_size 0;
  upstream back {{ server {back}; keepalive 4; }}
  server {{ listen {front};
    location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    location /direct/ {{ proxy_pass http://back; proxy_request_buffering off; proxy_http_version 1.1; }} }} }}
"""


@case("nginx in front: its clients see 413 too, not 502", each=True, classes="syncs")
def behind_nginx(t):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        raise Skip("nginx is not installed")
    s = t.server(settings={"body-max": "1M"})
    front = f"127.0.0.1:{free_port()}"
    conf = os.path.join(t.dir, "nginx.conf")
    with open(conf, "w") as f:
        f.write(NGINX.format(user="" if os.geteuid() else "user root;", dir=t.dir, back=s.listen[0], front=front))
    proxy = subprocess.Popen([nginx, "-p", t.dir, "-e", os.path.join(t.dir, "errors"), "-c", conf],
                             stderr=subprocess.DEVNULL)
    t.undo += [proxy.wait, proxy.terminate]
    path = a_file(t)

    def up():
        out = subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://{front}/-/livez"], timeout=30 * SLOW)
        return out.returncode == 0
    wait_until(up, 30, "nginx does not answer")
    seen = [(where, run(CLIENTS["curl"][1], f"http://{front}{where}", path)) for where in ("/x", "/direct/x") * 4]
    equal([x for x in seen if x[1] != "413"], [], "what clients of nginx saw")


def delayed_acks():
    with open("/proc/net/netstat") as f:
        lines = [line.split() for line in f if line.startswith("TcpExt:")]
    return int(lines[1][lines[0].index("DelayedACKs")])


def alone():
    """In a network namespace of its own, whose counters nobody else moves."""
    libc, ids = ctypes.CDLL(None, use_errno=True), (os.geteuid(), os.getegid())
    if libc.unshare(CLONE_NEWNET if not ids[0] else CLONE_NEWUSER | CLONE_NEWNET):
        raise Skip(f"no network namespace: unshare: {os.strerror(ctypes.get_errno())}")
    if ids[0]:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {ids[0]} 1"), ("gid_map", f"0 {ids[1]} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
    subprocess.run([shutil.which("ip") or "/sbin/ip", "link", "set", "lo", "up"], check=True)


def flood(s):
    """A client that sends on after its refusal, for ever."""
    c = s.connect()
    c.send(request("POST", "/flood", None, [("Content-Length", str(1 << 40))]))
    equal(c.reply().status, 413, "flood")
    return c


@case("who sends on after a refusal holds no buffers, and who stops sending is let go", each=True, classes="syncs")
def held(t):
    s = t.server(settings={"body-max": "1M", "pool-size": "8M"})
    floods = [flood(s) for _ in range(4)]
    for _ in range(30):                 # more than the pool
        for c in floods:
            c.send(bytes(128 * KIB))
    with s.connect() as c:
        for i in range(20):
            post(c, "/honest", b"x" * 1000)

        def back():
            m = s.metrics()
            return m.sum("pasted_pool_buffers") - m.sum("pasted_pool_buffers_free") - \
                m.sum("pasted_pool_buffers_kernel") <= 2
        wait_until(back, 30, "buffers are held")
    wait_until(lambda: s.metrics().sum("pasted_connections_open") == 1, 60, "they are held for ever")
    check(all(c.closed() for c in floods), "not closed")


@case("clients that keep the body back until their head is acknowledged need not wait for it", each=True,
      classes="syncs")
def two_writes(t):
    alone()
    s = t.server()
    with s.connect() as c:
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        for _ in range(3):
            post(c, "/warm", b"x" * 100)
        before = delayed_acks()
        for _ in range(60):
            head, _, body = request("POST", "/x", b"x" * 100).partition(b"\r\n\r\n")
            c.send(head + b"\r\n\r\n")
            c.send(body)
            equal(c.reply().status, 200, "in two writes")
        delayed = delayed_acks() - before
    check(delayed < 30, delayed, "of 60 heads were acknowledged late")


if __name__ == "__main__":
    main()
