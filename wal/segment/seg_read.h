/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_read.h - read-back of what is synced, by sequence number, beside the writer.
 *
 * Any thread may read, with any number of cursors; a cursor belongs to one thread at a
 * time.  A cursor holds the segment file it reads: if retention drops that from the log, it
 * is unlinked (not recycled) and gone when the cursor has moved on.  Every segment
 * that was read from gets a sparse index (one entry per SEG_INDEX_EVERY records), made
 * on the first use; a log keeps SEG_INDEX_BYTES of them and drops the least recently
 * used.  A record is found only if its checksum is right; that takes no more memory than a
 * window, whatever the record's size.  seg_read_more, which reads the rest of a large one
 * again, checks it again.
 */
#ifndef SEGMENT_SEG_READ_H
#define SEGMENT_SEG_READ_H

#include <stdint.h>

#include "format/absent.h"
#include "format/format.h"
#include "segment/segment.h"

#define SEG_INDEX_EVERY	64u
#define SEG_INDEX_BYTES	(4u << 20)
#define SEG_INDEX_ALL	(32u << 20)	/* of all lanes of a store, however many there are */

struct seg_cursor;
/* At the first record with a number >= seq (which may not be there yet: that is the
 * end, and seg_read_next finds it once it is synced).  0 or -errno. */
int  seg_read_open(struct seglog *s, uint64_t seq, struct seg_cursor **c);
int  seg_read_seek(struct seg_cursor *c, uint64_t seq);	/* the same cursor elsewhere */
/* 1: the next record, data of h->len bytes valid until the next call; 0: no more now;
 * -errno.  A record whose data are damaged is passed over and counted. */
int  seg_read_next(struct seg_cursor *c, struct frame_header *h, const uint8_t **data);
/* The same for a caller that must not wait long or has no room for a large record.  1: the next
 * record, its checksum is right; its first *have bytes (all, or SEG_READ_HAVE) are at *data until
 * the next seg_read_next or seg_read_find, and seg_read_more brings the rest.  SEG_READ_AGAIN:
 * about SEG_READ_SLICE bytes of a large one were checked; call again. */
int  seg_read_find(struct seg_cursor *c, struct frame_header *h, const uint8_t **data, uint32_t *have);
#define SEG_READ_AGAIN	2
#define SEG_READ_HAVE	(66u << 10)	/* more than the largest head that pasted takes */
#define SEG_READ_SLICE	(1u << 20)
/* Copies the next n bytes of the record that was found to `to`.  -EBADMSG at its end: the bytes
 * are not those any more that seg_read_find has checked. */
int  seg_read_more(struct seg_cursor *c, void *to, uint32_t n);
/* Why there is no record of this number.  0 or -errno. */
int  seg_read_why(struct seglog *s, uint64_t seq, struct absence *a);
uint64_t seg_read_damaged(const struct seg_cursor *c);
void seg_read_close(struct seg_cursor *c);

/* The oldest number that is still there and the newest synced one; oldest > newest: none.  Where
 * the last segment cannot be read, newest is beyond every number that may be in it. */
void seg_read_bounds(struct seglog *s, uint64_t *oldest, uint64_t *newest);

#endif
