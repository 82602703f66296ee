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
 * LANES_MAX, and sequences and counts above 2^63, are taken as these: none has a record.
 *
 * One record: 200; 404 it never was (or is not acknowledged yet, or a crash took it before
 * that); 410 it was and has expired; 500 it is damaged, or the file that it was in is
 * missing, or the number was skipped because nobody knew whether it had been given; 503 it
 * cannot be read now, or it is acknowledged and no checkpoint has moved it in time (try again).
 *
 * A range covers what is durable when it is asked for.  Records in it that cannot
 * be given are lines with "gap" and a reason, never silence: the words that
 * pasted-recover has for it too (absent.h).  A range that begins after the newest record is empty.
 *
 * A record is checked as a whole before its first byte is given, a slice at a time when it
 * is large, so that one reader does not hold up the others; then its pieces are read
 * where they lie, and summed up once more.  A reader costs a window and a piece, whatever
 * it reads, and holds the segment file that it reads from.
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
/* rest: what follows "/-/records" in the target, query included.  0 or -EINVAL. */
int read_name_parse(struct read_name *n, const char *rest);

struct read_trouble {		/* the first number that the device did not give */
	bool	 now;		/* who looks after it clears this */
	unsigned lane;
	uint64_t seq;
	int	 err;
};

struct readback_shared {	/* one for all, used by one thread */
	struct store *store;
	enum durability_class class;
	uint64_t *absent;	/* [ABSENT_REASONS]: how often something could not be given, and why;
				 * others read them */
	struct read_trouble trouble;
	uint8_t	 part[48u << 10];	/* of a body, on its way into JSON */
};

struct readback {
	struct readback_shared *shared;
	struct admin_client ask;
	struct read_name name;
	bool	 begun;		/* the head is out */
	enum admin_reply_framing framing;
	struct store_cursor *cursor;
	struct store_record rec;	/* its data: valid until the cursor moves on */
	int	 got;		/* a range: what the cursor said last */
	uint64_t again;		/* this number was looked for twice */
	char	 words[160];	/* for an answer */
	bool	 fixed;		/* the range is: records that come later are not in it */
	int	 refused;	/* its status if it is none, with: */
	const char *why;
	uint64_t next, last;	/* sequences of the range still to come */
	uint64_t awaits;	/* READBACK_WAIT: a checkpoint has to come so far (FOLLOW_SETTLED) */
	const uint8_t *body;	/* one record: what is still to come of its body, */
	uint64_t body_have;	/* so much of it at body, */
	uint64_t body_rest;	/* so much behind that, by store_read_more */
	bool	 in_record;	/* json has not written all of rec */
	struct json_record json;
	/* The answer, for who sends it. */
	int	 status;
	bool	 close_after, truncated;
};

enum readback_step { READBACK_MORE, READBACK_LAST, READBACK_WAIT, READBACK_AGAIN };

void readback_open(struct readback *r, struct readback_shared *shared,
		   const struct read_name *name, const struct admin_client *ask);
/* Appends the next piece, at most `room` bytes (>= 16384), to the empty t.
 * Nothing was written, READBACK_WAIT: a checkpoint must come first, see awaits; READBACK_AGAIN: it was
 * busy for long enough, and is to be called again when others had their turn. */
enum readback_step readback_step(struct readback *r, struct text *t, size_t room);
/* Instead of waiting any longer: the whole answer, 503. */
void readback_give_up(struct readback *r, struct text *t);
void readback_close(struct readback *r);

#endif
