/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_read.c - cursors over a segment log, and the sparse indexes that find a record by
 * its number (seg_read.h).
 *
 * A cursor walks one segment at a time with the scan's walker, up to that segment's
 * synced end.  When a segment is sealed and walked to its end, the cursor goes to the
 * first one in the list with a higher number: the next, or the oldest one left.
 *
 * An index is taken off its segment while a thread extends it (another thread that needs it
 * meanwhile makes its own; the longer one stays).
 */
#include "segment/seg_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segment/segment_priv.h"
#include "util/crc32c.h"
#include "util/mutant.h"

/* A window holds a frame's header and SEG_READ_HAVE bytes. */
#define READ_BYTES (68u << 10)

struct seg_cursor {
	struct seglog *s;
	struct seg *g;		/* a reference is held; NULL: not in a segment */
	struct seg_walk w;	/* of g */
	uint64_t want;		/* the lowest number still to be delivered */
	uint64_t damaged;
	struct frame_header rec;	/* the record that was found last */
	uint64_t rec_off;	/* of its data in the file */
	uint32_t rec_at, crc;	/* how much of it was read for the checksum; the checksum so far */
	bool	 checking;	/* its checksum is not complete yet */
};

int seg_walk_from(struct seg_walk *w, struct seglog *s, const struct seg *g, uint64_t off,
		  uint64_t last_seq)
{
	struct seg_header h = { .lane = s->o.lane, .salt = g->salt };
	/* acquire: what is before the end is synced and can be read */
	uint64_t end = MUTANT(read_synced) ? g->bytes :
		       atomic_load_explicit(&g->end, memory_order_acquire);
	int err = seg_walk_init(w, s->o.blk, g->file, &h, off, end, READ_BYTES);

	w->last_seq = last_seq;
	return err;
}

/* ---- index ---- */

static int index_add(struct seg_index *x, uint64_t seq, uint64_t off)
{
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 64;
		struct seg_entry *more = realloc(x->v, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		x->v = more;
		x->cap = cap;
	}
	x->v[x->n++] = (struct seg_entry){ seq, off };
	return 0;
}

/* Walk on from where the index ends, to the segment's end or behind number seq. */
static int index_extend(struct seglog *s, const struct seg *g, struct seg_index *x, uint64_t seq)
{
	struct seg_frame fr;
	struct seg_walk w;
	int err;

	if (x->last_seq >= seq ||
	    x->upto >= atomic_load_explicit(&g->end, memory_order_acquire))
		return 0;
	err = seg_walk_from(&w, s, g, x->upto, x->last_seq);
	while (!err && x->last_seq < seq && (err = seg_walk_next(&w, &fr, false)) > 0) {
		err = 0;
		x->upto = w.off;
		if (fr.h.kind != FRAME_RECORD)
			continue;
		if (x->since++ % SEG_INDEX_EVERY == 0)
			err = index_add(x, fr.h.seq, fr.off);
		x->last_seq = fr.h.seq;
	}
	seg_walk_fini(&w);
	return err;
}

/* The last entry at or before number seq. */
static struct seg_entry index_find(const struct seg_index *x, const struct seg *g, uint64_t seq)
{
	struct seg_entry found = { g->first_seq, SEG_DATA };
	size_t lo = 0, hi = x->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->v[mid].seq <= seq) {
			found = x->v[mid];
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return found;
}

static void index_drop(struct seglog *s, struct seg *g)
{
	s->index_bytes -= g->index->cap * sizeof(*g->index->v);
	seg_index_free(g->index);
	g->index = NULL;
}

