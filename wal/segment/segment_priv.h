/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_priv.h - what a segment log is made of; for segment.c, seg_batch.c,
 * seg_back.c, seg_read.c and seg_why.c only.
 *
 *	segs[0] .. segs[nsegs-1] = active      prepared      spare      prep
 *	oldest     sealed until the last one   all zeros     freed      in the making
 *
 * The lock guards the list, the references and the indexes; the writer takes it when it
 * rotates and never else.  What the writer publishes in between is in atomics.
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
	uint64_t last_seq;	/* of the last record before it */
	unsigned since;		/* records since the last entry */
};

struct seg {
	/* fixed before it is in the list */
	uint64_t segno, first_seq, created_ms, bytes, salt;
	bool	 lost;		/* no valid header: holds its place, nothing is read from it */
	int	 unread;	/* likewise, but its header could not be read: -errno; it is tried again */
	struct blk_id id;	/* the active and the prepared one: of the open file */
	uint64_t there;		/* so large was the file when it was opened: less than bytes if it was cut */
	/* the writer's; release after the bytes before `end` are synced */
	_Atomic uint64_t end;	/* of a sealed one that was not read at open: its size */
	_Atomic bool sealed;	/* release: `end` is final */
	/* under the lock */
	unsigned refs;		/* cursors, the writer, the index builder */
	bool	 durable;	/* its header is, though nothing behind it may be */
	bool	 retired;	/* not in the list any more: the last ref frees it */
	bool	 missing;	/* no file had its name when seglog_watch looked */
	struct blk_file *file;	/* open (seg_file) until refs is 0 */
	struct seg_index *index;
	uint64_t index_used;	/* when, for dropping the least recently used */
};

enum prep_state { PREP_IDLE, PREP_CHECK, PREP_FILL };

struct seglog {
	struct seglog_options o;
	struct blk_dir *dir;	/* every file of the lane is opened and named in it */

	/* the writer's */
	struct seg *active;
	uint64_t batch;		/* of the next batch */
	uint64_t frame_ms;	/* time of the batch that is being made */
	int	 failed;	/* of seglog_append: final */
	/* The block that the last struct seg_batch ended in, up to tail_end.  A file's first
	 * batch begins with a block: one that has the memory of another has no part of it. */
	uint8_t	 tail[BLK_BLOCK];
	struct blk_file *tail_file;
	uint64_t tail_end;

	_Atomic(struct seg *) prepared;	/* background -> writer */
	_Atomic(struct seg *) unbegun;	/* the writer's: taken from there, but its header could not be written */
	_Atomic uint64_t durable_seq;	/* highest number named in synced frames */
	_Atomic uint64_t newest_ms, rotations;
	_Atomic bool want_rotate;
	_Atomic bool starved;		/* the writer's: it wants the next segment, and there is none */
	_Atomic uint64_t prepare_steps;	/* the background's: see seglog_steps */
	_Atomic int prepare_err;	/* of the last try to make the next segment */
	/* The writer sets both (release); the background makes [end, spoiled) of the active
	 * segment zeros and clears them (release), or leaves a final error. */
	_Atomic uint64_t spoiled;
	_Atomic int spoil_err;
	_Atomic int retain_err;		/* of the last look for what has expired */

	pthread_mutex_t lock;
	struct seg **segs;
	size_t	 nsegs, cap;
	size_t	 unread;	/* how many of them are */
	uint64_t index_bytes, index_clock;
	uint64_t expired;
	uint64_t low_segno, low_seq;	/* what has not expired; 0: as segs[0] is */
	bool	 low_lost;		/* LANE_LOW */
	struct floor_list floors;
	uint64_t floor;			/* the lowest of them, or FLOOR_NONE */
	uint64_t held;			/* segments that stay for it; the background writes it */

	/* the background's */
	uint64_t next_segno, bytes_max;
	struct storefile_lane had;	/* the table's entry, as it was written last */
	bool	 explained;	/* every number below the next is a record, or a frame says why not */
	int	 note_err;	/* that failed: whether it was written is not known any more */
	char	 spare[32];	/* name of a freed file that is durably out of the log; "" none */
	char	 stuck[32];	/* an expired one that could not be removed: first of all; "" none */
	int	 retire_err;	/* a sync of the directory, or of a header, failed: what is removed is not known any more */
	struct {
		enum prep_state state;
		struct blk_file *file;
		char	 name[32];	/* new-N, spare-N or N.seg */
		uint64_t segno, pos, bytes;
		uint64_t zeros;		/* so much of it is written; the rest may be allocated only */
		bool	 fresh;		/* a new file: a reader sees zeros beyond what is written */
		bool	 named;		/* N.seg, and that is durable: it stays */
	} prep;
};

/* Of the file that is made next.  With the lock. */
static inline uint64_t seg_next_bytes(const struct seglog *s)
{
	return s->nsegs || !s->o.first_bytes ? s->o.segment_bytes : s->o.first_bytes;
}

/* For the opening of a file that is to be written. */
static inline int seg_direct(const struct seglog *s)
{
	return s->o.direct ? BLK_DIRECT : 0;
}

/* With the lock held: a reference; and one less. */
static inline void seg_ref(struct seg *g)
{
	g->refs++;
}
void seg_unref(struct seglog *s, struct seg *g);
/* Without the lock, for nobody may have to wait for a disk who only wants to look at the list:
 * the file of one that is referred to is open from here on.  0; -ESTALE: retention has removed
 * it meanwhile, the list says what there is now; -errno. */
int  seg_file(struct seglog *s, struct seg *g);
void seg_index_free(struct seg_index *x);
/* Tries once more to read the headers of those between two numbers of segments that could not be
 * read so far.  Without the lock, as seg_file.  1: one can be by now, the list has it; 0: there are
 * none; or why the last one cannot. */
int  seg_learn(struct seglog *s, uint64_t behind, uint64_t before);
int  seg_reserve(struct seglog *s);	/* room in the list for one more */

int  seg_open(struct seglog *s, const char *name, int flags, struct blk_file **f);
int  seg_unlink(struct seglog *s, const char *name);
int  seg_rename(struct seglog *s, const char *from, const char *to);
/* Zeros over what a write without room left.  0, -ENOSPC, or -errno, which is final. */
int  seg_unspoil(struct seglog *s);
uint64_t seg_random(const struct seglog *s);

/* seg_read.c: a walker over what is synced of a segment that is held, from off, where last_seq
 * was passed; and where to start it for number seq. */
int  seg_walk_from(struct seg_walk *w, struct seglog *s, const struct seg *g, uint64_t off,
		   uint64_t last_seq);
int  seg_locate(struct seglog *s, struct seg *g, uint64_t seq, struct seg_entry *at);

#endif
