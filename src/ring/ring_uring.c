/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_uring.c - the ring over io_uring (ring.h); the only file with liburing.h.
 *
 *   per listener     one multishot accept, or single ones (accept_one_listener)
 *   per connection   one multishot receive, one poll for the peer's end, at most one
 *                    send
 *   per ring         one read of the wake-up's eventfd
 *
 * Every ring_wait is one io_uring_enter, which submits what was queued and brings
 * completions; none when there are some already and nothing is queued.
 *
 * THE WINDOW.  The kernel takes buffers from a provided buffer ring of `entries`
 * slots, filled from the pool by give().  A buffer is known to the kernel by a
 * bid, which is an index into win_buf[] (the pool may have far more buffers than
 * the 65536 that a bid can name).  A bid is free, or its buffer is the kernel's:
 * free -> give() -> kernel -> completion -> free.  WINDOW is small on purpose: the
 * kernel takes buffers in turn, so a larger one walks through more memory than the
 * caches hold.
 *
 * READING.  A connection that should be read (open, not paused, not ended) has
 * either F_RECV, its receive is in the kernel, or is on the list `rearm`, which each
 * wait empties while there are buffers.  A receive ends by itself with -ENOBUFS when
 * there are none (starved), at the end of the stream, on errors, by a cancel (pause,
 * close), or because the completion queue was full.
 *
 * THE END OF A STREAM.  A multishot receive can miss it.  The kernel goes on only when
 * it is woken, or when the socket says that there is more, and the end does not count
 * as more (a reset; on Unix sockets a shutdown as well).  It is lost when it wakes the
 * request together with the data before it (CVE-2026-23473, mended in Linux 7.0 and the
 * stable kernels of May 2026), and when it stood behind more data than one round takes,
 * 33 buffers, before the receive began (6.18.44 still does that; Debian's 6.1.0-56 does
 * neither).  Nothing wakes such a receive again.  So a poll, which looks at the state
 * and not at what is new, watches each connection for its end.  Once that is known
 * there is nothing to wait for: the multishot receive is cancelled and single ones read
 * what is left.
 *
 * COMPLETIONS carry op, generation and handle.  Each operation of a connection
 * counts in rconn.ops until its last completion (the one without F_MORE), and a
 * handle is free only when that is 0, so a completion always meets the connection
 * that it belongs to; the generation is checked all the same.
 *
 * CANCELS are by user_data: the kernel finds those by a hash, and would have to
 * walk over all connections to find them by descriptor.
 *
 * Sockets are ordinary descriptors: of the CPU time at 50 connections, 93 % is the
 * kernel's network stack, 1 % this file and liburing, and 0.4 % is fget, all that
 * registered descriptors would save.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "base/now.h"
#include "ring/ring_conn.h"
#include "util/mutant.h"

#define SQ_ENTRIES	1024u
#define CQ_ENTRIES	8192u
#define WINDOW		1024u
#define BGID		0
#define ROOM_MANY	4096u		/* the backlog of a listener (listen.c) */
#define ACCEPTS		16u		/* single ones of a listener in the kernel, at most */
#define CLOSE_MS	5000		/* how long close() waits for the kernel */

enum op {
	OP_ACCEPT = 1,	/* conn: index of the listener */
	OP_ACCEPT_ONE,
	OP_RECV,
	OP_SEND,
	OP_WATCH,
	OP_CLOSE,
	OP_CANCEL_RECV,
	OP_CANCEL_SEND,
	OP_CANCEL_WATCH,
	OP_CANCEL_ACCEPT,
	OP_CANCEL_ALL,
	OP_WAKE,
};

enum {				/* rconn.flags */
	F_OPEN = 1,
	F_RECV = 2,		/* a receive is in the kernel */
	F_RECV_CANCEL = 4,	/* that receive is being cancelled */
	F_PAUSED = 8,
	F_READ_END = 16,	/* end of stream or error */
	F_SEND = 32,		/* a send is in the kernel */
	F_FIN = 64,		/* to be shut down when the send has ended */
	F_CLOSING = 128,
	F_WATCH = 256,		/* the poll for the peer's end is in the kernel */
	F_HUP = 512,		/* the peer has ended its side; what it sent may be unread */
};

struct ulistener {
	int fd;
	bool armed, cancelling;		/* the multishot accept */
	unsigned ones;			/* single ones in the kernel */
	bool ones_cancelling;
	int waits;			/* descriptor that was accepted while no handle was free; -1: none */
};

