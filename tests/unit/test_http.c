/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http.c - the request parser: a table of verdicts, and that neither verdict,
 * spans nor redaction depend on how the stream is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"
#include "http_outcome.h"

static const struct http_limits limits = {
	.head_bytes = 400, .target_bytes = 300, .headers = 8, .trailer_bytes = 64, .body_bytes = 1000,
};

enum { KA = 1, REC = 2, OWN = 4, OLD = 8, CH = 16, EXP = 32 };

struct row {
	int line;
	const char *section;
	unsigned status;
	const char *reason;
	unsigned method;
	const char *target;
	unsigned flags;
	const char *body, *in, *head;
	size_t body_len, in_len, head_len;
};

#define OK(sec, m, t, f, b, i) { .line = __LINE__, .section = sec, .method = HTTP_##m, .target = t, \
	.flags = f, .body = b, .body_len = sizeof(b) - 1, .in = i, .in_len = sizeof(i) - 1 },
#define SECRET(sec, i, o) { .line = __LINE__, .section = sec, .in = i, .in_len = sizeof(i) - 1, \
	.head = o, .head_len = sizeof(o) - 1 },
#define BAD(sec, s, r, i) { .line = __LINE__, .section = sec, .status = s, .reason = r, \
	.in = i, .in_len = sizeof(i) - 1 },

