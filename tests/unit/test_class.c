/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_class.c - the table of durability classes: what is durable of it (the numbers), what is
 * said of each class, what is said of a number that no class has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/class.h"

enum { STORES = 1, HAS_WAL = 2, SYNCS = 4, ON_NVMM = 8, FORGETS = 16, AUTOMATIC = 32, LASTS = 64 };

/* Weakest first.  The numbers stand in files: none of them may ever mean another class. */
static const struct {
	const char *name;
	unsigned number, properties;
} known[] = {
	{ "none", 1, 0 },
	{ "volatile", 2, STORES | HAS_WAL | FORGETS },
	{ "fsync", 3, STORES | LASTS | SYNCS | AUTOMATIC },
	{ "nvmm", 4, STORES | LASTS | HAS_WAL | ON_NVMM | AUTOMATIC },
	{ "nvmm-eadr", 5, STORES | LASTS | HAS_WAL | ON_NVMM | AUTOMATIC },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static unsigned properties(enum durability_class c)
{
	return (class_stores(c) ? STORES : 0) | (class_has_wal(c) ? HAS_WAL : 0) |
	       (class_syncs(c) ? SYNCS : 0) | (class_needs_nvmm(c) ? ON_NVMM : 0) |
	       (class_forgets(c) ? FORGETS : 0) | (class_lasts(c) ? LASTS : 0) |
	       (class_automatic(c) ? AUTOMATIC : 0);
}

static void each_class_is_what_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		enum durability_class c = known[i].number;

		assert_true(class_known(c));
		assert_string_equal(class_name(c), known[i].name);
		assert_int_equal(properties(c), known[i].properties);
		assert_true(strlen(class_promise(c)) > 10);
		for (size_t k = 0; k < KNOWN; k++)
			assert_int_equal(class_weaker(c, known[k].number), i < k);
	}
}

static void a_test_knows_every_class(void **state)
{
	size_t n = 0;

	(void)state;
#define COUNT_ONE(...) n++;
	CLASS_TABLE(COUNT_ONE)
	assert_int_equal(n, KNOWN);
}

/* Such a number may come out of a file. */
static void of_no_other_number_anything_is_true(void **state)
{
	static const unsigned others[] = { 0, 100, 255, 1u << 31, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(class_known(others[i]));
		assert_string_equal(class_name(others[i]), "unknown");
		assert_int_equal(properties(others[i]), 0);
		assert_non_null(class_promise(others[i]));
	}
}

static void the_words_of_a_setting_are_classes(void **state)
{
	const char *at = CLASS_WORDS;
	unsigned n = 0;

	(void)state;
	assert_non_null(strstr(at, "|fsync|"));
	assert_null(strstr(at, "eadr"));		/* nvmm asks for it */
	for (; *at; n++) {
		size_t len = strcspn(++at, "|");

		assert_int_equal(strlen(class_name(class_of_word(n))), len);
		assert_memory_equal(class_name(class_of_word(n)), at, len);
		at += len;
	}
	assert_int_equal(n, KNOWN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_class_is_what_it_is),
		cmocka_unit_test(a_test_knows_every_class),
		cmocka_unit_test(of_no_other_number_anything_is_true),
		cmocka_unit_test(the_words_of_a_setting_are_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
