/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_walk.c - the codec of segment and frame headers, the walker through one segment
 * file, and the names of the files (seg_scan.h).
 *
 * The walker holds a window of the file in memory and moves it forward.  Pages that the
 * device refuses to read are taken as zeros, so that only the records in them are lost;
 * and so are the bytes that a file has lost because it was cut while in use.
 */
#include "segment/seg_scan.h"
#include "util/error.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/crc32c.h"
#include "util/mutant.h"

#define NUMBER_MAX (1ull << 62)		/* no sequence or batch is as high */
#define SEGNO_MAX (1ull << 61)		/* nor is a segment's number: any can have followers */

/* ---- codec ---- */

static uint32_t seg_header_crc(const struct seg_header *h)
{
	return crc32c(h, offsetof(struct seg_header, crc));
}

void seg_header_encode(struct seg_header *h)
{
	h->magic = SEG_MAGIC;
	h->version = WAL_VERSION;
	h->byte_order = WAL_BYTE_ORDER;
	h->zero2 = 0;
	h->crc = seg_header_crc(h);
}

int seg_header_check(const struct seg_header *h)
{
	static const struct seg_header zeros;

	if (!memcmp(h, &zeros, sizeof(zeros)))
		return -ENODATA;
	if (h->magic == __builtin_bswap64(SEG_MAGIC))
		return STORE_EBYTEORDER;
	if (h->magic != SEG_MAGIC)
		return STORE_EFORMAT;
	if (h->crc != seg_header_crc(h) && !MUTANT(seg_header_crc_check))
		return STORE_EFORMAT;
	if (h->byte_order != WAL_BYTE_ORDER)
		return STORE_EBYTEORDER;
	if (h->version != WAL_VERSION && !MUTANT(seg_version_check))
		return STORE_EVERSION;
	if (h->bytes < SEG_BYTES_MIN || h->bytes > SEG_BYTES_MAX || h->bytes % WAL_PAGE ||
	    h->first_seq < 1 || h->first_seq >= NUMBER_MAX || h->first_batch < 1 ||
	    h->first_batch >= NUMBER_MAX)
		return STORE_EFORMAT;
	return 0;
}

bool seg_header_is(const struct seg_header *h, const uint8_t *uuid, uint32_t lane, uint64_t segno)
{
	return (!uuid || MUTANT(seg_uuid_check) || !memcmp(h->store_uuid, uuid, sizeof(h->store_uuid))) &&
	       (h->lane == lane || MUTANT(seg_lane_check)) && (h->segno == segno || MUTANT(seg_number_check));
}

static uint32_t frame_crc(const struct frame_header *h, uint64_t salt)
{
	uint32_t c = CRC32C_INIT;

	if (!MUTANT(frame_salt))
		c = crc32c_word(c, salt);
	return crc32c_final(crc32c_update(c, h, offsetof(struct frame_header, header_crc)));
}

void frame_header_encode(struct frame_header *h, uint64_t salt)
{
	h->magic = FRAME_MAGIC;
	h->flags = 0;
	h->header_crc = frame_crc(h, salt);
}

bool frame_header_check(const struct frame_header *h, uint64_t salt)
{
	if (h->magic != FRAME_MAGIC)
		return false;
	if (h->header_crc != frame_crc(h, salt) && !MUTANT(frame_header_crc_check))
		return false;
	return h->flags == 0 && (h->kind == FRAME_RECORD || h->kind == FRAME_GAP) &&
	       h->seq >= 1 && h->seq < NUMBER_MAX && h->batch >= 1 && h->batch < NUMBER_MAX &&
	       (h->kind != FRAME_GAP || h->len == sizeof(struct gap_data));
}

bool frame_data_check(const struct frame_header *h, uint32_t crc)
{
	return crc == h->data_crc || MUTANT(frame_data_crc_check);
}

/* ---- window ---- */

static bool page_lost(int err)
{
	return err == -EIO || err == -EBADMSG || err == -EILSEQ || err == -EUCLEAN;
}

static int read_pages(struct seg_walk *w, uint8_t *to, size_t n, uint64_t off);

/* As read_pages, where the file ends before off + n: the bytes behind its end become zeros. */
static int read_cut(struct seg_walk *w, uint8_t *to, size_t n, uint64_t off)
{
	uint64_t bytes;
	int err = w->blk->size(w->file, &bytes);
	size_t there = err || bytes <= off ? 0 : bytes - off < n ? (size_t)(bytes - off) : n;

	if (there == n)			/* it has become longer again */
		return w->blk->read(w->file, to, n, off);
	memset(to + there, 0, n - there);
	return err || !there ? err : read_pages(w, to, there, off);
}

