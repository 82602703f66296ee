/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_admin.c - the thread and its queues: routing, pieces, waiting for a
 * checkpoint, ends in every state, and more requests than there is room for.  The
 * test is the workers; it waits for wake-ups, never for a time.
 */
#include "admin/admin.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../www/page.h"
#include "admin/endpoint.h"
#include "base/diag.h"
#include "base/must.h"
#include "base/now.h"
#include "fake_store.h"
#include "http/head.h"

static const struct head_common common = {
	.class = "fsync", .fields = "Pasted-Class: fsync\r\n", .fields_len = sizeof("Pasted-Class: fsync\r\n") - 1,
	.keep = "Keep-Alive: timeout=7\r\n", .keep_len = sizeof("Keep-Alive: timeout=7\r\n") - 1,
};
static struct counters count[2];
static const struct counters *const counters[] = { &count[0], &count[1] };
static struct health health;
static struct admin *s;
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

/* ---- the clock: the system's, until a test sets it ---- */

static _Atomic uint64_t clock_ms;

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);	/* clock: for the thread's own patience */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t now_ms(void)
{
	return clock_ms ? clock_ms : now_ns() / 1000000;
}

uint64_t now_coarse_ms(void)
{
	return now_ms();
}

uint64_t now_wall_ms(void)
{
	return 1700000000123;
}

/* ---- how long the thread means to sleep ---- */

static atomic_int sleeps_ms;

int poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	sleeps_ms = timeout_ms;
	return (int)syscall(SYS_poll, p, n, timeout_ms);
}

static void await_sleep(int ms)
{
	alarm(30);		/* to give up */
	while (sleeps_ms != ms)
		sched_yield();
	alarm(0);
}

/* ---- what it says ---- */

static char said[512];		/* written by the thread before the condition shows, or goes */
static enum diag_level said_level;
static _Atomic unsigned says;

void diag(enum diag_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof said, fmt, ap);
	va_end(ap);
	said_level = level;
	says++;
}

void must_fail(const char *expr, const char *file, int line, const char *func)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, func, expr);
	abort();
}

static void start_with(const struct admin_env *env)
{
	sem_init(&woken[0], 0, 0);
	sem_init(&woken[1], 0, 0);
	__atomic_store_n(&kicks, 0, __ATOMIC_RELAXED);
	fake_reset();
	assert_int_equal(admin_start(&s, env), 0);
}

static void start(unsigned settle_ms)
{
	const struct admin_env env = {
		.store = FAKE_STORE, .class = CLASS_NVMM, .nworkers = 2, .counters = counters,
		.health = &health, .common = &common, .version = "1", .ring = "uring", .store_dir = "/", .listen = "x",
		.buf_size = 2048, .settle_ms = settle_ms, .wake = wake, .kick_checkpoint = kick,
	};

	start_with(&env);
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
	admin_stop(s);
	assert_int_equal(fake.cursors, 0);
	for (unsigned l = 0; l < FAKE_LANES; l++)	/* nobody wakes a request whose memory has gone */
		assert_true(TAILQ_EMPTY(&fake_settled[l].followers));
	fake_reset();
	clock_ms = 0;
	return 0;
}

static const struct endpoint *row_of(const char *target)
{
	struct http_req q = { .target_len = (uint32_t)strlen(target) };

	memcpy(q.target, target, q.target_len);
	return endpoint_find(&q);
}

static struct admin_req *ask(unsigned w, const char *method, const char *target)
{
	return admin_ask(s, w, 7, 9, row_of(target), target, !strcmp(method, "HEAD"), true, true);
}

/* The next piece of worker w, however long it takes. */
static struct admin_req *piece(unsigned w)
{
	struct admin_req *r;

	while (!(r = admin_ready(s, w)))
		sem_wait(&woken[w]);
	return r;
}

struct got {
	char *all, *body;
	size_t n;
	int status, pieces;
	bool close;
};

static struct got collect(struct admin_req *want, unsigned w)
{
	struct got g = { .all = calloc(1, 4u << 20) };
	struct admin_req *r;

	for (;;) {
		r = piece(w);
		assert_ptr_equal(r, want);
		assert_int_equal(r->conn, 7);
		assert_int_equal(r->conn_gen, 9);
		assert_true(r->len > 0 && r->len <= ADMIN_PIECE);
		memcpy(g.all + g.n, r->data, r->len);
		g.n += r->len;
		g.pieces++;
		if (r->last)
			break;
		admin_next(r);
	}
	g.status = r->status;
	g.close = r->close_after;
	assert_false(r->truncated);
	admin_end(r);
	g.body = strstr(g.all, "\r\n\r\n") + 4;
	return g;
}

