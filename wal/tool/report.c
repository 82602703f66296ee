/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.c - a recovery report in words (report.h).
 */
#include <inttypes.h>
#include <string.h>

#include "format/json.h"
#include "tool/report.h"
#include "util/error.h"

struct total {
	uint64_t lanes, records, bytes, replay_records, replay_bytes;
};

static struct total totals(const struct report *r)
{
	struct total t = { 0 };

	for (unsigned i = 0; i < r->lanes; i++) {
		const struct rec_lane_report *l = &r->lane[i];

		if (!l->row)
			continue;
		t.lanes++;
		t.records += l->records;
		t.bytes += l->bytes;
		t.replay_records += l->replay_records;
		t.replay_bytes += l->replay_bytes;
	}
	return t;
}

const char *report_verdict_name(int verdict)
{
	static const char *const name[] = { "clean", "pending", "damaged", "unusable" };

	return name[verdict];
}

static const char *state_name(unsigned state, bool did)
{
	switch (state) {
	case RF_EXPLAINED:
		return "explained";
	case RF_NEW:
		return did ? "explained" : "new";
	}
	return "found";
}

/* The place of a finding, as "log/000/00000001.seg offset 8192, 512 bytes". */
static void report_place(char *buf, size_t n, const struct rec_finding *f)
{
	switch (f->place) {
	case RP_STORE:
		snprintf(buf, n, "store offset %" PRIu64, f->offset);
		break;
	case RP_SEGMENT:
		snprintf(buf, n, "log/%03u/%08" PRIx64 ".seg offset %" PRIu64 ", %" PRIu64 " bytes",
			 f->lane, f->segno, f->offset, f->bytes);
		break;
	case RP_WAL_SUPER:
		snprintf(buf, n, "wal offset %" PRIu64, f->offset);
		break;
	case RP_WAL_HEAD:
		snprintf(buf, n, "wal head of lane %u, offset %" PRIu64, f->lane, f->offset);
		break;
	case RP_WAL_RING:
		snprintf(buf, n, "wal lane %u position %" PRIu64 ", %" PRIu64 " words", f->lane,
			 f->offset, f->bytes);
		break;
	default:
		snprintf(buf, n, "-");
	}
}

/* What the finding is, and why it cannot be read. */
static void what(char *buf, size_t n, const struct rec_finding *f)
{
	snprintf(buf, n, "%s%s%s", f->what, f->err ? ": " : "", f->err ? store_strerror(f->err) : "");
}

/* ---- what a start does ---- */

static void report_step(FILE *f, bool json, unsigned *n, const char *text)
{
	if (json)
		fprintf(f, "%s\"%s\"", *n ? "," : "", text);
	else
		fprintf(f, "  %s\n", text);
	++*n;
}

static void lane_steps(FILE *f, const struct rec_lane_report *l, bool json, unsigned *n)
{
	static const struct { unsigned action; const char *text; } words[] = {
		{ RL_EXPLAIN, "explain the holes of the last batch" },
		{ RL_CUT, "go on at the first hole that the wal fills" },
		{ RL_GAP, "explain the numbers of missing segments" },
		{ RL_SKIP, "explain the numbers that the lost wal may have used" },
	};
	char text[160];

	if (l->unread_segno) {
		snprintf(text, sizeof(text), "lane %u: leave it as it is, for its last segment cannot be read now; or "
			 "refuse, where it has a worker", l->lane);
		report_step(f, json, n, text);
		return;
	}
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(l->row->actions & words[i].action))
			continue;
		snprintf(text, sizeof(text), "lane %u: %s", l->lane, words[i].text);
		report_step(f, json, n, text);
	}
	if (l->replay_records) {
		snprintf(text, sizeof(text), "lane %u: move %" PRIu64 " records (%" PRIu64
			 " bytes) from the wal into the segments", l->lane, l->replay_records,
			 l->replay_bytes);
		report_step(f, json, n, text);
	}
	if (l->tail_bytes || l->tail_words) {
		snprintf(text, sizeof(text), "lane %u: cut what was never acknowledged: %" PRIu64
			 " bytes of segments, %" PRIu64 " words of the wal", l->lane,
			 l->tail_bytes, l->tail_words);
		report_step(f, json, n, text);
	}
}

