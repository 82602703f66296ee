/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_store.c - a store as a whole over the simulators: what opening refuses and why,
 * changes of class, place and number of lanes, a wal that is lost, damage, and what
 * pasted-recover says of each.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../crash/world.h"
#include "files/storefile.h"
#include "segment/seg_scan.h"
#include "segment/segment.h"
#include "store/store_priv.h"
#include "tool/report.h"
#include "util/crc32c.h"

struct fixture {
	struct world x;
	struct model model;
	struct got got;
	struct report rep;
	struct rec_tool tool;
	const char *nvmm;		/* what the tool is told; NULL: what the store file says */
	struct blk_sim *first;
	unsigned asked, had;
	unsigned gaps;			/* told by the last dump */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	world_init(&f->x, CLASS_FSYNC, pm_sim_new(), blk_sim_new(), &f->model);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	report_fini(&f->rep);
	world_fini(&f->x);
	model_free(&f->model);
	got_free(&f->got);
	free(f);
	return 0;
}

static void put(struct fixture *f, unsigned lane, uint32_t len)
{
	assert_int_equal(world_put(&f->x, lane, len), 0);
}

static void die(struct fixture *f)
{
	world_die(&f->x);
}

static int add_gap(void *arg, const struct rec_finding *g)
{
	struct fixture *f = arg;

	assert_true(!f->got.n || g->lane > f->got.v[f->got.n - 1].lane ||
		    g->from_seq > f->got.v[f->got.n - 1].seq);
	f->gaps++;
	return 0;
}

static int add(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
	       uint32_t len)
{
	struct fixture *f = arg;

	got_add(&f->got, lane, seq, time_ms, data, len);
	return 0;
}

static int verdict_of(struct fixture *f)
{
	report_fini(&f->rep);
	world_tool(&f->x, &f->tool);
	f->tool.nvmm_path = f->nvmm;
	store_check(&f->tool, &f->rep);
	return report_verdict(&f->rep);
}

static void all_there(struct fixture *f)
{
	char why[256] = "";

	report_fini(&f->rep);
	got_clear(&f->got);
	world_tool(&f->x, &f->tool);
	f->tool.nvmm_path = f->nvmm;
	f->gaps = 0;
	assert_int_equal(store_dump(&f->tool, &f->rep, &(struct rec_dump){ f, add, add_gap }), 0);
	if (model_judge(&f->model, &f->got, why, sizeof(why)))
		fail_msg("%s", why);
}

/* ---- opening ---- */

static int open_with(struct fixture *f, struct store_options *o, char *why, size_t n)
{
	struct store *w;
	int err;

	o->pm = pm_sim_ops(f->x.pm);
	o->blk = blk_sim_ops(f->x.blk);
	err = store_open(&w, o, why, n);
	if (!err)
		store_close(w);
	return err;
}

static const struct store_options fine = {
	.store_dir = WORLD_STORE, .nvmm_path = WORLD_NVMM, .class = CLASS_NVMM, .lanes = 2,
	.pool_bytes = 2 * 64 * 2048, .buf_size = 2048, .segment_bytes = 128 << 10,
	.record_bytes_max = 32768,
};

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	char why[256];
	struct store_options o;

#define REFUSED(change, err, words) do { \
		o = fine; \
		change; \
		assert_int_equal(open_with(f, &o, why, sizeof(why)), err); \
		assert_non_null(strstr(why, words)); \
	} while (0)
	REFUSED(o.lanes = 0, -EINVAL, "1 to 256");
	REFUSED(o.lanes = 257, -EINVAL, "1 to 256");
	REFUSED(o.buf_size = 1024, -EINVAL, "2048 or 4096");
	REFUSED(o.pool_bytes = 4096, -EINVAL, "too small");
	REFUSED(o.segment_bytes = 4096, -EINVAL, "multiples of 4096");
	REFUSED(o.retain_bytes = 4 * o.lanes * o.segment_bytes - 1, -EINVAL, "keep at least");
	REFUSED((o.segment_bytes = 64 << 10, o.record_bytes_max = 65536, o.pool_bytes *= 2), -EINVAL,
		"make the segments larger");
	REFUSED(o.nvmm_path = NULL, -EINVAL, "--nvmm");
#undef REFUSED
	o = fine;
	assert_int_equal(open_with(f, &o, why, sizeof(why)), 0);
}

static void test_weak_places(void **state)
{
	struct store_options o = fine;
	char why[256], dir[] = "/dev/shm/pasted-test-XXXXXX";
	struct store *w;

	(void)state;
	if (!mkdtemp(dir))
		return;		/* no tmpfs here: nothing to refuse */
	o.store_dir = dir;
	o.nvmm_path = dir;
	o.class = CLASS_FSYNC;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_EWEAK);
	assert_non_null(strstr(why, "volatile"));
	o.class = CLASS_NVMM;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_EWEAK);
	assert_int_equal(rmdir(dir), 0);	/* nothing was made */
}

static void test_none_stores_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_options o = fine;
	struct frags r = FRAGS_INIT;
	uint64_t n;
	struct store *w;

	o.class = CLASS_NONE;
	o.nvmm_path = NULL;
	o.pm = pm_sim_ops(f->x.pm);
	o.blk = blk_sim_ops(f->x.blk);
	assert_int_equal(store_open(&w, &o, NULL, 0), 0);
	assert_int_equal(lane_add(store_lane(w, 0), &r, 0, 0, 100), 0);
	assert_true(lane_append(store_lane(w, 0), &r) == LANE_UNNAMED);
	assert_int_equal(lane_commit(store_lane(w, 0), 1), 0);
	assert_int_equal(store_background(w, 1 << 20), 0);
	assert_int_equal(store_close(w), 0);
	assert_int_equal(blk_sim_count(f->x.blk), 0);
	assert_null(blk_sim_bytes(f->x.blk, WORLD_STORE "/store", &n));
}

static void test_busy(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_EBUSY);
	assert_non_null(strstr(f->rep.why, "in use"));
}

/* Files that vanish while the store is open: told, and no lane acknowledges any more. */
static void test_vanished(void **state)
{
	static const struct { const char *name; bool gone; } rows[] = {
		{ WORLD_STORE "/store", true }, { WORLD_STORE "/log/000/00000001.seg", true },
		{ WORLD_STORE "/log/000/00000002.seg", false },		/* prepared: made again */
	};
	struct fixture *f = *state;
	struct store_watch x;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct blk_ops *blk = blk_sim_ops(f->x.blk);

		assert_int_equal(world_open(&f->x, 2), 0);
		put(f, 0, 100);
		while (store_background(f->x.w, 1 << 20) > 0)
			;
		store_watch(f->x.w, &x);
		assert_false(x.moved || x.missing || x.gone);
		assert_int_equal(blk->unlink(blk->ctx, NULL, rows[i].name), 0);
		store_watch(f->x.w, &x);
		assert_int_equal(x.gone, rows[i].gone);
		assert_int_equal(!!x.what[0], rows[i].gone);
		assert_int_equal(lane_failed(store_lane(f->x.w, 0)), rows[i].gone ? STORE_EGONE : 0);
		/* one lane's file is no matter of the other's */
		assert_int_equal(lane_failed(store_lane(f->x.w, 1)), i == 0 ? STORE_EGONE : 0);
		world_kill(&f->x);
		world_fini(&f->x);
		model_free(&f->model);
		f->model = (struct model){ 0 };
		world_init(&f->x, CLASS_FSYNC, pm_sim_new(), blk_sim_new(), &f->model);
	}
}

static void test_vanished_wal(void **state)
{
	struct fixture *f = *state;
	struct store_watch x;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	store_watch(f->x.w, &x);
	assert_false(x.gone || x.moved || x.wal_moved);
	pm_sim_forget(f->x.pm, WORLD_NVMM "/wal", true);
	store_watch(f->x.w, &x);
	assert_true(x.gone);
	assert_int_equal(lane_failed(store_lane(f->x.w, 0)), STORE_EGONE);
	pm_sim_forget(f->x.pm, WORLD_NVMM "/wal", false);
}

/* A second name of what the next start would write to is told, and of nothing else. */
static void test_linked(void **state)
{
	static const struct { const char *name, *what; } rows[] = {
		{ WORLD_STORE "/store", "the file `store`" },
		{ WORLD_STORE "/log/000/00000001.seg", "" },		/* sealed */
		{ WORLD_STORE "/log/000/00000002.seg", "log/000/00000002.seg" },
		{ WORLD_STORE "/log/000/00000003.seg", "" },		/* prepared */
		{ WORLD_STORE "/log/001/00000001.seg", "" },		/* without a record */
	};
	struct fixture *f = *state;
	struct store_watch x;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 2), 0);
	for (int i = 0; i < 60; i++) {
		put(f, 0, 1300);
		assert_int_equal(world_background(&f->x, 1 << 20), 0);
	}
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(blk_sim_link(f->x.blk, rows[i].name, true), 0);
		store_watch(f->x.w, &x);
		assert_string_equal(x.linked, rows[i].what);
		assert_false(x.moved || x.missing || x.gone);
		blk_sim_link(f->x.blk, rows[i].name, false);
		store_watch(f->x.w, &x);
		assert_string_equal(x.linked, "");
	}
	pm_sim_link(f->x.pm, true);
	store_watch(f->x.w, &x);
	assert_string_equal(x.linked, "the write-ahead log or its buffers");
	assert_int_equal(lane_failed(store_lane(f->x.w, 0)), 0);
}

static void test_nothing_there(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_ENODIR);
	report_fini(&f->rep);
	assert_int_equal(store_repair(&f->tool, &f->rep), STORE_ENODIR);
	assert_int_equal(blk_sim_count(f->x.blk), 0);
}

/* ---- verdicts over a life ---- */

