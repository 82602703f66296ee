/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_findings.c - what a look finds, in full: which numbers or bytes, of which lane, where, for
 * which reason, and in which words; and how far it says that it is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../crash/world.h"
#include "files/storefile.h"
#include "segment/segment.h"
#include "util/crc32c.h"

static struct world x;
static struct model model;
static struct report rep;

static int setup(void **state)
{
	(void)state;
	world_init(&x, CLASS_NVMM, pm_sim_new(), blk_sim_new(), &model);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	report_fini(&rep);
	world_fini(&x);
	model_free(&model);
	model = (struct model){ 0 };
	return 0;
}

static void again(enum durability_class cls)
{
	teardown(NULL);
	setup(NULL);
	x.cls = cls;
}

static void put(unsigned lane, uint32_t len)
{
	assert_int_equal(world_put(&x, lane, len), 0);
}

static int look(bool give_up)
{
	struct rec_tool t;

	report_fini(&rep);
	world_tool(&x, &t);
	t.give_up = give_up;
	store_check(&t, &rep);
	return report_verdict(&rep);
}

/* The only finding. */
static void found(struct rec_finding want)
{
	const struct rec_finding *g = rep.finding;

	assert_int_equal(rep.findings, 1);
	assert_int_equal(g->lane, want.lane);
	assert_int_equal(g->from_seq, want.from_seq);
	assert_int_equal(g->to_seq, want.to_seq);
	assert_int_equal(g->reason, want.reason);
	assert_int_equal(g->state, want.state);
	assert_int_equal(g->place, want.place);
	assert_int_equal(g->segno, want.segno);
	assert_int_equal(g->offset, want.offset);
	assert_int_equal(g->bytes, want.bytes);
	assert_string_equal(g->what, want.what);
}

/* ---- what is kept twice ---- */

#define STORE_FILE WORLD_STORE "/store"

static const struct {
	uint64_t at;
	unsigned lane;
	const char *what;
} of_store[] = {
	{ 0, 0, "copy A of the store block" }, { 4096, 0, "copy B of the store block" },
	{ STOREFILE_LANES_A + 64, 1, "copy A of the lane's entry in the table" },
	{ STOREFILE_LANES_B + 64, 1, "copy B of the lane's entry in the table" },
	{ STOREFILE_LANES_A, 0, "copy A of the lane's entry in the table" },
	{ STOREFILE_LANES_B, 0, "copy B of the lane's entry in the table" },
};