static struct got get(unsigned w, const char *method, const char *target)
{
	struct admin_req *r = ask(w, method, target);

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

/* The longest target that a worker has kept whole. */
static void test_long_target(void **state)
{
	char t[ADMIN_TARGET];
	struct got g;

	(void)state;
	memset(t, 'a', sizeof t - 1);
	t[sizeof t - 1] = 0;
	memcpy(t, "/-/?", 4);
	g = get(0, "GET", t);
	assert_int_equal(g.status, 200);
	free(g.all);
	memcpy(t, "/-/records/", 11);
	g = get(0, "GET", t);
	assert_int_equal(g.status, 400);
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
	assert_true(g.pieces >= (int)(n / ADMIN_PIECE));
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
	fake.settled[lane] = seq;
	follow_moved(&fake_settled[lane]);
}

/* One that waits for a checkpoint holds up nobody, and goes on when it came. */
static void test_wait(void **state)
{
	struct admin_req *r;
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
	assert_null(admin_ready(s, 0));
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
	struct admin_req *r;
	struct got g;

	(void)state;
	fake_add_bytes(0, rec, 100000);
	free(rec);
	fake.slices = 3;
	settle(0, 0);
	r = ask(0, "GET", "/-/records/0-1");
	assert_non_null(r);
	alarm(60);	/* to give up */
	while (sleeps_ms < 3000000)		/* until its deadline, an hour */
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
	struct admin_req *r, *other;
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
	admin_next(other);
	for (int i = 0; i < 3; i++) {
		g = get(1, "GET", i % 2 ? "/-/records/0-2" : "/-/metrics");
		assert_int_equal(g.status, 200);
		free(g.all);
	}
	assert_null(admin_ready(s, 0));
	admin_end(r);
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
	struct admin_req *r[ADMIN_REQS + 1];
	unsigned n = 0, i;
	struct got g;

	(void)state;
	fake_add(0, "", "one");
	settle(0, 0);
	while ((r[n] = ask(0, "GET", n % 2 ? "/-/records/0-1..1" : "/-/records/0?tail=1")))
		assert_true(++n <= ADMIN_REQS);
	assert_int_equal(n, ADMIN_REQS / 2 - ADMIN_REQS / 8);	/* the rest is for records by name */
	while ((r[n] = ask(0, "GET", "/-/records/0-1")))
		assert_true(++n <= ADMIN_REQS);
	assert_int_equal(n, ADMIN_REQS / 2 - ADMIN_REQS / 32);
	g = get(0, "GET", "/-/metrics");	/* what is not a record has a reserve */
	assert_int_equal(g.status, 200);
	free(g.all);
	g = get(1, "GET", "/-/");	/* the other worker has its own */
	assert_int_equal(g.status, 200);
	free(g.all);
	for (i = 0; i < n; i += 2)	/* these die waiting */
		admin_end(r[i]);
	settle(0, 1);
	for (i = 1; i < n; i += 2)
		assert_true(piece(0)->last);
	for (i = 1; i < n; i += 2)
		admin_end(r[i]);
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
	struct admin_req *r;
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
			admin_next(r);
		}
		if (i % 4 == 3)
			assert_ptr_equal(piece(0), r);
		admin_end(r);
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
	struct admin_req *r[ADMIN_REQS], *more;
	unsigned n = 0, got = 0, i;

	(void)state;
	fake_add(0, "", "one");
	while ((r[n] = ask(0, "GET", "/-/records/0-1")))
		n++;
	for (i = 0; i < n; i++)		/* all pieces are in the queue now */
		sem_wait(&woken[0]);
	assert_null(ask(0, "GET", "/-/records/0-1"));	/* moves them all to the stash */
	admin_end(r[0]);
	admin_end(r[5]);
	while (!(more = ask(0, "GET", "/-/records/0-9")))
		sched_yield();
	assert_true(more == r[0] || more == r[5]);
	for (i = 0; i < n - 2; i++) {
		struct admin_req *p = piece(0);

		assert_ptr_not_equal(p, r[0]);
		assert_ptr_not_equal(p, r[5]);
		assert_int_equal(p->status, 200);
		admin_end(p);
		got++;
	}
	assert_ptr_equal(piece(0), more);
	assert_int_equal(more->status, 404);
	admin_end(more);
	assert_null(admin_ready(s, 0));
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
	admin_end(ask(1, "GET", "/-/"));
}

/* The thread has been round once more since all that was said to it before. */
static void round_trip(void)
{
	for (int i = 0; i < 2; i++)
		free(get(1, "GET", "/-/nowhere").all);
}

