/* SPDX-License-Identifier: BSD-2-Clause */
/* test_reply.c - fixed replies byte for byte, and the marks of a connection's output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "http/reply.h"

static struct reply_pool p;
static struct reply_out c;
static struct head_common common;

static void fresh(const char *class, bool named)
{
	memset(&c, 0, sizeof(c));
	head_common_init(&common, class, 5000);
	assert_int_equal(reply_init(&p, 2, &common, 3, named), 0);
	reply_clock(&p, 1700000000000ull);
}

/* All that may leave, as a string; marks it as sent. */
static const char *take(void)
{
	static char out[1 << 16];
	struct iovec iov[64];
	uint64_t end;
	size_t n = 0;
	unsigned k = reply_iov(&c, iov, 64, &end);

	for (unsigned i = 0; i < k; i++) {
		assert_true(iov[i].iov_len > 0);
		memcpy(out + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	out[n] = 0;
	assert_int_equal(end, c.sent + n);
	reply_sent(&p, &c, end);
	return out;
}

static void recorded(void **state)
{
	(void)state;
	fresh("fsync", true);
	assert_true(reply_room(&p, &c));
	reply_recorded(&p, &c, 12345, false, false);
	assert_string_equal(take(), "");		/* nothing is ready */
	c.ready = c.end;
	assert_string_equal(take(),
		"HTTP/1.1 200 OK\r\n"
		"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: 37\r\n"
		"Pasted-Record: 3-12345\r\n"
		"Pasted-Class: fsync\r\n"
		"Connection: keep-alive\r\n"
		"Keep-Alive: timeout=4\r\n"
		"\r\n"
		"{\"record\":\"3-12345\",\"class\":\"fsync\"}\n");
	assert_null(c.first);			/* an idle connection holds no block */
	reply_fini(&p);
}

static void unnamed_and_closing(void **state)
{
	(void)state;
	fresh("none", false);
	assert_true(reply_room(&p, &c));
	reply_recorded(&p, &c, UINT64_MAX, true, true);
	c.ready = c.end;
	const char *s = take();
	assert_null(strstr(s, "Pasted-Record"));
	assert_non_null(strstr(s, "Content-Length: 17\r\nPasted-Class: none\r\nConnection: close\r\n\r\n{\"class\":\"none\"}\n"));
	reply_fini(&p);
}

static void statuses(void **state)
{
	(void)state;
	fresh("nvmm", true);
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 503, "no free buffers", (struct reply_opt){ .close = true });
	c.ready = c.end;
	const char *s = take();
	assert_non_null(strstr(s, "HTTP/1.1 503 Service Unavailable\r\n"));
	assert_non_null(strstr(s, "\r\nPasted-Class: nvmm\r\n"));
	assert_non_null(strstr(s, "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{\"status\":503,\"error\":\"no free buffers\"}\n"));
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 204, "", (struct reply_opt){ 0 });
	c.ready = c.end;
	s = take();
	assert_null(strstr(s, "Content-"));
	assert_non_null(strstr(s, "\r\nPasted-Class: nvmm\r\n"));
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 404, "no", (struct reply_opt){ .head = true });
	c.ready = c.end;
	s = take();
	assert_non_null(strstr(s, "Content-Length: "));
	assert_string_equal(s + strlen(s) - 4, "\r\n\r\n");
	/* The largest text fits. */
	char big[2000];
	memset(big, 'x', sizeof(big));
	assert_true(reply_room(&p, &c));
	reply_text(&p, &c, 503, big, sizeof(big), (struct reply_opt){ .close = true, .old = true });
	c.ready = c.end;
	assert_non_null(strstr(take(), "xxx"));
	reply_fini(&p);
}

/* Many replies over several blocks: marks anywhere, in order, all blocks come back. */
static void order_and_blocks(void **state)
{
	char want[32];
	unsigned n, said = 0;

	(void)state;
	fresh("fsync", true);
	size_t extra = p.extra_left;
	uint64_t ends[200];
	for (n = 0; n < 200; n++) {
		assert_true(reply_room(&p, &c));
		reply_recorded(&p, &c, n + 1, false, false);
		ends[n] = c.end;
	}
	for (unsigned upto = 7; upto <= n; upto += 7) {
		c.ready = ends[upto - 1];
		const char *s = take();
		while (said < upto) {
			snprintf(want, sizeof(want), "Pasted-Record: 3-%u\r\n", said + 1);
			s = strstr(s, want);
			assert_non_null(s);
			said++;
		}
		assert_null(strstr(s + 1, "Pasted-Record: "));
	}
	/* What was not ready can be taken back. */
	reply_truncate(&p, &c, c.ready);
	assert_int_equal(c.end, c.ready);
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 503, "failed", (struct reply_opt){ .close = true });
	c.ready = c.end;
	const char *s = take();
	assert_int_equal(strncmp(s, "HTTP/1.1 503", 12), 0);
	assert_null(c.first);
	assert_int_equal(p.extra_left, extra);
	reply_fini(&p);
}

