/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_why.c - why a number has no record, from the segments alone (seg_read.h).
 *
 * The segment that would have the record is walked from before the number to the first record
 * behind it; what stands between them decides.  Then a GAP frame that names the number is looked
 * for: recovery writes it behind the batch that it explains, in the same segment or, where that
 * is full, at the start of the next.
 */
#include <errno.h>
#include <string.h>

#include "segment/seg_read.h"
#include "segment/segment_priv.h"
#include "util/crc32c.h"

struct why {
	struct seglog *s;
	uint64_t seq;
	struct absence *a;
	bool	 passed;	/* a record behind the number was seen */
	uint64_t batch;		/* of that record, or of the number's own frame */
	int	 unread;	/* -errno: why a segment that may have the record cannot be read */
	bool	 done;		/* nothing that follows can change the answer */
};

static void seg_why_answer(struct why *y, enum absent_reason reason, int err)
{
	y->a->reason = reason;
	y->a->err = err;
}

/* Bytes that are no whole frame stand where the record should be. */
static void lost(struct why *y, bool unreadable, int err)
{
	if (unreadable)
		seg_why_answer(y, ABSENT_UNREADABLE, err);
	else if (y->a->reason != ABSENT_UNREADABLE)
		seg_why_answer(y, ABSENT_DAMAGE, 0);
}

static void seg_why_gap(struct why *y, const struct seg_frame *fr)
{
	struct gap_data g;

	if (!fr->data_ok)
		return;
	memcpy(&g, fr->data, sizeof(g));
	if (g.from_seq <= y->seq && y->seq <= g.to_seq) {
		if (g.reason != GAP_SKIPPED || y->a->reason != ABSENT_UNREADABLE)
			seg_why_answer(y, g.reason < ABSENT_EXPIRED ? g.reason : ABSENT_DAMAGE, 0);
		y->a->from = g.from_seq;
		y->a->to = g.to_seq;
		y->done = true;
	} else if (!y->passed && g.to_seq < y->seq && g.to_seq >= y->a->from) {
		y->a->from = g.to_seq + 1;
	}
}

static void own(struct why *y, struct seg_walk *w, struct seg_frame *fr)
{
	const uint8_t *p;
	int err = seg_walk_look(w, fr->off + sizeof(fr->h), fr->h.len, &p);

	y->passed = true;
	y->batch = fr->h.batch;
	y->a->from = y->a->to = y->seq;
	if (err)
		seg_why_answer(y, ABSENT_UNREADABLE, err);
	else if (frame_data_check(&fr->h, crc32c(p, fr->h.len)))
		seg_why_answer(y, ABSENT_NOT, 0);
	else
		lost(y, seg_walk_unreadable(w, fr->off, frame_bytes(fr->h.len)), w->bad_err);
	y->done = y->a->reason == ABSENT_NOT;
}

static void frame(struct why *y, struct seg_walk *w, struct seg_frame *fr)
{
	uint64_t seq = fr->h.seq;

	if (fr->hole_bytes && !y->passed)
		lost(y, fr->hole_unreadable, w->bad_err);
	if (fr->h.kind == FRAME_GAP) {
		seg_why_gap(y, fr);
	} else if (y->passed) {
		y->done = fr->h.batch > y->batch;
	} else if (seq < y->seq) {
		seg_why_answer(y, ABSENT_DAMAGE, 0);	/* what stood in front of it had other numbers */
		y->a->from = seq + 1;
	} else if (seq == y->seq) {
		own(y, w, fr);
	} else {
		y->passed = true;
		y->batch = fr->h.batch;
		y->a->to = seq - 1;
	}
}

/* Walks from `at` to the end of the synced part of g, to which the caller has a reference. */
static int walk(struct why *y, struct seg *g, struct seg_entry at)
{
	struct seg_frame fr;
	struct seg_walk w;
	int err = seg_walk_from(&w, y->s, g, at.off, at.seq - 1);

	if (err)
		return err;
	while (!y->done && (err = seg_walk_next(&w, &fr, false)) > 0)
		frame(y, &w, &fr);
	if (err == 0 && !y->done && !y->passed && seg_walk_tail(&w) > w.off)
		lost(y, false, 0);
	if (err == 0 && !y->done && !y->passed && seg_walk_unreadable(&w, w.off, w.limit - w.off))
		lost(y, true, w.bad_err);
	seg_walk_fini(&w);
	return err < 0 ? err : 0;
}

/* Whether the segment files between g (NULL: the lane's start) and next exist.  As in a check, the
 * first of them decides.  A file without a valid header, or with another segment's, exists too.
 * With the lock. */
static bool files_there(struct seglog *s, const struct seg *g, const struct seg *next)
{
	uint64_t first = g ? g->segno + 1 : s->low_segno;

	if (g && (!next || next->segno == first))
		return true;
	if (!g)
		return s->nsegs && s->segs[0]->segno <= first;
	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i]->segno == first)
			return true;
	return false;
}

/* Finds and references the two segments around the number: the last that starts at or before it,
 * and the next one behind that; NULL where there is none.  *whole: see files_there. */
