/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * startup.h - the thread that answers clients while the log is being replayed.
 *
 * The sockets listen before the store is opened, so that a port that is taken is
 * found before anything is touched, and no connection is refused during a recovery.
 * Until the workers take over, one thread serves all clients, with the same parser
 * and the same statuses: livez and readyz as ever, 503 and Retry-After for what needs the
 * store, one request a connection.  No client waits for another one: nothing here blocks,
 * and when there are more than STARTUP_CLIENTS the one that came first is dropped.
 */
#ifndef ADMIN_STARTUP_H
#define ADMIN_STARTUP_H

#include "admin/health.h"
#include "http/http.h"
#include "ring/listen.h"

#define STARTUP_CLIENTS 256u

struct startup;

struct startup_env {			/* all that is pointed to must outlive the thread */
	const struct listeners *listeners;
	const struct health *health;
	const struct head_common *common;	/* what every reply says */
	struct http_limits limits;
	unsigned header_timeout_ms;
};
/* 0 or -errno. */
int  startup_start(struct startup **w, const struct startup_env *env);
/* The thread accepts nobody any more when this returns, and serves those it has accepted. */
void startup_leave(struct startup *w);
void startup_stop(struct startup *w);	/* drops all clients at once; frees w */

#endif
