/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_listen.c - listen.h: whose address it is, what the sockets are like, who is in the way,
 * what a service manager hands over; and each system call fails once: said, and nothing is left.
 *
 * The naps of the wait for an address are the test's, and let go by at once.
 */
#include "ring/listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"

#define PATH	"test_listen.sock"
#define WORKERS	3u
#define GIVEN	3	/* the first descriptor of a service manager's */

static struct {
	const char *fails;		/* the nth call of this one, with err */
	unsigned nth, seen;
	int	 err;
	unsigned naps, goes_after;	/* so many naps later .. */
	int	 in_the_way;		/* .. this one goes; -1: nobody */
	unsigned said, said_at;		/* messages, and the naps before the last */
	unsigned chmods;
	mode_t	 mode;			/* asked for */
	char	 why[512];
} the;

static int reset(void **state)
{
	(void)state;
	memset(&the, 0, sizeof(the));
	the.in_the_way = -1;
	unlink(PATH);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	return 0;
}

/* ---- the system's, between listen.c and it ---- */

static bool fails(const char *call)
{
	if (!the.fails || strcmp(call, the.fails) || ++the.seen != the.nth)
		return false;
	errno = the.err;
	return true;
}

#define WRAP(type, name, none, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params { return fails(#name) ? (none) : __real_##name args; }
WRAP(int, socket, -1, (int a, int b, int c), (a, b, c))
WRAP(int, setsockopt, -1, (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e))
WRAP(int, getsockopt, -1, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e))
WRAP(int, bind, -1, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))
WRAP(int, connect, -1, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))
WRAP(int, listen, -1, (int a, int b), (a, b))
WRAP(int, getsockname, -1, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))
WRAP(int, fchmod, -1, (int a, mode_t b), (a, b))

/* What is allocated stands between its size and bytes that must be there when it is freed. */
#define FENCE 16u
void *__real_malloc(size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

static void *fenced(size_t n, int fill)
{
	uint8_t *p = __real_malloc(n + 2 * FENCE);

	assert_non_null(p);
	memcpy(p, &n, sizeof(n));
	memset(p + FENCE, fill, n);
	memset(p + FENCE + n, 0xfe, FENCE);
	return p + FENCE;
}

void *__wrap_malloc(size_t n)
{
	return fails("malloc") ? NULL : fenced(n, 0x77);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails("calloc") ? NULL : fenced(n * size, 0);
}

void __wrap_free(void *at)
{
	uint8_t *p = at;
	size_t n;

	if (!p)
		return;
	memcpy(&n, p - FENCE, sizeof(n));
	for (size_t i = 0; i < FENCE; i++)
		assert_int_equal(p[n + i], 0xfe);
	__real_free(p - FENCE);
}

int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode)
{
	the.chmods++;
	return fails("chmod") ? -1 : __real_chmod(path, mode);
}

int __real_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st)
{
	if (fails("lstat"))
		return -1;
	if (__real_lstat(path, st))
		return -1;
	if (the.mode)		/* at no time more than was asked for */
		assert_int_equal(st->st_mode & 0777 & ~the.mode, 0);
	return 0;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	if (!fails("unlink"))
		return __real_unlink(path);
	if (the.err == ENOENT) {	/* somebody else was first */
		__real_unlink(path);
		errno = ENOENT;
	}
	return -1;
}

int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...)
{
	va_list ap;
	int arg;

	va_start(ap, what);
	arg = what == F_GETFL || what == F_GETFD ? 0 : va_arg(ap, int);
	va_end(ap);
	return fails("fcntl") ? -1 : __real_fcntl(fd, what, arg);
}

int nanosleep(const struct timespec *t, struct timespec *rest)
{
	(void)rest;
	assert_int_equal(t->tv_sec, 0);
	assert_int_equal(t->tv_nsec, 20000000);
	if (++the.naps == the.goes_after && the.in_the_way >= 0) {
		close(the.in_the_way);
		the.in_the_way = -1;
	}
	return 0;
}

void diag(enum diag_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_int_equal(level, DIAG_NOTE);
	assert_non_null(strstr(text, " is in use"));
	the.said++;
	the.said_at = the.naps;
}

/* ---- what the tests do over and over ---- */

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct listen_addr addr(const char *text)
{
	struct listen_addr a;

	if (listen_parse(text, &a, the.why, sizeof(the.why)))
		fail_msg("%s", the.why);
	return a;
}