/* While it is open a crash may have torn one; after a clean stop nothing has. */
static void test_copies_in_the_store(void **state)
{
	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		again(CLASS_FSYNC);
		assert_int_equal(world_open(&x, 2), 0);
		put(0, 100);
		put(1, 100);
		if (closed)
			assert_int_equal(world_close(&x), 0);
		else
			world_die(&x);
		assert_int_equal(look(false), closed ? 0 : 1);
		assert_int_equal(rep.findings, 0);
		for (unsigned i = 0; i < 6; i++) {
			blk_sim_flip(x.blk, STORE_FILE, of_store[i].at * 8 + 100);
			assert_int_equal(look(false), closed ? 2 : 1);
			found((struct rec_finding){ .lane = of_store[i].lane, .from_seq = 1,
				.reason = closed ? GAP_DAMAGE : GAP_TORN, .state = closed ? RF_DAMAGE : RF_NEW,
				.place = RP_STORE, .offset = of_store[i].at, .what = of_store[i].what });
			blk_sim_flip(x.blk, STORE_FILE, of_store[i].at * 8 + 100);
		}
		/* Both copies of an entry are damaged: that no crash has done. */
		for (unsigned i = 2; i < 4; i++)
			blk_sim_flip(x.blk, STORE_FILE, of_store[i].at * 8 + 100);
		assert_int_equal(look(false), 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_string_equal(rep.finding[i].what, of_store[2 + i].what);
			assert_int_equal(rep.finding[i].state, RF_DAMAGE);
			assert_int_equal(rep.finding[i].reason, GAP_DAMAGE);
		}
		for (unsigned i = 2; i < 4; i++)
			blk_sim_flip(x.blk, STORE_FILE, of_store[i].at * 8 + 100);
		for (unsigned i = 0; i < 2; i++) {	/* and what cannot be read */
			blk_sim_bad(x.blk, STORE_FILE, of_store[i].at);
			assert_int_equal(look(false), 2);
			found((struct rec_finding){ .from_seq = 1, .reason = ABSENT_UNREADABLE, .state = RF_DAMAGE,
				.place = RP_STORE, .offset = of_store[i].at, .what = of_store[i].what });
			blk_sim_well(x.blk, STORE_FILE);
		}
		for (unsigned i = 0; i < 2; i++) {	/* both lanes' entries are in it */
			blk_sim_bad(x.blk, STORE_FILE, i ? STOREFILE_LANES_B : STOREFILE_LANES_A);
			assert_int_equal(look(false), 2);
			assert_true(rep.findings >= 2);
			for (unsigned lane = 0; lane < 2; lane++) {
				assert_int_equal(rep.finding[lane].lane, lane);
				assert_int_equal(rep.finding[lane].reason, ABSENT_UNREADABLE);
				assert_int_equal(rep.finding[lane].offset, (i ? STOREFILE_LANES_B : STOREFILE_LANES_A) + 64 * lane);
				assert_string_equal(rep.finding[lane].what, of_store[2 + i].what);
			}
			blk_sim_well(x.blk, STORE_FILE);
		}
	}
}

static void test_copies_in_the_wal(void **state)
{
	static const struct {
		uint64_t at;
		enum rec_place place;
		unsigned lane;
		bool torn;
		const char *what;
	} rows[] = {
		{ WAL_SUPER_A, RP_WAL_SUPER, 0, false, "copy A of the superblock" },
		{ WAL_SUPER_B, RP_WAL_SUPER, 0, false, "copy B of the superblock" },
		{ WAL_HEADS_A, RP_WAL_HEAD, 0, true, "copy A of the head" },
		{ WAL_HEADS_B, RP_WAL_HEAD, 0, true, "copy B of the head" },
		{ WAL_HEADS_A + 64, RP_WAL_HEAD, 1, true, "copy A of the head" },
		{ WAL_HEADS_B + 64, RP_WAL_HEAD, 1, true, "copy B of the head" },
	};

	(void)state;
	assert_int_equal(world_open(&x, 2), 0);
	put(0, 100);
	put(1, 100);
	world_die(&x);
	for (unsigned i = 0; i < 6; i++) {
		struct pm_sim *was = x.pm;

		pm_sim_flip(x.pm, WORLD_NVMM "/wal", rows[i].at * 8 + 70);
		assert_int_equal(look(false), rows[i].torn ? 1 : 2);
		found((struct rec_finding){ .lane = rows[i].lane, .from_seq = 1, .reason = rows[i].torn ? GAP_TORN :
			GAP_DAMAGE, .state = rows[i].torn ? RF_NEW : RF_DAMAGE, .place = rows[i].place,
			.offset = rows[i].at, .what = rows[i].what });
		assert_int_equal(rep.lane[0].replay_records, 1);
		assert_int_equal(rep.lane[1].replay_records, 1);
		pm_sim_flip(x.pm, WORLD_NVMM "/wal", rows[i].at * 8 + 70);
		x.pm = pm_sim_killed(was);
		pm_sim_bad(x.pm, WORLD_NVMM "/wal", rows[i].at);
		assert_int_equal(look(false), 2);
		found((struct rec_finding){ .lane = rows[i].lane, .from_seq = 1, .reason = ABSENT_UNREADABLE,
			.state = RF_DAMAGE, .place = rows[i].place, .offset = rows[i].at, .what = rows[i].what });
		pm_sim_free(x.pm);
		x.pm = was;
	}
	/* Both copies of a head: the lane has to be given up; the other has what it had. */
	pm_sim_flip(x.pm, WORLD_NVMM "/wal", WAL_HEADS_A * 8 + 70);
	pm_sim_flip(x.pm, WORLD_NVMM "/wal", WAL_HEADS_B * 8 + 70);
	assert_int_equal(look(false), 3);
	assert_int_equal(rep.error, STORE_EFORMAT);
	assert_string_equal(rep.why, WORLD_NVMM ": a lane's head in the attached wal has no valid copy; if it cannot be "
			    "restored, `pasted-recover repair --give-up-wal` goes on without what only it held");
	assert_int_equal(look(true), 2);
	assert_int_equal(rep.findings, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rep.finding[i].place, RP_WAL_HEAD);
		assert_int_equal(rep.finding[i].state, RF_DAMAGE);
		assert_int_equal(rep.finding[i].reason, GAP_DAMAGE);
	}
	assert_int_equal(rep.finding[2].reason, GAP_WAL_LOST);
	assert_int_equal(rep.finding[2].from_seq, 1);
	assert_int_equal(rep.finding[2].to_seq, REC_LOST_SKIP);
	assert_int_equal(rep.lane[0].next_seq, 1 + REC_LOST_SKIP);
	assert_int_equal(rep.lane[1].replay_records, 1);
	assert_int_equal(rep.lane[1].next_seq, 2);
	/* Its place was said, too: the same. */
	{
		struct rec_tool t;

		report_fini(&rep);
		world_tool(&x, &t);
		t.nvmm_path = WORLD_NVMM;
		t.give_up = true;
		assert_int_equal(store_check(&t, &rep), 0);
		assert_int_equal(rep.facts.wal, RW_HEADLESS);
		assert_int_equal(rep.lane[1].replay_records, 1);
	}
}

