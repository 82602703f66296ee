/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walfile.h - the files `wal` and `pktbufs` (or the one device-dax that holds
 * both): maps, checks and creates them, and writes the lanes' heads.  What the words
 * in a ring mean is in scan.h and lane.h.
 *
 * Which copies of the superblock can be found, and what it means:
 *
 *	A		B		verdict
 *	valid		the same	good
 *	valid		zero, bad	good; B is reported, and written again (not read-only)
 *	zero, bad	valid		good; the same for A
 *	valid		another	STORE_EFORMAT: no crash of ours leaves two valid ones that differ
 *	any		newer		STORE_EVERSION, STORE_EBYTEORDER: another format is no
 *					damage that may be written over; the same for A
 *	zero		zero		-ENOENT: blank; nothing was ever acknowledged, if the
 *					rest is zeros too (walfile_remains)
 *	unreadable	not valid	-EIO: the unreadable one may be valid; the same for B
 *	anything else			STORE_EVERSION, STORE_EBYTEORDER or STORE_EFORMAT
 *
 * "zero" means the magic alone, which is written last.  Of a lane's head the valid
 * copy with the higher gen counts.  Without a valid copy the lane's `lost` is set:
 * which of its words are records is not known, and none may be overwritten unasked.
 */
#ifndef FILES_WALFILE_H
#define FILES_WALFILE_H

#include "format/format.h"
#include "media/pm.h"
#include "media/pm_image.h"

struct walfile_lane {
	uint64_t gen, pos, seq;	/* the durable head; written by whoever checkpoints the lane */
	bool	 lost;		/* no copy was valid */
	bool	 bad_a, bad_b;	/* this copy was not valid when it was read */
};

struct walfile {
	const struct pm_ops *pm;
	struct pm_map	 wal, bufs;	/* read_only: memory, filled from the images */
	struct pm_image	 wal_image, bufs_image;	/* if read_only */
	struct wal_super super;		/* the valid one */
	bool	 read_only;
	bool	 super_bad_a, super_bad_b;	/* this copy was not valid when it was read */
	struct wal_bond	 bond;		/* valid if bonded */
	bool	 bonded, bond_twice;	/* a copy is valid; both are valid, and the same */
	bool	 bond_bad_b;		/* copy A alone is valid */
	struct walfile_lane lane[LANES_MAX];	/* [super.lanes] */
};

struct walfile_want {		/* what a new wal shall be */
	uint8_t	 uuid[16];
	uint32_t lanes, buf_size;
	uint64_t entries;	/* per lane; multiple of 8, at least 64 */
	uint64_t bufs;		/* all lanes */
	enum durability_class cls;	/* if class_needs_nvmm(), MAP_SYNC must be proven */
	uint64_t now_ms;
	const uint64_t *next_seq;	/* [lanes], NULL: 1 each */
	const struct wal_bond *bond;	/* NULL: it belongs to no store */
};

/* path: a directory (files path/wal, path/pktbufs) or a device-dax.  uuid NULL: a wal of any
 * store will do.  0; -ENOENT nothing there, or blank; -EOPNOTSUPP want_sync and no
 * MAP_SYNC; STORE_EMISMATCH, STORE_EFORMAT (also: truncated, or pktbufs is missing),
 * STORE_EVERSION, STORE_EBYTEORDER; -errno.  A damaged copy of the superblock is written
 * again unless read_only.  *w is valid after 0 only. */
int  walfile_open(struct walfile *w, const struct pm_ops *pm, const char *path,
		  bool want_sync, const uint8_t uuid[16]);
/* Writes nothing, and gets no signal from a bad line of memory: the files are read, not mapped
 * (pm_image.h).  pm NULL: pm_nvmm.  Bytes of the buffers have to be fetched before they are
 * looked at; bytes of the wal that cannot be read are zeros, and walfile_fetch says so. */
int  walfile_open_ro(struct walfile *w, const struct pm_ops *pm, const char *path,
		     const uint8_t uuid[16]);
/* Creates a wal where there is none, or over one that is blank or whose lanes are all in the
 * segments (which the caller knows).  The old magics are zeroed first, the new ones written
 * last.  Files grow, never shrink.  0 or as walfile_open. */
int  walfile_create(struct walfile *w, const struct pm_ops *pm, const char *path,
		    const struct walfile_want *want);
void walfile_close(struct walfile *w);
/* For a wal whose magics are zero (-ENOENT): whether it was used all the same, since something
 * in it is not zero or cannot be read.  *bond: the store that it names; magic 0: it names
 * none. */
bool walfile_remains(const struct pm_ops *pm, const char *path, struct wal_bond *bond);
/* The names of the wal's two files (or of the one device), and where the buffers begin in
 * theirs. */
void walfile_parts(const char *path, const struct walfile *w, char *wal, char *bufs, size_t n,
		   uint64_t *bufs_off);
/* Makes [p, p + n) of the wal or of the buffers ready to be looked at.  false: some of it cannot
 * be read, its memory is bad.  A mapping for writing has no such lines. */
bool walfile_fetch(struct walfile *w, const void *p, size_t n);
void walfile_drop(struct walfile *w);	/* frees what was fetched of the buffers */

/* Where the buffers begin: 0, or on a device-dax behind the wal, at the device's alignment. */
uint64_t walfile_bufs_off(const char *path, uint32_t lanes, uint64_t entries);
uint64_t walfile_bytes(uint32_t lanes, uint64_t entries);	/* of the file wal */

static inline uint64_t *walfile_ring(const struct walfile *w, unsigned lane)
{
	return (uint64_t *)(w->wal.addr + WAL_RINGS) + lane * w->super.entries;
}
static inline uint32_t walfile_share(const struct walfile *w)	/* buffers per lane */
{
	return (uint32_t)(w->super.bufs / w->super.lanes);
}

/* The bond (bond.h) of a wal that is mapped or read: load sets w->bonded and w->bond; write and
 * clear change one copy after the other, and are durable when they return. */
void walfile_bond_load(struct walfile *w);
void walfile_bond_write(struct walfile *w, const struct wal_bond *b);
void walfile_bond_clear(struct walfile *w);

/* Writes the lane's head: everything before `pos`, numbered below `seq`, is in synced segments.
 * Durable when it returns (copy A, then copy B). */
void walfile_head(struct walfile *w, unsigned lane, uint64_t pos, uint64_t seq);
/* At start, after everything was replayed: the head goes to the first position of the
 * lap behind all that the ring can hold, with sequence seq; then the ring is zeroed.  If
 * the head is lost, that lap is not known: then the ring is zeroed first. */
void walfile_restart(struct walfile *w, unsigned lane, uint64_t seq);

#endif
