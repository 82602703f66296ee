/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_results.c - each call that may fail does, once, in starts and stops; and what is
 * whole but is not ours: the other lane's frame, the older block, the stale word.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../crash/world.h"
#include "files/storefile.h"
#include "format/codec.h"
#include "lane/lane_priv.h"
#include "segment/seg_scan.h"
#include "util/crc32c.h"

struct fixture {
	struct world x;
	struct model model;
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

	world_fini(&f->x);
	model_free(&f->model);
	free(f);
	return 0;
}

static void put(struct world *x, unsigned lane, uint32_t len)
{
	assert_int_equal(world_put(x, lane, len), 0);
}

/* Another world on what this one's death leaves: the process killed, or the power lost
 * and with it all that was in doubt. */
static void after(struct world *from, struct world *to, bool power)
{
	struct sim_edge worst;
	struct pm_sim *pm;

	sim_edge_init(&worst, 0);
	pm = power ? pm_sim_cut(from->pm, &worst.p) : pm_sim_killed(from->pm);
	sim_edge_init(&worst, 0);
	world_init(to, from->cls, pm, power ? blk_sim_cut(from->blk, &worst.p) :
		   blk_sim_killed(from->blk), from->model);
}

static int add(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
	       uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

/* Everything that was acknowledged survives x's death. */
static void keeps_its_word(struct world *x, bool power)
{
	struct got got = { 0 };
	struct report rep;
	struct rec_tool tool;
	char why[256] = "";
	struct world y;

	after(x, &y, power);
	world_tool(&y, &tool);
	store_dump(&tool, &rep, &(struct rec_dump){ .record = add, .arg = &got });
	assert_in_range(report_verdict(&rep), 0, 2);
	/* a write that failed half way may cost a copy of the store's block, no more */
	for (unsigned i = 0; report_verdict(&rep) == 2 && i < rep.findings; i++)
		assert_int_equal(rep.finding[i].place, RP_STORE);
	assert_null(model_judge(x->model, &got, why, sizeof(why)));
	report_fini(&rep);
	got_free(&got);
	world_fini(&y);
}

/* ---- every call fails once ---- */

static const enum sim_op ops[] = { SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_RENAME, SIM_UNLINK };
#define NOPS (sizeof(ops) / sizeof(ops[0]))

/* A start: it fails, or what it has built stands on the disk. */
static void a_start_tells(enum durability_class cls, unsigned lanes_then)
{
	struct model model = { 0 };
	struct world base, x, y;

	world_init(&base, cls, pm_sim_new(), blk_sim_new(), &model);
	assert_int_equal(world_open(&base, 2), 0);
	put(&base, 0, 3000);
	put(&base, 1, 70);
	put(&base, 0, 20000 % WORLD_RECORD);
	for (size_t i = 0; i < NOPS; i++)
		for (unsigned nth = 1; nth < 100; nth++) {
			uint64_t calls;
			int err;

			after(&base, &x, false);
			calls = blk_sim_calls(x.blk, ops[i]);
			blk_sim_fault(x.blk, ops[i], nth, 1, EIO);
			err = world_open(&x, lanes_then);
			calls = blk_sim_calls(x.blk, ops[i]) - calls;
			if (!err) {	/* nothing was built on what failed */
				keeps_its_word(&x, true);
				world_kill(&x);
				after(&x, &y, true);
			} else {
				keeps_its_word(&x, false);
				after(&x, &y, nth & 1);
			}
			assert_int_equal(world_open(&y, lanes_then), 0);
			world_kill(&y);
			world_fini(&y);
			world_fini(&x);
			if (!err && calls < nth)
				break;		/* there is no nth */
			if (err)
				assert_int_equal(err, -EIO);
			/* removing leftovers is the only call that may fail unseen */
			else if (ops[i] != SIM_UNLINK)
				assert_true(calls < nth);
		}
	world_fini(&base);
	model_free(&model);
}

static void test_starts_fsync(void **state)
{
	(void)state;
	a_start_tells(CLASS_FSYNC, 2);
	a_start_tells(CLASS_FSYNC, 3);
}

static void test_starts_nvmm(void **state)
{
	(void)state;
	a_start_tells(CLASS_NVMM, 2);
	a_start_tells(CLASS_NVMM, 1);
}

/* A stop: it fails, and the next start finds everything. */
static void a_stop_tells(enum durability_class cls)
{
	for (size_t i = 0; i < NOPS; i++)
		for (unsigned nth = 1; nth < 100; nth++) {
			struct model model = { 0 };
			uint64_t calls;
			struct world x;
			int err;

			world_init(&x, cls, pm_sim_new(), blk_sim_new(), &model);
			assert_int_equal(world_open(&x, 1), 0);
			put(&x, 0, 3000);
			put(&x, 0, 60);
			calls = blk_sim_calls(x.blk, ops[i]);
			blk_sim_fault(x.blk, ops[i], nth, 1, EIO);
			err = world_close(&x);
			calls = blk_sim_calls(x.blk, ops[i]) - calls;
			keeps_its_word(&x, true);
			keeps_its_word(&x, false);
			world_fini(&x);
			model_free(&model);
			if (calls < nth)
				break;
			assert_int_equal(err, -EIO);
		}
}

static void test_stops(void **state)
{
	(void)state;
	a_stop_tells(CLASS_FSYNC);
	a_stop_tells(CLASS_NVMM);
}

/* A batch is on its way, half of it on the disk: that is no clean end. */
static void test_stop_with_a_batch_on_its_way(void **state)
{
	struct fixture *f = *state;
	struct late_aio *a = &f->x.aio[0];
	struct iovec half;
	struct report rep;
	struct rec_tool tool;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(&f->x, 0, 100);
	assert_int_equal(world_record(&f->x, 0, 4000, true), 0);
	assert_int_equal(world_commit(&f->x, 0), 0);
	assert_true(a->busy);
	half = (struct iovec){ a->iov[0].iov_base, a->iov[0].iov_len };
	assert_int_equal(a->blk->write(a->file, &half, 1, a->off), 0);
	assert_int_equal(world_close(&f->x), -EIO);
	world_tool(&f->x, &tool);
	store_check(&tool, &rep);
	assert_int_equal(report_verdict(&rep), 1);
	report_fini(&rep);
}

/* ---- failures that end a lane ---- */

static void test_a_header_that_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct lane *l;

	assert_int_equal(world_open(&f->x, 1), 0);
	l = store_lane(f->x.w, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_record(&f->x, 0, 15000, true), 0);
		assert_int_equal(world_commit(&f->x, 0), 0);
		assert_int_equal(world_synced(&f->x, 0), 0);
		assert_int_equal(world_background(&f->x, 1 << 20), 0);
	}
	assert_int_equal(lane_failed(l), 0);
	blk_sim_fault(f->x.blk, SIM_WRITE, 1, 1, EIO);	/* the next one goes into a new segment */
	world_record(&f->x, 0, 15000, true);
	assert_int_equal(lane_failed(l), -EIO);
	assert_int_equal(world_commit(&f->x, 0), -EIO);
	keeps_its_word(&f->x, true);
}

