/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_seg_faults.c - files of segments that lose their header, are cut, cannot be read, or are
 * gone, under a whole store: what is there still comes back, no number is given again, the tools
 * and the server say the same, and what is no damage is not told as such.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../crash/world.h"
#include "locks.h"
#include "segment/seg_scan.h"

#define LANE0 WORLD_STORE "/log/000"

struct fixture {
	struct world x;
	struct model model;
	struct report rep;
	struct got got;
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
	got_free(&f->got);
	world_fini(&f->x);
	model_free(&f->model);
	free(f);
	return 0;
}

/* ---- a store ---- */

static void commit(struct fixture *f)
{
	assert_int_equal(world_commit(&f->x, 0), 0);
	assert_int_equal(world_synced(&f->x, 0), 0);
}

static void put(struct fixture *f, uint32_t len)
{
	assert_int_equal(world_put(&f->x, 0, len), 0);
}

static void background(struct fixture *f)
{
	assert_int_equal(world_background(&f->x, 1u << 20), 0);
}

static void die(struct fixture *f)
{
	world_die(&f->x);
}

static void end_life(struct fixture *f, bool closed)
{
	if (closed)
		assert_int_equal(world_close(&f->x), 0);
	else
		die(f);
}

/* Empty again, of that class, and open. */
static void begin(struct fixture *f, enum durability_class cls)
{
	world_fini(&f->x);
	model_free(&f->model);
	world_init(&f->x, cls, pm_sim_new(), blk_sim_new(), &f->model);
	assert_int_equal(world_open(&f->x, 1), 0);
}

static void path_of(char path[64], uint64_t segno)
{
	snprintf(path, 64, LANE0 "/%08" PRIx64 ".seg", segno);
}

static uint64_t last_used(struct fixture *f)
{
	const uint8_t *p;
	uint64_t segno = 0, len;
	char path[64];

	do
		path_of(path, ++segno);
	while ((p = blk_sim_bytes(f->x.blk, path, &len)) && (!len || p[0]));	/* one that was cut was used */
	return segno - 1;
}

/* Zeros over [off, off + n) of a segment. */
static void zero(struct fixture *f, uint64_t segno, uint64_t off, uint64_t n)
{
	const uint8_t *now;
	uint8_t *file;
	char path[64];
	uint64_t len;

	path_of(path, segno);
	now = blk_sim_bytes(f->x.blk, path, &len);
	assert_non_null(now);
	file = malloc(len);
	memcpy(file, now, len);
	memset(file + off, 0, n);
	assert_int_equal(blk_sim_put(f->x.blk, path, file, len), 0);
	free(file);
}

static int add(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
	       uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

/* check and dump; the verdict.  All that the model has is there. */
static int verdict(struct fixture *f)
{
	struct rec_tool tool;
	char why[256] = "";

	report_fini(&f->rep);
	got_clear(&f->got);
	world_tool(&f->x, &tool);
	assert_int_equal(store_dump(&tool, &f->rep, &(struct rec_dump){ &f->got, add, NULL }), 0);
	if (model_judge(&f->model, &f->got, why, sizeof(why)))
		fail_msg("%s", why);
	return report_verdict(&f->rep);
}

/* A start has the same records, and goes on behind every number that a client knows. */
static void start(struct fixture *f)
{
	uint64_t top = f->model.lane[0].top;
	struct got now = { 0 };
	char why[256] = "";

	if (world_open(&f->x, 1))
		fail_msg("%s", f->x.why);
	world_read(&f->x, &now);
	if (!got_same(&f->got, &now, why, sizeof(why)))
		fail_msg("%s", why);
	got_free(&now);
	assert_true(lane_durable(store_lane(f->x.w, 0)) >= top);
}

/* What the model must not ask for any more. */
static void is_lost(struct fixture *f, uint64_t seq)
{
	f->model.lane[0].v[seq - 1].acked = false;
}

/* ---- both copies of the last segment's header are zero ---- */

/* One batch, and nobody knows whether it was acknowledged: it is there, and no damage. */
static void test_one_batch_without_a_header(void **state)
{
	struct fixture *f = *state;

	begin(f, CLASS_FSYNC);
	assert_int_equal(world_record(&f->x, 0, 300, false), 0);
	put(f, 700);
	die(f);
	zero(f, 1, 0, SEG_DATA);
	assert_int_equal(verdict(f), 1);
	assert_int_equal(f->rep.findings, 1);
	assert_int_equal(f->rep.finding[0].reason, ABSENT_TORN);
	start(f);
	put(f, 50);
	die(f);
	assert_int_equal(verdict(f), 1);
	assert_int_equal(f->rep.findings, 0);
}

/* The lane table, or the wal, says that it was durable: then it is damage. */
static void test_a_used_segment_without_a_header(void **state)
{
	static const enum durability_class cls[] = { CLASS_FSYNC, CLASS_NVMM };
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		begin(f, cls[i]);
		assert_int_equal(world_record(&f->x, 0, 300, false), 0);
		put(f, 700);
		background(f);
		die(f);
		zero(f, 1, 0, SEG_DATA);
		assert_int_equal(verdict(f), 2);
		assert_int_equal(f->rep.finding[0].what[0], 'b');	/* both copies */
		start(f);
		put(f, 50);
		die(f);
		assert_int_equal(verdict(f), 1);
	}
}

/* And so it is where the first frame is damaged too: the one behind it is there. */
static void test_a_used_segment_without_its_begin(void **state)
{
	static const enum durability_class cls[] = { CLASS_FSYNC, CLASS_NVMM };
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		begin(f, cls[i]);
		assert_int_equal(world_record(&f->x, 0, 300, false), 0);
		put(f, 700);
		background(f);
		die(f);
		zero(f, 1, 0, SEG_DATA + 40);
		is_lost(f, 1);
		assert_int_equal(verdict(f), 2);
		assert_int_equal(f->got.n, 1);
		start(f);
	}
}

/* ---- files that are cut ---- */

/* Every record that the dump does not have is told by check with that reason, and no other is. */
static void told_by_check(struct fixture *f, uint64_t seq, bool there, uint32_t reason)
{
	bool told = false;

	for (unsigned n = 0; n < f->rep.findings; n++) {
		const struct rec_finding *g = &f->rep.finding[n];

		if (g->from_seq > seq || g->to_seq < seq)
			continue;
		assert_int_equal(g->reason, reason);
		told = true;
	}
	assert_int_equal(told, !there);
}

