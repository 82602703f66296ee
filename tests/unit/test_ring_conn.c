/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_ring_conn.c - what the rings have in common (ring_conn.h), without one: the table and its
 * lists against plain arrays, sends taken off piece by piece, the wake-up, commits and what they
 * say, and what is asked of sockets.
 */
#include "ring/ring_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the table ---- */

static void test_table(void **state)
{
	struct rtable t = { 0 };
	uint32_t h[4];

	(void)state;
	assert_int_equal(rtable_init(&t, 0), -EINVAL);
	assert_int_equal(rtable_init(&t, RCONN_MAX + 1), -EINVAL);
	assert_int_equal(rtable_init(&t, RCONN_MAX), 0);
	rtable_fini(&t);
	rtable_fini(&t);			/* twice is once */
	assert_int_equal(rtable_init(&t, 3), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 3; i++) {
			h[i] = rtable_get(&t, (int)(10 + i), 5);
			assert_int_equal(t.open, i + 1);
			assert_int_equal(t.c[h[i]].fd, 10 + i);
			assert_int_equal(t.c[h[i]].flags, 5);
			assert_int_equal(t.c[h[i]].iov_n + t.c[h[i]].iov_at, 0);
			assert_int_equal(t.c[h[i]].link[LINK_READ].next, RCONN_OFF);
			assert_int_equal(t.c[h[i]].link[LINK_WRITE].next, RCONN_OFF);
			assert_int_equal(h[i], round ? (i + round) % 3 : i);
		}
		assert_int_equal(rtable_get(&t, 99, 1), RCONN_NIL);
		assert_int_equal(t.open, 3);
		/* The last that was given back is the first that is given out. */
		for (uint32_t i = 0; i < 3; i++) {
			uint32_t conn = (3 + round - i) % 3, gen = t.c[conn].gen;

			t.c[conn].iov_n = t.c[conn].iov_at = 2;
			rtable_put(&t, conn);
			assert_int_equal(t.c[conn].gen, gen + 1);
			assert_int_equal(t.c[conn].fd, -1);
			assert_int_equal(t.c[conn].flags, 0);
			assert_int_equal(t.open, 2 - i);
		}
	}
	assert_int_equal(t.fresh, 3);
	rtable_fini(&t);
}

/* Two lists of different pairs, and two of one pair, against arrays. */
static void test_lists(void **state)
{
	enum { N = 6 };
	struct rtable t;
	struct rlist l[3] = { RLIST_INIT(LINK_READ), RLIST_INIT(LINK_WRITE), RLIST_INIT(LINK_WRITE) };
	uint32_t model[3][N];
	unsigned n[3] = { 0 };

	(void)state;
	srand(7);
	assert_int_equal(rtable_init(&t, N), 0);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(rtable_get(&t, 1, 1), i);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned k = (unsigned)rand() % 3, at = N;
		uint32_t conn = (uint32_t)rand() % N;
		bool in_other = false;

		for (unsigned i = 0; i < n[k]; i++)
			if (model[k][i] == conn)
				at = i;
		for (unsigned i = 0; k && i < n[3 - k]; i++)
			in_other |= model[3 - k][i] == conn;
		switch (rand() % 3) {
		case 0:
			if (in_other)
				break;
			rlist_push(&t, &l[k], conn);
			if (at == N)
				model[k][n[k]++] = conn;
			break;
		case 1:
			if (in_other)
				break;
			rlist_remove(&t, &l[k], conn);
			if (at < N)
				memmove(&model[k][at], &model[k][at + 1], (--n[k] - at) * sizeof(uint32_t));
			break;
		default:
			conn = rlist_pop(&t, &l[k]);
			assert_int_equal(conn, n[k] ? model[k][0] : RCONN_NIL);
			if (n[k])
				memmove(&model[k][0], &model[k][1], --n[k] * sizeof(uint32_t));
		}
		for (k = 0; k < 3; k++) {
			uint32_t c = l[k].first, before = RCONN_NIL;

			for (unsigned i = 0; i < n[k]; i++) {
				assert_int_equal(c, model[k][i]);
				assert_int_equal(t.c[c].link[l[k].pair].prev, before);
				before = c;
				c = t.c[c].link[l[k].pair].next;
			}
			assert_int_equal(c, RCONN_NIL);
			assert_int_equal(l[k].last, before);
		}
	}
	rtable_fini(&t);
}

