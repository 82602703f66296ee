/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.h - who gets one of the service thread's slots when all are taken.
 *
 * A slot is held until the last piece of an answer has left, so clients that do not
 * read could hold them all and nobody else could read anything back.  When there is
 * none, a request waits (CONN_ASK), at most for pushback-timeout, and takes the slot
 * of the connection whose piece has been waiting longest to leave, if that is longer
 * than ASK_STALL_MS: it is cut off as one that is slow to read.  Who reads at a pace
 * is never cut off for others; with that many who do, it is 503 in the end.
 *
 * Each that waits takes one slot at most.  The newest is served first: whoever comes
 * with many connections at once waits behind who comes later with one.
 */
#ifndef ASK_H
#define ASK_H

#include "worker.h"

#define ASK_STALL_MS 500u	/* for SERVICE_PIECE bytes */

/* The request for e is complete: hand it to the service, or wait. */
void ask_begin(struct worker *w, struct conn *c, const struct endpoint *e);
/* The step of CONN_ASK: true when the service has it. */
bool ask_step(struct worker *w, struct conn *c);
/* Once per batch: those that wait; w->ask_due_ns says when one of them may take a slot. */
void ask_again(struct worker *w);
/* Its time runs from when a piece has been made and earlier replies, which it has not read, are in
 * the way; not while the piece is in a queue of ours; anew from when it is sent, until it has left. */
void ask_piece_there(struct worker *w, struct conn *c);
void ask_piece_queued(struct conn *c);
void ask_piece_left(struct conn *c);

#endif
