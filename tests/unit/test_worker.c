/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_worker.c - the worker's times and numbers, on a clock that the test moves: each
 * deadline when it is due and not before, twice in one life; what renews one and what
 * does not; each counter, and the latencies against a delay that was made.
 */
#include "ask.h"
#include "worker_world.h"

#define GET_LIVE "GET /-/livez HTTP/1.1\r\nHost: h\r\n\r\n"

static int nvmm(void **state)
{
	(void)state;
	begin(WAL_NVMM);
	return 0;
}

static int fsync_class(void **state)
{
	(void)state;
	begin(WAL_FSYNC);
	return 0;
}

static int over(void **state)
{
	(void)state;
	end();
	return 0;
}

/* ---- deadlines ---- */

/* From the answer on, not from the beginning; a second connection has a time of its own. */
static void test_idle(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(IDLE_MS - LATE);
		assert_false(gone_by_now(0));
		post(0, 10);
		settle();
		assert_int_equal(status(0), 200);
		client(1);
		pass(IDLE_MS - LATE);
		assert_false(the.line[0].shut || gone_by_now(0));
		assert_int_equal(the.count.timeout_idle, round * 2);
		pass(3 * LATE);
		assert_true(the.line[0].shut && the.line[1].shut);
		assert_int_equal(the.count.timeout_idle, round * 2 + 2);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		put((struct ring_event){ .kind = RING_EOF, .conn = 1 });
		settle();
		assert_true(gone_by_now(0) && gone_by_now(1));
	}
	assert_int_equal(the.count.timeout_head + the.count.timeout_body + the.count.timeout_send, 0);
}

/* From its first byte, and bytes that come meanwhile buy no time. */
static void test_head(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(IDLE_MS / 2);
		say(0, "POST /x HT");
		pass(HEADER_MS / 2);
		say(0, "TP/1.1\r\nHo");
		pass(HEADER_MS / 2 - LATE);
		assert_int_equal(the.line[0].n, 0);
		pass(3 * LATE);
		assert_int_equal(status(0), 408);
		assert_int_equal(the.count.timeout_head, round + 1);
		assert_true(the.line[0].shut);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.status[COUNTER_STATUS_408], 2);
	assert_int_equal(the.count.timeout_idle + the.count.timeout_body + the.count.timeout_send, 0);
}

/* Each BODY_STEP bytes buy BODY_MS, fewer buy nothing. */
static void test_body(void **state)
{
	char piece[BODY_STEP];

	(void)state;
	memset(piece, 'p', sizeof(piece));
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(HEADER_MS);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
		for (int i = 0; i < 3; i++) {
			pass(BODY_MS - LATE);
			assert_int_equal(the.line[0].n, 0);
			bytes(0, piece, BODY_STEP / 2);
			bytes(0, piece, BODY_STEP - BODY_STEP / 2);
		}
		pass(BODY_MS - LATE);
		bytes(0, piece, BODY_STEP - 1);
		assert_int_equal(the.line[0].n, 0);
		pass(3 * LATE);
		assert_int_equal(status(0), 408);
		assert_int_equal(the.count.timeout_body, round + 1);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_send, 0);
	assert_int_equal(the.w->pool->nfree + the.w->pool->lent, the.w->pool->n);
}

/* A reply that is not taken; what leaves of the output renews it. */
static void test_write(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		the.line[0].hold = true;
		post(0, 1);
		post(0, 1);
		pass(WRITE_MS - LATE);
		assert_true(the.line[0].sending);
		the.line[0].hold = false;
		turn();				/* one has left, the other is on its way */
		the.line[0].hold = true;
		turn();
		pass(WRITE_MS - 2 * LATE);
		assert_false(gone_by_now(0));
		assert_int_equal(the.count.timeout_send, round);
		pass(4 * LATE);
		settle();
		assert_true(gone_by_now(0) && the.line[0].forgotten);
		assert_int_equal(the.count.timeout_send, round + 1);
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_body, 0);
}

/* Who waits for an answer of ours is not idle, however long it takes. */
static void test_no_deadline_for_us(void **state)
{
	(void)state;
	client(0);
	the.hold_commits = true;
	post(0, 1);
	pass(5 * IDLE_MS);
	assert_false(the.line[0].shut || gone_by_now(0));
	assert_int_equal(the.line[0].n, 0);
	the.hold_commits = false;
	settle();
	assert_int_equal(status(0), 200);
	pass(IDLE_MS - 2 * LATE);
	assert_false(the.line[0].shut);
	pass(4 * LATE);
	assert_true(the.line[0].shut);
}

