/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.c - the words of a lane in order (scan.h).
 *
 *	CLOCK FRAG FRAG SEAL FRAG SEAL CLOCK FRAG SEAL  0  0 ...
 *	               ^    ^         ^            ^
 *	             start  run = pos              tail
 *
 * A damaged word opens a region of damage at the start of the record it stands in;
 * the next record that is whole closes the region.  In it, `bad_seals` SEALs were seen
 * whose records are lost, and `bad_words` words may have been SEALs: so the next
 * record's number is seq + bad_seals, or up to bad_words more.
 */
#include <string.h>

#include "format/codec.h"
#include "lane/scan.h"
#include "util/mutant.h"

#define NOWHERE	UINT64_MAX
/* Candidate numbers tried in all, so that no image can make a scan take for ever. */
#define BUDGET	(1u << 26)

const char *scan_why_text(enum scan_why why)
{
	static const char *const text[] = {
		[SCAN_FINE] = "fine",
		[SCAN_WORD] = "a word of the log is damaged",
		[SCAN_HOLE] = "words of the log are missing",
		[SCAN_NAME] = "the log names bytes outside its buffers",
		[SCAN_ORDER] = "words of the log do not make a record",
		[SCAN_CRC] = "the bytes are not those that were sealed",
		[SCAN_HEAD] = "both copies of the lane's head are damaged",
		[SCAN_UNREAD] = "the memory cannot be read",
	};

	return why < sizeof(text) / sizeof(text[0]) ? text[why] : "?";
}

static uint64_t word_at(const struct scan *s, uint64_t pos)
{
	return s->ring[pos % s->entries];
}

static bool of_lap(const struct scan *s, uint64_t pos, uint64_t w)
{
	return ent_lap(w) == ent_lap_of(pos, s->entries) || MUTANT(scan_lap_check);
}

static bool intact(uint64_t w)
{
	return ent_ok(w) || (MUTANT(scan_word_check) && ent_kind(w) != ENT_NONE);
}

/* ---- start ---- */

static bool is_clock(const struct scan *s, uint64_t pos)
{
	uint64_t w = word_at(s, pos);

	return ent_kind(w) == ENT_CLOCK && intact(w) && of_lap(s, pos, w);
}

/* The time of the batch that the head is in, whose CLOCK is before the head; 0: overwritten. */
static uint64_t time_before(const struct scan *s)
{
	uint64_t pos = s->pos, first = pos > s->entries ? pos - s->entries : 0;

	while (pos-- > first) {
		uint64_t w = word_at(s, pos);

		if (!intact(w) || !of_lap(s, pos, w))
			break;
		if (ent_kind(w) == ENT_CLOCK)
			return ent_clock_ms(w);
	}
	return 0;
}

void scan_start(struct scan *s, struct walfile *w, unsigned lane)
{
	const struct walfile_lane *h = &w->lane[lane];

	*s = (struct scan){
		.w = w, .pos = h->pos, .ring = walfile_ring(w, lane), .entries = w->super.entries,
		.lane = lane, .bufs = w->bufs.addr, .buf_size = w->super.buf_size,
		.share = walfile_share(w), .first = lane * walfile_share(w),
		.limit = h->pos + w->super.entries, .seq = h->seq, .next_seq = h->seq,
		.start = h->pos, .run = h->pos, .bad_from = NOWHERE, .budget = BUDGET,
	};
	if (h->lost) {
		s->ended = true;
		s->held = (struct scan_item){ .kind = SCAN_DAMAGE, .why = SCAN_HEAD,
					      .records = s->entries / 2 };
		return;
	}
	s->clock_end = s->limit;
	while (s->clock_end > s->pos && !is_clock(s, s->clock_end - 1))
		s->clock_end--;
	s->time_ms = time_before(s);
}

/* ---- damage ---- */

static void damage(struct scan *s, uint64_t from, enum scan_why why)
{
	if (s->bad_from != NOWHERE)
		return;
	s->bad_from = from;
	s->why = why;
	s->bad_seals = s->bad_words = 0;
}

/* Closes the region of damage in front of `end`; `records` were lost in it. */
static struct scan_item damage_item(struct scan *s, uint64_t end, uint64_t records)
{
	struct scan_item it = {
		.kind = SCAN_DAMAGE, .pos = s->bad_from, .end = end, .seq = s->seq,
		.records = records, .why = s->why, .time_ms = s->time_ms,
	};

