/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_slots.h - which connection gets a slot of an admin thread when all are taken.
 *
 * A slot is held until the last piece of an answer has left, so clients that do not
 * read could hold all slots, and nobody else could read anything back.  When no slot is
 * free, a request waits (CONN_SLOT), at most for pushback-timeout.  It takes the slot of
 * the connection whose piece has been waiting longest to leave, if that is longer than
 * ADMIN_STALL_MS: that connection is cut off as too slow.  A client that keeps reading is
 * never cut off for others; if all slots are held by such clients, the reply is 503 in the end.
 *
 * A connection that waits takes one slot at most.  The newest is served first: a client that
 * opens many connections at once waits behind one that comes later with one.
 *
 * This file keeps the two lists of a worker and says whose turn it is.  The slots are
 * those of struct admin; the caller asks for them, cuts connections off and runs them.  All
 * times are of the clients' clock (worker.h: fair_ns).
 */
#ifndef ADMIN_ADMIN_SLOTS_H
#define ADMIN_ADMIN_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define ADMIN_STALL_MS 500u	/* for ADMIN_PIECE bytes */

struct admin_claim {				/* a connection's; all zero at first */
	TAILQ_ENTRY(admin_claim) entry;
	struct admin_claim_list *in;		/* the list that entry is in; NULL: in none */
	uint64_t since_ns;		/* since when its piece has been waiting to leave */
	bool took;			/* another connection was cut off for it already */
};
TAILQ_HEAD(admin_claim_list, admin_claim);

struct admin_slots {				/* a worker's */
	struct admin_claim_list waiting;	/* for a slot, the newest first */
	struct admin_claim_list stalled;	/* their piece waits to leave, the oldest first */
	uint64_t due_ns;		/* when one that waits may take the slot of the first
					 * stalled one; 0: never */
};

void admin_slots_init(struct admin_slots *a);
/* To be called when a request is complete, before it asks for a slot. */
void admin_slots_begin(struct admin_claim *g);
/* There was no slot: g is on the list `waiting` from now on, or still.  Returns the connection
 * that is to be cut off; its slot is free some batches later, when the ring has let go of it.
 * NULL: none is to be. */
struct admin_claim *admin_slots_wait(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns);
/* To be called before all of a->waiting, from the first on, ask once more. */
void admin_slots_again(struct admin_slots *a);
/* The client's time begins: its piece is made but has to wait for earlier replies that the client
 * has not read, or its piece is being sent.  While the piece is in a queue of the server's, no
 * time runs. */
void admin_slots_piece_there(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns);
/* The piece is queued or has left, or the connection waits no more.  g may be in no list. */
void admin_slots_leave(struct admin_claim *g);

#endif