static void hold_both(struct why *y, struct seg **g, struct seg **next, bool *whole)
{
	struct seglog *s = y->s;

	*g = *next = NULL;
	pthread_mutex_lock(&s->lock);
	for (size_t i = s->nsegs; i-- > 0 && !*g; ) {
		struct seg *x = s->segs[i];

		if (x->lost)			/* a file without a header */
			continue;
		if (x->first_seq <= y->seq)
			*g = x;
		else
			*next = x;
	}
	*whole = files_there(s, *g, *next);
	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i]->unread && (!*g || s->segs[i]->segno > (*g)->segno) &&
		    (!*next || s->segs[i]->segno < (*next)->segno))
			y->unread = s->segs[i]->unread;
	if (*g)
		y->a->from = (*g)->first_seq;
	if (*next)
		y->a->to = (*next)->first_seq - 1;
	if (*g)
		seg_ref(*g);
	if (*next)
		seg_ref(*next);
	pthread_mutex_unlock(&s->lock);
}

static void seg_why_let_go(struct seglog *s, struct seg **g)
{
	pthread_mutex_lock(&s->lock);
	if (*g)
		seg_unref(s, *g);
	pthread_mutex_unlock(&s->lock);
	*g = NULL;
}

/* Opens the files of both.  0, -errno; -ESTALE: the segments must be looked for again. */
static int open_both(struct seglog *s, struct seg *g, struct seg **next)
{
	int err = g ? seg_file(s, g) : 0;

	if (err || !*next)
		return err;
	err = seg_file(s, *next);
	if (err && err != -ESTALE) {
		seg_why_let_go(s, next);		/* g alone says what it can */
		err = 0;
	}
	return err;
}

/* The record may be in a segment between the two whose header could not be read: that is tried
 * again here.  0; -ESTALE: it can be read now, so the segments must be looked for again. */
static int unread(struct why *y, const struct seg *g, const struct seg *next)
{
	int err = seg_learn(y->s, g ? g->segno : 0, next ? next->segno : UINT64_MAX);

	if (err > 0)
		return -ESTALE;
	if (err == -ENOENT)		/* it was taken away meanwhile */
		seg_why_answer(y, ABSENT_MISSING, 0);
	else if (err == -EBADMSG)	/* what can be read is no header of it */
		seg_why_answer(y, ABSENT_DAMAGE, 0);
	else
		seg_why_answer(y, ABSENT_UNREADABLE, err ? err : y->unread);
	return 0;
}

static int seg_why_look(struct why *y, struct seg *g, struct seg *next, bool whole)
{
	struct seg_entry at = { 0 };
	int err = 0;

	if (g) {
		seg_why_answer(y, whole ? ABSENT_DAMAGE : ABSENT_MISSING, 0);
		err = seg_locate(y->s, g, y->seq, &at);
		if (!err)
			err = walk(y, g, at);
		if (!err && !y->passed && !y->done && !whole && y->a->reason == ABSENT_DAMAGE)
			seg_why_answer(y, ABSENT_MISSING, 0);
	} else {
		seg_why_answer(y, whole ? ABSENT_DAMAGE : ABSENT_MISSING, 0);
	}
	if (!err && y->unread && !y->done && (!g || !y->passed))
		err = unread(y, g, next);
	if (!err && next && !y->done) {
		y->passed = true;		/* only its GAP frames count, not its records */
		y->batch = 0;
		err = walk(y, next, (struct seg_entry){ next->first_seq, SEG_DATA });
	}
	return err;
}

/* 0, -errno; -ESTALE: to be called again, for the list of segments has changed. */
static int why_now(struct seglog *s, uint64_t seq, struct absence *a)
{
	struct why y = { .s = s, .seq = seq, .a = a };
	struct seg *g, *next;
	uint64_t oldest, newest;
	bool whole, lost;
	int err;

	seg_read_bounds(s, &oldest, &newest);
	*a = (struct absence){ ABSENT_NEVER, 0, seq, seq };
	if (!seq || seq > newest)
		return 0;
	pthread_mutex_lock(&s->lock);
	lost = s->low_lost;
	pthread_mutex_unlock(&s->lock);
	*a = (struct absence){ lost ? ABSENT_GONE : ABSENT_EXPIRED, 0, 1, oldest - 1 };
	if (seq < oldest)
		return 0;
	a->from = oldest;
	a->to = newest;
	hold_both(&y, &g, &next, &whole);
	err = open_both(s, g, &next);
	if (!err)
		err = seg_why_look(&y, g, next, whole);
	seg_why_let_go(s, &g);
	seg_why_let_go(s, &next);
	if (err == -EIO)			/* a file that cannot even be opened */
		seg_why_answer(&y, ABSENT_UNREADABLE, err);
	else if (err == -ENOENT)		/* or was removed meanwhile */
		seg_why_answer(&y, ABSENT_MISSING, 0);
	else
		return err;
	return 0;
}

int seg_read_why(struct seglog *s, uint64_t seq, struct absence *a)
{
	int err;

	do
		err = why_now(s, seq, a);
	while (err == -ESTALE);
	return err;
}
