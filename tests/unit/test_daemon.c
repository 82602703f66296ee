/* SPDX-License-Identifier: BSD-2-Clause */
/* test_daemon.c - daemon.h, diag.h: signals, the pid file, limits, the manager, messages. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/daemon.h"
#include "base/diag.h"

static void signals(void **state)
{
	struct daemon d;

	(void)state;
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);	/* we may be under nohup ourselves */
	assert_int_equal(daemon_signals(&d), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(daemon_wait(&d, -1), DAEMON_STOP);
	assert_int_equal(kill(getpid(), SIGINT), 0);
	assert_int_equal(daemon_wait(&d, 60000), DAEMON_STOP);
	daemon_wake(&d);
	assert_int_equal(daemon_wait(&d, -1), DAEMON_WOKEN);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(daemon_wait(&d, -1), DAEMON_STOP);
	/* As under nohup: ignored stays ignored, even though others are blocked. */
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	assert_int_equal(daemon_signals(&d), 0);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
	assert_int_equal(kill(getpid(), SIGPIPE), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);	/* from anybody: it means nothing */
	assert_int_equal(kill(getpid(), SIGUSR2), 0);
	assert_int_equal(kill(getpid(), SIGXFSZ), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
}

static struct daemon rung;
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	if (++alarms == 3)
		daemon_wake(&rung);
}

