/* SPDX-License-Identifier: BSD-2-Clause */
/* endpoint.c - see endpoint.h. */
#include "admin/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "admin/health.h"
#include "base/must.h"

/* Functions that answer at once are in this table; those that make pages are in admin.c's. */
#define ROW_AT_ONCE(make)	make
#define ROW_PAGES(make)		NULL
#define ROW_RECORDS(make)	NULL
#define ROW_NOWHERE(make)	NULL
#define ROW_OTHERS(make)	NULL

static const struct endpoint rows[ENDPOINT_IDS] = {
#define X(name, path, under, methods, by, type, fields, make) \
	{ ENDPOINT_ID_##name, path, sizeof(path) - 1, under, ENDPOINT_##methods, ENDPOINT_##by, \
	  type, fields, ROW_##by(make) },
	ENDPOINT_TABLE(X)
#undef X
};

static bool endpoint_fits(const struct endpoint *e, const char *path, size_t n)
{
	return n >= e->path_len && !memcmp(path, e->path, e->path_len) &&
	       (n == e->path_len || (e->under && path[e->path_len] == '/'));
}

/* Of a long target only the first HTTP_TARGET_KEEP bytes are kept.  No row with a path of its own
 * is so long, so a cut target can fit only a row that is also for what is under its path. */
const struct endpoint *endpoint_find(const struct http_req *q)
{
	size_t n = q->target_len < HTTP_TARGET_KEEP ? q->target_len : HTTP_TARGET_KEEP;
	const char *query = memchr(q->target, '?', n);
	const struct endpoint *e = rows;

	if (query)
		n = (size_t)(query - q->target);
	while (e->id < ENDPOINT_IDS - 1 && !endpoint_fits(e, q->target, n))
		e++;
	return e;
}

const char *endpoint_allow(const struct endpoint *e, char buf[ENDPOINT_ALLOW])
{
	size_t n = (size_t)snprintf(buf, ENDPOINT_ALLOW, "Allow");

	for (unsigned m = 0; m < HTTP_METHODS; m++)
		if (endpoint_takes(e, m))
			n += (size_t)snprintf(buf + n, ENDPOINT_ALLOW - n, "%s%s", n > 5 ? ", " : ": ",
					      http_method_name(m));
	n += (size_t)snprintf(buf + n, ENDPOINT_ALLOW - n, "\r\n");
	must(n < ENDPOINT_ALLOW);
	return buf;
}
