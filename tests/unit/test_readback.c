/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_readback.c - names of records, one record with every outcome, ranges with
 * every kind of hole, and the same bytes in pieces of any size.
 */
#include "admin/readback.h"
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fake_store.h"

#define ROOM 16384u

static struct readback_shared shared;
static uint64_t absent[ABSENT_REASONS];
static const struct head_common common = {
	.class = "fsync", .fields = "Pasted-Class: fsync\r\n", .fields_len = sizeof("Pasted-Class: fsync\r\n") - 1,
};
static struct admin_client ask;

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(absent, 0, sizeof absent);
	shared = (struct readback_shared){ .store = FAKE_STORE, .class = CLASS_FSYNC, .absent = absent };
	ask = (struct admin_client){ .http11 = true, .keep_alive = true, .common = &common };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake.cursors, 0);
	fake_reset();
	return 0;
}

struct got {
	char *all, *body;
	size_t n, body_len;
	int status, pieces, again;
	bool close, truncated, waits;
};

/* Asks and joins the pieces. */
static struct got get_pieces(const char *rest, size_t room)
{
	struct text all = { 0 }, t = { 0 };
	enum readback_step s;
	struct readback r;
	struct read_name name;
	struct got g = { 0 };

	assert_int_equal(read_name_parse(&name, rest), 0);
	readback_open(&r, &shared, &name, &ask);
	do {
		t.n = 0;
		s = readback_step(&r, &t, room);
		assert_true(t.n <= room);
		assert_false(t.failed);
		text_add(&all, t.p, t.n);
		g.pieces += s != READBACK_AGAIN;
		g.again += s == READBACK_AGAIN;
		assert_true((s == READBACK_AGAIN || s == READBACK_WAIT) == (t.n == 0));
	} while (s == READBACK_MORE || s == READBACK_AGAIN);
	if (s == READBACK_LAST)
		assert_int_equal(fake.cursors, 0);	/* not for as long as the client takes */
	g.waits = s == READBACK_WAIT;
	g.status = r.status;
	g.close = r.close_after;
	g.truncated = r.truncated;
	readback_close(&r);
	text_free(&t);
	g.n = all.n;
	text_add(&all, "", 1);
	g.all = all.p;
	g.body = strstr(g.all, "\r\n\r\n");
	if (g.body) {
		g.body += 4;
		g.body_len = g.n - (size_t)(g.body - g.all);
	}
	return g;
}

static struct got get(const char *rest)
{
	return get_pieces(rest, ROOM);
}

/* The body without its chunks, in place. */
static void dechunk(struct got *g)
{
	char *from = g->body, *to = g->body, *end;
	unsigned long n;

	assert_non_null(strstr(g->all, "Transfer-Encoding: chunked\r\n"));
	while ((n = strtoul(from, &end, 16))) {
		assert_memory_equal(end, "\r\n", 2);
		memmove(to, end + 2, n);
		to += n;
		from = end + 2 + n + 2;
		assert_memory_equal(from - 2, "\r\n", 2);
	}
	assert_ptr_equal(end + 4, g->all + g->n);
	assert_memory_equal(end, "\r\n\r\n", 4);
	*to = 0;
	g->body_len = (size_t)(to - g->body);
}

static void expect_status(const char *rest, int status, const char *in_body)
{
	struct got g = get(rest);

	assert_int_equal(g.status, status);
	assert_int_equal(atoi(g.all + 9), status);
	assert_non_null(strstr(g.body, in_body));
	assert_false(g.close);
	free(g.all);
}

/* Body lines only. */
static void expect_lines(const char *rest, const char *lines)
{
	struct got g = get(rest);

	assert_int_equal(g.status, 200);
	dechunk(&g);
	assert_string_equal(g.body, lines);
	free(g.all);
}

#define LINE(seq, b64) "{\"record\":\"0-" #seq "\",\"time\":\"2023-11-14T22:13:20.000Z\"," \
	"\"method\":\"POST\",\"target\":\"/a\",\"headers\":[[\"Host\",\"x\"]],\"body\":\"" b64 "\"}\n"

