/* SPDX-License-Identifier: BSD-2-Clause */
/* timers.c - see timers.h. */
#include "base/timers.h"

#define TICK_NS (TIMER_TICK_MS * 1000000ull)

void timers_init(struct timers *t, uint64_t now_ns)
{
	for (unsigned i = 0; i < TIMER_BUCKETS; i++)
		TAILQ_INIT(&t->bucket[i]);
	t->tick = now_ns / TICK_NS;
	t->armed = 0;
	t->running = false;
}

void timers_del(struct timers *t, struct timer *n)
{
	if (n->bucket == TIMER_NONE)
		return;
	TAILQ_REMOVE(&t->bucket[n->bucket], n, link);
	n->bucket = TIMER_NONE;
	t->armed--;
}

/* Puts n into the bucket that comes up at or after the deadline, at most one round away. */
static void timers_put(struct timers *t, struct timer *n)
{
	uint64_t tick = n->deadline_ns / TICK_NS + 1, from = t->tick + t->running;

	if (tick <= from)
		tick = from + 1;
	if (tick > from + TIMER_BUCKETS - 1)
		tick = from + TIMER_BUCKETS - 1;
	n->bucket_ns = tick * TICK_NS;
	n->bucket = tick & (TIMER_BUCKETS - 1);
	TAILQ_INSERT_TAIL(&t->bucket[n->bucket], n, link);
	t->armed++;
}

void timers_set(struct timers *t, struct timer *n, uint64_t deadline_ns)
{
	n->deadline_ns = deadline_ns;
	if (!deadline_ns)
		return;
	if (n->bucket != TIMER_NONE) {
		/* Its bucket comes up early enough: it can stay there. */
		if (n->bucket_ns <= deadline_ns + TICK_NS)
			return;
		timers_del(t, n);
	}
	timers_put(t, n);
}

struct timer *timers_expired(struct timers *t, uint64_t now_ns)
{
	uint64_t now = now_ns / TICK_NS;

	if (!t->armed) {
		t->tick = now;
		t->running = false;
		return NULL;
	}
	while (t->tick < now) {
		struct timer_list *b = &t->bucket[(t->tick + 1) & (TIMER_BUCKETS - 1)];
		struct timer *n;

		/* timers_put() never puts a timer into this bucket, not even one with a
		 * deadline in the past, so this empties the list. */
		t->running = true;
		while ((n = TAILQ_FIRST(b))) {
			timers_del(t, n);
			if (!n->deadline_ns)
				continue;
			if (n->deadline_ns <= now_ns) {
				n->deadline_ns = 0;
				return n;
			}
			timers_put(t, n);
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
	/* Looks for the next bucket that holds a timer, at most a second away. */
	uint64_t k = 1;
	while (k < 1000 / TIMER_TICK_MS && TAILQ_EMPTY(&t->bucket[(t->tick + k) & (TIMER_BUCKETS - 1)]))
		k++;
	uint64_t at = (t->tick + k) * TICK_NS;
	return at <= now_ns ? 0 : (int)((at - now_ns) / 1000000 + 1);
}
