/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_storefile.c - the store file: what is refused and in which words, every crash of its
 * creation and of an update, every bit flipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "blk_path.h"
#include "files/storefile.h"
#include "segment/segment.h"
#include "store/store.h"
#include "util/crc32c.h"

static const struct storefile_block fresh = { .segment_bytes = 64u << 20, .class = CLASS_FSYNC,
	.created_ms = 12345 };
static char why[512];

static int create(struct blk_sim *sim, struct storefile *s)
{
	return storefile_create(s, blk_sim_ops(sim), "/a/s", &fresh, why, sizeof(why));
}

static int open_it(struct blk_sim *sim, struct storefile *s, bool readonly)
{
	return storefile_open(s, blk_sim_ops(sim), "/a/s", readonly, why, sizeof(why));
}

static struct blk_sim *world(void)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);

	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/a"), 0);
	assert_int_equal(path_sync_dir(blk, "/"), 0);
	return sim;
}

static enum storefile_found probe(struct blk_sim *sim, struct storefile_block *b)
{
	enum storefile_found found;

	assert_int_equal(storefile_probe(blk_sim_ops(sim), "/a/s", &found, b), 0);
	return found;
}

static void test_create_open_update(void **state)
{
	struct blk_sim *sim = world();
	struct storefile_block b;
	struct storefile s, t;
	uint8_t uuid[16];

	(void)state;
	assert_int_equal(probe(sim, NULL), STOREFILE_NONE);
	assert_int_equal(open_it(sim, &s, false), STORE_ENODIR);
	assert_non_null(strstr(why, "/a/s"));
	assert_int_equal(create(sim, &s), 0);
	assert_int_equal(s.b.segment_bytes, fresh.segment_bytes);
	assert_int_equal(s.b.created_ms, 12345);
	memcpy(uuid, s.b.uuid, 16);
	assert_int_equal(open_it(sim, &t, false), STORE_EBUSY);
	assert_int_equal(open_it(sim, &t, true), STORE_EBUSY);
	assert_int_equal(storefile_update(&s, STOREFILE_WAL_ATTACHED, CLASS_NVMM, "/mnt/x", 1u << 20), 0);
	storefile_close(&s);
	assert_int_equal(create(sim, &s), STORE_EFORMAT);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_int_equal(storefile_update(&s, 0, CLASS_NVMM, "", 1u << 20), -EROFS);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, false), 0);
	assert_memory_equal(s.b.uuid, uuid, 16);
	assert_int_equal(s.b.flags, STOREFILE_WAL_ATTACHED);
	assert_int_equal(s.b.class, CLASS_NVMM);
	assert_int_equal(s.b.segment_bytes, 1u << 20);
	assert_string_equal(s.b.nvmm_path, "/mnt/x");
	assert_int_equal(probe(sim, &b), STOREFILE_GOOD);
	assert_int_equal(b.gen, s.b.gen);
	storefile_close(&s);
	blk_sim_free(sim);
}

static void test_uuids_differ(void **state)
{
	struct blk_sim *one = world(), *two = world();
	struct storefile s, t;

	(void)state;
	assert_int_equal(create(one, &s), 0);
	assert_int_equal(create(two, &t), 0);
	assert_memory_not_equal(s.b.uuid, t.b.uuid, 16);
	storefile_close(&s);
	storefile_close(&t);
	blk_sim_free(one);
	blk_sim_free(two);
}