struct ring {
	struct io_uring u;
	struct ring_params p;
	bool u_open, up, stopping;
	uint32_t inflight;	/* operations in the kernel */
	int lost;		/* -errno: the kernel takes no entries any more */
	struct io_uring_sqe nowhere;	/* entries are written to here once it is lost */

	struct rtable t;
	struct rlist rearm;

	struct io_uring_buf_ring *br;
	size_t br_bytes;
	uint32_t entries;	/* of br, a power of two */
	uint32_t fresh;		/* added to br, not shown to the kernel yet */
	uint32_t win_max, win;	/* buffers the kernel may have and has */
	uint32_t *win_buf;	/* [win_max] by bid; BUF_NONE: free */
	uint16_t *bid_free;	/* stack of win_max - win free bids */

	struct ulistener *l;
	unsigned nl;
	struct raccept accept;
	uint32_t ones;		/* of all listeners */
	uint32_t waiting;	/* listeners whose `waits` is a descriptor */

	struct rwake wake;
	uint64_t wake_word;	/* what the read of the eventfd writes */
	struct raio aio;
	struct ring_stats st;
};
#define BUF_NONE UINT32_MAX

static uint64_t uring_tag(enum op op, uint32_t gen, uint32_t conn)
{
	return (uint64_t)op << 56 | (uint64_t)(gen & 0xffffff) << 32 | conn;
}

/* ---- submission ---- */

/* Make room for an entry.  The kernel may refuse for a while, until it has memory or completions
 * have been reaped: then it is asked again, with naps. */
static void sq_room(struct ring *r)
{
	static const struct timespec nap = { .tv_nsec = 1000000 };

	for (unsigned i = 0; !io_uring_sq_space_left(&r->u) && !r->lost; i++) {
		int ret;

		count_add(&r->st.syscalls, 1);
		/* completions that come now stay in the completion queue, or on the kernel's
		 * overflow list, until the next reap */
		ret = i ? io_uring_submit_and_get_events(&r->u) : io_uring_submit(&r->u);
		if (ret < 0 && ret != -EINTR && ret != -EBUSY && ret != -EAGAIN)
			r->lost = ret;
		if (i > 1000)
			nanosleep(&nap, NULL);
	}
}

static struct io_uring_sqe *sqe_get(struct ring *r)
{
	struct io_uring_sqe *sqe;

	sq_room(r);
	if (r->lost)			/* the next wait returns the error */
		return &r->nowhere;
	sqe = io_uring_get_sqe(&r->u);
	must(sqe);
	r->inflight++;
	return sqe;
}

static void conn_op(struct ring *r, struct io_uring_sqe *sqe, enum op op, struct rconn *c)
{
	c->ops++;
	io_uring_sqe_set_data64(sqe, uring_tag(op, c->gen, (uint32_t)(c - r->t.c)));
}

static void cancel(struct ring *r, struct rconn *c, enum op op, enum op what)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_cancel64(sqe, uring_tag(what, c->gen, (uint32_t)(c - r->t.c)), 0);
	conn_op(r, sqe, op, c);
}

static void watch_start(struct ring *r, struct rconn *c)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_poll_add(sqe, c->fd, POLLRDHUP);	/* and POLLERR, POLLHUP */
	conn_op(r, sqe, OP_WATCH, c);
	c->flags |= F_WATCH;
}

static void recv_start(struct ring *r, struct rconn *c)
{
	struct io_uring_sqe *sqe;

	/* The poll is queued before the receive: the kernel wakes the newest waiter first, and
	 * that should be the receive, which mostly sees the end by itself. */
	if (!(c->flags & (F_WATCH | F_HUP)))
		watch_start(r, c);
	sqe = sqe_get(r);
	if (c->flags & F_HUP)
		io_uring_prep_recv(sqe, c->fd, NULL, r->p.buf_size, 0);
	else
		io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BGID;
	conn_op(r, sqe, OP_RECV, c);
	c->flags |= F_RECV;
}

static void recv_cancel(struct ring *r, struct rconn *c)
{
	c->flags |= F_RECV_CANCEL;
	cancel(r, c, OP_CANCEL_RECV, OP_RECV);
}