/* ---- numbers ---- */

/* Until the lane has so many segments. */
static void grow(unsigned lane, unsigned segments)
{
	struct store_lane_stats s;

	do {
		put(lane, 4000);
		world_background(&x, 1 << 20);
		assert_int_equal(store_stats(x.w, lane, &s), 0);
	} while (s.segments < segments);
	for (unsigned i = 0; i < 3; i++) {
		put(lane, 4000);
		world_background(&x, 1 << 20);
	}
}

static uint64_t first_of(unsigned lane, unsigned segno)
{
	char path[64];
	struct seg_header h;
	const uint8_t *b;
	uint64_t n;

	snprintf(path, sizeof(path), WORLD_STORE "/log/%03u/%08x.seg", lane, segno);
	b = blk_sim_bytes(x.blk, path, &n);
	assert_non_null(b);
	memcpy(&h, b, sizeof(h));
	return h.first_seq;
}

static void drop(unsigned lane, unsigned segno)
{
	const struct blk_ops *blk = blk_sim_ops(x.blk);
	char path[64];

	snprintf(path, sizeof(path), WORLD_STORE "/log/%03u/%08x.seg", lane, segno);
	assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
}

/* Segments that are missing, at each end and in between. */
static void test_missing_segments(void **state)
{
	uint64_t second, third, last;

	(void)state;
	for (unsigned gone = 1; gone < 4; gone++) {
		again(CLASS_FSYNC);
		assert_int_equal(world_open(&x, 2), 0);
		put(0, 10);
		grow(1, 3);
		last = lane_durable(store_lane(x.w, 1));
		assert_int_equal(world_close(&x), 0);
		second = first_of(1, 2);
		third = first_of(1, 3);
		drop(1, gone);
		assert_int_equal(look(false), 2);
		if (gone == 1)
			found((struct rec_finding){ .lane = 1, .from_seq = 1, .to_seq = second - 1, .reason = ABSENT_MISSING,
				.state = RF_DAMAGE, .place = RP_SEGMENT, .segno = 1,
				.what = "the lane's oldest segments are missing" });
		else if (gone == 2)
			found((struct rec_finding){ .lane = 1, .from_seq = second, .to_seq = third - 1,
				.reason = ABSENT_MISSING, .state = RF_DAMAGE, .place = RP_SEGMENT, .segno = 2,
				.offset = rep.finding[0].offset, .bytes = rep.finding[0].bytes,
				.what = rep.finding[0].what });
		else
			found((struct rec_finding){ .lane = 1, .from_seq = third, .to_seq = last, .reason = ABSENT_MISSING,
				.state = RF_NEW, .place = RP_SEGMENT, .segno = 3,
				.what = "the lane's newest segments are missing" });
		assert_int_equal(rep.lane[1].next_seq, last + 1);
		assert_int_equal(rep.lane[1].oldest_seq, gone == 1 ? second : 1);
		assert_int_equal(rep.lane[0].next_seq, 2);
		assert_int_equal(rep.lane[0].records, 1);
	}
}

