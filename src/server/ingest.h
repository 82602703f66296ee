/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ingest.h - the durability rule, in one place: name and flush, append, commit, and
 * only then let the reply leave.
 *
 *   ingest_admit        the head of a mutable request is read: may it be recorded?
 *   ingest_add          its bytes: lane_add (flushes them)
 *   ingest_done         the request is complete: it gets its name, the reply is made
 *                       and held back behind conn.out.ready
 *   ingest_commit       the batch ends: lane_commit
 *   ingest_synced       the sync of a commit has ended (class fsync)
 *   ingest_release      replies whose records are durable may leave
 *
 * No other file moves conn.out.ready past a reply that promises something.
 */
#ifndef SERVER_INGEST_H
#define SERVER_INGEST_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct worker;

/* Whether the request whose head is read may be recorded: 0, or the status to
 * answer with *why; -EAGAIN: not now, push back. */
int  ingest_admit(struct worker *w, struct conn *c, const char **why);
/* The next bytes of the record.  0, or the status to answer with *why; -EAGAIN: not
 * now, push back. */
int  ingest_add(struct worker *w, struct conn *c, uint32_t buf, uint32_t off, uint32_t len, const char **why);
/* Counts a refusal for want of buffers.  Returns the status, with *why. */
int  ingest_no_buffers(struct worker *w, const char **why);
/* Counts a refusal because the log takes no more.  Returns the status, with *why. */
int  ingest_log_full(struct worker *w, const char **why);
void ingest_drop(struct worker *w, struct conn *c);
/* The request is complete.  False: the lane has no room right now, and nothing was done. */
bool ingest_done(struct worker *w, struct conn *c);
void ingest_commit(struct worker *w);
void ingest_synced(struct worker *w, int res);
void ingest_release(struct worker *w);

#endif
