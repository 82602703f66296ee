/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_wal.c - a lane of a class with a wal, which writes words into the ring in persistent
 * memory (lane.h; the picture is in lane_priv.h).
 *
 * The order that a reply rests on, each step named after the mutant that leaves it out:
 *
 *	lane_data_flush    bytes of the record      (lane_add, as they are parsed)
 *	lane_data_fence    before any word that names them
 *	                   CLOCK, FRAG.. SEAL, FRAG.. SEAL ...
 *	lane_words_flush
 *	lane_words_fence   before lane_durable() grows and the replies leave
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lane/lane_priv.h"
#include "util/mutant.h"

/* ---- admission ---- */

static uint64_t lane_wal_free(const struct lane *l)
{
	return l->entries - (relaxed(l->committed_pos) + l->nstaged - relaxed(l->reclaimed_pos));
}

static int lane_wal_admit(const struct lane *l, uint64_t bytes, uint64_t frags)
{
	bool crowded = lane_wal_free(l) < l->entries / 2 || l->pool->nfree < l->pool->n / 4;

	(void)bytes;
	if (relaxed(l->nospace) && crowded)
		return -ENOSPC;
	return lane_wal_free(l) < frags + l->entries / 16 ? -EAGAIN : 0;
}

/* ---- append ---- */

static uint64_t lane_wal_append(struct lane *l, struct frags *r)
{
	uint64_t base = relaxed(l->committed_pos);
	struct place at;
	uint32_t n = l->nstaged ? l->nstaged : 1;	/* [0] is for the CLOCK */
	uint64_t seq = l->next_seq;
	uint32_t crc = seal_start(l->id, r->n, seq);

	assert(r->n);
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
	l->next_seq = seq + 1;
	lane_nodes_free(l->pool, r->first, false);	/* the words have the holds now */
	return seq;
}

/* ---- commit ---- */

/* Copies staged words [from, from + n) to the ring from slot `to` on; they do not wrap. */
static void lane_wal_put(struct lane *l, uint64_t to, uint32_t from, uint32_t n)
{
	uint64_t *slot = l->ring + to;

	l->pm->store(l->pm->ctx, slot, l->stage + from, n * sizeof(*slot));
	if (!MUTANT(lane_words_flush))
		l->pm->flush(l->pm->ctx, slot, n * sizeof(*slot));
}

static int lane_wal_commit(struct lane *l, uint64_t now_ms)
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
	 * must be there before. */
	if (!MUTANT(lane_data_fence))
		l->pm->fence(l->pm->ctx);
	l->stage[0] = ent_clock(now_ms, at.lap);
	lane_wal_put(l, at.slot, 0, head);
	if (head < n)
		lane_wal_put(l, 0, head, n - head);
	/* Replies leave after this fence, and no word of the next batch may reach the
	 * medium before all of these. */
	if (!MUTANT(lane_words_fence))
		l->pm->fence(l->pm->ctx);
	l->nstaged = 0;
	relaxed_add(l->commits, 1);
	/* release: the checkpointer reads the words below it */
	atomic_store_explicit(&l->committed_pos, pos + n, memory_order_release);
	/* After that (release: lane_durable): who sees that a record is durable, and asks once for a
	 * checkpoint, gets one that comes so far. */
	atomic_store_explicit(&l->durable_seq, l->next_seq - 1, memory_order_release);
	follow_moved(&l->mark[FOLLOW_DURABLE]);
	return 0;
}

/* ---- reclaim ---- */

/* Drops the hold of every FRAG word that a checkpoint has moved.  A word that went bad in
 * memory keeps its buffer until the next start. */
static unsigned lane_wal_reclaim(struct lane *l)
{
	/* acquire: the head with this position is durable, and nobody reads the buffers */
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

/* ---- open and close ---- */

static int lane_wal_init(struct lane *l, const struct lane_params *p)
{
	const struct walfile_lane *h = &p->wal->lane[p->id];

	if (p->id >= p->wal->super.lanes || h->lost)
		return -EINVAL;
	l->ring = walfile_ring(p->wal, p->id);
	l->entries = p->wal->super.entries;
	l->frags_max = l->entries / 2 < FRAGS_MAX ? (uint32_t)(l->entries / 2) : FRAGS_MAX;
	/* Room for the longest record with its CLOCK and SEAL, and some more. */
	l->stage_max = (uint32_t)(l->entries < FRAGS_MAX + 1024u ? l->entries : FRAGS_MAX + 1024u);
	l->stage = malloc(l->stage_max * sizeof(*l->stage));
	l->next_seq = h->seq;
	relaxed_store(l->reclaimed_pos, h->pos);
	relaxed_store(l->committed_pos, h->pos);
	relaxed_store(l->settled_pos, h->pos);
	return l->stage ? 0 : -ENOMEM;
}

static void lane_wal_fini(struct lane *l)
{
	free(l->stage);
	l->stage = NULL;
}

const struct lane_ops lane_wal = {
	.init = lane_wal_init, .fini = lane_wal_fini, .admit = lane_wal_admit, .append = lane_wal_append,
	.commit = lane_wal_commit, .reclaim = lane_wal_reclaim,
};
