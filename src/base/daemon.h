/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - signals, the limit of open files, the pid file and the service manager.
 *
 * The only signal handler is the one for memory that cannot be read any more (fault.h).
 * daemon_signals() blocks the other signals before the first thread is made; the main thread
 * takes them with daemon_wait().  So no system call is interrupted, and no global variable
 * is needed.  SIGUSR1 and SIGUSR2 mean nothing here and are ignored.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <signal.h>

struct pidfh;

struct daemon {
	int signals;		/* signalfd: SIGTERM, SIGINT, SIGHUP (unless ignored) */
	int bell;		/* eventfd, written by daemon_wake() */
	struct pidfh *pid;	/* the pid file; NULL: none */
};

/* Call before any other thread exists.  0 or -errno. */
int  daemon_signals(struct daemon *d);

enum daemon_event { DAEMON_TIMEOUT, DAEMON_STOP, DAEMON_WOKEN };
/* Waits for a signal or daemon_wake(), timeout_ms at most (-1: for ever). */
enum daemon_event daemon_wait(const struct daemon *d, int timeout_ms);
/* Makes daemon_wait() return DAEMON_WOKEN; any thread may call it. */
void daemon_wake(struct daemon *d);

/* Raises the limit of open files to want, or as far as the system allows.  Returns the limit. */
unsigned long daemon_raise_files(unsigned long want);

/* Writes the number of this process to the file path and locks that while the process lives.  0;
 * -EEXIST: the process *other has it; -EBADMSG: something else is there, and is left alone;
 * -errno. */
int  daemon_pid_open(struct daemon *d, const char *path, int *other);
void daemon_pid_remove(struct daemon *d);

/* As sd_notify(3): "READY=1", "STOPPING=1", "STATUS=..".  Does nothing without a manager. */
void daemon_notify(const char *state);

#endif
