/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_wal.c - an image of `wal` and `pktbufs`, of any bytes: opened for reading, every
 * lane scanned.
 *
 * The input is a description (an image is 40 KiB of mostly zeros): the geometry, the
 * heads, the words of lane 0's ring, by a writer that can keep the rules and break each
 * of them, and at last bytes that are overwritten anywhere.  The files are handed out
 * as memory of their exact size, so that a step outside is seen, and nothing can be
 * written.  Checked: what scan.h promises of any bytes; that every record reported is
 * one by the letter of format.h, recomputed here; and, where single bits of words or of
 * data are all that was damaged, that no other record is lost.
 */
#include <errno.h>

#include "format/codec.h"
#include "fuzz.h"
#include "lane/scan.h"
#include "store/store.h"

#define BUF	2048u
#define BUFS	8u		/* of a lane, as written here */
#define RECS	256u

struct file {
	uint8_t *p;
	size_t	 n;
};

struct image {
	struct file wal, bufs;
	bool	 no_bufs;
};

/* ---- a persistent memory that only shows ---- */

static int open_file(void *ctx, const char *path, uint64_t *size, void **h)
{
	struct image *im = ctx;
	bool wal = !strcmp(path + strlen(path) - 4, "/wal");
	struct file *f = wal ? &im->wal : &im->bufs;

	if (!f->n || (!wal && im->no_bufs))
		return -ENOENT;
	*size = f->n;
	*h = f;
	return 0;
}

static int read_file(void *ctx, void *h, void *dst, size_t n, uint64_t off)
{
	const struct file *f = h;

	(void)ctx;
	if (off > f->n || n > f->n - off)
		return -ENODATA;
	memcpy(dst, f->p + off, n);
	return 0;
}

static void close_file(void *ctx, void *h)
{
	(void)ctx;
	(void)h;
}

static void store(void *ctx, void *dst, const void *src, size_t n)
{
	(void)ctx, (void)dst, (void)src, (void)n;
	abort();	/* read-only */
}

static void zero(void *ctx, void *dst, size_t n)
{
	(void)ctx, (void)dst, (void)n;
	abort();
}

static void flush(void *ctx, const void *p, size_t n)
{
	(void)ctx, (void)p, (void)n;
	abort();
}

static void fence(void *ctx)
{
	(void)ctx;
	abort();
}

/* ---- the writer ---- */

struct rec {
	uint64_t pos, end, seq;
	bool	 hit;		/* a bit of it was flipped, or of what its number depends on */
};

struct writer {
	struct image *im;
	struct taste *t;
	struct wal_super super;
	uint64_t head, pos, seq, start;
	uint32_t used;		/* bytes of the buffers that records name */
	struct rec rec[RECS];
	unsigned n;
	bool	 honest;	/* nothing was written that we would not write */
};

static uint64_t *ring(const struct writer *w)
{
	return (uint64_t *)(void *)(w->im->wal.p + WAL_RINGS);
}

static void put_word(struct writer *w, uint64_t word)
{
	if (w->pos >= w->head + w->super.entries - 1) {	/* one is never used */
		w->honest = false;
		return;
	}
	ring(w)[w->pos++ % w->super.entries] = word;
}

static unsigned lap(const struct writer *w)
{
	return ent_lap_of(w->pos, w->super.entries);
}

static void put_record(struct writer *w, unsigned nfrags)
{
	uint64_t from = w->pos;
	uint32_t data = CRC32C_INIT, crc = seal_start(0, nfrags, w->seq);
	struct rec *r = &w->rec[w->n % RECS];

	if (w->head + w->super.entries - 1 - w->pos < nfrags + 1u || w->n == RECS)
		return;
	for (unsigned i = 0; i < nfrags; i++) {
		struct frag f = { .idx = w->used / BUF % BUFS, .off = (uint16_t)(w->used % BUF),
				  .len = (uint16_t)(1 + taste8(w->t)) };
		uint64_t word;

		if (w->used >= BUFS * BUF)
			return;
		if (f.off + f.len > BUF)
			f.len = (uint16_t)(BUF - f.off);
		w->used += f.len;
		data = crc32c_update(data, w->im->bufs.p + (uint64_t)f.idx * BUF + f.off, f.len);
		word = ent_frag(f, lap(w));
		crc = seal_word(crc, word);
		put_word(w, word);
	}
	put_word(w, ent_seal(nfrags, crc32c_final(data) ^ crc32c_final(crc), lap(w)));
	*r = (struct rec){ from, w->pos, w->seq++, false };
	w->n++;
}

