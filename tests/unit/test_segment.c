/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_segment.c - the segment log: appending, rotation, recycling, retention, a full
 * disk, failing syncs; and every crash of a small workload: in each state that a power
 * cut may leave (sampled from seeds) or a SIGKILL leaves, what was synced is there, byte
 * for byte, nothing is invented, and no damage is reported.
 *
 *   test_segment [SEED [STEP]]   replays the crashes from one seed (at one step)
 */
#include "locks.h"
#include "seg_model.h"

#include "../sim/pm_sim.h"
#include "segment/seg_read.h"

/* ---- plain life ---- */

static void test_first_segment(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(seglog_next_seq(s), 1);
	assert_int_equal(seglog_place(s).off, SEG_DATA);
	assert_int_equal(seglog_room(s), SEG_TEST_BYTES - SEG_DATA);
	assert_int_equal(seglog_rotate(s), -EAGAIN);
	assert_int_equal(model_append(s, 1, 5), 0);
	assert_int_equal(seglog_next_seq(s), 6);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, &f), 0);
	assert_int_equal(f.n, 5);
	assert_false(f.wrong);
	assert_int_equal(l.next_seq, 6);
	assert_int_equal(l.nsegs, 1);
	assert_int_equal(l.nholes, 0);
	assert_int_equal(l.end, l.dirty_end);
	assert_int_equal(l.last_batch, 1);
	assert_int_equal(l.batch_off, SEG_DATA);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

static void count_tick(void *arg)
{
	++*(unsigned *)arg;
}

/* Who opens a log hears of it after each slice of the first segment, however slow the disk. */
static void test_open_ticks(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	unsigned ticks = 0;
	struct seglog_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE,
		.segment_bytes = 4u << 20, .tick = count_tick, .tick_arg = &ticks,
		.now_ms = model_now, .random = model_random };
	struct seglog_resume r;
	struct seg_lane l;
	struct seglog *s;
	uint64_t syncs;

	(void)state;
	model_dirs(o.blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	assert_int_equal(model_scan(o.blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &r);
	syncs = blk_sim_calls(sim, SIM_SYNC);
	assert_int_equal(seglog_open(&s, &o, &l, &r), 0);
	assert_true(ticks >= 4 && ticks >= blk_sim_calls(sim, SIM_SYNC) - syncs);
	seg_lane_free(&l);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_frame_limits(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	uint64_t off = SEG_DATA, max = seg_record_max(SEG_TEST_BYTES);
	struct frame_header h;
	struct seglog *s;
	uint32_t pad;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, 1, 5, (uint32_t)max, 0, &pad), 0);
	assert_true(off <= SEG_TEST_BYTES);
	off = SEG_DATA;
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, 1, 5, SEG_TEST_BYTES, 0, &pad),
			 -ENOSPC);
	assert_int_equal(off, SEG_DATA);
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, 1, 5, 3, 77, &pad), 0);
	assert_int_equal(pad, 5);
	assert_int_equal(off, SEG_DATA + 56);
	assert_int_equal(h.lane, LANE);
	assert_int_equal(h.batch, 1);
	assert_int_equal(h.data_crc, 77);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_rotation_and_restart(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct model_found f;
	struct seg_lane l, quick;
	uint64_t seq = 1;

	(void)state;
	model_dirs(blk);
	for (int start = 0; start < 6; start++) {
		struct seglog *s = model_start(blk);

		assert_int_equal(seglog_next_seq(s), seq);
		for (int i = 0; i < 12; i++, seq += 5)
			assert_int_equal(model_append(s, seq, 5), 0);
		seglog_close(s);
	}
	assert_int_equal(model_scan(blk, false, &l, &f), 0);
	assert_true(l.nsegs > 3);
	assert_int_equal(f.n, seq - 1);
	assert_false(f.wrong);
	assert_int_equal(l.nholes, 0);
	assert_int_equal(model_scan(blk, true, &quick, NULL), 0);
	assert_int_equal(quick.next_seq, l.next_seq);
	assert_int_equal(quick.next_batch, l.next_batch);
	assert_int_equal(quick.end, l.end);
	assert_int_equal(quick.batch_off, l.batch_off);
	assert_true(quick.read_bytes < l.read_bytes / 2);
	seg_lane_free(&l);
	seg_lane_free(&quick);
	blk_sim_free(sim);
}

static int count_names(void *arg, const char *name)
{
	unsigned *n = arg;

	if (strstr(name, ".seg"))
		n[0]++;
	else if (!strncmp(name, "spare-", 6))
		n[1]++;
	else
		n[2]++;
	return 0;
}

static void test_retention_by_size(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;
	uint64_t seq = 1, created;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (int i = 0; i < 60; i++, seq += 7) {
		assert_int_equal(model_append(s, seq, 7), 0);
		model_prepare(s);
		assert_int_equal(seglog_retain(s, 4 * SEG_TEST_BYTES, 0), 0);
		assert_true(blk_sim_used(sim) <= 5 * SEG_TEST_BYTES);
		if (i == 30)
			created = blk_sim_calls(sim, SIM_OPEN);
	}
	(void)created;
	seglog_stat(s, &st);
	assert_true(st.segments <= 4);
	assert_true(st.oldest_seq > 1);
	assert_int_equal(st.expired_records, st.oldest_seq - 1);
	assert_int_equal(st.durable_seq, seq - 1);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, &f), 0);
	assert_int_equal(l.oldest_seq, st.oldest_seq);
	assert_int_equal(f.n, seq - st.oldest_seq);
	assert_false(f.wrong);
	assert_int_equal(l.nholes, 0);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* What a floor holds stays, whatever the limits say, and all else goes; the lowest of two counts;
 * moved up, and dropped, they let go what they held.  It is told how much that is. */
static void test_floors(void **state)
{
	(void)state;
	for (int by_age = 0; by_age < 2; by_age++) {
		struct blk_sim *sim = blk_sim_new();
		const struct blk_ops *blk = blk_sim_ops(sim);
		uint64_t bytes = by_age ? 0 : 4 * SEG_TEST_BYTES, old = by_age ? UINT64_MAX : 0;
		struct floor low = { 0 }, high = { 0 };
		struct seglog_stats st;
		struct model_found f;
		struct seg_lane l;
		uint64_t seq = 1, free_seq = 0, free_segments = 0, was;
		struct seglog *s;

		model_dirs(blk);
		s = model_start(blk);
		seglog_floor(s, &high, 300);
		seglog_floor(s, &low, 100);
		for (int i = 0; i < 120; i++, seq += 7) {
			assert_int_equal(model_append(s, seq, 7), 0);
			model_prepare(s);
			assert_int_equal(seglog_retain(s, bytes, old), 0);
			seglog_stat(s, &st);
			assert_true(st.oldest_seq <= 100);
			assert_int_equal(st.floor, 100);
			if (!st.held) {		/* as if there were none */
				free_seq = st.oldest_seq;
				free_segments = st.segments;
			}
			assert_true(st.segments - st.held <= free_segments);
		}
		assert_true(free_seq > 1 && st.oldest_seq > 1 && st.held > 4);
		assert_int_equal(st.expired_records, st.oldest_seq - 1);
		assert_int_equal(st.retain_err, 0);
		was = st.held;
		seglog_floor(s, &low, 200);
		assert_int_equal(seglog_retain(s, bytes, old), 0);
		seglog_stat(s, &st);
		assert_true(st.oldest_seq > 100 && st.oldest_seq <= 200 && st.held < was);
		assert_int_equal(st.floor, 200);
		was = st.oldest_seq;
		seglog_floor(s, &low, 1);		/* down: what has gone is gone, what is there stays */
		seglog_floor(s, &high, FLOOR_NONE);
		assert_int_equal(seglog_retain(s, bytes, old), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.oldest_seq, was);
		assert_int_equal(st.floor, 1);
		seglog_floor(s, &high, 300);
		seglog_floor_drop(s, &low);
		seglog_floor_drop(s, &low);
		assert_int_equal(seglog_retain(s, bytes, old), 0);
		seglog_stat(s, &st);
		assert_true(st.oldest_seq > 200 && st.oldest_seq <= 300 && st.held > 0);
		assert_int_equal(st.floor, 300);
		seglog_floor(s, &low, 290);
		seglog_floor_drop(s, &high);
		seglog_floor_drop(s, &low);
		seglog_stat(s, &st);
		assert_int_equal(st.floor, 0);
		assert_int_equal(seglog_retain(s, bytes, old), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.held, 0);
		assert_true(st.segments <= free_segments && st.oldest_seq > 300);
		was = st.oldest_seq;
		seglog_close(s);
		assert_int_equal(model_scan(blk, false, &l, &f), 0);
		assert_int_equal(l.oldest_seq, was);
		assert_int_equal(f.n, seq - was);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* A number is held to the record: the segment before the one that begins with it may go. */
static void test_floor_to_the_record(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	struct floor f = { 0 };
	struct seglog *s;
	uint64_t seq = 1, second;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	do {
		second = seq;
		assert_int_equal(model_append(s, seq++, 1), 0);
		model_prepare(s);
		seglog_stat(s, &st);
	} while (st.segments < 2);
	for (int i = 0; i < 2; i++) {
		seglog_floor(s, &f, second - 1 + (unsigned)i);
		assert_int_equal(seglog_retain(s, 1, 0), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.oldest_seq, i ? second : 1);
		assert_int_equal(st.held, !i);
		assert_int_equal(seglog_retain(s, 0, UINT64_MAX), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.oldest_seq, i ? second : 1);
		assert_int_equal(st.held, !i);
	}
	seglog_floor_drop(s, &f);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_retention_by_age(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	struct seglog *s;
	uint64_t seq = 1, off, middle;
	struct frame_header h;
	uint32_t pad;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (int i = 0; i < 30; i++, seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	model_prepare(s);
	seglog_stat(s, &st);
	assert_true(st.segments > 2);
	middle = (st.oldest_ms + st.newest_ms) / 2;
	assert_int_equal(seglog_retain(s, 0, middle), 0);
	seglog_stat(s, &st);
	assert_true(st.oldest_seq > 1 && st.oldest_seq < seq);
	assert_int_equal(seglog_retain(s, 0, st.newest_ms), 0);
	seglog_stat(s, &st);
	assert_true(st.segments >= 1 && st.segments <= 2);
	/* all is too old: the active one goes at the first append after */
	off = seglog_place(s).off;
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, seq, 1, 1, 0, &pad), 0);
	assert_int_equal(seglog_turn(s, model_now() + 1, false), 0);
	assert_true(seglog_wants_turn(s));
	assert_int_equal(seglog_retain(s, 0, model_now() + 1), 0);
	off = seglog_place(s).off;
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, seq, 1, 1, 0, &pad), -ENOSPC);
	assert_int_equal(model_append(s, seq, 1), 0);
	assert_int_equal(seglog_retain(s, 0, model_now() + 1), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.oldest_seq, seq);
	assert_int_equal(st.segments, 1);
	seglog_close(s);
	blk_sim_free(sim);
}

