/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c - the segment log of a lane: opening it where a scan left off, frames,
 * rotation (segment.h).
 *
 * Invariants
 *   - bytes behind the active segment's `end` are zero, or of the one batch in flight;
 *   - `end` and durable_seq move only in seglog_synced, after the sync;
 *   - a segment is used only after its file, all zeros, and its name are synced, so the
 *     sync of a batch changes no metadata;
 *   - its header is written before its first batch and synced by that batch's sync.
 */
#include "segment/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "segment/segment_priv.h"
#include "util/clock.h"
#include "util/crc32c.h"
#include "util/dice.h"
#include "util/error.h"
#include "util/mutant.h"

#define COPY_BYTES (1u << 20)

static const _Alignas(BLK_BLOCK) uint8_t zeros[64 << 10];

/* ---- small things ---- */

uint64_t seg_random(const struct seglog *s)
{
	return s->o.random ? s->o.random() : dice_u64();
}

int seg_open(struct seglog *s, const char *name, int flags, struct blk_file **f)
{
	return s->o.blk->open(s->o.blk->ctx, s->dir, name, flags, f);
}

int seg_unlink(struct seglog *s, const char *name)
{
	return s->o.blk->unlink(s->o.blk->ctx, s->dir, name);
}

int seg_rename(struct seglog *s, const char *from, const char *to)
{
	return s->o.blk->rename(s->o.blk->ctx, s->dir, from, to);
}

int seg_write_zeros(const struct blk_ops *blk, struct blk_file *f, uint64_t off, uint64_t n)
{
	int err = 0;

	while (n && !err) {
		struct iovec iov[64];
		uint64_t part = 0;
		unsigned k = 0;

		for (; k < 64 && part < n; k++) {
			uint64_t len = n - part < sizeof(zeros) ? n - part : sizeof(zeros);

			iov[k] = (struct iovec){ (void *)zeros, len };
			part += len;
		}
		err = blk->write(f, iov, k, off);
		off += part;
		n -= part;
	}
	return err;
}

uint64_t seg_record_max(uint64_t segment_bytes)
{
	uint64_t room = segment_bytes - SEG_DATA - sizeof(struct frame_header) - FRAME_ALIGN;

	return room < UINT32_MAX ? room : UINT32_MAX;
}

static uint64_t end_of(const struct seg *g)
{
	/* relaxed: only the writer, who wrote it, comes here */
	return atomic_load_explicit(&g->end, memory_order_relaxed);
}

/* ---- references ---- */

/* 0: the file is the segment's, or its header is damaged and says nothing; -ENOENT: somebody has
 * put another file under its name. */
static int is_it(struct seglog *s, const struct seg *g, struct blk_file *f)
{
	struct seg_header h;

	if (s->o.blk->read(f, &h, sizeof(h), SEG_HDR_A) || seg_header_check(&h))
		return 0;
	return (h.salt == g->salt && !memcmp(h.store_uuid, s->o.uuid, sizeof(h.store_uuid))) ||
	       MUTANT(seg_ref_check) ? 0 : -ENOENT;
}