static struct listen_addr addr_port(const char *host, unsigned port)
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	return addr(text);
}

static int open_all(struct listeners *ls, const struct listen_addr *a, unsigned n)
{
	*the.why = '\0';
	the.naps = the.said = 0;
	return listeners_open(ls, a, n, WORKERS, 0660, the.why, sizeof(the.why));
}

static void said(const char *what)
{
	if (!strstr(the.why, what))
		fail_msg("\"%s\" does not say \"%s\"", the.why, what);
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &n), 0);
	return v;
}

static unsigned port(const struct listen_addr *a)
{
	return ntohs(a->ss.ss_family == AF_INET ? ((const struct sockaddr_in *)&a->ss)->sin_port :
		     ((const struct sockaddr_in6 *)&a->ss)->sin6_port);
}

/* Somebody else's socket at a; with the options that let two share an address. */
static int other(const struct listen_addr *a, bool shares, int type)
{
	int fd = socket(a->ss.ss_family, type | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	if (shares) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	}
	assert_int_equal(bind(fd, (const struct sockaddr *)&a->ss, a->len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 0), 0);
	return fd;
}

/* Two ports that nobody has. */
static void free_ports(unsigned p[2])
{
	struct listen_addr a[2] = { addr("127.0.0.1:0"), addr("127.0.0.1:0") };
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = other(&a[i], false, SOCK_STREAM);
		assert_int_equal(getsockname(fd[i], (struct sockaddr *)&a[i].ss, &a[i].len), 0);
		p[i] = port(&a[i]);
	}
	close(fd[0]);
	close(fd[1]);
}

static bool reaches(const struct listen_addr *a)
{
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = !connect(fd, (const struct sockaddr *)&a->ss, a->len);

	close(fd);
	return yes;
}

static bool has_ipv6(void)
{
	struct listen_addr a = addr("[::1]:0");
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && !bind(fd, (const struct sockaddr *)&a.ss, a.len);

	if (fd >= 0)
		close(fd);
	return yes;
}

/* ---- words ---- */

static void test_words(void **state)
{
	static const char *const good[] = {
		"1.2.3.4:0", "255.255.255.255:65535", "0.0.0.0:80", "[::]:65535", "[::ffff:127.0.0.1]:1",
		"[1111:2222:3333:4444:5555:6666:7777:8888]:9",
		"[1111:2222:3333:4444:5555:6666:7777:8888]:65535", "unix:/a", "unix:b",
	};
	static const char *const bad[] = {
		"1.2.3.4:65536", "1.2.3.4:99999", "1.2.3.4:000080", "1.2.3.4:+80", "1.2.3.4:80 ", "1.2.3.4.5:80",
		"[:80", "]:80", "[]:80", "[::1:80", "::1]:80", "[::1]:", "[::1]:65536", "[::1]x:80", "UNIX:/a", "unix",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:80", "tcp:1", "a/b",
		"1111111111111111111111111111111111111111111111111111.2.3.4:80",
	};
	struct listen_addr a;
	struct sockaddr_un *un = (struct sockaddr_un *)&a.ss;
	char text[LISTEN_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		a = addr(good[i]);
		listen_print(&a, text, sizeof(text));
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!listen_parse(bad[i], &a, the.why, sizeof(the.why)))
			fail_msg("\"%s\" was taken", bad[i]);
		said(bad[i]);
	}
	a = addr("1.2.3.4:258");
	assert_int_equal(a.len, sizeof(struct sockaddr_in));
	assert_int_equal(port(&a), 258);
	a = addr("[::1]:258");
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	a = addr("unix:/tmp/x");
	assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 7);
	assert_string_equal(un->sun_path, "/tmp/x");
	/* The longest there is, though it is said in other words. */
	a = addr("[1111:2222:3333:4444:5555:6666:255.255.255.255]:65535");
	listen_print(&a, text, sizeof(text));
	assert_string_equal(text, "[1111:2222:3333:4444:5555:6666:ffff:ffff]:65535");
	a.ss.ss_family = AF_UNSPEC;
	listen_print(&a, text, sizeof(text));
	assert_string_equal(text, "?");
}

/* ---- what the sockets are like ---- */