static void test_names(void **state)
{
	static const char *const bad[] = {
		"x", "//", "/0-", "/-1", "/0-1.", "/0-1...", "/0-1..2..3", "/0-1..x", "/0-1 ",
		"/0-01", "/00-1", "/0-0x1", "/0-1e3",
		"/0-2..1", "/0-+1", "/0--1", "/0-1?x", "/0?tail", "/0?tail=", "/0?tail=-1", "/0?tail=1&x",
		"/0-1/", "/../0-1", "/0-1.x", "/0-1.5", "/0-1x2", "/0-..5", "/%30-1", "?tail=1", "/0/", "/0-1..2?tail=3", "/0x1-1",
	};
	struct read_name n;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (read_name_parse(&n, bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(read_name_parse(&n, ""), 0);
	assert_int_equal(n.kind, READ_LANES);
	assert_int_equal(read_name_parse(&n, "/"), 0);
	assert_int_equal(n.kind, READ_LANES);
	assert_int_equal(read_name_parse(&n, "/255"), 0);
	assert_int_equal(n.kind, READ_LANE);
	assert_int_equal(n.lane, 255);
	assert_int_equal(read_name_parse(&n, "/7-9223372036854775808"), 0);
	assert_int_equal(n.kind, READ_ONE);
	assert_true(n.from == UINT64_C(1) << 63);
	/* Beyond what there can be: names all the same, of nothing. */
	assert_int_equal(read_name_parse(&n, "/256-18446744073709551616"), 0);
	assert_true(n.kind == READ_ONE && n.lane == LANES_MAX && n.from == UINT64_C(1) << 63);
	assert_int_equal(read_name_parse(&n, "/99999999999999999999-1..184467440737095516160"), 0);
	assert_true(n.kind == READ_RANGE && n.lane == LANES_MAX && n.to == UINT64_C(1) << 63);
	assert_int_equal(read_name_parse(&n, "/0-0..0"), 0);
	assert_int_equal(n.kind, READ_RANGE);
	assert_int_equal(read_name_parse(&n, "/3-4..5"), 0);
	assert_true(n.kind == READ_RANGE && n.lane == 3 && n.from == 4 && n.to == 5);
	assert_int_equal(read_name_parse(&n, "/3-4.."), 0);
	assert_true(n.kind == READ_RANGE && n.from == 4 && n.to == UINT64_MAX);
	assert_int_equal(read_name_parse(&n, "/3-5..5"), 0);
	assert_true(n.from == 5 && n.to == 5);
	assert_int_equal(read_name_parse(&n, "/3?tail=20"), 0);
	assert_true(n.kind == READ_TAIL && n.from == 20);
}

static void test_one(void **state)
{
	struct got g;

	(void)state;
	fake_add(0, "Content-Type: text/plain; charset=utf-8\r\n", "hello");
	g = get("/0-1");
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "hello");
	assert_non_null(strstr(g.all, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(g.all, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	assert_non_null(strstr(g.all, "\r\nContent-Length: 5\r\n"));
	assert_non_null(strstr(g.all, "\r\nPasted-Record: 0-1\r\n"));
	assert_non_null(strstr(g.all, "\r\nPasted-Class: fsync\r\n"));
	assert_non_null(strstr(g.all, "\r\nPasted-Time: 2023-11-14T22:13:20.000Z\r\n"));
	assert_non_null(strstr(g.all, "\r\nAccept-Ranges: none\r\n"));
	assert_null(strstr(g.all, "Last-Modified"));
	assert_non_null(strstr(g.all, "\r\nPasted-Method: POST\r\n"));
	assert_non_null(strstr(g.all, "\r\nPasted-Target: /a\r\n"));
	assert_non_null(strstr(g.all, "\r\nDate: "));
	assert_null(strstr(g.all, "Connection:"));
	free(g.all);

	ask.head = true;
	g = get("/0-1");
	assert_int_equal(g.body_len, 0);
	assert_non_null(strstr(g.all, "\r\nContent-Length: 5\r\n"));
	free(g.all);

	ask = (struct admin_client){ .http11 = false, .keep_alive = false, .common = &common };
	g = get("/0-1");
	assert_true(g.close);
	assert_non_null(strstr(g.all, "\r\nConnection: close\r\n"));
	free(g.all);
	ask.keep_alive = true;
	g = get("/0-1");
	assert_false(g.close);
	assert_non_null(strstr(g.all, "\r\nConnection: keep-alive\r\n"));
	free(g.all);
}

/* A value of the client's is given back up to a length; beyond that, or empty, it is none. */
static void test_header_sizes(void **state)
{
	char value[2100], headers[3000];
	struct got g;

	(void)state;
	memset(value, 'v', sizeof value);
	for (int n = 2047; n <= 2049; n++) {
		snprintf(headers, sizeof headers, "Content-Type: %.*s\r\nContent-Encoding: gzip\r\n", n, value);
		fake_add(0, headers, "x");
	}
	fake_add(0, "Content-Type:\r\nContent-Encoding: \x80\r\n", "x");
	fake_add(0, "Content-Type: a \x7f\r\n", "x");
	fake_add(0, "Content-Type: a ~\r\n", "x");
	for (int i = 0; i < 6; i++) {
		static const char *const names[] = { "/0-1", "/0-2", "/0-3", "/0-4", "/0-5", "/0-6" };

		g = get(names[i]);
		if (i < 2) {
			snprintf(headers, sizeof headers, "\r\nContent-Type: %.*s\r\n", 2047 + i, value);
			assert_non_null(strstr(g.all, headers));
		} else {
			assert_non_null(strstr(g.all, i == 5 ? "\r\nContent-Type: a ~\r\n" :
					       "\r\nContent-Type: application/octet-stream\r\n"));
		}
		assert_int_equal(!!strstr(g.all, "\r\nContent-Encoding: gzip\r\n"), i < 3);
		assert_int_equal(!!strstr(g.all, "\r\nContent-Encoding"), i < 3);
		free(g.all);
	}
}

/* What a client sent as a header cannot become one of ours. */
static void test_unsafe_headers(void **state)
{
	static const char split[] = "POST /a\x01 HTTP/1.1\r\nContent-Type: a\rSet-Cookie: b\r\n\r\nx";
	static const char none[] = "garbage";
	struct got g;

	(void)state;
	fake_add_bytes(0, split, sizeof split - 1);
	fake_add_bytes(0, none, sizeof none - 1);
	fake_add(0, "Content-Type: a/b\xff\r\n", "y");
	g = get("/0-1");
	assert_string_equal(g.body, "x");
	assert_null(strstr(g.all, "Set-Cookie"));
	assert_null(strstr(g.all, "Pasted-Target"));
	assert_non_null(strstr(g.all, "\r\nContent-Type: application/octet-stream\r\n"));
	free(g.all);
	g = get("/0-2");
	assert_string_equal(g.body, "garbage");
	assert_non_null(strstr(g.all, "\r\nContent-Type: application/octet-stream\r\n"));
	free(g.all);
	g = get("/0-3");
	assert_non_null(strstr(g.all, "\r\nContent-Type: application/octet-stream\r\n"));
	free(g.all);
}

/* A number that was skipped since nobody knew whether a client had been told of it is not told
 * as one that never was. */
static void test_one_skipped(void **state)
{
	static const enum absent_reason maybe[] = { ABSENT_SKIPPED, ABSENT_WAL_LOST };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		fake_add(0, "", "b");
	free(fake.rec[0][1].data);
	fake.rec[0][1].data = NULL;
	for (size_t i = 0; i < 2; i++) {
		fake.rec[0][1].skipped = maybe[i];
		expect_status("/0-1", 500, "the record is lost, if there was one: the number was skipped");
		assert_int_equal(shared.absent[maybe[i]], 1);
	}
}

/* Where nobody knows whether it has expired, that is not said of it. */
static void test_gone(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		fake_add(0, "", "b");
	fake.oldest[0] = 3;
	fake.gone = true;
	expect_status("/0-2", 500, "the record is gone: it has expired, or the file that it was in was removed");
	expect_lines("/0-1..2", "{\"gap\":\"0-1..2\",\"reason\":\"gone\"}\n");
	fake.gone = false;
	expect_status("/0-2", 410, "the record has expired");
	expect_status("/0-1..2", 410, "these records have expired");
}

static void test_one_not_there(void **state)
{
	struct got g;

	(void)state;
	for (int i = 0; i < 6; i++)
		fake_add(0, "", "b");
	free(fake.rec[0][4].data);
	fake.rec[0][4].data = NULL;
	fake.rec[0][5].damaged = true;
	fake.oldest[0] = 3;
	expect_status("/0-0", 404, "no such record");
	expect_status("/0-2", 410, "expired");
	g = get("/0-2");
	assert_memory_equal(g.all, "HTTP/1.1 410 Gone\r\n", 19);
	free(g.all);
	expect_status("/0-3", 200, "b");
	assert_int_equal(shared.absent[ABSENT_TORN] + shared.absent[ABSENT_DAMAGE], 0);
	expect_status("/0-4", 404, "a crash tore it");
	expect_status("/0-5", 500, "damaged");
	assert_int_equal(shared.absent[ABSENT_TORN], 1);
	assert_int_equal(shared.absent[ABSENT_DAMAGE], 1);
	expect_status("/0-7", 404, "not acknowledged yet");
	expect_status("/1-1", 404, "not acknowledged yet");
	expect_status("/2-1", 404, "no such record");
	assert_false(shared.trouble.now);
	fake.break_at = 6;
	expect_status("/0-6", 503, "cannot be read now: Input/output error");
	assert_int_equal(shared.absent[ABSENT_UNREADABLE], 1);
	assert_true(shared.trouble.now && shared.trouble.lane == 0 && shared.trouble.seq == 6);
	assert_int_equal(shared.trouble.err, -EIO);
	shared.class = CLASS_NONE;
	expect_status("/0-6", 404, "class none");
	expect_status("", 404, "class none");
}

/* The lane cannot be looked at, which is another answer than that there is none. */
static void test_no_bounds(void **state)
{
	struct got g;

	(void)state;
	fake_add(0, "", "a");
	fake.bounds_err = -EIO;
	expect_status("/0-1", 500, "the log cannot be read");
	expect_status("/0-0", 404, "no such record");
	expect_status("/0-1..", 500, "the log cannot be read");
	expect_status("/0?tail=1", 500, "the log cannot be read");
	expect_status("/0", 404, "no such lane");
	g = get("");				/* of the others there is something to say */
	assert_string_equal(g.body, "{\"class\":\"fsync\",\"lanes\":[{\"lane\":1,\"oldest\":1,\"newest\":0}]}\n");
	free(g.all);
}

/* Each answer is counted under its reason, and what cannot be read is told once, as it began. */
static void test_counts(void **state)
{
	uint64_t want[ABSENT_REASONS] = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++)
		fake_add(0, "", "a");
	fake.oldest[0] = 2;
	fake.rec[0][3].damaged = true;
	expect_status("/0-1", 410, "expired");
	expect_status("/0-0", 404, "no such record");
	expect_status("/2-1", 404, "no such record");
	expect_status("/0-7", 404, "not acknowledged");
	expect_status("/0-3", 500, "damaged");
	expect_status("/0-2", 200, "a");
	want[ABSENT_EXPIRED] = want[ABSENT_DAMAGE] = 1;
	want[ABSENT_NEVER] = 3;
	assert_memory_equal(absent, want, sizeof want);
	for (uint64_t seq = 4; seq <= 6; seq++) {
		fake.break_at = seq;
		expect_status(seq == 4 ? "/0-4" : seq == 5 ? "/0-5" : "/0-6", 503, "cannot be read now");
		want[ABSENT_UNREADABLE]++;
		assert_memory_equal(absent, want, sizeof want);
		assert_true(shared.trouble.now && shared.trouble.seq == 4);
	}
}

/* There after all: it is looked for once more, and then it is no better than what cannot be read. */
static void test_there_after_all(void **state)
{
	(void)state;
	fake_add(0, "", "a"), fake_add(0, "", "b"), fake_add(0, "", "c");
	fake.hidden = 2;
	fake.hides = 1;
	expect_status("/0-2", 200, "b");
	assert_int_equal(fake.opened, 2);
	fake.opened = 0;
	expect_lines("/0-1..", LINE(1, "YQ==") LINE(2, "Yg==") LINE(3, "Yw=="));
	fake.hides = 100;
	fake.opened = 0;
	expect_status("/0-2", 503, "cannot be read now: try again");
	assert_int_equal(fake.opened, 2);
	expect_lines("/0-1..", LINE(1, "YQ==") "{\"gap\":\"0-2\",\"reason\":\"unreadable\"}\n" LINE(3, "Yw=="));
	expect_lines("/0-2..2", "{\"gap\":\"0-2\",\"reason\":\"unreadable\"}\n");
	assert_true(fake.opened < 20);
}

/* It goes while it is looked for. */
static void test_expires_meanwhile(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		fake_add(0, "", "a");
	fake.break_at = 2;
	fake.expires = 2;
	expect_status("/0-2", 410, "\"error\":\"the record has expired\"");
	fake.oldest[0] = 1;
	expect_lines("/0-1..", LINE(1, "YQ==") "{\"gap\":\"0-2\",\"reason\":\"expired\"}\n" LINE(3, "YQ==")
		     LINE(4, "YQ=="));
}

/* Without memory there is no answer, and nothing stays open. */
static void test_no_memory(void **state)
{
	static const char *const names[] = { "/0-1", "/0-1..", "/0", "", "/0-9" };

	(void)state;
	fake_add(0, "", "a");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct text t = { .failed = true };
		struct read_name name;
		struct readback r;

		assert_int_equal(read_name_parse(&name, names[i]), 0);
		readback_open(&r, &shared, &name, &ask);
		readback_step(&r, &t, ROOM);
		assert_true(t.failed);
		readback_close(&r);
		assert_int_equal(fake.cursors, 0);
		text_free(&t);
	}
}

static void test_wait(void **state)
{
	static const char *const waits[] = { "/0-3", "/0-1..3", "/0-1..", "/0?tail=1", "/0-3..9" };
	static const char *const not[] = { "/0-2", "/0-1..2", "/0", "", "/0-4", "/0-4..", "/0-4..9",
					   "/0-0..0", "/0?tail=0", "/1-1..", "/2-1.." };
	struct readback r;
	struct read_name n;
	struct text t = { 0 };
	struct got g;

	(void)state;
	for (int i = 0; i < 3; i++)
		fake_add(0, "", "b");
	fake.settled[0] = 2;
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		g = get(waits[i]);
		assert_true(g.waits);
		assert_int_equal(g.n, 0);
		free(g.all);
	}
	for (size_t i = 0; i < sizeof not / sizeof *not; i++) {
		g = get(not[i]);
		assert_false(g.waits);
		free(g.all);
	}
	read_name_parse(&n, "/0-3");
	readback_open(&r, &shared, &n, &ask);
	assert_int_equal(readback_step(&r, &t, ROOM), READBACK_WAIT);
	readback_give_up(&r, &t);
	assert_int_equal(r.status, 503);
	text_add(&t, "", 1);
	assert_non_null(strstr(t.p, "\r\nRetry-After: "));
	text_free(&t);
	readback_close(&r);
	fake.settled[0] = 3;
	expect_status("/0-3", 200, "b");
}

/* Records go on coming while it waits: it waits for those it was asked for. */
static void test_wait_under_load(void **state)
{
	static const char *const open_end[] = { "/0-1..", "/0?tail=2", "/0-1..9" };

	(void)state;
	for (size_t i = 0; i < sizeof open_end / sizeof *open_end; i++) {
		struct readback r;
		struct read_name n;
		struct text t = { 0 };

		fake_reset();
		fake_add(0, "", "a"), fake_add(0, "", "b");
		fake.settled[0] = 1;
		read_name_parse(&n, open_end[i]);
		readback_open(&r, &shared, &n, &ask);
		assert_int_equal(readback_step(&r, &t, ROOM), READBACK_WAIT);
		fake_add(0, "", "c");
		fake.settled[0] = 2;
		assert_int_equal(readback_step(&r, &t, ROOM), READBACK_LAST);
		text_add(&t, "", 1);
		assert_non_null(strstr(t.p, LINE(1, "YQ==") LINE(2, "Yg==") "\r\n0\r\n"));
		text_free(&t);
		readback_close(&r);
	}
}

static void test_range(void **state)
{
	struct got g;

	(void)state;
	fake_add(0, "", "a"), fake_add(0, "", "b"), fake_add(0, "", "c");
	expect_lines("/0-1..3", LINE(1, "YQ==") LINE(2, "Yg==") LINE(3, "Yw=="));
	expect_lines("/0-0..1", LINE(1, "YQ=="));
	expect_lines("/0-2..", LINE(2, "Yg==") LINE(3, "Yw=="));
	expect_lines("/0-2..99", LINE(2, "Yg==") LINE(3, "Yw=="));
	expect_lines("/0?tail=1", LINE(3, "Yw=="));
	expect_lines("/0?tail=0", "");
	expect_lines("/0?tail=9223372036854775808", LINE(1, "YQ==") LINE(2, "Yg==") LINE(3, "Yw=="));
	expect_lines("/0-4..", "");
	expect_lines("/0-4..9", "");
	expect_lines("/0-0..0", "");
	expect_lines("/1-1..", "");
	expect_status("/2-1..2", 404, "no such lane");
	expect_status("/2?tail=1", 404, "no such lane");

	ask.head = true;
	g = get("/0-1..3");
	assert_int_equal(g.body_len, 0);
	assert_null(strstr(g.all, "Transfer-Encoding"));
	assert_null(strstr(g.all, "Content-Length"));
	assert_false(g.close);
	free(g.all);

	ask = (struct admin_client){ .http11 = false, .keep_alive = true, .common = &common };
	g = get("/0-1..2");
	assert_string_equal(g.body, LINE(1, "YQ==") LINE(2, "Yg=="));
	assert_true(g.close);
	free(g.all);
}

static void test_range_holes(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++)
		fake_add(0, "", "a");
	fake.oldest[0] = 3;
	fake.rec[0][4].damaged = true;
	fake.rec[0][5].damaged = true;
	free(fake.rec[0][7].data);
	fake.rec[0][7].data = NULL;
	free(fake.rec[0][9].data);
	fake.rec[0][9].data = NULL;
	expect_lines("/0-1..", "{\"gap\":\"0-1..2\",\"reason\":\"expired\"}\n" LINE(3, "YQ==")
		     "{\"gap\":\"0-4..5\",\"reason\":\"damage\"}\n" LINE(6, "YQ==")
		     "{\"gap\":\"0-7\",\"reason\":\"torn\"}\n" LINE(8, "YQ==")
		     "{\"gap\":\"0-9\",\"reason\":\"torn\"}\n");
	expect_lines("/0-4..5", "{\"gap\":\"0-4..5\",\"reason\":\"damage\"}\n");
	expect_lines("/0-5..5", "{\"gap\":\"0-5\",\"reason\":\"damage\"}\n");
	expect_lines("/0-7..7", "{\"gap\":\"0-7\",\"reason\":\"torn\"}\n");
	expect_lines("/0-9..", "{\"gap\":\"0-9\",\"reason\":\"torn\"}\n");
	expect_lines("/0?tail=2", LINE(8, "YQ==") "{\"gap\":\"0-9\",\"reason\":\"torn\"}\n");
	expect_lines("/0?tail=50", LINE(3, "YQ==")
		     "{\"gap\":\"0-4..5\",\"reason\":\"damage\"}\n" LINE(6, "YQ==")
		     "{\"gap\":\"0-7\",\"reason\":\"torn\"}\n" LINE(8, "YQ==")
		     "{\"gap\":\"0-9\",\"reason\":\"torn\"}\n");
	expect_status("/0-1..2", 410, "expired");
	fake.break_at = 6;
	expect_lines("/0-3..", LINE(3, "YQ==") "{\"gap\":\"0-4..5\",\"reason\":\"damage\"}\n"
		     "{\"gap\":\"0-6\",\"reason\":\"unreadable\"}\n"
		     "{\"gap\":\"0-7\",\"reason\":\"torn\"}\n" LINE(8, "YQ==")
		     "{\"gap\":\"0-9\",\"reason\":\"torn\"}\n");
	fake.oldest[0] = 10;	/* all has expired */
	expect_lines("/0-8..", "{\"gap\":\"0-8..9\",\"reason\":\"expired\"}\n");
	expect_lines("/0?tail=3", "");
	expect_status("/0-8", 410, "expired");
}

