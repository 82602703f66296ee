/* SPDX-License-Identifier: BSD-2-Clause */
/* test_codec.c - words, seals, superblocks and heads: round trips, and what a flip does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/codec.h"
#include "media/pm.h"

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static void words(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct frag f = { rnd() & 0xffffff, rnd() & 0xfff, 1 + (rnd() & 0xfff) }, g;
		unsigned lap = rnd() % 200;
		uint64_t w = ent_frag(f, lap), ms = rnd() & ENT_PAYLOAD;
		uint32_t crc = (uint32_t)rnd(), n = rnd() & 0xffff;

		assert_true(ent_ok(w));
		assert_int_equal(ent_kind(w), ENT_FRAG);
		assert_int_equal(ent_lap(w), lap % ENT_LAPS);
		g = ent_frag_get(w);
		assert_int_equal(g.idx, f.idx);
		assert_int_equal(g.off, f.off);
		assert_int_equal(g.len, f.len);

		w = ent_seal(n, crc, lap);
		assert_true(ent_ok(w));
		assert_int_equal(ent_kind(w), ENT_SEAL);
		assert_int_equal(ent_seal_nfrags(w), n);
		assert_int_equal(ent_seal_crc(w), crc);

		w = ent_clock(ms, lap);
		assert_true(ent_ok(w));
		assert_int_equal(ent_kind(w), ENT_CLOCK);
		assert_int_equal(ent_clock_ms(w), ms);
	}
	assert_int_equal(ent_frag_get(ent_frag((struct frag){ 0xffffff, 4095, 4096 }, 63)).len, 4096);
	assert_false(ent_ok(0));
}

/* The check is affine over the bits, so every word answers for all; a few are tried. */
static void one_and_two_flips(void **state)
{
	(void)state;
	for (int n = 0; n < 50; n++) {
		uint64_t w = ent_make(1 + n % 3, n, rnd());

		for (int a = 0; a < 64; a++)
			for (int b = a; b < 64; b++) {
				uint64_t v = w ^ 1ull << a ^ (a == b ? 0 : 1ull << b);

				assert_false(ent_ok(v));
			}
	}
	/* nor does an empty word become one */
	for (int a = 0; a < 64; a++)
		for (int b = a; b < 64; b++)
			assert_false(ent_ok(1ull << a | 1ull << b));
}

static void laps(void **state)
{
	(void)state;
	assert_int_equal(ent_lap_of(0, 64), 0);
	assert_int_equal(ent_lap_of(63, 64), 0);
	assert_int_equal(ent_lap_of(64, 64), 1);
	assert_int_equal(ent_lap_of(64 * 64, 64), 0);
	assert_int_equal(ent_lap_of(72 * 65 + 3, 72), 1);
}

/* The seal covers lane, number, count and names, but not the lap. */
static void seal(void **state)
{
	struct frag f = { 7, 8, 9 }, g = { 7, 8, 10 };
	uint32_t a = seal_word(seal_start(1, 1, 5), ent_frag(f, 3));
	uint64_t whole[3] = { 1ull << 32 | 1, 5, (uint64_t)ENT_FRAG << 62 | 7 << 24 | 8 << 12 | 8 };

	(void)state;
	assert_int_equal(a, seal_word(seal_start(1, 1, 5), ent_frag(f, 4)));
	assert_int_not_equal(a, seal_word(seal_start(2, 1, 5), ent_frag(f, 3)));
	assert_int_not_equal(a, seal_word(seal_start(1, 2, 5), ent_frag(f, 3)));
	assert_int_not_equal(a, seal_word(seal_start(1, 1, 6), ent_frag(f, 3)));
	assert_int_not_equal(a, seal_word(seal_start(1, 1, 5), ent_frag(g, 3)));
	assert_int_equal(crc32c_final(a), crc32c(whole, sizeof(whole)));	/* as format.h says */
}

