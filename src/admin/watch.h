/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - a thread that never waits for the disk.  It reports when the disk has not answered
 * for a while and when it answers again, and ends the process when the server is to stop and
 * only the disk holds it up.
 */
#ifndef ADMIN_WATCH_H
#define ADMIN_WATCH_H

#include <stdbool.h>

struct health;

/* The thread runs until the process ends.  The signals of daemon_signals() must be blocked.
 * 0 or -errno. */
int  watch_start(struct health *h);
/* Until the store is open the main thread may wait for the disk and take no signal meanwhile.  If a
 * signal has been pending for drain_ms, two seconds at least, the process ends. */
void watch_opening(unsigned drain_ms, bool listeners_given);
void watch_opened(void);
/* The server is stopping.  If a call has been waiting for the disk for drain_ms, DISK_SILENT_MS at
 * least, all sockets are shut down, but for listeners that were given, and the process ends. */
void watch_stopping(unsigned drain_ms, bool listeners_given);

#endif