static void send_start(struct ring *r, struct rconn *c)
{
	struct io_uring_sqe *sqe = sqe_get(r);
	struct iovec *v = &c->iov[c->iov_at];

	if (c->iov_n - c->iov_at == 1) {
		io_uring_prep_send(sqe, c->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL | MSG_WAITALL);
	} else {
		c->msg = (struct msghdr){ .msg_iov = v, .msg_iovlen = c->iov_n - c->iov_at };
		io_uring_prep_sendmsg(sqe, c->fd, &c->msg, MSG_NOSIGNAL | MSG_WAITALL);
	}
	conn_op(r, sqe, OP_SEND, c);
	c->flags |= F_SEND;
}

static void wake_start(struct ring *r)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_read(sqe, r->wake.fd, &r->wake_word, sizeof(r->wake_word), 0);
	io_uring_sqe_set_data64(sqe, uring_tag(OP_WAKE, 0, 0));
}

static void accept_start(struct ring *r, unsigned i)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_multishot_accept(sqe, r->l[i].fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, uring_tag(OP_ACCEPT, 0, i));
	r->l[i].armed = true;
}

static void accept_one(struct ring *r, unsigned i)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_accept(sqe, r->l[i].fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, uring_tag(OP_ACCEPT_ONE, 0, i));
	r->l[i].ones++;
	r->ones++;
}

static void accept_cancel(struct ring *r, unsigned i, enum op what)
{
	struct io_uring_sqe *sqe = sqe_get(r);

	io_uring_prep_cancel64(sqe, uring_tag(what, 0, i), IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(sqe, uring_tag(OP_CANCEL_ACCEPT, 0, i));
}

/* ---- starting what should be in the kernel and is not ---- */

static void read_update(struct ring *r, struct rconn *c)
{
	uint32_t conn = (uint32_t)(c - r->t.c);

	if (!(c->flags & (F_RECV | F_PAUSED | F_READ_END | F_CLOSING)))
		rlist_push(&r->t, &r->rearm, conn);
	else
		rlist_remove(&r->t, &r->rearm, conn);
}

static void rearm(struct ring *r)
{
	/* no more receives than the kernel has buffers: any other would end at once */
	for (uint32_t n = r->win; n; n--) {
		uint32_t conn = rlist_pop(&r->t, &r->rearm);

		if (conn == RCONN_NIL)
			return;
		recv_start(r, &r->t.c[conn]);
	}
}

/*
 * A multishot accept accepts all clients of the backlog at once, so there must be handles for all
 * of them: a connection that was accepted and has no handle is a descriptor more than was
 * reckoned with.  With fewer handles there are single accepts, one for each handle that is free,
 * and the other clients stay in the backlog.  Each listener has one single accept at least, or
 * its clients would wait for those of another listener; so one client of each listener may be
 * accepted and have to wait for a handle.
 */
static void accept_one_listener(struct ring *r, unsigned i, bool on, bool many)
{
	struct ulistener *l = &r->l[i];

	if (many && !l->armed && !l->ones)
		accept_start(r, i);
	if (!many && l->armed && !l->cancelling) {
		accept_cancel(r, i, OP_ACCEPT);
		l->cancelling = true;
	}
	if ((!on || many) && l->ones && !l->ones_cancelling) {
		accept_cancel(r, i, OP_ACCEPT_ONE);
		l->ones_cancelling = true;
	}
	while (on && !many && !l->armed && !l->ones_cancelling && l->waits < 0 && l->ones < ACCEPTS &&
	       r->t.open + (l->ones ? r->ones : 0) < r->t.max)
		accept_one(r, i);
}

static void uring_accept_update(struct ring *r)
{
	bool on, many;

	if (!raccept_turn(&r->accept))
		return;
	on = r->accept.on && !r->accept.backoff_ms;
	many = on && r->t.max - r->t.open > ROOM_MANY;
	for (unsigned i = 0; i < r->nl; i++)
		accept_one_listener(r, i, on, many);
}

/* ---- the window ---- */

static void window_add(struct ring *r, uint32_t buf)
{
	uint16_t bid = r->bid_free[r->win_max - ++r->win];

	r->win_buf[bid] = buf;
	io_uring_buf_ring_add(r->br, r->p.pool_base + (size_t)buf * r->p.buf_size, r->p.buf_size,
			      bid, io_uring_buf_ring_mask(r->entries), r->fresh++);
}

static uint32_t window_take(struct ring *r, uint32_t bid)
{
	uint32_t buf;

	must(bid < r->win_max && r->win_buf[bid] != BUF_NONE);
	buf = r->win_buf[bid];
	r->win_buf[bid] = BUF_NONE;
	r->bid_free[r->win_max - r->win--] = bid;
	return buf;
}

static void window_show(struct ring *r)
{
	if (r->fresh)
		io_uring_buf_ring_advance(r->br, r->fresh);	/* a release store of the tail */
	r->fresh = 0;
}

static bool uring_give(struct ring *r, uint32_t buf)
{
	if (r->win == r->win_max)
		return false;
	must(buf - r->p.first_buf < r->p.nbufs);
	window_add(r, buf);
	return true;
}

/* ---- completions: each makes at most one event; true if it did ---- */

static bool uring_conn_new(struct ring *r, int fd, uint32_t listener, struct ring_event *ev)
{
	uint32_t conn = rtable_get(&r->t, fd, F_OPEN);

	if (conn == RCONN_NIL)
		return false;
	r->accept.dirty |= r->t.max - r->t.open == ROOM_MANY;
	read_update(r, &r->t.c[conn]);
	*ev = (struct ring_event){ .kind = RING_ACCEPT, .conn = conn, .res = (int)listener };
	return true;
}

static void accept_ended(struct ring *r, uint32_t i, bool one)
{
	struct ulistener *l = &r->l[i];

	r->accept.dirty = true;
	if (!one) {
		l->armed = l->cancelling = false;
		return;
	}
	r->ones--;
	if (!--l->ones)
		l->ones_cancelling = false;
}

static bool on_accept(struct ring *r, const struct io_uring_cqe *cqe, bool one, struct ring_event *ev)
{
	uint32_t i = (uint32_t)cqe->user_data;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accept_ended(r, i, one);
	if (cqe->res < 0) {
		if (!ring_accept_again(cqe->res)) {
			raccept_backoff(&r->accept);
			count_add(&r->st.no_files, 1);
		}
		return false;
	}
	if (!r->stopping && uring_conn_new(r, cqe->res, i, ev))
		return true;
	if (!r->stopping && r->l[i].waits < 0) {
		r->l[i].waits = cqe->res;
		r->waiting++;
		return false;
	}
	/* There is no handle for the client: more came at once than a backlog holds. */
	count_add(&r->st.syscalls, 1);
	close(cqe->res);
	count_add(&r->st.turned_away, !r->stopping);
	return false;
}

/* Clients that were accepted and wait for a handle come before any new ones. */
static unsigned accept_waiting(struct ring *r, struct ring_event *ev, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; r->waiting && i < r->nl && n < max; i++) {
		if (r->l[i].waits < 0 || !uring_conn_new(r, r->l[i].waits, i, &ev[n]))
			continue;
		n++;
		r->l[i].waits = -1;
		r->waiting--;
		r->accept.dirty = true;
	}
	return n;
}

