/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_clock.c - what the clocks say, and when the wall clock is trusted to say that something
 * is old.
 */
#include "util/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include <cmocka.h>

/* ---- the system's ---- */

static struct timespec now[CLOCK_BOOTTIME + 1];
static int status, ntp_res;

/* clock: the test's own */
int clock_gettime(clockid_t id, struct timespec *t)
{
	*t = now[id];
	return 0;
}

/* clock: the test's own */
int adjtimex(struct timex *t)
{
	assert_int_equal(t->modes, 0);
	t->status = status;
	errno = EPERM;
	return ntp_res;
}

/* What asks the system's clocks, as a server's watch does. */
static const struct clock_watch *system_clock(void)
{
	static struct clock_watch c;

	clock_watch_init(&c, clock_wall_ms, NULL, NULL, 0);
	return &c;
}

static void which_clock(void **state)
{
	(void)state;
	now[CLOCK_REALTIME] = (struct timespec){ 1700000000, 123999999 };
	now[CLOCK_MONOTONIC] = (struct timespec){ 55, 1000000 };
	now[CLOCK_BOOTTIME] = (struct timespec){ 77, 999999999 };
	assert_int_equal(clock_wall_ms(), 1700000000123);
	assert_int_equal(clock_monotonic_ms(), 55001);
	assert_int_equal(system_clock()->boot_ms(), 77999);
}

/* The first twelve digits of what the kernel calls its boot. */
static void which_boot(void **state)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
	char id[64] = "";

	(void)state;
	if (!f)
		skip();
	assert_non_null(fgets(id, sizeof(id), f));
	fclose(f);
	assert_int_equal(id[8], '-');
	memmove(id + 8, id + 9, 4);
	id[12] = '\0';
	assert_int_equal(clock_boot(), strtoull(id, NULL, 16));
}

static void a_moment_to_come(void **state)
{
	static const struct { long ns; unsigned ms; long sec, then; } rows[] = {
		{ 0, 0, 10, 0 }, { 5, 1, 10, 1000005 }, { 500000000, 499, 10, 999000000 },
		{ 500000000, 500, 11, 0 }, { 999999999, 1, 11, 999999 }, { 0, 999, 10, 999000000 },
		{ 0, 1000, 11, 0 }, { 900000000, 2900, 13, 800000000 },
	};
	struct timespec end;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		now[CLOCK_MONOTONIC] = (struct timespec){ 10, rows[i].ns };
		clock_after(rows[i].ms, &end);
		assert_int_equal(end.tv_sec, rows[i].sec);
		assert_int_equal(end.tv_nsec, rows[i].then);
	}
}

static void synchronised(void **state)
{
	(void)state;
	ntp_res = TIME_OK;
	status = 0;
	assert_true(system_clock()->synced());
	status = STA_PLL;
	assert_true(system_clock()->synced());
	status = STA_PLL | STA_UNSYNC;
	assert_false(system_clock()->synced());
	ntp_res = TIME_ERROR;		/* it answers all the same */
	status = STA_PLL;
	assert_true(system_clock()->synced());
	ntp_res = -1;			/* it may not be asked */
	assert_false(system_clock()->synced());
	ntp_res = TIME_OK;
}

/* ---- trust ---- */

#define HOUR 3600000ull
#define DAY (24 * HOUR)

static uint64_t wall, boot;
static bool is_synced;

static uint64_t get_wall(void)
{
	return wall;
}

static uint64_t get_boot(void)
{
	return boot;
}

static bool get_synced(void)
{
	return is_synced;
}

static struct clock_watch begin(uint64_t age, uint64_t since_boot, bool synced)
{
	struct clock_watch c;

	wall = 1700000000000;
	boot = since_boot;
	is_synced = synced;
	clock_watch_init(&c, get_wall, get_boot, get_synced, age);
	return c;
}

static void trust(struct clock_watch *c, enum clock_trust want)
{
	uint64_t t = 0;

	assert_int_equal(clock_watch(c, &t), want);
	assert_int_equal(t, wall);
}

