/* SPDX-License-Identifier: BSD-2-Clause */
/* admin_slots.c - see admin_slots.h. */
#include "admin/admin_slots.h"

#include <stddef.h>

#include "base/must.h"

void admin_slots_init(struct admin_slots *a)
{
	TAILQ_INIT(&a->waiting);
	TAILQ_INIT(&a->stalled);
	a->due_ns = 0;
}

void admin_slots_begin(struct admin_claim *g)
{
	g->took = false;
}

/* From then on the connection may be cut off for another one. */
static uint64_t stalled_ns(const struct admin_claim *g)
{
	return g->since_ns + ADMIN_STALL_MS * 1000000ull;
}

struct admin_claim *admin_slots_wait(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns)
{
	struct admin_claim *oldest = TAILQ_FIRST(&a->stalled), *cut = NULL;

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

void admin_slots_again(struct admin_slots *a)
{
	a->due_ns = 0;
}

void admin_slots_piece_there(struct admin_slots *a, struct admin_claim *g, uint64_t now_ns)
{
	must(!g->in);
	g->since_ns = now_ns;
	g->in = &a->stalled;
	TAILQ_INSERT_TAIL(&a->stalled, g, entry);
}

void admin_slots_leave(struct admin_claim *g)
{
	if (g->in)
		TAILQ_REMOVE(g->in, g, entry);
	g->in = NULL;
}
