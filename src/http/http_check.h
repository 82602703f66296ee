/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_check.h - between the two readers of a request: http_check.c, http.c.
 *
 * Every byte passes both readers.
 *
 *   check    walks over the bytes once and accepts what RFC 9112 allows, nothing
 *            else: one state per place in the grammar.  It finds the method, the
 *            target and the end of the head, and stops before the first byte that
 *            is wrong.
 *   library  gets exactly the bytes that were accepted (http_adapter.h), so what it
 *            is laxer about never reaches it.  It finds the fields, decides the
 *            framing and reads the chunks; http.c holds what the fields mean and
 *            overwrites the secrets.
 *
 * Errors come in stream order: of two, the one at the earlier byte wins, whichever
 * reader found it, and so a verdict does not depend on how the stream is cut.
 * (check runs ahead, so its error is kept back until the library has seen the bytes before.)
 */
#ifndef HTTP_HTTP_CHECK_H
#define HTTP_HTTP_CHECK_H

#include "http/http.h"

enum state {
	ST_BLANK, ST_BLANK_LF,		/* between requests */
	ST_METHOD, ST_TARGET, ST_VERSION,
	ST_LINE, ST_NAME, ST_VALUE, ST_VALUE_LF, ST_END_LF,
	ST_HEAD_END,
	ST_BODY,			/* with Content-Length */
	ST_SIZE, ST_SIZE_MORE, ST_SIZE_LF,
	ST_EXT, ST_EXT_NAME, ST_EXT_VALUE, ST_EXT_TOKEN, ST_EXT_QUOTED,
	ST_EXT_PAIR, ST_EXT_GAP, ST_EXT_NAME_GAP, ST_EXT_QUOTED_END,
	ST_CHUNK, ST_CHUNK_CR, ST_CHUNK_LF,
	ST_DONE, ST_ERROR
};

enum host { HOST_START, HOST_NAME, HOST_PCT1, HOST_PCT2, HOST_IP6, HOST_IP6_END, HOST_PORT, HOST_TAIL };

static inline void http_fail(struct http *h, unsigned status, const char *reason)
{
	h->err.status = status;
	h->err.reason = reason;
}

/* Takes empty lines before a request, up to its first byte (the state is ST_METHOD then).  Returns
 * how many bytes. */
size_t http_check_blanks(struct http *h, const uint8_t *p, size_t n);

/* Takes bytes of a head, or of trailers, up to the empty line (the state is ST_HEAD_END then), at
 * most room bytes.  Returns how many are right; if that is less than n and not the end, h->err says
 * why. */
size_t http_check_head(struct http *h, const uint8_t *p, size_t n, size_t room);

/* Takes one byte between the payloads of chunks; h->err if it is wrong.  The state becomes ST_CHUNK
 * when the size of a chunk was read. */
void http_check_framing(struct http *h, uint8_t c);

/* Takes bytes of host[:port] and of blanks behind it; before the first, host_state is HOST_START and
 * host_count 0.  false: one of them is wrong. */
bool http_check_host(struct http *h, const uint8_t *p, size_t n);
/* Whether the value may end here; it may be empty. */
bool http_host_ends(const struct http *h);

#endif
