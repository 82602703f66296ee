/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.h - the segment log of one lane on block storage (format.h).
 *
 * One writer at a time: the worker (class fsync), the checkpointer (nvmm classes)
 * or recovery.  Any thread may read what is durable.  The next segment is prepared
 * (created or recycled, zeroed, synced) beforehand by seglog_prepare(), so that the
 * writer only ever overwrites.
 */
#ifndef WAL_SEGMENT_H
#define WAL_SEGMENT_H

#include "blk.h"
#include "format.h"
#include "pool.h"

struct seglog;

/* Where a frame's data are: either memory (gap frames, recovery) or frags. */
struct seg_place {		/* made by seglog_place: where a batch goes */
	struct blk_file *file;
	uint64_t off;
};

/* The header of the next frame at file offset *off of the active segment, for
 * len bytes with data_crc: fills h, advances *off by the frame's size; *pad is how
 * many zero bytes follow the data.  -ENOSPC: does not fit in this segment any more
 * (seglog_rotate, at a batch boundary). */
int  seglog_frame(struct seglog *s, uint64_t *off, struct frame_header *h, uint16_t kind,
		  uint64_t seq, uint64_t time_ms, uint32_t len, uint32_t data_crc, uint32_t *pad);
struct seg_place seglog_place(const struct seglog *s);	/* where the next batch starts */
/* The batch that ended at `off`, last sequence `seq`, is synced: readers see it,
 * the batch number rises. */
void seglog_synced(struct seglog *s, uint64_t off, uint64_t seq);
/* Go to the prepared segment; -EAGAIN when it is not ready yet, -ENOSPC when the
 * disk had no room for it. */
int  seglog_rotate(struct seglog *s);
uint64_t seglog_room(const struct seglog *s);	/* bytes left in the active segment */

/* Background: prepare the next segment; apply retention.  0 or -errno. */
int  seglog_prepare(struct seglog *s);
int  seglog_retain(struct seglog *s, uint64_t bytes_max, uint64_t older_than_ms);

#endif