static void blocks_are_bounded(void **state)
{
	struct reply_out other = { 0 };
	unsigned n = 0;

	(void)state;
	fresh("fsync", true);
	while (reply_room(&p, &c) && n < 100000) {
		reply_recorded(&p, &c, ++n, false, false);
	}
	assert_true(n > REPLY_EXTRA && n < 100000);
	assert_true(reply_room(&p, &other));		/* each connection has its one */
	reply_free(&p, &other);
	reply_free(&p, &c);
	assert_int_equal(p.extra_left, REPLY_EXTRA);
	reply_fini(&p);
}

/* All that was not ready goes, over however many blocks, and what was stays as it is. */
static void taken_back(void **state)
{
	uint64_t ends[100];

	(void)state;
	fresh("fsync", true);
	for (unsigned ready = 0; ready < 100; ready += 9) {
		size_t extra = p.extra_left, before;
		struct iovec iov[8];
		char want[32];
		const char *s;
		uint64_t end;

		for (unsigned i = 0; i < 100; i++) {
			assert_true(reply_room(&p, &c));
			reply_recorded(&p, &c, 1000 + i, false, false);
			ends[i] = c.end;
		}
		assert_true(p.extra_left < extra - 4);
		before = c.sent;
		if (ready)
			c.ready = ends[ready - 1];
		/* With less room for pieces than there are blocks, it is the beginning. */
		assert_int_equal(reply_iov(&c, iov, 1, &end), ready > 0);
		if (ready > 0)
			assert_int_equal(end, before + iov[0].iov_len);
		reply_truncate(&p, &c, c.ready);
		assert_int_equal(c.end, c.ready);
		assert_true(reply_room(&p, &c));
		reply_status(&p, &c, 503, "failed", (struct reply_opt){ .close = true });
		c.ready = c.end;
		s = take();
		for (unsigned i = 0; i < ready; i++) {
			snprintf(want, sizeof(want), "Pasted-Record: 3-%u\r\n", 1000 + i);
			s = strstr(s, want);
			assert_non_null(s);
		}
		assert_null(strstr(s + 1, "Pasted-Record: "));
		assert_non_null(strstr(s, "HTTP/1.1 503 "));
		assert_null(c.first);
		assert_null(c.last);
		assert_int_equal(p.extra_left, extra);
	}
	reply_truncate(&p, &c, c.end);		/* of nothing */
	assert_true(p.fresh < 40);			/* blocks are used again */
	reply_fini(&p);
}

/* Half a block has left: what follows begins there, and the block stays until it is all gone. */
static void in_parts(void **state)
{
	(void)state;
	fresh("fsync", true);
	for (unsigned round = 0; round < 2; round++) {
		struct iovec iov[8];
		uint64_t end, begin = c.sent;
		size_t n = 0;

		for (unsigned i = 0; i < 60; i++) {
			assert_true(reply_room(&p, &c));
			reply_recorded(&p, &c, i + 1, false, false);
		}
		while (c.sent != c.end) {
			size_t sent = (c.end - c.sent) < 777 ? c.end - c.sent : 777;

			c.ready = c.sent + sent;
			for (unsigned k = 0, got = reply_iov(&c, iov, 8, &end); k < got; k++)
				n += iov[k].iov_len;
			assert_int_equal(end, c.ready);
			reply_sent(&p, &c, end);
			if (c.sent != c.end)
				assert_true(c.first && c.first->start <= c.sent);
		}
		assert_int_equal(n, c.end - begin);
		assert_null(c.first);
		assert_int_equal(p.extra_left, REPLY_EXTRA);
	}
	reply_fini(&p);
}

