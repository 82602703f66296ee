/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_recover.c - recovery of stores that something has happened to.
 *
 * A few stores are made once, over the simulators, by the code itself (class fsync and
 * nvmm, closed, killed, some with several lanes, laps and segments).  Byte 0 chooses
 * one, the rest says what happens to its files: bits flipped, bytes overwritten, ranges
 * zeroed or copied from elsewhere, files cut, gone, or replaced; and headers that are
 * changed and sealed again, which no accident does (then the store may lie).
 *
 * Checked: looking writes nothing; every record that is shown is one that was sent,
 * byte for byte (unless the store lies); repair either refuses or leaves a store that
 * needs no more work, with all that was shown before; and a server that starts on that
 * has the same and takes new records.
 */
#include <errno.h>
#include <inttypes.h>

#include "files/storefile.h"
#include "format/codec.h"
#include "fuzz.h"
#include "segment/seg_scan.h"
#include "tool/rec_tool.h"
#include "tool/report.h"
#include "world.h"

#define BASES	6u
#define FILES	9u

static const struct { const char *path; bool pm; } files[FILES] = {
	{ WORLD_STORE "/store", false },
	{ WORLD_STORE "/log/000/00000001.seg", false },
	{ WORLD_STORE "/log/000/00000002.seg", false },
	{ WORLD_STORE "/log/000/00000003.seg", false },
	{ WORLD_STORE "/log/001/00000001.seg", false },
	{ WORLD_STORE "/log/001/00000002.seg", false },
	{ WORLD_STORE "/log/002/00000001.seg", false },
	{ WORLD_NVMM "/wal", true },
	{ WORLD_NVMM "/pktbufs", true },
};

static struct base {
	enum durability_class cls;
	unsigned lanes;
	struct model model;
	struct pm_sim *pm;
	struct blk_sim *blk;
} bases[BASES];

/* ---- the stores ---- */

static void some_records(struct world *x, unsigned lanes, unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned lane = i % lanes;

		int err = world_record(x, lane, 30 + (i * 37 + len) % (len + 1), i % 3 == 0);

		if (!err && i % 4 != 2)
			err = world_commit(x, lane);
		if (!err && i % 4 != 2)
			err = world_synced(x, lane);
		fuzz_check(!err || err == -EAGAIN, "record %u of %u lanes: %d", i, lanes, err);
		if (i % 5 == 4 || err)
			world_background(x, 700);
	}
}

/* As workers do before they end. */
static void finish(struct world *x)
{
	for (unsigned i = 0; i < x->lanes; i++)
		while (lane_pending(store_lane(x->w, i)) &&
		       !world_commit(x, i) && !world_synced(x, i))
			world_background(x, 1 << 20);
	fuzz_check(!world_close(x), "close");
}

static void make(struct base *b, enum durability_class cls, unsigned lanes, unsigned n, uint32_t len, bool close)
{
	struct world x;

	b->cls = cls;
	b->lanes = lanes;
	world_init(&x, cls, pm_sim_new(), blk_sim_new(), &b->model);
	fuzz_check(!world_open(&x, lanes), "%s", x.why);
	some_records(&x, lanes, n / 2, len);
	if (close) {
		finish(&x);
		fuzz_check(!world_open(&x, lanes), "%s", x.why);
	}
	some_records(&x, lanes, n - n / 2, len);
	if (close)
		finish(&x);
	else
		world_kill(&x);
	b->pm = pm_sim_killed(x.pm);
	b->blk = blk_sim_killed(x.blk);
	world_fini(&x);
}

static void make_all(void)
{
	if (bases[0].blk)
		return;
	make(&bases[0], CLASS_FSYNC, 1, 12, 900, false);
	make(&bases[1], CLASS_NVMM, 1, 9, 900, false);
	make(&bases[2], CLASS_NVMM, 3, 24, 600, false);
	make(&bases[3], CLASS_FSYNC, 2, 40, 9000, true);
	make(&bases[4], CLASS_NVMM, 2, 40, 7000, false);
	make(&bases[5], CLASS_VOLATILE, 1, 8, 300, false);
}

