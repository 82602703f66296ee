/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_refusal.c - which reason a request is refused with, where several apply: the order
 * (refusal.h), and what ingest.c makes of what the lane and the pool say.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/counters.h"
#include "lane/lane.h"
#include "server/conn.h"
#include "server/ingest.h"
#include "server/refusal.h"
#include "server/worker.h"

/* ---- the order ---- */

static struct refusal_facts facts(unsigned set)
{
	return (struct refusal_facts){ .large = set & 1 << REFUSAL_LARGE, .failed = set & 1 << REFUSAL_FAILED,
		.nospace = set & 1 << REFUSAL_NOSPACE ? -ENOSPC : 0, .pool = set & 1 << REFUSAL_POOL };
}

static void test_order(void **state)
{
	static const int status[] = { 413, 503, 507, 503, 503 };

	(void)state;
	/* Of any reasons, the first in the order; none of them: the log. */
	for (unsigned set = 0; set < 1 << REFUSAL_LANE; set++) {
		struct refusal_facts f = facts(set);
		enum refusal first = REFUSAL_LARGE;
		const char *why;

		while (first < REFUSAL_LANE && !(set & 1u << first))
			first++;
		assert_int_equal(refusal_first(&f), first);
		assert_int_equal(refusal_answer(&f, &why), status[first]);
	}
}

