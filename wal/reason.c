/* SPDX-License-Identifier: BSD-2-Clause */
/* reason.c - see reason.h. */
#include "reason.h"

static const struct {
	const char *name, *words;
} reasons[WAL_REASONS] = {
	[WAL_IS_THERE] = { "there", "there is a record" },
	[WAL_TORN] = { "torn", "a crash tore it before it was acknowledged" },
	[WAL_DAMAGE] = { "damage", "it is damaged" },
	[WAL_WAL_LOST] = { "wal-lost", "the number was skipped when the wal was lost" },
	[WAL_MISSING] = { "missing", "the file that it was in is missing" },
	[WAL_SKIPPED] = { "skipped", "the number was skipped: what would tell whether it was given could not be read" },
	[WAL_EXPIRED] = { "expired", "it has expired" },
	[WAL_GONE] = { "gone", "it has expired, or the file that it was in was removed: what would tell is lost" },
	[WAL_UNREADABLE] = { "unreadable", "it cannot be read now" },
	[WAL_NEVER] = { "never", "no record was ever called that" },
};

const char *wal_reason_name(uint32_t reason)
{
	return reason < WAL_REASONS ? reasons[reason].name : "unknown";
}

const char *wal_reason_words(uint32_t reason)
{
	return reason < WAL_REASONS ? reasons[reason].words : "for a reason of a newer version";
}

bool wal_reason_maybe(uint32_t reason)
{
	return reason == WAL_WAL_LOST || reason == WAL_SKIPPED;
}
