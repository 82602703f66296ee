/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * absent.h - why a number has no record: the one table of reasons, for check, dump, repair
 * and read-back alike.  The first of them stand in GAP frames (format.h), the others are
 * found by looking.
 */
#ifndef FORMAT_ABSENT_H
#define FORMAT_ABSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"

enum absent_reason {
	ABSENT_NOT,			/* there is a record */
	ABSENT_TORN = GAP_TORN,
	ABSENT_DAMAGE = GAP_DAMAGE,
	ABSENT_WAL_LOST = GAP_WAL_LOST,
	ABSENT_MISSING = GAP_MISSING,
	ABSENT_SKIPPED = GAP_SKIPPED,
	ABSENT_EXPIRED,			/* retention removed it */
	ABSENT_GONE,			/* that, or its file was removed: what would tell is lost */
	ABSENT_UNREADABLE,			/* it cannot be read now: the device does not give it, or its file cannot be opened */
	ABSENT_NEVER,			/* no record was ever called that */
	ABSENT_REASONS
};
/* "torn" and so on, one word; "unknown" for what a newer version may have written. */
const char *absent_name(uint32_t reason);
/* A sentence's worth, for people. */
const char *absent_words(uint32_t reason);
/* Whether it is not known that there was a record: it is lost if there was one. */
bool absent_maybe(uint32_t reason);

/* Of a number, and of those around it of which the same is known. */
struct absence {
	enum absent_reason reason;
	int	 err;			/* ABSENT_UNREADABLE: -errno */
	uint64_t from, to;		/* inclusive, the number among them */
};

#endif
