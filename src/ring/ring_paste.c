/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_paste.c - the ring over /dev/paste (ring.h); the only file with the module's
 * user header, kmod/uapi/paste.h, which draws the shared rings.
 *
 * One ring_wait is one PASTE_IOC_SYNC, which takes the buffers and commands that were
 * queued and brings events; none when events stand already and no command waits.
 *
 * COMMANDS are not queued when they are asked for.  A call on a connection says in its
 * flags what the kernel should be told, and puts it on the list `todo`; the next wait
 * goes through the list while the command ring has room, in the order that one
 * connection's commands must have.  So whatever the worker asks for in a batch fits,
 * whatever the ring's size; pause and resume in one batch cost nothing; and a close
 * forgets what was not said yet.
 *
 * THE WINDOW.  `win` buffers are the kernel's: given, and not named by a DATA event that
 * was taken.  The RELEASE ring holds the whole window, so it is never full.
 *
 * ACCEPT.  A listener has a handle behind those of the connections.  An event says that
 * accept4 is worth while (`ready`, until it says EAGAIN); it is called here, so that the
 * new descriptor is the process's and nobody else's.  A listener that may not accept is
 * paused, or each client that comes meanwhile would wake the worker.
 *
 * A descriptor is closed when DETACHED has come: until then the kernel may not have read
 * the ATTACH that names it.
 *
 * INDICES of the shared rings: ours are kept here and stored with release, so that the
 * kernel sees the entries before them; the kernel's are loaded with acquire.  They change
 * in PASTE_IOC_SYNC only, which is a full barrier by itself, but the rule costs nothing
 * on x86 and does not depend on that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/must.h"
#include "base/now.h"
#include "kmod/uapi/paste.h"
#include "ring/ring_conn.h"

#define WINDOW		1024u
#define EVENTS		4096u		/* entries of the rings */
#define COMMANDS	2048u
#define ACCEPT_ROUND	64u		/* of one listener in one wait */
#define COMMANDS_CONN	(RING_IOV_MAX + 3u)	/* the most commands of one connection in a batch */
#define SEND_BYTES	(1u << 30)	/* of one group: its result is 32 bits, signed */
#define PAGE		4096u
#define STATS_MS	1000u		/* how old the kernel's counters may be */

enum {				/* rconn.flags */
	F_OPEN = 1,
	F_NEW = 2,		/* to be attached */
	F_PAUSED = 4,		/* should be paused */
	F_TOLD_PAUSED = 8,	/* the kernel was told that it is paused */
	F_READ_END = 16,
	F_SEND = 32,		/* a send is not complete */
	F_SEND_NOW = 64,	/* what is left of the send is to be queued */
	F_BLOCKED = 128,	/* it waits for WRITABLE */
	F_FIN = 256,		/* shut down when the send has ended */
	F_CLOSING = 512,
	F_DETACH = 1024,	/* its DETACH is to be queued */
};
#define F_TODO (F_NEW | F_SEND_NOW | F_DETACH)

struct plistener {
	int fd;
	bool on, told_on;	/* not paused: as it should be, and as the kernel was told */
	bool ready;		/* accept4 is worth while */
};

struct ring {
	struct ring_params p;
	int fd;
	bool sourced;		/* the network device, if there is to be one, was taken */

	uint8_t *map;
	size_t map_bytes;
	struct paste_shared *sh;
	struct paste_event *ev;
	struct paste_command *cmd;
	uint32_t *rel;
	uint32_t ev_head, cmd_tail, rel_tail;
	uint32_t ev_mask, cmd_mask, rel_mask;
	uint32_t cmd_told;	/* cmd_tail at the last SYNC */

	struct rtable t;
	struct rlist todo;
	uint32_t win, win_max;

	struct plistener *l;
	unsigned nl;
	struct raccept accept;

	atomic_bool woken;	/* PASTE_IOC_WAKE was called and its event not taken */
	struct raio aio;
	uint64_t stats_ms;	/* when the kernel's counters were read */
	struct ring_stats st;
};

/* Counts a call that moves something; the few calls of open and close are not counted. */
static void paste_syscall_count(struct ring *r)
{
	count_add(&r->st.syscalls, 1);
}

/* ---- the shared rings ---- */

static uint32_t kernel_index(const struct paste_index *i)
{
	return __atomic_load_n(&i->v, __ATOMIC_ACQUIRE);	/* what it covers is there */
}

