/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_disk.c - how long the disk has not answered, over files that are the test's own: each
 * operation is timed, passed on as it is, and over when it is over.
 */
#include "base/disk.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic uint64_t clock_ms = 1000000;
static sem_t go[2], back[2];
static _Thread_local int me;
static unsigned calls;

/* clock: the test's own */
int clock_gettime(clockid_t id, struct timespec *t)
{
	uint64_t ms = clock_ms;

	(void)id;
	t->tv_sec = (time_t)(ms / 1000);
	t->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

#define A ((void *)0x10)
#define B ((void *)0x20)
#define C ((void *)0x30)
#define D ((void *)0x40)

/* Within each operation: it is waited for. */
static int asked(int good)
{
	assert_true(good);
	assert_int_equal(disk_waits_ms(), 0);
	clock_ms += 120;
	assert_int_equal(disk_waits_ms(), 120);
	clock_ms += 3000;
	assert_int_equal(disk_waits_ms(), 3120);
	return (int)++calls;
}

#define FAKE(name, params, good) static int fake_##name params { return asked(good); }
FAKE(dir_open, (void *x, struct blk_dir *at, const char *n, struct blk_dir **d),
     x == A && at == B && n == C && d == D)
FAKE(open, (void *x, struct blk_dir *at, const char *n, int flags, struct blk_file **f),
     x == A && at == B && n == C && flags == 7 && f == D)
FAKE(read, (struct blk_file *f, void *p, size_t n, uint64_t off), f == A && p == B && n == 8 && off == 9)
FAKE(sync, (struct blk_file *f), f == A)
FAKE(allocate, (struct blk_file *f, uint64_t off, uint64_t bytes), f == A && off == 8 && bytes == 9)
FAKE(mkdir, (void *x, struct blk_dir *at, const char *n), x == A && at == B && n == C)
FAKE(rename, (void *x, struct blk_dir *at, const char *from, const char *to),
     x == A && at == B && from == C && to == D)
FAKE(unlink, (void *x, struct blk_dir *at, const char *n), x == A && at == B && n == C)
FAKE(sync_dir, (struct blk_dir *d), d == A)

/* One that does not come back before it may. */
static int fake_write(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	if (off != 77)
		return asked(f == A && iov == B && n == 8 && off == 9);
	sem_post(&back[me]);
	sem_wait(&go[me]);
	return 0;
}

const struct blk_ops blk_file_ops = {
	.ctx = A, .dir_open = fake_dir_open, .open = fake_open, .read = fake_read, .write = fake_write,
	.sync = fake_sync, .allocate = fake_allocate, .mkdir = fake_mkdir, .rename = fake_rename,
	.unlink = fake_unlink, .sync_dir = fake_sync_dir,
};

static void test_each(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		const struct blk_ops *o = disk_ops();
		int n = (int)(calls = 0);

		assert_ptr_equal(o->ctx, A);
		assert_int_equal(o->dir_open(A, B, C, D), ++n);
		assert_int_equal(disk_waits_ms(), 0);
		assert_int_equal(o->open(A, B, C, 7, D), ++n);
		assert_int_equal(o->read(A, B, 8, 9), ++n);
		assert_int_equal(o->write(A, B, 8, 9), ++n);
		assert_int_equal(o->sync(A), ++n);
		assert_int_equal(o->allocate(A, 8, 9), ++n);
		assert_int_equal(o->mkdir(A, B, C), ++n);
		assert_int_equal(o->rename(A, B, C, D), ++n);
		assert_int_equal(o->unlink(A, B, C), ++n);
		assert_int_equal(o->sync_dir(A), ++n);
		clock_ms += 5000;
		assert_int_equal(disk_waits_ms(), 0);
	}
}

/* Two writes, each of which comes back when it may. */
static void *stuck(void *arg)
{
	me = *(int *)arg;
	disk_ops()->write(A, B, 8, 77);
	disk_ops()->write(A, B, 8, 77);
	sem_post(&back[me]);
	sem_wait(&go[me]);
	return NULL;
}

static void one_further(int i)
{
	sem_post(&go[i]);
	sem_wait(&back[i]);
}

/* Of several that wait the one that does so for longest. */
static void test_oldest(void **state)
{
	int who[] = { 0, 1 };
	pthread_t t[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		sem_init(&go[i], 0, 0);
		sem_init(&back[i], 0, 0);
		pthread_create(&t[i], NULL, stuck, &who[i]);
		sem_wait(&back[i]);
		clock_ms += 500;
	}
	assert_int_equal(disk_waits_ms(), 1000);
	one_further(0);			/* its second one begins now */
	clock_ms += 40;
	assert_int_equal(disk_waits_ms(), 540);
	one_further(1);
	assert_int_equal(disk_waits_ms(), 40);
	one_further(0);
	clock_ms += 7;
	assert_int_equal(disk_waits_ms(), 7);
	one_further(1);
	assert_int_equal(disk_waits_ms(), 0);
	for (int i = 0; i < 2; i++) {
		sem_post(&go[i]);
		pthread_join(t[i], NULL);
	}
	assert_int_equal(disk_waits_ms(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each), cmocka_unit_test(test_oldest) };

	alarm(60);		/* a thread that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
