/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_found.c - the file `store`, made again from segments made by hand and from a wal: each
 * field of its block, and what is not counted.
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
#include "segment/seg_scan.h"
#include "segment/segment.h"
#include "util/crc32c.h"

#define BYTES (64u << 10)

static struct world x;
static struct model model;

static int setup(void **state)
{
	(void)state;
	world_init(&x, CLASS_FSYNC, pm_sim_new(), blk_sim_new(), &model);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_fini(&x);
	model_free(&model);
	model = (struct model){ 0 };
	return 0;
}

/* A segment without a frame, of the store whose identity is that letter. */
static struct seg_header header(char who, uint32_t lane, uint64_t segno, uint32_t cls, uint64_t made)
{
	struct seg_header h = { .lane = lane, .segno = segno, .first_seq = 1, .first_batch = 1, .salt = 77,
		.bytes = BYTES, .class = cls, .created_ms = made };

	memset(h.store_uuid, who, sizeof(h.store_uuid));
	seg_header_encode(&h);
	return h;
}

/* copies: 1 A, 2 B; the other one is noise. */
static void put_at(const struct seg_header *h, unsigned lane, uint64_t segno, unsigned copies)
{
	const struct blk_ops *blk = blk_sim_ops(x.blk);
	uint8_t *b = calloc(1, BYTES);
	char path[64];

	assert_non_null(b);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, WORLD_STORE), 0);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, WORLD_STORE "/log"), 0);
	snprintf(path, sizeof(path), WORLD_STORE "/log/%03u", lane);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, path), 0);
	memset(b, 0xee, SEG_DATA);
	if (copies & 1)
		memcpy(b + SEG_HDR_A, h, sizeof(*h));
	if (copies & 2)
		memcpy(b + SEG_HDR_B, h, sizeof(*h));
	snprintf(path, sizeof(path), WORLD_STORE "/log/%03u/%08llx.seg", lane, (unsigned long long)segno);
	assert_int_equal(blk_sim_put(x.blk, path, b, BYTES), 0);
	free(b);
}

static void put(char who, uint32_t lane, uint64_t segno, uint32_t cls, uint64_t made)
{
	struct seg_header h = header(who, lane, segno, cls, made);

	put_at(&h, lane, segno, 3);
}

static int repaired(const char *nvmm, bool give_up, struct report *rep)
{
	struct rec_tool t;

	world_tool(&x, &t);
	t.nvmm_path = nvmm;
	t.give_up = give_up;
	return store_repair(&t, rep);
}

/* The block that repair made. */
static struct storefile_block made(const char *nvmm, bool give_up)
{
	struct report rep;
	struct storefile_block b = { 0 };
	enum storefile_found found;
	int err = repaired(nvmm, give_up, &rep);

	if (err)
		fail_msg("%s", rep.why);
	report_fini(&rep);
	assert_int_equal(storefile_probe(blk_sim_ops(x.blk), WORLD_STORE, &found, &b), 0);
	assert_int_equal(found, STOREFILE_GOOD);
	return b;
}

/* What stops repair without --give-up-wal, in a part of its words; NULL: nothing. */
static void asks(const char *words)
{
	struct report rep;
	int err = repaired(NULL, false, &rep);

	assert_int_equal(err, words ? STORE_EWALMISSING : 0);
	if (words && !strstr(rep.why, words))
		fail_msg("%s", rep.why);
	report_fini(&rep);
}

/* Its identity and its age, its segments' size and its class. */
static void test_of_the_segments(void **state)
{
	struct storefile_block b;
	struct seg_header h;

	(void)state;
	put('a', 0, 1, CLASS_FSYNC, 5000);
	put('a', 0, 2, CLASS_FSYNC, 7000);
	put('a', 1, 1, CLASS_FSYNC, 4000);
	h = header('a', 1, 2, CLASS_FSYNC, 9000);		/* the newest says how large they are now */
	h.bytes = 128 << 10;
	seg_header_encode(&h);
	put_at(&h, 1, 2, 3);
	put('a', 2, 1, CLASS_FSYNC, 6000);
	b = made(NULL, false);
	assert_int_equal(b.uuid[0], 'a');
	assert_int_equal(b.uuid[15], 'a');
	assert_int_equal(b.created_ms, 4000);
	assert_int_equal(b.segment_bytes, 128 << 10);
	assert_int_equal(b.class, CLASS_FSYNC);
	assert_int_equal(b.flags & STOREFILE_WAL_ATTACHED, 0);
	assert_string_equal(b.nvmm_path, "");
}

