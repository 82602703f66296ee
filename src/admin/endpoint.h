/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.h - the one table of what is answered where: which methods a path takes, who answers,
 * and with what.
 *
 * The workers (conn_fsm.c), the admin threads (admin.c) and the start-up thread (startup.c) look
 * requests up here; 404, 405 and Allow follow from the row.  A POST, PUT, PATCH or DELETE that is
 * not under /-/ is not looked up, because that is the hot path: it is recorded, as the row OTHERS
 * says.
 */
#ifndef ADMIN_ENDPOINT_H
#define ADMIN_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "http/http.h"

struct health;

enum endpoint_by {
	ENDPOINT_AT_ONCE,	/* by the worker itself; before there are workers, by startup.c */
	ENDPOINT_PAGES,		/* by the admin thread that never waits for the disk */
	ENDPOINT_RECORDS,	/* by the admin thread that reads the log, and may wait for the disk */
	ENDPOINT_NOWHERE,	/* 404, by the admin thread that makes the pages */
	ENDPOINT_OTHERS,	/* recorded if the method changes state; else 404, by the worker */
};

/* The sets of methods.  OPTIONS is in each; the worker answers it. */
#define ENDPOINT_READ	(1u << HTTP_GET | 1u << HTTP_HEAD_METHOD | 1u << HTTP_OPTIONS)
#define ENDPOINT_ALL	(ENDPOINT_READ | 1u << HTTP_POST | 1u << HTTP_PUT | 1u << HTTP_PATCH | \
			 1u << HTTP_DELETE)

/* The reasons sent with 404 for a path that is no endpoint, and with 405 for a method that the row
 * does not take. */
#define ENDPOINT_404	"nothing here; records are read at /-/records/"
#define ENDPOINT_405	"what is under /-/ is the server's own"

#define ENDPOINT_HTML_FIELDS \
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; " \
	"script-src 'unsafe-inline'; connect-src 'self'; img-src data:; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n" \
	"Referrer-Policy: no-referrer\r\n"

/*
 * X(name, path, under, methods, by, type, fields, make)
 *
 * under: the row is also for all paths that begin with path and a slash.  A query is no part of a
 * path.  methods: one of the sets above.  by: enum endpoint_by.  type: the Content-Type of a page.
 * fields: more fields of its head, each with its CRLF.  make: the function that makes the body, an
 * endpoint_at_once for AT_ONCE and an admin_page, which admin.h declares, for PAGES.
 *
 * The first row that fits a path counts, and the last row fits all.  There are no access rights
 * yet: whoever can reach a path may ask for it.  Rights would be a column here.
 */
#define ENDPOINT_TABLE(X) \
	X(LIVEZ, "/-/livez", false, READ, AT_ONCE, NULL, NULL, health_alive) \
	X(READYZ, "/-/readyz", false, READ, AT_ONCE, NULL, NULL, health_text) \
	X(RECORDS, "/-/records", true, READ, RECORDS, NULL, NULL, NULL) \
	X(METRICS, "/-/metrics", false, READ, PAGES, \
	  "text/plain; version=0.0.4; charset=utf-8", NULL, metrics_text) \
	X(STATS, "/-/stats", false, READ, PAGES, "application/json", NULL, stats_json) \
	X(HTML, "/-/", false, READ, PAGES, "text/html; charset=utf-8", ENDPOINT_HTML_FIELDS, admin_html) \
	X(HTML_TOO, "/-", false, READ, PAGES, "text/html; charset=utf-8", ENDPOINT_HTML_FIELDS, admin_html) \
	X(NOWHERE, "/-", true, READ, NOWHERE, NULL, NULL, NULL) \
	X(OTHERS, "", true, ALL, OTHERS, NULL, NULL, NULL)

enum endpoint_id {
#define X(name, path, under, methods, by, type, fields, make) ENDPOINT_ID_##name,
	ENDPOINT_TABLE(X)
#undef X
	ENDPOINT_IDS
};

/* Writes the text/plain body to buf, n bytes at most with its NUL, and its length without the NUL
 * to *len.  Returns the status. */
typedef int endpoint_at_once(const struct health *h, char *buf, size_t n, size_t *len);

struct endpoint {
	enum endpoint_id id;
	const char *path;
	size_t	    path_len;
	bool	    under;
	unsigned    methods;		/* bits, 1 << enum http_method */
	enum endpoint_by by;
	const char *type, *fields;	/* or NULL */
	endpoint_at_once *at_once;	/* ENDPOINT_AT_ONCE; else NULL */
};

/* The row of a request whose head is read. */
const struct endpoint *endpoint_find(const struct http_req *q);

static inline bool endpoint_takes(const struct endpoint *e, unsigned method)
{
	return e->methods >> method & 1;
}

/* The whole field Allow, with its CRLF; returns buf. */
#define ENDPOINT_ALLOW 80u
const char *endpoint_allow(const struct endpoint *e, char buf[ENDPOINT_ALLOW]);

#endif
