/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * startup.c - answers clients until the workers take over (startup.h).
 *
 * Each client is served in three steps; one that pauses, until its deadline, holds up no other:
 *
 *	read the head		the answer is known then, whatever body follows
 *	send the answer		and shut down our side of the connection
 *	throw away the rest	until the client closes; if we closed first, TCP would reset the
 *				connection, and the client might lose the answer
 */
#include "admin/startup.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin_reply.h"
#include "admin/endpoint.h"
#include "base/must.h"
#include "base/now.h"

#define EVENTS		64
#define READ_BYTES	(16u << 10)
#define ANSWER_MS	10000u		/* the client has so long to take the answer */
#define QUIET_MS	5000u		/* after the answer, without a byte from the client */
#define LINGER_MS	60000u		/* after the answer, in all */
#define FULL_MS		50u		/* pause without descriptors and without a client to drop */

struct client {
	TAILQ_ENTRY(client) entry;	/* in struct startup's list, the oldest first */
	int fd;
	bool answered, sent;
	struct http http;
	struct text out;
	size_t out_at;
	uint64_t deadline_ms, end_ms;
};

struct startup {
	pthread_t thread;
	struct startup_env env;
	int	 epoll, bell;		/* bell: an eventfd, written when stop changes */
	atomic_int stop;		/* 1: accept no more; 2: end */
	bool	 deaf;			/* it does not accept any more */
	sem_t	 left;			/* posted when deaf is set */
	TAILQ_HEAD(, client) clients;
	unsigned n;
	uint8_t	 buf[READ_BYTES];
};

static void drop(struct startup *w, struct client *c)
{
	TAILQ_REMOVE(&w->clients, c, entry);
	w->n--;
	close(c->fd);			/* this takes it out of the epoll too */
	text_free(&c->out);
	free(c);
}

static bool startup_watch(struct startup *w, int fd, uint32_t events, void *who, int op)
{
	struct epoll_event e = { .events = events, .data.ptr = who };

	return !epoll_ctl(w->epoll, op, fd, &e);
}

/* ---- the answer ---- */

static void answer_text(struct client *c, const struct admin_client *k, int status, const char *text, size_t len)
{
	struct admin_reply a = { .status = status, .type = "text/plain", .len = len };
	bool close;

	admin_reply_head(&c->out, &a, k, &close);
	if (!k->head)
		text_add(&c->out, text, len);
}

static void startup_answer_at_once(const struct startup *w, struct client *c, const struct endpoint *e,
				   const struct admin_client *k)
{
	char text[HEALTH_TEXT];
	size_t len;
	int status = e->at_once(w->env.health, text, sizeof(text), &len);

	if (e->id == ENDPOINT_ID_READYZ && status == 200 && !w->deaf) {
		/* The last condition was cleared just now, but the workers do not accept yet. */
		status = 503;
		len = (size_t)snprintf(text, sizeof(text), "starting\n");
	}
	answer_text(c, k, status, text, len);
}

/* Makes the answer when the head has been read, or was refused. */
static void startup_answer(const struct startup *w, struct client *c)
{
	const struct http_req *q = &c->http.req;
	const struct endpoint *e = endpoint_find(q);
	char allow[ENDPOINT_ALLOW], why[128];
	const struct admin_reply none = { .status = 204, .headers = endpoint_allow(e, allow) };
	const struct admin_client k = { .http11 = q->minor || q->method == HTTP_NONE,
				 .head = q->method == HTTP_HEAD_METHOD, .common = w->env.common };
	bool close;

	c->answered = true;
	if (c->http.err.status)
		admin_reply_error(&c->out, c->http.err.status, c->http.err.reason, NULL, &k, &close);
	else if (q->method == HTTP_OPTIONS)
		admin_reply_head(&c->out, &none, &k, &close);
	else if (!endpoint_takes(e, q->method))
		admin_reply_error(&c->out, 405, ENDPOINT_405, allow, &k, &close);
	else if (e->by == ENDPOINT_AT_ONCE)
		startup_answer_at_once(w, c, e, &k);
	else if (e->by == ENDPOINT_OTHERS && !q->recorded)
		admin_reply_error(&c->out, 404, ENDPOINT_404, NULL, &k, &close);
	else {
		snprintf(why, sizeof(why), "the server is %s; try again", health_word(w->env.health));
		admin_reply_error(&c->out, 503, why, NULL, &k, &close);
	}
}

