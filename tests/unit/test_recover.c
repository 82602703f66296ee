/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_recover.c - the decision tables of recovery: every combination of facts matches
 * exactly one row, and for each row what it must decide.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "recovery/recover.h"
#include "store/store.h"
#include "tool/progress.h"
#include "tool/report.h"

static bool possible(const struct rec_facts *f)
{
	if (f->store != RS_GOOD && f->attached != RA_NO)
		return false;
	return f->attached != RA_NO || f->wal == RW_GONE;
}

/* rec_decide and rec_lane_decide abort when no row or two rows match. */
static void test_every_store(void **state)
{
	unsigned seen = 0, used = 0;
	bool hit[64] = { false };

	(void)state;
	for (unsigned s = 0; s < RS_COUNT; s++)
	for (unsigned a = 0; a < RA_COUNT; a++)
	for (unsigned w = 0; w < RW_COUNT; w++)
	for (unsigned t = 0; t < RT_COUNT; t++)
	for (unsigned g = 0; g < 2; g++) {
		struct rec_facts f = { s, a, w, t, g };

		if (!possible(&f))
			continue;
		hit[rec_decide(&f) - rec_rows] = true;
		seen++;
	}
	for (unsigned i = 0; i < rec_rows_count; i++)
		used += hit[i];
	assert_true(seen > 100);
	assert_int_equal(used, rec_rows_count);		/* no row is idle */
}

static void test_every_lane(void **state)
{
	bool hit[64] = { false };
	unsigned used = 0;

	(void)state;
	for (unsigned s = 0; s < RSEG_COUNT; s++)
		for (unsigned w = 0; w < RLW_COUNT; w++) {
			struct rec_lane_facts f = { s, w };

			hit[rec_lane_decide(&f) - rec_lane_rows] = true;
		}
	for (unsigned i = 0; i < rec_lane_rows_count; i++)
		used += hit[i];
	assert_int_equal(used, rec_lane_rows_count);
}

/* ---- one test per row ---- */

struct store_case {
	const char *label;
	struct rec_facts f;
	enum rec_action action;
	int error;
};

static void test_store_row(void **state)
{
	const struct store_case *c = *state;
	const struct rec_row *r = rec_decide(&c->f);

	assert_string_equal(r->label, c->label);
	assert_int_equal(r->action, c->action);
	assert_int_equal(r->error, c->error);
}

