/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_seg_read.c - cursors: every number from anywhere, only what is synced, across
 * rotations, past damage, over segments that retention takes away; and beside a writer
 * in another thread, on real files.
 */
#include "locks.h"
#include "seg_model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "segment/seg_read.h"
#include "segment/segment_priv.h"

/* There is no memory for the next index of a segment. */
static bool no_index;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	if (!no_index || size != sizeof(struct seg_index))
		return __real_calloc(n, size);
	no_index = false;
	return NULL;
}

static void expect_from(struct seglog *s, uint64_t from, uint64_t first, uint64_t last)
{
	struct seg_cursor *c;
	struct frame_header h;
	const uint8_t *data;

	assert_int_equal(seg_read_open(s, from, &c), 0);
	for (uint64_t seq = first; seq <= last; seq++) {
		assert_int_equal(seg_read_next(c, &h, &data), 1);
		assert_int_equal(h.seq, seq);
		assert_true(model_is(seq, data, h.len));
	}
	assert_int_equal(seg_read_next(c, &h, &data), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 0);
	assert_int_equal(seg_read_damaged(c), 0);
	seg_read_close(c);
}

static struct seglog *filled(struct blk_sim *sim, uint64_t records)
{
	struct seglog *s;

	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	for (uint64_t seq = 1; seq <= records; seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	return s;
}

static void test_empty(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	uint64_t oldest, newest;
	struct seglog *s;

	(void)state;
	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	seg_read_bounds(s, &oldest, &newest);
	assert_true(oldest > newest);
	expect_from(s, 1, 1, 0);
	expect_from(s, 500, 500, 499);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_from_every_number(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 700);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint64_t oldest, newest;

	(void)state;
	seg_read_bounds(s, &oldest, &newest);
	assert_int_equal(oldest, 1);
	assert_int_equal(newest, 700);
	expect_from(s, 0, 1, 700);
	expect_from(s, 699, 699, 700);
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	for (uint64_t i = 0; i < 700; i++) {		/* in a random order, one cursor */
		uint64_t seq = 1 + i * 271 % 700;

		assert_int_equal(seg_read_seek(c, seq), 0);
		assert_int_equal(seg_read_next(c, &h, &data), 1);
		assert_int_equal(h.seq, seq);
		assert_true(model_is(seq, data, h.len));
	}
	seg_read_close(c);
	seglog_close(s);
	/* and after a restart, where sealed segments were read by header only */
	struct seg_lane l;

	assert_int_equal(model_scan(blk_sim_ops(sim), true, &l, NULL), 0);
	assert_int_equal(model_open(blk_sim_ops(sim), &l, &s), 0);
	seg_lane_free(&l);
	expect_from(s, 1, 1, 700);
	expect_from(s, 345, 345, 700);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_follows_the_writer(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 7);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint64_t next = 1;

	(void)state;
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	for (uint64_t seq = 8; seq < 400; seq += 3) {
		int got;

		while ((got = seg_read_next(c, &h, &data)) == 1) {
			assert_int_equal(h.seq, next);
			assert_true(model_is(next, data, h.len));
			next++;
		}
		assert_int_equal(got, 0);
		assert_int_equal(next, seq);
		assert_int_equal(model_append(s, seq, 3), 0);
	}
	seg_read_close(c);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_sees_only_what_is_synced(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 7);
	struct seg_place at = seglog_place(s);
	uint64_t off = at.off;
	struct frame_header h;
	struct iovec iov = { &h, sizeof(h) };
	uint32_t pad;

	(void)state;
	assert_int_equal(seglog_frame(s, &off, &h, FRAME_RECORD, 8, 1, 0, crc32c(NULL, 0), &pad), 0);
	assert_int_equal(blk_sim_ops(sim)->write(at.file, &iov, 1, at.off), 0);
	expect_from(s, 1, 1, 7);
	assert_int_equal(blk_sim_ops(sim)->sync(at.file), 0);
	expect_from(s, 1, 1, 7);
	seglog_synced(s, off, 8);
	struct seg_cursor *c;
	const uint8_t *data;

	assert_int_equal(seg_read_open(s, 8, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 8);
	seg_read_close(c);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_gaps_and_damage_are_passed(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 7);
	struct gap_data g = { .from_seq = 8, .to_seq = 100, .reason = GAP_TORN };
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	unsigned n = 0;

	(void)state;
	assert_int_equal(seglog_append_gap(s, &g), 0);
	assert_int_equal(model_append(s, 101, 7), 0);
	assert_int_equal(seg_read_open(s, 50, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 101);
	seg_read_close(c);
	/* a bit in the data of the first record with any, and one in a header */
	uint64_t off = SEG_DATA;
	for (uint64_t seq = 1; seq < 3; seq++)
		off += frame_bytes(model_len(seq));
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (off + 20) * 8), 0);
	off = SEG_DATA;
	for (uint64_t seq = 1; !model_len(seq); seq++)
		off += frame_bytes(model_len(seq));
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (off + 48) * 8), 0);
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	while (seg_read_next(c, &h, &data) == 1) {
		assert_true(model_is(h.seq, data, h.len));
		n++;
	}
	assert_int_equal(n, 12);
	assert_int_equal(seg_read_damaged(c), 2);
	seg_read_close(c);
	seglog_close(s);
	blk_sim_free(sim);
}