/* One copy of a header is enough, whichever. */
static void test_either_copy(void **state)
{
	(void)state;
	for (unsigned copies = 1; copies < 3; copies++) {
		struct seg_header h = header('a', 0, 1, CLASS_FSYNC, 3000 + copies);

		teardown(NULL);
		setup(NULL);
		put_at(&h, 0, 1, copies);
		assert_int_equal(made(NULL, false).created_ms, 3000 + copies);
	}
}

/* The many count, not the first or the last; and what has another file's header does not. */
static void test_the_most(void **state)
{
	struct seg_header h;
	struct storefile_block b;

	(void)state;
	put('b', 0, 1, CLASS_FSYNC, 100);
	put('a', 0, 2, CLASS_FSYNC, 5000);
	put('a', 0, 3, CLASS_FSYNC, 6000);
	put('c', 0, 4, CLASS_NVMM, 9000);
	for (unsigned i = 5; i < 9; i++) {		/* of another lane, or another number */
		h = header('d', i < 7 ? 1 : 0, i < 7 ? i : i + 1, CLASS_NVMM, 1);
		put_at(&h, 0, i, 3);
	}
	b = made(NULL, false);
	assert_int_equal(b.uuid[3], 'a');
	assert_int_equal(b.created_ms, 5000);
	assert_int_equal(b.class, CLASS_FSYNC);
	/* The last one that is its own says whether there was a wal. */
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, CLASS_FSYNC, 1000);
	put('a', 0, 2, CLASS_NVMM, 5000);
	put('c', 0, 3, CLASS_FSYNC, 9000);
	asks("where the wal is (nvmm)");
}

/* As many of one as of another: the one that is met first. */
static void test_a_tie(void **state)
{
	(void)state;
	put('b', 0, 1, CLASS_FSYNC, 9000);
	put('a', 0, 2, CLASS_FSYNC, 5000);
	put('b', 1, 1, CLASS_FSYNC, 9000);
	put('a', 1, 2, CLASS_FSYNC, 5000);
	assert_int_equal(made(NULL, false).uuid[0], 'a');
}

/* More identities than are counted: those that come too late are none, and nothing else is lost. */
static void test_many(void **state)
{
	struct storefile_block b;

	(void)state;
	put('A', 0, 60, CLASS_FSYNC, 5000);
	put('A', 0, 59, CLASS_FSYNC, 4000);
	for (unsigned i = 1; i < 20; i++)
		put((char)('B' + i), 0, 59 - i, CLASS_FSYNC, 6000 + i);
	put('A', 0, 20, CLASS_FSYNC, 3000);
	b = made(NULL, false);
	assert_int_equal(b.uuid[0], 'A');
	assert_int_equal(b.created_ms, 3000);
}

/* Whether there was a wal stands in the last segment of each lane, and one of them is enough. */
static void test_the_last_of_each_lane(void **state)
{
	struct storefile_block b;

	(void)state;
	put('a', 0, 1, CLASS_NVMM, 1000);			/* it was changed since */
	put('a', 0, 2, CLASS_FSYNC, 2000);
	asks(NULL);
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, CLASS_FSYNC, 1000);
	put('a', 0, 2, CLASS_NVMM_EADR, 2000);
	put('a', 1, 1, CLASS_FSYNC, 2000);
	asks("where the wal is (nvmm-eadr)");
	b = made(NULL, true);
	assert_int_equal(b.uuid[0], 'a');
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, CLASS_FSYNC, 1000);
	put('a', 1, 1, CLASS_VOLATILE, 2000);
	put('a', 2, 1, CLASS_NVMM, 2000);			/* the first that had one */
	asks("where the wal is (volatile)");
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, CLASS_NVMM, 1000);
	put('a', 1, 1, CLASS_FSYNC, 2000);
	asks("where the wal is (nvmm)");
}

