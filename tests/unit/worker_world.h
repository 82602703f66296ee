/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_world.h - the real worker, turn by turn: its ring is this file, its clock stands
 * still until the test moves it, its store is in the two simulators.
 *
 * The worker's thread stands in the ring's wait but for the length of a turn(), so the test
 * may look at anything of it.  pass() lets time go by as the worker asks for it: in steps no
 * longer than it wants to wait, so a deadline that it has forgotten is not met by chance.
 * What it sends has left at the next turn, unless held; the peer reads what it is sent.
 */
#ifndef WORKER_WORLD_H
#define WORKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../sim/blk_sim.h"
#include "../sim/pm_sim.h"
#include "admin/health.h"
#include "ring/ring_conn.h"
#include "segment/segment.h"
#include "server/worker.h"
#include "store/store.h"

#define BUFS	64u
#define WINDOW	512u	/* the most that a life has */
#define BUF	2048u
#define CONNS	8u
#define WALL	1700000000000ull	/* ms: the day of the test */

#define HEADER_MS	3000u
#define BODY_MS		5000u
#define BODY_STEP	100u
#define IDLE_MS		11000u
#define WRITE_MS	7000u
#define PUSHBACK_MS	2000u
#define DRAIN_MS	20000u
#define LATE		100u	/* ms: how much later than its deadline something may be done */

struct line {			/* a connection, from the client's side */
	bool	 open, closing, sending, shut, paused, hold, unread, forgotten;
	char	 out[65536];
	size_t	 n;
};

static struct {
	_Atomic uint64_t ns;		/* the clock */
	struct worker *w;
	struct worker_env env;
	struct store *store;
	struct pm_sim *pm;
	struct blk_sim *blk;
	struct counters count;
	struct health health;
	atomic_uint serving;
	struct ring_params p;
	struct raio aio;
	sem_t	 go, back;
	struct ring_event ev[64];
	unsigned n;
	struct ring_event *to;		/* of the wait */
	int	 asked_ms;
	bool	 ended, accepting, hold_commits;
	atomic_bool gone;
	int	 wait_res;		/* of the next wait, if not 0 */
	struct line line[CONNS];
	uint32_t window[WINDOW];
	unsigned nwindow;
	struct ring_stats stats;
	unsigned acks, turns;
} the;

/* What the next life has in place of what is said above, if it is not 0. */
static struct {
	unsigned header_ms, body_ms, idle_ms, write_ms, bufs;
	int	 cpu;			/* to be pinned to it, + 1 */
	int	 listeners[2];
	unsigned nlisteners;
} other;
static uint32_t room_taken;	/* by take_room */

/* The program's clocks; the tests' too.  clock: none is measured. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	uint64_t ns = atomic_load(&the.ns);

	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ns += WALL * 1000000;
	t->tv_sec = (time_t)(ns / 1000000000);
	t->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

/* ---- the ring ---- */

static void mine(const struct ring *k)
{
	if ((const void *)k != &the)
		abort();
}

static int ww_open(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)why;
	(void)why_len;
	the.p = *p;
	raio_init(&the.aio);
	*r = (struct ring *)&the;
	return 0;
}

static void ww_end(struct ring *k)
{
	mine(k);
	the.ended = true;
	sem_post(&the.back);
}

static void ww_close(struct ring *k)
{
	(void)k;
}

static bool ww_give(struct ring *k, uint32_t buf)
{
	mine(k);
	the.window[the.nwindow++] = buf;
	return true;
}

static int ww_wait(struct ring *k, struct ring_event *ev, unsigned max, int timeout_ms)
{
	unsigned n;

	mine(k);
	(void)max;
	the.asked_ms = timeout_ms;
	sem_post(&the.back);
	while (sem_wait(&the.go))
		;
	n = the.n;
	memcpy(ev, the.ev, n * sizeof(*ev));
	the.n = 0;
	return the.wait_res ? the.wait_res : (int)n;
}

static void ww_send(struct ring *k, uint32_t conn, const struct iovec *iov, unsigned n)
{
	struct line *l = &the.line[conn];

	mine(k);
	l->sending = true;
	for (unsigned i = 0; i < n; i++) {
		size_t room = sizeof(l->out) - 1 - l->n, len = iov[i].iov_len < room ? iov[i].iov_len : room;

		memcpy(l->out + l->n, iov[i].iov_base, len);
		l->n += len;
	}
}

