/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_walfile.c - creation, heads and restart through every crash, and every bit of
 * what decides flipped.
 */
#include "files/walfile.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../sim/pm_sim.h"
#include "files/bond.h"
#include "format/codec.h"
#include "store/store.h"

#define DIR_NAME "/pm"
#define ENTRIES 64

static const uint64_t first_seq[2] = { 11, 22 };
static const struct walfile_want want = {
	.uuid = "0123456789abcdef", .lanes = 2, .buf_size = 2048, .entries = ENTRIES, .bufs = 8,
	.cls = CLASS_NVMM, .now_ms = 99, .next_seq = first_seq,
};

static struct walfile w, v;

static struct pm_sim *created(void)
{
	struct pm_sim *s = pm_sim_new();

	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &want), 0);
	return s;
}

static int reopen(struct pm_sim *s)
{
	return walfile_open(&v, pm_sim_ops(s), DIR_NAME, true, want.uuid);
}

static void what_was_made_is_found(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	assert_int_equal(w.lane[1].seq, 22);
	walfile_close(&w);
	assert_int_equal(reopen(s), 0);
	assert_int_equal(v.super.lanes, 2);
	assert_int_equal(v.super.entries, ENTRIES);
	assert_int_equal(v.super.class, CLASS_NVMM);
	assert_int_equal(walfile_share(&v), 4);
	assert_int_equal(v.lane[0].seq, 11);
	assert_int_equal(v.lane[1].seq, 22);
	assert_int_equal(v.lane[1].pos, 0);
	assert_false(v.lane[0].lost || v.super_bad_a || v.super_bad_b);
	assert_int_equal(walfile_ring(&v, 1) - walfile_ring(&v, 0), ENTRIES);
	walfile_close(&v);
	pm_sim_free(s);
}

#define SUPERS (2 * WAL_PAGE)

static void what_is_not_ours_is_refused(void **state)
{
	struct pm_sim *s = pm_sim_new();
	uint8_t other[16] = "another";
	struct wal_super *a, *b;

	(void)state;
	assert_int_equal(reopen(s), -ENOENT);
	pm_sim_put(s, DIR_NAME "/wal", "", 0);
	assert_int_equal(reopen(s), -ENOENT);
	pm_sim_put(s, DIR_NAME "/wal", "short", 5);
	assert_int_equal(reopen(s), STORE_EFORMAT);
	pm_sim_free(s);

	s = created();
	walfile_close(&w);
	assert_int_equal(walfile_open(&v, pm_sim_ops(s), DIR_NAME, true, other), STORE_EMISMATCH);
	pm_sim_refuse_sync(s, true);
	assert_int_equal(reopen(s), -EOPNOTSUPP);
	assert_int_equal(walfile_open(&v, pm_sim_ops(s), DIR_NAME, false, NULL), 0);
	walfile_close(&v);
	pm_sim_refuse_sync(s, false);

	a = (struct wal_super *)pm_sim_bytes(s, DIR_NAME "/wal", NULL);
	b = (struct wal_super *)((uint8_t *)a + WAL_SUPER_B);
	a->version = b->version = 2;
	a->crc = b->crc = crc32c(a, offsetof(struct wal_super, crc));
	assert_int_equal(reopen(s), STORE_EVERSION);
	a->byte_order = b->byte_order = __builtin_bswap32(WAL_BYTE_ORDER);
	assert_int_equal(reopen(s), STORE_EBYTEORDER);
	memset(a, 0x55, sizeof(*a));
	memset(b, 0xaa, sizeof(*b));
	assert_int_equal(reopen(s), STORE_EFORMAT);
	pm_sim_free(s);

	for (int newer = 0; newer < 2; newer++) {	/* one of them, the other is ours */
		uint8_t was[SUPERS];

		s = created();
		walfile_close(&w);
		a = (struct wal_super *)(pm_sim_bytes(s, DIR_NAME "/wal", NULL) +
					 (newer ? WAL_SUPER_B : WAL_SUPER_A));
		a->version++;
		a->crc = crc32c(a, offsetof(struct wal_super, crc));
		memcpy(was, pm_sim_bytes(s, DIR_NAME "/wal", NULL), sizeof(was));
		assert_int_equal(reopen(s), STORE_EVERSION);
		assert_memory_equal(pm_sim_bytes(s, DIR_NAME "/wal", NULL), was, sizeof(was));
		pm_sim_free(s);
	}

	s = created();		/* two that are valid and differ */
	b = (struct wal_super *)(w.wal.addr + WAL_SUPER_B);
	b->created_ms++;
	super_encode(b);
	walfile_close(&w);
	assert_int_equal(reopen(s), STORE_EFORMAT);
	pm_sim_free(s);
}

static void cut_short_is_refused(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	walfile_close(&w);
	pm_sim_truncate(s, DIR_NAME "/pktbufs", 8 * 2048 - 64);
	assert_int_equal(reopen(s), STORE_EFORMAT);
	pm_sim_remove(s, DIR_NAME "/pktbufs");
	assert_int_equal(reopen(s), STORE_EFORMAT);
	assert_null(pm_sim_bytes(s, DIR_NAME "/pktbufs", NULL));	/* nor was it made */
	pm_sim_free(s);
	s = created();
	walfile_close(&w);
	pm_sim_truncate(s, DIR_NAME "/wal", walfile_bytes(2, ENTRIES) - 64);
	assert_int_equal(reopen(s), STORE_EFORMAT);
	pm_sim_free(s);
}

