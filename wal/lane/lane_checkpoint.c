/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_checkpoint.c - from the wal to the segment log, a slice at a time (lane_checkpoint.h).
 *
 * A slice is one batch of frames in one segment: copied out of the packet buffers,
 * written, synced once, then the head moves.  The data are not checked: each frame's
 * data_crc is computed from the record's SEAL (format.h), so whoever reads the frame
 * finds out if bytes went bad in the buffer.
 *
 * The worker wrote the words; here each is checked again as it is read.  A word that
 * fails ends the lane (-EBADMSG): the recovery of the next start judges such damage,
 * with all other words still in place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane/lane_checkpoint.h"
#include "lane/lane_priv.h"
#include "util/mutant.h"

struct lane_checkpoint {
	struct seg_batch *to;

	/* the slice */
	uint64_t off;		/* behind the last frame */
	uint64_t pos, seq;	/* of the next record */
	struct place at;	/* of pos */
	uint64_t time_ms;
	uint64_t bytes;
	unsigned records;
};

int lane_checkpoint_new(struct lane_checkpoint **st)
{
	int err = -ENOMEM;

	*st = calloc(1, sizeof(**st));
	if (*st)
		err = seg_batch_new(&(*st)->to);
	if (err) {
		free(*st);
		*st = NULL;
	}
	return err;
}

void lane_checkpoint_free(struct lane_checkpoint *st)
{
	if (st)
		seg_batch_free(st->to);
	free(st);
}

/* ---- one record ---- */

struct pending {		/* a record in the wal */
	struct place first;	/* its first FRAG */
	uint32_t nfrags, data_crc;
	uint64_t bytes;
	uint64_t end;		/* behind its SEAL */
	struct place end_at;
};

static bool lane_checkpoint_mine(const struct lane *l, struct frag f)
{
	return (f.idx - l->pool->first < l->pool->n &&
		(uint32_t)f.off + f.len <= l->pool->buf_size) || MUTANT(settle_name_check);
}

static bool good(uint64_t w, struct place at)
{
	return (ent_ok(w) || MUTANT(settle_word_check)) && (ent_lap(w) == at.lap || MUTANT(settle_lap_check));
}

/* Reads the words of the next record, CLOCKs, FRAGs and SEAL, all below position `to`.  0 or
 * -EBADMSG. */
static int next_words(struct lane *l, struct lane_checkpoint *st, uint64_t to, struct pending *r, uint64_t *seal)
{
	struct place at = st->at;
	uint64_t w;

	*r = (struct pending){ 0 };
	for (uint64_t pos = st->pos; pos < to && good(w = l->ring[at.slot], at); pos++) {
		struct frag f = ent_frag_get(w);

		if (ent_kind(w) == ENT_CLOCK && !r->nfrags) {
			st->time_ms = ent_clock_ms(w);
		} else if (ent_kind(w) == ENT_FRAG && lane_checkpoint_mine(l, f)) {
			if (!r->nfrags++)
				r->first = at;
			r->bytes += f.len;
		} else {
			place_next(l, &at);
			r->end = pos + 1;
			r->end_at = at;
			*seal = w;
			return ent_kind(w) == ENT_SEAL && r->nfrags && ent_seal_nfrags(w) == r->nfrags ? 0 : -EBADMSG;
		}
		place_next(l, &at);
	}
	return -EBADMSG;
}

static int next_record(struct lane *l, struct lane_checkpoint *st, uint64_t to, struct pending *r)
{
	struct place at;
	uint64_t seal;
	uint32_t crc;

	if (next_words(l, st, to, r, &seal))
		return -EBADMSG;
	crc = seal_start(l->id, r->nfrags, st->seq);
	at = r->first;
	for (uint32_t i = 0; i < r->nfrags; i++, place_next(l, &at))
		crc = seal_word(crc, l->ring[at.slot]);
	r->data_crc = ent_seal_crc(seal) ^ crc32c_final(crc);
	return 0;
}

static int written(int err)
{
	return MUTANT(settle_write_result) ? 0 : err;
}

/* What a failed write of the slice returns.  If it found no room, nothing was synced, and what
 * it left is marked for zeros; the records are still in the wal, and the next slice begins with
 * them. */
static int put_result(struct lane_checkpoint *st, int err)
{
	err = written(err);
	if (!blk_nospace(err))
		return seg_final(err);
	seglog_spoil(st->to->s, st->to->off, err);
	return -EDQUOT;		/* for -ENOSPC means here that the segment is full */
}

static int lane_checkpoint_put(struct lane_checkpoint *st, const void *p, size_t n)
{
	return put_result(st, seg_batch_put(st->to, p, n));
}