/* .. and by the server. */
static void told_by_server(struct fixture *f, uint64_t seq, bool there, uint32_t reason)
{
	struct absence a;

	assert_int_equal(store_read_absent(f->x.w, 0, seq, &a), 0);
	assert_int_equal(a.reason, there ? ABSENT_NOT : reason);
}

static void lost(struct fixture *f, uint32_t reason, bool check, bool server)
{
	size_t k = 0;

	for (size_t i = 0; i < f->model.lane[0].n; i++) {
		uint64_t seq = f->model.lane[0].v[i].seq;
		bool there = k < f->got.n && f->got.v[k].seq == seq;

		k += there;
		if (check)
			told_by_check(f, seq, there, reason);
		if (server)
			told_by_server(f, seq, there, reason);
	}
	assert_int_equal(k, f->got.n);
}

static void lost_alike(struct fixture *f, uint32_t reason, bool server)
{
	lost(f, reason, true, server);
}

#define MANY 150u

/* Three segments and more of small records. */
static void many(struct fixture *f)
{
	for (unsigned n = 0; n < MANY; n++) {
		put(f, 1300);
		if (n % 10 == 0)
			background(f);
	}
	background(f);
}

struct expect {
	struct fixture *f;
	uint64_t segno, bytes;
};

static int cut_off(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	const struct expect *e = arg;

	if (si->segno == e->segno && fr->off + frame_bytes(fr->h.len) > e->bytes)
		is_lost(e->f, fr->h.seq);
	return 0;
}

/* What stands behind so many bytes of the segment. */
static void lose_end(struct fixture *f, uint64_t segno, uint64_t bytes)
{
	struct expect e = { f, segno, bytes };
	struct seg_scan_options o = { .blk = blk_sim_ops(f->x.blk), .dir = LANE0,
		.record = cut_off, .arg = &e };
	struct seg_lane l;
	char path[64];

	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.records, MANY);
	seg_lane_free(&l);
	path_of(path, segno);
	blk_sim_truncate(f->x.blk, path, bytes);
}

/* A segment's file has only so many bytes: what is whole in it is there, the rest is damage,
 * and check, dump and the server agree. */
static void test_cut_files(void **state)
{
	static const uint64_t cut[] = { WORLD_SEGMENT - 1, WORLD_SEGMENT - 9000, WORLD_SEGMENT / 2 + 3,
		SEG_DATA + 3 * 1352, SEG_DATA, 4096, 511, 1, 0 };
	struct fixture *f = *state;

	for (unsigned c = 0; c < 2 * 2 * 3 * sizeof(cut) / sizeof(cut[0]); c++) {
		uint64_t bytes = cut[c / 12], segno = 1 + c % 3;
		bool closed = c / 3 % 2, nvmm = c / 6 % 2;
		unsigned n = 0;

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		many(f);
		end_life(f, closed);
		lose_end(f, segno == 3 ? last_used(f) : segno, bytes);
		for (size_t i = 0; i < MANY; i++)
			n += f->model.lane[0].v[i].acked;
		assert_int_equal(verdict(f), 2);
		assert_int_equal(f->got.n, n);
		lost_alike(f, ABSENT_DAMAGE, false);
		start(f);
		lost_alike(f, ABSENT_DAMAGE, true);
		die(f);
		verdict(f);
		start(f);
		lost_alike(f, ABSENT_DAMAGE, true);
	}
}

/* Under an open store: what is there still is read, the rest is damage; the watch tells of it,
 * and the lane fails if the segment is the one that is written to. */
static void test_cut_while_open(void **state)
{
	static const uint64_t cut[] = { WORLD_SEGMENT - 9000, SEG_DATA + 5000, 1, 0 };
	struct fixture *f = *state;
	struct store_watch x;
	struct got now = { 0 };
	char path[64];
	uint64_t len;

	for (size_t c = 0; c < sizeof(cut) / sizeof(cut[0]); c++) {
		size_t k = 0;

		begin(f, CLASS_FSYNC);
		many(f);
		store_watch(f->x.w, &x);
		assert_int_equal(x.missing, 0);
		lose_end(f, 2, cut[c]);
		world_read(&f->x, &now);
		for (size_t i = 0; i < MANY; i++) {
			const struct model_rec *r = &f->model.lane[0].v[i];
			struct absence a;

			assert_int_equal(store_read_absent(f->x.w, 0, r->seq, &a), 0);
			assert_int_equal(a.reason, r->acked ? ABSENT_NOT : ABSENT_DAMAGE);
			assert_true(!r->acked || now.v[k++].seq == r->seq);
		}
		assert_int_equal(k, now.n);
		store_watch(f->x.w, &x);
		assert_int_equal(x.missing, 1);
		assert_int_equal(x.segno, 2);
		assert_false(x.gone);
		/* the prepared one is made again */
		path_of(path, last_used(f) + 1);
		blk_sim_truncate(f->x.blk, path, cut[c]);
		store_watch(f->x.w, &x);
		background(f);
		assert_non_null(blk_sim_bytes(f->x.blk, path, &len));
		assert_int_equal(len, WORLD_SEGMENT);
		assert_false(x.gone);
		path_of(path, last_used(f));
		blk_sim_truncate(f->x.blk, path, WORLD_SEGMENT - 1);
		assert_int_equal(lane_failed(store_lane(f->x.w, 0)), 0);
		store_watch(f->x.w, &x);
		assert_true(x.gone);
		assert_int_equal(lane_failed(store_lane(f->x.w, 0)), STORE_EGONE);
	}
	got_free(&now);
}

/* ---- files that cannot be read now ---- */

/* No byte of the segment can be read, or only the block at off cannot. */
static void spoil(struct fixture *f, uint64_t segno, uint64_t off)
{
	char path[64];

	path_of(path, segno);
	for (uint64_t at = 0; at < WORLD_SEGMENT; at += SIM_BLOCK)
		if (off == UINT64_MAX || at == off)
			assert_int_equal(blk_sim_bad(f->x.blk, path, at), 0);
}

static void mend(struct fixture *f, uint64_t segno)
{
	char path[64];

	path_of(path, segno);
	assert_int_equal(blk_sim_well(f->x.blk, path), 0);
}