static void one_flip_in_a_superblock(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	walfile_close(&w);
	for (int copy = 0; copy < 2; copy++)
		for (uint64_t bit = 0; bit < 8 * sizeof(struct wal_super); bit++) {
			pm_sim_flip(s, DIR_NAME "/wal", bit + (copy ? 8 * WAL_SUPER_B : 0));
			assert_int_equal(walfile_open_ro(&v, pm_sim_ops(s), DIR_NAME, NULL), 0);
			assert_int_equal(v.super_bad_a, copy == 0);
			assert_int_equal(v.super_bad_b, copy == 1);
			walfile_close(&v);
			assert_int_equal(reopen(s), 0);		/* mends it */
			walfile_close(&v);
			assert_int_equal(reopen(s), 0);
			assert_false(v.super_bad_a || v.super_bad_b);
			walfile_close(&v);
		}
	pm_sim_free(s);
}

static void one_flip_in_a_head(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	walfile_head(&w, 1, 17, 33);
	walfile_close(&w);
	for (int copy = 0; copy < 2; copy++)
		for (uint64_t bit = 0; bit < 8 * sizeof(struct wal_head); bit++) {
			uint64_t at = bit + 8 * (sizeof(struct wal_head) +
						 (copy ? WAL_HEADS_B : WAL_HEADS_A));

			pm_sim_flip(s, DIR_NAME "/wal", at);
			assert_int_equal(walfile_open_ro(&v, pm_sim_ops(s), DIR_NAME, NULL), 0);
			assert_int_equal(v.lane[1].bad_a, copy == 0);
			assert_int_equal(v.lane[1].bad_b, copy == 1);
			assert_false(v.lane[1].lost || v.lane[0].bad_a || v.lane[0].bad_b);
			assert_int_equal(v.lane[1].pos, 17);
			assert_int_equal(v.lane[1].seq, 33);
			walfile_close(&v);
			pm_sim_flip(s, DIR_NAME "/wal", at);
		}
	pm_sim_flip(s, DIR_NAME "/wal", 8 * WAL_HEADS_A);
	pm_sim_flip(s, DIR_NAME "/wal", 8 * WAL_HEADS_B);
	assert_int_equal(reopen(s), 0);
	assert_true(v.lane[0].lost);
	assert_false(v.lane[1].lost);
	walfile_close(&v);
	pm_sim_free(s);
}

/* ---- crashes ---- */

static struct pm_sim *sim;
static int (*look)(void *arg, struct pm_sim *image);
static uint64_t looked;

static int at_step(void *arg, enum pm_sim_op op)
{
	(void)arg, (void)op;
	return pm_sim_states(sim, 300, 24, looked, look, NULL, &looked);
}

static void watch(struct pm_sim *s, int (*cb)(void *arg, struct pm_sim *image))
{
	sim = s;
	look = cb;
	looked = 0;
	pm_sim_step(s, at_step, NULL);
}

/* And the state that was left when all was done. */
static void watched(struct pm_sim *s)
{
	pm_sim_step(s, NULL, NULL);
	assert_int_equal(pm_sim_states(s, 300, 24, looked, look, NULL, &looked), 0);
	assert_in_range(looked, 10, 1000000);
}

static bool blank_allowed;

static int blank_or_whole(void *arg, struct pm_sim *image)
{
	int err = reopen(image);

	(void)arg;
	if (err) {
		assert_int_equal(err, -ENOENT);
		assert_true(blank_allowed);
		return 0;
	}
	assert_int_equal(v.super.lanes, want.lanes);
	for (unsigned i = 0; i < v.super.lanes; i++) {
		assert_false(v.lane[i].lost || v.lane[i].bad_a || v.lane[i].bad_b);
		assert_int_equal(v.lane[i].seq, first_seq[i]);
		for (unsigned e = 0; e < ENTRIES; e++)
			assert_int_equal(walfile_ring(&v, i)[e], 0);
	}
	walfile_close(&v);
	return 0;
}

static void creation_is_all_or_nothing(void **state)
{
	struct pm_sim *s = pm_sim_new();

	(void)state;
	blank_allowed = true;
	watch(s, blank_or_whole);
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &want), 0);
	blank_allowed = false;
	watched(s);
	walfile_close(&w);
	pm_sim_free(s);
}

static int old_blank_or_whole(void *arg, struct pm_sim *image)
{
	int err = walfile_open_ro(&v, pm_sim_ops(image), DIR_NAME, NULL);

	if (!err && v.super.lanes == 1) {	/* the old one, still as it was */
		assert_true(blank_allowed);
		assert_int_equal(v.lane[0].seq, 500);
		assert_int_equal(walfile_ring(&v, 0)[3], 0x1234);
		walfile_close(&v);
		return 0;
	}
	if (!err)
		walfile_close(&v);
	return blank_or_whole(arg, image);
}

static void another_geometry_is_all_or_nothing(void **state)
{
	struct walfile_want old = want;
	uint64_t seq = 500, word = 0x1234;
	struct pm_sim *s = pm_sim_new();
	const struct pm_ops *pm = pm_sim_ops(s);

	(void)state;
	old.lanes = 1;
	old.next_seq = &seq;
	assert_int_equal(walfile_create(&w, pm, DIR_NAME, &old), 0);
	pm->store(pm->ctx, walfile_ring(&w, 0) + 3, &word, 8);
	pm->flush(pm->ctx, walfile_ring(&w, 0) + 3, 8);
	pm->fence(pm->ctx);
	walfile_close(&w);
	blank_allowed = true;
	watch(s, old_blank_or_whole);
	assert_int_equal(walfile_create(&w, pm, DIR_NAME, &want), 0);
	blank_allowed = false;
	watched(s);
	walfile_close(&w);
	pm_sim_free(s);
}

