/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_conn.c - table, lists, wake-up and commits of the socket rings (ring_conn.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "ring/ring_conn.h"
#include "util/mutant.h"

int rtable_init(struct rtable *t, uint32_t max)
{
	void *p;

	if (!max || max > RCONN_MAX)
		return -EINVAL;
	p = mmap(NULL, (size_t)max * sizeof(struct rconn), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	*t = (struct rtable){ .c = p, .max = max, .free = RCONN_NIL };
	return 0;
}

void rtable_fini(struct rtable *t)
{
	if (t->c)
		munmap(t->c, (size_t)t->max * sizeof(struct rconn));
	t->c = NULL;
}

uint32_t rtable_get(struct rtable *t, int fd, uint16_t flags)
{
	uint32_t conn = t->free;
	struct rconn *c;

	if (conn != RCONN_NIL)
		t->free = t->c[conn].link[LINK_READ].next;
	else if (t->fresh < t->max)
		conn = t->fresh++;
	else
		return RCONN_NIL;
	c = &t->c[conn];
	must(!c->flags && !c->ops);
	c->fd = fd;
	c->flags = flags;
	c->iov_n = c->iov_at = 0;
	c->link[LINK_READ].next = c->link[LINK_WRITE].next = RCONN_OFF;
	t->open++;
	return conn;
}

void rtable_put(struct rtable *t, uint32_t conn)
{
	struct rconn *c = &t->c[conn];

	must(c->flags && !c->ops);
	must(c->link[LINK_READ].next == RCONN_OFF && c->link[LINK_WRITE].next == RCONN_OFF);
	c->flags = 0;
	c->fd = -1;
	c->gen++;
	c->link[LINK_READ].next = t->free;
	t->free = conn;
	t->open--;
}

void rlist_push(struct rtable *t, struct rlist *l, uint32_t conn)
{
	struct rlink *k = &t->c[conn].link[l->pair];

	if (k->next != RCONN_OFF)
		return;
	k->next = RCONN_NIL;
	k->prev = l->last;
	if (l->last == RCONN_NIL)
		l->first = conn;
	else
		t->c[l->last].link[l->pair].next = conn;
	l->last = conn;
}

void rlist_remove(struct rtable *t, struct rlist *l, uint32_t conn)
{
	struct rlink *k = &t->c[conn].link[l->pair];

	if (k->next == RCONN_OFF)
		return;
	if (k->prev == RCONN_NIL)
		l->first = k->next;
	else
		t->c[k->prev].link[l->pair].next = k->next;
	if (k->next == RCONN_NIL)
		l->last = k->prev;
	else
		t->c[k->next].link[l->pair].prev = k->prev;
	k->next = RCONN_OFF;
}

uint32_t rlist_pop(struct rtable *t, struct rlist *l)
{
	uint32_t conn = l->first;

	if (conn != RCONN_NIL)
		rlist_remove(t, l, conn);
	return conn;
}

void rconn_send_set(struct rconn *c, const struct iovec *iov, unsigned n)
{
	must(n && n <= RING_IOV_MAX);
	memcpy(c->iov, iov, n * sizeof(*iov));
	c->iov_n = n;
	c->iov_at = 0;
}

bool rconn_send_done(struct rconn *c, size_t n)
{
	while (c->iov_at < c->iov_n) {
		struct iovec *v = &c->iov[c->iov_at];

		if (n < v->iov_len) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= n;
			return false;
		}
		n -= v->iov_len;
		c->iov_at++;
	}
	must(n == 0);
	return true;
}

void ring_stats_copy(const struct ring_stats *from, struct ring_stats *to)
{
	const uint64_t *f = (const uint64_t *)from;
	uint64_t *t = (uint64_t *)to;

	static_assert(sizeof(*from) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*from) / sizeof(uint64_t); i++)
		t[i] = __atomic_load_n(&f[i], __ATOMIC_RELAXED);
}

