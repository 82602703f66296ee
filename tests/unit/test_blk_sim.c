/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_blk_sim.c - block storage: the same behaviour from the kernel and the simulator,
 * and what the simulator adds: the states that a power cut may leave, faults, choices.
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
#include <unistd.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "blk_path.h"
#include "store/store.h"

static int put(const struct blk_ops *blk, struct blk_file *f, const void *p, size_t n, uint64_t off)
{
	struct iovec iov = { (void *)p, n };

	return blk->write(f, &iov, 1, off);
}

/* ---- both providers ---- */

static int count_name(void *arg, const char *name)
{
	unsigned *n = arg;

	assert_true(strcmp(name, ".") && strcmp(name, ".."));
	return ++*n == 100 ? 77 : 0;
}

static void same_behaviour(const struct blk_ops *blk, const char *root)
{
	char dir[256], a[256], b[256], far[256];
	static uint8_t big[3000], back[3000];
	struct iovec *iov = calloc(3000, sizeof(*iov));
	struct blk_file *f, *g;
	uint64_t size;
	unsigned n = 0;

	snprintf(dir, sizeof(dir), "%s/d", root);
	snprintf(a, sizeof(a), "%s/d/a", root);
	snprintf(b, sizeof(b), "%s/d/b", root);
	snprintf(far, sizeof(far), "%s/none/a", root);
	assert_int_equal(path_list(blk, dir, count_name, &n), -ENOENT);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, dir), 0);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, dir), 0);
	assert_int_equal(blk->open(blk->ctx, NULL, a, BLK_RDONLY, &f), -ENOENT);
	assert_int_equal(blk->open(blk->ctx, NULL, far, BLK_RDWR | BLK_CREATE, &f), -ENOENT);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, far), -ENOENT);
	assert_int_equal(blk->open(blk->ctx, NULL, a, BLK_RDWR | BLK_CREATE, &f), 0);
	assert_int_equal(blk->open(blk->ctx, NULL, a, BLK_RDWR | BLK_CREATE, &g), -EEXIST);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, a), -ENOTDIR);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned i = 0; i < 3000; i++)	/* more pieces than one call takes, some empty */
		iov[i] = (struct iovec){ big + i, i % 3 ? 1 : 0 };
	assert_int_equal(blk->write(f, iov, 3000, 10), 0);
	assert_int_equal(blk->size(f, &size), 0);
	assert_int_equal(size, 2010);
	assert_int_equal(blk->read(f, back, 2010, 0), 0);
	for (unsigned i = 0, k = 0; i < 3000; i++)
		if (i % 3)
			assert_int_equal(back[10 + k++], big[i]);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(back[i], 0);
	assert_int_equal(blk->read(f, back, 2011, 0), -ENODATA);
	assert_int_equal(blk->read(f, back, 1, 5000), -ENODATA);
	iov[0] = iov[1] = (struct iovec){ big, 0 };
	assert_int_equal(blk->write(f, iov, 2, 10), 0);
	assert_int_equal(blk->write(f, iov, 0, 10), 0);
	assert_int_equal(blk->sync(f), 0);
	assert_int_equal(path_sync_dir(blk, dir), 0);
	assert_int_equal(blk->lock(f), 0);
	assert_int_equal(blk->open(blk->ctx, NULL, a, BLK_RDONLY, &g), 0);
	assert_int_equal(blk->lock(g), -EWOULDBLOCK);
	assert_int_equal(put(blk, g, "x", 1, 0), -EBADF);
	blk->close(f);
	assert_int_equal(blk->lock(g), 0);
	assert_int_equal(blk->rename(blk->ctx, NULL, a, b), 0);
	assert_int_equal(blk->rename(blk->ctx, NULL, a, b), -ENOENT);
	assert_int_equal(blk->unlink(blk->ctx, NULL, a), -ENOENT);
	assert_int_equal(path_list(blk, dir, count_name, &n), 0);
	assert_int_equal(n, 1);
	n = 99;
	assert_int_equal(path_list(blk, dir, count_name, &n), 77);
	assert_int_equal(blk->unlink(blk->ctx, NULL, b), 0);
	assert_int_equal(blk->read(g, back, 10, 0), 0);	/* an open file outlives its name */
	blk->close(g);
	assert_int_equal(path_sync_dir(blk, far), -ENOENT);
	free(iov);
}

