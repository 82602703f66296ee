/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.c - see ask.h. */
#include "ask.h"

#include <stddef.h>

#include "must.h"

void ask_init(struct ask *a)
{
	TAILQ_INIT(&a->waiting);
	TAILQ_INIT(&a->stalled);
	a->due_ns = 0;
}

void ask_begin(struct asking *g)
{
	g->took = false;
}

/* From then on it may be cut off for another. */
static uint64_t stalled_ns(const struct asking *g)
{
	return g->since_ns + ASK_STALL_MS * 1000000ull;
}

struct asking *ask_wait(struct ask *a, struct asking *g, uint64_t now_ns)
{
	struct asking *oldest = TAILQ_FIRST(&a->stalled), *cut = NULL;

	if (!g->took && oldest && now_ns >= stalled_ns(oldest)) {
		g->took = true;
		cut = oldest;
	}
	if (!g->took && oldest)
		a->due_ns = stalled_ns(oldest);
	if (!g->in) {
		g->in = &a->waiting;
		TAILQ_INSERT_HEAD(&a->waiting, g, entry);
	}
	return cut;
}

void ask_again(struct ask *a)
{
	a->due_ns = 0;
}

void ask_piece_there(struct ask *a, struct asking *g, uint64_t now_ns)
{
	must(!g->in);
	g->since_ns = now_ns;
	g->in = &a->stalled;
	TAILQ_INSERT_TAIL(&a->stalled, g, entry);
}

void ask_leave(struct asking *g)
{
	if (g->in)
		TAILQ_REMOVE(g->in, g, entry);
	g->in = NULL;
}