	s->bad_from = NOWHERE;
	s->seq += records;
	return it;
}

/* ---- records ---- */

struct frag scan_frag(const struct scan *s, const struct scan_item *it, uint32_t i)
{
	return ent_frag_get(word_at(s, it->pos + i));
}

static bool scan_mine(const struct scan *s, uint64_t w)
{
	struct frag f = ent_frag_get(w);

	return (f.idx >= s->first && f.idx - s->first < s->share &&
		(uint32_t)f.off + f.len <= s->buf_size) || MUTANT(scan_name_check);
}

static const uint8_t *addr(const struct scan *s, const struct frag *f)
{
	return s->bufs + (uint64_t)f->idx * s->buf_size + f->off;
}

const uint8_t *scan_addr(const struct scan *s, const struct frag *f)
{
	walfile_fetch(s->w, addr(s, f), f->len);
	return addr(s, f);
}

/* Adds up the record's bytes and their CRC.  false: not all of the bytes can be read. */
static bool sum_data(const struct scan *s, struct scan_item *it)
{
	uint32_t crc = CRC32C_INIT;
	bool all = true;

	for (uint32_t i = 0; i < it->nfrags; i++) {
		struct frag f = scan_frag(s, it, i);

		all = walfile_fetch(s->w, addr(s, &f), f.len) && all;
		crc = crc32c_update(crc, addr(s, &f), f.len);
		it->bytes += f.len;
	}
	it->data_crc = crc32c_final(crc);
	return all;
}

/* Is the record sealed with this number? */
static bool sealed_as(const struct scan *s, const struct scan_item *it, uint32_t seal, uint64_t seq)
{
	uint32_t crc = seal_start(s->lane, it->nfrags, seq);

	for (uint32_t i = 0; i < it->nfrags; i++)
		crc = seal_word(crc, word_at(s, it->pos + i));
	return seal == (it->data_crc ^ crc32c_final(crc)) || MUTANT(scan_seal_crc);
}

/* The number between from and to (inclusive) that the SEAL was made with; 0: none.
 * The words are taken out of its CRC once, so a candidate costs a CRC of 16 bytes. */
static uint64_t sealed_among(struct scan *s, const struct scan_item *it, uint32_t seal,
			     uint64_t from, uint64_t to)
{
	uint32_t crc = ~(seal ^ it->data_crc);

	for (uint32_t i = it->nfrags; i--; ) {
		uint64_t w = word_at(s, it->pos + i) & ENT_SEALED;

		crc = crc32c_rewind(crc, &w, sizeof(w));
	}
	for (uint64_t seq = from; seq <= to && s->budget; seq++, s->budget--)
		if (seal_start(s->lane, it->nfrags, seq) == crc)
			return seq;
	return 0;
}

/* The record's number, or 0. */
static uint64_t scan_number(struct scan *s, const struct scan_item *it, uint32_t seal)
{
	uint64_t natural = s->seq + s->bad_seals, seq;

	if (s->bad_from == NOWHERE)
		return sealed_as(s, it, seal, s->seq) ? s->seq : 0;
	if (sealed_as(s, it, seal, natural))
		return natural;
	seq = sealed_among(s, it, seal, natural + 1, natural + s->bad_words);
	/* A damaged word may have looked like an intact SEAL: then the number is lower. */
	return seq || !s->bad_seals ? seq : sealed_among(s, it, seal, s->seq, natural - 1);
}

/* What is wrong with the word at pos, if anything.  may_seal: it may have been a SEAL. */
static enum scan_why judge(const struct scan *s, uint64_t pos, uint64_t w, bool *may_seal)
{
	*may_seal = true;
	if (w == 0)
		return walfile_fetch(s->w, &s->ring[pos % s->entries], sizeof(w)) ? SCAN_HOLE : SCAN_UNREAD;
	if (!intact(w))
		return SCAN_WORD;
	if (!of_lap(s, pos, w))
		return SCAN_HOLE;
	if (ent_kind(w) == ENT_FRAG && !scan_mine(s, w)) {
		*may_seal = false;
		return SCAN_NAME;
	}
	if (ent_kind(w) == ENT_SEAL && ent_seal_nfrags(w) == 0)
		return SCAN_ORDER;
	return SCAN_FINE;
}

/* How many damaged words in front of an intact SEAL must have been frags by its count, so
 * that none of them was a SEAL. */