/* An hour after boot, or as long as records are kept, or when the kernel says so. */
static void after_boot(void **state)
{
	struct clock_watch c = begin(DAY, 1000, false);

	(void)state;
	trust(&c, CLOCK_UNSYNCED);
	boot = HOUR - 1;
	trust(&c, CLOCK_UNSYNCED);
	boot = HOUR;
	trust(&c, CLOCK_TRUSTED);
	is_synced = false;
	trust(&c, CLOCK_TRUSTED);		/* once it was */
	c = begin(DAY, HOUR, false);
	trust(&c, CLOCK_TRUSTED);
	c = begin(DAY, 1000, true);
	trust(&c, CLOCK_TRUSTED);
	c = begin(DAY, 1000, false);
	trust(&c, CLOCK_UNSYNCED);
	is_synced = true;
	trust(&c, CLOCK_TRUSTED);
	c = begin(60000, 1000, false);		/* kept for a minute */
	boot = 60999;
	trust(&c, CLOCK_UNSYNCED);
	boot = 61000;
	trust(&c, CLOCK_TRUSTED);
	/* Nobody says whether it is. */
	boot = 5;
	clock_watch_init(&c, get_wall, get_boot, NULL, DAY);
	trust(&c, CLOCK_TRUSTED);
	/* A clock of the caller's alone. */
	clock_watch_init(&c, get_wall, NULL, NULL, DAY);
	trust(&c, CLOCK_TRUSTED);
	wall += 100 * DAY;
	trust(&c, CLOCK_TRUSTED);
}

/* It may run ahead by the slack, and an eighth of the age where that is less. */
static void ahead(void **state)
{
	static const struct { uint64_t age, slack; } rows[] = {
		{ DAY, CLOCK_SLACK_MS }, { 80 * 60000, CLOCK_SLACK_MS }, { 80 * 60000 - 8, CLOCK_SLACK_MS - 1 },
		{ 8000, 1000 }, { 7, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct clock_watch c = begin(rows[i].age, 2 * HOUR, false);

		trust(&c, CLOCK_TRUSTED);
		wall += 5000;
		boot += 5000;
		trust(&c, CLOCK_TRUSTED);
		assert_int_equal(c.ahead_ms, 0);
		wall += rows[i].slack;
		trust(&c, CLOCK_TRUSTED);
		assert_int_equal(c.ahead_ms, rows[i].slack);
		wall++;
		trust(&c, CLOCK_AHEAD);
		assert_int_equal(c.ahead_ms, rows[i].slack + 1);
		boot++;				/* the time has caught up */
		trust(&c, CLOCK_TRUSTED);
		wall -= 1000000;		/* behind, and before where it began: nothing is old */
		trust(&c, CLOCK_TRUSTED);
		assert_int_equal(c.ahead_ms, 0);
		wall += 1000000 + rows[i].slack + 7;
		trust(&c, CLOCK_AHEAD);		/* a second time */
	}
}

/* What stands for NULL. */
static void whose(void **state)
{
	struct clock_watch c;

	(void)state;
	clock_watch_init(&c, clock_wall_ms, NULL, NULL, DAY);
	assert_true(c.boot_ms && c.synced && c.now_ms == clock_wall_ms);
	assert_int_equal(c.start_ms, 77999);
	clock_watch_init(&c, clock_wall_ms, get_boot, get_synced, DAY);
	assert_true(c.boot_ms == get_boot && c.synced == get_synced);
	clock_watch_init(&c, get_wall, NULL, NULL, DAY);
	assert_true(!c.boot_ms && !c.synced);
	assert_int_equal(c.start_ms, 0);
	assert_int_equal(c.age_ms, DAY);
	assert_false(c.based);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_clock),
		cmocka_unit_test(which_boot),
		cmocka_unit_test(a_moment_to_come),
		cmocka_unit_test(synchronised),
		cmocka_unit_test(after_boot),
		cmocka_unit_test(ahead),
		cmocka_unit_test(whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