/* The bell, however often it was rung, is one event, behind a signal; what else interrupts is none. */
static void bell(void **state)
{
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction a = { .sa_handler = on_alarm };
	uint64_t most = UINT64_MAX - 1;

	(void)state;
	assert_int_equal(daemon_signals(&rung), 0);
	assert_int_equal(fcntl(rung.signals, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(rung.bell, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		daemon_wake(&rung);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(daemon_wait(&rung, -1), DAEMON_STOP);
	assert_int_equal(daemon_wait(&rung, 0), DAEMON_WOKEN);
	assert_int_equal(daemon_wait(&rung, 0), DAEMON_TIMEOUT);
	assert_int_equal(write(rung.bell, &most, sizeof(most)), sizeof(most));
	daemon_wake(&rung);			/* it is full, and that is as good */
	assert_int_equal(daemon_wait(&rung, 0), DAEMON_WOKEN);
	assert_int_equal(daemon_wait(&rung, 0), DAEMON_TIMEOUT);
	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(daemon_wait(&rung, -1), DAEMON_WOKEN);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_true(alarms >= 3);
	close(rung.signals);
	close(rung.bell);
}

/* Either of its two descriptors may be the one too many. */
static void no_descriptor(void **state)
{
	struct rlimit before, few;
	struct daemon d;
	int next;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t room = 0; room < 2; room++) {
		next = dup(STDERR_FILENO);
		assert_true(next >= 0);
		close(next);
		few = before;
		few.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		assert_int_equal(daemon_signals(&d), -EMFILE);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(d.signals >= 0, room);
		if (room)
			close(d.signals);
	}
}

static void put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What is there and no pid file is not written over, nor removed at the end. */
static void pid_file(void **state)
{
	char dir[] = "/tmp/pasted-pid.XXXXXX", path[64], other[64], text[64] = "";
	struct daemon d;
	int pid;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pid", dir);
	snprintf(other, sizeof(other), "%s/thesis", dir);
	for (int i = 0; i < 3; i++) {		/* none; one that was left behind; an empty one */
		if (i)
			put_text(path, i == 1 ? "4194303\n" : "");
		assert_int_equal(daemon_pid_open(&d, path, &pid), 0);
		daemon_pid_remove(&d);
		assert_int_equal(access(path, F_OK), -1);
	}
	put_text(path, "a thesis, and no number\n");
	assert_int_equal(daemon_pid_open(&d, path, &pid), -EBADMSG);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "a thesis, and no number\n");
	unlink(path);
	put_text(other, "17\n");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(daemon_pid_open(&d, path, &pid), -EBADMSG);
	unlink(path);
	assert_int_equal(link(other, path), 0);
	assert_int_equal(daemon_pid_open(&d, path, &pid), -EBADMSG);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(daemon_pid_open(&d, path, &pid), -EBADMSG);
	unlink(path);
	unlink(other);
	rmdir(dir);
}

/* How much of the number of a process it may have: all of a text of digits and newlines that is
 * not too long. */
static void pid_file_text(void **state)
{
	static const struct { const char *text; int err; } table[] = {
		{ "1234567890123456789012345678901", 0 }, { "12345678901234567890123456789012", -EBADMSG },
		{ "123456789012345678901234567890123", -EBADMSG }, { "0\n9\n\n", 0 }, { "12/", -EBADMSG },
		{ "12:", -EBADMSG }, { " 12", -EBADMSG }, { "12\n ", -EBADMSG }, { "x", -EBADMSG }, { "1\r\n", -EBADMSG },
	};
	char dir[] = "/tmp/pasted-pid.XXXXXX", path[64];
	struct daemon d;
	int pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pid", dir);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put_text(path, table[i].text);
		pid = 77;
		assert_int_equal(daemon_pid_open(&d, path, &pid), table[i].err);
		assert_int_equal(pid, 0);
		assert_int_equal(access(path, F_OK), 0);
		if (!table[i].err)
			daemon_pid_remove(&d);
		unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* Its life: the number in it, another one kept out, gone at the end, once. */
static void pid_file_held(void **state)
{
	char dir[] = "/tmp/pasted-pid.XXXXXX", path[64], text[64] = "", want[32];
	struct daemon d, other;
	int pid, status, at[2];
	struct stat st;
	pid_t child;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/none/pid", dir);
	assert_int_equal(daemon_pid_open(&d, path, &pid), -ENOENT);
	assert_null(d.pid);
	daemon_pid_remove(&d);			/* there is nothing to do */
	snprintf(path, sizeof(path), "%s/pid", dir);
	umask(022);
	assert_int_equal(daemon_pid_open(&d, path, &pid), 0);
	assert_int_equal(pid, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	snprintf(want, sizeof(want), "%d", getpid());
	assert_memory_equal(text, want, strlen(want));
	assert_int_equal(pipe(at), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {				/* another process */
		int err = daemon_pid_open(&other, path, &pid);

		_exit(err == -EEXIST && pid == getppid() && !other.pid && write(at[1], "x", 1) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	daemon_pid_remove(&d);
	assert_null(d.pid);
	assert_int_equal(access(path, F_OK), -1);
	put_text(path, "1\n");			/* somebody else's by now */
	daemon_pid_remove(&d);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	/* It cannot be written: nothing is left of it (but libbsd's memory: a process that ends). */
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct rlimit none = { 0, 0 };

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &none);
		_exit(daemon_pid_open(&d, path, &pid) == -EFBIG && !d.pid && access(path, F_OK) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(at[0]);
	close(at[1]);
	assert_int_equal(rmdir(dir), 0);
}

static void files(void **state)
{
	struct rlimit before, r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	r = before;
	r.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	assert_int_equal(daemon_raise_files(100), 100);
	assert_int_equal(daemon_raise_files(50), 100);		/* never lowers */
	assert_int_equal(daemon_raise_files(before.rlim_max), before.rlim_max);
	if (before.rlim_max < 1ul << 40)
		assert_int_equal(daemon_raise_files(before.rlim_max + 1), before.rlim_max);
}

static void notify(void **state)
{
	static const char path[] = "test_daemon.sock";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char got[64];
	ssize_t n;

	(void)state;
	strcpy(un.sun_path, path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	unsetenv("NOTIFY_SOCKET");
	daemon_notify("READY=1");
	setenv("NOTIFY_SOCKET", "relative/is/not/allowed", 1);
	daemon_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	{
		char full[512], cwd[256];

		assert_non_null(getcwd(cwd, sizeof(cwd)));
		snprintf(full, sizeof(full), "%s/%s", cwd, path);
		if (strlen(full) >= sizeof(un.sun_path))
			snprintf(full, sizeof(full), "/proc/self/cwd/%s", path);
		setenv("NOTIFY_SOCKET", full, 1);
	}
	daemon_notify("READY=1\nSTATUS=x");
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, 16);
	assert_memory_equal(got, "READY=1\nSTATUS=x", 16);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
	unlink(path);
}

/* An abstract name; names that are none or too long for one; a manager that reads no more. */
static void notify_names(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[200], got[64];
	unsigned filled = 0;
	int fd;

	(void)state;
	memset(name, 'n', sizeof(name));
	snprintf(name, 32, "@pasted-test-%d", getpid());
	name[strlen(name)] = 'x';
	for (size_t n = sizeof(un.sun_path) - 2; n <= sizeof(un.sun_path); n++) {
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(fd >= 0);
		name[n] = '\0';
		memcpy(un.sun_path, name, n < sizeof(un.sun_path) ? n : sizeof(un.sun_path));
		un.sun_path[0] = '\0';
		assert_int_equal(bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				 (n < sizeof(un.sun_path) ? n : sizeof(un.sun_path)))), 0);
		setenv("NOTIFY_SOCKET", name, 1);
		daemon_notify("READY=1");
		if (n < sizeof(un.sun_path)) {
			assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
			assert_memory_equal(got, "READY=1", 7);
		}
		assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
		close(fd);
		name[n] = 'n';
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(un.sun_path, "\0a", 2);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 2), 0);
	setenv("NOTIFY_SOCKET", "@a", 1);
	daemon_notify("x");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 1);
	setenv("NOTIFY_SOCKET", "@", 1);
	daemon_notify("x");
	setenv("NOTIFY_SOCKET", "", 1);
	daemon_notify("x");
	setenv("NOTIFY_SOCKET", "@nobody-has-this", 1);
	daemon_notify("x");
	setenv("NOTIFY_SOCKET", "@a", 1);
	{					/* full: it is waited for a moment, not for ever */
		int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		while (sendto(from, "y", 1, 0, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 2) == 1)
			filled++;
		assert_true(filled > 0);
		close(from);
	}
	alarm(60);				/* to give up */
	daemon_notify("x");
	alarm(0);
	while (filled--) {
		assert_int_equal(recv(fd, got, sizeof(got), 0), 1);
		assert_int_equal(*got, 'y');
	}
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	daemon_notify("x");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 1);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

/* ---- messages ---- */

/* What f writes to standard error. */
static void said_by(void (*f)(void), char *buf, size_t n)
{
	int keep = dup(STDERR_FILENO), p[2];
	ssize_t k;

	assert_int_equal(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	f();
	dup2(keep, STDERR_FILENO);
	close(keep);
	k = read(p[0], buf, n - 1);
	buf[k < 0 ? 0 : k] = '\0';
	close(p[0]);
}

static void plain(void)
{
	diag(DIAG_ERR, "%s", "two\nlines\x1b[31m");
}

static void lengthy(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text));
	diag(DIAG_NOTE, "%.*s", (int)sizeof(text), text);
}

static void often(void)
{
	static struct diag_limit l;

	diag_limited(&l, DIAG_NOTE, "again");
	assert_true(l.next_ms > 0);
	l.next_ms = UINT64_MAX;			/* however slow this is, the second is not over */
	for (int i = 0; i < 99; i++)
		diag_limited(&l, DIAG_NOTE, "again");
	l.next_ms = 0;				/* and now it is */
	diag_limited(&l, DIAG_NOTE, "again");
}

static void messages(void **state)
{
	char got[8192];

	(void)state;
	unsetenv("JOURNAL_STREAM");
	said_by(plain, got, sizeof(got));
	assert_string_equal(got, "pasted: two?lines?[31m\n");
	setenv("JOURNAL_STREAM", "1:2", 1);
	said_by(plain, got, sizeof(got));
	assert_string_equal(got, "<3>pasted: two?lines?[31m\n");
	unsetenv("JOURNAL_STREAM");
	said_by(lengthy, got, sizeof(got));
	assert_in_range(strlen(got), 500, 1024);
	assert_int_equal(got[strlen(got) - 1], '\n');
	said_by(often, got, sizeof(got));
	assert_string_equal(got, "pasted: again\npasted: again (99 more not shown)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals),
		cmocka_unit_test(bell),
		cmocka_unit_test(no_descriptor),
		cmocka_unit_test(pid_file),
		cmocka_unit_test(pid_file_text),
		cmocka_unit_test(pid_file_held),
		cmocka_unit_test(files),
		cmocka_unit_test(notify),
		cmocka_unit_test(notify_names),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