static uint64_t low, high;	/* which head a crash may show */

static int head_between(void *arg, struct pm_sim *image)
{
	(void)arg;
	assert_int_equal(reopen(image), 0);
	assert_false(v.lane[1].lost);
	assert_in_range(v.lane[1].seq, low, high);
	assert_int_equal(v.lane[1].pos, (v.lane[1].seq - 22) * 3);
	walfile_close(&v);
	return 0;
}

/* After it returned both copies say it: either may be lost. */
static int head_twice(void *arg, struct pm_sim *image)
{
	(void)arg;
	for (int copy = 0; copy < 2; copy++) {
		uint64_t at = 8 * ((copy ? WAL_HEADS_B : WAL_HEADS_A) + sizeof(struct wal_head));

		pm_sim_flip(image, DIR_NAME "/wal", at);
		head_between(NULL, image);
		pm_sim_flip(image, DIR_NAME "/wal", at);
	}
	return 0;
}

static void a_head_is_the_old_or_the_new(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	for (uint64_t seq = 23; seq < 30; seq++) {
		low = seq - 1;
		high = seq;
		watch(s, head_between);
		walfile_head(&w, 1, (seq - 22) * 3, seq);
		low = seq;
		watched(s);
		look = head_twice;
		assert_int_equal(pm_sim_states(s, 300, 24, 0, look, NULL, NULL), 0);
	}
	walfile_close(&w);
	pm_sim_free(s);
}

/* Until the head has moved every word is there; no word has the new head's lap. */
static int words_or_new_lap(void *arg, struct pm_sim *image)
{
	uint64_t lap;

	(void)arg;
	assert_int_equal(reopen(image), 0);
	if (v.lane[0].seq == 11) {
		assert_int_not_equal(low, 12);
		for (unsigned e = 0; e < ENTRIES; e++)
			assert_true(ent_ok(walfile_ring(&v, 0)[e]));
	} else {
		assert_int_equal(v.lane[0].seq, 12);
		assert_int_equal(v.lane[0].pos % ENTRIES, 0);
		lap = ent_lap_of(v.lane[0].pos, ENTRIES);
		for (unsigned e = 0; e < ENTRIES; e++) {
			uint64_t word = walfile_ring(&v, 0)[e];

			assert_true(word == 0 || ent_lap(word) != lap);
			assert_true(word == 0 || low != 12);	/* all zero in the end */
		}
	}
	walfile_close(&v);
	return 0;
}

static void restart_goes_behind_every_word(void **state)
{
	(void)state;
	for (uint64_t pos = 0; pos < 2 * ENTRIES; pos += 21) {
		struct pm_sim *s = created();
		const struct pm_ops *pm = pm_sim_ops(s);

		walfile_head(&w, 0, pos, 11);
		for (uint64_t p = pos; p < pos + ENTRIES; p++) {
			uint64_t word = ent_clock(p, ent_lap_of(p, ENTRIES));

			pm->store(pm->ctx, walfile_ring(&w, 0) + p % ENTRIES, &word, 8);
		}
		pm->flush(pm->ctx, walfile_ring(&w, 0), ENTRIES * 8);
		pm->fence(pm->ctx);
		low = 11;
		watch(s, words_or_new_lap);
		walfile_restart(&w, 0, 12);
		low = 12;
		watched(s);
		walfile_close(&w);
		pm_sim_free(s);
	}
}

static void a_lost_head_restarts_on_an_empty_ring(void **state)
{
	struct pm_sim *s = created();

	(void)state;
	memset(walfile_ring(&w, 0), 0x77, ENTRIES * 8);
	pm_sim_flip(s, DIR_NAME "/wal", 8 * WAL_HEADS_A);
	pm_sim_flip(s, DIR_NAME "/wal", 8 * WAL_HEADS_B);
	walfile_close(&w);
	assert_int_equal(reopen(s), 0);
	assert_true(v.lane[0].lost);
	walfile_restart(&v, 0, 40);
	walfile_close(&v);
	assert_int_equal(reopen(s), 0);
	assert_false(v.lane[0].lost);
	assert_int_equal(v.lane[0].seq, 40);
	assert_int_equal(walfile_ring(&v, 0)[7], 0);
	walfile_close(&v);
	pm_sim_free(s);
}

/* ---- geometry and opening, at their edges ---- */