int seg_file(struct seglog *s, struct seg *g)
{
	struct blk_file *f = NULL;
	char name[SEG_NAME_MAX];
	bool there;
	int err;

	if (g->lost)
		return -EIO;
	pthread_mutex_lock(&s->lock);
	there = g->file;
	pthread_mutex_unlock(&s->lock);
	if (there)
		return 0;
	seg_name(name, g->segno);
	err = seg_open(s, name, BLK_RDONLY, &f);
	if (!err)
		err = is_it(s, g, f);
	pthread_mutex_lock(&s->lock);
	if (err == -ENOENT && g->retired)
		err = -ESTALE;
	if (!err && !g->file) {			/* no other thread has opened it meanwhile */
		g->file = f;
		f = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (f)
		s->o.blk->close(f);
	return err;
}

/* Reads the segment's header; without the lock, for a disk may take long to report an error. */
static int learn_one(struct seglog *s, uint64_t segno, struct seg_header *h, uint64_t *bytes)
{
	static const uint64_t at[2] = { SEG_HDR_A, SEG_HDR_B };
	char name[SEG_NAME_MAX];
	struct blk_file *f;
	int err, res = -EIO;

	seg_name(name, segno);
	err = seg_open(s, name, BLK_RDONLY, &f);
	if (err)
		return err;
	for (int i = 0; i < 2 && res; i++) {
		res = s->o.blk->read(f, h, sizeof(*h), at[i]);
		if (!res && (seg_header_check(h) || !seg_header_is(h, s->o.uuid, s->o.lane, segno)) &&
		    !MUTANT(seg_learn_check))
			res = -EBADMSG;
	}
	if (!res)
		res = s->o.blk->size(f, bytes);
	s->o.blk->close(f);
	return res;
}

/* Puts into g what its header says.  With the lock. */
static void learnt(struct seglog *s, struct seg *g, const struct seg_header *h, uint64_t bytes)
{
	g->first_seq = h->first_seq;
	g->created_ms = h->created_ms;
	g->salt = h->salt;
	g->bytes = g->there = bytes;
	g->end = (bytes < h->bytes ? bytes : h->bytes) & ~7ull;
	g->lost = false;
	g->unread = 0;
	s->unread--;
}

/* The first unread segment between the two numbers, referenced; NULL: none.  With the lock. */
static struct seg *unread_between(struct seglog *s, uint64_t behind, uint64_t before)
{
	for (size_t i = 0; i < s->nsegs && s->unread; i++) {
		struct seg *g = s->segs[i];

		if (g->unread && g->segno > behind && g->segno < before) {
			seg_ref(g);
			return g;
		}
	}
	return NULL;
}

/* Whether no segment behind g could be read, so that only g could show where the lane ends.  With
 * the lock. */
static bool ends_the_lane(const struct seglog *s, const struct seg *g)
{
	size_t i = s->nsegs;

	while (i-- > 0 && s->segs[i] != g)
		if (!s->segs[i]->unread)
			return false;
	return true;
}

int seg_learn(struct seglog *s, uint64_t behind, uint64_t before)
{
	struct seg_header h = { 0 };
	uint64_t bytes = 0;
	int res = 0, err;
	struct seg *g;

	pthread_mutex_lock(&s->lock);
	while ((g = unread_between(s, behind, before))) {
		pthread_mutex_unlock(&s->lock);
		err = learn_one(s, g->segno, &h, &bytes);
		pthread_mutex_lock(&s->lock);
		behind = g->segno;
		if (g->retired || !g->unread)	/* retention or another reader was faster */
			err = 0;
		else if (err)
			g->unread = err;
		else if (s->o.aside_open && ends_the_lane(s, g) && !MUTANT(seg_aside_learn))
			g->unread = err = STORE_EASIDE;
		else
			learnt(s, g, &h, bytes);
		res = err && res <= 0 ? err : 1;
		seg_unref(s, g);
	}
	pthread_mutex_unlock(&s->lock);
	return res;
}

void seg_index_free(struct seg_index *x)
{
	if (x)
		free(x->v);
	free(x);
}

void seg_unref(struct seglog *s, struct seg *g)
{
	if (--g->refs)
		return;
	if (g->file)
		s->o.blk->close(g->file);
	g->file = NULL;
	if (!g->retired)
		return;
	if (g->index)
		s->index_bytes -= g->index->cap * sizeof(*g->index->v);
	seg_index_free(g->index);
	free(g);
}

int seg_reserve(struct seglog *s)
{
	struct seg **more;

	if (s->nsegs + 1 < s->cap)
		return 0;
	more = realloc(s->segs, (s->cap + 16) * sizeof(struct seg *));
	if (!more)
		return -ENOMEM;
	s->segs = more;
	s->cap += 16;
	return 0;
}

/* ---- opening ---- */

static int load_segments(struct seglog *s, const struct seg_lane *found, uint64_t next_seq)
{
	uint64_t first_seq = next_seq, created = UINT64_MAX;

	s->cap = found->nsegs + 16;
	s->segs = calloc(s->cap, sizeof(*s->segs));
	if (!s->segs)
		return -ENOMEM;
	s->next_segno = 1;
	for (size_t i = 0; i < found->nsegs; i++) {
		const struct seg_info *si = &found->segs[i];
		struct seg *g;

		if (si->state == SEG_PREPARED)	/* adopt_prepared takes care of it */
			continue;
		if (si->segno >= s->next_segno)
			s->next_segno = si->segno + 1;
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		s->segs[s->nsegs++] = g;
		g->segno = si->segno;
		g->lost = si->state != SEG_USED;
		g->unread = si->state == SEG_UNREADABLE ? si->err : 0;
		s->unread += g->unread != 0;
		g->first_seq = si->h.first_seq;
		g->created_ms = si->h.created_ms;
		g->salt = si->h.salt;
		g->bytes = g->there = si->bytes;
		/* A walk ends at a multiple of 8, wherever the file was cut. */
		g->end = si->read ? si->end : (si->bytes < si->h.bytes ? si->bytes : si->h.bytes) & ~7ull;
		g->sealed = true;
	}
	for (size_t i = s->nsegs; i-- > 0; ) {	/* a lost segment is given no numbers */
		if (s->segs[i]->lost) {
			s->segs[i]->first_seq = first_seq;
			s->segs[i]->created_ms = created;
		}
		first_seq = s->segs[i]->first_seq;
		created = s->segs[i]->created_ms;
	}
	return 0;
}

static int sweep_one(void *arg, const char *name)
{
	struct seglog *s = arg;
	int err;

	if (!strncmp(name, "spare-", 6) && !s->spare[0] && strlen(name) < sizeof(s->spare)) {
		strcpy(s->spare, name);
		return 0;
	}
	if (strncmp(name, "spare-", 6) && strncmp(name, "new-", 4))
		return 0;
	err = seg_unlink(s, name);
	return err == -ENOENT ? 0 : err;
}

/* Takes over the prepared segment that an earlier start left: seglog_prepare looks through
 * it before its use, since a batch that was never acknowledged may have been written to it.
 * Only the segment whose number comes next is taken, for a number that is left out would be
 * reported as a lost segment; the others are removed. */
static int adopt_prepared(struct seglog *s, const struct seg_lane *found)
{
	char name[SEG_NAME_MAX];
	int err = 0;

	for (size_t i = 0; i < found->nsegs && !err; i++) {
		const struct seg_info *si = &found->segs[i];

		if (si->state != SEG_PREPARED)
			continue;
		seg_name(name, si->segno);
		if (s->prep.state == PREP_IDLE && si->segno == s->next_segno &&
		    si->bytes == seg_next_bytes(s)) {
			err = seg_open(s, name, BLK_RDWR | seg_direct(s), &s->prep.file);
			if (err == STORE_ELINKED)		/* other name: it stays */
				err = seg_unlink(s, name);
			else if (err)
				break;
			if (!s->prep.file)
				continue;
			strcpy(s->prep.name, name);
			s->prep.segno = si->segno;
			s->prep.bytes = s->prep.zeros = si->bytes;
			s->prep.state = PREP_CHECK;
		} else {
			err = seg_unlink(s, name);
		}
	}
	return err;
}

static int seg_header_write(struct seglog *s, struct blk_file *f, struct seg_header *h)
{
	/* Whole blocks are written: a block that cannot be read cannot be written in part. */
	struct iovec iov[4] = {
		{ h, sizeof(*h) },
		{ (void *)zeros, SEG_HDR_B - SEG_HDR_A - sizeof(*h) },
		{ h, sizeof(*h) },
		{ (void *)zeros, SEG_DATA - SEG_HDR_B - sizeof(*h) },
	};

	seg_header_encode(h);
	return s->o.blk->write(f, iov, MUTANT(seg_header_b) ? 1 : 4, SEG_HDR_A);
}

/* Writes [off, end) of the file again as it is, but for pages that cannot be read. */
static int write_again(struct seglog *s, struct blk_file *f, uint64_t off, uint64_t end)
{
	uint8_t *buf = malloc(COPY_BYTES);
	uint64_t step = COPY_BYTES;
	int err = buf ? 0 : -ENOMEM;

	while (off < end && !err) {
		uint64_t n = step - off % step;

		if (n > end - off)
			n = end - off;
		if (!s->o.blk->read(f, buf, n, off)) {
			struct iovec iov = { buf, n };

			err = s->o.blk->write(f, &iov, 1, off);
		} else if (step > WAL_PAGE) {
			step = WAL_PAGE;
			continue;
		}
		off += n;
	}
	free(buf);
	return err;
}

/* Puts the last segment in order: zeros behind the end, and the last batch certainly on
 * the disk (before this, reads may show pages whose sync failed before a restart). */
static int resume_tail(struct seglog *s, const struct seg_lane *found,
		       const struct seglog_resume *r)
{
	const struct seg_info *si = &found->segs[found->tail];
	struct seg *g = s->segs[s->nsegs - 1];
	struct seg_header h = si->h;
	char name[SEG_NAME_MAX];
	int err;

	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i]->segno == r->segno)
			g = s->segs[i];
	if (g->segno != r->segno || si->segno != r->segno || r->end > h.bytes ||
	    r->batch_off > r->end || r->batch_off < SEG_DATA || r->dirty_end > h.bytes)
		return -EINVAL;
	seg_name(name, g->segno);
	err = seg_open(s, name, BLK_RDWR | seg_direct(s), &g->file);
	if (err)
		return err;
	g->refs = 1;
	s->active = g;
	g->bytes = h.bytes;
	g->end = r->end;
	g->sealed = false;
	g->durable = true;			/* synced below */
	err = s->o.blk->id(g->file, &g->id);
	if (!err && r->dirty_end > r->end && !MUTANT(seg_tail_scrub))
		err = seg_write_zeros(s->o.blk, g->file, r->end, r->dirty_end - r->end);
	/* The header gets this start's class: rec_store.c takes a lost store's class from it. */
	if (s->o.cls && !MUTANT(seg_resume_class))
		h.class = s->o.cls;
	if (!err && (r->batch_off == SEG_DATA || si->a_bad || si->b_bad ||
		     h.class != si->h.class) && !MUTANT(seg_resume_header))
		err = seg_header_write(s, g->file, &h);
	if (!err && !MUTANT(seg_resume_rewrite))
		err = write_again(s, g->file, r->batch_off, r->end);
	if (!err && !MUTANT(seg_resume_sync))
		err = s->o.blk->sync(g->file);
	if (!err)
		err = s->o.blk->size(g->file, &g->there);
	return MUTANT(seg_resume_result) ? 0 : err;
}

