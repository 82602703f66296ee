/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_rule.c - the promise, from the request's bytes to the reply's: the real worker
 * (worker, conn, http, ingest, reply) over a scripted ring and the two simulators.
 *
 * Whenever a 2xx is handed to the ring the power is cut: the worst case (nothing of what
 * is in doubt is there) and a few drawn ones.  Every record that any reply so far has
 * named must be in what recovery finds, byte for byte as it was asked for; and nothing
 * may be there that no client has sent as a whole.  Storage that fails: no 2xx after it
 * but for what was durable before, 503 for the rest, readyz says so.  A write that finds
 * no room: 507 for what waits for it, and then the server goes on.
 *
 *	SEED=n		only this seed (a failure prints it)
 *	SEEDS=n		how many (default 12)
 *	RULE=name	only this scenario
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/pm_sim.h"
#include "admin/counters.h"
#include "admin/health.h"
#include "model.h"
#include "rule.h"
#include "segment/segment.h"
#include "server/worker.h"
#include "store/store.h"
#include "tool/rec_tool.h"

#define BUFS	64u
#define BUF	2048u
#define NEVER	(1u << 30)	/* milliseconds: no clock has a part in this */
#define CUTS	2u		/* drawn, besides the worst case */

static const struct scenario {
	const char *name;
	enum durability_class cls;
	int	 fault, err;
} scenarios[] = {
	{ "nvmm", CLASS_NVMM, -1, 0 },
	{ "fsync", CLASS_FSYNC, -1, 0 },
	{ "nvmm-write-fails", CLASS_NVMM, SIM_WRITE, EIO },
	{ "nvmm-sync-fails", CLASS_NVMM, SIM_SYNC, EIO },
	{ "fsync-write-fails", CLASS_FSYNC, SIM_WRITE, EIO },
	{ "fsync-sync-fails", CLASS_FSYNC, SIM_SYNC, EIO },
	{ "fsync-sync-full", CLASS_FSYNC, SIM_SYNC, ENOSPC },
	{ "fsync-no-room", CLASS_FSYNC, SIM_WRITE, ENOSPC },
	{ "nvmm-no-room", CLASS_NVMM, SIM_WRITE, EDQUOT },
};

static struct {			/* one run at a time */
	const struct scenario *s;
	uint64_t seed;
	struct pm_sim *pm;
	struct blk_sim *blk;
	struct rule r;
	uint64_t cuts, acked, refused, not_ready;
} the;

static void tell(void)
{
	if (the.r.failed)
		printf("FAILED: %s\nreplay: SEED=%" PRIu64 " RULE=%s\n", the.r.why, the.seed, the.s->name);
	fflush(stdout);
}

/* ---- the judge ---- */

