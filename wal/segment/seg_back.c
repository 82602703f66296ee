/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_back.c - the background's part of a segment log: the next segment, retention,
 * figures (segment.h).
 *
 * A file goes through its names in one direction and each step is synced before the
 * next one relies on it:
 *
 *	new-N   --zeros, sync-->   N.seg prepared  --sync_dir-->  handed to the writer
 *	spare-N --zeros, sync-->   N.seg prepared  --sync_dir-->  handed to the writer
 *	N.seg oldest  --rename to spare-N (or unlink), sync_dir-->  the next oldest,
 *	                                                            or overwritten
 *
 * So a crash never leaves an expired segment half overwritten under its old name, nor
 * a hole among the segments that are left.  Nor does a file that cannot be removed leave
 * a hole: no younger one is removed before it.
 */
#include "segment/segment.h"
#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "segment/segment_priv.h"
#include "util/mutant.h"

/* What one call writes and syncs: a commit on the same disk may have to wait behind it.
 * At 64 clients, 4 MiB made the p99 21 ms, 1 MiB 4 ms, at the same throughput. */
#define SLICE_BYTES (512u << 10)
/* While the writer waits for the segment, no commit of this lane waits behind a slice: with fewer
 * syncs the segment is ready sooner. */
#define SLICE_STARVED (4u << 20)
#define FIRST_ZEROS (1u << 20)	/* how much of a smaller first segment is written with zeros */

/* ---- the lane table ---- */

/* Writes the lane's entry.  0; -ENOSPC, to be tried again; another error is final, for a sync that
 * failed is never tried again. */
static int note(struct seglog *s)
{
	uint64_t next = seglog_next_seq(s);
	int err = s->note_err;

	if (err || !s->o.note)
		return err;
	if ((s->explained || MUTANT(seg_note_explained)) && s->had.next_seq < next)
		s->had.next_seq = next;
	err = s->o.note(s->o.note_arg, &s->had);
	if (err && !blk_nospace(err))
		s->note_err = err;
	return err;
}

static int note_high(struct seglog *s, uint64_t segno)
{
	s->had.high_segno = segno;
	return MUTANT(seg_note_high) ? 0 : note(s);
}

/* Writes into the table, before a file is removed, that what is in it has expired. */
static int note_low(struct seglog *s)
{
	struct storefile_lane was = s->had;
	int err;

	if (was.low_segno == s->low_segno && was.low_seq == s->low_seq)
		return 0;
	s->had.low_segno = s->low_segno;
	s->had.low_seq = s->low_seq;
	s->had.flags &= ~(uint32_t)LANE_LOW;
	err = MUTANT(seg_note_low) ? 0 : note(s);
	if (err)
		s->had = was;
	return err;
}

void seglog_note_to(struct seglog *s, void *note_arg)
{
	s->o.note_arg = note_arg;
}

void seglog_note_explained(struct seglog *s)
{
	s->had.flags &= ~(uint32_t)(LANE_MISSING | LANE_SKIPPED);
	s->explained = true;
}

int seglog_note_end(struct seglog *s)
{
	if (s->o.aside && !MUTANT(seg_aside_end))
		return 0;
	s->had.high_segno = s->nsegs ? s->segs[s->nsegs - 1]->segno : 0;
	s->had.next_batch = s->batch;
	return MUTANT(seg_note_end) ? 0 : note(s);
}

/* ---- retention ---- */

/* The size of all files of the lane, also of the one that is being made. */
static uint64_t lane_bytes(struct seglog *s)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nsegs; i++)
		sum += s->segs[i]->bytes;
	pthread_mutex_unlock(&s->lock);
	sum += s->spare[0] ? s->o.segment_bytes : 0;
	sum += s->stuck[0] ? s->o.segment_bytes : 0;
	sum += s->prep.state != PREP_IDLE || seglog_ready(s) ? s->prep.bytes : 0;
	return sum;
}

/* Whether the oldest segment may be removed: only if a younger one has something durable in it.
 * The header of a segment is synced with its first batch (or by header_durable), so a power cut
 * may leave the active segment without a header; if it were the only one, no file would show
 * which numbers were given.  With the lock. */
