/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter.c - linked into each mutant test: PASTED_TEST=name runs that one test of the
 * program only, so that run.py can try the one that is likely to kill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor))
static void filter(void)
{
	const char *name = getenv("PASTED_TEST");

	if (name && *name)
		cmocka_set_test_filter(name);
}
