/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.c - the loop of worker.h.
 *
 * What is done when buffers run short, in this order:
 *   1. The worker holds held_max buffers (few enough that the same ones come back while the
 *      caches still hold them), or half of its pool: the checkpointer is asked to hurry.
 *   2. No buffer is left for the kernel: reading stops by itself, and TCP's windows close.
 *   3. Clients that send on and on and have taken none of their replies for a while are
 *      cut off: what they sent would lie in buffers for as long as they like.
 *   4. That has lasted for pushback_ms in which the log made no progress: the worker is
 *      `refusing`.  The reserve goes to the kernel, and every request that would be recorded
 *      gets 503 and Retry-After.  Requests that were half received give their buffers back,
 *      so that many large uploads at once cannot wait for each other for ever.
 *   5. An eighth of the buffers is free again: the worker is back to normal.
 */
#include "server/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "admin/admin.h"
#include "admin/admin_slots.h"
#include "admin/health.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/must.h"
#include "base/now.h"
#include "server/checkpoint.h"
#include "server/ingest.h"

#define EVENTS_MAX	512u
#define RESERVE_MAX	32u
#define PIECES_TURN	4u	/* so many pieces of the admin thread's answers leave in a turn */
#define SHED_MS		100u	/* how often clients that do not read are looked for */
#define DOOR_TURNS	64u		/* the most turns in which the last of the backlog are accepted */
#define AWAY_NS		50000000u	/* a wait that took so much longer than asked: the loop was away */
#define BEHIND_MAX	32u		/* turns, with more events than any ring keeps */

/* ---- buffers ---- */

static void refill(struct worker *w)
{
	uint32_t keep = w->refusing ? 0 : w->reserve;

	while (w->pool->nfree > keep) {
		uint32_t idx = pool_lend(w->pool);

		if (!w->ops->give(w->ring, idx)) {
			pool_lent_back(w->pool);
			pool_put(w->pool, idx);
			break;
		}
	}
}

uint64_t worker_refuse_ns(const struct worker *w, uint64_t since_ns)
{
	return (since_ns > w->log_ns ? since_ns : w->log_ns) + w->env->pushback_ms * 1000000ull;
}

static void watch_log(struct worker *w)
{
	uint64_t steps;

	if (TAILQ_EMPTY(&w->waitq) && !w->dry_since_ns)
		return;
	steps = lane_moves(w->lane);
	if (steps != w->log_steps)
		w->log_ns = w->fair_ns;
	w->log_steps = steps;
}

static void log_moved(struct follower *f)
{
	worker_wake(f->arg);
}

/* Waits until the lane's level has moved.  True: it has, meanwhile. */
static bool follow_next(struct worker *w, enum follow_level level, struct follower *f)
{
	uint64_t next = store_reached(w->env->store, w->index, level) + 1;

	return !store_follow(w->env->store, w->index, level, next, f);
}

/* Before the commit of this turn, which looks at the age of the segment. */
static void follow_turn(struct worker *w)
{
	if (class_syncs(store_class(w->env->store)) && !follower_waits(&w->turn))
		while (follow_next(w, FOLLOW_TURN, &w->turn))
			;
}

static bool is_dry(const struct worker *w)
{
	return !w->pool->lent && w->pool->nfree <= w->reserve;
}

static void shed(struct worker *w)
{
	unsigned ms = w->env->pushback_ms / 2 < ADMIN_STALL_MS ? w->env->pushback_ms / 2 : ADMIN_STALL_MS;

	if (w->fair_ns < w->shed_ns)
		return;
	w->shed_ns = w->fair_ns + SHED_MS * 1000000ull;
	for (unsigned i = 0, left = w->open; left && w->pool->nfree <= w->reserve + w->pool->n / 8; i++) {
		struct conn *c = &w->conns[i];

		if (c->magic != CONN_MAGIC)
			continue;
		left--;
		if (conn_hoards(w, c, ms * 1000000ull))
			conn_cut(w, c);
	}
}

