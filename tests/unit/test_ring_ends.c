/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_ring_ends.c - the second half of test_ring.c: how connections begin and end.
 */
#include "ring_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- ends ---- */

static void half_close(void **state)
{
	struct world *w = world_new(64, 2048, 4);
	size_t n = 4 << 20;
	uint8_t *big = malloc(n);

	(void)state;
	for (int l = 0; l < LISTENERS; l++) {
		int fd = client_connect(w, l);
		uint32_t conn;
		uint8_t in[4096];
		size_t got = 0;

		assert_true(client_write(fd, "hello", 5));
		shutdown(fd, SHUT_WR);
		WORLD_UNTIL(w, w->accepted == (unsigned)l + 1 && w->c[w->last_conn].eof);
		conn = w->last_conn;
		assert_int_equal(w->c[conn].listener, l);
		assert_true(w->c[conn].got == 5);
		for (size_t i = 0; i < n; i++)
			big[i] = pattern((uint32_t)l, i);
		/* the end of our side, asked for while the send is under way */
		world_send(w, conn, big, n);
		world_turn(w, 0);
		ring_ops->shutdown(w->ring, conn);
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		for (;;) {
			ssize_t k = recv(fd, in, sizeof(in), 0);

			world_watchdog("the end of the reply", k < 0);
			if (k == 0)
				break;
			if (k < 0) {
				assert_int_equal(errno, EAGAIN);
				world_turn(w, 1);
				continue;
			}
			for (ssize_t i = 0; i < k; i++)
				assert_int_equal(in[i], pattern((uint32_t)l, got + (size_t)i));
			got += (size_t)k;
		}
		world_watchdog(NULL, false);
		assert_true(got == n);
		WORLD_UNTIL(w, w->c[conn].sent == 1);
		assert_int_equal(w->c[conn].sent_res, 0);
		close(fd);
		world_close_conn(w, conn);
		WORLD_UNTIL(w, !w->open);
	}
	free(big);
	world_end(w);
}

static void shutdown_when_nothing_is_sent(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	int fd = client_connect(w, LISTEN_4);
	char c;

	(void)state;
	WORLD_UNTIL(w, w->accepted == 1);
	world_send(w, 0, "x", 1);
	ring_ops->shutdown(w->ring, 0);		/* in the same batch */
	ring_ops->shutdown(w->ring, 0);		/* twice is once */
	WORLD_UNTIL(w, w->c[0].sent == 1);
	assert_true(client_read(fd, &c, 1) && c == 'x' && client_eof(fd));
	close(fd);
	WORLD_UNTIL(w, w->c[0].eof);
	world_close_conn(w, 0);
	world_end(w);
}

/*
 * A multishot receive of io_uring can lose an end that comes right after data, see
 * ring_uring.c: all four ways, with less and more data than the kernel takes at once.
 */
static void end_right_behind_the_data(void **state)
{
	static const unsigned size[] = { 5, 20 * 512, 40 * 512, 70 * 512 + 1 };
	/* small, so that little is many; the module's buffers are not smaller than 2048 */
	struct world *w = world_new(128, ring_ops == &ring_paste ? 2048 : 512, 8);
	static char data[70 * 512 + 1];
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 4 * 4 * LISTENERS; i++) {
		bool reset = i & 1, reading = i & 2;
		int l = (int)(i / 4) % LISTENERS, fd = client_connect(w, l);
		size_t k = size[i / 4 / LISTENERS];

		assert_true(fd >= 0);
		if (reading) {
			WORLD_UNTIL(w, w->accepted == n + 1);
			world_idle(w, 2);
		}
		assert_true(client_write(fd, data, k));
		if (reset)
			client_reset(fd);
		else
			shutdown(fd, SHUT_WR);
		WORLD_UNTIL(w, w->accepted == n + 1);
		WORLD_UNTIL(w, w->c[w->last_conn].eof || w->c[w->last_conn].error);
		if (!reset)
			assert_true(w->c[w->last_conn].eof && w->c[w->last_conn].got == k);
		world_close_conn(w, w->last_conn);
		WORLD_UNTIL(w, w->closed == n + 1);
		n++;
		if (!reset)
			close(fd);
	}
	world_end(w);
}

