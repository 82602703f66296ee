/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_scan.c - whole, torn and damaged rings, word by word and bit by bit, and
 * rings full of anything.
 */
#include "lane/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/pm_sim.h"
#include "format/codec.h"
#include "recovery/rec_priv.h"

#define ENTRIES 64u
#define LANE 1u
#define BUFS 8u			/* of the lane: 8 .. 15 */
#define FIRST_SEQ 100u

static struct pm_sim *sim;
static struct walfile w;
static uint64_t pos;		/* of the next word */
static uint64_t seq;		/* of the next record */

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static void setup_at(uint64_t head)
{
	static const uint64_t next[2] = { 1, FIRST_SEQ };
	const struct walfile_want want = { .lanes = 2, .buf_size = 2048, .entries = ENTRIES,
					   .bufs = 2 * BUFS, .cls = CLASS_NVMM, .next_seq = next };

	sim = pm_sim_new();
	assert_int_equal(walfile_create(&w, pm_sim_ops(sim), "/pm", &want), 0);
	for (size_t i = 0; i < w.bufs.len; i++)
		w.bufs.addr[i] = (uint8_t)rnd();
	walfile_head(&w, LANE, head, FIRST_SEQ);
	pos = head;
	seq = FIRST_SEQ;
}

static void teardown(void)
{
	walfile_close(&w);
	pm_sim_free(sim);
}

static uint64_t *word(uint64_t p)
{
	return walfile_ring(&w, LANE) + p % ENTRIES;
}

static unsigned lap(uint64_t p)
{
	return ent_lap_of(p, ENTRIES);
}

static void batch(uint64_t ms)
{
	*word(pos) = ent_clock(ms, lap(pos));
	pos++;
}

static struct frag frag_of(uint64_t record, uint32_t i)
{
	return (struct frag){ LANE * BUFS + (uint32_t)(record + i) % BUFS,
			      (uint16_t)(record * 16 % 1024), (uint16_t)(10 + i) };
}

static void record_as(uint32_t nfrags, uint64_t number)
{
	uint32_t crc = CRC32C_INIT, names = seal_start(LANE, nfrags, number);

	for (uint32_t i = 0; i < nfrags; i++) {
		struct frag f = frag_of(number, i);

		crc = crc32c_update(crc, w.bufs.addr + f.idx * 2048 + f.off, f.len);
		*word(pos) = ent_frag(f, lap(pos));
		names = seal_word(names, *word(pos));
		pos++;
	}
	*word(pos) = ent_seal(nfrags, crc32c_final(crc) ^ crc32c_final(names), lap(pos));
	pos++;
}

static void record(uint32_t nfrags)
{
	record_as(nfrags, seq++);
}

/* What a scan found. */
static struct {
	struct scan s;
	struct scan_item it[3 * ENTRIES];
	unsigned n, records, damages;
	uint64_t lost;		/* records in damage */
	uint64_t last;		/* highest record */
} got;

static bool has(uint64_t number)
{
	for (unsigned i = 0; i < got.n; i++)
		if (got.it[i].kind == SCAN_RECORD && got.it[i].seq == number)
			return true;
	return false;
}

/* Scans, and holds the scan to what scan.h says of any input. */
static void scan(void)
{
	uint64_t at, number = w.lane[LANE].seq;
	struct scan_item *it;

	memset(&got, 0, sizeof(got));
	scan_start(&got.s, &w, LANE);
	at = w.lane[LANE].pos;
	while (scan_next(&got.s, it = &got.it[got.n]) != SCAN_END) {
		assert_in_range(++got.n, 1, 3 * ENTRIES - 1);
		assert_true(it->pos >= at && it->end > it->pos);
		for (; at < it->pos; at++) {	/* between items: CLOCKs only */
			assert_true(ent_ok(*word(at)));
			assert_int_equal(ent_kind(*word(at)), ENT_CLOCK);
		}
		at = it->end;
		assert_int_equal(it->seq, number);
		if (it->kind == SCAN_RECORD) {
			assert_int_equal(it->end - it->pos, it->nfrags + 1);
			got.records++;
			got.last = it->seq;
			number++;
		} else {
			assert_int_not_equal(it->why, SCAN_FINE);
			got.damages++;
			got.lost += it->records;
			number += it->records;
		}
	}
	assert_int_equal(scan_next(&got.s, &(struct scan_item){ 0 }), SCAN_END);
	assert_true(got.s.pos >= at && got.s.pos <= w.lane[LANE].pos + ENTRIES);
	assert_int_equal(got.s.next_seq, number);
}

/* Two batches of two records and one of three, 1 to 3 frags. */
static void usual(uint64_t head)
{
	setup_at(head);
	batch(1000);
	record(1);
	record(2);
	batch(2000);
	record(3);
	record(1);
	batch(3000);
	record(2);
	record(1);
	record(1);
}

