/* SPDX-License-Identifier: BSD-2-Clause */
/* test_daemon.c - daemon.h, waiting.h, diag.h: signals, the manager, the door, messages. */
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
	assert_int_equal(daemon_wait(&d, 0), DAEMON_TIMEOUT);
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

static struct health health;
static struct listeners listeners;

static struct waiting *waiting_begin(unsigned header_timeout_ms)
{
	struct waiting_env env = {
		.listeners = &listeners, .health = &health, .class = "fsync",
		.limits = { .head_bytes = 1000, .target_bytes = 100, .headers = 10, .trailer_bytes = 1000,
			    .body_bytes = 1000000 },
		.header_timeout_ms = header_timeout_ms,
	};
	struct listen_addr a;
	struct waiting *w;
	char why[256];

	assert_int_equal(listen_parse("127.0.0.1:0", &a, why, sizeof(why)), 0);
	assert_int_equal(listeners_open(&listeners, &a, 1, 3, 0600, why, sizeof(why)), 0);
	health = (struct health){ .set = 0 };
	health_set(&health, HEALTH_RECOVERING, 0);
	assert_int_equal(waiting_start(&w, &env), 0);
	return w;
}

static void waiting_end(struct waiting *w)
{
	waiting_stop(w);
	listeners_close(&listeners);
}

static void expect(const char *request, const char *start, const char *has)
{
	char reply[4096];

	ask(&listeners, request, reply, sizeof(reply));
	if (strncmp(reply, start, strlen(start)) || !strstr(reply, has))
		fail_msg("%s: %s", request, reply);
	assert_non_null(strstr(reply, "\r\nDate: "));
	assert_non_null(strstr(reply, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(reply, "\r\nPasted-Class: fsync\r\n"));
	assert_null(strstr(reply, "Pasted-Record"));
}

static void waiting(void **state)
{
	struct waiting *w = waiting_begin(10000);
	char reply[4096];

	(void)state;
	/* Three workers' sockets: enough requests to come to each of them. */
	for (int i = 0; i < 12; i++) {
		expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "not ready: recovering");
		expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\r\nRetry-After: ");
	}
	expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\nalive\n");
	expect("HEAD /-/livez?deep HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Content-Length: 6\r\n");
	expect("GET /-/livez HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "alive");
	expect("GET http://x/-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "alive");
	expect("GET /-/livezz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\"error\":\"the server is recovering");
	expect("GET /-/records/0-1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "application/json");
	expect("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ",\"error\":");
	expect("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 ", "Retry-After: ");
	expect("POST /-/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ", "Allow: ");
	expect("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000001\r\n\r\n", "HTTP/1.1 413 ", ",\"error\":");
	expect("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204 ", "POST, PUT");
	expect("BREW /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 ", ",\"error\":");
	expect("GET /-/livez HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "no Host");
	ask(&listeners, "HEAD /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", reply, sizeof(reply));
	assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
	/* Between the last reason and the workers it is still not ready. */
	health_clear(&health, HEALTH_RECOVERING);
	expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "starting");
	waiting_end(w);
}

static int connect_door(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&listeners.l[0].addr.ss, listeners.l[0].addr.len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Clients that say nothing, or a byte now and then, or do not go: none is in another's way,
 * and there may be more of them than there is room for. */
static void waiting_for_many(void **state)
{
	struct waiting *w = waiting_begin(3600000);
	int fd[2 * WAITING_CLIENTS], late = connect_door();
	char reply[4096];
	size_t at = 0;
	ssize_t n;

	(void)state;
	say(late, "GET /-/li");
	for (unsigned i = 0; i < WAITING_CLIENTS / 2; i++) {
		fd[i] = connect_door();
		if (i % 3)
			say(fd[i], i % 3 == 1 ? "G" : "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "alive");
	say(late, "vez HTTP/1.1\r\nHo");	/* it came first, and is still there */
	expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "recovering");
	say(late, "st: x\r\n\r\n");
	while ((n = recv(late, reply + at, sizeof(reply) - 1 - at, 0)) > 0)
		at += (size_t)n;
	assert_int_equal(n, 0);
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	for (unsigned i = WAITING_CLIENTS / 2; i < 2 * WAITING_CLIENTS; i++)
		fd[i] = connect_door();
	expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "alive");
	for (unsigned i = 0; i < 2 * WAITING_CLIENTS; i++)
		close(fd[i]);
	close(late);
	waiting_end(w);
}

/* A body that is refused comes to its end: the client sees the answer, not a reset. */
static void waiting_with_a_body(void **state)
{
	struct waiting *w = waiting_begin(10000);
	char *body = calloc(1, 8u << 20), reply[4096];
	size_t at = 0;
	ssize_t n;
	int fd = connect_door();

	(void)state;
	say(fd, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n");
	for (size_t i = 0; i < 8u << 20; i += (size_t)n) {
		n = send(fd, body + i, (8u << 20) - i, MSG_NOSIGNAL);
		assert_true(n > 0);
	}
	while ((n = recv(fd, reply + at, sizeof(reply) - 1 - at, 0)) > 0)
		at += (size_t)n;
	assert_int_equal(n, 0);
	assert_memory_equal(reply, "HTTP/1.1 503 ", 13);
	close(fd);
	free(body);
	waiting_end(w);
}

/* A head that does not end is 408; who never began is let go. */
static void waiting_in_vain(void **state)
{
	struct waiting *w = waiting_begin(20);
	int fd = connect_door();
	char c;

	(void)state;
	expect("GET /-/livez HTTP/1.1\r\n", "HTTP/1.1 408 ", ",\"error\":");
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
	waiting_end(w);
}

/* After it has left the listeners are somebody else's, and who is there is served. */
static void waiting_leaves(void **state)
{
	struct waiting *w = waiting_begin(3600000);
	int before = connect_door(), after, fd;
	char reply[4096];
	ssize_t n;

	(void)state;
	say(before, "GET /-/readyz ");
	expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "alive");	/* so it has come to it */
	waiting_leave(w);
	after = connect_door();
	for (unsigned i = 0; (fd = accept(listeners.table[i % 3], NULL, NULL)) < 0; i++)
		assert_int_equal(errno, EAGAIN);
	close(fd);
	health_clear(&health, HEALTH_RECOVERING);
	say(before, "HTTP/1.1\r\nHost: x\r\n\r\n");
	n = recv(before, reply, sizeof(reply) - 1, 0);
	assert_true(n > 13);
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	close(before);
	close(after);
	waiting_end(w);
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
		cmocka_unit_test(pid_file),
		cmocka_unit_test(files),
		cmocka_unit_test(notify),
		cmocka_unit_test(waiting),
		cmocka_unit_test(waiting_for_many),
		cmocka_unit_test(waiting_with_a_body),
		cmocka_unit_test(waiting_in_vain),
		cmocka_unit_test(waiting_leaves),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
