/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage.c - one flipped bit at a time, in small stores of each kind; and whole blocks, one
 * or two, where something is kept twice.
 *
 * Places: every bit of the store block, the wal's superblock, heads and words, of segment
 * headers, frame headers and GAP frames, all copies, and SAMPLES bits of the data of each
 * record.  And the blocks of segment headers, one and both: zeros, ones, noise.  For each:
 *
 *	check	tells of it, with its place, and changes nothing
 *	dump	has every record but those that the bit touches, unaltered, and no other;
 *		where there are copies, it has all
 *	start	(or repair, by turns) brings back what dump had, and after another crash
 *		it is still there
 *
 * The one exception is written where it is asserted: told().
 *
 *	SEED=n		which bits of the data (default 1)
 *	SAMPLES=n	how many of each record (default 8)
 *	EACH=n		elsewhere one of n neighbours, 8: a bit of each byte (default 1, all)
 *	KIND=name	only this store
 *	PLACE=n BIT=n	only this bit, or this filling of blocks (printed by a failure)
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files/walfile.h"
#include "format/codec.h"
#include "kinds.h"
#include "lane/scan.h"
#include "segment/seg_scan.h"

#define PLACES_MAX 1024

/* ---- places ---- */

enum what { STORE_BLOCK, SUPER, HEAD, WORD, SEG_HEADER, FRAME, GAP, DATA, SEG_BLOCKS, WHATS };
#define FILLINGS 3u		/* of blocks: their "bits" are zeros, ones, noise */
static const char *const what_name[] = {
	"store blocks and the lane table", "superblocks", "heads", "words", "segment headers", "frame headers",
	"gap frames", "data", "segment headers, whole blocks"
};

struct place {
	enum what what;
	bool	 pm;			/* in persistent memory, not in a file of the store */
	char	 path[SEG_PATH_MAX];
	uint64_t off, bytes;
	unsigned lane;
	uint64_t at;			/* the segment's number; the word's position */
	uint64_t seq;			/* the only record that may be lost; 0: none */
	bool	 in_wal;		/* DATA of a record in the wal: at is its position */
	bool	 last;			/* of the last batch before a crash, in segments only */
	bool	 idle;			/* a word behind the log's end: holds nothing */
	bool	 unused;		/* with zeros in it the segment was never used: it has no frame */
};

struct damage {
	const struct kind *kind;
	struct storefile base;		/* undamaged */
	struct got before;		/* its records */
	struct place place[PLACES_MAX];
	unsigned places;
	uint64_t bits[WHATS];
	struct sim_rng rng;
	const struct place *p;		/* under test */
	uint64_t bit;
	bool	 failed;
};

static void fail(struct damage *d, const char *what)
{
	if (!d->failed)
		printf("FAILED: store %s, %s of lane %u: %s byte %" PRIu64 ": %s\n"
		       "replay: KIND=%s PLACE=%u BIT=%" PRIu64 " SEED=%s\n", d->kind->name,
		       what_name[d->p->what], d->p->lane, d->p->path, d->p->off + d->bit / 8, what,
		       d->kind->name, (unsigned)(d->p - d->place), d->bit,
		       getenv("SEED") ? getenv("SEED") : "1");
	d->failed = true;
}

static struct place *add(struct damage *d, enum what what, const char *path, uint64_t off,
			 uint64_t bytes)
{
	struct place *p = &d->place[d->places++];

	if (d->places > PLACES_MAX)
		abort();
	*p = (struct place){ .what = what, .off = off, .bytes = bytes };
	snprintf(p->path, sizeof(p->path), "%s", path);
	return p;
}

static struct place *add_pm(struct damage *d, enum what what, const char *path, uint64_t off,
			    uint64_t bytes, unsigned lane, uint64_t at)
{
	struct place *p = add(d, what, path, off, bytes);

	p->pm = true;
	p->lane = lane;
	p->at = at;
	return p;
}

/* ---- damage ---- */

