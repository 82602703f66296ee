/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_store.c - the store file: what is refused and in which words, every crash of its
 * creation and of an update, every bit flipped.
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

#include "blk_path.h"
#include "../sim/blk_sim.h"
#include "crc32c.h"
#include "store.h"
#include "wal.h"

static const struct store_block fresh = { .segment_bytes = 64u << 20, .wal_class = WAL_FSYNC,
	.created_ms = 12345 };
static char why[512];

static int create(struct blk_sim *sim, struct store *s)
{
	return store_create(s, blk_sim_ops(sim), "/a/s", &fresh, why, sizeof(why));
}

static int open_it(struct blk_sim *sim, struct store *s, bool readonly)
{
	return store_open(s, blk_sim_ops(sim), "/a/s", readonly, why, sizeof(why));
}

static struct blk_sim *world(void)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);

	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/a"), 0);
	assert_int_equal(path_sync_dir(blk, "/"), 0);
	return sim;
}

static enum store_found probe(struct blk_sim *sim, struct store_block *b)
{
	enum store_found found;

	assert_int_equal(store_probe(blk_sim_ops(sim), "/a/s", &found, b), 0);
	return found;
}

static void test_create_open_update(void **state)
{
	struct blk_sim *sim = world();
	struct store_block b;
	struct store s, t;
	uint8_t uuid[16];

	(void)state;
	assert_int_equal(probe(sim, NULL), STORE_NONE);
	assert_int_equal(open_it(sim, &s, false), WAL_ENODIR);
	assert_non_null(strstr(why, "/a/s"));
	assert_int_equal(create(sim, &s), 0);
	assert_int_equal(s.b.segment_bytes, fresh.segment_bytes);
	assert_int_equal(s.b.created_ms, 12345);
	memcpy(uuid, s.b.uuid, 16);
	assert_int_equal(open_it(sim, &t, false), WAL_EBUSY);
	assert_int_equal(open_it(sim, &t, true), WAL_EBUSY);
	assert_int_equal(store_update(&s, STORE_WAL_ATTACHED, WAL_NVMM, "/mnt/x", 1u << 20), 0);
	store_close(&s);
	assert_int_equal(create(sim, &s), WAL_EFORMAT);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_int_equal(store_update(&s, 0, WAL_NVMM, "", 1u << 20), -EROFS);
	store_close(&s);
	assert_int_equal(open_it(sim, &s, false), 0);
	assert_memory_equal(s.b.uuid, uuid, 16);
	assert_int_equal(s.b.flags, STORE_WAL_ATTACHED);
	assert_int_equal(s.b.wal_class, WAL_NVMM);
	assert_int_equal(s.b.segment_bytes, 1u << 20);
	assert_string_equal(s.b.nvmm_path, "/mnt/x");
	assert_int_equal(probe(sim, &b), STORE_GOOD);
	assert_int_equal(b.gen, s.b.gen);
	store_close(&s);
	blk_sim_free(sim);
}

static void test_uuids_differ(void **state)
{
	struct blk_sim *one = world(), *two = world();
	struct store s, t;

	(void)state;
	assert_int_equal(create(one, &s), 0);
	assert_int_equal(create(two, &t), 0);
	assert_memory_not_equal(s.b.uuid, t.b.uuid, 16);
	store_close(&s);
	store_close(&t);
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
		{ "/a/s/thesis.tex", WAL_EFORMAT }, { "/a/s/log", 0 }, { "/a/s/store", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = world();
		const struct blk_ops *blk = blk_sim_ops(sim);
		struct store s;

		blk->mkdir(blk->ctx, NULL, "/a/s");
		if (strchr(rows[i].name + 5, 'l') == rows[i].name + 5)
			blk->mkdir(blk->ctx, NULL, rows[i].name);
		else
			blk_sim_put(sim, rows[i].name, "", 0);
		assert_int_equal(create(sim, &s), rows[i].res);
		if (rows[i].res)
			assert_non_null(strstr(why, "thesis.tex"));
		store_close(&s);
		blk_sim_free(sim);
	}
}

static void test_lanes_without_a_store_file(void **state)
{
	struct blk_sim *sim = world();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct store s;

	(void)state;
	blk->mkdir(blk->ctx, NULL, "/a/s");
	blk->mkdir(blk->ctx, NULL, "/a/s/log");
	blk->mkdir(blk->ctx, NULL, "/a/s/log/000");
	assert_int_equal(probe(sim, NULL), STORE_BAD);
	assert_int_equal(create(sim, &s), WAL_EFORMAT);	/* somebody's records: hands off */
	blk_sim_put(sim, "/a/s/store", "", 0);
	assert_int_equal(probe(sim, NULL), STORE_BAD);
	blk_sim_free(sim);
}

