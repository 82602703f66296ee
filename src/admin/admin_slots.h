/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_slots.h - who gets one of the admin thread's slots when all are taken.
 *
 * A slot is held until the last piece of an answer has left, so clients that do not
 * read could hold them all and nobody else could read anything back.  When there is
 * none, a request waits (CONN_SLOT), at most for pushback-timeout, and takes the slot
 * of the connection whose piece has been waiting longest to leave, if that is longer
 * than ADMIN_STALL_MS: it is cut off as one that is slow to read.  Who reads at a pace
 * is never cut off for others; with that many who do, it is 503 in the end.
 *
 * Each that waits takes one slot at most.  The newest is served first: whoever comes
 * with many connections at once waits behind who comes later with one.
 *
 * This keeps the two lists of a worker and says whose turn it is; the slots are the
 * admin thread's, and the caller asks it, cuts off, and runs.  All times are of the clients'
 * clock (worker.h: fair_ns).
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
	uint64_t since_ns;		/* since when it has not taken its piece */
	bool took;			/* while it waits: it has taken another's slot for itself */
};
TAILQ_HEAD(admin_claim_list, admin_claim);

struct admin_slots {				/* a worker's */
	struct admin_claim_list waiting;	/* for a slot, the newest first */
	struct admin_claim_list stalled;	/* their piece is there, the oldest first */
	uint64_t due_ns;		/* when one that waits may take the slot of one that does not
					 * read; 0: never */
};

void admin_slots_init(struct admin_slots *a);
/* A request is complete, and about to ask for a slot. */
void admin_slots_begin(struct admin_claim *g);
/* There was no slot: it waits, from now on or as before.  Returns the one that is to be cut off
 * so that there will be one, when the ring has let go of it: some batches later.  NULL: none is. */
struct admin_claim *admin_slots_wait(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns);
/* Before each of those that wait, from the first of a->waiting on, asks once more. */
void admin_slots_again(struct admin_slots *a);
/* The time of one with a slot runs from when a piece has been made and earlier replies, which it
 * has not read, are in the way; not while the piece is in a queue of ours; anew from when it is
 * sent, until it has left. */
void admin_slots_piece_there(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns);
/* The piece is queued, or has left; or the connection waits no more.  Also of one in no list. */
void admin_slots_leave(struct admin_claim *g);

#endif