static void life(struct fixture *f, enum durability_class cls)
{
	struct blk_sim *before;
	char where[256];

	f->x.cls = cls;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	put(f, 1, 5000);
	put(f, 0, 7);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(verdict_of(f), 0);
	all_there(f);
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 300);
	die(f);
	before = blk_sim_killed(f->x.blk);
	assert_int_equal(verdict_of(f), 1);
	all_there(f);
	assert_true(blk_sim_same(before, f->x.blk, where, sizeof(where)));	/* looked only */
	blk_sim_free(before);
	assert_int_equal(f->got.n, 4);
	report_fini(&f->rep);
	assert_int_equal(store_repair(&f->tool, &f->rep), 0);
	assert_int_equal(verdict_of(f), 0);
	all_there(f);
	assert_int_equal(f->got.n, 4);
}

static void test_life_fsync(void **state)
{
	life(*state, CLASS_FSYNC);
}

static void test_life_nvmm(void **state)
{
	life(*state, CLASS_NVMM);
}

/* A start in class fsync takes what the wal still has, whatever was asked for. */
static void test_class_changes(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	put(f, 1, 200);
	die(f);
	f->x.cls = CLASS_FSYNC;
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
	put(f, 0, 50);
	die(f);
	assert_int_equal(verdict_of(f), 1);
	assert_string_equal(f->rep.nvmm_path, "");	/* detached */
	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 3), 0);
	put(f, 2, 60);
	put(f, 0, 70);
	assert_int_equal(world_close(&f->x), 0);
	all_there(f);
	assert_int_equal(f->got.n, 5);
}

/* The wal is at another place than noted; an old one at the noted place is not taken. */
static void test_wal_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t n, m;
	uint8_t *wal, *bufs;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	wal = pm_sim_bytes(f->x.pm, WORLD_NVMM "/wal", &n);
	bufs = pm_sim_bytes(f->x.pm, WORLD_NVMM "/pktbufs", &m);
	assert_int_equal(pm_sim_put(f->x.pm, "/other/wal", wal, n), 0);
	assert_int_equal(pm_sim_put(f->x.pm, "/other/pktbufs", bufs, m), 0);
	pm_sim_remove(f->x.pm, WORLD_NVMM "/wal");
	pm_sim_remove(f->x.pm, WORLD_NVMM "/pktbufs");
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_EWALMISSING);
	assert_non_null(strstr(f->rep.why, WORLD_NVMM));
	assert_int_equal(world_open(&f->x, 1), STORE_EWALMISSING);
	f->x.nvmm = "/other";
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 1);
	put(f, 0, 200);
	die(f);
	/* back to the first place: the one at /other is replayed, then left behind */
	f->x.nvmm = WORLD_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
	put(f, 0, 300);
	die(f);
	pm_sim_remove(f->x.pm, WORLD_NVMM "/wal");
	f->x.nvmm = "/other";		/* has the store's uuid, but is an old one */
	assert_int_equal(world_open(&f->x, 1), STORE_EWALMISSING);
}

/* ---- the file `store`, lost ---- */

#define STORE_FILE WORLD_STORE "/store"

/* Everything that can happen to both copies at once; false: that was the last. */
static bool lose(struct fixture *f, unsigned how)
{
	static const uint64_t cut[] = { 0, 1, 100, 511 };
	uint8_t junk[8192] = { 0 };
	const struct blk_ops *blk = blk_sim_ops(f->x.blk);
	uint64_t n;
	const uint8_t *was = blk_sim_bytes(f->x.blk, STORE_FILE, &n);

	memcpy(junk, was, n < sizeof(junk) ? n : sizeof(junk));
	if (how < 4) {
		blk_sim_truncate(f->x.blk, STORE_FILE, cut[how]);
	} else if (how == 4) {
		assert_int_equal(blk->unlink(blk->ctx, NULL, STORE_FILE), 0);
	} else if (how < 8) {			/* whole blocks */
		struct sim_rng rng;

		sim_rng_init(&rng, how);
		memset(junk, how == 5 ? 0 : 0xff, sizeof(junk));
		for (unsigned i = 0; how == 7 && i < sizeof(junk); i++)
			junk[i] = (uint8_t)sim_rng_next(&rng);
		blk_sim_put(f->x.blk, STORE_FILE, junk, sizeof(junk));
	} else if (how < 24) {			/* a pair of bits, one in each copy */
		blk_sim_flip(f->x.blk, STORE_FILE, (how - 8) * 256 + how);
		blk_sim_flip(f->x.blk, STORE_FILE, 8 * 4096 + (23 - how) * 256 + how);
	} else if (how == 24) {			/* another store's */
		for (unsigned i = 0; i < 2; i++) {
			struct storefile_block *b = (struct storefile_block *)(junk + i * 4096);

			memset(b->uuid, 0x5a, sizeof(b->uuid));
			b->flags = 0;
			b->nvmm_path[0] = 0;
			storefile_block_encode(b);
		}
		blk_sim_put(f->x.blk, STORE_FILE, junk, sizeof(junk));
	}
	return how < 24;
}

static int repaired(struct fixture *f, const char *nvmm, bool give_up)
{
	report_fini(&f->rep);
	world_tool(&f->x, &f->tool);
	f->tool.nvmm_path = nvmm;
	f->tool.give_up = give_up;
	return store_repair(&f->tool, &f->rep);
}

static void store_lost(struct fixture *f, enum durability_class cls)
{
	bool more = true;

	for (unsigned how = 0; more; how++) {
		world_fini(&f->x);
		model_free(&f->model);
		f->model = (struct model){ 0 };
		world_init(&f->x, cls, pm_sim_new(), blk_sim_new(), &f->model);
		assert_int_equal(world_open(&f->x, 2), 0);
		for (unsigned i = 0; i < 60; i++)
			put(f, i % 2, 8000);
		if (class_has_wal(cls)) {		/* some in segments, some in the wal */
			world_background(&f->x, 64 << 10);
			put(f, 0, 5000);
			put(f, 1, 5000);
		}
		if (how % 2)
			die(f);
		else
			assert_int_equal(world_close(&f->x), 0);
		more = lose(f, how);
		assert_int_equal(world_open(&f->x, 2), how == 24 ? STORE_EMISMATCH : STORE_EFORMAT);
		assert_non_null(strstr(f->x.why, "repair"));
		if (class_has_wal(cls)) {		/* there must be a wal: where is it? */
			assert_int_equal(repaired(f, NULL, false), STORE_EWALMISSING);
			assert_non_null(strstr(f->rep.why, "--nvmm"));
		}
		f->nvmm = WORLD_NVMM;
		assert_int_equal(verdict_of(f), 2);
		all_there(f);			/* dump finds them too */
		assert_int_equal(repaired(f, class_has_wal(cls) ? WORLD_NVMM : NULL, false), 0);
		assert_int_equal(report_verdict(&f->rep), 2);
		assert_int_equal(verdict_of(f), 0);
		all_there(f);
		assert_int_equal(world_open(&f->x, 2), 0);
		put(f, 0, 100);
		assert_int_equal(world_close(&f->x), 0);
		all_there(f);
	}
}

static void test_store_lost_fsync(void **state)
{
	store_lost(*state, CLASS_FSYNC);
}

static void test_store_lost_nvmm(void **state)
{
	store_lost(*state, CLASS_NVMM);
}

static void test_store_lost_volatile(void **state)
{
	store_lost(*state, CLASS_VOLATILE);
}

/* The file of another store has a table, too: it says nothing of these lanes. */
static void test_store_of_another_has_a_table(void **state)
{
	struct fixture *f = *state;
	uint8_t *file = calloc(1, STOREFILE_LANES_B + sizeof(struct storefile_lane) * LANES_MAX);
	uint64_t n, last;

	assert_non_null(file);
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	put(f, 1, 100);
	world_background(&f->x, 1u << 20);
	assert_int_equal(world_close(&f->x), 0);
	memcpy(file, blk_sim_bytes(f->x.blk, STORE_FILE, &n), 8192);
	for (unsigned i = 0; i < 2; i++) {
		struct storefile_block *b = (struct storefile_block *)(file + i * 4096);

		memset(b->uuid, 0x5a, sizeof(b->uuid));
		b->flags = STOREFILE_LANES;
		storefile_block_encode(b);
		for (unsigned lane = 0; lane < 4; lane++) {
			struct storefile_lane *e = (struct storefile_lane *)(file + (i ? STOREFILE_LANES_B : STOREFILE_LANES_A)) + lane;

			*e = (struct storefile_lane){ .magic = LANE_MAGIC, .lane = lane, .gen = 7, .low_segno = 1,
				.low_seq = 1, .high_segno = 9, .next_seq = 5000, .next_batch = 40 };
			e->crc = crc32c(e, offsetof(struct storefile_lane, crc));
		}
	}
	blk_sim_put(f->x.blk, STORE_FILE, file, STOREFILE_LANES_B + sizeof(struct storefile_lane) * LANES_MAX);
	free(file);
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.findings, 1);	/* the file, and no lane */
	assert_int_equal(repaired(f, NULL, false), 0);
	assert_int_equal(verdict_of(f), 0);
	all_there(f);
	assert_int_equal(f->gaps, 0);
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	last = lane_durable(store_lane(f->x.w, 0));
	assert_int_equal(last, 2);
	assert_int_equal(world_close(&f->x), 0);
	all_there(f);
}

/* Somebody else's segment in a store that never had a record: is it the file that is wrong, or
 * the segment?  repair asks. */
