/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.h - the report of a recovery: what was found in a store, what was decided about it
 * (rec_table.h), and what was or would be done.
 */
#ifndef RECOVERY_RECOVER_H
#define RECOVERY_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "format/absent.h"
#include "media/pm.h"
#include "recovery/rec_table.h"

enum rec_place { RP_NOWHERE, RP_STORE, RP_SEGMENT, RP_WAL_SUPER, RP_WAL_HEAD, RP_WAL_RING };
enum rec_state {
	RF_EXPLAINED,		/* a GAP frame is on the disk */
	RF_NEW,			/* a start writes (or this one wrote) the GAP frame */
	RF_DAMAGE,		/* no frame explains it: found by looking */
};
struct rec_finding {		/* numbers without a record, or bytes that should be something */
	unsigned lane;
	uint64_t from_seq, to_seq;	/* inclusive; from > to: no number is missing */
	uint32_t reason;		/* enum absent_reason */
	uint8_t	 state;			/* enum rec_state */
	uint8_t	 place;			/* enum rec_place */
	uint64_t segno;			/* RP_SEGMENT */
	uint64_t offset, bytes;		/* in the file; RP_WAL_RING: position and words */
	const char *what;		/* a few words, static */
	int	 err;			/* ABSENT_UNREADABLE: why, if known: -errno or STORE_E* */
};
struct rec_lane_report {
	unsigned lane;
	const struct rec_lane_row *row;
	uint64_t records, bytes;	/* in the segments, before anything was done */
	uint64_t segments;
	uint64_t oldest_seq;		/* 0: no record */
	uint64_t next_seq;		/* the number the next record gets */
	uint64_t replay_records, replay_bytes;	/* only in the wal */
	uint64_t tail_bytes;		/* behind the last frame: what was never acknowledged */
	uint64_t tail_words;		/* the same in the wal */
	uint64_t unread_segno;		/* the last segment, if it cannot be read now; else 0 */
	int	 unread_err;		/* why it cannot */
};
struct report {
	const struct rec_row *row;
	struct rec_facts facts;
	int	 error;			/* of a refusal, or of what failed on the way */
	char	 why[512];		/* in words, with the path and what to do */
	char	 nvmm_path[440];	/* where the attached wal is (or should be) */
	enum durability_class class;	/* of the last start; 0: unknown */
	unsigned lanes;
	struct rec_lane_report *lane;	/* [lanes], by number; lanes not there have row NULL */
	unsigned findings;
	struct rec_finding *finding;
	bool	 unclean;		/* was not closed properly: work is pending */
};
/* 0 clean, 1 work pending (nothing acknowledged is lost), 2 damage, 3 not usable. */
int  report_verdict(const struct report *r);
/* Whether the finding may mean that an acknowledged record is lost.  The loss of a volatile wal
 * counts only until a start has explained it, for the user chose a class that may lose it. */
bool rec_is_damage(const struct rec_finding *f);
uint64_t report_damaged(const struct report *r);	/* how many findings are damage */
uint64_t report_unread(const struct report *r);	/* how many of them only cannot be read now */
void report_fini(struct report *r);

#endif