static bool oldest_may_go(const struct seglog *s)
{
	for (size_t i = 1; i < s->nsegs; i++)
		if (MUTANT(seg_retire_durable) || (!s->segs[i]->lost && (s->segs[i]->durable ||
		    /* relaxed: it only grows */
		    atomic_load_explicit(&s->segs[i]->end, memory_order_relaxed) > SEG_DATA)))
			return true;
	return false;
}

/* Whether the oldest has a number that a floor holds, or may have: where the header of the next
 * cannot be read now, all numbers up to the next but that may be in it.  With the lock. */
static bool oldest_is_held(const struct seglog *s)
{
	return s->nsegs > 1 && s->segs[1]->first_seq > s->floor && !MUTANT(seg_floor);
}

static void lowest_floor(struct seglog *s)
{
	const struct floor *f;

	s->floor = FLOOR_NONE;
	LIST_FOREACH(f, &s->floors, entry)
		if (f->seq < s->floor)
			s->floor = f->seq;
}

void seglog_floor(struct seglog *s, struct floor *f, uint64_t seq)
{
	pthread_mutex_lock(&s->lock);
	if (!f->held)
		LIST_INSERT_HEAD(&s->floors, f, entry);
	f->held = true;
	f->seq = seq;
	lowest_floor(s);
	pthread_mutex_unlock(&s->lock);
}

void seglog_floor_drop(struct seglog *s, struct floor *f)
{
	if (!f->held)
		return;
	pthread_mutex_lock(&s->lock);
	LIST_REMOVE(f, entry);
	f->held = false;
	lowest_floor(s);
	pthread_mutex_unlock(&s->lock);
}

/* Counts the segments that the limits would let go if there were no floor. */
static void count_held(struct seglog *s, uint64_t bytes_max, uint64_t older_than_ms)
{
	uint64_t bytes, n = 0;
	bool any;

	pthread_mutex_lock(&s->lock);
	any = !LIST_EMPTY(&s->floors);
	s->held = any ? s->held : 0;
	pthread_mutex_unlock(&s->lock);
	if (!any)
		return;
	bytes = bytes_max ? lane_bytes(s) : 0;
	pthread_mutex_lock(&s->lock);
	for (; n + 1 < s->nsegs && oldest_is_held(s); n++) {
		if (bytes <= bytes_max && s->segs[n + 1]->created_ms >= older_than_ms)
			break;
		bytes -= s->segs[n]->bytes < bytes ? s->segs[n]->bytes : bytes;
	}
	s->held = n;
	pthread_mutex_unlock(&s->lock);
}

/* The first number behind the oldest segment, found from its own frames (as far as they can be
 * read), if the next segment's header cannot be read now: the records in that next segment have not
 * expired and must not count as expired.  0: the next segment's header says the number. */
static uint64_t behind_oldest(struct seglog *s)
{
	struct seg *g = NULL;
	struct seg_frame fr;
	struct seg_walk w;
	uint64_t seq = 0;

	pthread_mutex_lock(&s->lock);
	if (s->nsegs > 1 && s->segs[1]->unread && !MUTANT(seg_retire_unread)) {
		g = s->segs[0];
		seg_ref(g);
		seq = s->low_seq > g->first_seq || g->lost ? s->low_seq : g->first_seq;
	}
	pthread_mutex_unlock(&s->lock);
	if (!g)
		return 0;
	if (!seg_file(s, g) && !seg_walk_from(&w, s, g, SEG_DATA, seq - 1)) {
		while (seg_walk_next(&w, &fr, false) > 0)
			;
		seq = w.last_seq + 1;
		seg_walk_fini(&w);
	}
	pthread_mutex_lock(&s->lock);
	seg_unref(s, g);
	pthread_mutex_unlock(&s->lock);
	return seq;
}

/* Takes the oldest segment out of the list, if it may be removed.  behind: see behind_oldest.
 * *again: no cursor reads it, so its file may be used again. */
