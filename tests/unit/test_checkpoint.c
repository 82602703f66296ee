/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_checkpoint.c - the checkpointer's thread, on a clock and a poll() that are the test's:
 * when it passes and when it looks, when it wakes, and what it tells of what the lanes say,
 * in one episode after the other.
 */
#include "server/checkpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/health.h"
#include "base/diag.h"
#include "store/store.h"

#define BEGIN_MS 1000000u
#define LANES	 3u
#define SLICE	 4711u

static struct {
	_Atomic uint64_t ms;
	sem_t	 go, back;
	uint64_t due_ms;		/* when the poll's time is over */
	atomic_bool over;		/* it may end */
	struct checkpoint *c;
	struct health health;
	/* what the wal says, and was asked */
	struct store_lane_stats lane[LANES];
	struct store_watch files;
	enum clock_trust clock;
	int	 more;			/* so many passes say that there is more to do */
	int	 error;			/* of a pass without more */
	unsigned followers;		/* that wait for the end of a pass */
	unsigned passes, looks, naps, overs, over_of, woken;
	bool	 told_before;		/* what the pass came to, when those were woken */
	uint64_t passed_ms, looked_ms, slice;
	unsigned fails;			/* 1 eventfd, 2 pthread_create, 3 read, 4 write */
	pthread_key_t thread;
	atomic_bool ended;		/* the thread */
	char	 name[32];		/* of the thread */
	char	 said[2048];
	unsigned lines;
} the;

/* clock: the test's own */
int clock_gettime(clockid_t id, struct timespec *t)
{
	uint64_t ms = atomic_load(&the.ms);

	(void)id;
	t->tv_sec = (time_t)(ms / 1000);
	t->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

int nanosleep(const struct timespec *t, struct timespec *rest)
{
	(void)rest;
	assert_true(!t->tv_sec && t->tv_nsec < 1000000);
	the.naps++;
	return 0;
}

/* The system has no more of what the start needs. */
int __real_eventfd(unsigned v, int flags);
int __wrap_eventfd(unsigned v, int flags);
int __wrap_eventfd(unsigned v, int flags)
{
	if (the.fails != 1)
		return __real_eventfd(v, flags);
	errno = EMFILE;
	return -1;
}

ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	ssize_t got = __real_read(fd, buf, n);

	if (the.fails != 3)
		return got;
	errno = EIO;
	return -1;
}

ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (the.fails != 4)
		return __real_write(fd, buf, n);
	errno = EIO;
	return -1;
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	return the.fails == 2 ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

/* Until the test lets it go: ready if somebody has kicked. */
int poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	struct timespec zero = { 0 };

	assert_int_equal(n, 1);
	assert_true(timeout_ms >= 0);
	pthread_setspecific(the.thread, &the);
	pthread_getname_np(pthread_self(), the.name, sizeof(the.name));
	the.due_ms = the.ms + (unsigned)timeout_ms;
	if (!the.over) {
		sem_post(&the.back);
		while (sem_wait(&the.go))
			;
	}
	return ppoll(p, n, &zero, NULL);
}

void diag(enum diag_level level, const char *fmt, ...)
{
	size_t n = strlen(the.said);
	va_list ap;

	va_start(ap, fmt);
	n += (size_t)snprintf(the.said + n, sizeof(the.said) - n, "%d ", level);
	n += (size_t)vsnprintf(the.said + n, sizeof(the.said) - n, fmt, ap);
	snprintf(the.said + n, sizeof(the.said) - n, "\n");
	va_end(ap);
	the.lines++;
}

/* ---- the wal ---- */

const char *store_strerror(int err)
{
	return err == STORE_EGONE ? "gone" : strerror(-err);
}

unsigned store_lanes(const struct store *w)
{
	(void)w;
	return LANES;
}