/* Writes bad copies of headers again.  Where that fails, the start goes on all the same: the
 * next scan will report the copy again. */
static void heal_copies(struct seglog *s, const struct seg_lane *found)
{
	char name[SEG_NAME_MAX];
	struct blk_file *f;

	for (size_t i = 0; i < found->nsegs; i++) {
		const struct seg_info *si = &found->segs[i];
		struct seg_header h = si->h;
		struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)zeros, BLK_BLOCK - sizeof(h) } };
		bool both = si->a_bad && si->b_bad;

		if (si->state != SEG_USED || i == found->tail || (!si->a_bad && !si->b_bad))
			continue;
		if (s->o.tick)
			s->o.tick(s->o.tick_arg);
		seg_name(name, si->segno);
		if (seg_open(s, name, BLK_RDWR, &f))
			continue;
		/* If both are bad, both are written at once: if a power cut leaves neither whole,
		 * the header can be found from the frames as before. */
		if (!MUTANT(seg_heal_write) && !(both ? seg_header_write(s, f, &h) :
		    s->o.blk->write(f, iov, 2, si->a_bad ? SEG_HDR_A : SEG_HDR_B)) &&
		    !MUTANT(seg_heal_sync))
			s->o.blk->sync(f);
		s->o.blk->close(f);
	}
}

