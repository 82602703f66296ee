/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walfile.h - the files `wal` and `pktbufs` (or the one device-dax that holds
 * both): mapped, checked, created, their heads written.  What the words in a ring
 * mean is scan.h's and lane.h's business.
 *
 * Which copies of the superblock can be found, and what it means:
 *
 *	A		B		verdict
 *	valid		the same	good
 *	valid		zero, bad	good; B is reported, and written again (not read-only)
 *	zero, bad	valid		good; the same for A
 *	valid		another	STORE_EFORMAT: nothing we do leaves that behind
 *	any		newer		STORE_EVERSION, STORE_EBYTEORDER: of another format, which is no
 *					damage that may be written over; the same for A
 *	zero		zero		-ENOENT: blank; nothing was ever acknowledged, if the
 *					rest is zeros too (walfile_remains)
 *	unreadable	not valid	-EIO: it may be the right one; the same for A
 *	anything else			STORE_EVERSION, STORE_EBYTEORDER or STORE_EFORMAT
 *
 * "zero" looks at the magic alone: it is written last.  Heads: the valid copy with
 * the higher gen; no valid copy: the lane's `lost` is set, its words cannot be
 * told apart, and nothing of the lane may be overwritten by itself.
 */
#ifndef FILES_WALFILE_H
#define FILES_WALFILE_H

#include "format/format.h"
#include "media/pm.h"
#include "media/pm_image.h"

struct walfile_lane {
	uint64_t gen, pos, seq;	/* the durable head; written by whoever checkpoints the lane */
	bool	 lost;		/* no copy was valid */
	bool	 bad_a, bad_b;	/* that copy was not valid, as found */
};

struct walfile {
	const struct pm_ops *pm;
	struct pm_map	 wal, bufs;	/* read_only: memory, filled from the images */
	struct pm_image	 wal_image, bufs_image;	/* read_only */
	struct wal_super super;		/* the valid one */
	bool	 read_only;
	bool	 super_bad_a, super_bad_b;	/* as found */
	struct wal_bond	 bond;		/* valid if bonded */
	bool	 bonded, bond_twice;	/* a copy is valid; both are, and the same */
	bool	 bond_bad_b;		/* copy A alone is */
	struct walfile_lane lane[LANES_MAX];	/* [super.lanes] */
};

struct walfile_want {		/* what a new wal shall be */
	uint8_t	 uuid[16];
	uint32_t lanes, buf_size;
	uint64_t entries;	/* per lane; multiple of 8, at least 64 */
	uint64_t bufs;		/* all lanes */
	enum durability_class cls;	/* class_needs_nvmm: MAP_SYNC must be proven */
	uint64_t now_ms;
	const uint64_t *next_seq;	/* [lanes], NULL: 1 each */
	const struct wal_bond *bond;	/* NULL: nobody's */
};

/* path: a directory (files path/wal, path/pktbufs) or a device-dax.  uuid NULL: any
 * store's.  0; -ENOENT nothing there, or blank; -EOPNOTSUPP want_sync and no
 * MAP_SYNC; STORE_EMISMATCH, STORE_EFORMAT (also: truncated, or pktbufs is missing),
 * STORE_EVERSION, STORE_EBYTEORDER; -errno.  A damaged copy of the superblock is written
 * again unless read_only.  *w is valid after 0 only. */
int  walfile_open(struct walfile *w, const struct pm_ops *pm, const char *path,
		  bool want_sync, const uint8_t uuid[16]);
/* Never writes, and never meets a bad line with a signal: the files are read, not mapped
 * (pm_image.h).  pm NULL: the real ones.  What is in the buffers has to be fetched before it
 * is looked at; of the wal what cannot be read is zeros, and walfile_fetch says so. */
int  walfile_open_ro(struct walfile *w, const struct pm_ops *pm, const char *path,
		     const uint8_t uuid[16]);
/* Over nothing, over a blank wal, and over one whose lanes are all drained (the
 * caller knows): magics go first, and come last.  Files grow, never shrink.  0 or
 * as walfile_open. */
int  walfile_create(struct walfile *w, const struct pm_ops *pm, const char *path,
		    const struct walfile_want *want);
void walfile_close(struct walfile *w);
/* Of one whose magics are zero (-ENOENT): whether it was used all the same, for there is
 * something else than zeros, or what cannot be read.  *bond: whose it says it is; magic 0:
 * it does not. */
bool walfile_remains(const struct pm_ops *pm, const char *path, struct wal_bond *bond);
/* The names of its two files (or the one device, with where the buffers are in it). */
void walfile_parts(const char *path, const struct walfile *w, char *wal, char *bufs, size_t n,
		   uint64_t *bufs_off);
/* [p, p + n) of the wal or of the buffers is there to be looked at.  false: some of it cannot
 * be read, its memory is bad.  A mapping for writing has no such lines. */
bool walfile_fetch(struct walfile *w, const void *p, size_t n);
void walfile_drop(struct walfile *w);	/* nobody looks at what was fetched of the buffers any more */

/* Where the buffers are: 0, or on a device-dax behind the wal, where it can be mapped. */
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

/* The bond (bond.h): of a wal that is mapped, w->bonded and w->bond; the other two are durable
 * when they return, one copy after the other. */
void walfile_bond_load(struct walfile *w);
void walfile_bond_write(struct walfile *w, const struct wal_bond *b);
void walfile_bond_clear(struct walfile *w);

/* Everything of the lane before `pos`, numbered below `seq`, is in synced segments:
 * durable when it returns (copy A, then copy B). */
void walfile_head(struct walfile *w, unsigned lane, uint64_t pos, uint64_t seq);
/* At start, everything replayed: the head goes to the first position of the lap
 * behind all that the ring can hold, with sequence seq; then the ring is zeroed.  A
 * lost head does not tell that lap: the ring is zeroed first. */
void walfile_restart(struct walfile *w, unsigned lane, uint64_t seq);

#endif
