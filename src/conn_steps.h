/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_steps.h - the states of a connection: STEP(name, waits, what).  Each has one
 * step function, step_<name>, in conn_fsm.c; `waits` says that nothing is parsed
 * while in it, so the ring is paused when more input comes.
 */
STEP(REQUEST,  false, "reading a request: its head, then its body, in place")
STEP(PIECE,    true,  "bytes of a record read; they wait for room in pool")
STEP(ADMIT,    true,  "head read; waits for room in lane or pool")
STEP(APPEND,   true,  "request complete; waits for room in lane")
STEP(REPLY,    true,  "waits for room for a reply: the peer does not read")
STEP(ASK,      true,  "a read-back, waits for the service thread to have room for it")
STEP(SERVICE,  true,  "waits for the service thread's answer, sends it piece by piece")
STEP(LINGER,   false, "last reply made: sends it, throws away what still comes")
STEP(CLOSED,   false, "waits for the ring to let go")