int store_stats(struct store *w, unsigned lane, struct store_lane_stats *s)
{
	(void)w;
	*s = the.lane[lane];
	return lane == 1 ? -ENOENT : 0;	/* one that this run does not use: what it says is no matter */
}

int store_background(struct store *w, uint64_t slice_bytes)
{
	(void)w;
	the.passes++;
	the.passed_ms = the.ms;
	the.slice = slice_bytes;
	return the.more ? the.more--, 1 : the.error;
}

enum clock_trust store_clock_trust(const struct store *w)
{
	(void)w;
	return the.clock;
}

void store_watch(struct store *w, struct store_watch *x)
{
	(void)w;
	the.looks++;
	the.looked_ms = the.ms;
	*x = the.files;
}

unsigned store_passed(struct store *w)
{
	unsigned n = the.followers;

	(void)w;
	the.overs++;
	the.over_of = the.passes;
	the.told_before = health_is(&the.health, HEALTH_CHECKPOINT);
	the.woken += n;
	the.followers = 0;
	return n;
}

/* ---- turns ---- */

static void turn(void)
{
	sem_post(&the.go);
	while (sem_wait(&the.back))
		;
}

/* Time goes by as it asks for it. */
static void pass(uint64_t ms)
{
	uint64_t end = the.ms + ms;

	for (unsigned n = 0; the.due_ms <= end; n++) {
		assert_true(n < 1000);		/* it spins */
		the.ms = the.due_ms;
		turn();
	}
	the.ms = end;
}

static void begin(unsigned interval_ms)
{
	the.ms = BEGIN_MS;
	assert_int_equal(checkpoint_start(&the.c, NULL, &the.health, interval_ms, SLICE), 0);
	while (sem_wait(&the.back))
		;
}

static void thread_ended(void *arg)
{
	(void)arg;
	usleep(1000);		/* who does not wait for it would be first */
	the.ended = true;
}