/* Records larger than a piece, and many small ones: the joined pieces are the same for every
 * size of piece and however much of a record is there at once, and each is looked for once. */
static void test_pieces(void **state)
{
	size_t big = 300000, rooms[] = { ROOM, 20011, 65536, 262144 }, haves[] = { 22, 4096, 400000 };
	char *rec = malloc(big + 64);
	struct got whole, g, one;
	int n = sprintf(rec, "PUT /big HTTP/1.1\r\n\r\n");

	(void)state;
	for (size_t i = 0; i < big; i++)
		rec[(size_t)n + i] = (char)(i * 31 + i / 256);
	fake_add(0, "", "small");
	fake_add_bytes(0, rec, (size_t)n + big);
	for (int i = 0; i < 50; i++)
		fake_add(0, "X: y\r\n", "more");
	fake.have = 400000;
	whole = get_pieces("/0-1..", 4u << 20);
	assert_int_equal(whole.pieces, 1);
	dechunk(&whole);
	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
		for (size_t k = 0; k < sizeof haves / sizeof *haves; k++) {
			fake.have = haves[k];
			fake.opened = 0;
			if (haves[k] > 22) {	/* the others have a longer head */
				g = get_pieces("/0-1..", rooms[i]);
				assert_true(g.pieces > 1);
				dechunk(&g);
				assert_int_equal(g.body_len, whole.body_len);
				assert_memory_equal(g.body, whole.body, g.body_len);
				assert_int_equal(fake.opened, 1);
				free(g.all);
				fake.opened = 0;
			}
			one = get_pieces("/0-2", rooms[i]);
			assert_int_equal(one.body_len, big);
			assert_memory_equal(one.body, rec + n, big);
			assert_int_equal(fake.opened, 1);
			free(one.all);
		}
	free(whole.all);
	free(rec);
}