static const struct row rows[] = {
#include "http_table.h"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

#define fail_row(r, fmt, ...) fail_msg("http_table.h:%d (RFC 9112 %s): " fmt, (r)->line, (r)->section, ##__VA_ARGS__)

/* The row's text, from what it says; not for errors. */
static struct outcome expected(const struct row *r, const struct http *h)
{
	struct outcome o = { 0 };
	size_t skip = 0, head;

	while (r->in_len > skip + 1 && r->in[skip] == '\r')
		skip += 2;
	head = (size_t)((char *)memmem(r->in, r->in_len, "\r\n\r\n", 4) + 4 - r->in);
	if (skip)
		head = (size_t)((char *)memmem(r->in + skip, r->in_len - skip, "\r\n\r\n", 4) + 4 - r->in);
	outcome_say(&o, "HEAD %zu ", head - skip);
	outcome_add(&o, r->in + skip, head - skip);
	outcome_say(&o, "\n%s 1.%d target %zu %s recorded %d own %d keep_alive %d chunked %d has_body %d expect %d length %lld\n",
		    http_method_name(r->method), !(r->flags & OLD), strlen(r->target), r->target,
		    !!(r->flags & REC), !!(r->flags & OWN), !!(r->flags & KA), !!(r->flags & CH),
		    r->body_len || r->flags & CH, !!(r->flags & EXP), (long long)h->req.content_length);
	outcome_say(&o, "BODY %zu ", r->body_len);
	outcome_add(&o, r->body, r->body_len);
	outcome_say(&o, "\nDONE\nthen idle head 0  body 0 ");
	return o;
}

static void check_whole(const struct row *r, const struct outcome *o)
{
	struct http h;
	struct http_span sp;
	size_t used;
	uint8_t *p;
	struct outcome want;

	if (r->status) {
		if (o->err.status != r->status || strcmp(o->err.reason, r->reason))
			fail_row(r, "%u %s, wanted %u %s", o->err.status, o->err.reason ? o->err.reason : "",
				 r->status, r->reason);
		return;
	}
	if (o->err.status)
		fail_row(r, "refused: %u %s", o->err.status, o->err.reason);
	if (o->requests != 1)
		fail_row(r, "%u requests", o->requests);
	if (r->head) {
		char start[32];
		size_t n = snprintf(start, sizeof(start), "HEAD %zu ", r->head_len);

		if (o->len < n + r->head_len || memcmp(o->text, start, n) || memcmp(o->text + n, r->head, r->head_len))
			fail_row(r, "came out as\n%s", o->text);
		return;
	}
	/* The announced length is not in the row: it is the body's, or none was sent. */
	p = malloc(r->in_len);
	memcpy(p, r->in, r->in_len);
	http_init(&h, &limits);
	assert_int_equal(http_step(&h, p, r->in_len, &used, &sp), HTTP_HEADERS);
	if (h.req.content_length != UINT64_MAX && h.req.content_length != r->body_len)
		fail_row(r, "content_length %llu", (unsigned long long)h.req.content_length);
	free(p);
	want = expected(r, &h);
	if (!outcome_same(o, &want))
		fail_row(r, "came out as\n%s\nwanted\n%s", o->text, want.text);
	free(want.text);
}

static void check_cut(const struct row *r, const struct outcome *whole, size_t first, size_t step)
{
	struct outcome o = outcome_of(r->in, r->in_len, &limits, (struct cut){ first, step });

	if (!outcome_same(whole, &o))
		fail_row(r, "cut %zu/%zu gives\n%s\nwhole\n%s", first, step, o.text, whole->text);
	free(o.text);
}

/* Every row whole, in two at every byte, in threes of both phases, byte by byte. */
static void verdicts(void **state)
{
	(void)state;
	assert_true(ROWS >= 120);
	for (size_t k = 0; k < ROWS; k++) {
		const struct row *r = &rows[k];
		struct outcome whole = outcome_of(r->in, r->in_len, &limits, (struct cut){ 0, 0 });

		check_whole(r, &whole);
		for (size_t at = 1; at < r->in_len; at++)
			check_cut(r, &whole, at, 0);
		for (size_t at = 1; at <= 3; at++)
			check_cut(r, &whole, at, 3);
		check_cut(r, &whole, 0, 1);
		free(whole.text);
	}
}

/* All accepted rows, one behind the other, and at last a refused one. */
static void pipelines(void **state)
{
	struct outcome all = { 0 }, o;
	char *in = NULL;
	size_t n = 0, good = 0;

	(void)state;
	for (size_t k = 0; k < ROWS; k++) {
		const struct row *r = &rows[k];
		char *end;

		if (r->status)
			continue;
		in = realloc(in, n + r->in_len);
		memcpy(in + n, r->in, r->in_len);
		n += r->in_len;
		o = outcome_of(r->in, r->in_len, &limits, (struct cut){ 0, 0 });
		end = memmem(o.text, o.len, "\nDONE\nthen idle", 15);
		assert_non_null(end);
		outcome_add(&all, o.text, (size_t)(end + 6 - o.text));
		free(o.text);
		good++;
	}
	for (size_t step = 0; step < 4096; step = step * 2 + 1) {
		o = outcome_of(in, n, &limits, (struct cut){ 0, step });
		assert_int_equal(o.requests, good);
		assert_true(o.len > all.len && memcmp(o.text, all.text, all.len) == 0);
		free(o.text);
	}
	in = realloc(in, n + 16);
	memcpy(in + n, "GET\t/ HTTP/1.1\r\n", 16);
	o = outcome_of(in, n + 16, &limits, (struct cut){ 0, 0 });
	assert_int_equal(o.requests, good);
	assert_int_equal(o.err.status, 400);
	assert_true(memcmp(o.text, all.text, all.len) == 0);
	free(o.text);
	free(all.text);
	free(in);
}

/* Nothing of an accepted request is left for the one behind it, whichever the two are. */
static void each_begins_anew(void **state)
{
	struct outcome *alone = calloc(ROWS, sizeof(*alone));
	char in[16384];

	(void)state;
	for (size_t k = 0; k < ROWS; k++)
		alone[k] = outcome_of(rows[k].in, rows[k].in_len, &limits, (struct cut){ 0, 0 });
	for (size_t a = 0; a < ROWS; a++) {
		const char *end;
		size_t n;

		if (rows[a].status)
			continue;
		end = memmem(alone[a].text, alone[a].len, "\nDONE\nthen idle", 15);
		assert_non_null(end);
		n = (size_t)(end + 6 - alone[a].text);
		memcpy(in, rows[a].in, rows[a].in_len);
		for (size_t b = 0; b < ROWS; b++) {
			struct outcome both;

			assert_true(rows[a].in_len + rows[b].in_len <= sizeof(in));
			memcpy(in + rows[a].in_len, rows[b].in, rows[b].in_len);
			both = outcome_of(in, rows[a].in_len + rows[b].in_len, &limits, (struct cut){ 0, 0 });
			if (both.len != n + alone[b].len || memcmp(both.text, alone[a].text, n) ||
			    memcmp(both.text + n, alone[b].text, alone[b].len))
				fail_row(&rows[b], "behind http_table.h:%d it is\n%s\nalone\n%s", rows[a].line,
					 both.text + (n < both.len ? n : 0), alone[b].text);
			free(both.text);
		}
	}
	for (size_t k = 0; k < ROWS; k++)
		free(alone[k].text);
	free(alone);
}

static void method_names(void **state)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_HEAD_METHOD] = "HEAD", [HTTP_OPTIONS] = "OPTIONS", [HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
	};

	(void)state;
	for (unsigned m = 0; m < 300; m++)
		assert_string_equal(http_method_name(m), m < sizeof(names) / sizeof(names[0]) && names[m] ? names[m] : "-");
}

