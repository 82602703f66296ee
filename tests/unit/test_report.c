/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_report.c - what pasted-recover says of a report, for people and as JSON, to the last
 * byte: every number in its place, each kind of place, state and step.
 */
#include "tool/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/format.h"
#include "store/store.h"

static const struct rec_row found = { .label = "replay", .words = "the wal is there", .action = REC_REPLAY };
static const struct rec_row made = { .label = "create", .words = "nothing there", .action = REC_CREATE };
static const struct rec_lane_row ahead = { .label = "ahead", .actions = RL_EXPLAIN | RL_GAP | RL_REPLAY };
static const struct rec_lane_row cut = { .label = "cut", .actions = RL_CUT | RL_SKIP };

/* No two numbers are the same. */
static struct rec_lane_report lanes[] = {
	{ 0, &ahead, 11, 1200, 13, 14, 15, 16, 1700, 0, 19, 0, 0 },
	{ .lane = 1 },
	{ 2, &cut, 21, 2200, 23, 24, 25, 0, 0, 29, 0, 0, 0 },
	{ 3, &ahead, 31, 3200, 33, 34, 35, 36, 3700, 0, 0, 0, 0 },
};

static struct rec_finding findings[] = {
	{ 0, 5, 7, GAP_TORN, RF_NEW, RP_SEGMENT, 0x1a, 8192, 512, "a hole", 0 },
	{ 2, 9, 9, GAP_DAMAGE, RF_EXPLAINED, RP_WAL_RING, 0, 77, 3, "a \"word\"\\", 0 },
	{ 3, 2, 1, GAP_DAMAGE, RF_DAMAGE, RP_STORE, 0, 4096, 1, "a copy", 0 },
	{ 3, 40, 41, GAP_DAMAGE, RF_DAMAGE, RP_WAL_HEAD, 0, 64, 1, "a head", 0 },
	{ 0, 2, 1, GAP_DAMAGE, RF_DAMAGE, RP_WAL_SUPER, 0, 0, 1, "a superblock", 0 },
	{ 0, 50, 60, GAP_WAL_LOST, RF_NEW, RP_NOWHERE, 0, 0, 0, "the wal", 0 },
};

static struct report whole(void)
{
	return (struct report){ .row = &found, .nvmm_path = "/mnt/p\tmem", .class = CLASS_NVMM, .lanes = 4,
		.lane = lanes, .findings = 6, .finding = findings, .unclean = true };
}

static char *text(void (*make)(FILE *, const struct report *, const char *, bool), const struct report *r,
		  bool did)
{
	char *p = NULL;
	size_t n;
	FILE *f = open_memstream(&p, &n);

	assert_non_null(f);
	make(f, r, "/a/st\xc3", did);
	fclose(f);
	return p;
}

static void is(void (*make)(FILE *, const struct report *, const char *, bool), const struct report *r,
	       bool did, const char *want)
{
	char *got = text(make, r, did);

	assert_string_equal(got, want);
	free(got);
}

/* ---- a store with everything ---- */

static const char people_would[] =
	"store /a/st\303: the wal is there\n"
	"wal: /mnt/p\tmem\n"
	"lane  segments      records           bytes     oldest       next   in wal  state\n"
	"   0        13           11            1200         14         15       16  ahead\n"
	"   2        23           21            2200         24         25        0  cut\n"
	"   3        33           31            3200         34         35       36  ahead\n"
	"in all: 3 lanes, 63 records, 6600 bytes; 52 more only in the wal\n"
	"gaps:\n"
	"  records 0-5..7: torn (new), log/000/0000001a.seg offset 8192, 512 bytes: a hole\n"
	"damage:\n"
	"  records 2-9..9: damage (explained), wal lane 2 position 77, 3 words: a \"word\"\\\n"
	"  no record: damage (found), store offset 4096: a copy\n"
	"  records 3-40..41: damage (found), wal head of lane 3, offset 64: a head\n"
	"  no record: damage (found), wal offset 0: a superblock\n"
	"  records 0-50..60: wal-lost (new), -: the wal\n"
	"a start would:\n"
	"  write the last batch of each lane again and sync it\n"
	"  lane 0: explain the holes of the last batch\n"
	"  lane 0: explain the numbers of missing segments\n"
	"  lane 0: move 16 records (1700 bytes) from the wal into the segments\n"
	"  lane 0: cut what was never acknowledged: 0 bytes of segments, 19 words of the wal\n"
	"  lane 2: go on at the first hole that the wal fills\n"
	"  lane 2: explain the numbers that the lost wal may have used\n"
	"  lane 2: cut what was never acknowledged: 29 bytes of segments, 0 words of the wal\n"
	"  lane 3: explain the holes of the last batch\n"
	"  lane 3: explain the numbers of missing segments\n"
	"  lane 3: move 36 records (3700 bytes) from the wal into the segments\n"
	"damaged or lost: 5 places, listed above; every other record is there\n";

