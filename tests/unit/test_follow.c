/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_follow.c - marks and those that wait for them: who is woken when, and that nobody is
 * missed, by two threads that meet fifty thousand times; on a system without membarrier(2) too.  That
 * the mover does a read-modify-write it can see only where both really run at once: on a busy
 * machine such a mistake goes unseen.
 */
#include "lane/follow.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/membarrier.h>

#include <cmocka.h>

static _Atomic uint64_t number;
static struct follow_mark m;
static bool without;		/* membarrier(2) */
static unsigned barriers;
static int barrier_fails;	/* so often */

long syscall(long n, ...)
{
	long (*real)(long, ...), a, b, c;
	va_list ap;

	va_start(ap, n);
	a = va_arg(ap, long);
	b = va_arg(ap, long);
	c = va_arg(ap, long);
	va_end(ap);
	if (n == SYS_membarrier && (int)a == MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
		barriers++;
		if (barrier_fails && barrier_fails--) {
			errno = ENOMEM;
			return -1;
		}
	}
	if (n == SYS_membarrier && without) {
		errno = ENOSYS;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real(n, a, b, c);
}

static unsigned order[64], woken;

static void wake(struct follower *f)
{
	assert_false(follower_waits(f));
	order[woken++ % 64] = (unsigned)(uintptr_t)f->arg;
}

static unsigned move(uint64_t to)
{
	atomic_store_explicit(&number, to, memory_order_relaxed);
	return follow_moved(&m);
}

static int setup(void **state)
{
	(void)state;
	number = 10;
	woken = barriers = 0;
	barrier_fails = 0;
	follow_init(&m, &number);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	follow_fini(&m);
	return 0;
}

/* ---- who is woken when ---- */

static void woken_once_when_it_is_reached(void **state)
{
	struct follower f = { .wake = wake };

	(void)state;
	assert_int_equal(move(11), 0);
	for (unsigned round = 1; round <= 2; round++) {
		uint64_t seq = 20 * round;

		assert_true(follow(&m, seq, &f));
		assert_true(follower_waits(&f));
		assert_int_equal(move(seq - 1), 0);
		assert_int_equal(woken, round - 1);
		assert_int_equal(move(seq + round - 1), 1);	/* it, or past it */
		assert_int_equal(woken, round);
		assert_false(follower_waits(&f));
		assert_int_equal(move(seq + 2), 0);
		assert_int_equal(woken, round);
	}
}

static void reached_already(void **state)
{
	struct follower f = { .wake = wake };

	(void)state;
	for (uint64_t seq = 0; seq <= 10; seq += 5) {
		assert_false(follow(&m, seq, &f));
		assert_false(follower_waits(&f));
	}
	assert_true(follow(&m, 11, &f));
	unfollow(&f);
	assert_int_equal(move(100), 0);
	assert_int_equal(woken, 0);
}

static void not_woken_any_more(void **state)
{
	struct follower f[3] = { { .wake = wake }, { .wake = wake }, { .wake = wake } };

	(void)state;
	unfollow(&f[0]);			/* it never followed */
	for (unsigned i = 0; i < 3; i++) {
		f[i].arg = (void *)(uintptr_t)i;
		assert_true(follow(&m, 20 + i, &f[i]));
	}
	unfollow(&f[0]);
	unfollow(&f[0]);
	assert_false(follower_waits(&f[0]));
	assert_int_equal(move(21), 1);
	assert_int_equal(order[0], 1);
	unfollow(&f[1]);			/* it was woken */
	unfollow(&f[2]);
	assert_int_equal(move(30), 0);
	assert_true(follow(&m, 31, &f[0]));
	assert_int_equal(move(31), 1);
	assert_int_equal(woken, 2);
}

/* Many, in any order: those that are reached, and no other, the lowest number first. */
static void many(void **state)
{
	enum { N = 200 };
	static struct follower f[N];
	unsigned left = N;

	(void)state;
	srand(1);
	for (unsigned i = 0; i < N; i++) {
		f[i] = (struct follower){ .wake = wake };
		assert_true(follow(&m, 11 + (unsigned)rand() % 100, &f[i]));
		f[i].arg = (void *)(uintptr_t)f[i].seq;
	}
	for (unsigned i = 0; i < N; i += 7, left--)
		unfollow(&f[i]);
	for (uint64_t to = 10; to <= 112; to += 3) {
		unsigned before = woken, waiting = 0, n = move(to);

		assert_int_equal(woken - before, n);
		for (unsigned i = 1; i < n; i++)
			assert_true(order[(before + i - 1) % 64] <= order[(before + i) % 64]);
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(follower_waits(&f[i]), i % 7 && f[i].seq > to);
			waiting += follower_waits(&f[i]);
		}
		left -= n;
		assert_int_equal(waiting, left);
	}
	assert_int_equal(left, 0);
}

