/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.c - HTTP/1 requests in place: what the fields mean that the parser library
 * finds in the bytes that http_check.c accepted, and the steps.
 *
 * The library starts anew with each request, and does not see the payload of a
 * message with Content-Length (counted here) nor chunk extensions.
 */
#include "http/http_adapter.h"
#include "util/mutant.h"

#include <string.h>

static_assert(sizeof(struct http) <= 640, "idle connections are small");

/* Bits of h->seen; those below are 1 << enum field. */
enum { SEEN_CLOSE = 1 << 9, SEEN_KEEP_ALIVE = 1 << 10, SEEN_CONTINUE = 1 << 11,
       SEEN_IF_MATCH = 1 << 12, SEEN_CONTENT_RANGE = 1 << 13 };

/* ---- what the fields mean ---- */

static int verdict(const struct http *h)
{
	return h->err.status ? -1 : 0;
}

/* A byte becomes a lower-case letter only if it is that letter in either case; "-" and digits stay
 * as they are.  Other bytes may change, so this is good only for comparing tokens with known ones. */
static char lower(char c)
{
	return c | 0x20;
}

int http_on_name(struct http *h, const char *at, size_t len)
{
	size_t i = 0;

	for (; len - i >= 8 && h->name_len + 8u <= sizeof(h->name); i += 8, h->name_len += 8) {
		uint64_t v;

		memcpy(&v, at + i, 8);
		v |= 0x2020202020202020u;	/* lower(), eight times */
		memcpy(h->name + h->name_len, &v, 8);
	}
	for (; i < len && h->name_len <= sizeof(h->name); i++, h->name_len++)
		if (h->name_len < sizeof(h->name))
			h->name[h->name_len] = lower(at[i]);
	return 0;
}

static unsigned find_field(const char *name, size_t len)
{
#define NAMED(s) (memcmp(name, s, sizeof(s) - 1) == 0)
	switch (len) {
	case 4:  return NAMED("host") ? FIELD_HOST : FIELD_OTHER;
	case 6:  return NAMED("cookie") ? FIELD_SECRET : NAMED("expect") ? FIELD_EXPECT : FIELD_OTHER;
	case 7:  return NAMED("cookie2") ? FIELD_SECRET : FIELD_OTHER;
	case 8:  return NAMED("if-match") ? FIELD_IF_MATCH : FIELD_OTHER;
	case 10: return NAMED("connection") ? FIELD_CONNECTION : FIELD_OTHER;
	case 13: return NAMED("authorization") ? FIELD_SECRET :
			NAMED("content-range") ? FIELD_CONTENT_RANGE : FIELD_OTHER;
	case 14: return NAMED("content-length") ? FIELD_LENGTH : FIELD_OTHER;
	case 17: return NAMED("transfer-encoding") ? FIELD_CODING : FIELD_OTHER;
	case 19: return NAMED("proxy-authorization") ? FIELD_SECRET : FIELD_OTHER;
	}
	return FIELD_OTHER;
#undef NAMED
}

int http_on_name_end(struct http *h)
{
	unsigned bit;

	h->field = find_field(h->name, h->name_len);
	h->name_len = 0;
	h->val_len = 0;
	h->val_gap = false;
	if (h->field >= FIELD_IF_MATCH && !h->trailing)
		h->seen |= h->field == FIELD_IF_MATCH ? SEEN_IF_MATCH : SEEN_CONTENT_RANGE;
	if (h->field < FIELD_HOST || h->field > FIELD_CODING)
		return 0;

	bit = 1u << h->field;
	if (h->trailing)
		http_fail(h, 400, "framing field in trailers");
	else if (h->seen & bit)
		http_fail(h, 400, "repeated Host, Content-Length or Transfer-Encoding");
	else if ((h->seen | bit) & (1u << FIELD_LENGTH) && (h->seen | bit) & (1u << FIELD_CODING))
		http_fail(h, 400, "Content-Length beside Transfer-Encoding");
	else if (h->field == FIELD_CODING && h->req.minor == 0)
		http_fail(h, 400, "Transfer-Encoding in HTTP/1.0");
	h->seen |= bit;
	h->host_state = HOST_START;
	h->host_count = 0;
	return verdict(h);
}

static bool val_is(const struct http *h, const char *word)
{
	return h->val_len == strlen(word) && memcmp(h->val, word, h->val_len) == 0;
}

static void connection_option(struct http *h)
{
	if (val_is(h, "close"))
		h->seen |= SEEN_CLOSE;
	else if (val_is(h, "keep-alive"))
		h->seen |= SEEN_KEEP_ALIVE;
	h->val_len = 0;
	h->val_gap = false;
}

/* Append c to the word h->val, without the blanks around the word.  A word with blanks inside counts
 * as one that is too long. */
