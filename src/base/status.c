/* SPDX-License-Identifier: BSD-2-Clause */
/* status.c - see status.h. */
#include "base/status.h"

#include <stddef.h>

static const struct status rows[] = {
#define X(code, reason, body, retry_s) { code, body, reason, retry_s ? "Retry-After: " #retry_s "\r\n" : NULL },
	STATUS_TABLE(X)
#undef X
	{ 0, true, "Error", NULL }
};

const struct status *status_of(int code)
{
	const struct status *s = rows;

	while (s->code && s->code != code)
		s++;
	return s;
}
