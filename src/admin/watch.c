/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.c - see watch.h. */
#include "admin/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/health.h"
#include "base/diag.h"
#include "base/disk.h"
#include "util/std.h"

#define LOOK_MS 250u
#define SAY_MS 200u		/* for the last message to leave */

static atomic_uint give_up_ms;	/* 0: not stopping */
static atomic_uint opening_ms;	/* 0: nothing is being opened */
static atomic_bool given;	/* the listeners were given by a service manager */

/* Shuts down fd if it is a socket of this process: those are close-on-exec, inherited ones are not.
 * Listeners that a service manager gave are close-on-exec too, but others may still use them. */
static void shut(int fd)
{
	int how = fcntl(fd, F_GETFD), listens = 0;
	socklen_t n = sizeof(listens);

	if (how < 0 || !(how & FD_CLOEXEC) || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n))
		return;
	if (!listens || !atomic_load(&given))
		shutdown(fd, SHUT_RDWR);
}

/* As long as one thread waits for the disk, the kernel closes no descriptor of the process: without
 * this, clients would see their connection end only when the disk answers again. */
static void shut_all(void)
{
	struct dirent *e;
	DIR *d;

	close(STDIN_FILENO);		/* opendir() needs one, and all may be in use */
	d = opendir("/proc/self/fd");
	while (d && (e = readdir(d)))
		shut(atoi(e->d_name));
}

static void end_process(void)
{
	std_flush(SAY_MS);
	shut_all();
	/* If a thread waits for the disk in the kernel, the process stays until that answers. */
	_exit(EXIT_FAILURE);
}

static void watch_tell(struct health *h, unsigned waits_ms, unsigned *longest_ms)
{
	bool silent = waits_ms >= DISK_SILENT_MS;

	health_silent(h, silent ? waits_ms : 0);
	if (silent && !*longest_ms)
		diag(DIAG_WARN, "the disk has not answered for %u s; what needs it waits, everything else goes on",
		     waits_ms / 1000);
	if (!silent && *longest_ms)
		diag(DIAG_NOTE, "the disk answers again, after %u s", *longest_ms / 1000);
	*longest_ms = silent ? waits_ms : 0;
}

static void end_stop(unsigned waits_ms)
{
	/* Whether the disk still holds what it has synced cannot be looked at now. */
	diag(DIAG_ERR, "not waiting for the disk, which has not answered for %u s: nothing was acknowledged "
	     "before it was durable in the class, and the next start recovers what it finds", waits_ms / 1000);
	end_process();
}

static void end_opening(unsigned waits_ms, unsigned unheard_ms)
{
	if (waits_ms >= DISK_SILENT_MS)
		diag(DIAG_ERR, "stopped before the store was open, not waiting for the disk, which has not answered "
		     "for %u s; the next start goes on with it", waits_ms / 1000);
	else
		diag(DIAG_ERR, "stopped before the store was open, whose opening has looked for no signal for %u s; "
		     "the next start goes on with it", unheard_ms / 1000);
	end_process();
}

/* A signal to stop is pending: the main thread has not taken it yet. */
static bool signal_waits(void)
{
	sigset_t s;

	return !sigpending(&s) && (sigismember(&s, SIGTERM) || sigismember(&s, SIGINT) || sigismember(&s, SIGHUP));
}

static void *watch_run(void *arg)
{
	static const struct timespec look = { .tv_nsec = LOOK_MS * 1000000 };
	unsigned longest_ms = 0, unheard_ms = 0;

	pthread_setname_np(pthread_self(), "pasted-watch");
	for (;;) {
		unsigned limit = atomic_load(&give_up_ms), opening = atomic_load(&opening_ms);
		unsigned waits = disk_waits_ms();

		watch_tell(arg, waits, &longest_ms);
		if (limit && waits >= limit && waits >= DISK_SILENT_MS)
			end_stop(waits);
		if (opening && unheard_ms >= opening && unheard_ms >= DISK_SILENT_MS)
			end_opening(waits, unheard_ms);
		unheard_ms = opening && signal_waits() ? unheard_ms + LOOK_MS : 0;
		nanosleep(&look, NULL);
	}
	return NULL;
}

int watch_start(struct health *h)
{
	pthread_t t;
	int err = -pthread_create(&t, NULL, watch_run, h);

	if (!err)
		pthread_detach(t);
	return err;
}

void watch_opening(unsigned drain_ms, bool listeners_given)
{
	atomic_store(&given, listeners_given);
	atomic_store(&opening_ms, drain_ms ? drain_ms : 1);
}

void watch_opened(void)
{
	atomic_store(&opening_ms, 0);
}

void watch_stopping(unsigned drain_ms, bool listeners_given)
{
	atomic_store(&given, listeners_given);
	atomic_store(&give_up_ms, drain_ms ? drain_ms : 1);
}