static void keep_word(struct http *h, char c)
{
	if (c == ' ' || c == '\t') {
		h->val_gap = h->val_len > 0;
		return;
	}
	if (h->val_gap)
		h->val_len = sizeof(h->val) + 1;
	if (h->val_len < sizeof(h->val))
		h->val[h->val_len] = lower(c);
	if (h->val_len <= sizeof(h->val))
		h->val_len++;
}

int http_on_value(struct http *h, const char *at, size_t len)
{
	switch (h->field) {
	case FIELD_SECRET:
		if (!MUTANT(http_scrub))
			memset((char *)(uintptr_t)at, '*', len);
		break;
	case FIELD_HOST:
		if (!http_check_host(h, (const uint8_t *)at, len))
			http_fail(h, 400, "malformed Host");
		break;
	case FIELD_CODING:
	case FIELD_EXPECT:
		for (size_t i = 0; i < len; i++)
			keep_word(h, at[i]);
		break;
	case FIELD_CONNECTION:
		for (size_t i = 0; i < len; i++)
			if (at[i] == ',')
				connection_option(h);
			else
				keep_word(h, at[i]);
		break;
	}
	return verdict(h);
}

int http_on_value_end(struct http *h)
{
	if (h->trailing)
		return 0;
	if (h->field == FIELD_HOST && !http_host_ends(h))
		http_fail(h, 400, "malformed Host");
	else if (h->field == FIELD_CODING && !val_is(h, "chunked"))
		http_fail(h, 501, "transfer coding not supported");
	else if (h->field == FIELD_CONNECTION)
		connection_option(h);
	else if (h->field == FIELD_EXPECT && h->req.minor && !val_is(h, "100-continue"))
		http_fail(h, 417, "expectation not supported");
	else if (h->field == FIELD_EXPECT && h->req.minor)
		h->seen |= SEEN_CONTINUE;
	return verdict(h);
}

int http_on_head_end(struct http *h, bool chunked, bool has_length, uint64_t length)
{
	struct http_req *r = &h->req;

	h->complete = true;
	r->chunked = chunked;
	r->content_length = length;
	r->has_body = chunked || (has_length && length > 0);
	r->keep_alive = !(h->seen & SEEN_CLOSE) && (r->minor || h->seen & SEEN_KEEP_ALIVE);
	r->expect_continue = r->has_body && h->seen & SEEN_CONTINUE;
	r->if_match = h->seen & SEEN_IF_MATCH;
	r->content_range = h->seen & SEEN_CONTENT_RANGE;
	if (r->minor && !(h->seen & (1u << FIELD_HOST)))
		http_fail(h, 400, "no Host");
	else if (!r->minor && !has_length && r->recorded && r->method != HTTP_DELETE)
		http_fail(h, 400, "HTTP/1.0 without Content-Length");
	else if (has_length && length > h->lim->body_bytes)
		http_fail(h, 413, "body too large");
	return verdict(h);
}

int http_on_chunk_size(struct http *h, uint64_t size)
{
	h->left = size;
	h->complete = true;
	if (size > h->lim->body_bytes - h->body_sum)
		http_fail(h, 413, "body too large");
	h->body_sum += size;
	return verdict(h);
}

int http_on_message_end(struct http *h)
{
	h->complete = true;
	return 0;
}

/* Hand the bytes that check has accepted to the library.  An error that check has found lies behind
 * p[n - 1], so it counts only if the library finds none in these bytes.  false: there is one. */
static bool feed(struct http *h, const uint8_t *p, size_t n)
{
	struct http_err later = h->err;

	h->err.status = 0;
	if (n)
		http_lib_feed(h, p, n);
	if (!h->err.status)
		h->err = later;
	return !h->err.status;
}

/* Hand field lines with tabs to the library.  Where it reads a value by itself (Content-Length,
 * Transfer-Encoding) it takes only spaces for blanks, so a tab there is shown to it as a space. */
static bool feed_tabs(struct http *h, const uint8_t *p, size_t n)
{
	struct http_err later = h->err;
	const uint8_t *tab;
	size_t k;

	h->err.status = 0;
	for (; n && !h->err.status; p += k, n -= k) {
		tab = memchr(p, '\t', n);
		k = !tab ? n : tab > p ? (size_t)(tab - p) : 1;
		http_lib_feed(h, tab == p && (h->field == FIELD_LENGTH || h->field == FIELD_CODING) ?
			      (const uint8_t *)" " : p, k);
	}
	if (!h->err.status)
		h->err = later;
	return !h->err.status;
}

static bool feed_fields(struct http *h, const uint8_t *p, size_t n)
{
	return h->tabs ? feed_tabs(h, p, n) : feed(h, p, n);
}

/* ---- steps ---- */

void http_init(struct http *h, const struct http_limits *lim)
{
	memset(h, 0, sizeof(*h));
	h->lim = lim;
	h->state = ST_BLANK;
}

