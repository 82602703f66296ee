/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_priv.h - the state of a recovery; for recover.c, rec_store.c, rec_lane.c, rec_wal.c,
 * rec_act.c, rec_tool.c and store.c only.
 *
 *	rec_find()	finds the facts, decides, makes the report; writes nothing but what
 *			opening the store file does (its lock; a bad copy of its block)
 *	rec_act()	does what was decided; the store is then open, every lane that is
 *			there has its segment log open with all of its records in it, and
 *			nothing is needed of an attached wal any more
 *	rec_end()	closes what is still open
 *
 * After rec_act the caller takes the logs, the walfile and the store file out of struct rec
 * (and clears them there); rec_end closes what was not taken.
 */
#ifndef RECOVERY_REC_PRIV_H
#define RECOVERY_REC_PRIV_H

#include "files/storefile.h"
#include "files/walfile.h"
#include "lane/scan.h"
#include "recovery/recover.h"
#include "segment/seg_scan.h"
#include "segment/segment.h"
#include "util/error.h"

#define REC_NO_CUT	SIZE_MAX

struct rec_lane {
	bool	 there;			/* has a directory, a ring in the wal, or will have a worker */
	bool	 has_wal;		/* a ring in the wal with a head */
	struct rec_lane_facts facts;
	struct seg_lane segs;
	bool	 all_used;		/* as in struct seg_scan_options */
	bool	 unclean;		/* the lane was not closed cleanly */
	bool	 aside;			/* its last segment cannot be read now: the lane is left as it is */
	size_t	 cut;			/* the hole (its index) from which on the wal has the
					 * records, or REC_NO_CUT */
	bool	 forgotten;		/* RA_FORGOTTEN */
	bool	 closed;		/* it was closed cleanly, and has a tail all the same */
	bool	 keep_tail;		/* the bytes behind the last frame stay and are explained */
	uint64_t base;			/* the next number of the segments, after the cut */
	uint64_t head_seq, wal_next;	/* the wal has [head_seq, wal_next) */
	bool	 had_known;		/* the lane table has an entry: */
	struct storefile_lane had;
	uint64_t gone_from, gone_to;	/* numbers that were durable by `had`, and that neither the
					 * segments nor the wal have; from > to: none */
	uint32_t gone_reason;
	bool	 end_gone;		/* acknowledged numbers behind the surviving segments may be
					 * lost too, and no wal counts them */
	bool	 end_unused;		/* end_gone, but the missing file was hardly used */
	uint64_t wal_longest;		/* bytes of the largest record that is only in the wal */
	struct seglog *log;		/* after rec_act */
	uint64_t next_seq;		/* after rec_act */
};

