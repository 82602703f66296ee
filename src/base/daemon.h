/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - what a process owes to its surroundings: signals, limits, service manager.
 *
 * There are no signal handlers but for memory that is gone (fault.h).  daemon_signals() blocks the signals before the
 * first thread is made; the main thread takes them with daemon_wait().  So nothing
 * is ever interrupted, and no global variable is needed.  SIGUSR1 and SIGUSR2 mean
 * nothing here and are ignored.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <signal.h>

struct pidfh;

struct daemon {
	int signals;		/* signalfd: SIGTERM, SIGINT, SIGHUP (unless ignored) */
	int bell;		/* eventfd */
	struct pidfh *pid;	/* the pid file; NULL: none */
};

/* Call before any other thread exists.  0 or -errno. */
int  daemon_signals(struct daemon *d);

enum daemon_event { DAEMON_TIMEOUT, DAEMON_STOP, DAEMON_WOKEN };
/* Waits for a signal, timeout_ms at most (-1: for ever). */
enum daemon_event daemon_wait(const struct daemon *d, int timeout_ms);
/* From any thread: daemon_wait returns DAEMON_WOKEN (a worker has ended). */
void daemon_wake(struct daemon *d);

/* Raise the limit of open files to want if the system lets us; what it is now. */
unsigned long daemon_raise_files(unsigned long want);

/* A file with this process's number, locked for as long as it lives: 0; -EEXIST: the process
 * *other has it; -EBADMSG: something else is there, and is left alone; -errno. */
int  daemon_pid_open(struct daemon *d, const char *path, int *other);
void daemon_pid_remove(struct daemon *d);

/* sd_notify(3): "READY=1", "STOPPING=1", "STATUS=..".  Nothing without a manager. */
void daemon_notify(const char *state);

#endif