static int setup(void **state)
{
	(void)state;
	memset(&the, 0, sizeof(the));
	assert_int_equal(pthread_key_create(&the.thread, thread_ended), 0);
	sem_init(&the.go, 0, 0);
	sem_init(&the.back, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	the.over = true;
	sem_post(&the.go);
	checkpoint_stop(the.c);
	assert_true(the.ended);
	pthread_key_delete(the.thread);
	return 0;
}

static void said(const char *words)
{
	if (!strstr(the.said, words))
		fail_msg("not said: %s; but: %s", words, the.said);
	the.said[0] = '\0';
}

static void quiet(void)
{
	assert_string_equal(the.said, "");
}

/* ---- when ---- */

/* The first pass at once, then one each interval, in slices as large as was said. */
static void test_interval(void **state)
{
	(void)state;
	begin(5000);
	assert_int_equal(the.passes, 0);
	pass(0);
	assert_int_equal(the.passes, 1);
	assert_int_equal(the.looks, 1);
	assert_int_equal(the.slice, SLICE);
	for (unsigned k = 1; k <= 3; k++) {
		pass(4999);
		assert_int_equal(the.passes, k);
		assert_int_equal(the.looks, 5 * k);	/* the files, each second */
		pass(1);
		assert_int_equal(the.passes, k + 1);
		assert_int_equal(the.passed_ms, BEGIN_MS + 5000 * k);
		assert_int_equal(the.looked_ms, BEGIN_MS + 5000 * k);
	}
	quiet();
}

static void test_short_interval(void **state)
{
	(void)state;
	begin(300);
	the.lane[0].prepare_err = -EIO;		/* tried again no later than it is anyway */
	pass(3000);
	assert_int_equal(the.passes, 11);
	assert_int_equal(the.looks, 4);
}

/* What failed is tried again each second, as long as it fails, whatever failed. */
static void test_again(void **state)
{
	(void)state;
	begin(3600000);
	pass(0);
	assert_int_equal(the.passes, 1);
	for (unsigned k = 0; k < 6; k++) {
		unsigned n;

		checkpoint_kick(the.c);
		the.lane[2].prepare_err = k % 3 == 0 ? -EIO : 0;
		the.lane[2].nospace = k % 3 == 1;
		the.lane[2].retain_err = k % 3 == 2 ? -EACCES : 0;
		turn();
		n = the.passes;
		pass(3500);
		assert_int_equal(the.passes, n + 3);
		memset(the.lane, 0, sizeof(the.lane));
		pass(500);
		assert_int_equal(the.passes, n + 4);
		pass(100000);
		assert_int_equal(the.passes, n + 4);
	}
}

/* A lane that fails in a pass may have kept others from being looked at to their ends. */
static void test_failed_pass(void **state)
{
	(void)state;
	begin(3600000);
	the.more = 2;
	the.error = -EIO;
	pass(0);
	assert_int_equal(the.passes, 3);
	pass(999);
	assert_int_equal(the.passes, 3);
	the.error = 0;
	pass(1);
	assert_int_equal(the.passes, 4);
	pass(100000);
	assert_int_equal(the.passes, 4);
}

/* Who kicks gets a pass at once, each time, and the interval begins anew. */
static void test_kick(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	for (unsigned k = 0; k < 3; k++) {
		pass(1500);
		checkpoint_kick(the.c);
		checkpoint_kick(the.c);		/* one pass for both */
		turn();
		assert_int_equal(the.passes, 2 + 2 * k);
		assert_int_equal(the.passed_ms, the.ms);
		pass(4999);
		assert_int_equal(the.passes, 2 + 2 * k);
		pass(1);
		assert_int_equal(the.passes, 3 + 2 * k);
	}
}

/* A kick during a pass is for another one: what it wants may have come behind the pass. */
static void test_slices(void **state)
{
	(void)state;
	begin(5000);
	the.more = 7;
	pass(0);
	assert_int_equal(the.passes, 8);
	assert_int_equal(the.naps, 7);		/* in between, the CPU is somebody else's */
	the.more = 7;
	the.followers = 2;
	checkpoint_kick(the.c);
	turn();
	assert_int_equal(the.passes, 16);
	assert_int_equal(the.woken, 2);
	assert_int_equal(the.naps, 13);		/* but for the one that had woken somebody */
}

/* Who follows is woken behind the next pass, whatever it was made for, when what it came to is
 * told. */
static void test_wakes(void **state)
{
	(void)state;
	begin(5000);
	for (unsigned k = 1; k <= 4; k++) {
		the.lane[2].prepare_err = k % 2 ? -EIO : 0;
		the.followers = 1;
		if (k > 2)
			checkpoint_kick(the.c);
		if (k > 2)
			turn();
		else
			pass(5000 * (k - 1));
		assert_int_equal(the.woken, k);
		assert_int_equal(the.over_of, the.passes);
		assert_int_equal(the.overs, the.passes);
		assert_int_equal(the.told_before, k % 2);
	}
}

/* ---- what is told ---- */

static void look(void)
{
	checkpoint_kick(the.c);
	turn();
}

static void told(enum health_condition c, int err, const char *words)
{
	look();
	assert_true(health_is(&the.health, c));
	assert_int_equal(the.health.err[c], err);
	said(words);
	look();
	quiet();			/* once */
	assert_int_equal(the.health.set, 1u << c);
	memset(the.lane, 0, sizeof(the.lane));
	memset(&the.files, 0, sizeof(the.files));
}

static void over(const char *words)
{
	look();
	assert_int_equal(the.health.set, 0);
	said(words);
	look();
	quiet();
}

static void test_lanes(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	for (unsigned k = 0; k < 2; k++) {
		the.lane[2].prepare_err = -EIO;
		told(HEALTH_CHECKPOINT, -EIO, "3 the next segment of the log cannot be made: Input/output error");
		over("5 the next segment of the log has been made");
		the.lane[0].nospace = 1;
		told(HEALTH_NOSPACE, -ENOSPC, "3 no room for the next segment of the log: No space left on device");
		over("5 there is room for the log again");
		the.lane[0].prepare_err = -ENOSPC;
		told(HEALTH_NOSPACE, -ENOSPC, "3 no room for the next segment of the log: No space left on device");
		over("5 there is room for the log again");
		the.lane[2].prepare_err = -EDQUOT;	/* the more exact of two reasons */
		the.lane[2].nospace = 1;
		told(HEALTH_NOSPACE, -EDQUOT, "3 no room for the next segment of the log: Disk quota exceeded");
		over("5 there is room for the log again");
	}
	the.lane[1].prepare_err = -EIO;		/* of no concern */
	look();
	quiet();
	/* Of two lanes the first one's reason, and both kinds. */
	the.lane[0].prepare_err = -EIO;
	the.lane[2].prepare_err = -EACCES;
	told(HEALTH_CHECKPOINT, -EIO, "Input/output error");
	over("has been made");
	the.lane[0].prepare_err = -EIO;
	the.lane[2].prepare_err = -EDQUOT;
	look();
	assert_true(health_is(&the.health, HEALTH_CHECKPOINT) && health_is(&the.health, HEALTH_NOSPACE));
}

static void test_retain(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	for (unsigned k = 0; k < 2; k++) {
		the.lane[k * 2].retain_err = -EACCES;
		look();
		said("3 an expired segment of the log cannot be removed: Permission denied");
		look();
		quiet();
		memset(the.lane, 0, sizeof(the.lane));
		look();
		said("5 expired segments of the log are removed again");
		the.lane[0].retain_err = -EBUSY;	/* of two reasons the first lane's */
		the.lane[2].retain_err = -EACCES;
		look();
		said("cannot be removed: Device or resource busy");
		memset(the.lane, 0, sizeof(the.lane));
		look();
		said("5 expired segments of the log are removed again");
		assert_int_equal(the.health.set, 0);
	}
}

static void test_clock(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	quiet();
	for (unsigned k = 0; k < 2; k++) {
		the.clock = CLOCK_AHEAD;
		look();
		said("4 the clock has jumped ahead since the start");
		look();
		quiet();
		the.clock = CLOCK_UNSYNCED;
		look();
		said("5 the clock is not synchronised yet");
		the.clock = CLOCK_TRUSTED;
		look();
		said("5 the clock is trusted again");
		look();
		quiet();
	}
}

static void test_failed(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	the.lane[2].failed = -EIO;
	look();
	said("3 lane 2: Input/output error; it acknowledges nothing any more");
	assert_int_equal(the.health.err[HEALTH_LANE_FAILED], -EIO);
	assert_int_equal(the.health.set, 1u << HEALTH_LANE_FAILED);
	the.lane[0].failed = -ENOSPC;		/* told once, by the first */
	look();
	quiet();
	assert_int_equal(the.health.err[HEALTH_LANE_FAILED], -EIO);
}

static void test_files(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned wal = 0; wal < 2; wal++) {
			the.files.moved = !wal;
			the.files.wal_moved = wal;
			pass(1000);
			assert_int_equal(the.health.set, 1u << HEALTH_STORE_MOVED);
			assert_true(health_ready(&the.health));
			said(wal ? "4 the write-ahead log is no longer at its path" : "4 the store is no longer at its path");
			pass(3000);
			quiet();
			memset(&the.files, 0, sizeof(the.files));
			pass(1000);
			assert_int_equal(the.health.set, 0);
			said("5 the store and its write-ahead log are at their paths again");
		}
		strcpy(the.files.linked, "log/000/00000001.seg");
		pass(1000);
		assert_int_equal(the.health.set, 1u << HEALTH_LINKED);
		assert_true(health_ready(&the.health));
		said("4 log/000/00000001.seg has another name");
		pass(3000);
		quiet();
		memset(&the.files, 0, sizeof(the.files));
		pass(1000);
		assert_int_equal(the.health.set, 0);
		said("5 no file of the store that is written to has another name");
		the.files = (struct store_watch){ .missing = 3, .lane = 7, .segno = 0x1a };
		pass(1000);
		assert_int_equal(the.health.set, 1u << HEALTH_FILES_MISSING);
		assert_int_equal(the.health.err[HEALTH_FILES_MISSING], STORE_EGONE);
		assert_non_null(strstr(the.said, "the first is log/007/0000001a.seg"));
		said("3 3 segments of the log were removed");
		pass(3000);
		quiet();
		the.files.missing = 0;
		pass(1000);
		assert_int_equal(the.health.set, 0);
		said("5 no segment of the log is missing");
	}
	the.files.gone = true;
	strcpy(the.files.what, "the file `store`");
	pass(1000);
	assert_int_equal(the.health.set, 1u << HEALTH_LANE_FAILED);
	assert_int_equal(the.health.err[HEALTH_LANE_FAILED], STORE_EGONE);
	assert_non_null(strstr(the.said, "under the running server"));
	said("3 the file `store` was removed");
	pass(3000);
	quiet();
}

