/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crc32c.h - CRC32C (Castagnoli, reflected), by the CPU's instruction where it has
 * one, else by table.
 *
 * A `state` is the raw register, without the inversions at both ends: start with
 * CRC32C_INIT, update in any pieces, crc32c_final() gives the checksum.
 */
#ifndef UTIL_CRC32C_H
#define UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_INIT 0xffffffffu

uint32_t crc32c_update(uint32_t state, const void *p, size_t n);
uint32_t crc32c_table(uint32_t state, const void *p, size_t n);	/* the same, always by table */
uint32_t crc32c_word(uint32_t state, uint64_t w);	/* the 8 bytes of w, lowest first */

/* The state that an update with the n bytes at p made into `state`.  Slow (a bit at a time). */
uint32_t crc32c_rewind(uint32_t state, const void *p, size_t n);

static inline uint32_t crc32c_final(uint32_t state)
{
	return ~state;
}

static inline uint32_t crc32c(const void *p, size_t n)
{
	return ~crc32c_update(CRC32C_INIT, p, n);
}

#endif