int rwake_init(struct rwake *w)
{
	atomic_init(&w->set, false);
	w->fd = eventfd(0, EFD_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

void rwake_fini(struct rwake *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void rwake_set(struct rwake *w)
{
	static const uint64_t one = 1;
	int err = errno;	/* we may be in a signal handler */

	/* What the caller published before is seen by who takes the wake-up: either
	 * our write is still to be read, or (set already) rwake_taken's exchange
	 * comes after ours and acquires what ours released. */
	if (!atomic_exchange(&w->set, true)) {
		while (write(w->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	errno = err;
}

void rwake_taken(struct rwake *w)
{
	atomic_exchange(&w->set, false);
}

/* ---- commits ---- */

static int raio_submit(struct blk_aio *aio, const struct blk_ops *blk, struct blk_file *f,
		       struct iovec *iov, unsigned n, uint64_t off)
{
	struct raio *a = (struct raio *)aio;

	if (a->state != RAIO_IDLE)
		return -EBUSY;
	a->blk = blk;
	a->f = f;
	a->iov = iov;
	a->n = n;
	a->off = off;
	a->fn = NULL;
	a->state = RAIO_QUEUED;
	return 0;
}

static int raio_call(struct blk_aio *aio, int (*fn)(void *arg), void *arg)
{
	struct raio *a = (struct raio *)aio;

	if (a->state != RAIO_IDLE)
		return -EBUSY;
	a->fn = fn;
	a->arg = arg;
	a->state = RAIO_QUEUED;
	return 0;
}

void raio_init(struct raio *a)
{
	*a = (struct raio){ .aio = { .submit = raio_submit, .call = raio_call } };
}

/* Short writes are continued by blk->write, so it is whole or an error, and after an error
 * there is no sync.  A sync is never tried again: after an error the pages are clean and a
 * second one would say success. */
static int raio_job(struct raio *a)
{
	int res;

	if (a->fn)
		return a->fn(a->arg);
	res = a->blk->write(a->f, a->iov, a->n, a->off);
	if (MUTANT(ring_write_result))
		res = 0;
	if (!res) {
		res = MUTANT(ring_sync) ? 0 : a->blk->sync(a->f);
		/* Want of room is reported of a write only: a sync that says so has failed. */
		if (blk_nospace(res) && !MUTANT(ring_sync_nospace))
			res = -EIO;
	}
	return res > 0 || MUTANT(ring_result) ? 0 : res;
}

static void *raio_run(void *arg)
{
	struct raio *a = arg;

	pthread_setname_np(pthread_self(), "pasted-disk");
	for (;;) {
		while (sem_wait(&a->go))
			;
		if (atomic_load(&a->stop))
			return NULL;
		a->res = raio_job(a);
		/* release: who sees it sees res, and all that the job wrote */
		atomic_store_explicit(&a->done, true, memory_order_release);
		a->wake(a->ring);
	}
}

int raio_start(struct raio *a, void (*wake)(struct ring *r), struct ring *r)
{
	int err;

	a->wake = wake;
	a->ring = r;
	if (sem_init(&a->go, 0, 0))
		return -errno;
	err = -pthread_create(&a->thread, NULL, raio_run, a);
	a->threaded = !err;
	return err;
}

void raio_stop(struct raio *a)
{
	if (!a->threaded)
		return;
	atomic_store(&a->stop, true);
	sem_post(&a->go);
	pthread_join(a->thread, NULL);
	sem_destroy(&a->go);
	a->threaded = false;
}

void raio_go(struct raio *a)
{
	if (a->state != RAIO_QUEUED)
		return;
	a->state = RAIO_GONE;
	if (a->threaded) {
		sem_post(&a->go);
		return;
	}
	a->res = raio_job(a);
	atomic_store_explicit(&a->done, true, memory_order_relaxed);
}

bool raio_take(struct raio *a, struct ring_event *ev)
{
	/* acquire: pairs with the thread's release */
	if (a->state != RAIO_GONE || !atomic_load_explicit(&a->done, memory_order_acquire))
		return false;
	atomic_store_explicit(&a->done, false, memory_order_relaxed);
	*ev = (struct ring_event){ .kind = RING_SYNCED, .res = a->res };
	a->state = RAIO_IDLE;
	return true;
}

bool ring_accept_again(int err)
{
	switch (err) {
	case -EAGAIN:
	case -EINTR:
	case -ECANCELED:
	case -ECONNABORTED:	/* the one at the head of the queue is gone: go on */
	case -EPERM:		/* a firewall rule */
	case -EPROTO:		/* pending errors of the new socket (accept(2)) */
	case -ENOPROTOOPT:
	case -ENETDOWN:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return true;
	}
	return false;
}

bool ring_unread(int fd)
{
	int n = 0;

	return !ioctl(fd, SIOCINQ, &n) && n > 0;
}

void ring_ack(int fd)
{
	int one = 1;

	/* Holds once: the next reply undoes it.  Fails on a Unix socket, which does not need it. */
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

/* After this the close resets the connection. */
void ring_forget(int fd)
{
	const struct linger none = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void ring_listener_options(int fd)
{
	int one = 1, unsent = RING_UNSENT_MAX;

	/* Both fail on a Unix socket, which has no such delay and a small buffer. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

int ring_nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0)
		return -errno;
	fl = on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, fl) ? -errno : 0;
}
