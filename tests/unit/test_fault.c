/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fault.c - fault.h: memory that cannot be touched ends the process with its status, and says
 * which byte of which file it was; any other address ends it as ever.
 */
#include "base/fault.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES 4u
#define PAGE 4096u

static unsigned memories;
static uint8_t *at[STORE_MEMORIES];
static const char *file;

unsigned store_memory(const struct store *w, struct store_memory m[STORE_MEMORIES])
{
	assert_null(w);
	for (unsigned i = 0; i < memories; i++) {
		m[i] = (struct store_memory){ .addr = at[i], .len = PAGES * PAGE,
					    .off = i * UINT64_C(1000000000000) };
		snprintf(m[i].path, sizeof(m[i].path), "/mnt/%s-%u", file, i);
	}
	return memories;
}

/* ---- a child that touches what it must not ---- */

static void touch(const uint8_t *p)
{
	(void)*(const volatile uint8_t *)p;
}

static void nothing(void)
{
}

static void forget(void)
{
	fault_forget();
}

static int status;
static char said[4096];

/* Runs in a child: before(), and then touches p or, if that is NULL, looks at all. */
static void child(void (*before)(void), const uint8_t *p)
{
	struct rlimit none = { 0, 0 };
	int pipes[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		dup2(pipes[1], STDERR_FILENO);
		fault_watch(NULL);
		before();
		if (p)
			touch(p);
		else
			fault_look();
		_exit(0);
	}
	close(pipes[1]);
	n = read(pipes[0], said, sizeof(said) - 1);
	assert_true(n >= 0);
	said[n] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void expect_told(const char *begin)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FAULT_STATUS);
	assert_memory_equal(said, begin, strlen(begin));
	assert_memory_equal(said + strlen(begin), " cannot be reached any more: ", 29);
	assert_int_equal(said[strlen(said) - 1], '\n');
}

static void expect_killed(void)
{
	assert_true(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
	assert_string_equal(said, "");
}

/* ---- the cases ---- */

/* Two maps with room around each, so that what is beside them cannot be touched either. */
static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *p = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(p != MAP_FAILED);
		at[i] = p + PAGE;
	}
	memories = 2;
	file = "file";
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		munmap(at[i] - PAGE, (PAGES + 2) * PAGE);
	return 0;
}

static void test_touched(void **state)
{
	(void)state;
	child(nothing, at[0]);
	expect_told("pasted: byte 0 of /mnt/file-0");
	child(nothing, at[0] + PAGES * PAGE - 1);
	expect_told("pasted: byte 16383 of /mnt/file-0");
	child(nothing, at[1]);
	expect_told("pasted: byte 1000000000000 of /mnt/file-1");
	child(nothing, at[1] + 10);
	expect_told("pasted: byte 1000000000010 of /mnt/file-1");
}

/* A mistake of the program's own, beside them or after they were given back. */
static void test_elsewhere(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		child(nothing, at[i] - 1);
		expect_killed();
		child(nothing, at[i] + PAGES * PAGE);
		expect_killed();
		child(forget, at[i]);
		expect_killed();
	}
	memories = 1;
	child(nothing, at[1]);
	expect_killed();
	memories = 0;
	child(nothing, at[0]);
	expect_killed();
}

/* The place is found, in whichever page it is; there is none if all can be read. */
static void test_look(void **state)
{
	char want[64];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		mprotect(at[i], PAGES * PAGE, PROT_READ);
	child(nothing, NULL);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (unsigned page = 0; page < PAGES; page++) {
		mprotect(at[0] + page * PAGE, PAGE, PROT_NONE);
		child(nothing, NULL);
		snprintf(want, sizeof(want), "pasted: byte %u of /mnt/file-0", page * PAGE);
		expect_told(want);
		mprotect(at[0] + page * PAGE, PAGE, PROT_READ);
	}
	mprotect(at[1], PAGE, PROT_NONE);
	child(nothing, NULL);
	expect_told("pasted: byte 1000000000000 of /mnt/file-1");
	child(forget, NULL);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A file that was cut short, which is another signal. */
static void test_cut_short(void **state)
{
	int fd = memfd_create("wal", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_ptr_equal(mmap(at[0], PAGES * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), at[0]);
	child(nothing, at[0] + PAGE);
	expect_told("pasted: byte 4096 of /mnt/file-0");
	close(fd);
}

/* A path may be longer than a message: that is cut, and nothing else is written over. */
static void test_long_path(void **state)
{
	char path[3000];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	file = path;
	child(nothing, at[0] + 7);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == FAULT_STATUS);
	assert_int_equal(strlen(said), 1024);
	assert_memory_equal(said, "pasted: byte 7 of /mnt/xxx", 26);
	assert_int_equal(said[1023], 'x');
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_touched), TEST(test_elsewhere), TEST(test_look), TEST(test_cut_short),
		TEST(test_long_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