/* ---- what happens to them ---- */

struct victim {
	struct pm_sim *pm;
	struct blk_sim *blk;
	bool lies;
};

static uint8_t *copy_of(struct victim *v, unsigned f, uint64_t *n)
{
	const uint8_t *p = files[f].pm ? pm_sim_bytes(v->pm, files[f].path, n) :
			   blk_sim_bytes(v->blk, files[f].path, n);
	uint8_t *c = p ? malloc(*n + 1) : NULL;

	if (c)
		memcpy(c, p, *n);
	return c;
}

static void put(struct victim *v, unsigned f, const uint8_t *p, uint64_t n)
{
	if (files[f].pm)
		pm_sim_put(v->pm, files[f].path, p, n);
	else
		blk_sim_put(v->blk, files[f].path, p, n);
}

static void take_away(struct victim *v, unsigned f)
{
	const struct blk_ops *blk = blk_sim_ops(v->blk);

	if (files[f].pm)
		pm_sim_remove(v->pm, files[f].path);
	else
		blk->unlink(blk->ctx, NULL, files[f].path);
}

/* Up to n bytes of a thing of `size`, from `at` on. */
static void scribble(struct taste *t, void *thing, size_t size, size_t at, size_t n)
{
	at %= size;
	taste_bytes(t, (uint8_t *)thing + at, n < size - at ? n : size - at);
}

/* One field of a sealed thing changed, and the seal made again. */
static void lie(struct taste *t, unsigned f, uint8_t *p, uint64_t n)
{
	unsigned which = taste8(t), at = taste8(t);
	uint64_t salt = 0, off = 0;

	if (f == 0 && n >= 8192) {			/* either copy of the store block */
		struct storefile_block b;

		memcpy(&b, p + (which & 1) * 4096, sizeof(b));
		scribble(t, &b, 72, at, 1 + which % 8);
		b.crc = crc32c(&b, offsetof(struct storefile_block, crc));
		memcpy(p + (which & 1) * 4096, &b, sizeof(b));
	} else if (f == 7 && n >= WAL_RINGS + 512) {
		struct wal_super s;
		struct wal_head h;
		uint64_t w;

		switch (which % 3) {
		case 0:
			memcpy(&s, p + (which & 4) * 1024, sizeof(s));
			scribble(t, &s, offsetof(struct wal_super, crc), at, 1 + which / 16);
			s.crc = crc32c(&s, offsetof(struct wal_super, crc));
			memcpy(p + WAL_SUPER_A, &s, sizeof(s));
			memcpy(p + WAL_SUPER_B, &s, sizeof(s));
			break;
		case 1:
			off = (which & 4 ? WAL_HEADS_A : WAL_HEADS_B) + (which >> 4) % 3 * sizeof(h);
			memcpy(&h, p + off, sizeof(h));
			scribble(t, &h, offsetof(struct wal_head, crc), at, 1 + which % 8);
			h.crc = crc32c(&h, offsetof(struct wal_head, crc));
			memcpy(p + off, &h, sizeof(h));
			break;
		case 2:
			off = WAL_RINGS + at % 64 * 8;
			memcpy(&w, p + off, sizeof(w));
			w ^= taste64(t);
			w = ent_make(ent_kind(w), ent_lap(w), w);
			memcpy(p + off, &w, sizeof(w));
			break;
		}
	} else if (f >= 1 && f <= 6 && n > SEG_DATA + 4096) {
		struct seg_header h;
		struct frame_header fr;

		memcpy(&h, p, sizeof(h));
		salt = h.salt;
		if (which & 1) {
			scribble(t, &h, offsetof(struct seg_header, crc), at, 1 + which / 32);
			if (h.bytes > 1 << 20 && h.bytes <= SEG_BYTES_MAX)
				h.bytes = 1 << 20;	/* gigabytes of zeros take their time */
			h.crc = crc32c(&h, offsetof(struct seg_header, crc));
			memcpy(p + SEG_HDR_A, &h, sizeof(h));
			memcpy(p + SEG_HDR_B, &h, sizeof(h));
			return;
		}
		off = SEG_DATA;				/* the which-th frame */
		for (unsigned i = which / 2; ; i--) {
			memcpy(&fr, p + off, sizeof(fr));
			if (!i || fr.magic != FRAME_MAGIC || off + frame_bytes(fr.len) + sizeof(fr) > n)
				break;
			off += frame_bytes(fr.len);
		}
		scribble(t, &fr.kind, offsetof(struct frame_header, header_crc) - offsetof(struct frame_header, kind),
			 at, 1 + at / 40);
		frame_header_encode(&fr, salt);
		memcpy(p + off, &fr, sizeof(fr));
	}
}

