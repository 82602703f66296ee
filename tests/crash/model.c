/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - the reference model of the crash tests (model.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static uint8_t *copy(const uint8_t *data, uint32_t len)
{
	uint8_t *p = need(malloc(len ? len : 1));

	memcpy(p, data, len);
	return p;
}

static void cut_from(struct model_lane *l, uint64_t seq)
{
	while (l->n && l->v[l->n - 1].seq >= seq)
		free(l->v[--l->n].data);
}

void model_free(struct model *m)
{
	for (unsigned i = 0; i < MODEL_LANES; i++) {
		cut_from(&m->lane[i], 0);
		free(m->lane[i].v);
	}
	memset(m, 0, sizeof(*m));
}

void model_append(struct model *m, unsigned lane, uint64_t seq, uint64_t ms, const uint8_t *data,
		  uint32_t len)
{
	struct model_lane *l = &m->lane[lane];

	if (l->taken_back)
		while (l->n && l->v[l->n - 1].seq >= seq && !l->v[l->n - 1].acked)
			free(l->v[--l->n].data);
	l->taken_back = false;
	if (l->n && l->v[l->n - 1].seq >= seq)
		abort();	/* numbers only rise */
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = need(realloc(l->v, l->cap * sizeof(*l->v)));
	}
	l->v[l->n++] = (struct model_rec){ seq, copy(data, len), len, ms, UINT64_MAX, false };
}

void model_ack(struct model *m, unsigned lane, uint64_t upto, uint64_t ms)
{
	struct model_lane *l = &m->lane[lane];

	for (size_t i = l->n; i-- > 0 && !l->v[i].acked; ) {
		if (l->v[i].seq > upto)
			continue;
		l->v[i].acked = true;
		l->v[i].upto_ms = ms;
		if (l->v[i].seq > l->top)
			l->top = l->v[i].seq;
	}
}

void model_take_back(struct model *m, unsigned lane)
{
	m->lane[lane].taken_back = true;
}

bool model_any_acked(const struct model *m)
{
	for (unsigned i = 0; i < MODEL_LANES; i++)
		for (size_t k = 0; k < m->lane[i].n; k++)
			if (m->lane[i].v[k].acked)
				return true;
	return false;
}

/* ---- what came back ---- */

void got_add(struct got *g, unsigned lane, uint64_t seq, uint64_t ms, const uint8_t *data, uint32_t len)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 64;
		g->v = need(realloc(g->v, g->cap * sizeof(*g->v)));
	}
	g->v[g->n++] = (struct got_rec){ lane, seq, ms, len, 0, copy(data, len) };
}

void got_clear(struct got *g)
{
	while (g->n)
		free(g->v[--g->n].data);
}

void got_free(struct got *g)
{
	got_clear(g);
	free(g->v);
	memset(g, 0, sizeof(*g));
}

bool got_same(const struct got *a, const struct got *b, char *why, size_t n)
{
	for (size_t i = 0; i < a->n || i < b->n; i++) {
		const struct got_rec *x = &a->v[i], *y = &b->v[i];

		if (i >= a->n || i >= b->n) {
			x = i < a->n ? x : y;
			snprintf(why, n, "record %u-%" PRIu64 " is in the %s only", x->lane, x->seq,
				 i < a->n ? "first" : "second");
			return false;
		}
		if (x->lane != y->lane || x->seq != y->seq || x->ms != y->ms || x->len != y->len ||
		    memcmp(x->data, y->data, x->len)) {
			snprintf(why, n, "record %u-%" PRIu64 " and %u-%" PRIu64 " differ", x->lane,
				 x->seq, y->lane, y->seq);
			return false;
		}
	}
	return true;
}

/* ---- the judge ---- */

/* Whether retention may have taken record k and all before it. */
static bool expired(const struct model *m, const struct model_lane *l, size_t k)
{
	uint64_t after = 0;
	bool last = true;

	for (size_t i = k + 1; i < l->n; i++) {
		after += l->v[i].acked ? l->v[i].len : 0;
		last &= !l->v[i].acked;
	}
	return (!last && m->keep_bytes && after >= m->keep_bytes) ||
	       (m->keep_ms && l->v[k].ms + m->keep_ms < m->now_ms);
}

static const char *judge_lane(const struct model *m, unsigned lane, const struct got_rec *g,
			      size_t n, char *why, size_t len)
{
	const struct model_lane *l = &m->lane[lane];
	size_t k = 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t seq = i < n ? g[i].seq : UINT64_MAX;

		if (i && i < n && g[i - 1].seq >= seq) {
			snprintf(why, len, "record %u-%" PRIu64 " after %" PRIu64, lane, seq,
				 g[i - 1].seq);
			return why;
		}
		for (; k < l->n && l->v[k].seq < seq; k++) {
			if (!l->v[k].acked || (!i && expired(m, l, k)))
				continue;
			snprintf(why, len, "acknowledged record %u-%" PRIu64 " is lost", lane,
				 l->v[k].seq);
			return why;
		}
		if (i == n)
			return NULL;
		if (k == l->n || l->v[k].seq != seq) {
			snprintf(why, len, "record %u-%" PRIu64 " was never appended", lane, seq);
			return why;
		}
		if (l->v[k].len != g[i].len || memcmp(l->v[k].data, g[i].data, g[i].len)) {
			snprintf(why, len, "record %u-%" PRIu64 " is altered (%u bytes, were %u)", lane,
				 seq, g[i].len, l->v[k].len);
			return why;
		}
		if (g[i].ms < l->v[k].ms || g[i].ms > l->v[k].upto_ms) {
			snprintf(why, len, "record %u-%" PRIu64 " has the time %" PRIu64 ", and was appended at %" PRIu64
				 " and acknowledged at %" PRIu64, lane, seq, g[i].ms, l->v[k].ms, l->v[k].upto_ms);
			return why;
		}
		k++;
	}
	return NULL;
}

const char *model_judge(const struct model *m, const struct got *g, char *why, size_t len)
{
	size_t at = 0;

	for (unsigned lane = 0; lane < MODEL_LANES; lane++) {
		size_t n = 0;
		const char *bad;

		while (at + n < g->n && g->v[at + n].lane == lane)
			n++;
		bad = judge_lane(m, lane, g->v + at, n, why, len);
		if (bad)
			return bad;
		at += n;
	}
	if (at == g->n)
		return NULL;
	snprintf(why, len, "record %u-%" PRIu64 " is out of order", g->v[at].lane, g->v[at].seq);
	return why;
}

void model_restart(struct model *m, const struct got *g)
{
	struct model was = *m;

	memset(m->lane, 0, sizeof(m->lane));
	for (unsigned i = 0; i < MODEL_LANES; i++)
		m->lane[i].top = was.lane[i].top;
	for (size_t i = 0; i < g->n; i++) {
		/* Its time is the one that it was told with, from now on. */
		model_append(m, g->v[i].lane, g->v[i].seq, g->v[i].ms, g->v[i].data, g->v[i].len);
		model_ack(m, g->v[i].lane, g->v[i].seq, g->v[i].ms);
	}
	model_free(&was);
}
