/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_segment.c - the segment files of a lane, of any bytes: scanned, opened, read.
 *
 * The input describes up to three files, by a writer that can keep the rules of
 * format.h and break each of them (checksums and all), then bytes that are overwritten
 * and files that are cut.  Checked: the scan is total and reports only what its
 * checksums say; a quick scan finds the same end; opening the log loses nothing that
 * the scan found, and a cursor gives the same records; and where single bits are all
 * that was damaged, no other record is lost.
 */
#include <errno.h>

#include "../sim/blk_sim.h"
#include "fuzz.h"
#include "segment/seg_read.h"
#include "segment/seg_scan.h"
#include "store/store.h"
#include "util/crc32c.h"

#define DIR	"/l"
#define LANE	7u
#define FILES	3u
#define BYTES	SEG_BYTES_MIN
#define RECS	256u

static const uint8_t uuid[16] = "a store's number";

struct rec {
	unsigned file;
	uint64_t off, end, seq;
	bool	 hit;
};

struct writer {
	struct taste *t;
	uint8_t	*p[FILES];
	size_t	 n[FILES];
	struct seg_header h;
	unsigned file;
	uint64_t off, seq, batch, segno;
	struct rec rec[RECS];
	unsigned nrec;
	bool	 honest;	/* nothing was written that we would not write */
};

/* ---- the writer ---- */

static void put_header(struct writer *w)
{
	uint8_t odd = taste8(w->t);
	struct seg_header *h = &w->h;

	*h = (struct seg_header){ .lane = LANE, .segno = w->segno, .first_seq = w->seq,
		.first_batch = w->batch, .salt = 0x1234567 + w->file, .bytes = BYTES, .created_ms = 1 };
	memcpy(h->store_uuid, uuid, 16);
	seg_header_encode(h);
	w->honest = w->honest && (odd < 200 || odd == 255);
	switch (odd) {
	case 200: h->lane++; break;
	case 201: h->store_uuid[3]++; break;
	case 202: h->segno++; break;
	case 203: h->version++; break;
	case 204: h->byte_order = __builtin_bswap32(h->byte_order); break;
	case 205:
		h->bytes = taste64(w->t);
		if (h->bytes > 1 << 20 && h->bytes <= SEG_BYTES_MAX)
			h->bytes = 1 << 20;	/* gigabytes of zeros take their time */
		break;
	case 206: h->first_seq = taste64(w->t); break;
	case 207: h->first_batch = taste64(w->t); break;
	case 208: h->magic = __builtin_bswap64(h->magic); break;
	case 209: memset(h, 0, sizeof(*h)); break;
	}
	if (odd >= 200 && odd < 220)
		h->crc = crc32c(h, offsetof(struct seg_header, crc));
	if (odd != 220)
		memcpy(w->p[w->file] + SEG_HDR_A, h, sizeof(*h));
	if (odd != 221)
		memcpy(w->p[w->file] + SEG_HDR_B, h, sizeof(*h));
	if (odd == 222)
		w->p[w->file][SEG_HDR_B + 50] ^= 4;
}

static bool put_frame(struct writer *w, struct frame_header *h, const void *data)
{
	uint8_t *p = w->p[w->file] + w->off;

	if (w->off + frame_bytes(h->len) > w->n[w->file])
		return false;
	frame_header_encode(h, w->h.salt);
	memcpy(p, h, sizeof(*h));
	memcpy(p + sizeof(*h), data, h->len);
	w->off += frame_bytes(h->len);
	return true;
}

static void put_record(struct writer *w, uint32_t len)
{
	static uint8_t data[4096];
	struct frame_header h = { .kind = FRAME_RECORD, .seq = w->seq, .time_ms = 1700000000000ull,
		.batch = w->batch, .len = len, .lane = LANE };
	uint64_t off = w->off;

	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(w->seq * 31 + i);
	h.data_crc = crc32c(data, len);
	if (w->nrec == RECS || !put_frame(w, &h, data))
		return;
	w->rec[w->nrec++] = (struct rec){ w->file, off, off + sizeof(h) + len, w->seq++, false };
}

