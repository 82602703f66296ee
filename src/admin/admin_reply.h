/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_reply.h - the head of an answer, as text, for the admin threads and for the thread
 * that answers before they run (startup.h).
 *
 * Every answer has the fields no-store (a new store may use the same record names again) and
 * nosniff.  Bytes that clients have sent are given back with a policy that keeps a browser
 * from running any of them.
 */
#ifndef ADMIN_ADMIN_REPLY_H
#define ADMIN_ADMIN_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct head_common;
struct admin_client {			/* how the client asked */
	bool http11;
	bool keep_alive;
	bool head;		/* HEAD: no body */
	const struct head_common *common;	/* what every reply says */
};

struct admin_reply {
	int	    status;
	const char *type;
	const char *headers;	/* more header fields, each with its CRLF; NULL: none */
	uint64_t    len;	/* of the body; ADMIN_REPLY_STREAM: not known yet */
};
#define ADMIN_REPLY_STREAM UINT64_MAX

enum admin_reply_framing {		/* what follows the head */
	ADMIN_REPLY_PLAIN,		/* len bytes, or none for HEAD */
	ADMIN_REPLY_CHUNKS,
	ADMIN_REPLY_UNTIL_CLOSE,
};
/* Appends the head with the empty line.  *close: the connection ends after it. */
enum admin_reply_framing admin_reply_head(struct text *t, const struct admin_reply *a,
					  const struct admin_client *k, bool *close);

/* A whole answer with a JSON body {"status": status, "error": why}. */
void admin_reply_error(struct text *t, int status, const char *why, const char *headers,
		       const struct admin_client *k, bool *close);
#endif