static void test_segment_of_another_in_a_new_store(void **state)
{
	struct fixture *f = *state, g = { 0 };
	uint8_t *seg = malloc(WORLD_SEGMENT);
	struct blk_sim *was;
	const uint8_t *p;
	uint8_t uuid[16];
	char where[64];
	uint64_t n;

	assert_non_null(seg);
	world_init(&g.x, CLASS_FSYNC, pm_sim_new(), blk_sim_new(), &g.model);
	assert_int_equal(world_open(&g.x, 1), 0);
	put(&g, 0, 100);
	assert_int_equal(world_close(&g.x), 0);
	p = blk_sim_bytes(g.x.blk, WORLD_STORE "/log/000/00000001.seg", &n);
	assert_int_equal(n, WORLD_SEGMENT);
	memcpy(seg, p, n);
	memcpy(uuid, seg + offsetof(struct seg_header, store_uuid), sizeof(uuid));
	world_fini(&g.x);

	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(verdict_of(f), 0);
	blk_sim_put(f->x.blk, WORLD_STORE "/log/000/00000001.seg", seg, n);
	free(seg);
	was = blk_sim_killed(f->x.blk);
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(repaired(f, NULL, false), STORE_EMISMATCH);
	assert_non_null(strstr(f->rep.why, "--adopt"));
	assert_true(blk_sim_same(was, f->x.blk, where, sizeof(where)));
	blk_sim_free(was);
	report_fini(&f->rep);
	world_tool(&f->x, &f->tool);
	f->tool.adopt = true;
	assert_int_equal(store_repair(&f->tool, &f->rep), 0);
	f->model = g.model;
	all_there(f);
	assert_memory_equal(blk_sim_bytes(f->x.blk, STORE_FILE, &n) + offsetof(struct storefile_block, uuid), uuid,
			    sizeof(uuid));
}

/* A program that knows nothing of the table has left one with a lane that is gone since: nobody
 * is told of that, whenever the power is cut while the table becomes true again. */
static int table_is_not_believed(void *arg, enum sim_op op)
{
	struct fixture *f = arg;
	unsigned n = blk_sim_choices(f->x.blk, NULL);

	(void)op;
	for (unsigned which = 0; which < 2 + 2 * n && which < 40; which++) {
		struct fixture g = { 0 };
		struct sim_edge e;

		sim_edge_init(&e, which);
		g.x = f->x;
		g.x.blk = blk_sim_cut(f->x.blk, &e.p);
		assert_in_range(verdict_of(&g), 0, 1);
		report_fini(&g.rep);
		blk_sim_free(g.x.blk);
	}
	return 0;
}

static void test_table_of_an_older_time(void **state)
{
	static const struct storefile_lane stale = { .lane = 7, .low_segno = 1, .low_seq = 1, .high_segno = 9,
		.next_seq = 5000, .next_batch = 40 };
	struct fixture *f = *state;
	struct storefile s;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(storefile_open(&s, blk_sim_ops(f->x.blk), WORLD_STORE, false, NULL, 0), 0);
	assert_int_equal(storefile_lane_write(&s, &stale), 0);
	s.lanes_on = false;
	assert_int_equal(storefile_update(&s, 0, CLASS_FSYNC, "", s.b.segment_bytes), 0);
	storefile_close(&s);
	assert_int_equal(verdict_of(f), 0);
	blk_sim_step(f->x.blk, table_is_not_believed, f);
	assert_int_equal(world_open(&f->x, 1), 0);
	blk_sim_step(f->x.blk, NULL, NULL);
	put(f, 0, 100);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(verdict_of(f), 0);
	all_there(f);
}

/* The class changed and no segment was begun since: its header says so all the same. */
static void test_store_lost_after_a_change(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	assert_int_equal(world_close(&f->x), 0);
	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	lose(f, 5);
	assert_int_equal(repaired(f, NULL, false), STORE_EWALMISSING);
	assert_int_equal(repaired(f, NULL, true), 0);		/* given up: its numbers are skipped */
	assert_int_equal(f->rep.row->action, REC_LOST);
	assert_int_equal(verdict_of(f), 0);
}

/* The file is damaged, and whoever has the store open still holds its lock. */
static void test_store_lost_and_busy(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	lose(f, 5);
	assert_int_equal(repaired(f, NULL, false), STORE_EBUSY);
	assert_non_null(strstr(f->rep.why, "in use by another process; stop it first"));
	assert_int_equal(world_close(&f->x), 0);	/* which writes it as it knows it */
	assert_int_equal(verdict_of(f), 0);
	all_there(f);
}

/* Nothing says what it was; or a newer program wrote it. */
static void test_store_lost_for_good(void **state)
{
	struct fixture *f = *state;
	struct seg_header h;
	uint8_t *file;
	uint64_t n;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	lose(f, 7);
	file = malloc(WORLD_SEGMENT);
	assert_non_null(file);
	memcpy(file, blk_sim_bytes(f->x.blk, WORLD_STORE "/log/000/00000001.seg", &n), WORLD_SEGMENT);
	memcpy(&h, file, sizeof(h));
	h.version++;
	h.crc = crc32c(&h, offsetof(struct seg_header, crc));
	memcpy(file + SEG_HDR_B, &h, sizeof(h));
	blk_sim_put(f->x.blk, WORLD_STORE "/log/000/00000001.seg", file, WORLD_SEGMENT);
	memset(file, 0xee, SEG_DATA);
	assert_int_equal(repaired(f, NULL, true), STORE_EVERSION);
	blk_sim_put(f->x.blk, WORLD_STORE "/log/000/00000001.seg", file, WORLD_SEGMENT);
	assert_int_equal(repaired(f, NULL, true), STORE_EFORMAT);
	free(file);
}

static void test_wal_of_another_store(void **state)
{
	struct fixture *f = *state;
	struct store_options o = fine;
	char why[256], junk[16384];

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	o.store_dir = "/second";
	assert_int_equal(open_with(f, &o, why, sizeof(why)), STORE_EMISMATCH);
	assert_non_null(strstr(why, "another store"));
	memset(junk, 'x', sizeof(junk));
	pm_sim_put(f->x.pm, "/junk/wal", junk, sizeof(junk));
	o.nvmm_path = "/junk";
	assert_int_equal(open_with(f, &o, why, sizeof(why)), STORE_EFORMAT);
	assert_int_equal(world_open(&f->x, 1), 0);	/* and the first has lost nothing */
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 1);
}

/* ---- losses ---- */

static void lose_wal(struct fixture *f)
{
	die(f);
	pm_sim_remove(f->x.pm, WORLD_NVMM "/wal");
	pm_sim_remove(f->x.pm, WORLD_NVMM "/pktbufs");
}

/* ---- whose the wal is ---- */

/* Another copy of the store: everything but what says which one it is. */
static struct blk_sim *copy_of(struct blk_sim *s)
{
	struct blk_sim *t = blk_sim_killed(s);
	const struct blk_ops *blk = blk_sim_ops(t);
	uint64_t n;
	const uint8_t *p = blk_sim_bytes(t, STORE_FILE, &n);
	uint8_t *file = malloc(n);

	assert_non_null(file);
	memcpy(file, p, n);
	blk_sim_put(t, WORLD_STORE "/wal", "x", 1);	/* takes a number, so that the next is new */
	assert_int_equal(blk->unlink(blk->ctx, NULL, STORE_FILE), 0);
	assert_int_equal(blk_sim_put(t, STORE_FILE, file, n), 0);
	free(file);
	return t;
}

static void swap(struct world *x, struct blk_sim **blk)
{
	struct blk_sim *was = x->blk;

	world_init(x, x->cls, x->pm, *blk, x->model);
	*blk = was;
}

static void test_wal_is_bonded(void **state)
{
	struct fixture *f = *state;
	struct blk_sim *other;
	struct pm_hold *h;
	uint8_t *wal;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	other = copy_of(f->x.blk);

	swap(&f->x, &other);			/* the copy: neither looks nor starts */
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_EMISMATCH);
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);
	assert_non_null(strstr(f->x.why, "--adopt"));
	assert_non_null(strstr(f->x.why, "belongs to the store at " WORLD_STORE));

	swap(&f->x, &other);			/* the store: has what it had */
	all_there(f);
	assert_int_equal(pm_sim_ops(f->x.pm)->hold(pm_sim_ops(f->x.pm)->ctx, WORLD_NVMM, &h), 0);
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_EBUSY);
	assert_int_equal(world_open(&f->x, 1), STORE_EBUSY);
	pm_sim_ops(f->x.pm)->release(pm_sim_ops(f->x.pm)->ctx, h);

	swap(&f->x, &other);			/* the copy adopts it: now the store is asked */
	f->x.adopt = true;
	assert_int_equal(world_open(&f->x, 1), 0);
	world_kill(&f->x);
	f->x.adopt = false;
	die(f);
	verdict_of(f);
	swap(&f->x, &other);
	assert_int_equal(verdict_of(f), 3);
	assert_int_equal(f->rep.error, STORE_EWALMISSING);
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);	/* nor may it have the place */

	swap(&f->x, &other);			/* closed in order it needs the wal no more */
	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(world_close(&f->x), 0);
	wal = pm_sim_bytes(f->x.pm, WORLD_NVMM "/wal", NULL);
	assert_true(wal[WAL_BOND] == 0 && wal[WAL_SUPER_B + WAL_BOND] == 0);
	blk_sim_free(other);
}

/* A wal that an older program has left gets its bond with the next start. */
static void test_old_wal_gets_its_bond(void **state)
{
	struct fixture *f = *state;
	struct blk_sim *other;
	uint8_t *wal;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	wal = pm_sim_bytes(f->x.pm, WORLD_NVMM "/wal", NULL);
	memset(wal + WAL_BOND, 0, sizeof(struct wal_bond));
	memset(wal + WAL_SUPER_B + WAL_BOND, 0, sizeof(struct wal_bond));
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	other = copy_of(f->x.blk);
	swap(&f->x, &other);
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);
	swap(&f->x, &other);
	all_there(f);
	blk_sim_free(other);
}

/* A copy that has no wal attached does not take the place of one that is in use. */
static void test_place_of_a_copy(void **state)
{
	struct fixture *f = *state;
	struct blk_sim *other;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	assert_int_equal(world_close(&f->x), 0);
	other = copy_of(f->x.blk);
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	swap(&f->x, &other);
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);
	f->x.adopt = true;
	assert_int_equal(world_open(&f->x, 1), STORE_EMISMATCH);
	f->x.adopt = false;
	swap(&f->x, &other);
	all_there(f);
	blk_sim_free(other);
}