/* A file without a header behind the last one that was used: what was begun after it grows old
 * all the same, and what was oldest is not told to be what it was at the start. */
static void test_retention_past_a_lost_file(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	static uint8_t junk[SEG_TEST_BYTES];
	struct seglog_stats st;
	struct seglog *s;
	uint64_t seq, first;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 7), 0);
	seglog_close(s);
	memset(junk, 0xee, sizeof(junk));
	blk_sim_put(sim, LANE_DIR "/00000002.seg", junk, sizeof(junk));
	s = model_start(blk);
	first = seq = seglog_next_seq(s);
	do {
		assert_int_equal(model_append(s, seq, 7), 0);
		seq += 7;
		seglog_stat(s, &st);
	} while (st.segments < 3);
	model_prepare(s);
	assert_int_equal(seglog_retain(s, 0, model_now() + 1), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 1);
	assert_true(st.oldest_seq > first);
	seglog_close(s);
	blk_sim_free(sim);
}

/* And so it is in the middle: it has the age of the one behind it. */
static void test_retention_past_a_lost_one_in_the_middle(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	static uint8_t junk[SEG_TEST_BYTES];
	struct seglog_stats st;
	uint64_t begun[5];
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (uint64_t i = 0; i < 5; i++) {
		begun[i] = model_clock - 1;
		assert_int_equal(model_append(s, i + 1, 1), 0);
		model_prepare(s);
		if (i < 4)
			assert_int_equal(seglog_rotate(s), 0);
	}
	seglog_close(s);
	memset(junk, 0xee, sizeof(junk));
	for (int k = 2; k < 4; k++)
		blk_sim_put(sim, k == 2 ? LANE_DIR "/00000002.seg" : LANE_DIR "/00000003.seg", junk, sizeof(junk));
	s = model_start(blk);
	assert_int_equal(seglog_retain(s, 0, begun[3]), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 5);
	assert_int_equal(seglog_retain(s, 0, begun[3] + 1), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 2);
	assert_int_equal(st.oldest_ms, begun[3]);
	assert_int_equal(st.oldest_seq, 4);
	seglog_close(s);
	blk_sim_free(sim);
}

/* The whole of what a power cut may leave: the lane goes on with number `next`. */
static void cut_everywhere(struct blk_sim *sim, uint64_t next)
{
	struct sim_odo odo;
	bool more = true;

	sim_odo_init(&odo);
	for (unsigned n = 0; more && n < 5000; n++) {
		struct blk_sim *after = blk_sim_cut(sim, &odo.p);
		struct seg_lane l;
		struct seglog_resume r;

		assert_int_equal(model_scan(blk_sim_ops(after), false, &l, NULL), 0);
		seg_lane_resume(&l, &r);
		assert_int_equal(r.next_seq, next);
		seg_lane_free(&l);
		blk_sim_free(after);
		more = sim_odo_next(&odo);
	}
	sim_odo_fini(&odo);
}

/* Nothing comes any more: the writer turns, the header of the empty segment is synced, and
 * all records expire; not one before that, and none where the sync fails. */
static void test_the_last_expires(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 7), 0);
	model_prepare(s);
	assert_int_equal(seglog_turn(s, 1, true), 0);		/* too young */
	assert_int_equal(seglog_turn(s, model_now(), true), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.rotations, 2);
	assert_int_equal(st.segments, 2);
	assert_int_equal(seglog_turn(s, model_now(), true), 0);	/* it is empty */
	assert_int_equal(seglog_retain(s, 0, model_now() + 1), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 1);
	assert_int_equal(st.expired_records, 7);
	assert_int_equal(st.oldest_seq, 8);
	cut_everywhere(sim, 8);
	assert_int_equal(model_append(s, 8, 1), 0);
	cut_everywhere(sim, 9);
	/* Once more, and the sync fails: what there is stays for good. */
	model_prepare(s);
	assert_int_equal(seglog_turn(s, model_now(), true), 0);
	blk_sim_fault(sim, SIM_SYNC, 1, 1, EIO);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seglog_retain(s, 0, model_now() + 1), -EIO);
		seglog_stat(s, &st);
		assert_int_equal(st.segments, 2);
		cut_everywhere(sim, 9);
	}
	seglog_close(s);
	blk_sim_free(sim);
}

static unsigned segs_there(const struct blk_ops *blk);

/* What the table is told, and what must be so by then whatever a power cut leaves. */
struct noted {
	struct blk_sim *sim;
	struct seglog *s;
	struct storefile_lane last;
	unsigned highs, lows;
	int err;
};

static int take_note(void *arg, const struct storefile_lane *e)
{
	struct noted *n = arg;
	struct blk_sim *cut;
	struct sim_edge none;
	char path[SEG_PATH_MAX];
	uint64_t len;

	if (n->err)
		return n->err;
	sim_edge_init(&none, 0);
	cut = blk_sim_cut(n->sim, &none.p);
	if (e->high_segno > n->last.high_segno) {
		/* its file and name are durable, and the writer has not got it */
		seg_path(path, LANE_DIR, e->high_segno);
		assert_non_null(blk_sim_bytes(cut, path, &len));
		assert_int_equal(len, SEG_TEST_BYTES);
		assert_true(!n->s || !seglog_ready(n->s));
		n->highs++;
	}
	if (e->low_segno != n->last.low_segno) {
		/* what has expired is still there */
		seg_path(path, LANE_DIR, e->low_segno - 1);
		assert_non_null(blk_sim_bytes(n->sim, path, &len));
		assert_true(e->low_seq > n->last.low_seq);
		n->lows++;
	}
	blk_sim_free(cut);
	n->last = *e;
	return 0;
}

static struct seglog *start_noted(struct noted *n)
{
	struct seglog_options o = { .blk = blk_sim_ops(n->sim), .dir = LANE_DIR, .lane = LANE,
		.segment_bytes = SEG_TEST_BYTES, .now_ms = model_now, .random = model_random,
		.note = take_note, .note_arg = n,
		.had = { .lane = LANE, .low_segno = 1, .low_seq = 1, .next_seq = 1, .next_batch = 1 } };
	struct seglog_resume r;
	struct seg_lane l;
	struct seglog *s;