/* What is said of a number; the same of all those in from..to. */
static void expect_why(struct seglog *s, uint64_t seq, enum absent_reason reason, uint64_t from, uint64_t to)
{
	struct absence a;

	assert_int_equal(seg_read_why(s, seq, &a), 0);
	assert_string_equal(absent_name(a.reason), absent_name(reason));
	assert_int_equal(a.from, from);
	assert_int_equal(a.to, to);
	assert_int_equal(a.err, reason == ABSENT_UNREADABLE ? -EIO : 0);
}

static uint64_t offset_of(uint64_t seq)
{
	uint64_t off = SEG_DATA;

	for (uint64_t i = 1; i < seq; i++)
		off += frame_bytes(model_len(i));
	return off;
}

static uint64_t with_data(uint64_t seq)
{
	while (!model_len(seq))
		seq++;
	return seq;
}

struct byte {			/* of a segment's file */
	char path[SEG_PATH_MAX];
	uint64_t off;
};

/* That stands so far in front of the end of what is written. */
static struct byte byte_behind(struct seglog *s, uint64_t back)
{
	struct byte b = { .off = seglog_place(s).off - back };
	struct seglog_stats st;

	seglog_stat(s, &st);		/* of a log that began with the first segment */
	assert_int_equal(seg_path(b.path, LANE_DIR, st.rotations), 0);
	return b;
}

/* Each reason that a segment can tell, and of how many numbers at once. */
static void test_why(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 21);
	struct gap_data torn = { .from_seq = 22, .to_seq = 100, .reason = GAP_TORN };
	struct gap_data gone = { .from_seq = 108, .to_seq = 109, .reason = GAP_MISSING };
	uint64_t data = with_data(14);
	struct byte byte;

	(void)state;
	assert_int_equal(seglog_append_gap(s, &torn), 0);
	assert_int_equal(model_append(s, 101, 7), 0);
	assert_int_equal(seglog_append_gap(s, &gone), 0);
	assert_int_equal(model_append(s, 110, 7), 0);
	expect_why(s, 0, ABSENT_NEVER, 0, 0);
	expect_why(s, 117, ABSENT_NEVER, 117, 117);
	expect_why(s, 5, ABSENT_NOT, 5, 5);
	expect_why(s, 22, ABSENT_TORN, 22, 100);
	expect_why(s, 99, ABSENT_TORN, 22, 100);
	expect_why(s, 101, ABSENT_NOT, 101, 101);
	expect_why(s, 108, ABSENT_MISSING, 108, 109);
	/* data, then two headers beside each other */
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (offset_of(data) + 48) * 8), 0);
	expect_why(s, data, ABSENT_DAMAGE, data, data);
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (offset_of(3) + 20) * 8), 0);
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (offset_of(4) + 20) * 8), 0);
	expect_why(s, 3, ABSENT_DAMAGE, 3, 4);
	expect_why(s, 4, ABSENT_DAMAGE, 3, 4);
	expect_why(s, 5, ABSENT_NOT, 5, 5);
	/* A frame that only names a place is of no number; the last one in front of it is lost. */
	assert_int_equal(model_append(s, 117, 7), 0);
	gone = (struct gap_data){ .from_seq = 124, .to_seq = 123, .reason = GAP_TORN };
	byte = byte_behind(s, frame_bytes(model_len(123)) - 20);
	assert_int_equal(seglog_append_gap(s, &gone), 0);
	assert_int_equal(model_append(s, 124, 7), 0);
	assert_int_equal(blk_sim_flip(sim, byte.path, byte.off * 8), 0);
	expect_why(s, 123, ABSENT_DAMAGE, 123, 123);
	/* What explains a number comes behind all of its batch. */
	byte = byte_behind(s, frame_bytes(model_len(130)) + frame_bytes(model_len(129)) +
			      frame_bytes(model_len(128)) - 20);
	gone = (struct gap_data){ .from_seq = 128, .to_seq = 128, .reason = GAP_TORN };
	assert_int_equal(seglog_append_gap(s, &gone), 0);
	assert_int_equal(model_append(s, 131, 7), 0);
	assert_int_equal(blk_sim_flip(sim, byte.path, byte.off * 8), 0);
	expect_why(s, 128, ABSENT_TORN, 128, 128);
	/* And so it is where its own frame is there, and the data are not right. */
	data = with_data(138);
	assert_int_equal(model_append(s, 138, (unsigned)(data - 138 + 4)), 0);
	gone = (struct gap_data){ .from_seq = data, .to_seq = data, .reason = GAP_TORN };
	byte = byte_behind(s, 0);
	for (uint64_t seq = data + 3; seq >= data; seq--)
		byte.off -= frame_bytes(model_len(seq));
	assert_true(byte.off > SEG_DATA && byte.off < SEG_TEST_BYTES);
	assert_int_equal(seglog_append_gap(s, &gone), 0);
	assert_int_equal(model_append(s, data + 4, 7), 0);
	assert_int_equal(blk_sim_flip(sim, byte.path, (byte.off + sizeof(struct frame_header)) * 8), 0);
	expect_why(s, data, ABSENT_TORN, data, data);
	seglog_close(s);
	blk_sim_free(sim);
}

/* What stands in front of a number that is lost bounds how many are: a frame that names others too,
 * and one that names earlier ones does not. */
