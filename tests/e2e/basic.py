#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What every user meets first: the replies, the read-back, the server's own pages."""
import json
import os
import re
import socket
import time

from harness import (Conn, Skip, bytes_of, case, check, equal, free_port, main, post,
                     records, request, wait_until)


@case("one start-up line says class, ring, workers, store and addresses", each=True)
def start_line(t):
    s = t.server()
    lines = [line for line in s.said().splitlines() if f"127.0.0.1:{s.port}" in line]
    equal(len(lines), 1, "start-up lines")
    for word in (t.cls, t.ring, s.store):
        check(word in lines[0], word, "is not in:", lines[0])
    check(re.search(r"\b1\b", lines[0]) and "worker" in lines[0], "no number of workers in:", lines[0])
    s.stop_clean()


@case("POST, PUT, PATCH, DELETE are recorded and read back", each=True)
def recorded(t):
    s = t.server()
    names = []
    with s.connect() as c:
        for i, method in enumerate(("POST", "PUT", "PATCH", "DELETE")):
            body = f"body of {method}".encode()
            r = c.ask(method, f"/a/{method}?q=1", body, [("Content-Type", f"text/x-{method}")])
            equal(r.status, 200, method)
            equal(r.get("Pasted-Class"), t.cls, "Pasted-Class")
            lane, seq = map(int, r.name.split("-"))
            equal((lane, seq), (0, i + 1), "name of the record")
            j = r.json()
            check(r.name in j.values() and t.cls in j.values(), "the JSON body lacks name or class:", j)
            check(len(r.body) < 200, "the JSON body is not short")
            names.append((r.name, method, body))
        for name, method, body in names:
            r = c.ask("GET", f"/-/records/{name}")
            equal((r.status, r.body), (200, body), name)
            equal(r.get("Content-Type"), f"text/x-{method}", name)
            r = c.ask("HEAD", f"/-/records/{name}")
            equal((r.status, r.get("Content-Length"), r.body), (200, str(len(body)), b""), "HEAD")
        equal(c.ask("GET", f"/-/records/{names[0][0]}").body, names[0][2], "after HEAD in one connection")
    s.stop_clean()


@case("ranges are JSON lines, in order, and end where the log ends", each=True)
def ranges(t):
    s = t.server()
    bodies = [bytes_of(i, i * 97) for i in range(20)]
    with s.connect() as c:
        for i, b in enumerate(bodies):
            equal(post(c, f"/r/{i}", b, [("X-N", str(i))]), f"0-{i + 1}", "name")
        for first, last in ((1, 20), (3, 3), (5, 12), (15, 400)):
            r = c.ask("GET", f"/-/records/0-{first}..{last}")
            equal(r.status, 200, r)
            got = records(r.body)
            want = list(range(first, min(last, 20) + 1))
            equal([g.seq for g in got], want, f"{first}..{last}")
            for g in got:
                equal((g.method, g.target, g.body), ("POST", f"/r/{g.seq - 1}", bodies[g.seq - 1]), g.name)
                check(("x-n", str(g.seq - 1)) in [(k.lower(), v) for k, v in g.headers], g.headers)


@case("a range is byte for byte what the tool dumps; open ranges, tails, lanes", each=True)
def lines(t):
    s = t.server()
    with s.connect() as c:
        for i in range(30):
            post(c, f"/{i}", bytes_of(i, i * 41), [("X-Two", "a"), ("X-Two", "b\xe9")], chunk=100 if i % 3 == 1 else 0)
        every = c.ask("GET", "/-/records/0-1..30").body
        equal(c.ask("GET", "/-/records/0-1..").body, every, "an open range")
        equal(c.ask("GET", "/-/records/0-11..").body.splitlines(), every.splitlines()[10:], "from the middle on")
        equal(c.ask("GET", "/-/records/0?tail=5").body.splitlines(), every.splitlines()[25:], "the tail")
        equal(c.ask("GET", "/-/records/0?tail=100").body, every, "a tail longer than the lane")
        for target in ("/-/records", "/-/records/0"):
            r = c.ask("GET", target)
            check(r.status == 200 and b"30" in r.body, target, r)
        equal(c.ask("GET", "/-/records/7").status, 404, "a lane that is not there")
    s.stop_clean()
    equal(s.recover("dump", "--json").stdout, every, "pasted-recover dump --json")


