/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds.c - stores to be damaged (kinds.h).  A build function works on a store that is
 * open with the kind's lanes; afterwards it is closed (clean) or killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"
#include "segment/seg_scan.h"

struct storefile store_copy(const struct storefile *s)
{
	return (struct storefile){ pm_sim_killed(s->pm), blk_sim_killed(s->blk) };
}

void store_free(struct storefile *s)
{
	pm_sim_free(s->pm);
	blk_sim_free(s->blk);
	*s = (struct storefile){ NULL, NULL };
}

void store_flip(struct storefile *s, bool pm, const char *path, uint64_t bit)
{
	if (pm ? pm_sim_flip(s->pm, path, bit) : blk_sim_flip(s->blk, path, bit))
		abort();
}

static void must(int err)
{
	if (err) {
		fprintf(stderr, "the store to be damaged: %s\n", store_strerror(err));
		abort();
	}
}

static void put(struct world *x, unsigned lane, uint32_t len)
{
	must(world_record(x, lane, len, false));
}

static void commit(struct world *x, unsigned lane)
{
	must(world_commit(x, lane));
	must(world_synced(x, lane));
}

/* Batches of one, two and three records, the last of several. */
static void some(struct world *x, unsigned lane)
{
	put(x, lane, 60);
	commit(x, lane);
	put(x, lane, 900);
	put(x, lane, 7);
	commit(x, lane);
	put(x, lane, 2500);
	put(x, lane, 41);
	put(x, lane, 128);
	commit(x, lane);
}

static void few(struct world *x)
{
	for (unsigned i = 0; i < x->lanes; i++)
		some(x, i);
}

/* Some in segments, some only in the wal. */
static void half(struct world *x)
{
	few(x);
	must(world_background(x, 1u << 20));
	few(x);
}

static int off_at(void *arg)
{
	return (*(unsigned *)arg)-- == 0;
}

/* Killed in a checkpoint: after the write of its frames (2), and between the copies of
 * the head. */
static void mid(struct world *x, unsigned steps)
{
	half(x);
	x->step = off_at;
	x->step_arg = &steps;
	world_background(x, 1u << 20);
	x->step = NULL;
}

static void mid_sync(struct world *x)
{
	mid(x, 1);
}

static void mid_head(struct world *x)
{
	mid(x, 5);
}

static void many(struct world *x)
{
	for (int i = 0; i < 9; i++) {
		must(world_record(x, 0, 15000, true));
		put(x, 0, 30);
		commit(x, 0);
		must(world_background(x, 1u << 20));
	}
}

static void reopen(struct world *x)
{
	struct pm_sim *pm;
	struct blk_sim *blk;
	struct model *model = x->model;
	enum durability_class cls = x->cls;
	unsigned lanes = x->lanes;

	world_kill(x);
	pm = pm_sim_killed(x->pm);
	blk = blk_sim_killed(x->blk);
	world_fini(x);
	world_init(x, cls, pm, blk, model);
	must(world_open(x, lanes));
}

/* The last batch was torn (its first header is bad): a start has explained it, and went on. */
static void torn(struct world *x)
{
	struct seg_scan_options o = { .blk = blk_sim_ops(x->blk), .dir = WORLD_STORE "/log/000" };
	struct seg_lane l;

	some(x, 0);
	must(seg_scan_lane(&o, &l));
	must(blk_sim_flip(x->blk, WORLD_STORE "/log/000/00000001.seg", l.batch_off * 8 + 70));
	seg_lane_free(&l);
	reopen(x);
	some(x, 0);
}

/* A word of the wal went bad: its record is lost, and a GAP frame says so. */
static void holed(struct world *x)
{
	some(x, 0);
	must(pm_sim_flip(x->pm, WORLD_NVMM "/wal", (WAL_RINGS + 4 * 8) * 8 + 33));
	reopen(x);
	some(x, 0);
	must(world_background(x, 1u << 20));
}

const struct kind kinds[] = {
	{ "fsync-clean", CLASS_FSYNC, 2, true, false, few },
	{ "fsync-crash", CLASS_FSYNC, 1, false, false, few },
	{ "fsync-segments", CLASS_FSYNC, 1, true, false, many },
	{ "fsync-gap", CLASS_FSYNC, 1, true, false, torn },
	{ "fsync-gap-crash", CLASS_FSYNC, 1, false, false, torn },
	{ "nvmm-wal", CLASS_NVMM, 2, false, false, few },
	{ "nvmm-half", CLASS_NVMM, 1, false, false, half },
	{ "nvmm-mid-sync", CLASS_NVMM, 1, false, false, mid_sync },
	{ "nvmm-mid-head", CLASS_NVMM, 1, false, false, mid_head },
	{ "nvmm-segments", CLASS_NVMM, 1, false, false, many },
	{ "nvmm-gap", CLASS_NVMM, 1, false, true, holed },
	{ "nvmm-clean", CLASS_NVMM, 1, true, false, half },
	{ NULL, 0, 0, false, false, NULL }
};

void kind_build(const struct kind *k, struct storefile *s)
{
	struct model model = { 0 };
	struct world x;

	world_init(&x, k->cls, pm_sim_new(), blk_sim_new(), &model);
	must(world_open(&x, k->lanes));
	k->build(&x);
	if (k->clean)
		must(world_close(&x));
	else if (x.w)
		world_kill(&x);
	*s = (struct storefile){ pm_sim_killed(x.pm), blk_sim_killed(x.blk) };
	world_fini(&x);
	model_free(&model);
}
