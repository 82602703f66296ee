/* SPDX-License-Identifier: BSD-2-Clause */
/* test_health.c - the words and the status of every condition. */
#include "admin/health.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fake_store.h"

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

/* The whole body for one condition, as health.h words it. */
static void expect_line(const struct health *h, enum health_condition c, const char *extra)
{
	static const struct { const char *word, *what, *todo; } table[] = {
#define X(name, word, what, todo) { word, what, todo },
		HEALTH_TABLE(X)
#undef X
	};
	bool note = HEALTH_NOTES >> c & 1;
	char want[HEALTH_TEXT];

	snprintf(want, sizeof want, "%s: %s: %s%s; %s\n", note ? "ready\nnote" : "not ready", table[c].word,
		 table[c].what, extra, table[c].todo);
	health_text(h, buf, sizeof buf, &len);
	assert_string_equal(buf, want);
	assert_int_equal(len, strlen(want));
	assert_string_equal(health_condition_word(c), table[c].word);
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
		expect_line(&h, c, c == HEALTH_SILENT ? " for 0 s" : "");
		assert_int_equal(!strcmp(health_word(&h), "ready"), note);
		health_clear(&h, c);
		assert_true(health_ready(&h));
		assert_int_equal(health_text(&h, buf, sizeof buf, &len), 200);
		assert_string_equal(buf, "ready\n");
		health_set(&h, c, -EIO);
		expect_line(&h, c, c == HEALTH_SILENT ? " (Input/output error) for 0 s" : " (Input/output error)");
	}
}

/* One word for all that is set: what ends the server hides what begins it, and both what is wrong. */
static void test_word(void **state)
{
	static const struct { enum health_condition c; const char *word; } rising[] = {
		{ HEALTH_STORE_MOVED, "ready" }, { HEALTH_NOSPACE, "stuck" }, { HEALTH_SILENT, "stuck" },
		{ HEALTH_STARTING, "starting" }, { HEALTH_RECOVERING, "recovering" }, { HEALTH_DRAINING, "draining" },
	};
	struct health h = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rising / sizeof *rising; i++) {
		struct health alone = { 0 };

		health_set(&alone, rising[i].c, 0);
		assert_string_equal(health_word(&alone), rising[i].word);
		health_set(&h, rising[i].c, 0);
		assert_string_equal(health_word(&h), rising[i].word);
	}
}

/* How long the disk has not answered, twice; other conditions stay as they are. */
static void test_silent(void **state)
{
	struct health h = { 0 };

	(void)state;
	health_silent(&h, 0);
	assert_int_equal(h.set, 0);
	for (int i = 0; i < 2; i++) {
		health_silent(&h, 2999);
		expect_line(&h, HEALTH_SILENT, " for 2 s");
		health_silent(&h, 61000);
		expect_line(&h, HEALTH_SILENT, " for 61 s");
		assert_int_equal(h.set, 1u << HEALTH_SILENT);
		assert_int_equal(h.err[HEALTH_SILENT], 0);
		health_silent(&h, 0);
		assert_int_equal(h.set, 0);
		assert_int_equal(h.silent_ms, 0);
	}
	health_set(&h, HEALTH_LANE_FAILED, -EIO);
	health_silent(&h, 0);
	assert_int_equal(h.set, 1u << HEALTH_LANE_FAILED);
	health_silent(&h, 5000);
	health_silent(&h, 0);
	assert_int_equal(h.set, 1u << HEALTH_LANE_FAILED);
	expect_line(&h, HEALTH_LANE_FAILED, " (Input/output error)");
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
	assert_non_null(strstr(buf, "replayed (5 of 20 MiB); wait\n"));
	health_clear(&h, HEALTH_RECOVERING);
	health_set(&h, HEALTH_NOSPACE, 0);	/* what was done is no matter of another condition */
	expect_line(&h, HEALTH_NOSPACE, "");
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
	for (size_t n = 1; n < sizeof small; n++) {	/* at each place where a text may be cut */
		memset(small, 'x', sizeof small);
		assert_int_equal(health_text(&h, small, n, &len), 503);
		assert_int_equal(len, n - 1);
		assert_int_equal(strlen(small), len);
		assert_int_equal(small[n], 'x');
		assert_memory_equal(small, buf, len);
	}
	h = (struct health){ 0 };		/* just enough, and one byte less */
	assert_int_equal(health_text(&h, small, sizeof "ready\n", &len), 200);
	assert_string_equal(small, "ready\n");
	assert_int_equal(health_text(&h, small, sizeof "ready\n" - 1, &len), 200);
	assert_string_equal(small, "ready");
	assert_int_equal(len, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready), cmocka_unit_test(test_each),
		cmocka_unit_test(test_reasons), cmocka_unit_test(test_progress),
		cmocka_unit_test(test_room), cmocka_unit_test(test_word), cmocka_unit_test(test_silent),
	};

	(void)fake_add, (void)fake_reset;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
