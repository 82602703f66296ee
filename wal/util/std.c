/* SPDX-License-Identifier: BSD-2-Clause */
/* std.c - see std.h. */
#include "util/clock.h"
#include "util/std.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_LINES 64u

static struct {
	pthread_mutex_t lock;		/* held for a copy, never while the thread writes */
	pthread_cond_t	more, idle;
	bool	 running;		/* the thread was started */
	bool	 writing;
	bool	 failed;		/* the last write failed */
	bool	 torn;			/* a write failed in the middle of a line */
	unsigned first, n;		/* the lines that wait */
	uint64_t untold;		/* lost texts that no message has told of yet */
	uint64_t lost;
	const char *name;
	struct {
		size_t n;
		char text[STD_LINE];
	} line[QUEUE_LINES];
} q = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER, .name = "" };

void std_open(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)		/* no /dev/null: what can be neither read nor written */
			fd = open("/", O_PATH);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Writes all of it, however long that takes; false: standard error takes no more. */
static bool std_put(const char *p, size_t n)
{
	struct pollfd wait = { .fd = STDERR_FILENO, .events = POLLOUT };
	const char *from = p;
	ssize_t k;

	if (q.torn && write(STDERR_FILENO, "\n", 1) == 1)
		q.torn = false;
	while (n) {
		k = write(STDERR_FILENO, p, n);
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		} else if (k < 0 && errno == EAGAIN) {	/* another process set O_NONBLOCK */
			poll(&wait, 1, -1);
		} else if (k == 0 || errno != EINTR) {
			q.torn |= p != from;
			return false;
		}
	}
	return true;
}

/* ---- the thread ---- */

/* Takes the next line to write.  That messages were lost is said only when all others have been
 * written, and without error, or nobody would read it.  Returns how many the line tells of. */
static uint64_t next_line(char *to, size_t *n)
{
	uint64_t told = q.n ? 0 : q.untold;

	if (q.n) {
		*n = q.line[q.first].n;
		memcpy(to, q.line[q.first].text, *n);
		q.first = (q.first + 1) % QUEUE_LINES;
		q.n--;
	} else {
		*n = (size_t)snprintf(to, STD_LINE, "%s: %" PRIu64 " messages were lost: standard "
				      "error did not take them in time\n", q.name, told);
	}
	q.untold -= told;
	return told;
}

static void *std_run(void *arg)
{
	char line[STD_LINE];
	uint64_t told;
	bool well;
	size_t n;

	pthread_mutex_lock(&q.lock);
	for (;;) {
		while (!q.n && (!q.untold || q.failed)) {
			pthread_cond_broadcast(&q.idle);
			pthread_cond_wait(&q.more, &q.lock);
		}
		told = next_line(line, &n);
		q.writing = true;
		pthread_mutex_unlock(&q.lock);
		well = std_put(line, n);
		pthread_mutex_lock(&q.lock);
		q.writing = false;
		q.failed = !well;
		if (!well) {		/* those that the line told of are in q.lost already */
			q.untold += told ? told : 1;
			q.lost += !told;
		}
	}
	return arg;
}

static void at_exit(void)
{
	std_flush(STD_END_MS);
}

void std_start(const char *name)
{
	pthread_t thread;
	sigset_t all, old;

	q.name = name;
	sigfillset(&all);		/* the thread takes no signals */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	q.running = !pthread_create(&thread, NULL, std_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!q.running)
		return;
	pthread_setname_np(thread, "messages");
	pthread_detach(thread);		/* it may be stuck for good when the program ends */
	atexit(at_exit);
}

/* ---- the threads that have a message ---- */

static void push(const char *text, size_t n)
{
	unsigned at;

	for (size_t k; n; text += k, n -= k) {
		k = n < STD_LINE ? n : STD_LINE;
		if (q.n == QUEUE_LINES) {
			q.untold++;
			q.lost++;
			return;
		}
		at = (q.first + q.n++) % QUEUE_LINES;
		q.line[at].n = k;
		memcpy(q.line[at].text, text, k);
	}
}

static void std_put_line(const char *text, size_t n, bool only_if_idle)
{
	pthread_mutex_lock(&q.lock);
	if (!q.running) {
		std_put(text, n);
	} else if (!only_if_idle || (!q.n && !q.writing)) {
		push(text, n);
		pthread_cond_signal(&q.more);
	}
	pthread_mutex_unlock(&q.lock);
}

void std_say(const char *text, size_t n)
{
	std_put_line(text, n, false);
}

void std_show(const char *text, size_t n)
{
	std_put_line(text, n, true);
}

void std_flush(unsigned ms)
{
	struct timespec end;

	clock_after(ms, &end);
	pthread_mutex_lock(&q.lock);
	while (q.running && (q.n || q.writing || (q.untold && !q.failed)))
		if (pthread_cond_clockwait(&q.idle, &q.lock, CLOCK_MONOTONIC, &end))
			break;
	pthread_mutex_unlock(&q.lock);
}

uint64_t std_lost(void)
{
	uint64_t n;

	pthread_mutex_lock(&q.lock);
	n = q.lost;
	pthread_mutex_unlock(&q.lock);
	return n;
}
