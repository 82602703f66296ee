/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locks.h - in a test that is linked with -Wl,--wrap=pthread_mutex_lock and
 * --wrap=pthread_mutex_unlock each thread unlocks only what it has locked, and locks nothing
 * twice: where a lock was forgotten the unlock behind it ends the test.
 */
#ifndef LOCKS_H
#define LOCKS_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);

static _Thread_local pthread_mutex_t *locks_held[8];
static _Thread_local unsigned locks_n;

static inline unsigned locks_find(const pthread_mutex_t *m)
{
	unsigned i = 0;

	while (i < locks_n && locks_held[i] != m)
		i++;
	return i;
}

static inline void locks_must(int well, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "a mutex is %s\n", what);
	abort();
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	int err;

	locks_must(locks_find(m) == locks_n, "locked twice");
	locks_must(locks_n < sizeof(locks_held) / sizeof(locks_held[0]), "one of too many");
	err = __real_pthread_mutex_lock(m);
	locks_held[locks_n++] = m;
	return err;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	unsigned i = locks_find(m);

	locks_must(i < locks_n, "unlocked that was not locked");
	locks_held[i] = locks_held[--locks_n];
	return __real_pthread_mutex_unlock(m);
}

#endif
