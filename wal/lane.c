/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.c - append, commit, reclaim in one lane (lane.h; the picture is in
 * lane_priv.h; what only class fsync does is in lane_fsync.c).
 *
 * The order that a reply rests on, nvmm classes, each step named after the mutant
 * that leaves it out:
 *
 *	lane_data_flush    bytes of the record      (lane_add, as they are parsed)
 *	lane_data_fence    before any word that names them
 *	                   CLOCK, FRAG.. SEAL, FRAG.. SEAL ...
 *	lane_words_flush
 *	lane_words_fence   before durable moves, and with it the replies
 *
 * A hold on a buffer travels with the name: with the frag node while the record is
 * received, with the FRAG word once it is staged, until lane_reclaim; in class fsync
 * with the node until the batch is synced.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane_priv.h"
#include "mutant.h"

/* ---- frag nodes ---- */

static uint32_t node_take(struct pool *p)
{
	uint32_t i = p->node_free;

	if (i == FRAG_NIL || !p->nodes_left)
		return FRAG_NIL;
	p->node_free = p->nodes[i].next;
	p->nodes_left--;
	return i;
}

static void node_put(struct pool *p, uint32_t i)
{
	p->nodes[i].next = p->node_free;
	p->node_free = i;
	p->nodes_left++;
}

/* The nodes of a list back to the pool, with or without the holds that they have. */
void lane_nodes_free(struct pool *p, uint32_t i, bool drop)
{
	while (i != FRAG_NIL) {
		uint32_t next = p->nodes[i].next;

		if (drop)
			pool_drop(p, p->nodes[i].f.idx);
		node_put(p, i);
		i = next;
	}
}

/* ---- receiving a record ---- */

static void took(struct lane *l, struct frags *r, const uint8_t *bytes, uint32_t len)
{
	r->crc = crc32c_update(r->crc, bytes, len);
	r->bytes += len;
	if (lane_has_wal(l) && !MUTANT(lane_data_flush))
		l->pm->flush(l->pm->ctx, bytes, len);
}

static int new_frag(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len)
{
	struct pool *p = l->pool;
	uint32_t i;

	if (r->n >= l->frags_max)
		return -EFBIG;
	i = node_take(p);
	if (i == FRAG_NIL)
		return -ENOBUFS;
	p->nodes[i] = (struct frag_node){ { idx, (uint16_t)off, (uint16_t)len }, FRAG_NIL };
	if (r->last == FRAG_NIL)
		r->first = i;
	else
		p->nodes[r->last].next = i;
	r->last = i;
	r->n++;
	pool_hold(p, idx);
	return 0;
}

static bool adjacent(const struct lane *l, const struct frags *r, uint32_t idx, uint32_t off)
{
	const struct frag *last = &l->pool->nodes[r->last].f;

	return last->idx == idx && (uint32_t)last->off + last->len == off;
}

/* [off, off + len) of idx as bytes of the record: joined to the last frag if it ends
 * where these begin. */
static int name(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len)
{
	struct frag *last;

	if (!r->n || !adjacent(l, r, idx, off))
		return new_frag(l, r, idx, off, len);
	last = &l->pool->nodes[r->last].f;
	last->len = (uint16_t)(last->len + len);
	return 0;
}

/* Whether a small piece that cannot be copied may be named where it lies.  Half of the
 * frags and of the nodes are left for what is no matter of choice. */
static bool may_stay(const struct lane *l, const struct frags *r, uint32_t idx)
{
	const struct pool *p = l->pool;

	if (r->n >= l->frags_max / 2 || p->nodes_left < p->n)
		return false;
	return p->nodes[r->last].f.idx == idx || p->lent > p->n / 4;
}

