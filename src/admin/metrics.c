/* SPDX-License-Identifier: BSD-2-Clause */
/* metrics.c - see metrics.h. */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/now.h"
#include "store/store.h"
#include "util/std.h"

/* X(field of struct store_lane_stats, metric, type, help) */
#define LANE_TABLE(X) \
	X(records, "lane_records_total", counter, "Records appended to the lane since the start.") \
	X(bytes, "lane_record_bytes_total", counter, "Bytes of those records.") \
	X(durable_seq, "lane_durable_sequence", gauge, "Highest sequence number that is durable.") \
	X(settled_seq, "lane_settled_sequence", gauge, "Highest sequence number in a synced segment.") \
	X(commits, "lane_commits_total", counter, "Batches of the lane made durable.") \
	X(checkpoints, "lane_checkpoints_total", counter, "Checkpoints of the lane.") \
	X(checkpoint_bytes, "lane_checkpoint_bytes_total", counter, "Bytes that checkpoints moved to segments.") \
	X(segments, "lane_segments", gauge, "Segment files held.") \
	X(segment_bytes, "lane_segment_bytes", gauge, "Size of the segment files held.") \
	X(oldest_seq, "lane_oldest_sequence", gauge, "Oldest sequence number still held.") \
	X(oldest_ms, "lane_oldest_milliseconds", gauge, "Time of the oldest record still held, since 1970.") \
	X(gathered_bytes, "lane_gathered_bytes_total", counter, "Bytes of tiny pieces copied together.") \
	X(expired_records, "lane_expired_records_total", counter, "Records dropped by retention.") \
	X(failed, "lane_failed_errno", gauge, "0, or the errno that ended the lane: it acknowledges nothing any more.") \
	X(nospace, "lane_no_space", gauge, "1 while there is no room for the lane's next segment.") \
	X(fill_pct, "lane_fill_percent", gauge, "How full the lane's ring of log words is.")

static const struct row {
	const char *field, *metric, *labels, *type, *help;
} rows[] = {
#define X(field, metric, labels, type, help) { #field, metric, labels, #type, help },
	COUNTER_TABLE(X)
#undef X
};
#define ROWS (sizeof rows / sizeof *rows)

static const char *const status_name[COUNTER_STATUSES] = {
#define X(code, reason, body, retry_s) #code,
	STATUS_TABLE(X)
#undef X
	"other"
};

/* The rows are the first fields of struct counters, in the table's order. */
static uint64_t row_value(const struct counters *c, size_t row)
{
	return __atomic_load_n((const uint64_t *)c + row, __ATOMIC_RELAXED);
}

static unsigned lanes(const struct admin_env *env)
{
	return env->store ? store_lanes(env->store) : 0;
}

static void latency_sum(const struct admin_env *env, uint64_t bucket[LATENCY_BUCKETS])
{
	memset(bucket, 0, LATENCY_BUCKETS * sizeof *bucket);
	for (unsigned w = 0; w < env->nworkers; w++)
		for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
			bucket[i] += COUNT_GET(env->counters[w], latency[i]);
}

double latency_quantile(const uint64_t bucket[LATENCY_BUCKETS], double q)
{
	uint64_t total = 0, below = 0;
	double want, low, high;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		total += bucket[i];
	want = q * (double)total;
	for (unsigned i = 0; i < LATENCY_BUCKETS; below += bucket[i++]) {
		if (!bucket[i] || (double)(below + bucket[i]) < want)
			continue;
		low = i ? (double)latency_above(i - 1) : 0;
		high = i < LATENCY_BUCKETS - 1 ? (double)latency_above(i) : low;
		return low + (high - low) * (want - (double)below) / (double)bucket[i];
	}
	return 0;
}

struct process {
	double	 cpu_s;
	uint64_t rss, store_free;	/* bytes */
	bool	 store_known;
};

static void process_read(struct process *p, const struct admin_env *env)
{
	struct rusage u;
	struct statvfs v;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	memset(p, 0, sizeof *p);
	if (f) {
		if (fscanf(f, "%*u %lu", &pages) == 1)
			p->rss = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
		fclose(f);
	}
	if (!getrusage(RUSAGE_SELF, &u))
		p->cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	if (env->store_dir && !statvfs(env->store_dir, &v)) {
		p->store_free = (uint64_t)v.f_bavail * v.f_frsize;
		p->store_known = true;
	}
}

/* ---- Prometheus ---- */

static void family(struct text *t, const char *metric, const char *type, const char *help)
{
	text_f(t, "# HELP pasted_%s %s\n# TYPE pasted_%s %s\n", metric, help, metric, type);
}

/* A label's value: like a JSON string, which escapes the same characters. */
static void label(struct text *t, const char *name, const char *value)
{
	text_f(t, "%s=", name);
	text_json(t, value ? value : "");
}