/* Names are looked up in a folder that is held, and nothing is ever made over a file. */
static void same_folders(const struct blk_ops *blk, const char *root)
{
	struct blk_dir *r, *d, *up, *none;
	struct blk_id id, is;
	struct blk_file *f;
	unsigned n = 0;

	assert_int_equal(blk->dir_open(blk->ctx, NULL, root, &r), 0);
	assert_int_equal(blk->dir_open(blk->ctx, r, "d", &d), -ENOENT);
	assert_int_equal(blk->mkdir(blk->ctx, r, "d"), 0);
	assert_int_equal(blk->dir_open(blk->ctx, r, "d", &d), 0);
	assert_int_equal(blk->open(blk->ctx, d, "a", BLK_RDWR | BLK_CREATE, &f), 0);
	blk->close(f);
	assert_int_equal(blk->open(blk->ctx, d, "b", BLK_RDWR | BLK_CREATE, &f), 0);
	assert_int_equal(put(blk, f, "bbb", 3, 0), 0);
	assert_int_equal(blk->id(f, &id), 0);
	assert_int_equal(blk->id_at(blk->ctx, d, "b", &is), 0);
	assert_true(blk_same(&id, &is));
	assert_int_equal(blk->id_at(blk->ctx, d, "a", &is), 0);
	assert_false(blk_same(&id, &is));
	assert_int_equal(blk->id_at(blk->ctx, d, "c", &is), -ENOENT);
	assert_int_equal(blk->id_at(blk->ctx, d, ".", &id), 0);
	assert_int_equal(blk->id_at(blk->ctx, r, "d", &is), 0);
	assert_true(blk_same(&id, &is));
	blk->close(f);
	assert_int_equal(blk->dir_open(blk->ctx, d, "a", &none), STORE_ENOTDIR);
	assert_int_equal(blk->open(blk->ctx, d, "b", BLK_RDWR | BLK_CREATE, &f), -EEXIST);
	assert_int_equal(blk->rename(blk->ctx, d, "a", "b"), -EEXIST);
	assert_int_equal(blk->rename(blk->ctx, d, "a", "c"), 0);
	assert_int_equal(blk->list(d, count_name, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(blk->sync_dir(d), 0);
	assert_int_equal(blk->unlink(blk->ctx, d, "a"), -ENOENT);
	assert_int_equal(blk->open(blk->ctx, d, "c", BLK_RDONLY, &f), 0);
	assert_int_equal(blk->unlink(blk->ctx, d, "c"), 0);
	assert_int_equal(blk->id(f, &id), -ENOENT);
	blk->close(f);
	assert_int_equal(blk->unlink(blk->ctx, d, "b"), 0);
	assert_int_equal(blk->dir_open(blk->ctx, d, "..", &up), 0);
	assert_int_equal(blk->mkdir(blk->ctx, up, "d"), 0);	/* it is there */
	blk->dir_close(up);
	blk->dir_close(d);
	blk->dir_close(r);
}

static void test_kernel(void **state)
{
	char root[] = "/tmp/test_blk.XXXXXX", dir[64];

	(void)state;
	assert_non_null(mkdtemp(root));
	same_behaviour(&blk_file_ops, root);
	snprintf(dir, sizeof(dir), "%s/d", root);
	assert_int_equal(rmdir(dir), 0);
	same_folders(&blk_file_ops, root);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(rmdir(root), 0);
}

static void test_simulator(void **state)
{
	struct blk_sim *sim = blk_sim_new();

	(void)state;
	assert_int_equal(blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/r"), 0);
	same_behaviour(blk_sim_ops(sim), "/r");
	assert_int_equal(blk_sim_ops(sim)->mkdir(blk_sim_ops(sim)->ctx, NULL, "/q"), 0);
	same_folders(blk_sim_ops(sim), "/q");
	blk_sim_free(sim);
}

/* ---- power cuts ---- */

/* One file, durable, of n sectors of 'o'. */
static struct blk_sim *one_file(unsigned sectors, struct blk_file **f)
{
	struct blk_sim *sim = blk_sim_new();
	char *old = malloc(sectors * SIM_SECTOR + 1);

	memset(old, 'o', sectors * SIM_SECTOR);
	blk_sim_put(sim, "/f", old, sectors * SIM_SECTOR);
	free(old);
	assert_int_equal(blk_sim_ops(sim)->open(blk_sim_ops(sim)->ctx, NULL, "/f", BLK_RDWR, f), 0);
	return sim;
}

/* All states, as text: the first byte of each sector. */
static unsigned states_of(struct blk_sim *sim, char seen[][16], unsigned max)
{
	struct sim_odo odo;
	unsigned n = 0;

	sim_odo_init(&odo);
	do {
		struct blk_sim *cut = blk_sim_cut(sim, &odo.p);
		const uint8_t *p;
		uint64_t len;

		assert_true(n < max);
		p = blk_sim_bytes(cut, "/f", &len);
		memset(seen[n], 0, 16);
		for (uint64_t i = 0; p && i < len; i += SIM_SECTOR)
			seen[n][i / SIM_SECTOR] = p[i] ? (char)p[i] : '0';
		if (!p)
			strcpy(seen[n], "none");
		n++;
		blk_sim_free(cut);
	} while (sim_odo_next(&odo));
	sim_odo_fini(&odo);
	return n;
}

static bool has(char seen[][16], unsigned n, const char *what)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(seen[i], what))
			return true;
	return false;
}

static void test_unsynced_sectors(void **state)
{
	const struct blk_ops *blk;
	char sector[3 * SIM_SECTOR], seen[64][16];
	struct blk_file *f;
	struct blk_sim *sim = one_file(3, &f), *killed;
	uint64_t states;
	unsigned n;

	(void)state;
	blk = blk_sim_ops(sim);
	memset(sector, 'a', sizeof(sector));
	assert_int_equal(put(blk, f, sector, 2 * SIM_SECTOR, 0), 0);
	memset(sector, 'b', sizeof(sector));
	assert_int_equal(put(blk, f, sector, 2 * SIM_SECTOR, SIM_SECTOR), 0);
	assert_int_equal(blk_sim_choices(sim, &states), 3);
	assert_int_equal(states, 2 * 3 * 2);
	n = states_of(sim, seen, 64);
	assert_int_equal(n, 12);
	assert_true(has(seen, n, "ooo") && has(seen, n, "abb") && has(seen, n, "oao") &&
		    has(seen, n, "obo") && has(seen, n, "oob") && has(seen, n, "aab"));
	killed = blk_sim_killed(sim);
	assert_true(blk_sim_same(killed, sim, NULL, 0));
	assert_int_equal(states_of(killed, seen, 64), 12);	/* killed, then cut */
	blk_sim_free(killed);
	assert_int_equal(blk->sync(f), 0);
	n = states_of(sim, seen, 64);
	assert_int_equal(n, 1);
	assert_true(has(seen, n, "abb"));
	blk->close(f);
	blk_sim_free(sim);
}

static void test_failed_sync(void **state)
{
	const struct blk_ops *blk;
	char sector[SIM_SECTOR], seen[16][16];
	struct blk_file *f;
	struct blk_sim *sim = one_file(2, &f);
	unsigned n;

	(void)state;
	blk = blk_sim_ops(sim);
	memset(sector, 'a', sizeof(sector));
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, 0), 0);
	blk_sim_fault(sim, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(blk->sync(f), -EIO);
	memset(sector, 'b', sizeof(sector));
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, SIM_SECTOR), 0);
	assert_int_equal(blk->sync(f), 0);		/* says yes, and covers only the later write */
	n = states_of(sim, seen, 16);
	assert_int_equal(n, 2);
	assert_true(has(seen, n, "ob") && has(seen, n, "ab"));
	memset(sector, 'a', sizeof(sector));		/* the same bytes once more: that helps */
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, 0), 0);
	assert_int_equal(blk->sync(f), 0);
	n = states_of(sim, seen, 16);
	assert_int_equal(n, 1);
	assert_true(has(seen, n, "ab"));
	blk->close(f);
	blk_sim_free(sim);
}

