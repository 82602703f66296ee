/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bond.c - which store a wal belongs to (struct wal_bond in format.h); walfile.c writes it.
 *
 * The uuid alone does not say it: a copy of a store has the same.  So the bond names the
 * store by what a copy does not share: the inode number of its file `store`.  The file system
 * of that file is recognised by its id or by the path to the store, since either may change
 * while the store stays the same: a store that is renamed keeps the id, and some file systems
 * get another id with the next mount.
 *
 * A bond is written before the first word of the wal is changed on behalf of its store, and
 * taken away when the store has been closed and needs the wal no more.  While the bond
 * stands, every other store is refused, unless it is started with --adopt.
 */
#include <stddef.h>
#include <string.h>

#include "files/bond.h"
#include "util/crc32c.h"

static uint32_t bond_crc(const struct wal_bond *b)
{
	return crc32c(b, offsetof(struct wal_bond, crc));
}

void bond_encode(struct wal_bond *b)
{
	b->magic = BOND_MAGIC;
	b->crc = bond_crc(b);
}

static bool bond_valid(const struct wal_bond *b)
{
	return b->magic == BOND_MAGIC && b->crc == bond_crc(b) &&
	       memchr(b->path, 0, sizeof(b->path));
}

bool bond_fits(const struct wal_bond *wal, const struct wal_bond *store)
{
	bool path = !strcmp(wal->path, store->path), fs = wal->fsid == store->fsid;

	if (memcmp(wal->uuid, store->uuid, sizeof(wal->uuid)))
		return false;
	if (!store->ino)		/* the file `store` is lost: both of the others must fit */
		return path && fs;
	return wal->ino == store->ino && (path || fs);
}

unsigned bond_find(const uint8_t *wal, struct wal_bond *bond)
{
	struct wal_bond b[2];
	bool ok[2];

	for (unsigned i = 0; i < 2; i++) {
		memcpy(&b[i], wal + bond_off(i), sizeof(b[i]));
		ok[i] = bond_valid(&b[i]);
	}
	if (!ok[0] && !ok[1])
		return 0;
	*bond = ok[0] ? b[0] : b[1];
	return (unsigned)ok[0] | (unsigned)ok[1] << 1 |
	       (ok[0] && ok[1] && !memcmp(&b[0], &b[1], sizeof(b[0])) ? BOND_TWICE : 0);
}
