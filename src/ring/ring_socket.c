/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_socket.c - the ring over epoll, for machines that forbid io_uring (ring.h).
 *
 * Connections are registered once, edge-triggered, for everything: no epoll_ctl
 * when a send blocks, when reading pauses or when buffers run out.  What an edge
 * said is kept here instead:
 *
 *   F_READABLE  there may be something to read (data, end, error).  Cleared when a
 *               read took less than it had room for, and the end was not announced
 *               (EPOLLRDHUP): new bytes make a new edge then.
 *   `ready`     the connections with F_READABLE that may be read (not paused, not
 *               ended).  Each round reads READ_ROUND buffers at most of each, in
 *               turn; who has more goes to the end of the list.
 *   `sendq`     the connections with a send to try; one that blocks (F_BLOCKED)
 *               leaves the list until EPOLLOUT.
 *   `closed`    the closed ones that were not reported yet.
 *
 * One ring_wait: try the sends, do the commit, report what was closed, one
 * epoll_wait, accept, read.  Buffers come from a stack: the ones given last are
 * filled first, while they are in the caches.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/must.h"
#include "ring/ring_conn.h"

#define WINDOW		1024u
#define EPOLL_EVENTS	256
#define ACCEPT_ROUND	64u	/* of one listener in one wait */
#define READ_ROUND	16u	/* buffers of one connection in one wait */
#define READ_IOV	8u

enum {				/* rconn.flags */
	F_OPEN = 1,
	F_READABLE = 2,
	F_HUP = 4,		/* the end or an error is announced: read up to it */
	F_PAUSED = 8,
	F_READ_END = 16,	/* that end was reported */
	F_SEND = 32,		/* a send is not complete */
	F_BLOCKED = 64,		/* it waits for EPOLLOUT */
	F_FIN = 128,		/* shut down when the send has ended */
	F_CLOSING = 256,
};

/* epoll_data: the handle and its generation, or one of these with an index. */
#define TAG_LISTENER	(1ull << 63)
#define TAG_WAKE	(1ull << 62)

struct slistener {
	int fd;
	bool on;		/* registered for EPOLLIN */
	bool ready;
};

struct ring {
	struct ring_params p;
	int epfd;
	struct rtable t;
	struct rlist ready, sendq, closed;

	uint32_t *win;		/* a stack of buffers */
	uint32_t win_max, nwin;
	bool starved;

	struct slistener *l;
	unsigned nl;
	struct raccept accept;

	struct rwake wake;
	struct raio aio;
	struct ring_stats st;
	struct epoll_event ep[EPOLL_EVENTS];
};

static uint64_t socket_tag(const struct ring *r, uint32_t conn)
{
	return (uint64_t)(r->t.c[conn].gen & 0xffffff) << 32 | conn;
}

static void socket_syscall_count(struct ring *r)
{
	count_add(&r->st.syscalls, 1);
}

/* ---- sends ---- */

