/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_identity.c - the store file's two copies, and segments and frames that are whole
 * but of another lane, another file, an earlier batch, a number that was there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "../sim/pm_sim.h"
#include "files/storefile.h"
#include "segment/seg_scan.h"
#include "segment/segment.h"
#include "store/store.h"
#include "util/crc32c.h"

#define FILE_PATH "/s/store"

static int setup(void **state)
{
	*state = blk_sim_new();
	return !*state;
}

static int teardown(void **state)
{
	blk_sim_free(*state);
	return 0;
}

/* ---- the store file ---- */

static const struct storefile_block wanted = { .segment_bytes = 128 << 10, .class = CLASS_FSYNC };

static void create(struct blk_sim *s)
{
	struct storefile st;

	assert_int_equal(storefile_create(&st, blk_sim_ops(s), "/s", &wanted, NULL, 0), 0);
	storefile_close(&st);
}

static void copies(struct blk_sim *s, struct storefile_block c[2])
{
	uint64_t n;
	const uint8_t *p = blk_sim_bytes(s, FILE_PATH, &n);

	memcpy(&c[0], p, sizeof(c[0]));
	memcpy(&c[1], p + 4096, sizeof(c[1]));
}

static void put_copies(struct blk_sim *s, struct storefile_block c[2])
{
	uint8_t file[8192] = { 0 };

	for (int i = 0; i < 2; i++) {
		c[i].crc = crc32c(&c[i], offsetof(struct storefile_block, crc));
		memcpy(file + i * 4096, &c[i], sizeof(c[i]));
	}
	assert_int_equal(blk_sim_put(s, FILE_PATH, file, sizeof(file)), 0);
}

static void test_one_flip_in_a_copy(void **state)
{
	struct blk_sim *s = *state;
	struct storefile_block c[2];
	struct storefile st;

	create(s);
	copies(s, c);
	for (uint64_t bit = 0; bit < 2 * 8 * sizeof(c[0]); bit++) {
		uint64_t at = bit % (8 * sizeof(c[0])) + (bit < 8 * sizeof(c[0]) ? 0 : 8 * 4096);

		blk_sim_flip(s, FILE_PATH, at);
		assert_int_equal(storefile_open(&st, blk_sim_ops(s), "/s", true, NULL, 0), 0);
		assert_memory_equal(&st.b, &c[0], sizeof(st.b));
		assert_int_equal(st.a_bad, at < 8 * 4096);
		assert_int_equal(st.b_bad, at >= 8 * 4096);
		storefile_close(&st);
		blk_sim_flip(s, FILE_PATH, at);
	}
}

/* Another process makes a store between our look and our lock. */
static struct blk_sim *late_sim;
static uint8_t late_file[4096 + sizeof(struct storefile_block)];

static int late_lock(struct blk_file *f)
{
	struct storefile_block b = wanted;

	b.gen = 1;
	storefile_block_encode(&b);
	memcpy(late_file, &b, sizeof(b));
	memcpy(late_file + 4096, &b, sizeof(b));
	assert_int_equal(blk_sim_put(late_sim, FILE_PATH, late_file, sizeof(late_file)), 0);
	return blk_sim_ops(late_sim)->lock(f);
}

static void test_made_by_another(void **state)
{
	struct blk_sim *s = *state;
	struct blk_ops late = *blk_sim_ops(s);
	struct storefile st;
	uint64_t n;

	late_sim = s;
	late.lock = late_lock;
	assert_int_equal(storefile_create(&st, &late, "/s", &wanted, NULL, 0), STORE_EBUSY);
	assert_memory_equal(blk_sim_bytes(s, FILE_PATH, &n), late_file, sizeof(late_file));
}

static void test_another_version(void **state)
{
	struct blk_sim *s = *state;
	struct storefile_block c[2];
	struct storefile st;

	create(s);
	copies(s, c);
	for (int newer = 1; newer < 4; newer++) {	/* B, A, both */
		c[0].version = WAL_VERSION + !!(newer & 2);
		c[1].version = WAL_VERSION + !!(newer & 1);
		put_copies(s, c);
		assert_int_equal(storefile_open(&st, blk_sim_ops(s), "/s", false, NULL, 0), STORE_EVERSION);
	}
}