static const char json_would[] =
	"{\"store\":\"/a/st\\u00c3\",\"verdict\":\"damaged\",\"exit\":2,\"error\":null,"
	"\"found\":\"replay\",\"class\":\"nvmm\",\"nvmm\":\"/mnt/p\\u0009mem\",\"records\":115,\"bytes\":12000,"
	"\"wal_records\":52,\"wal_bytes\":5400,\"lanes\":[{\"lane\":0,\"segments\":13,\"records\":11,\"bytes\":1200,"
	"\"oldest\":14,\"next\":15,\"wal_records\":16,\"wal_bytes\":1700,\"tail_bytes\":0,\"tail_words\":19,"
	"\"state\":\"ahead\"},"
	"{\"lane\":2,\"segments\":23,\"records\":21,\"bytes\":2200,\"oldest\":24,\"next\":25,\"wal_records\":0,"
	"\"wal_bytes\":0,\"tail_bytes\":29,\"tail_words\":0,\"state\":\"cut\"},"
	"{\"lane\":3,\"segments\":33,\"records\":31,\"bytes\":3200,\"oldest\":34,\"next\":35,\"wal_records\":36,"
	"\"wal_bytes\":3700,\"tail_bytes\":0,\"tail_words\":0,\"state\":\"ahead\"}],"
	"\"gaps\":[{\"lane\":0,\"from\":5,\"to\":7,\"reason\":\"torn\",\"state\":\"new\","
	"\"place\":\"log/000/0000001a.seg offset 8192, 512 bytes\",\"what\":\"a hole\"},"
	"{\"lane\":2,\"from\":9,\"to\":9,\"reason\":\"damage\",\"state\":\"explained\","
	"\"place\":\"wal lane 2 position 77, 3 words\",\"what\":\"a \\\"word\\\"\\\\\"},"
	"{\"lane\":3,\"from\":40,\"to\":41,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal head of lane 3,"
	" offset 64\",\"what\":\"a head\"},"
	"{\"lane\":0,\"from\":50,\"to\":60,\"reason\":\"wal-lost\",\"state\":\"new\",\"place\":\"-\","
	"\"what\":\"the wal\"}],"
	"\"damage\":[{\"lane\":2,\"from\":9,\"to\":9,\"reason\":\"damage\",\"state\":\"explained\","
	"\"place\":\"wal lane 2 position 77, 3 words\",\"what\":\"a \\\"word\\\"\\\\\"},"
	"{\"lane\":3,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"store offset 4096\",\"what\":\"a copy\"},"
	"{\"lane\":3,\"from\":40,\"to\":41,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal head of lane 3,"
	" offset 64\",\"what\":\"a head\"},"
	"{\"lane\":0,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal offset 0\",\"what\":\"a superblock\"},"
	"{\"lane\":0,\"from\":50,\"to\":60,\"reason\":\"wal-lost\",\"state\":\"new\",\"place\":\"-\","
	"\"what\":\"the wal\"}],"
	"\"start\":[\"write the last batch of each lane again and sync it\","
	"\"lane 0: explain the holes of the last batch\","
	"\"lane 0: explain the numbers of missing segments\","
	"\"lane 0: move 16 records (1700 bytes) from the wal into the segments\","
	"\"lane 0: cut what was never acknowledged: 0 bytes of segments, 19 words of the wal\","
	"\"lane 2: go on at the first hole that the wal fills\","
	"\"lane 2: explain the numbers that the lost wal may have used\","
	"\"lane 2: cut what was never acknowledged: 29 bytes of segments, 0 words of the wal\","
	"\"lane 3: explain the holes of the last batch\","
	"\"lane 3: explain the numbers of missing segments\","
	"\"lane 3: move 36 records (3700 bytes) from the wal into the segments\"]}\n";

