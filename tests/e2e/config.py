#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command line and the file: what is taken, what is refused, in which words."""
import os
import re
import socket
import subprocess

from harness import PASTED, RECOVER, SLOW, Conn, Skip, case, check, equal, free_port, main, post, shm_dir, wait_until


def run(t, *args, conf=None, seconds=20, env=None):
    """Runs pasted, which must end by itself."""
    cmd = [PASTED, *args]
    if conf is not None:
        path = os.path.join(t.dir, "a.conf")
        with open(path, "w") as f:
            f.write(conf)
        cmd += ["--config", path]
    return subprocess.run(cmd, capture_output=True, text=True, timeout=seconds * SLOW, cwd=t.dir,
                          env=dict(os.environ, **(env or {})))


@case("--help and --version")
def informative(t):
    out = run(t, "--help")
    equal(out.returncode, 0, "--help")
    for word in ("--listen", "--store", "--nvmm", "--class", "--ring", "--workers", "--pool-size",
                 "--buffer-size", "--config", "--doctor", "--version"):
        check(word in out.stdout, word, "is not in --help")
    out = run(t, "--version")
    equal(out.returncode, 0, "--version")
    check(re.search(r"pasted \d+\.\d+", out.stdout), out.stdout)


@case("--doctor says what was found and why, and serves nothing")
def doctor(t):
    out = run(t, "--doctor", "--store", os.path.join(t.dir, "store"))
    check("fsync" in out.stdout + out.stderr, out)
    check(re.search("uring|socket|paste", out.stdout + out.stderr), "no word on rings:", out)


WRONG = [
    # arguments, what the message must contain
    (["--class", "diamond"], ["diamond", "fsync", "volatile"]),
    (["--ring", "tin"], ["tin", "uring", "socket"]),
    (["--ring", "socket", "--nic", "vnet:eth0"], ["nic", "paste", "socket"]),
    (["--ring", "uring", "--busy-poll", "50"], ["busy-poll", "paste", "uring"]),
    (["--nic", "eth0"], ["eth0", "vnet:IFNAME"]),
    (["--nic", "vnet:"], ["vnet:IFNAME"]),
    (["--workers", "0"], ["0", "worker"]),
    (["--workers", "100000"], ["100000"]),
    (["--workers", "many"], ["many", "auto"]),
    (["--pool-size", "-5"], ["-5"]),
    (["--pool-size", "12Q"], ["12Q"]),
    (["--pool-size", "99999999999999999999999"], ["pool-size"]),
    (["--buffer-size", "3000"], ["3000", "2048", "4096"]),
    (["--listen", "nonsense"], ["nonsense"]),
    (["--listen", "127.0.0.1:70000"], ["70000"]),
    (["--unknown"], ["unknown"]),
    (["--store"], ["store"]),
    (["stray"], ["stray"]),
]


@case("a wrong command line is refused in words, with what would be accepted")
def wrong_arguments(t):
    for args, words in WRONG:
        out = run(t, *args)
        equal(out.returncode, 64, f"exit status of {args}: {out.stderr}")
        for w in words:
            check(w in out.stderr, w, "is not in:", out.stderr)
        check(not os.path.exists(os.path.join(t.dir, "pasted-store")), "a store was made by", args)


@case("a wrong file is refused with its line")
def wrong_file(t):
    good = "# comment\n\nlisten = 127.0.0.1:0\n"
    for line, words in (("colour = blue", ["colour"]), ("workers = several", ["several"]),
                        ("workers 2", ["workers 2"]), ("class = best", ["best", "fsync"]),
                        ("= 3", ["unknown key"]), ("segment-size = 1", ["segment-size"])):
        out = run(t, conf=good + line + "\nring = socket\n")
        equal(out.returncode, 64, f"{line}: {out.stderr}")
        check(re.search(r"a\.conf:4\b|line 4\b", out.stderr), "no line number:", out.stderr)
        for w in words:
            check(w in out.stderr, w, "is not in:", out.stderr)
    for line, word in (("segment-size = 1048577", "multiple"), ("segment-size = 64K\nbody-max = 1M", "does not fit"),
                       ("pool-size = 2M\nworkers = 64\nbody-max = 1M", "64 workers")):
        out = run(t, conf=good + line + "\n")
        equal(out.returncode, 64, f"{line}: {out.stderr}")
        check(re.search(r"a\.conf:4: ", out.stderr) and word in out.stderr, out.stderr)
    out = run(t, "--segment-size", "1048577", conf="segment-size = 1M\n")
    check(out.stderr.startswith("pasted: --segment-size: "), "overridden in the file:", out.stderr)
    out = run(t, "--config", "/nonexistent/x.conf")
    check(out.returncode not in (0, None) and "/nonexistent/x.conf" in out.stderr, out)


@case("a file sets what the command line does not; the command line wins")
def file_and_line(t):
    port, other = free_port(), free_port()
    store = os.path.join(t.dir, "from-file")
    path = os.path.join(t.dir, "good.conf")
    with open(path, "w") as f:
        f.write(f"# all of it\nlisten = 127.0.0.1:{port}\nstore = {store}\nclass=fsync\n"
                f"ring   =   socket  \nworkers = 1\npool-size = 8M\nbuffer-size = 4096\n")
    s = t.a_server(ring="auto", listen=[f"127.0.0.1:{port}"])
    s.command = lambda: [PASTED, "--config", path]
    s.start()
    check("socket" in s.said() and store in s.said(), s.said())
    with s.connect() as c:
        post(c, "/x", b"1")
    s.stop_clean()
    s.listen = [f"127.0.0.1:{other}"]
    s.command = lambda: [PASTED, "--config", path, "--listen", f"127.0.0.1:{other}", "--workers", "2"]
    s.start()
    with s.connect() as c:
        equal(c.ask("GET", "/-/records/0-1").body, b"1", "the same store")
    try:
        Conn(f"127.0.0.1:{port}").close()
        check(False, "also listens where the file says")
    except OSError:
        pass
    s.stop_clean()


