/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - where requests come from and replies go: one interface, three
 * providers (ring_uring.c, ring_socket.c, ring_paste.c).
 *
 *        kernel                        ring                        worker
 *   TCP payload, in order  --->  events: ACCEPT DATA EOF ..  --->  ring_wait()
 *   of all connections           DATA = <conn, buf, off, len>      parses in place
 *   free buffers           <---  ring_give(buf)              <---  from the pool
 *   replies                <---  ring_send(conn, iov)        <---  after the fence
 *                                leave in the next ring_wait()
 *
 * ring_wait and so on stand for the functions of struct ring_ops.  One thread owns a ring:
 * it opens, waits, calls and ends it (the kernel may insist); only ring_wake() may be called
 * from others, and close() when it has ended.  All calls but ring_wait queue their work; one
 * ring_wait moves everything for all connections, with one system call where the provider can.
 *
 * Buffers.  The worker gives names from its pool, as many as the ring wants (its
 * window); a DATA event hands one back, filled: from then on it is the worker's
 * (pool_hold).  A provider that has no buffer stops reading: TCP's window closes
 * and nothing is lost; it goes on by itself when buffers are given.
 *
 * Connections are named by handles 0 .. conns_max-1.  A handle lives from
 * RING_ACCEPT to RING_CLOSED; RING_CLOSED comes once, after close_conn, when no
 * operation of the kernel refers to the connection or its send memory any more.
 * After close_conn no other event for the handle is delivered, but DATA buffers
 * that were filled in between are returned to the ring's window by itself.  (Events
 * that the last ring_wait had handed over already stand: a DATA among them names a
 * buffer that is the worker's.)  In one batch a handle may be CLOSED and then
 * ACCEPTed again.
 *
 * Order.  DATA of one connection arrive in stream order; RING_EOF after the last.
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "media/blk.h"

enum ring_kind {
	RING_ACCEPT,	/* conn is new; res: index of the listener it came from */
	RING_DATA,	/* buf, off, len: bytes of conn, len > 0 */
	RING_EOF,	/* the peer sends no more (it may still read) */
	RING_ERROR,	/* reading failed, res = -errno; nothing more is read */
	RING_SENT,	/* the send is complete, res = 0; or -errno: it will never be */
	RING_CLOSED,	/* the handle may be given out again */
	RING_SYNCED,	/* a blk_aio chain is complete: res = 0 or -errno */
	RING_WOKEN,	/* ring_wake was called (any number of times) */
};

struct ring_event {
	uint8_t  kind;
	uint32_t conn;
	uint32_t buf;
	uint16_t off;
	uint16_t len;	/* 4096 fits */
	int32_t  res;
};

struct ring_params {
	unsigned  conns_max;
	uint8_t  *pool_base;	/* of buffer 0 of the whole pool */
	size_t	  pool_len;	/* bytes */
	uint32_t  buf_size;
	uint32_t  first_buf, nbufs;	/* this worker's share */
	const int *listeners;	/* descriptors, listening; the ring sets or clears their
				 * O_NONBLOCK as it needs, and they stay the caller's */
	unsigned  nlisteners;
	/* For the provider that has it; the others ignore them. */
	bool	  trial;	/* opened only to see whether it can be opened, and closed at once */
	const char *nic;	/* network device whose packets it takes by itself; NULL: none.
				 * Taken in the first wait, when there are buffers; in a trial
				 * by open, which can say why it cannot be had */
	unsigned  spin_us;	/* how long to look for events before sleeping */
	uint64_t  lock_bytes;	/* of pool that will be locked in memory, if more than
				 * pool_len (a trial with a smaller one); 0: not */
};

/* Why bytes were copied although a network device fills the buffers; paste(4). */
#define RING_COPY_TABLE(X) \
	X(OTHER, other) X(PROTOCOL, protocol) X(SMALL, small) X(UNATTACHED, unattached) X(FLOW, flow) X(POOL, pool) \
	X(SPARE, spare) X(HEADERS, headers) X(MEMORY, memory)
enum ring_copy {
#define X(name, label) RING_COPY_##name,
	RING_COPY_TABLE(X)
#undef X
	RING_COPIES
};

