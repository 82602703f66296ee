/* SPDX-License-Identifier: BSD-2-Clause */
/* test_answer.c - text that grows, JSON strings of any bytes, heads and framing. */
#include "answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <string.h>

#include <cmocka.h>

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
		struct asker k;
		uint64_t len;
		enum answer_framing framing;
		bool close;
		const char *has, *hasnt;
	} t[] = {
		/*  1.1    keep   head                                                            */
		{ { true,  true,  false, "nvmm", NULL }, 9, ANSWER_PLAIN, false, "Content-Length: 9\r\n", "Connection:" },
		{ { true,  false, false, "nvmm", NULL }, 9, ANSWER_PLAIN, true, "Connection: close\r\n", "chunked" },
		{ { false, true,  false, "nvmm", NULL }, 9, ANSWER_PLAIN, false, "Connection: keep-alive\r\n", "close" },
		{ { false, false, false, "nvmm", NULL }, 9, ANSWER_PLAIN, true, "Connection: close\r\n", "keep-alive" },
		{ { true,  true,  false, "nvmm", "Keep: it\r\n" }, 9, ANSWER_PLAIN, false, "\r\nKeep: it\r\n", "Connection:" },
		{ { true,  false, false, "nvmm", "Keep: it\r\n" }, 9, ANSWER_PLAIN, true, "Connection: close\r\n", "Keep:" },
		{ { true,  true,  true, "nvmm", NULL }, 9, ANSWER_PLAIN, false, "Content-Length: 9\r\n", "Connection:" },
		{ { true,  true,  false, "nvmm", NULL }, ANSWER_STREAM, ANSWER_CHUNKS, false,
		  "Transfer-Encoding: chunked\r\n", "Content-Length" },
		{ { true,  false, false, "nvmm", NULL }, ANSWER_STREAM, ANSWER_CHUNKS, true, "Connection: close\r\n", "Content-Length" },
		{ { false, true,  false, "nvmm", NULL }, ANSWER_STREAM, ANSWER_UNTIL_CLOSE, true,
		  "Connection: close\r\n", "Transfer-Encoding" },
		{ { true,  true,  true, "nvmm", NULL }, ANSWER_STREAM, ANSWER_PLAIN, false, "Date: ", "Transfer-Encoding" },
		{ { false, true,  true, "nvmm", NULL }, ANSWER_STREAM, ANSWER_PLAIN, false, "Date: ", "Content-Length" },
	};
	struct text x = { 0 };
	bool close;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		x.n = 0;
		assert_int_equal(answer_head(&x, &(struct answer){ 200, "a/b", "X: y\r\n", t[i].len },
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

static void test_error(void **state)
{
	struct asker k = { true, true, false, "none", NULL };
	struct text x = { 0 };
	bool close;

	(void)state;
	answer_error(&x, 404, "no \"x\"", NULL, &k, &close);
	text_add(&x, "", 1);
	assert_string_equal(strstr(x.p, "\r\n\r\n") + 4, "{\"status\":404,\"error\":\"no \\\"x\\\"\"}\n");
	assert_non_null(strstr(x.p, "\r\nContent-Length: 34\r\n"));
	x.n = 0;
	k.head = true;
	answer_error(&x, 404, "no \"x\"", NULL, &k, &close);
	text_add(&x, "", 1);
	assert_string_equal(strstr(x.p, "\r\n\r\n") + 4, "");
	assert_non_null(strstr(x.p, "\r\nContent-Length: 34\r\n"));
	text_free(&x);
}

static void test_date(void **state)
{
	char b[ANSWER_DATE];

	(void)state;
	for (int leap = 0; leap < 2; leap++) {		/* such a zone counts leap seconds */
		setenv("TZ", leap ? "right/UTC" : "UTC", 1);
		tzset();
		answer_date(b, 784111777000u);
		assert_string_equal(b, "Sun, 06 Nov 1994 08:49:37 GMT");
		answer_date(b, 1709210096999u);
		assert_string_equal(b, "Thu, 29 Feb 2024 12:34:56 GMT");
		answer_date(b, 0);
		assert_string_equal(b, "Thu, 01 Jan 1970 00:00:00 GMT");
	}
	answer_date(b, UINT64_MAX);	/* any time of a record gives a date */
	assert_true(strlen(b) > 25 && strlen(b) < sizeof b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_json),
		cmocka_unit_test(test_framing), cmocka_unit_test(test_error),
		cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
