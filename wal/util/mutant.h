/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutant.h - names for the operations that durability rests on, so that a test
 * build can leave out exactly one of them and see whether the tests notice.
 *
 *	if (!MUTANT(lane_data_fence))
 *		pm->fence(pm->ctx);
 *
 * In the product MUTANT() is 0 and costs nothing.  With -DPASTED_MUTANT it is true
 * for the one name in the environment variable PASTED_MUTANT, which is read once.
 * A name is used at one place only; the list is made from the sources, and
 * tests/mutants/names.txt says for each what breaks without the operation.
 */
#ifndef UTIL_MUTANT_H
#define UTIL_MUTANT_H

#ifdef PASTED_MUTANT
#include <stdlib.h>
#include <string.h>

static inline int mutant_is(const char *name)
{
	static const char *chosen;
	/* relaxed is enough: every thread finds the same name */
	const char *is = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (!is) {
		is = getenv("PASTED_MUTANT");
		if (!is)
			is = "";
		__atomic_store_n(&chosen, is, __ATOMIC_RELAXED);
	}
	return !strcmp(is, name);
}
#define MUTANT(n) mutant_is(#n)
#else
#define MUTANT(n) 0
#endif

#endif
