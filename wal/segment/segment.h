/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - the segment log of one lane on block storage (format.h).
 *
 * One writer at a time: the worker (class fsync), the checkpointer (nvmm classes)
 * or recovery.  One background thread at a time calls seglog_prepare and
 * seglog_retain, also while the writer appends.  Any thread may read what is
 * durable.  The next segment is prepared (created or recycled, zeroed, synced)
 * beforehand by seglog_prepare(), so that the writer only ever overwrites.
 *
 * The life of a file in STORE/log/LLL, each step synced before the next:
 *
 *   new-N    being created and filled with zeros          (removed at open)
 *   spare-N  freed by retention, to be used again         (at most SEG_SPARES)
 *   N.seg    all zeros: prepared, not used yet
 *            header copies A and B valid: used.  The rotation writes both just
 *            before the first batch, and the sync of that batch covers them: a
 *            frame that was acknowledged always has its header.
 *
 * Hence a file N.seg whose header copies are both zero was never used, or its first batch
 * was on its way; or the header was damaged since (seg_scan.h has what that means).
 */
#ifndef SEGMENT_SEGMENT_H
#define SEGMENT_SEGMENT_H

#include <errno.h>
#include <stdbool.h>

#include "format/format.h"
#include "media/blk.h"
#include "segment/floor.h"

struct seglog;
struct seg_lane;		/* seg_scan.h, as is */
struct seglog_resume;

#define SEG_SPARES	1u	/* freed files kept per lane */
/* What retention by size needs of each lane: the segment in use, the one before it (of
 * which alone it may be known what was acknowledged, while the first batch of the next is
 * on its way), the prepared one, and one that is made from what has expired. */
#define RETAIN_SEGMENTS 4u

/* ---- open and close ---- */
struct seglog_options {
	const struct blk_ops *blk;
	struct blk_dir	*at;		/* of STORE/log; NULL: dir is a path */
	const char	*dir;		/* LLL; there, and synced in its parent */
	uint8_t		 uuid[16];
	uint32_t	 lane;
	uint32_t	 cls;		/* enum durability_class, for the headers; 0: not known */
	uint64_t	 segment_bytes;	/* of new files; SEG_BYTES_MIN..MAX, multiple of 4096 */
	uint64_t	 first_bytes;	/* of the first one of all, less than that and likewise: made
				 * by the open, which many lanes wait for; 0: as segment_bytes */
	uint64_t	 index_bytes;	/* of memory for finding records; 0: SEG_INDEX_BYTES */
	uint64_t	 bytes_max;	/* as seglog_retain's, until that is called; 0: no limit */
	bool		 idle;		/* nobody will append: no segment is created, but to let the last one expire */
	bool		 aside;		/* likewise, and the last segment cannot be read now: nothing is
					 * written, what is there can be read */
	bool		 aside_open;	/* .. and where it ends nobody knows: to be found by the next open */
	bool		 swift;		/* class volatile: new files are allocated rather than
					 * written with zeros, and not synced: no sync means
					 * anything here, so none is to be made cheap */
	bool		 direct;	/* BLK_DIRECT: all appends are struct seg_batch's */
	/* What the lane has had, durable: before a prepared segment is handed to the writer,
	 * and before retention removes one.  had: what the table says now.  NULL: no table. */
	int		(*note)(void *arg, const struct storefile_lane *e);
	void		*note_arg;
	struct storefile_lane had;
	void		(*tick)(void *arg);	/* between the slices of an open that takes long; may be NULL */
	void		*tick_arg;
	uint64_t	(*now_ms)(void);	/* NULL: the system's wall clock */
	uint64_t	(*random)(void);	/* salts; NULL: dice.h */
};
/* After seg_scan_lane() of the same lane (which may be freed afterwards).  Before it
 * returns: leftovers are gone; the bytes [end, dirty_end) are zero; the header and
 * the last batch [batch_off, end) have been written again, because after a failed
 * sync reads may show what the disk does not hold; all of it is synced, the
 * directory too.  Then, unless idle, there is an active segment, or there is no room for
 * one (seglog_nospace), which ends by itself.  0 or -errno. */
int  seglog_open(struct seglog **s, const struct seglog_options *o,
		 const struct seg_lane *found, const struct seglog_resume *r);