static void test_the_newer_copy(void **state)
{
	struct blk_sim *s = *state;
	struct storefile_block c[2];
	struct storefile st;

	create(s);
	copies(s, c);
	for (int newer = 0; newer < 2; newer++) {
		c[newer].gen = 8;
		c[!newer].gen = 7;
		put_copies(s, c);
		assert_int_equal(storefile_open(&st, blk_sim_ops(s), "/s", true, NULL, 0), 0);
		assert_int_equal(st.b.gen, 8);
		storefile_close(&st);
	}
}

/* Whether a copy may be one or the other after a power cut now. */
static unsigned in_doubt(struct blk_sim *s)
{
	struct sim_edge edge;
	struct blk_sim *none, *all;
	struct storefile_block a[2], b[2];
	unsigned n;

	sim_edge_init(&edge, 0);
	none = blk_sim_cut(s, &edge.p);
	sim_edge_init(&edge, 1);
	all = blk_sim_cut(s, &edge.p);
	copies(none, a);
	copies(all, b);
	n = !!memcmp(&a[0], &b[0], sizeof(a[0])) + !!memcmp(&a[1], &b[1], sizeof(a[1]));
	blk_sim_free(none);
	blk_sim_free(all);
	return n;
}

static int one_is_certain(void *arg, enum sim_op op)
{
	(void)op;
	assert_true(in_doubt(arg) < 2);
	return 0;
}

static void test_one_copy_is_certain(void **state)
{
	struct blk_sim *s = *state;
	struct storefile st;

	create(s);
	assert_int_equal(storefile_open(&st, blk_sim_ops(s), "/s", false, NULL, 0), 0);
	blk_sim_step(s, one_is_certain, s);
	assert_int_equal(storefile_update(&st, STOREFILE_OPEN, CLASS_NVMM, "/n", 64 << 10), 0);
	assert_int_equal(in_doubt(s), 0);
	assert_int_equal(storefile_update(&st, 0, CLASS_FSYNC, "", 64 << 10), 0);
	assert_int_equal(in_doubt(s), 0);
	blk_sim_step(s, NULL, NULL);
	storefile_close(&st);
}

/* After a sync that failed reads show what the disk does not have: whoever opens the
 * store then builds on what certainly is there. */
static void test_what_is_read_is_there(void **state)
{
	struct blk_sim *s = *state, *dead, *cut;
	struct sim_edge worst;
	struct storefile st, again;

	create(s);
	assert_int_equal(storefile_open(&st, blk_sim_ops(s), "/s", false, NULL, 0), 0);
	blk_sim_fault(s, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(storefile_update(&st, STOREFILE_OPEN, CLASS_NVMM, "/n", 64 << 10), -EIO);
	storefile_close(&st);
	dead = blk_sim_killed(s);
	assert_int_equal(storefile_open(&st, blk_sim_ops(dead), "/s", false, NULL, 0), 0);
	sim_edge_init(&worst, 0);
	cut = blk_sim_cut(dead, &worst.p);
	assert_int_equal(storefile_open(&again, blk_sim_ops(cut), "/s", true, NULL, 0), 0);
	assert_memory_equal(&again.b, &st.b, sizeof(st.b));
	storefile_close(&again);
	storefile_close(&st);
	blk_sim_free(cut);
	blk_sim_free(dead);
}

static void test_one_at_a_time(void **state)
{
	struct blk_sim *s = *state;
	const struct blk_ops *blk = blk_sim_ops(s);
	struct blk_file *other;
	struct storefile st, second;

	/* another process is at creating it */
	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/s"), 0);
	assert_int_equal(blk->open(blk->ctx, NULL, FILE_PATH, BLK_RDWR | BLK_CREATE, &other), 0);
	assert_int_equal(blk->lock(other), 0);
	assert_int_equal(storefile_create(&st, blk, "/s", &wanted, NULL, 0), STORE_EBUSY);
	blk->close(other);
	assert_int_equal(storefile_create(&st, blk, "/s", &wanted, NULL, 0), 0);
	assert_int_equal(storefile_open(&second, blk, "/s", false, NULL, 0), STORE_EBUSY);
	assert_int_equal(storefile_open(&second, blk, "/s", true, NULL, 0), STORE_EBUSY);
	storefile_close(&st);
}

/* ---- segments made by hand ---- */

#define DIR	"/s/log/003"
#define BYTES	(64u << 10)

static const uint8_t uuid[16] = "of this store";

struct image {
	uint8_t	 b[BYTES];
	struct seg_header h;
	uint64_t off;
};

static struct image *image(uint32_t lane, uint64_t segno)
{
	struct image *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->h = (struct seg_header){ .lane = lane, .segno = segno, .first_seq = 1, .first_batch = 1,
		.salt = 0x1234567, .bytes = BYTES };
	memcpy(m->h.store_uuid, uuid, sizeof(uuid));
	seg_header_encode(&m->h);
	memcpy(m->b + SEG_HDR_A, &m->h, sizeof(m->h));
	memcpy(m->b + SEG_HDR_B, &m->h, sizeof(m->h));
	m->off = SEG_DATA;
	return m;
}

static void frame(struct image *m, uint32_t lane, uint64_t batch, uint64_t seq)
{
	struct frame_header h = { .kind = FRAME_RECORD, .seq = seq, .time_ms = 1, .batch = batch,
		.len = 8, .data_crc = crc32c("a record", 8), .lane = lane };

	frame_header_encode(&h, m->h.salt);
	memcpy(m->b + m->off, &h, sizeof(h));
	memcpy(m->b + m->off + sizeof(h), "a record", 8);
	m->off += sizeof(h) + 8;
}

static int seen(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	uint64_t *sum = arg;

	(void)si;
	*sum = *sum * 10 + fr->h.seq;
	return 0;
}

/* Frees m.  The numbers of its records, one decimal digit each. */
static uint64_t scan(struct blk_sim *s, struct image *m, const char *name, uint8_t state)
{
	struct seg_scan_options o = { .blk = blk_sim_ops(s), .dir = DIR, .uuid = uuid, .lane = 3 };
	struct seg_lane l;
	uint64_t sum = 0;

	o.record = seen;
	o.arg = &sum;
	assert_int_equal(blk_sim_put(s, name, m->b, sizeof(m->b)), 0);
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.nsegs, 1);
	assert_int_equal(l.segs[0].state, state);
	seg_lane_free(&l);
	free(m);
	return sum;
}