static void ww_pause(struct ring *k, uint32_t conn)
{
	mine(k);
	the.line[conn].paused = true;
}

static void ww_resume(struct ring *k, uint32_t conn)
{
	mine(k);
	the.line[conn].paused = false;
}

static void ww_shutdown(struct ring *k, uint32_t conn)
{
	mine(k);
	the.line[conn].shut = true;
}

static void ww_close_conn(struct ring *k, uint32_t conn)
{
	mine(k);
	the.line[conn].closing = true;
}

static void ww_forget(struct ring *k, uint32_t conn)
{
	mine(k);
	the.line[conn].forgotten = true;
}

static void ww_accept(struct ring *k, bool on)
{
	mine(k);
	the.accepting = on;
}

static void ww_wake(struct ring *k)
{
	mine(k);
}

static bool ww_unread(struct ring *k, uint32_t conn)
{
	mine(k);
	return the.line[conn].unread;
}

static void ww_ack(struct ring *k, uint32_t conn)
{
	mine(k);
	(void)conn;
	the.acks++;
}

static struct blk_aio *ww_aio(struct ring *k)
{
	mine(k);
	return &the.aio.aio;
}

static void ww_stats(struct ring *k, struct ring_stats *s)
{
	mine(k);
	*s = the.stats;
}

static const struct ring_ops world_ring = {
	.name = "world", .open = ww_open, .end = ww_end, .close = ww_close, .give = ww_give, .wait = ww_wait,
	.send = ww_send, .pause = ww_pause, .resume = ww_resume, .shutdown = ww_shutdown,
	.close_conn = ww_close_conn, .accept = ww_accept, .wake = ww_wake, .unread = ww_unread, .ack = ww_ack,
	.forget = ww_forget, .aio = ww_aio, .stats = ww_stats,
};

/* ---- a life ---- */

static void put(struct ring_event e)
{
	assert_true(the.n < sizeof(the.ev) / sizeof(the.ev[0]));
	the.ev[the.n++] = e;
}

/* One round of the loop, with what was put and what the ring does by itself. */
static void turn(void)
{
	struct ring_event e;

	for (uint32_t h = 0; h < CONNS; h++) {
		struct line *l = &the.line[h];

		if (l->closing) {
			put((struct ring_event){ .kind = RING_CLOSED, .conn = h });
			l->closing = l->sending = l->open = false;
		} else if (l->sending && !l->hold) {
			l->sending = false;
			put((struct ring_event){ .kind = RING_SENT, .conn = h });
		}
	}
	if (the.aio.state == RAIO_QUEUED && !the.hold_commits) {
		raio_go(&the.aio);
		assert_true(raio_take(&the.aio, &e));
		put(e);
	}
	the.turns++;
	sem_post(&the.go);
	while (sem_wait(&the.back))
		;
}

/* So many rounds that what follows by itself has followed. */
static void settle(void)
{
	for (int i = 0; i < 4 && !the.ended; i++)
		turn();
}

static void pass(uint64_t ms)
{
	uint64_t left = ms;
	unsigned still = 0;

	while (left && !the.ended) {
		uint64_t step = the.asked_ms < 0 || (uint64_t)the.asked_ms > left ? left : (uint64_t)the.asked_ms;

		still = step ? 0 : still + 1;
		assert_true(still < 20);	/* it spins */
		atomic_fetch_add(&the.ns, step * 1000000);
		left -= step;
		turn();
	}
}

static void world_gone(void *arg)
{
	(void)arg;
	the.gone = true;
}

