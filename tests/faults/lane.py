#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A lane whose sync has failed gives its share of new clients to the others."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from harness import case, check, equal, main, wait_until  # noqa: E402
from preload import preload  # noqa: E402


@case("the listener of a failed lane is closed, the last one's is not", each=True, classes="syncs")
def share(t):
    s = t.a_server(settings={"workers": "2", "checkpoint-interval": "1h"})
    failing = os.path.join(t.dir, "failing")
    s.env = {"LD_PRELOAD": preload(), "PASTED_NTH": "fdatasync:0:5", "PASTED_NTH_UNDER": s.store,
             "PASTED_NTH_FROM": failing}
    s.start()
    wait_until(lambda: s.metrics().sum("pasted_lane_segments") >= 2, 20, "the next segments are not made")

    def a_post():
        try:
            with s.connect() as c:
                return c.ask("POST", "/x", b"x").status
        except (OSError, EOFError):
            return None
    open(failing, "w").close()
    wait_until(lambda: a_post() == 503, 20, "no lane has failed")
    os.unlink(failing)
    # The door is closed a turn or two later.
    wait_until(lambda: all(a_post() == 200 for _ in range(20)), 20, "the failed lane still has clients")
    equal([a_post() for _ in range(40)], [200] * 40, "new clients")
    open(failing, "w").close()
    wait_until(lambda: a_post() == 503, 20, "the second lane has not failed")
    equal(s.ask("GET", "/-/livez").status, 200, "somebody must be there to say so")
    check(b"lane-failed" in s.ask("GET", "/-/readyz").body, "readyz")


if __name__ == "__main__":
    main()