/* A power cut anywhere while a copy adopts: whoever starts next has everything, or is asked. */
static int adopting(void *arg)
{
	struct fixture *f = arg;
	struct sim_rng rng;
	struct fixture g = { 0 };
	struct pm_sim *pm;
	int err;

	for (uint64_t seed = 1; seed < 6; seed++) {
		sim_rng_init(&rng, seed);
		pm = pm_sim_cut(f->x.pm, &rng.p);
		world_init(&g.x, CLASS_NVMM, pm, blk_sim_killed(f->first), &f->model);
		g.model = f->model;		/* the store that it was taken from */
		err = world_open(&g.x, 1);
		if (!err) {
			world_read(&g.x, &g.got);
			assert_int_equal(g.got.n, 1);
		} else {
			/* it is the copy's now, or nobody's yet */
			assert_true(err == STORE_EMISMATCH || err == STORE_EWALMISSING || err == STORE_EFORMAT);
		}
		world_fini(&g.x);
		got_free(&g.got);
		g.got = (struct got){ 0 };
		f->asked += err != 0;
		f->had += !err;
	}
	return 0;
}

static void test_adopting_is_one_step(void **state)
{
	struct fixture *f = *state;
	struct blk_sim *other;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	f->first = blk_sim_killed(f->x.blk);
	other = copy_of(f->x.blk);
	swap(&f->x, &other);
	f->x.adopt = true;
	f->x.step = adopting;
	f->x.step_arg = f;
	assert_int_equal(world_open(&f->x, 1), 0);
	f->x.step = NULL;
	assert_true(f->asked > 10 && f->had > 10);
	blk_sim_free(f->first);
	blk_sim_free(other);
}

static void test_volatile_wal_lost(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_VOLATILE;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	put(f, 1, 100);
	assert_int_equal(world_background(&f->x, 1 << 20), 0);
	put(f, 0, 200);
	lose_wal(f);
	assert_int_equal(verdict_of(f), 2);		/* the reboot of a volatile class */
	assert_int_equal(f->rep.row->action, REC_LOST);
	assert_int_equal(f->rep.findings, 2);
	assert_int_equal(f->rep.finding[0].reason, GAP_WAL_LOST);
	assert_int_equal(f->rep.finding[0].from_seq, 2);
	assert_int_equal(world_open(&f->x, 2), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
	model_restart(&f->model, &f->got);
	put(f, 0, 300);
	assert_int_equal(f->model.lane[0].v[1].seq, 2 + REC_LOST_SKIP);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(verdict_of(f), 0);
	assert_int_equal(f->rep.findings, 2);		/* explained, and still told */
	assert_int_equal(f->rep.finding[0].state, RF_EXPLAINED);
	all_there(f);
}

static void test_lasting_wal_given_up(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	assert_int_equal(world_background(&f->x, 1 << 20), 0);
	put(f, 0, 200);
	lose_wal(f);
	assert_int_equal(verdict_of(f), 3);
	f->tool.give_up = true;
	report_fini(&f->rep);
	assert_int_equal(store_repair(&f->tool, &f->rep), 0);
	assert_int_equal(verdict_of(f), 0);
	assert_int_equal(f->rep.lane[0].records, 1);
	assert_int_equal(f->rep.lane[0].next_seq, 2 + REC_LOST_SKIP);
	assert_int_equal(world_open(&f->x, 1), 0);
}

/* ---- damage ---- */

#define SEG0 WORLD_STORE "/log/000/00000001.seg"

static uint64_t find_in(struct fixture *f, const uint8_t *data, uint32_t len)
{
	uint64_t n;
	const uint8_t *seg = blk_sim_bytes(f->x.blk, SEG0, &n);
	const uint8_t *at = memmem(seg, n, data, len);

	assert_non_null(at);
	return (uint64_t)(at - seg);
}

/* One record's data: it alone is lost, and the place is told. */
static void test_damaged_data(void **state)
{
	struct fixture *f = *state;
	const struct model_rec *r;
	uint64_t at;

	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 5; i++)
		put(f, 0, 500);
	assert_int_equal(world_close(&f->x), 0);
	r = &f->model.lane[0].v[2];
	at = find_in(f, r->data, r->len);
	blk_sim_flip(f->x.blk, SEG0, (at + 77) * 8 + 3);
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.findings, 1);
	assert_int_equal(f->rep.finding[0].from_seq, 3);
	assert_int_equal(f->rep.finding[0].to_seq, 3);
	assert_int_equal(f->rep.finding[0].offset, at - sizeof(struct frame_header));
	f->model.lane[0].v[2].acked = false;
	all_there(f);
	assert_int_equal(f->got.n, 4);
	assert_int_equal(f->gaps, 1);
	report_fini(&f->rep);
	assert_int_equal(store_repair(&f->tool, &f->rep), 0);
	assert_int_equal(verdict_of(f), 2);	/* repair makes no less of it */
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 4);
}

/* The last frame's header after a clean close: its bytes stay, what follows goes behind. */
/* A start that is killed in front of operation `at`; false: it has no more.  *y: what it
 * left, by a SIGKILL or (rng) a power cut. */
struct off {
	unsigned at, n;
};

static int off_at(void *arg)
{
	struct off *o = arg;

	return o->n++ >= o->at;
}

static bool cut_start(struct fixture *f, unsigned at, struct sim_rng *rng, struct world *y)
{
	struct off off = { at, 0 };
	struct world x;

	world_init(&x, f->x.cls, pm_sim_killed(f->x.pm), blk_sim_killed(f->x.blk), NULL);
	x.step = off_at;
	x.step_arg = &off;
	if (!world_open(&x, 1))
		world_kill(&x);
	world_init(y, f->x.cls, rng ? pm_sim_cut(x.pm, &rng->p) : pm_sim_killed(x.pm),
		   rng ? blk_sim_cut(x.blk, &rng->p) : blk_sim_killed(x.blk), NULL);
	world_fini(&x);
	return off.n > at;
}

static void scan_lane(struct fixture *f, struct seg_lane *l)
{
	struct seg_scan_options o = { .blk = blk_sim_ops(f->x.blk), .dir = WORLD_STORE "/log/000" };

	assert_int_equal(seg_scan_lane(&o, l), 0);
}

/* One block that cannot be read, anywhere: what it holds is lost, the store opens, takes
 * records and has them after the next crash, and no number is given again. */
static void unreadable_block(struct fixture *f, uint64_t off)
{
	const struct model_lane *l = &f->model.lane[0];
	uint64_t last = l->v[l->n - 1].seq, seq;
	struct pm_sim *pm = pm_sim_killed(f->x.pm);
	struct blk_sim *blk = blk_sim_killed(f->x.blk);
	struct got got = { 0 };
	unsigned old = 0;
	struct world y;

	assert_int_equal(blk_sim_bad(blk, WORLD_STORE "/log/000/00000001.seg", off), 0);
	for (int life = 0; life < 3; life++) {
		struct model model = { 0 };

		world_init(&y, f->x.cls, pm, blk, &model);
		assert_int_equal(world_open(&y, 1), 0);
		seq = lane_durable(store_lane(y.w, 0));
		assert_true(seq >= last);
		assert_int_equal(world_record(&y, 0, 300, false), 0);
		assert_int_equal(world_commit(&y, 0), 0);
		assert_int_equal(world_synced(&y, 0), 0);
		last = lane_durable(store_lane(y.w, 0));
		assert_true(last > seq);
		if (life == 2)
			world_read(&y, &got);
		world_kill(&y);
		pm = pm_sim_killed(y.pm);
		blk = blk_sim_killed(y.blk);
		world_fini(&y);
		model_free(&model);
	}
	pm_sim_free(pm);
	blk_sim_free(blk);
	for (size_t i = 0; i < got.n; i++)
		old += got.v[i].seq <= l->v[l->n - 1].seq;
	assert_int_equal(got.n, old + 3);
	assert_int_equal(got.v[got.n - 1].seq, last);
	assert_true(old + 6 >= l->n);		/* a block holds parts of a few */
	got_free(&got);
}

static void test_unreadable_block(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 12; i++)
		put(f, 0, 900 + 37 * (uint32_t)i);
	for (int closed = 0; closed < 2; closed++) {
		if (closed)
			assert_int_equal(world_close(&f->x), 0);
		for (uint64_t off = 0; off < 8 * SIM_BLOCK; off += SIM_BLOCK)
			unreadable_block(f, off);
	}
}

/* The last batch is torn, and the frame that explains it has no room behind it: a start
 * begins the next segment for it, and is killed.  What was torn stays torn. */
static void test_torn_twice(void **state)
{
	static const uint32_t fill[] = { 15000, 15000, 15000, 11480 };
	struct fixture *f = *state;
	struct seg_lane l;
	struct world y;
	bool more = true;

	assert_int_equal(world_open(&f->x, 1), 0);
	for (size_t i = 0; i < 4; i++)
		put(f, 0, fill[i]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_record(&f->x, 0, 160, false), 0);
	assert_int_equal(world_commit(&f->x, 0), 0);
	assert_int_equal(world_synced(&f->x, 0), 0);
	die(f);
	scan_lane(f, &l);
	assert_in_range(l.segs[l.tail].h.bytes - l.end, 1, sizeof(struct frame_header) + 39);
	assert_int_equal(blk_sim_flip(f->x.blk, WORLD_STORE "/log/000/00000001.seg", l.batch_off * 8 + 70), 0);
	seg_lane_free(&l);
	assert_int_equal(verdict_of(f), 1);
	for (unsigned at = 0; more; at++) {
		struct rec_tool t;
		struct report r;

		more = cut_start(f, at, NULL, &y);
		for (int life = 0; life < 2; life++) {
			world_tool(&y, &t);
			store_check(&t, &r);
			assert_in_range(report_verdict(&r), 0, 1);
			report_fini(&r);
			assert_int_equal(world_open(&y, 1), 0);
			assert_int_equal(world_close(&y), 0);
		}
		world_fini(&y);
	}
}

/* The store was closed, and one of its last records is damaged since.  The frame that explains
 * that is torn, by a power cut in the start: that is no damage too. */