/* Copy a small piece into the record's own buffer; the one it came in is not held. */
static int gather_piece(struct lane *l, struct frags *r, const uint8_t *bytes, uint32_t len)
{
	struct pool *p = l->pool;
	uint32_t idx = r->gather, off = r->gather_off;
	bool fresh = idx == FRAG_NIL || off + len > p->buf_size;
	int err;

	if (fresh) {
		idx = pool_take(p);
		off = 0;
		if (idx == FRAG_NIL)
			return -ENOBUFS;
	}
	memcpy(pool_addr(p, idx) + off, bytes, len);
	err = name(l, r, idx, off, len);
	if (err) {
		if (fresh)
			pool_put(p, idx);
		return err;
	}
	took(l, r, pool_addr(p, idx) + off, len);
	r->gather = idx;
	r->gather_off = off + len;
	__atomic_store_n(&p->gathered_bytes, p->gathered_bytes + len, __ATOMIC_RELAXED);
	return 0;
}

int lane_add(struct lane *l, struct frags *r, uint32_t idx, uint32_t off, uint32_t len)
{
	int err;

	if (!len)
		return 0;
	if (r->bytes + len > l->record_max)
		return -EFBIG;
	if (l->cls == WAL_NONE) {	/* counted, and that is all */
		r->bytes += len;
		return 0;
	}
	assert(off + len <= l->pool->buf_size);
	if (len <= LANE_GATHER && r->n && !adjacent(l, r, idx, off)) {
		err = gather_piece(l, r, pool_addr(l->pool, idx) + off, len);
		if (err != -ENOBUFS || !may_stay(l, r, idx))
			return err;
	}
	err = name(l, r, idx, off, len);
	if (!err)
		took(l, r, pool_addr(l->pool, idx) + off, len);
	return err;
}

void lane_drop(struct lane *l, struct frags *r)
{
	lane_nodes_free(l->pool, r->first, true);
	*r = FRAGS_INIT;
}

/* ---- admission ---- */

static uint64_t ring_free(const struct lane *l)
{
	return l->entries - (relaxed(l->committed_pos) + l->nstaged - relaxed(l->reclaimed_pos));
}

/* More frags than a request of that size has, but for a client that sends in pieces
 * on purpose: gather_piece and may_stay bound those. */
static uint64_t frags_guess(const struct lane *l, uint64_t bytes)
{
	return bytes / (l->pool->buf_size / 2) + 8;
}

static int admit_wal(const struct lane *l, uint64_t frags)
{
	bool crowded = ring_free(l) < l->entries / 2 || l->pool->nfree < l->pool->n / 4;

	if (relaxed(l->nospace) && crowded)
		return -ENOSPC;
	return ring_free(l) < frags + l->entries / 16 ? -EAGAIN : 0;
}

int lane_admit(const struct lane *l, uint64_t bytes)
{
	uint64_t frags;

	/* What can never be comes first, as everywhere (refusal.h of the server). */
	if (bytes > l->record_max)
		return -EFBIG;
	if (l->cls == WAL_NONE)
		return 0;
	frags = frags_guess(l, bytes);
	if (frags > l->frags_max || bytes > (uint64_t)l->pool->n * l->pool->buf_size / 2)
		return -EFBIG;
	if (lane_failed(l))
		return -EIO;
	if (l->pool->nodes_left < frags)
		return -EAGAIN;
	return lane_has_wal(l) ? admit_wal(l, frags) : lane_fsync_admit(l, bytes);
}

/* ---- append, nvmm classes ---- */

static uint64_t append_words(struct lane *l, struct frags *r)
{
	uint64_t base = relaxed(l->committed_pos);
	struct place at;
	uint32_t n = l->nstaged ? l->nstaged : 1;	/* [0] is for the CLOCK */
	uint64_t seq = l->next_seq;
	uint32_t crc = seal_start(l->id, r->n, seq);

	if (n + r->n + 1 > l->stage_max ||
	    base + n + r->n + 1 - relaxed(l->reclaimed_pos) > l->entries)
		return 0;
	at = place_of(l, base + n);
	for (uint32_t i = r->first; i != FRAG_NIL; i = l->pool->nodes[i].next) {
		uint64_t w = ent_frag(l->pool->nodes[i].f, at.lap);

		crc = seal_word(crc, w);
		l->stage[n++] = w;
		place_next(l, &at);
	}
	l->stage[n++] = ent_seal(r->n, crc32c_final(r->crc) ^ crc32c_final(crc), at.lap);
	l->nstaged = n;
	lane_nodes_free(l->pool, r->first, false);	/* the words have the holds now */
	return seq;
}

/* ---- append ---- */

