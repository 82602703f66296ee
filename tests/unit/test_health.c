/* SPDX-License-Identifier: BSD-2-Clause */
/* test_health.c - the words and the status of every condition. */
#include "health.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fake_wal.h"

static char buf[HEALTH_TEXT];
static size_t len;

static void test_ready(void **state)
{
	struct health h = { 0 };

	(void)state;
	assert_true(health_ready(&h));
	assert_int_equal(health_text(&h, buf, sizeof buf, &len), 200);
	assert_string_equal(buf, "ready\n");
	assert_int_equal(len, strlen(buf));
	assert_string_equal(health_word(&h), "ready");
}

static void test_each(void **state)
{
	(void)state;
	for (unsigned c = 0; c < HEALTH_CONDITIONS; c++) {
		struct health h = { 0 };
		bool note = HEALTH_NOTES >> c & 1;

		health_set(&h, c, 0);
		assert_int_equal(health_ready(&h), note);
		assert_true(health_is(&h, c));
		assert_int_equal(health_text(&h, buf, sizeof buf, &len), note ? 200 : 503);
		assert_int_equal(len, strlen(buf));
		assert_int_equal(!strncmp(buf, "ready\nnote: ", 12), note);
		assert_non_null(strstr(buf, health_condition_word(c)));
		assert_int_equal(!strcmp(health_word(&h), "ready"), note);
		health_clear(&h, c);
		assert_true(health_ready(&h));
		assert_int_equal(health_text(&h, buf, sizeof buf, &len), 200);
	}
}

static void test_reasons(void **state)
{
	struct health h = { 0 };

	(void)state;
	health_set(&h, HEALTH_NOSPACE, -ENOSPC);
	health_set(&h, HEALTH_LANE_FAILED, -EIO);
	health_set(&h, HEALTH_LANE_FAILED, -EROFS);	/* the first stands */
	assert_int_equal(health_text(&h, buf, sizeof buf, &len), 503);
	assert_non_null(strstr(buf, "lane-failed"));
	assert_non_null(strstr(buf, strerror(EIO)));
	assert_null(strstr(buf, strerror(EROFS)));
	assert_non_null(strstr(buf, "no-space"));
	assert_string_equal(health_word(&h), "stuck");
	health_clear(&h, HEALTH_NOSPACE);
	assert_true(health_is(&h, HEALTH_LANE_FAILED));
	health_clear(&h, HEALTH_LANE_FAILED);
	health_set(&h, HEALTH_LANE_FAILED, -EROFS);	/* a new one */
	health_text(&h, buf, sizeof buf, &len);
	assert_non_null(strstr(buf, strerror(EROFS)));
	health_set(&h, HEALTH_DRAINING, 0);
	assert_string_equal(health_word(&h), "draining");
}

static void test_progress(void **state)
{
	struct health h = { 0 };

	(void)state;
	health_set(&h, HEALTH_RECOVERING, 0);
	health_text(&h, buf, sizeof buf, &len);
	assert_null(strstr(buf, "MiB"));
	health_progress(&h, 5u << 20, 20u << 20);
	health_text(&h, buf, sizeof buf, &len);
	assert_non_null(strstr(buf, "(5 of 20 MiB)"));
}

/* Everything at once fits, and too small a buffer is cut, not passed. */
static void test_room(void **state)
{
	struct health h = { 0 };
	char small[40];

	(void)state;
	for (unsigned c = 0; c < HEALTH_CONDITIONS; c++)
		health_set(&h, c, -EIO);
	health_progress(&h, UINT64_MAX, UINT64_MAX);
	health_text(&h, buf, sizeof buf, &len);
	assert_true(len < sizeof buf - 1);
	assert_int_equal(buf[len - 1], '\n');
	assert_int_equal(health_text(&h, small, sizeof small, &len), 503);
	assert_int_equal(len, sizeof small - 1);
	assert_int_equal(strlen(small), len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready), cmocka_unit_test(test_each),
		cmocka_unit_test(test_reasons), cmocka_unit_test(test_progress),
		cmocka_unit_test(test_room),
	};

	(void)fake_add, (void)fake_reset;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
