/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_parser_adapter.c - http_parser, the ancestor of llhttp, behind http_adapter.h: for
 * systems that have no llhttp.
 *
 * Its differences end here:
 *   - it knows other methods, targets and versions, of which http_check.c is the
 *     judge: each request begins for it with the same line, the real one is skipped;
 *   - it does not say where a name and a value end.  They end where a piece ends that
 *     the fed bytes go on behind; an empty value shows at the next line's first byte;
 *   - it takes names that only begin like Transfer-Encoding for it, and sees what is
 *     wrong with "chunked, x" when the head ends;
 *   - the last numbers that 64 bits hold are an overflow to it.  They are refused as
 *     too large, at their last digit, whatever the limit.
 */
#ifdef PASTED_HTTP_PARSER
#include "http/http_adapter.h"

#include <string.h>

/* http_parser calls its methods by the names that http.h uses. */
#define http_method	http_parser_method
#define HTTP_HEAD	HP_HEAD
#define HTTP_GET	HP_GET
#define HTTP_OPTIONS	HP_OPTIONS
#define HTTP_POST	HP_POST
#define HTTP_PUT	HP_PUT
#define HTTP_PATCH	HP_PATCH
#define HTTP_DELETE	HP_DELETE
#include <http_parser.h>
#undef http_method
#undef HTTP_HEAD
#undef HTTP_GET
#undef HTTP_OPTIONS
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_PATCH
#undef HTTP_DELETE

struct adapter {
	http_parser p;		/* first: the callbacks get it */
	const char *end;	/* of the bytes that are being fed */
	size_t past;		/* bytes fed since the value ended */
	uint8_t last;		/* byte of what was fed before */
	bool line_over;		/* the request line has been skipped */
	bool in_value;		/* a first byte of the value was there */
	bool value_over;	/* http.c has not been told yet */
};

static_assert(sizeof(struct adapter) <= sizeof(((struct http *)0)->lib), "room for http_parser");
static_assert(_Alignof(struct adapter) <= 8, "alignment of http_parser");
static_assert(offsetof(struct adapter, p) == 0, "the parser is first");

static struct http *of(http_parser *p)
{
	return (struct http *)((char *)p - offsetof(struct http, lib));
}

static struct adapter *adapter_of(struct http *h)
{
	return (struct adapter *)h->lib;
}

static int http_parser_adapter_refuse(struct http *h, unsigned status, const char *reason)
{
	http_fail(h, status, reason);
	return -1;
}

static int value_end(struct http *h)
{
	struct adapter *a = adapter_of(h);

	if (!a->value_over)
		return 0;
	a->value_over = false;
	return http_on_value_end(h);
}

static int http_parser_adapter_on_name(http_parser *p, const char *at, size_t len)
{
	struct http *h = of(p);

	if (value_end(h) || http_on_name(h, at, len))
		return -1;
	if (at + len == adapter_of(h)->end)
		return 0;
	if (http_on_name_end(h))
		return -1;
	p->uses_transfer_encoding = h->seen >> FIELD_CODING & 1;
	return 0;
}

/* "chunked" ends the list of codings. */
static int on_coding(struct http *h, const char *at, size_t len)
{
	const char *comma = memchr(at, ',', len);

	if (!comma)
		return http_on_value(h, at, len);
	http_on_value(h, at, (size_t)(comma - at));
	if (h->val_len == 7 && memcmp(h->val, "chunked", 7) == 0)
		return http_parser_adapter_refuse(h, 400, "Invalid `Transfer-Encoding` header value");
	return http_on_value(h, comma, len - (size_t)(comma - at));
}

static int http_parser_adapter_on_value(http_parser *p, const char *at, size_t len)
{
	struct http *h = of(p);
	struct adapter *a = adapter_of(h);

	if (!len && !a->in_value)
		return http_on_value_end(h);
	a->in_value = at + len == a->end;
	a->value_over = !a->in_value;
	a->past = (size_t)(a->end - (at + len));
	return h->field == FIELD_CODING ? on_coding(h, at, len) : http_on_value(h, at, len);
}

static int http_parser_adapter_on_head_end(http_parser *p)
{
	struct http *h = of(p);
	bool has_length = p->flags & F_CONTENTLENGTH;

	p->upgrade = 0;		/* an offer we do not take: no pause behind the message */
	if (value_end(h))
		return -1;
	return http_on_head_end(h, p->flags & F_CHUNKED, has_length,
				has_length ? p->content_length : UINT64_MAX);
}

static int http_parser_adapter_on_chunk_size(http_parser *p)
{
	return http_on_chunk_size(of(p), p->content_length);
}

static int http_parser_adapter_on_message_end(http_parser *p)
{
	return http_on_message_end(of(p));
}

static const http_parser_settings callbacks = {
	.on_header_field = http_parser_adapter_on_name,
	.on_header_value = http_parser_adapter_on_value,
	.on_headers_complete = http_parser_adapter_on_head_end,
	.on_chunk_header = http_parser_adapter_on_chunk_size,
	.on_message_complete = http_parser_adapter_on_message_end,
};

/* The library's own limit of a head, one for the process; ours are checked before. */
__attribute__((constructor)) static void lift_limit(void)
{
	http_parser_set_max_header_size(UINT32_MAX);
}

void http_lib_begin(struct http *h)
{
	static const char line[] = "POST / HTTP/1.1\r\n";
	struct adapter *a = adapter_of(h);

	memset(a, 0, sizeof(*a));
	http_parser_init(&a->p, HTTP_REQUEST);
	http_parser_execute(&a->p, &callbacks, line, sizeof(line) - 1);
}

/* The library refuses a length, or a chunk size, at byte c behind byte b. */
static void http_parser_adapter_refuse_number(struct http *h, uint8_t b, uint8_t c)
{
	uint64_t before = adapter_of(h)->p.content_length;
	bool digit = c >= '0' && c <= '9';

	if (h->field != FIELD_LENGTH)
		http_fail(h, 413, "body too large");
	else if (b == '\n')
		http_fail(h, 400, "Empty Content-Length");
	else if (!digit || before < UINT64_MAX / 10)
		http_fail(h, 400, "Invalid character in Content-Length");
	else if (before > UINT64_MAX / 10 || c > '0' + UINT64_MAX % 10)
		http_fail(h, 400, "Content-Length overflow");
	else
		http_fail(h, 413, "body too large");
}

void http_lib_feed(struct http *h, const uint8_t *p, size_t n)
{
	struct adapter *a = adapter_of(h);
	enum http_errno e;
	size_t took;

	if (!a->line_over) {
		const uint8_t *lf = memchr(p, '\n', n);

		if (!lf || lf + 1 == p + n) {
			a->line_over = lf;
			return;
		}
		a->line_over = true;
		n -= (size_t)(lf + 1 - p);
		p = lf + 1;
	}
	a->end = (const char *)p + n;
	a->past += n;
	took = http_parser_execute(&a->p, &callbacks, (const char *)p, n);
	e = HTTP_PARSER_ERRNO(&a->p);
	if (e == HPE_OK) {
		a->last = p[n - 1];
		if (a->past > strlen("\r\n"))
			value_end(h);
	} else if (h->err.status) {
		return;		/* ours */
	} else if (e == HPE_INVALID_CONTENT_LENGTH) {
		http_parser_adapter_refuse_number(h, took ? p[took - 1] : a->last, p[took]);
	} else if (e == HPE_INVALID_TRANSFER_ENCODING) {
		http_fail(h, 400, "Request has invalid `Transfer-Encoding`");
	} else {
		http_fail(h, 400, http_errno_description(e));
	}
}
#endif
