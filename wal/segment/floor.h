/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * floor.h - a floor keeps records of a lane from retention: a follower that has not taken
 * everything yet holds a floor, a number, and no segment that has this number or a higher one
 * is removed.  The lowest of a lane's floors counts; without any, retention does what its
 * limits say.
 *
 * A floor wins over retain-bytes and retain-age: the log grows until the holder moves the floor
 * up or drops it.  The lane's figures show that (store_lane_stats: floor_seq, held_segments).
 * Floors are in memory only: none outlives the process.
 *
 * A floor is memory of the caller, all zero before it is held first.  One thread at a time, any
 * thread, uses it; it is dropped before the store is closed.
 */
#ifndef SEGMENT_FLOOR_H
#define SEGMENT_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct floor {
	bool	 held;
	unsigned lane;		/* set by the store, where it is asked to hold the floor */
	uint64_t seq;		/* the lowest number that stays; the lane's lock guards it */
	LIST_ENTRY(floor) entry;
};
LIST_HEAD(floor_list, floor);

#define FLOOR_NONE UINT64_MAX	/* above every number: nothing is held */

#endif
