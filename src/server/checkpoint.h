/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint.h - the checkpointer: one thread beside the workers that moves
 * committed records from the WAL to the segments (which gives their buffers back),
 * prepares segments and applies retention, in every class but none.
 *
 * It runs each interval, and at once when it is asked to (checkpoint_kick): by a worker that
 * runs low on buffers or has begun to use the prepared segment, or for a read-back that waits.
 * A pass that failed is repeated each second.  The checkpointer never makes a worker wait:
 * what it has done shows in the lane (lane_reclaim, lane_commit), and the followers of the
 * lane are woken (store_follow).
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