static void whole(void **state)
{
	(void)state;
	for (uint64_t head = 0; head < 3 * ENTRIES; head += 5) {
		usual(head);
		scan();
		assert_int_equal(got.records, 7);
		assert_int_equal(got.damages, 0);
		assert_int_equal(got.s.pos, pos);
		assert_int_equal(got.s.torn_words, 0);
		assert_int_equal(got.it[0].time_ms, 1000);
		assert_int_equal(got.it[3].time_ms, 2000);
		assert_int_equal(got.it[4].time_ms, 3000);
		assert_int_equal(got.it[2].nfrags, 3);
		assert_int_equal(got.it[2].bytes, 10 + 11 + 12);
		for (uint32_t i = 0; i < 3; i++) {
			struct frag f = scan_frag(&got.s, &got.it[2], i);

			assert_int_equal(f.idx, frag_of(FIRST_SEQ + 2, i).idx);
			assert_ptr_equal(scan_addr(&got.s, &f), w.bufs.addr + f.idx * 2048 + f.off);
		}
		teardown();
	}
}

static void empty_and_full(void **state)
{
	(void)state;
	setup_at(13);
	scan();
	assert_int_equal(got.n, 0);
	assert_int_equal(got.s.pos, 13);
	batch(1);
	while (pos + 2 <= 13 + ENTRIES)
		record(1);
	batch(2);			/* the one word that is left */
	scan();
	assert_int_equal(got.records, (ENTRIES - 1) / 2);
	teardown();
}

/* The head may stand in the middle of a batch. */
static void time_of_a_cut_batch(void **state)
{
	(void)state;
	usual(7);
	walfile_head(&w, LANE, 7 + 3, FIRST_SEQ + 1);
	scan();
	assert_int_equal(got.records, 6);
	assert_int_equal(got.it[0].time_ms, 1000);
	teardown();
}

/* Anywhere in the ring, from its first word on: the batch's CLOCK is in front of the head, in the lap
 * before perhaps; and where it is overwritten, or a word between is bad, nobody knows. */
static void time_of_a_cut_batch_anywhere(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 3 * ENTRIES; at += at < ENTRIES ? 1 : 7) {
		uint64_t before;

		setup_at(at);
		batch(4711);
		record(2);
		before = pos;
		record(2);
		walfile_head(&w, LANE, before, FIRST_SEQ + 1);
		scan();
		assert_int_equal(got.records, 1);
		assert_int_equal(got.it[0].time_ms, 4711);
		*word(before - 2) ^= 1ull << 20;
		scan();
		assert_int_equal(got.records, 1);
		assert_int_equal(got.it[0].time_ms, 0);
		teardown();
		/* Of an earlier lap a CLOCK says nothing. */
		setup_at(at + ENTRIES);
		*word(at + ENTRIES) = ent_clock(815, lap(at));
		pos++;
		before = pos;
		record(1);
		walfile_head(&w, LANE, before, FIRST_SEQ);
		scan();
		assert_int_equal(got.records, 1);
		assert_int_equal(got.it[0].time_ms, 0);
		teardown();
		/* One batch fills the ring, and the head has come to its end. */
		setup_at(at);
		batch(42);
		while (pos + 2 <= at + ENTRIES)
			record(1);
		walfile_head(&w, LANE, pos, seq);
		scan();
		assert_int_equal(got.records, 0);
		assert_int_equal(got.s.time_ms, 42);
		teardown();
	}
}

/* Of the last batch any words may be missing; then what is in front of the first one
 * missing comes back, and nothing is damage. */
static void torn_in_any_way(void **state)
{
	uint64_t save[8], from;
	unsigned n = 0;

	(void)state;
	usual(50);
	from = pos - 8;		/* CLOCK F F S F S F S */
	for (unsigned i = 0; i < 8; i++)
		save[i] = *word(from + i);
	for (unsigned there = 0; there < 256; there++) {
		static const unsigned whole_at[] = { 4, 6, 8 };
		unsigned records = 4;

		for (unsigned i = 0; i < 8; i++)
			*word(from + i) = there >> i & 1 ? save[i] : n++ % 2 ? 0 :
				ent_clock(9, lap(from + i) + ENT_LAPS - 1);	/* stale */
		for (unsigned i = 0; i < 3; i++)
			records += (there & ((1u << whole_at[i]) - 1)) == (1u << whole_at[i]) - 1;
		scan();
		assert_int_equal(got.damages, 0);
		assert_int_equal(got.records, records);
		assert_int_equal(got.s.next_seq, FIRST_SEQ + records);
	}
	teardown();
}