/* ---- sends ---- */

static void test_send(void **state)
{
	static char bytes[64];
	const size_t len[] = { 5, 1, 7, 3 };

	(void)state;
	for (size_t step = 1; step <= 16; step++) {
		struct rconn c = { 0 };
		struct iovec iov[4];
		size_t done = 0;

		for (unsigned i = 0, at = 0; i < 4; at += (unsigned)len[i++])
			iov[i] = (struct iovec){ bytes + at, len[i] };
		rconn_send_set(&c, iov, 4);
		assert_int_equal(c.iov_n, 4);
		assert_int_equal(c.iov_at, 0);
		for (;;) {
			size_t k = 16 - done < step ? 16 - done : step, left = 0;
			bool all = rconn_send_done(&c, k);

			done += k;
			assert_int_equal(all, done == 16);
			if (all)
				break;
			assert_ptr_equal(c.iov[c.iov_at].iov_base, bytes + done);
			for (unsigned i = c.iov_at; i < c.iov_n; i++)
				left += c.iov[i].iov_len;
			assert_int_equal(left, 16 - done);
			assert_false(rconn_send_done(&c, 0));
		}
		assert_int_equal(c.iov_at, 4);
	}
}

/* ---- counters, the wake-up ---- */

static void test_stats(void **state)
{
	struct ring_stats a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(a); i++)
		((uint8_t *)&a)[i] = (uint8_t)(i * 7 + 1);
	memset(&b, 0, sizeof(b));
	ring_stats_copy(&a, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	a.sends = 40;
	count_add(&a.sends, 2);
	assert_int_equal(a.sends, 42);
}

/* However often it is asked for, there is one to be read, and after that another. */
static void test_wake(void **state)
{
	struct rwake w;
	uint64_t n;

	(void)state;
	assert_int_equal(rwake_init(&w), 0);
	assert_true(fcntl(w.fd, F_GETFD) & FD_CLOEXEC);
	for (unsigned k = 0; k < 3; k++) {
		struct pollfd p = { .fd = w.fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 0), 0);
		errno = 77;
		for (unsigned i = 0; i < 5; i++)
			rwake_set(&w);
		assert_int_equal(errno, 77);
		assert_int_equal(read(w.fd, &n, sizeof(n)), sizeof(n));
		assert_int_equal(n, 1);
		rwake_set(&w);			/* it was read, but is not taken yet */
		assert_int_equal(poll(&p, 1, 0), 0);
		rwake_taken(&w);
	}
	rwake_fini(&w);
	assert_int_equal(w.fd, -1);
	rwake_fini(&w);
}

/* Also with the lowest number there is. */
static void test_wake_zero(void **state)
{
	int input = dup(0);
	struct rwake w;

	(void)state;
	close(0);
	assert_int_equal(rwake_init(&w), 0);
	assert_int_equal(w.fd, 0);
	rwake_fini(&w);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	if (input >= 0) {
		assert_int_equal(dup2(input, 0), 0);
		close(input);
	}
}

/* ---- commits ---- */

static struct {
	int write_res, sync_res;
	unsigned writes, syncs, calls, wakes;
	struct blk_file *f;
	struct iovec *iov;
	unsigned n;
	uint64_t off;
	sem_t woken, begun, go;
	bool waits;
} io;

static int io_write(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	io.writes++;
	io.f = f;
	io.iov = iov;
	io.n = n;
	io.off = off;
	if (io.waits)
		sem_post(&io.begun);
	while (io.waits && sem_wait(&io.go))
		;
	return io.write_res;
}

static int io_sync(struct blk_file *f)
{
	assert_ptr_equal(f, io.f);
	io.syncs++;
	return io.sync_res;
}

static const struct blk_ops io_ops = { .write = io_write, .sync = io_sync };

