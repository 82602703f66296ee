/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.c - one line of persistent memory that cannot be read, in small stores of each kind
 * with a wal: the ordinary failure of such memory.
 *
 * Each line of `wal` and of `pktbufs` in turn, before a check, a dump, and a start (or a
 * repair, by turns):
 *
 *	check	tells of it where it held something, and changes nothing
 *	dump	has every record but those of which the line held a word or a byte
 *	start	goes round it, brings back what dump had, gives no number again, and has made
 *		the line good: it is written to without a signal
 *
 *	KIND=name	only this store
 *	WHERE=n		only this line, counted through both files (printed by a failure)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files/walfile.h"
#include "kinds.h"
#include "lane/scan.h"

#define LINE		64u
#define WAL_PATH	WORLD_NVMM "/wal"
#define BUFS_PATH	WORLD_NVMM "/pktbufs"

struct lines {
	const struct kind *kind;
	struct storefile base;
	struct got before;
	uint64_t n, nwal, where;	/* lines in all, of the wal; the one that is bad */
	bool	*held;			/* [n * before.n] it had a part of that record */
	bool	*decides;		/* [n] of a superblock or a head */
	uint64_t told, lost, tried;
	bool	 failed;
};

static void fail(struct lines *l, const char *what)
{
	if (!l->failed)
		printf("FAILED: store %s, line %" PRIu64 " of %s: %s\nreplay: KIND=%s WHERE=%" PRIu64 "\n",
		       l->kind->name, l->where < l->nwal ? l->where : l->where - l->nwal,
		       l->where < l->nwal ? "wal" : "pktbufs", what, l->kind->name, l->where);
	l->failed = true;
}

/* ---- what each line holds ---- */

static void hold(struct lines *l, unsigned lane, uint64_t seq, uint64_t from, uint64_t n)
{
	for (size_t i = 0; n && i < l->before.n; i++)
		if (l->before.v[i].lane == lane && l->before.v[i].seq == seq)
			for (uint64_t at = from / LINE; at <= (from + n - 1) / LINE; at++)
				l->held[at * l->before.n + i] = true;
}

static void hold_lane(struct lines *l, struct walfile *w, unsigned lane)
{
	uint64_t n = w->super.entries, bufs = l->nwal * LINE;
	struct scan_item it;
	struct scan s;

	scan_start(&s, w, lane);
	while (scan_next(&s, &it) != SCAN_END) {
		if (it.kind != SCAN_RECORD)
			continue;
		for (uint64_t pos = it.pos; pos < it.end; pos++)
			hold(l, lane, it.seq, WAL_RINGS + (lane * n + pos % n) * 8, 8);
		for (uint32_t i = 0; i < it.nfrags; i++) {
			struct frag f = scan_frag(&s, &it, i);

			hold(l, lane, it.seq, bufs + (uint64_t)f.idx * w->super.buf_size + f.off, f.len);
		}
	}
}

static bool find_lines(struct lines *l)
{
	struct walfile w;

	if (walfile_open_ro(&w, pm_sim_ops(l->base.pm), WORLD_NVMM, NULL))
		return false;
	l->nwal = walfile_bytes(w.super.lanes, w.super.entries) / LINE;
	l->n = l->nwal + w.super.bufs * w.super.buf_size / LINE;
	l->held = calloc(l->n * (l->before.n + 1), sizeof(*l->held));
	l->decides = calloc(l->n, sizeof(*l->decides));
	if (!l->held || !l->decides)
		abort();
	for (uint64_t at = 0; at < sizeof(struct wal_super); at += LINE)
		l->decides[(WAL_SUPER_A + at) / LINE] = l->decides[(WAL_SUPER_B + at) / LINE] = true;
	for (unsigned i = 0; i < w.super.lanes; i++) {
		l->decides[WAL_HEADS_A / LINE + i] = l->decides[WAL_HEADS_B / LINE + i] = true;
		hold_lane(l, &w, i);
	}
	walfile_close(&w);
	return true;
}

/* ---- the judge ---- */

static int add_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
		      uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

static void judge_records(struct lines *l, const struct got *g)
{
	size_t k = 0;

	for (size_t i = 0; i < l->before.n; i++) {
		const struct got_rec *b = &l->before.v[i], *a = k < g->n ? &g->v[k] : NULL;

		if (a && a->lane == b->lane && a->seq == b->seq) {
			if (a->len != b->len || memcmp(a->data, b->data, a->len))
				fail(l, "a record is altered");
			k++;
		} else if (!l->held[l->where * l->before.n + i]) {
			fail(l, "a record is lost that the line had nothing of");
		} else {
			l->lost++;
		}
	}
	if (k != g->n)
		fail(l, "a record that was never there");
}

