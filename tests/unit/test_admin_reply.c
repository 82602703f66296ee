/* SPDX-License-Identifier: BSD-2-Clause */
/* test_admin_reply.c - text that grows, JSON strings of any bytes, heads and framing. */
#include "admin/admin_reply.h"
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <string.h>

#include <cmocka.h>

/* What every reply says here, without and with a time that a connection stays. */
#define NVMM "Pasted-Class: nvmm\r\n"
#define KEEP "Keep: it\r\n"
static const struct head_common nvmm = { .class = "nvmm", .fields = NVMM, .fields_len = sizeof(NVMM) - 1 };
static const struct head_common keeps = { .class = "nvmm", .fields = NVMM, .fields_len = sizeof(NVMM) - 1,
					  .keep = KEEP, .keep_len = sizeof(KEEP) - 1 };

static unsigned fails_at, grown;	/* the nth growth of a text */

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return ++grown == fails_at ? NULL : __real_realloc(p, n);
}

/* No memory: it stays as it was from there on, and says so; whatever of an answer was lost. */
static void test_no_memory(void **state)
{
	struct admin_client k = { true, true, false, &nvmm };
	struct text x = { 0 };
	char why[3000];
	bool close;
	size_t n;

	(void)state;
	memset(why, 'w', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	for (fails_at = 1;; fails_at++) {
		grown = 0;
		admin_reply_error(&x, 404, why, NULL, &k, &close);
		if (grown < fails_at)
			break;
		assert_true(x.failed);
		n = x.n;
		assert_true(n <= x.cap);
		text_add(&x, why, sizeof(why));
		text_str(&x, "more");
		text_u64(&x, 7);
		assert_int_equal(x.n, n);
		assert_false(text_room(&x, 0));
		text_free(&x);
		assert_false(x.failed);
	}
	assert_false(x.failed);
	assert_true(fails_at > 4);
	text_free(&x);
	fails_at = 0;
}

/* Room for exactly what is there, and for one byte more. */
static void test_room(void **state)
{
	char bytes[5000];

	(void)state;
	memset(bytes, 'b', sizeof(bytes));
	for (size_t n = 1000; n < 5000; n += n == 1025 ? 900 : n == 2050 ? 2000 : 1) {
		struct text x = { 0 };

		if (n == 1926)
			n = 2046;
		text_add(&x, bytes, n);
		assert_int_equal(x.n, n);
		assert_true(x.cap >= n && x.cap <= 2 * n + 1024);
		text_add(&x, "!", 1);
		assert_true(x.cap > n && x.p[n] == '!' && x.p[n - 1] == 'b');
		text_free(&x);
		if (n > 4050)
			break;
	}
}

static void test_text(void **state)
{
	struct text t = { 0 };

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		text_f(&t, "%04u", i);
	assert_int_equal(t.n, 20000);
	assert_memory_equal(t.p + 4 * 4321, "4321", 4);
	text_add(&t, NULL, 0);
	assert_int_equal(t.n, 20000);
	assert_false(t.failed);
	text_free(&t);
	assert_int_equal(t.n, 0);
	text_u64(&t, UINT64_MAX);
	assert_memory_equal(t.p, "18446744073709551615", 20);
	text_free(&t);
}

/* What is not UTF-8 (Unicode's table of well-formed byte sequences) becomes '?'. */
static void test_json(void **state)
{
	static const struct { const char *in, *out; } t[] = {
		{ "", "\"\"" }, { "a\"b\\c/", "\"a\\\"b\\\\c/\"" }, { "\t\n\x1f", "\"???\"" },
		{ "\xc3\xa9", "\"\xc3\xa9\"" }, { "\xc3", "\"?\"" }, { "\xc3(", "\"?(\"" },
		{ "\xc0\xaf", "\"??\"" }, { "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
		{ "\xe2\x82", "\"??\"" }, { "\xe0\x9f\xbf", "\"???\"" }, { "\xed\xa0\x80", "\"???\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" }, { "\xf0\x8f\x98\x80", "\"????\"" },
		{ "\xf4\x90\x80\x80", "\"????\"" }, { "\xf5\x80\x80\x80", "\"????\"" },
		{ "\xc1\xbf", "\"??\"" }, { "\xc2\x80", "\"\xc2\x80\"" }, { "\xdf\xbf", "\"\xdf\xbf\"" },
		{ "\xe0\xa0\x80", "\"\xe0\xa0\x80\"" }, { "\xed\x9f\xbf", "\"\xed\x9f\xbf\"" },
		{ "\xee\x80\x80", "\"\xee\x80\x80\"" }, { "\xef\xbf\xbf", "\"\xef\xbf\xbf\"" },
		{ "\xf0\x90\x80\x80", "\"\xf0\x90\x80\x80\"" }, { "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"" },
		{ "\xe2$\xa1", "\"?$?\"" }, { "\xe2\x82$", "\"??$\"" }, { "\xf0$\x98\x80", "\"?$??\"" },
		{ "\xf0\x9f$\x80", "\"??$?\"" }, { "\xf0\x9f\x98$", "\"???$\"" }, { "\xc3\xc3\xa9", "\"?\xc3\xa9\"" },
		{ "\xe2\x82\xff", "\"???\"" }, { " \x7f", "\" \x7f\"" }, { "\xf1\x80\x80\x80", "\"\xf1\x80\x80\x80\"" },
		{ "\xff\xfe", "\"??\"" }, { "\x80", "\"?\"" },
	};
	struct text x = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		x.n = 0;
		text_json(&x, t[i].in);
		text_add(&x, "", 1);
		assert_string_equal(x.p, t[i].out);
	}
	text_free(&x);
}

/* Every way to ask, for a body of known and of unknown length. */
static void test_framing(void **state)
{
	static const struct {
		struct admin_client k;
		uint64_t len;
		enum admin_reply_framing framing;
		bool close;
		const char *has, *hasnt;
	} t[] = {
		/*  1.1    keep   head                                                            */
		{ { true,  true,  false, &nvmm }, 9, ADMIN_REPLY_PLAIN, false, "Content-Length: 9\r\n", "Connection:" },
		{ { true,  false, false, &nvmm }, 9, ADMIN_REPLY_PLAIN, true, "Connection: close\r\n", "chunked" },
		{ { false, true,  false, &nvmm }, 9, ADMIN_REPLY_PLAIN, false, "Connection: keep-alive\r\n", "close" },
		{ { false, false, false, &nvmm }, 9, ADMIN_REPLY_PLAIN, true, "Connection: close\r\n", "keep-alive" },
		{ { true,  true,  false, &keeps }, 9, ADMIN_REPLY_PLAIN, false, "\r\nKeep: it\r\n", "Connection:" },
		{ { true,  false, false, &keeps }, 9, ADMIN_REPLY_PLAIN, true, "Connection: close\r\n", "Keep:" },
		{ { true,  true,  true, &nvmm }, 9, ADMIN_REPLY_PLAIN, false, "Content-Length: 9\r\n", "Connection:" },
		{ { true,  true,  false, &nvmm }, ADMIN_REPLY_STREAM, ADMIN_REPLY_CHUNKS, false,
		  "Transfer-Encoding: chunked\r\n", "Content-Length" },
		{ { true,  false, false, &nvmm }, ADMIN_REPLY_STREAM, ADMIN_REPLY_CHUNKS, true, "Connection: close\r\n", "Content-Length" },
		{ { false, true,  false, &nvmm }, ADMIN_REPLY_STREAM, ADMIN_REPLY_UNTIL_CLOSE, true,
		  "Connection: close\r\n", "Transfer-Encoding" },
		{ { true,  true,  true, &nvmm }, ADMIN_REPLY_STREAM, ADMIN_REPLY_PLAIN, false, "Date: ", "Transfer-Encoding" },
		{ { false, true,  true, &nvmm }, ADMIN_REPLY_STREAM, ADMIN_REPLY_PLAIN, false, "Date: ", "Content-Length" },
	};
	struct text x = { 0 };
	bool close;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		x.n = 0;
		assert_int_equal(admin_reply_head(&x, &(struct admin_reply){ 200, "a/b", "X: y\r\n", t[i].len },
						  &t[i].k, &close), t[i].framing);
		text_add(&x, "", 1);
		assert_int_equal(close, t[i].close);
		assert_memory_equal(x.p, "HTTP/1.1 200 OK\r\nDate: ", 23);
		assert_non_null(strstr(x.p, t[i].has));
		assert_null(strstr(x.p, t[i].hasnt));
		assert_non_null(strstr(x.p, "\r\nContent-Type: a/b\r\n"));
		assert_non_null(strstr(x.p, "\r\nX: y\r\n\r\n"));
		assert_non_null(strstr(x.p, "\r\nPasted-Class: nvmm\r\n"));
		assert_non_null(strstr(x.p, "\r\nCache-Control: no-store\r\n"));
		assert_non_null(strstr(x.p, "\r\nX-Content-Type-Options: nosniff\r\n"));
	}
	text_free(&x);
}

/* A status without a body has no length of one; each says its reason. */
static void test_statuses(void **state)
{
	static const struct { int status; const char *line; } t[] = {
		{ 200, "HTTP/1.1 200 OK\r\n" }, { 204, "HTTP/1.1 204 No Content\r\n" }, { 400, "HTTP/1.1 400 Bad Request\r\n" },
		{ 404, "HTTP/1.1 404 Not Found\r\n" }, { 408, "HTTP/1.1 408 Request Timeout\r\n" },
		{ 410, "HTTP/1.1 410 Gone\r\n" }, { 503, "HTTP/1.1 503 Service Unavailable\r\n" },
	};
	struct admin_client k = { true, true, false, &nvmm };
	struct text x = { 0 };
	bool close;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		x.n = 0;
		admin_reply_head(&x, &(struct admin_reply){ t[i].status, NULL, NULL, 0 }, &k, &close);
		text_add(&x, "", 1);
		assert_memory_equal(x.p, t[i].line, strlen(t[i].line));
		assert_int_equal(strstr(x.p, "\r\nContent-Length: 0\r\n") != NULL, t[i].status != 204);
		assert_int_equal(strstr(x.p, "\r\nRetry-After: 1\r\n\r\n") != NULL, t[i].status == 503);
		assert_null(strstr(x.p, "\nContent-Type"));
		assert_string_equal(x.p + strlen(x.p) - 4, "\r\n\r\n");
	}
	text_free(&x);
}

