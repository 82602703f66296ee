/* SPDX-License-Identifier: BSD-2-Clause */
/* test_now.c - now.h: each function asks the clock that it names, and converts it exactly. */
#include "base/now.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

/* Four clocks of the test's own each with a time of its own. */
static const struct { clockid_t id; struct timespec t; } clocks[] = {
	{ CLOCK_MONOTONIC, { 123456, 999999999 } }, { CLOCK_MONOTONIC_COARSE, { 123455, 7999999 } },
	{ CLOCK_REALTIME, { 1700000000, 8123456 } }, { CLOCK_REALTIME_COARSE, { 1600000000, 5 } },
};
static unsigned asked;

/* clock: the test's own */
int clock_gettime(clockid_t id, struct timespec *t)
{
	*t = (struct timespec){ 1, 1 };
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
		if (clocks[i].id == id)
			*t = clocks[i].t;
	asked++;
	return 0;
}

static void test_clocks(void **state)
{
	(void)state;
	asked = 0;
	assert_true(now_ns() == UINT64_C(123456999999999));
	assert_true(now_ms() == 123456999);
	assert_true(now_coarse_ms() == 123455007);
	assert_true(now_wall_ms() == UINT64_C(1700000000008));
	assert_int_equal(asked, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_clocks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