/* ---- a client's steps; each returns false when the client is to be dropped ---- */

static bool send_some(struct startup *w, struct client *c, uint64_t now)
{
	ssize_t n;

	while (c->out_at < c->out.n) {
		n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return startup_watch(w, c->fd, EPOLLIN | EPOLLOUT, c, EPOLL_CTL_MOD);
		if (n < 0)
			return false;
		c->out_at += (size_t)n;
	}
	c->sent = true;
	c->deadline_ms = now + QUIET_MS;
	c->end_ms = now + LINGER_MS;
	shutdown(c->fd, SHUT_WR);
	return startup_watch(w, c->fd, EPOLLIN, c, EPOLL_CTL_MOD);
}

static bool reply(struct startup *w, struct client *c, uint64_t now)
{
	startup_answer(w, c);
	c->deadline_ms = c->end_ms = now + ANSWER_MS;
	return !c->out.failed && send_some(w, c, now);
}

static bool startup_parse(struct startup *w, struct client *c, size_t n, uint64_t now)
{
	struct http_span sp;
	size_t used;

	switch (http_step(&c->http, w->buf, n, &used, &sp)) {
	case HTTP_MORE:
	case HTTP_HEAD:			/* the parser has used all n bytes */
		return true;
	default:
		return reply(w, c, now);
	}
}

static bool startup_read_some(struct startup *w, struct client *c, uint64_t now)
{
	ssize_t n = recv(c->fd, w->buf, sizeof(w->buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)			/* nothing is left unread, so a close is no reset */
		return c->answered && !c->sent && startup_watch(w, c->fd, EPOLLOUT, c, EPOLL_CTL_MOD);
	if (!c->answered)
		return startup_parse(w, c, (size_t)n, now);
	if (c->sent)
		c->deadline_ms = now + QUIET_MS;
	return true;
}

static bool late(struct startup *w, struct client *c, uint64_t now)
{
	if (c->answered || http_idle(&c->http))
		return false;
	c->http.err.status = 408;
	c->http.err.reason = "the head came too slowly";
	return reply(w, c, now);
}

/* ---- all of them ---- */

static bool startup_add(struct startup *w, int fd, uint64_t now)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || !startup_watch(w, fd, EPOLLIN, c, EPOLL_CTL_ADD)) {
		free(c);
		return false;
	}
	c->fd = fd;
	http_init(&c->http, &w->env.limits);
	c->deadline_ms = c->end_ms = now + w->env.header_timeout_ms;
	TAILQ_INSERT_TAIL(&w->clients, c, entry);
	w->n++;
	return true;
}

/* Without a free descriptor accept4() fails even if nobody waits.  So one client is dropped for one
 * that may wait, and no more in this turn; if others wait, epoll says so again. */
static void startup_accept_some(struct startup *w, int listener, uint64_t now)
{
	const struct timespec pause = { .tv_nsec = FULL_MS * 1000000l };
	bool made_room = false;

	for (unsigned i = 0; i < EVENTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			if (!startup_add(w, fd, now))
				close(fd);
			if (w->n > STARTUP_CLIENTS)
				drop(w, TAILQ_FIRST(&w->clients));
			if (made_room)
				return;
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;
		if (w->n)
			drop(w, TAILQ_FIRST(&w->clients));
		else
			nanosleep(&pause, NULL);	/* this holds up no client: there is none */
		made_room = true;
	}
}

/* Adds or removes all listeners.  A shared one is in the table more than once: EEXIST, ENOENT. */
static int watch_listeners(struct startup *w, int op)
{
	const struct listeners *ls = w->env.listeners;

	for (unsigned i = 0; i < ls->n * ls->workers; i++)
		if (!startup_watch(w, ls->table[i], EPOLLIN, (void *)(uintptr_t)&ls->table[i], op) &&
		    errno != EEXIST && errno != ENOENT)
			return -errno;
	return 0;
}