static void test_segments_of_others(void **state)
{
	struct image *m = image(3, 1);

	frame(m, 3, 1, 1);
	frame(m, 3, 1, 2);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_USED), 12);
	m = image(4, 1);
	frame(m, 3, 1, 1);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_FOREIGN), 0);
	m = image(3, 2);
	frame(m, 3, 1, 1);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_FOREIGN), 0);
	m = image(3, 1);
	m->b[SEG_HDR_A + offsetof(struct seg_header, store_uuid)] ^= 1;
	m->b[SEG_HDR_B + offsetof(struct seg_header, store_uuid)] ^= 1;
	for (unsigned at = 0; at <= SEG_HDR_B; at += SEG_HDR_B) {
		uint32_t crc = crc32c(m->b + at, offsetof(struct seg_header, crc));

		memcpy(m->b + at + offsetof(struct seg_header, crc), &crc, sizeof(crc));
	}
	frame(m, 3, 1, 1);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_FOREIGN), 0);
}

static void test_frames_of_others(void **state)
{
	struct image *m = image(3, 1);

	frame(m, 3, 1, 1);
	frame(m, 4, 1, 2);		/* another lane's */
	frame(m, 3, 1, 3);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_USED), 13);
	m = image(3, 1);
	frame(m, 3, 5, 1);
	frame(m, 3, 4, 2);		/* of an earlier batch */
	frame(m, 3, 5, 3);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_USED), 13);
	m = image(3, 1);
	frame(m, 3, 1, 1);
	frame(m, 3, 1, 2);
	frame(m, 3, 2, 2);		/* the number was there */
	frame(m, 3, 2, 3);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_USED), 123);
	m = image(3, 1);
	frame(m, 3, 1, 1);
	m->h.salt++;			/* of another use of the file */
	frame(m, 3, 1, 2);
	m->h.salt--;
	frame(m, 3, 1, 3);
	assert_int_equal(scan(*state, m, DIR "/00000001.seg", SEG_USED), 13);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_flip_in_a_copy), T(test_made_by_another), T(test_another_version), T(test_the_newer_copy),
		T(test_one_copy_is_certain), T(test_what_is_read_is_there), T(test_one_at_a_time),
		T(test_segments_of_others), T(test_frames_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