uint64_t lane_append(struct lane *l, struct frags *r)
{
	uint64_t seq, bytes = r->bytes;

	if (l->cls == WAL_NONE) {
		relaxed_add(l->records, 1);
		relaxed_add(l->bytes, bytes);
		*r = FRAGS_INIT;
		return LANE_UNNAMED;
	}
	assert(r->n);
	seq = lane_has_wal(l) ? append_words(l, r) : lane_fsync_append(l, r);
	if (!seq)
		return 0;
	l->next_seq = seq + 1;
	relaxed_add(l->records, 1);
	relaxed_add(l->bytes, bytes);
	*r = FRAGS_INIT;
	return seq;
}

/* ---- commit, nvmm classes ---- */

/* Staged words [from, from + n) to the ring from slot `to` on, which does not wrap in them. */
static void put_words(struct lane *l, uint64_t to, uint32_t from, uint32_t n)
{
	uint64_t *slot = l->ring + to;

	l->pm->store(l->pm->ctx, slot, l->stage + from, n * sizeof(*slot));
	if (!MUTANT(lane_words_flush))
		l->pm->flush(l->pm->ctx, slot, n * sizeof(*slot));
}

static int commit_words(struct lane *l, uint64_t now_ms)
{
	uint64_t pos = relaxed(l->committed_pos);
	struct place at = place_of(l, pos);
	uint64_t to_end = l->entries - at.slot;
	uint32_t n = l->nstaged, head = n < to_end ? n : (uint32_t)to_end;

	if (lane_failed(l) && !MUTANT(lane_words_failed))
		return lane_failed(l);
	if (!n)
		return 0;
	/* A word may reach the medium as soon as it is stored: the bytes it names
	 * must be there. */
	if (!MUTANT(lane_data_fence))
		l->pm->fence(l->pm->ctx);
	l->stage[0] = ent_clock(now_ms, at.lap);
	put_words(l, at.slot, 0, head);
	if (head < n)
		put_words(l, 0, head, n - head);
	/* Replies leave after this; and no word of the next batch may be there
	 * without all of these. */
	if (!MUTANT(lane_words_fence))
		l->pm->fence(l->pm->ctx);
	l->nstaged = 0;
	relaxed_store(l->durable_seq, l->next_seq - 1);
	relaxed_add(l->commits, 1);
	/* release: the checkpointer reads the words below it */
	atomic_store_explicit(&l->committed_pos, pos + n, memory_order_release);
	return 0;
}

/* Every FRAG word that a checkpoint has passed gives its hold back.  One that went bad
 * in the memory keeps its buffer until the next start. */
static unsigned reclaim_words(struct lane *l)
{
	/* acquire: the head that says so is durable, and nobody reads the buffers */
	uint64_t to = atomic_load_explicit(&l->settled_pos, memory_order_acquire);
	uint64_t pos = relaxed(l->reclaimed_pos);
	struct place at = place_of(l, pos);
	unsigned records = 0;

	if (MUTANT(reclaim_wait))
		to = relaxed(l->committed_pos);
	for (; pos < to; pos++, place_next(l, &at)) {
		uint64_t w = l->ring[at.slot];

		if (ent_kind(w) == ENT_FRAG && ent_ok(w))
			pool_drop(l->pool, ent_frag_get(w).idx);
		records += ent_kind(w) == ENT_SEAL;
	}
	relaxed_store(l->reclaimed_pos, pos);
	return records;
}

/* ---- commit ---- */

int lane_commit(struct lane *l, uint64_t now_ms)
{
	if (lane_has_wal(l))
		return commit_words(l, now_ms);
	return l->cls == WAL_FSYNC ? lane_fsync_commit(l, now_ms) : 0;
}

/* ---- looking ---- */

uint64_t lane_durable(const struct lane *l)
{
	return relaxed(l->durable_seq);
}

int lane_failed(const struct lane *l)
{
	int err = relaxed(l->failed);

	return err ? err : relaxed(l->settle_failed);
}

int lane_nospace(const struct lane *l)
{
	int err = relaxed(l->nospace);

	return err || !l->seg ? err : seglog_nospace(l->seg);
}

