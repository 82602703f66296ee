/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_table.h - what recovery decides from the facts that it finds in a store.
 *
 * Two total functions, each a table of labelled rows of which exactly one matches:
 * rec_decide() for the store as a whole (its file, the WAL that its file says is
 * attached, the place a new WAL shall go to), rec_lane_decide() for each lane (what its
 * segments hold, what its part of the WAL holds).  Everything they look at is in struct
 * rec_facts and struct rec_lane_facts; finding the facts, deciding and acting are three
 * steps, and `pasted-recover check` is the first two.
 */
#ifndef RECOVERY_REC_TABLE_H
#define RECOVERY_REC_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* ---- the store as a whole ---- */

enum rec_store {		/* STORE/store */
	RS_NONE,		/* no such file (or no such directory), nothing in log/ */
	RS_BLANK,		/* empty or all zero, nothing in log/: its creation was cut */
	RS_GOOD,		/* a valid copy */
	RS_BAD,			/* no valid copy, or lanes without a store file */
	RS_VERSION,		/* a valid copy of another version */
	RS_ORDER,		/* of another byte order */
	RS_BUSY,		/* locked by another process */
	RS_LOST,		/* as RS_BAD, but repair can make it again (rec_store.c) */
	RS_FOREIGN,		/* valid, but another store's: no segment has its identity */
	RS_UNREADABLE,		/* no valid copy, and one at least cannot be read now */
	RS_COUNT
};
enum rec_attached {		/* what the store file says */
	RA_NO,			/* no record is anywhere but in the segments */
	RA_VOLATILE,		/* records may be in a wal of class volatile */
	RA_FORGOTTEN,		/* likewise, but the machine was restarted since: how much of the
				 * wal is left, and how old, is not known */
	RA_LASTING,		/* of class nvmm or nvmm-eadr */
	RA_COUNT
};
enum rec_wal {			/* the attached wal: at the given path or the stored one */
	RW_GONE,		/* not there, all zeros, or of another store or an earlier attachment */
	RW_FOUND,		/* the one that is attached, readable */
	RW_BAD,			/* something is there that was a wal and no copy is valid */
	RW_UNREADABLE,		/* the same, and one copy at least cannot be read now */
	RW_HEADLESS,		/* the right one, but a lane's head has no valid copy */
	RW_TAKEN,		/* the right one, but bonded to another store: one is a copy */
	RW_BUSY,		/* another process has it open */
	RW_COUNT
};
enum rec_want {			/* what the caller wants */
	RT_READ,		/* look only */
	RT_STORE,		/* write, no wal (class fsync; repair) */
	RT_WAL_FREE,		/* write, a wal at a path that has none, or one of this store */
	RT_WAL_OTHER,		/* write, a wal at a path that holds another store's wal */
	RT_WAL_BAD,		/* write, a wal at a path that holds something else */
	RT_WAL_TAKEN,		/* write, a wal at a path that holds the wal of a copy of this store */
	RT_WAL_BUSY,		/* write, a wal at a path that another process has in use */
	RT_COUNT
};
struct rec_facts {
	uint8_t store;		/* enum rec_store */
	uint8_t attached;	/* enum rec_attached; RA_NO unless RS_GOOD */
	uint8_t wal;		/* enum rec_wal; RW_GONE unless attached */
	uint8_t want;		/* enum rec_want */
	bool	give_up;	/* the caller gives up what only a missing wal held */
};
enum rec_action {
	REC_REFUSE,		/* with the row's error */
	REC_CREATE,		/* a new store */
	REC_SEGMENTS,		/* the segments are all there is */
	REC_REPLAY,		/* segments, then the wal */
	REC_LOST,		/* segments, then a GAP_WAL_LOST in every lane */
};
struct rec_row {
	const char *label;
	const char *words;	/* what it means, for people */
	uint16_t store;		/* masks: bit n set = value n matches */
	uint8_t attached, wal, want, give_up;
	enum rec_action action;
	int	 error;		/* of REC_REFUSE */
};
extern const struct rec_row rec_rows[];
extern const unsigned rec_rows_count;
const struct rec_row *rec_decide(const struct rec_facts *f);

/* ---- one lane ---- */

enum rec_segs {
	RSEG_NONE,		/* no segment */
	RSEG_WHOLE,		/* frames follow each other up to the end */
	RSEG_TORN,		/* the last batch has holes, or something that is no frame behind it */
	RSEG_UNREAD,		/* the last segment cannot be read now: its end is not known */
	RSEG_COUNT
};
enum rec_lane_wal {
	RLW_NONE,		/* no wal, or not this lane */
	RLW_EMPTY,		/* no record from head.seq on */
	RLW_BEHIND,		/* every record is in the segments already */
	RLW_AHEAD,		/* records to replay, the first follows the segments' last */
	RLW_APART,		/* head.seq is beyond the segments' last + 1: segments are missing */
	RLW_LOST,		/* the wal is lost, or the lane's head in it */
	RLW_COUNT
};
struct rec_lane_facts {
	uint8_t segs;		/* enum rec_segs */
	uint8_t wal;		/* enum rec_lane_wal */
};
enum {				/* actions, in the order in which they are taken */
	RL_EXPLAIN = 1,		/* explain the holes of the last batch, go on behind it */
	RL_CUT = 2,		/* go on at the first hole that the wal fills */
	RL_GAP = 4,		/* explain the numbers between the segments and head.seq */
	RL_REPLAY = 8,		/* append the wal's records */
	RL_SKIP = 16,		/* explain the numbers that a lost wal may have used */
	RL_RESET = 32,		/* head to the next lap, zero the ring */
};
struct rec_lane_row {
	const char *label;
	const char *words;
	uint8_t segs, wal;	/* masks */
	unsigned actions;
};
extern const struct rec_lane_row rec_lane_rows[];
extern const unsigned rec_lane_rows_count;
const struct rec_lane_row *rec_lane_decide(const struct rec_lane_facts *f);

#endif
