/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - a store over the two simulators, driven as a worker and a checkpointer
 * would, with the model beside it.
 *
 * The geometry is as small as the formats allow (64 words and 16 buffers per lane,
 * segments of 64 KiB), so that laps, full rings and rotations come soon.
 */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include "../sim/blk_sim.h"
#include "../sim/pm_sim.h"
#include "model.h"
#include "store/store.h"
#include "tool/rec_tool.h"

#define WORLD_STORE	"/store"
#define WORLD_NVMM	"/nvmm"
#define WORLD_BUF	2048u
#define WORLD_BUFS	16u	/* per lane */
#define WORLD_SEGMENT	(64u << 10)
#define WORLD_RECORD	(WORLD_BUFS * WORLD_BUF / 2)

/* A commit that is under way: nothing of it is done before it completes, the way a
 * ring that is slow does it. */
struct late_aio {
	struct blk_aio aio;
	const struct blk_ops *blk;
	struct blk_file *file;
	struct iovec *iov;
	unsigned n;
	uint64_t off;
	bool	 busy;
};

struct world {
	enum durability_class cls;		/* of the next open; may be changed between */
	const char *nvmm;
	bool	 adopt;
	uint64_t boot;			/* which one of the machine; 0: not known */
	unsigned lanes;
	uint64_t retain_bytes, retain_ms;	/* 0: for ever */
	struct pm_sim *pm;
	struct blk_sim *blk;
	struct store *w;			/* NULL: not open */
	struct model *model;
	struct late_aio aio[MODEL_LANES];
	uint32_t buf[MODEL_LANES], off[MODEL_LANES];	/* what the client's stream fills */
	uint64_t stream;		/* state of the bytes' generator */
	uint64_t clock;
	char	 why[512];		/* of a failed open */
	/* In front of every operation that changes something durable.  Non-zero: the power
	 * is off, nothing changes any more. */
	int	(*step)(void *arg);
	void	*step_arg;
	bool	 dead;
	bool	 faulty;	/* a fault was injected: errors are expected */
};

/* Takes the simulators; model may be NULL for a look at a crash's remains. */
void world_init(struct world *x, enum durability_class cls, struct pm_sim *pm, struct blk_sim *blk,
		struct model *model);
void world_fini(struct world *x);
/* The wall clock of all worlds: it goes on by a millisecond each time that somebody looks. */
uint64_t world_clock(void);
void world_clock_set(uint64_t ms);
/* What the options say (for looking without opening). */
void world_tool(const struct world *x, struct rec_tool *t);

int  world_open(struct world *x, unsigned lanes);	/* 0 or what store_open said */
int  world_close(struct world *x);			/* clean; 0 or what store_close said */
void world_kill(struct world *x);			/* the process dies: nothing is written */
void world_die(struct world *x);			/* likewise, and it is a new one's, on what was left */

/* Each returns 0, or -errno where that ends the workload.  fresh: the record starts in
 * a buffer of its own. */
int  world_record(struct world *x, unsigned lane, uint32_t len, bool fresh);
/* A body in chunks: pieces of some sizes with other bytes between them. */
int  world_chunks(struct world *x, unsigned lane, uint32_t len);
/* Records until the lane takes no more: no buffer or no words are left. */
void world_full(struct world *x, unsigned lane, uint32_t len, bool fresh);
int  world_commit(struct world *x, unsigned lane);
int  world_synced(struct world *x, unsigned lane);	/* fsync: one completion, if any */
int  world_put(struct world *x, unsigned lane, uint32_t len);	/* a record, committed and synced */
int  world_background(struct world *x, uint64_t slice_bytes);	/* until nothing is left */
void world_read(struct world *x, struct got *g);	/* everything, by read-back */

#endif