/* Any bit of any word: found, and no record is lost but the one that the word is of. */
static void one_flip(void **state)
{
	static const uint8_t of[] = { 9, 0, 0, 1, 1, 1, 9, 2, 2, 2, 2, 3, 3, 9, 4, 4, 4, 5, 5, 6, 6 };
	uint64_t head = 50;

	(void)state;
	usual(head);
	assert_int_equal(pos - head, sizeof(of));
	for (uint64_t p = head; p < pos; p++)
		for (unsigned bit = 0; bit < 64; bit++) {
			*word(p) ^= 1ull << bit;
			scan();
			assert_int_equal(got.damages, 1);
			for (unsigned r = 0; r < 7; r++)
				assert_int_equal(has(FIRST_SEQ + r), r != of[p - head]);
			assert_int_equal(got.lost, of[p - head] != 9);
			*word(p) ^= 1ull << bit;
		}
	teardown();
}

/* Any byte of the data: that record, and the next is still called what it was. */
static void damaged_bytes(void **state)
{
	(void)state;
	for (unsigned r = 0; r < 7; r++) {
		struct frag f;

		usual(3);
		f = frag_of(FIRST_SEQ + r, 0);
		w.bufs.addr[f.idx * 2048 + f.off + 4] ^= 0x10;
		scan();
		assert_int_equal(got.damages, 1);
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(has(FIRST_SEQ + i), i != r);
		for (unsigned i = 0; i < got.n; i++)
			if (got.it[i].kind == SCAN_DAMAGE) {
				assert_int_equal(got.it[i].why, SCAN_CRC);
				assert_int_equal(got.it[i].seq, FIRST_SEQ + r);
				assert_int_equal(got.it[i].records, 1);
			}
		teardown();
	}
}

/* Any run of words lost: zero, stale or garbage.  What it touches is lost, the rest
 * has its number. */
static void lost_runs(void **state)
{
	uint64_t head = 20;
	uint64_t save[ENTRIES];

	(void)state;
	usual(head);
	memcpy(save, walfile_ring(&w, LANE), sizeof(save));
	for (unsigned how = 0; how < 3; how++)
		for (uint64_t from = head; from < head + 13; from++)	/* before the last CLOCK */
			for (uint64_t to = from + 1; to <= head + 13; to++) {
				memcpy(walfile_ring(&w, LANE), save, sizeof(save));
				for (uint64_t p = from; p < to; p++)
					*word(p) = how == 0 ? 0 : how == 1 ? *word(p) ^ 1ull << 60 :
						   0xdeadbeefdeadbeef;
				scan();
				assert_int_equal(got.damages, 1);
				assert_int_equal(got.records + got.lost, 7);
				for (unsigned r = 4; r < 7; r++)
					assert_true(has(FIRST_SEQ + r));
			}
	teardown();
}

/* In the last batch a hole ends it, but a word that is bad does not. */
static void damage_at_the_end(void **state)
{
	(void)state;
	usual(0);
	*word(pos - 3) ^= 1;		/* the SEAL of the last but one */
	scan();
	assert_int_equal(got.records, 6);
	assert_true(has(FIRST_SEQ + 6));
	*word(pos - 1) ^= 1;		/* and of the last: nothing tells how many there were */
	scan();
	assert_int_equal(got.records, 5);
	assert_int_equal(got.damages, 1);
	assert_in_range(got.it[got.n - 1].records, 2, 2);
	assert_int_equal(got.s.next_seq, FIRST_SEQ + 7);
	teardown();
}