static void watch_pool(struct worker *w)
{
	uint32_t there = w->pool->nfree + w->pool->lent;

	uint32_t held = w->pool->n - there;
	bool low = there < w->pool->n / 2 || !TAILQ_EMPTY(&w->waitq) || lane_waits(w->lane);

	if (low && !follower_waits(&w->pass)) {
		/* Before it is looked once more: a pass that ends after this wakes us. */
		follow_next(w, FOLLOW_PASS, &w->pass);
		w->look_again = true;
	}
	if (lane_asks(w->lane, low || held >= w->env->held_max) && w->env->checkpoint)
		checkpoint_kick(w->env->checkpoint);
	if (is_dry(w))
		shed(w);
	if (w->refusing) {
		if (there > w->reserve + w->pool->n / 8)
			w->refusing = false;
	} else if (!is_dry(w)) {
		w->dry_since_ns = 0;
	} else if (!w->dry_since_ns) {
		w->dry_since_ns = w->fair_ns;
	} else if (w->fair_ns >= worker_refuse_ns(w, w->dry_since_ns)) {
		w->refusing = true;
		w->dry_since_ns = 0;
	}
}

/* ---- events ---- */

static void admin_pieces(struct worker *w, struct admin *s)
{
	struct admin_req *r;

	while (s && (r = admin_ready(s, w->index))) {
		struct conn *c = &w->conns[r->conn];

		must(c->magic == CONN_MAGIC && c->gen == r->conn_gen && c->admin == r);
		conn_admin_ready(w, c);
	}
}

static void worker_event(struct worker *w, const struct ring_event *e)
{
	struct conn *c = &w->conns[e->conn];

	switch ((enum ring_kind)e->kind) {
	case RING_ACCEPT:
		conn_open(w, e->conn, (unsigned)e->res);
		break;
	case RING_DATA:
		pool_lent_back(w->pool);
		conn_data(w, c, e->buf, e->off, e->len);
		break;
	case RING_EOF:
		conn_eof(w, c);
		break;
	case RING_ERROR:
		if (e->res == -EFAULT)	/* the kernel could not write to one of our buffers */
			fault_look();
		conn_error(w, c);
		break;
	case RING_SENT:
		conn_sent(w, c, e->res);
		break;
	case RING_CLOSED:
		conn_closed(w, c);
		break;
	case RING_SYNCED:
		ingest_synced(w, e->res);
		break;
	case RING_WOKEN:
		follow_turn(w);
		admin_pieces(w, w->env->records);
		admin_pieces(w, w->env->pages);
		break;
	}
}

static void retry_waiters(struct worker *w)
{
	struct conn_list now;
	struct conn *c;

	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &w->waitq, waitq);
	/* A connection that still has to wait goes to the new waitq, so this is one round and ends. */
	while ((c = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, c, waitq);
		c->waits_in = NULL;
		conn_run(w, c);
	}
}

/* Once per batch. */
static void run_claims(struct worker *w)
{
	struct admin_claim *g, *next;

	admin_slots_again(&w->admin_slots);
	for (g = TAILQ_FIRST(&w->admin_slots.waiting); g; g = next) {
		next = TAILQ_NEXT(g, entry);
		conn_run(w, conn_of_claim(g));
	}
}

/* Deadlines are looked at only when all events that were there have been handled: a client whose
 * bytes lie there is not late.  After BEHIND_MAX turns they are looked at in any case. */
static void run_timers(struct worker *w, bool all_seen)
{
	struct timer *n;

	w->behind = all_seen ? 0 : w->behind + 1;
	if (w->behind % BEHIND_MAX)
		return;
	while ((n = timers_expired(&w->timers, w->fair_ns)))
		conn_timeout(w, conn_of_timer(n));
}

static void flush_sends(struct worker *w)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->sendq)))
		conn_flush(w, c);
}

/* Readers come after writers: the pieces of their answers leave behind the replies of the turn, and
 * only a few of them, so that a thousand readers do not keep the next request waiting. */
