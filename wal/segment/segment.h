/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - the segment log of one lane on block storage (format.h).
 *
 * One writer at a time: the worker (class fsync), the checkpointer (nvmm classes)
 * or recovery.  One background thread at a time calls seglog_prepare and
 * seglog_retain, also while the writer appends.  Any thread may read what is
 * durable.  seglog_prepare() prepares the next segment (creates or recycles, zeroes,
 * syncs it) beforehand, so that the writer only overwrites.
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
 * was on its way; or the header was damaged since (seg_scan.h says how these are told apart).
 */
#ifndef SEGMENT_SEGMENT_H
#define SEGMENT_SEGMENT_H

#include <errno.h>
#include <stdbool.h>

#include "format/format.h"
#include "media/blk.h"
#include "segment/floor.h"

struct seglog;
struct seg_lane;		/* seg_scan.h has this one and the next */
struct seglog_resume;

#define SEG_SPARES	1u	/* freed files kept per lane */
/* How many segments of each lane retention by size needs: the one in use, the one before it (while
 * the first batch of the one in use is on its way, only the one before shows what was
 * acknowledged), the prepared one, and one that is made from an expired one. */
#define RETAIN_SEGMENTS 4u

/* ---- open and close ---- */
struct seglog_options {
	const struct blk_ops *blk;
	struct blk_dir	*at;		/* the folder STORE/log; NULL: dir is a path */
	const char	*dir;		/* LLL; it exists, and is synced in its parent */
	uint8_t		 uuid[16];
	uint32_t	 lane;
	uint32_t	 cls;		/* enum durability_class, for the headers; 0: not known */
	uint64_t	 segment_bytes;	/* of new files; SEG_BYTES_MIN..MAX, multiple of 4096 */
	uint64_t	 first_bytes;	/* of a new lane's first file, if smaller: the open makes
					 * it, and many lanes wait for that; 0: as segment_bytes */
	uint64_t	 index_bytes;	/* memory for indexes of records; 0: SEG_INDEX_BYTES */
	uint64_t	 bytes_max;	/* as seglog_retain's, until that is called; 0: no limit */
	bool		 idle;		/* nobody will append: a segment is created only so that the
					 * last one can expire */
	bool		 aside;		/* as idle, and the last segment cannot be read now:
					 * nothing is written, the others can be read */
	bool		 aside_open;	/* as aside, and where the last segment ends is only
					 * known when a later open can read it */
	bool		 swift;		/* class volatile: new files are allocated, not written with
					 * zeros, and not synced: zeros make later syncs cheap, and
					 * in this class no sync means anything */
	bool		 direct;	/* BLK_DIRECT: every append is by a struct seg_batch */
	/* note() writes the lane's entry e into the lane table, durably: before a prepared segment
	 * is handed to the writer, and before retention removes one.  NULL: there is no table.
	 * had: the entry as it is now. */
	int		(*note)(void *arg, const struct storefile_lane *e);
	void		*note_arg;
	struct storefile_lane had;
	void		(*tick)(void *arg);	/* called now and then by a long open; or NULL */
	void		*tick_arg;
	uint64_t	(*now_ms)(void);	/* NULL: the system's wall clock */
	uint64_t	(*random)(void);	/* salts; NULL: dice.h */
};
/* Opens the log that seg_scan_lane() has found (`found` may be freed afterwards).  When
 * it returns: leftovers are gone; the bytes [end, dirty_end) are zero; the header and
 * the last batch [batch_off, end) have been written again, because after a failed
 * sync reads may show what the disk does not hold; all of it is synced, the
 * directory too.  Unless idle, there is an active segment, or the disk has no room for
 * one now (seglog_nospace).  0 or -errno. */
int  seglog_open(struct seglog **s, const struct seglog_options *o,
		 const struct seg_lane *found, const struct seglog_resume *r);
/* Changes options.note_arg: the table has moved in memory. */
void seglog_note_to(struct seglog *s, void *note_arg);
/* Recovery has explained every number that has no record: from now on the table's next_seq may
 * follow what is synced. */