/* The table moves. */
void seglog_note_to(struct seglog *s, void *note_arg);
/* Recovery has explained every number that has no record: from now on the table may say of all
 * of them that they were durable. */
void seglog_note_explained(struct seglog *s);
/* Nothing is appended any more: the table knows exactly what there is.  0 or -errno. */
int  seglog_note_end(struct seglog *s);
void seglog_close(struct seglog *s);	/* no cursor is open, no batch in flight */

/* ---- the writer ---- */

/* Where a frame's data are: either memory (gap frames, recovery) or frags. */
struct seg_place {		/* made by seglog_place: where a batch goes */
	struct blk_file *file;
	uint64_t off;
};

/* The header of the next frame at file offset *off of the active segment, for
 * len bytes with data_crc: fills h, advances *off by the frame's size; *pad is how
 * many zero bytes follow the data.  -ENOSPC: does not fit in this segment any more
 * (seglog_rotate, at a batch boundary). */
int  seglog_frame(struct seglog *s, uint64_t *off, struct frame_header *h, uint16_t kind,
		  uint64_t seq, uint64_t time_ms, uint32_t len, uint32_t data_crc, uint32_t *pad);
struct seg_place seglog_place(const struct seglog *s);	/* where the next batch starts */
/* What a failed write or sync is told as: it is final, and these two mean "not now". */
static inline int seg_final(int err)
{
	return err == -EAGAIN || blk_nospace(err) ? -EIO : err;
}

/* The bytes of a batch, from seglog_place on: begin, put (p NULL: zeros), end.  They are
 * copied and written in whole blocks, some at once, all when end returns.  0 or -errno of
 * a write, which is final: the batch can only be given up. */
#define SEG_BATCH_BYTES	(320u << 10)	/* of a checkpoint's slice and what it is rounded to */
struct seg_batch {
	struct seglog *s;
	struct blk_file *file;
	uint8_t *mem;		/* [SEG_BATCH_BYTES] */
	uint64_t off;		/* in the file, of mem[0] */
	uint32_t n;		/* bytes in mem */
};
int  seg_batch_new(struct seg_batch **b);	/* 0, -ENOMEM */
void seg_batch_free(struct seg_batch *b);	/* NULL: nothing */
void seg_batch_begin(struct seg_batch *b, struct seglog *s);
int  seg_batch_put(struct seg_batch *b, const void *p, size_t n);
int  seg_batch_end(struct seg_batch *b);
/* The batch that ended at `off`, last sequence `seq`, is synced: readers see it,
 * the batch number rises. */
void seglog_synced(struct seglog *s, uint64_t off, uint64_t seq);
/* The batch at seglog_place() found no room for its write (err: -ENOSPC, -EDQUOT), and nothing
 * was synced after it: nobody was promised anything, and what it left up to the offset
 * `to` is made zeros, synced, by seglog_prepare.  Nothing may be written before. */
void seglog_spoil(struct seglog *s, uint64_t to, int err);
/* 0: no such bytes are in the way (any more); -ENOSPC, -EDQUOT: not yet; another -errno is
 * final: they could not be synced away. */
int  seglog_spoiled(const struct seglog *s);
/* Go to the prepared segment; -EAGAIN when it is not ready yet, -ENOSPC when the
 * disk had no room for it; another -errno is final, as a failed write.  Only
 * between batches: everything before is synced. */
int  seglog_rotate(struct seglog *s);
uint64_t seglog_room(const struct seglog *s);	/* bytes left in the active segment */
uint64_t seglog_next_seq(const struct seglog *s);	/* after the last synced one */
bool seglog_ready(const struct seglog *s);	/* a prepared segment waits */
bool seglog_wants_turn(const struct seglog *s);	/* seglog_turn() waits for a rotation */
/* Grows with each step that is done towards the next segment, but for those of a try after one
 * that failed: who waits for it sees whether it goes on. */
uint64_t seglog_steps(const struct seglog *s);
int  seglog_prepare_err(const struct seglog *s);	/* of the last try to prepare one; 0: it went well */
/* The last try to prepare one found no room: -ENOSPC, or -EDQUOT where it is a quota that is
 * used up.  0: it did not. */
int  seglog_nospace(const struct seglog *s);
/* The largest record that a segment of the size in the options can hold. */
uint64_t seg_record_max(uint64_t segment_bytes);

