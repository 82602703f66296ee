/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_again.c - finds a segment's header again from the frames behind it, where both copies of
 * the header are lost (seg_scan.h).
 *
 * Only the salt is not in the frames; and a frame's checksum depends on the salt only through
 * the 32 bits of CRC state behind it.  A CRC can be run backwards over the bytes of a frame's
 * header, which gives that state, the KEY: it is the same for every frame of the segment, and
 * another one for a stale frame and for bytes that a client sent.  Any salt that leads to the
 * key will do.
 *
 * The segment's key is that of the frame at SEG_DATA, for a client's bytes are never in front
 * of the first frame.  Where this frame is lost too, it is the key whose frames cover most
 * bytes; frames inside another frame with right data are skipped, so that bytes that a client
 * sent can count only where the frame around them is damaged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segment/seg_scan.h"
#include "util/crc32c.h"
#include "util/mutant.h"

#define PIECE (64u << 10)

struct key {
	uint32_t key;
	uint64_t bytes;
};
struct search {
	struct seg_walk w;	/* only its window is used */
	uint32_t lane;
	struct key *v;
	size_t n;
	uint64_t budget;	/* bytes that checksums may still be made of: a client may have
				 * sent a great many headers that lie in each other */
};

/* The key of a frame's header. */
static uint32_t key_of(const struct frame_header *h)
{
	return crc32c_rewind(~h->header_crc, h, offsetof(struct frame_header, header_crc));
}

static uint64_t salt_of(uint32_t key)
{
	static const uint8_t zeros[4];
	uint32_t low = crc32c_update(CRC32C_INIT, zeros, 4);

	/* The four bytes that lead from the state behind the low half to the key. */
	return (uint64_t)(low ^ crc32c_rewind(key, zeros, 4)) << 32;
}