static void index_show(struct paste_index *i, uint32_t v)
{
	__atomic_store_n(&i->v, v, __ATOMIC_RELEASE);		/* after what it covers */
}

static bool events_stand(const struct ring *r)
{
	return kernel_index(&r->sh->ev_tail) != r->ev_head;
}

static uint32_t command_room(const struct ring *r)
{
	return r->cmd_mask + 1 - (r->cmd_tail - kernel_index(&r->sh->cmd_head));
}

static struct paste_command *command(struct ring *r, uint16_t op, uint32_t conn)
{
	struct paste_command *c = &r->cmd[r->cmd_tail++ & r->cmd_mask];

	*c = (struct paste_command){ .op = op, .conn = conn };
	return c;
}

static void paste_release(struct ring *r, uint32_t buf)
{
	r->rel[r->rel_tail++ & r->rel_mask] = buf;
}

/* 0, or -errno: the ring is lost. */
static int sync_kernel(struct ring *r, int timeout_ms)
{
	struct paste_sync s = {
		.timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * 1000000ll,
		.spin_us = timeout_ms ? r->p.spin_us : 0,
	};

	index_show(&r->sh->rel_tail, r->rel_tail);
	index_show(&r->sh->cmd_tail, r->cmd_tail);
	r->cmd_told = r->cmd_tail;
	paste_syscall_count(r);
	if (ioctl(r->fd, PASTE_IOC_SYNC, &s) >= 0 || errno == EINTR)
		return 0;
	return -errno;
}

/* ---- commands ---- */

static void todo(struct ring *r, struct rconn *c)
{
	rlist_push(&r->t, &r->todo, (uint32_t)(c - r->t.c));
}

/* How many bytes the next group of the send has, in *n iovecs. */
static size_t group(const struct rconn *c, unsigned *n)
{
	size_t bytes = 0;
	unsigned i;

	for (i = c->iov_at; i < c->iov_n && bytes < SEND_BYTES; i++)
		bytes += c->iov[i].iov_len;
	*n = i - c->iov_at;
	return bytes < SEND_BYTES ? bytes : SEND_BYTES;
}

static void send_commands(struct ring *r, uint32_t conn, const struct rconn *c)
{
	unsigned n;
	size_t left = group(c, &n);

	for (unsigned i = 0; i < n; i++) {
		const struct iovec *v = &c->iov[c->iov_at + i];
		struct paste_command *s = command(r, PASTE_OP_SEND, conn);

		s->addr = (uintptr_t)v->iov_base;
		s->len = (uint32_t)(v->iov_len < left ? v->iov_len : left);
		s->flags = i + 1 < n ? PASTE_F_MORE : 0;
		left -= s->len;
	}
}

/* COMMANDS_CONN at most. */
static void conn_commands(struct ring *r, uint32_t conn)
{
	struct rconn *c = &r->t.c[conn];
	uint16_t f = c->flags;

	/* Without a quota: that counts what events have named too, and an honest client whose body is
	 * larger would stand still until a checkpoint gives buffers back.  What waits in the kernel has
	 * a limit by itself (kmod/flow.c), above which bytes are copied, and nobody waits. */
	if (f & F_NEW)
		command(r, PASTE_OP_ATTACH, conn)->arg = (uint32_t)c->fd;
	if (!(f & F_PAUSED) != !(f & F_TOLD_PAUSED)) {
		command(r, f & F_PAUSED ? PASTE_OP_PAUSE : PASTE_OP_RESUME, conn);
		c->flags ^= F_TOLD_PAUSED;
	}
	if (f & F_SEND_NOW)
		send_commands(r, conn, c);
	if (f & F_DETACH)
		command(r, PASTE_OP_DETACH, conn);
	c->flags &= ~F_TODO;
}

static void listener_commands(struct ring *r)
{
	for (unsigned i = 0; i < r->nl; i++) {
		struct plistener *l = &r->l[i];

		if (l->on == l->told_on)
			continue;
		command(r, l->on ? PASTE_OP_RESUME : PASTE_OP_PAUSE, r->p.conns_max + i);
		l->told_on = l->on;
	}
}