	model_dirs(o.blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	n->last = o.had;
	assert_int_equal(model_scan(o.blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &r);
	assert_int_equal(seglog_open(&s, &o, &l, &r), 0);
	seg_lane_free(&l);
	seglog_note_explained(s);
	return s;
}

static void test_notes(void **state)
{
	struct noted n = { .sim = blk_sim_new() };
	struct seglog_stats st;
	uint64_t seq = 1, oldest, newest;

	(void)state;
	n.s = start_noted(&n);
	for (int i = 0; i < 60; i++, seq += 7) {
		assert_int_equal(model_append(n.s, seq, 7), 0);
		model_prepare(n.s);
		assert_int_equal(seglog_retain(n.s, 4 * SEG_TEST_BYTES, 0), 0);
	}
	seglog_stat(n.s, &st);
	assert_true(n.highs > 5 && n.lows > 2);
	assert_int_equal(n.highs, st.rotations + seglog_ready(n.s));
	assert_int_equal(n.last.low_seq, st.oldest_seq);
	seg_read_bounds(n.s, &oldest, &newest);
	assert_int_equal(oldest, n.last.low_seq);
	assert_true(n.last.next_seq > 1 && n.last.next_seq <= seq);
	assert_int_equal(seglog_note_end(n.s), 0);
	assert_int_equal(n.last.next_seq, seq);
	assert_true(n.last.next_batch > 60);
	seglog_close(n.s);
	blk_sim_free(n.sim);
}

/* The table cannot be written: no segment is handed out, none is removed; with no room it is
 * tried again, and else not. */
static void test_notes_fail(void **state)
{
	static const int errs[] = { -ENOSPC, -EIO };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct noted n = { .sim = blk_sim_new() };
		uint64_t seq = 1;
		unsigned there;
		int err;

		n.s = start_noted(&n);
		for (; seq < 200; seq += 7)
			assert_int_equal(model_append(n.s, seq, 7), 0);
		there = segs_there(blk_sim_ops(n.sim));
		n.err = errs[i];
		assert_int_equal(seglog_retain(n.s, 2 * SEG_TEST_BYTES, 0), errs[i]);
		assert_int_equal(segs_there(blk_sim_ops(n.sim)), there);
		while ((err = seglog_prepare(n.s)) == 1)
			;
		assert_int_equal(err, errs[i]);
		assert_false(seglog_ready(n.s));
		n.err = 0;
		while ((err = seglog_prepare(n.s)) == 1)
			;
		assert_int_equal(err, i ? -EIO : 0);
		assert_int_equal(seglog_ready(n.s), !i);
		assert_int_equal(seglog_retain(n.s, 4 * SEG_TEST_BYTES, 0), i ? -EIO : 0);
		seglog_close(n.s);
		blk_sim_free(n.sim);
	}
}

static void test_files_are_recycled(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	unsigned n[3] = { 0 };
	struct seglog *s;
	uint64_t seq = 1;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (int i = 0; i < 60; i++, seq += 7) {
		assert_int_equal(model_append(s, seq, 7), 0);
		model_prepare(s);
		assert_int_equal(seglog_retain(s, 4 * SEG_TEST_BYTES, 0), 0);
	}
	/* at the limit every next segment is a renamed old one: none is unlinked */
	assert_int_equal(blk_sim_calls(sim, SIM_UNLINK), 0);
	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	assert_true(n[0] <= 4);
	assert_int_equal(n[2], 0);
	seglog_close(s);
	blk_sim_free(sim);
}

static const char *linked;	/* the file that has another name */
static const struct blk_ops *unlinked_ops;

static int open_linked(void *ctx, struct blk_dir *dir, const char *name, int flags, struct blk_file **f)
{
	if (linked && flags & BLK_RDWR && !strcmp(name, linked))
		return STORE_ELINKED;
	return unlinked_ops->open(ctx, dir, name, flags, f);
}

/* A file that has another name somewhere is not written again: a new one is made, and where the name
 * cannot be removed this is told, and the next try makes one. */
static void test_linked_files_are_left_alone(void **state)
{
	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		struct blk_sim *sim = blk_sim_new();
		struct blk_ops ops = *blk_sim_ops(sim), *blk = &ops;
		char path[SEG_PATH_MAX];
		struct model_found f;
		struct seg_lane l;
		struct seglog *s;
		uint64_t len;

		unlinked_ops = blk_sim_ops(sim);
		ops.open = open_linked;
		linked = "spare-00000001";
		model_dirs(blk);
		s = model_start(blk);
		assert_int_equal(model_append(s, 1, 5), 0);
		model_prepare(s);
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(model_append(s, 6, 5), 0);
		assert_int_equal(seglog_retain(s, 0, UINT64_MAX), 0);
		assert_non_null(blk_sim_bytes(sim, LANE_DIR "/spare-00000001", &len));
		if (fails) {
			blk_sim_fault(sim, SIM_UNLINK, 1, 1, EIO);
			assert_int_equal(seglog_prepare(s), STORE_ELINKED);
			assert_false(seglog_ready(s));
		}
		model_prepare(s);
		assert_true(seglog_ready(s));
		assert_int_equal(!!blk_sim_bytes(sim, LANE_DIR "/spare-00000001", &len), fails);
		seglog_close(s);
		/* Likewise at a start, the one that was ready. */
		assert_int_equal(seg_path(path, LANE_DIR, 3), 0);
		assert_non_null(blk_sim_bytes(sim, path, &len));
		linked = "00000003.seg";
		if (fails) {
			assert_int_equal(model_scan(blk, false, &l, NULL), 0);
			blk_sim_fault(sim, SIM_UNLINK, 1, 1, EIO);
			assert_int_equal(model_open(blk, &l, &s), -EIO);
			seg_lane_free(&l);
		}
		s = model_start(blk);
		linked = NULL;
		assert_null(blk_sim_bytes(sim, path, &len));
		assert_int_equal(model_append(s, 11, 5), 0);
		model_prepare(s);
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(model_append(s, 16, 5), 0);
		seglog_close(s);
		assert_int_equal(model_scan(blk, false, &l, &f), 0);
		assert_int_equal(f.n, 15);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

static const struct blk_ops *sim_ops;
static unsigned allocated;

static int allocate_some(struct blk_file *f, uint64_t off, uint64_t bytes)
{
	static uint8_t zeros[SEG_TEST_BYTES];
	struct iovec iov = { zeros, bytes };

	assert_true(bytes <= sizeof(zeros));
	allocated++;
	return sim_ops->write(f, &iov, 1, off);
}

static int allocate_rest(struct blk_file *f, uint64_t off, uint64_t bytes)
{
	struct iovec iov = { calloc(1, bytes), bytes };
	int err = sim_ops->write(f, &iov, 1, off);

	free(iov.iov_base);
	assert_int_equal(off, 1u << 20);
	allocated++;
	return err;
}

/* The first file of all may be smaller, and then is written in part: the rest is allocated, and
 * synced like the zeros.  The others are as ever; whatever is cut is there. */
static void test_small_first(void **state)
{
	struct blk_sim *sim = blk_sim_new(), *cut;
	struct blk_ops blk = *blk_sim_ops(sim);
	struct seglog_options o = { .blk = &blk, .dir = LANE_DIR, .lane = LANE,
		.segment_bytes = 3u << 20, .first_bytes = 2u << 20, .now_ms = model_now, .random = model_random };
	static uint8_t record[200000];
	struct seg_rec rec = { .kind = FRAME_RECORD, .time_ms = 1, .len = sizeof(record),
		.data_crc = crc32c(record, sizeof(record)), .niov = 1 };
	struct seglog_resume r;
	struct sim_rng rng;
	struct seg_lane l;
	struct seglog *s;
	uint64_t len;

	(void)state;
	sim_ops = blk_sim_ops(sim);
	blk.allocate = allocate_rest;
	allocated = 0;
	model_dirs(&blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	assert_int_equal(model_scan(&blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &r);
	seg_lane_free(&l);
	o.first_bytes = (4u << 20) + WAL_PAGE;
	assert_int_equal(seglog_open(&s, &o, &l, &r), -EINVAL);
	o.first_bytes = 2u << 20;
	assert_int_equal(seglog_open(&s, &o, &l, &r), 0);
	assert_int_equal(allocated, 1);
	for (rec.seq = 1; rec.seq <= 30; rec.seq++) {
		struct iovec iov = { record, sizeof(record) };

		rec.iov = &iov;
		assert_int_equal(seglog_append(s, &rec, 1, NULL), 0);
		sim_rng_init(&rng, rec.seq);
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, NULL), 0);
		assert_int_equal(l.next_seq, rec.seq + 1);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(cut);
	}
	assert_int_equal(allocated, 1);
	assert_non_null(blk_sim_bytes(sim, LANE_DIR "/00000001.seg", &len));
	assert_int_equal(len, 2u << 20);
	assert_non_null(blk_sim_bytes(sim, LANE_DIR "/00000002.seg", &len));
	assert_int_equal(len, 3u << 20);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Class volatile: a new file is allocated, one that is used again is zeroed, neither is
 * synced; what a killed server leaves is the log and no word of what was there before. */
static void test_swift_files(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct blk_ops blk = *blk_sim_ops(sim);
	struct seg_lane l;
	struct seglog *s;
	uint64_t seq = 1, syncs = 0;

	(void)state;
	sim_ops = blk_sim_ops(sim);
	blk.allocate = allocate_some;
	allocated = 0;
	model_dirs(&blk);
	assert_int_equal(model_scan(&blk, false, &l, NULL), 0);
	assert_int_equal(model_open_as(&blk, &l, true, &s), 0);
	seg_lane_free(&l);
	for (int i = 0; i < 60; i++, seq += 7) {
		struct model_found f;
		struct blk_sim *killed;

		assert_int_equal(model_append(s, seq, 7), 0);
		syncs = blk_sim_calls(sim, SIM_SYNC);
		model_prepare(s);
		assert_int_equal(seglog_retain(s, 4 * SEG_TEST_BYTES, 0), 0);
		assert_int_equal(blk_sim_calls(sim, SIM_SYNC), syncs);

		killed = blk_sim_killed(sim);
		assert_int_equal(model_scan(blk_sim_ops(killed), false, &l, &f), 0);
		assert_false(f.wrong);
		assert_int_equal(f.last, seq + 6);
		assert_int_equal(l.nholes, 0);
		assert_int_equal(l.end, l.dirty_end);
		seg_lane_free(&l);
		blk_sim_free(killed);
	}
	assert_in_range(allocated, 1, 4);
	assert_int_equal(blk_sim_calls(sim, SIM_UNLINK), 0);
	seglog_close(s);
	blk_sim_free(sim);
}

static bool unlinks;

static int sync_dir_unlinking(struct blk_dir *d)
{
	int err = sim_ops->sync_dir(d);

	if (unlinks && !sim_ops->unlink(sim_ops->ctx, NULL, LANE_DIR "/00000002.seg"))
		unlinks = false;
	return err;
}

/* A segment that is removed just before it is handed over is made anew, not waited for. */
static void test_removed_while_made(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct blk_ops blk = *blk_sim_ops(sim);
	struct seglog *s;
	uint64_t len;

	(void)state;
	sim_ops = blk_sim_ops(sim);
	blk.sync_dir = sync_dir_unlinking;
	model_dirs(&blk);
	unlinks = false;
	s = model_start(&blk);
	unlinks = true;
	for (int i = 0; i < 100 && !seglog_ready(s); i++)
		seglog_prepare(s);
	assert_false(unlinks);
	assert_true(seglog_ready(s));
	assert_non_null(blk_sim_bytes(sim, LANE_DIR "/00000002.seg", &len));
	seglog_close(s);
	blk_sim_free(sim);
}

/* Writes to the data of segments that are whole blocks, and that are not. */
static unsigned whole, parts;

static int write_looking(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	uint64_t bits = off;

	for (unsigned i = 0; i < n; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	if (off >= SEG_DATA)
		*(bits % BLK_BLOCK ? &parts : &whole) += 1;
	return sim_ops->write(f, iov, n, off);
}

/* Batches go out in whole blocks, what the first of them held before is still there, and
 * behind the last are zeros. */
static void test_whole_blocks(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct blk_ops blk = *blk_sim_ops(sim);
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;
	uint64_t seq = 1, reads;

	(void)state;
	sim_ops = blk_sim_ops(sim);
	blk.write = write_looking;
	model_dirs(&blk);
	s = model_start(&blk);
	whole = parts = 0;
	reads = blk_sim_calls(sim, SIM_READ);
	for (int i = 0; i < 40; i++, seq += 3)
		assert_int_equal(model_append(s, seq, 3), 0);
	assert_int_equal(parts, 0);
	assert_in_range(whole, 40, 1000);
	assert_int_equal(blk_sim_calls(sim, SIM_READ), reads);	/* it knows the block */
	seglog_close(s);
	/* After a start it has to read it. */
	s = model_start(&blk);
	assert_int_not_equal(seglog_place(s).off % BLK_BLOCK, 0);
	whole = parts = 0;
	assert_int_equal(model_append(s, seq++, 1), 0);
	assert_int_equal(parts, 0);
	assert_int_equal(whole, 1);
	seglog_close(s);
	/* What cannot be read is left as it is. */
	s = model_start(&blk);
	assert_int_not_equal(seglog_place(s).off % BLK_BLOCK, 0);
	whole = parts = 0;
	blk_sim_fault(sim, SIM_READ, 1, 1, EIO);
	assert_int_equal(model_append(s, seq++, 1), 0);
	assert_int_equal(parts, 1);
	assert_int_equal(whole, 0);
	assert_int_equal(model_append(s, seq++, 1), 0);
	assert_int_equal(parts, 1);
	seglog_close(s);
	assert_int_equal(model_scan(&blk, false, &l, &f), 0);
	assert_false(f.wrong);
	assert_int_equal(f.n, seq - 1);
	assert_int_equal(l.nholes, 0);
	assert_int_equal(l.end, l.dirty_end);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* More than there is memory for goes out in pieces. */
static void test_large_batch(void **state)
{
	enum { LEN = 2 * SEG_BATCH_BYTES + 12345 };
	struct blk_sim *sim = blk_sim_new();
	struct blk_ops blk = *blk_sim_ops(sim);
	struct seglog_options o = { .blk = &blk, .dir = LANE_DIR, .lane = LANE,
		.segment_bytes = 1u << 20, .now_ms = model_now, .random = model_random };
	uint8_t *bytes = malloc(LEN), *back = malloc(LEN);
	struct iovec iov = { bytes, LEN };
	struct seg_rec r = { .kind = FRAME_RECORD, .seq = 1, .len = LEN, .iov = &iov, .niov = 1 };
	struct seglog_resume at;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	assert_true(bytes && back);
	sim_ops = blk_sim_ops(sim);
	blk.write = write_looking;
	for (uint32_t i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 9));
	r.data_crc = crc32c(bytes, LEN);
	model_dirs(&blk);
	assert_int_equal(model_scan(&blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &at);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	assert_int_equal(seglog_open(&s, &o, &l, &at), 0);
	seg_lane_free(&l);
	whole = parts = 0;
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	assert_int_equal(whole, 3);
	assert_int_equal(parts, 0);
	assert_int_equal(blk.read(seglog_place(s).file, back, LEN, SEG_DATA + sizeof(struct frame_header)), 0);
	assert_memory_equal(back, bytes, LEN);
	seglog_close(s);
	blk_sim_free(sim);
	free(bytes);
	free(back);
}

static unsigned segs_there(const struct blk_ops *blk)
{
	unsigned n[3] = { 0 };

	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	return n[0];
}

static void unlink_nth(const struct blk_ops *blk, uint64_t segno)
{
	char path[SEG_PATH_MAX];

	assert_int_equal(seg_path(path, LANE_DIR, segno), 0);
	assert_int_equal(blk->unlink(blk->ctx, NULL, path), 0);
}

/* What cannot be removed is told of, tried again, and comes first: no hole behind it. */
static void test_unremovable(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct blk_sim *killed;
	struct seglog_stats st;
	struct seg_lane l;
	struct seglog *s;
	uint64_t seq = 1;
	unsigned there;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (; seq < 200; seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.retain_err, 0);
	there = segs_there(blk);
	blk_sim_fault(sim, SIM_UNLINK, 1, 3, EIO);
	for (int i = 0; i < 3; i++) {
		/* only the one too many: what is stuck counts, or it would stay */
		assert_int_equal(seglog_retain(s, there * SEG_TEST_BYTES - 1, 0), -EIO);
		seglog_stat(s, &st);
		assert_int_equal(st.retain_err, -EIO);
		assert_int_equal(segs_there(blk), there);
		killed = blk_sim_killed(sim);
		assert_int_equal(model_scan(blk_sim_ops(killed), false, &l, NULL), 0);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(killed);
	}
	assert_int_equal(seglog_retain(s, there * SEG_TEST_BYTES - 1, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.retain_err, 0);
	assert_int_equal(segs_there(blk), there - 1);
	/* Somebody else removes the next one that is stuck: well, then it is gone. */
	blk_sim_fault(sim, SIM_UNLINK, 1, 1, EBUSY);
	assert_int_equal(seglog_retain(s, (there - 1) * SEG_TEST_BYTES - 1, 0), -EBUSY);
	unlink_nth(blk, 2);
	assert_int_equal(seglog_retain(s, (there - 1) * SEG_TEST_BYTES - 1, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.retain_err, 0);
	assert_int_equal(segs_there(blk), there - 2);
	assert_int_equal(model_append(s, seq, 7), 0);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Whether its old name is gone is not known: it must not be overwritten. */
static void put_nth(struct blk_sim *sim, uint64_t segno)
{
	char path[SEG_PATH_MAX];

	assert_int_equal(seg_path(path, LANE_DIR, segno), 0);
	assert_int_equal(blk_sim_put(sim, path, "x", 1), 0);
}

static void test_failed_directory_sync_keeps_the_file(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	struct seglog *s;
	unsigned there;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (uint64_t seq = 1; seq < 200; seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	seglog_stat(s, &st);
	/* Not for want of room: that would be told as something that passes. */
	blk_sim_fault(sim, SIM_SYNC_DIR, 1, 1, ENOSPC);
	assert_int_equal(seglog_retain(s, 0, st.newest_ms), -EIO);
	/* What the directory holds is not known any more: no second try, nothing else goes. */
	there = segs_there(blk);
	assert_int_equal(seglog_retain(s, 0, st.newest_ms), -EIO);
	assert_int_equal(segs_there(blk), there);
	model_prepare(s);
	for (uint64_t seed = 1; seed < 30; seed++) {
		struct blk_sim *cut;
		struct sim_rng rng;
		struct model_found f;
		struct seg_lane l;

		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, &f), 0);
		assert_int_equal(model_holes(&l, SEG_HOLE_DAMAGE), 0);
		assert_false(f.wrong);
		seg_lane_free(&l);
		blk_sim_free(cut);
	}
	seglog_close(s);
	blk_sim_free(sim);
}

/* Names that somebody else takes away: of what is sealed, of the prepared one, of the one
 * that is written to. */
static void test_names_are_watched(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	unsigned missing;
	uint64_t first, seq;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (seq = 1; seq < 200; seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	model_prepare(s);
	seglog_stat(s, &st);
	assert_true(st.segments > 3);
	assert_int_equal(seglog_watch(s, &missing, &first), 0);
	assert_int_equal(missing, 0);

	assert_int_equal(blk->rename(blk->ctx, NULL, LANE_DIR "/00000002.seg", LANE_DIR "/away"), 0);
	assert_int_equal(seglog_watch(s, &missing, &first), 0);
	assert_int_equal(missing, 1);
	assert_int_equal(first, 2);
	seglog_stat(s, &st);
	assert_int_equal(st.missing, 1);
	assert_int_equal(blk->rename(blk->ctx, NULL, LANE_DIR "/away", LANE_DIR "/00000002.seg"), 0);
	assert_int_equal(seglog_watch(s, &missing, &first), 0);
	assert_int_equal(missing, 0);

	unlink_nth(blk, st.segments + 1);
	assert_true(seglog_ready(s));
	assert_int_equal(seglog_watch(s, &missing, &first), 0);
	assert_false(seglog_ready(s));		/* no batch goes into a file without a name */
	model_prepare(s);
	assert_int_equal(model_append(s, seq, 7), 0);

	unlink_nth(blk, st.segments);
	put_nth(sim, st.segments);		/* another file of that name does not do */
	assert_int_equal(seglog_watch(s, &missing, &first), -ENOENT);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Files that nobody of us named, with numbers behind which there are none. */
static void test_numbers_that_no_segment_has(void **state)
{
	static const char *const name[] = { "ffffffffffffffff.seg", "7fffffffffffffff.seg", "3fffffffffffffff.seg" };
	static uint8_t junk[SEG_TEST_BYTES];
	struct model_found found;

	(void)state;
	memset(junk, 0x5a, sizeof(junk));
	for (unsigned i = 0; i < sizeof(name) / sizeof(*name); i++) {
		struct blk_sim *sim = blk_sim_new();
		const struct blk_ops *blk = blk_sim_ops(sim);
		char path[64];
		struct seg_lane l;
		struct seglog *s;
		uint64_t seq;

		model_dirs(blk);
		s = model_start(blk);
		assert_int_equal(model_append(s, 1, 7), 0);
		seglog_close(s);
		snprintf(path, sizeof(path), LANE_DIR "/%s", name[i]);
		blk_sim_put(sim, path, junk, sizeof(junk));
		s = model_start(blk);
		for (seq = 8; seq < 500; seq += 7)		/* into the next segments */
			assert_int_equal(model_append(s, seq, 7), 0);
		seglog_close(s);
		assert_int_equal(model_scan(blk, false, &l, &found), 0);
		assert_false(found.wrong);
		assert_int_equal(found.n, seq - 1);
		assert_true(l.segs[l.tail].segno < 100);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

static void test_leftovers_go(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	static uint8_t junk[SEG_TEST_BYTES];
	unsigned n[3] = { 0 };
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	memset(junk, 0x5a, sizeof(junk));
	blk_sim_put(sim, LANE_DIR "/new-00000009", junk, 1000);
	blk_sim_put(sim, LANE_DIR "/spare-00000002", junk, 1000);
	blk_sim_put(sim, LANE_DIR "/spare-00000003", junk, sizeof(junk));
	blk_sim_put(sim, LANE_DIR "/spare-00000004", junk, sizeof(junk));
	s = model_start(blk);
	model_prepare(s);
	assert_int_equal(model_append(s, 1, 7), 0);
	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	assert_int_equal(n[0], 2);
	assert_true(n[1] <= SEG_SPARES);
	assert_int_equal(n[2], 0);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_no_space_and_back(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog *s;
	uint64_t seq = 1;
	int err = 0;

	(void)state;
	model_dirs(blk);
	blk_sim_capacity(sim, 2 * SEG_TEST_BYTES + 5000);
	s = model_start(blk);
	while (!(err = model_append(s, seq, 1)))
		seq++;
	assert_int_equal(err, -ENOSPC);
	assert_true(seglog_nospace(s));
	assert_int_equal(seglog_rotate(s), -ENOSPC);
	assert_true(blk_sim_used(sim) <= 2 * SEG_TEST_BYTES);	/* the try gave its room back */
	assert_int_equal(seglog_prepare(s), 1);
	assert_int_equal(seglog_prepare(s), -ENOSPC);
	blk_sim_capacity(sim, 0);
	model_prepare(s);
	assert_false(seglog_nospace(s));
	assert_int_equal(model_append(s, seq, 1), 0);
	seglog_close(s);
	blk_sim_free(sim);
}

/* The header of the next segment finds no room, and the background makes the one behind it
 * in the same moment: both are there, and are used in their order. */
static struct seglog *beside_log;
static const struct blk_ops *beside_blk;

static int write_beside(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	struct seglog *s = beside_log;

	if (!s)
		return beside_blk->write(f, iov, n, off);
	beside_log = NULL;
	model_prepare(s);
	return -ENOSPC;
}

static void test_header_without_room_beside_prepare(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct blk_ops blk = *blk_sim_ops(sim);
	struct seg_lane found;
	struct seglog *s;
	uint64_t seq = 1;

	(void)state;
	beside_blk = blk_sim_ops(sim);
	blk.write = write_beside;
	model_dirs(&blk);
	s = model_start(&blk);
	model_prepare(s);
	assert_int_equal(model_append(s, seq++, 1), 0);
	beside_log = s;
	assert_int_equal(seglog_rotate(s), -ENOSPC);
	assert_true(seglog_ready(s));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(model_append(s, seq++, 1), 0);
	}
	seglog_close(s);
	assert_int_equal(model_scan(&blk, false, &found, NULL), 0);
	assert_int_equal(found.nholes, 0);
	assert_int_equal(found.records, seq - 1);
	seg_lane_free(&found);
	blk_sim_free(sim);
}

static void test_failed_sync_is_final(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	uint64_t syncs;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 3), 0);
	blk_sim_fault(sim, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(model_append(s, 4, 3), -EIO);
	assert_int_equal(seglog_next_seq(s), 4);
	syncs = blk_sim_calls(sim, SIM_SYNC);
	assert_int_equal(model_append(s, 4, 3), -EIO);
	assert_int_equal(blk_sim_calls(sim, SIM_SYNC), syncs);	/* never again */
	seglog_close(s);
	blk_sim_free(sim);
}

/* After a failed sync reads show what the disk does not hold: recovery writes it again. */
static void test_failed_sync_then_kill_then_cut(void **state)
{
	unsigned kept = 0, gone = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct blk_sim *sim = blk_sim_new(), *killed, *cut;
		const struct blk_ops *blk = blk_sim_ops(sim);
		struct model_found f;
		struct seg_lane l;
		struct sim_rng rng;
		struct seglog *s;

		model_dirs(blk);
		s = model_start(blk);
		if (seed % 2)
			assert_int_equal(model_append(s, 1, 3), 0);
		blk_sim_fault(sim, SIM_SYNC, 1, 1, EIO);
		assert_int_equal(model_append(s, seed % 2 ? 4 : 1, 3), -EIO);
		seglog_close(s);
		killed = blk_sim_killed(sim);
		s = model_start(blk_sim_ops(killed));
		assert_int_equal(seglog_next_seq(s), seed % 2 ? 7 : 4);
		seglog_close(s);
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(killed, &rng.p);
		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, &f), 0);
		assert_int_equal(f.n, seed % 2 ? 6 : 3);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(cut);
		/* without the recovery it may be there or not */
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, &f), 0);
		if (f.n == (seed % 2 ? 6 : 3))
			kept++;
		else
			gone++;
		seg_lane_free(&l);
		blk_sim_free(cut);
		blk_sim_free(killed);
		blk_sim_free(sim);
	}
	assert_true(kept && gone);	/* the simulator does what this test is about */
}

static void test_every_call_fails_once(void **state)
{
	static const enum sim_op ops[] = {
		SIM_OPEN, SIM_WRITE, SIM_SYNC, SIM_RENAME, SIM_UNLINK, SIM_SYNC_DIR, SIM_READ,
	};

	(void)state;
	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
		for (unsigned nth = 1; nth < 40; nth++) {
			struct blk_sim *sim = blk_sim_new(), *cut;
			const struct blk_ops *blk = blk_sim_ops(sim);
			uint64_t seq = 1, synced = 0, oldest = 1;
			struct seglog_stats st;
			struct model_found f;
			struct sim_rng rng;
			struct seg_lane l;
			struct seglog *s = NULL;

			model_dirs(blk);
			blk_sim_fault(sim, ops[o], nth, 1, EIO);
			if (!model_scan(blk, false, &l, NULL)) {
				if (model_open(blk, &l, &s))
					s = NULL;
				seg_lane_free(&l);
			}
			for (int i = 0; s && i < 14; i++, seq += 7) {
				if (model_append(s, seq, 7))
					break;
				seglog_prepare(s);
				seglog_retain(s, 3 * SEG_TEST_BYTES, 0);
			}
			if (s) {
				seglog_stat(s, &st);
				synced = st.durable_seq;
				oldest = st.oldest_seq;
				seglog_close(s);
			}
			sim_rng_init(&rng, nth);
			cut = blk_sim_cut(sim, &rng.p);
			if (synced) {
				assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, &f), 0);
				for (uint64_t n = oldest; n <= synced; n++)
					assert_int_equal(f.there[n], 1);
				assert_false(f.wrong);
				seg_lane_free(&l);
			}
			blk_sim_free(cut);
			blk_sim_free(sim);
		}
}

static void test_tail_is_scrubbed(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	static const char junk[] = "what a torn batch left behind";
	struct iovec iov = { (void *)junk, sizeof(junk) };
	struct seg_lane l;
	struct seglog *s;
	struct seg_place at;
	struct sim_rng rng;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 3), 0);
	at = seglog_place(s);
	assert_int_equal(blk->write(at.file, &iov, 1, at.off + 5000), 0);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_true(l.dirty_end > at.off + 5000);
	assert_int_equal(l.end, at.off);
	seg_lane_free(&l);
	s = model_start(blk);
	seglog_close(s);
	sim_rng_init(&rng, 1);
	for (int i = 0; i < 10; i++) {
		struct blk_sim *cut = blk_sim_cut(sim, &rng.p);

		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, NULL), 0);
		assert_int_equal(l.dirty_end, l.end);
		assert_int_equal(l.next_seq, 4);
		seg_lane_free(&l);
		blk_sim_free(cut);
	}
	blk_sim_free(sim);
}

