/* SPDX-License-Identifier: BSD-2-Clause */
/* follow.c - see follow.h. */
#include "lane/follow.h"

#include <assert.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/mutant.h"

#define relaxed(v) atomic_load_explicit(&(v), memory_order_relaxed)

static bool has_membarrier;

static void register_membarrier(void)
{
	has_membarrier = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

/* Puts a full barrier into every thread of the process.  Once registered, the call can fail only
 * for lack of memory; then it is tried again, since no wake-up may be missed. */
static void barrier_everywhere(void)
{
	while (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		sched_yield();
}

void follow_init(struct follow_mark *m, const _Atomic uint64_t *reached)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_membarrier);
	atomic_init(&m->wanted, has_membarrier ? FOLLOW_NEVER : FOLLOW_NOBODY);
	m->reached = reached;
	pthread_mutex_init(&m->lock, NULL);
	TAILQ_INIT(&m->followers);
}

void follow_fini(struct follow_mark *m)
{
	assert(TAILQ_EMPTY(&m->followers));
	pthread_mutex_destroy(&m->lock);
}

/* ---- under the mark's lock ---- */

/* Sets `wanted` to what the first follower of the list waits for.  release, acquire: as part of
 * the order that follow.h describes. */
static void follow_want(struct follow_mark *m)
{
	const struct follower *first = TAILQ_FIRST(&m->followers);
	uint64_t was = atomic_exchange_explicit(&m->wanted, first ? first->seq : FOLLOW_NOBODY,
						memory_order_acq_rel);

	if (was == FOLLOW_NEVER && !MUTANT(follow_first))
		barrier_everywhere();
}

/* Puts f behind all that wait for the same number or a lower one.  The search begins at the end,
 * since most followers wait for the next number, which is the highest. */
static void follow_put(struct follow_mark *m, struct follower *f)
{
	struct follower *at = TAILQ_LAST(&m->followers, follower_list);

	while (at && at->seq > f->seq)
		at = TAILQ_PREV(at, follower_list, entry);
	if (at)
		TAILQ_INSERT_AFTER(&m->followers, at, f, entry);
	else
		TAILQ_INSERT_HEAD(&m->followers, f, entry);
	atomic_store_explicit(&f->waits, true, memory_order_relaxed);
}

static void follow_take(struct follow_mark *m, struct follower *f)
{
	TAILQ_REMOVE(&m->followers, f, entry);
	/* release: a thread that reads false sees what was done before */
	atomic_store_explicit(&f->waits, false, memory_order_release);
}

/* ---- both sides ---- */

bool follow(struct follow_mark *m, uint64_t seq, struct follower *f)
{
	bool late;

	assert(!follower_waits(f));
	pthread_mutex_lock(&m->lock);
	f->mark = m;
	f->seq = seq;
	follow_put(m, f);
	follow_want(m);
	late = relaxed(*m->reached) >= seq && !MUTANT(follow_late);
	if (late) {
		follow_take(m, f);
		follow_want(m);
	}
	pthread_mutex_unlock(&m->lock);
	return !late;
}

void unfollow(struct follower *f)
{
	struct follow_mark *m = f->mark;

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	if (follower_waits(f)) {
		follow_take(m, f);
		follow_want(m);
	}
	pthread_mutex_unlock(&m->lock);
}

unsigned follow_wake(struct follow_mark *m)
{
	uint64_t reached = relaxed(*m->reached);
	/* A read-modify-write and not a load: see follow.h. */
	uint64_t wanted = atomic_fetch_add_explicit(&m->wanted, 0, memory_order_acq_rel);
	struct follower *f;
	unsigned n = 0;

	if (wanted > reached)
		return 0;
	pthread_mutex_lock(&m->lock);
	while ((f = TAILQ_FIRST(&m->followers)) && f->seq <= reached) {
		follow_take(m, f);
		f->wake(f);
		n++;
	}
	follow_want(m);
	pthread_mutex_unlock(&m->lock);
	return n;
}
