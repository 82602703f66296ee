/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_image.c - files of persistent memory that are read, not mapped: what is fetched, which
 * lines cannot be, and that what was dropped comes back.
 */
#include "media/pm_image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/pm_sim.h"

#define FILE_PATH "/m/wal"
#define RUN (64u << 10)			/* is read at once */

/* Byte i of the file. */
static uint8_t at(uint64_t i)
{
	return (uint8_t)(i * 31 + i / 4096 + 1);
}

/* A file, and how often it is read. */
static struct pm_sim *sim;
static struct pm_ops ops;
static unsigned reads, closes;

static int counted_read(void *ctx, void *h, void *dst, size_t n, uint64_t off)
{
	reads++;
	return pm_sim_ops(sim)->read(ctx, h, dst, n, off);
}

static void counted_close(void *ctx, void *h)
{
	closes++;
	pm_sim_ops(sim)->close(ctx, h);
}

static void with_file(uint64_t len)
{
	uint8_t *b = malloc(len);

	assert_non_null(b);
	for (uint64_t i = 0; i < len; i++)
		b[i] = at(i);
	sim = pm_sim_new();
	ops = *pm_sim_ops(sim);
	ops.read = counted_read;
	ops.close = counted_close;
	reads = closes = 0;
	assert_int_equal(pm_sim_put(sim, FILE_PATH, b, len), 0);
	free(b);
}

static void holds(const struct pm_image *m, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		if (m->addr[i] != at(m->off + i))
			fail_msg("byte %llu", (unsigned long long)i);
}

static void whole(uint64_t len, uint64_t off, uint64_t want)
{
	struct pm_image m;

	with_file(len);
	assert_int_equal(pm_image_open(&m, &ops, FILE_PATH, off, want), 0);
	assert_int_equal(m.len, (want + 4095) / 4096 * 4096);
	assert_int_equal((uintptr_t)m.addr % 64, 0);
	assert_int_equal(m.size, len);
	assert_int_equal(reads, 0);
	assert_true(pm_image_fetch(&m, m.addr + 10, 0));
	assert_int_equal(reads, 0);
	for (uint64_t i = 0; i < want; i += 4096)
		assert_int_equal(m.addr[i], 0);
	/* A run is read once, whoever asks for what of it. */
	assert_true(pm_image_fetch(&m, m.addr, 1));
	assert_int_equal(reads, 1);
	assert_true(pm_image_fetch(&m, m.addr + 1, (want < RUN ? want : RUN) - 1));
	assert_int_equal(reads, 1);
	holds(&m, 0, want < RUN ? want : RUN);
	if (want > RUN) {
		assert_true(pm_image_fetch(&m, m.addr + RUN - 1, 2));
		assert_int_equal(reads, 2);
	}
	assert_true(pm_image_fetch(&m, m.addr, want));
	holds(&m, 0, want);
	assert_int_equal(reads, (want + RUN - 1) / RUN);
	assert_int_equal(m.nbad, 0);
	/* Dropped: again there when it is fetched. */
	pm_image_drop(&m);
	assert_true(pm_image_fetch(&m, m.addr + want - 1, 1));
	assert_true(pm_image_fetch(&m, m.addr, want));
	holds(&m, 0, want);
	pm_image_close(&m);
	assert_null(m.addr);
	assert_int_equal(closes, 1);
	pm_image_close(&m);
	pm_sim_free(sim);
}

/* Of the heap or mapped, a part of the file or all of it. */
static void test_whole(void **state)
{
	(void)state;
	whole(8192, 0, 8192);
	whole(3 * RUN, 4096, 2 * RUN);
	whole(4 * RUN, 0, 4 * RUN);
	whole(4 * RUN + 4096, 0, 4 * RUN + 4096);
	whole(9 * RUN, 2 * RUN, 6 * RUN + 8192);
}

static void test_nothing(void **state)
{
	struct pm_image m;

	(void)state;
	with_file(8192);
	assert_int_equal(pm_image_open(&m, &ops, "/m/no", 0, 4096), -ENOENT);
	assert_null(m.h);
	assert_int_equal(closes, 0);
	assert_int_equal(pm_sim_truncate(sim, FILE_PATH, 0), 0);
	assert_int_equal(pm_image_open(&m, &ops, FILE_PATH, 0, 4096), -ENOENT);
	assert_int_equal(closes, 1);
	pm_image_close(&m);
	assert_int_equal(closes, 1);
	pm_sim_free(sim);
}

