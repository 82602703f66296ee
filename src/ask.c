/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.c - see ask.h. */
#include "ask.h"

#include "endpoint.h"
#include "must.h"
#include "service.h"

void ask_begin(struct worker *w, struct conn *c, const struct endpoint *e)
{
	c->state = CONN_ASK;
	c->asks = e;
	c->took = false;
	c->wait_ns = w->fair_ns;
}

/* From then on it may be cut off for another. */
static uint64_t stalled_ns(const struct conn *c)
{
	return c->service_ns + ASK_STALL_MS * 1000000ull;
}

/* The slot is free when the ring has let go of the connection: some batches later. */
static bool take_slot(struct worker *w)
{
	struct conn *c = TAILQ_FIRST(&w->stallq);

	if (!c || w->fair_ns < stalled_ns(c))
		return false;
	conn_cut(w, c);
	return true;
}

static struct service *service_of(const struct worker *w, const struct endpoint *e)
{
	return e->by == ENDPOINT_RECORDS ? w->env->records : w->env->pages;
}

bool ask_step(struct worker *w, struct conn *c)
{
	const struct http_req *q = &c->http.req;

	c->service = service_ask(service_of(w, c->asks), w->index, c->handle, c->gen, c->asks, q->target,
				 q->method == HTTP_HEAD_METHOD, q->minor > 0, q->keep_alive && !w->draining);
	if (!c->service) {
		if (!c->took)
			c->took = take_slot(w);
		if (!c->took && !TAILQ_EMPTY(&w->stallq))
			w->ask_due_ns = stalled_ns(TAILQ_FIRST(&w->stallq));
		if (!c->waits_in) {
			c->waits_in = &w->askq;
			TAILQ_INSERT_HEAD(&w->askq, c, waitq);
		}
		return false;
	}
	conn_unwait(c);
	c->status_counted = false;
	c->state = CONN_SERVICE;
	return true;
}

void ask_again(struct worker *w)
{
	struct conn *c, *next;

	w->ask_due_ns = 0;
	for (c = TAILQ_FIRST(&w->askq); c; c = next) {
		next = TAILQ_NEXT(c, waitq);
		conn_run(w, c);
	}
}

void ask_piece_there(struct worker *w, struct conn *c)
{
	must(!c->waits_in);
	c->service_ns = w->fair_ns;
	conn_wait(c, &w->stallq);
}

void ask_piece_queued(struct conn *c)
{
	conn_unwait(c);
}

void ask_piece_left(struct conn *c)
{
	conn_unwait(c);
}
