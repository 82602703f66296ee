/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readback.h - GET of records, a piece at a time, from the synced segments.
 *
 *   /-/records                     the lanes and their bounds, JSON
 *   /-/records/<lane>              one lane's bounds, JSON
 *   /-/records/<lane>-<seq>        one record: its body with its Content-Type
 *   /-/records/<lane>-<from>..<to> JSON lines (json.h), both ends included
 *   /-/records/<lane>-<from>..     from there to the newest
 *   /-/records/<lane>?tail=<n>     the newest n
 *
 * Numbers are decimal without leading zeros; anything else is 400.  Lanes above
 * LANES_MAX, and sequences and counts above 2^63, are taken for LANES_MAX and 2^63, which have
 * no record.
 *
 * The reply to a request for one record:
 *   200  the record
 *   404  it never was, or is not acknowledged yet, or a crash took it before that
 *   410  it was there and has expired
 *   500  it is damaged, or its file is missing, or a recovery skipped its number because
 *        nobody knew whether a client had been told it
 *   503  it cannot be read now, or no checkpoint has moved it to a segment in time (try again)
 *
 * A range covers the records that are durable when it is asked for.  Records in it that cannot
 * be given show as lines with "gap" and a reason, in the words that pasted-recover has for
 * it too (absent.h).  A range that begins after the newest record is empty.
 *
 * The checksum of a whole record is checked before its first byte is given; this is done in
 * slices if the record is large, so that one reader does not hold up the others.  Then its pieces
 * are read from the segment, and the checksum is computed once more.  A reader costs a window
 * and a piece, whatever it reads, and holds open the segment file that it reads from.
 */
#ifndef ADMIN_READBACK_H
#define ADMIN_READBACK_H

#include "admin/admin_reply.h"
#include "format/json.h"
#include "store/store.h"

enum read_kind { READ_LANES, READ_LANE, READ_ONE, READ_RANGE, READ_TAIL };

struct read_name {
	enum read_kind kind;
	unsigned lane;
	uint64_t from, to;	/* READ_TAIL: from is the count; open range: to is UINT64_MAX */
};
/* rest: the target from behind "/-/records" on, with its query.  0 or -EINVAL. */
int read_name_parse(struct read_name *n, const char *rest);

struct read_trouble {		/* the first record that the device could not read */
	bool	 now;		/* there is one; cleared by the admin thread that tries it again */
	unsigned lane;
	uint64_t seq;
	int	 err;
};

struct readback_shared {	/* shared by all struct readback of one thread */
	struct store *store;
	enum durability_class class;
	uint64_t *absent;	/* [ABSENT_REASONS]: how often a record could not be given, by
				 * reason; other threads read these counts */
	struct read_trouble trouble;
	uint8_t	 part[48u << 10];	/* a part of a body that is to be written as JSON */
};

struct readback {
	struct readback_shared *shared;
	struct admin_client ask;
	struct read_name name;
	bool	 begun;		/* the head has been written */
	enum admin_reply_framing framing;
	struct store_cursor *cursor;
	struct store_record rec;	/* its data: valid until the cursor moves on */
	int	 got;		/* a range: the last result of store_read_find() */
	uint64_t again;		/* the number that has been looked for twice */
	char	 words[160];	/* the text of an error */
	bool	 fixed;		/* the range's end is: records that come later are not in it */
	int	 refused;	/* the status if the range is refused, 0 if not; with: */
	const char *why;
	uint64_t next, last;	/* the sequence numbers of the range still to come */
	uint64_t awaits;	/* READBACK_WAIT: the number that has to be settled first */
	const uint8_t *body;	/* one record: the part of its body that is in memory, */
	uint64_t body_have;	/* the bytes of that part still to come, */
	uint64_t body_rest;	/* and the bytes behind it, for store_read_more() */
	bool	 in_record;	/* json has not written all of rec */
	struct json_record json;
	/* Of the answer, for the admin thread: */
	int	 status;
	bool	 close_after, truncated;
};

enum readback_step { READBACK_MORE, READBACK_LAST, READBACK_WAIT, READBACK_AGAIN };

void readback_open(struct readback *r, struct readback_shared *shared,
		   const struct read_name *name, const struct admin_client *ask);
/* Appends the next piece, at most `room` bytes (>= 16384), to the empty t.  Nothing is written
 * with READBACK_WAIT, when a checkpoint must come first (see awaits), and READBACK_AGAIN, when
 * this has taken its slice of time and is to be called again after others had theirs. */
enum readback_step readback_step(struct readback *r, struct text *t, size_t room);
/* Writes the whole answer, 503, instead of waiting any longer. */
void readback_give_up(struct readback *r, struct text *t);
void readback_close(struct readback *r);

#endif
