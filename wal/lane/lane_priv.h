/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_priv.h - what a lane is made of; for lane.c, lane_wal.c, lane_fsync.c, lane_none.c,
 * lane_checkpoint.c and store_priv.h only.
 *
 * nvmm classes.  The ring of words, by absolute position:
 *
 *	reclaimed_pos <= settled_pos <= committed_pos <= committed_pos + nstaged
 *	|               |               |                |
 *	words free      in segments,    in the wal,      staged in memory
 *	before this     holds dropped   durable
 *	                at reclaim
 *
 *	committed_pos + nstaged - reclaimed_pos <= entries
 *
 * The worker writes reclaimed_pos and committed_pos, the checkpointer settled_pos.
 *
 * fsync.  Two batches: one gathers while the other (if `flight`) is being written
 * and synced.  Frames get their headers when their batch starts, since they carry
 * its number and time.
 */
#ifndef LANE_LANE_PRIV_H
#define LANE_LANE_PRIV_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "files/walfile.h"
#include "format/codec.h"
#include "format/format.h"
#include "lane/follow.h"
#include "lane/lane.h"
#include "media/pm.h"
#include "segment/segment.h"

#define LANE_BATCH_RECS	4096u
#define LANE_BATCH_BYTES (8u << 20)
/* A record of FRAGS_MAX always fits (untouched memory costs nothing). */
#define LANE_BATCH_IOVS	(FRAGS_MAX + 8193u)

struct lane_frame {		/* the zeros that end the frame before it, and its header */
	uint8_t  pad[FRAME_ALIGN];
	struct frame_header h;
};
static_assert(sizeof(struct lane_frame) == 56, "lane_frame");

struct lane_rec {
	uint64_t seq;
	uint32_t len, data_crc;
};

struct lane_batch {
	struct lane_frame *frames;	/* [LANE_BATCH_RECS] */
	struct lane_rec *recs;		/* [LANE_BATCH_RECS] */
	struct iovec *iov;		/* [LANE_BATCH_IOVS] */
	unsigned nrec, niov;
	uint64_t bytes;			/* of its frames */
	uint32_t first, last;		/* frag nodes of all its records, whose holds it has */
	uint64_t end_off;		/* its end in the segment; set when its write starts */
};

struct lane_params {
	unsigned	 id;
	enum durability_class	 cls;
	const struct pm_ops  *pm;	/* classes with a wal */
	const struct blk_ops *blk;	/* classes that store */
	struct blk_aio	*aio;		/* fsync; may be set later (l->aio) */
	struct pool	*pool;
	struct seglog	*seg;
	struct walfile	*wal;		/* nvmm classes: after walfile_restart or walfile_create */
	uint64_t	 next_seq;	/* fsync; the nvmm classes take it from the lane's head */
	uint64_t	 record_bytes_max;
	uint64_t	 segment_bytes;
};

/* What differs between the lanes of the classes.  Each operation is the class's part of the
 * function of that name in lane.h, called after the part that all lanes share; CLASS_TABLE says
 * which operations a class has. */
struct lane_ops {
	int  (*init)(struct lane *l, const struct lane_params *p);	/* NULL: nothing */
	void (*fini)(struct lane *l);	/* called after a failed init, too; NULL: nothing */
	/* frags: an upper estimate for such a request.  Not called if the class stores nothing. */
	int  (*admit)(const struct lane *l, uint64_t bytes, uint64_t frags);
	/* Takes over the frags of *r and raises next_seq, or returns LANE_UNNAMED; 0: no room. */
	uint64_t (*append)(struct lane *l, struct frags *r);
	int  (*commit)(struct lane *l, uint64_t now_ms);
	/* NULL: the class never has a write in flight. */
	int  (*synced)(struct lane *l, int res, uint64_t now_ms);
	/* NULL: no buffer is held beyond a commit. */
	unsigned (*reclaim)(struct lane *l);
};
extern const struct lane_ops lane_wal, lane_fsync, lane_none;