static void reset_while_sending(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	size_t n = 32 << 20;
	uint8_t *big = calloc(1, n);
	int fd = client_connect(w, LISTEN_4);

	(void)state;
	WORLD_UNTIL(w, w->accepted == 1);
	world_send(w, 0, big, n);
	world_idle(w, 3);
	assert_int_equal(w->c[0].sent, 0);
	client_reset(fd);
	WORLD_UNTIL(w, w->c[0].sent == 1 && (w->c[0].error || w->c[0].eof));
	assert_true(w->c[0].sent_res == -ECONNRESET || w->c[0].sent_res == -EPIPE);
	world_close_conn(w, 0);
	world_end(w);
	free(big);
}

static void reset_while_idle_is_an_error(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	int fd = client_connect(w, LISTEN_6);

	(void)state;
	WORLD_UNTIL(w, w->accepted == 1);
	world_idle(w, 2);
	client_reset(fd);
	WORLD_UNTIL(w, w->c[0].error);
	assert_false(w->c[0].eof);
	world_send(w, 0, "x", 1);
	WORLD_UNTIL(w, w->c[0].sent == 1);
	assert_true(w->c[0].sent_res < 0);
	world_close_conn(w, 0);
	world_end(w);
}

static void close_while_sending(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	size_t n = 32 << 20;
	uint8_t *big = calloc(1, n);

	(void)state;
	for (unsigned i = 1; i <= 20; i++) {
		int fd = client_connect(w, (int)i % LISTENERS);
		uint32_t conn;

		WORLD_UNTIL(w, w->accepted == i);
		conn = w->last_conn;
		if (i % 2)
			assert_true(client_write(fd, big, 3000));	/* unread data as well */
		world_send(w, conn, big, n);
		if (i % 3)
			world_turn(w, 0);
		world_close_conn(w, conn);
		WORLD_UNTIL(w, !w->open);
		assert_int_equal(w->c[conn].sent, 0);
		memset(big, (int)i, n);		/* no one reads it any more */
		close(fd);
	}
	free(big);
	world_end(w);
}

static void close_at_every_stage(void **state)
{
	struct world *w = world_new(64, 2048, 16);
	char data[6000] = { 0 };

	(void)state;
	for (unsigned i = 1; i <= 60; i++) {
		int fd = client_connect(w, (int)i % LISTENERS);
		uint32_t conn;

		assert_true(client_write(fd, data, sizeof(data)));
		if (i & 1)
			close(fd);
		WORLD_UNTIL(w, w->accepted == i);
		conn = w->last_conn;
		if (i & 2)
			world_turn(w, 0);
		if (i & 4)
			ring_ops->pause(w->ring, conn);
		if (i & 8)
			world_turn(w, 0);
		if (i & 16)
			ring_ops->resume(w->ring, conn);
		world_close_conn(w, conn);
		ring_ops->close_conn(w->ring, conn);	/* twice is once */
		if (i & 32)
			ring_ops->resume(w->ring, conn);
		WORLD_UNTIL(w, w->closed == i);
		if (!(i & 1))
			close(fd);
	}
	world_end(w);
}

static void closed_while_starved(void **state)
{
	struct world *w = world_new(2, 2048, 4);
	char data[10000] = { 0 };
	int fd = client_connect(w, LISTEN_4), fd2 = client_connect(w, LISTEN_4);

	(void)state;
	world_turn(w, 0);
	w->keep = true;
	assert_true(client_write(fd, data, sizeof(data)));
	WORLD_UNTIL(w, w->accepted == 2 && w->given == 0);
	assert_true(client_write(fd2, data, sizeof(data)));
	world_idle(w, 5);
	world_close_conn(w, 0);
	world_close_conn(w, 1);
	WORLD_UNTIL(w, !w->open);
	close(fd);
	close(fd2);
	w->keep = false;
	world_end(w);
}