static void put_gap(struct writer *w, uint64_t n)
{
	struct gap_data g = { .from_seq = w->seq, .to_seq = w->seq + n, .reason = GAP_TORN };
	struct frame_header h = { .kind = FRAME_GAP, .seq = w->seq, .time_ms = 1700000000000ull,
		.batch = ++w->batch, .len = sizeof(g), .lane = LANE };

	h.data_crc = crc32c(&g, sizeof(g));
	if (put_frame(w, &h, &g))
		w->seq = g.to_seq + 1;
	w->batch++;
}

/* What breaks the rules. */
static void put_odd(struct writer *w, unsigned what)
{
	uint8_t raw[64], field = 0;
	struct frame_header h = { .kind = FRAME_RECORD, .seq = w->seq, .batch = w->batch, .lane = LANE };
	uint64_t off = w->off;

	w->honest = false;
	switch (what) {
	case 0:		/* any bytes */
		taste_bytes(w->t, raw, sizeof(raw));
		if (off + sizeof(raw) <= w->n[w->file])
			memcpy(w->p[w->file] + off, raw, sizeof(raw));
		w->off += sizeof(raw);
		break;
	case 1:		/* a hole */
		w->off += FRAME_ALIGN * taste8(w->t);
		break;
	case 2:		/* numbers too many, or backwards */
		w->seq += (uint64_t)(int8_t)taste8(w->t);
		break;
	case 3:
		w->batch += (uint64_t)(int8_t)taste8(w->t);
		break;
	case 4:		/* any field, sealed */
		field = taste8(w->t);
		taste_bytes(w->t, (uint8_t *)&h + 4 + field % 36, 8);
		if (off + sizeof(h) > w->n[w->file])
			break;
		frame_header_encode(&h, w->h.salt);
		memcpy(w->p[w->file] + off, &h, sizeof(h));
		w->off += frame_bytes(h.len % 128);
		break;
	case 5:		/* a gap of any numbers */
		h.kind = FRAME_GAP;
		h.len = sizeof(struct gap_data);
		taste_bytes(w->t, raw, h.len);
		h.data_crc = crc32c(raw, h.len);
		put_frame(w, &h, raw);
		break;
	case 6:		/* of another use of the file */
		w->h.salt ^= 1;
		put_record(w, taste8(w->t));
		w->nrec -= w->nrec > 0;
		w->h.salt ^= 1;
		break;
	}
	if (w->off > w->n[w->file])
		w->off = off;
}

static void write_file(struct writer *w)
{
	unsigned ops;

	w->n[w->file] = BYTES;
	w->p[w->file] = calloc(1, BYTES);
	w->off = SEG_DATA;
	put_header(w);
	ops = taste8(w->t);
	for (unsigned i = 0; i < ops && w->t->n; i++) {
		unsigned op = taste8(w->t);

		if (op < 120)
			put_record(w, op);
		else if (op < 140)
			put_record(w, (op - 119) * 150);
		else if (op < 190)
			w->batch++;
		else if (op < 200)
			put_gap(w, op - 190);
		else
			put_odd(w, op % 7);
	}
	w->batch++;
	w->segno += 1;
}

static void damage(struct writer *w, unsigned files)
{
	unsigned flips = taste8(w->t) % 3, n = taste8(w->t);

	for (unsigned i = 0; i < flips; i++) {
		unsigned file = taste8(w->t) % files, bit = taste8(w->t) & 7;
		uint64_t at = SEG_DATA + taste16(w->t) % (BYTES - SEG_DATA);

		w->p[file][at] ^= (uint8_t)(1 << bit);
		for (unsigned k = 0; k < w->nrec; k++)
			w->rec[k].hit |= w->rec[k].file == file && at >= w->rec[k].off && at < w->rec[k].end;
	}
	for (unsigned i = 0; i < n && w->t->n; i++) {
		unsigned file = taste8(w->t) % files;
		uint16_t at = taste16(w->t);

		w->honest = false;
		w->p[file][at % w->n[file]] = taste8(w->t);
	}
	if (w->t->n) {
		unsigned file = taste8(w->t) % files;

		w->honest = false;
		w->n[file] = taste32(w->t) % (BYTES + 9000);
		if (w->n[file] > BYTES) {
			w->p[file] = realloc(w->p[file], w->n[file]);
			memset(w->p[file] + BYTES, 0xaa, w->n[file] - BYTES);
		}
	}
}