struct lane {
	/* set at open */
	unsigned	 id;
	const struct lane_ops *ops;
	const struct pm_ops  *pm;
	const struct blk_ops *blk;
	struct blk_aio	*aio;		/* fsync: set before the first append */
	struct pool	*pool;
	struct seglog	*seg;
	struct walfile	*wal;		/* nvmm classes */
	uint64_t	*ring;		/* written through pm only; NULL: the class has no wal */
	uint64_t	 entries;
	uint64_t	 record_max;	/* bytes */
	uint64_t	 batch_max;	/* fsync: bytes gathered at most; fits an empty segment */
	uint32_t	 frags_max;	/* of a record; 0: nothing is stored */

	/* the worker's */
	uint64_t	 next_seq;
	uint64_t	*stage;		/* [stage_max]; [0] is the CLOCK's place */
	uint32_t	 nstaged, stage_max;	/* nstaged: 0, or the CLOCK is counted too */
	struct lane_batch batch[2];
	unsigned	 gather;	/* which batch gathers */
	bool		 flight;	/* the other one is being written and synced */
	bool		 spoiled;	/* fsync: a write without room left bytes: zeros first */
	bool		 full;		/* the active segment has no room for the next record */
	bool		 turning;	/* fsync: another thread changes to the next segment */
	bool		 rests;		/* that found no room: no new try in the next commit */
	bool		 took;		/* the checkpointer has work and was not woken yet */
	uint64_t	 asked_pos;	/* the checkpointer was woken to move words up to here */

	/* the worker writes, others read */
	_Atomic int	 failed;	/* -errno, for good */
	_Atomic uint64_t reclaimed_pos;
	_Atomic uint64_t committed_pos;	/* stored with release after the words are durable */
	_Atomic uint64_t durable_seq;
	_Atomic uint64_t records, bytes, commits;

	/* the checkpointer writes (fsync: the worker), others read */
	_Alignas(64)
	_Atomic uint64_t settled_pos;	/* stored with release after both head copies are durable */
	_Atomic uint64_t settled_seq;	/* highest sequence in synced segments */
	_Atomic uint64_t checkpoints, checkpoint_bytes;
	_Atomic int	 settle_failed;	/* -errno, for good */
	_Atomic int	 nospace;	/* -ENOSPC, -EDQUOT: no room for the next segment */
	uint64_t	 settle_time_ms;	/* the CLOCK of the batch that settled_pos is in */
	_Atomic uint64_t passes, turns;	/* FOLLOW_PASS, FOLLOW_TURN */

	struct follow_mark mark[FOLLOW_LEVELS];	/* of durable_seq, settled_seq, passes, turns */
};

int  lane_init(struct lane *l, const struct lane_params *p);	/* 0, -ENOMEM, -EINVAL */
void lane_fini(struct lane *l);

/* In lane.c: gives a list of frag nodes back to the pool; drop: their holds, too. */
void lane_nodes_free(struct pool *p, uint32_t first, bool drop);

#define relaxed(v)		atomic_load_explicit(&(v), memory_order_relaxed)
#define relaxed_store(v, x)	atomic_store_explicit(&(v), (x), memory_order_relaxed)
/* For a counter with one writer, which needs no read-modify-write. */
#define relaxed_add(v, x)	relaxed_store(v, relaxed(v) + (x))

/* A position as slot and lap of the ring: divided once (place_of), then counted (place_next). */
struct place { uint64_t slot; unsigned lap; };

static inline struct place place_of(const struct lane *l, uint64_t pos)
{
	return (struct place){ pos % l->entries, ent_lap_of(pos, l->entries) };
}

static inline void place_next(const struct lane *l, struct place *at)
{
	if (++at->slot < l->entries)
		return;
	at->slot = 0;
	at->lap = (at->lap + 1) % ENT_LAPS;
}

static inline bool lane_has_wal(const struct lane *l)
{
	return l->ring;
}

static inline bool lane_stores(const struct lane *l)
{
	return l->frags_max;
}

#endif