static void test_gap_frame_torn(void **state)
{
	struct fixture *f = *state;
	struct sim_rng rng;
	struct seg_lane l;
	struct world y;
	uint64_t end;
	bool more = true;

	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(world_record(&f->x, 0, 100, false), 0);
	put(f, 0, 100);
	do {			/* until a frame of its size lies in two sectors */
		put(f, 0, 8);
		scan_lane(f, &l);
		end = l.end;
		seg_lane_free(&l);
	} while (end % SIM_SECTOR + 88 <= SIM_SECTOR || end % SIM_SECTOR + 48 > SIM_SECTOR);
	put(f, 0, 8);
	assert_int_equal(world_close(&f->x), 0);
	scan_lane(f, &l);
	assert_int_equal(blk_sim_flip(f->x.blk, WORLD_STORE "/log/000/00000001.seg", (l.batch_off + 48) * 8), 0);
	end = l.end;
	seg_lane_free(&l);
	for (unsigned at = 0; more; at++)
		for (uint64_t seed = 1; seed < 9; seed++) {
			struct rec_tool t;
			struct report r;

			sim_rng_init(&rng, seed);
			more = cut_start(f, at, &rng, &y);
			world_tool(&y, &t);
			store_check(&t, &r);
			for (unsigned i = 0; i < r.findings; i++)
				assert_false(r.finding[i].place == RP_SEGMENT && r.finding[i].offset >= end &&
					     r.finding[i].state != RF_EXPLAINED && rec_is_damage(&r.finding[i]));
			report_fini(&r);
			world_fini(&y);
		}
}

static uint64_t wall, boot;
static bool synced;

static uint64_t wall_now(void)
{
	return wall++;
}

static uint64_t boot_now(void)
{
	return boot++;
}

static bool is_synced(void)
{
	return synced;
}

#define DAY (86400ull * 1000)

static void pass(uint64_t ms)
{
	wall += ms;
	boot += ms;
}

static uint64_t oldest_of(struct store *w)
{
	uint64_t oldest, newest;

	while (store_background(w, 1u << 20) > 0)
		;
	store_read_bounds(w, 0, &oldest, &newest);
	return oldest;
}

/* A clock that jumps ahead, or that is wrong after boot, deletes nothing; one that runs does. */
static void test_clock_jumps(void **state)
{
	struct fixture *f = *state;
	struct store_options o = {
		.store_dir = WORLD_STORE, .class = CLASS_FSYNC, .lanes = 1, .pool_bytes = 64 * 2048,
		.buf_size = 2048, .segment_bytes = WORLD_SEGMENT, .record_bytes_max = 16384,
		.retain_ms = 30 * DAY, .pm = pm_sim_ops(f->x.pm), .blk = blk_sim_ops(f->x.blk),
		.now_ms = wall_now, .boot_ms = boot_now, .clock_synced = is_synced,
	};
	struct store *w;
	char why[256];

	wall = 1700000000000ull;
	boot = 1000;
	synced = false;
	f->x.retain_ms = 0;
	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 12; i++)
		put(f, 0, 15000);
	assert_int_equal(world_close(&f->x), 0);
	/* The world's clock was the same.  Booted with another one: not synchronised yet. */
	wall += 10 * 365 * DAY;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	assert_int_equal(oldest_of(w), 1);
	assert_int_equal(store_clock_trust(w), CLOCK_UNSYNCED);
	wall -= 10 * 365 * DAY;
	synced = true;
	assert_int_equal(oldest_of(w), 1);
	assert_int_equal(store_clock_trust(w), CLOCK_TRUSTED);
	wall += 10 * 365 * DAY;
	assert_int_equal(oldest_of(w), 1);
	assert_int_equal(store_clock_trust(w), CLOCK_AHEAD);
	wall -= 10 * 365 * DAY;
	assert_int_equal(oldest_of(w), 1);
	assert_int_equal(store_clock_trust(w), CLOCK_TRUSTED);
	pass(20 * DAY);
	assert_int_equal(oldest_of(w), 1);
	pass(20 * DAY);
	assert_true(oldest_of(w) > 6);
	store_close(w);
	/* An hour after boot it is believed. */
	synced = false;
	boot = 3000 * 1000;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	oldest_of(w);
	assert_int_equal(store_clock_trust(w), CLOCK_UNSYNCED);
	boot += 700 * 1000;
	oldest_of(w);
	assert_int_equal(store_clock_trust(w), CLOCK_TRUSTED);
	store_close(w);
	/* It jumps between the opening and the first look at what is old. */
	synced = true;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	wall += 10 * 365 * DAY;
	oldest_of(w);
	assert_int_equal(store_clock_trust(w), CLOCK_AHEAD);
	wall -= 10 * 365 * DAY;
	store_close(w);
}

/* What a lane that failed has stays, and no file is made for it. */
static void test_failed_lane_is_left_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t calls, oldest, newest;

	f->x.retain_bytes = 4 * WORLD_SEGMENT;
	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 12; i++)
		put(f, 0, 15000);
	blk_sim_fault(f->x.blk, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(world_record(&f->x, 0, 100, false), 0);
	world_commit(&f->x, 0);
	world_synced(&f->x, 0);
	assert_int_not_equal(lane_failed(store_lane(f->x.w, 0)), 0);
	store_read_bounds(f->x.w, 0, &oldest, &newest);
	calls = blk_sim_count(f->x.blk);
	for (int i = 0; i < 50; i++)
		store_background(f->x.w, 1u << 20);
	assert_int_equal(blk_sim_count(f->x.blk), calls);
}

static void test_damaged_last_header(void **state)
{
	struct fixture *f = *state;
	const struct model_rec *r;
	uint64_t at, n;
	uint8_t kept[500];

	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 400);
	put(f, 0, 500);
	assert_int_equal(world_close(&f->x), 0);
	r = &f->model.lane[0].v[1];
	memcpy(kept, r->data, 500);
	at = find_in(f, r->data, 500);
	blk_sim_flip(f->x.blk, SEG0, (at - 20) * 8);
	f->model.lane[0].v[1].acked = false;
	assert_int_equal(verdict_of(f), 2);
	all_there(f);
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	model_restart(&f->model, &f->got);
	put(f, 0, 600);
	assert_int_equal(world_close(&f->x), 0);
	assert_memory_equal(blk_sim_bytes(f->x.blk, SEG0, &n) + at, kept, 500);
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.findings, 1);
	assert_int_equal(f->rep.finding[0].state, RF_EXPLAINED);
	all_there(f);
}

/* In the wal: the record before and the one behind it come through, and the number is
 * explained. */
static void test_damaged_wal(void **state)
{
	struct fixture *f = *state;
	const struct model_rec *r;
	const uint8_t *bufs, *at;
	uint64_t n;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 3; i++)
		put(f, 0, 300);
	die(f);
	r = &f->model.lane[0].v[1];
	bufs = pm_sim_bytes(f->x.pm, WORLD_NVMM "/pktbufs", &n);
	at = memmem(bufs, n, r->data, r->len);
	assert_non_null(at);
	pm_sim_flip(f->x.pm, WORLD_NVMM "/pktbufs", (uint64_t)(at - bufs) * 8 + 100);
	f->model.lane[0].v[1].acked = false;
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.findings, 1);
	assert_int_equal(f->rep.finding[0].place, RP_WAL_RING);
	assert_int_equal(f->rep.finding[0].from_seq, 2);
	assert_int_equal(f->rep.finding[0].to_seq, 2);
	all_there(f);
	assert_int_equal(f->got.n, 2);
	assert_int_equal(f->gaps, 1);
	assert_int_equal(world_open(&f->x, 1), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
	put(f, 0, 10);
	assert_int_equal(f->model.lane[0].v[3].seq, 4);
	assert_int_equal(world_close(&f->x), 0);
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.finding[0].state, RF_EXPLAINED);
	assert_int_equal(f->rep.finding[0].reason, GAP_DAMAGE);
}

/* A line of the memory cannot be read; what it held is lost, and nothing else. */
static void test_unreadable_lines(void **state)
{
	struct fixture *f = *state;
	struct store_lane_stats s;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 8; i++)
		put(f, 0, 100);
	die(f);
	/* CLOCK FRAG SEAL of each: the second line has the last word of the third record and
	 * the next two, the third the seventh and the eighth, and no word behind it. */
	assert_int_equal(pm_sim_bad(f->x.pm, WORLD_NVMM "/wal", WAL_RINGS + 2 * 64), 0);
	for (unsigned i = 5; i < 8; i++)
		f->model.lane[0].v[i].acked = false;
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.findings, 1);
	assert_int_equal(f->rep.finding[0].place, RP_WAL_RING);
	assert_string_equal(f->rep.finding[0].what, "the memory cannot be read");
	assert_int_equal(f->rep.finding[0].from_seq, 6);
	assert_true(f->rep.finding[0].to_seq >= 8);
	all_there(f);
	assert_int_equal(f->got.n, 5);
	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(store_stats(f->x.w, 0, &s), 0);
	assert_true(s.durable_seq >= 8);		/* no number is given again */
	for (int i = 0; i < 30; i++) {
		put(f, 0, 3000);			/* round the ring, over that line */
		world_background(&f->x, 1u << 20);
	}
	assert_int_equal(world_close(&f->x), 0);
	for (unsigned i = 5; i < 8; i++)
		f->model.lane[0].v[i].acked = false;
	all_there(f);
}

/* Each block of the file `store` alone: the other copy counts, and the start makes it good. */
static void test_unreadable_block_of_the_store(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	put(f, 1, 100);
	for (uint64_t off = 0; off < STOREFILE_LANES_B + LANES_MAX * sizeof(struct storefile_lane); off += SIM_BLOCK) {
		die(f);
		assert_int_equal(blk_sim_bad(f->x.blk, STORE_FILE, off), 0);
		assert_int_equal(world_open(&f->x, 2), 0);
		put(f, 0, 100);
		put(f, 1, 100);
		die(f);
		assert_int_equal(verdict_of(f), 1);
		assert_int_equal(f->rep.findings, 0);
		all_there(f);
		assert_int_equal(world_open(&f->x, 2), 0);
	}
	die(f);
	for (uint64_t off = 0; off < STOREFILE_LANES_B; off += SIM_BLOCK) {
		assert_int_equal(blk_sim_bad(f->x.blk, STORE_FILE, off), 0);
		off += off == 0 ? SIM_BLOCK : 0;	/* copy B is there */
	}
	assert_int_equal(verdict_of(f), 2);
	assert_int_equal(f->rep.finding[0].reason, ABSENT_UNREADABLE);
	assert_int_equal(f->rep.finding[1].reason, ABSENT_UNREADABLE);
	assert_int_equal(f->rep.finding[0].place, RP_STORE);
	all_there(f);
}