static int found_one(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
		     uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

static bool is(const struct req *q, const struct got_rec *g)
{
	return q->record_len == g->len && !memcmp(q->record, g->data, g->len);
}

static void judge(struct rule *r, const struct got *g, const char *when)
{
	for (unsigned i = 0; i < r->nall; i++) {
		const struct req *q = &r->all[i];
		size_t k = 0;

		if (!q->seq)
			continue;
		while (k < g->n && g->v[k].seq != q->seq)
			k++;
		if (k == g->n)
			rule_fail(r, "%s: record %" PRIu64 " was acknowledged and is lost", when, q->seq);
		else if (!is(q, &g->v[k]))
			rule_fail(r, "%s: record %" PRIu64 " is not what was sent", when, q->seq);
	}
	for (size_t k = 0; k < g->n && !r->failed; k++) {
		unsigned i = 0;

		while (i < r->nall && !(r->all[i].kind == REQ_RECORD && r->all[i].delivered &&
					is(&r->all[i], &g->v[k])))
			i++;
		if (i == r->nall)
			rule_fail(r, "%s: record %" PRIu64 " was never sent as a whole", when, g->v[k].seq);
		if (k && g->v[k - 1].seq >= g->v[k].seq)
			rule_fail(r, "%s: record %" PRIu64 " after %" PRIu64, when, g->v[k].seq,
				  g->v[k - 1].seq);
	}
}

/* Takes the simulators. */
static void look(struct rule *r, struct pm_sim *pm, struct blk_sim *blk, const char *when)
{
	struct rec_tool t = { .store_dir = "/store", .pm = pm_sim_ops(pm), .blk = blk_sim_ops(blk) };
	struct report rep;
	struct got g = { 0 };

	store_dump(&t, &rep, &(struct rec_dump){ .record = found_one, .arg = &g });
	if (report_verdict(&rep) >= 2)
		rule_fail(r, "%s: %s %s", when, rep.why, rep.findings ? rep.finding[0].what : "");
	else
		judge(r, &g, when);
	report_fini(&rep);
	got_free(&g);
	pm_sim_free(pm);
	blk_sim_free(blk);
	the.cuts++;
}

static void cut_now(struct rule *r)
{
	struct sim_edge worst;
	struct sim_rng rng;
	struct pm_sim *pm;

	sim_edge_init(&worst, 0);
	pm = pm_sim_cut(the.pm, &worst.p);
	sim_edge_init(&worst, 0);
	look(r, pm, blk_sim_cut(the.blk, &worst.p), "power cut at a 2xx, the worst case");
	for (unsigned i = 0; i < CUTS && !r->failed; i++) {
		sim_rng_init(&rng, the.seed * 1000003 + the.cuts);
		pm = pm_sim_cut(the.pm, &rng.p);
		look(r, pm, blk_sim_cut(the.blk, &rng.p), "power cut at a 2xx");
	}
}

/* ---- one life of the server ---- */

static struct store *open_store(struct rule *r)
{
	struct store_options o = {
		.store_dir = "/store", .nvmm_path = class_has_wal(the.s->cls) ? "/nvmm" : NULL,
		.class = the.s->cls, .lanes = 1, .pool_bytes = BUFS * BUF, .buf_size = BUF,
		.segment_bytes = SEG_BYTES_MIN, .record_bytes_max = RULE_HEAD + RULE_BODY,
		.pm = pm_sim_ops(the.pm), .blk = blk_sim_ops(the.blk),
	};
	char why[256];
	struct store *w;
	int err = store_open(&w, &o, why, sizeof(why));

	if (err)
		rule_fail(r, "the store does not open: %s", why);
	return err ? NULL : w;
}

static void lost(void *arg)
{
	rule_fail(arg, "the worker gave up");
}

static void check_buffers(struct rule *r, struct store *w)
{
	struct pool *p = store_pool(w, 0);

	while (store_background(w, 1 << 20) > 0)
		;
	lane_reclaim(store_lane(w, 0));
	if (p->nfree + r->in_ring != p->n)
		rule_fail(r, "%u of %u buffers are free, and %u in the ring: some are lost", p->nfree, p->n,
			  r->in_ring);
}

static bool no_room(const struct scenario *s)
{
	return s->fault == SIM_WRITE && blk_nospace(-s->err);
}

/* Each refusal that a client has read was counted, whichever way it was found out. */
static void check_refusals(struct rule *r, const struct counters *c, unsigned told)
{
	uint64_t counted = c->refused_pool + c->refused_lane + c->refused_failed + c->refused_nospace;

	if (counted < told)
		rule_fail(r, "clients were told of %u refusals, and %" PRIu64 " were counted", told, counted);
}

/* The worker, until every client has had its say. */
static void serve(struct rule *r, struct store *w, int fault)
{
	struct counters counters = { 0 };
	struct health health = { 0 };
	struct head_common common;
	atomic_uint serving = 1;
	struct worker_env env = {
		.ring = &rule_ring, .store = w, .common = &common, .health = &health, .counters = &counters,
		.limits = { RULE_HEAD, 256, 32, 256, RULE_BODY }, .conns_max = RULE_CONNS,
		.header_timeout_ms = NEVER, .body_timeout_ms = NEVER, .body_step = 1,
		.idle_timeout_ms = NEVER, .write_timeout_ms = NEVER,
		/* Nothing gives the buffers of a failed lane back but refusing: at once. */
		.pushback_ms = fault < 0 ? NEVER : 0,
		.drain_ms = NEVER, .gone = lost, .arg = r, .serving = &serving,
	};
	struct rule_disk d = { .store = w, .blk = the.blk, .fault = fault, .err = the.s->err, .acked = cut_now,
		.fault_in = 1 + rule_draw(r, 12) };
	unsigned told = r->refused;
	struct worker *worker;
	char why[256];

	head_common_init(&common, class_name(store_class(w)), NEVER);
	rule_ring_set(r, &d);
	for (unsigned i = 0; i < RULE_CLIENTS; i++)
		r->client[i].conns_left = 1 + rule_draw(r, 4);
	if (worker_start(&worker, &env, 0, -1, NULL, 0, why, sizeof(why))) {
		rule_fail(r, "%s", why);
		return;
	}
	rule_ring_go(worker);
	worker_join(worker);
	check_refusals(r, &counters, r->refused - told);
	if (!r->failed_lane && !r->failed)
		check_buffers(r, w);
	if (r->failed_lane && health_ready(&health))
		rule_fail(r, "the lane has failed, and the server says that it is ready");
	if ((fault < 0 || no_room(the.s)) && r->failed_lane)
		rule_fail(r, "the lane has failed for no reason");
	worker_free(worker);
}

/* What is left of it, as the next start finds it: power lost or the process killed. */
static void end(struct rule *r, struct store *w, bool power)
{
	struct pm_sim *pm = power ? pm_sim_cut(the.pm, &r->rng.p) : pm_sim_killed(the.pm);
	struct blk_sim *blk = power ? blk_sim_cut(the.blk, &r->rng.p) : blk_sim_killed(the.blk);

	pm_sim_freeze(the.pm);
	store_close(w);
	pm_sim_free(the.pm);
	blk_sim_free(the.blk);
	the.pm = pm;
	the.blk = blk;
	r->failed_lane = false;
}

static void one(const struct scenario *s, uint64_t seed)
{
	struct rule *r = &the.r;

	memset(r, 0, sizeof(*r));
	the.s = s;
	the.seed = seed;
	the.pm = pm_sim_new();
	the.blk = blk_sim_new();
	sim_rng_init(&r->rng, seed * 0x9e3779b97f4a7c15ull + 1);
	for (unsigned life = 0; life < 2 && !r->failed; life++) {
		struct store *w = open_store(r);

		if (!w)
			break;
		serve(r, w, life ? -1 : s->fault);
		end(r, w, rule_draw(r, 2));
		if (!r->failed)
			look(r, pm_sim_killed(the.pm), blk_sim_killed(the.blk), "after the end");
	}
	the.acked += r->acked;
	the.refused += r->refused;
	the.not_ready += r->readyz_bad;
	rule_requests_free(r);
	pm_sim_free(the.pm);
	blk_sim_free(the.blk);
}

int main(void)
{
	const char *only = getenv("RULE"), *seed = getenv("SEED"), *seeds = getenv("SEEDS");
	uint64_t from = seed && *seed ? strtoull(seed, NULL, 0) : 1;
	uint64_t n = seed && *seed ? 1 : seeds && *seeds ? strtoull(seeds, NULL, 0) : 12;
	unsigned ran = 0;

	atexit(tell);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *s = &scenarios[i];
		uint64_t acked = the.acked, refused = the.refused, cuts = the.cuts;
		uint64_t not_ready = the.not_ready;

		if (only && *only && strcmp(only, s->name))
			continue;
		ran++;
		for (uint64_t k = from; k < from + n; k++) {
			one(s, k);
			if (the.r.failed)
				return 1;
		}
		printf("%-18s %6" PRIu64 " acknowledged, %5" PRIu64 " refused, %3" PRIu64 " not ready, %6"
		       PRIu64 " power cuts\n", s->name, the.acked - acked, the.refused - refused,
		       the.not_ready - not_ready, the.cuts - cuts);
		if (n > 4 && (the.acked == acked ||
			      (s->fault >= 0 && !(s->cls == CLASS_NVMM && no_room(s)) && (the.refused == refused || the.not_ready == not_ready)))) {
			printf("FAILED: nothing was acknowledged, refused, not ready: nothing was shown\n");
			return 1;
		}
	}
	return !ran;
}