static void facts(struct text *t, const struct admin_env *env)
{
	struct process p;

	family(t, "info", "gauge", "Version and what was found out at the start.");
	text_str(t, "pasted_info{");
	label(t, "version", env->version);
	text_str(t, ",");
	label(t, "class", class_name(env->class));
	text_str(t, ",");
	label(t, "ring", env->ring);
	text_str(t, ",");
	label(t, "store", env->store_dir);
	text_f(t, ",workers=\"%u\"} 1\n", env->nworkers);
	family(t, "ready", "gauge", "1 when /-/readyz says so.");
	text_f(t, "pasted_ready %d\n", health_ready(env->health));
	family(t, "condition", "gauge", "1 for each reason not to be ready.");
	for (unsigned c = 0; c < HEALTH_CONDITIONS; c++)
		text_f(t, "pasted_condition{reason=\"%s\"} %d\n", health_condition_word(c),
		       health_is(env->health, c));
	family(t, "start_time_seconds", "gauge", "When the server started, since 1970.");
	text_f(t, "pasted_start_time_seconds %.3f\n", (double)env->started_ms / 1e3);
	family(t, "messages_lost_total", "counter", "Messages that standard error did not take in time.");
	text_f(t, "pasted_messages_lost_total %" PRIu64 "\n", std_lost());
	process_read(&p, env);
	family(t, "cpu_seconds_total", "counter", "CPU time of the process, user and system.");
	text_f(t, "pasted_cpu_seconds_total %.6f\n", p.cpu_s);
	family(t, "resident_memory_bytes", "gauge", "Resident memory of the process, the pool included.");
	text_f(t, "pasted_resident_memory_bytes %" PRIu64 "\n", p.rss);
	if (p.store_known) {
		family(t, "store_free_bytes", "gauge", "Room on the store's file system.");
		text_f(t, "pasted_store_free_bytes %" PRIu64 "\n", p.store_free);
	}
	family(t, "disk_waits_seconds", "gauge", "For how long the call to the disk that waits longest has been waiting.");
	text_f(t, "pasted_disk_waits_seconds %.3f\n", disk_waits_ms() / 1e3);
	family(t, "buffer_bytes", "gauge", "Size of a packet buffer.");
	text_f(t, "pasted_buffer_bytes %u\n", env->buf_size);
}

static void worker_rows(struct text *t, const struct admin_env *env)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (!strcmp(rows[i].type, "internal"))
			continue;
		if (!i || strcmp(rows[i].metric, rows[i - 1].metric))
			family(t, rows[i].metric, rows[i].type, rows[i].help);
		for (unsigned w = 0; w < env->nworkers; w++)
			text_f(t, "pasted_%s{worker=\"%u\"%s%s} %" PRIu64 "\n", rows[i].metric, w,
			       *rows[i].labels ? "," : "", rows[i].labels,
			       row_value(env->counters[w], i));
	}
	family(t, "responses_total", "counter", "Replies by status.");
	for (unsigned w = 0; w < env->nworkers; w++)
		for (unsigned s = 0; s < COUNTER_STATUSES; s++)
			text_f(t, "pasted_responses_total{worker=\"%u\",status=\"%s\"} %" PRIu64 "\n",
			       w, status_name[s], COUNT_GET(env->counters[w], status[s]));
}

/* One bucket per power of two is enough for a graph, and a quarter of the time series. */
static void histogram(struct text *t, const struct admin_env *env)
{
	uint64_t bucket[LATENCY_BUCKETS], n = 0, sum = 0;

	latency_sum(env, bucket);
	for (unsigned w = 0; w < env->nworkers; w++)
		sum += COUNT_GET(env->counters[w], latency_sum_us);
	family(t, "durable_latency_seconds", "histogram",
	       "From the last byte of a recorded request to its reply, durable, handed to the ring; all workers.");
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		n += bucket[i];
		if (i % 4 == 3 && i < LATENCY_BUCKETS - 1)
			text_f(t, "pasted_durable_latency_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
			       (double)latency_above(i) / 1e6, n);
	}
	text_f(t, "pasted_durable_latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", n);
	text_f(t, "pasted_durable_latency_seconds_sum %.6f\n", (double)sum / 1e6);
	text_f(t, "pasted_durable_latency_seconds_count %" PRIu64 "\n", n);
}

static int64_t positive(int64_t v)
{
	return v < 0 ? -v : v;
}