/* The handle of a connection being closed is free when the kernel has no operation on it. */
static bool conn_gone(struct ring *r, struct rconn *c, struct ring_event *ev)
{
	uint32_t conn = (uint32_t)(c - r->t.c);

	if (!(c->flags & F_CLOSING) || c->ops)
		return false;
	rtable_put(&r->t, conn);
	raccept_closed(&r->accept, r->t.max - r->t.open <= ROOM_MANY + 1);
	*ev = (struct ring_event){ .kind = RING_CLOSED, .conn = conn };
	return true;
}

/* The receive has ended with res: what that means for the stream. */
static bool recv_ended(struct ring *r, struct rconn *c, int res, struct ring_event *ev)
{
	c->flags &= ~(F_RECV | F_RECV_CANCEL);
	if (res == -ENOBUFS)
		count_add(&r->st.starved, 1);
	if (res > 0 || res == -ENOBUFS || res == -ECANCELED || res == -EINTR || res == -EAGAIN) {
		read_update(r, c);
		return false;
	}
	c->flags |= F_READ_END;
	if (c->flags & F_CLOSING)
		return false;
	ev->kind = res ? RING_ERROR : RING_EOF;
	ev->res = res;
	return true;
}

static bool on_recv(struct ring *r, const struct io_uring_cqe *cqe, struct rconn *c, struct ring_event *ev)
{
	bool made = false;

	*ev = (struct ring_event){ .conn = (uint32_t)(c - r->t.c) };
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t buf = window_take(r, cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		if (cqe->res <= 0 || (c->flags & F_CLOSING)) {
			window_add(r, buf);
		} else {
			must((uint32_t)cqe->res <= r->p.buf_size);
			ev->kind = RING_DATA;
			ev->buf = buf;
			ev->len = (uint16_t)cqe->res;
			made = true;
			count_add(&r->st.data, 1);
			count_add(&r->st.bytes_in, (uint64_t)cqe->res);
		}
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		made |= recv_ended(r, c, cqe->res, ev);
	return made;
}

static bool on_send(struct ring *r, const struct io_uring_cqe *cqe, struct rconn *c, struct ring_event *ev)
{
	c->flags &= ~F_SEND;
	if (cqe->res > 0)
		count_add(&r->st.bytes_out, (uint64_t)cqe->res);
	if (c->flags & F_CLOSING)
		return false;
	if (cqe->res == -EINTR || cqe->res == -EAGAIN ||
	    (cqe->res >= 0 && !rconn_send_done(c, (size_t)cqe->res))) {
		send_start(r, c);
		return false;
	}
	if (c->flags & F_FIN) {
		count_add(&r->st.syscalls, 1);
		shutdown(c->fd, SHUT_WR);
	}
	*ev = (struct ring_event){ .kind = RING_SENT, .conn = (uint32_t)(c - r->t.c),
				   .res = cqe->res < 0 ? cqe->res : 0 };
	return true;
}

static void on_watch(struct ring *r, const struct io_uring_cqe *cqe, struct rconn *c)
{
	c->flags &= ~F_WATCH;
	if (cqe->res < 0)	/* closed, or no memory: the next receive starts another poll */
		return;
	c->flags |= F_HUP;
	if ((c->flags & F_RECV) && !(c->flags & (F_RECV_CANCEL | F_CLOSING)))
		recv_cancel(r, c);
}

/* A cancel did not find its target although that has not ended, because the kernel was just moving
 * it between its lists (a multishot that yields): cancel once more. */
static void on_cancel(struct ring *r, const struct io_uring_cqe *cqe, struct rconn *c, enum op op)
{
	if (cqe->res != -ENOENT)
		return;
	if (op == OP_CANCEL_RECV && (c->flags & F_RECV_CANCEL))
		recv_cancel(r, c);
	if (op == OP_CANCEL_SEND && (c->flags & F_SEND))
		cancel(r, c, OP_CANCEL_SEND, OP_SEND);
	if (op == OP_CANCEL_WATCH && (c->flags & F_WATCH))
		cancel(r, c, OP_CANCEL_WATCH, OP_WATCH);
}

static bool on_conn(struct ring *r, const struct io_uring_cqe *cqe, enum op op, struct ring_event *ev)
{
	struct rconn *c = &r->t.c[(uint32_t)cqe->user_data];
	bool made = false;

	must((uint32_t)cqe->user_data < r->t.fresh && c->ops);
	must((c->gen & 0xffffff) == (cqe->user_data >> 32 & 0xffffff));
	if (!(cqe->flags & IORING_CQE_F_MORE))
		c->ops--;
	if (op == OP_RECV)
		made = on_recv(r, cqe, c, ev);
	else if (op == OP_SEND)
		made = on_send(r, cqe, c, ev);
	else if (op == OP_WATCH)
		on_watch(r, cqe, c);
	else if (op != OP_CLOSE)
		on_cancel(r, cqe, c, op);
	return made || conn_gone(r, c, ev);
}

static bool on_cqe(struct ring *r, const struct io_uring_cqe *cqe, struct ring_event *ev)
{
	enum op op = cqe->user_data >> 56;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		r->inflight--;
	switch (op) {
	case OP_ACCEPT:
		return on_accept(r, cqe, false, ev);
	case OP_ACCEPT_ONE:
		return on_accept(r, cqe, true, ev);
	case OP_WAKE:
		if (r->stopping)
			return false;
		wake_start(r);
		if (cqe->res < 0)
			return false;
		rwake_taken(&r->wake);
		*ev = (struct ring_event){ .kind = RING_WOKEN };
		return true;
	case OP_CANCEL_ACCEPT:
	case OP_CANCEL_ALL:
		return false;
	default:
		return on_conn(r, cqe, op, ev);
	}
}

static unsigned reap(struct ring *r, struct ring_event *ev, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0, seen = 0;

	io_uring_for_each_cqe(&r->u, head, cqe) {
		if (n == max)
			break;
		n += on_cqe(r, cqe, &ev[n]);
		seen++;
	}
	io_uring_cq_advance(&r->u, seen);
	return n;
}

/* ---- commits ---- */

/* Starts the commit that is queued. */
static void uring_commit(struct ring *r)
{
	if (r->aio.state != RAIO_QUEUED)
		return;
	if (io_uring_sq_ready(&r->u)) {		/* the replies before the commit leave first */
		count_add(&r->st.syscalls, 1);
		io_uring_submit(&r->u);
	}
	count_add(&r->st.syscalls, 1);
	raio_go(&r->aio);
}

/* ---- ring_wait ---- */

/* Enter the kernel once, or not at all if there is no need.  have: there are events already, so it
 * does not wait. */
static int uring_enter(struct ring *r, int timeout_ms, bool have)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ms / 1000,
					.tv_nsec = (long long)(timeout_ms % 1000) * 1000000 };
	struct io_uring_cqe *cqe;
	int ret;

	if (r->lost)
		return r->lost;
	have |= io_uring_cq_ready(&r->u) > 0;
	if (have && !io_uring_sq_ready(&r->u))
		return 0;
	count_add(&r->st.syscalls, 1);
	if (have || timeout_ms == 0)
		ret = io_uring_submit_and_get_events(&r->u);
	else
		ret = io_uring_submit_and_wait_timeout(&r->u, &cqe, 1, timeout_ms < 0 ? NULL : &ts, NULL);
	/* EBUSY, EAGAIN: the kernel wants completions to be reaped, or memory, first */
	if (ret >= 0 || ret == -ETIME || ret == -EINTR || ret == -EBUSY || ret == -EAGAIN)
		return 0;
	return ret;
}