/* As many as the ring takes; the rest stays on the list. */
static void commands(struct ring *r)
{
	uint32_t room = command_room(r);
	uint32_t conn;

	if (room < r->nl)
		return;
	listener_commands(r);
	for (room -= r->nl; room >= COMMANDS_CONN; room = command_room(r)) {
		conn = rlist_pop(&r->t, &r->todo);
		if (conn == RCONN_NIL)
			return;
		conn_commands(r, conn);
	}
}

/* ---- accepting ---- */

static void paste_accept_update(struct ring *r)
{
	bool on;

	if (!raccept_turn(&r->accept))
		return;
	on = r->accept.on && !r->accept.backoff_ms && r->t.open < r->t.max;
	for (unsigned i = 0; i < r->nl; i++) {
		/* clients may have come before, or while the listener was paused */
		if (on && !r->l[i].on)
			r->l[i].ready = true;
		r->l[i].on = on;
	}
}

static void paste_conn_new(struct ring *r, int fd, unsigned listener, struct ring_event *ev)
{
	uint32_t conn = rtable_get(&r->t, fd, F_OPEN | F_NEW);

	must(conn != RCONN_NIL);
	todo(r, &r->t.c[conn]);
	if (r->t.open == r->t.max)
		r->accept.dirty = true;
	*ev = (struct ring_event){ .kind = RING_ACCEPT, .conn = conn, .res = (int)listener };
}

static unsigned paste_accept_some(struct ring *r, unsigned i, struct ring_event *ev, unsigned max)
{
	unsigned n = 0;

	for (unsigned k = 0; k < ACCEPT_ROUND && n < max && r->t.open < r->t.max; k++) {
		int fd;

		paste_syscall_count(r);
		fd = accept4(r->l[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			paste_conn_new(r, fd, i, &ev[n++]);
			continue;
		}
		if (errno == EAGAIN) {
			r->l[i].ready = false;
			break;
		}
		if (!ring_accept_again(-errno)) {
			count_add(&r->st.no_files, 1);
			raccept_backoff(&r->accept);
			r->accept.dirty = true;
			break;
		}
	}
	return n;
}

/* Of every listener that has someone waiting, as far as there is room. */
static unsigned accept_all(struct ring *r, struct ring_event *ev, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nl && !r->accept.backoff_ms; i++)
		if (r->l[i].ready && r->l[i].on)
			n += paste_accept_some(r, i, &ev[n], max - n);
	return n;
}

/* ---- events: each makes at most one of ours; true if it did ---- */

#define X(name, label) _Static_assert((int)RING_COPY_##name == (int)PASTE_COPY_##name, "the module's reasons");
RING_COPY_TABLE(X)
#undef X
_Static_assert((int)RING_COPIES == (int)PASTE_COPIES, "the module's reasons");

/* A newer module may have more of them. */
static unsigned copied_because(const struct paste_event *e)
{
	unsigned why = PASTE_COPY_OF(e->flags);

	return why < RING_COPIES ? why : RING_COPY_OTHER;
}

static bool on_data(struct ring *r, const struct paste_event *e, struct rconn *c, struct ring_event *ev)
{
	must(e->buf - r->p.first_buf < r->p.nbufs);
	must(e->len && (uint32_t)e->off + e->len <= r->p.buf_size);
	if (c->flags & F_CLOSING) {
		paste_release(r, e->buf);
		return false;
	}
	must(r->win > 0);
	r->win--;
	count_add(&r->st.data, 1);
	count_add(&r->st.bytes_in, e->len);
	count_add(e->flags & PASTE_F_COPIED ? &r->st.bytes_copied[copied_because(e)] : &r->st.bytes_zero_copy, e->len);
	*ev = (struct ring_event){ .kind = RING_DATA, .conn = e->conn, .buf = e->buf,
				   .off = e->off, .len = e->len };
	return true;
}

static bool read_end(struct rconn *c, enum ring_kind kind, uint32_t conn, int res, struct ring_event *ev)
{
	if (c->flags & (F_READ_END | F_CLOSING))
		return false;
	c->flags |= F_READ_END;
	*ev = (struct ring_event){ .kind = kind, .conn = conn, .res = res };
	return true;
}

/* A call, which takes effect at once: a command would leave in the next wait only, which may be
 * long away.  A connection has one shutdown in its life. */
static void fin(struct ring *r, const struct rconn *c)
{
	paste_syscall_count(r);
	shutdown(c->fd, SHUT_WR);
}

