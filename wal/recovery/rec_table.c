/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_table.c - the two decision tables of recovery (rec_table.h), and the words for
 * what they decide.  The decisions depend on the facts alone.
 *
 * A row matches when each fact's bit is in its mask.  The rows are disjoint and
 * cover every combination of facts that can be (attached and wal say something only
 * when the store file is good; wal only when one is attached): the unit test walks
 * through all of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "recovery/rec_table.h"
#include "util/error.h"

#define M(n)	(1u << (n))
#define ANY	0xffu
#define NEW	(M(RS_NONE) | M(RS_BLANK))
#define GOOD	M(RS_GOOD)
#define GO	(M(RT_READ) | M(RT_STORE) | M(RT_WAL_FREE))
#define BOOT	(M(RA_VOLATILE) | M(RA_LASTING))		/* no restart is known */
#define SOME	(BOOT | M(RA_FORGOTTEN))
#define NO	M(false)
#define YES	M(true)

const struct rec_row rec_rows[] = {
	/* label, words, store, attached, wal, want, give_up, action, error */
	{ "busy", "another process has the store open",
	  M(RS_BUSY), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EBUSY },
	{ "other version", "the store was made by a version with another format",
	  M(RS_VERSION), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EVERSION },
	{ "other byte order", "the store was made on a machine with another byte order",
	  M(RS_ORDER), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EBYTEORDER },
	{ "not a store", "the file `store` has no valid copy",
	  M(RS_BAD), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EFORMAT },
	{ "store file lost", "no copy of the store's block is valid; repair finds it again",
	  M(RS_LOST), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EFORMAT },
	{ "store file of another store", "no segment has the identity that the file `store` names",
	  M(RS_FOREIGN), ANY, ANY, ANY, ANY, REC_REFUSE, STORE_EMISMATCH },
	{ "store file unreadable", "the device cannot read the file `store`",
	  M(RS_UNREADABLE), ANY, ANY, ANY, ANY, REC_REFUSE, -EIO },
	{ "no store", "there is no store here",
	  NEW, ANY, ANY, M(RT_READ), ANY, REC_REFUSE, STORE_ENODIR },
	{ "new store", "there is no store here: one is created",
	  NEW, ANY, ANY, M(RT_STORE) | M(RT_WAL_FREE), ANY, REC_CREATE, 0 },
	{ "wal of another store", "the place for the wal has the wal of another store",
	  NEW | GOOD, ANY, ANY, M(RT_WAL_OTHER), ANY, REC_REFUSE, STORE_EMISMATCH },
	{ "wal of a copy", "the place for the wal has the wal of a copy of this store",
	  NEW | GOOD, ANY, ANY, M(RT_WAL_TAKEN), ANY, REC_REFUSE, STORE_EMISMATCH },
	{ "wal in use", "another process has the place for the wal in use",
	  NEW | GOOD, ANY, ANY, M(RT_WAL_BUSY), ANY, REC_REFUSE, STORE_EBUSY },
	{ "not a wal", "the place for the wal has something else in it",
	  NEW | GOOD, ANY, ANY, M(RT_WAL_BAD), ANY, REC_REFUSE, STORE_EFORMAT },
	{ "segments", "every record is in the segment log",
	  GOOD, M(RA_NO), ANY, GO, ANY, REC_SEGMENTS, 0 },
	{ "replay", "the attached wal is moved into the segment log",
	  GOOD, BOOT, M(RW_FOUND), GO, ANY, REC_REPLAY, 0 },
	{ "volatile wal of an earlier boot", "the attached wal was volatile, and the machine was restarted since: "
	  "what is whole of it is moved into the segment log, and more may be lost",
	  GOOD, M(RA_FORGOTTEN), M(RW_FOUND) | M(RW_HEADLESS), GO, ANY, REC_REPLAY, 0 },
	{ "wal taken", "the attached wal belongs to a copy of this store, or this is one",
	  GOOD, SOME, M(RW_TAKEN), GO, ANY, REC_REFUSE, STORE_EMISMATCH },
	{ "wal busy", "another process has the attached wal open",
	  GOOD, SOME, M(RW_BUSY), GO, ANY, REC_REFUSE, STORE_EBUSY },
	{ "volatile wal gone", "the attached wal was volatile and is gone",
	  GOOD, M(RA_VOLATILE) | M(RA_FORGOTTEN), M(RW_GONE), GO, ANY, REC_LOST, 0 },
	{ "volatile wal cut", "the attached wal was volatile, and the restart of the machine has damaged it",
	  GOOD, M(RA_FORGOTTEN), M(RW_BAD), GO, ANY, REC_LOST, 0 },
	{ "wal missing", "the attached wal is not there",
	  GOOD, M(RA_LASTING), M(RW_GONE), GO, NO, REC_REFUSE, STORE_EWALMISSING },
	{ "missing wal given up", "the attached wal is not there and was given up",
	  GOOD, M(RA_LASTING), M(RW_GONE), GO, YES, REC_LOST, 0 },
	{ "wal damaged", "no copy of the attached wal's superblock is valid",
	  GOOD, BOOT, M(RW_BAD), GO, NO, REC_REFUSE, STORE_EFORMAT },
	{ "wal unreadable", "no copy of the attached wal's superblock can be read",
	  GOOD, SOME, M(RW_UNREADABLE), GO, NO, REC_REFUSE, -EIO },
	{ "head lost", "a lane's head in the attached wal has no valid copy",
	  GOOD, BOOT, M(RW_HEADLESS), GO, NO, REC_REFUSE, STORE_EFORMAT },
	{ "lost head given up", "a lane's head in the attached wal is lost and was given up",
	  GOOD, BOOT, M(RW_HEADLESS), GO, YES, REC_REPLAY, 0 },
	{ "damaged wal given up", "the attached wal is damaged and was given up",
	  GOOD, BOOT, M(RW_BAD), GO, YES, REC_LOST, 0 },
	{ "unreadable wal given up", "the attached wal cannot be read and was given up",
	  GOOD, SOME, M(RW_UNREADABLE), GO, YES, REC_LOST, 0 },
};
const unsigned rec_rows_count = sizeof(rec_rows) / sizeof(rec_rows[0]);

