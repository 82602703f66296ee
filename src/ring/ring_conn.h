/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_conn.h - what the rings (ring_uring.c, ring_socket.c, ring_paste.c) have in common:
 * the table of connections, lists through it, the wake-up, the commits to block storage, and
 * when to accept.
 *
 * The table is one anonymous mapping of conns_max entries.  Handles are given out
 * again last in, first out, and fresh ones in order, so the memory that was ever
 * touched is that of the most connections open at once.
 *
 * A list holds connections by handle, through one of the two pairs of links of their entries.
 * An entry knows whether a pair is in use: adding a connection that is on the list, or removing
 * one that is not, does nothing.
 */
#ifndef RING_RING_CONN_H
#define RING_RING_CONN_H

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/now.h"
#include "ring/ring.h"

#define RCONN_NIL	UINT32_MAX	/* end of a list */
#define RCONN_OFF	(UINT32_MAX - 1) /* in link.next: on no list of this pair */
#define RCONN_MAX	(1u << 24)

enum { LINK_READ, LINK_WRITE, LINKS };

struct rlink {
	uint32_t next, prev;
};

struct rconn {
	int	 fd;
	uint32_t gen;		/* of the handle's uses: tells old completions from new */
	struct rlink link[LINKS];
	uint16_t flags;		/* each provider's own; 0: the handle is free */
	uint8_t	 ops;		/* operations in the kernel that refer to the entry */
	uint8_t	 iov_n;		/* what is left of the send is iov[iov_at..iov_n) */
	uint8_t	 iov_at;
	struct iovec iov[RING_IOV_MAX];
	struct msghdr msg;	/* names iov for sendmsg */
};
static_assert(sizeof(struct rconn) <= 256, "memory per idle connection");

struct rtable {
	struct rconn *c;
	uint32_t max;
	uint32_t fresh;		/* handles from here on were never used */
	uint32_t free;		/* list of used ones, through link[LINK_READ].next */
	uint32_t open;
};

struct rlist {
	uint32_t first, last;
	uint8_t	 pair;		/* LINK_READ or LINK_WRITE */
};
#define RLIST_INIT(pair) ((struct rlist){ RCONN_NIL, RCONN_NIL, (pair) })

int  rtable_init(struct rtable *t, uint32_t max);
void rtable_fini(struct rtable *t);
/* A new entry for fd with flags (not 0) and nothing else set; RCONN_NIL: all in use. */
uint32_t rtable_get(struct rtable *t, int fd, uint16_t flags);
void rtable_put(struct rtable *t, uint32_t conn);

void rlist_push(struct rtable *t, struct rlist *l, uint32_t conn);
void rlist_remove(struct rtable *t, struct rlist *l, uint32_t conn);
uint32_t rlist_pop(struct rtable *t, struct rlist *l);	/* RCONN_NIL: empty */

/* The send: set it, take n bytes off its front (true: nothing is left). */
void rconn_send_set(struct rconn *c, const struct iovec *iov, unsigned n);
bool rconn_send_done(struct rconn *c, size_t n);

/* Counters: written by the ring's thread only, read by any. */
static inline void count_add(uint64_t *counter, uint64_t n)
{
	/* relaxed: a reader wants a whole number, not an order */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}
void ring_stats_copy(const struct ring_stats *from, struct ring_stats *to);

/* An eventfd that is written once, however often a wake-up is asked for before it is taken. */
struct rwake {
	int fd;
	atomic_bool set;
};
int  rwake_init(struct rwake *w);
void rwake_fini(struct rwake *w);
void rwake_set(struct rwake *w);	/* from any thread or signal handler */
/* The eventfd was read: from now on rwake_set writes again. */
void rwake_taken(struct rwake *w);

/*
 * A commit on its way.  submit or call queues it; the next wait begins it, after the replies
 * that were queued before it have left; RING_SYNCED reports its result.  A thread of its own does
 * it, for a worker never waits for a disk: that may take its time, or not answer at all.
 *
 *	the ring's thread		the commit's
 *	raio_go: the job, sem_post --->	write, sync, res
 *	raio_take: res		   <---	done (release), wake
 */
enum raio_state { RAIO_IDLE, RAIO_QUEUED, RAIO_GONE };
struct raio {
	struct blk_aio aio;	/* first: the owner casts back */
	enum raio_state state;	/* the ring's */
	const struct blk_ops *blk;
	struct blk_file *f;
	struct iovec *iov;
	unsigned n;
	uint64_t off;
	int (*fn)(void *arg);	/* called in place of a write and a sync; NULL: those are done */
	void *arg;
	int res;
	atomic_bool done;
	bool threaded;
	atomic_bool stop;
	sem_t go;
	pthread_t thread;
	void (*wake)(struct ring *r);
	struct ring *ring;
};
void raio_init(struct raio *a);
/* Starts the thread, which calls wake whenever a commit is done.  0 or -errno. */
int  raio_start(struct raio *a, void (*wake)(struct ring *r), struct ring *r);
/* Ends the thread, after the commit that has begun; one that was only queued is not done, and
 * nobody was promised it. */
void raio_stop(struct raio *a);
/* Begins the commit that is queued, if there is one; without a thread it is done here and now. */
void raio_go(struct raio *a);
/* Whether a commit is done: *ev is its event then, and the next one may be queued. */
bool raio_take(struct raio *a, struct ring_event *ev);

/* Whether accepting may go on at once after the error.  Not if the process or the machine is out of
 * something (EMFILE, ENFILE, ENOMEM ..): the next try would fail too, so wait until a connection
 * closes, or RING_BACKOFF_MS. */
bool ring_accept_again(int err);
#define RING_BACKOFF_MS 100

/* Whether a ring accepts clients; what it does with each listener then is in its own file. */
struct raccept {
	bool on;		/* the worker wants it */
	bool dirty;		/* something has changed since the listeners were looked at */
	uint64_t backoff_ms;	/* no accept before this time; 0: any time */
};
/* Asked once a batch: whether the ring has to look at its listeners. */
static inline bool raccept_turn(struct raccept *a)
{
	bool dirty;

	if (a->backoff_ms && now_coarse_ms() >= a->backoff_ms) {
		a->backoff_ms = 0;
		a->dirty = true;
	}
	dirty = a->dirty;
	a->dirty = false;
	return dirty;
}
static inline void raccept_backoff(struct raccept *a)
{
	a->backoff_ms = now_coarse_ms() + RING_BACKOFF_MS;
}
/* A connection and its descriptor have gone.  full: there may have been no room for another. */
static inline void raccept_closed(struct raccept *a, bool full)
{
	if (!full && !a->backoff_ms)
		return;
	a->backoff_ms = 0;
	a->dirty = true;
}
/* How long the ring may wait at most, for nothing wakes it when a back-off is over. */
static inline int raccept_timeout(const struct raccept *a, int timeout_ms)
{
	return a->backoff_ms && (timeout_ms < 0 || timeout_ms > RING_BACKOFF_MS) ? RING_BACKOFF_MS : timeout_ms;
}

/* Sockets. */
/* Whether bytes have come that were not read; an end of the stream alone does not count. */
bool ring_unread(int fd);
void ring_ack(int fd);
void ring_forget(int fd);
/* Options that connections inherit from their listener, so that none needs a call of its own:
 * TCP_NODELAY, replies leave at once; TCP_NOTSENT_LOWAT, RING_UNSENT_MAX. */
void ring_listener_options(int fd);
/* O_NONBLOCK on or off. 0 or -errno. */
int  ring_nonblock(int fd, bool on);

#endif