static void names_outside(void **state)
{
	static const struct frag bad[] = {
		{ 7, 0, 10 }, { 16, 0, 10 }, { 0xffffff, 0, 10 }, { 8, 2040, 10 }, { 8, 4095, 4096 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		usual(0);
		*word(1) = ent_frag(bad[i], lap(1));
		scan();
		assert_int_equal(got.records, 6);
		assert_int_equal(got.it[0].why, SCAN_NAME);
		teardown();
	}
}

/* A record that was sealed with another number is not this lane's next. */
static void a_number_out_of_order(void **state)
{
	(void)state;
	setup_at(0);
	batch(1);
	record(1);
	record_as(1, FIRST_SEQ + 5);
	scan();
	assert_int_equal(got.records, 1);
	assert_int_equal(got.damages, 1);
	assert_int_equal(got.it[1].why, SCAN_CRC);
	teardown();
}

static void a_stale_lap_is_not_read(void **state)
{
	(void)state;
	setup_at(0);
	batch(1);
	while (pos + 3 <= ENTRIES)
		record(2);
	pos = ENTRIES;
	/* the next lap: one record over the words of the last */
	walfile_head(&w, LANE, pos, seq);
	batch(2);
	record(1);
	scan();
	assert_int_equal(got.records, 1);
	assert_int_equal(got.damages, 0);
	assert_int_equal(got.s.pos, pos);
	teardown();
}

static void lost_head(void **state)
{
	(void)state;
	usual(0);
	w.lane[LANE].lost = true;
	scan_start(&got.s, &w, LANE);
	assert_int_equal(scan_next(&got.s, &got.it[0]), SCAN_DAMAGE);
	assert_int_equal(got.it[0].why, SCAN_HEAD);
	assert_int_equal(scan_next(&got.s, &got.it[0]), SCAN_END);
	teardown();
}

/* Anything, most of it intact words in any order: the assertions are in scan(). */
static void anything(void **state)
{
	(void)state;
	for (int round = 0; round < 4000; round++) {
		usual(rnd() % 300);
		for (unsigned i = 0, n = rnd() % 80; i < n; i++) {
			uint64_t p = w.lane[LANE].pos + rnd() % ENTRIES, any = rnd();
			struct frag f = { LANE * BUFS + any % 9, any >> 8 & 0x7ff, 1 + (any >> 20) % 99 };

			switch (rnd() % 8) {
			case 0: *word(p) = any; break;
			case 1: *word(p) = 0; break;
			case 2: *word(p) = ent_clock(any, lap(p)); break;
			case 3: *word(p) = ent_seal(any % 5, (uint32_t)(any >> 9), lap(p)); break;
			case 4: *word(p) = ent_seal(any & 0xffff, (uint32_t)(any >> 17), lap(p)); break;
			case 5: *word(p) = *word(rnd() % ENTRIES); break;
			default: *word(p) = ent_frag(f, lap(p)); break;
			}
		}
		scan();
		teardown();
	}
}

/* ---- what recovery takes from it ---- */

static struct { uint64_t seq, to_seq, time_ms; uint32_t nfrags; } taken[8];
static unsigned ntaken;

static int take(void *arg, const struct rec_item *x)
{
	assert_ptr_equal(arg, taken);
	assert_true(ntaken < 8);
	taken[ntaken].seq = x->seq;
	taken[ntaken].to_seq = x->to_seq;
	taken[ntaken].time_ms = x->time_ms;
	taken[ntaken++].nfrags = x->nfrags;
	return 0;
}

/* Records from a number on, and of damage what is not below it: none is from the number itself to
 * the one before, whether only a CLOCK was hit or all that was lost is in the segments already. */
static void what_recovery_takes(void **state)
{
	static struct rec r;
	struct scan s;

	(void)state;
	for (unsigned clock = 0; clock < 2; clock++)
		for (uint64_t from = FIRST_SEQ - 1; from < FIRST_SEQ + 6; from++) {
			uint64_t bad, first = FIRST_SEQ + 1, last = FIRST_SEQ + (clock ? 0 : 2), n = 0;

			setup_at(0);
			batch(1000);
			record(1);
			bad = pos;
			if (clock) {
				batch(2000);
			} else {
				record(2);
				record(1);
			}
			batch(3000);
			record(3);
			if (!clock)
				*word(bad + 4) ^= 4;
			*word(bad) ^= 4;
			r = (struct rec){ .wal = &w };
			ntaken = 0;
			assert_int_equal(rec_wal_walk(&r, LANE, from, &s, take, taken), 0);
			if (from <= FIRST_SEQ) {
				assert_int_equal(taken[n].seq, FIRST_SEQ);
				assert_int_equal(taken[n].to_seq, FIRST_SEQ);
				assert_int_equal(taken[n].time_ms, 1000);
				assert_int_equal(taken[n++].nfrags, 1);
			}
			if (from > first)
				first = from;
			if (last < first)
				last = first - 1;
			assert_int_equal(taken[n].seq, first);
			assert_int_equal(taken[n].to_seq, last);
			assert_int_equal(taken[n++].nfrags, 0);
			if (from < seq) {
				assert_int_equal(taken[n].seq, seq - 1);
				assert_int_equal(taken[n].to_seq, seq - 1);
				assert_int_equal(taken[n].time_ms, 3000);
				assert_int_equal(taken[n++].nfrags, 3);
			}
			assert_int_equal(ntaken, n);
			teardown();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(empty_and_full),
		cmocka_unit_test(time_of_a_cut_batch),
		cmocka_unit_test(time_of_a_cut_batch_anywhere),
		cmocka_unit_test(torn_in_any_way),
		cmocka_unit_test(one_flip),
		cmocka_unit_test(damaged_bytes),
		cmocka_unit_test(lost_runs),
		cmocka_unit_test(damage_at_the_end),
		cmocka_unit_test(names_outside),
		cmocka_unit_test(a_number_out_of_order),
		cmocka_unit_test(a_stale_lap_is_not_read),
		cmocka_unit_test(lost_head),
		cmocka_unit_test(anything),
		cmocka_unit_test(what_recovery_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