static void test_why_behind_a_gap(void **state)
{
	static const struct { uint64_t first, last, next, from; } rows[] = {
		{ 8, 8, 9, 9 }, { 8, 20, 21, 21 }, { 3, 4, 8, 8 }, { 8, 20, 23, 21 }, { 1, 7, 8, 8 }, { 7, 7, 9, 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		struct seglog *s = filled(sim, 7);
		struct gap_data g = { .from_seq = rows[i].first, .to_seq = rows[i].last, .reason = GAP_TORN };
		struct byte byte;

		assert_int_equal(seglog_append_gap(s, &g), 0);
		byte = byte_behind(s, 0);
		byte.off += 20;
		assert_int_equal(model_append(s, rows[i].next, 3), 0);
		assert_int_equal(blk_sim_flip(sim, byte.path, byte.off * 8), 0);
		for (uint64_t seq = rows[i].from; seq <= rows[i].next; seq++)
			expect_why(s, seq, ABSENT_DAMAGE, rows[i].from, rows[i].next);
		expect_why(s, rows[i].next + 1, ABSENT_NOT, rows[i].next + 1, rows[i].next + 1);
		seglog_close(s);
		blk_sim_free(sim);
	}
}

/* What the device does not give is not taken for what is not there. */
static void test_why_unreadable(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 140);
	uint64_t seq = 1, page;
	struct seglog_stats st;
	struct absence a;
	unsigned bad = 0;

	(void)state;
	seglog_stat(s, &st);
	assert_true(st.segments > 1);
	while (offset_of(seq) < SEG_DATA + SIM_BLOCK)
		seq++;
	page = offset_of(seq) / SIM_BLOCK * SIM_BLOCK;
	assert_int_equal(blk_sim_bad(sim, LANE_DIR "/00000001.seg", page), 0);
	for (uint64_t i = 1; i <= 140; i++) {
		uint64_t off = offset_of(i), end = off + frame_bytes(model_len(i));

		assert_int_equal(seg_read_why(s, i, &a), 0);
		if (off < page + SIM_BLOCK && end > page) {
			assert_int_equal(a.reason, ABSENT_UNREADABLE);
			assert_int_equal(a.err, -EIO);
			bad++;
		} else {
			assert_int_equal(a.reason, ABSENT_NOT);
		}
	}
	assert_true(bad > 0);
	blk_sim_fault(sim, SIM_READ, 1, 0, EIO);
	for (uint64_t i = 1; i <= 140; i++) {
		assert_int_equal(seg_read_why(s, i, &a), 0);
		assert_int_equal(a.reason, ABSENT_UNREADABLE);
	}
	blk_sim_fault(sim, SIM_READ, 1, 1, 0);
	/* A file that cannot be opened once: then everything is as before. */
	for (uint64_t i = 1; i <= 140; i++) {
		blk_sim_fault(sim, SIM_OPEN, 1, 1, EIO);
		assert_int_equal(seg_read_why(s, i, &a), 0);
		blk_sim_fault(sim, SIM_OPEN, 1, 1, 0);
		assert_int_equal(seg_read_why(s, i, &a), 0);
		bad -= a.reason == ABSENT_UNREADABLE;
	}
	assert_int_equal(bad, 0);
	seglog_close(s);
	blk_sim_free(sim);
}

/* A file between others, and what retention let go. */
static void test_why_gone(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seglog *s = filled(sim, 350);
	uint64_t oldest, newest, second, third;
	struct seg_lane l;

	(void)state;
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_true(l.nsegs > 4);
	second = l.segs[1].h.first_seq;
	third = l.segs[2].h.first_seq;
	seg_lane_free(&l);
	seglog_close(s);
	blk->unlink(blk->ctx, NULL, LANE_DIR "/00000002.seg");
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_int_equal(model_open(blk, &l, &s), 0);
	seg_lane_free(&l);
	expect_why(s, second - 1, ABSENT_NOT, second - 1, second - 1);
	expect_why(s, second, ABSENT_MISSING, second, third - 1);
	expect_why(s, third - 1, ABSENT_MISSING, second, third - 1);
	expect_why(s, third, ABSENT_NOT, third, third);
	assert_int_equal(seglog_retain(s, 0, UINT64_MAX), 0);
	seg_read_bounds(s, &oldest, &newest);
	assert_true(oldest > third);
	expect_why(s, second, ABSENT_EXPIRED, 1, oldest - 1);
	expect_why(s, oldest, ABSENT_NOT, oldest, oldest);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Another segment's file under the name of one: that one is missing, not damaged. */
static void test_another_file_of_the_name(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 350);
	struct seg_lane l;
	uint64_t second, third, n;
	uint8_t *file = malloc(SEG_TEST_BYTES);

	(void)state;
	assert_non_null(file);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
	second = l.segs[1].h.first_seq;
	third = l.segs[2].h.first_seq;
	seg_lane_free(&l);
	memcpy(file, blk_sim_bytes(sim, LANE_DIR "/00000003.seg", &n), SEG_TEST_BYTES);
	assert_int_equal(blk_sim_put(sim, LANE_DIR "/00000002.seg", file, n), 0);
	expect_why(s, second, ABSENT_MISSING, second, third - 1);
	expect_why(s, third, ABSENT_NOT, third, third);
	free(file);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_retention_under_a_cursor(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 350);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	struct seglog_stats st;
	uint64_t oldest, newest, last = 0, unlinks, len;

	(void)state;
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	unlinks = blk_sim_calls(sim, SIM_UNLINK);
	assert_int_equal(seglog_retain(s, 0, UINT64_MAX), 0);
	/* held: unlinked, not recycled; what it had is still read */
	assert_true(blk_sim_calls(sim, SIM_UNLINK) > unlinks);
	assert_null(blk_sim_bytes(sim, LANE_DIR "/spare-00000001", &len));
	model_prepare(s);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 1);
	seg_read_bounds(s, &oldest, &newest);
	assert_int_equal(newest, 350);
	assert_true(oldest > 100);
	for (last = 1; last + 1 < oldest; last++) {
		int got = seg_read_next(c, &h, &data);

		assert_int_equal(got, 1);
		assert_true(model_is(h.seq, data, h.len));
		if (h.seq != last + 1)
			break;
	}
	assert_int_equal(h.seq, oldest);	/* then the oldest that is left */
	for (uint64_t seq = oldest + 1; seq <= newest; seq++) {
		assert_int_equal(seg_read_next(c, &h, &data), 1);
		assert_int_equal(h.seq, seq);
	}
	assert_int_equal(seg_read_next(c, &h, &data), 0);
	seg_read_close(c);
	expect_from(s, 1, oldest, newest);
	seglog_close(s);
	blk_sim_free(sim);
}