static bool on_sent(struct ring *r, uint32_t conn, int res, struct ring_event *ev)
{
	struct rconn *c = &r->t.c[conn];
	unsigned n;

	if (!(c->flags & F_SEND) || (c->flags & F_CLOSING))
		return false;
	if (res >= 0) {
		size_t asked = group(c, &n);

		must((size_t)res <= asked);
		count_add(&r->st.bytes_out, (uint64_t)res);
		if (!rconn_send_done(c, (size_t)res)) {
			if ((size_t)res < asked) {
				c->flags |= F_BLOCKED;
			} else {		/* the group has left whole, and there is more: queue the next */
				c->flags |= F_SEND_NOW;
				todo(r, c);
			}
			return false;
		}
		res = 0;
	}
	c->flags &= ~F_SEND;
	if (c->flags & F_FIN)
		fin(r, c);
	*ev = (struct ring_event){ .kind = RING_SENT, .conn = conn, .res = res };
	return true;
}

static void on_writable(struct ring *r, struct rconn *c)
{
	if (!(c->flags & F_BLOCKED) || (c->flags & F_CLOSING))
		return;
	c->flags &= ~F_BLOCKED;
	c->flags |= F_SEND_NOW;
	todo(r, c);
}

static bool on_detached(struct ring *r, uint32_t conn, struct ring_event *ev)
{
	struct rconn *c = &r->t.c[conn];

	must(c->flags & F_CLOSING);
	paste_syscall_count(r);
	close(c->fd);
	raccept_closed(&r->accept, r->t.open == r->t.max);
	rlist_remove(&r->t, &r->todo, conn);
	rtable_put(&r->t, conn);
	*ev = (struct ring_event){ .kind = RING_CLOSED, .conn = conn };
	return true;
}

/* A connection that could not be attached reads nothing, and it is free at its DETACH. */
static bool on_refused(struct ring *r, const struct paste_event *e, struct rconn *c, struct ring_event *ev)
{
	switch (e->len) {
	case PASTE_OP_ATTACH:
		return read_end(c, RING_ERROR, e->conn, e->res, ev);
	case PASTE_OP_SEND:
		return on_sent(r, e->conn, e->res, ev);
	case PASTE_OP_DETACH:
		return on_detached(r, e->conn, ev);
	}
	return false;
}

static bool on_event(struct ring *r, const struct paste_event *e, struct ring_event *ev)
{
	struct rconn *c;

	if (e->kind == PASTE_EV_WOKEN) {
		/* from now on a wake-up is a call again; what was published before the
		 * calls that this event stands for is seen by who takes it */
		atomic_exchange(&r->woken, false);
		*ev = (struct ring_event){ .kind = RING_WOKEN };
		return true;
	}
	if (e->conn >= r->p.conns_max) {
		must(e->conn - r->p.conns_max < r->nl);
		if (e->kind == PASTE_EV_ACCEPT)
			r->l[e->conn - r->p.conns_max].ready = true;
		return false;
	}
	must(e->conn < r->t.fresh);
	c = &r->t.c[e->conn];
	must(c->flags & F_OPEN);
	switch ((enum paste_event_kind)e->kind) {
	case PASTE_EV_DATA:
		return on_data(r, e, c, ev);
	case PASTE_EV_EOF:
		return read_end(c, RING_EOF, e->conn, 0, ev);
	case PASTE_EV_ERR:
		return read_end(c, RING_ERROR, e->conn, e->res, ev);
	case PASTE_EV_SENT:
		return on_sent(r, e->conn, e->res, ev);
	case PASTE_EV_WRITABLE:
		on_writable(r, c);
		return false;
	case PASTE_EV_DETACHED:
		return on_detached(r, e->conn, ev);
	case PASTE_EV_REFUSED:
		return on_refused(r, e, c, ev);
	case PASTE_EV_ACCEPT:
	case PASTE_EV_WOKEN:
		break;
	}
	return false;
}

static unsigned paste_take(struct ring *r, struct ring_event *ev, unsigned max)
{
	uint32_t tail = kernel_index(&r->sh->ev_tail);
	unsigned n = 0;

	while (r->ev_head != tail && n < max)
		n += on_event(r, &r->ev[r->ev_head++ & r->ev_mask], &ev[n]);
	index_show(&r->sh->ev_head, r->ev_head);
	return n;
}

/* ---- the source of packets ---- */