/* The table is lost, and with it whether the first records had expired or are missing. */
static void test_unknown_beginning(void **state)
{
	uint64_t oldest, newest;

	(void)state;
	again(CLASS_FSYNC);
	x.retain_bytes = 4 * WORLD_SEGMENT;
	assert_int_equal(world_open(&x, 1), 0);
	do {
		put(0, 4000);
		world_background(&x, 1 << 20);
		assert_int_equal(store_read_bounds(x.w, 0, &oldest, &newest), 0);
	} while (oldest == 1);
	assert_int_equal(world_close(&x), 0);
	assert_int_equal(look(false), 0);
	assert_int_equal(rep.findings, 0);
	assert_int_equal(rep.lane[0].oldest_seq, oldest);
	blk_sim_flip(x.blk, STORE_FILE, STOREFILE_LANES_A * 8 + 100);
	blk_sim_flip(x.blk, STORE_FILE, STOREFILE_LANES_B * 8 + 100);
	assert_int_equal(look(false), 2);
	assert_int_equal(rep.findings, 3);
	assert_int_equal(rep.finding[2].from_seq, 1);
	assert_int_equal(rep.finding[2].to_seq, oldest - 1);
	assert_int_equal(rep.finding[2].reason, ABSENT_GONE);
	assert_int_equal(rep.finding[2].state, RF_EXPLAINED);
	assert_int_equal(rep.finding[2].place, RP_NOWHERE);
	assert_string_equal(rep.finding[2].what, "they have expired, or their files were removed: what would tell is "
			    "lost");
	/* The next file is ready and was not used: the log ended in front of it. */
	assert_int_equal(rep.lane[0].next_seq, newest + 1);
}

/* The wal counts on segments that are missing: what it has comes behind them. */
static void test_wal_apart(void **state)
{
	uint64_t settled;

	(void)state;
	assert_int_equal(world_open(&x, 1), 0);
	for (unsigned i = 0; i < 4; i++)
		put(0, 500);
	assert_int_equal(world_background(&x, 1 << 20), 0);
	settled = lane_durable(store_lane(x.w, 0));
	put(0, 300);
	put(0, 300);
	world_die(&x);
	drop(0, 1);
	assert_int_equal(look(false), 2);
	assert_string_equal(rep.lane[0].row->label, "apart");
	assert_int_equal(rep.lane[0].replay_records, 2);
	assert_int_equal(rep.lane[0].replay_bytes, 600);
	assert_int_equal(rep.lane[0].next_seq, settled + 3);
	found((struct rec_finding){ .from_seq = 1, .to_seq = settled, .reason = ABSENT_MISSING, .state = RF_NEW,
		.place = rep.finding[0].place, .segno = rep.finding[0].segno, .what = rep.finding[0].what });
}

/* ---- figures ---- */