static void test_gap_frames(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct gap_data g = { .from_seq = 4, .to_seq = 1000, .reason = GAP_WAL_LOST };
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 3), 0);
	assert_int_equal(seglog_append_gap(s, &g), 0);
	assert_int_equal(seglog_next_seq(s), 1001);
	assert_int_equal(model_append(s, 1001, 3), 0);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, &f), 0);
	assert_int_equal(f.n, 6);
	assert_int_equal(l.ngaps, 1);
	assert_int_equal(l.gaps[0].g.to_seq, 1000);
	assert_int_equal(l.nholes, 0);
	assert_int_equal(l.next_seq, 1004);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* ---- edges ---- */

/* A log whose options are the test's. */
static int open_with(struct seglog_options *o, struct blk_sim *sim, struct seglog **s)
{
	struct seglog_resume r;
	struct seg_lane l;
	int err;

	if (!o->blk)
		o->blk = blk_sim_ops(sim);
	o->dir = LANE_DIR;
	o->lane = LANE;
	o->now_ms = model_now;
	o->random = model_random;
	memcpy(o->uuid, model_uuid, sizeof(o->uuid));
	assert_int_equal(model_scan(o->blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &r);
	err = seglog_open(s, o, &l, &r);
	seg_lane_free(&l);
	return err;
}

/* One record of so many bytes, each `seq`. */
static int append_len(struct seglog *s, uint64_t seq, uint32_t len)
{
	struct iovec iov = { malloc(len + 1), len };
	struct seg_rec r = { .kind = FRAME_RECORD, .seq = seq, .time_ms = 1000 + seq, .len = len, .iov = &iov,
			     .niov = 1 };
	int err;

	memset(iov.iov_base, (int)seq, len);
	r.data_crc = crc32c(iov.iov_base, len);
	err = seglog_append(s, &r, 1, NULL);
	free(iov.iov_base);
	return err;
}

static void test_zeros(void **state)
{
	enum { FILE_BYTES = 5 << 20 };
	static const uint64_t rows[][2] = {		/* 64 KiB in a vector, 4 MiB in a write */
		{ 0, 1 }, { 5, 65536 }, { 4096, 65537 }, { 9, 0 }, { 7, 4 << 20 }, { 100, (4 << 20) + 70000 },
	};
	uint8_t *ones = malloc(FILE_BYTES);
	const uint8_t *now;

	(void)state;
	memset(ones, 1, FILE_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		const struct blk_ops *blk = blk_sim_ops(sim);
		uint64_t off = rows[i][0], n = rows[i][1], len = n < 1 << 20 ? 1 << 20 : FILE_BYTES;
		struct blk_file *f;

		blk_sim_put(sim, "/f", ones, len);
		assert_int_equal(blk->open(blk->ctx, NULL, "/f", BLK_RDWR, &f), 0);
		assert_int_equal(seg_write_zeros(blk, f, off, n), 0);
		now = blk_sim_bytes(sim, "/f", &len);
		for (uint64_t at = 0; at < len; at++)
			if (now[at] != !(at >= off && at < off + n))
				fail_msg("byte %u of row %u", (unsigned)at, (unsigned)i);
		blk_sim_fault(sim, SIM_WRITE, 1, 1, EDQUOT);	/* of two writes the first */
		assert_int_equal(seg_write_zeros(blk, f, 0, len), -EDQUOT);
		blk->close(f);
		blk_sim_free(sim);
	}
	free(ones);
}

static void test_sizes(void **state)
{
	static const struct { uint64_t segment, first; int err; } rows[] = {
		{ SEG_BYTES_MIN, 0, 0 }, { SEG_BYTES_MIN - WAL_PAGE, 0, -EINVAL }, { SEG_BYTES_MAX + WAL_PAGE, 0, -EINVAL },
		{ SEG_BYTES_MIN + 512, 0, -EINVAL }, { SEG_BYTES_MIN + WAL_PAGE, SEG_BYTES_MIN, 0 },
		{ SEG_BYTES_MIN, SEG_BYTES_MIN, 0 }, { SEG_BYTES_MIN, SEG_BYTES_MIN + WAL_PAGE, -EINVAL },
		{ 1 << 20, SEG_BYTES_MIN - WAL_PAGE, -EINVAL }, { 1 << 20, SEG_BYTES_MIN + 512, -EINVAL },
	};

	(void)state;
	assert_int_equal(seg_record_max(SEG_TEST_BYTES), SEG_TEST_BYTES - 8192 - 48 - 8);
	assert_int_equal(seg_record_max(SEG_BYTES_MAX), UINT32_MAX - 8192 - 48 - 8 + 1);
	assert_int_equal(seg_record_max(2 * SEG_BYTES_MAX), UINT32_MAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		struct seglog_options o = { .segment_bytes = rows[i].segment, .first_bytes = rows[i].first };
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		assert_int_equal(open_with(&o, sim, &s), rows[i].err);
		if (!rows[i].err) {
			assert_int_equal(seglog_room(s), (rows[i].first ? rows[i].first : rows[i].segment) - SEG_DATA);
			seglog_close(s);
		}
		blk_sim_free(sim);
	}
}

/* Where to go on must be a place of the segment that was found. */
static void test_senseless_resume(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_options o = { .blk = blk, .dir = LANE_DIR, .lane = LANE, .segment_bytes = SEG_TEST_BYTES,
				    .now_ms = model_now, .random = model_random };
	struct seglog_resume r, well;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 5), 0);
	seglog_close(s);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(model_scan(blk, false, &l, NULL), 0);
		seg_lane_resume(&l, &well);
		r = well;
		if (i == 1)
			r.end = SEG_TEST_BYTES + 8;
		if (i == 2)
			r.dirty_end = SEG_TEST_BYTES + 8;
		if (i == 3)
			r.batch_off = r.end + 8;
		if (i == 4)
			r.batch_off = SEG_DATA - 8;
		if (i == 5)
			r.segno++;
		if (i == 6)
			r.next_seq = 0;
		if (i == 7)
			r.next_batch = 0;
		if (i == 8)
			l.tail = SIZE_MAX;
		if (i == 9)			/* to its last byte: there is another one then */
			r.end = r.dirty_end = SEG_TEST_BYTES;
		assert_int_equal(seglog_open(&s, &o, &l, &r), i && i < 9 ? -EINVAL : 0);
		seg_lane_free(&l);
		if (!i || i == 9)
			seglog_close(s);
	}
	blk_sim_free(sim);
}