struct ring_stats {
	uint64_t syscalls;	/* entries into the kernel */
	uint64_t waits;		/* batches */
	uint64_t data;		/* DATA events */
	uint64_t bytes_in, bytes_out;
	uint64_t sends;
	uint64_t no_files;	/* times that accepting stopped for want of descriptors or memory */
	uint64_t turned_away;	/* connections closed at once, for there was no handle for them */
	uint64_t starved;	/* times that reading stopped for want of buffers */
	uint64_t bytes_copied[RING_COPIES];	/* payload bytes copied on the way into the
				 * buffers (one copy by the kernel for uring and socket: OTHER) */
	uint64_t bytes_zero_copy;	/* and those that the device put there */
};

struct ring;
struct ring_ops {
	const char *name;	/* "uring", "socket", "paste" */
	/* 0, or -errno with one sentence in why (what is missing, what to do). */
	int  (*open)(struct ring **r, const struct ring_params *p, char *why, size_t why_len);
	/* Cuts every connection; when it returns the kernel refers to no buffer and to
	 * no send memory any more.  After it only wake, which does nothing, and close. */
	void (*end)(struct ring *r);
	void (*close)(struct ring *r);	/* ends it if that was not done; frees */
	/* A buffer for the kernel to fill.  false: the window is full (keep it). */
	bool (*give)(struct ring *r, uint32_t buf);
	/* Submit what is queued, then wait for at least one event, at most timeout_ms
	 * (-1: no limit, 0: only look).  Number of events, or -errno: the ring is lost.
	 * 0: timeout, a signal, or the ring only had work of its own: call again. */
	int  (*wait)(struct ring *r, struct ring_event *ev, unsigned max, int timeout_ms);
	/* One send in flight per connection; the memory (not the iovec array) stays
	 * until RING_SENT.  Partial sends are continued inside.  n <= RING_IOV_MAX. */
	void (*send)(struct ring *r, uint32_t conn, const struct iovec *iov, unsigned n);
	void (*pause)(struct ring *r, uint32_t conn);	/* read no more of it; DATA already on the way still come */
	void (*resume)(struct ring *r, uint32_t conn);
	/* No more sends: FIN after what was sent, the send in flight included. */
	void (*shutdown)(struct ring *r, uint32_t conn);
	/* Makes the close_conn that follows throw away what is unsent: else the kernel keeps that
	 * for minutes, for a peer that does not take it. */
	void (*forget)(struct ring *r, uint32_t conn);
	void (*close_conn)(struct ring *r, uint32_t conn);	/* at once (also ends a send) -> RING_CLOSED */
	/* Stop or go on accepting (at open: on).  After a stop an ACCEPT that was on its
	 * way may still come.  By itself a ring stops while conns_max are open, and for
	 * a while when descriptors or memory run out. */
	void (*accept)(struct ring *r, bool on);
	void (*wake)(struct ring *r);			/* from any thread or signal handler */
	/* Whether bytes of the connection have come that no DATA has brought yet: a client that
	 * seems late may only be waiting for us.  A system call, so not for each request. */
	bool (*unread)(struct ring *r, uint32_t conn);
	/* Acknowledges at once what has come, not with the next reply: a client that sends in
	 * small pieces may keep the next one back until then (Nagle).  A system call too. */
	void (*ack)(struct ring *r, uint32_t conn);
	/* Where the lane's commits go (class fsync); called once.  Begun in the next wait,
	 * after the sends queued before it, by a thread that is made for them; one in flight,
	 * else -EBUSY.  NULL: there is no thread to be had. */
	struct blk_aio *(*aio)(struct ring *r);
	/* Counters since open; `starved` may be a second old. */
	void (*stats)(struct ring *r, struct ring_stats *s);
};
#define RING_IOV_MAX 8u
/* Of output that a peer does not take, the kernel keeps about so many bytes, not all that tcp_wmem
 * allows (4 MB): clients that do not read cost neither more memory nor the time to fill it. */
#define RING_UNSENT_MAX (128 << 10)

extern const struct ring_ops ring_uring, ring_socket, ring_paste;

#endif
