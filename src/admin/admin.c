/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin.c - see admin.h.
 *
 * Per worker there are two queues of messages, one in each direction, and a fixed
 * set of requests.  A message is a request's index and what to do:
 *
 *   ask, next, end   worker to thread; at most two of one request are under way
 *                    (ask or next, and end)
 *   piece, freed     thread to worker; likewise at most two, in this order
 *
 * So queues with room for two messages per request never overflow.  The request's fields
 * are handed over with the message (queue.h).  A slot is free again when the worker has
 * seen `freed`, which comes after every piece: a piece of the slot's last request is never
 * taken for one of its next.
 */
#include "admin/admin.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "admin/admin_reply.h"
#include "admin/readback.h"
#include "base/diag.h"
#include "base/must.h"
#include "base/now.h"
#include "base/queue.h"
#include "www/page.h"

#define TROUBLE_MS	5000	/* between two tries to read what could not be read */
#define KICK_MS		20	/* between two calls of kick_checkpoint, at least */

/* In the low 2 bits of a queue's cell; the request's index is above. */
enum message { ASK, NEXT, END, PIECE = 0, FREED };

enum source { BLOB, RECORDS };

struct req {
	struct admin_req pub;	/* first: the worker's handle */
	struct admin *s;
	uint32_t index;
	bool ended;		/* the worker's: admin_end was called, pieces are ignored */
	/* Written by admin_ask. */
	const struct endpoint *endpoint;
	char target[ADMIN_TARGET];
	struct admin_client ask;
	/* The thread's. */
	enum source source;
	struct text out;	/* the piece */
	struct text owned;	/* the blob, when it was made for this request */
	const char *blob;
	size_t blob_len, blob_at;
	struct readback read;
	bool waiting;		/* it is on the list `waiting` of struct admin, by: */
	struct req *wait_next;
	struct follower settled;	/* follows the lane to read.awaits while it waits */
	bool busy;		/* it is on the list `busy` of struct admin, by: */
	TAILQ_ENTRY(req) busy_entry;
	uint64_t wait_end_ms;	/* it waits for a checkpoint until then */
};

struct port {			/* of one worker */
	struct queue in, out;
	uint32_t *cells;	/* of both */
	struct req *reqs;
	uint32_t *free, nfree;	/* a stack of the indices of free requests, the worker's */
	uint32_t *stash, nstash, stash_at;	/* pieces popped while looking for `freed` */
	bool short_of;		/* the worker is to be woken when a request is freed */
};

struct admin {
	struct admin_env env;
	struct readback_shared shared;
	uint64_t absent[ABSENT_REASONS];	/* takes the counts if env.absent is NULL */
	unsigned per_worker;
	struct port *ports;
	struct req *waiting;	/* requests that wait for a checkpoint */
	uint64_t wait_due_ms;	/* no wait_end_ms of them is before that */
	bool settled;		/* the checkpointer has settled something that one waits for */
	bool to_kick;		/* one has begun to wait, and the checkpointer was not told yet */
	TAILQ_HEAD(, req) busy;	/* in the middle of a piece: each gets a slice in turn */
	uint64_t kicked_ms;	/* the last call of kick_checkpoint; 0: none since one waits */
	uint64_t trouble_ms;	/* when what could not be read is tried again; 0: there is nothing */
	int bell;		/* eventfd, written for each message and at the stop */
	int stop;
	pthread_t thread;
};

/* Never blocks: a write fails only when the eventfd's counter is full, and then it is readable. */
static void ring_bell(struct admin *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->bell, &one, sizeof one);

	(void)n;
}

/* ---- the thread: answers ---- */

static void blob(struct req *r, int status, const char *type, const char *headers,
		 const void *p, size_t n)
{
	const struct admin_reply a = { status, type, headers, n };

	r->source = BLOB;
	r->blob = p;
	r->blob_len = r->ask.head ? 0 : n;
	r->blob_at = 0;
	r->pub.status = status;
	admin_reply_head(&r->out, &a, &r->ask, &r->pub.close_after);
}

static void admin_refuse(struct req *r, int status, const char *why)
{
	r->source = BLOB;
	r->blob_len = r->blob_at = 0;
	r->pub.status = status;
	admin_reply_error(&r->out, status, why, NULL, &r->ask, &r->pub.close_after);
}

void admin_html(struct text *t, const struct admin_env *env)
{
	(void)env;
	text_add(t, page_html, page_html_len);
}