static struct blk_sim *build(struct writer *w, struct taste *t)
{
	struct blk_sim *sim = blk_sim_new();
	uint8_t shape = taste8(t);
	unsigned files = 1 + shape % FILES;
	char path[SEG_PATH_MAX];

	memset(w, 0, sizeof(*w));
	w->t = t;
	w->honest = true;
	w->seq = w->batch = w->segno = 1;
	for (w->file = 0; w->file < files; w->file++) {
		if (shape & 64 && w->file) {	/* one is missing */
			w->segno++;
			w->honest = false;
		}
		write_file(w);
	}
	damage(w, files);
	w->segno = 1;
	for (unsigned i = 0; i < files; i++) {
		w->segno += shape & 64 && i;
		seg_path(path, DIR, w->segno++);
		blk_sim_put(sim, path, w->p[i], w->n[i]);
		free(w->p[i]);
	}
	return sim;
}

/* ---- what must hold ---- */

struct list {
	uint64_t seq[4096];
	uint32_t len[4096];
	unsigned n;
};

static int record(void *arg, const struct seg_info *seg, const struct seg_frame *fr)
{
	struct list *l = arg;

	fuzz_check(fr->data_ok && crc32c(fr->data, fr->h.len) == fr->h.data_crc, "a bad record");
	fuzz_check(frame_header_check(&fr->h, seg->h.salt) && fr->h.kind == FRAME_RECORD, "a bad frame");
	fuzz_check(fr->h.lane == LANE && seg->state == SEG_USED, "of another lane");
	fuzz_check(fr->off >= SEG_DATA && fr->off + frame_bytes(fr->h.len) <= seg->bytes, "place");
	if (l && l->n < 4096) {
		l->seq[l->n] = fr->h.seq;
		l->len[l->n++] = fr->h.len;
	}
	return 0;
}

static int scan(struct blk_sim *sim, bool quick, struct seg_lane *l, struct list *list)
{
	struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = DIR, .uuid = uuid, .lane = LANE,
		.quick = quick, .record = record, .arg = list };
	int err;

	if (list)
		list->n = 0;
	err = seg_scan_lane(&o, l);
	fuzz_check(!err || err == STORE_EVERSION || err == STORE_EBYTEORDER, "%d %s", err, store_strerror(err));
	return err;
}

static void check_lane(const struct seg_lane *l, const struct list *list)
{
	for (unsigned i = 0; i < list->n; i++)
		fuzz_check(list->seq[i] < l->next_seq, "%llu would be used again",
			   (unsigned long long)list->seq[i]);
	fuzz_check(l->next_seq >= 1 && l->next_batch >= 1 && l->next_batch > l->last_batch, "batch");
	for (size_t i = 0; i < l->nholes; i++) {
		const struct seg_hole *h = &l->holes[i];

		fuzz_check(h->kind <= SEG_HOLE_BOTH && h->state <= SEG_HOLE_EXPLAINED, "hole %zu", i);
		fuzz_check(strlen(seg_hole_words(h->kind)) > 1, "hole %zu", i);
		fuzz_check(h->off + h->bytes <= SEG_BYTES_MAX, "hole %zu", i);
	}
	if (l->tail == SIZE_MAX)
		return;
	fuzz_check(l->tail < l->nsegs && l->segs[l->tail].state == SEG_USED, "tail");
	fuzz_check(l->end >= SEG_DATA && l->dirty_end >= l->end && l->batch_off <= l->end &&
		   l->batch_off >= SEG_DATA, "end");
}