/* ---- records of many windows ---- */

#define LARGE (3u << 20)

static uint8_t large_byte(uint64_t seq, uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251 + seq);
}

static struct seglog *three_large(struct blk_sim *sim)
{
	struct seglog_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE,
		.segment_bytes = 16u << 20, .now_ms = model_now, .random = model_random };
	uint8_t *p = malloc(LARGE);
	struct seglog_resume r;
	struct seg_lane l;
	struct seglog *s;

	model_dirs(o.blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	assert_int_equal(model_scan(o.blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &r);
	assert_int_equal(seglog_open(&s, &o, &l, &r), 0);
	seg_lane_free(&l);
	for (uint64_t seq = 1; seq <= 3; seq++) {
		struct iovec iov = { p, LARGE };
		struct seg_rec rec = { .kind = FRAME_RECORD, .seq = seq, .time_ms = 1, .len = LARGE,
				       .iov = &iov, .niov = 1 };

		for (uint32_t i = 0; i < LARGE; i++)
			p[i] = large_byte(seq, i);
		rec.data_crc = crc32c(p, LARGE);
		assert_int_equal(seglog_append(s, &rec, 1, NULL), 0);
	}
	free(p);
	return s;
}

static void is_large(uint64_t seq, const uint8_t *p, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(p[i], large_byte(seq, from + i));
}

/* Each is checked once, in slices, whoever stands in front of it is not read, and its pieces
 * are read once more: no more is read than that. */
static void test_large(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = three_large(sim);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint32_t have, at, again = 0;
	uint8_t *p = malloc(LARGE);
	uint64_t reads;
	int got;

	(void)state;
	assert_int_equal(seg_read_open(s, 3, &c), 0);
	reads = blk_sim_calls(sim, SIM_READ);
	while ((got = seg_read_find(c, &h, &data, &have)) == SEG_READ_AGAIN)
		again++;
	assert_int_equal(got, 1);
	assert_int_equal(h.seq, 3);
	assert_int_equal(have, SEG_READ_HAVE);
	assert_int_equal(again, LARGE / SEG_READ_SLICE - 1);
	assert_true(blk_sim_calls(sim, SIM_READ) - reads < LARGE / (64 << 10) + 8);
	is_large(3, data, 0, have);
	for (at = have; at < LARGE; at += have) {
		have = LARGE - at < 100001 ? LARGE - at : 100001;
		assert_int_equal(seg_read_more(c, p, have), 0);
		is_large(3, p, at, have);
	}
	assert_int_equal(seg_read_more(c, p, 1), -EINVAL);
	assert_int_equal(seg_read_find(c, &h, &data, &have), 0);

	/* all of it at once; and left in the middle of one */
	assert_int_equal(seg_read_seek(c, 1), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	is_large(1, data, 0, h.len);
	assert_int_equal(seg_read_find(c, &h, &data, &have), SEG_READ_AGAIN);
	assert_int_equal(seg_read_seek(c, 3), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 3);
	assert_int_equal(seg_read_damaged(c), 0);
	seg_read_close(c);
	free(p);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Damaged before it is found: passed over; while it is being read: said with its end. */
static void test_large_damaged(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = three_large(sim);
	uint64_t second = SEG_DATA + frame_bytes(LARGE) + sizeof(struct frame_header);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint8_t *p = malloc(LARGE);
	uint32_t have;

	(void)state;
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (second + 2000000) * 8), 0);
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 1);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 3);
	assert_int_equal(seg_read_damaged(c), 1);
	assert_int_equal(seg_read_seek(c, 1), 0);
	while (seg_read_find(c, &h, &data, &have) == SEG_READ_AGAIN)
		;
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (SEG_DATA + 2000000) * 8), 0);
	assert_int_equal(seg_read_more(c, p, LARGE - have - 1), 0);
	assert_int_equal(seg_read_more(c, p, 1), -EBADMSG);
	seg_read_close(c);
	free(p);
	seglog_close(s);
	blk_sim_free(sim);
}

/* ---- indexes ---- */