/* 0: all has left; -EAGAIN: the rest waits for room; any other -errno: the rest never leaves. */
static int send_try(struct ring *r, struct rconn *c)
{
	for (;;) {
		ssize_t n;

		socket_syscall_count(r);
		if (c->iov_n - c->iov_at == 1) {
			n = send(c->fd, c->iov[c->iov_at].iov_base, c->iov[c->iov_at].iov_len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		} else {
			c->msg = (struct msghdr){ .msg_iov = &c->iov[c->iov_at],
						  .msg_iovlen = c->iov_n - c->iov_at };
			n = sendmsg(c->fd, &c->msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		count_add(&r->st.bytes_out, (uint64_t)n);
		if (rconn_send_done(c, (size_t)n))
			return 0;
	}
}

static unsigned do_sends(struct ring *r, struct ring_event *ev, unsigned max)
{
	unsigned n = 0;

	while (n < max) {
		uint32_t conn = rlist_pop(&r->t, &r->sendq);
		struct rconn *c;
		int res;

		if (conn == RCONN_NIL)
			break;
		c = &r->t.c[conn];
		res = send_try(r, c);
		if (res == -EAGAIN) {
			c->flags |= F_BLOCKED;
			continue;
		}
		c->flags &= ~F_SEND;
		if (c->flags & F_FIN) {
			socket_syscall_count(r);
			shutdown(c->fd, SHUT_WR);
		}
		ev[n++] = (struct ring_event){ .kind = RING_SENT, .conn = conn, .res = res };
	}
	return n;
}

/* ---- reading ---- */

static void ready_update(struct ring *r, uint32_t conn)
{
	uint16_t f = r->t.c[conn].flags;

	if ((f & F_READABLE) && !(f & (F_PAUSED | F_READ_END | F_CLOSING)))
		rlist_push(&r->t, &r->ready, conn);
	else
		rlist_remove(&r->t, &r->ready, conn);
}

/* Read into k buffers from the top of the window: bytes, 0 at the end, -errno. */
static ssize_t socket_read_some(struct ring *r, const struct rconn *c, unsigned k)
{
	struct iovec iov[READ_IOV];
	ssize_t got;

	for (unsigned i = 0; i < k; i++) {
		iov[i].iov_base = r->p.pool_base + (size_t)r->win[r->nwin - 1 - i] * r->p.buf_size;
		iov[i].iov_len = r->p.buf_size;
	}
	do {
		socket_syscall_count(r);
		got = k == 1 ? recv(c->fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT)
			     : readv(c->fd, iov, (int)k);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static unsigned data_events(struct ring *r, uint32_t conn, size_t got, struct ring_event *ev)
{
	unsigned n = 0;

	count_add(&r->st.bytes_in, got);
	while (got) {
		size_t len = got < r->p.buf_size ? got : r->p.buf_size;

		ev[n++] = (struct ring_event){ .kind = RING_DATA, .conn = conn,
					       .buf = r->win[--r->nwin], .len = (uint16_t)len };
		got -= len;
	}
	count_add(&r->st.data, n);
	return n;
}

/* One connection's turn: at most `max` events.  It is on the list again after it if
 * there may be more. */
static unsigned read_conn(struct ring *r, uint32_t conn, struct ring_event *ev, unsigned max)
{
	struct rconn *c = &r->t.c[conn];
	unsigned n = 0, k = 1;

	if (max > READ_ROUND)
		max = READ_ROUND;
	while (n < max && r->nwin && (c->flags & F_READABLE)) {
		ssize_t got;

		if (k > max - n)
			k = max - n;
		if (k > r->nwin)
			k = r->nwin;
		got = socket_read_some(r, c, k);
		if (got > 0) {
			n += data_events(r, conn, (size_t)got, &ev[n]);
			if ((size_t)got < (size_t)k * r->p.buf_size && !(c->flags & F_HUP))
				c->flags &= ~F_READABLE;
			k = READ_IOV;	/* the client fills buffers: read several at once */
		} else if (got == -EAGAIN) {
			c->flags &= ~F_READABLE;
		} else {
			c->flags |= F_READ_END;
			c->flags &= ~F_READABLE;
			ev[n++] = (struct ring_event){ .kind = got ? RING_ERROR : RING_EOF,
						       .conn = conn, .res = (int)got };
		}
	}
	ready_update(r, conn);
	return n;
}

static unsigned do_reads(struct ring *r, struct ring_event *ev, unsigned max)
{
	uint32_t last = r->ready.last;	/* connections that come behind it have had their turn */
	unsigned n = 0;

	while (n < max && r->nwin) {
		uint32_t conn = rlist_pop(&r->t, &r->ready);

		if (conn == RCONN_NIL)
			return n;
		n += read_conn(r, conn, &ev[n], max - n);
		if (conn == last)
			break;
	}
	if (r->ready.first != RCONN_NIL && !r->nwin && !r->starved) {
		r->starved = true;
		count_add(&r->st.starved, 1);
	}
	return n;
}

/* ---- accepting ---- */

static void socket_accept_update(struct ring *r)
{
	bool on;

	if (!raccept_turn(&r->accept))
		return;
	on = r->accept.on && !r->accept.backoff_ms && r->t.open < r->t.max;
	for (unsigned i = 0; i < r->nl; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u64 = TAG_LISTENER | i };

		if (r->l[i].on == on)
			continue;
		socket_syscall_count(r);
		/* Removed, not only silenced: epoll reports a listener that is shut down for ever. */
		if (!epoll_ctl(r->epfd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, r->l[i].fd, &e))
			r->l[i].on = on;
		else			/* tried again later, or nobody would be accepted any more */
			raccept_backoff(&r->accept);
	}
}

/* Give fd a handle; false: it could not be registered and is closed. */
static bool socket_conn_new(struct ring *r, int fd, unsigned listener, struct ring_event *ev)
{
	uint32_t conn = rtable_get(&r->t, fd, F_OPEN);
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

	must(conn != RCONN_NIL);
	e.data.u64 = socket_tag(r, conn);
	socket_syscall_count(r);
	if (epoll_ctl(r->epfd, EPOLL_CTL_ADD, fd, &e)) {
		socket_syscall_count(r);
		close(fd);
		rtable_put(&r->t, conn);
		return false;
	}
	if (r->t.open == r->t.max)
		r->accept.dirty = true;
	*ev = (struct ring_event){ .kind = RING_ACCEPT, .conn = conn, .res = (int)listener };
	return true;
}

static unsigned do_accepts(struct ring *r, unsigned i, struct ring_event *ev, unsigned max)
{
	unsigned n = 0;

	for (unsigned k = 0; k < ACCEPT_ROUND && n < max && r->t.open < r->t.max; k++) {
		int fd;

		socket_syscall_count(r);
		fd = accept4(r->l[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			n += socket_conn_new(r, fd, i, &ev[n]);
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (!ring_accept_again(-errno)) {
			raccept_backoff(&r->accept);
			r->accept.dirty = true;
			count_add(&r->st.no_files, 1);
			break;
		}
	}
	return n;
}

/* ---- ring_wait ---- */

static void on_conn_event(struct ring *r, const struct epoll_event *e)
{
	uint32_t conn = (uint32_t)e->data.u64;
	struct rconn *c = &r->t.c[conn];

	if (e->data.u64 != socket_tag(r, conn) || !(c->flags & F_OPEN) || (c->flags & F_CLOSING))
		return;
	if (e->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		c->flags |= F_READABLE;
		if (e->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			c->flags |= F_HUP;
		ready_update(r, conn);
	}
	if ((e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) && (c->flags & F_BLOCKED)) {
		c->flags &= ~F_BLOCKED;
		rlist_push(&r->t, &r->sendq, conn);
	}
}

/* One epoll_wait.  Events of its own: a wake-up. */
static int socket_look(struct ring *r, int timeout_ms, struct ring_event *ev)
{
	int n, made = 0;
	uint64_t word;

	timeout_ms = raccept_timeout(&r->accept, timeout_ms);
	socket_syscall_count(r);
	n = epoll_wait(r->epfd, r->ep, EPOLL_EVENTS, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		uint64_t socket_tag = r->ep[i].data.u64;

		if (socket_tag & TAG_LISTENER) {
			r->l[(uint32_t)socket_tag].ready = true;
		} else if (socket_tag & TAG_WAKE) {
			socket_syscall_count(r);
			if (read(r->wake.fd, &word, sizeof(word)) < 0)
				continue;
			rwake_taken(&r->wake);
			*ev = (struct ring_event){ .kind = RING_WOKEN };
			made = 1;
		} else {
			on_conn_event(r, &r->ep[i]);
		}
	}
	return made;
}

/* Events that need no look at the sockets. */
static unsigned own_events(struct ring *r, struct ring_event *ev, unsigned max)
{
	unsigned n = do_sends(r, ev, max);
	uint32_t conn;

	if (r->aio.state == RAIO_QUEUED) {
		socket_syscall_count(r);
		raio_go(&r->aio);
	}
	if (n < max)
		n += raio_take(&r->aio, &ev[n]);
	while (n < max && (conn = rlist_pop(&r->t, &r->closed)) != RCONN_NIL) {
		rtable_put(&r->t, conn);
		ev[n++] = (struct ring_event){ .kind = RING_CLOSED, .conn = conn };
	}
	return n;
}

static int socket_wait(struct ring *r, struct ring_event *ev, unsigned max, int timeout_ms)
{
	unsigned n;
	int got;

	must(max > 0);
	count_add(&r->st.waits, 1);
	n = own_events(r, ev, max);
	socket_accept_update(r);
	if (n == max)
		return (int)n;
	if (n || (r->ready.first != RCONN_NIL && r->nwin))
		timeout_ms = 0;
	got = socket_look(r, timeout_ms, &ev[n]);
	if (got < 0)
		return n ? (int)n : got;
	n += (unsigned)got;
	if (got && n < max)		/* the wake-up may have come from the commit */
		n += raio_take(&r->aio, &ev[n]);
	/* Connections that have just become writable send now: the next wait may be long away. */
	n += do_sends(r, &ev[n], max - n);
	for (unsigned i = 0; i < r->nl; i++)
		if (r->l[i].ready) {
			r->l[i].ready = false;
			n += do_accepts(r, i, &ev[n], max - n);
		}
	n += do_reads(r, &ev[n], max - n);
	return (int)n;
}

/* ---- calls on a connection ---- */

static struct rconn *socket_conn_of(struct ring *r, uint32_t conn)
{
	must(conn < r->t.fresh && (r->t.c[conn].flags & F_OPEN));
	return &r->t.c[conn];
}

static bool socket_give(struct ring *r, uint32_t buf)
{
	if (r->nwin == r->win_max)
		return false;
	must(buf - r->p.first_buf < r->p.nbufs);
	r->win[r->nwin++] = buf;
	r->starved = false;
	return true;
}

static void socket_send(struct ring *r, uint32_t conn, const struct iovec *iov, unsigned n)
{
	struct rconn *c = socket_conn_of(r, conn);

	must(!(c->flags & (F_SEND | F_CLOSING | F_FIN)));
	rconn_send_set(c, iov, n);
	count_add(&r->st.sends, 1);
	c->flags |= F_SEND;
	rlist_push(&r->t, &r->sendq, conn);
}

static void socket_pause(struct ring *r, uint32_t conn)
{
	socket_conn_of(r, conn)->flags |= F_PAUSED;
	ready_update(r, conn);
}

static void socket_resume(struct ring *r, uint32_t conn)
{
	socket_conn_of(r, conn)->flags &= ~F_PAUSED;
	ready_update(r, conn);
}

static void socket_shutdown(struct ring *r, uint32_t conn)
{
	struct rconn *c = socket_conn_of(r, conn);

	if (c->flags & (F_FIN | F_CLOSING))
		return;
	c->flags |= F_FIN;
	if (c->flags & F_SEND)
		return;
	socket_syscall_count(r);
	shutdown(c->fd, SHUT_WR);
}

static void socket_close_conn(struct ring *r, uint32_t conn)
{
	struct rconn *c = socket_conn_of(r, conn);

	if (c->flags & F_CLOSING)
		return;
	c->flags |= F_CLOSING;
	ready_update(r, conn);
	rlist_remove(&r->t, &r->sendq, conn);
	socket_syscall_count(r);
	close(c->fd);
	rlist_push(&r->t, &r->closed, conn);
	raccept_closed(&r->accept, r->t.open == r->t.max);
}

static void socket_accept(struct ring *r, bool on)
{
	r->accept.on = on;
	r->accept.dirty = true;
}

static void socket_wake(struct ring *r)
{
	rwake_set(&r->wake);
}

static bool socket_unread(struct ring *r, uint32_t conn)
{
	return ring_unread(socket_conn_of(r, conn)->fd);
}

static void socket_forget(struct ring *r, uint32_t conn)
{
	ring_forget(socket_conn_of(r, conn)->fd);
}

static void socket_ack(struct ring *r, uint32_t conn)
{
	ring_ack(socket_conn_of(r, conn)->fd);
}

static struct blk_aio *socket_aio(struct ring *r)
{
	return raio_start(&r->aio, socket_wake, r) ? NULL : &r->aio.aio;
}

static void socket_stats(struct ring *r, struct ring_stats *s)
{
	ring_stats_copy(&r->st, s);
	s->bytes_copied[RING_COPY_OTHER] = s->bytes_in;
}

/* ---- open and close ---- */

static void socket_end(struct ring *r)
{
	raio_stop(&r->aio);
	for (uint32_t i = 0; i < r->t.fresh; i++)
		if ((r->t.c[i].flags & (F_OPEN | F_CLOSING)) == F_OPEN) {
			r->t.c[i].flags |= F_CLOSING;
			close(r->t.c[i].fd);
		}
	if (r->epfd >= 0)
		close(r->epfd);
	r->epfd = -1;
}

static void socket_close(struct ring *r)
{
	socket_end(r);
	rwake_fini(&r->wake);
	rtable_fini(&r->t);
	free(r->win);
	free(r->l);
	free(r);
}

static int socket_listeners_open(struct ring *r)
{
	int err;

	r->l = calloc(r->p.nlisteners + 1, sizeof(*r->l));
	if (!r->l)
		return -ENOMEM;
	for (unsigned i = 0; i < r->p.nlisteners; i++) {
		r->l[i].fd = r->p.listeners[i];
		ring_listener_options(r->l[i].fd);
		err = ring_nonblock(r->l[i].fd, true);
		if (err)
			return err;
		r->nl++;
	}
	r->accept.on = r->accept.dirty = true;
	return 0;
}

static int ring_init(struct ring *r)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = TAG_WAKE };
	int err;

	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epfd < 0)
		return -errno;
	err = rwake_init(&r->wake);
	if (err)
		return err;
	if (epoll_ctl(r->epfd, EPOLL_CTL_ADD, r->wake.fd, &e))
		return -errno;
	r->win_max = r->p.nbufs < WINDOW ? r->p.nbufs : WINDOW;
	r->win = malloc(r->win_max * sizeof(*r->win));
	if (!r->win)
		return -ENOMEM;
	err = socket_listeners_open(r);
	if (err)
		return err;
	return rtable_init(&r->t, r->p.conns_max);
}

static int socket_open(struct ring **out, const struct ring_params *p, char *why, size_t why_len)
{
	struct ring *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (r) {
		r->p = *p;
		r->epfd = r->wake.fd = -1;
		r->ready = RLIST_INIT(LINK_READ);
		r->sendq = RLIST_INIT(LINK_WRITE);
		r->closed = RLIST_INIT(LINK_WRITE);
		raio_init(&r->aio);
		err = ring_init(r);
		if (err)
			socket_close(r);
	}
	if (err) {
		snprintf(why, why_len, "setting up epoll: %s", strerror(-err));
		return err;
	}
	*out = r;
	return 0;
}

const struct ring_ops ring_socket = {
	.name = "socket",
	.open = socket_open,
	.end = socket_end,
	.close = socket_close,
	.give = socket_give,
	.wait = socket_wait,
	.send = socket_send,
	.pause = socket_pause,
	.resume = socket_resume,
	.shutdown = socket_shutdown,
	.close_conn = socket_close_conn,
	.accept = socket_accept,
	.wake = socket_wake,
	.unread = socket_unread,
	.ack = socket_ack,
	.forget = socket_forget,
	.aio = socket_aio,
	.stats = socket_stats,
};