static void each_is_right(const struct listeners *ls)
{
	int max = 0;
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "r");

	assert_true(f && fscanf(f, "%d", &max) == 1);
	fclose(f);
	assert_int_equal(ls->workers, WORKERS);
	for (unsigned w = 0; w < WORKERS; w++)
		for (unsigned i = 0; i < ls->n; i++) {
			const struct listen_addr *a = &ls->l[i].addr;
			struct listen_addr real = { .len = sizeof(real.ss) };
			int fd = ls->l[i].fds[w];

			assert_int_equal(listeners_of(ls, w)[i], fd);
			assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
			assert_int_equal(option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
			assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
			assert_int_equal(getsockname(fd, (struct sockaddr *)&real.ss, &real.len), 0);
			assert_int_equal(real.ss.ss_family, a->ss.ss_family);
			if (a->ss.ss_family == AF_UNIX || ls->given) {
				assert_int_equal(fd, ls->l[i].fds[0]);
			} else {
				struct tcp_info info;
				socklen_t n = sizeof(info);

				assert_int_equal(port(&real), port(a));
				assert_true(w == 0 || fd != ls->l[i].fds[w - 1]);
				assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
				assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
				assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
				/* of one that listens: the length of its backlog */
				assert_int_equal(info.tcpi_sacked, max < 4096 ? max : 4096);
			}
			if (a->ss.ss_family != AF_UNIX)
				assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		}
}

static void test_all_kinds(void **state)
{
	struct listen_addr a[3] = { addr("127.0.0.1:0"), addr("unix:" PATH), addr("127.0.0.2:0") };
	unsigned before = descriptors();
	struct listeners ls;
	char text[400], want[400];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(open_all(&ls, a, 3), 0);
		assert_int_equal(ls.n, 3);
		assert_false(ls.given);
		assert_int_equal(the.naps + the.said, 0);
		each_is_right(&ls);
		for (unsigned i = 0; i < 3; i++)
			assert_true(reaches(&ls.l[i].addr));
		snprintf(want, sizeof(want), "127.0.0.1:%u, unix:%s, 127.0.0.2:%u", port(&ls.l[0].addr), PATH,
			 port(&ls.l[2].addr));
		listeners_print(&ls, text, sizeof(text));
		assert_string_equal(text, want);
		listeners_print(&ls, text, LISTEN_TEXT_MAX + 2);	/* no room for another */
		assert_string_equal(text, "");
		*strchr(want, ',') = '\0';
		listeners_print(&ls, text, LISTEN_TEXT_MAX + 3);
		assert_string_equal(text, want);
		listeners_close(&ls);
		assert_int_equal(access(PATH, F_OK), -1);
		assert_int_equal(descriptors(), before);
		listeners_close(&ls);			/* of nothing */
	}
}

/* The file has the mode that was asked for, whatever the umask, and no more before. */
static void test_mode(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 }, modes[] = { 0, 0600, 0660, 0666, 0777 };
	struct listen_addr a = addr("unix:" PATH);
	struct listeners ls;
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 5; k++) {
			mode_t was = umask(masks[i]);

			the.mode = modes[k];
			the.chmods = 0;
			assert_int_equal(listeners_open(&ls, &a, 1, 1, modes[k], the.why, sizeof(the.why)), 0);
			umask(was);
			assert_int_equal(stat(PATH, &st), 0);
			assert_int_equal(st.st_mode & 0777, modes[k]);
			assert_int_equal(the.chmods, (modes[k] & masks[i]) != 0);
			the.mode = 0;
			listeners_close(&ls);
		}
}

/* A wildcard of IPv6 serves IPv4 too, but for a port that an IPv4 address wants for itself. */
static void test_wildcards(void **state)
{
	const struct { const char *six, *four; int p6, p4, only6; bool ipv4; } row[] = {
		{ "[::]", NULL, 0, 0, 0, true }, { "[::]", "127.0.0.1", 0, 0, 1, true },
		{ "[::]", "127.0.0.1", 0, 1, 0, true }, { "[::]", "127.0.0.1", -1, -1, 0, true },
		{ "[::1]", NULL, 0, 0, 1, false }, { "[::1]", "127.0.0.1", 0, 0, 1, true },
		{ "[::]", "unix:" PATH, 0, 0, 0, true },
	};
	unsigned before = descriptors();
	struct listeners ls;

	(void)state;
	if (!has_ipv6())
		skip();
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (unsigned turned = 0; turned < 1u + !!row[i].four; turned++) {
			struct listen_addr a[2], four;
			unsigned p[2];

			free_ports(p);
			a[turned] = addr_port(row[i].six, row[i].p6 < 0 ? 0 : p[0]);
			if (row[i].four)
				a[!turned] = *row[i].four == 'u' ? addr(row[i].four) :
					     addr_port(row[i].four, row[i].p4 < 0 ? 0 : p[row[i].p4]);
			if (open_all(&ls, a, 1 + !!row[i].four))
				fail_msg("%zu: %s", i, the.why);
			each_is_right(&ls);
			assert_int_equal(option(ls.l[turned].fds[0], IPPROTO_IPV6, IPV6_V6ONLY), row[i].only6);
			four = addr_port("127.0.0.1", port(&ls.l[turned].addr));
			assert_int_equal(reaches(&four), row[i].ipv4);
			listeners_close(&ls);
			assert_int_equal(descriptors(), before);
		}
}