static void superblock(void **state)
{
	struct wal_super s = { .lanes = 3, .buf_size = 2048, .entries = 128, .bufs = 9,
			       .created_ms = 12, .class = CLASS_NVMM }, t;

	(void)state;
	assert_int_equal(super_decode(&s), SUPER_BLANK);
	super_encode(&s);
	assert_int_equal(super_decode(&s), SUPER_VALID);
	for (size_t bit = 0; bit < 8 * sizeof(s); bit++) {
		enum super_state d;

		t = s;
		((uint8_t *)&t)[bit / 8] ^= 1u << bit % 8;
		d = super_decode(&t);
		assert_true(d == SUPER_BAD);
	}
	t = s, t.magic = 0;
	assert_int_equal(super_decode(&t), SUPER_BLANK);
	t = s, t.magic = __builtin_bswap64(s.magic);
	assert_int_equal(super_decode(&t), SUPER_ORDER);
	t = s, t.byte_order = __builtin_bswap32(s.byte_order);
	assert_int_equal(super_decode(&t), SUPER_ORDER);
	t = s, t.version = 2, t.crc = crc32c(&t, offsetof(struct wal_super, crc));
	assert_int_equal(super_decode(&t), SUPER_VERSION);

	static const struct { uint32_t lanes, buf_size; uint64_t entries, bufs; } bad[] = {
		{ 0, 2048, 128, 9 }, { 257, 2048, 128, 999 }, { 3, 1024, 128, 9 },
		{ 3, 2048, 56, 9 }, { 3, 2048, 129, 9 }, { 3, 2048, 128, 2 },
		{ 3, 2048, 1ull << 40, 9 }, { 3, 2048, 128, BUFS_MAX + 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t = s, t.lanes = bad[i].lanes, t.buf_size = bad[i].buf_size;
		t.entries = bad[i].entries, t.bufs = bad[i].bufs;
		super_encode(&t);
		assert_int_equal(super_decode(&t), SUPER_BAD);
	}
}

/* Each bound of a superblock and of a head: the last that is taken, and the first that is not. */
static void bounds(void **state)
{
	static const struct { uint32_t lanes, buf_size; uint64_t entries, bufs; bool ok; } supers[] = {
		{ 1, 2048, 64, 1, true }, { 1, 4096, 64, 1, true }, { 256, 2048, 64, 256, true },
		{ 256, 2048, 64, 255, false }, { 257, 2048, 64, 257, false }, { 1, 8192, 64, 1, false },
		{ 1, 2048, 60, 1, false }, { 1, 2048, 68, 1, false }, { 1, 2048, 72, 1, true },
		{ 1, 2048, 1ull << 32, 1, true }, { 1, 2048, (1ull << 32) + 8, 1, false },
		{ 1, 2048, 64, 1u << 24, true }, { 1, 2048, 64, (1u << 24) + 1, false },
	};
	static const struct { uint64_t gen, pos, seq; bool ok; } heads[] = {
		{ 0, 0, 1, true }, { (1ull << 62) - 1, (1ull << 62) - 1, (1ull << 62) - 1, true },
		{ 1ull << 62, 0, 1, false }, { 0, 1ull << 62, 1, false }, { 0, 0, 1ull << 62, false },
		{ 0, 0, 0, false },
	};
	struct wal_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(supers) / sizeof(supers[0]); i++) {
		struct wal_super s = { .lanes = supers[i].lanes, .buf_size = supers[i].buf_size,
				       .entries = supers[i].entries, .bufs = supers[i].bufs };

		super_encode(&s);
		assert_int_equal(super_decode(&s), supers[i].ok ? SUPER_VALID : SUPER_BAD);
		s.version++;			/* another one may be of any size, if it is whole */
		assert_int_equal(super_decode(&s), SUPER_BAD);
		s.crc = crc32c(&s, offsetof(struct wal_super, crc));
		assert_int_equal(super_decode(&s), SUPER_VERSION);
	}
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		head_encode(&h, 9, heads[i].gen, heads[i].pos, heads[i].seq);
		assert_int_equal(head_decode(&h, 9), heads[i].ok);
		assert_int_equal(h.gen, heads[i].gen);
		assert_int_equal(h.pos, heads[i].pos);
		assert_int_equal(h.seq, heads[i].seq);
		h.magic++;
		h.crc = crc32c(&h, offsetof(struct wal_head, crc));
		assert_false(head_decode(&h, 9));
	}
}

static void head(void **state)
{
	struct wal_head h, t;

	(void)state;
	head_encode(&h, 5, 1, 640, 17);
	assert_true(head_decode(&h, 5));
	assert_false(head_decode(&h, 6));
	for (size_t bit = 0; bit < 8 * sizeof(h); bit++) {
		t = h;
		((uint8_t *)&t)[bit / 8] ^= 1u << bit % 8;
		assert_false(head_decode(&t, 5));
	}
	head_encode(&h, 5, 1, 640, 0);
	assert_false(head_decode(&h, 5));
	head_encode(&h, 5, 1, UINT64_MAX, 1);
	assert_false(head_decode(&h, 5));
	memset(&h, 0, sizeof(h));
	assert_false(head_decode(&h, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(one_and_two_flips),
		cmocka_unit_test(laps),
		cmocka_unit_test(seal),
		cmocka_unit_test(superblock),
		cmocka_unit_test(head),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