static int io_call(void *arg)
{
	io.calls++;
	return *(int *)arg;
}

static void io_wake(struct ring *r)
{
	assert_ptr_equal(r, &io);
	io.wakes++;
	sem_post(&io.woken);
}

/* What write and sync said, and what is told of it; with and without a thread of its own. */
static void test_commit(void **state)
{
	static const struct { int write, sync, told; unsigned syncs; } row[] = {
		{ 0, 0, 0, 1 }, { -EIO, 0, -EIO, 0 }, { -ENOSPC, 0, -ENOSPC, 0 }, { -EDQUOT, 0, -EDQUOT, 0 },
		{ 0, -EIO, -EIO, 1 }, { 0, -ENOSPC, -EIO, 1 }, { 0, -EDQUOT, -EIO, 1 }, { 0, 3, 0, 1 },
	};
	struct blk_file *f = (struct blk_file *)&state;
	struct iovec iov[2];
	struct raio a;

	for (int threaded = 0; threaded < 2; threaded++) {
		memset(&io, 0, sizeof(io));
		sem_init(&io.woken, 0, 0);
		raio_init(&a);
		if (threaded)
			assert_int_equal(raio_start(&a, io_wake, (struct ring *)&io), 0);
		for (unsigned i = 0; i < 2 * sizeof(row) / sizeof(row[0]); i++) {
			struct ring_event ev = { .kind = RING_EOF };
			int arg = -EXDEV - (int)i;
			bool call = i % 2;

			io.write_res = row[i / 2].write;
			io.sync_res = row[i / 2].sync;
			io.writes = io.syncs = io.calls = io.wakes = 0;
			raio_go(&a);				/* nothing is queued */
			assert_false(raio_take(&a, &ev));
			if (call)
				assert_int_equal(a.aio.call(&a.aio, io_call, &arg), 0);
			else
				assert_int_equal(a.aio.submit(&a.aio, &io_ops, f, iov, 2, 4096 + i), 0);
			for (unsigned k = 0; k < 2; k++) {
				assert_int_equal(a.aio.submit(&a.aio, &io_ops, f, iov, 1, 0), -EBUSY);
				assert_int_equal(a.aio.call(&a.aio, io_call, &arg), -EBUSY);
				if (k == 0) {
					assert_false(raio_take(&a, &ev));
					assert_int_equal(io.writes + io.calls, 0);
					raio_go(&a);
				}
			}
			while (threaded && sem_wait(&io.woken))
				;
			raio_go(&a);				/* it is on its way: once */
			assert_true(raio_take(&a, &ev));
			assert_int_equal(ev.kind, RING_SYNCED);
			assert_int_equal(ev.res, call ? arg : row[i / 2].told);
			assert_false(raio_take(&a, &ev));
			assert_int_equal(io.calls, call);
			assert_int_equal(io.writes, !call);
			assert_int_equal(io.syncs, call ? 0 : row[i / 2].syncs);
			assert_int_equal(io.wakes, threaded);
			if (!call)
				assert_true(io.f == f && io.iov == iov && io.n == 2 && io.off == 4096 + i);
		}
		raio_stop(&a);
		raio_stop(&a);
		assert_false(a.threaded);
	}
}

/* The end waits for what has begun, and until it is done nothing is told. */
static void test_commit_end(void **state)
{
	struct iovec iov = { 0 };
	struct ring_event ev;
	struct raio a;

	(void)state;
	memset(&io, 0, sizeof(io));
	sem_init(&io.woken, 0, 0);
	sem_init(&io.begun, 0, 0);
	sem_init(&io.go, 0, 0);
	io.waits = true;
	raio_init(&a);
	assert_int_equal(raio_start(&a, io_wake, (struct ring *)&io), 0);
	assert_int_equal(a.aio.submit(&a.aio, &io_ops, NULL, &iov, 1, 0), 0);
	raio_go(&a);
	while (sem_wait(&io.begun))
		;
	for (unsigned i = 0; i < 100; i++)
		assert_false(raio_take(&a, &ev));
	sem_post(&io.go);
	raio_stop(&a);
	assert_int_equal(io.syncs, 1);
	assert_true(raio_take(&a, &ev));
}

