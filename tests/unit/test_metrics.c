/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_metrics.c - the histogram's arithmetic, every counter in the text, the form
 * of the text, and the page's JSON.
 */
#include "admin/metrics.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "fake_store.h"

static struct counters count[2];
static const struct counters *const counters[] = { &count[0], &count[1] };
static struct health health;
static struct admin_env env = {
	.store = FAKE_STORE, .class = CLASS_NVMM, .nworkers = 2, .counters = counters,
	.health = &health, .version = "1.2.3", .class_why = "it \"is\"\tso \xff\xc3\xa9",
	.ring = "uring", .store_dir = "/", .listen = "127.0.0.1:1", .buf_size = 2048, .started_ms = 1700000000000u,
};

static int setup(void **state)
{
	(void)state;
	memset(count, 0, sizeof count);
	memset(&health, 0, sizeof health);
	fake_reset();
	fake_add(0, "", "x");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static char *text_of(admin_page *make)
{
	struct text t = { 0 };

	make(&t, &env);
	assert_false(t.failed);
	text_add(&t, "", 1);
	return t.p;
}

/* The value of the series that begins with `name` up to the space. */
static double value(const char *text, const char *name)
{
	const char *p = text;
	size_t n = strlen(name);

	for (; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncmp(p, name, n) && p[n] == ' ')
			return strtod(p + n, NULL);
	fail_msg("no %s", name);
	return 0;
}

static void test_buckets(void **state)
{
	uint64_t us;
	unsigned i, last = 0;

	(void)state;
	for (us = 0; us < 70000; us++) {
		i = latency_bucket(us);
		assert_true(i == last || i == last + 1);
		last = i;
		assert_true(us < latency_above(i));
		assert_true(i == 0 || us >= latency_above(i - 1));
	}
	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		assert_int_equal(latency_bucket(latency_above(i)), i + 1);
		assert_int_equal(latency_bucket(latency_above(i) - 1), i);
	}
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void test_quantile(void **state)
{
	uint64_t b[LATENCY_BUCKETS] = { 0 };
	double q;

	(void)state;
	assert_true(latency_quantile(b, .5) == 0);
	b[latency_bucket(100)] = 99;
	b[latency_bucket(5000)] = 1;
	q = latency_quantile(b, .5);
	assert_true(q >= 96 && q <= 112);
	q = latency_quantile(b, .99);
	assert_true(q >= 96 && q <= 112);
	q = latency_quantile(b, .999);
	assert_true(q >= 4096 && q <= 5120);
	memset(b, 0, sizeof b);
	b[LATENCY_BUCKETS - 1] = 1;		/* it has no upper end: at least so long */
	assert_true(latency_quantile(b, .5) == (double)latency_above(LATENCY_BUCKETS - 2));
	assert_true(latency_quantile(b, 1) == (double)latency_above(LATENCY_BUCKETS - 2));
	memset(b, 0, sizeof b);
	b[0] = 4;				/* between its ends in proportion */
	assert_true(latency_quantile(b, .5) == .5);
	b[latency_bucket(100)] = 4;
	assert_true(latency_quantile(b, .5) == 1);
	assert_true(latency_quantile(b, .75) == 104);
	assert_true(latency_quantile(b, 1) == 112);
}

/* Each field gets a value of its own and is found again, once. */
static void test_every_counter(void **state)
{
	char *t, name[128];
	uint64_t v = 1000;

	(void)state;
#define X(field, metric, labels, type, help) COUNT(&count[1], field, v++);
	COUNTER_TABLE(X)
#undef X
	for (unsigned i = 0; i < COUNTER_STATUSES; i++)
		count[1].status[i] = 2000 + i;
	t = text_of(metrics_text);
	v = 1000;
#define X(field, metric, labels, type, help) \
	if (strcmp(#type, "internal")) { \
		snprintf(name, sizeof name, "pasted_%s{worker=\"1\"%s%s}", metric, \
			 *(labels) ? "," : "", labels); \
		assert_true(value(t, name) == (double)v); \
	} \
	v++;
	COUNTER_TABLE(X)
#undef X
	assert_true(value(t, "pasted_responses_total{worker=\"1\",status=\"100\"}") == 2000);
	assert_true(value(t, "pasted_responses_total{worker=\"1\",status=\"other\"}") ==
		    2000 + COUNTER_STATUS_OTHER);
	assert_true(value(t, "pasted_connections_accepted_total{worker=\"0\"}") == 0);
	free(t);
}

static void test_facts(void **state)
{
	unsigned buckets = 0;
	double last = 0;
	char *t;

	(void)state;
	health_set(&health, HEALTH_NOSPACE, -ENOSPC);
	count_latency(&count[0], 100, 3);
	count_latency(&count[1], 3, 1);
	count_status(&count[0], 507);
	count_status(&count[0], 299);
	t = text_of(metrics_text);
	assert_true(value(t, "pasted_info{version=\"1.2.3\",class=\"nvmm\",ring=\"uring\",store=\"/\",workers=\"2\"}") == 1);
	assert_true(value(t, "pasted_ready") == 0);
	assert_true(value(t, "pasted_condition{reason=\"no-space\"}") == 1);
	assert_true(value(t, "pasted_condition{reason=\"draining\"}") == 0);
	assert_true(value(t, "pasted_responses_total{worker=\"0\",status=\"507\"}") == 1);
	assert_true(value(t, "pasted_responses_total{worker=\"0\",status=\"other\"}") == 1);
	assert_true(value(t, "pasted_durable_latency_seconds_bucket{le=\"4e-06\"}") == 1);
	assert_true(value(t, "pasted_durable_latency_seconds_bucket{le=\"6.4e-05\"}") == 1);
	assert_true(value(t, "pasted_durable_latency_seconds_bucket{le=\"0.000128\"}") == 4);
	assert_true(value(t, "pasted_durable_latency_seconds_bucket{le=\"+Inf\"}") == 4);
	assert_true(value(t, "pasted_durable_latency_seconds_count") == 4);
	for (const char *p = t; (p = strstr(p, "_bucket{le=\"")); p += 12) {
		double le = strtod(p + 12, NULL);	/* "+Inf" too */

		assert_true(le > last);
		last = le;
		buckets++;
	}
	assert_int_equal(buckets, LATENCY_BUCKETS / 4);
	assert_true(value(t, "pasted_durable_latency_seconds_sum") == .000303);
	assert_true(value(t, "pasted_lane_durable_sequence{lane=\"0\"}") == 1);
	assert_true(value(t, "pasted_lane_fill_percent{lane=\"1\"}") == 8);
	assert_true(value(t, "pasted_lane_failed_errno{lane=\"1\"}") == EIO);
	free(t);
}

/* Each family: one HELP, one TYPE, then all its series in one piece. */
static void test_form(void **state)
{
	char *t = text_of(metrics_text), *line, *next, seen[16384] = "", family[128] = "", name[160];

	(void)state;
	for (line = t; *line; line = next) {
		next = strchr(line, '\n');
		assert_non_null(next);
		*next++ = 0;
		if (!strncmp(line, "# HELP pasted_", 14)) {
			sscanf(line + 7, "%127s", family);
			snprintf(name, sizeof name, "|%s|", family);
			assert_null(strstr(seen, name));
			strcat(seen, name);
			assert_true(strlen(line) > 8 + strlen(family));
			snprintf(name, sizeof name, "# TYPE %s ", family);
			assert_memory_equal(next, name, strlen(name));
			next[strcspn(next, "\n")] = '\0';
			assert_true(!strcmp(next + strlen(name), "counter") || !strcmp(next + strlen(name), "gauge") ||
				    !strcmp(next + strlen(name), "histogram"));
			next[strlen(next)] = '\n';
		} else if (*line != '#') {
			assert_memory_equal(line, family, strlen(family));
			assert_non_null(strrchr(line, ' '));
			assert_true(isdigit((unsigned char)strrchr(line, ' ')[1]));
		}
	}
	free(t);
}

/* Brackets pair, strings are closed: enough of a check without a parser. */
static void balanced(const char *p)
{
	char stack[32];
	unsigned n = 0;

	for (; *p; p++) {
		if (*p == '"') {
			for (p++; *p != '"'; p += *p == '\\' ? 2 : 1)
				assert_true((unsigned char)*p >= 0x20);
		} else if (*p == '{' || *p == '[') {
			assert_true(n < sizeof stack);
			stack[n++] = *p == '{' ? '}' : ']';
		} else if (*p == '}' || *p == ']') {
			assert_true(n > 0 && stack[--n] == *p);
			assert_int_not_equal(p[-1], ',');
		}
	}
	assert_int_equal(n, 0);
}

static void test_stats(void **state)
{
	char *t;

	(void)state;
	COUNT(&count[0], recorded, 5);
	COUNT(&count[1], recorded, 6);
	count_latency(&count[1], 3, 7);
	health_set(&health, HEALTH_LANE_FAILED, -EIO);
	health_set(&health, HEALTH_NOSPACE, 0);
	t = text_of(stats_json);
	balanced(t);
	assert_non_null(strstr(t, "\"recorded\":11,"));
	assert_non_null(strstr(t, "\"class\":\"nvmm\""));
	assert_non_null(strstr(t, "\"class_why\":\"it \\\"is\\\"?so ?\xc3\xa9\""));
	assert_non_null(strstr(t, "\"nvmm\":null"));
	assert_non_null(strstr(t, "\"buckets\":[[3,7]]"));
	assert_non_null(strstr(t, "\"state\":\"stuck\""));
	assert_non_null(strstr(t, "\"conditions\":[\"lane-failed\",\"no-space\"]"));
	assert_non_null(strstr(t, "{\"lane\":1,"));
	free(t);
	env.store = NULL;
	t = text_of(stats_json);
	balanced(t);
	assert_non_null(strstr(t, "\"lanes\":[]"));
	free(t);
	free(text_of(metrics_text));
	env.store = FAKE_STORE;
}

/* How many members the object of that name has. */
static unsigned members(const char *text, const char *name)
{
	char key[64];
	const char *p;
	unsigned n = 0;

	snprintf(key, sizeof key, "\"%s\":{", name);
	p = strstr(text, key);
	assert_non_null(p);
	for (p += strlen(key); *p != '}'; p++)
		n += *p == ':';
	return n;
}

/* On the page too: each count by its name, summed over the workers, and nothing else; half and
 * the slowest hundredth of the latencies. */
static void test_stats_every_counter(void **state)
{
	static uint64_t bucket[LATENCY_BUCKETS];
	char *t, name[160];
	uint64_t v = 1000;
	unsigned rows = 0;

	(void)state;
#define X(field, metric, labels, type, help) COUNT(&count[0], field, 50000); COUNT(&count[1], field, v++);
	COUNTER_TABLE(X)
#undef X
	for (unsigned i = 0; i < COUNTER_STATUSES; i++) {
		count[0].status[i] = 30000;
		count[1].status[i] = 2000 + i;
	}
	bucket[latency_bucket(100)] = count[0].latency[latency_bucket(100)] = 80;
	bucket[latency_bucket(5000)] = count[1].latency[latency_bucket(5000)] = 15;
	bucket[latency_bucket(90000)] = count[1].latency[latency_bucket(90000)] = 5;
	t = text_of(stats_json);
	v = 1000;
#define X(field, metric, labels, type, help) \
	snprintf(name, sizeof name, "\"" #field "\":%u%c", (unsigned)(50000 + v), strcmp(#field, "latency_sum_us") ? ',' : '}'); \
	assert_non_null(strstr(t, name)); \
	v++; rows++;
	COUNTER_TABLE(X)
#undef X
	assert_int_equal(members(t, "counters"), rows);
	assert_int_equal(members(t, "responses"), COUNTER_STATUSES);
	assert_non_null(strstr(t, "\"responses\":{\"100\":32000,\"200\":32001,"));
	snprintf(name, sizeof name, "\"other\":%u}", 32000 + COUNTER_STATUS_OTHER);
	assert_non_null(strstr(t, name));
	snprintf(name, sizeof name, "\"latency\":{\"p50_us\":%.1f,\"p99_us\":%.1f,", latency_quantile(bucket, .5),
		 latency_quantile(bucket, .99));
	assert_non_null(strstr(t, name));
	assert_true(latency_quantile(bucket, .99) > 80000 && latency_quantile(bucket, .5) < 128);
	free(t);
}

/* ---- what is told, from its first word ---- */

unsigned __wrap_disk_waits_ms(void);
unsigned __wrap_disk_waits_ms(void)
{
	return 2345;
}

uint64_t __wrap_std_lost(void);
uint64_t __wrap_std_lost(void)
{
	return 17;
}

uint64_t __wrap_now_wall_ms(void);
uint64_t __wrap_now_wall_ms(void)
{
	return 1700000000321;
}

/* All that the page is told besides the counters. */
static void test_stats_whole(void **state)
{
	static const char end[] = ",\"expired_records\":902,\"failed\":-5,\"nospace\":1,\"fill_pct\":8}]}\n";
	char *t, want[2048], *rss;
	size_t n;

	(void)state;
	health_set(&health, HEALTH_LANE_FAILED, -EIO);
	health_set(&health, HEALTH_STORE_MOVED, 0);
	t = text_of(stats_json);
	rss = strstr(t, "\"resident_bytes\":");
	assert_non_null(rss);
	n = (size_t)snprintf(want, sizeof want, "{\"version\":\"1.2.3\",\"class\":\"nvmm\",\"class_why\":\"it \\\"is\\\"?so "
			     "?\xc3\xa9\",\"ring\":\"uring\",\"store\":\"/\",\"nvmm\":null,\"listen\":\"127.0.0.1:1\","
			     "\"workers\":2,\"buffer_bytes\":2048,\"started_ms\":1700000000000,"
			     "\"now_ms\":1700000000321,\"cpu_seconds\":3.375000,\"resident_bytes\":%llu,"
			     "\"store_free_bytes\":30000,\"messages_lost\":17,\"ready\":false,\"state\":\"stuck\","
			     "\"state_text\":\"not ready: lane-failed: a write or sync of the log failed and is never "
			     "retried (Input/output error); look at the storage, then restart note: store-moved: the "
			     "store or its log is no longer at its path; it is worked on where it is; give the new path "
			     "at the next start\",\"conditions\":[\"lane-failed\",\"store-moved\"],\"counters\":{\"",
			     strtoull(rss + 17, NULL, 10));
	t[n] = '\0';
	assert_string_equal(t, want);
	free(t);
	health = (struct health){ 0 };
	env.nvmm = "/mnt";
	t = text_of(stats_json);
	assert_non_null(strstr(t, ",\"nvmm\":\"/mnt\",\"listen\":"));
	assert_non_null(strstr(t, ",\"ready\":true,\"state\":\"ready\",\"state_text\":\"ready\",\"conditions\":[],"));
	assert_non_null(strstr(t, "},\"latency\":{\"p50_us\":0.0,\"p99_us\":0.0,\"buckets\":[]},\"lanes\":[{\"lane\":0,"
			       "\"records\":1,\"bytes\":101,\"durable_seq\":1,\"settled_seq\":1,\"commits\":201,"
			       "\"checkpoints\":301,\"checkpoint_bytes\":401,\"segments\":501,\"segment_bytes\":601,"
			       "\"oldest_seq\":1,\"oldest_ms\":701,\"gathered_bytes\":801,\"expired_records\":901,"
			       "\"failed\":0,\"nospace\":0,\"fill_pct\":7},{\"lane\":1,\"records\":0,\"bytes\":102,"));
	assert_string_equal(t + strlen(t) - strlen(end), end);
	free(t);
	env.nvmm = NULL;
}

static void test_gauges(void **state)
{
	static const struct { const char *name; unsigned v; } lane[] = {
		{ "records_total", 0 }, { "record_bytes_total", 102 }, { "durable_sequence", 0 }, { "settled_sequence", 0 },
		{ "commits_total", 202 }, { "checkpoints_total", 302 }, { "checkpoint_bytes_total", 402 },
		{ "segments", 502 }, { "segment_bytes", 602 }, { "oldest_sequence", 1 }, { "oldest_milliseconds", 702 },
		{ "gathered_bytes_total", 802 }, { "expired_records_total", 902 }, { "failed_errno", EIO },
		{ "no_space", 1 }, { "fill_percent", 8 },
	};
	static uint64_t absent[ABSENT_REASONS];
	char name[128], *t;

	(void)state;
	for (unsigned i = 0; i < ABSENT_REASONS; i++)
		absent[i] = 40 + i;
	env.absent = absent;
	t = text_of(metrics_text);
	assert_true(value(t, "pasted_start_time_seconds") == 1700000000);
	assert_true(value(t, "pasted_messages_lost_total") == 17);
	assert_true(value(t, "pasted_disk_waits_seconds") == 2.345);
	assert_true(value(t, "pasted_buffer_bytes") == 2048);
	assert_true(value(t, "pasted_ready") == 1);
	for (size_t i = 0; i < sizeof lane / sizeof *lane; i++) {
		snprintf(name, sizeof name, "pasted_lane_%s{lane=\"1\"}", lane[i].name);
		assert_true(value(t, name) == lane[i].v);
	}
	for (unsigned i = 0; i < ABSENT_REASONS; i++) {	/* each reason but the one that is none */
		snprintf(name, sizeof name, "pasted_records_absent_total{reason=\"%s\"} %u\n", absent_name(i), 40 + i);
		assert_int_equal(!!strstr(t, name), i != ABSENT_NOT);
	}
	free(t);
	env.absent = NULL;
	t = text_of(metrics_text);
	assert_null(strstr(t, "records_absent_total{"));
	free(t);
}

/* ---- of the process and its disk ---- */

static bool no_disk;

/* What an ordinary user may still write, not what root could. */
int statvfs(const char *path, struct statvfs *v)
{
	*v = (struct statvfs){ .f_frsize = 1000, .f_bsize = 7, .f_blocks = 900, .f_bfree = 50, .f_bavail = 30 };
	return no_disk || strcmp(path, "/") ? -1 : 0;
}

/* clock: none, a number is made */
int getrusage(__rusage_who_t who, struct rusage *u)
{
	*u = (struct rusage){ .ru_utime = { 1, 250000 }, .ru_stime = { 2, 125000 } };
	return who == RUSAGE_SELF ? 0 : -1;
}

static void test_process(void **state)
{
	char *t = text_of(metrics_text);

	(void)state;
	assert_true(value(t, "pasted_cpu_seconds_total") == 3.375);
	assert_true(value(t, "pasted_store_free_bytes") == 30000);
	assert_true(value(t, "pasted_resident_memory_bytes") > 100000);
	free(t);
	t = text_of(stats_json);
	assert_non_null(strstr(t, "\"cpu_seconds\":3.375000,"));
	assert_non_null(strstr(t, "\"store_free_bytes\":30000,"));
	free(t);
	for (int k = 0; k < 2; k++) {		/* unknown is not told as a number, though it was known before */
		no_disk = false;
		env.store_dir = "/";
		free(text_of(stats_json));
		no_disk = !k;
		env.store_dir = k ? NULL : "/";
		t = text_of(stats_json);
		assert_null(strstr(t, "store_free"));
		free(t);
		env.store_dir = k ? NULL : "/";
		t = text_of(metrics_text);
		assert_null(strstr(t, "store_free"));
		free(t);
		t = text_of(stats_json);
		balanced(t);
		assert_null(strstr(t, "store_free"));
		free(t);
	}
	no_disk = false;
	env.store_dir = "/";
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_buckets), TEST(test_quantile), TEST(test_every_counter), TEST(test_facts),
		TEST(test_form), TEST(test_stats),
		TEST(test_stats_every_counter), TEST(test_process), TEST(test_stats_whole), TEST(test_gauges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
