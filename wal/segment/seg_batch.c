/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_batch.c - writes the bytes of a batch to its segment, in whole blocks (segment.h).
 *
 * The bytes are first copied into memory of the batch: whole blocks can bypass the kernel's
 * page cache, whose pages cost more than the copy and take memory from other programs.  The
 * block that the last batch ended in is written again with what it held, and with zeros
 * behind the new end, as before: each of its sectors is then either as before or as after.
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
		/* The block cannot be read: it is left alone, and readers will report it. */
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