static void test_growing_file_and_its_name(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	char sector[SIM_SECTOR], seen[32][16];
	struct blk_file *f;
	unsigned n;

	(void)state;
	memset(sector, 'a', sizeof(sector));
	assert_int_equal(blk->open(blk->ctx, NULL, "/f", BLK_RDWR | BLK_CREATE, &f), 0);
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, SIM_SECTOR), 0);
	n = states_of(sim, seen, 32);
	assert_true(has(seen, n, "none") && has(seen, n, "") && has(seen, n, "00") &&
		    has(seen, n, "0a"));
	assert_int_equal(blk->sync(f), 0);
	n = states_of(sim, seen, 32);			/* its name is not covered */
	assert_int_equal(n, 2);
	assert_true(has(seen, n, "none") && has(seen, n, "0a"));
	assert_int_equal(path_sync_dir(blk, "/"), 0);
	n = states_of(sim, seen, 32);
	assert_int_equal(n, 1);
	assert_true(has(seen, n, "0a"));
	blk->close(f);
	blk_sim_free(sim);
}

static unsigned names_in(struct blk_sim *sim)
{
	unsigned bits = 0;
	uint64_t len;

	bits |= blk_sim_bytes(sim, "/d/a", &len) ? 1 : 0;
	bits |= blk_sim_bytes(sim, "/d/b", &len) ? 2 : 0;
	bits |= blk_sim_bytes(sim, "/d/c", &len) ? 4 : 0;
	return bits;
}