static void check_honest(const struct writer *w, const struct list *list)
{
	unsigned at = 0;

	for (unsigned i = 0; i < w->nrec; i++) {
		if (w->rec[i].hit) {	/* the same bit twice? */
			at += at < list->n && list->seq[at] == w->rec[i].seq;
			continue;
		}
		fuzz_check(at < list->n && list->seq[at] == w->rec[i].seq &&
			   list->len[at] == w->rec[i].end - w->rec[i].off - sizeof(struct frame_header),
			   "record %llu is lost", (unsigned long long)w->rec[i].seq);
		at++;
	}
	fuzz_check(at == list->n, "more than there were");
}

/* What a cursor shows is in order and has its checksum; if nothing lies, it is what the
 * scan has seen (a cursor does not look at the numbers of batches). */
static void read_all(struct seglog *s, const struct list *list, bool all)
{
	struct frame_header h;
	struct seg_cursor *c;
	const uint8_t *data;
	unsigned at = 0, n = 0;
	uint64_t last = 0;
	int got;

	if (seg_read_open(s, 0, &c))
		return;
	while ((got = seg_read_next(c, &h, &data)) == 1) {
		fuzz_check(h.seq > last, "backwards");
		fuzz_check(crc32c(data, h.len) == h.data_crc, "bad data");
		last = h.seq;
		for (; all && (list->seq[at] != h.seq || list->len[at] != h.len); at++)
			fuzz_check(at + 1 < list->n, "record %llu comes out of nothing",
				   (unsigned long long)h.seq);
		n++;
	}
	fuzz_check(got == 0, "%d", got);
	fuzz_check(!all || n == list->n, "%u of %u", n, list->n);
	for (unsigned i = 0; all && i < list->n; i += 7) {
		fuzz_check(!seg_read_seek(c, list->seq[i]) && seg_read_next(c, &h, &data) == 1 &&
			   h.seq == list->seq[i], "%llu is not found", (unsigned long long)list->seq[i]);
	}
	seg_read_close(c);
}

static uint64_t clock_ms(void)
{
	return 1700000000000ull;
}

static uint64_t no_luck(void)
{
	return 4;
}

/* Open it as recovery would, read it, close it: what was there is still there. */
static void use(struct blk_sim *sim, const struct seg_lane *l, const struct list *list, bool honest)
{
	struct seglog_options o = { .blk = blk_sim_ops(sim), .dir = DIR, .lane = LANE,
		.segment_bytes = BYTES, .idle = !honest || list->n % 8, .now_ms = clock_ms, .random = no_luck };
	static struct list again;
	struct seglog_resume r;
	struct seg_lane after;
	struct seglog *s;
	int err;

	memcpy(o.uuid, uuid, 16);
	seg_lane_resume(l, &r);
	err = seglog_open(&s, &o, l, &r);
	fuzz_check(!honest || !err, "%d", err);
	if (err)
		return;
	read_all(s, list, honest);
	seglog_close(s);
	fuzz_check(!scan(sim, false, &after, &again), "unreadable after opening");
	fuzz_check(again.n >= list->n || !honest, "records went away by opening");
	fuzz_check(again.n == list->n && !memcmp(again.seq, list->seq, list->n * sizeof(list->seq[0])),
		   "%u records, %u before", again.n, list->n);
	seg_lane_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	static struct writer w;
	static struct list list;
	struct taste t = { in, n };
	struct seg_lane l, quick;
	struct blk_sim *sim;

	if (n > 4096)
		return 0;
	sim = build(&w, &t);
	if (!scan(sim, false, &l, &list)) {
		check_lane(&l, &list);
		if (w.honest)
			check_honest(&w, &list);
		if (!scan(sim, true, &quick, NULL)) {
			fuzz_check(!w.honest || (l.tail == quick.tail && l.end == quick.end && l.dirty_end == quick.dirty_end &&
				   l.batch_off == quick.batch_off), "the quick scan ends elsewhere");
			seg_lane_free(&quick);
		}
		use(sim, &l, &list, w.honest);
		seg_lane_free(&l);
	} else {
		fuzz_check(!w.honest, "refused");
	}
	blk_sim_free(sim);
	return 0;
}
