/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - those who wait until a lane has come so far.
 *
 * A mark is a number of a lane that only grows, and the followers that wait until it has
 * reached a number of theirs.  Each level of a lane (enum follow_level) is a mark:
 *
 *	the thread that moves it		a follower, any thread
 *	store the number			follow(): take its place in the list,
 *	follow_moved(): wake those				  look at the number again
 *	that wait for it or less		.. wake(), once, unless unfollow() comes first
 *
 * wake() is called by the thread that moved the mark, under the mark's lock, so when
 * unfollow() has returned wake() is over, or is never called.  Hence wake() must not block,
 * and follows nothing and unfollows nothing: it sets a flag and rings whatever the follower's
 * thread sleeps on.  A follower is memory of the caller, who uses it in one thread at a time.
 * When it does not wait any more (follower_waits) it may follow anew; its memory may go when
 * unfollow() has returned.
 *
 * Errors: there are none.  A lane that fails moves no more, and wakes nobody for that: who
 * waits for a sequence has a deadline, or looks at lane_failed() too.  That a number is
 * reached orders no other memory: the functions that read what it promises do.
 *
 * No wake-up is missed.  Both sides do a read-modify-write of `wanted`, and these have one
 * order.  If the follower's is the first, the mover reads what it wants, and wakes it.  If the
 * mover's is the first, the follower's reads from it (release, acquire), and so sees the
 * number that was stored before it: it has been reached.
 *
 * Where nobody has followed yet, moving a mark costs no read-modify-write, for this is on the
 * way of every request: the mover reads `wanted` (FOLLOW_NEVER) and is done.  That load may
 * be done before its store can be seen.  The first follower makes good for both sides:
 * it takes FOLLOW_NEVER away, and then membarrier(2) puts a full barrier into every thread
 * of the process.  What a mover has stored before its barrier the follower sees; what it
 * loads behind it is no longer FOLLOW_NEVER.  Where there is no membarrier(2) a mark never
 * is FOLLOW_NEVER.
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
	FOLLOW_SETTLED,		/* the highest number in synced segments: by the checkpointer; class
				 * fsync: by the worker */
	FOLLOW_PASS,		/* passes of the background over the lane: it may have made room, the next
				 * segment, or have failed to; by the checkpointer */
	FOLLOW_TURN,		/* how often the writer was asked to look at the age of its segment
				 * (lane_commit); by the checkpointer */
	FOLLOW_LEVELS
};

struct follower {
	/* the caller's, before follow() */
	void	(*wake)(struct follower *f);
	void	*arg;

	/* follow.c's */
	struct follow_mark *mark;	/* of the last follow(); NULL: it never followed */
	uint64_t seq;
	_Atomic bool waits;		/* it is in the mark's list.  Written under its lock */
	TAILQ_ENTRY(follower) entry;
};
TAILQ_HEAD(follower_list, follower);

#define FOLLOW_NEVER	UINT64_MAX		/* nobody has followed yet */
#define FOLLOW_NOBODY	(UINT64_MAX - 1)	/* nobody does now */

struct follow_mark {
	_Atomic uint64_t wanted;	/* the lowest number that a follower waits for, or one of these.
					 * Written under the lock */
	const _Atomic uint64_t *reached;
	pthread_mutex_t lock;		/* held for a step in the list, and while followers are woken */
	struct follower_list followers;	/* the lowest number first */
};

/* reached: the number, which is written by one thread at a time, and stays. */
void follow_init(struct follow_mark *m, const _Atomic uint64_t *reached);
/* Nobody follows any more. */
void follow_fini(struct follow_mark *m);

/* true: wake() is called once, when seq is reached.  false: it is reached, wake() is not called. */
bool follow(struct follow_mark *m, uint64_t seq, struct follower *f);
/* At any time, also of one that is all zero or does not wait any more. */
void unfollow(struct follower *f);
/* Whether it still waits.  It does not when wake() is called; who reads that sees what the
 * mover did before. */
static inline bool follower_waits(const struct follower *f)
{
	return atomic_load_explicit(&f->waits, memory_order_acquire);
}

/* follow.c for follow_moved. */
unsigned follow_wake(struct follow_mark *m);

/* The number has been stored (relaxed is enough).  How many were woken. */
static inline unsigned follow_moved(struct follow_mark *m)
{
	/* Only the compiler is kept from exchanging it with the store: see above. */
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&m->wanted, memory_order_relaxed) == FOLLOW_NEVER)
		return 0;
	return follow_wake(m);
}

#endif
