#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every row of tests/unit/http_table.h sent to pasted and to the other readers of HTTP/1
that are installed, with a second request behind it.

Compared is what was accepted, how many requests were seen, and whether something was
refused.  Where both accept and count differently, one of them would be led astray by the
other: the most dangerous kind.  Each difference has its explanation below, with the
section of RFC 9112 (or 9110); one without fails the test.

The peers are those of Debian 12's packages, in whatever version is installed: a peer that
does it otherwise in its older versions only is named as "node<20"."""
import json
import os
import re
import subprocess

import hostile  # noqa: F401 - finds harness
import peers
from harness import SLOW, Failed, case, check, main

TABLE = os.path.join(os.environ.get("top_builddir", "."), "tests", "hostile", "print_table")
LIMITS = (413, 414, 431)    # the table's limits are those of its unit test

# pasted refuses for this reason, the peer does not: who, and why pasted is right to.
STRICTER_HERE = {
    "malformed request line": ("nginx haproxy node h11", "9112 2.2 and 3 allow a bare LF, and leading white space "
                               "or NULs are robustness; every reader that does it differently can be led astray"),
    "malformed target": ("nginx haproxy node h11", "9112 3.2: the grammar of the target; peers pass on what they "
                         "do not use, pasted stores it"),
    "CR without LF": ("nginx node haproxy", "9112 2.2: a bare CR is invalid, or a blank; pasted takes the first"),
    "too many empty lines": ("nginx haproxy node", "9112 2.2: at least one is to be ignored; pasted ignores four"),
    "malformed field name": ("nginx haproxy node<20", "9112 5.1: no blank in front of the colon, also in trailers; "
                             "nginx drops such a field, node 18's parser takes the blank into the name"),
    "malformed field name or folded line": ("nginx haproxy node<20 h11", "9112 5.2: obs-fold is refused or replaced; "
                                            "a bare LF as the empty line, 2.2; no name at all, 5.1"),
    "malformed field value": ("nginx haproxy h11", "9110 5.5: controls are dangerous, may be kept; a bare LF ends a "
                              "line for them, 9112 2.2"),
    "malformed Host": ("nginx haproxy node h11", "9112 3.2: an invalid Host is 400; they look less closely"),
    "no Host": ("haproxy node<20 h11", "9112 3.2: HTTP/1.2 is a 1.1 message, 2.3; haproxy is a proxy and leaves it to "
                "the server, node 18 to its user"),
    "repeated Host, Content-Length or Transfer-Encoding": (
        "haproxy h11 node", "9112 6.3: the same length twice may be taken as one; the same Host twice is 400, 3.2: "
        "they take the first"),
    "Content-Length beside Transfer-Encoding": ("haproxy h11", "9112 6.1: a server may take Transfer-Encoding, then "
                                                "must close; pasted refuses, as 6.3 allows"),
    "Invalid character in Content-Length": ("haproxy h11", "9112 6.3: a list of the same length may be taken as one"),
    "Transfer-Encoding in HTTP/1.0": ("haproxy node<20 h11", "9112 6.1: the framing is faulty; they read it and close"),
    "transfer coding not supported": ("node", "9112 6.1: 501 for a coding that is not understood; node leaves gzip "
                                      "in front of chunked to its user"),
    "malformed chunk": ("nginx haproxy node h11", "9112 7.1.1: extensions are skipped by them without a look at their "
                        "grammar; a bare LF, 2.2"),
    "HTTP/1.0 without Content-Length": ("nginx haproxy node<20 h11", "RFC 1945 8.3: 400; they take the body for empty, and "
                                        "haproxy what follows for a request"),
    "framing field in trailers": ("nginx haproxy node h11", "9110 6.5.1: must not be there; they drop or keep them"),
    "method not supported": ("nginx haproxy node h11", "9110 9.1: methods are open ended; 501 is the answer here"),
    "version not supported": ("haproxy node<20 h11", "9112 2.3: only HTTP/1.x is this protocol; they look at the "
                              "preface, or at no number"),
    "expectation not supported": ("nginx haproxy node h11", "9110 10.1.1: 417 is a may; others ignore it"),
}

# pasted accepts: peer, what the input looks like, why the peer does otherwise.
OTHERWISE_THERE = [
    ("nginx", rb"^OPTIONS \*", "9112 3.2.4: nginx knows no asterisk-form"),
    ("nginx", rb"Host: ?\r\n", "9112 3.2: an empty Host is valid; nginx 400"),
    ("nginx", rb": \t|\t\r\n", "9112 5: OWS may be a TAB; nginx takes blanks only"),
    ("nginx", rb"Connection: (closed|xclose|x close)\r\n", "9110 7.6.1: nginx searches for the letters of close"),
    ("haproxy", rb"^(GET|OPTIONS) [hH]\w+://", "9112 3.2.2: Host is to be ignored beside absolute-form; haproxy wants "
     "them equal"),
    ("haproxy", rb"Upgrade: websocket", "RFC 6455 4.1: haproxy wants the websocket's key with it"),
    ("node", rb"HTTP/1\.[29]\r\n", "9112 2.3: a higher minor version is to be taken; node 400"),
    ("node", rb"Connection:[^\r]*upgrade|Connection: Upgrade", "9110 7.8: may be ignored; node hands the connection over"),
    ("node", rb"(Length|Encoding):[^\r]*\t\r\n", "9112 5: OWS may be a TAB; node refuses one behind a length or a coding"),
    ("node h11", rb"\r\n1 ;", "9110 5.6.3: blanks in an extension must be read; they refuse them"),
    ("node", rb"Connection:\tCLOSE", "9112 5: OWS may be a TAB; node does not see the option"),
    ("node", rb"HTTP/1\.0\r\nConnection: keep-alive, close", "9112 9.3: close wins; node takes the first"),
    ("node", rb"Connection:[^\r]*close", "9112 9.6: what follows a close is ignored; node refuses all for it"),
    ("node", rb"HTTP/1\.0\r\n", "9112 9.3: the same for a request that closes by its version"),
    ("h11", rb"^(\r\n)+GET", "9112 2.2: an empty line in front is to be ignored; h11 refuses"),
    ("h11", rb"HTTP/1\.0\r\nConnection: [^\r]*[Kk]eep-[Aa]live", "9112 9.3: h11 closes after any HTTP/1.0"),
]


def rows():
    out = subprocess.run([TABLE], capture_output=True, text=True, timeout=30 * SLOW)
    check(out.returncode == 0 and out.stdout, f"{TABLE} does not print the table")
    return [json.loads(line) for line in out.stdout.splitlines()]


def meant(who, name, version):
    """Whether one of the words of who, a name or name<version, is this peer."""
    for word in who.split():
        peer, _, below = word.partition("<")
        if peer == name and (not below or version < (int(below),)):
            return True
    return False


def explained(name, version, row, data, here):
    if here == (0, True):
        who, _ = STRICTER_HERE.get(row["reason"], ("", ""))
        return meant(who, name, version)
    return any(meant(who, name, version) and re.search(look, data) for who, look, _ in OTHERWISE_THERE)


def compare(t, name):
    s = t.server()
    version, ask = peers.PEERS[name](t)
    number = tuple(int(n) for n in re.search(r"\d+(?:\.\d+)+", version).group().split("."))
    same = differ = 0
    odd = []
    for row in rows():
        data = bytes.fromhex(row["input"])
        if row["status"] in LIMITS:
            continue
        here = peers.verdict(peers.replies(peers.talk(s.port, data)))
        check((here == (0, True)) == bool(row["status"]), "pasted itself is not as its table:", data, here)
        there = ask(data)
        if here == there:
            same += 1
        elif explained(name, number, row, data, here):
            differ += 1
        else:
            odd.append(f"RFC 9112 {row['section']} {data!r}\n    pasted {here} ({row['reason'] or 'accepts'}), {name} {there}")
    print(f"#    {version}: {same} alike, {differ} different and explained")
    if odd:
        raise Failed(f"{version}: {len(odd)} differences without an explanation:\n" + "\n".join(odd))


@case("against nginx, as a proxy")
def nginx(t):
    compare(t, "nginx")


@case("against haproxy")
def haproxy(t):
    compare(t, "haproxy")


@case("against node's http")
def node(t):
    compare(t, "node")


@case("against python3-h11")
def h11(t):
    compare(t, "h11")


@case("the explanations are whole")
def explanations(_):
    reasons = {r["reason"] for r in rows()}
    check(set(STRICTER_HERE) <= reasons, "no row is refused for:", set(STRICTER_HERE) - reasons)
    for who, why in [*STRICTER_HERE.values(), *((who, why) for who, _, why in OTHERWISE_THERE)]:
        check({word.partition("<")[0] for word in who.split()} <= set(peers.PEERS), who)
        check(re.search(r"9112|9110|RFC", why), why)
    check(meant("node<20", "node", (18, 20, 4)) and not meant("node<20", "node", (20, 1)), "older than 20")
    check(meant("h11 node", "node", (20, 1)) and not meant("h11 node<20", "nginx", (1, 22)), "by name")


if __name__ == "__main__":
    main()