@case("404 for what never was, 400 for what is no name, never a crash")
def absent(t):
    s = t.server()
    with s.connect() as c:
        post(c, "/x", b"1")
        for target in ("0-2", "0-0", "9-1", "255-1", "256-1", "99999999999999999999-1",
                       "0-9223372036854775807", "0-18446744073709551615", "0-18446744073709551616",
                       "256", "256?tail=1", "256-1..2"):
            equal(c.ask("GET", f"/-/records/{target}").status, 404, target)
        equal(len(c.ask("GET", "/-/records/0-1..99999999999999999999").body.splitlines()), 1, "a far end")
        equal(len(c.ask("GET", "/-/records/0?tail=99999999999999999999").body.splitlines()), 1, "a long tail")
        for target in ("x", "0-", "-1", "0-1x", "0-5..2", "0-01", "0--1", "../store", "%2e%2e", "0-1/../0-1"):
            r = c.ask("GET", f"/-/records/{target}")
            check(r.status in (400, 404), target, "gives", r.status)
        equal(c.ask("GET", "/-/nothing").status, 404, "unknown own page")
        equal(c.ask("GET", "/elsewhere").status, 404, "GET outside /-/")
        equal(c.ask("GET", "/-/records/0-1").body, b"1", "still there")


@case("GET, HEAD, OPTIONS leave the log alone; OPTIONS names the methods", each=True)
def untouched(t):
    s = t.server()
    with s.connect() as c:
        first = post(c, "/x", b"1")
        for method in ("GET", "HEAD", "OPTIONS"):
            for target in ("/", "/x", "/-/livez", "/-/metrics"):
                r = c.ask(method, target)
                equal(r.name, None, "a name for " + method)
        r = c.ask("OPTIONS", "/x")
        check(r.status in (200, 204), r)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            check(method in (r.get("Allow") or ""), method, "is not in Allow:", r)
        equal((first, post(c, "/x", b"2")), ("0-1", "0-2"), "names")


@case("POST under /-/ is refused and not recorded")
def own_names(t):
    s = t.server()
    with s.connect() as c:
        for target in ("/-/livez", "/-/records/0-1", "/-/x"):
            r = c.ask("POST", target, b"x")
            check(r.status in (404, 405) and r.name is None, target, r)
    with s.connect() as c:
        equal(post(c, "/-x", b"1"), "0-1", "a target that only looks alike")


@case("every reply says the class, whatever it is about", each=True)
def named_class(t):
    s = t.server()
    asked = [("GET", "/-/livez"), ("HEAD", "/-/readyz?x"), ("GET", "/-/metrics"), ("GET", "/-/"),
             ("GET", "/-/records/0-1"), ("GET", "/-/records/0-1.."), ("GET", "/-/records/0-9"),
             ("GET", "/-/records/?"), ("GET", "/nothing"), ("OPTIONS", "/x"), ("POST", "/-/x"),
             ("DELETE", "/x"), ("GET", "/" + "a" * 9000), ("BREW", "/x"), ("GET", "no-target")]
    seen = set()
    with s.connect() as c:
        post(c, "/x", b"1")
    for method, target in asked:
        r = s.ask(method, target)
        seen.add(r.status)
        names = [v for k, v in r.headers if k.lower() == "pasted-class"]
        equal(names, [t.cls], f"{method} {target[:40]}: {r}")
    check(seen >= {200, 204, 400, 404, 405, 414, 501}, seen)
    for target in ("/" + "a" * 9000, "no-target", "/-/records/0-9", "/nothing"):
        with s.connect() as c:
            r = c.ask("HEAD", target, headers=[("Connection", "close")])
            check(r.status >= 400 and c.closed(), "a body for HEAD, refused with", r.status)


@case("livez, readyz, metrics, the page")
def pages(t):
    s = t.server()
    with s.connect() as c:
        for i in range(10):
            post(c, "/x", b"y" * 100)
        equal(c.ask("GET", "/-/livez").status, 200, "livez")
        equal(c.ask("GET", "/-/readyz").status, 200, "readyz")
        r = c.ask("GET", "/-/metrics")
        equal(r.status, 200, "metrics")
        check((r.get("Content-Type") or "").startswith("text/plain"), r.get("Content-Type"))
        r = c.ask("GET", "/-/")
        equal(r.status, 200, "the page")
        check((r.get("Content-Type") or "").startswith("text/html"), r.get("Content-Type"))
        check(b"</html>" in r.body.lower(), "the page does not end")
        for load in (rb'src="https?:', rb'href="https?:[^"]*\.css', rb"@import", rb"url\(https?:"):
            check(not re.search(load, r.body), "the page is not self-contained:", load)