const struct rec_row *rec_decide(const struct rec_facts *f)
{
	const struct rec_row *found = NULL;

	for (unsigned i = 0; i < rec_rows_count; i++) {
		const struct rec_row *r = &rec_rows[i];

		if (!(r->store & M(f->store)) || !(r->attached & M(f->attached)) ||
		    !(r->wal & M(f->wal)) || !(r->want & M(f->want)) ||
		    !(r->give_up & M(f->give_up)))
			continue;
		if (found)
			abort();
		found = r;
	}
	if (!found)
		abort();
	return found;
}

#define OK	(M(RSEG_NONE) | M(RSEG_WHOLE))
#define TORN	M(RSEG_TORN)
#define UNREAD	M(RSEG_UNREAD)
#define NONEW	(M(RLW_EMPTY) | M(RLW_BEHIND))

const struct rec_lane_row rec_lane_rows[] = {
	/* label, words, segs, wal, actions */
	{ "new lane", "nothing was ever written",
	  M(RSEG_NONE), M(RLW_NONE), 0 },
	{ "whole", "every frame is there",
	  M(RSEG_WHOLE), M(RLW_NONE), 0 },
	{ "torn", "the last batch is torn: what is whole in it stays",
	  TORN, M(RLW_NONE), RL_EXPLAIN },
	{ "lost", "the wal is lost: its numbers are skipped",
	  OK, M(RLW_LOST), RL_SKIP },
	{ "torn and lost", "the last batch is torn, the wal is lost",
	  TORN, M(RLW_LOST), RL_EXPLAIN | RL_SKIP },
	{ "settled", "the wal has nothing that the segments have not",
	  OK, NONEW, RL_RESET },
	{ "torn, settled", "the last batch is torn, the wal has nothing of it",
	  TORN, NONEW, RL_EXPLAIN | RL_RESET },
	{ "replay", "the wal has records that the segments have not",
	  OK, M(RLW_AHEAD), RL_REPLAY | RL_RESET },
	{ "torn, replay", "the last batch is torn, the wal has it",
	  TORN, M(RLW_AHEAD), RL_CUT | RL_EXPLAIN | RL_REPLAY | RL_RESET },
	{ "apart", "segments that the wal counts on are missing",
	  OK, M(RLW_APART), RL_GAP | RL_REPLAY | RL_RESET },
	/* Such a lane is only looked at, or left as it is by a start that does not write there. */
	{ "unreadable", "the last segment cannot be read now",
	  UNREAD, M(RLW_NONE) | NONEW, 0 },
	{ "unreadable, lost", "the last segment cannot be read now, and the wal is lost",
	  UNREAD, M(RLW_LOST), RL_SKIP },
	{ "unreadable, replay", "the last segment cannot be read now, and the wal has records behind it",
	  UNREAD, M(RLW_AHEAD), RL_REPLAY | RL_RESET },
	{ "unreadable, apart", "the last segment cannot be read now, and the wal counts on it",
	  UNREAD, M(RLW_APART), RL_GAP | RL_REPLAY | RL_RESET },
	{ "torn, apart", "the last batch is torn, segments are missing behind it",
	  TORN, M(RLW_APART), RL_EXPLAIN | RL_GAP | RL_REPLAY | RL_RESET },
};
const unsigned rec_lane_rows_count = sizeof(rec_lane_rows) / sizeof(rec_lane_rows[0]);

const struct rec_lane_row *rec_lane_decide(const struct rec_lane_facts *f)
{
	const struct rec_lane_row *found = NULL;

	for (unsigned i = 0; i < rec_lane_rows_count; i++) {
		const struct rec_lane_row *r = &rec_lane_rows[i];

		if (!(r->segs & M(f->segs)) || !(r->wal & M(f->wal)))
			continue;
		if (found)
			abort();
		found = r;
	}
	if (!found)
		abort();
	return found;
}
