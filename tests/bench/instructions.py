#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions of a worker for one durable POST, by function: what is the same from run to run and on
a busy machine, so that two builds can be compared.  Needs valgrind; no part of make check nor of make
bench.

    instructions.py PASTED [CLASS [REQUESTS]]      fsync, 2000

One client sends 1 KiB and waits for each 200 (ring socket, one worker).  Printed are the functions of
the program with the most instructions, those they call included; run it for both programs."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

if len(sys.argv) < 2:
    sys.exit(__doc__)
pasted = sys.argv[1]
cls = sys.argv[2] if len(sys.argv) > 2 else "fsync"
count = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
if not shutil.which("valgrind"):
    sys.exit("valgrind is not installed: package valgrind")
dir = tempfile.mkdtemp(prefix="pasted-instructions-", dir="/dev/shm" if cls == "volatile" else None)
out, where = os.path.join(dir, "callgrind"), os.path.join(dir, "socket")
command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, pasted, "--store", os.path.join(dir, "store"),
           "--listen", "unix:" + where, "--ring", "socket", "--workers", "1", "--pool-size", "64M", "--class", cls]
if cls == "volatile":
    os.mkdir(os.path.join(dir, "nvmm"))
    command += ["--nvmm", os.path.join(dir, "nvmm")]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    while True:                 # until the worker answers: the program starts slowly under valgrind
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(where)
            s.sendall(b"GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            if b" 200 " in s.recv(4096):
                break
        except OSError:
            if server.poll() is not None:
                sys.exit("the server ended: " + " ".join(command))
        s.close()
        time.sleep(0.2)
    request = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
    s = socket.socket(socket.AF_UNIX)
    s.connect(where)
    for _ in range(count):
        s.sendall(request)
        reply = s.recv(4096)
        if b" 200 " not in reply:
            sys.exit("not a 200: %r" % reply)
    server.send_signal(signal.SIGTERM)
    server.wait()
    table = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
finally:
    if server.poll() is None:
        server.kill()
        server.wait()
    shutil.rmtree(dir, ignore_errors=True)
rows = {}
for line in table.splitlines():
    m = re.match(r"\s*([\d,]+)(?: \([^)]*\))?\s+\S+:((?:worker|conn|ingest|lane|http|reply|seglog|segment|fsync|crc32c)_?\w*)(?:'2)? ", line)
    if m:
        rows[m.group(2)] = rows.get(m.group(2), 0) + int(m.group(1).replace(",", ""))
for name, n in sorted(rows.items(), key=lambda r: -r[1])[:30]:
    if n >= count:
        print("%8.0f  %s" % (n / count, name))