/* What breaks the rules. */
static void put_odd(struct writer *w, unsigned what)
{
	uint64_t word;

	w->honest = false;
	switch (what) {
	case 0:		/* any word */
		put_word(w, taste64(w->t));
		break;
	case 1:		/* any word with its check and its lap right */
		word = taste64(w->t);
		put_word(w, ent_make(ent_kind(word), lap(w), word));
		break;
	case 2:		/* of another lap */
		word = taste64(w->t);
		put_word(w, ent_make(ent_kind(word), lap(w) + taste8(w->t), word));
		break;
	case 3:		/* a hole */
		put_word(w, 0);
		break;
	case 4:		/* a number too many */
		w->seq += 1 + taste8(w->t) % 4;
		break;
	case 5:		/* a word that is there already */
		word = ring(w)[(w->pos - 1 - taste8(w->t)) % w->super.entries];
		put_word(w, word);
		break;
	}
}

static void write_words(struct writer *w)
{
	unsigned ops = taste8(w->t);

	for (unsigned i = 0; i < ops && w->t->n; i++) {
		unsigned op = taste8(w->t);

		if (op < 128)
			put_record(w, 1 + op % 8);
		else if (op < 192)
			put_word(w, ent_clock(1700000000000ull + i, lap(w)));
		else
			put_odd(w, op % 6);
	}
}

/* One bit of a word or of data. */
static void flip(struct writer *w)
{
	uint16_t at = taste16(w->t);
	uint8_t bit = taste8(w->t);

	if (bit & 128) {
		uint32_t byte = at % (BUFS * BUF);

		w->im->bufs.p[byte] ^= (uint8_t)(1 << (bit & 7));
		for (unsigned i = 0; i < w->n; i++)
			for (uint64_t p = w->rec[i].pos; p < w->rec[i].end - 1; p++) {
				struct frag f = ent_frag_get(ring(w)[p % w->super.entries]);
				uint32_t from = f.idx * BUF + f.off;

				w->rec[i].hit |= byte >= from && byte < from + f.len;
			}
	} else if (w->pos > w->start) {
		uint64_t p = w->start + at % (w->pos - w->start);

		ring(w)[p % w->super.entries] ^= 1ull << (bit & 63);
		for (unsigned i = 0; i < w->n; i++)
			w->rec[i].hit |= p >= w->rec[i].pos && p < w->rec[i].end;
	}
}

static void damage(struct writer *w)
{
	unsigned flips = taste8(w->t) % 4, n = taste8(w->t);

	if (flips > 1)		/* two bits of one word may make another one */
		w->honest = w->honest && flips == 1;
	while (flips--)
		flip(w);
	for (unsigned i = 0; i < n && w->t->n; i++) {
		uint32_t at = taste32(w->t);
		struct file *f = at & 1 ? &w->im->bufs : &w->im->wal;
		uint8_t v = taste8(w->t);

		w->honest = false;
		f->p[(at >> 1) % f->n] = v;
	}
	if (w->t->n) {		/* cut short */
		uint32_t cut = taste32(w->t);
		struct file *f = cut & 1 ? &w->im->bufs : &w->im->wal;

		w->honest = false;
		f->n = (cut >> 1) % (f->n + 1);
	}
}

static void build(struct image *im, struct writer *w, struct taste *t)
{
	static const uint32_t sizes[] = { 64, 128, 512, 4096 };
	uint8_t shape = taste8(t);
	struct wal_head h;

	*w = (struct writer){ .im = im, .t = t, .honest = true };
	w->super = (struct wal_super){ .lanes = 1 + (shape & 3), .buf_size = BUF,
		.entries = sizes[shape >> 2 & 3], .class = 4 };
	w->super.bufs = w->super.lanes * BUFS;
	super_encode(&w->super);
	im->wal.n = walfile_bytes(w->super.lanes, w->super.entries);
	im->wal.p = calloc(1, im->wal.n);
	im->bufs.n = w->super.bufs * BUF;
	im->bufs.p = calloc(1, im->bufs.n);
	im->no_bufs = shape == 255;
	for (size_t i = 0; i < im->bufs.n; i++)
		im->bufs.p[i] = (uint8_t)(i * 7 + i / 251);
	memcpy(im->wal.p + WAL_SUPER_A, &w->super, sizeof(w->super));
	memcpy(im->wal.p + WAL_SUPER_B, &w->super, sizeof(w->super));
	w->head = shape & 16 ? taste16(t) : 0;
	w->seq = shape & 32 ? 1ull + taste32(t) : 1;
	for (unsigned i = 0; i < w->super.lanes; i++) {
		head_encode(&h, i, 1 + (shape >> 6), w->head, w->seq);
		memcpy(im->wal.p + WAL_HEADS_A + i * sizeof(h), &h, sizeof(h));
		memcpy(im->wal.p + WAL_HEADS_B + i * sizeof(h), &h, sizeof(h));
	}
	w->pos = w->start = w->head;
	write_words(w);
	damage(w);
}

/* ---- what must hold ---- */

