#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP as bytes: splits, pipelines, chunks, limits, timeouts, redaction."""
import select
import time

from harness import (MIB, SANITIZED, SLOW, accepted, bytes_of, case, check, equal, main, ms, post,
                     records, request, wait_until)


def stored(s, name):
    """The record itself, as the range shows it."""
    r = s.ask("GET", f"/-/records/{name}..{name.split('-')[1]}")
    equal(r.status, 200, r)
    return records(r.body)[0]


SPLIT = {
    "length": request("POST", "/split?a=b", b"0123456789", [("Content-Type", "x/y"), ("X-Odd", "  v ")]),
    "chunked": request("PUT", "/split?a=b", b"0123456789", [("Content-Type", "x/y")], chunk=4),
    "extension": b"PATCH /split?a=b HTTP/1.1\r\nHost: t\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n"
                 b"\r\n3;a=b\r\n012\r\n7\r\n3456789\r\n0\r\nTrailer-X: y\r\n\r\n",
}


def split_one(s, data, cuts):
    with s.connect() as c:
        last = 0
        for cut in cuts + [len(data)]:
            c.send(data[last:cut])
            last = cut
            time.sleep(0.0008)
        return c.reply()


@case("a request split at every byte is the same request", each=True)
def split_everywhere(t):
    s = t.server()
    for what, data in SPLIT.items():
        for cut in range(1, len(data)):
            r = split_one(s, data, [cut])
            equal(r.status, 200, f"{what} cut at {cut}")
        got = stored(s, r.name)
        equal((got.target, got.body), ("/split?a=b", b"0123456789"), what)
    total = sum(len(d) - 1 for d in SPLIT.values())
    body = s.ask("GET", f"/-/records/0-1..{total}").body
    got = records(body)
    equal(len(got), total, "records")
    for rec in got:
        equal((rec.target, rec.body), ("/split?a=b", b"0123456789"), rec.name)


@case("byte by byte", each=True)
def byte_by_byte(t):
    s = t.server()
    for what, data in SPLIT.items():
        r = split_one(s, data, list(range(1, len(data))))
        equal(r.status, 200, what)
        equal(stored(s, r.name).body, b"0123456789", what)


@case("thousands pipelined: every reply, in order, each record its own bytes", each=True)
def pipelined(t):
    import threading
    s = t.server()
    n = 4000
    bodies = [bytes_of(i, i % 300) for i in range(n)]
    with s.connect() as c:
        data = b"".join(
            request("GET", "/-/livez") if i % 7 == 3 else
            request("POST", f"/p/{i}", bodies[i], chunk=50 if i % 5 == 1 else 0) for i in range(n))
        sender = threading.Thread(target=c.send, args=(data,), daemon=True)
        sender.start()
        seq = 0
        for i in range(n):
            r = c.reply()
            equal(r.status, 200, f"reply {i}")
            if i % 7 == 3:
                equal(r.name, None, "a GET that was recorded")
            else:
                seq += 1
                equal(r.name, f"0-{seq}", f"reply {i}")
        sender.join()
        r = c.ask("GET", f"/-/records/0-1..{seq}")
    want = [i for i in range(n) if i % 7 != 3]
    got = records(r.body)
    equal(len(got), len(want), "records in the range")
    for g, i in zip(got, want):
        equal((g.target, g.body), (f"/p/{i}", bodies[i]), g.name)