static struct seglog *many_small(struct blk_sim *sim, uint64_t index_bytes, uint64_t segments, unsigned each)
{
	struct seglog_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE, .index_bytes = index_bytes,
		.segment_bytes = 4u << 20, .now_ms = model_now, .random = model_random };
	static uint8_t p[2000];
	struct iovec iov[64];
	struct seg_rec r[64];
	struct seglog_resume at;
	struct seg_lane l;
	struct seglog *s;
	uint64_t seq = 1;

	model_dirs(o.blk);
	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	assert_int_equal(model_scan(o.blk, false, &l, NULL), 0);
	seg_lane_resume(&l, &at);
	assert_int_equal(seglog_open(&s, &o, &l, &at), 0);
	seg_lane_free(&l);
	for (uint64_t n = 0; n < segments; n++) {
		for (unsigned i = 0; i < each; i += 64) {
			for (unsigned k = 0; k < 64; k++) {
				iov[k] = (struct iovec){ p, sizeof(p) };
				r[k] = (struct seg_rec){ .kind = FRAME_RECORD, .seq = seq++, .time_ms = 1,
					.len = sizeof(p), .data_crc = crc32c(p, sizeof(p)), .iov = &iov[k], .niov = 1 };
			}
			assert_int_equal(seglog_append(s, r, 64, NULL), 0);
		}
		model_prepare(s);
		if (n + 1 < segments)
			assert_int_equal(seglog_rotate(s), 0);
	}
	return s;
}

static void read_one(struct seglog *s, uint64_t seq)
{
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;

	assert_int_equal(seg_read_open(s, seq, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, seq);
	seg_read_close(c);
}

/* A segment is walked once; then a record is found by reading a few windows, wherever it is. */
static void test_an_index_saves_reading(void **state)
{
	enum { EACH = 1920 };
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = many_small(sim, 0, 1, EACH);
	uint64_t reads = blk_sim_calls(sim, SIM_READ), walk;

	(void)state;
	read_one(s, EACH);
	walk = blk_sim_calls(sim, SIM_READ) - reads;
	assert_in_range(walk, 50, 80);			/* of 68 KiB each */
	for (uint64_t seq = 1; seq <= EACH; seq += 37) {
		reads = blk_sim_calls(sim, SIM_READ);
		read_one(s, seq);
		assert_in_range(blk_sim_calls(sim, SIM_READ) - reads, 1, 5);
	}
	seglog_close(s);
	blk_sim_free(sim);
}

static uint64_t index_sum(const struct seglog *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i]->index)
			sum += s->segs[i]->index->cap * sizeof(struct seg_entry);
	return sum;
}

static void has_index(const struct seglog *s, const char *which)
{
	for (size_t i = 0; i < s->nsegs; i++)
		assert_int_equal(!!s->segs[i]->index, which[i] == 'x');
	assert_int_equal(s->index_bytes, index_sum(s));
}

/* Memory for three: those that were not used for long go, and what expires gives its own back. */
static void test_indexes_are_bounded(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = many_small(sim, 3 * 64 * sizeof(struct seg_entry), 6, 64);
	struct seglog_stats st;
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;

	(void)state;
	has_index(s, "......");
	read_one(s, 1);				/* the first needs none */
	has_index(s, "......");
	read_one(s, 10);
	read_one(s, 64 + 10);
	read_one(s, 2 * 64 + 10);
	has_index(s, "xxx...");
	read_one(s, 20);			/* used again */
	read_one(s, 3 * 64 + 10);
	has_index(s, "x.xx..");
	read_one(s, 4 * 64 + 10);
	has_index(s, "x..xx.");
	read_one(s, 30);
	read_one(s, 5 * 64 + 10);
	has_index(s, "x...xx");
	/* one that is read from is held, and so is its index until then */
	assert_int_equal(seg_read_open(s, 40, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(seglog_retain(s, 0, UINT64_MAX), 0);
	seglog_stat(s, &st);
	assert_int_equal(st.segments, 1);
	assert_int_equal(s->index_bytes, index_sum(s) + 64 * sizeof(struct seg_entry));
	seg_read_close(c);
	has_index(s, "x");
	seglog_close(s);
	blk_sim_free(sim);
}

/* Damage is counted by who passes it, and not by who begins behind it. */
static void test_damage_is_counted_once(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 21);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;

	(void)state;
	assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg", (offset_of(5) + 20) * 8), 0);
	for (uint64_t from = 1; from < 9; from++)
		for (int again = 0; again < 2; again++) {
			assert_int_equal(seg_read_open(s, from, &c), 0);
			for (uint64_t seq = from; seq < 10; seq++) {
				if (seq == 5)
					continue;
				assert_int_equal(seg_read_next(c, &h, &data), 1);
				assert_int_equal(h.seq, seq);
				assert_int_equal(seg_read_damaged(c), from <= 5 && seq > 5);
			}
			if (again) {			/* the same cursor, once more */
				assert_int_equal(seg_read_seek(c, 4), 0);
				assert_int_equal(seg_read_next(c, &h, &data), 1);
				assert_int_equal(seg_read_next(c, &h, &data), 1);
				assert_int_equal(h.seq, 6);
				assert_int_equal(seg_read_damaged(c), 1 + (from <= 5));
			}
			seg_read_close(c);
		}
	seglog_close(s);
	blk_sim_free(sim);
}

/* A file that cannot be opened now: that is told, and the cursor finds its record later. */
static void test_not_open_now(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 140);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;

	(void)state;
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	for (uint64_t seq = 1; seq <= 140; seq++) {
		blk_sim_fault(sim, SIM_OPEN, 1, 1, EMFILE);
		int got = seg_read_next(c, &h, &data);

		blk_sim_fault(sim, SIM_OPEN, 1, 1, 0);
		if (got != 1) {				/* at the first one of each segment */
			assert_int_equal(got, -EMFILE);
			assert_int_equal(seg_read_next(c, &h, &data), 1);
		}
		assert_int_equal(h.seq, seq);
		assert_true(model_is(seq, data, h.len));
	}
	seg_read_close(c);
	seglog_close(s);
	blk_sim_free(sim);
}