/* What the figures say is the same after a restart; and each header says what it was begun with. */
static void test_figures_and_headers(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog_options o = { .segment_bytes = SEG_TEST_BYTES, .cls = CLASS_FSYNC };
	struct seglog_stats a, b;
	uint64_t seq = 1, created[64], first[64], batch[64], n = 0;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk_sim_ops(sim));
	assert_int_equal(open_with(&o, sim, &s), 0);
	for (; n < 40; n++) {			/* more than there is room for in the list at first */
		created[n] = model_clock - 1;
		first[n] = seq;
		batch[n] = 2 * n + 1;
		assert_int_equal(append_len(s, seq++, 3), 0);
		assert_int_equal(append_len(s, seq++, 5), 0);
		model_prepare(s);
		if (n < 39)
			assert_int_equal(seglog_rotate(s), 0);
	}
	seglog_stat(s, &a);
	assert_int_equal(a.segments, 40);
	assert_int_equal(a.bytes, 40 * SEG_TEST_BYTES);
	assert_int_equal(a.rotations, 40);
	assert_int_equal(a.oldest_seq, 1);
	assert_int_equal(a.oldest_ms, created[0]);
	assert_int_equal(a.newest_ms, 1000 + 80);
	assert_int_equal(a.durable_seq, 80);
	assert_int_equal(a.expired_records, 0);
	assert_int_equal(a.missing, 0);
	assert_int_equal(a.prepare_err, 0);
	seglog_close(s);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(l.segs[i].state, SEG_USED);
		assert_int_equal(l.segs[i].h.segno, i + 1);
		assert_int_equal(l.segs[i].h.lane, LANE);
		assert_int_equal(l.segs[i].h.class, CLASS_FSYNC);
		assert_int_equal(l.segs[i].h.created_ms, created[i]);
		assert_int_equal(l.segs[i].h.first_seq, first[i]);
		assert_int_equal(l.segs[i].h.first_batch, batch[i]);
		assert_int_equal(l.segs[i].records, 2);
		assert_int_equal(l.segs[i].record_bytes, 8);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(l.segs[i].h.salt, l.segs[k].h.salt);
	}
	seg_lane_free(&l);
	for (int life = 0; life < 2; life++) {
		struct seglog_resume r;
		uint64_t opened, written;

		o.cls = CLASS_NVMM;
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		seg_lane_resume(&l, &r);
		opened = blk_sim_calls(sim, SIM_OPEN);
		written = blk_sim_calls(sim, SIM_WRITE);
		assert_int_equal(seglog_open(&s, &o, &l, &r), 0);
		/* the folder, the one that is gone on with, the prepared one; of the first its header,
		 * where that changes, and its last batch; nothing of all the others */
		assert_int_equal(blk_sim_calls(sim, SIM_OPEN) - opened, 3);
		assert_int_equal(blk_sim_calls(sim, SIM_WRITE) - written, life ? 1 : 2);
		seg_lane_free(&l);
		seglog_stat(s, &b);
		a.rotations = 0;
		assert_memory_equal(&a, &b, sizeof(a));
		seglog_close(s);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.segs[38].h.class, CLASS_FSYNC);
		assert_int_equal(l.segs[39].h.class, CLASS_NVMM);	/* the one that is gone on with */
		seg_lane_free(&l);
	}
	blk_sim_free(sim);
}