static void lane_rows(struct text *t, const struct admin_env *env)
{
	struct store_lane_stats st[LANES_MAX];
	bool there[LANES_MAX];
	unsigned n = lanes(env);

	for (unsigned l = 0; l < n; l++)
		there[l] = store_stats(env->store, l, &st[l]) == 0;
#define X(field, metric, type, help) \
	family(t, metric, #type, help); \
	for (unsigned l = 0; l < n; l++) \
		if (there[l]) \
			text_f(t, "pasted_" metric "{lane=\"%u\"} %" PRId64 "\n", l, \
			       positive((int64_t)st[l].field));
	LANE_TABLE(X)
#undef X
}

static void absent_rows(struct text *t, const struct admin_env *env)
{
	family(t, "records_absent_total", "counter",
	       "Records asked for that could not be given, by the reason that pasted-recover gives too.");
	for (unsigned i = ABSENT_NOT + 1; env->absent && i < ABSENT_REASONS; i++)
		text_f(t, "pasted_records_absent_total{reason=\"%s\"} %" PRIu64 "\n", absent_name(i),
		       __atomic_load_n(&env->absent[i], __ATOMIC_RELAXED));
}

void metrics_text(struct text *t, const struct admin_env *env)
{
	facts(t, env);
	absent_rows(t, env);
	worker_rows(t, env);
	histogram(t, env);
	lane_rows(t, env);
}

/* ---- the page's JSON ---- */

static void json_member(struct text *t, const char *name, const char *value)
{
	text_f(t, "\"%s\":", name);
	if (value)
		text_json(t, value);
	else
		text_str(t, "null");
	text_str(t, ",");
}

static void json_health(struct text *t, const struct health *h)
{
	char body[HEALTH_TEXT];
	const char *comma = "";
	size_t len;

	text_f(t, "\"ready\":%s,", health_ready(h) ? "true" : "false");
	json_member(t, "state", health_word(h));
	health_text(h, body, sizeof body, &len);
	while (len && body[len - 1] == '\n')
		body[--len] = 0;
	for (char *p = body; (p = strchr(p, '\n')); )
		*p = ' ';
	json_member(t, "state_text", body);
	text_str(t, "\"conditions\":[");
	for (unsigned c = 0; c < HEALTH_CONDITIONS; c++)
		if (health_is(h, c)) {
			text_f(t, "%s\"%s\"", comma, health_condition_word(c));
			comma = ",";
		}
	text_str(t, "],");
}

static void json_counters(struct text *t, const struct admin_env *env)
{
	text_str(t, "\"counters\":{");
	for (size_t i = 0; i < ROWS; i++) {
		uint64_t sum = 0;

		for (unsigned w = 0; w < env->nworkers; w++)
			sum += row_value(env->counters[w], i);
		text_f(t, "%s\"%s\":%" PRIu64, i ? "," : "", rows[i].field, sum);
	}
	text_str(t, "},\"responses\":{");
	for (unsigned s = 0; s < COUNTER_STATUSES; s++) {
		uint64_t sum = 0;

		for (unsigned w = 0; w < env->nworkers; w++)
			sum += COUNT_GET(env->counters[w], status[s]);
		text_f(t, "%s\"%s\":%" PRIu64, s ? "," : "", status_name[s], sum);
	}
	text_str(t, "},");
}

/* Buckets as [index, count], the empty ones left out; counters.h has their bounds. */
static void json_latency(struct text *t, const struct admin_env *env)
{
	uint64_t bucket[LATENCY_BUCKETS];
	const char *comma = "";

	latency_sum(env, bucket);
	text_f(t, "\"latency\":{\"p50_us\":%.1f,\"p99_us\":%.1f,\"buckets\":[",
	       latency_quantile(bucket, 0.5), latency_quantile(bucket, 0.99));
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		if (bucket[i]) {
			text_f(t, "%s[%u,%" PRIu64 "]", comma, i, bucket[i]);
			comma = ",";
		}
	text_str(t, "]},");
}

static void metrics_json_lanes(struct text *t, const struct admin_env *env)
{
	struct store_lane_stats s;
	const char *comma = "";

	text_str(t, "\"lanes\":[");
	for (unsigned l = 0; l < lanes(env); l++) {
		if (store_stats(env->store, l, &s))
			continue;
		text_f(t, "%s{\"lane\":%u", comma, l);
#define X(field, metric, type, help) text_f(t, ",\"" #field "\":%" PRId64, (int64_t)s.field);
		LANE_TABLE(X)
#undef X
		text_str(t, "}");
		comma = ",";
	}
	text_str(t, "]");
}

void stats_json(struct text *t, const struct admin_env *env)
{
	struct process p;

	text_str(t, "{");
	json_member(t, "version", env->version);
	json_member(t, "class", class_name(env->class));
	json_member(t, "class_why", env->class_why);
	json_member(t, "ring", env->ring);
	json_member(t, "store", env->store_dir);
	json_member(t, "nvmm", env->nvmm);
	json_member(t, "listen", env->listen);
	text_f(t, "\"workers\":%u,\"buffer_bytes\":%u,", env->nworkers, env->buf_size);
	text_f(t, "\"started_ms\":%" PRIu64 ",\"now_ms\":%" PRIu64 ",", env->started_ms, now_wall_ms());
	process_read(&p, env);
	text_f(t, "\"cpu_seconds\":%.6f,\"resident_bytes\":%" PRIu64 ",", p.cpu_s, p.rss);
	if (p.store_known)
		text_f(t, "\"store_free_bytes\":%" PRIu64 ",", p.store_free);
	text_f(t, "\"messages_lost\":%" PRIu64 ",", std_lost());
	json_health(t, env->health);
	json_counters(t, env);
	json_latency(t, env);
	metrics_json_lanes(t, env);
	text_str(t, "}\n");
}
