/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.c - parse and print addresses; open, share and close listening sockets.
 *
 * SO_REUSEPORT lets two servers of one user share a port without a word: each
 * would get half the connections.  So a socket without it is bound first, which
 * fails if anybody listens there; only then come the workers' own.
 */
#include "ring/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"

#define BACKLOG 4096
#define WAIT_TRIES 100		/* each 20 ms after the last */
#define WAIT_TELL 10		/* the usual remains of a killed server are gone by then */
#define ACTIVATION_FD 3		/* the first descriptor a service manager hands over */

/* ---- words ---- */

static struct sockaddr_un *unix_of(const struct listen_addr *a)
{
	return (struct sockaddr_un *)&a->ss;
}

static int parse_unix(const char *path, struct listen_addr *a, char *why, size_t why_len)
{
	struct sockaddr_un *un = unix_of(a);
	size_t n = strlen(path);

	if (!n || n >= sizeof(un->sun_path)) {
		snprintf(why, why_len, "\"%s\" is no path for a Unix socket: accepted are 1 to %zu "
			 "bytes", path, sizeof(un->sun_path) - 1);
		return -EINVAL;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

static bool parse_port(const char *text, in_port_t *port)
{
	unsigned v = 0;
	size_t n = strlen(text);

	if (!n || n > 5 || strspn(text, "0123456789") != n)
		return false;
	for (; *text; text++)
		v = v * 10 + (unsigned)(*text - '0');
	*port = htons((uint16_t)v);
	return v <= 65535;
}

static bool parse_inet(const char *text, struct listen_addr *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->ss;
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN];

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']' && n - 2 < sizeof(host)) {
		memcpy(host, text + 1, n - 2);
		host[n - 2] = '\0';
		in6->sin6_family = AF_INET6;
		a->len = sizeof(*in6);
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 &&
		       parse_port(colon + 1, &in6->sin6_port);
	}
	if (!n || n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	in->sin_family = AF_INET;
	a->len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 && parse_port(colon + 1, &in->sin_port);
}

int listen_parse(const char *text, struct listen_addr *a, char *why, size_t why_len)
{
	memset(a, 0, sizeof(*a));
	if (!strncmp(text, "unix:", 5))
		return parse_unix(text + 5, a, why, why_len);
	if (*text == '/')
		return parse_unix(text, a, why, why_len);
	if (parse_inet(text, a))
		return 0;
	snprintf(why, why_len, "\"%s\" is not an address: accepted is 127.0.0.1:8080, "
		 "0.0.0.0:8080 (every IPv4 address), [::]:8080 (every address) or unix:/path, "
		 "in numbers", text);
	return -EINVAL;
}

void listen_print(const struct listen_addr *a, char *buf, size_t n)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->ss;
	char host[INET6_ADDRSTRLEN] = "?";

	switch (a->ss.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(buf, n, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(buf, n, "[%s]:%u", host, ntohs(in6->sin6_port));
		break;
	case AF_UNIX:
		snprintf(buf, n, "unix:%s", unix_of(a)->sun_path);
		break;
	default:
		snprintf(buf, n, "?");
	}
}

/* ---- TCP ---- */

static int tcp_socket(const struct listener *l, bool reuseport)
{
	const struct listen_addr *a = &l->addr;
	const int on = 1, only6 = l->only6;
	int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) ||
	    (a->ss.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6))) ||
	    bind(fd, (const struct sockaddr *)&a->ss, a->len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* Nobody who listens shares a port with a socket that has no SO_REUSEPORT. */
static int port_is_free(const struct listener *l)
{
	int fd = tcp_socket(l, false);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* The kernel takes the io_uring of a killed server down after its process has gone, and
 * the listener lives until then: whoever starts it again at once waits for that. */
static int wait_free(int (*is_free)(const struct listener *l), const struct listener *l)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	char text[LISTEN_TEXT_MAX];
	int err;

	for (int i = 0; (err = is_free(l)) == -EADDRINUSE && i < WAIT_TRIES; i++) {
		if (i == WAIT_TELL) {
			listen_print(&l->addr, text, sizeof(text));
			diag(DIAG_NOTE, "%s is in use: waiting two seconds for whoever has it to go", text);
		}
		nanosleep(&pause, NULL);
	}
	return err;
}

static int open_tcp(struct listener *l, unsigned workers)
{
	int err = wait_free(port_is_free, l);

	if (err)
		return err;
	for (unsigned w = 0; w < workers; w++) {
		l->fds[w] = tcp_socket(l, true);
		if (l->fds[w] < 0)
			return l->fds[w];
		if (listen(l->fds[w], BACKLOG))
			return -errno;
		l->addr.len = sizeof(l->addr.ss);	/* port 0: the first one got a real one */
		if (getsockname(l->fds[w], (struct sockaddr *)&l->addr.ss, &l->addr.len))
			return -errno;
	}
	return 0;
}

/* ---- Unix sockets ---- */

/* Somebody else's file stays; a socket that nobody listens on was left by a crash.  Whoever
 * does need not accept: a full backlog is EAGAIN, which a connect that blocks would wait out. */
static int remove_stale(const struct listener *l)
{
	const struct listen_addr *a = &l->addr;
	const char *path = unix_of(a)->sun_path;
	struct stat st;
	int fd, err = 0;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&a->ss, a->len) || errno == EAGAIN ||
	    errno == EPROTOTYPE)	/* EPROTOTYPE: listens for another kind of socket */
		err = -EADDRINUSE;
	else if (errno != ECONNREFUSED)
		err = -errno;
	close(fd);
	if (!err && unlink(path) && errno != ENOENT)
		err = -errno;
	return err;
}