#define MAKES_AT_ONCE(make)	NULL
#define MAKES_PAGES(make)	make
#define MAKES_RECORDS(make)	NULL
#define MAKES_NOWHERE(make)	NULL
#define MAKES_OTHERS(make)	NULL
static admin_page *const makes[ENDPOINT_IDS] = {
#define X(name, path, under, methods, by, type, fields, make) MAKES_##by(make),
	ENDPOINT_TABLE(X)
#undef X
};

static void page(struct req *r)
{
	const struct endpoint *e = r->endpoint;

	makes[e->id](&r->owned, &r->s->env);
	blob(r, 200, e->type, e->fields, r->owned.p, r->owned.n);
}

static void records(struct req *r)
{
	struct read_name name;

	if (read_name_parse(&name, r->target + r->endpoint->path_len)) {
		admin_refuse(r, 400, "a record is <lane>-<number>, a range <lane>-<from>..<to>, "
			     "the newest are <lane>?tail=<count>");
		return;
	}
	r->source = RECORDS;
	readback_open(&r->read, &r->s->shared, &name, &r->ask);
}

/* Fills r->out with the answer's head unless records are read. */
static void route(struct req *r)
{
	switch (r->endpoint->by) {
	case ENDPOINT_PAGES:
		page(r);
		break;
	case ENDPOINT_RECORDS:
		records(r);
		break;
	default:
		admin_refuse(r, 404, "no such page; /-/ has one");
	}
}

static void make_blob(struct req *r)
{
	size_t n = r->blob_len - r->blob_at;

	if (n > ADMIN_PIECE - r->out.n)
		n = ADMIN_PIECE - r->out.n;
	if (n)
		text_add(&r->out, r->blob + r->blob_at, n);
	r->blob_at += n;
	r->pub.last = r->blob_at == r->blob_len;
}

/* Called by the thread that settled, which must not wait.  The bell is rung once until the admin
 * thread has looked; that thread sees in each follower whether it still waits. */
static void wake_settled(struct follower *f)
{
	struct admin *s = f->arg;

	if (!__atomic_exchange_n(&s->settled, true, __ATOMIC_SEQ_CST))
		ring_bell(s);
}

/* Puts r on the list of those that wait for a checkpoint, unless it is there already. */
static void wait_for_checkpoint(struct req *r)
{
	struct admin *s = r->s;

	if (r->waiting)
		return;
	r->waiting = true;
	r->wait_end_ms = now_ms() + s->env.settle_ms;
	if (!s->waiting || r->wait_end_ms < s->wait_due_ms)
		s->wait_due_ms = r->wait_end_ms;
	r->wait_next = s->waiting;
	s->waiting = r;
	s->to_kick = true;
}

/* Follows the lane to what r->read awaits.  False: that has been settled meanwhile. */
static bool follow_settled(struct req *r)
{
	if (follower_waits(&r->settled))
		return true;
	return store_follow(r->s->env.store, r->read.name.lane, FOLLOW_SETTLED, r->read.awaits,
			    &r->settled) != 0;
}

static void unwait(struct req *r)
{
	struct req **p = &r->s->waiting;

	if (!r->waiting)
		return;
	unfollow(&r->settled);
	while (*p != r)
		p = &(*p)->wait_next;
	*p = r->wait_next;
	r->waiting = false;
}

static void busy(struct req *r, bool yes)
{
	if (r->busy)
		TAILQ_REMOVE(&r->s->busy, r, busy_entry);
	r->busy = yes;
	if (yes)
		TAILQ_INSERT_TAIL(&r->s->busy, r, busy_entry);
}

static void deliver(struct req *r)
{
	struct admin *s = r->s;

	unwait(r);
	if (r->out.failed || r->owned.failed) {	/* there was no memory, so the piece is not whole */
		r->pub.truncated = r->pub.last = r->pub.close_after = true;
		r->out.n = 0;
	}
	r->pub.data = r->out.p;
	r->pub.len = r->out.n;
	queue_push(&s->ports[r->pub.worker].out, r->index << 2 | PIECE);
	s->env.wake(s->env.arg, r->pub.worker);
}

static enum readback_step read_step(struct req *r)
{
	enum readback_step step;

	do
		step = readback_step(&r->read, &r->out, ADMIN_PIECE);
	while (step == READBACK_WAIT && !follow_settled(r));
	return step;
}