/* Who is told that the connection stays, and for how long: a second less than the truth. */
static void keep_alive(void **state)
{
	static const struct { unsigned idle_ms; const char *line; } row[] = {
		{ 0, "" }, { 1, "" }, { 999, "" }, { 1000, "" }, { 1001, "timeout=1\r\n" }, { 2000, "timeout=1\r\n" },
		{ 2001, "timeout=2\r\n" }, { 60000, "timeout=59\r\n" },
	};
	char want[100];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		snprintf(want, sizeof(want), *row[i].line ? "Connection: keep-alive\r\nKeep-Alive: %s" : "%s", row[i].line);
		head_common_init(&common, "fsync", row[i].idle_ms);
		assert_int_equal(common.keep_len, strlen(want));
		assert_string_equal(common.keep, want);
	}
	/* Too short for a number: only HTTP/1.0 has to be told. */
	for (int old = 0; old < 2; old++)
		for (int close = 0; close < 2; close++)
			for (int kind = 0; kind < 2; kind++) {
				const char *s;

				memset(&c, 0, sizeof(c));
				head_common_init(&common, "fsync", 900);
				assert_int_equal(reply_init(&p, 2, &common, 3, true), 0);
				reply_clock(&p, 1700000000000ull);
				assert_true(reply_room(&p, &c));
				if (kind)
					reply_recorded(&p, &c, 1, close, old);
				else
					reply_text(&p, &c, 200, "x", 1, (struct reply_opt){ .close = close, .old = old });
				c.ready = c.end;
				s = take();
				assert_int_equal(!!strstr(s, "\r\nConnection: close\r\n"), close);
				assert_int_equal(!!strstr(s, "\r\nConnection: keep-alive\r\n"), old && !close);
				assert_null(strstr(s, "Keep-Alive: "));
				reply_fini(&p);
			}
}

/* Each status has its reason, and what has none is told so. */
static void reasons(void **state)
{
	static const struct { int status; const char *reason; } row[] = {
		{ 200, "OK" }, { 204, "No Content" }, { 400, "Bad Request" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 417, "Expectation Failed" }, { 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" }, { 999, "Error" },
	};
	char want[64];

	(void)state;
	fresh("fsync", true);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_true(reply_room(&p, &c));
		reply_status(&p, &c, row[i].status, "why", (struct reply_opt){ .extra = "X: y\r\n" });
		c.ready = c.end;
		snprintf(want, sizeof(want), "HTTP/1.1 %d %s\r\n", row[i].status, row[i].reason);
		const char *s = take();
		assert_memory_equal(s, want, strlen(want));
		assert_int_equal(strstr(s, "\r\nX: y\r\nRetry-After: 1\r\n") != NULL, row[i].status == 503);
		assert_int_equal(strstr(s, "\r\nX: y\r\nRetry-After: 10\r\n") != NULL, row[i].status == 507);
		assert_int_equal(strstr(s, "Retry-After") != NULL, row[i].status == 503 || row[i].status == 507);
		assert_int_equal(strstr(s, "\r\nContent-Length: ") != NULL, row[i].status != 204);
	}
	assert_true(reply_room(&p, &c));
	reply_continue(&p, &c);
	c.ready = c.end;
	assert_string_equal(take(), "HTTP/1.1 100 Continue\r\n\r\n");
	reply_fini(&p);
}

/* The date is that of the reply's second, also when that goes back. */
static void dates(void **state)
{
	static const struct { uint64_t ms; const char *date; } row[] = {
		{ 1700000000999ull, "Tue, 14 Nov 2023 22:13:20 GMT" }, { 1700000001000ull, "Tue, 14 Nov 2023 22:13:21 GMT" },
		{ 1700000000000ull, "Tue, 14 Nov 2023 22:13:20 GMT" }, { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
	};

	(void)state;
	fresh("fsync", true);
	reply_fini(&p);
	assert_int_equal(reply_init(&p, 2, &common, 3, true), 0);
	reply_clock(&p, 500);			/* also the first second there is */
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 404, "why", (struct reply_opt){ 0 });
	c.ready = c.end;
	assert_non_null(strstr(take(), row[3].date));
	for (size_t i = 0; i < 4; i++)
		for (int kind = 0; kind < 2; kind++) {
			reply_clock(&p, row[i].ms);
			assert_true(reply_room(&p, &c));
			if (kind)
				reply_recorded(&p, &c, 1, false, false);
			else
				reply_status(&p, &c, 404, "why", (struct reply_opt){ 0 });
			c.ready = c.end;
			assert_non_null(strstr(take(), row[i].date));
		}
	reply_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded),
		cmocka_unit_test(unnamed_and_closing),
		cmocka_unit_test(statuses),
		cmocka_unit_test(order_and_blocks),
		cmocka_unit_test(blocks_are_bounded),
		cmocka_unit_test(taken_back),
		cmocka_unit_test(in_parts),
		cmocka_unit_test(keep_alive),
		cmocka_unit_test(reasons),
		cmocka_unit_test(dates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
