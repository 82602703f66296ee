/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storefile.h - the file STORE/store: who the store is, whether a WAL is attached to it,
 * and the lock that keeps a second process away.
 *
 * The block is kept twice; an update writes one copy, syncs, writes the other, syncs;
 * the valid one with the higher generation counts.  So at any moment one copy is
 * whole, and an update has happened when storefile_update returns 0 (after a failure:
 * either the old or the new one is there).
 */
#ifndef FILES_STOREFILE_H
#define FILES_STOREFILE_H

#include <stdbool.h>

#include "format/format.h"
#include "media/blk.h"

struct storefile {
	const struct blk_ops *blk;
	struct blk_file *file;
	struct blk_dir *root, *log;	/* STORE, STORE/log, held open; log NULL: not there yet */
	bool	 readonly;
	bool	 a_bad, b_bad;		/* this copy was not valid at open */
	bool	 a_unread, b_unread;	/* .. because the device could not read it */
	struct storefile_block b;		/* as last read or written */
	struct storefile_lane lane[LANES_MAX];	/* as last read or written; gen 0: blank */
	uint8_t	 lane_bad[LANES_MAX];	/* bits: copy A (1), copy B (2) was not valid at open */
	uint8_t	 lane_unread[LANES_MAX];	/* bits likewise: it could not be read */
	bool	 lanes_on;		/* the table is true: the next block written says so */
	bool	 lanes_off;		/* there is no room for the table */
	char	 dir[3072];		/* the path as given: to find root, and for messages */
};

enum storefile_found {
	STOREFILE_NONE,		/* no directory, or nothing of a store in it */
	STOREFILE_BLANK,		/* creation was cut: an empty or zero file, no lanes */
	STOREFILE_GOOD,
	STOREFILE_BAD,		/* no valid copy; or lanes without a store file */
	STOREFILE_UNREADABLE,	/* no valid copy; one cannot be read now, and may be valid */
	STOREFILE_VERSION,		/* a valid copy of another version */
	STOREFILE_ORDER,		/* a copy of another byte order */
};
/* Only looks, without the lock.  0 (*found, and *b if GOOD) or -errno. */
int  storefile_probe(const struct blk_ops *blk, const char *dir, enum storefile_found *found,
		     struct storefile_block *b);

/* why (may be NULL): on failure, at most why_len bytes that say what is wrong, with path and
 * advice.  All return 0, -errno, or one of error.h. */

/* A new store in dir, whose last component is made if it is not there.  The directory
 * may hold `lost+found`, `wal`, `pktbufs` and a BLANK store, nothing else
 * (STORE_EFORMAT).  b: segment_bytes, class and created_ms as given; uuid and the rest
 * are filled in.  Locked and open afterwards. */
int  storefile_create(struct storefile *s, const struct blk_ops *blk, const char *dir,
		      const struct storefile_block *b, char *why, size_t why_len);
/* Opens an existing store and locks it (STORE_EBUSY).  Unless readonly, a copy that is not
 * valid is written again from the other.  STORE_ENODIR, STORE_EFORMAT, STORE_EVERSION,
 * STORE_EBYTEORDER. */
int  storefile_open(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
		    char *why, size_t why_len);
/* Opens a store whose file has no valid copy, or is lost: everything but the block, which the
 * caller has to find out (s->b).  A file that is not there is not made: s->file is NULL then. */
int  storefile_open_lost(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
			 char *why, size_t why_len);
/* Writes the lane table as it is known, then s->b to both copies; makes the file if need be. */
int  storefile_write_again(struct storefile *s);
/* Writes the next generation of the block, with these contents, to both copies. */
int  storefile_update(struct storefile *s, uint32_t flags, uint32_t class, const char *nvmm_path,
		      uint64_t segment_bytes);
/* The bond that a wal of this store must have; s->file NULL (lost): ino 0. */
int  storefile_bond(const struct storefile *s, struct wal_bond *b);
void storefile_close(struct storefile *s);

/* True: the path that the store was opened by does not lead to it any more. */
bool storefile_moved(const struct storefile *s);
/* Whether the file `store` has a second name (a hard link), which a start refuses. */
bool storefile_linked(const struct storefile *s);
/* 0: the store's folder, the file `store` and log/ still have their names.  -ENOENT: one has
 * lost its name (*what: which), so another start would not find what is written now, or the
 * lock went with the name. */
int  storefile_watch(const struct storefile *s, const char **what);

/* storefile_lanes.c: the lane table.  storefile_open reads it. */
int  storefile_lanes_read(struct storefile *s);
/* The lane's entry: what the lane once had; NULL: nothing is known of the lane. */
const struct storefile_lane *storefile_lane(const struct storefile *s, unsigned lane);
/* Writes the entry; of *want all but magic, gen and crc count.  Durable when it returns 0. */
int  storefile_lane_write(struct storefile *s, const struct storefile_lane *want);
/* Drops the table that was read: it belongs to another store. */
void storefile_lanes_forget(struct storefile *s);
int  storefile_lanes_write(struct storefile *s);	/* the whole table, as it is known */
/* storefile_lane_write for a segment log (struct seglog_options: note). */
int  storefile_lane_note(void *store, const struct storefile_lane *want);
/* Adds the flag STOREFILE_OPEN to the block, before recovery writes anything. */
int  storefile_mark_open(struct storefile *s);

/* "007", the name of a lane's folder in s->log. */
#define STOREFILE_LANE_NAME 12
void storefile_lane_name(char name[STOREFILE_LANE_NAME], unsigned lane);
/* Make the directories of lanes [0, n) that are not there; synced. */
int  storefile_lanes_make(struct storefile *s, unsigned n);
/* Which lanes have a directory: sets set[lane] (LANES_MAX entries); *n: the highest + 1. */
int  storefile_lanes_list(const struct storefile *s, bool *set, unsigned *n);

void storefile_block_encode(struct storefile_block *b);		/* sets magic .. order, crc */
int  storefile_block_check(const struct storefile_block *b);	/* 0, -ENODATA all zero, STORE_E* */

#endif