static void happen(struct victim *v, struct taste *t)
{
	unsigned op = taste8(t), f = taste8(t) % FILES;
	uint64_t n, at, k;
	uint8_t *p = copy_of(v, f, &n);

	if (!p)
		return;
	at = n ? taste32(t) % n : 0;
	switch (n ? op % 8 : 7) {
	case 0:
	case 1:
		p[at] ^= (uint8_t)(1 << (op >> 5));
		break;
	case 2:
		k = 1 + taste8(t) % 16;
		taste_bytes(t, p + at, k < n - at ? k : n - at);
		break;
	case 3:
		k = (uint64_t)taste16(t) % (n - at) + 1;
		memset(p + at, op & 64 ? 0xff : 0, k);
		break;
	case 4:
		k = (uint64_t)taste16(t) % (n - at) + 1;
		at &= ~7ull;
		memmove(p + at, p + (taste32(t) % (n - k + 1) & ~7ull), k & ~7ull);
		break;
	case 5:
		n = at;
		break;
	case 6:
		v->lies = true;
		lie(t, f, p, n);
		break;
	case 7:
		take_away(v, f);
		free(p);
		return;
	}
	put(v, f, p, n);
	free(p);
}

/* ---- what must hold ---- */

static int add_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data,
		      uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

static void check_sent(const struct model *m, const struct got *g)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct got_rec *r = &g->v[i];
		const struct model_lane *l = &m->lane[r->lane % MODEL_LANES];
		size_t k = 0;

		fuzz_check(r->lane < MODEL_LANES, "lane %u", r->lane);
		while (k < l->n && l->v[k].seq != r->seq)
			k++;
		fuzz_check(k < l->n, "record %u-%" PRIu64 " was never sent", r->lane, r->seq);
		fuzz_check(l->v[k].len == r->len && !memcmp(l->v[k].data, r->data, r->len),
			   "record %u-%" PRIu64 " is not what was sent", r->lane, r->seq);
		fuzz_check(!i || r[-1].lane < r->lane || (r[-1].lane == r->lane && r[-1].seq < r->seq),
			   "record %u-%" PRIu64 " twice, or out of order", r->lane, r->seq);
	}
}

static void check_none_less(const struct got *before, const struct got *after)
{
	size_t k = 0;

	for (size_t i = 0; i < before->n; i++) {
		const struct got_rec *r = &before->v[i];

		while (k < after->n && (after->v[k].lane != r->lane || after->v[k].seq != r->seq))
			k++;
		fuzz_check(k < after->n, "record %u-%" PRIu64 " is gone", r->lane, r->seq);
		fuzz_check(after->v[k].len == r->len && after->v[k].crc == r->crc,
			   "record %u-%" PRIu64 " has changed", r->lane, r->seq);
	}
}

static void write_report(const struct report *r)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	report_people(f, r, WORLD_STORE, false);
	report_json(f, r, WORLD_STORE, false);
	fclose(f);
	fuzz_check(n > 20 && text[n - 1] == '\n', "no report");
	free(text);
}