/* A request that is cut off is neither done nor wrong. */
static void unfinished(void **state)
{
	(void)state;
	for (size_t k = 0; k < ROWS; k++) {
		const struct row *r = &rows[k];

		if (r->status)
			continue;
		for (size_t n = 0; n < r->in_len; n++) {
			struct outcome o = outcome_of(r->in, n, &limits, (struct cut){ 0, 0 });

			if (o.err.status || o.requests)
				fail_row(r, "%zu of %zu bytes: %u requests, %u", n, r->in_len, o.requests, o.err.status);
			free(o.text);
		}
	}
}

/* The outcome of a request made to measure, whole and byte by byte. */
static unsigned status_of(const char *in, size_t n, const struct http_limits *lim)
{
	struct outcome a = outcome_of(in, n, lim, (struct cut){ 0, 0 });
	struct outcome b = outcome_of(in, n, lim, (struct cut){ 0, 1 });
	unsigned status = a.err.status;

	assert_true(outcome_same(&a, &b));
	assert_true(status ? a.requests == 0 : a.requests == 1);
	free(a.text);
	free(b.text);
	return status;
}

/* Each limit lets exactly its number pass. */
static void limits_are_exact(void **state)
{
	char in[2048], word[1024];
	struct http_limits lim = limits;
	size_t n;

	(void)state;
	memset(word, 'x', sizeof(word));
	for (int more = 0; more <= 1; more++) {
		n = snprintf(in, sizeof(in), "GET /%.*s HTTP/1.1\r\nHost: a\r\n\r\n", 299 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 414 : 0);
		n = snprintf(in, sizeof(in), "GET http://h/%.*s HTTP/1.1\r\nHost: a\r\n\r\n", 291 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 414 : 0);
		n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: a\r\nX:%.*s\r\n\r\n", 369 + more, word);
		assert_int_equal(n, 400 + more);
		assert_int_equal(status_of(in, n, &limits), more ? 431 : 0);
		/* empty lines in front do not count */
		n = snprintf(in, sizeof(in), "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX:%.*s\r\n\r\n", 369 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 431 : 0);
		lim.headers = 3 - more;
		n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n");
		assert_int_equal(status_of(in, n, &lim), more ? 431 : 0);
		n = snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%.*s",
			     1000 + more, 1000 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 413 : 0);
		n = snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "1f4\r\n%.*s\r\n%x\r\n%.*s\r\n0\r\n\r\n", 500, word, 500 + more, 500 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 413 : 0);
		n = snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "0\r\nX:%.*s\r\n\r\n", 60 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 431 : 0);
		n = snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "0;%.*s\r\n\r\n", 63 + more, word);
		assert_int_equal(status_of(in, n, &limits), more ? 431 : 0);
	}
	lim = (struct http_limits){ .head_bytes = 400, .target_bytes = 300, .headers = 8 };
	n = snprintf(in, sizeof(in), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	assert_int_equal(status_of(in, n, &lim), 0);
	lim = (struct http_limits){ UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX };
	assert_int_equal(status_of(in, n, &lim), 0);
}