static struct store_case store_cases[] = {
	{ "busy", { RS_BUSY, RA_NO, RW_GONE, RT_STORE, false }, REC_REFUSE, STORE_EBUSY },
	{ "other version", { RS_VERSION, RA_NO, RW_GONE, RT_READ, false }, REC_REFUSE,
	  STORE_EVERSION },
	{ "other byte order", { RS_ORDER, RA_NO, RW_GONE, RT_WAL_FREE, false }, REC_REFUSE,
	  STORE_EBYTEORDER },
	{ "not a store", { RS_BAD, RA_NO, RW_GONE, RT_STORE, true }, REC_REFUSE, STORE_EFORMAT },
	{ "store file lost", { RS_LOST, RA_NO, RW_GONE, RT_STORE, true }, REC_REFUSE, STORE_EFORMAT },
	{ "store file of another store", { RS_FOREIGN, RA_NO, RW_GONE, RT_WAL_FREE, false },
	  REC_REFUSE, STORE_EMISMATCH },
	{ "store file unreadable", { RS_UNREADABLE, RA_NO, RW_GONE, RT_STORE, true }, REC_REFUSE, -EIO },
	{ "no store", { RS_BLANK, RA_NO, RW_GONE, RT_READ, false }, REC_REFUSE, STORE_ENODIR },
	{ "new store", { RS_NONE, RA_NO, RW_GONE, RT_STORE, false }, REC_CREATE, 0 },
	{ "wal of another store", { RS_GOOD, RA_LASTING, RW_FOUND, RT_WAL_OTHER, false },
	  REC_REFUSE, STORE_EMISMATCH },
	{ "wal of a copy", { RS_GOOD, RA_NO, RW_GONE, RT_WAL_TAKEN, false }, REC_REFUSE,
	  STORE_EMISMATCH },
	{ "wal in use", { RS_NONE, RA_NO, RW_GONE, RT_WAL_BUSY, false }, REC_REFUSE, STORE_EBUSY },
	{ "wal taken", { RS_GOOD, RA_VOLATILE, RW_TAKEN, RT_READ, true }, REC_REFUSE,
	  STORE_EMISMATCH },
	{ "wal busy", { RS_GOOD, RA_LASTING, RW_BUSY, RT_STORE, true }, REC_REFUSE, STORE_EBUSY },
	{ "not a wal", { RS_NONE, RA_NO, RW_GONE, RT_WAL_BAD, false }, REC_REFUSE, STORE_EFORMAT },
	{ "segments", { RS_GOOD, RA_NO, RW_GONE, RT_WAL_FREE, false }, REC_SEGMENTS, 0 },
	{ "replay", { RS_GOOD, RA_LASTING, RW_FOUND, RT_STORE, false }, REC_REPLAY, 0 },
	{ "volatile wal of an earlier boot", { RS_GOOD, RA_FORGOTTEN, RW_HEADLESS, RT_STORE, false },
	  REC_REPLAY, 0 },
	{ "volatile wal cut", { RS_GOOD, RA_FORGOTTEN, RW_BAD, RT_STORE, false }, REC_LOST, 0 },
	{ "volatile wal gone", { RS_GOOD, RA_VOLATILE, RW_GONE, RT_READ, false }, REC_LOST, 0 },
	{ "wal missing", { RS_GOOD, RA_LASTING, RW_GONE, RT_WAL_FREE, false }, REC_REFUSE,
	  STORE_EWALMISSING },
	{ "missing wal given up", { RS_GOOD, RA_LASTING, RW_GONE, RT_STORE, true }, REC_LOST, 0 },
	{ "wal damaged", { RS_GOOD, RA_VOLATILE, RW_BAD, RT_STORE, false }, REC_REFUSE,
	  STORE_EFORMAT },
	{ "wal unreadable", { RS_GOOD, RA_VOLATILE, RW_UNREADABLE, RT_STORE, false }, REC_REFUSE,
	  -EIO },
	{ "unreadable wal given up", { RS_GOOD, RA_LASTING, RW_UNREADABLE, RT_STORE, true },
	  REC_LOST, 0 },
	{ "head lost", { RS_GOOD, RA_LASTING, RW_HEADLESS, RT_READ, false }, REC_REFUSE,
	  STORE_EFORMAT },
	{ "lost head given up", { RS_GOOD, RA_LASTING, RW_HEADLESS, RT_STORE, true }, REC_REPLAY,
	  0 },
	{ "damaged wal given up", { RS_GOOD, RA_LASTING, RW_BAD, RT_STORE, true }, REC_LOST, 0 },
};

struct lane_case {
	const char *label;
	struct rec_lane_facts f;
	unsigned actions;
};

static void test_lane_row(void **state)
{
	const struct lane_case *c = *state;
	const struct rec_lane_row *r = rec_lane_decide(&c->f);

	assert_string_equal(r->label, c->label);
	assert_int_equal(r->actions, c->actions);
}

static struct lane_case lane_cases[] = {
	{ "new lane", { RSEG_NONE, RLW_NONE }, 0 },
	{ "whole", { RSEG_WHOLE, RLW_NONE }, 0 },
	{ "torn", { RSEG_TORN, RLW_NONE }, RL_EXPLAIN },
	{ "lost", { RSEG_WHOLE, RLW_LOST }, RL_SKIP },
	{ "torn and lost", { RSEG_TORN, RLW_LOST }, RL_EXPLAIN | RL_SKIP },
	{ "settled", { RSEG_WHOLE, RLW_BEHIND }, RL_RESET },
	{ "torn, settled", { RSEG_TORN, RLW_EMPTY }, RL_EXPLAIN | RL_RESET },
	{ "replay", { RSEG_NONE, RLW_AHEAD }, RL_REPLAY | RL_RESET },
	{ "torn, replay", { RSEG_TORN, RLW_AHEAD }, RL_CUT | RL_EXPLAIN | RL_REPLAY | RL_RESET },
	{ "apart", { RSEG_WHOLE, RLW_APART }, RL_GAP | RL_REPLAY | RL_RESET },
	{ "unreadable", { RSEG_UNREAD, RLW_EMPTY }, 0 },
	{ "unreadable, lost", { RSEG_UNREAD, RLW_LOST }, RL_SKIP },
	{ "unreadable, replay", { RSEG_UNREAD, RLW_AHEAD }, RL_REPLAY | RL_RESET },
	{ "unreadable, apart", { RSEG_UNREAD, RLW_APART }, RL_GAP | RL_REPLAY | RL_RESET },
	{ "torn, apart", { RSEG_TORN, RLW_APART }, RL_EXPLAIN | RL_GAP | RL_REPLAY | RL_RESET },
};

