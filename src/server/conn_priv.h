/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_priv.h - the inside of a connection: its steps, its deadlines, its ends; for conn.c,
 * conn_fsm.c, conn_due.c and conn_end.c only.
 */
#ifndef SERVER_CONN_PRIV_H
#define SERVER_CONN_PRIV_H

#include "server/conn.h"

/* For the request of a client that came, or was seen for the first time, while draining. */
#define CONN_LATE_MS	1000u

/* The columns `name` and `passed` of conn_steps.h.  A step function is called again for as long as
 * it returns true, perhaps in another state; false: nothing more can be done until an event
 * comes.  A function of the column `passed` returns true for the steps to go on. */
#define STEP(name, waits, due, passed, what) \
	bool conn_step_##name(struct worker *w, struct conn *c); \
	bool conn_passed_##passed(struct worker *w, struct conn *c);
#include "server/conn_steps.h"
#undef STEP

/* conn.c.  The first slot is used up. */
void conn_pop_slot(struct worker *w, struct conn *c);
/* What was made and promises nothing may leave. */
void conn_said(struct worker *w, struct conn *c);
/* The piece of the admin thread's that is ready is queued for the ring. */
void conn_send_piece(struct worker *w, struct conn *c);

/* conn_fsm.c.  A reply that promises nothing; close: it is the last one. */
void conn_refuse(struct worker *w, struct conn *c, int status, const char *why, bool close);

/* conn_due.c.  Whether some of the client's next bytes lie in the socket although the deadline
 * has passed: then they are waited for until the next tick. */
bool conn_spared(struct worker *w, struct conn *c);
/* Since since_ns, so many ms. */
static inline uint64_t conn_after(uint64_t since_ns, unsigned ms)
{
	return since_ns + ms * 1000000ull;
}

/* conn_end.c.  The one way into LINGER: no request is read any more. */
void conn_linger(struct conn *c);

#endif