static int uring_wait(struct ring *r, struct ring_event *ev, unsigned max, int timeout_ms)
{
	unsigned n = 0;
	int err;

	must(max > 0);
	count_add(&r->st.waits, 1);
	n = accept_waiting(r, ev, max);
	window_show(r);
	rearm(r);
	uring_accept_update(r);
	uring_commit(r);
	if (n < max)
		n += raio_take(&r->aio, &ev[n]);
	timeout_ms = raccept_timeout(&r->accept, timeout_ms);
	err = uring_enter(r, timeout_ms, n > 0);
	n += reap(r, ev + n, max - n);
	if (n < max)			/* the wake-up may have come from the commit */
		n += raio_take(&r->aio, &ev[n]);
	return n ? (int)n : err;
}

/* ---- calls on a connection ---- */

static struct rconn *uring_conn_of(struct ring *r, uint32_t conn)
{
	must(conn < r->t.fresh);
	return &r->t.c[conn];
}

static void uring_send(struct ring *r, uint32_t conn, const struct iovec *iov, unsigned n)
{
	struct rconn *c = uring_conn_of(r, conn);

	must((c->flags & F_OPEN) && !(c->flags & (F_SEND | F_CLOSING | F_FIN)));
	rconn_send_set(c, iov, n);
	count_add(&r->st.sends, 1);
	send_start(r, c);
}

