/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_outcome.h - what the parser makes of a stream that comes in pieces, as text
 * to compare, for the unit test and the fuzzer.
 *
 * The text holds what must not depend on the cut: each request's head (joined), its
 * fields, its payload (joined), its end, the error.  On the way everything that
 * http.h promises of a single step is checked; what breaks ends in abort().
 * Each piece lies in memory of its own, of exactly its size: a sanitizer sees every
 * byte read or written beside it, or after its time.
 */
#ifndef HTTP_OUTCOME_H
#define HTTP_OUTCOME_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"

struct outcome {
	char *text;
	size_t len, room;
	unsigned requests;
	unsigned steps;
	struct http_err err;
};

/* First a piece of `first` bytes (0: none such), then of `step` bytes (0: the rest). */
struct cut { size_t first, step; };

#define OUTCOME_CHECK(x) do { \
	if (!(x)) { \
		fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #x); \
		abort(); \
	} \
} while (0)

static inline void outcome_add(struct outcome *o, const void *p, size_t n)
{
	if (o->len + n + 1 > o->room) {
		o->room = (o->len + n + 1) * 2;
		o->text = realloc(o->text, o->room);
		OUTCOME_CHECK(o->text);
	}
	memcpy(o->text + o->len, p, n);
	o->len += n;
	o->text[o->len] = 0;
}

__attribute__((format(printf, 2, 3)))
static inline void outcome_say(struct outcome *o, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	OUTCOME_CHECK(n >= 0 && (size_t)n < sizeof(line));
	outcome_add(o, line, n);
}

/* Of a request: what came out so far. */
struct outcome_parts {
	struct outcome head, body;
	bool in_body;
};

static inline void outcome_clear(struct outcome_parts *w)
{
	w->head.len = w->body.len = 0;
	w->in_body = false;
}

static inline void outcome_request(struct outcome *o, struct outcome_parts *w, const struct http *h)
{
	const struct http_req *r = &h->req;
	unsigned kept = r->target_len < HTTP_TARGET_KEEP ? r->target_len : HTTP_TARGET_KEEP;

	outcome_say(o, "HEAD %zu ", w->head.len);
	outcome_add(o, w->head.text, w->head.len);
	outcome_say(o, "\n%s 1.%u", http_method_name(r->method), r->minor);
	outcome_say(o, " target %u ", r->target_len);
	outcome_add(o, r->target, kept);
	outcome_say(o, " recorded %d own %d keep_alive %d chunked %d has_body %d expect %d length %lld\n",
		    r->recorded, r->own, r->keep_alive, r->chunked, r->has_body, r->expect_continue,
		    (long long)r->content_length);
}

/*
 * A second opinion on a head that was accepted, read the plain way: the lines, the
 * framing fields and the secrets.  It knows less than the parser, but whatever the
 * parser, it may not disagree.
 */
static inline void outcome_second_opinion(const char *head, size_t n, const struct http_req *r)
{
	unsigned lengths = 0, codings = 0, hosts = 0;
	const char *line = memmem(head, n, "\r\n", 2), *end, *v;

	OUTCOME_CHECK(n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = head[i];

		OUTCOME_CHECK(c != '\n' || (i && head[i - 1] == '\r'));
		OUTCOME_CHECK(c != '\r' || (i + 1 < n && head[i + 1] == '\n'));
		OUTCOME_CHECK(c >= ' ' ? c != 0x7f : c == '\r' || c == '\n' || c == '\t');
	}
	OUTCOME_CHECK(line - head > 12 && memcmp(line - 9, " HTTP/1.", 8) == 0);
	OUTCOME_CHECK(r->minor == (line[-1] != '0'));
	for (line += 2; line[0] != '\r'; line = end + 2) {
		end = memmem(line, (size_t)(head + n - line), "\r\n", 2);
		v = memchr(line, ':', (size_t)(end - line));
		OUTCOME_CHECK(v && v > line && !memchr(line, ' ', (size_t)(v - line)) && *line != '\t');
#define IS_FIELD(s) (v - line == sizeof(s) - 1 && strncasecmp(line, s, sizeof(s) - 1) == 0)
		hosts += IS_FIELD("host");
		if (IS_FIELD("content-length")) {
			lengths++;
			OUTCOME_CHECK(strtoull(v + 1, NULL, 10) == r->content_length);
		} else if (IS_FIELD("transfer-encoding")) {
			codings++;
			v += 1 + strspn(v + 1, " \t");
			OUTCOME_CHECK(strncasecmp(v, "chunked", 7) == 0);
			OUTCOME_CHECK(v + 7 + strspn(v + 7, " \t") == end);
		} else if (IS_FIELD("cookie") || IS_FIELD("cookie2") || IS_FIELD("authorization") ||
			   IS_FIELD("proxy-authorization")) {
			v += 1 + strspn(v + 1, " \t");
			OUTCOME_CHECK(v + strspn(v, "*") == end);
		}
#undef IS_FIELD
	}
	OUTCOME_CHECK(line + 2 == head + n);
	OUTCOME_CHECK(lengths + codings <= 1 && hosts <= 1 && (hosts || !r->minor));
	OUTCOME_CHECK(r->chunked == (codings == 1) && (r->minor || !codings));
	OUTCOME_CHECK(lengths || r->content_length == UINT64_MAX);
	OUTCOME_CHECK(r->recorded == !!strchr("PD", head[0]));
}