static uint64_t frame(uint32_t len)
{
	return (sizeof(struct frame_header) + len + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
}

/* What a lane has, what of it may not be synced, and what stands behind it. */
static void test_figures(void **state)
{
	uint64_t end = SEG_DATA + frame(100) + frame(3001) + frame(55) + frame(56);

	(void)state;
	again(CLASS_FSYNC);
	assert_int_equal(world_open(&x, 2), 0);
	put(1, 77);
	put(0, 100);
	put(0, 3001);
	assert_int_equal(world_record(&x, 0, 55, false), 0);
	put(0, 56);				/* with the one before it */
	world_die(&x);
	assert_int_equal(look(false), 1);
	assert_int_equal(rep.lanes, 2);
	assert_int_equal(rep.lane[0].lane, 0);
	assert_int_equal(rep.lane[0].records, 4);
	assert_int_equal(rep.lane[0].bytes, 100 + 3001 + 55 + 56);
	assert_int_equal(rep.lane[0].oldest_seq, 1);
	assert_int_equal(rep.lane[0].next_seq, 5);
	assert_int_equal(rep.lane[0].tail_bytes | rep.lane[0].tail_words | rep.lane[0].replay_records, 0);
	assert_string_equal(rep.lane[0].row->label, "whole");
	assert_int_equal(rep.lane[1].lane, 1);
	assert_int_equal(rep.lane[1].records, 1);
	assert_int_equal(rep.lane[1].bytes, 77);
	/* Something behind the last frame: after a crash nobody was promised it. */
	blk_sim_flip(x.blk, WORLD_STORE "/log/000/00000001.seg", (end + 999) * 8);
	assert_int_equal(look(false), 1);
	assert_int_equal(rep.findings, 0);
	assert_string_equal(rep.lane[0].row->label, "torn");
	assert_in_range(rep.lane[0].tail_bytes, 1000, 1000 + 512);
	assert_int_equal(rep.lane[0].next_seq, 5);
	assert_int_equal(rep.lane[1].tail_bytes, 0);
	/* After a clean stop it was: as many numbers as it has room for are not given again. */
	assert_int_equal(world_open(&x, 2), 0);
	assert_int_equal(world_close(&x), 0);
	assert_int_equal(look(false), 0);
	blk_sim_flip(x.blk, WORLD_STORE "/log/000/00000001.seg", (end + 999) * 8);
	assert_int_equal(look(false), 2);
	assert_int_equal(rep.findings, 1);
	assert_int_equal(rep.finding[0].place, RP_SEGMENT);
	assert_int_equal(rep.finding[0].segno, 1);
	assert_int_equal(rep.finding[0].offset, end);
	assert_in_range(rep.finding[0].bytes, 1000, 1000 + 512);
	assert_int_equal(rep.finding[0].reason, ABSENT_DAMAGE);
	assert_int_equal(rep.lane[0].tail_bytes, 0);
	/* In the wal: what is there only, and words that were never acknowledged. */
	again(CLASS_NVMM);
	assert_int_equal(world_open(&x, 2), 0);
	put(1, 500);
	put(1, 600);
	assert_int_equal(world_background(&x, 1 << 20), 0);
	put(1, 700);
	put(1, 800);
	assert_int_equal(world_record(&x, 1, 40, false), 0);
	world_die(&x);
	assert_int_equal(look(false), 1);
	assert_int_equal(rep.lane[1].records, 2);
	assert_int_equal(rep.lane[1].bytes, 1100);
	assert_int_equal(rep.lane[1].replay_records, 2);
	assert_int_equal(rep.lane[1].replay_bytes, 1500);
	assert_int_equal(rep.lane[1].next_seq, 5);
	assert_string_equal(rep.lane[1].row->label, "replay");
	assert_int_equal(rep.lane[0].replay_records, 0);
	assert_string_equal(rep.lane[0].row->label, "settled");
}

/* What has expired is not told as missing, however many starts come after it. */
static void test_expired_stays_expired(void **state)
{
	uint64_t oldest, newest;

	(void)state;
	again(CLASS_FSYNC);
	x.retain_bytes = 8 * WORLD_SEGMENT;
	assert_int_equal(world_open(&x, 2), 0);
	put(0, 10);
	do {
		put(1, 4000);
		world_background(&x, 1 << 20);
		assert_int_equal(store_read_bounds(x.w, 1, &oldest, &newest), 0);
	} while (oldest < 20);
	for (unsigned i = 0; i < 6; i++) {
		struct storefile_lane e = { 0 };
		struct storefile s;

		if (i % 2)
			assert_int_equal(world_close(&x), 0);
		world_die(&x);
		assert_int_equal(look(false), i % 2 ? 0 : 1);
		assert_int_equal(rep.findings, 0);
		assert_int_equal(rep.lane[1].oldest_seq, oldest);
		assert_int_equal(storefile_open(&s, blk_sim_ops(x.blk), WORLD_STORE, true, NULL, 0), 0);
		e = *storefile_lane(&s, 1);
		storefile_close(&s);
		assert_int_equal(e.low_seq, oldest);
		assert_true(e.low_segno > 1);
		assert_true(e.high_segno >= e.low_segno + 2);
		assert_int_equal(e.flags, 0);
		assert_true(e.next_seq <= newest + 1);
		assert_int_equal(first_of(1, (unsigned)e.low_segno), oldest);
		assert_int_equal(world_open(&x, i == 3 ? 1 : 2), 0);
	}
}

/* ---- how far it is ---- */

static uint64_t most, total, steps;
static char last[64];

static void progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
	assert_ptr_equal(arg, &most);
	most = done > most ? done : most;
	total = all;
	snprintf(last, sizeof(last), "%s", what);
	steps++;
}

