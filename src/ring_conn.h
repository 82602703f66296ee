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
 * A list holds connections by handle, through one of two pairs of links, and each
 * entry knows whether that pair is in use: adding twice or removing what is not
 * there does nothing.
 */
#ifndef RING_CONN_H
#define RING_CONN_H

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "now.h"
#include "ring.h"

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
	uint8_t	 iov_n;		/* of the send: what is left to do is iov[iov_at..iov_n) */
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

/* An eventfd which is written once however often it is asked for. */
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
 * A commit on its way: queued by submit or call, begun in the next wait (after the replies
 * that wait there have left), told by RING_SYNCED.  It is done by a thread of its own, for a
 * worker never waits for a disk: that may take its time, or not answer at all.
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
	int (*fn)(void *arg);	/* this, not a write and a sync; NULL: those */
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
/* Its thread, which calls wake when it is done.  0 or -errno. */
int  raio_start(struct raio *a, void (*wake)(struct ring *r), struct ring *r);
void raio_stop(struct raio *a);		/* waits for what has begun; nobody was promised the rest */
/* Begin what is queued, if anything is; without a thread: do it. */
void raio_go(struct raio *a);
/* If it is done: the event for it, and idle again. */
bool raio_take(struct raio *a, struct ring_event *ev);

/* Whether accepting may go on at once after the error.  Not: the process or the
 * machine is out of something (EMFILE, ENFILE, ENOMEM ..), the next try would fail
 * too; wait until a connection closes, or RING_BACKOFF_MS. */
bool ring_accept_again(int err);
#define RING_BACKOFF_MS 100

/* Whether to accept.  What a ring does with each of its listeners then is its own. */
struct raccept {
	bool on;		/* the worker wants it */
	bool dirty;		/* something has changed since the listeners were looked at */
	uint64_t backoff_ms;	/* no accept before this time; 0: any time */
};
/* Once a batch: are the listeners to be looked at? */
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
/* A connection has gone, and its descriptor; full: there may have been no room for another. */
static inline void raccept_closed(struct raccept *a, bool full)
{
	if (!full && !a->backoff_ms)
		return;
	a->backoff_ms = 0;
	a->dirty = true;
}
/* How long to wait at most: nothing tells when a back-off is over. */
static inline int raccept_timeout(const struct raccept *a, int timeout_ms)
{
	return a->backoff_ms && (timeout_ms < 0 || timeout_ms > RING_BACKOFF_MS) ? RING_BACKOFF_MS : timeout_ms;
}

/* Sockets. */
/* Bytes that have come and were not read; not whether there is an end behind them. */
bool ring_unread(int fd);
void ring_ack(int fd);
void ring_forget(int fd);
/* What is set on a listener is inherited by what it accepts; no call per connection.
 * TCP_NODELAY: replies leave at once.  TCP_NOTSENT_LOWAT: RING_UNSENT_MAX. */
void ring_listener_options(int fd);
/* O_NONBLOCK on or off. 0 or -errno. */
int  ring_nonblock(int fd, bool on);

#endif