static void flush_pieces(struct worker *w)
{
	struct conn *c;

	for (unsigned n = 0; n < PIECES_TURN && (c = TAILQ_FIRST(&w->pieceq)); n++)
		conn_flush_piece(w, c);
}

/* ---- the end ---- */

void worker_door_last(struct worker *w)
{
	if (w->door == DOOR_OPEN)
		w->door = DOOR_LAST;
}

static bool is_unix(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	return !getsockname(fd, (struct sockaddr *)&a, &n) && a.ss_family == AF_UNIX;
}

/* From here on clients are refused, or go to the other workers (SO_REUSEPORT).  A Unix socket is that
 * of all workers: it is shut only in a stop, when all of them end. */
static void shut_door(struct worker *w)
{
	w->door = DOOR_SHUT;
	w->ops->accept(w->ring, false);
	for (unsigned i = 0; i < w->nlisteners && !w->env->given; i++)
		if (w->draining || !is_unix(w->listeners[i]))
			shutdown(w->listeners[i], SHUT_RD);
}

/* Called after each turn; came: a client was accepted in it.  The door is shut once the backlog is
 * empty, for a client that is in the backlog of a socket when that is closed gets a reset. */
static void mind_door(struct worker *w, bool came)
{
	if (w->door == DOOR_LAST && w->door_turns++ && (!came || w->door_turns > DOOR_TURNS))
		shut_door(w);
}

static void start_drain(struct worker *w)
{
	w->draining = true;
	w->drain_end_ns = w->now_ns + w->env->drain_ms * 1000000ull;
	if (!w->env->given)
		worker_door_last(w);
	for (unsigned i = 0; i < w->env->conns_max; i++)
		if (w->conns[i].magic == CONN_MAGIC)
			conn_drain(w, &w->conns[i]);
}

static void kill_all(struct worker *w)
{
	for (unsigned i = 0; i < w->env->conns_max; i++)
		if (w->conns[i].magic == CONN_MAGIC)
			conn_kill(w, &w->conns[i]);
}

/* Whether the loop is over: drained, and what was started is durable or failed. */
static bool finished(struct worker *w)
{
	int stop = atomic_load(&w->stop);

	if (!stop)
		return false;
	if (!w->draining)
		start_drain(w);
	if (stop > 1 || w->now_ns >= w->drain_end_ns) {
		if (w->door != DOOR_SHUT)
			shut_door(w);
		kill_all(w);
	}
	/* All that are left came while draining and are told to go elsewhere.  A client that comes from
	 * here on is left to the next server. */
	if (w->open == w->late && w->door == DOOR_OPEN)
		shut_door(w);
	return !w->open && w->door == DOOR_SHUT && !lane_pending(w->lane);
}

/* ---- the loop ---- */

static int sooner(int ms, uint64_t at_ns, uint64_t now_ns)
{
	uint64_t left = at_ns > now_ns ? (at_ns - now_ns) / 1000000 + 1 : 0;

	return ms < 0 || left < (unsigned)ms ? (int)left : ms;
}

/* How long to wait: until something is due.  Whatever else is waited for wakes the worker: what
 * clients send, and replies and buffers that come back, by the ring; segments by the checkpointer;
 * slots of the admin thread by the admin thread. */
static int worker_wait_ms(struct worker *w)
{
	int ms = timers_wait_ms(&w->timers, w->fair_ns);

	if (!TAILQ_EMPTY(&w->pieceq))
		return 0;
	if (w->door == DOOR_LAST)
		return 0;
	if (w->look_again) {
		w->look_again = false;
		return 0;
	}
	if (w->draining && w->now_ns < w->drain_end_ns)
		ms = sooner(ms, w->drain_end_ns, w->now_ns);
	if (is_dry(w))
		ms = sooner(ms, w->shed_ns, w->fair_ns);
	if (w->dry_since_ns)
		ms = sooner(ms, worker_refuse_ns(w, w->dry_since_ns), w->fair_ns);
	if (w->admin_slots.due_ns)
		ms = sooner(ms, w->admin_slots.due_ns, w->fair_ns);
	return ms;
}

