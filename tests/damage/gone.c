/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gone.c - segment files of a lane that are not there any more: the oldest, one in the middle,
 * the newest, all of them; in the stores of kinds.c, of each class, closed and killed.
 *
 * For each: check tells of every record that was in them, as missing; dump has all others and
 * a start the same; read-back says of each number that is lost that its file is missing, and
 * of no other; no number is given again; and a look after another crash says it still, also
 * one in the middle of the first start.
 * What a wal still has is not lost.
 *
 *	KIND=name	only this store
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"
#include "segment/seg_scan.h"

#define CUT_EVERY 5	/* operations of a start */

enum which { OLDEST, MIDDLE, NEWEST, ALL, WHICHES };
static const char *const which_name[] = { "oldest", "middle", "newest", "all" };

struct gone {
	const struct kind *kind;
	struct storefile base;
	struct got before;
	unsigned lane;
	enum which which;
	uint64_t from[64], to[64];	/* numbers of the files that are removed */
	unsigned n;
	bool failed;
};

static void fail(struct gone *g, const char *what, uint64_t seq)
{
	if (!g->failed)
		printf("FAILED: KIND=%s, lane %u, %s: %s (%" PRIu64 ")\n", g->kind->name, g->lane,
		       which_name[g->which], what, seq);
	g->failed = true;
}

static bool removed(const struct gone *g, unsigned lane, uint64_t seq)
{
	for (unsigned i = 0; lane == g->lane && i < g->n; i++)
		if (seq >= g->from[i] && seq <= g->to[i])
			return true;
	return false;
}

/* Without the files; false: there are none of that kind. */
static bool take_away(struct gone *g, struct storefile *s)
{
	char dir[32], path[SEG_PATH_MAX];
	const struct blk_ops *blk = blk_sim_ops(s->blk);
	struct seg_scan_options o = { .blk = blk, .dir = dir, .lane = g->lane };
	struct blk_dir *d;
	struct seg_lane l;

	snprintf(dir, sizeof(dir), WORLD_STORE "/log/%03u", g->lane);
	if (seg_scan_lane(&o, &l) || blk->dir_open(blk->ctx, NULL, dir, &d))
		abort();
	g->n = 0;
	for (size_t i = 0; l.tail != SIZE_MAX && i < l.nsegs; i++) {
		bool last = i == l.tail;

		if (g->which != ALL && (i > l.tail || (g->which == OLDEST && i) ||
		    (g->which == MIDDLE && (!i || last)) || (g->which == NEWEST && !last)))
			continue;
		seg_path(path, dir, l.segs[i].segno);
		blk->unlink(blk->ctx, NULL, path);
		if (l.segs[i].state != SEG_USED || g->n == 64)
			continue;
		g->from[g->n] = l.segs[i].h.first_seq;
		g->to[g->n++] = i < l.tail ? l.segs[i + 1].h.first_seq - 1 : UINT64_MAX;
		if (g->which == MIDDLE)
			break;
	}
	blk->sync_dir(d);
	blk->dir_close(d);
	seg_lane_free(&l);
	return g->n;
}

static int add_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
		      const uint8_t *data, uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

static bool has(const struct got *l, unsigned lane, uint64_t seq)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].lane == lane && l->v[i].seq == seq)
			return true;
	return false;
}

static bool told(const struct report *r, unsigned lane, uint64_t seq)
{
	for (unsigned i = 0; i < r->findings; i++) {
		const struct rec_finding *f = &r->finding[i];

		if (f->lane == lane && f->from_seq <= seq && seq <= f->to_seq &&
		    f->reason == ABSENT_MISSING && rec_is_damage(f))
			return true;
	}
	return false;
}

/* check and dump. */
static void look(struct gone *g, struct storefile *s, struct got *seen)
{
	struct report r;
	struct rec_tool t;
	struct world x;

	world_init(&x, g->kind->cls, s->pm, s->blk, NULL);
	world_tool(&x, &t);
	got_clear(seen);
	store_dump(&t, &r, &(struct rec_dump){ seen, add_record, NULL });
	if (report_verdict(&r) > 2)
		fail(g, r.why, 0);
	for (size_t i = 0; i < g->before.n; i++) {
		const struct got_rec *b = &g->before.v[i];

		if (has(seen, b->lane, b->seq))
			continue;
		if (!removed(g, b->lane, b->seq))
			fail(g, "a record in another file is lost", b->seq);
		else if (!told(&r, b->lane, b->seq))
			fail(g, "check does not tell of a record that is missing", b->seq);
	}
	report_fini(&r);
}

