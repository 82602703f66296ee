/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_adapter.h - the interface between http.c and the parser library, which is behind
 * http_llhttp_adapter.c or, with -DPASTED_HTTP_PARSER, http_parser_adapter.c.
 *
 * The library finds the fields, decides the framing and reads the chunks; http.c decides
 * what they mean.  An adapter calls http_on_*() in stream order, at the byte that decides, so
 * that a verdict depends neither on how the stream is cut nor on the library.  If a call
 * does not return 0 it has set h->err, and the adapter makes no further calls.
 */
#ifndef HTTP_HTTP_ADAPTER_H
#define HTTP_HTTP_ADAPTER_H

#include "http/http_check.h"

#include <assert.h>

/* ---- what an adapter provides; its state is h->lib ---- */

/* A request begins. */
void http_lib_begin(struct http *h);

/* n > 0 bytes that http_check.c has accepted, without chunk extensions and without
 * the payload behind Content-Length.  What the library refuses becomes h->err. */
void http_lib_feed(struct http *h, const uint8_t *p, size_t n);

/* ---- what http.c provides ---- */

enum field { FIELD_OTHER, FIELD_HOST, FIELD_LENGTH, FIELD_CODING, FIELD_CONNECTION, FIELD_EXPECT, FIELD_SECRET,
	     FIELD_IF_MATCH, FIELD_CONTENT_RANGE };

/* A field of the head or of the trailers.  Name and value may come in pieces.  The value
 * comes without the blanks before it, but with those behind it.  http_on_name_end is called at
 * the colon and sets h->field; http_on_value_end at the first byte of the next line, which may be
 * the empty one. */
int http_on_name(struct http *h, const char *at, size_t len);
int http_on_name_end(struct http *h);
int http_on_value(struct http *h, const char *at, size_t len);
int http_on_value_end(struct http *h);

/* length is UINT64_MAX if !has_length. */
int http_on_head_end(struct http *h, bool chunked, bool has_length, uint64_t length);
int http_on_chunk_size(struct http *h, uint64_t size);
int http_on_message_end(struct http *h);

#endif