/* Neither copy of the block is valid, and one of them may be, when the device can be read
 * again: everybody says so, and nobody makes the file again over it. */
static void test_unreadable_store(void **state)
{
	struct fixture *f = *state;
	const struct blk_ops *blk;
	struct blk_sim *was;
	char where[64];

	for (int bad = 1; bad < 4; bad++) {
		assert_int_equal(world_open(&f->x, 2), 0);
		put(f, 0, 100);
		put(f, 1, 100);
		die(f);
		blk = blk_sim_ops(f->x.blk);
		for (int i = 0; i < 2; i++)
			assert_int_equal(bad >> i & 1 ? blk_sim_bad(f->x.blk, STORE_FILE, i * SIM_BLOCK) :
					 blk_sim_flip(f->x.blk, STORE_FILE, i * 8 * SIM_BLOCK + 200), 0);
		was = blk_sim_killed(f->x.blk);
		assert_int_equal(world_open(&f->x, 2), -EIO);
		assert_non_null(strstr(f->x.why, "cannot read it now"));
		assert_int_equal(verdict_of(f), 3);
		assert_string_equal(f->rep.row->label, "store file unreadable");
		assert_int_equal(repaired(f, NULL, false), -EIO);
		assert_true(blk_sim_same(was, f->x.blk, where, sizeof(where)));
		blk_sim_free(was);
		assert_int_equal(blk->unlink(blk->ctx, NULL, STORE_FILE), 0);	/* as the words say */
		assert_int_equal(repaired(f, NULL, false), 0);
		assert_int_equal(verdict_of(f), 0);
		all_there(f);
	}
}

/* ---- a wal whose superblock says nothing ---- */

static void zero_magics(struct fixture *f)
{
	uint64_t n;

	for (unsigned bit = 0; bit < 64; bit++)
		for (unsigned at = 0; at <= WAL_SUPER_B; at += WAL_SUPER_B)
			if (pm_sim_bytes(f->x.pm, WORLD_NVMM "/wal", &n)[at + bit / 8] >> bit % 8 & 1)
				pm_sim_flip(f->x.pm, WORLD_NVMM "/wal", at * 8 + bit);
}

static void bad_supers(struct fixture *f)
{
	for (unsigned line = 0; line < 2; line++) {	/* both lines of each */
		assert_int_equal(pm_sim_bad(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_A + line * 64), 0);
		assert_int_equal(pm_sim_bad(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_B + line * 64), 0);
	}
}

/* It was used, so what is in it is not dropped without a word; of no class. */
static void says_nothing(struct fixture *f, void (*damage)(struct fixture *f), int err, const char *label)
{
	static const enum durability_class classes[] = { CLASS_VOLATILE, CLASS_NVMM };
	char where[64];

	for (unsigned i = 0; i < 2; i++) {
		struct pm_sim *was;

		world_fini(&f->x);
		model_free(&f->model);
		f->model = (struct model){ 0 };
		world_init(&f->x, classes[i], pm_sim_new(), blk_sim_new(), &f->model);
		assert_int_equal(world_open(&f->x, 1), 0);
		put(f, 0, 100);
		assert_int_equal(world_background(&f->x, 1 << 20), 0);
		put(f, 0, 200);
		die(f);
		damage(f);
		was = pm_sim_killed(f->x.pm);
		assert_int_equal(verdict_of(f), 3);
		assert_string_equal(f->rep.row->label, label);
		assert_int_equal(world_open(&f->x, 1), err);
		assert_non_null(strstr(f->x.why, "--give-up-wal"));
		assert_int_equal(repaired(f, NULL, false), err);
		assert_true(pm_sim_same(was, f->x.pm, where, sizeof(where)));
		pm_sim_free(was);
		assert_int_equal(repaired(f, NULL, true), 0);
		assert_int_equal(verdict_of(f), 0);
		assert_int_equal(f->rep.lane[0].records, 1);
		assert_int_equal(f->rep.lane[0].next_seq, 2 + REC_LOST_SKIP);
		assert_int_equal(world_open(&f->x, 1), 0);
	}
}

static void test_zeroed_magics(void **state)
{
	says_nothing(*state, zero_magics, STORE_EFORMAT, "wal damaged");
}

/* ---- a volatile wal in an ordinary file, and a power cut ---- */

/* The machine is started again, and the file system gives the wal back as it was then. */
static void boot_again(struct fixture *f, struct pm_sim *then)
{
	struct blk_sim *blk = blk_sim_killed(f->x.blk);
	struct world old = f->x;

	world_fini(&f->x);
	world_init(&f->x, old.cls, then, blk, &f->model);
	f->x.stream = old.stream;
	f->x.boot = old.boot + 1;
}

static void volatile_store(struct fixture *f, enum durability_class cls)
{
	world_fini(&f->x);
	model_free(&f->model);
	f->model = (struct model){ 0 };
	world_init(&f->x, cls, pm_sim_new(), blk_sim_new(), &f->model);
	f->x.boot = 7;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 0, 100);
	assert_int_equal(world_background(&f->x, 1 << 20), 0);
	put(f, 0, 200);
}

/* It looks whole and is old: what was acknowledged since is told as lost, and no number of it is
 * given again.  What it has is there. */
static void test_volatile_wal_is_old(void **state)
{
	struct fixture *f = *state;
	struct pm_sim *then;

	volatile_store(f, CLASS_VOLATILE);
	then = pm_sim_killed(f->x.pm);
	put(f, 0, 300);
	boot_again(f, then);
	f->model.lane[0].v[2].acked = false;
	assert_int_equal(verdict_of(f), 2);
	assert_string_equal(f->rep.row->label, "volatile wal of an earlier boot");
	assert_int_equal(f->rep.lane[0].next_seq, 3 + REC_LOST_SKIP);
	for (unsigned i = 0; i < f->rep.findings; i++)
		if (!f->rep.finding[i].lane) {
			assert_int_equal(f->rep.finding[i].reason, GAP_WAL_LOST);
			assert_int_equal(f->rep.finding[i].from_seq, 3);
		}
	assert_int_equal(f->rep.findings, 2);		/* each lane's */
	assert_int_equal(world_open(&f->x, 2), 0);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
	put(f, 0, 400);
	assert_int_equal(f->model.lane[0].v[3].seq, 3 + REC_LOST_SKIP);
	then = pm_sim_killed(f->x.pm);			/* a SIGKILL: it is this boot's */
	boot_again(f, then);
	f->x.boot--;
	assert_int_equal(verdict_of(f), 1);
	assert_int_equal(f->rep.lane[0].replay_records, 1);
	assert_int_equal(world_open(&f->x, 2), 0);
	assert_int_equal(world_close(&f->x), 0);
	f->x.boot++;
	assert_int_equal(verdict_of(f), 0);
	assert_int_equal(world_open(&f->x, 2), 0);
	assert_int_equal(lane_durable(store_lane(f->x.w, 0)), 3 + REC_LOST_SKIP);
}

static void no_heads(struct fixture *f)
{
	for (unsigned i = 0; i < 2; i++) {
		pm_sim_flip(f->x.pm, WORLD_NVMM "/wal", (WAL_HEADS_A + i * 64) * 8 + 100);
		pm_sim_flip(f->x.pm, WORLD_NVMM "/wal", (WAL_HEADS_B + i * 64) * 8 + 100);
	}
}

static void no_supers(struct fixture *f)
{
	pm_sim_flip(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_A * 8 + 300);
	pm_sim_flip(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_B * 8 + 300);
}

static void no_buffers(struct fixture *f)
{
	assert_int_equal(pm_sim_truncate(f->x.pm, WORLD_NVMM "/pktbufs", 4096), 0);
}

/* Its superblocks are zeros or no superblocks, its heads are none, its buffers are cut: that is
 * what the class allows after a power cut, told as a loss.  In the same boot it is damage, and so
 * it is in a class that outlasts power cuts. */
static void test_volatile_wal_is_cut(void **state)
{
	static void (*const damage[])(struct fixture *) = { zero_magics, no_heads, no_supers, no_buffers };
	struct fixture *f = *state;

	for (unsigned c = 0; c < 16; c++) {
		enum durability_class cls = c & 1 ? CLASS_NVMM : CLASS_VOLATILE;
		bool same = c & 2, heads = c >> 2 == 1;

		volatile_store(f, cls);
		boot_again(f, pm_sim_killed(f->x.pm));
		f->x.boot -= same;
		damage[c >> 2](f);
		if (cls == CLASS_NVMM || same) {
			assert_int_equal(verdict_of(f), 3);
			assert_int_equal(world_open(&f->x, 2), STORE_EFORMAT);
			assert_non_null(strstr(f->x.why, "--give-up-wal"));
			continue;
		}
		f->model.lane[0].v[1].acked = false;
		assert_int_equal(verdict_of(f), 2);
		assert_string_equal(f->rep.row->label, heads ? "volatile wal of an earlier boot" : "volatile wal cut");
		assert_int_equal(f->rep.finding[0].reason == GAP_WAL_LOST || heads, 1);
		assert_int_equal(world_open(&f->x, 2), 0);
		put(f, 0, 300);
		assert_int_equal(f->model.lane[0].v[2].seq, 2 + REC_LOST_SKIP);
	}
}

static void test_unreadable_superblocks(void **state)
{
	says_nothing(*state, bad_supers, -EIO, "wal unreadable");
}

