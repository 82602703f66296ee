/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bond.h - which store a wal belongs to, where the uuid is not enough, because a store and its
 * copies have the same.  These functions look at bytes in memory only, and open no file.
 */
#ifndef FILES_BOND_H
#define FILES_BOND_H

#include <stdbool.h>

#include "format/format.h"

void bond_encode(struct wal_bond *b);		/* sets magic and crc */
/* Whether the wal's bond is with this store; store->ino 0: the file `store` is lost. */
bool bond_fits(const struct wal_bond *wal, const struct wal_bond *store);

static inline uint32_t bond_off(unsigned copy)	/* in the wal; copy A is 0, B is 1 */
{
	return (copy ? WAL_SUPER_B : WAL_SUPER_A) + WAL_BOND;
}
/* Which copies are valid: 1 A, 2 B, 3 both, BOND_TWICE both and the same; *bond: one of them.
 * wal: the first two pages of it. */
#define BOND_TWICE 7u
unsigned bond_find(const uint8_t *wal, struct wal_bond *bond);

#endif
