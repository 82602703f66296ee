/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pm_sim.c - the simulator keeps to the model in pm.h: exactly the states that a
 * power cut may leave, no more and no fewer.
 */
#include "../sim/pm_sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_NAME "/pm/file"
#define LEN 4096

struct set {			/* the states that were seen, as the first words of two lines */
	uint64_t a[64], b[64];
	unsigned n;
};

struct world {
	struct pm_sim *s;
	const struct pm_ops *pm;
	struct pm_map m;
};

static void setup(struct world *w)
{
	w->s = pm_sim_new();
	w->pm = pm_sim_ops(w->s);
	assert_int_equal(w->pm->allocate(w->pm->ctx, FILE_NAME, LEN, PM_CREATE), 0);
	assert_int_equal(w->pm->map(w->pm->ctx, FILE_NAME, 0, LEN, PM_SYNC, &w->m), 0);
}

static void teardown(struct world *w)
{
	w->pm->unmap(w->pm->ctx, &w->m);
	pm_sim_free(w->s);
}

static void put(struct world *w, uint64_t off, uint64_t value)
{
	w->pm->store(w->pm->ctx, w->m.addr + off, &value, 8);
}

static void flush(struct world *w, uint64_t off)
{
	w->pm->flush(w->pm->ctx, w->m.addr + off, 8);
}

static int collect(void *arg, struct pm_sim *image)
{
	struct set *set = arg;
	uint64_t *p = (uint64_t *)pm_sim_bytes(image, FILE_NAME, NULL);

	assert_in_range(set->n, 0, 63);
	set->a[set->n] = p[0];
	set->b[set->n++] = p[8];
	return 0;
}

static bool has(const struct set *set, uint64_t a, uint64_t b)
{
	for (unsigned i = 0; i < set->n; i++)
		if (set->a[i] == a && set->b[i] == b)
			return true;
	return false;
}

static struct set states(struct world *w)
{
	struct set set = { .n = 0 };
	uint64_t count, seen = 0;

	pm_sim_choices(w->s, &count);
	assert_int_equal(pm_sim_states(w->s, 60, 0, 0, collect, &set, &seen), 0);
	assert_int_equal(seen, count);
	assert_int_equal(set.n, count);
	return set;
}

static void prefixes_within_a_line_any_across(void **state)
{
	struct world w;
	struct set set;

	(void)state;
	setup(&w);
	put(&w, 0, 1);
	put(&w, 0, 2);
	put(&w, 64, 7);
	set = states(&w);
	assert_int_equal(set.n, 6);
	for (uint64_t a = 0; a <= 2; a++)
		for (uint64_t b = 0; b <= 7; b += 7)
			assert_true(has(&set, a, b));
	teardown(&w);
}

static void a_flush_counts_after_the_fence(void **state)
{
	struct world w;
	struct set set;

	(void)state;
	setup(&w);
	put(&w, 0, 1);
	flush(&w, 0);
	assert_int_equal(states(&w).n, 2);
	put(&w, 0, 2);			/* not flushed */
	put(&w, 64, 7);
	w.pm->fence(w.pm->ctx);
	set = states(&w);
	assert_int_equal(set.n, 4);
	assert_true(has(&set, 1, 0) && has(&set, 1, 7) && has(&set, 2, 0) && has(&set, 2, 7));
	flush(&w, 0);
	flush(&w, 64);
	w.pm->fence(w.pm->ctx);
	set = states(&w);
	assert_int_equal(set.n, 1);
	assert_true(has(&set, 2, 7));
	teardown(&w);
}

static void a_fence_alone_is_nothing(void **state)
{
	struct world w;

	(void)state;
	setup(&w);
	put(&w, 0, 1);
	w.pm->fence(w.pm->ctx);
	assert_int_equal(states(&w).n, 2);
	teardown(&w);
}

static void what_came_by_itself_is_found(void **state)
{
	struct world w;
	struct set set;

	(void)state;
	setup(&w);
	memset(w.m.addr, 1, 16);	/* the kernel fills a buffer */
	assert_int_equal(states(&w).n, 3);
	pm_sim_dma(w.s, w.m.addr, 16);
	assert_int_equal(states(&w).n, 3);
	flush(&w, 0);
	w.pm->fence(w.pm->ctx);
	memset(w.m.addr, 2, 8);
	set = states(&w);
	assert_int_equal(set.n, 2);
	assert_true(has(&set, 0x0101010101010101, 0) && has(&set, 0x0202020202020202, 0));
	teardown(&w);
}

static int stop_at_two(void *arg, enum pm_sim_op op)
{
	(void)op;
	return ++*(int *)arg == 2;
}

