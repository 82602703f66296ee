/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refusal.h - chooses the reason for refusing a request that would be recorded, if several
 * reasons apply.
 *
 * They are looked at in the order of enum refusal: first those that no waiting cures (the
 * request itself, a lane that has failed), then one that somebody has to cure (the disk is
 * full), then those that go away by themselves.  A later reason is often the consequence of
 * an earlier one: a full disk keeps the buffers from coming back.
 */
#ifndef SERVER_REFUSAL_H
#define SERVER_REFUSAL_H

#include <stdbool.h>

enum refusal {
	REFUSAL_LARGE,		/* 413: no record can be so large */
	REFUSAL_FAILED,		/* 503: the lane acknowledges nothing any more */
	REFUSAL_NOSPACE,	/* 507: no room on the disk */
	REFUSAL_POOL,		/* 503: no buffers */
	REFUSAL_LANE,		/* 503: the log waits for the disk or a segment, or none applies */
};

struct refusal_facts {
	bool large, failed;
	int  nospace;		/* 0, -ENOSPC, -EDQUOT */
	bool pool;
	bool unmade;		/* the next segment cannot be made */
};

enum refusal refusal_first(const struct refusal_facts *f);
/* The status, and the reason in words in *why. */
int  refusal_answer(const struct refusal_facts *f, const char **why);

#endif
