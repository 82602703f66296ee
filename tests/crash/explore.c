/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore.c - crash points and states (explore.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

static void judge(struct explore *e, struct pm_sim *pm, struct blk_sim *blk, unsigned depth);

static void fail(struct explore *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct explore *e, const char *fmt, ...)
{
	va_list ap;

	if (e->failed)
		return;
	e->failed = true;
	va_start(ap, fmt);
	vsnprintf(e->why, sizeof(e->why), fmt, ap);
	va_end(ap);
}

/* What a class survives: a power cut, or only the end of the process. */
static bool power(const struct explore *e)
{
	return !class_forgets(e->cls);
}

/* ---- one state ---- */

static int add_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
		      const uint8_t *data, uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

/* What pasted-recover says of it.  false: nothing there, and rightly so (or a failure). */
static bool look(struct explore *e, const struct world *x, struct got *g, const char *when)
{
	char why[256];
	struct rec_tool t;
	struct report r;
	int verdict;

	world_tool(x, &t);
	store_dump(&t, &r, &(struct rec_dump){ g, add_record, NULL });
	verdict = report_verdict(&r);
	if (r.error == STORE_ENODIR && !model_any_acked(e->model))
		verdict = -1;
	else if (verdict >= 2)
		fail(e, "%s: verdict %d: %s %s", when, verdict, r.why,
		     verdict == 2 ? r.finding[0].what : "");
	else if (model_judge(e->model, g, why, sizeof(why)))
		fail(e, "%s: %s", when, why);
	report_fini(&r);
	return verdict >= 0 && !e->failed;
}

static int count_step(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

/* A start on it gives the same records, and (use) works: a new record in each lane, and
 * a look at what another crash right then leaves.  Returns the start's steps. */
static unsigned recover(struct explore *e, struct world *x, const struct got *seen, bool use)
{
	struct got g = { 0 }, again = { 0 };
	char why[256];
	unsigned steps = 0;
	int err;

	x->step = count_step;
	x->step_arg = &steps;
	err = world_open(x, e->lanes);
	x->step = NULL;
	e->recoveries++;
	if (err) {
		fail(e, "recovery: %s", x->why);
		return 0;
	}
	world_read(x, &g);
	if (!got_same(seen, &g, why, sizeof(why)))
		fail(e, "the dump and the start: %s", why);
	for (unsigned i = 0; i < e->lanes; i++)
		if (lane_durable(store_lane(x->w, i)) < e->model->lane[i].top)
			fail(e, "number %u-%" PRIu64 " is given again", i, e->model->lane[i].top);
	model_restart(x->model, &g);
	for (unsigned i = 0; use && i < e->lanes && !e->failed; i++)
		if (world_record(x, i, 100, false) || world_commit(x, i) || world_synced(x, i))
			fail(e, "lane %u takes no record after recovery", i);
	world_kill(x);
	if (use && power(e) && !e->failed) {	/* nothing in doubt is kept: what was promised must be there */
		struct sim_edge none;
		struct world y;
		struct model *all = e->model;

		e->model = x->model;
		sim_edge_init(&none, 0);
		struct pm_sim *pm = pm_sim_cut(x->pm, &none.p);
		sim_edge_init(&none, 0);
		world_init(&y, x->cls, pm, blk_sim_cut(x->blk, &none.p), x->model);
		look(e, &y, &again, "after use");
		world_fini(&y);
		e->model = all;
	}
	got_free(&g);
	got_free(&again);
	return steps;
}

struct again {
	unsigned at, n;
};

static int off_at(void *arg)
{
	struct again *a = arg;

	return a->n++ >= a->at;
}

/* The power fails inside the recovery of that state (the simulators are taken): what
 * it leaves is judged by the same model. */
static void cut_again(struct explore *e, struct pm_sim *pm, struct blk_sim *blk, unsigned steps,
		      unsigned depth)
{
	struct again a = { (unsigned)(sim_rng_next(&e->rng) % (steps + 1)), 0 };
	struct model scratch = { 0 };
	struct world x;

	world_init(&x, e->cls, pm, blk, &scratch);
	x.step = off_at;
	x.step_arg = &a;
	if (!world_open(&x, e->lanes))
		world_kill(&x);
	for (int i = 0; i < 1 + power(e) && !e->failed; i++) {
		pm = power(e) ? pm_sim_cut(x.pm, &e->rng.p) : pm_sim_killed(x.pm);
		judge(e, pm, power(e) ? blk_sim_cut(x.blk, &e->rng.p) : blk_sim_killed(x.blk),
		      depth + 1);
		e->again_states++;
	}
	world_fini(&x);
	model_free(&scratch);
}

/* Takes the simulators. */
static void judge(struct explore *e, struct pm_sim *pm, struct blk_sim *blk, unsigned depth)
{
	bool again = depth < e->depth && sim_rng_next(&e->rng) % e->again == 0;
	struct pm_sim *pm2 = again ? pm_sim_killed(pm) : NULL;
	struct blk_sim *blk2 = again ? blk_sim_killed(blk) : NULL;
	struct model scratch = { 0 };
	struct got seen = { 0 };
	struct world x;
	unsigned steps = 0;

	world_init(&x, e->cls, pm, blk, &scratch);
	e->model->now_ms = world_clock();
	scratch.keep_bytes = e->model->keep_bytes;
	scratch.keep_ms = e->model->keep_ms;
	scratch.now_ms = e->model->now_ms;
	e->states++;
	look(e, &x, &seen, depth ? "inside recovery" : "crash");
	if (!e->failed)
		steps = recover(e, &x, &seen, sim_rng_next(&e->rng) % e->use == 0);
	world_fini(&x);
	model_free(&scratch);
	got_free(&seen);
	if (!again)
		return;
	if (!e->failed) {
		cut_again(e, pm2, blk2, steps, depth);
	} else {
		pm_sim_free(pm2);
		blk_sim_free(blk2);
	}
}

/* ---- the states of one point ---- */

static void one(struct explore *e, struct sim_pick *p)
{
	struct pm_sim *pm = pm_sim_cut(e->live->pm, p);

	judge(e, pm, blk_sim_cut(e->live->blk, p), 0);
}

static void every_state(struct explore *e)
{
	struct sim_odo o;

	sim_odo_init(&o);
	do
		one(e, &o.p);
	while (!e->failed && sim_odo_next(&o));
	sim_odo_fini(&o);
	e->all_points++;
}

static void some_states(struct explore *e, unsigned choices)
{
	unsigned edges = 2 + 2 * choices < e->samples ? 2 + 2 * choices : e->samples;

	for (unsigned i = 0; i < edges && !e->failed; i++) {
		struct sim_edge edge;
		/* nothing and all, then some of the one-choice extremes */
		unsigned which = i < 2 || edges == 2 + 2 * choices ? i :
			2 + (unsigned)(sim_rng_next(&e->rng) % (2 * choices));

		sim_edge_init(&edge, which);
		one(e, &edge.p);
	}
	for (unsigned i = 0; i < e->samples && !e->failed; i++)
		one(e, &e->rng.p);
}

/* Drawn anew for each point, so that a point can be replayed alone. */
static void seed_point(struct explore *e)
{
	sim_rng_init(&e->rng, e->seed * 0x9e3779b97f4a7c15ull + e->point);
}

static int at_point(void *arg)
{
	struct explore *e = arg;
	uint64_t a, b, now = world_clock();
	unsigned choices;

	if (e->failed)
		return 0;
	e->point++;
	if (e->only_point != UINT64_MAX && e->only_point != e->point)
		return 0;
	seed_point(e);
	e->points++;
	choices = pm_sim_choices(e->live->pm, &a) + blk_sim_choices(e->live->blk, &b);
	if (power(e) && a <= e->limit && b <= e->limit && a * b <= e->limit)
		every_state(e);
	else if (power(e))
		some_states(e, choices);
	if (!e->failed) {		/* SIGKILL: all that was seen is there */
		struct pm_sim *pm = pm_sim_killed(e->live->pm);

		judge(e, pm, blk_sim_killed(e->live->blk), 0);
	}
	world_clock_set(now);		/* for the workload no time has passed */
	return 0;
}

/* ---- the workload ---- */

static void set_retention(struct explore *e)
{
	e->live->retain_bytes = e->retain_bytes;
	e->live->retain_ms = e->load->retain_ms;
}

static void reopen(struct explore *e, struct pm_sim *pm, struct blk_sim *blk)
{
	uint64_t stream = e->live->stream;

	world_fini(e->live);
	world_init(e->live, e->cls, pm, blk, e->model);
	e->live->stream = stream;
	set_retention(e);
	e->live->step = at_point;
	e->live->step_arg = e;
}

static void do_crash(struct explore *e, bool cut)
{
	struct pm_sim *pm;
	struct blk_sim *blk;

	e->live->step = NULL;
	seed_point(e);
	pm = cut ? pm_sim_cut(e->live->pm, &e->rng.p) : pm_sim_killed(e->live->pm);
	blk = cut ? blk_sim_cut(e->live->blk, &e->rng.p) : blk_sim_killed(e->live->blk);
	reopen(e, pm, blk);
}

static void do_open(struct explore *e, unsigned lanes)
{
	struct got g = { 0 };
	int err;

	e->lanes = lanes;
	err = world_open(e->live, lanes);
	if (err) {
		fail(e, "the workload's start: %s", e->live->why);
		return;
	}
	world_read(e->live, &g);
	model_restart(e->model, &g);
	got_free(&g);
}

static bool any_pending(const struct world *x)
{
	for (unsigned i = 0; i < x->lanes; i++)
		if (lane_pending(store_lane(x->w, i)))
			return true;
	return false;
}

static void do_step(struct explore *e, const struct step *s)
{
	struct world *x = e->live;
	bool pending;
	int err = 0;

	switch (s->op) {
	case OPEN:
		do_open(e, s->arg);
		return;
	case CLOSE:
		pending = any_pending(x);
		err = world_close(x);
		err = pending ? 0 : err;	/* a start has to look at it: not clean */
		break;
	case KILL:
	case CUT:		/* a class that forgets at a power cut can only be killed */
		do_crash(e, s->op == CUT && power(e));
		return;
	case REC:
	case FRESH:
		err = world_record(x, s->lane, s->arg, s->op == FRESH);
		break;
	case CHUNKS:
		err = world_chunks(x, s->lane, s->arg);
		break;
	case FULL_WORDS:
	case FULL_BUFS:
		world_full(x, s->lane, s->arg, s->op == FULL_BUFS);
		break;
	case CLASS:
		e->cls = x->cls = (enum durability_class)s->arg;
		break;
	case RETAIN:
		e->retain_bytes = x->retain_bytes = s->arg * (uint64_t)WORLD_SEGMENT;
		break;
	case COMMIT:
		err = world_commit(x, s->lane);
		break;
	case SYNCED:
		err = world_synced(x, s->lane);
		break;
	case BACK:
		err = world_background(x, s->arg);
		break;
	case FAIL_WRITE:
	case FAIL_SYNC:
		blk_sim_fault(x->blk, s->op == FAIL_SYNC ? SIM_SYNC : SIM_WRITE, 1, 1, EIO);
		x->faulty = true;
		break;
	case FAIL_ROOM:
		blk_sim_fault(x->blk, SIM_WRITE, 1, 1, s->lane ? EDQUOT : ENOSPC);
		e->no_room = true;
		break;
	case END:
		break;
	}
	if (err == -ENOSPC && e->no_room)
		err = 0;
	if (err && !x->faulty)
		fail(e, "the workload's operation %d: %s", s->op, store_strerror(err));
}

/* ---- a workload from the seed ---- */

static uint32_t up_to(struct sim_rng *r, uint32_t n)
{
	return (uint32_t)(sim_rng_next(r) % n);
}

/* Sizes that matter: tiny, within a buffer, over several, long enough to fill segments. */
static uint32_t draw_len(struct sim_rng *r)
{
	static const uint32_t most[] = { 8, 300, 300, 2048, 2048, 9000, 15000 };

	return 1 + up_to(r, most[up_to(r, 7)]);
}

/* An end, and another beginning with as many lanes as may be. */
static unsigned draw_restart(struct explore *e, struct sim_rng *r, struct step *s, unsigned *lanes)
{
	static const enum op how[] = { CLOSE, KILL, CUT };
	unsigned n = 0;

	s[n++] = (struct step){ how[up_to(r, 2 + power(e))], 0, 0 };
	if (power(e) && !up_to(r, 3))
		s[n++] = (struct step){ CLASS, 0, up_to(r, 2) ? CLASS_FSYNC : CLASS_NVMM };
	*lanes = 1 + up_to(r, 3);
	s[n++] = (struct step){ OPEN, 0, *lanes };
	return n;
}

static struct step draw_one(struct sim_rng *r, unsigned lanes)
{
	static const enum op ops[] = { REC, REC, REC, FRESH, CHUNKS, COMMIT, COMMIT, COMMIT,
				       SYNCED, SYNCED, BACK, BACK, FULL_WORDS, FULL_BUFS };
	struct step s = { ops[up_to(r, 14)], up_to(r, lanes), draw_len(r) };

	if (s.op == BACK)
		s.arg = up_to(r, 2) ? 1u << 20 : 1 + up_to(r, 2000);
	if (s.op == CHUNKS)		/* pieces of a record: at most half of the words */
		s.arg = s.arg % 5000 + 1;
	if ((s.op == FULL_WORDS || s.op == FULL_BUFS) && up_to(r, 3))
		s.op = COMMIT;
	return s;
}

static struct step *draw_steps(struct explore *e, unsigned n)
{
	struct step *s = calloc(n + 4, sizeof(*s));
	struct sim_rng r;
	unsigned lanes = 2, k = 0;

	if (!s)
		abort();
	sim_rng_init(&r, e->seed * 0x2545f4914f6cdd1dull + e->load->cls);
	s[k++] = (struct step){ OPEN, 0, lanes };
	while (k < n)
		if (up_to(&r, 14))
			s[k++] = draw_one(&r, lanes);
		else
			k += draw_restart(e, &r, s + k, &lanes);
	s[k].op = END;
	return s;
}

bool explore_run(struct explore *e, const struct workload *w)
{
	struct model model = { 0 };
	struct step *drawn;
	struct world live;

	e->load = w;
	e->cls = w->cls;
	e->live = &live;
	e->model = &model;
	e->point = 0;
	e->lanes = 1;
	e->retain_bytes = w->retain_bytes;
	e->failed = false;
	world_init(&live, w->cls, pm_sim_new(), blk_sim_new(), &model);
	live.step = at_point;
	live.step_arg = e;
	set_retention(e);
	model.keep_bytes = w->keep_bytes;
	model.keep_ms = w->retain_ms;
	drawn = w->drawn ? draw_steps(e, w->drawn) : NULL;
	for (unsigned i = 0; i < w->repeat; i++)
		for (const struct step *s = drawn ? drawn : w->steps; s->op != END && !e->failed; s++)
			do_step(e, s);
	free(drawn);
	live.step = NULL;
	world_fini(&live);
	model_free(&model);
	return !e->failed;
}