/* One step is what http.h says of it. */
static inline void outcome_check_step(enum http_what what, const uint8_t *now, const uint8_t *was,
				      size_t n, size_t used, struct http_span sp)
{
	OUTCOME_CHECK(used <= n);
	OUTCOME_CHECK((size_t)sp.off + sp.len <= used);
	OUTCOME_CHECK(used || !n || what == HTTP_DONE || what == HTTP_ERROR);
	OUTCOME_CHECK((what != HTTP_MORE && what != HTTP_HEAD) || used == n);
	OUTCOME_CHECK((what == HTTP_HEAD || what == HTTP_HEADERS || what == HTTP_BODY) == (sp.len > 0));
	if (what == HTTP_ERROR)
		return;		/* what it left in p is nobody's */
	for (size_t i = 0; i < n; i++) {
		bool head = what == HTTP_HEAD || what == HTTP_HEADERS;
		bool inside = i >= sp.off && i < sp.off + sp.len;

		if (now[i] == was[i])
			continue;
		OUTCOME_CHECK(now[i] == '*' && i < used);
		/* Only heads, and trailers that are passed over silently. */
		OUTCOME_CHECK(head ? inside : what != HTTP_BODY && !inside);
	}
}

/* false: in error. */
static inline bool outcome_piece(struct outcome *o, struct outcome_parts *w, struct http *h,
				 const uint8_t *in, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1), *was = malloc(n ? n : 1), *p = copy;
	enum http_what what = HTTP_DONE;
	struct http_span sp;
	size_t used;

	OUTCOME_CHECK(copy && was);
	memcpy(copy, in, n);
	while (what != HTTP_MORE && what != HTTP_HEAD && what != HTTP_ERROR) {
		memcpy(was, p, n);
		what = http_step(h, p, n, &used, &sp);
		o->steps++;
		outcome_check_step(what, p, was, n, used, sp);
		switch (what) {
		case HTTP_HEADERS:
		case HTTP_HEAD:
			OUTCOME_CHECK(!w->in_body);
			outcome_add(&w->head, p + sp.off, sp.len);
			OUTCOME_CHECK(w->head.len == h->req.headers_bytes);
			if (what == HTTP_HEADERS) {
				outcome_request(o, w, h);
				outcome_second_opinion(w->head.text, w->head.len, &h->req);
				w->in_body = true;
			}
			break;
		case HTTP_BODY:
			OUTCOME_CHECK(w->in_body);
			outcome_add(&w->body, p + sp.off, sp.len);
			break;
		case HTTP_DONE:
			OUTCOME_CHECK(w->in_body && http_idle(h));
			OUTCOME_CHECK(h->req.chunked || w->body.len ==
				      (h->req.has_body ? h->req.content_length : 0));
			outcome_say(o, "BODY %zu ", w->body.len);
			outcome_add(o, w->body.text, w->body.len);
			outcome_say(o, "\nDONE\n");
			o->requests++;
			outcome_clear(w);
			break;
		case HTTP_ERROR:
			OUTCOME_CHECK(h->err.status >= 400 && h->err.status <= 505 && h->err.reason[0]);
			break;
		case HTTP_MORE:
			break;
		}
		p += used;
		n -= used;
	}
	free(copy);
	free(was);
	return what != HTTP_ERROR;
}

static inline struct outcome outcome_of(const void *in, size_t n, const struct http_limits *lim,
					struct cut cut)
{
	struct outcome o = { 0 };
	struct outcome_parts w = { 0 };
	struct http h;
	size_t i = 0, piece = cut.first;
	bool fine = true;

	http_init(&h, lim);
	OUTCOME_CHECK(http_idle(&h));
	outcome_say(&o, "%s", "");
	outcome_say(&w.head, "%s", "");
	outcome_say(&w.body, "%s", "");
	while (i < n && fine) {
		if (!piece)
			piece = cut.step ? cut.step : n;
		if (piece > n - i)
			piece = n - i;
		fine = outcome_piece(&o, &w, &h, (const uint8_t *)in + i, piece);
		i += piece;
		piece = 0;
	}
	o.err = h.err;
	if (fine) {
		outcome_say(&o, "then %s head %zu ", http_idle(&h) ? "idle" : "open",
			    w.in_body ? 0 : w.head.len);
		outcome_add(&o, w.head.text, w.in_body ? 0 : w.head.len);
		outcome_say(&o, " body %zu ", w.body.len);
	} else {
		outcome_say(&o, "ERROR %u %s body %zu ", h.err.status, h.err.reason, w.body.len);
		OUTCOME_CHECK(!outcome_piece(&o, &w, &h, (const uint8_t *)"GET", 3));
	}
	outcome_add(&o, w.body.text, w.body.len);
	free(w.head.text);
	free(w.body.text);
	return o;
}

static inline bool outcome_same(const struct outcome *a, const struct outcome *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

#endif
