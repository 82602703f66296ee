/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_service.c - the thread and its queues: routing, pieces, waiting for a
 * checkpoint, ends in every state, and more requests than there is room for.  The
 * test is the workers; it waits for wake-ups, never for a time.
 */
#include "service.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_wal.h"
#include "../../www/page.h"

static struct counters count[2];
static const struct counters *const counters[] = { &count[0], &count[1] };
static struct health health;
static struct service *s;
static sem_t woken[2];
static int kicks;

static void wake(void *arg, unsigned worker)
{
	(void)arg;
	sem_post(&woken[worker]);
}

static void kick(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&kicks, 1, __ATOMIC_RELAXED);
}

static void start(unsigned settle_ms)
{
	const struct service_env env = {
		.wal = FAKE_WAL, .class = WAL_NVMM, .nworkers = 2, .counters = counters,
		.health = &health, .version = "1", .ring = "uring", .store = "/", .listen = "x",
		.buf_size = 2048, .settle_ms = settle_ms, .wake = wake, .kick_checkpoint = kick,
	};

	sem_init(&woken[0], 0, 0);
	sem_init(&woken[1], 0, 0);
	__atomic_store_n(&kicks, 0, __ATOMIC_RELAXED);
	fake_reset();
	assert_int_equal(service_start(&s, &env), 0);
}

static int setup(void **state)
{
	(void)state;
	start(3600000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	service_stop(s);
	assert_int_equal(fake.cursors, 0);
	fake_reset();
	return 0;
}

static struct service_req *ask(unsigned w, const char *method, const char *target)
{
	return service_ask(s, w, 7, 9, method, target, true, true);
}

/* The next piece of worker w, however long it takes. */
static struct service_req *piece(unsigned w)
{
	struct service_req *r;

	while (!(r = service_ready(s, w)))
		sem_wait(&woken[w]);
	return r;
}

struct got {
	char *all, *body;
	size_t n;
	int status, pieces;
	bool close;
};

static struct got collect(struct service_req *want, unsigned w)
{
	struct got g = { .all = calloc(1, 4u << 20) };
	struct service_req *r;

	for (;;) {
		r = piece(w);
		assert_ptr_equal(r, want);
		assert_int_equal(r->conn, 7);
		assert_int_equal(r->conn_gen, 9);
		assert_true(r->len > 0 && r->len <= SERVICE_PIECE);
		memcpy(g.all + g.n, r->data, r->len);
		g.n += r->len;
		g.pieces++;
		if (r->last)
			break;
		service_next(r);
	}
	g.status = r->status;
	g.close = r->close_after;
	assert_false(r->truncated);
	service_end(r);
	g.body = strstr(g.all, "\r\n\r\n") + 4;
	return g;
}

static struct got get(unsigned w, const char *method, const char *target)
{
	struct service_req *r = ask(w, method, target);

	assert_non_null(r);
	return collect(r, w);
}

static void test_routes(void **state)
{
	static const struct { const char *method, *target; int status; const char *has; } t[] = {
		{ "GET", "/-", 200, "<!DOCTYPE html>" },
		{ "GET", "/-/", 200, "Content-Security-Policy: default-src 'none'" },
		{ "GET", "/-/?x=/../", 200, "<!DOCTYPE html>" },
		{ "GET", "/-/metrics", 200, "\npasted_ready 1\n" },
		{ "GET", "/-/stats", 200, "\"class\":\"nvmm\"" },
		{ "GET", "/-/stats?t=1", 200, "\"class\":\"nvmm\"" },
		{ "GET", "/-/records", 200, "\"lanes\":[" },
		{ "GET", "/-/records/0-1", 200, "\r\n\r\nhello" },
		{ "GET", "/-/records/0-1..", 200, "{\"record\":\"0-1\"" },
		{ "GET", "/-/records/0-2", 404, ",\"error\":" },
		{ "GET", "/-/records/x", 400, ",\"error\":" },
		{ "GET", "/-/records?tail=1", 400, ",\"error\":" },
		{ "GET", "/-/recordsx", 404, ",\"error\":" },
		{ "GET", "/-/stats/", 404, ",\"error\":" },
		{ "GET", "/-/../etc/passwd", 404, ",\"error\":" },
		{ "GET", "/-/%2e%2e/", 404, ",\"error\":" },
		{ "GET", "/-x", 404, ",\"error\":" },
		{ "GET", "", 404, ",\"error\":" },
		{ "OPTIONS", "/-/", 204, "Allow: GET, HEAD, OPTIONS" },
		{ "OPTIONS", "/-/nowhere", 204, "Allow: GET, HEAD, OPTIONS" },
		{ "POST", "/-/", 405, "Allow: GET, HEAD, OPTIONS" },
		{ "DELETE", "/-/records/0-1", 405, "Allow: GET, HEAD, OPTIONS" },
		{ "AVERYLONGMETHODNAME", "/-/", 405, "Allow: " },
	};
	struct got g;

	(void)state;
	fake_add(0, "", "hello");
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		g = get(i % 2, t[i].method, t[i].target);
		if (g.status != t[i].status || !strstr(g.all, t[i].has))
			fail_msg("%s %s: %s", t[i].method, t[i].target, g.all);
		assert_int_equal(atoi(g.all + 9), g.status);
		assert_false(g.close);
		free(g.all);
	}
}