/* Makes and delivers the next piece, or puts r on a list until it can go on. */
static void make(struct req *r)
{
	if (r->source == BLOB) {
		make_blob(r);
		deliver(r);
		return;
	}
	switch (read_step(r)) {
	case READBACK_WAIT:
		wait_for_checkpoint(r);
		if (now_ms() < r->wait_end_ms)
			return;
		readback_give_up(&r->read, &r->out);
		r->pub.last = true;
		break;
	case READBACK_AGAIN:
		unwait(r);
		busy(r, true);
		return;
	case READBACK_LAST:
		r->pub.last = true;
		break;
	case READBACK_MORE:
		break;
	}
	r->pub.status = r->read.status;
	r->pub.close_after = r->read.close_after | r->read.truncated;
	r->pub.truncated = r->read.truncated;
	deliver(r);
}

static void forget(struct req *r)
{
	unwait(r);
	busy(r, false);
	readback_close(&r->read);
	text_free(&r->out);
	text_free(&r->owned);
}

static void handle(struct port *p, uint32_t index, enum message m)
{
	struct req *r = &p->reqs[index];

	switch (m) {
	case ASK:
		route(r);
		make(r);
		break;
	case NEXT:
		r->out.n = 0;
		make(r);
		break;
	default:
		forget(r);
		queue_push(&p->out, index << 2 | FREED);
		if (__atomic_exchange_n(&p->short_of, false, __ATOMIC_SEQ_CST))
			r->s->env.wake(r->s->env.arg, r->pub.worker);
	}
}

/* ---- the thread: the loop ---- */

/* Handles one message of each worker.  True: there were some. */
static bool round_of_messages(struct admin *s)
{
	bool any = false;
	uint32_t m;

	for (unsigned w = 0; w < s->env.nworkers; w++)
		if (queue_pop(&s->ports[w].in, &m)) {
			handle(&s->ports[w], m >> 2, (enum message)(m & 3));
			any = true;
		}
	return any;
}

/* Goes on with one request that is in the middle of a piece.  True: there was one. */
static bool slice(struct admin *s)
{
	struct req *r = TAILQ_FIRST(&s->busy);

	if (!r)
		return false;
	busy(r, false);
	make(r);
	return true;
}

/* Goes on with each request that has waited for long enough, or whose record has been settled. */
static void look_again(struct admin *s)
{
	bool settled = __atomic_exchange_n(&s->settled, false, __ATOMIC_SEQ_CST);
	uint64_t now = s->waiting ? now_ms() : 0;
	struct req *r, *next;

	if (!s->waiting || (!settled && now < s->wait_due_ms))
		return;
	s->wait_due_ms = UINT64_MAX;
	for (r = s->waiting; r; r = next) {
		next = r->wait_next;
		if (!follower_waits(&r->settled) || now >= r->wait_end_ms)
			make(r);
		if (r->waiting && r->wait_end_ms < s->wait_due_ms)
			s->wait_due_ms = r->wait_end_ms;
	}
}

/* Asks for a checkpoint: at once for the first request that waits, and for those that come while
 * one waits every KICK_MS at most. */
static void kick(struct admin *s)
{
	uint64_t now;

	if (!s->waiting) {
		s->kicked_ms = 0;
		s->to_kick = false;
	}
	if (!s->to_kick)
		return;
	now = now_ms();
	if (s->kicked_ms && now - s->kicked_ms < KICK_MS)
		return;
	s->kicked_ms = now;
	s->to_kick = false;
	if (s->env.kick_checkpoint)
		s->env.kick_checkpoint(s->env.arg);
}

static void tell_trouble(struct admin *s)
{
	const struct read_trouble *x = &s->shared.trouble;

	diag(DIAG_ERR, "record %u-%llu cannot be read: %s; who asks for it gets 503 until it can be: "
	     "look at the storage", x->lane, (unsigned long long)x->seq, store_strerror(x->err));
}

/* Reports a record that cannot be read, tries it again now and then, and reports when it can be
 * read or when the reason has changed. */
static void watch_trouble(struct admin *s)
{
	struct read_trouble *x = &s->shared.trouble;
	uint64_t now = x->now ? now_ms() : 0;
	struct absence a;

	if (!x->now || now < s->trouble_ms)
		return;
	if (!s->trouble_ms) {
		health_set(s->env.health, HEALTH_UNREADABLE, x->err);
		tell_trouble(s);
	} else if (store_read_absent(s->env.store, x->lane, x->seq, &a)) {
		;		/* nobody knows now: ask again in TROUBLE_MS */
	} else if (a.reason != ABSENT_UNREADABLE) {
		*x = (struct read_trouble){ .now = false };
		s->trouble_ms = 0;
		health_clear(s->env.health, HEALTH_UNREADABLE);
		diag(DIAG_NOTE, "what could not be read can be read again, or has expired");
		return;
	} else if (a.err && a.err != x->err) {
		x->err = a.err;
		health_change(s->env.health, HEALTH_UNREADABLE, x->err);
		tell_trouble(s);
	}
	s->trouble_ms = now + TROUBLE_MS;
}