static int refuse(struct blk_aio *a, const struct blk_ops *blk, struct blk_file *file,
		  struct iovec *iov, unsigned n, uint64_t off)
{
	(void)a, (void)blk, (void)file, (void)iov, (void)n, (void)off;
	return -EBUSY;
}

static void test_a_commit_that_does_not_begin(void **state)
{
	struct fixture *f = *state;
	struct blk_aio aio = { .submit = refuse };

	assert_int_equal(world_open(&f->x, 1), 0);
	store_lane_aio(f->x.w, 0, &aio);
	assert_int_equal(world_record(&f->x, 0, 100, true), 0);
	assert_int_equal(world_commit(&f->x, 0), -EBUSY);
	assert_int_equal(lane_failed(store_lane(f->x.w, 0)), -EBUSY);
	assert_false(lane_pending(store_lane(f->x.w, 0)));
	assert_int_equal(lane_durable(store_lane(f->x.w, 0)), 0);
}

/* ---- the checkpoint believes no word that it should not ---- */

static uint64_t *ring_of(struct world *x)
{
	uint64_t n;

	return (uint64_t *)(pm_sim_bytes(x->pm, WORLD_NVMM "/wal", &n) + WAL_RINGS);
}

static void plant(struct world *x, uint64_t word, uint64_t at)
{
	ring_of(x)[at] = word;
	assert_int_equal(world_background(x, 1 << 20), -EBADMSG);
	assert_int_equal(lane_failed(store_lane(x->w, 0)), -EBADMSG);
}