static void all_acked(struct fixture *f, bool acked)
{
	for (size_t i = 0; i < f->model.lane[0].n; i++)
		f->model.lane[0].v[i].acked = acked;
}

static bool told(const struct fixture *f, uint32_t reason)
{
	for (unsigned n = 0; n < f->rep.findings; n++)
		if (f->rep.finding[n].reason == reason)
			return true;
	return false;
}

/* A sealed one: told as that, the others are read, it goes on; and it is read again when it can
 * be, by the running server too.  Nothing was written down. */
static void test_unreadable_segment(void **state)
{
	struct fixture *f = *state;
	struct got now = { 0 };

	for (int c = 0; c < 8; c++) {
		bool closed = c & 1, nvmm = c & 2;
		uint64_t segno = c & 4 ? 2 : 1;

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		many(f);
		end_life(f, closed);
		spoil(f, segno, UINT64_MAX);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		assert_in_range(f->got.n, 90, MANY - 30);
		lost_alike(f, ABSENT_UNREADABLE, false);
		start(f);
		lost_alike(f, ABSENT_UNREADABLE, true);
		put(f, 40);
		all_acked(f, false);
		die(f);
		verdict(f);
		start(f);
		lost_alike(f, ABSENT_UNREADABLE, true);
		mend(f, segno);
		all_acked(f, true);
		for (size_t i = 0; i < MANY; i++) {	/* who misses a record asks why */
			struct absence a;

			assert_int_equal(store_read_absent(f->x.w, 0, f->model.lane[0].v[i].seq, &a), 0);
			assert_int_equal(a.reason, ABSENT_NOT);
		}
		world_read(&f->x, &now);
		assert_int_equal(now.n, MANY + 1);
		die(f);
		assert_int_equal(verdict(f), 1);
		assert_int_equal(f->rep.findings, 0);
		start(f);
	}
	got_free(&now);
}

/* A store of many, whose second segment could not be read when it was opened. */
static void start_without_second(struct fixture *f, uint64_t retain_bytes)
{
	begin(f, CLASS_FSYNC);
	many(f);
	die(f);
	spoil(f, 2, UINT64_MAX);
	all_acked(f, false);
	verdict(f);
	f->x.retain_bytes = retain_bytes;
	start(f);
}

static uint64_t opens(struct fixture *f, uint64_t seq)
{
	uint64_t before = blk_sim_calls(f->x.blk, SIM_OPEN);
	struct absence a;

	assert_int_equal(store_read_absent(f->x.w, 0, seq, &a), 0);
	assert_int_equal(a.reason, ABSENT_NOT);
	return blk_sim_calls(f->x.blk, SIM_OPEN) - before;
}

/* Its header is another segment's, store's or lane's, or there is no file. */
enum other { OTHER_SEGMENT, OTHER_STORE, OTHER_LANE, OTHER_NONE, OTHERS };

static void put_other(struct fixture *f, enum other o)
{
	const struct blk_ops *blk = blk_sim_ops(f->x.blk);
	const uint8_t *now;
	struct seg_header h;
	uint8_t *file;
	char path[64];
	uint64_t len;

	path_of(path, o == OTHER_SEGMENT ? 1 : 2);
	now = blk_sim_bytes(f->x.blk, path, &len);
	file = malloc(len);
	memcpy(file, now, len);
	memcpy(&h, file, sizeof(h));
	h.store_uuid[0] ^= o == OTHER_STORE;
	h.lane ^= o == OTHER_LANE;
	seg_header_encode(&h);
	memcpy(file + SEG_HDR_A, &h, sizeof(h));
	memcpy(file + SEG_HDR_B, &h, sizeof(h));
	path_of(path, 2);
	assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
	if (o != OTHER_NONE)
		assert_int_equal(blk_sim_put(f->x.blk, path, file, len), 0);
	free(file);
}

/* When it is tried again it is gone, or another is there: that is told, and nothing of the other
 * is read. */
static void test_unreadable_then_gone(void **state)
{
	struct fixture *f = *state;
	struct got now = { 0 };

	for (enum other o = 0; o < OTHERS; o++) {
		start_without_second(f, 0);
		put_other(f, o);
		lost(f, o == OTHER_NONE ? ABSENT_MISSING : ABSENT_DAMAGE, false, true);
		world_read(&f->x, &now);
		assert_int_equal(now.n, f->got.n);
	}
	got_free(&now);
}

/* Retention removes the one before it: what is in there has not expired, and is there again when
 * it can be read, in this life of the server or the next.  For other records it is not tried. */
static void test_unreadable_and_retention(void **state)
{
	struct fixture *f = *state;
	struct absence a;
	uint64_t last = 0, n, seq;

	for (int again = 0; again < 2; again++) {
		start_without_second(f, 4 * WORLD_SEGMENT);
		for (seq = 1; !store_read_absent(f->x.w, 0, seq, &a) && a.reason == ABSENT_NOT; seq++)
			last = seq;
		assert_int_equal(a.reason, ABSENT_UNREADABLE);
		n = opens(f, 1);
		while (blk_sim_bytes(f->x.blk, LANE0 "/00000001.seg", &(uint64_t){ 0 })) {
			put(f, 1300);
			background(f);
		}
		for (int life = 0; life <= again; life++) {
			if (life) {
				die(f);
				all_acked(f, false);
				verdict(f);
				start(f);
			}
			assert_int_equal(store_read_absent(f->x.w, 0, last, &a), 0);
			assert_int_equal(a.reason, ABSENT_EXPIRED);
			assert_int_equal(store_read_absent(f->x.w, 0, seq, &a), 0);
			assert_int_equal(a.reason, ABSENT_UNREADABLE);
		}
		mend(f, 2);
		assert_int_equal(opens(f, seq) > 0, 1);
		assert_int_equal(opens(f, seq), n);
		assert_int_equal(store_read_absent(f->x.w, 0, last, &a), 0);
		assert_int_equal(a.reason, ABSENT_EXPIRED);
	}
}

