/* SPDX-License-Identifier: BSD-2-Clause */
/* timers.c - the wheel of timers.h. */
#include "timers.h"

#define TICK_NS (TIMER_TICK_MS * 1000000ull)

void timers_init(struct timers *t, uint64_t now_ns)
{
	for (unsigned i = 0; i < TIMER_BUCKETS; i++)
		TAILQ_INIT(&t->bucket[i]);
	t->tick = now_ns / TICK_NS;
	t->armed = 0;
	t->running = false;
}

void timers_del(struct timers *t, struct conn *c)
{
	if (c->timer_bucket == TIMER_NONE)
		return;
	TAILQ_REMOVE(&t->bucket[c->timer_bucket], c, timer);
	c->timer_bucket = TIMER_NONE;
	t->armed--;
}

/* The bucket whose turn comes at or after the deadline, at most one round away. */
static void put(struct timers *t, struct conn *c)
{
	uint64_t tick = c->deadline_ns / TICK_NS + 1, from = t->tick + t->running;

	if (tick <= from)
		tick = from + 1;
	if (tick > from + TIMER_BUCKETS - 1)
		tick = from + TIMER_BUCKETS - 1;
	c->timer_ns = tick * TICK_NS;
	c->timer_bucket = tick & (TIMER_BUCKETS - 1);
	TAILQ_INSERT_TAIL(&t->bucket[c->timer_bucket], c, timer);
	t->armed++;
}

void timers_set(struct timers *t, struct conn *c, uint64_t deadline_ns)
{
	c->deadline_ns = deadline_ns;
	if (!deadline_ns)
		return;
	if (c->timer_bucket != TIMER_NONE) {
		/* Its bucket comes up before, or for it. */
		if (c->timer_ns <= deadline_ns + TICK_NS)
			return;
		timers_del(t, c);
	}
	put(t, c);
}

struct conn *timers_expired(struct timers *t, uint64_t now_ns)
{
	uint64_t now = now_ns / TICK_NS;

	if (!t->armed) {
		t->tick = now;
		t->running = false;
		return NULL;
	}
	while (t->tick < now) {
		struct conn_list *b = &t->bucket[(t->tick + 1) & (TIMER_BUCKETS - 1)];
		struct conn *c;

		/* A connection that moves on goes to a later bucket, also one that is given
		 * a deadline in the past, so this empties the list. */
		t->running = true;
		while ((c = TAILQ_FIRST(b))) {
			timers_del(t, c);
			if (!c->deadline_ns)
				continue;
			if (c->deadline_ns <= now_ns) {
				c->deadline_ns = 0;
				return c;
			}
			put(t, c);
		}
		t->running = false;
		t->tick++;
	}
	return NULL;
}

int timers_wait_ms(const struct timers *t, uint64_t now_ns)
{
	if (!t->armed)
		return -1;
	/* The next bucket that holds anything, at most a second away. */
	uint64_t k = 1;
	while (k < 1000 / TIMER_TICK_MS && TAILQ_EMPTY(&t->bucket[(t->tick + k) & (TIMER_BUCKETS - 1)]))
		k++;
	uint64_t at = (t->tick + k) * TICK_NS;
	return at <= now_ns ? 0 : (int)((at - now_ns) / 1000000 + 1);
}