static void all_that_was_wanted(void **state)
{
	struct walfile_want plain = want;
	struct pm_sim *s = pm_sim_new();

	(void)state;
	assert_int_equal(walfile_bytes(2, ENTRIES), 40960 + 2 * 8 * ENTRIES);
	plain.next_seq = NULL;
	plain.cls = CLASS_VOLATILE;
	pm_sim_refuse_sync(s, true);		/* that class does not ask for it */
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &plain), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(w.lane[i].gen, 1);
		assert_int_equal(w.lane[i].seq, 1);
		assert_int_equal(w.lane[i].pos, 0);
	}
	walfile_head(&w, 1, 5, 6);
	assert_int_equal(w.lane[1].gen, 2);
	assert_int_equal(w.lane[1].pos, 5);
	assert_int_equal(w.lane[1].seq, 6);
	walfile_close(&w);
	assert_null(w.wal.addr);
	assert_null(w.bufs.addr);
	assert_int_equal(walfile_open(&v, pm_sim_ops(s), DIR_NAME, false, want.uuid), 0);
	assert_memory_equal(v.super.store_uuid, want.uuid, 16);
	assert_int_equal(v.super.buf_size, 2048);
	assert_int_equal(v.super.bufs, 8);
	assert_int_equal(v.super.created_ms, 99);
	assert_int_equal(v.super.class, CLASS_VOLATILE);
	assert_int_equal(v.wal.len, walfile_bytes(2, ENTRIES));
	assert_int_equal(v.bufs.len, 8 * 2048);
	assert_int_equal(v.lane[0].gen, 1);
	assert_int_equal(v.lane[0].seq, 1);
	assert_int_equal(v.lane[1].gen, 2);
	assert_false(v.bonded || v.bond_twice || v.read_only);
	walfile_close(&v);
	pm_sim_free(s);
}

/* What cannot be made leaves nothing mapped, and says why. */
static void what_cannot_be_made(void **state)
{
	static const struct { uint32_t lanes, buf_size; uint64_t entries, bufs; } bad[] = {
		{ 0, 2048, 64, 8 }, { 2, 1000, 64, 8 }, { 2, 2048, 63, 8 }, { 2, 2048, 64, 1 },
	};
	struct pm_sim *s = pm_sim_new();
	struct walfile_want x = want;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		x.lanes = bad[i].lanes;
		x.buf_size = bad[i].buf_size;
		x.entries = bad[i].entries;
		x.bufs = bad[i].bufs;
		assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &x), -EINVAL);
	}
	pm_sim_refuse_sync(s, true);
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &want), -EOPNOTSUPP);
	pm_sim_refuse_sync(s, false);
	pm_sim_capacity(s, walfile_bytes(2, ENTRIES));		/* the buffers have no room */
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &want), -ENOSPC);
	assert_null(w.wal.addr);
	assert_null(w.bufs.addr);
	pm_sim_capacity(s, 0);
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &want), 0);
	walfile_close(&w);
	pm_sim_free(s);
}

/* A path that is too long by one byte with the longer of the two names. */
static void the_longest_path(void **state)
{
	struct pm_sim *s = pm_sim_new();
	static char path[PATH_MAX + 8], wal[PATH_MAX], bufs[PATH_MAX];
	struct wal_bond b;
	uint64_t off = 1;

	(void)state;
	memset(path, 'x', PATH_MAX - sizeof("/pktbufs"));
	path[0] = '/';
	w.super = (struct wal_super){ .lanes = 1, .entries = 64 };
	walfile_parts(path, &w, wal, bufs, PATH_MAX, &off);
	assert_int_equal(strlen(bufs), PATH_MAX - 1);
	assert_int_equal(strlen(wal), PATH_MAX - 1 - 4);
	assert_string_equal(wal + strlen(path), "/wal");
	assert_string_equal(bufs + strlen(path), "/pktbufs");
	assert_int_equal(off, 0);
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), path, &want), 0);
	walfile_close(&w);
	for (unsigned more = 0; more < 8; more++) {	/* only for the buffers, then for the wal too */
		strcat(path, "x");
		assert_int_equal(walfile_open(&v, pm_sim_ops(s), path, true, NULL), -ENAMETOOLONG);
		assert_int_equal(walfile_open_ro(&v, pm_sim_ops(s), path, NULL), -ENAMETOOLONG);
		assert_int_equal(walfile_create(&v, pm_sim_ops(s), path, &want), -ENAMETOOLONG);
		assert_int_equal(walfile_bufs_off(path, 1, 64), 0);
		assert_false(walfile_remains(pm_sim_ops(s), path, &b));
		walfile_parts(path, &w, wal, bufs, PATH_MAX, &off);
		assert_string_equal(wal, "");
		assert_string_equal(bufs, "");
	}
	pm_sim_free(s);
}

/* Whichever copy has the higher generation, or is the only one. */
static void the_newer_head(void **state)
{
	static const struct { uint64_t a, b; char is; } rows[] = {	/* 0: damaged */
		{ 5, 6, 'b' }, { 6, 5, 'a' }, { 0, 3, 'b' }, { 3, 0, 'a' }, { 1, 9, 'b' }, { 9, 1, 'a' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pm_sim *s = created();
		struct wal_head h;

		walfile_close(&w);
		for (int copy = 0; copy < 2; copy++) {
			uint64_t gen = copy ? rows[i].b : rows[i].a;

			head_encode(&h, 1, gen, copy ? 200 : 100, copy ? 20 : 10);
			h.crc ^= !gen;
			memcpy(pm_sim_bytes(s, DIR_NAME "/wal", NULL) + (copy ? WAL_HEADS_B : WAL_HEADS_A) +
			       sizeof(h), &h, sizeof(h));
		}
		assert_int_equal(reopen(s), 0);
		assert_int_equal(v.lane[1].gen, rows[i].is == 'a' ? rows[i].a : rows[i].b);
		assert_int_equal(v.lane[1].pos, rows[i].is == 'a' ? 100 : 200);
		assert_int_equal(v.lane[1].seq, rows[i].is == 'a' ? 10 : 20);
		assert_int_equal(v.lane[1].bad_a, !rows[i].a);
		assert_int_equal(v.lane[1].bad_b, !rows[i].b);
		assert_false(v.lane[1].lost || v.lane[0].bad_a);
		walfile_head(&v, 1, 300, 30);			/* both are good again, and the newest */
		assert_false(v.lane[1].bad_a || v.lane[1].bad_b || v.lane[1].lost);
		walfile_close(&v);
		assert_int_equal(reopen(s), 0);
		assert_false(v.lane[1].bad_a || v.lane[1].bad_b);
		assert_int_equal(v.lane[1].pos, 300);
		walfile_close(&v);
		pm_sim_free(s);
	}
}

static void a_restart_begins_a_lap(void **state)
{
	static const uint64_t rows[][2] = { { 0, 64 }, { 1, 128 }, { 63, 128 }, { 64, 128 }, { 65, 192 },
					    { 640, 704 } };
	struct pm_sim *s = created();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		walfile_head(&w, 1, rows[i][0], 9);
		walfile_restart(&w, 1, 10 + i);
		assert_int_equal(w.lane[1].pos, rows[i][1]);
		assert_int_equal(w.lane[1].seq, 10 + i);
		assert_int_equal(w.lane[0].pos, 0);
	}
	walfile_close(&w);
	pm_sim_free(s);
}

