/* SPDX-License-Identifier: BSD-2-Clause */
/* absent.c - see absent.h. */
#include "format/absent.h"

static const struct {
	const char *name, *words;
} reasons[ABSENT_REASONS] = {
	[ABSENT_NOT] = { "there", "there is a record" },
	[ABSENT_TORN] = { "torn", "a crash tore it before it was acknowledged" },
	[ABSENT_DAMAGE] = { "damage", "it is damaged" },
	[ABSENT_WAL_LOST] = { "wal-lost", "the number was skipped when the wal was lost" },
	[ABSENT_MISSING] = { "missing", "the file that it was in is missing" },
	[ABSENT_SKIPPED] = { "skipped", "the number was skipped: what would tell whether it was given could not be read" },
	[ABSENT_EXPIRED] = { "expired", "it has expired" },
	[ABSENT_GONE] = { "gone", "it has expired, or the file that it was in was removed: what would tell is lost" },
	[ABSENT_UNREADABLE] = { "unreadable", "it cannot be read now" },
	[ABSENT_NEVER] = { "never", "no record was ever called that" },
};

const char *absent_name(uint32_t reason)
{
	return reason < ABSENT_REASONS ? reasons[reason].name : "unknown";
}

const char *absent_words(uint32_t reason)
{
	return reason < ABSENT_REASONS ? reasons[reason].words : "for a reason of a newer version";
}

bool absent_maybe(uint32_t reason)
{
	return reason == ABSENT_WAL_LOST || reason == ABSENT_SKIPPED;
}
