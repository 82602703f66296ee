/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.c - see watch.h. */
#include "watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "diag.h"
#include "disk.h"
#include "health.h"
#include "std.h"

#define LOOK_MS 250u
#define SAY_MS 200u		/* for the last message */

static atomic_uint give_up_ms;	/* 0: not stopping */

static void end_process(unsigned waits_ms)
{
	/* Whether it still has what it said it has, nobody can look now. */
	diag(DIAG_ERR, "not waiting for the disk, which has not answered for %u s: nothing was acknowledged "
	     "before it was durable in the class, and the next start recovers what it finds", waits_ms / 1000);
	std_flush(SAY_MS);
	/* A thread that the kernel does not let go of keeps the process until the disk answers. */
	_exit(EXIT_FAILURE);
}

static void tell(struct health *h, unsigned waits_ms, unsigned *longest_ms)
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

static void *run(void *arg)
{
	static const struct timespec look = { .tv_nsec = LOOK_MS * 1000000 };
	unsigned longest_ms = 0;

	pthread_setname_np(pthread_self(), "pasted-watch");
	for (;;) {
		unsigned limit = atomic_load(&give_up_ms), waits = disk_waits_ms();

		tell(arg, waits, &longest_ms);
		if (limit && waits >= limit && waits >= DISK_SILENT_MS)
			end_process(waits);
		nanosleep(&look, NULL);
	}
	return NULL;
}

int watch_start(struct health *h)
{
	pthread_t t;
	int err = -pthread_create(&t, NULL, run, h);

	if (!err)
		pthread_detach(t);
	return err;
}

void watch_stopping(unsigned drain_ms)
{
	atomic_store(&give_up_ms, drain_ms ? drain_ms : 1);
}