static void expect_get(const char *target, int status, const char *has)
{
	struct got g = get(0, "GET", target);

	if (g.status != status || !strstr(g.all, has))
		fail_msg("%s: %s", target, g.all);
	free(g.all);
}

/* What cannot be read is told once, tried again each five seconds, and told when it is over; the
 * next time too. */
static void test_trouble(void **state)
{
	(void)state;
	clock_ms = 1000000;
	fake_add(0, "", "one"), fake_add(0, "", "two"), fake_add(0, "", "three");
	for (int i = 0; i < 3; i++) {
		says = 0;
		fake.break_at = 2;
		expect_get("/-/records/0-2", 503, "cannot be read now");
		round_trip();
		await_sleep(5000);		/* it is tried again though nobody asks */
		assert_true(health_is(&health, HEALTH_UNREADABLE));
		assert_int_equal(health.err[HEALTH_UNREADABLE], -EIO);
		assert_int_equal(says, 1);
		assert_int_equal(said_level, DIAG_ERR);
		assert_string_equal(said, "record 0-2 cannot be read: Input/output error; who asks for it gets 503 "
				    "until it can be: look at the storage");
		expect_get("/-/records/0-1..", 200, "\"reason\":\"unreadable\"");
		clock_ms += 5000;			/* tried, and it is no better */
		round_trip();
		assert_true(health_is(&health, HEALTH_UNREADABLE));
		fake.break_at = 0;
		if (i == 2)
			fake.oldest[0] = 3;		/* it has expired: nobody can want it any more */
		clock_ms += 4999;
		round_trip();
		assert_true(health_is(&health, HEALTH_UNREADABLE));
		assert_int_equal(says, 1);
		clock_ms += 1;
		round_trip();
		assert_false(health_is(&health, HEALTH_UNREADABLE));
		assert_int_equal(says, 2);
		await_sleep(-1);
		assert_int_equal(said_level, DIAG_NOTE);
		assert_string_equal(said, "what could not be read can be read again, or has expired");
		clock_ms += 5000;
		round_trip();
		assert_int_equal(says, 2);
	}
}

/* It cannot be read for another reason than at first: that is told, once. */
static void test_trouble_changes(void **state)
{
	(void)state;
	clock_ms = 1000000;
	fake_add(0, "", "one"), fake_add(0, "", "two");
	says = 0;
	fake.break_at = 2;
	expect_get("/-/records/0-2", 503, "cannot be read now");
	round_trip();
	await_sleep(5000);
	assert_int_equal(says, 1);
	fake.break_err = -EACCES;
	for (int i = 0; i < 2; i++) {
		clock_ms += 5000;
		round_trip();
		assert_true(health_is(&health, HEALTH_UNREADABLE));
		assert_int_equal(health.err[HEALTH_UNREADABLE], -EACCES);
		assert_int_equal(says, 2);
		assert_non_null(strstr(said, "record 0-2 cannot be read: Permission denied"));
	}
	fake.break_at = fake.break_err = 0;
	clock_ms += 5000;
	round_trip();
	assert_false(health_is(&health, HEALTH_UNREADABLE));
}

/* A checkpoint is asked for at once for the first that waits, and each 20 ms at most for those that
 * come while it does.  Nothing is looked at meanwhile, and what is settled wakes the thread. */
static void test_kicks(void **state)
{
	struct admin_req *r, *other;
	struct got g;

	(void)state;
	clock_ms = 1000000;
	for (unsigned i = 0; i < 4; i++)
		fake_add(0, "", "one");
	for (uint64_t seq = 1; seq <= 3; seq += 2) {
		__atomic_store_n(&kicks, 0, __ATOMIC_RELAXED);
		settle(0, seq - 1);
		r = ask(0, "GET", seq == 1 ? "/-/records/0-1" : "/-/records/0-3");
		round_trip();
		await_sleep(3600000);
		assert_int_equal(__atomic_load_n(&kicks, __ATOMIC_RELAXED), 1);
		clock_ms += 12;
		other = ask(0, "GET", seq == 1 ? "/-/records/0-2" : "/-/records/0-4");
		round_trip();
		await_sleep(8);
		assert_int_equal(__atomic_load_n(&kicks, __ATOMIC_RELAXED), 1);
		clock_ms += 7;
		round_trip();
		await_sleep(1);
		assert_int_equal(__atomic_load_n(&kicks, __ATOMIC_RELAXED), 1);
		clock_ms += 1;
		round_trip();
		await_sleep(3600000 - 20);
		assert_int_equal(__atomic_load_n(&kicks, __ATOMIC_RELAXED), 2);
		clock_ms += 1000;
		round_trip();
		await_sleep(3600000 - 1020);
		assert_int_equal(__atomic_load_n(&kicks, __ATOMIC_RELAXED), 2);
		settle(0, seq);
		g = collect(r, 0);
		assert_int_equal(g.status, 200);
		free(g.all);
		assert_null(admin_ready(s, 0));	/* what it waits for is not */
		settle(0, seq + 1);
		g = collect(other, 0);
		assert_int_equal(g.status, 200);
		free(g.all);
		round_trip();
		await_sleep(-1);
	}
}