static void begin_request(struct http *h)
{
	memset(&h->req, 0, offsetof(struct http_req, target));
	h->req.content_length = UINT64_MAX;
	h->left = h->body_sum = 0;
	h->headers = h->extra_bytes = h->raw_target_len = 0;
	h->seen = 0;
	h->form = 0;
	h->word_pos = h->name_len = h->blanks = 0;
	h->trailing = h->complete = h->tabs = false;
	http_lib_begin(h);
}

static enum http_what step_head(struct http *h, uint8_t *p, size_t n)
{
	size_t took = http_check_head(h, p, n, h->lim->head_bytes - h->req.headers_bytes);
	bool end = h->state == ST_HEAD_END;

	if (!feed_fields(h, p, took))
		return HTTP_ERROR;
	if (end != h->complete) {
		http_fail(h, 400, "malformed head");
		return HTTP_ERROR;
	}
	h->req.headers_bytes += took;
	if (!end)
		return took ? HTTP_HEAD : HTTP_MORE;
	h->complete = false;
	h->left = h->req.chunked || !h->req.has_body ? 0 : h->req.content_length;
	h->state = h->req.chunked ? ST_SIZE : h->left ? ST_BODY : ST_DONE;
	return HTTP_HEADERS;
}

/* Read chunk framing up to the first byte of payload or of the trailers.  Returns how many bytes. */
static size_t step_framing(struct http *h, const uint8_t *p, size_t n)
{
	size_t i, from = 0;

	for (i = 0; i < n && h->state != ST_CHUNK && !h->err.status; i++) {
		bool ext = h->state >= ST_EXT && h->state <= ST_EXT_QUOTED_END;

		http_check_framing(h, p[i]);
		if (h->err.status)
			break;
		if (!ext && h->state >= ST_EXT && h->state <= ST_EXT_QUOTED_END) {
			/* An extension, and the blanks before it, are not shown to the library. */
			if (!feed(h, p + from, i - from))
				return 0;
		}
		if (h->state >= ST_EXT && h->state <= ST_EXT_QUOTED_END) {
			from = i + 1;
			if (h->extra_bytes == h->lim->trailer_bytes) {
				http_fail(h, 431, "chunk extensions too long");
				break;
			}
			h->extra_bytes++;
		}
	}
	if (!feed(h, p + from, i > from ? i - from : 0))
		return 0;
	if (h->state != ST_CHUNK)
		return i;
	if (!h->complete)
		http_fail(h, 400, "malformed chunk");
	h->complete = false;
	if (h->left == 0) {
		h->trailing = true;
		h->headers = 0;
		h->state = ST_LINE;
	}
	return i;
}

static size_t step_trailers(struct http *h, const uint8_t *p, size_t n)
{
	size_t took = http_check_head(h, p, n, (size_t)h->lim->trailer_bytes + 2 - h->extra_bytes);
	bool end = h->state == ST_HEAD_END;

	if (!feed_fields(h, p, took))
		return 0;
	h->extra_bytes += took;
	if (end)
		h->state = ST_DONE;
	if (end != h->complete)
		http_fail(h, 400, "malformed trailers");
	return took;
}

enum http_what http_step(struct http *h, uint8_t *p, size_t n, size_t *used, struct http_span *sp)
{
	enum http_what what = HTTP_MORE;
	size_t i = 0, len = 0;

	while (what == HTTP_MORE && !h->err.status) {
		if (h->state == ST_DONE) {
			what = HTTP_DONE;
			h->state = ST_BLANK;
			break;
		}
		if (i == n)
			break;
		if (h->state <= ST_BLANK_LF) {
			i += http_check_blanks(h, p + i, n - i);
			if (h->state == ST_METHOD)
				begin_request(h);
		} else if (h->state < ST_HEAD_END && !h->trailing) {
			uint32_t before = h->req.headers_bytes;

			what = step_head(h, p + i, n - i);
			len = h->req.headers_bytes - before;
		} else if (h->state < ST_HEAD_END) {
			i += step_trailers(h, p + i, n - i);
		} else if (h->state == ST_BODY || h->state == ST_CHUNK) {
			len = n - i < h->left ? n - i : h->left;
			if (h->state == ST_CHUNK && !feed(h, p + i, len))
				break;
			h->left -= len;
			if (!h->left)
				h->state = h->state == ST_BODY ? ST_DONE : ST_CHUNK_CR;
			what = HTTP_BODY;
		} else {
			i += step_framing(h, p + i, n - i);
		}
	}
	if (h->err.status) {
		h->state = ST_ERROR;
		*used = 0;
		*sp = (struct http_span){ 0, 0 };
		return HTTP_ERROR;
	}
	*sp = (struct http_span){ i, len };
	*used = i + len;
	return what;
}

bool http_idle(const struct http *h)
{
	return h->state <= ST_BLANK_LF;
}