static int source(struct ring *r, char *why, size_t why_len)
{
	struct paste_source s = { .kind = PASTE_SOURCE_VNET };
	const char *nic = r->p.nic, *reason;
	int err = 0;

	r->sourced = true;
	if (!nic)
		return 0;
	s.ifindex = if_nametoindex(nic);
	if (!s.ifindex)
		err = ENXIO;
	else if (ioctl(r->fd, PASTE_IOC_SOURCE, &s))
		err = errno;
	switch (err) {
	case 0:
		return 0;
	case ENXIO:
		reason = "there is no such network device";
		break;
	case ENODEV:
		reason = "it is not a device of the module's virtio-net driver (paste_vnet), see paste(4)";
		break;
	case EPERM:
		reason = "a process that is to see all packets of a device needs CAP_NET_ADMIN";
		break;
	case EBUSY:
		reason = "another ring has it";
		break;
	default:
		reason = strerror(err);
	}
	snprintf(why, why_len, "--nic vnet:%s: %s", nic, reason);
	return -err;
}

/* A device is filled with the ring's buffers when it is taken: give them first, or the
 * first packets would come into others and be copied. */
static int source_first(struct ring *r)
{
	char why[256];
	int err = sync_kernel(r, 0);

	if (err)
		return err;
	err = source(r, why, sizeof(why));
	if (err)
		diag(DIAG_ERR, "%s", why);
	return err;
}

/* ---- ring_wait ---- */

/* Begin the commit that is queued; the replies queued before it leave first. */
static int paste_commit(struct ring *r)
{
	int err = 0;

	if (r->aio.state != RAIO_QUEUED)
		return 0;
	if (r->cmd_tail != r->cmd_told)
		err = sync_kernel(r, 0);
	if (err)
		return err;
	count_add(&r->st.syscalls, 1);
	raio_go(&r->aio);
	return 0;
}

static int paste_wait(struct ring *r, struct ring_event *ev, unsigned max, int timeout_ms)
{
	unsigned n;
	int err;

	must(max > 0);
	count_add(&r->st.waits, 1);
	if (!r->sourced && r->win) {
		err = source_first(r);
		if (err)
			return err;
	}
	paste_accept_update(r);
	n = accept_all(r, ev, max);		/* clients whose events found no room in the last batch */
	commands(r);
	err = paste_commit(r);
	if (err)
		return err;
	if (n < max)
		n += raio_take(&r->aio, &ev[n]);
	if (n || events_stand(r) || r->todo.first != RCONN_NIL)
		timeout_ms = 0;
	else
		timeout_ms = raccept_timeout(&r->accept, timeout_ms);
	if (!events_stand(r) || r->cmd_tail != r->cmd_told) {
		err = sync_kernel(r, timeout_ms);
		if (err)
			return n ? (int)n : err;
	}
	n += paste_take(r, &ev[n], max - n);
	if (n < max)			/* the wake-up may have come from the commit */
		n += raio_take(&r->aio, &ev[n]);
	n += accept_all(r, &ev[n], max - n);
	return (int)n;
}

/* ---- calls on a connection ---- */

static struct rconn *paste_conn_of(struct ring *r, uint32_t conn)
{
	must(conn < r->t.fresh && (r->t.c[conn].flags & F_OPEN));
	return &r->t.c[conn];
}

static bool paste_give(struct ring *r, uint32_t buf)
{
	if (r->win == r->win_max)
		return false;
	must(buf - r->p.first_buf < r->p.nbufs);
	r->win++;
	paste_release(r, buf);
	return true;
}

static void paste_send(struct ring *r, uint32_t conn, const struct iovec *iov, unsigned n)
{
	struct rconn *c = paste_conn_of(r, conn);

	must(!(c->flags & (F_SEND | F_CLOSING | F_FIN)));
	rconn_send_set(c, iov, n);
	count_add(&r->st.sends, 1);
	c->flags |= F_SEND | F_SEND_NOW;
	todo(r, c);
}

static void paste_pause(struct ring *r, uint32_t conn)
{
	struct rconn *c = paste_conn_of(r, conn);

	c->flags |= F_PAUSED;
	todo(r, c);
}

static void paste_resume(struct ring *r, uint32_t conn)
{
	struct rconn *c = paste_conn_of(r, conn);

	c->flags &= ~F_PAUSED;
	todo(r, c);
}

