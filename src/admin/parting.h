/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parting.h - the message about a store that could not be closed in order.
 *
 * A store whose last write failed does not know whether all acknowledged records are still
 * there.  So the files are looked at, as the next start will do, and the message says what
 * was found.
 */
#ifndef ADMIN_PARTING_H
#define ADMIN_PARTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct parting {		/* the last acknowledged sequence number of each lane */
	unsigned lanes;
	uint64_t durable[LANES_MAX];
};

/* To be called while the store is still open. */
void parting_note(struct parting *p, struct store *w);
/* After store_close() has failed: writes a sentence about what is there now to words.  moved: the
 * path leads elsewhere, so that nothing can be said. */
void parting_words(const struct parting *p, const char *store, const char *nvmm, bool moved,
		   char *words, size_t n);

#endif