/* One of zeros was never used, or is another one at its place: as if it were not there. */
static void test_wal_of_zeros(void **state)
{
	static const uint8_t zeros[65536];
	struct fixture *f = *state;

	f->x.cls = CLASS_VOLATILE;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	pm_sim_put(f->x.pm, WORLD_NVMM "/wal", zeros, sizeof(zeros));
	assert_int_equal(verdict_of(f), 2);
	assert_string_equal(f->rep.row->label, "volatile wal gone");
	assert_int_equal(world_open(&f->x, 1), 0);
}

/* No other store takes its place, for its bond says whose it is. */
static void test_zeroed_magics_of_another(void **state)
{
	struct fixture *f = *state;
	struct store_options o = fine;
	char why[512];

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	zero_magics(f);
	o.store_dir = "/second";
	assert_int_equal(open_with(f, &o, why, sizeof(why)), STORE_EMISMATCH);
	assert_non_null(strstr(why, "another store"));
}

static void fill_table(struct fixture *f, uint8_t with)
{
	uint64_t len;
	const uint8_t *was = blk_sim_bytes(f->x.blk, STORE_FILE, &len);
	uint8_t *now = malloc(len);

	assert_non_null(now);
	memcpy(now, was, len);
	memset(now + STOREFILE_LANES_A, with, len - STOREFILE_LANES_A);
	assert_int_equal(blk_sim_put(f->x.blk, STORE_FILE, now, len), 0);
	free(now);
}

/* What the table cannot say any more is told once: repair, and a start, leave one that is
 * whole, also where it is of lanes that never were. */
static void test_table_of_noise(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world_open(&f->x, 2), 0);
	for (int turn = 0; turn < 2; turn++) {
		put(f, 0, 100);
		put(f, 1, 100);
		world_background(&f->x, 1u << 20);
		die(f);
		fill_table(f, 0xff);
		assert_int_equal(verdict_of(f), 2);
		assert_int_equal(turn ? repaired(f, NULL, false) : world_open(&f->x, 2), 0);
		if (!turn)
			die(f);
		assert_int_equal(verdict_of(f), !turn);
		assert_int_equal(f->rep.findings, 0);
		all_there(f);
		assert_int_equal(world_open(&f->x, 2), 0);
	}
}

/* A bad line in the page of each copy of the superblock, which hold nothing: to be made good the
 * pages become zeros, and the copies are there again. */
static void test_unreadable_beside_the_superblock(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	assert_int_equal(pm_sim_bad(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_A + 2048), 0);
	assert_int_equal(pm_sim_bad(f->x.pm, WORLD_NVMM "/wal", WAL_SUPER_B + 2048), 0);
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 200);
	die(f);
	assert_int_equal(verdict_of(f), 1);
	assert_int_equal(f->rep.findings, 0);
	all_there(f);
	assert_int_equal(f->got.n, 2);
}

/* The wal and its buffers come back from a copy with holes, in a place that is full. */
static void test_holes(void **state)
{
	static const char *const file[] = { WORLD_NVMM "/wal", WORLD_NVMM "/pktbufs" };
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	for (int i = 0; i < 2; i++) {
		uint64_t n;

		assert_int_equal(world_open(&f->x, 1), 0);
		put(f, 0, 100);
		die(f);
		assert_non_null(pm_sim_bytes(f->x.pm, file[i], &n));
		/* behind what was written: nothing but zeros there */
		assert_int_equal(pm_sim_punch(f->x.pm, file[i], i ? 4096 : WAL_RINGS + 256, i ? n - 4096 : 64), 0);
		pm_sim_capacity(f->x.pm, 1);
		assert_int_equal(verdict_of(f), 1);
		all_there(f);
		assert_int_equal(world_open(&f->x, 1), -ENOSPC);
		assert_non_null(strstr(f->x.why, "holes"));
		pm_sim_capacity(f->x.pm, 0);
		assert_int_equal(world_open(&f->x, 1), 0);
		put(f, 0, 100);
		die(f);
		all_there(f);
	}
}

/* ---- the checkpointer ---- */

/* A lane that fails does not keep the others from settling. */
/* A checkpoint that moves a batch in pieces: each record keeps the batch's time. */
static void test_time_of_a_batch(void **state)
{
	struct fixture *f = *state;
	struct store_record r;
	struct store_cursor *c;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	for (unsigned batch = 1; batch <= 2; batch++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(world_record(&f->x, 0, 500, false), 0);
		assert_int_equal(lane_commit(store_lane(f->x.w, 0), 1700000000000 + batch * 1000), 0);
	}
	assert_int_equal(world_background(&f->x, 1), 0);
	assert_int_equal(store_read_open(f->x.w, 0, 1, &c), 0);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(store_read_next(c, &r), 1);
		assert_int_equal(r.time_ms, 1700000000000 + (i / 3 + 1) * 1000);
	}
	store_read_close(c);
}

static void test_background_goes_on(void **state)
{
	struct fixture *f = *state;
	struct store_lane_stats s;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 3), 0);
	assert_int_equal(world_background(&f->x, 1 << 20), 0);
	for (unsigned i = 0; i < 3; i++)
		put(f, i, 100);
	assert_true(store_unsettled(f->x.w, 1, 1));
	blk_sim_fault(f->x.blk, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(store_background(f->x.w, 1 << 20), -EIO);
	assert_int_equal(store_stats(f->x.w, 0, &s), 0);
	assert_int_equal(s.failed, -EIO);
	assert_true(store_unsettled(f->x.w, 0, 1));
	assert_false(store_unsettled(f->x.w, 1, 1));
	assert_false(store_unsettled(f->x.w, 2, 1));
	assert_int_equal(world_close(&f->x), -EIO);	/* and the flags stay */
	die(f);
	assert_int_equal(verdict_of(f), 1);
	all_there(f);
	assert_int_equal(f->got.n, 3);
}

static void test_bounds_and_old_lanes(void **state)
{
	struct fixture *f = *state;
	uint64_t oldest, newest;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 3), 0);
	put(f, 2, 100);
	put(f, 2, 100);
	assert_int_equal(store_read_bounds(f->x.w, 2, &oldest, &newest), 0);
	assert_int_equal(oldest, 1);
	assert_int_equal(newest, 2);		/* durable, if not settled yet */
	die(f);
	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(store_lanes(f->x.w), 3);
	assert_int_equal(store_read_bounds(f->x.w, 2, &oldest, &newest), 0);
	assert_int_equal(newest, 2);
	assert_int_equal(store_read_bounds(f->x.w, 3, &oldest, &newest), -ENOENT);
	world_read(&f->x, &f->got);
	assert_int_equal(f->got.n, 2);
}

/* ---- followers ---- */

static void count_wake(struct follower *f)
{
	++*(unsigned *)f->arg;
}

/* Each level is moved by whom it belongs to, of its own lane. */
static void followers(struct fixture *f, enum durability_class cls)
{
	bool fsync = cls == CLASS_FSYNC;
	unsigned woken[2][FOLLOW_LEVELS] = { 0 };
	struct follower fo[2][FOLLOW_LEVELS] = { 0 };

	f->x.cls = cls;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(f, 1, 100);
	for (unsigned i = 0; i < 2; i++)
		for (enum follow_level l = 0; l < FOLLOW_LEVELS; l++) {
			uint64_t at = store_reached(f->x.w, i, l);

			fo[i][l].wake = count_wake;
			fo[i][l].arg = &woken[i][l];
			assert_int_equal(at, i == 1 && (l == FOLLOW_DURABLE || (l == FOLLOW_SETTLED && fsync)));
			assert_int_equal(store_follow(f->x.w, i, l, at, &fo[i][l]), 0);
			assert_int_equal(store_follow(f->x.w, i, l, at + 2 - (l == FOLLOW_PASS), &fo[i][l]), 1);
		}
	assert_int_equal(store_follow(f->x.w, 2, FOLLOW_DURABLE, 1, &fo[0][0]), -ENOENT);
	assert_int_equal(store_reached(f->x.w, 2, FOLLOW_DURABLE), 0);
	put(f, 1, 100);
	assert_int_equal(woken[1][FOLLOW_DURABLE], 0);
	put(f, 1, 100);
	assert_int_equal(woken[1][FOLLOW_DURABLE], 1);
	assert_int_equal(woken[1][FOLLOW_SETTLED], fsync);
	world_background(&f->x, 1u << 20);
	assert_int_equal(woken[1][FOLLOW_SETTLED], 1);
	assert_int_equal(woken[1][FOLLOW_PASS], 0);		/* not before what it came to is told */
	assert_int_equal(store_passed(f->x.w), 2);
	assert_int_equal(store_passed(f->x.w), 0);
	assert_int_equal(store_reached(f->x.w, 1, FOLLOW_PASS), 2);
	put(f, 0, 100);
	world_background(&f->x, 1u << 20);
	for (unsigned i = 0; i < 2; i++)
		for (enum follow_level l = 0; l < FOLLOW_LEVELS; l++) {
			assert_int_equal(woken[i][l], l == FOLLOW_PASS || (i == 1 && l != FOLLOW_TURN));
			unfollow(&fo[i][l]);
		}
}

static void test_followers_fsync(void **state)
{
	followers(*state, CLASS_FSYNC);
}

static void test_followers_nvmm(void **state)
{
	followers(*state, CLASS_NVMM);
}

static void test_followers_volatile(void **state)
{
	followers(*state, CLASS_VOLATILE);
}

/* A writer to whom nothing comes is told each time, until it has looked at its segment's age. */
static void test_followers_of_a_turn(void **state)
{
	struct fixture *f = *state;
	unsigned woken = 0;
	struct follower fo = { .wake = count_wake, .arg = &woken };

	f->x.retain_ms = 100000;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(store_follow(f->x.w, 0, FOLLOW_TURN, store_reached(f->x.w, 0, FOLLOW_TURN) + 1, &fo), 1);
		world_background(&f->x, 1u << 20);
		assert_int_equal(store_passed(f->x.w), i > 0);
		assert_int_equal(woken, i);
		unfollow(&fo);
		if (!i)
			world_clock_set(world_clock() + 50000);
	}
	assert_int_equal(store_follow(f->x.w, 0, FOLLOW_TURN, store_reached(f->x.w, 0, FOLLOW_TURN) + 1, &fo), 1);
	put(f, 0, 100);
	world_background(&f->x, 1u << 20);
	assert_int_equal(store_passed(f->x.w), 0);
	unfollow(&fo);
}