static void test_directories(void **state)
{
	static const struct {
		const char *name;
		int res;
	} rows[] = {
		{ "/a/s/lost+found", 0 }, { "/a/s/wal", 0 }, { "/a/s/pktbufs", 0 },
		{ "/a/s/thesis.tex", STORE_EFORMAT }, { "/a/s/log", 0 }, { "/a/s/store", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = world();
		const struct blk_ops *blk = blk_sim_ops(sim);
		struct storefile s;

		blk->mkdir(blk->ctx, NULL, "/a/s");
		if (strchr(rows[i].name + 5, 'l') == rows[i].name + 5)
			blk->mkdir(blk->ctx, NULL, rows[i].name);
		else
			blk_sim_put(sim, rows[i].name, "", 0);
		assert_int_equal(create(sim, &s), rows[i].res);
		if (rows[i].res)
			assert_non_null(strstr(why, "thesis.tex"));
		storefile_close(&s);
		blk_sim_free(sim);
	}
}

static void test_lanes_without_a_store_file(void **state)
{
	struct blk_sim *sim = world();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct storefile s;

	(void)state;
	blk->mkdir(blk->ctx, NULL, "/a/s");
	blk->mkdir(blk->ctx, NULL, "/a/s/log");
	blk->mkdir(blk->ctx, NULL, "/a/s/log/000");
	assert_int_equal(probe(sim, NULL), STOREFILE_BAD);
	assert_int_equal(create(sim, &s), STORE_EFORMAT);	/* somebody's records: hands off */
	blk_sim_put(sim, "/a/s/store", "", 0);
	assert_int_equal(probe(sim, NULL), STOREFILE_BAD);
	blk_sim_free(sim);
}

static void test_lanes(void **state)
{
	struct blk_sim *sim = world(), *cut;
	bool set[LANES_MAX];
	struct sim_rng rng;
	struct storefile s, t;
	unsigned n;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	assert_int_equal(storefile_lanes_make(&s, 3), 0);
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/010");
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/999");
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/1");
	assert_int_equal(storefile_lanes_list(&s, set, &n), 0);
	assert_int_equal(n, 11);
	assert_true(set[0] && set[1] && set[2] && !set[3] && set[10]);
	assert_int_equal(storefile_lanes_make(&s, LANES_MAX + 1), -EINVAL);
	for (uint64_t seed = 1; seed < 30; seed++) {
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(storefile_open(&t, blk_sim_ops(cut), "/a/s", true, NULL, 0), 0);
		assert_int_equal(storefile_lanes_list(&t, set, &n), 0);
		storefile_close(&t);
		assert_true(set[0] && set[1] && set[2]);
		blk_sim_free(cut);
	}
	storefile_close(&s);
	blk_sim_free(sim);
}

/* ---- crashes: all states, for they are few ---- */

struct crash {
	struct blk_sim *sim;
	const struct storefile_block *old, *new;	/* NULL: not there (yet) */
	bool	 done;
	uint64_t states;
};

static void judge(struct crash *c, struct blk_sim *image)
{
	struct storefile_block b;
	struct storefile s;
	enum storefile_found found;

	c->states++;
	assert_int_equal(storefile_probe(blk_sim_ops(image), "/a/s", &found, &b), 0);
	if (!c->old) {
		assert_true(found == STOREFILE_GOOD ||
			    (!c->done && (found == STOREFILE_NONE || found == STOREFILE_BLANK)));
		if (found != STOREFILE_GOOD) {
			assert_int_equal(create(image, &s), 0);
			storefile_close(&s);
		}
	} else {
		assert_int_equal(found, STOREFILE_GOOD);
		assert_true((!c->done && b.gen == c->old->gen) || b.gen == c->old->gen + 1);
		assert_string_equal(b.nvmm_path, b.gen == c->old->gen ? "" : "/mnt/x");
	}
	assert_int_equal(open_it(image, &s, false), 0);
	if (found == STOREFILE_GOOD)
		assert_int_equal(s.b.gen, b.gen);
	storefile_close(&s);
}

static int crash_step(void *arg, enum sim_op op)
{
	struct crash *c = arg;
	struct sim_odo odo;
	uint64_t open_states;

	/* the copies are written one after the other: at no time are both in doubt */
	if (op == SIM_WRITE && c->old) {
		blk_sim_choices(c->sim, &open_states);
		assert_int_equal(open_states, 1);
	}
	sim_odo_init(&odo);
	do {
		struct blk_sim *image = blk_sim_cut(c->sim, &odo.p);

		judge(c, image);
		blk_sim_free(image);
	} while (sim_odo_next(&odo));
	sim_odo_fini(&odo);

	struct blk_sim *image = blk_sim_killed(c->sim);

	judge(c, image);
	blk_sim_free(image);
	return 0;
}

static void test_every_crash_of_creation(void **state)
{
	struct crash c = { .sim = world() };
	struct storefile s;

	(void)state;
	blk_sim_step(c.sim, crash_step, &c);
	assert_int_equal(create(c.sim, &s), 0);
	c.done = true;
	crash_step(&c, SIM_OPEN);
	blk_sim_step(c.sim, NULL, NULL);
	storefile_close(&s);
	assert_true(c.states > 20);
	blk_sim_free(c.sim);
}

static void test_every_crash_of_an_update(void **state)
{
	struct crash c = { .sim = world() };
	struct storefile_block old;
	struct storefile s;

	(void)state;
	assert_int_equal(create(c.sim, &s), 0);
	old = s.b;
	c.old = &old;
	blk_sim_step(c.sim, crash_step, &c);
	assert_int_equal(storefile_update(&s, 1, CLASS_NVMM, "/mnt/x", 1u << 20), 0);
	c.done = true;
	crash_step(&c, SIM_OPEN);
	blk_sim_step(c.sim, NULL, NULL);
	storefile_close(&s);
	blk_sim_free(c.sim);
}

static void test_faults(void **state)
{
	static const enum sim_op ops[] = { SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_MKDIR, SIM_OPEN };

	(void)state;
	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
		for (unsigned nth = 1; nth < 6; nth++) {
			struct blk_sim *sim = world(), *killed;
			struct storefile s;
			int err;

			blk_sim_fault(sim, ops[o], nth, 1, EIO);
			err = create(sim, &s);
			if (!err)
				storefile_close(&s);
			else
				assert_non_null(strstr(why, "/a/s"));
			killed = blk_sim_killed(sim);		/* and the next start copes */
			err = probe(killed, NULL) == STOREFILE_GOOD ? open_it(killed, &s, false) :
			      create(killed, &s);
			assert_int_equal(err, 0);
			storefile_close(&s);
			blk_sim_free(killed);
			blk_sim_free(sim);
		}
}

/* ---- the lane table ---- */

static const struct storefile_lane entry = { .lane = 3, .low_segno = 2, .low_seq = 10, .high_segno = 7,
	.next_seq = 500, .next_batch = 40 };

static bool is_entry(const struct storefile_lane *e, uint64_t next_seq)
{
	return e && e->lane == 3 && e->low_segno == 2 && e->low_seq == 10 && e->high_segno == 7 &&
	       e->next_seq == next_seq && e->next_batch == 40;
}

/* A store whose table is true and has lane 3. */
static void with_table(struct blk_sim *sim, struct storefile *s)
{
	assert_int_equal(create(sim, s), 0);
	assert_null(storefile_lane(s, 3));
	assert_int_equal(storefile_lane_write(s, &entry), 0);
	assert_null(storefile_lane(s, 3));		/* not before the block says so */
	s->lanes_on = true;
	assert_int_equal(storefile_update(s, STOREFILE_OPEN, CLASS_FSYNC, "", 1u << 20), 0);
	assert_true(is_entry(storefile_lane(s, 3), 500));
}

/* Nothing is in doubt when a copy begins to be written, and nothing when all is done. */
static int one_in_doubt(void *arg, enum sim_op op)
{
	uint64_t states;

	blk_sim_choices(arg, &states);
	if (op == SIM_WRITE)
		assert_int_equal(states, 1);
	return 0;
}

static void test_lane_table(void **state)
{
	struct blk_sim *sim = world();
	struct storefile_lane next = entry;
	struct storefile s;
	uint64_t states;

	(void)state;
	with_table(sim, &s);
	next.next_seq = 600;
	blk_sim_step(sim, one_in_doubt, sim);
	assert_int_equal(storefile_lane_write(&s, &next), 0);
	blk_sim_step(sim, NULL, NULL);
	blk_sim_choices(sim, &states);
	assert_int_equal(states, 1);
	blk_sim_fault(sim, SIM_SYNC, 2, 1, EIO);
	assert_int_equal(storefile_lane_write(&s, &next), -EIO);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_true(is_entry(storefile_lane(&s, 3), 600));
	assert_null(storefile_lane(&s, 2));
	assert_int_equal(s.lane_bad[3] | s.lane_bad[2], 0);
	assert_int_equal(storefile_lane_write(&s, &next), -EROFS);
	storefile_close(&s);
	/* A program that does not know of the table writes the block without the flag. */
	assert_int_equal(open_it(sim, &s, false), 0);
	s.lanes_on = false;
	assert_int_equal(storefile_update(&s, 0, CLASS_FSYNC, "", 1u << 20), 0);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_null(storefile_lane(&s, 3));
	storefile_close(&s);
	blk_sim_free(sim);
}

/* Each bit of each copy: the other one counts; of both: nothing is known, and that is told. */
static void test_lane_table_damaged(void **state)
{
	struct blk_sim *sim = world();
	struct storefile s;

	(void)state;
	with_table(sim, &s);
	storefile_close(&s);
	for (uint64_t bit = 0; bit < 64 * 8; bit++)
		for (int which = 1; which < 4; which++) {
			struct blk_sim *bad = blk_sim_killed(sim);

			if (which & 1)
				blk_sim_flip(bad, "/a/s/store", (STOREFILE_LANES_A + 3 * 64) * 8 + bit);
			if (which & 2)
				blk_sim_flip(bad, "/a/s/store", (STOREFILE_LANES_B + 3 * 64) * 8 + bit);
			assert_int_equal(open_it(bad, &s, true), 0);
			assert_int_equal(s.lane_bad[3], which);
			assert_true(which == 3 ? !storefile_lane(&s, 3) : is_entry(storefile_lane(&s, 3), 500));
			storefile_close(&s);
			blk_sim_free(bad);
		}
	blk_sim_free(sim);
}

/* One copy is damaged, and the write of the next entry stops half way: the other still says what
 * the lane had. */
static void test_lane_table_damaged_and_torn(void **state)
{
	(void)state;
	for (unsigned copy = 0; copy < 2; copy++) {
		struct blk_sim *sim = world(), *killed;
		struct storefile_lane next = entry;
		struct storefile s;

		with_table(sim, &s);
		storefile_close(&s);
		blk_sim_flip(sim, "/a/s/store", ((copy ? STOREFILE_LANES_B : STOREFILE_LANES_A) + 3 * 64) * 8 + 100);
		assert_int_equal(open_it(sim, &s, false), 0);
		next.next_seq = 600;
		blk_sim_fault(sim, SIM_WRITE, 1, 1, EIO);
		assert_int_equal(storefile_lane_write(&s, &next), -EIO);
		killed = blk_sim_killed(sim);
		storefile_close(&s);
		assert_int_equal(open_it(killed, &s, true), 0);
		assert_true(is_entry(storefile_lane(&s, 3), 500));
		storefile_close(&s);
		blk_sim_free(killed);
		blk_sim_free(sim);
	}
}

/* Copy B is ahead where the write of copy A was lost. */
static void test_lane_table_newer(void **state)
{
	struct blk_sim *sim = world();
	struct storefile_lane next = entry;
	uint8_t old[64];
	struct storefile s;
	uint64_t len;

	(void)state;
	with_table(sim, &s);
	memcpy(old, blk_sim_bytes(sim, "/a/s/store", &len) + STOREFILE_LANES_A + 3 * 64, 64);
	next.next_seq = 700;
	assert_int_equal(storefile_lane_write(&s, &next), 0);
	for (unsigned i = 0; i < 64 * 8; i++) {
		const uint8_t *now = blk_sim_bytes(sim, "/a/s/store", &len) + STOREFILE_LANES_A + 3 * 64;

		if ((now[i / 8] ^ old[i / 8]) >> i % 8 & 1)
			blk_sim_flip(sim, "/a/s/store", (STOREFILE_LANES_A + 3 * 64) * 8 + i);
	}
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_true(is_entry(storefile_lane(&s, 3), 700));
	storefile_close(&s);
	blk_sim_free(sim);
}

/* A copy of lane 3's entry as it would be written, with another value. */
static void put_entry(struct blk_sim *sim, struct storefile_lane e, uint64_t at)
{
	uint8_t file[STOREFILE_LANES_B + LANES_MAX * 64];
	uint64_t len;
	const uint8_t *was = blk_sim_bytes(sim, "/a/s/store", &len);

	assert_int_equal(len, sizeof(file));
	memcpy(file, was, sizeof(file));
	e.crc = crc32c(&e, offsetof(struct storefile_lane, crc));
	memcpy(file + at + 3 * 64, &e, sizeof(e));
	assert_int_equal(blk_sim_put(sim, "/a/s/store", file, sizeof(file)), 0);
}

/* What is whole but cannot be is not believed; what just can be is. */
static void test_lane_table_at_its_edges(void **state)
{
	struct storefile_lane good = entry;
	const uint64_t most = (1ull << 62) - 1;
	struct blk_sim *sim = world();
	struct storefile s;

	(void)state;
	with_table(sim, &s);
	storefile_close(&s);
	good.magic = LANE_MAGIC;
	good.gen = 9;
#define TRY(field, value, ok) do { \
		struct storefile_lane e = good; \
		e.field = value; \
		put_entry(sim, e, STOREFILE_LANES_A); \
		put_entry(sim, e, STOREFILE_LANES_B); \
		assert_int_equal(open_it(sim, &s, true), 0); \
		assert_int_equal(s.lane_bad[3], ok ? 0 : 3); \
		assert_int_equal(storefile_lane(&s, 3) != NULL, ok); \
		storefile_close(&s); \
	} while (0)
	TRY(gen, 1, true);
	TRY(gen, 0, false);
	TRY(lane, 4, false);
	TRY(magic, LANE_MAGIC + 1, false);
	TRY(low_seq, 1, true);
	TRY(low_seq, 0, false);
	TRY(low_seq, 500, true);		/* none that has not expired */
	TRY(low_seq, 501, false);
	TRY(next_seq, most, true);
	TRY(next_seq, most + 1, false);
	TRY(next_batch, 1, true);
	TRY(next_batch, 0, false);
	TRY(next_batch, most, true);
	TRY(next_batch, most + 1, false);
	TRY(high_segno, most, true);
	TRY(high_segno, most + 1, false);
	TRY(low_segno, most, true);
	TRY(low_segno, most + 1, false);
	TRY(low_segno, 0, true);
#undef TRY
	blk_sim_free(sim);
}