static unsigned steps(FILE *f, const struct report *r, bool json)
{
	unsigned n = 0;

	if (r->error)
		return 0;
	if (r->row->action == REC_CREATE)
		report_step(f, json, &n, "create the store");
	if (r->unclean)
		report_step(f, json, &n, "write the last batch of each lane again and sync it");
	for (unsigned i = 0; i < r->lanes; i++)
		if (r->lane[i].row)
			lane_steps(f, &r->lane[i], json, &n);
	return n;
}

/* ---- people ---- */

static void people_lanes(FILE *f, const struct report *r)
{
	fprintf(f, "%4s %9s %12s %15s %10s %10s %8s  %s\n", "lane", "segments", "records",
		"bytes", "oldest", "next", "in wal", "state");
	for (unsigned i = 0; i < r->lanes; i++) {
		const struct rec_lane_report *l = &r->lane[i];

		if (l->row)
			fprintf(f, "%4u %9" PRIu64 " %12" PRIu64 " %15" PRIu64 " %10" PRIu64
				" %10" PRIu64 " %8" PRIu64 "  %s\n", l->lane, l->segments,
				l->records, l->bytes, l->oldest_seq, l->next_seq,
				l->replay_records, l->row->label);
	}
}

static void people_findings(FILE *f, const struct report *r, bool damage, bool did)
{
	unsigned n = 0;
	char at[128], is[256];

	for (unsigned i = 0; i < r->findings; i++) {
		const struct rec_finding *g = &r->finding[i];

		if (rec_is_damage(g) != damage)
			continue;
		if (!n++)
			fprintf(f, "%s:\n", damage ? "damage" : "gaps");
		report_place(at, sizeof(at), g);
		what(is, sizeof(is), g);
		if (g->from_seq <= g->to_seq)
			fprintf(f, "  %s %u-%" PRIu64 "..%" PRIu64, g->to_seq - g->from_seq < REC_LOST_SKIP - 1 ?
				"records" : "numbers", g->lane, g->from_seq, g->to_seq);
		else
			fprintf(f, "  no record");
		fprintf(f, ": %s (%s), %s: %s\n", absent_name(g->reason),
			state_name(g->state, did), at, is);
	}
}

static void people_verdict(FILE *f, const struct report *r, bool did)
{
	uint64_t places = report_damaged(r);
	bool numbers = false, maybe = false, unread = places == report_unread(r);

	for (unsigned i = 0; i < r->findings; i++) {
		numbers |= rec_is_damage(&r->finding[i]) && r->finding[i].from_seq <= r->finding[i].to_seq;
		maybe |= absent_maybe(r->finding[i].reason);
	}
	switch (report_verdict(r)) {
	case 0:
		fprintf(f, "clean\n");
		break;
	case 1:
		fprintf(f, "%s%s\n", did ? "repaired; nothing acknowledged was lost" :
			"work is pending after a crash; nothing acknowledged is lost",
			maybe ? ", but what the gaps above may have been" : "");
		break;
	default:
		fprintf(f, "%s: %" PRIu64 " place%s, listed above; %s\n", unread ? "cannot be read now" :
			numbers ? "damaged or lost" : "damaged",
			places, places == 1 ? "" : "s", numbers ? "every other record is there" :
			"no number is known to be missing for it");
	}
}

void report_people(FILE *f, const struct report *r, const char *store, bool did)
{
	struct total t = totals(r);

	if (r->error) {
		fprintf(f, "%s: not usable: %s\n", store, r->why);
		return;
	}
	fprintf(f, "store %s: %s\n", store, r->row->words);
	if (r->nvmm_path[0])
		fprintf(f, "wal: %s\n", r->nvmm_path);
	people_lanes(f, r);
	fprintf(f, "in all: %" PRIu64 " lanes, %" PRIu64 " records, %" PRIu64 " bytes; %" PRIu64
		" more only in the wal\n", t.lanes, t.records, t.bytes, t.replay_records);
	people_findings(f, r, false, did);
	people_findings(f, r, true, did);
	fprintf(f, did ? "done:\n" : "a start would:\n");
	if (!steps(f, r, false))
		fprintf(f, "  nothing\n");
	people_verdict(f, r, did);
}