/* Read n bytes at off; pages that cannot be read become zeros. */
static int read_pages(struct seg_walk *w, uint8_t *to, size_t n, uint64_t off)
{
	int err = w->blk->read(w->file, to, n, off);

	if (err == -ENODATA)
		return read_cut(w, to, n, off);
	if (!page_lost(err))
		return err;
	while (n) {
		size_t part = WAL_PAGE - off % WAL_PAGE;

		if (part > n)
			part = n;
		err = w->blk->read(w->file, to, part, off);
		if (err && !page_lost(err))
			return err;
		if (err) {
			memset(to, 0, part);
			w->bad_pages++;
			w->bad_err = err;
		}
		to += part;
		off += part;
		n -= part;
	}
	return 0;
}

bool seg_walk_unreadable(struct seg_walk *w, uint64_t off, uint64_t n)
{
	static const uint64_t piece = 64u << 10;
	uint8_t *buf = w->bad_pages && n ? malloc(n < piece ? n : piece) : NULL;
	bool lost = false;

	for (uint64_t part; buf && n && !lost; off += part, n -= part) {
		part = n < piece ? n : piece;
		lost = page_lost(w->blk->read(w->file, buf, part, off));
	}
	free(buf);
	return lost;
}

uint64_t seg_walk_unreadable_end(struct seg_walk *w)
{
	uint64_t end = w->off;

	for (uint64_t at = w->off - w->off % BLK_BLOCK; w->bad_pages && at + BLK_BLOCK <= w->limit;
	     at += BLK_BLOCK)
		if (seg_walk_unreadable(w, at, BLK_BLOCK))
			end = at + BLK_BLOCK;
	return end;
}

/* Makes [off, off + n), which the caller has compared with the limit, readable through *p.
 * 0 or -errno. */
static int window(struct seg_walk *w, uint64_t off, size_t n, const uint8_t **p)
{
	uint64_t end = w->base + w->have;
	size_t kept = 0, more;
	int err;

	if (off >= w->base && off + n <= end) {
		*p = w->buf + (off - w->base);
		return 0;
	}
	more = n > w->want ? n : w->want;
	if (more > w->limit - off)
		more = w->limit - off;
	if (more > w->cap) {
		uint8_t *bigger = malloc(more);

		if (!bigger)
			return -ENOMEM;
		if (off >= w->base && off < end)
			memcpy(bigger, w->buf + (off - w->base), kept = end - off);
		free(w->buf);
		w->buf = bigger;
		w->cap = more;
	} else if (off >= w->base && off < end) {
		memmove(w->buf, w->buf + (off - w->base), kept = end - off);
	}
	w->base = off;
	w->have = kept;
	err = read_pages(w, w->buf + kept, more - kept, off + kept);
	if (err)
		return err;
	w->read_bytes += more - kept;
	w->have = more;
	*p = w->buf;
	return 0;
}

/* ---- walker ---- */

int seg_walk_init(struct seg_walk *w, const struct blk_ops *blk, struct blk_file *f,
		  const struct seg_header *h, uint64_t off, uint64_t limit, size_t want)
{
	*w = (struct seg_walk){ .blk = blk, .file = f, .salt = h->salt, .limit = limit & ~7ull,
		.lane = h->lane, .off = off, .want = want ? want : 1u << 20 };
	w->cap = w->want;
	w->buf = malloc(w->cap);
	return w->buf ? 0 : -ENOMEM;
}

void seg_walk_fini(struct seg_walk *w)
{
	free(w->buf);
	w->buf = NULL;
}

void seg_walk_extend(struct seg_walk *w, uint64_t limit)
{
	if ((limit & ~7ull) > w->limit)
		w->limit = limit & ~7ull;
}

/* Whether at p, which is file offset off, is the header of a frame that belongs here. */
static bool frame_at(const struct seg_walk *w, const uint8_t *p, uint64_t off,
		     struct frame_header *h)
{
	memcpy(h, p, sizeof(*h));
	if (!frame_header_check(h, w->salt) || (h->lane != w->lane && !MUTANT(frame_lane_check)))
		return false;
	if (frame_bytes(h->len) > w->limit - off)
		return false;
	return (h->batch >= w->last_batch || MUTANT(frame_batch_check)) &&
	       (h->kind == FRAME_GAP || h->seq > w->last_seq || MUTANT(frame_seq_check));
}

#define LINE 64u

static bool line_zero(const uint8_t *p)
{
	uint64_t v[LINE / 8];

	memcpy(v, p, sizeof(v));
	return !(v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7]);
}

/* Finds the next frame at or behind w->off: 1 and *off, 0, -errno.  Sets w->tail behind
 * the last word that is not zero. */
