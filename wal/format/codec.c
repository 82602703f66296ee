/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * codec.c - check bits, seals, superblocks and heads (codec.h).
 */
#include <stddef.h>
#include <string.h>

#include "format/codec.h"
#include "util/mutant.h"

/* No lane reaches this position or sequence number: one that is not below is damage, and
 * sums with those below do not overflow. */
#define POS_MAX	(1ull << 62)

static inline uint32_t rol(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

uint8_t ent_check(uint64_t word)
{
	uint64_t w = word & ~(0xffull << ENT_CHECK_SHIFT);
	uint32_t c = crc32c_final(crc32c_word(CRC32C_INIT, w));

	return (uint8_t)(rol(c, 4) ^ rol(c, 5) ^ rol(c, 6));
}

uint32_t seal_start(uint32_t lane, uint32_t nfrags, uint64_t seq)
{
	return crc32c_word(crc32c_word(CRC32C_INIT, (uint64_t)nfrags << 32 | lane), seq);
}

static uint32_t super_crc(const struct wal_super *s)
{
	struct wal_super c = *s;

	c.magic = WAL_MAGIC;
	return crc32c(&c, offsetof(struct wal_super, crc));
}

void super_encode(struct wal_super *s)
{
	s->magic = WAL_MAGIC;
	s->version = WAL_VERSION;
	s->byte_order = WAL_BYTE_ORDER;
	s->crc = super_crc(s);
}

static bool super_sane(const struct wal_super *s)
{
	return s->lanes >= 1 && s->lanes <= LANES_MAX &&
	       (s->buf_size == 2048 || s->buf_size == 4096) &&
	       s->entries >= 64 && s->entries % 8 == 0 && s->entries <= 1ull << 32 &&
	       s->bufs >= s->lanes && s->bufs <= BUFS_MAX;
}

enum super_state super_decode(const struct wal_super *s)
{
	bool whole = MUTANT(super_crc_check) || s->crc == super_crc(s);

	if (s->magic == 0)
		return SUPER_BLANK;
	if (s->magic == __builtin_bswap64(WAL_MAGIC))
		return SUPER_ORDER;
	if (s->magic != WAL_MAGIC)
		return SUPER_BAD;
	if (s->byte_order == __builtin_bswap32(WAL_BYTE_ORDER))
		return SUPER_ORDER;
	/* In another version the CRC may stand elsewhere: where it is wrong here, whether that is
	 * damage cannot be judged. */
	if (s->version != WAL_VERSION && !MUTANT(super_version_check))
		return whole ? SUPER_VERSION : SUPER_BAD;
	return whole && s->byte_order == WAL_BYTE_ORDER && super_sane(s) ? SUPER_VALID : SUPER_BAD;
}

void head_encode(struct wal_head *h, uint32_t lane, uint64_t gen, uint64_t pos, uint64_t seq)
{
	memset(h, 0, sizeof(*h));
	h->magic = HEAD_MAGIC;
	h->lane = lane;
	h->gen = gen;
	h->pos = pos;
	h->seq = seq;
	h->crc = crc32c(h, offsetof(struct wal_head, crc));
}

bool head_decode(const struct wal_head *h, uint32_t lane)
{
	if (h->crc != crc32c(h, offsetof(struct wal_head, crc)) && !MUTANT(head_crc_check))
		return false;
	return h->magic == HEAD_MAGIC && (h->lane == lane || MUTANT(head_lane_check)) && h->pos < POS_MAX &&
	       h->seq >= 1 && h->seq < POS_MAX && h->gen < POS_MAX;
}