static const char people_did[] =
	"store /a/st\303: the wal is there\n"
	"wal: /mnt/p\tmem\n"
	"lane  segments      records           bytes     oldest       next   in wal  state\n"
	"   0        13           11            1200         14         15       16  ahead\n"
	"   2        23           21            2200         24         25        0  cut\n"
	"   3        33           31            3200         34         35       36  ahead\n"
	"in all: 3 lanes, 63 records, 6600 bytes; 52 more only in the wal\n"
	"gaps:\n"
	"  records 0-5..7: torn (explained), log/000/0000001a.seg offset 8192, 512 bytes: a hole\n"
	"damage:\n"
	"  records 2-9..9: damage (explained), wal lane 2 position 77, 3 words: a \"word\"\\\n"
	"  no record: damage (found), store offset 4096: a copy\n"
	"  records 3-40..41: damage (found), wal head of lane 3, offset 64: a head\n"
	"  no record: damage (found), wal offset 0: a superblock\n"
	"  records 0-50..60: wal-lost (explained), -: the wal\n"
	"done:\n"
	"  write the last batch of each lane again and sync it\n"
	"  lane 0: explain the holes of the last batch\n"
	"  lane 0: explain the numbers of missing segments\n"
	"  lane 0: move 16 records (1700 bytes) from the wal into the segments\n"
	"  lane 0: cut what was never acknowledged: 0 bytes of segments, 19 words of the wal\n"
	"  lane 2: go on at the first hole that the wal fills\n"
	"  lane 2: explain the numbers that the lost wal may have used\n"
	"  lane 2: cut what was never acknowledged: 29 bytes of segments, 0 words of the wal\n"
	"  lane 3: explain the holes of the last batch\n"
	"  lane 3: explain the numbers of missing segments\n"
	"  lane 3: move 36 records (3700 bytes) from the wal into the segments\n"
	"damaged or lost: 5 places, listed above; every other record is there\n";

static const char json_did[] =
	"{\"store\":\"/a/st\\u00c3\",\"verdict\":\"damaged\",\"exit\":2,\"error\":null,"
	"\"found\":\"replay\",\"class\":\"nvmm\",\"nvmm\":\"/mnt/p\\u0009mem\",\"records\":115,\"bytes\":12000,"
	"\"wal_records\":52,\"wal_bytes\":5400,\"lanes\":[{\"lane\":0,\"segments\":13,\"records\":11,\"bytes\":1200,"
	"\"oldest\":14,\"next\":15,\"wal_records\":16,\"wal_bytes\":1700,\"tail_bytes\":0,\"tail_words\":19,"
	"\"state\":\"ahead\"},"
	"{\"lane\":2,\"segments\":23,\"records\":21,\"bytes\":2200,\"oldest\":24,\"next\":25,\"wal_records\":0,"
	"\"wal_bytes\":0,\"tail_bytes\":29,\"tail_words\":0,\"state\":\"cut\"},"
	"{\"lane\":3,\"segments\":33,\"records\":31,\"bytes\":3200,\"oldest\":34,\"next\":35,\"wal_records\":36,"
	"\"wal_bytes\":3700,\"tail_bytes\":0,\"tail_words\":0,\"state\":\"ahead\"}],"
	"\"gaps\":[{\"lane\":0,\"from\":5,\"to\":7,\"reason\":\"torn\",\"state\":\"explained\","
	"\"place\":\"log/000/0000001a.seg offset 8192, 512 bytes\",\"what\":\"a hole\"},"
	"{\"lane\":2,\"from\":9,\"to\":9,\"reason\":\"damage\",\"state\":\"explained\","
	"\"place\":\"wal lane 2 position 77, 3 words\",\"what\":\"a \\\"word\\\"\\\\\"},"
	"{\"lane\":3,\"from\":40,\"to\":41,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal head of lane 3,"
	" offset 64\",\"what\":\"a head\"},"
	"{\"lane\":0,\"from\":50,\"to\":60,\"reason\":\"wal-lost\",\"state\":\"explained\",\"place\":\"-\","
	"\"what\":\"the wal\"}],"
	"\"damage\":[{\"lane\":2,\"from\":9,\"to\":9,\"reason\":\"damage\",\"state\":\"explained\","
	"\"place\":\"wal lane 2 position 77, 3 words\",\"what\":\"a \\\"word\\\"\\\\\"},"
	"{\"lane\":3,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"store offset 4096\",\"what\":\"a copy\"},"
	"{\"lane\":3,\"from\":40,\"to\":41,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal head of lane 3,"
	" offset 64\",\"what\":\"a head\"},"
	"{\"lane\":0,\"reason\":\"damage\",\"state\":\"found\",\"place\":\"wal offset 0\",\"what\":\"a superblock\"},"
	"{\"lane\":0,\"from\":50,\"to\":60,\"reason\":\"wal-lost\",\"state\":\"explained\",\"place\":\"-\","
	"\"what\":\"the wal\"}],"
	"\"done\":[\"write the last batch of each lane again and sync it\","
	"\"lane 0: explain the holes of the last batch\","
	"\"lane 0: explain the numbers of missing segments\","
	"\"lane 0: move 16 records (1700 bytes) from the wal into the segments\","
	"\"lane 0: cut what was never acknowledged: 0 bytes of segments, 19 words of the wal\","
	"\"lane 2: go on at the first hole that the wal fills\","
	"\"lane 2: explain the numbers that the lost wal may have used\","
	"\"lane 2: cut what was never acknowledged: 29 bytes of segments, 0 words of the wal\","
	"\"lane 3: explain the holes of the last batch\","
	"\"lane 3: explain the numbers of missing segments\","
	"\"lane 3: move 36 records (3700 bytes) from the wal into the segments\"]}\n";

