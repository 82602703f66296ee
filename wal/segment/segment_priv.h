/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_priv.h - the parts of a segment log; for segment.c, seg_batch.c,
 * seg_back.c, seg_read.c and seg_why.c only.
 *
 *	segs[0] .. segs[nsegs-1] = active      prepared      spare      prep
 *	oldest     sealed until the last one   all zeros     freed      in the making
 *
 * The lock guards the list, the references and the indexes; the writer takes it only when
 * it rotates.  What the writer publishes in between is in atomics.
 */
#ifndef SEGMENT_SEGMENT_PRIV_H
#define SEGMENT_SEGMENT_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "segment/seg_scan.h"
#include "segment/segment.h"

struct seg_entry {		/* a record with number seq starts at off */
	uint64_t seq, off;
};
struct seg_index {		/* every SEG_INDEX_EVERYth record up to `upto` */
	struct seg_entry *v;
	size_t	 n, cap;
	uint64_t upto;		/* file offset that the walk has reached */
	uint64_t last_seq;	/* of the last record before `upto` */
	unsigned since;		/* records that were passed; each SEG_INDEX_EVERYth gets an entry */
};

struct seg {
	/* Fixed when the segment comes into the list (of a lost one: under the lock). */
	uint64_t segno, first_seq, created_ms, bytes, salt;
	bool	 lost;		/* no valid header: it keeps its place, nothing is read from it */
	int	 unread;	/* likewise, its header could not be read: -errno (seg_learn) */
	struct blk_id id;	/* of the active and the prepared segment's open file */
	uint64_t there;		/* the file's size at the open; less than bytes: it was cut */
	/* The writer sets these. */
	_Atomic uint64_t end;	/* release: all before is synced; if not read at open: its size */
	_Atomic bool sealed;	/* release: `end` is final */
	/* Under the lock. */
	unsigned refs;		/* cursors, the writer, the index builder */
	bool	 durable;	/* its header is synced, perhaps nothing behind it */
	bool	 retired;	/* not in the list any more: the last unref frees it */
	bool	 missing;	/* seglog_watch found its file removed, replaced or cut */
	struct blk_file *file;	/* open (seg_file) until refs is 0 */
	struct seg_index *index;
	uint64_t index_used;	/* index_clock at the last use: the oldest is dropped first */
};

enum prep_state { PREP_IDLE, PREP_CHECK, PREP_FILL };

struct seglog {
	struct seglog_options o;
	struct blk_dir *dir;	/* every file of the lane is opened and named in it */

	/* The writer uses these. */
	struct seg *active;
	uint64_t batch;		/* the next batch's number */
	uint64_t frame_ms;	/* time of the batch that is being made */
	int	 failed;	/* seglog_append or seglog_rotate failed to write or sync: final */
	/* The block that the last struct seg_batch ended in, up to tail_end: the next one writes it
	 * again.  A new file starts on a block boundary, so a stale tail is never used for it. */
	uint8_t	 tail[BLK_BLOCK];
	struct blk_file *tail_file;
	uint64_t tail_end;

	_Atomic(struct seg *) prepared;	/* background -> writer */
	_Atomic(struct seg *) unbegun;	/* the writer took it, but could not write its header */
	_Atomic uint64_t durable_seq;	/* highest number named in synced frames */
	_Atomic uint64_t newest_ms, rotations;
	_Atomic bool want_rotate;	/* seglog_turn asks the writer to rotate */
	_Atomic bool starved;		/* the writer wants the next segment, and there is none */
	_Atomic uint64_t prepare_steps;	/* see seglog_steps; the background counts */
	_Atomic int prepare_err;	/* of the last try to make the next segment */
	/* The writer sets both (release); the background makes [end, spoiled) of the active
	 * segment zeros and clears `spoiled` (release), or leaves a final error in spoil_err. */
	_Atomic uint64_t spoiled;
	_Atomic int spoil_err;
	_Atomic int retain_err;		/* of the last seglog_retain */

	pthread_mutex_t lock;
	struct seg **segs;
	size_t	 nsegs, cap;
	size_t	 unread;	/* how many of segs have `unread` set */
	uint64_t index_bytes, index_clock;
	uint64_t expired;
	uint64_t low_segno, low_seq;	/* the lowest that has not expired; 0: there is no table */
	bool	 low_lost;		/* LANE_LOW */
	struct floor_list floors;
	uint64_t floor;			/* the lowest of the floors, or FLOOR_NONE */
	uint64_t held;			/* segments that stay for it; the background counts them */

	/* The background uses these. */
	uint64_t next_segno, bytes_max;
	struct storefile_lane had;	/* the table's entry, as it was written last */
	bool	 explained;	/* every number below the next is a record, or a frame says why not */
	int	 note_err;	/* writing the entry failed: what the disk has of it is not known */
	char	 spare[32];	/* name of a freed file that is durably out of the log; "" none */
	char	 stuck[32];	/* expired file that could not be removed: it goes next; "" none */
	int	 retire_err;	/* a sync failed: final, nothing is removed any more */
	struct {
		enum prep_state state;
		struct blk_file *file;
		char	 name[32];	/* new-N, spare-N or N.seg */
		uint64_t segno, pos, bytes;
		uint64_t zeros;		/* written up to here; the rest may be allocated only */
		bool	 fresh;		/* a new file: a reader sees zeros beyond what is written */
		bool	 named;		/* its name N.seg is durable: it stays */
	} prep;
};

/* The size of the file that is made next.  The caller has the lock. */
static inline uint64_t seg_next_bytes(const struct seglog *s)
{
	return s->nsegs || !s->o.first_bytes ? s->o.segment_bytes : s->o.first_bytes;
}

/* The flag for opening a file that is to be written. */
static inline int seg_direct(const struct seglog *s)
{
	return s->o.direct ? BLK_DIRECT : 0;
}

/* Takes a reference, and gives it back.  The caller has the lock. */
static inline void seg_ref(struct seg *g)
{
	g->refs++;
}
void seg_unref(struct seglog *s, struct seg *g);
/* Opens the file of g, to which the caller has a reference.  Called without the lock: a thread that
 * only looks at the list must not wait for a disk.  0; -ESTALE: retention has removed g meanwhile,
 * look at the list again; -errno. */
int  seg_file(struct seglog *s, struct seg *g);
void seg_index_free(struct seg_index *x);
/* Tries again to read the headers that could not be read so far, of the segments between those two
 * numbers.  Called without the lock, as seg_file.  1: at least one could be read, and the list has
 * it; 0: there were none to try; -errno of the last that cannot be read. */
int  seg_learn(struct seglog *s, uint64_t behind, uint64_t before);
int  seg_reserve(struct seglog *s);	/* makes room in the list for one more; with the lock */

int  seg_open(struct seglog *s, const char *name, int flags, struct blk_file **f);
int  seg_unlink(struct seglog *s, const char *name);
int  seg_rename(struct seglog *s, const char *from, const char *to);
/* Writes zeros over what a write without room left (seglog_spoil).  0, -ENOSPC, or -errno, which
 * is final. */
int  seg_unspoil(struct seglog *s);
uint64_t seg_random(const struct seglog *s);

/* seg_read.c: seg_walk_from starts a walker over the synced part of g, to which the caller has a
 * reference, at offset off, behind the record last_seq.  seg_locate finds where to start it to come
 * to number seq. */
int  seg_walk_from(struct seg_walk *w, struct seglog *s, const struct seg *g, uint64_t off,
		   uint64_t last_seq);
int  seg_locate(struct seglog *s, struct seg *g, uint64_t seq, struct seg_entry *at);

#endif