/* Checking a large record takes several turns, in which nothing is given, and others may be
 * served: also in the middle of a range. */
static void test_slices(void **state)
{
	char *rec = calloc(1, 100000);
	struct got g;

	(void)state;
	fake_add_bytes(0, rec, 100000);
	fake_add(0, "", "a");
	fake_add_bytes(0, rec, 100000);
	fake.slices = 5;
	g = get("/0-1");
	assert_int_equal(g.again, 5);
	assert_int_equal(g.body_len, 100000);
	free(g.all);
	g = get("/0-1..");
	assert_true(g.again > 5);
	dechunk(&g);
	assert_non_null(strstr(g.body, LINE(2, "YQ==")));
	free(g.all);
	free(rec);
}

/* What was whole cannot be read any more: the answer breaks off, and says so to its sender. */
static void test_breaks_under_reader(void **state)
{
	static const char *const t[] = { "/0-2", "/0-2.." };
	char *rec = calloc(1, 100000);

	(void)state;
	fake_add(0, "", "a");
	fake_add_bytes(0, rec, 100000);
	fake_add(0, "", "a");
	fake.more_breaks = true;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct got g = get(t[i]);

		assert_true(g.truncated);
		assert_null(strstr(g.all, "\r\n0\r\n\r\n"));
		assert_true(g.body_len < 100000);
		free(g.all);
	}
	free(rec);
}

static void test_bounds(void **state)
{
	struct got g;

	(void)state;
	fake_add(0, "", "a");
	g = get("");
	assert_string_equal(g.body, "{\"class\":\"fsync\",\"lanes\":[{\"lane\":0,\"oldest\":1,\"newest\":1},"
			    "{\"lane\":1,\"oldest\":1,\"newest\":0}]}\n");
	free(g.all);
	g = get("/0");
	assert_string_equal(g.body, "{\"lane\":0,\"oldest\":1,\"newest\":1}\n");
	free(g.all);
	expect_status("/2", 404, "no such lane");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), TEST(test_one), TEST(test_unsafe_headers),
		TEST(test_header_sizes), TEST(test_no_bounds), TEST(test_counts), TEST(test_there_after_all),
		TEST(test_expires_meanwhile), TEST(test_no_memory),
		TEST(test_one_not_there), TEST(test_one_skipped), TEST(test_gone), TEST(test_wait),
		TEST(test_wait_under_load), TEST(test_range), TEST(test_range_holes),
		TEST(test_pieces), TEST(test_slices), TEST(test_breaks_under_reader), TEST(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
