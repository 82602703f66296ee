/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore.h - every crash point of a workload, and at each the states that a power cut
 * there may leave: all of them where they are few, else the extremes and samples from
 * the seed.  Each state is looked at (pasted-recover's dump) and judged against the model,
 * and started, which must give the same records; some are then used and judged again, some
 * are cut again inside their recovery.
 */
#ifndef CRASH_EXPLORE_H
#define CRASH_EXPLORE_H

#include <stdio.h>

#include "world.h"

enum op {
	OPEN,		/* with `arg` lanes */
	CLOSE,		/* clean */
	KILL,		/* the process dies; the machine does not */
	CUT,		/* the power fails; one state is drawn and the workload goes on with it
			 * (class volatile: as KILL) */
	REC,		/* a record of `arg` bytes in `lane`, behind the last one in its buffer */
	FRESH,		/* the same in a buffer of its own */
	COMMIT,		/* of `lane` */
	SYNCED,		/* fsync: what is in flight in `lane` completes */
	FAIL_WRITE,	/* the next write fails, half done */
	FAIL_SYNC,	/* the next sync fails */
	FAIL_ROOM,	/* the next write finds no room, half done; the workload goes on */
	BACK,		/* the checkpointer, in slices of `arg` bytes, and retention */
	CHUNKS,		/* a record of `arg` bytes that came in chunks */
	FULL_WORDS,	/* records of `arg` bytes until no more is taken, behind each other */
	FULL_BUFS,	/* the same, each in a buffer of its own */
	CLASS,		/* enum durability_class `arg` from the next open on */
	RETAIN,		/* `arg` segments in all lanes together from the next open on */
	END
};
struct step {
	enum op op;
	unsigned lane;
	uint32_t arg;
};
struct workload {
	const char *name;
	enum durability_class cls;
	const struct step *steps;
	unsigned repeat;	/* how often the steps are done */
	uint64_t retain_bytes, retain_ms;
	uint64_t keep_bytes;	/* what retention by size leaves in each lane, at least */
	unsigned drawn;		/* steps is NULL: so many, drawn from the seed */
};

struct explore {
	uint64_t seed;
	uint64_t limit;		/* states at a point, up to which all are tried */
	unsigned samples;	/* else so many extremes and so many drawn ones */
	unsigned use;		/* one state in so many is written to after its recovery */
	unsigned again;		/* one state in so many is cut again inside its recovery */
	unsigned depth;		/* and so deep */
	/* counted */
	uint64_t points, states, all_points, recoveries, again_states;
	/* private */
	const struct workload *load;
	enum durability_class cls;
	struct world *live;
	struct model *model;
	struct sim_rng rng;
	uint64_t point;		/* in this workload */
	uint64_t only_point;	/* replay: UINT64_MAX, all */
	unsigned lanes;
	uint64_t retain_bytes;
	bool	 failed;
	bool	 no_room;	/* a write found none: the workload's operations may say so */
	char	 why[512];
};
/* false: a state was not allowed; e->why says what, load and point where. */
bool explore_run(struct explore *e, const struct workload *w);

#endif