static void test_all_rows_have_a_case(void **state)
{
	(void)state;
	assert_int_equal(sizeof(store_cases) / sizeof(store_cases[0]), rec_rows_count);
	assert_int_equal(sizeof(lane_cases) / sizeof(lane_cases[0]), rec_lane_rows_count);
}

/* ---- verdict ---- */

static void test_verdict(void **state)
{
	struct rec_lane_report lane = { .row = &rec_lane_rows[0] };
	struct rec_finding f = { .state = RF_NEW, .reason = GAP_TORN };
	struct report r = { .lanes = 1, .lane = &lane };

	(void)state;
	assert_int_equal(report_verdict(&r), 0);
	r.unclean = true;
	assert_int_equal(report_verdict(&r), 1);
	r.findings = 1;
	r.finding = &f;
	assert_int_equal(report_verdict(&r), 1);	/* torn is no damage */
	f.reason = GAP_DAMAGE;
	assert_int_equal(report_verdict(&r), 2);
	f.reason = GAP_WAL_LOST;
	assert_int_equal(report_verdict(&r), 2);
	f.state = RF_EXPLAINED;
	assert_int_equal(report_verdict(&r), 1);
	f.state = RF_DAMAGE;
	assert_int_equal(report_verdict(&r), 2);
	r.error = STORE_EFORMAT;
	assert_int_equal(report_verdict(&r), 3);
	r = (struct report){ .lanes = 1, .lane = &lane };
	lane.row = rec_lane_decide(&(struct rec_lane_facts){ RSEG_TORN, RLW_NONE });
	assert_int_equal(report_verdict(&r), 1);
}

/* ---- progress ---- */

static uint64_t fake_ms;
static uint64_t fake_clock(void)
{
	return fake_ms;
}

static void test_progress_line(void **state)
{
	char buf[160];

	(void)state;
	progress_line(buf, sizeof(buf), "checking", 250000000, 1000000000, 500);
	assert_string_equal(buf, "checking: 250 of 1000 MB (25 %), 500 MB/s, 2 s left");
	progress_line(buf, sizeof(buf), "checking", 1000000, 0, 1000);
	assert_string_equal(buf, "checking: 1 MB, 1 MB/s");
	progress_line(buf, sizeof(buf), "x", 1000001, 1000000, 1000);
	assert_string_equal(buf, "x: 1 of 1 MB (100 %), 1 MB/s, 0 s left");
	assert_int_equal(progress_line(buf, 8, "checking", 1, 2, 3), 7);
}

static void test_progress_is_quiet(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, false);		/* no terminal */
	assert_false(p.terminal);
	progress_init(&p, true);
	p.clock_ms = fake_clock;
	progress_report(&p, "checking", 1, 2);
	fake_ms = 999;
	progress_report(&p, "checking", 1, 2);
	assert_false(p.shown);
	fake_ms = 1000;
	progress_report(&p, "checking", 1, 2);
	assert_true(p.shown);
}

