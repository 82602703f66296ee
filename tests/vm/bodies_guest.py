# SPDX-License-Identifier: BSD-2-Clause
"""In the guest: bodies of the same bytes to a server on each ring, read back from each.

Not run by make check: paste_e2e.py runs it, in its machine.
usage: bodies_guest.py SEED COUNT.  Sizes: every one around the ends of buffers, packets
and large packets, then COUNT drawn ones up to 8 MiB, sent whole, in chunks or in pieces.
"""
import os
import random
import sys

from harness import MIB, bytes_of, case, combinations, equal, main, request

SEED, COUNT = sys.argv[1], int(sys.argv[2])
RINGS = list(dict.fromkeys(r for r, _ in combinations()))
MOST = 8 * MIB
# 2048, 4096: buffers; 1448: TCP on Ethernet; 65483: on the loopback; 128: the request's
# head is about that long, so that the body's end comes to stand on each side of an end.
ENDS = [k * b for b in (2048, 4096) for k in (1, 2, 3)] + [1448, 2 * 1448, 10 * 1448, 32768, 65483, 65536,
                                                          2 * 65483, MIB, MOST]


def sizes(rng):
    out = set(range(0, 70)) | {n for e in ENDS for n in range(e - 3, e + 4)}
    out |= {n for e in ENDS[:6] for n in range(e - 140, e - 60, 3)}
    for _ in range(COUNT):
        out.add(int(2 ** rng.uniform(0, 23)))
    return sorted(n for n in out if 0 <= n <= MOST)


def send(c, how, target, body, rng):
    if how == "chunked":
        c.send(request("POST", target, body, chunk=rng.choice((1 + len(body) // 3, 4096, 65536))))
        return
    whole = request("POST", target, body)
    if how == "whole":
        c.send(whole)
        return
    at = 0
    while at < len(whole):
        n = rng.randrange(1, 1 + max(1, len(whole) // 3))
        c.send(whole[at:at + n])
        at += n


@case("the same bodies through each ring")
def same(t):
    rng = random.Random(SEED)
    size = rng.choice(("2048", "4096"))
    servers = [t.server(ring=r, cls="volatile", store=os.path.join(t.dir, r),
                        settings={"pool-size": "64M", "segment-size": "64M", "body-max": "8M", "buffer-size": size})
               for r in RINGS]
    total = 0
    conns = [s.connect() for s in servers]
    wanted = sizes(rng)
    for n in wanted:
        body, how, seed = bytes_of(f"{SEED}/{n}", n), rng.choice(("whole", "whole", "chunked", "pieces")), rng.random()
        got = []
        for c in conns:
            send(c, how, f"/{n}", body, random.Random(seed))
            r = c.reply()
            equal(r.status, 200, f"POST of {n} bytes, {how}: {r}")
            got.append((r.name, c.ask("GET", f"/-/records/{r.name}").body))
        for (name, back), ring in zip(got, RINGS):
            equal(name, got[0][0], f"name of {n} bytes, {how}, on {ring}")
            if back != body:
                raise AssertionError(f"{n} bytes, {how}, differ on {ring}")
        total += n
    for c in conns:
        c.close()
    for s, ring in zip(servers, RINGS):
        copied, straight = (s.metrics().sum(f"pasted_ring_{k}_bytes_total") for k in ("copied", "zero_copy"))
        s.stop_clean()
        bodies = [r.body for r in s.dump()]
        equal([len(b) for b in bodies], wanted, "sizes in the dump of " + ring)
        for n, b in zip(wanted, bodies):
            if b != bytes_of(f"{SEED}/{n}", n):
                raise AssertionError(f"{n} bytes differ in the dump of {ring}")
        print(f"{ring}: {len(wanted)} bodies, {total} bytes; copied {copied:.0f}, not {straight:.0f}")


if __name__ == "__main__":
    main()