static int seg_again_add(struct search *s, uint32_t key, uint64_t bytes)
{
	struct key *more;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].key == key) {
			s->v[i].bytes += bytes;
			return 0;
		}
	if (!(s->n & (s->n - 1))) {
		more = realloc(s->v, (s->n ? 2 * s->n : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->v = more;
	}
	s->v[s->n++] = (struct key){ key, bytes };
	return 0;
}

/* Whether a whole frame of this lane, of any key, is at off. */
static bool frame_there(struct search *s, uint64_t off, struct frame_header *h)
{
	uint64_t salt, size;
	const uint8_t *p;

	if (s->w.limit - off < sizeof(*h) || seg_walk_look(&s->w, off, sizeof(*h), &p))
		return false;
	memcpy(h, p, sizeof(*h));
	if (h->magic != FRAME_MAGIC || h->lane != s->lane)
		return false;
	salt = salt_of(key_of(h));
	size = frame_bytes(h->len);
	if (!frame_header_check(h, salt) || size > s->w.limit - off || size > s->budget)
		return false;
	s->budget -= size;
	return !seg_walk_look(&s->w, off + sizeof(*h), h->len, &p) &&
	       crc32c(p, h->len) == h->data_crc;
}

/* The next place at or behind off where a frame's header may begin; the limit: none. */
static uint64_t next_magic(struct search *s, uint64_t off)
{
	while (off + FRAME_ALIGN <= s->w.limit) {
		size_t n = s->w.limit - off < PIECE ? (size_t)(s->w.limit - off) : PIECE;
		const uint8_t *p;
		uint32_t word;

		if (seg_walk_look(&s->w, off, n, &p))
			return s->w.limit;
		for (size_t i = 0; i + FRAME_ALIGN <= n; i += FRAME_ALIGN) {
			memcpy(&word, p + i, sizeof(word));
			if (word == FRAME_MAGIC)
				return off + i;
		}
		off += n & ~(size_t)(FRAME_ALIGN - 1);
	}
	return s->w.limit;
}

/* Any bytes have some key, so a header that is damaged has a wrong one: where the two frames right
 * behind the first agree on another key, the first one's header is the damaged one. */
static uint32_t key_of_first(struct search *s, const struct frame_header *first)
{
	uint32_t key[3] = { key_of(first) };
	uint64_t off = SEG_DATA;
	struct frame_header h = *first;

	for (int i = 1; i < 3; i++) {
		off += frame_bytes(h.len);
		if (off >= s->w.limit || !frame_there(s, off, &h))
			return key[0];
		key[i] = key_of(&h);
	}
	return key[1] == key[2] && !MUTANT(seg_again_three) ? key[1] : key[0];
}

/* 1: *key is the segment's; 0: there is no frame; -errno.  *first: there is a frame at SEG_DATA. */
static int find_key(struct search *s, uint32_t *key, bool *first)
{
	struct frame_header h;
	uint64_t off = SEG_DATA;
	size_t best = 0;
	int err = 0;

	*first = frame_there(s, off, &h) && !MUTANT(seg_again_first);
	if (*first) {
		*key = key_of_first(s, &h);
		return 1;
	}
	while (!err && (off = next_magic(s, off)) < s->w.limit) {
		if (frame_there(s, off, &h)) {
			err = seg_again_add(s, key_of(&h), frame_bytes(h.len));
			off += MUTANT(seg_again_outermost) ? FRAME_ALIGN : frame_bytes(h.len);
		} else {
			off += FRAME_ALIGN;
		}
	}
	for (size_t i = 1; i < s->n; i++)
		if (s->v[i].bytes > s->v[best].bytes)
			best = i;
	if (!err && s->n)
		*key = s->v[best].key;
	return err ? err : s->n > 0;
}

/* For the header's first_seq: the number of the segment's first record, or the first of the
 * numbers right before that one which GAP frames in front of it explain.  (A GAP frame of numbers
 * further back explains a hole in the segment before.) */
struct first {
	struct gap_data gap[16];
	unsigned gaps;
	uint64_t seq;		/* of the first record; 0: none yet */
};

static void note_gap(struct first *f, const struct seg_frame *fr)
{
	if (f->seq || !fr->data_ok || f->gaps == sizeof(f->gap) / sizeof(f->gap[0]))
		return;
	memcpy(&f->gap[f->gaps++], fr->data, sizeof(f->gap[0]));
}

static uint64_t first_number(const struct first *f)
{
	uint64_t seq = f->seq;

	for (unsigned i = 0; !f->seq && i < f->gaps; i++)
		if (f->gap[i].to_seq >= seq)
			seq = f->gap[i].to_seq + 1;
	for (unsigned i = f->gaps; i-- > 0; )
		if (f->gap[i].from_seq <= f->gap[i].to_seq && f->gap[i].to_seq + 1 == seq)
			seq = f->gap[i].from_seq;
	return seq;
}

/* Reads the frames of that key as far as the header and the number of batches need it. */
static int read_frames(struct search *s, struct seg_header *h, unsigned *batches)
{
	struct first f = { .gaps = 0 };
	struct seg_frame fr;
	struct seg_walk w;
	uint64_t batch = 0;
	int err = seg_walk_init(&w, s->w.blk, s->w.file, h, SEG_DATA, s->w.limit, PIECE);

	if (err)
		return err;
	while ((!f.seq || *batches < 2) && (err = seg_walk_next(&w, &fr, true)) > 0) {
		if (!batch) {
			h->first_batch = fr.h.batch;
			h->created_ms = fr.h.time_ms;
		}
		*batches += fr.h.batch != batch;
		batch = fr.h.batch;
		if (fr.h.kind == FRAME_GAP)
			note_gap(&f, &fr);
		else if (!f.seq)
			f.seq = fr.h.seq;
	}
	seg_walk_fini(&w);
	h->first_seq = first_number(&f);
	return err < 0 ? err : 0;
}

int seg_header_again(const struct blk_ops *blk, struct blk_file *f, uint64_t bytes,
		     struct seg_header *h, struct seg_again *a)
{
	struct search s = { .lane = h->lane, .budget = 16 * bytes };
	uint32_t key = 0;
	int err = bytes > SEG_DATA ? seg_walk_init(&s.w, blk, f, h, SEG_DATA, bytes, PIECE) : 1;

	*a = (struct seg_again){ .batches = 0 };
	if (err)
		return err < 0 ? err : 0;
	err = find_key(&s, &key, &a->first);
	if (seg_walk_unreadable(&s.w, SEG_DATA, bytes - SEG_DATA < WAL_PAGE ? bytes - SEG_DATA : WAL_PAGE))
		a->refused = s.w.bad_err;
	if (err == 1) {
		h->salt = salt_of(key);
		h->bytes = (bytes + WAL_PAGE - 1) & ~(uint64_t)(WAL_PAGE - 1);
		if (h->bytes < SEG_BYTES_MIN)
			h->bytes = SEG_BYTES_MIN;
		err = read_frames(&s, h, &a->batches);
		seg_header_encode(h);
		if (!err)
			err = !seg_header_check(h);
	}
	free(s.v);
	seg_walk_fini(&s.w);
	return err;
}