/* Entries of several lanes, as they stand in a program's memory. */
static void fill_table(struct storefile *s)
{
	for (unsigned lane = 0; lane < LANES_MAX; lane += 85) {
		struct storefile_lane e = entry;

		e.lane = lane;
		e.next_seq = 1000 + lane;
		assert_int_equal(storefile_lane_write(s, &e), 0);
	}
}

static void has_table(struct storefile *s)
{
	for (unsigned lane = 0; lane < LANES_MAX; lane++) {
		const struct storefile_lane *e = storefile_lane(s, lane);

		assert_int_equal(e != NULL, lane % 85 == 0);
		assert_int_equal(s->lane_bad[lane], 0);
		if (e)
			assert_int_equal(e->next_seq, 1000 + lane);
	}
}

/* All of the table at once, on both copies: as it was known. */
static void test_whole_table(void **state)
{
	static const uint8_t junk[STOREFILE_LANES_B + LANES_MAX * 64];
	struct blk_sim *sim = world(), *cut;
	struct sim_rng rng;
	struct storefile s, t;
	uint64_t states;

	(void)state;
	with_table(sim, &s);
	fill_table(&s);
	memset(&s.lane[3], 0, sizeof(s.lane[3]));
	/* Whatever stood there. */
	assert_int_equal(blk_sim_put(sim, "/a/s/store", junk, sizeof(junk)), 0);
	assert_int_equal(storefile_write_again(&s), 0);
	blk_sim_choices(sim, &states);
	assert_int_equal(states, 1);
	for (uint64_t seed = 1; seed < 4; seed++) {
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(open_it(cut, &t, true), 0);
		assert_true(t.lanes_on);
		has_table(&t);
		assert_false(t.a_bad || t.b_bad);
		storefile_close(&t);
		blk_sim_free(cut);
	}
	/* What another store's table said is forgotten with all of it. */
	s.lane_bad[5] = 3;
	storefile_lanes_forget(&s);
	assert_false(s.lanes_on);
	s.lanes_on = true;
	for (unsigned lane = 0; lane < LANES_MAX; lane++) {
		assert_null(storefile_lane(&s, lane));
		assert_int_equal(s.lane_bad[lane], 0);
	}
	assert_int_equal(storefile_lanes_write(&s), 0);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	for (unsigned lane = 0; lane < LANES_MAX; lane++) {
		assert_null(storefile_lane(&s, lane));
		assert_int_equal(s.lane_bad[lane], 0);
	}
	storefile_close(&s);
	blk_sim_free(sim);
}