/* ---- sockets ---- */

static void test_accept_again(void **state)
{
	static const int again[] = { EAGAIN, EINTR, ECANCELED, ECONNABORTED, EPERM, EPROTO, ENOPROTOOPT, ENETDOWN,
				     EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH };

	(void)state;
	for (int err = 0; err < 140; err++) {
		bool yes = false;

		for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
			yes |= again[i] == err;
		assert_int_equal(ring_accept_again(-err), yes);
		assert_false(err && ring_accept_again(err));
	}
}

/* A pair of TCP sockets, of either family; false: there is none. */
static bool tcp_pair(int family, int fd[2])
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };
	socklen_t len = sizeof(ss);
	int l = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET)
		((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&ss)->sin6_addr = in6addr_loopback;
	if (l < 0 || bind(l, (struct sockaddr *)&ss, sizeof(ss)) || listen(l, 1)) {
		close(l);
		return false;
	}
	ring_listener_options(l);
	assert_int_equal(getsockname(l, (struct sockaddr *)&ss, &len), 0);
	fd[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&ss, len), 0);
	fd[1] = accept(l, NULL, NULL);
	assert_true(fd[1] >= 0);
	close(l);
	return true;
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &n), 0);
	return v;
}

static void test_sockets(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p = { .events = POLLIN };
		char text[9];
		int fd[2], off = 0;

		if (!tcp_pair(families[i], fd)) {
			assert_int_equal(families[i], AF_INET6);	/* a machine without */
			continue;
		}
		assert_int_equal(option(fd[1], IPPROTO_TCP, TCP_NODELAY), 1);
		assert_int_equal(option(fd[1], IPPROTO_TCP, TCP_NOTSENT_LOWAT), RING_UNSENT_MAX);

		p.fd = fd[1];
		assert_false(ring_unread(fd[1]));
		assert_int_equal(write(fd[0], "x", 1), 1);
		assert_int_equal(poll(&p, 1, -1), 1);
		assert_true(ring_unread(fd[1]));
		assert_int_equal(read(fd[1], text, 9), 1);
		assert_false(ring_unread(fd[1]));
		assert_int_equal(setsockopt(fd[1], IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off)), 0);
		ring_ack(fd[1]);
		assert_int_equal(option(fd[1], IPPROTO_TCP, TCP_QUICKACK), 1);
		/* An end alone is nothing to be read. */
		shutdown(fd[0], SHUT_WR);
		assert_int_equal(poll(&p, 1, -1), 1);
		assert_false(ring_unread(fd[1]));
		ring_forget(fd[1]);
		close(fd[1]);
		p.fd = fd[0];
		assert_int_equal(poll(&p, 1, -1), 1);
		assert_int_equal(read(fd[0], text, 1), -1);
		assert_int_equal(errno, ECONNRESET);
		close(fd[0]);
	}
}

static void test_other_sockets(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	ring_listener_options(fd[0]);		/* nothing to set there */
	ring_ack(fd[0]);
	for (unsigned k = 0; k < 2; k++) {
		int flags = fcntl(fd[0], F_GETFL);

		for (unsigned on = 2; on--;)
			for (unsigned twice = 0; twice < 2; twice++) {
				assert_int_equal(ring_nonblock(fd[0], on), 0);
				assert_int_equal(fcntl(fd[0], F_GETFL), on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
			}
		assert_int_equal(fcntl(fd[0], F_SETFL, O_ASYNC), 0);	/* what else there is stays */
	}
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(ring_nonblock(fd[0], true), -EBADF);
	assert_false(ring_unread(fd[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_lists), cmocka_unit_test(test_send),
		cmocka_unit_test(test_stats), cmocka_unit_test(test_wake), cmocka_unit_test(test_wake_zero), cmocka_unit_test(test_commit),
		cmocka_unit_test(test_commit_end), cmocka_unit_test(test_accept_again), cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_other_sockets),
	};

	alarm(60);		/* a thread that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