/* While records are written out they themselves show how far it is. */
static int quiet_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data, uint32_t len)
{
	uint64_t *then = arg;

	(void)lane, (void)seq, (void)time_ms, (void)data, (void)len;
	if (!*then)
		*then = steps;
	assert_int_equal(steps, *then);
	return 0;
}

static void test_progress(void **state)
{
	struct rec_tool t;

	(void)state;
	again(CLASS_FSYNC);
	assert_int_equal(world_open(&x, 2), 0);
	put(0, 10);
	grow(1, 3);
	assert_int_equal(world_close(&x), 0);
	for (unsigned quick = 0; quick < 2; quick++) {
		report_fini(&rep);
		most = total = steps = 0;
		world_tool(&x, &t);
		t.progress = progress;
		t.progress_arg = &most;
		t.quick = quick;
		assert_int_equal(store_check(&t, &rep), 0);
		assert_true(steps > 0);
		assert_string_equal(last, "checking");
		assert_int_equal(total % WORLD_SEGMENT, 0);
		if (quick)		/* the last of each lane */
			assert_int_equal(total, 2 * WORLD_SEGMENT);
		else			/* all that there are, with those that are only ready */
			assert_in_range(total, 4 * WORLD_SEGMENT, 6 * WORLD_SEGMENT);
		assert_true(most > 0 && most <= total);
	}
	again(CLASS_NVMM);
	assert_int_equal(world_open(&x, 1), 0);
	for (unsigned i = 0; i < 4; i++)
		put(0, 1000);
	world_die(&x);
	{
		uint64_t then = 0;

		steps = 0;
		world_tool(&x, &t);
		t.progress = progress;
		t.progress_arg = &most;
		assert_int_equal(store_dump(&t, &rep, &(struct rec_dump){ &then, quiet_record, NULL }), 0);
		assert_true(then > 0);
		assert_int_equal(steps, then);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_copies_in_the_store), T(test_copies_in_the_wal), T(test_missing_segments),
		T(test_unknown_beginning), T(test_wal_apart), T(test_figures),
		T(test_expired_stays_expired), T(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
