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

#include "conn.h"
#include "reply.h"

static struct reply_pool p;
static struct conn c;

static void fresh(const char *class, bool named)
{
	memset(&c, 0, sizeof(c));
	assert_int_equal(reply_init(&p, 2, class, 3, named, 5000), 0);
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
		memcpy(out + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	out[n] = 0;
	assert_int_equal(end, c.out_sent + n);
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
	c.out_ready = c.out_end;
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
	assert_null(c.out_first);			/* an idle connection holds no block */
	reply_fini(&p);
}

static void unnamed_and_closing(void **state)
{
	(void)state;
	fresh("none", false);
	assert_true(reply_room(&p, &c));
	reply_recorded(&p, &c, UINT64_MAX, true, true);
	c.out_ready = c.out_end;
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
	reply_status(&p, &c, 503, "no free buffers", (struct reply_opt){ .retry_after_s = 1, .close = true });
	c.out_ready = c.out_end;
	const char *s = take();
	assert_non_null(strstr(s, "HTTP/1.1 503 Service Unavailable\r\n"));
	assert_non_null(strstr(s, "\r\nPasted-Class: nvmm\r\n"));
	assert_non_null(strstr(s, "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{\"status\":503,\"error\":\"no free buffers\"}\n"));
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 204, "", (struct reply_opt){ 0 });
	c.out_ready = c.out_end;
	s = take();
	assert_null(strstr(s, "Content-"));
	assert_non_null(strstr(s, "\r\nPasted-Class: nvmm\r\n"));
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 404, "no", (struct reply_opt){ .head = true });
	c.out_ready = c.out_end;
	s = take();
	assert_non_null(strstr(s, "Content-Length: "));
	assert_string_equal(s + strlen(s) - 4, "\r\n\r\n");
	/* The largest text fits. */
	char big[2000];
	memset(big, 'x', sizeof(big));
	assert_true(reply_room(&p, &c));
	reply_text(&p, &c, 503, big, sizeof(big), (struct reply_opt){ .retry_after_s = 1, .close = true, .old = true });
	c.out_ready = c.out_end;
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
		ends[n] = c.out_end;
	}
	for (unsigned upto = 7; upto <= n; upto += 7) {
		c.out_ready = ends[upto - 1];
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
	reply_truncate(&p, &c, c.out_ready);
	assert_int_equal(c.out_end, c.out_ready);
	assert_true(reply_room(&p, &c));
	reply_status(&p, &c, 503, "failed", (struct reply_opt){ .close = true });
	c.out_ready = c.out_end;
	const char *s = take();
	assert_int_equal(strncmp(s, "HTTP/1.1 503", 12), 0);
	assert_null(c.out_first);
	assert_int_equal(p.extra_left, extra);
	reply_fini(&p);
}

static void blocks_are_bounded(void **state)
{
	struct conn other = { 0 };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded),
		cmocka_unit_test(unnamed_and_closing),
		cmocka_unit_test(statuses),
		cmocka_unit_test(order_and_blocks),
		cmocka_unit_test(blocks_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