static void test_directory_operations(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	unsigned found = 0;
	struct sim_odo odo;

	(void)state;
	blk_sim_put(sim, "/d/a", "1", 1);
	blk_sim_put(sim, "/d/b", "2", 1);
	assert_int_equal(blk->rename(blk->ctx, NULL, "/d/a", "/d/c"), 0);
	assert_int_equal(blk->unlink(blk->ctx, NULL, "/d/b"), 0);
	for (int round = 0; round < 2; round++) {
		found = 0;
		sim_odo_init(&odo);
		do {
			struct blk_sim *cut = blk_sim_cut(sim, &odo.p);

			found |= 1u << names_in(cut);
			blk_sim_free(cut);
		} while (sim_odo_next(&odo));
		sim_odo_fini(&odo);
		if (round == 0) {
			assert_int_equal(found, 1u << 3 | 1u << 6 | 1u << 1 | 1u << 4);
			blk_sim_fault(sim, SIM_SYNC_DIR, 1, 1, EIO);
			assert_int_equal(path_sync_dir(blk, "/d"), -EIO);
			assert_int_equal(path_sync_dir(blk, "/d"), 0);
		}
	}
	assert_int_equal(found, 1u << 3 | 1u << 6 | 1u << 1 | 1u << 4);	/* still in doubt */
	blk_sim_free(sim);
}

static void test_directory_not_synced_takes_its_files(void **state)
{
	struct blk_sim *sim = blk_sim_new(), *cut;
	const struct blk_ops *blk = blk_sim_ops(sim);
	unsigned with = 0, without = 0;
	struct blk_file *f;
	struct sim_odo odo;

	(void)state;
	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/d"), 0);
	assert_int_equal(blk->open(blk->ctx, NULL, "/d/a", BLK_RDWR | BLK_CREATE, &f), 0);
	blk->close(f);
	assert_int_equal(path_sync_dir(blk, "/d"), 0);
	sim_odo_init(&odo);
	do {
		cut = blk_sim_cut(sim, &odo.p);
		if (names_in(cut) & 1)
			with++;
		else
			without++;
		blk_sim_free(cut);
	} while (sim_odo_next(&odo));
	sim_odo_fini(&odo);
	assert_int_equal(with, 1);
	assert_int_equal(without, 1);
	blk_sim_free(sim);
}

/* ---- crashes by count, faults, room ---- */

static int stop_at(void *arg, enum sim_op op)
{
	unsigned *left = arg;

	(void)op;
	return --*left == 0;
}