@case("pipelined without reading a reply: the server pushes back and forgets nothing", each=True)
def deaf_client(t):
    s = t.server()
    with s.connect() as c:
        c.sock.setblocking(False)
        one = request("GET", "/-/", None, [("X-Pad", "p" * 4000)])
        piece = one * 50
        sent = 0
        while sent < 30 * MIB and select.select([], [c.sock], [], 0.5)[1]:
            sent += c.sock.send(piece[sent % len(piece):])
        with s.connect() as honest:
            post(honest, "/other", b"x")
        check(SANITIZED or s.status_kb("VmRSS") < 300 * 1024, "memory grew:", s.status_kb("VmRSS"), "KiB")
        check(sent < 30 * MIB, "never pushed back")
        c.sock.settimeout(30 * SLOW)
        for i in range(sent // len(one)):
            equal(c.reply().status, 200, f"reply {i}")


@case("chunked bodies of every shape are stored without their framing", each=True)
def chunked(t):
    s = t.server()
    with s.connect() as c:
        for size, piece in ((0, 1), (1, 1), (10, 3), (5000, 1), (70000, 4096), (70000, 4095), (300000, 65536)):
            body = bytes_of(size, size)
            name = post(c, "/c", body, chunk=piece)
            equal(c.ask("GET", f"/-/records/{name}").body, body, f"{size} in pieces of {piece}")


@case("Expect: 100-continue", each=True)
def expect(t):
    s = t.server()
    with s.connect() as c:
        c.send(b"POST /e HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        equal(c.reply().status, 100, "interim reply")
        c.send(b"12345")
        equal(c.reply().status, 200, "final reply")
        c.send(b"POST /e HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        r = c.reply()
        if r.status == 100:
            r = c.reply()
        equal(r.status, 200, "body sent at once")
        c.send(request("POST", "/e", b"1"))
        equal(c.reply().status, 200, "next request")
    with s.connect() as c:
        c.send(b"POST /e HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
        equal(c.reply().status, 413, "too large is refused before the body is sent")
    with s.connect(timeout=5) as c:
        c.send(b"POST /-/records HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        equal(c.reply().status, 405, "the server's own is refused before the body is sent")
    with s.connect() as c:
        r = c.ask("POST", "/e", b"x", [("Expect", "the-moon")])
        check(r.status in (417, 400), r)


@case("conditions that are false, and parts of things, are not performed; what needs no performing is", each=True)
def conditions(t):
    s = t.server()
    with s.connect() as c:      # RFC 9110, 13.1.1 and 14.5
        for method, header, status in (("POST", ("If-Match", '"x"'), 412), ("PUT", ("If-Match", "*"), 412),
                                       ("DELETE", ("IF-MATCH", 'W/"a", "b"'), 412), ("PUT", ("Content-Range", "bytes 0-0/2"), 400),
                                       ("POST", ("Content-Range", "bytes 0-0/2"), 200), ("POST", ("If-None-Match", "*"), 200),
                                       ("PUT", ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), 200)):
            r = c.ask(method, "/c", b"x", [header])
            equal(r.status, status, f"{method} with {header}: {r}")
            check(status == 200 or (r.name is None and r.json()["status"] == status), r)
        for header in (("Range", "bytes=0-0"), ("If-None-Match", "*"), ("If-Modified-Since", "Sun, 06 Nov 2044 08:49:37 GMT"),
                       ("If-Match", '"x"'), ("If-Match", "*")):
            r = c.ask("GET", "/-/records/0-1", None, [header])
            equal((r.status, r.body, r.get("Accept-Ranges"), r.get("Last-Modified")), (200, b"x", "none", None), header)
        equal(c.ask("GET", "/-/records/0-9").json()["status"], 404, "an error under /-/")
    equal(len(s.ask("GET", "/-/records/0-1..100").body.splitlines()), 3, "records")


@case("a target: the one rule that the manual has, for each byte")
def targets(t):
    s = t.server()
    allowed = set(range(0x21, 0x7f)) - set(b'"<>#%')
    for b in range(256):
        with s.connect() as c:
            c.send(b"GET /a" + bytes([b]) + b"b HTTP/1.1\r\nHost: t\r\n\r\n")
            status = c.reply().status
        equal(status, 404 if b in allowed else 400, f"a target with the byte {b:#x}")


@case("HTTP/1.0, keep-alive and close", each=True)
def versions(t):
    s = t.server()
    with s.connect() as c:
        r = c.ask("POST", "/v", b"1", version="HTTP/1.0")
        equal(r.status, 200, r)
        check(c.closed(), "HTTP/1.0 without keep-alive stays open")
    with s.connect() as c:
        for _ in range(2):
            r = c.ask("POST", "/v", b"1", [("Connection", "keep-alive")], version="HTTP/1.0")
            equal((r.status, (r.get("Connection") or "").lower()), (200, "keep-alive"), r)
    with s.connect() as c:
        r = c.ask("POST", "/v", b"1", [("Connection", "close")])
        equal((r.status, (r.get("Connection") or "").lower()), (200, "close"), r)
        check(c.closed(), "stays open after Connection: close")
    with s.connect() as c:
        c.send(request("POST", "/v", b"1") + request("POST", "/v", b"2", [("Connection", "close")]) +
               request("POST", "/v", b"3"))
        equal([c.reply().status, c.reply().status], [200, 200], "before the close")
        check(c.closed(), "a request behind Connection: close was answered")
    with s.connect() as c:
        c.send(request("POST", "/v", b"1"))
        c.half_close()
        equal(c.reply().status, 200, "the client closed its side first")
        check(c.closed(), "stays open after the client's end")
    count = len(s.ask("GET", "/-/records/0-1..100").body.splitlines())
    equal(count, 1 + 2 + 1 + 2 + 1, "records")
    with s.connect() as c:
        r = c.ask("GET", "/-/livez", version="HTTP/2.0")
        check(r.status in (400, 505), r)


@case("limits: 431, 413, 414, then the connection closes; nothing is recorded", each=True)
def limits(t):
    s = t.server(settings={"body-max": "1M"})
    for what, status, data in (
            ("a huge header", 431, b"POST /l HTTP/1.1\r\nHost: t\r\nX-Big: " + b"x" * 200000),
            ("many headers", 431, b"POST /l HTTP/1.1\r\nHost: t\r\n" + b"X-Y: z\r\n" * 50000),
            ("a huge target", 414, b"POST /" + b"l" * 200000),
            ("a declared body", 413, b"POST /l HTTP/1.1\r\nHost: t\r\nContent-Length: 1048577\r\n\r\n"),
            ("a number beyond 64 bits", (400, 413),
             b"POST /l HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
            ("a chunk beyond 64 bits", (400, 413),
             b"POST /l HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n")):
        with s.connect() as c:
            try:
                c.send(data)
            except OSError:
                pass    # refused while we were still sending
            r = c.reply()
            check(r.status in (status if isinstance(status, tuple) else (status,)), what, "gives", r)
            check(r.name is None, what, "was recorded")
            check(c.closed(), what, ": still open")
    with s.connect() as c:
        c.send(b"POST /l HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(40):
                c.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass
        equal(c.reply().status, 413, "chunks that add up")
    with s.connect() as c:
        body = bytes_of(1, MIB)
        equal(post(c, "/l", body), "0-1", "the first record, as large as allowed")
        equal(c.ask("GET", "/-/records/0-1").body, body, "read-back")


@case("405 and 501", each=True)
def methods(t):
    s = t.server()
    for method, status in (("TRACE", (405, 501)), ("CONNECT", (405, 501, 400)), ("PROPFIND", (405, 501)),
                           ("BREW", (501, 400)), ("get", (501, 400))):
        with s.connect() as c:
            target = "test:1" if method == "CONNECT" else "/m"
            r = c.ask(method, target)
            check(r.status in status, method, r)
            check(r.status != 405 or r.get("Allow"), "405 without Allow:", r)
    with s.connect() as c:
        equal(post(c, "/m", b"1"), "0-1", "nothing was recorded before")


@case("slow headers and slow bodies are 408; idle ones are closed; the others do not notice", each=True)
def slow(t):
    s = t.server(settings={"header-timeout": ms(600), "body-timeout": ms(600), "idle-timeout": ms(1000)})
    idle, header, body, honest = (s.connect() for _ in range(4))
    header.send(b"POST /s HTTP/1.1\r\nHost: t\r\n")
    body.send(b"POST /s HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nxxx")
    waiting, drips, end = {header, body}, 3, time.monotonic() + 20 * SLOW
    while waiting:
        check(time.monotonic() < end, "not ended:", waiting)
        post(honest, "/honest", b"1")
        if header in waiting and drips:
            header.send(b"X-A: b\r\n")     # a drip does not prolong a head's time
            drips -= 1
        for c in select.select([c.sock for c in waiting], [], [], 0.1)[0]:
            c = next(x for x in waiting if x.sock is c)
            equal(c.reply().status, 408, "slow " + ("header" if c is header else "body"))
            check(c.closed(), "open after 408")
            waiting.discard(c)
    check(idle.closed(), "an idle connection gets bytes instead of the end")
    post(honest, "/honest", b"1")
    names = s.ask("GET", "/-/records/0-1..1000").body
    check(b'"/s"' not in names, "an incomplete request was recorded")


@case("ambiguous framing is 400 and the end of the connection", each=True)
def smuggling(t):
    s = t.server()
    for data in (
            b"POST /z HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"POST /z HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /z HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            b"POST /z HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
            b"POST /z HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\nabc",
            b"POST /z HTTP/1.1\r\nHost: t\r\nContent-Length : 3\r\n\r\nabc",
            b"POST /z HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\nabc",
            b"POST /z HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
            b"POST /z HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
            b"POST /z HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            b"POST /z HTTP/1.1\r\nHost: t\r\nHost: u\r\nContent-Length: 3\r\n\r\nabc",
            b"POST /z\x00 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
            b"POST  /z HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
            b"POST /z HTTP/1.1\nHost: t\nContent-Length: 3\n\nabc",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        with s.connect() as c:
            c.send(data)
            c.half_close()
            r = c.reply()
            check(r.status in (400, 501), data, "gives", r)
            check(c.closed(), "open after:", data)
    with s.connect() as c:
        equal(post(c, "/z", b"1"), "0-1", "nothing was recorded before")


@case("Authorization, Proxy-Authorization and Cookie are redacted, all else is byte-identical", each=True)
def redaction(t):
    s = t.server()
    secrets = [b"c2VjcmV0OnNlY3JldA==", b"PROXYSECRET", b"session=COOKIESECRET", b"second=COOKIE2"]
    head = (b"POST /red?x=%41 HTTP/1.1\r\nHost: t\r\nX-A:v1\r\nauthorization: Basic " + secrets[0] +
            b"\r\nX-A: v2 \r\nPROXY-Authorization:" + secrets[1] + b"\r\nCookie: " + secrets[2] +
            b"\r\nX-Empty:\r\nX-Utf: \xc3\xbc\r\nCookie: " + secrets[3] +
            b"\r\nX-Cookie: kept-1\r\nAuthorization-Not: kept-2\r\nContent-Length: 4\r\n\r\n")
    with s.connect() as c:
        c.send(head + b"body")
        names = [c.reply().name]
        for b in head + b"body":    # the same, a secret in as many buffers as it has bytes
            c.send(bytes([b]))
            time.sleep(0.0005)
        names.append(c.reply().name)
    s.stop_clean()
    raw = s.recover("dump")
    check(raw.returncode == 0, "dump:", raw.stderr)
    for secret in secrets:
        for part in (secret, secret[:8], secret[-8:]):
            check(part not in raw.stdout, "survives:", part)
    records = {r.name: r for r in s.dump()}
    for name in names:
        r = records[name]
        equal((r.method, r.target, r.body), ("POST", "/red?x=%41", b"body"), name)
        kept = [(k, v) for k, v in r.headers if k.lower() not in ("authorization", "proxy-authorization", "cookie")]
        equal([(k, v.strip()) for k, v in kept],
              [("Host", "t"), ("X-A", "v1"), ("X-A", "v2"), ("X-Empty", ""), ("X-Utf", "Ã¼"),
               ("X-Cookie", "kept-1"), ("Authorization-Not", "kept-2"), ("Content-Length", "4")], "headers")
        equal(len(r.headers), 12, "headers, the redacted ones still named")
    # Byte for byte: only the values differ from what was sent, and no length did.
    blank = head
    for secret in (b"Basic " + secrets[0], *secrets[1:]):
        blank = blank.replace(secret, b"\0" * len(secret))
    i = raw.stdout.find(b"POST /red?x=%41")
    check(i >= 0, "the raw dump lacks the request")
    got = raw.stdout[i:i + len(head)]
    differ = [k for k, b in enumerate(blank) if b and got[k] != b]
    equal(differ, [], "offsets that differ outside the secrets")


@case("clients that vanish at any byte leave nothing behind", each=True)
def vanish(t):
    s = t.server(settings={"pool-size": "4M"})
    data = SPLIT["length"]
    with s.connect() as c:
        first = post(c, "/v", b"1")
    for cut in list(range(1, len(data), 3)):
        c = s.connect()
        c.send(data[:cut])
        c.abort() if cut % 2 else c.close()
    for _ in range(50):
        c = s.connect()
        c.send(b"POST /big HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n" + b"x" * 100000)
        c.abort()
    body = bytes_of(2, 700000)
    for _ in range(12):         # more than the pool, were it not given back
        name = wait_until(lambda: accepted(s, "/v", body), 20, "the pool does not recover")
    equal(name.split("-")[0], first.split("-")[0], "lane")
    s.stop_clean()
    equal({r.target for r in s.dump()}, {"/v"}, "targets in the log")


if __name__ == "__main__":
    main()