static uint64_t first_frag(struct world *x, unsigned *lap, struct frag *fr)
{
	struct lane *l = store_lane(x->w, 0);
	uint64_t at = (l->committed_pos - 2) % l->entries;	/* FRAG SEAL */

	assert_int_equal(ent_kind(ring_of(x)[at]), ENT_FRAG);
	*lap = ent_lap(ring_of(x)[at]);
	*fr = ent_frag_get(ring_of(x)[at]);
	return at;
}

static void checkpoint_world(struct fixture *f, uint64_t *at, unsigned *lap, struct frag *fr)
{
	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 2), 0);
	put(&f->x, 0, 500);
	*at = first_frag(&f->x, lap, fr);
}

static void test_a_word_of_another_lap(void **state)
{
	struct frag fr;
	uint64_t at;
	unsigned lap;

	checkpoint_world(*state, &at, &lap, &fr);
	plant(&((struct fixture *)*state)->x, ent_frag(fr, (lap + 1) % ENT_LAPS), at);
}

static void test_a_word_that_names_the_neighbours_bytes(void **state)
{
	struct frag fr;
	uint64_t at;
	unsigned lap;

	checkpoint_world(*state, &at, &lap, &fr);
	fr.idx += WORLD_BUFS;
	plant(&((struct fixture *)*state)->x, ent_frag(fr, lap), at);
}

/* What a worker may use again is in no durable head's way: at any moment of a
 * checkpoint the head that certainly survives is at least as far as what is published. */
static int head_is_as_far(void *arg)
{
	struct world *x = arg, y;
	struct store_lane_stats s;
	struct wal_head h[2];
	uint64_t n, seq = 0;
	uint8_t *wal;

	assert_int_equal(store_stats(x->w, 0, &s), 0);
	after(x, &y, true);
	wal = pm_sim_bytes(y.pm, WORLD_NVMM "/wal", &n);
	memcpy(&h[0], wal + WAL_HEADS_A, sizeof(h[0]));
	memcpy(&h[1], wal + WAL_HEADS_B, sizeof(h[1]));
	for (int i = 0; i < 2; i++)
		if (head_decode(&h[i], 0) && h[i].seq > seq)
			seq = h[i].seq;
	world_fini(&y);
	assert_true(seq > s.settled_seq);
	return 0;
}

static void test_published_after_the_head(void **state)
{
	struct fixture *f = *state;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	put(&f->x, 0, 500);
	put(&f->x, 0, 50);
	f->x.step = head_is_as_far;
	f->x.step_arg = &f->x;
	assert_int_equal(world_background(&f->x, 1), 0);
	f->x.step = NULL;
}

/* ---- heads: the higher gen counts, wherever it stands ---- */

static void test_the_newer_head(void **state)
{
	struct fixture *f = *state;
	const uint8_t *uuid = NULL;
	struct walfile w;
	struct wal_head h;
	uint64_t n;
	uint8_t *wal;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	world_kill(&f->x);
	wal = pm_sim_bytes(f->x.pm, WORLD_NVMM "/wal", &n);
	for (int newer = 0; newer < 2; newer++) {
		head_encode(&h, 0, 50 + !newer, 640, 7 + !newer);
		memcpy(wal + WAL_HEADS_A, &h, sizeof(h));
		head_encode(&h, 0, 50 + newer, 640, 7 + newer);
		memcpy(wal + WAL_HEADS_B, &h, sizeof(h));
		assert_int_equal(walfile_open_ro(&w, pm_sim_ops(f->x.pm), WORLD_NVMM, uuid), 0);
		assert_int_equal(w.lane[0].gen, 51);
		assert_int_equal(w.lane[0].seq, 8);
		walfile_close(&w);
	}
}

static int one_copy_is_whole(void *arg, struct pm_sim *image)
{
	struct wal_head h[2];
	uint64_t n;
	uint8_t *wal = pm_sim_bytes(image, WORLD_NVMM "/wal", &n);

	(void)arg;
	memcpy(&h[0], wal + WAL_HEADS_A, sizeof(h[0]));
	memcpy(&h[1], wal + WAL_HEADS_B, sizeof(h[1]));
	assert_true(head_decode(&h[0], 0) || head_decode(&h[1], 0));
	return 0;
}

