/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_std.c - messages and a standard error that takes nothing for a while, or not at once, or
 * never: in order, whole, and what was lost is counted and told, each time.  Each life is a
 * process of its own, whose messages the test reads.
 */
#include "util/std.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int err[2], done[2], word[2];	/* standard error; the child's words; the test's */
static int took_nothing;		/* errno while standard error takes nothing */
static unsigned takes = UINT32_MAX;	/* so many messages first */

/* The one that std.c writes with; a device may take nothing, and say no more than that. */
ssize_t write(int fd, const void *p, size_t n)
{
	if (fd != STDERR_FILENO || takes)
		return takes -= fd == STDERR_FILENO, syscall(SYS_write, fd, p, n);
	errno = took_nothing;
	return 0;
}

static pid_t child(void (*life)(void))
{
	pid_t pid;

	assert_int_equal(pipe(err) | pipe(done) | pipe(word), 0);
	fcntl(err[1], F_SETPIPE_SZ, 4096);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(err[1], STDERR_FILENO);
		close(err[0]);
		close(err[1]);
		close(done[0]);
		close(word[1]);
		life();
		_exit(0);
	}
	close(err[1]);
	close(done[1]);
	close(word[0]);
	return pid;
}

static void over(pid_t pid)
{
	int res;

	close(err[0]);
	close(done[0]);
	close(word[1]);
	assert_int_equal(waitpid(pid, &res, 0), pid);
	assert_true(WIFEXITED(res));
	assert_int_equal(WEXITSTATUS(res), 0);
}

/* In the child: says that it is so far, waits to be told to go on. */
static void meet(void)
{
	char c = 'x';

	if (write(done[1], &c, 1) != 1 || read(word[0], &c, 1) != 1)
		_exit(9);
}

static void await(void)
{
	char c;

	assert_int_equal(read(done[0], &c, 1), 1);
}

static void go_on(void)
{
	assert_int_equal(write(word[1], "x", 1), 1);
}

static void say(unsigned n)
{
	char line[64];

	std_say(line, (size_t)snprintf(line, sizeof(line), "message %u\n", n));
}

static FILE *reader(void)
{
	FILE *f = fdopen(dup(err[0]), "r");

	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	return f;
}

static void expect(FILE *f, const char *want)
{
	char line[4096];

	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line, want);
}

/* Without the thread: whoever has a message waits, also where somebody has made the descriptor
 * one that does not. */
static void life_waits(void)
{
	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 2000; i++)
		say(i);
	if (std_lost())
		_exit(1);
}

static void test_waits(void **state)
{
	pid_t pid = child(life_waits);
	FILE *f = reader();
	char want[64];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(want, sizeof(want), "message %u\n", i);
		expect(f, want);
	}
	fclose(f);
	over(pid);
}

#define MANY 5000u

/* With it nobody waits: what finds no place is lost. */
static void life_full(void)
{
	char lost[32];

	std_start("name");
	for (unsigned k = 0; k < 2; k++) {
		uint64_t before = std_lost();

		for (unsigned i = 0; i < MANY; i++)
			say(i);
		std_show("decoration\n", 11);		/* not where others wait, and not counted */
		if (write(done[1], lost, (size_t)snprintf(lost, sizeof(lost), "%15llu",
			  (unsigned long long)(std_lost() - before))) != 15)
			_exit(1);
		if (read(word[0], lost, 1) != 1)
			_exit(2);
		std_flush(60000);
		std_show("decoration\n", 11);
		std_flush(60000);
		meet();
	}
}

static void test_full(void **state)
{
	pid_t pid = child(life_full);
	FILE *f = reader();
	char want[128];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		char text[16] = "";
		unsigned lost;

		assert_int_equal(read(done[0], text, 15), 15);
		lost = (unsigned)atoi(text);
		assert_true(lost > 0 && lost < MANY);
		go_on();
		for (unsigned came = 0, told = 0, last = 0, n; came + told < MANY; ) {
			assert_non_null(fgets(want, sizeof(want), f));
			if (sscanf(want, "message %u", &n) == 1) {	/* in order */
				assert_true(came ? n > last : n == 0);
				last = n;
				came++;
				continue;
			}
			assert_int_equal(sscanf(want, "name: %u", &n), 1);
			assert_non_null(strstr(want, " messages were lost: standard error did not take them in time\n"));
			told += n;
			assert_true(told <= lost);
		}
		expect(f, "decoration\n");
		await();
		go_on();
	}
	fclose(f);
	over(pid);
}

/* Longer than a line of the queue: whole, and nothing in between. */
static void life_long(void)
{
	static char text[3 * STD_LINE];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\n';
	std_start("name");
	std_say(text, sizeof(text));
	std_say("end\n", 4);
	std_flush(60000);
	if (std_lost())
		_exit(1);
}

static void test_long(void **state)
{
	pid_t pid = child(life_long);
	FILE *f = reader();
	char line[4 * STD_LINE];

	(void)state;
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(strlen(line), 3 * STD_LINE);
	assert_int_equal(strspn(line, "x"), 3 * STD_LINE - 1);
	expect(f, "end\n");
	fclose(f);
	over(pid);
}

/* Nobody reads any more: counted, and no end for it. */
static void life_gone(void)
{
	signal(SIGPIPE, SIG_IGN);
	std_start("name");
	meet();
	for (unsigned i = 1; i <= 3; i++) {
		say(i);
		std_flush(60000);
		if (std_lost() != i)
			_exit((int)(10 + i));
	}
}

static void test_gone(void **state)
{
	pid_t pid = child(life_gone);

	(void)state;
	await();
	close(err[0]);
	err[0] = -1;
	go_on();
	over(pid);
}

/* A write that takes nothing is one that failed, whatever errno is from before: the message is lost,
 * and told of as soon as there is one that is not. */
static void life_takes_nothing(void)
{
	static const int was[] = { 0, EINTR, EAGAIN };

	std_start("name");
	for (unsigned i = 0; i < 3; i++) {
		took_nothing = was[i];
		takes = 0;
		say(1);
		std_flush(60000);
		say(2);
		std_flush(60000);
		takes = 1;			/* and not the line that tells of the two */
		std_say("well\n", 5);
		std_flush(60000);
		if (std_lost() != 2 * i + 2)
			_exit((int)(10 + i));
		takes = UINT32_MAX;
		std_say("well\n", 5);
		std_flush(60000);
	}
}

static void test_takes_nothing(void **state)
{
	pid_t pid = child(life_takes_nothing);
	FILE *f = reader();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		expect(f, "well\n");
		expect(f, "well\n");
		expect(f, "name: 2 messages were lost: standard error did not take them in time\n");
	}
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	over(pid);
}

/* What was said just before exit() is there. */
static void life_exit(void)
{
	std_start("name");
	say(1);
	say(2);
	exit(0);
}

static void test_exit(void **state)
{
	pid_t pid = child(life_exit);
	FILE *f = reader();

	(void)state;
	expect(f, "message 1\n");
	expect(f, "message 2\n");
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	over(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits), cmocka_unit_test(test_full), cmocka_unit_test(test_long),
		cmocka_unit_test(test_gone), cmocka_unit_test(test_takes_nothing),
		cmocka_unit_test(test_exit),
	};

	alarm(60);		/* to give up on a child that says nothing */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
