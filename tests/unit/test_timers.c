/* SPDX-License-Identifier: BSD-2-Clause */
/* test_timers.c - the wheel: nobody early, nobody forgotten, later deadlines move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/timers.h"

#define MS 1000000ull
#define N 500

static struct timers t;
static struct timer nodes[N];

static void fresh(uint64_t now)
{
	for (int i = 0; i < N; i++)
		nodes[i] = TIMER_INIT;
	memset(&t, 0xee, sizeof(t));		/* whatever was in the memory */
	timers_init(&t, now);
}

static void never_early_never_forgotten(void **state)
{
	uint64_t due[N], now = 7777 * MS;
	unsigned gone = 0;

	(void)state;
	fresh(now);
	srand(1);
	for (int i = 0; i < N; i++) {
		due[i] = now + (uint64_t)(rand() % 200000) * MS;	/* up to several rounds */
		timers_set(&t, &nodes[i], due[i]);
	}
	while (gone < N) {
		struct timer *n;
		int ms = timers_wait_ms(&t, now);

		assert_true(ms >= 0 && ms <= 1001);
		now += (uint64_t)(ms ? ms : 1) * MS;
		while ((n = timers_expired(&t, now))) {
			uint64_t d = due[n - nodes];

			assert_true(d && d <= now);
			assert_true(now - d <= (2 * TIMER_TICK_MS + 2) * MS);
			due[n - nodes] = 0;
			gone++;
		}
		assert_true(now < 400000 * MS);
	}
	assert_int_equal(timers_wait_ms(&t, now), -1);
}

static void later_moves_without_work_earlier_moves_at_once(void **state)
{
	(void)state;
	fresh(0);
	timers_set(&t, &nodes[0], 100 * MS);
	uint32_t b = nodes[0].bucket;
	timers_set(&t, &nodes[0], 5000 * MS);
	assert_int_equal(nodes[0].bucket, b);
	assert_null(timers_expired(&t, 4900 * MS));
	timers_set(&t, &nodes[0], 4950 * MS);
	assert_ptr_equal(timers_expired(&t, 5100 * MS), &nodes[0]);
	assert_int_equal(t.armed, 0);
}

static void none_is_none(void **state)
{
	(void)state;
	fresh(0);
	timers_set(&t, &nodes[1], 10 * MS);
	uint32_t b = nodes[1].bucket;
	timers_set(&t, &nodes[1], 0);
	assert_int_equal(nodes[1].bucket, b);	/* taken away without work */
	timers_set(&t, &nodes[1], 20 * MS);
	assert_int_equal(nodes[1].bucket, b);
	timers_set(&t, &nodes[1], 0);
	assert_null(timers_expired(&t, 100000 * MS));
	assert_int_equal(t.armed, 0);
	/* After a long pause without timers a new one is not late. */
	timers_set(&t, &nodes[2], 100200 * MS);
	assert_null(timers_expired(&t, 100100 * MS));
	assert_ptr_equal(timers_expired(&t, 100300 * MS), &nodes[2]);
}

/* One that is given a deadline in the past as it expires comes again, in a later tick: who
 * does so each time holds up nobody. */
static void past_again_and_again(void **state)
{
	struct timer *n;
	unsigned times = 0, other = 0;

	(void)state;
	fresh(0);
	timers_set(&t, &nodes[0], 100 * MS);
	timers_set(&t, &nodes[1], 900 * MS);
	for (uint64_t now = 0; now <= 1000 * MS; now += 500 * MS)
		while ((n = timers_expired(&t, now))) {
			other += n == &nodes[1];
			if (n == &nodes[0])
				timers_set(&t, n, 100 * MS);
			assert_true(++times < 100);
		}
	assert_int_equal(other, 1);
	assert_int_equal(t.armed, 1);
	assert_true(times > 1);
}

/* Nothing is looked at before its time: who waits for long is woken each second at most, also for
 * one that is more than a round away, that was moved, or whose deadline was taken away. */
static void far_away_costs_nothing(void **state)
{
	uint64_t now = 1000 * MS;
	unsigned turns = 0;

	(void)state;
	fresh(now);
	timers_set(&t, &nodes[0], 41000 * MS);
	timers_set(&t, &nodes[1], 2000 * MS);
	timers_set(&t, &nodes[1], 91000 * MS);
	timers_set(&t, &nodes[2], 3000 * MS);
	timers_set(&t, &nodes[2], 0);
	while (now < 91000 * MS) {
		struct timer *n;

		now += (uint64_t)timers_wait_ms(&t, now) * MS;
		turns++;
		while ((n = timers_expired(&t, now)))
			assert_in_range(now, (n == &nodes[0] ? 41000 : 91000) * MS,
					(n == &nodes[0] ? 41000 : 91000) * MS + 2 * TIMER_TICK_MS * MS);
	}
	assert_in_range(turns, 88, 100);
	fresh(0);
	timers_set(&t, &nodes[0], 120 * MS);
	assert_int_equal(nodes[0].bucket_ns, 150 * MS);
	assert_int_equal(timers_wait_ms(&t, 0), 151);
	assert_int_equal(timers_wait_ms(&t, 149 * MS), 2);
	assert_int_equal(timers_wait_ms(&t, 150 * MS), 0);	/* it is its turn */
	assert_int_equal(timers_wait_ms(&t, 500 * MS), 0);
	timers_set(&t, &nodes[0], 150 * MS);			/* that very moment */
	assert_ptr_equal(timers_expired(&t, 150 * MS), &nodes[0]);
	assert_int_equal(t.armed, 0);
}

/* One that is taken out does not come, and nobody misses it; twice is once. */
static void taken_out(void **state)
{
	(void)state;
	fresh(0);
	timers_del(&t, &nodes[0]);
	for (int i = 0; i < 3; i++)
		timers_set(&t, &nodes[i], 100 * MS);
	timers_del(&t, &nodes[1]);
	timers_del(&t, &nodes[1]);
	assert_int_equal(t.armed, 2);
	assert_ptr_equal(timers_expired(&t, 200 * MS), &nodes[0]);
	assert_ptr_equal(timers_expired(&t, 200 * MS), &nodes[2]);
	assert_null(timers_expired(&t, 200 * MS));
	assert_int_equal(timers_wait_ms(&t, 200 * MS), -1);
	timers_set(&t, &nodes[1], 250 * MS);
	assert_null(timers_expired(&t, 249 * MS));
	assert_ptr_equal(timers_expired(&t, 350 * MS), &nodes[1]);
}

/* One whose bucket comes up by then is not moved, and is due when that comes up; any other stays
 * as it is. */
static void kept(void **state)
{
	(void)state;
	fresh(0);
	assert_false(timer_keeps(&nodes[0], UINT64_MAX));
	timers_set(&t, &nodes[0], 120 * MS);
	timers_set(&t, &nodes[0], 5000 * MS);
	assert_false(timer_keeps(&nodes[0], 150 * MS - 1));
	assert_null(timers_expired(&t, 100 * MS));
	assert_true(timer_keeps(&nodes[0], 150 * MS));
	assert_null(timers_expired(&t, 149 * MS));
	assert_ptr_equal(timers_expired(&t, 150 * MS), &nodes[0]);
	assert_int_equal(t.armed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_early_never_forgotten),
		cmocka_unit_test(later_moves_without_work_earlier_moves_at_once),
		cmocka_unit_test(none_is_none),
		cmocka_unit_test(past_again_and_again),
		cmocka_unit_test(far_away_costs_nothing),
		cmocka_unit_test(taken_out),
		cmocka_unit_test(kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