static uint64_t damaged_frags(const struct scan *s, uint32_t nfrags)
{
	uint64_t n = 0, from = s->pos - s->start < nfrags ? s->start : s->pos - nfrags;
	bool may_seal;

	for (uint64_t p = from; p < s->pos; p++)
		n += judge(s, p, word_at(s, p), &may_seal) != SCAN_FINE && may_seal;
	return n;
}

/* Takes the SEAL at pos.  True: *it is to be reported (a record, or the damage before it). */
static bool seal(struct scan *s, uint64_t w, struct scan_item *it)
{
	uint32_t n = ent_seal_nfrags(w);
	struct scan_item rec = { .kind = SCAN_RECORD, .end = s->pos + 1, .nfrags = n,
				 .time_ms = s->time_ms };
	bool whole = n <= s->pos - s->run, read = true;

	if (whole) {
		rec.pos = s->pos - n;
		if (rec.pos > s->start)		/* frags in front that no SEAL closes */
			damage(s, s->start, SCAN_ORDER);
		read = sum_data(s, &rec);
		rec.seq = scan_number(s, &rec, ent_seal_crc(w));
	}
	if (!rec.seq) {
		damage(s, s->start, !read ? SCAN_UNREAD : whole ? SCAN_CRC : SCAN_ORDER);
		s->bad_seals++;
		if (!whole)
			s->bad_words -= damaged_frags(s, n);
		return false;
	}
	*it = rec;
	if (s->bad_from != NOWHERE) {
		*it = damage_item(s, rec.pos, rec.seq - s->seq);
		s->held = rec;
	}
	s->seq = rec.seq + 1;
	return true;
}

/* ---- the loop ---- */

static void clock(struct scan *s, uint64_t w)
{
	if (s->start < s->pos)		/* frags that no SEAL closes */
		damage(s, s->start, SCAN_ORDER);
	s->time_ms = ent_clock_ms(w);
}

static void bad_word(struct scan *s, enum scan_why why, bool may_seal)
{
	damage(s, s->start, why);
	s->bad_words += may_seal;
	s->run = s->pos + 1;
}

/* Takes the word at pos.  True: *it is to be reported. */
static bool scan_step(struct scan *s, uint64_t w, enum scan_why why, bool may_seal,
		      struct scan_item *it)
{
	bool report = false;

	if (why != SCAN_FINE) {
		bad_word(s, why, may_seal);
	} else if (ent_kind(w) != ENT_FRAG) {
		if (ent_kind(w) == ENT_SEAL)
			report = seal(s, w, it);
		else
			clock(s, w);
		s->start = s->run = s->pos + 1;
	}
	s->pos++;
	return report;
}

static enum scan_kind scan_finish(struct scan *s, struct scan_item *it)
{
	uint64_t most;

	s->ended = true;
	if (s->pos == s->limit && s->start < s->pos)	/* the ring is full: no tail to be torn */
		damage(s, s->start, SCAN_ORDER);
	if (s->bad_from == NOWHERE)
		s->pos = s->start;		/* frags without their SEAL are the torn tail */
	for (uint64_t p = s->pos; p < s->limit; p++) {
		uint64_t w = word_at(s, p);

		s->torn_words += ent_ok(w) && of_lap(s, p, w);
	}
	most = s->bad_seals + s->bad_words;
	s->next_seq = s->seq;
	if (s->bad_from == NOWHERE)
		return it->kind = SCAN_END;
	*it = damage_item(s, s->pos, most);
	s->next_seq = s->seq;
	return it->kind;
}

enum scan_kind scan_next(struct scan *s, struct scan_item *it)
{
	if (s->held.kind != SCAN_END) {
		*it = s->held;
		s->held.kind = SCAN_END;
		return it->kind;
	}
	while (!s->ended && s->pos < s->limit) {
		uint64_t w = word_at(s, s->pos);
		bool may_seal;
		enum scan_why why = judge(s, s->pos, w, &may_seal);

		/* Nothing proves that there ever was a word here: the tail begins. */
		if (why == SCAN_HOLE && (s->pos >= s->clock_end || MUTANT(scan_hole_check)))
			break;
		if (scan_step(s, w, why, may_seal, it))
			return it->kind;
	}
	if (!s->ended)
		return scan_finish(s, it);
	*it = (struct scan_item){ .kind = SCAN_END };
	return SCAN_END;
}