/* A store without a table, on a disk that is full: it goes on without.  Any other failure is told,
 * wherever it comes. */
static void test_no_room_for_a_table(void **state)
{
	static const struct { enum sim_op op; unsigned nth; int err, res; } rows[] = {
		{ SIM_WRITE, 1, ENOSPC, 0 }, { SIM_WRITE, 2, ENOSPC, 0 }, { SIM_WRITE, 1, EDQUOT, 0 },
		{ SIM_WRITE, 1, EIO, -EIO }, { SIM_WRITE, 2, EIO, -EIO }, { SIM_SYNC, 1, EIO, -EIO },
		{ SIM_SYNC, 1, ENOSPC, -ENOSPC }, { SIM_WRITE, 2, EROFS, -EROFS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = world();
		struct storefile s;

		with_table(sim, &s);
		assert_false(s.lanes_off);
		blk_sim_fault(sim, rows[i].op, rows[i].nth, 1, rows[i].err);
		assert_int_equal(storefile_lanes_write(&s), rows[i].res);
		assert_int_equal(s.lanes_off, rows[i].op == SIM_WRITE && !rows[i].res);
		storefile_close(&s);
		blk_sim_free(sim);
	}
}

/* The table that cannot be read, or is not there: block by block, and the other copy counts. */
static void test_table_that_cannot_be_read(void **state)
{
	struct blk_sim *sim = world();
	struct storefile s;

	(void)state;
	with_table(sim, &s);
	fill_table(&s);
	assert_int_equal(storefile_lane_write(&s, &(struct storefile_lane){ .lane = 3, .low_seq = 1, .next_seq = 1003,
		.next_batch = 1 }), 0);
	storefile_close(&s);
	for (unsigned block = 0; block < 8; block++) {
		struct blk_sim *bad = blk_sim_killed(sim);
		unsigned copy = block < 4 ? 1 : 2;

		assert_int_equal(blk_sim_bad(bad, "/a/s/store", STOREFILE_LANES_A + block * 4096), 0);
		assert_int_equal(open_it(bad, &s, true), 0);
		for (unsigned lane = 0; lane < LANES_MAX; lane++) {
			bool in = lane / 64 == block % 4;

			assert_int_equal(s.lane_unread[lane], in ? copy : 0);
			if (lane % 85 == 0 || lane == 3) {
				assert_non_null(storefile_lane(&s, lane));
				assert_int_equal(storefile_lane(&s, lane)->next_seq, 1000 + lane);
			}
			assert_int_equal(s.lane_bad[lane], in ? copy | (storefile_lane(&s, lane) ? 0 : 3) : 0);
		}
		storefile_close(&s);
		/* For writing: made good, and the same again. */
		assert_int_equal(open_it(bad, &s, false), 0);
		storefile_close(&s);
		assert_int_equal(open_it(bad, &s, true), 0);
		for (unsigned lane = 0; lane < LANES_MAX; lane++) {
			assert_int_equal(s.lane_unread[lane] | s.lane_bad[lane], 0);
			assert_int_equal(storefile_lane(&s, lane) != NULL, lane % 85 == 0 || lane == 3);
			if (storefile_lane(&s, lane))
				assert_int_equal(storefile_lane(&s, lane)->next_seq, 1000 + lane);
		}
		storefile_close(&s);
		blk_sim_free(bad);
	}
	/* An older program's file ends behind the blocks; or it was cut anywhere in the table. */
	for (unsigned cut = 8192; cut < STOREFILE_LANES_B + 5 * 64; cut += 1000) {
		struct blk_sim *bad = blk_sim_killed(sim);

		blk_sim_truncate(bad, "/a/s/store", cut);
		assert_int_equal(open_it(bad, &s, true), 0);
		for (unsigned lane = 0; lane < LANES_MAX; lane++) {
			bool there = STOREFILE_LANES_A + (lane + 1) * 64 <= cut && (lane % 85 == 0 || lane == 3);
			bool twice = STOREFILE_LANES_B + (lane + 1) * 64 <= cut;

			assert_int_equal(storefile_lane(&s, lane) != NULL, there);
			assert_int_equal(s.lane_bad[lane], there && !twice ? 2 : 0);
			assert_int_equal(s.lane_unread[lane], 0);
		}
		storefile_close(&s);
		blk_sim_free(bad);
	}
	/* Any other failure is told. */
	for (unsigned nth = 3; nth < 5; nth++) {
		blk_sim_fault(sim, SIM_READ, nth, 1, ENOMEM);
		assert_int_equal(open_it(sim, &s, true), -ENOMEM);
	}
	blk_sim_free(sim);
}

/* ---- damage ---- */

static void test_every_bit(void **state)
{
	struct blk_sim *sim = world();
	struct storefile_block b;
	struct storefile s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	storefile_close(&s);
	for (unsigned copy = 0; copy < 2; copy++)
		for (unsigned bit = 0; bit < 8 * sizeof(b); bit++) {
			assert_int_equal(blk_sim_flip(sim, "/a/s/store", copy * 8 * 4096 + bit), 0);
			assert_int_equal(probe(sim, &b), STOREFILE_GOOD);
			assert_int_equal(open_it(sim, &s, true), 0);
			assert_int_equal(s.a_bad, copy == 0);
			assert_int_equal(s.b_bad, copy == 1);
			storefile_close(&s);
			assert_int_equal(blk_sim_flip(sim, "/a/s/store", copy * 8 * 4096 + bit), 0);
		}
	/* a start makes it whole again */
	blk_sim_flip(sim, "/a/s/store", 200);
	assert_int_equal(open_it(sim, &s, false), 0);
	assert_true(s.a_bad);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_false(s.a_bad || s.b_bad);
	storefile_close(&s);
	/* both gone: refused, nothing made up, nothing written */
	blk_sim_flip(sim, "/a/s/store", 200);
	blk_sim_flip(sim, "/a/s/store", 8 * 4096 + 200);
	assert_int_equal(probe(sim, NULL), STOREFILE_BAD);
	assert_int_equal(open_it(sim, &s, false), STORE_EFORMAT);
	assert_int_equal(create(sim, &s), STORE_EFORMAT);
	blk_sim_free(sim);
}

static void test_other_formats(void **state)
{
	uint8_t file[8192] = { 0 };
	struct storefile_block b = fresh;
	struct storefile s;
	uint64_t len;

	(void)state;
	for (int what = 0; what < 4; what++) {
		static const int errs[] = { STORE_EVERSION, STORE_EBYTEORDER, STORE_EBYTEORDER, STORE_EFORMAT };
		static const enum storefile_found founds[] = {
			STOREFILE_VERSION, STOREFILE_ORDER, STOREFILE_ORDER, STOREFILE_BAD,
		};
		struct blk_sim *sim = world();

		storefile_block_encode(&b);
		if (what == 0)
			b.version++;
		else if (what == 1)
			b.byte_order = __builtin_bswap32(b.byte_order);
		else if (what == 3)
			b.segment_bytes = 12345;
		b.crc = crc32c(&b, offsetof(struct storefile_block, crc));
		if (what == 2)
			b.magic = __builtin_bswap64(b.magic);
		for (int ours = 0; ours < 2 && what < 3; ours++) {	/* one of them, the other is ours */
			struct storefile_block good = fresh;

			good.gen = 1;
			storefile_block_encode(&good);
			memcpy(file + ours * 4096, &good, sizeof(good));
			memcpy(file + !ours * 4096, &b, sizeof(b));
			blk_sim_put(sim, "/a/s/store", file, sizeof(file));
			assert_int_equal(open_it(sim, &s, false), errs[what]);
			assert_int_equal(probe(sim, NULL), founds[what]);
			assert_memory_equal(blk_sim_bytes(sim, "/a/s/store", &len), file, sizeof(file));
		}
		memcpy(file, &b, sizeof(b));
		memcpy(file + 4096, &b, sizeof(b));
		b = fresh;
		blk_sim_put(sim, "/a/s/store", file, sizeof(file));
		assert_int_equal(open_it(sim, &s, false), errs[what]);
		assert_int_equal(probe(sim, NULL), founds[what]);
		assert_int_equal(create(sim, &s), STORE_EFORMAT);
		blk_sim_free(sim);
	}
}

static void test_cut_short(void **state)
{
	struct blk_sim *sim = world();
	struct storefile s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	storefile_close(&s);
	blk_sim_truncate(sim, "/a/s/store", 4100);
	assert_int_equal(probe(sim, NULL), STOREFILE_GOOD);
	blk_sim_truncate(sim, "/a/s/store", 100);
	assert_int_equal(open_it(sim, &s, true), STORE_EFORMAT);
	blk_sim_truncate(sim, "/a/s/store", 0);
	assert_int_equal(probe(sim, NULL), STOREFILE_BLANK);
	assert_int_equal(open_it(sim, &s, true), STORE_EFORMAT);
	blk_sim_free(sim);
}

static void test_trailing_slash_and_length(void **state)
{
	struct blk_sim *sim = world();
	static char longer[5000];
	struct storefile s;

	(void)state;
	assert_int_equal(storefile_create(&s, blk_sim_ops(sim), "/a/s///", &fresh, why, sizeof(why)), 0);
	assert_string_equal(s.dir, "/a/s");
	assert_int_equal(storefile_update(&s, 0, 1, memset(longer, 'x', 440), 1u << 20), -ENAMETOOLONG);
	storefile_close(&s);
	memset(longer, 'x', sizeof(longer) - 1);
	assert_int_equal(storefile_create(&s, blk_sim_ops(sim), longer, &fresh, NULL, 0), -ENAMETOOLONG);
	assert_int_equal(storefile_open(&s, blk_sim_ops(sim), longer, true, NULL, 0), -ENAMETOOLONG);
	blk_sim_free(sim);
}

/* The sizes of segments that a block may name. */
static void test_segment_sizes(void **state)
{
	static const struct { uint64_t bytes; int res; } rows[] = {
		{ SEG_BYTES_MIN, 0 }, { SEG_BYTES_MIN - 4096, STORE_EFORMAT }, { SEG_BYTES_MIN - 1, STORE_EFORMAT },
		{ SEG_BYTES_MAX, 0 }, { SEG_BYTES_MAX + 4096, STORE_EFORMAT }, { SEG_BYTES_MAX - 4096, 0 },
		{ SEG_BYTES_MIN + 4096, 0 }, { SEG_BYTES_MIN + 512, STORE_EFORMAT }, { 0, STORE_EFORMAT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct storefile_block b = fresh;

		b.segment_bytes = rows[i].bytes;
		storefile_block_encode(&b);
		assert_int_equal(storefile_block_check(&b), rows[i].res);
	}
	{
		struct storefile_block b = fresh;

		memset(b.nvmm_path, 'x', sizeof(b.nvmm_path));
		storefile_block_encode(&b);
		assert_int_equal(storefile_block_check(&b), STORE_EVERSION);	/* has no end: an older one's may be longer */
		b.nvmm_path[sizeof(b.nvmm_path) - 1] = '\0';
		storefile_block_encode(&b);
		assert_int_equal(storefile_block_check(&b), 0);
	}
}

/* What stops it is told in words that name the store. */
static void test_words(void **state)
{
	static const struct { enum sim_op op; int err, res; const char *words; } rows[] = {
		{ SIM_OPEN, EACCES, -EACCES, "cannot open /a/s/store: Permission denied" },
		{ SIM_OPEN, ENOENT, STORE_ENODIR, "there is no store in /a/s" },
		{ SIM_OPEN, ENOTDIR, STORE_ENODIR, "there is no store in /a/s" },
		{ SIM_LOCK, EWOULDBLOCK, STORE_EBUSY, "another process has the store /a/s open" },
		{ SIM_LOCK, ENOLCK, -ENOLCK, "cannot open /a/s/store: No locks available" },
		{ SIM_WRITE, EROFS, -EROFS, "/a/s is on a file system that is mounted read-only, and has to be written: "
		  "mount it for writing" },
		{ SIM_WRITE, EIO, -EIO, "cannot open /a/s/store: Input/output error" },
		{ SIM_SYNC, EIO, -EIO, "cannot open /a/s/store: Input/output error" },
	};
	struct blk_sim *sim = world();
	struct storefile s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	storefile_close(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		blk_sim_fault(sim, rows[i].op, 1, 1, rows[i].err);
		assert_int_equal(open_it(sim, &s, false), rows[i].res);
		assert_memory_equal(why, rows[i].words, strlen(rows[i].words));
		assert_null(s.file);
		assert_null(s.root);
		assert_int_equal(open_it(sim, &s, false), 0);	/* and let go */
		storefile_close(&s);
	}
	/* No more of them than there is room for; and none, if nobody wants them. */
	memset(why, '#', sizeof(why));
	blk_sim_fault(sim, SIM_LOCK, 1, 1, EWOULDBLOCK);
	assert_int_equal(storefile_open(&s, blk_sim_ops(sim), "/a/s", true, why, 8), STORE_EBUSY);
	assert_string_equal(why, "another");
	assert_int_equal(why[8], '#');
	blk_sim_fault(sim, SIM_LOCK, 1, 2, EWOULDBLOCK);
	assert_int_equal(storefile_open(&s, blk_sim_ops(sim), "/a/s", true, why + 8, 0), STORE_EBUSY);
	assert_int_equal(why[8], '#');
	assert_int_equal(storefile_open(&s, blk_sim_ops(sim), "/a/s", true, NULL, 0), STORE_EBUSY);
	blk_sim_free(sim);
}

static void test_words_of_creation(void **state)
{
	static const struct { enum sim_op op; unsigned nth; int err, res; const char *words; } rows[] = {
		{ SIM_OPEN, 1, EACCES, -EACCES, "cannot look at /a/s: Permission denied" },
		{ SIM_OPEN, 2, EACCES, -EACCES, "cannot read the directory /a/s: Permission denied" },
		{ SIM_MKDIR, 1, EROFS, -EROFS, "cannot make the directory /a/s: Read-only file system" },
		{ SIM_MKDIR, 1, ENOENT, -ENOENT, "/a/s: the directory that it is to be made in does not exist: make" },
		{ SIM_LIST, 1, EIO, -EIO, "cannot read the directory /a/s: Input/output error" },
		{ SIM_SYNC_DIR, 1, EIO, -EIO, "cannot sync the directory of /a/s: Input/output error" },
		{ SIM_LOCK, 1, EWOULDBLOCK, STORE_EBUSY, "cannot create a store in /a/s: in use by another process" },
		{ SIM_LOCK, 1, ENOLCK, -ENOLCK, "cannot create a store in /a/s: No locks" },
		{ SIM_WRITE, 1, ENOSPC, -ENOSPC, "cannot create a store in /a/s: No space left" },
		{ SIM_WRITE, 3, ENOSPC, -ENOSPC, "cannot create a store in /a/s: No space left" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = world();
		struct storefile s;

		blk_sim_fault(sim, rows[i].op, rows[i].nth, 1, rows[i].err);
		assert_int_equal(create(sim, &s), rows[i].res);
		if (strncmp(why, rows[i].words, strlen(rows[i].words)))
			fail_msg("row %zu: %s", i, why);
		/* and nothing of it stands in the way */
		assert_int_equal(probe(sim, NULL) == STOREFILE_GOOD ? open_it(sim, &s, false) : create(sim, &s), 0);
		storefile_close(&s);
		blk_sim_free(sim);
	}
}

/* Open for writing: said before anything else is, and nothing but that. */
static void test_mark_open(void **state)
{
	struct blk_sim *sim = world();
	struct storefile_block was, b;
	struct storefile s;

	(void)state;
	with_table(sim, &s);
	assert_int_equal(storefile_update(&s, STOREFILE_WAL_ATTACHED, CLASS_NVMM, "/mnt/x", 1u << 20), 0);
	was = s.b;
	assert_int_equal(was.flags, STOREFILE_WAL_ATTACHED | STOREFILE_LANES);
	assert_int_equal(storefile_mark_open(&s), 0);
	assert_int_equal(probe(sim, &b), STOREFILE_GOOD);
	assert_int_equal(b.gen, was.gen + 1);
	assert_int_equal(b.flags, STOREFILE_WAL_ATTACHED | STOREFILE_LANES | STOREFILE_OPEN);
	b.gen = was.gen;
	b.flags = was.flags;
	storefile_block_encode(&b);
	assert_memory_equal(&b, &was, sizeof(b));
	blk_sim_fault(sim, SIM_WRITE, 1, 1, EIO);
	assert_int_equal(storefile_mark_open(&s), -EIO);
	storefile_close(&s);
	blk_sim_free(sim);
}

/* Lost: what is left of it is opened, and locked if it is there; repair makes it again. */
static void test_open_lost(void **state)
{
	struct blk_sim *sim = world();
	const struct blk_ops *blk = blk_sim_ops(sim);
	static const uint8_t junk[8192] = { 1, 2, 3 };
	struct storefile_block was;
	struct storefile s, t;

	(void)state;
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", true, why, sizeof(why)), STORE_ENODIR);
	assert_string_equal(why, "there is no store in /a/s");
	with_table(sim, &s);
	was = s.b;
	assert_int_equal(storefile_open_lost(&t, blk, "/a/s", true, why, sizeof(why)), STORE_EBUSY);
	storefile_close(&s);
	/* Its file is there: the table is read, for its generations. */
	assert_int_equal(blk_sim_put(sim, "/a/s/store", junk, sizeof(junk)), 0);
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", false, why, sizeof(why)), 0);
	assert_true(s.a_bad && s.b_bad && s.file && s.root && s.log && !s.readonly);
	assert_int_equal(storefile_open_lost(&t, blk, "/a/s", true, why, sizeof(why)), STORE_EBUSY);
	s.b = was;
	assert_int_equal(storefile_write_again(&s), 0);
	assert_false(s.a_bad || s.b_bad);
	storefile_close(&s);
	assert_int_equal(probe(sim, NULL), STOREFILE_GOOD);
	/* It is not: made, and locked from then on. */
	assert_int_equal(blk->unlink(blk->ctx, NULL, "/a/s/store"), 0);
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", true, why, sizeof(why)), 0);
	assert_true(s.readonly && !s.file && s.root && s.log);
	s.b = was;
	assert_int_equal(storefile_write_again(&s), -EROFS);
	storefile_close(&s);
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", false, why, sizeof(why)), 0);
	assert_null(s.file);
	s.b = was;
	blk_sim_fault(sim, SIM_LOCK, 1, 1, EWOULDBLOCK);
	assert_int_equal(storefile_write_again(&s), -EWOULDBLOCK);
	storefile_close(&s);
	assert_int_equal(blk->unlink(blk->ctx, NULL, "/a/s/store"), 0);
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", false, why, sizeof(why)), 0);
	s.b = was;
	assert_int_equal(storefile_write_again(&s), 0);
	assert_int_equal(open_it(sim, &t, true), STORE_EBUSY);
	storefile_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_memory_equal(s.b.uuid, was.uuid, sizeof(was.uuid));
	storefile_close(&s);
	/* What cannot be opened is told. */
	blk_sim_fault(sim, SIM_OPEN, 3, 1, EACCES);
	assert_int_equal(storefile_open_lost(&s, blk, "/a/s", true, why, sizeof(why)), -EACCES);
	assert_string_equal(why, "cannot open /a/s/store: Permission denied");
	assert_null(s.root);
	blk_sim_free(sim);
}

/* A look that fails is not a store that is damaged. */
static void test_look_that_fails(void **state)
{
	static const struct { enum sim_op op; unsigned nth; int err, res; enum storefile_found found; } rows[] = {
		{ SIM_READ, 1, EIO, 0, STOREFILE_GOOD }, { SIM_READ, 2, EIO, 0, STOREFILE_GOOD },
		{ SIM_READ, 1, ENOMEM, 0, STOREFILE_GOOD },			/* the other copy is enough */
		{ SIM_LIST, 1, EIO, -EIO, STOREFILE_NONE }, { SIM_OPEN, 1, EACCES, -EACCES, STOREFILE_NONE },
		{ SIM_OPEN, 1, ENOENT, 0, STOREFILE_NONE }, { SIM_OPEN, 1, ENOTDIR, STORE_ENOTDIR, STOREFILE_NONE },
		{ SIM_OPEN, 2, EACCES, -EACCES, STOREFILE_NONE }, { SIM_OPEN, 3, EACCES, -EACCES, STOREFILE_NONE },
	};
	struct blk_sim *sim = world();
	enum storefile_found found;
	struct storefile s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	storefile_close(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		blk_sim_fault(sim, rows[i].op, rows[i].nth, 1, rows[i].err);
		assert_int_equal(storefile_probe(blk_sim_ops(sim), "/a/s", &found, NULL), rows[i].res);
		assert_int_equal(found, rows[i].found);
	}
	blk_sim_fault(sim, SIM_READ, 1, 2, ENOMEM);
	assert_int_equal(storefile_probe(blk_sim_ops(sim), "/a/s", &found, NULL), -ENOMEM);
	blk_sim_fault(sim, SIM_READ, 1, 2, EIO);
	assert_int_equal(storefile_probe(blk_sim_ops(sim), "/a/s", &found, NULL), 0);
	assert_int_equal(found, STOREFILE_UNREADABLE);
	blk_sim_free(sim);
}

/* Names that lead elsewhere while it is open; the kernel's folders, which can be renamed. */
static void test_names(void **state)
{
	char dir[] = "/tmp/test_store.XXXXXX", a[64], b[64], path[96];
	const struct blk_ops *blk = &blk_file_ops;
	const char *what;
	struct storefile s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/s", dir);
	snprintf(b, sizeof(b), "%s/t", dir);
	assert_int_equal(storefile_create(&s, blk, a, &fresh, why, sizeof(why)), 0);
	assert_int_equal(storefile_watch(&s, &what), 0);
	assert_false(storefile_moved(&s));
	assert_int_equal(rename(a, b), 0);
	assert_true(storefile_moved(&s));
	assert_int_equal(storefile_watch(&s, &what), 0);		/* it is all there, where it is now */
	assert_int_equal(mkdir(a, 0700), 0);
	assert_true(storefile_moved(&s));				/* another one has its name */
	assert_int_equal(rmdir(a), 0);
	assert_int_equal(close(open(a, O_CREAT | O_WRONLY, 0600)), 0);
	assert_true(storefile_moved(&s));
	assert_int_equal(unlink(a), 0);
	assert_int_equal(rename(b, a), 0);
	assert_false(storefile_moved(&s));
	/* The folder of the lanes, and the file: gone, or another one. */
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", a, i ? "log" : "store");
		assert_int_equal(rename(path, b), 0);
		assert_int_equal(storefile_watch(&s, &what), -ENOENT);
		assert_string_equal(what, i ? "the folder `log`" : "the file `store`");
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(storefile_watch(&s, &what), -ENOENT);
		assert_string_equal(what, i ? "the folder `log`" : "the file `store`");
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(rename(b, path), 0);
		assert_int_equal(storefile_watch(&s, &what), 0);
		assert_int_equal(i ? rmdir(path) : 0, 0);
	}
	assert_int_equal(storefile_watch(&s, &what), -ENOENT);
	assert_string_equal(what, "the folder `log`");
	snprintf(path, sizeof(path), "%s/store", a);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(storefile_watch(&s, &what), -ENOENT);
	assert_string_equal(what, "the file `store`");
	assert_int_equal(rmdir(a), 0);
	assert_int_equal(storefile_watch(&s, &what), -ENOENT);
	assert_string_equal(what, "the store's folder");
	assert_true(storefile_moved(&s));
	storefile_close(&s);
	rmdir(dir);
}

/* What the wal has to say of its store. */
static void test_bond(void **state)
{
	struct blk_sim *sim = world();
	struct wal_bond b, c;
	struct storefile s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	assert_int_equal(storefile_bond(&s, &b), 0);
	assert_int_equal(b.magic, BOND_MAGIC);
	assert_memory_equal(b.uuid, s.b.uuid, sizeof(b.uuid));
	assert_string_equal(b.path, "/a/s");
	assert_int_not_equal(b.ino, 0);
	assert_int_equal(b.crc, crc32c(&b, offsetof(struct wal_bond, crc)));
	storefile_close(&s);
	assert_int_equal(storefile_open_lost(&s, blk_sim_ops(sim), "/a/s", true, why, sizeof(why)), 0);
	assert_int_equal(storefile_bond(&s, &c), 0);
	assert_int_equal(c.ino, b.ino);
	storefile_close(&s);
	assert_int_equal(blk_sim_ops(sim)->unlink(blk_sim_ops(sim)->ctx, NULL, "/a/s/store"), 0);
	assert_int_equal(storefile_open_lost(&s, blk_sim_ops(sim), "/a/s", true, why, sizeof(why)), 0);
	assert_int_equal(storefile_bond(&s, &c), 0);
	assert_int_equal(c.ino, 0);
	assert_string_equal(c.path, "/a/s");
	storefile_close(&s);
	blk_sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_sizes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_of_creation),
		cmocka_unit_test(test_mark_open),
		cmocka_unit_test(test_open_lost),
		cmocka_unit_test(test_look_that_fails),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bond),
		cmocka_unit_test(test_lane_table_at_its_edges),
		cmocka_unit_test(test_whole_table),
		cmocka_unit_test(test_no_room_for_a_table),
		cmocka_unit_test(test_table_that_cannot_be_read),
		cmocka_unit_test(test_create_open_update),
		cmocka_unit_test(test_uuids_differ),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_lanes_without_a_store_file),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_every_crash_of_creation),
		cmocka_unit_test(test_every_crash_of_an_update),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_lane_table),
		cmocka_unit_test(test_lane_table_damaged),
		cmocka_unit_test(test_lane_table_damaged_and_torn),
		cmocka_unit_test(test_lane_table_newer),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_other_formats),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_trailing_slash_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
