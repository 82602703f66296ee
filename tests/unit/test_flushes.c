/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_flushes.c - only what must last is flushed: the real worker over a socket, and every
 * flush counted at the seam.  A request that changes nothing, or is refused, flushes no byte;
 * one that is recorded flushes each of its bytes once, and its words.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "../sim/pm_sim.h"
#include "admin/counters.h"
#include "admin/health.h"
#include "ring/ring.h"
#include "segment/segment.h"
#include "server/worker.h"
#include "store/store.h"

#define BUFS	64u
#define BUF	2048u
#define NEVER	(1u << 30)

static struct {
	struct pm_sim *pm;
	struct blk_sim *blk;
	struct pm_ops ops;		/* the simulator's, but for flush */
	struct store *store;
	const uint8_t *pool;
	size_t	 pool_len;
	struct counters counters;
	struct health health;
	struct worker_env env;
	struct worker *worker;
	int	 listener, fd;
	uint64_t bytes, words;		/* flushed of the buffers; of the wal, in words */
} the;

/* Written in the worker's thread, read when its reply has come. */
static void flush(void *ctx, const void *p, size_t n)
{
	const uint8_t *at = p;

	if (at >= the.pool && at < the.pool + the.pool_len)
		__atomic_add_fetch(&the.bytes, n, __ATOMIC_SEQ_CST);
	else
		__atomic_add_fetch(&the.words, n / 8, __ATOMIC_SEQ_CST);
	pm_sim_ops(the.pm)->flush(ctx, p, n);
}

static void lost(void *arg)
{
	(void)arg;
	abort();
}

static void listen_here(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	the.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(the.listener >= 0);
	assert_int_equal(bind(the.listener, (struct sockaddr *)a, len), 0);
	assert_int_equal(listen(the.listener, 16), 0);
	assert_int_equal(getsockname(the.listener, (struct sockaddr *)a, &len), 0);
}

static struct sockaddr_in where;

static int setup(void **state)
{
	static struct head_common common;
	struct store_options o = {
		.store_dir = "/store", .nvmm_path = "/nvmm", .class = CLASS_NVMM, .lanes = 1,
		.pool_bytes = BUFS * BUF, .buf_size = BUF, .segment_bytes = SEG_BYTES_MIN,
		.record_bytes_max = 16384,
	};
	char why[256];

	(void)state;
	memset(&the, 0, sizeof(the));
	head_common_init(&common, "nvmm", NEVER);
	the.pm = pm_sim_new();
	the.blk = blk_sim_new();
	the.ops = *pm_sim_ops(the.pm);
	the.ops.flush = flush;
	o.pm = &the.ops;
	o.blk = blk_sim_ops(the.blk);
	assert_int_equal(store_open(&the.store, &o, why, sizeof(why)), 0);
	the.pool = store_pool_base(the.store, &the.pool_len);
	listen_here(&where);
	the.env = (struct worker_env){
		.ring = &ring_socket, .store = the.store, .common = &common, .health = &the.health, .counters = &the.counters,
		.limits = { 2048, 256, 32, 256, 8000 }, .conns_max = 8, .header_timeout_ms = NEVER,
		.body_timeout_ms = NEVER, .body_step = 1, .idle_timeout_ms = NEVER, .write_timeout_ms = NEVER,
		.pushback_ms = NEVER, .drain_ms = NEVER, .gone = lost,
	};
	assert_int_equal(worker_start(&the.worker, &the.env, 0, -1, &the.listener, 1, why, sizeof(why)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_stop(the.worker, true);
	worker_join(the.worker);
	worker_free(the.worker);
	close(the.listener);
	assert_int_equal(store_close(the.store), 0);
	pm_sim_free(the.pm);
	blk_sim_free(the.blk);
	return 0;
}

/* ---- a client ---- */

static void client(void)
{
	struct timeval patience = { .tv_sec = 30 };

	the.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(the.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(the.fd, (struct sockaddr *)&where, sizeof(where)), 0);
}

/* Its reply's status; only heads without a body behind them that counts here. */
static int reply(void)
{
	char in[2048];
	ssize_t n = recv(the.fd, in, sizeof(in) - 1, 0);
	int status = 0;

	assert_true(n > 0);
	in[n] = '\0';
	assert_int_equal(sscanf(in, "HTTP/1.1 %d", &status), 1);
	return status;
}

/* pieces: in so many, each in a buffer of its own: the worker has each before the next. */
static int ask(const char *request, size_t n, unsigned pieces)
{
	int status;

	client();
	for (unsigned i = 0; i < pieces; i++) {
		size_t from = n * i / pieces, to = n * (i + 1) / pieces;

		assert_int_equal(send(the.fd, request + from, to - from, MSG_NOSIGNAL), to - from);
		if (i + 1 < pieces)
			usleep(20000);		/* else it comes in one: no less is asked of the worker */
	}
	status = reply();
	close(the.fd);
	return status;
}

/* ---- the rule ---- */

static void what_changes_nothing_flushes_nothing(void **state)
{
	static const struct {
		int status;
		const char *request;
	} rows[] = {
		{ 404, "GET / HTTP/1.1\r\nHost: a\r\nCookie: secret=1\r\n\r\n" },
		{ 200, "GET /-/livez HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ 404, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ 0, "OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ 0, "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" },
		{ 405, "POST /-/livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" },
		{ 400, "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" },
		{ 400, "POST  /x HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ 0, "BREW /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" },
		{ 412, "PUT /x HTTP/1.1\r\nHost: a\r\nIf-Match: \"1\"\r\nContent-Length: 5\r\n\r\nhello" },
		{ 413, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n" },
	};

	(void)state;
	the.bytes = the.words = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		/* Of a head that may become a record what has come is flushed at once: a refusal
		 * flushes nothing if it is in the first piece. */
		for (unsigned pieces = 1; pieces < (*rows[i].request == 'P' ? 2 : 4); pieces += 2) {
			int status = ask(rows[i].request, strlen(rows[i].request), pieces);

			if (rows[i].status)
				assert_int_equal(status, rows[i].status);
			assert_true(status != 0);
			if (the.bytes || the.words)
				fail_msg("%llu bytes and %llu words are flushed for: %s",
					 (unsigned long long)the.bytes, (unsigned long long)the.words,
					 rows[i].request);
		}
}

static void what_is_recorded_is_flushed_once(void **state)
{
	static char request[9000];
	static const size_t body[] = { 0, 5, 300, 2000, 7000 };

	(void)state;
	for (size_t i = 0; i < sizeof(body) / sizeof(body[0]); i++)
		for (unsigned pieces = 1; pieces < 4; pieces += 2) {
			size_t n = (size_t)snprintf(request, sizeof(request), "POST /x HTTP/1.1\r\nHost: a\r\n"
						    "Content-Length: %zu\r\n\r\n", body[i]);

			memset(request + n, 'x', body[i]);
			n += body[i];
			the.bytes = the.words = 0;
			assert_int_equal(ask(request, n, pieces), 200);
			assert_int_equal(the.bytes, n);
			/* CLOCK, SEAL, and a FRAG for each buffer that it lies in. */
			assert_in_range(the.words, 3, 2 + (n + BUF - 1) / BUF + pieces);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_changes_nothing_flushes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_recorded_is_flushed_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
