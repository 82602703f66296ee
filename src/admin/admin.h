/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin.h - an admin thread, which answers what may take long: everything under /-/ but
 * livez and readyz (which the worker answers itself, from health.h).
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
 * One piece exists per request at a time, so a client that reads slowly costs one piece
 * (ADMIN_PIECE bytes) and nothing else.  The queues between the two threads have
 * one writer and one reader each and take no lock.  The fields of a request belong to the
 * admin thread from admin_ask or admin_next until admin_ready returns the request, and to
 * the worker from then until admin_next or admin_end.
 *
 * admin_end is called exactly once for each request, in any state.  If the connection died
 * while a piece was still being made, that piece is never delivered.  While the ring may
 * still read r->data, admin_end has to wait for RING_SENT or RING_CLOSED.
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
#define ADMIN_REQS	256u		/* slots of all workers; the last quarter is not for ranges,
					 * the last sixteenth not for reads of a record */
#define ADMIN_TARGET	HTTP_TARGET_KEEP	/* bytes of a target with its NUL, at most */

struct admin;
struct head_common;
struct text;

struct admin_req {		/* what the worker may look at of a request */
	uint32_t conn;
	uint32_t conn_gen;	/* as given to admin_ask */
	unsigned worker;
	const char *data;	/* the piece */
	size_t	 len;		/* > 0, unless truncated */
	bool	 last;		/* no piece follows */
	bool	 close_after;	/* close the connection after the last piece */
	bool	 truncated;	/* the rest of the answer could not be made: kill the connection */
	int	 status;	/* of the answer; the worker counts it once, with the first piece */
};

/* What the admin thread works with.  Everything that is pointed to stays valid until
 * admin_stop; strings do not change and are UTF-8. */
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
	uint64_t	*absent;	/* [ABSENT_REASONS]: records that could not be given,
					 * counted by who reads them; NULL: not shown */
	uint64_t	 started_ms;	/* wall clock; 0: the time of admin_start */
	unsigned	 settle_ms;	/* longest wait of a request for a checkpoint; 0: 5000 */
	/* Callbacks, called by the admin thread. */
	void		(*wake)(void *arg, unsigned worker);	/* it calls admin_ready then */
	void		(*kick_checkpoint)(void *arg);		/* asks for one now; may be NULL */
	void		*arg;
};

/* A function that makes the body of a page.  Each row of endpoint.h with PAGES names one. */
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
/* To be called when the workers have stopped.  Requests that were not ended are dropped too. */
void admin_stop(struct admin *s);

/* ---- called by the worker; none of these waits ---- */

/* Hands a request over.  e is a row with PAGES, RECORDS or NOWHERE (endpoint.h).  RECORDS go to a
 * struct admin of their own, so that a read that waits for the disk does not keep the metrics
 * waiting.  target, in origin form, is copied; with its NUL it has ADMIN_TARGET bytes at most.
 * head: the method is HEAD.  NULL: all slots are taken (503, refused_busy); wake() is called
 * when one is free again. */
struct admin_req *admin_ask(struct admin *s, unsigned worker, uint32_t conn,
			    uint32_t conn_gen, const struct endpoint *e, const char *target,
			    bool head, bool http11, bool keep_alive);
/* A request of this worker whose piece is ready, or NULL, which costs one load.  After
 * RING_WOKEN the worker calls this until it returns NULL. */
struct admin_req *admin_ready(struct admin *s, unsigned worker);
/* The piece, which was not the last, has been sent: the next one is to be made. */
void admin_next(struct admin_req *r);
void admin_end(struct admin_req *r);

#endif