static void hurt(const struct damage *d, struct storefile *s)
{
	const struct place *p = d->p;
	const uint8_t *now;
	uint8_t *file;
	uint64_t len, x = 1;

	if (p->what != SEG_BLOCKS) {
		store_flip(s, p->pm, p->path, p->off * 8 + d->bit);
		return;
	}
	now = blk_sim_bytes(s->blk, p->path, &len);
	file = malloc(len);
	if (!now || !file)
		abort();
	memcpy(file, now, len);
	for (uint64_t i = p->off; i < p->off + p->bytes; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		file[i] = d->bit == 0 ? 0 : d->bit == 1 ? 0xff : (uint8_t)(x >> 56);
	}
	blk_sim_put(s->blk, p->path, file, len);
	free(file);
}

/* ---- places in the wal ---- */

#define WAL_PATH WORLD_NVMM "/wal"
#define BUFS_PATH WORLD_NVMM "/pktbufs"

struct wal_seqs {		/* which records the wal has */
	uint64_t from, to;
};

static void ring_places(struct damage *d, struct walfile *w, unsigned lane,
			struct wal_seqs *have)
{
	uint64_t n = w->super.entries, head = w->lane[lane].pos;
	struct place *word[4096];
	struct scan_item it;
	struct scan s;

	if (n > 4096)
		abort();
	for (uint64_t pos = head; pos < head + n; pos++)
		word[pos - head] = add_pm(d, WORD, WAL_PATH, WAL_RINGS + (lane * n + pos % n) * 8, 8,
					  lane, pos);
	*have = (struct wal_seqs){ w->lane[lane].seq, 0 };
	scan_start(&s, w, lane);
	while (scan_next(&s, &it) == SCAN_RECORD) {
		for (uint64_t pos = it.pos; pos < it.end; pos++)
			word[pos - head]->seq = it.seq;
		for (uint32_t i = 0; i < it.nfrags; i++) {
			struct frag f = scan_frag(&s, &it, i);
			struct place *p = add_pm(d, DATA, BUFS_PATH,
						 (uint64_t)f.idx * w->super.buf_size + f.off, f.len,
						 lane, it.pos);

			p->seq = it.seq;
			p->in_wal = true;
		}
		have->to = it.seq;
	}
	for (uint64_t pos = s.pos; pos < head + n; pos++)
		word[pos - head]->idle = true;
}

static void wal_places(struct damage *d, struct wal_seqs *have)
{
	struct walfile w;

	if (walfile_open_ro(&w, pm_sim_ops(d->base.pm), WORLD_NVMM, NULL))
		return;			/* none, or it was detached: nothing there means anything */
	add_pm(d, SUPER, WAL_PATH, WAL_SUPER_A, sizeof(struct wal_super), 0, 0);
	add_pm(d, SUPER, WAL_PATH, WAL_SUPER_B, sizeof(struct wal_super), 0, 0);
	for (unsigned i = 0; i < w.super.lanes; i++) {
		add_pm(d, HEAD, WAL_PATH, WAL_HEADS_A + i * sizeof(struct wal_head),
		       sizeof(struct wal_head), i, 0);
		add_pm(d, HEAD, WAL_PATH, WAL_HEADS_B + i * sizeof(struct wal_head),
		       sizeof(struct wal_head), i, 0);
		ring_places(d, &w, i, &have[i]);
	}
	walfile_close(&w);
}

/* ---- places in the segments ---- */

static void frame_places(struct damage *d, const char *path, const struct seg_info *si,
			 const struct seg_lane *l, const struct wal_seqs *have)
{
	const struct blk_ops *blk = blk_sim_ops(d->base.blk);
	struct seg_frame fr;
	struct seg_walk w;
	struct blk_file *f;

	if (blk->open(blk->ctx, NULL, path, BLK_RDONLY, &f) ||
	    seg_walk_init(&w, blk, f, &si->h, SEG_DATA, si->bytes, 0))
		abort();
	while (seg_walk_next(&w, &fr, true) > 0) {
		bool record = fr.h.kind == FRAME_RECORD;
		bool twice = fr.h.seq >= have->from && fr.h.seq <= have->to;
		struct place *p[2];

		p[0] = add(d, record ? FRAME : GAP, path, fr.off, sizeof(fr.h));
		p[1] = add(d, record ? DATA : GAP, path, fr.off + sizeof(fr.h), fr.h.len);
		for (int i = 0; i < 2; i++) {
			p[i]->lane = l->lane;
			p[i]->at = si->segno;
			p[i]->seq = record && !twice ? fr.h.seq : 0;
			p[i]->last = !d->kind->clean && fr.h.batch == l->last_batch;
		}
		for (unsigned i = 0; record && twice && i < d->places; i++)
			if (d->place[i].pm && d->place[i].lane == l->lane &&
			    d->place[i].seq == fr.h.seq)
				d->place[i].seq = 0;	/* the wal's is the copy */
	}
	seg_walk_fini(&w);
	blk->close(f);
}

