/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - a worker's log: name bytes, append records, commit batches.  One
 * thread writes one lane; nothing here locks or allocates (struct lane's memory
 * is sized at open), except the change to the next segment, once per segment.
 *
 * The worker's cycle, in every class:
 *
 *   lane_add()      as the pieces of a mutable request are parsed
 *   lane_append()   when the request is complete: it gets its name
 *   lane_commit()   once at the end of the batch
 *   lane_durable()  replies up to this sequence may leave
 *   lane_reclaim()  buffers of records that are in the segments now go to the pool
 *
 * nvmm, nvmm-eadr, volatile: lane_add flushes the bytes (no fence); lane_append
 * stages words; lane_commit fences, writes CLOCK and words, flushes, fences: all
 * appended records are durable when it returns.  Buffers come back after a checkpoint.
 *
 * fsync: lane_append gathers frames; lane_commit starts the write and sync of what
 * was gathered if no batch is in flight, otherwise lane_synced starts them later.
 * lane_synced raises lane_durable() and drops the buffers.
 *
 * none: lane_append drops the buffers and returns LANE_UNNAMED.
 *
 * When a write finds no room (so nothing was synced after it), all records that are appended
 * but not durable are given up: lane_synced returns -ENOSPC, the caller refuses their requests,
 * their numbers are used again, and the lane takes no record until there is room.
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

/* Why there is no room for the next segment: -ENOSPC, -EDQUOT; 0: there is room, or nobody has
 * tried yet. */
int lane_nospace(const struct lane *l);

/* Name bytes [off, off+len) of buffer idx as the next bytes of the record: takes
 * a hold, joins it to the last frag when adjacent, continues the CRC, flushes the
 * cache lines.  A small piece (LANE_GATHER bytes or less, not adjacent, not the
 * first) is copied into a buffer that is this record's own and counted in
 * pool.gathered_bytes; so a client that sends in tiny pieces holds no buffer per
 * piece.  If no buffer is free to copy into, the piece is named where it is, if that
 * costs no buffer (the record holds this one already) or if buffers are short only
 * because they are lent to the kernel.
 * 0; -ENOBUFS no node or buffer now, nothing was done; -EFBIG. */
int lane_add(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len);
#define LANE_GATHER 256u

/* Give up a record that is not complete. */
void lane_drop(struct lane *l, struct frags *r);

/* The record is complete.  Returns its sequence number, and *r is empty again.  0: no
 * room right now (r unchanged; commit, and try again after lane_synced or lane_reclaim
 * made progress, or later: the next segment may have to be prepared first). */
uint64_t lane_append(struct lane *l, struct frags *r);

/* End of a batch.  now_ms: wall clock.  0 or -errno (the lane has failed). */
int lane_commit(struct lane *l, uint64_t now_ms);

/* fsync only: what was started through the blk_aio, a batch or the change to the next segment,
 * has completed with res. */
int lane_synced(struct lane *l, int res, uint64_t now_ms);

uint64_t lane_durable(const struct lane *l);	/* highest durable sequence */
int  lane_failed(const struct lane *l);		/* 0 or the -errno that ended it */
bool lane_pending(const struct lane *l);	/* something is to become durable, or in flight */

/* Take back what a checkpoint has moved: drops the holds, frees the words.
 * Returns the number of records taken back.  Cheap when there is nothing. */
unsigned lane_reclaim(struct lane *l);

/* Whether the checkpointer (store_background) has something to do for this lane and was not yet
 * woken for it: to make the next segment, since the prepared one is in use now; or, if `pressed`,
 * to move to the segments what was committed since it was last woken.  Called by the worker.
 * True once for each of these: the caller has to wake the checkpointer. */
bool lane_asks(struct lane *l, bool pressed);
/* Whether something waits until the checkpointer has made the next segment. */
bool lane_waits(const struct lane *l);

/* A count that grows with each step that makes room: a batch committed (fsync) or moved to the
 * segments, a step towards the next segment.  For the worker, like the functions below. */
uint64_t lane_moves(const struct lane *l);
/* Whether buffers or words are in use for records that the disk has not taken yet. */
bool lane_owes(const struct lane *l);
/* The -errno with which the last try to make the next segment failed; 0: it succeeded. */
int  lane_prepare_err(const struct lane *l);

/* 0..100: how full the ring of words is; 0 if the class has none. */
unsigned lane_fill_pct(const struct lane *l);

#endif