static void uring_pause(struct ring *r, uint32_t conn)
{
	struct rconn *c = uring_conn_of(r, conn);

	c->flags |= F_PAUSED;
	if ((c->flags & F_RECV) && !(c->flags & (F_RECV_CANCEL | F_CLOSING)))
		recv_cancel(r, c);
	read_update(r, c);
}

static void uring_resume(struct ring *r, uint32_t conn)
{
	struct rconn *c = uring_conn_of(r, conn);

	c->flags &= ~F_PAUSED;
	read_update(r, c);
}

static void uring_shutdown(struct ring *r, uint32_t conn)
{
	struct rconn *c = uring_conn_of(r, conn);

	if (c->flags & (F_FIN | F_CLOSING))
		return;
	c->flags |= F_FIN;
	if (c->flags & F_SEND)
		return;
	/* A call, for io_uring would give a shutdown to a thread; a connection has one in its life. */
	count_add(&r->st.syscalls, 1);
	shutdown(c->fd, SHUT_WR);
}

static void uring_close_conn(struct ring *r, uint32_t conn)
{
	struct rconn *c = uring_conn_of(r, conn);
	struct io_uring_sqe *sqe;

	must(c->flags & F_OPEN);
	if (c->flags & F_CLOSING)
		return;
	c->flags |= F_CLOSING;
	read_update(r, c);
	if ((c->flags & F_RECV) && !(c->flags & F_RECV_CANCEL))
		recv_cancel(r, c);
	if (c->flags & F_SEND)
		cancel(r, c, OP_CANCEL_SEND, OP_SEND);
	if (c->flags & F_WATCH)
		cancel(r, c, OP_CANCEL_WATCH, OP_WATCH);
	/* Operations in flight refer to the open file: the descriptor may be used again at once. */
	sqe = sqe_get(r);
	io_uring_prep_close(sqe, c->fd);
	conn_op(r, sqe, OP_CLOSE, c);
}