/* Each block of a segment's header, and both. */
static void block_places(struct damage *d, const char *path, const struct seg_info *si,
			 const struct seg_lane *l)
{
	static const struct { uint64_t off, bytes; } block[] = {
		{ SEG_HDR_A, WAL_PAGE }, { SEG_HDR_B, WAL_PAGE }, { SEG_HDR_A, SEG_DATA },
	};

	for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++) {
		struct place *p = add(d, SEG_BLOCKS, path, block[i].off, block[i].bytes);

		p->lane = l->lane;
		p->at = si->segno;
		p->unused = si == &l->segs[l->tail] && block[i].bytes == SEG_DATA &&
			    si->end == SEG_DATA;
	}
}

static void lane_places(struct damage *d, unsigned lane, const struct wal_seqs *have)
{
	char dir[32], path[SEG_PATH_MAX];
	struct seg_scan_options o = { .blk = blk_sim_ops(d->base.blk), .dir = dir, .lane = lane };
	struct seg_lane l;

	snprintf(dir, sizeof(dir), WORLD_STORE "/log/%03u", lane);
	if (seg_scan_lane(&o, &l))
		abort();
	for (size_t i = 0; i < l.nsegs; i++) {
		if (l.segs[i].state != SEG_USED || seg_path(path, dir, l.segs[i].segno))
			continue;
		for (int copy = 0; copy < 2; copy++) {
			struct place *p = add(d, SEG_HEADER, path, copy ? SEG_HDR_B : SEG_HDR_A,
					      sizeof(struct seg_header));

			p->lane = lane;
			p->at = l.segs[i].segno;
		}
		frame_places(d, path, &l.segs[i], &l, have);
		block_places(d, path, &l.segs[i], &l);
	}
	seg_lane_free(&l);
}

static void find_places(struct damage *d)
{
	struct wal_seqs have[MODEL_LANES] = { { 1, 0 }, { 1, 0 }, { 1, 0 }, { 1, 0 } };

	d->places = 0;
	add(d, STORE_BLOCK, WORLD_STORE "/store", 0, sizeof(struct storefile_block));
	add(d, STORE_BLOCK, WORLD_STORE "/store", 4096, sizeof(struct storefile_block));
	for (unsigned i = 0; i < d->kind->lanes; i++) {
		add(d, STORE_BLOCK, WORLD_STORE "/store", STOREFILE_LANES_A + i * sizeof(struct storefile_lane),
		    sizeof(struct storefile_lane))->lane = i;
		add(d, STORE_BLOCK, WORLD_STORE "/store", STOREFILE_LANES_B + i * sizeof(struct storefile_lane),
		    sizeof(struct storefile_lane))->lane = i;
	}
	if (!d->kind->clean)
		wal_places(d, have);
	for (unsigned i = 0; i < d->kind->lanes; i++)
		lane_places(d, i, &have[i]);
}

/* ---- the judge ---- */

static bool covers(const struct damage *d, const struct rec_finding *f)
{
	static const uint8_t where[] = {
		[STORE_BLOCK] = RP_STORE, [SUPER] = RP_WAL_SUPER, [HEAD] = RP_WAL_HEAD,
		[WORD] = RP_WAL_RING, [SEG_HEADER] = RP_SEGMENT, [FRAME] = RP_SEGMENT,
		[GAP] = RP_SEGMENT, [DATA] = RP_SEGMENT, [SEG_BLOCKS] = RP_SEGMENT,
	};
	const struct place *p = d->p;
	bool ring = p->what == WORD || p->in_wal;
	uint64_t at = ring ? p->at : p->off + d->bit / 8, size = f->bytes;

	if (f->place != (ring ? RP_WAL_RING : where[p->what]) || f->state == RF_EXPLAINED)
		return false;
	if (f->place == RP_SEGMENT && f->segno != p->at)
		return false;
	if (f->place == RP_STORE || f->place == RP_WAL_SUPER || f->place == RP_WAL_HEAD)
		size = p->bytes;
	return f->lane == p->lane && at >= f->offset && at < f->offset + size;
}