/* ---- accepting ---- */

static void conns_max_is_a_limit(void **state)
{
	struct world *w = world_new(64, 2048, 4);
	int fd[12];

	(void)state;
	for (int i = 0; i < 12; i++)
		assert_true((fd[i] = client_connect(w, i % LISTENERS)) >= 0);
	WORLD_UNTIL(w, w->accepted == 4);
	world_idle(w, 5);
	assert_int_equal(w->accepted, 4);
	for (unsigned i = 0; i < 12; i++) {
		WORLD_UNTIL(w, w->open > 0 && w->accepted > i);
		for (uint32_t h = 0; h < 4; h++)
			if (w->c[h].open && !w->c[h].closing) {
				world_close_conn(w, h);
				break;
			}
		WORLD_UNTIL(w, w->closed == i + 1);
	}
	assert_int_equal(w->accepted, 12);
	for (int i = 0; i < 12; i++)
		close(fd[i]);
	world_end(w);
}

static void accept_off_and_on(void **state)
{
	struct world *w = world_new(64, 2048, 8);
	int fd, fd2;

	(void)state;
	world_idle(w, 2);
	ring_ops->accept(w->ring, false);
	world_idle(w, 2);
	fd = client_connect(w, LISTEN_4);	/* into the backlog */
	assert_true(fd >= 0);
	world_idle(w, 5);
	assert_int_equal(w->accepted, 0);
	ring_ops->accept(w->ring, true);
	WORLD_UNTIL(w, w->accepted == 1);
	ring_ops->accept(w->ring, false);
	ring_ops->accept(w->ring, true);	/* in one batch */
	world_turn(w, 0);
	ring_ops->accept(w->ring, false);
	world_turn(w, 0);
	ring_ops->accept(w->ring, true);
	fd2 = client_connect(w, LISTEN_UNIX);
	WORLD_UNTIL(w, w->accepted == 2);
	world_close_conn(w, 0);
	world_close_conn(w, 1);
	close(fd);
	close(fd2);
	world_end(w);
}