/* An older program's header says nothing, and that is told. */
static void test_of_no_class(void **state)
{
	static const uint32_t none[] = { 0, 77, UINT32_MAX };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		teardown(NULL);
		setup(NULL);
		put('a', 0, 1, none[i], 1000);
		put('a', 1, 1, CLASS_FSYNC, 1000);
		asks("where the wal is (no segment says whether there was one)");
		/* What cannot be known is not made up for the next one. */
		made(NULL, true);
	}
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, 0, 1000);
	put('a', 1, 1, CLASS_VOLATILE, 1000);
	asks("where the wal is (volatile)");
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, 0, 1000);			/* but a later one does */
	put('a', 0, 2, CLASS_FSYNC, 2000);
	asks(NULL);
	teardown(NULL);
	setup(NULL);
	put('a', 0, 1, CLASS_NONE, 1000);
	asks(NULL);
}

/* Segments of a newer program, or of another machine: theirs, whatever else is there. */
static void test_other_formats(void **state)
{
	struct report rep;

	(void)state;
	for (unsigned what = 0; what < 4; what++) {
		struct seg_header h = header('a', 0, 2, CLASS_FSYNC, 1000);

		teardown(NULL);
		setup(NULL);
		put('a', 0, 1, CLASS_FSYNC, 1000);
		if (what < 2)
			h.version++;
		else
			h.byte_order = __builtin_bswap32(h.byte_order);
		h.crc = crc32c(&h, offsetof(struct seg_header, crc));
		put_at(&h, 0, 2, what % 2 ? 1 : 3);
		assert_int_equal(repaired(NULL, true, &rep), what < 2 ? STORE_EVERSION : STORE_EBYTEORDER);
		report_fini(&rep);
	}
}

/* What only a wal says: its store, its class, when it was made, and where it is. */
static void test_of_the_wal(void **state)
{
	struct storefile_block was, b;
	struct report rep;
	enum storefile_found found;
	const struct blk_ops *blk;
	struct storefile s;

	(void)state;
	for (unsigned segments = 0; segments < 2; segments++) {
		teardown(NULL);
		setup(NULL);
		blk = blk_sim_ops(x.blk);
		x.cls = CLASS_NVMM;
		assert_int_equal(world_open(&x, 1), 0);
		assert_int_equal(world_record(&x, 0, 100, false), 0);
		assert_int_equal(world_commit(&x, 0), 0);
		assert_int_equal(storefile_probe(blk, WORLD_STORE, &found, &was), 0);
		world_kill(&x);
		{
			struct blk_sim *after = blk_sim_killed(x.blk);
			struct pm_sim *pm = pm_sim_killed(x.pm);

			world_fini(&x);
			world_init(&x, CLASS_NVMM, pm, after, &model);
		}
		blk = blk_sim_ops(x.blk);
		assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/store"), 0);
		if (!segments)
			assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/000/00000001.seg"), 0);
		/* Looked at: in memory only. */
		{
			struct rec_tool t;

			world_tool(&x, &t);
			t.nvmm_path = WORLD_NVMM;
			assert_int_equal(store_check(&t, &rep), 0);
			assert_int_equal(rep.class, CLASS_NVMM);
			assert_string_equal(rep.nvmm_path, WORLD_NVMM);
			assert_true(rep.unclean);
			assert_int_equal(rep.lane[0].replay_records, 1);
			assert_int_equal(rep.finding[0].place, RP_STORE);
			assert_int_equal(rep.finding[0].state, RF_DAMAGE);
			assert_true(rep.finding[0].from_seq > rep.finding[0].to_seq);
			report_fini(&rep);
			/* At a place without one it is asked for. */
			t.nvmm_path = "/other";
			assert_int_equal(store_check(&t, &rep), segments ? STORE_EWALMISSING : STORE_EFORMAT);
			report_fini(&rep);
		}
		assert_int_equal(storefile_probe(blk, WORLD_STORE, &found, NULL), 0);
		assert_int_equal(found, STOREFILE_BAD);
		b = made(WORLD_NVMM, false);
		assert_memory_equal(b.uuid, was.uuid, sizeof(b.uuid));
		assert_int_equal(b.class, CLASS_NVMM);
		assert_in_range(b.created_ms, was.created_ms, was.created_ms + 1000);
		/* No wal is attached any more: it was moved into the segments. */
		assert_int_equal(b.flags & (STOREFILE_WAL_ATTACHED | STOREFILE_OPEN), 0);
		assert_int_equal(storefile_open(&s, blk, WORLD_STORE, true, NULL, 0), 0);
		assert_int_equal(storefile_lane(&s, 0)->next_seq, 2);
		storefile_close(&s);
	}
}

