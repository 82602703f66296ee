/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_priv.h - what an open store is made of; for store.c, store_read.c and store_watch.c only.
 *
 * All of it is set in store_open and not changed until store_close, so any thread may read it;
 * except for what the checkpointer owns, and the atomics here and inside lanes and logs.
 */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include "files/storefile.h"
#include "lane/lane_checkpoint.h"
#include "lane/lane_priv.h"
#include "recovery/recover.h"
#include "store/store.h"
#include "util/clock.h"

struct store {
	enum durability_class cls;
	const struct pm_ops  *pm;
	const struct blk_ops *blk;
	uint64_t (*now_ms)(void);
	struct clock_watch clock;		/* the checkpointer's: is the clock trusted? */
	_Atomic int clock_trust;		/* enum clock_trust of the last pass */
	uint64_t segment_bytes, retain_bytes, retain_ms;
	struct storefile file;
	bool		 file_open;
	struct walfile	*wal;			/* nvmm classes */
	struct pm_hold	*hold;			/* the lock on the wal */
	struct pm_map	 memory;		/* other classes: the memory of the pool */
	uint8_t		*base;			/* address of the pool */
	size_t		 base_len;
	unsigned	 nlanes;		/* lanes with a worker */
	unsigned	 known;			/* the highest lane with a log, + 1 */
	struct lane	*lane;			/* [nlanes] */
	struct pool	*pool;			/* [nlanes] */
	struct seglog	*log[LANES_MAX];	/* NULL: no such lane */
	unsigned	 logs;			/* how many are not NULL */
	struct lane_checkpoint	*settle;		/* the checkpointer's scratch */
	struct report report;
};

#endif