/* ---- who is in the way ---- */

/* Who listens there is waited for, two seconds, and after a while that is told; the port is
 * nobody's whose socket lets others share it either. */
static void test_in_use(void **state)
{
	unsigned before = descriptors();
	struct listen_addr mine[2], there[4];
	struct listeners ls;
	char want[64];

	(void)state;
	for (unsigned k = 0; k < 8; k++) {
		bool shares = k % 2;
		unsigned p[2];

		free_ports(p);
		there[0] = addr_port("127.0.0.1", p[0]);
		there[1] = addr_port("0.0.0.0", p[0]);
		there[2] = addr("unix:" PATH);
		there[3] = there[2];
		mine[0] = addr("127.0.0.1:0");
		mine[1] = k / 2 < 2 ? there[0] : there[2];
		the.goes_after = 0;
		the.in_the_way = other(&there[k / 2], shares, k / 2 == 3 ? SOCK_DGRAM : SOCK_STREAM);
		assert_int_equal(open_all(&ls, mine, 2), -EADDRINUSE);
		snprintf(want, sizeof(want), k / 2 < 2 ? "on 127.0.0.1:%u: " : "on unix:" PATH ": ", p[0]);
		said(want);
		said(": stop who listens there");
		assert_int_equal(the.naps, 100);
		assert_int_equal(the.said, 1);
		assert_int_equal(the.said_at, 10);
		assert_int_equal(descriptors(), before + 1);
		if (k / 2 >= 2)
			assert_int_equal(access(PATH, F_OK), 0);
		the.goes_after = shares ? 10 : 11;
		assert_int_equal(open_all(&ls, mine, 2), 0);
		assert_int_equal(the.naps, the.goes_after);
		assert_int_equal(the.said, !shares);
		assert_true(reaches(&ls.l[1].addr));
		listeners_close(&ls);
		assert_int_equal(descriptors(), before);
	}
}

/* It need not accept: a full backlog would have us wait. */
static void test_full_backlog(void **state)
{
	struct listen_addr a = addr("unix:" PATH);
	int fd[8];
	unsigned n = 0;
	struct listeners ls;

	(void)state;
	the.in_the_way = other(&a, false, SOCK_STREAM);
	do {
		assert_true(n < 8);
		fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	} while (!connect(fd[n++], (struct sockaddr *)&a.ss, a.len));
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(open_all(&ls, &a, 1), -EADDRINUSE);
	assert_int_equal(access(PATH, F_OK), 0);
	while (n)
		close(fd[--n]);
	close(the.in_the_way);
}

/* A socket that nobody listens on was left by a crash; a file that is none stays, and so does
 * one that has taken the place of ours meanwhile. */