/* The prepared file of an earlier start is looked through and used as it is; where there is
 * anything in it, be it the last byte, zeros are written first. */
static void test_prepared_is_adopted(void **state)
{
	enum { BYTES = 2 << 20 };
	static const uint64_t junk[] = { SEG_DATA, (512 << 10) - 1, 512 << 10, BYTES - 1, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		struct seglog_options o = { .segment_bytes = BYTES };
		uint64_t writes, len;
		const uint8_t *now;
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		assert_int_equal(open_with(&o, sim, &s), 0);
		assert_int_equal(append_len(s, 1, 10), 0);
		model_prepare(s);
		seglog_close(s);
		if (junk[i] != UINT64_MAX)
			assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000002.seg", 8 * junk[i]), 0);
		assert_int_equal(open_with(&o, sim, &s), 0);
		writes = blk_sim_calls(sim, SIM_WRITE);
		model_prepare(s);
		assert_int_equal(blk_sim_calls(sim, SIM_WRITE) > writes, junk[i] != UINT64_MAX);
		now = blk_sim_bytes(sim, LANE_DIR "/00000002.seg", &len);
		assert_int_equal(len, BYTES);
		for (uint64_t at = 0; at < len; at++)
			if (now[at])
				fail_msg("byte %u", (unsigned)at);
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(append_len(s, 2, 10), 0);
		seglog_close(s);
		/* another size from now on: it is not taken */
		assert_int_equal(open_with(&o, sim, &s), 0);
		model_prepare(s);
		seglog_close(s);
		o.segment_bytes = SEG_TEST_BYTES;
		assert_int_equal(open_with(&o, sim, &s), 0);
		model_prepare(s);
		assert_non_null(blk_sim_bytes(sim, LANE_DIR "/00000003.seg", &len));
		assert_int_equal(len, SEG_TEST_BYTES);
		seglog_close(s);
		blk_sim_free(sim);
	}
}

/* How many calls it takes to make one: a slice each; larger ones once the writer waits. */
static void test_slices(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog_options o = { .segment_bytes = 8u << 20 };
	struct seglog *s;
	uint64_t seq = 1;

	(void)state;
	model_dirs(blk_sim_ops(sim));
	assert_int_equal(open_with(&o, sim, &s), 0);
	for (int turn = 0; turn < 4; turn++) {
		uint64_t steps = seglog_steps(s), syncs = blk_sim_calls(sim, SIM_SYNC);
		unsigned calls = 0, slices = turn % 2 ? 2 : 16;
		int err;

		assert_int_equal(append_len(s, seq++, 10), 0);
		syncs++;
		if (turn % 2)
			assert_int_equal(seglog_rotate(s), -EAGAIN);
		do {
			err = seglog_prepare(s);
			calls++;
		} while (err == 1);
		assert_int_equal(err, 0);
		assert_int_equal(calls, slices + 2);	/* the file, the zeros, its name */
		assert_int_equal(blk_sim_calls(sim, SIM_SYNC) - syncs, slices);
		assert_int_equal(seglog_steps(s), steps + calls);
		assert_int_equal(seglog_prepare(s), 0);
		assert_int_equal(seglog_steps(s), steps + calls);
		assert_int_equal(seglog_rotate(s), 0);
	}
	/* Steps of a try after one that failed are not counted: nobody is to wait for them. */
	for (int again = 0; again < 2; again++) {
		uint64_t steps = seglog_steps(s);

		assert_int_equal(append_len(s, seq++, 10), 0);
		blk_sim_fault(sim, SIM_SYNC, 3, 1, EIO);
		assert_int_equal(seglog_prepare(s), 1);
		assert_int_equal(seglog_prepare(s), 1);
		assert_int_equal(seglog_prepare(s), 1);
		assert_int_equal(seglog_steps(s), steps + 3);
		assert_int_equal(seglog_prepare(s), -EIO);
		assert_int_equal(seglog_prepare_err(s), -EIO);
		assert_int_equal(seglog_nospace(s), 0);
		for (int i = 0; i < 17; i++)
			assert_int_equal(seglog_prepare(s), 1);
		assert_int_equal(seglog_steps(s), steps + 3);
		assert_int_equal(seglog_prepare_err(s), -EIO);
		assert_int_equal(seglog_prepare(s), 0);
		assert_int_equal(seglog_prepare_err(s), 0);
		assert_int_equal(seglog_steps(s), steps + 4);
		assert_int_equal(seglog_rotate(s), 0);
	}
	seglog_close(s);
	blk_sim_free(sim);
}

/* Frames and batches that end where a block does, or the memory of a batch, and 8 bytes before and
 * behind that. */