/* How long until something is due, -1: for ever.  All other work is announced by the bell. */
static int admin_wait_ms(const struct admin *s)
{
	uint64_t due = s->wait_due_ms, now, left = s->shared.trouble.now ? TROUBLE_MS : INT_MAX;

	if (s->waiting) {
		now = now_ms();
		if (s->to_kick && s->kicked_ms + KICK_MS < due)
			due = s->kicked_ms + KICK_MS;
		if (due < now + left)
			left = due > now ? due - now : 0;
	}
	return left < INT_MAX ? (int)left : -1;
}

static void *admin_run(void *arg)
{
	struct admin *s = arg;
	struct pollfd p = { .fd = s->bell, .events = POLLIN };
	uint64_t n;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		bool any = round_of_messages(s) | slice(s);

		look_again(s);
		kick(s);
		/* look_again() may have put a request on the list. */
		any |= !TAILQ_EMPTY(&s->busy);
		/* The bell is read empty before the queues are looked at again, so a message
		 * that is pushed after that look rings it once more. */
		watch_trouble(s);
		if (!any && poll(&p, 1, admin_wait_ms(s)) > 0 &&
		    read(s->bell, &n, sizeof n) < 0)
			must(errno == EAGAIN || errno == EINTR);
	}
	return NULL;
}

/* ---- start and stop ---- */

static int port_init(struct admin *s, unsigned w)
{
	struct port *p = &s->ports[w];
	uint32_t n = s->per_worker;

	p->reqs = calloc(n, sizeof *p->reqs);
	p->free = calloc(n, sizeof *p->free);
	p->stash = calloc(n, sizeof *p->stash);
	p->cells = calloc(2 * queue_cells(2 * n), sizeof *p->cells);
	if (!p->reqs || !p->free || !p->stash || !p->cells)
		return -ENOMEM;
	queue_init(&p->in, p->cells, 2 * n);
	queue_init(&p->out, p->cells + queue_cells(2 * n), 2 * n);
	for (uint32_t i = 0; i < n; i++) {
		p->reqs[i].s = s;
		p->reqs[i].settled = (struct follower){ .wake = wake_settled, .arg = s };
		p->reqs[i].index = i;
		p->reqs[i].pub.worker = w;
		p->free[p->nfree++] = n - 1 - i;
	}
	return 0;
}

static void admin_free(struct admin *s)
{
	for (unsigned w = 0; s->ports && w < s->env.nworkers; w++) {
		struct port *p = &s->ports[w];

		for (unsigned i = 0; p->reqs && i < s->per_worker; i++)
			forget(&p->reqs[i]);
		free(p->reqs);
		free(p->free);
		free(p->stash);
		free(p->cells);
	}
	free(s->ports);
	if (s->bell >= 0)
		close(s->bell);
	free(s);
}

static int start_thread(struct admin *s)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);	/* the main thread takes the signals */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = -pthread_create(&s->thread, NULL, admin_run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!e)
		pthread_setname_np(s->thread, "admin");
	return e;
}

int admin_start(struct admin **out, const struct admin_env *env)
{
	struct admin *s = calloc(1, sizeof *s);
	int e = 0;

	must(env->nworkers > 0);
	if (!s)
		return -ENOMEM;
	s->env = *env;
	TAILQ_INIT(&s->busy);
	if (!s->env.settle_ms)
		s->env.settle_ms = 5000;
	s->shared.store = env->store;
	s->shared.class = env->class;
	s->shared.absent = env->absent ? env->absent : s->absent;
	if (!s->env.started_ms)
		s->env.started_ms = now_wall_ms();
	s->per_worker = ADMIN_REQS / env->nworkers;
	if (s->per_worker < 4)
		s->per_worker = 4;
	s->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->bell < 0)
		e = -errno;
	s->ports = aligned_alloc(64, env->nworkers * sizeof *s->ports);
	if (s->ports)
		memset(s->ports, 0, env->nworkers * sizeof *s->ports);
	else if (!e)
		e = -ENOMEM;
	for (unsigned w = 0; !e && w < env->nworkers; w++)
		e = port_init(s, w);
	if (!e)
		e = start_thread(s);
	if (e)
		admin_free(s);
	else
		*out = s;
	return e;
}

