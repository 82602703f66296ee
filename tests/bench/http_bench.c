/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_bench.c - nanoseconds that the parser takes for a request, by itself: wrk's
 * POST with 1 KB, the same chunked, curl's, a GET.  Best of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/http.h"

static const struct http_limits limits = { 16384, 8192, 100, 8192, 1 << 20 };

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* One request in one piece, `times` times over; the steps it took. */
static unsigned parse(uint8_t *p, size_t n, unsigned times)
{
	struct http_span sp;
	unsigned steps = 0;
	struct http h;

	http_init(&h, &limits);
	while (times--) {
		enum http_what what;
		size_t i = 0, used;

		do {
			what = http_step(&h, p + i, n - i, &used, &sp);
			i += used;
			steps++;
		} while (what != HTTP_DONE && what != HTTP_MORE && what != HTTP_ERROR);
		if (what != HTTP_DONE || i != n) {
			fprintf(stderr, "not one request: %u %s\n", h.err.status, h.err.reason);
			exit(1);
		}
	}
	return steps;
}

static void measure(const char *name, const char *head, const char *after)
{
	enum { ROUNDS = 20, TIMES = 20000, BODY = 1024 };
	static uint8_t in[4096];
	size_t n = strlen(head), k = strlen(after);
	double best = 1e18;
	unsigned steps = 0;

	memcpy(in, head, n);
	if (strstr(head, "POST")) {
		memset(in + n, 'x', BODY);
		n += BODY;
	}
	memcpy(in + n, after, k);
	n += k;
	for (int r = 0; r < ROUNDS; r++) {
		double t = now_ns();

		steps = parse(in, n, TIMES);
		t = now_ns() - t;
		if (t < best)
			best = t;
	}
	printf("%-24s %5zu bytes  %6.0f ns  %.1f steps\n", name, n, best / TIMES, (double)steps / TIMES);
}

int main(void)
{
	measure("wrk POST 1 KB", "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
		"Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n\r\n", "");
	measure("curl POST 1 KB", "POST /events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\n"
		"Accept: */*\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Length: 1024\r\n"
		"Content-Type: application/x-www-form-urlencoded\r\n\r\n", "");
	measure("POST 1 KB, one chunk", "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
		"Transfer-Encoding: chunked\r\n\r\n400\r\n", "\r\n0\r\n\r\n");
	measure("GET", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", "");
	return 0;
}
