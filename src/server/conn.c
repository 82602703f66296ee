/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.c - a connection's beginning, its input as it comes, its output as it leaves.  What is
 * done with the input is in conn_fsm.c, the deadlines are in conn_due.c, the ends in conn_end.c.
 */
#include "server/conn_priv.h"

#include <string.h>

#include "admin/admin.h"
#include "admin/admin_slots.h"
#include "admin/counters.h"
#include "base/must.h"
#include "server/worker.h"
#include "util/mutant.h"

void conn_open(struct worker *w, uint32_t handle, unsigned listener)
{
	struct conn *c = &w->conns[handle];
	uint32_t gen = c->gen + 1;

	must(c->magic != CONN_MAGIC);
	memset(c, 0, sizeof(*c));
	c->magic = CONN_MAGIC;
	c->handle = handle;
	c->gen = gen;
	c->listener = (uint16_t)listener;
	c->state = CONN_REQUEST;
	c->rec = FRAGS_INIT;
	c->in_first = c->in_last = FRAG_NIL;
	c->timer = TIMER_INIT;
	http_init(&c->http, &w->env->limits);
	c->since_ns = w->fair_ns;
	c->late = w->draining;
	w->late += c->late;
	conn_due(w, c);
	w->open++;
	COUNT(w->count, conns_accepted, 1);
	COUNT_SET(w->count, conns_open, w->open);
}

/* ---- input ---- */

void conn_data(struct worker *w, struct conn *c, uint32_t buf, uint16_t off, uint16_t len)
{
	uint32_t i = w->slot_free;
	struct slot_node *s;

	if (c->closing) {		/* the batch that ended the connection still held this event */
		pool_put(w->pool, buf);
		return;
	}
	must(i != FRAG_NIL);
	s = &w->slots[i];
	w->slot_free = s->next;
	*s = (struct slot_node){ .buf = buf, .off = off, .len = len, .next = FRAG_NIL };
	pool_hold(w->pool, buf);
	if (c->in_last == FRAG_NIL)
		c->in_first = i;
	else
		w->slots[c->in_last].next = i;
	c->in_last = i;
	conn_run(w, c);
}

void conn_pop_slot(struct worker *w, struct conn *c)
{
	uint32_t i = c->in_first;
	struct slot_node *s = &w->slots[i];

	c->in_first = s->next;
	if (c->in_first == FRAG_NIL)
		c->in_last = FRAG_NIL;
	pool_drop(w->pool, s->buf);
	s->next = w->slot_free;
	w->slot_free = i;
}

void conn_eof(struct worker *w, struct conn *c)
{
	c->eof = true;
	conn_run(w, c);
}

void conn_error(struct worker *w, struct conn *c)
{
	if (!http_idle(&c->http))
		COUNT(w->count, vanished, 1);
	conn_kill(w, c);
}

/* ---- waiting ---- */

void conn_wait(struct conn *c, struct conn_list *list)
{
	if (c->waits_in)
		return;
	c->waits_in = list;
	TAILQ_INSERT_TAIL(list, c, waitq);
}

void conn_unwait(struct conn *c)
{
	if (c->waits_in)
		TAILQ_REMOVE(c->waits_in, c, waitq);
	c->waits_in = NULL;
	admin_slots_leave(&c->claim);
}

/* ---- output ---- */

void conn_sendable(struct worker *w, struct conn *c)
{
	if (c->on_sendq || c->sending || c->closing)
		return;
	c->on_sendq = true;
	c->out_ns = w->fair_ns;
	TAILQ_INSERT_TAIL(&w->sendq, c, sendq);
}

void conn_flush(struct worker *w, struct conn *c)
{
	struct iovec iov[RING_IOV_MAX];
	unsigned n;

	TAILQ_REMOVE(&w->sendq, c, sendq);
	c->on_sendq = false;
	must(!c->sending && !c->closing);	/* conn_sendable, conn_kill */
	n = reply_iov(&c->out, iov, RING_IOV_MAX, &c->out_flight);
	if (!n)
		return;
	c->sending = true;
	conn_due(w, c);
	w->ops->send(w->ring, c->handle, iov, n);
}

void conn_said(struct worker *w, struct conn *c)
{
	if (c->npending && !MUTANT(reply_order))
		return;			/* this reply leaves when the one before it may */
	c->out.ready = c->out.end;
	conn_sendable(w, c);
}

void conn_send_piece(struct worker *w, struct conn *c)
{
	c->sending = c->admin_sending = c->on_pieceq = true;
	c->out_ns = w->fair_ns;
	admin_slots_leave(&c->claim);
	TAILQ_INSERT_TAIL(&w->pieceq, c, sendq);
}

void conn_flush_piece(struct worker *w, struct conn *c)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)c->admin->data, .iov_len = c->admin->len };

	TAILQ_REMOVE(&w->pieceq, c, sendq);
	c->on_pieceq = false;
	c->out_ns = w->fair_ns;
	admin_slots_piece_there(&w->admin_slots, &c->claim, w->fair_ns);
	conn_due(w, c);
	w->ops->send(w->ring, c->handle, &iov, 1);
}

void conn_sent(struct worker *w, struct conn *c, int res)
{
	c->sending = false;
	c->out_ns = w->fair_ns;
	if (res < 0) {
		c->admin_sending = false;
		conn_kill(w, c);
		return;
	}
	if (!c->admin_sending) {
		reply_sent(&w->replies, &c->out, c->out_flight);
		/* A request that waits had found room for its reply before.  If that was in a block
		 * which has left by now, another is taken: a connection can always have one. */
		if (c->state == CONN_PIECE || c->state == CONN_ADMIT || c->state == CONN_APPEND ||
		    c->state == CONN_SLOT)
			must(reply_room(&w->replies, &c->out));
		if (c->out.ready > c->out.sent)
			conn_sendable(w, c);
	}
	if (c->state != CONN_REQUEST) {
		conn_run(w, c);
		return;
	}
	if (!c->first_byte)		/* idle-timeout runs from the last reply that has left */
		c->since_ns = w->fair_ns;
	conn_due(w, c);
}