static void paste_shutdown(struct ring *r, uint32_t conn)
{
	struct rconn *c = paste_conn_of(r, conn);

	if (c->flags & (F_FIN | F_CLOSING))
		return;
	c->flags |= F_FIN;
	if (!(c->flags & F_SEND))
		fin(r, c);
}

static void paste_close_conn(struct ring *r, uint32_t conn)
{
	struct rconn *c = paste_conn_of(r, conn);

	if (c->flags & F_CLOSING)
		return;
	c->flags &= ~F_SEND_NOW;
	c->flags |= F_CLOSING | F_DETACH;
	todo(r, c);
}

static void paste_accept(struct ring *r, bool on)
{
	r->accept.on = on;
	r->accept.dirty = true;
}

static void paste_wake(struct ring *r)
{
	int err = errno;	/* we may be in a signal handler */

	if (!atomic_exchange(&r->woken, true))
		ioctl(r->fd, PASTE_IOC_WAKE);
	errno = err;
}

static bool paste_unread(struct ring *r, uint32_t conn)
{
	return ring_unread(paste_conn_of(r, conn)->fd);
}

static void paste_forget(struct ring *r, uint32_t conn)
{
	ring_forget(paste_conn_of(r, conn)->fd);
}

static void paste_ack(struct ring *r, uint32_t conn)
{
	ring_ack(paste_conn_of(r, conn)->fd);
}

static struct blk_aio *paste_aio(struct ring *r)
{
	return raio_start(&r->aio, paste_wake, r) ? NULL : &r->aio.aio;
}

static void paste_stats(struct ring *r, struct ring_stats *s)
{
	uint64_t now = now_coarse_ms();
	struct paste_stats k;

	/* Only the kernel knows when it stopped reading; that is not worth a call a batch. */
	if (now - r->stats_ms >= STATS_MS && !ioctl(r->fd, PASTE_IOC_STATS, &k)) {
		paste_syscall_count(r);
		r->stats_ms = now;
		__atomic_store_n(&r->st.starved, k.no_buffer, __ATOMIC_RELAXED);
	}
	ring_stats_copy(&r->st, s);
}

/* ---- open and close ---- */

static void paste_end(struct ring *r)
{
	raio_stop(&r->aio);
	/* Nobody's call to wake goes to the device any more; who is in it keeps it open. */
	atomic_store(&r->woken, true);
	if (r->map)
		munmap(r->map, r->map_bytes);
	r->map = NULL;
	/* the last reference: in here the kernel gives back connections, buffers, device */
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	for (uint32_t i = 0; i < r->t.fresh; i++)
		if (r->t.c[i].flags & F_OPEN) {
			r->t.c[i].flags &= (uint16_t)~F_OPEN;
			close(r->t.c[i].fd);
		}
}

static void paste_close(struct ring *r)
{
	paste_end(r);
	rtable_fini(&r->t);
	free(r->l);
	free(r);
}

static int device_open(struct ring *r, char *why, size_t why_len)
{
	r->fd = open(PASTE_DEVICE, O_RDWR | O_CLOEXEC);
	if (r->fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		snprintf(why, why_len, "there is no " PASTE_DEVICE ": the module paste is not loaded (modprobe paste)");
	else if (errno == EACCES || errno == EPERM)
		snprintf(why, why_len, "no right to open " PASTE_DEVICE " (see paste(4))");
	else
		snprintf(why, why_len, PASTE_DEVICE ": %s", strerror(errno));
	return -errno;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 8;

	while (p < n)
		p *= 2;
	return p;
}

/* Whether this process may lock so many bytes in memory. */
static bool may_lock(uint64_t bytes)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };
	struct rlimit l;

	if (!syscall(SYS_capget, &h, have) && (have[0].effective & (1u << CAP_IPC_LOCK)))
		return true;
	if (getrlimit(RLIMIT_MEMLOCK, &l))
		return true;
	if (l.rlim_cur < bytes && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &l);
	}
	return l.rlim_cur >= bytes;
}

