/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * absent.h - why a number has no record: the one table of reasons, for check, dump, repair
 * and read-back alike.  The first five are also the reasons in GAP frames (format.h); the
 * others are found by reading the store.
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
	ABSENT_GONE,			/* expired, or its file was removed: which is not known */
	ABSENT_UNREADABLE,		/* it or its file cannot be read now */
	ABSENT_NEVER,			/* no record was ever called that */
	ABSENT_REASONS
};
/* The reason in one word, as "torn"; "unknown" for one that a newer version may have written. */
const char *absent_name(uint32_t reason);
/* The reason in a clause, for people. */
const char *absent_words(uint32_t reason);
/* Whether the reason leaves open that there ever was a record of that number. */
bool absent_maybe(uint32_t reason);

/* Why a number has no record, and the range around the number of which the same is known. */
struct absence {
	enum absent_reason reason;
	int	 err;			/* ABSENT_UNREADABLE: -errno */
	uint64_t from, to;		/* inclusive, the number among them */
};

#endif