/* Whether check tells of the bit, with its place.  Two exceptions.  What is in the last
 * batch after a crash of class fsync may be a torn write of what nobody was promised, and
 * nothing on the disk tells it from one that was synced: it counts as that, and is told of
 * as a torn hole or, behind the last whole frame, as the tail that will be cut.  And a word
 * behind the end of the log holds nothing: the scan ends at the first one. */
static bool told(const struct damage *d, const struct report *r)
{
	for (unsigned i = 0; i < r->findings; i++)
		if (covers(d, &r->finding[i]) && (rec_is_damage(&r->finding[i]) || d->p->last ||
						  !d->kind->clean))
			return true;
	if (d->p->idle)
		return true;
	return d->p->last && d->p->lane < r->lanes && r->lane[d->p->lane].tail_bytes;
}

static int add_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
		      const uint8_t *data, uint32_t len)
{
	got_add(arg, lane, seq, time_ms, data, len);
	return 0;
}

/* All that was there is there, but the record that was touched. */
static void judge_records(struct damage *d, const struct got *g)
{
	size_t k = 0;

	for (size_t i = 0; i < d->before.n; i++) {
		const struct got_rec *b = &d->before.v[i], *a = k < g->n ? &g->v[k] : NULL;

		if (a && a->lane == b->lane && a->seq == b->seq) {
			if (a->len != b->len || memcmp(a->data, b->data, a->len))
				fail(d, "a record is altered");
			k++;
		} else if (b->lane != d->p->lane || b->seq != d->p->seq) {
			fail(d, "a record that was not touched is lost");
		}
	}
	if (k != g->n)
		fail(d, "a record that was never there");
}

/* check and dump of the image; it stays as it is. */
static void look(struct damage *d, struct storefile *s, struct got *g)
{
	struct storefile same = store_copy(&d->base);
	struct report r;
	struct rec_tool t;
	struct world x;
	char where[128];

	hurt(d, &same);
	world_init(&x, d->kind->cls, s->pm, s->blk, NULL);
	world_tool(&x, &t);
	store_check(&t, &r);
	if (report_verdict(&r) > 2)
		fail(d, r.why);
	else if (!report_verdict(&r) || !told(d, &r))
		fail(d, "check does not tell of it");
	report_fini(&r);
	store_dump(&t, &r, &(struct rec_dump){ g, add_record, NULL });
	report_fini(&r);
	judge_records(d, g);
	if (!pm_sim_same(s->pm, same.pm, where, sizeof(where)) ||
	    !blk_sim_same(s->blk, same.blk, where, sizeof(where)))
		fail(d, "check or dump wrote");
	store_free(&same);
}

/* Whether the next record of a lane gets a number that one had. */
static bool numbers_again(const struct damage *d, struct world *x)
{
	for (size_t i = 0; i < d->before.n; i++)
		if (lane_durable(store_lane(x->w, d->before.v[i].lane)) < d->before.v[i].seq &&
		    !d->p->last)
			return true;
	return false;
}