static void test_lanes(void **state)
{
	struct blk_sim *sim = world(), *cut;
	bool set[LANES_MAX];
	struct sim_rng rng;
	struct store s, t;
	unsigned n;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	assert_int_equal(store_lanes_make(&s, 3), 0);
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/010");
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/999");
	blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/a/s/log/1");
	assert_int_equal(store_lanes_list(&s, set, &n), 0);
	assert_int_equal(n, 11);
	assert_true(set[0] && set[1] && set[2] && !set[3] && set[10]);
	assert_int_equal(store_lanes_make(&s, LANES_MAX + 1), -EINVAL);
	for (uint64_t seed = 1; seed < 30; seed++) {
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(sim, &rng.p);
		assert_int_equal(store_open(&t, blk_sim_ops(cut), "/a/s", true, NULL, 0), 0);
		assert_int_equal(store_lanes_list(&t, set, &n), 0);
		store_close(&t);
		assert_true(set[0] && set[1] && set[2]);
		blk_sim_free(cut);
	}
	store_close(&s);
	blk_sim_free(sim);
}

/* ---- crashes: all states, for they are few ---- */

struct crash {
	struct blk_sim *sim;
	const struct store_block *old, *new;	/* NULL: not there (yet) */
	bool	 done;
	uint64_t states;
};

static void judge(struct crash *c, struct blk_sim *image)
{
	struct store_block b;
	struct store s;
	enum store_found found;

	c->states++;
	assert_int_equal(store_probe(blk_sim_ops(image), "/a/s", &found, &b), 0);
	if (!c->old) {
		assert_true(found == STORE_GOOD ||
			    (!c->done && (found == STORE_NONE || found == STORE_BLANK)));
		if (found != STORE_GOOD) {
			assert_int_equal(create(image, &s), 0);
			store_close(&s);
		}
	} else {
		assert_int_equal(found, STORE_GOOD);
		assert_true((!c->done && b.gen == c->old->gen) || b.gen == c->old->gen + 1);
		assert_string_equal(b.nvmm_path, b.gen == c->old->gen ? "" : "/mnt/x");
	}
	assert_int_equal(open_it(image, &s, false), 0);
	if (found == STORE_GOOD)
		assert_int_equal(s.b.gen, b.gen);
	store_close(&s);
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
	struct store s;

	(void)state;
	blk_sim_step(c.sim, crash_step, &c);
	assert_int_equal(create(c.sim, &s), 0);
	c.done = true;
	crash_step(&c, SIM_OPEN);
	blk_sim_step(c.sim, NULL, NULL);
	store_close(&s);
	assert_true(c.states > 20);
	blk_sim_free(c.sim);
}

static void test_every_crash_of_an_update(void **state)
{
	struct crash c = { .sim = world() };
	struct store_block old;
	struct store s;

	(void)state;
	assert_int_equal(create(c.sim, &s), 0);
	old = s.b;
	c.old = &old;
	blk_sim_step(c.sim, crash_step, &c);
	assert_int_equal(store_update(&s, 1, WAL_NVMM, "/mnt/x", 1u << 20), 0);
	c.done = true;
	crash_step(&c, SIM_OPEN);
	blk_sim_step(c.sim, NULL, NULL);
	store_close(&s);
	blk_sim_free(c.sim);
}

static void test_faults(void **state)
{
	static const enum sim_op ops[] = { SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_MKDIR, SIM_OPEN };

	(void)state;
	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
		for (unsigned nth = 1; nth < 6; nth++) {
			struct blk_sim *sim = world(), *killed;
			struct store s;
			int err;

			blk_sim_fault(sim, ops[o], nth, 1, EIO);
			err = create(sim, &s);
			if (!err)
				store_close(&s);
			else
				assert_non_null(strstr(why, "/a/s"));
			killed = blk_sim_killed(sim);		/* and the next start copes */
			err = probe(killed, NULL) == STORE_GOOD ? open_it(killed, &s, false) :
			      create(killed, &s);
			assert_int_equal(err, 0);
			store_close(&s);
			blk_sim_free(killed);
			blk_sim_free(sim);
		}
}

/* ---- the lane table ---- */

static const struct store_lane entry = { .lane = 3, .low_segno = 2, .low_seq = 10, .high_segno = 7,
	.next_seq = 500, .next_batch = 40 };

static bool is_entry(const struct store_lane *e, uint64_t next_seq)
{
	return e && e->lane == 3 && e->low_segno == 2 && e->low_seq == 10 && e->high_segno == 7 &&
	       e->next_seq == next_seq && e->next_batch == 40;
}