static void uring_accept(struct ring *r, bool on)
{
	r->accept.on = on;
	r->accept.dirty = true;
}

static void uring_wake(struct ring *r)
{
	rwake_set(&r->wake);
}

static bool uring_unread(struct ring *r, uint32_t conn)
{
	return ring_unread(uring_conn_of(r, conn)->fd);
}

static void uring_forget(struct ring *r, uint32_t conn)
{
	ring_forget(uring_conn_of(r, conn)->fd);
}

static void uring_ack(struct ring *r, uint32_t conn)
{
	ring_ack(uring_conn_of(r, conn)->fd);
}

static struct blk_aio *uring_aio(struct ring *r)
{
	return raio_start(&r->aio, uring_wake, r) ? NULL : &r->aio.aio;
}

static void uring_stats(struct ring *r, struct ring_stats *s)
{
	ring_stats_copy(&r->st, s);
	s->bytes_copied[RING_COPY_OTHER] = s->bytes_in;
}

/* ---- open and close ---- */

/* Flags to try, the best first.  Linux 6.1 knows all; the last ones are for systems that refuse the
 * others. */
static const unsigned setups[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	0,
};

static int uring_setup(struct ring *r, char *why, size_t why_len)
{
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(setups) / sizeof(*setups) && err == -EINVAL; i++) {
		struct io_uring_params up = {
			.flags = setups[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = CQ_ENTRIES,
		};
		err = io_uring_queue_init_params(SQ_ENTRIES, &r->u, &up);
	}
	r->u_open = !err;
	if (err == -EPERM || err == -EACCES)
		snprintf(why, why_len, "io_uring is forbidden here (seccomp, or kernel.io_uring_disabled)");
	else if (err == -ENOSYS)
		snprintf(why, why_len, "this kernel has no io_uring");
	else if (err)
		snprintf(why, why_len, "io_uring_setup: %s", strerror(-err));
	return err;
}

static int uring_probe(struct ring *r, char *why, size_t why_len)
{
	static const int need[] = {
		IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG,
		IORING_OP_READ, IORING_OP_CLOSE, IORING_OP_ASYNC_CANCEL,
		IORING_OP_SEND_ZC,	/* not used: came with multishot receive, in 6.0 */
	};
	enum { OPS = 256 };
	struct io_uring_probe *p = calloc(1, sizeof(*p) + OPS * sizeof(p->ops[0]));
	int err = p ? io_uring_register_probe(&r->u, p, OPS) : -ENOMEM;

	if (err && err != -EINVAL) {	/* the call exists, but is forbidden; or there is no memory */
		snprintf(why, why_len, "io_uring_register: %s (seccomp, or limits of the process?)", strerror(-err));
		free(p);
		return err;
	}
	for (size_t i = 0; !err && i < sizeof(need) / sizeof(*need); i++)
		if (!io_uring_opcode_supported(p, need[i]))
			err = -EOPNOTSUPP;
	free(p);
	if (err)
		snprintf(why, why_len, "io_uring of this kernel has no multishot receive (needs 6.0)");
	return err;
}