/* Gives the index to its segment; drops the least recently used ones beyond the limit. */
static void index_keep(struct seglog *s, struct seg *g, struct seg_index *x)
{
	pthread_mutex_lock(&s->lock);
	if (g->index && g->index->upto >= x->upto) {
		seg_index_free(x);
	} else {
		if (g->index)
			index_drop(s, g);
		g->index = x;
		s->index_bytes += x->cap * sizeof(*x->v);
	}
	g->index_used = ++s->index_clock;
	while (s->index_bytes > (s->o.index_bytes ? s->o.index_bytes : SEG_INDEX_BYTES)) {
		struct seg *old = NULL;

		for (size_t i = 0; i < s->nsegs; i++)
			if (s->segs[i]->index && s->segs[i] != g &&
			    (!old || s->segs[i]->index_used < old->index_used))
				old = s->segs[i];
		if (!old)
			break;
		index_drop(s, old);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Where to start walking in g (which the caller holds) for number seq. */
int seg_locate(struct seglog *s, struct seg *g, uint64_t seq, struct seg_entry *at)
{
	struct seg_index *x;
	int err;

	*at = (struct seg_entry){ g->first_seq, SEG_DATA };
	if (seq <= g->first_seq)
		return 0;
	pthread_mutex_lock(&s->lock);
	x = g->index;
	g->index = NULL;
	if (x)
		s->index_bytes -= x->cap * sizeof(*x->v);
	pthread_mutex_unlock(&s->lock);
	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return -ENOMEM;
		x->upto = SEG_DATA;
		x->last_seq = g->first_seq - 1;
	}
	err = index_extend(s, g, x, seq);
	if (!err)
		*at = index_find(x, g, seq);
	index_keep(s, g, x);
	return err;
}

/* ---- cursor ---- */

static void seg_read_leave(struct seg_cursor *c)
{
	if (!c->g)
		return;
	seg_walk_fini(&c->w);
	pthread_mutex_lock(&c->s->lock);
	seg_unref(c->s, c->g);
	pthread_mutex_unlock(&c->s->lock);
	c->g = NULL;
}

/* The last segment that starts at or before `want` (the oldest, if all start behind it), but
 * only one behind segment number `behind`; with a reference.  NULL: none. */
static struct seg *seg_read_segment(struct seglog *s, uint64_t want, uint64_t behind)
{
	struct seg *g = NULL;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->nsegs; i-- > 0 && s->segs[i]->segno > behind; ) {
		if (s->segs[i]->lost)
			continue;
		g = s->segs[i];
		if (g->first_seq <= want)
			break;
	}
	if (g)
		seg_ref(g);
	pthread_mutex_unlock(&s->lock);
	return g;
}

/* Makes that segment the cursor's, with its file open.  1; 0: there is none; -errno. */
static int hold(struct seg_cursor *c, uint64_t behind)
{
	struct seglog *s = c->s;
	struct seg *g;
	int err;

	do {
		g = seg_read_segment(s, c->want, behind);
		if (!g)
			return 0;
		err = seg_file(s, g);
		if (!err)
			break;
		pthread_mutex_lock(&s->lock);
		seg_unref(s, g);
		pthread_mutex_unlock(&s->lock);
	} while (err == -ESTALE);
	if (err)
		return err;
	c->g = g;
	return 1;
}

static int seg_read_enter(struct seg_cursor *c, uint64_t behind)
{
	struct seg_entry at;
	int err = hold(c, behind);

	if (err <= 0)
		return err;
	err = seg_locate(c->s, c->g, c->want, &at);
	if (!err)
		err = seg_walk_from(&c->w, c->s, c->g, at.off, at.seq - 1);
	if (!err)
		return 1;
	c->w.buf = NULL;
	seg_read_leave(c);
	return err;
}

/* At the end of what the walker may see: 1 there is more, 0 no, -errno. */
static int go_on(struct seg_cursor *c)
{
	/* acquire, and sealed before end: a sealed segment's end is final */
	bool sealed = atomic_load_explicit(&c->g->sealed, memory_order_acquire);
	uint64_t end = atomic_load_explicit(&c->g->end, memory_order_acquire);
	uint64_t segno = c->g->segno;
	int err;

	if (end > c->w.limit) {
		seg_walk_extend(&c->w, end);
		return 1;
	}
	if (!sealed)
		return 0;
	/* only when the next one is there and open is this one let go */
	struct seg_cursor next = { .s = c->s, .want = c->want };

	err = seg_read_enter(&next, segno);
	if (err <= 0)
		return err;
	seg_read_leave(c);
	c->g = next.g;
	c->w = next.w;
	return 1;
}