/* Neither the one before it can be read: a floor holds what may be in that, until it is dropped. */
static void test_unreadable_and_floor(void **state)
{
	struct fixture *f = *state;
	struct floor floor = { 0 };
	uint64_t last = 0;
	struct absence a;

	start_without_second(f, 4 * WORLD_SEGMENT);
	for (uint64_t seq = 1; !store_read_absent(f->x.w, 0, seq, &a) && a.reason == ABSENT_NOT; seq++)
		last = seq;
	assert_int_equal(store_floor(f->x.w, 0, last, &floor), 0);
	spoil(f, 1, UINT64_MAX);
	for (int i = 0; i < 100; i++) {
		put(f, 1300);
		background(f);
	}
	assert_non_null(blk_sim_bytes(f->x.blk, LANE0 "/00000001.seg", &(uint64_t){ 0 }));
	store_floor_drop(f->x.w, &floor);
	put(f, 1300);
	background(f);
	assert_null(blk_sim_bytes(f->x.blk, LANE0 "/00000001.seg", &(uint64_t){ 0 }));
}

/* The last one: a start refuses, and changes nothing. */
static void test_unreadable_last_segment(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 4; c++) {
		bool closed = c & 1, nvmm = c & 2;
		struct blk_sim *was;
		struct report rep;
		struct rec_tool tool;
		uint64_t last;
		char where[128] = "";

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		many(f);
		end_life(f, closed);
		last = last_used(f);
		spoil(f, last, UINT64_MAX);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		assert_true(told(f, ABSENT_UNREADABLE));
		assert_false(told(f, ABSENT_DAMAGE) || told(f, ABSENT_MISSING));
		was = blk_sim_killed(f->x.blk);
		assert_int_equal(world_open(&f->x, 1), -EIO);
		assert_non_null(strstr(f->x.why, "cannot be read now"));
		assert_non_null(strstr(f->x.why, "no segment was written"));
		world_tool(&f->x, &tool);
		assert_int_equal(store_repair(&tool, &rep), -EIO);
		report_fini(&rep);
		if (!blk_sim_same(was, f->x.blk, where, sizeof(where)))
			fail_msg("%s was written", where);
		blk_sim_free(was);
		mend(f, last);
		all_acked(f, true);
		assert_int_equal(verdict(f), !closed);
		start(f);
	}
}

/* ---- the end of a lane that no worker writes to cannot be read ---- */

#define LANE1 WORLD_STORE "/log/001"

static void put1(struct fixture *f, uint32_t len)
{
	assert_int_equal(world_record(&f->x, 1, len, false), 0);
	assert_int_equal(world_commit(&f->x, 1), 0);
	assert_int_equal(world_synced(&f->x, 1), 0);
}

static const char *path1(uint64_t segno)
{
	static char path[64];

	snprintf(path, sizeof(path), LANE1 "/%08" PRIx64 ".seg", segno);
	return path;
}

static uint64_t last_used1(struct fixture *f)
{
	const uint8_t *p;
	uint64_t segno = 0, len;

	while ((p = blk_sim_bytes(f->x.blk, path1(++segno), &len)) && p[0])
		;
	return segno - 1;
}

/* Two lanes, of which the second has three segments, and ended so; the wal has nothing of it, or
 * its last record. */
static void two_lanes(struct fixture *f, enum durability_class cls, bool closed, bool in_wal)
{
	world_fini(&f->x);
	model_free(&f->model);
	world_init(&f->x, cls, pm_sim_new(), blk_sim_new(), &f->model);
	assert_int_equal(world_open(&f->x, 2), 0);
	for (unsigned i = 0; i < 100; i++) {
		put1(f, 1300);
		background(f);
	}
	put(f, 300);
	background(f);
	if (in_wal)
		put1(f, 100);
	if (closed)
		assert_int_equal(world_close(&f->x), 0);
	else
		die(f);
	assert_int_equal(last_used1(f), 3);
}

static void spoil1(struct fixture *f, uint64_t segno)
{
	for (uint64_t at = 0; at < WORLD_SEGMENT; at += SIM_BLOCK)
		assert_int_equal(blk_sim_bad(f->x.blk, path1(segno), at), 0);
}

/* What is asked of the second lane of the running server. */
static enum absent_reason why1(struct fixture *f, uint64_t seq)
{
	struct absence a;

	assert_int_equal(store_read_absent(f->x.w, 1, seq, &a), 0);
	return a.reason;
}

/* The files of the second lane, one behind the other. */
static uint8_t *all_of_it(struct fixture *f, uint64_t *n)
{
	uint8_t *all = NULL;
	const uint8_t *p;
	uint64_t len;

	*n = 0;
	for (uint64_t segno = 1; (p = blk_sim_bytes(f->x.blk, path1(segno), &len)); segno++) {
		all = realloc(all, *n + len);
		memcpy(all + *n, p, len);
		*n += len;
	}
	return all;
}

/* A start with one worker: what is readable of the second lane is read, what is not is unreadable
 * and not called absent, nothing of it is written; the first lane is written. */
static void life_without(struct fixture *f, bool exact)
{
	uint64_t n, m, top = f->model.lane[1].top, oldest, newest, there = 0;
	uint8_t *was = all_of_it(f, &n), *is;

	assert_int_equal(world_open(&f->x, 1), 0);
	assert_int_equal(store_open_report(f->x.w)->lane[1].unread_segno, 3);
	assert_int_equal(store_open_report(f->x.w)->lane[1].unread_err, -EIO);
	for (uint64_t seq = 1; seq <= top; seq++) {
		if (why1(f, seq) == ABSENT_NOT)
			there++;
		else
			assert_int_equal(why1(f, seq), ABSENT_UNREADABLE);
	}
	assert_in_range(there, 50, top - 5);
	assert_int_equal(why1(f, top + 1), exact ? ABSENT_NEVER : ABSENT_UNREADABLE);
	assert_int_equal(store_read_bounds(f->x.w, 1, &oldest, &newest), 0);
	assert_true(exact ? newest == top : newest > top);
	put(f, 500);
	background(f);
	is = all_of_it(f, &m);
	assert_int_equal(m, n);
	assert_memory_equal(is, was, n);
	free(is);
	free(was);
}

/* The second lane's entry in the table. */
static struct storefile_lane entry1(struct fixture *f)
{
	const uint8_t *p;
	struct storefile_lane e;
	uint64_t len;

	p = blk_sim_bytes(f->x.blk, WORLD_STORE "/store", &len);
	assert_non_null(p);
	memcpy(&e, p + STOREFILE_LANES_A + sizeof(e), sizeof(e));
	return e;
}

