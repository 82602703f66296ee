/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.c - buffers free, lent to the kernel, held (pool.h).
 *
 * The stack is last in, first out: the buffer that was free for the shortest time
 * is the likeliest to be in the cache still.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane/pool.h"

static uint32_t nodes_for(uint32_t n)
{
	return 2 * n + 1024;
}

int pool_init(struct pool *p, uint8_t *base, uint32_t buf_size, uint32_t first, uint32_t n)
{
	uint32_t nodes = nodes_for(n);

	assert(buf_size && (buf_size & (buf_size - 1)) == 0);
	*p = (struct pool){
		.base = base, .buf_size = buf_size, .first = first, .n = n,
		.buf_shift = (uint32_t)__builtin_ctz(buf_size), .nodes_left = nodes,
	};
	p->free_stack = malloc(sizeof(*p->free_stack) * (n ? n : 1));
	p->holds = calloc(n ? n : 1, sizeof(*p->holds));
	p->nodes = malloc(sizeof(*p->nodes) * nodes);
	if (!p->free_stack || !p->holds || !p->nodes) {
		pool_fini(p);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)	/* the lowest index on top */
		p->free_stack[i] = first + n - 1 - i;
	p->nfree = n;
	for (uint32_t i = 0; i < nodes; i++)
		p->nodes[i].next = i + 1 < nodes ? i + 1 : FRAG_NIL;
	return 0;
}

void pool_fini(struct pool *p)
{
	free(p->free_stack);
	free(p->holds);
	free(p->nodes);
	*p = (struct pool){ 0 };
}

uint32_t pool_take(struct pool *p)
{
	return p->nfree ? p->free_stack[--p->nfree] : FRAG_NIL;
}

uint32_t pool_lend(struct pool *p)
{
	uint32_t idx = pool_take(p);

	if (idx != FRAG_NIL)
		p->lent++;
	return idx;
}

void pool_lent_back(struct pool *p)
{
	assert(p->lent);
	p->lent--;
}

static uint16_t *holds_of(struct pool *p, uint32_t idx)
{
	assert(idx - p->first < p->n);
	return &p->holds[idx - p->first];
}

void pool_put(struct pool *p, uint32_t idx)
{
	assert(*holds_of(p, idx) == 0 && p->nfree < p->n);
	p->free_stack[p->nfree++] = idx;
}

void pool_hold(struct pool *p, uint32_t idx)
{
	uint16_t *h = holds_of(p, idx);

	/* At most one hold per byte of a buffer, and the slot's. */
	assert(*h < UINT16_MAX);
	++*h;
}

void pool_drop(struct pool *p, uint32_t idx)
{
	uint16_t *h = holds_of(p, idx);

	assert(*h > 0);
	if (--*h == 0)
		pool_put(p, idx);
}