static void test_crash_at(void **state)
{
	char sector[SIM_SECTOR], seen[16][16];
	const struct blk_ops *blk;
	struct blk_file *f;
	struct blk_sim *sim = one_file(2, &f);
	unsigned left = 3, n;

	(void)state;
	blk = blk_sim_ops(sim);
	blk_sim_step(sim, stop_at, &left);
	memset(sector, 'a', sizeof(sector));
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, 0), 0);
	assert_int_equal(blk->sync(f), 0);
	assert_int_equal(put(blk, f, sector, SIM_SECTOR, SIM_SECTOR), -EIO);	/* begun */
	assert_int_equal(blk->sync(f), -EIO);
	assert_int_equal(blk->read(f, sector, 1, 0), -EIO);
	assert_int_equal(blk_sim_count(sim), 3);
	n = states_of(sim, seen, 16);
	assert_int_equal(n, 2);
	assert_true(has(seen, n, "ao") && has(seen, n, "aa"));
	blk->close(f);
	blk_sim_free(sim);
}

static void test_faults_and_room(void **state)
{
	static char block[8 * SIM_SECTOR];
	const struct blk_ops *blk;
	struct blk_file *f;
	struct blk_sim *sim = one_file(2, &f);
	uint64_t len;

	(void)state;
	blk = blk_sim_ops(sim);
	memset(block, 'a', sizeof(block));
	blk_sim_fault(sim, SIM_WRITE, 2, 2, EIO);
	assert_int_equal(put(blk, f, block, 100, 0), 0);
	assert_int_equal(put(blk, f, block, 200, 512), -EIO);
	assert_int_equal(blk_sim_bytes(sim, "/f", &len)[512 + 99], 'a');
	assert_int_equal(blk_sim_bytes(sim, "/f", &len)[512 + 100], 'o');
	assert_int_equal(put(blk, f, block, 100, 0), -EIO);
	assert_int_equal(put(blk, f, block, 100, 0), 0);
	blk_sim_fault(sim, SIM_READ, 1, 0, EIO);
	for (int i = 0; i < 3; i++)
		assert_int_equal(blk->read(f, block, 1, 0), -EIO);
	blk_sim_capacity(sim, 4 * SIM_SECTOR);
	assert_int_equal(put(blk, f, block, sizeof(block), 0), -ENOSPC);
	assert_int_equal(blk_sim_used(sim), 4 * SIM_SECTOR);
	assert_int_equal(put(blk, f, block, 4 * SIM_SECTOR, 0), 0);	/* overwriting needs none */
	blk_sim_capacity(sim, 0);
	assert_int_equal(put(blk, f, block, sizeof(block), 0), 0);
	blk->close(f);
	blk_sim_free(sim);
}

static void test_seeds(void **state)
{
	struct sim_rng a, b;
	unsigned lo = 0, hi = 0, mid = 0;

	(void)state;
	sim_rng_init(&a, 42);
	sim_rng_init(&b, 42);
	for (int i = 0; i < 10000; i++) {
		uint32_t x = a.p.pick(&a.p, 5);

		assert_int_equal(x, b.p.pick(&b.p, 5));
		assert_true(x < 5);
		lo += x == 0;
		hi += x == 4;
		mid += x > 0 && x < 4;
	}
	assert_true(lo > 1000 && hi > 1000 && mid > 500);
}

static void test_aio(void **state)
{
	struct blk_file *f;
	struct blk_sim *sim = one_file(2, &f);
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct iovec iov = { "zzz", 3 };
	struct sim_aio aio;
	int res;

	(void)state;
	sim_aio_init(&aio);
	assert_false(sim_aio_poll(&aio, &res));
	assert_int_equal(aio.aio.submit(&aio.aio, blk, f, &iov, 1, 0), 0);
	assert_true(sim_aio_poll(&aio, &res));
	assert_int_equal(res, 0);
	blk_sim_fault(sim, SIM_WRITE, 1, 1, ENOSPC);
	uint64_t syncs = blk_sim_calls(sim, SIM_SYNC);

	assert_int_equal(aio.aio.submit(&aio.aio, blk, f, &iov, 1, 0), 0);
	assert_true(sim_aio_poll(&aio, &res));
	assert_int_equal(res, -ENOSPC);
	assert_int_equal(blk_sim_calls(sim, SIM_SYNC), syncs);
	blk->close(f);
	blk_sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_simulator),
		cmocka_unit_test(test_unsynced_sectors),
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_growing_file_and_its_name),
		cmocka_unit_test(test_directory_operations),
		cmocka_unit_test(test_directory_not_synced_takes_its_files),
		cmocka_unit_test(test_crash_at),
		cmocka_unit_test(test_faults_and_room),
		cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_aio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
