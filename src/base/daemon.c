/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon.c - see daemon.h. */
#include "base/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/libutil.h>

int daemon_signals(struct daemon *d)
{
	struct sigaction old;
	sigset_t taken;

	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGINT);
	/* When its terminal goes away the server stops in good order, unless nohup(1) ignores
	 * SIGHUP: a blocked signal would be queued even though it is ignored. */
	if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaddset(&taken, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &taken, NULL);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	/* A client that has gone is an error of one send, and does not end the process. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);		/* the file size limit is an error of the write */
	d->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	d->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return d->signals < 0 || d->bell < 0 ? -errno : 0;
}

enum daemon_event daemon_wait(const struct daemon *d, int timeout_ms)
{
	struct pollfd p[] = {
		{ .fd = d->signals, .events = POLLIN }, { .fd = d->bell, .events = POLLIN },
	};
	struct signalfd_siginfo s;
	uint64_t n;
	int got;

	do
		got = poll(p, 2, timeout_ms);
	while (got < 0 && errno == EINTR);
	if (got > 0 && read(d->signals, &s, sizeof(s)) == sizeof(s))
		return DAEMON_STOP;
	if (got > 0 && read(d->bell, &n, sizeof(n)) == sizeof(n))
		return DAEMON_WOKEN;
	return DAEMON_TIMEOUT;
}

void daemon_wake(struct daemon *d)
{
	const uint64_t one = 1;

	if (write(d->bell, &one, sizeof(one)) < 0)
		return;			/* its counter is full, so it is readable */
}

unsigned long daemon_raise_files(unsigned long want)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 0;
	if (r.rlim_cur < want) {
		struct rlimit more = r;

		more.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
		if (!setrlimit(RLIMIT_NOFILE, &more))
			r = more;
	}
	return r.rlim_cur;
}

/* Whether the file at path, if there is one, may be overwritten and removed: it must be a regular
 * file with no other name that holds a number or nothing.  0, -EBADMSG, -errno. */
static int look_at_pid_file(const char *path)
{
	char text[32];
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno == ELOOP || errno == ENXIO ? -EBADMSG : -errno;
	n = fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink > 1 ? -1 : read(fd, text, sizeof(text));
	close(fd);
	if (n < 0 || n == sizeof(text))
		return -EBADMSG;
	for (ssize_t i = 0; i < n; i++)
		if ((text[i] < '0' || text[i] > '9') && text[i] != '\n')
			return -EBADMSG;
	return 0;
}

int daemon_pid_open(struct daemon *d, const char *path, int *other)
{
	pid_t pid = 0;
	int err;

	*other = 0;
	err = look_at_pid_file(path);
	if (err)
		return err;
	d->pid = pidfile_open(path, 0644, &pid);
	*other = pid;
	if (!d->pid)
		return -errno;
	err = pidfile_write(d->pid) ? -errno : 0;
	if (err)
		daemon_pid_remove(d);
	return err;
}

void daemon_pid_remove(struct daemon *d)
{
	if (d->pid)
		pidfile_remove(d->pid);
	d->pid = NULL;
}

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const struct timeval patience = { .tv_sec = 1 };	/* the manager may not read */
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(un.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(un.sun_path, path, n);
	if (*path == '@')
		un.sun_path[0] = '\0';		/* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	/* The manager may be gone, which is no failure of the server. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&un,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}
