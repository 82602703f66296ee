/* SPDX-License-Identifier: BSD-2-Clause */
/* waiting.c - 503 with a reason, until the workers take over. */
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 1000	/* for one client: the others wait meanwhile */

struct waiting {
	pthread_t thread;
	const struct health *health;
	const char *class;
	int	 stop_fd;
	unsigned n;			/* of fds: the listeners, and stop_fd as the last */
	struct pollfd fds[];
};

/* What of the request comes soon; enough to tell livez from the rest. */
static size_t read_some(const struct waiting *w, int fd, char *buf, size_t n)
{
	struct pollfd p[] = {
		{ .fd = fd, .events = POLLIN }, { .fd = w->stop_fd, .events = POLLIN },
	};
	size_t got = 0;
	ssize_t k;

	while (got + 1 < n && poll(p, 2, PATIENCE_MS) > 0 && p[0].revents) {
		k = recv(fd, buf + got, n - 1 - got, 0);
		if (k <= 0)
			break;
		got += (size_t)k;
		buf[got] = '\0';
		if (strstr(buf, "\r\n\r\n"))
			break;
	}
	buf[got] = '\0';
	return got;
}

static bool asks_livez(const char *request)
{
	static const char path[] = "/-/livez";
	const char *target = !strncmp(request, "HEAD ", 5) ? request + 5 :
			     !strncmp(request, "GET ", 4) ? request + 4 : "";
	size_t n = sizeof(path) - 1;

	return !strncmp(target, path, n) && (target[n] == ' ' || target[n] == '?');
}

static void answer(const struct waiting *w, int fd)
{
	char request[4096], text[HEALTH_TEXT], reply[HEALTH_TEXT + 256];
	size_t len;
	int n, status;

	if (!read_some(w, fd, request, sizeof(request)))
		return;
	status = health_text(w->health, text, sizeof(text), &len);
	if (asks_livez(request)) {
		status = 200;
		len = (size_t)snprintf(text, sizeof(text), "alive\n");
	} else if (status == 200) {
		/* The last reason has just gone; the workers are not there yet. */
		status = 503;
		len = (size_t)snprintf(text, sizeof(text), "starting\n");
	}
	n = snprintf(reply, sizeof(reply), "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %zu\r\nPasted-Class: %s\r\n%sCache-Control: no-store\r\n"
		     "Connection: close\r\n\r\n%s",
		     status == 200 ? "200 OK" : "503 Service Unavailable", len, w->class,
		     status == 200 ? "" : "Retry-After: 1\r\n",
		     strncmp(request, "HEAD ", 5) ? text : "");
	if (send(fd, reply, (size_t)n, MSG_NOSIGNAL) < 0)
		return;
	/* A body that is still coming would turn the close into a reset. */
	shutdown(fd, SHUT_WR);
	read_some(w, fd, request, sizeof(request));
}

static void *run(void *arg)
{
	struct waiting *w = arg;

	pthread_setname_np(pthread_self(), "pasted-waiting");
	for (;;) {
		if (poll(w->fds, w->n, -1) < 0 && errno != EINTR)
			return NULL;
		if (w->fds[w->n - 1].revents)
			return NULL;
		for (unsigned i = 0; i + 1 < w->n; i++) {
			int fd = w->fds[i].revents ? accept4(w->fds[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;

			if (fd < 0)
				continue;
			answer(w, fd);
			close(fd);
		}
	}
}

int waiting_start(struct waiting **out, const struct listeners *ls, const struct health *h,
		  const char *class)
{
	unsigned n = ls->n * ls->workers + 1;
	struct waiting *w = calloc(1, sizeof(*w) + n * sizeof(w->fds[0]));
	int err;

	if (!w)
		return -ENOMEM;
	w->health = h;
	w->class = class;
	w->n = n;
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w->stop_fd < 0) {
		err = -errno;
		goto fail;
	}
	for (unsigned i = 0; i + 1 < n; i++)	/* a shared one may be there more than once */
		w->fds[i] = (struct pollfd){ .fd = ls->table[i], .events = POLLIN };
	w->fds[n - 1] = (struct pollfd){ .fd = w->stop_fd, .events = POLLIN };
	err = -pthread_create(&w->thread, NULL, run, w);
	if (err)
		goto fail_fd;
	*out = w;
	return 0;
fail_fd:
	close(w->stop_fd);
fail:
	free(w);
	return err;
}

void waiting_stop(struct waiting *w)
{
	const uint64_t one = 1;

	if (write(w->stop_fd, &one, sizeof(one)) != sizeof(one))
		abort();		/* an eventfd that is not full takes it */
	pthread_join(w->thread, NULL);
	close(w->stop_fd);
	free(w);
}
