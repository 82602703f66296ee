/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_watch.c - what is told of a disk that does not answer, in one episode after the other,
 * and the end of a server that does not wait for it: after its time, and for its clients to see.
 */
#include "admin/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/health.h"
#include "base/diag.h"
#include "base/disk.h"
#include "util/std.h"

static sem_t go, back;
static atomic_uint waits_ms;
static struct health health;
static char said[1024];
static unsigned flushed;
static int ended = -1;

unsigned disk_waits_ms(void)
{
	return waits_ms;
}

int nanosleep(const struct timespec *t, struct timespec *rest)
{
	(void)rest;
	assert_true(!t->tv_sec && t->tv_nsec >= 1000000);
	sem_post(&back);
	while (sem_wait(&go))
		;
	return 0;
}

void diag(enum diag_level level, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = snprintf(said, sizeof(said), "%d ", level);
	vsnprintf(said + n, sizeof(said) - (size_t)n, fmt, ap);
	va_end(ap);
}

void std_flush(unsigned ms)
{
	assert_true(ms > 0 && ms < 5000);
	flushed++;
}

/* Kept: it ends with the process, which is not over here. */
DIR *opendir(const char *path)
{
	static DIR *volatile all[8];
	static unsigned n;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(n < 8);
	all[n] = fd < 0 ? NULL : fdopendir(fd);
	return all[n++];
}

void _exit(int code)
{
	ended = code;
	sem_post(&back);
	pthread_exit(NULL);
}

static void look(unsigned ms)
{
	waits_ms = ms;
	sem_post(&go);
	while (sem_wait(&back))
		;
}

static void told(const char *words)
{
	assert_memory_equal(said, words, strlen(words));
	*said = '\0';
}

static void quiet(void)
{
	assert_string_equal(said, "");
}

/* Told once when it is silent, and once with how long it was; readyz has both. */
static void test_silent(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		look(DISK_SILENT_MS - 1);
		quiet();
		assert_int_equal(health.silent_ms, 0);
		look(DISK_SILENT_MS);
		told("4 the disk has not answered for 2 s;");
		assert_int_equal(health.silent_ms, DISK_SILENT_MS);
		look(9400);
		quiet();
		assert_int_equal(health.silent_ms, 9400);
		assert_false(health_ready(&health));
		look(0);
		told("5 the disk answers again, after 9 s");
		assert_int_equal(health.silent_ms, 0);
		assert_true(health_ready(&health));
		look(100);
		quiet();
	}
	assert_int_equal(ended, -1);
}

/* Another thread that looks, when the one before has ended "the process". */
static void begin(void)
{
	ended = -1;
	if (watch_start(&health))
		abort();
	while (sem_wait(&back))
		;
}

static void looks(unsigned ms, unsigned waits)
{
	for (unsigned k = 0; k < ms / 250; k++)
		look(waits);
}

static void take(int sig)
{
	const struct timespec now = { 0 };
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	assert_int_equal(sigtimedwait(&s, NULL, &now), sig);
}

/* A signal that nobody takes while the store is opened ends it when it has waited as long as a stop
 * may take, and two seconds; not when it is taken in time, and not when the store is open. */
static void test_opening(void **state)
{
	static const int sig[] = { SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (int i = 0; i < 3; i++) {
		kill(getpid(), sig[i]);
		looks(60000, 0);
		watch_opening(5000, false);
		looks(4750, 0);
		take(sig[i]);
		looks(60000, 0);
		kill(getpid(), sig[i]);
		looks(4750, 0);
		watch_opened();
		looks(60000, 0);
		assert_int_equal(ended, -1);
		quiet();
		watch_opening(i ? 5000 : 0, false);
		looks(i ? 5000 : 2000, 1);
		assert_int_equal(ended, -1);
		look(i == 2 ? DISK_SILENT_MS : 1);
		assert_int_equal(ended, EXIT_FAILURE);
		told(i == 2 ? "3 stopped before the store was open, not waiting for the disk, which has not "
		     "answered for 2 s" : i ? "3 stopped before the store was open, whose opening has looked for "
		     "no signal for 5 s" : "3 stopped before the store was open, whose opening has looked for no "
		     "signal for 2 s");
		take(sig[i]);
		watch_opened();
		begin();
		looks(60000, 0);
		look(0);		/* the disk answers again */
		*said = '\0';
		flushed = 0;
	}
}

static int is_shut(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	return !n;
}

/* While it stops it waits as long as it may, and then ends: its clients see the end, what is
 * somebody else's (without close-on-exec, or a listener that was given) is left alone. */
static void test_stop(void **state)
{
	int ours[2], theirs[2], ear;
	int nobody = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ours), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, theirs), 0);
	ear = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ear, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(ear, 1), 0);
	watch_stopping(7000, true);
	look(6999);
	told("4 the disk has not answered for 6 s");
	assert_int_equal(ended, -1);
	look(1999);
	look(7000);
	assert_int_equal(ended, EXIT_FAILURE);
	told("3 not waiting for the disk, which has not answered for 7 s");
	assert_int_equal(flushed, 1);
	assert_true(is_shut(ours[1]));
	assert_false(is_shut(theirs[1]));
	{
		struct sockaddr_storage a;
		socklen_t n = sizeof(a);
		int c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

		assert_int_equal(getsockname(ear, (struct sockaddr *)&a, &n), 0);
		assert_int_equal(connect(c, (struct sockaddr *)&a, n), 0);	/* it goes on */
		close(c);
	}
	close(nobody);
	close(ear);
	for (int i = 0; i < 2; i++) {
		close(ours[i]);
		close(theirs[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_silent), cmocka_unit_test(test_opening),
		cmocka_unit_test(test_stop) };
	sigset_t all;


	sem_init(&go, 0, 0);
	sem_init(&back, 0, 0);
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	begin();
	alarm(60);		/* a thread that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