static void entry_stays(const struct storefile_lane *was, const struct storefile_lane *is)
{
	assert_int_equal(is->low_segno, was->low_segno);
	assert_int_equal(is->low_seq, was->low_seq);
	assert_int_equal(is->high_segno, was->high_segno);
	assert_int_equal(is->next_batch, was->next_batch);
	assert_true(is->next_seq >= was->next_seq);
}

static void test_unreadable_lane_without_worker(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 8; c++) {
		bool closed = c & 1, nvmm = c & 2, close_again = c & 4;
		struct got now = { 0 };
		struct storefile_lane was, is;
		char why[256] = "";

		two_lanes(f, nvmm ? CLASS_NVMM : CLASS_FSYNC, closed, false);
		spoil1(f, 3);
		was = entry1(f);
		assert_int_equal(world_open(&f->x, 2), -EIO);
		assert_non_null(strstr(f->x.why, "log/001/00000003.seg, the last of its lane, cannot be read now"));
		for (int life = 0; life < 2; life++) {
			life_without(f, life ? closed && close_again : closed || nvmm);
			if (close_again)
				assert_int_equal(world_close(&f->x), 0);
			else
				die(f);
			is = entry1(f);
			entry_stays(&was, &is);
			assert_int_equal(world_open(&f->x, 2), -EIO);
		}
		/* One that can be read again while the server runs: at once, where it is known how it ends. */
		assert_int_equal(world_open(&f->x, 1), 0);
		assert_int_equal(blk_sim_well(f->x.blk, path1(3)), 0);
		assert_int_equal(why1(f, f->model.lane[1].top), closed && close_again ? ABSENT_NOT : ABSENT_UNREADABLE);
		die(f);
		assert_in_range(verdict(f), 0, 1);
		assert_int_equal(world_open(&f->x, 2), 0);
		world_read(&f->x, &now);
		if (!got_same(&f->got, &now, why, sizeof(why)))
			fail_msg("%s", why);
		got_free(&now);
		assert_int_equal(lane_durable(store_lane(f->x.w, 1)), f->model.lane[1].top);
		put1(f, 40);
	}
}

/* What was known of the lane's last batch is known after a start that left it as it was: damage
 * there is told as that where it had been durable, and as torn where nobody knows. */
static void test_unreadable_lane_and_its_last_batch(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 4; c++) {
		bool closed = c & 1, nvmm = c & 2;
		const uint8_t *now;
		uint64_t len, end;
		uint8_t *file;

		two_lanes(f, nvmm ? CLASS_NVMM : CLASS_FSYNC, closed, false);
		spoil1(f, 3);
		life_without(f, closed || nvmm);
		assert_int_equal(world_close(&f->x), 0);
		assert_int_equal(blk_sim_well(f->x.blk, path1(3)), 0);
		now = blk_sim_bytes(f->x.blk, path1(3), &len);
		file = malloc(len);
		memcpy(file, now, len);
		for (end = len; !file[end - 1]; end--)
			;
		file[end - 400] ^= 1;
		assert_int_equal(blk_sim_put(f->x.blk, path1(3), file, len), 0);
		free(file);
		f->model.lane[1].v[f->model.lane[1].n - 1].acked = false;
		verdict(f);
		assert_int_equal(told(f, ABSENT_DAMAGE), closed || nvmm);
		assert_int_equal(told(f, ABSENT_TORN), !closed && !nvmm);
	}
}

/* What only the wal has goes behind what cannot be read: such a start is refused too. */
static void test_unreadable_lane_and_the_wal(void **state)
{
	struct fixture *f = *state;

	two_lanes(f, CLASS_NVMM, false, true);
	spoil1(f, 3);
	assert_int_equal(world_open(&f->x, 1), -EIO);
	assert_int_equal(blk_sim_well(f->x.blk, path1(3)), 0);
	assert_int_equal(verdict(f), 1);
	assert_int_equal(world_open(&f->x, 1), 0);
}

/* Its entry in the table is lost besides.  More numbers are skipped than there can have been: when
 * the end can be read that is what is told of them, not that they are damaged.  What the head of the
 * wal knew is known when there is no wal of it any more. */
static void test_unreadable_lane_without_entry(void **state)
{
	struct fixture *f = *state;

	for (int nvmm = 0; nvmm < 2; nvmm++) {
		struct report rep;
		struct rec_tool tool;
		uint64_t top;

		two_lanes(f, nvmm ? CLASS_NVMM : CLASS_FSYNC, !nvmm, false);
		top = f->model.lane[1].top;
		assert_int_equal(blk_sim_flip(f->x.blk, WORLD_STORE "/store", (STOREFILE_LANES_A + 64 + 20) * 8), 0);
		assert_int_equal(blk_sim_flip(f->x.blk, WORLD_STORE "/store", (STOREFILE_LANES_B + 64 + 20) * 8), 0);
		spoil1(f, 3);
		assert_int_equal(world_open(&f->x, 1), 0);
		assert_int_equal(why1(f, top), ABSENT_UNREADABLE);
		assert_int_equal(world_close(&f->x), 0);
		assert_int_equal(entry1(f).next_seq > top, 1);
		assert_int_equal(world_open(&f->x, 1), 0);
		assert_int_equal(why1(f, top), ABSENT_UNREADABLE);
		assert_int_equal(world_close(&f->x), 0);
		assert_int_equal(blk_sim_well(f->x.blk, path1(3)), 0);
		world_tool(&f->x, &tool);
		assert_int_equal(store_check(&tool, &rep), 0);
		for (unsigned i = 0; i < rep.findings; i++)
			if (rep.finding[i].lane == 1 && rep.finding[i].from_seq <= rep.finding[i].to_seq)
				assert_int_equal(rep.finding[i].reason, ABSENT_SKIPPED);
		report_fini(&rep);
		assert_int_equal(world_open(&f->x, 2), 0);
		for (uint64_t seq = 1; seq <= top; seq++)
			assert_int_equal(why1(f, seq), ABSENT_NOT);
	}
}

/* A wal of an earlier boot of the machine holds up no start for a lane that it is not of; for one
 * that it is of it does, for nobody knows what it had. */
static void test_unreadable_lane_and_another_boot(void **state)
{
	struct fixture *f = *state;

	for (unsigned lanes = 1; lanes <= 2; lanes++) {
		two_lanes(f, CLASS_VOLATILE, true, false);
		f->x.boot = 7;
		assert_int_equal(world_open(&f->x, lanes), 0);
		die(f);
		spoil1(f, 3);
		f->x.boot = 8;
		assert_int_equal(world_open(&f->x, 1), lanes == 2 ? -EIO : 0);
	}
}

