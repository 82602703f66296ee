/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * startup.h - who answers the door while the log is being replayed.
 *
 * The sockets listen before the store is opened, so that a port that is taken is
 * found before anything is touched, and nobody is refused during a recovery.
 * Until the workers take over, one thread serves all who come, with the same parser
 * and the same statuses: livez and readyz as ever, 503 and Retry-After for what needs the
 * store, one request a connection.  None waits for another one: nothing here blocks, and
 * when STARTUP_CLIENTS are there the one that came first makes room.
 */
#ifndef ADMIN_STARTUP_H
#define ADMIN_STARTUP_H

#include "admin/health.h"
#include "http/http.h"
#include "ring/listen.h"

#define STARTUP_CLIENTS 256u

struct startup;

struct startup_env {			/* all of it must outlive it */
	const struct listeners *listeners;
	const struct health *health;
	const struct head_common *common;	/* what every reply says */
	struct http_limits limits;
	unsigned header_timeout_ms;
};
/* 0 or -errno. */
int  startup_start(struct startup **w, const struct startup_env *env);
/* Accepts no more, from when this returns; whom it has accepted, it serves. */
void startup_leave(struct startup *w);
void startup_stop(struct startup *w);	/* at once; frees */

#endif
