/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_diag.c - a message is one line, as it was meant; what comes over and over is said once a
 * second, with how often it was not.
 */
#include "base/diag.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/must.h"
#include "util/std.h"

static uint64_t clock_ms = 5000;
static char said[4 * STD_LINE];
static size_t len;
static unsigned lines;
static int tell = -1;

/* clock: the test's own */
int clock_gettime(clockid_t id, struct timespec *t)
{
	(void)id;
	t->tv_sec = (time_t)(clock_ms / 1000);
	t->tv_nsec = (long)(clock_ms % 1000) * 1000000;
	return 0;
}

void std_say(const char *text, size_t n)
{
	assert_true(n <= sizeof(said));
	memcpy(said, text, n);
	len = n;
	lines++;
}

/* In the child: what was said until then, and how long it may take. */
void std_flush(unsigned ms)
{
	if (tell >= 0)
		dprintf(tell, "%u %.*s", ms, (int)len, said);
}

static void is(const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_memory_equal(said, want, len);
	len = 0;
}

static void test_line(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	diag(DIAG_ERR, "a %s of %d", "b", 7);
	is("pasted: a b of 7\n");
	diag(DIAG_NOTE, "%s", "\x01\x1f \x7e\x7f\x80\xff\n");
	is("pasted: ?? ~?\x80\xff?\n");
	setenv("JOURNAL_STREAM", "1:2", 1);
	diag(DIAG_ERR, "x");
	is("<3>pasted: x\n");
	diag(DIAG_NOTE, "x");
	is("<5>pasted: x\n");
	unsetenv("JOURNAL_STREAM");
}

/* Cut, with its newline; the count of what was left out still has its place. */
static void test_long(void **state)
{
	static struct diag_limit l;
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	diag(DIAG_NOTE, "%s", text);
	assert_true(len <= STD_LINE && len > STD_LINE - 100);
	assert_int_equal(said[len - 1], '\n');
	assert_int_equal(said[len - 2], 'x');
	diag_limited(&l, DIAG_NOTE, "%s", text);
	for (int i = 0; i < 12345; i++)
		diag_limited(&l, DIAG_NOTE, "%s", text);
	clock_ms += 1000;
	diag_limited(&l, DIAG_NOTE, "%s", text);
	assert_true(len <= STD_LINE);
	assert_memory_equal(said + len - strlen("x (12345 more not shown)\n"), "x (12345 more not shown)\n",
			    strlen("x (12345 more not shown)\n"));
}

/* What has room to the last byte is whole, and what has not is cut behind it. */
static void test_long_at_its_edge(void **state)
{
	enum { BEFORE = sizeof("pasted: ") - 1, FOR_THE_COUNT = 64, ROOM = STD_LINE - FOR_THE_COUNT - 1 };
	char text[STD_LINE];

	(void)state;
	for (int more = -2; more < 3; more++) {
		size_t n = (size_t)(ROOM - BEFORE + more), left = more > 0 ? ROOM - BEFORE : n;

		memset(text, 'x', n);
		text[n - 1] = 'y';
		text[n] = '\0';
		diag(DIAG_NOTE, "%s", text);
		assert_int_equal(len, BEFORE + left + 1);
		assert_memory_equal(said, "pasted: ", BEFORE);
		assert_memory_equal(said + BEFORE, text, left);
		assert_int_equal(said[len - 1], '\n');
	}
}

/* Once a second for each limit; each second anew. */
static void test_limited(void **state)
{
	static struct diag_limit a, b;

	(void)state;
	lines = 0;
	diag_limited(&a, DIAG_WARN, "a");
	is("pasted: a\n");
	for (unsigned k = 0; k < 3; k++) {
		clock_ms += 999;
		diag_limited(&a, DIAG_WARN, "a");
		diag_limited(&a, DIAG_WARN, "a");
		assert_int_equal(lines, 2 * k + 1);
		diag_limited(&b, DIAG_WARN, "b");	/* another one's second */
		is("pasted: b\n");
		clock_ms += 1;
		diag_limited(&a, DIAG_WARN, "a");
		is("pasted: a (2 more not shown)\n");
		assert_int_equal(lines, 2 * k + 3);
	}
	clock_ms += 5000;
	diag_limited(&a, DIAG_WARN, "a");
	is("pasted: a\n");
}

/* What cannot happen is told, gets the time to be written, and is the end. */
static void test_must(void **state)
{
	int at[2], res;
	char heard[256] = "";
	pid_t pid;

	(void)state;
	must(1 + 1 == 2);
	assert_int_equal(pipe(at), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		tell = at[1];
		must_fail("a < b", "file.c", 42, "f");
	}
	close(at[1]);
	assert_true(read(at[0], heard, sizeof(heard) - 1) > 0);
	close(at[0]);
	assert_int_equal(waitpid(pid, &res, 0), pid);
	assert_true(WIFSIGNALED(res) && WTERMSIG(res) == SIGABRT);
	assert_string_equal(heard, "1000 pasted: file.c:42: f: this cannot happen: a < b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line), cmocka_unit_test(test_long), cmocka_unit_test(test_long_at_its_edge),
		cmocka_unit_test(test_limited),
		cmocka_unit_test(test_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
