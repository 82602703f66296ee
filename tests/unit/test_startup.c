/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_startup.c - startup.h: the door until the workers are there.  What is answered, how long a
 * client may take for each of its steps, and who makes room for whom.
 *
 * The clock is the test's own and stands still until it is told to go; so are send() and recv() of
 * the door's thread, as far as they may do less than they were asked to.
 */
#include "admin/startup.h"
#include "http/head.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the clock ---- */

static _Atomic uint64_t clock_ms = 1000000;

uint64_t now_ms(void)
{
	return clock_ms;
}

uint64_t now_ns(void)
{
	return clock_ms * 1000000;
}

uint64_t now_coarse_ms(void)
{
	return clock_ms;
}

uint64_t now_wall_ms(void)
{
	return 1700000000000;
}

/* ---- the door's system calls ---- */

static atomic_uint held_port;		/* what is sent to this client does not leave */
static atomic_bool by_bytes;		/* one byte each, and now and then none */

static unsigned peer_port(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	return getpeername(fd, (struct sockaddr *)&a, &n) ? 0 : a.sin_port;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	static atomic_uint turn;

	if (flags & MSG_DONTWAIT) {
		if (held_port && peer_port(fd) == held_port) {
			errno = EAGAIN;
			return -1;
		}
		if (by_bytes && turn++ % 3) {
			errno = turn % 3 == 1 ? EINTR : EAGAIN;
			return -1;
		}
		n = by_bytes ? 1 : n;
	}
	return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	static atomic_uint turn;

	if (flags & MSG_DONTWAIT && by_bytes) {
		if (turn++ % 3) {
			errno = turn % 3 == 1 ? EINTR : EAGAIN;
			return -1;
		}
		n = 1;
	}
	return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

/* ---- the door ---- */

static struct health health;
static struct listeners listeners;
static struct startup *w;

static const struct head_common common = {
	.class = "fsync", .fields = "Pasted-Class: fsync\r\n", .fields_len = sizeof("Pasted-Class: fsync\r\n") - 1,
};
static const struct startup_env env = {
	.listeners = &listeners, .health = &health, .common = &common,
	.limits = { .head_bytes = 1000, .target_bytes = 100, .headers = 10, .trailer_bytes = 1000,
		    .body_bytes = 1000000 },
	.header_timeout_ms = 10000,
};

static int begin(void **state)
{
	struct listen_addr a;
	char why[256];

	(void)state;
	assert_int_equal(listen_parse("127.0.0.1:0", &a, why, sizeof(why)), 0);
	assert_int_equal(listeners_open(&listeners, &a, 1, 3, 0600, why, sizeof(why)), 0);
	health = (struct health){ .set = 0 };
	health_set(&health, HEALTH_RECOVERING, 0);
	assert_int_equal(startup_start(&w, &env), 0);
	alarm(40);		/* to give up */
	return 0;
}

static int end(void **state)
{
	(void)state;
	startup_stop(w);
	listeners_close(&listeners);
	alarm(0);
	return 0;
}

/* ---- a client ---- */

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	assert_true(fd >= 0);
	/* What is sent is there before what is sent after it, on another connection too. */
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
	return fd;
}

static void to_door(int fd)
{
	assert_int_equal(connect(fd, (const struct sockaddr *)&listeners.l[0].addr.ss, listeners.l[0].addr.len), 0);
}

static int connect_door(void)
{
	int fd = new_socket();

	to_door(fd);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes, to its end, which is no reset. */
static const char *hear(int fd)
{
	static char reply[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, reply + at, sizeof(reply) - 1 - at, 0)) > 0)
		at += (size_t)n;
	assert_int_equal(n, 0);
	reply[at] = '\0';
	return reply;
}

static const char *ask(const char *request)
{
	int fd = connect_door();
	const char *reply;

	say(fd, request);
	reply = hear(fd);
	close(fd);
	return reply;
}