static void show_pool(struct worker *w)
{
	static struct diag_limit no_files;
	struct ring_stats s;

	w->ops->stats(w->ring, &s);
	if (s.no_files != COUNT_GET(w->count, accept_failed))
		diag_limited(&no_files, DIAG_WARN, "worker %u: connections cannot be accepted: out of open files, or "
			     "of memory; raise the limit (ulimit -n, LimitNOFILE=)", w->index);
	count_ring(w->count, &s);
	COUNT_SET(w->count, pool_free, w->pool->nfree);
	COUNT_SET(w->count, pool_kernel, w->pool->lent);
	COUNT_SET(w->count, gathered_bytes, w->pool->gathered_bytes);
}

/* After a wait that was to take at most ms. */
static void read_clocks(struct worker *w, int ms)
{
	uint64_t now = now_ns(), took = now - w->now_ns, wait = (unsigned)ms * 1000000ull;

	w->now_ns = now;
	/* A wait without a limit may take any time: there was no deadline that could have passed. */
	w->fair_ns += ms >= 0 && took > wait + AWAY_NS ? wait : took;
	w->wall_ms = now_wall_ms();
}

static int loop(struct worker *w)
{
	struct ring_event ev[EVENTS_MAX];
	bool progress, came;
	int n, ms;

	for (;;) {
		refill(w);
		ms = worker_wait_ms(w);
		n = w->ops->wait(w->ring, ev, EVENTS_MAX, ms);
		if (n < 0)
			return n;
		read_clocks(w, ms);
		reply_clock(&w->replies, w->wall_ms);
		progress = came = false;
		for (int i = 0; i < n; i++) {
			came |= ev[i].kind == RING_ACCEPT;
			progress |= ev[i].kind == RING_SYNCED;
			worker_event(w, &ev[i]);
		}
		mind_door(w, came);
		progress |= lane_reclaim(w->lane) > 0;
		ingest_commit(w);
		ingest_release(w);
		if (!TAILQ_EMPTY(&w->waitq) && (progress || lane_failed(w->lane) || !lane_pending(w->lane))) {
			retry_waiters(w);
			ingest_commit(w);
			ingest_release(w);
		}
		run_claims(w);
		watch_log(w);
		run_timers(w, n < (int)EVENTS_MAX);
		flush_sends(w);
		watch_pool(w);
		COUNT(w->count, batches, n > 0);
		show_pool(w);
		if (finished(w)) {
			flush_sends(w);
			return 0;
		}
		flush_sends(w);
		flush_pieces(w);
	}
}

static void started(struct worker *w, int err)
{
	pthread_mutex_lock(&w->start_lock);
	w->started = 1;
	w->start_err = err;
	pthread_cond_signal(&w->start_cond);
	pthread_mutex_unlock(&w->start_lock);
}