/* Somebody else reads the same segment, further, while its index is made: the longer one stays. */
static const struct blk_ops *nested_ops;
static struct seglog *nested_log;
static uint64_t nested_seq;

static void nested(void)
{
	struct seglog *s = nested_log;

	nested_log = NULL;
	if (s)
		read_one(s, nested_seq);
}

static int read_nested(struct blk_file *f, void *p, size_t n, uint64_t off)
{
	nested();
	return nested_ops->read(f, p, n, off);
}

static void test_two_indexes_at_once(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = many_small(sim, 0, 1, 1920);
	struct blk_ops blk = *blk_sim_ops(sim);
	uint64_t upto;

	(void)state;
	nested_ops = blk_sim_ops(sim);
	blk.read = read_nested;
	s->o.blk = &blk;
	nested_log = s;
	nested_seq = 1900;
	read_one(s, 300);
	assert_null(nested_log);
	has_index(s, "x");
	upto = s->segs[0]->index->upto;
	assert_true(s->segs[0]->index->last_seq >= 1900);
	nested_log = s;				/* and the other way round */
	nested_seq = 100;
	read_one(s, 1920);
	has_index(s, "x");
	assert_true(s->segs[0]->index->upto > upto);
	s->o.blk = nested_ops;
	seglog_close(s);
	blk_sim_free(sim);
}

/* A header that could not be read is tried again by two at once: one of them can, and the other,
 * who cannot, sees it. */
static int open_nested(void *ctx, struct blk_dir *at, const char *name, int flags, struct blk_file **f)
{
	struct seglog *s = nested_log;

	nested_log = NULL;
	if (!s)
		return nested_ops->open(ctx, at, name, flags, f);
	assert_int_equal(seg_learn(s, 1, 3), 1);
	return -EIO;
}

static void test_two_learn_at_once(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 350);
	struct blk_ops blk = *blk_sim_ops(sim);
	struct absence a;
	struct seg_lane l;
	uint64_t seq;

	(void)state;
	seglog_close(s);
	nested_ops = blk_sim_ops(sim);
	for (uint64_t off = 0; off < SEG_TEST_BYTES; off += SIM_BLOCK)
		assert_int_equal(blk_sim_bad(sim, LANE_DIR "/00000002.seg", off), 0);
	assert_int_equal(model_scan(nested_ops, true, &l, NULL), 0);
	seq = l.segs[2].h.first_seq - 1;
	assert_int_equal(l.segs[1].state, SEG_UNREADABLE);
	assert_int_equal(model_open(nested_ops, &l, &s), 0);
	seg_lane_free(&l);
	assert_int_equal(seg_read_why(s, seq, &a), 0);
	assert_int_equal(a.reason, ABSENT_UNREADABLE);
	assert_int_equal(s->unread, 1);
	assert_int_equal(blk_sim_well(sim, LANE_DIR "/00000002.seg"), 0);
	assert_int_equal(seg_learn(s, 2, 3), 0);	/* it is not between those */
	assert_int_equal(seg_learn(s, 1, 2), 0);
	blk.open = open_nested;
	s->o.blk = &blk;
	nested_log = s;
	assert_int_equal(seg_learn(s, 1, 3), 1);
	assert_null(nested_log);
	s->o.blk = nested_ops;
	assert_int_equal(s->unread, 0);
	assert_int_equal(seg_learn(s, 1, 3), 0);
	assert_int_equal(seg_read_why(s, seq, &a), 0);
	assert_int_equal(a.reason, ABSENT_NOT);
	seglog_close(s);
	blk_sim_free(sim);
}

/* A segment that could not be opened, or not be read, and that can be now, by its second copy at
 * least: its figures and its records are there; and meanwhile it is the reason for its own numbers
 * only. */
