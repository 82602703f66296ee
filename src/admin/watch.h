/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - a thread that waits for nobody: it tells when the disk is silent and when it
 * answers again, and ends the process when that should stop and only waits for the disk.
 */
#ifndef ADMIN_WATCH_H
#define ADMIN_WATCH_H

#include <stdbool.h>

struct health;

/* Until the process ends; the signals of daemon_signals() are blocked.  0 or -errno. */
int  watch_start(struct health *h);
/* Until the store is open the main thread may wait for the disk, and hears no signal then: one that
 * has waited so long (and two seconds) to be taken ends the process. */
void watch_opening(unsigned drain_ms, bool listeners_given);
void watch_opened(void);
/* The server is stopping: a call that has waited for the disk this long (and from when it
 * counts as silent) is not waited for.  All sockets are shut down then, but for listeners that
 * were given. */
void watch_stopping(unsigned drain_ms, bool listeners_given);

#endif
