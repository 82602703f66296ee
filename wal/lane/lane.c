/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.c - a lane (lane.h; the picture is in lane_priv.h): what all classes have in common.  What
 * a class does its own way is in its struct lane_ops: lane_wal.c, lane_fsync.c, lane_none.c.
 *
 * A hold on a buffer belongs to whatever names its bytes: to the frag node while the
 * record is received, to the FRAG word once that is staged, until lane_reclaim; in
 * class fsync to the node until the batch is synced.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane/lane_priv.h"
#include "util/mutant.h"

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

/* Gives the nodes of a list back to the pool; drop: their holds, too. */
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

/* Makes [off, off + len) of buffer idx the record's next bytes, joined to its last frag if
 * that ends where these begin. */
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
 * frags and of the nodes stay reserved for pieces that must be named in place. */
static bool lane_may_stay(const struct lane *l, const struct frags *r, uint32_t idx)
{
	const struct pool *p = l->pool;

	if (r->n >= l->frags_max / 2 || p->nodes_left < p->n)
		return false;
	return p->nodes[r->last].f.idx == idx || p->lent > p->n / 4;
}

/* Copies a small piece into the record's own buffer; the buffer it came in is not held. */
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
	if (!lane_stores(l)) {		/* the bytes are only counted */
		r->bytes += len;
		return 0;
	}
	assert(off + len <= l->pool->buf_size);
	if (len <= LANE_GATHER && r->n && !adjacent(l, r, idx, off)) {
		err = gather_piece(l, r, pool_addr(l->pool, idx) + off, len);
		if (err != -ENOBUFS || !lane_may_stay(l, r, idx))
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

/* More frags than a request of that size needs, unless its client sends small pieces on
 * purpose: gather_piece and lane_may_stay bound the frags of those. */
static uint64_t frags_guess(const struct lane *l, uint64_t bytes)
{
	return bytes / (l->pool->buf_size / 2) + 8;
}

int lane_admit(const struct lane *l, uint64_t bytes)
{
	uint64_t frags;

	/* What no waiting can change is refused first (the order of the server's refusal.h). */
	if (bytes > l->record_max)
		return -EFBIG;
	if (!lane_stores(l))
		return 0;
	frags = frags_guess(l, bytes);
	if (frags > l->frags_max || bytes > (uint64_t)l->pool->n * l->pool->buf_size / 2)
		return -EFBIG;
	if (lane_failed(l))
		return -EIO;
	if (l->pool->nodes_left < frags)
		return -EAGAIN;
	return l->ops->admit(l, bytes, frags);
}

/* ---- append, commit, reclaim ---- */

uint64_t lane_append(struct lane *l, struct frags *r)
{
	uint64_t seq = l->ops->append(l, r);

	if (!seq)
		return 0;
	relaxed_add(l->records, 1);
	relaxed_add(l->bytes, r->bytes);
	*r = FRAGS_INIT;
	return seq;
}

int lane_commit(struct lane *l, uint64_t now_ms)
{
	return l->ops->commit(l, now_ms);
}

int lane_synced(struct lane *l, int res, uint64_t now_ms)
{
	return l->ops->synced(l, res, now_ms);
}

unsigned lane_reclaim(struct lane *l)
{
	return l->ops->reclaim ? l->ops->reclaim(l) : 0;
}

/* ---- looking ---- */

uint64_t lane_durable(const struct lane *l)
{
	/* acquire: what a checkpoint needs to come so far is there */
	return atomic_load_explicit(&l->durable_seq, memory_order_acquire);
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
	if (lane_failed(l))		/* what is not in flight never becomes durable */
		return l->flight || l->turning;
	return l->nstaged || l->flight || l->turning || l->batch[l->gather].nrec;
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
	/* The checkpointer is still busy with what it was woken for, and does not stop before. */
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
	/* reclaimed_pos first: read last, it could have passed the committed_pos read before it */
	used = relaxed(l->reclaimed_pos);
	used = relaxed(l->committed_pos) - used;
	return used < l->entries ? (unsigned)(used * 100 / l->entries) : 100;
}

/* ---- open and close ---- */

static const struct lane_ops *ops_of(enum durability_class c)
{
	switch (c) {
#define LANE_OPS(constant, number, name, lane, ...) case constant: return &lane_##lane;
	CLASS_TABLE(LANE_OPS)
#undef LANE_OPS
	}
	return NULL;
}

int lane_init(struct lane *l, const struct lane_params *p)
{
	int err = 0;

	memset(l, 0, sizeof(*l));
	follow_init(&l->mark[FOLLOW_DURABLE], &l->durable_seq);
	follow_init(&l->mark[FOLLOW_SETTLED], &l->settled_seq);
	follow_init(&l->mark[FOLLOW_PASS], &l->passes);
	follow_init(&l->mark[FOLLOW_TURN], &l->turns);
	l->id = p->id;
	l->ops = ops_of(p->cls);
	l->pm = p->pm;
	l->blk = p->blk;
	l->aio = p->aio;
	l->pool = p->pool;
	l->seg = p->seg;
	l->wal = p->wal;
	l->next_seq = 1;
	/* A frame's length has 32 bits. */
	l->record_max = p->record_bytes_max < UINT32_MAX ? p->record_bytes_max : UINT32_MAX;
	if (!l->ops)
		return -EINVAL;
	if (l->ops->init)
		err = l->ops->init(l, p);
	if (err)
		lane_fini(l);
	relaxed_store(l->durable_seq, l->next_seq - 1);
	relaxed_store(l->settled_seq, l->next_seq - 1);
	/* If the disk is full already at the start, the first request is told so. */
	if (l->seg)
		relaxed_store(l->nospace, seglog_room(l->seg) ? 0 : seglog_nospace(l->seg));
	return err;
}

void lane_fini(struct lane *l)
{
	if (l->ops && l->ops->fini)
		l->ops->fini(l);
	for (unsigned i = 0; i < FOLLOW_LEVELS; i++)
		follow_fini(&l->mark[i]);
}