/* Also of a lane that nobody writes to any more. */
static void test_floor_of_an_old_lane(void **state)
{
	struct fixture *f = *state;
	struct floor floor = { 0 };
	struct store_lane_stats s;

	assert_int_equal(world_open(&f->x, 3), 0);
	for (int i = 0; i < 30; i++) {
		put(f, 2, 15000);
		world_background(&f->x, 1u << 20);
	}
	assert_int_equal(world_close(&f->x), 0);
	f->x.retain_ms = 1000;
	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(store_floor(f->x.w, 3, 1, &floor), -ENOENT);
	assert_int_equal(store_floor(f->x.w, 2, 13, &floor), 0);
	world_clock_set(world_clock() + 1000000);
	world_background(&f->x, 1u << 20);
	assert_int_equal(store_stats(f->x.w, 2, &s), 0);
	assert_in_range(s.oldest_seq, 2, 13);
	assert_int_equal(s.floor_seq, 13);
	assert_true(s.held_segments > 1);
	assert_int_equal(store_stats(f->x.w, 0, &s), 0);
	assert_int_equal(s.floor_seq, 0);
	store_floor_drop(f->x.w, &floor);
	world_background(&f->x, 1u << 20);
	assert_int_equal(store_stats(f->x.w, 2, &s), 0);
	assert_true(s.oldest_seq > 13);
	assert_int_equal(s.floor_seq, 0);
	assert_int_equal(s.held_segments, 0);
}

/* ---- a full disk ---- */

/* Records that go to the segments, until the disk has no room for the next one and what
 * is appended stays in the wal (class fsync: is not taken). */
static void fill_up(struct fixture *f)
{
	int err = 0;

	for (int i = 0; i < 40; i++) {		/* more than a segment */
		put(f, 0, 4000);
		world_background(&f->x, 1u << 20);
	}
	blk_sim_capacity(f->x.blk, blk_sim_used(f->x.blk));
	for (int i = 0; i < 100 && !err; i++) {
		err = world_record(&f->x, 0, 4000, false);
		world_commit(&f->x, 0);
		world_synced(&f->x, 0);
		world_background(&f->x, 1u << 20);
	}
	assert_int_equal(err, class_syncs(f->x.cls) ? -EAGAIN : -ENOBUFS);
}

/* The process dies, and the disk is as full as it was. */
static void die_full(struct fixture *f)
{
	die(f);
	blk_sim_capacity(f->x.blk, blk_sim_used(f->x.blk));
}

static void test_full_disk_is_no_reason_not_to_start(void **state)
{
	struct fixture *f = *state;
	uint64_t oldest, before, newest;

	assert_int_equal(world_open(&f->x, 1), 0);
	fill_up(f);
	assert_int_equal(store_read_bounds(f->x.w, 0, &oldest, &before), 0);
	for (int i = 0; i < 2; i++) {
		die_full(f);
		assert_int_equal(world_open(&f->x, 1), 0);
		assert_int_equal(world_record(&f->x, 0, 4000, false), -EAGAIN);
		assert_int_equal(lane_admit(store_lane(f->x.w, 0), 4000), -ENOSPC);
		assert_int_equal(store_read_bounds(f->x.w, 0, &oldest, &newest), 0);
		assert_int_equal(newest, before);
	}
	die_full(f);
	all_there(f);
	assert_int_equal(world_open(&f->x, 2), 0);	/* no segment at all for the second */
	assert_int_equal(lane_admit(store_lane(f->x.w, 1), 4000), -ENOSPC);
	blk_sim_capacity(f->x.blk, 0);
	world_background(&f->x, 1u << 20);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(world_commit(&f->x, i), 0);
		assert_int_equal(lane_admit(store_lane(f->x.w, i), 4000), 0);
	}
	put(f, 0, 4000);
	put(f, 1, 4000);
	die(f);
	all_there(f);
}

/* A record for the segment in use, or the header of the next one, which is ready, finds no room:
 * the background does not ask to be called again at once, or it would go round and round. */
static void no_room_in_what_is_ready(struct fixture *f, bool header, int err)
{
	struct lane *l;
	unsigned again;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	l = store_lane(f->x.w, 0);
	do {
		put(f, 0, 4000);
		assert_int_equal(world_background(&f->x, 1u << 20), 0);
		lane_reclaim(l);
	} while (seglog_room(f->x.w->log[0]) > (header ? 4000 : 12000));
	put(f, 0, 4000);
	assert_true(seglog_ready(f->x.w->log[0]));
	for (unsigned i = 0; i < 3; i++) {
		again = 0;
		do			/* the first that is written */
			blk_sim_fault(f->x.blk, SIM_WRITE, 1, 1, err);
		while (store_background(f->x.w, 1u << 20) == 1 && ++again < 20);
		assert_true(again < 4);		/* the segment behind the next may be made meanwhile */
		assert_true(seglog_ready(f->x.w->log[0]));
		assert_true(blk_nospace(lane_nospace(l)));
		assert_int_equal(lane_failed(l), 0);
	}
	blk_sim_fault(f->x.blk, SIM_WRITE, 1u << 30, 1, err);
	assert_int_equal(world_background(&f->x, 1u << 20), 0);
	assert_false(store_unsettled(f->x.w, 0, lane_durable(l)));
	die(f);
	all_there(f);
}

static void test_no_room_for_a_record(void **state)
{
	no_room_in_what_is_ready(*state, false, ENOSPC);
}

static void test_no_room_for_a_header(void **state)
{
	no_room_in_what_is_ready(*state, true, EDQUOT);
}

static void test_recovery_without_room(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	fill_up(f);
	die_full(f);
	assert_int_equal(verdict_of(f), 1);
	assert_int_equal(world_open(&f->x, 1), STORE_ENOROOM);
	assert_non_null(strstr(f->x.why, "make room"));
	all_there(f);
	blk_sim_capacity(f->x.blk, 0);
	assert_int_equal(world_open(&f->x, 1), 0);
	die(f);
	all_there(f);
}

/* As the checkpointer would: the oldest segment makes room for the newest. */
static void test_recovery_keeps_to_the_retention(void **state)
{
	struct fixture *f = *state;
	uint64_t oldest, newest;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	fill_up(f);
	die_full(f);
	f->x.retain_bytes = 4 * WORLD_SEGMENT;
	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(store_read_bounds(f->x.w, 0, &oldest, &newest), 0);
	assert_true(oldest > 1);
	assert_int_equal(newest, f->model.lane[0].v[f->model.lane[0].n - 1].seq);
	assert_true(blk_sim_used(f->x.blk) <= 5 * WORLD_SEGMENT);
}

/* ---- the report in words ---- */

static void test_report_words(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;
	size_t n = 0;
	FILE *out;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(f, 0, 100);
	die(f);
	assert_int_equal(verdict_of(f), 1);
	out = open_memstream(&text, &n);
	report_json(out, &f->rep, "a \"quoted\" place", false);
	fclose(out);
	assert_non_null(strstr(text, "{\"store\":\"a \\\"quoted\\\" place\",\"verdict\":\"pending\","
			       "\"exit\":1,\"error\":null,\"found\":\"replay\""));
	assert_non_null(strstr(text, "\"records\":1,\"bytes\":100,\"wal_records\":1,\"wal_bytes\":100"));
	assert_non_null(strstr(text, "\"start\":[\"write the last batch"));
	free(text);
	out = open_memstream(&text, &n);
	report_people(out, &f->rep, "s", false);
	fclose(out);
	assert_non_null(strstr(text, "1 more only in the wal"));
	assert_non_null(strstr(text, "work is pending after a crash"));
	free(text);
}

#define T(n) cmocka_unit_test_setup_teardown(n, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_refusals), T(test_weak_places), T(test_none_stores_nothing), T(test_busy),
		T(test_vanished), T(test_vanished_wal), T(test_linked), T(test_wal_is_bonded), T(test_old_wal_gets_its_bond), T(test_place_of_a_copy),
		T(test_adopting_is_one_step), T(test_store_lost_fsync), T(test_store_lost_nvmm),
		T(test_store_lost_volatile), T(test_store_of_another_has_a_table), T(test_store_lost_after_a_change),
		T(test_store_lost_and_busy), T(test_store_lost_for_good), T(test_nothing_there), T(test_life_fsync), T(test_life_nvmm), T(test_class_changes),
		T(test_wal_moves), T(test_wal_of_another_store), T(test_volatile_wal_lost),
		T(test_lasting_wal_given_up), T(test_damaged_data), T(test_damaged_last_header),
		T(test_clock_jumps), T(test_failed_lane_is_left_alone),
		T(test_torn_twice), T(test_gap_frame_torn), T(test_unreadable_block),
		T(test_damaged_wal), T(test_unreadable_block_of_the_store), T(test_unreadable_store),
		T(test_zeroed_magics), T(test_volatile_wal_is_old), T(test_volatile_wal_is_cut), T(test_unreadable_superblocks), T(test_wal_of_zeros), T(test_zeroed_magics_of_another),
		T(test_table_of_noise),
		T(test_segment_of_another_in_a_new_store), T(test_table_of_an_older_time),
		T(test_unreadable_lines), T(test_unreadable_beside_the_superblock), T(test_holes), T(test_background_goes_on), T(test_time_of_a_batch), T(test_bounds_and_old_lanes),
		T(test_followers_fsync), T(test_followers_nvmm), T(test_followers_volatile), T(test_followers_of_a_turn),
		T(test_floor_of_an_old_lane),
		T(test_full_disk_is_no_reason_not_to_start), T(test_no_room_for_a_record), T(test_no_room_for_a_header),
		T(test_recovery_without_room),
		T(test_recovery_keeps_to_the_retention), T(test_report_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