static int open_unix(struct listener *l, unsigned workers, unsigned mode)
{
	struct stat st;
	int fd, err = wait_free(remove_stale, l);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	for (unsigned w = 0; w < workers; w++)
		l->fds[w] = fd;
	/* The file gets the socket's mode without what the umask forbids: at no time more than
	 * was asked for.  The rest is given afterwards. */
	if (fchmod(fd, mode) || bind(fd, (const struct sockaddr *)&l->addr.ss, l->addr.len))
		return -errno;
	if (lstat(unix_of(&l->addr)->sun_path, &st))
		return -errno;
	l->ino = st.st_ino;
	if ((st.st_mode & 0777) != mode && chmod(unix_of(&l->addr)->sun_path, mode))
		return -errno;
	return listen(fd, BACKLOG) ? -errno : 0;
}

/* ---- handed over by a service manager ---- */

static unsigned activated(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

	if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	return (unsigned)strtoul(n, NULL, 10);
}

/* 0, -errno, or -ENOTSOCK: it is no socket that listens for connections of bytes. */
static int take_over(struct listener *l, int fd, unsigned workers)
{
	int flags = fcntl(fd, F_GETFL), on = 1, type = 0, listens = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n))
		return -errno;
	if (type != SOCK_STREAM || !listens)
		return -ENOTSOCK;

	l->addr.len = sizeof(l->addr.ss);
	for (unsigned w = 0; w < workers; w++)
		l->fds[w] = fd;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) ||
	    getsockname(fd, (struct sockaddr *)&l->addr.ss, &l->addr.len))
		return -errno;
	if (l->addr.ss.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

/* ---- all of them ---- */

static int allocate(struct listeners *ls, unsigned n, unsigned workers)
{
	ls->n = n;
	ls->workers = workers;
	ls->l = calloc(n, sizeof(*ls->l));
	ls->table = calloc((size_t)n * workers, sizeof(*ls->table));
	if (!ls->l || !ls->table)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		ls->l[i].fds = malloc(workers * sizeof(*ls->l[i].fds));
		if (!ls->l[i].fds)
			return -ENOMEM;
		for (unsigned w = 0; w < workers; w++)
			ls->l[i].fds[w] = -1;
	}
	return 0;
}

