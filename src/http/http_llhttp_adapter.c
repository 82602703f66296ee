/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_llhttp_adapter.c - llhttp behind http_adapter.h: its callbacks are ours.
 */
#ifndef PASTED_HTTP_PARSER
#include "http/http_adapter.h"

/* llhttp calls its methods by the names that http.h uses. */
#define HTTP_HEAD	LL_HEAD
#define HTTP_GET	LL_GET
#define HTTP_OPTIONS	LL_OPTIONS
#define HTTP_POST	LL_POST
#define HTTP_PUT	LL_PUT
#define HTTP_PATCH	LL_PATCH
#define HTTP_DELETE	LL_DELETE
#include <llhttp.h>
#undef HTTP_HEAD
#undef HTTP_GET
#undef HTTP_OPTIONS
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_PATCH
#undef HTTP_DELETE

static_assert(sizeof(llhttp_t) <= sizeof(((struct http *)0)->lib), "room for llhttp");
static_assert(_Alignof(llhttp_t) <= 8, "alignment of llhttp");

static llhttp_t *ll_of(struct http *h)
{
	return (llhttp_t *)h->lib;
}

static struct http *of_ll(llhttp_t *ll)
{
	return (struct http *)((char *)ll - offsetof(struct http, lib));
}

static int http_llhttp_adapter_on_name(llhttp_t *ll, const char *at, size_t len)
{
	return http_on_name(of_ll(ll), at, len);
}

static int on_name_end(llhttp_t *ll)
{
	return http_on_name_end(of_ll(ll));
}

static int http_llhttp_adapter_on_value(llhttp_t *ll, const char *at, size_t len)
{
	return http_on_value(of_ll(ll), at, len);
}

static int on_value_end(llhttp_t *ll)
{
	return http_on_value_end(of_ll(ll));
}

static int http_llhttp_adapter_on_head_end(llhttp_t *ll)
{
	bool has_length = ll->flags & F_CONTENT_LENGTH;

	ll->upgrade = 0;	/* Upgrade is ignored; else llhttp would stop behind the message */
	return http_on_head_end(of_ll(ll), ll->flags & F_CHUNKED, has_length,
				has_length ? ll->content_length : UINT64_MAX);
}

static int http_llhttp_adapter_on_chunk_size(llhttp_t *ll)
{
	return http_on_chunk_size(of_ll(ll), ll->content_length);
}

static int http_llhttp_adapter_on_message_end(llhttp_t *ll)
{
	return http_on_message_end(of_ll(ll));
}

static const llhttp_settings_t callbacks = {
	.on_header_field = http_llhttp_adapter_on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value = http_llhttp_adapter_on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = http_llhttp_adapter_on_head_end,
	.on_chunk_header = http_llhttp_adapter_on_chunk_size,
	.on_message_complete = http_llhttp_adapter_on_message_end,
};

void http_lib_begin(struct http *h)
{
	llhttp_init(ll_of(h), HTTP_REQUEST, &callbacks);
	ll_of(h)->lenient_flags |= LENIENT_VERSION;	/* check_version decides */
}

void http_lib_feed(struct http *h, const uint8_t *p, size_t n)
{
	llhttp_errno_t e = llhttp_execute(ll_of(h), (const char *)p, n);

	if (e == HPE_OK || h->err.status)
		return;
	if (e == HPE_INVALID_METHOD)
		http_fail(h, 501, "method not supported");
	else
		http_fail(h, 400, llhttp_get_error_reason(ll_of(h)));
}
#endif