static int at_step(void *arg, enum pm_sim_op op)
{
	(void)op;
	assert_int_equal(pm_sim_states(arg, 1000, 10, 1, one_copy_is_whole, NULL, NULL), 0);
	return 0;
}

/* One copy is damaged already: the other is not the first to be written. */
static void test_a_head_with_one_good_copy(void **state)
{
	struct fixture *f = *state;
	struct walfile w;

	f->x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&f->x, 1), 0);
	world_kill(&f->x);
	for (int copy = 0; copy < 2; copy++) {
		struct pm_sim *pm = pm_sim_killed(f->x.pm);
		uint64_t at = copy ? WAL_HEADS_B : WAL_HEADS_A;

		assert_int_equal(pm_sim_flip(pm, WORLD_NVMM "/wal", 8 * at + 100), 0);
		assert_int_equal(walfile_open(&w, pm_sim_ops(pm), WORLD_NVMM, false, NULL), 0);
		pm_sim_step(pm, at_step, pm);
		walfile_head(&w, 0, 128, 3);
		walfile_head(&w, 0, 256, 4);
		pm_sim_step(pm, NULL, NULL);
		walfile_close(&w);
		pm_sim_free(pm);
	}
}

/* A segment that was prepared, then written to by a batch whose header did not reach the
 * disk: none of it is there when it is used, or it would be told as damage. */
static void test_a_prepared_segment_that_was_written_to(void **state)
{
	static uint8_t junk[WORLD_SEGMENT];
	struct fixture *f = *state;
	struct report rep;
	struct rec_tool tool;

	assert_int_equal(world_open(&f->x, 1), 0);
	put(&f->x, 0, 100);
	assert_int_equal(world_background(&f->x, 1 << 20), 0);
	assert_int_equal(world_close(&f->x), 0);
	memset(junk + 40000, 7, 100);
	assert_int_equal(blk_sim_put(f->x.blk, WORLD_STORE "/log/000/00000002.seg", junk, sizeof(junk)), 0);
	assert_int_equal(world_open(&f->x, 1), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(world_background(&f->x, 1 << 20), 0);
		put(&f->x, 0, 12000);
	}
	assert_int_equal(world_close(&f->x), 0);
	world_tool(&f->x, &tool);
	store_check(&tool, &rep);
	assert_int_equal(report_verdict(&rep), 0);
	report_fini(&rep);
}

/* Prepared segments that are not used leave no hole in the numbers: neither when there
 * are two (the header of the first could not be written), nor when one is of a size that
 * is not wanted any more. */
static void test_numbers_without_holes(void **state)
{
	static const uint8_t zeros[2 * WORLD_SEGMENT];
	struct fixture *f = *state;
	struct report rep;
	struct rec_tool tool;

	for (unsigned size = 1; size <= 2; size++) {
		assert_int_equal(world_open(&f->x, 1), 0);
		put(&f->x, 0, 100);
		assert_int_equal(world_close(&f->x), 0);
		for (unsigned i = 1; i <= 2; i++) {
			char name[64];

			snprintf(name, sizeof(name), WORLD_STORE "/log/000/%08x.seg", size * 3 - 2 + i);
			assert_int_equal(blk_sim_put(f->x.blk, name, zeros, size * WORLD_SEGMENT), 0);
		}
		assert_int_equal(world_open(&f->x, 1), 0);
		for (int i = 0; i < 9; i++) {
			assert_int_equal(world_background(&f->x, 1 << 20), 0);
			put(&f->x, 0, 14000);
		}
		assert_int_equal(world_close(&f->x), 0);
		world_tool(&f->x, &tool);
		store_check(&tool, &rep);
		assert_int_equal(report_verdict(&rep), 0);
		assert_int_equal(rep.findings, 0);
		assert_int_equal(rep.lane[0].segments, size == 1 ? 3 : 6);
		report_fini(&rep);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_starts_fsync), T(test_starts_nvmm), T(test_stops),
		T(test_stop_with_a_batch_on_its_way), T(test_a_header_that_is_not_written),
		T(test_a_commit_that_does_not_begin), T(test_a_word_of_another_lap),
		T(test_a_word_that_names_the_neighbours_bytes), T(test_published_after_the_head),
		T(test_the_newer_head), T(test_a_head_with_one_good_copy),
		T(test_a_prepared_segment_that_was_written_to), T(test_numbers_without_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
