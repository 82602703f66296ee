/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue.h - a bounded queue of numbers between two threads: one writes, one reads,
 * neither waits.
 *
 *      head                 tail           cells [head, tail) are full
 *   ---+--------------------+---------
 *      the reader's index   the writer's; both only rise, modulo 2^32
 *
 * All that the writer stored before a push, the reader sees after the pop of that number.
 * A queue must not overflow: its users bound how many numbers can be in it.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"

struct queue {
	uint32_t mask;
	uint32_t *cell;
	uint32_t head __attribute__((aligned(64)));
	uint32_t tail __attribute__((aligned(64)));
};

/* How many cells a queue for n numbers needs: a power of two. */
static inline uint32_t queue_cells(uint32_t n)
{
	uint32_t size = 1;

	while (size < n)
		size *= 2;
	return size;
}

/* cell: an array of queue_cells(n), which stays the caller's. */
static inline void queue_init(struct queue *q, uint32_t *cell, uint32_t n)
{
	q->mask = queue_cells(n) - 1;
	q->cell = cell;
	q->head = q->tail = 0;
}

static inline void queue_push(struct queue *q, uint32_t v)
{
	uint32_t tail = q->tail;	/* only the writer changes it */

	/* Acquire: the reader has read the cell before we write it again. */
	must(tail - __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) <= q->mask);
	q->cell[tail & q->mask] = v;
	/* Release: a reader that sees the tail sees the cell, and all that we wrote before. */
	__atomic_store_n(&q->tail, tail + 1, __ATOMIC_RELEASE);
}

static inline bool queue_pop(struct queue *q, uint32_t *v)
{
	uint32_t head = q->head;	/* only the reader changes it */

	if (head == __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE))
		return false;
	*v = q->cell[head & q->mask];
	/* Release: the cell is free once we have read it. */
	__atomic_store_n(&q->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

#endif