/* Five seconds if nothing else is said; and it does without a checkpointer. */
static void test_default_patience(void **state)
{
	static uint64_t absent[ABSENT_REASONS];
	const struct admin_env env = {
		.store = FAKE_STORE, .class = CLASS_NVMM, .nworkers = 2, .counters = counters, .absent = absent,
		.health = &health, .common = &common, .version = "1", .ring = "uring", .store_dir = "/", .listen = "x",
		.buf_size = 2048, .wake = wake,
	};
	struct admin_req *r;
	struct got g;

	(void)state;
	clock_ms = 1000000;
	start_with(&env);
	fake_add(0, "", "one");
	settle(0, 0);
	r = ask(0, "GET", "/-/records/0-1");
	round_trip();
	clock_ms += 4994;
	round_trip();
	clock_ms += 5;			/* 4999 ms since it was asked for */
	round_trip();
	assert_null(admin_ready(s, 0));
	clock_ms += 5;
	g = collect(r, 0);
	assert_int_equal(g.status, 503);
	assert_non_null(strstr(g.all, "no checkpoint has moved the record"));
	free(g.all);
	expect_get("/-/records/0-2", 404, "not acknowledged");	/* counted where the caller looks */
	assert_int_equal(absent[ABSENT_NEVER], 1);
	expect_get("/-/metrics", 200, "records_absent_total{reason=\"never\"} 1\n");
	expect_get("/-/metrics", 200, "\npasted_start_time_seconds 1700000000.123\n");
}

/* The answer broke off: so does the connection. */
static void test_breaks_off(void **state)
{
	char *rec = calloc(1, 200000);
	struct admin_req *r;

	(void)state;
	fake_add_bytes(0, rec, 200000);
	free(rec);
	fake.more_breaks = true;
	r = ask(0, "GET", "/-/records/0-1");
	while (assert_ptr_equal(piece(0), r), !r->last) {
		assert_false(r->truncated || r->close_after);
		assert_int_equal(r->status, 200);
		admin_next(r);
	}
	assert_true(r->truncated && r->close_after);
	admin_end(r);
	round_trip();
	assert_true(health_is(&health, HEALTH_UNREADABLE));
	health_clear(&health, HEALTH_UNREADABLE);
}

static int how_it_ends(bool http11, bool keep_alive, const char *target, const char *has)
{
	struct admin_req *r = admin_ask(s, 0, 7, 9, row_of(target), target, false, http11, keep_alive);
	struct got g;

	g = collect(r, 0);
	if (!strstr(g.all, has))
		fail_msg("%s: %s", target, g.all);
	free(g.all);
	return g.close;
}

/* As the client has asked, whatever the answer is. */
static void test_keep_alive(void **state)
{
	static const char *const t[] = { "/-/", "/-/records", "/-/records/0-1", "/-/nowhere", "/-/records/0-9" };
	const struct admin_env env = {
		.store = FAKE_STORE, .class = CLASS_FSYNC, .nworkers = 1, .counters = counters, .health = &health, .common = &common,
		.version = "1", .ring = "uring", .store_dir = "/", .listen = "x",
		.buf_size = 2048, .wake = wake,
	};

	(void)state;
	start_with(&env);
	fake_add(0, "", "one");
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		assert_false(how_it_ends(true, true, t[i], "\r\nKeep-Alive: timeout=7\r\n"));
		assert_true(how_it_ends(true, false, t[i], "\r\nConnection: close\r\n"));
		assert_false(how_it_ends(false, true, t[i], "\r\nKeep-Alive: timeout=7\r\n"));
		assert_true(how_it_ends(false, false, t[i], "\r\nConnection: close\r\n"));
		assert_true(how_it_ends(true, false, t[i], "\r\nPasted-Class: fsync\r\n"));
	}
	assert_true(how_it_ends(false, true, "/-/records/0-1..", "\"record\":\"0-1\""));	/* till the end */
}

static struct admin_req *ask_until(const char *target)
{
	struct admin_req *r;

	while (!(r = ask(0, "GET", target)))
		sched_yield();
	return r;
}