static bool is_listener(const struct startup *w, const void *who)
{
	const struct listeners *ls = w->env.listeners;

	return (const int *)who >= ls->table && (const int *)who < ls->table + ls->n * ls->workers;
}

static void startup_let_go(struct startup *w)
{
	w->deaf = true;
	watch_listeners(w, EPOLL_CTL_DEL);
	sem_post(&w->left);
}

/* Ends the clients whose deadline has passed.  Returns the ms to the next deadline, -1: none. */
static int timeouts(struct startup *w, uint64_t now)
{
	struct client *c, *next;
	uint64_t first = UINT64_MAX;

	for (c = TAILQ_FIRST(&w->clients); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if ((c->deadline_ms <= now || c->end_ms <= now) && !late(w, c, now)) {
			drop(w, c);
			continue;
		}
		if (c->deadline_ms < first)
			first = c->deadline_ms;
		if (c->end_ms < first)
			first = c->end_ms;
	}
	return first == UINT64_MAX ? -1 : first <= now ? 0 : (int)(first - now) + 1;
}

static void startup_event(struct startup *w, const struct epoll_event *e, uint64_t now)
{
	struct client *c = e->data.ptr;
	bool on = true;

	if (e->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on = startup_read_some(w, c, now);
	/* Without this test for EPOLLOUT, send_some() would ask for EPOLLIN again, and the end that
	 * a client has sent would be an event in each turn. */
	if (on && (e->events & EPOLLOUT) && c->answered && !c->sent)
		on = send_some(w, c, now);
	if (!on || (e->events & (EPOLLHUP | EPOLLERR)))
		drop(w, c);
}

/* Events of clients come first, because accepting may drop a client that has one. */
static void events(struct startup *w, const struct epoll_event *e, int n)
{
	uint64_t now = now_ms();

	for (int i = 0; i < n; i++)
		if (e[i].data.ptr != w && !is_listener(w, e[i].data.ptr))
			startup_event(w, &e[i], now);
	for (int i = 0; i < n && !w->deaf; i++)
		if (is_listener(w, e[i].data.ptr))
			startup_accept_some(w, *(const int *)e[i].data.ptr, now);
}

static void *startup_run(void *arg)
{
	struct startup *w = arg;
	struct epoll_event e[EVENTS];
	int stop, n;

	pthread_setname_np(pthread_self(), "pasted-startup");
	while ((stop = atomic_load(&w->stop)) < 2) {
		if (stop && !w->deaf)
			startup_let_go(w);
		if (w->deaf && !w->n)
			break;
		n = epoll_wait(w->epoll, e, EVENTS, timeouts(w, now_ms()));
		events(w, e, n < 0 ? 0 : n);
	}
	while (w->n)
		drop(w, TAILQ_FIRST(&w->clients));
	return NULL;
}

/* ---- start and stop ---- */

int startup_start(struct startup **out, const struct startup_env *env)
{
	struct startup *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->env = *env;
	TAILQ_INIT(&w->clients);
	sem_init(&w->left, 0, 0);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->bell = eventfd(0, EFD_CLOEXEC);
	if (w->epoll < 0 || w->bell < 0 || !startup_watch(w, w->bell, EPOLLIN | EPOLLET, w, EPOLL_CTL_ADD))
		err = -errno;
	else
		err = watch_listeners(w, EPOLL_CTL_ADD);
	if (!err)
		err = -pthread_create(&w->thread, NULL, startup_run, w);
	if (!err) {
		*out = w;
		return 0;
	}
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->bell >= 0)
		close(w->bell);
	free(w);
	return err;
}

static void startup_tell(struct startup *w, int stop)
{
	const uint64_t one = 1;

	atomic_store(&w->stop, stop);
	must(write(w->bell, &one, sizeof(one)) == sizeof(one));
}

void startup_leave(struct startup *w)
{
	startup_tell(w, 1);
	while (sem_wait(&w->left))
		;
}

void startup_stop(struct startup *w)
{
	startup_tell(w, 2);
	pthread_join(w->thread, NULL);
	close(w->epoll);
	close(w->bell);
	sem_destroy(&w->left);
	free(w);
}