static void pin(struct worker *w)
{
	char name[16];
	cpu_set_t set;

	snprintf(name, sizeof(name), "pasted-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	if (w->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)w->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		diag(DIAG_WARN, "worker %u: cannot be pinned to CPU %d: %s", w->index, w->cpu, strerror(errno));
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct ring_params p = {
		.conns_max = w->env->conns_max, .buf_size = w->pool->buf_size,
		.first_buf = w->pool->first, .nbufs = w->pool->n,
		.listeners = w->listeners, .nlisteners = w->nlisteners,
		.nic = w->index ? NULL : w->env->nic, .spin_us = w->env->spin_us,
	};
	int err;

	pin(w);
	p.pool_base = store_pool_base(w->env->store, &p.pool_len);
	err = w->ops->open(&w->ring, &p, w->why, sizeof(w->why));
	if (err) {
		started(w, err);
		return NULL;
	}
	if (class_syncs(store_class(w->env->store))) {
		struct blk_aio *aio = w->ops->aio(w->ring);

		if (!aio) {
			snprintf(w->why, sizeof(w->why), "no thread for the commits");
			started(w, -EAGAIN);
			return NULL;
		}
		store_lane_aio(w->env->store, w->index, aio);
	}
	w->now_ns = w->fair_ns = now_ns();
	w->wall_ms = now_wall_ms();
	timers_init(&w->timers, w->fair_ns);
	COUNT_SET(w->count, pool_buffers, w->pool->n);
	started(w, 0);
	follow_turn(w);
	err = loop(w);
	unfollow(&w->pass);
	unfollow(&w->turn);
	w->ops->end(w->ring);
	if (err) {
		diag(DIAG_ERR, "worker %u: the ring failed: %s", w->index, strerror(-err));
		w->env->gone(w->env->arg);
	}
	return NULL;
}

/* ---- by others ---- */

static void *lazy(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint32_t nslots(const struct worker *w)
{
	return 2 * w->pool->n;
}

void worker_free(struct worker *w)
{
	if (w->ring)
		w->ops->close(w->ring);
	if (w->conns)
		munmap(w->conns, w->env->conns_max * sizeof(*w->conns));
	if (w->slots)
		munmap(w->slots, nslots(w) * sizeof(*w->slots));
	if (w->pending)
		munmap(w->pending, PENDING_MAX * sizeof(*w->pending));
	reply_fini(&w->replies);
	pthread_mutex_destroy(&w->start_lock);
	pthread_cond_destroy(&w->start_cond);
	free(w);
}

static int worker_alloc(struct worker *w)
{
	enum durability_class class = store_class(w->env->store);

	w->conns = lazy(w->env->conns_max * sizeof(*w->conns));
	w->slots = lazy(nslots(w) * sizeof(*w->slots));
	w->pending = lazy(PENDING_MAX * sizeof(*w->pending));
	if (!w->conns || !w->slots || !w->pending)
		return -ENOMEM;
	for (uint32_t i = 0; i < nslots(w); i++)
		w->slots[i].next = i + 1 < nslots(w) ? i + 1 : FRAG_NIL;
	return reply_init(&w->replies, w->env->conns_max, w->env->common, w->index, class_stores(class));
}

int worker_start(struct worker **out, const struct worker_env *env, unsigned index, int cpu,
		 const int *listeners, unsigned nlisteners, char *why, size_t why_len)
{
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->env = env;
	w->index = index;
	w->cpu = env->pin ? cpu : -1;
	w->ops = env->ring;
	w->listeners = listeners;
	w->nlisteners = nlisteners;
	w->count = &env->counters[index];
	w->lane = store_lane(env->store, index);
	w->pool = store_pool(env->store, index);
	w->reserve = w->pool->n / 8 < RESERVE_MAX ? w->pool->n / 8 : RESERVE_MAX;
	w->shortest_ns = conn_shortest_ns(env);
	w->pass = w->turn = (struct follower){ .wake = log_moved, .arg = w };
	TAILQ_INIT(&w->sendq);
	TAILQ_INIT(&w->pieceq);
	TAILQ_INIT(&w->waitq);
	admin_slots_init(&w->admin_slots);
	pthread_mutex_init(&w->start_lock, NULL);
	pthread_cond_init(&w->start_cond, NULL);
	err = worker_alloc(w);
	if (err)
		goto fail;
	/* It may have handed something to the admin thread, who looks for it there to wake it,
	 * before this returns. */
	*out = w;
	err = -pthread_create(&w->thread, NULL, worker_run, w);
	if (err)
		goto fail;
	pthread_mutex_lock(&w->start_lock);
	while (!w->started)
		pthread_cond_wait(&w->start_cond, &w->start_lock);
	pthread_mutex_unlock(&w->start_lock);
	err = w->start_err;
	if (err) {
		pthread_join(w->thread, NULL);
		goto fail;
	}
	return 0;

fail:
	*out = NULL;
	snprintf(why, why_len, "worker %u: %s", index, w->why[0] ? w->why : strerror(-err));
	worker_free(w);
	return err;
}

void worker_wake(struct worker *w)
{
	w->ops->wake(w->ring);
}

void worker_stop(struct worker *w, bool now)
{
	atomic_store(&w->stop, now ? 2 : 1);
	worker_wake(w);
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
}