static int open_rest(struct seglog *s, const struct seg_lane *found,
		     const struct seglog_resume *r)
{
	int err = load_segments(s, found, r->next_seq);

	if (err || s->o.aside)
		return err;
	if (!err)
		err = s->o.blk->list(s->dir, sweep_one, s);
	if (!err)
		err = adopt_prepared(s, found);
	if (!err && r->end)
		err = found->tail == SIZE_MAX ? -EINVAL : resume_tail(s, found, r);
	if (err)
		return err;
	heal_copies(s, found);
	/* The names that were found may not be durable yet; what follows relies on them. */
	if (!MUTANT(seg_open_dir_sync))
		err = s->o.blk->sync_dir(s->dir);
	if (MUTANT(seg_open_dir_result))
		err = 0;
	while (!err && !s->o.idle && !s->active) {
		if (s->o.tick)
			s->o.tick(s->o.tick_arg);
		err = seglog_prepare(s);
		if (err >= 0)
			err = err ? 0 : seglog_rotate(s);
	}
	/* Without room the log is open all the same: it can be read, and an append reports it. */
	return err == -ENOSPC && seglog_nospace(s) ? 0 : err;
}

int seglog_open(struct seglog **out, const struct seglog_options *o,
		const struct seg_lane *found, const struct seglog_resume *r)
{
	struct seglog *s;
	int err;

	if (o->segment_bytes < SEG_BYTES_MIN || o->segment_bytes > SEG_BYTES_MAX ||
	    o->segment_bytes % WAL_PAGE || o->first_bytes > o->segment_bytes ||
	    (o->first_bytes && o->first_bytes < SEG_BYTES_MIN) || o->first_bytes % WAL_PAGE || r->next_seq < 1 || r->next_batch < 1)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->o = *o;
	if (!s->o.now_ms)
		s->o.now_ms = clock_wall_ms;
	s->bytes_max = o->bytes_max;
	s->had = o->had;
	s->low_segno = o->had.low_segno;
	s->low_seq = o->had.low_seq;
	s->low_lost = o->had.flags & LANE_LOW;
	s->batch = r->next_batch;
	s->durable_seq = r->next_seq - 1;
	s->newest_ms = r->newest_ms;
	pthread_mutex_init(&s->lock, NULL);
	LIST_INIT(&s->floors);
	s->floor = FLOOR_NONE;
	err = o->blk->dir_open(o->blk->ctx, o->at, o->dir, &s->dir);
	if (!err)
		err = open_rest(s, found, r);
	if (err) {
		seglog_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void seglog_close(struct seglog *s)
{
	struct seg *p;

	if (!s)
		return;
	for (int i = 0; i < 2; i++) {
		p = atomic_load(i ? &s->unbegun : &s->prepared);
		if (p)
			s->o.blk->close(p->file);
		free(p);
	}
	if (s->prep.state != PREP_IDLE)		/* the next open sweeps or checks its file */
		s->o.blk->close(s->prep.file);
	if (s->active)
		seg_unref(s, s->active);
	for (size_t i = 0; i < s->nsegs; i++) {
		seg_index_free(s->segs[i]->index);
		free(s->segs[i]);
	}
	pthread_mutex_destroy(&s->lock);
	if (s->dir)
		s->o.blk->dir_close(s->dir);
	free(s->segs);
	free(s);
}

/* ---- the writer ---- */

int seglog_frame(struct seglog *s, uint64_t *off, struct frame_header *h, uint16_t kind,
		 uint64_t seq, uint64_t time_ms, uint32_t len, uint32_t data_crc, uint32_t *pad)
{
	const struct seg *g = s->active;
	uint64_t size = frame_bytes(len);

	if (!g || size > g->bytes - *off)
		return -ENOSPC;
	if (*off == end_of(g) && *off > SEG_DATA &&
	    atomic_load_explicit(&s->want_rotate, memory_order_relaxed))
		return -ENOSPC;
	*h = (struct frame_header){ .kind = kind, .seq = seq, .time_ms = time_ms,
		.batch = s->batch, .len = len, .data_crc = data_crc, .lane = s->o.lane };
	frame_header_encode(h, g->salt);
	*off += size;
	*pad = frame_pad(len);
	s->frame_ms = time_ms;
	return 0;
}

struct seg_place seglog_place(const struct seglog *s)
{
	if (!s->active)
		return (struct seg_place){ NULL, 0 };
	return (struct seg_place){ s->active->file, end_of(s->active) };
}

void seglog_synced(struct seglog *s, uint64_t off, uint64_t seq)
{
	s->batch++;
	atomic_store_explicit(&s->newest_ms, s->frame_ms, memory_order_relaxed);
	/* release: a thread that sees the new end or number reads what is synced */
	atomic_store_explicit(&s->active->end, off, memory_order_release);
	if (seq > atomic_load_explicit(&s->durable_seq, memory_order_relaxed))
		atomic_store_explicit(&s->durable_seq, seq, memory_order_release);
}

void seglog_spoil(struct seglog *s, uint64_t to, int err)
{
	if (MUTANT(seg_spoil))
		return;
	atomic_store_explicit(&s->spoil_err, err, memory_order_relaxed);
	/* release: a thread that sees `spoiled` sees the segment and its end */
	atomic_store_explicit(&s->spoiled, to, memory_order_release);
}

int seglog_spoiled(const struct seglog *s)
{
	/* acquire: when this is 0, the bytes behind the end are zeros */
	return atomic_load_explicit(&s->spoiled, memory_order_acquire) ?
	       atomic_load_explicit(&s->spoil_err, memory_order_relaxed) : 0;
}

/* Takes the segment that comes next; NULL: there is none yet.  One whose header could not be
 * written comes first: it was not put back into `prepared`, where the background may have put the
 * one behind it meanwhile. */
static struct seg *take_prepared(struct seglog *s)
{
	/* relaxed, here and below: only the writer uses what the pointer points to */
	struct seg *g = atomic_exchange_explicit(&s->unbegun, NULL, memory_order_relaxed);

	/* acquire: the file is zero and synced, as the background left it */
	return g ? g : atomic_exchange_explicit(&s->prepared, NULL, memory_order_acquire);
}

int seglog_rotate(struct seglog *s)
{
	struct seg_header h = { 0 };
	struct seg *g;
	int err = seglog_spoiled(s);

	if (err)
		return blk_nospace(err) ? -ENOSPC : err;
	g = take_prepared(s);
	/* relaxed: a hint to the background */
	atomic_store_explicit(&s->starved, !g, memory_order_relaxed);
	if (!g) {
		/* seglog_turn may have asked just when the last prepared file was taken. */
		atomic_store_explicit(&s->want_rotate, false, memory_order_relaxed);
		return seglog_nospace(s) ? -ENOSPC : -EAGAIN;
	}
	g->first_seq = seglog_next_seq(s);
	g->created_ms = s->o.now_ms();
	memcpy(h.store_uuid, s->o.uuid, sizeof(h.store_uuid));
	h.lane = s->o.lane;
	h.class = s->o.cls;
	h.segno = g->segno;
	h.first_seq = g->first_seq;
	h.first_batch = s->batch;
	h.salt = g->salt;
	h.bytes = g->bytes;
	h.created_ms = g->created_ms;
	/* synced with the first batch */
	err = MUTANT(seg_rotate_header) ? 0 : seg_header_write(s, g->file, &h);
	atomic_store_explicit(&s->prepare_err, blk_nospace(err) ? err : 0, memory_order_relaxed);
	if (err && !MUTANT(seg_rotate_result)) {
		/* Without room nothing was synced, and the next try writes all of it again.  It is
		 * never freed here: the background may be looking at it (seglog_watch). */
		atomic_store_explicit(&s->unbegun, g, memory_order_relaxed);
		return blk_nospace(err) ? -ENOSPC : (s->failed = seg_final(err));
	}
	pthread_mutex_lock(&s->lock);
	if (s->active) {
		/* release: the reader that sees this sees the last end */
		atomic_store_explicit(&s->active->sealed, true, memory_order_release);
		seg_unref(s, s->active);
	}
	for (size_t i = s->nsegs; i-- > 0 && s->segs[i]->lost; ) {	/* as in load_segments */
		s->segs[i]->first_seq = g->first_seq;
		s->segs[i]->created_ms = g->created_ms;
	}
	s->segs[s->nsegs++] = g;		/* room was reserved when it was prepared */
	s->active = g;
	pthread_mutex_unlock(&s->lock);
	atomic_store_explicit(&s->want_rotate, false, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->rotations, 1, memory_order_relaxed);
	return 0;
}

uint64_t seglog_room(const struct seglog *s)
{
	return s->active ? s->active->bytes - end_of(s->active) : 0;
}

uint64_t seglog_next_seq(const struct seglog *s)
{
	return atomic_load_explicit(&s->durable_seq, memory_order_acquire) + 1;
}

bool seglog_ready(const struct seglog *s)
{
	return atomic_load_explicit(&s->prepared, memory_order_relaxed) ||
	       atomic_load_explicit(&s->unbegun, memory_order_relaxed);
}

bool seglog_wants_turn(const struct seglog *s)
{
	return atomic_load_explicit(&s->want_rotate, memory_order_relaxed);
}

uint64_t seglog_steps(const struct seglog *s)
{
	return atomic_load_explicit(&s->prepare_steps, memory_order_relaxed);
}

int seglog_prepare_err(const struct seglog *s)
{
	return atomic_load_explicit(&s->prepare_err, memory_order_relaxed);
}

int seglog_nospace(const struct seglog *s)
{
	int err = atomic_load_explicit(&s->prepare_err, memory_order_relaxed);

	if (!blk_nospace(err))
		err = seglog_spoiled(s);
	return blk_nospace(err) ? err : 0;
}

/* ---- one batch at once ---- */

struct batch {
	struct seg_batch *to;
	unsigned n;		/* frames */
	uint64_t end, last_seq;
};

static uint64_t last_number(const struct seg_rec *r)
{
	struct gap_data g;

	if (r->kind != FRAME_GAP || !r->niov || r->iov[0].iov_len != sizeof(g))
		return r->seq;
	memcpy(&g, r->iov[0].iov_base, sizeof(g));
	return g.to_seq;
}

/* Writes r's records as frames to the active segment until it is full.  0 or -errno of a write. */
static int batch_write(struct seglog *s, struct batch *b, const struct seg_rec *r, unsigned n)
{
	int err = 0;

	b->n = 0;
	b->last_seq = 0;
	b->end = seglog_place(s).off;
	seg_batch_begin(b->to, s);
	while (b->n < n && !err) {
		const struct seg_rec *x = &r[b->n];
		struct frame_header h;
		uint32_t pad;

		if (seglog_frame(s, &b->end, &h, x->kind, x->seq, x->time_ms, x->len, x->data_crc, &pad))
			break;
		err = seg_batch_put(b->to, &h, sizeof(h));
		for (unsigned i = 0; i < x->niov && !err; i++)
			err = seg_batch_put(b->to, x->iov[i].iov_base, x->iov[i].iov_len);
		if (!err)
			err = seg_batch_put(b->to, NULL, pad);
		if (last_number(x) > b->last_seq)
			b->last_seq = last_number(x);
		b->n++;
	}
	return err || !b->n ? err : seg_batch_end(b->to);
}

static int batch_commit(struct seglog *s, struct batch *b, int err)
{
	if (MUTANT(seg_append_write_result))
		err = 0;
	if (blk_nospace(err)) {
		seglog_spoil(s, b->to->off, err);
		return -ENOSPC;
	}
	if (!err && !MUTANT(seg_append_sync))
		err = s->o.blk->sync(b->to->file);
	if (err && !MUTANT(seg_append_result))
		return s->failed = seg_final(err);
	seglog_synced(s, b->end, b->last_seq);
	return 0;
}

static int rotate_now(struct seglog *s)
{
	int err;

	do
		err = seglog_prepare(s);
	while (err == 1);
	return err ? err : seglog_rotate(s);
}

int seglog_append(struct seglog *s, const struct seg_rec *r, unsigned n, unsigned *done)
{
	struct batch b = { 0 };
	unsigned at = 0;
	int err = MUTANT(seg_failed_final) ? 0 : s->failed;

	if (!err)
		err = seg_unspoil(s);
	if (!err)
		err = seg_batch_new(&b.to);
	while (at < n && !err) {
		if (frame_bytes(r[at].len) > s->o.segment_bytes - SEG_DATA) {
			err = -EFBIG;
			break;
		}
		err = batch_write(s, &b, r + at, n - at);
		if (!err && !b.n) {
			err = rotate_now(s);
			continue;
		}
		err = batch_commit(s, &b, err);
		if (!err)
			at += b.n;
	}
	seg_batch_free(b.to);
	if (done)
		*done = at;
	return err;
}

int seglog_append_gap(struct seglog *s, const struct gap_data *g)
{
	struct iovec iov = { (void *)g, sizeof(*g) };
	struct seg_rec r = { .kind = FRAME_GAP, .seq = g->from_seq, .time_ms = s->o.now_ms(),
		.len = sizeof(*g), .data_crc = crc32c(g, sizeof(*g)), .iov = &iov, .niov = 1 };

	return seglog_append(s, &r, 1, NULL);
}
