/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_checkpoint.h - one slice of the checkpoint of a lane (nvmm classes): committed records
 * are copied from the packet buffers into one batch of the segment log (struct seg_batch),
 * the batch is synced, and the lane's head moves.
 *
 *	frames written -> synced -> head A, B durable -> settled_pos (the worker may
 *	reuse words and buffers)
 *
 * It runs in the checkpointer's thread and shares with the worker only committed_pos
 * (read) and the fields of struct lane that the checkpointer writes.  A failed write or sync
 * is final for the lane: no further record of it is settled, and lane_failed() tells the
 * worker.
 */
#ifndef LANE_LANE_CHECKPOINT_H
#define LANE_LANE_CHECKPOINT_H

#include "lane/lane.h"

struct lane_checkpoint;			/* scratch memory, one per checkpointing thread */
int  lane_checkpoint_new(struct lane_checkpoint **st);	/* 0, -ENOMEM */
void lane_checkpoint_free(struct lane_checkpoint *st);

/* Moves at most about slice_bytes, but at least one record.  0: nothing is left of what
 * was committed at the call; 1: call again now; -EAGAIN: the next segment is not
 * prepared yet (seglog_prepare, then again); -ENOSPC: the disk has no room (the lane
 * pushes back until it has); any other -errno: final for the lane. */
int  lane_checkpoint_slice(struct lane *l, struct lane_checkpoint *st, uint64_t slice_bytes);

#endif