static void a_crash_freezes(void **state)
{
	struct world w;
	struct set set;
	struct pm_sim *k;
	int n = 0;

	(void)state;
	setup(&w);
	pm_sim_step(w.s, stop_at_two, &n);
	put(&w, 0, 1);
	put(&w, 0, 2);			/* never happens */
	flush(&w, 0);
	w.pm->fence(w.pm->ctx);
	assert_true(pm_sim_frozen(w.s));
	set = states(&w);
	assert_int_equal(set.n, 2);
	assert_true(has(&set, 0, 0) && has(&set, 1, 0));
	k = pm_sim_killed(w.s);
	assert_int_equal(pm_sim_bytes(k, FILE_NAME, NULL)[0], 1);
	pm_sim_free(k);
	teardown(&w);
}

static void extremes_are_among_samples(void **state)
{
	struct world w;
	struct set set = { .n = 0 };
	uint64_t count, seen = 0;

	(void)state;
	setup(&w);
	for (uint64_t line = 0; line < LEN / 64; line++)
		put(&w, line * 64, 5);
	assert_int_equal(pm_sim_choices(w.s, &count), LEN / 64);
	assert_int_equal(count, UINT64_MAX);
	assert_int_equal(pm_sim_states(w.s, 100, 6, 1, collect, &set, &seen), 0);
	assert_int_equal(seen, 12);
	assert_true(has(&set, 0, 0) && has(&set, 5, 5) && has(&set, 0, 5) && has(&set, 5, 0));
	teardown(&w);
}

static void files(void **state)
{
	struct world w;
	struct pm_map m;
	char where[64];
	struct pm_sim *k;
	uint64_t len;

	(void)state;
	setup(&w);
	assert_int_equal(w.pm->map(w.pm->ctx, "/pm/none", 0, 64, 0, &m), -ENOENT);
	assert_int_equal(w.pm->map(w.pm->ctx, FILE_NAME, 0, LEN + 1, 0, &m), -EFBIG);
	pm_sim_refuse_sync(w.s, true);
	assert_int_equal(w.pm->map(w.pm->ctx, FILE_NAME, 0, LEN, PM_SYNC, &m), -EOPNOTSUPP);
	put(&w, 128, 9);
	w.pm->unmap(w.pm->ctx, &w.m);
	assert_int_equal(w.pm->allocate(w.pm->ctx, FILE_NAME, 2 * LEN, 0), -EFBIG);
	assert_int_equal(w.pm->allocate(w.pm->ctx, FILE_NAME, 2 * LEN, PM_CREATE), 0);
	assert_int_equal(w.pm->map(w.pm->ctx, FILE_NAME, 0, 2 * LEN, 0, &w.m), 0);
	assert_int_equal(w.m.addr[128], 9);
	assert_int_equal(w.m.addr[LEN], 0);
	pm_sim_capacity(w.s, 2 * LEN);
	assert_int_equal(w.pm->allocate(w.pm->ctx, "/pm/none", 64, 0), -ENOENT);
	assert_int_equal(w.pm->allocate(w.pm->ctx, "/pm/none", 64, PM_CREATE), -ENOSPC);
	k = pm_sim_killed(w.s);
	assert_true(pm_sim_same(w.s, k, where, sizeof(where)));
	assert_int_equal(pm_sim_flip(k, FILE_NAME, 8 * 128), 0);
	assert_false(pm_sim_same(w.s, k, where, sizeof(where)));
	assert_string_equal(where, FILE_NAME " at 128");
	pm_sim_bytes(k, FILE_NAME, &len);
	assert_int_equal(len, 2 * LEN);
	pm_sim_free(k);
	teardown(&w);
}

static void memory_is_memory(void **state)
{
	struct world w;
	struct pm_map m;

	(void)state;
	setup(&w);
	assert_int_equal(w.pm->map(w.pm->ctx, NULL, 0, LEN, 0, &m), 0);
	w.pm->zero(w.pm->ctx, m.addr, 64);
	w.pm->flush(w.pm->ctx, m.addr, 64);
	m.addr[5] = 1;
	assert_int_equal(states(&w).n, 1);
	w.pm->unmap(w.pm->ctx, &m);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_within_a_line_any_across),
		cmocka_unit_test(a_flush_counts_after_the_fence),
		cmocka_unit_test(a_fence_alone_is_nothing),
		cmocka_unit_test(what_came_by_itself_is_found),
		cmocka_unit_test(a_crash_freezes),
		cmocka_unit_test(extremes_are_among_samples),
		cmocka_unit_test(files),
		cmocka_unit_test(memory_is_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
