/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - the named buffers of one worker, and who holds them.
 *
 * A buffer's name is its index in the pool's file; worker i owns the indices
 * [first, first + n).  Everything here belongs to the worker's thread: holds are
 * plain counters.  A buffer is one of
 *
 *   free     on the free stack
 *   lent     given to the ring, for the kernel to fill
 *   held     by `holds` holders: an unparsed slot, the frags of a record that is
 *            being received, a record that is committed but not yet in the segments
 *
 * and goes back to the free stack when its last hold is dropped.
 */
#ifndef LANE_POOL_H
#define LANE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "format/codec.h"

#define FRAG_NIL UINT32_MAX

struct frags {			/* a record being received: a list of frag nodes of the pool */
	uint32_t first, last;	/* FRAG_NIL when empty; initialise with FRAGS_INIT */
	uint32_t n;
	uint32_t crc;		/* running crc32c state of the bytes (see lane_add) */
	uint64_t bytes;
	uint32_t gather;	/* buffer that small pieces are copied into; FRAG_NIL: none */
	uint32_t gather_off;	/* its first free byte */
};
#define FRAGS_INIT ((struct frags){ FRAG_NIL, FRAG_NIL, 0, 0xffffffffu, 0, FRAG_NIL, 0 })

struct frag_node {
	struct frag f;
	uint32_t next;
};

struct pool {
	uint8_t	 *base;		/* address of buffer 0 of the whole pool, of all workers */
	uint32_t  buf_size;	/* 2048 or 4096 */
	uint32_t  buf_shift;
	uint32_t  first, n;
	uint32_t  nfree;	/* entries of free_stack in use */
	uint32_t  lent;
	uint32_t *free_stack;
	uint16_t *holds;	/* [n], by idx - first */
	struct frag_node *nodes;
	uint32_t  node_free;	/* head of the list of free nodes */
	uint32_t  nodes_left;
	uint64_t  gathered_bytes;	/* copied, so that no tiny piece holds a whole buffer */
};

int  pool_init(struct pool *p, uint8_t *base, uint32_t buf_size, uint32_t first, uint32_t n);
void pool_fini(struct pool *p);

static inline uint8_t *pool_addr(const struct pool *p, uint32_t idx)
{
	return p->base + ((uint64_t)idx << p->buf_shift);
}

/* Takes a free buffer, which then is the caller's, with no holds; FRAG_NIL: there is none. */
uint32_t pool_take(struct pool *p);
uint32_t pool_lend(struct pool *p);	/* the same, for the kernel */
void pool_lent_back(struct pool *p);	/* a buffer that was lent is the caller's again */
void pool_hold(struct pool *p, uint32_t idx);	/* one more holder */
void pool_drop(struct pool *p, uint32_t idx);	/* one less; the last frees it */
void pool_put(struct pool *p, uint32_t idx);	/* gives back one that was taken and never held */

#endif
