/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_parting.c - what a server says at its end of what it leaves behind, over a store that
 * is the test's.
 */
#include "admin/parting.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tool/rec_tool.h"

static unsigned lanes, freed;
static struct store_lane_stats stats[4];
static struct rec_lane_report lane[4];
static const struct rec_lane_row row;
static struct report there;
static int err;

unsigned store_lanes(const struct store *w)
{
	(void)w;
	return lanes;
}

int store_stats(struct store *w, unsigned i, struct store_lane_stats *s)
{
	(void)w;
	*s = stats[i];
	return i == 1 ? -ENOENT : 0;	/* one that this run does not use */
}

int store_check(const struct rec_tool *t, struct report *r)
{
	assert_string_equal(t->store_dir, "/store");
	assert_string_equal(t->nvmm_path, "/nvmm");
	assert_true(t->quick);
	assert_false(t->adopt);
	*r = there;
	return err;
}

static uint64_t unread;

uint64_t report_unread(const struct report *r)
{
	(void)r;
	return unread;
}

uint64_t report_damaged(const struct report *r)
{
	return r->findings;		/* stands for it */
}

void report_fini(struct report *r)
{
	(void)r;
	freed++;
}

const char *store_strerror(int e)
{
	return strerror(-e);
}

static void says(const struct parting *p, bool moved, const char *want)
{
	char words[256] = "";

	freed = 0;
	parting_words(p, "/store", "/nvmm", moved, words, sizeof(words));
	assert_string_equal(words, want);
	assert_int_equal(freed, !moved);
}

static void test_words(void **state)
{
	static const char fine[] = "what was acknowledged is still there, the next start recovers it";
	struct parting p;

	(void)state;
	memset(&p, 0xff, sizeof(p));
	lanes = 3;
	stats[0].durable_seq = 7;
	stats[1].durable_seq = 99;
	stats[2].durable_seq = 5;
	parting_note(&p, NULL);
	there = (struct report){ .lanes = 3, .lane = lane };
	lane[0] = (struct rec_lane_report){ .row = &row, .next_seq = 8 };
	lane[2] = (struct rec_lane_report){ .lane = 2, .row = &row, .next_seq = 6 };
	says(&p, false, fine);
	lane[2].next_seq = 100;
	says(&p, false, fine);
	lane[2].next_seq = 5;
	says(&p, false, "lane 2 has acknowledged up to 2-5, and what is there now ends at 2-4");
	lane[2].row = NULL;
	says(&p, false, "lane 2 has acknowledged up to 2-5, and what is there now ends at 2-0");
	lane[0].next_seq = 7;			/* the first is told */
	says(&p, false, "lane 0 has acknowledged up to 0-7, and what is there now ends at 0-6");
	there.findings = 3;			/* more is lost than that */
	says(&p, false, "lane 0 has acknowledged up to 0-7, and what is there now ends at 0-6");
	lane[0].next_seq = 8;
	lane[2] = (struct rec_lane_report){ .lane = 2, .row = &row, .next_seq = 6 };
	says(&p, false, "3 places are damaged or missing: pasted-recover check lists them");
	unread = 2;
	says(&p, false, "3 places are damaged or missing: pasted-recover check lists them");
	unread = 3;
	says(&p, false, "3 places cannot be read now: pasted-recover check lists them");
	there.lanes = 2;			/* the third is not there at all */
	says(&p, false, "lane 2 has acknowledged up to 2-5, and what is there now ends at 2-0");
	says(&p, true, "it is no longer at its path, where pasted-recover check would tell what is there");
	err = -EIO;
	says(&p, false, "what is there cannot be looked at now (Input/output error): pasted-recover check tells, "
	     "when it can be");
	strcpy(there.why, "in use");
	says(&p, false, "what is there cannot be looked at now (in use): pasted-recover check tells, when it can be");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