/* After a start or a repair, and another crash: what dump had, no less and no more. */
static void go_on(struct damage *d, struct storefile *s, const struct got *seen)
{
	struct got g = { 0 }, again = { 0 };
	struct report r;
	struct rec_tool t;
	struct world x;
	char why[256];
	int err;

	world_init(&x, d->kind->cls, s->pm, s->blk, NULL);
	world_tool(&x, &t);
	if (d->bit % 2) {
		err = store_repair(&t, &r);
		snprintf(x.why, sizeof(x.why), "%s", r.why);
		report_fini(&r);
	} else {
		err = world_open(&x, d->kind->lanes);
		if (!err)
			world_read(&x, &g);
		if (!err && numbers_again(d, &x))
			fail(d, "the number of an acknowledged record is given again");
		if (!err && !got_same(seen, &g, why, sizeof(why)))
			fail(d, "the start has other records than the dump");
	}
	if (err)
		fail(d, x.why);
	s->pm = pm_sim_killed(x.pm);
	s->blk = blk_sim_killed(x.blk);
	world_fini(&x);
	world_init(&x, d->kind->cls, s->pm, s->blk, NULL);
	world_tool(&x, &t);
	store_dump(&t, &r, &(struct rec_dump){ &again, add_record, NULL });
	report_fini(&r);
	if (!got_same(seen, &again, why, sizeof(why)))
		fail(d, "after the repair other records are there than before");
	got_free(&g);
	got_free(&again);
}

static void one_bit(struct damage *d, uint64_t bit)
{
	struct storefile s = store_copy(&d->base);
	struct got g = { 0 };

	d->bit = bit;
	d->bits[d->p->what]++;
	hurt(d, &s);
	look(d, &s, &g);
	if (!d->failed)
		go_on(d, &s, &g);
	store_free(&s);
	got_free(&g);
}

/* ---- all of them ---- */

static uint64_t env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static void one_place(struct damage *d, const struct place *p)
{
	uint64_t only = env("BIT", UINT64_MAX), samples = env("SAMPLES", 8), each = env("EACH", 1);
	uint64_t seed = env("SEED", 1);

	d->p = p;
	if (only != UINT64_MAX)
		one_bit(d, only);
	else if (p->what == SEG_BLOCKS)
		for (uint64_t n = p->unused; n < FILLINGS && !d->failed; n++)
			one_bit(d, n);
	else if (p->what == DATA && p->bytes)
		for (uint64_t i = 0; i < samples && !d->failed; i++)
			one_bit(d, sim_rng_next(&d->rng) % (p->bytes * 8));
	else
		/* Not the same one in each group: a bit of a field would always be left out. */
		for (uint64_t n = 0; (n + 1) * each <= p->bytes * 8 && !d->failed; n++)
			one_bit(d, n * each + (n + seed) % each);
}

static void one_kind(struct damage *d, const struct kind *k)
{
	uint64_t only = env("PLACE", UINT64_MAX);
	struct world x;
	struct rec_tool t;
	struct report r;

	d->kind = k;
	kind_build(k, &d->base);
	world_init(&x, k->cls, d->base.pm, d->base.blk, NULL);
	world_tool(&x, &t);
	store_dump(&t, &r, &(struct rec_dump){ &d->before, add_record, NULL });
	if (report_verdict(&r) >= 2 && !k->damaged) {
		printf("FAILED: store %s: verdict %d before any damage: %s\n", k->name,
		       report_verdict(&r), r.why);
		d->failed = true;
	}
	report_fini(&r);
	find_places(d);
	for (unsigned i = 0; i < d->places && !d->failed; i++)
		if (only == UINT64_MAX || only == i)
			one_place(d, &d->place[i]);
	printf("%-16s %zu records, %u places\n", k->name, d->before.n, d->places);
	fflush(stdout);
	store_free(&d->base);
	got_free(&d->before);
}

int main(void)
{
	struct damage *d = calloc(1, sizeof(*d));
	const char *only = getenv("KIND");
	uint64_t all = 0;
	int bad;

	if (!d)
		return 99;

	mallopt(M_MMAP_THRESHOLD, 64 << 20);	/* images come and go: their memory stays */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	sim_rng_init(&d->rng, env("SEED", 1));
	for (const struct kind *k = kinds; k->name && !d->failed; k++)
		if (!only || !*only || !strcmp(only, k->name))
			one_kind(d, k);
	for (unsigned i = 0; i < WHATS; i++) {
		all += d->bits[i];
		printf("%8" PRIu64 " bits of %s\n", d->bits[i], what_name[i]);
	}
	printf("%" PRIu64 " bits flipped, seed %" PRIu64 ", %.1f s CPU\n", all, env("SEED", 1),
	       (double)clock() / CLOCKS_PER_SEC);	/* clock: printed */
	bad = d->failed || !all;
	free(d);
	return bad;
}
