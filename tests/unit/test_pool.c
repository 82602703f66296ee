/* SPDX-License-Identifier: BSD-2-Clause */
/* test_pool.c - who holds a buffer, and when it is free again. */
#include "lane/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t memory[16 * 2048];

static void all_of_its_share_once(void **state)
{
	struct pool p;
	bool seen[8] = { false };

	(void)state;
	assert_int_equal(pool_init(&p, memory, 2048, 4, 8), 0);
	for (int i = 0; i < 8; i++) {
		uint32_t idx = pool_take(&p);

		assert_in_range(idx, 4, 11);
		assert_false(seen[idx - 4]);
		seen[idx - 4] = true;
	}
	assert_int_equal(pool_take(&p), FRAG_NIL);
	pool_put(&p, 7);
	assert_int_equal(pool_take(&p), 7);
	pool_fini(&p);
}

static void the_last_drop_frees(void **state)
{
	struct pool p;
	uint32_t idx;

	(void)state;
	assert_int_equal(pool_init(&p, memory, 2048, 0, 16), 0);
	idx = pool_take(&p);
	pool_hold(&p, idx);
	pool_hold(&p, idx);
	assert_int_equal(p.nfree, 15);
	pool_drop(&p, idx);
	assert_int_equal(p.nfree, 15);
	pool_drop(&p, idx);
	assert_int_equal(p.nfree, 16);
	assert_int_equal(pool_take(&p), idx);	/* the warmest first */
	pool_fini(&p);
}

static void lent_is_counted(void **state)
{
	struct pool p;
	uint32_t idx;

	(void)state;
	assert_int_equal(pool_init(&p, memory, 2048, 0, 2), 0);
	assert_int_equal(pool_lend(&p), 0);
	idx = pool_lend(&p);
	assert_int_equal(pool_lend(&p), FRAG_NIL);
	assert_int_equal(p.lent, 2);
	pool_lent_back(&p);
	assert_int_equal(p.lent, 1);
	assert_int_equal(p.nfree, 0);		/* the caller's, until it puts or drops it */
	pool_put(&p, idx);
	assert_int_equal(p.nfree, 1);
	pool_fini(&p);
}

static void names_are_places(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, memory, 4096, 2, 4), 0);
	assert_ptr_equal(pool_addr(&p, 0), memory);
	assert_ptr_equal(pool_addr(&p, 3), memory + 3 * 4096);
	pool_fini(&p);
}

/* Nodes for more pieces than there are buffers, each in the list once; all is empty in the end. */
static void nodes_are_listed(void **state)
{
	static const uint32_t size[] = { 0, 1, 8 };

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		uint32_t n = 0;
		struct pool p;

		assert_int_equal(pool_init(&p, memory, 2048, 0, size[k]), 0);
		assert_int_equal(p.n, size[k]);
		assert_int_equal(p.nfree, size[k]);
		assert_int_equal(p.lent, 0);
		assert_int_equal(p.gathered_bytes, 0);
		assert_int_equal(p.nodes_left, 2 * size[k] + 1024);
		for (uint32_t i = p.node_free; i != FRAG_NIL; i = p.nodes[i].next) {
			assert_true(i < p.nodes_left);
			n++;
		}
		assert_int_equal(n, p.nodes_left);
		for (uint32_t i = 0; i < size[k]; i++)
			assert_int_equal(pool_take(&p), i);	/* the lowest first */
		assert_int_equal(pool_lend(&p), FRAG_NIL);
		assert_int_equal(p.lent, 0);
		pool_fini(&p);
		assert_null(p.nodes);
		assert_null(p.free_stack);
		assert_null(p.holds);
		pool_fini(&p);
	}
}

/* The last of the names is as good as the first. */
static void holds_by_name(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, memory, 2048, 100, 3), 0);
	for (int i = 0; i < 3; i++)
		pool_take(&p);
	pool_hold(&p, 102);
	pool_hold(&p, 100);
	pool_hold(&p, 100);
	assert_int_equal(p.holds[2], 1);
	assert_int_equal(p.holds[1], 0);
	assert_int_equal(p.holds[0], 2);
	pool_drop(&p, 102);
	assert_int_equal(pool_take(&p), 102);
	pool_put(&p, 102);
	pool_put(&p, 101);
	pool_drop(&p, 100);
	assert_int_equal(p.nfree, 2);
	pool_drop(&p, 100);
	assert_int_equal(p.nfree, 3);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_its_share_once),
		cmocka_unit_test(the_last_drop_frees),
		cmocka_unit_test(lent_is_counted),
		cmocka_unit_test(names_are_places),
		cmocka_unit_test(nodes_are_listed),
		cmocka_unit_test(holds_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