/* A file that ends within what is looked at: what it has not is zeros, and not there. */
static void test_short(void **state)
{
	struct pm_image m;

	(void)state;
	with_file(5000);
	assert_int_equal(pm_image_open(&m, &ops, FILE_PATH, 0, 3 * 4096), 0);
	assert_true(pm_image_fetch(&m, m.addr, 5000));
	assert_true(pm_image_fetch(&m, m.addr + 4999, 1));
	assert_false(pm_image_fetch(&m, m.addr + 4999, 2));
	assert_false(pm_image_fetch(&m, m.addr + 5000, 1));
	assert_false(pm_image_fetch(&m, m.addr + 9000, 8));
	holds(&m, 0, 5000);
	for (unsigned i = 5000; i < m.len; i++)
		assert_int_equal(m.addr[i], 0);
	pm_image_close(&m);
	/* From an offset on. */
	assert_int_equal(pm_image_open(&m, &ops, FILE_PATH, 4096, 4096), 0);
	assert_true(pm_image_fetch(&m, m.addr, 904));
	assert_false(pm_image_fetch(&m, m.addr, 905));
	holds(&m, 0, 904);
	pm_image_close(&m);
	pm_sim_free(sim);
}

/* Lines that cannot be read: they alone are zeros, are told once, and stay known. */
static void test_bad_lines(void **state)
{
	struct pm_image m;
	unsigned n = 0;

	(void)state;
	for (unsigned small = 0; small < 2; small++) {
		with_file(5 * RUN);
		for (uint64_t i = 0; i < 40; i++)
			assert_int_equal(pm_sim_bad(sim, FILE_PATH, RUN + i * 128), 0);
		assert_int_equal(pm_sim_bad(sim, FILE_PATH, 2 * RUN - 64), 0);
		assert_int_equal(pm_image_open(&m, &ops, FILE_PATH, small ? RUN : 0, small ? 2 * RUN : 5 * RUN), 0);
		n = small ? 0 : RUN;
		assert_false(pm_image_fetch(&m, m.addr + n, 1));
		assert_false(pm_image_fetch(&m, m.addr + n + 63, 1));
		assert_true(pm_image_fetch(&m, m.addr + n + 64, 64));
		assert_false(pm_image_fetch(&m, m.addr + n + 64, 65));
		assert_false(pm_image_fetch(&m, m.addr + n + 127, 2));
		assert_false(pm_image_fetch(&m, m.addr + n + 39 * 128 + 63, 1));
		assert_true(pm_image_fetch(&m, m.addr + n + 39 * 128 + 64, 64));
		assert_true(pm_image_fetch(&m, m.addr + n + 40 * 128, RUN - 40 * 128 - 64));
		assert_false(pm_image_fetch(&m, m.addr + n + RUN - 1, 1));
		assert_false(pm_image_fetch(&m, m.addr + n + RUN - 64, 200));
		assert_true(pm_image_fetch(&m, m.addr + n + RUN, RUN));
		for (unsigned line = 0; line < RUN / 64; line++) {
			bool bad = (line % 2 == 0 && line < 80) || line == RUN / 64 - 1;

			if (!bad)
				holds(&m, n + line * 64, 64);
			for (unsigned k = 0; bad && k < 64; k++)
				assert_int_equal(m.addr[n + line * 64 + k], 0);
		}
		assert_int_equal(m.nbad, 41);
		assert_int_equal(m.bad[0], n);
		assert_int_equal(m.bad[1], n + 128);
		assert_int_equal(m.bad[40], n + RUN - 64);
		pm_image_drop(&m);
		assert_false(pm_image_fetch(&m, m.addr + n, 1));
		assert_true(pm_image_fetch(&m, m.addr + n + 64, 64));
		holds(&m, n + 64, 64);
		assert_int_equal(m.nbad, 41);		/* the same ones */
		pm_image_close(&m);
		pm_sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_bad_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