static void look(struct lines *l, struct world *x, struct got *g)
{
	struct report r;
	struct rec_tool t;
	int verdict;

	world_tool(x, &t);
	store_check(&t, &r);
	verdict = report_verdict(&r);
	if (verdict > 2)
		fail(l, r.why);
	if (l->decides[l->where] && !r.findings)
		fail(l, "check does not tell of a copy that cannot be read");
	report_fini(&r);
	store_dump(&t, &r, &(struct rec_dump){ g, add_record, NULL });
	report_fini(&r);
	judge_records(l, g);
	if (g->n < l->before.n && verdict < 2)
		fail(l, "check does not tell that a record is lost");
	l->told += verdict == 2;
}

static bool numbers_again(const struct lines *l, struct world *x)
{
	for (size_t i = 0; i < l->before.n; i++)
		if (lane_durable(store_lane(x->w, l->before.v[i].lane)) < l->before.v[i].seq)
			return true;
	return false;
}

/* The start writes to every lane what goes round the ring and the buffers. */
static void go_on(struct lines *l, struct world *x, const struct got *seen)
{
	struct got g = { 0 };
	char why[256];

	if (world_open(x, l->kind->lanes)) {
		fail(l, x->why);
		return;
	}
	world_read(x, &g);
	if (!got_same(seen, &g, why, sizeof(why)))
		fail(l, "the start has other records than the dump");
	if (numbers_again(l, x))
		fail(l, "the number of an acknowledged record is given again");
	got_free(&g);
	for (unsigned i = 0; i < l->kind->lanes; i++)
		for (int k = 0; k < 20; k++)
			if (world_record(x, i, 3000, true) || world_commit(x, i))
				fail(l, "the lane takes nothing");
}

static void repair(struct lines *l, struct world *x, const struct got *seen)
{
	struct got g = { 0 };
	struct report r;
	struct rec_tool t;
	char why[256];

	world_tool(x, &t);
	if (store_repair(&t, &r))
		fail(l, r.why);
	report_fini(&r);
	store_dump(&t, &r, &(struct rec_dump){ &g, add_record, NULL });
	report_fini(&r);
	if (!got_same(seen, &g, why, sizeof(why)))
		fail(l, "the repair has other records than the dump");
	got_free(&g);
}

static void one_line(struct lines *l, uint64_t where)
{
	struct storefile s = store_copy(&l->base);
	struct model model = { 0 };
	struct got g = { 0 };
	struct world x;

	l->where = where;
	l->tried++;
	if (pm_sim_bad(s.pm, where < l->nwal ? WAL_PATH : BUFS_PATH,
		       (where < l->nwal ? where : where - l->nwal) * LINE))
		abort();
	world_init(&x, l->kind->cls, s.pm, s.blk, &model);
	look(l, &x, &g);
	if (!l->failed && where % 2)
		repair(l, &x, &g);
	else if (!l->failed)
		go_on(l, &x, &g);
	world_fini(&x);
	model_free(&model);
	got_free(&g);
}

/* Of lines that hold nothing, and are not right behind one that does, some are enough. */
static bool worth(const struct lines *l, uint64_t where)
{
	const char *only = getenv("WHERE");

	if (only && *only)
		return strtoull(only, NULL, 0) == where;
	if (where % 16 < 2 || l->decides[where])
		return true;
	for (size_t i = 0; i < l->before.n; i++)
		if (l->held[where * l->before.n + i] || l->held[(where - 1) * l->before.n + i])
			return true;
	return false;
}

static void one_kind(struct lines *l, const struct kind *k)
{
	struct world x;
	struct rec_tool t;
	struct report r;

	l->kind = k;
	kind_build(k, &l->base);
	world_init(&x, k->cls, l->base.pm, l->base.blk, NULL);
	world_tool(&x, &t);
	store_dump(&t, &r, &(struct rec_dump){ &l->before, add_record, NULL });
	report_fini(&r);
	if (find_lines(l))
		for (uint64_t i = 0; i < l->n && !l->failed; i++)
			if (worth(l, i))
				one_line(l, i);
	free(l->held);
	free(l->decides);
	l->held = l->decides = NULL;
	store_free(&l->base);
	got_free(&l->before);
}

int main(void)
{
	const char *only = getenv("KIND");
	struct lines l = { 0 };

	for (const struct kind *k = kinds; k->name && !l.failed; k++)
		if (class_has_wal(k->cls) && !k->clean && (!only || !*only || !strcmp(only, k->name)))
			one_kind(&l, k);
	printf("%" PRIu64 " lines, of %" PRIu64 " check tells of damage, %" PRIu64 " records lost, %.1f s CPU\n",
	       l.tried, l.told, l.lost, (double)clock() / CLOCKS_PER_SEC);	/* clock: printed */
	return l.failed || !l.tried || !l.lost;
}
