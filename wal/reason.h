/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reason.h - why a number has no record: the one table of reasons, for check, dump, repair
 * and read-back alike.  The first of them stand in GAP frames (format.h), the others are
 * found by looking.
 */
#ifndef WAL_REASON_H
#define WAL_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "format.h"

enum wal_reason {
	WAL_IS_THERE,			/* there is a record */
	WAL_TORN = GAP_TORN,
	WAL_DAMAGE = GAP_DAMAGE,
	WAL_WAL_LOST = GAP_WAL_LOST,
	WAL_MISSING = GAP_MISSING,
	WAL_SKIPPED = GAP_SKIPPED,
	WAL_EXPIRED,			/* retention removed it */
	WAL_GONE,			/* that, or its file was removed: what would tell is lost */
	WAL_UNREADABLE,			/* it cannot be read now: the device does not give it, or its file cannot be opened */
	WAL_NEVER,			/* no record was ever called that */
	WAL_REASONS
};
/* "torn" and so on, one word; "unknown" for what a newer version may have written. */
const char *wal_reason_name(uint32_t reason);
/* A sentence's worth, for people. */
const char *wal_reason_words(uint32_t reason);
/* Whether it is not known that there was a record: it is lost if there was one. */
bool wal_reason_maybe(uint32_t reason);

/* Of a number, and of those around it of which the same is known. */
struct wal_absent {
	enum wal_reason reason;
	int	 err;			/* WAL_UNREADABLE: -errno */
	uint64_t from, to;		/* inclusive, the number among them */
};

#endif