static void test_learn(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		bool opened = how & 1, copy_b = how & 2;
		struct blk_sim *sim = blk_sim_new();
		const struct blk_ops *blk = blk_sim_ops(sim);
		struct seglog *s = filled(sim, 350);
		struct seglog_stats was, st;
		uint64_t seq, fourth, last_off;
		struct absence a;
		struct seg_lane l;

		seglog_stat(s, &was);
		seglog_close(s);
		assert_int_equal(model_scan(blk, false, &l, NULL), 0);
		fourth = l.segs[3].h.first_seq + l.segs[3].records - 1;
		last_off = l.segs[3].end - frame_bytes(model_len(fourth));
		seg_lane_free(&l);
		for (uint64_t off = 0; opened && off < SEG_TEST_BYTES; off += SIM_BLOCK)
			assert_int_equal(blk_sim_bad(sim, LANE_DIR "/00000002.seg", off), 0);
		if (!opened)			/* the folder, the first, the second */
			blk_sim_fault(sim, SIM_OPEN, 3, 1, EACCES);
		assert_int_equal(model_scan(blk, true, &l, NULL), 0);
		assert_int_equal(l.segs[1].state, SEG_UNREADABLE);
		seq = l.segs[2].h.first_seq - 1;
		assert_int_equal(model_open(blk, &l, &s), 0);
		seg_lane_free(&l);
		assert_int_equal(s->unread, 1);
		/* the last frame of another segment is damaged: that has nothing to do with it */
		assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000004.seg", (last_off + 20) * 8), 0);
		assert_int_equal(seg_read_why(s, fourth, &a), 0);
		assert_int_equal(a.reason, ABSENT_DAMAGE);
		assert_int_equal(s->unread, 1);
		assert_int_equal(blk_sim_well(sim, LANE_DIR "/00000002.seg"), 0);
		if (copy_b)
			assert_int_equal(blk_sim_bad(sim, LANE_DIR "/00000002.seg", SEG_HDR_A), 0);
		assert_int_equal(seg_read_why(s, seq, &a), 0);
		assert_int_equal(a.reason, ABSENT_NOT);
		assert_int_equal(s->unread, 0);
		seglog_stat(s, &st);
		assert_int_equal(st.bytes, was.bytes);
		assert_int_equal(st.segments, was.segments);
		assert_int_equal(st.oldest_seq, was.oldest_seq);
		if (!copy_b)
			read_one(s, seq);
		seglog_close(s);
		blk_sim_free(sim);
	}
}

/* The last of what is written cannot be read: why is told as it is of any other. */
static void test_why_at_the_end(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 7);
	struct absence a;

	(void)state;
	while (seglog_place(s).off < SEG_DATA + 3 * SIM_BLOCK)
		assert_int_equal(model_append(s, seglog_next_seq(s), 1), 0);
	for (uint64_t off = SEG_DATA; off < SEG_TEST_BYTES; off += SIM_BLOCK)
		assert_int_equal(blk_sim_bad(sim, LANE_DIR "/00000001.seg", off), 0);
	for (uint64_t seq = 1; seq < seglog_next_seq(s); seq++) {
		assert_int_equal(seg_read_why(s, seq, &a), 0);
		assert_int_equal(a.reason, ABSENT_UNREADABLE);
		assert_int_equal(a.err, -EIO);
	}
	seglog_close(s);
	blk_sim_free(sim);
}

/* Records of about as many bytes as are handed out at once, or as one window has. */
static void test_lengths_at_their_edges(void **state)
{
	static const uint32_t edge[] = { SEG_READ_HAVE, 68u << 10, SEG_READ_SLICE, (68u << 10) * 16 };
	uint8_t *p = malloc(2 << 20), *back = malloc(2 << 20);

	(void)state;
	for (uint32_t i = 0; i < 2 << 20; i++)
		p[i] = large_byte(9, i);
	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++)
		for (int more = -1; more < 2; more++) {
			struct blk_sim *sim = blk_sim_new();
			struct seglog *s = many_small(sim, 0, 1, 64);
			struct iovec iov = { p, edge[i] + (uint32_t)more };
			struct seg_rec r = { .kind = FRAME_RECORD, .seq = 65, .time_ms = 1, .len = (uint32_t)iov.iov_len,
					     .data_crc = crc32c(p, iov.iov_len), .iov = &iov, .niov = 1 };
			uint32_t have, at;
			struct frame_header h;
			struct seg_cursor *c;
			const uint8_t *data;
			int got;

			assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
			assert_int_equal(seg_read_open(s, 65, &c), 0);
			while ((got = seg_read_find(c, &h, &data, &have)) == SEG_READ_AGAIN)
				;
			assert_int_equal(got, 1);
			assert_int_equal(h.len, iov.iov_len);
			assert_int_equal(have, h.len < SEG_READ_HAVE ? h.len : SEG_READ_HAVE);
			memcpy(back, data, have);
			for (at = have; at < h.len; at += have) {
				have = h.len - at < 70000 ? h.len - at : 70000;
				assert_int_equal(seg_read_more(c, back + at, have), 0);
			}
			assert_int_equal(seg_read_more(c, back, 1), -EINVAL);
			assert_int_equal(seg_read_more(c, back, 0), 0);
			assert_memory_equal(back, p, h.len);
			assert_int_equal(seg_read_seek(c, 65), 0);
			assert_int_equal(seg_read_next(c, &h, &data), 1);
			assert_memory_equal(data, p, h.len);
			assert_int_equal(seg_read_next(c, &h, &data), 0);
			seg_read_close(c);
			seglog_close(s);
			blk_sim_free(sim);
		}
	free(p);
	free(back);
}

/* There is no memory for a segment's index: this is what is said of a record in it, not that there is
 * none, and the next time it is read. */
static void test_no_memory_for_an_index(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = filled(sim, 140);
	struct absence a;
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;

	(void)state;
	assert_int_equal(seg_read_open(s, 5, &c), 0);
	no_index = true;
	assert_int_equal(seg_read_next(c, &h, &data), -ENOMEM);
	assert_false(no_index);
	assert_int_equal(seg_read_next(c, &h, &data), 1);
	assert_int_equal(h.seq, 5);
	assert_true(model_is(5, data, h.len));
	seg_read_close(c);
	no_index = true;
	assert_int_equal(seg_read_why(s, 139, &a), -ENOMEM);
	assert_false(no_index);
	assert_int_equal(seg_read_why(s, 139, &a), 0);
	assert_int_equal(a.reason, ABSENT_NOT);
	seglog_close(s);
	blk_sim_free(sim);
}