/* A chunk's size begins with a digit of its own, whatever else may stand in a line. */
static void chunk_sizes(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
		bool digit = memchr("0123456789abcdefABCDEF", (int)c, 22) != NULL;
		char in[200];
		int n = snprintf(in, sizeof(in), "%s?", head);
		struct outcome o;

		in[n - 1] = (char)c;
		o = outcome_of(in, (size_t)n, &limits, (struct cut){ 0, 0 });
		assert_int_equal(o.err.status, digit ? 0 : 400);
		if (!digit)
			assert_string_equal(o.err.reason, "malformed chunk");
		free(o.text);
	}
}

/* Of a long target the first bytes are kept, and its length. */
static void long_target(void **state)
{
	char in[512];
	struct http_span sp;
	struct http h;
	size_t used;
	int n = snprintf(in, sizeof(in), "GET http://h/%0280d HTTP/1.1\r\nHost: a\r\n\r\n", 7);

	(void)state;
	http_init(&h, &limits);
	assert_int_equal(http_step(&h, (uint8_t *)in, n, &used, &sp), HTTP_HEADERS);
	assert_int_equal(h.req.target_len, 281);
	assert_memory_equal(h.req.target, "/0000", 5);
	assert_int_equal(h.req.target[255], '0');
}

/* The same in two pieces, cut anywhere: what is behind the room for it stays as it is. */
static void long_target_in_pieces(void **state)
{
	char in[512];
	struct http_span sp;
	struct http h;
	size_t used;

	(void)state;
	for (int len = 255; len < 290; len++) {
		int n = snprintf(in, sizeof(in), "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", len - 1, 7);

		for (int cut = 5; cut < 5 + len; cut++) {
			struct http_err none = { 0, NULL };

			http_init(&h, &limits);
			assert_int_equal(http_step(&h, (uint8_t *)in, (size_t)cut, &used, &sp), HTTP_HEAD);
			assert_int_equal(used, cut);
			assert_int_equal(http_step(&h, (uint8_t *)in + cut, (size_t)(n - cut), &used, &sp), HTTP_HEADERS);
			assert_int_equal(used, n - cut);
			assert_int_equal(h.req.target_len, len);
			assert_memory_equal(h.req.target, in + 4, len < 256 ? len : 256);
			assert_int_equal(h.err.status, none.status);
			assert_ptr_equal(h.err.reason, none.reason);
			assert_ptr_equal(h.lim, &limits);
		}
	}
}

/* Every byte value at every place of a request: whatever the verdict, it is the same
 * in whole and byte by byte. */
static void any_byte_anywhere(void **state)
{
	static const char in[] = "POST /a%20long/path?b HTTP/1.1\r\nHost: [::1]:80\r\nCookie: a\r\n"
		"X-Long-Name: a value of more than\tthirty bytes\r\nConnection: x, close\r\n"
		"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\nGET";
	char copy[sizeof(in) - 1];
	unsigned refused = 0;

	(void)state;
	for (size_t at = 0; at < sizeof(copy); at++)
		for (unsigned c = 0; c < 256; c++) {
			struct outcome a, b;

			memcpy(copy, in, sizeof(copy));
			copy[at] = (char)c;
			a = outcome_of(copy, sizeof(copy), &limits, (struct cut){ 0, 0 });
			b = outcome_of(copy, sizeof(copy), &limits, (struct cut){ 0, 1 });
			if (!outcome_same(&a, &b))
				fail_msg("byte %zu = %u: whole\n%s\nbyte by byte\n%s", at, c, a.text, b.text);
			refused += a.err.status != 0;
			free(a.text);
			free(b.text);
		}
	assert_in_range(refused, 10000, 60000);
}

/* A typical request costs three steps. */
static void few_steps(void **state)
{
	static const char in[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
	struct outcome o = outcome_of(in, sizeof(in) - 1, &limits, (struct cut){ 0, 0 });

	(void)state;
	assert_int_equal(o.steps, 4);	/* HEADERS BODY DONE, and MORE of nothing */
	free(o.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(pipelines),
		cmocka_unit_test(each_begins_anew),
		cmocka_unit_test(method_names),
		cmocka_unit_test(unfinished),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(chunk_sizes),
		cmocka_unit_test(long_target),
		cmocka_unit_test(long_target_in_pieces),
		cmocka_unit_test(any_byte_anywhere),
		cmocka_unit_test(few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