/* Many workers have four each: the last is for what is no record, the last two are for no range. */
static void test_few_each(void **state)
{
	const struct admin_env env = {
		.store = FAKE_STORE, .class = CLASS_NVMM, .nworkers = 200, .counters = counters, .health = &health, .common = &common,
		.version = "1", .ring = "uring", .store_dir = "/", .listen = "x", .buf_size = 2048, .wake = wake,
		.settle_ms = 3600000,
	};
	struct admin_req *r[4];

	(void)state;
	start_with(&env);
	fake_add(0, "", "one");
	settle(0, 0);
	for (int i = 0; i < 2; i++) {
		r[0] = ask_until("/-/records/0-1..1");
		r[1] = ask_until("/-/records/0?tail=1");
		assert_null(ask(0, "GET", "/-/records/0-1..1"));
		assert_null(ask(0, "GET", "/-/records/0?tail=1"));
		r[2] = ask_until("/-/records/0-1");
		assert_null(ask(0, "GET", "/-/records/0-1"));
		assert_null(ask(0, "GET", "/-/records"));
		r[3] = ask_until("/-/options?..");
		assert_null(ask(0, "GET", "/-/options"));
		assert_ptr_equal(piece(0), r[3]);
		assert_int_equal(r[3]->status, 404);
		while (!sem_trywait(&woken[0]))
			;
		admin_end(r[3]);
		while (sem_wait(&woken[0]))	/* who was told that there is no room hears that there is */
			;
		r[3] = ask(0, "GET", "/-/options");
		assert_non_null(r[3]);
		for (int k = 0; k < 4; k++)
			admin_end(r[k]);
		for (int k = 0; k < 4; k++)	/* all four come back, and what they had is not theirs */
			r[k] = ask_until("/-/x");
		for (int k = 0; k < 4; k++)
			assert_int_equal(piece(0)->status, 404);
		assert_null(admin_ready(s, 0));
		for (int k = 0; k < 4; k++)
			admin_end(r[k]);
	}
}

/* The bell is nobody else's: no program that is started has it. */
static void test_close_on_exec(void **state)
{
	char path[300], what[64];
	DIR *d = opendir("/proc/self/fd");
	unsigned bells = 0;
	struct dirent *e;

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d))) {
		ssize_t n;

		snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
		n = readlink(path, what, sizeof what - 1);
		what[n < 0 ? 0 : n] = '\0';
		if (strcmp(what, "anon_inode:[eventfd]"))
			continue;
		bells++;
		assert_int_equal(fcntl(atoi(e->d_name), F_GETFD), FD_CLOEXEC);
	}
	closedir(d);
	assert_true(bells > 0);
}

/* A descriptor may be 0, where standard input was closed. */
static void test_descriptor_0(void **state)
{
	int keep = dup(STDIN_FILENO);
	struct got g;

	(void)state;
	close(STDIN_FILENO);
	start(3600000);
	g = get(0, "GET", "/-/");
	assert_int_equal(g.status, 200);
	free(g.all);
	admin_stop(s);
	assert_int_equal(dup2(keep, STDIN_FILENO), keep < 0 ? -1 : STDIN_FILENO);
	close(keep);
}

/* Signals are main's: the thread takes none, and has its name. */
static void test_signals(void **state)
{
	char path[300], line[256];
	unsigned long long blocked = 0;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	FILE *f;

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d))) {
		bool ours = false;

		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f)) {
			ours |= !strcmp(line, "Name:\tadmin\n");
			if (ours)
				sscanf(line, "SigBlk: %llx", &blocked);
		}
		if (f)
			fclose(f);
	}
	closedir(d);
	/* 15 is SIGTERM, 2 SIGINT, 1 SIGHUP, 10 and 12 SIGUSR */
	assert_int_equal(blocked & 0x4a03, 0x4a03);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_routes), TEST(test_head), TEST(test_long_target), TEST(test_pieces),
		TEST(test_wait), TEST(test_wait_and_slices), TEST(test_busy),
		cmocka_unit_test_teardown(test_wait_in_vain, teardown), TEST(test_full), TEST(test_ends), TEST(test_stash), TEST(test_stop),
		TEST(test_trouble), TEST(test_trouble_changes), TEST(test_kicks), cmocka_unit_test_teardown(test_default_patience, teardown),
		TEST(test_breaks_off), cmocka_unit_test_teardown(test_keep_alive, teardown),
		cmocka_unit_test_teardown(test_few_each, teardown), cmocka_unit_test(test_descriptor_0), TEST(test_signals),
		TEST(test_close_on_exec),
	};

	closefrom(STDERR_FILENO + 1);	/* a bell of whoever started this test is not an admin thread's */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
