/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - waiting until a lane has reached a sequence number (or another count).
 *
 * A mark is a number of a lane that only grows, and the list of the followers that wait until
 * it has reached a value of theirs.  Each level of a lane (enum follow_level) is a mark:
 *
 *	the thread that moves it		a follower, any thread
 *	store the number			follow(): take its place in the list,
 *	follow_moved(): wake those that			  look at the number again
 *	wait for that number or a lower one	.. wake(), once, unless unfollow() comes first
 *
 * wake() is called by the thread that moved the mark, under the mark's lock.  So once
 * unfollow() has returned, wake() is over or will never be called.  Hence wake() must not block,
 * and must not call follow() or unfollow(): it sets a flag and wakes whatever the follower's
 * thread sleeps on.  A follower is memory of the caller, who uses it in one thread at a time.
 * A follower that does not wait any more (follower_waits) may follow anew; its memory may be
 * freed when unfollow() has returned.
 *
 * Errors: there are none.  The marks of a lane that failed stop, and nobody is woken for that:
 * a thread that waits for a sequence sets a deadline, or looks at lane_failed() too.  Reaching a
 * number orders no other memory; the functions that read the records order their own.
 *
 * No wake-up is missed.  Both sides do a read-modify-write of `wanted`, and all of these have
 * one order.  If the follower's comes first, the mover reads the number that is wanted, and
 * wakes the follower.  If the mover's comes first, the follower's reads from it (release,
 * acquire), and so the follower sees the number that the mover stored: it has been reached.
 *
 * As long as nobody has followed, moving a mark costs no read-modify-write, because every
 * request does it: the mover reads FOLLOW_NEVER in `wanted` and is done.  The CPU may do that
 * load before others can see the mover's store.  The first follower pays for both sides: it
 * takes FOLLOW_NEVER away, and then membarrier(2) puts a full barrier into every thread of the
 * process.  What a mover stored before its barrier, the follower sees; what a mover loads after
 * its barrier is no longer FOLLOW_NEVER.  Without membarrier(2) no mark ever is FOLLOW_NEVER.
 */
#ifndef LANE_FOLLOW_H
#define LANE_FOLLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum follow_level {
	FOLLOW_DURABLE,		/* lane_durable(): moved by the worker */
	FOLLOW_SETTLED,		/* the highest sequence in synced segments: moved by the
				 * checkpointer, in class fsync by the worker */
	FOLLOW_PASS,		/* passes of the checkpointer over the lane, moved by it: a pass may
				 * have made room or the next segment, or have failed to */
	FOLLOW_TURN,		/* how often the writer was asked to look at the age of its segment
				 * (lane_commit): moved by the checkpointer */
	FOLLOW_LEVELS
};

struct follower {
	/* The caller's, set before the first follow() and not written again before unfollow() has
	 * returned: it does not wait any more a moment before its wake() is called. */
	void	(*wake)(struct follower *f);
	void	*arg;

	/* set by follow.c */
	struct follow_mark *mark;	/* of the last follow(); NULL: there was none */
	uint64_t seq;
	_Atomic bool waits;		/* it is in the mark's list.  Written under its lock */
	TAILQ_ENTRY(follower) entry;
};
TAILQ_HEAD(follower_list, follower);

#define FOLLOW_NEVER	UINT64_MAX		/* nobody has followed yet */
#define FOLLOW_NOBODY	(UINT64_MAX - 1)	/* nobody follows now */

struct follow_mark {
	_Atomic uint64_t wanted;	/* the lowest number that a follower waits for, FOLLOW_NEVER
					 * or FOLLOW_NOBODY.  Changed under the lock only */
	const _Atomic uint64_t *reached;
	pthread_mutex_t lock;		/* held while the list is changed and followers are woken */
	struct follower_list followers;	/* the lowest number first */
};

/* reached: the mark's number, which one thread at a time writes; its memory outlives the mark. */
void follow_init(struct follow_mark *m, const _Atomic uint64_t *reached);
/* To be called when nobody follows any more. */
void follow_fini(struct follow_mark *m);

/* true: wake() will be called once, when seq is reached.  false: seq is reached already, and
 * wake() is not called. */
bool follow(struct follow_mark *m, uint64_t seq, struct follower *f);
/* May be called at any time, also for a follower that is all zero or does not wait any more. */
void unfollow(struct follower *f);
/* Whether the follower still waits.  It does not any more when wake() is called; a thread that
 * reads false sees what the mover did before. */
static inline bool follower_waits(const struct follower *f)
{
	return atomic_load_explicit(&f->waits, memory_order_acquire);
}

/* The part of follow_moved() that is in follow.c. */
unsigned follow_wake(struct follow_mark *m);

/* To be called after the number was stored (relaxed is enough).  Returns how many followers
 * were woken. */
static inline unsigned follow_moved(struct follow_mark *m)
{
	/* This keeps only the compiler from moving the load before the store; for the CPU see
	 * above. */
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&m->wanted, memory_order_relaxed) == FOLLOW_NEVER)
		return 0;
	return follow_wake(m);
}

#endif