/* The file is cut while a large record is read from it: that is no record any more. */
static void test_cut_while_read(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s = three_large(sim);
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint8_t *p = malloc(LARGE);
	uint32_t have;

	(void)state;
	assert_int_equal(seg_read_open(s, 1, &c), 0);
	while (seg_read_find(c, &h, &data, &have) == SEG_READ_AGAIN)
		;
	blk_sim_fault(sim, SIM_READ, 1, 1, EIO);
	assert_int_equal(seg_read_more(c, p, 10), -EIO);
	assert_int_equal(seg_read_more(c, p, 10), 0);		/* nothing was passed by it */
	is_large(1, p, have, 10);
	blk_sim_truncate(sim, LANE_DIR "/00000001.seg", SEG_DATA + 1000000);
	assert_int_equal(seg_read_more(c, p, LARGE - have - 10), -EBADMSG);
	seg_read_close(c);
	free(p);
	seglog_close(s);
	blk_sim_free(sim);
}

/* ---- beside a writer, on files ---- */

struct beside {
	struct seglog *s;
	_Atomic bool stop;
	_Atomic uint64_t read, jumps;
};

static void *reader(void *arg)
{
	struct beside *b = arg;
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	uint64_t last = 0;
	bool stop;

	if (seg_read_open(b->s, 1, &c))
		return NULL;
	do {
		int got;

		stop = b->stop;
		while ((got = seg_read_next(c, &h, &data)) == 1) {
			if (h.seq <= last || !h.len || data[0] != (uint8_t)h.seq ||
			    data[h.len - 1] != (uint8_t)h.seq)
				abort();
			b->jumps += h.seq != last + 1;
			last = h.seq;
			b->read++;
			if (h.seq % 97 == 0 && !b->stop) {	/* now and then back to the oldest */
				seg_read_seek(c, 1);
				last = 0;
			}
		}
		if (got < 0)
			abort();
	} while (!stop);
	seg_read_close(c);
	return NULL;
}

static void test_beside_a_writer(void **state)
{
	char dir[] = "/tmp/test_seg_read.XXXXXX", path[SEG_PATH_MAX];
	struct seg_lane none = { .tail = SIZE_MAX };
	struct seglog_options o = { .blk = &blk_file_ops, .dir = dir, .lane = 1,
		.segment_bytes = SEG_TEST_BYTES };
	struct seglog_resume r = { .next_seq = 1, .next_batch = 1 };
	struct beside b = { 0 };
	pthread_t t[2];
	uint8_t data[2000];
	struct seglog_stats st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(seglog_open(&b.s, &o, &none, &r), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, &b), 0);
	for (uint64_t seq = 1; seq <= 1500; seq++) {
		struct iovec iov = { data, 1 + seq * 31 % sizeof(data) };
		struct seg_rec rec = { .kind = FRAME_RECORD, .seq = seq, .len = iov.iov_len,
			.iov = &iov, .niov = 1 };

		memset(data, (int)seq, sizeof(data));
		rec.data_crc = crc32c(data, rec.len);
		assert_int_equal(seglog_append(b.s, &rec, 1, NULL), 0);
		if (seq % 40 == 0) {
			while (seglog_prepare(b.s) == 1)
				;
			assert_int_equal(seglog_retain(b.s, 6 * SEG_TEST_BYTES, 0), 0);
		}
	}
	b.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_true(b.read > 100);
	seglog_stat(b.s, &st);
	assert_true(st.oldest_seq > 500);
	seglog_close(b.s);
	struct blk_dir *at;
	uint64_t *segnos;
	size_t n;

	assert_int_equal(blk_file_ops.dir_open(NULL, NULL, dir, &at), 0);
	assert_int_equal(seg_list(&blk_file_ops, at, &segnos, &n), 0);
	blk_file_ops.dir_close(at);
	for (size_t i = 0; i < n; i++) {
		seg_path(path, dir, segnos[i]);
		unlink(path);
	}
	free(segnos);
	if (rmdir(dir)) {		/* a spare is left */
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
		assert_int_equal(system(cmd), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_from_every_number),
		cmocka_unit_test(test_follows_the_writer),
		cmocka_unit_test(test_sees_only_what_is_synced),
		cmocka_unit_test(test_gaps_and_damage_are_passed),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_why_behind_a_gap),
		cmocka_unit_test(test_why_unreadable),
		cmocka_unit_test(test_why_gone),
		cmocka_unit_test(test_another_file_of_the_name),
		cmocka_unit_test(test_retention_under_a_cursor),
		cmocka_unit_test(test_an_index_saves_reading),
		cmocka_unit_test(test_indexes_are_bounded),
		cmocka_unit_test(test_damage_is_counted_once),
		cmocka_unit_test(test_not_open_now),
		cmocka_unit_test(test_two_indexes_at_once),
		cmocka_unit_test(test_two_learn_at_once),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_why_at_the_end),
		cmocka_unit_test(test_lengths_at_their_edges),
		cmocka_unit_test(test_no_memory_for_an_index),
		cmocka_unit_test(test_cut_while_read),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_damaged),
		cmocka_unit_test(test_beside_a_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