static void test_words(void **state)
{
	static const struct {
		struct refusal_facts facts;
		const char *why;
	} rows[] = {
		{ { .large = true }, "larger than a record can be" },
		{ { .failed = true }, "the log of this worker has failed" },
		{ { .nospace = -ENOSPC }, "no room on the disk" },
		{ { .nospace = -EDQUOT, .pool = true }, "the quota on the disk is used up" },
		{ { .pool = true }, "no free buffers; try again later" },
		{ { .pool = true, .unmade = true }, "no free buffers; try again later" },
		{ { .unmade = true }, "the next segment of the log cannot be made; try again later" },
		{ { .unmade = false }, "the log waits for the disk, which makes no progress; try again later" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = NULL;

		refusal_answer(&rows[i].facts, &why);
		assert_string_equal(why, rows[i].why);
	}
}

/* ---- what the lane says ---- */

static struct said {
	int admit, failed, nospace;
	bool refusing;			/* the pool is dry */
	bool idle;			/* the lane owes nothing */
	int prepare_err;
} now;

int __wrap_lane_admit(const struct lane *l, uint64_t bytes);
int __wrap_lane_add(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len);
int __wrap_lane_nospace(const struct lane *l);
int __wrap_lane_failed(const struct lane *l);
void __wrap_lane_drop(struct lane *l, struct frags *r);
bool __wrap_lane_owes(const struct lane *l);
int __wrap_lane_prepare_err(const struct lane *l);

int __wrap_lane_admit(const struct lane *l, uint64_t bytes)
{
	(void)l;
	(void)bytes;
	return now.admit;
}

int __wrap_lane_add(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len)
{
	(void)l;
	(void)r;
	(void)idx;
	(void)off;
	(void)len;
	return now.admit;
}

bool __wrap_lane_owes(const struct lane *l)
{
	(void)l;
	return !now.idle;
}

int __wrap_lane_prepare_err(const struct lane *l)
{
	(void)l;
	return now.prepare_err;
}

void __wrap_lane_drop(struct lane *l, struct frags *r)
{
	(void)l;
	(void)r;
}

int __wrap_lane_nospace(const struct lane *l)
{
	(void)l;
	return now.nospace;
}

int __wrap_lane_failed(const struct lane *l)
{
	(void)l;
	return now.failed;
}

enum { ANY_COUNT = 5 };

static uint64_t counted(const struct counters *c, unsigned i)
{
	const uint64_t of[ANY_COUNT] = { 0, c->refused_failed, c->refused_nospace, c->refused_pool, c->refused_lane };

	return of[i];
}

static void test_admission(void **state)
{
	static const struct {
		struct said said;
		int answer;
		enum refusal counts;
	} rows[] = {
		{ { 0, 0, 0, false, false, 0 }, 0, REFUSAL_LARGE },
		{ { -EAGAIN, 0, 0, false, false, 0 }, -EAGAIN, REFUSAL_LARGE },
		{ { 0, 0, -ENOSPC, false, false, 0 }, 0, REFUSAL_LARGE },		/* there is room in the segment */
		{ { 0, 0, 0, true, false, 0 }, 503, REFUSAL_POOL },
		{ { -EAGAIN, 0, 0, true, false, 0 }, 503, REFUSAL_POOL },
		{ { 0, 0, -ENOSPC, true, false, 0 }, 507, REFUSAL_NOSPACE },
		{ { -EAGAIN, 0, -EDQUOT, true, false, 0 }, 507, REFUSAL_NOSPACE },
		{ { -ENOSPC, 0, 0, false, false, 0 }, 507, REFUSAL_NOSPACE },
		{ { -ENOSPC, 0, -ENOSPC, true, false, 0 }, 507, REFUSAL_NOSPACE },
		{ { -EIO, -EIO, 0, false, false, 0 }, 503, REFUSAL_FAILED },
		{ { -EIO, -EIO, -ENOSPC, true, false, 0 }, 503, REFUSAL_FAILED },
		{ { -EFBIG, 0, 0, false, false, 0 }, 413, REFUSAL_LARGE },
		{ { -EFBIG, 0, -ENOSPC, false, false, 0 }, 413, REFUSAL_LARGE },
		{ { -EFBIG, -EIO, -ENOSPC, true, false, 0 }, 413, REFUSAL_LARGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct worker *w = calloc(1, sizeof(*w));
		struct conn *c = calloc(1, sizeof(*c));
		struct counters *count = aligned_alloc(64, (sizeof(*count) + 63) / 64 * 64);
		const char *why;

		*count = (struct counters){ 0 };
		w->count = count;
		now = rows[i].said;
		w->refusing = now.refusing;
		assert_int_equal(ingest_admit(w, c, &why), rows[i].answer);
		for (unsigned k = 1; k < ANY_COUNT; k++)
			assert_int_equal(counted(count, k), k == rows[i].counts);
		free(count);
		free(c);
		free(w);
	}
}

/* In the middle of a body, and when its time to wait is over. */
static void test_on_the_way(void **state)
{
	static const struct {
		struct said said;
		int add, no_buffers, log_full;
		bool pool;			/* the log is full because the buffers are gone */
	} rows[] = {
		{ { -ENOBUFS, 0, 0, false, false, 0 }, -EAGAIN, 503, 503, false },
		{ { -ENOBUFS, 0, 0, false, true, 0 }, -EAGAIN, 503, 503, true },
		{ { -ENOBUFS, 0, 0, false, true, -EIO }, -EAGAIN, 503, 503, false },
		{ { -ENOBUFS, 0, 0, true, false, 0 }, 503, 503, 503, true },
		{ { -ENOBUFS, 0, -ENOSPC, true, false, 0 }, 507, 507, 507, false },
		{ { -EFBIG, 0, -ENOSPC, true, false, 0 }, 413, 507, 507, false },
		{ { -ENOBUFS, -EIO, -ENOSPC, true, false, 0 }, 503, 503, 503, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct worker *w = calloc(1, sizeof(*w));
		struct conn *c = calloc(1, sizeof(*c));
		struct counters *count = aligned_alloc(64, (sizeof(*count) + 63) / 64 * 64);
		const char *why;
		uint64_t before;

		*count = (struct counters){ 0 };
		w->count = count;
		c->rec = FRAGS_INIT;
		now = rows[i].said;
		w->refusing = now.refusing;
		assert_int_equal(ingest_no_buffers(w, &why), rows[i].no_buffers);
		before = count->refused_pool;
		assert_int_equal(ingest_log_full(w, &why), rows[i].log_full);
		assert_int_equal(count->refused_pool - before, rows[i].pool);
		assert_int_equal(ingest_add(w, c, 0, 0, 1, &why), rows[i].add);
		free(count);
		free(c);
		free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_words), cmocka_unit_test(test_admission),
		cmocka_unit_test(test_on_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
