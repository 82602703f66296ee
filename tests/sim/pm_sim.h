/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_sim.h - persistent memory behind struct pm_ops that knows, besides what the
 * processor sees, what a power cut may leave (the model in pm.h).
 *
 * Per file: the bytes that are seen, the bytes that are durable for sure, and for
 * each cache line the 8-byte stores since then, in program order.  A flush marks the
 * stores so far, a fence makes the marked ones durable.  After a power cut each line
 * holds its durable bytes and any prefix of the stores behind them, independently.
 *
 * Bytes that changed without a store (the kernel fills a packet buffer, a header is
 * overwritten in place, a piece is copied) are found by comparing: their line when it
 * is flushed or stored to, everything when a crash is looked at.  They count as stores
 * in ascending order.  pm_sim_dma() notes them at once.
 *
 * The use is that of blk_sim.h, whose pickers are taken, so that one picker can
 * drive both simulators:
 *
 *	pm_sim_step(s, cb, arg)		in front of every operation: look, cut, judge, go on;
 *					or return non-zero: s stays as it is now, whatever
 *					the program still does
 *	pm_sim_choices(s, &states)	how many lines are in doubt, how many states there are
 *	pm_sim_cut(s, picker)		a new simulator: one of these states
 *	pm_sim_states(s, ...)		all of them, or samples and the extremes
 *
 * A file's length, its blocks and its name are durable when allocate has ended: it makes the
 * file (PM_SIM_MAKE), then syncs it (PM_SIM_MAP).  In between a power cut may leave it as
 * it was, also when a process was killed there, until another allocate.  A page that is a
 * hole, or whose line is bad, may not be mapped for writing: who does that ends in abort(),
 * as it would by a signal.
 *
 * Anonymous memory (path NULL) is memory.  Not thread-safe.
 */
#ifndef PM_SIM_H
#define PM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blk_sim.h"
#include "media/pm.h"

struct pm_sim;

enum pm_sim_op { PM_SIM_MAP, PM_SIM_STORE, PM_SIM_ZERO, PM_SIM_FLUSH, PM_SIM_FENCE, PM_SIM_MAKE, PM_SIM_OPS };
const char *pm_sim_op_name(enum pm_sim_op op);

struct pm_sim *pm_sim_new(void);		/* no files */
void pm_sim_free(struct pm_sim *s);		/* nothing may be mapped that is still used */
const struct pm_ops *pm_sim_ops(struct pm_sim *s);	/* valid as long as s */
void pm_sim_refuse_sync(struct pm_sim *s, bool refuse);	/* PM_SYNC: -EOPNOTSUPP */
/* An allocate that takes more than this fails with -ENOSPC; 0: no limit. */
void pm_sim_capacity(struct pm_sim *s, uint64_t bytes);

/* In front of every store, zero, flush, fence, and of allocate's two parts. */
void pm_sim_step(struct pm_sim *s, int (*step)(void *arg, enum pm_sim_op op), void *arg);
uint64_t pm_sim_count(const struct pm_sim *s);	/* such operations so far */
void pm_sim_freeze(struct pm_sim *s);		/* as if step had returned non-zero */
bool pm_sim_frozen(const struct pm_sim *s);
void pm_sim_dma(struct pm_sim *s, const void *p, size_t n);

/* ---- crashes ---- */
unsigned pm_sim_choices(struct pm_sim *s, uint64_t *states);	/* UINT64_MAX: more than that */
struct pm_sim *pm_sim_killed(struct pm_sim *s);	/* the process died: all that was seen is there */
struct pm_sim *pm_sim_cut(struct pm_sim *s, struct sim_pick *p);

/* The nth extreme of any simulator: 0 nothing of what is in doubt, 1 all of it, then
 * for each choice i it alone (2 + 2i) and all but it (3 + 2i). */
struct sim_edge {
	struct sim_pick p;
	unsigned which, at;
};
void sim_edge_init(struct sim_edge *e, unsigned which);

/* Calls cb with every legal state if there are at most `limit`, else with the extremes
 * (the first `samples` of them) and then with `samples` drawn from the seed.  The image
 * is the callee's for the call.  Stops when cb returns non-zero and returns that.
 * *seen (may be NULL) is raised by the number of states. */
int  pm_sim_states(struct pm_sim *s, uint64_t limit, uint64_t samples, uint64_t seed,
		   int (*cb)(void *arg, struct pm_sim *image), void *arg, uint64_t *seen);

/* ---- looking and damaging, without counting as an operation ---- */
uint8_t *pm_sim_bytes(struct pm_sim *s, const char *path, uint64_t *len);	/* NULL: no such file */
int  pm_sim_flip(struct pm_sim *s, const char *path, uint64_t bit);	/* seen and durable */
int  pm_sim_truncate(struct pm_sim *s, const char *path, uint64_t len);	/* not while mapped */
int  pm_sim_put(struct pm_sim *s, const char *path, const void *p, uint64_t len);	/* durable */
/* The line at off cannot be read any more; what was in it is lost.  Not while mapped. */
int  pm_sim_bad(struct pm_sim *s, const char *path, uint64_t off);
/* The pages of [off, off + n) are holes, as in a sparse copy: zeros, and no blocks. */
int  pm_sim_punch(struct pm_sim *s, const char *path, uint64_t off, uint64_t n);
int  pm_sim_remove(struct pm_sim *s, const char *path);			/* not while mapped */
void pm_sim_link(struct pm_sim *s, bool linked);	/* files of wals have other names, to .linked */
void pm_sim_forget(struct pm_sim *s, const char *path, bool gone);	/* its name only, to .there */
bool pm_sim_same(struct pm_sim *a, struct pm_sim *b, char *where, size_t n);

#endif