/* Nor is it blamed for what a lane has lost that it is not of. */
static void test_cut_lane_and_another_boot(void **state)
{
	struct fixture *f = *state;
	struct report rep;
	struct rec_tool tool;
	const uint8_t *now;
	uint8_t *file;
	uint64_t len;
	bool lost = false;

	two_lanes(f, CLASS_VOLATILE, true, false);
	f->x.boot = 7;
	assert_int_equal(world_open(&f->x, 1), 0);
	die(f);
	now = blk_sim_bytes(f->x.blk, path1(3), &len);
	file = malloc(len);
	memcpy(file, now, len);
	assert_int_equal(blk_sim_put(f->x.blk, path1(3), file, len - SIM_BLOCK), 0);
	free(file);
	f->x.boot = 8;
	world_tool(&f->x, &tool);
	assert_int_equal(store_check(&tool, &rep), 0);
	for (unsigned i = 0; i < rep.findings; i++) {
		assert_int_equal(rep.finding[i].reason == GAP_WAL_LOST, rep.finding[i].lane == 0);
		lost |= rep.finding[i].lane == 1 && rep.finding[i].from_seq <= rep.finding[i].to_seq;
	}
	assert_true(lost);
	report_fini(&rep);
}

/* Nothing is written to a segment with another name that is followed by what cannot be read; of
 * that one another name is told. */
static void test_unreadable_lane_and_links(void **state)
{
	struct fixture *f = *state;
	struct report rep;
	struct rec_tool tool;
	struct store_watch x;

	two_lanes(f, CLASS_FSYNC, true, false);
	spoil1(f, 3);
	assert_int_equal(blk_sim_link(f->x.blk, path1(2), true), 0);
	world_tool(&f->x, &tool);
	assert_int_equal(store_check(&tool, &rep), 0);
	report_fini(&rep);
	assert_int_equal(world_open(&f->x, 1), 0);
	store_watch(f->x.w, &x);
	assert_string_equal(x.linked, "");
	assert_int_equal(blk_sim_link(f->x.blk, path1(3), true), 0);
	store_watch(f->x.w, &x);
	assert_string_equal(x.linked, "log/001/00000003.seg");
}

/* One block of the last batch, in its middle or at its end: a start goes on behind it, and when
 * it can be read the records are there. */
static void test_unreadable_block(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 8; c++) {
		bool closed = c & 1, nvmm = c & 2, end = c & 4;

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		put(f, 3900);
		assert_int_equal(world_record(&f->x, 0, 100, false), 0);
		assert_int_equal(world_record(&f->x, 0, 3800, false), 0);
		if (!end)
			assert_int_equal(world_record(&f->x, 0, 500, false), 0);
		commit(f);
		background(f);
		end_life(f, closed);
		spoil(f, 1, SEG_DATA + SIM_BLOCK);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		assert_true(told(f, ABSENT_UNREADABLE));
		start(f);
		put(f, 70);
		all_acked(f, false);
		for (int life = 0; life < 2; life++) {
			die(f);
			assert_int_equal(verdict(f), 2);
			assert_true(told(f, ABSENT_UNREADABLE));
			assert_false(told(f, ABSENT_DAMAGE));
			start(f);
			lost_alike(f, ABSENT_UNREADABLE, true);
		}
		die(f);
		mend(f, 1);
		all_acked(f, true);
		assert_int_equal(verdict(f), 1);
		assert_false(told(f, ABSENT_DAMAGE) || told(f, ABSENT_UNREADABLE));
		start(f);
	}
}

/* Records of one block each, so that it is known what is where. */
#define BLOCKFUL (SIM_BLOCK - (uint32_t)sizeof(struct frame_header))

/* Many batches at the end of the last segment cannot be read when it starts.  What is written
 * behind them then is there too when they can be read again. */
static void test_unreadable_batches(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 8; c++) {
		bool closed = c & 1, nvmm = c & 2, whole = c & 4;

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		put(f, BLOCKFUL);
		for (int i = 0; i < 20; i++) {
			put(f, 350);
			background(f);
		}
		end_life(f, closed);
		spoil(f, 1, SEG_DATA + SIM_BLOCK);
		spoil(f, 1, SEG_DATA + 2 * SIM_BLOCK);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		assert_int_equal(f->got.n, 1);
		start(f);
		put(f, 70);
		if (whole)
			background(f);
		put(f, 80);
		all_acked(f, false);
		end_life(f, whole);
		assert_int_equal(verdict(f), 2);
		lost_alike(f, ABSENT_UNREADABLE, false);
		mend(f, 1);
		all_acked(f, true);
		verdict(f);
		assert_int_equal(f->got.n, 23);
		assert_false(told(f, ABSENT_DAMAGE) || told(f, ABSENT_UNREADABLE));
		start(f);
	}
}

/* The first time blocks 1 and 2, the next time 2 and 3, where by now is what the first start has
 * written: it is not known how much was skipped, except from the lane table. */
static void test_unreadable_twice(void **state)
{
	static const enum durability_class cls[] = { CLASS_FSYNC, CLASS_NVMM };
	struct fixture *f = *state;

	for (int c = 0; c < 4; c++) {
		begin(f, cls[c & 1]);
		for (int i = 0; i < 3; i++) {
			put(f, BLOCKFUL);
			background(f);
		}
		die(f);
		spoil(f, 1, SEG_DATA + SIM_BLOCK);
		spoil(f, 1, SEG_DATA + 2 * SIM_BLOCK);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		start(f);
		for (int i = 0; i < 10; i++) {
			put(f, 20);
			if (c & 2)
				background(f);
		}
		die(f);
		mend(f, 1);
		spoil(f, 1, SEG_DATA + 2 * SIM_BLOCK);
		spoil(f, 1, SEG_DATA + 3 * SIM_BLOCK);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		start(f);
		put(f, 30);
		put(f, 40);
		background(f);
		die(f);
		mend(f, 1);
		all_acked(f, true);
		verdict(f);
		assert_int_equal(f->got.n, 15);
		assert_false(told(f, ABSENT_DAMAGE) || told(f, ABSENT_UNREADABLE));
		start(f);
	}
}