static void test_files(void **state)
{
	struct listen_addr a = addr("unix:" PATH), in_file = addr("unix:" PATH "/x"), nowhere = addr("unix:no/such");
	struct listeners ls;
	struct stat st;

	(void)state;
	close(other(&a, false, SOCK_STREAM));
	assert_int_equal(open_all(&ls, &a, 1), 0);
	assert_int_equal(the.naps, 0);
	assert_int_equal(unlink(PATH), 0);
	close(open(PATH, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	listeners_close(&ls);
	assert_int_equal(open_all(&ls, &a, 1), -EEXIST);
	said("it was left alone");
	assert_true(!stat(PATH, &st) && S_ISREG(st.st_mode));
	assert_int_equal(open_all(&ls, &in_file, 1), -ENOTDIR);
	unlink(PATH);
	assert_int_equal(open_all(&ls, &nowhere, 1), -ENOENT);
	said("cannot listen on unix:no/such: No such file or directory");
	assert_int_equal(the.why[strlen(the.why) - 1], 'y');	/* no hint */
}

/* ---- what a service manager hands over ---- */

static void hand_over(unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%u", n);
	setenv("LISTEN_FDS", text, 1);
}

static void as_given(unsigned i, int fd)
{
	assert_int_equal(dup2(fd, GIVEN + (int)i), GIVEN + (int)i);
	if (fd != GIVEN + (int)i)
		close(fd);
}

static void close_given(void)
{
	for (int fd = GIVEN; fd < GIVEN + 2; fd++)
		close(fd);
}

static void test_given(void **state)
{
	struct listen_addr tcp = addr("127.0.0.1:0"), un = addr("unix:" PATH), mine = addr("127.0.0.2:0");
	unsigned before;
	struct listeners ls;

	(void)state;
	close_given();
	before = descriptors();
	for (unsigned k = 0; k < 2; k++) {
		as_given(0, other(&tcp, false, SOCK_STREAM));
		as_given(1, other(&un, false, SOCK_STREAM));
		for (int fd = GIVEN; fd < GIVEN + 2; fd++)
			assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
		hand_over(2);
		assert_int_equal(open_all(&ls, &mine, 1), 0);
		assert_true(ls.given);
		assert_int_equal(ls.n, 2);
		assert_int_equal(listeners_of(&ls, 0)[0], GIVEN);
		assert_int_equal(listeners_of(&ls, 0)[1], GIVEN + 1);
		each_is_right(&ls);
		assert_true(reaches(&ls.l[0].addr) && reaches(&ls.l[1].addr));
		assert_int_not_equal(port(&ls.l[0].addr), 0);
		listeners_close(&ls);
		assert_int_equal(descriptors(), before);
		assert_int_equal(access(PATH, F_OK), 0);	/* it is the manager's */
		unlink(PATH);
	}
	/* It was for another process; or there is nothing. */
	for (unsigned k = 0; k < 3; k++) {
		hand_over(2);
		if (k == 0)
			setenv("LISTEN_PID", "1", 1);
		else
			unsetenv(k == 1 ? "LISTEN_PID" : "LISTEN_FDS");
		assert_int_equal(open_all(&ls, &mine, 1), 0);
		assert_false(ls.given);
		each_is_right(&ls);
		listeners_close(&ls);
	}
}

/* What is no listening stream socket is refused with its number. */
static void test_given_wrong(void **state)
{
	struct listen_addr tcp = addr("127.0.0.1:0");
	struct listeners ls;
	unsigned before;

	(void)state;
	close_given();
	before = descriptors();
	for (unsigned k = 0; k < 4; k++) {
		as_given(0, other(&tcp, false, SOCK_STREAM));
		if (k == 0)
			as_given(1, open("/dev/null", O_RDONLY));
		else if (k == 1)
			as_given(1, socket(AF_INET, SOCK_STREAM, 0));
		else if (k == 2)
			as_given(1, other(&tcp, false, SOCK_DGRAM));
		hand_over(2);
		assert_int_equal(open_all(&ls, &tcp, 1), k == 3 ? -EBADF : -ENOTSOCK);
		said("cannot listen on descriptor 4: ");
		said("must be listening stream sockets");
		close_given();
		assert_int_equal(descriptors(), before);
	}
	hand_over(LISTEN_MAX + 1);
	assert_int_equal(open_all(&ls, &tcp, 1), -E2BIG);
	said("listeners: ");
	hand_over(LISTEN_MAX);
	assert_int_equal(open_all(&ls, &tcp, 1), -EBADF);
	said("descriptor 3: ");
}

/* ---- each call fails once ---- */

static void test_calls_fail(void **state)
{
	static const char *const calls[] = {
		"socket", "setsockopt", "bind", "listen", "getsockname", "fchmod", "chmod", "lstat", "connect", "unlink",
		"calloc", "malloc",
	};
	struct listen_addr a[2] = { addr("127.0.0.1:0"), addr("unix:" PATH) };
	unsigned before = descriptors(), failed = 0;
	struct listeners ls;

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (unsigned nth = 1;; nth++) {
			mode_t was;
			int err;

			close(other(&a[1], false, SOCK_STREAM));
			was = umask(077);
			the.seen = 0;
			the.nth = nth;
			the.err = strstr(calls[i], "alloc") ? ENOMEM : EIO;
			the.fails = calls[i];
			err = open_all(&ls, a, 2);
			the.fails = NULL;
			umask(was);
			unlink(PATH);
			if (the.seen < nth) {
				assert_int_equal(err, 0);
				listeners_close(&ls);
				assert_true(nth > 1);
				break;
			}
			if (err != -the.err)
				fail_msg("%s %u: %d (%s)", calls[i], nth, err, the.why);
			said(strerror(the.err));
			said(strstr(calls[i], "alloc") ? "listeners: " : "cannot listen on ");
			assert_int_equal(descriptors(), before);
			failed++;
		}
	assert_true(failed > 30);
}

/* Somebody else has taken the stale socket away first: nothing is wrong. */
static void test_stale_is_gone(void **state)
{
	struct listen_addr a = addr("unix:" PATH);
	struct listeners ls;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		close(other(&a, false, SOCK_STREAM));
		if (k == 0)
			unlink(PATH);
		the.fails = k == 0 ? "lstat" : "unlink";
		the.seen = 0;
		the.nth = 1;
		the.err = ENOENT;
		assert_int_equal(open_all(&ls, &a, 1), 0);
		the.fails = NULL;
		assert_true(the.seen >= 1);
		listeners_close(&ls);
	}
}

static void test_given_calls_fail(void **state)
{
	static const char *const calls[] = { "fcntl", "getsockopt", "getsockname" };
	struct listen_addr tcp = addr("127.0.0.1:0");
	struct listeners ls;

	(void)state;
	close_given();
	for (unsigned i = 0; i < 3; i++)
		for (unsigned nth = 1;; nth++) {
			int err;

			as_given(0, other(&tcp, false, SOCK_STREAM));
			hand_over(1);
			the.seen = 0;
			the.nth = nth;
			the.err = EIO;
			the.fails = calls[i];
			err = open_all(&ls, &tcp, 1);
			the.fails = NULL;
			if (the.seen < nth) {
				assert_int_equal(err, 0);
				listeners_close(&ls);
				assert_int_equal(nth, i == 0 ? 4 : i == 1 ? 3 : 2);
				break;
			}
			assert_int_equal(err, -EIO);
			said("descriptor 3: ");
			close(GIVEN);
		}
}

/* Whoever has closed standard input gets that number for a socket: it is one as good as others. */
static void test_descriptor_zero(void **state)
{
	struct listen_addr a[2] = { addr("127.0.0.1:0"), addr("unix:" PATH) };
	int input = dup(0);

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct listeners ls;
		unsigned before;

		close(0);
		before = descriptors();
		assert_int_equal(open_all(&ls, &a[k], 1), 0);
		assert_int_equal(ls.l[0].fds[0], 0);
		each_is_right(&ls);
		listeners_close(&ls);
		assert_int_equal(descriptors(), before);
		close(other(&a[1], false, SOCK_STREAM));	/* and for the look at a stale one */
		assert_int_equal(open_all(&ls, &a[1], 1), 0);
		listeners_close(&ls);
		assert_int_equal(descriptors(), before);
	}
	if (input >= 0) {
		assert_int_equal(dup2(input, 0), 0);
		close(input);
	}
}

/* What to do about it, for what the kernel says. */
static void test_hints(void **state)
{
	static const struct { int err; const char *hint; } row[] = {
		{ EACCES, "CAP_NET_BIND_SERVICE" }, { EADDRNOTAVAIL, "does not have that address" },
		{ EAFNOSUPPORT, "does not have that address" },
	};
	struct listen_addr a = addr("127.0.0.1:0");
	struct listeners ls;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		the.seen = 0;
		the.nth = 1;
		the.err = row[i].err;
		the.fails = "bind";
		assert_int_equal(open_all(&ls, &a, 1), -row[i].err);
		the.fails = NULL;
		said(row[i].hint);
		assert_int_equal(the.naps, 0);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, reset, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_words), T(test_all_kinds), T(test_mode), T(test_wildcards), T(test_in_use), T(test_full_backlog),
		T(test_files), T(test_given), T(test_given_wrong), T(test_calls_fail), T(test_stale_is_gone),
		T(test_given_calls_fail), T(test_descriptor_zero), T(test_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
