/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - a pull parser of HTTP/1 requests over bytes in place.
 *
 * One struct http per connection, no allocation, no copy but the target's first
 * bytes.  The caller shows the parser what it has; one step eats a prefix of it
 * and says what that was:
 *
 *	for (;;) {
 *		what = http_step(h, p, n, &used, &sp);	// sp.off counts from p
 *		...use p[sp.off .. sp.off + sp.len)
 *		p += used, n -= used;
 *		if (what == HTTP_MORE || what == HTTP_HEAD || what == HTTP_ERROR)
 *			break;				// wants more bytes, or none ever
 *	}
 *
 * A request is HEAD* HEADERS BODY* DONE, with MORE anywhere in between.  A step that
 * returns MORE or HEAD has eaten all n bytes.  After any other step call again, even
 * with n == 0, for DONE may come without a byte more.  With n > 0 only DONE and ERROR
 * eat nothing, so the loop ends.  What is reported does not depend on how the stream
 * is cut: spans of a kind, joined, are the same, and so is the verdict.
 *
 * Record.  The spans of HEAD and HEADERS, joined, are the head as it came, request
 * line to empty line; those of BODY are the payload without chunk framing and
 * trailers.  The values of Authorization, Proxy-Authorization, Cookie and Cookie2
 * are overwritten with '*' in p before the step returns the span that holds them
 * (trailing blanks of the value too), in trailers as well; nothing else in p is
 * written.  In the bytes behind an error nothing has been overwritten: drop them.
 *
 * Verdicts (RFC 9112, 9110; tests/unit/http_table.h has a row for each).  What is
 * ambiguous is refused, and after an error the parser is in error for ever: reply
 * and close.  Where the RFC leaves a choice:
 *   - lines end in CRLF; up to HTTP_BLANKS_MAX empty lines before a request are
 *     skipped and are in no span;
 *   - a method that is a token but none of enum http_method is 501, whatever its
 *     case; CONNECT too, so there is no authority-form;
 *   - a target is origin-form, absolute-form (http, https; no userinfo, host not
 *     empty) or, for OPTIONS, `*`.  Its bytes are visible ASCII but those that the
 *     URL Standard (WHATWG) has browsers encode in a query, " # < >, and with whole
 *     percent triplets;
 *   - HTTP/1.2 to 1.9 is taken as 1.1; any other major number is 505;
 *   - exactly one Host in 1.1, at most one in 1.0; it may be empty, and holds no
 *     comma; of an IPv6 address only the characters and colons are checked;
 *   - Transfer-Encoding: one field, "chunked" and nothing else (501), not in
 *     HTTP/1.0 (400), not beside Content-Length (400).  Content-Length: one field,
 *     digits.  Neither: the body is empty, whatever the method; but in HTTP/1.0, where
 *     nobody knows, a POST, PUT or PATCH is 400 (RFC 1945, 8.3).  Empty elements of the
 *     list that Transfer-Encoding is are refused too, though a recipient may pass over
 *     them (9110, 5.6.1.2): programs in front do not agree on what they mean;
 *   - Expect: 100-continue or 417; ignored in HTTP/1.0.  Upgrade is ignored;
 *   - chunk extensions are checked and dropped; blanks where the grammar has BWS go with
 *     them; with the trailers they are bounded by trailer_bytes.  Trailers are checked and
 *     dropped; framing fields and Host in them are 400.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_KEEP	256u
#define HTTP_BLANKS_MAX		4u

enum http_what { HTTP_MORE, HTTP_HEAD, HTTP_HEADERS, HTTP_BODY, HTTP_DONE, HTTP_ERROR };

enum http_method {
	HTTP_NONE,	/* not known yet */
	HTTP_GET, HTTP_HEAD_METHOD, HTTP_OPTIONS,
	HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE,	/* these are recorded */
	HTTP_METHODS
};

struct http_span { uint32_t off, len; };

/* One for all connections; outlives them.  0 is a limit of 0. */
struct http_limits {
	uint32_t head_bytes;	/* request line to empty line: 431 */
	uint32_t target_bytes;	/* as sent: 414 */
	uint32_t headers;	/* field lines of a head; of the trailers too: 431 */
	uint32_t trailer_bytes;	/* trailers and chunk extensions of a request: 431 */
	uint64_t body_bytes;	/* 413; at HEADERS when the length is announced */
};

struct http_req {			/* valid from HEADERS to DONE */
	uint64_t content_length;	/* UINT64_MAX: none sent, or chunked */
	uint32_t headers_bytes;		/* of the head, empty line included */
	uint32_t target_len;		/* of the path form, may be > HTTP_TARGET_KEEP */
	uint8_t  method;		/* enum http_method */
	uint8_t  minor;			/* 0 or 1, of HTTP/1.x */
	bool	 recorded;		/* POST PUT PATCH DELETE */
	bool	 own;			/* the path is "/-" or under "/-/" */
	bool	 keep_alive;
	bool	 chunked;
	bool	 has_body;		/* chunked, or content_length > 0 */
	bool	 expect_continue;	/* the client may wait for 100 (has_body) */
	bool	 if_match, content_range;	/* there is such a field */
	char	 target[HTTP_TARGET_KEEP];	/* path and query, first bytes; no NUL */
};

struct http_err {
	uint16_t status;	/* 400 413 414 417 431 501 505; 0: no error */
	const char *reason;	/* fixed, short, no client bytes in it */
};

/* Fields below `err` belong to http*.c. */
struct http {
	struct http_req req;
	struct http_err err;
	const struct http_limits *lim;
	uint64_t left;		/* bytes to come: of the body or of this chunk */
	uint64_t body_sum;	/* payload announced so far by chunk sizes */
	_Alignas(8) unsigned char lib[112];	/* the state of the parser library */
	uint32_t headers;	/* field lines seen, of the head or of the trailers */
	uint32_t extra_bytes;	/* of trailers and chunk extensions */
	uint32_t raw_target_len;
	uint16_t seen;		/* bits: which known fields and options were there */
	/* the check of the grammar, ahead of the library */
	uint8_t  state;		/* what the next byte must be */
	uint8_t  form;		/* which form the target has */
	uint8_t  word_pos;	/* in a fixed word, a percent triplet, a chunk size */
	uint8_t  blanks;	/* empty lines skipped */
	/* what the library reports */
	uint8_t  host_state;	/* of the check of host[:port], here and in the target */
	uint8_t  host_count;
	uint8_t  field;		/* which known field the line is */
	uint8_t  name_len;	/* of name, may be > sizeof(name): too long */
	uint8_t  val_len;	/* of val, likewise */
	bool	 val_gap;	/* blanks seen after val */
	bool	 tabs;		/* a field's value in this head, or in these trailers, has a tab */
	bool	 trailing;	/* the trailers are being read */
	bool	 complete;	/* the library has seen the end of the head, later of the message */
	char	 name[20];	/* of the method; of the field, lower case */
	char	 val[13];	/* one word of a known field, lower case */
};

/* Before the first request of a connection. */
void http_init(struct http *h, const struct http_limits *lim);

/* One step, as described above.  n <= UINT32_MAX.  *used and *sp are always set, on HTTP_ERROR
 * to 0. */
enum http_what http_step(struct http *h, uint8_t *p, size_t n, size_t *used,
			 struct http_span *sp);

/* Whether nothing of a request has been seen since the last DONE, or since the start. */
bool http_idle(const struct http *h);

/* "GET" ..; "-" for HTTP_NONE. */
const char *http_method_name(unsigned method);

#endif
