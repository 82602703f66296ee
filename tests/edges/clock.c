/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.c - preloaded into pasted: a clock that tests move.
 *
 *	PASTED_CLOCK=file	struct clock, which the test and the server have mapped
 *
 * Time is skipped when all threads wait: the wait that ends first ends now, and has taken as
 * long as it was to, until so much is skipped as the test wants.  So everything comes at its
 * time and in its order, however far the test moves the clock and however slow the machine
 * is.  Only the worker's waits (of the ring socket) let it go on; threads that never wait with
 * poll(2) are not looked at.  Besides, the wall clock can be set, either way; and a sync of a
 * file can take its time.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct clock {				/* nanoseconds; testclock.py has the same */
	_Atomic int64_t wanted;		/* by the test: so much is to be skipped in all */
	_Atomic int64_t skipped;	/* so much was */
	_Atomic int64_t wall;		/* the wall clock is ahead by */
	_Atomic int64_t sync;		/* how long a sync takes */
	_Atomic int64_t held;		/* a worker's sync does not end while it is set */
	_Atomic int64_t unsynced;	/* the kernel does not say that the clock is right */
};

#define BUSY_US	50			/* until a thread that is not waiting is looked at again */
#define FOREVER	INT64_MAX

/* The waits of the other threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter {
	bool	waits;			/* or it is busy */
	int64_t end;
	int	bell;			/* rung when the end has come */
} waiters[16];
static unsigned nwaiters;
static __thread struct waiter *mine;

static struct clock *control(void)
{
	static struct clock none;
	static _Atomic(struct clock *) at;
	struct clock *c = atomic_load(&at);
	const char *path = getenv("PASTED_CLOCK");
	int fd;

	if (c)
		return c;
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	c = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (c == MAP_FAILED)
		c = &none;
	atomic_store(&at, c);
	return c;
}

/* The next function of this name is the system's. */
#define REAL(name) \
	static __typeof__(&name) real; \
	if (!real) \
		real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int64_t at_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);		/* clock: it is the one that is tested with */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* clock: what the programs ask. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	REAL(clock_gettime);
	const struct clock *c = control();
	int64_t ns, add = 0;

	if (real(id, t))		/* clock: likewise */
		return -1;
	if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME || id == CLOCK_REALTIME)
		add = c->skipped + (id == CLOCK_REALTIME ? c->wall : 0);
	ns = t->tv_nsec + add % 1000000000;
	t->tv_sec += add / 1000000000 + (ns >= 1000000000) - (ns < 0);
	t->tv_nsec = ns + (ns < 0) * 1000000000 - (ns >= 1000000000) * 1000000000;
	return 0;
}

/* clock: likewise. */
int adjtimex(struct timex *t)
{
	memset(t, 0, sizeof(*t));
	t->status = control()->unsynced ? STA_UNSYNC : 0;
	return 0;
}

/* The end of the wait that ends first; 0 while somebody is busy. */
static int64_t first_end(int64_t now)
{
	int64_t end = FOREVER;

	for (unsigned i = 0; i < nwaiters; i++) {
		struct waiter *w = &waiters[i];

		if (!w->waits)
			return 0;
		if (w->end <= now) {
			eventfd_write(w->bell, 1);
			return 0;
		}
		if (w->end < end)
			end = w->end;
	}
	return end;
}

/* Of the worker's wait, that ends at `end`.  Whether somebody is busy: to be asked again. */
static bool skip(int64_t end)
{
	struct clock *c = control();
	int64_t now, n, first;

	pthread_mutex_lock(&lock);
	now = at_ns(CLOCK_MONOTONIC);
	n = c->wanted - c->skipped;
	first = n > 0 ? first_end(now) : FOREVER;
	if (first < end)
		end = first;
	if (first && n > 0) {
		c->skipped += n < end - now ? n : end - now;
		if (end == first)
			first_end(end);
	}
	pthread_mutex_unlock(&lock);
	return !first;
}

int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
	REAL(epoll_wait);
	struct clock *c = control();
	int64_t end = timeout_ms < 0 ? FOREVER : at_ns(CLOCK_MONOTONIC) + timeout_ms * (int64_t)1000000;
	int n = real(epfd, ev, max, 0);

	while (!n && at_ns(CLOCK_MONOTONIC) < end) {
		if (c->wanted > c->skipped) {
			if (skip(end))
				usleep(BUSY_US);
			else if (timeout_ms < 0)
				return 0;	/* the loop looks at the time */
			n = real(epfd, ev, max, 0);
		} else {
			n = real(epfd, ev, max, 1);
		}
	}
	return n;
}

static struct waiter *me(void)
{
	if (!mine && nwaiters < sizeof(waiters) / sizeof(waiters[0])) {
		mine = &waiters[nwaiters];
		mine->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		nwaiters++;
	}
	if (!mine)
		abort();
	return mine;
}

static void wait_until(int64_t end, bool waits)
{
	pthread_mutex_lock(&lock);
	me()->end = end;
	mine->waits = waits;
	pthread_mutex_unlock(&lock);
}

int poll(struct pollfd *p, nfds_t nfds, int timeout_ms)
{
	REAL(poll);
	struct pollfd all[8];
	int64_t end, left;
	eventfd_t rung;
	int n;

	if (!timeout_ms || nfds > 7)
		return real(p, nfds, timeout_ms);
	end = timeout_ms < 0 ? FOREVER : at_ns(CLOCK_MONOTONIC) + timeout_ms * (int64_t)1000000;
	wait_until(end, true);
	do {
		left = end == FOREVER ? -1 : (end - at_ns(CLOCK_MONOTONIC) + 999999) / 1000000;
		memcpy(all, p, nfds * sizeof(*p));
		all[nfds] = (struct pollfd){ .fd = mine->bell, .events = POLLIN };
		n = real(all, nfds + 1, end == FOREVER ? -1 : left > 0 ? (int)left : 0);
		if (n > 0 && (all[nfds].revents & POLLIN)) {
			eventfd_read(mine->bell, &rung);
			n--;
		}
	} while (!n && at_ns(CLOCK_MONOTONIC) < end);
	wait_until(0, false);
	memcpy(p, all, nfds * sizeof(*p));
	return n;
}

int fdatasync(int fd)
{
	REAL(fdatasync);
	struct clock *c = control();
	int64_t n = c->sync;

	c->wanted += n;
	c->skipped += n;
	while (c->held && !mine)
		usleep(1000);
	return real(fd);
}
