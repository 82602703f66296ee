/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health.h - whether the server can keep its promise now, and if not, why:
 * /-/livez and /-/readyz.
 *
 * A set of conditions, each with fixed words and an errno.  The server is ready when none is
 * set but notes (HEALTH_NOTES).  Any thread may set, clear or read them without a lock.  A
 * condition's errno is that of the thread that set it first, and is written before the
 * condition can be seen.
 */
#ifndef ADMIN_HEALTH_H
#define ADMIN_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, word, what, what to do).  At the right: the thread or file that sets and clears it. */
#define HEALTH_TABLE(X) \
	X(STARTING, "starting", "the server is starting", "wait")	/* main, from the first to the last step */ \
	X(RECOVERING, "recovering", "the log of the last run is being replayed", "wait") /* main, around store_open */ \
	X(DRAINING, "draining", "the server is shutting down", "use another one") /* main */ \
	X(LANE_FAILED, "lane-failed", "a write or sync of the log failed and is never retried", \
	  "look at the storage, then restart") /* the worker or the checkpointer; never cleared */ \
	X(NOSPACE, "no-space", "no room for the next segment of the log", \
	  "make room, or set a retention; goes on by itself") /* the checkpointer, over all lanes */ \
	X(CHECKPOINT, "checkpoint-failing", "the next segment of the log cannot be made", \
	  "look at the storage; it is tried again")	/* the checkpointer */ \
	X(FILES_MISSING, "files-missing", "files of the log were removed, renamed or cut short", \
	  "put them back: the next start will not find what they hold")	/* the checkpointer */ \
	X(UNREADABLE, "unreadable", "records of the log cannot be read", \
	  "look at the storage; it is tried again")	/* the admin thread */ \
	X(STORE_MOVED, "store-moved", "the store or its log is no longer at its path; it is worked on where it is", \
	  "give the new path at the next start")	/* the checkpointer */ \
	X(LINKED, "store-linked", "a file of the store has another name", \
	  "remove that, or the next start refuses the store")	/* the checkpointer */ \
	X(SILENT, "disk-silent", "the disk has not answered", \
	  "look at the storage; goes on by itself")	/* watch.c, which also tells for how long */

enum health_condition {
#define X(name, word, what, todo) HEALTH_##name,
	HEALTH_TABLE(X)
#undef X
	HEALTH_CONDITIONS
};

/* Conditions that are reported although the server can keep its promise. */
#define HEALTH_NOTES (1u << HEALTH_STORE_MOVED | 1u << HEALTH_LINKED)

struct health {				/* all zero: ready */
	uint32_t set;			/* bit per condition */
	int32_t  err[HEALTH_CONDITIONS];	/* 0 or -errno (or STORE_E*) */
	uint64_t done, total;		/* of recovery, bytes; total 0: unknown */
	unsigned silent_ms;		/* how long the disk has not answered */
};

void health_set(struct health *h, enum health_condition c, int err);
void health_change(struct health *h, enum health_condition c, int err);	/* a new reason */
void health_clear(struct health *h, enum health_condition c);
void health_progress(struct health *h, uint64_t done, uint64_t total);

/* Sets HEALTH_SILENT with how long the disk has not answered; 0: clears it. */
void health_silent(struct health *h, unsigned ms);

static inline bool health_is(const struct health *h, enum health_condition c)
{
	return __atomic_load_n(&h->set, __ATOMIC_ACQUIRE) >> c & 1;
}

static inline bool health_ready(const struct health *h)
{
	return !(__atomic_load_n(&h->set, __ATOMIC_ACQUIRE) & ~HEALTH_NOTES);
}

/* Writes the body of /-/readyz, HEALTH_TEXT bytes at most with the NUL: "ready\n" or a line per
 * reason, and a line per note.  Returns the status to send with it, 200 or 503; *len is the
 * number of bytes without the NUL. */
#define HEALTH_TEXT 2048u
int health_text(const struct health *h, char *buf, size_t n, size_t *len);

/* Writes the body of /-/livez in the same way.  It is always "alive": a server that answers is. */
int health_alive(const struct health *h, char *buf, size_t n, size_t *len);

/* One word for a human: "ready", "starting", "recovering", "draining", "stuck". */
const char *health_word(const struct health *h);

/* The word of one condition: "no-space". */
const char *health_condition_word(enum health_condition c);

#endif
