/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers.h - deadlines of many connections: a wheel of buckets of TIMER_TICK_MS.
 *
 * Moving a deadline further away, or taking it away, only changes conn.deadline_ns (one
 * store per request); the connection stays in its bucket and is moved on, or taken out, when
 * that comes up.  A deadline before the bucket's time moves it at once.
 *
 * All times are of the clients' clock (worker.h: fair_ns).
 */
#ifndef TIMERS_H
#define TIMERS_H

#include "conn.h"

#define TIMER_TICK_MS	50u
#define TIMER_BUCKETS	1024u		/* a power of two; further away: comes up, moves on */
#define TIMER_NONE	UINT32_MAX

struct timers {
	struct conn_list bucket[TIMER_BUCKETS];
	uint64_t tick;			/* the last one that was run */
	bool running;			/* the next one is being run: nothing is put there */
	uint64_t armed;			/* connections in buckets */
};

void timers_init(struct timers *t, uint64_t now_ns);
/* deadline_ns 0: none. */
void timers_set(struct timers *t, struct conn *c, uint64_t deadline_ns);
void timers_del(struct timers *t, struct conn *c);	/* out of its bucket */
/* The next connection whose deadline has passed, taken off; NULL: none. */
struct conn *timers_expired(struct timers *t, uint64_t now_ns);
/* How long a wait may take, in ms; -1: for ever. */
int timers_wait_ms(const struct timers *t, uint64_t now_ns);

#endif