static int paste_setup(struct ring *r, char *why, size_t why_len)
{
	const struct ring_params *p = &r->p;
	struct paste_setup s = {
		.abi = PASTE_ABI, .buf_size = p->buf_size, .addr = (uintptr_t)p->pool_base,
		/* the mapping is whole pages, whatever the last buffer is */
		.len = (p->pool_len + PAGE - 1) / PAGE * PAGE,
		.first_buf = p->first_buf, .nbufs = p->nbufs,
		.conns_max = p->conns_max + p->nlisteners,
		.ev_entries = EVENTS, .cmd_entries = COMMANDS,
	};
	uint64_t lock = p->lock_bytes > s.len ? p->lock_bytes : s.len;

	lock += lock / 32 + (1u << 20);		/* the kernel's arrays count too */
	r->win_max = p->nbufs < WINDOW ? p->nbufs : WINDOW;
	s.rel_entries = power_of_two(r->win_max);
	if (!may_lock(lock)) {
		snprintf(why, why_len, "the pool must be locked in memory, and %llu bytes are more than the limit "
			 "(ulimit -l, LimitMEMLOCK=) or CAP_IPC_LOCK allows", (unsigned long long)lock);
		return -EPERM;
	}
	if (ioctl(r->fd, PASTE_IOC_SETUP, &s)) {
		int err = -errno;

		snprintf(why, why_len, PASTE_DEVICE " refuses a ring over %llu bytes of buffers: %s%s",
			 (unsigned long long)s.len, strerror(-err),
			 err == -EINVAL ? " (is the module of another version?)" :
			 err == -EOPNOTSUPP ? " (they lie in an ordinary file: give a folder with DAX or on tmpfs)" :
			 err == -EPERM ? " (other processes of this user have locked memory too; see LimitMEMLOCK=)" : "");
		return err;
	}
	r->map = mmap(NULL, s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		snprintf(why, why_len, "mapping " PASTE_DEVICE ": %s", strerror(errno));
		return -errno;
	}
	r->map_bytes = s.map_bytes;
	r->sh = (struct paste_shared *)r->map;
	r->ev = (struct paste_event *)(r->map + s.ev_off);
	r->cmd = (struct paste_command *)(r->map + s.cmd_off);
	r->rel = (uint32_t *)(r->map + s.rel_off);
	r->ev_mask = s.ev_entries - 1;
	r->cmd_mask = s.cmd_entries - 1;
	r->rel_mask = s.rel_entries - 1;
	return 0;
}

static int paste_listeners_open(struct ring *r, char *why, size_t why_len)
{
	int err;

	r->l = calloc(r->p.nlisteners + 1, sizeof(*r->l));
	if (!r->l)
		return -ENOMEM;
	for (unsigned i = 0; i < r->p.nlisteners; i++) {
		struct paste_command *c;

		r->l[i].fd = r->p.listeners[i];
		ring_listener_options(r->l[i].fd);
		err = ring_nonblock(r->l[i].fd, true);
		if (err) {
			snprintf(why, why_len, "listener %u: %s", i, strerror(-err));
			return err;
		}
		c = command(r, PASTE_OP_ATTACH, r->p.conns_max + i);
		c->arg = (uint32_t)r->l[i].fd;
		c->flags = PASTE_F_LISTEN;
		r->l[i].told_on = true;
		r->nl++;
	}
	r->accept.on = r->accept.dirty = true;
	return 0;
}

static int paste_open(struct ring **out, const struct ring_params *p, char *why, size_t why_len)
{
	struct ring *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		snprintf(why, why_len, "no memory");
		return -ENOMEM;
	}
	r->p = *p;
	r->fd = -1;
	r->todo = RLIST_INIT(LINK_WRITE);
	raio_init(&r->aio);
	why[0] = '\0';
	err = device_open(r, why, why_len);
	if (!err)
		err = paste_setup(r, why, why_len);
	if (!err && p->trial)
		err = source(r, why, why_len);
	if (!err)
		err = paste_listeners_open(r, why, why_len);
	if (!err)
		err = rtable_init(&r->t, p->conns_max);
	if (err) {
		if (!why[0])
			snprintf(why, why_len, "%s", strerror(-err));
		paste_close(r);
		return err;
	}
	*out = r;
	return 0;
}

const struct ring_ops ring_paste = {
	.name = "paste",
	.open = paste_open,
	.end = paste_end,
	.close = paste_close,
	.give = paste_give,
	.wait = paste_wait,
	.send = paste_send,
	.pause = paste_pause,
	.resume = paste_resume,
	.shutdown = paste_shutdown,
	.close_conn = paste_close_conn,
	.accept = paste_accept,
	.wake = paste_wake,
	.unread = paste_unread,
	.ack = paste_ack,
	.forget = paste_forget,
	.aio = paste_aio,
	.stats = paste_stats,
};
