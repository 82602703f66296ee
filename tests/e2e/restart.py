#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stopping and starting again: clean, killed, other numbers of workers, two at once."""
import os
import signal
import threading
import time

from harness import (RECOVER, SLOW, Server, bytes_of, case, check, equal, main, post, records, request,
                     wait_until)


def fill(s, n, tag, connections=8):
    """n records over several connections, so that every worker gets some."""
    names = {}
    for k in range(connections):
        with s.connect() as c:
            for i in range(n // connections):
                body = bytes_of((tag, k, i), 50 + 37 * i)
                names[post(c, f"/{tag}/{k}/{i}", body)] = body
    return names


@case("more and fewer workers than last time: nothing is lost, names go on", each=True)
def workers(t):
    s = t.a_server()
    known = {}
    for turn, (n, how) in enumerate(((2, "stop"), (4, "kill"), (1, "kill"), (3, "stop"), (1, "stop"))):
        s.settings["workers"] = str(n)
        s.start()
        for name, body in known.items():
            equal(s.record(name).body, body, f"{name} with {n} workers")
        new = fill(s, 40, turn)
        check(not new.keys() & known.keys(), "names used twice:", new.keys() & known.keys())
        check(all(int(name.split("-")[0]) < n for name in new), "a lane without a worker:", new)
        known.update(new)
        s.stop_clean() if how == "stop" else s.kill()
    got = {r.name: r.body for r in s.dump()}
    equal(len(got), len(known), "records in the dump")
    equal(got, known, "dump")


@case("sequence numbers go on after a clean stop and after a kill", each=True)
def numbers(t):
    s = t.a_server()
    for turn in range(4):
        s.start()
        with s.connect() as c:
            for i in range(10):
                lane, seq = map(int, post(c, "/n", b"x").split("-"))
                equal((lane, seq), (0, turn * 10 + i + 1), "name")
        s.stop_clean() if turn % 2 else s.kill()


@case("a stop during the recovery does not wait for its end, and costs nothing", each=True)
def stopped_early(t):
    s = t.server()
    known = fill(s, 64, "early")
    for how in (signal.SIGTERM, signal.SIGINT):
        s.kill()
        before = len(s.said())
        s.spawn(pending=how)
        equal(s.proc.wait(60 * SLOW), 0, "exit status; " + s.said()[-2000:])
        said = s.said()[before:]
        check("stopped before the store was open" in said, said)
        check("listening on" not in said, said)
    s.start()
    s.stop_clean()
    equal({r.name: r.body for r in s.dump()}, known, "dump")


@case("a second instance on the same store is refused, and so is repair", each=True)
def second(t):
    s = t.server()
    with s.connect() as c:
        name = post(c, "/one", b"mine")
    other = t.a_server(store=s.store, nvmm=s.nvmm).spawn()
    check(other.proc.wait(20 * SLOW) not in (0, None), "the second one ran")
    check(s.store in other.said(), "the message does not name the store:", other.said())
    third = t.a_server(store=os.path.join(t.dir, "other"), nvmm=s.nvmm).spawn() if s.nvmm else None
    if third:
        check(third.proc.wait(20 * SLOW) not in (0, None), "another store on the same NVMM folder ran")
    out = s.recover("repair")
    equal(out.returncode, 3, "repair of a store in use: " + out.stderr.decode())
    equal(s.record(name).body, b"mine", "the first one goes on")
    with s.connect() as c:
        post(c, "/one", b"more")
    s.stop_clean()
    other.start()
    equal(other.record(name).body, b"mine", "after the first one has gone")


@case("SIGTERM: what is in flight is finished, new ones are not taken, exit 0, nothing pending", each=True)
def drain(t):
    for sig in (signal.SIGTERM, signal.SIGINT):
        s = t.server(store=os.path.join(t.dir, f"store{sig}"))
        body = bytes_of("drain", 100000)
        early, idle, watch = s.connect(), s.connect(), s.connect()
        idle.ask("GET", "/-/livez")
        equal(watch.ask("GET", "/-/readyz").status, 200, "before")
        post(early, "/d", b"first")
        early.send(request("POST", "/d", body)[:50000])
        # In the middle of a request, so that the connection outlives the signal.
        watch.send(b"GET /-/readyz HT")
        wait_until(lambda: s.metrics().sum("pasted_connections_open") >= 3, 5, "connections")
        time.sleep(0.2)
        s.proc.send_signal(sig)
        check(idle.closed(), "an idle connection gets bytes instead of the end")
        idle.close()
        watch.send(b"TP/1.1\r\nHost: t\r\n\r\n")
        r = watch.reply()
        equal(r.status, 503, "readyz while draining")
        watch.close()
        check(b"drain" in r.body.lower() or b"shut" in r.body.lower(), "no reason:", r)
        early.send(request("POST", "/d", body)[50000:])
        r = early.reply()
        equal(r.status, 200, "the request in flight")
        equal((r.get("Connection") or "").lower(), "close", "Connection")
        early.close()
        equal(s.proc.wait(60 * SLOW), 0, "exit status; " + s.said()[-1000:])
        try:
            s.connect(timeout=1).close()
            check(False, "still listening")
        except OSError:
            pass
        out = s.recover("check")
        equal(out.returncode, 0, "check after a clean stop: " + (out.stdout + out.stderr).decode())
        equal([r.body for r in s.dump()], [b"first", body], "records")


@case("SIGTERM under load: every 200 that was read is there, exit 0", each=True)
def drain_loaded(t):
    s = t.server(settings={"workers": "2"})
    named, stop = [], threading.Event()

    def load(k):
        try:
            with s.connect() as c:
                for i in range(100000):
                    r = c.ask("POST", f"/{k}/{i}", bytes_of((k, i), 500))
                    if r.status != 200:
                        break
                    named.append((r.name, k, i))
        except (OSError, EOFError):
            pass
    threads = [threading.Thread(target=load, args=(k,), daemon=True) for k in range(8)]
    for th in threads:
        th.start()
    time.sleep(0.5)
    equal(s.stop(), 0, "exit status; " + s.said()[-1000:])
    for th in threads:
        th.join(30 * SLOW)
    got = {r.name: r for r in s.dump(exits=(0,))}
    check(named, "no load")
    for name, k, i in named:
        check(name in got, "lost:", name)
        equal((got[name].target, got[name].body), (f"/{k}/{i}", bytes_of((k, i), 500)), name)


@case("a client that never finishes does not keep the server from stopping", each=True)
def drain_stuck(t):
    s = t.server(settings={"drain-timeout": "1s"})
    with s.connect() as c, s.connect() as d:
        c.send(b"POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nabc")
        d.send(b"GET /")
        time.sleep(0.2)
        equal(s.stop(), 0, "exit status")
    equal(s.recover("check").returncode, 0, "check")


@case("volatile: a WAL that is gone is reported, not silently skipped", each=True, classes="wal")
def wal_gone(t):
    s = t.server()
    with s.connect() as c:
        for i in range(20):
            post(c, "/x", b"1")
    s.kill()
    for f in os.listdir(s.nvmm):
        os.unlink(os.path.join(s.nvmm, f))
    out = s.recover("check")
    check(out.returncode in (2, 3), "check of a store without its WAL exits", out.returncode)
    check(b"nothing acknowledged is lost" not in out.stdout, "it was:", out.stdout)


@case("volatile: after a kill, smaller segments than the records that wait in the WAL", each=True,
      classes="wal")
def smaller_segments(t):
    s = t.server(settings={"segment-size": "1M", "checkpoint-interval": "1h"})
    want = {}
    with s.connect() as c:
        for i in range(4):
            body = bytes_of(i, 70000 + 3 * i)
            want[post(c, "/large", body)] = body
            want[post(c, "/small", b"small")] = b"small"
    s.kill()
    s.settings["segment-size"] = "64K"
    for k in range(2):      # the first start makes the larger ones, the second finds them
        s.start()
        with s.connect() as c:
            for name, body in want.items():
                equal(c.ask("GET", f"/-/records/{name}").body, body, name)
            for i in range(8):
                body = bytes_of(i, 40000)
                want[post(c, f"/after/{k}", body)] = body
        s.kill()
    equal({r.name: r.body for r in s.dump()}, want, "dump")
    equal(s.recover("repair").returncode, 0, "repair")
    equal({r.name: r.body for r in s.dump()}, want, "dump after a repair")


@case("volatile to fsync and back: records of both are there", each=True, classes="wal")
def change_class(t):
    s = t.server()
    with s.connect() as c:
        a = post(c, "/a", b"volatile")
    s.stop_clean()
    f = Server(t, ring=t.ring, cls="fsync", store=s.store).start()
    with f.connect() as c:
        b = post(c, "/b", b"fsync")
        equal(c.ask("GET", f"/-/records/{a}").body, b"volatile", a)
    f.stop_clean()
    s.start()
    with s.connect() as c:
        post(c, "/c", b"volatile again")
        for name, body in ((a, b"volatile"), (b, b"fsync")):
            equal(c.ask("GET", f"/-/records/{name}").body, body, name)
    s.kill()
    equal([r.body for r in s.dump()], [b"volatile", b"fsync", b"volatile again"], "dump")


if __name__ == "__main__":
    main()