/* The next record that is wanted, its data not looked at yet: 1, 0, -errno. */
static int next_wanted(struct seg_cursor *c)
{
	struct seg_frame fr;
	int err;

	if (!c->g) {
		err = seg_read_enter(c, 0);
		if (err <= 0)
			return err;
	}
	for (;;) {
		err = seg_walk_next(&c->w, &fr, false);
		if (err < 0)
			return err;
		if (err == 0) {
			err = go_on(c);
			if (err <= 0)
				return err;
			continue;
		}
		if (fr.hole_bytes && fr.h.seq > c->want)
			c->damaged++;
		if (fr.h.kind != FRAME_RECORD || fr.h.seq < c->want)
			continue;
		c->want = fr.h.seq + 1;
		c->rec = fr.h;
		c->rec_off = fr.off + sizeof(fr.h);
		c->rec_at = 0;
		c->crc = CRC32C_INIT;
		return 1;
	}
}

/* Adds the next slice of the record to its checksum: 1 that was the last, 0 not yet, -errno. */
static int check_slice(struct seg_cursor *c)
{
	uint32_t n, done = 0;
	const uint8_t *p;
	int err;

	for (; c->rec_at < c->rec.len; c->rec_at += n, done += n) {
		if (done >= SEG_READ_SLICE)
			return 0;
		n = c->rec.len - c->rec_at < READ_BYTES ? c->rec.len - c->rec_at : READ_BYTES;
		err = seg_walk_look(&c->w, c->rec_off + c->rec_at, n, &p);
		if (err)
			return err;
		c->crc = crc32c_update(c->crc, p, n);
	}
	return 1;
}

int seg_read_find(struct seg_cursor *c, struct frame_header *h, const uint8_t **data, uint32_t *have)
{
	int err;

	for (;;) {
		if (!c->checking) {
			err = next_wanted(c);
			if (err <= 0)
				return err;
		}
		err = check_slice(c);
		c->checking = err == 0;
		if (err <= 0)
			return err ? err : SEG_READ_AGAIN;
		if (frame_data_check(&c->rec, crc32c_final(c->crc)))
			break;
		c->damaged++;
	}
	*h = c->rec;
	*have = h->len < SEG_READ_HAVE ? h->len : SEG_READ_HAVE;
	err = seg_walk_look(&c->w, c->rec_off, *have, data);
	if (err)
		return err;
	c->rec_at = *have;
	c->crc = crc32c_update(CRC32C_INIT, *data, *have);
	return 1;
}

int seg_read_more(struct seg_cursor *c, void *to, uint32_t n)
{
	int err;

	if (n > c->rec.len - c->rec_at)
		return -EINVAL;
	err = c->s->o.blk->read(c->g->file, to, n, c->rec_off + c->rec_at);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;	/* the file was cut meanwhile */
	c->crc = crc32c_update(c->crc, to, n);
	c->rec_at += n;
	if (c->rec_at == c->rec.len && !frame_data_check(&c->rec, crc32c_final(c->crc)) &&
	    !MUTANT(read_more_check))
		return -EBADMSG;
	return 0;
}

int seg_read_next(struct seg_cursor *c, struct frame_header *h, const uint8_t **data)
{
	uint32_t have;
	int got;

	do
		got = seg_read_find(c, h, data, &have);
	while (got == SEG_READ_AGAIN);
	if (got == 1 && have < h->len) {
		int err = seg_walk_look(&c->w, c->rec_off, h->len, data);

		return err ? err : 1;
	}
	return got;
}

int seg_read_open(struct seglog *s, uint64_t seq, struct seg_cursor **out)
{
	struct seg_cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->s = s;
	c->want = seq ? seq : 1;
	*out = c;
	return 0;
}

int seg_read_seek(struct seg_cursor *c, uint64_t seq)
{
	seg_read_leave(c);
	c->checking = false;
	c->want = seq ? seq : 1;
	return 0;
}

uint64_t seg_read_damaged(const struct seg_cursor *c)
{
	return c->damaged;
}

void seg_read_close(struct seg_cursor *c)
{
	if (!c)
		return;
	seg_read_leave(c);
	free(c);
}

void seg_read_bounds(struct seglog *s, uint64_t *oldest, uint64_t *newest)
{
	pthread_mutex_lock(&s->lock);
	*oldest = s->low_seq ? s->low_seq : s->nsegs ? s->segs[0]->first_seq : 1;
	pthread_mutex_unlock(&s->lock);
	*newest = seglog_next_seq(s) - 1;
	if (s->o.aside_open && !MUTANT(seg_aside_newest))
		*newest += REC_LOST_SKIP;	/* more than the unread segment can have held */
}