static void test_batches_at_their_edges(void **state)
{
	static const uint32_t size[] = { BLK_BLOCK, SEG_BATCH_BYTES, 2 * SEG_BATCH_BYTES, SEG_BATCH_BYTES - BLK_BLOCK };

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		for (int more = -8; more <= 8; more += 8) {
			struct blk_sim *sim = blk_sim_new(), *cut;
			struct seglog_options o = { .segment_bytes = 2u << 20 };
			struct sim_edge none;
			struct seg_lane l;
			struct seglog *s;

			model_dirs(blk_sim_ops(sim));
			assert_int_equal(open_with(&o, sim, &s), 0);
			assert_int_equal(append_len(s, 1, size[i] - 48 + (uint32_t)more), 0);
			assert_int_equal(append_len(s, 2, 1), 0);
			for (uint64_t seq = 3; seq < 6; seq++)
				assert_int_equal(append_len(s, seq, size[i] - 48), 0);
			seglog_close(s);
			sim_edge_init(&none, 0);
			cut = blk_sim_cut(sim, &none.p);
			assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, NULL), 0);
			assert_int_equal(l.records, 5);
			assert_int_equal(l.nholes, 0);
			assert_int_equal(l.end, l.dirty_end);
			assert_int_equal(l.bytes, 4 * (size[i] - 48) + more + 1);
			seg_lane_free(&l);
			blk_sim_free(cut);
			blk_sim_free(sim);
		}
}

/* The largest record of a segment fills it; one more byte is refused, and costs nothing. */
static void test_the_largest_record(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	const uint32_t max = SEG_TEST_BYTES - SEG_DATA - sizeof(struct frame_header);
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(append_len(s, 1, max + 1), -EFBIG);
	assert_int_equal(append_len(s, 1, max), 0);
	assert_int_equal(seglog_room(s), 0);
	assert_int_equal(append_len(s, 2, max - 8), 0);
	assert_int_equal(seglog_room(s), 8);
	assert_int_equal(append_len(s, 3, 0), 0);
	seglog_close(s);
	s = model_start(blk);
	assert_int_equal(append_len(s, 4, max), 0);
	seglog_close(s);
	s = model_start(blk);				/* on a full one */
	assert_int_equal(seglog_room(s), 0);
	assert_int_equal(append_len(s, 5, 1), 0);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_int_equal(l.records, 5);
	assert_int_equal(l.nsegs, 5);
	assert_int_equal(l.nholes, 0);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* Many records at once: how many of them were synced when the disk was full. */
static void test_done_is_counted(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	uint8_t *p = calloc(1, 20000);
	struct iovec iov[10];
	struct seg_rec r[10];
	unsigned done = 99;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	blk_sim_capacity(sim, 2 * SEG_TEST_BYTES + 5000);
	s = model_start(blk);
	for (unsigned i = 0; i < 10; i++) {
		iov[i] = (struct iovec){ p, 20000 };
		r[i] = (struct seg_rec){ .kind = FRAME_RECORD, .seq = i + 1, .time_ms = 1, .len = 20000,
					 .data_crc = crc32c(p, 20000), .iov = &iov[i], .niov = 1 };
	}
	assert_int_equal(seglog_append(s, r, 10, &done), -ENOSPC);	/* two in each segment */
	assert_int_equal(done, 4);
	assert_int_equal(seglog_next_seq(s), 5);
	blk_sim_capacity(sim, 0);
	assert_int_equal(seglog_append(s, r + 4, 6, &done), 0);
	assert_int_equal(done, 6);
	assert_int_equal(seglog_next_seq(s), 11);
	seglog_close(s);
	blk_sim_free(sim);
	free(p);
}

/* A large last batch whose sync failed is written again, whole, wherever it begins. */
static void test_a_large_batch_is_written_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct blk_sim *sim = blk_sim_new(), *killed, *cut;
		struct seglog_options o = { .segment_bytes = 4u << 20 };
		struct seg_lane l;
		struct sim_rng rng;
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		assert_int_equal(open_with(&o, sim, &s), 0);
		assert_int_equal(append_len(s, 1, 5000), 0);
		blk_sim_fault(sim, SIM_SYNC, 1, 1, EIO);
		assert_int_equal(append_len(s, 2, (5 << 20) / 2), -EIO);
		seglog_close(s);
		killed = blk_sim_killed(sim);
		o.blk = NULL;
		assert_int_equal(open_with(&o, killed, &s), 0);
		assert_int_equal(seglog_next_seq(s), 3);
		seglog_close(s);
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(killed, &rng.p);
		assert_int_equal(model_scan(blk_sim_ops(cut), false, &l, NULL), 0);
		assert_int_equal(l.records, 2);
		assert_int_equal(l.nholes, 0);
		seg_lane_free(&l);
		blk_sim_free(cut);
		blk_sim_free(killed);
		blk_sim_free(sim);
	}
}

/* ---- retention, to the byte and the millisecond ---- */

