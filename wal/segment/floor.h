/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * floor.h - what is to stay in a lane though retention would let it go: a follower that has
 * not taken everything yet holds a floor, a number, and no segment that has it or a higher one
 * is removed.  The lowest of a lane's floors counts; without any, retention does what its
 * limits say.
 *
 * A floor wins over retain-bytes and retain-age: the log grows until whoever holds it moves it
 * up or drops it, which the figures of the lane tell (store_lane_stats: floor_seq,
 * held_segments).  Floors are in memory only: none outlives the process.
 *
 * A floor is memory of the caller, all zero before it is held first; it is used by one thread
 * at a time, any, and dropped before the store is closed.
 */
#ifndef SEGMENT_FLOOR_H
#define SEGMENT_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct floor {
	bool	 held;
	unsigned lane;		/* of the store, where that is asked to hold it */
	uint64_t seq;		/* the lowest number that is to stay.  Under the lane's lock */
	LIST_ENTRY(floor) entry;
};
LIST_HEAD(floor_list, floor);

#define FLOOR_NONE UINT64_MAX	/* above every number: nothing is held */

#endif
