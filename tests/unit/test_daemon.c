/* SPDX-License-Identifier: BSD-2-Clause */
/* test_daemon.c - daemon.h, waiting.h, diag.h: signals, the manager, the door, messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "diag.h"
#include "health.h"
#include "listen.h"
#include "waiting.h"

static void signals(void **state)
{
	struct daemon d;

	(void)state;
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);	/* we may be under nohup ourselves */
	daemon_signals(&d);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(daemon_wait(&d, -1), DAEMON_STOP);
	assert_int_equal(kill(getpid(), SIGINT), 0);
	assert_int_equal(daemon_wait(&d, 60000), DAEMON_STOP);
	daemon_wake();
	assert_int_equal(daemon_wait(&d, -1), DAEMON_WOKEN);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(daemon_wait(&d, -1), DAEMON_STOP);
	/* As under nohup: ignored stays ignored, even though others are blocked. */
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	daemon_signals(&d);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
	assert_int_equal(kill(getpid(), SIGPIPE), 0);
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
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

/* ---- the door ---- */

static void ask(const struct listeners *ls, const char *request, char *reply, size_t n)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t at = 0;
	ssize_t k;

	assert_int_equal(connect(fd, (const struct sockaddr *)&ls->l[0].addr.ss, ls->l[0].addr.len), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((k = recv(fd, reply + at, n - 1 - at, 0)) > 0)
		at += (size_t)k;
	assert_int_equal(k, 0);			/* an end, not a reset */
	reply[at] = '\0';
	close(fd);
}

static void waiting(void **state)
{
	struct health h = { .set = 0 };
	struct listen_addr a;
	struct listeners ls;
	struct waiting *w;
	char reply[4096];

	(void)state;
	assert_int_equal(listen_parse("127.0.0.1:0", &a, reply, sizeof(reply)), 0);
	assert_int_equal(listeners_open(&ls, &a, 1, 3, 0600, reply, sizeof(reply)), 0);
	health_set(&h, HEALTH_RECOVERING, 0);
	assert_int_equal(waiting_start(&w, &ls, &h, "fsync"), 0);
	/* Three workers' sockets: enough requests to come to each of them. */
	for (int i = 0; i < 12; i++) {
		ask(&ls, "GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
		assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
		assert_non_null(strstr(reply, "recovering"));
		assert_non_null(strstr(reply, "Retry-After: "));
		assert_non_null(strstr(reply, "\r\nPasted-Class: fsync\r\n"));
	}
	ask(&ls, "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\nalive\n");
	ask(&ls, "HEAD /-/livez?deep HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	ask(&ls, "GET /-/livezz HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
	ask(&ls, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", reply, sizeof(reply));
	assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
	assert_null(strstr(reply, "Pasted-Record"));
	ask(&ls, "HEAD /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
	/* Between the last reason and the workers it is still not ready. */
	health_clear(&h, HEALTH_RECOVERING);
	ask(&ls, "GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
	waiting_stop(w);
	listeners_close(&ls);
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
		cmocka_unit_test(files),
		cmocka_unit_test(notify),
		cmocka_unit_test(waiting),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