void seglog_note_explained(struct seglog *s);
/* Nothing is appended any more: writes into the table exactly what there is.  0 or -errno. */
int  seglog_note_end(struct seglog *s);
void seglog_close(struct seglog *s);	/* no cursor is open, no batch in flight */

/* ---- the writer ---- */

struct seg_place {		/* where the next batch goes (seglog_place) */
	struct blk_file *file;
	uint64_t off;
};

/* Fills in h, the header of the next frame at file offset *off of the active segment,
 * for len bytes with data_crc, and advances *off by the frame's size; *pad is how many
 * zero bytes follow the data.  -ENOSPC: the frame does not fit, or seglog_turn() wants
 * a new segment: seglog_rotate, at a batch boundary. */
int  seglog_frame(struct seglog *s, uint64_t *off, struct frame_header *h, uint16_t kind,
		  uint64_t seq, uint64_t time_ms, uint32_t len, uint32_t data_crc, uint32_t *pad);
struct seg_place seglog_place(const struct seglog *s);	/* where the next batch starts */
/* The error to return for a failed write or sync, which is final: -EAGAIN and the errors of a full
 * disk become -EIO, for to the callers these mean "not now". */
static inline int seg_final(int err)
{
	return err == -EAGAIN || blk_nospace(err) ? -EIO : err;
}

/* Writes the bytes of a batch, from seglog_place on: begin, put (p NULL: zeros), end.  They
 * are copied and written in whole blocks, some during put, all of them when end returns.  0 or
 * -errno of a write, which is final: the batch can only be given up. */
#define SEG_BATCH_BYTES	(320u << 10)	/* room for a checkpoint's slice, rounded to blocks */
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
/* Says that the batch that ended at `off` with last sequence number `seq` is synced: readers see
 * it, and the batch number rises. */
void seglog_synced(struct seglog *s, uint64_t off, uint64_t seq);
/* Says that the write of the batch at seglog_place() found no room (err: -ENOSPC, -EDQUOT), and
 * that nothing was synced after it: nothing of the batch was acknowledged.  seglog_prepare
 * overwrites what it left, up to the offset `to`, with zeros and syncs them; until then nothing
 * may be written. */
void seglog_spoil(struct seglog *s, uint64_t to, int err);
/* Whether such bytes are in the way.  0: no; -ENOSPC, -EDQUOT: they still are; another -errno is
 * final: the sync of the zeros failed. */
int  seglog_spoiled(const struct seglog *s);
/* Goes on to the prepared segment.  -EAGAIN: it is not ready yet; -ENOSPC: the disk had no
 * room for it; another -errno is final, as that of a failed write.  Only between batches,
 * when everything before is synced. */
int  seglog_rotate(struct seglog *s);
uint64_t seglog_room(const struct seglog *s);	/* bytes left in the active segment */
uint64_t seglog_next_seq(const struct seglog *s);	/* after the last synced one */
bool seglog_ready(const struct seglog *s);	/* whether a prepared segment is there */
bool seglog_wants_turn(const struct seglog *s);	/* whether seglog_turn() has asked for a rotation */
/* Grows with each step towards the next segment, except while the last try has failed: a thread
 * that waits for the segment sees whether the work goes on. */
uint64_t seglog_steps(const struct seglog *s);
int  seglog_prepare_err(const struct seglog *s);	/* of the last try to prepare one, or 0 */
/* Whether there is no room on the disk, for the next segment or for a batch: -ENOSPC, or -EDQUOT
 * where a quota is used up; 0: there is. */
int  seglog_nospace(const struct seglog *s);
/* The largest record that a segment of that size can hold. */
uint64_t seg_record_max(uint64_t segment_bytes);

/* Writes the n records as frames and syncs them in one call, for recovery and tests: in one
 * batch, or where that does not fit, in one per segment; rotates (and prepares) by itself, as
 * often as needed.  *done (done may be NULL) counts the synced ones.  0; -ENOSPC: there is no
 * room on the disk, and the records that are not counted are not in the log; else -errno, final. */
