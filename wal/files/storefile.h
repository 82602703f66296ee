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
	struct blk_dir *root, *log;	/* held from the start; log: NULL while there is none */
	bool	 readonly;
	bool	 a_bad, b_bad;		/* this copy was not valid at open */
	bool	 a_unread, b_unread;	/* for the device could not read it */
	struct storefile_block b;		/* as last read or written */
	struct storefile_lane lane[LANES_MAX];	/* the table, as last read or written; gen 0: blank */
	uint8_t	 lane_bad[LANES_MAX];	/* at open copy A (1), copy B (2) was not valid */
	uint8_t	 lane_unread[LANES_MAX];	/* likewise: could not be read */
	bool	 lanes_on;		/* the table is true: written with the next block */
	bool	 lanes_off;		/* there is no room for one */
	char	 dir[3072];		/* as it was given: to find root, and for messages */
};

enum storefile_found {
	STOREFILE_NONE,		/* no directory, or nothing in it that is a store's */
	STOREFILE_BLANK,		/* the file is empty or all zero and log/ has no lane: a cut creation */
	STOREFILE_GOOD,
	STOREFILE_BAD,		/* no valid copy; or lanes without a store file */
	STOREFILE_UNREADABLE,	/* no valid copy, and one cannot be read now: it may be the right one */
	STOREFILE_VERSION,		/* a valid copy of another version */
	STOREFILE_ORDER,		/* of another byte order */
};
/* Looks only, without the lock.  0 (*found, and *b if GOOD) or -errno. */
int  storefile_probe(const struct blk_ops *blk, const char *dir, enum storefile_found *found,
		     struct storefile_block *b);

/* why: at most why_len bytes of words with path and advice on failure (may be NULL).
 * All return 0, -errno, or STORE_E*. */

/* A new store in dir, whose last component is made if it is not there.  The directory
 * may hold `lost+found`, `wal`, `pktbufs` and a BLANK store, nothing else
 * (STORE_EFORMAT).  b: segment_bytes, class and created_ms as given; uuid and the rest
 * are filled in.  Locked and open afterwards. */
int  storefile_create(struct storefile *s, const struct blk_ops *blk, const char *dir,
		      const struct storefile_block *b, char *why, size_t why_len);
/* An existing one.  Writing: locked (STORE_EBUSY), and a copy that is not valid is written
 * again from the other.  STORE_ENODIR, STORE_EFORMAT, STORE_EVERSION, STORE_EBYTEORDER.
 * readonly: locked too, nothing is written. */
int  storefile_open(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
		    char *why, size_t why_len);
/* Where no copy is valid, or there is no file: everything but the block, which the caller
 * finds out (s->b).  readonly or not there: nothing is made; s->file is NULL then. */
int  storefile_open_lost(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
			 char *why, size_t why_len);
/* The table as it is known, then s->b on both copies; the file made if need be. */
int  storefile_write_again(struct storefile *s);
/* The next generation with these contents, on both copies. */
int  storefile_update(struct storefile *s, uint32_t flags, uint32_t class, const char *nvmm_path,
		      uint64_t segment_bytes);
/* What a wal of this store has to say of it; s->file NULL (lost): ino 0. */
int  storefile_bond(const struct storefile *s, struct wal_bond *b);
void storefile_close(struct storefile *s);

/* Whether the path that the store was opened by still leads to it. */
bool storefile_moved(const struct storefile *s);
/* Whether the file `store` has another name: a start refuses it. */
bool storefile_linked(const struct storefile *s);
/* Whether the folder, the file `store` or log/ has lost its name: 0; -ENOENT: nothing that
 * is written now can be found by another start, or the lock went with the name.  *what:
 * which. */
int  storefile_watch(const struct storefile *s, const char **what);

/* storefile_lanes.c: the lane table.  storefile_open reads it. */
int  storefile_lanes_read(struct storefile *s);
/* What the lane once had; NULL: nothing is known of it. */
const struct storefile_lane *storefile_lane(const struct storefile *s, unsigned lane);
/* want: all but magic, gen and crc.  Durable when it returns 0. */
int  storefile_lane_write(struct storefile *s, const struct storefile_lane *want);
/* It is another store's. */
void storefile_lanes_forget(struct storefile *s);
int  storefile_lanes_write(struct storefile *s);	/* all of it, as it is known */
int  storefile_lane_note(void *store, const struct storefile_lane *want);	/* the same, for a segment log */
/* STOREFILE_OPEN, and nothing else: before recovery writes anything. */
int  storefile_mark_open(struct storefile *s);

/* "007", the name of a lane's folder in s->log. */
#define STOREFILE_LANE_NAME 12
void storefile_lane_name(char name[STOREFILE_LANE_NAME], unsigned lane);
/* Make the directories of lanes [0, n) that are not there; synced. */
int  storefile_lanes_make(struct storefile *s, unsigned n);
/* Which lanes have a directory: set[lane] = true (LANES_MAX entries); *n: highest + 1. */
int  storefile_lanes_list(const struct storefile *s, bool *set, unsigned *n);

void storefile_block_encode(struct storefile_block *b);		/* magic, version, byte order, crc */
int  storefile_block_check(const struct storefile_block *b);	/* 0, -ENODATA all zero, STORE_E* */

#endif