@case("metrics are well-formed, counted, and name the class")
def metrics(t):
    s = t.server()
    with s.connect() as c:
        for i in range(10):
            post(c, "/x", b"y" * 100)
    m = s.metrics()
    name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    label = rf'{name}="(?:[^"\\\n]|\\.)*"'
    typed = {}
    for line in m.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, what, kind = line.split(" ")
            check(what not in typed, "typed twice:", what)
            typed[what] = kind
        elif not line.startswith("#"):
            check(re.fullmatch(rf"{name}(\{{{label}(,{label})*\}})? [-+]?[0-9.eE+-]+(Inf|NaN)?", line),
                  "not a sample:", line)
            base = re.sub(r"_(bucket|sum|count)$", "", line.split("{")[0].split(" ")[0])
            check(base in typed or line.split("{")[0].split(" ")[0] in typed, "no type:", line)
    check(re.search(r'class="fsync"', m.text), "no class in the metrics")
    check(any(v == 10 for k, v in m.rows.items() if "record" in k), "no metric counts 10 records:", m.text)


@case("class none: replies, but nothing is stored or named")
def none(t):
    s = t.server(cls="none")
    with s.connect() as c:
        for i in range(5):
            r = c.ask("POST", "/x", b"y" * 1000)
            equal((r.status, r.name, r.get("Pasted-Class")), (200, None, "none"), r)
            check("none" in r.json().values(), r.body)
        equal(c.ask("GET", "/-/records/0-1").status, 404, "read-back")
    check("none" in s.said(), "the start-up line does not say none")
    s.stop_clean()


@case("class none: what is refused leaves nothing to the next request's count")
def none_counts(t):
    s = t.server(cls="none")
    whole = request("POST", "/a", b"x" * 100)
    with s.connect() as c:
        for _ in range(5):
            # The refused one's head in two pieces: until the second it may be a record.
            head = request("POST", "/-/readyz", b"")
            c.send(head[:7])
            time.sleep(0.02)
            c.send(head[7:])
            equal(c.reply().status, 405, "a POST to the server's own")
        c.send(whole)
        equal(c.reply().status, 200, "a POST")
    equal(s.metrics().sum("pasted_recorded_bytes_total"), len(whole), "bytes of what was taken")


@case("auto chooses a stored class and a ring that works")
def auto(t):
    s = t.server(ring="auto", cls="auto")
    with s.connect() as c:
        r = c.ask("POST", "/x", b"1")
        check(r.get("Pasted-Class") in ("fsync", "nvmm", "nvmm-eadr"), r)
        equal(c.ask("GET", f"/-/records/{r.name}").body, b"1", "read-back")


@case("[::1], a Unix socket and several addresses at once", each=True)
def addresses(t):
    try:
        six = f"[::1]:{free_port(socket.AF_INET6)}"
    except OSError as e:
        raise Skip(f"no IPv6 loopback: {e}")
    path = os.path.join(t.shm(), "sock")
    four = f"127.0.0.1:{free_port()}"
    s = t.server(listen=[four, six, "unix:" + path], settings={"workers": "2"})
    for i, a in enumerate((four, six, "unix:" + path)):
        with Conn(a) as c:
            name = post(c, f"/{i}", a.encode())
            equal(c.ask("GET", f"/-/records/{name}").body, a.encode(), a)
    s.stop_clean()
    check(not os.path.exists(path), "the socket's file was left behind")
    # A file that a killed server left is not in the way of the next one.
    s.start()
    s.kill()
    s.start()
    with Conn("unix:" + path) as c:
        post(c, "/again", b"1")
    s.stop_clean()


@case("record times are the wall clock's and do not go back", each=True)
def times(t):
    import time
    s = t.server()
    before = time.time()
    with s.connect() as c:
        for i in range(50):
            post(c, "/x", b"1")
        r = c.ask("GET", "/-/records/0-1..50")
    seen = [json.loads(line)["time"] for line in r.body.splitlines()]
    equal(len(seen), 50, "records")
    check(all(a <= b for a, b in zip(seen, seen[1:])), "times go back:", seen)
    check(str(time.gmtime(before).tm_year) in str(seen[0]) or abs(float(seen[0]) / 1000 - before) < 60,
          "not the wall clock:", seen[0])


@case("descriptors and connections are given back", each=True)
def leaks(t):
    s = t.server()
    with s.connect() as c:
        post(c, "/warm", b"1")
    wait_until(lambda: True, 1, "")
    before = s.descriptors()
    for i in range(300):
        c = s.connect()
        if i % 3 == 0:
            post(c, "/x", b"1")
        if i % 3 == 1:
            c.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        c.abort() if i % 2 else c.close()
    wait_until(lambda: s.descriptors() <= before, 20, f"descriptors: {before} before")


if __name__ == "__main__":
    main()
