/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim.h - a file system in memory behind struct blk_ops that knows, besides
 * what reads see, what a power cut may leave.
 *
 * Per file: the bytes that reads see, the bytes that are durable, and for each
 * sector (512 bytes) the versions written since it was last synced.  A sync that
 * succeeds makes the newest versions durable.  A sync that fails makes them
 * doubtful for ever: no later sync covers them unless they are written again.
 * Directory operations are pending until sync_dir of their directory; a sync of a
 * file does not cover its name.  After a power cut each sector holds its durable
 * bytes or any of its versions, independently; the file's size is the durable one
 * or that after any of the writes; of the pending directory operations any subset
 * is done, in order, as far as they apply.  A folder that is opened counts as SIM_OPEN.
 *
 * A crash is a state at one moment: blk_sim_step() is called in front of every
 * operation that changes something; the callback may clone, cut and judge, or
 * return non-zero: then this operation (a write: as if begun) and all later ones
 * fail with -EIO, until the simulator is taken through blk_sim_killed or _cut.
 *
 * Choices come from a picker, so that they can be enumerated (struct sim_odo) or
 * sampled from a seed (struct sim_rng).  Not thread-safe.
 */
#ifndef BLK_SIM_H
#define BLK_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/blk.h"

#define SIM_SECTOR 512u

struct blk_sim;

enum sim_op {
	SIM_OPEN, SIM_READ, SIM_WRITE, SIM_SYNC, SIM_MKDIR, SIM_RENAME, SIM_UNLINK,
	SIM_SYNC_DIR, SIM_LIST, SIM_LOCK, SIM_OPS
};
const char *sim_op_name(enum sim_op op);

struct blk_sim *blk_sim_new(void);		/* empty but for "/" and "." */
void blk_sim_free(struct blk_sim *s);		/* no file may be open */
/* The table; valid as long as s. */
const struct blk_ops *blk_sim_ops(struct blk_sim *s);

/* ---- choices ---- */
struct sim_pick {			/* one of n: 0 oldest / not done .. n-1 newest / done */
	uint32_t (*pick)(struct sim_pick *p, uint32_t n);
};
struct sim_rng {			/* from a seed; each cut draws how much is kept */
	struct sim_pick p;
	uint64_t state;
	uint32_t mode, left;
};
void sim_rng_init(struct sim_rng *r, uint64_t seed);
uint64_t sim_rng_next(struct sim_rng *r);	/* any 64 bits */

struct sim_odo {			/* all of them, one after the other */
	struct sim_pick p;
	uint32_t *digit, *radix;
	size_t	  n, cap, at;
};
void sim_odo_init(struct sim_odo *o);
bool sim_odo_next(struct sim_odo *o);	/* false: that was the last; start over for each state */
void sim_odo_fini(struct sim_odo *o);

/* How many choices a power cut now would ask for, and the product of their sizes
 * (UINT64_MAX: more than that). */
unsigned blk_sim_choices(const struct blk_sim *s, uint64_t *states);

/* ---- crashes: a new simulator, nothing open, no locks, no faults ---- */
struct blk_sim *blk_sim_killed(const struct blk_sim *s);	/* all that was seen is there */
struct blk_sim *blk_sim_cut(const struct blk_sim *s, struct sim_pick *p);

/* In front of every operation that changes something (open with BLK_CREATE, write,
 * sync, mkdir, rename, unlink, sync_dir).  0: go on. */
void blk_sim_step(struct blk_sim *s, int (*step)(void *arg, enum sim_op op), void *arg);
uint64_t blk_sim_count(const struct blk_sim *s);	/* such operations so far */

/* ---- faults ---- */
/* From now the nth (1: the next) call of op fails with err (positive errno);
 * `times` calls in a row do (0: all that follow).  A failing write has written its
 * first half. */
void blk_sim_fault(struct blk_sim *s, enum sim_op op, unsigned nth, unsigned times, int err);
uint64_t blk_sim_calls(const struct blk_sim *s, enum sim_op op);
/* Room for so many bytes of files in all (0: no limit): -ENOSPC beyond. */
void blk_sim_capacity(struct blk_sim *s, uint64_t bytes);
uint64_t blk_sim_used(const struct blk_sim *s);

/* ---- looking and damaging, without counting as an operation ---- */
/* The bytes that reads see; NULL: no such file. */
const uint8_t *blk_sim_bytes(const struct blk_sim *s, const char *path, uint64_t *len);
int  blk_sim_flip(struct blk_sim *s, const char *path, uint64_t bit);	/* seen and durable */
/* The page at off (a multiple of SIM_BLOCK) cannot be read any more: who reads from it gets
 * -EIO, and who writes a part of it, which the kernel has to read first; a write of all of
 * it heals it.  At most 16 in a file. */
#define SIM_BLOCK 4096u
int  blk_sim_bad(struct blk_sim *s, const char *path, uint64_t off);
int  blk_sim_well(struct blk_sim *s, const char *path);	/* all of them can be read again, as they were */
int  blk_sim_link(struct blk_sim *s, const char *path, bool linked);	/* it has another name, elsewhere */
int  blk_sim_truncate(struct blk_sim *s, const char *path, uint64_t len);
int  blk_sim_put(struct blk_sim *s, const char *path, const void *p, uint64_t len);	/* durable, dirs too */
/* Two images are the same to a reader (names and bytes); else the first path that differs. */
bool blk_sim_same(const struct blk_sim *a, const struct blk_sim *b, char *where, size_t n);

/* ---- commits that complete later ---- */
struct sim_aio {
	struct blk_aio aio;
	int	 res;
	bool	 busy;		/* done, not handed out yet */
};
void sim_aio_init(struct sim_aio *a);
bool sim_aio_poll(struct sim_aio *a, int *res);	/* true: one completed */

#endif
