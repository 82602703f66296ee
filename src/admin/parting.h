/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parting.h - a store that could not be closed in order: what is said of it.
 *
 * Whether what was acknowledged is still there is not known to who has just failed: it is
 * found out by looking at the files, as the next start will, and said as it is.
 */
#ifndef ADMIN_PARTING_H
#define ADMIN_PARTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct parting {		/* up to where each lane has acknowledged */
	unsigned lanes;
	uint64_t durable[LANES_MAX];
};

/* While the store is still open. */
void parting_note(struct parting *p, struct store *w);
/* After it was closed with err: a sentence about what is there now.  moved: its path leads
 * elsewhere, so that nothing can be said. */
void parting_words(const struct parting *p, const char *store, const char *nvmm, bool moved,
		   char *words, size_t n);

#endif