struct rec {
	/* set by the caller */
	const struct pm_ops  *pm;
	const struct blk_ops *blk;
	bool	 pm_custom;		/* pm is a simulator: probe nothing */
	const char *store_dir, *nvmm_path;	/* nvmm_path may be NULL */
	bool	 read_only;
	bool	 full;			/* read every segment, not only the last */
	bool	 dump;			/* also read what may not be written (hard links) */
	bool	 give_up;		/* as in struct rec_facts */
	bool	 adopt;			/* the wal of a copy becomes this store's */
	bool	 adopted;		/* it did: it gets a new id, and so is gone for the copy */
	bool	 rebuild;		/* make a lost store file again (the tool, not a start) */
	bool	 want_wal;		/* a wal shall be attached at nvmm_path */
	bool	 want_sync;		/* and be in real persistent memory */
	unsigned lanes_wanted;		/* how many lanes will have a worker */
	uint64_t record_max;		/* the largest record that those may get */
	uint64_t segment_bytes;		/* 0: as the store says */
	uint64_t retain_bytes;		/* of all lanes together, 0: no limit */
	enum durability_class cls;		/* the class asked for */
	uint64_t (*now_ms)(void);
	uint64_t boot;			/* of the machine; 0: not known */
	void	(*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void	*progress_arg;

	struct report *rep;
	struct storefile storefile;
	bool	 storefile_open;
	bool	 fresh;			/* RS_FOREIGN, but the file's store never had a record */
	bool	 rebuilt;		/* storefile.b was made again, and is to be written */
	bool	 class_unknown;		/* rebuilt, and no segment says whether there was a wal */
	struct walfile *wal;		/* the attached one, for reading; NULL: none */
	struct pm_hold *hold;		/* the lock on the attached wal */
	struct pm_hold *target;		/* the lock on nvmm_path, where that is another place */
	char	 taken_by[sizeof(((struct wal_bond *)0)->path)];	/* the other store's path */
	int	 wal_error;		/* why the wal cannot be read: STORE_E*, -EIO, or 0 */
	char	*nvmm_abs;		/* nvmm_path without links and relative parts, if it is there */
	char	 wal_path[sizeof(((struct storefile_block *)0)->nvmm_path)];
	unsigned lanes;			/* highest lane that is there, + 1 */
	struct rec_lane lane[LANES_MAX];
	uint64_t done, total, base_done;	/* progress, bytes */
	const char *what;
};

/* Each lane's share of retain_bytes (0: no limit) among that many lanes with a log. */
static inline uint64_t store_retain_share(uint64_t retain_bytes, unsigned logs)
{
	uint64_t share = retain_bytes / (logs ? logs : 1);

	return retain_bytes && !share ? 1 : share;
}

int  rec_find(struct rec *r);
int  rec_act(struct rec *r);
void rec_end(struct rec *r);

/* recover.c: notes the refusal or failure in the report and returns err. */
int  rec_fail(struct rec *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes the lock on the place that a new wal goes to: 0, -EWOULDBLOCK, -errno. */
int  rec_hold_target(struct rec *r);
int  rec_store_names(struct rec *r);	/* 0, STORE_ELINKED: the file `store` has another name */
int  rec_note(struct rec *r, const struct rec_finding *f);	/* 0, -ENOMEM */
void rec_progress(struct rec *r, uint64_t done);		/* of the step under way */

/* rec_store.c: rec_store_lost, where no copy of the store's block is valid, tries to make it again;
 * rec_store_owner looks whether a valid one belongs to these segments.  Both set f->store.  0, or
 * an error that is in the report. */
int  rec_store_lost(struct rec *r, struct rec_facts *f);
int  rec_store_owner(struct rec *r, struct rec_facts *f);

/* rec_lane.c: facts, decision and report of one lane. */
int  rec_lane_find(struct rec *r, unsigned lane);
/* Whether the hole gets a GAP frame, and its reason. */
bool rec_hole_is_new(const struct rec_lane *l, size_t i, uint32_t *reason);

/* Whether acknowledged numbers behind the surviving segments may be lost, and no wal says how
 * many. */
bool rec_numbers_lost(const struct rec *r, unsigned lane);
/* Whether the lane is left as it is, and how many numbers its unread segment has is not known. */
bool rec_aside_open(const struct rec_lane *l);
/* Why the numbers gone_from..gone_to, or those in front of the wal's head, have no record. */
uint32_t rec_gone_reason(const struct rec_lane *l);
/* Why the numbers that are skipped because of rec_numbers_lost have no record. */
uint32_t rec_lost_reason(const struct rec_lane *l);
/* Makes the entry that the lane table gets when recovery begins to write. */
void rec_lane_had(const struct rec *r, unsigned lane, struct storefile_lane *e);
/* The last number that the bytes behind the last frame may have had. */
uint64_t rec_tail_last(const struct rec_lane *l);

/* rec_wal.c: calls cb with the records of the lane in the wal that are numbered >= from, in order;
 * damage (numbers < from left out) is an item without frags.  *s is the scan, at its end then. */
struct rec_item {
	uint64_t seq, to_seq;		/* to_seq: of damage, inclusive; seq > to_seq: none lost */
	uint64_t time_ms;
	uint32_t len, data_crc;
	uint32_t nfrags;		/* 0: damage */
	const struct scan *s;
	const struct scan_item *it;
};
int  rec_wal_walk(struct rec *r, unsigned lane, uint64_t from, struct scan *s,
		  int (*cb)(void *arg, const struct rec_item *x), void *arg);
/* Appends those records to the lane's log, with GAP frames for the damage. */
int  rec_wal_replay(struct rec *r, unsigned lane, uint64_t from);
/* Closes the attached wal, which was read and is not attached any more, and clears its bond, so
 * that it belongs to no store (here: not needed, for it is overwritten next). */
void rec_wal_leave(struct rec *r, bool here);
/* The seg_rec of a GAP frame; g and iov must stay until it is appended. */
struct seg_rec rec_gap(const struct rec *r, const struct gap_data *g, struct iovec *iov);

#endif