/* HEAD: the same head, no body. */
static void test_head(void **state)
{
	static const char *const t[] = { "/-/", "/-/records", "/-/records/0-1", "/-/records/9-1", "/-/nowhere" };
	struct got g, h;
	char length[64];

	(void)state;
	fake_add(0, "", "hello");
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		g = get(0, "GET", t[i]);
		h = get(0, "HEAD", t[i]);
		assert_int_equal(h.n, (size_t)(h.body - h.all));
		assert_int_equal(h.status, g.status);
		snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", g.n - (size_t)(g.body - g.all));
		assert_non_null(strstr(g.all, length));
		assert_non_null(strstr(h.all, length));
		free(g.all), free(h.all);
	}
}

static void test_long_target(void **state)
{
	char t[SERVICE_TARGET + 300];
	struct got g;

	(void)state;
	memset(t, 'a', sizeof t - 1);
	t[sizeof t - 1] = 0;
	memcpy(t, "/-/?", 4);
	g = get(0, "GET", t);
	assert_int_equal(g.status, 404);
	free(g.all);
	t[SERVICE_TARGET] = 0;
	g = get(0, "GET", t);
	assert_int_equal(g.status, 200);
	free(g.all);
}

static void test_pieces(void **state)
{
	size_t n = 1000000, h;
	char *rec = malloc(n + 64);
	struct got g;

	(void)state;
	h = (size_t)sprintf(rec, "POST / HTTP/1.1\r\n\r\n");
	for (size_t i = 0; i < n; i++)
		rec[h + i] = (char)(i * 13 + i / 255);
	fake_add_bytes(1, rec, h + n);
	g = get(0, "GET", "/-/records/1-1");
	assert_true(g.pieces >= (int)(n / SERVICE_PIECE));
	assert_memory_equal(g.body, rec + h, n);
	free(g.all);
	g = get(1, "GET", "/-/records/1?tail=9");
	assert_true(g.n > n * 4 / 3);
	free(g.all);
	g = get(1, "GET", "/-/");
	assert_memory_equal(g.body, page_html, page_html_len);
	free(g.all);
	free(rec);
}

static void settle(unsigned lane, uint64_t seq)
{
	__atomic_store_n(&fake.settled[lane], seq, __ATOMIC_RELEASE);
}

/* One that waits for a checkpoint holds up nobody, and goes on when it came. */
static void test_wait(void **state)
{
	struct service_req *r;
	struct got g;

	(void)state;
	fake_add(0, "", "one"), fake_add(0, "", "two");
	settle(0, 1);
	r = ask(0, "GET", "/-/records/0-2");
	assert_non_null(r);
	g = get(1, "GET", "/-/records/0-1");
	assert_int_equal(g.status, 200);
	free(g.all);
	while (!__atomic_load_n(&kicks, __ATOMIC_RELAXED))
		sched_yield();
	assert_null(service_ready(s, 0));
	settle(0, 2);
	g = collect(r, 0);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "two");
	free(g.all);
}

/* One that has waited and then takes several slices goes on though nothing else comes. */
static void test_wait_and_slices(void **state)
{
	char *rec = calloc(1, 100000);
	struct service_req *r;
	struct got g;

	(void)state;
	fake_add_bytes(0, rec, 100000);
	free(rec);
	fake.slices = 3;
	settle(0, 0);
	r = ask(0, "GET", "/-/records/0-1");
	assert_non_null(r);
	while (__atomic_load_n(&kicks, __ATOMIC_RELAXED) < 2)	/* so it sleeps in between */
		sched_yield();
	settle(0, 1);
	alarm(60);	/* to give up */
	g = collect(r, 0);
	alarm(0);
	assert_int_equal(g.status, 200);
	free(g.all);
}

/* One that takes for ever to be checked holds up nobody, and can be given up. */
static void test_busy(void **state)
{
	char *rec = calloc(1, 100000);
	struct service_req *r, *other;
	struct got g;

	(void)state;
	fake_add_bytes(0, rec, 100000);
	fake_add(0, "", "two");
	free(rec);
	fake.slices = UINT32_MAX;
	r = ask(0, "GET", "/-/records/0-1");
	other = ask(0, "GET", "/-/records/0-1..2");
	assert_true(r && other);
	assert_ptr_equal(piece(0), other);	/* its head; nothing follows it */
	service_next(other);
	for (int i = 0; i < 3; i++) {
		g = get(1, "GET", i % 2 ? "/-/records/0-2" : "/-/metrics");
		assert_int_equal(g.status, 200);
		free(g.all);
	}
	assert_null(service_ready(s, 0));
	service_end(r);
	g = get(1, "GET", "/-/");
	assert_int_equal(g.status, 200);
	free(g.all);
}