/* ---- JSON ---- */

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void report_json_lanes(FILE *f, const struct report *r)
{
	const char *sep = "";

	fprintf(f, "\"lanes\":[");
	for (unsigned i = 0; i < r->lanes; i++) {
		const struct rec_lane_report *l = &r->lane[i];

		if (!l->row)
			continue;
		fprintf(f, "%s{\"lane\":%u,\"segments\":%" PRIu64 ",\"records\":%" PRIu64
			",\"bytes\":%" PRIu64 ",\"oldest\":%" PRIu64 ",\"next\":%" PRIu64
			",\"wal_records\":%" PRIu64 ",\"wal_bytes\":%" PRIu64 ",\"tail_bytes\":%"
			PRIu64 ",\"tail_words\":%" PRIu64 ",\"state\":", sep, l->lane, l->segments,
			l->records, l->bytes, l->oldest_seq, l->next_seq, l->replay_records,
			l->replay_bytes, l->tail_bytes, l->tail_words);
		json_string(f, l->row->label);
		fputc('}', f);
		sep = ",";
	}
	fprintf(f, "],");
}

static void json_finding(FILE *f, const struct rec_finding *g, bool did, const char *sep)
{
	char at[128], is[256];

	report_place(at, sizeof(at), g);
	what(is, sizeof(is), g);
	fprintf(f, "%s{\"lane\":%u", sep, g->lane);
	if (g->from_seq <= g->to_seq)
		fprintf(f, ",\"from\":%" PRIu64 ",\"to\":%" PRIu64, g->from_seq, g->to_seq);
	fprintf(f, ",\"reason\":\"%s\",\"state\":\"%s\",\"place\":", absent_name(g->reason),
		state_name(g->state, did));
	json_string(f, at);
	fprintf(f, ",\"what\":");
	json_string(f, is);
	fputc('}', f);
}

/* "gaps": the findings of numbers without a record; "damage": those that may mean a loss. */
static void json_findings(FILE *f, const struct report *r, bool did)
{
	const char *sep = "";

	fprintf(f, "\"gaps\":[");
	for (unsigned i = 0; i < r->findings; i++) {
		if (r->finding[i].from_seq > r->finding[i].to_seq)
			continue;
		json_finding(f, &r->finding[i], did, sep);
		sep = ",";
	}
	fprintf(f, "],\"damage\":[");
	sep = "";
	for (unsigned i = 0; i < r->findings; i++) {
		if (!rec_is_damage(&r->finding[i]))
			continue;
		json_finding(f, &r->finding[i], did, sep);
		sep = ",";
	}
	fprintf(f, "],");
}

void report_json(FILE *f, const struct report *r, const char *store, bool did)
{
	struct total t = totals(r);
	int verdict = report_verdict(r);

	fprintf(f, "{\"store\":");
	json_string(f, store);
	fprintf(f, ",\"verdict\":\"%s\",\"exit\":%d,", report_verdict_name(verdict),
		did && verdict == 1 ? 0 : verdict);
	fprintf(f, "\"error\":");
	if (r->error)
		json_string(f, r->why);
	else
		fprintf(f, "null");
	fprintf(f, ",\"found\":");
	json_string(f, r->row ? r->row->label : "error");
	fprintf(f, ",\"class\":");
	json_string(f, r->class ? class_name(r->class) : "unknown");
	fprintf(f, ",\"nvmm\":");
	json_string(f, r->nvmm_path);
	fprintf(f, ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"wal_records\":%" PRIu64
		",\"wal_bytes\":%" PRIu64 ",", t.records + t.replay_records,
		t.bytes + t.replay_bytes, t.replay_records, t.replay_bytes);
	report_json_lanes(f, r);
	json_findings(f, r, did);
	fprintf(f, "\"%s\":[", did ? "done" : "start");
	steps(f, r, true);
	fprintf(f, "]}\n");
}