struct seg_rec {
	uint16_t kind;		/* FRAME_RECORD, FRAME_GAP */
	uint64_t seq, time_ms;
	uint32_t len, data_crc;
	const struct iovec *iov;	/* len bytes */
	unsigned niov;
};
int  seglog_append(struct seglog *s, const struct seg_rec *r, unsigned n, unsigned *done);
/* Writes a GAP frame that explains the numbers from..to, in a batch of its own.  The next number
 * is then to + 1, if it was not higher already. */
int  seglog_append_gap(struct seglog *s, const struct gap_data *g);

/* ---- background ---- */

/* First writes zeros over what a write without room left (seglog_spoil).  Then works on the next
 * segment: at most one slice of zeros per call (512 KiB; 4 MiB once the writer waits for it).
 * 0: the segment is ready, or none is wanted; 1: call again; -ENOSPC (seglog_nospace() is set
 * until a later call succeeds) or -errno. */
int  seglog_prepare(struct seglog *s);
/* Frees the oldest segments while the lane's files (the prepared and the spare one too)
 * hold more than bytes_max (0: no limit), and those whose newest record is older than
 * the wall time older_than_ms (0: no limit).
 * It never frees the active segment: a record in it expires after the next rotation, which
 * seglog_turn() asks for.  Nor the last one that has anything durable in it: where nothing was
 * written since a rotation, the header of the active segment is synced here first.
 * Nor one that has a number that a floor holds, whatever the limits say.
 * 0 or -errno: a file could not be removed (the next call tries again, and removes no younger
 * one before), or the directory could not be synced (nothing is removed any more). */
int  seglog_retain(struct seglog *s, uint64_t bytes_max, uint64_t older_than_ms);
/* Where records expire by age, an active segment that was begun before that time and has records
 * gets no more of them, or its oldest record would expire only with its youngest.
 * writer: the caller is the writer too, and rotates here.  Else the writer is asked to rotate: the
 * next seglog_frame() returns -ENOSPC; without a next one, it should look at seglog_wants_turn().
 * 0; 1: call again; -errno. */
int  seglog_turn(struct seglog *s, uint64_t begun_before_ms, bool writer);

/* Whether the files still have their names and their size: without this, a running server does not
 * notice that a file was removed (or replaced) or cut.  A file that was cut counts as removed.
 * -ENOENT: the active segment or the lane's folder was, so that nothing written now would be found
 * again; else 0.  If the prepared segment was, seglog_prepare makes it again.  *missing: how many
 * sealed segments were removed, *first: the first of them. */
int  seglog_watch(struct seglog *s, unsigned *missing, uint64_t *first);

/* If the segment that a start would go on in has a second name (a hard link), for which that start
 * would refuse it: the segment's number; else 0. */
uint64_t seglog_linked(struct seglog *s);

/* ---- any thread ---- */

/* Holds the floor at that number, or moves it there, up or down.  What retention removed before
 * this call returned is gone (seg_read_bounds); the rest from that number on stays. */
void seglog_floor(struct seglog *s, struct floor *f, uint64_t seq);
void seglog_floor_drop(struct seglog *s, struct floor *f);	/* f need not be held */

struct seglog_stats {
	uint64_t segments, bytes;	/* segments, without the prepared one; their size */
	uint64_t oldest_seq;		/* the number that the oldest segment starts with */
	uint64_t durable_seq;		/* newest synced (0: none yet) */
	uint64_t oldest_ms;		/* when the oldest segment was begun */
	uint64_t newest_ms;		/* of the newest record; 0 unknown */
	uint64_t expired_records;	/* since open: numbers that retention freed */
	uint64_t rotations;
	uint64_t floor;			/* the lowest floor that is held; 0: none */
	uint64_t held;			/* segments that seglog_retain() kept for floors alone */
	uint64_t missing;		/* segments whose files seglog_watch() found removed */
	int	 prepare_err;		/* why there is no next segment: -errno of the last try, 0 */
	int	 retain_err;		/* what the last seglog_retain() returned */
};
void seglog_stat(struct seglog *s, struct seglog_stats *st);

#endif