/* No segment is its own; but a wal is, at the place that it names or that is given. */
static void test_its_wal_is_there(void **state)
{
	const struct blk_ops *blk;
	struct report rep;
	struct rec_tool t;

	(void)state;
	x.cls = CLASS_NVMM;
	assert_int_equal(world_open(&x, 1), 0);
	assert_int_equal(world_record(&x, 0, 100, false), 0);
	assert_int_equal(world_commit(&x, 0), 0);
	{
		struct blk_sim *after = blk_sim_killed(x.blk);
		struct pm_sim *pm = pm_sim_killed(x.pm);

		world_fini(&x);
		world_init(&x, CLASS_NVMM, pm, after, &model);
	}
	blk = blk_sim_ops(x.blk);
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/000/00000001.seg"), 0);
	blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/000/00000002.seg");
	put('z', 0, 1, CLASS_FSYNC, 1000);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t n, m;
		uint8_t *wal = pm_sim_bytes(x.pm, WORLD_NVMM "/wal", &n);
		uint8_t *bufs = pm_sim_bytes(x.pm, WORLD_NVMM "/pktbufs", &m);

		if (i == 1) {				/* it was moved */
			assert_int_equal(pm_sim_put(x.pm, "/other/wal", wal, n), 0);
			assert_int_equal(pm_sim_put(x.pm, "/other/pktbufs", bufs, m), 0);
			pm_sim_remove(x.pm, WORLD_NVMM "/wal");
			pm_sim_remove(x.pm, WORLD_NVMM "/pktbufs");
		}
		world_tool(&x, &t);
		t.nvmm_path = i == 1 ? "/other" : NULL;
		store_check(&t, &rep);
		assert_int_equal(rep.facts.store, i < 2 ? RS_GOOD : RS_FOREIGN);
		if (i < 2)
			assert_int_equal(rep.lane[0].replay_records, 1);
		report_fini(&rep);
	}
}

/* Where no segment says how large they are, nothing else does. */
static void test_of_no_size(void **state)
{
	struct storefile_block b;
	const struct blk_ops *blk;

	(void)state;
	x.cls = CLASS_VOLATILE;
	assert_int_equal(world_open(&x, 1), 0);
	{
		struct blk_sim *after = blk_sim_killed(x.blk);
		struct pm_sim *pm = pm_sim_killed(x.pm);

		world_fini(&x);
		world_init(&x, CLASS_VOLATILE, pm, after, &model);
	}
	blk = blk_sim_ops(x.blk);
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/store"), 0);
	blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/000/00000001.seg");
	b = made(WORLD_NVMM, false);
	assert_int_equal(b.segment_bytes, 64u << 20);
	assert_int_equal(b.class, CLASS_VOLATILE);
}

/* A start does not make it again: it says who does. */
static void test_a_start_asks(void **state)
{
	struct store_options o = { .store_dir = WORLD_STORE, .class = CLASS_FSYNC, .lanes = 1, .buf_size = WORLD_BUF,
		.pool_bytes = WORLD_BUFS * WORLD_BUF, .segment_bytes = BYTES, .record_bytes_max = 4096,
		.pm = pm_sim_ops(x.pm), .blk = blk_sim_ops(x.blk) };
	enum storefile_found found;
	char why[512];
	struct store *w;

	(void)state;
	put('a', 0, 1, CLASS_FSYNC, 1000);
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_EFORMAT);
	assert_string_equal(why, WORLD_STORE ": its file `store` is lost, or damaged beyond use; the segments are "
			    "there: `pasted-recover repair` makes it again from them");
	assert_int_equal(storefile_probe(blk_sim_ops(x.blk), WORLD_STORE, &found, NULL), 0);
	assert_int_equal(found, STOREFILE_BAD);
	made(NULL, false);
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	assert_int_equal(store_close(w), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_of_the_segments), T(test_either_copy), T(test_the_most), T(test_a_tie), T(test_many),
		T(test_the_last_of_each_lane), T(test_of_no_class), T(test_other_formats), T(test_of_the_wal),
		T(test_its_wal_is_there), T(test_of_no_size), T(test_a_start_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