/* Nothing is known yet, or nothing was done; and never more than fits. */
static void test_progress_line_at_its_edges(void **state)
{
	char buf[160];
	unsigned n;

	(void)state;
	progress_line(buf, sizeof(buf), "checking", 0, 1000000000, 5000);
	assert_string_equal(buf, "checking: 0 MB, 0 MB/s");
	progress_line(buf, sizeof(buf), "checking", 5000000, 1000000000, 0);
	assert_string_equal(buf, "checking: 5 MB, 0 MB/s");
	progress_line(buf, sizeof(buf), "checking", 2000000, 0, 4000);
	assert_string_equal(buf, "checking: 2 MB, 0 MB/s");
	progress_line(buf, sizeof(buf), "recovering", 3000000000, 12000000000, 2000);
	assert_string_equal(buf, "recovering: 3000 of 12000 MB (25 %), 1500 MB/s, 6 s left");
	n = progress_line(buf, sizeof(buf), "x", 1000000, 1000000, 1000);
	assert_string_equal(buf, "x: 1 of 1 MB (100 %), 1 MB/s, 0 s left");
	assert_int_equal(n, strlen(buf));
	memset(buf, '#', sizeof(buf));
	assert_int_equal(progress_line(buf, n + 1, "x", 1000000, 1000000, 1000), n);
	assert_int_equal(progress_line(buf, n, "x", 1000000, 1000000, 1000), n - 1);
	assert_int_equal(buf[n + 1], '#');
}

/* What a terminal is told, and when; standard error is a pipe for as long as that is tried. */
static void test_progress_is_told(void **state)
{
	static const struct { uint64_t ms; const char *what; uint64_t done; const char *told; } rows[] = {
		{ 5000, "checking", 0, "" },
		{ 5999, "checking", 1000000, "" },
		{ 5999, NULL, 0, "" },				/* nothing is there to be wiped */
		{ 6000, "checking", 2000000, "\r\033[Kchecking: 2 of 4 MB (50 %), 2 MB/s, 1 s left" },
		{ 6249, "checking", 2000000, "" },		/* not all the time */
		{ 6250, "checking", 3000000, "\r\033[Kchecking: 3 of 4 MB (75 %), 2 MB/s, 0 s left" },
		{ 9000, "recovering", 1000000, "" },		/* another step begins anew */
		{ 9999, "recovering", 1000000, "" },
		{ 10000, "recovering", 1000000, "\r\033[Krecovering: 1 of 4 MB (25 %), 1 MB/s, 3 s left" },
		{ 10000, NULL, 0, "\r\033[K" },
		{ 10000, NULL, 0, "" },				/* once */
	};
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	char told[ROWS][128] = { "" };
	struct progress p;
	int fd[2], err;

	(void)state;
	assert_int_equal(pipe2(fd, O_NONBLOCK), 0);
	err = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	progress_init(&p, true);
	p.clock_ms = fake_clock;
	for (unsigned i = 0; i < ROWS; i++) {
		fake_ms = rows[i].ms;
		if (rows[i].what)
			progress_report(&p, rows[i].what, rows[i].done, 4000000);
		else
			progress_end(&p);
		if (read(fd[0], told[i], sizeof(told[i]) - 1) < 0)
			told[i][0] = '\0';
	}
	dup2(err, STDERR_FILENO);
	close(err);
	close(fd[0]);
	close(fd[1]);
	for (unsigned i = 0; i < ROWS; i++)
		assert_string_equal(told[i], rows[i].told);
}

int main(void)
{
	struct CMUnitTest tests[64] = {
		cmocka_unit_test(test_every_store),
		cmocka_unit_test(test_every_lane),
		cmocka_unit_test(test_all_rows_have_a_case),
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_progress_line),
		cmocka_unit_test(test_progress_is_quiet),
		cmocka_unit_test(test_progress_line_at_its_edges),
		cmocka_unit_test(test_progress_is_told),
	};
	size_t n = 8;

	for (size_t i = 0; i < sizeof(store_cases) / sizeof(store_cases[0]); i++)
		tests[n++] = (struct CMUnitTest){ store_cases[i].label, test_store_row, NULL, NULL,
						  &store_cases[i] };
	for (size_t i = 0; i < sizeof(lane_cases) / sizeof(lane_cases[0]); i++)
		tests[n++] = (struct CMUnitTest){ lane_cases[i].label, test_lane_row, NULL, NULL,
						  &lane_cases[i] };
	return _cmocka_run_group_tests("recover", tests, n, NULL, NULL);
}