static void test_wait_in_vain(void **state)
{
	struct got g;

	(void)state;
	start(1);
	fake_add(0, "", "one");
	settle(0, 0);
	g = get(0, "GET", "/-/records/0-1");
	assert_int_equal(g.status, 503);
	assert_non_null(strstr(g.all, "\r\nRetry-After: "));
	free(g.all);
}

/* As many as there may be, then no more; after an end there is room again. */
static void test_full(void **state)
{
	struct service_req *r[SERVICE_REQS + 1];
	unsigned n = 0, i;
	struct got g;

	(void)state;
	fake_add(0, "", "one");
	settle(0, 0);
	while ((r[n] = ask(0, "GET", n % 2 ? "/-/records/0-1..1" : "/-/records/0?tail=1")))
		assert_true(++n <= SERVICE_REQS);
	assert_int_equal(n, SERVICE_REQS / 2 - SERVICE_REQS / 8);	/* the rest is for records by name */
	while ((r[n] = ask(0, "GET", "/-/records/0-1")))
		assert_true(++n <= SERVICE_REQS);
	assert_int_equal(n, SERVICE_REQS / 2 - SERVICE_REQS / 32);
	g = get(0, "GET", "/-/metrics");	/* what is not a record has a reserve */
	assert_int_equal(g.status, 200);
	free(g.all);
	g = get(1, "GET", "/-/");	/* the other worker has its own */
	assert_int_equal(g.status, 200);
	free(g.all);
	for (i = 0; i < n; i += 2)	/* these die waiting */
		service_end(r[i]);
	settle(0, 1);
	for (i = 1; i < n; i += 2)
		assert_true(piece(0)->last);
	for (i = 1; i < n; i += 2)
		service_end(r[i]);
	while (!(r[0] = ask(0, "GET", "/-/")))
		sched_yield();
	g = collect(r[0], 0);
	assert_int_equal(g.status, 200);
	free(g.all);
}

/* Ended at once, with the piece ready, between pieces, while the next is made: what
 * a later request gets is always its own. */
static void test_ends(void **state)
{
	char *rec = calloc(1, 500000), body[32], target[64];
	struct service_req *r;
	struct got g;

	(void)state;
	fake_add_bytes(0, rec, 500000);
	free(rec);
	for (int i = 0; i < 20; i++) {
		snprintf(body, sizeof body, "body %d", i);
		fake_add(1, "", body);
	}
	for (int i = 0; i < 400; i++) {
		while (!(r = ask(0, "GET", "/-/records/0-1")))
			sched_yield();	/* the thread has not freed any yet */
		if (i % 4 == 1)
			assert_ptr_equal(piece(0), r);
		if (i % 4 >= 2) {
			assert_ptr_equal(piece(0), r);
			assert_false(r->last);
			service_next(r);
		}
		if (i % 4 == 3)
			assert_ptr_equal(piece(0), r);
		service_end(r);
		snprintf(target, sizeof target, "/-/records/1-%d", i % 20 + 1);
		while (!(r = ask(0, "GET", target)))
			sched_yield();
		g = collect(r, 0);
		snprintf(body, sizeof body, "body %d", i % 20);
		assert_string_equal(g.body, body);
		free(g.all);
	}
}

/* Pieces that were not fetched while freed requests were looked for are not lost,
 * nor delivered twice, nor after their end. */
static void test_stash(void **state)
{
	struct service_req *r[SERVICE_REQS], *more;
	unsigned n = 0, got = 0, i;

	(void)state;
	fake_add(0, "", "one");
	while ((r[n] = ask(0, "GET", "/-/records/0-1")))
		n++;
	for (i = 0; i < n; i++)		/* all pieces are in the queue now */
		sem_wait(&woken[0]);
	assert_null(ask(0, "GET", "/-/records/0-1"));	/* moves them all to the stash */
	service_end(r[0]);
	service_end(r[5]);
	while (!(more = ask(0, "GET", "/-/records/0-9")))
		sched_yield();
	assert_true(more == r[0] || more == r[5]);
	for (i = 0; i < n - 2; i++) {
		struct service_req *p = piece(0);

		assert_ptr_not_equal(p, r[0]);
		assert_ptr_not_equal(p, r[5]);
		assert_int_equal(p->status, 200);
		service_end(p);
		got++;
	}
	assert_ptr_equal(piece(0), more);
	assert_int_equal(more->status, 404);
	service_end(more);
	assert_null(service_ready(s, 0));
	assert_int_equal(got, n - 2);
}

/* Stopped with requests in every state. */
static void test_stop(void **state)
{
	(void)state;
	fake_add(0, "", "one"), fake_add(0, "", "two");
	settle(0, 1);
	ask(0, "GET", "/-/records/0-2");
	ask(0, "GET", "/-/records/0-1..1");
	ask(1, "GET", "/-/metrics");
	piece(1);
	service_end(ask(1, "GET", "/-/"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_routes), TEST(test_head), TEST(test_long_target), TEST(test_pieces),
		TEST(test_wait), TEST(test_wait_and_slices), TEST(test_busy),
		cmocka_unit_test_teardown(test_wait_in_vain, teardown), TEST(test_full), TEST(test_ends), TEST(test_stash), TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