static int window_open(struct ring *r, char *why, size_t why_len)
{
	struct io_uring_buf_reg reg = { .bgid = BGID };
	void *p;
	int err;

	r->win_max = r->p.nbufs < WINDOW ? r->p.nbufs : WINDOW;
	for (r->entries = 1; r->entries < r->win_max; r->entries *= 2)
		;
	r->win_buf = malloc(r->win_max * sizeof(*r->win_buf));
	r->bid_free = malloc(r->win_max * sizeof(*r->bid_free));
	r->br_bytes = r->entries * sizeof(struct io_uring_buf);
	p = mmap(NULL, r->br_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		r->br = p;
	if (!r->win_buf || !r->bid_free || !r->br) {
		snprintf(why, why_len, "no memory for the ring's buffer window");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < r->win_max; i++) {
		r->win_buf[i] = BUF_NONE;
		r->bid_free[i] = (uint16_t)i;
	}
	io_uring_buf_ring_init(r->br);
	reg.ring_addr = (uintptr_t)r->br;
	reg.ring_entries = r->entries;
	err = io_uring_register_buf_ring(&r->u, &reg, 0);
	if (err)
		snprintf(why, why_len, "io_uring refuses a ring of %u provided buffers: %s",
			 r->entries, strerror(-err));
	return err;
}

static int uring_listeners_open(struct ring *r, char *why, size_t why_len)
{
	int err = 0;

	r->l = calloc(r->p.nlisteners + 1, sizeof(*r->l));
	if (!r->l)
		return -ENOMEM;
	r->nl = r->p.nlisteners;
	for (unsigned i = 0; i < r->nl && !err; i++) {
		r->l[i].fd = r->p.listeners[i];
		r->l[i].waits = -1;
		ring_listener_options(r->l[i].fd);
		/* with O_NONBLOCK the kernel would not wait, but report -EAGAIN */
		err = ring_nonblock(r->l[i].fd, false);
		if (err)
			snprintf(why, why_len, "listener %u: %s", i, strerror(-err));
	}
	r->accept.on = r->accept.dirty = true;
	return err;
}

/* End every operation in the kernel and wait for them: after this the kernel writes into no buffer
 * any more. */
static void uring_drain(struct ring *r)
{
	uint64_t end = now_coarse_ms() + CLOSE_MS;
	struct ring_event ev[64];
	struct io_uring_sqe *sqe;

	r->stopping = true;
	r->accept.on = false;
	for (uint32_t i = 0; i < r->t.fresh; i++)
		if ((r->t.c[i].flags & (F_OPEN | F_CLOSING)) == F_OPEN)
			uring_close_conn(r, i);
	sqe = sqe_get(r);
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(sqe, uring_tag(OP_CANCEL_ALL, 0, 0));
	do {
		if (uring_enter(r, 10, false))
			break;
		reap(r, ev, 64);
	} while (r->inflight && now_coarse_ms() < end);
}

static void uring_end(struct ring *r)
{
	raio_stop(&r->aio);
	if (r->up)
		uring_drain(r);
	r->up = false;
	for (unsigned i = 0; i < r->nl; i++)
		if (r->l[i].waits >= 0)
			close(r->l[i].waits);
	r->nl = 0;
	if (r->u_open)
		io_uring_queue_exit(&r->u);
	r->u_open = false;
}

static void uring_close(struct ring *r)
{
	uring_end(r);
	if (r->br)
		munmap(r->br, r->br_bytes);
	rwake_fini(&r->wake);
	rtable_fini(&r->t);
	free(r->win_buf);
	free(r->bid_free);
	free(r->l);
	free(r);
}

static int uring_open(struct ring **out, const struct ring_params *p, char *why, size_t why_len)
{
	struct ring *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		snprintf(why, why_len, "no memory");
		return -ENOMEM;
	}
	r->p = *p;
	r->wake.fd = -1;
	r->rearm = RLIST_INIT(LINK_READ);
	raio_init(&r->aio);
	why[0] = '\0';
	err = uring_setup(r, why, why_len);
	if (!err)
		err = uring_probe(r, why, why_len);
	if (!err)
		err = window_open(r, why, why_len);
	if (!err)
		err = uring_listeners_open(r, why, why_len);
	if (!err)
		err = rtable_init(&r->t, p->conns_max);
	if (!err)
		err = rwake_init(&r->wake);
	if (err) {
		if (!why[0])
			snprintf(why, why_len, "%s", strerror(-err));
		uring_close(r);
		return err;
	}
	io_uring_register_ring_fd(&r->u);	/* faster; goes without */
	wake_start(r);
	r->up = true;
	*out = r;
	return 0;
}

const struct ring_ops ring_uring = {
	.name = "uring",
	.open = uring_open,
	.end = uring_end,
	.close = uring_close,
	.give = uring_give,
	.wait = uring_wait,
	.send = uring_send,
	.pause = uring_pause,
	.resume = uring_resume,
	.shutdown = uring_shutdown,
	.close_conn = uring_close_conn,
	.accept = uring_accept,
	.wake = uring_wake,
	.unread = uring_unread,
	.ack = uring_ack,
	.forget = uring_forget,
	.aio = uring_aio,
	.stats = uring_stats,
};
