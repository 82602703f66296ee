/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - a worker's log: name bytes, append records, commit batches.  One
 * thread writes one lane; nothing here locks or allocates (struct lane's memory
 * is sized at open), except a rotation of segments, once per segment.
 *
 * The worker's cycle, in every class:
 *
 *   lane_add()      as the pieces of a mutable request are parsed
 *   lane_append()   when the request is complete: it gets its name
 *   lane_commit()   once at the end of the batch
 *   lane_durable()  replies up to this sequence may leave
 *   lane_reclaim()  buffers of records that are elsewhere now go to the pool
 *
 * nvmm, nvmm-eadr, volatile: lane_add flushes the bytes (no fence); lane_append
 * stages words; lane_commit fences, writes CLOCK and words, flushes, fences: all
 * appended is durable when it returns.  Buffers come back after a checkpoint.
 *
 * fsync: lane_append gathers frames; lane_commit starts write and sync of all
 * gathered if none is in flight, and otherwise leaves them to be started by
 * lane_synced; durable moves in lane_synced, which drops the buffers too.
 *
 * none: lane_append drops the buffers and returns LANE_UNNAMED.
 *
 * A write that finds no room (and that nothing was synced after) takes back what was
 * appended and is not durable: lane_synced returns -ENOSPC, all of it is to be refused, its
 * numbers are given again, and until there is room nothing is taken.
 *
 * Any other failure of write or sync is final: lane_failed() is the errno, nothing is
 * acknowledged any more, nothing is retried.
 */
#ifndef LANE_LANE_H
#define LANE_LANE_H

#include "lane/pool.h"
#include "media/blk.h"

struct lane;

#define LANE_UNNAMED UINT64_MAX

/* Whether a request of about `bytes` may start to be recorded:
 * 0; -EAGAIN low on words, nodes or frames (push back; try again after progress);
 * -ENOSPC no room on the disk for the next segment (507; clears by itself when
 * there is room); -EIO the lane failed; -EFBIG larger than a record can be. */
int lane_admit(const struct lane *l, uint64_t bytes);

/* Why there is no room for the next segment: -ENOSPC, -EDQUOT; 0: there is, or nobody has
 * found out yet. */
int lane_nospace(const struct lane *l);

/* Name bytes [off, off+len) of buffer idx as the next bytes of the record: takes
 * a hold, joins it to the last frag when adjacent, continues the CRC, flushes the
 * cache lines.  A small piece (LANE_GATHER bytes or less, not adjacent, not the
 * first) is copied into a buffer that is this record's own and counted in
 * pool.gathered_bytes; so a client that sends in tiny pieces holds no buffer per
 * piece.  With none free to copy into, it stays where it is if that costs no buffer
 * (the record holds it already) or if they are only short because the kernel has
 * them.  0; -ENOBUFS no node or buffer now, nothing was done; -EFBIG. */
int lane_add(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len);
#define LANE_GATHER 256u

/* Give up a record that is not complete. */
void lane_drop(struct lane *l, struct frags *r);

/* The record is complete: its sequence number, and *r is empty again.  0: no room
 * right now (r unchanged; commit, and try again after lane_synced or lane_reclaim
 * made progress, or later: the next segment may have to be prepared first). */
uint64_t lane_append(struct lane *l, struct frags *r);

/* End of a batch.  now_ms: wall clock.  0 or -errno (the lane has failed). */
int lane_commit(struct lane *l, uint64_t now_ms);

/* fsync only: what was started through the blk_aio, a batch or the change to the next segment,
 * has completed with res. */
int lane_synced(struct lane *l, int res, uint64_t now_ms);

uint64_t lane_durable(const struct lane *l);	/* highest durable sequence */
int  lane_failed(const struct lane *l);		/* 0 or the -errno that ended it */
bool lane_pending(const struct lane *l);	/* appended, not durable yet, but to be so */

/* Take back what a checkpoint has moved: drops the holds, frees the words.
 * Returns the number of records taken back.  Cheap when there is nothing. */
unsigned lane_reclaim(struct lane *l);

/* Whether the background has something to do for this lane that it has not been asked for:
 * the segment that was prepared is in use, so the next one is to be made; or, `pressed`,
 * what was committed since it was last asked is to be moved to the segments.  True once for
 * each such thing: who hears it asks (store_background).  By the worker. */
bool lane_asks(struct lane *l, bool pressed);
/* Whether something waits until the background has made the next segment. */
bool lane_waits(const struct lane *l);

/* Grows with each thing that is done so that there is room again: a batch committed (fsync) or
 * moved to the segments, a step towards the next segment.  By the worker, as what follows. */
uint64_t lane_moves(const struct lane *l);
/* Whether buffers or words are in use for records that the disk has to take yet. */
bool lane_owes(const struct lane *l);
/* Why the next segment could not be made when that was tried last; 0: it could. */
int  lane_prepare_err(const struct lane *l);

/* 0..100: how full the ring of words is; 0 where there is none. */
unsigned lane_fill_pct(const struct lane *l);

#endif