static void begin(enum durability_class class)
{
	static struct head_common common;
	struct store_options o = {
		.store_dir = "/store", .nvmm_path = class_has_wal(class) ? "/nvmm" : NULL, .class = class, .lanes = 1,
		.pool_bytes = (other.bufs ? other.bufs : BUFS) * BUF, .buf_size = BUF, .segment_bytes = SEG_BYTES_MIN,
		.record_bytes_max = 2048 + 12000,
	};
	char why[256] = "";

	memset(&the, 0, sizeof(the));
	head_common_init(&common, class_name(class), other.idle_ms ? other.idle_ms : IDLE_MS);
	room_taken = 0;
	atomic_store(&the.ns, 77000000000u);
	sem_init(&the.go, 0, 0);
	sem_init(&the.back, 0, 0);
	the.accepting = true;
	the.serving = 1;
	the.pm = pm_sim_new();
	the.blk = blk_sim_new();
	o.pm = pm_sim_ops(the.pm);
	o.blk = blk_sim_ops(the.blk);
	if (store_open(&the.store, &o, why, sizeof(why)))
		fail_msg("%s", why);
	the.env = (struct worker_env){
		.ring = &world_ring, .store = the.store, .common = &common, .health = &the.health, .counters = &the.count,
		.limits = { 2048, 256, 32, 256, 12000 }, .conns_max = CONNS,
		.header_timeout_ms = other.header_ms ? other.header_ms : HEADER_MS,
		.body_timeout_ms = other.body_ms ? other.body_ms : BODY_MS, .body_step = BODY_STEP,
		.idle_timeout_ms = other.idle_ms ? other.idle_ms : IDLE_MS,
		.write_timeout_ms = other.write_ms ? other.write_ms : WRITE_MS, .pin = other.cpu != 0,
		.pushback_ms = PUSHBACK_MS, .drain_ms = DRAIN_MS, .held_max = BUFS / 2,
		.gone = world_gone, .serving = &the.serving,
	};
	if (worker_start(&the.w, &the.env, 0, other.cpu - 1, other.listeners, other.nlisteners, why, sizeof(why)))
		fail_msg("%s", why);
	while (sem_wait(&the.back))
		;
}

/* Stops it at once.  Every buffer is where it belongs, and nothing is open. */
static void end(void)
{
	if (!the.ended)
		worker_stop(the.w, true);
	for (int i = 0; i < 10 && !the.ended; i++)
		turn();
	assert_true(the.ended);
	assert_false(the.gone);
	worker_join(the.w);
	assert_int_equal(the.w->open, 0);
	assert_int_equal(the.count.conns_accepted, the.count.conns_closed);
	assert_true(TAILQ_EMPTY(&the.w->waitq) && TAILQ_EMPTY(&the.w->admin_slots.waiting) && TAILQ_EMPTY(&the.w->admin_slots.stalled) &&
		    TAILQ_EMPTY(&the.w->sendq) && TAILQ_EMPTY(&the.w->pieceq));
	worker_free(the.w);
	store_close(the.store);
	pm_sim_free(the.pm);
	blk_sim_free(the.blk);
}

/* ---- clients ---- */

static void client(uint32_t h)
{
	assert_false(the.line[h].open);
	memset(&the.line[h], 0, sizeof(the.line[h]));
	the.line[h].open = true;
	put((struct ring_event){ .kind = RING_ACCEPT, .conn = h });
	turn();
}

static void bytes(uint32_t h, const char *p, size_t n)
{
	while (n) {
		size_t len = n < BUF ? n : BUF;
		uint32_t buf;

		assert_true(the.nwindow > 0);
		buf = the.window[--the.nwindow];
		memcpy(the.p.pool_base + (size_t)buf * BUF, p, len);
		put((struct ring_event){ .kind = RING_DATA, .conn = h, .buf = buf, .len = (uint16_t)len });
		p += len;
		n -= len;
	}
	turn();
}

static void say(uint32_t h, const char *text)
{
	bytes(h, text, strlen(text));
}

__attribute__((unused)) static void post(uint32_t h, size_t body)
{
	char text[16384];
	int n = snprintf(text, sizeof(text), "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", body);

	memset(text + n, 'b', body);
	bytes(h, text, (size_t)n + body);
}

/* What it was sent since the last look. */
static const char *got(uint32_t h)
{
	struct line *l = &the.line[h];

	l->out[l->n] = '\0';
	l->n = 0;
	return l->out;
}

__attribute__((unused)) static int status(uint32_t h)
{
	const char *text = got(h);

	return strncmp(text, "HTTP/1.1 ", 9) ? 0 : atoi(text + 9);
}

/* No more than so many pieces of records have room from here on; and all again.  Who finds none
 * waits as for a buffer. */
__attribute__((unused)) static void take_room(uint32_t left)
{
	room_taken += the.w->pool->nodes_left - left;
	the.w->pool->nodes_left = left;
}

__attribute__((unused)) static void give_room(void)
{
	the.w->pool->nodes_left += room_taken;
	room_taken = 0;
}

#define gone_by_now(h)	(!the.line[h].open)

#endif