void admin_stop(struct admin *s)
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	ring_bell(s);
	pthread_join(s->thread, NULL);
	admin_free(s);
}

/* ---- the worker's side ---- */

/* The request of the next piece in the queue, without those that were ended.  Freed requests
 * that come before it are put on the stack. */
static struct req *admin_take(struct port *p)
{
	uint32_t m;

	while (queue_pop(&p->out, &m)) {
		if ((m & 3) == FREED)
			p->free[p->nfree++] = m >> 2;
		else if (!p->reqs[m >> 2].ended)
			return &p->reqs[m >> 2];
	}
	return NULL;
}

struct admin_req *admin_ready(struct admin *s, unsigned worker)
{
	struct port *p = &s->ports[worker];
	struct req *r;

	if (p->stash_at < p->nstash)
		return &p->reqs[p->stash[p->stash_at++]].pub;
	p->nstash = p->stash_at = 0;
	r = admin_take(p);
	return r ? &r->pub : NULL;
}

/* Too few requests are free: looks for freed ones behind pieces that wait in the queue, which go
 * to the stash.  A request is in the stash once at most. */
static void look_for_free(struct port *p, uint32_t reserve)
{
	struct req *r;

	memmove(p->stash, p->stash + p->stash_at, (p->nstash - p->stash_at) * sizeof *p->stash);
	p->nstash -= p->stash_at;
	p->stash_at = 0;
	while (p->nfree <= reserve && (r = admin_take(p)))
		p->stash[p->nstash++] = r->index;
}

static void unstash(struct port *p, uint32_t index)
{
	uint32_t i, n = p->stash_at;

	for (i = p->stash_at; i < p->nstash; i++)
		if (p->stash[i] != index)
			p->stash[n++] = p->stash[i];
	p->nstash = n;
}

/* How many slots must stay free.  Clients that read may be many and slow: ranges, which may be
 * long, leave slots for reads of one record, and all reads leave some for the rest. */
static uint32_t reserve_of(const struct admin *s, const struct endpoint *e, const char *target)
{
	if (e->by != ENDPOINT_RECORDS)
		return 0;
	/* A worker that has only a few slots keeps one or two free as well. */
	if (strstr(target, "..") || strchr(target, '?'))
		return s->per_worker / 4 > 2 ? s->per_worker / 4 : 2;
	return s->per_worker / 16 > 1 ? s->per_worker / 16 : 1;
}

struct admin_req *admin_ask(struct admin *s, unsigned worker, uint32_t conn,
			    uint32_t conn_gen, const struct endpoint *e, const char *target,
			    bool head, bool http11, bool keep_alive)
{
	uint32_t reserve = reserve_of(s, e, target);
	struct port *p = &s->ports[worker];
	struct req *r;
	size_t n;

	if (p->nfree <= reserve)
		look_for_free(p, reserve);
	if (p->nfree <= reserve) {
		/* A request that is freed from here on wakes the worker; one that was freed just
		 * before does not, so look once more. */
		__atomic_store_n(&p->short_of, true, __ATOMIC_SEQ_CST);
		look_for_free(p, reserve);
	}
	if (p->nfree <= reserve)
		return NULL;
	r = &p->reqs[p->free[--p->nfree]];
	r->pub = (struct admin_req){ .conn = conn, .conn_gen = conn_gen, .worker = worker };
	r->ended = false;
	r->endpoint = e;
	n = strlen(target) + 1;
	must(n <= sizeof r->target);
	memcpy(r->target, target, n);
	r->ask = (struct admin_client){ .head = head, .http11 = http11, .keep_alive = keep_alive,
				 .common = s->env.common };
	queue_push(&p->in, r->index << 2 | ASK);
	ring_bell(s);
	return &r->pub;
}

static void admin_tell(struct admin_req *pub, enum message m)
{
	struct req *r = (struct req *)pub;

	queue_push(&r->s->ports[pub->worker].in, r->index << 2 | (uint32_t)m);
	ring_bell(r->s);
}

void admin_next(struct admin_req *r)
{
	admin_tell(r, NEXT);
}

void admin_end(struct admin_req *pub)
{
	struct req *r = (struct req *)pub;

	r->ended = true;
	unstash(&r->s->ports[pub->worker], r->index);
	admin_tell(pub, END);
}