/* A store whose table is true and has lane 3. */
static void with_table(struct blk_sim *sim, struct store *s)
{
	assert_int_equal(create(sim, s), 0);
	assert_null(store_lane(s, 3));
	assert_int_equal(store_lane_write(s, &entry), 0);
	assert_null(store_lane(s, 3));		/* not before the block says so */
	s->lanes_on = true;
	assert_int_equal(store_update(s, STORE_OPEN, WAL_FSYNC, "", 1u << 20), 0);
	assert_true(is_entry(store_lane(s, 3), 500));
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
	struct store_lane next = entry;
	struct store s;
	uint64_t states;

	(void)state;
	with_table(sim, &s);
	next.next_seq = 600;
	blk_sim_step(sim, one_in_doubt, sim);
	assert_int_equal(store_lane_write(&s, &next), 0);
	blk_sim_step(sim, NULL, NULL);
	blk_sim_choices(sim, &states);
	assert_int_equal(states, 1);
	blk_sim_fault(sim, SIM_SYNC, 2, 1, EIO);
	assert_int_equal(store_lane_write(&s, &next), -EIO);
	store_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_true(is_entry(store_lane(&s, 3), 600));
	assert_null(store_lane(&s, 2));
	assert_int_equal(s.lane_bad[3] | s.lane_bad[2], 0);
	assert_int_equal(store_lane_write(&s, &next), -EROFS);
	store_close(&s);
	/* A program that does not know of the table writes the block without the flag. */
	assert_int_equal(open_it(sim, &s, false), 0);
	s.lanes_on = false;
	assert_int_equal(store_update(&s, 0, WAL_FSYNC, "", 1u << 20), 0);
	store_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_null(store_lane(&s, 3));
	store_close(&s);
	blk_sim_free(sim);
}

/* Each bit of each copy: the other one counts; of both: nothing is known, and that is told. */
static void test_lane_table_damaged(void **state)
{
	struct blk_sim *sim = world();
	struct store s;

	(void)state;
	with_table(sim, &s);
	store_close(&s);
	for (uint64_t bit = 0; bit < 64 * 8; bit++)
		for (int which = 1; which < 4; which++) {
			struct blk_sim *bad = blk_sim_killed(sim);

			if (which & 1)
				blk_sim_flip(bad, "/a/s/store", (STORE_LANES_A + 3 * 64) * 8 + bit);
			if (which & 2)
				blk_sim_flip(bad, "/a/s/store", (STORE_LANES_B + 3 * 64) * 8 + bit);
			assert_int_equal(open_it(bad, &s, true), 0);
			assert_int_equal(s.lane_bad[3], which);
			assert_true(which == 3 ? !store_lane(&s, 3) : is_entry(store_lane(&s, 3), 500));
			store_close(&s);
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
		struct store_lane next = entry;
		struct store s;

		with_table(sim, &s);
		store_close(&s);
		blk_sim_flip(sim, "/a/s/store", ((copy ? STORE_LANES_B : STORE_LANES_A) + 3 * 64) * 8 + 100);
		assert_int_equal(open_it(sim, &s, false), 0);
		next.next_seq = 600;
		blk_sim_fault(sim, SIM_WRITE, 1, 1, EIO);
		assert_int_equal(store_lane_write(&s, &next), -EIO);
		killed = blk_sim_killed(sim);
		store_close(&s);
		assert_int_equal(open_it(killed, &s, true), 0);
		assert_true(is_entry(store_lane(&s, 3), 500));
		store_close(&s);
		blk_sim_free(killed);
		blk_sim_free(sim);
	}
}

/* Copy B is ahead where the write of copy A was lost. */
static void test_lane_table_newer(void **state)
{
	struct blk_sim *sim = world();
	struct store_lane next = entry;
	uint8_t old[64];
	struct store s;
	uint64_t len;

	(void)state;
	with_table(sim, &s);
	memcpy(old, blk_sim_bytes(sim, "/a/s/store", &len) + STORE_LANES_A + 3 * 64, 64);
	next.next_seq = 700;
	assert_int_equal(store_lane_write(&s, &next), 0);
	for (unsigned i = 0; i < 64 * 8; i++) {
		const uint8_t *now = blk_sim_bytes(sim, "/a/s/store", &len) + STORE_LANES_A + 3 * 64;

		if ((now[i / 8] ^ old[i / 8]) >> i % 8 & 1)
			blk_sim_flip(sim, "/a/s/store", (STORE_LANES_A + 3 * 64) * 8 + i);
	}
	store_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_true(is_entry(store_lane(&s, 3), 700));
	store_close(&s);
	blk_sim_free(sim);
}

