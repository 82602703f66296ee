/* SPDX-License-Identifier: BSD-2-Clause */
/* parting.c - see parting.h. */
#include "admin/parting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tool/rec_tool.h"

void parting_note(struct parting *p, struct store *w)
{
	struct store_lane_stats s;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < store_lanes(w); i++) {
		if (!store_stats(w, i, &s))
			p->durable[i] = s.durable_seq;
		p->lanes = i + 1;
	}
}

/* The last sequence number of the lane that the next start will find. */
static uint64_t found(const struct report *r, unsigned lane)
{
	return lane < r->lanes && r->lane[lane].row ? r->lane[lane].next_seq - 1 : 0;
}

void parting_words(const struct parting *p, const char *store, const char *nvmm, bool moved,
		   char *words, size_t n)
{
	const struct rec_tool tool = { .store_dir = store, .nvmm_path = nvmm, .quick = true };
	struct report r = { 0 };
	uint64_t damaged;
	int err;

	if (moved) {
		snprintf(words, n, "it is no longer at its path, where pasted-recover check would tell what "
			 "is there");
		return;
	}
	err = store_check(&tool, &r);
	damaged = err ? 0 : report_damaged(&r);
	if (err)
		snprintf(words, n, "what is there cannot be looked at now (%s): pasted-recover check tells, "
			 "when it can be", r.why[0] ? r.why : store_strerror(err));
	else if (damaged)
		snprintf(words, n, "%" PRIu64 " places %s: pasted-recover check lists them", damaged,
			 report_unread(&r) == damaged ? "cannot be read now" : "are damaged or missing");
	else
		snprintf(words, n, "what was acknowledged is still there, the next start recovers it");
	for (unsigned i = 0; i < p->lanes && !err; i++)
		if (found(&r, i) < p->durable[i]) {
			snprintf(words, n, "lane %u has acknowledged up to %u-%" PRIu64 ", and what is there now "
				 "ends at %u-%" PRIu64, i, i, p->durable[i], i, found(&r, i));
			break;
		}
	report_fini(&r);
}
