/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_pages.h - the bytes of a simulated file, in pages that copies share until one of
 * them is written to: a crash test makes a million images that differ in a few lines.
 *
 * A page that is not there is all zeros.  Bytes of a page behind the length are zero.
 */
#ifndef SIM_PAGES_H
#define SIM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE 4096u

struct sim_page {
	unsigned refs;
	uint8_t	 data[SIM_PAGE];
};
struct sim_pages {		/* all zero: no bytes */
	struct sim_page **page;
	size_t	 n;		/* pages */
	uint64_t len;
};

void sim_pages_free(struct sim_pages *b);
void sim_pages_copy(struct sim_pages *to, const struct sim_pages *from);	/* over nothing */
void sim_pages_resize(struct sim_pages *b, uint64_t len);
void sim_pages_write(struct sim_pages *b, uint64_t off, const void *p, size_t n);
void sim_pages_read(const struct sim_pages *b, uint64_t off, void *p, size_t n);
/* From off to the end of its page. */
const uint8_t *sim_pages_at(const struct sim_pages *b, uint64_t off);
bool sim_pages_same(const struct sim_pages *a, const struct sim_pages *b);

#endif
