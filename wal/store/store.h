/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - a store: open (which recovers), lanes, checkpoint, read-back, close.
 * The public header of wal/.  0 or -errno, or one of STORE_E* (error.h).
 *
 * Threads: store_open and store_close by one; each lane (lane.h) by its worker;
 * store_background by one thread of its own (the checkpointer); store_read_*, store_follow and
 * store_stats by any.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "format/absent.h"
#include "format/format.h"
#include "lane/follow.h"
#include "lane/lane.h"
#include "lane/pool.h"
#include "media/blk.h"
#include "media/pm.h"
#include "segment/floor.h"
#include "util/clock.h"
#include "util/error.h"

struct report;		/* recover.h: what was found and done */

struct store_options {
	const char	*store_dir;
	const char	*nvmm_path;	/* directory or device-dax; NULL: none */
	enum durability_class	 class;		/* resolved, never "auto" */
	bool		 adopt;		/* take a wal over that belongs to a copy of the store */
	unsigned	 lanes;		/* one per worker */
	uint64_t	 pool_bytes;	/* all lanes together */
	unsigned	 buf_size;
	uint64_t	 segment_bytes;
	uint64_t	 retain_bytes;	/* per store, at least RETAIN_SEGMENTS a lane; 0: no limit */
	uint64_t	 retain_ms;	/* 0: no limit */
	uint64_t	 record_bytes_max;	/* largest record; segments must hold one */
	const struct pm_ops  *pm;	/* NULL: pm_nvmm */
	const struct blk_ops *blk;	/* NULL: blk_file_ops */
	uint64_t	(*now_ms)(void);	/* wall clock; NULL: the system's */
	uint64_t	(*boot_ms)(void);	/* and what clock.h compares it with; NULL: likewise */
	bool		(*clock_synced)(void);
	uint64_t	boot;		/* which boot of the machine this is; 0: the system's, or not known
					 * where pm is a simulator */
	/* Called now and then while recovering: bytes done and in all (0: unknown). */
	void		(*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void		*progress_arg;
};

struct store;
/* Creates the store where there is none, recovers, and is ready for appends.  *why
 * (may be NULL; at most why_len bytes) says in words what stopped it, with the
 * path and what to do. */
int  store_open(struct store **s, const struct store_options *o, char *why, size_t why_len);
const struct report *store_open_report(const struct store *s);
/* Checkpoints everything, detaches, closes.  The workers have stopped. */
int  store_close(struct store *s);

enum durability_class store_class(const struct store *s);
struct lane *store_lane(struct store *s, unsigned i);
struct pool *store_pool(struct store *s, unsigned i);
uint8_t *store_pool_base(const struct store *s, size_t *len);	/* to register with a ring */
/* The persistent memory that is mapped: which file of it is where. */
#define STORE_MEMORIES 2u
struct store_memory {
	const uint8_t *addr;
	size_t	 len;
	uint64_t off;			/* in the file, of addr */
	char	 path[3072];
};
unsigned store_memory(const struct store *s, struct store_memory m[STORE_MEMORIES]);	/* how many */
/* fsync: where the worker's commits go.  Before the first append. */
void store_lane_aio(struct store *s, unsigned i, struct blk_aio *aio);

/* One pass of the checkpointer over all lanes: moves committed records of the
 * nvmm classes into the segments (at most about `slice_bytes` written, then
 * sync, head, and so on); prepares the next segment of each lane; applies
 * retention.  Returns what is left to do: 0 nothing, 1 call again now, or
 * -errno for a failure that is final for a lane (the others go on). */
int  store_background(struct store *s, uint64_t slice_bytes);
/* Why nothing expires by age, as the last pass found it (clock.h).  Any thread. */
enum clock_trust store_clock_trust(const struct store *s);

/* After a pass, when what it came to has been told: moves FOLLOW_PASS of each lane, and
 * FOLLOW_TURN of those whose writer should look at the age of its segment.  How many followers
 * were woken.  By the thread of store_background. */
unsigned store_passed(struct store *s);

/* Waits until the level of the lane has reached seq (follow.h).  1: wake() will be called; 0: it
 * is reached, wake() is not called; -ENOENT: it has no worker in this run, so nothing moves it. */
int  store_follow(struct store *s, unsigned lane, enum follow_level level, uint64_t seq, struct follower *f);
/* How far it is; 0 where nothing moves it. */
uint64_t store_reached(const struct store *s, unsigned lane, enum follow_level level);

/* Holds the floor at that number of the lane, or moves it there in the same lane (floor.h).  0; -ENOENT: the store
 * has no such lane.  Lanes of earlier starts with more workers have floors too. */
int  store_floor(struct store *s, unsigned lane, uint64_t seq, struct floor *f);
void store_floor_drop(struct store *s, struct floor *f);	/* also of one that is not held */

/* Whether the files are still where another start would look for them, which a running
 * server does not notice by itself.  Called by the thread of store_background, every second
 * or so: a few lookups of names, and one a segment.  Where what is acknowledged now could
 * not come back, the lanes fail (STORE_EGONE). */
struct store_watch {
	bool	 moved;		/* the store's path leads elsewhere: it is worked on where it is now */
	bool	 wal_moved;	/* the wal's does */
	unsigned missing;	/* segments whose file has lost its name, or its end: what only they hold is lost */
	unsigned lane;		/* of the first of them */
	uint64_t segno;
	bool	 gone;		/* lanes have failed for it */
	char	 what[64];	/* gone: which file or folder */
	char	 linked[64];	/* a file with another name, for which the next start refuses all; "": none */
};
void store_watch(struct store *s, struct store_watch *x);

/* Read-back.  Only what is in synced segments is found; for the nvmm classes
 * store_unsettled() tells whether records of the lane still wait for a checkpoint. */
bool store_unsettled(const struct store *s, unsigned lane, uint64_t seq);
struct store_record {
	unsigned lane;
	uint64_t seq, time_ms;
	const uint8_t *data;	/* head and body; valid until the next record is looked for */
	uint32_t len;
	uint32_t have;		/* so many of them are at data: all, or as many as have a head */
};
struct store_cursor;
/* A cursor at the first record of the lane with sequence >= seq. */
int  store_read_open(struct store *s, unsigned lane, uint64_t seq, struct store_cursor **c);
/* 1: *r is the next record; 0: no more now; -EIO etc.  A record whose CRC fails is
 * skipped. */
int  store_read_next(struct store_cursor *c, struct store_record *r);
/* The same for one thread that serves many: 2: a part of a large record was checked, call
 * again; 1: *r is the next record, checked, and store_read_more reads what of it is not at
 * r->data, in its order.  -EBADMSG, with the last part: it has changed meanwhile. */
int  store_read_find(struct store_cursor *c, struct store_record *r);
#define STORE_READ_AGAIN 2
int  store_read_more(struct store_cursor *c, void *to, uint32_t n);
void store_read_close(struct store_cursor *c);
/* Bounds of a lane: the oldest sequence still held and the newest durable one
 * (oldest > newest: none).  Anything in [1, oldest) has expired.  -ENOENT: no such
 * lane.  Lanes of earlier starts with more workers are still there. */
int  store_read_bounds(struct store *s, unsigned lane, uint64_t *oldest, uint64_t *newest);

/* Why the lane has no record of this number; to be asked when a cursor has gone past it.
 * 0; -ENOENT: no such lane; -ENOMEM and so on: it could not be found out. */
int  store_read_absent(struct store *s, unsigned lane, uint64_t seq, struct absence *a);

struct store_lane_stats {
	uint64_t records, bytes;		/* appended since start */
	uint64_t durable_seq, settled_seq;	/* settled: in synced segments */
	uint64_t commits;			/* batches made durable */
	uint64_t checkpoints, checkpoint_bytes;
	uint64_t segments, segment_bytes;	/* files held, their size */
	uint64_t oldest_seq, oldest_ms;
	uint64_t gathered_bytes;
	uint64_t expired_records;
	uint64_t floor_seq;			/* the lowest number that a floor holds; 0: none */
	uint64_t held_segments;			/* that retention would have removed but for the floor */
	int	 failed;			/* 0 or -errno */
	int	 nospace;			/* 1 while there is no room for the next segment */
	int	 prepare_err;			/* why there is no next segment: -errno of the last try, 0 */
	int	 turn;				/* fsync: 1 while its worker should look at the segment's age (lane_commit) */
	int	 retain_err;			/* why the last pass could not remove what has expired, 0 */
	unsigned fill_pct;
};
unsigned store_lanes(const struct store *s);	/* lanes that the store knows, old ones too; at most LANES_MAX */
int  store_stats(struct store *s, unsigned lane, struct store_lane_stats *st);

#endif