/* What the start met is told before a pass mends it. */
static void test_start(void **state)
{
	(void)state;
	the.lane[0].prepare_err = -EIO;
	the.lane[2].nospace = 1;
	begin(5000);
	assert_int_equal(the.passes, 0);
	assert_true(health_is(&the.health, HEALTH_CHECKPOINT) && health_is(&the.health, HEALTH_NOSPACE));
	said("the next segment of the log cannot be made");
	memset(the.lane, 0, sizeof(the.lane));
	pass(0);
	assert_int_equal(the.passes, 1);
	assert_int_equal(the.health.set, 0);
	assert_string_equal(the.name, "pasted-ckpt");
}

/* No descriptor, no thread: said, and nothing is left behind. */
static void test_start_fails(void **state)
{
	static const int err[] = { -EMFILE, -EAGAIN };
	int fd = dup(0);

	(void)state;
	close(fd);
	for (the.fails = 1; the.fails <= 2; the.fails++) {
		the.c = NULL;
		assert_int_equal(checkpoint_start(&the.c, NULL, &the.health, 1000, SLICE), err[the.fails - 1]);
		assert_null(the.c);
		assert_int_equal(dup(0), fd);
		close(fd);
	}
	the.fails = 0;
	begin(1000);
}

/* A stop does not wait for all there is to do. */
static void test_stop(void **state)
{
	(void)state;
	begin(5000);
	the.more = 2000000000;		/* hours */
	the.over = true;
	sem_post(&the.go);
}

/* What goes wrong with the kick is told, and the next one is tried. */
static void test_kick_fails(void **state)
{
	(void)state;
	begin(5000);
	pass(0);
	for (unsigned k = 0; k < 2; k++) {
		the.fails = 3;
		checkpoint_kick(the.c);
		turn();
		said("4 checkpointer: eventfd: Input/output error");
		assert_int_equal(the.passes, 3 * k + 2);
		the.fails = 4;
		checkpoint_kick(the.c);
		the.fails = 0;
		turn();
		assert_int_equal(the.passes, 3 * k + 2);
		checkpoint_kick(the.c);
		turn();
		assert_int_equal(the.passes, 3 * k + 3);
		checkpoint_kick(the.c);
		turn();
		assert_int_equal(the.passes, 3 * k + 4);
		quiet();
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_interval), T(test_short_interval), T(test_again), T(test_failed_pass), T(test_kick), T(test_slices), T(test_wakes),
		T(test_lanes), T(test_retain), T(test_clock), T(test_failed), T(test_files),
		T(test_start), T(test_start_fails), T(test_stop), T(test_kick_fails),
	};

	alarm(60);		/* a thread that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