static void test_error(void **state)
{
	struct admin_client k = { true, true, false, &nvmm };
	struct text x = { 0 };
	bool close;

	(void)state;
	admin_reply_error(&x, 404, "no \"x\"", NULL, &k, &close);
	text_add(&x, "", 1);
	assert_string_equal(strstr(x.p, "\r\n\r\n") + 4, "{\"status\":404,\"error\":\"no \\\"x\\\"\"}\n");
	assert_non_null(strstr(x.p, "\r\nContent-Length: 34\r\n"));
	x.n = 0;
	k.head = true;
	admin_reply_error(&x, 404, "no \"x\"", NULL, &k, &close);
	text_add(&x, "", 1);
	assert_string_equal(strstr(x.p, "\r\n\r\n") + 4, "");
	assert_non_null(strstr(x.p, "\r\nContent-Length: 34\r\n"));
	text_free(&x);
}

static void test_date(void **state)
{
	char b[HEAD_DATE];

	(void)state;
	for (int leap = 0; leap < 2; leap++) {		/* such a zone counts leap seconds */
		setenv("TZ", leap ? "right/UTC" : "UTC", 1);
		tzset();
		head_date_text(b, 784111777000u);
		assert_string_equal(b, "Sun, 06 Nov 1994 08:49:37 GMT");
		head_date_text(b, 1709210096999u);
		assert_string_equal(b, "Thu, 29 Feb 2024 12:34:56 GMT");
		head_date_text(b, 0);
		assert_string_equal(b, "Thu, 01 Jan 1970 00:00:00 GMT");
	}
	head_date_text(b, UINT64_MAX);	/* any time of a record gives a date */
	assert_true(strlen(b) > 25 && strlen(b) < sizeof b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_json),
		cmocka_unit_test(test_framing), cmocka_unit_test(test_error),
		cmocka_unit_test(test_date), cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