/* One batch at once, for recovery, tests, and whoever has memory instead of frags:
 * frames, written, synced.  Rotates (and prepares) by itself, as often as needed.
 * 0; -ENOSPC no room on the disk (nothing of the record that did not fit was
 * written; *done, may be NULL, counts the synced ones); else -errno, final. */
struct seg_rec {
	uint16_t kind;		/* FRAME_RECORD, FRAME_GAP */
	uint64_t seq, time_ms;
	uint32_t len, data_crc;
	const struct iovec *iov;	/* len bytes */
	unsigned niov;
};
int  seglog_append(struct seglog *s, const struct seg_rec *r, unsigned n, unsigned *done);
/* A batch of its own that explains the numbers from..to; goes on at to + 1 (or where
 * it was, if that is higher). */
int  seglog_append_gap(struct seglog *s, const struct gap_data *g);

/* ---- background ---- */

/* First of all zeros over what a write without room left (seglog_spoil).  Then
 * work on the next segment: at most one slice of zeros per call (512 KiB; 4 MiB once the
 * writer waits for it).  0: ready, or nothing to do; 1: call again; -ENOSPC (seglog_nospace() is set until a later call
 * succeeds) or -errno. */
int  seglog_prepare(struct seglog *s);
/* Frees the oldest segments while the lane's files (the prepared and the spare one too)
 * hold more than bytes_max (0: no limit), and those whose newest record is older than
 * the wall time older_than_ms (0: no limit).
 * Never the active one: a record in it expires after the next rotation, for which
 * seglog_turn() is.  And never the last one with something durable in it: where nothing came
 * since a rotation, that is the header of the active one, which is then synced here.
 * And never one with a number that a floor holds, though there be more bytes, or older ones.
 * 0 or -errno: a file could not be removed, and none is before it (tried again by the
 * next call); or the directory could not be synced, and none is any more. */
int  seglog_retain(struct seglog *s, uint64_t bytes_max, uint64_t older_than_ms);
/* Where records expire by age: a segment that was begun before that time and has records is
 * not to be added to any more, or the oldest of them would have to wait for the youngest.
 * writer: the caller is the writer too, and it is done here.  Else the writer is asked: the
 * next seglog_frame() says -ENOSPC; if nothing comes, it should look at seglog_wants_turn().
 * 0; 1: call again; -errno. */
int  seglog_turn(struct seglog *s, uint64_t begun_before_ms, bool writer);

/* Whether the files still have their names, and their size: a running server does not notice by
 * itself that they were removed, or cut.  What is said here of a name is true of a cut too.
 *   0; -ENOENT: the segment that is written to, or the lane's folder,
 * has lost its name (or another file has it), so nothing that is written could come back.
 * A prepared one is made again.  *missing: how many sealed ones have none, *first: the
 * first of them. */
int  seglog_watch(struct seglog *s, unsigned *missing, uint64_t *first);

/* Whether the segment that a start now would go on in has another name, for which it would be
 * refused: its number, or 0. */
uint64_t seglog_linked(struct seglog *s);

/* ---- any thread ---- */

/* Holds the floor at that number, or moves it there, up or down.  What retention has removed
 * before it returns is gone (seg_read_bounds), what is there then stays. */
void seglog_floor(struct seglog *s, struct floor *f, uint64_t seq);
void seglog_floor_drop(struct seglog *s, struct floor *f);	/* also of one that is not held */

struct seglog_stats {
	uint64_t segments, bytes;	/* that hold records, their size */
	uint64_t oldest_seq;		/* what the oldest segment starts with */
	uint64_t durable_seq;		/* newest synced (0: none yet) */
	uint64_t oldest_ms;		/* when the oldest segment was begun */
	uint64_t newest_ms;		/* of the newest record; 0 unknown */
	uint64_t expired_records;	/* since open: numbers that retention freed */
	uint64_t rotations;
	uint64_t floor;			/* the lowest one that is held; 0: none */
	uint64_t held;			/* segments that the last seglog_retain() left for it alone */
	uint64_t missing;		/* of the segments, as seglog_watch() found: their files have no name */
	int	 prepare_err;		/* why there is no next segment: -errno of the last try, 0 */
	int	 retain_err;		/* what the last seglog_retain() returned */
};
void seglog_stat(struct seglog *s, struct seglog_stats *st);

#endif
