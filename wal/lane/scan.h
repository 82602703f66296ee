/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - a cursor over the words of one lane of a wal, from its head on.  It tells
 * what is a record, what is damage, where the tail begins (format.h, ORDER).
 *
 * Whatever bytes a scan is given, it ends, reads nothing outside the ring and the
 * lane's share of the buffers, and puts every position of [head, tail) into exactly
 * one RECORD or DAMAGE, or it is the CLOCK of a batch.  A scan allocates nothing and
 * writes nothing.
 *
 * After damage the next sequence number is not known for sure: a damaged word may
 * have been the SEAL of a record.  The next intact SEAL tells, since its CRC covers
 * the number: first the number is tried that follows if no damaged word was a SEAL,
 * then one more for each damaged word that may have been one.
 */
#ifndef LANE_SCAN_H
#define LANE_SCAN_H

#include "files/walfile.h"
#include "lane/pool.h"

enum scan_kind { SCAN_END, SCAN_RECORD, SCAN_DAMAGE };

enum scan_why {
	SCAN_FINE,
	SCAN_WORD,	/* a word whose check bits do not fit */
	SCAN_HOLE,	/* a stale or empty word, though a later batch proves that one was there */
	SCAN_NAME,	/* a frag names bytes outside the lane's buffers */
	SCAN_ORDER,	/* intact words that do not make a record */
	SCAN_CRC,	/* intact words, but not the bytes that were sealed (or another number) */
	SCAN_HEAD,	/* the lane's head is lost: nothing can be read */
	SCAN_UNREAD,	/* the memory that holds a word, or the bytes, cannot be read */
};
const char *scan_why_text(enum scan_why why);

struct scan_item {
	enum scan_kind kind;
	uint64_t pos, end;	/* the words [pos, end); a record's SEAL is at end - 1 */
	/* RECORD: */
	uint64_t seq;
	uint64_t time_ms;	/* of the last CLOCK before it; 0: none is left */
	uint32_t nfrags, data_crc;
	uint64_t bytes;
	/* DAMAGE: records seq .. seq + records - 1 are lost (0: none, only a CLOCK was
	 * hit).  Where damage reaches the end, `records` is the most it can have hit. */
	uint64_t records;
	enum scan_why why;	/* the first thing that was wrong */
};

struct scan {			/* private, but these three may be read after SCAN_END: */
	uint64_t pos;		/* the tail: first position without an acknowledged word */
	uint64_t next_seq;	/* no acknowledged record has this number or a higher one */
	uint64_t torn_words;	/* words of the current lap behind the tail: never acknowledged */

	struct walfile *w;
	const uint64_t *ring;
	uint64_t entries;
	unsigned lane;
	const uint8_t *bufs;
	uint32_t buf_size, first, share;
	uint64_t limit;		/* head + entries */
	uint64_t clock_end;	/* behind the last CLOCK; nothing before it may be missing */
	uint64_t seq;		/* of the next record */
	uint64_t time_ms;
	uint64_t start;		/* behind the last SEAL or CLOCK */
	uint64_t run;		/* from here to pos there are intact FRAGs only */
	uint64_t bad_from;	/* start of the damage now being crossed; UINT64_MAX: none */
	uint64_t bad_seals, bad_words;	/* in it: SEALs of lost records; words that may be one */
	enum scan_why why;
	uint64_t budget;	/* candidate numbers that may still be tried */
	struct scan_item held;	/* to be reported next: the record behind the last DAMAGE */
	bool	 ended;
};

void scan_start(struct scan *s, struct walfile *w, unsigned lane);
enum scan_kind scan_next(struct scan *s, struct scan_item *it);
/* Frag i of a record. */
struct frag scan_frag(const struct scan *s, const struct scan_item *it, uint32_t i);
/* The bytes of a frag, valid until the next walfile_drop. */
const uint8_t *scan_addr(const struct scan *s, const struct frag *f);

#endif