/* ---- damage ---- */

static void test_every_bit(void **state)
{
	struct blk_sim *sim = world();
	struct store_block b;
	struct store s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	store_close(&s);
	for (unsigned copy = 0; copy < 2; copy++)
		for (unsigned bit = 0; bit < 8 * sizeof(b); bit++) {
			assert_int_equal(blk_sim_flip(sim, "/a/s/store", copy * 8 * 4096 + bit), 0);
			assert_int_equal(probe(sim, &b), STORE_GOOD);
			assert_int_equal(open_it(sim, &s, true), 0);
			assert_int_equal(s.a_bad, copy == 0);
			assert_int_equal(s.b_bad, copy == 1);
			store_close(&s);
			assert_int_equal(blk_sim_flip(sim, "/a/s/store", copy * 8 * 4096 + bit), 0);
		}
	/* a start makes it whole again */
	blk_sim_flip(sim, "/a/s/store", 200);
	assert_int_equal(open_it(sim, &s, false), 0);
	assert_true(s.a_bad);
	store_close(&s);
	assert_int_equal(open_it(sim, &s, true), 0);
	assert_false(s.a_bad || s.b_bad);
	store_close(&s);
	/* both gone: refused, nothing made up, nothing written */
	blk_sim_flip(sim, "/a/s/store", 200);
	blk_sim_flip(sim, "/a/s/store", 8 * 4096 + 200);
	assert_int_equal(probe(sim, NULL), STORE_BAD);
	assert_int_equal(open_it(sim, &s, false), WAL_EFORMAT);
	assert_int_equal(create(sim, &s), WAL_EFORMAT);
	blk_sim_free(sim);
}

static void test_other_formats(void **state)
{
	uint8_t file[8192] = { 0 };
	struct store_block b = fresh;
	struct store s;
	uint64_t len;

	(void)state;
	for (int what = 0; what < 4; what++) {
		static const int errs[] = { WAL_EVERSION, WAL_EBYTEORDER, WAL_EBYTEORDER, WAL_EFORMAT };
		static const enum store_found founds[] = {
			STORE_VERSION, STORE_ORDER, STORE_ORDER, STORE_BAD,
		};
		struct blk_sim *sim = world();

		store_block_encode(&b);
		if (what == 0)
			b.version++;
		else if (what == 1)
			b.byte_order = __builtin_bswap32(b.byte_order);
		else if (what == 3)
			b.segment_bytes = 12345;
		b.crc = crc32c(&b, offsetof(struct store_block, crc));
		if (what == 2)
			b.magic = __builtin_bswap64(b.magic);
		for (int ours = 0; ours < 2 && what < 3; ours++) {	/* one of them, the other is ours */
			struct store_block good = fresh;

			good.gen = 1;
			store_block_encode(&good);
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
		assert_int_equal(create(sim, &s), WAL_EFORMAT);
		blk_sim_free(sim);
	}
}

static void test_cut_short(void **state)
{
	struct blk_sim *sim = world();
	struct store s;

	(void)state;
	assert_int_equal(create(sim, &s), 0);
	store_close(&s);
	blk_sim_truncate(sim, "/a/s/store", 4100);
	assert_int_equal(probe(sim, NULL), STORE_GOOD);
	blk_sim_truncate(sim, "/a/s/store", 100);
	assert_int_equal(open_it(sim, &s, true), WAL_EFORMAT);
	blk_sim_truncate(sim, "/a/s/store", 0);
	assert_int_equal(probe(sim, NULL), STORE_BLANK);
	assert_int_equal(open_it(sim, &s, true), WAL_EFORMAT);
	blk_sim_free(sim);
}

static void test_trailing_slash_and_length(void **state)
{
	struct blk_sim *sim = world();
	static char longer[5000];
	struct store s;

	(void)state;
	assert_int_equal(store_create(&s, blk_sim_ops(sim), "/a/s///", &fresh, why, sizeof(why)), 0);
	assert_string_equal(s.dir, "/a/s");
	assert_int_equal(store_update(&s, 0, 1, memset(longer, 'x', 440), 1u << 20), -ENAMETOOLONG);
	store_close(&s);
	memset(longer, 'x', sizeof(longer) - 1);
	assert_int_equal(store_create(&s, blk_sim_ops(sim), longer, &fresh, NULL, 0), -ENAMETOOLONG);
	assert_int_equal(store_open(&s, blk_sim_ops(sim), longer, true, NULL, 0), -ENAMETOOLONG);
	blk_sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