bool lane_pending(const struct lane *l)
{
	if (lane_failed(l))		/* the rest never will be */
		return l->flight || l->turning;
	return l->nstaged || l->flight || l->turning || l->batch[l->gather].nrec;
}

unsigned lane_reclaim(struct lane *l)
{
	return lane_has_wal(l) ? reclaim_words(l) : 0;
}

bool lane_asks(struct lane *l, bool pressed)
{
	uint64_t to = relaxed(l->committed_pos), settled;

	if (l->took) {
		l->took = false;
		return true;
	}
	if (!pressed || !lane_has_wal(l))
		return false;
	settled = relaxed(l->settled_pos);
	/* What it was asked for before, it still has to do: it does not stop before that. */
	if (settled == to || settled < l->asked_pos)
		return false;
	l->asked_pos = to;
	return true;
}

bool lane_waits(const struct lane *l)
{
	return l->full || relaxed(l->nospace);
}

uint64_t lane_moves(const struct lane *l)
{
	return l->seg ? relaxed(l->commits) * !lane_has_wal(l) + relaxed(l->checkpoints) + seglog_steps(l->seg) : 0;
}

bool lane_owes(const struct lane *l)
{
	return lane_waits(l) || lane_pending(l) ||
	       (lane_has_wal(l) && relaxed(l->reclaimed_pos) != relaxed(l->committed_pos));
}

int lane_prepare_err(const struct lane *l)
{
	return l->seg ? seglog_prepare_err(l->seg) : 0;
}

unsigned lane_fill_pct(const struct lane *l)
{
	uint64_t used;

	if (!lane_has_wal(l))
		return 0;
	/* reclaimed first: it may move meanwhile, but not past committed */
	used = relaxed(l->reclaimed_pos);
	used = relaxed(l->committed_pos) - used;
	return used < l->entries ? (unsigned)(used * 100 / l->entries) : 100;
}

/* ---- open and close ---- */

static int init_wal(struct lane *l, const struct lane_params *p)
{
	const struct walfile_lane *h = &p->wal->lane[p->id];

	if (p->id >= p->wal->super.lanes || h->lost)
		return -EINVAL;
	l->ring = walfile_ring(p->wal, p->id);
	l->entries = p->wal->super.entries;
	l->frags_max = l->entries / 2 < FRAGS_MAX ? (uint32_t)(l->entries / 2) : FRAGS_MAX;
	/* The longest record and its CLOCK and SEAL, and then some. */
	l->stage_max = (uint32_t)(l->entries < FRAGS_MAX + 1024u ? l->entries : FRAGS_MAX + 1024u);
	l->stage = malloc(l->stage_max * sizeof(*l->stage));
	l->next_seq = h->seq;
	relaxed_store(l->reclaimed_pos, h->pos);
	relaxed_store(l->committed_pos, h->pos);
	relaxed_store(l->settled_pos, h->pos);
	return l->stage ? 0 : -ENOMEM;
}

int lane_init(struct lane *l, const struct lane_params *p)
{
	int err = 0;

	memset(l, 0, sizeof(*l));
	l->id = p->id;
	l->cls = p->cls;
	l->pm = p->pm;
	l->blk = p->blk;
	l->aio = p->aio;
	l->pool = p->pool;
	l->seg = p->seg;
	l->wal = p->wal;
	l->next_seq = 1;
	/* A frame's length has 32 bits. */
	l->record_max = p->record_bytes_max < UINT32_MAX ? p->record_bytes_max : UINT32_MAX;
	if (lane_has_wal(l))
		err = init_wal(l, p);
	else if (l->cls == WAL_FSYNC)
		err = lane_fsync_init(l, p);
	if (err)
		lane_fini(l);
	relaxed_store(l->durable_seq, l->next_seq - 1);
	relaxed_store(l->settled_seq, l->next_seq - 1);
	/* A disk that was full at the start already: nobody has to wait to be told. */
	if (l->seg)
		relaxed_store(l->nospace, seglog_room(l->seg) ? 0 : seglog_nospace(l->seg));
	return err;
}

void lane_fini(struct lane *l)
{
	free(l->stage);
	l->stage = NULL;
	lane_fsync_fini(l);
}