/* One that is good is opened without a store. */
static void opening_changes_nothing(void **state)
{
	struct pm_sim *s = created();
	uint64_t ops[2];

	(void)state;
	walfile_close(&w);
	for (int bad = 0; bad < 3; bad++) {
		uint64_t before;

		if (bad)
			pm_sim_flip(s, DIR_NAME "/wal", 8 * (bad == 1 ? WAL_SUPER_A : WAL_SUPER_B) + 100);
		before = pm_sim_count(s);
		assert_int_equal(reopen(s), 0);
		walfile_close(&v);
		ops[bad > 0] = pm_sim_count(s) - before;
		if (bad)
			assert_int_equal(ops[1], ops[0] + 3);	/* one copy: store, flush, fence */
	}
	pm_sim_free(s);
}

/* ---- memory that cannot be read ---- */

static void newer(struct wal_super *s)
{
	s->version++;
	s->crc = crc32c(s, offsetof(struct wal_super, crc));
}

/* The superblocks, each of them good (v), of zeros, damaged or not to be read. */
static void superblocks_that_cannot_be_read(void **state)
{
	static const struct { const char *ab; int err; } rows[] = {
		{ "ux", -EIO }, { "xu", -EIO }, { "uu", -EIO }, { "u0", -EIO }, { "0u", -EIO }, { "uv", 0 },
		{ "vu", 0 }, { "vx", 0 }, { "xv", 0 }, { "v0", 0 }, { "0v", 0 }, { "0x", STORE_EFORMAT },
		{ "x0", STORE_EFORMAT }, { "xx", STORE_EFORMAT }, { "00", -ENOENT },
		/* of a newer version, of the other byte order */
		{ "nv", STORE_EVERSION }, { "vn", STORE_EVERSION }, { "no", STORE_EVERSION }, { "on", STORE_EVERSION },
		{ "ov", STORE_EBYTEORDER }, { "vo", STORE_EBYTEORDER }, { "ox", STORE_EBYTEORDER }, { "xo", STORE_EBYTEORDER },
		{ "0n", STORE_EVERSION }, { "o0", STORE_EBYTEORDER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int write = 0; write < 2; write++) {
			struct pm_sim *s = created();

			walfile_close(&w);
			for (int copy = 0; copy < 2; copy++) {
				uint8_t *at = pm_sim_bytes(s, DIR_NAME "/wal", NULL) +
					      (copy ? WAL_SUPER_B : WAL_SUPER_A);

				if (rows[i].ab[copy] == '0')
					memset(at, 0, sizeof(struct wal_super));
				else if (rows[i].ab[copy] == 'x')
					at[0] ^= 1;
				else if (rows[i].ab[copy] == 'o')
					*(uint64_t *)at = __builtin_bswap64(*(uint64_t *)at);
				else if (rows[i].ab[copy] == 'n')
					newer((struct wal_super *)at);
				else if (rows[i].ab[copy] == 'u')
					pm_sim_bad(s, DIR_NAME "/wal", copy ? WAL_SUPER_B : WAL_SUPER_A);
			}
			assert_int_equal(write ? reopen(s) : walfile_open_ro(&v, pm_sim_ops(s), DIR_NAME, NULL),
					 rows[i].err);
			if (!rows[i].err) {
				assert_int_equal(v.super_bad_a, rows[i].ab[0] != 'v');
				assert_int_equal(v.super_bad_b, rows[i].ab[1] != 'v');
				walfile_close(&v);
			}
			pm_sim_free(s);
		}
}

/* Who looks is told which bytes are not there; who opens gets zeros for their lines' pages, and
 * all others as they were. */
static void bad_lines_of_both_files(void **state)
{
	struct pm_sim *s = created();
	const uint8_t *ring;

	(void)state;
	memset(walfile_ring(&w, 0), 0x11, 2 * 8 * ENTRIES);
	memset(w.bufs.addr, 0x22, w.bufs.len);
	walfile_close(&w);
	assert_int_equal(walfile_open_ro(&v, pm_sim_ops(s), DIR_NAME, NULL), 0);
	assert_true(walfile_fetch(&v, v.wal.addr, v.wal.len));
	assert_true(walfile_fetch(&v, v.bufs.addr, v.bufs.len));
	walfile_close(&v);
	pm_sim_bad(s, DIR_NAME "/wal", WAL_RINGS + 64);
	pm_sim_bad(s, DIR_NAME "/pktbufs", 2 * WAL_PAGE + 128);
	assert_int_equal(walfile_open_ro(&v, pm_sim_ops(s), DIR_NAME, NULL), 0);
	ring = (const uint8_t *)walfile_ring(&v, 0);
	assert_false(walfile_fetch(&v, ring, 8 * ENTRIES));
	assert_false(walfile_fetch(&v, ring + 64, 1));
	assert_false(walfile_fetch(&v, ring + 127, 1));
	assert_true(walfile_fetch(&v, ring + 128, 64));
	assert_int_equal(ring[128], 0x11);
	assert_int_equal(ring[64], 0);
	assert_true(walfile_fetch(&v, v.wal.addr, WAL_RINGS));
	assert_true(walfile_fetch(&v, v.bufs.addr, 2 * WAL_PAGE));
	assert_int_equal(v.bufs.addr[WAL_PAGE], 0x22);
	assert_false(walfile_fetch(&v, v.bufs.addr + 2 * WAL_PAGE, WAL_PAGE));
	assert_true(walfile_fetch(&v, v.bufs.addr + v.bufs.len - 1, 1));
	assert_int_equal(v.bufs.addr[v.bufs.len - 1], 0x22);
	walfile_drop(&v);
	assert_true(walfile_fetch(&v, v.bufs.addr + v.bufs.len - 1, 1));
	assert_int_equal(v.bufs.addr[v.bufs.len - 1], 0x22);
	assert_false(walfile_fetch(&v, v.bufs.addr + 2 * WAL_PAGE + 128, 1));
	walfile_close(&v);
	assert_null(v.wal.addr);
	assert_null(v.bufs.addr);
	assert_int_equal(reopen(s), 0);
	assert_true(walfile_fetch(&v, v.bufs.addr, v.bufs.len));
	assert_int_equal(v.bufs.addr[2 * WAL_PAGE + 128], 0);
	assert_int_equal(v.bufs.addr[2 * WAL_PAGE - 1], 0x22);
	assert_int_equal(v.bufs.addr[3 * WAL_PAGE], 0x22);
	assert_int_equal(walfile_ring(&v, 0)[8], 0);
	assert_false(v.super_bad_a || v.super_bad_b || v.lane[0].lost);
	walfile_close(&v);
	pm_sim_free(s);
}

static const struct pm_ops *real;
static int mapped, populate_err, populate_times, clear_err, map_err, map_nth;

static int counted_map(void *ctx, const char *path, uint64_t off, size_t len, unsigned flags,
		       struct pm_map *m)
{
	int err = map_err && !--map_nth ? map_err : real->map(ctx, path, off, len, flags, m);

	mapped += !err;
	return err;
}

static void counted_unmap(void *ctx, struct pm_map *m)
{
	mapped--;
	real->unmap(ctx, m);
}

static int failing_populate(void *ctx, const struct pm_map *m)
{
	(void)ctx, (void)m;
	return populate_times && populate_times-- ? populate_err : 0;
}

static int failing_clear(void *ctx, const char *path, uint64_t off, size_t n)
{
	return clear_err ? clear_err : real->clear(ctx, path, off, n);
}

/* A page that cannot be touched though a reader finds nothing bad in it; lines that cannot be
 * cleared; a map that fails: the error is told, and nothing stays mapped. */
static void pages_that_cannot_be_touched(void **state)
{
	static const struct { int populate, clear, map, nth, err; } rows[] = {
		{ 0, 0, 0, 0, 0 },
		{ 1, 0, 0, 0, 0 },		/* it can after what is bad was cleared */
		{ 2, 0, 0, 0, -EIO },
		{ 1, -EROFS, 0, 0, -EROFS },
		{ 0, 0, -ENOMEM, 1, -ENOMEM },
		{ 0, 0, -ENOMEM, 2, -ENOMEM },	/* the buffers */
		{ 0, 0, -EFBIG, 1, STORE_EFORMAT },
		{ 0, 0, -ENOENT, 2, STORE_EFORMAT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pm_sim *s = created();
		struct pm_ops ops = *pm_sim_ops(s);

		walfile_close(&w);
		if (rows[i].clear)
			pm_sim_bad(s, DIR_NAME "/wal", WAL_RINGS);
		real = pm_sim_ops(s);
		ops.map = counted_map;
		ops.unmap = counted_unmap;
		ops.populate = failing_populate;
		ops.clear = failing_clear;
		populate_err = -EFAULT;
		populate_times = rows[i].populate;
		clear_err = rows[i].clear;
		map_err = rows[i].map;
		map_nth = rows[i].nth;
		mapped = 0;
		assert_int_equal(walfile_open(&v, &ops, DIR_NAME, true, NULL), rows[i].err);
		assert_int_equal(mapped, rows[i].err ? 0 : 2);
		if (!rows[i].err)
			walfile_close(&v);
		assert_int_equal(mapped, 0);
		pm_sim_free(s);
	}
}

/* Files without a superblock: whether there is something in them, and whose it is. */
static void what_remains(void **state)
{
	enum { MANY = 16 << 20 };
	static const struct { uint64_t len, byte; bool any; } rows[] = {
		{ 1, 2, false }, { 1, 0, true }, { 5000, 4999, true }, { 5000, 5000, false },
		{ MANY + 8192, MANY - 1, true }, { MANY + 8192, MANY, false }, { 2 * WAL_PAGE, 4096, true },
	};
	uint8_t *file = calloc(1, MANY + 8192);
	struct wal_bond b, is;

	(void)state;
	assert_non_null(file);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pm_sim *s = pm_sim_new();

		memset(&b, 1, sizeof(b));
		if (rows[i].byte < rows[i].len)
			file[rows[i].byte] = 1;
		pm_sim_put(s, DIR_NAME "/wal", file, rows[i].len);
		assert_int_equal(walfile_remains(pm_sim_ops(s), DIR_NAME, &b), rows[i].any);
		assert_int_equal(b.magic, 0);
		file[rows[i].byte] = 0;
		pm_sim_free(s);
	}
	for (int how = 0; how < 2; how++) {		/* zeros, and one line that cannot be read; a bond */
		struct pm_sim *s = pm_sim_new();

		is = (struct wal_bond){ .ino = 5, .fsid = 7 };
		strcpy(is.path, "/s");
		bond_encode(&is);
		if (how)
			memcpy(file + WAL_SUPER_A + WAL_BOND, &is, sizeof(is));
		pm_sim_put(s, DIR_NAME "/wal", file, 3 * WAL_PAGE);
		if (!how)
			pm_sim_bad(s, DIR_NAME "/wal", 2 * WAL_PAGE + 64);
		assert_true(walfile_remains(pm_sim_ops(s), DIR_NAME, &b));
		assert_int_equal(b.ino, how ? 5 : 0);
		pm_sim_free(s);
	}
	free(file);
}

/* ---- real files ---- */

static void on_real_files(void **state)
{
	char dir[] = "/tmp/test_walfile.XXXXXX", path[64];
	struct walfile_want real = want;

	(void)state;
	assert_non_null(mkdtemp(dir));
	real.cls = CLASS_VOLATILE;
	assert_int_equal(walfile_open(&v, &pm_nvmm, dir, false, NULL), -ENOENT);
	assert_int_equal(walfile_create(&w, &pm_nvmm, dir, &real), 0);
	memset(w.bufs.addr, 1, w.bufs.len);
	walfile_head(&w, 0, 5, 77);
	walfile_close(&w);
	assert_int_equal(walfile_open_ro(&v, NULL, dir, want.uuid), 0);
	assert_int_equal(v.lane[0].seq, 77);
	assert_true(walfile_fetch(&v, v.bufs.addr + 8 * 2048 - 1, 1));
	assert_int_equal(v.bufs.addr[8 * 2048 - 1], 1);
	walfile_close(&v);
	assert_int_equal(walfile_open(&v, &pm_nvmm, dir, false, want.uuid), 0);
	assert_int_equal(v.lane[0].pos, 5);
	walfile_close(&v);
	snprintf(path, sizeof(path), "%s/pktbufs", dir);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(walfile_open_ro(&v, NULL, dir, NULL), STORE_EFORMAT);
	assert_int_equal(walfile_open(&v, &pm_nvmm, dir, false, NULL), STORE_EFORMAT);
	unlink(path);
	snprintf(path, sizeof(path), "%s/wal", dir);
	unlink(path);
	assert_int_equal(walfile_open_ro(&v, NULL, dir, NULL), -ENOENT);
	rmdir(dir);
}

static void a_place_and_its_class(void **state)
{
	enum durability_class c = 0;
	char why[256] = "";

	(void)state;
	unsetenv("PMEM_NO_FLUSH");
	setenv("PMEM_IS_PMEM_FORCE", "1", 1);
	assert_int_equal(pm_probe("/tmp", &c, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "PMEM_IS_PMEM_FORCE"));
	unsetenv("PMEM_IS_PMEM_FORCE");
	assert_int_equal(pm_probe("/tmp", &c, why, sizeof(why)), 0);
	assert_in_range(c, CLASS_VOLATILE, CLASS_NVMM_EADR);
	assert_int_equal(pm_probe("/dev/null", &c, why, sizeof(why)), -ENOTDIR);
	assert_int_equal(pm_probe("/nowhere/at/all", &c, why, sizeof(why)), -ENOENT);
}

/* ---- whose it is ---- */

static struct wal_bond bond_of(const char *path, uint64_t ino)
{
	struct wal_bond b = { .ino = ino, .fsid = 7 };

	memcpy(b.uuid, want.uuid, sizeof(b.uuid));
	strcpy(b.path, path);
	bond_encode(&b);
	return b;
}

static bool one_or_the_other(const struct walfile *x)
{
	return x->bonded && x->bond.ino == 5 &&
	       (!strcmp(x->bond.path, "/old") || !strcmp(x->bond.path, "/new"));
}

static int bonded_at_all(void *arg, struct pm_sim *image)
{
	(void)arg;
	assert_int_equal(reopen(image), 0);
	assert_true(one_or_the_other(&v));
	walfile_close(&v);
	return 0;
}

static int bonded_twice(void *arg, struct pm_sim *image)
{
	(void)arg;
	assert_int_equal(reopen(image), 0);
	assert_true(v.bonded && v.bond_twice);
	assert_string_equal(v.bond.path, "/new");
	walfile_close(&v);
	return 0;
}

/* Through every crash while it changes, and either copy damaged afterwards. */
#define DEAD_BYTES (32u << 20)

static int dead_open(void *ctx, const char *path, uint64_t *size, void **h)
{
	(void)path;
	*size = DEAD_BYTES;
	*h = ctx;
	return 0;
}

static int dead_read(void *ctx, void *h, void *dst, size_t n, uint64_t off)
{
	(void)ctx;
	(void)h;
	(void)dst;
	return n && off <= DEAD_BYTES ? -EIO : 0;
}

static void dead_close(void *ctx, void *h)
{
	(void)ctx;
	(void)h;
}

/* Half a million lines, none of which can be read: looking at each once is enough. */
static void dead_memory_is_looked_through(void **state)
{
	const struct pm_ops dead = { .open = dead_open, .read = dead_read, .close = dead_close };
	struct pm_image m;

	(void)state;
	assert_int_equal(pm_image_open(&m, &dead, "/n/wal", 0, DEAD_BYTES), 0);
	for (int turn = 0; turn < 2; turn++) {
		for (uint64_t at = 0; at < DEAD_BYTES; at += WAL_PAGE)
			assert_false(pm_image_fetch(&m, m.addr + at, WAL_PAGE));
		pm_image_drop(&m);
		assert_int_equal(m.nbad, DEAD_BYTES / 64);
	}
	pm_image_close(&m);
}

static void a_bond_is_never_lost(void **state)
{
	struct wal_bond old = bond_of("/old", 5), new = bond_of("/new", 5);
	struct walfile_want with = want;
	struct pm_sim *s = pm_sim_new();

	(void)state;
	with.bond = &old;
	assert_int_equal(walfile_create(&w, pm_sim_ops(s), DIR_NAME, &with), 0);
	assert_true(one_or_the_other(&w));
	watch(s, bonded_at_all);
	walfile_bond_write(&w, &new);
	watched(s);
	assert_int_equal(pm_sim_states(s, 300, 24, 1, bonded_twice, NULL, NULL), 0);
	for (int copy = 0; copy < 2; copy++)
		for (unsigned bit = 0; bit < 8 * sizeof(new); bit += 7) {
			uint64_t at = 8 * ((copy ? WAL_SUPER_B : WAL_SUPER_A) + WAL_BOND) + bit;

			pm_sim_flip(s, DIR_NAME "/wal", at);
			walfile_bond_load(&w);
			assert_true(w.bonded && !w.bond_twice && one_or_the_other(&w));
			pm_sim_flip(s, DIR_NAME "/wal", at);
		}
	/* One is damaged, and the next write of a bond is torn. */
	for (int copy = 0; copy < 2; copy++) {
		walfile_bond_write(&w, copy ? &old : &new);
		pm_sim_flip(s, DIR_NAME "/wal", 8 * ((copy ? WAL_SUPER_B : WAL_SUPER_A) + WAL_BOND) + 300);
		walfile_bond_load(&w);
		watch(s, bonded_at_all);
		walfile_bond_write(&w, copy ? &new : &old);
		watched(s);
	}
	walfile_bond_load(&w);
	walfile_bond_clear(&w);
	walfile_bond_load(&w);
	assert_false(w.bonded);
	walfile_close(&w);
	pm_sim_free(s);
}

/* A copy has the uuid and the path, or the number, but not all that it takes. */
static void a_bond_fits_one_store(void **state)
{
	static const struct { const char *path; uint64_t ino, fsid; bool fits; } rows[] = {
		{ "/s", 5, 7, true },		/* the same */
		{ "/t", 5, 7, true },		/* renamed */
		{ "/s", 5, 8, true },		/* the file system has another id than before */
		{ "/t", 5, 8, false },		/* a snapshot, mounted elsewhere */
		{ "/s", 6, 7, false },		/* restored in its place */
		{ "/t", 6, 7, false },		/* copied */
		{ "/s", 0, 7, true },		/* the file is lost */
		{ "/t", 0, 7, false }, { "/s", 0, 8, false },
	};
	struct wal_bond wal = bond_of("/s", 5), store;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		store = bond_of(rows[i].path, rows[i].ino);
		store.fsid = rows[i].fsid;
		assert_int_equal(bond_fits(&wal, &store), rows[i].fits);
		store.uuid[3] ^= 1;
		assert_false(bond_fits(&wal, &store));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_made_is_found),
		cmocka_unit_test(what_is_not_ours_is_refused),
		cmocka_unit_test(cut_short_is_refused),
		cmocka_unit_test(one_flip_in_a_superblock),
		cmocka_unit_test(one_flip_in_a_head),
		cmocka_unit_test(creation_is_all_or_nothing),
		cmocka_unit_test(another_geometry_is_all_or_nothing),
		cmocka_unit_test(a_head_is_the_old_or_the_new),
		cmocka_unit_test(restart_goes_behind_every_word),
		cmocka_unit_test(a_lost_head_restarts_on_an_empty_ring),
		cmocka_unit_test(dead_memory_is_looked_through),
		cmocka_unit_test(a_bond_is_never_lost),
		cmocka_unit_test(a_bond_fits_one_store),
		cmocka_unit_test(all_that_was_wanted),
		cmocka_unit_test(what_cannot_be_made),
		cmocka_unit_test(the_longest_path),
		cmocka_unit_test(the_newer_head),
		cmocka_unit_test(a_restart_begins_a_lap),
		cmocka_unit_test(opening_changes_nothing),
		cmocka_unit_test(superblocks_that_cannot_be_read),
		cmocka_unit_test(bad_lines_of_both_files),
		cmocka_unit_test(pages_that_cannot_be_touched),
		cmocka_unit_test(what_remains),
		cmocka_unit_test(on_real_files),
		cmocka_unit_test(a_place_and_its_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