static void test_whole(void **state)
{
	struct report r = whole();

	(void)state;
	is(report_people, &r, false, people_would);
	is(report_json, &r, false, json_would);
	is(report_people, &r, true, people_did);
	is(report_json, &r, true, json_did);
}

/* ---- hardly anything ---- */

static void test_small(void **state)
{
	struct report r = { .row = &made };

	(void)state;
	is(report_people, &r, false,
	   "store /a/st\303: nothing there\n"
	   "lane  segments      records           bytes     oldest       next   in wal  state\n"
	   "in all: 0 lanes, 0 records, 0 bytes; 0 more only in the wal\n"
	   "a start would:\n"
	   "  create the store\n"
	   "clean\n");
	is(report_json, &r, false,
	   "{\"store\":\"/a/st\\u00c3\",\"verdict\":\"clean\",\"exit\":0,\"error\":null,"
	   "\"found\":\"create\",\"class\":\"unknown\",\"nvmm\":\"\",\"records\":0,\"bytes\":0,\"wal_records\":0,"
	   "\"wal_bytes\":0,\"lanes\":[],"
	   "\"gaps\":[],\"damage\":[],\"start\":[\"create the store\"]}\n");
	r.unclean = true;
	/* What may have been acknowledged is not called so that it was not. */
	for (unsigned i = 0; i < 2; i++) {
		struct rec_finding skipped = { 0, 50, 60, i ? ABSENT_SKIPPED : ABSENT_WAL_LOST, RF_EXPLAINED, RP_NOWHERE,
					       0, 0, 0, "the end", 0 };
		char *p;

		r.findings = 1;
		r.finding = &skipped;
		for (int did = 0; did < 2; did++) {
			p = text(report_people, &r, did);
			assert_non_null(strstr(p, did ? "\nrepaired; nothing acknowledged was lost, but what the gaps above "
					       "may have been\n" : "; nothing acknowledged is lost, but what the gaps above "
					       "may have been\n"));
			free(p);
		}
		r.findings = 0;
	}
	/* A lane whose end cannot be read is left as it is, or refused. */
	struct rec_lane_report aside = { .row = &cut, .unread_segno = 3, .unread_err = -EIO };
	struct rec_lane_report *none = r.lane;
	char *steps;

	r.lanes = 1;
	r.lane = &aside;
	steps = text(report_people, &r, false);
	assert_non_null(strstr(steps, "\n  lane 0: leave it as it is, for its last segment cannot be read now; or refuse, "
			       "where it has a worker\n"));
	assert_null(strstr(steps, "explain"));
	free(steps);
	r.lanes = 0;
	r.lane = none;
	/* What cannot be read now says why not, and is not called damage. */
	for (unsigned i = 0; i < 2; i++) {
		struct rec_finding unread = { 0, 5, 7, ABSENT_UNREADABLE, RF_DAMAGE, RP_SEGMENT, 2, 0, 0, "its file",
					      i ? -EACCES : 0 };
		char *p, want[64];

		r.findings = 1;
		r.finding = &unread;
		snprintf(want, sizeof(want), "its file%s\n", i ? ": Permission denied" : "");
		p = text(report_people, &r, false);
		assert_non_null(strstr(p, want));
		assert_non_null(strstr(p, "\ncannot be read now: 1 place, listed above; every other record is there\n"));
		free(p);
		snprintf(want, sizeof(want), "\"what\":\"its file%s\"}", i ? ": Permission denied" : "");
		p = text(report_json, &r, false);
		assert_non_null(strstr(p, want));
		free(p);
		r.findings = 0;
	}
	is(report_people, &r, false,
	   "store /a/st\303: nothing there\n"
	   "lane  segments      records           bytes     oldest       next   in wal  state\n"
	   "in all: 0 lanes, 0 records, 0 bytes; 0 more only in the wal\n"
	   "a start would:\n"
	   "  create the store\n"
	   "  write the last batch of each lane again and sync it\n"
	   "work is pending after a crash; nothing acknowledged is lost\n");
	is(report_people, &r, true,
	   "store /a/st\303: nothing there\n"
	   "lane  segments      records           bytes     oldest       next   in wal  state\n"
	   "in all: 0 lanes, 0 records, 0 bytes; 0 more only in the wal\n"
	   "done:\n"
	   "  create the store\n"
	   "  write the last batch of each lane again and sync it\n"
	   "repaired; nothing acknowledged was lost\n");
	is(report_json, &r, false,
	   "{\"store\":\"/a/st\\u00c3\",\"verdict\":\"pending\",\"exit\":1,\"error\":null,"
	   "\"found\":\"create\",\"class\":\"unknown\",\"nvmm\":\"\",\"records\":0,\"bytes\":0,\"wal_records\":0,"
	   "\"wal_bytes\":0,\"lanes\":[],"
	   "\"gaps\":[],\"damage\":[],"
	   "\"start\":[\"create the store\",\"write the last batch of each lane again and sync it\"]}\n");
	is(report_json, &r, true,
	   "{\"store\":\"/a/st\\u00c3\",\"verdict\":\"pending\",\"exit\":0,\"error\":null,"
	   "\"found\":\"create\",\"class\":\"unknown\",\"nvmm\":\"\",\"records\":0,\"bytes\":0,\"wal_records\":0,"
	   "\"wal_bytes\":0,\"lanes\":[],"
	   "\"gaps\":[],\"damage\":[],"
	   "\"done\":[\"create the store\",\"write the last batch of each lane again and sync it\"]}\n");
}

