/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers.h - many deadlines: a wheel of buckets of TIMER_TICK_MS.
 *
 * Whatever has a deadline embeds a struct timer.  Moving a deadline further away, or removing it,
 * only changes timer.deadline_ns (one store per request): the timer stays in its bucket, and
 * when the bucket comes up the timer goes to a later one or is taken out.  A deadline before the
 * bucket's time moves the timer at once.
 *
 * All times are in ns, of one clock that the caller chooses and that never goes back.
 */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define TIMER_TICK_MS	50u
#define TIMER_BUCKETS	1024u		/* a power of two; a deadline may be further away */
#define TIMER_NONE	UINT32_MAX

/* No file but timers.c and timers.h looks inside; timers_expired() returns it to its owner. */
struct timer {
	TAILQ_ENTRY(timer) link;	/* in its bucket */
	uint64_t deadline_ns;		/* 0: none; may be later than bucket_ns */
	uint64_t bucket_ns;		/* when its bucket comes up */
	uint32_t bucket;		/* TIMER_NONE: in none */
};
#define TIMER_INIT ((struct timer){ .bucket = TIMER_NONE })
TAILQ_HEAD(timer_list, timer);

struct timers {
	struct timer_list bucket[TIMER_BUCKETS];
	uint64_t tick;			/* the last one whose bucket was emptied */
	bool running;			/* the one of tick + 1 is being emptied: it gets no timer */
	uint64_t armed;			/* timers in buckets */
};

void timers_init(struct timers *t, uint64_t now_ns);
/* deadline_ns 0: none. */
void timers_set(struct timers *t, struct timer *n, uint64_t deadline_ns);
void timers_del(struct timers *t, struct timer *n);	/* out of its bucket */
/* Takes out and returns a timer whose deadline has passed; NULL: there is none. */
struct timer *timers_expired(struct timers *t, uint64_t now_ns);
/* How many ms the caller may sleep; -1: for ever. */
int timers_wait_ms(const struct timers *t, uint64_t now_ns);

/* If the timer's bucket comes up by by_ns, makes that time its deadline, which costs one store.
 * False: it does not, and nothing was done. */
static inline bool timer_keeps(struct timer *n, uint64_t by_ns)
{
	if (n->bucket == TIMER_NONE || n->bucket_ns > by_ns)
		return false;
	n->deadline_ns = n->bucket_ns;
	return true;
}

#endif
