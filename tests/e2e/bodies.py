#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bodies from nothing to megabytes, in pieces from one byte up, and what they hold."""
import time

from harness import KIB, MIB, bytes_of, case, check, equal, main, post, request, wait_until

SIZES = [0, 1, 7, 8, 63, 64, 65, 255, 256, 257, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 12289,
         65535, 65536, 65537, 300001, MIB, 3 * MIB + 1, 8 * MIB]


@case("every size comes back byte-identical, from the server and from the tool", each=True)
def sizes(t):
    s = t.server(settings={"pool-size": "32M", "segment-size": "32M", "body-max": "8M"})
    names = {}
    with s.connect() as c:
        for n in SIZES:
            names[post(c, f"/{n}", bytes_of(n, n))] = n
        for name, n in names.items():
            check(c.ask("GET", f"/-/records/{name}").body == bytes_of(n, n), "GET differs at size", n)
    s.stop_clean()
    got = {r.name: r for r in s.dump()}
    equal(list(got), list(names), "names in the dump")
    for name, n in names.items():
        check(got[name].body == bytes_of(n, n), "dump differs at size", n)


@case("large bodies in chunks of every kind", each=True)
def chunked(t):
    s = t.server(settings={"pool-size": "32M", "segment-size": "32M", "body-max": "8M"})
    with s.connect() as c:
        for n, piece in ((20000, 1), (200000, 7), (MIB, 100), (MIB, 2048), (4 * MIB, 60000), (8 * MIB, 8 * MIB)):
            body = bytes_of((n, piece), n)
            name = post(c, "/c", body, chunk=piece)
            check(c.ask("GET", f"/-/records/{name}").body == body, "differs:", n, piece)


def drip(t, s, head, pieces):
    with s.connect() as c:
        c.send(head)
        most = 0
        for i, piece in enumerate(pieces):
            c.send(piece)
            # Without a pause the kernel joins the pieces and the test tests nothing.
            time.sleep(0.0002)
            if i % 500 == 250:
                m = s.metrics()
                most = max(most, m.sum("pasted_pool_buffers") - m.sum("pasted_pool_buffers_free")
                           - m.sum("pasted_pool_buffers_kernel"))
        r = c.reply()
    equal(r.status, 200, r)
    return r.name, most


@case("a client of tiny pieces holds no buffer per piece; what is copied is counted", each=True)
def tiny_pieces(t):
    s = t.server(settings={"pool-size": "4M"})
    n = 3000
    body = bytes_of("tiny", n)
    name, held = drip(t, s, request("POST", "/t", None, [("Content-Length", str(n))]),
                      [body[i:i + 1] for i in range(n)])
    equal(s.record(name).body, body, "content-length")
    copied = s.metrics().sum("pasted_gathered_bytes_total")
    check(copied > 0, "nothing was gathered: the pieces arrived as one?")
    check(held < 64, held, "buffers held by a body of", n, "bytes")
    name, held = drip(t, s, request("POST", "/t", None, [("Transfer-Encoding", "chunked")]),
                      [b"1\r\n%c\r\n" % b for b in body] + [b"0\r\n\r\n"])
    equal(s.record(name).body, body, "chunked")
    check(held < 64, held, "buffers held by chunks of one byte")
    check(s.metrics().sum("pasted_gathered_bytes_total") > copied, "chunks of one byte: nothing gathered")


@case("chunks of one byte sent as one stream hold no buffer per chunk", each=True)
def tiny_chunks(t):
    s = t.server(settings={"pool-size": "8M"})
    body = bytes_of("chunks", 400 * KIB)        # 2.4 MB of framing and data
    with s.connect() as c:
        name = post(c, "/t", body, chunk=1)
        check(c.ask("GET", f"/-/records/{name}").body == body, "differs")


@case("after all bodies the pool is whole again", each=True)
def pool_returns(t):
    s = t.server(settings={"pool-size": "8M"})

    def unheld():
        m = s.metrics()
        return m.sum("pasted_pool_buffers_free") + m.sum("pasted_pool_buffers_kernel")
    with s.connect() as c:
        post(c, "/x", b"1")
    total = s.metrics().sum("pasted_pool_buffers")
    for i in range(40):
        with s.connect() as c:
            post(c, "/x", bytes_of(i, 500 * KIB), chunk=(0, 10000)[i % 2])
            c.send(request("POST", "/x", None, [("Content-Length", "2000000")]) + b"y" * 100000)
    # The connection that asks may hold one, and a settled batch comes back with the next one.
    def whole():
        with s.connect() as c:
            post(c, "/x", b"1")
        return unheld() >= total - 8
    wait_until(whole, 20, "buffers are missing: see pasted_pool_buffers*")


if __name__ == "__main__":
    main()
