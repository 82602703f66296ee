/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon.c - signals taken by the main thread, limits, the service manager. */
#include "daemon.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void daemon_signals(struct daemon *d)
{
	struct sigaction old;

	sigemptyset(&d->taken);
	sigaddset(&d->taken, SIGTERM);
	sigaddset(&d->taken, SIGINT);
	sigaddset(&d->taken, SIGUSR1);
	/* A terminal that goes away ends the server in good order; nohup is honoured
	 * (a blocked signal would be queued even though it is ignored). */
	if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaddset(&d->taken, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &d->taken, NULL);
	/* A client that went away is an error of one send, not the end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);		/* a limit of file sizes is an error of the write */
}

enum daemon_event daemon_wait(const struct daemon *d, int timeout_ms)
{
	const struct timespec t = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};
	int sig;

	do
		sig = timeout_ms < 0 ? sigwaitinfo(&d->taken, NULL) :
				       sigtimedwait(&d->taken, NULL, &t);
	while (sig < 0 && errno == EINTR);
	if (sig < 0)
		return DAEMON_TIMEOUT;
	return sig == SIGUSR1 ? DAEMON_WOKEN : DAEMON_STOP;
}

void daemon_wake(void)
{
	kill(getpid(), SIGUSR1);
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

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const struct timeval patience = { .tv_sec = 1 };	/* a manager that reads no more */
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
	/* The manager may be gone: it is its loss, not a failure of ours. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&un,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}
