/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - the head of an answer, as text, for the service threads and for who answers
 * before there are any (waiting.h).
 *
 * Every answer says no-store (a store may be made anew with the same names) and
 * nosniff; what clients have sent is given back with a policy that lets a browser
 * run none of it.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct head_common;
struct asker {			/* how the client asked */
	bool http11;
	bool keep_alive;
	bool head;		/* HEAD: no body */
	const struct head_common *common;	/* what every reply says */
};

struct answer {
	int	    status;
	const char *type;
	const char *headers;	/* more of them, each with its CRLF; NULL: none */
	uint64_t    len;	/* of the body; ANSWER_STREAM: not known */
};
#define ANSWER_STREAM UINT64_MAX

enum answer_framing {		/* what follows the head */
	ANSWER_PLAIN,		/* len bytes, or none for HEAD */
	ANSWER_CHUNKS,
	ANSWER_UNTIL_CLOSE,
};
/* Appends the head with the empty line.  *close: the connection ends after it. */
enum answer_framing answer_head(struct text *t, const struct answer *a,
				const struct asker *k, bool *close);

/* A whole answer with a JSON body {"status": status, "error": why}. */
void answer_error(struct text *t, int status, const char *why, const char *headers,
		  const struct asker *k, bool *close);
#endif
