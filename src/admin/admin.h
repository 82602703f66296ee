/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin.h - a thread that answers what may take long: everything under
 * /-/ but livez and readyz (which the worker answers itself, from health.h).
 *
 * Workers never block.  A worker hands a request over with admin_ask and goes
 * on; the thread makes the answer piece by piece; each piece is complete HTTP
 * bytes that the worker sends as they are:
 *
 *        worker                          admin thread
 *   admin_ask  ----------------->  route, look up, read
 *                <---- wake(worker)  piece 1: head and the beginning
 *   admin_ready: send r->data
 *   RING_SENT: admin_next ------>
 *                <---- wake(worker)  piece 2 .. r->last
 *   RING_SENT of the last: admin_end
 *
 * One piece exists per request at a time, so a slow reader costs one piece
 * (ADMIN_PIECE bytes) and nothing else.  The queues between the two threads have
 * one writer and one reader each and take no lock; a request's fields belong to
 * the side whose turn it is: to the thread from ask or next until the piece comes
 * out of admin_ready, to the worker from then until next or end.
 *
 * admin_end is called exactly once for each request, in any state: also when
 * the connection died while the piece was still being made (it is then never
 * delivered), but not while the ring may still read r->data (that is, after
 * RING_SENT or RING_CLOSED).
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/counters.h"
#include "admin/endpoint.h"
#include "admin/health.h"
#include "store/store.h"

#define ADMIN_PIECE	(64u << 10)	/* bytes of a piece, at most */
#define ADMIN_REQS	256u		/* in being, all workers together: ranges get 12 of 16, records 15 */
#define ADMIN_TARGET	HTTP_TARGET_KEEP	/* bytes of a target with its NUL, at most */

struct admin;
struct head_common;
struct text;

struct admin_req {		/* what the worker may look at */
	uint32_t conn;
	uint32_t conn_gen;	/* as given to admin_ask */
	unsigned worker;
	const char *data;	/* the piece */
	size_t	 len;		/* > 0, unless truncated */
	bool	 last;		/* no piece follows */
	bool	 close_after;	/* close the connection after the last piece */
	bool	 truncated;	/* the answer broke off: close without the polite end */
	int	 status;	/* of the answer: count_status() once, with the first piece */
};

/* What the thread works with.  Everything named here stays valid and unchanged
 * until admin_stop; strings are UTF-8. */
struct admin_env {
	struct store	*store;		/* NULL: class none */
	enum durability_class	 class;
	unsigned	 nworkers;
	const struct counters *const *counters;	/* [nworkers] */
	struct health	*health;	/* the thread sets and clears HEALTH_UNREADABLE */
	const char	*version;	/* "0.1.0" */
	const char	*class_why;	/* one sentence; may be NULL */
	const char	*ring;		/* "uring" */
	const char	*store_dir;		/* directory; NULL: none */
	const char	*nvmm;		/* path; NULL: none */
	const char	*listen;	/* addresses, separated by ", " */
	const struct head_common *common;	/* what every reply says */
	unsigned	 buf_size;
	uint64_t	*absent;	/* [ABSENT_REASONS] of readback.h, counted by who answers for records,
					 * read by any; NULL: not at all */
	uint64_t	 started_ms;	/* wall clock; 0: admin_start's own */
	unsigned	 settle_ms;	/* wait for a checkpoint at most so long; 0: 5000 */
	/* Callbacks, called by the admin thread. */
	void		(*wake)(void *arg, unsigned worker);	/* makes it call admin_ready: ring_wake */
	void		(*kick_checkpoint)(void *arg);		/* someone waits for a checkpoint; may be NULL */
	void		*arg;
};

/* What makes the body of a page, one for each row of endpoint.h that is answered by PAGES. */
typedef void admin_page(struct text *t, const struct admin_env *env);
#define ADMIN_AT_ONCE(make)
#define ADMIN_PAGES(make)	admin_page make;
#define ADMIN_RECORDS(make)
#define ADMIN_NOWHERE(make)
#define ADMIN_OTHERS(make)
#define X(name, path, under, methods, by, type, fields, make) ADMIN_##by(make)
ENDPOINT_TABLE(X)
#undef X

/* 0 or -errno. */
int  admin_start(struct admin **s, const struct admin_env *env);
/* The workers have stopped; what is in being is dropped, also what was not ended. */
void admin_stop(struct admin *s);

/* ---- by the worker, without waiting ---- */

/* e is none that is answered at once, or that is another's (endpoint.h); those that the log is
 * read for go to an admin thread of their own, so that a reader that waits for the disk does not keep
 * the metrics waiting.  target, NUL-terminated and in origin form, is copied; it is not longer
 * than ADMIN_TARGET.  head: the method is HEAD.  NULL: too many in being (503, refused_busy);
 * wake() is called when there is one less. */
struct admin_req *admin_ask(struct admin *s, unsigned worker, uint32_t conn,
			    uint32_t conn_gen, const struct endpoint *e, const char *target,
			    bool head, bool http11, bool keep_alive);
/* A request of this worker whose piece is ready, or NULL.  One load when there is
 * none.  Call until NULL after RING_WOKEN. */
struct admin_req *admin_ready(struct admin *s, unsigned worker);
/* The piece (not the last) was sent: make the next one. */
void admin_next(struct admin_req *r);
void admin_end(struct admin_req *r);

#endif
