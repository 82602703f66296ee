/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refusal.h - which reason a request that would be recorded is refused with, where several
 * apply.
 *
 * The order is that of enum refusal: what no waiting mends comes first (the request itself, a
 * lane that has failed), then what somebody has to mend (the disk is full), then what goes
 * away by itself.  A later one is often but the consequence of an earlier: a full disk keeps
 * the buffers from coming back.
 */
#ifndef SERVER_REFUSAL_H
#define SERVER_REFUSAL_H

#include <stdbool.h>

enum refusal {
	REFUSAL_LARGE,		/* 413: no record can be so large */
	REFUSAL_FAILED,		/* 503: the lane acknowledges nothing any more */
	REFUSAL_NOSPACE,	/* 507: no room on the disk */
	REFUSAL_POOL,		/* 503: no buffers */
	REFUSAL_LANE,		/* 503: the log waits for the disk, or for a segment; also where nothing else applies */
};

struct refusal_facts {
	bool large, failed;
	int  nospace;		/* 0, -ENOSPC, -EDQUOT */
	bool pool;
	bool unmade;		/* the next segment cannot be made */
};

enum refusal refusal_first(const struct refusal_facts *f);
/* The status, and *why in words. */
int  refusal_answer(const struct refusal_facts *f, const char **why);

#endif
