/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_steps.h - the states of a connection: STEP(name, waits, due, passed, what).
 *
 *   name    The step function of the state is conn_step_<name>, in conn_fsm.c; of LINGER and
 *           CLOSED in conn_end.c.
 *   waits   Nothing is parsed while in the state, so the ring is paused when more input comes.
 *   due     How long a connection may stay in the state: due_<due> in conn_due.c, measured by
 *             client  body-timeout in a body, header-timeout in a head, idle-timeout before it
 *             log     pushback-timeout since the wait began, or since the log last moved
 *             slot    pushback-timeout since the wait began
 *             linger  no setting: conn_linger() in conn_end.c says how long
 *             none    nothing: the server owes the client something, not the client the server
 *   passed  What happens when that time is over: conn_passed_<passed>, beside the step function.
 *   what    The state in words.
 *
 * In every state, output that may leave has to move within write-timeout, or the connection is
 * cut off.  A new state (a handshake, say) is a row here and its functions there; conn_open() may
 * choose it by the listener that the client came to.
 */
/*   name      waits  due     passed         what */
STEP(REQUEST,  false, client, client_late,   "reading a request: its head, then its body, in place")
STEP(PIECE,    true,  log,    no_buffers,    "bytes of a record read; they wait for room in pool")
STEP(ADMIT,    true,  log,    not_admitted,  "head read; waits for room in lane or pool")
STEP(APPEND,   true,  log,    not_appended,  "request complete; waits for room in lane")
STEP(REPLY,    true,  none,   none,          "waits for room for a reply: the peer does not read")
STEP(SLOT,     true,  slot,   no_slot,       "a read-back, waits for the admin thread to have room for it")
STEP(ADMIN,    true,  none,   none,          "waits for the admin thread's answer, sends it piece by piece")
STEP(LINGER,   false, linger, lingered,      "last reply made: sends it, throws away what still comes")
STEP(CLOSED,   false, none,   none,          "waits for the ring to let go")
