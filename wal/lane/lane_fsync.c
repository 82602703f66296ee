/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_fsync.c - class fsync of a lane: group commit to the segment log.
 *
 * Two batches of frames.  One gathers records; the other is in flight: the ring writes and
 * syncs it as one chain.  When the chain completes, its records are durable, its buffers are
 * dropped, and the chain of what was gathered meanwhile starts.  Nothing else is written
 * while a chain is in flight, so a batch goes into one segment, and the lane changes to the
 * next segment between batches only.  That writes the new segment's header, so a thread
 * beside the worker does it.
 *
 * A chain that fails ends the lane: what the disk holds is not known, and a second sync
 * would not tell.  But where the write found no room, nothing was synced and nobody was
 * promised anything: what it left is overwritten with zeros, which are synced.  Until then
 * the lane takes no record; then it goes on with the numbers after the last durable one.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/codec.h"
#include "lane/lane_priv.h"
#include "util/mutant.h"

static const uint8_t zeros[FRAME_ALIGN];

/* ---- append ---- */

static int fsync_fail(struct lane *l, int err)
{
	if (!relaxed(l->failed))
		relaxed_store(l->failed, err);
	return relaxed(l->failed);
}

static int turn(void *log)
{
	return seglog_rotate(log);
}

static int turned(struct lane *l, int err)
{
	relaxed_store(l->nospace, err == -ENOSPC ? seglog_nospace(l->seg) : 0);
	l->took |= err != -EAGAIN;
	if (err == -EAGAIN || err == -ENOSPC)
		return err;
	return err && !MUTANT(lane_rotate_result) ? fsync_fail(l, err) : 0;
}

/* Changes to the next segment, between batches only.  0: done.  If that segment is prepared,
 * a thread beside the worker does it, since it writes to the disk: -EAGAIN, and lane_synced
 * goes on; until then the worker may not touch the log.  If the segment's header finds no room,
 * the completion wakes the worker; `rests` keeps that turn from trying again, or it would try
 * for ever. */
static int fsync_rotate(struct lane *l)
{
	int err;

	assert(!l->flight && !l->turning);
	if (l->rests)
		return -ENOSPC;
	if (!l->aio || !l->aio->call || !seglog_ready(l->seg) || seglog_spoiled(l->seg))
		return turned(l, seglog_rotate(l->seg));
	err = l->aio->call(l->aio, turn, l->seg);
	if (err)
		return fsync_fail(l, err);
	l->turning = true;
	return -EAGAIN;
}

/* Whether `size` more bytes fit the active segment, behind both batches. */
static bool fsync_fits(const struct lane *l, uint64_t size)
{
	uint64_t ahead = l->batch[l->gather].bytes;

	if (l->flight)
		ahead += l->batch[!l->gather].bytes;
	return ahead + size <= seglog_room(l->seg);
}

/* Whether the gathering batch takes one more record; may change to the next segment first. */
static bool gather_room(struct lane *l, const struct frags *r, uint64_t size)
{
	const struct lane_batch *b = &l->batch[l->gather];

	/* vectors for its header, its frags, and the zeros at the end of the batch */
	if (b->nrec == LANE_BATCH_RECS || b->niov + r->n + 2 > LANE_BATCH_IOVS)
		return false;
	if (b->nrec && b->bytes + size > l->batch_max)
		return false;
	if (!l->full && !l->turning && fsync_fits(l, size))
		return true;
	/* `full` stays set until the segment is changed, or smaller records would overtake a
	 * large one for ever; it is cleared when the disk has no room for another segment. */
	l->full = true;
	if (b->nrec || l->turning || (l->flight && !MUTANT(lane_rotate_wait)))
		return false;
	if (fsync_rotate(l)) {
		l->full = !relaxed(l->nospace);
		return false;
	}
	l->full = false;
	return fsync_fits(l, size);
}

/* Adds a frame.  The zeros of the frame before it and its header lie side by side, so
 * a record takes one vector more than it has frags. */