/* By the letter: the FRAGs right before the SEAL, their laps, their bytes, its CRC. */
static void check_record(struct walfile *f, unsigned lane, const struct scan *s,
			 const struct scan_item *it)
{
	const uint64_t *words = walfile_ring(f, lane);
	uint64_t entries = f->super.entries;
	uint32_t share = (uint32_t)(f->super.bufs / f->super.lanes), data = CRC32C_INIT, crc;
	uint64_t bytes = 0, seal = words[(it->end - 1) % entries];

	fuzz_check(it->nfrags >= 1 && it->end - it->pos == it->nfrags + 1ull, "%u frags", it->nfrags);
	crc = seal_start(lane, it->nfrags, it->seq);
	for (uint32_t i = 0; i < it->nfrags; i++) {
		uint64_t w = words[(it->pos + i) % entries];
		struct frag g = ent_frag_get(w), h = scan_frag(s, it, i);

		fuzz_check(ent_ok(w) && ent_kind(w) == ENT_FRAG &&
			   ent_lap(w) == ent_lap_of(it->pos + i, entries), "frag %u", i);
		fuzz_check(g.idx == h.idx && g.off == h.off && g.len == h.len, "frag %u", i);
		fuzz_check(g.idx / share == lane && (uint32_t)g.off + g.len <= f->super.buf_size, "frag %u", i);
		data = crc32c_update(data, f->bufs.addr + (uint64_t)g.idx * f->super.buf_size + g.off, g.len);
		crc = seal_word(crc, w);
		bytes += g.len;
	}
	fuzz_check(ent_ok(seal) && ent_kind(seal) == ENT_SEAL &&
		   ent_lap(seal) == ent_lap_of(it->end - 1, entries), "the seal's word");
	fuzz_check(ent_seal_nfrags(seal) == it->nfrags, "the seal's count");
	fuzz_check(ent_seal_crc(seal) == (crc32c_final(data) ^ crc32c_final(crc)), "the seal");
	fuzz_check(it->data_crc == crc32c_final(data) && it->bytes == bytes, "the data's crc");
}

static unsigned scan_lane(struct walfile *f, unsigned lane, struct writer *w)
{
	const struct walfile_lane *h = &f->lane[lane];
	uint64_t at = h->pos, seq = h->seq, items = 0;
	struct scan_item it;
	unsigned found = 0;
	struct scan s;

	scan_start(&s, f, lane);
	while (scan_next(&s, &it) != SCAN_END) {
		fuzz_check(++items <= 2 * f->super.entries + 2, "no end");
		if (h->lost) {
			fuzz_check(it.kind == SCAN_DAMAGE && it.why == SCAN_HEAD, "of a lost head");
			continue;
		}
		for (; at < it.pos; at++)	/* between items: CLOCKs only */
			fuzz_check(ent_kind(walfile_ring(f, lane)[at % f->super.entries]) == ENT_CLOCK,
				   "position %llu is in no item", (unsigned long long)at);
		fuzz_check(it.pos == at && it.end >= it.pos && it.end <= h->pos + f->super.entries, "place");
		fuzz_check(it.seq >= seq, "number");
		at = it.end;
		if (it.kind == SCAN_DAMAGE) {
			fuzz_check(strlen(scan_why_text(it.why)) > 3 && it.why != SCAN_FINE, "why");
			fuzz_check(it.seq == seq, "damage of %llu", (unsigned long long)it.seq);
			seq += it.records;
			continue;
		}
		fuzz_check(it.seq == seq, "a number is skipped without a word");
		seq = it.seq + 1;
		check_record(f, lane, &s, &it);
		for (unsigned i = 0; w && i < w->n; i++)
			if (w->rec[i].seq == it.seq && w->rec[i].pos == it.pos && w->rec[i].end == it.end)
				found += !w->rec[i].hit;	/* hit twice it may be whole */
	}
	if (!h->lost) {
		for (; at < s.pos; at++)
			fuzz_check(ent_kind(walfile_ring(f, lane)[at % f->super.entries]) == ENT_CLOCK, "the tail");
		fuzz_check(at == s.pos, "behind the tail");
		fuzz_check(s.next_seq >= seq, "next_seq");
	}
	return found;
}

static void check_honest(const struct writer *w, unsigned found)
{
	unsigned want = 0;

	for (unsigned i = 0; i < w->n; i++)
		want += !w->rec[i].hit;
	fuzz_check(found == want, "%u of %u records that nothing happened to", found, want);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct taste t = { in, n };
	static struct walfile f;
	struct image im = { 0 };
	struct pm_ops pm = { .ctx = &im, .open = open_file, .read = read_file, .close = close_file, .store = store, .zero = zero,
		.flush = flush, .fence = fence };
	static struct writer w;
	int err;

	build(&im, &w, &t);
	err = walfile_open_ro(&f, &pm, "/nowhere", NULL);
	if (w.honest && !im.no_bufs)
		fuzz_check(!err, "%d", err);
	fuzz_check(err <= 0 && (!err || strlen(store_strerror(err)) > 3), "%d", err);
	if (!err) {
		for (unsigned i = 0; i < f.super.lanes; i++) {
			unsigned found = scan_lane(&f, i, i ? NULL : &w);

			if (!i && w.honest)
				check_honest(&w, found);
		}
		walfile_close(&f);
	}
	free(im.wal.p);
	free(im.bufs.p);
	return 0;
}