static int search(struct seg_walk *w, uint64_t *off, struct frame_header *h)
{
	uint64_t at = w->off, word;
	const uint8_t *p;
	int err;

	w->tail = w->off;
	while (at + FRAME_ALIGN <= w->limit) {
		uint64_t end;

		err = window(w, at, w->limit - at < sizeof(*h) ? w->limit - at : sizeof(*h), &p);
		if (err)
			return err;
		end = w->base + w->have;
		for (; at + FRAME_ALIGN <= end; at += FRAME_ALIGN, p += FRAME_ALIGN) {
			while (end - at >= 2 * LINE && line_zero(p)) {	/* most of a segment */
				at += LINE;
				p += LINE;
			}
			memcpy(&word, p, sizeof(word));
			if (!word)
				continue;
			w->tail = at + FRAME_ALIGN;
			if ((uint32_t)word != FRAME_MAGIC || at + sizeof(*h) > w->limit)
				continue;
			if (at + sizeof(*h) > end)
				break;			/* again, with all of it in the window */
			if (frame_at(w, p, at, h)) {
				*off = at;
				return 1;
			}
		}
	}
	return 0;
}

int seg_walk_next(struct seg_walk *w, struct seg_frame *fr, bool data)
{
	const uint8_t *p = NULL;
	uint64_t off = w->off;
	bool found = false;
	int err;

	*fr = (struct seg_frame){ .hole_off = off };
	if (off >= w->limit) {
		w->tail = off;
		return 0;
	}
	if (off + sizeof(fr->h) <= w->limit) {
		err = window(w, off, sizeof(fr->h), &p);
		if (err)
			return err;
		found = frame_at(w, p, off, &fr->h);
	}
	if (!found) {
		err = search(w, &off, &fr->h);
		if (err <= 0)
			return err;
		fr->hole_bytes = off - w->off;
		fr->hole_unreadable = seg_walk_unreadable(w, w->off, off - w->off);
	}
	fr->off = off;
	if (data || fr->h.kind == FRAME_GAP) {
		err = window(w, off, frame_bytes(fr->h.len), &p);
		if (err)
			return err;
		fr->data = p + sizeof(fr->h);
		fr->data_ok = frame_data_check(&fr->h, crc32c(fr->data, fr->h.len));
		fr->data_unreadable = !fr->data_ok && seg_walk_unreadable(w, off, frame_bytes(fr->h.len));
	}
	w->off = off + frame_bytes(fr->h.len);
	w->last_batch = fr->h.batch;
	if (fr->h.kind == FRAME_RECORD)
		w->last_seq = fr->h.seq;
	return 1;
}

int seg_walk_look(struct seg_walk *w, uint64_t off, size_t n, const uint8_t **p)
{
	return window(w, off, n, p);
}

uint64_t seg_walk_tail(const struct seg_walk *w)
{
	return w->tail;
}

/* ---- names ---- */

void seg_name(char name[SEG_NAME_MAX], uint64_t segno)
{
	snprintf(name, SEG_NAME_MAX, "%08llx.seg", (unsigned long long)segno);
}

int seg_path(char *path, const char *dir, uint64_t segno)
{
	int n = snprintf(path, SEG_PATH_MAX, "%s/%08llx.seg", dir, (unsigned long long)segno);

	return n < 0 || n >= SEG_PATH_MAX ? -ENAMETOOLONG : 0;
}

bool seg_name_parse(const char *name, uint64_t *segno)
{
	char again[32];
	char *end;
	unsigned long long v;

	if (strlen(name) < 12 || strlen(name) > 20)
		return false;
	v = strtoull(name, &end, 16);
	if (strcmp(end, ".seg"))
		return false;
	snprintf(again, sizeof(again), "%08llx.seg", v);
	*segno = v;
	return v < SEGNO_MAX && !strcmp(again, name);
}

struct numbers {
	uint64_t *v;
	size_t	 n;
};

static int list_one(void *arg, const char *name)
{
	struct numbers *l = arg;
	uint64_t segno, *more;

	if (!seg_name_parse(name, &segno))
		return 0;
	if ((l->n & (l->n - 1)) == 0) {		/* full at each power of two */
		more = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->v = more;
	}
	l->v[l->n++] = segno;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int seg_list(const struct blk_ops *blk, struct blk_dir *dir, uint64_t **segnos, size_t *n)
{
	struct numbers l = { 0 };
	int err = blk->list(dir, list_one, &l);

	if (err) {
		free(l.v);
		l = (struct numbers){ 0 };
	} else if (l.n) {
		qsort(l.v, l.n, sizeof(*l.v), by_number);
	}
	*segnos = l.v;
	*n = l.n;
	return err;
}
