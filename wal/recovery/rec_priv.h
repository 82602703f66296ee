/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_priv.h - a recovery under way; for recover.c, rec_store.c, rec_lane.c, rec_wal.c,
 * rec_act.c, rec_tool.c and store.c only.
 *
 *	rec_find()	the facts, the decisions, the report: writes nothing but what
 *			opening the store file does (its lock; a bad copy of its block)
 *	rec_act()	what was decided; the store is then open, every lane that is
 *			there has its segment log open and everything in it, and an
 *			attached wal is drained
 *	rec_end()	closes what is still open
 *
 * Who owns the parts after rec_act: the caller takes logs, walfile and store out of
 * struct rec (and clears them there), rec_end closes what was not taken.
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
	bool	 unclean;		/* the store was open when the lane was looked at last */
	bool	 aside;			/* its last segment cannot be read now: the lane is left as it is */
	size_t	 cut;			/* the hole from which on the wal has it; or REC_NO_CUT */
	bool	 forgotten;		/* RA_FORGOTTEN */
	bool	 closed;		/* the store was, when it was looked at */
	bool	 keep_tail;		/* what is behind the last frame stays and is explained */
	uint64_t base;			/* next number of the segments, after the cut */
	uint64_t head_seq, wal_next;	/* the wal has [head_seq, wal_next) */
	bool	 had_known;		/* the lane table has it: */
	struct storefile_lane had;
	uint64_t gone_from, gone_to;	/* numbers that it had and neither segments nor wal have;
					 * from > to: none */
	uint32_t gone_reason;
	bool	 end_gone;		/* and more, nobody knows how many */
	bool	 end_unused;		/* but nothing shows that there were any */
	uint64_t wal_longest;		/* bytes of the largest record that is only there */
	struct seglog *log;		/* after rec_act */
	uint64_t next_seq;		/* after rec_act */
};

struct rec {
	/* set by the caller */
	const struct pm_ops  *pm;
	const struct blk_ops *blk;
	bool	 pm_custom;		/* a simulator: probe nothing */
	const char *store_dir, *nvmm_path;	/* nvmm_path may be NULL */
	bool	 read_only;
	bool	 full;			/* read every segment, not only the last */
	bool	 dump;			/* what may not be written is read all the same */
	bool	 give_up;
	bool	 adopt;			/* the wal of a copy becomes this store's */
	bool	 adopted;		/* it did: it gets another id, so that the copy finds its own gone */
	bool	 rebuild;		/* a lost store file is found again (the tool, not a start) */
	bool	 want_wal;		/* a wal shall be attached at nvmm_path */
	bool	 want_sync;		/* and be in real persistent memory */
	unsigned lanes_wanted;		/* workers to come */
	uint64_t record_max;		/* of their records */
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
	bool	 fresh;			/* RS_FOREIGN: that store never had a record */
	bool	 rebuilt;		/* store.b was found again, and is to be written */
	bool	 class_unknown;		/* rebuilt, and no segment says whether there was a wal */
	struct walfile *wal;		/* the attached one, for reading; NULL: none */
	struct pm_hold *hold;		/* of the attached one */
	struct pm_hold *target;		/* of nvmm_path, where that is another place */
	char	 taken_by[sizeof(((struct wal_bond *)0)->path)];	/* the other store's path */
	int	 wal_error;		/* why it cannot be read: STORE_E*, 0 */
	char	*nvmm_abs;		/* nvmm_path without links and relative parts, if it is there */
	char	 wal_path[sizeof(((struct storefile_block *)0)->nvmm_path)];
	unsigned lanes;			/* highest lane that is there, + 1 */
	struct rec_lane lane[LANES_MAX];
	uint64_t done, total, base_done;	/* progress, bytes */
	const char *what;
};

/* A lane's part of retain_bytes (0: no limit) where so many have a log. */
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

/* rec_store.c: no copy of the store's block is valid; there is one, but whose is it?  Both
 * set f->store.  0 or an error that is noted. */
int  rec_store_lost(struct rec *r, struct rec_facts *f);
int  rec_store_owner(struct rec *r, struct rec_facts *f);

/* rec_lane.c: facts, decision and report of one lane. */
int  rec_lane_find(struct rec *r, unsigned lane);
/* Whether the hole gets a GAP frame, and its reason. */
bool rec_hole_is_new(const struct rec_lane *l, size_t i, uint32_t *reason);

/* Numbers that clients know were behind what is left of the segments, and no wal says how
 * many. */
bool rec_numbers_lost(const struct rec *r, unsigned lane);
/* The lane is left as it is, and nobody knows how many numbers are in what cannot be read. */
bool rec_aside_open(const struct rec_lane *l);
/* Why the numbers are gone that segments should have: their files are, or not. */
uint32_t rec_gone_reason(const struct rec_lane *l);
/* And those that are skipped because of rec_numbers_lost. */
uint32_t rec_lost_reason(const struct rec_lane *l);
/* What the lane table says once recovery has begun. */
void rec_lane_had(const struct rec *r, unsigned lane, struct storefile_lane *e);
/* keep_tail: the last number that what is behind the last frame may have had. */
uint64_t rec_tail_last(const struct rec_lane *l);

/* rec_wal.c: the records of a lane of the wal numbered >= from, in order; damage (numbers
 * < from left out) as an item without frags.  *s is the scan, at its end afterwards. */
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
/* The attached wal is read, and not attached any more: it is closed, and nobody's from now
 * on (here: it is overwritten next). */
void rec_wal_leave(struct rec *r, bool here);
/* A GAP frame's record; g must stay. */
struct seg_rec rec_gap(const struct rec *r, const struct gap_data *g, struct iovec *iov);

#endif
