/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_batch.c - the bytes of a batch to its segment, in whole blocks (segment.h).
 *
 * Copied into memory of its own first: whole blocks can go around the kernel's cache,
 * whose pages cost more than the copy, and are in the way of what else runs there.  The
 * block that the last batch ended in is written again with what it held, and behind the
 * end are zeros, as there were: a sector of it is either as before or as after.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segment/segment_priv.h"
#include "util/mutant.h"

int seg_batch_new(struct seg_batch **b)
{
	*b = calloc(1, sizeof(**b));
	if (!*b)
		return -ENOMEM;
	(*b)->mem = aligned_alloc(BLK_BLOCK, SEG_BATCH_BYTES);
	if ((*b)->mem)
		return 0;
	free(*b);
	*b = NULL;
	return -ENOMEM;
}

void seg_batch_free(struct seg_batch *b)
{
	if (b)
		free(b->mem);
	free(b);
}

void seg_batch_begin(struct seg_batch *b, struct seglog *s)
{
	struct seg_place at = seglog_place(s);
	uint32_t part = at.off % BLK_BLOCK;

	b->s = s;
	b->file = at.file;
	b->n = part;
	b->off = at.off - part;
	if (!part)
		return;
	if (MUTANT(seg_batch_tail))
		memset(b->mem, 0, part);
	else if (s->tail_end == at.off && s->tail_file == at.file)
		memcpy(b->mem, s->tail, part);
	else if (s->o.blk->read(at.file, b->mem, part, b->off) && !MUTANT(seg_batch_unread)) {
		/* Whoever reads it will see that; here it is left alone. */
		b->n = 0;
		b->off = at.off;
	}
}

static int write_out(struct seg_batch *b)
{
	struct iovec iov = { b->mem, b->n };
	int err = b->n ? b->s->o.blk->write(b->file, &iov, 1, b->off) : 0;

	b->off += b->n;
	b->n = 0;
	return err;
}

int seg_batch_put(struct seg_batch *b, const void *p, size_t n)
{
	const uint8_t *from = p;
	int err = 0;

	while (n && !err) {
		size_t k = n < SEG_BATCH_BYTES - b->n ? n : SEG_BATCH_BYTES - b->n;

		if (from)
			memcpy(b->mem + b->n, from, k);
		else
			memset(b->mem + b->n, 0, k);
		b->n += (uint32_t)k;
		n -= k;
		from = from ? from + k : NULL;
		if (b->n == SEG_BATCH_BYTES)
			err = write_out(b);
	}
	return err;
}

int seg_batch_end(struct seg_batch *b)
{
	uint64_t end = b->off + b->n;
	uint32_t part = end % BLK_BLOCK;

	b->s->tail_end = 0;
	if (b->off % BLK_BLOCK)
		return write_out(b);
	if (part) {
		memcpy(b->s->tail, b->mem + b->n - part, part);
		memset(b->mem + b->n, 0, BLK_BLOCK - part);
		b->n += BLK_BLOCK - part;
	}
	b->s->tail_file = b->file;
	b->s->tail_end = end;
	return write_out(b);
}
