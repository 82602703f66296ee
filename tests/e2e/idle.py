#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A thousand idle connections: what each costs, and that they are in nobody's way."""
import resource
import time

from harness import SANITIZED, SLOW, Skip, bytes_of, case, check, equal, main, ms, post, wait_until

N = 1000


@case("1000 idle connections cost at most 4 KiB each, and go without a trace", each=True)
def idle(t):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < N + 100:
        raise Skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, N + 100), hard))
    s = t.server(settings={"idle-timeout": "1h", "pool-size": "4M", "body-max": "1M"})
    with s.connect() as c:
        for i in range(200):    # the first touch of what is allocated once
            post(c, "/warm", bytes_of(i, 1000))
    # Buffers, touched by turns, are the pool's and not the connections'.
    def anonymous():
        return s.status_kb("RssAnon")
    fds, before = s.descriptors(), anonymous()
    conns = []
    for i in range(N):
        c = s.connect()
        conns.append(c)
        post(c, "/x", b"1")
    after = anonymous()
    pool = s.metrics().sum("pasted_pool_buffers") * 4096 / 1024 if t.syncs else 0
    each = (after - before) / N
    print(f"#    {t.ring} {t.cls}: {each:.2f} KiB per idle connection "
          f"(anonymous memory {before} to {after} KiB, pool {pool:.0f})")
    limit = 4 * N + pool        # the pool is anonymous memory without NVMM
    check(SANITIZED or after - before <= limit, after - before, "KiB for", N, "connections")
    with s.connect() as c:
        post(c, "/y", b"1")
    for c in conns[::100]:
        post(c, "/z", b"1")
    for c in conns:
        c.close()
    wait_until(lambda: s.descriptors() <= fds, 20, "descriptors are not given back")
    with s.connect() as c:
        post(c, "/y", b"1")


@case("idle connections end after idle-timeout, busy ones do not", each=True)
def timeout(t):
    s = t.server(settings={"idle-timeout": ms(1000)})
    fresh, used = s.connect(), s.connect()
    post(used, "/x", b"1")
    with s.connect() as busy:
        end = time.monotonic() + 2.5 * SLOW
        while time.monotonic() < end:
            post(busy, "/x", b"1")
            time.sleep(0.1)
    check(fresh.closed() and used.closed(), "still open")


if __name__ == "__main__":
    main()
