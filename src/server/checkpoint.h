/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint.h - the checkpointer: one thread beside the workers that moves
 * committed records from the WAL to the segments (which gives their buffers back),
 * prepares segments and applies retention, in every class but none.
 *
 * It runs each interval, and at once when it is asked (checkpoint_kick): by a worker that
 * runs low or has begun to use the segment that was prepared, or for a reader who waits.
 * Nothing but the promise of checkpoint-interval itself waits for the interval; what failed
 * is tried again each second.  It never makes a worker wait: what it has done shows in the
 * lane (lane_reclaim, lane_commit), and whoever follows the lane is woken (store_follow).
 */
#ifndef SERVER_CHECKPOINT_H
#define SERVER_CHECKPOINT_H

#include <stdint.h>

struct checkpoint;
struct health;
struct store;

int  checkpoint_start(struct checkpoint **c, struct store *store, struct health *health,
		      unsigned interval_ms, uint64_t slice_bytes);
void checkpoint_kick(struct checkpoint *c);	/* any thread; at most one system call */
void checkpoint_stop(struct checkpoint *c);	/* after its current pass; frees */

#endif