static void expect(const char *request, const char *start, const char *has)
{
	const char *reply = ask(request);

	if (strncmp(reply, start, strlen(start)) || !strstr(reply, has))
		fail_msg("%s: %s", request, reply);
	assert_non_null(strstr(reply, "\r\nDate: "));
	assert_non_null(strstr(reply, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(reply, "\r\nPasted-Class: fsync\r\n"));
	assert_null(strstr(reply, "Pasted-Record"));
}

static void alive(void)
{
	expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\nalive\n");
}

/* The clock goes on, and the thread has seen it. */
static void tick(unsigned ms)
{
	clock_ms += ms;
	for (int i = 0; i < 2; i++)
		alive();
}

/* Whether what is sent there still arrives, after all that was said until now. */
static bool there(int fd)
{
	if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
		return false;
	tick(0);
	if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
		return false;
	tick(0);
	return true;
}

static void expect_gone(int fd)
{
	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		sched_yield();
	assert_true(errno == EPIPE || errno == ECONNRESET);
}

static void expect_silent(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_true(errno == EAGAIN || errno == EINTR);
}

/* ---- what is answered ---- */

static void test_answers(void **state)
{
	(void)state;
	/* Three workers' sockets: enough requests to come to each of them. */
	for (int i = 0; i < 12; i++) {
		expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "not ready: recovering");
		expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\r\nRetry-After: 1\r\n");
	}
	alive();
	assert_null(strstr(ask("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n"), "Retry-After"));
	expect("HEAD /-/livez?deep HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Content-Length: 6\r\n");
	expect("GET /-/livez?deep HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "Content-Type: text/plain\r\n");
	expect("GET /-/livez HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "alive");
	expect("GET http://x/-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "alive");
	expect("GET /-/livezz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\"error\":\"the server is recovering; try "
	       "again\"");
	expect("GET /-/live HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "Retry-After: 1\r\n");
	expect("GET /-/records/0-1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "application/json");
	expect("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ",\"error\":");
	expect("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ",\"error\":");
	expect("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 ", "Retry-After: 1\r\n");
	expect("DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "Retry-After: 1\r\n");
	expect("POST /-/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ",
	       "\r\nAllow: GET, HEAD, OPTIONS\r\n");
	expect("POST /-/livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", "Allow: GET");
	expect("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000001\r\n\r\n", "HTTP/1.1 413 ", ",\"error\":");
	expect("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204 ",
	       "\r\nAllow: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE\r\n");
	expect("OPTIONS /-/x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204 ", "\r\nAllow: GET, HEAD, OPTIONS\r\n");
	expect("BREW /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 ", ",\"error\":");
	expect("GET /-/livez HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "no Host");
	expect("nonsense\r\n\r\n", "HTTP/1.1 501 ", ",\"error\":");
	assert_string_equal(strstr(ask("HEAD /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n"), "\r\n\r\n"), "\r\n\r\n");
	/* One request a connection: what comes behind it is nobody's. */
	assert_string_equal(strstr(ask("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\nGET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n"),
				   "\r\n\r\n"), "\r\n\r\nalive\n");
	/* Between the last reason and the workers it is still not ready. */
	health_clear(&health, HEALTH_RECOVERING);
	expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\r\n\r\nstarting\n");
	expect("GET /-/stats HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "\"the server is ready; try again\"");
}

/* However little of it comes, or leaves, at once. */
static void test_by_bytes(void **state)
{
	(void)state;
	by_bytes = true;
	for (int i = 0; i < 3; i++) {
		expect("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\nalive\n");
		expect("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 ", "Retry-After: 1\r\n");
	}
	by_bytes = false;
}

/* ---- who is in nobody's way ---- */

/* Clients that say nothing, or a byte now and then, or do not go. */
static void test_many(void **state)
{
	int fd[2 * STARTUP_CLIENTS], late = connect_door();

	(void)state;
	say(late, "GET /-/li");
	for (unsigned i = 0; i < STARTUP_CLIENTS / 2; i++) {
		fd[i] = connect_door();
		if (i % 3)
			say(fd[i], i % 3 == 1 ? "G" : "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	alive();
	say(late, "vez HTTP/1.1\r\nHo");	/* it came first, and is still there */
	expect("GET /-/readyz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 ", "recovering");
	say(late, "st: x\r\n\r\n");
	assert_memory_equal(hear(late), "HTTP/1.1 200 ", 13);
	for (unsigned i = STARTUP_CLIENTS / 2; i < 2 * STARTUP_CLIENTS; i++)
		fd[i] = connect_door();
	alive();
	for (unsigned i = 0; i < 2 * STARTUP_CLIENTS; i++)
		close(fd[i]);
	close(late);
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* When there are as many as may be, the one that came first goes, and no other. */
static void test_oldest(void **state)
{
	int fd[STARTUP_CLIENTS + 1];
	unsigned files = open_files();

	(void)state;
	for (unsigned i = 0; i < STARTUP_CLIENTS - 2; i++) {
		fd[i] = connect_door();
		if (!i)
			alive();	/* so it came first */
	}
	for (unsigned i = 0; i < 3; i++)
		alive();		/* one more, for a moment, and perhaps the one before it */
	for (unsigned i = 0; i < STARTUP_CLIENTS - 2; i++)
		expect_silent(fd[i]);
	while (open_files() != files + 2 * (STARTUP_CLIENTS - 2))	/* who was served has been forgotten */
		sched_yield();
	for (unsigned i = STARTUP_CLIENTS - 2; i <= STARTUP_CLIENTS; i++)
		fd[i] = connect_door();
	assert_string_equal(hear(fd[0]), "");
	say(fd[STARTUP_CLIENTS], "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_memory_equal(hear(fd[STARTUP_CLIENTS]), "HTTP/1.1 200 ", 13);
	for (unsigned i = 1; i < STARTUP_CLIENTS; i++)
		expect_silent(fd[i]);
	for (unsigned i = 0; i <= STARTUP_CLIENTS; i++)
		close(fd[i]);
}

static void limit_files(rlim_t n)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

/* Without a descriptor for the next one the oldest makes room, and no other. */
static void test_no_files(void **state)
{
	int fd[3], fresh[2] = { new_socket(), new_socket() }, top;
	unsigned files = open_files();
	struct rlimit before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = connect_door();
		alive();			/* so they come in this order */
	}
	for (int i = 0; i < 2; i++) {
		int fill[64], n = 0;

		while (open_files() != files + 6)	/* who was served has been forgotten */
			sched_yield();
		top = dup(STDIN_FILENO);
		assert_true(top >= 0);
		close(top);
		limit_files((rlim_t)top + 3);
		while (n < 64 && (fill[n] = dup(STDIN_FILENO)) >= 0)	/* all that there may be */
			n++;
		assert_true(n < 64);
		to_door(fresh[i]);
		say(fresh[i], "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_string_equal(hear(fd[i]), "");		/* the oldest */
		assert_memory_equal(hear(fresh[i]), "HTTP/1.1 200 ", 13);
		limit_files(before.rlim_cur);
		while (n)
			close(fill[--n]);
		for (int k = i + 1; k < 3; k++)
			expect_silent(fd[k]);
	}
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(fresh[0]);
	close(fresh[1]);
}

/* Where standard input was closed a client may be descriptor 0. */
static void test_descriptor_0(void **state)
{
	int fd = new_socket(), keep = dup(STDIN_FILENO);
	unsigned files;

	(void)state;
	close(STDIN_FILENO);
	files = open_files();
	to_door(fd);
	say(fd, "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_memory_equal(hear(fd), "HTTP/1.1 200 ", 13);
	close(fd);
	while (open_files() != files - 1)
		sched_yield();
	if (keep >= 0)
		assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
	close(keep);
}

/* A body that is refused comes to its end: the client sees the answer, not a reset. */
static void test_body(void **state)
{
	char *body = calloc(1, 8u << 20);
	ssize_t n;
	int fd = connect_door();

	(void)state;
	say(fd, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n");
	for (size_t i = 0; i < 8u << 20; i += (size_t)n) {
		n = send(fd, body + i, (8u << 20) - i, MSG_NOSIGNAL);
		assert_true(n > 0);
	}
	assert_memory_equal(hear(fd), "HTTP/1.1 503 ", 13);
	close(fd);
	free(body);
}

/* ---- how long each step may take ---- */

/* A head that does not end is 408, whatever of it comes meanwhile; who never began is let go. */
static void test_head_timeout(void **state)
{
	int idle = connect_door(), slow = connect_door(), blank = connect_door();

	(void)state;
	say(slow, "GET /-/livez");
	say(blank, "\r\n");			/* no request has begun */
	tick(0);
	tick(5000);
	say(slow, " HTTP/1.1\r\n");
	tick(4999);
	say(slow, "A: b\r\n");
	tick(0);
	expect_silent(idle);
	expect_silent(slow);
	tick(1);
	assert_string_equal(hear(idle), "");
	assert_memory_equal(hear(slow), "HTTP/1.1 408 ", 13);
	expect_gone(idle);
	assert_true(there(slow));		/* it may still be reading */
	hear(blank);
	close(idle);
	close(slow);
	close(blank);
}

/* After the answer: five seconds without a byte, a minute in all. */
static void test_lingering(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int fd = connect_door();

		say(fd, "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
		hear(fd);
		if (i) {
			tick(4999);
			assert_true(there(fd));
			tick(4999);
			assert_true(there(fd));
			tick(5000);
		} else {
			for (int k = 0; k < 12; k++) {
				tick(4990);
				assert_true(there(fd));
			}
			tick(119);
			assert_true(there(fd));
			tick(1);
		}
		expect_gone(fd);
		close(fd);
	}
}

static void hold(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	held_port = a.sin_port;
}

/* An answer that cannot leave is kept for ten seconds, even of a client that sends no more. */
static void test_held_answer(void **state)
{
	(void)state;
	for (int shut = 0; shut < 2; shut++) {
		int fd = connect_door(), other = connect_door();

		hold(fd);
		say(fd, "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
		tick(0);
		if (shut)
			shutdown(fd, SHUT_WR);
		else
			say(fd, "what is this");	/* is no reason to wait longer */
		tick(9999);
		expect_silent(fd);
		held_port = 0;
		assert_memory_equal(hear(fd), "HTTP/1.1 200 ", 13);
		hold(other);
		say(other, "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
		tick(0);
		tick(9999);
		expect_silent(other);
		tick(1);
		assert_string_equal(hear(other), "");
		held_port = 0;
		close(fd);
		close(other);
	}
}

/* Who goes, in whichever step, is forgotten. */
static void test_gone(void **state)
{
	static const char *const said[] = { "", "G", "GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n" };
	unsigned before = open_files();

	(void)state;
	for (int i = 0; i < 12; i++) {
		struct linger reset = { .l_onoff = 1 };
		int fd = connect_door();

		say(fd, said[i % 3]);
		if (i % 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (i % 4 > 1)
			tick(0);
		if (i >= 6) {
			shutdown(fd, SHUT_WR);
			hear(fd);
		}
		close(fd);
	}
	while (open_files() > before)
		sched_yield();
}

/* ---- leaving ---- */

/* After it has left the listeners are somebody else's, and who is there is served. */
static void test_leaves(void **state)
{
	int before = connect_door(), after, fd;

	(void)state;
	say(before, "GET /-/readyz ");
	alive();				/* so it has come to it */
	startup_leave(w);
	after = connect_door();
	for (unsigned i = 0; (fd = accept(listeners.table[i % 3], NULL, NULL)) < 0; i++)
		assert_int_equal(errno, EAGAIN);
	close(fd);
	health_clear(&health, HEALTH_RECOVERING);
	say(before, "HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_memory_equal(hear(before), "HTTP/1.1 200 ", 13);
	close(before);
	close(after);
}

/* The door's: a sanitizer may have one of its own. */
static unsigned threads(void)
{
	DIR *d = opendir("/proc/self/task");
	char path[300], name[32] = "";
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		n += f && fgets(name, sizeof(name), f) && !strcmp(name, "pasted-startup\n");
		if (f)
			fclose(f);
	}
	closedir(d);
	return n;
}

/* Nobody is there any more: the thread ends by itself. */
static void test_leaves_nobody(void **state)
{
	(void)state;
	alive();
	assert_int_equal(threads(), 1);
	startup_leave(w);
	while (threads())
		sched_yield();
}

/* What cannot be watched is refused, and leaves nothing. */
static void test_no_start(void **state)
{
	struct startup *other;
	int keep = listeners.table[1];
	unsigned before = open_files();

	(void)state;
	listeners.table[1] = -1;
	assert_int_equal(startup_start(&other, &env), -EBADF);
	listeners.table[1] = keep;
	assert_int_equal(open_files(), before);
}

/* No program that this one may start has anything of it. */
static void test_close_on_exec(void **state)
{
	int client = connect_door();
	struct dirent *e;
	DIR *d;

	(void)state;
	alive();
	d = opendir("/proc/self/fd");
	assert_non_null(d);
	while ((e = readdir(d)))
		if (*e->d_name != '.' && atoi(e->d_name) > STDERR_FILENO)
			assert_int_not_equal(fcntl(atoi(e->d_name), F_GETFD), 0);
	closedir(d);
	close(client);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers), TEST(test_by_bytes), TEST(test_many), TEST(test_oldest), TEST(test_no_files),
		TEST(test_descriptor_0), TEST(test_body), TEST(test_head_timeout), TEST(test_lingering), TEST(test_held_answer), TEST(test_gone),
		TEST(test_leaves), TEST(test_leaves_nobody), TEST(test_no_start), TEST(test_close_on_exec),
	};

	closefrom(STDERR_FILENO + 1);	/* what whoever started this test has open is not the door's */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