/* What lies in the socket when its time is over was sent in time: once for each deadline. */
static void test_unread(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		say(0, "POST /x HT");
		the.line[0].unread = true;
		pass(HEADER_MS + 40);
		assert_int_equal(the.line[0].n, 0);
		say(0, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 200);
		say(0, "POST /x HT");
		pass(HEADER_MS + 4 * LATE);
		assert_int_equal(status(0), 408);
		the.line[0].unread = false;
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.timeout_head, 2);
}

/* The loop was away, not the client. */
static void test_away(void **state)
{
	(void)state;
	client(0);
	say(0, "POST /x HT");
	for (int i = 0; i < 3; i++) {
		atomic_fetch_add(&the.ns, 60000000000u);
		turn();
		assert_int_equal(the.line[0].n, 0);
	}
	say(0, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_int_equal(status(0), 200);
}

/* ---- the last reply, and after it ---- */

static void refused_while_sending(uint32_t h)
{
	client(h);
	say(h, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
	settle();
	assert_int_equal(status(h), 413);
	assert_true(the.line[h].shut);
}

/* Without another byte it is closed after a while; each time. */
static void test_linger(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		say(0, "GET /-/livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		settle();
		assert_int_equal(status(0), 200);
		assert_true(the.line[0].shut);
		pass(2000 - LATE);
		assert_false(gone_by_now(0));
		pass(3 * LATE);
		settle();
		assert_true(gone_by_now(0));
		refused_while_sending(1);
		pass(5000 - LATE);
		assert_false(gone_by_now(1));
		pass(3 * LATE);
		settle();
		assert_true(gone_by_now(1));
	}
}

/* Who still sends is read, as long as it sends at the rate of a body, and five minutes in all. */
static void test_linger_rate(void **state)
{
	char piece[BODY_STEP];
	uint64_t ms = 0;

	(void)state;
	memset(piece, 'p', sizeof(piece));
	refused_while_sending(0);
	while (!gone_by_now(0) && ms < 400000) {
		bytes(0, piece, BODY_STEP);
		pass(4000);
		ms += 4000;
		settle();
	}
	assert_in_range(ms, 300000, 310000);
	refused_while_sending(1);
	for (int i = 0; i < 2; i++) {
		bytes(1, piece, BODY_STEP / 2);
		pass(2000);
		assert_false(gone_by_now(1));
	}
	bytes(1, piece, BODY_STEP / 2 - 1);	/* it had its time for what came before */
	pass(5000 + LATE);
	settle();
	assert_true(gone_by_now(1));
	assert_int_equal(the.w->pool->nfree + the.w->pool->lent, the.w->pool->n);
}

/* ---- the stop ---- */

static void test_drain(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 4; h++)
		client(h);
	post(0, 1);				/* 0 idle, 1 in a head, 2 in a body, 3 just there */
	settle();
	assert_int_equal(status(0), 200);
	pass(1500);
	say(1, "POST /x HT");
	say(2, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
	pass(1000);
	client(4);
	worker_stop(the.w, false);
	settle();
	assert_true(the.line[0].shut && the.line[3].shut);	/* idle for long */
	assert_false(the.line[1].shut || the.line[2].shut || the.line[4].shut);
	say(4, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_int_equal(status(4), 503);
	assert_int_equal(the.count.refused_draining, 1);
	say(1, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_non_null(strstr(got(1), "Connection: close"));
	assert_true(the.line[1].shut);
	assert_false(the.ended);
	for (int i = 0; i < 8 && !the.ended; i++) {	/* 2 goes on sending until it is cut off */
		say(2, "x");
		pass(DRAIN_MS / 8 > BODY_MS ? BODY_MS - LATE : DRAIN_MS / 8);
	}
	settle();
	assert_true(the.ended || the.line[2].shut);
}

/* At the end of drain-timeout all is cut off, not before. */
static void test_drain_end(void **state)
{
	char piece[BODY_STEP];

	(void)state;
	memset(piece, 'p', sizeof(piece));
	client(0);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n");
	worker_stop(the.w, false);
	for (unsigned ms = 0; ms < DRAIN_MS - 2000; ms += 2000) {
		bytes(0, piece, BODY_STEP);
		pass(2000);
		assert_false(the.ended || the.line[0].shut || gone_by_now(0));
	}
	bytes(0, piece, BODY_STEP);
	pass(2000 + LATE);
	settle();
	assert_true(the.ended);
	assert_int_equal(the.count.timeout_body, 0);
}

/* Who comes while it drains has a second. */
static void test_drain_late(void **state)
{
	(void)state;
	client(0);
	worker_stop(the.w, false);
	turn();
	pass(1000 - LATE);
	assert_false(the.line[0].shut || the.ended);
	pass(3 * LATE);
	assert_true(the.line[0].shut);
	put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
	settle();
	assert_true(the.ended);
}

/* ---- numbers ---- */

static uint64_t latencies(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += the.count.latency[i];
	return n;
}

/* What a commit took is what is told of it, in the right bucket, and of each request. */
static void test_latency(void **state)
{
	static const unsigned ms[] = { 37, 5, 700 };
	uint64_t sum = 0;

	(void)state;
	client(0);
	client(1);
	for (unsigned i = 0; i < 3; i++) {
		the.hold_commits = true;
		post(0, 1);		/* its commit begins at once */
		atomic_fetch_add(&the.ns, 3000000);
		post(1, 1);		/* waits for the next one: both are of this turn */
		post(1, 1);
		atomic_fetch_add(&the.ns, ms[i] * 1000000ull);
		the.hold_commits = false;
		turn();
		assert_true(the.count.latency[latency_bucket((ms[i] + 3) * 1000)] > 0);
		sum += (ms[i] + 3) * 1000;
		atomic_fetch_add(&the.ns, 2000000);
		turn();
		sum += 2 * (ms[i] + 2) * 1000;
		settle();
		assert_int_equal(the.count.latency_sum_us, sum);
		assert_int_equal(latencies(), 3 * (i + 1));
		assert_int_equal(the.count.recorded, 3 * (i + 1));
	}
}

/* Each counter moves by what happened, and no other. */
static void test_counters(void **state)
{
	static const char chunks[] = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	static const char ranged[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\nx";
	static const char expects[] = "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	/* Heads and bodies; chunks are not recorded with their frames. */
	const size_t round_bytes = strlen("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n") + 10 +
		sizeof(chunks) - 1 - strlen("3\r\n\r\n0\r\n\r\n") + sizeof(ranged) - 1 + sizeof(expects) - 1 + 1;
	struct counters *n = &the.count;

	(void)state;
	for (unsigned k = 1; k <= 2; k++) {
		client(0);
		assert_int_equal(n->conns_open, 1);
		post(0, 10);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(n->recorded, 4 * k - 3);
		bytes(0, chunks, sizeof(chunks) - 1);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(n->chunked, k);
		say(0, GET_LIVE);
		settle();
		assert_int_equal(status(0), 200);
		say(0, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_int_equal(status(0), 404);
		say(0, "OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_int_equal(status(0), 204);
		say(0, "POST /-/livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 405);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nIf-Match: *\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 412);
		say(0, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\nx");
		settle();
		assert_int_equal(status(0), 400);
		say(0, ranged);
		settle();
		assert_int_equal(status(0), 200);
		say(0, expects);
		settle();
		assert_int_equal(status(0), 100);
		say(0, "x");
		settle();
		assert_int_equal(status(0), 200);
		say(0, "POST /x\r\n\r\n");
		settle();
		assert_int_equal(status(0), 400);
		assert_int_equal(n->requests_bad, k);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
		assert_int_equal(n->conns_open, 0);
		assert_int_equal(n->vanished, 2 * k - 2);
		client(0);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_int_equal(n->vanished, 2 * k - 1);
		settle();
		client(1);
		say(1, "POST /x HT");
		put((struct ring_event){ .kind = RING_ERROR, .conn = 1, .res = -ECONNRESET });
		settle();
		assert_int_equal(n->vanished, 2 * k);
		client(1);
		put((struct ring_event){ .kind = RING_ERROR, .conn = 1, .res = -ECONNRESET });
		settle();		/* it owed nothing: it has not vanished inside a request */
		assert_int_equal(n->vanished, 2 * k);
		assert_int_equal(n->conns_accepted, 4 * k);
		assert_int_equal(n->conns_closed, 4 * k);
		assert_int_equal(n->requests_record, 7 * k);
		assert_int_equal(n->requests_read, 2 * k);
		assert_int_equal(n->requests_own, 2 * k);
		assert_int_equal(n->recorded, 4 * k);
		assert_int_equal(n->recorded_bytes, k * round_bytes);
		assert_int_equal(n->status[COUNTER_STATUS_200], 5 * k);
		assert_int_equal(n->status[COUNTER_STATUS_100], k);
		assert_int_equal(n->status[COUNTER_STATUS_204], k);
		assert_int_equal(n->status[COUNTER_STATUS_400], 2 * k);
		assert_int_equal(n->status[COUNTER_STATUS_404], k);
		assert_int_equal(n->status[COUNTER_STATUS_405], k);
		assert_int_equal(n->status[COUNTER_STATUS_412], k);
		assert_int_equal(n->status[COUNTER_STATUS_OTHER], 0);
		assert_int_equal(latencies(), 4 * k);
		assert_int_equal(n->pool_buffers, BUFS);
		assert_int_equal(n->pool_free, the.w->pool->nfree);
		assert_int_equal(n->pool_kernel, the.w->pool->lent);
	}
	assert_int_equal(n->paused + n->refused_pool + n->refused_lane + n->refused_failed + n->refused_nospace +
			 n->refused_draining + n->refused_busy, 0);
	assert_int_equal(n->timeout_idle + n->timeout_head + n->timeout_body + n->timeout_send, 0);
}

/* Turns that had something to do. */
static void test_batches(void **state)
{
	uint64_t n = the.count.batches;

	(void)state;
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(the.count.batches, n);
	client(0);
	assert_int_equal(the.count.batches, n + 1);
	the.stats = (struct ring_stats){ 1, 2, 3, 4, 5, 6, 7, 8, 9, { [RING_COPY_POOL] = 10 }, 11 };
	turn();
	assert_int_equal(the.count.ring_syscalls, 1);
	assert_int_equal(the.count.ring_waits, 2);
	assert_int_equal(the.count.ring_data, 3);
	assert_int_equal(the.count.ring_bytes_in, 4);
	assert_int_equal(the.count.ring_bytes_out, 5);
	assert_int_equal(the.count.ring_sends, 6);
	assert_int_equal(the.count.accept_failed, 7);
	assert_int_equal(the.count.turned_away, 8);
	assert_int_equal(the.count.ring_starved, 9);
	assert_int_equal(the.count.ring_copied_pool, 10);
	assert_int_equal(the.count.ring_zero_copy, 11);
}

/* ---- room ---- */

static bool has(const char *text, const char *what)
{
	return strstr(text, what) != NULL;
}

/* Records in all buffers but the reserve; the rest is lent, and nothing comes back by itself. */
static void fill_pool(uint32_t h)
{
	while (the.nwindow) {
		post(h, 1);
		turn();
		assert_int_equal(status(h), 200);
	}
}

static void empty_pool(void)
{
	while (wal_background(the.wal, 1 << 20) > 0)
		;
	settle();
}

/* No buffer is left: first reading stops, then after pushback-timeout requests are refused out
 * of the reserve; when there are buffers again all is as it was.  Each time. */
static void test_pool_dry(void **state)
{
	(void)state;
	client(0);
	client(1);
	for (unsigned k = 1; k <= 2; k++) {
		fill_pool(0);
		turn();
		assert_int_equal(the.w->pool->nfree, the.w->reserve);
		assert_int_equal(the.count.pool_kernel, 0);
		assert_int_equal(the.count.pool_free, the.w->reserve);
		pass(PUSHBACK_MS - LATE);
		assert_int_equal(the.nwindow, 0);
		pass(2 * LATE);
		assert_int_equal(the.nwindow, the.w->reserve);
		post(0, 1);
		settle();
		const char *text = got(0);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "\r\nRetry-After: 1\r\n") && has(text, "no free buffers"));
		assert_int_equal(the.count.refused_pool, k);
		say(1, GET_LIVE);
		settle();
		assert_int_equal(status(1), 200);
		empty_pool();
		assert_true(the.nwindow > BUFS / 2);
		post(0, 1);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(the.count.refused_pool, k);
	}
	assert_int_equal(the.count.refused_lane + the.count.refused_nospace + the.count.refused_failed, 0);
}

/* The pressure is over before its time: the next one has all of it again. */
static void test_pool_dry_anew(void **state)
{
	(void)state;
	client(0);
	for (unsigned k = 0; k < 3; k++) {
		fill_pool(0);
		turn();
		pass(PUSHBACK_MS - LATE);
		assert_int_equal(the.nwindow, 0);
		empty_pool();
		assert_true(the.nwindow > BUFS / 2);
	}
	assert_int_equal(the.count.refused_pool, 0);
	assert_int_equal(the.count.paused, 0);
}

/* Half of a body is there when buffers run out: it is told, and gives back what it held. */
static void test_pool_dry_half(void **state)
{
	char piece[BUF] = { 0 };
	uint32_t held;

	(void)state;
	client(0);
	client(1);
	say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n");
	bytes(1, piece, sizeof(piece));
	fill_pool(0);
	turn();
	held = the.w->pool->nfree;
	pass(PUSHBACK_MS + LATE);
	bytes(1, piece, sizeof(piece));
	settle();
	assert_true(the.w->pool->nfree + the.w->pool->lent > held + 1);
	for (unsigned n = 2; n < 5; n++)
		bytes(1, piece, n < 4 ? sizeof(piece) : 10000 - 4 * sizeof(piece));
	settle();
	assert_int_equal(status(1), 503);
	assert_int_equal(the.count.refused_pool, 1);
	post(0, 1);			/* which of two reasons: too large wins, its size does not change */
	settle();
	assert_int_equal(status(0), 503);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
	settle();
	assert_int_equal(status(0), 413);
}

/* While no buffer is left nothing is read, however long that takes: whose bytes lie in the socket
 * meanwhile is not late, whatever it owes.  When there are buffers again it has the time of one
 * look, and who has sent nothing is late as ever. */
static void test_pool_dry_unread(void **state)
{
	static const struct { const char *first; unsigned ms; int status; } row[] = {
		{ "POST /x HT", HEADER_MS, 408 },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", BODY_MS, 408 },
		{ "", IDLE_MS, 0 },
	};

	(void)state;
	client(0);
	for (unsigned k = 0; k < 2 * sizeof(row) / sizeof(row[0]); k++) {
		bool sent = k % 2;

		client(1);
		if (*row[k / 2].first)
			say(1, row[k / 2].first);
		pass(row[k / 2].ms / 2);
		say(0, GET_LIVE);		/* so that it is not idle for too long itself */
		settle();
		assert_int_equal(status(0), 200);
		pass(row[k / 2].ms - row[k / 2].ms / 2 - PUSHBACK_MS / 2);
		fill_pool(0);
		turn();
		the.line[1].unread = sent;
		pass(PUSHBACK_MS - 2 * LATE);
		if (sent) {
			assert_false(the.line[1].shut || the.line[1].n);
			assert_int_equal(the.nwindow, 0);
			empty_pool();
			assert_false(the.line[1].shut || the.line[1].n);
			pass(3 * LATE);
		}
		assert_true(the.line[1].shut);
		assert_int_equal(status(1), row[k / 2].status);
		empty_pool();
		put((struct ring_event){ .kind = RING_EOF, .conn = 1 });
		settle();
		assert_true(gone_by_now(1));
	}
	assert_int_equal(the.count.timeout_head, 2);
	assert_int_equal(the.count.timeout_body, 2);
	assert_int_equal(the.count.timeout_idle, 2);
}

/* One who takes no reply and has sent on until no buffer is left goes before anyone is refused,
 * wherever it stands among the connections; but not while a piece of the service's is on its way. */
static void test_pool_hoard(void **state)
{
	const uint32_t last = CONNS - 1;

	(void)state;
	client(0);
	client(last);
	the.line[last].hold = true;
	while (the.nwindow)
		say(last, GET_LIVE);
	pass(ASK_STALL_MS - LATE);
	the.w->conns[last].service_sending = true;
	pass(3 * LATE);
	settle();
	assert_false(gone_by_now(last));
	the.w->conns[last].service_sending = false;
	pass(3 * LATE);
	settle();
	assert_true(gone_by_now(last) && the.line[last].forgotten);
	assert_int_equal(the.count.timeout_send, 1);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
	assert_int_equal(the.count.refused_pool, 0);
}

/* The disk is full: 507 with its own reason and time to come back, of a quota with the word;
 * by itself again when there is room.  Each time. */
static void test_no_room(void **state)
{
	static const struct { int err; const char *why; } row[] = {
		{ ENOSPC, "no room on the disk" }, { EDQUOT, "the quota on the disk is used up" },
		{ ENOSPC, "no room on the disk" },
	};
	const char *text;

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		client(0);
		post(0, 1);
		settle();
		assert_int_equal(status(0), 200);
		blk_sim_fault(the.blk, SIM_WRITE, 1, 0, row[k].err);
		post(0, 1);
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 507 ") && has(text, "\r\nRetry-After: 10\r\n") && has(text, row[k].why));
		assert_true(health_is(&the.health, HEALTH_NOSPACE));
		client(1);
		post(1, 1);
		settle();
		text = got(1);
		assert_true(has(text, "HTTP/1.1 507 ") && has(text, row[k].why));
		assert_int_equal(the.count.refused_nospace, 2 * k + 2);
		assert_int_equal(the.count.status[COUNTER_STATUS_507], 2 * k + 2);
		/* A body that is too large is so on a full disk too. */
		say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
		settle();
		assert_int_equal(status(1), 413);
		blk_sim_fault(the.blk, SIM_WRITE, 1, 1, 0);
		for (int i = 0; i < 8; i++) {
			wal_background(the.wal, 1 << 20);
			health_clear(&the.health, HEALTH_NOSPACE);
			turn();
		}
		for (uint32_t h = 0; h < 2; h++) {
			put((struct ring_event){ .kind = RING_EOF, .conn = h });
			settle();
			pass(10000);
			assert_true(gone_by_now(h));
		}
	}
	client(0);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
	assert_int_equal(lane_failed(the.w->lane), 0);
	assert_int_equal(the.count.refused_pool + the.count.refused_lane + the.count.refused_failed, 0);
}

/* A sync that failed: 503 once and for ever, counted, told, and the other workers go on. */
static void test_failed(void **state)
{
	const char *text;

	(void)state;
	the.serving = 2;
	for (uint32_t h = 0; h < 3; h++)
		client(h);
	blk_sim_fault(the.blk, SIM_SYNC, 1, 1, EIO);
	the.hold_commits = true;
	post(0, 1);
	post(1, 1);			/* waits behind it */
	the.hold_commits = false;
	settle();
	for (uint32_t h = 0; h < 2; h++) {
		text = got(h);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "has failed") && has(text, "Connection: close"));
		assert_true(the.line[h].shut);
	}
	assert_int_equal(the.count.refused_failed, 2);
	post(2, 1);
	settle();
	text = got(2);
	assert_true(has(text, "HTTP/1.1 503 ") && has(text, "has failed"));
	assert_int_equal(the.count.refused_failed, 3);
	assert_int_equal(the.count.recorded, 0);
	assert_int_equal(latencies(), 0);
	assert_true(health_is(&the.health, HEALTH_LANE_FAILED));
	assert_int_equal(the.serving, 1);
	assert_false(the.accepting);		/* there is another one for new clients */
	assert_false(the.gone);
}

/* The next segment is not there yet: requests wait, are refused after pushback-timeout in which
 * nothing moved, and go on when it is there.  Each time. */
static void test_segment_wait(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 2; h++)
		client(h);
	for (unsigned k = 1; k <= 2; k++) {
		int st = 200;

		for (int i = 0; i < 60 && st == 200; i++) {
			post(0, 11000);
			settle();
			st = status(0);
		}
		assert_int_equal(st, 0);	/* it waits */
		pass(PUSHBACK_MS - 2 * LATE);
		assert_int_equal(the.line[0].n, 0);
		pass(5 * LATE);
		assert_int_equal(status(0), 503);
		assert_int_equal(the.count.refused_lane + the.count.refused_pool, 2 * k - 1);
		post(0, 11000);
		assert_int_equal(the.line[0].n, 0);
		post(0, 1);			/* behind it, in the same connection: reading stops */
		assert_true(the.line[0].paused);
		assert_int_equal(the.count.paused, k);
		pass(PUSHBACK_MS / 2);
		empty_pool();
		assert_int_equal(status(0), 200);
		assert_false(the.line[0].paused);
		assert_int_equal(the.count.refused_lane + the.count.refused_pool, 2 * k - 1);
		the.count.refused_lane++;	/* so that both rounds are the same sum */
	}
}

/* What had come stands behind the end of its connection, in one batch: its buffer comes back. */
static void test_data_behind_the_end(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 20; k++) {
		uint32_t buf;

		client(0);
		say(0, "POST /x HT");
		assert_true(the.nwindow > BUFS / 2);
		buf = the.window[--the.nwindow];
		put((struct ring_event){ .kind = RING_ERROR, .conn = 0, .res = -ECONNRESET });
		put((struct ring_event){ .kind = RING_DATA, .conn = 0, .buf = buf, .len = 3 });
		settle();
		assert_true(gone_by_now(0));
		assert_int_equal(the.w->pool->nfree + the.w->pool->lent, BUFS);
	}
}

/* ---- health ---- */

/* Answered by the worker itself, with a body but to HEAD, and when to come back. */
static void test_health(void **state)
{
	const char *text;

	(void)state;
	client(0);
	for (unsigned k = 0; k < 2; k++) {
		say(0, GET_LIVE);
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 200 OK\r\n") && has(text, "\r\n\r\nalive\n") && !has(text, "Retry-After"));
		say(0, "HEAD /-/livez?x HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 200 OK\r\n") && has(text, "Content-Length: 6\r\n"));
		assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
		say(0, "GET /-/readyz HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_true(has(got(0), "\r\n\r\nready\n"));
		health_set(&the.health, HEALTH_NOSPACE, -ENOSPC);
		say(0, "GET /-/readyz HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "Retry-After: 1\r\n") && has(text, "no-space"));
		say(0, GET_LIVE);
		settle();
		assert_int_equal(status(0), 200);
		health_clear(&the.health, HEALTH_NOSPACE);
	}
	assert_int_equal(the.count.status[COUNTER_STATUS_200], 8);
	assert_int_equal(the.count.status[COUNTER_STATUS_503], 2);
}

/* ---- a start that fails ---- */

static int open_not(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)r;
	(void)p;
	snprintf(why, why_len, "no ring here");
	return -EPERM;
}

static int open_other(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)p;
	(void)why;
	(void)why_len;
	*r = (struct ring *)&the.stats;
	return 0;
}

static struct blk_aio *no_aio(struct ring *k)
{
	(void)k;
	return NULL;
}

/* Said why, nothing is left of it (the leak sanitizer looks). */
static void test_start_fails(void **state)
{
	struct ring_ops ops = world_ring;
	struct worker_env env = the.env;
	struct worker *w = the.w;
	char why[256];

	(void)state;
	env.ring = &ops;
	for (unsigned k = 0; k < 2; k++) {
		ops.open = open_not;
		assert_int_equal(worker_start(&w, &env, 0, -1, NULL, 0, why, sizeof(why)), -EPERM);
		assert_null(w);
		assert_string_equal(why, "worker 0: no ring here");
		ops.open = open_other;
		ops.aio = no_aio;
		assert_int_equal(worker_start(&w, &env, 0, -1, NULL, 0, why, sizeof(why)), -EAGAIN);
		assert_null(w);
		assert_string_equal(why, "worker 0: no thread for the commits");
	}
}

#define T(test, class) cmocka_unit_test_setup_teardown(test, class, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_idle, nvmm),
		T(test_head, nvmm),
		T(test_body, nvmm),
		T(test_write, nvmm),
		T(test_no_deadline_for_us, fsync_class),
		T(test_unread, nvmm),
		T(test_away, nvmm),
		T(test_linger, nvmm),
		T(test_linger_rate, nvmm),
		T(test_drain, nvmm),
		T(test_drain_end, nvmm),
		T(test_drain_late, nvmm),
		T(test_latency, fsync_class),
		T(test_counters, nvmm),
		T(test_batches, nvmm),
		T(test_pool_dry, nvmm),
		T(test_pool_dry_anew, nvmm),
		T(test_pool_dry_half, nvmm),
		T(test_pool_dry_unread, nvmm),
		T(test_pool_hoard, nvmm),
		T(test_no_room, fsync_class),
		T(test_failed, fsync_class),
		T(test_segment_wait, fsync_class),
		T(test_start_fails, fsync_class),
		T(test_health, nvmm),
		T(test_data_behind_the_end, nvmm),
	};

	alarm(120);		/* a worker that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