static void test_retention_to_the_byte(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog_stats st;
	unsigned n[3] = { 0 };
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (uint64_t seq = 1; seq <= 6; seq++) {
		assert_int_equal(append_len(s, seq, 100), 0);
		model_prepare(s);
		if (seq < 6)
			assert_int_equal(seglog_rotate(s), 0);
	}
	/* six and the prepared one */
	assert_int_equal(seglog_retain(s, 7 * SEG_TEST_BYTES, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 6);
	assert_int_equal(seglog_retain(s, 7 * SEG_TEST_BYTES - 1, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 5);
	assert_int_equal(st.expired_records, 1);
	/* one by age: its file is kept, and goes first when there is too much */
	assert_int_equal(seglog_retain(s, 0, st.oldest_ms + 1), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 5);
	for (uint64_t ms = st.oldest_ms; st.segments == 5; ms++) {
		assert_int_equal(seglog_retain(s, 0, ms), 0);
		seglog_stat(s, &st);
	}
	assert_int_equal(st.segments, 4);
	assert_int_equal(st.oldest_seq, 3);
	assert_int_equal(st.expired_records, 2);
	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	assert_int_equal(n[0], 5);
	assert_int_equal(n[1], 1);
	assert_int_equal(seglog_retain(s, 6 * SEG_TEST_BYTES, 0), 0);
	n[0] = n[1] = 0;
	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	assert_int_equal(n[1], 1);
	assert_int_equal(seglog_retain(s, 6 * SEG_TEST_BYTES - 1, 0), 0);
	n[0] = n[1] = 0;
	assert_int_equal(path_list(blk, LANE_DIR, count_names, n), 0);
	assert_int_equal(n[0], 5);
	assert_int_equal(n[1], 0);
	/* no limit is no limit */
	assert_int_equal(seglog_retain(s, 0, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 4);
	/* and never the one that is written to, nor the last that is known to be durable */
	assert_int_equal(seglog_retain(s, 1, 0), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 1);
	assert_int_equal(st.oldest_seq, 6);
	assert_int_equal(st.expired_records, 5);
	seglog_close(s);
	blk_sim_free(sim);
}

/* By age: when the next one was begun, to the millisecond; and a segment is turned likewise. */
static void test_retention_to_the_millisecond(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	uint64_t begun[4];
	struct seglog_stats st;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	for (uint64_t i = 0; i < 4; i++) {
		begun[i] = model_clock - 1;
		assert_int_equal(append_len(s, i + 1, 100), 0);
		model_clock += 1000;
		model_prepare(s);
		if (i < 3)
			assert_int_equal(seglog_rotate(s), 0);
	}
	for (uint64_t i = 1; i < 4; i++) {
		assert_int_equal(seglog_retain(s, 0, begun[i]), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.oldest_seq, i);
		assert_int_equal(seglog_retain(s, 0, begun[i] + 1), 0);
		seglog_stat(s, &st);
		assert_int_equal(st.oldest_seq, i + 1);
		assert_int_equal(st.oldest_ms, begun[i]);
		assert_int_equal(st.expired_records, i);
	}
	for (int writer = 0; writer < 2; writer++) {
		assert_int_equal(seglog_turn(s, begun[3], writer), 0);
		assert_false(seglog_wants_turn(s));
		seglog_stat(s, &st);
		assert_int_equal(st.rotations, 4);
	}
	assert_int_equal(seglog_turn(s, begun[3] + 1, false), 0);
	assert_true(seglog_wants_turn(s));
	assert_int_equal(seglog_turn(s, begun[3] + 1, true), 0);
	assert_false(seglog_wants_turn(s));
	seglog_stat(s, &st);
	assert_int_equal(st.rotations, 5);
	/* without a prepared one the writer makes it first, and nobody is asked for one */
	assert_int_equal(append_len(s, 5, 100), 0);
	assert_false(seglog_ready(s));
	assert_int_equal(seglog_turn(s, model_clock + 1, false), 0);
	assert_false(seglog_wants_turn(s));
	for (int i = 0; i < 20 && !seglog_turn(s, model_clock + 1, true); i++)
		;
	for (int i = 0; i < 20 && seglog_turn(s, model_clock + 1, true); i++)
		;
	seglog_stat(s, &st);
	assert_int_equal(st.rotations, 6);
	seglog_close(s);
	blk_sim_free(sim);
}

/* At its limit a lane makes the next segment from its oldest one; below it, anew. */
static void test_at_the_limit(void **state)
{
	(void)state;
	for (int below = 0; below < 2; below++) {
		struct blk_sim *sim = blk_sim_new();
		struct seglog_options o = { .segment_bytes = SEG_TEST_BYTES };
		struct seglog_stats st;
		struct seglog *s;

		o.bytes_max = (4 + below) * SEG_TEST_BYTES;
		model_dirs(blk_sim_ops(sim));
		assert_int_equal(open_with(&o, sim, &s), 0);
		for (uint64_t seq = 1; seq <= 4; seq++) {
			assert_int_equal(append_len(s, seq, 100), 0);
			if (seq < 4) {
				model_prepare(s);
				assert_int_equal(seglog_rotate(s), 0);
			}
		}
		model_prepare(s);
		seglog_stat(s, &st);
		assert_int_equal(st.segments, 3 + below);
		assert_int_equal(st.oldest_seq, 2 - below);
		assert_int_equal(blk_sim_used(sim), o.bytes_max);
		seglog_close(s);
		blk_sim_free(sim);
	}
}

/* The table is told of no number before recovery has explained all; and flags of what is explained
 * go. */
static void test_notes_before_all_is_explained(void **state)
{
	struct noted n = { .sim = blk_sim_new() };
	struct seglog_options o = { .segment_bytes = SEG_TEST_BYTES, .note = take_note, .note_arg = &n,
		.had = { .lane = LANE, .low_segno = 1, .low_seq = 1, .next_seq = 3, .next_batch = 1,
			 .flags = LANE_MISSING | LANE_SKIPPED | 64 } };
	struct noted other = { .sim = n.sim };

	(void)state;
	n.last = o.had;
	model_dirs(blk_sim_ops(n.sim));
	assert_int_equal(open_with(&o, n.sim, &n.s), 0);
	for (uint64_t seq = 1; seq < 5; seq++) {
		assert_int_equal(append_len(n.s, seq, 10), 0);
		model_prepare(n.s);
		assert_int_equal(n.last.next_seq, 3);
		assert_int_equal(n.last.flags, LANE_MISSING | LANE_SKIPPED | 64);
		assert_int_equal(n.last.high_segno, seq + 1);
		assert_int_equal(seglog_rotate(n.s), 0);
	}
	other.last = n.last;
	other.s = n.s;
	seglog_note_to(n.s, &other);
	seglog_note_explained(n.s);
	assert_int_equal(append_len(n.s, 5, 10), 0);
	model_prepare(n.s);
	assert_int_equal(other.last.next_seq, 6);
	assert_int_equal(other.last.flags, 64);
	assert_int_equal(n.last.next_seq, 3);
	assert_int_equal(other.last.high_segno, 6);
	assert_int_equal(seglog_note_end(n.s), 0);
	assert_int_equal(other.last.high_segno, 5);	/* the last that was used */
	assert_int_equal(other.last.next_batch, 6);
	seglog_close(n.s);
	blk_sim_free(n.sim);
}

/* ---- every crash ---- */

struct crash {
	struct blk_sim *sim;
	struct seglog *log;	/* NULL while it is being opened */
	uint64_t seed, step, only_step;
	uint64_t synced;	/* highest number that was acknowledged */
	uint64_t sent;		/* highest that was given to the log */
	uint64_t floor;		/* lower ones may have expired */
	const struct model_found *shown;	/* by an earlier start: they stay */
	unsigned samples, depth;
	uint64_t states, tails, torn;
};

#define WELL(c, cond) do { \
	if (!(cond)) \
		fail_msg("%s (seed %llu step %llu depth %u): test_segment %llu %llu", #cond, \
			 (unsigned long long)(c)->seed, (unsigned long long)(c)->step, (c)->depth, \
			 (unsigned long long)(c)->seed, (unsigned long long)(c)->step); \
} while (0)

static void judge_scan(struct crash *c, const struct seg_lane *l, const struct model_found *f)
{
	WELL(c, !f->wrong);
	WELL(c, f->last <= c->sent);
	for (uint64_t n = c->floor; n <= c->synced; n++)
		WELL(c, f->there[n]);
	for (uint64_t n = 0; c->shown && n < MODEL_SEQS; n++)
		WELL(c, f->there[n] || !c->shown->there[n]);
	WELL(c, model_holes(l, SEG_HOLE_DAMAGE) == 0);
	WELL(c, l->next_seq > f->last);
}

static int crash_step(void *arg, enum sim_op op);

/* One state: judge it, recover, append, judge again; crash in all that, once. */
static void judge_image(struct crash *c, struct blk_sim *sim)
{
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct model_found f, g;
	struct seg_lane l;
	uint64_t next;

	c->states++;
	WELL(c, model_scan(blk, false, &l, &f) == 0);
	judge_scan(c, &l, &f);
	c->tails += l.dirty_end > l.end;
	c->torn += model_holes(&l, SEG_HOLE_TORN) > 0;

	struct crash in = { .sim = sim, .seed = c->seed, .step = c->step, .synced = c->synced,
		.sent = c->sent, .floor = c->floor, .samples = 1, .depth = c->depth + 1 };

	if (c->depth == 0)
		blk_sim_step(sim, crash_step, &in);
	WELL(c, model_open(blk, &l, &in.log) == 0);
	WELL(c, seglog_next_seq(in.log) == l.next_seq);
	in.shown = &f;
	WELL(c, model_explain(in.log, &l) == 0);
	seg_lane_free(&l);
	next = seglog_next_seq(in.log);
	in.sent = next + 1;
	WELL(c, model_append(in.log, next, 2) == 0);
	blk_sim_step(sim, NULL, NULL);
	seglog_close(in.log);
	c->states += in.states;

	struct sim_rng rng;
	struct blk_sim *cut;

	sim_rng_init(&rng, c->seed ^ c->states);
	cut = blk_sim_cut(sim, &rng.p);
	WELL(c, model_scan(blk_sim_ops(cut), false, &l, &g) == 0);
	for (uint64_t n = 0; n < MODEL_SEQS; n++)
		WELL(c, !f.there[n] || g.there[n]);	/* nothing that was shown goes away */
	WELL(c, g.there[next] && g.there[next + 1] && g.last == next + 1);
	WELL(c, model_holes(&l, SEG_HOLE_TORN) == 0 && model_holes(&l, SEG_HOLE_DAMAGE) == 0);
	WELL(c, l.end == l.dirty_end);
	seg_lane_free(&l);
	blk_sim_free(cut);
}

static int crash_step(void *arg, enum sim_op op)
{
	struct crash *c = arg;
	/* most is open while data wait for their sync */
	unsigned samples = op == SIM_SYNC ? 4 * c->samples : c->samples;
	struct seglog_stats st;
	struct sim_rng rng;

	if (c->depth == 0)
		c->step++;
	if (c->only_step && c->step != c->only_step)
		return 0;
	if (c->log) {
		seglog_stat(c->log, &st);
		if (st.oldest_seq > c->floor)
			c->floor = st.oldest_seq;
	}
	sim_rng_init(&rng, c->seed * 1000003 + c->step);
	for (unsigned i = 0; i <= samples; i++) {
		struct blk_sim *image = i ? blk_sim_cut(c->sim, &rng.p) : blk_sim_killed(c->sim);

		if (c->depth < 2)
			judge_image(c, image);
		blk_sim_free(image);
	}
	return 0;
}

static uint64_t argv_seed, argv_step;

static uint64_t crash_run(uint64_t seed, uint64_t only_step, unsigned batches, unsigned samples,
			  struct crash *out)
{
	struct crash c = { .sim = blk_sim_new(), .seed = seed, .samples = samples,
		.only_step = only_step, .floor = 1 };
	const struct blk_ops *blk = blk_sim_ops(c.sim);
	struct sim_rng rng;
	struct seg_lane l;
	uint64_t seq = 1;

	sim_rng_init(&rng, seed);
	model_dirs(blk);
	blk_sim_step(c.sim, crash_step, &c);
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_int_equal(model_open(blk, &l, &c.log), 0);
	seg_lane_free(&l);
	for (unsigned i = 0; i < batches; i++) {
		unsigned n = 1 + sim_rng_next(&rng) % 8;

		c.sent = seq + n - 1;
		assert_int_equal(model_append(c.log, seq, n), 0);
		seq += n;
		c.synced = seq - 1;
		if (sim_rng_next(&rng) % 2)
			while (seglog_prepare(c.log) == 1)
				;
		if (sim_rng_next(&rng) % 3 == 0)
			assert_int_equal(seglog_retain(c.log, 3 * SEG_TEST_BYTES, 0), 0);
	}
	blk_sim_step(c.sim, NULL, NULL);
	seglog_close(c.log);
	blk_sim_free(c.sim);
	if (out)
		*out = c;
	return c.states;
}

static void test_every_crash(void **state)
{
	struct crash c;
	uint64_t states = 0, tails = 0, torn = 0;

	(void)state;
	if (argv_seed) {
		crash_run(argv_seed, argv_step, 24, 6, NULL);
		return;
	}
	for (uint64_t seed = 1; seed <= 2; seed++) {
		states += crash_run(seed, 0, 24, 2, &c);
		tails += c.tails;
		torn += c.torn;
	}
	print_message("%llu states, %llu with a torn batch, %llu with bytes behind the end\n",
		      (unsigned long long)states, (unsigned long long)torn,
		      (unsigned long long)tails);
	assert_true(states > 1000 && tails && torn);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_segment),
		cmocka_unit_test(test_open_ticks),
		cmocka_unit_test(test_frame_limits),
		cmocka_unit_test(test_rotation_and_restart),
		cmocka_unit_test(test_retention_by_size),
		cmocka_unit_test(test_floors),
		cmocka_unit_test(test_floor_to_the_record),
		cmocka_unit_test(test_retention_by_age),
		cmocka_unit_test(test_retention_past_a_lost_file),
		cmocka_unit_test(test_retention_past_a_lost_one_in_the_middle),
		cmocka_unit_test(test_the_last_expires),
		cmocka_unit_test(test_removed_while_made),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_notes_fail),
		cmocka_unit_test(test_files_are_recycled),
		cmocka_unit_test(test_linked_files_are_left_alone),
		cmocka_unit_test(test_small_first),
		cmocka_unit_test(test_swift_files),
		cmocka_unit_test(test_whole_blocks),
		cmocka_unit_test(test_large_batch),
		cmocka_unit_test(test_unremovable),
		cmocka_unit_test(test_failed_directory_sync_keeps_the_file),
		cmocka_unit_test(test_names_are_watched),
		cmocka_unit_test(test_leftovers_go),
		cmocka_unit_test(test_numbers_that_no_segment_has),
		cmocka_unit_test(test_no_space_and_back),
		cmocka_unit_test(test_failed_sync_is_final),
		cmocka_unit_test(test_header_without_room_beside_prepare),
		cmocka_unit_test(test_failed_sync_then_kill_then_cut),
		cmocka_unit_test(test_every_call_fails_once),
		cmocka_unit_test(test_tail_is_scrubbed),
		cmocka_unit_test(test_gap_frames),
		cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_senseless_resume),
		cmocka_unit_test(test_figures_and_headers),
		cmocka_unit_test(test_prepared_is_adopted),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_batches_at_their_edges),
		cmocka_unit_test(test_the_largest_record),
		cmocka_unit_test(test_done_is_counted),
		cmocka_unit_test(test_a_large_batch_is_written_again),
		cmocka_unit_test(test_retention_to_the_byte),
		cmocka_unit_test(test_retention_to_the_millisecond),
		cmocka_unit_test(test_at_the_limit),
		cmocka_unit_test(test_notes_before_all_is_explained),
		cmocka_unit_test(test_every_crash),
	};

	argv_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
	argv_step = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