static bool take_oldest(struct seglog *s, uint64_t behind, uint64_t *segno, bool *again)
{
	uint64_t first;
	struct seg *g;

	pthread_mutex_lock(&s->lock);
	if (!oldest_may_go(s) || oldest_is_held(s)) {
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	g = s->segs[0];
	s->nsegs--;
	s->unread -= g->unread != 0;
	memmove(s->segs, s->segs + 1, s->nsegs * sizeof(*s->segs));
	first = s->segs[0]->unread && behind ? behind : s->segs[0]->first_seq;
	s->expired += first - (s->low_seq ? s->low_seq : g->first_seq);
	if (s->low_seq) {
		s->low_segno = s->segs[0]->segno;
		s->low_seq = first;
		s->low_lost = false;
	}
	*segno = g->segno;
	*again = (!g->refs || MUTANT(seg_recycle_refs)) && !g->lost && g->bytes == s->o.segment_bytes;
	g->retired = true;
	if (!g->refs) {
		if (g->index)
			s->index_bytes -= g->index->cap * sizeof(*g->index->v);
		seg_index_free(g->index);
		free(g);
	}
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* Makes a removal durable.  1: the next file may be removed; -errno: none may be any more, or a
 * crash could leave a hole in the log. */
static int removed(struct seglog *s)
{
	int err = 0;

	if (!MUTANT(seg_retire_dir_sync))
		err = s->o.blk->sync_dir(s->dir);
	if (err && !MUTANT(seg_retire_dir_result))
		return s->retire_err = seg_final(err);
	return 1;
}

static int retire_stuck(struct seglog *s)
{
	int err = note_low(s);

	if (!err)
		err = seg_unlink(s, s->stuck);
	if (err && err != -ENOENT)
		return err;
	s->stuck[0] = '\0';
	return removed(s);
}

/* 1: a segment was removed; 0: none may be; -errno.  keep: make its file a spare, if possible. */
static int retire_oldest(struct seglog *s, bool keep)
{
	char name[SEG_NAME_MAX], spare[32];
	uint64_t segno;
	bool again;
	int err;

	if (s->retire_err && !MUTANT(seg_retire_final))
		return s->retire_err;
	if (s->stuck[0])
		return retire_stuck(s);
	if (!take_oldest(s, behind_oldest(s), &segno, &again))
		return 0;
	seg_name(name, segno);
	snprintf(spare, sizeof(spare), "spare-%08llx", (unsigned long long)segno);
	keep = keep && again && !s->spare[0];
	err = note_low(s);
	if (!err)
		err = keep ? seg_rename(s, name, spare) : seg_unlink(s, name);
	if (err && !MUTANT(seg_retire_result)) {
		strcpy(s->stuck, name);
		return err;
	}
	err = removed(s);
	if (err == 1 && keep)
		strcpy(s->spare, spare);
	return err;
}

static bool oldest_is_over(struct seglog *s, uint64_t older_than_ms, bool *may_go)
{
	bool over;

	pthread_mutex_lock(&s->lock);
	/* the next one was begun after its newest record */
	over = s->nsegs > 1 && s->segs[1]->created_ms < older_than_ms && !oldest_is_held(s);
	*may_go = oldest_may_go(s);
	pthread_mutex_unlock(&s->lock);
	return over;
}

/* Syncs the header of an active segment that has no batch yet, for no batch's sync has done it.
 * This uses a descriptor of its own, so that an error here is also reported to the writer's
 * descriptor, whose next sync ends the lane.  1: synced; 0: there was nothing to do; -errno. */
static int header_durable(struct seglog *s)
{
	struct blk_file *f;
	struct seg *g;
	char name[SEG_NAME_MAX];
	uint64_t segno = 0;
	int err;

	if (s->retire_err)
		return s->retire_err;
	pthread_mutex_lock(&s->lock);
	g = s->active;
	if (g && g == s->segs[s->nsegs - 1] && !g->durable)
		segno = g->segno;
	pthread_mutex_unlock(&s->lock);
	if (!segno)
		return 0;
	seg_name(name, segno);
	err = seg_open(s, name, BLK_RDWR, &f);
	if (err)
		return err;
	err = MUTANT(seg_turn_sync) ? 0 : s->o.blk->sync(f);
	s->o.blk->close(f);
	if (err && !MUTANT(seg_turn_result))
		return s->retire_err = seg_final(err);	/* a second sync would prove nothing */
	pthread_mutex_lock(&s->lock);
	/* only this thread takes segments out of the list */
	for (size_t i = 0; i < s->nsegs; i++)
		s->segs[i]->durable |= s->segs[i]->segno == segno;
	pthread_mutex_unlock(&s->lock);
	return 1;
}

static int retire_old(struct seglog *s, uint64_t older_than_ms)
{
	bool may_go;
	int err = 1;

	while (err > 0 && oldest_is_over(s, older_than_ms, &may_go))
		err = may_go ? retire_oldest(s, true) : header_durable(s);
	return err;
}

int seglog_retain(struct seglog *s, uint64_t bytes_max, uint64_t older_than_ms)
{
	int err = 1;

	s->bytes_max = bytes_max;
	while (err == 1 && bytes_max && lane_bytes(s) > bytes_max) {
		if (s->spare[0]) {
			err = seg_unlink(s, s->spare);
			s->spare[0] = 0;
			err = err ? err : 1;
		} else {
			err = retire_oldest(s, false);
		}
	}
	if (err >= 0 && older_than_ms)
		err = retire_old(s, older_than_ms);
	count_held(s, bytes_max, older_than_ms);
	err = err < 0 ? err : 0;
	atomic_store_explicit(&s->retain_err, err, memory_order_relaxed);
	return err;
}

/* Whether the active segment has records and was begun before that time.  ask: the writer is then
 * asked to rotate, if a prepared segment is there.  The lock is held, so that the request is for
 * this segment: if the writer rotated the next one too, while empty, nothing would ever sync that
 * one's header. */
static bool turn_is_due(struct seglog *s, uint64_t before_ms, bool ask)
{
	bool due;

	pthread_mutex_lock(&s->lock);
	due = s->active && s->active->created_ms < before_ms &&
	      atomic_load_explicit(&s->active->end, memory_order_relaxed) > SEG_DATA;
	if (due && ask && seglog_ready(s))
		atomic_store_explicit(&s->want_rotate, true, memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
	return due;
}

int seglog_turn(struct seglog *s, uint64_t begun_before_ms, bool writer)
{
	int err = 0;

	if (seglog_spoiled(s) || !turn_is_due(s, begun_before_ms, !writer) || !writer)
		return 0;
	if (s->failed)
		return s->failed;
	if (!seglog_ready(s))
		err = seglog_prepare(s);
	if (!err && seglog_ready(s))
		err = seglog_rotate(s);
	return err;
}

/* ---- what a write without room left ---- */

/* A sync that fails here is final too: what the disk has behind the end is not known any more. */
int seg_unspoil(struct seglog *s)
{
	int err = seglog_spoiled(s);
	uint64_t to = atomic_load_explicit(&s->spoiled, memory_order_relaxed);
	uint64_t end = to ? atomic_load_explicit(&s->active->end, memory_order_relaxed) : 0;

	if (!err || !blk_nospace(err))
		return err;
	err = MUTANT(seg_unspoil_write) ? 0 : seg_write_zeros(s->o.blk, s->active->file, end, to - end);
	if (blk_nospace(err))
		return -ENOSPC;
	if (!err && !MUTANT(seg_unspoil_sync))
		err = seg_final(s->o.blk->sync(s->active->file));
	if (err && !MUTANT(seg_unspoil_result)) {
		atomic_store_explicit(&s->spoil_err, err, memory_order_relaxed);
		return err;
	}
	/* release: when the writer sees 0, the bytes behind the end are zeros */
	atomic_store_explicit(&s->spoiled, 0, memory_order_release);
	return 0;
}

/* ---- the next segment ---- */

/* Gives up the file that is being made: what the disk has of it is not known. */
static int prep_fail(struct seglog *s, int err)
{
	s->o.blk->close(s->prep.file);
	s->prep.file = NULL;
	s->prep.state = PREP_IDLE;
	seg_unlink(s, s->prep.name);
	return err;
}

static int prep_open(struct seglog *s, const char *name, int flags)
{
	uint64_t bytes = 0;
	int err = seg_open(s, name, flags | seg_direct(s), &s->prep.file);

	if (err)
		return err;
	snprintf(s->prep.name, sizeof(s->prep.name), "%s", name);
	s->prep.fresh = flags & BLK_CREATE;
	if (s->prep.fresh)
		return 0;
	err = s->o.blk->size(s->prep.file, &bytes);
	if (err || bytes != s->prep.bytes)		/* of an earlier size */
		return prep_fail(s, err ? err : -ESTALE);
	return 0;
}

static int prep_begin(struct seglog *s)
{
	char name[32];
	int err = -ESTALE;

	pthread_mutex_lock(&s->lock);		/* the writer adds to the list meanwhile */
	s->prep.bytes = s->prep.zeros = seg_next_bytes(s);
	pthread_mutex_unlock(&s->lock);
	if (s->prep.bytes < s->o.segment_bytes && s->prep.zeros > FIRST_ZEROS)
		s->prep.zeros = FIRST_ZEROS;
	if (!s->spare[0] && s->bytes_max &&
	    lane_bytes(s) + s->prep.bytes > s->bytes_max) {
		err = retire_oldest(s, true);
		if (err < 0)
			return err;
		err = -ESTALE;
	}
	if (s->spare[0]) {
		strcpy(name, s->spare);
		s->spare[0] = 0;
		err = prep_open(s, name, BLK_RDWR);
		if (err == STORE_ELINKED && !seg_unlink(s, name))	/* other name: it stays */
			err = -ESTALE;
	}
	if (err == -ESTALE || err == -ENOENT) {
		snprintf(name, sizeof(name), "new-%08llx", (unsigned long long)s->next_segno);
		err = prep_open(s, name, BLK_RDWR | BLK_CREATE);
	}
	if (err == -EEXIST)		/* prep_fail could not remove it: the next call can */
		seg_unlink(s, name);
	if (err)
		return err;
	s->prep.segno = s->next_segno;
	s->prep.named = false;
	s->prep.pos = 0;
	s->prep.state = PREP_FILL;
	return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* Looks through a slice of a file that should be zero; if it is not, the file is filled with
 * zeros from there on. */
static int prep_check(struct seglog *s, uint64_t n)
{
	uint8_t *buf = malloc(n);
	int err = buf ? s->o.blk->read(s->prep.file, buf, n, s->prep.pos) : -ENOMEM;

	if (!err && !all_zero(buf, n) && !MUTANT(seg_prepared_check))
		s->prep.state = PREP_FILL;
	else if (!err)
		s->prep.pos += n;
	free(buf);
	return err;
}

/* Whether zeros are not written but only allocated: where syncs mean nothing, and in the rest of a
 * small first segment, so that many lanes are ready soon (its batches are a little slower). */
static bool only_allocated(const struct seglog *s)
{
	return s->prep.fresh && s->o.blk->allocate &&
	       (s->o.swift || s->prep.pos >= s->prep.zeros);
}

static int prep_fill(struct seglog *s, uint64_t n)
{
	int err = 0;

	if (only_allocated(s))
		err = s->o.blk->allocate(s->prep.file, s->prep.pos, n);
	else if (MUTANT(seg_zero_fill))		/* only the file's size becomes right */
		err = seg_write_zeros(s->o.blk, s->prep.file, s->prep.pos + n - WAL_PAGE, WAL_PAGE);
	else
		err = seg_write_zeros(s->o.blk, s->prep.file, s->prep.pos, n);
	/* each slice is synced, so that no commit waits behind a whole segment of zeros */
	if (!err && !s->o.swift && !MUTANT(seg_zero_sync))
		err = s->o.blk->sync(s->prep.file);
	s->prep.pos += n;
	return MUTANT(seg_zero_result) ? 0 : err;
}

static int prep_publish(struct seglog *s)
{
	char name[SEG_NAME_MAX];
	struct seg *g = calloc(1, sizeof(*g));
	int err = g ? 0 : -ENOMEM;

	seg_name(name, s->prep.segno);
	if (!err && strcmp(name, s->prep.name)) {
		err = seg_rename(s, s->prep.name, name);
		if (!err)
			strcpy(s->prep.name, name);
	}
	if (!err && !s->prep.named && !MUTANT(seg_prepare_dir_sync))
		err = s->o.blk->sync_dir(s->dir);
	if (MUTANT(seg_prepare_result))
		err = 0;
	/* From here on the file stays: if the table named it and it were gone, a loss would be
	 * reported. */
	s->prep.named |= !err;
	if (!err)
		err = note_high(s, s->prep.segno);
	if (!err) {
		err = s->o.blk->id(s->prep.file, &g->id);
		if (err == -ENOENT)		/* somebody has removed the file: it is made anew */
			s->prep.named = false;
	}
	if (!err) {
		pthread_mutex_lock(&s->lock);
		err = seg_reserve(s);
		pthread_mutex_unlock(&s->lock);
	}
	if (err) {
		free(g);
		return err;
	}
	g->segno = s->prep.segno;
	g->bytes = g->there = s->prep.bytes;
	g->salt = seg_random(s);
	g->end = SEG_DATA;
	g->file = s->prep.file;
	g->refs = 1;				/* the writer's */
	s->prep.file = NULL;
	s->prep.state = PREP_IDLE;
	s->next_segno = g->segno + 1;
	/* release: the writer that takes the segment sees all of the above */
	atomic_store_explicit(&s->prepared, g, memory_order_release);
	return 0;
}

static uint64_t slice_bytes(const struct seglog *s)
{
	return atomic_load_explicit(&s->starved, memory_order_relaxed) ? SLICE_STARVED : SLICE_BYTES;
}

static int prep_step(struct seglog *s)
{
	uint64_t n;
	int err;

	if (s->prep.state == PREP_IDLE) {
		err = prep_begin(s);
		return err ? err : 1;
	}
	n = s->prep.bytes - s->prep.pos;
	if (n > slice_bytes(s) && (s->o.swift || !only_allocated(s)))
		n = slice_bytes(s);
	if (n)
		err = s->prep.state == PREP_CHECK ? prep_check(s, n) : prep_fill(s, n);
	else
		err = prep_publish(s);
	if (err)
		return s->prep.named && !n ? err : prep_fail(s, err);
	return n ? 1 : 0;
}

int seglog_prepare(struct seglog *s)
{
	int err = seg_unspoil(s);

	if (err)
		return err;
	if (seglog_ready(s) || (s->o.idle && !s->active))
		return 0;
	err = s->note_err ? s->note_err : prep_step(s);
	if (err <= 0)
		atomic_store_explicit(&s->prepare_err, err, memory_order_relaxed);
	if (err >= 0 && !seglog_prepare_err(s))
		atomic_fetch_add_explicit(&s->prepare_steps, 1, memory_order_relaxed);
	return blk_nospace(err) ? -ENOSPC : err;
}

/* ---- names that are gone, files that are cut ---- */

/* Whether the segment's name leads to no file, to another one than `want`, or to one of less than
 * that many bytes.  If that cannot be found out: false. */
static bool seg_back_lost_name(struct seglog *s, uint64_t segno, const struct blk_id *want, uint64_t bytes)
{
	char name[SEG_NAME_MAX];
	struct blk_id id;
	int err;

	seg_name(name, segno);
	err = s->o.blk->id_at(s->o.blk->ctx, s->dir, name, &id);
	return err == -ENOENT || (!err && want && !blk_same(&id, want)) ||
	       (!err && id.bytes < bytes && !MUTANT(seg_watch_cut));
}

/* If the file of the prepared segment was removed, replaced or cut, and the writer has not taken
 * it yet, the segment is dropped: the next calls of seglog_prepare make it anew. */
static void watch_prepared(struct seglog *s)
{
	struct seg *g = atomic_load_explicit(&s->prepared, memory_order_relaxed);
	char name[SEG_NAME_MAX];
	struct blk_id id;

	/* Only the background frees it, so it may be looked at even if the writer takes it now. */
	if (!g || !seg_back_lost_name(s, g->segno, &g->id, g->there) ||
	    !atomic_compare_exchange_strong(&s->prepared, &g, NULL))
		return;
	seg_name(name, g->segno);
	if (!s->o.blk->id_at(s->o.blk->ctx, s->dir, name, &id) && blk_same(&id, &g->id))
		seg_unlink(s, name);		/* the file was cut: its name is for the new one */
	s->next_segno = g->segno;
	s->o.blk->close(g->file);
	free(g);
}

static bool lost_folder(struct seglog *s)
{
	char name[16];
	struct blk_id is, at;
	int err = s->o.blk->id_at(s->o.blk->ctx, s->dir, ".", &is);

	snprintf(name, sizeof(name), "%03u", s->o.lane);
	if (!err && s->o.at)
		err = s->o.blk->id_at(s->o.blk->ctx, s->o.at, name, &at);
	return err == -ENOENT || (!err && s->o.at && !blk_same(&is, &at));
}

struct watched {
	uint64_t segno, there;
	bool	 missing;
};

/* A copy of the list, for use without the lock.  NULL: no memory. */
static struct watched *list_copy(struct seglog *s, size_t *n, uint64_t *active, struct blk_id *id)
{
	struct watched *l;

	pthread_mutex_lock(&s->lock);
	*n = s->nsegs;
	l = malloc((*n + 1) * sizeof(*l));
	for (size_t i = 0; l && i < *n; i++)
		l[i] = (struct watched){ s->segs[i]->segno, s->segs[i]->there, false };
	*active = s->active ? s->active->segno : 0;
	if (s->active)
		*id = s->active->id;
	pthread_mutex_unlock(&s->lock);
	return l;
}

int seglog_watch(struct seglog *s, unsigned *missing, uint64_t *first)
{
	struct blk_id id = { 0 };
	uint64_t active;
	size_t n;
	struct watched *l = list_copy(s, &n, &active, &id);
	bool gone = lost_folder(s);

	*missing = 0;
	if (!l)
		return gone ? -ENOENT : 0;
	for (size_t i = 0; i < n; i++) {
		l[i].missing = seg_back_lost_name(s, l[i].segno, l[i].segno == active ? &id : NULL, l[i].there);
		if (l[i].missing && l[i].segno == active)
			gone = true;
		else if (l[i].missing && !(*missing)++)
			*first = l[i].segno;
	}
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++)		/* only this thread takes any out of the list */
		s->segs[i]->missing = l[i].missing;
	pthread_mutex_unlock(&s->lock);
	free(l);
	watch_prepared(s);
	return gone && !MUTANT(seg_watch_gone) ? -ENOENT : 0;
}

/* The number of the last segment that has a batch or a synced header: the active one, or the one
 * before; in a lane that was left as it is (aside), the unread segment.  0: there is none. */
static uint64_t last_used(struct seglog *s)
{
	uint64_t segno = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->nsegs; i-- > 0 && !segno; )
		if ((s->o.aside && s->segs[i]->unread) || (!s->segs[i]->lost && (s->segs[i]->durable ||
		    atomic_load_explicit(&s->segs[i]->end, memory_order_relaxed) > SEG_DATA)))
			segno = s->segs[i]->segno;
	pthread_mutex_unlock(&s->lock);
	return segno;
}

uint64_t seglog_linked(struct seglog *s)
{
	uint64_t segno = last_used(s);
	char name[SEG_NAME_MAX];
	struct blk_id id;

	seg_name(name, segno);
	return segno && !s->o.blk->id_at(s->o.blk->ctx, s->dir, name, &id) && id.names > 1 ? segno : 0;
}

/* ---- figures ---- */

void seglog_stat(struct seglog *s, struct seglog_stats *st)
{
	*st = (struct seglog_stats){
		.prepare_err = atomic_load_explicit(&s->prepare_err, memory_order_relaxed),
		.retain_err = atomic_load_explicit(&s->retain_err, memory_order_relaxed) };
	pthread_mutex_lock(&s->lock);
	st->segments = s->nsegs;
	for (size_t i = 0; i < s->nsegs; i++) {
		st->bytes += s->segs[i]->bytes;
		st->missing += s->segs[i]->missing;
	}
	if (s->nsegs) {
		st->oldest_seq = s->segs[0]->first_seq;
		st->oldest_ms = s->segs[0]->created_ms;
	}
	st->expired_records = s->expired;
	st->floor = s->floor == FLOOR_NONE ? 0 : s->floor;
	st->held = s->held;
	pthread_mutex_unlock(&s->lock);
	st->durable_seq = seglog_next_seq(s) - 1;
	st->newest_ms = atomic_load_explicit(&s->newest_ms, memory_order_relaxed);
	st->rotations = atomic_load_explicit(&s->rotations, memory_order_relaxed);
}
