/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * waiting.h - who answers the door while the log is being replayed.
 *
 * The sockets listen before the store is opened, so that a port that is taken is
 * found before anything is touched, and nobody is refused during a recovery.
 * Until the workers take over, one thread answers every request with 503, the
 * reason and Retry-After, and /-/livez with 200, one connection at a time.
 */
#ifndef WAITING_H
#define WAITING_H

#include "health.h"
#include "listen.h"

struct waiting;

/* 0 or -errno.  All must outlive it.  class: the word for Pasted-Class. */
int  waiting_start(struct waiting **w, const struct listeners *ls, const struct health *h,
		   const char *class);
void waiting_stop(struct waiting *w);	/* after the answer that is being given; frees */

#endif