static const char *hint(int err)
{
	switch (-err) {
	case EADDRINUSE:
		return ": stop who listens there, or choose another --listen";
	case EACCES:
		return ": choose a port above 1023 or a folder that may be written, or give the "
		       "capability CAP_NET_BIND_SERVICE";
	case EADDRNOTAVAIL: case EAFNOSUPPORT:
		return ": this machine does not have that address";
	case EEXIST:
		return ": a file that is no socket is in the way; it was left alone";
	case ENOTSOCK: case EBADF:
		return ": what a service manager hands over (LISTEN_FDS) must be listening stream "
		       "sockets (ListenStream=)";
	default:
		return "";
	}
}

static in_port_t port_of(const struct listen_addr *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->ss;

	return a->ss.ss_family == AF_INET ? in->sin_port :
	       a->ss.ss_family == AF_INET6 ? in6->sin6_port : 0;
}

static bool is_any6(const struct listen_addr *a)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->ss;

	return a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

/* Whether a is an IPv6 wildcard whose port is wanted for an IPv4 address too. */
static bool leaves_ipv4(const struct listen_addr *a, const struct listen_addr *all, unsigned n)
{
	if (!is_any6(a) || !port_of(a))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (all[i].ss.ss_family == AF_INET && port_of(&all[i]) == port_of(a))
			return true;
	return false;
}

static int open_one(struct listener *l, unsigned workers, unsigned unix_mode)
{
	return l->addr.ss.ss_family == AF_UNIX ? open_unix(l, workers, unix_mode) :
	       open_tcp(l, workers);
}

int listeners_open(struct listeners *ls, const struct listen_addr *a, unsigned n,
		   unsigned workers, unsigned unix_mode, char *why, size_t why_len)
{
	unsigned given = activated();
	char text[LISTEN_TEXT_MAX];
	int err;

	memset(ls, 0, sizeof(*ls));
	ls->given = given;
	err = given > LISTEN_MAX ? -E2BIG : allocate(ls, given ? given : n, workers);
	if (err)
		snprintf(why, why_len, "listeners: %s", strerror(-err));
	for (unsigned i = 0; i < ls->n && !err; i++) {
		struct listener *l = &ls->l[i];

		if (!given) {
			l->addr = a[i];
			l->only6 = leaves_ipv4(&a[i], a, n);
		}
		err = given ? take_over(l, ACTIVATION_FD + (int)i, workers) :
		      open_one(l, workers, unix_mode);
		if (err && given) {
			snprintf(why, why_len, "cannot listen on descriptor %u: %s%s", ACTIVATION_FD + i,
				 strerror(-err), hint(err));
		} else if (err) {
			listen_print(&l->addr, text, sizeof(text));
			snprintf(why, why_len, "cannot listen on %s: %s%s", text, strerror(-err),
				 hint(err));
		}
		for (unsigned w = 0; w < workers; w++)
			ls->table[w * ls->n + i] = l->fds[w];
	}
	if (err)
		listeners_close(ls);
	return err;
}

const int *listeners_of(const struct listeners *ls, unsigned worker)
{
	return &ls->table[worker * ls->n];
}

void listeners_print(const struct listeners *ls, char *buf, size_t n)
{
	size_t at = 0;

	*buf = '\0';
	for (unsigned i = 0; i < ls->n && at + LISTEN_TEXT_MAX + 2 < n; i++) {
		at += (size_t)snprintf(buf + at, n - at, "%s", i ? ", " : "");
		listen_print(&ls->l[i].addr, buf + at, n - at);
		at += strlen(buf + at);
	}
}

static void close_one(struct listener *l, unsigned workers)
{
	const char *path = unix_of(&l->addr)->sun_path;
	struct stat st;

	if (l->ino && !lstat(path, &st) && st.st_ino == l->ino)
		unlink(path);
	for (unsigned w = 0; l->fds && w < workers; w++)
		if (l->fds[w] >= 0 && (w == 0 || l->fds[w] != l->fds[0]))
			close(l->fds[w]);
	free(l->fds);
}

void listeners_close(struct listeners *ls)
{
	for (unsigned i = 0; ls->l && i < ls->n; i++)
		close_one(&ls->l[i], ls->workers);
	free(ls->l);
	free(ls->table);
	memset(ls, 0, sizeof(*ls));
}
