/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.h - one per core: a ring, a lane, its connections, their timers.
 *
 * Its loop is the data path, a batch at a time:
 *
 *   give free buffers to the ring
 *   ring_wait            submits the replies of the last batch, brings events
 *   each event           parse in place; name and flush what is recorded
 *   lane_reclaim         buffers that a checkpoint has moved
 *   lane_commit          fence, words, fence (nvmm) or write + sync (fsync)
 *   release              replies whose sequence is durable are queued for the ring
 *
 * Everything a worker owns is touched by its thread only, but for: the flag `stop`, the ring's
 * wake (also by whoever moves what its followers wait for), the counters (read by others), the
 * services' mailboxes, and the hand-shake of the start.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/counters.h"
#include "base/timers.h"
#include "http/http.h"
#include "http/reply.h"
#include "ring/ring.h"
#include "server/conn.h"
#include "store/store.h"

struct admin;
struct health;
struct checkpoint;

struct worker_env {			/* the same for all workers; must outlive them */
	const struct ring_ops *ring;
	struct store *store;
	const struct head_common *common;	/* what every reply says */
	struct admin *records;	/* reads the log, and may have to wait for the disk */
	struct admin *pages;		/* the other answers: it never waits */
	struct health *health;
	struct checkpoint *checkpoint;
	struct http_limits limits;
	struct counters *counters;	/* [workers], zeroed; the admin thread reads them too */
	unsigned conns_max;		/* per worker */
	unsigned header_timeout_ms;	/* first byte of a request to the end of its head */
	unsigned body_timeout_ms;	/* for body_step more bytes of a body */
	uint64_t body_step;		/* at least 1: what a slow client must send meanwhile */
	unsigned idle_timeout_ms;	/* between two requests */
	unsigned write_timeout_ms;	/* without progress of a reply */
	unsigned pushback_ms;		/* how long to push back before 503 */
	uint32_t held_max;		/* held buffers from which a checkpoint is asked for */
	unsigned drain_ms;		/* how long to finish what is in flight at a stop */
	bool given;			/* the listeners are a service manager's: they stay open */
	atomic_uint *serving;		/* workers whose lane has not failed */
	void (*gone)(void *arg);	/* a worker ended although nobody stopped it */
	void *arg;
	bool pin;			/* pin worker i to the i-th CPU it may run on */
	const char *nic;		/* for worker 0's ring (ring_params); NULL: none */
	unsigned spin_us;
};

/* A reply that waits for its record to be durable. */
struct pending {
	uint32_t conn, gen;
	uint64_t seq;
	uint64_t out_end;		/* the reply's end in the connection's output */
	uint64_t t_ns;			/* when the request was complete */
};
#define PENDING_MAX 65536u		/* a power of two */

/* A filled buffer that was not parsed whole yet; a connection's are a list. */
struct slot_node {
	uint32_t buf;
	uint16_t off, len;
	uint32_t next;
};

struct worker {
	const struct worker_env *env;
	unsigned index;
	int cpu;			/* to be pinned to, -1: none */
	pthread_t thread;
	const struct ring_ops *ops;
	struct ring *ring;
	struct lane *lane;
	struct pool *pool;
	struct counters *count;
	const int *listeners;
	unsigned nlisteners;

	struct conn *conns;		/* [conns_max], by handle */
	unsigned open;			/* connections */
	struct conn_list sendq;		/* have output that may leave */
	struct conn_list pieceq;	/* have a piece of the admin thread's to send */
	struct conn_list waitq;		/* wait for room in lane or pool */
	struct admin_slots admin_slots;			/* who waits for a slot of the admin thread's */
	struct timers timers;
	struct reply_pool replies;
	struct slot_node *slots;
	uint32_t slot_free;

	struct pending *pending;	/* FIFO by sequence */
	uint64_t pend_head, pend_tail;

	uint64_t now_ns;		/* monotonic, of this batch */
	/* The clients' clock, by which all their deadlines go.  It stands still while the loop is
	 * away (the process was stopped, or another had its CPU), so that no client is late
	 * because of us. */
	uint64_t fair_ns;
	uint64_t shortest_ns;		/* conn_shortest_ns() */
	unsigned behind;		/* turns in a row that left events in the ring */
	uint64_t wall_ms;
	uint64_t dry_since_ns;		/* on fair_ns: since when no buffer is free; 0: some are */
	uint64_t shed_ns;		/* on fair_ns: when to look again for clients that hold buffers
					 * and do not read */
	uint64_t log_steps, log_ns;	/* lane_moves, looked at while something waits for room; fair:
					 * when it was seen to have grown */
	bool look_again;		/* at once: what is waited for may have come just before
					 * `pass` followed */
	bool refusing;			/* no buffer was free for too long: 503, read into the reserve */
	uint32_t reserve;		/* so many buffers are kept back for that */
	bool lane_dead;			/* the lane has failed, and that was dealt with */

	atomic_int stop;		/* 0 run, 1 drain, 2 now */
	bool draining;
	uint64_t drain_end_ns;
	enum { DOOR_OPEN, DOOR_LAST, DOOR_SHUT } door;	/* LAST: until nobody is left in the backlog */
	unsigned door_turns;		/* turns since DOOR_LAST */
	unsigned late;			/* connections that came while draining */
	struct follower pass;		/* waits for the checkpointer's next pass: it may have made room */
	struct follower turn;		/* fsync: waits to be asked to look at the segment's age */

	int start_err;			/* of the thread's start, with why */
	char why[256];
	pthread_mutex_t start_lock;	/* only for the start hand-shake */
	pthread_cond_t start_cond;
	int started;
};

/* Starts the worker's thread; returns when its ring is open. 0 or -errno, why says. */
int  worker_start(struct worker **w, const struct worker_env *env, unsigned index, int cpu,
		  const int *listeners, unsigned nlisteners, char *why, size_t why_len);
/* Safe from any thread and from signal handlers. now: do not wait for what is in flight. */
void worker_stop(struct worker *w, bool now);
void worker_join(struct worker *w);	/* waits until its thread has ended */
/* Frees its ring too: nobody may wake it any more. */
void worker_free(struct worker *w);
void worker_wake(struct worker *w);	/* any thread */
/* By the worker: when a request that waits for room since since_ns is refused, both on fair_ns.  As
 * long as the log makes progress room will come, so pushback_ms begin anew with each step. */
uint64_t worker_refuse_ns(const struct worker *w, uint64_t since_ns);
/* By the worker: accept the clients that are in the backlog, and then none any more. */
void worker_door_last(struct worker *w);

#endif
