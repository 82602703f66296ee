/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * codec.h - encoding and decoding the durable bytes of the wal (format.h).  All functions
 * are pure: they have no state and no memory but the caller's.
 */
#ifndef FORMAT_CODEC_H
#define FORMAT_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "util/crc32c.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the durable formats are little-endian and are used in place"
#endif

/* ---- entry words ---- */

struct frag {			/* some bytes of one buffer: what a FRAG names */
	uint32_t idx;
	uint16_t off;
	uint16_t len;
};

#define ENT_KIND_SHIFT	62
#define ENT_LAP_SHIFT	56
#define ENT_CHECK_SHIFT	48
#define ENT_PAYLOAD	((1ull << 48) - 1)
/* The bits of a FRAG that a SEAL's CRC covers: kind and payload. */
#define ENT_SEALED	(~(0x3fffull << ENT_CHECK_SHIFT))

uint8_t ent_check(uint64_t word);	/* of the word with its check bits taken as zero */

static inline uint64_t ent_make(unsigned kind, unsigned lap, uint64_t payload)
{
	uint64_t w = (uint64_t)kind << ENT_KIND_SHIFT |
		     (uint64_t)(lap % ENT_LAPS) << ENT_LAP_SHIFT | (payload & ENT_PAYLOAD);

	return w | (uint64_t)ent_check(w) << ENT_CHECK_SHIFT;
}

static inline uint64_t ent_frag(struct frag f, unsigned lap)
{
	return ent_make(ENT_FRAG, lap, (uint64_t)f.idx << 24 | (uint64_t)f.off << 12 |
			(uint64_t)(f.len - 1));
}

static inline uint64_t ent_seal(uint32_t nfrags, uint32_t crc, unsigned lap)
{
	return ent_make(ENT_SEAL, lap, (uint64_t)nfrags << 32 | crc);
}

static inline uint64_t ent_clock(uint64_t time_ms, unsigned lap)
{
	return ent_make(ENT_CLOCK, lap, time_ms);
}

static inline unsigned ent_kind(uint64_t w)
{
	return w >> ENT_KIND_SHIFT;
}

static inline unsigned ent_lap(uint64_t w)
{
	return w >> ENT_LAP_SHIFT & (ENT_LAPS - 1);
}

/* Whether the word is one that we wrote and is undamaged; its lap may be any. */
static inline bool ent_ok(uint64_t w)
{
	return ent_kind(w) != ENT_NONE &&
	       ent_check(w) == (uint8_t)(w >> ENT_CHECK_SHIFT);
}

static inline struct frag ent_frag_get(uint64_t w)
{
	return (struct frag){ .idx = w >> 24 & 0xffffff, .off = w >> 12 & 0xfff,
			      .len = (w & 0xfff) + 1 };
}

static inline uint32_t ent_seal_nfrags(uint64_t w)
{
	return w >> 32 & 0xffff;
}

static inline uint32_t ent_seal_crc(uint64_t w)
{
	return (uint32_t)w;
}

static inline uint64_t ent_clock_ms(uint64_t w)
{
	return w & ENT_PAYLOAD;
}

static inline unsigned ent_lap_of(uint64_t pos, uint64_t entries)
{
	return pos / entries % ENT_LAPS;
}

/* The CRC over a record's identity and its FRAG words: seal_start, seal_word for each of them,
 * then SEAL.crc = data_crc ^ crc32c_final(state). */
uint32_t seal_start(uint32_t lane, uint32_t nfrags, uint64_t seq);
static inline uint32_t seal_word(uint32_t state, uint64_t frag_word)
{
	return crc32c_word(state, frag_word & ENT_SEALED);
}

/* ---- superblock and heads ---- */

enum super_state { SUPER_BLANK, SUPER_VALID, SUPER_VERSION, SUPER_ORDER, SUPER_BAD };

/* Fills in magic, version, byte order and CRC. */
void super_encode(struct wal_super *s);
/* SUPER_BLANK: the magic is zero.  SUPER_VERSION, SUPER_ORDER: it is a wal, but of another version
 * or byte order.  SUPER_BAD: damaged, or no wal. */
enum super_state super_decode(const struct wal_super *s);

void head_encode(struct wal_head *h, uint32_t lane, uint64_t gen, uint64_t pos, uint64_t seq);
bool head_decode(const struct wal_head *h, uint32_t lane);

#endif