static void gather_record(struct lane *l, struct frags *r, uint64_t seq)
{
	struct lane_batch *b = &l->batch[l->gather];
	struct lane_frame *f = &b->frames[b->nrec];
	uint32_t pad = b->nrec ? frame_pad(b->recs[b->nrec - 1].len) : 0;

	b->recs[b->nrec] = (struct lane_rec){ seq, (uint32_t)r->bytes, crc32c_final(r->crc) };
	memset(f->pad, 0, sizeof(f->pad));
	b->iov[b->niov++] = (struct iovec){ f->pad + FRAME_ALIGN - pad, pad + sizeof(f->h) };
	for (uint32_t i = r->first; i != FRAG_NIL; i = l->pool->nodes[i].next) {
		struct frag g = l->pool->nodes[i].f;

		b->iov[b->niov++] = (struct iovec){ pool_addr(l->pool, g.idx) + g.off, g.len };
	}
	if (b->last == FRAG_NIL)
		b->first = r->first;
	else
		l->pool->nodes[b->last].next = r->first;
	b->last = r->last;
	b->nrec++;
	b->bytes += frame_bytes(r->bytes);
}

static uint64_t lane_fsync_append(struct lane *l, struct frags *r)
{
	assert(r->n);
	if (lane_failed(l) || l->spoiled || !gather_room(l, r, frame_bytes(r->bytes)))
		return 0;
	gather_record(l, r, l->next_seq);
	return l->next_seq++;
}

static int lane_fsync_admit(const struct lane *l, uint64_t bytes, uint64_t frags)
{
	const struct lane_batch *b = &l->batch[l->gather];

	(void)frags;
	if (l->spoiled)
		return -ENOSPC;
	if (!l->turning && lane_nospace(l) &&
	    b->bytes + bytes + sizeof(struct frame_header) + FRAME_ALIGN > seglog_room(l->seg))
		return -ENOSPC;
	return l->flight && b->nrec == LANE_BATCH_RECS ? -EAGAIN : 0;
}

/* ---- commit ---- */

static void batch_reset(struct lane_batch *b)
{
	b->nrec = b->niov = 0;
	b->bytes = 0;
	b->first = b->last = FRAG_NIL;
}

/* Makes the headers of all frames, for where the segment's next batch goes.  0; -ENOSPC: the
 * segment takes no more (it is too old, or too full). */
static int batch_headers(struct lane *l, struct lane_batch *b, uint64_t now_ms)
{
	uint32_t pad;

	b->end_off = seglog_place(l->seg).off;
	for (unsigned i = 0; i < b->nrec; i++) {
		int err = seglog_frame(l->seg, &b->end_off, &b->frames[i].h, FRAME_RECORD,
				       b->recs[i].seq, now_ms, b->recs[i].len,
				       b->recs[i].data_crc, &pad);

		if (err)
			return err;
	}
	return 0;
}

/* Starts the write and sync of what was gathered; the other batch gathers from now on. */
static int batch_start(struct lane *l, uint64_t now_ms)
{
	struct lane_batch *b = &l->batch[l->gather];
	unsigned niov = b->niov;
	uint32_t pad = frame_pad(b->recs[b->nrec - 1].len);
	struct seg_place at;
	int err = batch_headers(l, b, now_ms);

	if (err == -ENOSPC) {
		err = fsync_rotate(l);
		if (l->turning)
			return 0;
		/* Rotation was asked for by age; if no segment is ready, the lane goes on with
		 * this one. */
		if (!err || err == -EAGAIN || err == -ENOSPC)
			err = batch_headers(l, b, now_ms);
		if (err == -ENOSPC)
			return 0;	/* the next commit tries again */
	}
	if (err)
		return fsync_fail(l, err);
	if (pad)
		b->iov[niov++] = (struct iovec){ (void *)zeros, pad };
	at = seglog_place(l->seg);
	err = l->aio->submit(l->aio, l->blk, at.file, b->iov, niov, at.off);
	if (err && !MUTANT(lane_submit_result))
		return fsync_fail(l, err);
	l->flight = true;
	l->gather = !l->gather;
	if (MUTANT(lane_sync_wait))
		relaxed_store(l->durable_seq, b->recs[b->nrec - 1].seq);
	if (MUTANT(lane_buffers_wait)) {
		lane_nodes_free(l->pool, b->first, true);
		b->first = FRAG_NIL;
	}
	return 0;
}