/* Three blocks that a start went round, and then only some of them cannot be read: what is in the
 * others is there, and nothing says that it is not. */
static void test_unreadable_in_part(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 16; c++) {
		bool closed = c & 1;

		begin(f, CLASS_FSYNC);
		for (int i = 0; i < 4; i++)
			put(f, BLOCKFUL);
		background(f);
		end_life(f, closed);
		for (int i = 1; i < 4; i++)
			spoil(f, 1, SEG_DATA + i * SIM_BLOCK);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		start(f);
		put(f, 70);
		die(f);
		mend(f, 1);
		all_acked(f, true);
		for (unsigned i = 1; i < 4; i++)
			if (c >> i & 1) {
				spoil(f, 1, SEG_DATA + i * SIM_BLOCK);
				is_lost(f, 1 + i);
			}
		assert_int_equal(verdict(f), c > 1 ? 2 : 1);
		lost_alike(f, ABSENT_UNREADABLE, false);
		start(f);
		lost_alike(f, ABSENT_UNREADABLE, true);
		die(f);
		mend(f, 1);
		all_acked(f, true);
		assert_int_equal(verdict(f), 1);
		assert_int_equal(f->got.n, 5);
		start(f);
	}
}

/* The power goes so many operations later. */
static int off_at(void *arg)
{
	unsigned *left = arg;

	return !(*left ? (*left)-- : 0);
}

/* The start that finds blocks 1 and 2 unreadable is cut anywhere.  The next one can read all, or
 * not block 2, or neither 2 nor 3. */
static void test_unreadable_and_cut(void **state)
{
	struct fixture *f = *state;

	for (unsigned c = 0; c < 2 * 3 * 36; c++) {
		unsigned left = c / 6, bad = c % 3;

		begin(f, c / 3 % 2 ? CLASS_NVMM : CLASS_FSYNC);
		for (int i = 0; i < 3; i++) {
			put(f, BLOCKFUL);
			background(f);
		}
		die(f);
		spoil(f, 1, SEG_DATA + SIM_BLOCK);
		spoil(f, 1, SEG_DATA + 2 * SIM_BLOCK);
		all_acked(f, false);
		f->x.step = off_at;
		f->x.step_arg = &left;
		if (!world_open(&f->x, 1))
			world_kill(&f->x);
		die(f);
		mend(f, 1);
		for (unsigned i = 0; i < bad; i++)
			spoil(f, 1, SEG_DATA + (2 + i) * SIM_BLOCK);
		assert_int_equal(verdict(f), bad ? 2 : 1);
		start(f);
		put(f, 30);
		put(f, 40);
		background(f);
		die(f);
		mend(f, 1);
		all_acked(f, true);
		assert_int_equal(verdict(f), 1);
		assert_int_equal(f->got.n, 5);
		assert_false(told(f, ABSENT_DAMAGE) || told(f, ABSENT_UNREADABLE));
	}
}

/* The header cannot be read, or is damaged, and neither can the block with the first frames: what
 * is behind them does not say what the header was, and nothing is written over it. */
static void test_unreadable_header_and_begin(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 16; c++) {
		bool closed = c & 1, nvmm = c & 2, last = c & 4, lost = c & 8;
		uint64_t segno;

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		many(f);
		segno = last ? last_used(f) : 2;
		end_life(f, closed);
		if (lost)
			zero(f, segno, 0, SEG_DATA);
		else
			for (uint64_t off = 0; off < SEG_DATA; off += SIM_BLOCK)
				spoil(f, segno, off);
		spoil(f, segno, SEG_DATA);
		all_acked(f, false);
		assert_int_equal(verdict(f), 2);
		assert_true(told(f, ABSENT_UNREADABLE));
		if (last)
			assert_int_equal(world_open(&f->x, 1), -EIO);
		else
			start(f);
		die(f);
		verdict(f);
		mend(f, segno);
		all_acked(f, true);
		assert_int_equal(verdict(f), lost ? 2 : last && closed ? 0 : 1);
		assert_int_equal(f->got.n, MANY);
		start(f);
	}
}

/* Where the first frame is whole it says all that the header did. */
static void test_unreadable_header(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 4; c++) {
		bool closed = c & 1, last = c & 2;
		uint64_t segno;

		begin(f, CLASS_FSYNC);
		many(f);
		segno = last ? last_used(f) : 2;
		end_life(f, closed);
		for (uint64_t off = 0; off < SEG_DATA; off += SIM_BLOCK)
			spoil(f, segno, off);
		verdict(f);
		assert_int_equal(f->got.n, MANY);
		mend(f, segno);
		assert_int_equal(verdict(f), !closed);
		start(f);
	}
}

/* ---- files that are gone, and what would tell of it too ---- */

/* Zeros over all of the table, but the block says that it is true. */
static void forget_lanes(struct fixture *f)
{
	const uint8_t *now;
	uint8_t *file;
	uint64_t len;

	now = blk_sim_bytes(f->x.blk, WORLD_STORE "/store", &len);
	file = malloc(len);
	memcpy(file, now, len);
	memset(file + STOREFILE_LANES_A, 0, len - STOREFILE_LANES_A);
	assert_int_equal(blk_sim_put(f->x.blk, WORLD_STORE "/store", file, len), 0);
	free(file);
}

/* The table is lost.  Alone: the prepared file shows where the log ends.  With the newest files
 * or with the file `store`: what they knew is known from nothing, or the wal's head. */
static void test_table_lost(void **state)
{
	struct fixture *f = *state;

	for (int c = 0; c < 16; c++) {
		bool closed = c & 1, nvmm = c & 2, files = c & 4, store = c & 8;
		const struct blk_ops *blk;
		uint64_t last, top;
		char path[64];

		begin(f, nvmm ? CLASS_NVMM : CLASS_FSYNC);
		many(f);
		end_life(f, closed);
		blk = blk_sim_ops(f->x.blk);
		last = last_used(f);
		if (store)
			assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/store"), 0);
		else
			forget_lanes(f);
		for (uint64_t n = last; files && n <= last + 1; n++) {
			path_of(path, n);
			assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
		}
		if (files)
			all_acked(f, false);
		if (store) {
			struct report rep;
			struct rec_tool tool;

			world_tool(&f->x, &tool);
			tool.nvmm_path = nvmm && !closed ? WORLD_NVMM : NULL;
			tool.give_up = nvmm && closed;
			assert_int_equal(store_repair(&tool, &rep), 0);
			assert_int_equal(report_verdict(&rep), 2);
			report_fini(&rep);
			verdict(f);
		} else {
			assert_int_equal(verdict(f), 2);
		}
		start(f);
		top = f->model.lane[0].top;
		assert_true(lane_durable(store_lane(f->x.w, 0)) >= top);
		if (!files && !(nvmm && closed && store))
			assert_int_equal(lane_durable(store_lane(f->x.w, 0)), top);
	}
}

