/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bond.h - which store a wal belongs to, where its uuid is not enough: of a store and its
 * copies.  Pure: a wal is its bytes here.
 */
#ifndef FILES_BOND_H
#define FILES_BOND_H

#include <stdbool.h>

#include "format/format.h"

void bond_encode(struct wal_bond *b);		/* magic, crc */
/* Whether the wal's bond is with this store; store->ino 0: the file `store` is lost. */
bool bond_fits(const struct wal_bond *wal, const struct wal_bond *store);

static inline uint32_t bond_off(unsigned copy)	/* in the wal; copy A is 0, B is 1 */
{
	return (copy ? WAL_SUPER_B : WAL_SUPER_A) + WAL_BOND;
}
/* Which copies are valid: A 1, B 2, both and the same BOND_TWICE; *bond: one of them.  wal: its
 * first two pages. */
#define BOND_TWICE 7u
unsigned bond_find(const uint8_t *wal, struct wal_bond *bond);

#endif