/* Out of descriptors: neither spins nor gives up. */
static void out_of_descriptors(void **state)
{
	struct world *w = world_new(64, 2048, 64);
	struct rlimit was, now;
	struct ring_stats before, after;
	struct timespec t0, t1;
	int fd[8];

	(void)state;
	world_idle(w, 2);
	ring_ops->accept(w->ring, false);
	world_idle(w, 2);
	for (int i = 0; i < 8; i++)
		assert_true((fd[i] = client_connect(w, i % LISTENERS)) >= 0);
	/* the highest descriptor is in use, so one more fits and then none */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	now.rlim_cur = (rlim_t)fd[7] + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	ring_ops->accept(w->ring, true);
	WORLD_UNTIL(w, w->accepted >= 1);
	world_idle(w, 5);
	assert_true(w->accepted < 8);
	ring_ops->stats(w->ring, &before);
	clock_gettime(CLOCK_MONOTONIC, &t0);	/* clock: for how long; what is judged is a count */
	do {		/* a slow machine makes fewer turns, one that spins many thousands */
		world_turn(w, 50);
		clock_gettime(CLOCK_MONOTONIC, &t1);
	} while ((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 < 300);
	ring_ops->stats(w->ring, &after);
	assert_true(after.syscalls - before.syscalls < 200);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	WORLD_UNTIL(w, w->accepted == 8);
	for (uint32_t i = 0; i < 8; i++)
		world_close_conn(w, i);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	world_end(w);
}

static void thousands_come_and_go(void **state)
{
	struct world *w = world_new(128, 2048, 50);
	char data[3000] = { 0 };
	unsigned n = 0, fds = 0;
	int fd[40];

	(void)state;
	w->echo = true;
	while (n < 3000) {
		for (fds = 0; fds < 40; fds++, n++) {
			fd[fds] = client_connect(w, (int)n % LISTENERS);
			assert_true(fd[fds] >= 0);
			if (n % 4)
				assert_true(client_write(fd[fds], data, n % sizeof(data) + 1));
		}
		if (n % 3)
			world_turn(w, 0);
		for (unsigned i = 0; i < fds; i++)
			if (i % 3)
				close(fd[i]);
			else
				client_reset(fd[i]);
		/* one that is reset in the backlog may never be seen: wait for rest only */
		world_turn(w, 0);
	}
	for (int quiet = 0; quiet < 20; )
		quiet = world_turn(w, 5) ? 0 : quiet + 1;
	assert_true(w->accepted > 2000);
	assert_true(w->accepted == w->closed);
	w->echo = false;
	world_end(w);
}

/* What was received but not handed over when the connection was closed. */
static void closed_with_data_on_the_way(void **state)
{
	struct world *w = world_new(16, 2048, 4);
	char data[12000] = { 0 };

	(void)state;
	w->ev_max = 1;
	for (unsigned i = 1; i <= 6; i++) {
		int fd = client_connect(w, (int)i % LISTENERS);

		assert_true(client_write(fd, data, sizeof(data)));
		WORLD_UNTIL(w, w->accepted == i && w->c[w->last_conn].got > 0);
		world_close_conn(w, w->last_conn);
		WORLD_UNTIL(w, w->closed == i);
		close(fd);
	}
	world_end(w);
}

static void close_with_everything_open(void **state)
{
	size_t n = 32 << 20;
	uint8_t *big = calloc(1, n);
	int fds = fds_open(), fd[7];
	struct world *w = world_new(64, 2048, 4);

	(void)state;
	for (int i = 0; i < 7; i++)	/* three more than the ring may have */
		assert_true((fd[i] = client_connect(w, i % LISTENERS)) >= 0);
	WORLD_UNTIL(w, w->accepted == 4);
	for (uint32_t i = 0; i < 4; i++)
		world_send(w, i, big, n);
	world_idle(w, 2);
	assert_true(client_write(fd[0], big, 5000));
	world_close_conn(w, 1);
	ring_ops->close(w->ring);
	/* nothing is the kernel's any more */
	memset(w->mem, 0xee, (w->first_buf + w->nbufs) * (size_t)w->buf_size);
	memset(big, 1, n);
	for (int i = 0; i < LISTENERS; i++)	/* ends those that no ring has accepted */
		close(w->listener[i]);
	for (int i = 0; i < LISTENERS; i++)	/* or who was not accepted would wait */
		close(w->listener[i]);
	for (int i = 0; i < 7; i++) {
		char c[65536];
		ssize_t k;

		while ((k = recv(fd[i], c, sizeof(c), 0)) > 0)
			for (ssize_t j = 0; j < k; j++)
				assert_int_equal(c[j], 0);
		close(fd[i]);
	}
	for (size_t i = 0; i < (w->first_buf + w->nbufs) * (size_t)w->buf_size; i++)
		assert_int_equal(w->mem[i], 0xee);
	assert_int_equal(fds_open(), fds);
	world_forget(w);
	free(big);
}

int ring_ends_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_close),
		cmocka_unit_test(shutdown_when_nothing_is_sent),
		cmocka_unit_test(end_right_behind_the_data),
		cmocka_unit_test(reset_while_sending),
		cmocka_unit_test(reset_while_idle_is_an_error),
		cmocka_unit_test(close_while_sending),
		cmocka_unit_test(close_at_every_stage),
		cmocka_unit_test(closed_while_starved),
		cmocka_unit_test(closed_with_data_on_the_way),
		cmocka_unit_test(conns_max_is_a_limit),
		cmocka_unit_test(accept_off_and_on),
		cmocka_unit_test(out_of_descriptors),
		cmocka_unit_test(thousands_come_and_go),
		cmocka_unit_test(close_with_everything_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
