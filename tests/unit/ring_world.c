/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_world.c - pool, server and clients around a ring (ring_world.h).
 */
#include "ring_world.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_S 60	/* a hang, not a speed */

uint8_t pattern(uint32_t seed, uint64_t at)
{
	return (uint8_t)((at * 2654435761u + seed * 40503u) >> 13);
}

uint64_t world_sum(uint64_t sum, uint64_t at, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += (at + i + 1) * (p[i] + 1u);
	return sum;
}

int fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void world_watchdog(const char *what, bool waiting)
{
	static time_t since;

	if (!waiting) {
		since = 0;
	} else if (!since) {	/* clock: to give up */
		since = time(NULL);
	} else if (time(NULL) - since > LIMIT_S) {
		since = 0;
		fail_msg("never came true: %s", what);
	}
}

/* ---- set-up ---- */

static void listen_on(struct world *w, int i)
{
	struct sockaddr_storage *ss = &w->addr[i];
	int family = i == LISTEN_4 ? AF_INET : i == LISTEN_6 ? AF_INET6 : AF_UNIX;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	w->addr_len[i] = sizeof(sa_family_t);	/* Unix: the kernel picks an abstract name */
	if (family == AF_INET) {
		((struct sockaddr_in *)ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		w->addr_len[i] = sizeof(struct sockaddr_in);
	} else if (family == AF_INET6) {
		((struct sockaddr_in6 *)ss)->sin6_addr = in6addr_loopback;
		w->addr_len[i] = sizeof(struct sockaddr_in6);
	}
	w->listener[i] = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(w->listener[i] >= 0);
	if (bind(w->listener[i], (struct sockaddr *)ss, w->addr_len[i]) && family == AF_INET6) {
		/* a machine without IPv6: the place is taken by another IPv4 one */
		close(w->listener[i]);
		memset(ss, 0, sizeof(*ss));
		ss->ss_family = AF_INET;
		((struct sockaddr_in *)ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		w->addr_len[i] = sizeof(struct sockaddr_in);
		w->listener[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(w->listener[i], (struct sockaddr *)ss, w->addr_len[i]), 0);
	}
	assert_int_equal(listen(w->listener[i], 4096), 0);
	w->addr_len[i] = sizeof(*ss);
	assert_int_equal(getsockname(w->listener[i], (struct sockaddr *)ss, &w->addr_len[i]), 0);
}

struct world *world_new(unsigned nbufs, unsigned buf_size, unsigned conns_max)
{
	struct world *w = calloc(1, sizeof(*w));
	struct ring_params p = { .conns_max = conns_max, .buf_size = buf_size, .nbufs = nbufs };
	char why[200] = "";
	int err;

	assert_non_null(w);
	w->fds = fds_open();
	w->nbufs = nbufs;
	w->buf_size = buf_size;
	w->first_buf = 7;	/* not 0: another worker's come before */
	w->conns_max = conns_max;
	w->ev_max = 64;
	p.first_buf = w->first_buf;
	p.pool_len = (size_t)(w->first_buf + nbufs) * buf_size;
	w->mem = mmap(NULL, p.pool_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(w->mem != MAP_FAILED);
	p.pool_base = w->mem;
	w->buf = calloc(nbufs, sizeof(*w->buf));
	w->free = calloc(nbufs, sizeof(*w->free));
	w->c = calloc(conns_max, sizeof(*w->c));
	for (w->nfree = 0; w->nfree < nbufs; w->nfree++)
		w->free[w->nfree] = w->first_buf + w->nfree;
	for (int i = 0; i < LISTENERS; i++)
		listen_on(w, i);
	p.listeners = w->listener;
	p.nlisteners = LISTENERS;
	err = ring_ops->open(&w->ring, &p, why, sizeof(why));
	if (err)
		fail_msg("open: %s (%s)", strerror(-err), why);
	return w;
}

/* ---- the server ---- */

static struct wbuf *wbuf(struct world *w, uint32_t idx)
{
	assert_true(idx >= w->first_buf && idx - w->first_buf < w->nbufs);
	return &w->buf[idx - w->first_buf];
}

static uint8_t *mem(struct world *w, uint32_t idx)
{
	return w->mem + (size_t)idx * w->buf_size;
}

static void buf_free(struct world *w, uint32_t idx)
{
	assert_int_equal(wbuf(w, idx)->state, BUF_HELD);
	wbuf(w, idx)->state = BUF_FREE;
	w->held--;
	w->free[w->nfree++] = idx;
}

static void give_all(struct world *w)
{
	while (!w->keep && w->nfree) {
		uint32_t idx = w->free[w->nfree - 1];

		if (!ring_ops->give(w->ring, idx))
			return;
		w->nfree--;
		w->given++;
		wbuf(w, idx)->state = BUF_GIVEN;
	}
}

void world_send(struct world *w, uint32_t conn, const void *p, size_t n)
{
	struct iovec iov = { .iov_base = (void *)p, .iov_len = n };

	w->c[conn].sending = true;
	ring_ops->send(w->ring, conn, &iov, 1);
}

void world_close_conn(struct world *w, uint32_t conn)
{
	assert_true(w->c[conn].open);
	w->c[conn].closing = true;
	w->c[conn].closed_at = w->turns;
	ring_ops->close_conn(w->ring, conn);
}

/* Echo: all that is queued, up to RING_IOV_MAX buffers; close when all is said. */
static void echo_more(struct world *w, uint32_t conn)
{
	struct wconn *c = &w->c[conn];
	struct iovec iov[RING_IOV_MAX];
	unsigned n = 0;

	if (c->sending || c->closing)
		return;
	for (uint32_t b = c->first; b != WNIL && n < RING_IOV_MAX; b = wbuf(w, b)->next) {
		iov[n].iov_base = mem(w, b) + wbuf(w, b)->off;
		iov[n++].iov_len = wbuf(w, b)->len;
	}
	if (n) {
		c->sending = true;
		c->flight = n;
		ring_ops->send(w->ring, conn, iov, n);
	} else if (c->eof || c->error) {
		world_close_conn(w, conn);
	}
}

/* The first n buffers of the queue. */
static void drop(struct world *w, struct wconn *c, unsigned n)
{
	for (; c->first != WNIL && n; n--) {
		uint32_t b = c->first;

		c->first = wbuf(w, b)->next;
		if (c->first == WNIL)
			c->last = WNIL;
		buf_free(w, b);
	}
}

static void on_data(struct world *w, const struct ring_event *e)
{
	struct wconn *c = &w->c[e->conn];
	struct wbuf *b = wbuf(w, e->buf);

	assert_int_equal(b->state, BUF_GIVEN);
	assert_true(e->len > 0 && e->off + e->len <= w->buf_size);
	assert_false(c->eof);
	b->state = BUF_HELD;
	w->given--;
	w->held++;
	c->check = world_sum(c->check, c->got, mem(w, e->buf) + e->off, e->len);
	c->got += e->len;
	if (!w->echo || c->closing) {
		buf_free(w, e->buf);
		return;
	}
	b->off = e->off;
	b->len = e->len;
	b->next = WNIL;
	if (c->last == WNIL)
		c->first = e->buf;
	else
		wbuf(w, c->last)->next = e->buf;
	c->last = e->buf;
}

static void on_event(struct world *w, const struct ring_event *e)
{
	struct wconn *c = &w->c[e->conn];

	if (e->kind == RING_WOKEN) {
		w->woken++;
		return;
	}
	if (e->kind == RING_SYNCED) {
		w->synced++;
		w->sync_res = e->res;
		return;
	}
	assert_true(e->conn < w->conns_max);
	assert_int_equal(c->open, e->kind != RING_ACCEPT);
	/* Of a closed one nothing but what stood in the same batch. */
	assert_true(!c->open || !c->closing || e->kind == RING_CLOSED || c->closed_at == w->turns);
	switch (e->kind) {
	case RING_ACCEPT:
		memset(c, 0, sizeof(*c));
		c->open = true;
		c->listener = e->res;
		c->first = c->last = WNIL;
		w->open++;
		w->accepted++;
		w->last_conn = e->conn;
		if (w->close_at_accept)
			world_close_conn(w, e->conn);
		break;
	case RING_DATA:
		on_data(w, e);
		break;
	case RING_EOF:
		c->eof = true;
		break;
	case RING_ERROR:
		assert_true(e->res < 0);
		c->error = true;
		break;
	case RING_SENT:
		assert_true(c->sending && e->res <= 0);
		c->sending = false;
		c->sent_res = e->res;
		c->sent++;
		break;
	case RING_CLOSED:
		assert_true(c->closing);
		drop(w, c, w->nbufs);
		c->open = false;
		w->open--;
		w->closed++;
		break;
	}
}

int world_turn(struct world *w, int timeout_ms)
{
	struct ring_event ev[64];
	int n;

	give_all(w);
	w->turns++;
	n = ring_ops->wait(w->ring, ev, w->ev_max, timeout_ms);
	assert_true(n >= 0 && n <= (int)w->ev_max);
	for (int i = 0; i < n; i++) {
		struct wconn *c = &w->c[ev[i].conn];
		bool was_sending = ev[i].kind == RING_SENT;
		uint32_t conn = ev[i].conn;

		on_event(w, &ev[i]);
		if (!w->echo || ev[i].kind >= RING_SYNCED || !c->open || c->closing)
			continue;
		if (was_sending && c->sent_res) {
			world_close_conn(w, conn);	/* buffers: when it is closed */
			continue;
		}
		if (was_sending)
			drop(w, c, c->flight);
		echo_more(w, conn);
	}
	return n;
}

void world_idle(struct world *w, unsigned turns)
{
	while (turns--)
		world_turn(w, 5);
}

/* ---- the end ---- */

/* Every buffer that the ring has comes out, once, if nothing is given any more. */
static void drain_window(struct world *w)
{
	unsigned given = w->given, had = w->accepted;
	uint8_t chunk[4096] = { 0 };
	uint32_t conn;
	int fd;

	w->echo = false;
	w->close_at_accept = false;
	ring_ops->accept(w->ring, true);
	fd = client_connect(w, LISTEN_UNIX);
	WORLD_UNTIL(w, w->accepted > had);
	conn = w->last_conn;
	w->keep = true;
	while (w->given) {
		/* one buffer's worth at a time: it cannot block */
		unsigned before = w->given;

		assert_true(client_write(fd, chunk, w->buf_size));
		WORLD_UNTIL(w, w->given < before);
	}
	assert_true(w->c[conn].got > 0 || !given);
	assert_int_equal(w->nfree, w->nbufs);
	close(fd);
	world_close_conn(w, conn);
	WORLD_UNTIL(w, !w->open);
}

void world_end(struct world *w)
{
	WORLD_UNTIL(w, !w->open);
	assert_int_equal(w->held, 0);
	assert_int_equal(w->nfree + w->given, w->nbufs);
	drain_window(w);
	ring_ops->close(w->ring);
	for (int i = 0; i < LISTENERS; i++)
		close(w->listener[i]);
	assert_int_equal(fds_open(), w->fds);
	world_forget(w);
}

void world_forget(struct world *w)
{
	munmap(w->mem, (size_t)(w->first_buf + w->nbufs) * w->buf_size);
	free(w->buf);
	free(w->free);
	free(w->c);
	free(w);
}

/* ---- clients ---- */

/*
 * The end of an earlier test's io_uring interrupts this thread some time later, without
 * any signal; with a time limit, calls on a socket do not start again by themselves.
 */
static bool again(const char *what)
{
	if (errno == EINTR)
		return true;
	print_error("client: %s: %s\n", what, strerror(errno));
	return false;
}

static bool connected(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	/* one that was interrupted goes on, and the next call waits for it */
	while (connect(fd, (const struct sockaddr *)to, len) && errno != EISCONN)
		if (!again("connect"))
			return false;
	return true;
}

int client_connect(const struct world *w, int listener)
{
	struct timeval tv = { .tv_sec = LIMIT_S };
	int fd = socket(w->addr[listener].ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connected(fd, &w->addr[listener], w->addr_len[listener])) {
		close(fd);
		return -1;
	}
	return fd;
}

void client_reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

bool client_write(int fd, const void *p, size_t n)
{
	for (const char *at = p; n;) {
		ssize_t k = send(fd, at, n, MSG_NOSIGNAL);

		if (k < 0 && again("send"))
			continue;
		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

static ssize_t client_recv(int fd, void *p, size_t n)
{
	ssize_t k;

	do {
		k = recv(fd, p, n, 0);
	} while (k < 0 && again("recv"));
	return k;
}

bool client_read(int fd, void *p, size_t n)
{
	for (char *at = p; n;) {
		ssize_t k = client_recv(fd, at, n);

		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

bool client_eof(int fd)
{
	char c;

	return client_recv(fd, &c, 1) == 0;
}