static int fsync_commit(struct lane *l, uint64_t now_ms)
{
	if (lane_failed(l) && !MUTANT(lane_failed_final))
		return lane_failed(l);
	if (l->turning || (l->flight && !MUTANT(lane_one_flight)))
		return 0;
	if (l->spoiled && !MUTANT(lane_spoiled_wait)) {
		int err = seglog_spoiled(l->seg);

		if (err)
			return blk_nospace(err) ? 0 : fsync_fail(l, err);
		relaxed_store(l->nospace, 0);
	}
	l->spoiled = false;
	if (l->batch[l->gather].nrec)
		return batch_start(l, now_ms);
	/* The next segment may be ready by now, or the active one too old to be added to. */
	if ((l->full || relaxed(l->nospace) || seglog_wants_turn(l->seg)) && seglog_ready(l->seg) && !fsync_rotate(l))
		l->full = false;
	return lane_failed(l);
}

static int lane_fsync_commit(struct lane *l, uint64_t now_ms)
{
	int err = fsync_commit(l, now_ms);

	l->rests = false;
	return err;
}

/* Gives up both batches: no record of either was acknowledged, and their numbers are used
 * again. */
static int fsync_no_room(struct lane *l, int err)
{
	seglog_spoil(l->seg, l->batch[!l->gather].end_off, err);
	for (int i = 0; i < 2; i++) {
		lane_nodes_free(l->pool, l->batch[i].first, true);
		batch_reset(&l->batch[i]);
	}
	l->next_seq = relaxed(l->durable_seq) + 1;
	l->spoiled = l->took = true;
	l->full = false;
	relaxed_store(l->nospace, err);
	return -ENOSPC;
}

static int lane_fsync_synced(struct lane *l, int res, uint64_t now_ms)
{
	struct lane_batch *b = &l->batch[!l->gather];
	uint64_t last;

	if (l->turning) {
		l->turning = false;
		l->full = turned(l, res) && !relaxed(l->nospace);
		l->rests = relaxed(l->nospace) && !MUTANT(lane_rests);
		return fsync_commit(l, now_ms);
	}
	assert(l->flight);
	l->flight = false;
	last = b->recs[b->nrec - 1].seq;
	if (blk_nospace(res))
		return fsync_no_room(l, res);
	if (res < 0 && !MUTANT(lane_sync_result))
		return fsync_fail(l, res);	/* buffers stay: nobody knows what the disk has */
	seglog_synced(l->seg, b->end_off, last);
	relaxed_store(l->durable_seq, last);
	relaxed_store(l->settled_seq, last);
	relaxed_add(l->commits, 1);
	lane_nodes_free(l->pool, b->first, true);
	batch_reset(b);
	follow_moved(&l->mark[FOLLOW_DURABLE]);
	follow_moved(&l->mark[FOLLOW_SETTLED]);
	return fsync_commit(l, now_ms);
}

/* ---- open and close ---- */

static int lane_fsync_init(struct lane *l, const struct lane_params *p)
{
	l->frags_max = FRAGS_MAX;
	l->next_seq = p->next_seq;
	l->batch_max = p->segment_bytes > SEG_DATA ? p->segment_bytes - SEG_DATA : 0;
	if (l->batch_max > LANE_BATCH_BYTES)
		l->batch_max = LANE_BATCH_BYTES;
	for (int i = 0; i < 2; i++) {
		struct lane_batch *b = &l->batch[i];

		batch_reset(b);
		b->frames = malloc(LANE_BATCH_RECS * sizeof(*b->frames));
		b->recs = malloc(LANE_BATCH_RECS * sizeof(*b->recs));
		b->iov = malloc(LANE_BATCH_IOVS * sizeof(*b->iov));
		if (!b->frames || !b->recs || !b->iov)
			return -ENOMEM;
	}
	return 0;
}

static void lane_fsync_fini(struct lane *l)
{
	for (int i = 0; i < 2; i++) {
		free(l->batch[i].frames);
		free(l->batch[i].recs);
		free(l->batch[i].iov);
	}
	memset(l->batch, 0, sizeof(l->batch));
}

const struct lane_ops lane_fsync = {
	.init = lane_fsync_init, .fini = lane_fsync_fini, .admit = lane_fsync_admit,
	.append = lane_fsync_append, .commit = lane_fsync_commit, .synced = lane_fsync_synced,
};