@case("port 0 takes a free port and says which")
def any_port(t):
    s = t.a_server(listen=["127.0.0.1:0"]).spawn()
    m = wait_until(lambda: re.search(r"127\.0\.0\.1:([1-9]\d*)", s.said()), 20, "no port in the messages")
    with Conn(f"127.0.0.1:{m.group(1)}") as c:
        equal(c.ask("GET", "/-/livez").status, 200, "livez")
    s.stop_clean()


@case("a class stronger than what was found is refused; nothing is created")
def too_strong(t):
    shm = t.shm()
    for cls, args in (("nvmm", ["--nvmm", shm]), ("nvmm", ["--nvmm", t.dir]), ("nvmm", [])):
        out = run(t, "--class", cls, "--listen", "127.0.0.1:0", "--store", os.path.join(t.dir, "s"), *args)
        check(out.returncode not in (0, None) and out.returncode > 0, "ran as", cls, out)
        check("nvmm" in out.stderr, out.stderr)
        check(re.search("fsync|volatile|--nvmm", out.stderr), "no way out is named:", out.stderr)
    refused = [("class = nvmm", "class nvmm"), ("nvmm = /nonexistent", "/nonexistent"), (f"store = {shm}/s", shm)]
    if not os.path.exists("/dev/paste"):
        refused.append(("ring = paste", "modprobe paste"))
    for line, words in refused:
        out = run(t, conf=f"listen = 127.0.0.1:0\n\n{line}\n")
        equal(out.returncode, 78, f"{line} in a file: {out.stderr}")
        check(re.search(r"a\.conf:3: ", out.stderr), "the file's line is not told:", out.stderr)
        check(words in out.stderr and "accepted is" in out.stderr, out.stderr)
    equal(os.listdir(shm), [], "left on the tmpfs")
    out = run(t, "--class", "nvmm", "--listen", "127.0.0.1:0", "--store", os.path.join(t.dir, "s"),
              "--nvmm", shm, env={"PMEM_IS_PMEM_FORCE": "1"})
    check(out.returncode not in (0, None), "PMEM_IS_PMEM_FORCE was honoured")


@case("fsync by name says that nothing goes to the --nvmm that was given")
def unused_memory(t):
    shm = t.shm()
    s = t.server(cls="fsync", nvmm=shm)
    check(re.search(r"class=fsync \(.*nothing goes to --nvmm", s.said()), s.said())
    s.stop_clean()
    equal(os.listdir(shm), [], "left on the tmpfs")


@case("auto never chooses volatile or none")
def auto_is_safe(t):
    s = t.a_server(cls="auto", nvmm=t.shm()).spawn()
    ended = wait_until(lambda: s.proc.poll() is not None or quietly_ready(s), 20, "neither runs nor ends")
    if s.proc.poll() is None:
        with s.connect() as c:
            r = c.ask("POST", "/x", b"1")
            check(r.get("Pasted-Class") not in ("volatile", "none", None), r)
    check(ended, "")


def quietly_ready(s):
    try:
        return s.ready()
    except AssertionError:
        return False


@case("an address in use, a store that cannot be made: a message with the name, no 0")
def occupied(t):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out = run(t, "--listen", f"127.0.0.1:{port}", "--store", os.path.join(t.dir, "s"))
        check(out.returncode > 0 and str(port) in out.stderr, out)
    out = run(t, "--listen", "127.0.0.1:0", "--store", "/proc/nowhere")
    check(out.returncode > 0 and "/proc/nowhere" in out.stderr, out)
    open(os.path.join(t.dir, "file"), "w").close()
    out = run(t, "--listen", "127.0.0.1:0", "--store", os.path.join(t.dir, "file"))
    check(out.returncode > 0 and "file" in out.stderr, out)
    deep = os.path.join(t.dir, "not", "there", "store")
    out = run(t, "--listen", "127.0.0.1:0", "--store", deep)
    check(out.returncode > 0 and f"{deep}: the directory that it is to be made in" in out.stderr, out)


@case("a limit of file sizes is a message, not a signal")
def small_files(t):
    out = subprocess.run(["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", PASTED, "--listen", "127.0.0.1:0",
                          "--store", os.path.join(t.dir, "s"), "--class", "fsync"],
                         capture_output=True, text=True, timeout=20 * SLOW)
    equal(out.returncode, 1, f"exit status: {out.stderr}")
    check("File too large" in out.stderr, out.stderr)


@case("a listening socket handed over by a service manager is used")
def activation(t):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    port = sock.getsockname()[1]
    s = t.a_server(listen=[f"127.0.0.1:{port}"])
    plain = s.command()
    i = plain.index("--listen")
    cmd = plain[:i] + plain[i + 2:]
    s.command = lambda: ["sh", "-c", f'exec 3<&{sock.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *cmd]
    with open(s.errors, "ab") as err:
        s.proc = subprocess.Popen(s.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                  pass_fds=[sock.fileno()])
    wait_until(s.ready, 20, "not ready: " + s.said())
    with s.connect() as c:
        post(c, "/x", b"1")
    s.stop_clean()


if __name__ == "__main__":
    main()