/* Refused: why, and nothing else. */
static void test_refused(void **state)
{
	struct report r = { .row = &found, .error = STORE_EBUSY, .why = "\001in use", .class = CLASS_FSYNC, .unclean = true };

	(void)state;
	is(report_people, &r, true,
	   "/a/st\303: not usable: \001in use\n");
	is(report_json, &r, false,
	   "{\"store\":\"/a/st\\u00c3\",\"verdict\":\"unusable\",\"exit\":3,\"error\":\"\\u0001in use\","
	   "\"found\":\"replay\",\"class\":\"fsync\",\"nvmm\":\"\",\"records\":0,\"bytes\":0,\"wal_records\":0,"
	   "\"wal_bytes\":0,\"lanes\":[],"
	   "\"gaps\":[],\"damage\":[],\"start\":[]}\n");
	r.row = NULL;
	is(report_json, &r, false,
	   "{\"store\":\"/a/st\\u00c3\",\"verdict\":\"unusable\",\"exit\":3,\"error\":\"\\u0001in use\","
	   "\"found\":\"error\",\"class\":\"fsync\",\"nvmm\":\"\",\"records\":0,\"bytes\":0,\"wal_records\":0,"
	   "\"wal_bytes\":0,\"lanes\":[],"
	   "\"gaps\":[],\"damage\":[],\"start\":[]}\n");
}

static void test_nothing_to_do(void **state)
{
	struct report r = { .row = &found };
	char *got = text(report_people, &r, false);

	(void)state;
	assert_non_null(strstr(got, "a start would:\n  nothing\nclean\n"));
	free(got);
	got = text(report_people, &r, true);
	assert_non_null(strstr(got, "done:\n  nothing\nclean\n"));
	free(got);
	for (int v = 0; v < 4; v++)
		assert_string_equal(report_verdict_name(v),
				    ((const char *const[]){ "clean", "pending", "damaged", "unusable" })[v]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_small), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