static void gone_begin(struct fixture *f, enum absent_reason want)
{
	struct absence a;

	assert_int_equal(store_read_absent(f->x.w, 0, 1, &a), 0);
	assert_int_equal(a.reason, want);
	assert_int_equal(a.from, 1);
}

/* The table is lost, with the file `store` or alone, and so are the oldest segments: whether they
 * had expired nobody knows, and that is said by check and the server, now and after each start,
 * until retention removes what is behind them. */
static void test_begin_and_table_lost(void **state)
{
	struct fixture *f = *state;

	for (int store = 0; store < 2; store++) {
		const struct blk_ops *blk;
		char path[64];

		begin(f, CLASS_FSYNC);
		many(f);
		die(f);
		blk = blk_sim_ops(f->x.blk);
		if (store)
			assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/store"), 0);
		else
			forget_lanes(f);
		path_of(path, 1);
		assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
		all_acked(f, false);
		if (store) {
			struct report rep;
			struct rec_tool tool;

			world_tool(&f->x, &tool);
			assert_int_equal(store_repair(&tool, &rep), 0);
			report_fini(&rep);
		}
		for (int life = 0; life < 3; life++) {
			verdict(f);
			assert_true(told(f, ABSENT_GONE) && !told(f, ABSENT_EXPIRED));
			start(f);
			gone_begin(f, ABSENT_GONE);
			put(f, 300);
			background(f);
			if (life)
				assert_int_equal(world_close(&f->x), 0);
			else
				die(f);
			all_acked(f, false);
		}
		f->x.retain_bytes = 4 * WORLD_SEGMENT;
		verdict(f);
		start(f);
		path_of(path, 2);
		while (blk_sim_bytes(f->x.blk, path, &(uint64_t){ 0 })) {
			put(f, 1300);
			background(f);
		}
		gone_begin(f, ABSENT_EXPIRED);
		die(f);
		all_acked(f, false);
		verdict(f);
		assert_false(told(f, ABSENT_GONE));
		f->x.retain_bytes = 4 * WORLD_SEGMENT;
		start(f);
		gone_begin(f, ABSENT_EXPIRED);
	}
}

/* After a SIGKILL: the prepared file is gone.  That is told; its numbers are skipped, for it may
 * have been used, and not told as so many records that are lost.  Also where the first start is
 * cut anywhere. */
static void test_prepared_file_lost(void **state)
{
	struct fixture *f = *state;

	for (unsigned cut = 0; cut < 30; cut++) {
		const struct blk_ops *blk;
		unsigned left = cut;
		char path[64];

		begin(f, CLASS_FSYNC);
		put(f, 300);
		put(f, 500);
		background(f);
		die(f);
		blk = blk_sim_ops(f->x.blk);
		path_of(path, last_used(f) + 1);
		assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
		assert_int_equal(verdict(f), 2);
		assert_int_equal(report_damaged(&f->rep), 1);
		if (cut) {
			f->x.step = off_at;
			f->x.step_arg = &left;
			if (!world_open(&f->x, 1))
				world_kill(&f->x);
			die(f);
			verdict(f);
		}
		for (unsigned n = 0; n < f->rep.findings; n++)
			assert_true(f->rep.finding[n].reason == ABSENT_SKIPPED ||
				    f->rep.finding[n].from_seq > f->rep.finding[n].to_seq);
		start(f);
		put(f, 40);
		assert_true(f->model.lane[0].top > REC_LOST_SKIP);
		background(f);
		die(f);
		assert_int_equal(verdict(f), 1);
		assert_int_equal(f->rep.findings, 1);
		assert_int_equal(f->rep.finding[0].reason, ABSENT_SKIPPED);
	}
}

/* The file that is gone was in use, though the one before it has room: for no record so large as the
 * one that it was begun for.  It is told as one that may be lost, and not as one that never was. */
static void test_used_file_lost(void **state)
{
	struct fixture *f = *state;
	const struct blk_ops *blk;
	struct absence a;
	uint64_t segno, seq;
	char path[64];

	begin(f, CLASS_FSYNC);
	segno = last_used(f);
	for (unsigned i = 0; i < 130; i++)
		put(f, 300);
	background(f);
	assert_int_equal(last_used(f), segno);
	put(f, WORLD_RECORD - 100);
	seq = f->model.lane[0].top;
	die(f);
	assert_int_equal(last_used(f), segno + 1);
	blk = blk_sim_ops(f->x.blk);
	path_of(path, segno + 1);
	assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
	is_lost(f, seq);
	assert_int_equal(verdict(f), 2);
	start(f);
	assert_int_equal(store_read_absent(f->x.w, 0, seq, &a), 0);
	assert_true(absent_maybe(a.reason) || a.reason == ABSENT_MISSING);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_batch_without_a_header), T(test_a_used_segment_without_a_header),
		T(test_a_used_segment_without_its_begin), T(test_cut_files),
		T(test_cut_while_open), T(test_table_lost),
		T(test_prepared_file_lost), T(test_used_file_lost), T(test_begin_and_table_lost),
		T(test_unreadable_segment), T(test_unreadable_and_retention), T(test_unreadable_and_floor),
		T(test_unreadable_then_gone),
		T(test_unreadable_last_segment), T(test_unreadable_lane_without_worker),
		T(test_unreadable_lane_and_its_last_batch), T(test_unreadable_lane_and_the_wal), T(test_unreadable_lane_without_entry), T(test_unreadable_lane_and_another_boot),
		T(test_cut_lane_and_another_boot), T(test_unreadable_lane_and_links), T(test_unreadable_block),
		T(test_unreadable_batches), T(test_unreadable_twice), T(test_unreadable_in_part),
		T(test_unreadable_and_cut),
		T(test_unreadable_header_and_begin), T(test_unreadable_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