/* Puts the record's frame behind those of the slice.  -ENOSPC: it does not fit this segment. */
static int put_record(struct lane *l, struct lane_checkpoint *st, const struct pending *r)
{
	struct frame_header h;
	struct place at = r->first;
	uint64_t off = st->off;
	uint32_t pad;
	int err = seglog_frame(l->seg, &off, &h, FRAME_RECORD, st->seq, st->time_ms,
			       (uint32_t)r->bytes, r->data_crc, &pad);

	if (err)
		return err;
	err = lane_checkpoint_put(st, &h, sizeof(h));
	for (uint32_t i = 0; !err && i < r->nfrags; i++, place_next(l, &at)) {
		struct frag g = ent_frag_get(l->ring[at.slot]);

		err = lane_checkpoint_put(st, pool_addr(l->pool, g.idx) + g.off, g.len);
	}
	if (!err)
		err = lane_checkpoint_put(st, NULL, pad);
	st->off = off;
	st->pos = r->end;
	st->at = r->end_at;
	st->seq++;
	st->bytes += r->bytes;
	st->records++;
	return err;
}

/* ---- the slice ---- */

static void begin(struct lane *l, struct lane_checkpoint *st)
{
	st->records = 0;
	st->bytes = 0;
	st->off = seglog_place(l->seg).off;
	st->pos = relaxed(l->settled_pos);
	st->at = place_of(l, st->pos);
	st->seq = relaxed(l->settled_seq) + 1;
	st->time_ms = l->settle_time_ms;
}

/* Puts frames of committed records, up to the slice's size or the segment's end.  0;
 * -ENOSPC: not even one record fits this segment. */
static int fill(struct lane *l, struct lane_checkpoint *st, uint64_t to, uint64_t slice_bytes)
{
	seg_batch_begin(st->to, l->seg);
	while (st->pos < to && (!st->records || st->bytes < slice_bytes)) {
		struct pending r;
		uint64_t time_ms = st->time_ms;
		int err = next_record(l, st, to, &r);

		if (!err)
			err = put_record(l, st, &r);
		if (err == -ENOSPC) {
			st->time_ms = time_ms;	/* the next slice reads the record's CLOCK again */
			return st->records ? 0 : err;
		}
		if (err)
			return err;
	}
	return 0;
}

static int write_and_sync(struct lane *l, struct lane_checkpoint *st)
{
	int err = put_result(st, seg_batch_end(st->to));

	/* The sync comes before the head says that the records are in the segment. */
	if (!err && !MUTANT(settle_sync))
		err = seg_final(l->blk->sync(st->to->file));
	return MUTANT(settle_result) ? 0 : err;
}

static void publish(struct lane *l, struct lane_checkpoint *st)
{
	relaxed_store(l->settled_seq, st->seq - 1);
	/* release: a thread that reads it may reuse the words and buffers before it */
	atomic_store_explicit(&l->settled_pos, st->pos, memory_order_release);
	follow_moved(&l->mark[FOLLOW_SETTLED]);
}

static int lane_checkpoint_finish(struct lane *l, struct lane_checkpoint *st)
{
	int err;

	if (MUTANT(settle_head_order))
		walfile_head(l->wal, l->id, st->pos, st->seq);
	err = write_and_sync(l, st);
	if (err)
		return err;
	seglog_synced(l->seg, st->off, st->seq - 1);
	if (MUTANT(settle_publish_order))
		publish(l, st);
	walfile_head(l->wal, l->id, st->pos, st->seq);
	publish(l, st);
	l->settle_time_ms = st->time_ms;
	relaxed_store(l->nospace, 0);
	relaxed_add(l->checkpoints, 1);
	relaxed_add(l->checkpoint_bytes, st->bytes);
	return 0;
}

static int lane_checkpoint_rotate(struct lane *l)
{
	int err = seglog_rotate(l->seg);

	relaxed_store(l->nospace, err == -ENOSPC ? seglog_nospace(l->seg) : 0);
	return err;
}

/* The failure is final for the lane: what is in the wal stays there for the next start.  But if
 * there was no room, this process goes on when there is. */
static int lane_checkpoint_fail(struct lane *l, int err)
{
	if (blk_nospace(err)) {
		relaxed_store(l->nospace, err);
		return -ENOSPC;
	}
	relaxed_store(l->settle_failed, err);
	return err;
}

int lane_checkpoint_slice(struct lane *l, struct lane_checkpoint *st, uint64_t slice_bytes)
{
	/* acquire: the worker has finished the words below it */
	uint64_t to = atomic_load_explicit(&l->committed_pos, memory_order_acquire);
	int err;

	if (lane_failed(l) && !MUTANT(settle_failed_final))
		return lane_failed(l);
	begin(l, st);
	if (st->pos == to)
		return 0;
	err = seglog_spoiled(l->seg);
	if (err)
		return lane_checkpoint_fail(l, err);
	err = fill(l, st, to, slice_bytes);
	if (err == -ENOSPC) {
		err = lane_checkpoint_rotate(l);
		if (err == -EAGAIN || err == -ENOSPC)
			return err;
		if (!err) {
			begin(l, st);
			err = fill(l, st, to, slice_bytes);
			if (err == -ENOSPC)	/* it does not even fit an empty segment */
				err = -EFBIG;
		}
	}
	if (!err)
		err = lane_checkpoint_finish(l, st);
	return err ? lane_checkpoint_fail(l, err) : st->pos < to;
}
