/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - a store: open (which recovers), lanes, checkpoint, read-back, close.
 * The public header of wal/.  Functions return 0, -errno, or one of STORE_E* (error.h).
 *
 * Threads: store_open and store_close are called by one; each lane (lane.h) is used by its
 * worker; store_background has a thread of its own (the checkpointer); store_read_*,
 * store_follow and store_stats may be called by any.
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

struct report;		/* recover.h: what recovery found and did */

struct store_options {
	const char	*store_dir;
	const char	*nvmm_path;	/* directory or device-dax; NULL: none */
	enum durability_class	 class;		/* a definite one, never "auto" */
	bool		 adopt;		/* take over a wal that belongs to a copy of the store */
	unsigned	 lanes;		/* one per worker */
	uint64_t	 pool_bytes;	/* all lanes together */
	unsigned	 buf_size;
	uint64_t	 segment_bytes;
	uint64_t	 retain_bytes;	/* all lanes; RETAIN_SEGMENTS each at least; 0: no limit */
	uint64_t	 retain_ms;	/* 0: no limit */
	uint64_t	 record_bytes_max;	/* largest record; segments must hold one */
	const struct pm_ops  *pm;	/* NULL: pm_nvmm */
	const struct blk_ops *blk;	/* NULL: blk_file_ops */
	uint64_t	(*now_ms)(void);	/* wall clock; NULL: the system's */
	uint64_t	(*boot_ms)(void);	/* time since boot (clock.h); NULL: the system's */
	bool		(*clock_synced)(void);	/* likewise */
	uint64_t	boot;		/* which boot of the machine this is; 0: the system's, or
					 * unknown if pm is a simulator */
	/* Called now and then during recovery: bytes done and in all (0: unknown). */
	void		(*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void		*progress_arg;
};

struct store;
/* Creates the store where there is none, recovers, and returns it ready for appends.
 * why (may be NULL): at most why_len bytes that say what stopped it, with the path and
 * what to do. */
int  store_open(struct store **s, const struct store_options *o, char *why, size_t why_len);
const struct report *store_open_report(const struct store *s);
/* Checkpoints everything, detaches the wal, closes.  The workers must have stopped before. */
int  store_close(struct store *s);

enum durability_class store_class(const struct store *s);
struct lane *store_lane(struct store *s, unsigned i);
struct pool *store_pool(struct store *s, unsigned i);
uint8_t *store_pool_base(const struct store *s, size_t *len);	/* to register with a ring */
/* The persistent memory that is mapped: which part of which file is at which address. */
#define STORE_MEMORIES 2u
struct store_memory {
	const uint8_t *addr;
	size_t	 len;
	uint64_t off;			/* in the file, of addr */
	char	 path[3072];
};
/* Returns how many. */
unsigned store_memory(const struct store *s, struct store_memory m[STORE_MEMORIES]);
/* fsync: what writes and syncs the worker's batches.  To be set before the first append. */
void store_lane_aio(struct store *s, unsigned i, struct blk_aio *aio);

/* One pass of the checkpointer over all lanes: moves committed records of the
 * nvmm classes into the segments (at most about `slice_bytes` written, then
 * sync, head, and so on); prepares the next segment of each lane; applies
 * retention.  0: nothing is left to do; 1: call again now; -errno: a failure that is
 * final for a lane (the others go on). */
int  store_background(struct store *s, uint64_t slice_bytes);
/* Whether the last pass trusted the clock, or why nothing expires by age (clock.h).  Any
 * thread. */
enum clock_trust store_clock_trust(const struct store *s);

/* To be called by the thread of store_background, when the result of a pass has been published:
 * moves FOLLOW_PASS of each lane, and FOLLOW_TURN of those whose writer should look at the age of
 * its segment.  Returns how many followers were woken. */
unsigned store_passed(struct store *s);

/* Has f follow the level of the lane until that reaches seq (follow.h).  1: wake() will be called;
 * 0: seq is reached, wake() is not called; -ENOENT: the lane has no worker in this run, so nothing
 * moves the level. */
int  store_follow(struct store *s, unsigned lane, enum follow_level level, uint64_t seq, struct follower *f);
/* The number that the level has reached; 0 if nothing moves it. */
uint64_t store_reached(const struct store *s, unsigned lane, enum follow_level level);

/* Holds the floor at that number of the lane; a floor that is held already moves there, in its
 * lane (floor.h).  0; -ENOENT: the store has no such lane.  Lanes of earlier starts with more
 * workers have floors too. */
int  store_floor(struct store *s, unsigned lane, uint64_t seq, struct floor *f);
void store_floor_drop(struct store *s, struct floor *f);	/* also of one that is not held */

/* Looks whether the files are still where another start would look for them, which a running
 * server does not notice by itself.  Called by the thread of store_background, every second
 * or so: a few lookups of names, and one per segment.  Where what is acknowledged now could
 * not come back, the lanes fail (STORE_EGONE). */
struct store_watch {
	bool	 moved;		/* the store's path leads elsewhere; the store goes on */
	bool	 wal_moved;	/* likewise the wal's path */
	unsigned missing;	/* segments whose file lost its name or its end; what only
				 * they hold is lost */
	unsigned lane;		/* the lane and number of the first of them */
	uint64_t segno;
	bool	 gone;		/* lanes have failed, since a file or folder is gone */
	char	 what[64];	/* which */
	char	 linked[64];	/* a file with a second name, for which the next start refuses the
				 * store; "": none */
};
void store_watch(struct store *s, struct store_watch *x);

/* Read-back.  Only what is in synced segments is found; for the nvmm classes
 * store_unsettled() tells whether this record is durable and waits for a checkpoint. */
bool store_unsettled(const struct store *s, unsigned lane, uint64_t seq);
struct store_record {
	unsigned lane;
	uint64_t seq, time_ms;
	const uint8_t *data;	/* head and body; valid until the next record is sought */
	uint32_t len;
	uint32_t have;		/* how many of them are at data: all, or enough for the head */
};
struct store_cursor;
/* Opens a cursor at the first record of the lane with sequence >= seq. */
int  store_read_open(struct store *s, unsigned lane, uint64_t seq, struct store_cursor **c);
/* 1: *r is the next record; 0: no more now; -EIO and so on.  A record whose CRC fails
 * is skipped. */
int  store_read_next(struct store_cursor *c, struct store_record *r);
/* The same for one thread that serves many clients.  STORE_READ_AGAIN: a part of a large record
 * was checked, call again; 1: *r is the next record, checked; store_read_more reads, in order,
 * the bytes that are not at r->data, and returns -EBADMSG with the last of them if the record
 * has changed since it was checked. */
int  store_read_find(struct store_cursor *c, struct store_record *r);
#define STORE_READ_AGAIN 2
int  store_read_more(struct store_cursor *c, void *to, uint32_t n);
void store_read_close(struct store_cursor *c);
/* Bounds of a lane: the oldest sequence still held and the newest durable one
 * (oldest > newest: none).  Anything in [1, oldest) has expired.  -ENOENT: no such
 * lane.  Lanes of earlier starts with more workers are still there. */
int  store_read_bounds(struct store *s, unsigned lane, uint64_t *oldest, uint64_t *newest);

/* Finds out why the lane has no record of this number, when a cursor has gone past that.
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
	uint64_t held_segments;			/* kept from retention by a floor alone */
	int	 failed;			/* 0 or -errno */
	int	 nospace;			/* 1 while there is no room for the next segment */
	int	 prepare_err;			/* next segment: -errno of the last try; 0: made */
	int	 turn;				/* fsync: 1 while the worker should look at
						 * the age of its segment (lane_commit) */
	int	 retain_err;			/* retention: -errno of the last pass; 0: done */
	unsigned fill_pct;
};
/* How many lanes the store knows, those of earlier starts too; at most LANES_MAX. */
unsigned store_lanes(const struct store *s);
int  store_stats(struct store *s, unsigned lane, struct store_lane_stats *st);

#endif
