/* SPDX-License-Identifier: BSD-2-Clause */
/* parting.c - see parting.h. */
#include "parting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rec_tool.h"

void parting_note(struct parting *p, struct wal *w)
{
	struct wal_lane_stats s;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < wal_lanes(w); i++) {
		if (!wal_stats(w, i, &s))
			p->durable[i] = s.durable_seq;
		p->lanes = i + 1;
	}
}

/* The last number of the lane that another start would find. */
static uint64_t found(const struct wal_report *r, unsigned lane)
{
	return lane < r->lanes && r->lane[lane].row ? r->lane[lane].next_seq - 1 : 0;
}

void parting_words(const struct parting *p, const char *store, const char *nvmm, bool moved,
		   char *words, size_t n)
{
	const struct rec_tool tool = { .store_dir = store, .nvmm_path = nvmm, .quick = true };
	struct wal_report r = { 0 };
	uint64_t damaged;
	int err;

	if (moved) {
		snprintf(words, n, "it is no longer at its path, where pasted-recover check would tell what "
			 "is there");
		return;
	}
	err = wal_check(&tool, &r);
	damaged = err ? 0 : wal_report_damaged(&r);
	if (err)
		snprintf(words, n, "what is there cannot be looked at now (%s): pasted-recover check tells, "
			 "when it can be", r.why[0] ? r.why : wal_strerror(err));
	else if (damaged)
		snprintf(words, n, "%" PRIu64 " places %s: pasted-recover check lists them", damaged,
			 wal_report_unread(&r) == damaged ? "cannot be read now" : "are damaged or missing");
	else
		snprintf(words, n, "what was acknowledged is still there, the next start recovers it");
	for (unsigned i = 0; i < p->lanes && !err; i++)
		if (found(&r, i) < p->durable[i]) {
			snprintf(words, n, "lane %u has acknowledged up to %u-%" PRIu64 ", and what is there now "
				 "ends at %u-%" PRIu64, i, i, p->durable[i], i, found(&r, i));
			break;
		}
	wal_report_fini(&r);
}