/* ---- what it costs ---- */

/* The first follower of a mark alone, and it is not content with less. */
static void one_barrier_for_a_mark(void **state)
{
	struct follower f = { .wake = wake };

	(void)state;
	assert_int_equal(move(11), 0);
	assert_int_equal(m.wanted, FOLLOW_NEVER);
	assert_int_equal(barriers, 0);
	barrier_fails = 3;
	for (uint64_t seq = 20; seq < 50; seq += 10) {
		assert_true(follow(&m, seq, &f));
		assert_int_equal(barriers, 4);
		assert_int_equal(m.wanted, seq);
		assert_int_equal(move(seq), 1);
		assert_int_equal(m.wanted, FOLLOW_NOBODY);
	}
	assert_false(follow(&m, 1, &f));
	assert_int_equal(m.wanted, FOLLOW_NOBODY);
	assert_int_equal(barriers, 4);
}

/* ---- two threads ---- */

enum { ROUNDS = 50000 };
static _Atomic unsigned at[2];		/* the round that each thread has come to, twice in a round */
static _Atomic unsigned followed;	/* the round in which it last did */
static _Atomic unsigned rang;

static void ring(struct follower *f)
{
	(void)f;
	rang++;
}

static void meet(unsigned me, unsigned where)
{
	at[me] = where;
	for (unsigned n = 0; at[!me] < where; n++)
		if (n > 200)
			sched_yield();
}

/* A few instructions more or less, so that each gets the other at any place. */
static void linger(unsigned round, unsigned odd)
{
	for (volatile unsigned i = 0; i < round * odd % 61; i++)
		;
}

static void *mover(void *arg)
{
	(void)arg;
	for (unsigned r = 1; r <= ROUNDS; r++) {
		meet(0, 2 * r);
		linger(r, 7);
		while (r % 100 == 1 && followed < r)	/* on a busy machine it may never be first by chance */
			sched_yield();
		atomic_store_explicit(&number, r, memory_order_relaxed);
		follow_moved(&m);
		meet(0, 2 * r + 1);
	}
	return NULL;
}

/* When both have done theirs the number is reached: whoever was told to wait has been woken. */
static unsigned missed(void)
{
	unsigned missed = 0, waited = 0;
	pthread_t t;

	at[0] = at[1] = rang = followed = 0;
	number = 0;
	assert_int_equal(pthread_create(&t, NULL, mover, NULL), 0);
	for (unsigned r = 1; r <= ROUNDS; r++) {
		struct follower f = { .wake = ring };
		unsigned before = rang;
		bool waits;

		meet(1, 2 * r);
		linger(r, 13);
		waits = follow(&m, r, &f);
		followed = r;
		meet(1, 2 * r + 1);
		waited += waits;
		missed += follower_waits(&f) || rang - before != waits;
		unfollow(&f);
	}
	pthread_join(t, NULL);
	assert_int_not_equal(waited, 0);
	return missed;
}

static void nobody_is_missed(void **state)
{
	(void)state;
	assert_int_equal(missed(), 0);
}

/* The same where the system has no such call, which is asked once in a process. */
static void without_membarrier(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (!child) {
		struct follower f = { .wake = wake };

		without = true;
		setup(NULL);
		alarm(60);
		move(11);
		if (m.wanted == FOLLOW_NEVER)
			_exit(1);
		if (!follow(&m, 12, &f) || move(12) != 1 || woken != 1 || missed())
			_exit(2);
		_exit(barriers ? 3 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_membarrier),
		T(woken_once_when_it_is_reached), T(reached_already), T(not_woken_any_more), T(many),
		T(one_barrier_for_a_mark), T(nobody_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