/* Looking: the verdict.  Nothing is written by it. */
static int look(const struct world *x, struct got *g, int *err)
{
	struct pm_sim *pm = pm_sim_killed(x->pm);
	struct blk_sim *blk = blk_sim_killed(x->blk);
	struct rec_tool t;
	struct report r;
	char where[256];
	int verdict, first;

	world_tool(x, &t);
	first = store_check(&t, &r);
	verdict = report_verdict(&r);
	fuzz_check(verdict >= 0 && verdict <= 3 && (verdict == 3) == (first != 0), "%d %d", verdict, first);
	fuzz_check(!first || r.why[0], "no words for %d", first);
	write_report(&r);
	report_fini(&r);
	*err = store_dump(&t, &r, &(struct rec_dump){ g, add_record, NULL });
	fuzz_check(!first == !*err, "check %d, dump %d", first, *err);
	report_fini(&r);
	fuzz_check(pm_sim_same(pm, x->pm, where, sizeof(where)), "looking has changed %s", where);
	fuzz_check(blk_sim_same(blk, x->blk, where, sizeof(where)), "looking has changed %s", where);
	pm_sim_free(pm);
	blk_sim_free(blk);
	return verdict;
}

static bool repair(const struct world *x, bool give_up)
{
	struct rec_tool t;
	struct report r;
	int err;

	world_tool(x, &t);
	t.give_up = give_up;
	err = store_repair(&t, &r);
	fuzz_check(!err || r.why[0], "no words for %d", err);
	write_report(&r);
	report_fini(&r);
	return !err;
}

/* A server on what was repaired. */
static void start(struct world *x, const struct base *b, const struct got *before, bool lies)
{
	struct model mine = { 0 };
	struct got g = { 0 };
	char why[256];
	int err;

	x->model = &mine;
	x->nvmm = "/fresh";	/* what is left at the old place may be no wal any more */
	err = world_open(x, b->lanes);
	fuzz_check(!err || lies, "no start after repair: %s", x->why);
	if (err)
		return;
	world_read(x, &g);
	fuzz_check(lies || got_same(before, &g, why, sizeof(why)), "the start: %s", why);
	for (unsigned i = 0; i < b->lanes; i++) {
		err = world_record(x, i, 100, false);
		err = err ? err : world_commit(x, i);
		err = err ? err : world_synced(x, i);
		fuzz_check(!err || lies, "lane %u takes no record: %d", i, err);
	}
	if (lies)
		world_kill(x);
	else
		finish(x);
	got_free(&g);
	model_free(&mine);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct got before = { 0 }, after = { 0 };
	struct taste t = { in, n };
	uint8_t shape = taste8(&t);
	struct victim v = { 0 };
	struct base *b;
	struct world x;
	int err, verdict;

	if (n > 1024)
		return 0;
	make_all();
	b = &bases[shape % BASES];
	v.pm = pm_sim_killed(b->pm);
	v.blk = blk_sim_killed(b->blk);
	while (t.n)
		happen(&v, &t);
	world_init(&x, b->cls, v.pm, v.blk, NULL);
	verdict = look(&x, &before, &err);
	if (!v.lies)
		check_sent(&b->model, &before);
	fuzz_check(n > 1 || verdict < 2, "an unharmed store is damaged");
	if (repair(&x, shape & 128)) {
		verdict = look(&x, &after, &err);
		fuzz_check(v.lies || (!err && (verdict == 0 || verdict == 2)), "verdict %d after repair", verdict);
		if (!err)
			check_none_less(&before, &after);
		if (!v.lies)
			check_sent(&b->model, &after);
		if (!err && shape & 64)
			start(&x, b, &after, v.lies);
	}
	world_fini(&x);
	got_free(&before);
	got_free(&after);
	return 0;
}