static void read_back(struct gone *g, struct world *x, const struct got *seen)
{
	struct got now = { 0 };
	char why[256];

	world_read(x, &now);
	if (!got_same(seen, &now, why, sizeof(why)))
		fail(g, why, 0);
	got_free(&now);
	for (size_t i = 0; i < g->before.n; i++) {
		const struct got_rec *b = &g->before.v[i];
		enum absent_reason want = has(seen, b->lane, b->seq) ? ABSENT_NOT : ABSENT_MISSING;
		struct absence a;

		if (store_read_absent(x->w, b->lane, b->seq, &a) || a.reason != want)
			fail(g, absent_words(a.reason), b->seq);
		if (lane_durable(store_lane(x->w, b->lane)) < b->seq)
			fail(g, "a number is given again", b->seq);
	}
}

struct off {
	unsigned at, n;
};

static int off_at(void *arg)
{
	struct off *o = arg;

	return o->n++ >= o->at;
}

/* The power fails in front of operation `at` of a start.  false: the start has no more. */
static bool cut_start(struct gone *g, struct storefile *s, unsigned at)
{
	struct off off = { at, 0 };
	struct sim_rng rng;
	struct world x;
	struct storefile t;

	world_init(&x, g->kind->cls, s->pm, s->blk, NULL);
	x.step = off_at;
	x.step_arg = &off;
	if (!world_open(&x, g->kind->lanes))
		world_kill(&x);
	sim_rng_init(&rng, at);
	t = (struct storefile){ pm_sim_cut(x.pm, &rng.p), blk_sim_cut(x.blk, &rng.p) };
	world_fini(&x);
	*s = t;
	return off.n > at;
}

static bool one(struct gone *g, int cut)
{
	struct storefile s = store_copy(&g->base);
	struct got seen = { 0 };
	struct world x;
	bool more = take_away(g, &s);

	if (!more) {
		store_free(&s);
		return false;
	}
	more = cut < 0 || cut_start(g, &s, (unsigned)cut);
	for (int life = 0; life < 3 && !g->failed; life++) {
		look(g, &s, &seen);
		world_init(&x, g->kind->cls, s.pm, s.blk, NULL);
		if (world_open(&x, g->kind->lanes))
			fail(g, x.why, 0);
		else
			read_back(g, &x, &seen);
		if (!g->failed && life == 1)
			world_close(&x);
		s.pm = pm_sim_killed(x.pm);
		s.blk = blk_sim_killed(x.blk);
		world_fini(&x);
	}
	if (g->failed)
		printf("the first start was cut in front of operation %d\n", cut);
	store_free(&s);
	got_free(&seen);
	return more;
}

int main(void)
{
	const char *only = getenv("KIND");
	unsigned cases = 0;
	bool failed = false;

	for (const struct kind *k = kinds; k->name && !failed; k++) {
		struct gone g = { .kind = k };
		struct report r;
		struct rec_tool t;
		struct world x;

		if (only && *only && strcmp(only, k->name))
			continue;
		kind_build(k, &g.base);
		world_init(&x, k->cls, g.base.pm, g.base.blk, NULL);
		world_tool(&x, &t);
		store_dump(&t, &r, &(struct rec_dump){ &g.before, add_record, NULL });
		report_fini(&r);
		for (g.lane = 0; g.lane < k->lanes; g.lane++)
			for (g.which = OLDEST; g.which < WHICHES && !g.failed; g.which++)
				for (int cut = -1; one(&g, cut) && !g.failed; cut += cut < 0 ? 1 : CUT_EVERY)
					cases++;
		failed = g.failed;
		store_free(&g.base);
		got_free(&g.before);
	}
	printf("%u cases\n", cases);
	return failed || !cases;
}
